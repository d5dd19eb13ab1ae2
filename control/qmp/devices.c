/* SPDX-License-Identifier: Apache-2.0 */
/* device_add, device_del; lists of what plugs elsewhere. */
#include "control/device-add.h"
#include "hw/mem.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

bool qmp_device_add(Vm *vm, Json *arguments, GError **error)
{
    return device_hotplug(vm, arguments, error);
}

bool qmp_device_del(Vm *vm, const char *id, GError **error)
{
    Object *o = *id == '/' ? object_resolve(vm, id, "device", NULL)
                           : object_child(vm->peripheral, id);

    if (!o || !object_is_a(o, "device")) {
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    Device *d = (Device *)o;
    if ((!d->user && !object_is_a(o, "cpu")) || !device_type(d)->hotpluggable) {
        return error_set(error, "Device '%s' does not support hotplugging", id);
    }
    return memory_device_may_go(d, error) && device_unplug_request(d, error);
}
