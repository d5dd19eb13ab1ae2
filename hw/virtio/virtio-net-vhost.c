/* SPDX-License-Identifier: Apache-2.0 */
/* The network card's queues, served by a vhost-user back end (vhost.h). Spec: virtio 1.2, 5.1. */
#include "hw/virtio/vhost.h"
#include "hw/virtio/virtio-net.h"
#include "util/error.h"

/* What the one who sees the packets must be able to do. */
#define BACK_END                                                                                    \
    (F_CSUM | OFFLOADS_TO_GUEST | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO | F_MRG_RXBUF | F_MTU)
/* Ours change what we do with packets. */
#define NEVER (F_CTRL_GUEST_OFFLOADS | F_RSS | F_HASH_REPORT)

uint64_t net_vhost_offer(const VirtioNet *s, uint64_t f)
{
    return f & ~NEVER & (s->vhost->h.features | ~(uint64_t)BACK_END);
}

bool net_vhost_connected(const VirtioNet *s) { return s->vhost->connected; }

/* The cable was pulled, or is in again. */
static void line_changed(VirtioDevice *v)
{
    if (v->transport)
        virtio_config_changed(v);
}

bool net_vhost_open(VirtioNet *s, GError **error)
{
    VhostUser *u = s->vhost = g_new0(VhostUser, 1);
    u->chr = netdev_outside(s->netdev);
    u->line_changed = line_changed;
    if (!vhost_user_open(u, &s->v, 0, false, error))
        return false;
    u->h.keeps_version = true;
    if (!(u->h.features & VIRTIO_F_VERSION_1))
        return error_set(error, "netdev vhost-user: the back end knows only drivers from before virtio 1.0");
    if (s->n_pairs > u->max_queues)
        return error_set(error, "you are asking more queues than supported: %u", (unsigned)u->max_queues);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        vhost_add(&u->h, s->pair[i].rx, 2 * i);
        vhost_add(&u->h, s->pair[i].tx, 2 * i + 1);
    }
    return true;
}

void net_vhost_close(VirtioNet *s)
{
    if (s->vhost)
        vhost_user_close(s->vhost);
    g_clear_pointer(&s->vhost, g_free);
}

void net_vhost_apply_pairs(VirtioNet *s)
{
    for (unsigned i = 0; i < s->vhost->h.n_queues; i++)
        vhost_user_enable(s->vhost, &s->vhost->h.queue[i], i / 2 < s->used_pairs);
}

void net_vhost_start(VirtioNet *s, unsigned pairs_known)
{
    for (unsigned i = 0; i < s->vhost->h.n_queues; i++)
        s->vhost->h.queue[i].off = i / 2 >= pairs_known;
    vhost_user_start(s->vhost);
}
