/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space: header, capability lists, reads and writes. PCI Local Bus 3.0, chapter 6. */
#include <string.h>
#include "hw/pci/internal.h"
#include "util/error.h"
#include "util/log.h"

/* ---- little-endian members ---- */

uint16_t pci_get16(const PciDevice *p, unsigned at) { return p->config[at] | p->config[at + 1] << 8; }

uint32_t pci_get32(const PciDevice *p, unsigned at)
{
    return pci_get16(p, at) | (uint32_t)pci_get16(p, at + 2) << 16;
}

static void put(uint8_t *bytes, unsigned at, uint32_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[at + i] = v >> 8 * i;
}

void pci_set8(PciDevice *p, unsigned at, uint8_t v) { p->config[at] = v; }
void pci_set16(PciDevice *p, unsigned at, uint16_t v) { put(p->config, at, v, 2); }
void pci_set32(PciDevice *p, unsigned at, uint32_t v) { put(p->config, at, v, 4); }

static void init(PciDevice *p, unsigned at, uint32_t value, uint32_t writable, uint32_t clears,
                 unsigned size)
{
    g_assert(at + size <= p->config_size);
    put(p->initial, at, value, size);
    put(p->config, at, value, size);
    put(p->writable, at, writable, size);
    put(p->clears, at, clears, size);
}

void pci_init8(PciDevice *p, unsigned at, uint8_t value, uint8_t writable, uint8_t clears)
{
    init(p, at, value, writable, clears, 1);
}

void pci_init16(PciDevice *p, unsigned at, uint16_t value, uint16_t writable, uint16_t clears)
{
    init(p, at, value, writable, clears, 2);
}

void pci_init32(PciDevice *p, unsigned at, uint32_t value, uint32_t writable, uint32_t clears)
{
    init(p, at, value, writable, clears, 4);
}

/* ---- the header ---- */

enum { DEFAULT_SUBVENDOR = 0x1af4, DEFAULT_SUBSYSTEM = 0x1100 };

static void subsystem_init(PciDevice *p)
{
    const PciInfo *info = p->info;
    bool given = info->subvendor || info->subsystem;
    pci_init16(p, PCI_SUBVENDOR, given ? info->subvendor : DEFAULT_SUBVENDOR, 0, 0);
    pci_init16(p, PCI_SUBSYSTEM, given ? info->subsystem : DEFAULT_SUBSYSTEM, 0, 0);
}

void pci_header_init(PciDevice *p)
{
    const PciInfo *info = p->info;
    pci_take(p, 0, 0x40);
    pci_init16(p, PCI_VENDOR_ID, info->vendor, 0, 0);
    pci_init16(p, PCI_DEVICE_ID, info->device, 0, 0);
    pci_init16(p, PCI_COMMAND, 0, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER |
               PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF, 0);
    pci_init16(p, PCI_STATUS, 0, 0, PCI_STATUS_ERRORS);
    pci_init8(p, PCI_REVISION, info->revision, 0, 0);
    pci_init8(p, PCI_CLASS, info->class, 0, 0);
    pci_init16(p, PCI_CLASS + 1, info->class >> 8, 0, 0);
    pci_init8(p, PCI_CACHE_LINE, 0, 0xff, 0);
    pci_init8(p, PCI_HEADER_TYPE, (p->multifunction ? PCI_HEADER_MULTI : 0) |
              (info->bridge ? PCI_HEADER_BRIDGE : 0), 0, 0);
    pci_init8(p, PCI_INTERRUPT_LINE, 0, 0xff, 0);
    pci_init8(p, PCI_INTERRUPT_PIN, info->pin, 0, 0);
    if (!info->bridge)
        subsystem_init(p);
    for (unsigned i = 0; i < info->n_config; i++) {
        const PciReg *r = &info->config[i];
        init(p, r->at, r->value, r->writable, r->clears, r->width);
        pci_take(p, r->at, r->width);
    }
}

/* ---- capabilities ---- */

void pci_take(PciDevice *p, unsigned at, unsigned size)
{
    for (unsigned i = at; i < at + size && i < PCI_CONFIG_SIZE; i++)
        p->used[i / 8] |= 1 << i % 8;
}

static bool is_free(const PciDevice *p, unsigned at, unsigned size)
{
    for (unsigned i = at; i < at + size; i++)
        if (i >= PCI_CONFIG_SIZE || p->used[i / 8] & 1 << i % 8)
            return false;
    return true;
}

uint8_t pci_add_capability(PciDevice *p, uint8_t id, unsigned size, uint8_t at, GError **error)
{
    unsigned place = at ? at : 0x40;
    while (!at && place < PCI_CONFIG_SIZE && !is_free(p, place, size))
        place += 4;
    if (!is_free(p, place, size)) {
        error_set(error, "no room in configuration space for capability 0x%02x of %u bytes", id, size);
        return 0;
    }
    pci_take(p, place, size);
    pci_init8(p, place, id, 0, 0);
    pci_init8(p, place + 1, p->initial[PCI_CAP_LIST], 0, 0);
    pci_init8(p, PCI_CAP_LIST, place, 0, 0);
    p->initial[PCI_STATUS] |= PCI_STATUS_CAPS;
    p->config[PCI_STATUS] |= PCI_STATUS_CAPS;
    return place;
}

uint8_t pci_find_capability(const PciDevice *p, uint8_t id)
{
    uint8_t at = p->initial[PCI_CAP_LIST];
    for (unsigned steps = 0; at && steps < PCI_CONFIG_SIZE / 4; steps++) {
        if (p->initial[at] == id)
            return at;
        at = p->initial[at + 1];
    }
    return 0;
}

/* Entries are linked in ascending order of addition; the first must stand at 0x100. */
uint16_t pcie_add_capability(PciDevice *p, uint16_t id, uint8_t version, unsigned size, uint16_t at)
{
    uint16_t place = p->last_ext ? at : PCI_CONFIG_SIZE;
    g_assert(p->config_size == PCIE_CONFIG_SIZE && place + size <= PCIE_CONFIG_SIZE);
    if (p->last_ext) {
        uint32_t before = p->initial[p->last_ext + 2] & 0xf;
        pci_init16(p, p->last_ext + 2, before | place << 4, 0, 0);
    }
    pci_init32(p, place, id | (uint32_t)version << 16, 0, 0);
    p->last_ext = place;
    return place;
}

/* ---- accesses ---- */

static bool enter(PciDevice *p, bool write)
{
    if (!device_enter(&p->dev, write))
        return false;
    if (!p->dev.domain)
        g_mutex_lock(&p->config_lock);
    return true;
}

static void leave(PciDevice *p)
{
    if (!p->dev.domain)
        g_mutex_unlock(&p->config_lock);
    device_leave(&p->dev);
}

static bool within(const PciDevice *p, unsigned at, unsigned size)
{
    return at < p->config_size && size <= p->config_size - at;
}

static uint32_t ones(unsigned size) { return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1; }

uint32_t pci_config_read(PciDevice *p, unsigned at, unsigned size)
{
    if (!within(p, at, size) || !enter(p, false))
        return ones(size);
    if (p->info->config_reading) {
        leave(p);
        p->info->config_reading(p, at, size);
        if (!enter(p, false))
            return ones(size);
    }
    uint32_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)p->config[at + i] << 8 * i;
    leave(p);
    trace(read, "%s %02x.%x at 0x%x -> 0x%x", p->dev.object.type->name, p->devfn >> 3, p->devfn & 7,
          at, v);
    return v;
}

static bool touches(unsigned at, unsigned size, unsigned reg, unsigned width)
{
    return at < reg + width && reg < at + size;
}

static uint32_t get(const uint8_t *bytes, unsigned at, unsigned size)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)bytes[at + i] << 8 * i;
    return v;
}

/* Returns whether what the function may do has changed. */
static bool effects(PciDevice *p, unsigned at, unsigned size)
{
    bool power = p->pm_at && touches(at, size, p->pm_at + PM_CONTROL, 2);
    bool command = touches(at, size, PCI_COMMAND, 2);
    if (command || power || touches(at, size, PCI_BAR0, 24) ||
        touches(at, size, p->info->bridge ? PCI_BRIDGE_ROM : PCI_ROM, 4))
        pci_update_bars(p);
    if (command || power) {
        pci_update_dma(p);
        pci_intx_update(p);
    }
    if (p->msi_at && touches(at, size, p->msi_at, MSI_PENDING + 4))
        pci_msi_update(p);
    if (p->msix_at && touches(at, size, p->msix_at + MSIX_CONTROL, 2))
        pci_msix_update(p);
    return command || power;
}

/* Bytes of rows before the write, so that `wrote` sees what changed. */
static void write_rows(PciDevice *p, const uint8_t *before, unsigned at, unsigned size)
{
    for (unsigned i = 0; i < p->info->n_config; i++) {
        const PciReg *r = &p->info->config[i];
        if (r->wrote && touches(at, size, r->at, r->width)) {
            uint32_t old = 0;
            for (unsigned b = 0; b < r->width; b++) {
                unsigned k = r->at + b;
                old |= (uint32_t)(k >= at && k < at + size ? before[k - at] : p->config[k]) << 8 * b;
            }
            r->wrote(p, old, get(p->config, r->at, r->width));
        }
    }
}

void pci_config_write(PciDevice *p, unsigned at, uint32_t value, unsigned size)
{
    uint8_t before[4];
    if (!within(p, at, size) || !enter(p, true)) {
        log_guest(p, "write of %u bytes to configuration space at 0x%x", size, at);
        return;
    }
    trace(write, "%s %02x.%x at 0x%x <- 0x%x", p->dev.object.type->name, p->devfn >> 3,
          p->devfn & 7, at, value);
    for (unsigned i = 0; i < size; i++) {
        uint8_t v = value >> 8 * i, *c = &p->config[at + i], w = p->writable[at + i];
        before[i] = *c;
        if (w | p->clears[at + i])      /* others may change meanwhile: interrupt status */
            *c = ((*c & ~w) | (v & w)) & ~(v & p->clears[at + i]);
    }
    bool enabled = effects(p, at, size);
    write_rows(p, before, at, size);
    /* What has no domain minds its own locks, and may wait for loops in here. */
    bool free = !p->dev.domain;
    if (free)
        leave(p);
    if (enabled && p->info->enabled_changed)
        p->info->enabled_changed(p);
    if (p->info->config_wrote)
        p->info->config_wrote(p, at, size);
    if (!free)
        leave(p);
}
