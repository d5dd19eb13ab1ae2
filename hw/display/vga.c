/* SPDX-License-Identifier: Apache-2.0 */
/* VGA's registers and its window into the planes. */
#include "hw/display/vga.h"

#include <string.h>

/* seq */
enum { SEQ_CLOCKING = 1, SEQ_MASK = 2, SEQ_MEMORY_MODE = 4, ODD_EVEN_OFF = 4, CHAIN4 = 8 };
/* gfx */
enum { GFX_SET_RESET, GFX_ENABLE_SET_RESET, GFX_COMPARE, GFX_ROTATE, GFX_READ_MAP, GFX_MODE, GFX_MISC,
       GFX_DONT_CARE, GFX_BIT_MASK };
enum { CRTC_VRETRACE_END = 0x11, CRTC_OVERFLOW = 7, CRTC_PROTECT = 0x80, CRTC_LINE_COMPARE_8 = 0x10,
       ATTR_VIDEO_ON = 0x20, MISC_COLOUR = 1, STATUS_RETRACE = 8, STATUS_DISABLED = 1 };

static const uint8_t seq_bits[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_bits[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

static uint64_t memory(VgaView *v)
{
    return mem_size(v->vram);
}

/* ---- palette ---- */

static void palette_entry(VgaView *v, unsigned i)
{
    const uint8_t *c = v->state->dac + 3 * i;
    bool wide = v->state->dispi.reg[DISPI_ENABLE] & DISPI_8BIT_DAC;
    uint32_t rgb = 0;

    for (unsigned k = 0; k < 3; k++) {
        rgb = rgb << 8 | (wide ? c[k] : (c[k] & 63) << 2 | (c[k] & 63) >> 4);
    }
    v->palette[i] = rgb;
    v->changed = v->all = true;
}

static void palette_all(VgaView *v)
{
    for (unsigned i = 0; i < 256; i++) {
        palette_entry(v, i);
    }
}

static void dac_write(VgaView *v, uint8_t value)
{
    VgaState *s = v->state;

    s->dac_new[s->dac_step++] = value;
    if (s->dac_step == 3) {
        memcpy(s->dac + 3 * s->dac_write, s->dac_new, 3);
        palette_entry(v, s->dac_write++);
        s->dac_step = 0;
    }
}

static uint8_t dac_read(VgaView *v)
{
    VgaState *s = v->state;
    uint8_t value = s->dac[3 * s->dac_read + s->dac_step];

    if (++s->dac_step == 3) {
        s->dac_step = 0;
        s->dac_read++;
    }
    return value;
}

/* ---- ports ---- */

/* The CRTC stands at 0x3b4 or 0x3d4; the other place is empty. */
static bool is_elsewhere(const VgaState *s, unsigned port)
{
    bool colour = s->misc & MISC_COLOUR;

    return (port >= 0x3b0 && port <= 0x3bf && colour) || (port >= 0x3d0 && port <= 0x3df && !colour);
}

/* Programs that wait for retraces see one at every other look. */
static uint8_t status1(VgaState *s)
{
    s->attr_data = false;
    s->status ^= STATUS_RETRACE | STATUS_DISABLED;
    return s->status;
}

uint8_t vga_port_read(VgaView *v, unsigned port)
{
    VgaState *s = v->state;

    if (is_elsewhere(s, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c0:
        return s->attr_data ? 0 : s->attr_index;
    case 0x3c1:
        return (s->attr_index & 31) < VGA_ATTR_REGS ? s->attr[s->attr_index & 31] : 0;
    case 0x3c2:
        return 0x10;            /* a colour monitor is there */
    case 0x3c4:
        return s->seq_index;
    case 0x3c5:
        return s->seq[s->seq_index];
    case 0x3c6:
        return s->dac_mask;
    case 0x3c7:
        return s->dac_state;
    case 0x3c8:
        return s->dac_write;
    case 0x3c9:
        return dac_read(v);
    case 0x3ca:
        return s->feature;
    case 0x3cc:
        return s->misc;
    case 0x3ce:
        return s->gfx_index;
    case 0x3cf:
        return s->gfx[s->gfx_index];
    case 0x3b4:
    case 0x3d4:
        return s->crtc_index;
    case 0x3b5:
    case 0x3d5:
        return s->crtc_index < VGA_CRTC_REGS ? s->crtc[s->crtc_index] : 0;
    case 0x3ba:
    case 0x3da:
        return status1(s);
    default:
        return 0xff;
    }
}

static void attr_write(VgaView *v, uint8_t value)
{
    VgaState *s = v->state;
    unsigned i = s->attr_index & 31;

    if (!s->attr_data) {
        s->attr_index = value & 63;
    } else if (i < 16) {
        s->attr[i] = value & 63;
    } else if (i < VGA_ATTR_REGS) {
        s->attr[i] = value & (i == 16 ? 0xef : i == 18 ? 0x3f : i == 17 ? 0xff : 15);
    }
    s->attr_data = !s->attr_data;
}

/* Registers 0 to 7 may be protected, but for one bit of the overflow register. */
static void crtc_write(VgaState *s, uint8_t value)
{
    unsigned i = s->crtc_index;

    if (i >= VGA_CRTC_REGS) {
        return;
    }
    if (i <= CRTC_OVERFLOW && s->crtc[CRTC_VRETRACE_END] & CRTC_PROTECT) {
        if (i == CRTC_OVERFLOW) {
            s->crtc[i] = (s->crtc[i] & ~CRTC_LINE_COMPARE_8) | (value & CRTC_LINE_COMPARE_8);
        }
        return;
    }
    s->crtc[i] = value;
}

void vga_port_write(VgaView *v, unsigned port, uint8_t value)
{
    VgaState *s = v->state;

    if (is_elsewhere(s, port)) {
        return;
    }
    v->changed = true;
    switch (port) {
    case 0x3c0:
        attr_write(v, value);
        break;
    case 0x3c2:
        s->misc = value & ~0x10;
        break;
    case 0x3c4:
        s->seq_index = value & 7;
        break;
    case 0x3c5:
        s->seq[s->seq_index] = value & seq_bits[s->seq_index];
        break;
    case 0x3c6:
        s->dac_mask = value;
        break;
    case 0x3c7:
        s->dac_read = value;
        s->dac_step = 0;
        s->dac_state = 3;
        break;
    case 0x3c8:
        s->dac_write = value;
        s->dac_step = 0;
        s->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(v, value);
        break;
    case 0x3ce:
        s->gfx_index = value & 15;
        break;
    case 0x3cf:
        s->gfx[s->gfx_index] = value & gfx_bits[s->gfx_index];
        break;
    case 0x3b4:
    case 0x3d4:
        s->crtc_index = value;
        break;
    case 0x3b5:
    case 0x3d5:
        crtc_write(s, value);
        break;
    case 0x3ba:
    case 0x3da:
        s->feature = value & 0x10;
        break;
    }
}

/* ---- the window ---- */

/* Where an address of the window is in the mapped part (memory map select); -1: not there. */
static int64_t window_offset(VgaView *v, uint32_t at)
{
    static const struct { uint32_t base, size; } maps[4] = {
        {0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000},
    };
    unsigned map = v->state->gfx[GFX_MISC] >> 2 & 3;
    const Dispi *d = &v->state->dispi;

    at -= maps[map].base;
    if (at >= maps[map].size) {
        return -1;
    }
    if (d->reg[DISPI_ENABLE] & DISPI_ENABLED && map == 1) {
        at += (uint32_t)d->reg[DISPI_BANK] << 16;
    }
    return at;
}

static uint8_t *cell(VgaView *v, uint64_t n)
{
    return n * 4 + 3 < memory(v) ? (uint8_t *)mem_host(v->vram) + n * 4 : NULL;
}

static void touched(VgaView *v, uint64_t at, unsigned n)
{
    dirty_set(v->dev->object.vm, mem_ram_offset(v->vram) + at, n);
    v->changed = true;
}

uint8_t vga_window_read(VgaView *v, uint32_t at)
{
    VgaState *s = v->state;
    int64_t offset = window_offset(v, at);
    unsigned plane = s->gfx[GFX_READ_MAP];

    if (offset < 0) {
        return 0xff;
    }
    if (s->seq[SEQ_MEMORY_MODE] & CHAIN4) {
        return (uint64_t)offset < memory(v) ? ((uint8_t *)mem_host(v->vram))[offset] : 0xff;
    }
    if (s->gfx[GFX_MODE] & 0x10) {
        plane = (plane & 2) | (offset & 1);
        offset >>= 1;
    }
    const uint8_t *p = cell(v, offset);
    if (!p) {
        return 0xff;
    }
    memcpy(s->latch, p, 4);
    if (!(s->gfx[GFX_MODE] & 8)) {
        return p[plane];
    }
    uint8_t differ = 0;         /* read mode 1: where all planes that matter are as compared */
    for (unsigned i = 0; i < 4; i++) {
        if (s->gfx[GFX_DONT_CARE] >> i & 1) {
            differ |= p[i] ^ (s->gfx[GFX_COMPARE] >> i & 1 ? 0xff : 0);
        }
    }
    return ~differ;
}

static uint8_t rotate(uint8_t value, unsigned n)
{
    return value >> n | value << (8 - n);
}

/* The data of one plane before the bit mask, by write mode. */
static uint8_t plane_data(const VgaState *s, unsigned plane, uint8_t value, uint8_t *mask)
{
    unsigned n = s->gfx[GFX_ROTATE] & 7;
    bool reset = s->gfx[GFX_SET_RESET] >> plane & 1;

    switch (s->gfx[GFX_MODE] & 3) {
    case 0:
        return s->gfx[GFX_ENABLE_SET_RESET] >> plane & 1 ? (reset ? 0xff : 0) : rotate(value, n);
    case 2:
        return value >> plane & 1 ? 0xff : 0;
    default:                    /* 3 */
        *mask &= rotate(value, n);
        return reset ? 0xff : 0;
    }
}

static uint8_t combine(const VgaState *s, uint8_t data, uint8_t latch)
{
    switch (s->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1:
        return data & latch;
    case 2:
        return data | latch;
    case 3:
        return data ^ latch;
    default:
        return data;
    }
}

static void planes_write(VgaState *s, uint8_t *p, unsigned planes, uint8_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t mask = s->gfx[GFX_BIT_MASK];
        if (!(planes >> i & 1)) {
            continue;
        }
        if ((s->gfx[GFX_MODE] & 3) == 1) {
            p[i] = s->latch[i];
            continue;
        }
        uint8_t data = combine(s, plane_data(s, i, value, &mask), s->latch[i]);
        p[i] = (data & mask) | (s->latch[i] & ~mask);
    }
}

void vga_window_write(VgaView *v, uint32_t at, uint8_t value)
{
    VgaState *s = v->state;
    int64_t offset = window_offset(v, at);
    unsigned planes = s->seq[SEQ_MASK];

    if (offset < 0) {
        return;
    }
    if (s->seq[SEQ_MEMORY_MODE] & CHAIN4) {
        if (planes >> (offset & 3) & 1 && (uint64_t)offset < memory(v)) {
            ((uint8_t *)mem_host(v->vram))[offset] = value;
            touched(v, offset, 1);
        }
        return;
    }
    if (!(s->seq[SEQ_MEMORY_MODE] & ODD_EVEN_OFF)) {
        planes &= offset & 1 ? 0xa : 0x5;
        if (s->gfx[GFX_MODE] & 0x10 || s->gfx[GFX_MISC] & 2) {
            offset >>= 1;
        }
    }
    uint8_t *p = cell(v, offset);
    if (p) {
        planes_write(s, p, planes, value);
        touched(v, offset * 4, 4);
    }
}

/* ---- the display interface ---- */

uint16_t vga_dispi_read(VgaView *v, unsigned reg)
{
    return dispi_read(&v->state->dispi, reg, memory(v));
}

/* Programs mix both interfaces: what VGA's registers say follows. */
static void adjust_vga(VgaState *s)
{
    s->gfx[GFX_MISC] = (s->gfx[GFX_MISC] & ~0x0c) | 0x05;       /* graphics, window of 64 KiB */
    s->gfx[GFX_MODE] = (s->gfx[GFX_MODE] & ~0x60) | 0x40;
    s->seq[SEQ_MEMORY_MODE] |= CHAIN4 | ODD_EVEN_OFF | 2;
    s->seq[SEQ_MASK] = 0x0f;
    s->crtc[0x17] |= 3;
}

void vga_dispi_write(VgaView *v, unsigned reg, uint16_t value)
{
    VgaState *s = v->state;
    bool clear, wide = s->dispi.reg[DISPI_ENABLE] & DISPI_8BIT_DAC;

    if (dispi_write(&s->dispi, reg, value, memory(v), &clear)) {
        v->changed = v->all = true;
        if (clear) {
            const uint16_t *r = s->dispi.reg;
            uint64_t n = MIN(memory(v), (uint64_t)r[DISPI_VIRT_WIDTH] * r[DISPI_YRES] * 4);
            memset(mem_host(v->vram), 0, n);
            touched(v, 0, n);
        }
        if (reg == DISPI_ENABLE && value & DISPI_ENABLED) {
            adjust_vga(s);
        }
    }
    if (wide != !!(s->dispi.reg[DISPI_ENABLE] & DISPI_8BIT_DAC)) {
        palette_all(v);
    }
}

/* ---- life ---- */

void vga_start(VgaView *v, Device *dev, VgaState *state, MemRegion *vram, Console *console)
{
    v->dev = dev;
    v->state = state;
    v->vram = vram;
    v->all = true;
    dirty_track(dev->object.vm, DIRTY_VGA, true);
    v->own_console = !console;
    v->console = console ? console : console_new(dev, 0, &vga_console_ops, v);
}

void vga_stop(VgaView *v)
{
    if (v->own_console) {
        console_free(v->console);
    }
    v->console = NULL;
}

void vga_reset(VgaView *v)
{
    memset(v->state, 0, sizeof(*v->state));
    dispi_reset(&v->state->dispi, memory(v));
    v->state->misc = MISC_COLOUR;
    palette_all(v);
}

void vga_show_again(VgaView *v)
{
    device_lock(v->dev);
    linear_forget(&v->linear);
    v->width = v->height = 0;
    v->all = true;
    device_unlock(v->dev);
}

void vga_restored(VgaView *v)
{
    palette_all(v);
}
