/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into guest memory: kernels, firmware, initial ramdisks. What is added here is written again
 * at each reset. Files are mapped, not copied, so an image costs memory only while it is written.
 */
#ifndef MACHINES_LOADER_H
#define MACHINES_LOADER_H

#include "core/vm.h"

/* A file's bytes, mapped as long as the machine lives; errors name the path and what would make it readable. */
GBytes *loader_file(Machine *m, const char *path, GError **error);
/* Firmware by bare name in -L folders and where Debian's packages put it; a path is taken as it is.
 * NULL with an error that names the package to install where it is known. */
char *loader_find(Vm *vm, const char *name, GError **error);
/* Puts data (keeps a reference) at pa at each reset. */
void loader_add(Machine *m, GBytes *data, uint64_t pa);
void loader_add_copy(Machine *m, const void *data, size_t n, uint64_t pa);
/* From MachineType.cold_reset: writes everything. */
void loader_reset(Machine *m);

/* All that was added; name: of the file, NULL: made by the board. */
void loader_foreach(Machine *m, void (*fn)(const char *name, uint64_t pa, uint64_t size, void *data), void *data);

/* An ELF file's loadable segments, added at their physical addresses. */
typedef struct LoaderElf {
    uint64_t entry, low, high;  /* physical addresses; high exclusive, with .bss */
    uint16_t machine;           /* e_machine */
    bool is64, big_endian;
    uint64_t pvh_entry;         /* from the Xen PVH note, 0 none */
} LoaderElf;
bool loader_is_elf(GBytes *file);
bool loader_elf(Machine *m, GBytes *file, const char *name, LoaderElf *out, GError **error);

#endif
