/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors are told about block nodes and drives. */
#include <string.h>

#include "block/block.h"
#include "block/throttle.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

/* ---- nodes ---- */

/* Limits as the info of a node shows them: of the drive that has it. */
static void add_limits(BlockDeviceInfo *i, const Drive *d)
{
    if (!d || !d->throttle) {
        return;
    }
    ThrottleLimits l = throttle_get(d->throttle);
    int64_t *const avg[] = {&i->bps, &i->bps_rd, &i->bps_wr, &i->iops, &i->iops_rd, &i->iops_wr};
    int64_t *const max[] = {&i->bps_max, &i->bps_rd_max, &i->bps_wr_max, &i->iops_max, &i->iops_rd_max,
                            &i->iops_wr_max};
    int64_t *const length[] = {&i->bps_max_length, &i->bps_rd_max_length, &i->bps_wr_max_length,
                               &i->iops_max_length, &i->iops_rd_max_length, &i->iops_wr_max_length};
    bool *const has[] = {&i->has_bps_max, &i->has_bps_rd_max, &i->has_bps_wr_max, &i->has_iops_max,
                         &i->has_iops_rd_max, &i->has_iops_wr_max};
    bool *const has_length[] = {&i->has_bps_max_length, &i->has_bps_rd_max_length, &i->has_bps_wr_max_length,
                                &i->has_iops_max_length, &i->has_iops_rd_max_length,
                                &i->has_iops_wr_max_length};
    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        *avg[k] = (int64_t)l.avg[k];
        *max[k] = (int64_t)l.max[k];
        *length[k] = (int64_t)l.length[k];
        *has[k] = *has_length[k] = l.max[k] != 0;
    }
    i->has_iops_size = l.iops_size != 0;
    i->iops_size = (int64_t)l.iops_size;
    i->group = g_strdup(d->id);
}

static BlockDeviceInfo *node_info(BlockNode *n, const Drive *d, bool flat)
{
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);
    BlockFacts f = block_facts(n);

    info->file = g_strdup(block_filename(n));
    info->node_name = g_strdup(block_name(n));
    info->ro = block_read_only(n);
    info->drv = g_strdup(block_driver_name(n));
    info->detect_zeroes = f.unmap_zeroes    ? BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP
                          : f.detect_zeroes ? BLOCKDEV_DETECT_ZEROES_OPTIONS_ON
                                            : BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    for (BlockNode *b = block_backing(n); b; b = block_backing(b)) {
        info->backing_file = info->backing_file ? info->backing_file : g_strdup(block_filename(b));
        info->backing_file_depth++;
    }
    info->image = block_image_info(n, !flat);
    info->cache = blockdev_cache_info_new(!d || d->writeback, f.direct, f.no_flush);
    info->write_threshold = (int64_t)block_threshold(n);
    add_limits(info, d);
    return info;
}

typedef struct NodeList {
    BlockDeviceInfoList *list;
    bool flat;
} NodeList;

static void add_node(BlockNode *n, void *data)
{
    NodeList *l = data;

    block_device_info_list_add(l->list, node_info(n, NULL, l->flat));
}

BlockDeviceInfoList *qmp_query_named_block_nodes(Vm *vm, bool has_flat, bool flat, GError **error)
{
    NodeList l = {block_device_info_list_new(), has_flat && flat};

    block_foreach(vm, add_node, &l);
    return l.list;
}

/* ---- drives ---- */

/* What the guest's device is called: its id, or its place; a virtio device behind its transport has no id of its own. */
static char *device_name(const Drive *d)
{
    bool wrapped = d->device && d->device->object.parent && d->device->object.parent->type->wraps;

    return d->device && d->device->id && !wrapped ? g_strdup(d->device->id) : drive_device_name(d);
}

/* A node that no device uses has no drive to speak of. */
static bool is_shown(const Drive *d)
{
    return d->device || *drive_public_id(d);
}

static BlockInfo *drive_info(const Drive *d)
{
    BlockInfo *info = g_new0(BlockInfo, 1);

    info->device = g_strdup(drive_public_id(d));
    info->qdev = device_name(d);
    info->type = g_strdup("unknown");
    info->removable = d->ops ? d->ops->removable : d->cdrom || !d->node;
    info->locked = d->ops && d->ops->is_locked && d->ops->is_locked(d->device);
    info->inserted = d->node ? node_info(d->node, d, false) : NULL;
    info->has_tray_open = d->ops && d->ops->removable;
    info->tray_open = d->tray_open;
    info->has_io_status = d->device != NULL;
    info->io_status = d->io_status;
    return info;
}

BlockInfoList *qmp_query_block(Vm *vm, GError **error)
{
    BlockInfoList *list = block_info_list_new();
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");

    for (char **id = ids; *id; id++) {
        const Drive *d = vm_service_find(vm, "drive", *id);
        if (is_shown(d)) {
            block_info_list_add(list, drive_info(d));
        }
    }
    return list;
}

/* ---- statistics ---- */

/* Counts of requests are a drive's; a node knows how far it was written to. */
static BlockStats *stats_of(const BlockNode *n, bool drive, bool below)
{
    BlockStats *s = g_new0(BlockStats, 1);
    BlockDeviceStats *k = s->stats = g_new0(BlockDeviceStats, 1);

    k->account_invalid = k->account_failed = drive;
    k->timed_stats = block_device_timed_stats_list_new();
    if (!n) {
        return s;
    }
    BlockFacts f = block_facts(n);
    s->node_name = g_strdup(block_name(n));
    k->wr_highest_offset = (int64_t)f.highest;
    if (drive) {
        k->rd_bytes = (int64_t)f.bytes[BLOCK_READ];
        k->wr_bytes = (int64_t)(f.bytes[BLOCK_WRITE] + f.bytes[BLOCK_WRITE_ZEROES]);
        k->unmap_bytes = (int64_t)f.bytes[BLOCK_DISCARD];
        k->rd_operations = (int64_t)f.ops[BLOCK_READ];
        k->wr_operations = (int64_t)(f.ops[BLOCK_WRITE] + f.ops[BLOCK_WRITE_ZEROES]);
        k->flush_operations = (int64_t)f.ops[BLOCK_FLUSH];
        k->unmap_operations = (int64_t)f.ops[BLOCK_DISCARD];
        k->rd_total_time_ns = f.ns[BLOCK_READ];
        k->wr_total_time_ns = f.ns[BLOCK_WRITE] + f.ns[BLOCK_WRITE_ZEROES];
        k->flush_total_time_ns = f.ns[BLOCK_FLUSH];
        k->unmap_total_time_ns = f.ns[BLOCK_DISCARD];
        k->failed_rd_operations = (int64_t)f.failed[BLOCK_READ];
        k->failed_wr_operations = (int64_t)(f.failed[BLOCK_WRITE] + f.failed[BLOCK_WRITE_ZEROES]);
        k->failed_flush_operations = (int64_t)f.failed[BLOCK_FLUSH];
        k->failed_unmap_operations = (int64_t)f.failed[BLOCK_DISCARD];
        k->has_idle_time_ns = f.last_ns != 0;
        k->idle_time_ns = f.last_ns ? g_get_monotonic_time() * 1000 - f.last_ns : 0;
    }
    if (!strcmp(block_driver_name(n), "file")) {
        s->driver_specific = g_new0(BlockStatsSpecific, 1);
        s->driver_specific->driver = BLOCKDEV_DRIVER_FILE;
        s->driver_specific->u.file = block_stats_specific_file_new(f.discards, f.discards_failed, f.discarded);
    }
    s->parent = block_file(n) ? stats_of(block_file(n), false, below) : NULL;
    s->backing = below && block_backing(n) ? stats_of(block_backing(n), false, below) : NULL;
    return s;
}

static void add_node_stats(BlockNode *n, void *list)
{
    block_stats_list_add(list, stats_of(n, false, false));
}

BlockStatsList *qmp_query_blockstats(Vm *vm, bool has_query_nodes, bool query_nodes, GError **error)
{
    BlockStatsList *list = block_stats_list_new();
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");

    if (query_nodes) {
        block_foreach(vm, add_node_stats, list);
        return list;
    }
    for (char **id = ids; *id; id++) {
        const Drive *d = vm_service_find(vm, "drive", *id);
        if (!is_shown(d)) {
            continue;
        }
        BlockStats *s = stats_of(d->node, true, true);
        s->device = g_strdup(drive_public_id(d));
        s->qdev = device_name(d);
        block_stats_list_add(list, s);
    }
    return list;
}
