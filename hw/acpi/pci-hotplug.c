/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI hotplug by ACPI: a block of 24 bytes with bitmaps of the slots of a selected bus, and the slots' AML.
 * Spec: the platform's register interface (PCI hotplug block); ACPI 6.5, 6.3; PCI Firmware 3.2, 4.6.7 (_DSM).
 */
#include "hw/acpi-pci.h"
#include <inttypes.h>
#include "util/error.h"

enum {
    UP = 0, DOWN = 4, EJECT = 8, REMOVABLE = 0xc, SELECT = 0x10, INDEX = 0x14,
    BUSES = 256, FEATURE_INDEX = 2, NONE = UINT32_MAX,
};

typedef struct PciHotplugBlock {
    Device dev;
    AcpiPciConfig c;
    PciHotplug ops;
    PciBus *bus[BUSES];         /* by number; those that were there when the machine was ready */
    uint32_t n;
    uint32_t selected, index_slot;
    uint32_t up[BUSES], down[BUSES];
} PciHotplugBlock;

/* ---- buses ---- */

static unsigned number_of(const PciHotplugBlock *s, const PciBus *bus)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->bus[i] == bus)
            return i;
    return NONE;
}

static PciBus *bus_behind(const PciDevice *p)
{
    GPtrArray *buses = p->dev.buses;
    Bus *b = p->info->bridge && buses && buses->len ? g_ptr_array_index(buses, 0) : NULL;
    return b && object_is_a(&b->object, "PCI") ? (PciBus *)b : NULL;
}

static void number_buses(PciHotplugBlock *s, PciBus *bus)
{
    if (bus->hotplug == &s->ops && s->n < BUSES)
        s->bus[s->n++] = bus;
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        PciBus *below = bus->slot[i] ? bus_behind(bus->slot[i]) : NULL;
        if (below)
            number_buses(s, below);
    }
}

static PciDevice *function_zero(const PciBus *bus, unsigned slot)
{
    return __atomic_load_n(&bus->slot[slot << 3], __ATOMIC_ACQUIRE);
}

static bool stays(const PciDevice *p) { return p->info->no_hotplug || !device_type(&p->dev)->hotpluggable; }

/* ---- registers ---- */

static uint32_t removable(const PciBus *bus)
{
    uint32_t bits = 0;
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        const PciDevice *p = function_zero(bus, slot);
        bits |= !p || !stays(p) ? 1u << slot : 0;
    }
    return bits;
}

/* The slot is the lowest bit that was written. */
static uint32_t acpi_index(const PciHotplugBlock *s)
{
    const PciBus *bus = s->selected < s->n ? s->bus[s->selected] : NULL;
    const PciDevice *p = bus && s->index_slot ? function_zero(bus, __builtin_ctz(s->index_slot)) : NULL;
    return p ? p->acpi_index : 0;
}

static uint64_t read_block(Device *d, uint64_t at, unsigned size)
{
    PciHotplugBlock *s = (PciHotplugBlock *)d;
    uint32_t v = 0;
    if (at == EJECT)
        return FEATURE_INDEX;
    if (at == SELECT)
        return s->selected;
    if (s->selected >= s->n)
        return 0;
    switch (at) {
    case UP:
        v = s->up[s->selected];
        s->up[s->selected] = 0;
        break;
    case DOWN:
        v = s->down[s->selected];
        break;
    case REMOVABLE:
        return removable(s->bus[s->selected]);
    case INDEX:
        return acpi_index(s);
    }
    return v;
}

typedef struct Ejection {
    unsigned bus;
    uint32_t slots;
} Ejection;

/* Control thread. Function 0 goes last. */
static void eject(Device *d, void *data)
{
    const Ejection *e = data;
    PciHotplugBlock *s = (PciHotplugBlock *)d;
    for (unsigned slot = 0; slot < PCI_SLOTS && s->dev.realized && e->bus < s->n; slot++)
        for (unsigned fn = 8; e->slots >> slot & 1 && fn-- > 0;) {
            PciDevice *p = s->bus[e->bus]->slot[slot << 3 | fn];
            if (p && !stays(p))
                device_unplug(&p->dev);
        }
}

static void post_ejection(PciHotplugBlock *s, unsigned bus, uint32_t slots)
{
    Ejection *e = g_new(Ejection, 1);
    *e = (Ejection){bus, slots};
    s->down[bus] &= ~slots;
    device_post(&s->dev, eject, e, g_free);
}

static void write_block(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    PciHotplugBlock *s = (PciHotplugBlock *)d;
    if (at == SELECT)
        s->selected = v;
    else if (at == INDEX)
        s->index_slot = v;
    else if (at == EJECT && s->selected < s->n && v)
        post_ejection(s, s->selected, v);
}

/* What was asked to go and did not is gone at a reset. */
static void reset(Device *d)
{
    PciHotplugBlock *s = (PciHotplugBlock *)d;
    for (unsigned i = 0; i < s->n; i++) {
        s->up[i] = 0;
        if (s->down[i])
            post_ejection(s, i, s->down[i]);
    }
}

/* ---- the buses' side ---- */

static bool plugged(void *opaque, PciDevice *p, GError **error)
{
    PciHotplugBlock *s = opaque;
    unsigned n = number_of(s, p->bus);
    if (n == NONE || p->devfn & 7)      /* function 0 comes last; before the machine is ready nobody is told */
        return true;
    device_lock(&s->dev);
    s->up[n] |= 1u << (p->devfn >> 3);
    s->down[n] &= ~(1u << (p->devfn >> 3));
    device_unlock(&s->dev);
    s->c.event.raise(s->c.event.opaque);
    return true;
}

static bool unplug_request(void *opaque, PciDevice *p, GError **error)
{
    PciHotplugBlock *s = opaque;
    unsigned n = number_of(s, p->bus);
    if (n == NONE)
        return error_set(error, "Unsupported bus. Bus doesn't have property 'acpi-pcihp-bsel' set");
    device_lock(&s->dev);
    s->down[n] |= 1u << (p->devfn >> 3);
    device_unlock(&s->dev);
    s->c.event.raise(s->c.event.opaque);
    return true;
}

static const Field fields[] = {
    HOST(PciHotplugBlock, c), HOST(PciHotplugBlock, ops), HOST(PciHotplugBlock, bus), HOST(PciHotplugBlock, n),
    SAVED(PciHotplugBlock, selected), SAVED(PciHotplugBlock, index_slot), SAVED(PciHotplugBlock, up, .keep = true),
    SAVED(PciHotplugBlock, down, .keep = true),
};
static const DeviceType type = {
    .name = "acpi-pci-hotplug", .desc = "ACPI PCI hotplug registers", .size = sizeof(PciHotplugBlock),
    .window = ACPI_PCI_WINDOW, .min_access = 4, .max_access = 4, FIELDS(fields), .read = read_block,
    .write = write_block, .reset = reset,
};
DEVICE_TYPE(type);

Device *acpi_pci_hotplug_new(Vm *vm, const AcpiPciConfig *c)
{
    PciHotplugBlock *s = (PciHotplugBlock *)device_draft(vm, "acpi-pci-hotplug");
    s->c = *c;
    s->ops = (PciHotplug){plugged, unplug_request, s};
    if (c->root_bus)
        c->root->hotplug = &s->ops;
    if (c->bridges)
        c->root->bridge_hotplug = &s->ops;
    device_start(&s->dev);
    return &s->dev;
}

void acpi_pci_hotplug_ready(Device *d)
{
    PciHotplugBlock *s = (PciHotplugBlock *)d;
    s->n = 0;
    for (PciBus *b = s->c.root; b; b = b->next)
        number_buses(s, b);
}

/* ---- AML ---- */

static const char *const dsm_uuid = "E5C937D0-3553-4D7A-9117-EA4D19C3434D";

static Aml *this_byte(uint8_t v) { return aml_buffer(&v, 1); }

/* PDSM(uuid, revision, function, index): function 7 tells the number that the user gave the device. */
static void add_dsm(Aml *bridge)
{
    enum { HAS_7 = 0x81 };
    Aml *m = aml_method("PDSM", 4, true), *ours = aml_if(aml_equal(aml_arg(0), aml_uuid(dsm_uuid)));
    Aml *indexed = aml_if(aml_not_equal(aml_arg(3), aml_int(0)));
    Aml *what = aml_if(aml_equal(aml_arg(2), aml_int(0)));
    aml_append(what, aml_return(this_byte(HAS_7)));
    aml_append(indexed, what);
    what = aml_if(aml_equal(aml_arg(2), aml_int(7)));
    Aml *pair[] = {aml_int(0), aml_string("")};
    aml_append(what, aml_store(aml_package(pair, 2), aml_local(0)));
    aml_append(what, aml_store(aml_arg(3), aml_index(aml_local(0), aml_int(0))));
    aml_append(what, aml_return(aml_local(0)));
    aml_append(indexed, what);
    aml_append(ours, indexed);
    aml_append(m, ours);
    aml_append(m, aml_return(this_byte(0)));
    aml_append(bridge, m);
}

static Aml *dsm(Aml *index)
{
    Aml *m = aml_method("_DSM", 4, true);
    Aml *args[] = {aml_arg(0), aml_arg(1), aml_arg(2), index};
    aml_append(m, aml_return(aml_call("\\_SB.PCI0.PDSM", args, 4)));
    return m;
}

/* The registers, and PCEJ(bus, slot), AIDX(bus, slot). */
static void add_registers(Aml *bridge, uint16_t port)
{
    static const AmlUnit maps[] = {{"PCIU", 32}, {"PCID", 32}}, ejects[] = {{"B0EJ", 32}};
    static const AmlUnit select[] = {{"BNUM", 32}, {"PIDX", 32}};
    Aml *d = aml_device("PHPR"), *r = aml_resources();
    aml_append(d, aml_name("_HID", aml_eisaid("PNP0A06")));
    aml_append(d, aml_name("_UID", aml_string("PCI Hotplug resources")));
    aml_append(d, aml_name("_STA", aml_int(11)));
    aml_res_io(r, port, ACPI_PCI_WINDOW);
    aml_append(d, aml_name_resources("_CRS", r));
    aml_append(bridge, d);
    aml_append(bridge, aml_region("PCST", 1, port + UP, 8));
    aml_append(bridge, aml_fields("PCST", 3, false, 2, maps, 2));
    aml_append(bridge, aml_region("SEJ", 1, port + EJECT, 4));
    aml_append(bridge, aml_fields("SEJ", 3, false, 2, ejects, 1));
    aml_append(bridge, aml_region("BNMR", 1, port + SELECT, 8));
    aml_append(bridge, aml_fields("BNMR", 3, false, 2, select, 2));
    aml_append(bridge, aml_mutex("BLCK", 0));

    Aml *m = aml_method("PCEJ", 2, true);
    aml_append(m, aml_acquire("BLCK"));
    aml_append(m, aml_store(aml_arg(0), aml_path("BNUM")));
    aml_append(m, aml_store(aml_shift_left(aml_int(1), aml_arg(1)), aml_path("B0EJ")));
    aml_append(m, aml_release("BLCK"));
    aml_append(m, aml_return(aml_int(0)));
    aml_append(bridge, m);

    m = aml_method("AIDX", 2, true);
    aml_append(m, aml_acquire("BLCK"));
    aml_append(m, aml_store(aml_arg(0), aml_path("BNUM")));
    aml_append(m, aml_store(aml_shift_left(aml_int(1), aml_arg(1)), aml_path("PIDX")));
    aml_append(m, aml_store(aml_path("PIDX"), aml_local(0)));
    aml_append(m, aml_release("BLCK"));
    aml_append(m, aml_return(aml_local(0)));
    aml_append(bridge, m);
}

static Aml *slot_device(unsigned devfn)
{
    g_autofree char *name = g_strdup_printf("S%02X", devfn);
    Aml *d = aml_device(name);
    aml_append(d, aml_name("_ADR", aml_int((uint64_t)(devfn >> 3) << 16 | (devfn & 7))));
    return d;
}

static void add_empty_or_leaf(Aml *to, unsigned n, unsigned slot)
{
    Aml *d = slot_device(slot << 3), *m = aml_method("_EJ0", 1, true);
    Aml *out[] = {aml_int(n), aml_int(slot)}, *index[] = {aml_int(n), aml_int(slot)};
    aml_append(d, aml_name("_SUN", aml_int(slot)));
    aml_append(m, aml_call("\\_SB.PCI0.PCEJ", out, 2));
    aml_append(d, m);
    aml_append(d, dsm(aml_call("\\_SB.PCI0.AIDX", index, 2)));
    aml_append(to, d);
}

/* DVNT(slots, what): notifies each. */
static void add_notify(Aml *to, uint32_t slots)
{
    Aml *m = aml_method("DVNT", 2, false);
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (!(slots >> slot & 1))
            continue;
        g_autofree char *name = g_strdup_printf("S%02X", slot << 3);
        Aml *hit = aml_if(aml_and(aml_arg(0), aml_int(1u << slot)));
        aml_append(hit, aml_notify_object(aml_path(name), aml_arg(1)));
        aml_append(m, hit);
    }
    aml_append(to, m);
}

static void add_bus(const PciHotplugBlock *s, Aml *to, const PciBus *bus);

/* A function that stays, if there is something to say of it. */
static void add_fixed(const PciHotplugBlock *s, Aml *to, Aml *scan, const PciDevice *p)
{
    const PciBus *below = bus_behind(p);
    if (!below && !p->acpi_index)
        return;
    Aml *d = slot_device(p->devfn);
    if (p->acpi_index)
        aml_append(d, dsm(aml_int(p->acpi_index)));
    /* The system may run the bridge's own controller: for roots without _OSC (PCI Firmware 3.2, 4.8). */
    if (below && pci_find_capability(p, PCI_CAP_SHPC))
        aml_append(d, aml_method("OSHP", 0, false));
    if (below) {
        g_autofree char *path = g_strdup_printf("^S%02X.PCNT", p->devfn);
        add_bus(s, d, below);
        aml_append(scan, aml_call(path, NULL, 0));
    }
    aml_append(to, d);
}

/* The slots of a bus and PCNT, which looks at it and all below. */
static void add_bus(const PciHotplugBlock *s, Aml *to, const PciBus *bus)
{
    unsigned n = s ? number_of(s, bus) : NONE;
    uint32_t slots = 0;
    Aml *scan = aml_method("PCNT", 0, false);
    for (unsigned slot = 0; n != NONE && slot < (bus->one_slot ? 1u : PCI_SLOTS); slot++) {
        const PciDevice *p = bus->slot[slot << 3];
        if ((!p && bus->reserved >> slot & 1) || (p && stays(p)))
            continue;
        add_empty_or_leaf(to, n, slot);
        slots |= 1u << slot;
    }
    if (n != NONE) {
        Aml *up[] = {aml_path("\\_SB.PCI0.PCIU"), aml_int(1)}, *down[] = {aml_path("\\_SB.PCI0.PCID"), aml_int(3)};
        aml_append(to, aml_name("BSEL", aml_int(n)));
        add_notify(to, slots);
        aml_append(scan, aml_store(aml_path("BSEL"), aml_path("\\_SB.PCI0.BNUM")));
        aml_append(scan, aml_call("DVNT", up, 2));
        aml_append(scan, aml_call("DVNT", down, 2));
    }
    for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++)
        if (bus->slot[devfn] && !(slots >> (devfn >> 3) & 1))
            add_fixed(s, to, scan, bus->slot[devfn]);
    aml_append(to, scan);
}

void acpi_pci_hotplug_aml(Aml *bridge, Device *d, const PciBus *root, uint16_t port)
{
    add_dsm(bridge);
    if (d)
        add_registers(bridge, port);
    add_bus((PciHotplugBlock *)d, bridge, root);
}

void acpi_pci_bus_aml(Aml *to, Device *d, const PciBus *bus) { add_bus((PciHotplugBlock *)d, to, bus); }

void acpi_pci_event_aml(Aml *dsdt, const PciBus *root)
{
    Aml *gpe = aml_scope("\\_GPE"), *event = aml_method("_E01", 0, false);
    aml_append(event, aml_acquire("\\_SB.PCI0.BLCK"));
    aml_append(event, aml_call("\\_SB.PCI0.PCNT", NULL, 0));
    for (const PciBus *b = root->next; b; b = b->next) {
        g_autofree char *path = g_strdup_printf("\\_SB.PC%02X.PCNT", b->number);
        aml_append(event, aml_call(path, NULL, 0));
    }
    aml_append(event, aml_release("\\_SB.PCI0.BLCK"));
    aml_append(gpe, event);
    aml_append(dsdt, gpe);
}
