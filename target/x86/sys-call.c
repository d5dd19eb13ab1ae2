/* SPDX-License-Identifier: Apache-2.0 */
/* Fast system calls, bases of fs and gs, the return from system management. Intel SDM vol. 2. */
#include <string.h>
#include "target/x86/system.h"

/* ---- fast system calls ---- */

static void flat_segments(X86Cpu *x, uint16_t cs, uint16_t ss, unsigned cpl, bool wide)
{
    x->cpu.mode = (x->cpu.mode & ~MODE_CPL) | cpl;
    uint16_t dpl = cpl << ATTR_DPL_SHIFT;
    x86_load_seg_cache(x, CS, cs, 0, 0xffffffff,
                       0x9b | dpl | ATTR_G | (wide ? ATTR_L : ATTR_DB));
    x86_load_seg_cache(x, SS, ss, 0, 0xffffffff, 0x93 | dpl | ATTR_G | ATTR_DB);
}

/* Intel's have SYSCALL in 64-bit mode only, AMD's no SYSENTER in long mode. */
static bool intel(const X86Cpu *x) { return x->vendor && !strcmp(x->vendor, "GenuineIntel"); }

static void need_syscall(X86Cpu *x)
{
    if (!(x->efer & EFER_SCE) || (intel(x) && !x86_code64(x)))
        x86_raise(x, EXC_UD, 0);
}

static void need_sysenter(X86Cpu *x)
{
    if (x86_long(x) && !intel(x))
        x86_raise(x, EXC_UD, 0);
}

static uint64_t x86_helper_syscall(Cpu *cpu, uint64_t len)
{
    X86Cpu *x = x86_of(cpu);
    need_syscall(x);
    uint64_t next = after(x, len << 8), to;
    uint16_t sel = x->star >> 32;
    x->regs[RCX] = next;
    bool wide = x86_long(x);
    if (wide) {
        uint32_t flags = x86_get_eflags(x) & ~FLAG_R;
        x->regs[R11] = flags;
        to = x86_code64(x) ? x->lstar : x->cstar;
        flags &= ~(uint32_t)x->fmask;
        x86_set_arith(x, flags);
        x->eflags = flags & ~(FLAGS_ARITH | FLAG_1);
    } else {
        x->eflags &= ~(FLAG_VM | FLAG_I | FLAG_R);
        to = (uint32_t)x->star;
    }
    flat_segments(x, sel & ~3, (sel & ~3) + 8, 0, wide);
    x86_update_mode(x);
    cpu->pc = to;
    return to;
}
HELPER(syscall, I64, IR_H_ANY);

static uint64_t x86_helper_sysret(Cpu *cpu, uint64_t size)
{
    X86Cpu *x = x86_of(cpu);
    uint16_t sel = x->star >> 48;
    need_syscall(x);
    if (!x86_protected(x) || x86_cpl(x))
        x86_raise_gp(x, 0);
    uint64_t to = size == 8 ? x->regs[RCX] : (uint32_t)x->regs[RCX];
    if (size == 8 && !x86_canonical(x, to))
        x86_raise_gp(x, 0);
    if (x86_long(x)) {
        uint32_t flags = (x->regs[R11] & 0x3c7fd7) | FLAG_1;
        x86_set_arith(x, flags);
        x->eflags = flags & ~(FLAGS_ARITH | FLAG_1);
    } else {
        x->eflags |= FLAG_I;
    }
    flat_segments(x, (sel + (size == 8 ? 16 : 0)) | 3, (sel + 8) | 3, 3, size == 8);
    x86_update_mode(x);
    cpu->pc = to;
    return to;
}
HELPER(sysret, I64, IR_H_ANY);

INSN(syscall) { x_transfer(x, &h_syscall, num(x, x->i.len)); }
INSN(sysret) { x_transfer(x, &h_sysret, num(x, x->i.w && x->code == 8 ? 8 : 4)); }

static uint64_t x86_helper_sysenter(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    need_sysenter(x);
    uint16_t sel = x->sysenter_cs;
    if (!x86_protected(x) || !(sel & ~3))
        x86_raise_gp(x, 0);
    bool wide = x86_long(x);
    x->eflags &= ~(FLAG_VM | FLAG_I | FLAG_R);
    flat_segments(x, sel & ~3, (sel & ~3) + 8, 0, wide);
    x86_update_mode(x);
    x->regs[RSP] = wide ? x->sysenter_esp : (uint32_t)x->sysenter_esp;
    return cpu->pc = wide ? x->sysenter_eip : (uint32_t)x->sysenter_eip;
}
HELPER(sysenter, I64, IR_H_ANY);

static uint64_t x86_helper_sysexit(Cpu *cpu, uint64_t size)
{
    X86Cpu *x = x86_of(cpu);
    need_sysenter(x);
    uint16_t sel = x->sysenter_cs;
    bool wide = size == 8;
    if (!(sel & ~3) || !x86_protected(x) || x86_cpl(x) ||
        (wide && (!x86_canonical(x, x->regs[RDX]) || !x86_canonical(x, x->regs[RCX]))))
        x86_raise_gp(x, 0);
    flat_segments(x, (sel + (wide ? 32 : 16)) | 3, (sel + (wide ? 40 : 24)) | 3, 3, wide);
    x86_update_mode(x);
    x->regs[RSP] = wide ? x->regs[RCX] : (uint32_t)x->regs[RCX];
    return cpu->pc = wide ? x->regs[RDX] : (uint32_t)x->regs[RDX];
}
HELPER(sysexit, I64, IR_H_ANY);

INSN(sysenter) { x_transfer(x, &h_sysenter, 0); }
INSN(sysexit) { x_transfer(x, &h_sysexit, num(x, x->i.w && x->code == 8 ? 8 : 4)); }

INSN(swapgs)
{
    IrRef gs = ir_get(x->b, IR_I64, SLOT(seg[GS].base), 8);
    ir_set(x->b, SLOT(seg[GS].base), 8, ir_get(x->b, IR_I64, SLOT(kernel_gs_base), 8));
    ir_set(x->b, SLOT(kernel_gs_base), 8, gs);
}

static bool base_allowed(X86Xlate *x)
{
    if (x->mode & MODE_FSGSBASE)
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

static int32_t base_slot(const X86Xlate *x)
{
    return x->i.row->arg ? SLOT(seg[GS].base) : SLOT(seg[FS].base);
}

INSN(rdbase)
{
    unsigned size = x_size(x, 0);
    if (base_allowed(x))
        x_set(x, 0, ir_get(x->b, x_type(size), base_slot(x), size));
}

static void x86_helper_check_canonical(Cpu *cpu, uint64_t v)
{
    if (!x86_canonical(x86_of(cpu), v))
        x86_raise_gp(x86_of(cpu), 0);
}
HELPER(check_canonical, VOID, IR_H_READ | IR_H_FAULT);

INSN(wrbase)
{
    if (!base_allowed(x))
        return;
    IrRef v = x_zx64(x, x_get(x, 0), x_size(x, 0));
    x_call(x, &h_check_canonical, v, 0, 0, 0);
    ir_set(x->b, base_slot(x), 8, v);
}

/* ---- system management ---- */

static uint64_t x86_helper_rsm(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (!x->in_smm)
        x86_raise(x, EXC_UD, 0);
    x86_smm_leave(x);
    return cpu->pc;
}
HELPER(rsm, I64, IR_H_ANY);

INSN(rsm) { x_transfer(x, &h_rsm, 0); }
