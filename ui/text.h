/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal as a matrix of cells: what text consoles show. Control thread. */
#ifndef UI_TEXT_H
#define UI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Cells as in VGA's memory: a character of code page 437, the attribute above. */
typedef struct Terminal {
    unsigned columns, rows, x, y;
    uint16_t *cells;
    uint8_t attribute;
    bool bold, reverse, wrap;   /* wrap: the line is full, the next character begins another */
    unsigned top, bottom;       /* lines that scroll */
    unsigned saved_x, saved_y;
    enum { TERM_TEXT, TERM_ESCAPE, TERM_CSI, TERM_SKIP } state;
    unsigned params[8], n_params;
    uint32_t character;         /* UTF-8 so far, bytes to come */
    unsigned utf8_left;
    GByteArray *answers;        /* to questions in the text */
} Terminal;

void terminal_init(Terminal *t, unsigned columns, unsigned rows);
void terminal_clear(Terminal *t);
void terminal_put(Terminal *t, uint8_t byte);
/* What a key sends (xterm's sequences); at most 8 bytes. */
unsigned terminal_key(uint32_t keysym, bool ctrl, uint8_t out[8]);
/* Unicode of a character of code page 437. */
uint32_t terminal_unicode(uint8_t character);
/* Sixteen lines of eight pixels. */
const uint8_t *terminal_glyph(uint8_t character);
/* Red, green and blue of a VGA attribute's colour. */
uint32_t terminal_colour(unsigned index);

#endif
