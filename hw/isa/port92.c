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

/* ---- DMA controllers (their registers keep what is written), POST code, coprocessor error ---- */

typedef struct PcPorts {
    Device dev;
    MemRegion *dma2, *pages, *ferr;
    uint8_t low[16], high[32], page[16];
} PcPorts;

static uint64_t read_low(Device *d, uint64_t at, unsigned size) { return at < 16 ? ((PcPorts *)d)->low[at] : 0; }
static void write_low(Device *d, uint64_t at, uint64_t v, unsigned size) { ((PcPorts *)d)->low[at & 15] = v; }
static uint64_t read_high(void *s, uint64_t at, unsigned size) { return ((PcPorts *)s)->high[at]; }
static void write_high(void *s, uint64_t at, uint64_t v, unsigned size) { ((PcPorts *)s)->high[at] = v; }
static uint64_t read_page(void *s, uint64_t at, unsigned size) { return ((PcPorts *)s)->page[at]; }
static void write_page(void *s, uint64_t at, uint64_t v, unsigned size) { ((PcPorts *)s)->page[at] = v; }
static uint64_t read_ferr(void *s, uint64_t at, unsigned size) { return 0xff; }
static void write_ferr(void *s, uint64_t at, uint64_t v, unsigned size) { }

static const MemOps high_ops = {read_high, write_high, 1, 1}, page_ops = {read_page, write_page, 1, 1},
                    ferr_ops = {read_ferr, write_ferr, 1, 1};

static const Field pc_fields[] = {
    HOST(PcPorts, dma2), HOST(PcPorts, pages), HOST(PcPorts, ferr), SAVED(PcPorts, low),
    SAVED(PcPorts, high), SAVED(PcPorts, page),
};
static const DeviceType pc_ports = {
    .name = "pc-ports", .desc = "Ports of PCs that have no use here", .size = sizeof(PcPorts),
    .window = 16, .max_access = 1, .fields = pc_fields, .n_fields = G_N_ELEMENTS(pc_fields),
    .read = read_low, .write = write_low,
};
DEVICE_TYPE(pc_ports);

Device *pc_ports_new(Vm *vm)
{
    PcPorts *s = (PcPorts *)device_make(vm, "pc-ports");
    Object *o = &s->dev.object;
    device_place_io(&s->dev, 0);
    s->pages = mem_io(o, "dma-page", 16, &page_ops, s, &s->dev);
    s->dma2 = mem_io(o, "dma-chan2", 32, &high_ops, s, &s->dev);
    s->ferr = mem_io(o, "ioportF0", 1, &ferr_ops, s, &s->dev);
    mem_add(vm->io_root, 0x80, s->pages, -1);
    mem_add(vm->io_root, 0xc0, s->dma2, 0);
    mem_add(vm->io_root, 0xf0, s->ferr, 0);
    return &s->dev;
}
