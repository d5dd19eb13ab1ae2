/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the monitor itself: negotiation, versions, introspection, descriptors. */
#include <unistd.h>

#include "control/session.h"
#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/version.h"

bool qmp_qmp_capabilities(Vm *vm, QapiSession *session, QMPCapabilityList *enable, GError **error)
{
    bool oob = false;

    for (size_t i = 0; enable != NULL && i < enable->count; i++) {
        oob |= enable->items[i] == QMP_CAPABILITY_OOB;
    }
    return session == NULL || session->negotiate == NULL ||
           session->negotiate(session, oob, error);
}

VersionInfo *qmp_query_version(Vm *vm, GError **error)
{
    return version_info_new(
        version_triple_new(QEMU_VERSION_MAJOR, QEMU_VERSION_MINOR, QEMU_VERSION_MICRO),
        MYNA_PACKAGE);
}

CommandInfoList *qmp_query_commands(Vm *vm, GError **error)
{
    CommandInfoList *list = command_info_list_new();

    for (size_t i = 0; i < qapi_commands_count; i++) {
        command_info_list_add(list, command_info_new(qapi_commands[i].name));
    }
    return list;
}

Json *qmp_query_qmp_schema(Vm *vm, Json *arguments, GError **error)
{
    return qapi_introspect();
}

/* The descriptor that came with the command, -1 and an error if none did. */
static int passed_fd(QapiSession *session, GError **error)
{
    int fd = session != NULL && session->take_fd != NULL ? session->take_fd(session) : -1;

    if (fd < 0) {
        error_set(error, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

bool qmp_getfd(Vm *vm, QapiSession *session, const char *fdname, GError **error)
{
    int fd = passed_fd(session, error);

    if (fd < 0) {
        return false;
    }
    if (!fd_store_put(vm->fds, fdname, fd, error)) {
        close(fd);
        return false;
    }
    return true;
}

bool qmp_closefd(Vm *vm, const char *fdname, GError **error)
{
    return fd_store_close(vm->fds, fdname, error);
}

AddfdInfo *qmp_add_fd(Vm *vm, QapiSession *session, bool has_fdset_id, int64_t fdset_id,
                      const char *opaque, GError **error)
{
    int fd = passed_fd(session, error);

    if (fd < 0) {
        return NULL;
    }
    if (has_fdset_id && fdset_id < 0) {
        close(fd);
        error_set(error, "Parameter 'fdset-id' expects an integer not below 0");
        return NULL;
    }
    return addfd_info_new(fd_store_add(vm->fds, has_fdset_id ? fdset_id : -1, fd, opaque, error),
                          fd);
}

bool qmp_remove_fd(Vm *vm, int64_t fdset_id, bool has_fd, int64_t fd, GError **error)
{
    return fd_store_remove(vm->fds, fdset_id, has_fd ? fd : -1, error);
}

static void add_to_list(int64_t set, int fd, const char *opaque, void *data)
{
    FdsetInfoList *list = data;
    FdsetInfo *last = list->count > 0 ? list->items[list->count - 1] : NULL;

    if (last == NULL || last->fdset_id != set) {
        last = fdset_info_new(set, fdset_fd_info_list_new());
        fdset_info_list_add(list, last);
    }
    FdsetFdInfo *info = fdset_fd_info_new(fd);
    info->opaque = g_strdup(opaque);
    fdset_fd_info_list_add(last->fds, info);
}

FdsetInfoList *qmp_query_fdsets(Vm *vm, GError **error)
{
    FdsetInfoList *list = fdset_info_list_new();

    fd_store_foreach(vm->fds, add_to_list, list);
    return list;
}
