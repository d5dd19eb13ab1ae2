/* SPDX-License-Identifier: Apache-2.0 */
/* New images. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

static uint64_t div_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

/* Tables of reference counts for that many other clusters. */
static uint64_t count_clusters(uint64_t others, uint64_t cluster, unsigned order)
{
    uint64_t per = cluster * 8 >> order, blocks = 0, table = 0, before;
    do {
        before = blocks + table;
        blocks = div_up(others + before, per);
        table = div_up(blocks * 8, cluster);
    } while (blocks + table != before);
    return before;
}

uint64_t qcow2_metadata_bytes(uint64_t size, uint64_t cluster, unsigned order, bool extended)
{
    uint64_t entry = extended ? 16 : 8, data = div_up(size, cluster), tables = div_up(data, cluster / entry);
    uint64_t l1 = div_up(tables * 8, cluster), others = 1 + l1 + tables;
    return (others + count_clusters(others + data, cluster, order)) * cluster;
}

static bool check(const BlockdevCreateOptionsQcow2 *o, Qcow2 *s, GError **error)
{
    bool v3 = !o->has_version || o->version == BLOCKDEV_QCOW2_VERSION_V3;
    uint64_t cluster = o->has_cluster_size ? o->cluster_size : 65536;
    int64_t bits = o->has_refcount_bits ? o->refcount_bits : 16;
    bool extended = o->has_extended_l2 && o->extended_l2;
    PreallocMode prealloc = o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF;
    if (o->size & (SECTOR - 1))
        return error_set(error, "Image size must be a multiple of %d bytes", SECTOR);
    if (cluster & (cluster - 1) || cluster < 512 || cluster > 2 << 20)
        return error_set(error, "Cluster size must be a power of two between 512 and 2048k");
    if (bits < 1 || bits > 64 || bits & (bits - 1))
        return error_set(error, "Refcount width must be a power of two and may not exceed 64 bits");
    if (!v3 && bits != 16)
        return error_set(error, "Different refcount widths than 16 bits require compatibility level 1.1 or above "
                         "(use version=v3 or greater)");
    if (extended && (!v3 || cluster < 16384))
        return error_set(error, !v3 ? "Extended L2 entries are only supported with compatibility level 1.1 and above "
                                      "(use version=v3 or greater)"
                                    : "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
    if (o->has_lazy_refcounts && o->lazy_refcounts && !v3)
        return error_set(error, "Lazy refcounts only supported with compatibility level 1.1 and above "
                         "(use version=v3 or greater)");
    if (o->has_compression_type && o->compression_type == QCOW2_COMPRESSION_TYPE_ZSTD && !v3)
        return error_set(error, "Non-zlib compression type is only supported with compatibility level 1.1 and above "
                         "(use version=v3 or greater)");
    if (o->backing_file && prealloc != PREALLOC_MODE_OFF && !extended)
        return error_set(error, "Backing file and preallocation can only be used at the same time if extended_l2 is "
                         "enabled");
    if (o->has_backing_fmt && !o->backing_file)
        return error_set(error, "Backing format cannot be used without backing file");
    if (o->backing_file && strlen(o->backing_file) > MAX_BACKING)
        return error_set(error, "Backing file name too long");
    s->version = v3 ? 3 : 2;
    s->cluster = cluster;
    s->cluster_bits = __builtin_ctzll(cluster);
    s->refcount_order = __builtin_ctzll(bits);
    s->l2_bits = s->cluster_bits - (extended ? 4 : 3);
    s->compatible = o->has_lazy_refcounts && o->lazy_refcounts ? COMPAT_LAZY : 0;
    s->compression = o->has_compression_type && o->compression_type == QCOW2_COMPRESSION_TYPE_ZSTD;
    s->incompatible = (extended ? INCOMPAT_EXTENDED_L2 : 0) | (s->compression ? INCOMPAT_COMPRESSION : 0);
    s->node.size = o->size;
    s->backing_name = o->backing_file;
    s->backing_format = o->has_backing_fmt ? (char *)blockdev_driver_name(o->backing_fmt) : NULL;
    return true;
}

static int write_all(Qcow2 *s, BlockNode *file)
{
    uint64_t l1 = clusters_of(s, (uint64_t)s->l1_size * 8), others = 1 + l1;
    uint64_t counts = count_clusters(others, s->cluster, s->refcount_order), per = counts_per_block(s);
    uint64_t blocks = div_up(others + counts, per), table = counts - blocks, used = others + counts;
    s->reftable_offset = s->cluster;
    s->reftable_clusters = table;
    s->l1_offset = (1 + counts) << s->cluster_bits;
    g_autofree uint8_t *header = qcow2_make_header(s);
    if (!header)
        return ENOSPC;
    g_autofree uint64_t *top = g_malloc0(table << s->cluster_bits);
    int err = block_write_zeroes(file, s->l1_offset, MAX(l1, 1) << s->cluster_bits, 0);
    for (uint64_t i = 0; i < blocks && !err; i++) {
        g_autofree uint8_t *block = g_malloc0(s->cluster);
        for (uint64_t k = i * per; k < MIN(used, (i + 1) * per); k++)
            block_count_set(s, block, k - i * per, 1);
        top[i] = be64((1 + table + i) << s->cluster_bits);
        err = block_write_buf(file, (1 + table + i) << s->cluster_bits, block, s->cluster);
    }
    err = err ? err : block_write_buf(file, s->reftable_offset, top, table << s->cluster_bits);
    err = err ? err : block_write_buf(file, 0, header, s->cluster);
    return err ? err : block_flush(file);
}

/* All clusters of a new image get their place. */
static bool preallocate(Vm *vm, BlockNode *file, const Qcow2 *s, PreallocMode mode, GError **error)
{
    BlockdevRef ref = {.kind = BLOCKDEV_REF_REFERENCE, .u.reference = file->name};
    BlockdevRefOrNull none = {.kind = BLOCKDEV_REF_OR_NULL_NULL};
    BlockdevOptionsQcow2 q = {.file = &ref, .backing = &none};
    BlockdevOptions o = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &q};
    uint64_t all = qcow2_metadata_bytes(s->node.size, s->cluster, s->refcount_order, s->incompatible & INCOMPAT_EXTENDED_L2) +
                   clusters_of(s, s->node.size) * s->cluster;
    if (mode != PREALLOC_MODE_METADATA && !file->driver->resize(file, all, mode, error))
        return false;
    BlockNode *n = block_open(vm, &o, error);
    if (!n)
        return false;
    ((Qcow2 *)n)->all_zero = true;
    int err = qcow2_preallocate((Qcow2 *)n, 0, n->size);
    err = err ? err : qcow2_settle((Qcow2 *)n);
    block_free(n);
    return !err || error_set_errno(error, err, "Could not preallocate metadata");
}

static bool make(Vm *vm, BlockNode *file, const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    Qcow2 s = {0};
    if (!check(o, &s, error))
        return false;
    uint64_t l1 = div_up(o->size, l2_reach(&s));
    if (l1 * 8 > MAX_L1_BYTES || o->size > INT64_MAX)
        return error_set(error, "The image size is too large (try using a larger cluster size)");
    s.l1_size = l1;
    if (file->read_only)
        return error_set(error, "Block node is read-only");
    if (file->driver->resize && !file->driver->resize(file, 0, PREALLOC_MODE_OFF, error))
        return false;
    int err = write_all(&s, file);
    if (err)
        return error_set_errno(error, err, "Could not write the image's tables");
    return true;
}

bool qcow2_create(Vm *vm, const BlockdevCreateOptions *options, GError **error)
{
    const BlockdevCreateOptionsQcow2 *o = options->u.qcow2;
    bool own = o->file->kind == BLOCKDEV_REF_DEFINITION;
    BlockNode *file = own ? block_open(vm, o->file->u.definition, error) : block_find(vm, o->file->u.reference);
    if (!file)
        return !own && error_set(error, "Cannot find device='%s' nor node-name='%s'", o->file->u.reference,
                                 o->file->u.reference);
    bool ok = block_take(file, "create", BLOCK_USE_ALL, BLOCK_USE_READ, error);
    if (ok) {
        ok = make(vm, file, o, error);
        block_release(file, "create");
        PreallocMode mode = o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF;
        Qcow2 s = {0};
        if (ok && mode != PREALLOC_MODE_OFF)
            ok = check(o, &s, error) && preallocate(vm, file, &s, mode, error);
    }
    if (own)
        block_free(file);
    return ok;
}
