/* SPDX-License-Identifier: Apache-2.0 */
/* Showing a linear picture that lies in video memory. */
#ifndef HW_DISPLAY_LINEAR_H
#define HW_DISPLAY_LINEAR_H

#include "hw/display/dispi.h"

typedef struct Linear {
    DispiMode shown;            /* all zero: none */
    const void *host;
} Linear;

/* Brings the console up to date: a surface over video memory where that is x8r8g8b8, else a converted
 * one. `palette`: 256 colours for 8 bits a pixel. `all`: whatever the dirty bits say. Control thread,
 * with the device locked. */
void linear_refresh(Linear *l, Console *c, MemRegion *vram, const DispiMode *mode,
                    const uint32_t *palette, bool all);
void linear_forget(Linear *l);
/* Whether a page of [offset, +n) has been written since the last call. */
bool vram_changed(Vm *vm, MemRegion *vram, uint64_t offset, uint64_t n);

#endif
