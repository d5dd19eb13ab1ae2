/* SPDX-License-Identifier: Apache-2.0 */
/* Cirrus Logic GD5446: registers beyond VGA's, and the blitter. Spec: CL-GD5446 Technical Reference
 * Manual; registers carry its names (SR, GR, CR and a hexadecimal number). */
#ifndef HW_DISPLAY_CIRRUS_H
#define HW_DISPLAY_CIRRUS_H

#include "hw/display/vga.h"

enum { CIRRUS_SR = 32, CIRRUS_GR = 64, CIRRUS_CR = 64, CIRRUS_FIFO = 8192 };

/* A copy whose source the CPU writes, line by line. */
typedef struct CirrusFeed {
    uint32_t line_bytes, got, lines;    /* of a line; of this line; left (0: no such copy) */
    uint8_t line[CIRRUS_FIFO];
} CirrusFeed;

typedef struct CirrusState {
    VgaState vga;
    uint8_t sr_index, gr_index, cr_index;
    uint8_t sr[CIRRUS_SR], gr[CIRRUS_GR], cr[CIRRUS_CR];
    uint8_t cursor_x[2], cursor_y[2];   /* low three bits are behind */
    uint8_t hidden_dac, dac_reads;
    uint8_t cursor_colours[6];
    CirrusFeed feed;
} CirrusState;

/* What the blitter works on. */
typedef struct CirrusBlit {
    CirrusState *s;
    uint8_t *vram;
    uint32_t mask;              /* size of vram less one */
} CirrusBlit;

/* GR31 was written with the start bit: does the copy, or prepares feed. */
void cirrus_blit_start(CirrusBlit *b);
/* The CPU wrote a byte of the source; true: that was the last. */
bool cirrus_blit_feed(CirrusBlit *b, uint8_t byte);
static inline bool cirrus_blit_waits(const CirrusState *s) { return s->feed.lines != 0; }

#endif
