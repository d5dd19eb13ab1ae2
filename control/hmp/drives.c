/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor's commands and items about disks. */
#include <string.h>

#include "block/block.h"
#include "control/hmp.h"
#include "control/img/img.h"
#include "control/tools.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

/* ---- drives ---- */

static bool run_drive_add(Hmp *hmp, const Json *args, GError **error)
{
    const char *options = json_get_text(args, "opts");
    const DriveBoard board = {.interface = DRIVE_NONE, .ide_units = 2};

    if (!strstr(options, "if=none")) {
        return error_set(error, "only drives with if=none can be added; device_add connects them");
    }
    if (!drive_add_option(hmp->vm, options, &board, error)) {
        return false;
    }
    hmp_print(hmp, "OK\n");
    return true;
}

static bool run_drive_del(Hmp *hmp, const Json *args, GError **error)
{
    const char *id = json_get_text(args, "id");
    Drive *d = vm_service_find(hmp->vm, "drive", id);

    if (!d || !*drive_public_id(d)) {
        return error_set(error, "Device '%s' not found", id);
    }
    if (d->device) {
        return error_set(error, "Device '%s' is in use by %s; device_del removes that first", id,
                         d->device->id ? d->device->id : d->device->object.type->name);
    }
    BlockNode *n = d->node;
    if (n && block_is_used(n)) {
        return error_set(error, "Device '%s' is in use", id);
    }
    bool owned = d->owns_node;
    object_remove(&d->object);
    if (n && owned) {
        block_free(n);
    }
    return true;
}

/* ---- qemu-io ---- */

static bool run_qemu_io(Hmp *hmp, const Json *args, GError **error)
{
    const char *device = json_get_text(args, "device");
    bool is_device = false;
    Drive *d;
    BlockNode *n;

    json_get_bool(json_get(args, "qdev"), &is_device);
    if (is_device) {
        d = drive_find_any(hmp->vm, NULL, device, error);
        if (!d) {
            return false;
        }
        n = d->node;
    } else {
        d = vm_service_find(hmp->vm, "drive", device);
        n = d ? d->node : block_find(hmp->vm, device);
    }
    if (!n && d) {
        return error_set(error, "Device '%s' has no medium", device);
    }
    if (!n) {
        return error_set(error, "Cannot find device='%s' nor node-name='%s'", device, device);
    }
    io_run(n, json_get_text(args, "command"), hmp->out);
    return true;
}

/* ---- snapshots within images ---- */

static bool run_snapshots(Hmp *hmp, const Json *args, GError **error)
{
    g_autoptr(BlockInfoList) drives = qmp_query_block(hmp->vm, error);
    bool any = false;

    for (size_t i = 0; drives && i < drives->count; i++) {
        const BlockDeviceInfo *medium = drives->items[i]->inserted;
        const SnapshotInfoList *list = medium && medium->image ? medium->image->snapshots : NULL;
        const char *name = drives->items[i]->device;
        if (!list || !list->count) {
            continue;
        }
        if (!any) {
            hmp_print(hmp, "List of snapshots present on all disks:\nNone\n");
        }
        any = true;
        hmp_print(hmp, "\nList of partial (non-loadable) snapshots on '%s':\n", *name ? name : medium->node_name);
        img_list_snapshots(hmp->out, list);
    }
    if (drives && !any) {
        hmp_print(hmp, "There is no snapshot available.\n");
    }
    return drives != NULL;
}

static const HmpCommand commands[] = {
    { "drive_add", "noopen:-n place:s opts:s", "[-n] [[<domain>:]<bus>:]<slot> [file=file][,if=type]...",
      "add drive to PCI storage controller", .run = run_drive_add },
    { "drive_del", "id:s", "device", "remove host block device", .run = run_drive_del },
    { "qemu-io", "qdev:-d device:s command:s", "[-d] [device] \"[command]\"",
      "run a qemu-io command on a block device\n\t\t\t-d: [device] is a device ID rather than a drive ID or node name",
      .run = run_qemu_io },
    { "info snapshots", "", "", "show the currently saved VM snapshots", .run = run_snapshots },
};
HMP_COMMANDS(commands);
