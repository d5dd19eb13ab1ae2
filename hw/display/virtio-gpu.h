/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio GPU's parts: resources, and the device around them. Spec: virtio 1.2, 5.7. */
#ifndef HW_DISPLAY_VIRTIO_GPU_H
#define HW_DISPLAY_VIRTIO_GPU_H

#include "hw/virtio/virtio.h"
#include "ui/console.h"

enum {
    GPU_SCANOUTS = 16, GPU_ENTRIES_MAX = 16384, GPU_CURSOR = 64,
    GPU_OK = 0x1100, GPU_ERR_UNSPEC = 0x1200, GPU_ERR_MEMORY, GPU_ERR_SCANOUT, GPU_ERR_RESOURCE,
    GPU_ERR_CONTEXT, GPU_ERR_PARAMETER,
};

typedef struct GpuRect {
    uint32_t x, y, width, height;
} GpuRect;

/* A piece of guest memory, in host byte order. */
typedef struct GpuEntry {
    uint64_t pa;
    uint32_t length;
} GpuEntry;

typedef struct GpuResource {
    uint32_t id, format, width, height;
    uint32_t *pixels;           /* a8r8g8b8, the host's copy; NULL: a blob, which lies in guest memory */
    uint64_t blob_size;
    GpuEntry *entries;          /* guest memory behind it */
    uint32_t n_entries;
} GpuResource;

void gpu_resource_free(gpointer resource);
/* A picture of the host's; NULL: impossible, with a code. */
GpuResource *gpu_resource_2d(uint32_t id, uint32_t format, uint32_t width, uint32_t height);
bool gpu_format_known(uint32_t format);
static inline uint64_t gpu_resource_bytes(const GpuResource *r)
{
    return r->pixels ? (uint64_t)r->width * r->height * 4 : 0;
}
/* Whether the rectangle lies in a picture of that size. */
bool gpu_rect_fits(const GpuRect *r, uint32_t width, uint32_t height);
/* Fetches a part of the picture from guest memory, where its first pixel stands at `offset`. */
bool gpu_resource_fetch(GpuResource *res, AddressSpace *as, const GpuRect *r, uint64_t offset);
/* `n` pixels of a blob, converted; what is not backed stays. */
void gpu_blob_line(const GpuResource *res, AddressSpace *as, uint64_t at, uint32_t format, uint32_t *out,
                   uint32_t n);

/* What an output shows. */
typedef struct GpuScanout {
    uint32_t resource;          /* 0: nothing */
    GpuRect rect;               /* of the resource */
    uint32_t format, stride;    /* of blobs; width and height are rect's */
    uint64_t offset;
    uint32_t cursor, cursor_x, cursor_y, hot_x, hot_y;
} GpuScanout;

/* What shows on output 0 until the driver has shown something: virtio-vga's VGA. */
typedef struct GpuBefore {
    const ConsoleOps *ops;      /* NULL: nothing does */
    void *opaque;
    void (*again)(void *opaque);
} GpuBefore;

typedef struct VirtioGpu VirtioGpu;
typedef struct GpuOutput {
    VirtioGpu *gpu;
    unsigned index;
    Console *console;
    UiInfo wish;                /* what the viewer wants; width 0: not connected */
} GpuOutput;

struct VirtioGpu {
    VirtioDevice v;
    Virtq *control, *cursor;
    GHashTable *resources;      /* id -> GpuResource */
    uint64_t used;              /* bytes of pictures */
    GpuScanout scanout[GPU_SCANOUTS];
    GpuOutput output[GPU_SCANOUTS];
    bool enabled;               /* the driver has shown something: VGA is over */
    uint32_t events;            /* atomic: set by viewers, cleared by the driver */
    GBytes *pictures;           /* state: outputs and resources */
    GpuBefore before;
    /* properties */
    uint32_t max_outputs, xres, yres;
    uint64_t max_hostmem;
    bool has_edid, blob;
};

/* virtio-gpu-state.c */
GBytes *gpu_save_state(VirtioGpu *g);
/* Into a device that shows nothing; scanouts are not checked. False: no such state, and half is loaded. */
bool gpu_load_state(VirtioGpu *g, GBytes *from);

#endif
