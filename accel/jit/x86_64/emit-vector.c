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

static bool is_flags(const IrNode *n)
{
    return n->op == IR_OP_f_flags || n->op == IR_OP_f_setflags;
}

bool vector_is_call(const IrNode *n)
{
    return n->op >= IR_OP_v_and && !is_flags(n) && !find_row(n);
}

bool vector_uses_fp(const IrNode *n)
{
    return ir_op_info[n->op].flags & IR_FP && (is_flags(n) || find_row(n));
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

/* ---- IR_FP_CANON: the host's instruction, and cold code for what it does otherwise ---- */

enum { X_UCOMI = 0x2e | O_0F, X_MOVMSK = 0x50 | O_0F, X_OR_V = 0xeb | O_66 | O_0F, X_AND_V = 0xdb | O_66 | O_0F };

/* Scalar move into the low lane, comparison and arithmetic of the lane's type. */
static unsigned scalar_move(const IrNode *n) { return 0x10 | O_0F | (n->aux == IR_F32 ? O_F3 : O_F2); }
static unsigned scalar_mul(const IrNode *n) { return 0x59 | O_0F | (n->aux == IR_F32 ? O_F3 : O_F2); }
static unsigned typed(unsigned op, bool single) { return op | (single ? 0 : O_66); }

/* The default NaN into the low lane of d, the rest from `rest`; back to hot code. */
static void cold_nan(Emit *e, int d, int rest, bool single)
{
    Asm *c = &e->c;
    op_movi(c, RAX, single ? 0x7fc00000 : 0x7ff8000000000000);
    vex_rr(c, X_MOVQ_XR | O_W, XMM_SCRATCH - XMM, 0, RAX);
    vex_rr(c, 0x10 | O_0F | (single ? O_F3 : O_F2), d, rest, XMM_SCRATCH - XMM);
    from_cold_hot(e, e->a.p);
}

/* Behind an operation: a NaN in the low lane of d becomes the default one. */
static void canon_result(Emit *e, const IrNode *n, int d)
{
    bool single = n->op == IR_OP_fs_64to32 || (n->op != IR_OP_fs_32to64 && n->aux == IR_F32);
    vex_rr(&e->a, typed(X_UCOMI, single), d, 0, d);
    cold_jcc(e, CC_P, e->c.p);
    cold_nan(e, d, d, single);
}

/* Bits of the low lane without the sign, twice. */
static void magnitude(Asm *c, const IrNode *n, int r, int x)
{
    unsigned w = n->aux == IR_F32 ? 0 : O_W;
    vex_rr(c, X_MOVQ_RX | w, x, 0, r);
    op_rr(c, X_ADD | w, r, r);
}

/* d = x * y + d; a NaN besides raises invalid if it comes from inf * 0, even with a quiet NaN added:
 * then, and only then, the product alone is computed once more for its flag. */
static void canon_fused(Emit *e, IrRef i, const IrNode *n, uint32_t op, int x, int y)
{
    Asm *c = &e->c;
    bool single = n->aux == IR_F32;
    int d = value_def_over(e, i, n->c) - XMM;
    vex_rr(&e->a, op + 0x20, d, x, y);          /* the form 231 */
    vex_rr(&e->a, typed(X_UCOMI, single), d, 0, d);
    cold_jcc(e, CC_P, c->p);
    magnitude(c, n, RAX, x);
    magnitude(c, n, RCX, y);
    uint8_t *first = (op_rr(c, X_TEST | O_W, RAX, RAX), op_jcc(c, CC_E));
    op_rr(c, X_XCHG | O_W, RAX, RCX);
    op_rr(c, X_TEST | O_W, RAX, RAX);
    uint8_t *neither = op_jcc(c, CC_NE);
    asm_fix32(first, c->p);                     /* one is zero: is rcx infinite? */
    op_movi(c, RAX, single ? 0xff000000 : 0xffe0000000000000);
    op_rr(c, X_CMP | O_W, RAX, RCX);
    uint8_t *finite = op_jcc(c, CC_NE);
    vex_rr(c, scalar_mul(n), XMM_SCRATCH - XMM, x, y);
    asm_fix32(neither, c->p);
    asm_fix32(finite, c->p);
    cold_nan(e, d, d, single);
}

/* Minimum and maximum: the host's where the operands differ and are numbers. */
static void canon_minmax(Emit *e, const IrNode *n, uint32_t op, int d, int x, int y)
{
    Asm *c = &e->c;
    bool single = n->aux == IR_F32;
    unsigned compare = typed(X_UCOMI, single);
    vex_rr(&e->a, compare, x, 0, y);
    cold_jcc(e, CC_E, c->p);                    /* equal or unordered */
    vex_rr(&e->a, op, d, x, y);
    uint8_t *nan = op_jcc(c, CC_P);
    vex_rr(c, n->op == IR_OP_fs_min ? X_OR_V : X_AND_V, XMM_SCRATCH - XMM, x, y);     /* zeros' signs */
    vex_rr(c, scalar_move(n), d, x, XMM_SCRATCH - XMM);
    from_cold_hot(e, e->a.p);
    asm_fix32(nan, c->p);
    vex_rr(c, compare, y, 0, y);
    uint8_t *y_nan = op_jcc(c, CC_P);
    vex_rr(c, scalar_move(n), d, x, y);
    from_cold_hot(e, e->a.p);
    asm_fix32(y_nan, c->p);
    vex_rr(c, compare, x, 0, x);
    uint8_t *x_nan = op_jcc(c, CC_P);
    vec_move(c, d + XMM, x + XMM);
    from_cold_hot(e, e->a.p);
    asm_fix32(x_nan, c->p);
    cold_nan(e, d, x, single);
}

/* Behind a conversion: the host's answer to what has none is the lowest integer, which is right for
 * negative numbers. */
static void canon_integer(Emit *e, const IrNode *n, int d, int x)
{
    Asm *c = &e->c;
    bool single = n->aux == IR_F32;
    op_ri(&e->a, G_CMP, w_of(n->type), d, 1);
    cold_jcc(e, CC_O, c->p);
    vex_rr(c, typed(X_UCOMI, single), x, 0, x);
    uint8_t *nan = op_jcc(c, CC_P);
    vex_rr(c, typed(X_MOVMSK, single), RAX, 0, x);
    op_ri(c, G_AND, 0, RAX, 1);
    uint8_t *negative = op_jcc(c, CC_NE);
    asm_fix32(nan, c->p);
    op_movi(c, d, n->type == IR_I32 ? INT32_MAX : INT64_MAX);
    asm_fix32(negative, c->p);
    from_cold_hot(e, e->a.p);
}

static bool is_canon(const IrNode *n)
{
    return n->op >= IR_OP_fs_add && n->imm & IR_FP_CANON;
}

static void emit_row(Emit *e, IrRef i, const IrNode *n, const VecRow *row)
{
    Asm *a = &e->a;
    uint32_t op = (row->opcode & 0xffff) | (n->type == IR_V256 ? O_L : 0), fix = row->opcode >> 16;
    int x = use(e, n->a), y = use(e, n->b), z = use(e, n->c);
    if (row->form == F_FMA && is_canon(n)) {
        canon_fused(e, i, n, op, x, y);
        return;
    }
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
    if (is_canon(n) && (n->op == IR_OP_fs_min || n->op == IR_OP_fs_max)) {
        canon_minmax(e, n, op, d, x, y);
        return;
    }
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
    if (is_canon(n) && row->form == F_GV)
        canon_integer(e, n, d, x);
    else if (is_canon(n))
        canon_result(e, n, d);
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

/* The flags are those in MXCSR and those in fp_flags. */
static void emit_flags(Emit *e, IrRef i, const IrNode *n)
{
    Asm *a = &e->a;
    int32_t tmp = CPU_DISP(e, vec_buf);
    int r = n->op == IR_OP_f_flags ? value_def(e, i) : value_use(e, n->a);
    op_rm(a, X_LDMXCSR, 3, RBP, tmp);       /* stmxcsr */
    if (n->op == IR_OP_f_flags) {
        op_rm(a, X_MOV, r, RBP, tmp);
        op_ri(a, G_AND, 0, r, 0x3f);
        op_rm(a, X_OR, r, RBP, CPU_DISP(e, fp_flags));
        return;
    }
    op_rm(a, X_MOV_MR, r, RBP, CPU_DISP(e, fp_flags));
    op_mi(a, G_AND, 0, RBP, tmp, ~0x3f);
    op_rm(a, X_LDMXCSR, 2, RBP, tmp);
}

bool emit_vector(Emit *e, IrRef i, const IrNode *n)
{
    const VecRow *row = find_row(n);
    if (!(e->host & HOST_AVX2))
        return false;
    if (is_flags(n))
        emit_flags(e, i, n);
    else if (row)
        emit_row(e, i, n, row);
    else
        emit_by_interpreter(e, i, n);
    return true;
}
