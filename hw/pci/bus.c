/* SPDX-License-Identifier: Apache-2.0 */
/* Buses: roots and those behind bridges, slots, bus numbers, DMA spaces. */
#include <stdio.h>
#include <string.h>
#include "hw/pci/internal.h"
#include "util/error.h"

static void bus_finish(Object *o)
{
    PciRoot *r = ((PciBus *)o)->host;
    if (r) {
        address_space_free(r->nowhere);
        g_mutex_clear(&r->lock);
        g_free(r);
    }
}

/* ---- places ---- */

/* "2", "02.1": slot and function, hexadecimal. */
static bool parse_addr(const char *text, unsigned *slot, unsigned *fn)
{
    int used = 0;
    *fn = 0;
    if (sscanf(text, "%x%n", slot, &used) < 1)
        return false;
    if (text[used] == '.') {
        int more = 0;
        if (sscanf(text + used + 1, "%x%n", fn, &more) < 1)
            return false;
        used += 1 + more;
    }
    return text[used] == 0 && *slot < PCI_SLOTS && *fn < 8;
}

static bool slot_is_empty(const PciBus *b, unsigned slot)
{
    for (unsigned fn = 0; fn < 8; fn++)
        if (b->slot[slot << 3 | fn])
            return false;
    return true;
}

static bool find_place(PciBus *b, PciDevice *p, GError **error)
{
    const char *type = p->dev.object.type->name;
    unsigned slot, fn;
    if (p->addr && strcmp(p->addr, "-1") != 0) {
        if (!parse_addr(p->addr, &slot, &fn))
            return error_set(error, "%s: addr=%s is not a PCI address; write slot or slot.function in "
                             "hexadecimal, such as 1f.2", type, p->addr);
        if (b->one_slot && slot)
            return error_set(error, "PCI: slot %u is not valid for %s on bus '%s': only slot 0 is", slot,
                             type, b->bus.object.name);
        p->devfn = slot << 3 | fn;
        const PciDevice *other = b->slot[p->devfn];
        if (other)
            return error_set(error, "PCI: slot %u function %u not available for %s, in use by %s,id=%s",
                             slot, fn, type, other->dev.object.type->name,
                             other->dev.id ? other->dev.id : "");
        return true;
    }
    for (slot = 0; slot < (b->one_slot ? 1 : PCI_SLOTS); slot++)
        if (!(b->reserved >> slot & 1) && slot_is_empty(b, slot)) {
            p->devfn = slot << 3;
            return true;
        }
    return error_set(error, "PCI: no slot/function available for %s, all in use or reserved", type);
}

/* Functions behind a function 0 that does not say "multifunction" are never found. */
static bool check_functions(PciBus *b, PciDevice *p, GError **error)
{
    const PciDevice *first = b->slot[p->devfn & ~7];
    if (p->devfn & 7 && first && !first->multifunction)
        return error_set(error, "PCI: single function device can't be populated in function %x.%x: "
                         "function 0 needs multifunction=on", p->devfn >> 3, p->devfn & 7);
    for (unsigned fn = 1; !(p->devfn & 7) && !p->multifunction && fn < 8; fn++)
        if (b->slot[p->devfn + fn])
            return error_set(error, "PCI: %x.0 indicates single function, but %x.%x is already "
                             "populated: use multifunction=on", p->devfn >> 3, p->devfn >> 3, fn);
    return true;
}

static bool plug(Bus *bus, Device *d, GError **error)
{
    PciBus *b = (PciBus *)bus;
    PciDevice *p = (PciDevice *)d;
    const PciInfo *info = p->info;
    if (info->express == PCIE_ALWAYS && !b->express)
        return error_set(error, "Device '%s' is a PCI Express device and can't go on the conventional "
                         "bus '%s'", d->object.type->name, bus->object.name);
    if (d->hotplugged && info->no_hotplug)
        return error_set(error, "Device '%s' does not support hotplugging", d->object.type->name);
    if (d->hotplugged && !b->hotplug)
        return error_set(error, "Bus '%s' does not support hotplugging", bus->object.name);
    if (!find_place(b, p, error) || !check_functions(b, p, error))
        return false;
    p->bus = b;
    p->hotplug = b->hotplug;
    return true;
}

static bool unplug_request(Bus *bus, Device *d, GError **error)
{
    PciDevice *p = (PciDevice *)d;

    if (p->info->no_hotplug)
        return error_set(error, "Device '%s' does not support hotplugging", d->object.type->name);
    if (!p->hotplug || !p->hotplug->unplug_request)
        return error_set(error, "Bus '%s' does not support hotplugging", bus->object.name);
    return p->hotplug->unplug_request(p->hotplug->opaque, p, error);
}

/* Config accesses find it from here on. */
static bool plugged(Bus *bus, Device *d, GError **error)
{
    PciBus *b = (PciBus *)bus;
    PciDevice *p = (PciDevice *)d;
    __atomic_store_n(&b->slot[p->devfn], p, __ATOMIC_RELEASE);
    return !d->hotplugged || !b->hotplug->plugged || b->hotplug->plugged(b->hotplug->opaque, p, error);
}

static void unplug(Bus *bus, Device *d)
{
    PciBus *b = (PciBus *)bus;
    PciDevice *p = (PciDevice *)d;
    if (b->slot[p->devfn] == p)
        __atomic_store_n(&b->slot[p->devfn], NULL, __ATOMIC_RELEASE);
}

/* IEEE 1275 names by class (PCI Bus Binding 2.1, 2.2.1.4). */
static const struct { uint16_t class; const char *name; } class_names[] = {
    {0x0100, "scsi"}, {0x0101, "ide"}, {0x0102, "fdc"}, {0x0104, "raid"},
    {0x0200, "ethernet"}, {0x0300, "display"}, {0x0401, "sound"}, {0x0403, "sound"}, {0x0600, "host"},
    {0x0601, "isa"}, {0x0604, "pci-bridge"}, {0x0700, "serial"}, {0x0780, "communication-device"},
    {0x0900, "keyboard"}, {0x0902, "mouse"}, {0x0c03, "usb"}, {0x0c05, "smb"},
};

static char *fw_name(Bus *bus, Device *d)
{
    const PciDevice *p = (const PciDevice *)d;
    uint16_t class = pci_get16(p, PCI_CLASS + 1);
    g_autofree char *name = NULL;
    for (unsigned i = 0; !name && i < G_N_ELEMENTS(class_names); i++)
        if (class_names[i].class == class)
            name = g_strdup(class_names[i].name);
    if (!name)
        name = g_strdup_printf("pci%04x,%04x", pci_get16(p, PCI_VENDOR_ID), pci_get16(p, PCI_DEVICE_ID));
    return p->devfn & 7 ? g_strdup_printf("%s@%x,%x", name, p->devfn >> 3, p->devfn & 7)
                        : g_strdup_printf("%s@%x", name, p->devfn >> 3);
}

static const BusType pci_bus = {
    .name = "PCI", .parent = "bus", .size = sizeof(PciBus), .plug = plug, .plugged = plugged,
    .unplug = unplug, .unplug_request = unplug_request, .fw_name = fw_name, .finish = bus_finish,
};
OBJECT_TYPE(pci_bus);
static const BusType pcie_bus = {
    .name = "PCIE", .parent = "PCI", .size = sizeof(PciBus), .plug = plug, .plugged = plugged,
    .unplug = unplug, .unplug_request = unplug_request, .fw_name = fw_name,
};
OBJECT_TYPE(pcie_bus);

/* ---- making them ---- */

PciBus *pci_root_new(Device *host, const PciRootConfig *config)
{
    PciBus *b = (PciBus *)bus_new(host, config->express ? &pcie_bus : &pci_bus, config->name);
    PciRoot *r = g_new0(PciRoot, 1);
    g_mutex_init(&r->lock);
    r->c = *config;
    r->msi = config->msi;
    r->nowhere = address_space_new(host->object.vm,
                                   mem_container(&b->bus.object, "pci-no-master", UINT64_MAX),
                                   "pci-no-master");
    b->host = r;
    b->root = b;
    b->express = config->express;
    b->memory = config->memory;
    b->io = config->io;
    return b;
}

void pci_root_route(PciBus *root, unsigned n_lines, unsigned (*map_pin)(void *, unsigned, unsigned),
                    void (*set_line)(void *, unsigned, bool), void *opaque)
{
    PciRootConfig *c = &root->host->c;
    c->n_lines = n_lines;
    c->map_pin = map_pin;
    c->set_line = set_line;
    c->opaque = opaque;
}

PciBus *pci_bridge_bus_new(PciDevice *bridge, const char *name, bool express, MemRegion *memory,
                           MemRegion *io)
{
    g_autofree char *given = g_strdup(name ? name : bridge->dev.id);
    PciBus *b = (PciBus *)bus_new(&bridge->dev, express ? &pcie_bus : &pci_bus, given);
    b->parent = bridge->bus;
    b->root = bridge->bus->root;
    b->bridge = bridge;
    b->express = express;
    b->memory = memory;
    b->io = io;
    b->hotplug = b->root->bridge_hotplug;
    return b;
}

PciBus *pci_expander_bus_new(PciDevice *expander, const char *name, bool express, uint8_t number,
                             uint16_t numa_node)
{
    PciBus *b = (PciBus *)bus_new(&expander->dev, express ? &pcie_bus : &pci_bus, name);
    PciBus *root = expander->bus->root;
    b->root = root;
    b->expander = expander;
    b->express = express;
    b->memory = root->memory;
    b->io = root->io;
    b->number = number;
    b->numa_node = numa_node;
    b->next = root->next;
    __atomic_store_n(&root->next, b, __ATOMIC_RELEASE);
    return b;
}

void pci_expander_bus_gone(PciBus *bus)
{
    for (PciBus *b = bus ? bus->root : NULL; b; b = b->next)
        if (b->next == bus) {
            __atomic_store_n(&b->next, bus->next, __ATOMIC_RELEASE);
            return;
        }
}

PciBus *pci_bus_of(Vm *vm)
{
    PciBus *b = (PciBus *)bus_find(vm, NULL, "PCI");
    return b ? b->root : NULL;
}

PciDevice *pci_draft(Vm *vm, const char *type, unsigned slot, unsigned function)
{
    PciDevice *p = (PciDevice *)device_draft(vm, type);
    p->addr = g_strdup_printf("%x.%x", slot, function);
    return p;
}

PciDevice *pci_make(PciBus *bus, const char *type, unsigned slot, unsigned function)
{
    g_autoptr(GError) error = NULL;
    PciDevice *p = pci_draft(bus->bus.object.vm, type, slot, function);
    if (!device_realize(&p->dev, &bus->bus, &error))
        g_error("%s: %s", type, error->message);
    return p;
}

/* ---- numbers ---- */

uint8_t pci_bus_number(const PciBus *bus)
{
    return bus->parent ? bus->bridge->config[PCI_SECONDARY_BUS] : bus->expander ? bus->number : bus->host->c.number;
}

uint16_t pci_requester(const PciDevice *p) { return pci_bus_number(p->bus) << 8 | p->devfn; }

uint16_t pci_dma_requester(const PciDevice *p)
{
    uint16_t id = pci_requester(p);
    for (const PciBus *b = p->bus; b->parent; b = b->parent)
        if (!b->express)
            id = pci_is_express(b->bridge) ? pci_bus_number(b) << 8 : pci_requester(b->bridge);
    return id;
}

static PciBus *behind(const PciDevice *p, unsigned i)
{
    GPtrArray *buses = p->dev.buses;
    Bus *b = buses && i < buses->len ? g_ptr_array_index(buses, i) : NULL;
    return b && object_is_a(&b->object, "PCI") ? (PciBus *)b : NULL;
}

static PciBus *bus_numbered(PciBus *b, unsigned number)
{
    if (pci_bus_number(b) == number)
        return b;
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        PciDevice *p = __atomic_load_n(&b->slot[i], __ATOMIC_ACQUIRE);
        PciBus *below = p && p->info->bridge ? behind(p, 0) : NULL;
        if (below && number >= p->config[PCI_SECONDARY_BUS] && number <= p->config[PCI_SUBORDINATE_BUS] &&
            p->config[PCI_SECONDARY_BUS])
            return bus_numbered(below, number);
    }
    return NULL;
}

/* Roots of one host share the numbers: each knows its own and those below. */
PciDevice *pci_function(PciBus *root, unsigned bus, unsigned devfn)
{
    PciBus *b = NULL;
    for (PciBus *top = root; top && !b; top = __atomic_load_n(&top->next, __ATOMIC_ACQUIRE))
        b = bus_numbered(top, bus);
    return b && devfn < PCI_FUNCTIONS ? __atomic_load_n(&b->slot[devfn], __ATOMIC_ACQUIRE) : NULL;
}

void pci_foreach(PciBus *bus, void (*fn)(PciDevice *p, void *data), void *data)
{
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        PciDevice *p = bus->slot[i];
        if (!p)
            continue;
        fn(p, data);
        for (unsigned n = 0; behind(p, n); n++)
            pci_foreach(behind(p, n), fn, data);
    }
}

/* ---- DMA and messages ---- */

bool pci_is_master(const PciDevice *p)
{
    return pci_get16(p, PCI_COMMAND) & PCI_COMMAND_MASTER && pci_is_awake(p);
}

void pci_update_dma(PciDevice *p)
{
    AddressSpace *as = pci_is_master(p) ? p->space : p->bus->root->host->nowhere;
    __atomic_store_n(&p->dev.dma, as, __ATOMIC_RELEASE);
}

static void forget_routes(PciDevice *p, void *data) { pci_vectors_free(p); }

static void set_space(PciDevice *p, void *data)
{
    PciRoot *r = p->bus->root->host;
    p->space = r->iommu.space && !pci_bypasses_iommu(p) ? r->iommu.space(r->iommu.opaque, p) : NULL;
    pci_update_dma(p);
    if (p->dev.realized && p->info->enabled_changed)
        p->info->enabled_changed(p);
}

void pci_join_iommu(PciDevice *p) { set_space(p, NULL); }

void pci_leave_iommu(PciDevice *p)
{
    const PciIommu *iommu = &p->bus->root->host->iommu;
    p->space = NULL;
    pci_update_dma(p);
    if (iommu->gone)
        iommu->gone(iommu->opaque, p);
}

bool pci_root_set_iommu(PciBus *root, const PciIommu *iommu)
{
    PciRoot *r = root->host;
    if (iommu && r->iommu.space)
        return false;
    for (PciBus *b = root; b; b = b->next)
        pci_foreach(b, forget_routes, NULL);
    r->iommu = iommu ? *iommu : (PciIommu){0};
    r->msi = r->iommu.msi ? r->iommu.msi : r->c.msi;
    for (PciBus *b = root; b; b = b->next)
        pci_foreach(b, set_space, NULL);
    return true;
}

const MsiTarget *pci_msi_target(PciBus *root) { return root->host->msi; }

bool pci_bypasses_iommu(const PciDevice *p)
{
    const PciBus *b = p->bus;
    while (b->parent)
        b = b->parent;
    return b->bypass_iommu;
}

const MsiTarget *pci_function_msi(const PciDevice *p)
{
    const PciRoot *r = p->bus->root->host;
    return pci_bypasses_iommu(p) ? r->c.msi : r->msi;
}
