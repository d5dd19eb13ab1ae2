/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI: functions, buses, configuration space, BARs, interrupts. Specs: PCI Local Bus 3.0, PCI Express
 * Base 5.0. docs/howto-device.md has a whole PCI device.
 *
 * A device type names "pci-device" as .parent, begins its struct with PciDevice, and states what the
 * function is in a PciInfo (DeviceType.pci): identity, BARs, capabilities, registers in configuration
 * space. The core makes config space, maps BARs where the guest puts them, raises interrupts.
 *
 * realize of "pci-device" runs before the type's: BAR regions and capabilities of the table are there,
 * and the type may add more with the functions marked (realize). What they and pci_init*() write is
 * what a reset brings back.
 *
 * Threads: config accesses and BAR regions run on the vCPU in the function's domain, like registers of
 * any device. pci_intx(), pci_notify(), DMA: any thread.
 */
#ifndef HW_PCI_H
#define HW_PCI_H

#include "core/msi.h"
#include "core/vm.h"
#include "hw/pci-regs.h"

typedef struct PciDevice PciDevice;
typedef struct PciBus PciBus;

enum { PCI_SLOTS = 32, PCI_FUNCTIONS = 256, PCI_BARS = 6, PCI_ROM_BAR = 6, PCI_PINS = 4 };

/* ---- what a type states ---- */

typedef enum PciBarKind {
    PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_PREF32, PCI_BAR_PREF64,
} PciBarKind;

/* One BAR; a 64-bit one takes the next number, too, whose row stays empty. The first that is given of
 * `window`, `ops`, `ram` says what stands there; without, a container: the type adds regions to
 * pci_bar_region() in realize. */
typedef struct PciBar {
    PciBarKind kind;
    uint64_t size;              /* bytes; rounded up to a power of 2. 0 with window: its size */
    const char *name;           /* of the region; NULL: "<type>-bar<n>" */
    bool window;                /* the register window of the type (.regs, .read, .write) */
    const MemOps *ops;          /* opaque is the PciDevice */
    bool ram;                   /* plain memory (video memory): mem_host(pci_bar_region()) */
} PciBar;

/* A register of the type's own in configuration space; the header's and capabilities' are the core's. */
typedef struct PciReg {
    uint16_t at;
    uint8_t width;              /* 1, 2, 4 */
    const char *name;
    uint32_t value;             /* after reset */
    uint32_t writable, clears;  /* bits that store; bits that writing 1 clears */
    void (*wrote)(PciDevice *p, uint32_t old, uint32_t value);      /* any byte of it was written */
} PciReg;
#define PCI_REGS(r) .config = r, .n_config = G_N_ELEMENTS(r)

typedef struct PciMsi {
    uint8_t vectors;            /* 1, 2, 4 … 32; 0: none */
    bool no_64bit, mask_bits;
    uint8_t at;                 /* place of the capability; 0: the next free */
} PciMsi;
typedef struct PciMsix {
    uint16_t vectors;           /* 1-2048; 0: none */
    uint8_t bar;                /* an empty row: the core makes a BAR for table and PBA */
    uint32_t table, pba;        /* offsets, when the BAR has a row of its own (not `window`) */
    uint8_t at;
} PciMsix;

typedef struct PciInfo {
    uint16_t vendor, device;
    uint32_t class;             /* 0xccsspp: base class, sub-class, programming interface */
    uint8_t revision;
    uint16_t subvendor, subsystem;      /* both 0: 1af4:1100 */
    uint8_t pin;                /* 1: INTA# … 4: INTD#; 0: no interrupt line */
    bool bridge;                /* type 1 header; its type makes bus and windows */
    /* PCI_CONVENTIONAL: no Express capability. PCIE_ON_EXPRESS: has one on Express buses ("hybrid").
     * PCIE_BEHIND_PORT: has one below ports, not as a part of the root complex. PCIE_ALWAYS: has one and
     * does not go on conventional buses. */
    enum { PCI_CONVENTIONAL, PCIE_ON_EXPRESS, PCIE_BEHIND_PORT, PCIE_ALWAYS } express;
    bool no_hotplug;
    PciBar bar[PCI_BARS];
    PciMsi msi;
    PciMsix msix;
    bool pm;                    /* power management capability */
    const char *rom;            /* option ROM file unless romfile= says another */
    const PciReg *config;
    unsigned n_config;
    /* After any config write took effect: for what PciReg rows cannot say. Bytes [at, at+size). */
    void (*config_wrote)(PciDevice *p, unsigned at, unsigned size);
    /* Before a config read is answered; for data windows in capabilities. */
    void (*config_reading)(PciDevice *p, unsigned at, unsigned size);
    /* Command register or power state changed what the function may do (bus master …). */
    void (*enabled_changed)(PciDevice *p);
} PciInfo;

typedef struct PciRegion {
    PciBarKind kind;
    uint64_t size;              /* 0: no such BAR */
    MemRegion *region;          /* what stands there */
    MemRegion *slot;            /* an alias of it, in the bus's space while decoding */
    uint64_t at;                /* where; UINT64_MAX: nowhere */
} PciRegion;

struct PciDevice {
    Device dev;
    const PciInfo *info;
    PciBus *bus;
    uint8_t devfn;              /* slot << 3 | function */
    uint16_t config_size;
    uint8_t config[PCIE_CONFIG_SIZE];
    uint8_t *initial, *writable, *clears;       /* per byte of config */
    uint8_t used[PCI_CONFIG_SIZE / 8];          /* bytes that the header and capabilities take */
    uint16_t last_ext;          /* last extended capability; 0: none */
    uint8_t pm_at, msi_at, msix_at, express_at; /* capabilities; 0: none */
    uint16_t aer_at;
    PciRegion bar[PCI_BARS + 1];
    AddressSpace *space;        /* DMA while bus master; NULL: the machine's memory */
    bool intx;                  /* the function asserts its line … */
    bool intx_seen;             /* … and the bus sees it */
    GMutex irq_lock;            /* MSI and MSI-X state, any thread */
    GMutex config_lock;         /* config space of functions without a domain */
    struct PciVectors *vectors; /* eventfds of vectors */
    uint8_t *msix_table;        /* entries of 16 bytes, then the pending bits */
    uint32_t msix_bytes, msix_pba;
    const struct PciHotplug *hotplug;
    /* properties */
    char *addr, *romfile, *failover;
    uint32_t rombar, romsize, acpi_index;
    bool multifunction;
};

/* ---- for function code ---- */
static inline uint8_t pci_get8(const PciDevice *p, unsigned at) { return p->config[at]; }
uint16_t pci_get16(const PciDevice *p, unsigned at);
uint32_t pci_get32(const PciDevice *p, unsigned at);
/* Status bits and the like, at run time. */
void pci_set8(PciDevice *p, unsigned at, uint8_t v);
void pci_set16(PciDevice *p, unsigned at, uint16_t v);
void pci_set32(PciDevice *p, unsigned at, uint32_t v);
/* (realize) Reset value, storable bits, write-1-to-clear bits. */
void pci_init8(PciDevice *p, unsigned at, uint8_t value, uint8_t writable, uint8_t clears);
void pci_init16(PciDevice *p, unsigned at, uint16_t value, uint16_t writable, uint16_t clears);
void pci_init32(PciDevice *p, unsigned at, uint32_t value, uint32_t writable, uint32_t clears);
/* (realize) Room for a capability of `size` bytes, id and link filled in; at 0: the next free place.
 * Returns its offset; 0 with an error when there is no room. */
uint8_t pci_add_capability(PciDevice *p, uint8_t id, unsigned size, uint8_t at, GError **error);
/* The same at 0x100 and up, on Express functions. */
uint16_t pcie_add_capability(PciDevice *p, uint16_t id, uint8_t version, unsigned size, uint16_t at);
/* Offset of a capability in the live list, 0: none. */
uint8_t pci_find_capability(const PciDevice *p, uint8_t id);

/* (realize) What a BAR's row says, at run time: sizes that depend on properties. region NULL: made from
 * the row. Ownership of the region stays where it is. */
bool pci_add_bar(PciDevice *p, unsigned n, const PciBar *bar, MemRegion *region, GError **error);
static inline MemRegion *pci_bar_region(PciDevice *p, unsigned n) { return p->bar[n].region; }
/* Where the guest has put it; UINT64_MAX: not decoded. */
static inline uint64_t pci_bar_address(PciDevice *p, unsigned n) { return p->bar[n].at; }

/* The INTx line, a level. Any thread. */
void pci_intx(PciDevice *p, bool level);
/* Sends MSI-X or MSI vector n if the guest has enabled one of them; false: use pci_intx(). Masked
 * vectors become pending. Any thread; from another than a CPU's, MSI-X goes by an eventfd where the
 * accelerator delivers those. */
bool pci_notify(PciDevice *p, unsigned vector);
bool pci_msi_enabled(const PciDevice *p);
bool pci_msix_enabled(const PciDevice *p);
/* (realize) For types whose vectors depend on properties. */
bool pci_add_msi(PciDevice *p, const PciMsi *msi, GError **error);
bool pci_add_msix(PciDevice *p, const PciMsix *msix, GError **error);
unsigned pci_msix_vectors(const PciDevice *p);

/* (realize) The Express capability. The core adds it to types with .express; ports do it themselves. */
bool pcie_add_express(PciDevice *p, unsigned type, uint8_t port, uint8_t at, GError **error);
void pcie_add_aer(PciDevice *p, uint16_t at);
static inline bool pci_is_express(const PciDevice *p) { return p->express_at != 0; }

/* DMA as bus master: nothing is read or written (and false comes back) while the guest has not enabled
 * it. An IOMMU may stand between. */
static inline bool pci_dma_read(PciDevice *p, uint64_t pa, void *buf, uint64_t n) { return dma_read(&p->dev, pa, buf, n); }
static inline bool pci_dma_write(PciDevice *p, uint64_t pa, const void *buf, uint64_t n) { return dma_write(&p->dev, pa, buf, n); }
bool pci_is_master(const PciDevice *p);
uint16_t pci_requester(const PciDevice *p);     /* bus << 8 | devfn, by the guest's bus numbers */

/* ---- accesses to configuration space, as from a host bridge ---- */
uint32_t pci_config_read(PciDevice *p, unsigned at, unsigned size);
void pci_config_write(PciDevice *p, unsigned at, uint32_t value, unsigned size);
/* The function that answers on the buses below a root; NULL: none. Within an RCU read section. */
PciDevice *pci_function(PciBus *root, unsigned bus, unsigned devfn);

/* ---- buses ---- */
/* Who lets devices come and go while the guest runs: a slot controller or ACPI. */
typedef struct PciHotplug {
    bool (*plugged)(void *opaque, PciDevice *p, GError **error);
    /* Asks the guest; device_unplug() follows when it has let go. */
    bool (*unplug_request)(void *opaque, PciDevice *p, GError **error);
    void *opaque;
} PciHotplug;

struct PciBus {
    Bus bus;
    PciDevice *slot[PCI_FUNCTIONS];
    PciBus *parent;             /* NULL: a root */
    PciBus *root;
    PciDevice *bridge;          /* that leads here; NULL: a root */
    MemRegion *memory, *io;     /* where BARs are mapped */
    uint32_t reserved;          /* slots that -device does not get without addr= */
    bool express, one_slot;     /* ports: slot 0 only */
    const PciHotplug *hotplug;
    const PciHotplug *bridge_hotplug;   /* of roots: of buses behind bridges, instead of the bridges' own */
    struct PciRoot *host;       /* of roots */
    PciBus *next;               /* from the root: buses of expander bridges, whose parent is NULL, too */
    PciDevice *expander;
    uint8_t number;             /* of such a bus */
    uint16_t numa_node;
    bool bypass_iommu;          /* of roots: what is below is not behind the machine's IOMMU */
};

typedef struct PciRootConfig {
    const char *name;           /* "pcie.0" */
    bool express;
    uint8_t number;             /* of the root bus */
    MemRegion *memory, *io;
    unsigned n_lines;           /* interrupt lines of the host bridge, at most 32 */
    /* The line that pin 0-3 of a slot on the root bus drives; NULL: (slot + pin) % n_lines. */
    unsigned (*map_pin)(void *opaque, unsigned devfn, unsigned pin);
    /* Level of a line, any number of functions ored. Any thread; under a lock of the root. */
    void (*set_line)(void *opaque, unsigned line, bool level);
    void *opaque;
    const MsiTarget *msi;       /* NULL: messages are lost */
} PciRootConfig;
PciBus *pci_root_new(Device *host, const PciRootConfig *config);
/* A chip made later (a south bridge) takes the lines. Before any function drives one. */
void pci_root_route(PciBus *root, unsigned n_lines,
                    unsigned (*map_pin)(void *opaque, unsigned devfn, unsigned pin),
                    void (*set_line)(void *opaque, unsigned line, bool level), void *opaque);
/* Under the lock that set_line is called with: state of a router that both it and registers use. */
void pci_lines_lock(PciBus *root);
void pci_lines_unlock(PciBus *root);
bool pci_line_level(PciBus *root, unsigned line);       /* under that lock */
/* An IOMMU gives each function its DMA space and may take over messages. */
typedef struct PciIommu {
    /* Called now for all functions and later at each plug; NULL result: the machine's memory. */
    AddressSpace *(*space)(void *opaque, PciDevice *p);
    void (*gone)(void *opaque, PciDevice *p);   /* it is unplugged, and uses its space no more */
    const MsiTarget *msi;       /* NULL: the board's */
    void *opaque;
} PciIommu;
/* NULL: none any more. False: there is one already. Control thread. */
bool pci_root_set_iommu(PciBus *root, const PciIommu *iommu);
/* By which id an IOMMU knows the function's DMA: bridges speak for conventional buses behind them. */
uint16_t pci_dma_requester(const PciDevice *p);
const MsiTarget *pci_msi_target(PciBus *root);
/* Whether the function's root bus bypasses the IOMMU; who takes its messages. */
bool pci_bypasses_iommu(const PciDevice *p);
const MsiTarget *pci_function_msi(const PciDevice *p);
/* (realize of a bridge) The bus behind it: "<id>" or, without one, "pci.N"/"pcie.N". */
PciBus *pci_bridge_bus_new(PciDevice *bridge, const char *name, bool express, MemRegion *memory,
                           MemRegion *io);
/* (realize of an expander bridge) A further root bus with a number of its own, lines and spaces of the root's. */
PciBus *pci_expander_bus_new(PciDevice *expander, const char *name, bool express, uint8_t number,
                             uint16_t numa_node);
void pci_expander_bus_gone(PciBus *bus);
uint8_t pci_bus_number(const PciBus *bus);
/* The first root bus of the machine, NULL: no PCI. */
PciBus *pci_bus_of(Vm *vm);
void pci_foreach(PciBus *bus, void (*fn)(PciDevice *p, void *data), void *data);    /* with those below */
/* A function on a bus at slot.function, for boards; properties may be set between. */
PciDevice *pci_draft(Vm *vm, const char *type, unsigned slot, unsigned function);
PciDevice *pci_make(PciBus *bus, const char *type, unsigned slot, unsigned function);

/* ---- configuration access mechanisms; owner is the host bridge ---- */
/* Mechanism #1: address register (4 bytes, at 0xcf8) and data (4 bytes, at 0xcfc). */
typedef struct PciPorts {
    PciBus *root;
    uint32_t address;           /* saved by the owner */
    MemRegion *address_io, *data_io;
    /* Accesses of less than 4 bytes in the address register's place belong to others (reset control at
     * 0xcf9); at is 0-3. NULL: nothing there. */
    uint64_t (*narrow_read)(void *opaque, uint64_t at, unsigned size);
    void (*narrow_write)(void *opaque, uint64_t at, uint64_t value, unsigned size);
    void *narrow_opaque;
} PciPorts;
void pci_ports_init(PciPorts *ports, Object *owner, PciBus *root);
/* ECAM: 1 MiB per bus; `buses` of them, from bus `first`. */
MemRegion *pci_ecam(Object *owner, PciBus *root, unsigned first, unsigned buses);

#endif
