/* SPDX-License-Identifier: Apache-2.0 */
/* String instructions: single ones inline, repeated ones page by page. Intel SDM vol. 2, REP. */
#include <string.h>
#include "target/x86/translate.h"

/* ---- single ---- */

static unsigned element(const X86Xlate *x) { return x->i.row->arg ? x->i.opsize : 1; }

static IrRef index_reg(X86Xlate *x, unsigned n)
{
    return ir_get(x->b, IR_I64, SLOT(regs) + 8 * n, x->i.addrsize);
}

static IrRef source(X86Xlate *x, unsigned size)
{
    return x_linear(x, x->i.seg >= 0 ? x->i.seg : DS, index_reg(x, RSI), x->i.addrsize, size, false);
}

static IrRef destination(X86Xlate *x, unsigned size, bool write)
{
    return x_linear(x, ES, index_reg(x, RDI), x->i.addrsize, size, write);
}

/* +size or -size by DF, I64. */
static IrRef stride(X86Xlate *x, unsigned size)
{
    IrBuilder *b = x->b;
    IrRef d = ir_andi(b, ir_get(b, IR_I64, SLOT(eflags), 4), FLAG_D);
    return ir_sub(b, ir_i64(b, size), ir_shri(b, d, 9 - x_log2(size)));
}

static void advance(X86Xlate *x, unsigned n, IrRef by)
{
    x_set_addr_reg(x, n, x->i.addrsize, ir_add(x->b, index_reg(x, n), by));
}

/* ---- repeated: one helper, run until done or interrupted ---- */

enum { MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS };

/* How the helper is told: op | log2 size << 4 | log2 addrsize << 8 | segment << 12 | repne << 16. */
typedef struct Rep {
    X86Cpu *x;
    unsigned op, size, addrsize, seg;
    bool repne, down;
    uint64_t mask;              /* of addresses */
} Rep;

static Rep rep_of(X86Cpu *x, uint64_t info)
{
    Rep r = {.x = x, .op = info & 15, .size = 1 << (info >> 4 & 15), .addrsize = 1 << (info >> 8 & 15),
             .seg = info >> 12 & 15, .repne = info >> 16 & 1, .down = x->eflags & FLAG_D};
    r.mask = r.addrsize == 8 ? ~0ull : r.addrsize == 4 ? 0xffffffff : 0xffff;
    return r;
}

static uint64_t masked(const Rep *r, unsigned n) { return r->x->regs[n] & r->mask; }

static void set_masked(const Rep *r, unsigned n, uint64_t v)
{
    uint64_t *reg = &r->x->regs[n];
    if (r->addrsize == 2)
        *reg = (*reg & ~0xffffull) | (v & 0xffff);
    else
        *reg = v & r->mask;
}

/* Linear address of `bytes` at an offset, or the exception. */
static uint64_t linear(const Rep *r, unsigned seg, uint64_t offset, unsigned bytes, bool write)
{
    X86Cpu *x = r->x;
    const X86Seg *s = &x->seg[seg];
    if (x86_code64(x))
        return seg < FS ? offset : s->base + offset;
    int64_t last = (int64_t)(offset + bytes - 1);
    if ((int64_t)offset < s->lo || last > (write ? s->wr : s->rd))
        x86_raise(x, seg == SS ? EXC_SS : EXC_GP, 0);
    return (uint32_t)(s->base + offset);
}

/* How many elements from here lie in one page, in the direction of travel, at most n; 0 if the next
 * one crosses. The offset must not wrap, nor leave its segment. */
static uint64_t run(const Rep *r, uint64_t at, uint64_t offset, uint64_t n)
{
    uint64_t in_page = at & 4095, room;
    if (r->down)
        room = in_page + r->size > 4096 ? 0 : in_page / r->size + 1;
    else
        room = (4096 - in_page) / r->size;
    uint64_t wrap = r->down ? offset / r->size + 1 : (r->mask - offset) / r->size + 1;
    return MIN(MIN(room, wrap), n);
}

/* All of the elements must be within the segment, else go one by one. */
static uint64_t checked_run(const Rep *r, unsigned seg, uint64_t offset, uint64_t n)
{
    const X86Seg *s = &r->x->seg[seg];
    if (x86_code64(r->x) || (r->x->cpu.mode & MODE_FLAT << seg))
        return n;
    int64_t lo = r->down ? (int64_t)(offset - (n - 1) * r->size) : (int64_t)offset;
    int64_t hi = (r->down ? (int64_t)offset : (int64_t)(offset + (n - 1) * r->size)) + r->size - 1;
    return lo >= s->lo && hi <= MIN(s->rd, s->wr) ? n : 1;
}

static void move(const Rep *r, unsigned n, uint64_t count)
{
    uint64_t by = count * r->size;
    set_masked(r, n, masked(r, n) + (r->down ? -by : by));
}

static uint64_t load_at(const Rep *r, uint64_t at)
{
    return cpu_load(&r->x->cpu, at, __builtin_ctz(r->size));
}

static void store_at(const Rep *r, uint64_t at, uint64_t v)
{
    cpu_store(&r->x->cpu, at, v, __builtin_ctz(r->size));
}

/* Host bytes of `n` elements starting at linear `at`, lowest first; NULL: not plain memory. */
static uint8_t *host(const Rep *r, uint64_t at, uint64_t n, MemAccess access)
{
    uint64_t first = r->down ? at - (n - 1) * r->size : at;
    unsigned got = n * r->size;
    uint8_t *p = cpu_host_ptr(&r->x->cpu, first, access, MMU_CURRENT, &got);
    return p && got >= n * r->size ? p : NULL;
}

/* Copies as the guest's loop would: overlapping forward copies repeat a pattern. */
static void copy(const Rep *r, uint8_t *to, const uint8_t *from, uint64_t n)
{
    uint64_t bytes = n * r->size;
    uint64_t ahead = r->down ? (uint64_t)(from - to) : (uint64_t)(to - from);
    if (ahead >= bytes || to == from) {
        memmove(to, from, bytes);
        return;
    }
    if (ahead < r->size) {      /* elements overlap partly: one at a time */
        for (uint64_t k = 0; k < n; k++) {
            uint64_t i = (r->down ? n - 1 - k : k) * r->size, v = 0;
            memcpy(&v, from + i, r->size);
            memcpy(to + i, &v, r->size);
        }
        return;
    }
    for (uint64_t done = 0; done < bytes; ) {
        uint64_t step = MIN(ahead - ahead % r->size, bytes - done);
        if (r->down)
            memmove(to + bytes - done - step, from + bytes - done - step, step);
        else
            memmove(to + done, from + done, step);
        done += step;
    }
}

static uint64_t movs_some(const Rep *r, uint64_t n)
{
    uint64_t so = masked(r, RSI), dof = masked(r, RDI);
    uint64_t s = linear(r, r->seg, so, r->size, false), d = linear(r, ES, dof, r->size, true);
    n = MIN(run(r, s, so, n), run(r, d, dof, n));
    n = MIN(checked_run(r, r->seg, so, n), checked_run(r, ES, dof, n));
    if (n > 1) {
        const uint8_t *from = host(r, s, n, MEM_LOAD);
        uint8_t *to = from ? host(r, d, n, MEM_STORE) : NULL;
        /* The second look may have evicted what the first found; it is RAM all the same. */
        if (to) {
            copy(r, to, from, n);
            return n;
        }
    }
    store_at(r, d, load_at(r, s));
    return 1;
}

static void fill(uint8_t *to, uint64_t v, unsigned size, uint64_t n)
{
    if (size == 1 || (v & 0xff) * 0x0101010101010101ull << (64 - 8 * size) == v << (64 - 8 * size)) {
        memset(to, v, n * size);
        return;
    }
    for (uint64_t k = 0; k < n; k++)
        memcpy(to + k * size, &v, size);
}

static uint64_t stos_some(const Rep *r, uint64_t n)
{
    uint64_t offset = masked(r, RDI), d = linear(r, ES, offset, r->size, true);
    n = checked_run(r, ES, offset, run(r, d, offset, n));
    uint8_t *to = n > 1 ? host(r, d, n, MEM_STORE) : NULL;
    if (to) {
        fill(to, r->x->regs[RAX], r->size, n);
        return n;
    }
    store_at(r, d, r->x->regs[RAX]);
    return 1;
}

static uint64_t size_mask(const Rep *r) { return r->size == 8 ? ~0ull : (1ull << r->size * 8) - 1; }

static uint64_t lods_some(const Rep *r, uint64_t n)
{
    uint64_t offset = masked(r, RSI), s = linear(r, r->seg, offset, r->size, false);
    uint64_t v = load_at(r, s), *rax = &r->x->regs[RAX];
    *rax = r->size == 8 || r->size == 4 ? v : (*rax & ~size_mask(r)) | v;
    return 1;
}

static void compare(const Rep *r, uint64_t a, uint64_t b)
{
    X86Cpu *x = r->x;
    x->cc_op = CC_SUB + __builtin_ctz(r->size);
    x->cc_a = a;
    x->cc_b = b;
}

/* How many elements to step over: up to and including the one that ends the loop. */
static uint64_t scan(const uint8_t *p, const uint8_t *q, uint64_t v, const Rep *r, uint64_t n,
                     uint64_t *a, uint64_t *b, bool *end)
{
    uint64_t k = 0;
    if (q && !r->repne && !r->down) {           /* long equal stretches, as memcmp */
        while (k + 64 <= n && !memcmp(p + k * r->size, q + k * r->size, 64 * r->size))
            k += 64;
        k = k == n ? k - 1 : k;
    } else if (!q && r->repne && r->size == 1 && !r->down) {
        const uint8_t *hit = memchr(p, v & 0xff, n);
        k = hit ? (uint64_t)(hit - p) : n - 1;
    }
    for (; k < n; k++) {
        uint64_t i = (r->down ? n - 1 - k : k) * r->size;
        *a = *b = 0;
        memcpy(q ? a : b, p + i, r->size);
        if (q)
            memcpy(b, q + i, r->size);
        else
            *a = v & size_mask(r);
        if ((*a == *b) == r->repne) {
            *end = true;
            return k + 1;
        }
    }
    return n;
}

static uint64_t scas_some(const Rep *r, uint64_t n, bool *end)
{
    uint64_t offset = masked(r, RDI), d = linear(r, ES, offset, r->size, false);
    uint64_t a = r->x->regs[RAX] & size_mask(r), b;
    n = checked_run(r, ES, offset, run(r, d, offset, n));
    const uint8_t *p = n > 1 ? host(r, d, n, MEM_LOAD) : NULL;
    if (p) {
        n = scan(p, NULL, a, r, n, &a, &b, end);
    } else {
        b = load_at(r, d);
        *end = (a == b) == r->repne;
        n = 1;
    }
    compare(r, a, b);
    return n;
}

static uint64_t cmps_some(const Rep *r, uint64_t n, bool *end)
{
    uint64_t so = masked(r, RSI), dof = masked(r, RDI), a, b;
    uint64_t s = linear(r, r->seg, so, r->size, false), d = linear(r, ES, dof, r->size, false);
    n = MIN(run(r, s, so, n), run(r, d, dof, n));
    n = MIN(checked_run(r, r->seg, so, n), checked_run(r, ES, dof, n));
    const uint8_t *p = n > 1 ? host(r, s, n, MEM_LOAD) : NULL;
    const uint8_t *q = p ? host(r, d, n, MEM_LOAD) : NULL;
    if (q) {
        n = scan(p, q, 0, r, n, &a, &b, end);
    } else {
        a = load_at(r, s);
        b = load_at(r, d);
        *end = (a == b) == r->repne;
        n = 1;
    }
    compare(r, a, b);
    return n;
}

static uint64_t ins_some(const Rep *r, uint64_t n)
{
    uint64_t d = linear(r, ES, masked(r, RDI), r->size, true), v = 0;
    uint16_t port = r->x->regs[RDX];
    x86_io_check(r->x, port, r->size);
    cpu_probe(&r->x->cpu, d, r->size, MEM_STORE, MMU_CURRENT);
    v = x86_io_in(r->x, port, r->size);
    store_at(r, d, v);
    return 1;
}

static uint64_t outs_some(const Rep *r, uint64_t n)
{
    uint16_t port = r->x->regs[RDX];
    x86_io_check(r->x, port, r->size);
    uint64_t v = load_at(r, linear(r, r->seg, masked(r, RSI), r->size, false));
    x86_io_out(r->x, port, v, r->size);
    return 1;
}

/* Element steps between two looks at pending requests. */
enum { REP_BUDGET = 64 };

/* One iteration or a stretch; returns how many, *end set when a condition stops the loop. */
static uint64_t some(const Rep *r, uint64_t n, bool *end)
{
    uint64_t done;
    switch (r->op) {
    case MOVS: done = movs_some(r, n); break;
    case STOS: done = stos_some(r, n); break;
    case LODS: done = lods_some(r, n); break;
    case CMPS: done = cmps_some(r, n, end); break;
    case SCAS: done = scas_some(r, n, end); break;
    case INS: done = ins_some(r, n); break;
    default: done = outs_some(r, n); break;
    }
    if (r->op != STOS && r->op != SCAS && r->op != INS)
        move(r, RSI, done);
    if (r->op != LODS && r->op != OUTS)
        move(r, RDI, done);
    return done;
}

/* Returns 1 when the instruction is finished, 0 when it must be started again. */
static uint32_t x86_helper_rep(Cpu *cpu, uint64_t info)
{
    X86Cpu *x = x86_of(cpu);
    Rep r = rep_of(x, info);
    uint64_t n = masked(&r, RCX);
    bool end = false;
    for (unsigned budget = REP_BUDGET; n && !end; budget--) {
        n -= some(&r, x->cpu.mode & MODE_TF ? 1 : n, &end);
        set_masked(&r, RCX, n);
        bool stop = budget == 0 || x->cpu.mode & MODE_TF;
        if (n && !end && (stop || __atomic_load_n(&cpu->req, __ATOMIC_RELAXED)))
            return 0;
    }
    return 1;
}
HELPER(rep, I32, IR_H_ANY);

static void repeat(X86Xlate *x, unsigned op, unsigned size)
{
    IrBuilder *b = x->b;
    unsigned seg = x->i.seg >= 0 ? x->i.seg : DS;
    uint64_t info = op | x_log2(size) << 4 | x_log2(x->i.addrsize) << 8 | seg << 12 | x->i.repne << 16;
    IrRef more = x_call(x, &h_rep, ir_i64(b, info), 0, 0, 0);
    if (op == CMPS || op == SCAS)
        x_cc_unknown(x);
    unsigned again = ir_label(b);
    ir_brcond(b, IR_EQ, more, ir_i32(b, 0), again);
    x_goto(x, x->next);
    ir_bind(b, again);
    /* Each iteration is a step to a debugger and a place for interrupts. */
    x_resync(x, x_here(x));
}

INSN(movs)
{
    unsigned size = element(x);
    if (x->i.rep || x->i.repne) {
        repeat(x, MOVS, size);
        return;
    }
    IrRef by = stride(x, size), v = x_load_at(x, source(x, size), 0, size);
    x_store_at(x, destination(x, size, true), 0, size, v);
    advance(x, RSI, by);
    advance(x, RDI, by);
}

INSN(stos)
{
    unsigned size = element(x);
    if (x->i.rep || x->i.repne) {
        repeat(x, STOS, size);
        return;
    }
    x_store_at(x, destination(x, size, true), 0, size, x_reg(x, RAX, size));
    advance(x, RDI, stride(x, size));
}

INSN(lods)
{
    unsigned size = element(x);
    if (x->i.rep || x->i.repne) {
        repeat(x, LODS, size);
        return;
    }
    IrRef v = x_load_at(x, source(x, size), 0, size);
    x_set_reg(x, RAX, size, v);
    advance(x, RSI, stride(x, size));
}

INSN(scas)
{
    unsigned size = element(x);
    if (x->i.rep || x->i.repne) {
        repeat(x, SCAS, size);
        return;
    }
    IrRef v = x_load_at(x, destination(x, size, false), 0, size);
    advance(x, RDI, stride(x, size));
    x_cc(x, CC_SUB, size, x_reg(x, RAX, size), v, 0);
}

INSN(cmps)
{
    unsigned size = element(x);
    if (x->i.rep || x->i.repne) {
        repeat(x, CMPS, size);
        return;
    }
    IrRef p = x_load_at(x, source(x, size), 0, size);
    IrRef q = x_load_at(x, destination(x, size, false), 0, size);
    IrRef by = stride(x, size);
    advance(x, RSI, by);
    advance(x, RDI, by);
    x_cc(x, CC_SUB, size, p, q, 0);
}

/* Port strings always take the helper, once or repeatedly. */
static uint32_t x86_helper_port_string(Cpu *cpu, uint64_t info)
{
    Rep r = rep_of(x86_of(cpu), info);
    bool end = false;
    some(&r, 1, &end);
    return 1;
}
HELPER(port_string, I32, IR_H_ANY);

static void port_string(X86Xlate *x, unsigned op)
{
    unsigned size = x->i.row->arg ? MIN(x->i.opsize, 4) : 1;
    if (x->i.rep || x->i.repne) {
        repeat(x, op, size);
        return;
    }
    unsigned seg = x->i.seg >= 0 ? x->i.seg : DS;
    uint64_t info = op | x_log2(size) << 4 | x_log2(x->i.addrsize) << 8 | seg << 12;
    x_call(x, &h_port_string, ir_i64(x->b, info), 0, 0, 0);
    x_resync_next(x);
}

INSN(ins) { port_string(x, INS); }
INSN(outs) { port_string(x, OUTS); }
