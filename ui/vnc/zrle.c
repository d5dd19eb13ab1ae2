/* SPDX-License-Identifier: Apache-2.0 */
/* Zlib streams, and ZRLE (RFC 6143 section 7.7.6). */
#include <string.h>

#include "ui/vnc/internal.h"

enum { TILE = 64, PALETTE_MAX = 16, PLAIN_RLE = 128 };

/* ---- zlib ---- */

void vnc_deflate(z_stream **z, int level, const uint8_t *data, size_t n, GByteArray *out)
{
    if (!*z) {
        *z = g_new0(z_stream, 1);
        if (deflateInit2(*z, level, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
            g_error("zlib: no memory");
        }
    }
    (*z)->next_in = (Bytef *)data;
    (*z)->avail_in = n;
    do {
        guint at = out->len, room = MAX(n / 2, 1024);
        g_byte_array_set_size(out, at + room);
        (*z)->next_out = out->data + at;
        (*z)->avail_out = room;
        deflate(*z, Z_SYNC_FLUSH);
        g_byte_array_set_size(out, at + room - (*z)->avail_out);
    } while ((*z)->avail_out == 0);
}

void vnc_deflate_end(z_stream **z)
{
    if (*z) {
        deflateEnd(*z);
        g_clear_pointer(z, g_free);
    }
}

/* ---- tiles ---- */

static void put_compact(VncClient *c, GByteArray *to, const uint32_t *pixels, size_t n)
{
    guint at = to->len;

    g_byte_array_set_size(to, at + n * vnc_compact_size(&c->format));
    vnc_pack_compact(&c->format, pixels, n, to->data + at);
}

/* Lines of 1, 2 or 4 bits a pixel, each line whole bytes. */
static void put_packed_palette(GByteArray *to, const uint32_t *pixels, unsigned width, unsigned height,
                               const uint32_t *colours, unsigned n)
{
    unsigned bits = n == 2 ? 1 : n <= 4 ? 2 : 4;

    for (unsigned y = 0; y < height; y++) {
        unsigned byte = 0, used = 0;
        for (unsigned x = 0; x < width; x++) {
            byte |= vnc_palette_index(colours, pixels[y * width + x]) << (8 - bits - used);
            used += bits;
            if (used == 8 || x + 1 == width) {
                put8(to, byte);
                byte = used = 0;
            }
        }
    }
}

/* Runs of one colour; false, with nothing appended, when that would be longer than raw. */
static bool put_runs(VncClient *c, GByteArray *to, const uint32_t *pixels, size_t n)
{
    guint start = to->len;
    size_t limit = start + n * vnc_compact_size(&c->format);

    put8(to, PLAIN_RLE);
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (i + run < n && pixels[i + run] == pixels[i]) {
            run++;
        }
        put_compact(c, to, pixels + i, 1);
        i += run;
        for (run--; run >= 255; run -= 255) {
            put8(to, 255);
        }
        put8(to, run);
        if (to->len >= limit) {
            g_byte_array_set_size(to, start);
            return false;
        }
    }
    return true;
}

static void tile(VncClient *c, GByteArray *to, const uint32_t *pixels, unsigned width, unsigned height)
{
    uint32_t colours[PALETTE_MAX];
    size_t n = width * height;
    unsigned count = vnc_palette(pixels, n, colours, PALETTE_MAX);

    if (count) {
        put8(to, count);
        put_compact(c, to, colours, count);
        if (count > 1) {
            put_packed_palette(to, pixels, width, height, colours, count);
        }
    } else if (!put_runs(c, to, pixels, n)) {
        put8(to, 0);
        put_compact(c, to, pixels, n);
    }
}

void vnc_zrle(VncClient *c, const VncRect *r)
{
    g_autoptr(GByteArray) plain = g_byte_array_new();
    GByteArray *out = c->stream->out;
    uint32_t pixels[TILE * TILE];

    for (unsigned y = 0; y < r->height; y += TILE) {
        for (unsigned x = 0; x < r->width; x += TILE) {
            unsigned width = MIN(TILE, r->width - x), height = MIN(TILE, r->height - y);
            for (unsigned i = 0; i < height; i++) {
                memcpy(pixels + i * width, r->pixels + (size_t)(y + i) * r->width + x,
                       width * sizeof(uint32_t));
            }
            tile(c, plain, pixels, width, height);
        }
    }
    guint at = out->len;
    put32(out, 0);
    vnc_deflate(&c->zrle, c->compression, plain->data, plain->len, out);
    uint32_t length = GUINT32_TO_BE(out->len - at - 4);
    memcpy(out->data + at, &length, 4);
}
