/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vCPU threads with an engine and an architecture of their own, of clocks and of the Vm. */
#include <string.h>

#include "core/accel.h"
#include "core/testing.h"
#include "util/error.h"

/* ---- an architecture without instructions: a unit is a turn of a loop ---- */

typedef struct TestCpu {
    Cpu cpu;
    uint64_t turns;
    unsigned pending;           /* interrupts to take; atomic */
    unsigned taken;
    void (*each)(struct TestCpu *c);    /* a helper that each unit calls */
    void *opaque;
    uint32_t features;
    uint64_t number;
    unsigned resets;
} TestCpu;

static bool has_work(Cpu *cpu)
{
    return __atomic_load_n(&((TestCpu *)cpu)->pending, __ATOMIC_SEQ_CST) != 0;
}

static void reset_cpu(Cpu *cpu)
{
    ((TestCpu *)cpu)->resets++;
    cpu->pc = 0x1000;
}

static const GuestIsa test_isa = {
    .name = "test", .cpu_suffix = "test-cpu", .has_work = has_work, .reset = reset_cpu,
};
ISA(test_isa);

static const Field cpu_fields[] = {
    PROP(TestCpu, features, "sse4.2", PROP_BIT, .bit = 1),
    PROP(TestCpu, features, "long-name", PROP_BIT, .bit = 2, .init = 1),
    PROP(TestCpu, number, "number", PROP_U64),
    HOST(TestCpu, turns), HOST(TestCpu, pending), HOST(TestCpu, taken), HOST(TestCpu, each),
    HOST(TestCpu, opaque), HOST(TestCpu, resets),
};
static const DeviceType test_cpu = {
    .name = "base-test-cpu", .parent = "cpu", .size = sizeof(TestCpu), .category = DEVICE_CPU,
    FIELDS(cpu_fields),
};
DEVICE_TYPE(test_cpu);

static CpuStop run(Accel *a, Cpu *cpu)
{
    TestCpu *c = (TestCpu *)cpu;
    uint32_t req;

    while (!((req = __atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST)) & CPU_REQ_WORK)) {
        if (req & CPU_REQ_IRQ) {
            cpu_unrequest(cpu, CPU_REQ_IRQ);
            while (has_work(cpu)) {
                __atomic_sub_fetch(&c->pending, 1, __ATOMIC_SEQ_CST);
                __atomic_add_fetch(&c->taken, 1, __ATOMIC_SEQ_CST);
            }
        }
        __atomic_add_fetch(&c->turns, 1, __ATOMIC_RELAXED);
        if (c->each) {
            c->each(c);
        }
        if (__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST)) {
            return CPU_STOP_HALT;
        }
        if (cpu->singlestep) {
            return CPU_STOP_DEBUG;
        }
    }
    return CPU_STOP_NONE;
}

static const AccelType test_accel = {
    .name = "test-accel", .size = sizeof(Accel), .accel = "test", .run = run,
};
OBJECT_TYPE(test_accel);

enum { N = 3 };

static TestDevice *machine(void (*each)(TestCpu *), void *opaque)
{
    TestDevice *t = test_machine();
    g_autoptr(GError) error = NULL;

    g_assert_true(accel_start(t->vm, accel_find("test", &error), NULL, &error));
    for (unsigned i = 0; i < N; i++) {
        Cpu *cpu = cpu_new(t->vm, isa_find("test"), "base", i, &error);
        g_assert_no_error(error);
        ((TestCpu *)cpu)->each = each;
        ((TestCpu *)cpu)->opaque = opaque;
    }
    return t;
}

static TestCpu *cpu(TestDevice *t, unsigned i)
{
    return (TestCpu *)t->vm->cpus[i];
}

static uint64_t turns(TestDevice *t, unsigned i)
{
    return __atomic_load_n(&cpu(t, i)->turns, __ATOMIC_RELAXED);
}

static void pause_resume(void)
{
    g_autoptr(TestDevice) t = machine(NULL, NULL);

    g_assert_cmpuint(turns(t, 0), ==, 0);
    for (unsigned round = 0; round < 200; round++) {
        vm_start(t->vm);
        if (round % 10 == 0) {
            uint64_t before = turns(t, N - 1);
            while (turns(t, N - 1) == before) {
                g_usleep(10);
            }
        }
        vm_stop(t->vm, RUN_PAUSED);
        uint64_t sum = turns(t, 0) + turns(t, 1) + turns(t, 2);
        if (round % 50 == 0) {
            g_usleep(1000);
        }
        g_assert_cmpuint(turns(t, 0) + turns(t, 1) + turns(t, 2), ==, sum);
    }
}

static void halt(TestCpu *c)
{
    cpu_halt(&c->cpu);
}

/* Interrupts to halted CPUs: none is lost. */
static void wake_ups(void)
{
    g_autoptr(TestDevice) t = machine(halt, NULL);
    const unsigned rounds = 20000;

    vm_start(t->vm);
    for (unsigned i = 0; i < rounds; i++) {
        TestCpu *c = cpu(t, i % N);
        __atomic_add_fetch(&c->pending, 1, __ATOMIC_SEQ_CST);
        cpu_request(&c->cpu, CPU_REQ_IRQ);
        if (i % 7 == 0) {       /* each must arrive without the next one's help */
            while (has_work(&c->cpu)) {
                g_thread_yield();
            }
        }
    }
    for (unsigned i = 0; i < N; i++) {
        while (has_work(&cpu(t, i)->cpu)) {
            g_thread_yield();
        }
    }
    vm_stop(t->vm, RUN_PAUSED);
    g_assert_cmpuint(cpu(t, 0)->taken + cpu(t, 1)->taken + cpu(t, 2)->taken, ==, rounds);
}

static void add_one(Cpu *c, void *data)
{
    g_assert_true(cpu_current() == c);
    ++*(unsigned *)data;
}

static void work(void)
{
    g_autoptr(TestDevice) t = machine(NULL, NULL);
    unsigned count[N] = {0};

    /* Standing CPUs serve it, too. */
    for (unsigned running = 0; running < 2; running++) {
        for (unsigned i = 0; i < 3000; i++) {
            cpu_post(&cpu(t, i % N)->cpu, add_one, &count[i % N]);
        }
        for (unsigned i = 0; i < N; i++) {
            cpu_run_on(&cpu(t, i)->cpu, add_one, &count[i]);
            g_assert_cmpuint(count[i], ==, 1001 * (running + 1));
        }
        vm_start(t->vm);
    }
}

/* All CPUs run work on each other and stop the world, at once. */
typedef struct Storm {
    unsigned done, inside, sections;
    bool overlap;
} Storm;

static void nothing(Cpu *c, void *data)
{
}

static void section(Cpu *c, void *data)
{
    Storm *s = data;

    if (__atomic_add_fetch(&s->inside, 1, __ATOMIC_SEQ_CST) != 1) {
        __atomic_store_n(&s->overlap, true, __ATOMIC_SEQ_CST);
    }
    for (unsigned i = 0; i < c->vm->n_cpus; i++) {
        if (c->vm->cpus[i] != c && __atomic_load_n(&c->vm->cpus[i]->in_run, __ATOMIC_SEQ_CST)) {
            s->overlap = true;
        }
    }
    s->sections++;
    __atomic_sub_fetch(&s->inside, 1, __ATOMIC_SEQ_CST);
}

static void storm_unit(TestCpu *c)
{
    Storm *s = c->opaque;
    Cpu *next = c->cpu.vm->cpus[(c->cpu.index + 1) % N];

    cpu_run_on(next, nothing, NULL);
    if (c->turns % 3 == 0) {
        cpu_exclusive(&c->cpu, section, s);
    }
    __atomic_add_fetch(&s->done, 1, __ATOMIC_SEQ_CST);
}

static void storm(void)
{
    Storm s = {0};
    g_autoptr(TestDevice) t = machine(storm_unit, &s);

    for (unsigned round = 1; round <= 10; round++) {
        vm_start(t->vm);
        while (__atomic_load_n(&s.done, __ATOMIC_SEQ_CST) < 300 * round) {
            g_usleep(50);
        }
        vm_stop(t->vm, RUN_PAUSED);
    }
    g_assert_false(s.overlap);
    g_assert_cmpuint(s.sections, >, 500);
}

static void models(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;

    g_assert_true(accel_start(t->vm, accel_find("test", NULL), NULL, &error));
    g_assert_null(accel_find("tets", &error));
    g_assert_nonnull(strstr(error->message, "invalid accelerator tets; did you mean 'test'"));
    g_clear_error(&error);
    Cpu *c = cpu_new(t->vm, &test_isa, "base,+sse4.2,-long_name,number=0x10", 0, &error);
    g_assert_no_error(error);
    g_assert_cmphex(((TestCpu *)c)->features, ==, 2);
    g_assert_cmphex(((TestCpu *)c)->number, ==, 16);
    g_assert_cmphex(c->pc, ==, 0x1000);
    g_autofree char *path = object_path(&c->dev.object);
    g_assert_cmpstr(path, ==, "/machine/unattached/device[0]");
    g_assert_null(cpu_new(t->vm, &test_isa, "bass", 1, &error));
    g_assert_cmpstr(error->message, ==, "unable to find CPU model 'bass'; did you mean 'base'?");
    g_clear_error(&error);
    g_assert_null(cpu_new(t->vm, &test_isa, "base,+sse4.1", 1, &error));
    g_assert_nonnull(strstr(error->message, "did you mean 'sse4.2'"));
}

/* ---- run states ---- */

static unsigned events[VM_EVENT_WAKEUP + 1];
static ShutdownCause last_cause;

static void listen(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    events[event]++;
    last_cause = cause;
}

static void ask_reset(TestCpu *c)
{
    if (c->cpu.index == 1 && c->turns == 5) {
        vm_request_reset(c->cpu.vm, CAUSE_GUEST_RESET);
    }
}

static void requests(void)
{
    g_autoptr(TestDevice) t = machine(ask_reset, NULL);

    memset(events, 0, sizeof(events));
    for (VmEvent e = 0; e <= VM_EVENT_WAKEUP; e++) {
        vm_listen(t->vm, e, listen, NULL);
    }
    g_assert_cmpstr(run_state_name(t->vm->state), ==, "prelaunch");
    vm_start(t->vm);
    while (!events[VM_EVENT_RESET]) {
        loop_step(t->loop, true);
    }
    g_assert_cmpint(last_cause, ==, CAUSE_GUEST_RESET);
    g_assert_cmpuint(cpu(t, 0)->resets, ==, 2);
    g_assert_true(vm_is_running(t->vm));
    vm_stop(t->vm, RUN_PAUSED);
    cpu(t, 2)->cpu.singlestep = true;
    vm_start(t->vm);
    while (t->vm->state != RUN_DEBUG) {
        loop_step(t->loop, true);
    }
    g_assert_true(t->vm->debug_cpu == t->vm->cpus[2]);
    vm_request_powerdown(t->vm);
    vm_request_shutdown(t->vm, CAUSE_GUEST_SHUTDOWN, 3);
    loop_run(t->loop);          /* quits by itself */
    g_assert_cmpuint(events[VM_EVENT_POWERDOWN] + events[VM_EVENT_SHUTDOWN], ==, 2);
    g_assert_cmpint(t->vm->exit_code, ==, 3);
}

static void two_machines(void)
{
    g_autoptr(TestDevice) a = machine(NULL, NULL);
    g_autoptr(TestDevice) b = machine(halt, NULL);

    vm_start(a->vm);
    vm_start(b->vm);
}

/* ---- clocks ---- */

typedef struct Tick {
    Timer timer;
    Vm *vm;
    int64_t fired_at;
    unsigned fired;
} Tick;

static void tick(void *opaque)
{
    Tick *k = opaque;

    k->fired_at = clock_ns(k->vm, k->timer.kind);
    k->fired++;
}

static void owned_clock(void)
{
    g_autoptr(TestDevice) t = test_machine();
    Tick k[100];
    GRand *rand = g_rand_new_with_seed(7);

    for (unsigned i = 0; i < G_N_ELEMENTS(k); i++) {
        k[i] = (Tick){.vm = t->vm};
        timer_init(&k[i].timer, t->vm, CLOCK_K_VIRTUAL, tick, &k[i], NULL);
        timer_arm(&k[i].timer, g_rand_int_range(rand, 0, 1000));
        timer_arm(&k[i].timer, 10 + 7 * (int)i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(k); i += 3) {
        timer_cancel(&k[i].timer);
    }
    clock_step(t->vm, 2000);
    for (unsigned i = 0; i < G_N_ELEMENTS(k); i++) {
        g_assert_cmpuint(k[i].fired, ==, i % 3 ? 1 : 0);
        g_assert_cmpint(k[i].fired_at, ==, i % 3 ? 10 + 7 * (int)i : 0);
        g_assert_false(timer_armed(&k[i].timer));
    }
    clock_set_rtc(t->vm, CLOCK_K_HOST, 1000);
    clock_step(t->vm, 5000000000);
    g_assert_cmpint(wall_clock_ns(t->vm) / 1000000000, ==, 1005);
    g_rand_free(rand);
}

static void host_clock(void)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    Tick v = {.vm = vm}, r = {.vm = vm}, h = {.vm = vm};

    timer_init(&v.timer, vm, CLOCK_K_VIRTUAL, tick, &v, NULL);
    timer_init(&r.timer, vm, CLOCK_K_REALTIME, tick, &r, NULL);
    timer_init(&h.timer, vm, CLOCK_K_HOST, tick, &h, NULL);
    g_assert_cmpint(clock_ns(vm, CLOCK_K_VIRTUAL), ==, 0);
    timer_arm(&v.timer, 2000000);
    timer_arm(&r.timer, clock_ns(vm, CLOCK_K_REALTIME) + 3000000);
    timer_arm(&h.timer, clock_ns(vm, CLOCK_K_HOST) + 1000000);
    while (!r.fired || !h.fired) {
        loop_step(loop, true);
    }
    g_assert_cmpuint(v.fired, ==, 0);       /* virtual time stands */
    clock_start(vm);
    while (!v.fired) {
        loop_step(loop, true);
    }
    g_assert_cmpint(v.fired_at, >=, 2000000);
    clock_stop(vm);
    int64_t stood = clock_ns(vm, CLOCK_K_VIRTUAL);
    g_usleep(1000);
    g_assert_cmpint(clock_ns(vm, CLOCK_K_VIRTUAL), ==, stood);
    vm_free(vm);
    loop_free(loop);
}

static int64_t insns;

static int64_t count_now(Vm *vm, void *opaque)
{
    return __atomic_load_n(&insns, __ATOMIC_SEQ_CST);
}

/* Halted CPUs under -icount: time jumps from event to event. */
static void icount(void)
{
    g_autoptr(TestDevice) t = machine(halt, NULL);
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    Tick k = {.vm = vm};

    clock_icount(vm, count_now, NULL, NULL);
    timer_init(&k.timer, vm, CLOCK_K_VIRTUAL, tick, &k, NULL);
    timer_arm(&k.timer, 1000);
    g_assert_cmpint(clock_deadline(vm, CLOCK_K_VIRTUAL), ==, 1000);
    insns = 999;
    g_assert_false(clock_run(vm, CLOCK_K_VIRTUAL));
    insns = 1000;
    g_assert_true(clock_run(vm, CLOCK_K_VIRTUAL));
    timer_arm(&k.timer, 500000);
    g_assert_true(clock_warp(vm));
    g_assert_cmpint(clock_ns(vm, CLOCK_K_VIRTUAL), ==, 500000);
    g_assert_true(clock_run(vm, CLOCK_K_VIRTUAL));
    g_assert_cmpuint(k.fired, ==, 2);
    g_assert_false(clock_warp(vm));
    vm_free(vm);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/owned", owned_clock);
    g_test_add_func("/clock/host", host_clock);
    g_test_add_func("/clock/icount", icount);
    g_test_add_func("/cpu/models", models);
    g_test_add_func("/cpu/pause", pause_resume);
    g_test_add_func("/cpu/wake-ups", wake_ups);
    g_test_add_func("/cpu/work", work);
    g_test_add_func("/cpu/storm", storm);
    g_test_add_func("/vm/requests", requests);
    g_test_add_func("/vm/two", two_machines);
    return g_test_run();
}
