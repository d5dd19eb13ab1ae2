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
#include <sys/ioctl.h>
#include <unistd.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/log.h"

enum { QUEUE_SIZE = 128, MIN_CID = 3 };

/* As in linux/vhost.h, which cannot stand beside hw/virtio/virtio.h. */
typedef struct RingState { uint32_t index, num; } RingState;
typedef struct RingAddress { uint32_t index, flags; uint64_t desc, used, avail, log; } RingAddress;
typedef struct RingFile { uint32_t index; int32_t fd; } RingFile;
typedef struct MemoryRegion { uint64_t at, size, host, flags; } MemoryRegion;
typedef struct MemoryTable { uint32_t n, padding; MemoryRegion region[]; } MemoryTable;
#define VHOST_GET_FEATURES _IOR(0xaf, 0x00, uint64_t)
#define VHOST_SET_FEATURES _IOW(0xaf, 0x00, uint64_t)
#define VHOST_SET_OWNER _IO(0xaf, 0x01)
#define VHOST_SET_MEM_TABLE _IOW(0xaf, 0x03, MemoryTable)
#define VHOST_SET_VRING_NUM _IOW(0xaf, 0x10, RingState)
#define VHOST_SET_VRING_ADDR _IOW(0xaf, 0x11, RingAddress)
#define VHOST_SET_VRING_BASE _IOW(0xaf, 0x12, RingState)
#define VHOST_GET_VRING_BASE _IOWR(0xaf, 0x12, RingState)
#define VHOST_SET_VRING_KICK _IOW(0xaf, 0x20, RingFile)
#define VHOST_SET_VRING_CALL _IOW(0xaf, 0x21, RingFile)
#define VHOST_VSOCK_SET_GUEST_CID _IOW(0xaf, 0x60, uint64_t)
#define VHOST_VSOCK_SET_RUNNING _IOW(0xaf, 0x61, int)

typedef struct VhostVsock {
    VirtioDevice v;
    Vhost h;
    Virtq *event;
    uint64_t guest_cid;
    char *vhostfd;
    int fd;
    bool reset_due;
} VhostVsock;

static int fd_of(Vhost *h) { return ((VhostVsock *)h->v)->fd; }

static bool call(Vhost *h, unsigned long request, const void *argument, const char *what)
{
    if (ioctl(fd_of(h), request, argument) >= 0)
        return true;
    log_write("vhost-vsock: %s: %s\n", what, g_strerror(errno));
    return false;
}

static bool set_features(Vhost *h, uint64_t features) { return call(h, VHOST_SET_FEATURES, &features, "features"); }

static bool set_memory(Vhost *h)
{
    g_autofree MemoryTable *m = g_malloc0(sizeof(*m) + h->n_regions * sizeof(m->region[0]));
    m->n = h->n_regions;
    for (unsigned i = 0; i < h->n_regions; i++)
        m->region[i] = (MemoryRegion){h->region[i].at, h->region[i].size, (uintptr_t)h->region[i].host, 0};
    return call(h, VHOST_SET_MEM_TABLE, m, "memory");
}

static bool start_ring(Vhost *h, VhostQueue *q)
{
    RingState num = {q->index, q->size}, base = {q->index, 0};
    RingAddress addr = {.index = q->index, .desc = (uintptr_t)q->desc, .used = (uintptr_t)q->used,
                        .avail = (uintptr_t)q->avail};
    RingFile kick = {q->index, q->kick}, called = {q->index, q->call};
    return call(h, VHOST_SET_VRING_NUM, &num, "size") && call(h, VHOST_SET_VRING_BASE, &base, "position") &&
           call(h, VHOST_SET_VRING_ADDR, &addr, "ring") && call(h, VHOST_SET_VRING_KICK, &kick, "kick") &&
           call(h, VHOST_SET_VRING_CALL, &called, "call");
}

static bool stop_ring(Vhost *h, VhostQueue *q)
{
    RingState base = {q->index, 0};
    return call(h, VHOST_GET_VRING_BASE, &base, "position");
}

static bool set_running(Vhost *h, bool on)
{
    int value = on;
    return call(h, VHOST_VSOCK_SET_RUNNING, &value, on ? "start" : "stop");
}

static const VhostOps ops = {
    .set_features = set_features, .set_memory = set_memory, .start_ring = start_ring, .stop_ring = stop_ring,
    .set_running = set_running,
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
    return features | (device_of(v)->h.features & VHOST_DEVICE_FEATURES);
}

static void serve(VirtioDevice *v, Virtq *vq) { vhost_serve(&device_of(v)->h, vq); }

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
        vhost_start(&device_of(v)->h);
    else
        vhost_stop(&device_of(v)->h, false, false);
}

static void start(VirtioDevice *v)
{
    device_of(v)->h.started = true;
    if (vm_is_running(v->dev.object.vm))
        run(v, true);
}

static void stop(VirtioDevice *v) { vhost_stop(&device_of(v)->h, true, false); }

static bool open_kernel(VhostVsock *s, GError **error)
{
    s->fd = s->vhostfd ? fd_store_take(s->v.dev.object.vm->fds, s->vhostfd, error)
                       : open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
    if (s->fd < 0)
        return s->vhostfd ? false : error_set_errno(error, errno, "vhost-vsock: /dev/vhost-vsock (virtio-vsock-pci "
                                                    "needs no help of the kernel)");
    if (ioctl(s->fd, VHOST_SET_OWNER) < 0 || ioctl(s->fd, VHOST_GET_FEATURES, &s->h.features) < 0)
        return error_set_errno(error, errno, "vhost-vsock: the descriptor is no /dev/vhost-vsock");
    if (ioctl(s->fd, VHOST_VSOCK_SET_GUEST_CID, &s->guest_cid) < 0)
        return error_set_errno(error, errno, "vhost-vsock: guest-cid=%" G_GUINT64_FORMAT, s->guest_cid);
    return true;
}

static void close_kernel(VhostVsock *s)
{
    vhost_finish(&s->h);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool realize(Device *d, GError **error)
{
    VhostVsock *s = (VhostVsock *)d;
    if (s->guest_cid < MIN_CID || s->guest_cid >= UINT32_MAX)
        return error_set(error, "guest-cid must be between %d and %u", MIN_CID, UINT32_MAX - 1);
    vhost_init(&s->h, &s->v, &ops, false);
    if (!open_kernel(s, error)) {
        close_kernel(s);
        return false;
    }
    vhost_add(&s->h, virtio_add_queue(&s->v, QUEUE_SIZE, serve), 0);
    vhost_add(&s->h, virtio_add_queue(&s->v, QUEUE_SIZE, serve), 1);
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
    HOST(VhostVsock, v), HOST(VhostVsock, h), HOST(VhostVsock, event),
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
