/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TPM with the FIFO interface on ISA's interrupts. Spec: TCG PC Client Platform TPM Profile 1.05, 6.5.2 (TIS 1.3
 * for TPM 1.2). Five localities show the same machine, one of them is active: it writes a command to the FIFO,
 * starts it, reads the answer there.
 */
#include <string.h>
#include "hw/isa.h"
#include "hw/tpm.h"
#include "util/error.h"

enum {
    ACCESS_VALID = 1 << 7, ACCESS_ACTIVE = 1 << 5, ACCESS_SEIZED = 1 << 4, ACCESS_SEIZE = 1 << 3,
    ACCESS_PENDING = 1 << 2, ACCESS_REQUEST = 1 << 1, ACCESS_NOT_ESTABLISHED = 1 << 0,

    INT_DATA = 1 << 0, INT_VALID = 1 << 1, INT_LOCALITY = 1 << 2, INT_LOW_LEVEL = 1 << 3, INT_READY = 1 << 7,
    INT_ALL = INT_DATA | INT_VALID | INT_LOCALITY | INT_READY, INT_POLARITY = 3 << 3,
    CAP_LOW_LEVEL = 1 << 4, CAP_64_BYTES = 3 << 9, CAP_TIS_1_3 = 2 << 28, CAP_TPM_2_0 = 3 << 28,

    STS_VALID = 1 << 7, STS_READY = 1 << 6, STS_GO = 1 << 5, STS_DATA = 1 << 4, STS_EXPECT = 1 << 3,
    STS_RETRY = 1 << 1, STS_CANCEL = 1 << 24, STS_RESET_ESTABLISHED = 1 << 25, STS_TPM_2_0 = 1 << 26,
    STS_BURST_SHIFT = 8, BURST_MAX = 0xffff,

    ID_TPM_1_2 = 0xf, ID_5_LOCALITIES = 1 << 8, ID_64_BYTES = 3 << 11, ID_FIFO = 1 << 13, DID_VID = 0x00011014,
    FIFO = 0x24, XFIFO = 0x80, XFIFO_END = 0xc0, LENGTH_AT = 2, LENGTH_END = 6, NONE = 0xff,
};
#define INT_GLOBAL (1u << 31)

typedef enum State { IDLE, READY, RECEPTION, EXECUTION, COMPLETION } State;

typedef struct Tis {
    Device dev;
    Irq irq;
    Object *tpm;
    TpmPpi ppi;
    uint32_t irq_line;
    uint8_t active;             /* locality, NONE: none */
    uint8_t requests, seized;   /* a bit for each locality */
    uint8_t state;
    bool aborting;              /* the answer to come is not wanted … */
    bool ready_next;            /* … but the next command */
    uint32_t at, length;        /* place in the buffer; length of the answer */
    uint32_t int_enable[TPM_LOCALITIES], int_status[TPM_LOCALITIES];
    uint8_t buffer[TPM_BUFFER_MAX];
    GBytes *remembered;         /* the back end's state */
} Tis;

static uint32_t size_of(const Tis *s) { return ((TpmBackend *)s->tpm)->buffer_size; }

/* ---- interrupts ---- */

static void update_irq(Tis *s)
{
    bool level = false;
    for (unsigned l = 0; l < TPM_LOCALITIES; l++)
        level |= s->int_enable[l] & INT_GLOBAL && s->int_status[l] & s->int_enable[l];
    irq_set(&s->irq, level);
}

static void interrupt(Tis *s, uint8_t locality, uint32_t bits)
{
    if (locality == NONE || !(s->int_enable[locality] & INT_GLOBAL))
        return;
    s->int_status[locality] |= bits & s->int_enable[locality];
    update_irq(s);
}

/* ---- commands ---- */

static void enter(Tis *s, State state)
{
    s->state = state;
    s->at = 0;
    if (state != COMPLETION)
        s->length = 0;
    s->aborting = s->ready_next = false;
}

static void become_ready(Tis *s)
{
    enter(s, READY);
    interrupt(s, s->active, INT_READY);
}

static void answered(Device *d, const void *answer, uint32_t n)
{
    Tis *s = (Tis *)d;
    if (s->state != EXECUTION)
        return;
    if (s->aborting) {
        if (s->ready_next)
            become_ready(s);
        else
            enter(s, IDLE);
        return;
    }
    s->length = MIN(n, size_of(s));
    memcpy(s->buffer, answer, s->length);
    enter(s, COMPLETION);
    interrupt(s, s->active, INT_DATA | INT_VALID);
}

/* A new command may follow when the one that runs has ended. */
static void abort_command(Tis *s, bool ready_next)
{
    if (s->state == EXECUTION) {
        if (!s->aborting)
            tpm_cancel(s->tpm);
        s->aborting = true;
        s->ready_next = ready_next;
    } else if (ready_next) {
        become_ready(s);
    } else {
        enter(s, IDLE);
    }
}

/* The length of the command that is being written, as far as it is known. */
static uint32_t expected(const Tis *s)
{
    uint32_t n;
    if (s->at < LENGTH_END)
        return LENGTH_END;
    memcpy(&n, s->buffer + LENGTH_AT, 4);
    return MIN(GUINT32_FROM_BE(n), size_of(s));
}

static void write_fifo(Tis *s, uint8_t byte)
{
    if (s->state == READY)
        enter(s, RECEPTION);
    if (s->state != RECEPTION || s->at >= expected(s))
        return;
    s->buffer[s->at++] = byte;
    if (s->at == expected(s))
        interrupt(s, s->active, INT_VALID);
}

static uint8_t read_fifo(Tis *s) { return s->state == COMPLETION && s->at < s->length ? s->buffer[s->at++] : 0xff; }

static void go(Tis *s)
{
    if (s->state != RECEPTION || s->at < expected(s))
        return;
    uint32_t n = s->at;
    enter(s, EXECUTION);
    tpm_submit(s->tpm, s->active, s->buffer, n);
}

/* ---- localities ---- */

static void make_active(Tis *s, uint8_t locality)
{
    s->active = locality;
    s->requests &= ~(1 << locality);
}

static void relinquish(Tis *s)
{
    abort_command(s, false);
    s->active = NONE;
    for (int l = TPM_LOCALITIES - 1; l >= 0 && s->active == NONE; l--)
        if (s->requests & 1 << l) {
            make_active(s, l);
            interrupt(s, l, INT_LOCALITY);
        }
}

static void seize(Tis *s, uint8_t locality)
{
    s->seized |= 1 << s->active;
    abort_command(s, false);
    make_active(s, locality);
}

static uint64_t read_access(Device *d, unsigned l)
{
    Tis *s = (Tis *)d;
    return ACCESS_VALID | (s->active == l ? ACCESS_ACTIVE : 0) | (s->seized >> l & 1 ? ACCESS_SEIZED : 0) |
           (s->requests & ~(1 << l) ? ACCESS_PENDING : 0) | (s->requests >> l & 1 ? ACCESS_REQUEST : 0) |
           (tpm_established(s->tpm) ? 0 : ACCESS_NOT_ESTABLISHED);
}

static void write_access(Device *d, unsigned l, uint64_t v)
{
    Tis *s = (Tis *)d;
    if (v & ACCESS_ACTIVE) {
        s->requests &= ~(1 << l);
        if (s->active == l)
            relinquish(s);
    }
    if (v & ACCESS_SEIZED)
        s->seized &= ~(1 << l);
    if (v & ACCESS_SEIZE && s->active != NONE && l > s->active)
        seize(s, l);
    if (v & ACCESS_REQUEST && s->active == NONE)
        make_active(s, l);
    else if (v & ACCESS_REQUEST && s->active != l)
        s->requests |= 1 << l;
}

/* ---- the other registers: nobody but the active locality gets anywhere ---- */

static uint32_t burst(const Tis *s)
{
    uint32_t n = s->state == EXECUTION ? 0 : s->state == COMPLETION ? s->length - s->at : size_of(s) - s->at;
    return MIN(n, BURST_MAX);
}

static uint64_t read_status(Device *d, unsigned l)
{
    Tis *s = (Tis *)d;
    if (s->active != l)
        return 0xffffffff;
    uint32_t v = STS_VALID | burst(s) << STS_BURST_SHIFT;
    if (tpm_version(s->tpm) == TPM_2_0)
        v |= STS_TPM_2_0;
    if (s->state == READY)
        v |= STS_READY;
    if (s->state == RECEPTION && s->at < expected(s))
        v |= STS_EXPECT;
    if (s->state == COMPLETION && s->at < s->length)
        v |= STS_DATA;
    return v;
}

static void write_status(Device *d, unsigned l, uint64_t v)
{
    Tis *s = (Tis *)d;
    if (s->active != l)
        return;
    if (v & STS_RESET_ESTABLISHED && l >= 3)
        tpm_reset_established(s->tpm, l);
    if (v & STS_CANCEL && s->state == EXECUTION)
        tpm_cancel(s->tpm);
    if (v & STS_READY)
        abort_command(s, true);
    else if (v & STS_GO)
        go(s);
    else if (v & STS_RETRY && s->state == COMPLETION)
        s->at = 0;
}

static uint64_t read_int_enable(Device *d, unsigned l) { return ((Tis *)d)->int_enable[l]; }

static void write_int_enable(Device *d, unsigned l, uint64_t v)
{
    Tis *s = (Tis *)d;
    if (s->active == l)
        s->int_enable[l] = (v & (INT_GLOBAL | INT_ALL)) | INT_LOW_LEVEL;
    update_irq(s);
}

static void wrote_int_status(Device *d, unsigned l, uint64_t v) { update_irq((Tis *)d); }
static uint64_t read_vector(Device *d, unsigned l) { return ((Tis *)d)->irq_line; }

static uint64_t read_capability(Device *d, unsigned l)
{
    bool new = tpm_version(((Tis *)d)->tpm) == TPM_2_0;
    return INT_ALL | CAP_LOW_LEVEL | CAP_64_BYTES | (new ? CAP_TPM_2_0 : CAP_TIS_1_3);
}

static uint64_t read_interface(Device *d, unsigned l)
{
    return tpm_version(((Tis *)d)->tpm) == TPM_2_0 ? ID_5_LOCALITIES | ID_64_BYTES | ID_FIFO : ID_TPM_1_2;
}

/* The interface cannot be chosen. */
static void write_interface(Device *d, unsigned l, uint64_t v) {}

static bool is_fifo(const Tis *s, uint64_t at)
{
    uint64_t reg = at % TPM_LOCALITY_SIZE;
    return s->active == at / TPM_LOCALITY_SIZE && ((reg & ~3) == FIFO || (reg >= XFIFO && reg < XFIFO_END));
}

static uint64_t read_data(Device *d, uint64_t at, unsigned size)
{
    Tis *s = (Tis *)d;
    bool fifo = is_fifo(s, at);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(fifo ? read_fifo(s) : 0xff) << 8 * i;
    return v;
}

static void write_data(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    Tis *s = (Tis *)d;
    for (unsigned i = 0; i < size && is_fifo(s, at); i++)
        write_fifo(s, v >> 8 * i);
}

/* ---- the device ---- */

static bool realize(Device *d, GError **error)
{
    Tis *s = (Tis *)d;
    if (s->irq_line >= ISA_IRQS)
        return error_set(error, "tpm-tis: irq must be below %d", ISA_IRQS);
    if (!tpm_attach(s->tpm, d, answered, error))
        return false;
    if (!tpm_ppi_place(&s->ppi, d, s->tpm, error)) {
        tpm_detach(s->tpm);
        return false;
    }
    irq_connect(&s->irq, isa_irq(d->parent_bus, s->irq_line));
    device_place(d, TPM_BASE);
    return true;
}

static void unrealize(Device *d) { tpm_detach(((Tis *)d)->tpm); }

static void reset(Device *d)
{
    Tis *s = (Tis *)d;
    s->active = NONE;
    tpm_startup(s->tpm, size_of(s));
    tpm_ppi_reset(&s->ppi, d);
}

static void saving(Device *d)
{
    Tis *s = (Tis *)d;
    s->remembered = tpm_save(s->tpm);
}

static void restored(Device *d)
{
    Tis *s = (Tis *)d;
    if (s->active >= TPM_LOCALITIES)
        s->active = NONE;
    s->requests &= (1 << TPM_LOCALITIES) - 1;
    s->seized &= (1 << TPM_LOCALITIES) - 1;
    s->at = MIN(s->at, size_of(s));
    s->length = MIN(s->length, size_of(s));
    if (s->state > COMPLETION || s->state == EXECUTION || (s->state == COMPLETION && s->at > s->length))
        enter(s, IDLE);
    for (unsigned l = 0; l < TPM_LOCALITIES; l++) {
        s->int_enable[l] = (s->int_enable[l] & (INT_GLOBAL | INT_ALL)) | INT_LOW_LEVEL;
        s->int_status[l] &= INT_ALL;
    }
    tpm_load(s->tpm, s->remembered, size_of(s));
    update_irq(s);
}

#define EACH .count = TPM_LOCALITIES, .stride = TPM_LOCALITY_SIZE
static const Reg regs[] = {
    REG(0x00, "TPM_ACCESS", RW, .width = 1, EACH, .read_at = read_access, .wrote_at = write_access),
    REG(0x08, "TPM_INT_ENABLE", RW, EACH, .read_at = read_int_enable, .wrote_at = write_int_enable),
    REG(0x0c, "TPM_INT_VECTOR", RO, .width = 1, EACH, .read_at = read_vector),
    REG(0x10, "TPM_INT_STATUS", W1C, IN_ARRAY(Tis, int_status), .stride = TPM_LOCALITY_SIZE, .bits = INT_ALL,
        .wrote_at = wrote_int_status),
    REG(0x14, "TPM_INTF_CAPABILITY", RO, EACH, .read_at = read_capability),
    REG(0x18, "TPM_STS", RO, EACH, .read_at = read_status),
    REG(0x18, "TPM_STS", WO, EACH, .wrote_at = write_status),
    REG(0x30, "TPM_INTERFACE_ID", RW, EACH, .read_at = read_interface, .wrote_at = write_interface),
    REG(0xf00, "TPM_DID_VID", RO, EACH, .value = DID_VID),
    REG(0xf04, "TPM_RID", RO, .width = 1, EACH, .value = 1),
};
static const Field fields[] = {
    IRQ(Tis, irq), PROP(Tis, tpm, "tpmdev", PROP_LINK, .link_type = "tpm-backend", .desc = "ID of the -tpmdev"),
    TPM_PPI_PROPS(Tis, ppi), HOST(Tis, ppi),
    PROP(Tis, irq_line, "irq", PROP_U32, .init = 5), SAVED(Tis, active, .init = NONE), SAVED(Tis, requests),
    SAVED(Tis, seized), SAVED(Tis, state), SAVED(Tis, aborting), SAVED(Tis, ready_next), SAVED(Tis, at),
    SAVED(Tis, length), SAVED(Tis, int_enable, .init = INT_LOW_LEVEL), SAVED(Tis, buffer), BYTES(Tis, remembered),
};
static const DeviceType tpm_tis = {
    .name = "tpm-tis", .desc = "TPM with the FIFO interface", .size = sizeof(Tis), .category = DEVICE_MISC,
    .pluggable = true, .bus = "ISA", .window = TPM_LOCALITIES * TPM_LOCALITY_SIZE, .max_access = 4, REGS(regs),
    FIELDS(fields), .read = read_data, .write = write_data, .realize = realize, .unrealize = unrealize,
    .reset = reset, .restored = restored, .saving = saving,
};
DEVICE_TYPE(tpm_tis);
