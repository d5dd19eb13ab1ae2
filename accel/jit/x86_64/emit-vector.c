/* SPDX-License-Identifier: Apache-2.0 */
/* Vector and floating-point operations: the rows of vector.inc, VEX forms (AVX2 hosts). */
#include "accel/jit/slow.h"
#include "accel/jit/x86_64/emit.h"

enum { ANY = 0xff };
enum { T128 = 1, T256 = 2, TBOTH = 3 };
typedef enum Form { F_NONE, F_VVV, F_VVV_R, F_VV, F_VVI, F_VVVI, F_SHI, F_FMA } Form;

typedef struct VecRow {
    uint8_t op, lane, types, form;
    uint32_t opcode;
} VecRow;

enum { LANE_B = IR_B, LANE_H = IR_H, LANE_W = IR_W, LANE_D = IR_D, LANE_F32 = IR_F32, LANE_F64 = IR_F64,
       LANE_ANY = ANY, TYPE_V128 = T128, TYPE_V256 = T256, TYPE_BOTH = TBOTH };

static const VecRow rows[] = {
#define VEC(op, lane, types, form, opcode) {IR_OP_##op, LANE_##lane, TYPE_##types, F_##form, opcode},
#include "accel/jit/x86_64/vector.inc"
#undef VEC
};

static const VecRow *find_row(const IrNode *n)
{
    unsigned type = n->type == IR_V256 ? T256 : T128;
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++)
        if (rows[k].op == n->op && (rows[k].lane == ANY || rows[k].lane == n->aux) && (rows[k].types & type))
            return &rows[k];
    return NULL;
}

bool vector_is_call(const IrNode *n)
{
    return n->op >= IR_OP_v_and && !find_row(n);
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

static void emit_row(Emit *e, IrRef i, const IrNode *n, const VecRow *row)
{
    uint32_t op = (row->opcode & 0xffff) | (n->type == IR_V256 ? O_L : 0);
    int x = value_use(e, n->a) - XMM;
    int y = n->b ? value_use(e, n->b) - XMM : 0;
    int z = n->c ? value_use(e, n->c) - XMM : 0;
    if (row->form == F_FMA) {
        int d = value_def_over(e, i, n->a) - XMM;
        vex_rr(&e->a, op, d, y, z);
        return;
    }
    free_dying(e, n->a);
    if (n->b)
        free_dying(e, n->b);
    int d = value_def(e, i) - XMM;
    switch ((Form)row->form) {
    case F_VVV:
        vex_rr(&e->a, op, d, x, y);
        break;
    case F_VVV_R:
        vex_rr(&e->a, op, d, y, x);
        break;
    case F_VV:
        vex_rr(&e->a, op, d, 0, x);
        break;
    case F_VVI:
        vex_rr(&e->a, op, d, 0, x);
        a8(&e->a, n->imm);
        break;
    case F_VVVI:
        vex_rr(&e->a, op, d, x, y);
        a8(&e->a, n->imm);
        break;
    case F_SHI:
        vex_rr(&e->a, op, row->opcode >> 16, d, x);
        a8(&e->a, n->imm);
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
