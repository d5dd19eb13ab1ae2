/* SPDX-License-Identifier: Apache-2.0 */
/* Between drive.c and the option that makes drives. */
#ifndef BLOCK_DRIVE_INTERNAL_H
#define BLOCK_DRIVE_INTERNAL_H

#include "block/drive.h"

/* Not in the tree yet; the id is copied. */
Drive *drive_new(Vm *vm, const char *id);
void drive_keep(Drive *d);

#endif
