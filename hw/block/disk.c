/* SPDX-License-Identifier: Apache-2.0 */
/* What disks of all kinds have in common towards their drives. */
#include "hw/disk.h"
#include "util/error.h"

enum { SMALLEST = 512, LARGEST = 2 << 20 };

const char *const disk_error_names[] = {"report", "ignore", "enospc", "stop", "auto", NULL};

static bool is_size(uint64_t n) { return n >= SMALLEST && n <= LARGEST && !(n & (n - 1)); }

static bool check_sizes(DiskConfig *c, unsigned block, GError **error)
{
    c->logical = c->logical ? c->logical : block;
    c->physical = c->physical ? c->physical : MAX(c->logical, block);
    if (!is_size(c->logical) || !is_size(c->physical))
        return error_set(error, "block sizes must be powers of 2 between %d and %d", SMALLEST, LARGEST);
    if (c->logical > c->physical)
        return error_set(error, "logical_block_size > physical_block_size not supported");
    if (c->min_io % c->logical || c->opt_io % c->logical)
        return error_set(error, "min_io_size and opt_io_size must be multiples of logical_block_size");
    if (c->discard_granularity != UINT32_MAX && c->discard_granularity % c->logical)
        return error_set(error, "discard_granularity must be a multiple of logical_block_size");
    return true;
}

/* A value of the device's own stands above that of -drive. */
static void apply_policy(DiskConfig *c)
{
    if (c->rerror != BLOCKDEV_ON_ERROR_AUTO)
        c->drive->rerror = c->rerror;
    if (c->werror != BLOCKDEV_ON_ERROR_AUTO)
        c->drive->werror = c->werror;
    if (c->write_cache)
        c->drive->writeback = c->write_cache == 1;
}

bool disk_attach(DiskConfig *c, Device *d, unsigned block, bool write, const DriveOps *ops, Loop *loop, GError **error)
{
    bool removable = ops && ops->removable;
    if (!c->drive && !removable)
        return error_set(error, "drive property not set");
    if (c->rerror == BLOCKDEV_ON_ERROR_ENOSPC)
        return error_set(error, "rerror=enospc is not possible");
    if (!check_sizes(c, block, error))
        return false;
    c->drive = c->drive ? c->drive : drive_new_empty(d->object.vm);
    c->drive->cdrom |= removable && !write;     /* its media are only read */
    DriveUse use = {.ops = ops, .write = write && c->drive->node && !block_read_only(c->drive->node),
                    .share_rw = c->share_rw, .loop = loop};
    if (!drive_attach(c->drive, d, &use, error))
        return false;
    apply_policy(c);
    if (!c->serial)
        c->serial = g_strdup(c->drive->serial);
    if (c->discard_granularity == UINT32_MAX)
        c->discard_granularity = MAX(c->logical, 4096);
    return true;
}

void disk_detach(DiskConfig *c, Device *d)
{
    if (c->drive && c->drive->device == d)
        drive_detach(c->drive);
}

DiskGeometry disk_geometry(uint64_t sectors)
{
    enum { HEADS = 16, SECTORS = 63, MOST = 16383, LEAST = 2 };
    return (DiskGeometry){CLAMP(sectors / (HEADS * SECTORS), LEAST, MOST), HEADS, SECTORS};
}
