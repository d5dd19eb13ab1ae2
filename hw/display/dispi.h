/* SPDX-License-Identifier: Apache-2.0 */
/* The Bochs display interface: a linear picture of any size, beside VGA or alone. Spec: Bochs'
 * vbe_display_api, QEMU's docs/specs/standard-vga. */
#ifndef HW_DISPLAY_DISPI_H
#define HW_DISPLAY_DISPI_H

#include "hw/pci.h"
#include "ui/console.h"

enum {
    DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK, DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT, DISPI_X_OFFSET, DISPI_Y_OFFSET, DISPI_VIDEO_MEMORY_64K, DISPI_REGS,
    DISPI_ENABLED = 1, DISPI_GETCAPS = 2, DISPI_8BIT_DAC = 0x20, DISPI_LFB = 0x40,
    DISPI_NOCLEARMEM = 0x80, DISPI_MAX_X = 16000, DISPI_MAX_Y = 12000,
};

typedef struct Dispi {
    uint16_t index, reg[DISPI_REGS];
} Dispi;

/* What the registers show. */
typedef struct DispiMode {
    unsigned width, height, bits;   /* of the picture; bits a pixel: 8, 15, 16, 24, 32 */
    unsigned stride;                /* bytes */
    uint64_t offset;                /* of its first pixel in video memory */
} DispiMode;

void dispi_reset(Dispi *d, uint64_t memory);
uint16_t dispi_read(const Dispi *d, unsigned reg, uint64_t memory);
/* True if the mode has changed; *clear: video memory is to be cleared. */
bool dispi_write(Dispi *d, unsigned reg, uint16_t value, uint64_t memory, bool *clear);
/* False: off, or the picture would leave `memory` bytes. */
bool dispi_mode(const Dispi *d, uint64_t memory, DispiMode *mode);

#endif
