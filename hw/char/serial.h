/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A's inside, shared by its attachments (isa-serial, serial-mm). */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "chardev/chardev.h"
#include "core/device.h"

enum { SERIAL_FIFO = 16 };

typedef struct SerialFifo {
    uint8_t data[SERIAL_FIFO];
    uint8_t head, count;
} SerialFifo;

typedef struct Serial {
    Device dev;
    Irq irq;
    Timer timeout;              /* character timeout of the receive FIFO */
    Chardev *chr;
    CharFrontend fe;
    SerialFifo rx, tx;
    uint16_t divisor;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr;
    uint8_t pending;            /* SERIAL_*: sources that are latched rather than levels */
    uint32_t baudbase;
    /* attachment */
    uint32_t iobase, irq_line, index;
} Serial;

extern const Reg serial_regs[8];
bool serial_start(Device *d, GError **error);
void serial_stop(Device *d);
void serial_reset(Device *d);
void serial_restored(Device *d);
void serial_timeout(Device *d);

#define SERIAL_FIELDS                                                                               \
    IRQ(Serial, irq), TIMER(Serial, timeout, serial_timeout),                                       \
    PROP(Serial, chr, "chardev", PROP_CHARDEV), HOST(Serial, fe), SAVED(Serial, rx),                \
    SAVED(Serial, tx), SAVED(Serial, divisor, .init = 12), SAVED(Serial, ier), SAVED(Serial, fcr),  \
    SAVED(Serial, lcr), SAVED(Serial, mcr, .init = 0x08), SAVED(Serial, lsr, .init = 0x60),         \
    SAVED(Serial, msr, .init = 0xb0), SAVED(Serial, scr), SAVED(Serial, pending),                   \
    PROP(Serial, baudbase, "baudbase", PROP_U32, .init = 115200)

#endif
