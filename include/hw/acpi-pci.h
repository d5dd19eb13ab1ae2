/* SPDX-License-Identifier: Apache-2.0 */
/* Hotplug of PCI functions by ACPI, and what ACPI says of functions (acpi-index). */
#ifndef HW_ACPI_PCI_H
#define HW_ACPI_PCI_H

#include "hw/acpi-hotplug.h"
#include "hw/pci.h"

enum { ACPI_PCI_WINDOW = 0x18 };

typedef struct AcpiPciConfig {
    PciBus *root;
    bool root_bus, bridges;     /* devices come and go on the root bus; on buses behind bridges, in ports */
    AcpiEvent event;
} AcpiPciConfig;
/* The register block, which takes these buses over; before bridges are made. d->mmio is placed by the board. */
Device *acpi_pci_hotplug_new(Vm *vm, const AcpiPciConfig *config);
/* The machine is built: its buses get their numbers. */
void acpi_pci_hotplug_ready(Device *block);
/* Into the host bridge's device: slots, registers at an I/O port. block NULL: no hotplug, only acpi-index. */
void acpi_pci_hotplug_aml(Aml *bridge, Device *block, const PciBus *root, uint16_t port);
/* The same slots of a bus into another root's device. */
void acpi_pci_bus_aml(Aml *to, Device *block, const PciBus *bus);
void acpi_pci_event_aml(Aml *dsdt, const PciBus *root);
/* DMAR: the machine's VT-d unit; nothing without one. */
void acpi_dmar(AcpiTables *t, Vm *vm);
/* VIOT: the machine's virtio IOMMU and what it translates for; nothing without one. */
void acpi_viot(AcpiTables *t, Vm *vm);
/* _OSC of an Express host bridge: everything is the system's, native hotplug if nobody else does it. */
void acpi_pci_osc(Aml *bridge, bool native_hotplug);

#endif
