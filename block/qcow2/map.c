/* SPDX-License-Identifier: Apache-2.0 */
/* From guest offsets to places in the file. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"
#include "qapi/qapi-events.h"
#include "util/log.h"

/* ---- what must not be ---- */

/* Tells clients, marks the image, and ends writing. Returns EIO. */
int qcow2_damaged(Qcow2 *s, uint64_t offset, const char *what)
{
    BlockNode *n = &s->node;
    if (s->damaged)
        return EIO;
    s->damaged = true;
    log_write("qcow2: %s: image is corrupt at offset 0x%" G_GINT64_MODIFIER "x: %s\n", block_filename(n), offset, what);
    if (s->version >= 3 && !n->read_only && !(s->incompatible & INCOMPAT_CORRUPT)) {
        s->incompatible |= INCOMPAT_CORRUPT;
        qcow2_put64(s, AT_INCOMPATIBLE, s->incompatible);
    }
    qapi_event_block_image_corrupted(n->vm, "", *n->name == '#' ? NULL : n->name, what, true, (int64_t)offset, false, 0,
                                     !n->read_only);
    return EIO;
}

static bool overlap(uint64_t a, uint64_t na, uint64_t b, uint64_t nb) { return a < b + nb && b < a + na; }

bool qcow2_overlaps(const Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    return !s->no_checks &&
           (offset < s->cluster || overlap(offset, bytes, s->l1_offset, (uint64_t)s->l1_size * 8) ||
            overlap(offset, bytes, s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits) ||
            (s->snapshots_bytes && overlap(offset, bytes, s->snapshots_offset, s->snapshots_bytes)));
}

/* ---- entries ---- */

Entry entry_get(const Qcow2 *s, const Slice *slice, unsigned i)
{
    Entry e = {.word = be64(slice->data[i * s->entry_words])};
    if (s->entry_words == 2)
        e.bitmap = be64(slice->data[2 * i + 1]);
    return e;
}

void entry_set(Qcow2 *s, Slice *slice, unsigned i, Entry e)
{
    slice->data[i * s->entry_words] = be64(e.word);
    if (s->entry_words == 2)
        slice->data[2 * i + 1] = be64(e.bitmap);
    cache_dirty(&s->l2, slice);
}

void qcow2_compressed_range(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *bytes)
{
    unsigned shift = 62 - (s->cluster_bits - 8);
    *offset = entry & ((1ull << shift) - 1);
    uint64_t sectors = (entry >> shift & ((1ull << (s->cluster_bits - 8)) - 1)) + 1;
    *bytes = sectors * SECTOR - (*offset & (SECTOR - 1));
}

void qcow2_free_entry(Qcow2 *s, uint64_t entry)
{
    uint64_t offset, bytes;
    if (entry & COMPRESSED) {
        qcow2_compressed_range(s, entry, &offset, &bytes);
        qcow2_free_later(s, offset, bytes);
    } else if (entry & OFFSET_MASK) {
        qcow2_free_later(s, entry & OFFSET_MASK, s->cluster);
    }
}

/* ---- looking up ---- */

static unsigned entries_per_slice(const Qcow2 *s) { return s->slice_bytes / (8 * s->entry_words); }

/* The kind of one subcluster (or cluster without any). */
static RunKind kind_of(const Qcow2 *s, Entry e, unsigned sub)
{
    if (e.word & COMPRESSED)
        return RUN_COMPRESSED;
    if (s->entry_words == 2)
        return e.bitmap >> (32 + sub) & 1 ? RUN_ZERO : e.bitmap >> sub & 1 ? RUN_DATA : RUN_UNALLOCATED;
    if (s->version >= 3 && e.word & ZERO)
        return RUN_ZERO;
    return e.word & OFFSET_MASK ? RUN_DATA : RUN_UNALLOCATED;
}

static const char *wrong(const Qcow2 *s, Entry e)
{
    if (e.word & COMPRESSED)
        return s->entry_words == 2 && e.bitmap ? "a compressed cluster has a subcluster bitmap" : NULL;
    if (e.word & OFFSET_MASK & (s->cluster - 1))
        return "a data cluster is not aligned";
    if (s->entry_words == 2 && (uint32_t)e.bitmap & (uint32_t)(e.bitmap >> 32))
        return "a subcluster is both allocated and zero";
    if (s->entry_words == 2 && (uint32_t)e.bitmap && !(e.word & OFFSET_MASK))
        return "an allocated subcluster has no place";
    return NULL;
}

/* Subclusters beginning with the one at `offset`, as long as they continue the run. */
static uint64_t extend(const Qcow2 *s, const Slice *slice, unsigned i, uint64_t offset, uint64_t bytes,
                       const Run *run)
{
    uint64_t unit = 1ull << s->sub_bits, first = entry_get(s, slice, i).word;
    unsigned sub = (offset & (s->cluster - 1)) >> s->sub_bits;
    uint64_t end = unit - (offset & (unit - 1));
    for (sub++; end < bytes; sub++) {
        if (sub == s->subclusters) {
            sub = 0;
            if (++i == entries_per_slice(s))
                break;
        }
        Entry e = entry_get(s, slice, i);
        uint64_t place = e.word & OFFSET_MASK;
        if (kind_of(s, e, sub) != run->kind || run->kind == RUN_COMPRESSED || wrong(s, e))
            break;
        if (run->kind == RUN_DATA && ((e.word ^ first) & COPIED ||
                                      place + ((uint64_t)sub << s->sub_bits) != run->host + end))
            break;
        if (run->kind == RUN_ZERO && !!place != !!run->host)
            break;
        end += unit;
    }
    return MIN(end, bytes);
}

int qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Run *run)
{
    uint64_t l1_index = offset / l2_reach(s), in_table = offset % l2_reach(s) >> s->cluster_bits;
    *run = (Run){.kind = RUN_UNALLOCATED, .bytes = MIN(bytes, l2_reach(s) - offset % l2_reach(s))};
    uint64_t table = l1_index < s->l1_size ? s->l1[l1_index] & OFFSET_MASK : 0;
    if (!table)
        return 0;
    if (table & (s->cluster - 1))
        return qcow2_damaged(s, table, "a mapping table is not aligned");
    Slice *slice;
    unsigned i = in_table % entries_per_slice(s);
    int err = cache_get(s, &s->l2, table + in_table / entries_per_slice(s) * s->slice_bytes, &slice);
    if (err)
        return err;
    Entry e = entry_get(s, slice, i);
    const char *what = wrong(s, e);
    if (what) {
        cache_put(slice);
        return qcow2_damaged(s, e.word & OFFSET_MASK, what);
    }
    run->kind = kind_of(s, e, (offset & (s->cluster - 1)) >> s->sub_bits);
    run->copied = e.word & COPIED && s->l1[l1_index] & COPIED;
    if (run->kind == RUN_COMPRESSED) {
        run->host = e.word;
        run->bytes = MIN(bytes, s->cluster - (offset & (s->cluster - 1)));
    } else {
        uint64_t place = e.word & OFFSET_MASK;
        run->host = place ? place + (offset & (s->cluster - 1)) : 0;
        run->bytes = extend(s, slice, i, offset, bytes, run);
    }
    cache_put(slice);
    return 0;
}

/* ---- for changing ---- */

static void l1_set(Qcow2 *s, uint64_t index, uint64_t value)
{
    s->l1[index] = value;
    s->n_l1_dirty += !s->l1_dirty[index / 64];
    s->l1_dirty[index / 64] = 1;
}

/* A table of our own: a new one, or a copy of one that a snapshot has, too. */
static int own_table(Qcow2 *s, uint64_t index)
{
    uint64_t old = s->l1[index] & OFFSET_MASK, n = 1, at;
    int err = qcow2_alloc(s, &n, true, &at);
    if (err)
        return err;
    g_autofree uint8_t *table = g_malloc0(s->cluster);
    if (old && (err = block_read_buf(s->node.file, old, table, s->cluster)))
        return err;
    cache_forget(s, &s->l2, at, s->cluster);
    if ((err = block_write_buf(s->node.file, at, table, s->cluster)))
        return err;
    if (old)
        qcow2_free_later(s, old, s->cluster);
    l1_set(s, index, at | COPIED);
    return 0;
}

int qcow2_entry_slice(Qcow2 *s, uint64_t offset, Slice **slice, unsigned *index)
{
    uint64_t l1_index = offset / l2_reach(s), in_table = offset % l2_reach(s) >> s->cluster_bits;
    if (l1_index >= s->l1_size)
        return EIO;
    if (s->l1[l1_index] & OFFSET_MASK & (s->cluster - 1))
        return qcow2_damaged(s, s->l1[l1_index], "a mapping table is not aligned");
    int err = s->l1[l1_index] & OFFSET_MASK && s->l1[l1_index] & COPIED ? 0 : own_table(s, l1_index);
    if (err)
        return err;
    *index = in_table % entries_per_slice(s);
    return cache_get(s, &s->l2, (s->l1[l1_index] & OFFSET_MASK) + in_table / entries_per_slice(s) * s->slice_bytes,
                     slice);
}
