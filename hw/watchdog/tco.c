/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCO watchdog of the ICH9. Datasheet: Intel 316972, 13.9 (registers), 10.1.75 (NO_REBOOT). It counts ticks
 * of 0.6 s twice: at the first timeout an SMI may follow, at the second what the user wants of watchdogs.
 * Counting begins when the guest first writes the reload or the control register.
 */
#include "hw/watchdog.h"

enum {
    SW_SMI = 1 << 1, SW_IRQ = 1 << 2, TIMEOUT = 1 << 3, STATUS1_BITS = 0x1f8f,
    SECOND_TIMEOUT = 1 << 1, BOOT_FAILED = 1 << 2, STATUS2_BITS = 0x17,
    HALT = 1 << 11, LOCK = 1 << 12, CONTROL1_BITS = 0x1a00, TICKS_MAX = 0x3ff, TICKS_MIN = 2,
    NO_REBOOT = 1 << 5,
};
#define TICK 600000000ll

typedef struct Tco {
    Device dev;
    Irq smi, lock;
    Timer timer;
    uint16_t ticks, left;       /* to count; left while the timer stands */
    uint16_t status1, status2, control1, control2;
    uint8_t data_in, data_out, message[2], count, sw_irq;
    uint32_t gcs;
    bool expired;               /* once, since the last reload */
    bool strap;
} Tco;

static int64_t now(Tco *s) { return clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL); }

static uint16_t left(Tco *s)
{
    if (!timer_armed(&s->timer))
        return s->left;
    int64_t t = now(s);
    return MIN((MAX(s->timer.deadline, t) - t + TICK - 1) / TICK, TICKS_MAX);
}

static void start(Tco *s)
{
    s->left = s->ticks;
    if (s->control1 & HALT || s->ticks < TICKS_MIN)
        timer_cancel(&s->timer);
    else
        timer_arm(&s->timer, now(s) + s->ticks * TICK);
}

static void fired(Device *d)
{
    Tco *s = (Tco *)d;
    s->left = 0;
    s->status1 |= TIMEOUT;
    if (!s->expired) {
        s->expired = true;
        irq_pulse(&s->smi);
        start(s);
        return;
    }
    s->expired = false;
    s->status2 |= SECOND_TIMEOUT | BOOT_FAILED;
    if (!(s->gcs & NO_REBOOT))
        vm_watchdog_fired(d->object.vm);
}

/* ---- registers ---- */

static uint64_t read_reload(Device *d) { return left((Tco *)d); }

static void write_reload(Device *d, uint64_t v)
{
    ((Tco *)d)->expired = false;
    start((Tco *)d);
}

static void wrote_data_in(Device *d, uint64_t v)
{
    ((Tco *)d)->status1 |= SW_SMI;
    irq_pulse(&((Tco *)d)->smi);
}

static void wrote_data_out(Device *d, uint64_t v) { ((Tco *)d)->status1 |= SW_IRQ; }

static uint64_t read_status2(Device *d) { return ((Tco *)d)->status2; }
static void write_status2(Device *d, uint64_t v) { ((Tco *)d)->status2 &= ~(v & STATUS2_BITS); }

static uint64_t read_control1(Device *d) { return ((Tco *)d)->control1; }

static void write_control1(Device *d, uint64_t v)
{
    Tco *s = (Tco *)d;
    bool was_halted = s->control1 & HALT;
    uint16_t count = left(s);
    s->control1 = (v & CONTROL1_BITS) | (s->control1 & LOCK);
    irq_set(&s->lock, s->control1 & LOCK);
    if (s->control1 & HALT) {
        timer_cancel(&s->timer);
        s->left = was_halted ? s->left : count;
    } else if (!timer_armed(&s->timer)) {
        start(s);
    }
}

uint32_t ich9_tco_gcs(Device *d) { return ((Tco *)d)->gcs; }

void ich9_tco_set_gcs(Device *d, uint32_t v)
{
    Tco *s = (Tco *)d;
    s->gcs = (v & NO_REBOOT) | (s->strap ? NO_REBOOT : 0);
}

/* ---- the device ---- */

static void reset(Device *d)
{
    Tco *s = (Tco *)d;
    timer_cancel(&s->timer);
    ich9_tco_set_gcs(d, 0);
    irq_set(&s->lock, false);
}

static void restored(Device *d) { irq_set(&((Tco *)d)->lock, ((Tco *)d)->control1 & LOCK); }

static const Reg regs[] = {
    REG(0x00, "TCO_RLD", RW, .width = 2, .read = read_reload, .wrote = write_reload),
    REG(0x02, "TCO_DAT_IN", RW, .width = 1, IN(Tco, data_in), .wrote = wrote_data_in),
    REG(0x03, "TCO_DAT_OUT", RW, .width = 1, IN(Tco, data_out), .wrote = wrote_data_out),
    REG(0x04, "TCO1_STS", W1C, .width = 2, IN(Tco, status1), .bits = STATUS1_BITS),
    REG(0x06, "TCO2_STS", RW, .width = 2, .read = read_status2, .wrote = write_status2),
    REG(0x08, "TCO1_CNT", RW, .width = 2, .read = read_control1, .wrote = write_control1),
    REG(0x0a, "TCO2_CNT", RW, .width = 2, IN(Tco, control2), .bits = 0x3e, .reset = 8),
    REG(0x0c, "TCO_MESSAGE", RW, .width = 1, IN_ARRAY(Tco, message)),
    REG(0x0e, "TCO_WDCNT", RW, .width = 1, IN(Tco, count)),
    REG(0x10, "SW_IRQ_GEN", RW, .width = 1, IN(Tco, sw_irq), .bits = 3, .reset = 3),
    REG(0x12, "TCO_TMR", RW, .width = 2, IN(Tco, ticks), .bits = TICKS_MAX, .reset = 4),
};
static const Field fields[] = {
    IRQ(Tco, smi), IRQ(Tco, lock), TIMER(Tco, timer, fired), SAVED(Tco, left, .init = 4),
    SAVED(Tco, status2, .keep = true), SAVED(Tco, control1), SAVED(Tco, gcs), SAVED(Tco, expired),
    HOST(Tco, strap),
};
static const DeviceType tco = {
    .name = "ich9-tco", .desc = "TCO watchdog of the ICH9", .size = sizeof(Tco), .window = TCO_WINDOW,
    .max_access = 2, REGS(regs), FIELDS(fields), .reset = reset, .restored = restored,
    .category = DEVICE_WATCHDOG,
};
DEVICE_TYPE(tco);

Device *ich9_tco_new(Vm *vm, Pin smi, Pin lock)
{
    Tco *s = (Tco *)device_draft(vm, "ich9-tco");
    irq_connect(&s->smi, smi);
    irq_connect(&s->lock, lock);
    device_start(&s->dev);
    return &s->dev;
}

void ich9_tco_strap(Device *d, bool no_reboot)
{
    ((Tco *)d)->strap = no_reboot;
    ich9_tco_set_gcs(d, 0);
}
