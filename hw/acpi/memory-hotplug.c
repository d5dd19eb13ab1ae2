/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory hotplug by ACPI: a block of 24 bytes with a selector of slots, address and size of the module in
 * the selected one, flags. Spec: the platform's register interface (memory hotplug block); ACPI 6.5, 6.3.5, 9.11.
 */
#include "hw/acpi-hotplug.h"
#include "hw/acpi/hotplug-aml.h"

enum {
    ADDRESS = 0, SIZE = 8, PROXIMITY = 0x10, FLAGS = 0x14, SELECTOR = 0, OST_EVENT = 4, OST_STATUS = 8,
    ENABLED = 1, INSERTING = 2, REMOVING = 4, EJECT = 8, LATE_NS = 100000000,
};

typedef struct MemoryHotplugBlock {
    Device dev;
    AcpiMemorySlots slots;
    uint32_t selector;
    uint8_t flags[ACPI_MEMORY_SLOTS];           /* ENABLED, INSERTING, REMOVING */
    uint64_t addr[ACPI_MEMORY_SLOTS], size[ACPI_MEMORY_SLOTS];
    uint32_t node[ACPI_MEMORY_SLOTS], ost_event[ACPI_MEMORY_SLOTS], ost_status[ACPI_MEMORY_SLOTS];
    bool ejected[ACPI_MEMORY_SLOTS];            /* as with CPUs: it goes when the guest has seen that it is gone */
    Timer late;
} MemoryHotplugBlock;

static bool in_range(const MemoryHotplugBlock *s) { return s->selector < MIN(s->slots.n, ACPI_MEMORY_SLOTS); }

/* ---- work on the control thread ---- */

static void eject(Device *d, void *slot)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    if (__atomic_exchange_n(&s->ejected[GPOINTER_TO_UINT(slot)], false, __ATOMIC_SEQ_CST) && s->slots.eject)
        s->slots.eject(s->slots.opaque, GPOINTER_TO_UINT(slot));
}

static void seen(MemoryHotplugBlock *s, unsigned slot)
{
    if (s->ejected[slot])
        device_post(&s->dev, eject, GUINT_TO_POINTER(slot), NULL);
}

static void late(Device *d)
{
    for (unsigned n = 0; n < ACPI_MEMORY_SLOTS; n++)
        seen((MemoryHotplugBlock *)d, n);
}

static uint64_t read_block(Device *d, uint64_t at, unsigned size)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    unsigned n = s->selector;
    if (!in_range(s))
        return 0;
    switch (at) {
    case ADDRESS:
    case ADDRESS + 4:
        return (uint32_t)(s->addr[n] >> 8 * at);
    case SIZE:
    case SIZE + 4:
        return (uint32_t)(s->size[n] >> 8 * (at - SIZE));
    case PROXIMITY:
        return s->node[n];
    case FLAGS:
        seen(s, n);
        return s->flags[n];
    }
    return 0;
}

typedef struct Report {
    unsigned slot;
    uint32_t source, status;
} Report;

static void report(Device *d, void *data)
{
    const AcpiMemorySlots *s = &((MemoryHotplugBlock *)d)->slots;
    const Report *r = data;
    acpi_ost(d->object.vm, s->id ? s->id(s->opaque, r->slot) : NULL, false, r->slot, r->source, r->status);
}

static void post_report(MemoryHotplugBlock *s, uint32_t status)
{
    Report *r = g_new(Report, 1);
    *r = (Report){s->selector, s->ost_event[s->selector], status};
    device_post(&s->dev, report, r, g_free);
}

static void write_block(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    unsigned n = s->selector;
    if (at == SELECTOR)
        s->selector = v;
    if (!in_range(s))
        return;
    if (at == OST_EVENT) {
        s->ost_event[n] = v;
    } else if (at == OST_STATUS) {
        s->ost_status[n] = v;
        post_report(s, v);
    } else if (at == FLAGS) {
        s->flags[n] &= ~(v & (INSERTING | REMOVING));
        if (v & EJECT && s->flags[n] & ENABLED) {
            s->flags[n] &= ~ENABLED;            /* as the guest, which asks at once, is to see */
            s->ejected[n] = true;
            timer_arm(&s->late, clock_ns(d->object.vm, CLOCK_K_VIRTUAL) + LATE_NS);
        }
    }
}

static const Field fields[] = {
    HOST(MemoryHotplugBlock, slots), SAVED(MemoryHotplugBlock, selector),
    SAVED(MemoryHotplugBlock, flags, .keep = true), SAVED(MemoryHotplugBlock, addr, .keep = true),
    SAVED(MemoryHotplugBlock, size, .keep = true), SAVED(MemoryHotplugBlock, node, .keep = true),
    SAVED(MemoryHotplugBlock, ost_event), SAVED(MemoryHotplugBlock, ost_status),
    SAVED(MemoryHotplugBlock, ejected, .keep = true),
    TIMER(MemoryHotplugBlock, late, late),
};

/* What is in the slots is found at the start. */
static void reset(Device *d)
{
    for (unsigned i = 0; i < ACPI_MEMORY_SLOTS; i++)
        ((MemoryHotplugBlock *)d)->flags[i] &= ENABLED;
}

static void restored(Device *d)
{
    for (unsigned i = 0; i < ACPI_MEMORY_SLOTS; i++)
        ((MemoryHotplugBlock *)d)->flags[i] &= ENABLED | INSERTING | REMOVING;
}

static const DeviceType type = {
    .name = "acpi-memory-hotplug", .desc = "ACPI memory hotplug registers", .size = sizeof(MemoryHotplugBlock),
    .window = ACPI_MEMORY_WINDOW, .max_access = 4, FIELDS(fields), .read = read_block, .write = write_block,
    .reset = reset, .restored = restored,
};
DEVICE_TYPE(type);

Device *acpi_memory_hotplug_new(Vm *vm, const AcpiMemorySlots *slots)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)device_draft(vm, "acpi-memory-hotplug");
    s->slots = *slots;
    s->slots.n = MIN(slots->n, ACPI_MEMORY_SLOTS);
    device_start(&s->dev);
    return &s->dev;
}

void acpi_memory_plugged(Device *d, unsigned slot, uint64_t addr, uint64_t size, uint32_t node, bool tell)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    if (slot >= ACPI_MEMORY_SLOTS)
        return;
    device_lock(d);
    s->addr[slot] = addr;
    s->size[slot] = size;
    s->node[slot] = node;
    s->flags[slot] = ENABLED | (tell ? INSERTING : 0);
    device_unlock(d);
    if (tell)
        s->slots.event.raise(s->slots.event.opaque);
}

void acpi_memory_unplug_request(Device *d, unsigned slot)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    if (slot >= ACPI_MEMORY_SLOTS)
        return;
    device_lock(d);
    s->flags[slot] |= REMOVING;
    device_unlock(d);
    s->slots.event.raise(s->slots.event.opaque);
}

void acpi_memory_gone(Device *d, unsigned slot)
{
    MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    if (slot >= ACPI_MEMORY_SLOTS)
        return;
    device_lock(d);
    s->flags[slot] = 0;
    s->addr[slot] = s->size[slot] = 0;
    device_unlock(d);
}

/* ---- AML ---- */

static const HotplugAml block = {"PNP0A06", "Memory hotplug resources", "\\_SB.PCI0", "MHPD", "MLCK", "MTFY", "MP",
                                 2};

static Aml *reg(const char *name) { return hotplug_aml_reg(&block, name); }
static void put(Aml *m, Aml *value, const char *name) { hotplug_aml_set(&block, m, name, value); }

static void add_registers(Aml *dsdt, uint16_t port)
{
    static const AmlUnit numbers[] = {{"MRBL", 32}, {"MRBH", 32}, {"MRLL", 32}, {"MRLH", 32}, {"MPX_", 32}};
    static const AmlUnit flags[] = {{NULL, 0x14 * 8}, {"MES_", 1}, {"MINS", 1}, {"MRMV", 1}, {"MEJ_", 1}};
    static const AmlUnit words[] = {{"MSEL", 32}, {"MOEV", 32}, {"MOSC", 32}};
    Aml *d = hotplug_aml_regs(&block, "HPMR", port, ACPI_MEMORY_WINDOW);
    aml_append(d, aml_fields("HPMR", 3, false, 0, numbers, G_N_ELEMENTS(numbers)));
    aml_append(d, aml_fields("HPMR", 1, false, 2, flags, G_N_ELEMENTS(flags)));
    aml_append(d, aml_fields("HPMR", 3, false, 0, words, G_N_ELEMENTS(words)));
    hotplug_aml_add_regs(&block, dsdt, d);
}

static Aml *pass_on(const char *flag, unsigned what)
{
    return hotplug_aml_pass_on(&block, flag, aml_local(0), what);
}

static void add_scan(Aml *mc, unsigned n)
{
    Aml *m = hotplug_aml_method(&block, "MSCN", 0), *loop = aml_while(aml_less(aml_local(0), aml_int(n))), *other = aml_else();
    aml_append(m, aml_store(aml_int(0), aml_local(0)));
    put(loop, aml_local(0), "MSEL");
    aml_append(loop, pass_on("MINS", 1));
    aml_append(other, pass_on("MRMV", 3));
    aml_append(loop, other);
    aml_append(loop, aml_increment(aml_local(0)));
    aml_append(m, loop);
    hotplug_aml_end(&block, mc, m, NULL);
}

/* MCRS: a window with the module's range; integers have 32 bits here, so halves are added. */
static void add_resources(Aml *mc)
{
    static const struct { unsigned at; const char *name; } parts[] = {
        {14, "MINL"}, {18, "MINH"}, {22, "MAXL"}, {26, "MAXH"}, {38, "LENL"}, {42, "LENH"},
    };
    Aml *m = hotplug_aml_method(&block, "MCRS", 1), *r = aml_resources();
    put(m, aml_arg(0), "MSEL");
    aml_res_window64(r, 0, UINT64_MAX - 1);
    aml_append(mc, aml_name_resources("MR64", r));
    aml_append(m, aml_store(aml_path("MR64"), aml_local(0)));
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        aml_append(m, aml_create_dword_field(aml_local(0), parts[i].at, parts[i].name));
    aml_append(m, aml_store(reg("MRBL"), aml_path("MINL")));
    aml_append(m, aml_store(reg("MRBH"), aml_path("MINH")));
    aml_append(m, aml_store(reg("MRLL"), aml_path("LENL")));
    aml_append(m, aml_store(reg("MRLH"), aml_path("LENH")));
    aml_append(m, aml_add(aml_path("MINL"), aml_path("LENL"), aml_path("MAXL")));
    aml_append(m, aml_add(aml_path("MINH"), aml_path("LENH"), aml_path("MAXH")));
    Aml *carry = aml_if(aml_less(aml_path("MAXL"), aml_path("MINL")));
    aml_append(carry, aml_add(aml_path("MAXH"), aml_int(1), aml_path("MAXH")));
    aml_append(m, carry);
    Aml *borrow = aml_if(aml_equal(aml_path("MAXL"), aml_int(0)));
    aml_append(borrow, aml_subtract(aml_path("MAXH"), aml_int(1), aml_path("MAXH")));
    aml_append(m, borrow);
    aml_append(m, aml_subtract(aml_path("MAXL"), aml_int(1), aml_path("MAXL")));
    hotplug_aml_end(&block, mc, m, aml_local(0));
}

static void add_methods(Aml *mc)
{
    Aml *status = hotplug_aml_method(&block, "MSTA", 1);
    put(status, aml_arg(0), "MSEL");
    aml_append(status, aml_store(aml_int(0), aml_local(0)));
    Aml *there = aml_if(aml_equal(reg("MES_"), aml_int(1)));
    aml_append(there, aml_store(aml_int(15), aml_local(0)));
    aml_append(status, there);
    hotplug_aml_end(&block, mc, status, aml_local(0));

    Aml *node = hotplug_aml_method(&block, "MPXM", 1);
    put(node, aml_arg(0), "MSEL");
    aml_append(node, aml_store(reg("MPX_"), aml_local(0)));
    hotplug_aml_end(&block, mc, node, aml_local(0));

    Aml *ost = hotplug_aml_method(&block, "MOST", 3);
    put(ost, aml_arg(0), "MSEL");
    put(ost, aml_arg(1), "MOEV");
    put(ost, aml_arg(2), "MOSC");
    hotplug_aml_end(&block, mc, ost, NULL);

    Aml *out = hotplug_aml_method(&block, "MEJ0", 1);
    put(out, aml_arg(0), "MSEL");
    put(out, aml_int(1), "MEJ_");
    hotplug_aml_end(&block, mc, out, NULL);
}

static Aml *returning(const char *name, const char *method, unsigned slot)
{
    Aml *m = aml_method(name, 0, true), *arg[] = {aml_int(slot)};
    aml_append(m, aml_return(aml_call(method, arg, 1)));
    return m;
}

static void add_slot(Aml *mc, unsigned n)
{
    g_autofree char *name = hotplug_aml_child(&block, n);
    Aml *d = aml_device(name), *m, *out[] = {aml_int(n)}, *ost[] = {aml_int(n), aml_arg(0), aml_arg(1)};
    aml_append(d, aml_name("_HID", aml_eisaid("PNP0C80")));
    aml_append(d, aml_name("_UID", aml_int(n)));
    aml_append(d, returning("_CRS", "MCRS", n));
    aml_append(d, returning("_STA", "MSTA", n));
    aml_append(d, returning("_PXM", "MPXM", n));
    m = aml_method("_OST", 3, true);
    aml_append(m, aml_call("MOST", ost, 3));
    aml_append(d, m);
    m = aml_method("_EJ0", 1, true);
    aml_append(m, aml_call("MEJ0", out, 1));
    aml_append(d, m);
    aml_append(mc, d);
}

void acpi_memory_aml(Aml *dsdt, uint16_t port, unsigned n)
{
    Aml *sb = aml_scope("\\_SB"), *mc = aml_device("MHPC");
    n = MIN(n, ACPI_MEMORY_SLOTS);
    add_registers(dsdt, port);
    aml_append(mc, aml_name("_HID", aml_eisaid("PNP0A06")));
    aml_append(mc, aml_name("_UID", aml_string("DIMM devices")));
    hotplug_aml_add_notify(&block, mc, n);
    add_scan(mc, n);
    add_resources(mc);
    add_methods(mc);
    for (unsigned i = 0; i < n; i++)
        add_slot(mc, i);
    aml_append(sb, mc);
    aml_append(dsdt, sb);
    hotplug_aml_add_event(dsdt, "_E03", "\\_SB.MHPC.MSCN");
}

bool acpi_memory_ost(Device *d, unsigned n, AcpiOst *ost)
{
    const MemoryHotplugBlock *s = (MemoryHotplugBlock *)d;
    if (n >= s->slots.n)
        return false;
    *ost = (AcpiOst){s->slots.id ? s->slots.id(s->slots.opaque, n) : NULL, s->ost_event[n], s->ost_status[n]};
    return true;
}
