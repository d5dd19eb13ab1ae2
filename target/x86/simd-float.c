/* SPDX-License-Identifier: Apache-2.0 */
/* Floating-point instructions that are more than one IR operation: conversions, comparisons, FMA. */
#include "target/x86/simd.h"

/* Flags from an I32 in EFLAGS form. */
INSN(comi)
{
    if (!x_simd_ok(x))
        return;
    const X86Row *row = x->i.row;
    IrRef v = x_vop(x, row->ir, IR_I32, row->lane, 0, x_vget(x, 0), x_vget(x, 1), 0);
    x_cc_eflags(x, v);
}

INSN(vtest)
{
    if (!x_simd_ok(x))
        return;
    IrRef a = x_vget(x, 0), b = x_vget(x, 1);
    x_cc_eflags(x, ir_v_test(x->b, IR_I32, x->i.row->lane, a, b, x_size(x, 0) == 32));
}

/* Packed conversions; the argument is how many lanes 128 bits of the wider side have. */
INSN(cvt)
{
    if (!x_simd_ok(x))
        return;
    const X86Row *row = x->i.row;
    x_vset(x, 0, x_vop(x, row->ir, x_vtype(x_size(x, 0)), row->lane, row->arg << x->i.l, x_vget(x, 1), 0, 0));
}

INSN(cvtps2ph)
{
    if (!x_simd_ok(x))
        return;
    unsigned lanes = 4u << x->i.l;
    IrRef v = x_vop(x, IR_OP_f_32to16, IR_V128, IR_F32, (x->i.imm & 7) | lanes << 8, x_vget(x, 1), 0, 0);
    if (!x_is_mem(x, 0) && !x->i.l)
        v = ir_v_movz(x->b, IR_V128, IR_D, v);
    x_vset(x, 0, v);
}

INSN(cvtsi2s)
{
    if (!x_simd_ok(x))
        return;
    unsigned from = x->i.vex ? 2 : 1;
    IrOp op = x_size(x, from) == 8 ? IR_OP_fs_from_i64 : IR_OP_fs_from_i32;
    IrRef v = x_get(x, from), rest = x_vget(x, from - 1);
    x_vset(x, 0, x_vop(x, op, IR_V128, x->i.row->lane, 0, rest, v, 0));
}

INSN(cvts2si)
{
    if (!x_simd_ok(x))
        return;
    const X86Row *row = x->i.row;
    x_set(x, 0, x_vop(x, row->ir, x_type(x_size(x, 0)), row->lane, 0, x_vget(x, 1), 0, 0));
}

/* Between MMX and XMM registers: two lanes. */
INSN(cvtpi2ps)
{
    if (!x_simd_ok(x))
        return;
    const X86Row *row = x->i.row;
    bool single = row->lane == IR_F32, from_mem = x_is_mem(x, 1);
    IrRef v = x_vget(x, 1);
    if (!from_mem)
        x_mmx_touch(x);
    /* The upper lanes are zero: they convert without a flag. */
    v = x_vop(x, row->ir, IR_V128, row->lane, single ? 4 : 2, v, 0, 0);
    if (single)
        v = ir_v_movs(x->b, IR_V128, IR_D, x_vget(x, 0), v);
    x_vset(x, 0, v);
}

INSN(cvtps2pi)
{
    if (!x_simd_ok(x))
        return;
    const X86Row *row = x->i.row;
    bool single = row->lane == IR_F32;
    IrRef v = x_vget(x, 1);
    if (single && !x_is_mem(x, 1))
        v = ir_v_movz(x->b, IR_V128, IR_D, v);
    x_mmx_touch(x);             /* even if it raises #XM */
    x_vset(x, 0, x_vop(x, row->ir, IR_V128, row->lane, single ? 4 : 2, v, 0, 0));
}

/* op1 is the destination. 132: op1 * op3 + op2, 213: op2 * op1 + op3, 231: op2 * op3 + op1. */
INSN(vfma)
{
    if (!x_simd_ok(x))
        return;
    static const uint8_t order[3][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}};
    const X86Row *row = x->i.row;
    const uint8_t *o = order[row->arg];
    IrRef v[3] = {x_vget(x, 0), x_vget(x, 1), x_vget(x, 2)};
    bool scalar = x_size(x, 2) < 16 || row->ir >= IR_OP_fs_fmadd;
    IrRef r = x_vop(x, row->ir, x_vtype(x_size(x, 0)), row->lane, 0, v[o[0]], v[o[1]], v[o[2]]);
    if (scalar && o[0])
        r = ir_v_movs(x->b, IR_V128, row->lane == IR_F32 ? IR_W : IR_D, v[0], r);
    x_vset(x, 0, r);
}
