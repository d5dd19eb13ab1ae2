/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as firmware names them (IEEE 1275 paths), and the order in which it tries them. */
#include <string.h>

#include "core/device-internal.h"
#include "core/vm.h"
#include "util/error.h"

/* ---- paths ---- */

static void prepend(GString *path, const char *part)
{
    g_string_prepend(path, part);
    g_string_prepend_c(path, '/');
}

char *device_fw_path(Device *d)
{
    GString *path = g_string_new(NULL);
    const char *suffix = device_type(d)->fw_suffix;

    for (Device *i = d; i; i = i->parent_bus ? i->parent_bus->owner : NULL) {
        const BusType *bus = i->parent_bus ? (const BusType *)i->parent_bus->object.type : NULL;
        const char *name = device_type(i)->fw_name;
        g_autofree char *part = bus && bus->fw_name ? bus->fw_name(i->parent_bus, i) : NULL;
        if (!part && name && !strchr(name, '@') && i->mmio) {
            part = g_strdup_printf("%s@%016" G_GINT64_MODIFIER "x", name, mem_address(i->mmio));
        }
        if (part || name) {
            prepend(path, part ? part : name);
        }
    }
    if (suffix) {
        g_string_append(path, suffix);
    }
    return g_string_free(path, FALSE);
}

/* ---- indices ---- */

int32_t device_boot_index(Device *d)
{
    const Field *f = object_type_field(d->object.type, "bootindex");

    return f ? *(const int32_t *)((char *)d + f->offset) : -1;
}

typedef struct Search {
    Device *but;
    int32_t index;
} Search;

static bool has_index(Object *o, void *data)
{
    Search *s = data;

    return object_is_a(o, "device") && o != &s->but->object && ((Device *)o)->realized &&
           device_boot_index((Device *)o) == s->index;
}

bool device_boot_index_check(Device *d, GError **error)
{
    Search s = {d, device_boot_index(d)};

    return s.index < 0 || !object_walk(&d->object.vm->root, has_index, &s) ||
           error_set(error, "The bootindex %d has already been used", s.index);
}

bool device_boot_index_changed(Object *o, const Field *f, GError **error)
{
    return device_boot_index_check((Device *)o, error);
}

/* ---- the list ---- */

typedef struct Entry {
    int32_t index;
    char *path;
} Entry;

static void clear_entry(gpointer e)
{
    g_free(((Entry *)e)->path);
}

static bool collect(Object *o, void *data)
{
    Device *d = (Device *)o;

    if (object_is_a(o, "device") && d->realized && device_boot_index(d) >= 0) {
        Entry e = {device_boot_index(d), device_fw_path(d)};
        g_array_append_val(data, e);
    }
    return false;
}

/* A device and the disk in it share an index: the disk is meant, whose path is longer. */
static int by_index(gconstpointer a, gconstpointer b)
{
    const Entry *x = a, *y = b;
    size_t m = strlen(x->path), n = strlen(y->path);

    return x->index != y->index ? (x->index < y->index ? -1 : 1) : m > n ? -1 : m < n;
}

char *device_boot_order(Vm *vm, const char *first)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Entry));
    GString *text = g_string_new(first);

    g_array_set_clear_func(list, clear_entry);
    object_walk(&vm->root, collect, list);
    g_array_sort(list, by_index);
    for (unsigned i = 0; i < list->len; i++) {
        const Entry *e = &g_array_index(list, Entry, i);
        if (i == 0 || e->index != e[-1].index) {
            g_string_append_printf(text, "%s%s", text->len ? "\n" : "", e->path);
        }
    }
    if (vm->boot.strict) {
        g_string_append(text, text->len ? "\nHALT" : "HALT");
    }
    return g_string_free(text, FALSE);
}
