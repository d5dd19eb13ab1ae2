/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of registers for hotplug, as AML uses them. */
#include "core/testing.h"
#include "hw/acpi-pci.h"

typedef struct Rig {
    TestDevice *t;
    Device *block;
    unsigned raised, ejected, which;
} Rig;

static void raise_event(void *opaque) { ((Rig *)opaque)->raised++; }

static void eject(void *opaque, unsigned n)
{
    Rig *r = opaque;
    r->ejected++;
    r->which = n;
}

static void rig_clear(Rig *r) { test_device_free(r->t); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_clear)

static uint64_t get(Rig *r, uint64_t at, unsigned size) { return device_mmio_read(r->block, at, size); }
static void set(Rig *r, uint64_t at, unsigned size, uint64_t v) { device_mmio_write(r->block, at, v, size); }

static void test_cpus(void)
{
    static const uint32_t ids[] = {0, 2, 4, 300};
    g_auto(Rig) r = {.t = test_machine()};
    AcpiCpuSlots slots = {.n = 4, .arch_ids = ids, .event = {raise_event, &r}, .eject = eject, .opaque = &r};
    r.block = acpi_cpu_hotplug_new(r.t->vm, &slots);
    acpi_cpu_plugged(r.block, 2);
    acpi_cpu_unplug_request(r.block, 3);
    g_assert_cmpuint(r.raised, ==, 2);
    set(&r, 0, 4, 0);
    set(&r, 5, 1, 0);                   /* the next with an event */
    g_assert_cmpuint(get(&r, 8, 4), ==, 2);
    g_assert_cmphex(get(&r, 4, 1), ==, 2);
    set(&r, 4, 1, 2);
    g_assert_cmphex(get(&r, 4, 1), ==, 0);
    set(&r, 5, 1, 0);
    g_assert_cmpuint(get(&r, 8, 4), ==, 3);
    g_assert_cmphex(get(&r, 4, 1), ==, 4);
    set(&r, 5, 1, 3);                   /* its APIC id */
    g_assert_cmpuint(get(&r, 8, 4), ==, 300);
    set(&r, 4, 1, 4 | 8);               /* there is no such CPU: nothing to eject */
    loop_run_posts(r.t->loop);
    g_assert_cmpuint(r.ejected, ==, 0);
    set(&r, 5, 1, 0);                   /* none is left: the selected one stays */
    g_assert_cmpuint(get(&r, 8, 4), ==, 3);
    set(&r, 4, 1, 16);                  /* there is none that firmware could eject */
    g_assert_cmphex(get(&r, 4, 1), ==, 0);
    set(&r, 0, 4, 4);                   /* behind the last: nothing is there to be selected */
    set(&r, 5, 1, 0);
    g_assert_cmpuint(get(&r, 8, 4), ==, 0);
    set(&r, 0, 4, UINT32_MAX);
    g_assert_cmphex(get(&r, 4, 1), ==, 0);
    set(&r, 4, 1, 0xff);
    set(&r, 8, 4, 1);
}

static void test_memory(void)
{
    g_auto(Rig) r = {.t = test_machine()};
    AcpiMemorySlots slots = {.n = 2, .event = {raise_event, &r}, .eject = eject, .opaque = &r};
    r.block = acpi_memory_hotplug_new(r.t->vm, &slots);
    acpi_memory_plugged(r.block, 0, 0x100000000, 0x8000000, 0, false);
    acpi_memory_plugged(r.block, 1, 0x123000000, 0x200000000, 3, true);
    g_assert_cmpuint(r.raised, ==, 1);
    set(&r, 0, 4, 0);
    g_assert_cmphex(get(&r, 0x14, 1), ==, 1);
    set(&r, 0, 4, 1);
    g_assert_cmphex(get(&r, 0x14, 1), ==, 3);
    g_assert_cmphex(get(&r, 0, 4), ==, 0x23000000);
    g_assert_cmphex(get(&r, 4, 4), ==, 1);
    g_assert_cmphex(get(&r, 8, 4), ==, 0);
    g_assert_cmphex(get(&r, 12, 4), ==, 2);
    g_assert_cmphex(get(&r, 0x10, 4), ==, 3);
    set(&r, 0x14, 1, 2);
    acpi_memory_unplug_request(r.block, 1);
    g_assert_cmphex(get(&r, 0x14, 1), ==, 5);
    set(&r, 0x14, 1, 4);
    set(&r, 0x14, 1, 8);
    loop_run_posts(r.t->loop);
    g_assert_cmpuint(r.ejected, ==, 0); /* it goes when the guest has seen that it is gone */
    g_assert_cmphex(get(&r, 0x14, 1), ==, 0);
    loop_run_posts(r.t->loop);
    g_assert_cmpuint(r.ejected, ==, 1);
    g_assert_cmpuint(r.which, ==, 1);
    acpi_memory_gone(r.block, 1);
    g_assert_cmphex(get(&r, 0x14, 1), ==, 0);
    set(&r, 0, 4, 77);
    set(&r, 0x14, 1, 0xff);
    g_assert_cmphex(get(&r, 0x14, 1), ==, 0);
}

static void test_pci(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(Rig) r = {.t = test_device("edu")};
    PciBus *bus = pci_bus_of(r.t->vm);
    AcpiPciConfig c = {.root = bus, .root_bus = true, .event = {raise_event, &r}};
    r.block = acpi_pci_hotplug_new(r.t->vm, &c);
    acpi_pci_hotplug_ready(r.block);
    Device *d = device_new(r.t->vm, "edu", &error);
    g_assert_no_error(error);
    d->hotplugged = d->user = true;
    g_assert_true(object_set_string(&d->object, "addr", "5", &error));
    g_assert_true(object_set_string(&d->object, "acpi-index", "42", &error));
    g_assert_true(device_realize(d, &bus->bus, &error));
    g_assert_cmpuint(r.raised, ==, 1);
    set(&r, 0x10, 4, 0);
    g_assert_cmphex(get(&r, 0, 4), ==, 1 << 5);
    g_assert_cmphex(get(&r, 0, 4), ==, 0);
    set(&r, 0x14, 4, 1 << 5);
    g_assert_cmpuint(get(&r, 0x14, 4), ==, 42);
    g_assert_true(device_unplug_request(d, &error));
    g_assert_cmphex(get(&r, 4, 4), ==, 1 << 5);
    set(&r, 8, 4, 1 << 5);
    g_assert_nonnull(bus->slot[5 << 3]);
    loop_run_posts(r.t->loop);
    g_assert_null(bus->slot[5 << 3]);
    g_assert_cmphex(get(&r, 4, 4), ==, 0);
    set(&r, 0x10, 4, 9);                /* no such bus */
    set(&r, 8, 4, UINT32_MAX);
    g_assert_cmphex(get(&r, 0, 4), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi-hotplug/cpus", test_cpus);
    g_test_add_func("/acpi-hotplug/memory", test_memory);
    g_test_add_func("/acpi-hotplug/pci", test_pci);
    return g_test_run();
}
