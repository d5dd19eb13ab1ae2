/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs as devices: architectures, models, -cpu, life, breakpoints; accelerators by name. */
#include <string.h>

#include "core/accel.h"
#include "core/cpu-internal.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/suggest.h"

/* ---- architectures ---- */

extern const GuestIsa *const __start_myna_isas[] __attribute__((weak));
extern const GuestIsa *const __stop_myna_isas[] __attribute__((weak));

const GuestIsa *isa_find(const char *name)
{
    for (const GuestIsa *const *i = __start_myna_isas; i < __stop_myna_isas; i++) {
        if (strcmp((*i)->name, name) == 0) {
            return *i;
        }
    }
    return NULL;
}

void isa_foreach(void (*fn)(const GuestIsa *isa, void *data), void *data)
{
    for (const GuestIsa *const *i = __start_myna_isas; i < __stop_myna_isas; i++) {
        fn(*i, data);
    }
}

/* ---- the base type ---- */

static void cpu_init(Object *o)
{
    Cpu *cpu = (Cpu *)o;

    cpu->vm = o->vm;
    cpu->memory = o->vm->memory;
    cpu->io = o->vm->io;
    pthread_mutex_init(&cpu->work_lock, NULL);
    pthread_cond_init(&cpu->wake, NULL);
    cpu->breakpoints = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    cpu->watchpoints = g_array_new(FALSE, FALSE, sizeof(CpuWatch));
}

static void cpu_finish(Object *o)
{
    Cpu *cpu = (Cpu *)o;

    softmmu_finish(cpu);                /* if no accelerator did */
    pthread_mutex_destroy(&cpu->work_lock);
    pthread_cond_destroy(&cpu->wake);
    g_array_unref(cpu->breakpoints);
    g_array_unref(cpu->watchpoints);
    g_free(cpu->model);
}

const AccelType *accel_of(const Vm *vm)
{
    const Accel *a = __atomic_load_n(&vm->accel, __ATOMIC_ACQUIRE);

    return a ? (const AccelType *)a->object.type : NULL;
}

const char *accel_current(const Vm *vm)
{
    const AccelType *t = accel_of(vm);

    return !t ? NULL : t->current ? t->current(vm->accel) : t->accel;
}

AccelIrqchip accel_irqchip(const Vm *vm)
{
    const AccelType *t = accel_of(vm);

    return t && t->irqchip ? t->irqchip(vm->accel) : ACCEL_IRQCHIP_NONE;
}

Cpu *cpu_at(Vm *vm, int64_t index)
{
    return index >= 0 && index < vm->n_cpus ? vm->cpus[index] : NULL;
}

static void enlist(Cpu *cpu)
{
    Vm *vm = cpu->vm;

    if (cpu->index >= vm->n_cpus) {
        /* Others walk the array without a lock, so it is not moved under them. */
        g_assert(cpu->index < VM_MAX_CPUS);
        if (!vm->cpus) {
            vm->cpus = g_new0(Cpu *, VM_MAX_CPUS);
        }
    }
    vm->cpus[cpu->index] = cpu;
    __atomic_store_n(&vm->n_cpus, MAX(vm->n_cpus, cpu->index + 1), __ATOMIC_RELEASE);
}

/* Others walk the array of CPUs and the accelerator's, so they stand while it changes. */
static bool hold_others(Cpu *cpu)
{
    bool ran = cpu->vm->state == RUN_RUNNING;

    if (ran) {
        cpus_pause(cpu->vm);
    }
    return ran;
}

static bool start_up(Cpu *cpu, GError **error)
{
    const AccelType *accel = accel_of(cpu->vm);

    if (cpu->dev.user && !cpu->vm->machine->type_->cpu_plug(cpu->vm->machine, cpu, error)) {
        return false;
    }
    if (cpu->isa->realize && !cpu->isa->realize(cpu, error)) {
        return false;
    }
    if (accel && accel->cpu_init && !accel->cpu_init(cpu->vm->accel, cpu, error)) {
        if (accel->cpu_finish) {
            accel->cpu_finish(cpu->vm->accel, cpu);
        }
        return false;
    }
    enlist(cpu);
    if (accel && accel->run) {
        cpu_thread_start(cpu);
    }
    return true;
}

static bool realize(Device *d, GError **error)
{
    Cpu *cpu = (Cpu *)d;

    if (!cpu->isa) {
        return error_set(error, "%s: CPUs are made by the machine (-smp, -cpu)", d->object.type->name);
    }
    cpu->hold = d->user;                /* until it has been reset and plugged() wired */
    bool ran = hold_others(cpu), ok = start_up(cpu, error);
    if (ran) {
        cpus_resume(cpu->vm);
    }
    return ok;
}

static void plugged(Device *d)
{
    Cpu *cpu = (Cpu *)d;

    if (d->user) {
        bool ran = hold_others(cpu);
        cpu->vm->machine->type_->cpu_plugged(cpu->vm->machine, cpu);
        cpu->hold = false;
        if (ran) {
            cpus_resume(cpu->vm);
        }
    }
}

static bool unplug_request(Device *d, GError **error)
{
    Cpu *cpu = (Cpu *)d;

    return cpu->vm->machine->type_->cpu_unplug_request(cpu->vm->machine, cpu, error);
}

void cpu_unplug(Cpu *cpu)
{
    Vm *vm = cpu->vm;
    bool ran = hold_others(cpu);

    vm->machine->type_->cpu_unplug(vm->machine, cpu);
    if (vm->debug_cpu == cpu) {
        vm->debug_cpu = NULL;
    }
    cpu->dev.user = true;               /* of -smp or not, its end is told */
    device_unplug(&cpu->dev);
    if (ran) {
        cpus_resume(vm);
    }
}

static void unrealize(Device *d)
{
    Cpu *cpu = (Cpu *)d;
    const AccelType *accel = accel_of(cpu->vm);

    cpu_thread_end(cpu);
    if (accel && accel->cpu_finish) {
        accel->cpu_finish(cpu->vm->accel, cpu);
    }
    cpu->vm->cpus[cpu->index] = NULL;
    while (cpu->vm->n_cpus && !cpu->vm->cpus[cpu->vm->n_cpus - 1]) {
        cpu->vm->n_cpus--;
    }
}

static void reset_here(Cpu *cpu, void *unused)
{
    cpu_log_reset(cpu);
    cpu->halted = false;
    cpu->insn_count = 0;
    __atomic_store_n(&cpu->req, 0, __ATOMIC_SEQ_CST);
    if (cpu->isa && cpu->isa->reset) {
        cpu->isa->reset(cpu);
    }
}

/* With all vCPUs standing. */
static void reset(Device *d)
{
    cpu_run_on((Cpu *)d, reset_here, NULL);
}

static void restored_here(Cpu *cpu, void *unused)
{
    if (cpu->isa && cpu->isa->state_restored) {
        cpu->isa->state_restored(cpu);
    }
}

static void restored(Device *d)
{
    cpu_run_on((Cpu *)d, restored_here, NULL);
}

static const Field fields[] = {
    SAVED(Cpu, pc), SAVED(Cpu, halted), SAVED(Cpu, fp_mode), SAVED(Cpu, fp_flags),
    SAVED(Cpu, insn_count),
    HOST(Cpu, isa), HOST(Cpu, vm), HOST(Cpu, index), HOST(Cpu, memory), HOST(Cpu, io),
    HOST(Cpu, req), HOST(Cpu, mode), HOST(Cpu, page_base), HOST(Cpu, tlb),
    HOST(Cpu, icount_budget), HOST(Cpu, mmu), HOST(Cpu, engine), HOST(Cpu, jit), HOST(Cpu, spill),
    HOST(Cpu, vec_buf), HOST(Cpu, host_sp), HOST(Cpu, host_sp_limit), HOST(Cpu, exit_env),
    HOST(Cpu, can_exit), HOST(Cpu, thread), HOST(Cpu, state), HOST(Cpu, stop), HOST(Cpu, hold), HOST(Cpu, unplug),
    HOST(Cpu, tid), HOST(Cpu, work), HOST(Cpu, work_lock), HOST(Cpu, wake), HOST(Cpu, sleeping),
    HOST(Cpu, in_run), HOST(Cpu, model), HOST(Cpu, singlestep), HOST(Cpu, breakpoints),
    HOST(Cpu, watchpoints), HOST(Cpu, watch_hit),
};

static const DeviceType cpu_type = {
    .name = "cpu", .desc = "Any CPU", .size = sizeof(Cpu), .abstract = true,
    .category = DEVICE_CPU, FIELDS(fields), .init = cpu_init, .finish = cpu_finish,
    .realize = realize, .unrealize = unrealize, .reset = reset, .restored = restored,
    .plugged = plugged, .unplug_request = unplug_request,
};
DEVICE_TYPE(cpu_type);

/* ---- -cpu ---- */

typedef struct ModelSearch {
    const char *suffix, *model;
    const DeviceType *found;
    GPtrArray *names;           /* owned texts */
} ModelSearch;

static void see_model(const ObjectType *t, void *data)
{
    ModelSearch *s = data;

    if (t->abstract || !g_str_has_suffix(t->name, s->suffix) || !object_type_is_a(t, "cpu")) {
        return;
    }
    const DeviceType *d = (const DeviceType *)t;
    char *name = g_strndup(t->name, strlen(t->name) - strlen(s->suffix));
    g_ptr_array_add(s->names, name);
    bool match = strcmp(name, s->model) == 0;
    for (const char *const *a = d->aliases; a && *a; a++) {
        g_ptr_array_add(s->names, g_strdup(*a));
        match |= strcmp(*a, s->model) == 0;
    }
    if (match) {
        s->found = d;
    }
}

static const DeviceType *find_model(const GuestIsa *isa, const char *model, GError **error)
{
    g_autofree char *suffix = g_strdup_printf("-%s", isa->cpu_suffix);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    ModelSearch s = {.suffix = suffix, .model = model, .names = names};

    object_type_foreach(see_model, &s);
    if (!s.found) {
        g_ptr_array_add(names, NULL);
        error_set(error, "unable to find CPU model '%s'", model);
        suggest_append(error, model, (const char *const *)names->pdata);
    }
    return s.found;
}

/* The property that a feature's name means: as written, or with '-' for '_', or '_' for '-'. */
static char *feature_name(Cpu *cpu, const char *given)
{
    const ObjectType *t = cpu->dev.object.type;

    for (const char *const *pair = (const char *const[]){"_-", "-_", NULL}; *pair; pair++) {
        g_autofree char *other = g_strdup(given);
        for (char *c = other; *c; c++) {
            *c = *c == (*pair)[0] ? (*pair)[1] : *c;
        }
        if (!object_type_field(t, given) && object_type_field(t, other)) {
            return g_steal_pointer(&other);
        }
    }
    return g_strdup(given);
}

static bool set_feature(Cpu *cpu, const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    bool sign = *word == '+' || *word == '-';
    g_autofree char *given = equals ? g_strndup(word, (size_t)(equals - word)) : g_strdup(word + sign);
    g_autofree char *name = feature_name(cpu, given);
    const char *value = equals ? equals + 1 : *word == '-' ? "off" : "on";

    return object_set_string(&cpu->dev.object, name, value, error);
}

static bool set_features(Cpu *cpu, char **words, GError **error)
{
    for (char **w = words + 1; *words && *w; w++) {
        if (**w && !set_feature(cpu, *w, error)) {
            return false;
        }
    }
    return true;
}

Cpu *cpu_create(Vm *vm, const GuestIsa *isa, const char *spec, unsigned index, GError **error)
{
    g_auto(GStrv) words = g_strsplit(spec, ",", -1);
    const DeviceType *type = find_model(isa, words[0] ? words[0] : "", error);

    if (!type) {
        return NULL;
    }
    Device *d = device_new(vm, type->name, error);
    if (!d) {
        return NULL;
    }
    Cpu *cpu = (Cpu *)d;
    cpu->isa = isa;
    cpu->index = index;
    cpu->model = g_strdup(words[0]);
    if (!set_features(cpu, words, error)) {
        object_unref(&d->object);
        return NULL;
    }
    return cpu;
}

bool cpu_adopt(Cpu *cpu, GError **error)
{
    const ObjectType *t = cpu->dev.object.type;
    const Machine *m = cpu->vm->machine;
    const GuestIsa *isa = isa_find(m->arch);

    if (!m->type_->cpu_plug) {
        return error_set(error, "machine '%s' takes no CPUs as devices: they are made by -smp and -cpu",
                         m->type_->machine);
    }
    if (!isa || !g_str_has_suffix(t->name, isa->cpu_suffix)) {
        return error_set(error, "'%s' is no CPU for a machine of architecture %s", t->name, m->arch);
    }
    g_auto(GStrv) words = g_strsplit(m->cpu_model ? m->cpu_model : m->type_->default_cpu, ",", -1);
    cpu->isa = isa;
    cpu->model = g_strndup(t->name, strlen(t->name) - strlen(isa->cpu_suffix) - 1);
    return (const ObjectType *)find_model(isa, words[0], NULL) != t || set_features(cpu, words, error);
}

bool cpu_realize(Cpu *cpu, GError **error)
{
    return device_realize(&cpu->dev, NULL, error);
}

Cpu *cpu_new(Vm *vm, const GuestIsa *isa, const char *spec, unsigned index, GError **error)
{
    Cpu *cpu = cpu_create(vm, isa, spec, index, error);

    return cpu && cpu_realize(cpu, error) ? cpu : NULL;
}

/* ---- debugging ---- */

static void debug_changed(Cpu *cpu)
{
    const AccelType *accel = accel_of(cpu->vm);

    if (accel && accel->debug_changed) {
        accel->debug_changed(cpu->vm->accel, cpu);
    }
    cpu_request(cpu, CPU_REQ_DEBUG);
}

bool cpu_breakpoint_at(const Cpu *cpu, uint64_t pc)
{
    for (unsigned i = 0; i < cpu->breakpoints->len; i++) {
        if (g_array_index(cpu->breakpoints, uint64_t, i) == pc) {
            return true;
        }
    }
    return false;
}

bool cpu_breakpoint_near(const Cpu *cpu, uint64_t pc)
{
    for (unsigned i = 0; i < cpu->breakpoints->len; i++) {
        if (((g_array_index(cpu->breakpoints, uint64_t, i) ^ pc) & 0xfff) == 0) {
            return true;
        }
    }
    return false;
}

void cpu_breakpoint_add(Cpu *cpu, uint64_t pc)
{
    if (!cpu_breakpoint_at(cpu, pc)) {
        g_array_append_val(cpu->breakpoints, pc);
        debug_changed(cpu);
    }
}

bool cpu_breakpoint_del(Cpu *cpu, uint64_t pc)
{
    for (unsigned i = 0; i < cpu->breakpoints->len; i++) {
        if (g_array_index(cpu->breakpoints, uint64_t, i) == pc) {
            g_array_remove_index(cpu->breakpoints, i);
            debug_changed(cpu);
            return true;
        }
    }
    return false;
}

void cpu_watchpoint_add(Cpu *cpu, CpuWatch watch)
{
    g_array_append_val(cpu->watchpoints, watch);
    softmmu_flush(cpu);         /* entries for the watched page must miss; the CPU stands */
    debug_changed(cpu);
}

bool cpu_watchpoint_del(Cpu *cpu, CpuWatch watch)
{
    for (unsigned i = 0; i < cpu->watchpoints->len; i++) {
        CpuWatch *w = &g_array_index(cpu->watchpoints, CpuWatch, i);
        if (w->addr == watch.addr && w->len == watch.len && w->access == watch.access && w->guest == watch.guest) {
            g_array_remove_index(cpu->watchpoints, i);
            cpu->watch_hit = NULL;
            debug_changed(cpu);
            return true;
        }
    }
    return false;
}

void cpu_debug_clear(Cpu *cpu)
{
    g_array_set_size(cpu->breakpoints, 0);
    for (unsigned i = cpu->watchpoints->len; i-- > 0;) {
        if (!g_array_index(cpu->watchpoints, CpuWatch, i).guest) {
            g_array_remove_index(cpu->watchpoints, i);
        }
    }
    cpu->watch_hit = NULL;
    cpu->singlestep = false;
    debug_changed(cpu);
}

void cpu_singlestep(Cpu *cpu, bool on)
{
    if (cpu->singlestep != on) {
        cpu->singlestep = on;
        debug_changed(cpu);
    }
}

/* ---- accelerators ---- */

static const ObjectType accel_base = {
    .name = "accel", .desc = "What runs the vCPUs", .size = sizeof(Accel), .abstract = true,
};
OBJECT_TYPE(accel_base);

typedef struct AccelSearch {
    const char *name;
    const AccelType *found;
    GPtrArray *names;
} AccelSearch;

static void see_accel(const ObjectType *t, void *data)
{
    AccelSearch *s = data;

    if (!t->abstract && object_type_is_a(t, "accel")) {
        const AccelType *a = (const AccelType *)t;
        g_ptr_array_add(s->names, (void *)a->accel);
        if (strcmp(a->accel, s->name) == 0) {
            s->found = a;
        }
    }
}

const AccelType *accel_find(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    AccelSearch s = {.name = name, .names = names};

    object_type_foreach(see_accel, &s);
    if (!s.found) {
        g_ptr_array_add(names, NULL);
        error_set(error, "invalid accelerator %s", name);
        suggest_append(error, name, (const char *const *)names->pdata);
    }
    return s.found;
}

bool accel_start(Vm *vm, const AccelType *type, const char *const *props, GError **error)
{
    g_autofree char *why = type->unavailable ? type->unavailable() : NULL;

    if (why) {
        return error_set(error, "accelerator %s cannot be used: %s", type->accel, why);
    }
    Accel *a = (Accel *)object_new(vm, (const ObjectType *)type);
    a->vm = vm;
    for (; props && *props; props += 2) {
        if (!object_set_string(&a->object, props[0], props[1], error)) {
            object_unref(&a->object);
            return false;
        }
    }
    if (!object_complete(&a->object, error) || (type->start && !type->start(a, vm, error))) {
        object_unref(&a->object);
        return false;
    }
    vm->accel = a;
    return true;
}
