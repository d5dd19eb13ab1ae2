/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of the virtio GPU: the host's copies, and blobs in guest memory. Spec: virtio 1.2, 5.7.6.8. */
#include "hw/display/virtio-gpu.h"
#include <string.h>

/* Formats are named by bytes in the order of memory; where each colour stands in a little-endian word. */
static const struct { uint32_t format; uint8_t red, green, blue, alpha; } formats[] = {
    {1, 16, 8, 0, 24}, {2, 16, 8, 0, 32},       /* B8G8R8A8, B8G8R8X8 */
    {3, 8, 16, 24, 0}, {4, 8, 16, 24, 32},      /* A8R8G8B8, X8R8G8B8 */
    {67, 0, 8, 16, 24}, {134, 0, 8, 16, 32},    /* R8G8B8A8, R8G8B8X8 */
    {121, 24, 16, 8, 0}, {68, 24, 16, 8, 32},   /* A8B8G8R8, X8B8G8R8 */
};

static int find_format(uint32_t format)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (formats[i].format == format) {
            return (int)i;
        }
    }
    return -1;
}

bool gpu_format_known(uint32_t format)
{
    return find_format(format) >= 0;
}

/* In place: words as in guest memory become a8r8g8b8. */
static void convert(uint32_t format, uint32_t *p, size_t n)
{
    int f = find_format(format);

    for (size_t i = 0; f > 1 && i < n; i++) {
        uint32_t w = GUINT32_FROM_LE(p[i]);
        uint32_t alpha = formats[f].alpha < 32 ? w >> formats[f].alpha & 255 : 255;
        p[i] = alpha << 24 | (w >> formats[f].red & 255) << 16 | (w >> formats[f].green & 255) << 8 |
               (w >> formats[f].blue & 255);
    }
    for (size_t i = 0; G_BYTE_ORDER == G_BIG_ENDIAN && (f == 0 || f == 1) && i < n; i++) {
        p[i] = GUINT32_FROM_LE(p[i]);
    }
}

void gpu_resource_free(gpointer data)
{
    GpuResource *r = data;

    if (r) {
        g_free(r->pixels);
        g_free(r->entries);
        g_free(r);
    }
}

GpuResource *gpu_resource_2d(uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
    GpuResource *r = g_new(GpuResource, 1);

    *r = (GpuResource){.id = id, .format = format, .width = width, .height = height};
    r->pixels = g_try_malloc0_n((size_t)width * height, 4);
    if (!r->pixels) {
        g_clear_pointer(&r, gpu_resource_free);
    }
    return r;
}

bool gpu_rect_fits(const GpuRect *r, uint32_t width, uint32_t height)
{
    return r->x <= width && r->y <= height && r->width <= width - r->x && r->height <= height - r->y;
}

/* Bytes [at, at+n) of what is behind the resource; false: not all of it is. */
static bool read_backing(const GpuResource *res, AddressSpace *as, uint64_t at, void *to, uint64_t n)
{
    uint8_t *out = to;

    for (uint32_t i = 0; i < res->n_entries && n; i++) {
        const GpuEntry *e = &res->entries[i];
        if (at >= e->length) {
            at -= e->length;
            continue;
        }
        uint64_t part = MIN(n, e->length - at);
        if (!as_read(as, e->pa + at, out, part)) {
            return false;
        }
        out += part;
        n -= part;
        at = 0;
    }
    return n == 0;
}

bool gpu_resource_fetch(GpuResource *res, AddressSpace *as, const GpuRect *r, uint64_t offset)
{
    uint64_t stride = (uint64_t)res->width * 4;
    bool whole = r->x == 0 && r->width == res->width;
    uint32_t *first = res->pixels + (size_t)r->y * res->width + r->x;

    if (whole) {
        bool ok = read_backing(res, as, offset, first, stride * r->height);
        convert(res->format, first, (size_t)res->width * r->height);
        return ok;
    }
    for (uint32_t y = 0; y < r->height; y++) {
        uint32_t *line = first + (size_t)y * res->width;
        if (!read_backing(res, as, offset + y * stride, line, (uint64_t)r->width * 4)) {
            return false;
        }
        convert(res->format, line, r->width);
    }
    return true;
}

void gpu_blob_line(const GpuResource *res, AddressSpace *as, uint64_t at, uint32_t format, uint32_t *out,
                   uint32_t n)
{
    if (read_backing(res, as, at, out, (uint64_t)n * 4)) {
        convert(format, out, n);
    }
}
