/* SPDX-License-Identifier: Apache-2.0 */
/* From a command line that was read to a machine that is ready to run, in one fixed order. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "audio/audio.h"
#include "block/block.h"
#include "chardev/chardev.h"
#include "control/cli/config.h"
#include "control/device-add.h"
#include "control/events.h"
#include "control/gdb.h"
#include "control/monitors.h"
#include "control/qtest.h"
#include "core/accel.h"
#include "hw/acpi.h"
#include "hw/smbios.h"
#include "machines/loader.h"
#include "net/net.h"
#include "qapi/event.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types-run-state.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/suggest.h"

#define FOR_EACH(text, list)                                                                        \
    for (unsigned i_ = 0; (list) && i_ < (list)->len; i_++)                                         \
        for (const char *text = g_ptr_array_index(list, i_); text; text = NULL)

/* ---- identity ---- */

static void apply_identity(Vm *vm, Config *c)
{
    vm->argv0 = c->argv0;
    vm->name = g_strdup(c->name);
    if (c->uuid) {
        unsigned n = 0;
        for (const char *s = c->uuid; *s; s++)
            if (*s != '-') {
                vm->uuid[n / 2] = vm->uuid[n / 2] << 4 | g_ascii_xdigit_value(*s);
                n++;
            }
        vm->uuid_set = true;
    }
    FOR_EACH(dir, c->data_dirs) {
        if (!vm->data_dirs)
            vm->data_dirs = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(vm->data_dirs, g_strdup(dir));
    }
}

/* "driver.property=value", or "driver=…,property=…,value=…". */
static bool apply_global(Vm *vm, const char *text, GError **error)
{
    if (g_str_has_prefix(text, "driver=")) {
        g_autoptr(Json) o = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
        const char *driver = json_get_text(o, "driver"), *property = json_get_text(o, "property");
        const char *value = json_get_text(o, "value");
        if (!o || !property || !value)
            return o && error_set(error, "-global %s: property= and value= are needed", text);
        device_global(vm, driver, property, value);
        return true;
    }
    g_autofree char *driver = g_strndup(text, strchr(text, '.') - text);
    const char *rest = strchr(text, '.') + 1, *equal = strchr(rest, '=');
    g_autofree char *property = g_strndup(rest, equal - rest);
    device_global(vm, driver, property, equal + 1);
    return true;
}

static void apply_actions(Vm *vm, const Config *c)
{
    vm->on_reboot = g_strcmp0(c->action_reboot, "shutdown") ? REBOOT_RESET : REBOOT_SHUTDOWN;
    vm->on_shutdown = g_strcmp0(c->action_shutdown, "pause") ? SHUTDOWN_POWEROFF : SHUTDOWN_PAUSE;
    vm->on_panic = !g_strcmp0(c->action_panic, "pause")          ? PANIC_PAUSE
                   : !g_strcmp0(c->action_panic, "exit-failure") ? PANIC_EXIT_FAILURE
                   : !g_strcmp0(c->action_panic, "none")         ? PANIC_NONE
                                                                 : PANIC_SHUTDOWN;
    WatchdogAction watchdog = WATCHDOG_ACTION_RESET;
    if (c->action_watchdog)
        watchdog_action_parse(c->action_watchdog, &watchdog);
    vm->on_watchdog = watchdog;
}

static bool keep_blob(Vm *vm, const char *name, const char *data, size_t n)
{
    if (!vm->fw_cfg_user)
        vm->fw_cfg_user = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                (GDestroyNotify)g_bytes_unref);
    g_hash_table_insert(vm->fw_cfg_user, g_strdup(name), g_bytes_new(data, n));
    return true;
}

static bool add_fw_cfg_blob(Vm *vm, const char *text, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, "name", KEYVAL_LEGACY, error);
    if (!o)
        return false;
    const char *name = json_get_text(o, "name"), *file = json_get_text(o, "file");
    const char *string = json_get_text(o, "string");
    if (!name || !!file == !!string)
        return error_set(error, "expected name=NAME and one of file=FILE, string=TEXT");
    if (strlen(name) > 55)
        return error_set(error, "name '%s' is longer than 55 characters", name);
    g_autofree char *data = NULL;
    size_t n = string ? strlen(string) : 0;
    if (file && !g_file_get_contents(file, &data, &n, error))
        return false;
    return keep_blob(vm, name, file ? data : string, n);
}

/* Firmware runs files in genroms/ as option ROMs. */
static bool add_option_rom(Vm *vm, const char *text, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, "file", KEYVAL_LEGACY, error);
    static const char *const known[] = {"file", NULL};
    if (!o || !config_check_keys(o, known, error))
        return false;
    const char *file = json_get_text(o, "file");
    g_autofree char *path = file ? loader_find(vm, file, error) : NULL, *data = NULL;
    gsize n;
    if (!path)
        return file ? false : error_set(error, "expected a file");
    if (!g_file_get_contents(path, &data, &n, error))
        return false;
    if (n < 512 || (uint8_t)data[0] != 0x55 || (uint8_t)data[1] != 0xaa)
        return error_set(error, "'%s' is not an option ROM, which begins with 55 aa", path);
    g_autofree char *base = g_path_get_basename(file), *name = g_strconcat("genroms/", base, NULL);
    if (strlen(name) > 55)
        return error_set(error, "name '%s' is longer than 47 characters", base);
    return keep_blob(vm, name, data, n);
}

/* ---- -boot ---- */

static bool boot_switch(const Json *o, const char *key, bool *value, GError **error)
{
    const char *text = json_get_text(o, key);
    *value = !g_strcmp0(text, "on");
    return !text || *value || !strcmp(text, "off") ||
           error_set(error, "%s=%s: expected on or off", key, text);
}

static bool boot_time(const Json *o, const char *key, int *ms, GError **error)
{
    const char *text = json_get_text(o, key);
    char *end;
    if (!text)
        return true;
    long v = strtol(text, &end, 10);
    if (*end || end == text || v < -1 || v > 65535)
        return error_set(error, "%s=%s: expected milliseconds from 0 to 65535", key, text);
    *ms = v;
    return true;
}

/* Letters of drives: a and b floppies, c to f disks, n to p networks, d a CD as well. */
static bool boot_letters(const Json *o, const char *key, char **to, GError **error)
{
    const char *text = json_get_text(o, key);
    for (const char *s = text; s && *s; s++)
        if (*s < 'a' || *s > 'p' || strchr(s + 1, *s))
            return error_set(error, "%s=%s: expected letters from a to p, each once", key, text);
    *to = g_strdup(text);
    return true;
}

static bool apply_boot(Vm *vm, const Json *o, GError **error)
{
    static const char *const known[] = {"order", "once", "menu", "splash", "splash-time",
                                        "reboot-timeout", "strict", NULL};
    vm->boot.splash_time = vm->boot.reboot_timeout = -1;
    if (!o)
        return true;
    const char *splash = json_get_text(o, "splash");
    if (splash && access(splash, R_OK) < 0)
        return error_set_errno(error, errno, "-boot splash=%s", splash);
    vm->boot.splash = g_strdup(splash);
    bool ok = config_check_keys(o, known, error) && boot_letters(o, "order", &vm->boot.order, error) &&
              boot_letters(o, "once", &vm->boot.once, error) &&
              boot_switch(o, "menu", &vm->boot.menu, error) &&
              boot_switch(o, "strict", &vm->boot.strict, error) &&
              boot_time(o, "splash-time", &vm->boot.splash_time, error) &&
              boot_time(o, "reboot-timeout", &vm->boot.reboot_timeout, error);
    if (!ok)
        g_prefix_error(error, "-boot ");
    return ok;
}

/* ---- machine ---- */

static const MachineType *choose_machine(Config *c, GError **error)
{
    const MachineType *t = machine_find_error(c->arch, c->machine, error);
    if (!t && error && !strstr((*error)->message, "did you mean"))
        error_append(error, "\nUse -machine help to list supported machines");
    return t;
}

static bool read_number(const Json *o, const char *key, unsigned *value, GError **error)
{
    const char *text = json_get_text(o, key);
    char *end;
    if (!text)
        return true;
    unsigned long v = strtoul(text, &end, 10);
    if (*end || end == text || v == 0 || v > 1 << 20)
        return error_set(error, "-smp %s=%s: expected a number above 0", key, text);
    *value = v;
    return true;
}

/* What is not said follows: sockets first, as since machine version 6.2 cores are preferred. */
static bool apply_smp(Machine *m, const Json *o, GError **error)
{
    CpuTopology *t = &m->smp;
    static const char *const known[] = {"cpus", "maxcpus", "sockets", "dies", "clusters", "cores",
                                        "threads", NULL};
    unsigned *const members[] = {&t->cpus, &t->maxcpus, &t->sockets, &t->dies, &t->clusters,
                                 &t->cores, &t->threads};
    *t = (CpuTopology){0};
    for (size_t i = 0; o && i < json_length(o); i++)
        if (!g_strv_contains(known, json_key_at(o, i))) {
            error_set(error, "-smp: invalid parameter '%s'", json_key_at(o, i));
            suggest_append(error, json_key_at(o, i), known);
            return false;
        }
    for (unsigned i = 0; known[i]; i++)
        if (!read_number(o, known[i], members[i], error))
            return false;
    unsigned *dies = &t->dies, *clusters = &t->clusters, *threads = &t->threads;
    for (unsigned **p = (unsigned *[]){dies, clusters, threads, NULL}; *p; p++)
        **p = MAX(**p, 1);
    unsigned per_core = t->dies * t->clusters * t->threads, want = MAX(t->maxcpus, t->cpus);
    if (!t->sockets && !t->cores) {
        t->sockets = 1;
        t->cores = MAX(1, want / per_core);
    } else if (!t->cores) {
        t->cores = MAX(1, want / (t->sockets * per_core));
    } else if (!t->sockets) {
        t->sockets = MAX(1, want / (t->cores * per_core));
    }
    unsigned total = t->sockets * t->cores * per_core;
    t->maxcpus = t->maxcpus ? t->maxcpus : total;
    t->cpus = t->cpus ? t->cpus : t->maxcpus;
    if (total != t->maxcpus)
        return error_set(error, "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                         "sockets (%u) * dies (%u) * cores (%u) * threads (%u) != maxcpus (%u)",
                         t->sockets, t->dies, t->cores, t->threads, t->maxcpus);
    if (t->cpus > t->maxcpus)
        return error_set(error, "-smp: %u CPUs are more than maxcpus (%u)", t->cpus, t->maxcpus);
    if (t->maxcpus > m->type_->max_cpus)
        return error_set(error, "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u",
                         t->maxcpus, m->type_->machine, m->type_->max_cpus);
    return true;
}

/* Room for memory that comes later. */
static bool apply_slots(Machine *m, const Json *o, GError **error)
{
    const char *slots = json_get_text(o, "slots"), *most = json_get_text(o, "maxmem");
    uint64_t n = 0;
    char *end = NULL;
    if (!slots && !most)
        return true;
    if (!m->type_->memory_slots)
        return error_set(error, "-m slots=, maxmem=: machine '%s' has no memory hotplug", m->type_->machine);
    if (!most)
        return error_set(error, "invalid -m option value: missing 'maxmem' option");
    if (!keyval_size(most, &m->max_ram_size))
        return error_set(error, "-m maxmem=%s: expected a size such as 4G", most);
    if (slots && ((n = g_ascii_strtoull(slots, &end, 10)) > m->type_->memory_slots || *end || end == slots))
        return error_set(error, "unsupported number of memory slots: %s, the most is %u", slots, m->type_->memory_slots);
    m->ram_slots = n;
    if (m->max_ram_size < m->ram_size)
        return error_set(error, "invalid value of maxmem: maximum memory size (0x%" G_GINT64_MODIFIER "x) must be at least "
                         "the initial memory size (0x%" G_GINT64_MODIFIER "x)", m->max_ram_size, m->ram_size);
    if (n && m->max_ram_size == m->ram_size)
        return error_set(error, "invalid value of maxmem: memory slots were specified but maximum memory size is equal to "
                         "the initial memory size");
    return true;
}

/* Plain numbers are MiB. */
static bool apply_memory(Machine *m, const Json *o, GError **error)
{
    const char *size = json_get_text(o, "size");
    m->ram_size = m->type_->default_ram;
    m->max_ram_size = m->ram_size;
    if (!size)
        return apply_slots(m, o, error);
    g_autofree char *with_unit = *size && g_ascii_isdigit(size[strlen(size) - 1]) ? g_strconcat(size, "M", NULL)
                                                                         : g_strdup(size);
    if (!keyval_size(with_unit, &m->ram_size) || !m->ram_size)
        return error_set(error, "-m %s: expected a size such as 512, 2G or 1536M", size);
    m->ram_size = (m->ram_size + 8191) & ~8191ull;
    m->max_ram_size = m->ram_size;
    return apply_slots(m, o, error);
}

/* -mem-path, -mem-prealloc: old words for a memory back end. */
static bool make_memory(Machine *m, const Config *c, GError **error)
{
    if (!c->mem_path && !c->mem_prealloc)
        return true;
    if (m->memory_backend)
        return error_set(error, "-%s: memory-backend=%s says what guest RAM is; give it to that object",
                         c->mem_path ? "mem-path" : "mem-prealloc", m->memory_backend);
    g_auto(GStrv) parts = g_strsplit(c->mem_path ? c->mem_path : "", ",", -1);
    g_autofree char *path = g_strjoinv(",,", parts);
    g_autofree char *text = g_strdup_printf("memory-backend-%s,id=mem-path.ram,size=%" PRIu64 "%s%s%s",
                                            c->mem_path ? "file" : "ram", m->ram_size, c->mem_path ? ",mem-path=" : "",
                                            path, c->mem_prealloc ? ",prealloc=on" : "");
    m->memory_backend = g_strdup("mem-path.ram");
    return user_object_add_option(m->vm, text, error);
}

static char **text_slot(Machine *m, unsigned i, Config *c, const char **from)
{
    char **slots[] = {&m->kernel, &m->initrd, &m->append, &m->dtb, &m->firmware, &m->cpu_model};
    const char *values[] = {c->kernel, c->initrd, c->append, c->dtb, c->bios, c->cpu};
    *from = i < G_N_ELEMENTS(values) ? values[i] : NULL;
    return i < G_N_ELEMENTS(slots) ? slots[i] : NULL;
}

static bool make_machine(Vm *vm, Config *c, GError **error)
{
    const MachineType *t = choose_machine(c, error);
    if (!t)
        return false;
    Machine *m = machine_new(vm, t, c->arch);
    static const char *const none[] = {NULL};
    if (c->machine_props && !object_set_json(&m->object, c->machine_props, none, error)) {
        g_prefix_error(error, "-machine: ");
        return false;
    }
    const char *from;
    char **slot;
    for (unsigned i = 0; (slot = text_slot(m, i, c, &from)); i++)
        if (from) {
            g_free(*slot);
            *slot = g_strdup(from);
        }
    m->graphics &= !c->nographic;
    if ((vm->boot.order || vm->boot.once) && !t->boot_letters)
        return error_set(error, "-boot order=, once=: machine '%s' has no such letters; give devices a "
                         "bootindex=", t->machine);
    if (!m->kernel && (m->initrd || m->append))
        return error_set(error, "-%s is only allowed with -kernel", m->initrd ? "initrd" : "append");
    return apply_smp(m, c->smp, error) && apply_memory(m, c->memory, error) && make_memory(m, c, error) &&
           config_numa(m, c->numas, error);
}

/* ---- accelerator: the first of the list that works here ---- */

typedef struct AccelSearch {
    const char *name;
    const AccelType *found;
} AccelSearch;

static void look_accel(const ObjectType *t, void *data)
{
    AccelSearch *s = data;
    if (!t->abstract && object_type_is_a(t, "accel") && !strcmp(((const AccelType *)t)->accel, s->name))
        s->found = (const AccelType *)t;
}

/* -icount is the translator's: virtual time counts its instructions. */
static bool add_icount(Json *o, const char *accel, const Config *c, GError **error)
{
    if (!c->icount)
        return true;
    if (strcmp(accel, "tcg"))
        return error_set(error, "-icount is not possible with accelerator %s, only with tcg", accel);
    char *shift = config_icount(c->icount, error);
    if (!shift) {
        g_prefix_error(error, "-icount %s: ", c->icount);
        return false;
    }
    json_set_text(o, "icount-shift", shift);
    g_free(shift);
    return true;
}

static bool try_accel(Vm *vm, const Config *c, const char *text, GError **error)
{
    static const char *const skip[] = {"accel", NULL};
    g_autoptr(Json) o = keyval_parse(text, "accel", KEYVAL_PLAIN, error);
    if (!o)
        return false;
    AccelSearch s = {.name = json_get_text(o, "accel")};
    if (s.name)
        object_type_foreach(look_accel, &s);
    if (!s.found)
        return error_set(error, "invalid accelerator %s", s.name ? s.name : text);
    g_autofree char *why_not = s.found->unavailable ? s.found->unavailable() : NULL;
    if (why_not)
        return error_set(error, "%s", why_not);
    if (!add_icount(o, s.name, c, error))
        return false;
    /* -machine kernel-irqchip= is an option of accelerators that have such chips. */
    if (c->kernel_irqchip && object_type_field((const ObjectType *)s.found, "kernel-irqchip") &&
        !json_get_text(o, "kernel-irqchip"))
        json_set_text(o, "kernel-irqchip", c->kernel_irqchip);
    Accel *a = (Accel *)object_new(vm, (const ObjectType *)s.found);
    a->vm = vm;
    if (!object_set_json(&a->object, o, skip, error) || !s.found->start(a, vm, error)) {
        object_unref(&a->object);
        return false;
    }
    vm->accel = a;
    object_ref(&a->object);             /* one each for vm->accel and the tree */
    object_add_child(&vm->machine->object, "accel", &a->object);
    return true;
}

static bool make_accel(Vm *vm, Config *c, GError **error)
{
    if (!c->accels)
        return try_accel(vm, c, "tcg", error);
    for (unsigned i = 0; i < c->accels->len; i++) {
        const char *text = g_ptr_array_index(c->accels, i);
        bool last = i + 1 == c->accels->len;
        g_autoptr(GError) failed = NULL;
        if (try_accel(vm, c, text, &failed))
            return true;
        g_prefix_error(&failed, "-accel %s: ", text);
        if (last) {
            g_propagate_error(error, g_steal_pointer(&failed));
            return false;
        }
        g_printerr("%s: %s\n", c->argv0, failed->message);
    }
    return false;
}

/* ---- streams ---- */

/* False with "OPTION TEXT: " and why. */
static bool blame(GError *failed, const char *option, const char *text, GError **error)
{
    g_prefix_error(&failed, "%s %s: ", option, text);
    g_propagate_error(error, failed);
    return false;
}

static bool add_serial(Vm *vm, Config *c, const char *text, GError **error)
{
    Machine *m = vm->machine;
    g_autofree char *id = g_strdup_printf("serial%u", m->serials->len);
    GError *failed = NULL;
    bool monitor;
    Chardev *chr = chardev_from_legacy(vm, id, text, &monitor, &failed);
    if (failed)
        return blame(failed, "-serial", text, error);
    g_ptr_array_add(m->serials, chr);
    return !monitor || monitor_new(vm, chr, MONITOR_HMP, error);
}

static bool make_serials(Vm *vm, Config *c, GError **error)
{
    FOR_EACH(text, c->serials)
        if (!add_serial(vm, c, text, error))
            return false;
    if (c->serials || c->nodefaults)
        return true;
    /* -nographic: the first port and the monitor share the terminal. */
    bool shared = c->nographic && !c->monitors;
    return add_serial(vm, c, shared ? "mon:stdio" : c->nographic ? "stdio" : "vc", error);
}

static bool add_parallel(Vm *vm, const char *text, GError **error)
{
    GPtrArray *all = vm->machine->parallels;
    g_autofree char *id = g_strdup_printf("parallel%u", all->len);
    GError *failed = NULL;
    Chardev *chr = chardev_from_legacy(vm, id, text, NULL, &failed);
    if (!failed && chr && all->len >= vm->machine->type_->parallel_ports)
        error_set(&failed, "this machine has %u parallel ports", vm->machine->type_->parallel_ports);
    if (failed)
        return blame(failed, "-parallel", text, error);
    g_ptr_array_add(all, chr);
    return true;
}

static bool make_parallels(Vm *vm, Config *c, GError **error)
{
    FOR_EACH(text, c->parallels)
        if (!add_parallel(vm, text, error))
            return false;
    if (c->parallels || c->nodefaults || !vm->machine->type_->parallel_ports)
        return true;
    return add_parallel(vm, c->nographic ? "null" : "vc", error);
}

/* -debugcon: the console that SeaBIOS and OVMF talk to. */
static bool make_debugcons(Vm *vm, Config *c, GError **error)
{
    FOR_EACH(text, c->debugcons) {
        GError *failed = NULL;
        bool monitor;
        if (!chardev_from_legacy(vm, "debugcon", text, &monitor, &failed) && !failed)
            continue;           /* none */
        if (!failed)
            device_add_option(vm, "isa-debugcon,iobase=0xe9,chardev=debugcon", &failed);
        if (failed)
            return blame(failed, "-debugcon", text, error);
    }
    return true;
}

static bool make_monitors(Vm *vm, Config *c, GError **error)
{
    /* Without a word the monitor is a console beside the first serial port's. */
    if (!c->monitors && !c->nodefaults && !c->nographic) {
        Chardev *chr = chardev_from_legacy(vm, "compat_monitor0", "vc", NULL, error);
        if (!chr || !monitor_new(vm, chr, MONITOR_HMP, error))
            return false;
    }
    for (unsigned i = 0; c->monitors && i < c->monitors->len; i++) {
        const MonitorOption *o = g_ptr_array_index(c->monitors, i);
        g_autofree char *id = g_strdup_printf("compat_monitor%u", i);
        GError *failed = NULL;
        Chardev *chr = o->is_chardev ? chardev_find(vm, o->text)
                                     : chardev_from_legacy(vm, id, o->text, NULL, &failed);
        if (!chr && o->is_chardev)
            error_set(&failed, "there is no chardev '%s'", o->text);
        if (failed)
            return blame(failed, "monitor", o->text, error);
        if (chr && !monitor_new(vm, chr, o->mode, error))
            return false;
    }
    return true;
}

/* ---- -set and the order of it all ---- */

/* Appends ",arg=value" to the option of that group with that id. */
static bool apply_set(Config *c, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ".", 3);
    GPtrArray *list = !strcmp(parts[0], "device") ? c->devices
                    : !strcmp(parts[0], "drive")  ? c->drives
                    : !strcmp(parts[0], "chardev") ? c->chardevs
                    : !strcmp(parts[0], "netdev") ? c->netdevs
                    : !strcmp(parts[0], "object") ? c->objects : NULL;
    g_autofree char *id = g_strdup_printf("id=%s", parts[1]);
    for (unsigned i = 0; list && i < list->len; i++) {
        char *option = g_ptr_array_index(list, i);
        g_auto(GStrv) words = g_strsplit(option, ",", -1);
        if (g_strv_contains((const char *const *)words, id)) {
            list->pdata[i] = g_strdup_printf("%s,%s", option, parts[2]);
            g_free(option);
            return true;
        }
    }
    return error_set(error, "-set %s: there is no %s \"%s\" defined", text, parts[0], parts[1]);
}

static bool refuse(Config *c, GError **error)
{
    FOR_EACH(text, c->nets)
        if (strcmp(text, "none"))
            return error_set(error, "-net %s: use -nic or -netdev with -device", text);
    return true;
}

/* PCs have a CD drive unless another disk device is asked for. */
static bool wants_default_cd(Vm *vm, Config *c, unsigned units)
{
    static const char *const disks[] = {"ide-cd", "ide-hd", "scsi-cd", "scsi-hd"};
    bool other = c->nodefaults || drive_at(vm, DRIVE_IDE, 2 / units, 2 % units, units);
    FOR_EACH(text, c->devices)
        for (unsigned i = 0; i < G_N_ELEMENTS(disks); i++)
            other |= strstr(text, disks[i]) != NULL;
    const char *sata = c->machine_props ? json_get_text(c->machine_props, "sata") : NULL;
    return !other && (!sata || strcmp(sata, "off"));
}

/* And some a floppy drive, likewise. */
static bool wants_default_floppy(Vm *vm, Config *c)
{
    bool other = c->nodefaults || drive_at(vm, DRIVE_FLOPPY, 0, 0, 2);
    FOR_EACH(text, c->devices)
        other |= strstr(text, "floppy") || strstr(text, "isa-fdc");
    return !other;
}

static bool make_disks(Vm *vm, Config *c, GError **error)
{
    FOR_EACH(text, c->blockdevs)
        if (!blockdev_add_option(vm, text, error))
            return false;
    const MachineType *t = machine_find_error(c->arch, c->machine, NULL);
    DriveBoard board = {t && t->drive_interface ? t->drive_interface : DRIVE_VIRTIO, t && t->ide_units ? t->ide_units : 2, c->snapshot};
    FOR_EACH(text, c->drives)
        if (!drive_add_option(vm, text, &board, error))
            return false;
    if (t && t->default_floppy && wants_default_floppy(vm, c) && !drive_add_option(vm, "if=floppy,index=0", &board, error))
        return false;
    return board.interface != DRIVE_IDE || !wants_default_cd(vm, c, board.ide_units) ||
           drive_add_option(vm, "if=ide,index=2,media=cdrom", &board, error);
}

/* -drive with an interface that the board does not have. */
static bool check_drives(Vm *vm, GError **error)
{
    static const int by_board[] = {DRIVE_IDE, DRIVE_SCSI, DRIVE_FLOPPY, DRIVE_MTD, DRIVE_SD};
    Drive *d;
    for (unsigned k = 0; k < G_N_ELEMENTS(by_board); k++)
        for (unsigned i = 0; (d = drive_of_interface(vm, by_board[k], i)); i++)
            if (!d->device)
                return error_set(error, "machine type does not support if=%s,bus=%u,unit=%u",
                                 drive_interface_name(by_board[k]), d->bus, d->unit);
    return true;
}

/* -drive if=virtio brings its device along. */
static bool add_drive_device(Vm *vm, const Drive *d, GError **error)
{
    g_autoptr(Json) o = json_object();
    const char *type = vm->machine->type_->default_disk;
    json_set_text(o, "driver", type ? type : "virtio-blk-device");
    json_set_text(o, "drive", d->id);
    return device_add(vm, o, error);
}

/* -preconfig: monitors first; the rest follows x-exit-preconfig. False without an error: it ends. */
static bool wait_preconfig(Vm *vm, Config *c, GError **error)
{
    qapi_hub_set_preconfig(vm->qapi, true);
    if (!make_monitors(vm, c, error))
        return false;
    loop_run(vm->loop);
    return !qapi_hub_preconfig(vm->qapi);
}

/* What concerns the process and the clocks. */
static bool apply_process(Vm *vm, Config *c, GError **error)
{
    if (c->process_name && prctl(PR_SET_NAME, c->process_name) < 0)
        return error_set_errno(error, errno, "-name process=%s", c->process_name);
    if (c->rtc && !config_rtc(vm, c->rtc, error)) {
        g_prefix_error(error, "-rtc %s: ", c->rtc);
        return false;
    }
    if (!c->preconfig)
        return true;
    if (c->nodefaults && !c->monitors)
        return error_set(error, "-preconfig: without a monitor (-qmp) nobody could go on");
    return !c->daemonize || error_set(error, "-preconfig: with -daemonize nobody could go on");
}

static bool make_netdevs(Vm *vm, Config *c, GError **error)
{
    FOR_EACH(text, c->netdevs)
        if (!netdev_add_option(vm, text, error))
            return false;
    return true;
}

/* -add-fd: an inherited descriptor into a set; the original stays with whoever started us. */
static bool add_fd(Vm *vm, const char *text, GError **error)
{
    static const char *const known[] = {"fd", "set", "opaque", NULL};
    g_autoptr(Json) o = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
    if (!o || !config_check_keys(o, known, error))
        return false;
    const char *fd_text = json_get_text(o, "fd"), *set_text = json_get_text(o, "set");
    gint64 fd, set;
    if (!fd_text || !g_ascii_string_to_signed(fd_text, 10, 0, INT_MAX, &fd, NULL) || !set_text ||
        !g_ascii_string_to_signed(set_text, 10, 0, INT64_MAX, &set, NULL))
        return error_set(error, "fd=FD and set=SET are needed, both numbers");
    if (fd <= STDERR_FILENO)
        return error_set(error, "fd cannot be a standard I/O stream");
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return error_set_errno(error, errno, "fd %d", (int)fd);
    if (flags & FD_CLOEXEC)
        return error_set(error, "fd %d is not open", (int)fd);     /* not inherited: one of our own */
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return error_set_errno(error, errno, "fd %d", (int)fd);
    if (fd_store_add(vm->fds, set, own, json_get_text(o, "opaque"), error) < 0) {
        close(own);
        return false;
    }
    close(fd);
    return true;
}

/* What chardevs, displays and disks refer to comes before them; the rest may refer to chardevs. */
static bool is_early(const char *option)
{
    static const char *const families[] = {"secret", "tls-", "authz-"};
    bool is_json;
    g_autoptr(Json) o = keyval_or_json(option, "qom-type", KEYVAL_PLAIN, &is_json, NULL);
    const char *type = o ? json_get_text(o, "qom-type") : NULL;
    for (unsigned i = 0; type && i < G_N_ELEMENTS(families); i++)
        if (g_str_has_prefix(type, families[i]))
            return true;
    return false;
}

static bool make_objects(Vm *vm, Config *c, bool early, GError **error)
{
    FOR_EACH(text, c->objects)
        if (is_early(text) == early && !user_object_add_option(vm, text, error))
            return false;
    return true;
}

typedef bool AddOption(Vm *vm, const char *text, GError **error);

/* All that were given of an option, in order. */
static bool each(Vm *vm, const GPtrArray *texts, const char *option, AddOption *fn, GError **error)
{
    FOR_EACH(text, texts)
        if (!fn(vm, text, error)) {
            g_prefix_error(error, "%s %s: ", option, text);
            return false;
        }
    return true;
}

static bool build(Vm *vm, Config *c, GError **error)
{
    Drive *d;
    if (!refuse(c, error))
        return false;
    events_start(vm);
    apply_identity(vm, c);
    apply_actions(vm, c);
    if (!apply_process(vm, c, error) || !apply_boot(vm, c->boot, error))
        return false;
    if (!each(vm, c->add_fds, "-add-fd", add_fd, error))
        return false;
    FOR_EACH(text, c->globals)
        if (!apply_global(vm, text, error))
            return false;
    FOR_EACH(text, c->sets)
        if (!apply_set(c, text, error))
            return false;
    if (!each(vm, c->fw_cfgs, "-fw_cfg", add_fw_cfg_blob, error) ||
        !each(vm, c->acpi_tables, "-acpitable", acpi_add_option, error) ||
        !each(vm, c->option_roms, "-option-rom", add_option_rom, error) ||
        !each(vm, c->smbios, "-smbios", smbios_add_option, error))
        return false;
    if (!make_objects(vm, c, true, error))
        return false;
    FOR_EACH(text, c->chardevs)
        if (!chardev_from_option(vm, text, error))
            return false;
    if (!each(vm, c->audiodevs, "-audiodev", audiodev_add_option, error))
        return false;
    if (!make_objects(vm, c, false, error))
        return false;
    if (!make_disks(vm, c, error) || !make_netdevs(vm, c, error) || !make_machine(vm, c, error) ||
        (c->preconfig && !wait_preconfig(vm, c, error)))
        return c->preconfig && vm->shutdown_requested;
    if (!make_accel(vm, c, error) || !make_serials(vm, c, error) || !make_parallels(vm, c, error) ||
        !device_globals_check(vm, error) || !vm->machine->type_->build(vm->machine, error) ||
        !config_make_video(vm, c, error))
        return false;
    if (!check_drives(vm, error))
        return false;
    for (unsigned i = 0; (d = drive_of_interface(vm, DRIVE_VIRTIO, i)); i++)
        if (!add_drive_device(vm, d, error))
            return false;
    if (!config_make_nics(vm, c, error))
        return false;
    if (!make_debugcons(vm, c, error))
        return false;
    FOR_EACH(text, c->devices)
        if (!device_add_option(vm, text, error))
            return false;
    if (!config_make_displays(vm, c, error))
        return false;
    if ((!c->preconfig && !make_monitors(vm, c, error)) ||
        (vm->machine->type_->ready && !vm->machine->type_->ready(vm->machine, error)))
        return false;
    vm_reset(vm, CAUSE_NONE);
    if (c->qtest && !qtest_open(vm, c->qtest, c->qtest_log, error)) {
        g_prefix_error(error, "-qtest %s: ", c->qtest);
        return false;
    }
    if (c->gdb && !gdb_open(vm, c->gdb, error)) {
        g_prefix_error(error, "-gdb %s: ", c->gdb);
        return false;
    }
    return true;
}

Vm *config_build(Config *c, GError **error)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    vm->qapi = qapi_hub_new(loop_context(loop));
    vm->fds = fd_store_new();
    if (build(vm, c, error))
        return vm;
    config_destroy(vm);
    return NULL;
}

void config_destroy(Vm *vm)
{
    Loop *loop = vm->loop;
    QapiHub *hub = vm->qapi;
    FdStore *fds = vm->fds;
    vm_free(vm);
    qapi_hub_free(hub);
    fd_store_free(fds);
    loop_free(loop);
}
