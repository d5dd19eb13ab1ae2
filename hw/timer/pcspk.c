/* SPDX-License-Identifier: Apache-2.0 */
/* Port 0x61: speaker gate and the PIT's channel 2 as seen by calibration loops. */
#include "hw/pc-chips.h"

typedef struct Speaker {
    Device dev;
    Device *pit;
    uint8_t control;            /* bit 0 gate of channel 2, bit 1 speaker data */
    bool refresh;               /* toggles with each read, as the refresh request did */
} Speaker;

static uint64_t read_port(Device *d)
{
    Speaker *s = (Speaker *)d;
    s->refresh = !s->refresh;
    return s->control | s->refresh << 4 | (s->pit && i8254_output(s->pit, 2)) << 5;
}

static void write_port(Device *d, uint64_t value)
{
    Speaker *s = (Speaker *)d;
    s->control = value & 3;
    if (s->pit)
        i8254_set_gate(s->pit, 2, value & 1);
}

static const Reg regs[] = {
    REG(0, "PORTB", RW, .width = 1, .read = read_port, .wrote = write_port),
};
static const Field fields[] = {
    LINK(Speaker, pit), SAVED(Speaker, control), SAVED(Speaker, refresh),
};
static const DeviceType pcspk = {
    .name = "isa-pcspk", .desc = "PC speaker port", .size = sizeof(Speaker), .window = 1,
    .max_access = 1, REGS(regs), FIELDS(fields),
};
DEVICE_TYPE(pcspk);

Device *pcspk_new(Vm *vm, Device *pit)
{
    Device *d = device_make(vm, "isa-pcspk");
    ((Speaker *)d)->pit = pit;
    device_place_io(d, 0x61);
    return d;
}
