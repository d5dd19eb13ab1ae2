/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of video cards: one on PCI, its video memory in BAR 0, registers in another. */
#ifndef HW_DISPLAY_CARD_RIG_H
#define HW_DISPLAY_CARD_RIG_H

#include "core/testing.h"
#include "hw/pci.h"
#include "ui/console.h"

enum { VRAM = 0x50000000, MMIO = 0x60000000 };

typedef struct Rig {
    TestDevice *t;
    Vm *vm;
    Console *console;
    AddressSpace *pci;          /* the bus's view: this bridge has no way to VGA's window */
    uint64_t ports;             /* where port 0 would stand among the registers */
} Rig;

static inline void put(Rig *r, uint64_t pa, unsigned size, uint64_t v)
{
    as_store(r->pci, pa, size, v);
}

static inline uint64_t get(Rig *r, uint64_t pa, unsigned size)
{
    uint64_t v = 0;

    as_load(r->pci, pa, size, &v);
    return v;
}

/* bar: that of the registers, in which VGA's ports begin at `ports`. */
static inline Rig rig_new(const char *type, unsigned bar, uint64_t ports)
{
    Rig r = {.t = test_device(type), .ports = MMIO + ports - 0x3c0};
    PciDevice *p = (PciDevice *)r.t->dev;

    r.vm = r.t->vm;
    r.console = console_at(r.vm, 0);
    r.pci = address_space_new(r.vm, p->bus->root->memory, "pci");
    pci_config_write(p, PCI_BAR0, VRAM, 4);
    pci_config_write(p, PCI_BAR0 + 4 * bar, MMIO, 4);
    pci_config_write(p, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_IO, 2);
    loop_run_posts(r.t->loop);
    return r;
}

static inline void rig_free(Rig *r)
{
    address_space_free(r->pci);
    test_device_free(r->t);
}

/* A register behind an index port. */
static inline void port(Rig *r, unsigned at, unsigned index, unsigned value)
{
    put(r, r->ports + at, 1, index);
    put(r, r->ports + at + 1, 1, value);
}

static inline uint32_t pixel(Rig *r, unsigned x, unsigned y)
{
    console_refresh(r->console);
    return surface_line(console_surface(r->console), y)[x];
}

#endif
