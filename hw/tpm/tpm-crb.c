/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TPM with the command response buffer interface. Spec: TCG PC Client Platform TPM Profile 1.05, 6.5.3. Commands
 * and answers stand in one buffer behind the registers. It has locality 0 only, and no interrupts.
 */
#include <string.h>
#include "core/vm.h"
#include "hw/tpm.h"
#include "util/error.h"

enum {
    BUFFER_AT = 0x80, BUFFER_SIZE = TPM_LOCALITY_SIZE - BUFFER_AT, BUFFER_ADDRESS = TPM_BASE + BUFFER_AT,
    STATE_ESTABLISHED = 1 << 0, STATE_ASSIGNED = 1 << 1, STATE_VALID = 1 << 7,
    CTRL_REQUEST = 1 << 0, CTRL_RELINQUISH = 1 << 1, CTRL_SEIZE = 1 << 2, CTRL_RESET_ESTABLISHED = 1 << 3,
    STS_GRANTED = 1 << 0, STS_SEIZED = 1 << 1,
    REQ_READY = 1 << 0, REQ_IDLE = 1 << 1, STS_FATAL = 1 << 0, STS_IDLE = 1 << 1, START = 1 << 0, CANCEL = 1 << 0,
    ID_CRB = 1 << 0, ID_VERSION_1 = 1 << 4, ID_64_BYTES = 3 << 11, ID_CAP_CRB = 1 << 14, ID_SELECTED_CRB = 1 << 17,
    ID_VENDOR = 0x1014, ID_DEVICE = 0x0001, LENGTH_AT = 2,
};

typedef struct Crb {
    Device dev;
    Object *tpm;
    TpmPpi ppi;
    bool granted, idle, running, cancelled;
    uint8_t buffer[BUFFER_SIZE];
    GBytes *remembered;         /* the back end's state */
} Crb;

static uint32_t size_of(const Crb *s) { return MIN(((TpmBackend *)s->tpm)->buffer_size, BUFFER_SIZE); }

/* ---- the locality ---- */

static uint64_t read_loc_state(Device *d)
{
    Crb *s = (Crb *)d;
    return STATE_VALID | (s->granted ? STATE_ASSIGNED : 0) | (tpm_established(s->tpm) ? STATE_ESTABLISHED : 0);
}

/* There is nobody from whom to seize. */
static void write_loc_ctrl(Device *d, uint64_t v)
{
    Crb *s = (Crb *)d;
    if (v & CTRL_REQUEST)
        s->granted = true;
    else if (v & CTRL_RELINQUISH)
        s->granted = false;
    if (v & CTRL_RESET_ESTABLISHED)
        log_guest(d, "locality 0 may not reset the establishment bit");
}

static uint64_t read_loc_sts(Device *d) { return ((Crb *)d)->granted ? STS_GRANTED : 0; }

/* ---- commands ---- */

/* The request's bit is cleared when it was done, which is at once. */
static void write_req(Device *d, uint64_t v)
{
    Crb *s = (Crb *)d;
    if (s->running || !s->granted)
        return;
    if (v & REQ_READY)
        s->idle = false;
    else if (v & REQ_IDLE)
        s->idle = true;
}

static uint64_t read_req(Device *d) { return 0; }
static uint64_t read_sts(Device *d) { return ((Crb *)d)->idle ? STS_IDLE : 0; }
static uint64_t read_cancel(Device *d) { return ((Crb *)d)->cancelled; }

static void write_cancel(Device *d, uint64_t v)
{
    Crb *s = (Crb *)d;
    s->cancelled = v & CANCEL;
    if (s->cancelled && s->running)
        tpm_cancel(s->tpm);
}

static uint64_t read_start(Device *d) { return ((Crb *)d)->running; }

/* SeaBIOS starts its first command without having asked for readiness: an idle TPM gets ready by itself. */
static void write_start(Device *d, uint64_t v)
{
    Crb *s = (Crb *)d;
    uint32_t n;
    if (!(v & START) || s->running || !s->granted)
        return;
    s->idle = false;
    memcpy(&n, s->buffer + LENGTH_AT, 4);
    s->running = true;
    tpm_submit(s->tpm, 0, s->buffer, MIN(GUINT32_FROM_BE(n), size_of(s)));
}

static void answered(Device *d, const void *answer, uint32_t n)
{
    Crb *s = (Crb *)d;
    if (!s->running)
        return;
    s->running = false;
    memset(s->buffer, 0, sizeof(s->buffer));
    memcpy(s->buffer, answer, MIN(n, sizeof(s->buffer)));
}

static uint64_t read_size(Device *d) { return size_of((Crb *)d); }

static uint64_t read_buffer(Device *d, uint64_t at, unsigned size)
{
    Crb *s = (Crb *)d;
    uint64_t v = 0;
    if (at < BUFFER_AT || at + size > TPM_LOCALITY_SIZE || !s->granted)
        return 0;
    memcpy(&v, s->buffer + at - BUFFER_AT, size);
    return GUINT64_FROM_LE(v);
}

static void write_buffer(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    Crb *s = (Crb *)d;
    if (at < BUFFER_AT || at + size > TPM_LOCALITY_SIZE || !s->granted || s->running)
        return;
    v = GUINT64_TO_LE(v);
    memcpy(s->buffer + at - BUFFER_AT, &v, size);
}

/* ---- the device ---- */

static bool realize(Device *d, GError **error)
{
    Crb *s = (Crb *)d;
    if (!tpm_attach(s->tpm, d, answered, error))
        return false;
    if (tpm_version(s->tpm) != TPM_2_0) {
        tpm_detach(s->tpm);
        return error_set(error, "tpm-crb: '%s' is a TPM 1.2, which has no such interface: use tpm-tis", s->tpm->name);
    }
    if (!tpm_ppi_place(&s->ppi, d, s->tpm, error)) {
        tpm_detach(s->tpm);
        return false;
    }
    device_place(d, TPM_BASE);
    return true;
}

static void unrealize(Device *d) { tpm_detach(((Crb *)d)->tpm); }

static void reset(Device *d)
{
    tpm_startup(((Crb *)d)->tpm, size_of((Crb *)d));
    tpm_ppi_reset(&((Crb *)d)->ppi, d);
}

static void saving(Device *d) { ((Crb *)d)->remembered = tpm_save(((Crb *)d)->tpm); }

static void restored(Device *d)
{
    Crb *s = (Crb *)d;
    s->running = false;                 /* saving has waited */
    tpm_load(s->tpm, s->remembered, size_of(s));
}

static const Reg regs[] = {
    REG(0x00, "TPM_LOC_STATE", RO, .read = read_loc_state),
    REG(0x08, "TPM_LOC_CTRL", WO, .wrote = write_loc_ctrl),
    REG(0x0c, "TPM_LOC_STS", RO, .read = read_loc_sts),
    REG(0x30, "TPM_CRB_INTF_ID", RO,
        .value = ID_CRB | ID_VERSION_1 | ID_64_BYTES | ID_CAP_CRB | ID_SELECTED_CRB),
    REG(0x34, "TPM_CRB_INTF_ID_HIGH", RO, .value = ID_DEVICE << 16 | ID_VENDOR),
    REG(0x38, "TPM_CRB_CTRL_EXT", RO, .width = 8),
    REG(0x40, "TPM_CRB_CTRL_REQ", RO, .read = read_req),
    REG(0x40, "TPM_CRB_CTRL_REQ", WO, .wrote = write_req),
    REG(0x44, "TPM_CRB_CTRL_STS", RO, .read = read_sts),
    REG(0x48, "TPM_CRB_CTRL_CANCEL", RW, .read = read_cancel, .wrote = write_cancel),
    REG(0x4c, "TPM_CRB_CTRL_START", RO, .read = read_start),
    REG(0x4c, "TPM_CRB_CTRL_START", WO, .wrote = write_start),
    REG(0x50, "TPM_CRB_INT_ENABLE", RO),
    REG(0x54, "TPM_CRB_INT_STS", RO),
    REG(0x58, "TPM_CRB_CTRL_CMD_SIZE", RO, .read = read_size),
    REG(0x5c, "TPM_CRB_CTRL_CMD_LADDR", RO, .value = BUFFER_ADDRESS),
    REG(0x60, "TPM_CRB_CTRL_CMD_HADDR", RO),
    REG(0x64, "TPM_CRB_CTRL_RSP_SIZE", RO, .read = read_size),
    REG(0x68, "TPM_CRB_CTRL_RSP_ADDR", RO, .width = 8, .value = BUFFER_ADDRESS),
};
static const Field fields[] = {
    PROP(Crb, tpm, "tpmdev", PROP_LINK, .link_type = "tpm-backend", .desc = "ID of the -tpmdev"),
    TPM_PPI_PROPS(Crb, ppi), HOST(Crb, ppi),
    SAVED(Crb, granted), SAVED(Crb, idle, .init = 1), SAVED(Crb, running), SAVED(Crb, cancelled), SAVED(Crb, buffer),
    BYTES(Crb, remembered),
};
static const DeviceType tpm_crb = {
    .name = "tpm-crb", .desc = "TPM with the command response buffer interface", .size = sizeof(Crb),
    .category = DEVICE_MISC, .pluggable = true, .window = TPM_LOCALITY_SIZE, REGS(regs), FIELDS(fields),
    .read = read_buffer, .write = write_buffer, .realize = realize, .unrealize = unrealize, .reset = reset,
    .restored = restored, .saving = saving,
};
DEVICE_TYPE(tpm_crb);
