/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PC's parallel port with a printer that is always ready. Specs: IEEE 1284 (compatibility mode); IBM PC AT
 * technical reference, parallel adapter. Bytes go out; of what comes in there is nothing.
 */
#include "chardev/chardev.h"
#include "hw/isa.h"
#include "util/error.h"

enum {
    NO_EPP = 0x01, NOT_ERROR = 0x08, SELECTED = 0x10, NOT_ACK = 0x40, NOT_BUSY = 0x80, READY = NO_EPP | NOT_ERROR | SELECTED | NOT_ACK,
    STROBE = 0x01, NOT_INIT = 0x04, SELECT = 0x08, INTERRUPTS = 0x10, INWARDS = 0x20, UNUSED_BITS = 0xc0,
};

typedef struct Parallel {
    Device dev;
    Irq irq;
    Chardev *chr;
    CharFrontend fe;
    uint32_t iobase, irq_line, index;
    uint8_t data, control;
    bool full;                  /* the printer has not taken the byte yet */
} Parallel;

static const struct { uint16_t port; uint8_t irq; } lpt[] = {{0x378, 7}, {0x278, 7}, {0x3bc, 7}};

/* Takes the byte and acknowledges: a pulse, whose end may interrupt. */
static void print(Parallel *s)
{
    s->full = !char_write(&s->fe, &s->data, 1);
    if (!s->full && s->control & INTERRUPTS)
        irq_pulse(&s->irq);
}

static void on_event(void *opaque, CharEvent event)
{
    Parallel *s = opaque;
    if (s->full && (event == CHAR_EVENT_WRITABLE || event == CHAR_EVENT_OPENED))
        print(s);
}

static uint64_t read_data(Device *d)
{
    Parallel *s = (Parallel *)d;
    return s->control & INWARDS ? 0xff : s->data;
}

static void write_data(Device *d, uint64_t v) { ((Parallel *)d)->data = v; }

static uint64_t read_status(Device *d)
{
    Parallel *s = (Parallel *)d;
    bool busy = s->full || s->control & STROBE || !(s->control & NOT_INIT);
    return READY | (busy ? 0 : NOT_BUSY);
}

static uint64_t read_control(Device *d) { return ((Parallel *)d)->control | UNUSED_BITS; }

static void write_control(Device *d, uint64_t v)
{
    Parallel *s = (Parallel *)d;
    uint8_t old = s->control;
    s->control = v & ~UNUSED_BITS;
    if (!(v & NOT_INIT))
        s->full = false;
    else if (old & STROBE && !(v & STROBE) && v & SELECT)
        print(s);
}

static bool realize(Device *d, GError **error)
{
    Parallel *s = (Parallel *)d;
    if (s->index == UINT32_MAX)
        s->index = isa_count(d->parent_bus, "isa-parallel") - 1;
    if (s->index >= G_N_ELEMENTS(lpt))
        return error_set(error, "isa-parallel: a PC has at most %zu parallel ports", G_N_ELEMENTS(lpt));
    if (s->iobase == UINT32_MAX)
        s->iobase = lpt[s->index].port;
    if (s->irq_line == UINT32_MAX)
        s->irq_line = lpt[s->index].irq;
    if (s->iobase > 0xfff8 || s->irq_line >= ISA_IRQS)
        return error_set(error, "isa-parallel: iobase must be below 0x10000 and irq below %d", ISA_IRQS);
    s->fe = (CharFrontend){.dev = d, .event = on_event, .opaque = s};
    if (!char_attach(&s->fe, s->chr, error))
        return false;
    irq_connect(&s->irq, isa_irq(d->parent_bus, s->irq_line));
    device_place_io(d, s->iobase);
    return true;
}

static void unrealize(Device *d) { char_detach(&((Parallel *)d)->fe); }
static void reset(Device *d) { ((Parallel *)d)->control = NOT_INIT | SELECT; }

static const Reg regs[] = {
    REG(0, "DATA", RW, .width = 1, .read = read_data, .wrote = write_data),
    REG(1, "STATUS", RO, .width = 1, .read = read_status),
    REG(2, "CONTROL", RW, .width = 1, .read = read_control, .wrote = write_control),
};
static const Field fields[] = {
    IRQ(Parallel, irq), PROP(Parallel, chr, "chardev", PROP_CHARDEV), HOST(Parallel, fe),
    PROP(Parallel, iobase, "iobase", PROP_U32, .init = UINT32_MAX),
    PROP(Parallel, irq_line, "irq", PROP_U32, .init = UINT32_MAX),
    PROP(Parallel, index, "index", PROP_U32, .init = UINT32_MAX),
    SAVED(Parallel, data), SAVED(Parallel, control), SAVED(Parallel, full),
};
static const DeviceType isa_parallel = {
    .name = "isa-parallel", .desc = "Parallel port", .size = sizeof(Parallel), .category = DEVICE_INPUT,
    .pluggable = true, .bus = "ISA", .window = 8, REGS(regs), FIELDS(fields), .max_access = 1,
    .realize = realize, .unrealize = unrealize, .reset = reset,
};
DEVICE_TYPE(isa_parallel);
