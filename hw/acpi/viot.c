/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions are behind a virtio IOMMU. Spec: ACPI 6.5, 5.2.34 (Virtual I/O Translation Table). */
#include "hw/acpi-pci.h"
#include "util/bytes.h"

enum { PCI_RANGE = 1, PCI_IOMMU = 3, RANGE_SIZE = 24, IOMMU_SIZE = 16, NODES_AT = 48 };

static bool is_iommu(Object *o, void *unused) { return object_is_a(o, "virtio-iommu-pci"); }

void acpi_viot(AcpiTables *t, Vm *vm)
{
    unsigned start;
    Object *iommu = object_walk(&vm->root, is_iommu, NULL);
    if (!iommu)
        return;
    GByteArray *b = acpi_begin(t, "VIOT", 0, &start);
    bytes_put(b, 2, 2);                 /* nodes */
    bytes_put(b, NODES_AT, 2);
    bytes_put(b, 0, 8);
    bytes_put(b, PCI_IOMMU, 2);
    bytes_put(b, IOMMU_SIZE, 2);
    bytes_put(b, 0, 2);                 /* segment */
    bytes_put(b, pci_requester((PciDevice *)iommu), 2);
    bytes_put(b, 0, 8);
    bytes_put(b, PCI_RANGE, 2);
    bytes_put(b, RANGE_SIZE, 2);
    bytes_put(b, 0, 4);                 /* endpoints are numbered as functions are */
    bytes_put(b, 0, 4);                 /* segments */
    bytes_put(b, 0, 2);
    bytes_put(b, 0xffff, 2);
    bytes_put(b, NODES_AT, 2);          /* the node that translates */
    bytes_put(b, 0, 6);
    acpi_end(t, start, true);
}
