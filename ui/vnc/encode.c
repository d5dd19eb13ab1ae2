/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels in a client's format; raw and hextile (RFC 6143 sections 7.7.1, 7.7.4). */
#include <string.h>

#include "ui/vnc/internal.h"

const VncFormat vnc_format_default = {
    .bits = 32, .depth = 24, .max = {255, 255, 255}, .shift = {16, 8, 0},
};

/* ---- formats ---- */

static bool is_native(const VncFormat *f)
{
    const VncFormat *d = &vnc_format_default;

    return f->bits == 32 && f->big_endian == (G_BYTE_ORDER == G_BIG_ENDIAN) &&
           memcmp(f->max, d->max, sizeof(f->max)) == 0 && memcmp(f->shift, d->shift, 3) == 0;
}

static uint32_t convert(const VncFormat *f, uint32_t pixel)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 3; i++) {
        uint32_t channel = (pixel >> (16 - 8 * i)) & 0xff;
        value |= (channel * (f->max[i] + 1u) >> 8) << f->shift[i];
    }
    return value;
}

static void store(const VncFormat *f, uint32_t v, uint8_t *out)
{
    unsigned bytes = f->bits / 8;

    for (unsigned i = 0; i < bytes; i++) {
        out[i] = v >> 8 * (f->big_endian ? bytes - 1 - i : i);
    }
}

void vnc_pack(const VncFormat *f, const uint32_t *pixels, unsigned n, uint8_t *out)
{
    if (is_native(f)) {
        memcpy(out, pixels, (size_t)n * 4);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        store(f, convert(f, pixels[i]), out + (size_t)i * (f->bits / 8));
    }
}

/* Section 7.7.5: three bytes when the colours fit into the lower, or the upper, three. */
static int spare_byte(const VncFormat *f)
{
    uint32_t used = 0;

    if (f->bits != 32 || f->depth > 24 || f->mapped) {
        return -1;
    }
    for (unsigned i = 0; i < 3; i++) {
        used |= (uint32_t)f->max[i] << f->shift[i];
    }
    return (used >> 24) == 0 ? (f->big_endian ? 0 : 3)
           : (used & 0xff) == 0 ? (f->big_endian ? 3 : 0) : -1;
}

unsigned vnc_compact_size(const VncFormat *f)
{
    return spare_byte(f) < 0 ? f->bits / 8 : 3;
}

void vnc_pack_compact(const VncFormat *f, const uint32_t *pixels, unsigned n, uint8_t *out)
{
    int spare = spare_byte(f);
    uint8_t whole[4];

    if (spare < 0) {
        vnc_pack(f, pixels, n, out);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        store(f, convert(f, pixels[i]), whole);
        memcpy(out + 3 * (size_t)i, whole + (spare == 0), 3);
    }
}

unsigned vnc_palette(const uint32_t *pixels, size_t n, uint32_t *colours, unsigned most)
{
    unsigned count = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned k = 0;
        if (i && pixels[i] == pixels[i - 1]) {
            continue;
        }
        while (k < count && colours[k] != pixels[i]) {
            k++;
        }
        if (k == count) {
            if (count == most) {
                return 0;
            }
            colours[count++] = pixels[i];
        }
    }
    return count;
}

unsigned vnc_palette_index(const uint32_t *colours, uint32_t colour)
{
    unsigned i = 0;

    while (colours[i] != colour) {
        i++;
    }
    return i;
}

/* ---- raw ---- */

static void put_packed(VncClient *c, const uint32_t *pixels, size_t n)
{
    GByteArray *out = c->stream->out;
    guint at = out->len;

    g_byte_array_set_size(out, at + n * (c->format.bits / 8));
    vnc_pack(&c->format, pixels, n, out->data + at);
}

void vnc_raw(VncClient *c, const VncRect *r)
{
    put_packed(c, r->pixels, (size_t)r->width * r->height);
}

/* ---- hextile ---- */

enum { HEX_RAW = 1, HEX_BACKGROUND = 2, HEX_FOREGROUND = 4, HEX_ANY = 8, HEX_COLOURED = 16,
       HEX_TILE = 16 };

typedef struct Tile {
    uint32_t pixels[HEX_TILE * HEX_TILE];
    unsigned width, height;
} Tile;

/* Appends what is not background as rectangles; their number, or -1 when raw would be shorter. */
static int subrects(VncClient *c, Tile *t, uint32_t background, bool coloured)
{
    GByteArray *out = c->stream->out;
    size_t limit = out->len + (size_t)t->width * t->height * (c->format.bits / 8);
    int count = 0;

    for (unsigned y = 0; y < t->height; y++) {
        for (unsigned x = 0; x < t->width; x++) {
            uint32_t *p = t->pixels + y * t->width + x, colour = *p;
            unsigned w = 1, h = 1;
            if (colour == background) {
                continue;
            }
            while (x + w < t->width && p[w] == colour) {
                w++;
            }
            for (; y + h < t->height; h++) {
                unsigned i = 0;
                while (i < w && p[h * t->width + i] == colour) {
                    i++;
                }
                if (i < w) {
                    break;
                }
            }
            for (unsigned i = 0; i < h * w; i++) {      /* done with these */
                p[i / w * t->width + i % w] = background;
            }
            if (coloured) {
                put_packed(c, &colour, 1);
            }
            put8(out, x << 4 | y);
            put8(out, (w - 1) << 4 | (h - 1));
            if (++count > 255 || out->len >= limit) {
                return -1;
            }
        }
    }
    return count;
}

static void hextile_tile(VncClient *c, Tile *t)
{
    GByteArray *out = c->stream->out;
    uint32_t colours[2];
    unsigned n = vnc_palette(t->pixels, t->width * t->height, colours, 2);
    uint32_t background = n ? colours[0] : t->pixels[0];
    guint start = out->len;
    Tile copy = *t;

    put8(out, HEX_BACKGROUND | (n == 1 ? 0 : HEX_ANY) |
                  (n == 2 ? HEX_FOREGROUND : n == 0 ? HEX_COLOURED : 0));
    put_packed(c, &background, 1);
    if (n == 1) {
        return;
    }
    if (n == 2) {
        put_packed(c, &colours[1], 1);
    }
    guint at = out->len;
    put8(out, 0);
    int count = subrects(c, &copy, background, n == 0);
    if (count < 0) {
        g_byte_array_set_size(out, start);
        put8(out, HEX_RAW);
        put_packed(c, t->pixels, t->width * t->height);
    } else {
        out->data[at] = count;
    }
}

void vnc_hextile(VncClient *c, const VncRect *r)
{
    Tile t;

    for (unsigned y = 0; y < r->height; y += HEX_TILE) {
        for (unsigned x = 0; x < r->width; x += HEX_TILE) {
            t.width = MIN(HEX_TILE, r->width - x);
            t.height = MIN(HEX_TILE, r->height - y);
            for (unsigned i = 0; i < t.height; i++) {
                memcpy(t.pixels + i * t.width, r->pixels + (size_t)(y + i) * r->width + x,
                       t.width * sizeof(uint32_t));
            }
            hextile_tile(c, &t);
        }
    }
}
