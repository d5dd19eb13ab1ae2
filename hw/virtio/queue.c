/* SPDX-License-Identifier: Apache-2.0 */
/* What both ring layouts share: mapping, elements, kicks and interrupts. Spec: virtio 1.2, 2.6. */
#include "hw/virtio/queue.h"
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "util/log.h"

static const VirtqLayout *layout(const Virtq *vq)
{
    return vq->v->features & VIRTIO_F_RING_PACKED ? &virtq_packed : &virtq_split;
}

/* ---- elements ---- */

bool chain_add(Virtq *vq, Chain *c, uint64_t pa, uint32_t len, bool device_writes)
{
    if (!len && !pa)
        return true;
    if (!device_writes && c->n_in) {
        virtio_error(vq->v, "queue %u: a readable buffer behind a writable one", vq->index);
        return false;
    }
    while (len) {
        uint64_t n = len;
        void *host = as_ram(virtio_space(vq->v), pa, &n, device_writes);
        if (!host) {
            virtio_error(vq->v, "queue %u: buffer at 0x%llx is not in memory", vq->index,
                         (unsigned long long)pa);
            return false;
        }
        if (c->n_out + c->n_in == VIRTQ_MAX_SG) {
            virtio_error(vq->v, "queue %u: more than %d buffers in a chain", vq->index, VIRTQ_MAX_SG);
            return false;
        }
        n = MIN(n, len);
        c->sg[c->n_out + c->n_in] = (struct iovec){host, n};
        c->pa[c->n_out + c->n_in] = pa;
        if (device_writes)
            c->n_in++, c->in_bytes += n;
        else
            c->n_out++, c->out_bytes += n;
        pa += n;
        len -= n;
    }
    return true;
}

/* The device's own data lie before the element, aligned as malloc aligns. */
static size_t extra_size(size_t extra) { return (extra + 15) & ~(size_t)15; }

VirtqElement *chain_element(const Chain *c, uint16_t id, uint16_t ndescs, size_t extra)
{
    unsigned n = c->n_out + c->n_in;
    size_t before = extra_size(extra) + 16;
    char *block = g_malloc(before + sizeof(VirtqElement) + n * (sizeof(struct iovec) + sizeof(uint64_t)));
    VirtqElement *e = (VirtqElement *)(block + before);
    memset(block, 0, before);
    *(size_t *)((char *)e - 16) = before;
    *e = (VirtqElement){.id = id, .ndescs = ndescs, .n_out = c->n_out, .n_in = c->n_in,
                        .out_bytes = c->out_bytes, .in_bytes = c->in_bytes};
    e->out = e->sg;
    e->in = e->sg + c->n_out;
    memcpy(e->sg, c->sg, n * sizeof(struct iovec));
    e->pa = (uint64_t *)(e->sg + n);
    memcpy(e->pa, c->pa, n * sizeof(uint64_t));
    return e;
}

void *virtq_extra(VirtqElement *e) { return (char *)e - *(size_t *)((char *)e - 16); }
static void free_element(VirtqElement *e) { g_free(virtq_extra(e)); }

/* DMA went around the memory map: tell dirty tracking and the engines. */
static void mark_dirty(Virtq *vq, const VirtqElement *e, uint32_t written)
{
    for (unsigned i = 0; i < e->n_in && written; i++) {
        size_t n = MIN(e->in[i].iov_len, written);
        mem_host_dirty(vq->v->dev.object.vm, e->in[i].iov_base, n);
        written -= n;
    }
}

/* ---- in flight ---- */

static void track(Virtq *vq, VirtqElement *e)
{
    e->prev = vq->last;
    *(vq->last ? &vq->last->next : &vq->first) = e;
    vq->last = e;
    vq->in_use++;
}

static void forget(Virtq *vq, VirtqElement *e)
{
    *(e->prev ? &e->prev->next : &vq->first) = e->next;
    *(e->next ? &e->next->prev : &vq->last) = e->prev;
    vq->in_use--;
}

/* What came with the state is looked up anew: this machine's memory lies elsewhere. */
static VirtqElement *pop_again(Virtq *vq, size_t extra)
{
    Chain c;
    g_autofree SavedChain *s = g_queue_pop_head(&vq->again);
    c.n_out = c.n_in = 0;
    c.out_bytes = c.in_bytes = 0;
    for (unsigned i = 0; i < s->n_out + s->n_in; i++)
        if (!chain_add(vq, &c, s->sg[i].pa, s->sg[i].len, i >= s->n_out))
            return NULL;
    VirtqElement *e = chain_element(&c, s->id, s->ndescs, extra);
    e->again = true;
    return e;
}

static SavedChain *as_saved(const VirtqElement *e)
{
    SavedChain *s = g_malloc(sizeof(*s) + (e->n_out + e->n_in) * sizeof(s->sg[0]));
    *s = (SavedChain){e->id, e->ndescs, e->n_out, e->n_in};
    for (unsigned i = 0; i < e->n_out + e->n_in; i++) {
        s->sg[i].pa = e->pa[i];
        s->sg[i].len = e->sg[i].iov_len;
    }
    return s;
}

/* Nothing is taken while the machine stands: its memory must not change. */
static bool may_take(Virtq *vq)
{
    return virtq_ready(vq) && vm_is_running(vq->v->dev.object.vm) && !(vq->in_turn && vq->turn == 0);
}

/* A driver that is as fast as the device, or whose ring fills itself as its areas overlap, keeps the
 * loop busy for a turn only. */
void virtq_serve(Virtq *vq)
{
    vq->in_turn = true;
    vq->turn = MAX(4 * vq->s.size, 64);
    vq->handler(vq->v, vq);
    vq->in_turn = false;
    if (vq->turn == 0)
        virtq_schedule(vq);
}

VirtqElement *virtq_pop(Virtq *vq, size_t extra)
{
    if (!may_take(vq))
        return NULL;
    VirtqElement *e = g_queue_is_empty(&vq->again) ? layout(vq)->pop(vq, extra) : pop_again(vq, extra);
    if (e && vq->in_use >= vq->s.size) {
        virtio_error(vq->v, "queue %u: more buffers in flight than the ring has", vq->index);
        free_element(e);
        return NULL;
    }
    if (!e)
        return NULL;
    vq->turn -= vq->turn > 0;
    track(vq, e);
    return e;
}

void virtq_unpop(Virtq *vq, VirtqElement *e)
{
    if (e->again)
        g_queue_push_head(&vq->again, as_saved(e));
    else
        layout(vq)->unpop(vq, e);
    forget(vq, e);
    free_element(e);
}

static void give(Virtq *vq, VirtqElement *e)
{
    if (virtq_ready(vq)) {
        layout(vq)->push(vq, e, e->written);
        vq->pushed = true;
    }
    forget(vq, e);
    free_element(e);
}

void virtq_push(Virtq *vq, VirtqElement *e, uint32_t written)
{
    mark_dirty(vq, e, written);
    e->written = written;
    if (!virtio_has(vq->v, VIRTIO_F_IN_ORDER)) {
        give(vq, e);
        return;
    }
    e->done = true;
    while (vq->first && vq->first->done)
        give(vq, vq->first);
}

static void ring_written(Virtq *vq)
{
    ram_written(vq->v->dev.object.vm, vq->written_at, vq->written_bytes);
}

void virtq_publish(Virtq *vq)
{
    if (vq->pushed && virtq_ready(vq)) {
        layout(vq)->publish(vq);
        ring_written(vq);
    }
    vq->pushed = false;
}

void virtq_flush(Virtq *vq)
{
    if (!vq->pushed || !virtq_ready(vq))
        return;
    virtq_publish(vq);
    if (layout(vq)->wants_interrupt(vq))
        vq->v->transport->interrupt(vq->v->transport_opaque, vq->s.vector);
}

bool virtq_empty(Virtq *vq)
{
    return !may_take(vq) || (g_queue_is_empty(&vq->again) && layout(vq)->empty(vq));
}

void virtq_want_kicks(Virtq *vq, bool on)
{
    if (!may_take(vq))
        return;
    layout(vq)->want_kicks(vq, on);
    uint64_t n = 1;
    void *host = vq->device_host;       /* of packed rings it is no part of the ring */
    if (layout(vq) == &virtq_packed)
        mem_host_dirty(vq->v->dev.object.vm, host, n);
    else
        ring_written(vq);
}

void virtq_clear(Virtq *vq)
{
    for (SavedChain *s; (s = g_queue_pop_head(&vq->again));)
        g_free(s);
    vq->s = (VirtqState){.size = vq->default_size, .vector = 0xffff, .avail_wrap = true, .used_wrap = true};
    vq->signalled_used = 0;
    vq->signalled_valid = vq->pushed = false;
}

unsigned virtq_index(const Virtq *vq) { return vq->index; }

/* ---- mapping ---- */

/* Once the machine is being freed its memory is gone. */
bool virtq_ready(Virtq *vq)
{
    Vm *vm = vq->v->dev.object.vm;
    return vq->desc_host && !vq->v->broken && !vm->freeing &&
           (vq->map_generation == mem_generation(vm) || virtq_map(vq));
}

/* Pages that an IOMMU put side by side count as one piece if they are so here, too. */
void *virtq_memory(Virtq *vq, uint64_t pa, uint64_t bytes, bool write)
{
    AddressSpace *as = virtio_space(vq->v);
    uint64_t n = bytes;
    uint8_t *host = as_ram(as, pa, &n, write);
    for (uint64_t done = n; host && done < bytes; done += n) {
        n = bytes - done;
        if (as_ram(as, pa + done, &n, write) != host + done)
            return NULL;
    }
    return host;
}

static uint8_t *map_area(Virtq *vq, uint64_t pa, uint64_t bytes, unsigned align, const char *what)
{
    uint8_t *host = pa % align ? NULL : virtq_memory(vq, pa, bytes, true);
    if (!host)
        virtio_error(vq->v, "queue %u: %s area at 0x%llx is not in memory", vq->index, what,
                     (unsigned long long)pa);
    return host;
}

bool virtq_map(Virtq *vq)
{
    const VirtqLayout *l = layout(vq);
    bool packed = l == &virtq_packed;
    uint64_t desc_bytes = l->desc_bytes(vq->s.size), device_bytes = l->device_bytes(vq->s.size);
    vq->map_generation = mem_generation(vq->v->dev.object.vm);
    vq->driver_host = map_area(vq, vq->s.driver, l->driver_bytes(vq->s.size), packed ? 4 : 2, "driver");
    vq->device_host = map_area(vq, vq->s.device, device_bytes, 4, "device");
    vq->desc_host = vq->driver_host && vq->device_host
                        ? map_area(vq, vq->s.desc, desc_bytes, 16, "descriptor") : NULL;
    vq->written_at = as_find(virtio_space(vq->v), packed ? vq->s.desc : vq->s.device).ram_offset;
    vq->written_bytes = packed ? desc_bytes : device_bytes;
    return vq->desc_host;
}
