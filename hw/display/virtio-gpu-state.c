/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of the virtio GPU on their way to another machine. Little-endian. */
#include "hw/display/virtio-gpu.h"
#include "util/bytes.h"
#include <string.h>

/* ---- writing ---- */

static gint by_id(gconstpointer a, gconstpointer b)
{
    uint32_t x = (*(GpuResource *const *)a)->id, y = (*(GpuResource *const *)b)->id;

    return x < y ? -1 : x > y;
}

static void put_resource(gpointer data, gpointer bytes)
{
    const GpuResource *r = data;
    GByteArray *b = bytes;

    bytes_put(b, r->id, 4);
    bytes_put(b, r->format, 4);
    bytes_put(b, r->width, 4);
    bytes_put(b, r->height, 4);
    bytes_put(b, r->pixels != NULL, 1);
    bytes_put(b, r->blob_size, 8);
    bytes_put(b, r->entries != NULL, 1);
    bytes_put(b, r->n_entries, 4);
    for (uint32_t i = 0; i < r->n_entries; i++) {
        bytes_put(b, r->entries[i].pa, 8);
        bytes_put(b, r->entries[i].length, 4);
    }
    for (size_t i = 0, n = r->pixels ? (size_t)r->width * r->height : 0; i < n; i++) {
        bytes_put(b, r->pixels[i], 4);
    }
}

static uint32_t *scanout_word(GpuScanout *o, unsigned i)
{
    uint32_t *words[] = {&o->resource, &o->rect.x, &o->rect.y, &o->rect.width, &o->rect.height, &o->format,
                         &o->stride, &o->cursor, &o->cursor_x, &o->cursor_y, &o->hot_x, &o->hot_y};

    return i < G_N_ELEMENTS(words) ? words[i] : NULL;
}

static void put_scanouts(GByteArray *b, VirtioGpu *g)
{
    bytes_put(b, g->enabled, 1);
    bytes_put(b, g->max_outputs, 4);
    for (unsigned i = 0; i < g->max_outputs; i++) {
        for (unsigned k = 0; scanout_word(&g->scanout[i], k); k++) {
            bytes_put(b, *scanout_word(&g->scanout[i], k), 4);
        }
        bytes_put(b, g->scanout[i].offset, 8);
    }
}

GBytes *gpu_save_state(VirtioGpu *g)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GByteArray *b = g_byte_array_new();
    GHashTableIter i;
    gpointer r;

    g_hash_table_iter_init(&i, g->resources);
    while (g_hash_table_iter_next(&i, NULL, &r)) {
        g_ptr_array_add(all, r);
    }
    put_scanouts(b, g);
    g_ptr_array_sort(all, by_id);
    g_ptr_array_foreach(all, put_resource, b);
    return g_byte_array_free_to_bytes(b);
}

/* ---- reading ---- */

static bool get_entries(BytesReader *in, GpuResource *r)
{
    bool there = bytes_get(in, 1);
    uint32_t n = bytes_get(in, 4);

    if (!in->ok || n > GPU_ENTRIES_MAX || (n && !there)) {
        return false;
    }
    r->entries = there ? g_new(GpuEntry, n ? n : 1) : NULL;
    r->n_entries = n;
    for (uint32_t i = 0; i < n; i++) {
        r->entries[i].pa = bytes_get(in, 8);
        r->entries[i].length = bytes_get(in, 4);
    }
    return in->ok;
}

static bool get_picture(BytesReader *in, GpuResource *r)
{
    uint64_t n = (uint64_t)r->width * r->height;

    if (!gpu_format_known(r->format) || !n || r->width > CONSOLE_MAX_SIZE ||
        r->height > CONSOLE_MAX_SIZE || in->left < n * 4) {
        return false;
    }
    r->pixels = g_new(uint32_t, n);
    for (uint64_t i = 0; i < n; i++) {
        r->pixels[i] = bytes_get(in, 4);
    }
    return true;
}

static bool get_resource(VirtioGpu *g, BytesReader *in)
{
    GpuResource *r = g_new0(GpuResource, 1);

    r->id = bytes_get(in, 4);
    r->format = bytes_get(in, 4);
    r->width = bytes_get(in, 4);
    r->height = bytes_get(in, 4);
    bool picture = bytes_get(in, 1);
    r->blob_size = bytes_get(in, 8);
    bool ok = r->id && !g_hash_table_contains(g->resources, GUINT_TO_POINTER(r->id)) &&
              get_entries(in, r) && (!picture || get_picture(in, r)) &&
              gpu_resource_bytes(r) <= g->max_hostmem - MIN(g->used, g->max_hostmem);
    if (!ok) {
        gpu_resource_free(r);
        return false;
    }
    g->used += gpu_resource_bytes(r);
    g_hash_table_insert(g->resources, GUINT_TO_POINTER(r->id), r);
    return true;
}

static bool get_scanouts(VirtioGpu *g, BytesReader *in)
{
    g->enabled = bytes_get(in, 1) & 1;
    if (bytes_get(in, 4) != g->max_outputs) {
        return false;
    }
    for (unsigned i = 0; i < g->max_outputs; i++) {
        for (unsigned k = 0; scanout_word(&g->scanout[i], k); k++) {
            *scanout_word(&g->scanout[i], k) = bytes_get(in, 4);
        }
        g->scanout[i].offset = bytes_get(in, 8);
    }
    return in->ok;
}

bool gpu_load_state(VirtioGpu *g, GBytes *from)
{
    BytesReader in = {.ok = true};

    in.p = from ? g_bytes_get_data(from, &in.left) : NULL;
    bool ok = !in.left || get_scanouts(g, &in);
    while (ok && in.left) {
        ok = get_resource(g, &in);
    }
    return ok;
}
