/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boots of x86 machines: kernel formats into memory and the boot processor's first state.
 * Linux x86 boot protocol (Documentation/arch/x86/boot), PVH (Xen HVM direct boot), Multiboot 0.6.96.
 */
#ifndef MACHINES_X86_BOOT_H
#define MACHINES_X86_BOOT_H

#include "hw/fw_cfg.h"
#include "machines/loader.h"
#include "target/x86.h"

typedef struct E820 {
    uint64_t base, length;
    uint32_t type;              /* 1 RAM, 2 reserved */
} E820;

typedef struct X86BootInfo {
    E820 map[16];
    unsigned n_map;
    uint64_t low_end;           /* end of RAM below 4 GiB */
    uint64_t rsdp;              /* 0: none */
    X86Boot entry;              /* for the boot processor, at each reset */
    bool direct;                /* entry is valid; else the reset vector */
} X86BootInfo;

/* Fixed places below 1 MiB that direct boots use. */
enum {
    BOOT_GDT = 0x500, BOOT_START_INFO = 0x6000, BOOT_ZERO_PAGE = 0x7000, BOOT_PAGE_TABLES = 0x9000,
    BOOT_CMDLINE = 0x20000, BOOT_EBDA = 0x9fc00, BOOT_ACPI = 0xe0000, BOOT_KERNEL = 0x100000,
};

/* Standard RAM map of a firmware-less boot: below the EBDA, from 1 MiB, from 4 GiB. */
void x86_boot_map(X86BootInfo *info, uint64_t low_end, uint64_t high_size);
/* Loads m->kernel, m->initrd and the command line, whatever the format, ready to enter. */
bool x86_boot_kernel(Machine *m, const char *cmdline, X86BootInfo *info, GError **error);
/* For firmware: the same files through fw_cfg, with Debian's option ROM that loads them from there (firmware
 * with a loader of its own needs none). */
bool x86_boot_fw_cfg(Machine *m, FwCfg *fw_cfg, const char *cmdline, uint64_t low_end,
                     bool option_rom, GError **error);
/* -bios or the given default at the top of 4 GiB, its last 128 KiB also below 1 MiB. */
bool x86_load_bios(Machine *m, const char *dflt, GError **error);

#endif
