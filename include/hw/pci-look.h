/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors tell of PCI: functions as the guest has set them up. Control thread. */
#ifndef HW_PCI_LOOK_H
#define HW_PCI_LOOK_H

#include "core/device.h"
#include "core/vm.h"

struct PciBus;

typedef struct PciLookRange { uint64_t base, limit; } PciLookRange;

typedef struct PciLook {
    unsigned bus, slot, function;
    uint16_t class, vendor, device, subvendor, subsystem;
    uint8_t pin, irq;           /* pin 0: none */
    const char *id;             /* the user's, or "" */
    const char *desc;           /* of the class; NULL: no words for it */
    struct PciBus *below;       /* behind a bridge */
    unsigned secondary, subordinate;
    PciLookRange io, memory, prefetchable;      /* a bridge's windows */
    unsigned n_regions;
    struct { unsigned bar; bool io, prefetch, wide; uint64_t size, address; } region[7];     /* address UINT64_MAX: nowhere */
} PciLook;

/* The n-th root bus; NULL: there are not so many. */
struct PciBus *pci_look_root(Vm *vm, unsigned n);
unsigned pci_look_number(const struct PciBus *bus);
/* slot << 3 | function of a realized "pci-device". */
unsigned pci_look_devfn(const Device *d);
/* Whether functions may come to a PCI bus while the machine runs. */
bool pci_look_takes_hotplug(Bus *bus);
/* The function at a place; false: none. */
bool pci_look_at(const struct PciBus *bus, unsigned devfn, PciLook *look);

#endif
