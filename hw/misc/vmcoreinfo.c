/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest kernel keeps its crash notes: it writes that into etc/vmcoreinfo, for those who make dumps.
 * Spec: QEMU's docs/specs/vmcoreinfo.
 */
#include <string.h>
#include "hw/fw_cfg.h"
#include "util/error.h"

enum { SIZE = 16, FORMAT_ELF = 1 };
#define FILE_NAME "etc/vmcoreinfo"

/* The file, little-endian: u16 format that the host takes, u16 the guest's, u32 size and u64 address of the note. */
typedef struct CoreInfo {
    Device dev;
    uint8_t file[SIZE];
} CoreInfo;

static FwCfg *fw_cfg_of(Device *d) { return d->object.vm->machine ? d->object.vm->machine->fw_cfg : NULL; }

static void wrote(void *opaque)
{
    CoreInfo *s = opaque;
    size_t n;
    memcpy(s->file, fw_cfg_file(fw_cfg_of(&s->dev), FILE_NAME, &n), SIZE);
}

static void reset(Device *d)
{
    CoreInfo *s = (CoreInfo *)d;
    memset(s->file, 0, SIZE);
    s->file[0] = FORMAT_ELF;
    fw_cfg_set_file(fw_cfg_of(d), FILE_NAME, s->file);
}

static void restored(Device *d) { fw_cfg_set_file(fw_cfg_of(d), FILE_NAME, ((CoreInfo *)d)->file); }

static bool realize(Device *d, GError **error)
{
    CoreInfo *s = (CoreInfo *)d;
    FwCfg *fw_cfg = fw_cfg_of(d);
    if (!fw_cfg)
        return error_set(error, "vmcoreinfo device requires fw_cfg with DMA: this machine has none");
    if (fw_cfg_has_file(fw_cfg, FILE_NAME))
        return error_set(error, "at most one vmcoreinfo device is permitted");
    fw_cfg_add_file_rw(fw_cfg, FILE_NAME, s->file, SIZE, wrote, s);
    return true;
}

static const Field fields[] = {SAVED(CoreInfo, file)};
static const DeviceType vmcoreinfo = {
    .name = "vmcoreinfo", .desc = "Place of the guest kernel's crash notes", .size = sizeof(CoreInfo),
    .pluggable = true, FIELDS(fields), .realize = realize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(vmcoreinfo);
