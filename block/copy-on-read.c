/* SPDX-License-Identifier: Apache-2.0 */
/* copy-on-read: what is read from an image below is written into the one on top. */
#include <errno.h>
#include <stdlib.h>
#include "block/internal.h"

static bool cor_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    if (!block_open_storage(n, o->u.copy_on_read->file, error))
        return false;
    n->size = n->file->size;
    n->read_only |= n->file->read_only;
    return true;
}

/* Copies whole units, so that the write below needs no edges of its own. A write in between waits. */
static int copy_up(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    uint64_t unit = MAX(n->file->cluster, 4096), from = offset / unit * unit;
    uint64_t to = MIN((offset + bytes + unit - 1) / unit * unit, n->file->size);
    int err = 0;
    fiber_lock(&n->edges);
    while (!err && from < to) {
        BlockExtent e;
        err = block_map(n->file, block_backing(n->file), from, to - from, &e);
        if (!err && !(e.flags & EXTENT_ALLOCATED)) {
            uint64_t most = MIN(e.bytes, 1 << 20);
            void *buf = block_buffer(most);
            err = buf ? block_read_buf(n->file, from, buf, most) : ENOMEM;
            err = err ? err : block_write_buf(n->file, from, buf, most);
            free(buf);
            e.bytes = most;
        }
        from += e.bytes;
    }
    fiber_unlock(&n->edges);
    return err;
}

static int cor_read(BlockNode *n, const BlockIo *io)
{
    int err = n->file->read_only || !n->file->backing ? 0 : copy_up(n, io->offset, io->bytes);
    return err ? err : block_read(n->file, io);
}

static int cor_write(BlockNode *n, const BlockIo *io)
{
    fiber_lock_shared(&n->edges);
    int err = block_write(n->file, io);
    fiber_unlock_shared(&n->edges);
    return err;
}

static int cor_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    fiber_lock_shared(&n->edges);
    int err = block_write_zeroes(n->file, offset, bytes, flags);
    fiber_unlock_shared(&n->edges);
    return err;
}

static int cor_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    fiber_lock_shared(&n->edges);
    int err = block_discard(n->file, offset, bytes);
    fiber_unlock_shared(&n->edges);
    return err;
}

static const BlockDriver copy_on_read = {
    .name = "copy-on-read", .id = BLOCKDEV_DRIVER_COPY_ON_READ, .size = sizeof(BlockNode), .filter = true,
    .open = cor_open, .read = cor_read, .write = cor_write, .write_zeroes = cor_zeroes, .discard = cor_discard,
};
BLOCK_DRIVER(copy_on_read);
