/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio socket device in user space: guests' AF_VSOCK streams end in unix sockets of the host
 * (vsock.c). Spec: virtio 1.2, 5.10.
 *
 *   -device virtio-vsock-pci,guest-cid=3,path=/run/vm.vsock
 */
#include <string.h>
#include "hw/virtio/vsock.h"
#include "util/error.h"

enum { QUEUE_SIZE = 256, EVENT_RESET = 0, MIN_CID = 3 };
#define F_STREAM (1ull << 0)

typedef struct VirtioVsock {
    VirtioDevice v;
    Virtq *rx, *tx, *event;
    Vsock *sockets;
    uint64_t guest_cid;
    char *path;
    bool pumping;
    bool reset_due;             /* the guest's connections are gone, and it does not know */
} VirtioVsock;

/* ---- to the guest ---- */

static void pump(VirtioVsock *s)
{
    VirtqElement *e;
    if (s->pumping || !s->v.started)
        return;
    s->pumping = true;
    while (vsock_waiting(s->sockets) && (e = virtq_pop(s->rx, 0))) {
        if (e->in_bytes <= VSOCK_HEADER) {
            virtio_error(&s->v, "receive buffer of %zu bytes; a packet needs more", e->in_bytes);
            virtq_unpop(s->rx, e);
            break;
        }
        size_t n = vsock_to_guest(s->sockets, e->in, e->n_in);
        if (n)
            virtq_push(s->rx, e, (uint32_t)n);
        else
            virtq_unpop(s->rx, e);
    }
    virtq_flush(s->rx);
    s->pumping = false;
}

/* On the loop, perhaps from within the handling of a packet: the queue's own turn comes soon. */
static void wake(void *opaque)
{
    VirtioVsock *s = opaque;
    if (s->v.started && !s->pumping)
        virtq_schedule(s->rx);
}

static void serve_rx(VirtioDevice *v, Virtq *vq)
{
    VirtioVsock *s = (VirtioVsock *)v;
    bool was_full = vsock_full(s->sockets);
    pump(s);
    if (was_full && !vsock_full(s->sockets))
        virtq_schedule(s->tx);
}

/* ---- from the guest ---- */

static bool read_header(const VirtqElement *e, VsockHeader *h)
{
    VsockHeader w;
    if (iov_read(e->out, e->n_out, 0, &w, sizeof(w)) < sizeof(w))
        return false;
    *h = (VsockHeader){
        GUINT64_FROM_LE(w.src_cid), GUINT64_FROM_LE(w.dst_cid), GUINT32_FROM_LE(w.src_port),
        GUINT32_FROM_LE(w.dst_port), GUINT32_FROM_LE(w.len), GUINT16_FROM_LE(w.type),
        GUINT16_FROM_LE(w.op), GUINT32_FROM_LE(w.flags), GUINT32_FROM_LE(w.buf_alloc),
        GUINT32_FROM_LE(w.fwd_cnt)};
    return h->len <= e->out_bytes - sizeof(w);
}

static void serve_tx(VirtioDevice *v, Virtq *vq)
{
    VirtioVsock *s = (VirtioVsock *)v;
    VirtqElement *e;
    while (!vsock_full(s->sockets) && (e = virtq_pop(vq, 0))) {
        VsockHeader h;
        struct iovec iov[VIRTQ_MAX_SG];
        if (!read_header(e, &h)) {
            log_guest(v, "packet of %zu bytes is shorter than its header says", e->out_bytes);
        } else {
            unsigned n = iov_slice(iov, VIRTQ_MAX_SG, e->out, e->n_out, sizeof(h), h.len);
            vsock_from_guest(s->sockets, &h, iov, n);
        }
        virtq_push(vq, e, 0);
    }
    virtq_flush(vq);
}

static void serve_event(VirtioDevice *v, Virtq *vq)
{
    VirtioVsock *s = (VirtioVsock *)v;
    VirtqElement *e = s->reset_due ? virtq_pop(vq, 0) : NULL;
    if (!e)
        return;
    uint32_t id = GUINT32_TO_LE(EVENT_RESET);
    s->reset_due = false;
    virtq_push(vq, e, (uint32_t)iov_write(e->in, e->n_in, 0, &id, sizeof(id)));
    virtq_flush(vq);
}

/* ---- the device ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    uint64_t cid = GUINT64_TO_LE(((VirtioVsock *)v)->guest_cid);
    memcpy(config, &cid, sizeof(cid));
}

static void start(VirtioDevice *v) { vsock_listen(((VirtioVsock *)v)->sockets, true); }

static void stop(VirtioDevice *v)
{
    VirtioVsock *s = (VirtioVsock *)v;
    vsock_listen(s->sockets, false);
    vsock_reset(s->sockets);
    s->reset_due = false;
}

/* The sockets of where the machine came from are not here. */
static void restored(Device *d) { ((VirtioVsock *)d)->reset_due = true; }

static bool realize(Device *d, GError **error)
{
    VirtioVsock *s = (VirtioVsock *)d;
    if (!s->path || !*s->path)
        return error_set(error, "virtio-vsock: path= is needed: the unix socket through which the host "
                         "reaches the guest");
    if (s->guest_cid < MIN_CID || s->guest_cid >= UINT32_MAX)
        return error_set(error, "guest-cid must be between %d and %u", MIN_CID, UINT32_MAX - 1);
    s->sockets = vsock_new(s->v.loop, s->path, s->guest_cid, wake, s, error);
    if (!s->sockets)
        return false;
    s->rx = virtio_add_queue(&s->v, QUEUE_SIZE, serve_rx);
    s->tx = virtio_add_queue(&s->v, QUEUE_SIZE, serve_tx);
    s->event = virtio_add_queue(&s->v, QUEUE_SIZE, serve_event);
    return true;
}

static void free_sockets(void *data)
{
    g_clear_pointer(&((VirtioVsock *)data)->sockets, vsock_free);
}

static void unrealize(Device *d)
{
    VirtioVsock *s = (VirtioVsock *)d;
    virtio_stop(&s->v);
    if (s->sockets)
        loop_call(s->v.loop, free_sockets, s);
}

static const VirtioClass cls = {
    .id = 19, .features = F_STREAM, .config_size = 8, .get_config = get_config, .start = start,
    .stop = stop,
};
static const Field fields[] = {
    HOST(VirtioVsock, v), HOST(VirtioVsock, rx), HOST(VirtioVsock, tx), HOST(VirtioVsock, event),
    HOST(VirtioVsock, sockets),
    PROP(VirtioVsock, guest_cid, "guest-cid", PROP_U64, .desc = "the guest's address"),
    PROP(VirtioVsock, path, "path", PROP_STRING, .desc = "the unix socket that leads to the guest"),
    HOST(VirtioVsock, pumping), HOST(VirtioVsock, reset_due),
};
static const DeviceType virtio_vsock = {
    .name = "virtio-vsock-device", .parent = "virtio-device",
    .desc = "virtio sockets that lead to unix sockets", .size = sizeof(VirtioVsock), .bus = "virtio-bus",
    .pluggable = true, .category = DEVICE_MISC, FIELDS(fields), .realize = realize,
    .unrealize = unrealize, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_vsock);
