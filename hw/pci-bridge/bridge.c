/* SPDX-License-Identifier: Apache-2.0 */
/* What all bridges have: the type 1 header, windows, the reset of what is behind. */
#include "hw/pci-bridge/bridge.h"

#include "util/error.h"

enum { CONTROL_WRITABLE = 0x0fff, BUS_RESET = 0x40, IO_32BIT = 1, PREF_64BIT = 1 };

/* ---- windows ---- */

PciLookRange bridge_range(const PciDevice *p, unsigned which)
{
    uint64_t high;

    switch (which) {
    case BRIDGE_IO:
        return (PciLookRange){(pci_get8(p, PCI_IO_BASE) & 0xf0ull) << 8 | (uint64_t)pci_get16(p, PCI_IO_BASE_HIGH) << 16,
                       (pci_get8(p, PCI_IO_LIMIT) & 0xf0ull) << 8 | 0xfff |
                           (uint64_t)pci_get16(p, PCI_IO_LIMIT_HIGH) << 16};
    case BRIDGE_MEM:
        return (PciLookRange){(pci_get16(p, PCI_MEM_BASE) & 0xfff0ull) << 16,
                       (pci_get16(p, PCI_MEM_LIMIT) & 0xfff0ull) << 16 | 0xfffff};
    default:
        high = pci_get32(p, PCI_PREF_LIMIT_HIGH);
        return (PciLookRange){(pci_get16(p, PCI_PREF_BASE) & 0xfff0ull) << 16 |
                           (uint64_t)pci_get32(p, PCI_PREF_BASE_HIGH) << 32,
                       (pci_get16(p, PCI_PREF_LIMIT) & 0xfff0ull) << 16 | 0xfffff | high << 32};
    }
}

static void update_windows(PciBridge *b)
{
    PciDevice *p = &b->pci;
    uint16_t command = pci_get16(p, PCI_COMMAND);

    mem_transaction_begin(p->dev.object.vm);
    for (unsigned i = 0; i < BRIDGE_WINDOWS; i++) {
        PciLookRange r = bridge_range(p, i);
        uint64_t end = mem_size(i == BRIDGE_IO ? b->io : b->memory) - 1;
        bool open = command & (i == BRIDGE_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEM);
        open = open && r.base <= r.limit && r.limit <= end;
        if (open) {
            mem_set_alias(b->window[i], r.base, r.base, r.limit - r.base + 1);
        }
        mem_set_enabled(b->window[i], open);
    }
    mem_transaction_commit(p->dev.object.vm);
}

/* ---- the secondary bus's reset ---- */

static void reset_below(void *data)
{
    PciBridge *b = data;

    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        if (b->below->slot[i]) {
            device_reset(&b->below->slot[i]->dev);
        }
    }
}

static void wrote_control(PciBridge *b)
{
    bool reset = pci_get16(&b->pci, PCI_BRIDGE_CONTROL) & BUS_RESET;

    if (reset && !b->in_reset) {
        reset_below(b);
    }
    b->in_reset = reset;
}

static bool touches(unsigned at, unsigned size, unsigned first, unsigned last)
{
    return at <= last && first < at + size;
}

void bridge_config_wrote(PciDevice *p, unsigned at, unsigned size)
{
    PciBridge *b = (PciBridge *)p;

    if (touches(at, size, PCI_COMMAND, PCI_COMMAND + 1) ||
        touches(at, size, PCI_IO_BASE, PCI_IO_LIMIT_HIGH + 1)) {
        update_windows(b);
    }
    if (touches(at, size, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CONTROL + 1)) {
        wrote_control(b);
    }
}

/* ---- life ---- */

static void init_header(PciDevice *p)
{
    pci_init8(p, PCI_PRIMARY_BUS, 0, 0xff, 0);
    pci_init8(p, PCI_SECONDARY_BUS, 0, 0xff, 0);
    pci_init8(p, PCI_SUBORDINATE_BUS, 0, 0xff, 0);
    pci_init8(p, PCI_IO_BASE, IO_32BIT, 0xf0, 0);
    pci_init8(p, PCI_IO_LIMIT, IO_32BIT, 0xf0, 0);
    pci_init16(p, PCI_IO_BASE_HIGH, 0, 0, 0);           /* ports end at 64 KiB */
    pci_init16(p, PCI_IO_LIMIT_HIGH, 0, 0, 0);
    pci_init16(p, PCI_SECONDARY_STATUS, 0, 0, PCI_STATUS_ERRORS);
    pci_init16(p, PCI_MEM_BASE, 0, 0xfff0, 0);
    pci_init16(p, PCI_MEM_LIMIT, 0, 0xfff0, 0);
    pci_init16(p, PCI_PREF_BASE, PREF_64BIT, 0xfff0, 0);
    pci_init16(p, PCI_PREF_LIMIT, PREF_64BIT, 0xfff0, 0);
    pci_init32(p, PCI_PREF_BASE_HIGH, 0, UINT32_MAX, 0);
    pci_init32(p, PCI_PREF_LIMIT_HIGH, 0, UINT32_MAX, 0);
    pci_init16(p, PCI_BRIDGE_CONTROL, 0, CONTROL_WRITABLE, 0);
}

/* Firmware's hint, a vendor-specific capability: what to set aside behind the bridge. */
static bool add_reserve(PciBridge *b, GError **error)
{
    enum { VENDOR_SPECIFIC = 9, LENGTH = 32, RESERVE = 1 };
    PciDevice *p = &b->pci;
    bool said = b->bus_reserve != UINT32_MAX || (b->io_reserve & b->mem_reserve & b->pref32_reserve &
                                                 b->pref64_reserve) != UINT64_MAX;

    /* Firmware leaves room for what may come in ports, but not behind other bridges. */
    if (!said && p->info->express != PCIE_ALWAYS && p->bus->root->bridge_hotplug) {
        b->io_reserve = 4096;
        b->mem_reserve = b->pref64_reserve = 2 << 20;
        said = true;
    }
    if (!said) {
        return true;
    }
    if (b->pref32_reserve != UINT64_MAX && b->pref64_reserve != UINT64_MAX) {
        return error_set(error, "pref32-reserve= and pref64-reserve= exclude each other");
    }
    if ((b->mem_reserve != UINT64_MAX && b->mem_reserve > UINT32_MAX) ||
        (b->pref32_reserve != UINT64_MAX && b->pref32_reserve > UINT32_MAX)) {
        return error_set(error, "mem-reserve=, pref32-reserve=: must be less than 4G");
    }
    uint8_t at = pci_add_capability(p, VENDOR_SPECIFIC, LENGTH, 0, error);
    if (!at) {
        return false;
    }
    pci_init8(p, at + 2, LENGTH, 0, 0);
    pci_init8(p, at + 3, RESERVE, 0, 0);
    pci_init32(p, at + 4, b->bus_reserve, 0, 0);
    pci_init32(p, at + 8, (uint32_t)b->io_reserve, 0, 0);
    pci_init32(p, at + 12, (uint32_t)(b->io_reserve >> 32), 0, 0);
    pci_init32(p, at + 16, (uint32_t)b->mem_reserve, 0, 0);
    pci_init32(p, at + 20, (uint32_t)b->pref32_reserve, 0, 0);
    pci_init32(p, at + 24, (uint32_t)b->pref64_reserve, 0, 0);
    pci_init32(p, at + 28, (uint32_t)(b->pref64_reserve >> 32), 0, 0);
    return true;
}

static bool realize(Device *d, GError **error)
{
    PciBridge *b = (PciBridge *)d;
    PciDevice *p = &b->pci;
    MemRegion *spaces[BRIDGE_WINDOWS], *parents[BRIDGE_WINDOWS];

    init_header(p);
    b->memory = mem_container(&d->object, "pci-bridge-memory", UINT64_MAX);
    b->io = mem_container(&d->object, "pci-bridge-io", 0x10000);
    for (unsigned i = 0; i < BRIDGE_WINDOWS; i++) {
        static const char *const names[] = {"pci-bridge-io-window", "pci-bridge-mem-window",
                                            "pci-bridge-pref-window"};
        spaces[i] = i == BRIDGE_IO ? b->io : b->memory;
        parents[i] = i == BRIDGE_IO ? p->bus->io : p->bus->memory;
        b->window[i] = mem_alias(&d->object, names[i], spaces[i], 0, 1);
        mem_set_enabled(b->window[i], false);
        mem_add(parents[i], 0, b->window[i], 1);
    }
    if (!add_reserve(b, error)) {
        for (unsigned i = 0; i < BRIDGE_WINDOWS; i++) {
            mem_remove(b->window[i]);
        }
        return false;
    }
    return true;
}

static void unrealize(Device *d)
{
    PciBridge *b = (PciBridge *)d;

    for (unsigned i = 0; i < BRIDGE_WINDOWS; i++) {
        mem_remove(b->window[i]);
    }
}

static void rebuild(Device *d)
{
    update_windows((PciBridge *)d);
}

static const Field fields[] = {
    SAVED(PciBridge, in_reset), HOST(PciBridge, below), HOST(PciBridge, memory), HOST(PciBridge, io),
    HOST(PciBridge, window),
    PROP(PciBridge, bus_reserve, "bus-reserve", PROP_U32, .init = UINT32_MAX, .desc = "Bus numbers to set aside"),
    PROP(PciBridge, io_reserve, "io-reserve", PROP_SIZE, .init = UINT64_MAX, .desc = "Ports to set aside"),
    PROP(PciBridge, mem_reserve, "mem-reserve", PROP_SIZE, .init = UINT64_MAX, .desc = "Memory window to set aside"),
    PROP(PciBridge, pref32_reserve, "pref32-reserve", PROP_SIZE, .init = UINT64_MAX,
         .desc = "Prefetchable window below 4 GiB to set aside"),
    PROP(PciBridge, pref64_reserve, "pref64-reserve", PROP_SIZE, .init = UINT64_MAX,
         .desc = "Prefetchable window anywhere to set aside"),
};
static const DeviceType bridge_base = {
    .name = "pci-bridge-base", .parent = "pci-device", .desc = "PCI-to-PCI bridge",
    .size = sizeof(PciBridge), .abstract = true, .category = DEVICE_BRIDGE, FIELDS(fields),
    .realize = realize, .unrealize = unrealize, .reset_hold = rebuild, .restored = rebuild,
};
DEVICE_TYPE(bridge_base);
