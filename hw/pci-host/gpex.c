/* SPDX-License-Identifier: Apache-2.0 */
/* Generic PCI Express host bridge. Spec: the pci-host-ecam-generic binding; PCI Express 5.0, 7.2.2. */
#include "hw/pci-host.h"

typedef struct Gpex {
    Device dev;
    Irq irq[PCI_PINS];
    PciBus *root;
} Gpex;

static const Field fields[] = {IRQ(Gpex, irq), HOST(Gpex, root)};
static const DeviceType gpex_host = {
    .name = "gpex-pcihost", .desc = "Generic PCI Express host bridge", .size = sizeof(Gpex),
    .category = DEVICE_BRIDGE, FIELDS(fields),
};
DEVICE_TYPE(gpex_host);

static const PciInfo root_info = {
    .vendor = 0x1b36, .device = 0x0008, .class = 0x060000, .no_hotplug = true,
};
static const DeviceType gpex_root = {
    .name = "gpex-root", .parent = "pci-device", .desc = "Generic PCI Express host bridge, function",
    .size = sizeof(PciDevice), .category = DEVICE_BRIDGE, .pci = &root_info,
};
DEVICE_TYPE(gpex_root);

static void set_line(void *opaque, unsigned line, bool level) { irq_set(&((Gpex *)opaque)->irq[line], level); }

static void add_window(Gpex *s, const char *name, MemRegion *space, uint64_t base, uint64_t size)
{
    if (size)
        mem_add(s->dev.object.vm->memory_root, base, mem_alias(&s->dev.object, name, space, base, size),
                0);
}

PciBus *gpex_new(Vm *vm, const GpexConfig *c)
{
    Gpex *s = (Gpex *)device_make(vm, "gpex-pcihost");
    Object *o = &s->dev.object;
    MemRegion *space = mem_container(o, "gpex_mmio", UINT64_MAX);
    MemRegion *ports = c->pio ? mem_container(o, "gpex_ioport", 0x10000) : vm->io_root;
    PciRootConfig config = {
        .name = "pcie.0", .express = true, .memory = space, .io = ports, .n_lines = PCI_PINS,
        .set_line = set_line, .opaque = s, .msi = c->msi,
    };
    for (unsigned n = 0; n < PCI_PINS; n++)
        irq_connect(&s->irq[n], c->irq[n]);
    s->root = pci_root_new(&s->dev, &config);
    mem_add(vm->memory_root, c->ecam, pci_ecam(o, s->root, 0, c->buses), 0);
    add_window(s, "gpex_mmio_window", space, c->mmio32.base, c->mmio32.size);
    add_window(s, "gpex_mmio_window_high", space, c->mmio64.base, c->mmio64.size);
    if (c->pio)
        mem_add(vm->memory_root, c->pio, ports, 0);
    pci_make(s->root, "gpex-root", 0, 0);
    return s->root;
}
