/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard VGA card on PCI, with and without VGA's own ports, and the same without VGA at all
 * (bochs-display). Spec: QEMU's docs/specs/standard-vga.
 */
#include "hw/display/edid.h"
#include "hw/display/vga.h"
#include "util/error.h"

enum {
    MMIO_SIZE = 4096, MMIO_PORTS = 0x400, MMIO_DISPI = 0x500, MMIO_QEXT = 0x600, QEXT_BYTES = 8,
    LITTLE = 0x1e1e1e1e, BIG = 0xbebebebe, VRAM_BAR = 0, MMIO_BAR = 2,
};

typedef struct StdVga {
    PciDevice pci;
    VgaState state;
    VgaView view;
    MemRegion *window, *ports, *dispi_ports;
    uint8_t edid[EDID_SIZE];
    uint32_t vgamem_mb, xres, yres, xmax, ymax, refresh_rate;
    bool has_edid;
} StdVga;

/* ---- the register BAR ---- */

static uint64_t mmio_read(void *opaque, uint64_t at, unsigned size)
{
    StdVga *s = opaque;

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
    StdVga *s = opaque;

    if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20) {
        vga_port_write(&s->view, at - MMIO_PORTS + 0x3c0, value);
        if (size == 2) {        /* index and data at once, as with the ports */
            vga_port_write(&s->view, at - MMIO_PORTS + 0x3c1, value >> 8);
        }
    } else if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * DISPI_REGS && size == 2) {
        vga_dispi_write(&s->view, (at - MMIO_DISPI) / 2, value);
    } else if (at >= MMIO_QEXT && at < MMIO_QEXT + QEXT_BYTES) {
        if (at == MMIO_QEXT + 4 && (uint32_t)value == BIG) {
            log_guest(s, "big-endian pictures are not implemented");
        }
    } else {
        log_guest(s, "write to register 0x%x, which does not exist", (unsigned)at);
    }
}

static const MemOps mmio_ops = {mmio_read, mmio_write, .min_access = 1, .max_access = 2};

/* ---- VGA's own places ---- */

static uint64_t window_read(void *opaque, uint64_t at, unsigned size)
{
    return vga_window_read(&((StdVga *)opaque)->view, at);
}

static void window_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    vga_window_write(&((StdVga *)opaque)->view, at, value);
}

static uint64_t port_read(void *opaque, uint64_t at, unsigned size)
{
    return vga_port_read(&((StdVga *)opaque)->view, at + VGA_PORTS_AT);
}

static void port_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    vga_port_write(&((StdVga *)opaque)->view, at + VGA_PORTS_AT, value);
}

/* Index at 0x1ce, data at 0x1cf or, for those who like even addresses, 0x1d0. */
static uint64_t dispi_port_read(void *opaque, uint64_t at, unsigned size)
{
    StdVga *s = opaque;

    return at == 0 ? s->state.dispi.index : vga_dispi_read(&s->view, s->state.dispi.index);
}

static void dispi_port_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    StdVga *s = opaque;

    if (at == 0) {
        s->state.dispi.index = value;
    } else {
        vga_dispi_write(&s->view, s->state.dispi.index, value);
    }
}

static const MemOps window_ops = {window_read, window_write, .min_access = 1, .max_access = 1};
static const MemOps port_ops = {port_read, port_write, .min_access = 1, .max_access = 1};
static const MemOps dispi_port_ops = {dispi_port_read, dispi_port_write, .min_access = 1, .max_access = 2};

static void map_legacy(StdVga *s)
{
    Object *owner = &s->pci.dev.object;
    PciBus *root = s->pci.bus->root;

    s->window = mem_io(owner, "vga-lowmem", VGA_WINDOW, &window_ops, s, &s->pci.dev);
    mem_set_coalesced(s->window, true);
    s->ports = mem_io(owner, "vga-ports", VGA_PORTS, &port_ops, s, &s->pci.dev);
    s->dispi_ports = mem_io(owner, "vbe-ports", DISPI_PORTS, &dispi_port_ops, s, &s->pci.dev);
    mem_transaction_begin(owner->vm);
    mem_add(root->memory, VGA_WINDOW_AT, s->window, 1);
    mem_add(root->io, VGA_PORTS_AT, s->ports, 0);
    mem_add(root->io, DISPI_PORTS_AT, s->dispi_ports, 0);
    mem_transaction_commit(owner->vm);
}

static void unmap_legacy(StdVga *s)
{
    MemRegion *all[] = {s->window, s->ports, s->dispi_ports};

    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i]) {
            mem_remove(all[i]);
        }
    }
}

/* ---- life ---- */

static bool start(StdVga *s, GError **error)
{
    const PciBar vram = {.kind = PCI_BAR_PREF32, .size = (uint64_t)s->vgamem_mb << 20, .ram = true,
                         .name = "vga.vram"};
    const PciBar mmio = {.kind = PCI_BAR_MEM32, .size = MMIO_SIZE, .ops = &mmio_ops,
                         .name = "vga.mmio"};
    EdidInfo monitor = {s->xres, s->yres, s->xmax, s->ymax, s->refresh_rate / 1000, 0, 0};

    if (s->vgamem_mb < 1 || s->vgamem_mb > 512 || (s->vgamem_mb & (s->vgamem_mb - 1))) {
        return error_set(error, "vgamem_mb=%u: expected a power of 2 from 1 to 512", s->vgamem_mb);
    }
    if (!pci_add_bar(&s->pci, VRAM_BAR, &vram, NULL, error) ||
        !pci_add_bar(&s->pci, MMIO_BAR, &mmio, NULL, error)) {
        return false;
    }
    edid_make(&monitor, s->edid);
    vga_start(&s->view, &s->pci.dev, &s->state, pci_bar_region(&s->pci, VRAM_BAR));
    return true;
}

static bool plain_realize(Device *d, GError **error)
{
    return start((StdVga *)d, error);
}

static bool vga_realize(Device *d, GError **error)
{
    StdVga *s = (StdVga *)d;

    if (!start(s, error)) {
        return false;
    }
    map_legacy(s);
    return true;
}

static void unrealize(Device *d)
{
    unmap_legacy((StdVga *)d);
    vga_stop(&((StdVga *)d)->view);
}

static void reset(Device *d)
{
    vga_reset(&((StdVga *)d)->view);
}

static void restored(Device *d)
{
    vga_restored(&((StdVga *)d)->view);
}

static const Field fields[] = {
    SAVED(StdVga, state),
    HOST(StdVga, view), HOST(StdVga, window), HOST(StdVga, ports), HOST(StdVga, dispi_ports),
    HOST(StdVga, edid),
    PROP(StdVga, vgamem_mb, "vgamem_mb", PROP_U32, .init = 16, .desc = "Video memory in MiB"),
    PROP(StdVga, has_edid, "edid", PROP_BOOL, .init = 1, .desc = "The monitor tells what it can"),
    PROP(StdVga, xres, "xres", PROP_U32, .init = 1280, .desc = "Preferred width"),
    PROP(StdVga, yres, "yres", PROP_U32, .init = 800, .desc = "Preferred height"),
    PROP(StdVga, xmax, "xmax", PROP_U32, .desc = "Greatest width, 0: no limit"),
    PROP(StdVga, ymax, "ymax", PROP_U32, .desc = "Greatest height, 0: no limit"),
    PROP(StdVga, refresh_rate, "refresh_rate", PROP_U32, .desc = "Preferred rate in mHz"),
};
static const PciInfo vga_info = {.vendor = 0x1234, .device = 0x1111, .class = 0x030000, .revision = 2,
                                 .no_hotplug = true, .rom = "vgabios-stdvga.bin"};
static const PciInfo secondary_info = {.vendor = 0x1234, .device = 0x1111, .class = 0x038000,
                                       .revision = 2};
static const PciInfo bochs_info = {.vendor = 0x1234, .device = 0x1111, .class = 0x038000, .revision = 2,
                                   .express = PCIE_BEHIND_PORT, .rom = "vgabios-bochs-display.bin"};

#define CARD(variable, name_, desc_, info_, realize_, hot_)                                       \
    static const DeviceType variable = {                                                          \
        .name = name_, .parent = "pci-device", .desc = desc_, .size = sizeof(StdVga),             \
        .category = DEVICE_DISPLAY, .pluggable = true, .hotpluggable = hot_, FIELDS(fields),      \
        .realize = realize_, .unrealize = unrealize, .reset = reset, .restored = restored,        \
        .pci = &info_,                                                                            \
    };                                                                                            \
    DEVICE_TYPE(variable)
CARD(vga, "VGA", "Standard VGA", vga_info, vga_realize, false);
CARD(secondary, "secondary-vga", "Standard VGA without VGA's ports", secondary_info, plain_realize, true);
CARD(bochs, "bochs-display", "Linear display without VGA", bochs_info, plain_realize, true);
