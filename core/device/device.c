/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: types summed up to classes, life, place in the tree, reset. */
#include <inttypes.h>
#include <string.h>

#include "core/absent.h"
#include "core/device-internal.h"
#include "core/vm.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"
#include "util/suggest.h"

static void finish(Object *o);
static void removing(Object *o);

static const DeviceType base_type = {
    .name = "device", .desc = "Any device", .size = sizeof(Device), .abstract = true,
    .finish = finish, .removing = removing,
};
DEVICE_TYPE(base_type);

/* ---- classes ---- */

/* Pieces that come from the nearest type that has them. */
static void inherit(DeviceClass *c, const DeviceType *t)
{
    c->window = t->window ? t->window : c->window;
    c->read = t->read ? t->read : c->read;
    c->write = t->write ? t->write : c->write;
    c->pin = t->pin ? t->pin : c->pin;
    c->bus = t->bus ? t->bus : c->bus;
    c->big_endian |= t->big_endian;
    c->own_domain |= t->own_domain;
    c->intc_domain |= t->intc_domain;
    c->no_domain |= t->no_domain || t->category == DEVICE_CPU;
    c->ops.min_access = t->min_access ? t->min_access : c->ops.min_access;
    c->ops.max_access = t->max_access ? t->max_access : c->ops.max_access;
    c->n_regs += t->n_regs;
}

static uint64_t mmio_read(void *opaque, uint64_t at, unsigned size)
{
    return device_mmio_read(opaque, at, size);
}

static void mmio_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    device_mmio_write(opaque, at, value, size);
}

static DeviceClass *class_new(const DeviceType *type)
{
    DeviceClass *c = g_new0(DeviceClass, 1);
    const DeviceType *line[MAX_CHAIN];
    unsigned n = 0;

    c->type = type;
    for (const ObjectType *t = (const ObjectType *)type; t && strcmp(t->name, "object") != 0;
         t = object_type_parent(t)) {
        g_assert(n < MAX_CHAIN);
        line[n++] = (const DeviceType *)t;
    }
    while (n) {
        c->chain[c->n_chain++] = line[--n];
        inherit(c, line[n]);
    }
    c->regs = g_new(const Reg *, c->n_regs + 1);
    c->n_regs = 0;
    for (unsigned i = 0; i < c->n_chain; i++) {
        for (unsigned r = 0; r < c->chain[i]->n_regs; r++) {
            c->regs[c->n_regs++] = &c->chain[i]->regs[r];
        }
    }
    c->ops.read = mmio_read;
    c->ops.write = mmio_write;
    c->ops.big_endian = c->big_endian;
    device_class_index(c);
    return c;
}

void device_class_free(void *data)
{
    DeviceClass *c = data;

    g_free(c->regs);
    g_free(c->read_index);
    g_free(c->write_index);
    g_free(c);
}

const DeviceClass *device_class(Vm *vm, const DeviceType *type)
{
    DeviceClass *c = g_hash_table_lookup(vm->device_classes, type);

    if (!c) {
        c = class_new(type);
        g_hash_table_insert(vm->device_classes, (void *)type, c);
    }
    return c;
}

/* ---- types by name ---- */

static bool is_device(const ObjectType *t)
{
    return object_type_is_a(t, "device");
}

typedef struct NameSearch {
    const char *name;
    const DeviceType *found;
    GPtrArray *names;
} NameSearch;

static void see_type(const ObjectType *t, void *data)
{
    NameSearch *s = data;

    if (t->abstract || !is_device(t)) {
        return;
    }
    const DeviceType *d = (const DeviceType *)t;
    g_ptr_array_add(s->names, (void *)t->name);
    for (const char *const *a = d->aliases; a && *a; a++) {
        g_ptr_array_add(s->names, (void *)*a);
        if (strcmp(*a, s->name) == 0) {
            s->found = d;
        }
    }
}

const DeviceType *device_type_find(const char *name, GError **error)
{
    const ObjectType *t = object_type_find(name);

    if (t && is_device(t) && !t->abstract) {
        return (const DeviceType *)t;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    NameSearch s = {.name = name, .names = names};
    object_type_foreach(see_type, &s);
    if (!s.found && !absent_error(error, ABSENT_DEVICE, name)) {
        g_ptr_array_add(names, NULL);
        error_set(error, "'%s' is not a valid device model name", name);
        suggest_append(error, name, (const char *const *)names->pdata);
    }
    return s.found;
}

const char *device_type_bus(const DeviceType *t)
{
    for (const ObjectType *o = (const ObjectType *)t; o && strcmp(o->name, "device") != 0;
         o = object_type_parent(o)) {
        if (((const DeviceType *)o)->bus) {
            return ((const DeviceType *)o)->bus;
        }
    }
    return NULL;
}

/* ---- -global ---- */

typedef struct Global {
    char *driver, *property, *value;
    bool used;
} Global;

static void global_free(void *data)
{
    Global *g = data;

    g_free(g->driver);
    g_free(g->property);
    g_free(g->value);
    g_free(g);
}

static Global *global_new(Vm *vm, const char *driver, const char *property, const char *value)
{
    Global *g = g_new0(Global, 1);

    g->driver = g_strdup(driver);
    g->property = g_strdup(property);
    g->value = g_strdup(value);
    if (!vm->globals) {
        vm->globals = g_ptr_array_new_with_free_func(global_free);
    }
    return g;
}

void device_global(Vm *vm, const char *driver, const char *property, const char *value)
{
    Global *g = global_new(vm, driver, property, value);

    g_ptr_array_add(vm->globals, g);
}

void device_compat(Vm *vm, const DeviceCompat *rows)
{
    for (unsigned i = 0; rows && rows[i].driver; i++) {
        Global *g = global_new(vm, rows[i].driver, rows[i].property, rows[i].value);
        g->used = true;                 /* nobody is to hear that it is not needed */
        g_ptr_array_insert(vm->globals, (int)i, g);
    }
}

static bool global_fits(Vm *vm, const Global *g, GError **error)
{
    const DeviceType *type = device_type_find(g->driver, NULL);

    if (!type || type->abstract) {
        return true;
    }
    Device *d = device_new(vm, g->driver, error);
    bool ok = d && object_set_string(&d->object, g->property, g->value, error);
    if (!ok) {
        g_prefix_error(error, "-global %s.%s=%s: ", g->driver, g->property, g->value);
    }
    if (d) {
        object_unref(&d->object);
    }
    return ok;
}

bool device_globals_check(Vm *vm, GError **error)
{
    GPtrArray *all = g_steal_pointer(&vm->globals);     /* tried one by one, on devices that no other alters */
    bool ok = true;

    for (unsigned i = 0; ok && all && i < all->len; i++) {
        ok = global_fits(vm, all->pdata[i], error);
    }
    vm->globals = all;
    return ok;
}

char *device_global_unused(Vm *vm)
{
    for (unsigned i = 0; vm->globals && i < vm->globals->len; i++) {
        Global *g = vm->globals->pdata[i];
        if (!g->used) {
            return g_strdup_printf("%s.%s", g->driver, g->property);
        }
    }
    return NULL;
}

static bool apply_globals(Device *d, GError **error)
{
    for (unsigned i = 0; d->object.vm->globals && i < d->object.vm->globals->len; i++) {
        Global *g = d->object.vm->globals->pdata[i];
        if (!object_is_a(&d->object, g->driver)) {
            continue;
        }
        g->used = true;
        if (!object_set_string(&d->object, g->property, g->value, error)) {
            g_prefix_error(error, "can't apply global %s.%s=%s: ", g->driver, g->property, g->value);
            return false;
        }
    }
    return true;
}

/* ---- work on the control loop ---- */

typedef struct Posted {
    Device *dev;
    void (*fn)(Device *d, void *data);
    void *data;
    GDestroyNotify free;
} Posted;

static void run_posted(void *data)
{
    Posted *p = data;

    if (p->dev->realized) {
        p->fn(p->dev, p->data);
    }
    if (p->free) {
        p->free(p->data);
    }
    object_unref(&p->dev->object);
    g_free(p);
}

void device_post(Device *d, void (*fn)(Device *d, void *data), void *data, GDestroyNotify free)
{
    Posted *p = g_new(Posted, 1);

    *p = (Posted){d, fn, data, free};
    object_ref(&d->object);
    loop_post(d->object.vm->loop, run_posted, p);
}

/* ---- life ---- */

static bool init_timer(const Field *f, void *data)
{
    Device *d = data;

    if (f->kind == FIELD_TIMER) {
        for (unsigned i = 0; i < f->size / sizeof(Timer); i++) {
            Timer *t = (Timer *)((char *)d + f->offset) + i;
            timer_init(t, d->object.vm, f->init ? (ClockKind)f->init : CLOCK_K_VIRTUAL,
                       (void (*)(void *))f->fired, d, d);
        }
    }
    return false;
}

static bool cancel_timer(const Field *f, void *data)
{
    if (f->kind == FIELD_TIMER) {
        for (unsigned i = 0; i < f->size / sizeof(Timer); i++) {
            timer_cancel((Timer *)((char *)data + f->offset) + i);
        }
    }
    return false;
}

static void choose_domain(Device *d)
{
    const DeviceClass *c = d->cls;
    Device *above = d->parent_bus ? d->parent_bus->owner : NULL;

    if (c->no_domain) {
        d->domain = NULL;
    } else if (c->intc_domain) {
        d->domain = domain_of_intc(d->object.vm->domains);
    } else if (c->own_domain) {
        d->domain = d->domain ? d->domain : domain_new(RANK_DEVICE);
    } else if (above && above->domain && !above->cls->intc_domain) {
        d->domain = above->domain;
    } else {
        d->domain = domain_of_machine(d->object.vm->domains);
    }
}

Device *device_new(Vm *vm, const char *name, GError **error)
{
    const DeviceType *type = device_type_find(name, error);

    if (!type) {
        return NULL;
    }
    Device *d = (Device *)object_new(vm, (const ObjectType *)type);
    d->cls = device_class(vm, type);
    choose_domain(d);
    object_type_fields((const ObjectType *)type, init_timer, d);
    if (d->cls->window) {
        d->mmio = mem_io(&d->object, type->name, d->cls->window, &d->cls->ops, d, d);
    }
    if (!apply_globals(d, error)) {
        object_unref(&d->object);
        return NULL;
    }
    return d;
}

static bool place_in_tree(Device *d, GError **error)
{
    Vm *vm = d->object.vm;

    if (d->object.parent) {
        return true;
    }
    if (d->id && object_child(vm->peripheral, d->id)) {
        return error_set(error, "Duplicate device ID '%s'", d->id);
    }
    /* The tree takes the caller's reference. */
    if (d->id) {
        object_add_child(vm->peripheral, d->id, &d->object);
    } else {
        object_add_child(d->user ? vm->peripheral_anon : vm->unattached, "device[*]", &d->object);
    }
    return true;
}

static bool join_bus(Device *d, Bus *bus, GError **error)
{
    const BusType *type = bus ? (const BusType *)bus->object.type : NULL;

    if (!bus) {
        return !d->cls->bus || error_set(error, "No '%s' bus found for device '%s'", d->cls->bus,
                                         d->object.type->name);
    }
    if (!d->cls->bus || !object_is_a(&bus->object, d->cls->bus)) {
        return error_set(error, "Device '%s' can't go on %s bus", d->object.type->name,
                         bus->object.type->name);
    }
    if (type->max_devices && bus->devices->len >= type->max_devices) {
        g_autofree char *path = object_path(&bus->object);
        return error_set(error, "Bus '%s' is full (%u of %u devices)", path, bus->devices->len,
                         type->max_devices);
    }
    d->parent_bus = bus;
    if (type->plug && !type->plug(bus, d, error)) {
        d->parent_bus = NULL;
        return false;
    }
    g_ptr_array_add(bus->devices, d);
    choose_domain(d);
    return true;
}

static void leave_bus(Device *d)
{
    Bus *bus = d->parent_bus;
    const BusType *type = bus ? (const BusType *)bus->object.type : NULL;

    if (bus) {
        if (type->unplug) {
            type->unplug(bus, d);
        }
        g_ptr_array_remove(bus->devices, d);
        d->parent_bus = NULL;
    }
}

static void unrealize(Device *d, unsigned levels)
{
    for (unsigned i = levels; i-- > 0;) {
        if (d->cls->chain[i]->unrealize) {
            d->cls->chain[i]->unrealize(d);
        }
    }
}

static bool realize_levels(Device *d, GError **error)
{
    for (unsigned i = 0; i < d->cls->n_chain; i++) {
        const DeviceType *t = d->cls->chain[i];
        if (t->realize && !t->realize(d, error)) {
            unrealize(d, i);
            return false;
        }
    }
    return true;
}

bool device_realize(Device *d, Bus *bus, GError **error)
{
    g_assert(!d->realized);
    if (!place_in_tree(d, error)) {
        object_unref(&d->object);
        return false;
    }
    const BusType *bus_type = bus ? (const BusType *)bus->object.type : NULL;
    bool ok = join_bus(d, bus, error) && object_complete(&d->object, error) &&
              device_boot_index_check(d, error) && realize_levels(d, error);
    if (ok) {
        d->realized = true;
        device_reset(d);
        ok = !bus_type || !bus_type->plugged || bus_type->plugged(bus, d, error);
    }
    for (unsigned i = 0; ok && i < d->cls->n_chain; i++) {
        if (d->cls->chain[i]->plugged) {
            d->cls->chain[i]->plugged(d);
        }
    }
    if (!ok) {
        object_remove(&d->object);
    }
    return ok;
}

static void removing(Object *o)
{
    Device *d = (Device *)o;

    mem_transaction_begin(o->vm);
    if (d->mmio) {
        mem_remove(d->mmio);
    }
    mem_transaction_commit(o->vm);
    /* What sits on its buses goes first. */
    for (unsigned i = 0; d->buses && i < d->buses->len; i++) {
        Bus *bus = d->buses->pdata[i];
        while (bus->devices->len) {
            object_remove(bus->devices->pdata[bus->devices->len - 1]);
        }
    }
    device_lock(d);
    bool was = d->realized;
    d->realized = false;
    if (was) {
        unrealize(d, d->cls->n_chain);
    }
    device_unlock(d);
    object_type_fields(o->type, cancel_timer, d);
    leave_bus(d);
}

static void finish(Object *o)
{
    Device *d = (Device *)o;

    object_type_fields(o->type, cancel_timer, d);
    object_type_fields(o->type, device_state_drop, d);
    if (d->cls && d->cls->own_domain && !d->cls->no_domain && !d->cls->intc_domain) {
        domain_free(d->domain);
    }
    g_clear_pointer(&d->buses, g_ptr_array_unref);
    g_clear_pointer(&d->id, g_free);
}

bool device_unplug_request(Device *d, GError **error)
{
    const BusType *bus = d->parent_bus ? (const BusType *)d->parent_bus->object.type : NULL;

    if (bus && bus->unplug_request) {
        return bus->unplug_request(d->parent_bus, d, error);
    }
    for (unsigned i = d->cls->n_chain; i-- > 0;) {
        if (d->cls->chain[i]->unplug_request) {
            return d->cls->chain[i]->unplug_request(d, error);
        }
    }
    device_unplug(d);
    return true;
}

void device_unplug(Device *d)
{
    Vm *vm = d->object.vm;
    g_autofree char *id = g_strdup(d->id), *path = object_path(&d->object);
    bool tell = d->user && d->realized;

    object_remove(&d->object);
    if (tell) {
        qapi_event_device_deleted(vm, id, path);
    }
}

Device *device_draft(Vm *vm, const char *type)
{
    g_autoptr(GError) error = NULL;
    Device *d = device_new(vm, type, &error);

    if (!d) {
        g_error("%s: %s", type, error->message);
    }
    return d;
}

void device_start(Device *d)
{
    g_autoptr(GError) error = NULL;

    if (!device_realize(d, NULL, &error)) {
        g_error("%s: %s", d->object.type->name, error->message);
    }
}

Device *device_make(Vm *vm, const char *type)
{
    Device *d = device_draft(vm, type);

    device_start(d);
    return d;
}

void device_place(Device *d, uint64_t base)
{
    mem_add(d->object.vm->memory_root, base, d->mmio, 0);
}

void device_place_io(Device *d, uint16_t port)
{
    mem_add(d->object.vm->io_root, port, d->mmio, 0);
}

/* ---- reset ---- */

static bool reset_saved(const Field *f, void *data)
{
    char *p = (char *)data + f->offset;

    if (f->kind == FIELD_SAVED && !f->keep) {
        memset(p, 0, f->size);
        memcpy(p, &f->init, MIN(f->size, sizeof(f->init)));
    } else if (f->kind == FIELD_BUFFER && *(void **)p) {
        memset(*(void **)p, 0, *(uint32_t *)((char *)data + f->stride));
    } else if (f->kind == FIELD_TIMER) {
        cancel_timer(f, data);
    }
    return false;
}

static bool lower_pins(const Field *f, void *data)
{
    for (unsigned i = 0; f->kind == FIELD_IRQ && i < f->size / sizeof(Irq); i++) {
        irq_set((Irq *)((char *)data + f->offset) + i, false);
    }
    return false;
}

typedef enum Phase { PHASE_ENTER, PHASE_HOLD, PHASE_EXIT } Phase;

static void reset_device(Device *d, Phase phase)
{
    const ObjectType *type = d->object.type;

    device_lock(d);
    if (phase == PHASE_ENTER) {
        d->in_reset = true;
        device_reset_regs(d);
        object_type_fields(type, reset_saved, d);
    } else if (phase == PHASE_HOLD) {
        object_type_fields(type, lower_pins, d);
    }
    for (unsigned i = 0; i < d->cls->n_chain; i++) {
        const DeviceType *t = d->cls->chain[i];
        void (*fn)(Device *) = phase == PHASE_ENTER ? t->reset
                               : phase == PHASE_HOLD ? t->reset_hold : t->reset_exit;
        if (fn) {
            fn(d);
        }
    }
    if (phase == PHASE_EXIT) {
        d->in_reset = false;
    }
    device_unlock(d);
}

static bool reset_phase(Object *o, void *data)
{
    if (o->vm && object_is_a(o, "device") && ((Device *)o)->realized) {
        reset_device((Device *)o, *(Phase *)data);
    }
    return false;
}

static void reset_buses(Device *d, Phase phase)
{
    for (unsigned i = 0; d->buses && i < d->buses->len; i++) {
        Bus *bus = d->buses->pdata[i];
        for (unsigned n = 0; n < bus->devices->len; n++) {
            Device *below = bus->devices->pdata[n];
            if (below->realized) {
                reset_device(below, phase);
                reset_buses(below, phase);
            }
        }
    }
}

void device_reset(Device *d)
{
    for (Phase phase = PHASE_ENTER; phase <= PHASE_EXIT; phase++) {
        reset_device(d, phase);
        reset_buses(d, phase);
    }
}

void device_reset_all(Vm *vm)
{
    for (Phase phase = PHASE_ENTER; phase <= PHASE_EXIT; phase++) {
        object_walk(&vm->root, reset_phase, &phase);
    }
}

/* ---- log, DMA ---- */

void device_log_guest(Device *d, const char *fmt, ...)
{
    if (!log_on(LOG_GUEST_ERRORS)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    log_write("%s: %s", d->object.type->name, text);
}

/* NULL while the machine is taken apart, when its memory went first. */
static AddressSpace *dma_space(Device *d)
{
    return d->dma ? d->dma : d->object.vm->memory;
}

bool dma_read(Device *d, uint64_t pa, void *buf, uint64_t n)
{
    AddressSpace *as = dma_space(d);
    bool ok = as && as_read(as, pa, buf, n);

    if (!ok && as) {
        log_guest(d, "DMA read of %" PRIu64 " bytes at 0x%" PRIx64 " failed", n, pa);
    }
    return ok;
}

bool dma_write(Device *d, uint64_t pa, const void *buf, uint64_t n)
{
    AddressSpace *as = dma_space(d);
    bool ok = as && as_write(as, pa, buf, n);

    if (!ok && as) {
        log_guest(d, "DMA write of %" PRIu64 " bytes at 0x%" PRIx64 " failed", n, pa);
    }
    return ok;
}
