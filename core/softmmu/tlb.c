/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regimes, fills and flushes.
 *
 * Level 1 is cheap to flush because a bitmap names the groups of eight entries in use, and memory
 * that was never touched is zero pages: only entry 0 of an array could match a zero tag, so only
 * that one is set up. The second level is flushed by generations: an entry is valid while the
 * generation it was made under is current, so dropping an address space is one increment.
 *
 * Level 2 contains every page larger than 4 KiB of which level 1 holds pieces (evicting one drops
 * the pieces), so flushing an address finds the page's real extent.
 *
 * Another thread may at any time overwrite tags of store entries with TLB_INVALID (a page got code,
 * dirty tracking restarted). Against a fill that is under way it relies on mmu_fill() looking again
 * after it has written the entry.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "core/softmmu/internal.h"
#include "core/vm.h"
#include "util/log.h"

enum { GROUP_BITS = 3, ACCESSES = 3 };

/* ---- level 1 ---- */

static TlbInstance *instance_new(void)
{
    TlbInstance *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (t == MAP_FAILED) {
        g_error("no memory for a TLB");
    }
    for (unsigned a = 0; a < ACCESSES; a++) {
        t->entries[a][0].tag = TLB_INVALID;
    }
    return t;
}

/* Others may invalidate it meanwhile. */
static uint64_t tag_of(const TlbEntry *e)
{
    return __atomic_load_n(&e->tag, __ATOMIC_RELAXED);
}

static void drop_tag(TlbEntry *e)
{
    __atomic_store_n(&e->tag, TLB_INVALID, __ATOMIC_RELAXED);
}

static void wipe_access(TlbInstance *t, MemAccess a)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(t->used[a]); w++) {
        for (uint64_t bits = t->used[a][w]; bits; bits &= bits - 1) {
            TlbEntry *group = &t->entries[a][(w * 64 + (unsigned)__builtin_ctzll(bits)) << GROUP_BITS];
            for (unsigned i = 0; i < 1 << GROUP_BITS; i++) {
                drop_tag(&group[i]);
            }
        }
        __atomic_store_n(&t->used[a][w], 0, __ATOMIC_RELAXED);
    }
}

static void new_epoch(struct Softmmu *m, TlbInstance *t)
{
    t->fetch_epoch = ++m->next_epoch;
    if (t->replaced_any) {
        memset(t->replaced, 0, sizeof(t->replaced));
        t->replaced_any = t->replaced_local = false;
    }
}

static void wipe(struct Softmmu *m, TlbInstance *t)
{
    for (unsigned a = 0; a < ACCESSES; a++) {
        wipe_access(t, a);
    }
    new_epoch(m, t);
}

static void drop_entry(struct Softmmu *m, TlbInstance *t, uint64_t va, MemAccess a)
{
    unsigned i = va >> TLB_PAGE_BITS & (TLB_SIZE - 1);
    TlbEntry *e = &t->entries[a][i];
    bool here = tag_of(e) == PAGE_OF(va);

    if (here) {
        drop_tag(e);
    }
    if (a == MEM_FETCH && (here || t->replaced[i / 64] >> i % 64 & 1)) {
        new_epoch(m, t);
    }
}

static void wipe_page(struct Softmmu *m, uint64_t va)
{
    for (unsigned i = 0; i < TLB_INSTANCES; i++) {
        for (unsigned a = 0; m->instances[i] && a < ACCESSES; a++) {
            drop_entry(m, m->instances[i], va, a);
        }
    }
}

/* All pieces of a large page, in all regimes. */
static void wipe_range(struct Softmmu *m, uint64_t va, unsigned bits)
{
    uint64_t first = va >> bits << bits;

    if (bits - TLB_PAGE_BITS >= TLB_BITS) {
        for (unsigned i = 0; i < TLB_INSTANCES; i++) {
            if (m->instances[i]) {
                wipe(m, m->instances[i]);
            }
        }
        return;
    }
    for (uint64_t n = 0; n < 1ull << (bits - TLB_PAGE_BITS); n++) {
        wipe_page(m, first + (n << TLB_PAGE_BITS));
    }
}

/* Drops what is not global; true if anything was. */
static bool wipe_local(struct Softmmu *m, unsigned instance, MemAccess a)
{
    TlbInstance *t = m->instances[instance];
    const uint64_t *global = m->global[instance][a];
    bool dropped = false;

    for (unsigned w = 0; w < G_N_ELEMENTS(t->used[a]); w++) {
        for (uint64_t bits = m->local[instance][a][w]; bits; bits &= bits - 1) {
            unsigned first = (w * 64 + (unsigned)__builtin_ctzll(bits)) << GROUP_BITS;
            bool left = false;
            for (unsigned i = first; i < first + (1 << GROUP_BITS); i++) {
                TlbEntry *e = &t->entries[a][i];
                if (tag_of(e) == TLB_INVALID) {
                    continue;
                }
                if (global[i / 64] >> (i % 64) & 1) {
                    left = true;
                } else {
                    drop_tag(e);
                    dropped = true;
                }
            }
            if (!left) {
                __atomic_store_n(&t->used[a][w], t->used[a][w] & ~(bits & -bits), __ATOMIC_RELAXED);
            }
        }
        m->local[instance][a][w] = 0;
    }
    return dropped;
}

static unsigned number_of(const struct Softmmu *m, const TlbInstance *t)
{
    unsigned k = 0;

    while (m->instances[k] != t) {
        k++;
    }
    return k;
}

/* Another page's fetch entry has to go, though its translation stands. */
static void replace_fetch(TlbInstance *t, unsigned i, bool global)
{
    t->replaced[i / 64] |= 1ull << i % 64;
    t->replaced_any = true;
    t->replaced_local |= !global;
}

void mmu_log(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, const Translation *t)
{
    static const char *const names[] = {[MEM_LOAD] = "load", [MEM_STORE] = "store", [MEM_FETCH] = "fetch"};

    if (!log_on(LOG_MMU)) {
        return;
    }
    if (!t) {
        log_write("mmu cpu %u: %s 0x%" PRIx64 " index %u: fault\n", cpu->index, names[access], va, mmu);
        return;
    }
    log_write("mmu cpu %u: %s 0x%" PRIx64 " index %u: 0x%" PRIx64 " %c%c%c page of 2^%u%s\n", cpu->index,
              names[access], va, mmu, t->pa, t->load ? 'r' : '-', t->store ? 'w' : '-', t->fetch ? 'x' : '-',
              t->page_bits, t->global ? ", global" : "");
}

void mmu_fill(Cpu *cpu, TlbInstance *t, uint64_t va, MemAccess a, uint8_t *host, bool global)
{
    unsigned i = va >> TLB_PAGE_BITS & (TLB_SIZE - 1);
    TlbEntry *e = &t->entries[a][i];
    uint64_t page = PAGE_OF(va), bit = 1ull << i % 64;
    unsigned k = number_of(cpu->mmu, t);
    uint64_t *word = &cpu->mmu->global[k][a][i / 64];

    if (a == MEM_FETCH && e->tag != page && e->tag != TLB_INVALID && (e->tag || e->addend)) {
        replace_fetch(t, i, *word & bit);
    }
    *word = global ? *word | bit : *word & ~bit;
    cpu->mmu->local[k][a][i >> GROUP_BITS >> 6] |= (uint64_t)!global << (i >> GROUP_BITS & 63);
    /* (wipe_stores() may look on; mmu_locate() then finds what it missed.) */
    uint64_t *used = &t->used[a][i >> GROUP_BITS >> 6];
    __atomic_store_n(&e->addend, (uintptr_t)host - page, __ATOMIC_RELAXED);
    __atomic_store_n(&e->tag, page, __ATOMIC_RELEASE);
    __atomic_store_n(used, *used | 1ull << (i >> GROUP_BITS & 63), __ATOMIC_RELAXED);
}

void mmu_drop(Cpu *cpu, TlbInstance *t, uint64_t va, MemAccess a)
{
    drop_entry(cpu->mmu, t, va, a);
}

/* ---- regimes ---- */

static bool in_use(const struct Softmmu *m, const TlbInstance *t)
{
    for (unsigned i = 0; i < MMU_INDICES; i++) {
        if (m->index[i] == t) {
            return true;
        }
    }
    return false;
}

static TlbInstance *find_instance(struct Softmmu *m, uint64_t key)
{
    unsigned oldest = 0;
    uint64_t age = UINT64_MAX;

    for (unsigned i = 0; i < TLB_INSTANCES; i++) {
        TlbInstance *t = m->instances[i];
        if (!t) {
            t = instance_new();
            t->key = key;
            new_epoch(m, t);
            __atomic_store_n(&m->instances[i], t, __ATOMIC_RELEASE);
            return t;
        }
        if (t->key == key) {
            return t;
        }
        if (t->last_use < age && !in_use(m, t)) {
            age = t->last_use;
            oldest = i;
        }
    }
    TlbInstance *t = m->instances[oldest];
    wipe(m, t);
    t->key = key;
    return t;
}

void softmmu_select(Cpu *cpu, uint64_t key)
{
    struct Softmmu *m = cpu->mmu;

    if (!m || (m->index[0] && m->index[0]->key == key)) {
        return;
    }
    m->stat.selects++;
    m->keys[0] = key;
    m->index[0] = NULL;
    m->index[0] = find_instance(m, key);
    m->index[0]->last_use = ++m->clock;
    if (!m->overlay) {
        cpu->tlb = m->index[0];
    }
}

void softmmu_set_index(Cpu *cpu, unsigned mmu, uint64_t key)
{
    struct Softmmu *m = cpu->mmu;

    if (!m || (mmu && m->index[mmu] && m->keys[mmu] == key)) {
        return;
    }
    if (mmu == 0) {
        softmmu_select(cpu, key);
        return;
    }
    m->keys[mmu] = key;
    m->index[mmu] = NULL;       /* found when used */
}

TlbInstance *mmu_instance(Cpu *cpu, unsigned mmu)
{
    struct Softmmu *m = cpu->mmu;

    if (!m->index[mmu]) {
        m->index[mmu] = find_instance(m, m->keys[mmu]);
        m->index[mmu]->last_use = ++m->clock;
    }
    return m->index[mmu];
}

/* ---- level 2 ---- */

static unsigned gen_of(const Cpu *cpu, uint64_t key)
{
    uint64_t space = key & cpu->isa->key_asid_mask;

    return (unsigned)(space * 0x9e3779b97f4a7c15ull >> 58);
}

static bool valid(Cpu *cpu, const L2Entry *e)
{
    const struct Softmmu *m = cpu->mmu;

    return e->tag && e->gen == (e->perms & L2_GLOBAL ? m->global_gen : m->gen[gen_of(cpu, e->key)]);
}

static bool key_matches(Cpu *cpu, const L2Entry *e, uint64_t key)
{
    return e->key == key ||
           (e->perms & L2_GLOBAL && ((e->key ^ key) & ~cpu->isa->key_asid_mask) == 0);
}

static L2Entry *l2_set(struct Softmmu *m, uint64_t va, unsigned bits)
{
    uint64_t page = va >> bits;

    return m->l2[(page ^ page >> 12 ^ bits * 37) & (L2_SETS - 1)];
}

static uint64_t l2_tag(uint64_t va, unsigned bits)
{
    return (va >> bits << bits) | bits;
}

static L2Entry *l2_find(Cpu *cpu, uint64_t va, uint64_t key)
{
    struct Softmmu *m = cpu->mmu;

    for (uint64_t sizes = m->sizes; sizes; sizes &= sizes - 1) {
        unsigned bits = (unsigned)__builtin_ctzll(sizes);
        L2Entry *set = l2_set(m, va, bits);
        for (unsigned w = 0; w < L2_WAYS; w++) {
            if (set[w].tag == l2_tag(va, bits) && key_matches(cpu, &set[w], key) && valid(cpu, &set[w])) {
                return &set[w];
            }
        }
    }
    return NULL;
}

static void l2_insert(Cpu *cpu, uint64_t va, uint64_t key, const Translation *t)
{
    struct Softmmu *m = cpu->mmu;
    unsigned bits = t->page_bits;
    L2Entry *set = l2_set(m, va, bits), *to = NULL;
    uint64_t tag = l2_tag(va, bits);

    for (unsigned w = 0; w < L2_WAYS; w++) {
        if (set[w].tag == tag && set[w].key == key) {
            to = &set[w];
            break;
        }
        if (!to && !valid(cpu, &set[w])) {
            to = &set[w];
        }
    }
    if (!to) {
        to = &set[m->victim++ % L2_WAYS];
        if (to->bits > TLB_PAGE_BITS) {
            wipe_range(m, to->tag, to->bits);
        }
    }
    *to = (L2Entry){
        .tag = tag, .key = key, .bits = bits, .pa = t->pa >> bits << bits,
        .perms = t->load << MEM_LOAD | t->store << MEM_STORE | t->fetch << MEM_FETCH |
                 (t->global ? L2_GLOBAL : 0),
        .gen = t->global ? m->global_gen : m->gen[gen_of(cpu, key)],
    };
    m->sizes |= 1ull << bits;
}

bool mmu_translate(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, Translation *t)
{
    struct Softmmu *m = cpu->mmu;
    uint64_t key = mmu_instance(cpu, mmu)->key;
    const L2Entry *e = l2_find(cpu, va, key);

    m->stat.misses++;
    if (e && e->perms >> access & 1) {
        m->stat.l2_hits++;
        *t = (Translation){
            .pa = e->pa | (va & ((1ull << e->bits) - 1)), .page_bits = e->bits,
            .load = e->perms >> MEM_LOAD & 1, .store = e->perms >> MEM_STORE & 1,
            .fetch = e->perms >> MEM_FETCH & 1, .global = (e->perms & L2_GLOBAL) != 0,
        };
        return true;
    }
    m->stat.walks++;
    if (!cpu->isa->translate_va(cpu, va, access, mmu, false, t)) {
        return false;
    }
    if (t->page_bits >= TLB_PAGE_BITS) {
        l2_insert(cpu, va, key, t);
    }
    return true;
}

/* ---- sections ---- */

MemSection mmu_section(Cpu *cpu, uint64_t pa)
{
    struct Softmmu *m = cpu->mmu;

    for (unsigned i = 0; i < SECTIONS; i++) {
        const CachedSection *c = &m->sections[i];
        if (pa >= c->first && pa <= c->last) {
            MemSection s = c->s;
            uint64_t d = pa - c->first;
            s.offset += d;
            s.left -= d;
            s.host = s.host ? s.host + d : NULL;
            s.ram_offset += d;
            return s;
        }
    }
    uint64_t from = PAGE_OF(pa);
    MemSection s = as_find(cpu->memory, from);
    if (s.left <= pa - from) {
        return as_find(cpu->memory, pa);
    }
    CachedSection *to = NULL;
    for (unsigned i = 0; i < SECTIONS && !to; i++) {
        CachedSection *c = &m->sections[i];
        if (c->first > c->last || (c->first >= from && c->last == from + (s.left - 1))) {
            to = c;
        }
    }
    to = to ? to : &m->sections[m->next_section++ % SECTIONS];
    *to = (CachedSection){from, from + (s.left - 1), s};
    return mmu_section(cpu, pa);
}

bool mmu_whole_page(Cpu *cpu, const Translation *t, const uint8_t *host)
{
    if (t->page_bits < TLB_PAGE_BITS) {
        return false;
    }
    MemSection s = mmu_section(cpu, PAGE_OF(t->pa));
    return s.host && s.left >= PAGE_SIZE && s.host + PAGE_OFFSET(t->pa) == host;
}

static void forget_sections(struct Softmmu *m)
{
    for (unsigned i = 0; i < SECTIONS; i++) {
        m->sections[i] = (CachedSection){.first = 1, .last = 0};
    }
}

/* ---- flushes ---- */

static void bump(struct Softmmu *m, uint32_t *gen)
{
    if (++*gen == 0) {          /* after 2^32 flushes old entries would come back to life */
        memset(m->l2, 0, sizeof(L2Entry) * L2_SETS * L2_WAYS);
        *gen = 1;
    }
}

static void bump_all(struct Softmmu *m)
{
    for (unsigned i = 0; i < L2_GENS; i++) {
        bump(m, &m->gen[i]);
    }
}

void softmmu_flush(Cpu *cpu)
{
    struct Softmmu *m = cpu->mmu;

    if (!m) {
        return;
    }
    m->stat.flushes++;
    bump_all(m);
    bump(m, &m->global_gen);
    m->sizes = 0;
    for (unsigned i = 0; i < TLB_INSTANCES && m->instances[i]; i++) {
        wipe(m, m->instances[i]);
    }
}

void softmmu_set_memory(Cpu *cpu, AddressSpace *as)
{
    cpu->memory = as;
    if (cpu->mmu) {
        forget_sections(cpu->mmu);
    }
    softmmu_flush(cpu);
}

void softmmu_flush_nonglobal(Cpu *cpu, uint64_t mask, uint64_t value)
{
    struct Softmmu *m = cpu->mmu;

    if (!m) {
        return;
    }
    m->stat.flushes++;
    bool one = mask && mask == cpu->isa->key_asid_mask;
    unsigned gen = gen_of(cpu, value);
    if (one) {
        bump(m, &m->gen[gen]);
    } else {
        bump_all(m);
    }
    /* Regimes that share a generation go, too, since level 2 no longer knows the extent of their
     * pages. Code of a kernel with global pages keeps its epoch. */
    for (unsigned i = 0; i < TLB_INSTANCES && m->instances[i]; i++) {
        if (!one || gen_of(cpu, m->instances[i]->key) == gen) {
            for (unsigned a = 0; a < ACCESSES; a++) {
                if ((wipe_local(m, i, a) || m->instances[i]->replaced_local) && a == MEM_FETCH) {
                    new_epoch(m, m->instances[i]);
                }
            }
        }
    }
}

void softmmu_flush_page(Cpu *cpu, uint64_t va, uint64_t mask, uint64_t value)
{
    struct Softmmu *m = cpu->mmu;

    if (!m) {
        return;
    }
    m->stat.page_flushes++;
    for (uint64_t sizes = m->sizes; sizes; sizes &= sizes - 1) {
        unsigned bits = (unsigned)__builtin_ctzll(sizes);
        L2Entry *set = l2_set(m, va, bits);
        for (unsigned w = 0; w < L2_WAYS; w++) {
            bool match = (set[w].key & mask) == (value & mask) || set[w].perms & L2_GLOBAL;
            if (set[w].tag != l2_tag(va, bits) || !match) {
                continue;
            }
            set[w].tag = 0;
            if (bits > TLB_PAGE_BITS) {
                wipe_range(m, va, bits);
            }
        }
    }
    wipe_page(m, va);
}

/* ---- from other threads ---- */

/* Invalidates store entries of other CPUs: those of one host page, or all. */
static void wipe_stores(Cpu *cpu, const uint8_t *host)
{
    struct Softmmu *m = cpu->mmu;

    for (unsigned k = 0; m && k < TLB_INSTANCES; k++) {
        TlbInstance *t = __atomic_load_n(&m->instances[k], __ATOMIC_ACQUIRE);
        for (unsigned w = 0; t && w < G_N_ELEMENTS(t->used[MEM_STORE]); w++) {
            uint64_t bits = __atomic_load_n(&t->used[MEM_STORE][w], __ATOMIC_RELAXED);
            for (; bits; bits &= bits - 1) {
                TlbEntry *e = &t->entries[MEM_STORE][(w * 64 + (unsigned)__builtin_ctzll(bits)) << GROUP_BITS];
                for (unsigned i = 0; i < 1 << GROUP_BITS; i++, e++) {
                    uint64_t tag = __atomic_load_n(&e->tag, __ATOMIC_ACQUIRE);
                    uint64_t at = tag + __atomic_load_n(&e->addend, __ATOMIC_RELAXED);
                    if (!host || (const uint8_t *)(uintptr_t)at == host) {
                        __atomic_store_n(&e->tag, TLB_INVALID, __ATOMIC_RELEASE);
                    }
                }
            }
        }
    }
}

void softmmu_protect_code(Vm *vm, uint64_t ram_offset)
{
    uint8_t *host;

    ram_offset = PAGE_OF(ram_offset);
    if (!ram_block_of(vm, ram_offset, &host) || !dirty_test(vm, DIRTY_CODE, ram_offset)) {
        return;
    }
    dirty_code_mark(vm, ram_offset, true);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        if (vm->cpus[i]) {
            wipe_stores(vm->cpus[i], host);
        }
    }
}

void softmmu_unprotect_code(Vm *vm, uint64_t ram_offset)
{
    dirty_code_mark(vm, PAGE_OF(ram_offset), false);    /* the next store finds out */
}

void softmmu_poll(Cpu *cpu)
{
    struct Softmmu *m = cpu->mmu;

    cpu_unrequest(cpu, CPU_REQ_FLUSH);
    if (m && __atomic_exchange_n(&m->pending, false, __ATOMIC_SEQ_CST)) {
        forget_sections(m);
        softmmu_flush(cpu);
    }
}

void softmmu_flush_all(Vm *vm)
{
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        if (!cpu || !cpu->mmu) {
            continue;
        }
        __atomic_store_n(&cpu->mmu->pending, true, __ATOMIC_SEQ_CST);
        if (cpu == cpu_current() || !cpu->thread) {
            softmmu_poll(cpu);
        } else {
            wipe_stores(cpu, NULL);
            cpu_request(cpu, CPU_REQ_FLUSH);
        }
    }
}

/* ---- life ---- */

bool softmmu_init(Cpu *cpu)
{
    if (cpu->mmu) {
        return true;
    }
    struct Softmmu *m = g_new0(struct Softmmu, 1);
    size_t size = sizeof(L2Entry) * L2_SETS * L2_WAYS;

    m->l2 = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->l2 == MAP_FAILED) {
        g_free(m);
        return false;
    }
    for (unsigned i = 0; i < L2_GENS; i++) {
        m->gen[i] = 1;
    }
    m->global_gen = 1;
    forget_sections(m);
    cpu->mmu = m;
    m->index[0] = find_instance(m, 0);
    cpu->tlb = m->index[0];
    return true;
}

void softmmu_finish(Cpu *cpu)
{
    struct Softmmu *m = cpu->mmu;

    if (!m) {
        return;
    }
    cpu->mmu = NULL;
    cpu->tlb = NULL;
    for (unsigned i = 0; i < TLB_INSTANCES; i++) {
        if (m->instances[i]) {
            munmap(m->instances[i], sizeof(TlbInstance));
        }
    }
    if (m->blank) {
        munmap(m->blank, sizeof(TlbInstance));
    }
    munmap(m->l2, sizeof(L2Entry) * L2_SETS * L2_WAYS);
    g_free(m);
}

TlbInstance *mmu_blank(Cpu *cpu)
{
    if (!cpu->mmu->blank) {
        cpu->mmu->blank = instance_new();
        new_epoch(cpu->mmu, cpu->mmu->blank);
    }
    return cpu->mmu->blank;
}

void softmmu_info(Cpu *cpu, GString *out)
{
    const struct Softmmu *m = cpu->mmu;

    if (!m) {
        return;
    }
    g_string_append_printf(out, "CPU %u TLB: %" G_GUINT64_FORMAT " misses (%" G_GUINT64_FORMAT
                           " from level 2, %" G_GUINT64_FORMAT " walks), %" G_GUINT64_FORMAT
                           " accesses attended to, flushes %" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT
                           " pages, %" G_GUINT64_FORMAT " regime changes\n",
                           cpu->index, m->stat.misses, m->stat.l2_hits, m->stat.walks, m->stat.slow,
                           m->stat.flushes, m->stat.page_flushes, m->stat.selects);
}
