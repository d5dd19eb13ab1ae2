/* SPDX-License-Identifier: Apache-2.0 */
/* Base address registers: sizes, and what they show where. PCI Local Bus 3.0, 6.2.5. */
#include <inttypes.h>
#include "hw/pci/internal.h"
#include "util/error.h"
#include "util/log.h"

enum { IO_FLAGS = 1, MEM64_FLAGS = 4, PREFETCH_FLAGS = 8, ROM_ENABLE = 1 };
#define NOWHERE UINT64_MAX

static bool is_io(PciBarKind k) { return k == PCI_BAR_IO; }
static bool is_64(PciBarKind k) { return k == PCI_BAR_MEM64 || k == PCI_BAR_PREF64; }
static bool is_prefetchable(PciBarKind k) { return k == PCI_BAR_PREF32 || k == PCI_BAR_PREF64; }

static unsigned bar_register(const PciDevice *p, unsigned n)
{
    return n < PCI_BARS ? PCI_BAR0 + 4 * n : p->info->bridge ? PCI_BRIDGE_ROM : PCI_ROM;
}

static uint64_t round_up(uint64_t size, uint64_t least)
{
    uint64_t pow = least;
    while (pow < size)
        pow <<= 1;
    return pow;
}

static MemRegion *make_region(PciDevice *p, unsigned n, const PciBar *bar, uint64_t size,
                              GError **error)
{
    g_autofree char *name = bar->name ? g_strdup(bar->name)
                            : g_strdup_printf("%s-bar%u", p->dev.object.type->name, n);
    Object *o = &p->dev.object;
    if (bar->window)
        return p->dev.mmio;
    if (bar->ops)
        return mem_io(o, name, bar->size, bar->ops, p, &p->dev);
    if (bar->ram) {
        /* Blocks of RAM have names of the machine's; two cards of a kind must differ. */
        g_autofree char *block = g_strdup_printf("%s/%s", p->dev.id ? p->dev.id : p->addr ? p->addr
                                                 : p->dev.object.name, name);
        return mem_ram(o, block, bar->size, NULL, error);
    }
    return mem_container(o, name, size);
}

/* The register: bits below the size read as the flags. */
static void init_register(PciDevice *p, unsigned n, PciBarKind kind, uint64_t size)
{
    unsigned at = bar_register(p, n);
    uint32_t flags = is_io(kind) ? IO_FLAGS : (is_64(kind) ? MEM64_FLAGS : 0) |
                                              (is_prefetchable(kind) ? PREFETCH_FLAGS : 0);
    uint64_t writable = ~(size - 1);
    if (n == PCI_ROM_BAR)
        writable |= ROM_ENABLE;
    pci_init32(p, at, n == PCI_ROM_BAR ? 0 : flags, (uint32_t)writable, 0);
    if (is_64(kind))
        pci_init32(p, at + 4, 0, (uint32_t)(writable >> 32), 0);
}

bool pci_add_bar(PciDevice *p, unsigned n, const PciBar *bar, MemRegion *region, GError **error)
{
    PciRegion *r = &p->bar[n];
    uint64_t least = is_io(bar->kind) ? 4 : n == PCI_ROM_BAR ? 2048 : 16;
    uint64_t wanted = bar->size ? bar->size : bar->window ? mem_size(p->dev.mmio) : mem_size(region);
    g_assert(n <= PCI_ROM_BAR && !r->size && wanted);
    if (wanted > (is_64(bar->kind) ? 1ull << 62 : 1ull << 31))
        return error_set(error, "BAR %u cannot have %" G_GUINT64_FORMAT " bytes", n, wanted);
    uint64_t size = round_up(wanted, least);
    MemRegion *what = region ? region : make_region(p, n, bar, size, error);
    if (!what)
        return false;
    r->kind = bar->kind;
    r->size = size;
    r->at = NOWHERE;
    r->region = what;
    r->slot = mem_alias(&p->dev.object, "pci-bar", what, 0, MIN(size, mem_size(what)));
    init_register(p, n, bar->kind, size);
    return true;
}

bool pci_add_bars(PciDevice *p, GError **error)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (p->info->bar[n].kind && !pci_add_bar(p, n, &p->info->bar[n], NULL, error))
            return false;
    return true;
}

/* ---- decoding ---- */

static uint64_t address_of(const PciDevice *p, unsigned n)
{
    const PciRegion *r = &p->bar[n];
    unsigned at = bar_register(p, n);
    uint16_t command = pci_get16(p, PCI_COMMAND);
    uint32_t low = pci_get32(p, at);
    if (!r->size || !pci_is_awake(p) || !(command & (is_io(r->kind) ? PCI_COMMAND_IO : PCI_COMMAND_MEM)))
        return NOWHERE;
    if (n == PCI_ROM_BAR && !(low & ROM_ENABLE))
        return NOWHERE;
    uint64_t where = low | (is_64(r->kind) ? (uint64_t)pci_get32(p, at + 4) << 32 : 0);
    where &= ~(r->size - 1);
    uint64_t last = where + r->size - 1;
    /* Registers as reset and sizing leave them place nothing. */
    uint64_t limit = is_io(r->kind) ? 0xffff : is_64(r->kind) ? UINT64_MAX : UINT32_MAX;
    return where == 0 || last < where || (is_io(r->kind) ? last > limit : last >= limit) ? NOWHERE : where;
}

static void move(PciDevice *p, PciRegion *r, unsigned n, uint64_t where)
{
    trace(move, "%s bar %u: 0x%" PRIx64 " to 0x%" PRIx64, p->dev.object.type->name, n, r->at, where);
    if (r->at != NOWHERE)
        mem_remove(r->slot);
    r->at = where;
    if (where != NOWHERE)
        mem_add(is_io(r->kind) ? p->bus->io : p->bus->memory, where, r->slot, 1);
}

void pci_update_bars(PciDevice *p)
{
    Vm *vm = p->dev.object.vm;
    bool any = false;
    for (unsigned n = 0; n <= PCI_BARS; n++) {
        uint64_t where = p->bar[n].size ? address_of(p, n) : NOWHERE;
        if (p->bar[n].size && where != p->bar[n].at) {
            if (!any)
                mem_transaction_begin(vm);
            any = true;
            move(p, &p->bar[n], n, where);
        }
    }
    if (any)
        mem_transaction_commit(vm);
}

void pci_bars_gone(PciDevice *p)
{
    mem_transaction_begin(p->dev.object.vm);
    for (unsigned n = 0; n <= PCI_BARS; n++)
        if (p->bar[n].size && p->bar[n].at != NOWHERE)
            move(p, &p->bar[n], n, NOWHERE);
    mem_transaction_commit(p->dev.object.vm);
}
