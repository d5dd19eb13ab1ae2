/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev vhost-user: another program takes over the queues of a virtio-net card; no packet passes here.
 *
 *   -chardev socket,id=c,path=/run/switch.sock[,server=on|,reconnect=1] -netdev vhost-user,id=n,chardev=c
 */
#include "chardev/chardev.h"
#include "net/internal.h"

enum { MAX_PAIRS = 31 };

/* What a card sends before the program is there is lost, as on a cable without another end. */
static bool receive(NetClient *c, const struct iovec *iov, unsigned n) { return true; }

static bool open_vhost(Netdev *n, const NetdevOptions *options, GError **error)
{
    const NetdevVhostUserOptions *o = options->u.vhost_user;
    Chardev *chr = chardev_find(n->client.vm, o->chardev);
    int64_t queues = o->has_queues ? o->queues : 1;
    if (!chr)
        return error_set(error, "chardev \"%s\" not found", o->chardev);
    if (queues < 1 || queues > MAX_PAIRS)
        return error_set(error, "vhost-user number of queues must be in range [1, %d]", MAX_PAIRS);
    netdev_set_queues(n, (unsigned)queues);
    n->client.outside = chr;
    n->client.info = g_strdup_printf("vhost-user%d to %s", 0, o->chardev);
    return true;
}

static void close_vhost(Netdev *n) { n->client.outside = NULL; }

static const NetdevType netdev_vhost_user = {
    .name = "netdev-vhost-user", .parent = "netdev", .desc = "a program that serves a card's queues",
    .size = sizeof(Netdev), .kind = NET_CLIENT_DRIVER_VHOST_USER, .ops = {.receive = receive},
    .open = open_vhost, .close = close_vhost,
};
OBJECT_TYPE(netdev_vhost_user);
