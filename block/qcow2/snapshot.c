/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal snapshots: making, applying, deleting, showing. Spec: docs/interop/qcow2 of QEMU.
 *
 * A snapshot is a copy of the top table. Whatever a top table leads to, tables and data, is counted
 * once for each of them. Counts rise, and that is safe in the file, before the header leads to the new
 * user; they fall after it no longer leads to the old. A crash between leaves leaks. The node is idle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

/* ---- all that a top table leads to ---- */

typedef int Visit(Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *left);

static int visit_entry(Qcow2 *s, Entry e, Visit *visit, uint64_t *left)
{
    uint64_t offset = e.word & OFFSET_MASK, bytes = s->cluster;
    if (e.word & COMPRESSED)
        qcow2_compressed_range(s, e.word, &offset, &bytes);
    else if (!offset)
        return 0;
    else if (offset & (s->cluster - 1))
        return qcow2_damaged(s, offset, "a data cluster is not aligned");
    return visit(s, offset, bytes, left);
}

static uint64_t entries_per_slice(const Qcow2 *s) { return s->slice_bytes / (8 * s->entry_words); }

static int visit_table(Qcow2 *s, uint64_t table, Visit *visit, uint64_t *left)
{
    int err = 0;
    for (uint64_t at = table; at < table + s->cluster && !err; at += s->slice_bytes) {
        Slice *slice;
        if ((err = cache_get(s, &s->l2, at, &slice)))
            return err;
        for (unsigned i = 0; i < entries_per_slice(s) && !err; i++)
            err = visit_entry(s, entry_get(s, slice, i), visit, left);
        cache_put(slice);
    }
    return err;
}

/* The data of a table first: its count may be what keeps it. */
static int visit_all(Qcow2 *s, const uint64_t *l1, uint32_t n, Visit *visit, uint64_t *left)
{
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        uint64_t table = l1[i] & OFFSET_MASK;
        if (!table)
            continue;
        if (table & (s->cluster - 1))
            return qcow2_damaged(s, table, "a mapping table is not aligned");
        err = visit_table(s, table, visit, left);
        err = err ? err : visit(s, table, s->cluster, left);
    }
    return err;
}

static int count_up(Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *done)
{
    for (uint64_t i = offset >> s->cluster_bits; i < clusters_of(s, offset + bytes); i++, ++*done) {
        uint64_t count;
        int err = refcount_get(s, i, &count);
        if (!err && !count)
            err = qcow2_damaged(s, i << s->cluster_bits, "a cluster in use is not counted");
        if (err || (err = refcount_add(s, i, 1)))
            return err;
    }
    return 0;
}

static int count_back(Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *left)
{
    int err = 0;
    for (uint64_t i = offset >> s->cluster_bits; i < clusters_of(s, offset + bytes) && *left && !err; i++, --*left)
        err = refcount_add(s, i, -1);
    return err;
}

static int count_down(Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t *unused) { return qcow2_let_go(s, offset, bytes); }

/* All or nothing. */
static int raise_all(Qcow2 *s, const uint64_t *l1, uint32_t n)
{
    uint64_t done = 0;
    int err = visit_all(s, l1, n, count_up, &done);
    if (err && !s->damaged)
        visit_all(s, l1, n, count_back, &done);
    return err;
}

/* ---- COPIED ---- */

static int flag_of(Qcow2 *s, uint64_t word, uint64_t *to)
{
    uint64_t count, place = word & OFFSET_MASK;
    *to = word & ~COPIED;
    if (!place)
        return 0;
    int err = refcount_get(s, place >> s->cluster_bits, &count);
    *to |= count == 1 ? COPIED : 0;
    return err;
}

static int flag_table(Qcow2 *s, uint64_t table)
{
    int err = 0;
    for (uint64_t at = table; at < table + s->cluster && !err; at += s->slice_bytes) {
        Slice *slice;
        if ((err = cache_get(s, &s->l2, at, &slice)))
            return err;
        for (unsigned i = 0; i < entries_per_slice(s) && !err; i++) {
            Entry e = entry_get(s, slice, i);
            uint64_t word = e.word;
            if (!(word & COMPRESSED))
                err = flag_of(s, word, &e.word);
            if (!err && e.word != word)
                entry_set(s, slice, i, e);
        }
        cache_put(slice);
    }
    return err;
}

/* Tables say again which clusters are counted once; the top table itself is changed in memory only. */
static int flag_top(Qcow2 *s, uint64_t *entry)
{
    uint64_t table = *entry & OFFSET_MASK, word = *entry;
    int err = table ? flag_table(s, table) : 0;
    return err ? err : flag_of(s, word, entry);
}

static int flag_all(Qcow2 *s, uint64_t *l1, uint32_t n)
{
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++)
        err = flag_top(s, &l1[i]);
    return err;
}

static int flag_active(Qcow2 *s)
{
    int err = 0;
    for (uint32_t i = 0; i < s->l1_size && !err; i++) {
        uint64_t word = s->l1[i];
        err = flag_top(s, &s->l1[i]);
        if (s->l1[i] != word) {
            s->n_l1_dirty += !s->l1_dirty[i / 64];
            s->l1_dirty[i / 64] = 1;
        }
    }
    return err ? err : qcow2_write_tables(s, true);
}

/* ---- top tables ---- */

static int load_l1(Qcow2 *s, const Snapshot *t, uint32_t n, uint64_t **l1)
{
    g_autofree uint64_t *table = g_malloc0_n(n + 64, 8);
    int err = t->l1_size ? block_read_buf(s->node.file, t->l1_offset, table, (uint64_t)t->l1_size * 8) : 0;
    for (uint32_t i = 0; i < t->l1_size; i++)
        table[i] = be64(table[i]);
    if (!err)
        *l1 = g_steal_pointer(&table);
    return err;
}

/* A copy in a place of its own; an empty one has none. */
static int store_l1(Qcow2 *s, const uint64_t *l1, uint32_t n, uint64_t *offset)
{
    uint64_t clusters = clusters_of(s, (uint64_t)n * 8), bytes = clusters << s->cluster_bits, at;
    *offset = 0;
    if (!n)
        return 0;
    g_autofree uint64_t *disk = g_malloc0(bytes);
    int err = qcow2_alloc(s, &clusters, true, &at);
    if (err)
        return err;
    for (uint32_t i = 0; i < n; i++)
        disk[i] = be64(l1[i]);
    if ((err = block_write_buf(s->node.file, at, disk, bytes)))
        qcow2_let_go(s, at, bytes);
    else
        *offset = at;
    return err;
}

static int drop_l1(Qcow2 *s, uint64_t offset, uint32_t n)
{
    return n && offset ? qcow2_let_go(s, offset, (uint64_t)n * 8) : 0;
}

/* After an error: a top table that nothing in the file has led to is no user of anything. */
static void take_back(Qcow2 *s, const uint64_t *l1, uint32_t n, uint64_t stored)
{
    if (s->damaged)
        return;
    visit_all(s, l1, n, count_down, NULL);
    drop_l1(s, stored, n);
    flag_active(s);
}

/* ---- finding ---- */

static Snapshot *find(Qcow2 *s, const SnapshotInfo *what)
{
    for (uint32_t i = 0; i < s->n_snapshots; i++)
        if ((!what->id || !strcmp(what->id, s->snapshots[i].id)) &&
            (!what->name || !strcmp(what->name, s->snapshots[i].name)))
            return &s->snapshots[i];
    return NULL;
}

static char *new_id(const Qcow2 *s)
{
    unsigned long most = 0;
    for (uint32_t i = 0; i < s->n_snapshots; i++)
        most = MAX(most, strtoul(s->snapshots[i].id, NULL, 10));
    return g_strdup_printf("%lu", most + 1);
}

/* ---- the four ---- */

static Snapshot describe(const Qcow2 *s, const SnapshotInfo *what)
{
    return (Snapshot){
        .l1_size = s->l1_size, .vm_state = what->vm_state_size, .disk_size = s->node.size,
        .clock_ns = what->vm_clock_sec * 1000000000ull + what->vm_clock_nsec,
        .icount = what->has_icount ? (uint64_t)what->icount : UINT64_MAX, .date_sec = what->date_sec,
        .date_nsec = what->date_nsec, .id = new_id(s), .name = g_strdup(what->name)};
}

/* *used: the file may lead to the new table. */
static int append(Qcow2 *s, const Snapshot *t, bool *used)
{
    Snapshot *list = g_new0(Snapshot, s->n_snapshots + 1), *old = s->snapshots;
    if (s->n_snapshots)
        memcpy(list, old, s->n_snapshots * sizeof(Snapshot));
    list[s->n_snapshots] = *t;
    int err = qcow2_write_snapshots(s, list, s->n_snapshots + 1, used);
    g_free(s->snapshots == list ? old : list);
    return err;
}

static int make(Qcow2 *s, const SnapshotInfo *what)
{
    bool used = false;
    int err = raise_all(s, s->l1, s->l1_size);
    if (err)
        return err;
    Snapshot t = describe(s, what);
    err = flag_active(s);
    err = err ? err : store_l1(s, s->l1, s->l1_size, &t.l1_offset);
    err = err ? err : append(s, &t, &used);
    if (err && !used)
        take_back(s, s->l1, s->l1_size, t.l1_offset);
    if (!s->n_snapshots || s->snapshots[s->n_snapshots - 1].name != t.name)
        qcow2_free_snapshot(&t);
    return err;
}

static bool size_of(const Qcow2 *s, const Snapshot *t, uint32_t *entries)
{
    uint64_t reach = l2_reach(s), needed = t->disk_size / reach + (t->disk_size % reach != 0);
    *entries = MIN(MAX(t->l1_size, needed), UINT32_MAX);
    return t->disk_size <= INT64_MAX && needed <= MAX_L1_BYTES / 8;
}

/* The image has another top table and size; the old one and all it led to lose a user. */
static int switch_to(Qcow2 *s, uint64_t size, uint64_t *l1, uint32_t n, uint64_t at)
{
    g_autofree uint64_t *old = s->l1;
    uint64_t old_at = s->l1_offset;
    uint32_t old_n = s->l1_size;
    g_free(s->l1_dirty);
    s->l1 = l1;
    s->l1_dirty = g_malloc0(n / 64 + 1);
    s->n_l1_dirty = 0;
    s->l1_size = n;
    s->l1_offset = at;
    s->node.size = size;
    int err = visit_all(s, old, old_n, count_down, NULL);
    err = err ? err : drop_l1(s, old_at, old_n);
    return err ? err : flag_active(s);
}

static int go_to(Qcow2 *s, const Snapshot *t)
{
    g_autofree uint64_t *l1 = NULL;
    uint64_t at = 0;
    uint32_t n;
    if (!size_of(s, t, &n))
        return qcow2_damaged(s, t->l1_offset, "the size of a snapshot's disk is wrong");
    int err = load_l1(s, t, n, &l1);
    if (err || (err = raise_all(s, l1, n)))
        return err;
    err = flag_all(s, l1, n);
    err = err ? err : store_l1(s, l1, n, &at);
    err = err ? err : qcow2_write_tables(s, true);
    if (err) {
        take_back(s, l1, n, at);
        return err;
    }
    if ((err = qcow2_put_l1(s, t->disk_size, n, at)))
        return err;             /* nobody knows which the file leads to: what is counted for both stays */
    return switch_to(s, t->disk_size, g_steal_pointer(&l1), n, at);
}

static int take_away(Qcow2 *s, const Snapshot *which)
{
    g_autofree uint64_t *l1 = NULL;
    bool used;
    int err = load_l1(s, which, which->l1_size, &l1);
    if (err)
        return err;
    uint32_t n = s->n_snapshots, i = which - s->snapshots;
    Snapshot gone = *which, *list = g_new0(Snapshot, n), *before = s->snapshots;
    memcpy(list, before, i * sizeof(Snapshot));
    memcpy(list + i, before + i + 1, (n - i - 1) * sizeof(Snapshot));
    err = qcow2_write_snapshots(s, list, n - 1, &used);
    if (s->snapshots != list) {
        g_free(list);
        return err;
    }
    g_free(before);
    err = err ? err : visit_all(s, l1, gone.l1_size, count_down, NULL);
    err = err ? err : drop_l1(s, gone.l1_offset, gone.l1_size);
    qcow2_free_snapshot(&gone);
    return err ? err : flag_active(s);
}

static int show(Qcow2 *s, const Snapshot *t)
{
    uint64_t *l1;
    uint32_t n;
    if (!size_of(s, t, &n))
        return EIO;
    int err = load_l1(s, t, n, &l1);
    if (err)
        return err;
    g_free(s->l1);
    s->l1 = l1;
    s->l1_size = n;
    s->node.size = t->disk_size;
    s->snapshot_view = true;
    return 0;
}

/* Before a change nothing changed is left in memory only, and nothing let go is still counted. */
static int begin(Qcow2 *s)
{
    int err = qcow2_begin_writing(s);
    err = err ? err : qcow2_settle(s);
    return err ? err : qcow2_settle(s);
}

static int change(Qcow2 *s, BlockSnapshotOp op, const SnapshotInfo *what, const Snapshot *t)
{
    bool discard = s->discard_down;
    int err = begin(s), last;
    if (err)
        return err;
    s->discard_down = s->discard_snapshots;
    err = op == SNAPSHOT_CREATE ? make(s, what) : op == SNAPSHOT_APPLY ? go_to(s, t) : take_away(s, t);
    last = qcow2_settle(s);
    s->discard_down = discard;
    return err ? err : last;
}

bool qcow2_snapshot(BlockNode *n, BlockSnapshotOp op, const SnapshotInfo *what, GError **error)
{
    static const char *const verbs[] = {"create", "apply", "delete", "read"};
    Qcow2 *s = (Qcow2 *)n;
    const Snapshot *t = op == SNAPSHOT_CREATE ? NULL : find(s, what);
    if (op != SNAPSHOT_CREATE && !t)
        return error_set(error, "snapshot not found");
    if (op == SNAPSHOT_CREATE && strlen(what->name) > UINT16_MAX)
        return error_set(error, "The name of a snapshot has at most %u bytes", UINT16_MAX);
    if (s->damaged)
        return error_set(error, "The image is corrupt");
    int err = op == SNAPSHOT_SHOW ? show(s, t) : change(s, op, what, t);
    return !err || error_set_errno(error, err, "Could not %s the snapshot", verbs[op]);
}
