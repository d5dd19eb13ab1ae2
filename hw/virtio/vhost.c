/* SPDX-License-Identifier: Apache-2.0 */
/* Relaying queues to a back end outside (vhost.h). Spec of the inner ring: virtio 1.2, 2.7. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"
#include "util/log.h"

enum {
    DESC_AT = 0, AVAIL_AT = 16 * VHOST_MAX_RING, USED_AT = AVAIL_AT + 4096, RING_BYTES = USED_AT + 12288,
    NEXT = 1, WRITE = 2, NO_NOTIFY = 1, NONE = UINT16_MAX,
};
#define RINGS_AT (1ull << 45)   /* beyond all RAM in the machine's numbering */

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;
typedef struct Used {
    uint32_t id, len;
} Used;

/* ---- memory ---- */

typedef struct Collect {
    Vhost *h;
    VhostRegion region[VHOST_MAX_REGIONS];
    unsigned n;
} Collect;

static void add_block(const RamInfo *b, void *data)
{
    Collect *c = data;
    bool can = c->h->need_fd ? b->fd >= 0 && b->share : true;
    if (can && !b->readonly && c->n < VHOST_MAX_REGIONS - 1)
        c->region[c->n++] = (VhostRegion){b->ram_offset, b->size, b->host, b->fd, b->fd_offset};
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const VhostRegion *)a)->at, y = ((const VhostRegion *)b)->at;
    return x < y ? -1 : x > y;
}

/* True if the back end must be told. Some back ends take only ascending addresses. */
static bool collect_regions(Vhost *h)
{
    Collect c = {.h = h};
    size_t bytes = MAX(h->n_queues, 1) * RING_BYTES;
    h->generation = mem_generation(h->v->dev.object.vm);
    ram_foreach(h->v->dev.object.vm, add_block, &c);
    qsort(c.region, c.n, sizeof(c.region[0]), by_address);
    c.region[c.n++] = (VhostRegion){RINGS_AT, bytes, h->rings, h->memfd, 0};
    if (c.n == h->n_regions && !memcmp(c.region, h->region, c.n * sizeof(c.region[0])))
        return false;
    memcpy(h->region, c.region, sizeof(c.region));
    h->n_regions = c.n;
    return true;
}

uint64_t vhost_at(const Vhost *h, const void *host, uint64_t size)
{
    const uint8_t *p = host;
    for (unsigned i = 0; i < h->n_regions; i++) {
        const VhostRegion *r = &h->region[i];
        if (p >= r->host && p < r->host + r->size && size <= r->size - (uint64_t)(p - r->host))
            return r->at + (uint64_t)(p - r->host);
    }
    return UINT64_MAX;
}

static void sum_shared(const RamInfo *b, void *data)
{
    if (b->fd >= 0 && b->share)
        *(uint64_t *)data += b->size;
}

bool vhost_memory_is_shared(Vm *vm, GError **error)
{
    uint64_t shared = 0;
    ram_foreach(vm, sum_shared, &shared);
    return (vm->machine && shared >= vm->machine->ram_size) ||
           error_set(error, "the guest's memory is not shared, so no other process can serve it; use -object "
                     "memory-backend-memfd,id=mem,size=SIZE,share=on -machine memory-backend=mem");
}

static bool make_rings(Vhost *h)
{
    size_t bytes = MAX(h->n_queues, 1) * RING_BYTES;
    if (h->rings)
        return true;
    h->memfd = memfd_create("myna-vhost", MFD_CLOEXEC);
    if (h->memfd < 0 || ftruncate(h->memfd, (off_t)bytes) < 0)
        return false;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->memfd, 0);
    h->rings = p == MAP_FAILED ? NULL : p;
    return h->rings;
}

/* ---- one ring ---- */

static uint16_t *avail_word(VhostQueue *q, unsigned i) { return (uint16_t *)q->avail + i; }

static void publish(VhostQueue *q)
{
    __atomic_store_n(avail_word(q, 1), GUINT16_TO_LE(q->avail_idx), __ATOMIC_SEQ_CST);
}

static void offer(VhostQueue *q, uint16_t head)
{
    q->order[head] = q->offered++;
    *avail_word(q, 2 + q->avail_idx % q->size) = GUINT16_TO_LE(head);
    q->avail_idx++;
}

static int by_order(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* An empty ring; what is in flight is offered in its old order. */
static void reset_ring(VhostQueue *q)
{
    g_autofree uint64_t *list = g_new(uint64_t, q->size);
    unsigned n = 0;
    memset(q->used, 0, 6 + 8 * q->size);
    memset(q->avail, 0, 6 + 2 * q->size);
    q->avail_idx = q->used_idx = 0;
    for (unsigned i = 0; i < q->size; i++)
        if (q->element[i])
            list[n++] = q->order[i] * VHOST_MAX_RING + i;
    qsort(list, n, sizeof(list[0]), by_order);
    for (unsigned i = 0; i < n; i++)
        offer(q, (uint16_t)(list[i] % VHOST_MAX_RING));
    publish(q);
}

static void ring_init(VhostQueue *q)
{
    uint8_t *base = q->h->rings + (size_t)(q - q->h->queue) * RING_BYTES;
    if (q->desc)
        return;
    q->desc = base + DESC_AT;
    q->avail = base + AVAIL_AT;
    q->used = base + USED_AT;
    q->next = g_new0(uint16_t, q->size);
    q->element = g_new0(VirtqElement *, q->size);
    q->order = g_new0(uint64_t, q->size);
    for (unsigned i = 0; i < q->size; i++)
        q->next[i] = (uint16_t)(i + 1);
    q->n_free = (uint16_t)q->size;
}

static void release_chain(VhostQueue *q, uint16_t head, unsigned n)
{
    uint16_t last = head;
    for (unsigned i = 1; i < n; i++)
        last = q->next[last];
    q->next[last] = q->free;
    q->free = head;
    q->n_free += (uint16_t)n;
}

/* False: not now, or never (the device is broken then). */
static bool relay(VhostQueue *q, VirtqElement *e)
{
    unsigned n = e->n_out + e->n_in;
    if (n > q->size || n == 0) {
        virtio_error(q->h->v, "queue %u: a request of %u buffers; the back end takes 1 to %u", q->index, n,
                     q->size);
        return false;
    }
    if (n > q->n_free)
        return false;
    uint16_t head = q->free, at = head;
    for (unsigned i = 0; i < n; i++) {
        Desc d = {GUINT64_TO_LE(vhost_at(q->h, e->sg[i].iov_base, e->sg[i].iov_len)),
                  GUINT32_TO_LE((uint32_t)e->sg[i].iov_len),
                  GUINT16_TO_LE((i + 1 < n ? NEXT : 0) | (i >= e->n_out ? WRITE : 0)), GUINT16_TO_LE(q->next[at])};
        if (d.addr == UINT64_MAX) {
            virtio_error(q->h->v, "queue %u: a buffer lies in memory that the back end cannot share", q->index);
            return false;
        }
        memcpy(q->desc + 16 * at, &d, sizeof(d));
        q->free = i + 1 == n ? q->next[at] : q->free;
        at = q->next[at];
    }
    q->n_free -= (uint16_t)n;
    q->element[head] = e;
    offer(q, head);
    return true;
}

static void refresh_memory(Vhost *h)
{
    if (h->generation != mem_generation(h->v->dev.object.vm) && collect_regions(h))
        h->ops->set_memory(h);
}

static VhostQueue *queue_of(Vhost *h, Virtq *vq)
{
    for (unsigned i = 0; i < h->n_queues; i++)
        if (h->queue[i].vq == vq)
            return &h->queue[i];
    return NULL;
}

void vhost_serve(Vhost *h, Virtq *vq)
{
    VhostQueue *q = queue_of(h, vq);
    VirtqElement *e;
    bool any = false;
    if (!h->running || !q || !q->watch)
        return;
    refresh_memory(h);
    while ((e = virtq_pop(vq, 0))) {
        if (!relay(q, e)) {
            virtq_unpop(vq, e);
            break;
        }
        any = true;
    }
    if (!any)
        return;
    publish(q);
    uint64_t one = 1;
    uint16_t flags = __atomic_load_n((uint16_t *)q->used, __ATOMIC_SEQ_CST);
    if (!(GUINT16_FROM_LE(flags) & NO_NOTIFY) && write(q->kick, &one, sizeof(one)) < 0)
        log_write("vhost: eventfd: %s\n", g_strerror(errno));
}

/* False: the back end wrote what it must not. */
bool vhost_collect(VhostQueue *q)
{
    uint16_t idx = GUINT16_FROM_LE(__atomic_load_n((uint16_t *)q->used + 1, __ATOMIC_ACQUIRE));
    if ((uint16_t)(idx - q->used_idx) > q->size)
        return false;
    while (q->used_idx != idx) {
        Used u;
        memcpy(&u, q->used + 4 + 8 * (q->used_idx % q->size), sizeof(u));
        uint32_t id = GUINT32_FROM_LE(u.id), len = GUINT32_FROM_LE(u.len);
        VirtqElement *e = id < q->size ? q->element[id] : NULL;
        if (!e)
            return false;
        q->used_idx++;
        q->element[id] = NULL;
        release_chain(q, (uint16_t)id, e->n_out + e->n_in);
        virtq_push(q->vq, e, (uint32_t)MIN(len, e->in_bytes));
    }
    virtq_flush(q->vq);
    return true;
}

static void called(int fd, GIOCondition ready, void *data)
{
    VhostQueue *q = data;
    Vhost *h = q->h;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 || !h->running)
        return;
    if (!vhost_collect(q)) {
        log_write("%s: the back end broke the ring of queue %u\n", h->v->dev.object.type->name, q->index);
        vhost_stop(h, false, false);
        return;
    }
    vhost_serve(h, q->vq);      /* descriptors became free */
}

/* ---- all of them ---- */

bool vhost_start(Vhost *h)
{
    VirtioDevice *v = h->v;
    h->started = true;
    if (h->running)
        return true;
    if (!make_rings(h))
        return false;
    collect_regions(h);
    /* Our rings are modern ones whatever the driver's are, and guests' and requests' bytes little-endian;
     * only a card's header tells the two apart. */
    uint64_t version = h->keeps_version ? v->features & VIRTIO_F_VERSION_1 : VIRTIO_F_VERSION_1;
    uint64_t features = h->features & (version | (v->features & (VHOST_DEVICE_FEATURES |
                                                                           VHOST_MORE_FEATURES)));
    if (!h->ops->set_features(h, features) || !h->ops->set_memory(h))
        return false;
    h->running = true;
    for (unsigned i = 0; i < h->n_queues; i++) {
        VhostQueue *q = &h->queue[i];
        if (q->off || !virtq_get_ready(v, virtq_index(q->vq)))
            continue;
        ring_init(q);
        reset_ring(q);
        q->watch = loop_add_fd(v->loop, q->call, G_IO_IN, called, q);
        if (!h->ops->start_ring(h, q)) {
            vhost_stop(h, false, true);
            return false;
        }
        virtq_want_kicks(q->vq, true);
        virtq_schedule(q->vq);
        uint64_t one = 1;
        (void)!write(q->kick, &one, sizeof(one));       /* what is offered again */
    }
    if (h->ops->set_running && !h->ops->set_running(h, true)) {
        vhost_stop(h, false, true);
        return false;
    }
    return true;
}

void vhost_stop(Vhost *h, bool drop, bool dead)
{
    bool was = h->running;
    h->running = false;
    if (was && !dead && h->ops->set_running)
        h->ops->set_running(h, false);
    for (unsigned i = 0; i < h->n_queues; i++) {
        VhostQueue *q = &h->queue[i];
        if (!q->desc)
            continue;
        if (q->watch && was && !dead && !h->ops->stop_ring(h, q))
            dead = true;
        g_clear_pointer(&q->watch, loop_fd_free);
        if (was)
            vhost_collect(q);
        for (unsigned e = 0; drop && e < q->size; e++) {
            if (!q->element[e])
                continue;
            release_chain(q, (uint16_t)e, q->element[e]->n_out + q->element[e]->n_in);
            virtq_push(q->vq, g_steal_pointer(&q->element[e]), 0);
        }
    }
    if (drop)
        h->started = false;
}

VhostQueue *vhost_add(Vhost *h, Virtq *vq, unsigned index)
{
    VhostQueue *q = &h->queue[h->n_queues++];
    *q = (VhostQueue){.h = h, .vq = vq, .index = index, .size = virtq_max_size(h->v, virtq_index(vq)),
                      .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                      .call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return q;
}

void vhost_init(Vhost *h, VirtioDevice *v, const VhostOps *ops, bool need_fd)
{
    *h = (Vhost){.v = v, .ops = ops, .need_fd = need_fd, .memfd = -1,
                 .queue = g_new0(VhostQueue, VIRTIO_MAX_QUEUES)};
}

void vhost_finish(Vhost *h)
{
    for (unsigned i = 0; i < h->n_queues; i++) {
        VhostQueue *q = &h->queue[i];
        close(q->kick);
        close(q->call);
        g_free(q->next);
        g_free(q->element);
        g_free(q->order);
    }
    if (h->rings)
        munmap(h->rings, MAX(h->n_queues, 1) * RING_BYTES);
    if (h->memfd >= 0)
        close(h->memfd);
    g_free(h->queue);
    *h = (Vhost){.memfd = -1};
}
