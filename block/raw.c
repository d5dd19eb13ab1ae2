/* SPDX-License-Identifier: Apache-2.0 */
/* raw: a disk without a format; optionally a window of its storage. */
#include "block/internal.h"

typedef struct Raw {
    BlockNode node;
    uint64_t start;
} Raw;

static bool raw_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    const BlockdevOptionsRaw *opts = o->u.raw;
    Raw *s = (Raw *)n;
    n->own_file = opts->file->kind == BLOCKDEV_REF_DEFINITION;
    n->file = n->own_file ? block_open(n->vm, opts->file->u.definition, error)
                          : block_find(n->vm, opts->file->u.reference);
    if (!n->file)
        return n->own_file ? false : error_set(error, "Cannot find device='%s' nor node-name='%s'",
                                               opts->file->u.reference, opts->file->u.reference);
    if (n->file->parent || n->file->user) {
        error_set(error, "Node '%s' is in use", n->file->name);
        n->file = NULL;
        return false;
    }
    s->start = opts->has_offset ? opts->offset : 0;
    uint64_t room = s->start <= n->file->size ? n->file->size - s->start : 0;
    n->size = opts->has_size ? opts->size : room;
    if (s->start > n->file->size || n->size > room)
        return error_set(error, "offset and size lie outside of '%s'", n->file->name);
    n->file->parent = n;
    n->read_only |= n->file->read_only;
    n->can_discard = n->file->can_discard;
    n->file->discard |= n->discard;
    return true;
}

static int raw_read(BlockNode *n, const BlockIo *io)
{
    BlockIo shifted = *io;
    shifted.offset += ((Raw *)n)->start;
    return block_read(n->file, &shifted);
}

static int raw_write(BlockNode *n, const BlockIo *io)
{
    BlockIo shifted = *io;
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

static const BlockDriver raw = {
    .name = "raw", .id = BLOCKDEV_DRIVER_RAW, .size = sizeof(Raw), .open = raw_open,
    .read = raw_read, .write = raw_write, .discard = raw_discard, .write_zeroes = raw_zeroes,
};
BLOCK_DRIVER(raw);
