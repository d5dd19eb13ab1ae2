/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: the inline TLB probe and its out-of-line slow path.
 *
 *   lea  rax, [base + disp]
 *   rorx ecx, eax, 8                    index: bits 12-23, times the entry size
 *   and  ecx, 0xfff0
 *   xor  rax, [r14 + rcx + array]       a hit leaves the offset in the page
 *   cmp  rax, 4096 - size               match, permission and page crossing in one compare
 *   ja   slow
 *   mov  rcx, [r14 + rcx + array + 8]
 *   mov  dst, [rcx + base + disp]
 *
 * The slow path is a call with a description behind it; see slow.h.
 *
 * Accesses of a share (alloc.h): the first looks for all bytes of the share, with the rights of all, and
 * keeps the host address of base in a register, the others only test that register. It is zero if the first
 * look failed, and becomes zero in each slow path, since what C does may change translations; then the
 * others look for themselves, in cold code.
 */
#include "accel/jit/slow.h"
#include "accel/jit/x86_64/emit.h"

_Static_assert(sizeof(TlbEntry) == 16 && TLB_BITS == 12 && TLB_PAGE_BITS == 12, "the probe below");

typedef struct Access {
    IrRef base;
    int32_t disp;
    int reg;                    /* of base */
    unsigned mop, bytes;
    MemAccess array;
    bool align;
    int host;                   /* register with the host address of base; -1: rcx plus base has it */
    uint8_t *miss[2];           /* displacement of jumps to the slow path */
    bool cold;                  /* they are in cold code */
} Access;

static bool force_miss(Emit *e)
{
    unsigned n = e->jit->opt.force_miss;
    return n && ++e->accesses % n == 0;
}

static void address(Asm *a, const Access *x)
{
    if (x->disp)
        op_rm(a, X_LEA | O_W, RAX, x->reg, x->disp);
    else
        op_rr(a, X_MOV | O_W, RAX, x->reg);
}

/* Leaves the addend in rcx. */
static void probe_at(Emit *e, Asm *a, Access *x)
{
    int32_t array = (int32_t)offsetof(TlbInstance, entries) + x->array * TLB_SIZE * sizeof(TlbEntry);
    if ((x->mop & IR_MMU_MASK) || force_miss(e)) {
        x->miss[0] = op_jmp(a);
        return;
    }
    address(a, x);
    if (e->host & HOST_BMI2) {
        vex_rr(a, X_RORX, RCX, 0, RAX);
        a8(a, 8);
    } else {
        op_rr(a, X_MOV, RCX, RAX);
        op_shift(a, G_SHR, 0, RCX, 8);
    }
    op_rr(a, 0x81, G_AND, RCX);
    a32(a, (TLB_SIZE - 1) << 4);
    op_rmx(a, X_XOR | O_W, RAX, R14, RCX, 0, array);
    if (x->align && x->bytes > 1) {
        a8(a, 0x48);
        a8(a, 0xa9);            /* test rax, imm32 */
        a32(a, ~4095u | (x->bytes - 1));
        x->miss[0] = op_jcc(a, CC_NE);
    } else {
        a8(a, 0x48);
        a8(a, 0x3d);            /* cmp rax, imm32 */
        a32(a, 4096 - x->bytes);
        x->miss[0] = op_jcc(a, CC_A);
    }
    op_rmx(a, X_MOV | O_W, RCX, R14, RCX, 0, array + 8);
}

static void probe_tlb(Emit *e, Access *x)
{
    probe_at(e, &e->a, x);
}

static void miss_to_cold(Emit *e, const Access *x)
{
    for (unsigned k = 0; k < 2; k++) {
        if (!x->miss[k])
            continue;
        if (x->cold) {
            asm_fix32(x->miss[k], e->c.p);
            continue;
        }
        e->to_cold[e->n_to_cold++] = (Fix){.at = x->miss[k] - e->start, .target = e->c.p - e->cold};
        if (e->n_to_cold >= MAX_FIXES)
            e->n_to_cold--, e->fail = true;
    }
}

/* What is remembered about translations does not survive what comes. */
static void forget_facts(Emit *e, Asm *a)
{
    for (uint32_t m = e->facts; m; m &= m - 1)
        op_rr(a, X_XOR, __builtin_ctz(m), __builtin_ctz(m));
}

static void slow_word(Emit *e, unsigned where, unsigned bytes, int32_t offset)
{
    if (offset < 0 || offset >> SLOW_OFFSET_BITS)
        e->fail = true;
    a32(&e->c, where | (unsigned)__builtin_ctz(bytes) << SLOW_WHERE_BITS |
               (uint32_t)offset << (SLOW_WHERE_BITS + SLOW_SIZE_BITS));
}

/* Where v is, and the slot it goes to. */
static void slow_value(Emit *e, IrRef v, unsigned bytes, int32_t offset)
{
    const IrNode *n = node_of(e, v);
    int64_t k;
    if (e->v[v].reg >= 0) {
        slow_word(e, e->v[v].reg, bytes, offset);
    } else if (const_of(e, v, &k)) {
        slow_word(e, fits32(k) ? SLOW_CONST32 : SLOW_CONST64, bytes, offset);
        if (fits32(k))
            a32(&e->c, k);
        else
            a64(&e->c, k);
    } else if (n->op == IR_OP_pcrel && fits32(n->imm64)) {
        slow_word(e, SLOW_PCREL, bytes, offset);
        a32(&e->c, n->imm64);
    } else {
        e->fail = true;
    }
}

typedef struct Slow {
    unsigned kind, arg, op;
    int dst;                    /* register of the result, or of a vector to store */
    IrRef values[2];            /* what the access takes */
    bool vector;                /* is concerned */
} Slow;

/* The slow path of x, which goes on at the end of the hot code. `live`: vector registers are. */
static void slow_path(Emit *e, const Access *x, const Slow *s, bool live)
{
    Asm *c = &e->c;
    miss_to_cold(e, x);
    forget_facts(e, c);
    from_cold(e, 0xe8, e->jit->stubs.slow[s->kind][live || s->vector]);
    JitSlow *d = (JitSlow *)c->p;
    *d = (JitSlow){.disp = x->disp, .arg = s->arg, .pc = e->pc_off, .base = x->reg, .dst = s->dst,
                   .op = s->op, .n = e->n_pend,
                   .refund = e->u->icount ? e->u->n_insns - e->insns : 0};
    from_cold_to(e, hot_offset(e));
    c->p += sizeof *d - sizeof d->resume;
    for (unsigned k = 0; k < 2 && s->values[k]; k++)
        slow_value(e, s->values[k], 8, 0);
    for (unsigned k = 0; k < e->n_pend; k++)
        slow_value(e, e->pend[k].v, e->pend[k].bytes, e->pend[k].off);
}

static unsigned vectors_live(const Emit *e)
{
    return (VECS & ~e->free) != 0;
}

static Access access_of(Emit *e, IrRef base, int32_t disp, unsigned mop, MemAccess array)
{
    return (Access){.base = base, .disp = disp, .mop = mop, .bytes = IR_MBYTES(mop), .array = array,
                    .align = mop & IR_MALIGN, .reg = value_use(e, base), .host = -1};
}

static void swap_bytes(Asm *a, int r, unsigned bytes)
{
    if (bytes == 2) {           /* 66 c1 /1 8: rol r16, 8 */
        op_rr(a, 0xc1 | O_66, G_ROL, r);
        a8(a, 8);
    } else if (bytes >= 4) {
        if (bytes == 8 || (r & 8))
            a8(a, 0x40 | (bytes == 8 ? 8 : 0) | (r & 8) >> 3);
        a8(a, 0x0f);
        a8(a, 0xc8 | (r & 7));
    }
}

static const unsigned load_ops[2][4] = {
    {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV | O_W},
    {X_MOVSX8, X_MOVSX16, X_MOVSXD, X_MOV | O_W},
};

static unsigned load_op(unsigned mop, unsigned type)
{
    unsigned size = mop & IR_MSIZE;
    bool sign = (mop & IR_MSX) && !(type == IR_I32 && size == IR_M32);
    unsigned w = sign && type == IR_I64 && size < IR_M32 ? O_W : 0;
    return load_ops[sign][size] | w;
}

/* ---- loads and stores, alone or sharing a look into the TLB ---- */

static void op_at(Asm *a, unsigned op, int reg, const Access *x)
{
    if (x->host >= 0)
        op_rm(a, op, reg, x->host, x->disp);
    else
        op_rmx(a, op, reg, RCX, x->reg, 0, x->disp);
}

static void vex_at(Asm *a, unsigned op, int reg, const Access *x)
{
    if (x->host >= 0)
        vex_rm(a, op, reg, 0, x->host, x->disp);
    else
        vex_rmx(a, op, reg, 0, RCX, x->reg, x->disp);
}

static void body_load(Asm *a, const IrNode *n, const Access *x, int d)
{
    if (d >= XMM) {
        vex_at(a, vec_load_op(x->bytes), d - XMM, x);
        return;
    }
    unsigned op = load_op(n->aux, n->type), plain = load_op(n->aux & ~IR_MSX, n->type);
    if ((n->aux & IR_MBE) && x->bytes > 1) {
        op_at(a, plain, d, x);
        swap_bytes(a, d, x->bytes);
        if (op != plain)
            op_rr(a, op, d, d);
    } else {
        op_at(a, op, d, x);
    }
}

/* s: register, or -1: the constant. Changes rax. */
static void body_store(Asm *a, const IrNode *n, const Access *x, int s, int64_t k)
{
    static const unsigned ops[4] = {X_MOV8_MR, X_MOV16_MR, X_MOV_MR, X_MOV_MR | O_W};
    static const unsigned imm_ops[4] = {0xc6, 0xc7 | O_66, 0xc7, 0xc7 | O_W};
    unsigned size = n->aux & IR_MSIZE;
    if (s >= XMM) {
        vex_at(a, vec_store_op(x->bytes), s - XMM, x);
    } else if (s < 0) {
        op_at(a, imm_ops[size], 0, x);
        for (unsigned b = 0; b < (size == 3 ? 4 : x->bytes); b++)
            a8(a, k >> (8 * b));
    } else if ((n->aux & IR_MBE) && size) {
        op_rr(a, X_MOV | O_W, RAX, s);
        swap_bytes(a, RAX, x->bytes);
        op_at(a, ops[size], RAX, x);
    } else {
        op_at(a, ops[size], s, x);
    }
}

static void body(Asm *a, const IrNode *n, const Access *x, int r, int64_t k)
{
    if (n->op == IR_OP_load)
        body_load(a, n, x, r);
    else
        body_store(a, n, x, r, k);
}

/* The access once more in cold code, with a look of its own. */
static void access_cold(Emit *e, Access *x, const IrNode *n, int r, int64_t k)
{
    x->host = -1;
    x->cold = true;
    probe_at(e, &e->c, x);
    body(&e->c, n, x, r, k);
    from_cold_hot(e, e->a.p);
}

/* The first of a share: looks whether the page is right for all of them, and keeps the host address. */
static void access_first(Emit *e, Access *x, const JitShare *s, int host, const IrNode *n, int r, int64_t k)
{
    Access all = *x;
    all.disp = s->lo;
    all.bytes = s->hi - s->lo;
    all.array = x->array = s->store ? MEM_STORE : MEM_LOAD;
    probe_at(e, &e->a, &all);
    op_rmx(&e->a, X_LEA | O_W, host, RCX, x->reg, 0, 0);
    body(&e->a, n, x, r, k);
    miss_to_cold(e, &all);
    op_rr(&e->c, X_XOR, host, host);
    x->array = n->op == IR_OP_store || n->aux & IR_MREADW ? MEM_STORE : MEM_LOAD;
    access_cold(e, x, n, r, k);
}

static void access_next(Emit *e, Access *x, int host, const IrNode *n, int r, int64_t k)
{
    uint8_t *at;
    if (force_miss(e)) {
        at = op_jmp(&e->a);
    } else {
        op_rr(&e->a, X_TEST | O_W, host, host);
        at = op_jcc(&e->a, CC_E);
    }
    Access none = {.miss = {at}};
    x->host = host;
    body(&e->a, n, x, r, k);
    miss_to_cold(e, &none);
    access_cold(e, x, n, r, k);
}

/* r: the register to load or store; -1: store the constant k. What a miss does is up to the caller. */
static void access_memory(Emit *e, IrRef i, Access *x, const IrNode *n, int r, int64_t k)
{
    unsigned share = e->live.share[i];
    const JitShare *s = share ? &e->live.shares[share - 1] : NULL;
    IrRef ref = JIT_SHARE_REF + share - 1;
    if (!s || s->count < 2) {
        probe_at(e, &e->a, x);
        body(&e->a, n, x, r, k);
        return;
    }
    int host = e->v[ref].reg;
    if (host >= 0) {
        access_next(e, x, host, n, r, k);
        if (s->last <= i)
            reg_release(e, host);
    } else if (s->last > i) {
        host = reg_alloc(e, GPRS, ref);
        reg_bind(e, host, ref);
        access_first(e, x, s, host, n, r, k);
    } else {
        probe_at(e, &e->a, x);
        body(&e->a, n, x, r, k);
    }
}

void emit_load(Emit *e, IrRef i, const IrNode *n)
{
    bool vec = is_vec(n->type);
    if (vec && !(e->host & HOST_AVX2)) {
        e->fail = true;
        return;
    }
    Access x = access_of(e, n->a, n->imm, n->aux, n->aux & IR_MREADW ? MEM_STORE : MEM_LOAD);
    if (!vec)
        free_dying(e, n->a);
    int d = value_def(e, i);
    access_memory(e, i, &x, n, d, 0);
    slow_path(e, &x, &(Slow){.kind = vec ? JIT_SLOW_LOAD_VEC : JIT_SLOW_LOAD, .arg = n->aux, .dst = d,
                             .op = n->type == IR_I32 ? SLOW_I32 : 0, .vector = vec}, vec || vectors_live(e));
}

void emit_store(Emit *e, IrRef i, const IrNode *n)
{
    int64_t k = 0;
    bool vec = is_vec(n->type), swap = (n->aux & IR_MBE) && n->aux & IR_MSIZE;
    bool imm = !vec && !swap && const_of(e, n->b, &k) && fits32(k) && e->v[n->b].reg < 0;
    int s = imm ? -1 : value_use(e, n->b);
    Access x = access_of(e, n->a, n->imm, n->aux, MEM_STORE);
    access_memory(e, i, &x, n, s, k);
    if (vec)
        slow_path(e, &x, &(Slow){.kind = JIT_SLOW_STORE_VEC, .arg = n->aux, .dst = s, .vector = true}, true);
    else
        slow_path(e, &x, &(Slow){.kind = JIT_SLOW_STORE, .arg = n->aux, .values = {n->b}}, vectors_live(e));
    if (!vec && (n->aux & IR_MSC) == IR_MSC) {
        a32(&e->a, 0x240c83f0); /* lock or dword [rsp], 0 */
        a8(&e->a, 0);
    }
}

void emit_probe(Emit *e, IrRef i, const IrNode *n)
{
    bool write = n->d & 1;
    unsigned mmu = n->d >> 1, bytes = n->aux;
    Access x = {.base = n->a, .disp = n->imm, .mop = IR_MMU(mmu), .bytes = bytes,
                .array = write ? MEM_STORE : MEM_LOAD, .reg = value_use(e, n->a)};
    probe_tlb(e, &x);
    slow_path(e, &x, &(Slow){.kind = JIT_SLOW_PROBE,
                             .arg = ((bytes - 1) & 4095) | write << 12 | mmu << 13}, vectors_live(e));
}

/* ---- atomics: the host's locked instructions on a hit, C otherwise ---- */

static void zero_extend(Asm *a, int d, int s, unsigned size)
{
    static const unsigned ops[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV | O_W};
    op_rr(a, ops[size], d, s);
}

/* lock op [rcx + base], reg; opcode words for 1 byte and more. */
static void locked(Asm *a, bool lock, unsigned op8, unsigned op, unsigned size, int reg, int base)
{
    if (lock)
        a8(a, 0xf0);
    if (size == 0)
        op_rmx(a, op8 | O_B, reg, RCX, base, 0, 0);
    else
        op_rmx(a, op | (size == 1 ? O_66 : size == 3 ? O_W : 0), reg, RCX, base, 0, 0);
}

/* rax: old value; d := new value to try. */
static void rmw_compute(Asm *a, unsigned op, unsigned size, int d, int v)
{
    static const unsigned arith[] = {[IR_RMW_AND] = X_AND, [IR_RMW_OR] = X_OR, [IR_RMW_XOR] = X_XOR};
    static const uint8_t cc[] = {[IR_RMW_MIN] = CC_G, [IR_RMW_MAX] = CC_L, [IR_RMW_MINU] = CC_A,
                                 [IR_RMW_MAXU] = CC_B};
    unsigned w = size == 3 ? O_W : 0;
    op_rr(a, X_MOV | O_W, d, RAX);
    if (op <= IR_RMW_XOR) {
        op_rr(a, arith[op] | w, d, v);
    } else {
        op_rr(a, X_CMP | w, d, v);
        op_rr(a, (X_CMOV | w) + cc[op], d, v);
    }
}

void emit_rmw(Emit *e, IrRef i, const IrNode *n)
{
    unsigned op = n->imm, size = n->aux & IR_MSIZE;
    Asm *a = &e->a;
    int v = value_use(e, n->b);
    Access x = access_of(e, n->a, 0, n->aux, MEM_STORE);
    bool big = (n->aux & IR_MBE) && size, quiet = !e->v[i].last && op >= IR_RMW_AND && op <= IR_RMW_XOR;
    int d = value_def(e, i);
    x.align = true;
    if (big || (op >= IR_RMW_MIN && size < 2))
        x.mop |= IR_MMU_MASK;   /* not inline */
    probe_tlb(e, &x);
    if (quiet) {
        static const uint8_t mr[] = {[IR_RMW_AND] = X_AND_MR, [IR_RMW_OR] = X_OR_MR, [IR_RMW_XOR] = X_XOR_MR};
        locked(a, true, mr[op] - 1, mr[op], size, v, x.reg);
    } else if (op == IR_RMW_ADD || op == IR_RMW_XCHG) {
        op_rr(a, X_MOV | O_W, d, v);
        locked(a, op == IR_RMW_ADD, op == IR_RMW_ADD ? 0xc0 | O_0F : 0x86, op == IR_RMW_ADD ? X_XADD : X_XCHG, size,
               d, x.reg);
        if (size < 2)
            zero_extend(a, d, d, size);
    } else {
        op_rmx(a, load_ops[0][size], RAX, RCX, x.reg, 0, 0);
        uint8_t *again = a->p;
        rmw_compute(a, op, size, d, v);
        locked(a, true, 0xb0 | O_0F, X_CMPXCHG, size, d, x.reg);
        op_jcc_to(a, CC_NE, again);
        zero_extend(a, d, RAX, size);
    }
    slow_path(e, &x, &(Slow){.kind = JIT_SLOW_RMW, .arg = n->aux, .op = op, .dst = d, .values = {n->b}},
              vectors_live(e));
}

void emit_cas(Emit *e, IrRef i, const IrNode *n)
{
    unsigned size = n->aux & IR_MSIZE;
    Asm *a = &e->a;
    int expected = value_use(e, n->b), desired = value_use(e, n->c);
    Access x = access_of(e, n->a, 0, n->aux, MEM_STORE);
    int d = value_def(e, i);
    x.align = true;
    if ((n->aux & IR_MBE) && size)
        x.mop |= IR_MMU_MASK;
    probe_tlb(e, &x);
    op_rr(a, X_MOV | O_W, RAX, expected);
    locked(a, true, 0xb0 | O_0F, X_CMPXCHG, size, desired, x.reg);
    zero_extend(a, d, RAX, size);
    slow_path(e, &x, &(Slow){.kind = JIT_SLOW_CAS, .arg = n->aux, .dst = d, .values = {n->b, n->c}},
              vectors_live(e));
}
