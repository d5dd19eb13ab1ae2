/* SPDX-License-Identifier: Apache-2.0 */
/* I/O APIC, version 0x20. Spec: Intel 82093AA data sheet; the EOI register as in ICH9. */
#include "hw/intc/apic.h"

enum {
    PINS = 24, VERSION = 0x20 | (PINS - 1) << 16,
    SELECT = 0x00, WINDOW_REG = 0x10, EOI_REG = 0x40,
    STORM = 256, STORM_PAUSE_NS = 100000,
    MSI_ASSERT = 1 << 14, MSI_LEVEL = 1 << 15,
    INDEX_ID = 0, INDEX_VERSION = 1, INDEX_ARB = 2, INDEX_TABLE = 0x10,
};
#define APIC_WINDOW 0xfee00000ull
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_READ_ONLY (ENTRY_REMOTE_IRR | 1ull << 12)

typedef struct IoApic {
    Device dev;
    ApicBus *bus;
    uint64_t table[PINS];
    uint32_t irr, level;        /* pending edges or asserted levels; pin levels */
    uint16_t still[PINS];       /* ends of the interrupt in a row that found the line asserted */
    Timer pause;                /* CLOCK_VIRTUAL: the pins that wait for it are serviced then */
    uint8_t id, select;
} IoApic;

/* The message that an entry stands for, as it is written to the window of the APICs; in the remappable form
 * the same bits name an entry of the remapper's table (VT-d 3.4, 5.1.5.1). */
static MsiMessage message(uint64_t e)
{
    return (MsiMessage){
        .address = APIC_WINDOW | e >> 48 << 4 | (e & ENTRY_LOGICAL ? 4 : 0),
        .data = (e & 0x7ff) | MSI_ASSERT | (e & ENTRY_LEVEL ? MSI_LEVEL : 0),
    };
}

static bool remap(const IoApic *s, MsiMessage *m, bool quiet)
{
    return !s->bus->remap || s->bus->remap(s->bus->remap_opaque, m, quiet);
}

/* APICs elsewhere must know whose ends of interrupts are wanted. */
static void tell(IoApic *s, unsigned n)
{
    MsiMessage m = message(s->table[n]);
    if (s->bus && !(s->table[n] & ENTRY_MASKED) && remap(s, &m, true))  /* a masked one may still be in service */
        apic_bus_route(s->bus, &s->dev, n, true, m.address, m.data);
}

void ioapic_tell(Device *d)
{
    for (unsigned n = 0; n < PINS; n++)
        tell((IoApic *)d, n);
}

static void service(IoApic *s, unsigned n)
{
    uint64_t e = s->table[n];
    if (!s->bus || !(s->irr & 1u << n) || e & ENTRY_MASKED)
        return;
    if (e & ENTRY_LEVEL) {
        if (e & ENTRY_REMOTE_IRR)
            return;
        s->table[n] |= ENTRY_REMOTE_IRR;
    } else {
        s->irr &= ~(1u << n);
    }
    if ((e >> 8 & 7) == APIC_EXTINT && s->bus->pic_ack)
        e = (e & ~0x7ffull) | (uint8_t)s->bus->pic_ack(s->bus->pic);
    MsiMessage m = message(e);
    if (remap(s, &m, false))
        apic_bus_msi(s->bus, m.address, m.data);
}

static void pin(Device *d, uint32_t n, bool level)
{
    IoApic *s = (IoApic *)d;
    uint32_t bit = 1u << n;
    bool rising = level && !(s->level & bit);
    s->level = level ? s->level | bit : s->level & ~bit;
    if (s->table[n] & ENTRY_LEVEL)
        s->irr = level ? s->irr | bit : s->irr & ~bit;
    else if (rising)
        s->irr |= bit;
    service(s, n);
}

/* A line that stays asserted interrupts again at once. Hardware takes its time, in which the interrupted
 * code gets a few instructions further; some drivers (8139cp while it unmasks in its poll) only ever lower
 * the line there. So after many in a row the next one waits a little. */
static bool storms(IoApic *s, unsigned n)
{
    if (!(s->irr & 1u << n) || s->table[n] & ENTRY_MASKED) {
        s->still[n] = 0;
        return false;
    }
    if (++s->still[n] < STORM)
        return false;
    s->still[n] = 0;
    timer_arm(&s->pause, clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL) + STORM_PAUSE_NS);
    return true;
}

static void paused(Device *d)
{
    for (unsigned n = 0; n < PINS; n++)
        if (((IoApic *)d)->table[n] & ENTRY_LEVEL)
            service((IoApic *)d, n);
}

void ioapic_eoi(Device *d, uint8_t vector)
{
    IoApic *s = (IoApic *)d;
    for (unsigned n = 0; n < PINS; n++) {
        uint64_t e = s->table[n];
        if (!(e & ENTRY_LEVEL) || (uint8_t)e != vector || !(e & ENTRY_REMOTE_IRR))
            continue;
        s->table[n] &= ~ENTRY_REMOTE_IRR;
        if (!storms(s, n))
            service(s, n);
    }
}

static uint32_t read_indexed(IoApic *s, unsigned index)
{
    if (index >= INDEX_TABLE && index < INDEX_TABLE + 2 * PINS) {
        uint64_t e = s->table[(index - INDEX_TABLE) >> 1];
        return index & 1 ? e >> 32 : e;
    }
    return index == INDEX_VERSION ? VERSION : index <= INDEX_ARB ? (uint32_t)s->id << 24 : 0;
}

static void write_entry(IoApic *s, unsigned index, uint32_t value)
{
    unsigned n = (index - INDEX_TABLE) >> 1;
    uint64_t e = s->table[n];
    if (index & 1)
        e = (uint32_t)e | (uint64_t)value << 32;
    else
        e = (e & (0xffffffff00000000ull | ENTRY_READ_ONLY)) | (value & ~ENTRY_READ_ONLY);
    if (!(e & ENTRY_LEVEL))
        e &= ~ENTRY_REMOTE_IRR;         /* Linux switches to edge to drop a stuck level */
    else if (s->level & 1u << n)
        s->irr |= 1u << n;
    s->table[n] = e;
    tell(s, n);
    service(s, n);
}

static uint64_t read_window(Device *d, uint64_t at, unsigned size)
{
    IoApic *s = (IoApic *)d;
    return at == SELECT ? s->select : at == WINDOW_REG ? read_indexed(s, s->select) : 0;
}

static void write_window(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    IoApic *s = (IoApic *)d;
    if (at == SELECT)
        s->select = value;
    else if (at == EOI_REG)
        ioapic_eoi(d, value);
    else if (at == WINDOW_REG && s->select == INDEX_ID)
        s->id = value >> 24 & 0xf;
    else if (at == WINDOW_REG && s->select >= INDEX_TABLE && s->select < INDEX_TABLE + 2 * PINS)
        write_entry(s, s->select, value);
}

static void reset(Device *d)
{
    IoApic *s = (IoApic *)d;
    for (unsigned n = 0; n < PINS; n++) {
        s->table[n] = ENTRY_MASKED;
        tell(s, n);
    }
    s->irr = 0;
    s->select = 0;
}

static const Field fields[] = {
    LINK(IoApic, bus), SAVED(IoApic, table), SAVED(IoApic, irr), SAVED(IoApic, level),
    SAVED(IoApic, still), TIMER(IoApic, pause, paused),
    SAVED(IoApic, id), SAVED(IoApic, select),
};
static const DeviceType ioapic = {
    .name = "ioapic", .desc = "I/O APIC", .size = sizeof(IoApic), .window = 0x1000,
    .min_access = 4, .max_access = 4, .intc_domain = true, FIELDS(fields), .read = read_window,
    .write = write_window, .pin = pin, .n_pins = PINS, .reset = reset,
    .restored = ioapic_tell,
};
DEVICE_TYPE(ioapic);

Device *ioapic_new(ApicBus *bus, uint64_t base, uint8_t id)
{
    IoApic *s = (IoApic *)device_draft(bus->dev.object.vm, "ioapic");
    s->bus = bus;
    s->id = id;
    device_start(&s->dev);
    g_ptr_array_add(bus->ioapics, s);
    device_place(&s->dev, base);
    return &s->dev;
}

/* ---- for people ---- */

static void describe_bits(GString *out, const char *name, uint32_t bits)
{
    g_string_append_printf(out, "  %s", name);
    for (unsigned n = 0; n < PINS; n++)
        if (bits & 1u << n)
            g_string_append_printf(out, " %u", n);
    g_string_append(out, bits ? "\n" : " (none)\n");
}

void ioapic_describe(Device *d, unsigned number, GString *out)
{
    static const char *const modes[] = {"fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT"};
    const IoApic *s = (IoApic *)d;
    uint32_t remote = 0;
    device_lock(d);
    g_string_append_printf(out, "ioapic%u: ver=0x%x id=0x%02x sel=0x%02x", number, VERSION & 0xff, s->id, s->select);
    if (s->select >= INDEX_TABLE)
        g_string_append_printf(out, " (redir[%u])", (s->select - INDEX_TABLE) >> 1);
    g_string_append(out, "\n");
    for (unsigned n = 0; n < PINS; n++) {
        uint64_t e = s->table[n];
        remote |= e & ENTRY_REMOTE_IRR ? 1u << n : 0;
        g_string_append_printf(out, "  pin %-2u 0x%016" G_GINT64_MODIFIER "x dest=%" G_GINT64_MODIFIER
                               "x vec=%-3u %s %-5s %-6s %-6s %s\n", n, e, e >> 56, (unsigned)e & 0xff,
                               e & 1 << 13 ? "active-lo" : "active-hi", e & ENTRY_LEVEL ? "level" : "edge",
                               e & ENTRY_MASKED ? "masked" : "", modes[e >> 8 & 7],
                               e & ENTRY_LOGICAL ? "logical" : "physical");
    }
    describe_bits(out, "IRR     ", s->irr);
    describe_bits(out, "Remote IRR", remote);
    device_unlock(d);
}
