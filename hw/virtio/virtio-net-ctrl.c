/* SPDX-License-Identifier: Apache-2.0 */
/* The network card's control queue and what it sets: filter, queues, offloads. Spec: virtio 1.2, 5.1.6.5. */
#include <string.h>
#include "hw/virtio/virtio-net.h"

enum { ETH_VLAN = 0x8100, CTRL_OK = 0, CTRL_ERROR = 1 };

/* ---- the receive filter (5.1.6.5) ---- */

static bool listed(const VirtioNet *s, const uint8_t *mac, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (!memcmp(s->macs + i * NET_MAC, mac, NET_MAC))
            return true;
    return false;
}

bool net_wants(const VirtioNet *s, const uint8_t *head, size_t n)
{
    static const uint8_t broadcast[NET_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (s->promisc)
        return true;
    if (n >= 16 && (head[12] << 8 | head[13]) == ETH_VLAN && virtio_has(&s->v, F_CTRL_VLAN)) {
        unsigned id = (head[14] << 8 | head[15]) & 0xfff;
        if (!(s->vlans[id / 32] & 1u << id % 32))
            return false;
    }
    if (!memcmp(head, broadcast, NET_MAC))
        return !s->nobcast;
    if (head[0] & 1)
        return !s->nomulti && (s->allmulti || s->multi_overflow ||
                               listed(s, head, s->first_multi, s->n_macs));
    return !s->nouni && (s->alluni || s->uni_overflow || !memcmp(head, s->guest_mac, NET_MAC) ||
                         listed(s, head, 0, s->first_multi));
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
    if (count > left(c) / NET_MAC)
        return false;
    *overflow = *n + count > NET_MAX_MACS;
    if (*overflow)
        c->at += (size_t)count * NET_MAC;
    else if (take(c, macs + *n * NET_MAC, (size_t)count * NET_MAC))
        *n += count;
    return true;
}

static bool ctrl_mac(Ctrl *c, uint8_t cmd)
{
    VirtioNet *s = c->s;
    if (cmd == 1)
        return left(c) == NET_MAC && take(c, s->guest_mac, NET_MAC);
    uint8_t macs[NET_MAX_MACS * NET_MAC] = {0};
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
    if (cmd > 1 || !take(c, &id, 2) || (id = GUINT16_FROM_LE(id)) >= NET_VLANS)
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

static bool ctrl_offloads(Ctrl *c, uint8_t cmd)
{
    uint64_t f;
    if (cmd != 0 || !take(c, &f, 8) || (f = GUINT64_FROM_LE(f)) & ~(c->s->v.features & OFFLOADS_TO_GUEST))
        return false;
    c->s->guest_offloads = f;
    net_apply_offloads(c->s);
    return true;
}

enum { PAIRS_SET, RSS_CONFIG, HASH_CONFIG };

/* All of the command's data is taken before anything changes. */
static bool ctrl_mq(Ctrl *c, uint8_t cmd)
{
    VirtioNet *s = c->s;
    uint8_t data[2 * NET_RSS_TABLE + NET_RSS_KEY + 16];
    uint64_t needs = cmd == PAIRS_SET     ? F_MQ
                     : cmd == RSS_CONFIG  ? F_RSS
                     : cmd == HASH_CONFIG ? F_HASH_REPORT
                                          : 0;
    size_t n = left(c);
    if (!needs || !virtio_has(&s->v, needs) || n > sizeof(data) || !take(c, data, n))
        return false;
    if (cmd != PAIRS_SET)
        return net_rss_configure(s, data, n, cmd == RSS_CONFIG);
    unsigned pairs = n == 2 ? data[0] | data[1] << 8 : 0;
    if (!pairs || pairs > s->n_pairs)
        return false;
    s->used_pairs = pairs;
    s->rss = false;
    net_apply_pairs(s);
    return true;
}

static const struct { uint8_t class; uint64_t feature; bool filter; bool (*run)(Ctrl *c, uint8_t cmd); }
classes[] = {
    {0, F_CTRL_RX, true, ctrl_rx}, {1, F_CTRL_VQ, true, ctrl_mac}, {2, F_CTRL_VLAN, true, ctrl_vlan},
    {3, F_GUEST_ANNOUNCE, false, ctrl_announce}, {4, F_MQ | F_RSS | F_HASH_REPORT, false, ctrl_mq},
    {5, F_CTRL_GUEST_OFFLOADS, false, ctrl_offloads},
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
            nic_filter_changed(&s->pair[0].nic, &s->v.dev);
        return CTRL_OK;
    }
    return CTRL_ERROR;
}

void net_serve_ctrl(VirtioDevice *v, Virtq *vq)
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

/* ---- what monitors see ---- */

static char *mac_text(const uint8_t *m)
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

RxFilterInfo *net_rx_filter_info(NetClient *c)
{
    VirtioNet *s = ((NetPair *)c)->s;
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
    for (unsigned i = 0; i < NET_VLANS; i++)
        if (s->vlans[i / 32] & 1u << i % 32)
            int_list_add(r->vlan_table, i);
    r->unicast_table = str_list_new();
    r->multicast_table = str_list_new();
    for (unsigned i = 0; i < s->n_macs; i++)
        str_list_add(i < s->first_multi ? r->unicast_table : r->multicast_table,
                     mac_text(s->macs + i * NET_MAC));
    return r;
}
