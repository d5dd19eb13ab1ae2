/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe controller. Spec: NVM Express 1.4. Registers and doorbells run on vCPU threads in the device's domain;
 * commands are fetched and run on the machine's loop, where the domain is taken again.
 */
#ifndef HW_NVME_NVME_H
#define HW_NVME_NVME_H

#include "hw/disk.h"
#include "hw/dma-list.h"
#include "hw/pci.h"

enum {
    NVME_QUEUES = 65, NVME_NAMESPACES = 256, NVME_PAGE = 4096, NVME_EVENTS = 4,
    /* status: type << 8 | code */
    NVME_OK = 0, NVME_OPCODE = 0x01, NVME_FIELD = 0x02, NVME_TRANSFER = 0x04, NVME_ABORTED = 0x07, NVME_NSID = 0x0b,
    NVME_SGL = 0x11, NVME_LBA = 0x80, NVME_BAD_CQ = 0x100, NVME_BAD_QID = 0x101, NVME_BAD_SIZE = 0x102,
    NVME_EVENT_LIMIT = 0x105, NVME_VECTOR = 0x108, NVME_LOG = 0x109, NVME_QUEUE_DELETION = 0x10c,
    NVME_FAULT_WRITE = 0x280, NVME_FAULT_READ = 0x281, NVME_READ_ONLY = 0x182, NVME_LATER = 0xffff,
};
typedef struct Nvme Nvme;

/* Queues, all of it saved. */
typedef struct NvmeSq {
    uint64_t base;
    uint32_t size, head, tail;
    uint16_t cq, live;
} NvmeSq;
typedef struct NvmeCq {
    uint64_t base;
    uint32_t size, head, tail;
    uint16_t vector;
    uint8_t phase, interrupts, live, pad[3];
} NvmeCq;

typedef struct NvmeNamespace {
    Device *dev;
    DiskConfig *conf;
    uint8_t uuid[16];
    uint64_t eui64;
} NvmeNamespace;

typedef struct NvmeCommand {
    BlockRequest r;
    Nvme *s;
    uint32_t dw[16];            /* host order */
    uint16_t sq, cid;
    uint32_t generation;
    bool to_guest;
    DmaList dma;
    NvmeNamespace *ns;
    uint8_t *ranges;
    unsigned range, n_ranges;
} NvmeCommand;

struct Nvme {
    PciDevice pci;
    DiskConfig conf;
    NvmeNamespace first;
    NvmeNamespace *ns[NVME_NAMESPACES + 1];
    Bus *bus;
    uint32_t intm, cc, csts, aqa;
    uint64_t asq, acq;
    NvmeSq sq[NVME_QUEUES];
    NvmeCq cq[NVME_QUEUES];
    uint32_t features[16];
    uint16_t event_cid[NVME_EVENTS];
    uint8_t n_events, changed;  /* waiting event commands; a namespace changed and nobody knows */
    GQueue full;                /* completions without room: Completion * */
    GQueue held;                /* NvmeCommand *: wait for the machine to run again */
    GBytes *waiting;            /* both, on the way to another machine */
    uint32_t in_flight, generation;
    bool posted;
    unsigned listener;
    /* properties */
    uint32_t max_ioqpairs, nsid;
    uint16_t msix_qsize;
    uint8_t mdts, aerl;
    bool use_intel_id;
    int32_t bootindex;
};

/* admin.c and io.c: the status, or NVME_LATER; *result goes into the completion. */
uint16_t nvme_admin(Nvme *s, NvmeCommand *c, uint32_t *result);
uint16_t nvme_io(Nvme *s, NvmeCommand *c);
/* Builds c->dma for `bytes` of data from PRPs or SGLs. */
uint16_t nvme_map(Nvme *s, NvmeCommand *c, uint64_t bytes, bool to_guest);
/* Ends a command; domain held. */
void nvme_complete(Nvme *s, uint16_t sq, uint16_t cid, uint16_t status, uint32_t result);
void nvme_free_command(NvmeCommand *c);
/* On the loop, domain held. */
void nvme_run(Nvme *s);
void nvme_settle(Nvme *s);
void nvme_namespace_changed(Nvme *s);
bool nvme_add_namespace(Nvme *s, NvmeNamespace *ns, uint32_t *nsid, GError **error);

#endif
