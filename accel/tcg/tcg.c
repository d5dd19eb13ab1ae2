/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `-accel tcg`: the run loop of a vCPU. Requests, interrupts, debugging and the instruction budget
 * are handled here, between units; units are run by an engine (engine.h).
 *
 * The interpreter is always there: it runs what the translator declines and single steps. Units end
 * before breakpoints, so that this loop sees them.
 */
#include <inttypes.h>
#include <setjmp.h>

#include "accel/engine.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/log.h"

static TcgCpu *own(const Cpu *cpu) { return cpu->engine; }
/* Not vm->accel: another accelerator may own this one. */
static Tcg *tcg_of(const Cpu *cpu) { return own(cpu)->tcg; }

/* ---- instructions and virtual time ---- */

enum { MAX_BUDGET = 1 << 20 };

/* Moves what was executed of the grant to insn_count. */
static void settle(Cpu *cpu)
{
    TcgCpu *t = own(cpu);
    int64_t left = MAX(cpu->icount_budget, 0);

    cpu->insn_count += (uint64_t)(t->granted - left);
    t->granted = left;
    cpu->icount_budget = left;
}

static int64_t icount_now(Vm *vm, void *opaque)
{
    const Tcg *tcg = opaque;
    uint64_t n = 0;

    for (unsigned i = 0; i < vm->n_cpus; i++) {
        const Cpu *cpu = vm->cpus[i];
        if (cpu && cpu->engine) {
            n += cpu->insn_count + (uint64_t)(own(cpu)->granted - cpu->icount_budget);
            n -= tcg->type->ahead ? tcg->type->ahead(cpu) : 0;
        }
    }
    return (int64_t)(n << tcg->shift);
}

/* A timer was armed that is due before the budget's end: go and get a new one. */
static void deadline_changed(Vm *vm, void *opaque)
{
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        if (vm->cpus[i]) {
            cpu_request(vm->cpus[i], CPU_REQ_DEBUG);
        }
    }
}

/* Fires due timers and grants instructions until the next one. */
static void grant(Cpu *cpu)
{
    Tcg *tcg = tcg_of(cpu);
    TcgCpu *t = own(cpu);

    settle(cpu);
    int64_t now = clock_ns(cpu->vm, CLOCK_K_VIRTUAL);
    int64_t deadline = clock_deadline(cpu->vm, CLOCK_K_VIRTUAL);
    if (deadline <= now) {
        clock_run(cpu->vm, CLOCK_K_VIRTUAL);
        deadline = clock_deadline(cpu->vm, CLOCK_K_VIRTUAL);
    }
    int64_t budget = MAX_BUDGET;
    if (deadline != INT64_MAX) {
        int64_t ns = MAX(deadline - now, 0);
        budget = CLAMP((ns + ((int64_t)1 << tcg->shift) - 1) >> tcg->shift, 1, MAX_BUDGET);
    }
    t->granted = cpu->icount_budget = budget;
}

/* ---- turns, thread=single ---- */

/* False: a request came instead. */
static bool take_turn(Cpu *cpu)
{
    Tcg *tcg = tcg_of(cpu);

    while (!g_mutex_trylock(&tcg->turn)) {
        if (__atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST) & CPU_REQ_WORK) {
            return false;
        }
        g_usleep(200);
        Cpu *other = __atomic_load_n(&tcg->running, __ATOMIC_SEQ_CST);
        if (other && other != cpu) {
            cpu_request(other, CPU_REQ_WORK);
        }
    }
    __atomic_store_n(&tcg->running, cpu, __ATOMIC_SEQ_CST);
    return true;
}

static void give_turn(Cpu *cpu)
{
    Tcg *tcg = tcg_of(cpu);

    __atomic_store_n(&tcg->running, NULL, __ATOMIC_SEQ_CST);
    g_mutex_unlock(&tcg->turn);
}

/* ---- debugging ---- */

static bool has_breakpoint(const GArray *list, uint64_t pc)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (g_array_index(list, uint64_t, i) == pc) {
            return true;
        }
    }
    return false;
}

/* Tells the engines of what is in one list and not in the other. */
static void breakpoints_differ(Tcg *tcg, const GArray *list, const GArray *other)
{
    for (unsigned i = 0; i < list->len; i++) {
        uint64_t pc = g_array_index(list, uint64_t, i);
        if (has_breakpoint(other, pc)) {
            continue;
        }
        tcg_interp.breakpoint(tcg->interp, pc);
        if (tcg->type != &tcg_interp) {
            tcg->type->breakpoint(tcg->main, pc);
        }
    }
}

static void tcg_debug_changed(Accel *a, Cpu *cpu)
{
    Tcg *tcg = (Tcg *)a;
    GArray *known = cpu->engine ? own(cpu)->breakpoints : NULL;

    if (!known) {
        return;
    }
    breakpoints_differ(tcg, known, cpu->breakpoints);
    breakpoints_differ(tcg, cpu->breakpoints, known);
    g_array_set_size(known, 0);
    g_array_append_vals(known, cpu->breakpoints->data, cpu->breakpoints->len);
}

/* A breakpoint may be here. True: stop; else one instruction was run, if `*stepped`. */
static bool at_breakpoint(Tcg *tcg, Cpu *cpu, bool *stepped)
{
    if (cpu_breakpoint_at(cpu, cpu->pc)) {
        return true;
    }
    *stepped = tcg->one_insn || cpu_breakpoint_near(cpu, cpu->pc);
    if (*stepped) {
        interp_step(tcg->interp, cpu);
    }
    return false;
}

/* ---- the loop ---- */

static void run_units(Tcg *tcg, Cpu *cpu)
{
    EngineResult r;

    if (tcg->check) {
        r = check_run(tcg, cpu);
    } else {
        r = tcg->type->run(tcg->main, cpu, false);
    }
    if (r == ENGINE_INTERPRET) {
        r = tcg_interp.run(tcg->interp, cpu, true);
    }
    if (r == ENGINE_STEP) {
        interp_step(tcg->interp, cpu);
    }
}

/* What was asked for since. True: leave, with *why set. */
static bool serve(Cpu *cpu, CpuStop *why)
{
    uint32_t req = __atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST);

    *why = CPU_STOP_NONE;
    if (req & CPU_REQ_FLUSH) {
        softmmu_poll(cpu);
    }
    if (req & CPU_REQ_DEBUG) {
        cpu_unrequest(cpu, CPU_REQ_DEBUG);
    }
    if (req & (CPU_REQ_WORK | CPU_REQ_YIELD)) {
        return true;
    }
    if (req & ~(uint32_t)(CPU_REQ_FLUSH | CPU_REQ_DEBUG) && !cpu->singlestep) {
        cpu->isa->interrupt(cpu);
    }
    if (__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST)) {
        *why = CPU_STOP_HALT;
        return true;
    }
    return false;
}

/* Until something is to be done outside. Left by cpu_exit() as well. */
static CpuStop loop(Tcg *tcg, Cpu *cpu)
{
    CpuStop why;

    for (;;) {
        if (tcg->counting) {
            grant(cpu);
        }
        if (serve(cpu, &why)) {
            return why;
        }
        if (cpu->singlestep) {
            interp_step(tcg->interp, cpu);
            return CPU_STOP_DEBUG;
        }
        bool stepped = false;
        if (G_UNLIKELY(cpu->breakpoints->len || tcg->one_insn) && at_breakpoint(tcg, cpu, &stepped)) {
            return CPU_STOP_DEBUG;
        }
        if (!stepped) {
            run_units(tcg, cpu);
        }
    }
}

/* A unit was left from inside. True: stop for the debugger. */
static bool unwound(Tcg *tcg, Cpu *cpu)
{
    tcg_interp.unwound(tcg->interp, cpu);
    if (tcg->type != &tcg_interp) {
        tcg->type->unwound(tcg->main, cpu);
    }
    if (tcg->check && check_unwound(tcg, cpu)) {
        return false;
    }
    return cpu->singlestep;
}

/* The instruction that was watched is done. */
static CpuStop watched(Cpu *cpu)
{
    if (!cpu->watch_hit || !cpu->watch_hit->guest || !cpu->isa->debug_exception) {
        return CPU_STOP_DEBUG;
    }
    cpu->isa->debug_exception(cpu);
    return CPU_STOP_NONE;
}

static CpuStop tcg_run(Accel *a, Cpu *cpu)
{
    Tcg *tcg = (Tcg *)a;
    bool single = tcg->thread == TCG_THREAD_SINGLE;
    volatile bool watch_step = false;

    if (single && !take_turn(cpu)) {
        return CPU_STOP_NONE;
    }
    cpu->watch_hit = NULL;
    CpuStop why = CPU_STOP_DEBUG;
    bool again = sigsetjmp(cpu->exit_env, 0);
    cpu->can_exit = true;
    if (again && watch_step) {
        tcg_interp.unwound(tcg->interp, cpu);       /* a fault in the instruction that was watched */
        why = cpu->watch_hit && cpu->watch_hit->guest ? CPU_STOP_NONE : CPU_STOP_DEBUG;
    } else if (again && unwound(tcg, cpu)) {
        /* the single step ended in an exception */
    } else if (cpu->watch_hit) {
        watch_step = true;      /* the instruction is done, then the debugger hears of it */
        interp_step(tcg->interp, cpu);
        why = watched(cpu);
    } else {
        why = loop(tcg, cpu);
    }
    cpu->can_exit = false;
    if (tcg->counting) {
        settle(cpu);
    }
    if (single) {
        give_turn(cpu);
    }
    return why;
}

/* ---- life ---- */

static const EngineType *choose(Tcg *tcg)
{
    if (tcg->engine == TCG_ENGINE_INTERP) {
        return &tcg_interp;
    }
    g_autofree char *why = tcg_jit.unavailable();
    if (why) {
        log_write("tcg: interpreting: %s\n", why);
        return &tcg_interp;
    }
    return &tcg_jit;
}

static bool tcg_start(Accel *a, Vm *vm, GError **error)
{
    Tcg *tcg = (Tcg *)a;

    if (!tcg->split_wx) {
        return error_set(error, "split-wx=off: the code cache is always mapped twice");
    }
    if (tcg->icount) {
        char *end;
        tcg->shift = (unsigned)g_ascii_strtoull(tcg->icount, &end, 10);
        if (end == tcg->icount || *end || tcg->shift > 10) {
            return error_set(error, "icount shift '%s' is not a number from 0 to 10", tcg->icount);
        }
        tcg->counting = true;
        tcg->thread = TCG_THREAD_SINGLE;
        clock_icount(vm, icount_now, deadline_changed, tcg);
    }
    tcg->type = choose(tcg);
    if (tcg->check && tcg->type == &tcg_interp) {
        return error_set(error, "check=on compares the translator with the interpreter, but this"
                         " machine is interpreted");
    }
    if (tcg->check) {
        tcg->thread = TCG_THREAD_SINGLE;        /* memory must not change between the two runs */
    }
    return true;
}

static bool make_engines(Tcg *tcg, const GuestIsa *isa, GError **error)
{
    g_mutex_lock(&tcg->lock);
    if (!tcg->interp) {
        tcg->interp = tcg_interp.make(tcg, tcg->accel.vm, isa, error);
    }
    if (tcg->interp && !tcg->main) {
        tcg->main = tcg->type == &tcg_interp ? tcg->interp
                                             : tcg->type->make(tcg, tcg->accel.vm, isa, error);
    }
    g_mutex_unlock(&tcg->lock);
    return tcg->interp && tcg->main;
}

static bool tcg_cpu_init(Accel *a, Cpu *cpu, GError **error)
{
    Tcg *tcg = (Tcg *)a;

    if (!make_engines(tcg, cpu->isa, error)) {
        return false;
    }
    if (!softmmu_init(cpu)) {
        return error_set(error, "no memory for the TLB of CPU %u", cpu->index);
    }
    cpu->engine = g_new0(TcgCpu, 1);
    own(cpu)->tcg = tcg;
    own(cpu)->breakpoints = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    tcg_debug_changed(a, cpu);
    tcg_interp.cpu_init(tcg->interp, cpu);
    if (tcg->type != &tcg_interp) {
        tcg->type->cpu_init(tcg->main, cpu);
    }
    return true;
}

static void tcg_cpu_finish(Accel *a, Cpu *cpu)
{
    Tcg *tcg = (Tcg *)a;

    if (!cpu->engine) {
        return;
    }
    if (tcg->type != &tcg_interp) {
        tcg->type->cpu_finish(tcg->main, cpu);
    }
    check_cpu_finish(cpu);
    tcg_interp.cpu_finish(tcg->interp, cpu);
    g_array_unref(own(cpu)->breakpoints);
    g_free(cpu->engine);
    cpu->engine = NULL;
    softmmu_finish(cpu);
}

static void tcg_init(Object *o)
{
    Tcg *tcg = (Tcg *)o;

    g_mutex_init(&tcg->lock);
    g_mutex_init(&tcg->turn);
}

static void tcg_finish(Object *o)
{
    Tcg *tcg = (Tcg *)o;

    if (tcg->main && tcg->type != &tcg_interp) {
        tcg->type->free(tcg->main);
    }
    if (tcg->interp) {
        tcg_interp.free(tcg->interp);
    }
    g_mutex_clear(&tcg->lock);
    g_mutex_clear(&tcg->turn);
}

/* ---- what others report ---- */

static void tcg_code_written(Accel *a, uint64_t ram_offset, uint64_t len)
{
    Tcg *tcg = (Tcg *)a;

    if (tcg->interp) {
        tcg_interp.code_written(tcg->interp, ram_offset, len);
    }
    if (tcg->main && tcg->type != &tcg_interp) {
        tcg->type->code_written(tcg->main, ram_offset, len);
    }
}

static void tcg_code_store(Accel *a, Cpu *cpu, uint64_t ram_offset, unsigned len)
{
    Tcg *tcg = (Tcg *)a;

    if (tcg->type != &tcg_interp) {
        /* Either may leave the unit; the other must have heard of the store before. */
        tcg_interp.code_written(tcg->interp, ram_offset, len);
        if (own(cpu)->stepping) {
            tcg->type->code_written(tcg->main, ram_offset, len);
            return;
        }
        tcg->type->code_store(tcg->main, cpu, ram_offset, len);
    }
    tcg_interp.code_store(tcg->interp, cpu, ram_offset, len);
}

static void tcg_info(Accel *a, GString *out)
{
    Tcg *tcg = (Tcg *)a;

    g_string_append_printf(out, "engine %s\n", tcg->type ? tcg->type->name : "none");
    if (tcg->main && tcg->type != &tcg_interp) {
        tcg->type->info(tcg->main, out);
    }
    if (tcg->interp) {
        tcg_interp.info(tcg->interp, out);
    }
    for (unsigned i = 0; i < tcg->accel.vm->n_cpus; i++) {
        if (tcg->accel.vm->cpus[i]) {
            softmmu_info(tcg->accel.vm->cpus[i], out);
            check_info(tcg->accel.vm->cpus[i], out);
        }
    }
}

/* A unit that is linked to others asks for nothing on its way: all leave it once. */
static bool one_insn_changed(Object *o, const Field *f, GError **error)
{
    Vm *vm = o->vm;

    for (unsigned i = 0; i < vm->n_cpus; i++) {
        if (vm->cpus[i]) {
            cpu_request(vm->cpus[i], CPU_REQ_WORK);
        }
    }
    return true;
}

static const char *const thread_names[] = {"multi", "single", NULL};
static const char *const engine_names[] = {"jit", "interp", NULL};
static const Field fields[] = {
    PROP(Tcg, thread, "thread", PROP_ENUM, .names = thread_names,
         .desc = "multi: vCPUs run in parallel; single: in turns"),
    PROP(Tcg, engine, "engine", PROP_ENUM, .names = engine_names,
         .desc = "jit: translate where the host is supported; interp: interpret"),
    PROP(Tcg, tb_size, "tb-size", PROP_U64, .desc = "size of the code cache in MiB"),
    PROP(Tcg, one_insn, "one-insn-per-tb", PROP_BOOL, .desc = "single instructions only",
         .changed = one_insn_changed),
    PROP(Tcg, split_wx, "split-wx", PROP_BOOL, .init = true,
         .desc = "the code cache is mapped twice, always"),
    PROP(Tcg, check, "check", PROP_BOOL, .desc = "compare translated code with the interpreter"),
    PROP(Tcg, every, "every", PROP_U64, .init = 1, .desc = "check only every Nth unit"),
    PROP(Tcg, icount, "icount-shift", PROP_STRING, .desc = "virtual time: 2^N ns per instruction"),
    PROP(Tcg, force_miss, "x-force-miss", PROP_U32, .desc = "hostile: every Nth access misses"),
    PROP(Tcg, invalidate, "x-invalidate", PROP_U32, .desc = "hostile: every Nth unit is dropped"),
};

static const AccelType tcg_accel = {
    .name = "tcg-accel", .parent = "accel", .desc = "Translates and interprets guest code",
    .size = sizeof(Tcg), FIELDS(fields), .init = tcg_init, .finish = tcg_finish,
    .accel = "tcg", .start = tcg_start, .cpu_init = tcg_cpu_init, .cpu_finish = tcg_cpu_finish,
    .run = tcg_run, .code_written = tcg_code_written, .code_store = tcg_code_store,
    .debug_changed = tcg_debug_changed,
    .info = tcg_info,
};
OBJECT_TYPE(tcg_accel);
