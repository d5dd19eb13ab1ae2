/* SPDX-License-Identifier: Apache-2.0 */
/* -device, device_add, -object, object-add: from options to things in the tree. */
#include "control/device-add.h"
#include <string.h>
#include "hw/pci-look.h"
#include "net/failover.h"
#include "qapi/keyval.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"
#include "util/log.h"
#include "util/suggest.h"

/* ---- properties from JSON ---- */

static void to_value(const Json *j, PropValue *v)
{
    *v = (PropValue){.kind = VALUE_NULL};
    if (json_get_bool(j, &v->b))
        v->kind = VALUE_BOOL;
    else if (json_get_int(j, &v->i))
        v->kind = VALUE_INT;
    else if (json_get_uint(j, &v->u))
        v->kind = VALUE_UINT;
    else if (json_get_double(j, &v->d))
        v->kind = VALUE_DOUBLE;
    else if (json_type(j) != JSON_NULL) {
        v->kind = VALUE_JSON;
        v->s = json_print(j, false);
    }
}

/* A list for a property whose text is one: "0,2". */
static char *list_text(const Json *j)
{
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < json_length(j); i++) {
        g_autofree char *item = json_text(json_at(j, i)) ? g_strdup(json_text(json_at(j, i)))
                                                         : json_print(json_at(j, i), false);
        g_string_append_printf(s, "%s%s", i ? "," : "", item);
    }
    return g_string_free(s, false);
}

static bool set_one(Object *o, const char *name, const Json *j, GError **error)
{
    if (json_text(j))
        return object_set_string(o, name, json_text(j), error);
    const Field *f = object_type_field(o->type, name);
    if (json_type(j) == JSON_ARRAY && f && f->type == PROP_STRING) {
        g_autofree char *text = list_text(j);
        return object_set_string(o, name, text, error);
    }
    PropValue v;
    to_value(j, &v);
    bool ok = object_set(o, name, &v, error);
    prop_value_clear(&v);
    return ok;
}

bool object_set_json(Object *o, const Json *options, const char *const *skip, GError **error)
{
    for (size_t i = 0; i < json_length(options); i++) {
        const char *name = json_key_at(options, i);
        if (!g_strv_contains(skip, name) && !set_one(o, name, json_at(options, i), error))
            return false;
    }
    return true;
}

/* ---- devices ---- */

static bool find_bus(Vm *vm, const DeviceType *t, const char *name, Bus **bus, GError **error)
{
    const char *kind = device_type_bus(t);
    *bus = NULL;
    if (!kind)
        return true;
    if (name) {
        *bus = bus_find(vm, name, NULL);
        if (!*bus)
            return error_set(error, "Bus '%s' not found", name);
        if (!object_is_a(&(*bus)->object, kind))
            return error_set(error, "Device '%s' can't go on %s bus", t->name,
                             (*bus)->object.type->name);
        return true;
    }
    *bus = vm->machine->type_->default_bus ? vm->machine->type_->default_bus(vm->machine, t) : NULL;
    /* Where the board has no say: the first one, which another device brings. */
    if (!*bus)
        *bus = bus_find(vm, NULL, kind);
    if (!*bus)
        return error_set(error, "No '%s' bus found for device '%s'", kind, t->name);
    return true;
}

static bool add_device(Vm *vm, const Json *options, bool hot, GError **error);

/* ---- cards that the guest is not to see yet ---- */

typedef struct Hidden {
    Json *options;
    char *id;
} Hidden;

static void drop_hidden(void *data)
{
    Hidden *h = data;
    json_unref(h->options);
    g_free(h->id);
    g_free(h);
}

static void show_hidden(Vm *vm, void *data)
{
    Hidden *h = data;
    g_autoptr(GError) error = NULL;
    if (!add_device(vm, h->options, true, &error))
        log_write("warning: failover: '%s' cannot be plugged: %s\n", h->id, error->message);
    drop_hidden(h);
}

static bool may_be_plugged_later(Vm *vm, const Json *options, const DeviceType *t, GError **error)
{
    Bus *bus;
    if (!t->hotpluggable || !object_type_is_a((const ObjectType *)t, "pci-device"))
        return error_set(error, "Primary device must be hotpluggable: '%s' is not", t->name);
    if (!find_bus(vm, t, json_get_text(options, "bus"), &bus, error))
        return false;
    return pci_look_takes_hotplug(bus) || error_set(error, "Primary device must be on a bus that supports hotplugging:"
                                                 " '%s' does not", bus->object.name);
}

/* Whether the card waits for its standby's driver; false with an error: it cannot be one of a pair. */
static bool hide(Vm *vm, const Json *options, const DeviceType *t, GError **error)
{
    const char *pair = json_get_text(options, "failover_pair_id"), *id = json_get_text(options, "id");
    if (!pair)
        return false;
    FailoverStandby *f = vm_service_find(vm, FAILOVER_STANDBY, pair);
    if (!id)
        return error_set(error, "Device with failover_pair_id needs to have id");
    if (!f)
        return error_set(error, "failover_pair_id=%s: no virtio-net with that id and failover=on; it comes first", pair);
    if (f->hidden)
        return error_set(error, "Cannot attach more than one primary device to '%s': '%s' and '%s'", pair,
                         ((Hidden *)f->hidden)->id, id);
    if (!may_be_plugged_later(vm, options, t, error) || f->agreed)
        return false;
    Hidden *h = g_new(Hidden, 1);
    *h = (Hidden){json_ref((Json *)options), g_strdup(id)};
    f->hidden = h;
    f->show = show_hidden;
    f->drop = drop_hidden;
    return true;
}

static bool add_device(Vm *vm, const Json *options, bool hot, GError **error)
{
    static const char *const skip[] = {"driver", "id", "bus", NULL};
    const char *driver = json_get_text(options, "driver"), *id = json_get_text(options, "id");
    if (!driver)
        return error_set(error, "Parameter 'driver' is missing");
    const DeviceType *t = device_type_find(driver, error);
    if (!t)
        return false;
    if (!t->pluggable)
        return error_set(error, "Device '%s' is part of a machine and can't be added", driver);
    if (id && object_child(vm->peripheral, id))
        return error_set(error, "Duplicate device ID '%s'", id);
    if (hot && !t->hotpluggable)
        return error_set(error, "Device '%s' can't be plugged into a machine that has been built", driver);
    g_autoptr(GError) unfit = NULL;
    if (hide(vm, options, t, &unfit))
        return true;
    if (unfit) {
        g_propagate_error(error, g_steal_pointer(&unfit));
        return false;
    }
    Device *d = device_new(vm, t->name, error);
    if (!d)
        return false;
    Bus *bus;
    d->hotplugged = hot;
    d->id = g_strdup(id);
    d->user = true;
    if ((!object_is_a(&d->object, "cpu") || cpu_adopt((Cpu *)d, error)) &&
        object_set_json(&d->object, options, skip, error) &&
        find_bus(vm, t, json_get_text(options, "bus"), &bus, error))
        return device_realize(d, bus, error);
    object_unref(&d->object);
    return false;
}

bool device_add(Vm *vm, const Json *options, GError **error)
{
    return add_device(vm, options, false, error);
}

bool device_hotplug(Vm *vm, const Json *options, GError **error)
{
    return add_device(vm, options, true, error);
}

bool device_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) options = keyval_or_json(text, "driver", KEYVAL_LEGACY, &is_json, error);
    bool ok = options && device_add(vm, options, error);
    if (!ok)
        g_prefix_error(error, "-device %s: ", text);
    return ok;
}

/* ---- objects ---- */

bool user_object_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) options = keyval_or_json(text, "qom-type", KEYVAL_PLAIN, &is_json, error);
    bool ok = options && qmp_object_add(vm, options, error);
    if (!ok)
        g_prefix_error(error, "-object %s: ", text);
    return ok;
}
