/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass: dead nodes, last uses, predecessors of labels. See alloc.h. */
#include "accel/jit/alloc.h"

#include <string.h>

static void use(Liveness *l, IrRef ref, unsigned at)
{
    Val *v = &l->v[ref];
    if (!v->last)
        v->last = at;
    if (v->flags & V_FUSED)             /* another reader: it must be a value after all */
        v->flags ^= V_FUSED | V_UNFUSED;
    v->flags |= V_LIVE;
}

/* A comparison whose only reader is a select or a branch is emitted there. */
static bool fuses(const IrUnit *u, Liveness *l, const IrNode *n)
{
    bool zero_test = n->op == IR_OP_brcond && (n->aux == IR_NE || n->aux == IR_EQ) &&
                     u->nodes[n->b].op == IR_OP_const && u->nodes[n->b].imm64 == 0;
    if (n->op != IR_OP_select && !zero_test)
        return false;
    return u->nodes[n->a].op == IR_OP_setcond && !l->v[n->a].last;
}

static void count_labels(const IrUnit *u, Liveness *l)
{
    memset(l->preds, 0, u->n_labels);
    bool open = true;           /* control can fall through to here */
    for (unsigned i = 1; i < u->n_nodes; i++) {
        const IrNode *n = &u->nodes[i];
        if (n->op == IR_OP_bind) {
            l->preds[n->imm] += open;
            open = true;
        } else if (n->op == IR_OP_br || n->op == IR_OP_brcond) {
            l->preds[n->imm]++;
            open = n->op == IR_OP_brcond;
        } else if (ir_op_info[n->op].flags & IR_EXIT) {
            open = false;
        }
    }
}

/* ---- shares ---- */

enum { OPEN = 3 };              /* at a time: each wants a register */

static unsigned open_for(const Liveness *l, const uint8_t *open, IrRef base)
{
    unsigned k = 0;
    while (k < OPEN && !(open[k] && l->shares[open[k] - 1].base == base))
        k++;
    return k;
}

/* Going backward: node i joins the share of its base, or opens one. */
static void share(Liveness *l, uint8_t *open, unsigned *turn, const IrNode *n, unsigned i)
{
    bool store = n->op == IR_OP_store || (n->aux & IR_MREADW);
    int32_t lo = n->imm, hi = lo + (int32_t)IR_MBYTES(n->aux);
    l->share[i] = 0;
    if (n->aux & (IR_MMU_MASK | IR_MALIGN) || hi < lo)
        return;
    unsigned k = open_for(l, open, n->a);
    if (k < OPEN) {
        JitShare *s = &l->shares[open[k] - 1];
        int32_t from = lo < s->lo ? lo : s->lo, to = hi > s->hi ? hi : s->hi;
        if ((int64_t)to - from <= JIT_SHARE_SPAN) {
            s->lo = from;
            s->hi = to;
            s->count++;
            s->store |= store;
            l->share[i] = open[k];
            return;
        }
    } else {
        k = (*turn)++ % OPEN;
    }
    if (l->n_shares == JIT_MAX_SHARES)
        return;
    l->shares[l->n_shares] = (JitShare){.base = n->a, .store = store, .count = 1, .last = i, .lo = lo, .hi = hi};
    l->share[i] = open[k] = ++l->n_shares;
}

/* Those behind a brcond may go on with what was found before it; those at a label come from anywhere. */
static bool ends_shares(const IrUnit *u, const Liveness *l, unsigned i)
{
    const IrNode *n = &u->nodes[i];
    if (n->op == IR_OP_bind)
        return i < 3 || !jit_is_side_exit(u, l, i - 2);
    return ir_op_info[n->op].flags & IR_EXIT && !(i >= 2 && jit_is_side_exit(u, l, i - 1));
}

/* The right to store, which only those behind a branch need, may be missing. */
static void close_stores(const Liveness *l, uint8_t *open)
{
    for (unsigned k = 0; k < OPEN; k++)
        if (open[k] && l->shares[open[k] - 1].store)
            open[k] = 0;
}

void jit_liveness(const IrUnit *u, Liveness *l, bool (*is_call)(const IrUnit *u, const IrNode *n))
{
    unsigned n_calls = 0, turn = 0;
    uint8_t open[OPEN] = {0};
    l->n_shares = 0;
    for (unsigned i = 0; i < u->n_nodes; i++)
        l->v[i] = (Val){.reg = -1};
    l->n_exits = l->n_mem = 0;
    if (u->n_labels)
        count_labels(u, l);
    for (unsigned i = u->n_nodes - 1; i > 0; i--) {
        const IrNode *n = &u->nodes[i];
        const IrOpInfo *info = &ir_op_info[n->op];
        Val *v = &l->v[i];
        if (info->flags & (IR_EFFECT | IR_FAULTS))
            v->flags |= V_LIVE;
        else if (!(v->flags & V_LIVE))
            continue;
        if (n->op == IR_OP_nop)
            continue;
        l->n_exits += (info->flags & IR_EXIT) != 0;
        l->n_mem += (info->flags & IR_FAULTS) != 0;
        bool call = is_call(u, n);
        if (call)
            l->calls[n_calls++] = i;
        if (n->op == IR_OP_load || n->op == IR_OP_store)
            share(l, open, &turn, n, i);
        else if (call || ends_shares(u, l, i))
            memset(open, 0, sizeof open);
        else if (n->op == IR_OP_brcond)
            close_stores(l, open);
        if (!info->args)
            continue;
        if (info->args >= 4 && n->d)
            use(l, n->d, i);
        if (info->args >= 3 && n->c)
            use(l, n->c, i);
        if (info->args >= 2 && n->b)
            use(l, n->b, i);
        if (!n->a)
            continue;
        if (fuses(u, l, n)) {
            const IrNode *cmp = &u->nodes[n->a];
            l->v[n->a].flags |= V_FUSED;
            l->v[n->a].last = i;
            use(l, cmp->b, i);
            use(l, cmp->a, i);
        } else {
            use(l, n->a, i);
        }
    }
    for (unsigned i = 0; i < n_calls / 2; i++) {
        uint16_t t = l->calls[i];
        l->calls[i] = l->calls[n_calls - 1 - i];
        l->calls[n_calls - 1 - i] = t;
    }
    l->calls[n_calls] = 0xffff;
    l->n_calls = n_calls;
}
