/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of an image in memory, in slices, and writing them back in order. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

void cache_init(TableCache *c, uint64_t bytes, unsigned slice_bytes)
{
    c->by_offset = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    c->max = MAX(bytes / slice_bytes, 4);
}

void cache_finish(TableCache *c)
{
    g_clear_pointer(&c->by_offset, g_hash_table_unref);
}

static void unlink_slice(TableCache *c, Slice *p)
{
    *(p->newer ? &p->newer->older : &c->newest) = p->older;
    *(p->older ? &p->older->newer : &c->oldest) = p->newer;
    p->newer = p->older = NULL;
}

static void link_newest(TableCache *c, Slice *p)
{
    p->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = p;
    c->newest = p;
}

static void drop(TableCache *c, Slice *p)
{
    unlink_slice(c, p);
    c->dirty -= p->dirty;
    c->n--;
    g_hash_table_remove(c->by_offset, &p->offset);
}

/* Room for one more. If all that could go is changed, it is written first. */
static int make_room(Qcow2 *s, TableCache *c)
{
    for (int tries = 0; c->n >= c->max && tries < 2; tries++) {
        for (Slice *p = c->oldest; p; p = p->newer)
            if (!p->pins && !p->dirty) {
                drop(c, p);
                return 0;
            }
        int err = c->dirty && !tries ? qcow2_write_tables(s, false) : 0;
        if (err)
            return err;
    }
    return 0;                   /* all pinned: a little more for a while */
}

static Slice *add(Qcow2 *s, TableCache *c, uint64_t offset)
{
    Slice *p = g_malloc0(sizeof(Slice) + s->slice_bytes);
    p->offset = offset;
    p->pins = 1;
    g_hash_table_insert(c->by_offset, &p->offset, p);
    link_newest(c, p);
    c->n++;
    return p;
}

int cache_get(Qcow2 *s, TableCache *c, uint64_t offset, Slice **slice)
{
    Slice *p = g_hash_table_lookup(c->by_offset, &offset);
    if (!p) {
        int err = make_room(s, c);
        if (err)
            return err;
        p = g_hash_table_lookup(c->by_offset, &offset);     /* making room may have waited */
    }
    if (p) {
        p->pins++;
        if (c->newest != p) {
            unlink_slice(c, p);
            link_newest(c, p);
        }
        while (p->loading)
            fiber_queue_wait(&p->waiting);
    } else {
        p = add(s, c, offset);
        p->loading = true;
        p->error = block_read_buf(s->node.file, offset, p->data, s->slice_bytes);
        p->loading = false;
        fiber_queue_wake(&p->waiting);
    }
    if (!p->error) {
        *slice = p;
        return 0;
    }
    int err = p->error;
    if (--p->pins == 0)
        drop(c, p);
    return err;
}

Slice *cache_fresh(Qcow2 *s, TableCache *c, uint64_t offset)
{
    Slice *p = g_hash_table_lookup(c->by_offset, &offset);
    if (p) {
        p->pins++;
        memset(p->data, 0, s->slice_bytes);
        return p;
    }
    return add(s, c, offset);
}

void cache_put(Slice *p)
{
    if (p)
        p->pins--;
}

void cache_dirty(TableCache *c, Slice *p)
{
    c->dirty += !p->dirty;
    p->dirty = true;
}

void cache_forget(Qcow2 *s, TableCache *c, uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = offset; at < offset + bytes; at += s->slice_bytes) {
        Slice *p = g_hash_table_lookup(c->by_offset, &at);
        if (p && !p->pins)
            drop(c, p);
        else if (p && p->dirty) {
            p->dirty = false;
            c->dirty--;
        }
    }
}

/* ---- writing back ---- */

/* A changed slice and what it held when the flush began. */
typedef struct Copy {
    Slice *slice;
    void *data;
} Copy;

static GArray *copy_dirty(Qcow2 *s, TableCache *c)
{
    GArray *list = g_array_new(false, false, sizeof(Copy));
    for (Slice *p = c->oldest; c->dirty && p; p = p->newer)
        if (p->dirty) {
            Copy k = {p, g_memdup2(p->data, s->slice_bytes)};
            p->pins++;
            p->dirty = false;
            c->dirty--;
            g_array_append_val(list, k);
        }
    return list;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const Copy *)a)->slice->offset, y = ((const Copy *)b)->slice->offset;
    return x < y ? -1 : x > y;
}

/* Neighbours go out in one request. */
static int write_copies(Qcow2 *s, TableCache *c, GArray *list)
{
    enum { MOST = 64 };
    int err = 0;
    g_array_sort(list, by_offset);
    for (unsigned i = 0, n; i < list->len; i += n) {
        Copy *k = &g_array_index(list, Copy, i);
        struct iovec iov[MOST];
        for (n = 0; n < MOST && i + n < list->len &&
                    k[n].slice->offset == k->slice->offset + (uint64_t)n * s->slice_bytes; n++)
            iov[n] = (struct iovec){k[n].data, s->slice_bytes};
        BlockIo io = {.offset = k->slice->offset, .bytes = (uint64_t)n * s->slice_bytes, .iov = iov, .n_iov = n};
        if (!err && qcow2_overlaps(s, io.offset, io.bytes))
            err = qcow2_damaged(s, io.offset, "a table lies over the header or the top tables");
        if (!err)
            err = block_write(s->node.file, &io);
        for (unsigned j = 0; j < n; j++) {
            if (err)
                cache_dirty(c, k[j].slice);
            cache_put(k[j].slice);
            g_free(k[j].data);
        }
    }
    g_array_unref(list);
    return err;
}

/* Sectors of the top table, as they were when the flush began. */
static int write_l1(Qcow2 *s, const uint8_t *dirty, const uint64_t *l1)
{
    enum { PER_SECTOR = SECTOR / 8 };
    for (uint32_t i = 0; i * PER_SECTOR < s->l1_size; i++) {
        uint64_t sector[PER_SECTOR];
        unsigned n = MIN(s->l1_size - i * PER_SECTOR, PER_SECTOR);
        if (!dirty[i])
            continue;
        for (unsigned k = 0; k < n; k++)
            sector[k] = be64(l1[i * PER_SECTOR + k]);
        int err = block_write_buf(s->node.file, s->l1_offset + (uint64_t)i * SECTOR, sector, n * 8);
        if (err)
            return err;
    }
    return 0;
}

static int write_locked(Qcow2 *s, bool sync)
{
    BlockNode *file = s->node.file;
    if (!s->l2.dirty && !s->blocks.dirty && !s->n_l1_dirty)
        return sync ? block_flush(file) : 0;
    g_autofree uint64_t *l1 = NULL;
    g_autofree uint8_t *l1_dirty = NULL;
    uint32_t sectors = (s->l1_size + 63) / 64;
    if (s->n_l1_dirty) {
        l1 = g_memdup2(s->l1, (size_t)s->l1_size * 8);
        l1_dirty = g_memdup2(s->l1_dirty, sectors);
        memset(s->l1_dirty, 0, sectors);
        s->n_l1_dirty = 0;
    }
    GArray *l2 = copy_dirty(s, &s->l2);
    bool counts = s->blocks.dirty;
    int err = write_copies(s, &s->blocks, copy_dirty(s, &s->blocks));
    if (!err && counts && (l2->len || l1))
        err = block_flush(file);
    if (err) {
        for (unsigned i = 0; i < l2->len; i++) {
            Copy *k = &g_array_index(l2, Copy, i);
            cache_dirty(&s->l2, k->slice);
            cache_put(k->slice);
            g_free(k->data);
        }
        g_array_unref(l2);
    } else {
        err = write_copies(s, &s->l2, l2);
    }
    if (!err && l1)
        err = write_l1(s, l1_dirty, l1);
    if (err && l1)
        for (uint32_t i = 0; i < sectors; i++) {
            s->n_l1_dirty += l1_dirty[i];
            s->l1_dirty[i] |= l1_dirty[i];
        }
    return err || !sync ? err : block_flush(file);
}

int qcow2_write_tables(Qcow2 *s, bool sync)
{
    fiber_lock(&s->tables);
    int err = write_locked(s, sync);
    fiber_unlock(&s->tables);
    return err;
}
