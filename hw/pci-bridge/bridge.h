/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI-to-PCI bridges: a bus behind a function, and the windows through which it is reached.
 * Spec: PCI-to-PCI Bridge Architecture 1.2.
 */
#ifndef HW_PCI_BRIDGE_H
#define HW_PCI_BRIDGE_H

#include "hw/pci.h"
#include "hw/pci-look.h"

enum { BRIDGE_IO, BRIDGE_MEM, BRIDGE_PREF, BRIDGE_WINDOWS };

/* Types name "pci-bridge-base" as .parent; their PciInfo says .bridge and
 * .config_wrote = bridge_config_wrote (or calls it). */
typedef struct PciBridge {
    PciDevice pci;
    PciBus *below;
    MemRegion *memory, *io;     /* the bus's spaces */
    MemRegion *window[BRIDGE_WINDOWS];  /* parts of them on this side */
    bool in_reset;              /* the secondary bus is */
    uint32_t bus_reserve;       /* what firmware shall set aside for what comes later; all ones: its choice */
    uint64_t io_reserve, mem_reserve, pref32_reserve, pref64_reserve;
} PciBridge;

/* The window as it stands in the registers; limit below base: closed. */
PciLookRange bridge_range(const PciDevice *p, unsigned which);
void bridge_config_wrote(PciDevice *p, unsigned at, unsigned size);

#endif
