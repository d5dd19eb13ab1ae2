/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of block devices: reading, writing, provisioning. Spec: SBC-3; CDs share the reading ones. */
#include <stdlib.h>
#include "hw/scsi/internal.h"

enum { FUA = 8, PIECE = 512 << 10, MAX_DESCRIPTORS = 255, EJECT = 2, START = 1 };

static bool range_is_fine(const ScsiUnit *u, uint64_t lba, uint64_t blocks)
{
    uint64_t total = scsi_blocks(u);
    return lba <= total && blocks <= total - lba;
}

/* ---- reading and writing ---- */

void scsi_transfer(ScsiRequest *r, BlockOp op, uint64_t lba, uint64_t blocks, void (*then)(ScsiRequest *r))
{
    ScsiUnit *u = r->unit;
    uint64_t bytes = blocks * u->is.logical;
    if (!range_is_fine(u, lba, blocks)) {
        scsi_fail(r, SENSE_LBA);
    } else if (op == BLOCK_WRITE && scsi_read_only(u)) {
        scsi_fail(r, SENSE_PROTECTED);
    } else if (u->is.max_transfer && bytes > u->is.max_transfer) {
        scsi_fail(r, SENSE_FIELD);
    } else if (bytes > r->room) {
        scsi_fail(r, SENSE_DATA_PHASE);
    } else if (!bytes) {
        scsi_good(r);
    } else {
        bool through = op == BLOCK_WRITE && (!u->state->write_cache || (u->is.dpofua && r->cdb[1] & FUA));
        r->block = (BlockRequest){.op = op, .flags = through ? BLOCK_FUA : 0, .offset = lba * u->is.logical,
                                  .bytes = bytes, .iov = r->iov, .n_iov = r->n_iov};
        if (bytes < r->room) {
            r->part = g_new(struct iovec, r->n_iov);
            r->block.n_iov = iov_slice(r->part, r->n_iov, r->iov, r->n_iov, 0, bytes);
            r->block.iov = r->part;
        }
        r->done = bytes;
        scsi_submit(r, then);
    }
}

static bool asks_fua(const ScsiRequest *r) { return scsi_cdb_bytes(r->cdb[0]) != 6 && r->cdb[1] & FUA; }

static void rw(ScsiRequest *r, BlockOp op)
{
    /* Protection information: none here. */
    if (scsi_cdb_bytes(r->cdb[0]) != 6 && r->cdb[1] & 0xe0)
        scsi_fail(r, SENSE_FIELD);
    else if (asks_fua(r) && !r->unit->is.dpofua && op == BLOCK_WRITE && !r->unit->is.cd)
        scsi_fail(r, SENSE_FIELD);
    else
        scsi_transfer(r, op, scsi_cdb_lba(r->cdb), scsi_cdb_blocks(r->cdb), NULL);
}

static void read_blocks(ScsiRequest *r) { rw(r, BLOCK_READ); }
static void write_blocks(ScsiRequest *r) { rw(r, BLOCK_WRITE); }
static void write_and_verify(ScsiRequest *r)
{
    scsi_transfer(r, BLOCK_WRITE, scsi_cdb_lba(r->cdb), scsi_cdb_blocks(r->cdb), NULL);
}

/* ---- verifying: against the medium alone, or against data of the initiator's ---- */

static void verify_piece(ScsiRequest *r);

static void compare(ScsiRequest *r)
{
    g_autofree uint8_t *theirs = g_malloc(r->block.bytes);
    iov_read(r->iov, r->n_iov, r->done, theirs, r->block.bytes);
    if (memcmp(theirs, r->buf, r->block.bytes)) {
        scsi_fail(r, SENSE(0xe, 0x1d, 0));      /* miscompare during verify */
        return;
    }
    r->done += r->block.bytes;
    r->at += r->block.bytes;
    r->left -= r->block.bytes;
    verify_piece(r);
}

static void verify_piece(ScsiRequest *r)
{
    if (!r->left) {
        scsi_good(r);
        return;
    }
    r->part[0] = (struct iovec){r->buf, MIN(r->left, PIECE)};
    r->block = (BlockRequest){.op = BLOCK_READ, .offset = r->at, .bytes = r->part[0].iov_len, .iov = r->part,
                              .n_iov = 1};
    scsi_submit(r, compare);
}

static void take_buffer(ScsiRequest *r, uint64_t bytes)
{
    enum { ALIGN = 4096 };
    r->buf = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
    r->part = g_new(struct iovec, 1);
}

static void verify(ScsiRequest *r)
{
    uint64_t lba = scsi_cdb_lba(r->cdb), blocks = scsi_cdb_blocks(r->cdb);
    unsigned check = r->cdb[1] >> 1 & 3;
    if (check > 1 || r->cdb[1] & 0xe0) {
        scsi_fail(r, SENSE_FIELD);
    } else if (!range_is_fine(r->unit, lba, blocks)) {
        scsi_fail(r, SENSE_LBA);
    } else if (!check) {
        scsi_good(r);
    } else if (blocks * r->unit->is.logical > r->room) {
        scsi_fail(r, SENSE_DATA_PHASE);
    } else {
        r->at = lba * r->unit->is.logical;
        r->left = blocks * r->unit->is.logical;
        take_buffer(r, PIECE);
        verify_piece(r);
    }
}

/* ---- WRITE SAME ---- */

static void write_piece(ScsiRequest *r);

static void piece_written(ScsiRequest *r)
{
    r->at += r->block.bytes;
    r->left -= r->block.bytes;
    write_piece(r);
}

static void write_piece(ScsiRequest *r)
{
    if (!r->left) {
        scsi_good(r);
        return;
    }
    r->part[0] = (struct iovec){r->buf, MIN(r->left, PIECE)};
    r->block = (BlockRequest){.op = BLOCK_WRITE, .flags = r->unit->state->write_cache ? 0 : BLOCK_FUA,
                              .offset = r->at, .bytes = r->part[0].iov_len, .iov = r->part, .n_iov = 1};
    scsi_submit(r, piece_written);
}

static bool is_zero(const uint8_t *p, uint64_t n) { return !n || (!p[0] && !memcmp(p, p + 1, n - 1)); }

/* The pattern, as often as a piece holds it. */
static void write_pattern(ScsiRequest *r, const uint8_t *pattern)
{
    unsigned block = r->unit->is.logical;
    take_buffer(r, MAX(PIECE, block));
    for (uint64_t at = 0; at + block <= MAX(PIECE, block); at += block)
        memcpy((uint8_t *)r->buf + at, pattern, block);
    write_piece(r);
}

static void write_same(ScsiRequest *r)
{
    ScsiUnit *u = r->unit;
    uint64_t lba = scsi_cdb_lba(r->cdb), blocks = scsi_cdb_blocks(r->cdb);
    bool no_data = r->cdb[0] == 0x93 && r->cdb[1] & 1, unmap = r->cdb[1] & 8;
    g_autofree uint8_t *pattern = g_malloc0(u->is.logical);
    if (r->cdb[1] & 0xf6 || !blocks) {
        scsi_fail(r, SENSE_FIELD);
    } else if (!range_is_fine(u, lba, blocks)) {
        scsi_fail(r, SENSE_LBA);
    } else if (scsi_read_only(u)) {
        scsi_fail(r, SENSE_PROTECTED);
    } else if (!no_data && scsi_fetch(r, pattern, u->is.logical) < u->is.logical) {
        scsi_fail(r, SENSE_DATA_PHASE);
    } else {
        r->at = lba * u->is.logical;
        r->left = blocks * u->is.logical;
        if (!is_zero(pattern, u->is.logical)) {
            write_pattern(r, pattern);
            return;
        }
        r->block = (BlockRequest){.op = BLOCK_WRITE_ZEROES, .flags = unmap ? BLOCK_MAY_UNMAP : 0,
                                  .offset = r->at, .bytes = r->left};
        scsi_submit(r, NULL);
    }
}

/* ---- UNMAP ---- */

static void unmap_next(ScsiRequest *r)
{
    const uint8_t *d = (const uint8_t *)r->buf + r->at;
    while (r->left && !be32(d + 8)) {
        d += 16;
        r->at += 16;
        r->left--;
    }
    if (!r->left) {
        scsi_good(r);
        return;
    }
    r->at += 16;
    r->left--;
    r->block = (BlockRequest){.op = BLOCK_DISCARD, .offset = be64(d) * r->unit->is.logical,
                              .bytes = (uint64_t)be32(d + 8) * r->unit->is.logical};
    scsi_submit(r, unmap_next);
}

static ScsiSense check_unmap(const ScsiUnit *u, const uint8_t *d, uint64_t n)
{
    if (n < 8 || be16(d) + 2 > n || be16(d + 2) + 8u > n || be16(d + 2) % 16)
        return SENSE_PARAMETER_LENGTH;
    for (unsigned at = 8; at < 8u + be16(d + 2); at += 16)
        if (!range_is_fine(u, be64(d + at), be32(d + at + 8)))
            return SENSE_LBA;
    return SENSE(0, 0, 0);
}

static void unmap(ScsiRequest *r)
{
    uint64_t length = scsi_length(r->unit, r->cdb);
    if (r->cdb[1] & 1 || length > 8 + 16 * MAX_DESCRIPTORS) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    if (!length) {
        scsi_good(r);
        return;
    }
    r->buf = calloc(1, 8 + 16 * MAX_DESCRIPTORS);
    uint64_t n = scsi_fetch(r, r->buf, length);
    ScsiSense s = scsi_read_only(r->unit) ? SENSE_PROTECTED : check_unmap(r->unit, r->buf, n);
    if (s.key) {
        scsi_fail(r, s);
        return;
    }
    r->at = 8;
    r->left = be16((uint8_t *)r->buf + 2) / 16;
    unmap_next(r);
}

/* ---- the rest ---- */

static void synchronize_cache(ScsiRequest *r)
{
    r->block = (BlockRequest){.op = BLOCK_FLUSH};
    scsi_submit(r, NULL);
}

static void read_capacity_10(ScsiRequest *r)
{
    uint64_t blocks = scsi_blocks(r->unit);
    uint8_t d[8];
    put32(d, blocks ? MIN(blocks - 1, UINT32_MAX) : 0);
    put32(d + 4, r->unit->is.logical);
    scsi_reply(r, d, sizeof(d));
}

static void service_action_in(ScsiRequest *r)
{
    const ScsiUnit *u = r->unit;
    uint8_t d[32] = {0};
    if ((r->cdb[1] & 0x1f) != 0x10) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    put64(d, MAX(scsi_blocks(u), 1) - 1);
    put32(d + 8, u->is.logical);
    d[13] = __builtin_ctz(MAX(u->is.physical / u->is.logical, 1));
    d[14] = u->is.discard_granularity ? 0x80 : 0;       /* provisioning management */
    scsi_reply(r, d, sizeof(d));
}

/* START STOP UNIT ejects where there is something to eject. */
static void start_stop(ScsiRequest *r)
{
    ScsiUnit *u = r->unit;
    bool start = r->cdb[4] & START, eject = r->cdb[4] & EJECT;
    if (r->cdb[4] & 0xf0) {     /* power conditions */
        scsi_good(r);
        return;
    }
    if (eject && u->is.removable) {
        if (!start && !u->drive->tray_open && u->state->locked) {
            scsi_fail(r, scsi_has_medium(u) ? SENSE(5, 0x53, 2) : SENSE(2, 0x53, 2));
            return;
        }
        if (u->drive->tray_open == start) {
            drive_move_tray(u->drive, !start);
            u->state->media_event = start && u->drive->node ? 2 : start ? 0 : 3;
            u->state->eject_event = 0;
        }
    } else {
        u->state->stopped = !start;
    }
    scsi_good(r);
}

static void seek(ScsiRequest *r)
{
    if (range_is_fine(r->unit, scsi_cdb_lba(r->cdb), 1))
        scsi_good(r);
    else
        scsi_fail(r, SENSE_LBA);
}

const ScsiCommand scsi_block[] = {
    {0x01, FOR_DISK | NEEDS_MEDIUM, scsi_good},         /* REZERO UNIT */
    {0x08, FOR_ALL | NEEDS_MEDIUM, read_blocks},
    {0x0a, FOR_DISK | NEEDS_MEDIUM, write_blocks},
    {0x0b, FOR_DISK | NEEDS_MEDIUM, seek},
    {0x1b, FOR_ALL, start_stop},
    {0x25, FOR_ALL | NEEDS_MEDIUM, read_capacity_10},
    {0x28, FOR_ALL | NEEDS_MEDIUM, read_blocks},
    {0x2a, FOR_DISK | NEEDS_MEDIUM, write_blocks},
    {0x2b, FOR_ALL | NEEDS_MEDIUM, seek},
    {0x2e, FOR_DISK | NEEDS_MEDIUM, write_and_verify},
    {0x2f, FOR_ALL | NEEDS_MEDIUM, verify},
    {0x35, FOR_ALL | NEEDS_MEDIUM, synchronize_cache},
    {0x41, FOR_DISK | NEEDS_MEDIUM, write_same},
    {0x42, FOR_DISK | NEEDS_MEDIUM, unmap},
    {0x88, FOR_DISK | NEEDS_MEDIUM, read_blocks},
    {0x8a, FOR_DISK | NEEDS_MEDIUM, write_blocks},
    {0x8e, FOR_DISK | NEEDS_MEDIUM, write_and_verify},
    {0x8f, FOR_DISK | NEEDS_MEDIUM, verify},
    {0x91, FOR_DISK | NEEDS_MEDIUM, synchronize_cache},
    {0x93, FOR_DISK | NEEDS_MEDIUM, write_same},
    {0x9e, FOR_DISK | NEEDS_MEDIUM, service_action_in},
    {0xa8, FOR_ALL | NEEDS_MEDIUM, read_blocks},
    {0xaa, FOR_DISK | NEEDS_MEDIUM, write_blocks},
    {0xae, FOR_DISK | NEEDS_MEDIUM, write_and_verify},
    {0xaf, FOR_DISK | NEEDS_MEDIUM, verify},
};
const unsigned scsi_n_block = G_N_ELEMENTS(scsi_block);
