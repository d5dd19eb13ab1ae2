/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about network back ends and cards. */
#include "net/net.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

bool qmp_netdev_add(Vm *vm, NetdevOptions *options, GError **error)
{
    return netdev_new(vm, options, error);
}

bool qmp_netdev_del(Vm *vm, const char *id, GError **error) { return netdev_delete(vm, id, error); }

bool qmp_set_link(Vm *vm, const char *name, bool up, GError **error)
{
    NetClient *c = net_find(vm, name);
    if (!c)
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    net_set_link(c, up);
    return true;
}

RxFilterInfoList *qmp_query_rx_filter(Vm *vm, const char *name, GError **error)
{
    return net_rx_filters(vm, name, error);
}

bool qmp_announce_self(Vm *vm, AnnounceParameters *parameters, GError **error)
{
    return net_announce(vm, parameters, error);
}
