/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: finds or makes the unit at cpu->pc, runs it and what it is linked to, and looks at
 * why generated code came back.
 *
 * What a jump cache entry or a link says about a virtual address holds while the fetch entries it
 * was read from stand: JitCpu.key names (regime, its fetch_epoch, mode) and is part of every entry.
 */
#include "accel/jit/internal.h"

#include <inttypes.h>
#include <string.h>

#include "core/memory.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/log.h"

/* ---- inside and outside ---- */

static void go_inside(JitCpu *jc)
{
    uint64_t p;
    do {
        p = __atomic_load_n(&jc->jit->purges, __ATOMIC_SEQ_CST);
        __atomic_store_n(&jc->seen_purges, p, __ATOMIC_SEQ_CST);
    } while (p != __atomic_load_n(&jc->jit->purges, __ATOMIC_SEQ_CST));
    if (jc->key_purges != p) {          /* entries may lead into memory used anew */
        jc->key_purges = p;
        memset(jc->keys, 0, sizeof jc->keys);
        jc->now = (JitKey){0};
        memset(jc->found, 0, sizeof jc->found);
        jc->key = 0;
        jc->stat.purges++;
    }
}

static void go_outside(JitCpu *jc)
{
    __atomic_store_n(&jc->seen_purges, UINT64_MAX, __ATOMIC_SEQ_CST);
}

/* ---- jump cache ---- */

static JitJump *jump_slot(JitCpu *jc, uint64_t pc)
{
    uint32_t x = (uint32_t)pc >> 12 ^ (uint32_t)pc;
    return &jc->jumps[x >> 1 & (JIT_JUMPS - 1)];
}

static bool is_current(const Cpu *cpu, const JitKey *key)
{
    return key->tlb == cpu->tlb && key->mode == cpu->mode && key->epoch == cpu->tlb->fetch_epoch;
}

/* Nonzero: what is current. Never the same again after a change. */
void jit_update_key(JitCpu *jc)
{
    Cpu *cpu = jc->cpu;
    const TlbInstance *t = cpu->tlb;
    if (is_current(cpu, &jc->now)) {
        jc->key = jc->now.key;
        return;
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(jc->keys); k++) {
        if (is_current(cpu, &jc->keys[k])) {
            jc->now = jc->keys[k];
            jc->key = jc->now.key;
            return;
        }
    }
    if (++jc->next_key == 0) {          /* after 2^32 changes */
        memset(jc->jumps, 0, sizeof jc->jumps);
        jc->next_key = 1;
    }
    JitKey *key = &jc->keys[jc->next_slot++ % G_N_ELEMENTS(jc->keys)];
    *key = (JitKey){.tlb = t, .mode = cpu->mode, .epoch = t->fetch_epoch, .key = jc->next_key};
    jc->now = *key;
    jc->key = key->key;
}

/* ---- finding and making units ---- */

typedef struct Place {
    const uint8_t *host;        /* of the code byte at pc */
    uint64_t pa;
} Place;

static bool find_code(Cpu *cpu, uint64_t va, Place *p)
{
    p->host = softmmu_fetch_page(cpu, va, &p->pa);
    return p->host;
}

/* Whether level 1 holds the fetch entry: then a change of the mapping changes the epoch. */
static bool fetch_entry(const Cpu *cpu, uint64_t va, const uint8_t *host)
{
    const TlbEntry *e = &cpu->tlb->entries[MEM_FETCH][va >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
    return e->tag == (va & -(uint64_t)JIT_PAGE) && (uint8_t *)(uintptr_t)(e->addend + va) == host;
}

/* The page a unit runs on into must be the one it was made from. No fault is raised: that is for the
 * crossing instruction to do. */
static bool second_page_ok(JitCpu *jc, const JitUnit *u, uint64_t pc)
{
    uint64_t va = (pc & -(uint64_t)JIT_PAGE) + JIT_PAGE;
    uint8_t byte;
    return !u->host2 || fetch_entry(jc->cpu, va, u->host2) ||
           (isa_fetch(jc->cpu, jc->ir, va, &byte, 1) == 1 && fetch_entry(jc->cpu, va, u->host2));
}

static void log_unit(Jit *j, const JitUnit *u, const IrUnit *ir)
{
    if (!log_in_range(ir->pc))
        return;
    if (log_on(LOG_OP) || log_on(LOG_OP_OPT)) {
        g_autoptr(GString) s = g_string_new(NULL);
        ir_print(ir, s, j->isa->slot_name);
        log_write("OP: pc 0x%" PRIx64 "\n%s", ir->pc, s->str);
    }
    if (u && log_on(LOG_OUT_ASM)) {
        g_autoptr(GString) s = g_string_new(NULL);
        jit_dump_code(j, u, s);
        log_write("OUT: pc 0x%" PRIx64 " [size=%u]\n%s", ir->pc, u->code_size, s->str);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static unsigned key_flags(const JitCpu *jc)
{
    return (jc->jit->opt.icount ? JIT_UNIT_ICOUNT : 0) | (jc->once ? JIT_UNIT_ONCE : 0);
}

/* With the lock. NULL: not compiled, interpret. May leave by a fetch fault, see translate(). */
static JitUnit *compile(JitCpu *jc, const Place *at, const Place *second)
{
    Jit *j = jc->jit;
    IrUnit *ir = jc->ir;
    JitUnit *u = jit_emit(j, ir, key_flags(jc));
    log_unit(j, u, ir);
    if (!u)
        return NULL;
    u->host = at->host;
    if (second->host) {
        u->host2 = second->host;
    }
    MemSection s = as_find(jc->cpu->memory, at->pa), s2 = {0};
    if (u->host2)
        s2 = as_find(jc->cpu->memory, second->pa);
    jit_unit_insert(j, u, s.ram_offset / JIT_PAGE, s2.ram_offset / JIT_PAGE);
    j->stat.units++;
    j->stat.insns += u->n_insns;
    j->stat.guest_bytes += u->size;
    j->stat.host_bytes += u->code_size;
    return u;
}

static void front_end_once(Cpu *cpu, Jit *j, IrUnit *ir, bool single, unsigned max_insns)
{
    ir_unit_reset(ir, cpu->pc, cpu->mode);
    ir->icount = j->opt.icount;
    ir->single = single;
    ir->max_insns = max_insns;
    cpu->isa->translate(cpu, ir);
}

/* Units end before a breakpoint. The dispatcher does not let any begin at one. */
static bool front_end(Cpu *cpu, Jit *j, IrUnit *ir)
{
    front_end_once(cpu, j, ir, false, 0);
    if (ir->overflow)
        front_end_once(cpu, j, ir, true, 0);
    for (unsigned k = 1; k < ir->n_insns && cpu->breakpoints->len; k++) {
        if (cpu_breakpoint_near(cpu, ir->page_base + ir->insns[k].pc)) {
            front_end_once(cpu, j, ir, false, k);
            break;
        }
    }
    return !ir->overflow;
}

static void protect(JitCpu *jc, const Place *p)
{
    MemSection s = as_find(jc->cpu->memory, p->pa);
    softmmu_protect_code(jc->jit->vm, s.ram_offset & -(uint64_t)JIT_PAGE);
}

/* Fetch faults leave from here, so no lock is held while the front end reads guest code. What it
 * read may be stale by the time the unit is inserted: the page is protected first, and stores to
 * protected pages and the end of protection are counted. */
static JitUnit *translate(JitCpu *jc, const Place *at)
{
    Cpu *cpu = jc->cpu;
    Jit *j = jc->jit;
    IrUnit *ir = jc->ir;
    uint64_t kills = __atomic_load_n(&j->code_stores, __ATOMIC_SEQ_CST);
    protect(jc, at);
    int64_t start = now_ns();
    if (!front_end(cpu, j, ir))
        return NULL;
    Place second = {0};
    unsigned in_page = cpu->pc % JIT_PAGE;
    if (in_page + ir->size > JIT_PAGE) {
        second.host = softmmu_fetch_page(cpu, ir->page_base + JIT_PAGE, &second.pa);
        if (!second.host)
            return NULL;
        protect(jc, &second);
        /* Another CPU may have stored there since it was read. */
        unsigned size = ir->size;
        if (j->vm->n_cpus > 1 && (!front_end(cpu, j, ir) || ir->size != size))
            return NULL;
    }
    ir_optimize(ir);
    cpu_log_code(cpu, ir->pc, ir->size);
    go_outside(jc);             /* the lock may be held by somebody who waits for us to be */
    g_mutex_lock(&j->lock);
    JitUnit *u = NULL;
    if (kills == __atomic_load_n(&j->code_stores, __ATOMIC_SEQ_CST))
        u = compile(jc, at, &second);
    j->stat.ns += now_ns() - start;
    go_inside(jc);
    g_mutex_unlock(&j->lock);
    return u;
}

/* jit_unit_find() by way of what was found before. */
static JitUnit *find_unit(JitCpu *jc, const uint8_t *host)
{
    Jit *j = jc->jit;
    uint32_t mode = jc->cpu->mode, flags = key_flags(jc);
    uint64_t h = (uintptr_t)host * 0x9e3779b97f4a7c15ull;
    JitFound *f = &jc->found[h >> 32 & (JIT_FOUND - 1)];
    uint64_t kills = __atomic_load_n(&j->kills, __ATOMIC_ACQUIRE);
    if (f->host == host && f->mode == mode && f->flags == flags &&
        (f->kills == kills || !__atomic_load_n(&f->unit->dead, __ATOMIC_ACQUIRE))) {
        f->kills = kills;
        return f->unit;
    }
    JitUnit *u = jit_unit_find(j, host, mode, flags);
    if (u)
        *f = (JitFound){.host = host, .unit = u, .kills = kills, .mode = mode, .flags = flags};
    return u;
}

/* Inside, before and after. */
static JitUnit *lookup(JitCpu *jc)
{
    Cpu *cpu = jc->cpu;
    Place at;
    JitUnit *u = NULL;
    jc->stat.lookups++;
    const TlbEntry *e = &cpu->tlb->entries[MEM_FETCH][cpu->pc >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
    if (e->tag == (cpu->pc & -(uint64_t)JIT_PAGE))
        u = find_unit(jc, (const uint8_t *)(uintptr_t)(e->addend + cpu->pc));
    if (!u) {
        if (!find_code(cpu, cpu->pc, &at))
            return NULL;
        u = find_unit(jc, at.host);
    }
    if (u && !second_page_ok(jc, u, cpu->pc)) {
        if (g_mutex_trylock(&jc->jit->lock)) {
            jit_unit_kill(jc->jit, u, JIT_KILL_STORE);
            g_mutex_unlock(&jc->jit->lock);
        }
        return NULL;
    }
    return u ? u : translate(jc, &at);
}

/* ---- the loop ---- */

/* If the lock is busy, next time. */
static void link_exit(JitCpu *jc, JitExit *x, JitUnit *to)
{
    Jit *j = jc->jit;
    if (log_on(LOG_NOCHAIN) || cpu_logs_entries() || j->opt.invalidate || !g_mutex_trylock(&j->lock))
        return;
    if (to->host2) {            /* its second page must be the same still: the jump cache knows */
        if (!x->from->dead)
            jit_patch_probe(j, x);
    } else if (!x->from->dead && !to->dead && x->from->mode == to->mode &&
               (x->target & (JIT_PAGE - 1)) == to->at &&
               (x->bridge || x->from->host - x->from->at == to->host - to->at)) {
        jit_unit_link(j, x, to);
        jc->stat.links++;
    }
    g_mutex_unlock(&j->lock);
}

static void hostile(JitCpu *jc, JitUnit *u)
{
    Jit *j = jc->jit;
    if (j->opt.invalidate && jc->stat.lookups % j->opt.invalidate == 0 && g_mutex_trylock(&j->lock)) {
        jit_unit_kill(j, u, JIT_KILL_TEST);
        g_mutex_unlock(&j->lock);
    }
}

/* The cache offset to run at cpu->pc, or 0. `link`: the exit that led here. */
static uint32_t find_entry(JitCpu *jc, JitExit *link)
{
    Cpu *cpu = jc->cpu;
    bool plain = !cpu_logs_entries() && !log_on(LOG_NOCHAIN) && !jc->jit->opt.invalidate && !jc->once;
    uint64_t seen = jc->seen_purges;
    if (!link && plain) {
        jit_update_key(jc);
        const JitJump *jump = jump_slot(jc, cpu->pc);
        if (jump->pc == cpu->pc && jump->key == jc->key)
            return jump->code;
    }
    JitUnit *u = lookup(jc);
    if (!u)
        return 0;
    if (link && seen == jc->seen_purges)        /* else its memory may be another's */
        link_exit(jc, link, u);
    jit_update_key(jc);
    if (plain && fetch_entry(cpu, cpu->pc, u->host) && second_page_ok(jc, u, cpu->pc))
        *jump_slot(jc, cpu->pc) = (JitJump){.pc = cpu->pc, .key = jc->key, .code = u->code};
    cpu_log_entry(cpu);
    uint32_t code = u->code;
    hostile(jc, u);
    return code;
}

JitResult jit_run(Cpu *cpu, bool once)
{
    JitCpu *jc = cpu->jit;
    Jit *j = jc->jit;
    JitExit *link = NULL;
    jc->once = once;
    if (jc->step_store) {
        jc->step_store = false;
        return JIT_STEP;
    }
    go_inside(jc);
    for (;;) {
        if (__atomic_load_n(&cpu->req, __ATOMIC_RELAXED)) {
            go_outside(jc);
            return JIT_REQUEST;
        }
        if (G_UNLIKELY(cpu->breakpoints->len) && cpu_breakpoint_near(cpu, cpu->pc)) {
            go_outside(jc);
            return JIT_REQUEST;
        }
        uint32_t code = find_entry(jc, link);
        if (!code) {
            go_outside(jc);
            jc->stat.interpreted++;
            return JIT_INTERPRET;
        }
        link = NULL;
        cpu->page_base = cpu->pc & -(uint64_t)JIT_PAGE;
        if (__atomic_load_n(&j->fp_used, __ATOMIC_ACQUIRE))
            jit_fp_enter(jc);
        uint64_t why = j->stubs.enter((uint8_t *)cpu + cpu->isa->slot_bias, jit_rx(j, code));
        if (jc->fp_host)
            jit_fp_leave(jc);
        jc->refund = 0;
        if (once) {
            go_outside(jc);
            return why == JIT_LEFT_BUDGET ? JIT_INTERPRET : JIT_REQUEST;
        }
        if (why >= JIT_LEFT_LINK) {
            link = (JitExit *)(j->cache.meta + why);
            continue;
        }
        jc->stat.left[why]++;
        if (why == JIT_LEFT)
            jump_slot(jc, cpu->pc)->key = 0;    /* it may name a dead unit */
        if (why == JIT_LEFT_BUDGET || why == JIT_LEFT_RESYNC) {
            go_outside(jc);
            return why == JIT_LEFT_BUDGET ? JIT_INTERPRET : JIT_REQUEST;
        }
    }
}

void jit_unwound(Cpu *cpu)
{
    JitCpu *jc = cpu->jit;
    if (jc->fp_host)
        jit_fp_leave(jc);
    cpu->icount_budget += jc->refund;
    jc->refund = 0;
    go_outside(jc);
}

void jit_code_store(Jit *j, Cpu *cpu, uint64_t ram_offset, unsigned len)
{
    uint64_t pc_ram = UINT64_MAX, pa;
    __atomic_add_fetch(&j->code_stores, 1, __ATOMIC_SEQ_CST);
    bool inside = cpu->jit && __atomic_load_n(&cpu->jit->seen_purges, __ATOMIC_RELAXED) != UINT64_MAX;
    if (inside && cpu_debug_translate(cpu, cpu->pc, &pa))
        pc_ram = as_find(cpu->memory, pa).ram_offset;
    if (jit_kill_store(j, ram_offset, len, pc_ram) && inside) {
        cpu->jit->step_store = true;    /* the running code changed: again, by the interpreter */
        cpu->jit->refund += j->opt.icount;
        cpu_exit(cpu);
    }
}

void jit_breakpoint(Jit *j, uint64_t pc)
{
    g_mutex_lock(&j->lock);
    jit_kill_offset(j, pc % JIT_PAGE);
    g_mutex_unlock(&j->lock);
}

/* ---- life ---- */

char *jit_unavailable(void)
{
    return jit_host_unavailable();
}

Jit *jit_new(Vm *vm, const GuestIsa *isa, const JitOptions *opt, GError **error)
{
    g_autofree Jit *j = g_new0(Jit, 1);
    j->vm = vm;
    j->isa = isa;
    if (opt)
        j->opt = *opt;
    if (!jit_cache_init(&j->cache, j->opt.cache_size, j->opt.chunk_size, error)) {
        jit_cache_finish(&j->cache);
        return NULL;
    }
    g_mutex_init(&j->lock);
    j->buckets = g_new0(JitUnit *, 1 << JIT_HASH_BITS);
    j->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    j->cpus = g_ptr_array_new();
    j->emit = jit_emit_new(j);
    jit_emit_stubs(j);
    return g_steal_pointer(&j);
}

void jit_free(Jit *j)
{
    if (!j)
        return;
    jit_emit_free(j->emit);
    jit_cache_finish(&j->cache);
    g_hash_table_destroy(j->pages);
    g_ptr_array_free(j->cpus, TRUE);
    g_free(j->buckets);
    g_mutex_clear(&j->lock);
    g_free(j);
}

void jit_cpu_init(Jit *j, Cpu *cpu)
{
    JitCpu *jc = g_new0(JitCpu, 1);
    jc->cpu = cpu;
    jc->jit = j;
    jc->seen_purges = UINT64_MAX;
    jc->key = jc->next_key = 1;     /* 0: an empty jump cache entry */
    jc->ir = ir_unit_new();
    cpu->jit = jc;
    g_mutex_lock(&j->lock);
    g_ptr_array_add(j->cpus, jc);
    g_mutex_unlock(&j->lock);
}

void jit_cpu_finish(Cpu *cpu)
{
    JitCpu *jc = cpu->jit;
    if (!jc)
        return;
    g_mutex_lock(&jc->jit->lock);
    g_ptr_array_remove(jc->jit->cpus, jc);
    g_mutex_unlock(&jc->jit->lock);
    ir_unit_free(jc->ir);
    g_free(jc);
    cpu->jit = NULL;
}

/* ---- info jit ---- */

static double per(uint64_t n, uint64_t of)
{
    return of ? (double)n / of : 0;
}

void jit_info(Jit *j, GString *out)
{
    static const char *const causes[] = {"store", "dma", "evicted", "test", "flush"};
    static const char *const why[] = {"poll", "jump cache miss", "resync", "budget"};
    g_mutex_lock(&j->lock);
    size_t used = 0;
    for (unsigned k = 0; k < j->cache.n_chunks; k++)
        used += j->cache.chunks[k].code - (j->cache.rw + k * j->cache.chunk_size);
    g_string_append_printf(out, "units %" PRIu64 ", guest instructions %" PRIu64 " (%.1f per unit, %.1f bytes)\n",
                           j->stat.units, j->stat.insns, per(j->stat.insns, j->stat.units),
                           per(j->stat.guest_bytes, j->stat.insns));
    g_string_append_printf(out, "per guest instruction: %.1f host bytes, %.0f ns to translate\n",
                           per(j->stat.host_bytes, j->stat.insns), per(j->stat.ns, j->stat.insns));
    g_string_append_printf(out, "code cache %zu of %zu KiB, %" PRIu64 " chunks evicted\n", used >> 10,
                           j->cache.size >> 10, j->stat.evictions);
    g_string_append(out, "killed:");
    for (unsigned k = 0; k < JIT_KILL_COUNT; k++)
        g_string_append_printf(out, " %s %" PRIu64, causes[k], j->stat.killed[k]);
    g_string_append_c(out, '\n');
    for (unsigned n = 0; n < j->cpus->len; n++) {
        const JitCpu *jc = j->cpus->pdata[n];
        g_string_append_printf(out, "cpu %u: lookups %" PRIu64 ", links %" PRIu64 ", slow loads %" PRIu64
                               ", slow stores %" PRIu64 ", interpreted %" PRIu64 "; left:", jc->cpu->index,
                               jc->stat.lookups, jc->stat.links, jc->stat.slow_loads, jc->stat.slow_stores,
                               jc->stat.interpreted);
        for (unsigned k = 0; k < JIT_LEFT_COUNT; k++)
            g_string_append_printf(out, " %s %" PRIu64, why[k], jc->stat.left[k]);
        g_string_append_c(out, '\n');
    }
    g_mutex_unlock(&j->lock);
}
