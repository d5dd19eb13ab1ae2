/* SPDX-License-Identifier: Apache-2.0 */
/* Where debuggers connect: from what the user names to a server on a chardev. */
#include <string.h>

#include "control/gdb.h"
#include "control/hmp.h"
#include "gdbstub/gdbstub.h"
#include "util/error.h"

static char *run_command(Vm *vm, const char *line) { return hmp_run(vm, NULL, line); }

/* Debuggers come when they like, so sockets listen, and nobody waits for the first. */
static char *as_server(const char *device)
{
    if (g_str_has_prefix(device, "tcp:"))
        return g_strconcat(device, ",wait=off,nodelay=on,server=on", NULL);
    if (g_str_has_prefix(device, "unix:") && !strstr(device, ",server"))
        return g_strconcat(device, ",wait=off,server=on", NULL);
    return g_strdup(device);
}

bool gdb_open(Vm *vm, const char *device, GError **error)
{
    g_autoptr(GError) failed = NULL;
    g_autofree char *text = as_server(device);
    gdb_server_stop(vm);
    if (chardev_find(vm, "gdb") && !chardev_delete(vm, "gdb", error))
        return false;
    Chardev *chr = chardev_from_legacy(vm, "gdb", text, NULL, &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    return !chr || gdb_server_start(vm, chr, run_command, error);
}

static bool run_gdbserver(Hmp *hmp, const Json *args, GError **error)
{
    const char *given = json_get_text(args, "device"), *device = given ? given : "tcp::1234";

    if (!gdb_open(hmp->vm, device, error))
        return false;
    if (strcmp(device, "none") == 0)
        hmp_print(hmp, "Disabled gdbserver\n");
    else
        hmp_print(hmp, "Waiting for gdb connection on device '%s'\n", device);
    return true;
}

static const HmpCommand commands[] = {
    {"gdbserver", "device:s?", "[device]",
     "start gdbserver on given device (default 'tcp::1234'), stop with 'none'", .run = run_gdbserver},
};
HMP_COMMANDS(commands);
