/* SPDX-License-Identifier: Apache-2.0 */
/* Between the 8254's files. */
#ifndef HW_TIMER_I8254_H
#define HW_TIMER_I8254_H

#include "core/x86-pit.h"
#include "hw/pc-chips.h"

typedef struct Pit {
    Device dev;
    Irq irq;
    Timer edge;                 /* next change of channel 0's output */
    PitState s;
    const AccelPit *kernel;     /* who counts; NULL: this device */
    bool stands;                /* the kernel's state is here, as the machine stands */
} Pit;

/* The kernel's state comes here, and goes there. Nothing where this device counts. */
void i8254_pull(Pit *s);
void i8254_push(Pit *s);

#endif
