/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU under KVM: the run loop. Linux Documentation/virt/kvm/api.rst, 5.
 *
 * Outside of kvm_run() the registers are in the Cpu struct, whoever looks at them. Inside, kvm_load()
 * moves them to the kernel and kvm_unload() back, so the engine (fallback.c), events that the engine
 * delivers and the debugger all see one truth.
 *
 * Kicks: whoever wants attention sets cpu->req, then immediate_exit, then sends the signal if the
 * thread is inside. The loop clears immediate_exit before it looks at cpu->req, so nothing is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "util/error.h"
#include "util/log.h"

#define KICK (SIGRTMIN + 3)

/* Ends KVM_RUN by arriving; a timer's also ends a slice of the engine. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    Cpu *cpu = cpu_current();

    if (cpu && info->si_code == SI_TIMER) {
        __atomic_or_fetch(&cpu->req, CPU_REQ_YIELD, __ATOMIC_SEQ_CST);
    }
}

void kvm_kick(Accel *a, Cpu *cpu)
{
    KvmCpu *c = ((Kvm *)a)->cpus[cpu->index];

    if (!c) {
        return;
    }
    __atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->slicing, __ATOMIC_SEQ_CST) && cpu->vm->n_cpus > 1) {
        /* What other vCPUs wrote under KVM must be seen before the engine takes an interrupt. */
        __atomic_or_fetch(&cpu->req, CPU_REQ_YIELD, __ATOMIC_SEQ_CST);
    }
    if (__atomic_load_n(&c->inside, __ATOMIC_SEQ_CST)) {
        syscall(SYS_tgkill, getpid(), cpu->tid, KICK);
    }
}

/* ---- life ---- */

static bool make_timer(KvmCpu *c)
{
    struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK};

    e._sigev_un._tid = (int)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &e, &c->timer) == 0;
}

static bool map_ring(KvmCpu *c, GError **error)
{
    Kvm *k = c->kvm;
    size_t bytes = k->ring_size * sizeof(struct kvm_dirty_gfn);

    if (!bytes) {
        return true;
    }
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd,
                    (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize());
    if (at == MAP_FAILED) {
        return error_set_errno(error, errno, "the dirty ring of CPU %u", c->cpu->index);
    }
    c->ring = at;
    return true;
}

/* The kernel never lets a virtual CPU go: what there is of one that was unplugged serves the next that has
 * its number. */
typedef struct Parked {
    int fd;
    uint32_t ring_next;
    GBytes *kept;
} Parked;

void kvm_parked_free(void *data)
{
    Parked *p = data;

    close(p->fd);
    g_bytes_unref(p->kept);
    g_free(p);
}

static void park(KvmCpu *c)
{
    Parked *p = g_new(Parked, 1);

    *p = (Parked){c->fd, c->ring_next, g_steal_pointer(&c->kept)};
    g_hash_table_insert(c->kvm->parked, GSIZE_TO_POINTER(kvm_arch_cpu_id(c->cpu)), p);
}

static void make_vcpu(KvmCpu *c)
{
    unsigned long number = kvm_arch_cpu_id(c->cpu);
    void *stays;

    if (g_hash_table_steal_extended(c->kvm->parked, GSIZE_TO_POINTER(number), NULL, &stays)) {
        g_autofree Parked *p = stays;
        trace(again, "cpu %u: the kernel's %lu", c->cpu->index, number);
        c->fd = p->fd;
        c->ring_next = p->ring_next;
        c->kept = p->kept;
        return;
    }
    c->fd = kvm_ioctl(c->kvm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)number);
}

bool kvm_cpu_init(Accel *a, Cpu *cpu, GError **error)
{
    Kvm *k = (Kvm *)a;
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    sigaction(KICK, &act, NULL);
    if (!k->engine_type->cpu_init(k->engine, cpu, error)) {
        return false;
    }
    KvmCpu *c = g_new0(KvmCpu, 1);
    k->cpus[cpu->index] = c;
    c->kvm = k;
    c->cpu = cpu;
    make_vcpu(c);
    if (c->fd < 0) {
        return error_set_errno(error, errno, "the kernel makes no virtual CPU %u", cpu->index);
    }
    c->run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (c->run == MAP_FAILED) {
        c->run = NULL;
        return error_set_errno(error, errno, "the shared page of CPU %u", cpu->index);
    }
    return map_ring(c, error) && kvm_arch_cpu_init(c, error);
}

void kvm_cpu_finish(Accel *a, Cpu *cpu)
{
    Kvm *k = (Kvm *)a;
    KvmCpu *c = k->cpus[cpu->index];

    if (c) {
        k->cpus[cpu->index] = NULL;
        if (c->timer) {
            timer_delete(c->timer);
        }
        if (c->ring) {
            munmap(c->ring, k->ring_size * sizeof(struct kvm_dirty_gfn));
        }
        kvm_arch_cpu_finish(c);
        if (c->run) {
            munmap(c->run, k->run_size);
        }
        if (c->fd >= 0) {
            park(c);
        }
        g_clear_pointer(&c->kept, g_bytes_unref);
        g_free(c);
    }
    k->engine_type->cpu_finish(k->engine, cpu);
}

/* ---- registers ---- */

static bool failed(KvmCpu *c, const char *what)
{
    g_printerr("kvm: CPU %u: %s: %s\n", c->cpu->index, what, g_strerror(errno));
    vm_request_stop(c->cpu->vm, RUN_INTERNAL_ERROR);
    return false;
}

bool kvm_load(KvmCpu *c)
{
    if (c->loaded) {
        return true;
    }
    c->n.moves++;
    c->loaded = true;
    c->window = false;
    return kvm_arch_put(c) || failed(c, "the kernel refuses the registers");
}

/* An access that the kernel waits for is part of an instruction: it is finished first. */
static void finish_io(KvmCpu *c);

bool kvm_unload(KvmCpu *c)
{
    if (!c->loaded) {
        return true;
    }
    finish_io(c);
    c->loaded = false;
    return kvm_arch_get(c) || failed(c, "the kernel does not give the registers");
}

/* ---- exits ---- */

static void port_io(KvmCpu *c)
{
    struct kvm_run *run = c->run;
    uint8_t *at = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;

    c->n.io++;
    for (unsigned i = 0; i < run->io.count; i++, at += size) {
        uint64_t v = 0;
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&v, at, size);
            as_store(c->cpu->io, run->io.port, size, v);
        } else {
            if (!as_load(c->cpu->io, run->io.port, size, &v)) {
                v = UINT64_MAX;
            }
            memcpy(at, &v, size);
        }
    }
}

static void memory_io(KvmCpu *c)
{
    struct kvm_run *run = c->run;
    uint64_t pa = run->mmio.phys_addr, v = 0;
    unsigned n = run->mmio.len;
    bool whole = n == 1 || n == 2 || n == 4 || n == 8;

    c->n.mmio++;
    if (run->mmio.is_write) {
        if (whole) {
            memcpy(&v, run->mmio.data, n);
            as_store(c->cpu->memory, pa, n, v);
        } else {
            as_write(c->cpu->memory, pa, run->mmio.data, n);
        }
        return;
    }
    if (!whole) {
        as_read(c->cpu->memory, pa, run->mmio.data, n);
        return;
    }
    if (!as_load(c->cpu->memory, pa, n, &v)) {
        v = UINT64_MAX;
    }
    memcpy(run->mmio.data, &v, n);
}

static bool accesses(KvmCpu *c)
{
    switch (c->run->exit_reason) {
    case KVM_EXIT_IO:
        port_io(c);
        return true;
    case KVM_EXIT_MMIO:
        memory_io(c);
        return true;
    default:
        return false;
    }
}

static void finish_io(KvmCpu *c)
{
    while (c->unfinished) {
        c->unfinished = false;
        c->run->immediate_exit = 1;
        if (ioctl(c->fd, KVM_RUN, 0) == 0) {
            c->unfinished = accesses(c) || kvm_arch_exit(c);
        }
    }
}

static const char *internal_error(const KvmCpu *c)
{
    switch (c->run->internal.suberror) {
    case KVM_INTERNAL_ERROR_EMULATION: return "an instruction that the kernel cannot emulate";
    case KVM_INTERNAL_ERROR_SIMUL_EX: return "two exceptions at a time";
    case KVM_INTERNAL_ERROR_DELIVERY_EV: return "an exit while an event was delivered";
    default: return "an unexpected exit of the processor";
    }
}

static KvmAfter stop_broken(KvmCpu *c, const char *why)
{
    g_autoptr(GString) text = g_string_new(NULL);

    kvm_unload(c);
    c->cpu->isa->dump(c->cpu, CPU_DUMP_ALL, text);
    g_printerr("kvm: CPU %u stops: %s\n%s", c->cpu->index, why, text->str);
    vm_request_stop(c->cpu->vm, RUN_INTERNAL_ERROR);
    return KVM_AGAIN;           /* the request is served next */
}

static KvmAfter handle(KvmCpu *c, CpuStop *why)
{
    struct kvm_run *run = c->run;

    if (accesses(c)) {
        c->unfinished = true;
        return KVM_AGAIN;
    }
    switch (run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return KVM_AGAIN;
    case KVM_EXIT_HLT:
        *why = CPU_STOP_HALT;
        return KVM_LEAVE;
    case KVM_EXIT_SHUTDOWN:
        vm_request_reset(c->cpu->vm, CAUSE_GUEST_RESET);
        return KVM_AGAIN;
    case KVM_EXIT_DEBUG:
        if (kvm_arch_debug_stop(c)) {
            *why = CPU_STOP_DEBUG;
            return KVM_LEAVE;
        }
        return KVM_AGAIN;
    case KVM_EXIT_DIRTY_RING_FULL:
        kvm_log_collect(c->kvm);
        return KVM_AGAIN;
    case KVM_EXIT_INTERNAL_ERROR:
        if (c->kvm->fallback && run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
            if (!kvm_unload(c)) {
                return KVM_AGAIN;
            }
            const char *not = kvm_arch_movable(c);
            return not ? stop_broken(c, not) : kvm_fallback(c, why);
        }
        return stop_broken(c, internal_error(c));
    case KVM_EXIT_FAIL_ENTRY: {
        g_autofree char *text = g_strdup_printf(
            "the processor refuses to enter the guest (0x%" PRIx64 ")",
            (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        return stop_broken(c, text);
    }
    default:
        if (!kvm_arch_exit(c)) {
            g_autofree char *text = g_strdup_printf("unknown exit %u", run->exit_reason);
            return stop_broken(c, text);
        }
        c->unfinished = true;
        return KVM_AGAIN;
    }
}

/* ---- the loop ---- */

/* What was asked for since. True: leave. */
static bool serve(KvmCpu *c, CpuStop *why)
{
    Cpu *cpu = c->cpu;
    uint32_t req = __atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST);

    *why = CPU_STOP_NONE;
    if (req & CPU_REQ_FLUSH) {
        softmmu_poll(cpu);
    }
    cpu_unrequest(cpu, CPU_REQ_DEBUG | CPU_REQ_YIELD);
    return req & CPU_REQ_WORK;
}

/* The engine runs the machine, or something that only it can do is wanted. */
static bool engine_wanted(KvmCpu *c)
{
    Cpu *cpu = c->cpu;

    if (__atomic_load_n(&c->kvm->handed_over, __ATOMIC_RELAXED)) {
        return true;
    }
    bool debugged = cpu->singlestep || cpu->breakpoints->len || cpu->watchpoints->len;
    if (G_LIKELY(!debugged && !c->guest_debug)) {
        return false;
    }
    return !kvm_arch_debug(c);
}

static KvmAfter enter(KvmCpu *c, CpuStop *why)
{
    if (!kvm_load(c)) {
        return KVM_AGAIN;
    }
    cpu_unrequest(c->cpu, CPU_REQ_IRQ);
    kvm_arch_before(c);
    c->n.runs++;
    int r = ioctl(c->fd, KVM_RUN, 0);
    int failure = errno;
    __atomic_store_n(&c->inside, false, __ATOMIC_SEQ_CST);
    c->unfinished = false;
    kvm_arch_after(c);
    if (c->kvm->zones->len) {
        kvm_gathered(c->kvm);
    }
    if (r == 0) {
        return handle(c, why);
    }
    if (failure == EINTR || failure == EAGAIN) {
        return KVM_AGAIN;
    }
    errno = failure;
    g_autofree char *text = g_strdup_printf("KVM_RUN: %s", g_strerror(failure));
    return stop_broken(c, text);
}

static CpuStop whole_engine(KvmCpu *c)
{
    kvm_unload(c);
    kvm_log_collect(c->kvm);
    return c->kvm->engine_type->run(c->kvm->engine, c->cpu);
}

static KvmAfter once(KvmCpu *c, CpuStop *why)
{
    __atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&c->inside, true, __ATOMIC_SEQ_CST);
    if (serve(c, why)) {
        return KVM_LEAVE;
    }
    if (G_UNLIKELY(engine_wanted(c))) {
        __atomic_store_n(&c->inside, false, __ATOMIC_SEQ_CST);
        *why = whole_engine(c);
        return KVM_LEAVE;
    }
    int64_t engine = kvm_arch_engine_only(c);
    if (G_UNLIKELY(engine || __atomic_load_n(&c->cpu->req, __ATOMIC_SEQ_CST) & kvm_arch_events())) {
        __atomic_store_n(&c->inside, false, __ATOMIC_SEQ_CST);
        return kvm_unload(c) ? kvm_slice(c, engine, why) : KVM_AGAIN;
    }
    return enter(c, why);
}

CpuStop kvm_run(Accel *a, Cpu *cpu)
{
    KvmCpu *c = kvm_cpu(cpu);
    CpuStop why;

    if (!c->timer && !make_timer(c)) {
        failed(c, "a timer");
        return CPU_STOP_NONE;
    }
    while (once(c, &why) == KVM_AGAIN) {
    }
    __atomic_store_n(&c->inside, false, __ATOMIC_SEQ_CST);
    kvm_unload(c);
    return why;
}
