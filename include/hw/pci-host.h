/* SPDX-License-Identifier: Apache-2.0 */
/* The generic PCI Express host bridge: ECAM, windows, four interrupt lines; what device trees call
 * "pci-host-ecam-generic". */
#ifndef HW_PCI_HOST_H
#define HW_PCI_HOST_H

#include "hw/pci.h"

typedef struct GpexConfig {
    uint64_t ecam;              /* base; 1 MiB per bus */
    unsigned buses;             /* 1-256 */
    struct { uint64_t base, size; } mmio32, mmio64;     /* windows, same addresses on both sides */
    uint64_t pio;               /* where ports 0-0xffff appear in memory; 0: ports are the CPU's own */
    Pin irq[PCI_PINS];          /* slot and pin: irq[(slot + pin) % 4] */
    const MsiTarget *msi;
} GpexConfig;
/* Makes the bridge and its root bus "pcie.0"; function 00.0 is the bridge's own. */
PciBus *gpex_new(Vm *vm, const GpexConfig *config);

#endif
