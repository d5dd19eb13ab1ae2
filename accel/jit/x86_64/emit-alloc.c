/* SPDX-License-Identifier: Apache-2.0 */
/* Values and where they are: registers, spill cells, homes in slots, and pending sets. See alloc.h. */
#include "accel/jit/x86_64/emit.h"

#define CELL_DISP(e, cell) ((int32_t)offsetof(Cpu, spill) + ((cell) - 1) * 8 - (e)->bias)

/* ---- spill cells ---- */

/* n consecutive cells (1, 2 or 4, aligned to n), numbered from 1. */
static unsigned cell_alloc(Emit *e, unsigned n)
{
    uint64_t want = (1ull << n) - 1;
    for (unsigned i = 0; i < 128; i += n) {
        if (!(e->cells[i >> 6] >> (i & 63) & want)) {
            e->cells[i >> 6] |= want << (i & 63);
            return i + 1;
        }
    }
    e->fail = true;
    return 1;
}

static unsigned cells_of(unsigned type)
{
    return type == IR_V128 ? 2 : type == IR_V256 ? 4 : 1;
}

void cell_free(Emit *e, IrRef v)
{
    unsigned i = e->v[v].cell;
    if (!i)
        return;
    i--;
    e->cells[i >> 6] &= ~(((1ull << cells_of(node_of(e, v)->type)) - 1) << (i & 63));
    e->v[v].cell = 0;
}

/* ---- registers ---- */

void reg_bind(Emit *e, int r, IrRef v)
{
    e->in[r] = v;
    e->v[v].reg = r;
    e->free &= ~BIT(r);
    e->lock |= BIT(r);
    if (v >= JIT_SHARE_REF)
        e->facts |= BIT(r);
}

void reg_release(Emit *e, int r)
{
    e->v[e->in[r]].reg = -1;
    e->in[r] = 0;
    e->free |= BIT(r);
    e->facts &= ~BIT(r);
}

void facts_drop(Emit *e)
{
    while (e->facts)
        reg_release(e, __builtin_ctz(e->facts));
}

bool needed(const Emit *e, IrRef v)
{
    return e->v[v].last > e->at || e->v[v].pend;
}

void spill(Emit *e, IrRef v)
{
    Val *val = &e->v[v];
    unsigned type = node_of(e, v)->type;
    if (!val->cell)
        val->cell = cell_alloc(e, cells_of(type));
    if (is_vec(type))
        vec_store(&e->a, val->reg, RBP, CELL_DISP(e, val->cell), type == IR_V256 ? 32 : 16);
    else
        op_rm(&e->a, X_MOV_MR | O_W, val->reg, RBP, CELL_DISP(e, val->cell));
    val->flags |= V_SPILLED;
}

unsigned type_bytes(unsigned type)
{
    static const uint8_t bytes[] = {0, 4, 8, 16, 32};
    return bytes[type];
}

static bool overlaps(int32_t a, unsigned an, int32_t b, unsigned bn)
{
    return a < b + (int32_t)bn && b < a + (int32_t)an;
}

static void home_add(Emit *e, IrRef v, int32_t off, unsigned bytes)
{
    if (e->n_homed == MAX_HOMED) {      /* forget dead ones */
        unsigned k = 0;
        for (unsigned i = 0; i < e->n_homed; i++) {
            if (needed(e, e->homed[i]))
                e->homed[k++] = e->homed[i];
            else
                e->v[e->homed[i]].flags &= ~V_HOME;
        }
        e->n_homed = k;
        if (k == MAX_HOMED)
            return;
    }
    e->homed[e->n_homed++] = v;
    e->v[v].flags |= V_HOME;
    e->v[v].home = off;
    e->v[v].home_bytes = bytes;
}

void homes_lost(Emit *e, int32_t off, unsigned bytes)
{
    unsigned k = 0;
    uint32_t lock = e->lock;
    for (unsigned i = 0; i < e->n_homed; i++) {
        IrRef v = e->homed[i];
        if (!overlaps(e->v[v].home, e->v[v].home_bytes, off, bytes)) {
            e->homed[k++] = v;
            continue;
        }
        Val *val = &e->v[v];
        if ((val->last >= e->at || val->pend) && val->reg < 0 && !(val->flags & V_SPILLED))
            value_use(e, v);
        val->flags &= ~V_HOME;
    }
    e->n_homed = k;
    e->lock = lock;
}

/* The same for all slots, in two steps around the loading of a call's arguments. Evicts nothing: that
 * might be a value whose home is about to go. */
void homes_save_all(Emit *e)
{
    for (unsigned i = 0; i < e->n_homed; i++) {
        IrRef v = e->homed[i];
        bool vec = is_vec(node_of(e, v)->type);
        uint32_t room = vec ? 0 : e->free & SAVED_GPRS & ~e->lock;
        if (!needed(e, v) || e->v[v].reg >= 0 || (e->v[v].flags & V_SPILLED))
            continue;
        int r = room ? __builtin_ctz(room) : vec ? XMM_SCRATCH : RAX;
        value_into(e, &e->a, r, v);
        e->v[v].flags |= V_ZX;
        if (room) {
            reg_bind(e, r, v);
            e->lock &= ~BIT(r);
        } else {
            e->v[v].reg = r;
            spill(e, v);
            e->v[v].reg = -1;
        }
    }
}

void homes_drop_all(Emit *e)
{
    for (unsigned i = 0; i < e->n_homed; i++)
        e->v[e->homed[i]].flags &= ~V_HOME;
    e->n_homed = 0;
}

/* Removes entry k after its store; the value keeps its register unless it is dead. */
static void pend_drop(Emit *e, unsigned k)
{
    IrRef v = e->pend[k].v;
    e->pend[k] = e->pend[--e->n_pend];
    Val *val = &e->v[v];
    val->pend--;
    if (!val->pend && val->last < e->at) {
        if (val->reg >= 0)
            reg_release(e, val->reg);
        cell_free(e, v);
    }
}

static void pend_flush(Emit *e, unsigned k)
{
    Pend p = e->pend[k];
    slot_store(e, &e->a, &p);
    Val *val = &e->v[p.v];
    unsigned type = node_of(e, p.v)->type, own = type_bytes(type);
    if (!(val->flags & (V_HOME | V_REMAKE)) && val->last >= e->at && (is_vec(type) ? p.bytes >= own : p.bytes == own))
        home_add(e, p.v, p.off, own);
    pend_drop(e, k);
}

/* Frees r: what is pending on its value goes to its slots, which may then be its home. */
void reg_evict(Emit *e, int r)
{
    IrRef v = e->in[r];
    for (unsigned k = e->n_pend; e->v[v].pend && k-- > 0;)
        if (e->pend[k].v == v)
            pend_flush(e, k);
    if (e->in[r] != v)
        return;                 /* released by the flush */
    if (e->v[v].last >= e->at && !(e->v[v].flags & (V_SPILLED | V_HOME | V_REMAKE)))
        spill(e, v);
    reg_release(e, r);
}

static int choose_victim(Emit *e, uint32_t among)
{
    int best = -1;
    uint32_t best_score = 0;
    for (uint32_t m = among & ~e->lock & ~e->free; m; m &= m - 1) {
        int r = __builtin_ctz(m);
        const Val *val = &e->v[e->in[r]];
        uint32_t score = val->last;
        if (val->last <= e->at)
            score = 0x30000;                            /* only pending */
        else if (val->flags & (V_SPILLED | V_HOME | V_REMAKE))
            score |= 0x10000;                           /* free to drop */
        if (best < 0 || score > best_score)
            best = r, best_score = score;
    }
    return best;
}

/* The node of the next call on the hot path after the current node. */
static unsigned next_call(Emit *e)
{
    while (e->live.calls[e->next_call] <= e->at)
        e->next_call++;
    return e->live.calls[e->next_call];
}

int reg_alloc(Emit *e, uint32_t among, IrRef owner)
{
    uint32_t m = e->free & among & ~e->lock;
    if (m) {
        bool crosses = owner && e->v[owner].last > next_call(e);
        uint32_t better = m & (crosses ? SAVED_GPRS : ~SAVED_GPRS);
        return __builtin_ctz(better ? better : m);
    }
    int r = choose_victim(e, among);
    if (r < 0) {                /* cannot happen: a node locks few registers */
        e->fail = true;
        return among & VECS ? XMM : RBX;
    }
    reg_evict(e, r);
    return r;
}

static uint32_t class_of(const Emit *e, IrRef v)
{
    return v < JIT_SHARE_REF && is_vec(node_of(e, v)->type) ? VECS : GPRS;
}

void reg_vacate(Emit *e, int r, bool even_dying)
{
    IrRef v = e->in[r];
    if (!v || (!even_dying && dies(e, v)))
        return;
    uint32_t m = e->free & class_of(e, v) & ~e->lock & ~BIT(r);
    if (m) {
        int to = __builtin_ctz(m);
        if (r >= XMM)
            vec_move(&e->a, to, r);
        else
            op_rr(&e->a, X_MOV | O_W, to, r);
        bool locked = e->lock & BIT(r);
        reg_release(e, r);
        reg_bind(e, to, v);
        if (!locked)
            e->lock &= ~BIT(to);
        return;
    }
    reg_evict(e, r);
}

/* ---- values ---- */

void load_slot(Asm *a, int r, int32_t disp, unsigned bytes)
{
    switch (r >= XMM ? 16 : bytes) {
    case 1:
        op_rm(a, X_MOVZX8, r, RBP, disp);
        break;
    case 2:
        op_rm(a, X_MOVZX16, r, RBP, disp);
        break;
    case 4:
        op_rm(a, X_MOV, r, RBP, disp);
        break;
    case 8:
        op_rm(a, X_MOV | O_W, r, RBP, disp);
        break;
    default:
        vec_load(a, r, RBP, disp, bytes);
    }
}

void value_into(Emit *e, Asm *a, int r, IrRef v)
{
    Val *val = &e->v[v];
    const IrNode *n = node_of(e, v);
    if (val->reg >= 0) {
        if (val->reg == r)
            return;
        if (r >= XMM)
            vec_move(a, r, val->reg);
        else
            op_rr(a, X_MOV | O_W, r, val->reg);
    } else if (n->op == IR_OP_const) {
        op_movi(a, r, n->type == IR_I32 ? (uint32_t)n->imm64 : (uint64_t)n->imm64);
    } else if (n->op == IR_OP_pcrel) {
        if (fits32(n->imm64)) {
            op_rm(a, X_LEA | O_W, r, R12, n->imm64);
        } else {
            op_movi(a, r, n->imm64);
            op_rr(a, X_ADD | O_W, r, R12);
        }
    } else if (val->flags & V_HOME) {
        load_slot(a, r, val->home - e->bias, val->home_bytes);
    } else if (val->flags & V_SPILLED) {
        if (is_vec(n->type))
            vec_load(a, r, RBP, CELL_DISP(e, val->cell), type_bytes(n->type));
        else
            op_rm(a, X_MOV | O_W, r, RBP, CELL_DISP(e, val->cell));
    } else {
        e->fail = true;         /* a use that its definition does not dominate */
    }
}

bool loads_zx(const Emit *e, IrRef v)
{
    const Val *val = &e->v[v];
    if (val->reg >= 0)
        return val->flags & V_ZX;
    return node_of(e, v)->op == IR_OP_const || (val->flags & (V_HOME | V_ZX));
}

int value_use(Emit *e, IrRef v)
{
    Val *val = &e->v[v];
    if (val->reg < 0) {
        int r = reg_alloc(e, class_of(e, v), v);
        if (loads_zx(e, v))
            val->flags |= V_ZX;
        value_into(e, &e->a, r, v);
        reg_bind(e, r, v);
    }
    e->lock |= BIT(val->reg);
    return val->reg;
}

int value_def(Emit *e, IrRef i)
{
    int r = reg_alloc(e, class_of(e, i), i);
    reg_bind(e, r, i);
    e->v[i].flags |= V_ZX;
    return r;
}

/* Lets the result take v's register if this node is the last to read it; the code must read v before
 * it writes the result. */
void free_dying(Emit *e, IrRef v)
{
    int r = e->v[v].reg;
    if (r >= 0 && dies(e, v)) {
        reg_release(e, r);
        e->lock &= ~BIT(r);
    }
}

/* A pending set of old keeps its register. */
int value_def_over(Emit *e, IrRef i, IrRef old)
{
    int r = e->v[old].reg;
    if (r >= 0 && dies(e, old)) {
        reg_release(e, r);
        reg_bind(e, r, i);
        e->v[i].flags |= V_ZX;
        return r;
    }
    r = reg_alloc(e, class_of(e, i), i);
    value_into(e, &e->a, r, old);
    reg_bind(e, r, i);
    e->v[i].flags |= V_ZX;
    return r;
}

/* Constants that fit become immediates unless `reg_or_mem`. */
Opnd operand(Emit *e, IrRef v, unsigned type, bool imm_ok)
{
    int64_t k;
    if (imm_ok && const_of(e, v, &k) && fits32(k))
        return (Opnd){.kind = O_IMM, .imm = k};
    const Val *val = &e->v[v];
    if (val->reg < 0 && val->last <= e->at) {
        if ((val->flags & V_HOME) && val->home_bytes == type_bytes(type))
            return (Opnd){.kind = O_MEM, .disp = val->home - e->bias};
        if (!(val->flags & (V_HOME | V_REMAKE)) && (val->flags & V_SPILLED))
            return (Opnd){.kind = O_MEM, .disp = CELL_DISP(e, val->cell)};
    }
    return (Opnd){.kind = O_REG, .reg = value_use(e, v)};
}

void op_ro(Asm *a, unsigned op, int reg, Opnd o)
{
    if (o.kind == O_REG)
        op_rr(a, op, reg, o.reg);
    else
        op_rm(a, op, reg, RBP, o.disp);
}

void op_arith(Asm *a, unsigned group, unsigned w, int reg, Opnd o)
{
    if (o.kind == O_IMM)
        op_ri(a, group, w, reg, o.imm);
    else
        op_ro(a, (group << 3 | 3) | w, reg, o);
}

/* ---- pending sets ---- */

static void store_const(Emit *e, Asm *a, const Pend *p, int64_t k)
{
    int32_t disp = p->off - e->bias;
    if (p->bytes == 8 && !fits32(k)) {
        op_movi(a, RAX, k);
        op_rm(a, X_MOV_MR | O_W, RAX, RBP, disp);
        return;
    }
    op_rm(a, p->bytes == 1 ? 0xc6 : p->bytes == 2 ? 0xc7 | O_66 : p->bytes == 4 ? 0xc7 : 0xc7 | O_W,
          0, RBP, disp);
    if (p->bytes == 1) {
        a8(a, k);
    } else if (p->bytes == 2) {
        a8(a, k);
        a8(a, k >> 8);
    } else {
        a32(a, k);
    }
}

void slot_store(Emit *e, Asm *a, const Pend *p)
{
    int64_t k;
    int r = e->v[p->v].reg;
    if (r < 0) {
        if (const_of(e, p->v, &k)) {
            store_const(e, a, p, k);
            return;
        }
        r = is_vec(node_of(e, p->v)->type) ? XMM_SCRATCH : RAX;
        value_into(e, a, r, p->v);
    }
    static const unsigned ops[] = {[1] = X_MOV8_MR, [2] = X_MOV16_MR, [4] = X_MOV_MR, [8] = X_MOV_MR | O_W};
    if (r >= XMM)
        vec_store(a, r, RBP, p->off - e->bias, p->bytes);
    else
        op_rm(a, ops[p->bytes], r, RBP, p->off - e->bias);
}

void pend_store_all(Emit *e, Asm *a)
{
    for (unsigned k = 0; k < e->n_pend; k++)
        slot_store(e, a, &e->pend[k]);
}

void pend_flush_all(Emit *e)
{
    while (e->n_pend)
        pend_flush(e, e->n_pend - 1);
}

void pend_flush_overlap(Emit *e, int32_t off, unsigned bytes)
{
    for (unsigned k = e->n_pend; k-- > 0;)
        if (overlaps(e->pend[k].off, e->pend[k].bytes, off, bytes))
            pend_flush(e, k);
}

void emit_set(Emit *e, IrRef i, const IrNode *n)
{
    for (unsigned k = e->n_pend; k-- > 0;) {
        const Pend *p = &e->pend[k];
        if (!overlaps(p->off, p->bytes, n->imm, n->aux))
            continue;
        if (p->off >= n->imm && p->off + p->bytes <= n->imm + n->aux)
            pend_drop(e, k);
        else
            pend_flush(e, k);
    }
    e->v[n->a].pend++;          /* its home may be what gets lost */
    homes_lost(e, n->imm, n->aux);
    e->v[n->a].pend--;
    if (e->n_pend == MAX_PEND)
        pend_flush(e, 0);
    /* Pending values are in registers: their cells may be given away when linear order has passed
     * the last use, though a label's snapshot still has them pending. */
    const IrNode *v = node_of(e, n->a);
    if (v->op != IR_OP_const && v->op != IR_OP_pcrel)
        value_use(e, n->a);
    e->pend[e->n_pend++] = (Pend){.off = n->imm, .bytes = n->aux, .v = n->a};
    e->v[n->a].pend++;
}

void emit_get(Emit *e, IrRef i, const IrNode *n)
{
    if (is_vec(n->type) && !(e->host & HOST_AVX2)) {
        e->fail = true;
        return;
    }
    if (e->v[i].flags & V_CARRIED)
        return;
    pend_flush_overlap(e, n->imm, n->aux);
    home_add(e, i, n->imm, n->aux);
    if (!(e->v[i].flags & V_HOME)) {
        int r = value_def(e, i);
        load_slot(&e->a, r, n->imm - e->bias, n->aux);
    }
}
