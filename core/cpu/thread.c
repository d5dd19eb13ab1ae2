/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads: running, standing, halting, work from others, stop-the-world sections.
 *
 * Each vCPU's thread alternates between serving posted work, waiting and accel->run(). Three rules
 * make it free of lost wake-ups and deadlocks:
 *
 *  - A thread that is about to wait says so in `sleeping` before it looks once more for a reason to
 *    go on; whoever gives a reason sets the request bits before it reads `sleeping`. Both sides are
 *    sequentially consistent, so one of them sees the other. Sleepers are woken under their lock,
 *    runners are kicked through the accelerator.
 *  - A thread that waits for another vCPU (cpu_run_on, cpu_exclusive) counts as outside of units
 *    and serves its own work meanwhile, so two vCPUs may wait for each other.
 *  - Standing vCPUs serve work.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/accel.h"
#include "core/cpu-internal.h"
#include "core/device-internal.h"
#include "core/vm.h"
#include "util/rcu.h"

struct RunControl {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* a CPU stands, left its unit, or a section ended */
    const Cpu *exclusive;       /* in a stop-the-world section */
    unsigned running;           /* CPUs in accel->run() */
};

typedef struct CpuWork {
    struct CpuWork *next;
    void (*fn)(Cpu *, void *);
    void *data;
    /* cpu_run_on: who waits. */
    bool waited, done;
    pthread_mutex_t *lock;
    pthread_cond_t *cond;
} CpuWork;

static __thread Cpu *self;

Cpu *cpu_current(void)
{
    return self;
}

bool cpu_is_secure(void)
{
    return self && self->memory != self->vm->memory;
}

struct RunControl *run_control_new(void)
{
    struct RunControl *r = g_new0(struct RunControl, 1);

    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    return r;
}

void run_control_free(struct RunControl *r)
{
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    g_free(r);
}

static const AccelType *accel_type(const Cpu *cpu)
{
    return accel_of(cpu->vm);
}

/* ---- requests ---- */

static void wake(Cpu *cpu)
{
    pthread_mutex_lock(&cpu->work_lock);
    pthread_cond_broadcast(&cpu->wake);
    pthread_mutex_unlock(&cpu->work_lock);
}

void cpu_request(Cpu *cpu, uint32_t bits)
{
    __atomic_or_fetch(&cpu->req, bits, __ATOMIC_SEQ_CST);
    if (cpu == self) {
        return;
    }
    if (__atomic_load_n(&cpu->sleeping, __ATOMIC_SEQ_CST)) {
        wake(cpu);
    } else if (cpu->vm->accel && accel_type(cpu)->kick) {
        accel_type(cpu)->kick(cpu->vm->accel, cpu);
    }
}

void cpu_exit(Cpu *cpu)
{
    g_assert(cpu->can_exit);
    siglongjmp(cpu->exit_env, 1);
}

void cpu_halt(Cpu *cpu)
{
    __atomic_store_n(&cpu->halted, true, __ATOMIC_SEQ_CST);
}

/* ---- work ---- */

static void append(Cpu *cpu, CpuWork *w)
{
    pthread_mutex_lock(&cpu->work_lock);
    CpuWork **end = &cpu->work;
    while (*end) {
        end = &(*end)->next;
    }
    *end = w;
    pthread_mutex_unlock(&cpu->work_lock);
    cpu_request(cpu, CPU_REQ_WORK);
}

static CpuWork *take(Cpu *cpu)
{
    pthread_mutex_lock(&cpu->work_lock);
    CpuWork *w = cpu->work;
    if (w) {
        cpu->work = w->next;
    }
    pthread_mutex_unlock(&cpu->work_lock);
    return w;
}

static void run_work(Cpu *cpu, CpuWork *w)
{
    w->fn(cpu, w->data);
    if (!w->waited) {
        g_free(w);
        return;
    }
    pthread_mutex_t *lock = w->lock;
    pthread_cond_t *cond = w->cond;
    pthread_mutex_lock(lock);
    w->done = true;
    pthread_cond_broadcast(cond);
    pthread_mutex_unlock(lock);
}

static void serve(Cpu *cpu)
{
    cpu_unrequest(cpu, CPU_REQ_WORK);
    for (CpuWork *w; (w = take(cpu)) != NULL;) {
        run_work(cpu, w);
    }
}

void cpu_post(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    if (!cpu->thread) {
        fn(cpu, data);
        return;
    }
    CpuWork *w = g_new0(CpuWork, 1);
    w->fn = fn;
    w->data = data;
    append(cpu, w);
}

/* ---- inside and outside of units ---- */

static void enter_run(Cpu *cpu)
{
    struct RunControl *r = cpu->vm->run;

    pthread_mutex_lock(&r->lock);
    while (r->exclusive && r->exclusive != cpu) {
        pthread_cond_wait(&r->changed, &r->lock);
    }
    cpu->in_run = true;
    r->running++;
    pthread_mutex_unlock(&r->lock);
}

/* Whether it was inside. */
static bool leave_run(Cpu *cpu)
{
    struct RunControl *r = cpu->vm->run;

    pthread_mutex_lock(&r->lock);
    bool was = cpu->in_run;
    if (was) {
        cpu->in_run = false;
        r->running--;
        if (r->exclusive) {
            pthread_cond_broadcast(&r->changed);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return was;
}

static void run_on_from_cpu(CpuWork *w, Cpu *cpu)
{
    bool was = leave_run(self);

    w->lock = &self->work_lock;
    w->cond = &self->wake;
    append(cpu, w);
    pthread_mutex_lock(&self->work_lock);
    __atomic_store_n(&self->sleeping, true, __ATOMIC_SEQ_CST);
    while (!w->done) {
        CpuWork *mine = self->work;
        if (!mine) {
            pthread_cond_wait(&self->wake, &self->work_lock);
            continue;
        }
        self->work = mine->next;
        pthread_mutex_unlock(&self->work_lock);
        run_work(self, mine);
        pthread_mutex_lock(&self->work_lock);
    }
    __atomic_store_n(&self->sleeping, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&self->work_lock);
    if (was) {
        enter_run(self);
    }
}

void cpu_run_on(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    if (cpu == self || !cpu->thread) {
        fn(cpu, data);
        return;
    }
    CpuWork w = {.fn = fn, .data = data, .waited = true};
    if (self) {
        run_on_from_cpu(&w, cpu);
        return;
    }
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    w.lock = &lock;
    w.cond = &cond;
    append(cpu, &w);
    pthread_mutex_lock(&lock);
    while (!w.done) {
        pthread_cond_wait(&cond, &lock);
    }
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&cond);
    pthread_mutex_destroy(&lock);
}

static void kick_others(Cpu *cpu)
{
    for (unsigned i = 0; i < cpu->vm->n_cpus; i++) {
        Cpu *other = cpu->vm->cpus[i];
        if (other && other != cpu && other->in_run) {
            cpu_request(other, CPU_REQ_WORK);
        }
    }
}

void cpu_exclusive(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    struct RunControl *r = cpu->vm->run;

#ifndef NDEBUG
    g_assert(!domain_held(RANK_DEVICE));
#endif
    if (__atomic_load_n(&r->exclusive, __ATOMIC_RELAXED) == cpu) {
        fn(cpu, data);
        return;
    }
    bool was = leave_run(cpu);
    pthread_mutex_lock(&r->lock);
    while (r->exclusive) {
        pthread_cond_wait(&r->changed, &r->lock);
    }
    __atomic_store_n(&r->exclusive, cpu, __ATOMIC_RELAXED);
    kick_others(cpu);
    while (r->running) {
        pthread_cond_wait(&r->changed, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    fn(cpu, data);
    pthread_mutex_lock(&r->lock);
    __atomic_store_n(&r->exclusive, NULL, __ATOMIC_RELAXED);
    if (was) {
        cpu->in_run = true;
        r->running++;
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* ---- the thread ---- */

static bool stop_wanted(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST);
}

static bool halted(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST);
}

static bool may_run(Cpu *cpu)
{
    return !stop_wanted(cpu) && (!halted(cpu) || cpu->isa->has_work(cpu));
}

static void set_state(Cpu *cpu, CpuRunState state)
{
    struct RunControl *r = cpu->vm->run;

    if (__atomic_load_n(&cpu->state, __ATOMIC_SEQ_CST) != state) {
        pthread_mutex_lock(&r->lock);
        __atomic_store_n(&cpu->state, state, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
}

/* With -icount virtual time jumps to the next event once nobody has anything to do. */
static bool warp(Cpu *cpu)
{
    if (!clock_counts(cpu->vm)) {
        return false;           /* nor may other CPUs' registers be looked at while they run */
    }
    for (unsigned i = 0; i < cpu->vm->n_cpus; i++) {
        Cpu *c = cpu->vm->cpus[i];
        if (c && (!halted(c) || stop_wanted(c) || c->isa->has_work(c))) {
            return false;
        }
    }
    if (!clock_warp(cpu->vm)) {
        return false;
    }
    clock_run(cpu->vm, CLOCK_K_VIRTUAL);
    return true;
}

static void wait_for_reason(Cpu *cpu)
{
    bool stop = stop_wanted(cpu);
    CpuRunState state = stop ? CPU_STOPPED : CPU_HALTED;

    set_state(cpu, state);
    if (!stop && warp(cpu)) {
        return;
    }
    rcu_offline();
    pthread_mutex_lock(&cpu->work_lock);
    __atomic_store_n(&cpu->sleeping, true, __ATOMIC_SEQ_CST);
    /* Whoever resumed and paused again has reset the state and waits to see it set anew. */
    while (!cpu->work && !__atomic_load_n(&cpu->unplug, __ATOMIC_SEQ_CST) && !may_run(cpu) && stop_wanted(cpu) == stop &&
           __atomic_load_n(&cpu->state, __ATOMIC_SEQ_CST) == state) {
        pthread_cond_wait(&cpu->wake, &cpu->work_lock);
    }
    __atomic_store_n(&cpu->sleeping, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&cpu->work_lock);
    rcu_online();
}

static void run(Cpu *cpu)
{
    set_state(cpu, CPU_RUNNING);
    __atomic_store_n(&cpu->halted, false, __ATOMIC_SEQ_CST);
    enter_run(cpu);
    CpuStop why = accel_type(cpu)->run(cpu->vm->accel, cpu);
    leave_run(cpu);
    rcu_quiescent();
    if (why == CPU_STOP_HALT) {
        cpu_halt(cpu);
    } else if (why == CPU_STOP_DEBUG) {
        __atomic_store_n(&cpu->stop, true, __ATOMIC_SEQ_CST);
        vm_request_debug(cpu->vm, cpu);
    }
}

static void hurry(void *cpu)
{
    cpu_request(cpu, CPU_REQ_WORK);
}

static void *cpu_thread(void *data)
{
    Cpu *cpu = data;

    self = cpu;
    __atomic_store_n(&cpu->tid, (int)gettid(), __ATOMIC_RELAXED);
    rcu_set_kick(hurry, cpu);
    rcu_read_lock();
    for (;;) {
        serve(cpu);
        if (__atomic_load_n(&cpu->unplug, __ATOMIC_SEQ_CST)) {
            break;
        }
        if (may_run(cpu)) {
            run(cpu);
        } else {
            wait_for_reason(cpu);
        }
    }
    set_state(cpu, CPU_STOPPED);
    rcu_read_unlock();
    rcu_set_kick(NULL, NULL);
    return NULL;
}

void cpu_thread_start(Cpu *cpu)
{
    g_autofree char *name = g_strdup_printf("CPU %u/%s", cpu->index, accel_type(cpu)->accel);

    cpu->stop = true;
    cpu->thread = g_thread_new(name, cpu_thread, cpu);
}

void cpu_thread_end(Cpu *cpu)
{
    if (!cpu->thread) {
        return;
    }
    __atomic_store_n(&cpu->unplug, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu->stop, true, __ATOMIC_SEQ_CST);
    cpu_request(cpu, CPU_REQ_WORK);
    wake(cpu);
    g_thread_join(cpu->thread);
    cpu->thread = NULL;
}

void cpu_stop_self(void)
{
    if (self) {
        __atomic_store_n(&self->stop, true, __ATOMIC_SEQ_CST);
        cpu_request(self, CPU_REQ_WORK);
    }
}

void cpus_pause(Vm *vm)
{
    g_assert(!self);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        if (cpu && cpu->thread) {
            __atomic_store_n(&cpu->stop, true, __ATOMIC_SEQ_CST);
            cpu_request(cpu, CPU_REQ_WORK);
        }
    }
    pthread_mutex_lock(&vm->run->lock);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        while (cpu && cpu->thread && cpu->state != CPU_STOPPED) {
            pthread_cond_wait(&vm->run->changed, &vm->run->lock);
        }
    }
    pthread_mutex_unlock(&vm->run->lock);
}

void cpus_resume(Vm *vm)
{
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        if (cpu && cpu->thread && !cpu->hold) {
            /* The state is the controller's from here: a pause right after must not take the old
             * one for an answer. */
            pthread_mutex_lock(&vm->run->lock);
            __atomic_store_n(&cpu->state, CPU_RUNNING, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&vm->run->lock);
            __atomic_store_n(&cpu->stop, false, __ATOMIC_SEQ_CST);
            wake(cpu);
        }
    }
}
