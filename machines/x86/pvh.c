/* SPDX-License-Identifier: Apache-2.0 */
/* PVH: an ELF kernel entered in 32-bit protected mode with hvm_start_info in EBX. */
#include "machines/x86/formats.h"
#include <string.h>
#include "util/bytes.h"
#include "util/error.h"

enum { START_MAGIC = 0x336ec578, START_SIZE = 56, MODULE_SIZE = 32, MEMMAP_SIZE = 24, PAGE = 4096 };

static void add_start_info(Machine *m, const X86BootInfo *info, const InitrdPlace *initrd)
{
    uint64_t modules = BOOT_START_INFO + START_SIZE, map = modules + MODULE_SIZE;
    g_autoptr(GByteArray) b = g_byte_array_new();
    bytes_put(b, START_MAGIC, 4);
    bytes_put(b, 1, 4);                       /* version: has a memory map */
    bytes_put(b, 0, 4);
    bytes_put(b, initrd->size ? 1 : 0, 4);
    bytes_put(b, initrd->size ? modules : 0, 8);
    bytes_put(b, BOOT_CMDLINE, 8);
    bytes_put(b, info->rsdp, 8);
    bytes_put(b, map, 8);
    bytes_put(b, info->n_map, 4);
    bytes_put(b, 0, 4);
    bytes_put(b, initrd->at, 8);
    bytes_put(b, initrd->size, 8);
    bytes_put(b, 0, 8);
    bytes_put(b, 0, 8);
    for (unsigned i = 0; i < info->n_map; i++) {
        bytes_put(b, info->map[i].base, 8);
        bytes_put(b, info->map[i].length, 8);
        bytes_put(b, info->map[i].type, 4);
        bytes_put(b, 0, 4);
    }
    loader_add_copy(m, b->data, b->len, BOOT_START_INFO);
}

bool x86_boot_pvh(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info, GError **error)
{
    LoaderElf elf;
    if (!loader_elf(m, kernel, m->kernel, &elf, error))
        return false;
    if (!elf.pvh_entry)
        return error_set(error, "ELF kernel '%s' has no PVH note (a Linux kernel needs "
                         "CONFIG_PVH=y)", m->kernel);
    if (elf.high > info->low_end)
        return error_set(error, "kernel '%s' does not fit into memory; give the machine more (-m)",
                         m->kernel);
    InitrdPlace initrd;
    if (!x86_place_initrd(m, info, 1ull << 32, elf.high, &initrd, error))
        return false;
    x86_place_cmdline(m, cmdline);
    add_start_info(m, info, &initrd);
    info->entry = (X86Boot){.mode = X86_BOOT_PROT32, .start = elf.pvh_entry, .rbx = BOOT_START_INFO};
    return true;
}
