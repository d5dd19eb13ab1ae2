/* SPDX-License-Identifier: Apache-2.0 */
/* Ends the process when the guest writes v: exit status v << 1 | 1. */
#include "hw/isa.h"

typedef struct DebugExit {
    Device dev;
    uint32_t iobase, iosize;
} DebugExit;

static uint64_t read_io(void *opaque, uint64_t at, unsigned size) { return 0; }

static void write_io(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    Device *d = opaque;
    vm_request_shutdown(d->object.vm, CAUSE_GUEST_SHUTDOWN, (int)(value << 1 | 1));
}

static const MemOps ops = {.read = read_io, .write = write_io, .min_access = 1, .max_access = 4};

/* The size of the window is the user's, so the region is made here and not from the type. */
static bool realize(Device *d, GError **error)
{
    DebugExit *s = (DebugExit *)d;
    d->mmio = mem_io(&d->object, "isa-debug-exit", MAX(s->iosize, 1), &ops, d, d);
    device_place_io(d, s->iobase);
    return true;
}

static const Field fields[] = {
    PROP(DebugExit, iobase, "iobase", PROP_U32, .init = 0x501),
    PROP(DebugExit, iosize, "iosize", PROP_U32, .init = 2),
};
static const DeviceType isa_debug_exit = {
    .name = "isa-debug-exit", .desc = "Exit by port write, for tests", .size = sizeof(DebugExit),
    .pluggable = true, .bus = "ISA", FIELDS(fields), .realize = realize,
};
DEVICE_TYPE(isa_debug_exit);
