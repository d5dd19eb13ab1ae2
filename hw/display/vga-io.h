/* SPDX-License-Identifier: Apache-2.0 */
/* Where a standard VGA's registers stand, for the cards that are one. */
#ifndef HW_DISPLAY_VGA_IO_H
#define HW_DISPLAY_VGA_IO_H

#include "hw/display/edid.h"
#include "hw/display/vga.h"

enum { VGA_MMIO = 4096 };

typedef struct VgaIo {
    VgaView view;
    MemRegion *window, *ports, *dispi_ports;    /* NULL: not mapped */
    uint8_t edid[EDID_SIZE];
    bool has_edid;
} VgaIo;

/* The page of registers, of VGA_MMIO bytes; accesses take the lock of `dev`. */
MemRegion *vga_io_registers(VgaIo *io, Device *dev);
/* VGA's own places; after vga_start(). */
void vga_io_map(VgaIo *io, PciBus *root);
void vga_io_unmap(VgaIo *io);

#endif
