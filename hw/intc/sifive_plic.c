/* SPDX-License-Identifier: Apache-2.0 */
/* Platform-level interrupt controller. Spec: RISC-V PLIC Specification 1.0.0; SiFive U54 manual. */
#include <inttypes.h>
#include "core/vm.h"
#include "hw/riscv.h"
#include "util/error.h"

enum {
    MAX_SOURCES = 1024, WORDS = MAX_SOURCES / 32, MAX_CONTEXTS = 1024,
    PRIORITY = 0, PENDING = 0x1000, ENABLE = 0x2000, ENABLE_STRIDE = 0x80,
    CONTEXT = 0x200000, CONTEXT_STRIDE = 0x1000, THRESHOLD = 0, CLAIM = 4,
    PRIORITY_MASK = 7, WINDOW = 0x600000,
};

typedef struct Plic {
    Device dev;
    uint32_t sources, contexts;
    Irq irq[MAX_CONTEXTS];
    uint32_t enable[MAX_CONTEXTS][WORDS];
    uint8_t threshold[MAX_CONTEXTS];
    uint8_t priority[MAX_SOURCES];
    uint32_t level[WORDS];      /* the pins */
    uint32_t pending[WORDS];    /* requests that the gateways have passed on */
    uint32_t claimed[WORDS];    /* gateways that wait for completion */
} Plic;

static bool bit(const uint32_t *words, unsigned n) { return words[n / 32] >> n % 32 & 1; }

static void set_bit(uint32_t *words, unsigned n, bool on)
{
    uint32_t mask = 1u << n % 32;
    words[n / 32] = on ? words[n / 32] | mask : words[n / 32] & ~mask;
}

/* The pending, enabled source of the highest priority above the threshold; lowest number first. */
static unsigned best(const Plic *s, unsigned context)
{
    unsigned found = 0, priority = s->threshold[context];
    for (unsigned w = 0; w <= s->sources / 32; w++) {
        uint32_t ready = s->pending[w] & s->enable[context][w];
        for (; ready; ready &= ready - 1) {
            unsigned n = w * 32 + __builtin_ctz(ready);
            if (s->priority[n] > priority) {
                priority = s->priority[n];
                found = n;
            }
        }
    }
    return found;
}

static void update(Plic *s)
{
    for (unsigned c = 0; c < s->contexts; c++) {
        irq_set(&s->irq[c], best(s, c) != 0);
    }
}

/* A gateway lets a level through once, then waits for completion. */
static void gateway(Plic *s, unsigned n)
{
    if (bit(s->level, n) && !bit(s->claimed, n))
        set_bit(s->pending, n, true);
}

static void pin(Device *d, uint32_t n, bool level)
{
    Plic *s = (Plic *)d;
    if (n == 0 || n > s->sources)
        return;
    set_bit(s->level, n, level);
    gateway(s, n);
    update(s);
}

static uint32_t claim(Plic *s, unsigned context)
{
    unsigned n = best(s, context);
    if (n) {
        set_bit(s->pending, n, false);
        set_bit(s->claimed, n, true);
        update(s);
    }
    return n;
}

static void complete(Plic *s, unsigned context, uint32_t n)
{
    if (n == 0 || n > s->sources || !bit(s->enable[context], n))
        return;
    set_bit(s->claimed, n, false);
    gateway(s, n);
    update(s);
}

/* ---- registers, all of 32 bits ---- */

static uint64_t plic_read(Device *d, uint64_t at, unsigned size)
{
    Plic *s = (Plic *)d;
    if (at < PENDING)
        return at / 4 <= s->sources ? s->priority[at / 4] : 0;
    if (at < PENDING + WORDS * 4)
        return s->pending[(at - PENDING) / 4];
    if (at >= ENABLE && at < CONTEXT) {
        unsigned c = (at - ENABLE) / ENABLE_STRIDE;
        return c < s->contexts ? s->enable[c][(at - ENABLE) % ENABLE_STRIDE / 4] : 0;
    }
    if (at >= CONTEXT) {
        unsigned c = (at - CONTEXT) / CONTEXT_STRIDE, reg = (at - CONTEXT) % CONTEXT_STRIDE;
        if (c < s->contexts && reg == THRESHOLD)
            return s->threshold[c];
        if (c < s->contexts && reg == CLAIM)
            return claim(s, c);
    }
    log_guest(d, "read of a register that is not there: 0x%" PRIx64, at);
    return 0;
}

static uint32_t source_mask(const Plic *s, unsigned word)
{
    uint32_t mask = word ? UINT32_MAX : ~1u;
    unsigned last = s->sources / 32;
    if (word == last && s->sources % 32 != 31)
        mask &= (2u << s->sources % 32) - 1;
    return word > last ? 0 : mask;
}

static void write_context(Plic *s, unsigned c, unsigned reg, uint32_t value)
{
    if (reg == THRESHOLD)
        s->threshold[c] = value & PRIORITY_MASK;
    else if (reg == CLAIM)
        complete(s, c, value);
    else
        log_guest(s, "write to a register that is not there: context %u, 0x%x", c, reg);
}

static void plic_write(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    Plic *s = (Plic *)d;
    if (at < PENDING) {
        if (at && at / 4 <= s->sources)
            s->priority[at / 4] = value & PRIORITY_MASK;
    } else if (at >= ENABLE && at < CONTEXT) {
        unsigned c = (at - ENABLE) / ENABLE_STRIDE, w = (at - ENABLE) % ENABLE_STRIDE / 4;
        if (c < s->contexts)
            s->enable[c][w] = value & source_mask(s, w);
    } else if (at >= CONTEXT && (at - CONTEXT) / CONTEXT_STRIDE < s->contexts) {
        write_context(s, (at - CONTEXT) / CONTEXT_STRIDE, (at - CONTEXT) % CONTEXT_STRIDE, value);
    } else {
        log_guest(d, "write to a register that is not there: 0x%" PRIx64, at);
    }
    update(s);
}

static void restored(Device *d) { update((Plic *)d); }

static const Field fields[] = {
    PROP(Plic, sources, "num-sources", PROP_U32, .init = 95, .desc = "Interrupt sources"),
    PROP(Plic, contexts, "num-contexts", PROP_U32, .init = 2, .desc = "Targets"),
    IRQ(Plic, irq),
    SAVED(Plic, enable), SAVED(Plic, threshold), SAVED(Plic, priority), SAVED(Plic, level),
    SAVED(Plic, pending), SAVED(Plic, claimed),
};
static const DeviceType sifive_plic = {
    .name = "riscv.sifive.plic", .desc = "SiFive platform-level interrupt controller",
    .size = sizeof(Plic), .window = WINDOW, .min_access = 4, .max_access = 4, FIELDS(fields),
    .read = plic_read, .write = plic_write, .pin = pin, .n_pins = MAX_SOURCES, .restored = restored,
    .intc_domain = true, .dt = "sifive,plic-1.0.0\0riscv,plic0",
};
DEVICE_TYPE(sifive_plic);

Device *sifive_plic_new(Vm *vm, uint64_t base, unsigned sources, unsigned contexts)
{
    Device *d = device_make(vm, "riscv.sifive.plic");
    ((Plic *)d)->sources = MIN(sources, MAX_SOURCES - 1);
    ((Plic *)d)->contexts = MIN(contexts, MAX_CONTEXTS);
    device_place(d, base);
    return d;
}

void sifive_plic_connect(Device *plic, unsigned context, Pin to)
{
    irq_connect(&((Plic *)plic)->irq[context], to);
}
