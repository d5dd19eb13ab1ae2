/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: one struct, one table, the effects (docs/howto-device.md).
 *
 * Registers (Reg rows) are saved, reset, traced, fuzzed and described from the table. Register
 * functions run on whichever thread accesses the device, under the lock of its domain, so device
 * code contains no locks. From inside one may set pins, use DMA, arm timers, post to loops.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/clock.h"
#include "core/memory.h"
#include "core/object.h"

typedef struct Device Device;
typedef struct DeviceType DeviceType;
typedef struct Bus Bus;

/* ---- pins ---- */
/* An input: a device and a number. Where it leads is the board's choice. */
typedef struct Pin {
    Device *dev;                /* NULL: not connected */
    uint32_t n;
} Pin;
/* An output of a device; a FIELD_IRQ member. The level is remembered (and saved). */
typedef struct Irq {
    Pin to;
    bool level;
} Irq;
/* Drives the output. Inside the device's domain; takes the sink's domain if it is another. */
void irq_set(Irq *irq, bool level);
static inline void irq_pulse(Irq *irq) { irq_set(irq, true); irq_set(irq, false); }
void irq_connect(Irq *irq, Pin to);
static inline Pin device_pin(Device *dev, uint32_t n) { return (Pin){dev, n}; }

/* ---- registers ---- */
typedef enum RegKind {
    RO,                 /* reads member, .value or .read; writes are guest errors */
    RW,                 /* member; writes change the bits in .bits (default all) */
    WO,                 /* writes to .wrote / .write; reads as 0 */
    W1C,                /* writing 1 clears bits of the member within .bits */
    W1S,                /* writing 1 sets */
    RC,                 /* reading clears */
} RegKind;

typedef struct Reg {
    uint32_t at;                /* offset in the window */
    const char *name;           /* datasheet name */
    uint8_t kind;
    uint8_t width;              /* bytes of the register, 0: 4 */
    uint32_t offset;            /* of the member */
    uint8_t size;               /* of the member; 0: the register has none */
    uint32_t count, stride;     /* array registers: count > 1, address stride (0: width) */
    uint64_t value;             /* constant of RO */
    uint64_t bits;              /* writable bits, 0: all */
    uint64_t reset;
    const char *member;
    uint64_t (*read)(Device *);                     /* instead of the member */
    void (*wrote)(Device *, uint64_t value);        /* after the member changed (or instead) */
    uint64_t (*read_at)(Device *, unsigned i);      /* array registers */
    void (*wrote_at)(Device *, unsigned i, uint64_t value);
} Reg;
#define REG(at_, name_, kind_, ...) {.at = at_, .name = name_, .kind = kind_, __VA_ARGS__}
#define IN(T, m) .offset = offsetof(T, m), .size = sizeof(((T *)0)->m), .member = #m
/* element type of an array member */
#define IN_ARRAY(T, m) .offset = offsetof(T, m), .size = sizeof(((T *)0)->m[0]),                    \
                       .count = G_N_ELEMENTS(((T *)0)->m), .member = #m
#define REGS(r) .regs = r, .n_regs = G_N_ELEMENTS(r)
#define FIELDS(f) .fields = f, .n_fields = G_N_ELEMENTS(f)

/* ---- rows for the other members ---- */
#define FIELD_AT(T, m) .member = #m, .offset = offsetof(T, m), .size = sizeof(((T *)0)->m)
#define PROP(T, m, name_, type_, ...) {.kind = FIELD_PROP, .name = name_, .type = type_, FIELD_AT(T, m), __VA_ARGS__}
#define SAVED(T, m, ...)                                                                            \
    {.kind = FIELD_SAVED, .name = #m, FIELD_AT(T, m),                                               \
     .boolean = _Generic(((T *)0)->m, bool: true, bool *: true, default: false), __VA_ARGS__}
#define LINK(T, m, ...) {.kind = FIELD_LINK, .name = #m, FIELD_AT(T, m), __VA_ARGS__}
#define IRQ(T, m, ...) {.kind = FIELD_IRQ, .name = #m, FIELD_AT(T, m), __VA_ARGS__}
#define TIMER(T, m, fired_, ...) {.kind = FIELD_TIMER, .name = #m, FIELD_AT(T, m), .fired = fired_, __VA_ARGS__}
/* Bytes behind a pointer that realize allocates; `bytes` is a uint32_t member with their number. Saved,
 * zeroed at reset. */
#define BUFFER(T, m, bytes) {.kind = FIELD_BUFFER, .name = #m, .stride = offsetof(T, bytes), FIELD_AT(T, m)}
/* GBytes *: made by .saving and taken apart by .restored, for state of no fixed size; the framework frees
 * it. Little-endian by convention; a reader checks lengths. */
#define BYTES(T, m) {.kind = FIELD_BYTES, .name = #m, FIELD_AT(T, m)}
#define HOST(T, m) {.kind = FIELD_HOST, .name = #m, FIELD_AT(T, m)}

/* ---- the type ---- */
typedef enum DeviceCategory {
    DEVICE_MISC, DEVICE_BRIDGE, DEVICE_USB, DEVICE_STORAGE, DEVICE_NETWORK, DEVICE_INPUT,
    DEVICE_DISPLAY, DEVICE_SOUND, DEVICE_CPU, DEVICE_WATCHDOG, DEVICE_UNCATEGORIZED,
} DeviceCategory;

struct DeviceType {
    ObjectType;                 /* name, desc, size, fields, init, finish … */
    const char *const *aliases; /* NULL-terminated: names for -device besides .name */
    uint8_t category;
    bool pluggable;             /* -device may create it (else: on-board only) */
    bool hotpluggable;
    bool own_domain;            /* has its own lock: tested for it */
    bool intc_domain;           /* an interrupt chip: lives in the innermost domain */
    bool no_domain;             /* pins and registers may be used by several threads at once (CPUs) */
    const char *bus;            /* bus type it plugs into; NULL: none (sysbus-like) */
    uint64_t window;            /* size of its register window(s) */
    const Reg *regs;
    unsigned n_regs;
    uint8_t min_access, max_access;     /* bytes; 0: 1 and 8 */
    bool big_endian;
    /* Register files that are really memories or FIFOs: plain functions instead of, or behind
     * (offsets without a row), the table. size in bytes 1-8. */
    uint64_t (*read)(Device *, uint64_t at, unsigned size);
    void (*write)(Device *, uint64_t at, uint64_t value, unsigned size);
    void (*pin)(Device *, uint32_t n, bool level);      /* inputs */
    unsigned n_pins;
    bool (*realize)(Device *, GError **error);
    void (*unrealize)(Device *);
    /* Three-phase reset: enter (state; the table's members have been reset before), hold (drive
     * pins), exit. reset is `enter`. */
    void (*reset)(Device *);
    void (*reset_hold)(Device *);
    void (*reset_exit)(Device *);
    void (*restored)(Device *); /* state came from outside: rebuild HOST members, drive pins */
    void (*saving)(Device *);   /* bring SAVED members up to date */
    /* Of devices on no bus: it is realized and reset; device_del asks the guest to let go, and
     * device_unplug() follows when it has (NULL: at once). Control thread. */
    void (*plugged)(Device *);
    bool (*unplug_request)(Device *, GError **error);
    /* Describe to the guest. */
    const char *dt;             /* device tree: compatible list, NUL-separated */
    /* For firmware (device_fw_path()): the node's name, "pci@i0cf8", or "virtio-mmio" to which the address
     * of .mmio is added; a bus that names its devices comes first. What follows all nodes: "/disk@0,0". */
    const char *fw_name, *fw_suffix;
    /* Type-specific extension (virtio: VirtioType *, cpu: CpuType *, pci: PciInfo *). */
    const void *ext;
    const struct PciInfo *pci;  /* a PCI function: hw/pci.h */
};

struct Device {
    Object object;
    char *id;                   /* user's id or NULL */
    Bus *parent_bus;
    GPtrArray *buses;           /* Bus *, owned */
    MemRegion *mmio;            /* made from .window at creation; placed by the board */
    struct Domain *domain;      /* NULL: thread-safe by itself */
    AddressSpace *dma;          /* where DMA goes; NULL: vm->memory */
    const struct DeviceClass *cls;      /* what the types along the line of parents add up to */
    bool realized, hotplugged, in_reset;
    bool user;                  /* made by -device or device_add */
};
/* Along the line of parents rows add up, and realize, reset*, restored run from the ancestor down,
 * unrealize and saving from the type up; read, write and pin are the nearest one's. */
#define DEVICE_TYPE(t)                                                                              \
    static const ObjectType *const t##_type_entry                                                          \
        __attribute__((used, retain, section("myna_devices"))) = (const ObjectType *)&t
static inline const DeviceType *device_type(const Device *d) { return (const DeviceType *)d->object.type; }

/* The type that -device NAME means: by name or alias; NULL with an error naming the nearest. */
const DeviceType *device_type_find(const char *name, GError **error);
/* The type of bus it plugs into, its own or its ancestors'; NULL: none. */
const char *device_type_bus(const DeviceType *t);
/* -global DRIVER.PROPERTY=VALUE: for all devices of the type made from now on. */
void device_global(Vm *vm, const char *driver, const char *property, const char *value);
/* Defaults of a versioned board, where types' own have changed since; -global overrides them. Ended by an empty
 * row. Before the machine is built. */
typedef struct DeviceCompat { const char *driver, *property, *value; } DeviceCompat;
void device_compat(Vm *vm, const DeviceCompat *rows);
/* Whether all -global values fit the types that they name: boards' own devices take them for granted. */
bool device_globals_check(Vm *vm, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A -global that no device has used, as "driver.property", or NULL. The caller frees. */
char *device_global_unused(Vm *vm);
/* Creates with defaults and -global values applied; parentless until realized. */
Device *device_new(Vm *vm, const char *type, GError **error);
/* Puts it under /machine/peripheral/ID, /machine/peripheral-anon/device[n] or
 * /machine/unattached/device[n] (on-board: id NULL and user false), checks and starts it. A failure
 * frees it. */
bool device_realize(Device *d, Bus *bus, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What device_del asks for: at once, or when the guest has let go. Control thread. */
bool device_unplug_request(Device *d, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void device_unplug(Device *d);
/* Board conveniences; on-board devices cannot fail other than by programming error. */
Device *device_make(Vm *vm, const char *type);                  /* draft + start */
Device *device_draft(Vm *vm, const char *type);                 /* new: wire it, then start it */
void device_start(Device *d);                                   /* realize without a bus */
void device_place(Device *d, uint64_t base);                    /* map d->mmio into vm->memory */
void device_place_io(Device *d, uint16_t port);                 /* into vm->io */
void device_reset(Device *d);                                   /* this device and below */
/* The domain's lock, for code entering the device from a loop or timer (rarely needed). */
void device_lock(Device *d);
void device_unlock(Device *d);
/* Runs fn on the control loop soon, unless the device is gone by then; `data` is freed in any case (free may
 * be NULL). For effects that registers, on vCPUs, cannot have themselves. Any thread; order is kept. */
void device_post(Device *d, void (*fn)(Device *d, void *data), void *data, GDestroyNotify free);
/* For dispatchers of accesses that may come from another device's code (configuration space): false if
 * that would nest, or the device is gone. */
bool device_enter(Device *d, bool write) G_GNUC_WARN_UNUSED_RESULT;
void device_leave(Device *d);
#define log_guest(dev, fmt, ...) device_log_guest((Device *)(dev), fmt, ##__VA_ARGS__)
void device_log_guest(Device *d, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* State as bytes keyed by names: what migration, snapshots and the generic test use. */
void device_state_save(Device *d, GByteArray *out);
GBytes *device_save(Device *d);
/* Three-phase reset of all devices, CPUs too; they stand. vm_reset() calls it. */
void device_reset_all(Vm *vm);
bool device_load(Device *d, GBytes *state, GError **error);

/* ---- buses ---- */
typedef struct BusType {
    ObjectType;
    unsigned max_devices;       /* 0: no limit */
    bool (*plug)(Bus *, Device *, GError **error);      /* before realize: address checks */
    bool (*plugged)(Bus *, Device *, GError **error);   /* after realize */
    void (*unplug)(Bus *, Device *);
    /* device_del: asks the guest to let go; device_unplug() follows when it has. NULL: at once. */
    bool (*unplug_request)(Bus *, Device *, GError **error);
    char *(*fw_name)(Bus *, Device *);                  /* "scsi@3"; NULL: no node for it; caller frees */
} BusType;
struct Bus {
    Object object;
    Device *owner;
    GPtrArray *devices;
    bool full;
    void *data;
};
/* A bus without an owner's id in its name: "pcie.0"; name NULL: "<owner's id>.<n>" or "<type>.<n>". */
Bus *bus_new(Device *owner, const BusType *type, const char *name);
Bus *bus_find(Vm *vm, const char *name_or_path, const char *type);

/* ---- boot order ---- */
/* The device's IEEE 1275 path ("/pci@i0cf8/scsi@3/disk@0,0"); the caller frees. */
char *device_fw_path(Device *d);
/* The value of its row PROP(T, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,
 * .changed = device_boot_index_changed); -1: has none. No two devices have the same. */
int32_t device_boot_index(Device *d);
bool device_boot_index_changed(Object *o, const Field *f, GError **error);
/* Paths of all devices with an index, in order, one a line, `first` (may be NULL) before them; the end
 * is HALT with -boot strict=on. The caller frees. */
char *device_boot_order(Vm *vm, const char *first);

/* ---- DMA: guest-physical access by devices; false (and a log) on a bus error ---- */
/* Devices behind an IOMMU or a bus of their own set d->dma; NULL: the machine's memory. */
bool dma_read(Device *d, uint64_t pa, void *buf, uint64_t n);
bool dma_write(Device *d, uint64_t pa, const void *buf, uint64_t n);
/* Accesses to d->mmio's window by offset, as a guest makes them; for buses that map it themselves. */
uint64_t device_mmio_read(Device *d, uint64_t at, unsigned size);
void device_mmio_write(Device *d, uint64_t at, uint64_t value, unsigned size);
/* The row and element that stands at `at`, NULL if none: for traces and tests. */
const Reg *device_reg_at(Device *d, uint64_t at, bool write, unsigned *element);
const Reg *device_reg_find(Device *d, const char *name);

#endif
