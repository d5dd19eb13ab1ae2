/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: appends nodes, folding constants, simplifying, and sharing equal pure nodes.
 *
 * Sharing (local value numbering) is a direct-mapped table from a node's hash to the node; losing
 * an entry only loses a chance. Domination is kept by indices: at a label everything made since the
 * first branch to it is marked dead and no longer found. Nothing is allocated per unit.
 */
#include <glib.h>
#include <string.h>

#include "ir/state.h"

const IrOpInfo ir_op_info[IR_OP_COUNT] = {
#define OP(name, args, flags) {#name, args, flags},
#include "ir/ops.inc"
#undef OP
};

enum { MARGIN_NODES = 640, MARGIN_INSNS = 2, MARGIN_HELPERS = 16, MARGIN_LABELS = 12 };

IrUnit *ir_unit_new(void)
{
    IrUnit *u = g_new0(IrUnit, 1);

    u->nodes = g_new0(IrNode, IR_MAX_NODES);
    u->helpers = g_new0(const IrHelper *, IR_MAX_HELPERS);
    u->insns = g_new0(IrInsnMark, IR_MAX_INSNS);
    u->state = g_new0(IrState, 1);
    ir_unit_reset(u, 0, 0);
    return u;
}

void ir_unit_free(IrUnit *u)
{
    if (u) {
        g_free(u->nodes);
        g_free(u->helpers);
        g_free(u->insns);
        g_free(u->state);
        g_free(u);
    }
}

void ir_unit_reset(IrUnit *u, uint64_t pc, uint32_t mode)
{
    u->n_nodes = 1;
    u->n_labels = u->n_insns = u->n_helpers = u->max_insns = 0;
    u->pc = pc;
    u->page_base = pc & ~0xfffull;
    u->mode = mode;
    u->size = 0;
    u->icount = u->single = u->ended = u->overflow = false;
    u->priv = NULL;
    memset(u->state->vn, 0, sizeof(u->state->vn));
    if (u->state->any_dead) {
        memset(u->state->dead, 0, sizeof(u->state->dead));
        u->state->any_dead = false;
    }
    ir_slots_forget_all(u);
}

bool ir_unit_full(const IrUnit *u)
{
    return u->n_nodes > IR_MAX_NODES - MARGIN_NODES || u->n_insns > IR_MAX_INSNS - MARGIN_INSNS ||
           u->n_helpers > IR_MAX_HELPERS - MARGIN_HELPERS ||
           u->n_labels > IR_MAX_LABELS - MARGIN_LABELS || (u->max_insns && u->n_insns >= u->max_insns);
}

/* Appends as it is. A front end that ignores ir_unit_full() spoils the unit, nothing else. */
IrRef ir_emit(IrUnit *u, IrNode n)
{
    if (u->n_nodes >= IR_MAX_NODES) {
        u->overflow = true;
        u->n_nodes = IR_MAX_NODES - 1;
    }
    u->nodes[u->n_nodes] = n;
    return (IrRef)u->n_nodes++;
}

static unsigned hash(const IrNode *n)
{
    uint64_t head;

    memcpy(&head, n, 8);
    uint64_t h = (head ^ (uint64_t)n->imm64 * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return h >> (64 - 9);
}
G_STATIC_ASSERT(IR_VN_SIZE == 1 << 9);

static bool same(const IrNode *x, const IrNode *y)
{
    return x->imm64 == y->imm64 && memcmp(x, y, 8) == 0;
}

/* Appends a pure node or finds its twin. */
static IrRef pure(IrUnit *u, IrNode n)
{
    IrRef *entry = &u->state->vn[hash(&n)];

    if (*entry && same(&u->nodes[*entry], &n) && !ir_dead(u->state, *entry)) {
        return *entry;
    }
    return *entry = ir_emit(u, n);
}

static IrRef pure1(IrUnit *u, IrOp op, IrType t, unsigned aux, IrRef a)
{
    return pure(u, (IrNode){.op = op, .type = t, .aux = aux, .a = a});
}

static IrRef pure2(IrUnit *u, IrOp op, IrType t, unsigned aux, IrRef a, IrRef b)
{
    return pure(u, (IrNode){.op = op, .type = t, .aux = aux, .a = a, .b = b});
}

IrType ir_type(IrBuilder *b, IrRef v)
{
    return b->nodes[v].type;
}

/* ---- constants ---- */

IrRef ir_const(IrBuilder *b, IrType t, int64_t v)
{
    return pure(b, (IrNode){.op = IR_OP_const, .type = t, .imm64 = t == IR_I32 ? (int32_t)v : v});
}

IrRef ir_i32(IrBuilder *b, int32_t v) { return ir_const(b, IR_I32, v); }
IrRef ir_i64(IrBuilder *b, int64_t v) { return ir_const(b, IR_I64, v); }

IrRef ir_pcrel(IrBuilder *b, uint64_t pc)
{
    return pure(b, (IrNode){.op = IR_OP_pcrel, .type = IR_I64, .imm64 = (int64_t)(pc - b->page_base)});
}

bool ir_is_const(IrBuilder *b, IrRef v, int64_t *value)
{
    const IrNode *n = &b->nodes[v];

    if (n->op != IR_OP_const) {
        return false;
    }
    *value = n->imm64;
    return true;
}

/* The value as the evaluator wants it: zero-extended. */
static bool known(IrUnit *u, IrRef v, uint64_t *value)
{
    const IrNode *n = &u->nodes[v];

    *value = 0;
    if (n->op != IR_OP_const) {
        return false;
    }
    *value = n->type == IR_I32 ? (uint32_t)n->imm64 : (uint64_t)n->imm64;
    return true;
}

static bool is_value(IrUnit *u, IrRef v, int64_t value)
{
    return u->nodes[v].op == IR_OP_const && u->nodes[v].imm64 == value;
}

/* ---- what is known of a value's size ---- */

/* No bit at or above this is set. Looks one node deep. */
static unsigned bits_of(IrUnit *u, IrRef v)
{
    const IrNode *n = &u->nodes[v];
    unsigned w = ir_width(n->type);
    uint64_t c;

    switch (n->op) {
    case IR_OP_const:
        known(u, v, &c);
        return c ? 64 - __builtin_clzll(c) : 0;
    case IR_OP_zext: return MIN(n->aux, w);
    case IR_OP_extract: return n->aux >> 8;
    case IR_OP_setcond: return 1;
    case IR_OP_clz:
    case IR_OP_ctz:
    case IR_OP_popcnt: return 7;
    case IR_OP_get: return MIN(n->aux * 8u, w);
    case IR_OP_load: return n->aux & IR_MSX ? w : MIN(8 * IR_MBYTES(n->aux), w);
    case IR_OP_rmw:
    case IR_OP_cas: return MIN(8 * IR_MBYTES(n->aux), w);
    case IR_OP_and:
        return known(u, n->b, &c) && c ? 64 - (unsigned)__builtin_clzll(c) : w;
    case IR_OP_shr:
        return known(u, n->b, &c) ? w - (unsigned)(c & (w - 1)) : w;
    default: return w;
    }
}

/* ---- binary operations ---- */

static int log2_exact(uint64_t v)
{
    return v && !(v & (v - 1)) ? __builtin_ctzll(v) : -1;
}

/* x op x */
static IrRef with_itself(IrUnit *u, IrOp op, IrType t, IrRef x)
{
    switch (op) {
    case IR_OP_sub:
    case IR_OP_xor:
    case IR_OP_andn: return ir_const(u, t, 0);
    case IR_OP_and:
    case IR_OP_or: return x;
    default: return 0;
    }
}

static IrRef and_const(IrUnit *u, IrType t, IrRef x, uint64_t c)
{
    const IrNode *n = &u->nodes[x];
    unsigned w = ir_width(t);
    uint64_t inner;

    if (c == 0) {
        return ir_const(u, t, 0);
    }
    if ((ir_ones(bits_of(u, x)) & ~c) == 0) {
        return x;
    }
    if (n->op == IR_OP_and && known(u, n->b, &inner)) {
        return ir_and(u, n->a, ir_const(u, t, (int64_t)(c & inner)));
    }
    if (n->op == IR_OP_zext && c < ir_ones(n->aux) && u->nodes[n->a].type == t) {
        return ir_and(u, n->a, ir_const(u, t, (int64_t)c));
    }
    for (unsigned bits = 8; bits < w; bits *= 2) {
        if (c == ir_ones(bits)) {
            return ir_zext(u, t, x, bits);
        }
    }
    return 0;
}

static IrRef add_const(IrUnit *u, IrType t, IrRef x, uint64_t c)
{
    const IrNode *n = &u->nodes[x];
    uint64_t inner;

    if (c == 0) {
        return x;
    }
    if (n->op == IR_OP_add && known(u, n->b, &inner)) {
        return ir_add(u, n->a, ir_const(u, t, (int64_t)(c + inner)));
    }
    if (n->op == IR_OP_pcrel) {
        return pure(u, (IrNode){.op = IR_OP_pcrel, .type = t,
                                .imm64 = (int64_t)((uint64_t)n->imm64 + c)});
    }
    return 0;
}

static IrRef shift_const(IrUnit *u, IrOp op, IrType t, IrRef x, unsigned c)
{
    const IrNode *n = &u->nodes[x];
    unsigned w = ir_width(t);
    uint64_t inner;

    if (c == 0) {
        return x;
    }
    if (op == IR_OP_rotl) {
        return ir_rotr(u, x, ir_const(u, t, w - c));
    }
    if (op == IR_OP_shr && c >= bits_of(u, x)) {
        return ir_const(u, t, 0);
    }
    if (!(n->op == IR_OP_shl || n->op == IR_OP_shr || n->op == IR_OP_sar) ||
        !known(u, n->b, &inner)) {
        return 0;
    }
    inner &= w - 1;
    if (n->op == op && op != IR_OP_rotr) {
        if (c + inner < w) {
            return pure2(u, op, t, 0, n->a, ir_const(u, t, (int64_t)(c + inner)));
        }
        return op == IR_OP_sar ? pure2(u, op, t, 0, n->a, ir_const(u, t, w - 1))
                               : ir_const(u, t, 0);
    }
    if (n->op == IR_OP_shl && c >= inner) {
        if (op == IR_OP_shr) {
            return ir_extract(u, n->a, c - inner, w - c);
        }
        if (op == IR_OP_sar) {
            return ir_sextract(u, n->a, c - inner, w - c);
        }
    }
    return 0;
}

/* x op constant; 0 when nothing better is known. */
static IrRef with_const(IrUnit *u, IrOp op, IrType t, IrRef x, uint64_t c)
{
    unsigned w = ir_width(t);
    uint64_t m = ir_ones(w);

    switch (op) {
    case IR_OP_add: return add_const(u, t, x, c);
    case IR_OP_sub: return ir_add(u, x, ir_const(u, t, (int64_t)(0 - c)));
    case IR_OP_and: return and_const(u, t, x, c);
    case IR_OP_andn: return ir_and(u, x, ir_const(u, t, (int64_t)~c));
    case IR_OP_or: return c == 0 ? x : c == m ? ir_const(u, t, -1) : 0;
    case IR_OP_xor: return c == 0 ? x : c == m ? ir_not(u, x) : 0;
    case IR_OP_mul:
        if (c == 0) {
            return ir_const(u, t, 0);
        }
        return log2_exact(c) >= 0 ? ir_shli(u, x, (unsigned)log2_exact(c)) : 0;
    case IR_OP_divu: return log2_exact(c) >= 0 ? ir_shri(u, x, (unsigned)log2_exact(c)) : 0;
    case IR_OP_remu: return log2_exact(c) >= 0 ? ir_andi(u, x, (int64_t)(c - 1)) : 0;
    case IR_OP_divs: return c == 1 ? x : 0;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_rotl:
    case IR_OP_rotr: return shift_const(u, op, t, x, c & (w - 1));
    default: return 0;
    }
}

/* constant op y */
static IrRef const_with(IrUnit *u, IrOp op, IrType t, uint64_t c, IrRef y)
{
    switch (op) {
    case IR_OP_sub: return c == 0 ? ir_neg(u, y) : 0;
    case IR_OP_andn: return c == 0 ? ir_const(u, t, 0) : c == ir_ones(ir_width(t)) ? ir_not(u, y) : 0;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_rotl:
    case IR_OP_rotr: return c == 0 ? ir_const(u, t, 0) : 0;
    default: return 0;
    }
}

/* Whether v is `from` shifted by a constant of 1 to width - 1. */
static bool shifted(IrUnit *u, IrRef v, IrOp op, IrRef *from, uint64_t *count)
{
    const IrNode *n = &u->nodes[v];

    *from = n->a;
    return n->op == op && known(u, n->b, count) && *count && *count < ir_width(n->type);
}

/* Left and right parts that make up a rotation; 0 if they do not. */
static IrRef rotation(IrUnit *u, IrRef left, IrRef right)
{
    IrRef x, y;
    uint64_t up, down;

    if (!shifted(u, left, IR_OP_shl, &x, &up) || !shifted(u, right, IR_OP_shr, &y, &down) || x != y ||
        up + down != ir_width(u->nodes[x].type)) {
        return 0;
    }
    return pure2(u, IR_OP_rotr, u->nodes[x].type, 0, x, u->nodes[right].b);
}

/* The same of words that were extended: the left one's extension is the result's. */
static IrRef rotation_of_words(IrUnit *u, IrRef left, IrRef right)
{
    const IrNode *l = &u->nodes[left], *r = &u->nodes[right];
    bool words = (l->op == IR_OP_sext || l->op == IR_OP_zext) && l->aux == 32 && l->type == IR_I64 &&
                 u->nodes[l->a].type == IR_I32 && r->op == IR_OP_zext && r->aux == 32 &&
                 u->nodes[r->a].type == IR_I32;
    bool sign = l->op == IR_OP_sext;
    IrRef v = words ? rotation(u, l->a, r->a) : 0;

    return !v ? 0 : sign ? ir_sext(u, IR_I64, v, 32) : ir_zext(u, IR_I64, v, 32);
}

/* x | y, x ^ y or x + y of two shifted values. */
static IrRef joined(IrUnit *u, IrRef x, IrRef y)
{
    IrRef r = rotation(u, x, y);

    r = r ? r : rotation(u, y, x);
    r = r ? r : rotation_of_words(u, x, y);
    return r ? r : rotation_of_words(u, y, x);
}

static IrRef binary(IrUnit *u, IrOp op, IrRef x, IrRef y)
{
    IrType t = u->nodes[x].type;
    uint64_t cx, cy;
    bool kx = known(u, x, &cx), ky = known(u, y, &cy);
    IrRef r = 0;

    if (kx && ky) {
        return ir_const(u, t, (int64_t)ir_eval_binary(op, ir_width(t), cx, cy));
    }
    if (ir_op_info[op].flags & IR_COMMUTES && (kx || (!ky && x > y))) {
        IrRef swap = x;
        x = y;
        y = swap;
        ky = kx;
        cy = cx;
        kx = false;
    }
    if (ky) {
        r = with_const(u, op, t, x, cy);
    } else if (kx) {
        r = const_with(u, op, t, cx, y);
    } else if (x == y) {
        r = with_itself(u, op, t, x);
    } else if (op == IR_OP_or || op == IR_OP_xor || op == IR_OP_add) {
        r = joined(u, x, y);
    }
    return r ? r : pure2(u, op, t, 0, x, y);
}

#define BINARY(name)                                                                                \
    IrRef ir_##name(IrBuilder *b, IrRef x, IrRef y) { return binary(b, IR_OP_##name, x, y); }
BINARY(add) BINARY(sub) BINARY(mul) BINARY(mulhu) BINARY(mulhs)
BINARY(divu) BINARY(divs) BINARY(remu) BINARY(rems)
BINARY(and) BINARY(or) BINARY(xor) BINARY(andn)
BINARY(shl) BINARY(shr) BINARY(sar) BINARY(rotl) BINARY(rotr)

IrRef ir_addi(IrBuilder *b, IrRef x, int64_t imm) { return ir_add(b, x, ir_const(b, ir_type(b, x), imm)); }
IrRef ir_andi(IrBuilder *b, IrRef x, int64_t imm) { return ir_and(b, x, ir_const(b, ir_type(b, x), imm)); }
IrRef ir_shli(IrBuilder *b, IrRef x, unsigned n) { return ir_shl(b, x, ir_const(b, ir_type(b, x), n)); }
IrRef ir_shri(IrBuilder *b, IrRef x, unsigned n) { return ir_shr(b, x, ir_const(b, ir_type(b, x), n)); }
IrRef ir_sari(IrBuilder *b, IrRef x, unsigned n) { return ir_sar(b, x, ir_const(b, ir_type(b, x), n)); }

/* ---- unary operations ---- */

static IrRef unary(IrUnit *u, IrOp op, IrRef x)
{
    const IrNode *n = &u->nodes[x];
    uint64_t c;

    if (known(u, x, &c)) {
        return ir_const(u, n->type, (int64_t)ir_eval_unary(op, ir_width(n->type), c));
    }
    if (n->op == op && (op == IR_OP_neg || op == IR_OP_not || op == IR_OP_bswap)) {
        return n->a;
    }
    return pure1(u, op, n->type, 0, x);
}

#define UNARY(name) IrRef ir_##name(IrBuilder *b, IrRef x) { return unary(b, IR_OP_##name, x); }
UNARY(neg) UNARY(not) UNARY(bswap) UNARY(clz) UNARY(ctz) UNARY(popcnt)

/* ---- widths ---- */

/* x as type t: bits above the narrower type become zero. */
static IrRef as_type(IrUnit *u, IrType t, IrRef x)
{
    IrType from = u->nodes[x].type;

    return from == t ? x : t == IR_I32 ? ir_trunc(u, x) : ir_zext(u, t, x, 32);
}

IrRef ir_trunc(IrBuilder *b, IrRef x)
{
    const IrNode *n = &b->nodes[x];
    uint64_t c;

    if (n->type == IR_I32) {
        return x;
    }
    if (known(b, x, &c)) {
        return ir_i32(b, (int32_t)c);
    }
    if (n->op == IR_OP_zext || n->op == IR_OP_sext) {
        bool sext = n->op == IR_OP_sext;
        IrRef from = n->a;
        unsigned bits = n->aux;
        if (bits == 32) {
            return as_type(b, IR_I32, from);
        }
        return sext ? ir_sext(b, IR_I32, from, bits) : ir_zext(b, IR_I32, from, bits);
    }
    return pure1(b, IR_OP_trunc, IR_I32, 0, x);
}

IrRef ir_zext(IrBuilder *b, IrType t, IrRef x, unsigned bits)
{
    uint64_t c;

    if (t == IR_I32) {
        x = as_type(b, t, x);
    }
    const IrNode *n = &b->nodes[x];
    if (n->type == t && bits >= MIN(bits_of(b, x), ir_width(t))) {
        return x;
    }
    if (known(b, x, &c)) {
        return ir_const(b, t, (int64_t)(c & ir_ones(bits)));
    }
    if (n->op == IR_OP_trunc && t == IR_I64) {
        return ir_zext(b, t, n->a, MIN(bits, 32));
    }
    if (n->op == IR_OP_zext) {
        return ir_zext(b, t, n->a, MIN(bits, n->aux));
    }
    if (n->op == IR_OP_sext && bits <= n->aux) {
        return ir_zext(b, t, n->a, bits);
    }
    if (bits >= 64 || (bits > 32 && n->type == IR_I32)) {
        bits = ir_width(n->type);
    }
    return pure1(b, IR_OP_zext, t, bits, x);
}

IrRef ir_sext(IrBuilder *b, IrType t, IrRef x, unsigned bits)
{
    uint64_t c;

    if (t == IR_I32) {
        x = as_type(b, t, x);
    }
    const IrNode *n = &b->nodes[x];
    if (n->type == IR_I32) {
        bits = MIN(bits, 32);
    }
    if (n->type == t && bits >= ir_width(t)) {
        return x;
    }
    if (known(b, x, &c)) {
        return ir_const(b, t, ir_sign(c, bits));
    }
    if (bits_of(b, x) < bits) {         /* cannot be negative */
        return ir_zext(b, t, x, bits);
    }
    if (n->op == IR_OP_trunc && t == IR_I64) {
        return ir_sext(b, t, n->a, bits);
    }
    if (n->op == IR_OP_sext && (n->type == t || n->aux < bits)) {
        return n->aux <= bits && n->type == t ? x : ir_sext(b, t, n->a, MIN(bits, n->aux));
    }
    if (n->op == IR_OP_zext && bits <= n->aux) {
        return ir_sext(b, t, n->a, bits);
    }
    return pure1(b, IR_OP_sext, t, bits, x);
}

static unsigned field(unsigned lsb, unsigned len) { return lsb | len << 8; }

IrRef ir_extract(IrBuilder *b, IrRef x, unsigned lsb, unsigned len)
{
    const IrNode *n = &b->nodes[x];
    unsigned w = ir_width(n->type);
    uint64_t c;

    if (known(b, x, &c)) {
        return ir_const(b, n->type, (int64_t)ir_eval_extract(field(lsb, len), c));
    }
    if (lsb >= bits_of(b, x)) {
        return ir_const(b, n->type, 0);
    }
    if (lsb == 0) {
        return len >= w ? x : ir_andi(b, x, (int64_t)ir_ones(len));
    }
    if (lsb + len >= bits_of(b, x)) {
        return pure2(b, IR_OP_shr, n->type, 0, x, ir_const(b, n->type, lsb));
    }
    return pure1(b, IR_OP_extract, n->type, field(lsb, len), x);
}

IrRef ir_sextract(IrBuilder *b, IrRef x, unsigned lsb, unsigned len)
{
    const IrNode *n = &b->nodes[x];
    unsigned w = ir_width(n->type);
    uint64_t c;

    if (known(b, x, &c)) {
        return ir_const(b, n->type, ir_sign(ir_eval_extract(field(lsb, len), c), len));
    }
    if (lsb + len >= w) {
        return lsb ? pure2(b, IR_OP_sar, n->type, 0, x, ir_const(b, n->type, lsb)) : x;
    }
    if (lsb == 0 && (len == 8 || len == 16 || len == 32)) {
        return ir_sext(b, n->type, x, len);
    }
    return pure1(b, IR_OP_sextract, n->type, field(lsb, len), x);
}

IrRef ir_deposit(IrBuilder *b, IrRef x, IrRef y, unsigned lsb, unsigned len)
{
    IrType t = b->nodes[x].type;
    uint64_t cx, cy;
    bool kx = known(b, x, &cx), ky = known(b, y, &cy);

    if (lsb == 0 && len >= ir_width(t)) {
        return y;
    }
    if (kx && ky) {
        return ir_const(b, t, (int64_t)ir_eval_deposit(field(lsb, len), cx, cy));
    }
    if (ky && (cy & ir_ones(len)) == 0) {
        return ir_andi(b, x, (int64_t)~(ir_ones(len) << lsb));
    }
    if (kx && cx == 0) {
        return ir_shli(b, ir_andi(b, y, (int64_t)ir_ones(len)), lsb);
    }
    return pure2(b, IR_OP_deposit, t, field(lsb, len), x, y);
}

/* ---- conditions ---- */

static const uint8_t inverse[] = {
    [IR_EQ] = IR_NE, [IR_NE] = IR_EQ, [IR_LT] = IR_GE, [IR_GE] = IR_LT, [IR_LE] = IR_GT,
    [IR_GT] = IR_LE, [IR_LTU] = IR_GEU, [IR_GEU] = IR_LTU, [IR_LEU] = IR_GTU, [IR_GTU] = IR_LEU,
    [IR_TST] = IR_NTST, [IR_NTST] = IR_TST,
};
/* With the operands exchanged. */
static const uint8_t mirror[] = {
    [IR_EQ] = IR_EQ, [IR_NE] = IR_NE, [IR_LT] = IR_GT, [IR_GE] = IR_LE, [IR_LE] = IR_GE,
    [IR_GT] = IR_LT, [IR_LTU] = IR_GTU, [IR_GEU] = IR_LEU, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU,
    [IR_TST] = IR_TST, [IR_NTST] = IR_NTST,
};

typedef struct Compare {
    IrCond cc;
    IrRef x, y;
} Compare;

/* Brings a comparison into its simplest form; returns 0 or 1 if decided, else -1. */
static int simplify(IrUnit *u, Compare *c)
{
    uint64_t cx, cy;
    unsigned w = ir_width(u->nodes[c->x].type);
    bool kx = known(u, c->x, &cx);

    if (kx && known(u, c->y, &cy)) {
        return ir_eval_cond(c->cc, w, cx, cy);
    }
    if (kx) {
        *c = (Compare){mirror[c->cc], c->y, c->x};
    }
    if (c->x == c->y) {
        switch (c->cc) {
        case IR_EQ: case IR_GE: case IR_LE: case IR_GEU: case IR_LEU: return 1;
        case IR_NE: case IR_LT: case IR_GT: case IR_LTU: case IR_GTU: return 0;
        default: break;
        }
    }
    if (known(u, c->y, &cy)) {
        const IrNode *n = &u->nodes[c->x];
        if ((c->cc == IR_NE || c->cc == IR_EQ || c->cc == IR_GTU || c->cc == IR_LEU) && cy == 0) {
            bool positive = c->cc == IR_NE || c->cc == IR_GTU;
            if (n->op == IR_OP_setcond) {
                *c = (Compare){positive ? n->aux : inverse[n->aux], n->a, n->b};
            } else if (n->op == IR_OP_and) {
                *c = (Compare){positive ? IR_TST : IR_NTST, n->a, n->b};
            } else if (n->op == IR_OP_zext && n->aux == 32 && u->nodes[n->a].type == IR_I32) {
                *c = (Compare){c->cc, n->a, ir_i32(u, 0)};
                return simplify(u, c);
            } else if (c->cc == IR_GTU || c->cc == IR_LEU) {
                c->cc = positive ? IR_NE : IR_EQ;
            }
            return -1;
        }
        if (c->cc == IR_LTU && cy == 0) {
            return 0;
        }
        if (c->cc == IR_GEU && cy == 0) {
            return 1;
        }
        if (cy == 0 && (c->cc == IR_TST || c->cc == IR_NTST)) {
            return c->cc == IR_NTST;
        }
        if (cy == 1 && n->op == IR_OP_setcond) {
            if (c->cc == IR_TST || c->cc == IR_EQ) {
                *c = (Compare){n->aux, n->a, n->b};
            } else if (c->cc == IR_NTST || c->cc == IR_NE) {
                *c = (Compare){inverse[n->aux], n->a, n->b};
            }
        }
    }
    return -1;
}

IrRef ir_setcond(IrBuilder *b, IrType t, IrCond cc, IrRef x, IrRef y)
{
    Compare c = {cc, x, y};
    int decided = simplify(b, &c);

    if (decided >= 0) {
        return ir_const(b, t, decided);
    }
    return pure2(b, IR_OP_setcond, t, c.cc, c.x, c.y);
}

IrRef ir_select(IrBuilder *b, IrRef cond, IrRef x, IrRef y)
{
    uint64_t c;

    if (known(b, cond, &c)) {
        return c ? x : y;
    }
    if (x == y) {
        return x;
    }
    if (is_value(b, x, 1) && is_value(b, y, 0) && bits_of(b, cond) <= 1) {
        return as_type(b, b->nodes[x].type, cond);
    }
    return pure(b, (IrNode){.op = IR_OP_select, .type = b->nodes[x].type, .a = cond, .b = x, .c = y});
}

IrRef ir_vec(IrBuilder *b, IrOp op, IrType t, IrLane lane, int32_t imm, IrRef x, IrRef y, IrRef z)
{
    IrNode n = {.op = op, .type = t, .aux = lane, .imm = imm, .a = x, .b = y, .c = z};

    if (ir_op_info[op].flags & IR_COMMUTES && n.a > n.b) {
        n.a = y;
        n.b = x;
    }
    return ir_op_info[op].flags & IR_PURE && !(ir_op_info[op].flags & IR_FP) ? pure(b, n) : ir_emit(b, n);
}

/* ---- memory ---- */

/* base + disp with constants moved from base to disp. */
static IrRef address(IrUnit *u, IrRef base, int32_t *disp)
{
    const IrNode *n = &u->nodes[base];
    uint64_t c;
    int64_t sum;

    if (n->op == IR_OP_add && known(u, n->b, &c) &&
        !__builtin_add_overflow((int64_t)c, *disp, &sum) && sum == (int32_t)sum) {
        *disp = (int32_t)sum;
        return n->a;
    }
    return base;
}

IrRef ir_load(IrBuilder *b, IrType t, IrRef base, int32_t disp, unsigned mop)
{
    base = address(b, base, &disp);
    return ir_emit(b, (IrNode){.op = IR_OP_load, .type = t, .aux = mop, .imm = disp, .a = base});
}

void ir_store(IrBuilder *b, IrRef base, int32_t disp, IrRef v, unsigned mop)
{
    base = address(b, base, &disp);
    ir_emit(b, (IrNode){.op = IR_OP_store, .type = b->nodes[v].type, .aux = mop, .imm = disp,
                        .a = base, .b = v});
}

void ir_probe(IrBuilder *b, IrRef base, int32_t disp, unsigned bytes, bool write, unsigned mmu)
{
    base = address(b, base, &disp);
    ir_emit(b, (IrNode){.op = IR_OP_probe, .aux = bytes, .imm = disp, .a = base,
                        .d = write | mmu << 1});
}

IrRef ir_rmw(IrBuilder *b, IrType t, IrRmw op, IrRef base, IrRef v, unsigned mop)
{
    return ir_emit(b, (IrNode){.op = IR_OP_rmw, .type = t, .aux = mop, .imm = op, .a = base, .b = v});
}

IrRef ir_cas(IrBuilder *b, IrType t, IrRef base, IrRef expected, IrRef desired, unsigned mop)
{
    return ir_emit(b, (IrNode){.op = IR_OP_cas, .type = t, .aux = mop, .a = base, .b = expected,
                               .c = desired});
}

void ir_fence(IrBuilder *b)
{
    ir_emit(b, (IrNode){.op = IR_OP_fence});
}

/* ---- calls ---- */

static int helper_index(IrUnit *u, const IrHelper *h)
{
    for (unsigned i = 0; i < u->n_helpers; i++) {
        if (u->helpers[i] == h) {
            return (int)i;
        }
    }
    if (u->n_helpers == IR_MAX_HELPERS) {
        u->overflow = true;
        return 0;
    }
    u->helpers[u->n_helpers] = h;
    return (int)u->n_helpers++;
}

IrRef ir_call(IrBuilder *b, const IrHelper *h, IrRef a0, IrRef a1, IrRef a2, IrRef a3)
{
    IrNode n = {.op = IR_OP_call, .type = h->ret, .imm = helper_index(b, h),
                .a = a0, .b = a1, .c = a2, .d = a3};
    const IrRef args[] = {a0, a1, a2, a3};
    bool slots = false;

    for (unsigned i = 0; i < 4; i++) {
        slots |= args[i] && b->nodes[args[i]].op == IR_OP_slot;
    }
    if (h->effects == 0 && !slots) {
        return pure(b, n);
    }
    IrRef r = ir_emit(b, n);
    if (h->effects & IR_H_WRITE) {
        ir_slots_forget_all(b);
    }
    for (unsigned i = 0; slots && i < 4; i++) {
        const IrNode *s = &b->nodes[args[i]];
        if (args[i] && s->op == IR_OP_slot && s->d & 2) {
            ir_slots_forget(b, s->imm, s->aux);
        }
    }
    return h->ret == IR_VOID ? 0 : r;
}

/* ---- control ---- */

void ir_insn(IrBuilder *b, uint64_t pc)
{
    int32_t at = (int32_t)(pc - b->page_base);

    if (b->n_insns == IR_MAX_INSNS) {
        b->overflow = true;
        return;
    }
    IrRef node = ir_emit(b, (IrNode){.op = IR_OP_insn, .imm = at});
    b->insns[b->n_insns++] = (IrInsnMark){at, node};
}

unsigned ir_label(IrBuilder *b)
{
    if (b->n_labels == IR_MAX_LABELS) {
        b->overflow = true;
        return IR_MAX_LABELS - 1;
    }
    b->state->first_branch[b->n_labels] = 0;
    return b->n_labels++;
}

static void branch(IrUnit *u, IrNode n)
{
    IrRef at = ir_emit(u, n);
    uint16_t *first = &u->state->first_branch[n.imm];

    if (!*first) {
        *first = at;
    }
}

void ir_br(IrBuilder *b, unsigned label)
{
    branch(b, (IrNode){.op = IR_OP_br, .imm = (int32_t)label});
    b->ended = true;
}

void ir_brcond(IrBuilder *b, IrCond cc, IrRef x, IrRef y, unsigned label)
{
    Compare c = {cc, x, y};
    int decided = simplify(b, &c);

    if (decided == 1) {
        ir_br(b, label);
    } else if (decided < 0) {
        branch(b, (IrNode){.op = IR_OP_brcond, .aux = c.cc, .imm = (int32_t)label, .a = c.x, .b = c.y});
    }
}

void ir_bind(IrBuilder *b, unsigned label)
{
    unsigned since = b->state->first_branch[label], now = b->n_nodes;

    if (since && now < IR_MAX_NODES) {
        uint64_t *dead = b->state->dead, low = ~0ull << since % 64, high = ~0ull >> (63 - now % 64);
        unsigned first = since / 64, last = now / 64;
        b->state->any_dead = true;
        for (unsigned w = first; w <= last; w++) {
            dead[w] |= (w == first ? low : ~0ull) & (w == last ? high : ~0ull);
        }
    }
    ir_emit(b, (IrNode){.op = IR_OP_bind, .imm = (int32_t)label});
    b->ended = false;
}

static void leave(IrUnit *u, IrNode n)
{
    ir_emit(u, n);
    u->ended = true;
}

/* A computed pc that is known after all is a direct exit. */
static bool direct(IrUnit *u, IrRef pc, uint64_t *target)
{
    const IrNode *n = &u->nodes[pc];

    if (n->op == IR_OP_pcrel) {
        *target = u->page_base + (uint64_t)n->imm64;
        return true;
    }
    return false;
}

void ir_goto_pc(IrBuilder *b, uint64_t pc)
{
    leave(b, (IrNode){.op = IR_OP_goto_pc, .imm64 = (int64_t)(pc - b->page_base)});
}

void ir_goto_ind(IrBuilder *b, IrRef pc)
{
    uint64_t target;

    if (direct(b, pc, &target)) {
        ir_goto_pc(b, target);
    } else {
        leave(b, (IrNode){.op = IR_OP_goto_ind, .a = pc});
    }
}

void ir_call_pc(IrBuilder *b, uint64_t pc, uint64_t ret_pc)
{
    leave(b, (IrNode){.op = IR_OP_call_pc, .imm = (int32_t)(ret_pc - b->page_base),
                      .imm64 = (int64_t)(pc - b->page_base)});
}

void ir_call_ind(IrBuilder *b, IrRef pc, uint64_t ret_pc)
{
    uint64_t target;

    if (direct(b, pc, &target)) {
        ir_call_pc(b, target, ret_pc);
    } else {
        leave(b, (IrNode){.op = IR_OP_call_ind, .imm = (int32_t)(ret_pc - b->page_base), .a = pc});
    }
}

void ir_ret(IrBuilder *b, IrRef pc) { leave(b, (IrNode){.op = IR_OP_ret, .a = pc}); }
void ir_resync(IrBuilder *b, IrRef pc) { leave(b, (IrNode){.op = IR_OP_resync, .a = pc}); }
