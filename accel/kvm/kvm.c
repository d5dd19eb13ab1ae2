/* SPDX-License-Identifier: Apache-2.0 */
/* The accelerator `kvm`: the machine's descriptor, options, life. Linux Documentation/virt/kvm/api.rst. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "util/error.h"

int kvm_ioctl(int fd, unsigned long request, const void *arg)
{
    int r;

    do {
        r = ioctl(fd, request, arg);
    } while (r < 0 && errno == EINTR);
    return r;
}

int kvm_check(const Kvm *k, int capability)
{
    int fd = k->fd >= 0 ? k->fd : k->sys;
    int r = kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(intptr_t)capability);

    return MAX(r, 0);
}

bool kvm_enable(int fd, int capability, uint64_t arg)
{
    struct kvm_enable_cap cap = {.cap = (uint32_t)capability, .args = {arg}};

    return kvm_ioctl(fd, KVM_ENABLE_CAP, &cap) == 0;
}

/* ---- whether it works here ---- */

static char *no_permission(void)
{
    const struct passwd *me = getpwuid(geteuid());
    struct stat st;

    if (me && stat("/dev/kvm", &st) == 0 && st.st_mode & S_IWGRP && st.st_gid) {
        return g_strdup_printf("no permission for /dev/kvm: `sudo usermod -aG kvm %s` and a new login"
                               " grant it", me->pw_name);
    }
    return g_strdup_printf("no permission for /dev/kvm: `sudo setfacl -m u:%s:rw /dev/kvm` grants it",
                           me ? me->pw_name : "$USER");
}

static char *unavailable(void)
{
    g_autofree char *arch = kvm_arch_unavailable();

    if (arch) {
        return g_steal_pointer(&arch);
    }
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case EACCES:
        case EPERM:
            return no_permission();
        case ENOENT:
            return g_strdup("there is no /dev/kvm: the host's processor or firmware has virtualization"
                            " off, or its module is not loaded (`sudo modprobe kvm_intel` or kvm_amd)");
        case ENODEV:
        case ENXIO:
            return g_strdup("/dev/kvm has no driver: `sudo modprobe kvm_intel` or kvm_amd loads it");
        default:
            return g_strdup_printf("cannot open /dev/kvm: %s", g_strerror(errno));
        }
    }
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    close(fd);
    return version == KVM_API_VERSION
               ? NULL : g_strdup_printf("/dev/kvm speaks version %d of its interface, not %d", version,
                                        KVM_API_VERSION);
}

/* ---- life ---- */

static bool open_machine(Kvm *k, GError **error)
{
    k->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (k->sys < 0) {
        return error_set_errno(error, errno, "cannot open /dev/kvm");
    }
    k->fd = kvm_ioctl(k->sys, KVM_CREATE_VM, 0);
    if (k->fd < 0) {
        return error_set_errno(error, errno, "the kernel makes no virtual machine");
    }
    static const struct { int cap; const char *name; } needed[] = {
        {KVM_CAP_USER_MEMORY, "USER_MEMORY"}, {KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
        {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!kvm_check(k, needed[i].cap)) {
            return error_set(error, "the kernel's KVM lacks KVM_CAP_%s", needed[i].name);
        }
    }
    k->run_size = (unsigned)kvm_ioctl(k->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
    k->max_slots = (unsigned)kvm_check(k, KVM_CAP_NR_MEMSLOTS);
    k->max_slots = k->max_slots ? k->max_slots : 32;
    return true;
}

static bool ring(Kvm *k, GError **error)
{
    if (!k->ring_size) {
        return true;
    }
    if (k->ring_size & (k->ring_size - 1)) {
        return error_set(error, "dirty-ring-size %u is not a power of two", k->ring_size);
    }
    uint64_t bytes = (uint64_t)k->ring_size * sizeof(struct kvm_dirty_gfn);
    uint64_t most = (uint64_t)kvm_check(k, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
    if (!most) {
        return error_set(error, "the kernel's KVM has no dirty ring; leave dirty-ring-size away");
    }
    if (bytes > most || !kvm_enable(k->fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, bytes)) {
        return error_set(error, "dirty-ring-size %u: the kernel accepts 64 to %" PRIu64, k->ring_size,
                         most / sizeof(struct kvm_dirty_gfn));
    }
    return true;
}

static bool start(Accel *a, Vm *vm, GError **error)
{
    Kvm *k = (Kvm *)a;

    if (vm->machine && !kvm_arch_runs(vm->machine->arch)) {
        return error_set(error, "this host's processor runs no %s guests", vm->machine->arch);
    }
    if (!open_machine(k, error) || !ring(k, error)) {
        return false;
    }
    k->exit_on_failure = kvm_check(k, KVM_CAP_EXIT_ON_EMULATION_FAILURE) &&
                         kvm_enable(k->fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
    if (!kvm_engine_init(k, error) || !kvm_arch_start(k, error)) {
        return false;
    }
    k->cpus = g_new0(KvmCpu *, VM_MAX_CPUS);
    kvm_slots_start(k);
    return true;
}

static void init(Object *o)
{
    Kvm *k = (Kvm *)o;

    k->sys = k->fd = -1;
    k->parked = g_hash_table_new_full(NULL, NULL, NULL, kvm_parked_free);
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->gather_lock, NULL);
}

static void finish(Object *o)
{
    Kvm *k = (Kvm *)o;

    g_hash_table_destroy(k->parked);
    kvm_slots_finish(k);
    kvm_messages_finish(k);
    kvm_arch_finish(k);
    if (k->engine) {
        object_unref(&k->engine->object);
    }
    if (k->fd >= 0) {
        close(k->fd);
    }
    if (k->sys >= 0) {
        close(k->sys);
    }
    g_free(k->cpus);
    g_free(k->failed);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->gather_lock);
}

/* ---- what others ask ---- */

/* Chooses the interrupt chips: the kernel's only for boards that ask. On a host that is a guest itself
 * the engine is often needed, which works best with chips of our own. */
static bool settle(Kvm *k, GError **error)
{
    if (k->settled) {
        return true;
    }
    k->settled = true;
    if (k->irqchip == KVM_IRQCHIP_AUTO) {
        k->irqchip = k->asked && !k->slow_host ? KVM_IRQCHIP_ON : KVM_IRQCHIP_OFF;
    }
    if (k->irqchip != KVM_IRQCHIP_OFF && !k->asked) {
        return error_set(error, "kernel-irqchip: this machine has only interrupt chips in user space (off)");
    }
    return (k->irqchip == KVM_IRQCHIP_OFF || kvm_arch_make_chips(k, error)) && kvm_arch_settle(k, error);
}

static bool cpu_init(Accel *a, Cpu *cpu, GError **error)
{
    Kvm *k = (Kvm *)a;

    if (k->failed) {
        return error_set(error, "%s", k->failed);
    }
    return settle(k, error) && kvm_cpu_init(a, cpu, error);
}

/* CPU models are made before CPUs. */
static const void *caps(Accel *a, const GuestIsa *isa)
{
    Kvm *k = (Kvm *)a;
    g_autoptr(GError) error = NULL;

    if (k->failed || !settle(k, &error)) {
        k->failed = k->failed ? k->failed : g_strdup(error->message);
        return NULL;
    }
    return kvm_arch_caps(a, isa);
}

static AccelIrqchip irqchip(Accel *a)
{
    Kvm *k = (Kvm *)a;
    g_autoptr(GError) error = NULL;

    k->asked = true;
    if (k->failed || !settle(k, &error)) {
        k->failed = k->failed ? k->failed : g_strdup(error->message);   /* told with the first CPU */
        return ACCEL_IRQCHIP_NONE;
    }
    static const AccelIrqchip map[] = {
        [KVM_IRQCHIP_ON] = ACCEL_IRQCHIP_FULL, [KVM_IRQCHIP_SPLIT] = ACCEL_IRQCHIP_SPLIT,
        [KVM_IRQCHIP_OFF] = ACCEL_IRQCHIP_NONE,
    };

    return map[k->irqchip];
}

static void code_written(Accel *a, uint64_t ram_offset, uint64_t len)
{
    Kvm *k = (Kvm *)a;

    k->engine_type->code_written(k->engine, ram_offset, len);
}

static void code_store(Accel *a, Cpu *cpu, uint64_t ram_offset, unsigned len)
{
    Kvm *k = (Kvm *)a;

    k->engine_type->code_store(k->engine, cpu, ram_offset, len);
}

static void debug_changed(Accel *a, Cpu *cpu)
{
    Kvm *k = (Kvm *)a;

    k->engine_type->debug_changed(k->engine, cpu);
}

static void info(Accel *a, GString *out)
{
    static const char *const chips[] = {"not chosen", "in the kernel", "split", "in user space"};
    Kvm *k = (Kvm *)a;

    pthread_mutex_lock(&k->lock);
    g_string_append_printf(out, "kvm, interrupt chips %s, %u memory slots, dirty log %s, %s\n",
                           chips[k->irqchip], k->slots->len,
                           !k->logging ? "off" : k->ring_size ? "ring" : "bitmap",
                           k->handed_over ? "handed over to the engine" : "running");
    pthread_mutex_unlock(&k->lock);
    kvm_messages_info(k, out);
    for (unsigned i = 0; i < k->accel.vm->n_cpus; i++) {
        const KvmCpu *c = k->cpus[i];
        if (c) {
            g_string_append_printf(
                out, "cpu %u: %" PRIu64 " runs, %" PRIu64 " port accesses, %" PRIu64 " MMIO accesses, %"
                PRIu64 " interrupts, %" PRIu64 " instructions that the kernel cannot emulate (%" PRIu64
                " stepped, %" PRIu64 " slices of the engine, %.3f s), %" PRIu64 " hand-overs\n", i,
                c->n.runs, c->n.io, c->n.mmio, c->n.interrupts, c->n.failures, c->n.stepped, c->n.slices,
                (double)c->n.slice_ns / 1e9, c->n.moves);
        }
    }
    k->engine_type->info(k->engine, out);
}

static void dirty_log(Accel *a, bool on)
{
    Kvm *k = (Kvm *)a;

    k->dirty_clients = on;
    if (on) {
        kvm_log(k, true);
    }
}

static void dirty_sync(Accel *a)
{
    kvm_gathered((Kvm *)a);
    kvm_log_collect((Kvm *)a);
}

static bool hand_over(Accel *a, const char *to, GError **error)
{
    Kvm *k = (Kvm *)a;
    bool engine = !strcmp(to, "tcg");

    if (!engine && strcmp(to, "kvm")) {
        return error_set(error, "a machine of accelerator kvm goes on with kvm or tcg, not with %s", to);
    }
    if (engine && k->irqchip != KVM_IRQCHIP_OFF) {
        return error_set(error, "the interrupt chips are in the kernel: only a machine with"
                         " kernel-irqchip=off can be handed over");
    }
    if (engine) {
        kvm_log(k, true);       /* before there is translated code */
    }
    if (!engine && k->handed_over) {
        kvm_forget_shadows(k);
    }
    __atomic_store_n(&k->handed_over, engine, __ATOMIC_RELAXED);
    return true;
}

static const char *current(Accel *a)
{
    return ((Kvm *)a)->handed_over ? "tcg" : "kvm";
}

static const char *const auto_names[] = {"auto", "on", "off", NULL};
static const char *const irqchip_names[] = {"auto", "on", "split", "off", NULL};
static const Field fields[] = {
    PROP(Kvm, irqchip, "kernel-irqchip", PROP_ENUM, .names = irqchip_names,
         .desc = "interrupt chips: on: in the kernel; split: local APICs in the kernel; off: in Myna"),
    PROP(Kvm, fallback, "fallback", PROP_BOOL, .init = true,
         .desc = "the engine executes instructions that the kernel cannot emulate"),
    PROP(Kvm, slice_us, "fallback-slice", PROP_U32, .init = 500000,
         .desc = "longest run of the engine after a failed instruction, in us; 0: one instruction"),
    PROP(Kvm, emulated, "emulated-modes", PROP_ENUM, .names = auto_names,
         .desc = "the kernel runs processor modes that it can only emulate (off: the engine does); auto:"
                 " where the host's processor virtualizes"),
    PROP(Kvm, ring_size, "dirty-ring-size", PROP_U32,
         .desc = "entries of each vCPU's dirty ring; 0: bitmaps"),
};

static const AccelType kvm_accel = {
    .name = "kvm-accel", .parent = "accel", .desc = "The host kernel's virtual machines",
    .size = sizeof(Kvm), FIELDS(fields), .init = init, .finish = finish,
    .accel = "kvm", .unavailable = unavailable, .start = start, .cpu_init = cpu_init,
    .cpu_finish = kvm_cpu_finish, .run = kvm_run, .kick = kvm_kick, .code_written = code_written,
    .code_store = code_store, .debug_changed = debug_changed, .info = info, .irqchip = irqchip,
    .hand_over = hand_over, .current = current, .cpu_caps = caps, .msi = kvm_msi,
    .route = kvm_arch_route, .messages = kvm_messages, .pit = &kvm_arch_pit,
    .dirty_log = dirty_log, .dirty_sync = dirty_sync,
};
OBJECT_TYPE(kvm_accel);
