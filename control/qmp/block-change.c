/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that make, change and remove block nodes, and change media. */
#include <string.h>

#include "block/block.h"
#include "block/throttle.h"
#include "core/clock.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

/* ---- nodes ---- */

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
    Drive *d = vm_service_find(vm, "drive", node_name);
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");

    for (char **id = ids; n && *id; id++) {
        Drive *other = vm_service_find(vm, "drive", *id);
        if (other->node == n && (other->device || other != d)) {
            return error_set(error, "Node %s is in use", node_name);
        }
    }
    if (!block_close(vm, node_name, error)) {
        return false;
    }
    if (d && !d->device) {
        vm_service_remove(vm, "drive", node_name);
        object_remove(&d->object);
    }
    return true;
}

bool qmp_blockdev_reopen(Vm *vm, BlockdevOptionsList *options, GError **error)
{
    for (size_t i = 0; i < options->count; i++) {
        if (!block_reopen(vm, options->items[i], error)) {
            return false;
        }
    }
    return true;
}

static BlockNode *find_node(Vm *vm, const char *device, const char *node_name, GError **error)
{
    Drive *d = device ? vm_service_find(vm, "drive", device) : NULL;
    BlockNode *n = node_name ? block_find(vm, node_name) : d ? d->node : NULL;

    if (device && node_name) {
        error_set(error, "Cannot specify both device and node-name");
        return NULL;
    }
    if (!n && d) {
        error_set(error, "Device '%s' has no medium", device);
    } else if (!n && device) {
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Cannot find device='%s' nor node-name=''", device);
    } else if (!n) {
        error_set(error, "Cannot find device='' nor node-name='%s'", node_name ? node_name : "");
    }
    return n;
}

bool qmp_block_resize(Vm *vm, const char *device, const char *node_name, int64_t size, GError **error)
{
    BlockNode *n = find_node(vm, device, node_name, error);
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");

    if (n && size < 0) {
        return error_set(error, "Parameter 'size' expects a >0 size");
    }
    if (!n || !block_resize(n, (uint64_t)size, PREALLOC_MODE_OFF, error)) {
        return false;
    }
    for (char **id = ids; *id; id++) {
        Drive *d = vm_service_find(vm, "drive", *id);
        if (d->node == n && d->ops && d->ops->resized) {
            d->ops->resized(d->device);
        }
    }
    return true;
}

bool qmp_block_set_write_threshold(Vm *vm, const char *node_name, uint64_t threshold, GError **error)
{
    BlockNode *n = block_find(vm, node_name);

    if (!n) {
        return error_set(error, "Device '%s' not found", node_name);
    }
    block_set_threshold(n, threshold);
    return true;
}

bool qmp_change_backing_file(Vm *vm, const char *device, const char *node_name, const char *backing,
                             GError **error)
{
    BlockNode *n = block_find(vm, node_name);

    if (!n) {
        return error_set(error, "Cannot find device='' nor node-name='%s'", node_name);
    }
    if (!vm_service_find(vm, "drive", device) && !block_find(vm, device)) {
        return error_set(error, "Cannot find device='%s' nor node-name='%s'", device, device);
    }
    BlockNode *below = block_backing(n);
    return block_change_backing(n, backing, below ? block_driver_name(below) : NULL, error);
}

/* ---- snapshots within images ---- */

static BlockNode *snapshot_node(Vm *vm, const char *device, GError **error)
{
    Drive *d = vm_service_find(vm, "drive", device);
    BlockNode *n = d && d->node ? d->node : block_find(vm, device);

    if (!n && d) {
        error_set(error, "Device '%s' has no medium", device);
    } else if (!n) {
        error_set(error, "Cannot find device='%s' nor node-name='%s'", device, device);
    } else if (block_read_only(n)) {
        error_set(error, "Device '%s' is read only", device);
    } else if (!block_with_snapshots(n)) {
        error_set(error, "Block format '%s' used by device '%s' does not support internal snapshots",
                  block_driver_name(n), device);
    } else {
        return block_with_snapshots(n);
    }
    return NULL;
}

static SnapshotInfo *find_snapshot(BlockNode *n, const char *id, const char *name)
{
    g_autoptr(ImageInfo) info = block_image_info(n, false);

    for (size_t i = 0; info->snapshots && i < info->snapshots->count; i++) {
        SnapshotInfo *s = info->snapshots->items[i];
        if ((!id || !strcmp(s->id, id)) && (!name || !strcmp(s->name, name))) {
            info->snapshots->items[i] = NULL;
            return s;
        }
    }
    return NULL;
}

bool qmp_blockdev_snapshot_internal_sync(Vm *vm, const char *device, const char *name, GError **error)
{
    BlockNode *n = snapshot_node(vm, device, error);
    int64_t now = g_get_real_time(), clock = clock_ns(vm, CLOCK_K_VIRTUAL);
    SnapshotInfo made = {.name = (char *)name, .date_sec = now / G_USEC_PER_SEC,
                         .date_nsec = now % G_USEC_PER_SEC * 1000, .vm_clock_sec = clock / 1000000000,
                         .vm_clock_nsec = clock % 1000000000};

    if (!n) {
        return false;
    }
    if (!*name) {
        return error_set(error, "Name is empty");
    }
    g_autoptr(SnapshotInfo) other = find_snapshot(n, NULL, name);
    if (other) {
        return error_set(error, "Snapshot with name '%s' already exists on device '%s'", name, device);
    }
    return block_snapshot(n, SNAPSHOT_CREATE, &made, error);
}

SnapshotInfo *qmp_blockdev_snapshot_delete_internal_sync(Vm *vm, const char *device, const char *id,
                                                         const char *name, GError **error)
{
    BlockNode *n = snapshot_node(vm, device, error);

    if (!n) {
        return NULL;
    }
    if (!id && !name) {
        error_set(error, "Name or id must be provided");
        return NULL;
    }
    g_autoptr(SnapshotInfo) found = find_snapshot(n, id, name);
    if (!found) {
        error_set(error, "Snapshot with id '%s' and name '%s' does not exist on device '%s'", id ? id : "null",
                  name ? name : "null", device);
        return NULL;
    }
    return block_snapshot(n, SNAPSHOT_DELETE, found, error) ? g_steal_pointer(&found) : NULL;
}

/* ---- limits ---- */

static uint64_t number(bool has, int64_t value) { return has ? (uint64_t)value : 0; }

bool qmp_block_set_io_throttle(Vm *vm, BlockIOThrottle *t, GError **error)
{
    Drive *d = drive_find_any(vm, t->device, t->id, error);

    if (!d) {
        return false;
    }
    if (!d->node) {
        return error_set(error, "Device has no medium");
    }
    ThrottleLimits l = {
        .avg = {t->bps, t->bps_rd, t->bps_wr, t->iops, t->iops_rd, t->iops_wr},
        .max = {number(t->has_bps_max, t->bps_max), number(t->has_bps_rd_max, t->bps_rd_max),
                number(t->has_bps_wr_max, t->bps_wr_max), number(t->has_iops_max, t->iops_max),
                number(t->has_iops_rd_max, t->iops_rd_max), number(t->has_iops_wr_max, t->iops_wr_max)},
        .length = {number(t->has_bps_max_length, t->bps_max_length),
                   number(t->has_bps_rd_max_length, t->bps_rd_max_length),
                   number(t->has_bps_wr_max_length, t->bps_wr_max_length),
                   number(t->has_iops_max_length, t->iops_max_length),
                   number(t->has_iops_rd_max_length, t->iops_rd_max_length),
                   number(t->has_iops_wr_max_length, t->iops_wr_max_length)},
        .iops_size = number(t->has_iops_size, t->iops_size),
    };
    if (!throttle_is_on(&l)) {
        drive_set_throttle(d, NULL);
        return true;
    }
    Throttle *group = t->group ? throttle_group(vm, t->group) : NULL;
    Throttle *limits = group ? group : d->throttle ? throttle_ref(d->throttle) : throttle_new();
    if (!throttle_set(limits, &l, error)) {
        throttle_unref(limits);
        return false;
    }
    if (limits == d->throttle) {
        throttle_unref(limits);
    } else {
        drive_set_throttle(d, limits);
    }
    return true;
}

/* ---- media ---- */

bool qmp_blockdev_open_tray(Vm *vm, const char *device, const char *id, bool has_force, bool force, GError **error)
{
    Drive *d = drive_find_any(vm, device, id, error);

    return d && drive_open_tray(d, has_force && force, error);
}

bool qmp_blockdev_close_tray(Vm *vm, const char *device, const char *id, GError **error)
{
    Drive *d = drive_find_any(vm, device, id, error);

    return d && drive_close_tray(d, error);
}

bool qmp_blockdev_remove_medium(Vm *vm, const char *id, GError **error)
{
    Drive *d = drive_find_any(vm, NULL, id, error);

    return d && drive_remove_medium(d, error);
}

bool qmp_blockdev_insert_medium(Vm *vm, const char *id, const char *node_name, GError **error)
{
    Drive *d = drive_find_any(vm, NULL, id, error);
    BlockNode *n = block_find(vm, node_name);

    if (d && !n) {
        return error_set(error, "Node '%s' not found", node_name);
    }
    return d && drive_insert_medium(d, n, error);
}

bool qmp_blockdev_change_medium(Vm *vm, const char *device, const char *id, const char *filename,
                                const char *format, bool has_force, bool force, bool has_mode,
                                BlockdevChangeReadOnlyMode mode, GError **error)
{
    Drive *d = drive_find_any(vm, device, id, error);

    if (!d) {
        return false;
    }
    bool read_only = d->cdrom || (has_mode && mode == BLOCKDEV_CHANGE_READ_ONLY_MODE_READ_ONLY) ||
                     ((!has_mode || mode == BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN) && d->read_only);
    BlockOpen w = {.filename = filename, .format = format, .read_only = read_only};
    BlockNode *n = block_open_file(vm, &w, error);
    if (!n) {
        return false;
    }
    if (!drive_open_tray(d, has_force && force, error) || !drive_remove_medium(d, error) ||
        !drive_insert_medium(d, n, error)) {
        block_free(n);
        return false;
    }
    d->owns_node = true;
    d->read_only = read_only;
    return drive_close_tray(d, error);
}

bool qmp_eject(Vm *vm, const char *device, const char *id, bool has_force, bool force, GError **error)
{
    Drive *d = drive_find_any(vm, device, id, error);

    return d && drive_open_tray(d, has_force && force, error) && drive_remove_medium(d, error);
}
