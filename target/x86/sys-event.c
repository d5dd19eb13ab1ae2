/* SPDX-License-Identifier: Apache-2.0 */
/* Software interrupts, the flags register, ports, waiting. Intel SDM vol. 2. */
#include "target/x86/system.h"

/* ---- software interrupts ---- */

static void x86_helper_int(Cpu *cpu, uint64_t vector, uint64_t info, uint64_t how)
{
    X86Cpu *x = x86_of(cpu);
    x86_deliver(x, vector, 0, how, after(x, info));
    cpu_exit(cpu);
}
HELPER(int, VOID, IR_H_ANY | IR_H_EXIT);

static void software(X86Xlate *x, unsigned vector, X86Event how)
{
    x_call(x, &h_int, num(x, vector), info(x), num(x, how), 0);
    ir_resync(x->b, x_here(x));
    x->done = true;
}

static void x86_helper_int_vm86(Cpu *cpu, uint64_t vector, uint64_t info)
{
    X86Cpu *x = x86_of(cpu);
    x86_int_vm86(x, vector, after(x, info));
    cpu_exit(cpu);
}
HELPER(int_vm86, VOID, IR_H_ANY | IR_H_EXIT);

INSN(int)
{
    if (x->mode & MODE_VM) {
        x_call(x, &h_int_vm86, num(x, (uint8_t)x->i.imm), info(x), 0, 0);
        ir_resync(x->b, x_here(x));
        x->done = true;
    } else {
        software(x, (uint8_t)x->i.imm, EVENT_SOFTWARE);
    }
}

INSN(int3) { software(x, EXC_BP, EVENT_SOFTWARE); }
INSN(int1) { software(x, EXC_DB, EVENT_TRAP); }

INSN(into)
{
    X86Cond no = x_cond(x, 1);
    unsigned skip = ir_label(x->b);
    x_cc_flush(x);
    ir_brcond(x->b, no.cc, no.a, no.b, skip);
    software(x, EXC_OF, EVENT_SOFTWARE);
    ir_bind(x->b, skip);
    x->done = false;
}

INSN(ud2) { x_raise(x, EXC_UD, 0); }

/* ---- flags ---- */

static void x86_helper_set_flags(Cpu *cpu, uint64_t v, uint64_t size)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t mask = FLAGS_ARITH | FLAG_T | FLAG_D | FLAG_NT | FLAG_AC | FLAG_ID;
    if (x86_vm86(x) && x->cpu.mode & MODE_VIF) {
        if (v & FLAG_T || (v & FLAG_I && x->eflags & FLAG_VIP))
            x86_raise_gp(x, 0);
        mask = (mask & 0xffff) | FLAG_VIF;
        v = (v & 0xffff) | (v & FLAG_I) << 10;
        size = 4;
    }
    if (x->cpu.mode & MODE_IOPL_OK)
        mask |= FLAG_I;
    if (!x86_cpl(x))
        mask |= FLAG_IOPL;
    if (size == 2)
        mask &= 0xffff;
    x86_set_eflags(x, (x86_get_eflags(x) & ~mask & ~FLAG_R) | (v & mask));
}
HELPER(set_flags, VOID, IR_H_ANY);

static bool flags_allowed(X86Xlate *x)
{
    if (!(x->mode & MODE_VM) || x->mode & MODE_IOPL_OK || (x->mode & MODE_VIF && x->i.opsize == 2))
        return true;
    x_raise(x, EXC_GP, 0);
    return false;
}

INSN(pushf)
{
    if (!flags_allowed(x))
        return;
    IrRef f = ir_or(x->b, x_flags(x), ir_i32(x->b, FLAG_1));
    IrRef sys = ir_andi(x->b, ir_get(x->b, IR_I32, SLOT(eflags), 4), ~(FLAG_VM | FLAG_R));
    f = ir_or(x->b, f, sys);
    if (x->mode & MODE_VM && x->mode & MODE_VIF) {
        f = ir_deposit(x->b, f, ir_extract(x->b, sys, 19, 1), 9, 1);
        f = ir_or(x->b, f, ir_i32(x->b, FLAG_IOPL));
    }
    x_push(x, x->i.opsize, x->i.opsize == 8 ? ir_zext(x->b, IR_I64, f, 32) : f);
}

INSN(popf)
{
    if (!flags_allowed(x))
        return;
    unsigned size = x->i.opsize;
    IrRef v = x_zx64(x, x_stack_load(x, 0, size), size);
    x_call(x, &h_set_flags, v, num(x, size), 0, 0);
    x_add_sp(x, size);
    x_cc_unknown(x);
    x_resync_next(x);
}

INSN(cli)
{
    if (!(x->mode & MODE_IOPL_OK) && !(x->mode & MODE_VIF)) {
        x_raise(x, EXC_GP, 0);
        return;
    }
    IrRef f = ir_get(x->b, IR_I32, SLOT(eflags), 4);
    ir_set(x->b, SLOT(eflags), 4, ir_andi(x->b, f, x->mode & MODE_VIF ? ~FLAG_VIF : ~FLAG_I));
}

static void x86_helper_set_vif(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (x->eflags & FLAG_VIP)
        x86_raise_gp(x, 0);
    x->eflags |= FLAG_VIF;
}
HELPER(set_vif, VOID, IR_H_ANY);

static void x86_helper_sti(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (!(x->eflags & FLAG_I)) {
        x->eflags |= FLAG_I;
        x->shadow = true;
        x86_update_mode(x);
    }
}
HELPER(sti, VOID, IR_H_STATE);

INSN(sti)
{
    if (x->mode & MODE_VIF) {
        x_call(x, &h_set_vif, 0, 0, 0, 0);
        return;
    }
    if (!(x->mode & MODE_IOPL_OK)) {
        x_raise(x, EXC_GP, 0);
        return;
    }
    x_call(x, &h_sti, 0, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_set_ac(Cpu *cpu, uint64_t on)
{
    X86Cpu *x = x86_of(cpu);
    x->eflags = on ? x->eflags | FLAG_AC : x->eflags & ~FLAG_AC;
    x86_update_mode(x);
}
HELPER(set_ac, VOID, IR_H_STATE);

static void set_ac(X86Xlate *x, bool on)
{
    x_call(x, &h_set_ac, num(x, on), 0, 0, 0);
    x_resync_next(x);
}

INSN(clac) { set_ac(x, false); }
INSN(stac) { set_ac(x, true); }

/* ---- ports ---- */

static uint64_t x86_helper_in(Cpu *cpu, uint64_t port, uint64_t size, uint64_t check)
{
    X86Cpu *x = x86_of(cpu);
    if (check)
        x86_io_check(x, port, size);
    return x86_io_in(x, port, size);
}
HELPER(in, I64, IR_H_ANY);

static void x86_helper_out(Cpu *cpu, uint64_t port, uint64_t v, uint64_t size, uint64_t check)
{
    X86Cpu *x = x86_of(cpu);
    if (check)
        x86_io_check(x, port, size);
    x86_io_out(x, port, v, size);
}
HELPER(out, VOID, IR_H_ANY);

static IrRef port(X86Xlate *x, unsigned k)
{
    if (x->i.row->op[k].method == OP_I)
        return num(x, (uint8_t)x->i.imm);
    return ir_get(x->b, IR_I64, SLOT(regs[RDX]), 2);
}

/* Real mode and cpl <= iopl need no look at the bitmap. */
static IrRef must_check(X86Xlate *x)
{
    return num(x, x->mode & MODE_PE && (!(x->mode & MODE_IOPL_OK) || x->mode & MODE_VM));
}

INSN(in)
{
    unsigned size = x_size(x, 0);
    IrRef v = x_call(x, &h_in, port(x, 1), num(x, size), must_check(x), 0);
    x_set_reg(x, RAX, size, ir_trunc(x->b, v));
    if (x->mode & MODE_BP)
        x_resync_next(x);
}

INSN(out)
{
    unsigned size = x_size(x, 1);
    IrRef v = ir_zext(x->b, IR_I64, x_reg(x, RAX, size), 32);
    x_call(x, &h_out, port(x, 0), v, num(x, size), must_check(x));
    /* A port may stop, reset or interrupt the machine: let it show at once. */
    x_resync_next(x);
}

/* ---- waiting ---- */

static void x86_helper_hlt(Cpu *cpu, uint64_t next)
{
    X86Cpu *x = x86_of(cpu);
    cpu->pc = next;
    x->shadow = false;
    x86_update_mode(x);
    cpu_halt(cpu);
    cpu_exit(cpu);
}
HELPER(hlt, VOID, IR_H_ANY | IR_H_EXIT);

static void stop(X86Xlate *x, const IrHelper *h)
{
    x_call(x, h, ir_pcrel(x->b, x->next), 0, 0, 0);
    ir_resync(x->b, ir_pcrel(x->b, x->next));
    x->done = true;
}

INSN(hlt) { stop(x, &h_hlt); }

static void x86_helper_mwait(Cpu *cpu, uint64_t next)
{
    /* A wake-up for no reason is allowed; with other CPUs about, a store may be the reason. */
    if (cpu->vm->n_cpus == 1 && !((uint32_t)x86_of(cpu)->regs[RCX] & 1))
        x86_helper_hlt(cpu, next);
    g_thread_yield();
}
HELPER(mwait, VOID, IR_H_ANY);

INSN(monitor)
{
    if (x->mode & MODE_CPL) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    IrRef at = x_linear(x, x->i.seg >= 0 ? x->i.seg : DS,
                        ir_get(x->b, IR_I64, SLOT(regs[RAX]), x->i.addrsize), x->i.addrsize, 1, false);
    x_load_at(x, at, 0, 1);
}

INSN(mwait)
{
    if (x->mode & MODE_CPL) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    x_call(x, &h_mwait, ir_pcrel(x->b, x->next), 0, 0, 0);
    x_resync_next(x);
}

/* fwait reports pending x87 errors. */
static void x86_helper_fwait(Cpu *cpu)
{
    x86_fpu_wait(x86_of(cpu));
}
HELPER(fwait, VOID, IR_H_ANY);

INSN(fwait)
{
    if ((x->mode & (MODE_MP | MODE_TS)) == (MODE_MP | MODE_TS))
        x_raise(x, EXC_NM, 0);
    else
        x_call(x, &h_fwait, 0, 0, 0, 0);
}
