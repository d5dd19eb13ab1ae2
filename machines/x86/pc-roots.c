/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root buses of pc and q35 in ACPI: the windows of the host bridge, and expander bridges, which have what
 * firmware gave the devices below them. Spec: ACPI 6.5, 6.4.3.5; PCI Firmware 3.2, 4.6.
 */
#include "hw/pci-look.h"
#include "machines/x86/pc.h"

typedef enum Kind { IO, MEM32, MEM64, KINDS } Kind;
typedef struct Ranges { GArray *of[KINDS]; unsigned last_bus; } Ranges;     /* PciLookRange */

static void ranges_init(Ranges *r)
{
    for (Kind k = 0; k < KINDS; k++)
        r->of[k] = g_array_new(false, false, sizeof(PciLookRange));
    r->last_bus = 0;
}

static void ranges_clear(Ranges *r)
{
    for (Kind k = 0; k < KINDS; k++)
        g_array_unref(r->of[k]);
}

static void add_range(Ranges *r, bool io, uint64_t base, uint64_t limit)
{
    PciLookRange range = {base, limit};
    if (base <= limit && limit != UINT64_MAX && (base || limit))
        g_array_append_val(r->of[io ? IO : limit >> 32 ? MEM64 : MEM32], range);
}

/* Windows of bridges and BARs on a root bus; what is behind a bridge is within its windows. */
static void collect(const struct PciBus *bus, Ranges *r)
{
    PciLook l;
    r->last_bus = MAX(r->last_bus, pci_look_number(bus));
    for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        if (!pci_look_at(bus, devfn, &l))
            continue;
        for (unsigned i = 0; i < l.n_regions; i++)
            if (l.region[i].address != UINT64_MAX)
                add_range(r, l.region[i].io, l.region[i].address, l.region[i].address + l.region[i].size - 1);
        if (!l.below)
            continue;
        add_range(r, true, l.io.base, l.io.limit);
        add_range(r, false, l.memory.base, l.memory.limit);
        add_range(r, false, l.prefetchable.base, l.prefetchable.limit);
        r->last_bus = MAX(r->last_bus, l.subordinate);
    }
}

static int by_base(gconstpointer x, gconstpointer y)
{
    const PciLookRange *a = x, *b = y;
    return a->base < b->base ? -1 : a->base > b->base;
}

static void put_window(Aml *crs, Kind kind, uint64_t first, uint64_t last, bool cacheable)
{
    if (kind == IO)
        aml_res_window_io(crs, first, last);
    else if (kind == MEM32)
        aml_res_window32(crs, first, last, cacheable);
    else
        aml_res_window64(crs, first, last);
}

/* [first, last] without what expander bridges have of it. */
static void put_rest(Aml *crs, Kind kind, uint64_t first, uint64_t last, bool cacheable, const Ranges *taken)
{
    GArray *a = taken->of[kind];
    g_array_sort(a, by_base);
    for (unsigned i = 0; i < a->len && first <= last; i++) {
        const PciLookRange *t = &g_array_index(a, PciLookRange, i);
        if (t->limit < first || t->base > last)
            continue;
        if (t->base > first)
            put_window(crs, kind, first, t->base - 1, cacheable);
        first = t->limit + 1;
    }
    if (first <= last)
        put_window(crs, kind, first, last, cacheable);
}

void pc_root_windows(const Pc *s, Aml *bridge, uint64_t ecam, uint64_t ecam_size)
{
    Aml *r = aml_resources();
    uint64_t low = s->low_size, high = pc_high_end(s), hole = pc_host_hole64(s->root);
    unsigned last_bus = 255;
    Ranges taken;
    ranges_init(&taken);
    for (const PciBus *b = s->root->next; b; b = b->next) {
        collect(b, &taken);
        last_bus = MIN(last_bus, b->number - 1u);
    }
    aml_res_bus(r, 0, last_bus);
    aml_res_io(r, 0xcf8, 8);
    put_rest(r, IO, 0, 0xcf7, false, &taken);
    put_rest(r, IO, 0xd00, 0xffff, false, &taken);
    aml_res_window32(r, 0xa0000, 0xbffff, true);
    if (ecam > low)
        put_rest(r, MEM32, low, ecam - 1, false, &taken);
    if (MAX(low, ecam + ecam_size) < 0xfec00000)
        put_rest(r, MEM32, MAX(low, ecam + ecam_size), 0xfebfffff, false, &taken);
    high = (high + hole - 1) / hole * hole;
    put_rest(r, MEM64, high, high + hole - 1, false, &taken);
    aml_append(bridge, aml_name_resources("_CRS", r));
    ranges_clear(&taken);
}

static void add_root(const Pc *s, Aml *sb, const PciBus *b)
{
    enum { NO_NODE = UINT16_MAX };
    g_autofree char *name = g_strdup_printf("PC%02X", b->number);
    Aml *d = aml_device(name), *r = aml_resources();
    Ranges own;
    ranges_init(&own);
    collect(b, &own);
    aml_append(d, aml_name("_HID", aml_eisaid(b->express ? "PNP0A08" : "PNP0A03")));
    if (b->express)
        aml_append(d, aml_name("_CID", aml_eisaid("PNP0A03")));
    aml_append(d, aml_name("_UID", aml_int(b->number)));
    aml_append(d, aml_name("_BBN", aml_int(b->number)));
    if (b->numa_node != NO_NODE)
        aml_append(d, aml_name("_PXM", aml_int(b->numa_node)));
    aml_res_bus(r, b->number, own.last_bus);
    for (Kind k = 0; k < KINDS; k++)
        for (unsigned i = 0; i < own.of[k]->len; i++) {
            const PciLookRange *w = &g_array_index(own.of[k], PciLookRange, i);
            put_window(r, k, w->base, w->limit, false);
        }
    aml_append(d, aml_name_resources("_CRS", r));
    pc_root_routing(d, s);
    if (b->express)
        acpi_pci_osc(d, !s->pci_hotplug);
    acpi_pci_bus_aml(d, s->pci_hotplug, b);
    aml_append(sb, d);
    ranges_clear(&own);
}

void pc_expanders_aml(const Pc *s, Aml *dsdt)
{
    if (!s->root->next)
        return;
    Aml *sb = aml_scope("\\_SB");
    for (const PciBus *b = s->root->next; b; b = b->next)
        add_root(s, sb, b);
    aml_append(dsdt, sb);
}

/* Firmware looks for devices on that many further root buses. */
void pc_expanders_fw_cfg(Pc *s)
{
    uint64_t n = 0;
    for (const PciBus *b = s->root->next; b; b = b->next)
        n++;
    uint64_t little = GUINT64_TO_LE(n);
    if (n)
        fw_cfg_add_file(s->fw_cfg, "etc/extra-pci-roots", &little, sizeof(little));
}
