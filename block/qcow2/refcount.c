/* SPDX-License-Identifier: Apache-2.0 */
/* Reference counts of host clusters: reading, raising, finding free ones, letting go. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

uint64_t refcount_max(const Qcow2 *s)
{
    return s->refcount_order == 6 ? UINT64_MAX : (1ull << (1u << s->refcount_order)) - 1;
}

/* Counts below a byte fill it from its low bits up. */
uint64_t block_count_get(const Qcow2 *s, const void *block, uint64_t i)
{
    const uint8_t *b = block;
    unsigned bits = 1u << s->refcount_order;
    switch (s->refcount_order) {
    case 3: return b[i];
    case 4: return (uint64_t)b[2 * i] << 8 | b[2 * i + 1];
    case 5: return GUINT32_FROM_BE(((const uint32_t *)block)[i]);
    case 6: return be64(((const uint64_t *)block)[i]);
    default: return b[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
    }
}

void block_count_set(const Qcow2 *s, void *block, uint64_t i, uint64_t value)
{
    uint8_t *b = block;
    unsigned bits = 1u << s->refcount_order, shift = i * bits % 8;
    switch (s->refcount_order) {
    case 3: b[i] = value; break;
    case 4: ((uint16_t *)block)[i] = GUINT16_TO_BE(value); break;
    case 5: ((uint32_t *)block)[i] = GUINT32_TO_BE(value); break;
    case 6: ((uint64_t *)block)[i] = be64(value); break;
    default:
        b[i * bits / 8] = (b[i * bits / 8] & ~(((1u << bits) - 1) << shift)) | value << shift;
        break;
    }
}

static uint64_t counts_per_slice(const Qcow2 *s) { return (uint64_t)s->slice_bytes * 8 >> s->refcount_order; }

/* The slice with a cluster's count, or NULL where there is no block: all are free there. */
static int count_slice(Qcow2 *s, uint64_t cluster, Slice **slice)
{
    uint64_t block = cluster / counts_per_block(s), in_block = cluster % counts_per_block(s);
    *slice = NULL;
    if (block >= s->reftable_size || !s->reftable[block])
        return 0;
    if (s->reftable[block] & (s->cluster - 1))
        return qcow2_damaged(s, s->reftable[block], "a block of reference counts is not aligned");
    return cache_get(s, &s->blocks, s->reftable[block] + in_block / counts_per_slice(s) * s->slice_bytes, slice);
}

int refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *count)
{
    Slice *slice;
    int err = count_slice(s, cluster, &slice);
    *count = 0;
    if (!err && slice) {
        *count = block_count_get(s, slice->data, cluster % counts_per_slice(s));
        cache_put(slice);
    }
    return err;
}

/* ---- the table of blocks ---- */

static int write_block(Qcow2 *s, uint64_t offset, uint64_t first, uint64_t ones)
{
    g_autofree uint8_t *block = g_malloc0(s->cluster);
    for (uint64_t i = 0; i < ones; i++)
        block_count_set(s, block, first + i, 1);
    cache_forget(s, &s->blocks, offset, s->cluster);
    return block_write_buf(s->node.file, offset, block, s->cluster);
}

/* A larger table, at the end of what the old one reaches, together with the blocks that count it. */
static int grow_table(Qcow2 *s, uint64_t want_block)
{
    uint64_t per = counts_per_block(s), base = (uint64_t)s->reftable_size * per, blocks = 1, n;
    uint64_t entries = MAX(want_block + 1, s->reftable_size + s->reftable_size / 2) + 1;
    for (;;) {
        n = clusters_of(s, (entries + blocks) * 8);
        uint64_t need = (n + blocks + per - 1) / per;
        if (need <= blocks)
            break;
        blocks = need;
    }
    if (n * s->cluster > MAX_REFTABLE_BYTES)
        return EFBIG;
    uint64_t size = n * s->cluster / 8, table_at = base << s->cluster_bits;
    g_autofree uint64_t *table = g_malloc0_n(size, 8), *disk = g_malloc_n(size, 8);
    memcpy(table, s->reftable, (size_t)s->reftable_size * 8);
    int err = 0;
    for (uint64_t i = 0; i < blocks && !err; i++) {
        uint64_t at = (base + n + i) << s->cluster_bits, used = n + blocks - MIN(n + blocks, i * per);
        table[s->reftable_size + i] = at;
        err = write_block(s, at, 0, MIN(used, per));
    }
    for (uint64_t i = 0; i < size; i++)
        disk[i] = be64(table[i]);
    uint64_t old = s->reftable_offset, old_clusters = s->reftable_clusters;
    uint8_t fields[12];
    *(uint64_t *)fields = be64(table_at);
    *(uint32_t *)(fields + 8) = GUINT32_TO_BE(n);
    if (err || (err = block_write_buf(s->node.file, table_at, disk, size * 8)) ||
        (err = block_flush(s->node.file)) ||
        (err = block_write_buf(s->node.file, AT_REFTABLE_OFFSET, fields, sizeof(fields))) ||
        (err = block_flush(s->node.file)))
        return err;
    g_free(s->reftable);
    s->reftable = g_steal_pointer(&table);
    s->reftable_offset = table_at;
    s->reftable_clusters = n;
    s->reftable_size = size;
    qcow2_free_later(s, old, old_clusters << s->cluster_bits);
    return 0;
}

/* A block for clusters that had none: it lies in the first of them and counts itself. */
static int make_block(Qcow2 *s, uint64_t block)
{
    int err;
    if (block >= s->reftable_size && (err = grow_table(s, block)))
        return err;
    if (s->reftable[block])
        return 0;               /* came with the new table */
    uint64_t at = block * counts_per_block(s) << s->cluster_bits, entry = be64(at);
    if (!at || qcow2_overlaps(s, at, s->cluster))
        return qcow2_damaged(s, at, "clusters in use have no block of reference counts");
    if ((err = write_block(s, at, 0, 1)) || (err = block_flush(s->node.file)) ||
        (err = block_write_buf(s->node.file, s->reftable_offset + block * 8, &entry, 8)))
        return err;
    s->reftable[block] = at;
    return 0;
}

/* ---- changing counts ---- */

int refcount_set(Qcow2 *s, uint64_t cluster, uint64_t count)
{
    Slice *slice;
    int err = count_slice(s, cluster, &slice);
    if (!err && !slice && !(err = make_block(s, cluster / counts_per_block(s))))
        err = count_slice(s, cluster, &slice);
    if (err || !slice)
        return err ? err : EIO;
    block_count_set(s, slice->data, cluster % counts_per_slice(s), count);
    cache_dirty(&s->blocks, slice);
    cache_put(slice);
    return 0;
}

int refcount_add(Qcow2 *s, uint64_t cluster, int delta)
{
    uint64_t count;
    int err = refcount_get(s, cluster, &count);
    if (err)
        return err;
    if (delta < 0 ? count < (uint64_t)-delta : count > refcount_max(s) - delta)
        return delta > 0 ? EFBIG
                         : qcow2_damaged(s, cluster << s->cluster_bits, "a reference count would fall below 0");
    return refcount_set(s, cluster, count + delta);
}

/* ---- finding room ---- */

/* Free clusters from `at` on: how many of at most `most`. Blocks are made on the way, so that what is
 * found is not taken by one. */
static int count_free(Qcow2 *s, uint64_t at, uint64_t most, uint64_t *n)
{
    for (*n = 0; *n < most; ++*n) {
        uint64_t block = (at + *n) / counts_per_block(s), count;
        int err = block < s->reftable_size && s->reftable[block] ? 0 : make_block(s, block);
        if (err || (err = refcount_get(s, at + *n, &count)))
            return *n ? 0 : err;
        if (count)
            break;
    }
    return 0;
}

enum { FAR = 1 << 20 };         /* more clusters than anybody counts without having written to them */

int qcow2_alloc(Qcow2 *s, uint64_t *n, bool exactly, uint64_t *offset)
{
    uint64_t at = s->first_free, found;
    bool first = true;
    for (;; at += MAX(found, 1)) {
        int err = count_free(s, at, *n, &found);
        if (err)
            return err;
        if (found && first) {
            s->first_free = at;
            first = false;
        }
        if (found == *n || (found && !exactly))
            break;
        if ((at + 1) >> (55 - s->cluster_bits))
            return EFBIG;
        if (at > clusters_of(s, s->node.file->size) + 2 * counts_per_block(s) + FAR)
            return qcow2_damaged(s, at << s->cluster_bits, "clusters far behind the end of the file are counted");
    }
    *n = found;
    for (uint64_t i = 0; i < found; i++) {
        int err = refcount_set(s, at + i, 1);
        if (err)
            return err;
    }
    if (s->first_free == at)
        s->first_free = at + found;
    *offset = at << s->cluster_bits;
    if (!s->no_checks && qcow2_overlaps(s, *offset, found << s->cluster_bits))
        return qcow2_damaged(s, *offset, "free clusters lie over the header or the top tables");
    return 0;
}

int qcow2_alloc_bytes(Qcow2 *s, uint64_t bytes, uint64_t *offset)
{
    uint64_t n = 1, at;
    int err;
    uint64_t left = s->pack_at ? s->cluster - (s->pack_at & (s->cluster - 1)) : 0, count;
    if (left == s->cluster)
        left = 0;
    if (left) {
        err = refcount_get(s, (s->pack_at - 1) >> s->cluster_bits, &count);
        if (err)
            return err;
        if (count == refcount_max(s) || !count)
            left = 0;
    }
    if (left < bytes) {
        if ((err = qcow2_alloc(s, &n, true, &at)))
            return err;
        bool follows = left && at == ((s->pack_at | (s->cluster - 1)) + 1);
        if (follows) {
            err = refcount_add(s, s->pack_at >> s->cluster_bits, 1);
            *offset = s->pack_at;
        } else {
            *offset = at;
        }
    } else {
        err = refcount_add(s, s->pack_at >> s->cluster_bits, 1);
        *offset = s->pack_at;
    }
    s->pack_at = *offset + bytes;
    return err;
}

/* ---- letting go ---- */

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    Freed *last = s->freed->len ? &g_array_index(s->freed, Freed, s->freed->len - 1) : NULL;
    if (last && last->offset + last->bytes == offset && !(offset & (s->cluster - 1))) {
        last->bytes += bytes;
        return;
    }
    Freed f = {offset, bytes};
    g_array_append_val(s->freed, f);
}

int qcow2_let_go(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset >> s->cluster_bits, end = clusters_of(s, offset + bytes), gone = 0;
    int result = 0;
    for (uint64_t i = first; i <= end; i++) {
        uint64_t count = 1;
        int err = i < end ? refcount_add(s, i, -1) : 0;
        if (i < end && !err)
            err = refcount_get(s, i, &count);
        if (!err && !count) {
            gone++;
            s->first_free = MIN(s->first_free, i);
            if (s->pack_at && (s->pack_at - 1) >> s->cluster_bits == i)
                s->pack_at = 0;
            continue;
        }
        if (gone) {
            uint64_t at = (i - gone) << s->cluster_bits, n = gone << s->cluster_bits;
            cache_forget(s, &s->l2, at, n);
            s->unpacked_at = 0;
            if (s->discard_down)
                block_discard(s->node.file, at, n);
        }
        gone = 0;
        result = result ? result : err;
    }
    return result;
}

static int apply(Qcow2 *s, const GArray *list)
{
    int result = 0;
    fiber_lock(&s->flow);
    fiber_lock(&s->meta);
    for (unsigned i = 0; i < list->len; i++) {
        const Freed *f = &g_array_index(list, Freed, i);
        int err = qcow2_let_go(s, f->offset, f->bytes);
        result = result ? result : err;
    }
    fiber_unlock(&s->meta);
    fiber_unlock(&s->flow);
    return result;
}

int qcow2_settle(Qcow2 *s)
{
    /* What is let go from here on may not be covered by this flush. */
    g_autoptr(GArray) list = s->freed;
    s->freed = g_array_new(false, false, sizeof(Freed));
    int err = qcow2_write_tables(s, true);
    if (err) {
        g_array_append_vals(s->freed, list->data, list->len);
        return err;
    }
    return list->len ? apply(s, list) : 0;
}
