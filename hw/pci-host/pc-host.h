/* SPDX-License-Identifier: Apache-2.0 */
/* What the host bridges of PCs share; private to hw/pci-host. */
#ifndef HW_PCI_HOST_PC_HOST_H
#define HW_PCI_HOST_PC_HOST_H

#include "hw/pam.h"
#include "hw/pc-pci.h"

typedef struct PcHost {
    Device dev;
    PciBus *root;
    PciPorts ports;
    PcHostConfig c;
    PciDevice *function;        /* 00.0 */
    uint64_t hole64_size;
} PcHost;

/* The bridge with its root bus and configuration ports; then its function at 00.0, which it owns. */
PcHost *pc_host_new(Vm *vm, const char *type, const char *bus, bool express, const PcHostConfig *config);
void pc_host_add(PcHost *s, PciDevice *function);

#endif
