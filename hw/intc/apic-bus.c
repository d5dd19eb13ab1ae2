/* SPDX-License-Identifier: Apache-2.0 */
/* Carries interrupt messages between APICs; owns the register window. Intel SDM vol. 3, 12.4-12.11. */
#include "core/accel.h"
#include "hw/intc/apic.h"
#include "util/log.h"

enum { APIC_BASE = 0xfee00000, WINDOW = 0x100000, IOAPIC_PINS = 24 };

Apic *apic_here(ApicBus *bus)
{
    Cpu *cpu = cpu_current();
    return cpu && cpu->index < bus->apics->len ? g_ptr_array_index(bus->apics, cpu->index) : NULL;
}

/* ---- local APICs elsewhere ---- */

/* SDM 12.11, backwards. */
static uint64_t msi_address(const ApicMessage *m)
{
    return APIC_BASE | (uint64_t)(m->dest & 0xff) << 12 | (uint64_t)(m->dest & 0xffffff00) << 32 |
           (m->mode == APIC_LOWEST ? 1 << 3 : 0) | (m->logical ? 1 << 2 : 0);
}

static uint32_t msi_data(const ApicMessage *m)
{
    return m->vector | (uint32_t)m->mode << 8 | (m->assert_level ? 1 << 14 : 0) | (m->level ? 1 << 15 : 0);
}

static void send_remote(ApicBus *bus, uint64_t address, uint32_t data)
{
    Vm *vm = bus->dev.object.vm;
    accel_of(vm)->msi(vm->accel, address, data);
}

void apic_bus_route(ApicBus *bus, Device *ioapic, unsigned n, bool used, uint64_t address, uint32_t data)
{
    Vm *vm = bus->dev.object.vm;
    guint chip;
    if (bus->remote && g_ptr_array_find(bus->ioapics, ioapic, &chip) && accel_of(vm)->route)
        accel_of(vm)->route(vm->accel, chip * IOAPIC_PINS + n, used, address, data);
}

void apic_bus_set_remap(ApicBus *bus, bool (*remap)(void *opaque, MsiMessage *m, bool quiet), void *opaque)
{
    device_lock(&bus->dev);
    bus->remap = remap;
    bus->remap_opaque = opaque;
    device_unlock(&bus->dev);
}

void apic_bus_remap_changed(ApicBus *bus)
{
    device_lock(&bus->dev);
    for (unsigned i = 0; bus->remote && i < bus->ioapics->len; i++)
        ioapic_tell(g_ptr_array_index(bus->ioapics, i));
    device_unlock(&bus->dev);
}

static void remote_eoi(void *opaque, uint8_t vector)
{
    ApicBus *bus = opaque;
    device_lock(&bus->dev);
    for (unsigned i = 0; i < bus->ioapics->len; i++)
        ioapic_eoi(g_ptr_array_index(bus->ioapics, i), vector);
    device_unlock(&bus->dev);
}

static int remote_pic_ack(void *opaque)
{
    ApicBus *bus = opaque;
    device_lock(&bus->dev);
    int vector = bus->lint0 && bus->pic_ack ? bus->pic_ack(bus->pic) : -1;
    device_unlock(&bus->dev);
    return vector;
}

/* ---- delivery ---- */

static void deliver_lowest(ApicBus *bus, const ApicMessage *m)
{
    unsigned n = bus->apics->len;
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (bus->lowest_next + i) % n;
        Apic *a = g_ptr_array_index(bus->apics, k);
        if (a && apic_matches(a, m->dest, m->logical) && apic_software_enabled(a)) {
            bus->lowest_next = k + 1;
            apic_accept(a, m);
            return;
        }
    }
}

void apic_bus_deliver(ApicBus *bus, const ApicMessage *m)
{
    device_lock(&bus->dev);
    trace(deliver, "dest 0x%x vector 0x%x mode %u logical %d level %d", m->dest, m->vector, m->mode,
          m->logical, m->level);
    if (bus->remote) {
        send_remote(bus, msi_address(m), msi_data(m));
    } else if (m->mode == APIC_LOWEST) {
        deliver_lowest(bus, m);
    } else {
        for (unsigned i = 0; i < bus->apics->len; i++) {
            Apic *a = g_ptr_array_index(bus->apics, i);
            if (a && apic_matches(a, m->dest, m->logical))
                apic_accept(a, m);
        }
    }
    device_unlock(&bus->dev);
}

/* SDM 12.11: the address carries the destination, the data the vector and modes. */
void apic_bus_msi(ApicBus *bus, uint64_t address, uint32_t data)
{
    if (bus->remote) {
        send_remote(bus, address, data);
        return;
    }
    ApicMessage m = {
        .dest = (address >> 12 & 0xff) | (uint32_t)(address >> 32 & 0xffffff00),
        .logical = address & 4,
        .vector = data, .mode = data >> 8 & 7,
        .level = data & 0x8000, .assert_level = data & 0x4000,
    };
    apic_bus_deliver(bus, &m);
}

/* ---- the window: a vCPU's own registers; anything else is an MSI ---- */

static uint64_t read_window(Device *d, uint64_t at, unsigned size)
{
    Apic *a = apic_here((ApicBus *)d);
    if (!a || !apic_xapic_mode(a) || at >= 0x1000)
        return UINT64_MAX;
    return at & 0xf ? 0 : apic_read_register(a, at >> 4);
}

static void write_window(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    ApicBus *bus = (ApicBus *)d;
    Apic *a = apic_here(bus);
    if ((!a && !(bus->remote && cpu_current())) || at >= 0x1000)
        apic_bus_msi(bus, APIC_BASE + at, value);
    else if (a && apic_xapic_mode(a) && !(at & 0xf))
        apic_write_register(a, at >> 4, value);
}

static void pic_pin(Device *d, uint32_t n, bool level)
{
    ApicBus *bus = (ApicBus *)d;
    bus->lint0 = level;
    irq_set(&bus->intr, level && bus->remote);
    for (unsigned i = 0; i < bus->apics->len; i++)
        if (g_ptr_array_index(bus->apics, i))
            apic_pic_changed(g_ptr_array_index(bus->apics, i));
}

static void init(Object *o)
{
    ApicBus *bus = (ApicBus *)o;
    bus->apics = g_ptr_array_new();
    bus->ioapics = g_ptr_array_new();
}

static void finish(Object *o)
{
    g_ptr_array_unref(((ApicBus *)o)->apics);
    g_ptr_array_unref(((ApicBus *)o)->ioapics);
}

static const Field fields[] = {
    HOST(ApicBus, apics), HOST(ApicBus, ioapics), HOST(ApicBus, pic_ack), LINK(ApicBus, pic),
    SAVED(ApicBus, lint0), HOST(ApicBus, remote), HOST(ApicBus, remap), HOST(ApicBus, remap_opaque), IRQ(ApicBus, intr), SAVED(ApicBus, lowest_next),
};
static const DeviceType apic_bus = {
    .name = "apic-bus", .desc = "APIC message bus", .size = sizeof(ApicBus), .window = WINDOW,
    .intc_domain = true, .min_access = 4, .max_access = 4, FIELDS(fields), .read = read_window,
    .write = write_window, .pin = pic_pin, .n_pins = 1, .init = init, .finish = finish,
};
DEVICE_TYPE(apic_bus);

ApicBus *apic_bus_new(Vm *vm)
{
    Device *d = device_make(vm, "apic-bus");
    device_place(d, APIC_BASE);
    return (ApicBus *)d;
}

ApicBus *apic_bus_new_remote(Vm *vm)
{
    ApicBus *bus = apic_bus_new(vm);
    bus->remote = true;
    irq_connect(&bus->intr, device_pin(&vm->cpus[0]->dev, X86_PIN_INTR));
    vm->accel->board = (AccelBoard){.eoi = remote_eoi, .pic_ack = remote_pic_ack, .opaque = bus};
    return bus;
}

void apic_bus_set_pic(ApicBus *bus, int (*ack)(Device *pic), Device *pic)
{
    bus->pic_ack = ack;
    bus->pic = pic;
}

Pin apic_bus_lint0(ApicBus *bus) { return device_pin(&bus->dev, 0); }
