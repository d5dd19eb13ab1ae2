/* SPDX-License-Identifier: Apache-2.0 */
/* ATA and ATAPI drives on an "IDE" bus, and the controllers of PCs that own such buses. */
#ifndef HW_IDE_H
#define HW_IDE_H

#include "hw/pci.h"

/* Plugs ide-hd or ide-cd for the drives of -drive if=ide: index n is unit n % units of bus n / units. buses:
 * names like "ide.%u" of `n` buses below the controller. */
bool ide_add_drives(PciDevice *controller, unsigned units, GError **error);
/* q35's SATA controller at 1f.2; pc's PIIX3 function at 01.1, with interrupts 14 and 15. */
PciDevice *ich9_ahci_new(PciBus *root);
PciDevice *piix3_ide_new(PciBus *root, Pin irq14, Pin irq15);

#endif
