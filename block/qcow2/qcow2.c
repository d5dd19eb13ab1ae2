/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 driver: opening, closing, options. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

enum { DEFAULT_L2 = 32 << 20, DEFAULT_COUNTS = 4 << 20, SLICE = 4096 };

static bool qcow2_probe(const uint8_t *head, size_t n)
{
    return n >= 8 && !memcmp(head, "QFI\xfb", 4) && (head[7] == 2 || head[7] == 3) && !head[4] && !head[5] && !head[6];
}

static void free_all(Qcow2 *s)
{
    cache_finish(&s->l2);
    cache_finish(&s->blocks);
    for (unsigned i = 0; s->extensions && i < s->extensions->len; i++)
        g_free(g_array_index(s->extensions, Extension, i).data);
    g_clear_pointer(&s->extensions, g_array_unref);
    g_clear_pointer(&s->allocations, g_ptr_array_unref);
    g_clear_pointer(&s->freed, g_array_unref);
    qcow2_free_snapshots(s);
    g_free(s->backing_name);
    g_free(s->backing_format);
    g_free(s->data_file);
    g_free(s->l1);
    g_free(s->l1_dirty);
    g_free(s->reftable);
    g_free(s->unpacked);
}

static bool set_caches(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    uint64_t l2 = DEFAULT_L2, counts = DEFAULT_COUNTS;
    if (o->has_cache_size) {
        if (o->has_l2_cache_size && o->has_refcount_cache_size)
            return error_set(error, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
        if ((o->has_l2_cache_size && o->l2_cache_size > o->cache_size) ||
            (o->has_refcount_cache_size && o->refcount_cache_size > o->cache_size))
            return error_set(error, "%s may not exceed cache-size",
                             o->has_l2_cache_size ? "l2-cache-size" : "refcount-cache-size");
        counts = MIN(DEFAULT_COUNTS, o->cache_size / 4);
        l2 = o->cache_size - counts;
    }
    if (o->has_l2_cache_size)
        l2 = o->l2_cache_size;
    if (o->has_refcount_cache_size)
        counts = o->refcount_cache_size;
    cache_init(&s->l2, l2, s->slice_bytes);
    cache_init(&s->blocks, counts, s->slice_bytes);
    return true;
}

static bool open_below(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    BlockNode *n = &s->node;
    if (o->backing && o->backing->kind == BLOCKDEV_REF_OR_NULL_NULL)
        return true;
    if (o->backing) {
        BlockdevRef ref = {.kind = BLOCKDEV_REF_DEFINITION, .u.definition = o->backing->u.definition};
        if (o->backing->kind == BLOCKDEV_REF_OR_NULL_REFERENCE)
            ref = (BlockdevRef){.kind = BLOCKDEV_REF_REFERENCE, .u.reference = o->backing->u.reference};
        n->backing = block_child(n, &ref, BLOCK_USE_READ, n->force_share ? BLOCK_USE_ALL : BLOCK_USE_READ, error);
    } else if (s->backing_name && *s->backing_name) {
        n->backing = block_open_backing(n, s->backing_name, s->backing_format, error);
    } else {
        return true;
    }
    return n->backing != NULL;
}

static bool open_image(Qcow2 *s, const BlockdevOptionsQcow2 *o, GError **error)
{
    BlockNode *n = &s->node;
    if (!qcow2_read_header(s, error))
        return false;
    n->cluster = s->cluster;
    s->slice_bytes = MIN(s->cluster, SLICE);
    if (!n->read_only && s->incompatible & INCOMPAT_CORRUPT && !n->for_check)
        return error_set(error, "qcow2: Image is corrupt; cannot be opened read/write");
    if (!set_caches(s, o, error) || !qcow2_read_snapshots(s, error))
        return false;
    if (!n->read_only && s->incompatible & INCOMPAT_DIRTY && !n->for_check && !qcow2_repair(s, error))
        return false;
    return open_below(s, o, error);
}

static void set_options(Qcow2 *s, const BlockdevOptions *o)
{
    const BlockdevOptionsQcow2 *q = o->u.qcow2;
    s->discard_down = q->has_pass_discard_request ? q->pass_discard_request
                                                  : o->has_discard && o->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP;
    s->discard_snapshots = !q->has_pass_discard_snapshot || q->pass_discard_snapshot;
    s->no_checks = q->has_overlap_check && q->overlap_check == QCOW2_OVERLAP_CHECK_MODE_NONE;
}

static bool qcow2_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    Qcow2 *s = (Qcow2 *)n;
    const BlockdevOptionsQcow2 *q = o->u.qcow2;
    if (!block_open_storage(n, q->file, error))
        return false;
    if (n->file->read_only && !n->read_only) {
        if (!o->has_auto_read_only || !o->auto_read_only)
            return error_set(error, "Block node is read-only: the storage '%s' can only be read", block_filename(n->file));
        n->read_only = true;
    }
    if (q->has_lazy_refcounts && q->lazy_refcounts && !n->read_only) {
        uint8_t v[8] = {0};
        block_read_buf(n->file, 0, v, sizeof(v));
        if (v[7] < 3)
            return error_set(error, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
    }
    s->extensions = g_array_new(false, false, sizeof(Extension));
    s->allocations = g_ptr_array_new();
    s->freed = g_array_new(false, false, sizeof(Freed));
    set_options(s, o);
    if (open_image(s, q, error)) {
        n->can_discard = true;
        return true;
    }
    free_all(s);
    return false;
}

static void qcow2_close(BlockNode *n)
{
    Qcow2 *s = (Qcow2 *)n;
    /* The second time writes the counts that fell after the first. */
    if (!n->read_only && !s->damaged && !qcow2_settle(s))
        qcow2_settle(s);
    free_all(s);
}

static void qcow2_info(BlockNode *n, ImageInfo *i)
{
    Qcow2 *s = (Qcow2 *)n;
    if (strcmp(i->format, "qcow2"))
        return;                 /* asked for another's sake */
    i->has_cluster_size = true;
    i->cluster_size = s->cluster;
    i->has_dirty_flag = true;
    i->dirty_flag = s->incompatible & INCOMPAT_DIRTY;
    if (s->backing_name) {
        i->backing_filename = g_strdup(s->backing_name);
        i->full_backing_filename = block_full_name(block_filename(n), s->backing_name);
        i->backing_filename_format = g_strdup(s->backing_format);
    }
    qcow2_list_snapshots(s, i);
    ImageInfoSpecificQCow2 *q = g_new0(ImageInfoSpecificQCow2, 1);
    q->compat = g_strdup(s->version < 3 ? "0.10" : "1.1");
    q->has_extended_l2 = q->has_lazy_refcounts = q->has_corrupt = s->version >= 3;
    q->extended_l2 = s->entry_words == 2;
    q->lazy_refcounts = s->compatible & COMPAT_LAZY;
    q->corrupt = s->incompatible & INCOMPAT_CORRUPT;
    q->refcount_bits = 1 << s->refcount_order;
    q->compression_type = s->compression ? QCOW2_COMPRESSION_TYPE_ZSTD : QCOW2_COMPRESSION_TYPE_ZLIB;
    i->format_specific = g_new0(ImageInfoSpecific, 1);
    i->format_specific->type = IMAGE_INFO_SPECIFIC_KIND_QCOW2;
    i->format_specific->u.qcow2 = g_new0(ImageInfoSpecificQCow2Wrapper, 1);
    i->format_specific->u.qcow2->data = q;
}

static bool qcow2_change_backing(BlockNode *n, const char *name, const char *format, GError **error)
{
    Qcow2 *s = (Qcow2 *)n;
    g_autofree char *old_name = s->backing_name, *old_format = s->backing_format;
    if (name && strlen(name) > MAX_BACKING) {
        g_steal_pointer(&old_name);
        g_steal_pointer(&old_format);
        return error_set(error, "Backing file name too long");
    }
    s->backing_name = g_strdup(name);
    s->backing_format = name ? g_strdup(format) : NULL;
    int err = qcow2_write_header(s);
    return !err || error_set_errno(error, err, "Could not change the backing file");
}

/* What stands above in the table: `backing` absent keeps what is there. */
static bool reopen_below(Qcow2 *s, const BlockdevOptionsQcow2 *q, GError **error)
{
    BlockNode *n = &s->node, *old = n->backing;
    if (!q->backing || (old && q->backing->kind == BLOCKDEV_REF_OR_NULL_REFERENCE &&
                        !strcmp(q->backing->u.reference, old->name)))
        return true;
    n->backing = NULL;
    if (!open_below(s, q, error)) {
        n->backing = old;
        return false;
    }
    if (old)
        block_unchild(n, old);
    return true;
}

static bool qcow2_reopen(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    Qcow2 *s = (Qcow2 *)n;
    bool read_only = o->has_read_only && o->read_only;
    const BlockdevRef *file = o->u.qcow2->file;
    if (file->kind == BLOCKDEV_REF_REFERENCE && strcmp(file->u.reference, n->file->name))
        return error_set(error, "Cannot change the option 'file'");
    if (file->kind == BLOCKDEV_REF_DEFINITION &&
        (!n->file->driver->reopen || !n->file->driver->reopen(n->file, file->u.definition, error)))
        return false;
    if (!read_only && n->file->read_only)
        return error_set(error, "Cannot make block node read-write: its storage '%s' is read-only", n->file->name);
    if (!read_only && s->snapshot_view)
        return error_set(error, "Cannot make block node read-write: it shows a snapshot");
    if (!read_only && s->incompatible & INCOMPAT_CORRUPT)
        return error_set(error, "qcow2: Image is corrupt; cannot be opened read/write");
    if (!reopen_below(s, o->u.qcow2, error))
        return false;
    if (read_only && !n->read_only && (qcow2_settle(s) || qcow2_settle(s)))
        return error_set(error, "Could not write the image's tables");
    if (read_only != n->read_only) {
        BlockUser *u = block_find_user(n->file, n, NULL, NULL);
        u->uses = BLOCK_USE_READ | (read_only ? 0 : BLOCK_USE_WRITE | BLOCK_USE_RESIZE);
        if (!block_settle(n->file, error))
            return false;
    }
    n->read_only = read_only;
    set_options(s, o);
    return true;
}

static const BlockDriver qcow2 = {
    .name = "qcow2", .id = BLOCKDEV_DRIVER_QCOW2, .size = sizeof(Qcow2), .open = qcow2_open,
    .close = qcow2_close, .read = qcow2_read, .write = qcow2_write, .flush = qcow2_flush,
    .discard = qcow2_discard, .write_zeroes = qcow2_write_zeroes, .map = qcow2_map, .info = qcow2_info,
    .write_compressed = qcow2_write_compressed, .probe = qcow2_probe, .resize = qcow2_resize,
    .check = qcow2_check, .create = qcow2_create, .change_backing = qcow2_change_backing,
    .reopen = qcow2_reopen, .snapshot = qcow2_snapshot,
};
BLOCK_DRIVER(qcow2);
