/* SPDX-License-Identifier: Apache-2.0 */
/* Vector and floating-point operations: the rows of vector.inc, VEX forms (AVX2 hosts). */
#include "accel/jit/slow.h"
#include "accel/jit/x86_64/emit.h"

enum { T128 = 1, T256 = 2 };
typedef enum Form {
    F_NONE, F_VVV, F_VVV_R, F_VV, F_VV1, F_VVI, F_VVVI, F_VVVV, F_VVK, F_SHI, F_FMA, F_VG, F_VVG, F_VVGI, F_GV,
    F_GVI, F_GVL, F_FLAGS, F_CVT, F_CVT2, F_CVTN, F_EXT, F_XT,
} Form;

typedef struct VecRow {
    uint32_t opcode;
    uint8_t types, form;
} VecRow;

enum { N_LANES = 6, VEC_FIRST = IR_OP_v_and, VEC_LAST = IR_OP_fs_ucomi };

#define FIX(n) ((n) << 16)
#define LANES_B IR_B
#define LANES_H IR_H
#define LANES_W IR_W
#define LANES_D IR_D
#define LANES_F32 IR_F32
#define LANES_F64 IR_F64
#define LANES_ANY 0 ... N_LANES - 1
enum { TYPE_V128 = T128, TYPE_V256 = T256, TYPE_BOTH = T128 | T256 };

static const VecRow rows[VEC_LAST - VEC_FIRST + 1][N_LANES] = {
#define VEC(op, lane, types, form, opcode)                                                          \
    [IR_OP_##op - VEC_FIRST][LANES_##lane] = {opcode, TYPE_##types, F_##form},
#include "accel/jit/x86_64/vector.inc"
#undef VEC
};

/* Conversions of all lanes only: what is not asked for must not raise flags. */
static bool lanes_fit(const IrNode *n, const VecRow *row)
{
    unsigned lanes = n->imm, full = n->type == IR_V256 ? 8 : 4;
    switch (row->form) {
    case F_CVT: return lanes == full;
    case F_CVT2: return lanes == full / 2;
    case F_CVTN: return lanes == 2 || lanes == 4;
    default: return true;
    }
}

static const VecRow *find_row(const IrNode *n)
{
    if (n->op < VEC_FIRST || n->op > VEC_LAST || n->aux >= N_LANES)
        return NULL;
    const VecRow *row = &rows[n->op - VEC_FIRST][n->aux];
    return row->types & (n->type == IR_V256 ? T256 : T128) && lanes_fit(n, row) ? row : NULL;
}

bool vector_is_call(const IrNode *n)
{
    return n->op >= IR_OP_v_and && !find_row(n);
}

bool vector_uses_fp(const IrNode *n)
{
    return ir_op_info[n->op].flags & IR_FP && find_row(n);
}

unsigned vec_load_op(unsigned bytes)
{
    switch (bytes) {
    case 4: return 0x6e | O_66 | O_0F;          /* vmovd, vmovq: the rest becomes zero */
    case 8: return 0x7e | O_F3 | O_0F;
    default: return X_MOVDQU | (bytes == 32 ? O_L : 0);
    }
}

unsigned vec_store_op(unsigned bytes)
{
    switch (bytes) {
    case 4: return 0x7e | O_66 | O_0F;
    case 8: return 0xd6 | O_66 | O_0F;
    default: return X_MOVDQU_MR | (bytes == 32 ? O_L : 0);
    }
}

void vec_load(Asm *a, int r, int base, int32_t disp, unsigned bytes)
{
    vex_rm(a, vec_load_op(bytes), r - XMM, 0, base, disp);
}

void vec_store(Asm *a, int r, int base, int32_t disp, unsigned bytes)
{
    vex_rm(a, vec_store_op(bytes), r - XMM, 0, base, disp);
}

void vec_move(Asm *a, int dst, int src)
{
    vex_rr(a, X_MOVDQU | O_L, dst - XMM, 0, src - XMM);
}

/* ZF, PF and CF of the host, as they are in EFLAGS. */
static void flags_into(Asm *a, int d)
{
    a8(a, 0x9f);                            /* lahf */
    op_rr(a, 0xb6 | O_0F, RAX, RSP);        /* movzx eax, ah */
    op_ri(a, G_AND, 0, RAX, 0x45);
    op_rr(a, X_MOV, d, RAX);
}

/* The number of operand v's register in its class. */
static int use(Emit *e, IrRef v)
{
    int r = v ? value_use(e, v) : 0;
    return r >= XMM ? r - XMM : r;
}

static void emit_row(Emit *e, IrRef i, const IrNode *n, const VecRow *row)
{
    Asm *a = &e->a;
    uint32_t op = (row->opcode & 0xffff) | (n->type == IR_V256 ? O_L : 0), fix = row->opcode >> 16;
    int x = use(e, n->a), y = use(e, n->b), z = use(e, n->c);
    if (row->form == F_FMA) {
        int d = value_def_over(e, i, n->a) - XMM;
        vex_rr(a, op, d, z, y);
        return;
    }
    free_dying(e, n->a);
    if (n->b)
        free_dying(e, n->b);
    if (n->c)
        free_dying(e, n->c);
    int d = value_def(e, i);
    d = d >= XMM ? d - XMM : d;
    switch ((Form)row->form) {
    case F_VVV: case F_VVG:
        vex_rr(a, op, d, x, y);
        break;
    case F_VVV_R:
        vex_rr(a, op, d, y, x);
        break;
    case F_VV: case F_VG: case F_CVT: case F_CVT2:
        vex_rr(a, op, d, 0, x);
        break;
    case F_VV1:
        vex_rr(a, op & ~O_L, d, 0, x);
        break;
    case F_CVTN:
        vex_rr(a, op | (n->imm == 4 ? O_L : 0), d, 0, x);
        break;
    case F_XT:
        vex_rr(a, op + n->imm, d, 0, x);
        break;
    case F_VVI:
        vex_rr(a, op, d, 0, x);
        a8(a, n->imm);
        break;
    case F_VVVI: case F_VVGI:
        vex_rr(a, op, d, x, y);
        a8(a, n->imm);
        break;
    case F_VVVV:
        vex_rr(a, op, d, x, y);
        a8(a, z << 4);
        break;
    case F_VVK:
        vex_rr(a, op, d, x, x);
        a8(a, fix);
        break;
    case F_SHI:
        vex_rr(a, op, fix, d, x);
        a8(a, n->imm);
        break;
    case F_GV:
        vex_rr(a, op | w_of(n->type), d, 0, x);
        break;
    case F_GVI:
        vex_rr(a, op, x, 0, d);
        a8(a, n->imm);
        break;
    case F_GVL:
        vex_rr(a, op | (n->imm == 1 ? O_L : 0), d, 0, x);
        break;
    case F_EXT:
        vex_rr(a, op, x, 0, d);
        a8(a, fix);
        break;
    case F_FLAGS:
        vex_rr(a, op | (n->op == IR_OP_v_test && n->imm == 1 ? O_L : 0), x, 0, y);
        flags_into(a, d);
        break;
    default:
        e->fail = true;
    }
}

/* Operand k into its piece of cpu->vec_buf, as IrVal. */
static void pass(Emit *e, unsigned k, IrRef v)
{
    int32_t disp = CPU_DISP(e, vec_buf) + 32 * k;
    unsigned type = node_of(e, v)->type;
    int r = value_use(e, v);
    if (is_vec(type)) {
        vec_store(&e->a, r, RBP, disp, type == IR_V256 ? 32 : 16);
        return;
    }
    if (type == IR_I32) {
        op_rr(&e->a, X_MOV, RAX, r);
        r = RAX;
    }
    op_rm(&e->a, X_MOV_MR | O_W, r, RBP, disp);
}

static void emit_by_interpreter(Emit *e, IrRef i, const IrNode *n)
{
    const IrRef refs[] = {n->a, n->b, n->c, n->d};
    IrNode *copy = (IrNode *)e->chunk->meta;    /* lives as long as the code */
    e->chunk->meta += sizeof *copy;
    *copy = *n;
    copy->a = 0, copy->b = 1, copy->c = 2, copy->d = 3;
    for (unsigned k = 0; k < ir_op_info[n->op].args; k++)
        if (refs[k])
            pass(e, k, refs[k]);
    const Arg arg = {ARG_IMM, .imm = (intptr_t)copy};
    emit_call(e, i, jit_vector_op, 0, &arg, 1, IR_VOID);
    if (!e->v[i].last)
        return;
    int d = value_def(e, i);
    if (is_vec(n->type))
        vec_load(&e->a, d, RBP, CPU_DISP(e, vec_buf), n->type == IR_V256 ? 32 : 16);
    else
        op_rm(&e->a, X_MOV | w_of(n->type), d, RBP, CPU_DISP(e, vec_buf));
}

bool emit_vector(Emit *e, IrRef i, const IrNode *n)
{
    const VecRow *row = find_row(n);
    if (!(e->host & HOST_AVX2))
        return false;
    if (row)
        emit_row(e, i, n, row);
    else
        emit_by_interpreter(e, i, n);
    return true;
}
