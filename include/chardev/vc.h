/* SPDX-License-Identifier: Apache-2.0 */
/* What shows the text of -chardev vc: one object type, whose parent is "vc-screen", made by the folder of
 * displays. Without such a type the text goes nowhere. */
#ifndef CHARDEV_VC_H
#define CHARDEV_VC_H

#include "core/vm.h"

typedef struct VcScreenConfig {
    const char *label;          /* the chardev's id */
    unsigned columns, rows;     /* 0: 80, 25 */
    /* Somebody typed; control thread. */
    void (*typed)(void *opaque, const uint8_t *bytes, unsigned n);
    void *opaque;
} VcScreenConfig;

typedef struct VcScreenType {
    ObjectType;
    void *(*make)(Vm *vm, const VcScreenConfig *config);
    void (*write)(void *screen, const uint8_t *bytes, unsigned n);      /* any thread */
    void (*end)(void *screen);
} VcScreenType;

#endif
