/* SPDX-License-Identifier: Apache-2.0 */
/* Control and debug registers, translation caches. Intel SDM vol. 2. */
#include "target/x86/system.h"

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
    if (!x_umip_ok(x))
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
