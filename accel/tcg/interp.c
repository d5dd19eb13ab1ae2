/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreting engine: a cache of built units, found by the host address of their code, and a
 * loop that runs them.
 *
 * The cache is the machine's. Lookups take no lock: chains are published, dead units are marked and
 * freed through RCU (vCPU threads are readers while they run). What a vCPU remembers by virtual pc
 * holds for one regime and its fetch_epoch, and is dropped at the start of each run if any unit has
 * died since, so that it never names freed memory.
 */
#include <inttypes.h>
#include <string.h>

#include "accel/engine.h"
#include "core/vm.h"
#include "util/log.h"
#include "util/rcu.h"

enum { PAGE = 4096, BUCKETS = 1 << 15, JUMPS = 1 << 12, DEFAULT_MIB = 128 };

typedef struct Unit {
    IrUnit ir;                  /* nodes and helpers lie behind */
    struct Unit *next;          /* same bucket; atomic */
    struct Unit *page_next[2];
    const uint8_t *host;        /* of the first byte */
    uint64_t ram[2];            /* of its first byte; of the page it runs on into, or NO_RAM */
    uint64_t pa2;
    size_t bytes;
    bool icount, dead;
} Unit;
#define NO_RAM UINT64_MAX

typedef struct Interp {
    Vm *vm;
    const GuestIsa *isa;
    bool sole;                  /* no other engine has code: unprotects pages itself */
    GMutex lock;
    Unit **buckets;             /* heads; atomic */
    GHashTable *pages;          /* ram page -> Unit, linked by page_next */
    size_t bytes, limit;
    uint64_t stores;            /* atomic: changes of code pages, seen by translations under way */
    uint64_t kills;             /* atomic */
    struct { uint64_t units, insns, killed, flushes; } stat;
} Interp;

typedef struct Jump {
    uint64_t pc, epoch;
    const TlbInstance *tlb;
    uint32_t mode;
    Unit *unit;
} Jump;

typedef struct InterpCpu {
    Interp *in;
    Jump jumps[JUMPS];
    IrUnit *scratch;            /* being built */
    const Unit *running;
    uint64_t seen_kills;
    bool step;                  /* the running unit was about to change itself */
} InterpCpu;

static InterpCpu *own(Cpu *cpu) { return ((TcgCpu *)cpu->engine)->interp; }
static bool counting(Cpu *cpu) { return ((TcgCpu *)cpu->engine)->tcg->counting; }

static unsigned bucket(const uint8_t *host, uint32_t mode)
{
    return (unsigned)(((uintptr_t)host + mode * 0x10001u) * 0x9e3779b97f4a7c15ull >> 49);
}
G_STATIC_ASSERT(BUCKETS == 1 << (64 - 49));

/* ---- death; with the lock ---- */

/* Counted after the fact, as a store: see translate(). */
static void unprotect(Interp *in, uint64_t ram_offset)
{
    softmmu_unprotect_code(in->vm, ram_offset);
    __atomic_add_fetch(&in->stores, 1, __ATOMIC_SEQ_CST);
}

static void unlink_page(Interp *in, Unit *u, unsigned k)
{
    uint64_t page = u->ram[k] / PAGE;
    Unit *head = g_hash_table_lookup(in->pages, (void *)(uintptr_t)page);

    for (Unit **at = &head; *at;) {
        unsigned side = (*at)->ram[0] / PAGE == page ? 0 : 1;
        if (*at == u) {
            *at = u->page_next[side];
            break;
        }
        at = &(*at)->page_next[side];
    }
    if (head) {
        g_hash_table_insert(in->pages, (void *)(uintptr_t)page, head);
    } else {
        g_hash_table_remove(in->pages, (void *)(uintptr_t)page);
        if (in->sole) {
            unprotect(in, page * PAGE);
        }
    }
}

void interp_unprotect(void *e, uint64_t ram_offset)
{
    Interp *in = e;

    g_mutex_lock(&in->lock);
    if (!g_hash_table_lookup(in->pages, (void *)(uintptr_t)(ram_offset / PAGE))) {
        unprotect(in, ram_offset);
    }
    g_mutex_unlock(&in->lock);
}

static void kill_unit(Interp *in, Unit *u)
{
    Unit **at = &in->buckets[bucket(u->host, u->ir.mode)];

    while (*at != u) {
        at = &(*at)->next;
    }
    rcu_set(at, u->next);
    __atomic_store_n(&u->dead, true, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&in->kills, 1, __ATOMIC_SEQ_CST);
    unlink_page(in, u, 0);
    if (u->ram[1] != NO_RAM) {
        unlink_page(in, u, 1);
    }
    in->bytes -= u->bytes;
    in->stat.killed++;
    rcu_free(u, g_free);
}

static bool covers(const Unit *u, uint64_t from, uint64_t to)
{
    uint64_t first = u->ram[1] == NO_RAM ? u->ir.size : PAGE - u->ram[0] % PAGE;

    if (u->ram[0] < to && from < u->ram[0] + first) {
        return true;
    }
    return u->ram[1] != NO_RAM && u->ram[1] < to && from < u->ram[1] + (u->ir.size - first);
}

static void kill_range(Interp *in, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / PAGE; page <= (to - 1) / PAGE; page++) {
        Unit *u = g_hash_table_lookup(in->pages, (void *)(uintptr_t)page);
        while (u) {
            Unit *next = u->page_next[u->ram[0] / PAGE == page ? 0 : 1];
            if (covers(u, from, to)) {
                kill_unit(in, u);
            }
            u = next;
        }
    }
}

static void kill_all(Interp *in)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (in->buckets[i]) {
            kill_unit(in, in->buckets[i]);
        }
    }
    in->stat.flushes++;
}

static void interp_flush(void *e)
{
    Interp *in = e;

    g_mutex_lock(&in->lock);
    kill_all(in);
    g_mutex_unlock(&in->lock);
}

static void breakpoint(void *e, uint64_t pc) { interp_flush(e); }

static void code_written(void *e, uint64_t ram_offset, uint64_t len)
{
    Interp *in = e;

    __atomic_add_fetch(&in->stores, 1, __ATOMIC_SEQ_CST);
    g_mutex_lock(&in->lock);
    kill_range(in, ram_offset, ram_offset + len);
    g_mutex_unlock(&in->lock);
}

static void code_store(void *e, Cpu *cpu, uint64_t ram_offset, unsigned len)
{
    InterpCpu *c = own(cpu);
    const Unit *u = c->running;

    code_written(e, ram_offset, len);
    if (u && !((TcgCpu *)cpu->engine)->stepping && covers(u, ram_offset, ram_offset + len)) {
        c->step = true;
        cpu->icount_budget += counting(cpu);    /* the instruction runs once more */
        cpu_exit(cpu);
    }
}

/* ---- birth ---- */

static void log_unit(Cpu *cpu, const IrUnit *ir)
{
    cpu_log_code(cpu, ir->pc, ir->size);
    if ((log_on(LOG_OP) || log_on(LOG_OP_OPT)) && log_in_range(ir->pc)) {
        g_autoptr(GString) s = g_string_new(NULL);
        ir_print(ir, s, cpu->isa->slot_name);
        log_write("OP: pc 0x%" PRIx64 "\n%s", ir->pc, s->str);
    }
}

/* How many instructions of the unit there are before one with a breakpoint; it may begin with one. */
static unsigned before_breakpoint(const Cpu *cpu, const IrUnit *ir)
{
    unsigned k = MIN(ir->n_insns, 1);

    if (!cpu->breakpoints->len) {
        return ir->n_insns;
    }
    while (k < ir->n_insns && !cpu_breakpoint_near(cpu, ir->page_base + (uint64_t)ir->insns[k].pc)) {
        k++;
    }
    return k;
}

/* Guest code into c->scratch, optimised. May leave by a fetch fault. */
static IrUnit *build(Cpu *cpu, InterpCpu *c, bool single)
{
    IrUnit *ir = c->scratch;

    for (unsigned max_insns = 0;;) {
        ir_unit_reset(ir, cpu->pc, cpu->mode);
        ir->icount = counting(cpu);
        ir->single = single;
        ir->max_insns = max_insns;
        cpu->isa->translate(cpu, ir);
        if (!ir->overflow) {
            unsigned before = before_breakpoint(cpu, ir);
            if (before == ir->n_insns || max_insns) {
                break;
            }
            max_insns = before;
            continue;
        }
        if (single) {
            g_error("the translation of the instruction at 0x%" PRIx64 " does not fit", cpu->pc);
        }
        single = true;
    }
    ir_optimize(ir);
    log_unit(cpu, ir);
    return ir;
}

/* A unit of its own, as small as it can be: without what was dropped at the end or never used. */
static Unit *copy(const IrUnit *ir)
{
    size_t nodes = ir->n_nodes * sizeof(IrNode), helpers = ir->n_helpers * sizeof(IrHelper *);
    Unit *u = g_malloc(sizeof(*u) + nodes + helpers);

    u->ir = *ir;
    u->ir.nodes = (IrNode *)(u + 1);
    memcpy(u->ir.nodes, ir->nodes, nodes);
    u->ir.helpers = (const IrHelper **)(u->ir.nodes + ir->n_nodes);
    memcpy(u->ir.helpers, ir->helpers, helpers);
    u->ir.insns = NULL;
    u->ir.state = NULL;
    u->bytes = sizeof(*u) + nodes + helpers;
    u->dead = false;
    return u;
}

static void insert_page(Interp *in, Unit *u, unsigned k)
{
    void *page = (void *)(uintptr_t)(u->ram[k] / PAGE);

    u->page_next[k] = g_hash_table_lookup(in->pages, page);
    g_hash_table_insert(in->pages, page, u);
}

static Unit *insert(Interp *in, const IrUnit *ir, Unit made)
{
    Unit *u = copy(ir);

    u->host = made.host;
    memcpy(u->ram, made.ram, sizeof(u->ram));
    u->pa2 = made.pa2;
    u->icount = ir->icount;
    if (in->bytes + u->bytes > in->limit) {
        kill_all(in);
        softmmu_protect_code(in->vm, u->ram[0]);
        if (u->ram[1] != NO_RAM) {
            softmmu_protect_code(in->vm, u->ram[1]);
        }
    }
    in->bytes += u->bytes;
    insert_page(in, u, 0);
    if (u->ram[1] != NO_RAM) {
        insert_page(in, u, 1);
    }
    Unit **head = &in->buckets[bucket(u->host, u->ir.mode)];
    u->next = *head;
    rcu_set(head, u);
    in->stat.units++;
    in->stat.insns += ir->n_insns;
    return u;
}

/* Pages are protected before their code is read; if a code page was written or unprotected meanwhile,
 * the unit is not kept. */
static Unit *translate(Cpu *cpu, InterpCpu *c, const uint8_t *host, uint64_t pa)
{
    Interp *in = c->in;
    Unit made = {.host = host, .ram = {as_find(cpu->memory, pa).ram_offset, NO_RAM}};
    uint64_t stores = __atomic_load_n(&in->stores, __ATOMIC_SEQ_CST);

    softmmu_protect_code(in->vm, made.ram[0]);
    const IrUnit *ir = build(cpu, c, false);
    if (made.ram[0] % PAGE + ir->size > PAGE) {
        const uint8_t *host2 = softmmu_fetch_page(cpu, ir->page_base + PAGE, &made.pa2);
        if (!host2) {
            return NULL;
        }
        made.ram[1] = as_find(cpu->memory, made.pa2).ram_offset;
        softmmu_protect_code(in->vm, made.ram[1]);
    }
    g_mutex_lock(&in->lock);
    Unit *u = NULL;
    softmmu_protect_code(in->vm, made.ram[0]);
    if (made.ram[1] != NO_RAM) {
        softmmu_protect_code(in->vm, made.ram[1]);
    }
    if (stores == __atomic_load_n(&in->stores, __ATOMIC_SEQ_CST)) {
        u = insert(in, ir, made);
    }
    g_mutex_unlock(&in->lock);
    return u;
}

static Unit *find(Cpu *cpu, const uint8_t *host)
{
    Interp *in = own(cpu)->in;
    bool icount = counting(cpu);

    for (Unit *u = rcu_get(&in->buckets[bucket(host, cpu->mode)]); u; u = rcu_get(&u->next)) {
        if (u->host == host && u->ir.mode == cpu->mode && u->icount == icount && !u->dead) {
            return u;
        }
    }
    return NULL;
}

/* The second page must be the one the unit was made from; this also enters it into the TLB, so that
 * a change of its mapping changes fetch_epoch. */
static bool second_ok(Cpu *cpu, Unit *u)
{
    uint64_t pa;

    return u->ram[1] == NO_RAM ||
           (softmmu_fetch_page(cpu, (cpu->pc & -(uint64_t)PAGE) + PAGE, &pa) && pa == u->pa2);
}

static Unit *lookup(Cpu *cpu)
{
    InterpCpu *c = own(cpu);
    Jump *j = &c->jumps[(cpu->pc ^ cpu->pc >> 12) & (JUMPS - 1)];

    if (j->unit && j->pc == cpu->pc && j->tlb == cpu->tlb && j->mode == cpu->mode &&
        j->epoch == cpu->tlb->fetch_epoch && !__atomic_load_n(&j->unit->dead, __ATOMIC_RELAXED)) {
        return j->unit;
    }
    uint64_t pa;
    const uint8_t *host = softmmu_fetch_page(cpu, cpu->pc, &pa);
    if (!host) {
        return NULL;
    }
    Unit *u = find(cpu, host);
    if (u && !second_ok(cpu, u)) {
        g_mutex_lock(&c->in->lock);
        if (!u->dead) {
            kill_unit(c->in, u);
        }
        g_mutex_unlock(&c->in->lock);
        u = NULL;
    }
    if (!u) {
        u = translate(cpu, c, host, pa);
    }
    if (u) {
        *j = (Jump){cpu->pc, cpu->tlb->fetch_epoch, cpu->tlb, cpu->mode, u};
    }
    return u;
}

/* ---- running ---- */

static IrExitKind run_unit(Cpu *cpu, InterpCpu *c, const Unit *u, const IrUnit *ir)
{
    cpu->page_base = cpu->pc & -(uint64_t)PAGE;
    c->running = u;
    IrExitKind why = ir_interpret(ir, cpu);
    c->running = NULL;
    return why;
}

void interp_step(void *e, Cpu *cpu)
{
    InterpCpu *c = own(cpu);
    TcgCpu *t = cpu->engine;

    t->stepping = true;
    run_unit(cpu, c, NULL, build(cpu, c, true));
    t->stepping = false;
}

static void forget_jumps(InterpCpu *c)
{
    uint64_t kills = __atomic_load_n(&c->in->kills, __ATOMIC_SEQ_CST);

    if (kills != c->seen_kills) {
        memset(c->jumps, 0, sizeof(c->jumps));
        c->seen_kills = kills;
    }
}

const IrUnit *interp_unit(void *e, Cpu *cpu)
{
    forget_jumps(own(cpu));
    const Unit *u = lookup(cpu);

    return u ? &u->ir : NULL;
}

static EngineResult run(void *e, Cpu *cpu, bool once)
{
    InterpCpu *c = own(cpu);

    forget_jumps(c);
    if (c->step) {
        c->step = false;
        return ENGINE_STEP;
    }
    do {
        if (__atomic_load_n(&cpu->req, __ATOMIC_RELAXED) ||
            (cpu->breakpoints->len && cpu_breakpoint_near(cpu, cpu->pc))) {
            return ENGINE_REQUEST;
        }
        cpu_log_entry(cpu);
        const Unit *u = lookup(cpu);
        if (!u || (u->icount && cpu->icount_budget < u->ir.n_insns)) {
            /* Within a unit a guest's state is not whole: what is overwritten later is never stored.
             * So the end of a budget is walked by units of one instruction. */
            return ENGINE_STEP;
        }
        if (run_unit(cpu, c, u, &u->ir) == IR_EXIT_RESYNC) {
            return ENGINE_REQUEST;
        }
    } while (!once);
    return ENGINE_REQUEST;
}

static void unwound(void *e, Cpu *cpu)
{
    own(cpu)->running = NULL;
    ((TcgCpu *)cpu->engine)->stepping = false;
}

/* ---- life ---- */

static void *make(Tcg *tcg, Vm *vm, const GuestIsa *isa, GError **error)
{
    Interp *in = g_new0(Interp, 1);

    in->vm = vm;
    in->isa = isa;
    in->sole = tcg->type == &tcg_interp;
    in->limit = (tcg->tb_size ? tcg->tb_size : DEFAULT_MIB) << 20;
    in->buckets = g_new0(Unit *, BUCKETS);
    in->pages = g_hash_table_new(NULL, NULL);
    g_mutex_init(&in->lock);
    return in;
}

static void interp_free(void *e)
{
    Interp *in = e;

    if (in) {
        interp_flush(in);
        g_hash_table_destroy(in->pages);
        g_free(in->buckets);
        g_mutex_clear(&in->lock);
        g_free(in);
    }
}

static void cpu_init(void *e, Cpu *cpu)
{
    InterpCpu *c = g_new0(InterpCpu, 1);

    c->in = e;
    c->scratch = ir_unit_new();
    ((TcgCpu *)cpu->engine)->interp = c;
}

static void cpu_finish(void *e, Cpu *cpu)
{
    InterpCpu *c = own(cpu);

    ir_unit_free(c->scratch);
    g_free(c);
}

static void info(void *e, GString *out)
{
    Interp *in = e;

    g_mutex_lock(&in->lock);
    g_string_append_printf(out, "interpreter: %" PRIu64 " units built (%" PRIu64 " instructions), %"
                           PRIu64 " dropped, %zu KiB in use, %" PRIu64 " flushes\n", in->stat.units,
                           in->stat.insns, in->stat.killed, in->bytes >> 10, in->stat.flushes);
    g_mutex_unlock(&in->lock);
}

const EngineType tcg_interp = {
    .name = "interp", .make = make, .free = interp_free, .cpu_init = cpu_init,
    .cpu_finish = cpu_finish, .run = run, .unwound = unwound, .code_written = code_written,
    .code_store = code_store, .flush = interp_flush, .breakpoint = breakpoint, .info = info,
};
