/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor says of itself. */
#ifndef HW_DISPLAY_EDID_H
#define HW_DISPLAY_EDID_H

#include <stdbool.h>
#include <stdint.h>

typedef struct EdidInfo {
    unsigned width, height;         /* preferred, pixels; 0: 1280x800 */
    unsigned max_width, max_height; /* 0: no mode but those below 4096x2160 */
    unsigned refresh;               /* Hz; 0: 75 */
    unsigned width_mm, height_mm;   /* 0: 100 dpi */
} EdidInfo;

enum { EDID_SIZE = 128 };
/* One block. */
void edid_make(const EdidInfo *info, uint8_t edid[EDID_SIZE]);

#endif
