/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GD5446's blitter. Spec: CL-GD5446 Technical Reference Manual, chapter 9.
 *
 * Every copy is the same walk over the lines and bytes of the destination. A line of source bytes comes
 * from video memory, an 8x8 pattern, bits that are expanded to two colours, or the CPU; a raster
 * operation combines it with what is there. Addresses wrap at the end of video memory.
 */
#include <string.h>
#include "hw/display/cirrus.h"

enum {
    BACKWARDS = 1, TO_SYSTEM = 2, FROM_SYSTEM = 4, TRANSPARENT = 8, PATTERN = 0x40, EXPAND = 0x80,
    EXT_DWORDS = 1, EXT_INVERT = 2, EXT_SOLID = 4,
    GR_WIDTH = 0x20, GR_HEIGHT = 0x22, GR_TO_PITCH = 0x24, GR_FROM_PITCH = 0x26, GR_TO = 0x28,
    GR_FROM = 0x2c, GR_MASK = 0x2f, GR_MODE = 0x30, GR_STATUS = 0x31, GR_ROP = 0x32, GR_EXT = 0x33,
    GR_KEY = 0x34, LINE_BYTES = 8192, STATUS_BUSY = 1, STATUS_START = 2, STATUS_PROGRESS = 8,
};

typedef struct Job {
    uint32_t width, height;     /* bytes, lines */
    uint32_t to, from, to_pitch, from_pitch;
    unsigned pixel;             /* bytes */
    uint8_t mode, ext, rop, skip;
    uint8_t front[4], back[4];
} Job;

static Job job_of(const CirrusState *s)
{
    const uint8_t *g = s->gr;
    Job j = {
        .width = (g[GR_WIDTH] | (g[GR_WIDTH + 1] & 0x1f) << 8) + 1,
        .height = (g[GR_HEIGHT] | (g[GR_HEIGHT + 1] & 7) << 8) + 1,
        .to_pitch = g[GR_TO_PITCH] | (g[GR_TO_PITCH + 1] & 0x1f) << 8,
        .from_pitch = g[GR_FROM_PITCH] | (g[GR_FROM_PITCH + 1] & 0x1f) << 8,
        .to = g[GR_TO] | g[GR_TO + 1] << 8 | (g[GR_TO + 2] & 0x3f) << 16,
        .from = g[GR_FROM] | g[GR_FROM + 1] << 8 | (g[GR_FROM + 2] & 0x3f) << 16,
        .mode = g[GR_MODE], .ext = g[GR_EXT], .rop = g[GR_ROP], .pixel = (g[GR_MODE] >> 4 & 3) + 1,
    };

    for (unsigned i = 0; i < 4; i++) {          /* GR0, 10, 12, 14 and GR1, 11, 13, 15 */
        j.back[i] = g[i ? 0x0e + 2 * i : 0];
        j.front[i] = g[i ? 0x0f + 2 * i : 1];
    }
    if (j.mode & EXPAND) {
        j.skip = j.pixel == 3 ? (g[GR_MASK] & 0x1f) / 3 : g[GR_MASK] & 7;
    }
    return j;
}

/* ---- one line ---- */

static uint8_t combine(uint8_t rop, uint8_t s, uint8_t d)
{
    switch (rop) {
    case 0x00: return 0;
    case 0x05: return s & d;
    case 0x06: return d;
    case 0x09: return s & ~d;
    case 0x0b: return ~d;
    case 0x0e: return 0xff;
    case 0x50: return ~s & d;
    case 0x59: return s ^ d;
    case 0x6d: return s | d;
    case 0x90: return ~s | ~d;
    case 0x95: return ~(s ^ d);
    case 0xad: return s | ~d;
    case 0xd0: return ~s;
    case 0xd6: return ~s | d;
    case 0xda: return ~s & ~d;
    default: return s;          /* 0x0d */
    }
}

/* Bytes of the source that are not to be copied have a 0 in `shown`; NULL: all are. */
static void put_line(CirrusBlit *b, const Job *j, uint32_t to, const uint8_t *from, const uint8_t *shown)
{
    int step = j->mode & BACKWARDS ? -1 : 1;

    for (uint32_t i = 0; i < j->width; i++, to += step) {
        uint8_t *d = b->vram + (to & b->mask);
        if (!shown || shown[i]) {
            *d = combine(j->rop, from[i], *d);
        }
    }
}

/* Pixels of the key colour stay away (8 and 16 bits a pixel). */
static void key_out(const CirrusBlit *b, const Job *j, const uint8_t *from, uint8_t *shown)
{
    const uint8_t *key = b->s->gr + GR_KEY;
    unsigned n = MIN(j->pixel, 2u);

    for (uint32_t i = 0; i + n <= j->width; i += n) {
        bool same = true;
        for (unsigned k = 0; k < n; k++) {
            unsigned at = j->mode & BACKWARDS ? n - 1 - k : k;
            same &= from[i + k] == key[at];
        }
        memset(shown + i, !same, n);
    }
}

/* Bits to pixels of the two colours; the first `skip` pixels are left alone. */
static void expand(const Job *j, const uint8_t *bits, unsigned bit, unsigned wrap, uint8_t *out,
                   uint8_t *shown)
{
    for (uint32_t i = 0, n = 0; i < j->width; i += j->pixel, n++) {
        unsigned at = wrap ? (bit + n) % wrap : bit + n;
        bool on = (bits[at / 8] >> (7 - at % 8) & 1) != !!(j->ext & EXT_INVERT);
        for (unsigned k = 0; k < j->pixel && i + k < j->width; k++) {
            out[i + k] = on ? j->front[k] : j->back[k];
            shown[i + k] = n >= j->skip && (on || !(j->mode & TRANSPARENT));
        }
    }
}

static void read_vram(const CirrusBlit *b, uint32_t from, uint8_t *out, uint32_t n, int step)
{
    for (uint32_t i = 0; i < n; i++, from += step) {
        out[i] = b->vram[from & b->mask];
    }
}

/* What stands in `line` becomes destination line y. */
static void draw(CirrusBlit *b, const Job *j, uint32_t y, const uint8_t *line)
{
    uint32_t pitch = j->mode & BACKWARDS ? -j->to_pitch : j->to_pitch;
    uint8_t shown[LINE_BYTES], out[LINE_BYTES];

    if (j->mode & EXPAND) {
        expand(j, line, 0, j->mode & PATTERN ? 8 : 0, out, shown);
        put_line(b, j, j->to + y * pitch, out, shown);
    } else if (j->mode & TRANSPARENT) {
        memset(shown, 1, sizeof(shown));
        key_out(b, j, line, shown);
        put_line(b, j, j->to + y * pitch, line, shown);
    } else {
        put_line(b, j, j->to + y * pitch, line, NULL);
    }
}

/* ---- sources ---- */

/* Patterns are 8x8: of bits, or of pixels (with three bytes each in lines of 32). */
static void pattern_line(const CirrusBlit *b, const Job *j, uint32_t y, uint8_t *line)
{
    unsigned row = (j->from + y) & 7;

    if (j->mode & EXPAND) {
        read_vram(b, (j->from & ~7u) + row, line, 1, 1);
        return;
    }
    unsigned pitch = j->pixel == 3 ? 32 : 8 * j->pixel, n = 8 * j->pixel;
    uint32_t base = j->from & ~(8 * pitch - 1);
    for (uint32_t i = 0; i < j->width; i++) {
        line[i] = b->vram[(base + row * pitch + i % n) & b->mask];
    }
}

static void solid(CirrusBlit *b, const Job *j)
{
    uint8_t line[LINE_BYTES];

    for (uint32_t i = 0; i < j->width; i++) {
        line[i] = j->front[i % j->pixel];
    }
    for (uint32_t y = 0; y < j->height; y++) {
        put_line(b, j, j->to + y * j->to_pitch, line, NULL);
    }
}

static uint32_t bit_bytes(const Job *j)
{
    uint32_t pixels = j->width / j->pixel;

    return j->ext & EXT_DWORDS ? (pixels + 31) / 32 * 4 : (pixels + 7) / 8;
}

static void from_vram(CirrusBlit *b, const Job *j)
{
    int step = j->mode & BACKWARDS ? -1 : 1;
    uint32_t bytes = j->mode & EXPAND ? bit_bytes(j) : j->width;
    uint32_t pitch = j->mode & EXPAND ? bytes : j->from_pitch;
    uint8_t line[LINE_BYTES + 32];

    for (uint32_t y = 0; y < j->height; y++) {
        if (j->mode & PATTERN) {
            pattern_line(b, j, y, line);
        } else {
            read_vram(b, j->from + y * (uint32_t)step * pitch, line, bytes, step);
        }
        draw(b, j, y, line);
    }
}

/* ---- entry ---- */

static void finished(CirrusState *s)
{
    memset(&s->feed, 0, sizeof(s->feed));
    s->gr[GR_STATUS] &= ~(STATUS_BUSY | STATUS_START | STATUS_PROGRESS);
}

static void wait_for_cpu(CirrusState *s, const Job *j)
{
    bool bits = j->mode & EXPAND;

    s->feed = (CirrusFeed){.lines = j->mode & PATTERN ? 1 : j->height,
                           .line_bytes = j->mode & PATTERN ? (bits ? 8 : 8 * 8 * j->pixel)
                                         : bits ? bit_bytes(j) : (j->width + 3) & ~3u};
    s->gr[GR_STATUS] |= STATUS_BUSY | STATUS_PROGRESS;
}

void cirrus_blit_start(CirrusBlit *b)
{
    CirrusState *s = b->s;
    Job j = job_of(s);

    if (j.mode & TO_SYSTEM) {           /* the CPU would read the picture; no driver does */
        finished(s);
    } else if (j.mode & FROM_SYSTEM) {
        wait_for_cpu(s, &j);
    } else if (j.ext & EXT_SOLID && (j.mode & (TRANSPARENT | PATTERN | EXPAND)) == (PATTERN | EXPAND)) {
        solid(b, &j);
        finished(s);
    } else {
        from_vram(b, &j);
        finished(s);
    }
}

/* A pattern that the CPU gave, for all lines. */
static void draw_fed_pattern(CirrusBlit *b, const Job *j)
{
    uint8_t line[LINE_BYTES];
    unsigned n = 8 * j->pixel;

    for (uint32_t y = 0; y < j->height; y++) {
        if (j->mode & EXPAND) {
            line[0] = b->s->feed.line[y & 7];
        } else {
            for (uint32_t i = 0; i < j->width; i++) {
                line[i] = b->s->feed.line[(y & 7) * n + i % n];
            }
        }
        draw(b, j, y, line);
    }
}

bool cirrus_blit_feed(CirrusBlit *b, uint8_t byte)
{
    CirrusFeed *f = &b->s->feed;
    Job j = job_of(b->s);

    if (f->got < sizeof(f->line)) {
        f->line[f->got++] = byte;
    }
    if (f->got < f->line_bytes) {
        return false;
    }
    if (j.mode & PATTERN) {
        draw_fed_pattern(b, &j);
    } else {
        draw(b, &j, j.height - MIN(f->lines, j.height), f->line);
    }
    f->got = 0;
    if (--f->lines) {
        return false;
    }
    finished(b->s);
    return true;
}
