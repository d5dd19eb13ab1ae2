/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that give disks to others: the NBD server and its exports. */
#include <string.h>

#include "block/nbd-server.h"
#include "chardev/address.h"
#include "crypto/tls.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

static NbdServer *running(Vm *vm, GError **error)
{
    NbdServer *s = nbd_server_find(vm);

    if (!s) {
        error_set(error, "NBD server not running");
    }
    return s;
}

bool qmp_nbd_server_start(Vm *vm, SocketAddressLegacy *addr, const char *tls_creds, const char *tls_authz,
                          bool has_max_connections, uint32_t max_connections, GError **error)
{
    NbdServerOptions o = {.authz = tls_authz, .max_connections = has_max_connections ? max_connections : 100};
    g_autoptr(SocketAddress) address = address_from_legacy(addr);

    if (nbd_server_find(vm)) {
        return error_set(error, "NBD server already running");
    }
    if (tls_creds && !(o.creds = tls_creds_find(vm, tls_creds, true, error))) {
        return false;
    }
    if (tls_authz && !tls_creds) {
        return error_set(error, "tls-authz goes with tls-creds");
    }
    o.listener = address_listen(address, error);
    return o.listener >= 0 && nbd_server_new(vm, &o);
}

bool qmp_nbd_server_stop(Vm *vm, GError **error)
{
    NbdServer *s = running(vm, error);

    if (s) {
        nbd_server_free(s);
    }
    return s;
}

static NbdExport *find_export(Vm *vm, const char *id)
{
    NbdServer *s = nbd_server_find(vm);
    NbdExport *e = NULL;

    for (unsigned i = 0; s && (e = nbd_export_at(s, i)) && strcmp(nbd_export_id(e), id); i++) {
        continue;
    }
    return e;
}

static bool add_export(Vm *vm, BlockNode *n, const NbdExportOptions *o, GError **error)
{
    NbdServer *s = running(vm, error);

    if (!s) {
        return false;
    }
    if (find_export(vm, o->id)) {
        return error_set(error, "Block export id '%s' is already in use", o->id);
    }
    return nbd_export_new(s, n, o, error);
}

bool qmp_block_export_add(Vm *vm, BlockExportOptions *options, GError **error)
{
    BlockNode *n = block_find(vm, options->node_name);
    const BlockExportOptionsNbd *nbd = options->u.nbd;
    NbdExportOptions o = {.id = options->id, .name = nbd->name ? nbd->name : options->node_name,
                          .description = nbd->description, .writable = options->writable,
                          .writethrough = options->writethrough};

    if (!n) {
        return error_set(error, "Cannot find device='' nor node-name='%s'", options->node_name);
    }
    return add_export(vm, n, &o, error);
}

/* A node that can only be read is exported so, whatever was asked for. */
bool qmp_nbd_server_add(Vm *vm, const char *device, const char *name, const char *description, bool has_writable,
                        bool writable, GError **error)
{
    Drive *d = vm_service_find(vm, "drive", device);
    BlockNode *n = d && d->node ? d->node : block_find(vm, device);
    const char *id = name ? name : device;

    if (!n && d) {
        return error_set(error, "Device '%s' has no medium", device);
    }
    if (!n) {
        return error_set(error, "Cannot find device='%s' nor node-name='%s'", device, device);
    }
    NbdExportOptions o = {.id = id, .name = id, .description = description,
                          .writable = has_writable && writable && !block_read_only(n)};
    return add_export(vm, n, &o, error);
}

static bool remove_export(NbdExport *e, const char *id, bool hard, GError **error)
{
    if (!e) {
        return error_set(error, "Export '%s' is not found", id);
    }
    if (!hard && nbd_export_is_used(e)) {
        return error_set(error, "export '%s' still in use", id);
    }
    nbd_export_free(e);
    return true;
}

bool qmp_nbd_server_remove(Vm *vm, const char *name, bool has_mode, BlockExportRemoveMode mode, GError **error)
{
    NbdServer *s = running(vm, error);

    return s && remove_export(nbd_export_find(s, name), name, has_mode && mode == BLOCK_EXPORT_REMOVE_MODE_HARD, error);
}

bool qmp_block_export_del(Vm *vm, const char *id, bool has_mode, BlockExportRemoveMode mode, GError **error)
{
    return remove_export(find_export(vm, id), id, has_mode && mode == BLOCK_EXPORT_REMOVE_MODE_HARD, error);
}

BlockExportInfoList *qmp_query_block_exports(Vm *vm, GError **error)
{
    BlockExportInfoList *list = block_export_info_list_new();
    NbdServer *s = nbd_server_find(vm);
    NbdExport *e;

    for (unsigned i = 0; s && (e = nbd_export_at(s, i)); i++) {
        BlockExportInfo *info = g_new0(BlockExportInfo, 1);
        info->id = g_strdup(nbd_export_id(e));
        info->type = BLOCK_EXPORT_TYPE_NBD;
        info->node_name = g_strdup(block_name(nbd_export_node(e)));
        block_export_info_list_add(list, info);
    }
    return list;
}
