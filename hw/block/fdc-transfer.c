/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the floppy controller that move data. Spec: Intel 82078 data sheet, chapters 5 and 6. Registers and
 * DMA run in the controller's domain, requests to the disk on the machine's loop; a sector at a time.
 */
#include <string.h>
#include "hw/block/fdc.h"
#include "util/log.h"

enum {
    C, H, R, N, CODE_512 = 2, MULTI_TRACK = 0x80, SKIP = 0x20, HEAD = 4, IMPLIED_SEEK = 0x40, NO_DMA = 1,
    CMD_READ_TRACK = 0x02, CMD_WRITE_DELETED = 0x09, CMD_READ_DELETED = 0x0c, CMD_SCAN_EQUAL = 0x11,
    CMD_SCAN_LOW = 0x19, CMD_SCAN_HIGH = 0x1d, CMD_VERIFY = 0x16, VERIFY_COUNT = 0x80, FORMAT_PARAMETERS = 6,
};

static void next_sector(Fdc *s);
static void pump(Fdc *s);

static bool by_dma(const Fdc *s) { return !(s->specify[1] & NO_DMA); }
static bool to_guest(const FdcTransfer *t) { return t->kind == FDC_READ; }

/* ---- the end ---- */

static void finish(Fdc *s)
{
    FdcTransfer *t = &s->t;
    uint8_t result[] = {t->status[0] | t->head << 2 | t->unit, t->status[1], t->status[2],
                        t->id[C], t->id[H], t->id[R], t->id[N]};
    isa_dma_request(s->dev.parent_bus, s->dma, false);
    trace(end, "ST %02x %02x %02x at %u/%u/%u", result[0], result[1], result[2], t->id[C], t->id[H], t->id[R]);
    fdc_result(s, result, sizeof(result));
    irq_set(&s->irq, true);
}

static void fail(Fdc *s, uint8_t st1, uint8_t st2)
{
    s->t.status[0] |= ST0_ABNORMAL;
    s->t.status[1] |= st1;
    s->t.status[2] |= st2;
    finish(s);
}

/* ---- finding sectors ---- */

/* False: ST1 and ST2 say why there is no such sector. */
static bool find(Fdc *s, uint8_t *st1, uint8_t *st2)
{
    FdcTransfer *t = &s->t;
    const FloppyDrive *f = fdc_drive(s, t->unit);
    *st1 = *st2 = 0;
    if (!f || !f->format.sectors || f->cylinder >= f->format.cylinders || t->head >= f->format.heads ||
        (s->check_rate && s->rate != f->format.rate))
        *st1 = ST1_MISSING_MARK;
    else if (t->id[C] != f->cylinder)
        *st1 = ST1_NO_DATA, *st2 = ST2_WRONG_CYLINDER;
    else if (t->id[H] != t->head || !t->id[R] || t->id[R] > f->format.sectors || t->id[N] != CODE_512)
        *st1 = ST1_NO_DATA;
    return !*st1;
}

static uint64_t offset(const Fdc *s)
{
    const FloppyDrive *f = fdc_drive(s, s->t.unit);
    uint64_t track = (uint64_t)f->cylinder * f->format.heads + s->t.head;
    return (track * f->format.sectors + s->t.id[R] - 1) * FLOPPY_SECTOR;
}

/* The ID of the sector behind this one; false: the last one was that. */
static bool count_up(FdcTransfer *t)
{
    if (t->id[R] != t->last) {
        t->id[R]++;
        return true;
    }
    bool other_side = t->both_sides && !t->head;
    t->id[R] = 1;
    if (t->both_sides) {
        t->head ^= 1;
        t->id[H] ^= 1;
    }
    t->id[C] += !other_side;
    return other_side;
}

/* ---- the disk ---- */

static bool writes(const FdcTransfer *t) { return t->kind == FDC_WRITE || t->kind == FDC_FORMAT; }

static void compare(FdcTransfer *t, const uint8_t *disk)
{
    bool equal = true, fits = true;
    for (unsigned i = 0; i < FLOPPY_SECTOR; i++) {
        uint8_t d = disk[i], g = t->buffer[i];
        if (d == g || d == 0xff || g == 0xff)
            continue;
        equal = false;
        fits &= t->scan == CMD_SCAN_LOW ? d < g : t->scan == CMD_SCAN_HIGH && d > g;
    }
    t->differs = !fits;
    t->status[2] &= ~(ST2_SCAN_HIT | ST2_NOT_SATISFIED);
    t->status[2] |= equal ? ST2_SCAN_HIT : fits ? 0 : ST2_NOT_SATISFIED;
}

static void sector_done(Fdc *s)
{
    FdcTransfer *t = &s->t;
    t->at = 0;
    if (to_guest(t)) {
        memcpy(t->buffer, s->bounce, FLOPPY_SECTOR);
        s->phase = by_dma(s) ? FDC_DMA : FDC_PIO;
        if (by_dma(s))
            pump(s);
        else
            irq_set(&s->irq, true);
        return;
    }
    if (t->kind == FDC_SCAN)
        compare(t, s->bounce);
    next_sector(s);
}

static void go_to_disk(Fdc *s);

static void done(BlockRequest *r, int error)
{
    Fdc *s = (Fdc *)((char *)r - offsetof(Fdc, r));
    Device *d = &s->dev;
    FloppyDrive *f = fdc_drive(s, s->t.unit);
    BlockErrorAction action = BLOCK_ERROR_ACTION_IGNORE;
    if (error && f && !s->stale)
        action = drive_error(f->conf.drive, r->op == BLOCK_READ, error);
    device_lock(d);
    s->running = false;
    bool stale = s->stale;
    s->stale = false;
    if (stale) {
        if (s->phase == FDC_DISK)
            go_to_disk(s);
    } else if (action == BLOCK_ERROR_ACTION_REPORT) {
        fail(s, ST1_DATA_ERROR, r->op == BLOCK_READ ? ST2_DATA_ERROR : 0);
    } else if (action != BLOCK_ERROR_ACTION_STOP) {
        sector_done(s);
    }
    device_unlock(d);
    object_unref(&d->object);
}

/* In the domain; false: nothing to do at the disk. */
static bool prepare(Fdc *s)
{
    FdcTransfer *t = &s->t;
    FloppyDrive *f = fdc_drive(s, t->unit);
    uint8_t st1, st2;
    s->stale = false;
    if (!s->dev.realized || s->phase != FDC_DISK || !vm_is_running(s->dev.object.vm))
        return false;
    if (!find(s, &st1, &st2) || !f->conf.drive->node || offset(s) + FLOPPY_SECTOR > block_size(f->conf.drive->node)) {
        fail(s, st1 ? st1 : ST1_NO_DATA, st2);
        return false;
    }
    if (t->kind == FDC_FORMAT)
        memset(s->bounce, t->fill, FLOPPY_SECTOR);
    else
        memcpy(s->bounce, t->buffer, FLOPPY_SECTOR);
    s->iov = (struct iovec){s->bounce, FLOPPY_SECTOR};
    s->r = (BlockRequest){.op = writes(t) ? BLOCK_WRITE : BLOCK_READ, .offset = offset(s), .bytes = FLOPPY_SECTOR,
                          .iov = &s->iov, .n_iov = 1, .done = done,
                          .flags = writes(t) && !f->conf.drive->writeback ? BLOCK_FUA : 0};
    return true;
}

static void run_on_loop(void *data)
{
    Fdc *s = data;
    device_lock(&s->dev);
    bool go = prepare(s);
    BlockNode *n = go ? fdc_drive(s, s->t.unit)->conf.drive->node : NULL;
    s->running = go;
    device_unlock(&s->dev);
    if (go)
        block_submit(n, &s->r);
    else
        object_unref(&s->dev.object);
}

static void go_to_disk(Fdc *s)
{
    s->phase = FDC_DISK;
    if (s->running)
        return;                 /* the end of what was given up goes on with this */
    s->running = true;
    object_ref(&s->dev.object);
    loop_post(s->dev.object.vm->loop, run_on_loop, s);
}

/* ---- between the guest and the buffer ---- */

static void buffer_full(Fdc *s)
{
    FdcTransfer *t = &s->t;
    uint8_t st1, st2;
    isa_dma_request(s->dev.parent_bus, s->dma, false);
    if (t->kind == FDC_FORMAT)
        memcpy(t->id, t->buffer, FDC_ID_BYTES);
    if (find(s, &st1, &st2))
        go_to_disk(s);
    else
        fail(s, st1, st2);
}

/* The guest has, or has given, all of a sector, or will not go on. */
static void stretch_done(Fdc *s)
{
    FdcTransfer *t = &s->t;
    if (to_guest(t)) {
        next_sector(s);
    } else {
        memset(t->buffer + t->at, 0, t->size - t->at);
        buffer_full(s);
    }
}

static void pump(Fdc *s)
{
    FdcTransfer *t = &s->t;
    Bus *isa = s->dev.parent_bus;
    bool end = false;
    t->at += isa_dma_move(isa, s->dma, t->buffer + t->at, t->size - t->at, to_guest(t), &end);
    t->ended |= end;
    if (t->at == t->size || end)
        stretch_done(s);
    else
        isa_dma_request(isa, s->dma, true);
}

void fdc_dma_ready(Device *d)
{
    Fdc *s = (Fdc *)d;
    if (s->phase == FDC_DMA)
        pump(s);
}

uint8_t fdc_data_read(Fdc *s)
{
    FdcTransfer *t = &s->t;
    uint8_t v = t->buffer[t->at++];
    irq_set(&s->irq, false);
    if (t->at == t->size)
        stretch_done(s);
    return v;
}

void fdc_data_write(Fdc *s, uint8_t v)
{
    FdcTransfer *t = &s->t;
    irq_set(&s->irq, false);
    t->buffer[t->at++] = v;
    if (t->at == t->size)
        stretch_done(s);
}

/* ---- from sector to sector ---- */

static void begin_sector(Fdc *s)
{
    FdcTransfer *t = &s->t;
    uint8_t st1, st2;
    t->at = 0;
    t->size = t->kind == FDC_FORMAT ? FDC_ID_BYTES : FLOPPY_SECTOR;
    if (t->kind != FDC_FORMAT && !find(s, &st1, &st2)) {
        fail(s, st1, st2);
    } else if (t->kind == FDC_READ || t->kind == FDC_VERIFY) {
        go_to_disk(s);
    } else if (by_dma(s)) {
        s->phase = FDC_DMA;
        pump(s);
    } else {
        s->phase = FDC_PIO;
        irq_set(&s->irq, true);
    }
}

static void next_format(Fdc *s)
{
    if (--s->t.left && !s->t.ended)
        begin_sector(s);
    else
        finish(s);
}

static void next_sector(Fdc *s)
{
    FdcTransfer *t = &s->t;
    if (t->kind == FDC_FORMAT) {
        next_format(s);
        return;
    }
    bool over = t->ended || (t->left && !--t->left) || t->deleted || (t->kind == FDC_SCAN && !t->differs);
    bool more = count_up(t);
    if (t->kind == FDC_SCAN && t->step == 2 && more && t->id[R] <= t->last)
        more = count_up(t);
    if (over || (!more && (t->kind == FDC_VERIFY || t->kind == FDC_SCAN)))
        finish(s);
    else if (!more)
        fail(s, ST1_END, 0);
    else
        begin_sector(s);
}

/* ---- beginnings ---- */

static void start_format(Fdc *s)
{
    FdcTransfer *t = &s->t;
    t->id[N] = s->fifo[2];
    t->left = s->fifo[3];
    t->fill = s->fifo[5];
    if (t->id[N] != CODE_512 || !t->left)
        fail(s, ST1_NO_DATA, 0);
    else
        begin_sector(s);
}

static void seek_implied(Fdc *s, uint8_t cylinder)
{
    FloppyDrive *f = fdc_drive(s, s->t.unit);
    if (!(s->config[0] & IMPLIED_SEEK))
        return;
    if (f)
        floppy_step_to(f, cylinder);
    s->pcn[s->t.unit] = cylinder;
}

void fdc_transfer(Fdc *s, FdcKind kind)
{
    const uint8_t *p = s->fifo;
    FdcTransfer *t = &s->t;
    uint8_t command = p[0] & 0x1f;
    const FloppyDrive *f = fdc_drive(s, p[1] & 3);
    *t = (FdcTransfer){.kind = kind, .scan = command, .unit = p[1] & 3, .head = p[1] >> 2 & 1,
                       .both_sides = p[0] & MULTI_TRACK, .skip = p[0] & SKIP};
    trace(begin, "command %02x unit %u head %u: %02x %02x %02x", p[0], t->unit, t->head, p[2], p[3], p[4]);
    if (writes(t) && f && f->format.sectors && floppy_is_protected(f)) {
        memcpy(t->id, p + 2, FDC_ID_BYTES);
        fail(s, ST1_PROTECTED, 0);
        return;
    }
    if (kind == FDC_FORMAT) {
        start_format(s);
        return;
    }
    memcpy(t->id, p + 2, FDC_ID_BYTES);
    t->last = p[6];
    t->step = p[8];
    t->differs = kind == FDC_SCAN;
    t->left = command == CMD_VERIFY && p[1] & VERIFY_COUNT ? p[8] : 0;
    if (command == CMD_READ_TRACK) {
        t->id[R] = 1;
        t->left = t->last;
    }
    /* Images keep no deleted marks: a reader of such meets a sector with the other mark first. */
    if (command == CMD_READ_DELETED && !t->skip) {
        t->deleted = true;
        t->status[2] |= ST2_CONTROL_MARK;
    }
    seek_implied(s, t->id[C]);
    begin_sector(s);
}

/* The next ID that comes by. */
void fdc_read_id(Fdc *s)
{
    FdcTransfer *t = &s->t;
    const FloppyDrive *f = fdc_drive(s, s->fifo[1] & 3);
    uint8_t st1, st2;
    *t = (FdcTransfer){.unit = s->fifo[1] & 3, .head = s->fifo[1] >> 2 & 1};
    if (f && f->format.sectors)
        s->last_id = s->last_id % f->format.sectors + 1;
    const uint8_t id[] = {f ? f->cylinder : 0, t->head, s->last_id, CODE_512};
    memcpy(t->id, id, sizeof(id));
    if (find(s, &st1, &st2))
        finish(s);
    else
        fail(s, st1, st2);
}

/* ---- life ---- */

void fdc_cancel(Fdc *s)
{
    s->stale = s->running;
    isa_dma_request(s->dev.parent_bus, s->dma, false);
}

void fdc_resume(Fdc *s)
{
    if (s->phase == FDC_DISK)
        go_to_disk(s);
}

void fdc_drain(Fdc *s)
{
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++) {
        const FloppyDrive *f = fdc_drive(s, i);
        if (f && f->conf.drive && f->conf.drive->node)
            block_drain(f->conf.drive->node);
    }
}

void fdc_transfer_restored(Fdc *s)
{
    FdcTransfer *t = &s->t;
    t->unit &= 3;
    t->head &= 1;
    t->kind = MIN(t->kind, FDC_KINDS - 1);
    t->size = MIN(t->size, t->kind == FDC_FORMAT ? FDC_ID_BYTES : FLOPPY_SECTOR);
    bool needs_data = s->phase == FDC_DMA || s->phase == FDC_PIO;
    if (needs_data && t->at >= t->size)
        s->phase = FDC_COMMAND;
}
