/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot forwarding: what is known of the guest's state at the point where the builder stands.
 *
 * State is divided into cells of eight aligned bytes, found in a direct-mapped table. A cell knows
 * up to two pieces: `base`, and `over` on top of it (al written after rax). A read inside one piece
 * extracts; a read of both merges them by a deposit, which becomes the new base. Vectors are known
 * by their first cell only; a write to any of their cells drops them. Everything may be forgotten
 * at any time: a real get is always right.
 */
#include <glib.h>

#include "ir/state.h"
#include "ir/vector.h"

static IrCell *slot_of(IrUnit *u, int32_t word)
{
    return &u->state->cells[(uint32_t)word % IR_CELLS];
}

/* Forgets what became known on some ways to here only. */
static void bury(const IrState *s, IrCell *c)
{
    if (c->over.n && ir_dead(s, c->over.since)) {
        c->base.n = c->over.n = 0;
    }
    if (c->base.n && ir_dead(s, c->base.since)) {
        c->base.n = 0;
    }
}

/* The cell if something is known of it. */
static IrCell *find(IrUnit *u, int32_t word)
{
    IrCell *c = slot_of(u, word);

    bury(u->state, c);
    return c->gen == u->state->gen && c->word == word && (c->base.n || c->over.n) ? c : NULL;
}

static IrCell *make(IrUnit *u, int32_t word)
{
    IrCell *c = slot_of(u, word);

    if (c->gen != u->state->gen || c->word != word) {
        *c = (IrCell){.gen = u->state->gen, .word = word};
    }
    bury(u->state, c);
    return c;
}

void ir_slots_forget_all(IrUnit *u)
{
    u->state->gen++;
    u->state->vectors = false;
}

/* Vectors that begin in an earlier cell and reach this one. */
static void forget_vectors(IrUnit *u, int32_t word)
{
    for (int32_t i = 1; u->state->vectors && i <= 3; i++) {
        IrCell *c = find(u, word - i);
        if (c && c->base.n > 8 * i) {
            c->base.n = 0;
        }
    }
}

void ir_slots_forget(IrUnit *u, int32_t offset, unsigned bytes)
{
    int32_t first = offset >> 3, last = (int32_t)(offset + bytes - 1) >> 3;

    if (last - first >= IR_CELLS) {
        ir_slots_forget_all(u);
        return;
    }
    forget_vectors(u, first);
    for (int32_t word = first; word <= last; word++) {
        IrCell *c = find(u, word);
        if (c) {
            c->base.n = c->over.n = 0;
        }
    }
}

static bool inside(const IrPiece *p, unsigned lo, unsigned n)
{
    return p->n && lo >= p->lo && lo + n <= p->lo + p->n;
}

static bool overlaps(const IrPiece *p, unsigned lo, unsigned n)
{
    return p->n && lo < p->lo + p->n && p->lo < lo + n;
}

static IrRef to_type(IrUnit *u, IrType t, IrRef v)
{
    IrType from = u->nodes[v].type;

    return from == t ? v : t == IR_I32 ? ir_trunc(u, v) : ir_zext(u, t, v, 32);
}

/* Bytes lo..lo+n-1 of the cell out of a piece that holds them, as type t. */
static IrRef take(IrUnit *u, IrType t, const IrPiece *p, unsigned lo, unsigned n)
{
    unsigned at = (lo - p->lo) * 8;
    IrRef v = p->ref;

    if (t == IR_I32 && at + n * 8 <= 32) {
        v = to_type(u, t, v);
    }
    unsigned w = ir_width(u->nodes[v].type);
    if (at + n * 8 < w && !(p->clean && at + n * 8 == p->n * 8u && at == 0)) {
        v = at ? ir_extract(u, v, at, n * 8) : ir_zext(u, u->nodes[v].type, v, n * 8);
    } else if (at) {
        v = ir_shri(u, v, at);
    }
    return to_type(u, t, v);
}

/* Puts `over` into `base`, which contains it. */
static void merge(IrUnit *u, IrCell *c)
{
    IrType t = u->nodes[c->base.ref].type;

    c->base.ref = ir_deposit(u, c->base.ref, to_type(u, t, c->over.ref),
                             (c->over.lo - c->base.lo) * 8u, c->over.n * 8u);
    c->base.since = (uint16_t)u->n_nodes;
    c->over.n = 0;
}

static bool can_merge(const IrCell *c)
{
    return c->over.n && inside(&c->base, c->over.lo, c->over.n) && c->base.n <= 8;
}

/* What the cell knows of these bytes, or 0. */
static IrRef recall(IrUnit *u, IrCell *c, IrType t, unsigned lo, unsigned n)
{
    if (inside(&c->over, lo, n)) {
        return take(u, t, &c->over, lo, n);
    }
    if (!inside(&c->base, lo, n) || c->base.n > 8) {
        return 0;
    }
    if (overlaps(&c->over, lo, n)) {
        if (!can_merge(c)) {
            return 0;
        }
        merge(u, c);
    }
    return take(u, t, &c->base, lo, n);
}

/* The cell now holds this piece. */
static void learn(IrUnit *u, IrCell *c, IrPiece p)
{
    if (c->over.n && inside(&p, c->over.lo, c->over.n)) {
        c->over.n = 0;
    }
    if (!c->base.n || c->base.n > 8 || inside(&p, c->base.lo, c->base.n)) {
        c->base = p;
        if (overlaps(&c->over, p.lo, p.n)) {
            c->over.n = 0;      /* older, and partly covered */
        }
        return;
    }
    if (can_merge(c)) {
        merge(u, c);
    }
    if (c->over.n) {
        c->base = p;
        c->over.n = 0;
    } else {
        c->over = p;
    }
}

/* What a cell with a vector knows of a vector of type t there, or 0. A V128 of 32 bytes has zeroes above. */
static IrRef recall_vector(IrUnit *u, const IrCell *c, IrType t, unsigned bytes)
{
    IrRef v = c->base.ref;
    IrType from = u->nodes[v].type;

    if (c->over.n || c->base.n < bytes) {
        return 0;
    }
    if (from == t) {
        return c->base.n == bytes || bytes == 16 ? v : 0;
    }
    if (from == IR_V256) {
        return t == IR_V128 && bytes == 16 ? ir_v_low128(u, v) : 0;
    }
    return from == IR_V128 && t == IR_V256 && c->base.n == 32 ? ir_v_zext128(u, v) : 0;
}

static IrRef get_vector(IrUnit *u, IrType t, int32_t offset, unsigned bytes)
{
    IrCell *c = offset % 8 ? NULL : find(u, offset >> 3);
    IrRef known = c ? recall_vector(u, c, t, bytes) : 0;

    if (known) {
        return known;
    }
    IrRef v = ir_emit(u, (IrNode){.op = IR_OP_get, .type = t, .aux = bytes, .imm = offset});
    if (offset % 8 == 0) {
        c = make(u, offset >> 3);
        c->base = (IrPiece){v, v, 0, bytes, true};
        c->over.n = 0;
        u->state->vectors = true;
    }
    return v;
}

IrRef ir_get(IrBuilder *b, IrType t, int32_t offset, unsigned bytes)
{
    unsigned lo = offset & 7;

    if (bytes > 8) {
        return get_vector(b, t, offset, bytes);
    }
    IrCell *c = find(b, offset >> 3);
    if (c && ir_is_int(t)) {
        IrRef v = recall(b, c, t, lo, bytes);
        if (v) {
            return v;
        }
    }
    IrRef v = ir_emit(b, (IrNode){.op = IR_OP_get, .type = t, .aux = bytes, .imm = offset});
    if (lo + bytes > 8 || !ir_is_int(t) || (c && c->base.n > 8)) {
        return v;
    }
    /* What the pieces knew is contained in what was read now. */
    learn(b, make(b, offset >> 3), (IrPiece){v, v, lo, bytes, true});
    return v;
}

static bool already(IrUnit *u, int32_t offset, unsigned bytes, IrRef v)
{
    IrCell *c = find(u, offset >> 3);
    unsigned lo = offset & 7;

    if (!c) {
        return false;
    }
    if (c->over.n) {
        return c->over.ref == v && c->over.lo == lo && c->over.n == bytes;
    }
    return c->base.ref == v && c->base.lo == lo && c->base.n == bytes;
}

void ir_set(IrBuilder *b, int32_t offset, unsigned bytes, IrRef v)
{
    unsigned lo = offset & 7;

    if (bytes == 32 && b->nodes[v].op == IR_OP_v_zext128) {
        v = b->nodes[v].a;
    }
    IrType t = b->nodes[v].type;
    if (already(b, offset, bytes, v)) {
        return;
    }
    IrRef at = ir_emit(b, (IrNode){.op = IR_OP_set, .type = t, .aux = bytes, .imm = offset, .a = v});
    IrPiece p = {v, at, lo, bytes, false};
    if (bytes > 8 || lo + bytes > 8 || !ir_is_int(t)) {
        ir_slots_forget(b, offset, bytes);
        if (bytes > 8 && lo == 0) {
            make(b, offset >> 3)->base = p;
            b->state->vectors = true;
        }
        return;
    }
    forget_vectors(b, offset >> 3);
    learn(b, make(b, offset >> 3), p);
}

IrRef ir_slot(IrBuilder *b, int32_t offset, unsigned bytes, unsigned rw)
{
    return ir_emit(b, (IrNode){.op = IR_OP_slot, .type = IR_I64, .aux = bytes, .imm = offset, .d = rw});
}
