/* SPDX-License-Identifier: Apache-2.0 */
/* The 8259A interrupt controllers of a PC, cascaded on input 2. Spec: Intel 8259A data sheet. */
#include "hw/pc-chips.h"

enum {
    ICW1_NEEDS_ICW4 = 1, ICW1_SINGLE = 2, ICW1_LEVEL = 8, ICW1 = 0x10, OCW3 = 8,
    ICW4_AUTO_EOI = 2, ICW4_SFNM = 0x10, CASCADE = 2, SPURIOUS = 7,
};

typedef struct Chip {
    uint8_t irr, imr, isr, last, elcr, elcr_mask;
    uint8_t priority;           /* the input with the highest priority */
    uint8_t base;               /* vector of input 0 */
    uint8_t init_state;         /* next initialisation word expected: 0 none, 2, 3, 4 */
    bool needs_icw4 : 1, single : 1, auto_eoi : 1, rotate_auto : 1, special_mask : 1, sfnm : 1, read_isr : 1,
         poll : 1, level : 1;
} Chip;

typedef struct Pic {
    Device dev;
    Irq intr;
    Chip chip[2];               /* master, slave */
    MemRegion *ports[4];
} Pic;

/* ---- priorities: 0 is highest, 8 nothing ---- */

static unsigned rank(const Chip *c, uint8_t mask)
{
    for (unsigned p = 0; p < 8; p++)
        if (mask & 1u << ((p + c->priority) & 7))
            return p;
    return 8;
}

/* The input to be serviced now, or -1. */
static int pending(const Chip *c, bool master)
{
    unsigned p = rank(c, c->irr & ~c->imr);
    if (p == 8)
        return -1;
    uint8_t busy = c->isr;
    if (c->special_mask)
        busy &= ~c->imr;
    if (c->sfnm && master)      /* the slave's input may interrupt itself */
        busy &= ~(1u << CASCADE);
    return p < rank(c, busy) ? (int)((p + c->priority) & 7) : -1;
}

static void set_input(Chip *c, unsigned n, bool level)
{
    uint8_t bit = 1u << n;
    if (c->elcr & bit || c->level) {
        c->irr = level ? c->irr | bit : c->irr & ~bit;
    } else if (level && !(c->last & bit)) {
        c->irr |= bit;
    } else if (!level) {
        c->irr &= ~bit;
    }
    c->last = level ? c->last | bit : c->last & ~bit;
}

static void update(Pic *s)
{
    set_input(&s->chip[0], CASCADE, pending(&s->chip[1], false) >= 0);
    irq_set(&s->intr, pending(&s->chip[0], true) >= 0);
}

static void accept(Chip *c, unsigned n)
{
    if (c->auto_eoi) {
        if (c->rotate_auto)
            c->priority = (n + 1) & 7;
    } else {
        c->isr |= 1u << n;
    }
    if (!(c->elcr & 1u << n) && !c->level)
        c->irr &= ~(1u << n);
}

int i8259_ack(Device *d)
{
    Pic *s = (Pic *)d;
    Chip *master = &s->chip[0], *slave = &s->chip[1];
    int n = pending(master, true);
    int vector;
    if (n < 0) {
        vector = master->base + SPURIOUS;
    } else if (n == CASCADE) {
        int m = pending(slave, false);
        if (m >= 0)
            accept(slave, m);
        vector = slave->base + (m < 0 ? SPURIOUS : m);
        accept(master, CASCADE);
    } else {
        accept(master, n);
        vector = master->base + n;
    }
    update(s);
    return vector;
}

static void pin(Device *d, uint32_t n, bool level)
{
    Pic *s = (Pic *)d;
    set_input(&s->chip[n >> 3], n & 7, level);
    update(s);
}

/* ---- ports ---- */

static void init_chip(Chip *c)
{
    uint8_t mask = c->elcr_mask, elcr = c->elcr;
    *c = (Chip){.elcr_mask = mask, .elcr = elcr};
}

static void end_of_interrupt(Chip *c, uint8_t value)
{
    unsigned command = value >> 5, n = value & 7;
    unsigned p = rank(c, c->isr);
    switch (command) {
    case 0: case 4:
        c->rotate_auto = command == 4;
        break;
    case 1: case 5:             /* non-specific EOI, and rotate */
        if (p < 8) {
            unsigned served = (p + c->priority) & 7;
            c->isr &= ~(1u << served);
            if (command == 5)
                c->priority = (served + 1) & 7;
        }
        break;
    case 3: case 7:             /* specific EOI, and rotate */
        c->isr &= ~(1u << n);
        if (command == 7)
            c->priority = (n + 1) & 7;
        break;
    case 6:                     /* set priority */
        c->priority = (n + 1) & 7;
        break;
    default:
        break;
    }
}

static void write_command(Chip *c, uint8_t value)
{
    if (value & ICW1) {
        init_chip(c);
        c->init_state = 2;
        c->needs_icw4 = value & ICW1_NEEDS_ICW4;
        c->single = value & ICW1_SINGLE;
        c->level = value & ICW1_LEVEL;
    } else if (value & OCW3) {
        if (value & 4)
            c->poll = true;
        if (value & 2)
            c->read_isr = value & 1;
        if (value & 0x40)
            c->special_mask = value & 0x20;
    } else {
        end_of_interrupt(c, value);
    }
}

static void write_data(Chip *c, uint8_t value)
{
    switch (c->init_state) {
    case 2:
        c->base = value & 0xf8;
        c->init_state = c->single ? (c->needs_icw4 ? 4 : 0) : 3;
        break;
    case 3:
        c->init_state = c->needs_icw4 ? 4 : 0;
        break;
    case 4:
        c->auto_eoi = value & ICW4_AUTO_EOI;
        c->sfnm = value & ICW4_SFNM;
        c->init_state = 0;
        break;
    default:
        c->imr = value;
        break;
    }
}

static uint8_t read_port(Pic *s, Chip *c, unsigned port)
{
    if (c->poll) {
        c->poll = false;
        int n = pending(c, c == &s->chip[0]);
        if (n < 0)
            return 0;
        accept(c, n);
        update(s);
        return 0x80 | n;
    }
    return port ? c->imr : c->read_isr ? c->isr : c->irr;
}

static uint64_t read_io(Pic *s, unsigned chip, uint64_t at)
{
    return read_port(s, &s->chip[chip], at & 1);
}

static void write_io(Pic *s, unsigned chip, uint64_t at, uint64_t value)
{
    (at & 1 ? write_data : write_command)(&s->chip[chip], value);
    update(s);
}

static uint64_t read_master(void *o, uint64_t at, unsigned size) { return read_io(o, 0, at); }
static uint64_t read_slave(void *o, uint64_t at, unsigned size) { return read_io(o, 1, at); }
static void write_master(void *o, uint64_t at, uint64_t v, unsigned size) { write_io(o, 0, at, v); }
static void write_slave(void *o, uint64_t at, uint64_t v, unsigned size) { write_io(o, 1, at, v); }

static uint64_t read_elcr(void *o, uint64_t at, unsigned size)
{
    return ((Pic *)o)->chip[at & 1].elcr;
}

static void write_elcr(void *o, uint64_t at, uint64_t value, unsigned size)
{
    Pic *s = o;
    s->chip[at & 1].elcr = value & s->chip[at & 1].elcr_mask;
    update(s);
}

static const MemOps master_ops = {read_master, write_master, 1, 1};
static const MemOps slave_ops = {read_slave, write_slave, 1, 1};
static const MemOps elcr_ops = {read_elcr, write_elcr, 1, 1};

static bool realize(Device *d, GError **error)
{
    Pic *s = (Pic *)d;
    static const struct { const char *name; const MemOps *ops; uint16_t port; } ports[] = {
        {"pic", &master_ops, 0x20}, {"pic2", &slave_ops, 0xa0}, {"elcr", &elcr_ops, 0x4d0},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        s->ports[i] = mem_io(&d->object, ports[i].name, 2, ports[i].ops, s, d);
        mem_add(d->object.vm->io_root, ports[i].port, s->ports[i], 0);
    }
    return true;
}

static void reset(Device *d)
{
    Pic *s = (Pic *)d;
    for (unsigned i = 0; i < 2; i++)
        s->chip[i] = (Chip){.elcr_mask = i ? 0xde : 0xf8};
}

/* Whatever stands in a state, these stay what the type says. */
static void check_chip(Chip *c)
{
    c->priority &= 7;
}

static void restored(Device *d)
{
    Pic *s = (Pic *)d;
    check_chip(&s->chip[0]);
    check_chip(&s->chip[1]);
    update(s);
}

static const Field fields[] = {
    IRQ(Pic, intr), SAVED(Pic, chip), HOST(Pic, ports),
};
static const DeviceType i8259 = {
    .name = "isa-i8259", .desc = "8259A interrupt controllers", .size = sizeof(Pic),
    .intc_domain = true, FIELDS(fields), .pin = pin, .n_pins = 16, .realize = realize,
    .reset = reset, .restored = restored,
};
DEVICE_TYPE(i8259);

Device *i8259_pair_new(Vm *vm, Pin intr)
{
    Device *d = device_make(vm, "isa-i8259");
    irq_connect(&((Pic *)d)->intr, intr);
    return d;
}

Pin i8259_pin(Device *pair, unsigned n) { return device_pin(pair, n); }

void i8259_describe(Device *d, GString *out)
{
    const Pic *s = (Pic *)d;
    device_lock(d);
    for (int i = 1; i >= 0; i--) {
        const Chip *c = &s->chip[i];
        g_string_append_printf(out, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%u elcr=%02x fnm=%u\n",
                               i, c->irr, c->imr, c->isr, c->priority, c->base, c->read_isr, c->elcr, c->sfnm);
    }
    device_unlock(d);
}
