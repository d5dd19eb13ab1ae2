/* SPDX-License-Identifier: Apache-2.0 */
/* From VGA's registers and planes to a picture: text, 16, 4 and 256 colours. */
#include "hw/display/vga.h"

#include <string.h>

enum {
    CRTC_HDISPLAY_END = 1, CRTC_OVERFLOW = 7, CRTC_MAX_SCAN = 9, CRTC_CURSOR_START = 10,
    CRTC_CURSOR_END = 11, CRTC_START_HIGH = 12, CRTC_START_LOW = 13, CRTC_CURSOR_HIGH = 14,
    CRTC_CURSOR_LOW = 15, CRTC_VDISPLAY_END = 0x12, CRTC_OFFSET = 0x13, CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
    SEQ_CLOCKING = 1, SEQ_FONTS = 3, NARROW = 1, HALF_CLOCK = 8, SCREEN_OFF = 0x20,
    GFX_MODE = 5, GFX_MISC = 6, GRAPHICS = 1, SHIFT_CGA = 0x20, SHIFT_256 = 0x40,
    ATTR_MODE = 16, ATTR_PLANES = 18, ATTR_SELECT = 20, LINE_GRAPHICS = 4, BLINK = 8,
    ATTR_VIDEO_ON = 0x20, FONT_BYTES = 32, COLUMNS_MAX = 256, ROWS_MAX = 256,
};

static unsigned lines_of(const VgaState *s)
{
    unsigned over = s->crtc[CRTC_OVERFLOW];

    return (s->crtc[CRTC_VDISPLAY_END] | (over & 2) << 7 | (over & 0x40) << 3) + 1;
}

static unsigned line_compare(const VgaState *s)
{
    return s->crtc[CRTC_LINE_COMPARE] | (s->crtc[CRTC_OVERFLOW] & 0x10) << 4 |
           (s->crtc[CRTC_MAX_SCAN] & 0x40) << 3;
}

static unsigned start_address(const VgaState *s)
{
    return s->crtc[CRTC_START_HIGH] << 8 | s->crtc[CRTC_START_LOW];
}

/* Scan lines that show one line of a picture. */
static unsigned repeat_of(const VgaState *s)
{
    return ((s->crtc[CRTC_MAX_SCAN] & 31) + 1) << (s->crtc[CRTC_MAX_SCAN] >> 7);
}

/* What the attribute controller makes of four bits. */
static uint32_t colour(const VgaView *v, unsigned index)
{
    const VgaState *s = v->state;
    unsigned c = s->attr[index & 15];

    c = s->attr[ATTR_MODE] & 0x80 ? (c & 15) | (s->attr[ATTR_SELECT] & 3) << 4 : c & 63;
    c |= (s->attr[ATTR_SELECT] & 12) << 4;
    return v->palette[c & s->dac_mask];
}

static const uint8_t *cell(const VgaView *v, uint32_t n)
{
    return (const uint8_t *)mem_host(v->vram) + (n & 0xffff) * 4;
}

static Surface *sized(VgaView *v, unsigned width, unsigned height)
{
    if (v->width != width || v->height != height) {
        v->width = width;
        v->height = height;
        console_show(v->console, surface_new(width, height));
    }
    return console_surface(v->console);
}

/* ---- text ---- */

typedef struct TextMode {
    unsigned columns, rows, cell_width, cell_height;
    uint32_t start, pitch, cursor;      /* in cells; cursor outside of them: none */
} TextMode;

static bool text_mode(const VgaState *s, TextMode *t)
{
    t->columns = s->crtc[CRTC_HDISPLAY_END] + 1;
    t->cell_height = (s->crtc[CRTC_MAX_SCAN] & 31) + 1;
    t->rows = lines_of(s) / t->cell_height;
    t->cell_width = s->seq[SEQ_CLOCKING] & NARROW ? 8 : 9;
    t->start = start_address(s);
    t->pitch = s->crtc[CRTC_OFFSET] * 2;
    t->cursor = s->crtc[CRTC_CURSOR_START] & 0x20 ? UINT32_MAX
                : (uint32_t)(s->crtc[CRTC_CURSOR_HIGH] << 8 | s->crtc[CRTC_CURSOR_LOW]);
    return t->columns <= COLUMNS_MAX && t->rows && t->rows <= ROWS_MAX;
}

/* Character maps: three bits each, scattered over the register. */
static uint32_t font_base(const VgaState *s, bool second)
{
    static const uint8_t kib[8] = {0, 16, 32, 48, 8, 24, 40, 56};
    unsigned r = s->seq[SEQ_FONTS];

    return 1024u * kib[second ? (r >> 2 & 3) | (r >> 3 & 4) : (r & 3) | (r >> 2 & 4)];
}

static void draw_character(const VgaView *v, const TextMode *t, Surface *out, unsigned column,
                           unsigned row, const uint8_t *what, bool cursor)
{
    const VgaState *s = v->state;
    uint8_t c = what[0], attribute = what[1];
    uint32_t font = font_base(s, attribute & 8) + c * FONT_BYTES;
    uint32_t front = colour(v, attribute & 15);
    uint32_t back = colour(v, attribute >> 4 & (s->attr[ATTR_MODE] & BLINK ? 7 : 15));
    unsigned first = s->crtc[CRTC_CURSOR_START] & 31, last = s->crtc[CRTC_CURSOR_END] & 31;
    bool joined = s->attr[ATTR_MODE] & LINE_GRAPHICS && c >= 0xc0 && c <= 0xdf;

    for (unsigned y = 0; y < t->cell_height; y++) {
        unsigned bits = cell(v, font + y)[2] << 1;
        uint32_t *p = surface_line(out, row * t->cell_height + y) + column * t->cell_width;
        bits |= joined ? bits >> 1 & 1 : 0;
        bits = cursor && y >= first && y <= last ? 0x1ff : bits;
        for (unsigned x = 0; x < t->cell_width; x++) {
            p[x] = bits >> (8 - x) & 1 ? front : back;
        }
    }
}

static void draw_text(VgaView *v)
{
    TextMode t;

    if (!text_mode(v->state, &t)) {
        return;
    }
    Surface *s = sized(v, t.columns * t.cell_width, t.rows * t.cell_height);
    for (unsigned row = 0; row < t.rows; row++) {
        for (unsigned column = 0; column < t.columns; column++) {
            uint32_t at = t.start + row * t.pitch + column;
            draw_character(v, &t, s, column, row, cell(v, at), at == t.cursor);
        }
    }
    console_update(v->console, 0, 0, s->width, s->height);
}

/* ---- graphics ---- */

/* Eight pixels of one cell; 16 colours of four planes. */
static void planar_pixels(const VgaView *v, const uint8_t *p, const uint32_t *colours, uint32_t *out)
{
    unsigned planes = v->state->attr[ATTR_PLANES];

    for (unsigned x = 0; x < 8; x++) {
        unsigned index = 0;
        for (unsigned i = 0; i < 4; i++) {
            index |= (p[i] >> (7 - x) & 1u) << i;
        }
        out[x] = colours[index & planes];
    }
}

/* Eight pixels of two bits, as the CGA had them. */
static void cga_pixels(const VgaView *v, const uint8_t *p, const uint32_t *colours, uint32_t *out)
{
    unsigned planes = v->state->attr[ATTR_PLANES];

    for (unsigned x = 0; x < 8; x++) {
        unsigned i = x / 4, shift = 6 - 2 * (x % 4);
        out[x] = colours[((p[i] >> shift & 3) | (p[i + 2] >> shift & 3) << 2) & planes];
    }
}

static void line_256(const VgaView *v, uint32_t at, unsigned width, uint32_t *out)
{
    for (unsigned x = 0; x < width; x++) {
        out[x] = v->palette[cell(v, at + x / 4)[x & 3] & v->state->dac_mask];
    }
}

static void line_16(const VgaView *v, uint32_t at, unsigned width, const uint32_t *colours, uint32_t *out)
{
    bool cga = v->state->gfx[GFX_MODE] & SHIFT_CGA;

    for (unsigned x = 0; x < width; x += 8) {
        (cga ? cga_pixels : planar_pixels)(v, cell(v, at + x / 8), colours, out + x);
    }
}

/* The cell in which a scan line begins. */
static uint32_t line_start(const VgaState *s, unsigned scan, unsigned repeat)
{
    unsigned compare = line_compare(s);
    uint32_t start = start_address(s);

    if (scan > compare) {
        scan -= compare + 1;
        start = 0;
    }
    uint32_t at = start + scan / repeat * s->crtc[CRTC_OFFSET] * 2;
    if (!(s->crtc[CRTC_MODE] & 1)) {            /* CGA: odd lines stand 8 KiB further */
        at = (at & ~0x2000u) | (scan % repeat & 1) << 13;
    }
    return at;
}

static void draw_graphics(VgaView *v)
{
    const VgaState *s = v->state;
    bool deep = s->gfx[GFX_MODE] & SHIFT_256;
    bool cga = !(s->crtc[CRTC_MODE] & 1);
    unsigned repeat = repeat_of(s), step = cga ? 1 : repeat;
    unsigned width = (s->crtc[CRTC_HDISPLAY_END] + 1) * (deep ? 4 : 8), height = lines_of(s) / step;
    uint32_t colours[16];

    if (!height) {
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        colours[i] = colour(v, i);
    }
    Surface *out = sized(v, width, height);
    for (unsigned y = 0; y < height; y++) {
        uint32_t at = line_start(s, y * step, repeat);
        if (deep) {
            line_256(v, at, width, surface_line(out, y));
        } else {
            line_16(v, at, width, colours, surface_line(out, y));
        }
    }
    console_update(v->console, 0, 0, width, height);
}

/* ---- the console ---- */

bool vga_linear_mode(VgaView *v, DispiMode *mode)
{
    return v->mode ? v->mode(v, mode) : dispi_mode(&v->state->dispi, mem_size(v->vram), mode);
}

static void draw_blank(VgaView *v)
{
    Surface *s = sized(v, v->width ? v->width : 720, v->height ? v->height : 400);

    memset(s->pixels, 0, (size_t)s->stride * s->height);
    console_update(v->console, 0, 0, s->width, s->height);
}

static void draw_planes(VgaView *v)
{
    const VgaState *s = v->state;

    if (s->seq[SEQ_CLOCKING] & SCREEN_OFF || !(s->attr_index & ATTR_VIDEO_ON)) {
        draw_blank(v);
    } else if (s->gfx[GFX_MISC] & GRAPHICS) {
        draw_graphics(v);
    } else {
        draw_text(v);
    }
}

static void refresh(void *opaque)
{
    VgaView *v = opaque;
    DispiMode mode;

    device_lock(v->dev);
    if (vga_linear_mode(v, &mode)) {
        v->width = v->height = 0;
        linear_refresh(&v->linear, v->console, v->vram, &mode, v->palette, v->all);
    } else {
        linear_forget(&v->linear);
        if (v->changed || v->all) {
            draw_planes(v);
        }
    }
    v->changed = v->all = false;
    device_unlock(v->dev);
}

static void invalidate(void *opaque)
{
    ((VgaView *)opaque)->all = true;
}

static bool text(void *opaque, uint16_t *cells, unsigned *columns, unsigned *rows)
{
    VgaView *v = opaque;
    DispiMode mode;
    TextMode t;

    device_lock(v->dev);
    bool is_text = !vga_linear_mode(v, &mode) && !(v->state->gfx[GFX_MISC] & GRAPHICS) &&
                   text_mode(v->state, &t);
    if (is_text) {
        *columns = MIN(*columns, t.columns);
        *rows = MIN(*rows, t.rows);
        for (unsigned i = 0; i < *columns * *rows; i++) {
            const uint8_t *p = cell(v, t.start + i / *columns * t.pitch + i % *columns);
            cells[i] = p[0] | p[1] << 8;
        }
    }
    device_unlock(v->dev);
    return is_text;
}

const ConsoleOps vga_console_ops = {.refresh = refresh, .invalidate = invalidate, .text = text};
