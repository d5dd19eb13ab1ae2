/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel formats of direct boots; private to machines/x86. */
#ifndef MACHINES_X86_FORMATS_H
#define MACHINES_X86_FORMATS_H

#include "machines/x86/boot.h"

typedef struct InitrdPlace {
    uint64_t at, size;          /* size 0: none */
} InitrdPlace;

/* As high as limit and low RAM allow, at or above floor. */
bool x86_place_initrd(Machine *m, X86BootInfo *info, uint64_t limit, uint64_t floor,
                      InitrdPlace *place, GError **error);
void x86_place_cmdline(Machine *m, const char *cmdline);

bool x86_is_bzimage(GBytes *kernel);
bool x86_boot_bzimage(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info, GError **error);
bool x86_boot_pvh(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info, GError **error);
const uint8_t *x86_multiboot_header(GBytes *kernel);
bool x86_boot_multiboot(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info, GError **error);

#endif
