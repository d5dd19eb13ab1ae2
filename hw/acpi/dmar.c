/* SPDX-License-Identifier: Apache-2.0 */
/* The VT-d unit of the machine. Spec: VT-d 3.4, chapter 8 (DMAR). */
#include "hw/acpi-pci.h"
#include "hw/intel-iommu.h"
#include "util/bytes.h"

enum { FLAG_INTREMAP = 1, UNIT = 0, PORTS = 2, ALL = 1, SCOPE_IOAPIC = 3, SCOPE_SIZE = 8, UNIT_SIZE = 16, PORTS_SIZE = 8 };

static void put_unit(GByteArray *b)
{
    bytes_put(b, UNIT, 2);
    bytes_put(b, UNIT_SIZE + SCOPE_SIZE, 2);
    bytes_put(b, ALL, 1);               /* all functions of the segment */
    bytes_put(b, 0, 1);
    bytes_put(b, 0, 2);                 /* segment */
    bytes_put(b, INTEL_IOMMU_BASE, 8);
    bytes_put(b, SCOPE_IOAPIC, 1);
    bytes_put(b, SCOPE_SIZE, 1);
    bytes_put(b, 0, 2);
    bytes_put(b, 0, 1);                 /* its APIC id */
    bytes_put(b, INTEL_IOMMU_IOAPIC_SOURCE >> 8, 1);
    bytes_put(b, INTEL_IOMMU_IOAPIC_SOURCE >> 3 & 31, 1);
    bytes_put(b, INTEL_IOMMU_IOAPIC_SOURCE & 7, 1);
}

void acpi_dmar(AcpiTables *t, Vm *vm)
{
    unsigned start;
    IntelIommuInfo info;
    if (!intel_iommu_info(vm, &info))
        return;
    GByteArray *b = acpi_begin(t, "DMAR", 1, &start);
    bytes_put(b, info.aw_bits - 1, 1);
    bytes_put(b, info.intremap ? FLAG_INTREMAP : 0, 1);
    bytes_put(b, 0, 8);
    bytes_put(b, 0, 2);
    put_unit(b);
    if (info.device_iotlb) {            /* ATS on all root ports */
        bytes_put(b, PORTS, 2);
        bytes_put(b, PORTS_SIZE, 2);
        bytes_put(b, ALL, 1);
        bytes_put(b, 0, 1);
        bytes_put(b, 0, 2);
    }
    acpi_end(t, start, true);
}
