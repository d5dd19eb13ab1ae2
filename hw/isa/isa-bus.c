/* SPDX-License-Identifier: Apache-2.0 */
/* The ISA bus and the bridge that owns it on machines without a PCI-to-ISA bridge. */
#include "hw/isa.h"

typedef struct IsaBridge {
    Device dev;
    Pin irqs[ISA_IRQS];
} IsaBridge;

static const BusType isa_bus_type = {.name = "ISA", .parent = "bus", .size = sizeof(Bus)};
OBJECT_TYPE(isa_bus_type);

static const Field fields[] = {HOST(IsaBridge, irqs)};
static const DeviceType isabus_bridge = {
    .name = "isabus-bridge", .desc = "ISA bus", .size = sizeof(IsaBridge),
    .category = DEVICE_BRIDGE, FIELDS(fields),
};
DEVICE_TYPE(isabus_bridge);

Bus *isa_bus_new(Vm *vm, const Pin irqs[ISA_IRQS])
{
    IsaBridge *bridge = (IsaBridge *)device_make(vm, "isabus-bridge");
    for (unsigned n = 0; n < ISA_IRQS; n++)
        bridge->irqs[n] = irqs[n];
    return bus_new(&bridge->dev, &isa_bus_type, "isa.0");
}

Pin isa_irq(Bus *isa, unsigned n)
{
    return n < ISA_IRQS ? ((IsaBridge *)isa->owner)->irqs[n] : (Pin){NULL, 0};
}

Bus *isa_bus_of(Vm *vm)
{
    return bus_find(vm, "isa.0", "ISA");
}

unsigned isa_count(Bus *isa, const char *type)
{
    unsigned count = 0;
    for (unsigned i = 0; i < isa->devices->len; i++)
        count += object_is_a(g_ptr_array_index(isa->devices, i), type);
    return count;
}
