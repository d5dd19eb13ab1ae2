/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that the host's kernel serves (/dev/vhost-vsock), so that its programs reach the guest by AF_VSOCK.
 * Spec: virtio 1.2, 5.10; Linux include/uapi/linux/vhost.h.
 *
 *   -device vhost-vsock-pci,guest-cid=3[,vhostfd=N]
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/vhost-fd.h"

enum { QUEUE_SIZE = 128, MIN_CID = 3 };

typedef struct VhostVsock {
    VirtioDevice v;
    VhostKernel k;
    Virtq *event;
    uint64_t guest_cid;
    char *vhostfd;
    int fd;
    bool reset_due;
} VhostVsock;

static bool set_running(Vhost *h, bool on)
{
    GError *error = NULL;
    return vhost_kernel_did(h, vhost_fd_vsock_run(*vhost_kernel_of(h)->fd, on, &error), &error);
}

static const VhostOps ops = {
    .set_features = vhost_kernel_features, .set_memory = vhost_kernel_memory, .start_ring = vhost_kernel_start,
    .stop_ring = vhost_kernel_stop, .set_running = set_running,
};

/* ---- the device ---- */

static VhostVsock *device_of(VirtioDevice *v) { return (VhostVsock *)v; }

static void get_config(VirtioDevice *v, uint8_t *config)
{
    uint64_t cid = GUINT64_TO_LE(device_of(v)->guest_cid);
    memcpy(config, &cid, sizeof(cid));
}

static uint64_t offer(VirtioDevice *v, uint64_t features)
{
    return features | (device_of(v)->k.h.features & VHOST_DEVICE_FEATURES);
}

static void serve(VirtioDevice *v, Virtq *vq) { vhost_serve(&device_of(v)->k.h, vq); }

/* Connections do not move with a machine. */
static void serve_event(VirtioDevice *v, Virtq *vq)
{
    VhostVsock *s = device_of(v);
    VirtqElement *e = s->reset_due ? virtq_pop(vq, 0) : NULL;
    uint32_t reset = 0;
    if (!e)
        return;
    s->reset_due = false;
    virtq_push(vq, e, (uint32_t)iov_write(e->in, e->n_in, 0, &reset, sizeof(reset)));
    virtq_flush(vq);
}

static void restored(Device *d) { ((VhostVsock *)d)->reset_due = true; }

static void run(VirtioDevice *v, bool running)
{
    if (running)
        vhost_start(&device_of(v)->k.h);
    else
        vhost_stop(&device_of(v)->k.h, false, false);
}

static void start(VirtioDevice *v)
{
    device_of(v)->k.h.started = true;
    if (vm_is_running(v->dev.object.vm))
        run(v, true);
}

static void stop(VirtioDevice *v) { vhost_stop(&device_of(v)->k.h, true, false); }

static bool open_kernel(VhostVsock *s, GError **error)
{
    uint64_t features;
    s->fd = s->vhostfd ? fd_store_take(s->v.dev.object.vm->fds, s->vhostfd, error)
                       : open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
    if (s->fd < 0)
        return s->vhostfd ? false : error_set_errno(error, errno, "vhost-vsock: /dev/vhost-vsock ('modprobe "
                                                    "vhost_vsock' as root makes it; virtio-vsock-pci needs no help "
                                                    "of the kernel)");
    if (!vhost_fd_own(s->fd, &features, error) || !vhost_fd_vsock_cid(s->fd, s->guest_cid, error)) {
        g_prefix_error(error, "vhost-vsock with guest-cid=%" G_GUINT64_FORMAT ": ", s->guest_cid);
        return false;
    }
    return vhost_kernel_init(&s->k, &s->v, &ops, &s->fd, features, error);
}

static void close_kernel(VhostVsock *s)
{
    vhost_kernel_finish(&s->k);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool realize(Device *d, GError **error)
{
    VhostVsock *s = (VhostVsock *)d;
    if (s->guest_cid < MIN_CID || s->guest_cid >= UINT32_MAX)
        return error_set(error, "guest-cid must be between %d and %u", MIN_CID, UINT32_MAX - 1);
    if (!open_kernel(s, error)) {
        close_kernel(s);
        return false;
    }
    vhost_add(&s->k.h, virtio_add_queue(&s->v, QUEUE_SIZE, serve), 0);
    vhost_add(&s->k.h, virtio_add_queue(&s->v, QUEUE_SIZE, serve), 1);
    s->event = virtio_add_queue(&s->v, QUEUE_SIZE, serve_event);
    return true;
}

static void unrealize(Device *d)
{
    virtio_stop(&((VhostVsock *)d)->v);
    close_kernel((VhostVsock *)d);
}

static const VirtioClass cls = {
    .id = 19, .config_size = 8, .offer = offer, .get_config = get_config, .start = start, .stop = stop, .run = run,
};
static const Field fields[] = {
    HOST(VhostVsock, v), HOST(VhostVsock, k), HOST(VhostVsock, event),
    PROP(VhostVsock, guest_cid, "guest-cid", PROP_U64, .desc = "the guest's address"),
    PROP(VhostVsock, vhostfd, "vhostfd", PROP_STRING, .desc = "an open /dev/vhost-vsock"),
    HOST(VhostVsock, fd), HOST(VhostVsock, reset_due),
};
static const DeviceType vhost_vsock = {
    .name = "vhost-vsock-device", .parent = "virtio-device", .desc = "sockets that the host's kernel serves",
    .size = sizeof(VhostVsock), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_MISC,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(vhost_vsock);
