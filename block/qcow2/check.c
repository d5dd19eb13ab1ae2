/* SPDX-License-Identifier: Apache-2.0 */
/* Counting all clusters anew, comparing with what the image says, and setting it right. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

typedef struct Check {
    Qcow2 *s;
    BlockCheck *r;
    uint32_t *counts;           /* references found */
    uint64_t n;                 /* clusters in the file */
    uint64_t room;              /* of counts */
    uint64_t next;              /* place that would continue the last data cluster */
    unsigned fix;
    bool say;
} Check;

static void report(Check *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void report(Check *c, const char *format, ...)
{
    va_list args;
    if (!c->say)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("%s\n", text);
}

/* Clusters that a range touches are referred to once more. */
static void refer(Check *c, uint64_t offset, uint64_t bytes)
{
    if (!bytes)
        return;
    uint64_t first = offset >> c->s->cluster_bits, last = (offset + bytes - 1) >> c->s->cluster_bits;
    if (last >= c->n || offset + bytes < offset) {
        report(c, "ERROR: range at 0x%" PRIx64 " with 0x%" PRIx64 " bytes lies behind the end of the file", offset, bytes);
        c->r->corruptions++;
        return;
    }
    for (uint64_t i = first; i <= last; i++)
        c->counts[i] += c->counts[i] < UINT32_MAX;
}

static int read_table(Check *c, uint64_t offset, uint64_t *table, uint64_t n)
{
    int err = n ? block_read_buf(c->s->node.file, offset, table, n * 8) : 0;
    for (uint64_t i = 0; i < n; i++)
        table[i] = be64(table[i]);
    return err;
}

/* ---- what refers ---- */

static void count_entry(Check *c, uint64_t word, uint64_t bitmap, bool active)
{
    Qcow2 *s = c->s;
    uint64_t at, bytes;
    if (word & COMPRESSED) {
        qcow2_compressed_range(s, word, &at, &bytes);
        uint64_t end = c->n << s->cluster_bits;
        refer(c, at, at < end ? MIN(bytes, end - at) : bytes);     /* the last may be padded beyond the end */
        c->r->compressed += active;
        c->r->allocated += active;
        c->r->fragmented += active;
        return;
    }
    at = word & OFFSET_MASK;
    if (!at)
        return;
    if (at & (s->cluster - 1)) {
        report(c, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry corrupted.", at);
        c->r->corruptions++;
        return;
    }
    refer(c, at, s->cluster);
    if (!active)
        return;
    bool zero_only = s->entry_words == 1 ? s->version >= 3 && word & ZERO : !(uint32_t)bitmap;
    if (zero_only)
        return;
    c->r->allocated++;
    c->r->fragmented += c->next && c->next != at;
    c->next = at + s->cluster;
}

static void count_l1(Check *c, const uint64_t *l1, uint32_t n, bool active)
{
    Qcow2 *s = c->s;
    g_autofree uint64_t *table = g_malloc(s->cluster);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = l1[i] & OFFSET_MASK;
        if (!at)
            continue;
        refer(c, at, s->cluster);
        if (at & (s->cluster - 1)) {
            report(c, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted", at);
            c->r->corruptions++;
            continue;
        }
        if (read_table(c, at, table, s->cluster / 8)) {
            c->r->errors++;
            continue;
        }
        for (uint64_t k = 0; k < s->cluster / 8; k += s->entry_words)
            count_entry(c, table[k], s->entry_words == 2 ? table[k + 1] : 0, active);
    }
}

static void count_snapshots(Check *c)
{
    Qcow2 *s = c->s;
    refer(c, s->snapshots_offset, s->snapshots_bytes);
    for (uint32_t i = 0; i < s->n_snapshots; i++) {
        const Snapshot *t = &s->snapshots[i];
        g_autofree uint64_t *l1 = g_malloc0_n(t->l1_size + 1, 8);
        refer(c, t->l1_offset, (uint64_t)t->l1_size * 8);
        if (read_table(c, t->l1_offset, l1, t->l1_size))
            c->r->errors++;
        else
            count_l1(c, l1, t->l1_size, false);
    }
}

static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return GUINT32_FROM_BE(v); }
static uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64(v); }

/* Dirty bitmaps: a directory, tables, and their clusters. */
static void count_bitmaps(Check *c, const Extension *e)
{
    Qcow2 *s = c->s;
    enum { ENTRY = 24, MAX_DIRECTORY = 64 << 20, MAX_TABLE = 1 << 22 };
    if (e->size < 24)
        return;
    uint64_t bytes = get64(e->data + 8), at = get64(e->data + 16);
    refer(c, at, bytes);
    if (bytes > MAX_DIRECTORY || at >> s->cluster_bits >= c->n)
        return;
    g_autofree uint8_t *dir = g_malloc(bytes + ENTRY);
    if (block_read_buf(s->node.file, at, dir, bytes)) {
        c->r->errors++;
        return;
    }
    for (uint64_t i = 0; i + ENTRY <= bytes;) {
        const uint8_t *d = dir + i;
        uint64_t table_at = get64(d), n = get32(d + 8);
        uint64_t rest = (uint64_t)(d[18] << 8 | d[19]) + get32(d + 20);
        i += (ENTRY + rest + 7) & ~7ull;
        refer(c, table_at, n * 8);
        if (n > MAX_TABLE)
            continue;
        g_autofree uint64_t *table = g_malloc0_n(n + 1, 8);
        if (read_table(c, table_at, table, n)) {
            c->r->errors++;
            continue;
        }
        for (uint64_t k = 0; k < n; k++)
            if (table[k] & OFFSET_MASK)
                refer(c, table[k] & OFFSET_MASK, s->cluster);
    }
}

static void count_blocks(Check *c)
{
    Qcow2 *s = c->s;
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t at = s->reftable[i];
        if (!at)
            continue;
        if (at & (s->cluster - 1) || at >> s->cluster_bits >= c->n) {
            report(c, "ERROR refcount block %u is %s", i, at & (s->cluster - 1) ? "not cluster aligned; refcount table entry corrupted"
                                                                                : "outside image");
            c->r->corruptions++;
            if (c->fix & BLOCK_FIX_ERRORS) {
                s->reftable[i] = 0;
                c->r->corruptions_fixed++;
            }
            continue;
        }
        refer(c, at, s->cluster);
    }
}

static void count_all(Check *c)
{
    Qcow2 *s = c->s;
    refer(c, 0, s->cluster);
    refer(c, s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits);
    refer(c, s->l1_offset, (uint64_t)s->l1_size * 8);
    count_l1(c, s->l1, s->l1_size, true);
    count_snapshots(c);
    for (unsigned i = 0; i < s->extensions->len; i++)
        if (g_array_index(s->extensions, Extension, i).type == EXT_BITMAPS)
            count_bitmaps(c, &g_array_index(s->extensions, Extension, i));
    count_blocks(c);
}

/* ---- setting right ---- */

/* Blocks for clusters that are in use but have none, at the end of the file, where nothing is. */
static int add_blocks(Check *c)
{
    Qcow2 *s = c->s;
    uint64_t per = counts_per_block(s);
    for (bool again = true; again;) {
        again = false;
        for (uint64_t i = 0; i < c->n; i++) {
            if (!c->counts[i] || (i / per < s->reftable_size && s->reftable[i / per]))
                continue;
            if (i / per >= s->reftable_size || c->n >= c->room)
                return EFBIG;
            uint64_t at = c->n << s->cluster_bits, entry = be64(at);
            g_autofree uint8_t *zeroes = g_malloc0(s->cluster);
            int err = block_write_buf(s->node.file, at, zeroes, s->cluster);
            err = err ? err : block_write_buf(s->node.file, s->reftable_offset + i / per * 8, &entry, 8);
            if (err)
                return err;
            s->reftable[i / per] = at;
            c->counts[c->n++] = 1;
            again = true;
        }
    }
    return 0;
}

static int compare_counts(Check *c)
{
    Qcow2 *s = c->s;
    int err = c->fix & BLOCK_FIX_ERRORS ? add_blocks(c) : 0;
    uint64_t highest = 0;
    for (uint64_t i = 0; i < c->n && !err; i++) {
        uint64_t count;
        if ((err = refcount_get(s, i, &count)))
            break;
        if (count)
            highest = i;
        if (count == c->counts[i])
            continue;
        bool leak = count > c->counts[i], mend = c->fix & (leak ? BLOCK_FIX_LEAKS : BLOCK_FIX_ERRORS);
        report(c, leak ? "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%u"
                       : "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%u",
               mend ? "Repairing" : leak ? "Leaked" : "ERROR", i, count, c->counts[i]);
        if (mend) {
            err = refcount_set(s, i, MIN(c->counts[i], refcount_max(s)));
            *(leak ? &c->r->leaks_fixed : &c->r->corruptions_fixed) += 1;
        } else {
            *(leak ? &c->r->leaks : &c->r->corruptions) += 1;
        }
    }
    c->r->end = (highest + 1) << s->cluster_bits;
    return err;
}

/* COPIED says that the count is 1. Where it is missing a cluster is copied once more than needed: a waste,
 * no harm, and it follows from a count that is too high or fell just before a crash. */
static bool wrong_flag(Check *c, const char *what, uint64_t word, bool *mend)
{
    uint64_t at = word & OFFSET_MASK, i = at >> c->s->cluster_bits, count;
    bool flag = word & COPIED;
    if (!at || at & (c->s->cluster - 1) || i >= c->n || (c->counts[i] == 1) == flag ||
        (!flag && (refcount_get(c->s, i, &count) || count != 1)))
        return false;
    *mend = c->fix & (flag ? BLOCK_FIX_ERRORS : BLOCK_FIX_ERRORS | BLOCK_FIX_LEAKS);
    report(c, "%s OFLAG_COPIED %s=%" PRIx64 " refcount=%u", *mend ? "Repairing" : flag ? "ERROR" : "Leaked", what,
           word, c->counts[i]);
    if (flag)
        *(*mend ? &c->r->corruptions_fixed : &c->r->corruptions) += 1;
    else
        *(*mend ? &c->r->leaks_fixed : &c->r->leaks) += 1;
    return true;
}

static int check_flags(Check *c)
{
    Qcow2 *s = c->s;
    g_autofree uint64_t *table = g_malloc(s->cluster);
    for (uint32_t i = 0; i < s->l1_size; i++) {
        uint64_t at = s->l1[i] & OFFSET_MASK, mended = 0;
        bool mend;
        if (!at || at & (s->cluster - 1) || at >> s->cluster_bits >= c->n)
            continue;
        if (wrong_flag(c, "L2 cluster: l1_entry", s->l1[i], &mend) && mend) {
            s->l1[i] ^= COPIED;
            uint64_t entry = be64(s->l1[i]);
            int err = block_write_buf(s->node.file, s->l1_offset + (uint64_t)i * 8, &entry, 8);
            if (err)
                return err;
        }
        int err = block_read_buf(s->node.file, at, table, s->cluster);
        if (err)
            return err;
        for (uint64_t k = 0; k < s->cluster / 8; k += s->entry_words) {
            uint64_t word = be64(table[k]);
            if (word & COMPRESSED || !wrong_flag(c, "data cluster: l2_entry", word, &mend) || !mend)
                continue;
            table[k] = be64(word ^ COPIED);
            mended++;
        }
        if (mended) {
            cache_forget(s, &s->l2, at, s->cluster);
            if ((err = block_write_buf(s->node.file, at, table, s->cluster)))
                return err;
        }
    }
    return 0;
}

static int check_all(Qcow2 *s, BlockCheck *r, unsigned fix, bool say)
{
    uint64_t n = clusters_of(s, s->node.file->size), room = n + n / counts_per_block(s) + 64;
    Check c = {.s = s, .r = r, .n = n, .room = room, .fix = fix, .say = say};
    c.counts = g_try_malloc0_n(room, 4);
    if (!c.counts)
        return ENOMEM;
    int err = s->node.read_only ? 0 : qcow2_settle(s);
    if (!err) {
        count_all(&c);
        err = compare_counts(&c);
    }
    err = err ? err : check_flags(&c);
    if (!err && fix) {
        err = qcow2_write_tables(s, true);
        s->first_free = 0;
    }
    g_free(c.counts);
    return err;
}

bool qcow2_check(BlockNode *n, BlockCheck *r, unsigned fix, GError **error)
{
    Qcow2 *s = (Qcow2 *)n;
    r->has_clusters = true;
    r->total = clusters_of(s, n->size);
    int err = check_all(s, r, fix, true);
    if (err)
        return error_set_errno(error, err, "Check failed");
    uint64_t flags = s->incompatible & ~(INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
    if (fix & BLOCK_FIX_ERRORS && !r->corruptions && flags != s->incompatible) {
        s->incompatible = flags;
        s->damaged = false;
        if ((err = qcow2_put64(s, AT_INCOMPATIBLE, flags)))
            return error_set_errno(error, err, "Could not clear the image's marks");
    }
    return true;
}

bool qcow2_repair(Qcow2 *s, GError **error)
{
    BlockCheck r = {0};
    int err = check_all(s, &r, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, false);
    if (err || r.corruptions)
        return err ? error_set_errno(error, err, "Could not repair dirty image")
                   : error_set(error, "Could not repair dirty image: it is corrupt");
    s->incompatible &= ~INCOMPAT_DIRTY;
    err = qcow2_put64(s, AT_INCOMPATIBLE, s->incompatible);
    return !err || error_set_errno(error, err, "Could not repair dirty image");
}
