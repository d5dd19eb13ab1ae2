/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the command line: a table of options, each a short function that keeps what was said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/cli/config.h"
#include "hw/usb.h"
#include "qapi/keyval.h"
#include "util/error.h"
#include "util/log.h"
#include "util/suggest.h"

/* What an option's function may answer besides true: it printed help and all is done. */
typedef struct Parse {
    Config *c;
    const char *option;
    bool done;
    GError **error;
} Parse;

typedef bool Action(Parse *p, const char *arg);

/* ---- keeping ---- */

static bool keep(char **where, const char *arg)
{
    g_free(*where);
    *where = g_strdup(arg);
    return true;
}

static bool add(GPtrArray **list, const char *arg)
{
    if (!*list)
        *list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*list, g_strdup(arg));
    return true;
}

/* Merges "a=b,c=d" into *into; a later value replaces an earlier one. */
static bool merge(Parse *p, Json **into, const char *arg, const char *implied)
{
    g_autoptr(Json) o = keyval_parse(arg, implied, KEYVAL_PLAIN, p->error);
    if (!o)
        return false;
    if (!*into)
        *into = json_object();
    for (size_t i = 0; i < json_length(o); i++)
        json_set(*into, json_key_at(o, i), json_ref(json_at(o, i)));
    return true;
}

static bool finished(Parse *p)
{
    p->done = true;
    return true;
}

/* ---- help and version ---- */

static bool do_help(Parse *p, const char *arg)
{
    help_options(p->c);
    return finished(p);
}

static bool do_version(Parse *p, const char *arg)
{
    help_version();
    return finished(p);
}

/* ---- the machine ---- */

static bool set_machine(Parse *p, const char *arg)
{
    if (help_machine(p->c, arg, p->error))
        return finished(p);
    if (*p->error || !merge(p, &p->c->machine_props, arg, "type"))
        return false;
    const char *type = json_get_text(p->c->machine_props, "type");
    if (type) {
        keep(&p->c->machine, type);
        json_remove(p->c->machine_props, "type");
    }
    const char *accel = json_get_text(p->c->machine_props, "accel");
    if (accel) {
        g_auto(GStrv) list = g_strsplit(accel, ":", -1);
        for (unsigned i = 0; list[i]; i++)
            add(&p->c->accels, list[i]);
        json_remove(p->c->machine_props, "accel");
    }
    static const char *const old_names[] = {"kernel-irqchip", "kernel_irqchip"};
    for (unsigned i = 0; i < G_N_ELEMENTS(old_names); i++) {
        const char *irqchip = json_get_text(p->c->machine_props, old_names[i]);
        if (irqchip) {
            keep(&p->c->kernel_irqchip, irqchip);
            json_remove(p->c->machine_props, old_names[i]);
        }
    }
    return true;
}

static bool set_cpu(Parse *p, const char *arg)
{
    return help_cpu(p->c, arg) ? finished(p) : keep(&p->c->cpu, arg);
}

static bool add_accel(Parse *p, const char *arg)
{
    return help_accel(arg) ? finished(p) : add(&p->c->accels, arg);
}

static bool add_kvm(Parse *p, const char *arg) { return add(&p->c->accels, "kvm"); }
static bool set_smp(Parse *p, const char *arg) { return merge(p, &p->c->smp, arg, "cpus"); }
static bool set_memory(Parse *p, const char *arg) { return merge(p, &p->c->memory, arg, "size"); }

static bool set_mem_path(Parse *p, const char *arg) { return keep(&p->c->mem_path, arg); }
static bool set_mem_prealloc(Parse *p, const char *arg) { return p->c->mem_prealloc = true; }

static bool add_numa(Parse *p, const char *arg) { return add(&p->c->numas, arg); }

static bool add_object(Parse *p, const char *arg)
{
    if (help_object(arg, p->error))
        return finished(p);
    return !*p->error && add(&p->c->objects, arg);
}

static bool add_device(Parse *p, const char *arg)
{
    if (help_device(p->c, arg, p->error))
        return finished(p);
    return !*p->error && add(&p->c->devices, arg);
}

static bool add_global(Parse *p, const char *arg)
{
    const char *dot = strchr(arg, '.'), *equal = strchr(arg, '=');
    if (!g_str_has_prefix(arg, "driver=") && (!dot || !equal || dot > equal))
        return error_set(p->error, "expected driver.property=value");
    return add(&p->c->globals, arg);
}

static bool set_name(Parse *p, const char *arg)
{
    g_autoptr(Json) o = keyval_parse(arg, "guest", KEYVAL_PLAIN, p->error);
    if (!o)
        return false;
    static const char *const known[] = {"guest", "process", "debug-threads", NULL};
    if (!config_check_keys(o, known, p->error))
        return false;
    /* Threads always have names, so that debug-threads has nothing to switch. */
    p->c->debug_threads = !g_strcmp0(json_get_text(o, "debug-threads"), "on");
    if (json_get(o, "process"))
        keep(&p->c->process_name, json_get_text(o, "process"));
    return !json_get(o, "guest") || keep(&p->c->name, json_get_text(o, "guest"));
}

static bool set_uuid(Parse *p, const char *arg)
{
    if (!g_uuid_string_is_valid(arg))
        return error_set(p->error, "'%s' is not a UUID; expected "
                         "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", arg);
    return keep(&p->c->uuid, arg);
}

static bool set_kernel(Parse *p, const char *arg) { return keep(&p->c->kernel, arg); }
static bool set_initrd(Parse *p, const char *arg) { return keep(&p->c->initrd, arg); }
static bool set_append(Parse *p, const char *arg) { return keep(&p->c->append, arg); }
static bool set_dtb(Parse *p, const char *arg) { return keep(&p->c->dtb, arg); }
static bool set_bios(Parse *p, const char *arg) { return keep(&p->c->bios, arg); }
static bool set_boot(Parse *p, const char *arg) { return merge(p, &p->c->boot, arg, "order"); }
static bool add_data_dir(Parse *p, const char *arg) { return add(&p->c->data_dirs, arg); }
static bool add_fw_cfg(Parse *p, const char *arg) { return add(&p->c->fw_cfgs, arg); }
static bool add_option_rom(Parse *p, const char *arg) { return add(&p->c->option_roms, arg); }
static bool add_acpi_table(Parse *p, const char *arg) { return add(&p->c->acpi_tables, arg); }
static bool add_smbios(Parse *p, const char *arg) { return add(&p->c->smbios, arg); }
static bool set_rtc(Parse *p, const char *arg) { return keep(&p->c->rtc, arg); }
static bool set_icount(Parse *p, const char *arg) { return keep(&p->c->icount, arg); }

/* ---- streams and monitors ---- */

static bool add_chardev(Parse *p, const char *arg)
{
    return help_chardev(arg) ? finished(p) : add(&p->c->chardevs, arg);
}

static bool add_serial(Parse *p, const char *arg) { return add(&p->c->serials, arg); }
static bool add_debugcon(Parse *p, const char *arg) { return add(&p->c->debugcons, arg); }
static bool add_parallel(Parse *p, const char *arg) { return add(&p->c->parallels, arg); }

static void free_monitor(gpointer m)
{
    g_free(((MonitorOption *)m)->text);
    g_free(m);
}

static bool keep_monitor(Parse *p, MonitorMode mode, const char *text, bool is_chardev)
{
    if (!p->c->monitors)
        p->c->monitors = g_ptr_array_new_with_free_func(free_monitor);
    MonitorOption *m = g_new0(MonitorOption, 1);
    *m = (MonitorOption){mode, g_strdup(text), is_chardev};
    g_ptr_array_add(p->c->monitors, m);
    return true;
}

static bool add_monitor(Parse *p, const char *arg) { return keep_monitor(p, MONITOR_HMP, arg, false); }
static bool add_qmp(Parse *p, const char *arg) { return keep_monitor(p, MONITOR_QMP, arg, false); }

static bool add_qmp_pretty(Parse *p, const char *arg)
{
    return keep_monitor(p, MONITOR_QMP_PRETTY, arg, false);
}

static bool add_mon(Parse *p, const char *arg)
{
    g_autoptr(Json) o = keyval_parse(arg, "chardev", KEYVAL_PLAIN, p->error);
    if (!o)
        return false;
    const char *chardev = json_get_text(o, "chardev"), *mode = json_get_text(o, "mode");
    bool control = !g_strcmp0(mode, "control"), pretty = !g_strcmp0(json_get_text(o, "pretty"), "on");
    if (!chardev)
        return error_set(p->error, "chardev=ID is missing");
    if (mode && !control && strcmp(mode, "readline"))
        return error_set(p->error, "mode '%s' is neither readline nor control", mode);
    return keep_monitor(p, !control ? MONITOR_HMP : pretty ? MONITOR_QMP_PRETTY : MONITOR_QMP,
                        chardev, true);
}

static bool set_nographic(Parse *p, const char *arg) { return p->c->nographic = true; }

static bool set_display(Parse *p, const char *arg)
{
    if (help_display(arg))
        return finished(p);
    if (g_str_has_prefix(arg, "vnc="))
        return add(&p->c->vncs, arg + strlen("vnc="));
    return config_check_display(arg, p->error) && keep(&p->c->display, arg);
}

static bool set_full_screen(Parse *p, const char *arg) { return p->c->full_screen = true; }

static bool add_audiodev(Parse *p, const char *arg)
{
    return help_audiodev(arg) ? finished(p) : add(&p->c->audiodevs, arg);
}

/* A back end and a card on it: "wav,model=hda,path=x". */
static bool add_audio(Parse *p, const char *arg)
{
    static const char *const cards[][3] = {{"hda", "intel-hda", "hda-duplex"}, {"ac97", NULL, "AC97"}};
    g_auto(GStrv) parts = g_strsplit(arg, ",", -1);
    g_autoptr(GString) backend = g_string_new(NULL);
    const char *model = NULL, *id = NULL;
    if (help_audiodev(arg))
        return finished(p);
    for (unsigned i = 0; parts[i]; i++) {
        if (g_str_has_prefix(parts[i], "model="))
            model = parts[i] + strlen("model=");
        else if (g_str_has_prefix(parts[i], "id="))
            id = parts[i] + strlen("id=");
        else
            g_string_append_printf(backend, "%s%s", i ? "," : "", parts[i]);
    }
    id = id ? id : "audiodev0";
    g_string_append_printf(backend, ",id=%s", id);
    if (!model)
        return error_set(p->error, "Parameter 'model' is missing");
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++) {
        if (strcmp(cards[i][0], model))
            continue;
        g_autofree char *card = g_strdup_printf("%s,audiodev=%s", cards[i][2], id);
        return add(&p->c->audiodevs, backend->str) && (!cards[i][1] || add(&p->c->devices, cards[i][1])) &&
               add(&p->c->devices, card);
    }
    return error_set(p->error, "'%s' is not a sound card; hda and ac97 are", model);
}

static bool add_vnc(Parse *p, const char *arg) { return add(&p->c->vncs, arg); }
static bool set_layout(Parse *p, const char *arg) { return keep(&p->c->layout, arg); }

static bool set_usb(Parse *p, const char *arg) { return merge(p, &p->c->machine_props, "usb=on", "type"); }

static bool add_usb(Parse *p, const char *arg)
{
    const char *type = usb_legacy_type(arg);
    if (!type)
        return error_set(p->error, "'%s' is not there; tablet, mouse and keyboard are", arg);
    return set_usb(p, NULL) && add(&p->c->devices, type);
}

static bool set_vga(Parse *p, const char *arg)
{
    if (help_vga(p->c, arg))
        return finished(p);
    return config_check_vga(arg, p->error) && keep(&p->c->vga, arg);
}

/* ---- block and network ---- */

static bool add_drive(Parse *p, const char *arg) { return add(&p->c->drives, arg); }

/* -hda and the like: a file name, which may hold commas. */
static bool add_short_drive(Parse *p, const char *file, const char *place)
{
    g_auto(GStrv) parts = g_strsplit(file, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts), *text = g_strdup_printf("file=%s,%s", escaped, place);
    return add(&p->c->drives, text);
}

static bool add_hda(Parse *p, const char *arg) { return add_short_drive(p, arg, "index=0,media=disk"); }
static bool add_hdb(Parse *p, const char *arg) { return add_short_drive(p, arg, "index=1,media=disk"); }
static bool add_hdc(Parse *p, const char *arg) { return add_short_drive(p, arg, "index=2,media=disk"); }
static bool add_hdd(Parse *p, const char *arg) { return add_short_drive(p, arg, "index=3,media=disk"); }
static bool add_cdrom(Parse *p, const char *arg) { return add_short_drive(p, arg, "index=2,media=cdrom"); }
static bool add_fda(Parse *p, const char *arg) { return add_short_drive(p, arg, "if=floppy,index=0"); }
static bool add_fdb(Parse *p, const char *arg) { return add_short_drive(p, arg, "if=floppy,index=1"); }
static bool add_pflash(Parse *p, const char *arg) { return add_short_drive(p, arg, "if=pflash"); }
static bool set_snapshot(Parse *p, const char *arg) { return p->c->snapshot = true; }
static bool add_blockdev(Parse *p, const char *arg) { return add(&p->c->blockdevs, arg); }

static bool add_netdev(Parse *p, const char *arg)
{
    return help_netdev(arg) ? finished(p) : add(&p->c->netdevs, arg);
}

/* A folder for guests is an object: -fsdev local,… is -object fsdev-local,…. */
static bool add_fsdev(Parse *p, const char *arg)
{
    g_autofree char *text = g_strconcat("fsdev-", arg, NULL);
    return g_str_has_prefix(arg, "local,") ? add(&p->c->objects, text)
                                           : error_set(p->error, "-fsdev %s: only the kind 'local' is implemented", arg);
}

/* A TPM's back end is one, too. */
static bool add_tpmdev(Parse *p, const char *arg)
{
    g_autofree char *text = g_strconcat("tpm-", arg, NULL);
    if (help_tpmdev(arg))
        return finished(p);
    if (g_str_has_prefix(arg, "passthrough"))
        return error_set(p->error, "-tpmdev %s: the host's TPM cannot be handed through; use emulator with swtpm", arg);
    return g_str_has_prefix(arg, "emulator,") ? add(&p->c->objects, text)
                                              : error_set(p->error, "-tpmdev %s: Parameter 'type' expects a TPM backend type: emulator", arg);
}

/* Takes "NAME=value" out of an option's text (in which ",," stands for a comma); NULL: not there. */
static char *take_part(GString *text, const char *name)
{
    size_t n = strlen(name);
    for (char *at = text->str; at; at = strchr(at, ',')) {
        at += *at == ',';
        char *end = at;
        while ((end = strchr(end, ',')) && end[1] == ',')
            end += 2;
        size_t length = end ? (size_t)(end - at) : strlen(at);
        if (!strncmp(at, name, n) && at[n] == '=') {
            char *value = g_strndup(at + n + 1, length - n - 1);
            bool first = at == text->str;
            g_string_erase(text, at - text->str - !first, (gssize)length + 1);
            return value;
        }
        at = end ? end : at + length;
    }
    return NULL;
}

/* Folder and device in one. */
static bool add_virtfs(Parse *p, const char *arg)
{
    g_autoptr(GString) text = g_string_new(arg);
    g_autofree char *tag = take_part(text, "mount_tag"), *id = take_part(text, "id");
    if (!tag)
        return error_set(p->error, "-virtfs %s: mount_tag= is needed", arg);
    g_string_append_printf(text, ",id=%s", id ? id : tag);
    g_autofree char *device = g_strdup_printf("virtio-9p-pci,fsdev=%s,mount_tag=%s", id ? id : tag, tag);
    return add_fsdev(p, text->str) && add(&p->c->devices, device);
}

static bool add_nic(Parse *p, const char *arg)
{
    return help_nic(p->c, arg) ? finished(p) : add(&p->c->nics, arg);
}

static bool add_net(Parse *p, const char *arg) { return add(&p->c->nets, arg); }

/* ---- running ---- */

static bool set_stopped(Parse *p, const char *arg) { return p->c->stopped = true; }
static bool set_qtest(Parse *p, const char *arg) { return keep(&p->c->qtest, arg); }
static bool set_qtest_log(Parse *p, const char *arg) { return keep(&p->c->qtest_log, arg); }
static bool set_gdb(Parse *p, const char *arg) { return keep(&p->c->gdb, arg); }
static bool set_gdb_default(Parse *p, const char *arg) { return keep(&p->c->gdb, "tcp::1234"); }
static bool set_no_reboot(Parse *p, const char *arg) { return keep(&p->c->action_reboot, "shutdown"); }
static bool set_no_shutdown(Parse *p, const char *arg) { return keep(&p->c->action_shutdown, "pause"); }
static bool set_pidfile(Parse *p, const char *arg) { return keep(&p->c->pidfile, arg); }
static bool set_daemonize(Parse *p, const char *arg) { return p->c->daemonize = true; }
static bool set_nodefaults(Parse *p, const char *arg) { return p->c->nodefaults = true; }
static bool ignore_option(Parse *p, const char *arg) { return true; }

static const struct { const char *name; size_t at; const char *values; } actions[] = {
    {"reboot", offsetof(Config, action_reboot), "reset shutdown"},
    {"shutdown", offsetof(Config, action_shutdown), "poweroff pause"},
    {"panic", offsetof(Config, action_panic), "none pause shutdown exit-failure"},
    {"watchdog", offsetof(Config, action_watchdog),
     "reset shutdown poweroff inject-nmi pause debug none"},
};

static bool set_action(Parse *p, const char *arg)
{
    g_autoptr(Json) o = keyval_parse(arg, NULL, KEYVAL_PLAIN, p->error);
    if (!o)
        return false;
    for (size_t i = 0; i < json_length(o); i++) {
        const char *key = json_key_at(o, i), *value = json_text(json_at(o, i));
        unsigned k = 0;
        while (k < G_N_ELEMENTS(actions) && strcmp(actions[k].name, key))
            k++;
        if (k == G_N_ELEMENTS(actions))
            return error_set(p->error, "'%s' is none of reboot, shutdown, panic, watchdog", key);
        g_auto(GStrv) values = g_strsplit(actions[k].values, " ", -1);
        if (!value || !g_strv_contains((const char *const *)values, value))
            return error_set(p->error, "%s=%s: expected one of: %s", key, value, actions[k].values);
        keep((char **)((char *)p->c + actions[k].at), value);
    }
    return true;
}

static bool set_watchdog_action(Parse *p, const char *arg)
{
    g_autofree char *text = g_strdup_printf("watchdog=%s", arg);
    return set_action(p, text);
}

static bool set_log_items(Parse *p, const char *arg)
{
    if (is_help(arg)) {
        g_autofree char *text = log_help();
        g_print("%s", text);
        return finished(p);
    }
    return log_set_items(arg, p->error);
}

static bool set_log_ranges(Parse *p, const char *arg) { return log_set_ranges(arg, p->error); }
static bool set_log_file(Parse *p, const char *arg) { return log_set_file(arg, p->error); }

static void print_trace(const TracePoint *point, const char *name, void *data) { g_print("%s\n", name); }

static bool set_trace(Parse *p, const char *arg)
{
    if (is_help(arg)) {
        trace_foreach(print_trace, NULL);
        return finished(p);
    }
    g_autoptr(Json) o = keyval_parse(arg, "enable", KEYVAL_PLAIN, p->error);
    if (!o)
        return false;
    const char *file = json_get_text(o, "file"), *enable = json_get_text(o, "enable");
    if (json_get(o, "events"))
        return error_set(p->error, "events=FILE is not implemented; give patterns with enable=");
    if (file && !log_set_file(file, p->error))
        return false;
    if (enable && !trace_set(enable, true))
        return error_set(p->error, "no trace point matches '%s' (try -trace help)", enable);
    return true;
}

static bool set_msg(Parse *p, const char *arg)
{
    static const char *const known[] = {"timestamp", "guest-name", NULL};
    g_autoptr(Json) o = keyval_parse(arg, NULL, KEYVAL_PLAIN, p->error);
    if (!o || !config_check_keys(o, known, p->error))
        return false;
    p->c->timestamps = !g_strcmp0(json_get_text(o, "timestamp"), "on");
    p->c->guest_name = !g_strcmp0(json_get_text(o, "guest-name"), "on");
    return true;
}

static bool set_overcommit(Parse *p, const char *arg) { return merge(p, &p->c->overcommit, arg, NULL); }
static bool set_sandbox(Parse *p, const char *arg) { return merge(p, &p->c->sandbox, arg, "enable"); }
static bool set_run_with(Parse *p, const char *arg) { return merge(p, &p->c->run_with, arg, NULL); }
static bool set_chroot(Parse *p, const char *arg) { return keep(&p->c->chroot, arg); }
static bool set_runas(Parse *p, const char *arg) { return keep(&p->c->runas, arg); }
static bool add_fd(Parse *p, const char *arg) { return add(&p->c->add_fds, arg); }

static bool set_seed(Parse *p, const char *arg)
{
    char *end;
    g_random_set_seed(strtoul(arg, &end, 0));
    return !*end || error_set(p->error, "'%s' is not a number", arg);
}

static bool set_preconfig(Parse *p, const char *arg)
{
    return p->c->preconfig = true;
}

/* ---- -set, -readconfig: further options in other clothes ---- */

static bool add_set(Parse *p, const char *arg)
{
    unsigned dots = 0;
    for (const char *s = arg; *s && *s != '='; s++)
        dots += *s == '.';
    if (dots < 2 || !strchr(arg, '='))
        return error_set(p->error, "expected group.id.arg=value");
    return add(&p->c->sets, arg);
}

static bool apply_option(Parse *p, const char *name, const char *arg);

/* Groups of configuration files that are called otherwise on the command line. */
static const struct { const char *group, *option; } groups[] = {
    {"memory", "m"}, {"smp-opts", "smp"}, {"boot-opts", "boot"},
};

static const char *option_of_group(const char *group)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++)
        if (!strcmp(groups[i].group, group))
            return groups[i].option;
    return group;
}

/* [group "id"] sections of key = "value" lines, each one option. */
static bool read_config(Parse *p, const char *arg)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(arg, &text, NULL, p->error))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *group = NULL;
    g_autoptr(GString) value = g_string_new(NULL);
    for (unsigned i = 0;; i++) {
        char *line = lines[i] ? g_strstrip(lines[i]) : NULL;
        if ((!line || *line == '[') && group && !apply_option(p, option_of_group(group), value->str))
            return false;
        if (!line)
            return true;
        char name[64], id[128], key[128], quoted[1024];
        if (sscanf(line, "[%63s \"%127[^\"]\"]", name, id) == 2) {
            g_string_printf(value, "id=%s", id);
        } else if (sscanf(line, "[%63[^]]]", name) == 1) {
            g_string_truncate(value, 0);
        } else {
            if (sscanf(line, "%127s = \"%1023[^\"]\"", key, quoted) == 2)
                g_string_append_printf(value, "%s%s=%s", value->len ? "," : "", key, quoted);
            else if (*line && *line != '#')
                return error_set(p->error, "%s:%u: expected key = \"value\"", arg, i + 1);
            continue;
        }
        g_free(group);
        group = g_strdup(name);
    }
}

/* ---- the table ---- */

typedef struct Option {
    const char *name, *arg;
    Action *action;
    const char *help;
    const char *absent;         /* why it cannot be given */
} Option;

static const Option options[] = {
#define OPT(name, arg, action, help) {name, arg, action, help, NULL},
#define ABSENT(name, arg, why) {name, arg, NULL, NULL, why},
#include "control/cli/options.inc"
#undef ABSENT
#undef OPT
};

static const Option *find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++)
        if (!strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

static bool unknown(const char *given, const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(options) + 1];
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++)
        names[i] = options[i].name;
    names[G_N_ELEMENTS(options)] = NULL;
    error_set(error, "%s: invalid option", given);
    suggest_append(error, name, names);
    return false;
}

static bool apply_option(Parse *p, const char *name, const char *arg)
{
    const Option *o = find(name);
    GError *local = NULL, **error = p->error;
    if (!o)
        return unknown(name, name, error);
    p->error = &local;
    bool ok = o->absent ? error_set(&local, "%s", o->absent) : o->action(p, arg);
    p->error = error;
    if (!ok) {
        g_prefix_error(&local, "-%s%s%s: ", name, arg ? " " : "", arg ? arg : "");
        g_propagate_error(error, local);
    }
    return ok;
}

void help_options(const Config *c)
{
    g_print("Myna: a machine emulator and virtualizer\nusage: %s [options] [disk_image]\n\n", c->argv0);
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        const Option *o = &options[i];
        if (!o->absent)
            g_print("-%s %s\n                %s\n", o->name, o->arg ? o->arg : "", o->help);
    }
}

ParseResult config_parse(Config *c, int argc, char **argv, GError **error)
{
    Parse p = {.c = c, .error = error};
    for (int i = 1; i < argc; i++) {
        const char *given = argv[i], *arg = NULL;
        if (given[0] != '-' || !given[1]) {     /* a bare word is the first hard disk */
            add_hda(&p, given);
            continue;
        }
        const char *name = given + (given[1] == '-' ? 2 : 1);
        const Option *o = find(name);
        if (!o) {
            unknown(given, name, error);
            return PARSE_ERROR;
        }
        if (o->arg) {
            if (++i >= argc) {
                error_set(error, "%s: requires an argument", given);
                return PARSE_ERROR;
            }
            arg = argv[i];
        }
        if (!apply_option(&p, name, arg))
            return PARSE_ERROR;
        if (p.done)
            return PARSE_DONE;
    }
    return PARSE_OK;
}

static void free_list(GPtrArray *list)
{
    if (list)
        g_ptr_array_unref(list);
}

void config_clear(Config *c)
{
    GPtrArray *lists[] = {c->accels, c->objects, c->devices, c->chardevs, c->serials, c->parallels,
                          c->drives, c->blockdevs, c->netdevs, c->nics, c->nets, c->fw_cfgs, c->smbios, c->sets,
                          c->audiodevs, c->numas, c->vncs, c->debugcons, c->option_roms, c->acpi_tables,
                          c->monitors, c->globals, c->data_dirs,
                          c->add_fds};
    char *texts[] = {c->machine, c->cpu, c->kernel, c->initrd, c->append, c->dtb, c->bios, c->mem_path, c->name,
                     c->process_name, c->qtest, c->qtest_log, c->chroot, c->runas,
                     c->uuid, c->rtc, c->icount, c->kernel_irqchip, c->gdb, c->display, c->vga, c->layout, c->pidfile,
                     c->action_reboot, c->action_shutdown, c->action_panic, c->action_watchdog};
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
        free_list(lists[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    json_unref(c->machine_props);
    json_unref(c->smp);
    json_unref(c->memory);
    json_unref(c->boot);
    json_unref(c->overcommit);
    json_unref(c->sandbox);
    json_unref(c->run_with);
}
