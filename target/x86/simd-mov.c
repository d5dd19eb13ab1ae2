/* SPDX-License-Identifier: Apache-2.0 */
/* Moves between vector registers, memory and general registers. Intel SDM vol. 2. */
#include "target/x86/simd.h"

static IrLane lane_of(unsigned bytes) { return bytes == 4 ? IR_W : IR_D; }

/* Argument: memory must be aligned, whatever the encoding. */
INSN(vmov)
{
    unsigned bytes = x_size(x, 1);
    bool to_mem = x_is_mem(x, 0), from_mem = x_is_mem(x, 1), aligned = x->i.row->arg;
    if (!x_simd_ok(x))
        return;
    if (to_mem) {
        x_vstore(x, x_size(x, 0), x_vget(x, 1), aligned && !x_is_mmx(x, 1));
        if (x_is_mmx(x, 1))
            x_mmx_touch(x);
        return;
    }
    IrRef v = from_mem ? x_vload(x, bytes, aligned) : x_vget(x, 1);
    if (!from_mem && bytes < 16 && !x_is_mmx(x, 1))
        v = ir_v_movz(x->b, IR_V128, lane_of(bytes), v);
    x_vset(x, 0, v);
}

INSN(movhlps)
{
    if (!x_simd_ok(x))
        return;
    IrRef rest = x_vget(x, x->i.vex ? 1 : 0), from = x_vget(x, x->i.vex ? 2 : 1);
    x_vset(x, 0, ir_v_unpackh(x->b, IR_V128, IR_D, from, rest));
}

INSN(movhps_store)
{
    if (!x_simd_ok(x))
        return;
    IrRef v = x_vget(x, 1);
    x_vstore(x, 8, ir_v_unpackh(x->b, IR_V128, IR_D, v, v), false);
}

INSN(movddup)
{
    if (!x_simd_ok(x))
        return;
    IrRef v = x_vget(x, 1);
    x_vset(x, 0, ir_v_unpackl(x->b, x_vtype(x_size(x, 0)), IR_D, v, v));
}

INSN(movd_load)
{
    unsigned size = x_size(x, 1);
    if (!x_simd_ok(x))
        return;
    IrRef v = x_is_mem(x, 1) ? x_vload(x, size, false)
              : size == 8    ? ir_v_from64(x->b, x_get(x, 1))
                             : ir_v_from32(x->b, x_get(x, 1));
    x_vset(x, 0, v);
}

INSN(movd_store)
{
    unsigned size = x_size(x, 0);
    if (!x_simd_ok(x))
        return;
    IrRef v = x_vget(x, 1);
    if (x_is_mem(x, 0))
        x_vstore(x, size, v, false);
    else
        x_set(x, 0, ir_v_extract(x->b, x_type(size), lane_of(size), v, 0));
    if (x_is_mmx(x, 1))
        x_mmx_touch(x);
}

INSN(movq2dq)
{
    if (!x_simd_ok(x))
        return;
    x_vset(x, 0, x_vget(x, 1));
    x_mmx_touch(x);
}

INSN(movdq2q)
{
    if (x_simd_ok(x))
        x_vset(x, 0, x_vget(x, 1));
}

INSN(vmovmsk)
{
    if (!x_simd_ok(x))
        return;
    IrRef v = ir_v_movmsk(x->b, IR_I32, x->i.row->lane, x_vget(x, 1), x_size(x, 1) == 32);
    x_set_reg(x, x->i.reg, 4, v);
    if (x_is_mmx(x, 1))
        x_mmx_touch(x);
}

/* Lanes to and from integers; the lane is the row's, but that of pextrd and pinsrd follows REX.W. */
static IrLane element(const X86Xlate *x, unsigned k)
{
    return x->i.row->op[k].size == SZ_Y && x->i.w && x->code == 8 ? IR_D : (IrLane)x->i.row->lane;
}

INSN(pextr)
{
    if (!x_simd_ok(x))
        return;
    IrLane lane = element(x, 0);
    unsigned bytes = 1u << lane, lanes = (x_is_mmx(x, 1) ? 8 : 16) / bytes;
    IrRef v = x_vget(x, 1);
    IrRef r = ir_v_extract(x->b, lane == IR_D ? IR_I64 : IR_I32, lane, v, x->i.imm & (lanes - 1));
    if (x_is_mem(x, 0))
        x_store(x, bytes, r);
    else
        x_set_reg(x, x->i.row->op[0].method == OP_G ? x->i.reg : x->i.rm, lane == IR_D ? 8 : 4, r);
    if (x_is_mmx(x, 1))
        x_mmx_touch(x);
}

INSN(pinsr)
{
    if (!x_simd_ok(x))
        return;
    unsigned from = x->i.row->n_ops - 2;
    IrLane lane = element(x, from);
    unsigned bytes = 1u << lane, lanes = (x_is_mmx(x, 0) ? 8 : 16) / bytes;
    IrRef e = x_is_mem(x, from) ? x_load(x, bytes) : x_reg(x, x->i.rm, lane == IR_D ? 8 : 4);
    IrRef v = x_vget(x, from - 1);
    x_vset(x, 0, ir_v_insert(x->b, IR_V128, lane, v, e, x->i.imm & (lanes - 1)));
}

INSN(insertps)
{
    if (!x_simd_ok(x))
        return;
    IrBuilder *b = x->b;
    unsigned from = x->i.vex ? 2 : 1, imm = x->i.imm & 0xff, to = imm >> 4 & 3;
    IrRef e = x_is_mem(x, from) ? x_load(x, 4)
                                : ir_v_extract(b, IR_I32, IR_W, x_vreg(x, x->i.rm, 16), imm >> 6);
    IrRef v = ir_v_insert(b, IR_V128, IR_W, x_vget(x, x->i.vex ? 1 : 0), e, to);
    if (imm & 15)
        v = ir_v_blend(b, IR_V128, IR_W, v, ir_v_zero(b, IR_V128), imm & 15);
    x_vset(x, 0, v);
}

/* ---- stores under a mask, to es/ds:rdi ---- */

static void x86_helper_maskmov(Cpu *cpu, const X86Vec *v, const X86Vec *mask, uint64_t at, uint64_t bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        if (mask->b[k] & 0x80)
            cpu_probe(cpu, at + k, 1, MEM_STORE, MMU_CURRENT);
    }
    for (unsigned k = 0; k < bytes; k++) {
        if (mask->b[k] & 0x80)
            cpu_store(cpu, at + k, v->b[k], IR_M8);
    }
}
HELPER(maskmov, VOID, IR_H_ANY);

INSN(maskmov)
{
    if (!x_simd_ok(x))
        return;
    IrBuilder *b = x->b;
    unsigned bytes = x_is_mmx(x, 0) ? 8 : 16;
    ir_set(b, SLOT(fp_val[0]), 16, x_vget(x, 0));
    ir_set(b, SLOT(fp_val[1]), 16, x_vget(x, 1));
    IrRef offset = x_reg_full(x, RDI);
    if (x->i.addrsize < 8)
        offset = ir_zext(b, IR_I64, offset, x->i.addrsize * 8);
    IrRef at = x_linear(x, x->i.seg >= 0 ? x->i.seg : DS, offset, x->i.addrsize, bytes, true);
    x_call(x, &h_maskmov, ir_slot(b, SLOT(fp_val[0]), 16, 1), ir_slot(b, SLOT(fp_val[1]), 16, 1), at,
           ir_i64(b, bytes));
    if (x_is_mmx(x, 0))
        x_mmx_touch(x);
}

INSN(emms)
{
    if (x->mode & MODE_EM)
        x_raise(x, EXC_UD, 0);
    else if (x->mode & MODE_TS)
        x_raise(x, EXC_NM, 0);
    else {
        x_mmx_wait(x);
        ir_set(x->b, SLOT(ftop), 1, ir_i32(x->b, 0));
        ir_set(x->b, SLOT(fempty), 1, ir_i32(x->b, 0xff));
    }
}
