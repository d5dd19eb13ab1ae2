/* SPDX-License-Identifier: Apache-2.0 */
/* The VT-d unit of the machine. Spec: VT-d 3.4, chapter 8 (DMAR). */
#include "hw/acpi-pci.h"
#include "hw/intel-iommu.h"
#include "util/bytes.h"

enum { FLAG_INTREMAP = 1, UNIT = 0, PORTS = 2, ALL = 1, SCOPE_ENDPOINT = 1, SCOPE_BRIDGE = 2, SCOPE_IOAPIC = 3, SCOPE_SIZE = 8, UNIT_SIZE = 16, PORTS_SIZE = 8 };

static void put_scope(GByteArray *b, unsigned type, unsigned bus, unsigned devfn)
{
    bytes_put(b, type, 1);
    bytes_put(b, SCOPE_SIZE, 1);
    bytes_put(b, 0, 2);
    bytes_put(b, 0, 1);                 /* an IOAPIC's id */
    bytes_put(b, bus, 1);
    bytes_put(b, devfn >> 3, 1);
    bytes_put(b, devfn & 7, 1);
}

/* Only when some root bus bypasses the unit: what is on the others. */
static bool put_functions(GByteArray *b, PciBus *root)
{
    bool all = true;
    for (PciBus *bus = root; bus; bus = bus->next)
        all &= !bus->bypass_iommu;
    for (PciBus *bus = root; bus && !all; bus = bus->next)
        for (unsigned i = 0; i < PCI_FUNCTIONS && !bus->bypass_iommu; i++) {
            const PciDevice *p = bus->slot[i];
            if (p)
                put_scope(b, p->info->bridge ? SCOPE_BRIDGE : SCOPE_ENDPOINT, pci_bus_number(bus), i);
        }
    return !all;
}

static void put_unit(GByteArray *b, PciBus *root)
{
    g_autoptr(GByteArray) scopes = g_byte_array_new();
    bool all = !put_functions(scopes, root);
    bytes_put(b, UNIT, 2);
    bytes_put(b, UNIT_SIZE + SCOPE_SIZE + scopes->len, 2);
    bytes_put(b, all ? ALL : 0, 1);     /* all functions of the segment, or those listed */
    bytes_put(b, 0, 1);
    bytes_put(b, 0, 2);                 /* segment */
    bytes_put(b, INTEL_IOMMU_BASE, 8);
    put_scope(b, SCOPE_IOAPIC, INTEL_IOMMU_IOAPIC_SOURCE >> 8, INTEL_IOMMU_IOAPIC_SOURCE & 0xff);
    g_byte_array_append(b, scopes->data, scopes->len);
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
    put_unit(b, pci_bus_of(vm));
    if (info.device_iotlb) {            /* ATS on all root ports */
        bytes_put(b, PORTS, 2);
        bytes_put(b, PORTS_SIZE, 2);
        bytes_put(b, ALL, 1);
        bytes_put(b, 0, 1);
        bytes_put(b, 0, 2);
    }
    acpi_end(t, start, true);
}
