/* SPDX-License-Identifier: Apache-2.0 */
/* Extended Display Identification Data of a made-up monitor. Spec: VESA E-EDID Release A, Rev. 2. */
#include "hw/display/edid.h"

#include <string.h>

#include <glib.h>

/* Established timings (section 3.8): a bit each in bytes 35 to 37. */
static const struct { uint16_t width, height; uint8_t byte, bit; } established[] = {
    {640, 480, 35, 5}, {800, 600, 35, 0}, {1024, 768, 36, 3}, {1280, 1024, 36, 0},
};
/* Standard timings (section 3.9), as far as they fit the monitor. */
static const struct { uint16_t width, height; } standard[] = {
    {2048, 1152}, {1920, 1080}, {1920, 1200}, {1680, 1050}, {1600, 1200}, {1440, 900}, {1360, 768},
    {1280, 960},
};

static bool fits(const EdidInfo *i, unsigned width, unsigned height)
{
    return (!i->max_width || width <= i->max_width) && (!i->max_height || height <= i->max_height);
}

static uint8_t aspect(unsigned width, unsigned height)
{
    return width * 10 == height * 16 ? 0 : width * 3 == height * 4 ? 1 : width * 4 == height * 5 ? 2 : 3;
}

static void timings(const EdidInfo *i, uint8_t *edid)
{
    uint8_t *p = edid + 38;

    for (unsigned k = 0; k < G_N_ELEMENTS(established); k++) {
        if (fits(i, established[k].width, established[k].height)) {
            edid[established[k].byte] |= 1 << established[k].bit;
        }
    }
    memset(p, 1, 16);               /* unused */
    for (unsigned k = 0; k < G_N_ELEMENTS(standard); k++) {
        if (fits(i, standard[k].width, standard[k].height)) {
            *p++ = standard[k].width / 8 - 31;
            *p++ = aspect(standard[k].width, standard[k].height) << 6;  /* at 60 Hz */
        }
    }
}

/* Section 3.10.2, with blanking as wide as simple monitors have it. */
static void detailed(uint8_t *d, const EdidInfo *i)
{
    unsigned hfront = i->width * 25 / 100, hsync = i->width * 3 / 100, hblank = i->width * 35 / 100;
    unsigned vfront = i->height * 5 / 1000, vsync = i->height * 5 / 1000;
    unsigned vblank = i->height * 35 / 1000;
    uint64_t clock = (uint64_t)i->refresh * (i->width + hblank) * (i->height + vblank) / 10000;

    clock = MIN(clock, 0xffff);
    d[0] = clock;
    d[1] = clock >> 8;
    d[2] = i->width;
    d[3] = hblank;
    d[4] = (i->width >> 8 & 15) << 4 | (hblank >> 8 & 15);
    d[5] = i->height;
    d[6] = vblank;
    d[7] = (i->height >> 8 & 15) << 4 | (vblank >> 8 & 15);
    d[8] = hfront;
    d[9] = hsync;
    d[10] = (vfront & 15) << 4 | (vsync & 15);
    d[11] = (hfront >> 8 & 3) << 6 | (hsync >> 8 & 3) << 4 | (vfront >> 4 & 3) << 2 | (vsync >> 4 & 3);
    d[12] = i->width_mm;
    d[13] = i->height_mm;
    d[14] = (i->width_mm >> 8 & 15) << 4 | (i->height_mm >> 8 & 15);
    d[17] = 0x18;                   /* digital, separate synchronisation */
}

/* Section 3.10.3: range limits, name. */
static void descriptors(uint8_t *edid)
{
    static const uint8_t range[18] = {0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 0xff, 0x01, 10,
                                      32, 32, 32, 32, 32, 32};
    static const char name[] = "\0\0\0\xfc\0Myna Monitor\n";

    memcpy(edid + 72, range, 18);
    memcpy(edid + 90, name, 18);
    edid[108 + 3] = 0x10;           /* nothing */
}

void edid_make(const EdidInfo *info, uint8_t edid[EDID_SIZE])
{
    static const uint8_t head[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    /* sRGB's primaries and white point (section 3.7) */
    static const uint8_t colours[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    EdidInfo i = *info;
    unsigned sum = 0;

    i.width = i.width ? MIN(i.width, 4095) : 1280;
    i.height = i.height ? MIN(i.height, 4095) : 800;
    i.refresh = i.refresh ? i.refresh : 75;
    i.width_mm = i.width_mm ? i.width_mm : i.width * 254 / 1000;
    i.height_mm = i.height_mm ? i.height_mm : i.height * 254 / 1000;
    memset(edid, 0, EDID_SIZE);
    memcpy(edid, head, sizeof(head));
    edid[8] = ('R' - 64) << 2 | ('H' - 64) >> 3;        /* the maker that guests know as virtual */
    edid[9] = (('H' - 64) & 7) << 5 | ('T' - 64);
    edid[10] = 0x34;
    edid[11] = 0x12;
    edid[16] = 42;                  /* week, year */
    edid[17] = 24;
    edid[18] = 1;                   /* version 1.4 */
    edid[19] = 4;
    edid[20] = 0xa5;                /* digital, 8 bits a colour, DisplayPort */
    edid[21] = i.width_mm / 10;
    edid[22] = i.height_mm / 10;
    edid[23] = 120;                 /* gamma 2.2 */
    edid[24] = 0x06;                /* sRGB, preferred timing is native */
    memcpy(edid + 25, colours, sizeof(colours));
    timings(&i, edid);
    detailed(edid + 54, &i);
    descriptors(edid);
    for (unsigned k = 0; k < EDID_SIZE - 1; k++) {
        sum += edid[k];
    }
    edid[127] = -sum;
}
