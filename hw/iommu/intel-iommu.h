/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the VT-d unit. Register and entry layouts: VT-d specification 3.4. */
#ifndef HW_IOMMU_INTEL_IOMMU_H
#define HW_IOMMU_INTEL_IOMMU_H

#include "hw/apic.h"
#include "hw/iommu/space.h"

enum {
    /* GCMD, GSTS */
    VTD_COMPAT = 1 << 23, VTD_IRTP = 1 << 24, VTD_INTREMAP = 1 << 25, VTD_QUEUE = 1 << 26, VTD_WBF = 1 << 27,
    VTD_RTP = 1 << 30,
    /* FSTS */
    VTD_PFO = 1 << 0, VTD_PPF = 1 << 1, VTD_IQE = 1 << 4,
    /* fault reasons (7.3, 7.1.3) */
    VTD_F_ROOT = 1, VTD_F_CONTEXT, VTD_F_CONTEXT_BAD, VTD_F_BEYOND, VTD_F_WRITE, VTD_F_READ, VTD_F_TABLE, VTD_F_ROOT_TABLE,
    VTD_F_CONTEXT_TABLE, VTD_F_ROOT_BITS, VTD_F_CONTEXT_BITS, VTD_F_PAGE_BITS,
    VTD_F_REQUEST_BITS = 0x20, VTD_F_INDEX, VTD_F_IRTE, VTD_F_IR_TABLE, VTD_F_IRTE_BITS, VTD_F_COMPAT, VTD_F_SID,
    VTD_TLB = 64,
};
#define VTD_TRANSLATE (1u << 31)
#define VTD_ADDRESS 0xffffffffff000ull
#define VTD_MESSAGES 0xfee00000ull
#define VTD_MESSAGES_SIZE 0x100000ull

typedef struct Vtd {
    Device dev;
    IommuSpaces spaces;
    ApicBus *apics;
    const MsiTarget *board;     /* where messages go behind us */
    MsiTarget target;           /* where functions send theirs */
    uint64_t cap, ecap;
    /* Registers. What translations on other threads read is written whole, and `live` when the guest says
     * so: status, live_root, live_irta. */
    uint32_t status, fsts, fectl, fedata, feaddr, feuaddr, ics, iectl, iedata, ieaddr, ieuaddr;
    uint64_t root, ccmd, iqh, iqt, iqa, irta, iva, iotlb, frcd_low, frcd_high;
    uint64_t live_root, live_irta;
    GArray *routes;             /* intel-iommu-routes.c; NULL: the accelerator has none */
    GMutex routes_lock;
    unsigned posted;            /* faults on their way to the registers; atomic */
    /* properties */
    int intremap, eim;          /* OnOffAuto */
    bool caching, device_iotlb, pass_through, snoop, drain;
    uint8_t aw_bits;
} Vtd;

typedef struct VtdEntry {
    uint64_t page, pa, mask;    /* page: of 4 KiB; mask 0: empty */
    bool read, write;
} VtdEntry;

/* A function's: its part of the IOTLB, under the space's lock. */
typedef struct VtdSpace {
    IommuSpace space;
    MemRegion *messages;        /* DMA to the interrupt window */
    AddressSpace *message_space;
    uint16_t domain;
    VtdEntry tlb[VTD_TLB];
} VtdSpace;

static inline uint32_t vtd_status(Vtd *s) { return __atomic_load_n(&s->status, __ATOMIC_ACQUIRE); }
/* A word of a table in the guest's memory, which must be RAM there. Any thread. */
bool vtd_word(Vtd *s, uint64_t pa, uint64_t *v);
/* Records a fault soon. Any thread. */
void vtd_fault(Vtd *s, unsigned reason, uint16_t requester, uint64_t address, bool write);

/* intel-iommu-dma.c: MemTranslation of a function's access; forgets what is cached of [first, last] of a
 * domain, -1: of all; of one function or all. */
MemTranslation vtd_translate(IommuSpace *space, uint64_t addr, bool write);
void vtd_forget(Vtd *s, int domain, uint64_t first, uint64_t last);

/* intel-iommu-irq.c: what becomes of a message; false: it is blocked. quiet: nobody sends it, no fault. */
bool vtd_remap(Vtd *s, MsiMessage *m, bool quiet);
void vtd_send(void *opaque, const MsiMessage *m);

/* intel-iommu-routes.c: fills in s->target, knowing s->board. */
void vtd_routes_init(Vtd *s);
/* What becomes of messages is different from now on. */
void vtd_remap_changed(Vtd *s);

/* intel-iommu-queue.c: takes descriptors from the invalidation queue. */
void vtd_run_queue(Vtd *s);
/* intel-iommu.c: interrupts of the unit itself. */
void vtd_event(Vtd *s, uint32_t *control, uint32_t address, uint32_t upper, uint32_t data);

#endif
