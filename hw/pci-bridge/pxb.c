/* SPDX-License-Identifier: Apache-2.0 */
/* Expander bridges: further root buses with numbers and a NUMA node of their own. Spec: PCI Firmware 3.2, 4.6. */
#include "hw/pci-bridge/bridge.h"
#include "util/error.h"

enum { NO_NODE = UINT16_MAX };

typedef struct Pxb {
    PciDevice pci;
    PciBus *below;
    uint8_t bus_nr;
    uint16_t numa_node;
    bool bypass_iommu;
} Pxb;

static bool check(Pxb *s, GError **error)
{
    const PciDevice *p = &s->pci;

    if (!s->bus_nr) {
        return error_set(error, "bus_nr= is to be the number of the new root bus, from 1 on");
    }
    if (p->bus != p->bus->root) {
        return error_set(error, "PXB devices cannot be attached to a PCI bus that is not a root bus");
    }
    for (const PciBus *b = p->bus->root->next; b; b = b->next) {
        if (b->number == s->bus_nr) {
            return error_set(error, "bus_nr=%u: another expander bridge has that number", s->bus_nr);
        }
    }
    return true;
}

static bool realize(Device *d, GError **error)
{
    Pxb *s = (Pxb *)d;
    bool express = device_type(d)->ext != NULL;

    if (!check(s, error)) {
        return false;
    }
    if (express != s->pci.bus->express) {
        return error_set(error, express ? "pxb-pcie devices cannot reside on a PCI bus"
                                        : "pxb devices cannot reside on a PCIe bus");
    }
    s->below = pci_expander_bus_new(&s->pci, express ? d->id : "pxb-internal", express, s->bus_nr, s->numa_node);
    s->below->bypass_iommu = s->bypass_iommu;
    if (express) {
        return true;
    }
    /* Conventional devices sit behind a bridge, whose bus has the user's name. */
    PciDevice *bridge = pci_draft(d->object.vm, "pci-bridge", 0, 0);
    bridge->dev.id = g_strdup(d->id);
    object_add_child(&d->object, "bridge", &bridge->dev.object);
    return device_realize(&bridge->dev, &s->below->bus, error);
}

static void unrealize(Device *d)
{
    pci_expander_bus_gone(((Pxb *)d)->below);
}

static const Field fields[] = {
    HOST(Pxb, below), PROP(Pxb, bus_nr, "bus_nr", PROP_U8, .desc = "Number of the root bus"),
    PROP(Pxb, numa_node, "numa_node", PROP_U16, .init = NO_NODE, .desc = "NUMA node that it is near to"),
    PROP(Pxb, bypass_iommu, "bypass_iommu", PROP_BOOL, .desc = "What is below is not behind the machine's IOMMU"),
};

static const PciInfo pcie_info = {.vendor = 0x1b36, .device = 0x000b, .class = 0x060000, .no_hotplug = true};
static const DeviceType pxb_pcie = {
    .name = "pxb-pcie", .parent = "pci-device", .desc = "PCI Express Expander Bridge", .size = sizeof(Pxb),
    .category = DEVICE_BRIDGE, .pluggable = true, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .pci = &pcie_info, .ext = &pcie_info,
};
DEVICE_TYPE(pxb_pcie);

static const PciInfo pci_info = {.vendor = 0x1b36, .device = 0x0009, .class = 0x060000, .no_hotplug = true};
static const DeviceType pxb = {
    .name = "pxb", .parent = "pci-device", .desc = "PCI Expander Bridge", .size = sizeof(Pxb),
    .category = DEVICE_BRIDGE, .pluggable = true, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .pci = &pci_info,
};
DEVICE_TYPE(pxb);
