/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on block nodes and drives. */
#include <string.h>
#include <sys/stat.h>

#include "block/block.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

/* ---- nodes ---- */

static ImageInfo *image_of(const BlockNode *n)
{
    ImageInfo *i = g_new0(ImageInfo, 1);
    struct stat st;

    i->filename = g_strdup(block_filename(n));
    i->format = g_strdup(block_driver_name(n));
    i->virtual_size = (int64_t)block_size(n);
    if (stat(i->filename, &st) == 0) {
        i->has_actual_size = true;
        i->actual_size = (int64_t)st.st_blocks * 512;
    }
    return i;
}

static BlockDeviceInfo *node_info(const BlockNode *n)
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
    info->image = image_of(n);
    info->cache = blockdev_cache_info_new(true, f.direct, f.no_flush);
    return info;
}

static void add_node(BlockNode *n, void *list)
{
    block_device_info_list_add(list, node_info(n));
}

BlockDeviceInfoList *qmp_query_named_block_nodes(Vm *vm, bool has_flat, bool flat, GError **error)
{
    BlockDeviceInfoList *list = block_device_info_list_new();

    block_foreach(vm, add_node, list);
    return list;
}

/* ---- drives ---- */

/* What the guest's device is called: its id, or its place. */
static char *device_name(Device *d)
{
    return d->id ? g_strdup(d->id) : object_path(&d->object);
}

/* A node that a device uses by its name has no drive of its own to speak of. */
static bool is_node(const Drive *d)
{
    return d->node && strcmp(block_name(d->node), d->id) == 0;
}

static bool is_shown(const Drive *d)
{
    return !is_node(d) || block_user(d->node);
}

static BlockInfo *drive_info(const Drive *d)
{
    BlockInfo *info = g_new0(BlockInfo, 1);
    Device *user = d->node ? block_user(d->node) : NULL;

    info->device = g_strdup(is_node(d) ? "" : d->id);
    info->qdev = user ? device_name(user) : NULL;
    info->type = g_strdup("unknown");
    info->removable = d->cdrom;
    info->inserted = d->node ? node_info(d->node) : NULL;
    if (d->cdrom) {
        info->has_tray_open = true;
    }
    info->has_io_status = user != NULL;
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

static BlockStats *stats_of(const BlockNode *n)
{
    BlockStats *s = g_new0(BlockStats, 1);
    BlockDeviceStats *k = s->stats = g_new0(BlockDeviceStats, 1);

    k->account_invalid = k->account_failed = true;
    k->timed_stats = block_device_timed_stats_list_new();
    if (!n) {
        return s;
    }
    BlockFacts f = block_facts(n);
    s->node_name = g_strdup(block_name(n));
    k->rd_bytes = (int64_t)f.bytes[BLOCK_READ];
    k->wr_bytes = (int64_t)f.bytes[BLOCK_WRITE];
    k->unmap_bytes = (int64_t)f.bytes[BLOCK_DISCARD];
    k->rd_operations = (int64_t)f.ops[BLOCK_READ];
    k->wr_operations = (int64_t)f.ops[BLOCK_WRITE];
    k->flush_operations = (int64_t)f.ops[BLOCK_FLUSH];
    k->unmap_operations = (int64_t)f.ops[BLOCK_DISCARD];
    k->failed_rd_operations = (int64_t)f.failed[BLOCK_READ];
    k->failed_wr_operations = (int64_t)f.failed[BLOCK_WRITE];
    k->failed_flush_operations = (int64_t)f.failed[BLOCK_FLUSH];
    k->failed_unmap_operations = (int64_t)f.failed[BLOCK_DISCARD];
    s->parent = block_file(n) ? stats_of(block_file(n)) : NULL;
    return s;
}

static void add_node_stats(BlockNode *n, void *list)
{
    block_stats_list_add(list, stats_of(n));
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
        BlockStats *s = stats_of(d->node);
        Device *user = d->node ? block_user(d->node) : NULL;
        s->device = g_strdup(is_node(d) ? "" : d->id);
        s->qdev = user ? device_name(user) : NULL;
        block_stats_list_add(list, s);
    }
    return list;
}

/* ---- making and removing ---- */

bool qmp_blockdev_add(Vm *vm, BlockdevOptions *options, GError **error)
{
    if (!options->node_name) {
        return error_set(error, "'node-name' must be specified for the root node");
    }
    if (!block_open(vm, options, error)) {
        return false;
    }
    drive_find(vm, options->node_name);         /* so that drive= finds it */
    return true;
}

bool qmp_blockdev_del(Vm *vm, const char *node_name, GError **error)
{
    BlockNode *n = block_find(vm, node_name);
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");

    for (char **id = ids; n && *id; id++) {
        Drive *d = vm_service_find(vm, "drive", *id);
        if (d->node != n) {
            continue;
        }
        if (d->in_use || block_user(n) || !is_node(d)) {
            return error_set(error, "Node %s is in use", node_name);
        }
        vm_service_remove(vm, "drive", *id);
        object_remove(&d->object);
    }
    if (block_close(vm, node_name, error)) {
        return true;
    }
    if (n) {
        drive_find(vm, node_name);      /* it stays, as part of another */
    }
    return false;
}
