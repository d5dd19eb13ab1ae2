/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backward pass over a finished unit: drops nodes that nobody reads and sets that are
 * overwritten before anybody looks.
 *
 * Observers of a slot are: a get that overlaps it, a call with IR_H_READ, IR_H_FAULT or IR_H_EXIT,
 * a slot argument that the helper reads, every exit, and a branch unless its target overwrites the
 * slot, too. An operation that may fault observes all slots, but only on its fault path: a set that
 * is overwritten with nothing but such operations in between stays, marked IR_SET_FAULT_ONLY, and
 * an engine may delay it into that path.
 */
#include <glib.h>
#include <string.h>

#include "ir/state.h"

enum { CELLS = 64, SAVED_LABELS = 6 };

/* For the bytes of a cell: overwritten later with no observer between / with only faults between. */
typedef struct Later {
    int32_t word;
    uint32_t gen, fault_gen;    /* `always` counts only while fault_gen is the pass's */
    uint8_t always, faults;
} Later;

typedef struct Pass {
    IrUnit *u;
    uint32_t gen, fault_gen;
    Later cells[CELLS];
    unsigned n_saved;
    Later saved[SAVED_LABELS][CELLS];
    int8_t at_label[IR_MAX_LABELS];     /* which of saved[], -1: everything is observed */
    uint64_t live[IR_MAX_NODES / 64];
} Pass;

static void use(Pass *p, IrRef v) { p->live[v / 64] |= 1ull << v % 64; }
static bool used(const Pass *p, IrRef v) { return p->live[v / 64] >> v % 64 & 1; }

static Later *later(Pass *p, int32_t word)
{
    Later *l = &p->cells[(uint32_t)word % CELLS];

    if (l->gen != p->gen || l->word != word) {
        *l = (Later){word, p->gen, p->fault_gen, 0, 0};
    } else if (l->fault_gen != p->fault_gen) {
        l->fault_gen = p->fault_gen;
        l->always = 0;
    }
    return l;
}

static const Later *peek(const Later *cells, uint32_t gen, int32_t word)
{
    const Later *l = &cells[(uint32_t)word % CELLS];

    return l->gen == gen && l->word == word ? l : NULL;
}

/* The bytes of cell `word` that [offset, offset + n) covers. */
static uint8_t mask_in(int32_t word, int32_t offset, unsigned n)
{
    int lo = offset - word * 8, hi = lo + (int)n;

    lo = MAX(lo, 0);
    hi = MIN(hi, 8);
    return (uint8_t)((1u << hi) - (1u << lo));
}

static void observe_all(Pass *p) { p->gen++; }

static void observe(Pass *p, int32_t offset, unsigned n)
{
    for (int32_t word = offset >> 3; word <= (int32_t)(offset + n - 1) >> 3; word++) {
        Later *l = &p->cells[(uint32_t)word % CELLS];
        if (l->gen == p->gen && l->word == word) {
            uint8_t m = mask_in(word, offset, n);
            l->always &= ~m;
            l->faults &= ~m;
        }
    }
}

static void observe_by_fault(Pass *p) { p->fault_gen++; }

static void save_label(Pass *p, unsigned label)
{
    bool any = false;

    p->at_label[label] = -1;
    for (unsigned i = 0; i < CELLS && !any; i++) {
        any = p->cells[i].gen == p->gen && p->cells[i].faults;
    }
    if (!any || p->n_saved == SAVED_LABELS) {
        return;
    }
    Later *to = p->saved[p->n_saved];
    memcpy(to, p->cells, sizeof(p->cells));
    for (unsigned i = 0; i < CELLS; i++) {
        to[i].gen = to[i].gen == p->gen;
        to[i].always &= to[i].fault_gen == p->fault_gen ? 0xff : 0;
    }
    p->at_label[label] = (int8_t)p->n_saved++;
}

/* Control also comes here from / goes to the label. */
static void join(Pass *p, unsigned label, bool only_there)
{
    const Later *there = p->at_label[label] < 0 ? NULL : p->saved[p->at_label[label]];

    if (!there) {
        observe_all(p);
        return;
    }
    if (only_there) {
        observe_all(p);
        for (unsigned i = 0; i < CELLS; i++) {
            p->cells[i] = there[i];
            p->cells[i].gen = there[i].gen ? p->gen : 0;
            p->cells[i].fault_gen = p->fault_gen;
        }
        return;
    }
    for (unsigned i = 0; i < CELLS; i++) {
        Later *l = &p->cells[i];
        const Later *o = peek(there, 1, l->word);
        l->always &= o ? o->always : 0;
        l->faults &= o ? o->faults : 0;
    }
}

/* Returns false if the set can go. */
static bool visit_set(Pass *p, IrNode *n)
{
    bool dead = true, faults = true;
    int32_t last = (int32_t)(n->imm + n->aux - 1) >> 3;

    for (int32_t word = n->imm >> 3; word <= last; word++) {
        const Later *l = peek(p->cells, p->gen, word);
        uint8_t m = mask_in(word, n->imm, n->aux);
        dead &= l && l->fault_gen == p->fault_gen && (l->always & m) == m;
        faults &= l && (l->faults & m) == m;
    }
    if (dead) {
        return false;
    }
    n->d = faults ? IR_SET_FAULT_ONLY : 0;
    for (int32_t word = n->imm >> 3; word <= last; word++) {
        Later *l = later(p, word);
        uint8_t m = mask_in(word, n->imm, n->aux);
        l->always |= m;
        l->faults |= m;
    }
    return true;
}

/* Returns false if the call can go. */
static bool visit_call(Pass *p, IrRef at, const IrNode *n)
{
    unsigned effects = p->u->helpers[n->imm]->effects;
    const IrRef args[] = {n->a, n->b, n->c, n->d};
    bool writes = effects != 0;

    for (unsigned i = 0; i < 4; i++) {
        const IrNode *s = &p->u->nodes[args[i]];
        writes |= args[i] && s->op == IR_OP_slot && s->d & 2;
    }
    if (!writes && !used(p, at)) {
        return false;
    }
    if (effects & (IR_H_READ | IR_H_FAULT | IR_H_EXIT)) {
        observe_all(p);
    }
    for (unsigned i = 0; i < 4; i++) {
        const IrNode *s = &p->u->nodes[args[i]];
        if (args[i] && s->op == IR_OP_slot) {
            observe(p, s->imm, s->aux);
        }
    }
    return true;
}

/* Returns false if the node can go. */
static bool visit(Pass *p, IrRef at, IrNode *n)
{
    const IrOpInfo *info = &ir_op_info[n->op];

    switch (n->op) {
    case IR_OP_set: return visit_set(p, n);
    case IR_OP_call: return visit_call(p, at, n);
    case IR_OP_bind: save_label(p, (unsigned)n->imm); return true;
    case IR_OP_br: join(p, (unsigned)n->imm, true); return true;
    case IR_OP_brcond: join(p, (unsigned)n->imm, false); return true;
    case IR_OP_get:
        if (used(p, at)) {
            observe(p, n->imm, n->aux);
            return true;
        }
        return false;
    }
    if (info->flags & IR_EXIT) {
        observe_all(p);
    } else if (info->flags & IR_FAULTS) {
        observe_by_fault(p);
    }
    return info->flags & (IR_EFFECT | IR_FAULTS) || used(p, at);
}

/* Code behind an exit that no branch leads to. */
static void drop_unreachable(IrUnit *u)
{
    uint8_t wanted[IR_MAX_LABELS] = {0};
    bool reachable = true;

    for (unsigned i = 1; i < u->n_nodes; i++) {
        IrNode *n = &u->nodes[i];
        if (n->op == IR_OP_bind) {
            reachable |= wanted[n->imm];
        }
        if (!reachable) {
            if (n->op != IR_OP_insn) {
                *n = (IrNode){.op = IR_OP_nop};
            }
        } else if (n->op == IR_OP_br || n->op == IR_OP_brcond) {
            wanted[n->imm] = true;
            reachable = n->op == IR_OP_brcond;
        } else if (ir_op_info[n->op].flags & IR_EXIT) {
            reachable = false;
        }
    }
}

void ir_optimize(IrUnit *u)
{
    Pass p;

    if (u->n_labels) {
        drop_unreachable(u);
        memset(p.at_label, -1, sizeof(p.at_label));
    }
    p.u = u;
    p.gen = p.fault_gen = 1;
    p.n_saved = 0;
    for (unsigned i = 0; i < CELLS; i++) {
        p.cells[i] = (Later){0};
    }
    memset(p.live, 0, (u->n_nodes + 63) / 64 * 8);
    for (unsigned i = u->n_nodes - 1; i > 0; i--) {
        IrNode *n = &u->nodes[i];
        if (n->op == IR_OP_nop) {
            continue;
        }
        if (!visit(&p, (IrRef)i, n)) {
            *n = (IrNode){.op = IR_OP_nop};
            continue;
        }
        const IrRef args[] = {n->a, n->b, n->c, n->d};
        for (unsigned k = 0; k < ir_op_info[n->op].args; k++) {
            use(&p, args[k]);
        }
    }
}
