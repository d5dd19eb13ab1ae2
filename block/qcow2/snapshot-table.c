/* SPDX-License-Identifier: Apache-2.0 */
/* The table of internal snapshots. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

enum { ENTRY = 40, MAX_EXTRA = 1024 };

static uint16_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return GUINT32_FROM_BE(v); }
static void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { v = GUINT32_TO_BE(v); memcpy(p, &v, 4); }
static void put64(uint8_t *p, uint64_t v) { v = be64(v); memcpy(p, &v, 8); }
static uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64(v); }

void qcow2_free_snapshot(Snapshot *t)
{
    g_free(t->id);
    g_free(t->name);
    g_free(t->extra);
}

void qcow2_free_snapshots(Qcow2 *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->n_snapshots; i++)
        qcow2_free_snapshot(&s->snapshots[i]);
    g_clear_pointer(&s->snapshots, g_free);
}

/* One entry at `at`, which moves on. */
static bool read_entry(Qcow2 *s, Snapshot *t, uint64_t *at, GError **error)
{
    uint8_t h[ENTRY];
    int err = block_read_buf(s->node.file, *at, h, sizeof(h));
    if (err)
        return error_set_errno(error, err, "Failed to read snapshot table");
    *t = (Snapshot){.l1_offset = get64(h), .l1_size = get32(h + 8), .date_sec = get32(h + 16),
                    .date_nsec = get32(h + 20), .clock_ns = get64(h + 24), .vm_state = get32(h + 32),
                    .extra_size = get32(h + 36), .icount = UINT64_MAX, .disk_size = s->node.size};
    uint16_t n_id = get16(h + 12), n_name = get16(h + 14);
    if (t->extra_size > MAX_EXTRA)
        return error_set(error, "Too much extra metadata in snapshot table entry");
    size_t n = t->extra_size + n_id + n_name;
    g_autofree uint8_t *rest = g_malloc(n + 1);
    if (n && (err = block_read_buf(s->node.file, *at + ENTRY, rest, n)))
        return error_set_errno(error, err, "Failed to read snapshot table");
    t->extra = g_memdup2(rest, t->extra_size);
    t->id = g_strndup((char *)rest + t->extra_size, n_id);
    t->name = g_strndup((char *)rest + t->extra_size + n_id, n_name);
    if (t->extra_size >= 8 && get64(rest))
        t->vm_state = get64(rest);
    if (t->extra_size >= 16)
        t->disk_size = get64(rest + 8);
    if (t->extra_size >= 24)
        t->icount = get64(rest + 16);
    *at += (ENTRY + n + 7) & ~7ull;
    if (t->l1_offset & (s->cluster - 1) || t->l1_offset > INT64_MAX - MAX_L1_BYTES ||
        (uint64_t)t->l1_size * 8 > MAX_L1_BYTES)
        return error_set(error, "Snapshot '%s' has an invalid L1 table", t->id);
    return true;
}

bool qcow2_read_snapshots(Qcow2 *s, GError **error)
{
    uint64_t at = s->snapshots_offset;
    if (!s->n_snapshots)
        return true;
    uint32_t n = s->n_snapshots;
    s->n_snapshots = 0;
    s->snapshots = g_new0(Snapshot, n);
    for (uint32_t i = 0; i < n; i++) {
        s->n_snapshots = i + 1;
        if (!read_entry(s, &s->snapshots[i], &at, error))
            return false;
        if (at - s->snapshots_offset > MAX_SNAPSHOT_BYTES)
            return error_set(error, "Snapshot table is too large");
    }
    s->snapshots_bytes = at - s->snapshots_offset;
    return true;
}

/* ---- writing ---- */

enum { EXTRA = 24 };            /* size of the machine's state, of the disk, instructions */

/* What others put behind our extra data is kept. */
static void put_entry(GByteArray *to, const Snapshot *t)
{
    uint8_t h[ENTRY] = {0}, extra[MAX_EXTRA] = {0};
    size_t n_id = strlen(t->id), n_name = strlen(t->name), n_extra = MAX(t->extra_size, EXTRA);
    put64(h, t->l1_offset);
    put32(h + 8, t->l1_size);
    put16(h + 12, n_id);
    put16(h + 14, n_name);
    put32(h + 16, t->date_sec);
    put32(h + 20, t->date_nsec);
    put64(h + 24, t->clock_ns);
    put32(h + 32, t->vm_state > UINT32_MAX ? 0 : t->vm_state);
    put32(h + 36, n_extra);
    if (t->extra_size)
        memcpy(extra, t->extra, t->extra_size);
    put64(extra, t->vm_state);
    put64(extra + 8, t->disk_size);
    put64(extra + 16, t->icount);
    g_byte_array_append(to, h, sizeof(h));
    g_byte_array_append(to, extra, n_extra);
    g_byte_array_append(to, (const uint8_t *)t->id, n_id);
    g_byte_array_append(to, (const uint8_t *)t->name, n_name);
    while (to->len % 8)
        g_byte_array_append(to, (const uint8_t *)"", 1);
}

/* The table in a place of its own; *at 0: there are none. */
static int store_table(Qcow2 *s, GByteArray *table, uint64_t *at)
{
    unsigned bytes = table->len;
    uint64_t clusters = clusters_of(s, bytes);
    if (!bytes)
        return 0;
    g_byte_array_set_size(table, clusters << s->cluster_bits);
    memset(table->data + bytes, 0, table->len - bytes);
    int err = qcow2_alloc(s, &clusters, true, at);
    if (err)
        return err;
    err = block_write_buf(s->node.file, *at, table->data, table->len);
    err = err ? err : qcow2_write_tables(s, true);
    if (err)
        qcow2_let_go(s, *at, bytes);
    return err;
}

int qcow2_write_snapshots(Qcow2 *s, Snapshot *list, uint32_t n, bool *used)
{
    g_autoptr(GByteArray) table = g_byte_array_new();
    uint64_t at = 0, old = s->snapshots_offset, old_bytes = s->snapshots_bytes;
    *used = false;
    for (uint32_t i = 0; i < n && table->len <= MAX_SNAPSHOT_BYTES; i++)
        put_entry(table, &list[i]);
    unsigned bytes = table->len;
    if (bytes > MAX_SNAPSHOT_BYTES || n > MAX_SNAPSHOTS)
        return EFBIG;
    int err = store_table(s, table, &at);
    if (err)
        return err;
    uint8_t fields[12];
    put32(fields, n);
    put64(fields + 4, at);
    *used = true;
    err = block_write_buf(s->node.file, AT_N_SNAPSHOTS, fields, sizeof(fields));
    err = err ? err : block_flush(s->node.file);
    if (err)
        return err;
    s->snapshots = list;
    s->n_snapshots = n;
    s->snapshots_offset = at;
    s->snapshots_bytes = bytes;
    return old_bytes ? qcow2_let_go(s, old, old_bytes) : 0;
}

/* ---- telling ---- */

void qcow2_list_snapshots(Qcow2 *s, ImageInfo *info)
{
    if (!s->n_snapshots)
        return;
    info->snapshots = snapshot_info_list_new();
    for (uint32_t i = 0; i < s->n_snapshots; i++) {
        const Snapshot *t = &s->snapshots[i];
        SnapshotInfo *k = g_new0(SnapshotInfo, 1);
        k->id = g_strdup(t->id);
        k->name = g_strdup(t->name);
        k->vm_state_size = t->vm_state;
        k->date_sec = t->date_sec;
        k->date_nsec = t->date_nsec;
        k->vm_clock_sec = t->clock_ns / 1000000000;
        k->vm_clock_nsec = t->clock_ns % 1000000000;
        k->has_icount = t->icount != UINT64_MAX;
        k->icount = k->has_icount ? (int64_t)t->icount : 0;
        snapshot_info_list_add(info->snapshots, k);
    }
}
