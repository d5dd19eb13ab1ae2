/* SPDX-License-Identifier: Apache-2.0 */
/* info qtree and info qdm: the machine's devices on their buses, and the devices that there are. */
#include <string.h>

#include "control/cli/config.h"
#include "control/hmp.h"
#include "control/img/img.h"
#include "util/error.h"

static void show_device(Hmp *hmp, Device *d, unsigned indent);

static void line(Hmp *hmp, unsigned indent, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void line(Hmp *hmp, unsigned indent, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_string_append_printf(hmp->out, "%*s", (int)indent, "");
    g_string_append_vprintf(hmp->out, format, ap);
    va_end(ap);
}

/* ---- properties ---- */

static char *shown(const Field *f, const PropValue *v)
{
    switch (v->kind) {
    case VALUE_BOOL:
        return g_strdup(v->b ? "true" : "false");
    case VALUE_INT:
        return g_strdup_printf("%" G_GINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x)", v->i, (uint64_t)v->i);
    case VALUE_UINT:
        if (f->type == PROP_SIZE) {
            g_autofree char *size = img_size(v->u);
            return g_strdup_printf("%" G_GUINT64_FORMAT " (%s)", v->u, size);
        }
        return g_strdup_printf("%" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x)", v->u, v->u);
    case VALUE_STRING:
        return g_strdup_printf("\"%s\"", v->s ? v->s : "");
    case VALUE_NULL:
        return g_strdup("\"\"");
    default: {
        g_autofree char *text = prop_value_text(v);
        return g_strdup_printf("\"%s\"", text);
    }
    }
}

typedef struct Rows {
    Hmp *hmp;
    Device *d;
    unsigned indent;
} Rows;

static bool show_field(const Field *f, void *data)
{
    Rows *r = data;
    PropValue v = {0};

    if (f->kind != FIELD_PROP || !object_get(&r->d->object, f->name, &v, NULL)) {
        return false;
    }
    g_autofree char *text = shown(f, &v);
    line(r->hmp, r->indent, "%s = %s\n", f->name, text);
    prop_value_clear(&v);
    return false;
}

static bool count_pins(const Field *f, void *data)
{
    if (f->kind == FIELD_IRQ) {
        *(unsigned *)data += MAX(f->count, 1);
    }
    return false;
}

/* ---- devices ---- */

static void show_mmio(Hmp *hmp, Device *d, unsigned indent)
{
    if (d->mmio && !d->parent_bus) {
        uint64_t at = mem_is_mapped(d->mmio) ? mem_address(d->mmio) : UINT64_MAX;
        line(hmp, indent, "mmio %016" G_GINT64_MODIFIER "x/%016" G_GINT64_MODIFIER "x\n", at, mem_size(d->mmio));
    }
}

static void show_bus(Hmp *hmp, Bus *bus, unsigned indent)
{
    line(hmp, indent, "bus: %s\n", bus->object.name);
    line(hmp, indent + 2, "type %s\n", bus->object.type->name);
    /* The newest first, as they were plugged in front. */
    for (guint i = bus->devices->len; i-- > 0;) {
        show_device(hmp, g_ptr_array_index(bus->devices, i), indent + 2);
    }
}

/* The device behind a transport stands on a bus of its own in QEMU. */
static void show_wrapped(Hmp *hmp, Device *d, unsigned indent)
{
    Object *inner = d->object.type->wraps ? object_child(&d->object, "virtio-backend") : NULL;

    if (inner) {
        line(hmp, indent, "bus: virtio-bus\n");
        line(hmp, indent + 2, "type %s\n", d->parent_bus ? "virtio-pci-bus" : "virtio-mmio-bus");
        show_device(hmp, (Device *)inner, indent + 2);
    }
}

static void show_device(Hmp *hmp, Device *d, unsigned indent)
{
    const DeviceType *t = device_type(d);
    unsigned outputs = 0;

    bool wrapped = d->object.parent && d->object.parent->type->wraps;  /* its id is the transport's */
    line(hmp, indent, "dev: %s, id \"%s\"\n", t->name, d->id && !wrapped ? d->id : "");
    object_type_fields((const ObjectType *)t, count_pins, &outputs);
    if (t->n_pins) {
        line(hmp, indent + 2, "gpio-in \"\" %u\n", t->n_pins);
    }
    if (outputs) {
        line(hmp, indent + 2, "gpio-out \"\" %u\n", outputs);
    }
    Rows r = {.hmp = hmp, .d = d, .indent = indent + 2};
    object_type_fields((const ObjectType *)t, show_field, &r);
    show_mmio(hmp, d, indent + 2);
    show_wrapped(hmp, d, indent + 2);
    for (guint i = 0; d->buses && i < d->buses->len; i++) {
        show_bus(hmp, g_ptr_array_index(d->buses, i), indent + 2);
    }
}

static bool collect_roots(Object *o, void *data)
{
    if (object_is_a(o, "device") && !object_is_a(o, "cpu") && ((Device *)o)->realized &&
        !((Device *)o)->parent_bus && !(o->parent && o->parent->type->wraps)) {
        g_ptr_array_add(data, o);
    }
    return false;
}

static bool run_qtree(Hmp *hmp, const Json *args, GError **error)
{
    g_autoptr(GPtrArray) roots = g_ptr_array_new();

    if (!hmp->vm->machine) {
        return true;
    }
    object_walk(&hmp->vm->machine->object, collect_roots, roots);
    hmp_print(hmp, "bus: main-system-bus\n  type System\n");
    for (guint i = roots->len; i-- > 0;) {
        show_device(hmp, g_ptr_array_index(roots, i), 2);
    }
    return true;
}

static bool run_qdm(Hmp *hmp, const Json *args, GError **error)
{
    if (!hmp->vm->machine) {
        return error_set(error, "there is no machine yet");
    }
    help_list_devices(hmp->out, hmp->vm->machine->arch, true);
    return true;
}

static const HmpCommand items[] = {
    { "info qtree", "", "", "show device tree", .run = run_qtree },
    { "info qdm", "", "", "show qdev device model list", .run = run_qdm },
};
HMP_COMMANDS(items);
