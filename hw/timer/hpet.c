/* SPDX-License-Identifier: Apache-2.0 */
/* High precision event timers: three comparators at 100 MHz. Spec: IA-PC HPET 1.0a. */
#include "hw/pc-pci.h"

enum {
    PERIOD_LEAST = 10000,       /* ticks: 100 us */
    TIMERS = 3, PINS = 24, PERIOD_FS = 10000000, PERIOD_NS = 10, ID = 0x8086a201, ENABLE = 1, LEGACY = 2,
    T_LEVEL = 1 << 1, T_ENABLE = 1 << 2, T_PERIODIC = 1 << 3, T_CAN_PERIODIC = 1 << 4, T_64BIT = 1 << 5,
    T_SET_VALUE = 1 << 6, T_32BIT = 1 << 8, T_ROUTE_SHIFT = 9, T_WRITABLE = 0x7f4e,
};
#define ROUTES 0x00ff0104ull            /* interrupts 2, 8, 16-23 */

typedef struct Hpet {
    Device dev;
    Irq gsi[PINS], pit_gate;
    Timer timer[TIMERS];
    uint64_t config, status, offset;    /* offset: counter minus clock ticks while running */
    uint64_t counter;                   /* while it stands */
    uint64_t tconfig[TIMERS], compare[TIMERS], period[TIMERS];
    bool level[TIMERS];
} Hpet;

static uint64_t clock_ticks(Device *d) { return clock_ns(d->object.vm, CLOCK_K_VIRTUAL) / PERIOD_NS; }

static uint64_t counter(Hpet *s)
{
    return s->config & ENABLE ? clock_ticks(&s->dev) + s->offset : s->counter;
}

static unsigned route(const Hpet *s, unsigned n)
{
    if (s->config & LEGACY && n < 2)
        return n ? 8 : 2;
    return s->tconfig[n] >> T_ROUTE_SHIFT & 31;
}

static void drive(Hpet *s, unsigned n, bool level)
{
    unsigned pin = route(s, n);
    s->level[n] = level;
    if (pin < PINS)
        irq_set(&s->gsi[pin], level);
}

static void expire(Hpet *s, unsigned n)
{
    if (s->tconfig[n] & T_LEVEL) {
        s->status |= 1u << n;
        if (s->tconfig[n] & T_ENABLE)
            drive(s, n, true);
    } else if (s->tconfig[n] & T_ENABLE) {
        drive(s, n, true);
        drive(s, n, false);
    }
}

static uint64_t narrow(const Hpet *s, unsigned n, uint64_t v) { return s->tconfig[n] & T_32BIT ? (uint32_t)v : v; }

static void arm(Hpet *s, unsigned n)
{
    if (!(s->config & ENABLE)) {
        timer_cancel(&s->timer[n]);
        return;
    }
    uint64_t distance = narrow(s, n, s->compare[n] - counter(s));
    /* A comparator that has just been passed is still due; half the range lies ahead. */
    if (distance > (s->tconfig[n] & T_32BIT ? INT32_MAX : INT64_MAX))
        distance = s->tconfig[n] & T_32BIT ? distance : 0;
    distance = MIN(distance, 1ull << 56);
    /* Periods that no loop can keep up with are met late; fired() counts those that were missed. */
    if (s->tconfig[n] & T_PERIODIC && s->period[n] < PERIOD_LEAST)
        distance = MAX(distance, PERIOD_LEAST);
    timer_arm(&s->timer[n], (int64_t)(clock_ticks(&s->dev) + MAX(distance, 1)) * PERIOD_NS);
}

static void fired(Hpet *s, unsigned n)
{
    if (s->tconfig[n] & T_PERIODIC && s->period[n]) {
        uint64_t now = counter(s), late = narrow(s, n, now - s->compare[n]) / s->period[n] + 1;
        s->compare[n] = narrow(s, n, s->compare[n] + late * s->period[n]);
        arm(s, n);
    } else if (s->tconfig[n] & T_32BIT) {
        timer_arm(&s->timer[n], timer_armed(&s->timer[n]) ? s->timer[n].deadline
                  : (int64_t)(clock_ticks(&s->dev) + (1ull << 32)) * PERIOD_NS);
    }
    expire(s, n);
}

static void fired0(Device *d) { fired((Hpet *)d, 0); }
static void fired1(Device *d) { fired((Hpet *)d, 1); }
static void fired2(Device *d) { fired((Hpet *)d, 2); }
static void (*const handlers[TIMERS])(Device *) = {fired0, fired1, fired2};

static void wrote_config(Hpet *s, uint64_t v)
{
    uint64_t old = s->config;
    uint64_t now = counter(s);
    s->config = v & (ENABLE | LEGACY);
    if (!(old & ENABLE) && v & ENABLE)
        s->offset = s->counter - clock_ticks(&s->dev);
    else if (old & ENABLE && !(v & ENABLE))
        s->counter = now;
    if ((old ^ v) & LEGACY)
        irq_set(&s->pit_gate, v & LEGACY);
    for (unsigned n = 0; n < TIMERS; n++) {
        arm(s, n);
        if (!(v & ENABLE) && s->level[n])
            drive(s, n, false);
    }
}

static void wrote_tconfig(Hpet *s, unsigned n, uint64_t v)
{
    uint64_t old = s->tconfig[n];
    if (s->level[n] && (!(v & T_ENABLE) || !(v & T_LEVEL)))
        drive(s, n, false);
    s->tconfig[n] = (old & ~(uint64_t)T_WRITABLE) | (v & T_WRITABLE);
    if (v & T_32BIT) {
        s->compare[n] = (uint32_t)s->compare[n];
        s->period[n] = (uint32_t)s->period[n];
    }
    if (s->status & 1u << n && v & T_LEVEL && v & T_ENABLE)
        drive(s, n, true);
    arm(s, n);
}

static void wrote_compare(Hpet *s, unsigned n, uint64_t v)
{
    v = narrow(s, n, v);
    if (!(s->tconfig[n] & T_PERIODIC) || s->tconfig[n] & T_SET_VALUE)
        s->compare[n] = v;
    if (s->tconfig[n] & T_PERIODIC)
        s->period[n] = v & INT64_MAX;
    s->tconfig[n] &= ~(uint64_t)T_SET_VALUE;
    arm(s, n);
}

static void wrote_status(Hpet *s, uint64_t v)
{
    for (unsigned n = 0; n < TIMERS; n++)
        if (v & s->status & 1u << n) {
            s->status &= ~(1ull << n);
            drive(s, n, false);
        }
}

/* ---- 64-bit registers, reached by halves or whole ---- */

static uint64_t get(Hpet *s, uint64_t at)
{
    switch (at) {
    case 0x000: return (uint64_t)PERIOD_FS << 32 | ID;
    case 0x010: return s->config;
    case 0x020: return s->status;
    case 0x0f0: return counter(s);
    }
    unsigned n = (at - 0x100) / 0x20;
    if (at < 0x100 || n >= TIMERS)
        return 0;
    return at % 0x20 == 0 ? s->tconfig[n] : at % 0x20 == 8 ? s->compare[n] : 0;
}

static void put(Hpet *s, uint64_t at, uint64_t v)
{
    unsigned n = (at - 0x100) / 0x20;
    if (at == 0x010)
        wrote_config(s, v);
    else if (at == 0x020)
        wrote_status(s, v);
    else if (at == 0x0f0) {
        s->counter = v;
        s->offset = v - clock_ticks(&s->dev);
        for (unsigned i = 0; i < TIMERS; i++)
            arm(s, i);
    } else if (at >= 0x100 && n < TIMERS && at % 0x20 == 0)
        wrote_tconfig(s, n, v);
    else if (at >= 0x100 && n < TIMERS && at % 0x20 == 8)
        wrote_compare(s, n, v);
}

static uint64_t read_reg(Device *d, uint64_t at, unsigned size)
{
    return get((Hpet *)d, at & ~7ull) >> 8 * (at & 7);
}

static void write_reg(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    Hpet *s = (Hpet *)d;
    unsigned shift = 8 * (at & 7);
    uint64_t base = at & ~7ull;
    if (size < 8) {
        uint64_t mask = ((1ull << 8 * size) - 1) << shift;
        /* Writing one half of a write-1-to-clear register must not clear by the other. */
        uint64_t rest = base == 0x020 ? 0 : get(s, base);
        /* A 32-bit write to a periodic comparator sets the whole. */
        if (base % 0x20 == 8 && base >= 0x100 && shift == 0)
            rest = 0;
        v = (rest & ~mask) | (v << shift & mask);
    }
    put(s, base, v);
}

static void reset(Device *d)
{
    Hpet *s = (Hpet *)d;
    for (unsigned n = 0; n < TIMERS; n++) {
        s->tconfig[n] = ROUTES << 32 | T_CAN_PERIODIC | T_64BIT;
        s->compare[n] = UINT64_MAX;
    }
}

static const Field fields[] = {
    IRQ(Hpet, gsi), IRQ(Hpet, pit_gate),
    SAVED(Hpet, config), SAVED(Hpet, status), SAVED(Hpet, offset), SAVED(Hpet, counter),
    SAVED(Hpet, tconfig), SAVED(Hpet, compare), SAVED(Hpet, period), SAVED(Hpet, level), HOST(Hpet, timer),
};

/* Each timer has a function of its own, which a row of an array cannot say. */
static bool realize(Device *d, GError **error)
{
    Hpet *s = (Hpet *)d;
    for (unsigned n = 0; n < TIMERS; n++)
        timer_init(&s->timer[n], d->object.vm, CLOCK_K_VIRTUAL, (void (*)(void *))handlers[n], d, d);
    return true;
}

static void cancel(Device *d)
{
    for (unsigned n = 0; n < TIMERS; n++)
        timer_cancel(&((Hpet *)d)->timer[n]);
}

static void restored(Device *d)
{
    for (unsigned n = 0; n < TIMERS; n++)
        arm((Hpet *)d, n);
}

static const DeviceType hpet = {
    .name = "hpet", .desc = "High precision event timers", .size = sizeof(Hpet), .window = 0x400,
    .min_access = 4, .max_access = 8, FIELDS(fields), .realize = realize, .unrealize = cancel,
    .read = read_reg, .write = write_reg, .reset = reset, .reset_hold = cancel, .restored = restored,
};
DEVICE_TYPE(hpet);

Device *hpet_new(Vm *vm, uint64_t base, const Pin *gsi, Pin pit_gate)
{
    Hpet *s = (Hpet *)device_draft(vm, "hpet");
    for (unsigned n = 0; n < PINS; n++)
        irq_connect(&s->gsi[n], gsi[n]);
    irq_connect(&s->pit_gate, pit_gate);
    device_start(&s->dev);
    device_place(&s->dev, base);
    return &s->dev;
}
