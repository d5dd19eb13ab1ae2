/* SPDX-License-Identifier: Apache-2.0 */
/* USB buses and their ports; the base of all devices. Spec: USB 2.0, chapter 4. */
#include <string.h>
#include "hw/pci.h"
#include "hw/usb/internal.h"
#include "util/error.h"

/* ---- finding devices ---- */

UsbDevice *usb_find(UsbPort *port, uint8_t address)
{
    UsbDevice *u = port->dev;
    if (!u || !u->attached)
        return NULL;
    if (u->address == address)
        return u;
    for (unsigned n = 1; u->cls->port; n++) {
        UsbPort *below = u->cls->port(u, n);
        UsbDevice *found = below ? usb_find(below, address) : NULL;
        if (found || !below)
            return found;
    }
    return NULL;
}

UsbDevice *usb_find_route(UsbPort *port, uint32_t route)
{
    for (; port; route >>= 4) {
        UsbDevice *u = port->dev;
        if (!u || !u->attached || !(route & 0xfffff))
            return u && u->attached ? u : NULL;
        port = u->cls->port ? u->cls->port(u, route & 15) : NULL;
    }
    return NULL;
}

void usb_ready(UsbDevice *u, uint8_t address, uint16_t stream)
{
    UsbBus *bus = usb_bus_of(u);
    if (u->attached && bus && bus->ops->ready)
        bus->ops->ready(bus, u, address, stream);
}

void usb_wakeup(UsbDevice *u)
{
    if (u->attached && u->remote_wakeup && u->port->ops->wakeup)
        u->port->ops->wakeup(u->port);
}

/* ---- ports ---- */

void usb_port_add(UsbBus *bus, UsbPort *port, UsbPort *above, unsigned number)
{
    port->bus = bus;
    port->dev = NULL;
    if (above)
        g_snprintf(port->path, sizeof(port->path), "%.12s.%u", above->path, number);
    else
        g_snprintf(port->path, sizeof(port->path), "%u", number);
    g_ptr_array_add(bus->ports, port);
}

void usb_port_remove(UsbPort *port)
{
    if (port->bus)
        g_ptr_array_remove(port->bus->ports, port);
    port->bus = NULL;
}

static unsigned free_ports(UsbBus *bus, UsbPort **first)
{
    unsigned n = 0;
    *first = NULL;
    for (unsigned i = 0; i < bus->ports->len; i++) {
        UsbPort *p = bus->ports->pdata[i];
        if (!p->dev && !n++)
            *first = p;
    }
    return n;
}

static UsbPort *port_at(UsbBus *bus, const char *path)
{
    for (unsigned i = 0; i < bus->ports->len; i++)
        if (strcmp(((UsbPort *)bus->ports->pdata[i])->path, path) == 0)
            return bus->ports->pdata[i];
    return NULL;
}

/* The last free port of a bus gets a hub, so that there is always one more. */
static void add_hub(UsbBus *bus)
{
    Device *hub = device_new(bus->bus.object.vm, "usb-hub", NULL);
    g_autoptr(GError) error = NULL;
    if (hub && !device_realize(hub, &bus->bus, &error))
        g_debug("usb-hub: %s", error->message);
}

static UsbPort *choose_port(UsbBus *bus, UsbDevice *u, GError **error)
{
    UsbPort *port;
    if (u->port_path) {
        port = port_at(bus, u->port_path);
        if (!port)
            error_set(error, "usb port %s (bus %s) not found (in use?)", u->port_path, bus->bus.object.name);
        else if (port->dev)
            error_set(error, "usb port %s (bus %s) is in use", u->port_path, bus->bus.object.name);
        return port && !port->dev ? port : NULL;
    }
    if (free_ports(bus, &port) == 1 && !u->cls->port) {
        add_hub(bus);
        free_ports(bus, &port);
    }
    if (!port)
        error_set(error, "tried to attach usb device %s to a bus with no free ports", usb_product(u));
    return port;
}

/* ---- the bus ---- */

static bool plug(Bus *b, Device *d, GError **error)
{
    UsbDevice *u = (UsbDevice *)d;
    UsbPort *port = choose_port((UsbBus *)b, u, error);
    if (!port)
        return false;
    u->port = port;
    port->dev = u;
    return true;
}

static bool choose_speed(UsbDevice *u, GError **error)
{
    static const char *const names[] = {"low", "full", "high", "super"};
    unsigned both = u->speeds & u->port->speeds;
    if (!both)
        return error_set(error, "speed mismatch trying to attach usb device \"%s\" (%s speed) to bus \"%s\", port "
                         "\"%s\" (%s speed)", usb_product(u), names[31 - __builtin_clz(u->speeds | 1)],
                         u->dev.parent_bus->object.name, u->port->path,
                         names[31 - __builtin_clz(u->port->speeds | 1)]);
    u->speed = 31 - __builtin_clz(both);
    return true;
}

static bool plugged(Bus *b, Device *d, GError **error)
{
    UsbDevice *u = (UsbDevice *)d;
    device_lock(d);
    bool ok = choose_speed(u, error);
    if (ok) {
        u->attached = true;
        u->port->ops->attach(u->port);
    }
    device_unlock(d);
    return ok;
}

/* What is plugged into a hub goes with it. */
static void unplug_below(UsbDevice *u)
{
    for (unsigned n = 1; u->cls->port && u->cls->port(u, n); n++)
        if (u->cls->port(u, n)->dev)
            device_unplug(&u->cls->port(u, n)->dev->dev);
}

static void unplug(Bus *b, Device *d)
{
    UsbDevice *u = (UsbDevice *)d;
    UsbPort *port = u->port;
    if (!port)
        return;
    unplug_below(u);
    device_lock(d);
    if (u->attached)
        port->ops->detach(port);
    u->attached = false;
    port->dev = NULL;
    u->port = NULL;
    device_unlock(d);
    for (unsigned n = 1; u->cls->port && u->cls->port(u, n); n++)
        usb_port_remove(u->cls->port(u, n));
}

/* "hub@1/storage@2": the way through hubs is part of it. */
static char *fw_name(Bus *b, Device *d)
{
    UsbDevice *u = (UsbDevice *)d;
    const char *name = device_type(d)->fw_name ? device_type(d)->fw_name : d->object.type->name;
    GString *path = g_string_new(NULL);
    g_auto(GStrv) numbers = g_strsplit(u->port ? u->port->path : "0", ".", -1);
    for (unsigned i = 0; numbers[i]; i++)
        g_string_append_printf(path, "%s%s@%s", i ? "/" : "", numbers[i + 1] ? "hub" : name, numbers[i]);
    return g_string_free(path, FALSE);
}

static void bus_finish(Object *o) { g_ptr_array_unref(((UsbBus *)o)->ports); }
static void bus_init(Object *o) { ((UsbBus *)o)->ports = g_ptr_array_new(); }

static const BusType usb_bus = {
    .name = "usb-bus", .parent = "bus", .size = sizeof(UsbBus), .init = bus_init, .finish = bus_finish,
    .plug = plug, .plugged = plugged, .unplug = unplug, .fw_name = fw_name,
};
OBJECT_TYPE(usb_bus);

static bool collect(Object *o, void *data)
{
    if (object_is_a(o, "usb-bus"))
        g_ptr_array_add(data, o);
    return false;
}

static GPtrArray *buses(Vm *vm)
{
    GPtrArray *list = g_ptr_array_new();
    object_walk(&vm->root, collect, list);
    return list;
}

UsbBus *usb_bus_new(Device *owner, const UsbBusOps *ops)
{
    g_autoptr(GPtrArray) others = buses(owner->object.vm);
    UsbBus *bus = (UsbBus *)bus_new(owner, &usb_bus, NULL);
    bus->ops = ops;
    for (unsigned i = 0; i < others->len; i++)
        bus->number = MAX(bus->number, ((UsbBus *)others->pdata[i])->number + 1);
    return bus;
}

/* ---- telling ---- */

const char *usb_product(const UsbDevice *u) { return u->cls->info->strings[usb_product_string(u->cls->info)]; }

static void info_device(const UsbBus *bus, const UsbDevice *u, GString *out)
{
    static const char *const speeds[] = {"1.5", "12", "480", "5000"};
    g_string_append_printf(out, "  Device %u.%u, Port %s, Speed %s Mb/s, Product %s%s%s\n", bus->number, u->address,
                           u->port->path, speeds[u->speed], usb_product(u), u->dev.id ? ", ID: " : "",
                           u->dev.id ? u->dev.id : "");
}

void usb_info(Vm *vm, GString *out)
{
    g_autoptr(GPtrArray) list = buses(vm);
    if (!list->len)
        g_string_append(out, "USB support not enabled\n");
    for (unsigned i = 0; i < list->len; i++) {
        UsbBus *bus = list->pdata[i];
        for (unsigned n = 0; n < bus->bus.devices->len; n++) {
            UsbDevice *u = bus->bus.devices->pdata[n];
            if (u->attached)
                info_device(bus, u, out);
        }
    }
}

const char *usb_legacy_type(const char *name)
{
    static const char *const types[][2] = {
        {"tablet", "usb-tablet"}, {"mouse", "usb-mouse"}, {"keyboard", "usb-kbd"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(name, types[i][0]) == 0)
            return types[i][1];
    return NULL;
}

static void prepend_function(GString *path, uint8_t devfn)
{
    g_autofree char *part = g_strdup_printf(":%02x.%x", devfn >> 3, devfn & 7);
    g_string_prepend(path, part);
}

char *usb_default_serial(const UsbDevice *u, const char *prefix)
{
    Device *owner = u->dev.parent_bus->owner;
    if (!object_is_a(&owner->object, "pci-device"))
        return g_strdup_printf("%s-%s", prefix, u->port->path);
    const PciDevice *p = (const PciDevice *)owner;
    GString *path = g_string_new(NULL);
    for (const PciDevice *i = p; i; i = i->bus->bridge)
        prepend_function(path, i->devfn);
    char *serial = g_strdup_printf("%s-0000:00%s-%s", prefix, path->str, u->port->path);
    g_string_free(path, TRUE);
    return serial;
}

/* ---- the base device ---- */

void usb_device_reset(UsbDevice *u)
{
    u->address = u->configuration = u->remote_wakeup = 0;
    u->halted = 0;
    memset(u->alternate, 0, sizeof(u->alternate));
    memset(&u->control, 0, sizeof(u->control));
    if (u->cls->bus_reset)
        u->cls->bus_reset(u);
}

static const UsbClass *class_of(const ObjectType *t)
{
    for (; t && strcmp(t->name, "device") != 0; t = object_type_parent(t))
        if (((const DeviceType *)t)->ext)
            return ((const DeviceType *)t)->ext;
    g_error("%s: a USB device without .ext", t ? t->name : "?");
}

static void init(Object *o)
{
    UsbDevice *u = (UsbDevice *)o;
    u->cls = class_of(o->type);
    for (unsigned i = 0; i < USB_SPEEDS; i++)
        u->speeds |= u->cls->info->at[i] ? 1u << i : 0;
}

static void restored(Device *d)
{
    UsbDevice *u = (UsbDevice *)d;
    UsbControl *c = &u->control;
    u->address &= 0x7f;
    u->configuration = MIN(u->configuration, 1);
    u->remote_wakeup &= 1;
    c->length = MIN(c->length, USB_CONTROL_MAX);
    c->at = MIN(c->at, c->length);
}

static const Field fields[] = {
    HOST(UsbDevice, cls), HOST(UsbDevice, port),
    PROP(UsbDevice, port_path, "port", PROP_STRING, .desc = "Where it is plugged in, such as 1 or 1.2"),
    PROP(UsbDevice, serial, "serial", PROP_STRING, .desc = "Serial number"),
    HOST(UsbDevice, speed), HOST(UsbDevice, speeds), HOST(UsbDevice, attached), SAVED(UsbDevice, address),
    SAVED(UsbDevice, configuration), SAVED(UsbDevice, remote_wakeup), SAVED(UsbDevice, alternate),
    SAVED(UsbDevice, halted), SAVED(UsbDevice, control),
};
static const DeviceType usb_device = {
    .name = "usb-device", .desc = "Any USB device", .size = sizeof(UsbDevice), .abstract = true, .bus = "usb-bus",
    .category = DEVICE_USB, FIELDS(fields), .init = init, .restored = restored,
};
DEVICE_TYPE(usb_device);
