/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of network back ends share. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/net.h"
#include "util/error.h"
#include "util/log.h"

typedef struct NetdevType {
    ObjectType;
    NetClientDriver kind;
    NetClientOps ops;
    /* Sets client.info; opens. */
    bool (*open)(Netdev *n, const NetdevOptions *options, GError **error);
    void (*close)(Netdev *n);
} NetdevType;

struct Netdev {
    Object object;
    NetClient client;
    NetClient *more;            /* queues after the first */
    unsigned n_more;
};
static inline Netdev *netdev_of(NetClient *c) { return c->netdev; }
static inline NetClient *netdev_queue(Netdev *n, unsigned i) { return i ? &n->more[i - 1] : &n->client; }
/* (open) That many queues in all, with the ops of the first. */
void netdev_set_queues(Netdev *n, unsigned queues);
static inline Loop *net_loop(const NetClient *c) { return c->vm->loop; }

/* Connects two ends that have none. */
void net_connect(NetClient *a, NetClient *b);
void net_disconnect(NetClient *c);

/* An already open datagram descriptor as a back end: dgram, socket's mcast and udp forms, tap. */
typedef struct NetFd {
    NetClient *c;
    int fd;
    LoopFd *in, *out;
    uint8_t *buf;
    /* Where packets go when the descriptor is not connected; n 0: nowhere. */
    char to[128];
    unsigned to_len;
    bool plain;                 /* read() and write(): no socket */
    bool lent;                  /* somebody else reads */
} NetFd;
void net_fd_start(NetFd *f, NetClient *c, int fd);
void net_fd_stop(NetFd *f);
bool net_fd_send(NetFd *f, const struct iovec *iov, unsigned n);
/* Somebody else reads from the descriptor, or nobody any more. */
void net_fd_lend(NetFd *f, bool on);
/* The card can take packets again. */
void net_fd_resume(NetFd *f);

/* A stream socket whose packets are preceded by their length: stream and socket. */
typedef struct NetStream NetStream;
NetStream *net_stream_new(NetClient *c, SocketAddress *address, bool server, unsigned reconnect_ms,
                          GError **error);
/* An open connection. */
NetStream *net_stream_new_fd(NetClient *c, int fd);
void net_stream_free(NetStream *s);
bool net_stream_send(NetStream *s, const struct iovec *iov, unsigned n);
void net_stream_resume(NetStream *s);

#endif
