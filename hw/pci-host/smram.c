/* SPDX-License-Identifier: Apache-2.0 */
/* SMRAM of the Q35 memory controller hub. Datasheet: Intel 316966, 3.8. */
#include "hw/pci-host/smram.h"

enum { LOW = 0xa0000, LOW_SIZE = 0x20000, START = 0x30000, START_SIZE = 0x10000 };
#define HIGH 0xfeda0000u

static uint64_t read_hole(void *opaque, uint64_t at, unsigned size) { return ~0ull; }
static void write_hole(void *opaque, uint64_t at, uint64_t v, unsigned size) { }
static const MemOps hole_ops = {read_hole, write_hole, 1, 8, .no_lock = true};

static MemRegion *place(MemRegion *in, uint64_t at, MemRegion *r)
{
    mem_set_enabled(r, false);
    mem_add(in, at, r, 1);
    return r;
}

void smram_init(Smram *s, Object *owner, const PcHostConfig *c)
{
    MemRegion *hole = mem_io(owner, "smram-hole", UINT32_MAX, &hole_ops, NULL, NULL);
    s->low_size = c->low_size;
    s->high_open = place(c->system, HIGH, mem_alias(owner, "smram-open-high", c->ram, LOW, LOW_SIZE));
    s->high = place(c->smm, HIGH, mem_alias(owner, "smram-high", c->ram, LOW, LOW_SIZE));
    s->tseg_hole = place(c->system, 0, mem_alias(owner, "tseg-hole", hole, 0, 1));
    s->tseg = place(c->smm, 0, mem_alias(owner, "smram-tseg", c->ram, 0, 1));
    s->start_hole = place(c->system, START, mem_alias(owner, "smbase-hole", hole, 0, START_SIZE));
    s->start = place(c->smm, START, mem_alias(owner, "smram-smbase", c->ram, START, START_SIZE));
}

void smram_set(Smram *s, const SmramState *c)
{
    uint64_t size = c->enabled ? MIN(c->tseg, s->low_size) : 0, at = s->low_size - size;
    mem_set_enabled(s->high, c->enabled && c->high);
    mem_set_enabled(s->high_open, c->enabled && c->high && c->open);
    mem_set_enabled(s->tseg, size);
    mem_set_enabled(s->tseg_hole, size);
    if (size) {
        mem_set_alias(s->tseg, at, at, size);
        mem_set_alias(s->tseg_hole, at, 0, size);
    }
    mem_set_enabled(s->start, c->start_locked);
    mem_set_enabled(s->start_hole, c->start_locked);
}
