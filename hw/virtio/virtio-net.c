/* SPDX-License-Identifier: Apache-2.0 */
/* virtio network card: queues and packets. Spec: virtio 1.2, 5.1. */
#include <string.h>
#include "hw/virtio/virtio-net.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"

enum {
    CONFIG = 24, HEADER = 10, HEADER_MERGE = 12, HEADER_HASH = 20, NUM_BUFFERS = 10, HASH = 12, STATUS_UP = 1,
    TX_BURST = 256, CTRL_SIZE = 64,
};

static VirtioNet *net_of(NetClient *c) { return ((NetPair *)c)->s; }
static bool vnet_backend(const VirtioNet *s) { return s->pair[0].nic.peer && s->pair[0].nic.peer->vnet_hdr; }

/* ---- receiving ---- */

static void give_back(NetPair *p, unsigned n)
{
    while (n)
        virtq_unpop(p->rx, p->elements[--n]);
}

/* Takes buffers for `bytes` off the ring; 0: there are not enough, nothing is taken. */
static unsigned take_buffers(NetPair *p, size_t bytes)
{
    bool merge = virtio_has(&p->s->v, F_MRG_RXBUF);
    unsigned n = 0;
    size_t room = 0;
    while (room < bytes && n < p->s->rx_queue_size) {
        VirtqElement *e = virtq_pop(p->rx, 0);
        if (!e || e->in_bytes < p->s->header) {
            if (e) {
                virtio_error(&p->s->v, "receive buffer without room for the header");
                virtq_unpop(p->rx, e);
            }
            break;
        }
        p->elements[n++] = e;
        room += e->in_bytes;
        if (!merge)
            break;
    }
    if (room < bytes && (merge || !n)) {
        give_back(p, n);
        return 0;
    }
    return n;
}

/* Copies into the buffers taken; the header is in place before. */
static void fill(NetPair *p, unsigned n_elements, const struct iovec *iov, unsigned n, size_t total)
{
    unsigned from = 0;
    size_t from_at = 0;
    for (unsigned i = 0; i < n_elements; i++) {
        VirtqElement *e = p->elements[i];
        size_t written = 0, goal = MIN(e->in_bytes, total);
        while (written < goal && from < n) {
            size_t k = MIN(iov[from].iov_len - from_at, goal - written);
            iov_write(e->in, e->n_in, written, (char *)iov[from].iov_base + from_at, k);
            written += k;
            from_at += k;
            if (from_at == iov[from].iov_len)
                from++, from_at = 0;
        }
        total -= written;
        virtq_push(p->rx, e, (uint32_t)written);
    }
}

/* The header's hash, and the pair it chooses. */
static NetPair *classify(NetPair *p, const struct iovec *iov, unsigned n, size_t skip, uint8_t *header)
{
    VirtioNet *s = p->s;
    uint8_t linear[NET_MAX_PACKET];
    const uint8_t *packet;
    size_t bytes = s->hash_types ? net_linear(iov, n, &packet, linear) : 0;
    if (!bytes)
        return p;
    uint32_t hash = 0;
    unsigned kind = net_hash(s, packet + skip, bytes - skip, &hash);
    if (s->header == HEADER_HASH) {
        uint32_t value = GUINT32_TO_LE(hash);
        memcpy(header + HASH, &value, 4);
        header[HASH + 4] = (uint8_t)kind;
    }
    return s->rss ? &s->pair[net_rss_pair(s, kind, hash)] : p;
}

/* The packet behind its header into the pair's buffers; false: there is no room. */
static bool deliver(NetPair *p, const struct iovec *iov, unsigned n, size_t skip, uint8_t *header)
{
    VirtioNet *s = p->s;
    size_t bytes = iov_bytes(iov, n) - skip + s->header;
    unsigned buffers = virtq_ready(p->rx) ? take_buffers(p, bytes) : 0;
    if (!buffers) {
        virtq_want_kicks(p->rx, true);
        if (!virtq_ready(p->rx) || virtq_empty(p->rx) || !(buffers = take_buffers(p, bytes)))
            return s->v.broken;
    }
    if (buffers == 1 && p->elements[0]->in_bytes < bytes) {
        virtq_unpop(p->rx, p->elements[0]);     /* longer than what this driver can take */
        p->nic.dropped++;
        return true;
    }
    if (s->header >= HEADER_MERGE) {
        header[NUM_BUFFERS] = buffers & 0xff;
        header[NUM_BUFFERS + 1] = buffers >> 8;
    }
    struct iovec all[n + 1];
    all[0] = (struct iovec){header, s->header};
    unsigned parts = 1 + iov_slice(all + 1, n, iov, n, skip, bytes - s->header);
    fill(p, buffers, all, parts, bytes);
    virtq_flush(p->rx);
    return true;
}

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    VirtioNet *s = net_of(c);
    uint8_t head[HEADER_HASH + 18], header[HEADER_HASH] = {0};
    size_t skip = vnet_backend(s) ? s->header : 0, have = iov_read(iov, n, 0, head, sizeof(head));
    if (!s->v.started || !virtq_ready(s->pair[0].rx) || !vm_is_running(c->vm))
        return false;
    if (have < skip + 14 || !net_wants(s, head + skip, have - skip))
        return true;
    if (skip)
        memcpy(header, head, MIN(skip, HEADER));
    return deliver(classify((NetPair *)c, iov, n, skip, header), iov, n, skip, header);
}

/* How many pairs the driver knows of: with one, the control queue is the third. */
static unsigned pairs_known(const VirtioNet *s) { return virtio_has(&s->v, F_MQ | F_RSS) ? s->n_pairs : 1; }

/* New buffers: what waits for them can come, at whichever of the cable's ends. */
static void serve_rx(VirtioDevice *v, Virtq *vq)
{
    VirtioNet *s = (VirtioNet *)v;
    virtq_want_kicks(vq, false);
    for (unsigned i = 0; i < s->n_pairs; i++)
        if (s->rss || s->pair[i].rx == vq)
            net_flush(&s->pair[i].nic);
}

/* ---- sending ---- */

/* False: the back end asks to wait (the packet itself is in its queue). */
static bool send_one(NetPair *p, VirtqElement *e)
{
    VirtioNet *s = p->s;
    struct iovec iov[VIRTQ_MAX_SG];
    unsigned skip = vnet_backend(s) ? 0 : s->header;
    unsigned n = iov_slice(iov, VIRTQ_MAX_SG, e->out, e->n_out, skip, e->out_bytes - skip);
    return net_send(&p->nic, iov, n);
}

static void serve_tx(VirtioDevice *v, Virtq *vq)
{
    VirtioNet *s = (VirtioNet *)v;
    NetPair *p = &s->pair[virtq_index(vq) / 2];
    VirtqElement *e;
    unsigned burst = 0;
    if (p->tx_waits)
        return;
    do {
        virtq_want_kicks(vq, false);
        while (!p->tx_waits && burst++ < TX_BURST && (e = virtq_pop(vq, 0))) {
            if (e->out_bytes < s->header || e->n_in) {
                virtio_error(v, "packet to send is shorter than its header or has a writable buffer");
                virtq_unpop(vq, e);
                break;
            }
            p->tx_waits = !send_one(p, e);
            virtq_push(vq, e, 0);
        }
        if (p->tx_waits || burst >= TX_BURST)
            break;
        virtq_want_kicks(vq, true);
    } while (!virtq_empty(vq));
    virtq_flush(vq);
    if (burst >= TX_BURST)
        virtq_schedule(vq);     /* others on this loop have their turn */
}

static void resume(NetClient *c)
{
    NetPair *p = (NetPair *)c;
    p->tx_waits = false;
    if (p->s->v.started && virtq_ready(p->tx))
        virtq_schedule(p->tx);
}

/* Which of its roles a queue has depends on what the driver knows. */
static void serve(VirtioDevice *v, Virtq *vq)
{
    unsigned i = virtq_index(vq), known = pairs_known((VirtioNet *)v);
    if (i == 2 * known)
        net_serve_ctrl(v, vq);
    else if (i > 2 * known)
        return;
    else if (((VirtioNet *)v)->vhost && net_vhost_serve((VirtioNet *)v, vq))
        return;
    else if (i % 2)
        serve_tx(v, vq);
    else
        serve_rx(v, vq);
}

/* ---- to the back end ---- */

void net_apply_offloads(VirtioNet *s)
{
    uint64_t f = s->guest_offloads;
    unsigned bits = (f & F_GUEST_CSUM ? NET_CSUM : 0) | (f & F_GUEST_TSO4 ? NET_TSO4 : 0) |
                    (f & F_GUEST_TSO6 ? NET_TSO6 : 0) | (f & F_GUEST_ECN ? NET_ECN : 0) |
                    (f & F_GUEST_UFO ? NET_UFO : 0);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        NetClient *peer = s->pair[i].nic.peer;
        if (peer && peer->vnet_hdr)
            peer->ops->set_vnet(peer, s->header, bits);
    }
}

void net_apply_pairs(VirtioNet *s)
{
    if (s->vhost)
        net_vhost_apply_pairs(s);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        NetClient *peer = s->pair[i].nic.peer;
        if (peer && peer->ops->set_used)
            peer->ops->set_used(peer, i < s->used_pairs);
    }
}

/* ---- configuration ---- */

static uint64_t offer(VirtioDevice *v, uint64_t f)
{
    VirtioNet *s = (VirtioNet *)v;
    f |= s->wanted | F_MAC | (s->mtu ? F_MTU : 0) | (s->speed >= 0 || s->duplex ? F_SPEED_DUPLEX : 0);
    if (!(f & F_CTRL_VQ))
        f &= ~(F_MQ | F_RSS | F_HASH_REPORT | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA |
               F_GUEST_ANNOUNCE | F_CTRL_MAC_ADDR | F_CTRL_GUEST_OFFLOADS);
    if (!(f & F_STATUS))
        f &= ~F_GUEST_ANNOUNCE;
    if (s->vhost)
        f = net_vhost_offer(s, f);
    else if (!vnet_backend(s))
        f &= ~OFFLOADS;
    if (!(f & F_CSUM))
        f &= ~(F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO);
    if (!(f & F_GUEST_CSUM))
        f &= ~(F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO);
    return f;
}

static void put(uint8_t *config, unsigned at, uint32_t value, unsigned n)
{
    value = GUINT32_TO_LE(value);
    memcpy(config + at, &value, n);
}

static void get_config(VirtioDevice *v, uint8_t *c)
{
    VirtioNet *s = (VirtioNet *)v;
    memset(c, 0, CONFIG);
    const NetClient *nic = &s->pair[0].nic;
    memcpy(c, s->guest_mac, NET_MAC);
    bool up = !nic->link_down && (!nic->peer || !nic->peer->link_down) &&
              (!s->vhost || net_vhost_connected(s));
    put(c, 6, (up ? STATUS_UP : 0) | (s->announce ? NET_ANNOUNCE : 0), 2);
    put(c, 8, s->n_pairs, 2);
    put(c, 10, s->mtu, 2);
    put(c, 12, (uint32_t)s->speed, 4);
    put(c, 16, !s->duplex ? 0xff : !strcmp(s->duplex, "full"), 1);
    if (v->host_features & (F_RSS | F_HASH_REPORT)) {
        put(c, 17, NET_RSS_KEY, 1);
        put(c, 18, NET_RSS_TABLE, 2);
        put(c, 20, NET_RSS_TYPES, 4);
    }
}

/* Drivers from before VERSION_1 write the address here. */
static void set_config(VirtioDevice *v, const uint8_t *c, unsigned at, unsigned n)
{
    VirtioNet *s = (VirtioNet *)v;
    if (at < NET_MAC && !virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, F_CTRL_MAC_ADDR))
        memcpy(s->guest_mac, c, NET_MAC);
}

static void link_changed(NetClient *c)
{
    if (net_of(c)->vhost)
        net_vhost_link_changed(net_of(c));
    if (net_of(c)->v.transport)
        virtio_config_changed(&net_of(c)->v);
}

static const NetClientOps nic_ops = {
    .receive = receive, .resume = resume, .lends_queues = true, .link_changed = link_changed, .rx_filter = net_rx_filter_info,
};

/* ---- the standby of a pair ---- */

static void show_primary(Device *d, void *unused)
{
    FailoverStandby *f = &((VirtioNet *)d)->standby;
    if (f->hidden)
        f->show(d->object.vm, g_steal_pointer(&f->hidden));
}

static void agree(VirtioNet *s)
{
    s->standby.agreed = true;
    qapi_event_failover_negotiated(s->v.dev.object.vm, s->pair[0].nic.name);
    device_post(&s->v.dev, show_primary, NULL, NULL);
}

static void begin_pair(VirtioNet *s)
{
    if (s->wanted & F_STANDBY)
        vm_service_add(s->v.dev.object.vm, FAILOVER_STANDBY, s->pair[0].nic.name, &s->standby);
}

static void end_pair(VirtioNet *s)
{
    if (s->wanted & F_STANDBY)
        vm_service_remove(s->v.dev.object.vm, FAILOVER_STANDBY, s->pair[0].nic.name);
    if (s->standby.hidden)
        s->standby.drop(g_steal_pointer(&s->standby.hidden));
}

/* ---- life ---- */

static void start(VirtioDevice *v)
{
    VirtioNet *s = (VirtioNet *)v;
    bool wide = virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, F_MRG_RXBUF);
    s->header = virtio_has(v, F_HASH_REPORT) ? HEADER_HASH : wide ? HEADER_MERGE : HEADER;
    if (!s->guest_offloads)
        s->guest_offloads = v->features & OFFLOADS_TO_GUEST;
    for (unsigned i = 0; i < s->n_pairs; i++)
        s->pair[i].tx_waits = false;
    net_apply_offloads(s);
    net_apply_pairs(s);
    if (s->vhost)
        net_vhost_start(s, pairs_known(s));
    if (virtio_has(v, F_STANDBY))
        agree(s);
}

/* A driver without the control queue gets everything. */
static void reset(Device *d)
{
    VirtioNet *s = (VirtioNet *)d;
    memcpy(s->guest_mac, s->mac, NET_MAC);
    s->promisc = true;
    s->allmulti = s->alluni = s->nomulti = s->nouni = s->nobcast = s->announce = false;
    s->multi_overflow = s->uni_overflow = false;
    s->n_macs = s->first_multi = 0;
    memset(s->vlans, 0, sizeof(s->vlans));
    s->guest_offloads = 0;
    s->used_pairs = 1;
    s->rss = false;
    s->hash_types = s->rss_mask = s->rss_default = 0;
    memset(s->rss_table, 0, sizeof(s->rss_table));
    memset(s->rss_key, 0, sizeof(s->rss_key));
}

/* The driver is gone, and with it what it chose. */
static void stop(VirtioDevice *v)
{
    VirtioNet *s = (VirtioNet *)v;
    if (s->vhost)
        net_vhost_stop(s);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        net_purge(&s->pair[i].nic);
        s->pair[i].tx_waits = false;
    }
    reset(&v->dev);
}

static void run(VirtioDevice *v, bool running)
{
    VirtioNet *s = (VirtioNet *)v;
    if (s->vhost)
        net_vhost_run(s, running);
    for (unsigned i = 0; running && i < s->n_pairs; i++)
        net_flush(&s->pair[i].nic);
}

static bool power_of_two(unsigned n) { return n && !(n & (n - 1)); }

static bool check(VirtioNet *s, GError **error)
{
    if (netdev_queues(s->netdev) > NET_MAX_PAIRS)
        return error_set(error, "netdev has %u queues; up to %d work", netdev_queues(s->netdev),
                         NET_MAX_PAIRS);
    if (s->rx_queue_size < 256 || s->rx_queue_size > 1024 || !power_of_two(s->rx_queue_size))
        return error_set(error, "Invalid rx_queue_size (= %u), must be a power of 2 between 256 and 1024",
                         s->rx_queue_size);
    if (s->tx_queue_size < 256 || s->tx_queue_size > 1024 || !power_of_two(s->tx_queue_size))
        return error_set(error, "Invalid tx_queue_size (= %u), must be a power of 2 between 256 and 1024",
                         s->tx_queue_size);
    if (s->tx_mode && !strcmp(s->tx_mode, "timer"))
        return error_set(error, "tx=timer: packets are sent at once (tx=bh); there is no transmit timer");
    if (s->tx_mode && strcmp(s->tx_mode, "bh"))
        return error_set(error, "tx=%s: expected bh", s->tx_mode);
    if (s->duplex && strcmp(s->duplex, "half") && strcmp(s->duplex, "full"))
        return error_set(error, "'duplex' must be 'half' or 'full'");
    return s->speed >= -1 || error_set(error, "'speed' must be between 0 and INT_MAX");
}

static void detach(VirtioNet *s)
{
    net_vhost_close(s);
    for (unsigned i = s->n_pairs; i-- > 1;)
        nic_detach_queue(&s->pair[i].nic);
    nic_detach(&s->pair[0].nic);
    for (unsigned i = 0; i < s->n_pairs; i++)
        g_free(s->pair[i].elements);
    g_clear_pointer(&s->pair, g_free);
}

static bool realize(Device *d, GError **error)
{
    VirtioNet *s = (VirtioNet *)d;
    if (!check(s, error))
        return false;
    s->n_pairs = s->wanted & (F_MQ | F_RSS) ? netdev_queues(s->netdev) : 1;
    s->pair = g_new0(NetPair, s->n_pairs);
    for (unsigned i = 0; i < s->n_pairs; i++)
        s->pair[i].s = s;
    if (!nic_attach(&s->pair[0].nic, d, &nic_ops, s->netdev, s->mac, error))
        return false;
    if (!s->netdev)
        log_write("warning: nic %s has no peer\n", s->pair[0].nic.name);
    reset(d);
    for (unsigned i = 0; i < s->n_pairs; i++) {
        NetPair *p = &s->pair[i];
        if (i)
            nic_attach_queue(&p->nic, &s->pair[0].nic, s->netdev, i);
        p->elements = g_new(VirtqElement *, s->rx_queue_size);
        p->rx = virtio_add_queue(&s->v, s->rx_queue_size, serve);
        p->tx = virtio_add_queue(&s->v, s->tx_queue_size, serve);
    }
    virtio_add_queue(&s->v, CTRL_SIZE, serve);
    if (!net_vhost_open(s, error)) {
        detach(s);
        return false;
    }
    begin_pair(s);
    return true;
}

static void unrealize(Device *d)
{
    VirtioNet *s = (VirtioNet *)d;
    if (!s->pair)
        return;
    virtio_stop(&s->v);
    end_pair(s);
    detach(s);
}

/* State from outside: numbers within their bounds. */
static void restored(Device *d)
{
    VirtioNet *s = (VirtioNet *)d;
    s->used_pairs = CLAMP(s->used_pairs, 1, s->n_pairs);
    s->hash_types &= NET_RSS_TYPES;
}

static const VirtioClass cls = {
    .id = 1, .config_size = CONFIG, .offer = offer, .get_config = get_config, .set_config = set_config,
    .start = start, .stop = stop, .run = run,
};
#define FEATURE(name, bit_) PROP(VirtioNet, wanted, name, PROP_BIT, .bit = bit_, .init = true)
static const Field fields[] = {
    HOST(VirtioNet, v), HOST(VirtioNet, pair), HOST(VirtioNet, n_pairs),
    PROP(VirtioNet, netdev, "netdev", PROP_NETDEV),
    PROP(VirtioNet, mac, "mac", PROP_MAC),
    FEATURE("csum", 0), FEATURE("guest_csum", 1), FEATURE("ctrl_guest_offloads", 2),
    FEATURE("guest_tso4", 7), FEATURE("guest_tso6", 8), FEATURE("guest_ecn", 9),
    FEATURE("guest_ufo", 10), FEATURE("host_tso4", 11), FEATURE("host_tso6", 12),
    FEATURE("host_ecn", 13), FEATURE("host_ufo", 14), FEATURE("mrg_rxbuf", 15), FEATURE("status", 16),
    FEATURE("ctrl_vq", 17), FEATURE("ctrl_rx", 18), FEATURE("ctrl_vlan", 19),
    FEATURE("ctrl_rx_extra", 20), FEATURE("guest_announce", 21), FEATURE("ctrl_mac_addr", 23),
    PROP(VirtioNet, rx_queue_size, "rx_queue_size", PROP_U16, .init = 256),
    PROP(VirtioNet, tx_queue_size, "tx_queue_size", PROP_U16, .init = 256),
    PROP(VirtioNet, mtu, "host_mtu", PROP_U16),
    PROP(VirtioNet, wanted, "mq", PROP_BIT, .bit = 22, .desc = "All queues of the back end"),
    PROP(VirtioNet, wanted, "hash", PROP_BIT, .bit = 57, .desc = "Tell the driver hashes of packets"),
    PROP(VirtioNet, wanted, "rss", PROP_BIT, .bit = 60, .desc = "Hashes choose queues"),
    PROP(VirtioNet, wanted, "failover", PROP_BIT, .bit = 62, .desc = "The standby of the card that names it"),
    PROP(VirtioNet, speed, "speed", PROP_I32, .init = (uint64_t)-1),
    PROP(VirtioNet, duplex, "duplex", PROP_STRING),
    PROP(VirtioNet, tx_mode, "tx", PROP_STRING),
    PROP(VirtioNet, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1),
    SAVED(VirtioNet, guest_mac), SAVED(VirtioNet, promisc, .init = 1), SAVED(VirtioNet, allmulti),
    SAVED(VirtioNet, alluni), SAVED(VirtioNet, nomulti), SAVED(VirtioNet, nouni),
    SAVED(VirtioNet, nobcast), SAVED(VirtioNet, announce), SAVED(VirtioNet, multi_overflow),
    SAVED(VirtioNet, uni_overflow), SAVED(VirtioNet, n_macs), SAVED(VirtioNet, first_multi),
    SAVED(VirtioNet, macs), SAVED(VirtioNet, vlans), SAVED(VirtioNet, guest_offloads),
    SAVED(VirtioNet, used_pairs, .init = 1), SAVED(VirtioNet, rss), SAVED(VirtioNet, hash_types),
    SAVED(VirtioNet, rss_mask), SAVED(VirtioNet, rss_table), SAVED(VirtioNet, rss_default),
    SAVED(VirtioNet, rss_key), HOST(VirtioNet, header), HOST(VirtioNet, vhost),
    HOST(VirtioNet, standby),
};
static const DeviceType virtio_net = {
    .name = "virtio-net-device",
    .parent = "virtio-device",
    .desc = "virtio network card",
    .size = sizeof(VirtioNet),
    .bus = "virtio-bus",
    .pluggable = true,
    .category = DEVICE_NETWORK,
    FIELDS(fields),
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .restored = restored,
    .ext = &cls,
    .fw_suffix = "/ethernet-phy@0",
};
DEVICE_TYPE(virtio_net);
