/* SPDX-License-Identifier: Apache-2.0 */
/* Goldfish real-time clock: nanoseconds since 1970. Spec: Android goldfish virtual hardware. */
#include "core/vm.h"
#include "qapi/qapi-events.h"

typedef struct GoldfishRtc {
    Device dev;
    Irq irq;
    Timer timer;
    int64_t offset;             /* guest minus host clock, ns */
    uint64_t alarm;             /* guest's ns */
    uint32_t alarm_high;        /* written before ALARM_LOW */
    uint32_t time_high;         /* of the last read of TIME_LOW, or written before it */
    uint32_t armed, pending, enabled;
} GoldfishRtc;

static int64_t host(const GoldfishRtc *s) { return clock_ns(s->dev.object.vm, CLOCK_K_HOST); }

static void update(GoldfishRtc *s) { irq_set(&s->irq, s->pending & s->enabled & 1); }

static void set_alarm(GoldfishRtc *s)
{
    if (!s->armed) {
        timer_cancel(&s->timer);
        return;
    }
    uint64_t now = host(s) + s->offset;
    if (s->alarm > now) {
        timer_arm(&s->timer, host(s) + (int64_t)MIN(s->alarm - now, 1ull << 61));
        return;
    }
    s->armed = 0;
    s->pending = 1;
    update(s);
}

static void fired(Device *d) { set_alarm((GoldfishRtc *)d); }

static uint64_t read_low(Device *d)
{
    GoldfishRtc *s = (GoldfishRtc *)d;
    uint64_t now = host(s) + s->offset;
    s->time_high = now >> 32;
    return (uint32_t)now;
}

static void write_low(Device *d, uint64_t value)
{
    GoldfishRtc *s = (GoldfishRtc *)d;
    s->offset = (int64_t)((uint64_t)s->time_high << 32 | (uint32_t)value) - host(s);
    set_alarm(s);
    g_autofree char *path = object_path(&d->object);
    int64_t off = host(s) + s->offset - wall_clock_ns(d->object.vm);
    qapi_event_rtc_change(d->object.vm, off / 1000000000, path);
}

static uint64_t read_alarm_low(Device *d) { return (uint32_t)((GoldfishRtc *)d)->alarm; }

static void write_alarm_low(Device *d, uint64_t value)
{
    GoldfishRtc *s = (GoldfishRtc *)d;
    s->alarm = (uint64_t)s->alarm_high << 32 | (uint32_t)value;
    s->armed = 1;
    set_alarm(s);
}

static void write_enabled(Device *d, uint64_t value) { update((GoldfishRtc *)d); }

static void clear_alarm(Device *d, uint64_t value)
{
    ((GoldfishRtc *)d)->armed = 0;
    set_alarm((GoldfishRtc *)d);
}

static void clear_interrupt(Device *d, uint64_t value)
{
    ((GoldfishRtc *)d)->pending = 0;
    update((GoldfishRtc *)d);
}

static bool realize(Device *d, GError **error)
{
    GoldfishRtc *s = (GoldfishRtc *)d;
    s->offset = wall_clock_ns(d->object.vm) - host(s);
    return true;
}

static void restored(Device *d)
{
    set_alarm((GoldfishRtc *)d);
    update((GoldfishRtc *)d);
}

static const Reg regs[] = {
    REG(0x00, "TIME_LOW", RW, .read = read_low, .wrote = write_low),
    REG(0x04, "TIME_HIGH", RW, IN(GoldfishRtc, time_high)),
    REG(0x08, "ALARM_LOW", RW, .read = read_alarm_low, .wrote = write_alarm_low),
    REG(0x0c, "ALARM_HIGH", RW, IN(GoldfishRtc, alarm_high)),
    REG(0x10, "IRQ_ENABLED", RW, IN(GoldfishRtc, enabled), .bits = 1, .wrote = write_enabled),
    REG(0x14, "CLEAR_ALARM", WO, .wrote = clear_alarm),
    REG(0x18, "ALARM_STATUS", RO, IN(GoldfishRtc, armed)),
    REG(0x1c, "CLEAR_INTERRUPT", WO, .wrote = clear_interrupt),
};
static const Field fields[] = {
    IRQ(GoldfishRtc, irq), TIMER(GoldfishRtc, timer, fired, .init = CLOCK_K_HOST), 
    SAVED(GoldfishRtc, offset, .keep = true),
    SAVED(GoldfishRtc, alarm), SAVED(GoldfishRtc, pending),
};
static const DeviceType goldfish_rtc = {
    .name = "goldfish_rtc", .desc = "Goldfish real-time clock", .size = sizeof(GoldfishRtc),
    .window = 0x1000, .min_access = 4, .max_access = 4, REGS(regs), FIELDS(fields),
    .realize = realize, .restored = restored, .dt = "google,goldfish-rtc",
};
DEVICE_TYPE(goldfish_rtc);
