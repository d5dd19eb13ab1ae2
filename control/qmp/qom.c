/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the object tree, its types, and objects that users make. */
#include <string.h>

#include "core/backend.h"
#include "core/vm.h"
#include "hw/pci-look.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"
#include "util/suggest.h"

/* ---- values ---- */

static Json *value_to_json(const PropValue *v, GError **error)
{
    switch (v->kind) {
    case VALUE_NULL:
        return json_null();
    case VALUE_BOOL:
        return json_bool(v->b);
    case VALUE_INT:
        return json_int(v->i);
    case VALUE_UINT:
        return json_uint(v->u);
    case VALUE_DOUBLE:
        return json_double(v->d);
    case VALUE_STRING:
        return json_string(v->s);
    case VALUE_JSON:
        break;
    }
    return json_parse(v->s, error);
}

static PropValue json_to_value(const Json *json)
{
    PropValue v = {0};

    switch (json_type(json)) {
    case JSON_NULL:
        break;
    case JSON_BOOL:
        v.kind = VALUE_BOOL;
        json_get_bool(json, &v.b);
        break;
    case JSON_INT:
        /* Numbers that are not negative have one kind, whatever sign the property has. */
        json_get_int(json, &v.i);
        v.kind = v.i < 0 ? VALUE_INT : VALUE_UINT;
        v.u = (uint64_t)v.i;
        break;
    case JSON_UINT:
        v.kind = VALUE_UINT;
        json_get_uint(json, &v.u);
        break;
    case JSON_DOUBLE:
        v.kind = VALUE_DOUBLE;
        json_get_double(json, &v.d);
        break;
    case JSON_STRING:
        v.kind = VALUE_STRING;
        v.s = g_strdup(json_text(json));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        v.kind = VALUE_JSON;
        v.s = json_print(json, false);
        break;
    }
    return v;
}

/* ---- objects ---- */

static Object *find_object(Vm *vm, const char *path, GError **error)
{
    bool ambiguous;
    Object *o = object_resolve(vm, path, NULL, &ambiguous);

    if (!o && ambiguous) {
        error_set(error, "Path '%s' is ambiguous: several objects end like this", path);
    } else if (!o) {
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return o;
}

static void add_property(const char *name, const char *type, const char *desc, const char *dflt,
                         void *list)
{
    ObjectPropertyInfo *info = object_property_info_new(name, type);

    info->description = g_strdup(desc);
    object_property_info_list_add(list, info);
}

/* What devices tell besides their types' rows, or in place of one: a client of QEMU computes with `addr`. */
static Json *is_realized(Object *o) { return json_bool(((Device *)o)->realized); }
static Json *was_hotplugged(Object *o) { return json_bool(((Device *)o)->hotplugged); }
static Json *is_hotpluggable(Object *o) { return json_bool(device_type((Device *)o)->hotpluggable); }

static Json *parent_bus(Object *o)
{
    Bus *bus = ((Device *)o)->parent_bus;
    g_autofree char *path = bus ? object_path(&bus->object) : NULL;

    return json_string(path ? path : "");
}

static Json *devfn(Object *o)
{
    return json_int(((Device *)o)->realized ? (int)pci_look_devfn((Device *)o) : -1);
}

static const struct DeviceFact {
    const char *of, *name, *type;
    Json *(*get)(Object *o);
} device_facts[] = {
    {"device", "realized", "bool", is_realized},
    {"device", "hotplugged", "bool", was_hotplugged},
    {"device", "hotpluggable", "bool", is_hotpluggable},
    {"device", "parent_bus", "link<bus>", parent_bus},
    {"pci-device", "addr", "int32", devfn},
};

static const struct DeviceFact *device_fact(Object *o, const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(device_facts); i++) {
        if (strcmp(name, device_facts[i].name) == 0 && object_is_a(o, device_facts[i].of)) {
            return &device_facts[i];
        }
    }
    return NULL;
}

typedef struct Listing {
    Object *of;
    ObjectPropertyInfoList *list;
} Listing;

static void add_row(const char *name, const char *type, const char *desc, const char *dflt, void *data)
{
    Listing *l = data;

    if (!device_fact(l->of, name)) {
        add_property(name, type, desc, dflt, l->list);
    }
}

ObjectPropertyInfoList *qmp_qom_list(Vm *vm, const char *path, GError **error)
{
    Object *o = find_object(vm, path, error);

    if (!o) {
        return NULL;
    }
    ObjectPropertyInfoList *list = object_property_info_list_new();
    add_property("type", "string", NULL, NULL, list);
    for (unsigned i = 0; i < G_N_ELEMENTS(device_facts); i++) {
        if (object_is_a(o, device_facts[i].of)) {
            add_property(device_facts[i].name, device_facts[i].type, NULL, NULL, list);
        }
    }
    object_properties(o->type, o, add_row, &(Listing){o, list});
    for (unsigned i = 0; o->child_list && i < o->child_list->len; i++) {
        Object *child = o->child_list->pdata[i];
        g_autofree char *type = g_strdup_printf("child<%s>", child->type->name);
        add_property(child->name, type, NULL, NULL, list);
    }
    return list;
}

ObjectPropertiesValuesList *qmp_qom_list_get(Vm *vm, StrList *paths, GError **error)
{
    g_autoptr(ObjectPropertiesValuesList) list = object_properties_values_list_new();

    for (size_t i = 0; i < paths->count; i++) {
        g_autoptr(ObjectPropertyInfoList) rows = qmp_qom_list(vm, paths->items[i], error);
        if (!rows) {
            return NULL;
        }
        ObjectPropertiesValues *all = object_properties_values_new(object_property_value_list_new());
        object_properties_values_list_add(list, all);
        for (size_t k = 0; k < rows->count; k++) {
            ObjectPropertyValue *v = object_property_value_new(rows->items[k]->name, rows->items[k]->type);
            v->value = qmp_qom_get(vm, paths->items[i], v->name, NULL);
            object_property_value_list_add(all->properties, v);
        }
    }
    return g_steal_pointer(&list);
}

Json *qmp_qom_get(Vm *vm, const char *path, const char *property, GError **error)
{
    Object *o = find_object(vm, path, error);
    PropValue v = {0};
    const struct DeviceFact *fact = o ? device_fact(o, property) : NULL;
    Json *json;

    if (!o || fact) {
        return fact ? fact->get(o) : NULL;
    }
    if (!object_get(o, property, &v, error)) {
        return NULL;
    }
    json = value_to_json(&v, error);
    prop_value_clear(&v);
    return json;
}

bool qmp_qom_set(Vm *vm, const char *path, const char *property, Json *value, GError **error)
{
    Object *o = find_object(vm, path, error);

    if (!o) {
        return false;
    }
    PropValue v = json_to_value(value);
    bool ok = object_set(o, property, &v, error);
    prop_value_clear(&v);
    return ok;
}

/* ---- types ---- */

typedef struct TypeList {
    const char *implements;
    bool abstract;
    ObjectTypeInfoList *list;
} TypeList;

static void add_type(const ObjectType *t, void *data)
{
    TypeList *l = data;

    if ((t->abstract && !l->abstract) || (l->implements && !object_type_is_a(t, l->implements))) {
        return;
    }
    ObjectTypeInfo *info = object_type_info_new(t->name);
    const ObjectType *parent = object_type_parent(t);
    info->has_abstract = info->abstract = t->abstract;
    info->parent = parent ? g_strdup(parent->name) : NULL;
    object_type_info_list_add(l->list, info);
}

ObjectTypeInfoList *qmp_qom_list_types(Vm *vm, const char *implements, bool has_abstract,
                                       bool abstract, GError **error)
{
    TypeList l = {implements, has_abstract && abstract, object_type_info_list_new()};

    object_type_foreach(add_type, &l);
    return l.list;
}

static void add_name(const ObjectType *t, void *names)
{
    g_ptr_array_add(names, (void *)t->name);
}

static const ObjectType *find_type(const char *kind, const char *name, GError **error)
{
    const ObjectType *t = object_type_find(name);

    if (!t) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        object_type_foreach(add_name, names);
        g_ptr_array_add(names, NULL);
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "%s '%s' not found", kind, name);
        suggest_append(error, name, (const char *const *)names->pdata);
    }
    return t;
}

ObjectPropertyInfoList *qmp_qom_list_properties(Vm *vm, const char *name, GError **error)
{
    const ObjectType *t = find_type("Class", name, error);

    if (!t) {
        return NULL;
    }
    ObjectPropertyInfoList *list = object_property_info_list_new();
    add_property("type", "string", NULL, NULL, list);
    /* CPUs have properties beyond their type's rows; one that is not realized costs little. */
    Object *sample = object_type_is_a(t, "cpu") && !t->abstract ? object_new(vm, t) : NULL;
    object_properties(t, sample, add_property, list);
    object_unref(sample);
    return list;
}

/* The default as the type's JSON. */
static Json *default_json(const char *type, const char *text)
{
    if (strcmp(type, "bool") == 0) {
        return json_bool(strcmp(text, "true") == 0 || strcmp(text, "on") == 0);
    }
    Json *json = strcmp(type, "str") == 0 ? NULL : json_parse(text, NULL);
    return json ? json : json_string(text);
}

static void add_device_property(const char *name, const char *type, const char *desc,
                                const char *dflt, void *list)
{
    ObjectPropertyInfo *info = object_property_info_new(name, type);

    info->description = g_strdup(desc);
    info->default_value = dflt ? default_json(type, dflt) : NULL;
    object_property_info_list_add(list, info);
}

ObjectPropertyInfoList *qmp_device_list_properties(Vm *vm, const char *name, GError **error)
{
    const ObjectType *t = find_type("Device", name, error);

    if (!t) {
        return NULL;
    }
    if (!object_type_is_a(t, "device") || t->abstract) {
        error_set(error, "Parameter 'typename' expects a non-abstract device type");
        return NULL;
    }
    ObjectPropertyInfoList *list = object_property_info_list_new();
    object_properties(t, NULL, add_device_property, list);
    return list;
}

/* ---- objects of the user's ---- */

static char *property_text(const Json *value)
{
    PropValue v = json_to_value(value);
    char *text = prop_value_text(&v);

    prop_value_clear(&v);
    return text;
}

bool qmp_object_add(Vm *vm, Json *arguments, GError **error)
{
    const char *type = json_get_text(arguments, "qom-type");
    const char *id = json_get_text(arguments, "id");
    g_autoptr(GPtrArray) props = g_ptr_array_new_with_free_func(g_free);

    if (!type || !id) {
        return error_set(error, "Parameter '%s' is missing", type ? "id" : "qom-type");
    }
    for (size_t i = 0; i < json_length(arguments); i++) {
        const char *key = json_key_at(arguments, i);
        if (strcmp(key, "qom-type") != 0 && strcmp(key, "id") != 0) {
            g_ptr_array_add(props, g_strdup(key));
            g_ptr_array_add(props, property_text(json_at(arguments, i)));
        }
    }
    g_ptr_array_add(props, NULL);
    return object_add_user(vm, type, id, (const char *const *)props->pdata, error) != NULL;
}

bool qmp_object_del(Vm *vm, const char *id, GError **error)
{
    return object_del_user(vm, id, error);
}

static int64_t number(Object *o, const char *name)
{
    PropValue v = {0};

    return object_get(o, name, &v, NULL) ? v.i : 0;
}

IOThreadInfoList *qmp_query_iothreads(Vm *vm, GError **error)
{
    IOThreadInfoList *list = io_thread_info_list_new();
    GPtrArray *all = vm->objects->child_list;

    for (unsigned i = 0; all && i < all->len; i++) {
        Object *o = all->pdata[i];
        if (object_is_a(o, "iothread")) {
            IOThreadInfo *info = g_new0(IOThreadInfo, 1);
            info->id = g_strdup(o->name);
            info->thread_id = iothread_tid(o);
            info->poll_max_ns = number(o, "poll-max-ns");
            info->poll_grow = number(o, "poll-grow");
            info->poll_shrink = number(o, "poll-shrink");
            info->aio_max_batch = number(o, "aio-max-batch");
            io_thread_info_list_add(list, info);
        }
    }
    return list;
}
