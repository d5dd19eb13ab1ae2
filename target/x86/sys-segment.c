/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers, far transfers, descriptor tables. Intel SDM vol. 2. */
#include "target/x86/system.h"

bool x_protected_only(X86Xlate *x)
{
    if (x->mode & MODE_PE && !(x->mode & MODE_VM))
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

bool x_umip_ok(X86Xlate *x)
{
    if (!(x->mode & MODE_UMIP) || !(x->mode & MODE_CPL))
        return true;
    x_raise(x, EXC_GP, 0);
    return false;
}

void x_transfer(X86Xlate *x, const IrHelper *h, IrRef arg)
{
    IrRef to = x_call(x, h, arg, 0, 0, 0);
    x_cc_unknown(x);
    x->tf_after = true;
    x_resync(x, to);
}

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
    if (seg == SS && x->mode & MODE_TF) {       /* no step trap until esp is loaded, too */
        x_cc_flush(x);
        ir_resync(x->b, ir_pcrel(x->b, x->next));
        x->done = true;
        return;
    }
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
    if (!x_protected_only(x))
        return;
    IrBuilder *b = x->b;
    IrRef old = x_get_rw(x, 0), rpl = ir_andi(b, x_get(x, 1), 3);
    IrRef less = ir_setcond(b, IR_I32, IR_LTU, ir_andi(b, old, 3), rpl);
    x_set(x, 0, ir_select(b, less, ir_or(b, ir_andi(b, old, 0xfffc), rpl), old));
    x_cc_eflags(x, ir_deposit(b, x_flags(x), less, 6, 1));
}

/* ---- far transfers ---- */

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

/* ---- descriptor tables, tasks ---- */

INSN(sdt)
{
    if (!x_umip_ok(x))
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
    if (!x_protected_only(x) || !x_umip_ok(x))
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
    if (!x_protected_only(x))
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
    if (!x_protected_only(x))
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
    if (x_protected_only(x))
        look(x, x_get(x, 0), 2 + x->i.row->arg);
}
