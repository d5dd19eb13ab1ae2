/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network ends: a back end (-netdev) and a card pass Ethernet packets to each other.
 *
 * A NetClient is one end, embedded in its owner; two of them are connected. A packet is an iovec that
 * is valid during the call only. What the receiver cannot take now is copied into its queue, and the
 * sender is asked to wait until ops->resume. Home: the control loop, for all functions here.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "util/iov.h"
#include "core/vm.h"
#include "qapi/qapi-types-net.h"

enum { NET_MAX_PACKET = 65550 + 12 };       /* Ethernet header, 64 KiB, virtio header */

/* What segmentation and checksums a card may leave to its back end and the other way round. */
enum { NET_CSUM = 1, NET_TSO4 = 2, NET_TSO6 = 4, NET_ECN = 8, NET_UFO = 16 };

typedef struct NetClient NetClient;
typedef struct NetClientOps {
    /* Takes a packet; false: no room now, net_flush() will say when. */
    bool (*receive)(NetClient *c, const struct iovec *iov, unsigned n);
    /* The other side has taken all that was queued: send on. May be NULL. */
    void (*resume)(NetClient *c);
    /* The cable was plugged or pulled on either side. May be NULL. */
    void (*link_changed)(NetClient *c);
    /* Back ends with vnet_hdr: packets in both directions begin with a virtio header of so many bytes
     * (10 or 12) from now on, and `offloads` (NET_*) may come to the card. */
    void (*set_vnet)(NetClient *c, unsigned header, unsigned offloads);
    /* Back ends with several queues: the card does (not) use this one. */
    void (*set_used)(NetClient *c, bool used);
    /* Back ends with `kernel`: the kernel moves packets through the descriptor returned (on), or this side does
     * again (off, as at the beginning). */
    int (*lend)(NetClient *c, bool on);
    /* Cards. */
    bool lends_queues;          /* to a program outside */
    RxFilterInfo *(*rx_filter)(NetClient *c);
} NetClientOps;

/* The host's kernel can move a back end's packets itself: an open /dev/vhost-net that is ours. */
typedef struct NetKernel {
    int fd;
    uint64_t features;
    unsigned poll_us;           /* how long it looks for packets before it sleeps */
} NetKernel;

struct NetClient {
    const NetClientOps *ops;
    Vm *vm;
    NetClient *peer;
    NetClient *lead;            /* that of the first of several queues; NULL: this is it */
    struct Netdev *netdev;      /* back ends: whose it is, and which of its queues */
    unsigned index;
    char *name;                 /* netdev's id, card's id or "model.N" */
    char *info;                 /* what `info network` shows behind the name */
    bool is_nic, link_down, delivering;
    struct Chardev *outside;    /* back ends: a program behind it that serves the card's queues itself */
    const NetKernel *kernel;    /* back ends: vhost-net, or NULL */
    bool vnet_hdr;              /* back ends: can prefix packets with a virtio header */
    unsigned header;            /* of so many bytes now */
    bool tell_filter;           /* cards: the next change of the filter is an event */
    uint8_t mac[6];             /* cards */
    GQueue queue;               /* Packet *: for this end, not taken yet */
    size_t queued;              /* bytes in it */
    bool peer_waits;            /* a net_send() to this end was answered with false */
    uint64_t rx_packets, rx_bytes, dropped;     /* received by this end */
};

/* Sends to the other end. False: it was queued (or dropped, when much is queued already); better
 * wait for ops->resume. What is sent into a pulled cable is gone. */
bool net_send(NetClient *c, const struct iovec *iov, unsigned n);
/* The packet in one piece: the iovec's own memory if it has one entry, else copied to `buf` of NET_MAX_PACKET
 * bytes. 0 if it is longer than that. */
size_t net_linear(const struct iovec *iov, unsigned n, const uint8_t **data, uint8_t *buf);
/* This end can receive again: delivers what is queued for it. */
void net_flush(NetClient *c);
/* Throws away what is queued for this end (a reset). */
void net_purge(NetClient *c);
/* Link is up on both sides. */
bool net_link_up(const NetClient *c);
void net_set_link(NetClient *c, bool up);

void net_client_init(NetClient *c, Vm *vm, const NetClientOps *ops, const char *name);
void net_client_finish(NetClient *c);

/* ---- cards ---- */
/* What a card's netdev= property holds: a back end of -netdev. */
typedef struct Netdev Netdev;
/* The socket of a program that serves the queues of the card itself, or NULL: packets pass here. */
struct Chardev *netdev_outside(const Netdev *n);
/* Connects a card, `netdev` NULL: without a cable. Name: device's id, else "MODEL.N". A MAC of zeros is
 * replaced by the next free one from 52:54:00:12:34:56 on. Error if the back end has a card already. */
bool nic_attach(NetClient *nic, Device *dev, const NetClientOps *ops, Netdev *netdev, uint8_t mac[6],
                GError **error) G_GNUC_WARN_UNUSED_RESULT;
void nic_detach(NetClient *nic);
/* How many queues a back end has (NULL: 1); those after the first are connected one by one, after
 * nic_attach(), and detached before it. */
unsigned netdev_queues(const Netdev *n);
void nic_attach_queue(NetClient *queue, NetClient *nic, Netdev *netdev, unsigned index);
void nic_detach_queue(NetClient *queue);
/* The guest changed the receive filter: an event for those who asked for it. */
void nic_filter_changed(NetClient *nic, Device *dev);

/* ---- making ---- */
Netdev *netdev_new(Vm *vm, const NetdevOptions *options, GError **error);
bool netdev_delete(Vm *vm, const char *id, GError **error);
Netdev *netdev_find(Vm *vm, const char *id);
/* -netdev TYPE,id=ID,… or JSON. */
Netdev *netdev_add_option(Vm *vm, const char *text, GError **error);
/* -nic TYPE[,model=M][,mac=A],…: makes the back end and returns what is left to do: options of the
 * card's device ("driver" may be absent: the machine's own model). NULL without an error: -nic none. */
Json *nic_add_option(Vm *vm, const char *text, GError **error);
/* By name, either end; cards first. */
NetClient *net_find(Vm *vm, const char *name);
/* Text of `info network`. */
char *net_describe(Vm *vm);
/* All cards' filters, or that of one; NULL with an error. */
RxFilterInfoList *net_rx_filters(Vm *vm, const char *name, GError **error);

/* Cards tell switches where they are, now and so many times after. */
bool net_announce(Vm *vm, const AnnounceParameters *p, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
