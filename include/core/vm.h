/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine: the root of everything; no state lives outside of one. */
#ifndef CORE_VM_H
#define CORE_VM_H

#include "core/cpu.h"
#include "core/device.h"
#include "util/loop.h"

typedef struct Machine Machine;
typedef struct MachineType MachineType;

typedef enum RunState {
    RUN_PRELAUNCH, RUN_RUNNING, RUN_PAUSED, RUN_SHUTDOWN, RUN_GUEST_PANICKED, RUN_INTERNAL_ERROR,
    RUN_IO_ERROR, RUN_WATCHDOG, RUN_SUSPENDED, RUN_DEBUG, RUN_INMIGRATE, RUN_POSTMIGRATE,
    RUN_FINISH_MIGRATE, RUN_SAVE_VM, RUN_RESTORE_VM, RUN_COLO,
} RunState;

typedef enum ShutdownCause {
    CAUSE_NONE, CAUSE_HOST_ERROR, CAUSE_HOST_QMP_QUIT, CAUSE_HOST_QMP_RESET, CAUSE_HOST_SIGNAL,
    CAUSE_HOST_UI, CAUSE_GUEST_SHUTDOWN, CAUSE_GUEST_RESET, CAUSE_GUEST_PANIC, CAUSE_SUBSYSTEM_RESET,
} ShutdownCause;

enum { VM_MAX_CPUS = 4096 };

struct Vm {
    Object root;                        /* "/" */
    Machine *machine;                   /* "/machine" */
    Object *objects, *chardevs, *peripheral, *peripheral_anon, *unattached, *backends;
    Loop *loop;                         /* control thread */
    AddressSpace *memory, *io;
    MemRegion *memory_root, *io_root;
    Accel *accel;
    Cpu **cpus;
    unsigned n_cpus;
    RunState state;
    bool reset_requested, shutdown_requested;
    int exit_code;
    struct Clocks *clocks;
    struct Domains *domains;            /* device locks */
    struct RamMap *ram;                 /* blocks, dirty bitmaps, code pages */
    struct RunControl *run;             /* vCPU threads */
    struct VmRequests *requests;
    GHashTable *device_classes;
    GPtrArray *globals;                 /* -global: device_global() */
    GHashTable *fw_cfg_user;
    struct QapiHub *qapi;               /* events to the monitors, see qapi/event.h; NULL: nobody listens */
    GHashTable *data;                   /* vm_data() */
    struct FdStore *fds;                /* descriptors passed by clients, see util/fdstore.h */
    /* Services looked up by id. */
    struct Services *services;          /* chardevs, netdevs, block nodes: registered by their folders */
    GPtrArray *data_dirs;               /* char *: -L folders, searched for firmware first */
    const char *argv0;
    uint8_t uuid[16];
    bool uuid_set;
    char *name;
    /* -action: what follows an event. */
    enum { REBOOT_RESET, REBOOT_SHUTDOWN } on_reboot;
    enum { SHUTDOWN_POWEROFF, SHUTDOWN_PAUSE } on_shutdown;
    enum { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_EXIT_FAILURE, PANIC_NONE } on_panic;
    /* -boot: letters of drives, for boards with a BIOS; file of a picture; ms, -1: not said. */
    struct {
        char *order, *once, *splash;
        bool menu, strict;
        int splash_time, reboot_timeout;
    } boot;
    int on_watchdog;                    /* WatchdogAction of qapi/run-state.json; atomic */
    Cpu *debug_cpu;                     /* whose stop led to RUN_DEBUG */
    bool can_suspend;                   /* the machine has a sleep state that it wakes from */
    bool asleep;                        /* in it; outlives a stop and its end */
    bool waking;                        /* the reset under way is that of waking */
    unsigned wakers;                    /* a bit per WakeReason that wakes it; atomic */
    unsigned wake_reason;               /* WakeReason; within VM_EVENT_WAKEUP */
    bool freeing;
};

/* Makes the tree (/machine, /objects, /chardevs, /backend …), the memory and I/O spaces and clocks; the
 * loop stays the caller's. vm_free() leaves nothing behind; both on the loop's thread. */
Vm *vm_new(Loop *loop);
void vm_free(Vm *vm);
const char *run_state_name(RunState state);         /* "running", "prelaunch", … */
const char *shutdown_cause_name(ShutdownCause cause);   /* "guest-reset", "host-qmp-quit", … */
/* The state demands a system_reset before vm_start(). */
bool vm_needs_reset(const Vm *vm);
/* Run control (control thread unless noted). */
void vm_start(Vm *vm);                              /* cont */
void vm_stop(Vm *vm, RunState why);                 /* returns when all vCPUs stand */
bool vm_is_running(const Vm *vm);
void vm_reset(Vm *vm, ShutdownCause cause);
/* Any thread: asks the control thread. Guest devices use these. */
void vm_request_reset(Vm *vm, ShutdownCause cause);
void vm_request_shutdown(Vm *vm, ShutdownCause cause, int exit_code);
void vm_request_powerdown(Vm *vm);
void vm_request_panic(Vm *vm);
/* The guest sleeps with its memory powered (S3): CPUs stand, clocks run, VM_EVENT_SUSPEND and RUN_SUSPENDED
 * follow. Waking resets all but memory; then VM_EVENT_WAKEUP, in which vm->wake_reason is valid. Nothing
 * happens unless the guest sleeps and vm->wakers has the reason's bit. */
typedef enum WakeReason { WAKE_OTHER, WAKE_RTC, WAKE_BUTTON } WakeReason;
void vm_request_suspend(Vm *vm);
void vm_request_wakeup(Vm *vm, WakeReason reason);
void vm_request_crash_loaded(Vm *vm);               /* the guest runs its crash kernel */
/* A watchdog device's time is up: does what -action watchdog= says, and tells monitors. Any thread. */
void vm_watchdog_fired(Vm *vm);
/* A vCPU stopped for the debugger (any thread). */
void vm_request_debug(Vm *vm, Cpu *cpu);
/* Stops for a reason found on any thread: RUN_IO_ERROR, RUN_WATCHDOG, RUN_INTERNAL_ERROR … */
void vm_request_stop(Vm *vm, RunState why);
/* Handles what was requested now instead of from the loop. Control thread. */
void vm_handle_requests(Vm *vm);
/* After VM_EVENT_SHUTDOWN with on_shutdown == SHUTDOWN_POWEROFF the loop is told to quit. */
/* Listeners: run state changes, reset, powerdown; called on the control thread. */
typedef enum VmEvent { VM_EVENT_STATE, VM_EVENT_RESET, VM_EVENT_POWERDOWN, VM_EVENT_SHUTDOWN, VM_EVENT_PANIC, VM_EVENT_WAKEUP,
    VM_EVENT_CRASH_LOADED, VM_EVENT_SUSPEND } VmEvent;
unsigned vm_listen(Vm *vm, VmEvent event, void (*fn)(Vm *vm, VmEvent event, ShutdownCause cause, void *data), void *data);
void vm_unlisten(Vm *vm, unsigned id);
/* Services: an id to a pointer by kind ("chardev", "netdev", "drive"). */
void vm_service_add(Vm *vm, const char *kind, const char *id, void *ptr);
void *vm_service_find(Vm *vm, const char *kind, const char *id);
void vm_service_remove(Vm *vm, const char *kind, const char *id);
char **vm_service_ids(Vm *vm, const char *kind);    /* in order of addition; g_strfreev() */
const char *vm_service_id(Vm *vm, const char *kind, void *ptr);

/* Something that a folder keeps once per machine, made at the first call; control thread. `free` runs
 * when all objects are gone. */
void *vm_data(Vm *vm, const void *key, void *(*make)(Vm *vm), GDestroyNotify free);

/* ---- machines (machines/ registers these) ---- */
typedef struct CpuTopology {
    unsigned cpus, maxcpus, sockets, dies, clusters, cores, threads;
} CpuTopology;

struct MachineType {
    ObjectType;                         /* name "microvm-machine"; fields: -machine properties */
    const char *machine;                /* "microvm" as typed */
    const char *const *archs;           /* NULL-terminated: "x86_64", "i386" */
    bool is_default, deprecated;
    bool boot_letters;                  /* tells its BIOS of vm->boot.order and once */
    const char *alias;                  /* other name */
    const char *default_cpu;
    bool latest_cpus;                   /* models named without a version are the latest, not the first */
    unsigned memory_slots;              /* most -m slots=; 0: no memory hotplug */
    bool numa;                          /* tells the guest of -numa */
    const char *default_ram_id;
    uint64_t default_ram;
    unsigned max_cpus, default_cpus;
    const char *default_nic;
    const DeviceCompat *compat;         /* what devices were like in this version; NULL: as they are */
    const char *default_display;        /* -vga's name of the card unless another is asked; NULL: none */
    int drive_interface;                /* DRIVE_* of -drive without if=; 0: DRIVE_VIRTIO */
    unsigned parallel_ports;            /* that the board makes for -parallel */
    bool default_floppy;                /* an empty floppy drive is there unless another is asked for */
    unsigned ide_units;                 /* drives on each IDE bus; 0: 2 */
    const char *default_disk;           /* what -drive if=virtio makes; NULL: virtio-blk-device */
    bool (*build)(Machine *m, GError **error);  /* makes RAM, CPUs, chips; loads firmware and kernel */
    void (*cold_reset)(Machine *m);             /* after devices and CPUs: entry points of direct boots */
    /* The bus on which -device of a type without bus= lands; NULL: not here. */
    Bus *(*default_bus)(Machine *m, const DeviceType *t);
    /* CPUs as devices. The board finds a CPU's index and id before it is realized; wires it up, tells the
     * guest; asks the guest on device_del; unwires it. NULL: CPUs are made by -smp only. Control thread,
     * vCPUs standing (but for the request). */
    bool (*cpu_plug)(Machine *m, Cpu *cpu, GError **error);
    void (*cpu_plugged)(Machine *m, Cpu *cpu);
    bool (*cpu_unplug_request)(Machine *m, Cpu *cpu, GError **error);
    void (*cpu_unplug)(Machine *m, Cpu *cpu);
    /* All -device are in: last words (device tree, ACPI, kernel command line). */
    bool (*ready)(Machine *m, GError **error);
};

struct Machine {
    Object object;
    Vm *vm;
    const MachineType *type_;
    const char *arch;                   /* "x86_64" */
    uint64_t ram_size, max_ram_size;    /* -m maxmem=; ram_size: none */
    unsigned ram_slots;
    struct Numa *numa;                  /* NULL: none; core/numa.h */
    char *memory_backend;               /* id */
    char *kernel, *initrd, *append, *dtb, *firmware, *dumpdtb;
    char *cpu_model;                    /* -cpu text */
    CpuTopology smp;
    bool graphics, usb, dump_guest_core, mem_merge;
    void *fw_cfg;
    GPtrArray *images;                  /* what machines/loader.c puts into memory at each reset */
    GPtrArray *files;                   /* files they are parts of (machines/loader.c) */
    GPtrArray *parallels;               /* the same for -parallel */
    GPtrArray *serials;                 /* chardev ids or objects for -serial, in order; NULL entries: none */
};
const MachineType *machine_find(const char *arch, const char *name);
/* By name; NULL name: the default one; NULL with QEMU's error and the nearest name. */
const MachineType *machine_find_error(const char *arch, const char *name, GError **error);
/* A property of the machine that is true or false; false: it has no such property. */
bool machine_truth(const Machine *m, const char *property);
/* Becomes vm->machine and /machine; its properties are set with object_set() before build(). */
Machine *machine_new(Vm *vm, const MachineType *type, const char *arch);

#endif
