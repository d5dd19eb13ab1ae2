/* SPDX-License-Identifier: Apache-2.0 */
/* System control port A: the A20 gate and the fast reset (IBM PS/2), and ports of PCs that only exist. */
#include "hw/pc-pci.h"

enum { FAST_RESET = 1, A20 = 2 };

typedef struct Port92 {
    Device dev;
    Irq a20;
    uint8_t value;
} Port92;

static void wrote(Device *d, uint64_t v)
{
    Port92 *s = (Port92 *)d;
    irq_set(&s->a20, v & A20);
    if (v & FAST_RESET)
        vm_request_reset(d->object.vm, CAUSE_GUEST_RESET);
}

static const Reg regs[] = {REG(0, "CONTROL_A", RW, .width = 1, IN(Port92, value), .wrote = wrote)};
static const Field fields[] = {IRQ(Port92, a20)};
static const DeviceType port92 = {
    .name = "port92", .desc = "System control port A", .size = sizeof(Port92), .window = 1,
    .max_access = 1, REGS(regs), FIELDS(fields),
};
DEVICE_TYPE(port92);

Device *port92_new(Vm *vm, Pin a20)
{
    Port92 *s = (Port92 *)device_make(vm, "port92");
    irq_connect(&s->a20, a20);
    device_place_io(&s->dev, 0x92);
    return &s->dev;
}

/* ---- what clears the coprocessor's error, and shows POST codes ---- */

static uint64_t read_ones(Device *d) { return 0xff; }
static void ignore(Device *d, uint64_t v) { }

static const Reg pc_regs[] = {REG(0, "PORT", RW, .width = 1, .read = read_ones, .wrote = ignore)};
static const DeviceType pc_ports = {
    .name = "pc-port", .desc = "A port of PCs that has no use here", .size = sizeof(Device), .window = 1,
    .max_access = 1, .regs = pc_regs, .n_regs = G_N_ELEMENTS(pc_regs),
};
DEVICE_TYPE(pc_ports);

void pc_ports_new(Vm *vm)
{
    static const uint16_t ports[] = {0x80, 0xf0};
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
        device_place_io(device_make(vm, "pc-port"), ports[i]);
}
