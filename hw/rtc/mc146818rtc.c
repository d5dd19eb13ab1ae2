/* SPDX-License-Identifier: Apache-2.0 */
/* Motorola MC146818A real-time clock with 128 bytes of CMOS RAM. Spec: MC146818A data sheet. */
#include "hw/pc-chips.h"
#include "qapi/qapi-events.h"
#include <time.h>

enum {
    SECONDS = 0, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH,
    YEAR, REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32, CMOS_SIZE = 128,
    A_UIP = 0x80, B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 4, B_24H = 2,
    C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10, D_VALID = 0x80,
    ALARM_ANY = 0xc0,
};
#define SECOND_NS 1000000000ll
#define UIP_NS 244000           /* UIP rises this long before an update */

typedef struct Rtc {
    Device dev;
    Irq irq;
    Timer periodic, update;
    uint8_t cmos[CMOS_SIZE];
    uint8_t index;
    int64_t offset;             /* guest's clock minus wall_clock(), seconds */
    int64_t last_update;        /* guest seconds up to which UF and AF were evaluated */
    int64_t held;               /* guest seconds while B_SET stops the clock */
} Rtc;

/* ---- time ---- */

static int64_t now_ns(Rtc *s) { return clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL); }

static int64_t guest_seconds(Rtc *s)
{
    return s->cmos[REG_B] & B_SET ? s->held : wall_clock(&s->dev) + s->offset;
}

static uint8_t encode(Rtc *s, unsigned v)
{
    return s->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

static unsigned decode(Rtc *s, uint8_t v)
{
    return s->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(Rtc *s, unsigned hour)
{
    if (s->cmos[REG_B] & B_24H)
        return encode(s, hour);
    return encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(Rtc *s, uint8_t v)
{
    if (s->cmos[REG_B] & B_24H)
        return decode(s, v);
    return decode(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void time_to_cmos(Rtc *s)
{
    time_t t = guest_seconds(s);
    struct tm tm;
    gmtime_r(&t, &tm);
    s->cmos[SECONDS] = encode(s, tm.tm_sec);
    s->cmos[MINUTES] = encode(s, tm.tm_min);
    s->cmos[HOURS] = encode_hour(s, tm.tm_hour);
    s->cmos[WEEKDAY] = encode(s, tm.tm_wday + 1);
    s->cmos[DAY] = encode(s, tm.tm_mday);
    s->cmos[MONTH] = encode(s, tm.tm_mon + 1);
    s->cmos[YEAR] = encode(s, tm.tm_year % 100);
    s->cmos[CENTURY] = encode(s, (tm.tm_year + 1900) / 100);
}

static int64_t time_from_cmos(Rtc *s)
{
    struct tm tm = {
        .tm_sec = decode(s, s->cmos[SECONDS]), .tm_min = decode(s, s->cmos[MINUTES]),
        .tm_hour = decode_hour(s, s->cmos[HOURS]), .tm_mday = decode(s, s->cmos[DAY]),
        .tm_mon = decode(s, s->cmos[MONTH]) - 1,
        .tm_year = decode(s, s->cmos[CENTURY]) * 100 + decode(s, s->cmos[YEAR]) - 1900,
    };
    return timegm(&tm);
}

/* ---- flags and the line ---- */

static void set_flags(Rtc *s, uint8_t flags)
{
    s->cmos[REG_C] |= flags;
    if (s->cmos[REG_C] & s->cmos[REG_B] & (B_PIE | B_AIE | B_UIE))
        s->cmos[REG_C] |= C_IRQF;
    irq_set(&s->irq, s->cmos[REG_C] & C_IRQF);
}

static bool alarm_matches(Rtc *s, int64_t t)
{
    unsigned second = t % 60, minute = t / 60 % 60, hour = t / 3600 % 24;
    uint8_t as = s->cmos[SECONDS_ALARM], am = s->cmos[MINUTES_ALARM], ah = s->cmos[HOURS_ALARM];
    return ((as & ALARM_ANY) == ALARM_ANY || decode(s, as) == second) &&
           ((am & ALARM_ANY) == ALARM_ANY || decode(s, am) == minute) &&
           ((ah & ALARM_ANY) == ALARM_ANY || decode_hour(s, ah) == hour);
}

/* Sets UF and AF for the seconds that have begun since the last look (a day of them at most). */
static void catch_up(Rtc *s)
{
    int64_t t = guest_seconds(s);
    if (s->cmos[REG_B] & B_SET || t == s->last_update)
        return;
    uint8_t flags = C_UF;
    int64_t from = MAX(s->last_update + 1, t - 86400);
    for (int64_t i = from; i <= t; i++)
        if (alarm_matches(s, i)) {
            flags |= C_AF;
            break;
        }
    s->last_update = t;
    set_flags(s, flags);
    if (flags & C_AF && s->cmos[REG_B] & B_AIE)
        vm_request_wakeup(s->dev.object.vm, WAKE_RTC);
}

static void arm_update(Rtc *s)
{
    if (s->cmos[REG_B] & (B_UIE | B_AIE) && !(s->cmos[REG_B] & B_SET))
        timer_arm(&s->update, (now_ns(s) / SECOND_NS + 1) * SECOND_NS);
    else
        timer_cancel(&s->update);
}

static void updated(Device *d)
{
    catch_up((Rtc *)d);
    arm_update((Rtc *)d);
}

/* Rate selection: 32.768 kHz >> (rate - 1), with 1 and 2 meaning 8 and 9. */
static int64_t period_ns(Rtc *s)
{
    unsigned rate = s->cmos[REG_A] & 15;
    if (!rate)
        return 0;
    return (1ll << ((rate <= 2 ? rate + 7 : rate) - 1)) * SECOND_NS / 32768;
}

static void arm_periodic(Rtc *s)
{
    int64_t p = period_ns(s);
    if (p && s->cmos[REG_B] & B_PIE)
        timer_arm(&s->periodic, (now_ns(s) / p + 1) * p);
    else
        timer_cancel(&s->periodic);
}

static void ticked(Device *d)
{
    set_flags((Rtc *)d, C_PF);
    arm_periodic((Rtc *)d);
}

/* ---- ports ---- */

static uint8_t read_cmos(Rtc *s, unsigned i)
{
    switch (i) {
    case SECONDS: case MINUTES: case HOURS: case WEEKDAY: case DAY: case MONTH: case YEAR:
    case CENTURY:
        if (!(s->cmos[REG_B] & B_SET))
            time_to_cmos(s);
        return s->cmos[i];
    case REG_A: {
        bool uip = !(s->cmos[REG_B] & B_SET) && now_ns(s) % SECOND_NS >= SECOND_NS - UIP_NS;
        return (s->cmos[REG_A] & ~A_UIP) | (uip ? A_UIP : 0);
    }
    case REG_C: {
        catch_up(s);
        uint8_t value = s->cmos[REG_C];
        s->cmos[REG_C] = 0;
        irq_set(&s->irq, false);
        return value;
    }
    default:
        return s->cmos[i];
    }
}

static void set_time(Rtc *s)
{
    int64_t t = time_from_cmos(s);
    s->held = t;
    s->offset = t - wall_clock(&s->dev);
    s->last_update = t;
    g_autofree char *path = object_path(&s->dev.object);
    qapi_event_rtc_change(s->dev.object.vm, s->offset, path);
}

static void write_b(Rtc *s, uint8_t value)
{
    uint8_t old = s->cmos[REG_B];
    if (value & ~old & B_SET) {         /* the clock stops; the guest will write the time */
        time_to_cmos(s);
        s->held = guest_seconds(s);
        value &= ~B_UIE;
    }
    s->cmos[REG_B] = value;
    if (old & ~value & B_SET)
        set_time(s);
    set_flags(s, 0);
    arm_update(s);
    arm_periodic(s);
}

static void write_cmos(Rtc *s, unsigned i, uint8_t value)
{
    switch (i) {
    case SECONDS: case MINUTES: case HOURS: case WEEKDAY: case DAY: case MONTH: case YEAR:
    case CENTURY:
        if (!(s->cmos[REG_B] & B_SET))
            time_to_cmos(s);
        s->cmos[i] = value;
        set_time(s);
        break;
    case REG_A:
        s->cmos[REG_A] = value & ~A_UIP;
        arm_periodic(s);
        break;
    case REG_B:
        write_b(s, value);
        break;
    case REG_C:
    case REG_D:
        break;
    default:
        s->cmos[i] = value;
        break;
    }
}

static uint64_t read_index(Device *d) { return 0xff; }
static void write_index(Device *d, uint64_t value) { ((Rtc *)d)->index = value & 0x7f; }
static uint64_t read_data(Device *d) { return read_cmos((Rtc *)d, ((Rtc *)d)->index); }
static void write_data(Device *d, uint64_t value) { write_cmos((Rtc *)d, ((Rtc *)d)->index, value); }

/* The RAM is battery-backed: reset touches only the interrupt enables and flags. */
static void reset(Device *d)
{
    Rtc *s = (Rtc *)d;
    s->cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE);
    s->cmos[REG_C] = 0;
    timer_cancel(&s->periodic);
    timer_cancel(&s->update);
}

static void restored(Device *d)
{
    arm_update((Rtc *)d);
    arm_periodic((Rtc *)d);
}

static const Reg regs[] = {
    REG(0, "INDEX", RW, .width = 1, .read = read_index, .wrote = write_index),
    REG(1, "DATA", RW, .width = 1, .read = read_data, .wrote = write_data),
};
static const Field fields[] = {
    IRQ(Rtc, irq), TIMER(Rtc, periodic, ticked), TIMER(Rtc, update, updated), SAVED(Rtc, cmos, .keep = true),
    SAVED(Rtc, index), SAVED(Rtc, offset, .keep = true),
    SAVED(Rtc, last_update, .keep = true), SAVED(Rtc, held, .keep = true),
};

static void init(Object *o)
{
    Rtc *s = (Rtc *)o;
    s->cmos[REG_A] = 0x26;
    s->cmos[REG_B] = B_24H;
    s->cmos[REG_D] = D_VALID;
}

static const DeviceType mc146818rtc = {
    .name = "mc146818rtc", .desc = "MC146818 real-time clock", .size = sizeof(Rtc), .window = 2,
    .max_access = 1, REGS(regs), FIELDS(fields), .init = init, .reset = reset,
    .restored = restored,
};
DEVICE_TYPE(mc146818rtc);

Device *mc146818_new(Vm *vm, Pin irq8)
{
    Device *d = device_make(vm, "mc146818rtc");
    irq_connect(&((Rtc *)d)->irq, irq8);
    device_place_io(d, 0x70);
    return d;
}

void mc146818_set(Device *d, unsigned at, uint8_t value)
{
    if (at < CMOS_SIZE)
        ((Rtc *)d)->cmos[at] = value;
}

static void set_u16(Device *d, unsigned at, uint64_t value)
{
    mc146818_set(d, at, value);
    mc146818_set(d, at + 1, value >> 8);
}

void mc146818_set_memory(Device *d, uint64_t low, uint64_t high)
{
    const uint64_t kib = 1024, mib = 1024 * kib;
    uint64_t extended = low > mib ? MIN((low - mib) / kib, 0xffff) : 0;
    set_u16(d, 0x15, MIN(low / kib, 640));
    set_u16(d, 0x17, extended);
    set_u16(d, 0x30, extended);
    set_u16(d, 0x34, low > 16 * mib ? MIN((low - 16 * mib) / (64 * kib), 0xffff) : 0);
    set_u16(d, 0x5b, high / (64 * kib));
    mc146818_set(d, 0x5d, high / (64 * kib) >> 16);
}
