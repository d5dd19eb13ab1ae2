/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel flash that speaks the Intel command set (CFI 0001). */
#ifndef HW_PFLASH_H
#define HW_PFLASH_H

#include "core/vm.h"

struct Drive;

/* A chip of the drive's size with sectors of `sector` bytes; its region is pflash_region(). */
Device *pflash_new(Vm *vm, const char *name, struct Drive *drive, uint64_t sector, GError **error);
MemRegion *pflash_region(Device *d);
uint64_t pflash_size(Device *d);

#endif
