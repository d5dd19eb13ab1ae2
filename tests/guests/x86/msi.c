/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a PCI function: a virtio-rng at slot 3 with MSI-X, its vectors masked, moved and, where there is
 * VT-d, remapped. Virtio 1.2, 4.1; PCI Local Bus 3.0, 6.8.2; VT-d 3.4, 5.1.
 */
#include "guest.h"

enum {
    SLOT = 3, ECAM = 0xe0000000u, BARS = 0xc0000000u, VTD = 0xfed90000u, TIMER = 0x41, FIRST = 0x51, SECOND, THIRD,
    FOURTH, APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_LVT_TIMER = 0x320, APIC_INITIAL = 0x380, APIC_DIVIDE = 0x3e0,
    ROUNDS = 20,
};

static volatile unsigned ticks[256];
static bool by_ports;

static void set_apic(unsigned at, uint32_t v) { put32((void *)(0xfee00000u + at), v); }
static uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static uint32_t config(unsigned at)
{
    if (!by_ports)
        return get32((void *)(ECAM + (SLOT << 15) + (at & ~3u)));
    outl(0xcf8, 0x80000000u | SLOT << 11 | (at & 0xfc));
    return inl(0xcfc);
}

static void set_config(unsigned at, uint32_t v)
{
    if (!by_ports) {
        put32((void *)(ECAM + (SLOT << 15) + at), v);
        return;
    }
    outl(0xcf8, 0x80000000u | SLOT << 11 | (at & 0xfc));
    outl(0xcfc, v);
}

static bool interrupt(Frame *f)
{
    if (f->vector < 32)
        return false;
    ticks[f->vector]++;
    set_apic(APIC_EOI, 0);
    return true;
}

/* The timer beats, so that a lost interrupt is told of and not waited for. */
static bool wait_ticks(unsigned vector, unsigned n)
{
    for (unsigned i = 0; i < 300 && ticks[vector] < n; i++)
        __asm__ volatile("sti\n hlt\n cli" ::: "memory");
    return ticks[vector] >= n;
}

/* ---- the function ---- */

static uint8_t *common, *doorbell, *table, *pba;
static unsigned msix;

static uint8_t *bar(unsigned n)
{
    unsigned at = 0x10 + 4 * n;
    uint32_t v = config(at);
    if (!(v & ~0xfu)) {
        set_config(at, BARS + (n << 20));
        if ((v & 6) == 4)
            set_config(at + 4, 0);
        v = config(at);
    }
    return (uint8_t *)(v & ~0xfu);
}

static void find(void)
{
    by_ports = true;
    by_ports = config(0) == 0x10441af4 || config(0) == 0x10051af4;
    check("virtio-rng's vendor", config(0) & 0xffff, 0x1af4);
    for (unsigned at = config(0x34) & 0xff; at; at = config(at) >> 8 & 0xff) {
        uint32_t head = config(at);
        if ((head & 0xff) == 0x11) {
            msix = at;
            table = bar(config(at + 4) & 7) + (config(at + 4) & ~7u);
            pba = bar(config(at + 8) & 7) + (config(at + 8) & ~7u);
        } else if ((head & 0xff) == 9 && head >> 24 == 1) {
            common = bar(config(at + 4) & 0xff) + config(at + 8);
        } else if ((head & 0xff) == 9 && head >> 24 == 2) {
            doorbell = bar(config(at + 4) & 0xff) + config(at + 8);
        }
    }
    set_config(4, 6);                           /* memory, bus master */
}

static void set_entry(unsigned n, uint32_t address, uint32_t data, bool masked)
{
    put32(table + 16 * n + 12, 1);
    put32(table + 16 * n, address);
    put32(table + 16 * n + 4, 0);
    put32(table + 16 * n + 8, data);
    put32(table + 16 * n + 12, masked);
}

/* ---- the queue: descriptors, what is offered, what came back ---- */

static struct { uint64_t pa; uint32_t len; uint16_t flags, next; } desc[2] __attribute__((aligned(16)));
static volatile struct { uint16_t flags, idx, ring[2], event; } offered __attribute__((aligned(4)));
static volatile struct { uint16_t flags, idx; struct { uint32_t id, len; } ring[2]; uint16_t event; } used
    __attribute__((aligned(4)));
static uint8_t bytes[16];

static void start(void)
{
    common[0x14] = 0;
    common[0x14] = 1 | 2;
    put32(common + 8, 1);
    put32(common + 0xc, 1);                     /* VERSION_1 */
    common[0x14] = 1 | 2 | 8;
    put16(common + 0x16, 0);
    put16(common + 0x18, 2);
    put16(common + 0x1a, 0);                    /* vector 0 */
    put32(common + 0x20, (uint32_t)desc), put32(common + 0x24, 0);
    put32(common + 0x28, (uint32_t)&offered), put32(common + 0x2c, 0);
    put32(common + 0x30, (uint32_t)&used), put32(common + 0x34, 0);
    put16(common + 0x1c, 1);
    common[0x14] = 1 | 2 | 4 | 8;
    desc[0].pa = (uint32_t)bytes;
    desc[0].len = sizeof(bytes);
    desc[0].flags = 2;
}

static void ask(void)
{
    offered.ring[offered.idx & 1] = 0;
    __asm__ volatile("" ::: "memory");
    offered.idx++;
    put16(doorbell, 0);
}

/* Without its interrupt. */
static bool answered(void)
{
    for (unsigned i = 0; i < 300 && used.idx != offered.idx; i++)
        __asm__ volatile("sti\n hlt\n cli" ::: "memory");
    return used.idx == offered.idx;
}

static void test_vectors(uint32_t where, uint32_t first, uint32_t second)
{
    unsigned before = ticks[FIRST], good = 0;
    set_entry(0, where, first, false);
    for (unsigned i = 0; i < ROUNDS; i++) {
        ask();
        good += wait_ticks(FIRST, before + i + 1);
    }
    check("messages", good, ROUNDS);
    put32(table + 12, 1);
    ask();
    check("answered while masked", answered(), true);
    wait_ticks(TIMER, ticks[TIMER] + 2);
    check("masked: none came", ticks[FIRST], before + ROUNDS);
    check("pending", get32(pba) & 1, 1);
    put32(table + 12, 0);
    check("unmasked: it came", wait_ticks(FIRST, before + ROUNDS + 1), true);
    check("no longer pending", get32(pba) & 1, 0);
    if (second == first)
        return;
    before = ticks[SECOND];
    set_entry(0, where, second, false);
    ask();
    check("another message", wait_ticks(SECOND, before + 1), true);
}

/* ---- VT-d ---- */

static volatile struct { uint32_t w[4]; } entries[256] __attribute__((aligned(4096))), queue[256] __attribute__((aligned(4096)));
static unsigned tail;

static void set_irte(unsigned n, unsigned vector)
{
    entries[n].w[0] = 1 | vector << 16;
    entries[n].w[1] = entries[n].w[2] = entries[n].w[3] = 0;
}

static void invalidate(void)
{
    queue[tail].w[0] = 4;
    tail = (tail + 1) % 256;
    put32((void *)(VTD + 0x88), tail * 16);
}

static void set_ioapic(unsigned index, uint32_t v)
{
    put32((void *)0xfec00000u, index);
    put32((void *)0xfec00010u, v);
}

static void test_remapping(void)
{
    put("AT remapping\n");
    put32((void *)(VTD + 0x90), (uint32_t)queue), put32((void *)(VTD + 0x94), 0);
    put32((void *)(VTD + 0xb8), (uint32_t)entries | 7), put32((void *)(VTD + 0xbc), 0);
    put32((void *)(VTD + 0x18), 1 << 26);
    put32((void *)(VTD + 0x18), 1 << 26 | 1 << 24);
    set_irte(5, FIRST);
    set_irte(6, THIRD);
    put32((void *)(VTD + 0x18), 1 << 26 | 1 << 25);
    check("remapping is on", get32((void *)(VTD + 0x1c)) >> 25 & 1, 1);
    test_vectors(0xfee00010 | 5 << 5, 0, 0);
    /* Only the table of the IOMMU changes. */
    set_irte(5, SECOND);
    invalidate();
    unsigned before = ticks[SECOND];
    ask();
    check("the entry changed", wait_ticks(SECOND, before + 1), true);
    entries[5].w[0] = 0;
    invalidate();
    before = ticks[SECOND];
    ask();
    check("answered while blocked", answered(), true);
    wait_ticks(TIMER, ticks[TIMER] + 2);
    check("blocked: none came", ticks[SECOND], before);
    check("the fault's reason", get32((void *)(VTD + 0x22c)) & 0xff, 0x22);
    set_irte(5, SECOND);
    invalidate();
    ask();
    check("it comes again", wait_ticks(SECOND, before + 1), true);
    /* The PIT through the IOAPIC: entry 6, by its handle. */
    outb(0x43, 0x34), outb(0x40, 11932 & 0xff), outb(0x40, 11932 >> 8);
    set_ioapic(0x10 + 2 * 2 + 1, 6u << 17 | 1u << 16);
    set_ioapic(0x10 + 2 * 2, 0);
    check("PIT through IOAPIC and entry 6", wait_ticks(THIRD, 3), true);
    set_irte(6, FOURTH);
    invalidate();
    check("its entry changed", wait_ticks(FOURTH, 3), true);
    set_ioapic(0x10 + 2 * 2, 0x10000);
}

int main(void)
{
    hook = interrupt;
    put("AT start\n");
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    set_apic(APIC_SVR, 0x1ff);
    set_apic(APIC_DIVIDE, 0xb);
    set_apic(APIC_LVT_TIMER, 0x20000 | TIMER);
    set_apic(APIC_INITIAL, 10000000);
    find();
    start();
    set_config(msix, config(msix) | 1u << 31);
    put("AT messages\n");
    test_vectors(0xfee00000, FIRST, SECOND);
    if (get32((void *)VTD) == 0x10)
        test_remapping();
    set_config(msix, config(msix) & ~(1u << 31));
    put("AT end\n");
    return 0;
}
