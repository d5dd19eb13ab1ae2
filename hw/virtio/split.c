/* SPDX-License-Identifier: Apache-2.0 */
/* Split virtqueues. Spec: virtio 1.2, 2.7. */
#include <string.h>
#include "hw/virtio/queue.h"

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;
typedef struct Avail {
    uint16_t flags, idx, ring[];        /* ring[size] is used_event */
} Avail;
typedef struct Used {
    uint16_t flags, idx;
    struct { uint32_t id, len; } ring[];        /* behind it: avail_event */
} Used;

static Avail *avail(const Virtq *vq) { return (Avail *)vq->driver_host; }
static Used *used(const Virtq *vq) { return (Used *)vq->device_host; }
static uint16_t load16(const uint16_t *p) { return GUINT16_FROM_LE(__atomic_load_n(p, __ATOMIC_ACQUIRE)); }
static void store16(uint16_t *p, uint16_t v) { __atomic_store_n(p, GUINT16_TO_LE(v), __ATOMIC_RELEASE); }
static uint16_t *used_event(const Virtq *vq) { return &avail(vq)->ring[vq->s.size]; }
static uint16_t *avail_event(const Virtq *vq) { return (uint16_t *)&used(vq)->ring[vq->s.size]; }

static uint64_t desc_bytes(unsigned size) { return 16ull * size; }
static uint64_t driver_bytes(unsigned size) { return 6 + 2ull * size; }
static uint64_t device_bytes(unsigned size) { return 6 + 8ull * size; }

static bool empty(Virtq *vq) { return load16(&avail(vq)->idx) == vq->s.last_avail; }

static Desc read_desc(const uint8_t *table, unsigned i)
{
    Desc d;
    memcpy(&d, table + 16 * i, sizeof(d));
    return (Desc){GUINT64_FROM_LE(d.addr), GUINT32_FROM_LE(d.len), GUINT16_FROM_LE(d.flags),
                  GUINT16_FROM_LE(d.next)};
}

/* The indirect table named by d, as a pointer to RAM; NULL when it breaks a rule. */
static const uint8_t *indirect_table(Virtq *vq, const Desc *d, unsigned *count)
{
    if (d->len == 0 || d->len % 16 || d->flags & F_NEXT) {
        virtio_error(vq->v, "queue %u: indirect table of %u bytes", vq->index, d->len);
        return NULL;
    }
    const uint8_t *table = virtq_memory(vq, d->addr, d->len, false);
    if (!table) {
        virtio_error(vq->v, "queue %u: indirect table is not in memory", vq->index);
        return NULL;
    }
    *count = d->len / 16;
    return table;
}

/* Follows a chain from `head`; every step is counted, so a loop ends. */
static bool walk(Virtq *vq, Chain *c, unsigned head)
{
    const uint8_t *table = vq->desc_host;
    unsigned count = vq->s.size, i = head, steps = 0;
    for (;;) {
        if (i >= count || steps++ >= count) {
            virtio_error(vq->v, "queue %u: descriptor %u of %u, step %u", vq->index, i, count, steps);
            return false;
        }
        Desc d = read_desc(table, i);
        if (d.flags & F_INDIRECT) {
            if (table != vq->desc_host || !(vq->v->features & VIRTIO_F_INDIRECT_DESC)) {
                virtio_error(vq->v, "queue %u: indirect descriptor where none may be", vq->index);
                return false;
            }
            table = indirect_table(vq, &d, &count);
            if (!table)
                return false;
            i = steps = 0;
            continue;
        }
        if (!chain_add(vq, c, d.addr, d.len, d.flags & F_WRITE))
            return false;
        if (!(d.flags & F_NEXT))
            return true;
        i = d.next;
    }
}

static VirtqElement *pop(Virtq *vq, size_t extra)
{
    uint16_t idx = load16(&avail(vq)->idx);
    if (idx == vq->s.last_avail) {
        /* The event index written below must be seen before the ring is believed to be empty, else a driver
         * that adds something now may think that no kick is wanted. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        idx = load16(&avail(vq)->idx);
    }
    if (idx == vq->s.last_avail)
        return NULL;
    if ((uint16_t)(idx - vq->s.last_avail) > vq->s.size) {
        virtio_error(vq->v, "queue %u: available index runs ahead (%u, %u)", vq->index, idx,
                     vq->s.last_avail);
        return NULL;
    }
    uint16_t head = GUINT16_FROM_LE(avail(vq)->ring[vq->s.last_avail % vq->s.size]);
    Chain c;
    c.n_out = c.n_in = 0;
    c.out_bytes = c.in_bytes = 0;
    if (!walk(vq, &c, head))
        return NULL;
    vq->s.last_avail++;
    if (vq->v->features & VIRTIO_F_EVENT_IDX)
        store16(avail_event(vq), vq->s.last_avail);
    return chain_element(&c, head, 1, extra);
}

static void unpop(Virtq *vq, const VirtqElement *e) { vq->s.last_avail--; }

static void push(Virtq *vq, const VirtqElement *e, uint32_t written)
{
    unsigned slot = vq->s.used_idx % vq->s.size;
    used(vq)->ring[slot].id = GUINT32_TO_LE(e->id);
    used(vq)->ring[slot].len = GUINT32_TO_LE(written);
    vq->s.used_idx++;
}

static void publish(Virtq *vq) { store16(&used(vq)->idx, vq->s.used_idx); }

static bool wants_interrupt(Virtq *vq)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(vq->v->features & VIRTIO_F_EVENT_IDX))
        return !(load16(&avail(vq)->flags) & AVAIL_NO_INTERRUPT) ||
               (vq->v->features & VIRTIO_F_NOTIFY_ON_EMPTY && empty(vq) && !vq->in_use);
    uint16_t now = vq->s.used_idx, before = vq->signalled_used, event = load16(used_event(vq));
    bool first = !vq->signalled_valid;
    vq->signalled_used = now;
    vq->signalled_valid = true;
    return first || (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

static void want_kicks(Virtq *vq, bool on)
{
    if (vq->v->features & VIRTIO_F_EVENT_IDX) {
        if (on)                 /* off needs nothing: the event index stays behind */
            store16(avail_event(vq), load16(&avail(vq)->idx));
    } else {
        store16(&used(vq)->flags, on ? 0 : USED_NO_NOTIFY);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

const VirtqLayout virtq_split = {
    desc_bytes, driver_bytes, device_bytes, empty, pop, unpop, push, publish, wants_interrupt, want_kicks,
};
