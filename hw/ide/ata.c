/* SPDX-License-Identifier: Apache-2.0 */
/* ATA commands of disks and packet devices. Spec: ATA8-ACS; packets: ATAPI with MMC-6 (hw/scsi). */
#include <errno.h>
#include <string.h>
#include "hw/ide/ata.h"
#include "util/log.h"

enum { LBA_BIT = 0x40, RANGE_BYTES = 8, MAX_RANGES = 64, IDLE = ATA_RDY | ATA_DSC };

typedef enum Kind {
    K_READ = 1, K_WRITE, K_VERIFY, K_FLUSH, K_IDENTIFY, K_IDENTIFY_PACKET, K_FEATURES, K_MULTIPLE, K_TRIM,
    K_MAX, K_DIAGNOSTIC, K_NOTHING, K_POWER, K_PACKET, K_RESET,
} Kind;
enum { F_DMA = 1, F_EXT = 2, F_FUA = 4, F_MULTIPLE = 8, F_NCQ = 16, F_CD = 32, F_DISK = 64, F_BOTH = 96 };

static const struct { uint8_t command, kind, flags; } commands[] = {
    {0x06, K_TRIM, F_DISK | F_DMA | F_EXT}, {0x08, K_RESET, F_CD}, {0x10, K_NOTHING, F_DISK},
    {0x20, K_READ, F_DISK}, {0x21, K_READ, F_DISK}, {0x24, K_READ, F_DISK | F_EXT},
    {0x25, K_READ, F_DISK | F_EXT | F_DMA}, {0x27, K_MAX, F_DISK | F_EXT},
    {0x29, K_READ, F_DISK | F_EXT | F_MULTIPLE}, {0x30, K_WRITE, F_DISK}, {0x31, K_WRITE, F_DISK},
    {0x34, K_WRITE, F_DISK | F_EXT}, {0x35, K_WRITE, F_DISK | F_EXT | F_DMA},
    {0x39, K_WRITE, F_DISK | F_EXT | F_MULTIPLE}, {0x3d, K_WRITE, F_DISK | F_EXT | F_DMA | F_FUA},
    {0x40, K_VERIFY, F_DISK}, {0x41, K_VERIFY, F_DISK}, {0x42, K_VERIFY, F_DISK | F_EXT},
    {0x60, K_READ, F_DISK | F_EXT | F_DMA | F_NCQ}, {0x61, K_WRITE, F_DISK | F_EXT | F_DMA | F_NCQ},
    {0x70, K_NOTHING, F_DISK}, {0x90, K_DIAGNOSTIC, F_BOTH}, {0x91, K_NOTHING, F_DISK},
    {0x94, K_NOTHING, F_BOTH}, {0x95, K_NOTHING, F_BOTH}, {0x96, K_NOTHING, F_BOTH}, {0x97, K_NOTHING, F_BOTH},
    {0x98, K_POWER, F_BOTH}, {0x99, K_NOTHING, F_BOTH},
    {0xa0, K_PACKET, F_CD}, {0xa1, K_IDENTIFY_PACKET, F_CD}, {0xc4, K_READ, F_DISK | F_MULTIPLE},
    {0xc5, K_WRITE, F_DISK | F_MULTIPLE}, {0xc6, K_MULTIPLE, F_DISK}, {0xc8, K_READ, F_DISK | F_DMA},
    {0xc9, K_READ, F_DISK | F_DMA}, {0xca, K_WRITE, F_DISK | F_DMA}, {0xcb, K_WRITE, F_DISK | F_DMA},
    {0xce, K_WRITE, F_DISK | F_EXT | F_MULTIPLE | F_FUA}, {0xe0, K_NOTHING, F_BOTH}, {0xe1, K_NOTHING, F_BOTH},
    {0xe2, K_NOTHING, F_BOTH}, {0xe3, K_NOTHING, F_BOTH}, {0xe5, K_POWER, F_BOTH}, {0xe6, K_NOTHING, F_BOTH},
    {0xe7, K_FLUSH, F_DISK}, {0xea, K_FLUSH, F_DISK}, {0xec, K_IDENTIFY, F_DISK}, {0xef, K_FEATURES, F_BOTH},
    {0xf8, K_MAX, F_DISK},
};

bool ata_is_cd(const IdeDrive *d) { return device_type(&d->dev)->ext != NULL; }

static bool look_up(const IdeDrive *d, uint8_t command, Kind *kind, unsigned *flags)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].command == command && commands[i].flags & (ata_is_cd(d) ? F_CD : F_DISK)) {
            *kind = commands[i].kind;
            *flags = commands[i].flags;
            return true;
        }
    }
    return false;
}

static uint64_t sectors_of(const IdeDrive *d)
{
    return d->conf.drive->node ? block_size(d->conf.drive->node) / ATA_SECTOR : 0;
}

void ata_signature(const IdeDrive *d, AtaTask *t)
{
    t->count = 1;
    t->lba = ata_is_cd(d) ? 0xeb1401 : 1;
    t->device &= 0x10;
}

/* ---- addresses ---- */

static uint64_t sector_count(const AtaTask *t, unsigned flags)
{
    uint16_t n = flags & F_NCQ ? t->feature : t->count;
    return flags & F_EXT ? (n ? n : 65536) : (n & 0xff ? n & 0xff : 256);
}

/* UINT64_MAX: no such place. */
static uint64_t address(const IdeDrive *d, const AtaTask *t, unsigned flags)
{
    if (flags & F_EXT)
        return t->lba & 0xffffffffffffull;
    if (t->device & LBA_BIT)
        return (t->lba & 0xffffff) | (uint64_t)(t->device & 15) << 24;
    DiskGeometry g = disk_geometry(sectors_of(d));
    uint32_t sector = t->lba & 0xff, cylinder = t->lba >> 8 & 0xffff;
    return sector ? ((uint64_t)cylinder * g.heads + (t->device & 15)) * g.sectors + sector - 1 : UINT64_MAX;
}

static bool range_is_fine(const IdeDrive *d, uint64_t lba, uint64_t n)
{
    uint64_t total = sectors_of(d);
    return lba <= total && n <= total - lba;
}

/* ---- planning ---- */

static bool fail(AtaTask *t, uint8_t error)
{
    t->status = IDLE | ATA_ERR;
    t->error = error;
    t->data = ATA_NO_DATA;
    return false;
}

static bool plan_rw(IdeDrive *d, AtaTask *t, Kind kind, unsigned flags)
{
    uint64_t n = sector_count(t, flags);
    if (!range_is_fine(d, address(d, t, flags), n))
        return fail(t, ATA_IDNF);
    if (kind == K_WRITE && d->conf.drive->node && block_read_only(d->conf.drive->node))
        return fail(t, ATA_ABRT);
    if (flags & F_MULTIPLE && !d->state.multiple)
        return fail(t, ATA_ABRT);
    t->data = kind == K_READ ? ATA_IN : ATA_OUT;
    t->dma = flags & F_DMA;
    t->bytes = n * ATA_SECTOR;
    t->block = ATA_SECTOR * (flags & F_MULTIPLE ? d->state.multiple : 1);
    return true;
}

/* The byte count that PIO packets move at a time stands in the middle and high address registers. */
static bool plan_packet(IdeDrive *d, AtaTask *t)
{
    unsigned limit = t->lba >> 8 & 0xffff;
    ScsiDirection way = scsi_direction(t->cdb);
    t->bytes = scsi_length(&d->scsi, t->cdb);
    if (t->bytes > ATA_MAX_BYTES)
        t->bytes = 0;           /* the unit refuses it */
    t->data = !t->bytes ? ATA_NO_DATA : way == SCSI_FROM_UNIT ? ATA_IN : way == SCSI_TO_UNIT ? ATA_OUT : ATA_NO_DATA;
    t->dma = t->feature & 1;
    limit = limit == 0xffff ? 0xfffe : limit;
    t->block = !limit ? 0xfffe : limit > 1 ? limit & ~1u : 2;
    return true;
}

bool ata_plan(IdeDrive *d, AtaTask *t)
{
    Kind kind;
    unsigned flags;
    bool had_cdb = t->data == ATA_WANTS_CDB;
    t->data = ATA_NO_DATA;
    t->dma = false;
    t->bytes = 0;
    if (!look_up(d, t->command, &kind, &flags)) {
        /* A disk's identification asked of a packet device ends with its signature. */
        if (ata_is_cd(d) && (t->command == 0xec || t->command == 0x20))
            ata_signature(d, t);
        return fail(t, ATA_ABRT);
    }
    switch (kind) {
    case K_READ:
    case K_WRITE: return plan_rw(d, t, kind, flags);
    case K_IDENTIFY:
    case K_IDENTIFY_PACKET:
        t->data = ATA_IN;
        t->bytes = t->block = ATA_SECTOR;
        break;
    case K_TRIM:
        if (t->feature != 1 || !t->count || t->count > 1 || !d->conf.discard_granularity)
            return fail(t, ATA_ABRT);
        t->data = ATA_OUT;
        t->dma = true;
        t->bytes = ATA_SECTOR;
        break;
    case K_PACKET:
        if (had_cdb)
            return plan_packet(d, t);
        t->data = ATA_WANTS_CDB;
        break;
    default:
        break;
    }
    return true;
}

/* ---- ends ---- */

static void finish(AtaTask *t)
{
    trace(done, "command 0x%02x status 0x%02x error 0x%02x", t->command, t->status, t->error);
    g_clear_pointer(&t->ranges, g_free);
    t->done(t);
}

static void good(AtaTask *t)
{
    t->status = IDLE;
    t->error = 0;
    finish(t);
}

static void bad(AtaTask *t, uint8_t error)
{
    fail(t, error);
    finish(t);
}

/* True: it went wrong, and the task has ended one way or another. */
static bool failed(AtaTask *t, int error)
{
    bool read = t->r.op == BLOCK_READ;
    if (!error)
        return false;
    BlockErrorAction action = drive_error(t->drive->conf.drive, read, error);
    if (action == BLOCK_ERROR_ACTION_IGNORE)
        return false;
    if (action == BLOCK_ERROR_ACTION_STOP) {
        t->held = true;
        finish(t);
    } else {
        bad(t, read ? ATA_UNC : ATA_ABRT);
    }
    return true;
}

static AtaTask *task_of(BlockRequest *r) { return (AtaTask *)((char *)r - offsetof(AtaTask, r)); }

/* ---- media ---- */

static void submit(AtaTask *t, void (*done)(BlockRequest *r, int error))
{
    BlockNode *n = t->drive->conf.drive->node;
    t->r.done = done;
    if (n)
        block_submit(n, &t->r);
    else
        bad(t, ATA_ABRT);
}

static void moved(BlockRequest *r, int error)
{
    AtaTask *t = task_of(r);
    if (failed(t, error))
        return;
    t->moved = t->bytes;
    if (t->command != ATA_READ_FPDMA && t->command != ATA_WRITE_FPDMA)
        t->count = 0;
    good(t);
}

static void run_rw(IdeDrive *d, AtaTask *t, Kind kind, unsigned flags)
{
    bool write = kind == K_WRITE, through = flags & F_FUA || (flags & F_NCQ && t->device & 0x80);
    t->r = (BlockRequest){.op = write ? BLOCK_WRITE : BLOCK_READ, .offset = address(d, t, flags) * ATA_SECTOR,
                          .bytes = t->bytes, .iov = t->iov, .n_iov = t->n_iov,
                          .flags = write && (through || !d->state.write_cache) ? BLOCK_FUA : 0};
    submit(t, moved);
}

static void flushed(BlockRequest *r, int error)
{
    AtaTask *t = task_of(r);
    if (!failed(t, error))
        good(t);
}

static void trim_next(BlockRequest *r, int error)
{
    AtaTask *t = task_of(r);
    if (failed(t, error))
        return;
    while (t->range < MAX_RANGES) {
        uint64_t entry;
        memcpy(&entry, t->ranges + RANGE_BYTES * t->range++, sizeof(entry));
        entry = GUINT64_FROM_LE(entry);
        uint64_t lba = entry & 0xffffffffffffull, n = entry >> 48;
        if (!n)
            continue;
        if (!range_is_fine(t->drive, lba, n)) {
            bad(t, ATA_IDNF);
            return;
        }
        t->r = (BlockRequest){.op = BLOCK_DISCARD, .offset = lba * ATA_SECTOR, .bytes = n * ATA_SECTOR};
        submit(t, trim_next);
        return;
    }
    t->moved = t->bytes;
    good(t);
}

static void trim(AtaTask *t)
{
    t->ranges = g_malloc0(ATA_SECTOR);
    t->range = 0;
    iov_read(t->iov, t->n_iov, 0, t->ranges, ATA_SECTOR);
    trim_next(&t->r, 0);
}

/* ---- commands without media ---- */

static void identify(IdeDrive *d, AtaTask *t, bool packet)
{
    uint16_t words[256];
    unsigned n = ata_identify(d, packet, words);
    t->moved = iov_write(t->iov, t->n_iov, 0, words, n);
    good(t);
}

static void set_transfer_mode(IdeDrive *d, AtaTask *t)
{
    uint8_t mode = t->count & 7, kind = t->count >> 3 & 31;
    d->state.dma_mode = kind == 4 ? 1 << mode : 0;
    d->state.udma_mode = kind == 8 ? 1 << mode : 0;
    if (kind <= 1 || kind == 2 || kind == 4 || kind == 8)
        good(t);
    else
        bad(t, ATA_ABRT);
}

static void set_features(IdeDrive *d, AtaTask *t)
{
    bool cd = ata_is_cd(d);
    switch (t->feature & 0xff) {
    case 0x02:
    case 0x82:
        if (cd) {
            bad(t, ATA_ABRT);
            return;
        }
        d->state.write_cache = (t->feature & 0xff) == 0x02;
        if (!d->state.write_cache) {
            t->r = (BlockRequest){.op = BLOCK_FLUSH};
            submit(t, flushed);
            return;
        }
        break;
    case 0x03: set_transfer_mode(d, t); return;
    case 0x05: case 0x10: case 0x42: case 0x55: case 0x66: case 0x85: case 0x90: case 0xaa: case 0xc2: case 0xcc:
        break;
    default:
        bad(t, ATA_ABRT);
        return;
    }
    good(t);
}

static void set_multiple(IdeDrive *d, AtaTask *t)
{
    uint8_t n = t->count;
    if (n > 16 || n & (n - 1)) {
        bad(t, ATA_ABRT);
        return;
    }
    d->state.multiple = n;
    good(t);
}

static void native_max(IdeDrive *d, AtaTask *t, bool ext)
{
    uint64_t last = MAX(sectors_of(d), 1) - 1;
    t->lba = ext ? last : MIN(last, 0x0fffffff) & 0xffffff;
    if (!ext)
        t->device = (t->device & 0xf0) | (MIN(last, 0x0fffffff) >> 24);
    good(t);
}

/* ---- packets ---- */

static void packet_done(ScsiRequest *r)
{
    AtaTask *t = (AtaTask *)((char *)r - offsetof(AtaTask, scsi));
    t->moved = r->done;
    t->count = 3;               /* interrupt reason: completion */
    t->status = IDLE | (r->status != SCSI_GOOD ? ATA_ERR : 0);
    t->error = r->status != SCSI_GOOD ? r->sense[2] << 4 | ATA_ABRT : 0;
    finish(t);
}

static void packet(IdeDrive *d, AtaTask *t)
{
    memset(&t->scsi, 0, sizeof(t->scsi));
    memcpy(t->scsi.cdb, t->cdb, ATA_PACKET_BYTES);
    t->scsi.iov = t->iov;
    t->scsi.n_iov = t->n_iov;
    t->scsi.room = t->bytes;
    t->scsi.complete = packet_done;
    scsi_execute(&d->scsi, &t->scsi);
}

/* ---- running ---- */

void ata_run(IdeDrive *d, AtaTask *t)
{
    Kind kind;
    unsigned flags;
    t->drive = d;
    t->held = false;
    t->moved = 0;
    t->ranges = NULL;
    memset(&t->r, 0, sizeof(t->r));
    if (!look_up(d, t->command, &kind, &flags)) {
        bad(t, ATA_ABRT);
        return;
    }
    switch (kind) {
    case K_READ:
    case K_WRITE: run_rw(d, t, kind, flags); break;
    case K_VERIFY:
        if (range_is_fine(d, address(d, t, flags), sector_count(t, flags)))
            good(t);
        else
            bad(t, ATA_IDNF);
        break;
    case K_FLUSH:
        t->r = (BlockRequest){.op = BLOCK_FLUSH};
        submit(t, flushed);
        break;
    case K_IDENTIFY: identify(d, t, false); break;
    case K_IDENTIFY_PACKET: identify(d, t, true); break;
    case K_FEATURES: set_features(d, t); break;
    case K_MULTIPLE: set_multiple(d, t); break;
    case K_TRIM: trim(t); break;
    case K_MAX: native_max(d, t, flags & F_EXT); break;
    case K_DIAGNOSTIC:
    case K_RESET:
        ata_signature(d, t);
        t->status = IDLE;
        t->error = 1;           /* no error detected */
        finish(t);
        break;
    case K_POWER:
        t->count = 0xff;        /* active or idle */
        good(t);
        break;
    case K_PACKET: packet(d, t); break;
    case K_NOTHING: good(t); break;
    }
}

void ata_reset(IdeDrive *d)
{
    uint8_t cache = d->state.write_cache;
    d->state = (AtaState){.multiple = 16, .write_cache = cache, .udma_mode = 1 << 5};
    if (ata_is_cd(d))
        scsi_unit_reset(&d->scsi);
}

void ata_drain(IdeDrive *d)
{
    if (d->conf.drive && d->conf.drive->node)
        block_drain(d->conf.drive->node);
}
