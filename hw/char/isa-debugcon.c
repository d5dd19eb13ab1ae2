/* SPDX-License-Identifier: Apache-2.0 */
/* The Bochs debug console: one write-only port. */
#include "chardev/chardev.h"
#include "hw/isa.h"

typedef struct DebugCon {
    Device dev;
    Chardev *chr;
    CharFrontend fe;
    uint32_t iobase, readback;
} DebugCon;

static uint64_t read_port(Device *d, uint64_t at, unsigned size)
{
    return ((DebugCon *)d)->readback;
}

static void write_port(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    uint8_t byte = value;
    char_write_all(&((DebugCon *)d)->fe, &byte, 1);
}

static bool realize(Device *d, GError **error)
{
    DebugCon *s = (DebugCon *)d;
    s->fe = (CharFrontend){.dev = d};
    if (!char_attach(&s->fe, s->chr, error))
        return false;
    device_place_io(d, s->iobase);
    return true;
}

static void unrealize(Device *d) { char_detach(&((DebugCon *)d)->fe); }

static const Field fields[] = {
    PROP(DebugCon, chr, "chardev", PROP_CHARDEV), HOST(DebugCon, fe),
    PROP(DebugCon, iobase, "iobase", PROP_U32, .init = 0xe9),
    PROP(DebugCon, readback, "readback", PROP_U32, .init = 0xe9),
};
static const DeviceType isa_debugcon = {
    .name = "isa-debugcon", .desc = "Bochs debug console", .size = sizeof(DebugCon),
    .pluggable = true, .bus = "ISA", .window = 1, .max_access = 1, FIELDS(fields),
    .read = read_port, .write = write_port, .realize = realize, .unrealize = unrealize,
};
DEVICE_TYPE(isa_debugcon);
