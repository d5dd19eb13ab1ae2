/* SPDX-License-Identifier: Apache-2.0 */
/* SMRAM of the Q35 memory controller hub. Datasheet: Intel 316966, 5.1.26, 5.1.27, 3.8. */
#ifndef HW_PCI_HOST_SMRAM_H
#define HW_PCI_HOST_SMRAM_H

#include "hw/pci-host/pc-host.h"

/* Ranges beyond 0xa0000 that only system management mode sees. */
typedef struct Smram {
    MemRegion *high, *high_open;        /* 0xa0000 once more below 4 GiB; for everybody while open */
    MemRegion *tseg, *tseg_hole;        /* the end of low RAM: for SMM; nothing, for others */
    MemRegion *start, *start_hole;      /* the same for 0x30000, where CPUs enter SMM after reset */
    uint64_t low_size;
} Smram;

typedef struct SmramState {
    bool enabled, open, high;
    uint64_t tseg;              /* bytes; 0: none */
    bool start_locked;
} SmramState;

void smram_init(Smram *s, Object *owner, const PcHostConfig *config);
void smram_set(Smram *s, const SmramState *state);

#endif
