/* SPDX-License-Identifier: Apache-2.0 */
/* Labels, branches and exits; jumps between hot and cold code. */
#include "accel/jit/x86_64/emit.h"

/* ---- jumps between hot and cold code ---- */

uint32_t hot_offset(const Emit *e)
{
    return e->a.p - e->jit->cache.rw;
}

static void to_cold(Emit *e, uint8_t *at, const uint8_t *cold)
{
    e->to_cold[e->n_to_cold++] = (Fix){.at = at - e->start, .target = cold - e->cold};
    if (e->n_to_cold >= MAX_FIXES)
        e->n_to_cold--, e->fail = true;
}

void cold_jcc(Emit *e, unsigned cc, const uint8_t *cold)
{
    to_cold(e, op_jcc(&e->a, cc), cold);
}

void cold_jmp(Emit *e, const uint8_t *cold)
{
    to_cold(e, op_jmp(&e->a), cold);
}

void from_cold_to(Emit *e, uint32_t target)
{
    e->from_cold[e->n_from_cold++] = (Fix){.at = e->c.p - e->cold, .target = target};
    if (e->n_from_cold >= MAX_FIXES)
        e->n_from_cold--, e->fail = true;
    a32(&e->c, 0);
}

void from_cold(Emit *e, unsigned opcode, uint32_t target)
{
    a8(&e->c, opcode);
    from_cold_to(e, target);
}

void from_cold_hot(Emit *e, const uint8_t *hot)
{
    from_cold(e, 0xe9, hot - e->jit->cache.rw);
}

/* ---- labels ---- */

static void snap_take(Emit *e, unsigned label)
{
    Label *l = &e->labels[label];
    if (l->snap)
        return;
    Snap *s = l->snap = &e->snaps[e->n_snaps++];
    memcpy(s->in, e->in, sizeof s->in);
    s->spilled = s->zx = 0;
    for (uint32_t m = (GPRS | VECS) & ~e->free; m; m &= m - 1) {
        int r = __builtin_ctz(m);
        if (e->facts & BIT(r)) {
            s->in[r] = 0;
            continue;
        }
        if (e->v[e->in[r]].flags & V_SPILLED)
            s->spilled |= BIT(r);
        if (e->v[e->in[r]].flags & V_ZX)
            s->zx |= BIT(r);
    }
    s->pc_off = e->pc_off;
    s->insns = e->insns;
    s->n_pend = e->n_pend;
    memcpy(s->pend, e->pend, e->n_pend * sizeof *s->pend);
    s->n_homed = e->n_homed;
    for (unsigned k = 0; k < e->n_homed; k++) {
        s->homed[k] = e->homed[k];
        s->home[k] = e->v[e->homed[k]];
    }
}

static void snap_restore(Emit *e, const Snap *s)
{
    for (uint32_t m = (GPRS | VECS) & ~e->free; m; m &= m - 1)
        reg_release(e, __builtin_ctz(m));
    for (unsigned k = 0; k < e->n_pend; k++)
        e->v[e->pend[k].v].pend--;
    for (unsigned k = 0; k < e->n_homed; k++)
        e->v[e->homed[k]].flags &= ~V_HOME;
    if (!e->reachable) {        /* ways out in the middle are emitted at the end */
        e->pc_off = s->pc_off;
        e->insns = s->insns;
    }
    e->n_pend = s->n_pend;
    memcpy(e->pend, s->pend, s->n_pend * sizeof *s->pend);
    for (unsigned k = 0; k < e->n_pend; k++)
        e->v[e->pend[k].v].pend++;
    e->n_homed = s->n_homed;
    for (unsigned k = 0; k < s->n_homed; k++) {
        Val *v = &e->v[s->homed[k]];
        e->homed[k] = s->homed[k];
        v->flags |= V_HOME;
        v->home = s->home[k].home;
        v->home_bytes = s->home[k].home_bytes;
        if (!(s->home[k].flags & V_SPILLED))
            v->flags &= ~V_SPILLED;
    }
    for (int r = 0; r < N_REGS; r++) {
        IrRef v = s->in[r];
        if (!v || !needed(e, v))
            continue;
        reg_bind(e, r, v);
        e->v[v].flags &= ~(V_SPILLED | V_ZX);
        e->v[v].flags |= (s->spilled & BIT(r) ? V_SPILLED : 0) | (s->zx & BIT(r) ? V_ZX : 0);
    }
    e->lock = 0;
}

/* With several ways to a label, nothing is pending and values sit where the first way had them. */
static void label_prepare(Emit *e, unsigned label)
{
    if (e->live.preds[label] > 1)
        pend_flush_all(e);
}

/* True if moves are needed to bring values to where the label expects them. */
static bool edge_differs(const Emit *e, const Snap *s)
{
    for (int r = 0; r < N_REGS; r++)
        if (s->in[r] && e->v[s->in[r]].last > e->at && e->in[r] != s->in[r])
            return true;
    return false;
}

/* Everything goes through cells: rare, so short rather than quick. First the stores, which both
 * sides of a conditional branch execute, then the loads on the way to the label. */
static void edge_spills(Emit *e, const Snap *s)
{
    for (int r = 0; r < N_REGS; r++) {
        IrRef v = s->in[r];
        if (v && e->v[v].last > e->at && e->in[r] != v && e->v[v].reg >= 0 &&
            !(e->v[v].flags & (V_SPILLED | V_REMAKE)))
            spill(e, v);
    }
}

static void edge_loads(Emit *e, const Snap *s)
{
    for (int r = 0; r < N_REGS; r++) {
        IrRef v = s->in[r];
        if (!v || e->v[v].last <= e->at || e->in[r] == v)
            continue;
        int8_t reg = e->v[v].reg;
        e->v[v].reg = -1;
        value_into(e, &e->a, r, v);
        e->v[v].reg = reg;
    }
}

static void label_jump(Emit *e, unsigned label, uint8_t *at)
{
    Label *l = &e->labels[label];
    int32_t back = l->fixes ? (int32_t)(at - l->fixes) : 0;
    memcpy(at, &back, 4);
    l->fixes = at;
    l->reached = true;
}

/* Homed values that live across a label with several ways are loaded before the first. */
static void homes_settle(Emit *e, unsigned label)
{
    if (e->live.preds[label] <= 1)
        return;
    unsigned k = 0;
    uint32_t lock = e->lock;
    for (unsigned h = 0; h < e->n_homed; h++) {
        IrRef v = e->homed[h];
        if (e->v[v].last <= e->at) {
            e->homed[k++] = v;
            continue;
        }
        value_use(e, v);
        if (!(e->v[v].flags & V_SPILLED))
            spill(e, v);
        e->v[v].flags &= ~V_HOME;
        e->lock = lock;
    }
    e->n_homed = k;
}

void emit_br(Emit *e, const IrNode *n)
{
    label_prepare(e, n->imm);
    homes_settle(e, n->imm);
    const Snap *s = e->labels[n->imm].snap;
    if (s && edge_differs(e, s)) {
        edge_spills(e, s);
        edge_loads(e, s);
    }
    snap_take(e, n->imm);
    label_jump(e, n->imm, op_jmp(&e->a));
    e->reachable = false;
}

void emit_bind(Emit *e, const IrNode *n)
{
    Label *l = &e->labels[n->imm];
    if (e->reachable && l->reached) {
        label_prepare(e, n->imm);
        homes_settle(e, n->imm);
        if (edge_differs(e, l->snap)) {
            edge_spills(e, l->snap);
            edge_loads(e, l->snap);
        }
    }
    for (uint8_t *at = l->fixes; at;) {
        int32_t back;
        memcpy(&back, at, 4);
        asm_fix32(at, e->a.p);
        at = back ? at - back : NULL;
    }
    if (l->snap)
        snap_restore(e, l->snap);
    e->reachable |= l->reached;
}

/* ---- exits ---- */

static bool is_cold(const Emit *e, const uint8_t *at)
{
    return at >= e->cold && at < e->cold + COLD_SIZE;
}

static void lead_to(Emit *e, uint8_t *at, const uint8_t *cold)
{
    if (is_cold(e, at))
        asm_fix32(at, cold);
    else
        to_cold(e, at, cold);
}

/* Cold code that leaves for the constant pc `off`, linked later. The displacement at `at` leads there
 * at first. */
static uint8_t *exit_stub(Emit *e, int64_t off, uint8_t *at)
{
    Jit *j = e->jit;
    uint8_t *stub = e->c.p;
    bool in_page = off >= 0 && off < JIT_PAGE;
    if ((in_page || (fits32(off) && !e->once)) && e->n_exits < JIT_MAX_EXITS) {
        JitExit *x = &e->exits[e->n_exits];
        x->bridge = 0;
        x->at_cold = is_cold(e, at);
        x->at = at - (x->at_cold ? e->cold : j->cache.rw);
        x->stub = stub - e->cold;
        x->target = off;
        a8(&e->c, 0xb8 | RCX);
        a32(&e->c, e->n_exits++);       /* jit_emit() puts the descriptor's offset here */
        op_rm(&e->c, X_LEA | O_W, RAX, R12, off);
        from_cold(e, 0xe9, e->link);
        if (!in_page) {
            x->bridge = e->c.p - e->cold;
            e->c.p += BRIDGE_SIZE;
        }
    } else {
        if (fits32(off)) {
            op_rm(&e->c, X_LEA | O_W, RAX, R12, off);
        } else {
            op_movi(&e->c, RAX, off);
            op_rr(&e->c, X_ADD | O_W, RAX, R12);
        }
        from_cold(e, 0xe9, e->probe);
    }
    lead_to(e, at, stub);
    return stub;
}

/* The stub's displacement stands behind `mov ecx, id`, `lea rax, [r12 + off]` and the opcode of jmp. If it
 * crosses a cache line others could see half of it: then the stub stays as it is. */
void jit_patch_probe(Jit *j, const JitExit *x)
{
    unsigned lea = 4 + (!x->target ? 0 : x->target == (int8_t)x->target ? 1 : 4);
    uint32_t at = x->stub + 5 + lea + 1;
    if (at % 64 <= 60)
        jit_patch(j, at, j->stubs.probe);
}

/* rsi: the target's page. The fetch entry must be for it and lead to the page of host memory that the
 * target was translated from; else the jump cache is asked. */
static void make_bridge(Jit *j, JitExit *x, const uint8_t *page)
{
    Asm a = {.p = jit_rw(j, x->bridge)};
    int32_t array = (int32_t)offsetof(TlbInstance, entries) + MEM_FETCH * TLB_SIZE * sizeof(TlbEntry);
    op_rm(&a, X_LEA | O_W, RSI, R12, x->target & -JIT_PAGE);
    op_rr(&a, X_MOV, RCX, RSI);
    op_shift(&a, G_SHR, 0, RCX, 8);
    op_ri(&a, G_AND, 0, RCX, (TLB_SIZE - 1) << 4);
    op_rmx(&a, X_CMP | O_W, RSI, R14, RCX, 0, array);
    uint8_t *other = op_jcc(&a, CC_NE);
    op_rmx(&a, X_MOV | O_W, RDX, R14, RCX, 0, array + 8);
    op_rr(&a, X_ADD | O_W, RDX, RSI);
    op_movi(&a, RCX, (uintptr_t)page);
    op_rr(&a, X_CMP | O_W, RDX, RCX);
    uint8_t *moved = op_jcc(&a, CC_NE);
    op_rr(&a, X_MOV | O_W, R12, RSI);
    unsigned skip = (a.p + 1 - j->cache.rw) & 3;
    if (skip)
        op_nops(&a, 4 - skip);
    uint8_t *at = op_jmp(&a);
    asm_fix32(other, a.p);
    asm_fix32(moved, a.p);
    op_rm(&a, X_LEA | O_W, RAX, R12, x->target);
    op_jmp_to(&a, jit_rw(j, j->stubs.probe));
    x->bridged = page;
    x->jump = at - j->cache.rw;
}

bool jit_patch_bridge(Jit *j, JitExit *x, const JitUnit *to)
{
    const uint8_t *page = to->host - to->at;
    if (!x->bridged)
        make_bridge(j, x, page);
    if (x->bridged != page)
        return false;
    jit_patch(j, x->jump, to->code);
    return true;
}

/* Padding so that a displacement `skip` bytes ahead is aligned and can be patched atomically. */
static void align_patch_in(Asm *a, const uint8_t *from, unsigned skip)
{
    unsigned off = (a->p - from + skip) & 3;
    if (off)
        op_nops(a, 4 - off);
}

void align_patch(Emit *e, unsigned skip)
{
    align_patch_in(&e->a, e->jit->cache.rw, skip);
}

static void icount_refund(Emit *e, Asm *a)
{
    if (e->u->icount && e->insns < e->u->n_insns)
        op_mi(a, G_ADD, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns - e->insns);
}

static bool backward(const Emit *e, int64_t off)
{
    return off <= e->pc_off;
}

void test_req(Emit *e, Asm *a)
{
    op_mi(a, G_CMP, 0, RBP, CPU_DISP(e, req), 0);
}

/* Stores what is pending and leaves, in hot or in cold code. */
static void leave_to(Emit *e, Asm *a, int64_t off)
{
    uint8_t *poll = NULL;
    pend_store_all(e, a);
    icount_refund(e, a);
    if (backward(e, off)) {
        test_req(e, a);
        poll = op_jcc(a, CC_NE);
    }
    align_patch_in(a, a == &e->c ? e->cold : e->jit->cache.rw, 1);
    uint8_t *stub = exit_stub(e, off, op_jmp(a));
    if (poll)
        lead_to(e, poll, stub);
}

void emit_goto_pc(Emit *e, int64_t off)
{
    if (loops_to(e, off))
        emit_loop(e);
    else
        leave_to(e, &e->a, off);
    e->reachable = false;
}

/* Guest calls are host calls: the guest's return pc is pushed below the host's return address, where
 * emit_ret() compares it. 16 bytes per call, so the stack stays aligned. */
static void push_return(Emit *e, int32_t ret)
{
    Asm *a = &e->a;
    uint8_t *cold = e->c.p;
    op_rm(a, X_CMP | O_W, RSP, RBP, CPU_DISP(e, host_sp_limit));
    cold_jcc(e, CC_B, cold);
    uint8_t *back = a->p;
    a8(&e->c, 0x48);            /* lea rcx, [rip + back] */
    a8(&e->c, 0x8d);
    from_cold(e, 0x0d, back - e->jit->cache.rw);
    from_cold(e, 0xe9, e->jit->stubs.cut);
    op_rm(a, X_LEA | O_W, RCX, R12, ret);
    a8(a, 0x51);                /* push rcx */
}

/* Where the host returns to; rax: the pc, as expected. */
static void emit_landing(Emit *e, int32_t ret)
{
    Asm *a = &e->a;
    op_rm(a, X_LEA | O_W, RSP, RSP, 8);
    op_rm(a, X_LEA | O_W, R12, RAX, -ret);
    align_patch(e, 1);
    exit_stub(e, ret, op_jmp(a));
    e->reachable = false;
}

void emit_call_pc(Emit *e, const IrNode *n)
{
    if (e->once) {
        emit_goto_pc(e, n->imm64);
        return;
    }
    pend_store_all(e, &e->a);
    icount_refund(e, &e->a);
    push_return(e, n->imm);
    align_patch(e, 1);
    a8(&e->a, 0xe8);
    a32(&e->a, 0);
    exit_stub(e, n->imm64, e->a.p - 4);
    emit_landing(e, n->imm);
}

static void emit_poll_value(Emit *e, IrRef pc)
{
    pend_store_all(e, &e->a);
    icount_refund(e, &e->a);
    value_into(e, &e->a, RAX, pc);
    uint8_t *cold = e->c.p;
    op_rr(&e->c, X_XOR, RCX, RCX);
    from_cold(e, 0xe9, e->jit->stubs.exit);
    test_req(e, &e->a);
    cold_jcc(e, CC_NE, cold);
}

/* Each indirect jump has its own host jump, so that the host can predict it. */
static void emit_jump_probe(Emit *e, bool call)
{
    uint8_t *miss[2];
    jump_probe(&e->a, e->jit, e->bias, call, miss);
    uint8_t *cold = e->c.p;
    from_cold(e, call ? 0xe8 : 0xe9, e->probe);
    if (call)
        from_cold_hot(e, e->a.p);
    to_cold(e, miss[0], cold);
    to_cold(e, miss[1], cold);
}

void emit_goto_ind(Emit *e, IrRef pc)
{
    emit_poll_value(e, pc);
    if (e->once)
        op_jmp_to(&e->a, jit_rw(e->jit, e->probe));
    else
        emit_jump_probe(e, false);
    e->reachable = false;
}

void emit_call_ind(Emit *e, const IrNode *n)
{
    if (e->once) {
        emit_goto_ind(e, n->a);
        return;
    }
    emit_poll_value(e, n->a);
    push_return(e, n->imm);
    emit_jump_probe(e, true);
    emit_landing(e, n->imm);
}

void emit_ret(Emit *e, IrRef pc)
{
    if (e->once) {
        emit_goto_ind(e, pc);
        return;
    }
    emit_poll_value(e, pc);
    op_rm(&e->a, X_CMP | O_W, RAX, RSP, 8);
    op_jcc_to(&e->a, CC_NE, jit_rw(e->jit, e->jit->stubs.mismatch));
    a8(&e->a, 0xc3);
    e->reachable = false;
}

void emit_resync(Emit *e, IrRef pc)
{
    pend_store_all(e, &e->a);
    icount_refund(e, &e->a);
    value_into(e, &e->a, RAX, pc);
    if (e->once) {
        op_movi(&e->a, RCX, JIT_LEFT_RESYNC);
        op_jmp_to(&e->a, jit_rw(e->jit, e->jit->stubs.exit));
    } else {
        op_jmp_to(&e->a, jit_rw(e->jit, e->jit->stubs.resync));
    }
    e->reachable = false;
}

/* Node of the goto_pc that is all there is at the label which node k (brcond) goes to, if control
 * goes there from nowhere else; 0 otherwise. */
static unsigned label_is_exit(const Emit *e, unsigned label, unsigned k)
{
    const IrUnit *u = e->u;
    if (e->live.preds[label] != 1)
        return 0;
    for (k++; k + 1 < u->n_nodes; k++)
        if (u->nodes[k].op == IR_OP_bind && u->nodes[k].imm == (int32_t)label)
            return u->nodes[k + 1].op == IR_OP_goto_pc ? k + 1 : 0;
    return 0;
}

static unsigned skip_nops(const Emit *e, unsigned k)
{
    while (k < e->u->n_nodes && e->u->nodes[k].op == IR_OP_nop)
        k++;
    return k;
}

static Cmp branch_cmp(Emit *e, const IrNode *n)
{
    if (!(e->v[n->a].flags & V_FUSED))
        return cmp_prepare(e, n->aux, n->a, n->b);
    const IrNode *s = node_of(e, n->a);
    Cmp c = cmp_prepare(e, s->aux, s->a, s->b);
    if (n->aux == IR_EQ)
        c.cc ^= 1;
    return c;
}

/* Conditional branch whose both sides only leave: one store of what is pending serves both, and the
 * branch itself is patched when linked. */
static void emit_brcond_exits(Emit *e, const IrNode *n, int64_t taken, int64_t other)
{
    Cmp c = branch_cmp(e, n);
    if (loops_to(e, taken) || loops_to(e, other)) {
        bool first = loops_to(e, taken);
        emit_cmp(&e->a, &c);
        uint8_t *out = op_jcc(&e->a, first ? c.cc ^ 1 : c.cc);
        emit_loop(e);
        asm_fix32(out, e->a.p);
        emit_goto_pc(e, first ? other : taken);
        return;
    }
    pend_store_all(e, &e->a);
    icount_refund(e, &e->a);
    uint8_t *poll = NULL;
    if (backward(e, taken) || backward(e, other)) {
        test_req(e, &e->a);
        poll = op_jcc(&e->a, CC_NE);
    }
    emit_cmp(&e->a, &c);
    align_patch(e, 2);
    uint8_t *at = op_jcc(&e->a, c.cc);
    uint8_t *stub = exit_stub(e, taken, at);
    align_patch(e, 1);
    at = op_jmp(&e->a);
    uint8_t *stub2 = exit_stub(e, other, at);
    if (poll) {
        to_cold(e, poll, e->c.p);
        emit_cmp(&e->c, &c);
        uint8_t *j = op_jcc(&e->c, c.cc);
        asm_fix32(j, stub);
        j = op_jmp(&e->c);
        asm_fix32(j, stub2);
    }
    e->reachable = false;
}

/* Returns the node to continue after. */
unsigned emit_brcond(Emit *e, IrRef i, const IrNode *n)
{
    unsigned next = skip_nops(e, i + 1);
    unsigned leaf = label_is_exit(e, n->imm, i);
    if (leaf && next < e->u->n_nodes && e->u->nodes[next].op == IR_OP_goto_pc) {
        emit_brcond_exits(e, n, e->u->nodes[leaf].imm64, e->u->nodes[next].imm64);
        return next;
    }
    if (jit_is_side_exit(e->u, &e->live, i) && !loops_to(e, n[1].imm64)) {
        Cmp c = branch_cmp(e, n);
        emit_cmp(&e->a, &c);
        cold_jcc(e, c.cc ^ 1, e->c.p);
        leave_to(e, &e->c, n[1].imm64);
        return i + 2;
    }
    label_prepare(e, n->imm);
    homes_settle(e, n->imm);
    Cmp c = branch_cmp(e, n);
    Label *l = &e->labels[n->imm];
    if (l->snap && edge_differs(e, l->snap)) {
        edge_spills(e, l->snap);
        emit_cmp(&e->a, &c);
        uint8_t *over = op_jcc(&e->a, c.cc ^ 1);
        edge_loads(e, l->snap);
        label_jump(e, n->imm, op_jmp(&e->a));
        asm_fix32(over, e->a.p);
        return i;
    }
    emit_cmp(&e->a, &c);
    snap_take(e, n->imm);
    label_jump(e, n->imm, op_jcc(&e->a, c.cc));
    return i;
}
