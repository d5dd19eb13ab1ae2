/* SPDX-License-Identifier: Apache-2.0 */
/* 8254 programmable interval timer. Spec: Intel 8254 data sheet. */
#include "core/accel.h"
#include "hw/timer/i8254.h"

enum { PIT_HZ = 1193182, LATCH = 0, LOW = 1, HIGH = 2, WORD = 3, PORT_CONTROL = 3 };

typedef PitChannel Channel;

static int64_t now(Pit *s) { return clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL); }

void i8254_pull(Pit *s)
{
    if (s->kernel && !s->stands)
        s->kernel->get(s->dev.object.vm->accel, &s->s);
}

void i8254_push(Pit *s)
{
    if (s->kernel && !s->stands)
        s->kernel->set(s->dev.object.vm->accel, &s->s);
}

static int64_t ticks_since(Channel *c, int64_t t)
{
    return (int64_t)((__int128)(t - c->start) * PIT_HZ / 1000000000);
}

static int64_t time_of_tick(Channel *c, int64_t tick)
{
    return c->start + (int64_t)(((__int128)tick * 1000000000 + PIT_HZ - 1) / PIT_HZ);
}

static unsigned to_bcd(unsigned v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static unsigned from_bcd(unsigned v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

static uint16_t counter(Channel *c, int64_t t)
{
    int64_t ticks = ticks_since(c, t), left;
    switch (c->mode) {
    case 2:
        left = c->count - ticks % c->count;
        break;
    case 3:                     /* counts down by two, twice a period */
        left = c->count - (2 * ticks) % c->count;
        left &= ~1;
        break;
    default:
        left = c->count - ticks;
        break;
    }
    unsigned modulus = c->bcd ? 10000 : 0x10000;
    unsigned value = (unsigned)((left % (int64_t)modulus + modulus) % modulus);
    return c->bcd ? to_bcd(value) : value;
}

static bool output(Channel *c, int64_t t)
{
    int64_t ticks = ticks_since(c, t);
    switch (c->mode) {
    case 0: return c->loaded && ticks >= c->count;
    case 1: return ticks >= c->count;
    case 2: return !c->gate || !c->loaded || ticks % c->count != c->count - 1;
    case 3: return !c->gate || !c->loaded || ticks % c->count < (c->count + 1) / 2;
    default: return ticks != c->count;
    }
}

/* Virtual time of the next output change after t; INT64_MAX: none. */
static int64_t next_edge(Channel *c, int64_t t)
{
    int64_t ticks = ticks_since(c, t), period, phase;
    if (!c->loaded)
        return INT64_MAX;
    switch (c->mode) {
    case 2:
    case 3:
        if (!c->gate)
            return INT64_MAX;
        period = ticks / c->count * c->count;
        phase = ticks % c->count;
        int64_t half = c->mode == 2 ? c->count - 1 : (c->count + 1) / 2;
        return time_of_tick(c, period + (phase < half ? half : c->count));
    default:
        if (ticks < c->count)
            return time_of_tick(c, c->count);
        return c->mode >= 4 && ticks == c->count ? time_of_tick(c, c->count + 1) : INT64_MAX;
    }
}

static void update(Pit *s)
{
    if (s->kernel)
        return;
    Channel *c = &s->s.ch[0];
    int64_t t = now(s), next = next_edge(c, t);
    bool periodic = c->mode == 2 || c->mode == 3, high = output(c, t);
    int64_t ticks = ticks_since(c, t);
    int64_t periods = !c->loaded ? 0 : periodic ? ticks / c->count : c->mode >= 4 && ticks > c->count;
    /* A timer that fires late must not swallow the low part, which modes 2 and 4 make one tick long. */
    if (high && periods != c->periods)
        irq_set(&s->irq, false);
    c->periods = high ? periods : c->periods;
    irq_set(&s->irq, high && !s->s.replaced);
    if (next == INT64_MAX)
        timer_cancel(&s->edge);
    else
        timer_arm(&s->edge, MAX(next, t + 1));
}

static void edge(Device *d) { update((Pit *)d); }

static void load(Pit *s, Channel *c, unsigned value)
{
    if (c->bcd)
        value = from_bcd(value);
    c->count = value ? value : c->bcd ? 10000 : 0x10000;
    c->start = now(s);
    c->periods = 0;
    c->loaded = true;
    if (c == &s->s.ch[0])
        update(s);
}

/* ---- ports ---- */

static void latch_count(Pit *s, Channel *c)
{
    if (c->latch_left)
        return;
    c->latched = counter(c, now(s));
    c->latch_left = c->rw == WORD ? 2 : 1;
}

static void latch_status(Pit *s, Channel *c)
{
    if (c->status_latched)
        return;
    c->status = output(c, now(s)) << 7 | !c->loaded << 6 | c->rw << 4 | c->mode << 1 | c->bcd;
    c->status_latched = true;
}

static void read_back(Pit *s, uint8_t value)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & 0x20))
            latch_count(s, &s->s.ch[i]);
        if (!(value & 0x10))
            latch_status(s, &s->s.ch[i]);
    }
}

static void write_control(Pit *s, uint8_t value)
{
    unsigned n = value >> 6, rw = value >> 4 & 3;
    if (n == 3) {
        read_back(s, value);
        return;
    }
    Channel *c = &s->s.ch[n];
    if (rw == LATCH) {
        latch_count(s, c);
        return;
    }
    c->rw = rw;
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode &= 3;
    c->bcd = value & 1;
    c->loaded = c->write_high = c->read_high = false;
    c->latch_left = 0;
    if (n == 0)
        update(s);
}

static void write_register(Pit *s, uint64_t at, uint64_t value)
{
    if (at == PORT_CONTROL) {
        write_control(s, value);
        return;
    }
    Channel *c = &s->s.ch[at];
    if (c->rw == LOW) {
        load(s, c, value);
    } else if (c->rw == HIGH) {
        load(s, c, value << 8);
    } else if (!c->write_high) {
        c->write_low = value;
        c->write_high = true;
    } else {
        c->write_high = false;
        load(s, c, c->write_low | value << 8);
    }
}

static void write_port(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    i8254_pull((Pit *)d);
    write_register((Pit *)d, at, value);
    i8254_push((Pit *)d);
}

static uint64_t read_register(Pit *s, uint64_t at)
{
    if (at == PORT_CONTROL)
        return 0xff;
    Channel *c = &s->s.ch[at];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    bool latched = c->latch_left;
    uint16_t value = latched ? c->latched : counter(c, now(s));
    bool high = c->rw == HIGH || (c->rw == WORD && (latched ? c->latch_left == 1 : c->read_high));
    if (latched)
        c->latch_left--;
    else if (c->rw == WORD)
        c->read_high = !c->read_high;
    return high ? value >> 8 : value & 0xff;
}

static uint64_t read_port(Device *d, uint64_t at, unsigned size)
{
    i8254_pull((Pit *)d);
    uint64_t v = read_register((Pit *)d, at);
    i8254_push((Pit *)d);
    return v;
}

/* ---- port 0x61 and the HPET ---- */

uint8_t i8254_control(Device *d)
{
    i8254_pull((Pit *)d);
    return ((Pit *)d)->s.ch[2].gate | ((Pit *)d)->s.speaker << 1;
}

void i8254_set_control(Device *d, uint8_t control)
{
    Pit *s = (Pit *)d;
    Channel *c = &s->s.ch[2];
    bool gate = control & 1;
    if (i8254_control(d) == (control & 3))
        return;
    if (gate && !c->gate && c->mode != 0 && c->mode != 4)
        c->start = now(s);      /* a rising gate triggers or restarts */
    c->gate = gate;
    s->s.speaker = control & 2;
    i8254_push(s);
}

bool i8254_output(Device *d, unsigned channel)
{
    i8254_pull((Pit *)d);
    return output(&((Pit *)d)->s.ch[channel], now((Pit *)d));
}

uint32_t i8254_period(Device *d, unsigned channel)
{
    i8254_pull((Pit *)d);
    const Channel *c = &((Pit *)d)->s.ch[channel];
    return c->gate && c->loaded && c->mode == 3 ? c->count : 0;
}

/* The HPET replaces it, as far as interrupts go. */
static void pin(Device *d, uint32_t n, bool level)
{
    Pit *s = (Pit *)d;
    i8254_pull(s);
    s->s.replaced = level;
    i8254_push(s);
    update(s);
}

static void reset(Device *d)
{
    Pit *s = (Pit *)d;
    for (unsigned i = 0; i < 3; i++)
        s->s.ch[i] = (Channel){.mode = 3, .rw = WORD, .count = 0x10000, .gate = i != 2};
    s->s.speaker = s->s.replaced = false;
    timer_cancel(&s->edge);
    i8254_push(s);
}

static void restored(Device *d)
{
    Pit *s = (Pit *)d;
    for (unsigned i = 0; i < 3; i++) {
        Channel *c = &s->s.ch[i];
        c->count = CLAMP(c->count, 1, 0x10000);
        c->latch_left = MIN(c->latch_left, 2);
        c->rw &= WORD;
        c->mode = MIN(c->mode, 5);
        c->start = CLAMP(c->start, 0, INT64_MAX / 4);
    }
    i8254_push(s);
    update(s);
}

static const Field fields[] = {
    IRQ(Pit, irq), TIMER(Pit, edge, edge), SAVED(Pit, s), HOST(Pit, kernel), HOST(Pit, stands),
};
static const DeviceType i8254 = {
    .name = "isa-pit", .desc = "8254 interval timer", .size = sizeof(Pit), .window = 4,
    .max_access = 1, FIELDS(fields), .read = read_port, .write = write_port, .reset = reset,
    .restored = restored, .pin = pin, .n_pins = 1,
};
DEVICE_TYPE(i8254);

Device *i8254_new(Vm *vm, Pin irq0)
{
    Device *d = device_make(vm, "isa-pit");
    irq_connect(&((Pit *)d)->irq, irq0);
    device_place_io(d, 0x40);
    return d;
}
