/* SPDX-License-Identifier: Apache-2.0 */
/* The Bochs display interface's registers. */
#include "hw/display/dispi.h"

enum { ID_OLDEST = 0xb0c0, ID_NEWEST = 0xb0c5, DEFAULT_X = 640, DEFAULT_Y = 480 };

void dispi_reset(Dispi *d, uint64_t memory)
{
    *d = (Dispi){.reg = {[DISPI_ID] = ID_NEWEST}};
}

uint16_t dispi_read(const Dispi *d, unsigned reg, uint64_t memory)
{
    if (reg < DISPI_REGS && d->reg[DISPI_ENABLE] & DISPI_GETCAPS) {
        switch (reg) {
        case DISPI_XRES:
            return DISPI_MAX_X;
        case DISPI_YRES:
            return DISPI_MAX_Y;
        case DISPI_BPP:
            return 32;
        }
    }
    if (reg == DISPI_VIDEO_MEMORY_64K) {
        return memory >> 16;
    }
    return reg < DISPI_REGS ? d->reg[reg] : 0;
}

static unsigned bytes_of(unsigned bits)
{
    return (bits + 7) / 8;
}

static bool is_depth(unsigned bits)
{
    return bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

/* The picture's place in a wider one follows from what was written, as far as memory reaches. */
static void fix(Dispi *d, uint64_t memory)
{
    uint16_t *r = d->reg;

    if (!is_depth(r[DISPI_BPP])) {
        r[DISPI_BPP] = 8;
    }
    r[DISPI_XRES] = CLAMP(r[DISPI_XRES] & ~7, 8, DISPI_MAX_X);
    r[DISPI_VIRT_WIDTH] = CLAMP(r[DISPI_VIRT_WIDTH] & ~7, r[DISPI_XRES], DISPI_MAX_X);
    uint64_t line = MAX((uint64_t)r[DISPI_VIRT_WIDTH] * r[DISPI_BPP] / 8, 1);
    if (r[DISPI_BPP] == 15) {
        line = (uint64_t)r[DISPI_VIRT_WIDTH] * 2;
    }
    uint64_t lines = memory / line;
    r[DISPI_VIRT_HEIGHT] = MIN(lines, 0xffff);
    r[DISPI_YRES] = CLAMP(r[DISPI_YRES], 1, MIN(lines, DISPI_MAX_Y));
    r[DISPI_X_OFFSET] = MIN(r[DISPI_X_OFFSET], r[DISPI_VIRT_WIDTH] - r[DISPI_XRES]);
    r[DISPI_Y_OFFSET] = MIN(r[DISPI_Y_OFFSET], lines - r[DISPI_YRES]);
}

static void wrote_enable(Dispi *d, uint16_t value, uint64_t memory, bool *clear)
{
    uint16_t *r = d->reg;
    bool on = value & DISPI_ENABLED && !(r[DISPI_ENABLE] & DISPI_ENABLED);

    r[DISPI_ENABLE] = value;
    if (on) {
        r[DISPI_XRES] = r[DISPI_XRES] ? r[DISPI_XRES] : DEFAULT_X;
        r[DISPI_YRES] = r[DISPI_YRES] ? r[DISPI_YRES] : DEFAULT_Y;
        r[DISPI_VIRT_WIDTH] = r[DISPI_XRES];
        r[DISPI_X_OFFSET] = r[DISPI_Y_OFFSET] = 0;
        fix(d, memory);
        *clear = !(value & DISPI_NOCLEARMEM);
    }
}

bool dispi_write(Dispi *d, unsigned reg, uint16_t value, uint64_t memory, bool *clear)
{
    *clear = false;
    switch (reg) {
    case DISPI_ID:
        if (value >= ID_OLDEST && value <= ID_NEWEST) {
            d->reg[DISPI_ID] = value;
        }
        return false;
    case DISPI_ENABLE:
        wrote_enable(d, value, memory, clear);
        return true;
    case DISPI_BANK:
        d->reg[reg] = MIN(value, (memory >> 16) - 1);
        return false;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        d->reg[reg] = value;
        if (d->reg[DISPI_ENABLE] & DISPI_ENABLED) {
            fix(d, memory);
        }
        return true;
    default:
        return false;
    }
}

bool dispi_mode(const Dispi *d, uint64_t memory, DispiMode *mode)
{
    const uint16_t *r = d->reg;
    unsigned bytes = bytes_of(r[DISPI_BPP]);

    if (!(r[DISPI_ENABLE] & DISPI_ENABLED) || r[DISPI_BPP] < 8 || !r[DISPI_XRES] || !r[DISPI_YRES]) {
        return false;
    }
    *mode = (DispiMode){.width = r[DISPI_XRES], .height = r[DISPI_YRES], .bits = r[DISPI_BPP],
                        .stride = MAX(r[DISPI_VIRT_WIDTH], r[DISPI_XRES]) * bytes};
    mode->offset = (uint64_t)r[DISPI_Y_OFFSET] * mode->stride + r[DISPI_X_OFFSET] * bytes;
    return mode->offset + (uint64_t)mode->stride * mode->height <=
           memory + (mode->stride - mode->width * bytes);
}
