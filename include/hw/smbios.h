/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS tables (DSP0134) for firmware. */
#ifndef HW_SMBIOS_H
#define HW_SMBIOS_H

#include "hw/fw_cfg.h"

typedef struct SmbiosConfig {
    const char *manufacturer, *product, *version;       /* of the system: "QEMU", machine's description, name */
    const char *family, *serial, *sku;                  /* NULL: none */
    const char *cpu_version;
    unsigned sockets, cores, threads;                   /* cores and threads per socket */
    /* RAM ranges that the guest sees. */
    struct { uint64_t base, size; } ram[2];
    uint64_t ram_size;
    bool uefi;                  /* a type 0 saying so */
    const struct PciBus *root;  /* on which pcidev= is looked for; NULL: no such bus */
} SmbiosConfig;

/* One -smbios option, checked; before the machine is built. */
bool smbios_add_option(Vm *vm, const char *text, GError **error);
typedef enum SmbiosEntry { SMBIOS_AUTO, SMBIOS_32, SMBIOS_64 } SmbiosEntry;
/* etc/smbios/smbios-tables and the anchor: 2.8 (31 bytes), which has room for 64 KiB of structures, or 3.0 (24
 * bytes). After all devices were made; an error names the option. */
bool smbios_to_fw_cfg(Vm *vm, const SmbiosConfig *config, SmbiosEntry entry, FwCfg *fw_cfg, GError **error);

#endif
