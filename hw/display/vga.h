/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VGA: the registers of IBM's video graphics array with Bochs' extensions, for cards to build upon.
 * Spec: IBM PS/2 Video Subsystem Technical Reference; names of registers and bits are FreeVGA's.
 *
 * Video memory holds the four planes interleaved: byte 4*n+p is byte n of plane p. That is what
 * chain-4 modes see as linear memory, and what linear modes use.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "hw/display/dispi.h"
#include "hw/display/linear.h"

enum {
    VGA_SEQ_REGS = 5, VGA_GFX_REGS = 9, VGA_ATTR_REGS = 21, VGA_CRTC_REGS = 25,
    VGA_WINDOW_AT = 0xa0000, VGA_WINDOW = 0x20000, VGA_PORTS_AT = 0x3b0, VGA_PORTS = 0x30,
    DISPI_PORTS_AT = 0x1ce, DISPI_PORTS = 4,
};

/* Guest-visible state, all of it plain. */
typedef struct VgaState {
    uint8_t seq_index, gfx_index, crtc_index, attr_index;
    uint8_t seq[8], gfx[16], crtc[32], attr[32];
    uint8_t misc, feature;
    bool attr_data : 1;         /* the next write to 0x3c0 is data */
    uint8_t dac_mask, dac_read, dac_write, dac_step, dac_state;
    uint8_t dac[768], dac_new[3];
    uint8_t latch[4];
    uint16_t status;            /* input status 1, as read last */
    Dispi dispi;
} VgaState;

/* What follows from it, and where it shows. */
typedef struct VgaView VgaView;
struct VgaView {
    Device *dev;
    VgaState *state;
    MemRegion *vram;
    Console *console;
    bool own_console;
    /* A card's own linear modes; NULL: those of the display interface. */
    bool (*mode)(VgaView *v, DispiMode *mode);
    Linear linear;
    uint32_t palette[256];
    unsigned width, height;     /* of the picture that is shown; 0: none */
    bool changed, all;          /* registers or planes changed; everything must be drawn */
};

/* Shows on a console of its own, or (not NULL) on that of a card which decides when. The view is embedded
 * in the card; vram is RAM of at least 256 KiB. */
void vga_start(VgaView *v, Device *dev, VgaState *state, MemRegion *vram, Console *console);
void vga_stop(VgaView *v);
void vga_reset(VgaView *v);
void vga_restored(VgaView *v);          /* the state came from outside */
void vga_show_again(VgaView *v);        /* something else was shown on the console */

/* Ports 0x3b0 to 0x3df, by port number. */
uint8_t vga_port_read(VgaView *v, unsigned port);
void vga_port_write(VgaView *v, unsigned port, uint8_t value);
/* The window at 0xa0000, by offset. */
uint8_t vga_window_read(VgaView *v, uint32_t at);
void vga_window_write(VgaView *v, uint32_t at, uint8_t value);
/* The display interface's registers. */
uint16_t vga_dispi_read(VgaView *v, unsigned reg);
void vga_dispi_write(VgaView *v, unsigned reg, uint16_t value);

/* vga-draw.c */
extern const ConsoleOps vga_console_ops;        /* opaque is the VgaView */
bool vga_linear_mode(VgaView *v, DispiMode *mode);

#endif
