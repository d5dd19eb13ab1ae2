/* SPDX-License-Identifier: Apache-2.0 */
/* The standard VGA card: planes, palette, text, linear pictures, EDID, as a guest and a viewer see them. */
#include <string.h>

#include "hw/display/card-rig.h"
#include "hw/display/edid.h"
#include "hw/display/vga.h"

enum { PORTS = MMIO + 0x400 - 0x3c0, DISPI = MMIO + 0x500 };

static Rig card(const char *type)
{
    return rig_new(type, 2, 0x400);
}

static void dispi(Rig *r, unsigned reg, unsigned value)
{
    put(r, DISPI + 2 * reg, 2, value);
}

/* A colour of the palette, six bits each. */
static void palette(Rig *r, unsigned index, unsigned red, unsigned green, unsigned blue)
{
    put(r, PORTS + 0x3c8, 1, index);
    put(r, PORTS + 0x3c9, 1, red);
    put(r, PORTS + 0x3c9, 1, green);
    put(r, PORTS + 0x3c9, 1, blue);
}

static void attribute(Rig *r, unsigned index, unsigned value)
{
    get(r, PORTS + 0x3da, 1);
    put(r, PORTS + 0x3c0, 1, index);
    put(r, PORTS + 0x3c0, 1, value);
}

static void test_linear(void)
{
    Rig r = card("bochs-display");

    g_assert_cmphex(get(&r, DISPI, 2), ==, 0xb0c5);
    g_assert_cmpuint(get(&r, DISPI + 2 * DISPI_VIDEO_MEMORY_64K, 2), ==, 256);
    dispi(&r, DISPI_XRES, 320);
    dispi(&r, DISPI_YRES, 200);
    dispi(&r, DISPI_BPP, 32);
    dispi(&r, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
    g_assert_cmphex(pixel(&r, 5, 3), ==, 0);
    g_assert_cmpuint(console_surface(r.console)->width, ==, 320);
    put(&r, VRAM + (3 * 320 + 5) * 4, 4, 0x112233);
    g_assert_cmphex(pixel(&r, 5, 3), ==, 0x112233);
    /* 16 bits: red */
    dispi(&r, DISPI_BPP, 16);
    put(&r, VRAM + (3 * 320 + 5) * 2, 2, 0xf800);
    g_assert_cmphex(pixel(&r, 5, 3), ==, 0xff0000);
    /* a picture beyond the memory's end is cut, not shown */
    dispi(&r, DISPI_BPP, 32);
    dispi(&r, DISPI_XRES, 16000);
    dispi(&r, DISPI_YRES, 12000);
    pixel(&r, 0, 0);
    dispi(&r, DISPI_Y_OFFSET, 0xffff);
    pixel(&r, 0, 0);
    g_assert_cmpuint(get(&r, MMIO + 0x600, 4), ==, 8);
    rig_free(&r);
}

/* 80x25 with 8x16 characters, white on blue; character 1 of the font is a full block. */
static void test_text(void)
{
    Rig r = card("VGA");

    put(&r, PORTS + 0x3c2, 1, 0x67);
    port(&r, 0x3c4, 1, 1);
    port(&r, 0x3c4, 4, 6);                      /* sequential, to load the font */
    port(&r, 0x3c4, 2, 4);
    port(&r, 0x3ce, 8, 0xff);
    port(&r, 0x3ce, 6, 4);
    for (unsigned i = 0; i < 16; i++) {
        put(&r, 0xa0000 + 32 + i, 1, 0xff);
    }
    port(&r, 0x3c4, 4, 2);                      /* odd/even, window at 0xb8000 */
    port(&r, 0x3c4, 2, 3);
    port(&r, 0x3ce, 5, 0x10);
    port(&r, 0x3ce, 6, 0x0e);
    port(&r, 0x3d4, 1, 79);
    port(&r, 0x3d4, 7, 0x1f);
    port(&r, 0x3d4, 9, 0x4f);
    port(&r, 0x3d4, 0x12, 0x8f);
    port(&r, 0x3d4, 0x13, 40);
    port(&r, 0x3d4, 0x17, 0xa3);
    port(&r, 0x3d4, 0x0a, 0x20);
    for (unsigned i = 0; i < 16; i++) {
        attribute(&r, i, i);
    }
    attribute(&r, 0x20 | 0x10, 0);
    put(&r, PORTS + 0x3c6, 1, 0xff);
    palette(&r, 1, 0, 0, 63);
    palette(&r, 15, 63, 63, 63);
    put(&r, 0xb8000 + 2 * 81, 2, 0x1f01);       /* second line, second column */
    put(&r, 0xb8000 + 2 * 82, 2, 0x1f00);
    g_assert_cmphex(get(&r, 0xb8000 + 2 * 81, 2), ==, 0x1f01);
    g_assert_cmphex(pixel(&r, 8, 16), ==, 0xffffff);
    g_assert_cmphex(pixel(&r, 16, 16), ==, 0x0000ff);
    g_assert_cmpuint(console_surface(r.console)->width, ==, 640);
    g_assert_cmpuint(console_surface(r.console)->height, ==, 400);
    uint16_t cells[80 * 25];
    unsigned columns = 80, rows = 25;
    g_assert_true(console_text(r.console, cells, &columns, &rows));
    g_assert_cmphex(cells[81], ==, 0x1f01);
    /* the state carries what it looks like */
    test_move(r.t);
    rig_free(&r);
}

/* Write modes 0 with set/reset, 2 and the bit mask, on 16 colours. */
static void test_planes(void)
{
    Rig r = card("VGA");

    port(&r, 0x3c4, 4, 6);
    port(&r, 0x3c4, 2, 15);
    port(&r, 0x3ce, 6, 5);
    port(&r, 0x3ce, 8, 0x80);
    port(&r, 0x3ce, 0, 5);
    port(&r, 0x3ce, 1, 15);
    get(&r, 0xa0000, 1);                        /* latches */
    put(&r, 0xa0000, 1, 0);
    for (unsigned plane = 0; plane < 4; plane++) {
        port(&r, 0x3ce, 4, plane);
        g_assert_cmphex(get(&r, 0xa0000, 1), ==, 5 >> plane & 1 ? 0x80 : 0);
    }
    port(&r, 0x3ce, 5, 2);
    port(&r, 0x3ce, 8, 0x01);
    put(&r, 0xa0000, 1, 2);
    port(&r, 0x3ce, 4, 1);
    g_assert_cmphex(get(&r, 0xa0000, 1), ==, 0x01);
    port(&r, 0x3ce, 5, 8);                      /* read mode 1: where is colour 5? */
    port(&r, 0x3ce, 2, 5);
    port(&r, 0x3ce, 7, 15);
    g_assert_cmphex(get(&r, 0xa0000, 1), ==, 0x80);
    g_assert_cmphex(get(&r, 0xb8000, 1), ==, 0xff);     /* not in this window */
    rig_free(&r);
}

static void test_edid(void)
{
    uint8_t edid[EDID_SIZE], sum = 0;

    edid_make(&(EdidInfo){.width = 1920, .height = 1080}, edid);
    for (unsigned i = 0; i < EDID_SIZE; i++) {
        sum += edid[i];
    }
    g_assert_cmpuint(sum, ==, 0);
    g_assert_cmpuint(edid[56] | edid[58] >> 4 << 8, ==, 1920);
    g_assert_cmpuint(edid[59] | edid[61] >> 4 << 8, ==, 1080);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga/linear", test_linear);
    g_test_add_func("/vga/text", test_text);
    g_test_add_func("/vga/planes", test_planes);
    g_test_add_func("/vga/edid", test_edid);
    return g_test_run();
}
