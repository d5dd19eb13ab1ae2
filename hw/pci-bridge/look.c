/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors tell of PCI. */
#include "hw/pci-bridge/bridge.h"
#include "hw/pci-look.h"

static const struct { uint16_t class; const char *desc; } words[] = {
    {0x0001, "VGA controller"}, {0x0100, "SCSI controller"}, {0x0101, "IDE controller"}, {0x0102, "Floppy controller"},
    {0x0103, "IPI controller"}, {0x0104, "RAID controller"}, {0x0106, "SATA controller"}, {0x0107, "SAS controller"},
    {0x0180, "Storage controller"}, {0x0200, "Ethernet controller"}, {0x0201, "Token Ring controller"},
    {0x0202, "FDDI controller"}, {0x0203, "ATM controller"}, {0x0280, "Network controller"},
    {0x0300, "VGA controller"}, {0x0301, "XGA controller"}, {0x0302, "3D controller"}, {0x0380, "Display controller"},
    {0x0400, "Video controller"}, {0x0401, "Audio controller"}, {0x0402, "Phone"}, {0x0403, "Audio controller"},
    {0x0480, "Multimedia controller"}, {0x0500, "RAM controller"}, {0x0501, "Flash controller"},
    {0x0580, "Memory controller"}, {0x0600, "Host bridge"}, {0x0601, "ISA bridge"}, {0x0602, "EISA bridge"},
    {0x0604, "PCI bridge"}, {0x0605, "PCMCIA bridge"}, {0x0680, "Bridge"}, {0x0700, "Serial port"},
    {0x0701, "Parallel port"}, {0x0800, "Interrupt controller"}, {0x0801, "DMA controller"}, {0x0802, "Timer"},
    {0x0803, "RTC"}, {0x0900, "Keyboard"}, {0x0901, "Pen"}, {0x0902, "Mouse"}, {0x0c00, "FireWire controller"},
    {0x0c03, "USB controller"}, {0x0c05, "SMBus"},
};

PciBus *pci_look_root(Vm *vm, unsigned n)
{
    PciBus *b = pci_bus_of(vm);

    while (b && n-- > 0) {
        b = b->next;
    }
    return b;
}

unsigned pci_look_number(const PciBus *bus)
{
    return pci_bus_number(bus);
}

unsigned pci_look_devfn(const Device *d)
{
    return ((const PciDevice *)d)->devfn;
}

static void look_at_regions(const PciDevice *p, PciLook *l)
{
    for (unsigned n = 0; n <= PCI_BARS; n++) {
        const PciRegion *r = &p->bar[n];
        if (!r->size) {
            continue;
        }
        l->region[l->n_regions].bar = n;
        l->region[l->n_regions].io = r->kind == PCI_BAR_IO;
        l->region[l->n_regions].prefetch = r->kind == PCI_BAR_PREF32 || r->kind == PCI_BAR_PREF64;
        l->region[l->n_regions].wide = r->kind == PCI_BAR_MEM64 || r->kind == PCI_BAR_PREF64;
        l->region[l->n_regions].size = r->size;
        l->region[l->n_regions++].address = r->at;
    }
}

bool pci_look_takes_hotplug(Bus *bus)
{
    return object_is_a(&bus->object, "PCI") && ((PciBus *)bus)->hotplug;
}

bool pci_look_at(const PciBus *bus, unsigned devfn, PciLook *l)
{
    const PciDevice *p = devfn < PCI_FUNCTIONS ? bus->slot[devfn] : NULL;

    if (!p) {
        return false;
    }
    *l = (PciLook){
        .bus = pci_bus_number(bus), .slot = devfn >> 3, .function = devfn & 7, .class = pci_get16(p, PCI_CLASS + 1),
        .vendor = pci_get16(p, PCI_VENDOR_ID), .device = pci_get16(p, PCI_DEVICE_ID),
        .pin = pci_get8(p, PCI_INTERRUPT_PIN), .irq = pci_get8(p, PCI_INTERRUPT_LINE), .id = p->dev.id ? p->dev.id : "",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        l->desc = words[i].class == l->class ? words[i].desc : l->desc;
    }
    look_at_regions(p, l);
    if (p->info->bridge && object_is_a(&((PciDevice *)p)->dev.object, "pci-bridge-base")) {
        const PciBridge *b = (const PciBridge *)p;
        l->below = b->below;
        l->secondary = pci_get8(p, PCI_SECONDARY_BUS);
        l->subordinate = pci_get8(p, PCI_SUBORDINATE_BUS);
        l->io = bridge_range(p, BRIDGE_IO);
        l->memory = bridge_range(p, BRIDGE_MEM);
        l->prefetchable = bridge_range(p, BRIDGE_PREF);
    } else {
        l->subvendor = pci_get16(p, PCI_SUBVENDOR);
        l->subsystem = pci_get16(p, PCI_SUBSYSTEM);
    }
    return true;
}
