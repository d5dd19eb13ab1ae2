/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of hw/pci. */
#ifndef HW_PCI_INTERNAL_H
#define HW_PCI_INTERNAL_H

#include "hw/pci.h"

/* What a root bus has besides: lines and their users, targets. */
typedef struct PciRoot {
    PciRootConfig c;
    GMutex lock;                /* of lines */
    uint16_t users[32];         /* functions that assert each line */
    AddressSpace *nowhere;      /* DMA space of functions that are not bus masters */
    PciIommu iommu;             /* .space NULL: none */
    const MsiTarget *msi;
} PciRoot;

/* config.c */
void pci_header_init(PciDevice *p);
void pci_take(PciDevice *p, unsigned at, unsigned size);
/* bar.c */
void pci_update_bars(PciDevice *p);
bool pci_add_bars(PciDevice *p, GError **error);
void pci_bars_gone(PciDevice *p);
/* rom.c */
bool pci_add_rom(PciDevice *p, GError **error);
/* irq.c: brings the bus's view of the line up to date. */
void pci_intx_update(PciDevice *p);
/* bus.c: DMA on or off. */
void pci_update_dma(PciDevice *p);
void pci_join_iommu(PciDevice *p);
void pci_leave_iommu(PciDevice *p);
bool pci_is_awake(const PciDevice *p);          /* D0 */
/* msi.c, msix.c: their control registers changed, or state came from outside. */
void pci_msi_update(PciDevice *p);
void pci_msix_update(PciDevice *p);
bool pci_msi_send(PciDevice *p, unsigned vector);
bool pci_msix_send(PciDevice *p, unsigned vector);
void pci_vectors_free(PciDevice *p);
void pci_send_message(PciDevice *p, uint64_t address, uint32_t data);
/* pm.c */
bool pci_add_pm(PciDevice *p, GError **error);

#endif
