/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard VGA card on PCI, with and without VGA's own ports, and the same without VGA at all
 * (bochs-display). Spec: QEMU's docs/specs/standard-vga.
 */
#include "hw/display/edid.h"
#include "hw/display/vga-io.h"
#include "util/error.h"

enum { VRAM_BAR = 0, MMIO_BAR = 2 };

typedef struct StdVga {
    PciDevice pci;
    VgaState state;
    VgaIo io;
    uint32_t vgamem_mb, xres, yres, xmax, ymax, refresh_rate;
    bool has_edid;
} StdVga;

static bool start(StdVga *s, GError **error)
{
    const PciBar vram = {.kind = PCI_BAR_PREF32, .size = (uint64_t)s->vgamem_mb << 20, .ram = true,
                         .name = "vga.vram"};
    const PciBar mmio = {.kind = PCI_BAR_MEM32, .size = VGA_MMIO};
    MemRegion *registers = vga_io_registers(&s->io, &s->pci.dev);
    EdidInfo monitor = {s->xres, s->yres, s->xmax, s->ymax, s->refresh_rate / 1000, 0, 0};

    if (s->vgamem_mb < 1 || s->vgamem_mb > 512 || (s->vgamem_mb & (s->vgamem_mb - 1))) {
        return error_set(error, "vgamem_mb=%u: expected a power of 2 from 1 to 512", s->vgamem_mb);
    }
    if (!pci_add_bar(&s->pci, VRAM_BAR, &vram, NULL, error) ||
        !pci_add_bar(&s->pci, MMIO_BAR, &mmio, registers, error)) {
        return false;
    }
    edid_make(&monitor, s->io.edid);
    s->io.has_edid = s->has_edid;
    vga_start(&s->io.view, &s->pci.dev, &s->state, pci_bar_region(&s->pci, VRAM_BAR), NULL);
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
    vga_io_map(&s->io, s->pci.bus->root);
    return true;
}

static void unrealize(Device *d)
{
    vga_io_unmap(&((StdVga *)d)->io);
    vga_stop(&((StdVga *)d)->io.view);
}

static void reset(Device *d)
{
    vga_reset(&((StdVga *)d)->io.view);
}

static void restored(Device *d)
{
    vga_restored(&((StdVga *)d)->io.view);
}

static const Field fields[] = {
    SAVED(StdVga, state), HOST(StdVga, io),
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
