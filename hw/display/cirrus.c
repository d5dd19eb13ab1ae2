/* SPDX-License-Identifier: Apache-2.0 */
/* cirrus-vga: a Cirrus Logic GD5446 on PCI. Spec: CL-GD5446 Technical Reference Manual. */
#include <string.h>
#include "hw/display/cirrus.h"
#include "util/error.h"

enum {
    VRAM_BAR = 0, REGISTERS_BAR = 1, VRAM_BAR_SIZE = 32 << 20, FEED_AT = 16 << 20, REGISTERS = 4096,
    REGISTERS_BLIT = 0x100, BLIT_REGISTERS = 0x44,
    SR_UNLOCK = 6, SR_MODE = 7, SR_DRAM = 0x0f, SR_CURSOR_X = 0x10, SR_CURSOR_Y = 0x11, SR_CURSOR = 0x12,
    SR_CURSOR_AT = 0x13, SR_MEMORY = 0x15, SR_CONFIG = 0x17, UNLOCKED = 0x12, LOCKED = 0x0f,
    MODE_LINEAR = 1, CURSOR_ON = 1, CURSOR_PALETTE = 2, CURSOR_64 = 4,
    GR_BANK = 9, GR_MODES = 0x0b, BANK_DUAL = 1, BY_8 = 2, EXTENDED_WRITES = 4, WRITES_16 = 0x10,
    BANK_16K = 0x20, GR_STATUS = 0x31, STATUS_START = 2, STATUS_RESET = 4, STATUS_AUTO = 0x80,
    GR_SOURCE_HIGH = 0x2a, CR_START = 0x1b, CR_START_HIGH = 0x1d, CR_LATCH = 0x22, CR_ATTR_STATE = 0x24,
    CR_ID = 0x27, ID_5446 = 0xb8, CURSOR_AREA = 16384, WINDOW_MMIO = 0x18000, WINDOW_MMIO_SIZE = 256,
};

typedef struct Cirrus {
    PciDevice pci;
    CirrusState state;
    VgaView view;
    MemRegion *window, *ports;
    MemRegion *feeding;         /* over video memory while the CPU feeds the blitter or expands bits */
    bool cursor_changed;
    uint32_t vgamem_mb;
} Cirrus;

static CirrusBlit blit_of(Cirrus *s)
{
    return (CirrusBlit){&s->state, mem_host(s->view.vram), mem_size(s->view.vram) - 1};
}

static void all_changed(Cirrus *s)
{
    dirty_set(s->pci.dev.object.vm, mem_ram_offset(s->view.vram), mem_size(s->view.vram));
    s->view.changed = true;
    s->cursor_changed = true;
}

/* Stores into linear memory are plain ones except when the blitter waits for them, or they are bits. */
static bool stores_are_special(const CirrusState *c)
{
    return cirrus_blit_waits(c) || (c->gr[GR_MODES] & EXTENDED_WRITES && (c->vga.gfx[5] & 7) >= 4);
}

static void update_map(Cirrus *s)
{
    mem_set_enabled(s->feeding, stores_are_special(&s->state));
}

/* ---- the blitter ---- */

static void wrote_status(Cirrus *s, uint8_t old, uint8_t value)
{
    CirrusState *c = &s->state;

    if (old & STATUS_RESET && !(value & STATUS_RESET)) {
        memset(&c->feed, 0, sizeof(c->feed));
        c->gr[GR_STATUS] = value & STATUS_AUTO;
    } else if (value & STATUS_START && !(old & STATUS_START)) {
        CirrusBlit b = blit_of(s);
        cirrus_blit_start(&b);
        all_changed(s);
    }
    update_map(s);
}

static void feed(Cirrus *s, uint8_t byte)
{
    CirrusBlit b = blit_of(s);

    if (cirrus_blit_feed(&b, byte)) {
        update_map(s);
    }
    all_changed(s);
}

/* ---- graphics registers ---- */

static void write_gr(Cirrus *s, unsigned i, uint8_t value)
{
    CirrusState *c = &s->state;
    uint8_t old = c->gr[i];

    c->gr[i] = value;
    if (i < VGA_GFX_REGS) {
        vga_port_write(&s->view, 0x3ce, i);
        vga_port_write(&s->view, 0x3cf, value);
        if (i == 5) {           /* write modes 4 and 5 */
            c->vga.gfx[5] = (c->vga.gfx[5] & ~7) | (value & 7);
            update_map(s);
        }
    } else if (i == GR_MODES) {
        update_map(s);
    } else if (i == GR_STATUS) {
        wrote_status(s, old, value);
    } else if (i == GR_SOURCE_HIGH && c->gr[GR_STATUS] & STATUS_AUTO) {
        wrote_status(s, 0, STATUS_START);
    }
}

static uint8_t read_gr(const Cirrus *s, unsigned i)
{
    return i < 2 || i >= VGA_GFX_REGS ? s->state.gr[i] : s->state.vga.gfx[i];
}

/* ---- sequencer ---- */

static void write_sr(Cirrus *s, uint8_t value)
{
    CirrusState *c = &s->state;
    unsigned i = c->sr_index & 31;

    if (i == SR_CURSOR_X || i == SR_CURSOR_Y) {
        uint8_t *at = i == SR_CURSOR_X ? c->cursor_x : c->cursor_y;
        at[0] = value;
        at[1] = c->sr_index >> 5;
    } else if (i < VGA_SEQ_REGS) {
        vga_port_write(&s->view, 0x3c4, i);
        vga_port_write(&s->view, 0x3c5, value);
        return;
    } else if (i == SR_UNLOCK) {
        value = (value & 0x17) == UNLOCKED ? UNLOCKED : LOCKED;
    } else if (i == SR_CONFIG) {
        value = (c->sr[i] & 0x38) | (value & 0xc7);     /* the bus is what it is */
    } else if (i == SR_MODE) {
        s->view.all = true;
    }
    c->sr[i] = value;
    s->view.changed = s->cursor_changed = true;
}

static uint8_t read_sr(const Cirrus *s)
{
    const CirrusState *c = &s->state;
    unsigned i = c->sr_index & 31;

    return i < VGA_SEQ_REGS ? c->vga.seq[i] : i == SR_CURSOR_X ? c->cursor_x[0]
           : i == SR_CURSOR_Y ? c->cursor_y[0] : c->sr[i];
}

/* ---- CRTC ---- */

static void write_cr(Cirrus *s, uint8_t value)
{
    CirrusState *c = &s->state;
    unsigned i = c->cr_index & 63;

    if (i < VGA_CRTC_REGS) {
        vga_port_write(&s->view, c->vga.misc & 1 ? 0x3d4 : 0x3b4, i);
        vga_port_write(&s->view, c->vga.misc & 1 ? 0x3d5 : 0x3b5, value);
    } else if (i < CR_LATCH) {
        c->cr[i] = value;
        s->view.changed = true;
    }
}

static uint8_t read_cr(const Cirrus *s)
{
    const CirrusState *c = &s->state;
    unsigned i = c->cr_index & 63;

    switch (i) {
    case CR_LATCH: return c->vga.latch[c->vga.gfx[4] & 3];
    case CR_ATTR_STATE: return c->vga.attr_data << 7;
    case 0x26: return c->vga.attr_index & 63;
    case CR_ID: return ID_5446;
    default: return i < VGA_CRTC_REGS ? c->vga.crtc[i] : c->cr[i];
    }
}

/* ---- the palette's two faces ---- */

/* Four reads of the pixel mask open the way to the hidden register behind it. */
static uint8_t read_mask(Cirrus *s)
{
    CirrusState *c = &s->state;

    if (c->dac_reads < 4) {
        c->dac_reads++;
        return c->vga.dac_mask;
    }
    c->dac_reads = 0;
    return c->hidden_dac;
}

static void write_mask(Cirrus *s, uint8_t value)
{
    CirrusState *c = &s->state;

    if (c->dac_reads == 4) {
        c->hidden_dac = value;
        s->view.changed = s->view.all = true;
    } else {
        vga_port_write(&s->view, 0x3c6, value);
    }
    c->dac_reads = 0;
}

static void write_cursor_colour(Cirrus *s, uint8_t value)
{
    VgaState *v = &s->state.vga;

    v->dac_new[v->dac_step++] = value;
    if (v->dac_step == 3) {
        memcpy(s->state.cursor_colours + 3 * (v->dac_write & 1), v->dac_new, 3);
        v->dac_write++;
        v->dac_step = 0;
        s->cursor_changed = true;
    }
}

/* ---- ports ---- */

static bool is_crtc(const Cirrus *s, unsigned port, unsigned which)
{
    return port == (s->state.vga.misc & 1 ? 0x3d0u : 0x3b0u) + which;
}

static uint8_t port_read(Cirrus *s, unsigned port)
{
    CirrusState *c = &s->state;

    switch (port) {
    case 0x3c4: return c->sr_index;
    case 0x3c5: return read_sr(s);
    case 0x3c6: return read_mask(s);
    case 0x3ce: return c->gr_index;
    case 0x3cf: return read_gr(s, c->gr_index & 63);
    case 0x3c9:
        if (c->sr[SR_CURSOR] & CURSOR_PALETTE) {
            return c->cursor_colours[3 * (c->vga.dac_read & 1) + c->vga.dac_step % 3];
        }
        break;
    default:
        if (is_crtc(s, port, 4)) {
            return c->cr_index;
        }
        if (is_crtc(s, port, 5)) {
            return read_cr(s);
        }
        break;
    }
    return vga_port_read(&s->view, port);
}

static void port_write(Cirrus *s, unsigned port, uint8_t value)
{
    CirrusState *c = &s->state;

    switch (port) {
    case 0x3c4: c->sr_index = value; break;
    case 0x3c5: write_sr(s, value); break;
    case 0x3c6: write_mask(s, value); break;
    case 0x3ce: c->gr_index = value; break;
    case 0x3cf: write_gr(s, c->gr_index & 63, value); break;
    case 0x3c9:
        if (c->sr[SR_CURSOR] & CURSOR_PALETTE) {
            write_cursor_colour(s, value);
            break;
        }
        vga_port_write(&s->view, port, value);
        break;
    default:
        if (is_crtc(s, port, 4)) {
            c->cr_index = value;
        } else if (is_crtc(s, port, 5)) {
            write_cr(s, value);
        } else {
            vga_port_write(&s->view, port, value);
        }
        break;
    }
}

static uint64_t ports_read(void *opaque, uint64_t at, unsigned size)
{
    return port_read(opaque, at + VGA_PORTS_AT);
}

static void ports_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    port_write(opaque, at + VGA_PORTS_AT, value);
}

static const MemOps port_ops = {ports_read, ports_write, .min_access = 1, .max_access = 1};

/* ---- registers in memory ---- */

/* The graphics register behind each byte of the blitter's block (manual, table 9-2). */
static int blit_register(unsigned at)
{
    static const uint8_t map[BLIT_REGISTERS] = {
        0x00, 0x10, 0x12, 0x14, 0x01, 0x11, 0x13, 0x15, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
        0x28, 0x29, 0x2a, 0xff, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0xff, 0x32, 0x33, 0x34, 0x35, 0xff, 0xff,
        0x38, 0x39, [0x22 ... 0x3f] = 0xff, [0x40] = 0x31, [0x41 ... 0x43] = 0xff,
    };

    return at < BLIT_REGISTERS && map[at] != 0xff ? map[at] : -1;
}

static uint64_t registers_read(void *opaque, uint64_t at, unsigned size)
{
    Cirrus *s = opaque;

    if (at < 0x20) {
        return port_read(s, 0x3c0 + at);
    }
    int i = at >= REGISTERS_BLIT ? blit_register(at - REGISTERS_BLIT) : -1;
    return i >= 0 ? read_gr(s, i) : 0xff;
}

static void registers_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    Cirrus *s = opaque;
    int i = at >= REGISTERS_BLIT ? blit_register(at - REGISTERS_BLIT) : -1;

    if (at < 0x20) {
        port_write(s, 0x3c0 + at, value);
    } else if (i >= 0) {
        write_gr(s, i, value);
    }
}

static const MemOps registers_ops = {registers_read, registers_write, .min_access = 1, .max_access = 1};

/* ---- video memory: linear, and through VGA's window ---- */

/* Write modes 4 and 5: bits become pixels of GR1's colour; the others GR0's, or stay. */
static void write_bits(Cirrus *s, uint32_t at, uint8_t bits)
{
    const uint8_t *gr = s->state.gr;
    unsigned bytes = gr[GR_MODES] & WRITES_16 ? 2 : 1;
    uint8_t *vram = mem_host(s->view.vram);

    for (unsigned i = 0; i < 8; i++) {
        bool on = bits >> (7 - i) & 1;
        for (unsigned k = 0; k < bytes; k++) {
            if (on || (s->state.vga.gfx[5] & 7) == 5) {
                vram[(at + i * bytes + k) & (mem_size(s->view.vram) - 1)] = gr[(k ? 0x10 : 0) + on];
            }
        }
    }
    all_changed(s);
}

static void store(Cirrus *s, uint32_t at, uint8_t value)
{
    const CirrusState *c = &s->state;
    unsigned mode = c->vga.gfx[5] & 7;

    at &= mem_size(s->view.vram) - 1;
    if (cirrus_blit_waits(c)) {
        feed(s, value);
    } else if (c->gr[GR_MODES] & EXTENDED_WRITES && (mode == 4 || mode == 5)) {
        write_bits(s, c->gr[GR_MODES] & WRITES_16 ? at << 4 : c->gr[GR_MODES] & BY_8 ? at << 3 : at, value);
    } else {
        ((uint8_t *)mem_host(s->view.vram))[at] = value;
        dirty_set(s->pci.dev.object.vm, mem_ram_offset(s->view.vram) + at, 1);
    }
}

/* Banks of 32 or 64 KiB, in the extended modes. */
static uint32_t banked(const CirrusState *c, uint32_t at)
{
    bool dual = c->gr[GR_MODES] & BANK_DUAL;
    unsigned bank = dual ? at >> 15 & 1 : 0, shift = c->gr[GR_MODES] & BANK_16K ? 14 : 12;
    uint32_t offset = (uint32_t)c->gr[GR_BANK + bank] << shift, in = dual ? at & 0x7fff : at & 0xffff;

    in <<= c->gr[GR_MODES] & 0x14 ? 0 : c->gr[GR_MODES] & BY_8 ? 3 : 0;
    return offset + in;
}

static bool extended(const CirrusState *c)
{
    return c->sr[SR_MODE] & MODE_LINEAR;
}

/* With SR17's bits 2 and 6 so, the blitter's registers are in the text window. */
static bool is_window_register(const CirrusState *c, uint64_t at)
{
    return at >= WINDOW_MMIO && at < WINDOW_MMIO + WINDOW_MMIO_SIZE && (c->sr[SR_CONFIG] & 0x44) == 4;
}

static uint64_t window_read(void *opaque, uint64_t at, unsigned size)
{
    Cirrus *s = opaque;
    const CirrusState *c = &s->state;

    if (is_window_register(c, at)) {
        return registers_read(s, REGISTERS_BLIT + at - WINDOW_MMIO, 1);
    }
    if (!extended(c)) {
        return vga_window_read(&s->view, at);
    }
    return at < 0x10000
           ? ((uint8_t *)mem_host(s->view.vram))[banked(c, at) & (mem_size(s->view.vram) - 1)] : 0xff;
}

static void window_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    Cirrus *s = opaque;
    CirrusState *c = &s->state;

    if (is_window_register(c, at)) {
        registers_write(s, REGISTERS_BLIT + at - WINDOW_MMIO, value, 1);
    } else if (cirrus_blit_waits(c)) {
        feed(s, value);
    } else if (!extended(c)) {
        vga_window_write(&s->view, at, value);
    } else if (at < 0x10000) {
        store(s, banked(c, at), value);
    }
}

static uint64_t linear_read(void *opaque, uint64_t at, unsigned size)
{
    Cirrus *s = opaque;

    return ((uint8_t *)mem_host(s->view.vram))[at & (mem_size(s->view.vram) - 1)];
}

static void linear_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    store(opaque, at, value);
}

static const MemOps window_ops = {window_read, window_write, .min_access = 1, .max_access = 1};
static const MemOps linear_ops = {linear_read, linear_write, .min_access = 1, .max_access = 1};

/* ---- the picture ---- */

static unsigned bits_of(const CirrusState *c)
{
    switch (c->sr[SR_MODE] & 0x0e) {
    case 0: return 8;
    case 2: case 6: return c->hidden_dac & 0x0f ? 16 : 15;
    case 4: return 24;
    case 8: return 32;
    default: return 8;
    }
}

static bool linear_mode(VgaView *v, DispiMode *mode)
{
    const CirrusState *c = (const CirrusState *)v->state;
    const uint8_t *crtc = c->vga.crtc;
    unsigned over = crtc[7], bits = bits_of(c);

    if (!extended(c)) {
        return false;
    }
    *mode = (DispiMode){
        .width = (crtc[1] + 1) * 8, .bits = bits,
        .height = (crtc[0x12] | (over & 2) << 7 | (over & 0x40) << 3) + 1,
        .stride = (crtc[0x13] | (c->cr[CR_START] & 0x10) << 4) * 8,
        .offset = 4ull * (crtc[0x0c] << 8 | crtc[0x0d] | (c->cr[CR_START] & 1) << 16 |
                          (c->cr[CR_START] & 0x0c) << 15 | (c->cr[CR_START_HIGH] & 0x80) << 12),
    };
    unsigned line = mode->width * ((bits + 7) / 8);
    return mode->stride >= line && mode->offset + (uint64_t)mode->stride * mode->height <= mem_size(v->vram) + (mode->stride - line);
}

/* Bits of the two planes: transparent, the other colour, background, foreground. */
static void draw_cursor(Cirrus *s)
{
    const CirrusState *c = &s->state;
    unsigned size = c->sr[SR_CURSOR] & CURSOR_64 ? 64 : 32;
    const uint8_t *p = (const uint8_t *)mem_host(s->view.vram) + mem_size(s->view.vram) - CURSOR_AREA +
                       (size == 64 ? c->sr[SR_CURSOR_AT] & 0x3c : c->sr[SR_CURSOR_AT] & 0x3f) * 256;
    Cursor *cursor = NULL;

    if (c->sr[SR_CURSOR] & CURSOR_ON) {
        cursor = g_malloc0(sizeof(Cursor) + size * size * 4);
        *cursor = (Cursor){size, size, 0, 0};
    }
    for (unsigned i = 0; cursor && i < size * size; i++) {
        unsigned x = i % size, y = i / size;
        const uint8_t *first = size == 64 ? p + y * 16 + x / 8 : p + y * 4 + x / 8;
        const uint8_t *second = first + (size == 64 ? 8 : 128);
        unsigned bits = (*first >> (7 - x % 8) & 1) | (*second >> (7 - x % 8) & 1) << 1;
        const uint8_t *rgb = c->cursor_colours + 3 * (bits & 1);
        cursor->pixels[i] = bits == 0 ? 0 : bits == 1 ? 0xff808080
                            : 0xff000000u | rgb[0] << 18 | rgb[1] << 10 | rgb[2] << 2;
    }
    console_cursor(s->view.console, cursor);
    console_cursor_at(s->view.console, c->cursor_x[0] << 3 | c->cursor_x[1],
                      c->cursor_y[0] << 3 | c->cursor_y[1], cursor != NULL);
}

static void refresh(void *opaque)
{
    Cirrus *s = (Cirrus *)((char *)opaque - offsetof(Cirrus, view));
    VgaView *v = opaque;

    vga_console_ops.refresh(v);
    device_lock(v->dev);
    if (s->cursor_changed) {
        draw_cursor(s);
    }
    s->cursor_changed = false;
    device_unlock(v->dev);
}

static void invalidate(void *opaque)
{
    ((Cirrus *)((char *)opaque - offsetof(Cirrus, view)))->cursor_changed = true;
    vga_console_ops.invalidate(opaque);
}

static bool text(void *opaque, uint16_t *cells, unsigned *columns, unsigned *rows)
{
    return vga_console_ops.text(opaque, cells, columns, rows);
}

static const ConsoleOps ops = {.refresh = refresh, .invalidate = invalidate, .text = text};

/* ---- life ---- */

static void map(Cirrus *s)
{
    Device *d = &s->pci.dev;
    PciBus *root = s->pci.bus->root;
    MemRegion *bar = pci_bar_region(&s->pci, VRAM_BAR);

    s->window = mem_io(&d->object, "cirrus-lowmem", VGA_WINDOW, &window_ops, s, d);
    s->ports = mem_io(&d->object, "cirrus-ports", VGA_PORTS, &port_ops, s, d);
    s->feeding = mem_io(&d->object, "cirrus-linear-io", mem_size(s->view.vram), &linear_ops, s, d);
    mem_transaction_begin(d->object.vm);
    mem_add(bar, 0, s->view.vram, 0);
    mem_set_enabled(s->feeding, false);
    mem_add(bar, 0, s->feeding, 1);
    mem_add(bar, FEED_AT, mem_io(&d->object, "cirrus-bitblt-io", FEED_AT, &linear_ops, s, d), 0);
    mem_add(root->memory, VGA_WINDOW_AT, s->window, 1);
    mem_add(root->io, VGA_PORTS_AT, s->ports, 0);
    mem_transaction_commit(d->object.vm);
}

static bool realize(Device *d, GError **error)
{
    Cirrus *s = (Cirrus *)d;
    const PciBar vram = {.kind = PCI_BAR_PREF32, .size = VRAM_BAR_SIZE, .name = "cirrus-pci-bar0"};
    const PciBar registers = {.kind = PCI_BAR_MEM32, .size = REGISTERS, .ops = &registers_ops,
                              .name = "cirrus-mmio"};
    g_autofree char *block = g_strdup_printf("%s.vram", d->id ? d->id : "cirrus");

    if (s->vgamem_mb != 4 && s->vgamem_mb != 8 && s->vgamem_mb != 16) {
        return error_set(error, "vgamem_mb=%u: expected 4, 8 or 16", s->vgamem_mb);
    }
    MemRegion *memory = mem_ram(&d->object, block, (uint64_t)s->vgamem_mb << 20, NULL, error);
    if (!memory || !pci_add_bar(&s->pci, VRAM_BAR, &vram, NULL, error) ||
        !pci_add_bar(&s->pci, REGISTERS_BAR, &registers, NULL, error)) {
        return false;
    }
    s->view.mode = linear_mode;
    vga_start(&s->view, d, &s->state.vga, memory, console_new(d, 0, &ops, &s->view));
    map(s);
    return true;
}

static void unrealize(Device *d)
{
    Cirrus *s = (Cirrus *)d;

    if (s->window) {
        mem_remove(s->window);
        mem_remove(s->ports);
        s->window = s->ports = NULL;
        console_free(s->view.console);
        vga_stop(&s->view);
    }
}

static void reset(Device *d)
{
    Cirrus *s = (Cirrus *)d;
    CirrusState *c = &s->state;

    memset(c, 0, sizeof(*c));
    vga_reset(&s->view);
    c->sr[SR_UNLOCK] = LOCKED;
    c->sr[SR_DRAM] = 0x98;              /* 64 bits wide, two banks */
    c->sr[SR_MEMORY] = 0x04;            /* 4 MiB */
    c->sr[SR_CONFIG] = 0x20;            /* on PCI */
    c->sr[0x1f] = 0x2d;                 /* memory clock */
    c->gr[GR_STATUS] = 0;
    update_map(s);
    s->cursor_changed = true;
}

static void restored(Device *d)
{
    Cirrus *s = (Cirrus *)d;
    CirrusFeed *f = &s->state.feed;

    f->line_bytes = MIN(f->line_bytes, CIRRUS_FIFO);
    f->got = MIN(f->got, CIRRUS_FIFO);
    f->lines = MIN(f->lines, 2048u);
    s->state.vga.dispi.reg[DISPI_ENABLE] = 0;
    vga_restored(&s->view);
    update_map(s);
    s->cursor_changed = true;
}

static const Field fields[] = {
    SAVED(Cirrus, state), HOST(Cirrus, view), HOST(Cirrus, window), HOST(Cirrus, ports),
    HOST(Cirrus, feeding), HOST(Cirrus, cursor_changed),
    PROP(Cirrus, vgamem_mb, "vgamem_mb", PROP_U32, .init = 4, .desc = "Video memory in MiB"),
};
static const PciInfo info = {.vendor = 0x1013, .device = 0x00b8, .class = 0x030000, .no_hotplug = true,
                             .rom = "vgabios-cirrus.bin"};
static const DeviceType cirrus = {
    .name = "cirrus-vga", .parent = "pci-device", .desc = "Cirrus CLGD 54xx VGA", .size = sizeof(Cirrus),
    .category = DEVICE_DISPLAY, .pluggable = true, FIELDS(fields), .realize = realize,
    .unrealize = unrealize, .reset = reset, .restored = restored, .pci = &info,
};
DEVICE_TYPE(cirrus);
