/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of hw/mem. */
#ifndef HW_MEM_INTERNAL_H
#define HW_MEM_INTERNAL_H

#include "hw/mem.h"

/* Guests map modules with large pages. */
enum { MEMORY_ALIGN = 2 << 20 };

const MemoryHotplug *memory_area_hotplug(MemoryArea *a);

#endif
