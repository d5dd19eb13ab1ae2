/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A on a memory bus: boards place it. */
#include "hw/char/serial.h"

static const Field fields[] = {
    SERIAL_FIELDS, HOST(Serial, iobase), HOST(Serial, irq_line), HOST(Serial, index),
};
static const DeviceType serial_mm = {
    .name = "serial-mm", .desc = "16550A UART, memory-mapped", .size = sizeof(Serial),
    .window = 8, REGS(serial_regs), FIELDS(fields), .max_access = 1, .realize = serial_start,
    .unrealize = serial_stop, .restored = serial_restored, .dt = "ns16550a",
};
DEVICE_TYPE(serial_mm);
