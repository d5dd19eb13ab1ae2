/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio network card. Spec: virtio 1.2, 5.1.
 *   virtio-net.c       queues and packets
 *   virtio-net-ctrl.c  the control queue, the receive filter
 *   virtio-net-rss.c   hashes of packets, and the queues they choose
 *   virtio-net-vhost.c queues that another program or the kernel serves
 */
#ifndef HW_VIRTIO_VIRTIO_NET_H
#define HW_VIRTIO_VIRTIO_NET_H

#include "hw/virtio/virtio.h"
#include "net/failover.h"
#include "net/net.h"

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
#define F_MQ (1ull << 22)
#define F_CTRL_MAC_ADDR (1ull << 23)
#define F_HASH_REPORT (1ull << 57)
#define F_RSS (1ull << 60)
#define F_STANDBY (1ull << 62)
#define F_SPEED_DUPLEX (1ull << 63)
#define OFFLOADS_TO_GUEST (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO)
/* Only with a back end that does them. */
#define OFFLOADS (OFFLOADS_TO_GUEST | F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_UFO |   \
                  F_CTRL_GUEST_OFFLOADS)


enum {
    NET_MAC = 6, NET_MAX_MACS = 64, NET_VLANS = 4096, NET_ANNOUNCE = 2, NET_MAX_PAIRS = 31, NET_RSS_KEY = 40,
    NET_RSS_TABLE = 128, NET_RSS_TYPES = 0x3f,
};

typedef struct VirtioNet VirtioNet;
/* Two queues, and the cable's end that they serve. */
typedef struct NetPair {
    NetClient nic;
    VirtioNet *s;
    Virtq *rx, *tx;
    bool tx_waits;              /* the back end's queue is full */
    VirtqElement **elements;    /* of a packet in several buffers: rx_queue_size */
} NetPair;

struct VirtioNet {
    VirtioDevice v;
    NetPair *pair;
    uint32_t n_pairs;           /* as many as the back end has queues */
    Netdev *netdev;
    uint8_t mac[NET_MAC];       /* property */
    uint64_t wanted;            /* properties of features, by feature bit */
    uint16_t rx_queue_size, tx_queue_size, mtu;
    int32_t speed, bootindex;
    char *duplex, *tx_mode;
    /* What the driver chose. */
    uint8_t guest_mac[NET_MAC];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast, announce;
    bool multi_overflow, uni_overflow;
    uint32_t n_macs, first_multi;       /* macs[first_multi…] are groups */
    uint8_t macs[NET_MAX_MACS * NET_MAC];
    uint32_t vlans[NET_VLANS / 32];
    uint64_t guest_offloads;
    uint32_t used_pairs;        /* 1 to n_pairs */
    bool rss;                   /* hashes choose pairs */
    uint32_t hash_types, rss_mask;
    uint16_t rss_table[NET_RSS_TABLE], rss_default;
    uint8_t rss_key[NET_RSS_KEY];
    FailoverStandby standby;    /* with F_STANDBY wanted */
    struct NetVhost *vhost;     /* serves the pairs; NULL: we do */
    unsigned header;            /* bytes before each packet in the driver's buffers */
};

/* Whether the driver wants a frame of n bytes, 14 at least. */
bool net_wants(const VirtioNet *s, const uint8_t *head, size_t n);
/* The queue of control commands. */
void net_serve_ctrl(VirtioDevice *v, Virtq *vq);
RxFilterInfo *net_rx_filter_info(NetClient *c);
/* Offloads and the number of pairs, as the driver has set them, to the back end. */
void net_apply_offloads(VirtioNet *s);
void net_apply_pairs(VirtioNet *s);

/* For a back end outside, a program or the kernel: takes it over, if there is one; what it can; start, stop, run.
 * Afterwards s->vhost may be NULL: it does not work, or went away with its netdev. */
typedef struct NetVhost NetVhost;
bool net_vhost_open(VirtioNet *s, GError **error);
void net_vhost_close(VirtioNet *s);
uint64_t net_vhost_offer(const VirtioNet *s, uint64_t features);
bool net_vhost_connected(const VirtioNet *s);
void net_vhost_start(VirtioNet *s, unsigned pairs_known);
void net_vhost_stop(VirtioNet *s);
void net_vhost_run(VirtioNet *s, bool running);
void net_vhost_link_changed(VirtioNet *s);
void net_vhost_apply_pairs(VirtioNet *s);
/* False: it does not serve at the moment, so that we do. */
bool net_vhost_serve(VirtioNet *s, Virtq *vq);

/* The hash of a frame and its kind as in the header (5.1.6.4); 0: none. */
unsigned net_hash(const VirtioNet *s, const uint8_t *frame, size_t n, uint32_t *hash);
unsigned net_rss_pair(const VirtioNet *s, unsigned kind, uint32_t hash);
/* A command's RSS or hash configuration; false: it is not valid. */
bool net_rss_configure(VirtioNet *s, const uint8_t *data, size_t n, bool rss);

#endif
