/* SPDX-License-Identifier: Apache-2.0 */
/* The base of all PCI functions: "pci-device". */
#include <string.h>
#include "hw/pci/internal.h"
#include "util/error.h"

static const PciInfo *info_of(const ObjectType *t)
{
    for (; t && strcmp(t->name, "device") != 0; t = object_type_parent(t))
        if (((const DeviceType *)t)->pci)
            return ((const DeviceType *)t)->pci;
    g_error("%s: a PCI function without .pci", t ? t->name : "?");
}

static void init(Object *o)
{
    PciDevice *p = (PciDevice *)o;
    p->info = info_of(o->type);
    g_mutex_init(&p->irq_lock);
    g_mutex_init(&p->config_lock);
}

static void finish(Object *o)
{
    PciDevice *p = (PciDevice *)o;
    g_clear_pointer(&p->initial, g_free);
    g_clear_pointer(&p->writable, g_free);
    g_clear_pointer(&p->clears, g_free);
    g_clear_pointer(&p->msix_table, g_free);
    g_mutex_clear(&p->irq_lock);
    g_mutex_clear(&p->config_lock);
}

static bool add_express(PciDevice *p, GError **error)
{
    bool root = !p->bus->parent;
    return p->info->bridge || p->config_size != PCIE_CONFIG_SIZE ||
           (root && p->info->express == PCIE_BEHIND_PORT) ||
           pcie_add_express(p, root ? PCIE_INTEGRATED : PCIE_ENDPOINT, 0, 0, error);
}

/* What a standby takes the place of: a card that goes alone. */
static bool may_be_primary(const PciDevice *p, GError **error)
{
    enum { NETWORK = 2 };
    if (device_type(&p->dev)->category != DEVICE_NETWORK && p->info->class >> 16 != NETWORK)
        return error_set(error, "failover primary device is not an Ethernet device");
    return (!(p->devfn & 7) && !p->multifunction) ||
           error_set(error, "failover: primary device must be in its own PCI slot");
}

static bool has_index(Object *o, void *data)
{
    const PciDevice *p = data;
    return object_is_a(o, "pci-device") && o != (Object *)data && ((PciDevice *)o)->acpi_index == p->acpi_index;
}

static bool realize(Device *d, GError **error)
{
    PciDevice *p = (PciDevice *)d;
    const PciInfo *info = p->info;
    if (p->failover && !may_be_primary(p, error))
        return false;
    if (p->acpi_index && object_walk(&d->object.vm->root, has_index, p))
        return error_set(error, "a PCI device with acpi-index = %u already exist", p->acpi_index);
    p->config_size = info->express && p->bus->express ? PCIE_CONFIG_SIZE : PCI_CONFIG_SIZE;
    p->initial = g_malloc0(p->config_size);
    p->writable = g_malloc0(p->config_size);
    p->clears = g_malloc0(p->config_size);
    pci_header_init(p);
    pci_join_iommu(p);
    return pci_add_bars(p, error) && pci_add_rom(p, error) &&
           (!info->pm || pci_add_pm(p, error)) && add_express(p, error) &&
           (!info->msi.vectors || pci_add_msi(p, &info->msi, error)) &&
           (!info->msix.vectors || pci_add_msix(p, &info->msix, error));
}

static void unrealize(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    if (!p->initial)
        return;
    bool own = !d->domain;
    if (own)
        g_mutex_lock(&p->config_lock);
    pci_set16(p, PCI_COMMAND, 0);
    pci_bars_gone(p);
    if (own)
        g_mutex_unlock(&p->config_lock);
    pci_intx(p, false);
    pci_vectors_free(p);
    pci_leave_iommu(p);
}

/* All that follows from config space. */
static void apply(PciDevice *p)
{
    pci_update_bars(p);
    pci_update_dma(p);
    pci_intx_update(p);
    if (p->info->enabled_changed)
        p->info->enabled_changed(p);
}

static void reset(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    memcpy(p->config, p->initial, p->config_size);
    for (unsigned n = 0; n < pci_msix_vectors(p); n++)
        p->msix_table[n * 16 + 12] = 1;         /* all masked */
    apply(p);
    if (p->msix_at)
        pci_msix_update(p);
}

/* A state from outside may change what a guest could: not who the function is, nor the shape of its
 * interrupt capabilities. */
static void keep_fixed(PciDevice *p, unsigned at, unsigned size)
{
    for (unsigned i = at; i < at + size && i < p->config_size; i++)
        p->config[i] = (p->config[i] & (p->writable[i] | p->clears[i])) |
                       (p->initial[i] & ~(p->writable[i] | p->clears[i]));
}

static void restored(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    keep_fixed(p, PCI_VENDOR_ID, PCI_STATUS);
    keep_fixed(p, PCI_REVISION, PCI_SECONDARY_STATUS - PCI_REVISION);
    keep_fixed(p, PCI_MEM_BASE, PCI_CONFIG_SIZE / 4 - PCI_MEM_BASE);
    if (p->msi_at)
        keep_fixed(p, p->msi_at, 4);
    if (p->msix_at)
        keep_fixed(p, p->msix_at, 12);
    apply(p);
    if (p->msix_at)
        pci_msix_update(p);
}

static const Field fields[] = {
    HOST(PciDevice, info), HOST(PciDevice, bus), HOST(PciDevice, devfn), HOST(PciDevice, config_size),
    SAVED(PciDevice, config), HOST(PciDevice, initial), HOST(PciDevice, writable),
    HOST(PciDevice, clears), HOST(PciDevice, used), HOST(PciDevice, last_ext), HOST(PciDevice, pm_at),
    HOST(PciDevice, msi_at), HOST(PciDevice, msix_at), HOST(PciDevice, express_at),
    HOST(PciDevice, aer_at), HOST(PciDevice, bar), HOST(PciDevice, space), SAVED(PciDevice, intx),
    HOST(PciDevice, intx_seen), HOST(PciDevice, irq_lock), HOST(PciDevice, config_lock),
    HOST(PciDevice, vectors), BUFFER(PciDevice, msix_table, msix_bytes), HOST(PciDevice, msix_bytes),
    HOST(PciDevice, msix_pba), HOST(PciDevice, hotplug),
    PROP(PciDevice, addr, "addr", PROP_STRING, .desc = "Slot and function, such as 02.1"),
    PROP(PciDevice, romfile, "romfile", PROP_STRING, .desc = "File of the option ROM; empty: none"),
    PROP(PciDevice, romsize, "romsize", PROP_U32, .init = UINT32_MAX, .desc = "Size of the ROM's BAR"),
    PROP(PciDevice, rombar, "rombar", PROP_U32, .init = 1, .desc = "Whether the ROM has a BAR"),
    PROP(PciDevice, multifunction, "multifunction", PROP_BOOL,
         .desc = "Whether the slot has more functions"),
    PROP(PciDevice, acpi_index, "acpi-index", PROP_U32, .desc = "Number that ACPI tells of the card, for its name"),
    PROP(PciDevice, failover, "failover_pair_id", PROP_STRING,
         .desc = "The virtio-net with failover=on that stands in for this card"),
};
static const DeviceType pci_device = {
    .name = "pci-device", .desc = "Any PCI function", .size = sizeof(PciDevice), .abstract = true,
    .bus = "PCI", FIELDS(fields), .init = init, .finish = finish, .realize = realize,
    .unrealize = unrealize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(pci_device);
