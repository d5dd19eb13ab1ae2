/* SPDX-License-Identifier: Apache-2.0 */
/* virtio entropy device, with a rate limit. Spec: virtio 1.2, 5.4. */
#include "core/backend.h"
#include "hw/virtio/virtio.h"
#include "util/error.h"

enum { CHUNK = 65536 };

typedef struct VirtioRng {
    VirtioDevice v;
    Virtq *vq;
    Object *rng;
    RngRequest request;
    uint64_t max_bytes;
    uint32_t period_ms;
    uint64_t quota;             /* left in this period */
    unsigned timer;
} VirtioRng;

static void serve(VirtioDevice *v, Virtq *vq);

static void new_period(void *data)
{
    VirtioRng *s = data;
    s->timer = 0;
    s->quota = s->max_bytes;
    serve(&s->v, s->vq);
}

/* Random bytes have come: into the oldest buffer, then on to the next. */
static void arrived(RngRequest *r, const void *data, size_t n)
{
    VirtioRng *s = (VirtioRng *)((char *)r - offsetof(VirtioRng, request));
    VirtqElement *e = virtq_pop(s->vq, 0);
    if (!e)
        return;
    virtq_push(s->vq, e, iov_write(e->in, e->n_in, 0, data, n));
    virtq_flush(s->vq);
    if (s->max_bytes != INT64_MAX)
        s->quota -= MIN(n, s->quota);
    serve(&s->v, s->vq);
}

/* Asks for as much as the oldest buffer holds; a period's quota may make it wait. */
static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioRng *s = (VirtioRng *)v;
    if (s->request.rng)
        return;
    if (!s->quota) {
        if (!s->timer)
            s->timer = loop_after(v->loop, s->period_ms, new_period, s);
        return;
    }
    VirtqElement *e = virtq_pop(vq, 0);
    if (!e)
        return;
    size_t n = MIN(MIN(e->in_bytes, CHUNK), s->quota);
    if (!n) {
        virtq_push(vq, e, 0);
        virtq_flush(vq);
        return;
    }
    virtq_unpop(vq, e);
    s->request = (RngRequest){.n = n, .fn = arrived};
    rng_request(s->rng, &s->request);
}

static void stop(VirtioDevice *v)
{
    VirtioRng *s = (VirtioRng *)v;
    rng_cancel(&s->request);
    if (s->timer)
        loop_cancel(v->loop, s->timer);
    s->timer = 0;
    s->quota = s->max_bytes;
}

static bool realize(Device *d, GError **error)
{
    VirtioRng *s = (VirtioRng *)d;
    if (!s->period_ms)
        return error_set(error, "'period' must be above 0");
    if (!s->rng) {
        s->rng = object_new(d->object.vm, object_type_find("rng-builtin"));
        object_add_child(&d->object, "default-backend", s->rng);
        if (!object_complete(s->rng, error))
            return false;
    }
    s->quota = s->max_bytes;
    s->vq = virtio_add_queue(&s->v, 8, serve);
    return true;
}

static const VirtioClass cls = {.id = 4, .stop = stop};
static const Field fields[] = {
    HOST(VirtioRng, v), HOST(VirtioRng, vq),
    PROP(VirtioRng, rng, "rng", PROP_LINK, .link_type = "rng-backend"),
    HOST(VirtioRng, request),
    PROP(VirtioRng, max_bytes, "max-bytes", PROP_U64, .init = INT64_MAX),
    PROP(VirtioRng, period_ms, "period", PROP_U32, .init = 65536),
    HOST(VirtioRng, quota), HOST(VirtioRng, timer),
};
static const DeviceType virtio_rng = {
    .name = "virtio-rng-device", .parent = "virtio-device", .desc = "virtio entropy source",
    .size = sizeof(VirtioRng), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_MISC,
    FIELDS(fields), .realize = realize, .ext = &cls,
};
DEVICE_TYPE(virtio_rng);
