/* SPDX-License-Identifier: Apache-2.0 */
/* MODE SENSE and MODE SELECT. Specs: SPC-4 7.5, SBC-3 6.5, MMC-6 7. */
#include "hw/scsi/internal.h"

enum { MAX_MODE = 256, WRITE_CACHE = 4, D_SENSE = 4 };
typedef enum PageControl { CURRENT, CHANGEABLE, DEFAULTS, STORED } PageControl;

/* Fills the page behind its two bytes of header; what of it can be changed has ones. */
static unsigned recovery(const ScsiUnit *u, PageControl pc, uint8_t *p)
{
    if (pc != CHANGEABLE && u->is.cd)
        p[1] = 0x20;            /* read retries */
    else if (pc != CHANGEABLE)
        p[0] = 0x80;            /* automatic reallocation */
    return 10;
}

static unsigned caching(const ScsiUnit *u, PageControl pc, uint8_t *p)
{
    if (pc == CHANGEABLE || u->state->write_cache)
        p[0] = WRITE_CACHE;
    return 18;
}

static unsigned control(const ScsiUnit *u, PageControl pc, uint8_t *p)
{
    if (pc != CHANGEABLE) {
        p[0] = u->state->descriptor_sense ? D_SENSE : 0;
        p[1] = 0x10;            /* unrestricted reordering */
    }
    return 10;
}

static unsigned audio(const ScsiUnit *u, PageControl pc, uint8_t *p) { return 14; }

static unsigned capabilities(const ScsiUnit *u, PageControl pc, uint8_t *p)
{
    uint8_t scratch[32] = {0};
    return scsi_cd_capabilities(u, pc == CHANGEABLE ? scratch : p);
}

static unsigned geometry(const ScsiUnit *u, PageControl pc, uint8_t *p)
{
    enum { HEADS = 255, SECTORS = 63 };
    if (pc != CHANGEABLE) {
        put24(p, MIN(scsi_blocks(u) / (HEADS * SECTORS), 0xffffff));
        p[3] = HEADS;
        put24(p + 4, 0xffffff);
        put24(p + 7, 0xffffff);
        put24(p + 12, 0xffffff);
        put16(p + 18, 5400);
    }
    return 22;
}

static const struct {
    uint8_t page, who;
    unsigned (*fill)(const ScsiUnit *u, PageControl pc, uint8_t *p);
} pages[] = {
    {0x01, FOR_ALL, recovery}, {0x04, FOR_DISK, geometry}, {0x08, FOR_DISK, caching}, {0x0a, FOR_ALL, control},
    {0x0e, FOR_CD, audio}, {0x2a, FOR_CD, capabilities},
};

static unsigned add_page(const ScsiUnit *u, unsigned i, PageControl pc, uint8_t *p)
{
    p[0] = pages[i].page;
    p[1] = pages[i].fill(u, pc, p + 2);
    return p[1] + 2;
}

static unsigned add_descriptor(const ScsiUnit *u, uint8_t *p)
{
    uint64_t blocks = scsi_blocks(u);
    put24(p + 1, blocks > 0xffffff ? 0 : blocks);
    put24(p + 5, u->is.logical);
    return 8;
}

void scsi_mode_sense(ScsiRequest *r)
{
    const ScsiUnit *u = r->unit;
    bool ten = r->cdb[0] == 0x5a;
    uint8_t d[MAX_MODE] = {0}, page = r->cdb[2] & 0x3f, who = u->is.cd ? FOR_CD : FOR_DISK;
    unsigned head = ten ? 8 : 4, n = head, found = page == 0x3f;
    PageControl pc = r->cdb[2] >> 6;
    if (pc == STORED) {
        scsi_fail(r, SENSE(5, 0x39, 0));
        return;
    }
    if (!(r->cdb[1] & 8) && !u->is.cd && scsi_blocks(u))
        n += add_descriptor(u, d + n);
    unsigned descriptors = n - head;
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i].who & who && (page == 0x3f || page == pages[i].page)) {
            n += add_page(u, i, pc, d + n);
            found = true;
        }
    }
    if (!found || (r->cdb[3] && r->cdb[3] != 0xff)) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    uint8_t specific = u->is.cd ? 0 : (scsi_read_only(u) ? 0x80 : 0) | (u->is.dpofua ? 0x10 : 0);
    if (ten) {
        put16(d, n - 2);
        d[3] = specific;
        put16(d + 6, descriptors);
    } else {
        d[0] = n - 1;
        d[2] = specific;
        d[3] = descriptors;
    }
    if (ten && u->is.cd)
        d[2] = !scsi_has_medium(u) ? 0x70 : 0x01;       /* medium type: data CD */
    scsi_reply(r, d, n);
}

/* A page may differ from the present one in its changeable bits only. */
static bool check_page(const ScsiUnit *u, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        uint8_t now[MAX_MODE] = {0}, may[MAX_MODE] = {0};
        if (pages[i].page != (p[0] & 0x3f) || !(pages[i].who & (u->is.cd ? FOR_CD : FOR_DISK)))
            continue;
        unsigned length = add_page(u, i, CURRENT, now);
        add_page(u, i, CHANGEABLE, may);
        if (n != length)
            return false;
        for (unsigned k = 2; k < n; k++)
            if ((now[k] ^ p[k]) & ~may[k])
                return false;
        return true;
    }
    return false;
}

static void flushed(ScsiRequest *r) { scsi_good(r); }

static ScsiSense apply(ScsiUnit *u, const uint8_t *d, unsigned n, unsigned at, bool for_good, bool *flush)
{
    while (at < n) {
        if (n - at < 2 || at + 2 + d[at + 1] > n)
            return SENSE_PARAMETER_LENGTH;
        if (!check_page(u, d + at, 2 + d[at + 1]))
            return SENSE_PARAMETER;
        if (for_good && (d[at] & 0x3f) == 8) {
            bool on = d[at + 2] & WRITE_CACHE;
            *flush = u->state->write_cache && !on;
            u->state->write_cache = on;
        }
        at += 2 + d[at + 1];
    }
    return SENSE(0, 0, 0);
}

void scsi_mode_select(ScsiRequest *r)
{
    uint8_t d[MAX_MODE] = {0};
    ScsiUnit *u = r->unit;
    bool ten = r->cdb[0] == 0x55, flush = false;
    uint64_t length = scsi_length(u, r->cdb);
    unsigned head = ten ? 8 : 4;
    if (!length) {
        scsi_good(r);
        return;
    }
    if (length > sizeof(d) || (r->cdb[1] & 0x11) != 0x10) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    unsigned n = scsi_fetch(r, d, length), at = n >= head ? head + (ten ? be16(d + 6) : d[3]) : n + 1;
    ScsiSense s = at > n ? SENSE_PARAMETER_LENGTH : apply(u, d, n, at, false, &flush);
    if (s.key) {
        scsi_fail(r, s);
        return;
    }
    apply(u, d, n, at, true, &flush);
    if (flush && u->drive->node) {
        r->block = (BlockRequest){.op = BLOCK_FLUSH};
        scsi_submit(r, flushed);
    } else {
        scsi_good(r);
    }
}
