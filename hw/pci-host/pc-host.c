/* SPDX-License-Identifier: Apache-2.0 */
/* Host bridges of PCs: root bus and configuration mechanism #1. */
#include "hw/pci-host/pc-host.h"

PcHost *pc_host_new(Vm *vm, const char *type, const char *bus, bool express, const PcHostConfig *config)
{
    PcHost *s = (PcHost *)device_make(vm, type);
    PciRootConfig root = {.name = bus, .express = express, .memory = config->pci, .io = vm->io_root,
                          .msi = config->msi};
    s->c = *config;
    s->root = pci_root_new(&s->dev, &root);
    pci_ports_init(&s->ports, &s->dev.object, s->root);
    mem_add(vm->io_root, 0xcf8, s->ports.address_io, 0);
    mem_add(vm->io_root, 0xcfc, s->ports.data_io, 0);
    return s;
}

void pc_host_add(PcHost *s, PciDevice *function)
{
    g_autoptr(GError) error = NULL;
    s->function = function;
    if (!device_realize(&function->dev, &s->root->bus, &error))
        g_error("%s: %s", function->dev.object.type->name, error->message);
}

void pc_host_reset_port(PciBus *root, uint64_t (*read)(void *, uint64_t, unsigned),
                        void (*write)(void *, uint64_t, uint64_t, unsigned), void *opaque)
{
    PciPorts *ports = &((PcHost *)root->bus.owner)->ports;
    ports->narrow_read = read;
    ports->narrow_write = write;
    ports->narrow_opaque = opaque;
}

uint64_t pc_host_hole64(PciBus *root) { return ((PcHost *)root->bus.owner)->hole64_size; }

static const Field fields[] = {
    HOST(PcHost, root), SAVED(PcHost, ports.address), HOST(PcHost, c), HOST(PcHost, function),
    PROP(PcHost, hole64_size, "pci-hole64-size", PROP_SIZE, .desc = "Size of the window above 4 GiB"),
};
static const DeviceType pc_host = {
    .name = "pc-pcihost", .desc = "PC host bridge", .size = sizeof(PcHost), .abstract = true,
    .category = DEVICE_BRIDGE, FIELDS(fields),
};
DEVICE_TYPE(pc_host);
