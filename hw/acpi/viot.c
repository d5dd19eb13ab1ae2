/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions are behind a virtio IOMMU. Spec: ACPI 6.5, 5.2.34 (Virtual I/O Translation Table). */
#include "hw/acpi-pci.h"
#include "util/bytes.h"

enum { PCI_RANGE = 1, PCI_IOMMU = 3, LAST = 0xffff, RANGE_SIZE = 24, IOMMU_SIZE = 16, NODES_AT = 48 };

static bool is_iommu(Object *o, void *unused) { return object_is_a(o, "virtio-iommu-pci"); }

/* Functions of one root bus and below: to the next root's number. */
static void put_range(GByteArray *b, PciBus *root, const PciBus *bus, bool whole)
{
    unsigned first = pci_bus_number(bus) << 8, last = LAST;
    for (const PciBus *o = root; o; o = o->next)
        if ((unsigned)pci_bus_number(o) << 8 > first)
            last = MIN(last, ((unsigned)pci_bus_number(o) << 8) - 1);
    first = whole ? 0 : first;
    last = whole ? LAST : last;
    bytes_put(b, PCI_RANGE, 2);
    bytes_put(b, RANGE_SIZE, 2);
    bytes_put(b, first, 4);             /* endpoints are numbered as functions are */
    bytes_put(b, 0, 4);                 /* segments */
    bytes_put(b, first, 2);
    bytes_put(b, last, 2);
    bytes_put(b, NODES_AT, 2);          /* the node that translates */
    bytes_put(b, 0, 6);
}

void acpi_viot(AcpiTables *t, Vm *vm)
{
    unsigned start;
    Object *iommu = object_walk(&vm->root, is_iommu, NULL);
    if (!iommu)
        return;
    PciBus *root = pci_bus_of(vm);
    unsigned all = 0, behind = 0;
    for (const PciBus *bus = root; bus; bus = bus->next) {
        all++;
        behind += !bus->bypass_iommu;
    }
    GByteArray *b = acpi_begin(t, "VIOT", 0, &start);
    bytes_put(b, 1 + (behind == all ? 1 : behind), 2);  /* nodes */
    bytes_put(b, NODES_AT, 2);
    bytes_put(b, 0, 8);
    bytes_put(b, PCI_IOMMU, 2);
    bytes_put(b, IOMMU_SIZE, 2);
    bytes_put(b, 0, 2);                 /* segment */
    bytes_put(b, pci_requester((PciDevice *)iommu), 2);
    bytes_put(b, 0, 8);
    if (behind == all)
        put_range(b, root, root, true);
    for (PciBus *bus = root; bus && behind != all; bus = bus->next)
        if (!bus->bypass_iommu)
            put_range(b, root, bus, false);
    acpi_end(t, start, true);
}
