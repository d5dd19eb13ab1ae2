/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio GPU that is a standard VGA until its driver comes. Spec: virtio 1.2, 5.7.7; QEMU's
 * docs/specs/standard-vga for BAR 2's first page.
 *
 * The PCI function has no domain (hw/virtio/virtio-pci.c), but VGA's registers need one: they are a
 * device of their own, "vga-part", below the function.
 */
#include "hw/display/vga-io.h"
#include "hw/display/virtio-gpu.h"
#include "hw/virtio/virtio-pci.h"
#include "util/error.h"

enum { VRAM_BAR = 0, REGISTERS_BAR = 2, MSIX_BAR = 4 };

/* ---- VGA's registers ---- */

typedef struct VgaPart {
    Device dev;
    VgaState state;
    VgaIo io;
    bool wired;                 /* has its memory and console */
} VgaPart;

static void part_reset(Device *d)
{
    if (((VgaPart *)d)->wired) {
        vga_reset(&((VgaPart *)d)->io.view);
    }
}

static void part_restored(Device *d)
{
    if (((VgaPart *)d)->wired) {
        vga_restored(&((VgaPart *)d)->io.view);
    }
}

static const Field part_fields[] = {
    SAVED(VgaPart, state), HOST(VgaPart, io), HOST(VgaPart, wired),
};
static const DeviceType part_type = {
    .name = "vga-part", .desc = "VGA's registers within another card", .size = sizeof(VgaPart),
    .category = DEVICE_DISPLAY, FIELDS(part_fields), .reset = part_reset, .restored = part_restored,
};
DEVICE_TYPE(part_type);

/* ---- the card ---- */

typedef struct VirtioVga {
    VirtioPci virtio;
    VgaPart *part;
    uint32_t vgamem_mb;
} VirtioVga;

static bool make_part(VirtioVga *s, GError **error)
{
    Device *d = &s->virtio.pci.dev;
    VgaPart *part = (VgaPart *)device_new(d->object.vm, "vga-part", error);

    if (!part) {
        return false;
    }
    object_add_child(&d->object, "vga", &part->dev.object);
    if (!device_realize(&part->dev, NULL, error)) {
        return false;
    }
    s->part = part;
    return true;
}

static void show_again(void *opaque)
{
    vga_show_again(opaque);
}

static bool realize(Device *d, GError **error)
{
    VirtioVga *s = (VirtioVga *)d;
    PciDevice *p = &s->virtio.pci;
    VirtioGpu *gpu = (VirtioGpu *)s->virtio.v;
    const PciBar vram = {.kind = PCI_BAR_PREF32, .size = (uint64_t)s->vgamem_mb << 20, .ram = true,
                         .name = "vga.vram"};

    if (s->vgamem_mb < 1 || s->vgamem_mb > 512 || (s->vgamem_mb & (s->vgamem_mb - 1))) {
        return error_set(error, "vgamem_mb=%u: expected a power of 2 from 1 to 512", s->vgamem_mb);
    }
    if (!s->virtio.modern) {
        return error_set(error, "virtio-vga has no place but in the modern registers");
    }
    if (!pci_add_bar(p, VRAM_BAR, &vram, NULL, error) || !make_part(s, error)) {
        return false;
    }
    VgaIo *io = &s->part->io;
    mem_add(pci_bar_region(p, REGISTERS_BAR), 0, vga_io_registers(io, &s->part->dev), 0);
    edid_make(&(EdidInfo){gpu->xres, gpu->yres}, io->edid);
    io->has_edid = gpu->has_edid;
    vga_start(&io->view, &s->part->dev, &s->part->state, pci_bar_region(p, VRAM_BAR),
              gpu->output[0].console);
    s->part->wired = true;
    gpu->before = (GpuBefore){&vga_console_ops, &io->view, show_again};
    vga_reset(&io->view);
    vga_io_map(io, p->bus->root);
    return true;
}

static void unrealize(Device *d)
{
    VirtioVga *s = (VirtioVga *)d;

    if (s->virtio.v) {
        ((VirtioGpu *)s->virtio.v)->before.ops = NULL;
    }
    if (s->part) {
        vga_io_unmap(&s->part->io);
        vga_stop(&s->part->io.view);
        s->part->wired = false;
    }
}

static const VirtioPciClass class = {
    .class = 0x030000, .modern_bar = REGISTERS_BAR, .msix_bar = MSIX_BAR, .modern_at = VGA_MMIO,
};
static const PciInfo info = {VIRTIO_PCI_INFO, .rom = "vgabios-virtio.bin"};
static const Field fields[] = {
    HOST(VirtioVga, virtio), HOST(VirtioVga, part),
    PROP(VirtioVga, vgamem_mb, "vgamem_mb", PROP_U32, .init = 8, .desc = "VGA's video memory in MiB"),
};
static const DeviceType virtio_vga = {
    .name = "virtio-vga", .parent = "virtio-pci", .desc = "virtio GPU with VGA", .size = sizeof(VirtioVga),
    .wraps = "virtio-gpu-device", .category = DEVICE_DISPLAY, .pluggable = true, FIELDS(fields),
    .realize = realize, .unrealize = unrealize, .ext = &class, .pci = &info,
};
DEVICE_TYPE(virtio_vga);
