/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor's commands that are about the machine as a whole. */
#include <string.h>

#include "chardev/chardev.h"
#include "control/hmp/hmp-internal.h"
#include "control/session.h"
#include "util/error.h"
#include "util/log.h"

/* ---- help ---- */

static void collect(const HmpCommand *row, void *data)
{
    g_ptr_array_add(data, (gpointer)row);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const HmpCommand *const *)a)->name, (*(const HmpCommand *const *)b)->name);
}

static void print_help(Hmp *hmp, const HmpCommand *row)
{
    hmp_print(hmp, "%s %s -- %s\n", row->name, row->params, row->help);
}

/* All commands, or all items of info. */
static void help_all(Hmp *hmp, bool info)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    hmp_foreach(collect, rows);
    g_ptr_array_sort(rows, by_name);
    for (guint i = 0; i < rows->len; i++) {
        const HmpCommand *row = g_ptr_array_index(rows, i);
        if ((strncmp(row->name, "info ", 5) == 0) == info) {
            print_help(hmp, row);
        }
    }
}

static bool run_help(Hmp *hmp, const Json *args, GError **error)
{
    const char *line = json_get_text(args, "name"), *rest;

    if (line == NULL || strcmp(line, "info") == 0) {
        help_all(hmp, line != NULL);
        return true;
    }
    const HmpCommand *row = hmp_find(line, &rest);
    if (row == NULL) {
        return error_set(error, "there is no command '%s'", line);
    }
    print_help(hmp, row);
    return true;
}

static bool run_info(Hmp *hmp, const Json *args, GError **error)
{
    if (json_length(args) == 0) {
        help_all(hmp, true);
        return true;
    }
    return error_set(error, "there is no information '%s'; 'help info' lists them",
                     json_get_text(args, "item"));
}

/* ---- print ---- */

static bool run_print(Hmp *hmp, const Json *args, GError **error)
{
    const char *format = json_get_text(args, "format");
    int64_t value = hmp_number(args, "expr", 0);

    switch (format != NULL ? *format : 'x') {
    case 'o':
        hmp_print(hmp, "0%" G_GINT64_MODIFIER "o\n", value);
        break;
    case 'd':
    case 'i':
        hmp_print(hmp, "%" G_GINT64_FORMAT "\n", value);
        break;
    case 'u':
        hmp_print(hmp, "%" G_GUINT64_FORMAT "\n", (uint64_t)value);
        break;
    case 'c':
        hmp_print(hmp, g_ascii_isprint(value) ? "'%c'\n" : "'\\x%02x'\n", (int)(value & 0xff));
        break;
    default:
        hmp_print(hmp, "0x%" G_GINT64_MODIFIER "x\n", (uint64_t)value);
        break;
    }
    return true;
}

/* ---- others ---- */

static bool run_cpu(Hmp *hmp, const Json *args, GError **error)
{
    int64_t index = hmp_number(args, "index", -1);

    if (!cpu_at(hmp->vm, index)) {
        return error_set(error, "invalid CPU index %" G_GINT64_FORMAT "; there are %u CPUs", index,
                         hmp->vm->n_cpus);
    }
    hmp->session->cpu_index = index;
    return true;
}

static bool run_log(Hmp *hmp, const Json *args, GError **error)
{
    const char *items = json_get_text(args, "items");

    if (strcmp(items, "help") == 0 || strcmp(items, "?") == 0) {
        g_autofree char *text = log_help();
        g_string_append(hmp->out, text);
        return true;
    }
    return log_set_items(strcmp(items, "none") == 0 ? "" : items, error);
}

static bool run_logfile(Hmp *hmp, const Json *args, GError **error)
{
    return log_set_file(json_get_text(args, "filename"), error);
}

static void show_properties(Hmp *hmp, const Json *list)
{
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *property = json_at(list, i);
        hmp_print(hmp, "%s (%s)\n", json_get_text(property, "name"),
                  json_get_text(property, "type"));
    }
}

static void show_json(Hmp *hmp, const Json *value)
{
    json_print_to(hmp->out, value, true);
    hmp_print(hmp, "\n");
}

static bool run_qom_set(Hmp *hmp, const Json *args, GError **error)
{
    g_autoptr(Json) typed = json_shallow_copy(args);
    Json *value = json_parse(json_get_text(args, "value"), NULL);

    if (value != NULL) { /* what is no JSON is a string */
        json_set(typed, "value", value);
    }
    g_autoptr(Json) result = qapi_run(hmp->vm, "qom-set", typed, error);
    return result != NULL;
}

static bool run_chardev_add(Hmp *hmp, const Json *args, GError **error)
{
    return chardev_from_option(hmp->vm, json_get_text(args, "args"), error) != NULL;
}

static const HmpCommand commands[] = {
    { "help|?", "name:S?", "[cmd]", "show the help", .run = run_help },
    { "info", "item:S?", "[subcommand]", "show various information about the system state",
      .run = run_info },
    { "print|p", "fmt:/ expr:l", "/fmt expr",
      "print expression value (use $reg for CPU register access)", .run = run_print },
    { "cpu", "index:i", "index", "set the default CPU", .run = run_cpu },
    { "log", "items:s", "item1[,...]", "activate logging of the specified items", .run = run_log },
    { "logfile", "filename:s", "filename", "output logs to 'filename'", .run = run_logfile },
    { "trace-event", "name:s enable:b", "name on|off", "changes status of a specific trace event",
      .qmp = "trace-event-set-state" },

    { "stop|s", "", "", "stop emulation", .qmp = "stop" },
    { "cont|c", "", "", "resume emulation", .qmp = "cont" },
    { "quit|q", "", "", "quit the emulator", .qmp = "quit" },
    { "system_reset", "", "", "reset the system", .qmp = "system_reset" },
    { "system_powerdown", "", "", "send system power down event", .qmp = "system_powerdown" },
    { "system_wakeup", "", "", "wakeup guest from suspend", .qmp = "system_wakeup" },
    { "exit_preconfig", "", "", "exit the preconfig state", .qmp = "x-exit-preconfig" },
    { "nmi", "", "", "inject an NMI", .qmp = "inject-nmi" },
    { "watchdog_action", "action:s", "[reset|shutdown|poweroff|pause|debug|none]",
      "change watchdog action", .qmp = "watchdog-set-action" },
    { "balloon", "value:o", "target", "request VM to change its memory allocation (in MB)",
      .qmp = "balloon" },
    { "memsave", "val:l size:z filename:s cpu-index:i?", "addr size file [cpu]",
      "save to disk virtual memory dump starting at 'addr' of size 'size'", .qmp = "memsave" },
    { "pmemsave", "val:l size:z filename:s", "addr size file",
      "save to disk physical memory dump starting at 'addr' of size 'size'", .qmp = "pmemsave" },

    { "device_add", "driver:O", "driver[,prop=value][,...]", "add device, like -device on the "
      "command line", .qmp = "device_add" },
    { "device_del", "id:s", "device", "remove device", .qmp = "device_del" },
    { "object_add", "qom-type:O", "[qom-type=]type,id=str[,prop=value][,...]", "create QOM object",
      .qmp = "object-add" },
    { "object_del", "id:s", "id", "destroy QOM object", .qmp = "object-del" },
    { "netdev_add", "type:O", "[user|tap|socket|stream|dgram|hubport|vhost-user|passt],id=str[,prop=value][,...]",
      "add host network device", .qmp = "netdev_add" },
    { "netdev_del", "id:s", "id", "remove host network device", .qmp = "netdev_del" },
    { "set_link", "name:s up:b", "name on|off", "change the link status of a network adapter",
      .qmp = "set_link" },
    { "block_resize", "device:s size:o", "device size", "resize a block image", .qmp = "block_resize" },
    { "eject", "device:s", "device", "eject a removable medium", .qmp = "eject" },
    { "change", "device:s filename:s format:s?", "device filename [format]",
      "change a removable medium", .qmp = "blockdev-change-medium" },
    { "snapshot_blkdev_internal", "device:s name:s", "device name",
      "take an internal snapshot of device", .qmp = "blockdev-snapshot-internal-sync" },
    { "snapshot_delete_blkdev_internal", "device:s name:s id:s?", "device name [id]",
      "delete an internal snapshot of device", .qmp = "blockdev-snapshot-delete-internal-sync" },
    { "nbd_server_remove", "name:s", "name", "remove an export served via NBD", .qmp = "nbd-server-remove" },
    { "nbd_server_stop", "", "", "stop serving block devices using the NBD protocol", .qmp = "nbd-server-stop" },
    { "chardev-add", "args:S", "args", "add chardev", .run = run_chardev_add },
    { "chardev-remove", "id:s", "id", "remove chardev", .qmp = "chardev-remove" },
    { "ringbuf_write", "device:s data:s", "device data", "write to a ring buffer character device",
      .qmp = "ringbuf-write" },
    { "ringbuf_read", "device:s size:i", "device size", "read from a ring buffer character device",
      .qmp = "ringbuf-read" },
    { "getfd", "fdname:s", "getfd name", "receive a file descriptor via SCM rights and assign it "
      "a name", .qmp = "getfd" },
    { "closefd", "fdname:s", "closefd name", "close a file descriptor previously passed via SCM "
      "rights", .qmp = "closefd" },
    { "qom-list", "path:s", "path", "list QOM properties", .qmp = "qom-list",
      .show = show_properties },
    { "qom-get", "path:s property:s", "path property", "print QOM property", .qmp = "qom-get",
      .show = show_json },
    { "qom-set", "path:s property:s value:S", "path property value", "set QOM property",
      .run = run_qom_set },
};
HMP_COMMANDS(commands);
