/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units by the host address of their guest code and mode; by page; and the links between them.
 *
 * Readers walk the hash chains without a lock; memory of dead units stays valid until its chunk is
 * reclaimed (cache.c). A killed unit's entry jumps to its dead stub, so every link, jump-cache entry
 * and running loop that leads there ends in the dispatcher.
 */
#include "accel/jit/internal.h"

static unsigned bucket(const uint8_t *host, uint32_t mode)
{
    uint64_t h = ((uintptr_t)host >> 1) * 0x9e3779b97f4a7c15ull ^ mode * 0x85ebca6bull;
    return (h ^ h >> 32) & ((1u << JIT_HASH_BITS) - 1);
}

static JitUnit *chain_find(JitUnit *u, const uint8_t *host, uint32_t mode, unsigned flags)
{
    for (; u; u = __atomic_load_n(&u->hash_next, __ATOMIC_ACQUIRE))
        if (u->host == host && u->mode == mode && (u->flags & JIT_UNIT_KEY) == flags &&
            !__atomic_load_n(&u->dead, __ATOMIC_ACQUIRE))
            return u;
    return NULL;
}

JitUnit *jit_unit_find(Jit *j, const uint8_t *host, uint32_t mode, unsigned flags)
{
    return chain_find(__atomic_load_n(&j->buckets[bucket(host, mode)], __ATOMIC_ACQUIRE), host, mode, flags);
}

static uint64_t granules_of(const JitUnit *u, const JitPage *p)
{
    unsigned first = u->at / 64, last = (u->at + MAX(u->size, 1) - 1) / 64;
    if (u->pages[0] == p)
        last = MIN(last, 63);
    else
        first = 0, last = MIN(last - 64, 63u);
    return (~0ull << first) & (~0ull >> (63 - last));
}

static void page_add(Jit *j, JitUnit *u, unsigned k, uint64_t ram_page)
{
    JitPage *p = g_hash_table_lookup(j->pages, &ram_page);
    if (!p) {
        p = g_new0(JitPage, 1);
        p->ram_page = ram_page;
        g_hash_table_insert(j->pages, &p->ram_page, p);
    }
    if (!p->units)
        softmmu_protect_code(j->vm, ram_page * JIT_PAGE);
    u->pages[k] = p;
    u->page_next[k] = p->units;
    p->units = u;
    p->granules |= granules_of(u, p);
}

void jit_unit_insert(Jit *j, JitUnit *u, uint64_t ram_page, uint64_t ram_page2)
{
    page_add(j, u, 0, ram_page);
    if (u->host2)
        page_add(j, u, 1, ram_page2);
    JitUnit **head = &j->buckets[bucket(u->host, u->mode)];
    u->hash_next = *head;
    __atomic_store_n(head, u, __ATOMIC_RELEASE);
    g_ptr_array_add(j->cache.chunks[j->cache.current].units, u);
}

/* The page has no unit. Counted after the fact, as a store: whoever reads its code to translate it, and
 * began before, must not keep the result, since stores to it are not noticed from now on. */
static void unprotect(Jit *j, uint64_t ram_page)
{
    if (!j->opt.unprotect)
        return;
    j->opt.unprotect(j->opt.opaque, ram_page * JIT_PAGE);
    __atomic_add_fetch(&j->code_stores, 1, __ATOMIC_SEQ_CST);
}

static void page_remove(Jit *j, JitUnit *u, unsigned k)
{
    JitPage *p = u->pages[k];
    JitUnit **at = &p->units;
    uint64_t granules = 0;
    while (*at) {
        JitUnit *o = *at;
        unsigned side = o->pages[0] == p ? 0 : 1;
        if (o == u) {
            *at = o->page_next[side];
        } else {
            granules |= granules_of(o, p);
            at = &o->page_next[side];
        }
    }
    p->granules = granules;
    if (!p->units)
        unprotect(j, p->ram_page);
}

void jit_unit_link(Jit *j, JitExit *x, JitUnit *to)
{
    if (x->to)
        return;
    if (x->bridge && !jit_patch_bridge(j, x, to)) {
        jit_patch_probe(j, x);
        return;
    }
    x->to = to;
    x->next = to->incoming;
    to->incoming = x;
    jit_patch(j, x->at, x->bridge ? x->bridge : to->code);
}

void jit_unit_unlink(Jit *j, JitExit *x)
{
    if (!x->to)
        return;
    for (JitExit **at = &x->to->incoming; *at; at = &(*at)->next) {
        if (*at == x) {
            *at = x->next;
            break;
        }
    }
    x->to = NULL;
    jit_patch(j, x->at, x->stub);
    j->stat.unlinks++;
}

void jit_unit_kill(Jit *j, JitUnit *u, JitKill cause)
{
    if (u->dead)
        return;
    __atomic_store_n(&u->dead, true, __ATOMIC_RELEASE);
    __atomic_add_fetch(&j->kills, 1, __ATOMIC_RELEASE);
    j->stat.killed[cause]++;
    jit_patch_dead(j, u);
    while (u->incoming)
        jit_unit_unlink(j, u->incoming);
    for (unsigned k = 0; k < u->n_exits; k++)
        jit_unit_unlink(j, &u->exits[k]);
    for (JitUnit **at = &j->buckets[bucket(u->host, u->mode)]; *at; at = &(*at)->hash_next) {
        if (*at == u) {
            __atomic_store_n(at, u->hash_next, __ATOMIC_RELEASE);
            break;
        }
    }
    for (unsigned k = 0; k < 2; k++)
        if (u->pages[k])
            page_remove(j, u, k);
}

/* Kills what overlaps [from, to) of the page; true if `pc_at` (offset, or -1) lay in a victim. */
static bool kill_range(Jit *j, JitPage *p, unsigned from, unsigned to, JitKill cause, int pc_at)
{
    bool hit = false;
    JitUnit *next;
    for (JitUnit *u = p->units; u; u = next) {
        bool second = u->pages[0] != p;
        next = u->page_next[second];
        unsigned start = second ? 0 : u->at, end = second ? u->at + u->size - JIT_PAGE : u->at + u->size;
        if (start < to && from < end) {
            hit |= pc_at >= 0 && (unsigned)pc_at >= start && (unsigned)pc_at < end;
            jit_unit_kill(j, u, cause);
        }
    }
    p->hits++;
    if (p->units)               /* the interpreter may have dropped its last unit of the page */
        softmmu_protect_code(j->vm, p->ram_page * JIT_PAGE);
    return hit;
}

static bool kill_bytes(Jit *j, uint64_t ram_offset, uint64_t len, JitKill cause, uint64_t pc_ram)
{
    bool hit = false;
    while (len) {
        unsigned from = ram_offset % JIT_PAGE, n = MIN(len, JIT_PAGE - from);
        uint64_t page = ram_offset / JIT_PAGE;
        JitPage *p = g_hash_table_lookup(j->pages, &page);
        if (p && p->units) {
            uint64_t mask = (~0ull << from / 64) & (~0ull >> (63 - (from + n - 1) / 64));
            int pc_at = pc_ram / JIT_PAGE == page ? (int)(pc_ram % JIT_PAGE) : -1;
            if (p->granules & mask)
                hit |= kill_range(j, p, from, from + n, cause, pc_at);
            else
                softmmu_protect_code(j->vm, page * JIT_PAGE);
        }
        else if (cause == JIT_KILL_STORE)
            unprotect(j, page);
        ram_offset += n;
        len -= n;
    }
    return hit;
}

void jit_code_written(Jit *j, uint64_t ram_offset, uint64_t len, JitKill cause)
{
    __atomic_add_fetch(&j->code_stores, 1, __ATOMIC_SEQ_CST);
    g_mutex_lock(&j->lock);
    kill_bytes(j, ram_offset, len, cause, UINT64_MAX);
    g_mutex_unlock(&j->lock);
}

bool jit_kill_store(Jit *j, uint64_t ram_offset, unsigned len, uint64_t pc_ram)
{
    g_mutex_lock(&j->lock);
    bool hit = kill_bytes(j, ram_offset, len, JIT_KILL_STORE, pc_ram);
    g_mutex_unlock(&j->lock);
    return hit;
}

/* Those that have all of the flags. */
static void kill_units(Jit *j, unsigned flags)
{
    for (unsigned k = 0; k < j->cache.n_chunks; k++) {
        for (unsigned n = 0; n < j->cache.chunks[k].units->len; n++) {
            JitUnit *u = j->cache.chunks[k].units->pdata[n];
            if ((u->flags & flags) == flags)
                jit_unit_kill(j, u, JIT_KILL_ALL);
        }
    }
}

void jit_kill_offset(Jit *j, unsigned offset)
{
    for (unsigned k = 0; k < j->cache.n_chunks; k++) {
        for (unsigned n = 0; n < j->cache.chunks[k].units->len; n++) {
            JitUnit *u = j->cache.chunks[k].units->pdata[n];
            if ((offset - u->at) % JIT_PAGE < MAX(u->size, 1))
                jit_unit_kill(j, u, JIT_KILL_ALL);
        }
    }
}

void jit_flush(Jit *j)
{
    g_mutex_lock(&j->lock);
    kill_units(j, 0);
    g_mutex_unlock(&j->lock);
}

/* Helpers that see the mode or flags must be called by code that knows where they are. CPUs that are
 * inside have not loaded the mode, and must come out before they meet a new unit. One that does not
 * come finds all dead that it can reach. */
void jit_fp_begin(Jit *j)
{
    kill_units(j, JIT_UNIT_SEES_FP);
    __atomic_store_n(&j->fp_used, true, __ATOMIC_SEQ_CST);
    if (!jit_wait_outside(j, __atomic_add_fetch(&j->purges, 1, __ATOMIC_SEQ_CST)))
        kill_units(j, 0);
}
