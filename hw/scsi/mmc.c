/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of CD and DVD drives. Spec: MMC-6. A medium is one session with one data track. */
#include "hw/scsi/internal.h"

enum {
    CD_BLOCKS = 80 * 60 * 75,   /* more makes it a DVD */
    LEAD_IN = 150, LEAD_OUT = 0xaa, DATA_TRACK = 0x14, PROFILE_CD = 0x08, PROFILE_DVD = 0x10,
    EVENTS_MEDIA = 4, MEDIA_PRESENT = 2, TRAY_OPEN = 1,
};
#define SENSE_INCOMPATIBLE SENSE(5, 0x30, 0)

static bool is_dvd(const ScsiUnit *u) { return scsi_blocks(u) > CD_BLOCKS; }

/* ---- READ TOC/PMA/ATIP ---- */

/* An address, as blocks or as minutes, seconds, frames. */
static void put_address(uint8_t *p, uint64_t lba, bool msf)
{
    if (!msf) {
        put32(p, lba);
        return;
    }
    lba += LEAD_IN;
    p[0] = 0;
    p[1] = lba / 75 / 60;
    p[2] = lba / 75 % 60;
    p[3] = lba % 75;
}

static unsigned put_track(uint8_t *p, uint8_t track, uint64_t lba, bool msf)
{
    p[1] = DATA_TRACK;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return 8;
}

static unsigned plain_toc(const ScsiUnit *u, uint8_t *d, bool msf, uint8_t first)
{
    unsigned n = 4;
    if (first > 1 && first != LEAD_OUT)
        return 0;
    if (first <= 1)
        n += put_track(d + n, 1, 0, msf);
    return n + put_track(d + n, LEAD_OUT, scsi_blocks(u), msf);
}

static unsigned put_point(uint8_t *p, uint8_t point, uint8_t m, uint8_t s, uint8_t f)
{
    uint8_t entry[11] = {1, DATA_TRACK, 0, point, 0, 0, 0, 0, m, s, f};
    memcpy(p, entry, sizeof(entry));
    return sizeof(entry);
}

static unsigned full_toc(const ScsiUnit *u, uint8_t *d)
{
    uint8_t end[4];
    unsigned n = 4;
    put_address(end, scsi_blocks(u), true);
    n += put_point(d + n, 0xa0, 1, 0, 0);
    n += put_point(d + n, 0xa1, 1, 0, 0);
    n += put_point(d + n, 0xa2, end[1], end[2], end[3]);
    return n + put_point(d + n, 1, 0, 2, 0);
}

static void read_toc(ScsiRequest *r)
{
    uint8_t d[64] = {0}, format = r->cdb[2] & 0xf;
    bool msf = r->cdb[1] & 2;
    unsigned n = 0;
    format = format ? format : r->cdb[9] >> 6;  /* where old drivers put it */
    d[2] = d[3] = 1;
    if (format == 0)
        n = plain_toc(r->unit, d, msf, r->cdb[6]);
    else if (format == 1)
        n = 4 + put_track(d + 4, 1, 0, msf);
    else if (format == 2)
        n = full_toc(r->unit, d);
    if (n) {
        put16(d, n - 2);
        scsi_reply(r, d, n);
    } else {
        scsi_fail(r, SENSE_FIELD);
    }
}

/* ---- GET CONFIGURATION ---- */

static unsigned profiles(const ScsiUnit *u, uint8_t *p)
{
    p[1] = PROFILE_DVD;
    p[2] = is_dvd(u);
    p[5] = PROFILE_CD;
    p[6] = scsi_has_medium(u) && !is_dvd(u);
    return 8;
}

static unsigned core(const ScsiUnit *u, uint8_t *p)
{
    p[3] = u->is.atapi ? 2 : 1;
    p[4] = 1;                   /* reports device busy events */
    return 8;
}

static unsigned removable(const ScsiUnit *u, uint8_t *p)
{
    p[0] = 1 << 5 | 8 | 1;      /* tray, can eject, can lock */
    return 4;
}

static const struct {
    uint16_t feature;
    uint8_t flags;              /* version, persistent, current */
    unsigned (*fill)(const ScsiUnit *u, uint8_t *p);
} features[] = {{0, 0x03, profiles}, {1, 0x0b, core}, {3, 0x03, removable}};

static void get_configuration(ScsiRequest *r)
{
    const ScsiUnit *u = r->unit;
    uint8_t d[64] = {0}, which = r->cdb[1] & 3;
    unsigned n = 8, first = be16(r->cdb + 2);
    if (which == 3) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        if (which == 2 ? features[i].feature != first : features[i].feature < first)
            continue;
        put16(d + n, features[i].feature);
        d[n + 2] = features[i].flags;
        d[n + 3] = features[i].fill(u, d + n + 4);
        n += 4 + d[n + 3];
    }
    put32(d, n - 4);
    put16(d + 6, !scsi_has_medium(u) ? 0 : is_dvd(u) ? PROFILE_DVD : PROFILE_CD);
    scsi_reply(r, d, n);
}

/* ---- events ---- */

static void get_event_status(ScsiRequest *r)
{
    ScsiUnit *u = r->unit;
    ScsiState *s = u->state;
    uint8_t d[8] = {0, 0, 0, 1 << EVENTS_MEDIA};
    if (!(r->cdb[1] & 1)) {     /* asynchronous notification: not here */
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    if (!(r->cdb[4] & 1 << EVENTS_MEDIA)) {
        d[1] = 2;
        d[2] = 0x80;            /* no event available */
        scsi_reply(r, d, 4);
        return;
    }
    d[1] = 6;
    d[2] = EVENTS_MEDIA;
    d[4] = s->eject_event ? 1 : s->media_event;
    d[5] = u->drive->tray_open ? TRAY_OPEN : u->drive->node ? MEDIA_PRESENT : 0;
    if (s->eject_event)
        s->eject_event = 0;
    else
        s->media_event = 0;
    scsi_reply(r, d, sizeof(d));
}

static void mechanism_status(ScsiRequest *r)
{
    uint8_t d[8] = {0, r->unit->drive->tray_open ? 0x10 : 0, 0, 0, 0, 1};
    scsi_reply(r, d, sizeof(d));
}

/* ---- about the medium ---- */

static void read_disc_information(ScsiRequest *r)
{
    uint8_t d[34] = {0, 32, 0x0e, 1, 1, 1, 1, 0x20};    /* complete, one session, one track */
    scsi_reply(r, d, r->cdb[1] & 7 ? 0 : sizeof(d));
}

static void read_track_information(ScsiRequest *r)
{
    uint8_t d[36] = {0, 34, 1, 1, 0, 4, 1};             /* a data track in mode 1 */
    put32(d + 24, scsi_blocks(r->unit));
    if ((r->cdb[1] & 3) == 1 && be32(r->cdb + 2) > 1)
        scsi_fail(r, SENSE_FIELD);
    else
        scsi_reply(r, d, sizeof(d));
}

static void read_dvd_structure(ScsiRequest *r)
{
    uint8_t d[4 + 2048] = {0}, format = r->cdb[7];
    unsigned n = sizeof(d);
    if (r->cdb[1] & 0xf || r->cdb[6]) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    if (!is_dvd(r->unit)) {
        scsi_fail(r, SENSE_INCOMPATIBLE);
        return;
    }
    if (format == 0) {          /* physical: DVD-ROM, 120 mm, one layer */
        d[4] = 1;
        d[5] = 0x0f;
        d[6] = 1;
        put24(d + 13, scsi_blocks(r->unit) - 1);
        put24(d + 17, scsi_blocks(r->unit) - 1);
    } else if (format == 1) {   /* copyright: none */
        n = 8;
    } else if (format != 4) {   /* manufacturing information: none */
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    put16(d, n - 2);
    scsi_reply(r, d, n);
}

static void read_cd(ScsiRequest *r)
{
    unsigned flags = r->cdb[9] & 0xf8, kind = r->cdb[1] >> 2 & 7;
    uint32_t blocks = be24(r->cdb + 6);
    if ((kind && kind != 2 && kind != 4) || r->cdb[10] & 7 || (flags && flags != 0x10))
        scsi_fail(r, SENSE_FIELD);
    else if (!flags)
        scsi_good(r);
    else
        scsi_transfer(r, BLOCK_READ, be32(r->cdb + 2), blocks, NULL);
}

unsigned scsi_cd_capabilities(const ScsiUnit *u, uint8_t *p)
{
    enum { SPEED = 50 * 176, NOW = 16 * 176 };
    p[0] = 0x3b;                /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R, DVD-RAM */
    p[2] = 0x70;                /* mode 2 forms 1 and 2, multi-session */
    p[3] = 0xff;
    p[4] = 0x2d | (u->state->locked ? 2 : 0);   /* tray, can eject, can lock */
    put16(p + 6, SPEED);
    put16(p + 8, 2);
    put16(p + 10, 2048);        /* buffer, KiB */
    put16(p + 12, NOW);
    return 18;
}

const ScsiCommand scsi_multimedia[] = {
    {0x43, FOR_CD | NEEDS_MEDIUM, read_toc},
    {0x46, FOR_CD | PASSES_ATTENTION, get_configuration},
    {0x4a, FOR_CD | PASSES_ATTENTION, get_event_status},
    {0x51, FOR_CD | NEEDS_MEDIUM, read_disc_information},
    {0x52, FOR_CD | NEEDS_MEDIUM, read_track_information},
    {0xad, FOR_CD | NEEDS_MEDIUM, read_dvd_structure},
    {0xbb, FOR_CD, scsi_good},          /* SET CD SPEED */
    {0xbd, FOR_CD, mechanism_status},
    {0xbe, FOR_CD | NEEDS_MEDIUM, read_cd},
};
const unsigned scsi_n_multimedia = G_N_ELEMENTS(scsi_multimedia);
