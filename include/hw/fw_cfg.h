/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: named and numbered blobs from the machine to its firmware and kernel.
 * Spec: docs of the QEMU firmware configuration device; keys in the platform contract.
 * Home: blobs are added by the control thread before the machine starts; later changes replace
 * contents only.
 */
#ifndef HW_FW_CFG_H
#define HW_FW_CFG_H

#include "core/vm.h"

typedef struct FwCfg FwCfg;

enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04, FW_CFG_NB_CPUS = 0x05, FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_NUMA = 0x0d, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20, FW_CFG_ARCH = 0x8000,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, FW_CFG_E820 = 0x8003, FW_CFG_HPET = 0x8004,
};

/* On-board: at I/O ports 0x510… of vm->io, or memory-mapped at base. Becomes vm->machine->fw_cfg
 * and gets the standard keys (signature, id, uuid, CPU counts, boot menu) and -fw_cfg blobs. */
FwCfg *fw_cfg_new_io(Machine *m);
FwCfg *fw_cfg_new_mem(Machine *m, uint64_t base);

/* Copies. Replaces the blob under that key or name. Names are at most 55 bytes. */
void fw_cfg_add(FwCfg *s, uint16_t key, const void *data, size_t n);
void fw_cfg_add_u16(FwCfg *s, uint16_t key, uint16_t value);
void fw_cfg_add_u32(FwCfg *s, uint16_t key, uint32_t value);
void fw_cfg_add_u64(FwCfg *s, uint16_t key, uint64_t value);
void fw_cfg_add_string(FwCfg *s, uint16_t key, const char *text);   /* with its NUL */
void fw_cfg_add_file(FwCfg *s, const char *name, const void *data, size_t n);
/* The guest may write it; `wrote` (may be NULL) is called after each DMA write. */
void fw_cfg_add_file_rw(FwCfg *s, const char *name, const void *data, size_t n,
                        void (*wrote)(void *opaque), void *opaque);
/* New contents of the same length. */
void fw_cfg_set_file(FwCfg *s, const char *name, const void *data);
/* `select` (may be NULL) runs when the guest selects the file: a chance to bring it up to date. */
void fw_cfg_on_select(FwCfg *s, const char *name, void (*select)(void *opaque), void *opaque);
/* A path that firmware tries before all devices: an option ROM that loads -kernel. */
void fw_cfg_boot_first(FwCfg *s, const char *path);
bool fw_cfg_has_file(FwCfg *s, const char *name);
const void *fw_cfg_file(FwCfg *s, const char *name, size_t *n);

#endif
