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

void jit_liveness(const IrUnit *u, Liveness *l, bool (*is_call)(const IrUnit *u, const IrNode *n))
{
    unsigned n_calls = 0;
    for (unsigned i = 0; i < u->n_nodes; i++)
        l->v[i] = (Val){.reg = -1};
    l->n_exits = l->n_mem = 0;
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
        if (is_call(u, n))
            l->calls[n_calls++] = i;
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
    if (u->n_labels)
        count_labels(u, l);
}
