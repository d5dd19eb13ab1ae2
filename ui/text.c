/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal: text and the control sequences of ECMA-48 that programs use. */
#include "ui/text.h"
#include <string.h>

enum { PLAIN = 0x07, BLANK = ' ' };

static const uint8_t glyphs[256][16] = {
#include "ui/font.inc"
};
static const uint16_t unicodes[256] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642,
    0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc, 0x0020, 0x0021, 0x0022, 0x0023,
    0x0024, 0x0025, 0x0026, 0x0027, 0x0028, 0x0029, 0x002a, 0x002b, 0x002c, 0x002d, 0x002e, 0x002f,
    0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036, 0x0037, 0x0038, 0x0039, 0x003a, 0x003b,
    0x003c, 0x003d, 0x003e, 0x003f, 0x0040, 0x0041, 0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047,
    0x0048, 0x0049, 0x004a, 0x004b, 0x004c, 0x004d, 0x004e, 0x004f, 0x0050, 0x0051, 0x0052, 0x0053,
    0x0054, 0x0055, 0x0056, 0x0057, 0x0058, 0x0059, 0x005a, 0x005b, 0x005c, 0x005d, 0x005e, 0x005f,
    0x0060, 0x0061, 0x0062, 0x0063, 0x0064, 0x0065, 0x0066, 0x0067, 0x0068, 0x0069, 0x006a, 0x006b,
    0x006c, 0x006d, 0x006e, 0x006f, 0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077,
    0x0078, 0x0079, 0x007a, 0x007b, 0x007c, 0x007d, 0x007e, 0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
    0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2,
    0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
    0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
    0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
    0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0,
    0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a,
    0x207f, 0x00b2, 0x25a0, 0x00a0,
};

const uint8_t *terminal_glyph(uint8_t character)
{
    return glyphs[character];
}

uint32_t terminal_unicode(uint8_t character)
{
    return unicodes[character];
}

uint32_t terminal_colour(unsigned index)
{
    static const uint32_t colours[16] = {
        0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
        0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff,
    };

    return colours[index & 15];
}

static uint8_t from_unicode(uint32_t u)
{
    if (u >= ' ' && u < 0x7f) {
        return u;
    }
    for (unsigned i = 1; i < 256; i++) {
        if (unicodes[i] == u) {
            return i;
        }
    }
    return '?';
}

/* ---- the matrix ---- */

static uint8_t attribute(const Terminal *t)
{
    uint8_t a = t->attribute | (t->bold ? 8 : 0);

    return t->reverse ? (a & 0x0f) << 4 | (a & 0xf0) >> 4 : a;
}

static void blank(Terminal *t, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to && i < t->columns * t->rows; i++) {
        t->cells[i] = BLANK | t->attribute << 8;
    }
}

void terminal_init(Terminal *t, unsigned columns, unsigned rows)
{
    *t = (Terminal){.columns = columns, .rows = rows, .attribute = PLAIN, .bottom = rows,
                    .cells = g_new(uint16_t, columns * rows), .answers = g_byte_array_new()};
    blank(t, 0, columns * rows);
}

void terminal_clear(Terminal *t)
{
    g_clear_pointer(&t->cells, g_free);
    g_clear_pointer(&t->answers, g_byte_array_unref);
}

static void scroll(Terminal *t, unsigned first, unsigned n, bool up)
{
    unsigned lines = t->bottom - first, w = t->columns;

    n = MIN(n, lines);
    if (up) {
        memmove(t->cells + first * w, t->cells + (first + n) * w, (lines - n) * w * sizeof(*t->cells));
        blank(t, (t->bottom - n) * w, t->bottom * w);
    } else {
        memmove(t->cells + (first + n) * w, t->cells + first * w, (lines - n) * w * sizeof(*t->cells));
        blank(t, first * w, (first + n) * w);
    }
}

static void line_feed(Terminal *t)
{
    if (t->y + 1 == t->bottom) {
        scroll(t, t->top, 1, true);
    } else if (t->y + 1 < t->rows) {
        t->y++;
    }
}

static void put_character(Terminal *t, uint8_t c)
{
    if (t->wrap) {
        t->x = 0;
        line_feed(t);
    }
    t->cells[t->y * t->columns + t->x] = c | attribute(t) << 8;
    t->wrap = t->x + 1 == t->columns;
    t->x += !t->wrap;
}

static void go(Terminal *t, unsigned x, unsigned y)
{
    t->x = MIN(x, t->columns - 1);
    t->y = MIN(y, t->rows - 1);
    t->wrap = false;
}

/* ---- control sequences ---- */

static void colour(Terminal *t, unsigned p)
{
    static const uint8_t vga[8] = {0, 4, 2, 6, 1, 5, 3, 7};     /* blue and red trade places */

    if (p == 0) {
        t->attribute = PLAIN;
        t->bold = t->reverse = false;
    } else if (p == 1 || p == 22) {
        t->bold = p == 1;
    } else if (p == 7 || p == 27) {
        t->reverse = p == 7;
    } else if (p >= 30 && p <= 39 && p != 38) {
        t->attribute = (t->attribute & 0xf0) | (p == 39 ? 7 : vga[p - 30]);
    } else if (p >= 40 && p <= 49 && p != 48) {
        t->attribute = (t->attribute & 0x0f) | (p == 49 ? 0 : vga[p - 40]) << 4;
    } else if (p >= 90 && p <= 97) {
        t->attribute = (t->attribute & 0xf0) | vga[p - 90] | 8;
    }
}

static void erase(Terminal *t, unsigned how, unsigned from, unsigned to)
{
    unsigned at = t->y * t->columns + t->x;

    blank(t, how == 0 ? at : from, how == 1 ? at + 1 : to);
}

/* Characters within the line, from the cursor on. */
static void shift(Terminal *t, unsigned n, bool insert)
{
    uint16_t *line = t->cells + t->y * t->columns;
    unsigned room = t->columns - t->x, start = t->y * t->columns;

    n = MIN(n, room);
    if (insert) {
        memmove(line + t->x + n, line + t->x, (room - n) * sizeof(*line));
        blank(t, start + t->x, start + t->x + n);
    } else {
        memmove(line + t->x, line + t->x + n, (room - n) * sizeof(*line));
        blank(t, start + t->columns - n, start + t->columns);
    }
}

static void report(Terminal *t, unsigned what)
{
    g_autofree char *text = what == 6 ? g_strdup_printf("\033[%u;%uR", t->y + 1, t->x + 1) : g_strdup("\033[0n");

    g_byte_array_append(t->answers, (const uint8_t *)text, strlen(text));
}

static void margins(Terminal *t, unsigned top, unsigned bottom)
{
    t->top = top ? top - 1 : 0;
    t->bottom = bottom && bottom <= t->rows ? bottom : t->rows;
    if (t->top >= t->bottom) {
        t->top = 0;
        t->bottom = t->rows;
    }
    go(t, 0, 0);
}

static void sequence(Terminal *t, uint8_t final)
{
    unsigned a = t->params[0], n = MAX(a, 1), all = t->columns * t->rows, start = t->y * t->columns;

    n = MIN(n, 1000u);
    switch (final) {
    case 'A': go(t, t->x, t->y - MIN(n, t->y)); break;
    case 'B': case 'e': go(t, t->x, t->y + n); break;
    case 'C': case 'a': go(t, t->x + n, t->y); break;
    case 'D': go(t, t->x - MIN(n, t->x), t->y); break;
    case 'G': case '`': go(t, n - 1, t->y); break;
    case 'd': go(t, t->x, n - 1); break;
    case 'H': case 'f': go(t, MAX(t->params[1], 1) - 1, n - 1); break;
    case 'J': erase(t, a, 0, all); break;
    case 'K': erase(t, a, start, start + t->columns); break;
    case 'L': case 'M':
        if (t->y >= t->top && t->y < t->bottom) {
            scroll(t, t->y, n, final == 'M');
        }
        break;
    case 'S': scroll(t, t->top, n, true); break;
    case 'T': scroll(t, t->top, n, false); break;
    case '@': shift(t, n, true); break;
    case 'P': shift(t, n, false); break;
    case 'X': blank(t, start + t->x, start + MIN(t->x + n, t->columns)); break;
    case 'm':
        for (unsigned i = 0; i < MAX(t->n_params, 1); i++) {
            colour(t, t->params[i]);
        }
        break;
    case 'n': report(t, a); break;
    case 'r': margins(t, a, t->params[1]); break;
    case 's': t->saved_x = t->x, t->saved_y = t->y; break;
    case 'u': go(t, t->saved_x, t->saved_y); break;
    default: break;             /* modes and the like */
    }
}

static void csi(Terminal *t, uint8_t c)
{
    if (c >= '0' && c <= '9') {
        unsigned i = MIN(t->n_params ? t->n_params - 1 : 0, G_N_ELEMENTS(t->params) - 1);
        t->n_params = MAX(t->n_params, 1);
        t->params[i] = MIN(t->params[i] * 10 + (c - '0'), 9999u);
    } else if (c == ';') {
        t->n_params = MIN(MAX(t->n_params, 1) + 1, G_N_ELEMENTS(t->params));
    } else if (c >= 0x40 && c < 0x7f) {
        t->state = TERM_TEXT;
        sequence(t, c);
    } else if (c == '?' || c == '>') {
        t->state = TERM_SKIP;   /* private ones */
    }
}

static void escape(Terminal *t, uint8_t c)
{
    t->state = TERM_TEXT;
    switch (c) {
    case '[':
        t->state = TERM_CSI;
        memset(t->params, 0, sizeof(t->params));
        t->n_params = 0;
        break;
    case '7': t->saved_x = t->x, t->saved_y = t->y; break;
    case '8': go(t, t->saved_x, t->saved_y); break;
    case 'D': line_feed(t); break;
    case 'E': t->x = 0; line_feed(t); break;
    case 'M':
        if (t->y == t->top) {
            scroll(t, t->top, 1, false);
        } else if (t->y) {
            t->y--;
        }
        break;
    case 'c':
        colour(t, 0);
        margins(t, 0, 0);
        blank(t, 0, t->columns * t->rows);
        break;
    default: break;
    }
}

/* ---- text ---- */

static void text(Terminal *t, uint8_t c)
{
    if (t->utf8_left && (c & 0xc0) == 0x80) {
        t->character = t->character << 6 | (c & 0x3f);
        if (--t->utf8_left == 0) {
            put_character(t, from_unicode(t->character));
        }
        return;
    }
    t->utf8_left = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    if (t->utf8_left) {
        t->character = c & (0x3f >> t->utf8_left);
        return;
    }
    switch (c) {
    case 7: break;
    case 8: go(t, t->x - MIN(1u, t->x), t->y); break;
    case 9: go(t, (t->x | 7) + 1, t->y); break;
    case 10: case 11: case 12: t->wrap = false; line_feed(t); break;
    case 13: t->x = 0; t->wrap = false; break;
    case 27: t->state = TERM_ESCAPE; break;
    default:
        if (c >= ' ' && c != 0x7f) {
            put_character(t, c < 0x80 ? c : '?');
        }
        break;
    }
}

void terminal_put(Terminal *t, uint8_t byte)
{
    switch (t->state) {
    case TERM_ESCAPE: escape(t, byte); break;
    case TERM_CSI: csi(t, byte); break;
    case TERM_SKIP: t->state = byte >= 0x40 && byte < 0x7f ? TERM_TEXT : TERM_SKIP; break;
    default: text(t, byte); break;
    }
}

/* ---- keys ---- */

unsigned terminal_key(uint32_t keysym, bool ctrl, uint8_t out[8])
{
    static const struct { uint16_t keysym; const char *text; } keys[] = {
        {0xff08, "\177"}, {0xff09, "\t"}, {0xff0d, "\r"}, {0xff1b, "\033"}, {0xff8d, "\r"},
        {0xff50, "\033[H"}, {0xff51, "\033[D"}, {0xff52, "\033[A"}, {0xff53, "\033[C"}, {0xff54, "\033[B"},
        {0xff55, "\033[5~"}, {0xff56, "\033[6~"}, {0xff57, "\033[F"}, {0xff63, "\033[2~"}, {0xffff, "\033[3~"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].keysym == keysym) {
            memcpy(out, keys[i].text, strlen(keys[i].text));
            return strlen(keys[i].text);
        }
    }
    if (keysym >= 0xffaa && keysym <= 0xffb9) {         /* the number pad */
        keysym -= 0xff80;
    }
    if (keysym >= 0x01000100 && keysym <= 0x0110ffff) {
        keysym -= 0x01000000;
    } else if (keysym > 0xff) {
        return 0;
    }
    if (ctrl && keysym >= '@' && keysym < 0x7f) {
        out[0] = keysym & 0x1f;
        return 1;
    }
    return keysym >= ' ' ? (unsigned)g_unichar_to_utf8(keysym, (char *)out) : 0;
}
