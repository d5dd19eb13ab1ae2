/* SPDX-License-Identifier: Apache-2.0 */
/* virtio network card: one pair of queues and the control queue. Spec: virtio 1.2, 5.1. */
#include <string.h>
#include "hw/virtio/virtio.h"
#include "net/net.h"
#include "util/error.h"
#include "util/log.h"

#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_GUEST_ECN (1ull << 9)
#define F_GUEST_UFO (1ull << 10)
#define F_HOST_TSO4 (1ull << 11)
#define F_HOST_TSO6 (1ull << 12)
#define F_HOST_ECN (1ull << 13)
#define F_HOST_UFO (1ull << 14)
#define F_MRG_RXBUF (1ull << 15)
#define F_STATUS (1ull << 16)
#define F_CTRL_VQ (1ull << 17)
#define F_CTRL_RX (1ull << 18)
#define F_CTRL_VLAN (1ull << 19)
#define F_CTRL_RX_EXTRA (1ull << 20)
#define F_GUEST_ANNOUNCE (1ull << 21)
#define F_CTRL_MAC_ADDR (1ull << 23)
#define F_SPEED_DUPLEX (1ull << 63)
#define OFFLOADS_TO_GUEST (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO)
/* Only with a back end that does them. */
#define OFFLOADS (OFFLOADS_TO_GUEST | F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO |   \
                  F_CTRL_GUEST_OFFLOADS)

enum {
    CONFIG = 20, HEADER = 10, HEADER_MERGE = 12, NUM_BUFFERS = 10, STATUS_UP = 1, STATUS_ANNOUNCE = 2,
    TX_BURST = 256, MAX_MACS = 64, MAC = 6, VLANS = 4096, ETH_VLAN = 0x8100, CTRL_OK = 0, CTRL_ERROR = 1,
};

typedef struct VirtioNet {
    VirtioDevice v;
    NetClient nic;
    Netdev *netdev;
    Virtq *rx, *tx, *ctrl;
    uint8_t mac[MAC];           /* property */
    uint64_t wanted;            /* properties of features, by feature bit */
    uint16_t rx_queue_size, tx_queue_size, mtu;
    int32_t speed, bootindex;
    char *duplex, *tx_mode;
    bool mq;
    /* What the driver chose. */
    uint8_t guest_mac[MAC];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast, announce;
    bool multi_overflow, uni_overflow;
    uint32_t n_macs, first_multi;       /* macs[first_multi…] are groups */
    uint8_t macs[MAX_MACS * MAC];
    uint32_t vlans[VLANS / 32];
    uint64_t guest_offloads;
    bool tx_waits;              /* the back end's queue is full */
    unsigned header;            /* bytes before each packet in the driver's buffers */
    VirtqElement **elements;    /* of a packet in several buffers: rx_queue_size */
} VirtioNet;

static VirtioNet *net_of(NetClient *c) { return (VirtioNet *)((char *)c - offsetof(VirtioNet, nic)); }
static bool vnet_backend(const VirtioNet *s) { return s->nic.peer && s->nic.peer->vnet_hdr; }

/* ---- the receive filter (5.1.6.5) ---- */

static bool listed(const VirtioNet *s, const uint8_t *mac, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (!memcmp(s->macs + i * MAC, mac, MAC))
            return true;
    return false;
}

static bool wants(const VirtioNet *s, const uint8_t *head, size_t n)
{
    static const uint8_t broadcast[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (s->promisc)
        return true;
    if (n >= 16 && (head[12] << 8 | head[13]) == ETH_VLAN && virtio_has(&s->v, F_CTRL_VLAN)) {
        unsigned id = (head[14] << 8 | head[15]) & 0xfff;
        if (!(s->vlans[id / 32] & 1u << id % 32))
            return false;
    }
    if (!memcmp(head, broadcast, MAC))
        return !s->nobcast;
    if (head[0] & 1)
        return !s->nomulti && (s->allmulti || s->multi_overflow ||
                               listed(s, head, s->first_multi, s->n_macs));
    return !s->nouni && (s->alluni || s->uni_overflow || !memcmp(head, s->guest_mac, MAC) ||
                         listed(s, head, 0, s->first_multi));
}

/* ---- receiving ---- */

static void give_back(VirtioNet *s, unsigned n)
{
    while (n)
        virtq_unpop(s->rx, s->elements[--n]);
}

/* Takes buffers for `bytes` off the ring; 0: there are not enough, nothing is taken. */
static unsigned take_buffers(VirtioNet *s, size_t bytes)
{
    bool merge = virtio_has(&s->v, F_MRG_RXBUF);
    unsigned n = 0;
    size_t room = 0;
    while (room < bytes && n < s->rx_queue_size) {
        VirtqElement *e = virtq_pop(s->rx, 0);
        if (!e || e->in_bytes < s->header) {
            if (e) {
                virtio_error(&s->v, "receive buffer without room for the header");
                virtq_unpop(s->rx, e);
            }
            break;
        }
        s->elements[n++] = e;
        room += e->in_bytes;
        if (!merge)
            break;
    }
    if (room < bytes && (merge || !n)) {
        give_back(s, n);
        return 0;
    }
    return n;
}

/* Copies into the buffers taken; the header is in place before. */
static void fill(VirtioNet *s, unsigned n_elements, const struct iovec *iov, unsigned n, size_t total)
{
    unsigned from = 0;
    size_t from_at = 0;
    for (unsigned i = 0; i < n_elements; i++) {
        VirtqElement *e = s->elements[i];
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
        virtq_push(s->rx, e, (uint32_t)written);
    }
}

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    VirtioNet *s = net_of(c);
    uint8_t head[HEADER_MERGE + 18], header[HEADER_MERGE] = {0};
    unsigned skip = vnet_backend(s) ? s->header : 0;
    size_t have = iov_read(iov, n, 0, head, sizeof(head)), bytes = iov_bytes(iov, n);
    if (!s->v.started || !virtq_ready(s->rx) || !vm_is_running(c->vm))
        return false;
    if (have < skip + 14 || !wants(s, head + skip, have - skip))
        return true;
    bytes += s->header - skip;
    unsigned buffers = take_buffers(s, bytes);
    if (!buffers) {
        virtq_want_kicks(s->rx, true);
        if (virtq_empty(s->rx) || !(buffers = take_buffers(s, bytes)))
            return s->v.broken;
    }
    if (buffers == 1 && s->elements[0]->in_bytes < bytes) {
        virtq_unpop(s->rx, s->elements[0]);     /* longer than what this driver can take */
        c->dropped++;
        return true;
    }
    if (skip)
        memcpy(header, head, s->header);
    if (s->header == HEADER_MERGE) {
        header[NUM_BUFFERS] = buffers & 0xff;
        header[NUM_BUFFERS + 1] = buffers >> 8;
    }
    struct iovec all[n + 1];
    all[0] = (struct iovec){header, s->header};
    unsigned parts = 1 + iov_slice(all + 1, n, iov, n, skip, bytes - s->header);
    fill(s, buffers, all, parts, bytes);
    virtq_flush(s->rx);
    return true;
}

/* New buffers: what waits in the card's queue can come. */
static void serve_rx(VirtioDevice *v, Virtq *vq)
{
    virtq_want_kicks(vq, false);
    net_flush(&((VirtioNet *)v)->nic);
}

/* ---- sending ---- */

/* False: the back end asks to wait (the packet itself is in its queue). */
static bool send_one(VirtioNet *s, VirtqElement *e)
{
    struct iovec iov[VIRTQ_MAX_SG];
    unsigned skip = vnet_backend(s) ? 0 : s->header;
    unsigned n = iov_slice(iov, VIRTQ_MAX_SG, e->out, e->n_out, skip, e->out_bytes - skip);
    return net_send(&s->nic, iov, n);
}

static void serve_tx(VirtioDevice *v, Virtq *vq)
{
    VirtioNet *s = (VirtioNet *)v;
    VirtqElement *e;
    unsigned burst = 0;
    if (s->tx_waits)
        return;
    do {
        virtq_want_kicks(vq, false);
        while (!s->tx_waits && burst++ < TX_BURST && (e = virtq_pop(vq, 0))) {
            if (e->out_bytes < s->header || e->n_in) {
                virtio_error(v, "packet to send is shorter than its header or has a writable buffer");
                virtq_unpop(vq, e);
                break;
            }
            s->tx_waits = !send_one(s, e);
            virtq_push(vq, e, 0);
        }
        if (s->tx_waits || burst >= TX_BURST)
            break;
        virtq_want_kicks(vq, true);
    } while (!virtq_empty(vq));
    virtq_flush(vq);
    if (burst >= TX_BURST)
        virtq_schedule(vq);     /* others on this loop have their turn */
}

static void resume(NetClient *c)
{
    VirtioNet *s = net_of(c);
    s->tx_waits = false;
    if (s->v.started && virtq_ready(s->tx))
        virtq_schedule(s->tx);
}

/* ---- the control queue (5.1.6.5) ---- */

typedef struct Ctrl {
    VirtioNet *s;
    const VirtqElement *e;
    size_t at;                  /* in e->out */
} Ctrl;

static size_t left(const Ctrl *c) { return c->e->out_bytes - c->at; }

static bool take(Ctrl *c, void *buf, size_t n)
{
    if (left(c) < n)
        return false;
    iov_read(c->e->out, c->e->n_out, c->at, buf, n);
    c->at += n;
    return true;
}

static bool ctrl_rx(Ctrl *c, uint8_t cmd)
{
    VirtioNet *s = c->s;
    bool *const modes[] = {&s->promisc, &s->allmulti, &s->alluni, &s->nomulti, &s->nouni, &s->nobcast};
    uint8_t on;
    if (cmd >= G_N_ELEMENTS(modes) || !take(c, &on, 1))
        return false;
    *modes[cmd] = on;
    return true;
}

/* One of the two tables: count and addresses; those beyond our room set *overflow. */
static bool take_macs(Ctrl *c, uint8_t *macs, uint32_t *n, bool *overflow)
{
    uint32_t count;
    if (!take(c, &count, 4))
        return false;
    count = GUINT32_FROM_LE(count);
    if (count > left(c) / MAC)
        return false;
    *overflow = *n + count > MAX_MACS;
    if (*overflow)
        c->at += (size_t)count * MAC;
    else if (take(c, macs + *n * MAC, (size_t)count * MAC))
        *n += count;
    return true;
}

static bool ctrl_mac(Ctrl *c, uint8_t cmd)
{
    VirtioNet *s = c->s;
    if (cmd == 1)
        return left(c) == MAC && take(c, s->guest_mac, MAC);
    uint8_t macs[MAX_MACS * MAC] = {0};
    uint32_t n = 0, multi;
    bool uni_overflow, multi_overflow;
    if (cmd != 0 || !take_macs(c, macs, &n, &uni_overflow))
        return false;
    multi = n;
    if (!take_macs(c, macs, &n, &multi_overflow) || left(c))
        return false;
    memcpy(s->macs, macs, sizeof(macs));
    s->n_macs = n;
    s->first_multi = multi;
    s->uni_overflow = uni_overflow;
    s->multi_overflow = multi_overflow;
    return true;
}

static bool ctrl_vlan(Ctrl *c, uint8_t cmd)
{
    uint16_t id;
    if (cmd > 1 || !take(c, &id, 2) || (id = GUINT16_FROM_LE(id)) >= VLANS)
        return false;
    if (cmd == 0)
        c->s->vlans[id / 32] |= 1u << id % 32;
    else
        c->s->vlans[id / 32] &= ~(1u << id % 32);
    return true;
}

static bool ctrl_announce(Ctrl *c, uint8_t cmd)
{
    bool asked = c->s->announce;
    c->s->announce = false;
    return cmd == 0 && asked;
}

/* NET_* of the feature bits that let a back end leave work to the driver. */
static void apply_offloads(VirtioNet *s)
{
    uint64_t f = s->guest_offloads;
    if (!vnet_backend(s))
        return;
    s->nic.peer->ops->set_vnet(s->nic.peer, s->header,
        (f & F_GUEST_CSUM ? NET_CSUM : 0) | (f & F_GUEST_TSO4 ? NET_TSO4 : 0) |
        (f & F_GUEST_TSO6 ? NET_TSO6 : 0) | (f & F_GUEST_ECN ? NET_ECN : 0) |
        (f & F_GUEST_UFO ? NET_UFO : 0));
}

static bool ctrl_offloads(Ctrl *c, uint8_t cmd)
{
    uint64_t f;
    if (cmd != 0 || !take(c, &f, 8) || (f = GUINT64_FROM_LE(f)) & ~(c->s->v.features & OFFLOADS_TO_GUEST))
        return false;
    c->s->guest_offloads = f;
    apply_offloads(c->s);
    return true;
}

static const struct { uint8_t class; uint64_t feature; bool filter; bool (*run)(Ctrl *c, uint8_t cmd); }
classes[] = {
    {0, F_CTRL_RX, true, ctrl_rx}, {1, F_CTRL_VQ, true, ctrl_mac}, {2, F_CTRL_VLAN, true, ctrl_vlan},
    {3, F_GUEST_ANNOUNCE, false, ctrl_announce}, {5, F_CTRL_GUEST_OFFLOADS, false, ctrl_offloads},
};

static uint8_t run_ctrl(VirtioNet *s, const VirtqElement *e)
{
    Ctrl c = {s, e, 0};
    uint8_t head[2];
    if (!take(&c, head, 2))
        return CTRL_ERROR;
    for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (classes[i].class != head[0] || !virtio_has(&s->v, classes[i].feature))
            continue;
        if (!classes[i].run(&c, head[1]))
            return CTRL_ERROR;
        if (classes[i].filter)
            nic_filter_changed(&s->nic, &s->v.dev);
        return CTRL_OK;
    }
    return CTRL_ERROR;
}

static void serve_ctrl(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        if (e->in_bytes < 1) {
            virtio_error(v, "control command without room for its answer");
            virtq_unpop(vq, e);
            break;
        }
        uint8_t ack = run_ctrl((VirtioNet *)v, e);
        iov_write(e->in, e->n_in, e->in_bytes - 1, &ack, 1);
        virtq_push(vq, e, 1);
    }
    virtq_flush(vq);
}

/* ---- configuration ---- */

static uint64_t offer(VirtioDevice *v, uint64_t f)
{
    VirtioNet *s = (VirtioNet *)v;
    f |= s->wanted | F_MAC | (s->mtu ? F_MTU : 0) | (s->speed >= 0 || s->duplex ? F_SPEED_DUPLEX : 0);
    if (!(f & F_CTRL_VQ))
        f &= ~(F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_GUEST_ANNOUNCE | F_CTRL_MAC_ADDR |
               F_CTRL_GUEST_OFFLOADS);
    if (!(f & F_STATUS))
        f &= ~F_GUEST_ANNOUNCE;
    if (!vnet_backend(s))
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
    memcpy(c, s->guest_mac, MAC);
    bool up = !s->nic.link_down && (!s->nic.peer || !s->nic.peer->link_down);
    put(c, 6, (up ? STATUS_UP : 0) | (s->announce ? STATUS_ANNOUNCE : 0), 2);
    put(c, 8, 1, 2);
    put(c, 10, s->mtu, 2);
    put(c, 12, (uint32_t)s->speed, 4);
    put(c, 16, !s->duplex ? 0xff : !strcmp(s->duplex, "full"), 1);
}

/* Drivers from before VERSION_1 write the address here. */
static void set_config(VirtioDevice *v, const uint8_t *c, unsigned at, unsigned n)
{
    VirtioNet *s = (VirtioNet *)v;
    if (at < MAC && !virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, F_CTRL_MAC_ADDR))
        memcpy(s->guest_mac, c, MAC);
}

static void link_changed(NetClient *c)
{
    if (net_of(c)->v.transport)
        virtio_config_changed(&net_of(c)->v);
}

/* ---- what monitors see ---- */

static char *mac_text(const uint8_t *m)
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static RxFilterInfo *rx_filter(NetClient *c)
{
    VirtioNet *s = net_of(c);
    RxFilterInfo *r = g_new0(RxFilterInfo, 1);
    r->name = g_strdup(c->name);
    r->promiscuous = s->promisc;
    r->multicast = s->nomulti ? RX_STATE_NONE : s->allmulti ? RX_STATE_ALL : RX_STATE_NORMAL;
    r->unicast = s->nouni ? RX_STATE_NONE : s->alluni ? RX_STATE_ALL : RX_STATE_NORMAL;
    r->vlan = virtio_has(&s->v, F_CTRL_VLAN) ? RX_STATE_NORMAL : RX_STATE_ALL;
    r->broadcast_allowed = !s->nobcast;
    r->multicast_overflow = s->multi_overflow;
    r->unicast_overflow = s->uni_overflow;
    r->main_mac = mac_text(s->guest_mac);
    r->vlan_table = int_list_new();
    for (unsigned i = 0; i < VLANS; i++)
        if (s->vlans[i / 32] & 1u << i % 32)
            int_list_add(r->vlan_table, i);
    r->unicast_table = str_list_new();
    r->multicast_table = str_list_new();
    for (unsigned i = 0; i < s->n_macs; i++)
        str_list_add(i < s->first_multi ? r->unicast_table : r->multicast_table,
                     mac_text(s->macs + i * MAC));
    return r;
}

static const NetClientOps nic_ops = {
    .receive = receive, .resume = resume, .link_changed = link_changed, .rx_filter = rx_filter,
};

/* ---- life ---- */

static void start(VirtioDevice *v)
{
    VirtioNet *s = (VirtioNet *)v;
    bool wide = virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, F_MRG_RXBUF);
    s->header = wide ? HEADER_MERGE : HEADER;
    if (!s->guest_offloads)
        s->guest_offloads = v->features & OFFLOADS_TO_GUEST;
    s->tx_waits = false;
    apply_offloads(s);
}

/* A driver without the control queue gets everything. */
static void reset(Device *d)
{
    VirtioNet *s = (VirtioNet *)d;
    memcpy(s->guest_mac, s->mac, MAC);
    s->promisc = true;
    s->allmulti = s->alluni = s->nomulti = s->nouni = s->nobcast = s->announce = false;
    s->multi_overflow = s->uni_overflow = false;
    s->n_macs = s->first_multi = 0;
    memset(s->vlans, 0, sizeof(s->vlans));
    s->guest_offloads = 0;
}

/* The driver is gone, and with it what it chose. */
static void stop(VirtioDevice *v)
{
    VirtioNet *s = (VirtioNet *)v;
    net_purge(&s->nic);
    s->tx_waits = false;
    reset(&v->dev);
}

static void run(VirtioDevice *v, bool running)
{
    if (running)
        net_flush(&((VirtioNet *)v)->nic);
}

static bool power_of_two(unsigned n) { return n && !(n & (n - 1)); }

static bool check(VirtioNet *s, GError **error)
{
    if (s->mq)
        return error_set(error, "mq=on: several queues are not implemented yet");
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

static bool realize(Device *d, GError **error)
{
    VirtioNet *s = (VirtioNet *)d;
    if (!check(s, error) || !nic_attach(&s->nic, d, &nic_ops, s->netdev, s->mac, error))
        return false;
    if (!s->netdev)
        log_write("warning: nic %s has no peer\n", s->nic.name);
    reset(d);
    s->elements = g_new(VirtqElement *, s->rx_queue_size);
    s->rx = virtio_add_queue(&s->v, s->rx_queue_size, serve_rx);
    s->tx = virtio_add_queue(&s->v, s->tx_queue_size, serve_tx);
    s->ctrl = virtio_add_queue(&s->v, 64, serve_ctrl);
    return true;
}

static void unrealize(Device *d)
{
    VirtioNet *s = (VirtioNet *)d;
    if (!s->nic.ops)
        return;
    virtio_stop(&s->v);
    nic_detach(&s->nic);
    g_clear_pointer(&s->elements, g_free);
}

static const VirtioClass cls = {
    .id = 1, .config_size = CONFIG, .offer = offer, .get_config = get_config, .set_config = set_config,
    .start = start, .stop = stop, .run = run,
};
#define FEATURE(name, bit_) PROP(VirtioNet, wanted, name, PROP_BIT, .bit = bit_, .init = true)
static const Field fields[] = {
    HOST(VirtioNet, v), HOST(VirtioNet, nic), PROP(VirtioNet, netdev, "netdev", PROP_NETDEV),
    HOST(VirtioNet, rx), HOST(VirtioNet, tx), HOST(VirtioNet, ctrl),
    PROP(VirtioNet, mac, "mac", PROP_MAC),
    FEATURE("csum", 0), FEATURE("guest_csum", 1), FEATURE("ctrl_guest_offloads", 2),
    FEATURE("guest_tso4", 7), FEATURE("guest_tso6", 8), FEATURE("guest_ecn", 9),
    FEATURE("guest_ufo", 10), FEATURE("host_tso4", 11), FEATURE("host_tso6", 12),
    FEATURE("host_ecn", 13), FEATURE("host_ufo", 14), FEATURE("mrg_rxbuf", 15), FEATURE("status", 16),
    FEATURE("ctrl_vq", 17), FEATURE("ctrl_rx", 18), FEATURE("ctrl_vlan", 19),
    FEATURE("ctrl_rx_extra", 20), FEATURE("guest_announce", 21), FEATURE("ctrl_mac_addr", 23),
    PROP(VirtioNet, rx_queue_size, "rx_queue_size", PROP_U16, .init = 256),
    PROP(VirtioNet, tx_queue_size, "tx_queue_size", PROP_U16, .init = 256),
    PROP(VirtioNet, mtu, "host_mtu", PROP_U16), PROP(VirtioNet, mq, "mq", PROP_BOOL),
    PROP(VirtioNet, speed, "speed", PROP_I32, .init = (uint64_t)-1),
    PROP(VirtioNet, duplex, "duplex", PROP_STRING),
    PROP(VirtioNet, tx_mode, "tx", PROP_STRING),
    PROP(VirtioNet, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1),
    SAVED(VirtioNet, guest_mac), SAVED(VirtioNet, promisc, .init = 1), SAVED(VirtioNet, allmulti),
    SAVED(VirtioNet, alluni), SAVED(VirtioNet, nomulti), SAVED(VirtioNet, nouni),
    SAVED(VirtioNet, nobcast), SAVED(VirtioNet, announce), SAVED(VirtioNet, multi_overflow),
    SAVED(VirtioNet, uni_overflow), SAVED(VirtioNet, n_macs), SAVED(VirtioNet, first_multi),
    SAVED(VirtioNet, macs), SAVED(VirtioNet, vlans), SAVED(VirtioNet, guest_offloads),
    HOST(VirtioNet, tx_waits), HOST(VirtioNet, header), HOST(VirtioNet, elements),
};
static const DeviceType virtio_net = {
    .name = "virtio-net-device", .parent = "virtio-device", .desc = "virtio network card",
    .size = sizeof(VirtioNet), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_NETWORK,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset, .ext = &cls,
    .fw_suffix = "/ethernet-phy@0",
};
DEVICE_TYPE(virtio_net);
