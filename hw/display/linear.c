/* SPDX-License-Identifier: Apache-2.0 */
/* Linear pictures in video memory: only lines on pages that were written are looked at. */
#include "hw/display/linear.h"

#include <string.h>

enum { PAGE = 4096, PAGES_AT_ONCE = 64 };

static Vm *vm_of(Console *c)
{
    return console_device(c)->object.vm;
}

void linear_forget(Linear *l)
{
    *l = (Linear){0};
}

/* ---- converting ---- */

static inline uint32_t rgb(unsigned red, unsigned green, unsigned blue)
{
    return red << 16 | green << 8 | blue;
}

/* Five or six bits to eight, so that full is full. */
static inline unsigned widen(unsigned v, unsigned bits)
{
    return v << (8 - bits) | v >> (2 * bits - 8);
}

static void line16(uint32_t *out, const uint8_t *in, unsigned n, unsigned green_bits)
{
    for (; n--; in += 2) {
        unsigned v = in[0] | in[1] << 8;
        unsigned green = v >> 5 & ((1 << green_bits) - 1);
        *out++ = rgb(widen(v >> (5 + green_bits) & 31, 5), widen(green, green_bits), widen(v & 31, 5));
    }
}

static void convert(uint32_t *out, const uint8_t *in, unsigned n, unsigned bits, const uint32_t *palette)
{
    switch (bits) {
    case 8:
        while (n--) {
            *out++ = palette[*in++];
        }
        break;
    case 15:
        line16(out, in, n, 5);
        break;
    case 16:
        line16(out, in, n, 6);
        break;
    case 24:
        for (; n--; in += 3) {
            *out++ = rgb(in[2], in[1], in[0]);
        }
        break;
    default:
        for (; n--; in += 4) {
            *out++ = rgb(in[2], in[1], in[0]);
        }
        break;
    }
}

/* ---- dirty lines ---- */

static bool can_lend(const DispiMode *m)
{
    return m->bits == 32 && G_BYTE_ORDER == G_LITTLE_ENDIAN && m->stride % 4 == 0 && m->offset % 4 == 0;
}

static void show(Linear *l, Console *c, uint8_t *vram, const DispiMode *m)
{
    l->shown = *m;
    l->host = vram;
    console_show(c, can_lend(m) ? surface_over(vram + m->offset, m->width, m->height, m->stride)
                                : surface_new(m->width, m->height));
}

static void update_lines(Console *c, const uint8_t *vram, const DispiMode *m, const uint32_t *palette,
                         unsigned first, unsigned last)
{
    Surface *s = console_surface(c);

    for (unsigned y = first; s->owned && y <= last; y++) {
        convert(surface_line(s, y), vram + m->offset + (uint64_t)y * m->stride, m->width, m->bits,
                palette);
    }
    console_update(c, 0, first, m->width, last - first + 1);
}

/* One run of dirty lines after the other. */
static void update_dirty(Console *c, MemRegion *region, const DispiMode *m, const uint32_t *palette)
{
    uint64_t base = mem_ram_offset(region), from = m->offset & ~(uint64_t)(PAGE - 1);
    uint64_t end = m->offset + (uint64_t)m->stride * m->height;
    unsigned pages = (end - from + PAGE - 1) / PAGE, next = 0;
    g_autofree unsigned long *bits = g_new0(unsigned long, (pages + PAGES_AT_ONCE - 1) / PAGES_AT_ONCE);

    end = MIN(from + (uint64_t)pages * PAGE, mem_size(region));
    if (!dirty_fetch_clear(vm_of(c), DIRTY_VGA, base + from, end - from, bits)) {
        return;
    }
    for (unsigned i = 0; i < pages; i++) {
        if (!(bits[i / PAGES_AT_ONCE] >> (i % PAGES_AT_ONCE) & 1)) {
            continue;
        }
        unsigned stop = i + 1;
        while (stop < pages && bits[stop / PAGES_AT_ONCE] >> (stop % PAGES_AT_ONCE) & 1) {
            stop++;
        }
        int64_t start = (int64_t)(from + (uint64_t)i * PAGE) - (int64_t)m->offset;
        int64_t bound = (int64_t)(from + (uint64_t)stop * PAGE) - (int64_t)m->offset;
        unsigned first = MAX(start, 0) / m->stride;
        unsigned last = MIN((uint64_t)(bound - 1) / m->stride, m->height - 1);
        first = MAX(first, next);       /* a line may lie on two pages */
        if (first <= last) {
            update_lines(c, mem_host(region), m, palette, first, last);
            next = last + 1;
        }
        i = stop - 1;
    }
}

bool vram_changed(Vm *vm, MemRegion *vram, uint64_t offset, uint64_t n)
{
    uint64_t from = offset & ~(uint64_t)(PAGE - 1), end = MIN(offset + n, mem_size(vram));
    g_autofree unsigned long *bits = g_new0(unsigned long, (end - from) / PAGE / PAGES_AT_ONCE + 1);

    return dirty_fetch_clear(vm, DIRTY_VGA, mem_ram_offset(vram) + from, end - from, bits);
}

void linear_refresh(Linear *l, Console *c, MemRegion *vram, const DispiMode *m, const uint32_t *palette,
                    bool all)
{
    uint8_t *host = mem_host(vram);

    if (memcmp(&l->shown, m, sizeof(*m)) != 0 || l->host != host) {
        show(l, c, host, m);
        all = true;
    }
    if (all) {
        update_lines(c, host, m, palette, 0, m->height - 1);
    } else {
        update_dirty(c, vram, m, palette);
    }
}
