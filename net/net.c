/* SPDX-License-Identifier: Apache-2.0 */
/* Between two network ends: delivery, queues, links; cards and back ends by name. */
#include <string.h>
#include "core/device.h"
#include "net/internal.h"
#include "qapi/event.h"
#include "qapi/qapi-events.h"

enum { MAX_QUEUED = 4 << 20, MAX_PACKETS = 4096 };

typedef struct Packet {
    size_t bytes;
    uint8_t data[];
} Packet;

/* ---- packets ---- */

size_t net_linear(const struct iovec *iov, unsigned n, const uint8_t **data, uint8_t *buf)
{
    size_t bytes = iov_bytes(iov, n);
    if (bytes > NET_MAX_PACKET)
        return 0;
    *data = n == 1 ? iov[0].iov_base : buf;
    if (n != 1)
        iov_read(iov, n, 0, buf, bytes);
    return bytes;
}

static void enqueue(NetClient *to, const struct iovec *iov, unsigned n)
{
    size_t bytes = iov_bytes(iov, n);
    if (to->queued + bytes > MAX_QUEUED || to->queue.length >= MAX_PACKETS || bytes > NET_MAX_PACKET) {
        to->dropped++;
        return;
    }
    Packet *p = g_malloc(sizeof(Packet) + bytes);
    p->bytes = bytes;
    iov_read(iov, n, 0, p->data, bytes);
    g_queue_push_tail(&to->queue, p);
    to->queued += bytes;
}

/* A packet that comes round to an end's own receive() (a ring of hubs) is cut off. */
static bool deliver(NetClient *to, const struct iovec *iov, unsigned n)
{
    if (to->delivering) {
        to->dropped++;
        return true;
    }
    to->delivering = true;
    bool taken = to->ops->receive(to, iov, n);
    to->delivering = false;
    if (taken) {
        to->rx_packets++;
        to->rx_bytes += iov_bytes(iov, n);
    }
    return taken;
}

static const NetClient *lead(const NetClient *c) { return c->lead ? c->lead : c; }

bool net_link_up(const NetClient *c)
{
    return !lead(c)->link_down && c->peer && !lead(c->peer)->link_down;
}

bool net_send(NetClient *c, const struct iovec *iov, unsigned n)
{
    NetClient *to = c->peer;
    if (!net_link_up(c))
        return true;
    if (g_queue_is_empty(&to->queue) && deliver(to, iov, n))
        return true;
    enqueue(to, iov, n);
    to->peer_waits = true;
    return false;
}

void net_flush(NetClient *c)
{
    while (!g_queue_is_empty(&c->queue)) {
        Packet *p = g_queue_peek_head(&c->queue);
        struct iovec iov = {p->data, p->bytes};
        if (!deliver(c, &iov, 1))
            return;
        g_queue_pop_head(&c->queue);
        c->queued -= p->bytes;
        g_free(p);
    }
    if (c->peer_waits && c->peer) {
        c->peer_waits = false;
        if (c->peer->ops->resume)
            c->peer->ops->resume(c->peer);
    }
}

void net_purge(NetClient *c)
{
    for (Packet *p; (p = g_queue_pop_head(&c->queue)); g_free(p))
        c->dropped++;
    c->queued = 0;
}

/* ---- links ---- */

static void tell_link(NetClient *c)
{
    if (c && c->ops->link_changed)
        c->ops->link_changed(c);
}

void net_set_link(NetClient *c, bool up)
{
    if (c->link_down == !up)
        return;
    c->link_down = !up;
    if (!up) {
        net_purge(c);
        if (c->peer)
            net_purge(c->peer);
    }
    tell_link(c);
    tell_link(c->peer);
    net_flush(c);
    if (c->peer)
        net_flush(c->peer);
}

void net_connect(NetClient *a, NetClient *b)
{
    a->peer = b;
    b->peer = a;
    tell_link(a);
    tell_link(b);
}

void net_disconnect(NetClient *c)
{
    NetClient *other = c->peer;
    if (!other)
        return;
    net_purge(c);
    net_purge(other);
    c->peer = other->peer = NULL;
    c->peer_waits = other->peer_waits = false;
    tell_link(other);
}

void net_client_init(NetClient *c, Vm *vm, const NetClientOps *ops, const char *name)
{
    *c = (NetClient){.ops = ops, .vm = vm, .name = g_strdup(name), .tell_filter = true};
    g_queue_init(&c->queue);
}

void net_client_finish(NetClient *c)
{
    if (!c->ops)
        return;
    net_disconnect(c);
    net_purge(c);
    g_clear_pointer(&c->name, g_free);
    g_clear_pointer(&c->info, g_free);
    c->ops = NULL;
}

/* ---- cards ---- */

typedef void EachClient(NetClient *c, void *data);

static void each(Vm *vm, const char *kind, EachClient *fn, void *data)
{
    bool nic = !strcmp(kind, "nic");
    g_auto(GStrv) ids = vm_service_ids(vm, kind);
    for (unsigned i = 0; ids && ids[i]; i++) {
        void *p = vm_service_find(vm, kind, ids[i]);
        fn(nic ? p : &((Netdev *)p)->client, data);
    }
}

typedef struct MacSearch {
    const uint8_t *mac;
    bool used;
} MacSearch;

static void match_mac(NetClient *c, void *data)
{
    MacSearch *s = data;
    s->used |= !memcmp(c->mac, s->mac, 6);
}

static void choose_mac(Vm *vm, uint8_t mac[6])
{
    static const uint8_t none[6], first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    MacSearch s = {.mac = mac, .used = true};
    if (memcmp(mac, none, 6))
        return;
    memcpy(mac, first, 6);
    for (unsigned i = 0; s.used && i < 0x10000; i++) {
        uint16_t low = 0x3456 + i;
        mac[4] = low >> 8;
        mac[5] = low;
        s.used = false;
        each(vm, "nic", match_mac, &s);
    }
}

/* What the user typed: a transport's name instead of that of the device behind it. */
static const char *model(const Device *dev)
{
    const Object *parent = dev->object.parent;
    return parent && parent->type->wraps ? parent->type->name : dev->object.type->name;
}

static char *nic_name(Vm *vm, Device *dev)
{
    if (dev->id)
        return g_strdup(dev->id);
    for (unsigned i = 0;; i++) {
        char *name = g_strdup_printf("%s.%u", model(dev), i);
        if (!vm_service_find(vm, "nic", name))
            return name;
        g_free(name);
    }
}

bool nic_attach(NetClient *nic, Device *dev, const NetClientOps *ops, Netdev *netdev, uint8_t mac[6],
                GError **error)
{
    Vm *vm = dev->object.vm;
    if (netdev && netdev->client.peer)
        return error_set(error, "property 'netdev': '%s' is in use by '%s'", netdev->client.name,
                         netdev->client.peer->name);
    if (netdev_outside(netdev) && !ops->lends_queues)
        return error_set(error, "netdev '%s': only virtio-net can lend its queues to another program",
                         netdev->client.name);
    if (mac[0] & 1)
        return error_set(error, "property 'mac': %02x:%02x:%02x:%02x:%02x:%02x is the address of a group",
                         mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    g_autofree char *name = nic_name(vm, dev);
    choose_mac(vm, mac);
    net_client_init(nic, vm, ops, name);
    nic->is_nic = true;
    memcpy(nic->mac, mac, 6);
    nic->info = g_strdup_printf("model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x", model(dev),
                                mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    vm_service_add(vm, "nic", name, nic);
    if (netdev)
        net_connect(nic, &netdev->client);
    return true;
}

void nic_detach(NetClient *nic)
{
    if (!nic->ops)
        return;
    vm_service_remove(nic->vm, "nic", nic->name);
    net_client_finish(nic);
}

struct Chardev *netdev_outside(const Netdev *n) { return n ? n->client.outside : NULL; }

unsigned netdev_queues(const Netdev *n) { return n ? 1 + n->n_more : 1; }

void nic_attach_queue(NetClient *queue, NetClient *nic, Netdev *netdev, unsigned index)
{
    net_client_init(queue, nic->vm, nic->ops, nic->name);
    queue->is_nic = true;
    queue->lead = nic;
    queue->index = index;
    memcpy(queue->mac, nic->mac, 6);
    if (index < netdev_queues(netdev))
        net_connect(queue, netdev_queue(netdev, index));
}

void nic_detach_queue(NetClient *queue) { net_client_finish(queue); }

void netdev_set_queues(Netdev *n, unsigned queues)
{
    n->more = g_new0(NetClient, queues - 1);
    n->n_more = queues - 1;
    for (unsigned i = 1; i < queues; i++) {
        NetClient *c = netdev_queue(n, i);
        net_client_init(c, n->client.vm, n->client.ops, n->client.name);
        c->netdev = n;
        c->index = i;
        c->lead = &n->client;
    }
}

void nic_filter_changed(NetClient *nic, Device *dev)
{
    if (!nic->tell_filter)
        return;
    nic->tell_filter = false;
    g_autofree char *path = object_path(&dev->object);
    qapi_event_nic_rx_filter_changed(nic->vm, dev->id, path);
}

/* ---- by name ---- */

Netdev *netdev_find(Vm *vm, const char *id) { return vm_service_find(vm, "netdev", id); }

NetClient *net_find(Vm *vm, const char *name)
{
    NetClient *nic = vm_service_find(vm, "nic", name);
    Netdev *n = nic ? NULL : netdev_find(vm, name);
    return nic ? nic : n ? &n->client : NULL;
}

static void describe_one(GString *out, const NetClient *c, unsigned index, const char *prefix)
{
    const char *type = c->is_nic ? "nic" : netdev_of((NetClient *)c)->object.type->name + strlen("netdev-");
    g_string_append_printf(out, "%s%s: index=%u,type=%s,%s%s\n", prefix, c->name, index, type,
                           c->info ? c->info : "", c->link_down ? " (link is down)" : "");
}

static void describe_nic(NetClient *c, void *out)
{
    describe_one(out, c, 0, "");
    if (c->peer)
        describe_one(out, c->peer, 0, " \\ ");
}

static void describe_netdev(NetClient *c, void *out)
{
    if (!c->peer || !c->peer->is_nic)
        describe_one(out, c, 0, "");
}

char *net_describe(Vm *vm)
{
    GString *out = g_string_new(NULL);
    each(vm, "nic", describe_nic, out);
    each(vm, "netdev", describe_netdev, out);
    return g_string_free(out, FALSE);
}

static void add_filter(NetClient *c, void *list)
{
    c->tell_filter = true;
    if (c->ops->rx_filter)
        rx_filter_info_list_add(list, c->ops->rx_filter(c));
}

RxFilterInfoList *net_rx_filters(Vm *vm, const char *name, GError **error)
{
    NetClient *c = name ? net_find(vm, name) : NULL;
    if (name && (!c || !c->is_nic || !c->ops->rx_filter)) {
        error_set(error, !c ? "invalid net client name: %s"
                            : !c->is_nic ? "net client(%s) isn't a NIC"
                                         : "net client(%s) doesn't support rx-filter querying", name);
        return NULL;
    }
    RxFilterInfoList *list = rx_filter_info_list_new();
    if (c)
        add_filter(c, list);
    else
        each(vm, "nic", add_filter, list);
    return list;
}

/* ---- back ends ---- */

static const NetdevType *type_of(const Netdev *n) { return (const NetdevType *)n->object.type; }

static void finish(Object *o)
{
    Netdev *n = (Netdev *)o;
    if (!n->client.ops)
        return;
    for (unsigned i = 0; i <= n->n_more; i++)
        net_disconnect(netdev_queue(n, i));
    if (type_of(n)->close)
        type_of(n)->close(n);
    for (unsigned i = 0; i <= n->n_more; i++)
        net_client_finish(netdev_queue(n, i));
    g_clear_pointer(&n->more, g_free);
    n->n_more = 0;
}

static const ObjectType netdev = {
    .name = "netdev", .size = sizeof(Netdev), .abstract = true, .finish = finish,
};
OBJECT_TYPE(netdev);

typedef struct KindSearch {
    NetClientDriver kind;
    const ObjectType *found;
} KindSearch;

static void match_kind(const ObjectType *t, void *data)
{
    KindSearch *s = data;
    if (!t->abstract && !g_strcmp0(t->parent, "netdev") && ((const NetdevType *)t)->kind == s->kind)
        s->found = t;
}

static bool valid_id(const char *id)
{
    if (!g_ascii_isalpha(*id))
        return false;
    for (; *id; id++)
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id))
            return false;
    return true;
}

Netdev *netdev_new(Vm *vm, const NetdevOptions *options, GError **error)
{
    const char *id = options->id;
    KindSearch s = {.kind = options->type};
    if (!valid_id(id) && *id != '#') {
        error_set(error, "Parameter 'id' expects an identifier");
        return NULL;
    }
    if (netdev_find(vm, id)) {
        error_set(error, "Duplicate ID '%s' for netdev", id);
        return NULL;
    }
    object_type_foreach(match_kind, &s);
    if (!s.found) {
        error_set(error, "netdev '%s': this build has no back end '%s'", id,
                  net_client_driver_name(options->type));
        return NULL;
    }
    Netdev *n = (Netdev *)object_new(vm, s.found);
    net_client_init(&n->client, vm, &((const NetdevType *)s.found)->ops, id);
    n->client.netdev = n;
    if (!type_of(n)->open(n, options, error)) {
        g_prefix_error(error, "netdev '%s': ", id);
        object_unref(&n->object);
        return NULL;
    }
    object_add_child(vm->backends, "netdev[*]", &n->object);
    vm_service_add(vm, "netdev", id, n);
    return n;
}

bool netdev_delete(Vm *vm, const char *id, GError **error)
{
    Netdev *n = netdev_find(vm, id);
    if (!n)
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    if (n->client.peer && !n->client.peer->is_nic)
        return error_set(error, "netdev '%s' is connected to '%s'", id, n->client.peer->name);
    vm_service_remove(vm, "netdev", id);
    object_remove(&n->object);
    return true;
}
