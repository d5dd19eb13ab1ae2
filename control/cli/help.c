/* SPDX-License-Identifier: Apache-2.0 */
/* The lists that "help" prints, in the shapes that scripts parse. */
#include <string.h>
#include "audio/audio.h"
#include "chardev/chardev.h"
#include "control/cli/config.h"
#include "core/absent.h"
#include "core/accel.h"
#include "util/error.h"
#include "util/suggest.h"
#include "util/version.h"

bool is_help(const char *text) { return !strcmp(text, "help") || !strcmp(text, "?"); }

/* "X,help" → X; NULL if help is not asked for. */
static char *asks_for_help(const char *text)
{
    static const char *const tails[] = {",help", ",?", ",help=on"};
    for (unsigned i = 0; i < G_N_ELEMENTS(tails); i++)
        if (g_str_has_suffix(text, tails[i]))
            return g_strndup(text, strlen(text) - strlen(tails[i]));
    return NULL;
}

void help_version(void)
{
    g_print("QEMU emulator version %s (%s)\nMyna, a machine emulator and virtualizer of its own; "
            "Apache-2.0\n", QEMU_VERSION, MYNA_PACKAGE);
}

/* ---- collecting types ---- */

typedef struct Filter {
    bool (*wants)(const ObjectType *t, const Config *c);
    const Config *c;
    GPtrArray *found;
} Filter;

static void filter(const ObjectType *t, void *data)
{
    Filter *f = data;
    if (!t->abstract && f->wants(t, f->c))
        g_ptr_array_add(f->found, (gpointer)t);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const ObjectType *const *)a)->name, (*(const ObjectType *const *)b)->name);
}

static GPtrArray *collect(bool (*wants)(const ObjectType *, const Config *), const Config *c)
{
    Filter f = {wants, c, g_ptr_array_new()};
    object_type_foreach(filter, &f);
    g_ptr_array_sort(f.found, by_name);
    return f.found;
}

/* ---- properties ---- */

typedef struct Lines {
    GPtrArray *lines;
    bool defaults;
} Lines;

static void property_line(const char *name, const char *type, const char *desc, const char *dflt,
                          void *data)
{
    Lines *l = data;
    g_autofree char *head = g_strdup_printf("  %s=<%s>", name, type);
    GString *s = g_string_new(head);
    if (desc || (dflt && l->defaults))
        g_string_append_printf(s, "%*s - ", MAX(0, 24 - (int)strlen(head)), "");
    if (desc)
        g_string_append(s, desc);
    if (dflt && l->defaults)
        g_string_append_printf(s, "%s(default: %s)", desc ? " " : "", dflt);
    g_ptr_array_add(l->lines, g_string_free(s, false));
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_properties(const ObjectType *t, const char *title, bool defaults)
{
    Lines l = {g_ptr_array_new_with_free_func(g_free), defaults};
    object_properties(t, NULL, property_line, &l);
    g_ptr_array_sort(l.lines, by_text);
    g_print("%s options:\n", title);
    for (unsigned i = 0; i < l.lines->len; i++)
        g_print("%s\n", (char *)g_ptr_array_index(l.lines, i));
    g_ptr_array_unref(l.lines);
}

/* ---- machines ---- */

static bool is_machine(const ObjectType *t, const Config *c)
{
    return object_type_is_a(t, "machine") &&
           g_strv_contains(((const MachineType *)t)->archs, c->arch);
}

bool help_machine(const Config *c, const char *text, GError **error)
{
    g_autofree char *name = asks_for_help(text);
    if (name) {
        const MachineType *m = machine_find(c->arch, name);
        if (!m) {
            error_set(error, "unsupported machine type: \"%s\"", name);
            return false;
        }
        print_properties((const ObjectType *)m, m->name, false);
        return true;
    }
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_machine, c);
    g_print("Supported machines are:\n");
    for (unsigned i = 0; i < found->len; i++) {
        const MachineType *m = g_ptr_array_index(found, i);
        if (m->alias)
            g_print("%-20s %s (alias of %s)\n", m->alias, m->desc, m->machine);
        g_print("%-20s %s%s%s\n", m->machine, m->desc, m->is_default ? " (default)" : "",
                m->deprecated ? " (deprecated)" : "");
    }
    return true;
}

/* ---- CPUs ---- */

static bool is_cpu(const ObjectType *t, const Config *c)
{
    const GuestIsa *isa = isa_find(c->arch);
    return isa && object_type_is_a(t, "cpu") && g_str_has_suffix(t->name, isa->cpu_suffix);
}

/* Named models by their names, then those that take what there is. */
static int compare_models(const void *a, const void *b, void *suffix)
{
    const ObjectType *t[2] = {*(const ObjectType *const *)a, *(const ObjectType *const *)b};
    char name[2][64];
    int last[2];
    for (unsigned k = 0; k < 2; k++) {
        g_strlcpy(name[k], t[k]->name, MIN(strlen(t[k]->name) - strlen(suffix), sizeof(name[k])));
        last[k] = !strcmp(name[k], "base") || !strcmp(name[k], "host") || !strcmp(name[k], "max");
    }
    return last[0] != last[1] ? last[0] - last[1] : strcmp(name[0], name[1]);
}

static bool add_flag(const Field *f, void *flags)
{
    if (f->kind == FIELD_PROP && f->type == PROP_BIT)
        g_ptr_array_add(flags, (void *)f->name);
    return false;
}

static int compare_flags(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_flags(const ObjectType *t)
{
    g_autoptr(GPtrArray) flags = g_ptr_array_new();
    object_type_fields(t, add_flag, flags);
    g_ptr_array_sort(flags, compare_flags);
    size_t at = 0;
    for (unsigned i = 0; i < flags->len; i++) {
        const char *name = g_ptr_array_index(flags, i);
        if (!i)
            g_print("\nRecognized CPUID flags:\n ");
        at = at + 1 + strlen(name) > 75 ? (g_print("\n "), 0) : at;
        g_print(" %s", name);
        at += 1 + strlen(name);
    }
    if (flags->len)
        g_print("\n");
}

bool help_cpu(const Config *c, const char *text)
{
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_cpu, c);
    if (found->len)
        g_ptr_array_sort_with_data(found, compare_models, (void *)isa_find(c->arch)->cpu_suffix);
    g_print("Available CPUs:\n");
    for (unsigned i = 0; i < found->len; i++) {
        const ObjectType *t = g_ptr_array_index(found, i);
        size_t n = strlen(t->name) - strlen(isa_find(c->arch)->cpu_suffix) - 1;
        if (t->desc)
            g_print("  %-20.*s  %s\n", (int)n, t->name, t->desc);
        else
            g_print("  %.*s\n", (int)n, t->name);
    }
    if (found->len)
        print_flags(g_ptr_array_index(found, 0));
    return true;
}

/* ---- accelerators ---- */

static bool is_accel(const ObjectType *t, const Config *c) { return object_type_is_a(t, "accel"); }

bool help_accel(const char *text)
{
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_accel, NULL);
    g_print("Accelerators supported in QEMU binary:\n");
    for (unsigned i = 0; i < found->len; i++)
        g_print("%s\n", ((const AccelType *)g_ptr_array_index(found, i))->accel);
    return true;
}

/* ---- devices ---- */

static bool is_pluggable(const ObjectType *t, const Config *c)
{
    /* Of CPUs only those of the guest's architecture. */
    return object_type_is_a(t, "device") && ((const DeviceType *)t)->pluggable &&
           (!object_type_is_a(t, "cpu") || is_cpu(t, c));
}

static const struct { DeviceCategory category; const char *title; } categories[] = {
    {DEVICE_BRIDGE, "Controller/Bridge/Hub"}, {DEVICE_USB, "USB"}, {DEVICE_STORAGE, "Storage"},
    {DEVICE_NETWORK, "Network"}, {DEVICE_INPUT, "Input"}, {DEVICE_DISPLAY, "Display"},
    {DEVICE_SOUND, "Sound"}, {DEVICE_MISC, "Misc"}, {DEVICE_CPU, "CPU"},
    {DEVICE_WATCHDOG, "Watchdog"}, {DEVICE_UNCATEGORIZED, "Uncategorized"},
};

static void print_device(GString *out, const DeviceType *d)
{
    g_string_append_printf(out, "name \"%s\"", d->name);
    const char *bus = device_type_bus(d);
    if (bus)
        g_string_append_printf(out, ", bus %s", bus);
    if (d->aliases && d->aliases[0])
        g_string_append_printf(out, ", alias \"%s\"", d->aliases[0]);
    if (d->desc)
        g_string_append_printf(out, ", desc \"%s\"", d->desc);
    g_string_append(out, d->pluggable ? "\n" : ", no-user\n");
}

static bool is_device(const ObjectType *t, const Config *c)
{
    return object_type_is_a(t, "device") && (!object_type_is_a(t, "cpu") || is_cpu(t, c));
}

void help_list_devices(GString *out, const char *arch, bool on_board)
{
    const Config c = {.arch = arch};
    g_autoptr(GPtrArray) found = collect(on_board ? is_device : is_pluggable, &c);
    bool first = true;
    for (unsigned k = 0; k < G_N_ELEMENTS(categories); k++) {
        bool titled = false;
        for (unsigned i = 0; i < found->len; i++) {
            const DeviceType *d = g_ptr_array_index(found, i);
            if (d->category != categories[k].category)
                continue;
            if (!titled)
                g_string_append_printf(out, "%s%s devices:\n", first ? "" : "\n", categories[k].title);
            titled = true;
            first = false;
            print_device(out, d);
        }
    }
}

bool help_device(const Config *c, const char *text, GError **error)
{
    if (is_help(text)) {
        g_autoptr(GString) list = g_string_new(NULL);
        help_list_devices(list, c->arch, false);
        g_print("%s", list->str);
        return true;
    }
    g_autofree char *name = asks_for_help(text);
    if (!name)
        return false;
    const DeviceType *t = device_type_find(name, error);
    if (!t)
        return false;
    print_properties((const ObjectType *)t, name, true);
    return true;
}

/* ---- objects, chardevs, netdevs ---- */

static bool is_creatable(const ObjectType *t, const Config *c) { return t->user_creatable; }

bool help_object(const char *text, GError **error)
{
    g_autofree char *name = asks_for_help(text);
    if (name) {
        const ObjectType *t = object_type_find(name);
        if (!t || !t->user_creatable)
            return absent_error(error, ABSENT_OBJECT, name) || error_set(error, "invalid object type: %s", name);
        print_properties(t, name, false);
        return true;
    }
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_creatable, NULL);
    g_print("List of user creatable objects:\n");
    for (unsigned i = 0; i < found->len; i++)
        g_print("  %s\n", ((const ObjectType *)g_ptr_array_index(found, i))->name);
    return true;
}

static bool is_chardev(const ObjectType *t, const Config *c) { return object_type_is_a(t, "chardev"); }

bool help_chardev(const char *text)
{
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_chardev, NULL);
    g_print("Available chardev backend types: \n");
    for (unsigned i = 0; i < found->len; i++)
        g_print("  %s\n", ((const ObjectType *)g_ptr_array_index(found, i))->name + strlen("chardev-"));
    return true;
}

static bool is_netdev(const ObjectType *t, const Config *c) { return object_type_is_a(t, "netdev"); }

bool help_netdev(const char *text)
{
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_netdev, NULL);
    g_print("Available netdev backend types:\n");
    for (unsigned i = 0; i < found->len; i++)
        g_print("%s\n", ((const ObjectType *)g_ptr_array_index(found, i))->name + strlen("netdev-"));
    return true;
}

static bool is_tpm(const ObjectType *t, const Config *c) { return object_type_is_a(t, "tpm-backend") && !t->abstract; }

bool help_tpmdev(const char *text)
{
    if (!is_help(text))
        return false;
    g_autoptr(GPtrArray) found = collect(is_tpm, NULL);
    g_print("Supported TPM types (choose only one):\n");
    for (unsigned i = 0; i < found->len; i++) {
        const ObjectType *t = g_ptr_array_index(found, i);
        g_print("%12s   %s\n", t->name + strlen("tpm-"), t->desc);
    }
    return true;
}

static bool is_card(const ObjectType *t, const Config *c)
{
    return is_pluggable(t, c) && ((const DeviceType *)t)->category == DEVICE_NETWORK;
}

bool help_nic(const Config *c, const char *text)
{
    if (!strstr(text, "model=help") && !strstr(text, "model=?"))
        return false;
    g_autoptr(GPtrArray) found = collect(is_card, c);
    g_print("Supported NIC models:\n");
    for (unsigned i = 0; i < found->len; i++)
        g_print("%s\n", ((const ObjectType *)g_ptr_array_index(found, i))->name);
    return true;
}

bool help_audiodev(const char *text)
{
    if (!is_help(text))
        return false;
    g_print("Available audio drivers:\n");
    for (const char *const *name = audiodev_driver_type.values; *name; name++)
        g_print("%s\n", *name);
    return true;
}
