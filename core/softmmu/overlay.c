/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores held in an overlay: a CPU runs a unit for trial, and guest RAM stays as it was. All
 * accesses miss level 1 meanwhile (the current instance is an empty one) and read through the
 * overlay. What cannot be held back (I/O, faults) gives up by leaving the unit.
 */
#include <string.h>

#include "core/softmmu/internal.h"

/* Eight aligned host bytes, some of them overlaid. */
typedef struct Cell {
    uint8_t *host;              /* NULL: free */
    uint8_t bytes[8];
    uint8_t mask;
} Cell;

/* What RAM held when the trial read it. */
typedef struct Read {
    const uint8_t *host;
    uint8_t bytes[8];
    uint8_t n;
} Read;
enum { MEM_OVERLAY_READS = 512 };

struct MemOverlay {
    Cell cells[MEM_OVERLAY_CELLS];
    uint16_t used[MEM_OVERLAY_CELLS / 2];       /* which of them */
    unsigned n;
    bool gave_up;
    Read reads[MEM_OVERLAY_READS];      /* the first ones */
    unsigned n_reads;
};

static unsigned hash(const uint8_t *host)
{
    return (unsigned)(((uintptr_t)host >> 3) * 0x9e3779b97f4a7c15ull >> 32) & (MEM_OVERLAY_CELLS - 1);
}

/* The cell, or the free one where it belongs. */
static Cell *find(MemOverlay *o, uint8_t *host)
{
    unsigned i = hash(host);

    while (o->cells[i].host && o->cells[i].host != host) {
        i = (i + 1) & (MEM_OVERLAY_CELLS - 1);
    }
    return &o->cells[i];
}

void overlay_read(MemOverlay *o, const uint8_t *host, void *buf, unsigned n)
{
    memcpy(buf, host, n);
    if (n <= 8 && o->n_reads < MEM_OVERLAY_READS) {
        Read *r = &o->reads[o->n_reads++];
        r->host = host;
        r->n = (uint8_t)n;
        memcpy(r->bytes, buf, n);
    }
    for (unsigned i = 0; o->n && i < n; i++) {
        uintptr_t at = (uintptr_t)host + i;
        const Cell *c = find(o, (uint8_t *)(at & ~(uintptr_t)7));
        if (c->host && c->mask >> (at & 7) & 1) {
            ((uint8_t *)buf)[i] = c->bytes[at & 7];
        }
    }
}

void overlay_write(Cpu *cpu, uint8_t *host, const void *buf, unsigned n)
{
    MemOverlay *o = cpu->mmu->overlay;

    for (unsigned i = 0; i < n; i++) {
        uintptr_t at = (uintptr_t)host + i;
        uint8_t *base = (uint8_t *)(at & ~(uintptr_t)7);
        Cell *c = find(o, base);
        if (!c->host) {
            if (o->n >= MEM_OVERLAY_CELLS / 2) {
                overlay_give_up(cpu);
            }
            o->used[o->n++] = (uint16_t)(c - o->cells);
            c->host = base;
        }
        c->mask |= 1u << (at & 7);
        c->bytes[at & 7] = ((const uint8_t *)buf)[i];
    }
}

void overlay_give_up(Cpu *cpu)
{
    cpu->mmu->overlay->gave_up = true;
    cpu_exit(cpu);
}

MemOverlay *mem_overlay_new(void) { return g_new0(MemOverlay, 1); }
void mem_overlay_free(MemOverlay *o) { g_free(o); }

void mem_overlay_begin(Cpu *cpu, MemOverlay *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        o->cells[o->used[i]] = (Cell){0};
    }
    o->n = o->n_reads = 0;
    o->gave_up = false;
    cpu->mmu->overlay = o;
    cpu->tlb = mmu_blank(cpu);
}

bool mem_overlay_end(Cpu *cpu)
{
    MemOverlay *o = cpu->mmu->overlay;

    cpu->mmu->overlay = NULL;
    cpu->tlb = mmu_instance(cpu, 0);
    return !o->gave_up;
}

bool mem_overlay_differs(const MemOverlay *o, GString *out)
{
    bool differs = false;

    for (unsigned i = 0; i < o->n; i++) {
        const Cell *c = &o->cells[o->used[i]];
        for (unsigned k = 0; k < 8; k++) {
            if (c->mask >> k & 1 && c->host[k] != c->bytes[k]) {
                g_string_append_printf(out, "host address %p: %02x expected, %02x found\n",
                                       (void *)(c->host + k), c->bytes[k], c->host[k]);
                differs = true;
            }
        }
    }
    return differs;
}

static bool overlaid(MemOverlay *o, const uint8_t *host)
{
    uintptr_t at = (uintptr_t)host;
    const Cell *c = find(o, (uint8_t *)(at & ~(uintptr_t)7));

    return c->host && c->mask >> (at & 7) & 1;
}

bool mem_overlay_raced(MemOverlay *o)
{
    for (unsigned i = 0; i < o->n_reads; i++) {
        const Read *r = &o->reads[i];
        for (unsigned k = 0; k < r->n; k++) {
            if (r->host[k] != r->bytes[k] && !overlaid(o, r->host + k)) {
                return true;
            }
        }
    }
    return false;
}
