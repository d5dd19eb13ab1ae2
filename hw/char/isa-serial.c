/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A as a PC's COM port. */
#include "hw/char/serial.h"
#include "hw/isa.h"
#include "util/error.h"

static const struct { uint16_t port; uint8_t irq; } com[] = {
    {0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3},
};

static bool realize(Device *d, GError **error)
{
    Serial *s = (Serial *)d;
    if (s->index == UINT32_MAX)
        s->index = isa_count(d->parent_bus, "isa-serial") - 1;
    if (s->index >= G_N_ELEMENTS(com)) {
        return error_set(error, "isa-serial: a PC has at most %zu serial ports",
                         G_N_ELEMENTS(com));
    }
    if (s->iobase == UINT32_MAX)
        s->iobase = com[s->index].port;
    if (s->irq_line == UINT32_MAX)
        s->irq_line = com[s->index].irq;
    if (s->iobase > 0xfff8 || s->irq_line >= ISA_IRQS) {
        return error_set(error, "isa-serial: iobase must be below 0x10000 and irq below %d",
                         ISA_IRQS);
    }
    if (!serial_start(d, error))
        return false;
    irq_connect(&s->irq, isa_irq(d->parent_bus, s->irq_line));
    device_place_io(d, s->iobase);
    return true;
}

static const Field fields[] = {
    SERIAL_FIELDS,
    PROP(Serial, iobase, "iobase", PROP_U32, .init = UINT32_MAX),
    PROP(Serial, irq_line, "irq", PROP_U32, .init = UINT32_MAX),
    PROP(Serial, index, "index", PROP_U32, .init = UINT32_MAX),
};
static const DeviceType isa_serial = {
    .name = "isa-serial", .desc = "16550A serial port", .size = sizeof(Serial),
    .category = DEVICE_INPUT, .pluggable = true, .bus = "ISA", .window = 8, REGS(serial_regs),
    FIELDS(fields), .max_access = 1, .realize = realize, .unrealize = serial_stop,
    .restored = serial_restored,
};
DEVICE_TYPE(isa_serial);
