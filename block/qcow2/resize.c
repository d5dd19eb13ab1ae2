/* SPDX-License-Identifier: Apache-2.0 */
/* Making images larger and smaller. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

static int write_size(Qcow2 *s) { return qcow2_put64(s, AT_SIZE, s->node.size); }

/* A longer top table at another place. */
static int grow_l1(Qcow2 *s, uint64_t entries)
{
    uint64_t n = clusters_of(s, entries * 8), at, old = s->l1_offset, old_bytes = (uint64_t)s->l1_size * 8;
    if (entries * 8 > MAX_L1_BYTES)
        return EFBIG;
    int err = qcow2_settle(s);
    if (err || (err = qcow2_alloc(s, &n, true, &at)) || (err = qcow2_write_tables(s, true)))
        return err;
    uint64_t *l1 = g_malloc0_n(entries + 64, 8);
    memcpy(l1, s->l1, old_bytes);
    g_autofree uint64_t *disk = g_malloc0(n << s->cluster_bits);
    for (uint64_t i = 0; i < s->l1_size; i++)
        disk[i] = be64(l1[i]);
    uint8_t fields[12];
    uint32_t size = GUINT32_TO_BE((uint32_t)entries);
    uint64_t offset = be64(at);
    memcpy(fields, &size, 4);
    memcpy(fields + 4, &offset, 8);
    if ((err = block_write_buf(s->node.file, at, disk, n << s->cluster_bits)) ||
        (err = block_flush(s->node.file)) ||
        (err = block_write_buf(s->node.file, AT_L1_SIZE, fields, sizeof(fields))) ||
        (err = block_flush(s->node.file))) {
        g_free(l1);
        return err;
    }
    g_free(s->l1);
    g_free(s->l1_dirty);
    s->l1 = l1;
    s->l1_dirty = g_malloc0(entries / 64 + 1);
    s->l1_size = entries;
    s->l1_offset = at;
    if (old_bytes)
        qcow2_free_later(s, old, old_bytes);
    return qcow2_settle(s);
}

static bool grow(Qcow2 *s, uint64_t size, PreallocMode prealloc, GError **error)
{
    BlockNode *n = &s->node;
    uint64_t old = n->size, reach = l2_reach(s), entries = size / reach + (size % reach != 0);
    int err = entries > s->l1_size ? grow_l1(s, entries) : 0;
    if (err)
        return error_set_errno(error, err, "Failed to grow the L1 table");
    n->size = size;
    /* What lies behind the old end may be rests, or belong to the image below. */
    uint64_t dirty = MIN(size, (old + s->cluster - 1) & ~(s->cluster - 1));
    if (n->backing)
        dirty = MAX(dirty, MIN(size, n->backing->size));
    err = dirty > old ? block_write_zeroes(n, old, dirty - old, BLOCK_MAY_UNMAP) : 0;
    if (!err && prealloc != PREALLOC_MODE_OFF) {
        uint64_t end = n->file->size;
        err = qcow2_preallocate(s, old, size);
        if (!err && prealloc == PREALLOC_MODE_FULL && n->file->size > end)
            for (uint64_t at = old; !err && at < size;) {
                BlockExtent e = {.where = n};
                err = qcow2_map(n, at, size - at, &e);
                if (!err && e.flags & EXTENT_AT && e.at >= end)
                    err = block_write_zeroes(n->file, e.at, e.bytes, 0);
                at += e.bytes;
            }
    }
    err = err ? err : qcow2_settle(s);
    err = err ? err : write_size(s);
    if (!err)
        return true;
    n->size = old;
    return error_set_errno(error, err, "Failed to grow the image");
}

static bool shrink(Qcow2 *s, uint64_t size, PreallocMode prealloc, GError **error)
{
    BlockNode *n = &s->node;
    uint64_t from = (size + s->cluster - 1) & ~(s->cluster - 1), old = n->size;
    if (prealloc != PREALLOC_MODE_OFF)
        return error_set(error, "Preallocation can't be used for shrinking an image");
    int err = 0;
    if (from < old) {
        /* Whatever is below shall not show when the image grows again: that zeroes it. */
        BlockNode *below = n->backing;
        n->backing = NULL;
        err = qcow2_discard(n, from, old - from);
        n->backing = below;
    }
    n->size = size;
    if (!err)
        err = qcow2_settle(s);
    if (!err)
        err = qcow2_settle(s);
    err = err ? err : write_size(s);
    return !err || error_set_errno(error, err, "Failed to shrink the image");
}

bool qcow2_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error)
{
    Qcow2 *s = (Qcow2 *)n;
    if (size & (SECTOR - 1))
        return error_set(error, "The new size must be a multiple of %d", SECTOR);
    if (s->n_snapshots && (s->version < 3 || size < n->size))
        return error_set(error, size < n->size ? "Can't shrink an image which has snapshots"
                                               : "Can't resize a v2 image which has snapshots");
    if (s->damaged)
        return error_set(error, "The image is corrupt");
    return size >= n->size ? grow(s, size, prealloc, error) : shrink(s, size, prealloc, error);
}
