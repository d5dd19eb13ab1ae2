/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel cannot emulate, Myna's own engine executes.
 *
 * The instruction that failed is interpreted alone, so that it can be counted and named. Code that has
 * one such instruction often has more, and each hand-over costs the time of hundreds of instructions, so
 * the engine then goes on for a slice of time. Slices grow while the kernel fails again soon (within a
 * millisecond or the length of the slice; on a host that is a guest itself, where the kernel may emulate
 * every instruction, within a hundred) and halve when it ran longer: a guest whose every page fails
 * spends its time in the engine, a guest with one odd instruction leaves it at once.
 *
 * The engine's translations are void where vCPUs wrote under KVM: before each slice the dirty log tells
 * which pages those are. Shadow copies of page tables are the kernel's counterpart.
 */
#include <inttypes.h>
#include <time.h>

#include "accel/kvm/kvm.h"
#include "util/error.h"
#include "util/log.h"

enum { SHORTEST = 20000 };      /* ns: less is not worth a hand-over */

bool kvm_engine_init(Kvm *k, GError **error)
{
    k->engine_type = accel_find("tcg", error);
    if (!k->engine_type) {
        return false;
    }
    k->engine = (Accel *)object_new(k->accel.vm, (const ObjectType *)k->engine_type);
    k->engine->vm = k->accel.vm;
    return object_complete(&k->engine->object, error) &&
           k->engine_type->start(k->engine, k->accel.vm, error);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void arm(KvmCpu *c, int64_t ns)
{
    struct itimerspec t = {.it_value = {ns / 1000000000, ns % 1000000000}};

    timer_settime(c->timer, 0, &t, NULL);
}

/* A CPU that halts as it is asked to yield leaves for the latter; the kernel would run on behind its hlt. */
static KvmAfter after(const KvmCpu *c, CpuStop stop, CpuStop *why)
{
    if (stop == CPU_STOP_NONE && __atomic_load_n(&c->cpu->halted, __ATOMIC_SEQ_CST)) {
        stop = CPU_STOP_HALT;
    }
    *why = stop;
    return stop == CPU_STOP_NONE ? KVM_AGAIN : KVM_LEAVE;
}

KvmAfter kvm_slice(KvmCpu *c, int64_t ns, CpuStop *why)
{
    Kvm *k = c->kvm;
    int64_t begin = now();

    kvm_log(k, true);
    kvm_log_collect(k);
    __atomic_store_n(&c->slicing, true, __ATOMIC_SEQ_CST);
    arm(c, MAX(ns, SHORTEST));
    CpuStop stop = k->engine_type->run(k->engine, c->cpu);
    arm(c, 0);
    __atomic_store_n(&c->slicing, false, __ATOMIC_SEQ_CST);
    cpu_unrequest(c->cpu, CPU_REQ_YIELD);
    kvm_forget_shadows(k);
    c->n.slices++;
    c->entered = now();
    c->n.slice_ns += (uint64_t)(c->entered - begin);
    return after(c, stop, why);
}

/* Names the instruction at the program counter. */
static const char *name(Cpu *cpu, GString *text)
{
    uint8_t bytes[16];
    unsigned n = sizeof(bytes);

    while (n && !cpu_debug_access(cpu, cpu->pc, bytes, n, false)) {
        n--;
    }
    if (!n || !cpu->isa->disassemble || !cpu->isa->disassemble(cpu, bytes, n, cpu->pc, text)) {
        g_string_assign(text, "?");
    }
    return text->str;
}

/* One instruction, without interrupts. */
static CpuStop step(KvmCpu *c)
{
    Kvm *k = c->kvm;
    Cpu *cpu = c->cpu;
    bool stepping = cpu->singlestep;

    cpu->singlestep = true;
    CpuStop stop = k->engine_type->run(k->engine, cpu);
    cpu->singlestep = stepping;
    c->n.stepped++;
    return stop == CPU_STOP_DEBUG && !stepping ? CPU_STOP_NONE : stop;
}

static void adapt(KvmCpu *c)
{
    int64_t in_kernel = now() - c->entered, longest = (int64_t)c->kvm->slice_us * 1000;
    int64_t soon = c->kvm->slow_host ? 5000 * SHORTEST : 50 * SHORTEST;

    if (in_kernel < MAX(c->slice_ns, soon)) {
        c->slice_ns = c->slice_ns ? c->slice_ns * 4 : SHORTEST;
    } else {
        c->slice_ns /= 2;
    }
    c->slice_ns = c->slice_ns < SHORTEST ? 0 : MIN(c->slice_ns, longest);
}

/* Interrupts that the kernel's chips hold do not reach the engine, so it must not stay. */
static bool kernel_chips(const KvmCpu *c) { return c->kvm->irqchip != KVM_IRQCHIP_OFF; }

KvmAfter kvm_fallback(KvmCpu *c, CpuStop *why)
{
    g_autoptr(GString) text = g_string_new(NULL);

    c->n.failures++;
    adapt(c);
    trace(fallback, "cpu %u at 0x%" PRIx64 ": %s", c->cpu->index, c->cpu->pc, name(c->cpu, text));
    kvm_log_collect(c->kvm);
    KvmAfter then = after(c, step(c), why);
    c->entered = now();
    if (then == KVM_LEAVE || !c->slice_ns || kernel_chips(c)) {
        kvm_forget_shadows(c->kvm);
        return then;
    }
    return kvm_slice(c, c->slice_ns, why);
}
