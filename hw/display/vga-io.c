/* SPDX-License-Identifier: Apache-2.0 */
/* Where a standard VGA's registers stand: VGA's ports and window, the display interface's ports, and all
 * of them in a page of memory. Spec: QEMU's docs/specs/standard-vga. */
#include "hw/display/vga-io.h"

enum {
    MMIO_PORTS = 0x400, MMIO_DISPI = 0x500, MMIO_QEXT = 0x600, QEXT_BYTES = 8,
    LITTLE = 0x1e1e1e1e, BIG = 0xbebebebe,
};

/* ---- the register BAR ---- */

static uint64_t mmio_read(void *opaque, uint64_t at, unsigned size)
{
    VgaIo *s = opaque;

    if (at < EDID_SIZE) {
        return s->has_edid ? s->edid[at] : 0;
    }
    if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20) {
        return vga_port_read(&s->view, at - MMIO_PORTS + 0x3c0);
    }
    if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * DISPI_REGS) {
        return vga_dispi_read(&s->view, (at - MMIO_DISPI) / 2) >> (at & 1 ? 8 : 0) & (size == 1 ? 0xff : 0xffff);
    }
    if (at >= MMIO_QEXT && at < MMIO_QEXT + QEXT_BYTES) {
        uint32_t value = at < MMIO_QEXT + 4 ? QEXT_BYTES : LITTLE;
        return value >> 8 * (at & 3);
    }
    return 0;
}

static void mmio_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    VgaIo *s = opaque;

    if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20) {
        vga_port_write(&s->view, at - MMIO_PORTS + 0x3c0, value);
        if (size == 2) {        /* index and data at once, as with the ports */
            vga_port_write(&s->view, at - MMIO_PORTS + 0x3c1, value >> 8);
        }
    } else if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * DISPI_REGS && size == 2) {
        vga_dispi_write(&s->view, (at - MMIO_DISPI) / 2, value);
    } else if (at >= MMIO_QEXT && at < MMIO_QEXT + QEXT_BYTES) {
        if (at == MMIO_QEXT + 4 && (uint32_t)value == BIG) {
            log_guest(s->view.dev, "big-endian pictures are not implemented");
        }
    } else {
        log_guest(s->view.dev, "write to register 0x%x, which does not exist", (unsigned)at);
    }
}

static const MemOps mmio_ops = {mmio_read, mmio_write, .min_access = 1, .max_access = 2};

/* ---- VGA's own places ---- */

static uint64_t window_read(void *opaque, uint64_t at, unsigned size)
{
    return vga_window_read(&((VgaIo *)opaque)->view, at);
}

static void window_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    vga_window_write(&((VgaIo *)opaque)->view, at, value);
}

static uint64_t port_read(void *opaque, uint64_t at, unsigned size)
{
    return vga_port_read(&((VgaIo *)opaque)->view, at + VGA_PORTS_AT);
}

static void port_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    vga_port_write(&((VgaIo *)opaque)->view, at + VGA_PORTS_AT, value);
}

/* Index at 0x1ce, data at 0x1cf or, for those who like even addresses, 0x1d0. */
static uint64_t dispi_port_read(void *opaque, uint64_t at, unsigned size)
{
    VgaIo *s = opaque;

    return at == 0 ? s->view.state->dispi.index : vga_dispi_read(&s->view, s->view.state->dispi.index);
}

static void dispi_port_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    VgaIo *s = opaque;

    if (at == 0) {
        s->view.state->dispi.index = value;
    } else {
        vga_dispi_write(&s->view, s->view.state->dispi.index, value);
    }
}

static const MemOps window_ops = {window_read, window_write, .min_access = 1, .max_access = 1};
static const MemOps port_ops = {port_read, port_write, .min_access = 1, .max_access = 1};
static const MemOps dispi_port_ops = {dispi_port_read, dispi_port_write, .min_access = 1, .max_access = 2};

MemRegion *vga_io_registers(VgaIo *s, Device *dev)
{
    return mem_io(&dev->object, "vga.mmio", VGA_MMIO, &mmio_ops, s, dev);
}

void vga_io_map(VgaIo *s, PciBus *root)
{
    Device *dev = s->view.dev;
    Object *owner = &dev->object;

    s->window = mem_io(owner, "vga-lowmem", VGA_WINDOW, &window_ops, s, dev);
    mem_set_coalesced(s->window, true);
    s->ports = mem_io(owner, "vga-ports", VGA_PORTS, &port_ops, s, dev);
    s->dispi_ports = mem_io(owner, "vbe-ports", DISPI_PORTS, &dispi_port_ops, s, dev);
    mem_transaction_begin(owner->vm);
    mem_add(root->memory, VGA_WINDOW_AT, s->window, 1);
    mem_add(root->io, VGA_PORTS_AT, s->ports, 0);
    mem_add(root->io, DISPI_PORTS_AT, s->dispi_ports, 0);
    mem_transaction_commit(owner->vm);
}

void vga_io_unmap(VgaIo *s)
{
    MemRegion **all[] = {&s->window, &s->ports, &s->dispi_ports};

    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (*all[i]) {
            mem_remove(*all[i]);
            *all[i] = NULL;
        }
    }
}
