/* SPDX-License-Identifier: Apache-2.0 */
/* -netdev hubport: a port of a virtual hub, which repeats a packet at all its other ports. */
#include "net/internal.h"

typedef struct HubPort {
    Netdev n;
    int32_t hub;
    NetClient other;            /* towards the back end named by netdev=, instead of a card */
} HubPort;


static NetClient *outside(HubPort *p) { return p->other.ops ? &p->other : &p->n.client; }

static void repeat(HubPort *from, const struct iovec *iov, unsigned n)
{
    Vm *vm = from->n.client.vm;
    g_auto(GStrv) ids = vm_service_ids(vm, "netdev");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Netdev *d = netdev_find(vm, ids[i]);
        HubPort *p = (HubPort *)d;
        if (object_is_a(&d->object, "netdev-hubport") && p != from && p->hub == from->hub)
            net_send(outside(p), iov, n);
    }
}

/* A hub does not wait for anybody: slow ports lose what does not fit into their queues. */
static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    repeat((HubPort *)netdev_of(c), iov, n);
    return true;
}

static bool receive_other(NetClient *c, const struct iovec *iov, unsigned n)
{
    repeat((HubPort *)((char *)c - offsetof(HubPort, other)), iov, n);
    return true;
}

static const NetClientOps other_ops = {.receive = receive_other};

static bool open_port(Netdev *n, const NetdevOptions *options, GError **error)
{
    HubPort *p = (HubPort *)n;
    const NetdevHubPortOptions *o = options->u.hubport;
    p->hub = o->hubid;
    n->client.info = g_strdup_printf("hubid=%d", p->hub);
    if (!o->netdev)
        return true;
    Netdev *d = netdev_find(n->client.vm, o->netdev);
    if (!d)
        return error_set(error, "there is no netdev '%s'", o->netdev);
    if (d->client.peer)
        return error_set(error, "netdev '%s' is in use by '%s'", o->netdev, d->client.peer->name);
    net_client_init(&p->other, n->client.vm, &other_ops, options->id);
    net_connect(&p->other, &d->client);
    return true;
}

static void close_port(Netdev *n) { net_client_finish(&((HubPort *)n)->other); }

static const NetdevType netdev_hubport = {
    .name = "netdev-hubport", .parent = "netdev", .desc = "a port of a virtual hub",
    .size = sizeof(HubPort), .kind = NET_CLIENT_DRIVER_HUBPORT, .ops = {.receive = receive},
    .open = open_port, .close = close_port,
};
OBJECT_TYPE(netdev_hubport);
