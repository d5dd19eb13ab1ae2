/* SPDX-License-Identifier: Apache-2.0 */
/* Segments, far transfers, interrupts, control registers and the rest of the system's instructions.
 * Intel SDM vol. 2. */
#include <sys/random.h>
#include "target/x86/translate.h"

static bool protected_only(X86Xlate *x)
{
    if (x->mode & MODE_PE && !(x->mode & MODE_VM))
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

static bool umip_ok(X86Xlate *x)
{
    if (!(x->mode & MODE_UMIP) || !(x->mode & MODE_CPL))
        return true;
    x_raise(x, EXC_GP, 0);
    return false;
}

static IrRef num(X86Xlate *x, int64_t v) { return ir_i64(x->b, v); }

/* ---- segment registers ---- */

static void x86_helper_load_seg(Cpu *cpu, uint64_t seg, uint64_t sel)
{
    X86Cpu *x = x86_of(cpu);
    x86_load_seg(x, seg, sel);
    if (seg == SS) {
        x->shadow = true;
        x86_update_mode(x);
    }
}
HELPER(load_seg, VOID, IR_H_ANY);

static void load_seg(X86Xlate *x, unsigned seg, IrRef sel)
{
    x_call(x, &h_load_seg, num(x, seg), ir_zext(x->b, IR_I64, sel, 16), 0, 0);
}

/* The mode word may have changed: always with ss, otherwise only outside 64-bit mode. */
static void after_load(X86Xlate *x, unsigned seg)
{
    if (x->code != 8 || seg == SS)
        x_resync_next(x);
}

static unsigned fixed_seg(const X86Xlate *x) { return x->i.row->op[0].method - OP_ES; }

static IrRef selector(X86Xlate *x, unsigned seg)
{
    return ir_get(x->b, IR_I32, SLOT(seg) + seg * sizeof(X86Seg) + offsetof(X86Seg, sel), 2);
}

INSN(push_seg)
{
    IrRef sel = selector(x, fixed_seg(x));
    x_push(x, x->i.opsize, x->i.opsize == 8 ? ir_zext(x->b, IR_I64, sel, 32) : sel);
}

INSN(pop_seg)
{
    unsigned seg = fixed_seg(x);
    IrRef sel = x_low(x, x_stack_load(x, 0, x->i.opsize), 4);
    IrRef sp = ir_addi(x->b, x_sp(x), x->i.opsize);
    load_seg(x, seg, sel);
    x_set_sp(x, sp);
    after_load(x, seg);
}

INSN(mov_from_seg)
{
    unsigned seg = x->i.reg & 7;
    if (seg > GS) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    IrRef sel = selector(x, seg);
    if (x->i.has_mem)
        x_store(x, 2, sel);
    else
        x_set_reg(x, x->i.rm, x->i.opsize, x->i.opsize == 8 ? ir_zext(x->b, IR_I64, sel, 32) : sel);
}

INSN(mov_to_seg)
{
    unsigned seg = x->i.reg & 7;
    if (seg > GS || seg == CS) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    load_seg(x, seg, x_get(x, 1));
    after_load(x, seg);
}

INSN(lfs)
{
    unsigned seg = x->i.row->arg, size = x->i.opsize;
    x_ea(x, size + 2, false);
    IrRef offset = x_load_at(x, x->ea, x->ea_disp, size);
    IrRef sel = x_load_at(x, x->ea, x->ea_disp + size, 2);
    load_seg(x, seg, sel);
    x_set_reg(x, x->i.reg, size, offset);
    x_resync_next(x);
}

INSN(arpl)
{
    if (!protected_only(x))
        return;
    IrBuilder *b = x->b;
    IrRef old = x_get_rw(x, 0), rpl = ir_andi(b, x_get(x, 1), 3);
    IrRef less = ir_setcond(b, IR_I32, IR_LTU, ir_andi(b, old, 3), rpl);
    x_set(x, 0, ir_select(b, less, ir_or(b, ir_andi(b, old, 0xfffc), rpl), old));
    x_cc_eflags(x, ir_deposit(b, x_flags(x), less, 6, 1));
}

/* ---- far transfers ---- */

/* info: operand size | instruction length << 8 */
static uint64_t after(X86Cpu *x, uint64_t info)
{
    uint64_t ip = x86_ip(x) + (info >> 8 & 15);
    return x86_code64(x) ? ip : (uint32_t)ip;
}

static uint64_t x86_helper_far(Cpu *cpu, uint64_t sel, uint64_t ip, uint64_t info, uint64_t call)
{
    X86Cpu *x = x86_of(cpu);
    if (call)
        x86_far_call(x, sel, ip, info & 15, after(x, info));
    else
        x86_far_jump(x, sel, ip, info & 15, after(x, info));
    return cpu->pc;
}
HELPER(far, I64, IR_H_ANY);

static uint64_t x86_helper_far_ret(Cpu *cpu, uint64_t size, uint64_t drop)
{
    x86_far_ret(x86_of(cpu), size, drop);
    return cpu->pc;
}
HELPER(far_ret, I64, IR_H_ANY);

static uint64_t x86_helper_iret(Cpu *cpu, uint64_t info)
{
    X86Cpu *x = x86_of(cpu);
    x86_iret(x, info & 15, after(x, info));
    return cpu->pc;
}
HELPER(iret, I64, IR_H_ANY);

static IrRef info(X86Xlate *x) { return num(x, x->i.opsize | x->i.len << 8); }

static void far_transfer(X86Xlate *x, bool call)
{
    IrRef sel, ip;
    if (x->i.row->op[0].method == OP_A) {
        sel = num(x, (uint16_t)x->i.imm2);
        ip = num(x, x->i.opsize == 2 ? (uint16_t)x->i.imm : (uint32_t)x->i.imm);
    } else {
        unsigned size = x->i.opsize;
        x_ea(x, size + 2, false);
        ip = x_zx64(x, x_load_at(x, x->ea, x->ea_disp, size), size);
        sel = ir_zext(x->b, IR_I64, x_load_at(x, x->ea, x->ea_disp + size, 2), 16);
    }
    IrRef pc = x_call(x, &h_far, sel, ip, info(x), num(x, call));
    x_cc_unknown(x);
    x_resync(x, pc);
}

INSN(jmpf) { far_transfer(x, false); }
INSN(callf) { far_transfer(x, true); }

INSN(retf)
{
    IrRef drop = num(x, x->i.row->n_ops ? (uint16_t)x->i.imm : 0);
    x_resync(x, x_call(x, &h_far_ret, num(x, x->i.opsize), drop, 0, 0));
}

INSN(iret)
{
    IrRef pc = x_call(x, &h_iret, info(x), 0, 0, 0);
    x_cc_unknown(x);
    x_resync(x, pc);
}

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

INSN(int)
{
    if (x->mode & MODE_VM && !(x->mode & MODE_IOPL_OK))
        x_raise(x, EXC_GP, 0);
    else
        software(x, (uint8_t)x->i.imm, EVENT_SOFTWARE);
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
    if (x->cpu.mode & MODE_IOPL_OK)
        mask |= FLAG_I;
    if (!x86_cpl(x))
        mask |= FLAG_IOPL;
    if (size == 2)
        mask &= 0xffff;
    x86_set_eflags(x, (x86_get_eflags(x) & ~mask & ~FLAG_R) | (v & mask));
}
HELPER(set_flags, VOID, IR_H_STATE);

static bool flags_allowed(X86Xlate *x)
{
    if (!(x->mode & MODE_VM) || x->mode & MODE_IOPL_OK)
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
    x_push(x, x->i.opsize, x->i.opsize == 8 ? ir_zext(x->b, IR_I64, f, 32) : f);
}

INSN(popf)
{
    if (!flags_allowed(x))
        return;
    unsigned size = x->i.opsize;
    IrRef v = x_zx64(x, x_stack_load(x, 0, size), size);
    x_add_sp(x, size);
    x_call(x, &h_set_flags, v, num(x, size), 0, 0);
    x_cc_unknown(x);
    x_resync_next(x);
}

INSN(cli)
{
    if (!(x->mode & MODE_IOPL_OK)) {
        x_raise(x, EXC_GP, 0);
        return;
    }
    IrRef f = ir_get(x->b, IR_I32, SLOT(eflags), 4);
    ir_set(x->b, SLOT(eflags), 4, ir_andi(x->b, f, ~FLAG_I));
}

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

/* ---- descriptor tables, tasks ---- */

INSN(sdt)
{
    if (!umip_ok(x))
        return;
    bool idt = x->i.row->arg;
    int32_t base = idt ? SLOT(idt.base) : SLOT(gdt.base), limit = idt ? SLOT(idt.limit) : SLOT(gdt.limit);
    unsigned size = x->code == 8 ? 8 : 4;
    x_ea(x, 2 + size, true);
    x_store_at(x, x->ea, x->ea_disp, 2, ir_get(x->b, IR_I32, limit, 2));
    x_store_at(x, x->ea, x->ea_disp + 2, size, ir_get(x->b, x_type(size), base, size));
}

INSN(ldt)
{
    bool idt = x->i.row->arg;
    int32_t base = idt ? SLOT(idt.base) : SLOT(gdt.base), limit = idt ? SLOT(idt.limit) : SLOT(gdt.limit);
    unsigned size = x->code == 8 ? 8 : 4;
    x_ea(x, 2 + size, false);
    IrRef l = x_load_at(x, x->ea, x->ea_disp, 2);
    IrRef v = x_zx64(x, x_load_at(x, x->ea, x->ea_disp + 2, size), size);
    if (size == 4 && x->i.opsize == 2)
        v = ir_andi(x->b, v, 0xffffff);
    ir_set(x->b, base, 8, v);
    ir_set(x->b, limit, 4, l);
}

static void store_selector(X86Xlate *x, int32_t slot)
{
    if (!protected_only(x) || !umip_ok(x))
        return;
    IrRef v = ir_get(x->b, IR_I32, slot, 2);
    if (x->i.has_mem)
        x_store(x, 2, v);
    else
        x_set_reg(x, x->i.rm, x->i.opsize, x->i.opsize == 8 ? ir_zext(x->b, IR_I64, v, 32) : v);
}

INSN(sldt) { store_selector(x, SLOT(ldt.sel)); }
INSN(str) { store_selector(x, SLOT(tr.sel)); }

static void x86_helper_load_system(Cpu *cpu, uint64_t sel, uint64_t tr)
{
    if (tr)
        x86_load_tr(x86_of(cpu), sel);
    else
        x86_load_ldt(x86_of(cpu), sel);
}
HELPER(load_system, VOID, IR_H_ANY);

static void load_system(X86Xlate *x, bool tr)
{
    if (!protected_only(x))
        return;
    if (x->mode & MODE_CPL)
        x_raise(x, EXC_GP, 0);
    else
        x_call(x, &h_load_system, ir_zext(x->b, IR_I64, x_get(x, 0), 16), num(x, tr), 0, 0);
}

INSN(lldt) { load_system(x, false); }
INSN(ltr) { load_system(x, true); }

/* ---- lar, lsl, verr, verw ---- */

/* kind 0 lar, 1 lsl, 2 verr, 3 verw; bit 32 of the result: allowed */
static uint64_t x86_helper_look(Cpu *cpu, uint64_t sel, uint64_t kind)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t d[2];
    if (!(sel & 0xfffc) || !x86_fetch_descriptor(x, sel, d))
        return 0;
    unsigned type = d[1] >> 8 & 31, dpl = d[1] >> 13 & 3, cpl = x86_cpl(x), rpl = sel & 3;
    bool conforming = (type & 0x1c) == 0x1c, visible = conforming || (dpl >= cpl && dpl >= rpl);
    static const uint16_t system_types[2][2] = {
        {1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12,
         1 << 2 | 1 << 9 | 1 << 11 | 1 << 12},
        {1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11, 1 << 2 | 1 << 9 | 1 << 11},
    };
    if (!visible)
        return 0;
    if (kind >= 2) {
        bool code = type & 8, bit = type & 2;
        bool ok = type & 16 && (kind == 2 ? !code || bit : !code && bit);
        return (uint64_t)ok << 32;
    }
    if (!(type & 16) && !(system_types[kind][x86_long(x)] >> type & 1))
        return 0;
    if (kind == 0)
        return 1ull << 32 | (d[1] & 0xffff00);
    uint32_t limit = (d[0] & 0xffff) | (d[1] & 0xf0000);
    return 1ull << 32 | (d[1] & 1 << 23 ? limit << 12 | 0xfff : limit);
}
HELPER(look, I64, IR_H_ANY);

static IrRef look(X86Xlate *x, IrRef sel, unsigned kind)
{
    IrRef fl = x_flags(x);
    IrRef r = x_call(x, &h_look, ir_zext(x->b, IR_I64, sel, 16), num(x, kind), 0, 0);
    IrRef ok = ir_trunc(x->b, ir_shri(x->b, r, 32));
    x_cc_eflags(x, ir_deposit(x->b, fl, ok, 6, 1));
    return r;
}

INSN(lar)
{
    if (!protected_only(x))
        return;
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize;
    IrRef sel = x_get(x, 1), r = look(x, sel, x->i.row->arg);
    IrRef ok = ir_trunc(b, ir_shri(b, r, 32)), full = x_reg_full(x, x->i.reg);
    IrRef v = ir_zext(b, IR_I64, r, 32);
    if (size == 2)
        v = ir_deposit(b, full, v, 0, 16);
    ir_set(b, SLOT(regs) + 8 * x->i.reg, 8, ir_select(b, ok, v, full));
}

INSN(ver)
{
    if (protected_only(x))
        look(x, x_get(x, 0), 2 + x->i.row->arg);
}

/* ---- control and debug registers ---- */

static uint64_t x86_helper_get_cr8(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    return x->irq && x->irq->get_tpr ? x->irq->get_tpr(x->irq_opaque) >> 4 : x->cr8;
}
HELPER(get_cr8, I64, IR_H_EFFECT | IR_H_READ);

static void x86_helper_set_cr(Cpu *cpu, uint64_t n, uint64_t v)
{
    X86Cpu *x = x86_of(cpu);
    switch (n) {
    case 0: x86_write_cr0(x, v); break;
    case 2: x->cr2 = v; break;
    case 3: x86_write_cr3(x, v); break;
    case 4: x86_write_cr4(x, v); break;
    default:
        if (v >> 4)
            x86_raise_gp(x, 0);
        x->cr8 = v;
        if (x->irq && x->irq->set_tpr)
            x->irq->set_tpr(x->irq_opaque, v << 4);
        break;
    }
}
HELPER(set_cr, VOID, IR_H_ANY);

static bool cr_exists(X86Xlate *x, unsigned n)
{
    if (n == 0 || n == 2 || n == 3 || n == 4 || n == 8)
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

static unsigned word(const X86Xlate *x) { return x->code == 8 ? 8 : 4; }

/* With a lock prefix AMD's processors name cr8 outside 64-bit mode; here it is not a legal lock. */
INSN(mov_from_cr)
{
    static const int32_t slots[] = {SLOT(cr0), 0, SLOT(cr2), SLOT(cr3), SLOT(cr4)};
    unsigned n = x->i.reg;
    if (!cr_exists(x, n))
        return;
    IrRef v = n == 8 ? x_call(x, &h_get_cr8, 0, 0, 0, 0) : ir_get(x->b, IR_I64, slots[n], 8);
    x_set_reg(x, x->i.rm, word(x), x_low(x, v, word(x)));
}

INSN(mov_to_cr)
{
    unsigned n = x->i.reg;
    if (!cr_exists(x, n))
        return;
    IrRef v = x_zx64(x, x_reg(x, x->i.rm, word(x)), word(x));
    x_call(x, &h_set_cr, num(x, n), v, 0, 0);
    x_resync_next(x);
}

INSN(clts)
{
    IrRef v = ir_andi(x->b, ir_get(x->b, IR_I64, SLOT(cr0), 8), ~(int64_t)CR0_TS);
    x_call(x, &h_set_cr, num(x, 0), v, 0, 0);
    x_resync_next(x);
}

INSN(smsw)
{
    if (!umip_ok(x))
        return;
    IrRef v = ir_get(x->b, IR_I64, SLOT(cr0), 8);
    if (x->i.has_mem)
        x_store(x, 2, ir_trunc(x->b, v));
    else
        x_set_reg(x, x->i.rm, x->i.opsize, x_low(x, v, x->i.opsize));
}

INSN(lmsw)
{
    /* May set PE, never clear it. */
    IrBuilder *b = x->b;
    IrRef old = ir_get(b, IR_I64, SLOT(cr0), 8), v = ir_zext(b, IR_I64, x_get(x, 0), 16);
    IrRef now = ir_or(b, ir_andi(b, old, ~(int64_t)14), ir_andi(b, v, 15));
    x_call(x, &h_set_cr, num(x, 0), now, 0, 0);
    x_resync_next(x);
}

static void check_dr(X86Cpu *x)
{
    if (x->dr[7] & 1 << 13) {
        x->dr6_pending |= 1 << 13;
        x86_raise(x, EXC_DB, 0);
    }
}

static unsigned dr_number(X86Cpu *x, unsigned n)
{
    if (n != 4 && n != 5)
        return n;
    if (x->cr4 & CR4_DE)
        x86_raise(x, EXC_UD, 0);
    return n + 2;
}

static uint64_t x86_helper_get_dr(Cpu *cpu, uint64_t n)
{
    X86Cpu *x = x86_of(cpu);
    n = dr_number(x, n);
    check_dr(x);
    return x->dr[n];
}
HELPER(get_dr, I64, IR_H_ANY);

static void x86_helper_set_dr(Cpu *cpu, uint64_t n, uint64_t v)
{
    X86Cpu *x = x86_of(cpu);
    n = dr_number(x, n);
    check_dr(x);
    if (n >= 6 && v >> 32)
        x86_raise_gp(x, 0);
    if (n == 6)
        v = (v & 0xe00f) | 0xffff0ff0;
    if (n == 7)
        v = (v & 0xffff2fff) | 0x400;
    x->dr[n] = v;
    x86_update_watchpoints(x);
    x86_update_mode(x);
}
HELPER(set_dr, VOID, IR_H_ANY);

INSN(mov_from_dr)
{
    if (x->i.reg > 7) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    IrRef v = x_call(x, &h_get_dr, num(x, x->i.reg), 0, 0, 0);
    x_set_reg(x, x->i.rm, word(x), x_low(x, v, word(x)));
}

INSN(mov_to_dr)
{
    if (x->i.reg > 7) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    x_call(x, &h_set_dr, num(x, x->i.reg), x_zx64(x, x_reg(x, x->i.rm, word(x)), word(x)), 0, 0);
    x_resync_next(x);
}

/* ---- translation caches ---- */

static void x86_helper_invlpg(Cpu *cpu, uint64_t va) { softmmu_flush_page(cpu, va, 0, 0); }
HELPER(invlpg, VOID, IR_H_STATE);

INSN(invlpg)
{
    IrRef at = x_offset(x);
    int seg = x_segment(x);
    if (x->code != 8 || seg >= FS)
        at = ir_add(x->b, at, ir_get(x->b, IR_I64, SLOT(seg) + seg * sizeof(X86Seg) + offsetof(X86Seg, base), 8));
    x_call(x, &h_invlpg, at, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_invpcid(Cpu *cpu, uint64_t type, uint64_t at)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t d[2];
    cpu_load_bytes(cpu, at, d, 16, MMU_CURRENT);
    uint64_t mask = 0xfffull << 4, key = (d[0] & 0xfff) << 4;
    if (type > 3 || d[0] >> 12 || (type < 2 && d[0] && !(x->cr4 & CR4_PCIDE)) ||
        (type == 0 && !x86_canonical(x, d[1])))
        x86_raise_gp(x, 0);
    if (type == 0)
        softmmu_flush_page(cpu, d[1], mask, key);
    else if (type == 1)
        softmmu_flush_nonglobal(cpu, mask, key);
    else if (type == 2)
        softmmu_flush(cpu);
    else
        softmmu_flush_nonglobal(cpu, 0, 0);
}
HELPER(invpcid, VOID, IR_H_ANY);

INSN(invpcid)
{
    unsigned size = word(x);
    x_ea(x, 16, false);
    IrRef at = x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
    x_call(x, &h_invpcid, x_zx64(x, x_reg(x, x->i.reg, size), size), at, 0, 0);
    x_resync_next(x);
}

INSN(wbinvd) { }

INSN(clflush)
{
    /* Faults as a load of a byte would. */
    x_load(x, 1);
}

/* ---- MSRs, time, identity ---- */

static void set_pair(X86Cpu *x, uint64_t v)
{
    x->regs[RAX] = (uint32_t)v;
    x->regs[RDX] = v >> 32;
}

static uint64_t get_pair(const X86Cpu *x) { return (uint32_t)x->regs[RAX] | x->regs[RDX] << 32; }

static void x86_helper_rdmsr(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t v;
    if (!x86_msr_read(x, x->regs[RCX], &v))
        x86_raise_gp(x, 0);
    set_pair(x, v);
}
HELPER(rdmsr, VOID, IR_H_ANY);

static void x86_helper_wrmsr(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (!x86_msr_write(x, x->regs[RCX], get_pair(x)))
        x86_raise_gp(x, 0);
}
HELPER(wrmsr, VOID, IR_H_ANY);

INSN(rdmsr) { x_call(x, &h_rdmsr, 0, 0, 0, 0); }

INSN(wrmsr)
{
    x_call(x, &h_wrmsr, 0, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_rdtsc(Cpu *cpu, uint64_t with_aux)
{
    X86Cpu *x = x86_of(cpu);
    set_pair(x, x86_tsc(x));
    if (with_aux)
        x->regs[RCX] = x->tsc_aux;
}
HELPER(rdtsc, VOID, IR_H_STATE);

static void rdtsc(X86Xlate *x, bool aux)
{
    if (x->mode & MODE_TSD && x->mode & MODE_CPL)
        x_raise(x, EXC_GP, 0);
    else
        x_call(x, &h_rdtsc, num(x, aux), 0, 0, 0);
}

INSN(rdtsc) { rdtsc(x, false); }
INSN(rdtscp) { rdtsc(x, true); }
INSN(rdpmc) { x_raise(x, EXC_GP, 0); }
INSN(rdpid) { x_set_reg(x, x->i.rm, word(x), x_low(x, ir_get(x->b, IR_I64, SLOT(tsc_aux), 4), word(x))); }

static void x86_helper_cpuid(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t out[4];
    x86_cpuid(x, x->regs[RAX], x->regs[RCX], out);
    x->regs[RAX] = out[0];
    x->regs[RBX] = out[1];
    x->regs[RCX] = out[2];
    x->regs[RDX] = out[3];
}
HELPER(cpuid, VOID, IR_H_STATE);

INSN(cpuid) { x_call(x, &h_cpuid, 0, 0, 0, 0); }

static uint64_t x86_helper_random(Cpu *cpu)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof(v), 0) != sizeof(v))
        v = g_random_int() | (uint64_t)g_random_int() << 32;
    return v;
}
HELPER(random, I64, IR_H_EFFECT);

INSN(rdrand)
{
    IrRef v = x_call(x, &h_random, 0, 0, 0, 0);
    x_set_reg(x, x->i.rm, x->i.opsize, x_low(x, v, x->i.opsize));
    x_cc_eflags(x, ir_i32(x->b, FLAG_C));
}

/* ---- extended state, protection keys ---- */

static void x86_helper_xgetbv(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t n = x->regs[RCX];
    if (n > 1 || (n == 1 && !x86_has(x, X86_F_xgetbv1)))
        x86_raise_gp(x, 0);
    set_pair(x, n ? x86_xinuse(x) & x->xcr0 : x->xcr0);
}
HELPER(xgetbv, VOID, IR_H_ANY);

static void x86_helper_xsetbv(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t v = get_pair(x), allowed = x86_xcr0_allowed(x);
    if ((uint32_t)x->regs[RCX] || v & ~allowed || !(v & 1) || (v & 6) == 4)
        x86_raise_gp(x, 0);
    x->xcr0 = v;
    x86_update_mode(x);
}
HELPER(xsetbv, VOID, IR_H_ANY);

static bool xsave_on(X86Xlate *x)
{
    if (x->mode & MODE_OSXSAVE)
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

INSN(xgetbv)
{
    if (xsave_on(x))
        x_call(x, &h_xgetbv, 0, 0, 0, 0);
}

INSN(xsetbv)
{
    if (!xsave_on(x))
        return;
    x_call(x, &h_xsetbv, 0, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_pkru(Cpu *cpu, uint64_t write)
{
    X86Cpu *x = x86_of(cpu);
    if ((uint32_t)x->regs[RCX] || (write && (uint32_t)x->regs[RDX]))
        x86_raise_gp(x, 0);
    if (!write) {
        set_pair(x, x->pkru);
    } else if (x->pkru != (uint32_t)x->regs[RAX]) {
        x->pkru = x->regs[RAX];
        softmmu_flush(cpu);
    }
}
HELPER(pkru, VOID, IR_H_ANY);

static void pkru(X86Xlate *x, bool write)
{
    if (!(x->mode & MODE_PKE)) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    x_call(x, &h_pkru, num(x, write), 0, 0, 0);
    if (write)
        x_resync_next(x);
}

INSN(rdpkru) { pkru(x, false); }
INSN(wrpkru) { pkru(x, true); }

/* ---- fast system calls ---- */

static void flat_segments(X86Cpu *x, uint16_t cs, uint16_t ss, unsigned cpl, bool wide)
{
    x->cpu.mode = (x->cpu.mode & ~MODE_CPL) | cpl;
    uint16_t dpl = cpl << ATTR_DPL_SHIFT;
    x86_load_seg_cache(x, CS, cs, 0, 0xffffffff,
                       0x9b | dpl | ATTR_G | (wide ? ATTR_L : ATTR_DB));
    x86_load_seg_cache(x, SS, ss, 0, 0xffffffff, 0x93 | dpl | ATTR_G | ATTR_DB);
}

static uint64_t x86_helper_syscall(Cpu *cpu, uint64_t len)
{
    X86Cpu *x = x86_of(cpu);
    if (!(x->efer & EFER_SCE))
        x86_raise(x, EXC_UD, 0);
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
    if (!(x->efer & EFER_SCE))
        x86_raise(x, EXC_UD, 0);
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

static void fast_transfer(X86Xlate *x, const IrHelper *h, IrRef arg)
{
    IrRef to = x_call(x, h, arg, 0, 0, 0);
    x_cc_unknown(x);
    x_resync(x, to);
}

INSN(syscall) { fast_transfer(x, &h_syscall, num(x, x->i.len)); }
INSN(sysret) { fast_transfer(x, &h_sysret, num(x, x->i.w && x->code == 8 ? 8 : 4)); }

static uint64_t x86_helper_sysenter(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
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

INSN(sysenter) { fast_transfer(x, &h_sysenter, 0); }
INSN(sysexit) { fast_transfer(x, &h_sysexit, num(x, x->i.w && x->code == 8 ? 8 : 4)); }

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

INSN(rsm) { fast_transfer(x, &h_rsm, 0); }
