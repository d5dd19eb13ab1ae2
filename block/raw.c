/* SPDX-License-Identifier: Apache-2.0 */
/* raw: a disk without a format; optionally a window of its storage. */
#include <errno.h>
#include <string.h>
#include "block/internal.h"

typedef struct Raw {
    BlockNode node;
    uint64_t start;
    bool windowed, sized;
} Raw;

static bool raw_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    const BlockdevOptionsRaw *opts = o->u.raw;
    Raw *s = (Raw *)n;
    if (!block_open_storage(n, opts->file, error))
        return false;
    s->windowed = opts->has_offset || opts->has_size;
    s->sized = opts->has_size;
    s->start = opts->has_offset ? opts->offset : 0;
    uint64_t room = s->start <= n->file->size ? n->file->size - s->start : 0;
    n->size = opts->has_size ? opts->size : room;
    if (s->start > n->file->size || n->size > room)
        return error_set(error, "offset and size lie outside of '%s'", n->file->name);
    n->read_only |= n->file->read_only;
    return true;
}

static int raw_read(BlockNode *n, const BlockIo *io)
{
    BlockIo shifted = *io;
    shifted.offset += ((Raw *)n)->start;
    return block_read(n->file, &shifted);
}

/* Who writes a format's beginning into an image that was guessed to be raw would, at the next start,
 * choose which files are opened. */
static bool is_other_format(const BlockIo *io)
{
    uint8_t head[512] = {0};
    struct iovec iov[io->n_iov];
    BlockIo part;
    block_io_part(io, 0, MIN(io->bytes, sizeof(head)), iov, &part);
    block_io_copy(&part, head, false);
    const BlockDriver *d = block_driver(BLOCKDEV_DRIVER_QCOW2);
    return d->probe(head, sizeof(head));
}

static int raw_write(BlockNode *n, const BlockIo *io)
{
    BlockIo shifted = *io;
    if (n->probed && io->offset < 512 && (io->offset || io->bytes < 512 || is_other_format(io)))
        return EPERM;
    shifted.offset += ((Raw *)n)->start;
    shifted.flags &= ~BLOCK_FUA;        /* done once, at the top */
    return block_write(n->file, &shifted);
}

static int raw_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    return block_discard(n->file, offset + ((Raw *)n)->start, bytes);
}

static int raw_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return block_write_zeroes(n->file, offset + ((Raw *)n)->start, bytes, flags);
}

static int raw_map(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    int err = block_map(n->file, NULL, offset + ((Raw *)n)->start, bytes, e);
    e->flags |= EXTENT_ALLOCATED;       /* nothing is below a raw image */
    return err;
}

static bool raw_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error)
{
    Raw *s = (Raw *)n;
    if (s->sized)
        return error_set(error, "Cannot resize fixed-size raw disks");
    if (!n->file->driver->resize)
        return error_set(error, "Image format driver '%s' does not support resize", n->file->driver->name);
    if (!n->file->driver->resize(n->file, size + s->start, prealloc, error))
        return false;
    n->size = size;
    return true;
}

static bool raw_reopen(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    bool read_only = o->has_read_only && o->read_only;
    const BlockdevRef *file = o->u.raw->file;
    if (file->kind == BLOCKDEV_REF_REFERENCE && strcmp(file->u.reference, n->file->name))
        return error_set(error, "Cannot change the option 'file'");
    if (file->kind == BLOCKDEV_REF_DEFINITION &&
        (!n->file->driver->reopen || !n->file->driver->reopen(n->file, file->u.definition, error)))
        return false;
    if (!read_only && n->file->read_only)
        return error_set(error, "Cannot make block node read-write: its storage '%s' is read-only", n->file->name);
    n->read_only = read_only;
    return true;
}

static const BlockDriver raw = {
    .name = "raw", .id = BLOCKDEV_DRIVER_RAW, .size = sizeof(Raw), .filter = true, .open = raw_open,
    .read = raw_read, .write = raw_write, .discard = raw_discard, .write_zeroes = raw_zeroes,
    .map = raw_map, .resize = raw_resize, .reopen = raw_reopen,
};
BLOCK_DRIVER(raw);
