/* SPDX-License-Identifier: Apache-2.0 */
/* MMX, SSE and AVX: operands, gates, and the instructions that are one IR operation. Intel SDM vol. 2,
 * vol. 1 chapters 9-14. */
#include "target/x86/simd.h"

/* ---- gates ---- */

static bool refuse(X86Xlate *x, int vector)
{
    x_raise(x, vector, 0);
    return false;
}

bool x_simd_ok(X86Xlate *x)
{
    bool mmx = false;
    for (unsigned k = 0; k < x->i.row->n_ops; k++)
        mmx |= x_is_mmx(x, k);
    if (x->i.vex) {
        if (!(x->mode & MODE_AVX))
            return refuse(x, EXC_UD);
    } else if (x->mode & MODE_EM || (!mmx && !(x->mode & MODE_OSFXSR))) {
        return refuse(x, EXC_UD);
    }
    if (x->mode & MODE_TS)
        return refuse(x, EXC_NM);
    if (mmx)
        x_mmx_wait(x);
    return true;
}

static void x86_helper_mmx_wait(Cpu *cpu)
{
    x86_fpu_wait(x86_of(cpu));
}
HELPER(mmx_wait, VOID, IR_H_ANY);

void x_mmx_wait(X86Xlate *x)
{
    unsigned go_on = ir_label(x->b);
    x_cc_flush(x);
    ir_brcond(x->b, IR_NTST, ir_get(x->b, IR_I32, SLOT(fsw), 2), ir_i32(x->b, 0x80), go_on);
    x_call(x, &h_mmx_wait, 0, 0, 0, 0);
    ir_bind(x->b, go_on);
}

void x_mmx_touch(X86Xlate *x)
{
    ir_set(x->b, SLOT(ftop), 1, ir_i32(x->b, 0));
    ir_set(x->b, SLOT(fempty), 1, ir_i32(x->b, 0));
}

/* ---- operands ---- */

IrRef x_vload(X86Xlate *x, unsigned bytes, bool aligned)
{
    x_ea(x, bytes, false);
    x_cc_flush(x);
    if (bytes < 4)
        return ir_v_from32(x->b, ir_load(x->b, IR_I32, x->ea, x->ea_disp, x_mop(x, bytes)));
    unsigned mop = aligned ? x_log2(bytes) | IR_MALIGN : bytes < 16 ? x_mop(x, bytes) : x_log2(bytes);
    return ir_load(x->b, x_vtype(bytes), x->ea, x->ea_disp, mop);
}

void x_vstore(X86Xlate *x, unsigned bytes, IrRef v, bool aligned)
{
    x_ea(x, bytes, true);
    x_cc_flush(x);
    unsigned mop = aligned ? x_log2(bytes) | IR_MALIGN : bytes < 16 ? x_mop(x, bytes) : x_log2(bytes);
    ir_store(x->b, x->ea, x->ea_disp, v, mop);
}

IrRef x_vreg(X86Xlate *x, unsigned n, unsigned bytes)
{
    return ir_get(x->b, x_vtype(bytes), x_xmm_slot(n), bytes == 32 ? 32 : 16);
}

void x_set_vreg(X86Xlate *x, unsigned n, IrRef v)
{
    if (!x->i.vex)
        ir_set(x->b, x_xmm_slot(n), 16, v);
    else
        ir_set(x->b, x_xmm_slot(n), 32, ir_type(x->b, v) == IR_V256 ? v : ir_v_zext128(x->b, v));
}

static int32_t mm_slot(unsigned n) { return SLOT(st) + (int32_t)((n & 7) * sizeof(X86St)); }

IrRef x_vget(X86Xlate *x, unsigned k)
{
    X86Insn *i = &x->i;
    unsigned bytes = x_size(x, k);
    switch (i->row->op[k].method) {
    case OP_V:
        return x_vreg(x, i->reg, bytes);
    case OP_H:
        return x_vreg(x, i->vvvv, bytes);
    case OP_L:
        return x_vreg(x, i->imm2 >> 4 & (x->code == 8 ? 15 : 7), bytes);
    case OP_XMM0:
        return x_vreg(x, 0, 16);
    case OP_P:
        return ir_v_from64(x->b, ir_get(x->b, IR_I64, mm_slot(i->reg), 8));
    case OP_Q: case OP_N:
        if (!i->has_mem)
            return ir_v_from64(x->b, ir_get(x->b, IR_I64, mm_slot(i->rm), 8));
        return x_vload(x, 8, false);
    default:
        if (!i->has_mem)
            return x_vreg(x, i->rm, bytes);
        return x_vload(x, bytes, !i->vex && bytes == 16);
    }
}

static void set_mm(X86Xlate *x, unsigned n, IrRef v)
{
    x_mmx_touch(x);
    ir_set(x->b, mm_slot(n), 8, ir_v_extract(x->b, IR_I64, IR_D, v, 0));
    ir_set(x->b, mm_slot(n) + (int32_t)offsetof(X86St, se), 2, ir_i32(x->b, 0xffff));
}

void x_vset(X86Xlate *x, unsigned k, IrRef v)
{
    X86Insn *i = &x->i;
    unsigned bytes = x_size(x, k);
    switch (i->row->op[k].method) {
    case OP_V:
        x_set_vreg(x, i->reg, v);
        break;
    case OP_H:
        x_set_vreg(x, i->vvvv, v);
        break;
    case OP_P:
        set_mm(x, i->reg, v);
        break;
    case OP_Q: case OP_N:
        if (i->has_mem) {
            x_vstore(x, 8, v, false);
            x_mmx_touch(x);
        } else {
            set_mm(x, i->rm, v);
        }
        break;
    default:
        if (i->has_mem)
            x_vstore(x, bytes, v, false);
        else
            x_set_vreg(x, i->rm, v);
    }
}

/* ---- operations ---- */

static void x86_helper_fp_checked(Cpu *cpu, uint64_t what, uint64_t imm)
{
    X86Cpu *x = x86_of(cpu);
    IrNode n = {.op = what & 0xff, .type = what >> 8 & 0xff, .aux = what >> 16, .imm = (int32_t)imm,
                .a = 0, .b = 1, .c = 2};
    uint32_t before = cpu_get_fp_flags(cpu), unmasked = ~(x->mxcsr >> 7) & 0x3f;
    cpu_set_fp_flags(cpu, 0);
    ir_interpret_vector(cpu, &n, (const union IrVal *)x->fp_val, (union IrVal *)&x->fp_val[3]);
    uint32_t flags = cpu_get_fp_flags(cpu);
    /* Invalid, denormal and divide are found before anything is computed. */
    if (flags & unmasked & 7)
        flags &= 7;
    cpu_set_fp_flags(cpu, before | flags);
    if (flags & unmasked)
        x86_raise(x, x->cr4 & CR4_OSXMMEXCPT ? EXC_XF : EXC_UD, 0);
}
HELPER(fp_checked, VOID, IR_H_ANY | IR_H_FP);

static unsigned type_bytes(IrType t) { return t == IR_I32 ? 4 : t == IR_I64 ? 8 : t == IR_V256 ? 32 : 16; }

static IrRef checked_op(X86Xlate *x, IrOp op, IrType t, IrLane lane, int32_t imm, const IrRef *args)
{
    for (unsigned k = 0; k < 3; k++) {
        if (args[k])
            ir_set(x->b, SLOT(fp_val[k]), type_bytes(ir_type(x->b, args[k])), args[k]);
    }
    uint32_t what = op | (uint32_t)t << 8 | (uint32_t)lane << 16;
    x_call(x, &h_fp_checked, ir_i64(x->b, what), ir_i64(x->b, imm), 0, 0);
    return ir_get(x->b, t, SLOT(fp_val[3]), type_bytes(t));
}

IrRef x_vop(X86Xlate *x, IrOp op, IrType t, IrLane lane, int32_t imm, IrRef a, IrRef b, IrRef c)
{
    if (ir_op_info[op].flags & IR_FP && x->mode & MODE_XM)
        return checked_op(x, op, t, lane, imm, (const IrRef[]){a, b, c});
    return ir_vec(x->b, op, t, lane, imm, a, b, c);
}

/* An operation on the low 64 bits: what depends on the length takes detours. */
static IrRef mmx_op(X86Xlate *x, IrOp op, IrLane lane, int32_t imm, IrRef a, IrRef b)
{
    IrBuilder *u = x->b;
    IrRef both;
    switch (op) {
    case IR_OP_v_packs: case IR_OP_v_packus:
    case IR_OP_v_phadd: case IR_OP_v_phsub: case IR_OP_v_phadds: case IR_OP_v_phsubs:
        both = ir_v_unpackl(u, IR_V128, IR_D, a, b);
        return ir_vec(u, op, IR_V128, lane, imm, both, both, 0);
    case IR_OP_v_unpackh:
        return ir_v_shrb(u, IR_V128, IR_B, ir_v_unpackl(u, IR_V128, lane, a, b), 8);
    case IR_OP_v_pshufb:
        b = ir_v_and(u, IR_V128, IR_D, b, ir_v_from64(u, ir_i64(u, 0x8787878787878787)));
        return ir_v_pshufb(u, IR_V128, IR_B, a, b);
    case IR_OP_v_alignr:
        return ir_v_shrb(u, IR_V128, IR_B, ir_v_unpackl(u, IR_V128, IR_D, b, a), imm);
    default:
        return ir_vec(u, op, IR_V128, lane, imm, a, b, 0);
    }
}

unsigned x_vimm(const X86Xlate *x)
{
    const X86Row *row = x->i.row;
    bool cmp = row->ir == IR_OP_f_cmp || row->ir == IR_OP_fs_cmp;
    for (unsigned k = 0; k < row->n_ops; k++) {
        if (row->op[k].method == OP_I)
            return x->i.imm & (!cmp ? 0xff : x->i.vex ? 31 : 7);
    }
    return row->arg;
}

INSN(v)
{
    const X86Row *row = x->i.row;
    IrRef s[3] = {0};
    unsigned n = 0, sources = 0;
    if (!x_simd_ok(x))
        return;
    for (unsigned k = 1; k < row->n_ops; k++)
        sources += row->op[k].method != OP_I;
    if (sources < ir_op_info[row->ir].args)
        s[n++] = x_vget(x, 0);
    for (unsigned k = 1; k < row->n_ops; k++) {
        if (row->op[k].method != OP_I)
            s[n++] = x_vget(x, k);
    }
    if (x_is_mmx(x, 0))
        x_vset(x, 0, mmx_op(x, row->ir, row->lane, x_vimm(x), s[0], s[1]));
    else
        x_vset(x, 0, x_vop(x, row->ir, x_vtype(x_size(x, 0)), row->lane, x_vimm(x), s[0], s[1], s[2]));
}
