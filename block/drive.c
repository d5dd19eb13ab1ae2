/* SPDX-License-Identifier: Apache-2.0 */
/* Drives: what stands between a device and its medium. */
#include <errno.h>
#include <string.h>
#include "block/internal.h"
#include "block/drive-internal.h"
#include "block/throttle.h"
#include "qapi/keyval.h"
#include "qapi/qapi-events.h"
#include "qapi/type.h"

static void drive_finish(Object *o)
{
    Drive *d = (Drive *)o;
    if (d->id && vm_service_find(o->vm, "drive", d->id) == d)
        vm_service_remove(o->vm, "drive", d->id);
    drive_set_throttle(d, NULL);
    g_free(d->id);
    g_free(d->serial);
}

static const ObjectType drive_type = {
    .name = "drive", .parent = "object", .size = sizeof(Drive), .finish = drive_finish,
};
OBJECT_TYPE(drive_type);

Drive *drive_new(Vm *vm, const char *id)
{
    Drive *d = (Drive *)object_new(vm, &drive_type);
    d->id = g_strdup(id);
    d->writeback = true;
    d->werror = d->rerror = BLOCKDEV_ON_ERROR_AUTO;
    return d;
}

void drive_keep(Drive *d)
{
    Vm *vm = d->object.vm;
    vm_service_add(vm, "drive", d->id, d);
    object_add_child(vm->backends, "drive[*]", &d->object);
}

Drive *drive_find(Vm *vm, const char *name)
{
    Drive *d = vm_service_find(vm, "drive", name);
    BlockNode *n = d ? NULL : block_find(vm, name);
    if (!n)
        return d;
    d = drive_new(vm, name);
    d->node = n;
    drive_keep(d);
    return d;
}

Drive *drive_new_empty(Vm *vm)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *id = g_strdup_printf("#drive%u", i);
        if (vm_service_find(vm, "drive", id))
            continue;
        Drive *d = drive_new(vm, id);
        d->cdrom = true;
        drive_keep(d);
        return d;
    }
}

Drive *drive_of_interface(Vm *vm, int interface, unsigned n)
{
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Drive *d = vm_service_find(vm, "drive", ids[i]);
        if (d->interface == interface && n-- == 0)
            return d;
    }
    return NULL;
}

Drive *drive_at(Vm *vm, int interface, unsigned bus, unsigned unit, unsigned units)
{
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Drive *d = vm_service_find(vm, "drive", ids[i]);
        unsigned place = d->index != UINT_MAX ? d->index : d->bus * units + d->unit;
        if (d->interface == interface && place == bus * units + unit)
            return d;
    }
    return NULL;
}

bool blockdev_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) o = keyval_or_json(text, "driver", KEYVAL_PLAIN, &is_json, error);
    g_autoptr(BlockdevOptions) options =
        o ? qapi_from_json(&blockdev_options_type, o, is_json ? QAPI_STRICT : QAPI_KEYVAL, error) : NULL;
    if (options && !options->node_name)
        error_set(error, "'node-name' must be specified for the root node");
    if (!options || !options->node_name || !block_open(vm, options, error)) {
        g_prefix_error(error, "-blockdev %s: ", text);
        return false;
    }
    drive_find(vm, options->node_name);
    return true;
}

/* ---- devices ---- */

static bool take_node(Drive *d, GError **error)
{
    if (!block_attach_shared(d->node, d->device, d->want_write && !block_read_only(d->node), d->share_rw, d->loop, error))
        return false;
    d->node->throttle = d->throttle;
    return true;
}

bool drive_attach(Drive *d, Device *device, const DriveUse *use, GError **error)
{
    if (d->device)
        return error_set(error, "Drive '%s' is already in use by another device", d->id);
    if (!d->node && !(use->ops && use->ops->removable))
        return error_set(error, "Device needs media, but drive is empty");
    if (d->node && use->write && block_read_only(d->node))
        return error_set(error, "Block node is read-only");
    d->device = device;
    d->ops = use->ops;
    d->want_write = use->write || (use->ops && use->ops->removable && !d->cdrom);
    d->share_rw = use->share_rw;
    d->loop = use->loop ? use->loop : d->object.vm->loop;
    if (d->node && !take_node(d, error)) {
        d->device = NULL;
        return false;
    }
    d->in_use = true;
    return true;
}

void drive_detach(Drive *d)
{
    if (!d->device)
        return;
    if (d->node) {
        block_drain(d->node);
        d->node->throttle = NULL;
        block_detach(d->node);
    }
    d->device = NULL;
    d->ops = NULL;
    d->in_use = false;
    /* An empty drive that a device made for itself goes with it. */
    if (*d->id == '#' && vm_service_find(d->object.vm, "drive", d->id) == d)
        object_remove(&d->object);
}

char *drive_device_name(const Drive *d)
{
    return !d->device ? NULL : object_path(&d->device->object);
}

/* Name for events and "device" members: empty for those that only a node's name gave. */
const char *drive_public_id(const Drive *d)
{
    return *d->id == '#' || (d->node && !strcmp(d->id, block_name(d->node)) && !d->owns_node) ? "" : d->id;
}

BlockErrorAction drive_error(Drive *d, bool read, int error)
{
    BlockdevOnError policy = read ? d->rerror : d->werror;
    if (policy == BLOCKDEV_ON_ERROR_AUTO)
        policy = read ? BLOCKDEV_ON_ERROR_REPORT : BLOCKDEV_ON_ERROR_ENOSPC;
    bool stop = policy == BLOCKDEV_ON_ERROR_STOP || (policy == BLOCKDEV_ON_ERROR_ENOSPC && error == ENOSPC);
    BlockErrorAction action = stop ? BLOCK_ERROR_ACTION_STOP
                              : policy == BLOCKDEV_ON_ERROR_IGNORE ? BLOCK_ERROR_ACTION_IGNORE
                                                                   : BLOCK_ERROR_ACTION_REPORT;
    Vm *vm = d->object.vm;
    g_autofree char *path = d->device ? object_path(&d->device->object) : g_strdup("");
    if (stop && d->io_status == BLOCK_DEVICE_IO_STATUS_OK)
        d->io_status = error == ENOSPC ? BLOCK_DEVICE_IO_STATUS_NOSPACE : BLOCK_DEVICE_IO_STATUS_FAILED;
    qapi_event_block_io_error(vm, path, drive_public_id(d), d->node ? block_name(d->node) : NULL,
                              read ? IO_OPERATION_TYPE_READ : IO_OPERATION_TYPE_WRITE, action, stop,
                              error == ENOSPC, g_strerror(error));
    if (stop)
        vm_request_stop(vm, RUN_IO_ERROR);
    return action;
}

/* ---- removable media ---- */

void drive_move_tray(Drive *d, bool open)
{
    if (d->tray_open == open)
        return;
    d->tray_open = open;
    g_autofree char *path = drive_device_name(d);
    const char *id = d->device && d->device->id ? d->device->id : path ? path : "";
    qapi_event_device_tray_moved(d->object.vm, drive_public_id(d), id, open);
}

static const char *shown_name(const Drive *d)
{
    return d->device && d->device->id ? d->device->id : d->id;
}

static bool check_removable(const Drive *d, GError **error)
{
    return (d->ops && d->ops->removable) || error_set(error, "Device '%s' is not removable", shown_name(d));
}

bool drive_open_tray(Drive *d, bool force, GError **error)
{
    if (!check_removable(d, error))
        return false;
    if (d->tray_open)
        return true;
    bool locked = d->ops->is_locked && d->ops->is_locked(d->device);
    if (d->ops->eject_request && (locked || force))
        d->ops->eject_request(d->device, force);
    if (locked && !force)
        return error_set(error, "Device '%s' is locked and force was not specified, wait for tray to open and try "
                         "again", shown_name(d));
    drive_move_tray(d, true);
    if (d->ops->medium)
        d->ops->medium(d->device, false);
    return true;
}

bool drive_close_tray(Drive *d, GError **error)
{
    if (!check_removable(d, error))
        return false;
    if (d->tray_open) {
        drive_move_tray(d, false);
        if (d->ops->medium && d->node)
            d->ops->medium(d->device, true);
    }
    return true;
}

bool drive_remove_medium(Drive *d, GError **error)
{
    if (!check_removable(d, error))
        return false;
    if (!d->tray_open)
        return error_set(error, "Tray of device '%s' is not open", shown_name(d));
    BlockNode *n = d->node;
    if (!n)
        return true;
    block_drain(n);
    n->throttle = NULL;
    block_detach(n);
    d->node = NULL;
    if (d->ops->medium)
        d->ops->medium(d->device, false);
    if (d->owns_node)
        block_free(n);
    d->owns_node = false;
    return true;
}

bool drive_insert_medium(Drive *d, BlockNode *n, GError **error)
{
    if (!check_removable(d, error))
        return false;
    if (!d->tray_open)
        return error_set(error, "Tray of device '%s' is not open", shown_name(d));
    if (d->node)
        return error_set(error, "There already is a medium in device '%s'", shown_name(d));
    if (block_user(n))
        return error_set(error, "Node '%s' is already in use", block_name(n));
    d->node = n;
    if (!take_node(d, error)) {
        d->node = NULL;
        return false;
    }
    return true;
}

/* ---- finding ---- */

typedef struct Search {
    Vm *vm;
    Object *device;
} Search;

static bool is_part_of(Object *o, const Object *ancestor)
{
    for (; o; o = o->parent)
        if (o == ancestor)
            return true;
    return false;
}

Drive *drive_find_any(Vm *vm, const char *device, const char *id, GError **error)
{
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");
    Object *o = NULL;
    if (!device == !id) {
        error_set(error, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    Drive *named = device ? vm_service_find(vm, "drive", device) : NULL;
    if (named && *drive_public_id(named))
        return named;
    if (id && *id == '/')
        o = object_resolve(vm, id, NULL, NULL);
    else if (id)
        o = object_child(vm->peripheral, id);
    for (unsigned i = 0; o && ids && ids[i]; i++) {
        Drive *d = vm_service_find(vm, "drive", ids[i]);
        if (d->device && is_part_of(&d->device->object, o))
            return d;
    }
    if (o)
        error_set(error, "Device '%s' has no drive", id);
    else
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device ? device : id);
    return NULL;
}

/* ---- limits ---- */

void drive_set_throttle(Drive *d, Throttle *t)
{
    if (t == d->throttle)
        return;
    if (d->throttle)
        throttle_unref(d->throttle);
    d->throttle = t;
    if (d->node && d->device)
        d->node->throttle = t;
}
