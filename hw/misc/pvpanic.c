/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual panic port: the guest says that it has crashed. */
#include "hw/isa.h"
#include "qapi/qapi-events.h"

enum { PANICKED = 1, CRASH_LOADED = 2, SHUTDOWN = 4 };

typedef struct PvPanic {
    Device dev;
    uint32_t ioport;
    uint8_t events;
} PvPanic;

static uint64_t read_events(Device *d) { return ((PvPanic *)d)->events; }

static void write_event(Device *d, uint64_t value)
{
    Vm *vm = d->object.vm;
    value &= ((PvPanic *)d)->events;
    if (value & PANICKED)
        vm_request_panic(vm);
    else if (value & SHUTDOWN) {
        qapi_event_guest_pvshutdown(vm);
        vm_request_shutdown(vm, CAUSE_GUEST_SHUTDOWN, 0);
    }
    else if (value & CRASH_LOADED)
        vm_request_crash_loaded(vm);
}

static bool realize(Device *d, GError **error)
{
    device_place_io(d, ((PvPanic *)d)->ioport);
    return true;
}

static const Reg regs[] = {
    REG(0, "EVENT", RW, .width = 1, .read = read_events, .wrote = write_event),
};
static const Field fields[] = {
    PROP(PvPanic, ioport, "ioport", PROP_U32, .init = 0x505),
    PROP(PvPanic, events, "events", PROP_U8, .init = PANICKED | CRASH_LOADED | SHUTDOWN),
};
static const DeviceType pvpanic = {
    .name = "pvpanic", .desc = "Panic notification port", .size = sizeof(PvPanic),
    .pluggable = true, .bus = "ISA", .window = 1, .max_access = 1, REGS(regs), FIELDS(fields),
    .realize = realize,
};
DEVICE_TYPE(pvpanic);
