/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has changed, and when a client is told.
 *
 * The console says which parts may have changed; they are marked as tiles and compared with a copy
 * of what was there before, once per refresh and for all clients together. Each client has a bit for
 * every tile that it does not know yet. It is sent them when it has asked and its connection has room,
 * so a slow client misses pictures in between and not the last one.
 */
#include <string.h>

#include "ui/vnc/internal.h"

enum { RAW = 0, HEXTILE = 5, TIGHT = 7, ZRLE = 16, MAX_RECTS = 1000, WORD = 64,
       RECT_WIDTH = 2048, RECT_AREA = 65536,    /* what tight encoding allows */
       COMPARE_MS = 10 };

static size_t words(const VncServer *s)
{
    return ((size_t)s->tiles_x * s->tiles_y + WORD - 1) / WORD;
}

static bool bit(const uint64_t *map, size_t i)
{
    return map[i / WORD] >> (i % WORD) & 1;
}

static void set_bit(uint64_t *map, size_t i)
{
    map[i / WORD] |= 1ull << (i % WORD);
}

static void clear_bit(uint64_t *map, size_t i)
{
    map[i / WORD] &= ~(1ull << (i % WORD));
}

/* ---- finding changes ---- */

static void compare_later(void *data)
{
    VncServer *s = data;

    s->timer = 0;
    vnc_server_compare(s);
}

void vnc_dirty_mark(VncServer *s, unsigned x, unsigned y, unsigned width, unsigned height)
{
    if (!s->shadow) {
        return;
    }
    for (unsigned ty = y / VNC_TILE; ty <= (y + height - 1) / VNC_TILE; ty++) {
        for (unsigned tx = x / VNC_TILE; tx <= (x + width - 1) / VNC_TILE; tx++) {
            set_bit(s->marked, (size_t)ty * s->tiles_x + tx);
        }
    }
    if (!s->timer) {
        s->timer = loop_after(s->vm->loop, COMPARE_MS, compare_later, s);
    }
}

/* Copies the tile's lines; true if one differed. */
static bool tile_changed(VncServer *s, const Surface *now, unsigned tx, unsigned ty)
{
    unsigned x = tx * VNC_TILE, end = MIN((ty + 1) * VNC_TILE, now->height);
    size_t n = MIN(VNC_TILE, now->width - x) * sizeof(uint32_t);
    bool changed = false;

    for (unsigned y = ty * VNC_TILE; y < end; y++) {
        uint32_t *old = surface_line(s->shadow, y) + x;
        const uint32_t *new = surface_line(now, y) + x;
        if (memcmp(old, new, n) != 0) {
            memcpy(old, new, n);
            changed = true;
        }
    }
    return changed;
}

void vnc_server_compare(VncServer *s)
{
    Console *console = vnc_console(s);
    size_t n = (size_t)s->tiles_x * s->tiles_y;

    if (!console || !s->shadow) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->marked[i / WORD] == 0) {
            i |= WORD - 1;
        } else if (bit(s->marked, i) && tile_changed(s, console_surface(console), i % s->tiles_x,
                                                     i / s->tiles_x)) {
            for (unsigned j = 0; j < s->clients->len; j++) {
                VncClient *c = g_ptr_array_index(s->clients, j);
                if (c->dirty) {
                    set_bit(c->dirty, i);
                }
            }
        }
    }
    memset(s->marked, 0, words(s) * sizeof(uint64_t));
    for (unsigned j = 0; j < s->clients->len; j++) {
        vnc_update(g_ptr_array_index(s->clients, j));
    }
}

void vnc_dirty_all(VncClient *c)
{
    size_t n = words(c->server);

    if (n && !c->dirty) {
        c->dirty = g_new(uint64_t, n);
    }
    if (n) {
        memset(c->dirty, 0xff, n * sizeof(uint64_t));
    }
}

/* Another surface: a new copy, and everything is news. */
void vnc_server_resized(VncServer *s)
{
    Console *console = vnc_console(s);

    g_clear_pointer(&s->shadow, surface_free);
    g_clear_pointer(&s->marked, g_free);
    s->tiles_x = s->tiles_y = 0;
    if (console && s->looking) {
        const Surface *now = console_surface(console);
        s->shadow = surface_new(now->width, now->height);
        s->tiles_x = (now->width + VNC_TILE - 1) / VNC_TILE;
        s->tiles_y = (now->height + VNC_TILE - 1) / VNC_TILE;
        s->marked = g_new0(uint64_t, words(s));
        vnc_dirty_mark(s, 0, 0, now->width, now->height);
    }
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);
        g_clear_pointer(&c->dirty, g_free);
        if (s->shadow) {
            c->resize |= c->width != s->shadow->width || c->height != s->shadow->height;
            vnc_dirty_all(c);
        }
    }
}

/* ---- rectangles ---- */

static void header(GByteArray *out, unsigned x, unsigned y, unsigned width, unsigned height, int type)
{
    put16(out, x);
    put16(out, y);
    put16(out, width);
    put16(out, height);
    put32(out, type);
}

static void put_pixels(VncClient *c, unsigned x, unsigned y, unsigned width, unsigned height)
{
    const Surface *s = c->server->shadow;
    g_autofree uint32_t *pixels = g_new(uint32_t, (size_t)width * height);
    VncRect r = {x, y, width, height, pixels};

    for (unsigned i = 0; i < height; i++) {
        memcpy(pixels + (size_t)i * width, surface_line(s, y + i) + x, width * sizeof(uint32_t));
    }
    header(c->stream->out, x, y, width, height, c->encoding);
    switch (c->encoding) {
    case HEXTILE:
        vnc_hextile(c, &r);
        break;
    case TIGHT:
        vnc_tight(c, &r);
        break;
    case ZRLE:
        vnc_zrle(c, &r);
        break;
    default:
        vnc_raw(c, &r);
        break;
    }
}

/* The widest run of dirty tiles from (tx, ty), extended downwards while lines are the same. */
static void take_rect(VncClient *c, unsigned tx, unsigned ty)
{
    VncServer *s = c->server;
    unsigned width = 0, height = 1;

    while (tx + width < s->tiles_x && width < RECT_WIDTH / VNC_TILE &&
           bit(c->dirty, (size_t)ty * s->tiles_x + tx + width)) {
        width++;
    }
    for (; ty + height < s->tiles_y &&
           (height + 1) * width <= RECT_AREA / (VNC_TILE * VNC_TILE); height++) {
        unsigned i = 0;
        while (i < width && bit(c->dirty, (size_t)(ty + height) * s->tiles_x + tx + i)) {
            i++;
        }
        if (i < width) {
            break;
        }
    }
    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++) {
            clear_bit(c->dirty, (size_t)(ty + y) * s->tiles_x + tx + x);
        }
    }
    unsigned px = tx * VNC_TILE, py = ty * VNC_TILE;
    unsigned right = MIN(MIN((tx + width) * VNC_TILE, s->shadow->width), c->width);
    unsigned bottom = MIN(MIN((ty + height) * VNC_TILE, s->shadow->height), c->height);
    if (px < right && py < bottom) {
        put_pixels(c, px, py, right - px, bottom - py);
    } else {
        header(c->stream->out, 0, 0, 0, 0, RAW);        /* beyond what the client can show */
    }
}

static unsigned put_dirty(VncClient *c, unsigned room)
{
    VncServer *s = c->server;
    size_t n = (size_t)s->tiles_x * s->tiles_y;
    unsigned rects = 0;

    for (size_t i = 0; i < n && rects < room; i++) {
        if (c->dirty[i / WORD] == 0) {
            i |= WORD - 1;
        } else if (bit(c->dirty, i)) {
            take_rect(c, i % s->tiles_x, i / s->tiles_x);
            rects++;
        }
    }
    return rects;
}

static bool any_dirty(const VncClient *c)
{
    VncServer *s = c->server;
    size_t n = (size_t)s->tiles_x * s->tiles_y;

    for (size_t i = 0; c->dirty && i < n; i++) {
        if (c->dirty[i / WORD] == 0) {
            i |= WORD - 1;
        } else if (bit(c->dirty, i)) {
            return true;
        }
    }
    return false;
}

/* ---- pseudo rectangles ---- */

static void put_resize(VncClient *c)
{
    GByteArray *out = c->stream->out;

    if (c->features & FEATURE_RESIZE_EXT) {
        header(out, c->resize_reason, c->resize_status, c->width, c->height, -308);
        put32(out, 1u << 24);                   /* one screen, and padding */
        put32(out, 0);
        put32(out, 0);
        put16(out, c->width);
        put16(out, c->height);
        put32(out, 0);
    } else {
        header(out, 0, 0, c->width, c->height, -223);
    }
    c->resize = false;
    c->resize_reason = c->resize_status = 0;
}

static void put_cursor(VncClient *c)
{
    Console *console = vnc_console(c->server);
    int x, y;
    const Cursor *cursor = console ? console_cursor_get(console, &x, &y) : NULL;
    GByteArray *out = c->stream->out;
    unsigned width = cursor ? cursor->width : 0, height = cursor ? cursor->height : 0;
    size_t n = (size_t)width * height, mask = (width + 7) / 8;

    header(out, cursor ? cursor->hot_x : 0, cursor ? cursor->hot_y : 0, width, height, -239);
    if (n == 0) {
        return;
    }
    g_autofree uint8_t *packed = g_malloc(n * c->format.bits / 8);
    g_autofree uint8_t *bits = g_malloc0(mask * height);
    vnc_pack(&c->format, cursor->pixels, n, packed);
    for (size_t i = 0; i < n; i++) {
        if (cursor->pixels[i] >> 31) {
            bits[i / width * mask + i % width / 8] |= 0x80 >> (i % width % 8);
        }
    }
    g_byte_array_append(out, packed, n * c->format.bits / 8);
    g_byte_array_append(out, bits, mask * height);
}

/* What there is to tell besides pixels, of what the client understands. */
enum { NEWS_RESIZE = 1, NEWS_KEYS = 2, NEWS_POINTER = 4, NEWS_CURSOR = 8 };

static unsigned news_of(const VncClient *c)
{
    return (c->resize && (c->features & FEATURE_RESIZE) ? NEWS_RESIZE : 0) |
           (c->tell_keys ? NEWS_KEYS : 0) |
           (c->tell_pointer && (c->features & FEATURE_POINTER_TYPE) ? NEWS_POINTER : 0) |
           (c->cursor_changed && (c->features & FEATURE_CURSOR) ? NEWS_CURSOR : 0);
}

static unsigned put_news(VncClient *c, unsigned news)
{
    unsigned rects = 0;

    if (news & NEWS_RESIZE) {
        if (c->server->shadow) {
            c->width = c->server->shadow->width;
            c->height = c->server->shadow->height;
        }
        put_resize(c);
        rects++;
    }
    if (news & NEWS_KEYS) {
        header(c->stream->out, 0, 0, 0, 0, -258);
        c->tell_keys = false;
        rects++;
    }
    if (news & NEWS_POINTER) {
        header(c->stream->out, c->absolute, 0, c->width, c->height, -257);
        c->tell_pointer = false;
        rects++;
    }
    if (news & NEWS_CURSOR) {
        Console *console = vnc_console(c->server);
        int x, y;
        if (console && console_cursor_get(console, &x, &y)) {
            put_cursor(c);
            rects++;
        }
        c->cursor_changed = false;
    }
    return rects;
}

void vnc_update(VncClient *c)
{
    GByteArray *out = c->stream->out;
    bool absolute = input_is_absolute(c->server->vm, vnc_console_id(c->server));

    if (!c->initialized || c->gone || vnc_stream_pending(c->stream) > VNC_OUTPUT_PAUSE) {
        return;
    }
    c->tell_pointer |= absolute != c->absolute;
    c->absolute = absolute;
    unsigned news = news_of(c);
    if (!c->wants_update || (!news && !any_dirty(c))) {
        return;
    }
    guint at = out->len;
    put32(out, 0);                              /* FramebufferUpdate; the count comes last */
    unsigned rects = put_news(c, news);
    if (c->dirty) {
        rects += put_dirty(c, MAX_RECTS);
    }
    if (rects == 0) {
        g_byte_array_set_size(out, at);
        return;
    }
    out->data[at + 2] = rects >> 8;
    out->data[at + 3] = rects;
    c->wants_update = false;
    vnc_stream_flush(c->stream);
}
