/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request through block nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/internal.h"
#include "qapi/qapi-events.h"
#include "util/log.h"

/* ---- inside fibers ---- */

void *block_buffer(uint64_t bytes)
{
    enum { ALIGN = 4096 };
    return aligned_alloc(ALIGN, (MAX(bytes, 1) + ALIGN - 1) / ALIGN * ALIGN);
}

static bool is_aligned(const BlockNode *n, const BlockIo *io)
{
    if (n->align <= 1)
        return true;
    uint64_t all = io->offset | io->bytes;
    for (unsigned i = 0; i < io->n_iov; i++)
        all |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
    return all % n->align == 0;
}

void block_io_copy(const BlockIo *io, void *to, bool to_iov)
{
    char *buf = to;
    for (unsigned i = 0; i < io->n_iov; buf += io->iov[i].iov_len, i++)
        memcpy(to_iov ? io->iov[i].iov_base : buf, to_iov ? buf : io->iov[i].iov_base,
               io->iov[i].iov_len);
}

void block_io_part(const BlockIo *io, uint64_t skip, uint64_t bytes, struct iovec *iov, BlockIo *part)
{
    *part = (BlockIo){.offset = io->offset + skip, .bytes = bytes, .iov = iov, .flags = io->flags};
    for (unsigned i = 0; i < io->n_iov && bytes; i++) {
        uint64_t cut = MIN(skip, io->iov[i].iov_len), n = MIN(bytes, io->iov[i].iov_len - cut);
        skip -= cut;
        bytes -= n;
        if (n)
            iov[part->n_iov++] = (struct iovec){(char *)io->iov[i].iov_base + cut, n};
    }
}

/* A request widened to whole units in a buffer of our own; writes read their edges first. */
static int bounce(BlockNode *n, const BlockIo *io, bool write)
{
    uint64_t start = io->offset / n->align * n->align;
    uint64_t end = (io->offset + io->bytes + n->align - 1) / n->align * n->align;
    char *buf = block_buffer(end - start);
    struct iovec iov = {buf, end - start};
    BlockIo wide = {.offset = start, .bytes = end - start, .iov = &iov, .n_iov = 1, .flags = io->flags};
    int err = 0;
    if (!buf)
        return ENOMEM;
    if (!write || start != io->offset || end != io->offset + io->bytes)
        err = n->driver->read(n, &wide);
    if (!err && write) {
        block_io_copy(io, buf + (io->offset - start), false);
        err = n->driver->write(n, &wide);
    } else if (!err) {
        block_io_copy(io, buf + (io->offset - start), true);
    }
    free(buf);
    return err;
}

int block_read(BlockNode *n, const BlockIo *io)
{
    return is_aligned(n, io) ? n->driver->read(n, io) : bounce(n, io, false);
}

/* A widened write must not overtake others in the same units. */
static int write_aligned(BlockNode *n, const BlockIo *io)
{
    int err;
    if (n->align <= 1)
        return n->driver->write(n, io);
    if ((io->offset | io->bytes) % n->align == 0) {
        fiber_lock_shared(&n->edges);
        err = is_aligned(n, io) ? n->driver->write(n, io) : bounce(n, io, true);
        fiber_unlock_shared(&n->edges);
        return err;
    }
    fiber_lock(&n->edges);
    err = bounce(n, io, true);
    fiber_unlock(&n->edges);
    return err;
}

static void note_end(BlockNode *n, uint64_t end)
{
    if (end > n->facts.highest)
        __atomic_store_n(&n->facts.highest, end, __ATOMIC_RELAXED);
}

static void report_threshold(BlockNode *n, uint64_t end)
{
    qapi_event_block_write_threshold(n->vm, n->name, end - n->threshold, n->threshold);
    n->threshold = 0;
}

void block_set_threshold(BlockNode *n, uint64_t offset) { n->threshold = offset; }
uint64_t block_threshold(const BlockNode *n) { return n->threshold; }

int block_write(BlockNode *n, const BlockIo *io)
{
    if (n->read_only)
        return EPERM;
    if (n->threshold && io->offset + io->bytes > n->threshold)
        report_threshold(n, io->offset + io->bytes);
    int err = write_aligned(n, io);
    if (!err)
        note_end(n, io->offset + io->bytes);
    return err || !(io->flags & BLOCK_FUA) ? err : block_flush(n);
}

int block_read_buf(BlockNode *n, uint64_t offset, void *buf, uint64_t bytes)
{
    struct iovec iov = {buf, bytes};
    BlockIo io = {.offset = offset, .bytes = bytes, .iov = &iov, .n_iov = 1};
    return block_read(n, &io);
}

int block_write_buf(BlockNode *n, uint64_t offset, const void *buf, uint64_t bytes)
{
    struct iovec iov = {(void *)buf, bytes};
    BlockIo io = {.offset = offset, .bytes = bytes, .iov = &iov, .n_iov = 1};
    return block_write(n, &io);
}

int block_flush(BlockNode *n)
{
    if (n->no_flush || n->read_only)
        return 0;
    return n->driver->flush ? n->driver->flush(n) : n->file ? block_flush(n->file) : 0;
}

int block_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    if (n->read_only)
        return EPERM;
    if (!n->discard || !n->can_discard)
        return 0;               /* a hint that may be ignored */
    return n->driver->discard ? n->driver->discard(n, offset, bytes)
           : n->driver->filter && n->file ? block_discard(n->file, offset, bytes) : 0;
}

int block_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    enum { PIECE = 1 << 20 };
    if (n->read_only)
        return EPERM;
    if (!n->discard)
        flags &= ~BLOCK_MAY_UNMAP;
    int err = n->driver->write_zeroes ? n->driver->write_zeroes(n, offset, bytes, flags & ~BLOCK_FUA)
                                      : ENOTSUP;
    if (!err)
        note_end(n, offset + bytes);
    if (err != ENOTSUP && err != EOPNOTSUPP)
        return err || !(flags & BLOCK_FUA) ? err : block_flush(n);
    g_autofree char *zeros = g_malloc0(MIN(bytes, PIECE));
    for (err = 0; bytes && !err;) {
        struct iovec iov = {zeros, MIN(bytes, PIECE)};
        BlockIo io = {.offset = offset, .bytes = iov.iov_len, .iov = &iov, .n_iov = 1};
        err = block_write(n, &io);
        offset += io.bytes;
        bytes -= io.bytes;
    }
    return err || !(flags & BLOCK_FUA) ? err : block_flush(n);
}

void block_io_fill(const BlockIo *io, int byte)
{
    for (unsigned i = 0; i < io->n_iov; i++)
        memset(io->iov[i].iov_base, byte, io->iov[i].iov_len);
}

/* ---- requests ---- */

bool block_io_is_zero(const BlockIo *io)
{
    for (unsigned i = 0; i < io->n_iov; i++) {
        const char *p = io->iov[i].iov_base;
        size_t n = io->iov[i].iov_len;
        if (n && (p[0] || memcmp(p, p + 1, n - 1)))
            return false;
    }
    return true;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int perform(BlockNode *n, BlockRequest *r)
{
    BlockIo io = {r->offset, r->bytes, r->iov, r->n_iov, r->flags};
    if (n->throttle && r->op != BLOCK_FLUSH)
        throttle_wait(n->throttle, n->loop, r->op != BLOCK_READ, r->bytes);
    switch (r->op) {
    case BLOCK_READ: return block_read(n, &io);
    case BLOCK_WRITE:
        if (n->detect_zeroes && block_io_is_zero(&io))
            return block_write_zeroes(n, r->offset, r->bytes, n->unmap_zeroes ? BLOCK_MAY_UNMAP : 0);
        return block_write(n, &io);
    case BLOCK_FLUSH: return block_flush(n);
    case BLOCK_DISCARD: return block_discard(n, r->offset, r->bytes);
    default: return block_write_zeroes(n, r->offset, r->bytes, r->flags);
    }
}

static void finish(BlockNode *n, BlockRequest *r, int err)
{
    BlockFacts *f = &n->facts;
    int64_t now = now_ns();
    block_count(&f->ops[r->op], err == 0);
    block_count(&f->bytes[r->op], err ? 0 : r->bytes);
    block_count(&f->failed[r->op], err != 0);
    __atomic_store_n(&f->last_ns, now, __ATOMIC_RELAXED);
    __atomic_store_n(&f->ns[r->op], f->ns[r->op] + now - r->started, __ATOMIC_RELAXED);
    trace(done, "%s op %d offset %llu bytes %llu: %d", n->name, r->op, (unsigned long long)r->offset,
          (unsigned long long)r->bytes, err);
    r->done(r, err);
}

static void run(void *data)
{
    BlockRequest *r = data;
    BlockNode *n = r->node;
    int err = perform(n, r);
    n->in_flight--;
    finish(n, r, err);
}

void block_submit(BlockNode *n, BlockRequest *r)
{
    bool ranged = r->op != BLOCK_FLUSH;
    r->started = now_ns();
    if (ranged && (r->offset > n->size || r->bytes > n->size - r->offset)) {
        finish(n, r, EINVAL);
        return;
    }
    r->node = n;
    n->in_flight++;
    fiber_start(run, r);
}

static void plug(BlockNode *n, bool on)
{
    while (n && !n->driver->plug)
        n = n->file;
    if (n)
        n->driver->plug(n, on);
}

void block_plug(BlockNode *n) { plug(n, true); }
void block_unplug(BlockNode *n) { plug(n, false); }

void block_drain(BlockNode *n)
{
    while (n->in_flight)
        loop_step(n->loop, true);
}

typedef struct Sync {
    BlockRequest r;
    int error;
    bool done;
} Sync;

static void sync_done(BlockRequest *r, int error)
{
    ((Sync *)r)->error = error;
    ((Sync *)r)->done = true;
}

int block_sync(BlockNode *n, BlockOp op, uint64_t offset, void *buf, uint64_t bytes)
{
    struct iovec iov = {buf, bytes};
    Sync s = {.r = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .n_iov = 1,
                    .done = sync_done}};
    block_submit(n, &s.r);
    while (!s.done)
        loop_step(n->loop, true);
    return s.error;
}

/* ---- facts ---- */

uint64_t block_size(const BlockNode *n) { return n->size; }
bool block_read_only(const BlockNode *n) { return n->read_only; }
bool block_can_discard(const BlockNode *n) { return n->can_discard && n->discard; }
const char *block_name(const BlockNode *n) { return n->name; }
const char *block_driver_name(const BlockNode *n) { return n->driver->name; }
Loop *block_loop(const BlockNode *n) { return n->loop; }

const char *block_filename(const BlockNode *n)
{
    while (n->file && !n->filename)
        n = n->file;
    return n->filename ? n->filename : "";
}

BlockNode *block_file(const BlockNode *n) { return n->file; }

BlockNode *block_backing(const BlockNode *n) { return n->backing; }

BlockFacts block_facts(const BlockNode *n)
{
    BlockFacts f;
    const int64_t *from = (const int64_t *)&n->facts;
    for (size_t i = 0; i < offsetof(BlockFacts, direct) / sizeof(int64_t); i++)
        ((int64_t *)&f)[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    f.direct = n->direct;
    f.no_flush = n->no_flush;
    f.detect_zeroes = n->detect_zeroes;
    f.unmap_zeroes = n->unmap_zeroes;
    return f;
}

/* ---- how it is stored ---- */

/* A format's data may be a hole in its storage. */
static int look_below(BlockNode *n, BlockExtent *e)
{
    BlockExtent s = {.bytes = e->bytes};
    if (!n->file || !(e->flags & EXTENT_DATA) || !(e->flags & EXTENT_AT) || !n->file->driver->map ||
        n->file->driver->map(n->file, e->at, e->bytes, &s))
        return 0;
    e->bytes = s.bytes;
    e->flags |= s.flags & EXTENT_ZERO;
    return 0;
}

static int map_one(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    *e = (BlockExtent){.bytes = bytes, .where = n};
    if (n->driver->map) {
        int err = n->driver->map(n, offset, bytes, e);
        return err || n->driver->filter ? err : look_below(n, e);
    }
    if (n->driver->filter && n->file)
        return map_one(n->file, offset, bytes, e);
    e->flags = EXTENT_ALLOCATED | EXTENT_DATA | EXTENT_AT;
    e->at = offset;
    return 0;
}

static BlockNode *next_below(BlockNode *n)
{
    while (!n->backing && n->driver->filter && n->file)
        n = n->file;
    return n->backing;
}

int block_map(BlockNode *n, BlockNode *base, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    unsigned depth = 0;
    for (;; depth++) {
        int err = map_one(n, offset, bytes, e);
        BlockNode *below = next_below(n);
        if (err || e->flags & EXTENT_ALLOCATED || !below || below == base) {
            e->depth = depth;
            if (!err && !(e->flags & EXTENT_ALLOCATED) && !below)
                e->flags |= EXTENT_ZERO;
            return err;
        }
        bytes = e->bytes;
        if (offset >= below->size) {            /* behind the end of a shorter image: zeroes */
            *e = (BlockExtent){.bytes = bytes, .flags = EXTENT_ZERO, .depth = depth + 1, .where = below};
            return 0;
        }
        bytes = MIN(bytes, below->size - offset);
        n = below;
    }
}
