/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog of iBASE's IB700 boards. Spec: the board's manual, appendix on the watchdog timer: a write of a
 * nibble to port 0x443 starts the countdown, 30 seconds less two for each step; a write to 0x441 ends it.
 */
#include "hw/isa.h"

enum { BASE = 0x441, STOP = 0, START = 2, STEPS = 0xf, STEP_S = 2, LONGEST_S = 30 };

typedef struct Ib700 {
    Device dev;
    Timer timer;
} Ib700;

static void fired(Device *d) { vm_watchdog_fired(d->object.vm); }
static void stop(Device *d, uint64_t unused) { timer_cancel(&((Ib700 *)d)->timer); }

static void start(Device *d, uint64_t v)
{
    int64_t seconds = LONGEST_S - STEP_S * (int64_t)(v & STEPS);
    timer_arm(&((Ib700 *)d)->timer, clock_ns(d->object.vm, CLOCK_K_VIRTUAL) + seconds * 1000000000);
}

static bool realize(Device *d, GError **error)
{
    device_place_io(d, BASE);
    return true;
}

static const Reg regs[] = {
    REG(STOP, "STOP", WO, .width = 1, .wrote = stop),
    REG(START, "START", WO, .width = 1, .wrote = start),
};
static const Field fields[] = {TIMER(Ib700, timer, fired)};
static const DeviceType ib700 = {
    .name = "ib700", .desc = "iBASE 700", .size = sizeof(Ib700), .category = DEVICE_WATCHDOG,
    .pluggable = true, .bus = "ISA", .window = START + 1, .max_access = 1, REGS(regs), FIELDS(fields),
    .realize = realize,
};
DEVICE_TYPE(ib700);
