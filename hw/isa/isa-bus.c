/* SPDX-License-Identifier: Apache-2.0 */
/* The ISA bus and the bridge that owns it on machines without a PCI-to-ISA bridge. */
#include "hw/isa.h"

typedef struct IsaBridge {
    Device dev;
    Pin irqs[ISA_IRQS];
    Device *dma[ISA_DMA_CHIPS];
    char *path;                 /* of the function that firmware sees it behind */
} IsaBridge;

/* "pci@i0cf8/isa@1/fdc@03f0". */
static char *fw_name(Bus *b, Device *d)
{
    const char *name = device_type(d)->fw_name, *path = ((IsaBridge *)b->owner)->path;
    PropValue at = {0};
    if (!name || !object_get(&d->object, "iobase", &at, NULL))
        return NULL;
    return g_strdup_printf("%s%s%s@%04x", path ? path + 1 : "", path ? "/" : "", name, (unsigned)at.u);
}

static const BusType isa_bus_type = {.name = "ISA", .parent = "bus", .size = sizeof(Bus), .fw_name = fw_name};
OBJECT_TYPE(isa_bus_type);

static void finish(Object *o) { g_free(((IsaBridge *)o)->path); }

static const Field fields[] = {HOST(IsaBridge, irqs), HOST(IsaBridge, dma), HOST(IsaBridge, path)};
static const DeviceType isabus_bridge = {
    .name = "isabus-bridge", .desc = "ISA bus", .size = sizeof(IsaBridge),
    .category = DEVICE_BRIDGE, FIELDS(fields), .finish = finish,
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

void isa_bus_set_path(Bus *isa, char *path)
{
    g_free(((IsaBridge *)isa->owner)->path);
    ((IsaBridge *)isa->owner)->path = path;
}

void isa_bus_set_dma(Bus *isa, Device *const chips[ISA_DMA_CHIPS])
{
    for (unsigned n = 0; n < ISA_DMA_CHIPS; n++)
        ((IsaBridge *)isa->owner)->dma[n] = chips[n];
}

Device *isa_bus_dma(Bus *isa, unsigned chip)
{
    return ((IsaBridge *)isa->owner)->dma[chip];
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
