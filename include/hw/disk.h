/* SPDX-License-Identifier: Apache-2.0 */
/* What all disks and CD drives let the user set of their drive: block sizes, caching, errors, sharing. */
#ifndef HW_DISK_H
#define HW_DISK_H

#include "block/block.h"

typedef struct DiskConfig {
    Drive *drive;
    char *serial;
    uint64_t logical, physical, min_io, opt_io, discard_granularity;    /* bytes; 0 or UINT32_MAX: the default */
    bool share_rw;
    int write_cache;            /* OnOffAuto */
    int rerror, werror;         /* BlockdevOnError; auto: what -drive says */
} DiskConfig;

extern const char *const disk_error_names[];
/* Rows of a type T whose member m is a DiskConfig; beside HOST(T, m); the second: without a serial number. */
#define DISK_PROPS(T, m) PROP(T, m.serial, "serial", PROP_STRING), DISK_BLOCK_PROPS(T, m)
#define DISK_BLOCK_PROPS(T, m)                                                                      \
    PROP(T, m.drive, "drive", PROP_DRIVE),                                                          \
    PROP(T, m.logical, "logical_block_size", PROP_SIZE),                                            \
    PROP(T, m.physical, "physical_block_size", PROP_SIZE), PROP(T, m.min_io, "min_io_size", PROP_SIZE), \
    PROP(T, m.opt_io, "opt_io_size", PROP_SIZE),                                                    \
    PROP(T, m.discard_granularity, "discard_granularity", PROP_SIZE, .init = UINT32_MAX),           \
    PROP(T, m.share_rw, "share-rw", PROP_BOOL),                                                     \
    PROP(T, m.write_cache, "write-cache", PROP_ON_OFF_AUTO),                                        \
    PROP(T, m.rerror, "rerror", PROP_ENUM, .names = disk_error_names, .init = BLOCKDEV_ON_ERROR_AUTO, \
         .link_type = "BlockdevOnError"),                                                           \
    PROP(T, m.werror, "werror", PROP_ENUM, .names = disk_error_names, .init = BLOCKDEV_ON_ERROR_AUTO, \
         .link_type = "BlockdevOnError")

/* Checks, fills in defaults (blocks of `block` bytes, the drive's serial number), and attaches the drive. A
 * removable one that was given none gets an empty drive. */
bool disk_attach(DiskConfig *c, Device *d, unsigned block, bool write, const DriveOps *ops, Loop *loop, GError **error);
/* Gives the drive back. */
void disk_detach(DiskConfig *c, Device *d);
/* Cylinders, heads, sectors of a disk for those who ask for such. */
typedef struct DiskGeometry {
    uint32_t cylinders, heads, sectors;
} DiskGeometry;
DiskGeometry disk_geometry(uint64_t sectors);

#endif
