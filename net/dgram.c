/* SPDX-License-Identifier: Apache-2.0 */
/* -netdev dgram, and the datagram forms of -netdev socket: a packet is a datagram. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/dgram.h"
#include "util/fdstore.h"

/* ---- addresses ---- */

static bool inet_address(const InetSocketAddress *a, struct sockaddr_storage *out, unsigned *len,
                         GError **error)
{
    bool v4 = a->has_ipv4 && a->ipv4, v6 = a->has_ipv6 && a->ipv6;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = v6 && !v4 ? AF_INET6 : AF_INET};
    struct addrinfo *list;
    if (strchr(a->host, ':'))
        hints.ai_family = AF_INET6;
    int err = getaddrinfo(*a->host ? a->host : "0.0.0.0", a->port, &hints, &list);
    if (err)
        return error_set(error, "address %s:%s: %s", a->host, a->port, gai_strerror(err));
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

static bool to_sockaddr(const SocketAddress *a, struct sockaddr_storage *out, unsigned *len,
                        GError **error)
{
    memset(out, 0, sizeof(*out));
    if (a->type == SOCKET_ADDRESS_TYPE_INET)
        return inet_address(a->u.inet, out, len, error);
    if (a->type != SOCKET_ADDRESS_TYPE_UNIX)
        return error_set(error, "datagrams need addresses of type inet, unix or, as 'local', fd");
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    if (strlen(a->u.unix_->path) >= sizeof(un->sun_path))
        return error_set(error, "socket path '%s' is too long", a->u.unix_->path);
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, a->u.unix_->path);
    *len = sizeof(*un);
    return true;
}

static bool is_multicast(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET &&
           IN_MULTICAST(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
}

/* ---- sockets ---- */

static int bound(const struct sockaddr_storage *a, unsigned len, GError **error)
{
    int one = 1, fd = socket(a->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(error, errno, "cannot make a socket");
        return -1;
    }
    if (a->ss_family == AF_UNIX)
        unlink(((const struct sockaddr_un *)a)->sun_path);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)a, len) == 0)
        return fd;
    error_set_errno(error, errno, "cannot bind the socket");
    close(fd);
    return -1;
}

int net_multicast(const struct sockaddr_in *group, const struct in_addr *local, GError **error)
{
    struct sockaddr_storage a = {0};
    unsigned char loop = 1;
    memcpy(&a, group, sizeof(*group));
    int fd = bound(&a, sizeof(*group), error);
    struct ip_mreq join = {.imr_multiaddr = group->sin_addr,
                           .imr_interface = local ? *local : (struct in_addr){INADDR_ANY}};
    if (fd < 0)
        return -1;
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) == 0 &&
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof(loop)) == 0 &&
        (!local || setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local, sizeof(*local)) == 0))
        return fd;
    error_set_errno(error, errno, "cannot join the multicast group");
    close(fd);
    return -1;
}

int net_datagram(const SocketAddress *local, const SocketAddress *remote, NetFd *f, GError **error)
{
    struct sockaddr_storage here, there;
    unsigned here_len, there_len = 0;
    if (remote && !to_sockaddr(remote, &there, &there_len, error))
        return -1;
    if (remote && is_multicast(&there)) {
        if (local && (local->type != SOCKET_ADDRESS_TYPE_INET || !to_sockaddr(local, &here, &here_len, error))) {
            if (local->type != SOCKET_ADDRESS_TYPE_INET)
                error_set(error, "multicast needs a 'local' of type inet");
            return -1;
        }
        memcpy(f->to, &there, f->to_len = there_len);
        return net_multicast((struct sockaddr_in *)&there,
                             local ? &((struct sockaddr_in *)&here)->sin_addr : NULL, error);
    }
    if (!local || !to_sockaddr(local, &here, &here_len, error)) {
        if (!local)
            error_set(error, "'local' is needed (except for multicast groups)");
        return -1;
    }
    if (remote && here.ss_family != there.ss_family) {
        error_set(error, "'local' and 'remote' must be of one type");
        return -1;
    }
    if (remote)
        memcpy(f->to, &there, f->to_len = MIN(there_len, sizeof(f->to)));
    return bound(&here, here_len, error);
}

/* ---- -netdev dgram ---- */

typedef struct NetdevDgram {
    Netdev n;
    NetFd fd;
    char *path;                 /* of our own unix socket */
} NetdevDgram;

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    return net_fd_send(&((NetdevDgram *)netdev_of(c))->fd, iov, n);
}

static void resume(NetClient *c) { net_fd_resume(&((NetdevDgram *)netdev_of(c))->fd); }

static bool open_dgram(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetdevDgram *d = (NetdevDgram *)n;
    const NetdevDgramOptions *o = options->u.dgram;
    bool passed = o->local && o->local->type == SOCKET_ADDRESS_TYPE_FD;
    if (passed && o->remote)
        return error_set(error, "a 'local' of type fd is connected already: no 'remote'");
    int fd = passed ? fd_store_take(n->client.vm->fds, o->local->u.fd->str, error)
                    : net_datagram(o->local, o->remote, &d->fd, error);
    if (fd < 0)
        return false;
    if (!passed && o->local && o->local->type == SOCKET_ADDRESS_TYPE_UNIX)
        d->path = g_strdup(o->local->u.unix_->path);
    n->client.info = g_strdup(passed ? "fd" : d->fd.to_len ? "datagrams" : "datagrams, receiving only");
    net_fd_start(&d->fd, &n->client, fd);
    return true;
}

static void close_dgram(Netdev *n)
{
    NetdevDgram *d = (NetdevDgram *)n;
    net_fd_stop(&d->fd);
    if (d->path)
        unlink(d->path);
    g_free(d->path);
}

static const NetdevType netdev_dgram = {
    .name = "netdev-dgram", .parent = "netdev", .desc = "packets as datagrams",
    .size = sizeof(NetdevDgram), .kind = NET_CLIENT_DRIVER_DGRAM,
    .ops = {.receive = receive, .resume = resume}, .open = open_dgram, .close = close_dgram,
};
OBJECT_TYPE(netdev_dgram);
