/* SPDX-License-Identifier: Apache-2.0 */
/* Queues that the host's kernel serves (vhost.h); what is said to it stands in util/vhost-fd.h. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"
#include "util/log.h"
#include "util/vhost-fd.h"

static const char *name_of(const Vhost *h) { return h->v->dev.object.type->name; }

bool vhost_kernel_did(Vhost *h, bool ok, GError **error)
{
    if (!ok)
        log_write("%s: %s\n", name_of(h), (*error)->message);
    g_clear_error(error);
    return ok;
}

static unsigned n_devices(const Vhost *h) { return (h->n_queues + 1) / 2; }

bool vhost_kernel_features(Vhost *h, uint64_t features)
{
    GError *error = NULL;
    VhostKernel *k = vhost_kernel_of(h);
    bool ok = true;
    for (unsigned i = 0; ok && i < n_devices(h); i++)
        ok = vhost_fd_set_features(k->fd[i], features | k->own_features, &error);
    return vhost_kernel_did(h, ok, &error);
}

bool vhost_kernel_memory(Vhost *h)
{
    GError *error = NULL;
    VhostFdRegion region[VHOST_MAX_REGIONS];
    bool ok = true;
    for (unsigned i = 0; i < h->n_regions; i++)
        region[i] = (VhostFdRegion){h->region[i].at, h->region[i].size, (uintptr_t)h->region[i].host};
    for (unsigned i = 0; ok && i < n_devices(h); i++)
        ok = vhost_fd_set_memory(vhost_kernel_of(h)->fd[i], region, h->n_regions, &error);
    return vhost_kernel_did(h, ok, &error);
}

bool vhost_kernel_start(Vhost *h, VhostQueue *q)
{
    GError *error = NULL;
    VhostFdRing ring = {vhost_kernel_ring(q), q->size, q->desc, q->avail, q->used, q->kick, q->call,
                            vhost_kernel_of(h)->err};
    return vhost_kernel_did(h, vhost_fd_start_ring(vhost_kernel_fd(h, q), &ring, &error), &error);
}

bool vhost_kernel_stop(Vhost *h, VhostQueue *q)
{
    GError *error = NULL;
    return vhost_kernel_did(h, vhost_fd_stop_ring(vhost_kernel_fd(h, q), vhost_kernel_ring(q), &error), &error);
}

/* The rings are ours, so it is a buffer: memory that went away, or a packet's header that makes no sense. */
static void failed(int fd, GIOCondition ready, void *data)
{
    VhostKernel *k = data;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) > 0)
        log_write("%s: the kernel met a buffer that it cannot use\n", name_of(&k->h));
}

bool vhost_kernel_init(VhostKernel *k, VirtioDevice *v, const VhostOps *ops, const int *fd, uint64_t features,
                       GError **error)
{
    vhost_init(&k->h, v, ops, false);
    k->h.features = features;
    k->fd = fd;
    k->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->err < 0)
        return error_set_errno(error, errno, "vhost: eventfd");
    k->err_watch = loop_add_fd(v->loop, k->err, G_IO_IN, failed, k);
    return true;
}

void vhost_kernel_finish(VhostKernel *k)
{
    if (!k->h.v)
        return;
    vhost_finish(&k->h);
    g_clear_pointer(&k->err_watch, loop_fd_free);
    if (k->err >= 0)
        close(k->err);
    k->err = -1;
}
