/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware, kernel, initial ramdisk and reset vector of RISC-V boards. */
#ifndef MACHINES_RISCV_BOOT_H
#define MACHINES_RISCV_BOOT_H

#include "core/vm.h"

typedef struct RiscvBoot {
    uint64_t ram_base, ram_size;
    unsigned xlen;
    /* Filled by riscv_boot_load(): where everything went; 0 nothing. */
    uint64_t start;             /* first instruction after the reset vector */
    uint64_t kernel_entry, initrd_start, initrd_end;
} RiscvBoot;

/* -bios (default, none, a file), -kernel (ELF or Image), -initrd. */
bool riscv_boot_load(Machine *m, RiscvBoot *boot, GError **error);
/* Places the tree at the top of memory and returns its address, 0 with an error. */
uint64_t riscv_boot_place_dtb(Machine *m, const RiscvBoot *boot, const void *dtb, size_t size,
                              GError **error);
/* The first instructions at rom: a0 hart id, a1 dtb, a2 fw_dynamic information. */
void riscv_boot_reset_vector(Machine *m, const RiscvBoot *boot, uint64_t rom, uint64_t dtb);

#endif
