/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, the machines they make, and what QMP commands and events say of them. */
#include <string.h>

#include "control/cli/config.h"
#include "core/clock.h"
#include "qapi/command.h"
#include "qapi/event.h"
#include "util/error.h"

/* ---- machines from command lines ---- */

static Vm *build(const char *line, GError **error)
{
    g_auto(GStrv) argv = NULL;
    int argc = 0;
    Config c = {.argv0 = "qemu-system-x86_64", .arch = "x86_64"};
    g_autofree char *full = g_strdup_printf("qemu -nodefaults -display none %s", line);

    g_assert_true(g_shell_parse_argv(full, &argc, &argv, NULL));
    Vm *vm = config_parse(&c, argc, argv, error) == PARSE_OK ? config_build(&c, error) : NULL;
    config_clear(&c);
    if (vm)
        vm->argv0 = "qemu";             /* outlives the configuration */
    return vm;
}

typedef struct Talk {
    Vm *vm;
    GString *events;            /* "STOP RESUME:" … as they come, with data if there is some */
} Talk;

static void heard(void *opaque, Json *message)
{
    const Json *data = json_get(message, "data");
    g_autofree char *text = data ? json_print(data, false) : g_strdup("");

    g_string_append_printf(opaque, "%s%s ", json_get_text(message, "event"), text);
}

static Talk *talk(const char *line)
{
    g_autoptr(GError) error = NULL;
    Talk *t = g_new0(Talk, 1);

    t->events = g_string_new(NULL);
    t->vm = build(line, &error);
    g_assert_no_error(error);
    qapi_hub_add(t->vm->qapi, heard, t->events);
    return t;
}

static void talk_free(Talk *t)
{
    qapi_hub_remove(t->vm->qapi, heard, t->events);
    config_destroy(t->vm);
    g_string_free(t->events, TRUE);
    g_free(t);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Talk, talk_free)

/* The answer's text, or "error: …". */
static char *answer(Talk *t, const char *command, const char *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) a = args ? json_parse(args, &error) : NULL;
    g_assert_no_error(error);
    g_autoptr(Json) result = qapi_run(t->vm, command, a, &error);

    g_assert_true(!!result != !!error);
    loop_run_posts(t->vm->loop);
    return result ? json_print(result, false)
                  : g_strdup_printf("%s: %s", myna_error_class(error), error->message);
}

static void ask(Talk *t, const char *command, const char *args, const char *wanted)
{
    g_autofree char *got = answer(t, command, args);
    g_assert_cmpstr(got, ==, wanted);
}

static void ask_part(Talk *t, const char *command, const char *args, const char *part)
{
    g_autofree char *got = answer(t, command, args);
    if (!strstr(got, part))
        g_error("%s answers %s, without %s", command, got, part);
}

static void expect(Talk *t, const char *events)
{
    loop_run_posts(t->vm->loop);
    g_assert_cmpstr(t->events->str, ==, events);
    g_string_truncate(t->events, 0);
}

/* ---- what libvirt asks of -machine none to learn what a binary can do ---- */

static const struct {
    const char *command, *args, *part;
} probe[] = {
    {"query-version", NULL, "\"qemu\": {\"major\": "},
    {"query-target", NULL, "{\"arch\": \"x86_64\"}"},
    {"query-qmp-schema", NULL, "\"meta-type\": \"command\""},
    {"query-commands", NULL, "{\"name\": \"query-cpus-fast\"}"},
    {"query-kvm", NULL, "\"enabled\": false"},
    {"qom-list-types", NULL, "\"name\": \"virtio-blk-device\""},
    {"device-list-properties", "{'typename':'virtio-balloon-device'}", "\"name\": \"deflate-on-oom\""},
    {"device-list-properties", "{'typename':'virtio-net-ccw'}", "DeviceNotFound: Device 'virtio-net-ccw' not found"},
    {"qom-list-properties", "{'typename':'memory-backend-file'}", "\"name\": \"mem-path\""},
    {"qom-list-properties", "{'typename':'none-machine'}", "\"name\": \"memory-backend\""},
    {"query-machines", NULL, "\"name\": \"microvm\""},
    {"query-cpu-definitions", NULL, "\"typename\": \"max-x86_64-cpu\""},
    {"query-command-line-options", NULL, "{\"option\": \"machine\", \"parameters\": [{\"name\": \"type\""},
    {"query-cpu-model-expansion", "{'type':'static','model':{'name':'host'}}",
     "GenericError: The CPU type 'host' requires KVM"},
    {"query-cpu-model-expansion", "{'type':'static','model':{'name':'max'}}", "\"name\": \"base\""},
    {"query-cpu-model-expansion", "{'type':'full','model':{'name':'max','props':{'migratable':false}}}",
     "\"migratable\": false"},
    {"query-cpu-model-expansion", "{'type':'full','model':{'name':'max','props':{'no-such':false}}}",
     "GenericError: "},
    {"query-cpu-model-expansion", "{'type':'full','model':{'name':'max,+x'}}", "GenericError: "},
    {"query-iothreads", NULL, "[]"},
    {"query-cpus-fast", NULL, "[]"},
    {"query-hotpluggable-cpus", NULL, "GenericError: machine does not support hot-plugging CPUs"},
    {"query-balloon", NULL, "DeviceNotActive: No balloon device has been activated"},
    {"query-block", NULL, "[]"},
    {"query-blockstats", NULL, "[]"},
    {"query-pci", NULL, "[]"},
    {"query-mice", NULL, "[]"},
    {"query-memory-devices", NULL, "[]"},
    {"query-status", NULL, "\"status\": \"prelaunch\""},
    {"query-name", NULL, "{}"},
    {"query-uuid", NULL, "00000000-0000-0000-0000-000000000000"},
    {"query-current-machine", NULL, "\"wakeup-suspend-support\": false"},
};

static void probing(void)
{
    g_autoptr(Talk) t = talk("-S -no-user-config -nographic -machine none,accel=tcg");

    for (unsigned i = 0; i < G_N_ELEMENTS(probe); i++)
        ask_part(t, probe[i].command, probe[i].args, probe[i].part);
}

/* ---- run control and its events ---- */

#define MICROVM "-M microvm -m 16 -S "
#define STATUS(s) "{\"running\": false, \"singlestep\": false, \"status\": \"" s "\"}"

static void running(void)
{
    g_autoptr(Talk) t = talk(MICROVM "-smp 2,cores=2 -name web -no-shutdown "
                             "-uuid 01234567-89ab-cdef-0123-456789abcdef");

    ask(t, "query-name", NULL, "{\"name\": \"web\"}");
    ask(t, "query-uuid", NULL, "{\"UUID\": \"01234567-89ab-cdef-0123-456789abcdef\"}");
    ask(t, "query-memory-size-summary", NULL, "{\"base-memory\": 16777216}");
    ask_part(t, "query-cpus-fast", NULL,
             "\"props\": {\"socket-id\": 0, \"core-id\": 1, \"thread-id\": 0}");
    ask(t, "qom-get", "{'path':'/machine/unattached/device[0]','property':'realized'}", "true");
    ask(t, "qom-get", "{'path':'/machine/unattached/device[0]','property':'type'}",
        "\"qemu64-x86_64-cpu\"");
    ask_part(t, "qom-list", "{'path':'/machine/unattached/device[0]'}",
             "{\"name\": \"hotplugged\", \"type\": \"bool\"}");
    ask(t, "cont", NULL, "{}");
    expect(t, "RESUME ");
    ask(t, "cont", NULL, "{}");
    ask(t, "inject-nmi", NULL, "{}");
    ask(t, "stop", NULL, "{}");
    expect(t, "STOP ");
    ask(t, "query-status", NULL, STATUS("paused"));
    ask(t, "system_reset", NULL, "{}");
    expect(t, "RESET{\"guest\": false, \"reason\": \"host-qmp-system-reset\"} ");
    ask(t, "system_powerdown", NULL, "{}");
    expect(t, "POWERDOWN ");
    ask_part(t, "system_wakeup", NULL, "not supported by this guest");
    ask_part(t, "x-exit-preconfig", NULL, "only before machine initialization");

    vm_start(t->vm);
    vm_request_shutdown(t->vm, CAUSE_GUEST_SHUTDOWN, 0);
    expect(t, "RESUME SHUTDOWN{\"guest\": true, \"reason\": \"guest-shutdown\"} STOP ");
    ask_part(t, "cont", NULL, "Resetting the Virtual Machine is required");
    ask(t, "quit", NULL, "{}");
    expect(t, "SHUTDOWN{\"guest\": false, \"reason\": \"host-qmp-quit\"} ");
}

static void actions(void)
{
    g_autoptr(Talk) t = talk(MICROVM "-action panic=pause,watchdog=pause");

    vm_start(t->vm);
    g_string_truncate(t->events, 0);
    vm_watchdog_fired(t->vm);
    expect(t, "WATCHDOG{\"action\": \"pause\"} STOP ");
    ask(t, "query-status", NULL, STATUS("watchdog"));
    vm_start(t->vm);
    g_string_truncate(t->events, 0);
    vm_request_panic(t->vm);
    expect(t, "GUEST_PANICKED{\"action\": \"pause\"} STOP ");
    ask(t, "query-status", NULL, STATUS("guest-panicked"));
    ask(t, "set-action", "{'reboot':'shutdown','panic':'exit-failure','watchdog':'none'}", "{}");
    g_assert_cmpint(t->vm->on_reboot, ==, REBOOT_SHUTDOWN);
    vm_request_panic(t->vm);
    expect(t, "GUEST_PANICKED{\"action\": \"poweroff\"} "
              "SHUTDOWN{\"guest\": true, \"reason\": \"guest-panic\"} ");
    g_assert_cmpint(t->vm->exit_code, ==, 1);
}

/* ---- back ends ---- */

static void backends(void)
{
    g_autoptr(Talk) t = talk(MICROVM "-object memory-backend-ram,id=m,size=1M "
                             "-device virtio-serial-device,id=s");

    ask_part(t, "query-memdev", NULL, "{\"id\": \"m\", \"size\": 1048576, ");
    ask(t, "chardev-add", "{'id':'r','backend':{'type':'ringbuf','data':{'size':16}}}", "{}");
    ask_part(t, "chardev-add", "{'id':'r','backend':{'type':'null','data':{}}}", "GenericError: ");
    ask(t, "ringbuf-write", "{'device':'r','data':'AAEC','format':'base64'}", "{}");
    ask(t, "ringbuf-read", "{'device':'r','size':2,'format':'base64'}", "\"AAE=\"");
    ask_part(t, "ringbuf-read", "{'device':'r','size':0}", "GenericError: ");
    ask_part(t, "ringbuf-read", "{'device':'x','size':1}", "DeviceNotFound: ");
    ask(t, "device_add", "{'driver':'virtserialport','id':'p','chardev':'r'}", "{}");
    ask(t, "query-chardev", NULL, "[{\"label\": \"r\", \"filename\": \"ringbuf\", \"frontend-open\": true}]");
    ask_part(t, "chardev-remove", "{'id':'r'}", "in use");
    ask(t, "chardev-change", "{'id':'r','backend':{'type':'null','data':{}}}", "{}");
    ask(t, "query-chardev", NULL, "[{\"label\": \"r\", \"filename\": \"null\", \"frontend-open\": true}]");
    ask_part(t, "chardev-change", "{'id':'r','backend':{'type':'file','data':{'out':'/no/such'}}}",
             "GenericError: ");
    expect(t, "");
    ask(t, "device_del", "{'id':'p'}", "{}");
    expect(t, "DEVICE_DELETED{\"device\": \"p\", \"path\": \"/machine/peripheral/p\"} ");
    ask(t, "chardev-remove", "{'id':'r'}", "{}");
    ask_part(t, "device_del", "{'id':'p'}", "DeviceNotFound: ");
    ask_part(t, "device_del", "{'id':'s'}", "does not support hotplugging");
    ask_part(t, "device_add", "{'driver':'virtio-rng-device'}", "can't be plugged");
    ask_part(t, "query-chardev-backends", NULL, "{\"name\": \"socket\"}");
}

static void disks(void)
{
    g_autoptr(Talk) t = talk(MICROVM "-blockdev null-co,node-name=a,size=65536 "
                             "-device virtio-blk-device,drive=a,id=disk");

    ask_part(t, "query-block", NULL, "[{\"device\": \"\", \"qdev\": \"disk\", \"type\": \"unknown\"");
    ask_part(t, "query-blockstats", NULL, "\"qdev\": \"disk\", \"node-name\": \"a\"");
    ask_part(t, "blockdev-del", "{'node-name':'a'}", "Node a is in use");
    ask(t, "blockdev-add", "{'driver':'null-co','node-name':'b','size':4096}", "{}");
    ask_part(t, "blockdev-add", "{'driver':'null-co','size':4096}", "'node-name' must be specified");
    ask_part(t, "query-named-block-nodes", NULL, "\"node-name\": \"b\"");
    ask(t, "blockdev-del", "{'node-name':'b'}", "{}");
    ask_part(t, "blockdev-del", "{'node-name':'b'}", "Failed to find node");
}

/* ---- options ---- */

static const struct {
    const char *line, *error;
} wrong[] = {
    {"-rtc base=yesterday", "-rtc base=yesterday: invalid datetime format"},
    {"-rtc clok=vm", "did you mean 'clock'"},
    {"-icount auto", "shift=auto is not implemented"},
    {"-icount 3,align=on", "align=on is not implemented"},
    {"-icount 99", "icount shift '99'"},
    {"-name x,proces=y", "did you mean 'process'"},
    {"-msg timestamps=on", "did you mean 'timestamp'"},
    {"-preconfig -daemonize", "-preconfig"},
    {"-gdb chardev:none", "-gdb chardev:none: there is no chardev 'none'"},
};

static void options(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *line = g_strconcat(MICROVM, wrong[i].line, NULL);
        g_assert_null(build(line, &error));
        g_assert_nonnull(error);
        if (!strstr(error->message, wrong[i].error))
            g_error("%s says: %s", wrong[i].line, error->message);
    }
    g_autoptr(Talk) t = talk(MICROVM "-rtc base=2001-02-03T04:05:06,clock=vm -icount shift=2");
    g_assert_cmpint(wall_clock_ns(t->vm) / 1000000000, ==, 981173106);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/probing", probing);
    g_test_add_func("/machine/running", running);
    g_test_add_func("/machine/actions", actions);
    g_test_add_func("/machine/backends", backends);
    g_test_add_func("/machine/disks", disks);
    g_test_add_func("/machine/options", options);
    return g_test_run();
}
