/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units that jump to their own start: what they carry from round to round stays in registers.
 *
 * A slot is carried when the unit reads its value at the start and sets it as a whole. Before the
 * loop's head it is loaded, and pending from then on (as if it had just been set), so faults and
 * exits store it like any other pending set. The jump back stores what else is pending and moves
 * each carried slot's last value to the register in which the head expects it.
 *
 * Such a jump stays within the unit: when the unit dies it is redirected (JitUnit.loops).
 */
#include "accel/jit/x86_64/emit.h"

enum { MAX_GPRS = 6, MAX_VECS = 8, MAX_SETS = 64 };

static bool overlap(int32_t a, unsigned an, int32_t b, unsigned bn)
{
    return a < b + (int32_t)bn && b < a + (int32_t)an;
}

static int64_t start_of(const IrUnit *u)
{
    return (int64_t)(u->pc - u->page_base);
}

/* The unit jumps to its start and calls no C function on the way. */
static bool is_loop(const Emit *e)
{
    const IrUnit *u = e->u;
    if (e->once || u->icount || e->live.n_calls)
        return false;
    for (unsigned i = u->n_nodes - 1; i > 0; i--)
        if (u->nodes[i].op == IR_OP_goto_pc && u->nodes[i].imm64 == start_of(u))
            return true;
    return false;
}

/* Reads of the state at the start, one per slot. */
static void find_reads(Emit *e)
{
    const IrUnit *u = e->u;
    const IrNode *sets[MAX_SETS];
    unsigned n_sets = 0;
    for (unsigned i = 1; i < u->n_nodes && e->n_carried < MAX_CARRIED; i++) {
        const IrNode *n = &u->nodes[i];
        bool clean = n->op == IR_OP_get && e->v[i].flags & V_LIVE &&
                     (n->aux == type_bytes(n->type) || (n->type == IR_V128 && n->aux == 8)) &&
                     (!is_vec(n->type) || e->host & HOST_AVX2);
        if (n->op == IR_OP_bind)
            return;
        if (n->op == IR_OP_set) {
            if (n_sets == MAX_SETS)
                return;
            sets[n_sets++] = n;
        }
        for (unsigned k = 0; clean && k < n_sets; k++)
            clean = !overlap(sets[k]->imm, sets[k]->aux, n->imm, n->aux);
        for (unsigned k = 0; clean && k < e->n_carried; k++)
            clean = !overlap(e->carried[k].off, e->carried[k].bytes, n->imm, n->aux);
        if (clean)
            e->carried[e->n_carried++] = (Carried){.off = n->imm, .bytes = n->aux,
                                                       .vec = is_vec(n->type), .get = i};
    }
}

static bool vector_grows(unsigned from, unsigned to)
{
    return to == from || (to > from && from >= 16);
}

/* The V128 read from a slot of 32 bytes goes somewhere as 32 bytes: what lies above it in its register
 * must be zero then, and is not. */
static bool goes_wide(const Emit *e, const Carried *c)
{
    if (!c->vec || c->bytes != 32 || node_of(e, c->get)->type != IR_V128)
        return false;
    for (unsigned i = c->get + 1; i < e->u->n_nodes; i++) {
        const IrNode *n = &e->u->nodes[i];
        if (n->op == IR_OP_set && n->a == c->get && n->aux == 32)
            return true;
    }
    return false;
}

/* Whether the unit sets the whole slot. It may be wider than what was read (eax in rax, xmm0 in ymm0): bits
 * of an I32 or V128 above its own may be anything. */
static bool is_set(const Emit *e, Carried *c)
{
    bool whole = false;
    for (unsigned i = 1; i < e->u->n_nodes; i++) {
        const IrNode *n = &e->u->nodes[i];
        if (n->op != IR_OP_set || !overlap(n->imm, n->aux, c->off, c->bytes))
            continue;
        if (c->vec != is_vec(n->type) || (c->vec && (n->imm != c->off || !vector_grows(c->bytes, n->aux))))
            return false;
        if (n->imm == c->off && n->aux >= c->bytes) {
            c->bytes = n->aux;
            whole = true;
        }
    }
    if (goes_wide(e, c))
        return false;
    for (unsigned i = 1; i < e->u->n_nodes; i++) {      /* now that its size is known */
        const IrNode *n = &e->u->nodes[i];
        if (n->op == IR_OP_set && overlap(n->imm, n->aux, c->off, c->bytes) &&
            (n->imm < c->off || n->imm + n->aux > c->off + c->bytes))
            return false;
    }
    return whole;
}

void loop_begin(Emit *e)
{
    unsigned room[2] = {MAX_GPRS, MAX_VECS}, n = 0;
    e->n_carried = e->n_loops = 0;
    if (!is_loop(e))
        return;
    find_reads(e);
    for (unsigned k = 0; k < e->n_carried; k++) {
        Carried c = e->carried[k];
        if (room[c.vec] && is_set(e, &c)) {
            room[c.vec]--;
            e->carried[n++] = c;
        }
    }
    e->n_carried = n;
    for (unsigned k = 0; k < n; k++) {
        Carried *c = &e->carried[k];
        c->reg = reg_alloc(e, c->vec ? VECS : GPRS, c->get);
        load_slot(&e->a, c->reg, c->off - e->bias, c->bytes);
        reg_bind(e, c->reg, c->get);
        e->v[c->get].flags |= V_CARRIED;
        e->v[c->get].pend = 1;
        e->pend[e->n_pend++] = (Pend){.off = c->off, .bytes = c->bytes, .v = c->get};
    }
    e->lock = 0;
    e->loop_head = e->a.p;
}

/* The pending set of just this slot, or NULL: then memory knows it when all others are stored. */
static const Pend *final_of(const Emit *e, const Carried *c)
{
    const Pend *found = NULL;
    for (unsigned k = 0; k < e->n_pend; k++) {
        const Pend *p = &e->pend[k];
        if (!overlap(p->off, p->bytes, c->off, c->bytes))
            continue;
        if (found || p->off != c->off || p->bytes != c->bytes)
            return NULL;
        found = p;
    }
    return found;
}

static void move(Emit *e, int to, int from)
{
    if (to >= XMM)
        vec_move(&e->a, to, from);
    else
        op_rr(&e->a, X_MOV | O_W, to, from);
}

/* to[k] := from[k], all at once; from -1: not a register. */
static void move_all(Emit *e, const int8_t *to, int8_t *from, unsigned n)
{
    uint32_t todo = 0;
    for (unsigned k = 0; k < n; k++)
        if (from[k] >= 0 && from[k] != to[k])
            todo |= BIT(k);
    while (todo) {
        uint32_t before = todo;
        for (uint32_t m = todo; m; m &= m - 1) {
            unsigned k = __builtin_ctz(m);
            bool wanted = false;
            for (uint32_t o = todo & ~BIT(k); o; o &= o - 1)
                wanted |= from[__builtin_ctz(o)] == to[k];
            if (wanted)
                continue;
            move(e, to[k], from[k]);
            todo &= ~BIT(k);
        }
        if (todo == before) {           /* a circle: one of its sources moves aside */
            unsigned k = __builtin_ctz(todo);
            int aside = from[k] >= XMM ? XMM_SCRATCH : RAX, old = from[k];
            move(e, aside, old);
            for (uint32_t o = todo; o; o &= o - 1)
                if (from[__builtin_ctz(o)] == old)
                    from[__builtin_ctz(o)] = aside;
        }
    }
}

/* Leaves with the state as it is at the head. */
static void leave_at_head(Emit *e)
{
    static const unsigned ops[] = {[4] = X_MOV_MR, [8] = X_MOV_MR | O_W};
    Asm *a = &e->a;
    for (unsigned k = 0; k < e->n_carried; k++) {
        const Carried *c = &e->carried[k];
        if (c->vec)
            vec_store(a, c->reg, RBP, c->off - e->bias, c->bytes);
        else
            op_rm(a, ops[c->bytes], c->reg, RBP, c->off - e->bias);
    }
    op_rm(a, X_LEA | O_W, RAX, R12, start_of(e->u));
    op_movi(a, RCX, JIT_LEFT);
    op_jmp_to(a, jit_rw(e->jit, e->jit->stubs.exit));
}

bool loops_to(const Emit *e, int64_t off)
{
    return e->n_carried && e->n_loops < JIT_MAX_LOOPS && off == start_of(e->u);
}

void emit_loop(Emit *e)
{
    const Pend *final[MAX_CARRIED];
    int8_t to[MAX_CARRIED], from[MAX_CARRIED];
    for (unsigned k = 0; k < e->n_carried; k++)
        final[k] = final_of(e, &e->carried[k]);
    for (unsigned p = 0; p < e->n_pend; p++) {
        bool moves = false;
        for (unsigned k = 0; k < e->n_carried; k++)
            moves |= final[k] == &e->pend[p];
        if (!moves)
            slot_store(e, &e->a, &e->pend[p]);
    }
    for (unsigned k = 0; k < e->n_carried; k++) {
        to[k] = e->carried[k].reg;
        from[k] = final[k] ? e->v[final[k]->v].reg : -1;
    }
    move_all(e, to, from, e->n_carried);
    for (unsigned k = 0; k < e->n_carried; k++) {
        const Carried *c = &e->carried[k];
        if (!final[k])
            load_slot(&e->a, c->reg, c->off - e->bias, c->bytes);
        else if (e->v[final[k]->v].reg < 0)
            value_into(e, &e->a, c->reg, final[k]->v);
        if (c->vec && c->bytes == 8)
            vex_rr(&e->a, X_MOVQ_XX, c->reg - XMM, 0, c->reg - XMM);
    }
    test_req(e, &e->a);
    align_patch(e, 2);
    uint8_t *at = op_jcc(&e->a, CC_E);
    asm_fix32(at, e->loop_head);
    e->loops[e->n_loops++] = at - e->jit->cache.rw;
    leave_at_head(e);
}
