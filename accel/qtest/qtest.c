/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -accel qtest: no CPU ever runs, and virtual time moves only when a test says so (-qtest, clock_step).
 * The rest of the machine is as always.
 */
#include "core/accel.h"
#include "core/cpu.h"
#include "core/vm.h"
#include "util/rcu.h"

typedef struct Qtest {
    Accel accel;
    GMutex lock;
    GCond kicked;
} Qtest;

static bool start(Accel *a, Vm *vm, GError **error)
{
    int64_t wall = wall_clock_ns(vm) / 1000000000;

    clock_own(vm);
    clock_set_rtc(vm, CLOCK_K_HOST, wall);
    return true;
}

static bool cpu_init(Accel *a, Cpu *cpu, GError **error) { return true; }
static void cpu_finish(Accel *a, Cpu *cpu) {}

static CpuStop run(Accel *a, Cpu *cpu)
{
    Qtest *q = (Qtest *)a;

    rcu_offline();
    g_mutex_lock(&q->lock);
    while (!(__atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST) & CPU_REQ_WORK)) {
        g_cond_wait(&q->kicked, &q->lock);
    }
    g_mutex_unlock(&q->lock);
    rcu_online();
    return CPU_STOP_NONE;
}

static void kick(Accel *a, Cpu *cpu)
{
    Qtest *q = (Qtest *)a;

    g_mutex_lock(&q->lock);
    g_cond_broadcast(&q->kicked);
    g_mutex_unlock(&q->lock);
}

static void init(Object *o)
{
    g_mutex_init(&((Qtest *)o)->lock);
    g_cond_init(&((Qtest *)o)->kicked);
}

static void finish(Object *o)
{
    g_mutex_clear(&((Qtest *)o)->lock);
    g_cond_clear(&((Qtest *)o)->kicked);
}

static const AccelType qtest_accel = {
    .name = "qtest-accel", .parent = "accel", .desc = "Runs no CPU: for tests of devices",
    .size = sizeof(Qtest), .init = init, .finish = finish, .accel = "qtest", .start = start,
    .cpu_init = cpu_init, .cpu_finish = cpu_finish, .run = run, .kick = kick,
};
OBJECT_TYPE(qtest_accel);
