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
    char *block = g_malloc(before + sizeof(VirtqElement) + n * sizeof(struct iovec));
    VirtqElement *e = (VirtqElement *)(block + before);
    memset(block, 0, before);
    *(size_t *)((char *)e - 16) = before;
    *e = (VirtqElement){.id = id, .ndescs = ndescs, .n_out = c->n_out, .n_in = c->n_in,
                        .out_bytes = c->out_bytes, .in_bytes = c->in_bytes};
    e->out = e->sg;
    e->in = e->sg + c->n_out;
    memcpy(e->sg, c->sg, n * sizeof(struct iovec));
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

VirtqElement *virtq_pop(Virtq *vq, size_t extra)
{
    if (!virtq_ready(vq))
        return NULL;
    VirtqElement *e = layout(vq)->pop(vq, extra);
    if (e && ++vq->in_use > vq->s.size) {
        virtio_error(vq->v, "queue %u: more buffers in flight than the ring has", vq->index);
        vq->in_use--;
        free_element(e);
        return NULL;
    }
    return e;
}

void virtq_unpop(Virtq *vq, VirtqElement *e)
{
    layout(vq)->unpop(vq, e);
    vq->in_use--;
    free_element(e);
}

void virtq_push(Virtq *vq, VirtqElement *e, uint32_t written)
{
    mark_dirty(vq, e, written);
    if (virtq_ready(vq)) {
        layout(vq)->push(vq, e, written);
        vq->pushed = true;
    }
    vq->in_use--;
    free_element(e);
}

void virtq_publish(Virtq *vq)
{
    if (vq->pushed && virtq_ready(vq))
        layout(vq)->publish(vq);
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

bool virtq_empty(Virtq *vq) { return !virtq_ready(vq) || layout(vq)->empty(vq); }

void virtq_want_kicks(Virtq *vq, bool on)
{
    if (virtq_ready(vq))
        layout(vq)->want_kicks(vq, on);
}

/* Once the machine is being freed its memory is gone. */
bool virtq_ready(const Virtq *vq)
{
    return vq->desc_host && !vq->v->broken && !vq->v->dev.object.vm->freeing;
}
unsigned virtq_index(const Virtq *vq) { return vq->index; }

/* ---- mapping ---- */

static uint8_t *map_area(Virtq *vq, uint64_t pa, uint64_t bytes, unsigned align, const char *what)
{
    uint64_t n = bytes;
    uint8_t *host = pa % align ? NULL : as_ram(virtio_space(vq->v), pa, &n, true);
    if (!host || n < bytes) {
        virtio_error(vq->v, "queue %u: %s area at 0x%llx is not in memory", vq->index, what,
                     (unsigned long long)pa);
        return NULL;
    }
    return host;
}

bool virtq_map(Virtq *vq)
{
    const VirtqLayout *l = layout(vq);
    bool packed = l == &virtq_packed;
    vq->driver_host = map_area(vq, vq->s.driver, l->driver_bytes(vq->s.size), packed ? 4 : 2, "driver");
    vq->device_host = map_area(vq, vq->s.device, l->device_bytes(vq->s.size), 4, "device");
    vq->desc_host = vq->driver_host && vq->device_host
                        ? map_area(vq, vq->s.desc, l->desc_bytes(vq->s.size), 16, "descriptor")
                        : NULL;
    vq->signalled_valid = vq->pushed = false;
    vq->in_use = 0;
    return vq->desc_host;
}

/* ---- scatter lists ---- */

static size_t copy(const struct iovec *iov, unsigned n, size_t at, char *buf, size_t bytes, bool to_iov)
{
    size_t done = 0;
    for (unsigned i = 0; i < n && done < bytes; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t k = MIN(iov[i].iov_len - at, bytes - done);
        char *p = (char *)iov[i].iov_base + at;
        memcpy(to_iov ? p : buf + done, to_iov ? buf + done : p, k);
        done += k;
        at = 0;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t at, void *buf, size_t bytes)
{
    return copy(iov, n, at, buf, bytes, false);
}

size_t iov_write(const struct iovec *iov, unsigned n, size_t at, const void *buf, size_t bytes)
{
    return copy(iov, n, at, (char *)buf, bytes, true);
}

size_t iov_bytes(const struct iovec *iov, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

unsigned iov_slice(struct iovec *dst, unsigned max, const struct iovec *iov, unsigned n, size_t at,
                   size_t bytes)
{
    unsigned used = 0;
    for (unsigned i = 0; i < n && bytes && used < max; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t k = MIN(iov[i].iov_len - at, bytes);
        dst[used++] = (struct iovec){(char *)iov[i].iov_base + at, k};
        bytes -= k;
        at = 0;
    }
    return used;
}
