/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host controllers: a byte-wide register file that runs one transaction at a time. Datasheets: ICH9
 * 316972, 20.2; PIIX4 290562, 7.3. A transaction is over when the write that starts it is. Blocks that do not
 * go through the 32-byte buffer advance as the guest acknowledges each byte: with interrupts at once, without
 * when it next looks at the status, for drivers say in between whether the byte on its way is the last.
 */
#include "hw/i2c.h"
#include "util/log.h"

enum {
    BUSY = 1, INTR = 2, DEV_ERR = 4, BUS_ERR = 8, FAILED = 0x10, IN_USE = 0x40, BYTE_DONE = 0x80,
    INTREN = 1, KILL = 2, LAST_BYTE = 0x20, START = 0x40, KIND_SHIFT = 2,
    QUICK = 0, BYTE, BYTE_DATA, WORD_DATA, PROCESS_CALL, BLOCK, I2C_READ,
    BLOCK_MAX = 32, BUFFER_ENABLE = 2, AUX_BITS = 3,
};

typedef struct Smbus {
    Device dev;
    Irq irq;
    uint8_t status, control, command, address, data0, data1, pec, aux;
    uint8_t buffer[BLOCK_MAX];
    uint8_t index, count;       /* of the block under way; count 0: none, as long as the guest wishes */
    bool blocks;                /* a block goes on byte by byte … */
    bool reading;               /* … towards the guest */
    bool waiting;               /* for the guest's next look */
    bool last;                  /* the byte that has come was to be the last */
    bool has_aux;               /* ich9: buffer switch, semaphore, byte-wise blocks */
    bool plain;                 /* I2C_EN: blocks are written without their length, calls without a command */
    I2cBus *bus;
} Smbus;

static void update(Smbus *s)
{
    irq_set(&s->irq, s->control & INTREN && s->status & (INTR | DEV_ERR | BUS_ERR | FAILED | BYTE_DONE));
}

/* ---- transactions ---- */

static bool begin(Smbus *s, bool read) { return i2c_start(s->bus, s->address >> 1, read); }

static void end(Smbus *s, bool ok)
{
    i2c_stop(s->bus);
    s->blocks = s->waiting = false;
    s->status = (s->status & ~BUSY) | (ok ? INTR : DEV_ERR);
}

static bool receive(Smbus *s, unsigned n)
{
    if (!begin(s, true))
        return false;
    s->data0 = i2c_recv(s->bus);
    if (n > 1)
        s->data1 = i2c_recv(s->bus);
    return true;
}

static bool send_data(Smbus *s, unsigned n)
{
    return (n < 1 || i2c_send(s->bus, s->data0)) && (n < 2 || i2c_send(s->bus, s->data1));
}

static bool transmit(Smbus *s, unsigned n)
{
    return begin(s, false) && i2c_send(s->bus, s->command) && send_data(s, n);
}

static bool call(Smbus *s)
{
    return (s->plain ? begin(s, false) && send_data(s, 2) : transmit(s, 2)) && receive(s, 2);
}

static bool data(Smbus *s, unsigned n, bool read)
{
    return read ? transmit(s, 0) && receive(s, n) : transmit(s, n);
}

/* One more byte of a block that goes on by bytes; the last ends it. */
static void next_byte(Smbus *s)
{
    s->waiting = false;
    if (s->count ? s->index >= s->count : s->last) {
        end(s, true);
        return;
    }
    if (s->reading) {
        s->buffer[0] = i2c_recv(s->bus);
        s->last = s->control & LAST_BYTE;
    } else if (!i2c_send(s->bus, s->buffer[0])) {
        end(s, false);
        return;
    }
    s->index++;
    s->status |= BYTE_DONE;
}

static void whole_block(Smbus *s)
{
    bool ok = true;
    for (s->index = 0; s->index < s->count && ok; s->index++)
        if (s->reading)
            s->buffer[s->index] = i2c_recv(s->bus);
        else
            ok = i2c_send(s->bus, s->buffer[s->index]);
    s->index = 0;
    end(s, ok);
}

/* Command (of a plain I2C read: DATA1) and length. */
static bool open_block(Smbus *s, bool counted)
{
    bool ok = counted ? transmit(s, 0) : begin(s, false) && i2c_send(s->bus, s->data1);
    if (ok && s->reading)
        ok = begin(s, true);
    s->index = s->count = 0;
    if (!ok || !counted)
        return ok;
    if (s->reading)
        s->data0 = i2c_recv(s->bus);
    else if (!s->plain && !i2c_send(s->bus, s->data0))
        return false;
    s->count = s->data0;
    return s->count > 0 && s->count <= BLOCK_MAX;
}

static void block(Smbus *s, bool read, bool counted)
{
    s->reading = read;
    s->last = false;
    if (!open_block(s, counted)) {
        end(s, false);
    } else if (counted && (!s->has_aux || s->aux & BUFFER_ENABLE)) {
        whole_block(s);
    } else {
        s->blocks = true;
        next_byte(s);
    }
}

static void run(Smbus *s)
{
    unsigned kind = s->control >> KIND_SHIFT & 7;
    bool read = s->address & 1;
    s->status |= BUSY;
    switch (kind) {
    case QUICK: end(s, begin(s, read)); break;
    case BYTE: end(s, read ? receive(s, 1) : transmit(s, 0)); break;
    case BYTE_DATA: end(s, data(s, 1, read)); break;
    case WORD_DATA: end(s, data(s, 2, read)); break;
    case PROCESS_CALL: end(s, call(s)); break;
    case BLOCK: block(s, read, true); break;
    case I2C_READ:
        if (s->has_aux) {
            block(s, true, false);
            break;
        }
        /* fall through */
    default:
        log_guest(s, "SMBus command %u is not known", kind);
        end(s, false);
        break;
    }
}

/* ---- registers ---- */

/* The semaphore: who reads 0 has it, until 1 is written. */
static uint64_t read_status(Device *d)
{
    Smbus *s = (Smbus *)d;
    if (s->waiting) {
        next_byte(s);
        update(s);
    }
    uint8_t v = s->status;
    if (s->has_aux)
        s->status |= IN_USE;
    return v;
}

static void write_status(Device *d, uint64_t v)
{
    Smbus *s = (Smbus *)d;
    bool step = v & BYTE_DONE && s->status & BYTE_DONE && s->blocks;
    s->status &= ~(v & ~BUSY);
    if (step && s->control & INTREN)
        next_byte(s);
    else if (step)
        s->waiting = true;
    update(s);
}

static void write_control(Device *d, uint64_t v)
{
    Smbus *s = (Smbus *)d;
    s->control = v & ~START;
    if (v & KILL) {
        if (s->status & BUSY)
            end(s, false);
        s->status |= FAILED;
    } else if (v & START && !(s->status & BUSY)) {
        run(s);
    }
    update(s);
}

/* Also puts the pointer into the buffer back. */
static uint64_t read_control(Device *d)
{
    Smbus *s = (Smbus *)d;
    s->index = s->blocks ? s->index : 0;
    return s->control & ~(START | KILL | LAST_BYTE);
}

static uint64_t read_block(Device *d)
{
    Smbus *s = (Smbus *)d;
    return s->blocks ? s->buffer[0] : s->buffer[s->index++ % BLOCK_MAX];
}

static void write_block(Device *d, uint64_t v)
{
    Smbus *s = (Smbus *)d;
    bool buffered = !s->has_aux || s->aux & BUFFER_ENABLE;
    s->buffer[buffered && !s->blocks ? s->index++ % BLOCK_MAX : 0] = v;
}

/* ---- the devices ---- */

static void reset(Device *d) { i2c_stop(((Smbus *)d)->bus); }

static void restored(Device *d)
{
    Smbus *s = (Smbus *)d;
    s->count = MIN(s->count, BLOCK_MAX);
    s->waiting &= s->blocks;
    if (s->blocks)
        i2c_resume(s->bus, s->address >> 1);
    update(s);
}

static bool realize(Device *d, GError **error)
{
    ((Smbus *)d)->bus = i2c_bus_new(d, "i2c");
    return true;
}

static const Reg regs[] = {
    REG(0x00, "HST_STS", RW, .width = 1, .read = read_status, .wrote = write_status),
    REG(0x02, "HST_CNT", RW, .width = 1, .read = read_control, .wrote = write_control),
    REG(0x03, "HST_CMD", RW, .width = 1, IN(Smbus, command)),
    REG(0x04, "XMIT_SLVA", RW, .width = 1, IN(Smbus, address)),
    REG(0x05, "HST_D0", RW, .width = 1, IN(Smbus, data0)),
    REG(0x06, "HST_D1", RW, .width = 1, IN(Smbus, data1)),
    REG(0x07, "HOST_BLOCK_DB", RW, .width = 1, .read = read_block, .wrote = write_block),
};
static const Reg ich9_regs[] = {
    REG(0x08, "PEC", RW, .width = 1, IN(Smbus, pec)),
    REG(0x0d, "AUX_CTL", RW, .width = 1, IN(Smbus, aux), .bits = AUX_BITS),
};
static const Field fields[] = {
    IRQ(Smbus, irq), SAVED(Smbus, status), SAVED(Smbus, control), SAVED(Smbus, buffer), SAVED(Smbus, index),
    SAVED(Smbus, count), SAVED(Smbus, blocks), SAVED(Smbus, reading), SAVED(Smbus, waiting), SAVED(Smbus, last),
    HOST(Smbus, has_aux), HOST(Smbus, plain), HOST(Smbus, bus),
};
static const DeviceType smbus = {
    .name = "smbus-block", .desc = "SMBus host controller", .size = sizeof(Smbus), .abstract = true,
    .window = 0x40, .max_access = 1, REGS(regs), FIELDS(fields), .realize = realize, .reset = reset,
    .restored = restored,
};
DEVICE_TYPE(smbus);

static void init_ich9(Object *o) { ((Smbus *)o)->has_aux = true; }

static const DeviceType ich9 = {
    .name = "ich9-smbus-block", .parent = "smbus-block", .desc = "SMBus registers of the ICH9",
    .size = sizeof(Smbus), .init = init_ich9, .regs = ich9_regs, .n_regs = G_N_ELEMENTS(ich9_regs),
};
DEVICE_TYPE(ich9);

static const Field piix4_fields[] = {SAVED(Smbus, pec), SAVED(Smbus, aux)};
static const DeviceType piix4 = {
    .name = "piix4-smbus-block", .parent = "smbus-block", .desc = "SMBus registers of the PIIX4",
    .size = sizeof(Smbus), .fields = piix4_fields, .n_fields = G_N_ELEMENTS(piix4_fields),
};
DEVICE_TYPE(piix4);

Device *smbus_block_new(Vm *vm, const char *type, Pin irq)
{
    Smbus *s = (Smbus *)device_draft(vm, type);
    irq_connect(&s->irq, irq);
    device_start(&s->dev);
    return &s->dev;
}

void smbus_block_plain(Device *d, bool plain) { ((Smbus *)d)->plain = plain; }
I2cBus *smbus_block_bus(Device *d) { return ((Smbus *)d)->bus; }
