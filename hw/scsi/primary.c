/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of all units: INQUIRY, REQUEST SENSE, REPORT LUNS and the like. Spec: SPC-4. */
#include "hw/scsi/internal.h"

enum { INQUIRY_BYTES = 36, PAGE = 252 };

/* ---- INQUIRY ---- */

static void standard(ScsiRequest *r)
{
    const ScsiIdentity *is = &r->unit->is;
    uint8_t d[INQUIRY_BYTES] = {is->cd ? 5 : 0, is->removable ? 0x80 : 0, is->level, is->atapi ? 0x21 : 0x12,
                                INQUIRY_BYTES - 5};
    if (!is->atapi)
        d[7] = 0x12;            /* SYNC, CMDQUE */
    else
        d[2] = 0;
    scsi_put_text(d + 8, 8, is->vendor);
    scsi_put_text(d + 16, 16, is->product);
    scsi_put_text(d + 32, 4, is->version);
    scsi_reply(r, d, sizeof(d));
}

static unsigned supported(const ScsiUnit *u, uint8_t *p)
{
    unsigned n = 0;
    p[n++] = 0x00;
    if (u->is.serial)
        p[n++] = 0x80;
    p[n++] = 0x83;
    if (!u->is.cd) {
        p[n++] = 0xb0;
        p[n++] = 0xb1;
        p[n++] = 0xb2;
    }
    return n;
}

static unsigned serial(const ScsiUnit *u, uint8_t *p)
{
    unsigned n = u->is.serial ? MIN(strlen(u->is.serial), 36) : 0;
    memcpy(p, u->is.serial ? u->is.serial : "", n);
    return n;
}

static unsigned designator(uint8_t *p, uint8_t code, uint8_t type, const void *data, uint8_t n)
{
    p[0] = code;
    p[1] = type;
    p[3] = n;
    memcpy(p + 4, data, n);
    return 4 + n;
}

static unsigned identification(const ScsiUnit *u, uint8_t *p)
{
    const ScsiIdentity *is = &u->is;
    uint8_t number[8];
    unsigned n = 0;
    if (is->device_id && *is->device_id)
        n += designator(p, 2, 0, is->device_id, MIN(strlen(is->device_id), 200));
    put64(number, is->wwn);
    if (is->wwn)
        n += designator(p + n, 1, 3, number, 8);
    put64(number, is->port_wwn);
    if (is->port_wwn)
        n += designator(p + n, 0x61, 0x93, number, 8);
    put32(number, is->port_index);
    if (is->port_index)
        n += designator(p + n, 0x61, 0x94, number, 4);
    return n;
}

static uint32_t in_blocks(uint64_t bytes, const ScsiUnit *u) { return MIN(bytes / u->is.logical, UINT32_MAX); }

static unsigned block_limits(const ScsiUnit *u, uint8_t *p)
{
    const ScsiIdentity *is = &u->is;
    uint64_t max = is->max_transfer ? MIN(is->max_transfer, is->max_io) : is->max_io;
    p[0] = 1;                                   /* WRITE SAME of 0 blocks is an error */
    put16(p + 2, MIN(in_blocks(is->min_io, u), 0xffff));
    put32(p + 4, in_blocks(max, u));
    put32(p + 8, in_blocks(is->opt_io, u));
    put32(p + 16, in_blocks(is->max_unmap, u));
    put32(p + 20, 255);                         /* descriptors of UNMAP */
    put32(p + 24, in_blocks(is->discard_granularity, u));
    put64(p + 32, in_blocks(max, u));           /* WRITE SAME */
    return 0x3c;
}

static unsigned characteristics(const ScsiUnit *u, uint8_t *p)
{
    put16(p, u->is.rotation_rate);
    return 0x3c;
}

static unsigned provisioning(const ScsiUnit *u, uint8_t *p)
{
    p[1] = 0xe0;                                /* UNMAP, WRITE SAME (16) and (10) unmap */
    p[2] = u->is.discard_granularity ? 2 : 1;   /* thin, full */
    return 4;
}

static const struct {
    uint8_t page;
    bool disks_only;
    unsigned (*fill)(const ScsiUnit *u, uint8_t *p);
} pages[] = {
    {0x00, false, supported}, {0x80, false, serial}, {0x83, false, identification},
    {0xb0, true, block_limits}, {0xb1, true, characteristics}, {0xb2, true, provisioning},
};

static void vital_product_data(ScsiRequest *r)
{
    const ScsiUnit *u = r->unit;
    uint8_t d[4 + PAGE] = {u->is.cd ? 5 : 0, r->cdb[2]};
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i].page != r->cdb[2] || (pages[i].disks_only && u->is.cd) ||
            (pages[i].page == 0x80 && !u->is.serial))
            continue;
        unsigned n = pages[i].fill(u, d + 4);
        put16(d + 2, n);
        scsi_reply(r, d, 4 + n);
        return;
    }
    scsi_fail(r, SENSE_FIELD);
}

void scsi_inquiry(ScsiRequest *r)
{
    if (r->cdb[1] & 2 || (!(r->cdb[1] & 1) && r->cdb[2]) || (r->cdb[1] & 1 && r->unit->is.atapi))
        scsi_fail(r, SENSE_FIELD);
    else if (r->cdb[1] & 1)
        vital_product_data(r);
    else
        standard(r);
}

/* ---- the others ---- */

static void test_unit_ready(ScsiRequest *r) { scsi_good(r); }

static void request_sense(ScsiRequest *r)
{
    ScsiState *s = r->unit->state;
    uint8_t fixed[SCSI_SENSE] = {0x70, 0, s->sense_key, 0, 0, 0, 0, SCSI_SENSE - 8, 0, 0, 0, 0,
                                 s->sense_asc, s->sense_ascq};
    uint8_t descriptor[8] = {0x72, s->sense_key, s->sense_asc, s->sense_ascq};
    /* A unit attention that nobody has heard of is told here. */
    if (!s->sense_key && s->attention_asc) {
        fixed[2] = descriptor[1] = 6;
        fixed[12] = descriptor[2] = s->attention_asc;
        fixed[13] = descriptor[3] = s->attention_ascq;
        s->attention_asc = s->attention_ascq = 0;
    }
    s->sense_key = s->sense_asc = s->sense_ascq = 0;
    if (r->cdb[1] & 1 && !r->unit->is.atapi)
        scsi_reply(r, descriptor, sizeof(descriptor));
    else
        scsi_reply(r, fixed, sizeof(fixed));
}

static void report_luns(ScsiRequest *r)
{
    if (r->unit->bus)
        scsi_bus_report_luns(r);
    else
        scsi_fail(r, SENSE_OPCODE);
}

static void send_diagnostic(ScsiRequest *r)
{
    if (r->cdb[1] & 4)          /* the self test passes */
        scsi_good(r);
    else
        scsi_fail(r, SENSE_FIELD);
}

/* One initiator, so that reserving always works (SPC-2). */
static void reserve(ScsiRequest *r)
{
    if (r->cdb[1] & 1)
        scsi_fail(r, SENSE_FIELD);
    else
        scsi_good(r);
}

static void prevent_removal(ScsiRequest *r)
{
    r->unit->state->locked = r->cdb[4] & 1;
    scsi_good(r);
}

const ScsiCommand scsi_primary[] = {
    {0x00, FOR_ALL | NEEDS_MEDIUM, test_unit_ready},
    {0x03, FOR_ALL | PASSES_ATTENTION | KEEPS_SENSE, request_sense},
    {0x12, FOR_ALL | PASSES_ATTENTION | KEEPS_SENSE, scsi_inquiry},
    {0x15, FOR_ALL, scsi_mode_select},
    {0x16, FOR_ALL, reserve},
    {0x17, FOR_ALL, reserve},
    {0x1a, FOR_ALL, scsi_mode_sense},
    {0x1d, FOR_ALL, send_diagnostic},
    {0x1e, FOR_ALL, prevent_removal},
    {0x55, FOR_ALL, scsi_mode_select},
    {0x5a, FOR_ALL, scsi_mode_sense},
    {0xa0, FOR_ALL | PASSES_ATTENTION, report_luns},
};
const unsigned scsi_n_primary = G_N_ELEMENTS(scsi_primary);
