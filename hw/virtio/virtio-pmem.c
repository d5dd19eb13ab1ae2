/* SPDX-License-Identifier: Apache-2.0 */
/* virtio persistent memory: a file in the address space, with flushes by requests. Spec: virtio 1.2, 5.19. */
#include <string.h>
#include "hw/mem.h"
#include "hw/virtio/virtio.h"
#include "util/error.h"

enum { FLUSH = 0, QUEUE = 128, ALIGN = 2 << 20, FAILED = -1 };

typedef struct VirtioPmem {
    VirtioDevice v;
    Virtq *vq;
    MemoryDevice m;
    GThread *worker;            /* flushes what `busy` asked for */
    VirtqElement *busy;
    int32_t result;
} VirtioPmem;

static void serve(VirtioDevice *v, Virtq *vq);

static void finish_flush(VirtioPmem *s)
{
    if (!s->worker)
        return;
    g_thread_join(g_steal_pointer(&s->worker));
    VirtqElement *e = g_steal_pointer(&s->busy);
    uint32_t result = GUINT32_TO_LE((uint32_t)s->result);
    virtq_push(s->vq, e, iov_write(e->in, e->n_in, 0, &result, sizeof(result)));
    virtq_flush(s->vq);
}

static void flushed(void *data)
{
    VirtioPmem *s = data;
    finish_flush(s);
    if (s->v.dev.realized)
        serve(&s->v, s->vq);
    object_unref(&s->v.dev.object);
}

static void *flush(void *data)
{
    VirtioPmem *s = data;
    s->result = mem_sync(s->m.region) ? 0 : FAILED;
    loop_post(s->v.loop, flushed, s);
    return NULL;
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioPmem *s = (VirtioPmem *)v;
    VirtqElement *e;
    while (!s->worker && (e = virtq_pop(vq, 0))) {
        uint32_t type = UINT32_MAX, result = GUINT32_TO_LE((uint32_t)FAILED);
        iov_read(e->out, e->n_out, 0, &type, sizeof(type));
        if (GUINT32_FROM_LE(type) == FLUSH && e->in_bytes >= 4) {
            s->busy = e;
            object_ref(&v->dev.object);
            s->worker = g_thread_new("pmem-flush", flush, s);
            return;
        }
        virtq_push(vq, e, iov_write(e->in, e->n_in, 0, &result, sizeof(result)));
        virtq_flush(vq);
    }
}

static void stop(VirtioDevice *v) { finish_flush((VirtioPmem *)v); }

static void run(VirtioDevice *v, bool running)
{
    if (!running)
        finish_flush((VirtioPmem *)v);
}

static void get_config(VirtioDevice *v, uint8_t *c)
{
    VirtioPmem *s = (VirtioPmem *)v;
    uint64_t part[] = {GUINT64_TO_LE(s->m.addr), GUINT64_TO_LE(s->m.size)};
    memcpy(c, part, sizeof(part));
}

static bool realize(Device *d, GError **error)
{
    VirtioPmem *s = (VirtioPmem *)d;
    if (!s->m.memdev)
        return error_set(error, "virtio-pmem memdev not set");
    s->m.slot = -1;
    s->m.align = ALIGN;
    if (!memory_device_take(&s->m, d, MEMORY_VIRTIO_PMEM, error) || !memory_device_place(&s->m, error)) {
        memory_device_remove(&s->m);
        return false;
    }
    s->vq = virtio_add_queue(&s->v, QUEUE, serve);
    return true;
}

static void unrealize(Device *d)
{
    virtio_stop((VirtioDevice *)d);
    memory_device_remove(&((VirtioPmem *)d)->m);
}

static const VirtioClass cls = {.id = 27, .config_size = 16, .get_config = get_config, .stop = stop, .run = run};
static const Field fields[] = {
    HOST(VirtioPmem, v), HOST(VirtioPmem, vq), HOST(VirtioPmem, worker),
    HOST(VirtioPmem, busy), HOST(VirtioPmem, result),
    PROP(VirtioPmem, m.memdev, "memdev", PROP_LINK, .link_type = "memory-backend", .desc = "The memory"),
    PROP(VirtioPmem, m.addr, "memaddr", PROP_U64, .desc = "Guest-physical address, 0: chosen"),
};
static const DeviceType virtio_pmem = {
    .name = "virtio-pmem", .parent = "virtio-device", .desc = "virtio persistent memory", .size = sizeof(VirtioPmem),
    .bus = "virtio-bus", .category = DEVICE_MISC, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .ext = &cls,
};
DEVICE_TYPE(virtio_pmem);
