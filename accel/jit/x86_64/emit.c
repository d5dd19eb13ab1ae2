/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: allocates registers and emits x86-64 code together. See alloc.h and emit.h. */
#include "accel/jit/x86_64/emit.h"

#include <cpuid.h>
#include "util/log.h"

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

static void cell_free(Emit *e, IrRef v)
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
}

void reg_release(Emit *e, int r)
{
    e->v[e->in[r]].reg = -1;
    e->in[r] = 0;
    e->free |= BIT(r);
}

static bool needed(const Emit *e, IrRef v)
{
    return e->v[v].last > e->at || e->v[v].pend;
}

static void spill(Emit *e, IrRef v)
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

static unsigned type_bytes(unsigned type)
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
static void homes_save_all(Emit *e)
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

static void homes_drop_all(Emit *e)
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
    if (!(val->flags & (V_HOME | V_REMAKE)) && val->last >= e->at &&
        p.bytes == type_bytes(node_of(e, p.v)->type))
        home_add(e, p.v, p.off, p.bytes);
    pend_drop(e, k);
}

/* Frees r: what is pending on its value goes to its slots, which may then be its home. */
static void reg_evict(Emit *e, int r)
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
    return is_vec(node_of(e, v)->type) ? VECS : GPRS;
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

static void load_slot(Asm *a, int r, int32_t disp, unsigned bytes)
{
    switch (bytes) {
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

/* Upper half zero after value_into()? */
static bool loads_zx(const Emit *e, IrRef v)
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

/* An operand in whatever form costs least. */
typedef struct Opnd {
    enum { O_REG, O_MEM, O_IMM } kind;
    int reg;
    int32_t disp;               /* from rbp */
    int32_t imm;
} Opnd;

/* Constants that fit become immediates unless `reg_or_mem`. */
static Opnd operand(Emit *e, IrRef v, unsigned type, bool imm_ok)
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

/* op reg, operand; the operand is not an immediate. */
static void op_ro(Asm *a, unsigned op, int reg, Opnd o)
{
    if (o.kind == O_REG)
        op_rr(a, op, reg, o.reg);
    else
        op_rm(a, op, reg, RBP, o.disp);
}

/* Group 1 operation. */
static void op_arith(Asm *a, unsigned group, unsigned w, int reg, Opnd o)
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
        r = p->bytes > 8 ? XMM_SCRATCH : RAX;
        value_into(e, a, r, p->v);
    }
    static const unsigned ops[] = {[1] = X_MOV8_MR, [2] = X_MOV16_MR, [4] = X_MOV_MR, [8] = X_MOV_MR | O_W};
    if (p->bytes > 8)
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

static void emit_set(Emit *e, IrRef i, const IrNode *n)
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

static void emit_get(Emit *e, IrRef i, const IrNode *n)
{
    if (is_vec(n->type) && !(e->host & HOST_AVX2)) {
        e->fail = true;
        return;
    }
    pend_flush_overlap(e, n->imm, n->aux);
    home_add(e, i, n->imm, n->aux);
    if (!(e->v[i].flags & V_HOME)) {
        int r = value_def(e, i);
        load_slot(&e->a, r, n->imm - e->bias, n->aux);
    }
}

/* ---- integer operations ---- */

static void emit_add(Emit *e, IrRef i, const IrNode *n, bool sub)
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

static void emit_logic(Emit *e, IrRef i, const IrNode *n, unsigned group)
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

static void emit_andn(Emit *e, IrRef i, const IrNode *n)
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

static void emit_mul(Emit *e, IrRef i, const IrNode *n)
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
static void emit_wide(Emit *e, IrRef i, const IrNode *n, unsigned group, bool result_rdx)
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

static void emit_shift(Emit *e, IrRef i, const IrNode *n)
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

static void emit_unary(Emit *e, IrRef i, const IrNode *n)
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
static void emit_count(Emit *e, IrRef i, const IrNode *n)
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

static void emit_extend(Emit *e, IrRef i, const IrNode *n, bool sign, unsigned bits)
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

static void emit_extract(Emit *e, IrRef i, const IrNode *n)
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

static void emit_deposit(Emit *e, IrRef i, const IrNode *n)
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

typedef struct Cmp {
    Opnd x, y;
    unsigned w, cc;
    bool test;
} Cmp;

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
static Cmp cmp_prepare(Emit *e, unsigned cond, IrRef x, IrRef y)
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

static void emit_cmp(Asm *a, const Cmp *c)
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

static void emit_setcond(Emit *e, IrRef i, const IrNode *n)
{
    Cmp c = cmp_prepare(e, n->aux, n->a, n->b);
    int d = value_def(e, i);
    op_rr(&e->a, X_XOR, d, d);
    emit_cmp(&e->a, &c);
    op_rr(&e->a, X_SETCC | c.cc, 0, d);
}

static void emit_select(Emit *e, IrRef i, const IrNode *n)
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

void from_cold(Emit *e, unsigned opcode, uint32_t target)
{
    a8(&e->c, opcode);
    e->from_cold[e->n_from_cold++] = (Fix){.at = e->c.p - e->cold, .target = target};
    if (e->n_from_cold >= MAX_FIXES)
        e->n_from_cold--, e->fail = true;
    a32(&e->c, 0);
}

void from_cold_hot(Emit *e, const uint8_t *hot)
{
    from_cold(e, 0xe9, hot - e->jit->cache.rw);
}

/* ---- calls ---- */

static void load_cpu(Emit *e, Asm *a, int r)
{
    op_rm(a, X_LEA | O_W, r, RBP, -e->bias);
}

static void store_pc(Emit *e, Asm *a)
{
    op_rm(a, X_LEA | O_W, RAX, R12, e->pc_off);
    op_rm(a, X_MOV_MR | O_W, RAX, RBP, CPU_DISP(e, pc));
}

static void emit_call_fn(Emit *e, const void *fn)
{
    int64_t d = (const uint8_t *)fn - (e->start_rx + (e->a.p - e->start) + 5);
    if (fits32(d)) {
        a8(&e->a, 0xe8);
        a32(&e->a, d);
    } else {
        op_movi(&e->a, RAX, (uintptr_t)fn);
        op_rr(&e->a, 0xff, 2, RAX);
    }
}

/* Loads argument registers without overwriting a source that is still wanted. */
static void load_args(Emit *e, const Arg *args, unsigned n)
{
    static const int8_t regs[] = {RSI, RDX, RCX, R8};
    int8_t from[4];             /* register now holding it, -1 elsewhere */
    uint32_t todo = 0;
    for (unsigned k = 0; k < n; k++) {
        from[k] = args[k].kind == ARG_VALUE ? e->v[args[k].v].reg : -1;
        if (args[k].kind != ARG_NONE)
            todo |= BIT(k);
    }
    while (todo) {
        bool moved = false;
        for (unsigned k = 0; k < n; k++) {
            bool blocked = false;
            if (!(todo & BIT(k)) || from[k] < 0)
                continue;
            for (unsigned o = 0; o < n; o++)
                blocked |= o != k && (todo & BIT(o)) && from[o] == regs[k];
            if (blocked)
                continue;
            if (from[k] != regs[k])
                op_rr(&e->a, X_MOV | O_W, regs[k], from[k]);
            todo &= ~BIT(k);
            moved = true;
        }
        bool cycle = false;
        for (unsigned k = 0; k < n && !moved; k++) {
            if (!(todo & BIT(k)) || from[k] < 0)
                continue;
            op_rr(&e->a, X_MOV | O_W, RAX, from[k]);
            from[k] = RAX;
            cycle = true;
            break;
        }
        if (moved || cycle)
            continue;
        for (unsigned k = 0; k < n; k++) {
            if (!(todo & BIT(k)))
                continue;
            if (args[k].kind == ARG_VALUE)
                value_into(e, &e->a, regs[k], args[k].v);
            else if (args[k].kind == ARG_IMM)
                op_movi(&e->a, regs[k], args[k].imm);
            else
                op_rm(&e->a, X_LEA | O_W, regs[k], RBP, (int32_t)args[k].imm - e->bias);
        }
        break;
    }
    for (unsigned k = 0; k < n; k++)
        if (args[k].kind == ARG_VALUE && args[k].imm)
            op_ri(&e->a, G_ADD, O_W, regs[k], args[k].imm);
}

/* Before C code that may leave the unit here: what has been paid for but will not run. Changes rax. */
void note_refund(Emit *e, Asm *a)
{
    if (!e->u->icount)
        return;
    op_rm(a, X_MOV | O_W, RAX, RBP, CPU_DISP(e, jit));
    op_rm(a, 0xc7, 0, RAX, offsetof(JitCpu, refund));
    a32(a, e->u->n_insns - e->insns);
}

/* Around a helper that reads or changes the guest's FP mode or flags: what MXCSR has gathered goes to
 * fp_flags and is cleared. Changes rax. */
static void fp_out(Emit *e)
{
    Asm *a = &e->a;
    int32_t tmp = CPU_DISP(e, vec_buf);
    op_rm(a, X_LDMXCSR, 3, RBP, tmp);       /* stmxcsr */
    op_rm(a, X_MOV, RAX, RBP, tmp);
    op_ri(a, G_AND, 0, RAX, 0x3f);
    op_rm(a, X_OR_MR, RAX, RBP, CPU_DISP(e, fp_flags));
    op_mi(a, G_AND, 0, RBP, tmp, ~0x3f);
    op_rm(a, X_LDMXCSR, 2, RBP, tmp);
}

/* Behind it: the mode, as jit_fp_enter() does. Changes rcx, rdx, rsi. */
static void fp_in(Emit *e)
{
    static const struct { uint8_t bits, shift; } moves[] = {{3, 13}, {FP_FTZ, 12}, {FP_DAZ, 2}};
    Asm *a = &e->a;
    int32_t tmp = CPU_DISP(e, vec_buf);
    op_rm(a, X_MOV, RCX, RBP, CPU_DISP(e, fp_mode));
    op_movi(a, RSI, 0x1f80);
    for (unsigned k = 0; k < G_N_ELEMENTS(moves); k++) {
        op_rr(a, X_MOV, RDX, RCX);
        op_ri(a, G_AND, 0, RDX, moves[k].bits);
        op_shift(a, G_SHL, 0, RDX, moves[k].shift);
        op_rr(a, X_OR, RSI, RDX);
    }
    op_rm(a, X_MOV_MR, RSI, RBP, tmp);
    op_rm(a, X_LDMXCSR, 2, RBP, tmp);
}

void emit_call(Emit *e, IrRef i, const void *fn, unsigned effects, const Arg *args, unsigned n_args,
               IrType ret)
{
    bool sees = effects & (IR_H_READ | IR_H_WRITE | IR_H_FAULT | IR_H_EXIT);
    if (sees)
        pend_flush_all(e);
    bool clobbers = effects & IR_H_WRITE;
    if (clobbers)
        homes_save_all(e);
    /* What lives on must not be in a register that C may change. */
    for (uint32_t m = (GPRS | VECS) & ~SAVED_GPRS & ~e->free; m; m &= m - 1) {
        int r = __builtin_ctz(m);
        IrRef v = e->in[r];
        if (e->v[v].last <= e->at && !e->v[v].pend)
            continue;           /* at most an argument */
        uint32_t room = e->free & SAVED_GPRS & ~e->lock;
        unsigned elsewhere = V_REMAKE | V_SPILLED | (clobbers ? 0 : V_HOME);
        if (r < XMM && room && !(e->v[v].flags & elsewhere)) {
            int to = __builtin_ctz(room);
            op_rr(&e->a, X_MOV | O_W, to, r);
            reg_release(e, r);
            reg_bind(e, to, v);
            e->lock &= ~BIT(to);
        } else {
            if (clobbers && e->v[v].last >= e->at && !(e->v[v].flags & (V_REMAKE | V_SPILLED)))
                spill(e, v);
            reg_evict(e, r);
        }
    }
    if (effects & (IR_H_FAULT | IR_H_EXIT))
        note_refund(e, &e->a);
    if (effects & IR_H_FAULT)
        store_pc(e, &e->a);
    load_args(e, args, n_args);
    if (clobbers)
        homes_drop_all(e);
    bool fp = effects & IR_H_FP && e->jit->fp_used;
    if (fp)
        fp_out(e);
    load_cpu(e, &e->a, RDI);
    emit_call_fn(e, fn);
    if (fp)
        fp_in(e);
    if ((effects & IR_H_WRITE) && (effects & IR_H_EFFECT))
        op_rm(&e->a, X_MOV | O_W, R14, RBP, CPU_DISP(e, tlb));
    for (uint32_t m = (GPRS | VECS) & ~SAVED_GPRS & ~e->free; m; m &= m - 1)
        reg_release(e, __builtin_ctz(m));
    e->lock = 0;
    if (ret != IR_VOID && e->v[i].last)
        op_rr(&e->a, X_MOV | w_of(ret), value_def(e, i), RAX);
}

static void emit_helper(Emit *e, IrRef i, const IrNode *n)
{
    const IrHelper *h = e->u->helpers[n->imm];
    const IrRef refs[4] = {n->a, n->b, n->c, n->d};
    Arg args[4];
    unsigned count = 0;
    for (unsigned k = 0; k < 4; k++) {
        args[k] = (Arg){.kind = ARG_NONE};
        if (!refs[k])
            continue;
        count = k + 1;
        const IrNode *s = node_of(e, refs[k]);
        if (s->op == IR_OP_slot) {
            args[k] = (Arg){.kind = ARG_SLOT, .imm = s->imm};
            pend_flush_overlap(e, s->imm, s->aux);
            if (s->d & 2)
                homes_lost(e, s->imm, s->aux);
        } else {
            args[k] = (Arg){.kind = ARG_VALUE, .v = refs[k]};
        }
    }
    emit_call(e, i, h->fn, h->effects, args, count, h->ret);
    if (h->effects & IR_H_EXIT)
        e->reachable = false;
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
        if (e->v[e->in[r]].flags & V_SPILLED)
            s->spilled |= BIT(r);
        if (e->v[e->in[r]].flags & V_ZX)
            s->zx |= BIT(r);
    }
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

static void emit_br(Emit *e, const IrNode *n)
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

static void emit_bind(Emit *e, const IrNode *n)
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

/* Cold code that leaves for the constant pc `off`, linked later if it is in this page. Its
 * displacement, in hot code at `at`, leads there at first. */
static uint8_t *exit_stub(Emit *e, int64_t off, uint8_t *at)
{
    Jit *j = e->jit;
    uint8_t *stub = e->c.p;
    bool in_page = off >= 0 && off < JIT_PAGE;
    if (in_page && e->n_exits < JIT_MAX_EXITS) {
        JitExit *x = &e->exits[e->n_exits];
        x->at = at - j->cache.rw;
        x->stub = stub - e->cold;
        x->target = off;
        a8(&e->c, 0xb8 | RCX);
        a32(&e->c, e->n_exits++);       /* jit_emit() puts the descriptor's offset here */
        op_rm(&e->c, X_LEA | O_W, RAX, R12, off);
        from_cold(e, 0xe9, e->link);
    } else {
        if (fits32(off)) {
            op_rm(&e->c, X_LEA | O_W, RAX, R12, off);
        } else {
            op_movi(&e->c, RAX, off);
            op_rr(&e->c, X_ADD | O_W, RAX, R12);
        }
        from_cold(e, 0xe9, e->probe);
    }
    to_cold(e, at, stub);
    return stub;
}

/* The stub's displacement stands behind `mov ecx, id`, `lea rax, [r12 + off]` and the opcode of jmp. If it
 * crosses a cache line others could see half of it: then the stub stays as it is. */
void jit_patch_probe(Jit *j, const JitExit *x)
{
    unsigned lea = 4 + (!x->target ? 0 : x->target < 128 ? 1 : 4);
    uint32_t at = x->stub + 5 + lea + 1;
    if (at % 64 <= 60)
        jit_patch(j, at, j->stubs.probe);
}

/* Padding so that a displacement `skip` bytes ahead is aligned and can be patched atomically. */
static void align_patch(Emit *e, unsigned skip)
{
    unsigned off = (hot_offset(e) + skip) & 3;
    if (off)
        op_nops(&e->a, 4 - off);
}

static void icount_refund(Emit *e)
{
    if (e->u->icount && e->insns < e->u->n_insns)
        op_mi(&e->a, G_ADD, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns - e->insns);
}

static bool backward(const Emit *e, int64_t off)
{
    return off <= e->pc_off;
}

static void test_req(Emit *e)
{
    op_mi(&e->a, G_CMP, 0, RBP, CPU_DISP(e, req), 0);
}

static void emit_goto_pc(Emit *e, int64_t off)
{
    pend_store_all(e, &e->a);
    icount_refund(e);
    uint8_t *poll = NULL;
    if (backward(e, off)) {
        test_req(e);
        poll = op_jcc(&e->a, CC_NE);
    }
    align_patch(e, 1);
    uint8_t *at = op_jmp(&e->a);
    uint8_t *stub = exit_stub(e, off, at);
    if (poll)
        to_cold(e, poll, stub);
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

static void emit_call_pc(Emit *e, const IrNode *n)
{
    if (e->once) {
        emit_goto_pc(e, n->imm64);
        return;
    }
    pend_store_all(e, &e->a);
    icount_refund(e);
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
    icount_refund(e);
    value_into(e, &e->a, RAX, pc);
    uint8_t *cold = e->c.p;
    op_rr(&e->c, X_XOR, RCX, RCX);
    from_cold(e, 0xe9, e->jit->stubs.exit);
    test_req(e);
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

static void emit_goto_ind(Emit *e, IrRef pc)
{
    emit_poll_value(e, pc);
    if (e->once)
        op_jmp_to(&e->a, jit_rw(e->jit, e->probe));
    else
        emit_jump_probe(e, false);
    e->reachable = false;
}

static void emit_call_ind(Emit *e, const IrNode *n)
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

static void emit_ret(Emit *e, IrRef pc)
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

static void emit_resync(Emit *e, IrRef pc)
{
    pend_store_all(e, &e->a);
    icount_refund(e);
    value_into(e, &e->a, RAX, pc);
    op_movi(&e->a, RCX, JIT_LEFT_RESYNC);
    uint8_t *at = op_jmp(&e->a);
    asm_fix32(at, jit_rw(e->jit, e->jit->stubs.exit));
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
    pend_store_all(e, &e->a);
    icount_refund(e);
    uint8_t *poll = NULL;
    if (backward(e, taken) || backward(e, other)) {
        test_req(e);
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
static unsigned emit_brcond(Emit *e, IrRef i, const IrNode *n)
{
    unsigned next = skip_nops(e, i + 1);
    unsigned leaf = label_is_exit(e, n->imm, i);
    if (leaf && next < e->u->n_nodes && e->u->nodes[next].op == IR_OP_goto_pc) {
        emit_brcond_exits(e, n, e->u->nodes[leaf].imm64, e->u->nodes[next].imm64);
        return next;
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

/* ---- the pass ---- */

static void emit_node(Emit *e, IrRef i, const IrNode *n)
{
    switch (n->op) {
    case IR_OP_nop:
    case IR_OP_slot:
        break;
    case IR_OP_insn:
        e->pc_off = n->imm;
        e->insns++;
        break;
    case IR_OP_const:
    case IR_OP_pcrel:
        e->v[i].flags |= V_REMAKE;
        break;
    case IR_OP_get:
        emit_get(e, i, n);
        break;
    case IR_OP_set:
        emit_set(e, i, n);
        break;
    case IR_OP_add:
        emit_add(e, i, n, false);
        break;
    case IR_OP_sub:
        emit_add(e, i, n, true);
        break;
    case IR_OP_and:
        emit_logic(e, i, n, G_AND);
        break;
    case IR_OP_or:
        emit_logic(e, i, n, G_OR);
        break;
    case IR_OP_xor:
        emit_logic(e, i, n, G_XOR);
        break;
    case IR_OP_andn:
        emit_andn(e, i, n);
        break;
    case IR_OP_mul:
        emit_mul(e, i, n);
        break;
    case IR_OP_mulhu:
        emit_wide(e, i, n, G_MUL, true);
        break;
    case IR_OP_mulhs:
        emit_wide(e, i, n, G_IMUL, true);
        break;
    case IR_OP_divu:
        emit_wide(e, i, n, G_DIV, false);
        break;
    case IR_OP_divs:
        emit_wide(e, i, n, G_IDIV, false);
        break;
    case IR_OP_remu:
        emit_wide(e, i, n, G_DIV, true);
        break;
    case IR_OP_rems:
        emit_wide(e, i, n, G_IDIV, true);
        break;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_rotl:
    case IR_OP_rotr:
        emit_shift(e, i, n);
        break;
    case IR_OP_neg:
    case IR_OP_not:
    case IR_OP_bswap:
        emit_unary(e, i, n);
        break;
    case IR_OP_clz:
    case IR_OP_ctz:
    case IR_OP_popcnt:
        emit_count(e, i, n);
        break;
    case IR_OP_zext:
    case IR_OP_sext:
        emit_extend(e, i, n, n->op == IR_OP_sext, n->aux);
        break;
    case IR_OP_trunc:
        value_def_over(e, i, n->a);
        e->v[i].flags &= ~V_ZX;
        break;
    case IR_OP_deposit:
        emit_deposit(e, i, n);
        break;
    case IR_OP_extract:
    case IR_OP_sextract:
        emit_extract(e, i, n);
        break;
    case IR_OP_setcond:
        emit_setcond(e, i, n);
        break;
    case IR_OP_select:
        emit_select(e, i, n);
        break;
    case IR_OP_load:
        emit_load(e, i, n);
        break;
    case IR_OP_store:
        emit_store(e, i, n);
        break;
    case IR_OP_probe:
        emit_probe(e, i, n);
        break;
    case IR_OP_rmw:
        emit_rmw(e, i, n);
        break;
    case IR_OP_cas:
        emit_cas(e, i, n);
        break;
    case IR_OP_fence:           /* lock or dword [rsp], 0 */
        a32(&e->a, 0x240c83f0);
        a8(&e->a, 0);
        break;
    case IR_OP_call:
        emit_helper(e, i, n);
        break;
    case IR_OP_br:
        emit_br(e, n);
        break;
    case IR_OP_bind:
        emit_bind(e, n);
        break;
    case IR_OP_goto_pc:
        emit_goto_pc(e, n->imm64);
        break;
    case IR_OP_call_pc:
        emit_call_pc(e, n);
        break;
    case IR_OP_goto_ind:
        emit_goto_ind(e, n->a);
        break;
    case IR_OP_call_ind:
        emit_call_ind(e, n);
        break;
    case IR_OP_ret:
        emit_ret(e, n->a);
        break;
    case IR_OP_resync:
        emit_resync(e, n->a);
        break;
    default:
        if (!emit_vector(e, i, n))
            e->fail = true;
    }
}

static void release_if_dead(Emit *e, IrRef v)
{
    Val *val = &e->v[v];
    if (val->last > e->at || val->pend)
        return;
    if (val->reg >= 0)
        reg_release(e, val->reg);
    if (val->cell)
        cell_free(e, v);
}

static void release_args(Emit *e, const IrNode *n)
{
    unsigned args = ir_op_info[n->op].args;
    if (args >= 1 && n->a) {
        if (e->v[n->a].flags & (V_FUSED | V_UNFUSED) && (n->op == IR_OP_select || n->op == IR_OP_brcond)) {
            release_if_dead(e, node_of(e, n->a)->a);
            release_if_dead(e, node_of(e, n->a)->b);
        }
        release_if_dead(e, n->a);
    }
    if (args >= 2 && n->b)
        release_if_dead(e, n->b);
    if (args >= 3 && n->c)
        release_if_dead(e, n->c);
    if (args >= 4 && n->d)
        release_if_dead(e, n->d);
}

static void emit_nodes(Emit *e)
{
    const IrUnit *u = e->u;
    for (unsigned i = 1; i < u->n_nodes && !e->fail; i++) {
        const IrNode *n = &u->nodes[i];
        if (!(e->v[i].flags & V_LIVE) && n->op != IR_OP_bind)
            continue;
        if (!e->reachable && n->op != IR_OP_bind)
            continue;
        e->at = i;
        e->lock = 0;
        if (n->op == IR_OP_brcond) {
            unsigned next = emit_brcond(e, i, n);
            if (next != i) {
                i = next;
                continue;
            }
        } else {
            emit_node(e, i, n);
        }
        release_args(e, n);
        /* A result nobody reads (of a load or call). */
        if (e->v[i].reg >= 0 && !e->v[i].last)
            reg_release(e, e->v[i].reg);
        if (e->a.p - e->start > (1 << 20) || e->c.p - e->cold > COLD_SIZE - 8192)
            e->fail = true;
    }
}

static bool is_call(const IrUnit *u, const IrNode *n)
{
    return n->op == IR_OP_call || vector_is_call(n);
}

/* Entry: room for the dead mark, then with -icount the budget. */
static void emit_entry(Emit *e)
{
    op_nops(&e->a, 5);
    if (!e->u->icount)
        return;
    uint8_t *broke = e->c.p;
    op_mi(&e->c, G_ADD, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns);
    op_rm(&e->c, X_LEA | O_W, RAX, R12, e->u->pc - e->u->page_base);
    op_movi(&e->c, RCX, JIT_LEFT_BUDGET);
    from_cold(e, 0xe9, e->jit->stubs.exit);
    op_mi(&e->a, G_SUB, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns);
    cold_jcc(e, CC_L, broke);
}

static void apply_fixes(Emit *e, uint8_t *cold_final)
{
    for (unsigned k = 0; k < e->n_to_cold; k++)
        asm_fix32(e->start + e->to_cold[k].at, cold_final + e->to_cold[k].target);
    for (unsigned k = 0; k < e->n_from_cold; k++)
        asm_fix32(cold_final + e->from_cold[k].at, jit_rw(e->jit, e->from_cold[k].target));
}

static JitUnit *make_unit(Emit *e, JitChunk *chunk, size_t cold, uint32_t dead, unsigned flags)
{
    Jit *j = e->jit;
    const IrUnit *u = e->u;
    uint32_t code = e->start - j->cache.rw, cold_at = code + (e->a.p - e->start);
    size_t size = sizeof(JitUnit) + e->n_exits * sizeof(JitExit);
    JitUnit *unit = (JitUnit *)chunk->meta;
    memset(unit, 0, size);
    *unit = (JitUnit){.mode = u->mode, .code = code, .code_size = cold_at + cold - code,
                      .dead_stub = cold_at + dead, .at = u->pc - u->page_base, .size = u->size,
                      .n_insns = u->n_insns, .n_exits = e->n_exits,
                      .flags = flags};
    for (unsigned k = 0; k < e->n_exits; k++) {
        JitExit *x = &unit->exits[k];
        *x = e->exits[k];
        x->from = unit;
        x->stub += cold_at;
        uint32_t id = (uint8_t *)x - j->cache.meta;
        memcpy(jit_rw(j, x->stub) + 1, &id, 4);
    }
    chunk->meta += size;
    if (u->icount) {
        unit->marks = (uint16_t *)chunk->meta;
        for (unsigned k = 0; k < u->n_insns; k++)
            unit->marks[k] = u->insns[k].pc;
        chunk->meta += u->n_insns * 2;
    }
    chunk->meta = (uint8_t *)(((uintptr_t)chunk->meta + 15) & ~(uintptr_t)15);
    return unit;
}

JitUnit *jit_emit(Jit *j, const IrUnit *u, unsigned flags)
{
    Emit *e = j->emit;
    e->once = flags & JIT_UNIT_ONCE;
    e->probe = e->once ? j->stubs.leave : j->stubs.probe;
    e->link = e->once ? j->stubs.leave : j->stubs.link;
    for (unsigned i = 1; i < u->n_nodes && !j->fp_used; i++)
        if (vector_uses_fp(&u->nodes[i]))
            jit_fp_begin(j);
    for (unsigned k = 0; k < u->n_helpers; k++)
        flags |= u->helpers[k]->effects & IR_H_FP ? JIT_UNIT_SEES_FP : 0;
    jit_liveness(u, &e->live, is_call);
    size_t room = u->n_nodes * 64 + e->live.n_mem * 400 + e->live.n_exits * 400 + 4096;
    size_t meta = sizeof(JitUnit) + JIT_MAX_EXITS * sizeof(JitExit) + IR_MAX_INSNS * 2 + 64 +
                  e->live.n_calls * sizeof(IrNode);
    JitChunk *chunk = jit_cache_room(j, room, meta);
    if (!chunk)
        return NULL;
    chunk->code = (uint8_t *)(((uintptr_t)chunk->code + 15) & ~(uintptr_t)15);
    e->u = u;
    e->chunk = chunk;
    e->v = e->live.v;
    e->start = e->a.p = chunk->code;
    e->start_rx = j->cache.rx + (e->start - j->cache.rw);
    e->c.p = e->cold;
    e->free = GPRS | VECS;
    memset(e->in, 0, sizeof e->in);
    e->lock = e->n_pend = e->n_homed = e->next_call = e->insns = 0;
    e->cells[0] = e->cells[1] = 0;
    e->n_to_cold = e->n_from_cold = e->n_exits = e->n_snaps = 0;
    e->at = 0;
    e->pc_off = u->pc - u->page_base;
    e->reachable = true;
    e->fail = false;
    memset(e->labels, 0, u->n_labels * sizeof *e->labels);

    uint32_t dead = e->c.p - e->cold;
    op_rm(&e->c, X_LEA | O_W, RAX, R12, e->pc_off);
    op_rr(&e->c, X_XOR, RCX, RCX);
    from_cold(e, 0xe9, j->stubs.exit);
    emit_entry(e);
    emit_nodes(e);
    if (e->fail || e->reachable)
        return NULL;
    size_t cold = e->c.p - e->cold;
    if (e->a.p + cold > chunk->code_end)
        return NULL;
    memcpy(e->a.p, e->cold, cold);
    apply_fixes(e, e->a.p);
    chunk->code = e->a.p + cold;
    return make_unit(e, chunk, cold, dead, flags);
}

static unsigned host_features(void)
{
    unsigned f = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("bmi2"))
        f |= HOST_BMI2;
    if (__builtin_cpu_supports("bmi"))
        f |= HOST_BMI1;
    if (__builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("bmi"))
        f |= HOST_LZCNT;
    if (__builtin_cpu_supports("avx2"))
        f |= HOST_AVX2;
    if (__builtin_cpu_supports("fma"))
        f |= HOST_FMA;
    return f;
}

struct Emit *jit_emit_new(Jit *j)
{
    Emit *e = g_new0(Emit, 1);
    e->jit = j;
    e->cold = g_malloc(COLD_SIZE);
    e->host = host_features();
    e->bias = j->isa->slot_bias;
    return e;
}

void jit_emit_free(struct Emit *e)
{
    if (e)
        g_free(e->cold);
    g_free(e);
}

char *jit_host_unavailable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("popcnt") ? NULL : g_strdup("the host CPU is older than x86-64-v2");
}

void jit_patch(Jit *j, uint32_t at, uint32_t target)
{
    int32_t d = target - (at + 4);
    __atomic_store_n((int32_t *)jit_rw(j, at), d, __ATOMIC_RELEASE);
}

/* jmp rel32 over the five-byte nop: one aligned eight-byte store. */
void jit_patch_dead(Jit *j, JitUnit *u)
{
    uint64_t *at = (uint64_t *)jit_rw(j, u->code), word;
    memcpy(&word, at, 8);
    int32_t d = u->dead_stub - (u->code + 5);
    word = (word & ~0xffffffffffull) | 0xe9 | (uint64_t)(uint32_t)d << 8;
    __atomic_store_n(at, word, __ATOMIC_RELEASE);
}

void jit_dump_code(Jit *j, const JitUnit *u, GString *out)
{
    for (unsigned k = 0; k < u->code_size; k++)
        g_string_append_printf(out, "%02x%s", *jit_rx(j, u->code + k), k % 32 == 31 ? "\n" : "");
    g_string_append_c(out, '\n');
}
