/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The educational PCI device: computes factorials, moves memory, raises interrupts. Spec: QEMU's
 * docs/specs/edu.
 */
#include "hw/pci.h"

enum { COMPUTING = 1, RAISE = 0x80, RAISE_FACTORIAL = 1, RAISE_DMA = 0x100, BUFFER_AT = 0x40000,
       BUFFER_SIZE = 4096, DMA_RUN = 1, DMA_TO_RAM = 2, DMA_RAISE = 4, WINDOW = 1 << 20 };
#define DMA_TIME (100 * 1000000ll)
#define FACTORIAL_TIME 1000000ll

typedef struct Edu {
    PciDevice pci;
    Timer dma_done, factorial_done;
    uint32_t liveness, factorial, status, raised;
    uint64_t source, target, count, command, dma_mask;
    uint8_t memory[BUFFER_SIZE];
} Edu;

static int64_t now(Device *d) { return clock_ns(d->object.vm, CLOCK_K_VIRTUAL); }

static void raise_irq(Edu *s, uint32_t why)
{
    s->raised |= why;
    if (s->raised && !pci_notify(&s->pci, 0))
        pci_intx(&s->pci, true);
}

static void wrote_liveness(Device *d, uint64_t v) { ((Edu *)d)->liveness = ~(uint32_t)v; }
static void wrote_raise(Device *d, uint64_t v) { raise_irq((Edu *)d, (uint32_t)v); }

static void wrote_ack(Device *d, uint64_t v)
{
    Edu *s = (Edu *)d;
    s->raised &= ~(uint32_t)v;
    if (!s->raised)
        pci_intx(&s->pci, false);
}

/* ---- factorial ---- */

static void wrote_factorial(Device *d, uint64_t v)
{
    Edu *s = (Edu *)d;
    if (s->status & COMPUTING)
        return;
    s->factorial = (uint32_t)v;
    s->status |= COMPUTING;
    timer_arm(&s->factorial_done, now(d) + FACTORIAL_TIME);
}

static void computed(Device *d)
{
    Edu *s = (Edu *)d;
    uint32_t result = 1;
    for (uint32_t n = MIN(s->factorial, 64); n > 1; n--)    /* 34! and up are 0 modulo 2^32 */
        result *= n;
    s->factorial = result;
    s->status &= ~COMPUTING;
    if (s->status & RAISE)
        raise_irq(s, RAISE_FACTORIAL);
}

/* ---- DMA ---- */

static void wrote_command(Device *d, uint64_t v)
{
    Edu *s = (Edu *)d;
    if (v & DMA_RUN && !(s->command & DMA_RUN)) {
        s->command = v;
        timer_arm(&s->dma_done, now(d) + DMA_TIME);
    }
}

static bool in_buffer(const Edu *s, uint64_t at)
{
    return at >= BUFFER_AT && at < BUFFER_AT + BUFFER_SIZE && s->count <= BUFFER_AT + BUFFER_SIZE - at;
}

static void dma_move(Edu *s)
{
    bool to_ram = s->command & DMA_TO_RAM;
    uint64_t own = to_ram ? s->source : s->target, ram = to_ram ? s->target : s->source;
    if (!in_buffer(s, own)) {
        log_guest(s, "DMA of 0x%llx bytes at 0x%llx is outside of the buffer",
                  (unsigned long long)s->count, (unsigned long long)own);
        return;
    }
    uint8_t *p = s->memory + (own - BUFFER_AT);
    if (ram & ~s->dma_mask)
        log_guest(s, "DMA address 0x%llx does not fit the mask", (unsigned long long)ram);
    ram &= s->dma_mask;
    if (to_ram ? pci_dma_write(&s->pci, ram, p, s->count) : pci_dma_read(&s->pci, ram, p, s->count))
        return;
    log_guest(s, "DMA failed");
}

static void moved(Device *d)
{
    Edu *s = (Edu *)d;
    dma_move(s);
    s->command &= ~(uint64_t)DMA_RUN;
    if (s->command & DMA_RAISE)
        raise_irq(s, RAISE_DMA);
}

static const Reg regs[] = {
    REG(0x00, "ID", RO, .value = 0x010000ed),
    REG(0x04, "LIVENESS", RW, IN(Edu, liveness), .wrote = wrote_liveness),
    REG(0x08, "FACTORIAL", RO, IN(Edu, factorial)),
    REG(0x08, "FACTORIAL_START", WO, .wrote = wrote_factorial),
    REG(0x20, "STATUS", RW, IN(Edu, status), .bits = RAISE),
    REG(0x24, "IRQ_STATUS", RO, IN(Edu, raised)),
    REG(0x60, "IRQ_RAISE", WO, .wrote = wrote_raise),
    REG(0x64, "IRQ_ACK", WO, .wrote = wrote_ack),
    REG(0x80, "DMA_SOURCE", RW, .width = 8, IN(Edu, source)),
    REG(0x88, "DMA_TARGET", RW, .width = 8, IN(Edu, target)),
    REG(0x90, "DMA_COUNT", RW, .width = 8, IN(Edu, count)),
    REG(0x98, "DMA_STATE", RO, .width = 8, IN(Edu, command)),
    REG(0x98, "DMA_COMMAND", WO, .width = 8, .wrote = wrote_command),
};
static const Field fields[] = {
    TIMER(Edu, dma_done, moved), TIMER(Edu, factorial_done, computed), SAVED(Edu, memory),
    PROP(Edu, dma_mask, "dma_mask", PROP_U64, .init = (1ull << 28) - 1, .desc = "Address bits for DMA"),
};
static const PciInfo info = {
    .vendor = 0x1234, .device = 0x11e8, .class = 0x00ff00, .revision = 0x10, .pin = 1,
    .bar = {{.kind = PCI_BAR_MEM32, .window = true}}, .msi = {.vectors = 1},
};
static const DeviceType edu = {
    .name = "edu", .parent = "pci-device", .desc = "Educational PCI device", .size = sizeof(Edu),
    .pluggable = true, .hotpluggable = true, .window = WINDOW, .min_access = 4, .max_access = 8,
    REGS(regs), FIELDS(fields), .pci = &info,
};
DEVICE_TYPE(edu);
