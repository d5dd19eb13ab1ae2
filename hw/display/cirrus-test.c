/* SPDX-License-Identifier: Apache-2.0 */
/* The GD5446 as a driver and a viewer see it. Spec: CL-GD5446 Technical Reference Manual. */
#include "hw/display/card-rig.h"

enum { BLIT = MMIO + 0x100 };

static Rig card(void)
{
    return rig_new("cirrus-vga", 1, 0);
}

/* 640x480 with that many bits, lines of 3072 bytes. */
static void set_mode(Rig *r, unsigned sr7, unsigned hidden)
{
    put(r, MMIO + 2, 1, 0x63);
    port(r, 0x3c4, 6, 0x12);
    port(r, 0x3c4, 7, sr7);
    port(r, 0x3d4, 0x11, 0);
    port(r, 0x3d4, 1, 79);
    port(r, 0x3d4, 7, 0x02);
    port(r, 0x3d4, 0x12, 0xdf);
    port(r, 0x3d4, 0x13, 0x80);
    port(r, 0x3d4, 0x1b, 0x32);
    put(r, MMIO + 6, 1, 0xff);
    for (unsigned i = 0; i < 4; i++) {
        get(r, MMIO + 6, 1);
    }
    put(r, MMIO + 6, 1, hidden);
}

static void test_modes(void)
{
    Rig r = card();

    set_mode(&r, 9, 0xc5);
    put(&r, VRAM + 3072 + 8, 4, 0x112233);
    g_assert_cmphex(pixel(&r, 2, 1), ==, 0x112233);
    g_assert_cmpuint(console_surface(r.console)->width, ==, 640);
    g_assert_cmpuint(console_surface(r.console)->height, ==, 480);
    set_mode(&r, 7, 0xc1);
    put(&r, VRAM + 3072 + 4, 2, 0xf800);
    g_assert_cmphex(pixel(&r, 2, 1), ==, 0xff0000);
    put(&r, MMIO + 0x14, 1, 0x27);
    g_assert_cmphex(get(&r, MMIO + 0x15, 1), ==, 0xb8);
    put(&r, MMIO + 4, 1, 6);
    g_assert_cmphex(get(&r, MMIO + 5, 1), ==, 0x12);
    rig_free(&r);
}

typedef struct Copy {
    unsigned width, height, to_pitch, from_pitch, to, from, mode, rop, ext;
} Copy;

static void blit(Rig *r, Copy c)
{
    put(r, BLIT + 0x08, 2, c.width - 1);
    put(r, BLIT + 0x0a, 2, c.height - 1);
    put(r, BLIT + 0x0c, 2, c.to_pitch);
    put(r, BLIT + 0x0e, 2, c.from_pitch);
    put(r, BLIT + 0x10, 2, c.to);
    put(r, BLIT + 0x12, 1, c.to >> 16);
    put(r, BLIT + 0x14, 2, c.from);
    put(r, BLIT + 0x16, 1, c.from >> 16);
    put(r, BLIT + 0x18, 1, c.mode);
    put(r, BLIT + 0x1a, 1, c.rop);
    put(r, BLIT + 0x1b, 1, c.ext);
    put(r, BLIT + 0x40, 1, 2);
}

static void test_blitter(void)
{
    Rig r = card();

    for (unsigned i = 0; i < 8; i++) {
        put(&r, VRAM + i, 1, 0x10 + i);
    }
    blit(&r, (Copy){8, 1, 64, 64, 0x1000, 0, 0, 0x0d, 0});
    g_assert_cmphex(get(&r, VRAM + 0x1000, 8), ==, 0x1716151413121110);
    g_assert_cmphex(get(&r, BLIT + 0x40, 1) & 1, ==, 0);
    /* backwards, overlapping by one byte */
    blit(&r, (Copy){8, 1, 64, 64, 0x1008, 0x1007, 1, 0x0d, 0});
    g_assert_cmphex(get(&r, VRAM + 0x1001, 8), ==, 0x1716151413121110);
    /* exclusive or with itself */
    blit(&r, (Copy){8, 1, 64, 64, 0x1001, 0x1001, 0, 0x59, 0});
    g_assert_cmphex(get(&r, VRAM + 0x1001, 8), ==, 0);
    /* solid: two lines of two pixels of 32 bits */
    put(&r, BLIT + 4, 4, 0xaabbccdd);
    blit(&r, (Copy){8, 2, 64, 0, 0x2000, 0, 0xf0, 0x0d, 4});
    g_assert_cmphex(get(&r, VRAM + 0x2000, 8), ==, 0xaabbccddaabbccdd);
    g_assert_cmphex(get(&r, VRAM + 0x2040, 8), ==, 0xaabbccddaabbccdd);
    g_assert_cmphex(get(&r, VRAM + 0x2008, 4), ==, 0);
    /* bits 1010... to two colours of 8 bits; transparent ones stay */
    put(&r, BLIT, 1, 0x01);
    put(&r, BLIT + 4, 1, 0x02);
    put(&r, VRAM + 0x3000, 1, 0xa0);
    blit(&r, (Copy){8, 1, 64, 0, 0x3100, 0x3000, 0x80, 0x0d, 0});
    g_assert_cmphex(get(&r, VRAM + 0x3100, 4), ==, 0x01020102);
    put(&r, VRAM + 0x3200, 4, 0x77777777);
    blit(&r, (Copy){4, 1, 64, 0, 0x3200, 0x3000, 0x88, 0x0d, 0});
    g_assert_cmphex(get(&r, VRAM + 0x3200, 4), ==, 0x77027702);
    rig_free(&r);
}

/* The CPU gives the source: stores anywhere in video memory count. */
static void test_feed(void)
{
    Rig r = card();

    blit(&r, (Copy){4, 2, 64, 0, 0x4000, 0, 4, 0x0d, 0});
    g_assert_cmphex(get(&r, BLIT + 0x40, 1) & 1, ==, 1);
    put(&r, VRAM + 0x20, 4, 0x44332211);
    put(&r, VRAM + 0x20, 4, 0x88776655);
    g_assert_cmphex(get(&r, BLIT + 0x40, 1) & 1, ==, 0);
    g_assert_cmphex(get(&r, VRAM + 0x4000, 4), ==, 0x44332211);
    g_assert_cmphex(get(&r, VRAM + 0x4040, 4), ==, 0x88776655);
    g_assert_cmphex(get(&r, VRAM + 0x20, 4), ==, 0);
    put(&r, VRAM + 0x20, 4, 0x12345678);        /* plain memory again */
    g_assert_cmphex(get(&r, VRAM + 0x20, 4), ==, 0x12345678);
    rig_free(&r);
}

static void test_edges(void)
{
    Rig r = card();

    /* the largest copy, of every mode, at the end of memory */
    for (unsigned mode = 0; mode < 256; mode++) {
        if (!(mode & 6)) {
            blit(&r, (Copy){8192, 64, 0x1fff, 0x1fff, 0x3fffff, 0x3ffff0, mode, 0x0d, mode >> 5});
        }
    }
    test_move(r.t);
    rig_free(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cirrus/modes", test_modes);
    g_test_add_func("/cirrus/blitter", test_blitter);
    g_test_add_func("/cirrus/feed", test_feed);
    g_test_add_func("/cirrus/edges", test_edges);
    return g_test_run();
}
