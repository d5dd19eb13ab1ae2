/* SPDX-License-Identifier: Apache-2.0 */
/* The table of internal snapshots. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

enum { ENTRY = 40, MAX_EXTRA = 1024 };

static uint16_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return GUINT32_FROM_BE(v); }
static uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64(v); }

void qcow2_free_snapshots(Qcow2 *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->n_snapshots; i++) {
        g_free(s->snapshots[i].id);
        g_free(s->snapshots[i].name);
        g_free(s->snapshots[i].extra);
    }
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
                    .date_nsec = get32(h + 20), .clock_ns = get64(h + 24), .vm_state32 = get32(h + 32),
                    .extra_size = get32(h + 36), .icount = UINT64_MAX, .disk_size = s->node.size};
    t->vm_state = t->vm_state32;
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
