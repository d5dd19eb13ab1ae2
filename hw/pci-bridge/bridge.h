/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI-to-PCI bridges: a bus behind a function, and the windows through which it is reached.
 * Spec: PCI-to-PCI Bridge Architecture 1.2.
 */
#ifndef HW_PCI_BRIDGE_H
#define HW_PCI_BRIDGE_H

#include "hw/pci.h"

enum { BRIDGE_IO, BRIDGE_MEM, BRIDGE_PREF, BRIDGE_WINDOWS };

/* Types name "pci-bridge-base" as .parent; their PciInfo says .bridge and
 * .config_wrote = bridge_config_wrote (or calls it). */
typedef struct PciBridge {
    PciDevice pci;
    PciBus *below;
    MemRegion *memory, *io;     /* the bus's spaces */
    MemRegion *window[BRIDGE_WINDOWS];  /* parts of them on this side */
    bool in_reset;              /* the secondary bus is */
} PciBridge;

void bridge_config_wrote(PciDevice *p, unsigned at, unsigned size);

#endif
