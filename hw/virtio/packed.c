/* SPDX-License-Identifier: Apache-2.0 */
/* Packed virtqueues. Spec: virtio 1.2, 2.8. */
#include <string.h>
#include "hw/virtio/queue.h"

enum {
    F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 1 << 7, F_USED = 1 << 15,
    EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2,
};

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t id, flags;
} Desc;
typedef struct Event {
    uint16_t off_wrap, flags;
} Event;

static Event *driver_event(const Virtq *vq) { return (Event *)vq->driver_host; }
static Event *device_event(const Virtq *vq) { return (Event *)vq->device_host; }

static uint64_t desc_bytes(unsigned size) { return 16ull * size; }
static uint64_t event_bytes(unsigned size) { return sizeof(Event); }

static uint16_t load_flags(const Virtq *vq, unsigned i)
{
    const uint16_t *p = (const uint16_t *)(vq->desc_host + 16 * i + 14);
    return GUINT16_FROM_LE(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & F_AVAIL) == wrap && !!(flags & F_USED) != wrap;
}

static bool empty(Virtq *vq)
{
    return !is_available(load_flags(vq, vq->s.last_avail), vq->s.avail_wrap);
}

static Desc read_desc(const uint8_t *table, unsigned i)
{
    Desc d;
    memcpy(&d, table + 16 * i, sizeof(d));
    return (Desc){GUINT64_FROM_LE(d.addr), GUINT32_FROM_LE(d.len), GUINT16_FROM_LE(d.id),
                  GUINT16_FROM_LE(d.flags)};
}

static bool walk_indirect(Virtq *vq, Chain *c, const Desc *d)
{
    const uint8_t *table = d->len && d->len % 16 == 0 ? virtq_memory(vq, d->addr, d->len, false) : NULL;
    if (!table || !(vq->v->features & VIRTIO_F_INDIRECT_DESC)) {
        virtio_error(vq->v, "queue %u: bad indirect table", vq->index);
        return false;
    }
    for (unsigned i = 0; i < d->len / 16; i++) {
        Desc e = read_desc(table, i);
        if (!chain_add(vq, c, e.addr, e.len, e.flags & F_WRITE))
            return false;
    }
    return true;
}

static void advance(uint16_t *at, bool *wrap, unsigned by, unsigned size)
{
    unsigned next = *at + by;
    if (next >= size) {
        next -= size;
        *wrap = !*wrap;
    }
    *at = next;
}

static VirtqElement *pop(Virtq *vq, size_t extra)
{
    if (empty(vq))
        return NULL;
    Chain c;
    c.n_out = c.n_in = 0;
    c.out_bytes = c.in_bytes = 0;
    uint16_t at = vq->s.last_avail, count = 0;
    bool wrap = vq->s.avail_wrap;
    Desc d;
    do {
        d = read_desc(vq->desc_host, at);
        if (count++ >= vq->s.size) {
            virtio_error(vq->v, "queue %u: a chain longer than the ring", vq->index);
            return NULL;
        }
        bool ok = d.flags & F_INDIRECT ? walk_indirect(vq, &c, &d)
                                       : chain_add(vq, &c, d.addr, d.len, d.flags & F_WRITE);
        if (!ok)
            return NULL;
        advance(&at, &wrap, 1, vq->s.size);
    } while (d.flags & F_NEXT && !(d.flags & F_INDIRECT));
    vq->s.last_avail = at;
    vq->s.avail_wrap = wrap;
    return chain_element(&c, d.id, count, extra);
}

static void unpop(Virtq *vq, const VirtqElement *e)
{
    if (vq->s.last_avail < e->ndescs) {
        vq->s.last_avail += vq->s.size;
        vq->s.avail_wrap = !vq->s.avail_wrap;
    }
    vq->s.last_avail -= e->ndescs;
}

static void push(Virtq *vq, const VirtqElement *e, uint32_t written)
{
    uint8_t *p = vq->desc_host + 16 * vq->s.used_idx;
    uint32_t len = GUINT32_TO_LE(written);
    uint16_t id = GUINT16_TO_LE(e->id), flags = vq->s.used_wrap ? F_AVAIL | F_USED : 0;
    if (e->n_in)
        flags |= F_WRITE;
    memcpy(p + 8, &len, 4);
    memcpy(p + 12, &id, 2);
    /* The driver looks at them in order: nothing is seen before the first. */
    if (vq->pushed) {
        __atomic_store_n((uint16_t *)(p + 14), GUINT16_TO_LE(flags), __ATOMIC_RELEASE);
    } else {
        vq->held_at = vq->s.used_idx;
        vq->held_flags = flags;
    }
    advance(&vq->s.used_idx, &vq->s.used_wrap, e->ndescs, vq->s.size);
}

static void publish(Virtq *vq)
{
    uint8_t *p = vq->desc_host + 16 * vq->held_at;
    __atomic_store_n((uint16_t *)(p + 14), GUINT16_TO_LE(vq->held_flags), __ATOMIC_RELEASE);
}

static bool wants_interrupt(Virtq *vq)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Event e = *driver_event(vq);
    uint16_t flags = GUINT16_FROM_LE(e.flags) & 3, off = GUINT16_FROM_LE(e.off_wrap);
    uint16_t before = vq->signalled_used, now = vq->s.used_idx;
    bool first = !vq->signalled_valid;
    vq->signalled_used = now;
    vq->signalled_valid = true;
    if (flags != EVENT_DESC || !(vq->v->features & VIRTIO_F_EVENT_IDX))
        return flags != EVENT_DISABLE;
    /* How far back the driver waits, and how much is new: all of the ring, if the index is where it was. */
    int back = now - (off & 0x7fff) + (vq->s.used_wrap == !!(off & 0x8000) ? 0 : vq->s.size);
    int fresh = now - before + (now > before ? 0 : vq->s.size);
    return first || (back > 0 && back <= fresh);
}

static void want_kicks(Virtq *vq, bool on)
{
    uint16_t flags = GUINT16_TO_LE(on ? EVENT_ENABLE : EVENT_DISABLE);
    __atomic_store_n(&device_event(vq)->flags, flags, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

const VirtqLayout virtq_packed = {
    desc_bytes, event_bytes, event_bytes, empty, pop, unpop, push, publish, wants_interrupt, want_kicks,
};
