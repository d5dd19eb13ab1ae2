/* SPDX-License-Identifier: Apache-2.0 */
/* The network card's queues, served by a vhost-user back end or by the host's kernel (vhost.h). Spec: virtio
 * 1.2, 5.1. */
#include "hw/virtio/vhost.h"
#include "hw/virtio/virtio-net.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"
#include "util/vhost-fd.h"

/* What the one who sees the packets must be able to do. */
#define BACK_END                                                                                    \
    (F_CSUM | OFFLOADS_TO_GUEST | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO | F_MRG_RXBUF | F_MTU)
/* Hashes are computed by us only, and the offloads of a program are not ours to change. */
#define HASHES (F_RSS | F_HASH_REPORT)

struct NetVhost {
    Vhost *h;                   /* one of: */
    VhostUser user;
    VhostKernel kernel;
    int *fd;                    /* of the kernel, by pair; the netdev's */
    bool by_kernel, told;       /* (a program) clients know that it is there */
};

static VirtioNet *net_of(Vhost *h) { return (VirtioNet *)h->v; }
static NetClient *peer_of(const VirtioNet *s, unsigned pair) { return s->pair[pair].nic.peer; }

static void add_queues(VirtioNet *s)
{
    for (unsigned i = 0; i < s->n_pairs; i++) {
        vhost_add(s->vhost->h, s->pair[i].rx, 2 * i);
        vhost_add(s->vhost->h, s->pair[i].tx, 2 * i + 1);
    }
}

/* ---- a program ---- */

/* The cable was pulled, or is in again. */
static void line_changed(VirtioDevice *v)
{
    NetVhost *n = ((VirtioNet *)v)->vhost;
    const NetClient *peer = peer_of((VirtioNet *)v, 0);
    if (peer && n->user.connected != n->told) {
        n->told = n->user.connected;
        if (n->told)
            qapi_event_netdev_vhost_user_connected(peer->vm, peer->name, chardev_id(n->user.chr));
        else
            qapi_event_netdev_vhost_user_disconnected(peer->vm, peer->name);
    }
    if (v->transport)
        virtio_config_changed(v);
}

static bool open_user(VirtioNet *s, GError **error)
{
    VhostUser *u = &s->vhost->user;
    s->vhost->h = &u->h;
    u->chr = netdev_outside(s->netdev);
    u->line_changed = line_changed;
    if (!vhost_user_open(u, &s->v, 0, false, error))
        return false;
    if (!(u->h.features & VIRTIO_F_VERSION_1))
        return error_set(error, "netdev vhost-user: the back end knows only drivers from before virtio 1.0");
    if (s->n_pairs > u->max_queues)
        return error_set(error, "you are asking more queues than supported: %u", (unsigned)u->max_queues);
    return true;
}

/* ---- the kernel ---- */

static bool start_ring(Vhost *h, VhostQueue *q)
{
    GError *error = NULL;
    NetClient *peer = peer_of(net_of(h), q->index / 2);
    int fd = vhost_kernel_fd(h, q);
    unsigned ring = vhost_kernel_ring(q);
    if (!vhost_kernel_start(h, q))
        return false;
    /* Kernels without it lack nothing but speed. */
    if (peer->kernel->poll_us)
        vhost_kernel_did(h, vhost_fd_poll(fd, ring, peer->kernel->poll_us, &error), &error);
    return vhost_kernel_did(h, vhost_fd_net_backend(fd, ring, peer->ops->lend(peer, true), &error), &error);
}

static bool stop_ring(Vhost *h, VhostQueue *q)
{
    GError *error = NULL;
    bool ok = vhost_fd_net_backend(vhost_kernel_fd(h, q), vhost_kernel_ring(q), -1, &error);
    return vhost_kernel_did(h, ok, &error) && vhost_kernel_stop(h, q);
}

static const VhostOps kernel_ops = {
    .set_features = vhost_kernel_features, .set_memory = vhost_kernel_memory, .start_ring = start_ring,
    .stop_ring = stop_ring,
};

/* While the kernel serves the card nobody here reads packets, also when the machine stands. */
static void lend(VirtioNet *s, bool on)
{
    for (unsigned i = 0; i < s->n_pairs; i++)
        if (peer_of(s, i))
            peer_of(s, i)->ops->lend(peer_of(s, i), on);
}

static bool open_kernel(VirtioNet *s, GError **error)
{
    NetVhost *n = s->vhost;
    uint64_t features = ~0ull;
    n->h = &n->kernel.h;
    n->by_kernel = true;
    n->fd = g_new(int, s->n_pairs);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        n->fd[i] = peer_of(s, i)->kernel->fd;
        features &= peer_of(s, i)->kernel->features;
    }
    if (!vhost_kernel_init(&n->kernel, &s->v, &kernel_ops, n->fd, features, error))
        return false;
    n->kernel.own_features = peer_of(s, 0)->vnet_hdr ? 0 : VHOST_FD_NET_HEADER;
    lend(s, true);
    return true;
}

static void close_kernel(VirtioNet *s)
{
    NetVhost *n = s->vhost;
    for (unsigned i = 0; i < n->h->n_queues; i++) {     /* also what a failed start has left */
        VhostQueue *q = &n->h->queue[i];
        (void)!vhost_fd_net_backend(vhost_kernel_fd(n->h, q), vhost_kernel_ring(q), -1, NULL);
    }
    if (n->h->v)
        vhost_stop(n->h, true, false);
    vhost_kernel_finish(&n->kernel);
    lend(s, false);
    g_free(n->fd);
}

/* ---- either ---- */

uint64_t net_vhost_offer(const VirtioNet *s, uint64_t f)
{
    uint64_t can = s->vhost->h->features;
    if (s->vhost->by_kernel)    /* the interface does the rest */
        return f & ~HASHES & (can | ~F_MRG_RXBUF) & (peer_of(s, 0) && peer_of(s, 0)->vnet_hdr ? ~0ull : ~OFFLOADS);
    return f & ~(HASHES | F_CTRL_GUEST_OFFLOADS) & (can | ~(uint64_t)BACK_END);
}

bool net_vhost_connected(const VirtioNet *s) { return s->vhost->by_kernel || s->vhost->user.connected; }

bool net_vhost_open(VirtioNet *s, GError **error)
{
    bool user = netdev_outside(s->netdev);
    if (!user && !(s->netdev && peer_of(s, 0)->kernel))
        return true;
    s->vhost = g_new0(NetVhost, 1);
    if (!(user ? open_user(s, error) : open_kernel(s, error)))
        return false;
    s->vhost->h->keeps_version = true;
    add_queues(s);
    return true;
}

void net_vhost_close(VirtioNet *s)
{
    if (s->vhost && s->vhost->by_kernel)
        close_kernel(s);
    else if (s->vhost)
        vhost_user_close(&s->vhost->user);
    g_clear_pointer(&s->vhost, g_free);
}

/* Into a pulled cable we send ourselves. */
bool net_vhost_serve(VirtioNet *s, Virtq *vq)
{
    if (s->vhost->by_kernel && !net_link_up(&s->pair[0].nic))
        return false;
    vhost_serve(s->vhost->h, vq);
    return true;
}

/* (A pair that the driver does not use: the interface's queue is detached, set_used.) */
void net_vhost_apply_pairs(VirtioNet *s)
{
    for (unsigned i = 0; !s->vhost->by_kernel && i < s->vhost->h->n_queues; i++)
        vhost_user_enable(&s->vhost->user, &s->vhost->h->queue[i], i / 2 < s->used_pairs);
}

void net_vhost_start(VirtioNet *s, unsigned pairs_known)
{
    for (unsigned i = 0; i < s->vhost->h->n_queues; i++)
        s->vhost->h->queue[i].off = i / 2 >= pairs_known;
    s->vhost->h->started = true;
    net_vhost_run(s, vm_is_running(s->v.dev.object.vm));
}

void net_vhost_stop(VirtioNet *s)
{
    if (s->vhost->by_kernel)
        vhost_stop(s->vhost->h, true, false);
    else
        vhost_user_stop(&s->vhost->user);
}

void net_vhost_run(VirtioNet *s, bool running)
{
    if (!s->vhost->by_kernel) {
        vhost_user_run(&s->vhost->user, running);
    } else if (!running || !net_link_up(&s->pair[0].nic)) {
        vhost_stop(s->vhost->h, false, false);
    } else if (s->vhost->h->started && !vhost_start(s->vhost->h)) {
        log_write("warning: nic %s: vhost does not start; Myna moves its packets itself\n", s->pair[0].nic.name);
        net_vhost_close(s);
    }
}

void net_vhost_link_changed(VirtioNet *s)
{
    if (!peer_of(s, 0)) {       /* and with it who serves */
        net_vhost_close(s);
        return;
    }
    if (!s->vhost->by_kernel)
        return;
    lend(s, net_link_up(&s->pair[0].nic));
    net_vhost_run(s, vm_is_running(s->v.dev.object.vm));
}
