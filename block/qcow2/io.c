/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing, discarding: see qcow2.h for the order of things. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

static uint64_t unit(const Qcow2 *s) { return 1ull << s->sub_bits; }
static uint64_t in_cluster(const Qcow2 *s, uint64_t offset) { return offset & (s->cluster - 1); }

/* ---- reading ---- */

static int read_below(Qcow2 *s, const BlockIo *io)
{
    BlockNode *below = s->node.backing;
    if (!below || io->offset >= below->size) {
        block_io_fill(io, 0);
        return 0;
    }
    if (io->bytes <= below->size - io->offset)
        return block_read(below, io);
    g_autofree struct iovec *iov = g_new(struct iovec, io->n_iov);
    BlockIo part;
    uint64_t there = below->size - io->offset;
    block_io_part(io, there, io->bytes - there, iov, &part);
    block_io_fill(&part, 0);
    block_io_part(io, 0, there, iov, &part);
    return block_read(below, &part);
}

static int read_compressed(Qcow2 *s, uint64_t entry, const BlockIo *io)
{
    if (s->unpacked_at != entry || !s->unpacked) {
        g_autofree uint8_t *out = g_malloc(s->cluster);
        int err = qcow2_unpack(s, entry, out);
        if (err)
            return err;
        g_free(s->unpacked);
        s->unpacked = g_steal_pointer(&out);
        s->unpacked_at = entry;
    }
    block_io_copy(io, s->unpacked + in_cluster(s, io->offset), true);
    return 0;
}

static int read_run(Qcow2 *s, const Run *run, const BlockIo *io)
{
    BlockIo at = *io;
    switch (run->kind) {
    case RUN_DATA:
        at.offset = run->host;
        return block_read(s->node.file, &at);
    case RUN_COMPRESSED: return read_compressed(s, run->host, io);
    case RUN_UNALLOCATED: return read_below(s, io);
    default: break;
    }
    block_io_fill(io, 0);
    return 0;
}

static int read_all(Qcow2 *s, const BlockIo *io)
{
    Run run;
    g_autofree struct iovec *iov = NULL;
    for (uint64_t done = 0; done < io->bytes; done += run.bytes) {
        int err = qcow2_lookup(s, io->offset + done, io->bytes - done, &run);
        if (err)
            return err;
        BlockIo part = *io;
        if (run.bytes < io->bytes) {
            iov = iov ? iov : g_new(struct iovec, io->n_iov);
            block_io_part(io, done, run.bytes, iov, &part);
        }
        if ((err = read_run(s, &run, &part)))
            return err;
    }
    return 0;
}

int qcow2_read(BlockNode *n, const BlockIo *io)
{
    Qcow2 *s = (Qcow2 *)n;
    fiber_lock_shared(&s->flow);
    int err = read_all(s, io);
    fiber_unlock_shared(&s->flow);
    return err;
}

/* ---- writing to clusters that have no place of their own ---- */

static Allocation *find_overlap(const Qcow2 *s, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < s->allocations->len; i++) {
        Allocation *a = s->allocations->pdata[i];
        if (a->start < end && start < a->end)
            return a;
    }
    return NULL;
}

/* If others are giving these clusters a place: gives meta back and waits until one of them is done. */
static bool wait_for_others(Qcow2 *s, uint64_t start, uint64_t end)
{
    if (!find_overlap(s, start, end))
        return false;
    fiber_unlock(&s->meta);
    /* That lets others run, to their end perhaps. */
    Allocation *other = find_overlap(s, start, end);
    if (other)
        fiber_queue_wait(&other->waiting);
    return true;
}

/* The part of a write that one step does: clusters next to each other that are treated alike. */
typedef struct Step {
    uint64_t start, end;        /* guest bytes that are written */
    uint64_t first, last;       /* guest bytes of whole clusters around */
    uint64_t host;              /* where `first` goes */
    bool fresh;                 /* the place is new, and reads as zeroes */
    bool is_new;                /* the place is new: old ones are let go */
    bool whole;                 /* with subclusters: all of the cluster is copied */
    bool no_head, no_tail;      /* that subcluster has data already, which others may write meanwhile */
} Step;

/* Where a cluster's data may go without a new place, or 0. */
static uint64_t own_place(const Qcow2 *s, Entry e)
{
    bool plain = !(e.word & COMPRESSED) && e.word & COPIED;
    return plain ? e.word & OFFSET_MASK : 0;
}

static bool is_written_in_place(const Qcow2 *s, Entry e, uint64_t from, uint64_t to)
{
    if (!own_place(s, e))
        return false;
    if (s->entry_words == 1)
        return !(s->version >= 3 && e.word & ZERO);
    for (uint64_t at = from & ~(unit(s) - 1); at < to; at += unit(s))
        if (!(e.bitmap >> (at >> s->sub_bits) & 1))
            return false;
    return true;
}

/* meta is held: chooses how many clusters this step takes and where they go. */
static int plan(Qcow2 *s, uint64_t offset, uint64_t bytes, Step *p)
{
    Slice *slice;
    unsigned i;
    int err = qcow2_entry_slice(s, offset, &slice, &i);
    if (err)
        return err;
    uint64_t end = offset + bytes, n = 0, limit = s->slice_bytes / (8 * s->entry_words) - i;
    Entry e = entry_get(s, slice, i);
    *p = (Step){.start = offset, .first = offset & ~(s->cluster - 1), .host = own_place(s, e)};
    p->is_new = !p->host;
    bool old_data = p->is_new && e.word & OFFSET_MASK && !(e.word & COMPRESSED);
    p->whole = p->is_new && (e.word & COMPRESSED || old_data);
    p->no_head = p->host && s->entry_words == 2 && e.bitmap >> (in_cluster(s, offset) >> s->sub_bits) & 1;
    for (uint64_t at = p->first; at < end && n < limit; at += s->cluster, n++) {
        e = entry_get(s, slice, i + n);
        uint64_t from = MAX(at, offset) - at, to = MIN(at + s->cluster, end) - at, place = own_place(s, e);
        bool whole = !place && (e.word & COMPRESSED || e.word & OFFSET_MASK);
        if (n && (p->is_new ? place != 0 || whole != p->whole : place != p->host + (n << s->cluster_bits)))
            break;
        if (n && is_written_in_place(s, e, from, to))
            break;
        if (n && find_overlap(s, at, at + s->cluster))
            break;
    }
    p->last = p->first + (n << s->cluster_bits);
    p->end = MIN(end, p->last);
    if (!p->is_new && s->entry_words == 2) {
        e = entry_get(s, slice, i + n - 1);
        p->no_tail = e.bitmap >> (in_cluster(s, p->end - 1) >> s->sub_bits) & 1;
    }
    cache_put(slice);
    if (p->is_new) {
        uint64_t size = s->node.file->size;
        if ((err = qcow2_alloc(s, &n, false, &p->host)))
            return err;
        p->fresh = p->host >= size;
    }
    p->last = p->first + (n << s->cluster_bits);
    p->end = MIN(end, p->last);
    return 0;
}

/* What stood beside the written bytes, as far as the unit reaches. */
static int copy_old(Qcow2 *s, uint64_t from, uint64_t to, void *buf)
{
    struct iovec iov = {buf, to - from};
    BlockIo io = {.offset = from, .bytes = to - from, .iov = &iov, .n_iov = 1};
    uint64_t inside = from < s->node.size ? MIN(to, s->node.size) - from : 0;
    memset((char *)buf + inside, 0, to - from - inside);
    io.bytes = iov.iov_len = inside;
    return inside ? read_all(s, &io) : 0;
}

static bool is_zero_buffer(const char *p, uint64_t n) { return !n || (!p[0] && !memcmp(p, p + 1, n - 1)); }

/* Writes data and edges as one request. */
static int write_step(Qcow2 *s, const Step *p, const BlockIo *data)
{
    uint64_t grain = p->whole ? s->cluster : unit(s);
    uint64_t from = p->start & ~(grain - 1), to = (p->end + grain - 1) & ~(grain - 1);
    from = p->no_head ? p->start : from;
    to = p->no_tail ? p->end : to;
    uint64_t head = p->start - from, tail = to - p->end;
    g_autofree char *edges = g_malloc(head + tail + 1);
    int err = 0;
    if (head)
        err = copy_old(s, from, p->start, edges);
    if (!err && tail)
        err = copy_old(s, p->end, to, edges + head);
    if (err)
        return err;
    /* New room at the end of the file is zero already. */
    bool skip_head = p->fresh && is_zero_buffer(edges, head), skip_tail = p->fresh && is_zero_buffer(edges + head, tail);
    g_autofree struct iovec *iov = g_new(struct iovec, data->n_iov + 2);
    unsigned n = 0;
    if (head && !skip_head)
        iov[n++] = (struct iovec){edges, head};
    memcpy(iov + n, data->iov, data->n_iov * sizeof(*iov));
    n += data->n_iov;
    if (tail && !skip_tail)
        iov[n++] = (struct iovec){edges + head, tail};
    uint64_t start = skip_head ? p->start : from, end = skip_tail ? p->end : to;
    BlockIo out = {.offset = p->host + (start - p->first), .bytes = end - start, .iov = iov, .n_iov = n};
    if (qcow2_overlaps(s, out.offset, out.bytes))
        return qcow2_damaged(s, out.offset, "a data cluster lies over the header or the top tables");
    return block_write(s->node.file, &out);
}

/* Bits of the subclusters that [from, to) of a cluster touches. */
static uint64_t sub_mask(const Qcow2 *s, uint64_t from, uint64_t to)
{
    uint64_t a = from >> s->sub_bits, b = (to + unit(s) - 1) >> s->sub_bits;
    return ((1ull << b) - 1) & ~((1ull << a) - 1);
}

/* meta is held: the table learns where the data is. */
static int link_step(Qcow2 *s, const Step *p)
{
    for (uint64_t at = p->first; at < p->last; at += s->cluster) {
        Slice *slice;
        unsigned i;
        int err = qcow2_entry_slice(s, at, &slice, &i);
        if (err)
            return err;
        Entry old = entry_get(s, slice, i), e = {.word = (p->host + (at - p->first)) | COPIED};
        if (s->entry_words == 2) {
            uint64_t mask = p->whole ? ALL_ALLOCATED
                                     : sub_mask(s, MAX(at, p->start) - at, MIN(at + s->cluster, p->end) - at);
            uint64_t before = old.word & COMPRESSED ? 0 : old.bitmap;
            e.bitmap = (before & ~(mask << 32)) | mask;
        }
        entry_set(s, slice, i, e);
        cache_put(slice);
        if (p->is_new)
            qcow2_free_entry(s, old.word);
    }
    return 0;
}

static void end_allocation(Qcow2 *s, Allocation *a)
{
    g_ptr_array_remove_fast(s->allocations, a);
    fiber_queue_wake(&a->waiting);
}

/* An image that is written to is marked until it is closed, if its counts may lag behind. Ours never
 * do; but who opens it must not find features that claim to know the content. */
int qcow2_begin_writing(Qcow2 *s)
{
    if (s->damaged)
        return EIO;
    if (!s->autoclear)
        return 0;
    s->autoclear = 0;
    return qcow2_put64(s, AT_AUTOCLEAR, 0);
}

/* One step of a write that needs room or a change of tables; *done: bytes, 0: look again. */
static int write_new(Qcow2 *s, const BlockIo *io, uint64_t skip, uint64_t *done, struct iovec *iov)
{
    uint64_t offset = io->offset + skip, first = offset & ~(s->cluster - 1);
    Step step;
    *done = 0;
    int err = qcow2_begin_writing(s);
    if (err)
        return err;
    fiber_lock(&s->meta);
    if (wait_for_others(s, first, first + s->cluster))
        return 0;
    /* Somebody may have given it a place while we waited for the lock. */
    Run run;
    if ((err = qcow2_lookup(s, offset, 1, &run)) || (run.kind == RUN_DATA && run.copied)) {
        fiber_unlock(&s->meta);
        return err;
    }
    err = plan(s, offset, io->bytes - skip, &step);
    if (err) {
        fiber_unlock(&s->meta);
        return err;
    }
    Allocation mine = {.start = step.first, .end = step.last};
    g_ptr_array_add(s->allocations, &mine);
    fiber_unlock(&s->meta);

    BlockIo part;
    block_io_part(io, skip, step.end - step.start, iov, &part);
    err = write_step(s, &step, &part);

    fiber_lock(&s->meta);
    if (!err)
        err = link_step(s, &step);
    else if (step.is_new)
        qcow2_free_later(s, step.host, step.last - step.first);
    fiber_unlock(&s->meta);
    end_allocation(s, &mine);
    *done = step.end - step.start;
    return err;
}

static int write_all(Qcow2 *s, const BlockIo *io)
{
    g_autofree struct iovec *iov = NULL;
    uint64_t n = 0;
    for (uint64_t done = 0; done < io->bytes; done += n) {
        Run run;
        int err = qcow2_lookup(s, io->offset + done, io->bytes - done, &run);
        if (err)
            return err;
        bool in_place = run.kind == RUN_DATA && run.copied;
        if (!in_place || run.bytes < io->bytes)
            iov = iov ? iov : g_new(struct iovec, io->n_iov);
        if (!in_place) {
            err = write_new(s, io, done, &n, iov);
        } else if (s->damaged || qcow2_overlaps(s, run.host, run.bytes)) {
            err = qcow2_damaged(s, run.host, "a data cluster lies over the header or the top tables");
        } else {
            BlockIo part = *io;
            n = run.bytes;
            if (n < io->bytes)
                block_io_part(io, done, n, iov, &part);
            part.offset = run.host;
            part.flags &= ~BLOCK_FUA;
            err = s->autoclear ? qcow2_begin_writing(s) : 0;
            if (!err)
                err = block_write(s->node.file, &part);
        }
        if (err)
            return err;
    }
    return 0;
}

enum { MANY_FREED = 4096 };

/* What was let go is not to pile up if nobody flushes. */
static int tidy(Qcow2 *s, int err) { return err || s->freed->len < MANY_FREED ? err : qcow2_settle(s); }

int qcow2_write(BlockNode *n, const BlockIo *io)
{
    Qcow2 *s = (Qcow2 *)n;
    fiber_lock_shared(&s->flow);
    int err = write_all(s, io);
    fiber_unlock_shared(&s->flow);
    return tidy(s, err);
}

int qcow2_flush(BlockNode *n) { return qcow2_settle((Qcow2 *)n); }

/* ---- whole clusters without data ---- */

/* meta is held: one cluster's entry for "reads as zeroes" or "nothing here". */
static void clear_entry(Qcow2 *s, Slice *slice, unsigned i, bool zeroes, bool keep_place)
{
    Entry old = entry_get(s, slice, i), e = {0};
    bool keep = keep_place && own_place(s, old);
    if (!old.word && !old.bitmap && !s->node.backing)
        return;
    if (zeroes && s->entry_words == 1)
        e.word = ZERO;
    if (zeroes && s->entry_words == 2)
        e.bitmap = ALL_ZERO;
    if (keep)
        e.word |= old.word & (OFFSET_MASK | COPIED);
    if (e.word == old.word && e.bitmap == old.bitmap)
        return;
    entry_set(s, slice, i, e);
    if (!keep)
        qcow2_free_entry(s, old.word);
}

static int clear_clusters(Qcow2 *s, uint64_t offset, uint64_t end, bool zeroes, bool keep)
{
    int err = qcow2_begin_writing(s);
    for (; !err && offset < end; offset += s->cluster) {
        fiber_lock(&s->meta);
        if (wait_for_others(s, offset, offset + s->cluster)) {
            offset -= s->cluster;
            continue;
        }
        /* Where there is no table, there is nothing to clear. */
        uint64_t l1_index = offset / l2_reach(s);
        if ((!zeroes || !s->node.backing) && !(s->l1[l1_index] & OFFSET_MASK)) {
            fiber_unlock(&s->meta);
            offset = MIN(end, (l1_index + 1) * l2_reach(s)) - s->cluster;
            continue;
        }
        Slice *slice;
        unsigned i;
        err = qcow2_entry_slice(s, offset, &slice, &i);
        if (!err) {
            clear_entry(s, slice, i, zeroes, keep);
            cache_put(slice);
        }
        fiber_unlock(&s->meta);
    }
    return err;
}

/* Whole clusters of a range; the end of the disk counts as one. */
static void whole_clusters(const Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *from, uint64_t *to)
{
    uint64_t end = offset + bytes;
    *from = (offset + s->cluster - 1) & ~(s->cluster - 1);
    *to = end == s->node.size ? (end + s->cluster - 1) & ~(s->cluster - 1) : end & ~(s->cluster - 1);
}

int qcow2_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    Qcow2 *s = (Qcow2 *)n;
    uint64_t from, to;
    whole_clusters(s, offset, bytes, &from, &to);
    if (from >= to || (n->backing && s->version < 3))
        return 0;               /* in version 2 what is below would come back */
    fiber_lock_shared(&s->flow);
    int err = clear_clusters(s, from, to, n->backing != NULL, false);
    fiber_unlock_shared(&s->flow);
    return tidy(s, err);
}

/* Zeroes within one cluster: nothing to do where they are, data otherwise. */
static int zero_part(Qcow2 *s, uint64_t offset, uint64_t end)
{
    while (offset < end) {
        Run run;
        int err = qcow2_lookup(s, offset, end - offset, &run);
        if (err)
            return err;
        bool zero = run.kind == RUN_ZERO ||
                    (run.kind == RUN_UNALLOCATED && (!s->node.backing || offset >= s->node.backing->size));
        if (!zero) {
            g_autofree char *zeroes = g_malloc0(run.bytes);
            struct iovec iov = {zeroes, run.bytes};
            BlockIo io = {.offset = offset, .bytes = run.bytes, .iov = &iov, .n_iov = 1};
            if ((err = write_all(s, &io)))
                return err;
        }
        offset += run.bytes;
    }
    return 0;
}

int qcow2_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Qcow2 *s = (Qcow2 *)n;
    uint64_t from, to, end = offset + bytes;
    bool unmap = flags & BLOCK_MAY_UNMAP;
    whole_clusters(s, offset, bytes, &from, &to);
    if (s->version < 3 && (n->backing || !unmap))
        return ENOTSUP;
    fiber_lock_shared(&s->flow);
    int err;
    if (from >= to) {
        err = zero_part(s, offset, end);
    } else {
        err = offset < from ? zero_part(s, offset, from) : 0;
        err = err ? err : clear_clusters(s, from, to, s->version >= 3, !unmap);
        err = err || end <= to ? err : zero_part(s, to, end);
    }
    fiber_unlock_shared(&s->flow);
    return tidy(s, err);
}

/* ---- compressed, for converting ---- */

int qcow2_write_compressed(BlockNode *n, const BlockIo *io)
{
    Qcow2 *s = (Qcow2 *)n;
    if (in_cluster(s, io->offset) || io->bytes > s->cluster)
        return EINVAL;
    g_autofree uint8_t *in = g_malloc0(s->cluster), *out = g_malloc(s->cluster);
    block_io_copy(io, in, false);
    size_t size = qcow2_pack(s, in, out, s->cluster);
    if (!size)
        return qcow2_write(n, io);
    uint64_t at;
    Slice *slice;
    unsigned i;
    fiber_lock_shared(&s->flow);
    int err = qcow2_begin_writing(s);
    fiber_lock(&s->meta);
    err = err ? err : qcow2_alloc_bytes(s, size, &at);
    err = err ? err : block_write_buf(n->file, at, out, size);
    err = err ? err : qcow2_entry_slice(s, io->offset, &slice, &i);
    if (!err) {
        Entry old = entry_get(s, slice, i);
        uint64_t sectors = (at + size - 1) / SECTOR - at / SECTOR;
        Entry e = {.word = COMPRESSED | at | sectors << (62 - (s->cluster_bits - 8))};
        entry_set(s, slice, i, e);
        cache_put(slice);
        qcow2_free_entry(s, old.word);
    }
    fiber_unlock(&s->meta);
    fiber_unlock_shared(&s->flow);
    return tidy(s, err);
}

/* ---- facts ---- */

int qcow2_map(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    Run run;
    int err = qcow2_lookup((Qcow2 *)n, offset, bytes, &run);
    static const unsigned flags[] = {
        [RUN_ZERO] = EXTENT_ALLOCATED | EXTENT_ZERO,
        [RUN_DATA] = EXTENT_ALLOCATED | EXTENT_DATA | EXTENT_AT,
        [RUN_COMPRESSED] = EXTENT_ALLOCATED | EXTENT_DATA | EXTENT_COMPRESSED,
    };
    if (err)
        return err;
    e->flags = flags[run.kind];
    e->bytes = run.bytes;
    if (run.kind == RUN_DATA)
        e->at = run.host;
    if (run.kind == RUN_ZERO && run.host) {
        e->flags |= EXTENT_AT;
        e->at = run.host;
    }
    return 0;
}

int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to)
{
    uint64_t highest = 0;
    int err = 0;
    for (uint64_t at = from & ~(s->cluster - 1); !err && at < to;) {
        Run run;
        err = qcow2_lookup(s, at, to - at, &run);
        if (err || run.kind != RUN_UNALLOCATED || run.host) {
            at += run.bytes;
            continue;
        }
        Step step;
        err = plan(s, at, run.bytes, &step);
        if (err)
            break;
        step.whole = true;
        if (!step.fresh && !s->all_zero)
            err = block_write_zeroes(s->node.file, step.host, step.last - step.first, 0);
        err = err ? err : link_step(s, &step);
        highest = MAX(highest, step.host + (step.last - step.first));
        at = step.end;
    }
    /* The file reaches to the end of the last cluster. */
    BlockNode *file = s->node.file;
    if (!err && highest > file->size)
        err = file->driver->resize && file->driver->resize(file, highest, PREALLOC_MODE_OFF, NULL)
              ? 0 : block_write_buf(file, highest - 1, "", 1);
    return err;
}
