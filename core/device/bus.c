/* SPDX-License-Identifier: Apache-2.0 */
/* Buses: made by their owners, found by name or path. */
#include <string.h>

#include "core/device-internal.h"
#include "core/vm.h"

static void bus_finish(Object *o)
{
    Bus *bus = (Bus *)o;

    g_clear_pointer(&bus->devices, g_ptr_array_unref);
}

static void bus_init(Object *o)
{
    ((Bus *)o)->devices = g_ptr_array_new();
}

static const BusType bus_type = {
    .name = "bus", .size = sizeof(Bus), .abstract = true, .init = bus_init, .finish = bus_finish,
};
OBJECT_TYPE(bus_type);

static char *default_name(Device *owner, const BusType *type)
{
    if (owner && owner->id) {
        return g_strdup_printf("%s.%u", owner->id, owner->buses ? owner->buses->len : 0);
    }
    g_autofree char *lower = g_ascii_strdown(type->name, -1);
    for (unsigned i = 0;; i++) {
        char *name = g_strdup_printf("%s.%u", lower, i);
        if (!bus_find(owner->object.vm, name, NULL)) {
            return name;
        }
        g_free(name);
    }
}

Bus *bus_new(Device *owner, const BusType *type, const char *name)
{
    g_autofree char *given = name ? g_strdup(name) : default_name(owner, type);
    Bus *bus = (Bus *)object_new(owner->object.vm, (const ObjectType *)type);

    if (!bus->devices) {        /* a type that does not descend from "bus" */
        bus->devices = g_ptr_array_new();
    }
    bus->owner = owner;
    if (!owner->buses) {
        owner->buses = g_ptr_array_new();
    }
    g_ptr_array_add(owner->buses, bus);
    object_add_child(&owner->object, given, &bus->object);
    return bus;
}

typedef struct BusSearch {
    const char *name, *type;
    Bus *found;
    bool found_full;
} BusSearch;

static bool see_object(Object *o, void *data)
{
    BusSearch *s = data;

    if (!object_is_a(o, "device")) {
        return false;
    }
    Device *d = (Device *)o;
    for (unsigned i = 0; d->buses && i < d->buses->len; i++) {
        Bus *bus = d->buses->pdata[i];
        unsigned max = ((const BusType *)bus->object.type)->max_devices;
        bool full = bus->full || (max && bus->devices->len >= max);
        if ((s->type && !object_is_a(&bus->object, s->type)) ||
            (s->name && strcmp(bus->object.name, s->name) != 0)) {
            continue;
        }
        /* Without a name the first one with room, else the first. */
        if (!s->found || (s->found_full && !full)) {
            s->found = bus;
            s->found_full = full;
        }
    }
    return s->found && (s->name || !s->found_full);
}

Bus *bus_find(Vm *vm, const char *name, const char *type)
{
    BusSearch s = {.name = name, .type = type};

    if (name && *name == '/') {
        /* A path to a bus, or to a device whose first bus is meant. */
        Object *o = object_resolve(vm, name, NULL, NULL);
        if (o && object_is_a(o, "device")) {
            GPtrArray *buses = ((Device *)o)->buses;
            o = buses && buses->len ? buses->pdata[0] : NULL;
        }
        return o && (!type || object_is_a(o, type)) ? (Bus *)o : NULL;
    }
    object_walk(&vm->root, see_object, &s);
    if (!s.found && name) {
        Object *o = object_child(vm->peripheral, name);
        GPtrArray *buses = o && object_is_a(o, "device") ? ((Device *)o)->buses : NULL;
        for (unsigned i = 0; buses && i < buses->len; i++) {
            if (!type || object_is_a(buses->pdata[i], type)) {
                return buses->pdata[i];
            }
        }
    }
    return s.found;
}
