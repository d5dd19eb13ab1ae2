/* SPDX-License-Identifier: Apache-2.0 */
/* query-pci: what is plugged into PCI, as the guest has set it up. */
#include "hw/pci-look.h"
#include "qapi/qapi-commands.h"

static PciMemoryRange *range_of(PciLookRange r)
{
    PciMemoryRange *range = g_new0(PciMemoryRange, 1);

    range->base = (int64_t)r.base;
    range->limit = (int64_t)r.limit;
    return range;
}

static PciDeviceInfoList *devices_on(const struct PciBus *bus);

static PciBridgeInfo *bridge_of(const PciLook *l)
{
    PciBridgeInfo *b = g_new0(PciBridgeInfo, 1);

    b->bus = g_new0(PciBusInfo, 1);
    b->bus->number = l->bus;
    b->bus->secondary = l->secondary;
    b->bus->subordinate = l->subordinate;
    b->bus->io_range = range_of(l->io);
    b->bus->memory_range = range_of(l->memory);
    b->bus->prefetchable_range = range_of(l->prefetchable);
    b->devices = devices_on(l->below);
    return b;
}

static PciMemoryRegionList *regions_of(const PciLook *l)
{
    PciMemoryRegionList *list = pci_memory_region_list_new();

    for (unsigned i = 0; i < l->n_regions; i++) {
        PciMemoryRegion *r = g_new0(PciMemoryRegion, 1);
        r->bar = l->region[i].bar;
        r->type = g_strdup(l->region[i].io ? "io" : "memory");
        r->address = (int64_t)l->region[i].address;
        r->size = (int64_t)l->region[i].size;
        r->has_prefetch = r->has_mem_type_64 = !l->region[i].io;
        r->prefetch = l->region[i].prefetch;
        r->mem_type_64 = l->region[i].wide;
        pci_memory_region_list_add(list, r);
    }
    return list;
}

static PciDeviceInfo *device_of(const PciLook *l)
{
    PciDeviceInfo *d = g_new0(PciDeviceInfo, 1);

    d->bus = l->bus;
    d->slot = l->slot;
    d->function = l->function;
    d->class_info = g_new0(PciDeviceClass, 1);
    d->class_info->class = l->class;
    d->class_info->desc = g_strdup(l->desc);
    d->id = g_new0(PciDeviceId, 1);
    d->id->vendor = l->vendor;
    d->id->device = l->device;
    d->id->has_subsystem = d->id->has_subsystem_vendor = !l->below;
    d->id->subsystem = l->subsystem;
    d->id->subsystem_vendor = l->subvendor;
    d->irq_pin = l->pin;
    d->has_irq = l->pin != 0;
    d->irq = l->irq;
    d->qdev_id = g_strdup(l->id);
    d->regions = regions_of(l);
    d->pci_bridge = l->below ? bridge_of(l) : NULL;
    return d;
}

static PciDeviceInfoList *devices_on(const struct PciBus *bus)
{
    PciDeviceInfoList *list = pci_device_info_list_new();
    PciLook l;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (pci_look_at(bus, devfn, &l)) {
            pci_device_info_list_add(list, device_of(&l));
        }
    }
    return list;
}

PciInfoList *qmp_query_pci(Vm *vm, GError **error)
{
    PciInfoList *list = pci_info_list_new();
    struct PciBus *root;

    for (unsigned n = 0; (root = pci_look_root(vm, n)) != NULL; n++) {
        PciInfo *info = g_new0(PciInfo, 1);
        info->bus = pci_look_number(root);
        info->devices = devices_on(root);
        pci_info_list_add(list, info);
    }
    return list;
}
