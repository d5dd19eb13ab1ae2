/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `-accel kvm`: the host kernel's hypervisor. Linux Documentation/virt/kvm/api.rst.
 *
 * kvm.c owns the machine's descriptor and options, slots.c memory, vcpu.c the run loop, fallback.c the
 * engine that executes what the kernel cannot; x86/ (a folder per host architecture) moves registers.
 */
#ifndef ACCEL_KVM_H
#define ACCEL_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <time.h>

#include "core/accel.h"
#include "core/msi.h"
#include "core/vm.h"

typedef struct Kvm Kvm;
typedef struct KvmMessages KvmMessages;

typedef struct KvmCounts {
    uint64_t runs, io, mmio, interrupts, failures, stepped, slices, slice_ns, moves;
} KvmCounts;

typedef struct KvmCpu {
    Kvm *kvm;
    Cpu *cpu;
    int fd;
    struct kvm_run *run;
    bool loaded;                /* the registers are the kernel's; the Cpu struct is stale */
    bool inside;                /* in or near KVM_RUN; atomic */
    bool slicing;               /* the engine runs on behalf; atomic */
    bool unfinished;            /* I/O that the next KVM_RUN completes */
    bool window;                /* the kernel said that it takes an interrupt now */
    timer_t timer;              /* ends slices */
    int64_t slice_ns;           /* of the engine after a failure; 0: single instructions */
    int64_t entered;            /* since when the kernel has been executing, ns */
    int guest_debug;            /* what KVM_SET_GUEST_DEBUG was told */
    KvmCounts n;
    void *arch;                 /* x86/ */
    struct kvm_dirty_gfn *ring;
    uint32_t ring_next;
    GBytes *kept;               /* x86/: the CPUID leaves that the kernel was given first */
} KvmCpu;

enum { KVM_ARCH_ROUTES = 96 };
enum { KVM_IRQCHIP_AUTO, KVM_IRQCHIP_ON, KVM_IRQCHIP_SPLIT, KVM_IRQCHIP_OFF };

/* Whether the kernel runs modes that it can only emulate. */
enum { KVM_EMULATED_AUTO, KVM_EMULATED_ON, KVM_EMULATED_OFF };

struct Kvm {
    Accel accel;
    /* options */
    int irqchip;                /* KVM_IRQCHIP_* */
    bool fallback;
    uint32_t ring_size;         /* entries; 0: bitmaps */
    uint32_t slice_us;          /* longest slice */
    int emulated;               /* KVM_EMULATED_* */
    /* state */
    int sys, fd;
    unsigned run_size, max_slots;
    bool exit_on_failure, shadow_paging;
    bool slow_host;             /* a guest itself */
    char *failed;               /* why the chips could not be made */
    bool settled, asked;        /* the chips are chosen; a board asked for them */
    bool logging;               /* slots have dirty logs */
    bool handed_over;           /* the engine runs everything; atomic */
    const AccelType *engine_type;
    Accel *engine;
    KvmCpu **cpus;              /* by index */
    GHashTable *parked;         /* the kernel's number to what stays of a CPU that has gone */
    pthread_mutex_t lock;       /* slots, logs; innermost but for the RAM map's */
    GArray *slots;              /* KvmSlot */
    GArray *doorbells;
    GArray *zones;              /* struct kvm_coalesced_mmio_zone */
    unsigned ring_page;         /* where a vCPU's shared pages have the ring; 0: there is none */
    bool gather_ports;
    pthread_mutex_t gather_lock;
    bool any_length;            /* doorbells for stores of any size */
    uint64_t *bitmap;           /* of one slot, for KVM_GET_DIRTY_LOG */
    size_t bitmap_bytes;
    void *spare_page;
    bool dirty_clients;
    KvmMessages *messages;      /* NULL: no interrupt chips in the kernel */
    void *arch;
};

static inline Kvm *kvm_of(const Cpu *cpu) { return (Kvm *)cpu->vm->accel; }
static inline KvmCpu *kvm_cpu(const Cpu *cpu) { return kvm_of(cpu)->cpus[cpu->index]; }

/* ioctl() that repeats on EINTR; arg may be a pointer or a number. */
int kvm_ioctl(int fd, unsigned long request, const void *arg);
int kvm_check(const Kvm *k, int capability);
bool kvm_enable(int fd, int capability, uint64_t arg);

/* slots.c */
void kvm_slots_start(Kvm *k);
void kvm_slots_finish(Kvm *k);
/* Dirty logs on or off in all slots. */
void kvm_log(Kvm *k, bool on);
/* What vCPUs wrote since the last time reaches the RAM map: bitmaps, translated code. Any thread. */
void kvm_log_collect(Kvm *k);
/* Another engine has written guest memory: page tables that the kernel keeps copies of. */
void kvm_forget_shadows(Kvm *k);

/* doorbells.c; within the lock */
void kvm_doorbells_start(Kvm *k);
void kvm_doorbells_changed(Kvm *k);
void kvm_doorbells_finish(Kvm *k);
/* Does the stores that were gathered. Any thread. */
void kvm_gathered(Kvm *k);

/* messages.c: with interrupt chips in the kernel; interrupts from `first` on are for messages. */
void kvm_messages_start(Kvm *k, unsigned first);
void kvm_messages_finish(Kvm *k);
void kvm_messages_info(Kvm *k, GString *out);
/* AccelType.msi and .messages. */
void kvm_msi(Accel *a, uint64_t address, uint32_t data);
const MsiTarget *kvm_messages(Accel *a);
/* The architecture's routes have changed. Any thread. */
bool kvm_write_routes(Kvm *k);

/* vcpu.c */
bool kvm_cpu_init(Accel *a, Cpu *cpu, GError **error);
void kvm_cpu_finish(Accel *a, Cpu *cpu);
void kvm_parked_free(void *parked);
CpuStop kvm_run(Accel *a, Cpu *cpu);
void kvm_kick(Accel *a, Cpu *cpu);
/* Moves the registers to the kernel / back. False: told, the machine stops. */
bool kvm_load(KvmCpu *c);
bool kvm_unload(KvmCpu *c);

/* fallback.c: with registers in the Cpu struct. */
typedef enum KvmAfter { KVM_AGAIN, KVM_LEAVE } KvmAfter;
KvmAfter kvm_fallback(KvmCpu *c, CpuStop *why);
/* Runs the engine for up to ns. */
KvmAfter kvm_slice(KvmCpu *c, int64_t ns, CpuStop *why);
bool kvm_engine_init(Kvm *k, GError **error);

/* ---- the host's architecture ---- */
char *kvm_arch_unavailable(void);
bool kvm_arch_runs(const char *isa);            /* guests of that name */
bool kvm_arch_start(Kvm *k, GError **error);
/* Interrupt chips are chosen: once, before the first CPU. */
bool kvm_arch_settle(Kvm *k, GError **error);
bool kvm_arch_make_chips(Kvm *k, GError **error);
/* Fills in the routes of the chips' pins, at most KVM_ARCH_ROUTES; how many. */
unsigned kvm_arch_routes(Kvm *k, struct kvm_irq_routing_entry *e);
void kvm_arch_route(Accel *a, unsigned n, bool used, uint64_t address, uint32_t data);
extern const struct AccelPit kvm_arch_pit;
void kvm_arch_finish(Kvm *k);
/* The id that KVM_CREATE_VCPU wants. */
unsigned long kvm_arch_cpu_id(Cpu *cpu);
bool kvm_arch_cpu_init(KvmCpu *c, GError **error);
void kvm_arch_cpu_finish(KvmCpu *c);
bool kvm_arch_put(KvmCpu *c);
bool kvm_arch_get(KvmCpu *c);
/* Before KVM_RUN: interrupts. After it: what the kernel changed on the side. */
void kvm_arch_before(KvmCpu *c);
void kvm_arch_after(KvmCpu *c);
/* Exits of this architecture only. False: unknown. */
bool kvm_arch_exit(KvmCpu *c);
/* Events in cpu->req that the engine delivers. */
uint32_t kvm_arch_events(void);
/* How long the engine is to run, in ns, as the CPU is in a mode that only it knows; 0: the mode is the
 * kernel's. */
int64_t kvm_arch_engine_only(KvmCpu *c);
/* The engine can hold the state; else why not. */
const char *kvm_arch_movable(KvmCpu *c);
/* Whether break- and watchpoints of the debugger fit into KVM_SET_GUEST_DEBUG, and sets them. */
bool kvm_arch_debug(KvmCpu *c);
const void *kvm_arch_caps(Accel *a, const GuestIsa *isa);
/* The debugger stopped the CPU (KVM_EXIT_DEBUG); false: the guest's own debugging, go on. */
bool kvm_arch_debug_stop(KvmCpu *c);

#endif
