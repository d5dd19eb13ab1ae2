/* SPDX-License-Identifier: Apache-2.0 */
/* The harness for unit tests of single devices. */
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "core/testing.h"
#include "hw/isa.h"
#include "hw/virtio-mmio.h"
#include "hw/pci-host.h"

TestDevice *test_machine(void)
{
    TestDevice *t = g_new0(TestDevice, 1);

    t->loop = loop_new();
    t->vm = vm_new(t->loop);
    clock_own(t->vm);
    MemRegion *ram = mem_ram(t->vm->unattached, "test.ram", TEST_RAM, NULL, NULL);
    mem_add(t->vm->memory_root, 0, ram, 0);
    return t;
}

void test_device_free(TestDevice *t)
{
    if (t) {
        vm_free(t->vm);
        loop_free(t->loop);
        g_free(t);
    }
}

/* ECAM, windows: where a PCI device of a test finds itself when the test has made no bus. */
static Bus *pci_bus(TestDevice *t)
{
    GpexConfig config = {.ecam = TEST_ECAM, .buses = 16, .mmio32 = {0x40000000, 0x40000000},
                         .mmio64 = {1ull << 40, 1ull << 40}, .msi = NULL};
    return &gpex_new(t->vm, &config)->bus;
}

static Bus *isa_bus(TestDevice *t)
{
    const Pin none[ISA_IRQS] = {{0}};

    Bus *isa = isa_bus_new(t->vm, none);
    isa_dma_new(isa);
    return isa;
}

static Bus *virtio_bus(TestDevice *t)
{
    device_global(t->vm, "virtio-mmio", "force-legacy", "off");
    return virtio_mmio_new(t->vm, TEST_BASE + 0x100000, (Pin){0});
}

static Bus *serial_bus(TestDevice *t)
{
    Device *d = device_new(t->vm, "virtio-serial-device", NULL);

    return device_realize(d, virtio_bus(t), NULL) ? bus_find(t->vm, NULL, "virtio-serial-bus") : NULL;
}

static Bus *usb_bus(TestDevice *t)
{
    Device *d = device_new(t->vm, "qemu-xhci", NULL);

    return device_realize(d, pci_bus(t), NULL) ? bus_find(t->vm, NULL, "usb-bus") : NULL;
}

static Bus *floppy_bus(TestDevice *t)
{
    Device *d = device_new(t->vm, "isa-fdc", NULL);

    return device_realize(d, isa_bus(t), NULL) ? bus_find(t->vm, NULL, "floppy-bus") : NULL;
}

static Bus *hda_bus(TestDevice *t)
{
    Device *d = device_new(t->vm, "intel-hda", NULL);

    return device_realize(d, pci_bus(t), NULL) ? bus_find(t->vm, NULL, "HDA") : NULL;
}

static Bus *new_bus(TestDevice *t, const char *kind)
{
    static const struct { const char *kind; Bus *(*make)(TestDevice *t); } makers[] = {
        {"PCI", pci_bus}, {"ISA", isa_bus}, {"virtio-bus", virtio_bus}, {"virtio-serial-bus", serial_bus},
        {"usb-bus", usb_bus}, {"HDA", hda_bus}, {"floppy-bus", floppy_bus},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(makers); i++) {
        if (strcmp(makers[i].kind, kind) == 0) {
            return makers[i].make(t);
        }
    }
    return NULL;
}

static bool is_drive(const Field *f, void *data)
{
    return f->kind == FIELD_PROP && f->type == PROP_DRIVE;
}

/* The name of a property that wants a drive: the type's, or one passed on to a part of it. */
static const char *drive_property(const Device *d)
{
    const Field *f = object_type_fields(d->object.type, is_drive, NULL);

    for (unsigned i = 0; !f && d->object.dynamic && i < d->object.dynamic->len; i++) {
        const Property *p = d->object.dynamic->pdata[i];
        if (strcmp(p->name, "drive") == 0) {
            return p->name;
        }
    }
    return f ? f->name : NULL;
}

/* A disk without a drive gets an empty one. */
static void give_drive(Device *d)
{
    g_autoptr(GError) error = NULL;
    const char *name = drive_property(d);
    PropValue v = {0};

    if (!name || !object_get(&d->object, name, &v, NULL) || (v.s && *v.s)) {
        prop_value_clear(&v);
        return;
    }
    prop_value_clear(&v);
    bool ok = blockdev_add_option(d->object.vm, "null-co,node-name=test-disk,size=1M,read-zeroes=on", &error) &&
              object_set_string(&d->object, name, "test-disk", &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

/* The bus of its kind: that of the test, or a new one. */
static Bus *bus_for(TestDevice *t, const Device *d)
{
    const char *kind = device_type_bus(device_type(d));
    Bus *bus = kind ? bus_find(t->vm, NULL, kind) : NULL;
    return bus ? bus : kind ? new_bus(t, kind) : NULL;
}

static bool add_device(TestDevice *t, const char *type, va_list *props, GError **error)
{
    Device *d = device_new(t->vm, type, error);

    if (!d) {
        return false;
    }
    for (const char *name; props && (name = va_arg(*props, const char *)) != NULL;) {
        const char *value = va_arg(*props, const char *);
        if (!object_set_string(&d->object, name, value, error)) {
            object_unref(&d->object);
            return false;
        }
    }
    give_drive(d);
    if (!device_realize(d, bus_for(t, d), error)) {
        return false;
    }
    if (d->mmio && !mem_is_mapped(d->mmio)) {
        device_place(d, TEST_BASE);
    }
    t->dev = d;
    return true;
}

TestDevice *test_device_try(const char *type, GError **error)
{
    TestDevice *t = test_machine();

    if (!add_device(t, type, NULL, error)) {
        test_device_free(t);
        return NULL;
    }
    return t;
}

TestDevice *test_device(const char *type)
{
    g_autoptr(GError) error = NULL;
    TestDevice *t = test_device_try(type, &error);

    g_assert_no_error(error);
    return t;
}

TestDevice *test_device_with(const char *type, ...)
{
    g_autoptr(GError) error = NULL;
    TestDevice *t = test_machine();
    va_list props;

    va_start(props, type);
    add_device(t, type, &props, &error);
    va_end(props);
    g_assert_no_error(error);
    return t;
}

/* The address of "NAME" or "NAME[i]" and its width. */
static uint64_t address_of(TestDevice *t, const char *name, unsigned *width)
{
    const char *bracket = strchr(name, '[');
    g_autofree char *plain = bracket ? g_strndup(name, (size_t)(bracket - name)) : g_strdup(name);
    unsigned i = bracket ? (unsigned)atoi(bracket + 1) : 0;
    const Reg *r = device_reg_find(t->dev, plain);

    if (!r) {
        g_error("%s has no register '%s'", t->dev->object.type->name, name);
    }
    g_assert_cmpuint(i, <, MAX(r->count, 1));
    *width = r->width ? r->width : 4;
    return r->at + (uint64_t)i * (r->stride ? r->stride : *width);
}

void test_write_at(TestDevice *t, uint64_t at, unsigned size, uint64_t value)
{
    mem_io_write(t->dev->mmio, at, value, size);
    loop_run_posts(t->loop);
}

uint64_t test_read_at(TestDevice *t, uint64_t at, unsigned size)
{
    uint64_t v = mem_io_read(t->dev->mmio, at, size);

    loop_run_posts(t->loop);
    return v;
}

void test_write(TestDevice *t, const char *reg, uint64_t value)
{
    unsigned width;
    uint64_t at = address_of(t, reg, &width);

    test_write_at(t, at, width, value);
}

uint64_t test_read(TestDevice *t, const char *reg)
{
    unsigned width;
    uint64_t at = address_of(t, reg, &width);

    return test_read_at(t, at, width);
}

typedef struct PinSearch {
    const char *name;
    size_t n;
} PinSearch;

static bool is_pin(const Field *f, void *data)
{
    PinSearch *s = data;

    return f->kind == FIELD_IRQ && strlen(f->member) == s->n && memcmp(f->member, s->name, s->n) == 0;
}

bool test_pin(TestDevice *t, const char *name)
{
    const char *bracket = strchr(name, '[');
    PinSearch s = {name, bracket ? (size_t)(bracket - name) : strlen(name)};
    unsigned i = bracket ? (unsigned)atoi(bracket + 1) : 0;
    const Field *f = object_type_fields(t->dev->object.type, is_pin, &s);

    if (!f) {
        g_error("%s has no output '%s'", t->dev->object.type->name, name);
    }
    g_assert_cmpuint(i, <, f->size / sizeof(Irq));
    loop_run_posts(t->loop);
    return ((Irq *)((char *)t->dev + f->offset))[i].level;
}

void test_input(TestDevice *t, uint32_t n, bool level)
{
    Irq line = {.to = device_pin(t->dev, n), .level = !level};

    irq_set(&line, level);
    loop_run_posts(t->loop);
}

void test_clock_step_ns(TestDevice *t, int64_t ns)
{
    clock_step(t->vm, ns);
    loop_run_posts(t->loop);
}

void test_clock_step(TestDevice *t, int64_t seconds)
{
    test_clock_step_ns(t, seconds * 1000000000);
}

void test_move(TestDevice *t)
{
    g_autoptr(GBytes) state = device_save(t->dev);
    g_autofree char *type = g_strdup(t->dev->object.type->name);
    g_autoptr(GError) error = NULL;

    device_unplug(t->dev);
    add_device(t, type, NULL, &error);
    g_assert_no_error(error);
    device_load(t->dev, state, &error);
    g_assert_no_error(error);
    loop_run_posts(t->loop);
}
