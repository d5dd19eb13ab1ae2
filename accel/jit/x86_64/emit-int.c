/* SPDX-License-Identifier: Apache-2.0 */
/* Integer operations and comparisons. */
#include "accel/jit/x86_64/emit.h"

/* ---- integer operations ---- */

void emit_add(Emit *e, IrRef i, const IrNode *n, bool sub)
{
    unsigned w = w_of(n->type);
    Asm *a = &e->a;
    IrRef x = n->a, y = n->b;
    int64_t k;
    if (const_of(e, y, &k) && fits32(sub ? -k : k)) {
        k = sub ? -k : k;
        if (e->v[x].reg >= 0 && !dies(e, x)) {
            int s = value_use(e, x);
            op_rm(a, X_LEA | w, value_def(e, i), s, k);
        } else {
            op_ri(a, G_ADD, w, value_def_over(e, i, x), k);
        }
        return;
    }
    if (!sub && (!dies(e, x) || e->v[x].reg < 0) && dies(e, y) && e->v[y].reg >= 0)
        x = n->b, y = n->a;
    Opnd o = operand(e, y, n->type, true);
    if (!sub && o.kind == O_REG && e->v[x].reg >= 0 && !dies(e, x)) {
        int s = value_use(e, x);
        int d = value_def(e, i);
        if ((s & 7) == RBP)     /* r13 needs a displacement as a base */
            op_rmx(a, X_LEA | w, d, o.reg, s, 0, 0);
        else
            op_rmx(a, X_LEA | w, d, s, o.reg, 0, 0);
        return;
    }
    op_arith(a, sub ? G_SUB : G_ADD, w, value_def_over(e, i, x), o);
}

void emit_logic(Emit *e, IrRef i, const IrNode *n, unsigned group)
{
    unsigned w = w_of(n->type);
    IrRef x = n->a, y = n->b;
    int64_t k;
    if (group == G_AND && const_of(e, y, &k)) {
        uint64_t m = w ? (uint64_t)k : (uint32_t)k;
        if (m == 0xff || m == 0xffff || m == 0xffffffff) {
            int s = value_use(e, x);
            free_dying(e, x);
            int d = value_def(e, i);
            op_rr(&e->a, m == 0xff ? X_MOVZX8 : m == 0xffff ? X_MOVZX16 : X_MOV, d, s);
            return;
        }
        if (m == (m & 0x7fffffff))
            w = 0;              /* 32 bits do */
    }
    if ((!dies(e, x) || e->v[x].reg < 0) && dies(e, y) && e->v[y].reg >= 0)
        x = n->b, y = n->a;
    Opnd o = operand(e, y, n->type, true);
    op_arith(&e->a, group, w, value_def_over(e, i, x), o);
}

void emit_andn(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type);
    if (e->host & HOST_BMI1) {
        int x = value_use(e, n->a), y = value_use(e, n->b);
        free_dying(e, n->a);
        free_dying(e, n->b);
        vex_rr(&e->a, X_ANDN | w, value_def(e, i), y, x);
        return;
    }
    value_into(e, &e->a, RAX, n->b);
    op_rr(&e->a, 0xf7 | w, G_NOT, RAX);
    op_rr(&e->a, X_AND | w, value_def_over(e, i, n->a), RAX);
}

void emit_mul(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type);
    IrRef x = n->a, y = n->b;
    int64_t k;
    if (const_of(e, y, &k) && fits32(k)) {
        Opnd o = operand(e, x, n->type, false);
        free_dying(e, x);
        bool small = k == (int8_t)k;
        op_ro(&e->a, (small ? 0x6b : 0x69) | w, value_def(e, i), o);
        if (small)
            a8(&e->a, k);
        else
            a32(&e->a, k);
        return;
    }
    if ((!dies(e, x) || e->v[x].reg < 0) && dies(e, y) && e->v[y].reg >= 0)
        x = n->b, y = n->a;
    Opnd o = operand(e, y, n->type, false);
    op_ro(&e->a, X_IMUL | w, value_def_over(e, i, x), o);
}

/* mul and div: rdx:rax implied. */
void emit_wide(Emit *e, IrRef i, const IrNode *n, unsigned group, bool result_rdx)
{
    unsigned w = w_of(n->type);
    bool div = group >= G_DIV;
    reg_vacate(e, RDX, div);
    bool taken = e->in[RDX];
    e->lock |= BIT(RDX);
    Opnd o = operand(e, n->b, n->type, false);
    value_into(e, &e->a, RAX, n->a);
    if (group == G_IDIV) {
        if (w)
            a8(&e->a, 0x48);
        a8(&e->a, 0x99);        /* cdq, cqo */
    } else if (group == G_DIV) {
        op_rr(&e->a, X_XOR, RDX, RDX);
    }
    op_ro(&e->a, 0xf7 | w, group, o);
    if (taken)
        reg_release(e, RDX);    /* a dying operand */
    if (result_rdx) {
        reg_bind(e, RDX, i);
    } else {
        e->lock &= ~BIT(RDX);
        op_rr(&e->a, X_MOV | w, value_def(e, i), RAX);
    }
    e->v[i].flags |= V_ZX;
}

void emit_shift(Emit *e, IrRef i, const IrNode *n)
{
    static const uint8_t groups[] = {G_SHL, G_SHR, G_SAR, G_ROL, G_ROR};
    static const unsigned bmi2[] = {X_SHLX, X_SHRX, X_SARX};
    unsigned w = w_of(n->type), kind = n->op - IR_OP_shl;
    int64_t k;
    if (const_of(e, n->b, &k)) {
        k &= w ? 63 : 31;
        if (kind == 0 && k && k <= 3 && e->v[n->a].reg >= 0 && !dies(e, n->a)) {
            int s = value_use(e, n->a);
            int d = value_def(e, i);
            if (k == 1 && (s & 7) != RBP) {
                op_rmx(&e->a, X_LEA | w, d, s, s, 0, 0);
            } else {            /* [index << k + disp32] */
                asm_prefix(&e->a, X_LEA | w, d, s, 0);
                a8(&e->a, (d & 7) << 3 | 4);
                a8(&e->a, k << 6 | (s & 7) << 3 | 5);
                a32(&e->a, 0);
            }
            return;
        }
        int d = value_def_over(e, i, n->a);
        if (k)
            op_shift(&e->a, groups[kind], w, d, k);
        else if (!w)
            op_rr(&e->a, X_MOV, d, d);
        return;
    }
    if (kind <= 2 && (e->host & HOST_BMI2)) {
        int c = value_use(e, n->b);
        if (e->v[n->a].reg < 0 && e->v[n->a].last > e->at)
            value_use(e, n->a);
        Opnd o = operand(e, n->a, n->type, false);
        free_dying(e, n->a);
        free_dying(e, n->b);
        int d = value_def(e, i);
        if (o.kind == O_REG)
            vex_rr(&e->a, bmi2[kind] | w, d, c, o.reg);
        else
            vex_rm(&e->a, bmi2[kind] | w, d, c, RBP, o.disp);
        return;
    }
    value_into(e, &e->a, RCX, n->b);
    int d = value_def_over(e, i, n->a);
    op_rr(&e->a, 0xd3 | w, groups[kind], d);
}

void emit_unary(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type);
    int d = value_def_over(e, i, n->a);
    switch (n->op) {
    case IR_OP_neg:
        op_rr(&e->a, 0xf7 | w, G_NEG, d);
        break;
    case IR_OP_not:
        op_rr(&e->a, 0xf7 | w, G_NOT, d);
        break;
    default:                    /* bswap: 0f c8+r */
        if (w || (d & 8))
            a8(&e->a, 0x40 | (w ? 8 : 0) | (d & 8) >> 3);
        a8(&e->a, 0x0f);
        a8(&e->a, 0xc8 | (d & 7));
    }
}

/* clz, ctz: the width for zero. */
void emit_count(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type), bits = w ? 64 : 32;
    Opnd o = operand(e, n->a, n->type, false);
    int d = value_def(e, i);
    if (n->op == IR_OP_popcnt) {
        op_ro(&e->a, X_POPCNT | w, d, o);
    } else if (e->host & HOST_LZCNT) {
        op_ro(&e->a, (n->op == IR_OP_clz ? X_LZCNT : X_TZCNT) | w, d, o);
    } else if (n->op == IR_OP_ctz) {
        op_ro(&e->a, X_BSF | w, RAX, o);
        op_movi(&e->a, d, bits);
        op_rr(&e->a, (X_CMOV | CC_NE) | w, d, RAX);
    } else {
        op_ro(&e->a, X_BSR | w, RAX, o);
        op_movi(&e->a, d, 2 * bits - 1);
        op_rr(&e->a, (X_CMOV | CC_NE) | w, d, RAX);
        op_ri(&e->a, G_XOR, w, d, bits - 1);
    }
}

void emit_extend(Emit *e, IrRef i, const IrNode *n, bool sign, unsigned bits)
{
    unsigned w = w_of(n->type), from = node_of(e, n->a)->type;
    if (bits == 32 && (!sign || !w)) {
        bool clean = from == IR_I32 && loads_zx(e, n->a);
        int r = value_def_over(e, i, n->a);
        if (!clean)
            op_rr(&e->a, X_MOV, r, r);
        return;
    }
    unsigned op = bits == 8 ? (sign ? X_MOVSX8 | w : X_MOVZX8)
                : bits == 16 ? (sign ? X_MOVSX16 | w : X_MOVZX16) : X_MOVSXD;
    Opnd o;
    const Val *val = &e->v[n->a];
    if (val->reg < 0 && (val->flags & V_HOME) && val->last <= e->at && val->home_bytes * 8u >= bits)
        o = (Opnd){.kind = O_MEM, .disp = val->home - e->bias};
    else
        o = (Opnd){.kind = O_REG, .reg = value_use(e, n->a)};
    free_dying(e, n->a);
    op_ro(&e->a, op, value_def(e, i), o);
}

void emit_extract(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type), width = w ? 64 : 32, lsb = n->aux & 0xff, len = n->aux >> 8;
    bool sign = n->op == IR_OP_sextract;
    Asm *a = &e->a;
    if (lsb == 0 && (len == 8 || len == 16 || (len == 32 && w))) {
        emit_extend(e, i, n, sign, len);
        return;
    }
    int d = value_def_over(e, i, n->a);
    if (lsb + len == width) {
        if (lsb)
            op_shift(a, sign ? G_SAR : G_SHR, w, d, lsb);
        else if (!w)
            op_rr(a, X_MOV, d, d);
    } else if (!sign && (len == 8 || len == 16 || len == 32)) {
        op_shift(a, G_SHR, w, d, lsb);
        op_rr(a, len == 8 ? X_MOVZX8 : len == 16 ? X_MOVZX16 : X_MOV, d, d);
    } else if (!sign && len < 32) {
        if (lsb)
            op_shift(a, G_SHR, w, d, lsb);
        op_ri(a, G_AND, 0, d, (1u << len) - 1);
    } else {
        op_shift(a, G_SHL, w, d, width - lsb - len);
        op_shift(a, sign ? G_SAR : G_SHR, w, d, width - len);
    }
}

void emit_deposit(Emit *e, IrRef i, const IrNode *n)
{
    unsigned w = w_of(n->type), width = w ? 64 : 32, lsb = n->aux & 0xff, len = n->aux >> 8;
    Asm *a = &e->a;
    if (lsb == 0 && len == width) {
        int d = value_def_over(e, i, n->b);
        if (!w)
            op_rr(a, X_MOV, d, d);
        return;
    }
    if (lsb == 0 && len <= 16 && (len == 8 || len == 16)) {
        int s = value_use(e, n->b);
        int d = value_def_over(e, i, n->a);
        op_rr(a, len == 8 ? 0x8a | O_B | O_BM : X_MOV | O_66, d, s);
        if (!w)
            op_rr(a, X_MOV, d, d);
        return;
    }
    value_into(e, a, RAX, n->b);
    if (len == 8 || len == 16 || len == 32) {
        op_rr(a, len == 8 ? X_MOVZX8 : len == 16 ? X_MOVZX16 : X_MOV, RAX, RAX);
    } else {
        op_shift(a, G_SHL, w, RAX, width - len);
        op_shift(a, G_SHR, w, RAX, width - len);
    }
    int d = value_def_over(e, i, n->a);
    if (lsb)
        op_shift(a, G_ROR, w, d, lsb);
    op_shift(a, G_SHR, w, d, len);
    op_shift(a, G_SHL, w, d, len);
    op_rr(a, X_OR | w, d, RAX);
    if (lsb)
        op_shift(a, G_ROL, w, d, lsb);
}

/* ---- comparisons ---- */

static unsigned cond_cc(unsigned cond)
{
    static const uint8_t cc[] = {CC_E, CC_NE, CC_L, CC_GE, CC_LE, CC_G, CC_B, CC_AE, CC_BE, CC_A,
                                 CC_NE, CC_E};
    return cc[cond];
}

static unsigned swap_cond(unsigned cond)
{
    static const uint8_t swapped[] = {IR_EQ, IR_NE, IR_GT, IR_LE, IR_GE, IR_LT, IR_GTU, IR_LEU,
                                      IR_GEU, IR_LTU, IR_TST, IR_NTST};
    return swapped[cond];
}

/* Fetches the operands (may emit loads) so that emit_cmp() only compares. */
Cmp cmp_prepare(Emit *e, unsigned cond, IrRef x, IrRef y)
{
    unsigned type = node_of(e, x)->type;
    int64_t k;
    if (const_of(e, x, &k) && !const_of(e, y, &k)) {
        IrRef t = x;
        x = y, y = t;
        cond = swap_cond(cond);
    }
    Cmp c = {.w = w_of(type), .test = cond >= IR_TST};
    c.x = operand(e, x, type, false);
    if (c.x.kind == O_MEM && !(const_of(e, y, &k) && fits32(k)))
        c.x = (Opnd){.kind = O_REG, .reg = value_use(e, x)};
    c.y = operand(e, y, type, true);
    c.cc = cond_cc(cond);
    return c;
}

void emit_cmp(Asm *a, const Cmp *c)
{
    if (!c->test) {
        if (c->y.kind == O_IMM && c->x.kind == O_MEM)
            op_mi(a, G_CMP, c->w, RBP, c->x.disp, c->y.imm);
        else if (c->y.kind == O_IMM && c->y.imm == 0)
            op_rr(a, X_TEST | c->w, c->x.reg, c->x.reg);
        else
            op_arith(a, G_CMP, c->w, c->x.reg, c->y);
        return;
    }
    if (c->y.kind == O_IMM) {
        bool byte = c->y.imm == (c->y.imm & 0x7f);
        unsigned op = byte ? 0xf6 | O_BM : 0xf7 | (c->y.imm < 0 ? c->w : 0);
        if (c->x.kind == O_MEM)
            op_rm(a, op, 0, RBP, c->x.disp);
        else
            op_rr(a, op, 0, c->x.reg);
        if (byte)
            a8(a, c->y.imm);
        else
            a32(a, c->y.imm);
    } else if (c->y.kind == O_MEM) {
        op_rm(a, X_TEST | c->w, c->x.reg, RBP, c->y.disp);
    } else {
        op_rr(a, X_TEST | c->w, c->y.reg, c->x.reg);
    }
}

void emit_setcond(Emit *e, IrRef i, const IrNode *n)
{
    Cmp c = cmp_prepare(e, n->aux, n->a, n->b);
    int d = value_def(e, i);
    op_rr(&e->a, X_XOR, d, d);
    emit_cmp(&e->a, &c);
    op_rr(&e->a, X_SETCC | c.cc, 0, d);
}

void emit_select(Emit *e, IrRef i, const IrNode *n)
{
    Cmp c;
    unsigned w = w_of(n->type);
    if (is_vec(n->type)) {
        e->fail = true;
        return;
    }
    if (e->v[n->a].flags & V_FUSED) {
        const IrNode *s = node_of(e, n->a);
        c = cmp_prepare(e, s->aux, s->a, s->b);
    } else {
        int r = value_use(e, n->a);
        c = (Cmp){.x = {.kind = O_REG, .reg = r}, .y = {.kind = O_IMM}, .cc = CC_NE,
                  .w = w_of(node_of(e, n->a)->type)};
    }
    Opnd yes = operand(e, n->b, n->type, false);
    int d = value_def_over(e, i, n->c);
    emit_cmp(&e->a, &c);
    op_ro(&e->a, (X_CMOV | w) + c.cc, d, yes);
    if (!w)
        return;
}
