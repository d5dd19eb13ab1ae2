/* SPDX-License-Identifier: Apache-2.0 */
/* 16550A UART. Spec: National Semiconductor PC16550D data sheet. */
#include "hw/char/serial.h"
#include "core/vm.h"
#include "util/log.h"

enum {
    IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8,
    IIR_NONE = 1, IIR_MODEM = 0, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12,
    FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4,
    LCR_DLAB = 0x80, LCR_BREAK = 0x40,
    MCR_OUT2 = 8, MCR_LOOP = 0x10,
    LSR_DR = 1, LSR_OE = 2, LSR_PE = 4, LSR_FE = 8, LSR_BI = 0x10, LSR_THRE = 0x20, LSR_TEMT = 0x40,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
    PENDING_TX = 1, PENDING_TIMEOUT = 2,
};

static Serial *of(Device *d) { return (Serial *)d; }

/* ---- FIFOs ---- */

static unsigned fifo_size(const Serial *s) { return s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1; }

static void push(SerialFifo *f, uint8_t byte)
{
    f->data[(f->head + f->count++) % SERIAL_FIFO] = byte;
}

static uint8_t pop(SerialFifo *f)
{
    uint8_t byte = f->data[f->head % SERIAL_FIFO];
    f->head = (f->head + 1) % SERIAL_FIFO;
    f->count--;
    return byte;
}

static unsigned trigger_level(const Serial *s)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};
    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* ---- interrupt identification, by priority ---- */

static uint8_t identify(const Serial *s)
{
    if (s->ier & IER_LINE && s->lsr & LSR_ERRORS)
        return IIR_LINE;
    if (s->ier & IER_RX && s->rx.count && s->rx.count >= trigger_level(s))
        return IIR_RX;
    if (s->ier & IER_RX && s->pending & PENDING_TIMEOUT)
        return IIR_TIMEOUT;
    if (s->ier & IER_TX && s->pending & PENDING_TX)
        return IIR_TX;
    if (s->ier & IER_MODEM && s->msr & 0x0f)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update(Serial *s) { irq_set(&s->irq, identify(s) != IIR_NONE); }

/* ---- transmit ---- */

static void transmit(Serial *s)
{
    while (s->tx.count) {
        uint8_t byte = s->tx.data[s->tx.head % SERIAL_FIFO];
        if (!char_write(&s->fe, &byte, 1))
            break;              /* CHAR_EVENT_WRITABLE continues */
        pop(&s->tx);
    }
    if (s->tx.count < fifo_size(s) && !s->tx.count) {
        s->lsr |= LSR_THRE | LSR_TEMT;
        s->pending |= PENDING_TX;
    }
    update(s);
}

static void receive_byte(Serial *s, uint8_t byte)
{
    if (s->rx.count >= fifo_size(s)) {
        s->lsr |= LSR_OE;
    } else {
        push(&s->rx, byte);
        s->lsr |= LSR_DR;
    }
}

/* Four character times after the last byte, a FIFO below its trigger level reports, too. */
static void arm_timeout(Serial *s)
{
    int64_t bits = 10, rate = s->baudbase / MAX(s->divisor, 1);
    timer_arm(&s->timeout, clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL) +
                               4 * bits * 1000000000 / MAX(rate, 1));
}

void serial_timeout(Device *d)
{
    Serial *s = of(d);
    if (s->rx.count) {
        s->pending |= PENDING_TIMEOUT;
        update(s);
    }
}

/* ---- registers ---- */

static uint64_t read_data(Device *d)
{
    Serial *s = of(d);
    if (s->lcr & LCR_DLAB)
        return s->divisor & 0xff;
    uint8_t byte = s->rx.count ? pop(&s->rx) : 0;
    s->pending &= ~PENDING_TIMEOUT;
    if (s->rx.count)
        arm_timeout(s);
    else
        s->lsr &= ~(LSR_DR | LSR_BI);
    update(s);
    char_accept_input(&s->fe);
    return byte;
}

static void write_data(Device *d, uint64_t value)
{
    Serial *s = of(d);
    if (s->lcr & LCR_DLAB) {
        s->divisor = (s->divisor & 0xff00) | (value & 0xff);
        return;
    }
    if (s->mcr & MCR_LOOP) {
        receive_byte(s, value);
        s->pending |= PENDING_TX;
        update(s);
        return;
    }
    if (s->tx.count >= fifo_size(s))
        pop(&s->tx);            /* an overrun replaces the oldest */
    push(&s->tx, value);
    s->lsr &= ~(LSR_THRE | LSR_TEMT);
    s->pending &= ~PENDING_TX;
    transmit(s);
}

static uint64_t read_ier(Device *d)
{
    Serial *s = of(d);
    return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
}

static void write_ier(Device *d, uint64_t value)
{
    Serial *s = of(d);
    if (s->lcr & LCR_DLAB) {
        s->divisor = (s->divisor & 0x00ff) | (value & 0xff) << 8;
        return;
    }
    /* Enabling the transmit interrupt while the register is empty raises it. */
    if (value & ~s->ier & IER_TX && s->lsr & LSR_THRE)
        s->pending |= PENDING_TX;
    s->ier = value & 0x0f;
    update(s);
}

static uint64_t read_iir(Device *d)
{
    Serial *s = of(d);
    uint8_t id = identify(s);
    if (id == IIR_TX)
        s->pending &= ~PENDING_TX;
    update(s);
    return id | (s->fcr & FCR_ENABLE ? 0xc0 : 0);
}

static void write_fcr(Device *d, uint64_t value)
{
    Serial *s = of(d);
    bool toggled = (value ^ s->fcr) & FCR_ENABLE;
    if (toggled || value & FCR_CLEAR_RX) {
        s->rx.count = 0;
        s->lsr &= ~(LSR_DR | LSR_BI);
        s->pending &= ~PENDING_TIMEOUT;
        timer_cancel(&s->timeout);
    }
    if (toggled || value & FCR_CLEAR_TX) {
        s->tx.count = 0;
        s->lsr |= LSR_THRE | LSR_TEMT;
        s->pending |= PENDING_TX;
    }
    s->fcr = value & 0xc9;
    update(s);
    char_accept_input(&s->fe);
}

static uint64_t read_lcr(Device *d) { return of(d)->lcr; }
static void write_lcr(Device *d, uint64_t value) { of(d)->lcr = value; }
static uint64_t read_mcr(Device *d) { return of(d)->mcr; }

static void write_mcr(Device *d, uint64_t value)
{
    Serial *s = of(d);
    s->mcr = value & 0x1f;
    update(s);
}

static uint64_t read_lsr(Device *d)
{
    Serial *s = of(d);
    uint8_t value = s->lsr;
    if (value & LSR_ERRORS) {
        s->lsr &= ~LSR_ERRORS;
        update(s);
    }
    return value;
}

static uint64_t read_msr(Device *d)
{
    Serial *s = of(d);
    if (s->mcr & MCR_LOOP) {    /* RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD */
        return (s->mcr & 2) << 3 | (s->mcr & 1) << 5 | (s->mcr & 0x0c) << 4;
    }
    uint8_t value = s->msr;
    s->msr &= 0xf0;
    update(s);
    return value;
}

static uint64_t read_scr(Device *d) { return of(d)->scr; }
static void write_scr(Device *d, uint64_t value) { of(d)->scr = value; }
static void ignore(Device *d, uint64_t value) { (void)d; (void)value; }

const Reg serial_regs[8] = {
    REG(0, "RBR/THR/DLL", RW, .width = 1, .read = read_data, .wrote = write_data),
    REG(1, "IER/DLM", RW, .width = 1, .read = read_ier, .wrote = write_ier),
    REG(2, "IIR/FCR", RW, .width = 1, .read = read_iir, .wrote = write_fcr),
    REG(3, "LCR", RW, .width = 1, .read = read_lcr, .wrote = write_lcr),
    REG(4, "MCR", RW, .width = 1, .read = read_mcr, .wrote = write_mcr),
    REG(5, "LSR", RW, .width = 1, .read = read_lsr, .wrote = ignore),
    REG(6, "MSR", RW, .width = 1, .read = read_msr, .wrote = ignore),
    REG(7, "SCR", RW, .width = 1, .read = read_scr, .wrote = write_scr),
};

/* ---- the line ---- */

static unsigned can_receive(void *opaque)
{
    Serial *s = opaque;
    if (s->mcr & MCR_LOOP)
        return 0;
    return fifo_size(s) > s->rx.count ? fifo_size(s) - s->rx.count : 0;
}

static void receive(void *opaque, const uint8_t *buf, unsigned n)
{
    Serial *s = opaque;
    for (unsigned i = 0; i < n; i++)
        receive_byte(s, buf[i]);
    arm_timeout(s);
    update(s);
}

static void line_event(void *opaque, CharEvent event)
{
    Serial *s = opaque;
    if (event == CHAR_EVENT_BREAK) {
        receive_byte(s, 0);
        s->lsr |= LSR_BI;
        update(s);
    } else if (event == CHAR_EVENT_WRITABLE) {
        transmit(s);
    }
}

void serial_reset(Device *d) { (void)d; }

void serial_restored(Device *d)
{
    Serial *s = of(d);
    if (s->tx.count)
        transmit(s);
    update(s);
}

bool serial_start(Device *d, GError **error)
{
    Serial *s = of(d);
    s->fe = (CharFrontend){.dev = d, .can_read = can_receive, .read = receive,
                           .event = line_event, .opaque = s};
    return char_attach(&s->fe, s->chr, error);
}

void serial_stop(Device *d) { char_detach(&of(d)->fe); }
