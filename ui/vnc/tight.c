/* SPDX-License-Identifier: Apache-2.0 */
/* Tight encoding without JPEG (rfbproto, "Tight Encoding"). */
#include <string.h>

#include "ui/vnc/internal.h"

enum { FILL = 0x80, EXPLICIT_FILTER = 0x40, FILTER_PALETTE = 1, UNCOMPRESSED_BELOW = 12,
       STREAM_COPY = 0, STREAM_MONO = 1, STREAM_INDEXED = 2, PALETTE_MAX = 96 };

/* TPIXEL: three bytes red, green, blue for the usual 24 bits in 32, else the pixel as it is. */
static bool is_rgb(const VncFormat *f)
{
    return f->bits == 32 && f->depth == 24 && f->max[0] == 255 && f->max[1] == 255 &&
           f->max[2] == 255;
}

static void put_pixels(VncClient *c, GByteArray *to, const uint32_t *pixels, size_t n)
{
    guint at = to->len;

    if (!is_rgb(&c->format)) {
        g_byte_array_set_size(to, at + n * (c->format.bits / 8));
        vnc_pack(&c->format, pixels, n, to->data + at);
        return;
    }
    g_byte_array_set_size(to, at + n * 3);
    for (uint8_t *p = to->data + at; n--; pixels++) {
        *p++ = *pixels >> 16;
        *p++ = *pixels >> 8;
        *p++ = *pixels;
    }
}

/* A length in one to three bytes of seven bits (the last of eight). */
static void put_length(GByteArray *out, size_t n)
{
    put8(out, (n & 0x7f) | (n > 0x7f ? 0x80 : 0));
    if (n > 0x7f) {
        put8(out, (n >> 7 & 0x7f) | (n > 0x3fff ? 0x80 : 0));
    }
    if (n > 0x3fff) {
        put8(out, n >> 14);
    }
}

static void put_data(VncClient *c, unsigned stream, const GByteArray *data)
{
    g_autoptr(GByteArray) packed = NULL;

    if (data->len < UNCOMPRESSED_BELOW) {
        g_byte_array_append(c->stream->out, data->data, data->len);
        return;
    }
    packed = g_byte_array_new();
    vnc_deflate(&c->tight[stream], c->compression, data->data, data->len, packed);
    put_length(c->stream->out, packed->len);
    g_byte_array_append(c->stream->out, packed->data, packed->len);
}

/* Two colours: a bit a pixel, each line whole bytes; more: a byte a pixel. */
static void put_indexes(GByteArray *to, const VncRect *r, const uint32_t *colours, unsigned count)
{
    for (unsigned y = 0; y < r->height; y++) {
        const uint32_t *line = r->pixels + (size_t)y * r->width;
        for (unsigned x = 0, byte = 0; x < r->width; x++) {
            unsigned index = vnc_palette_index(colours, line[x]);
            if (count > 2) {
                put8(to, index);
                continue;
            }
            byte |= index << (7 - x % 8);
            if (x % 8 == 7 || x + 1 == r->width) {
                put8(to, byte);
                byte = 0;
            }
        }
    }
}

/* The rectangle is at most 2048 wide and 65536 pixels large: update.c sees to that. */
void vnc_tight(VncClient *c, const VncRect *r)
{
    GByteArray *out = c->stream->out;
    g_autoptr(GByteArray) data = g_byte_array_new();
    uint32_t colours[PALETTE_MAX];
    size_t n = (size_t)r->width * r->height;
    unsigned count = vnc_palette(r->pixels, n, colours, MIN(PALETTE_MAX, MAX(n / 8, 2)));

    if (count == 1) {
        put8(out, FILL);
        put_pixels(c, out, colours, 1);
    } else if (count) {
        unsigned stream = count == 2 ? STREAM_MONO : STREAM_INDEXED;
        put8(out, EXPLICIT_FILTER | stream << 4);
        put8(out, FILTER_PALETTE);
        put8(out, count - 1);
        put_pixels(c, out, colours, count);
        put_indexes(data, r, colours, count);
        put_data(c, stream, data);
    } else {
        put8(out, STREAM_COPY << 4);
        put_pixels(c, data, r->pixels, n);
        put_data(c, STREAM_COPY, data);
    }
}
