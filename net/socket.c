/* SPDX-License-Identifier: Apache-2.0 */
/* -netdev socket: the older words for stream (fd, listen, connect) and dgram (mcast, udp). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/dgram.h"
#include "util/fdstore.h"

typedef struct NetdevSocket {
    Netdev n;
    NetStream *stream;          /* or */
    NetFd fd;
} NetdevSocket;

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    NetdevSocket *s = (NetdevSocket *)netdev_of(c);
    return s->stream ? net_stream_send(s->stream, iov, n) : net_fd_send(&s->fd, iov, n);
}

static void resume(NetClient *c)
{
    NetdevSocket *s = (NetdevSocket *)netdev_of(c);
    if (s->stream)
        net_stream_resume(s->stream);
    else
        net_fd_resume(&s->fd);
}

/* "[HOST]:PORT". */
static SocketAddress *read_address(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1]) {
        error_set(error, "'%s': expected HOST:PORT", text);
        return NULL;
    }
    SocketAddress *a = g_new0(SocketAddress, 1);
    a->type = SOCKET_ADDRESS_TYPE_INET;
    a->u.inet = g_new0(InetSocketAddress, 1);
    a->u.inet->host = g_strndup(text, colon - text);
    a->u.inet->port = g_strdup(colon + 1);
    return a;
}

static bool open_stream(NetdevSocket *s, const char *text, bool server, GError **error)
{
    g_autoptr(SocketAddress) a = read_address(text, error);
    s->stream = a ? net_stream_new(&s->n.client, a, server, 0, error) : NULL;
    return s->stream;
}

static bool open_datagrams(NetdevSocket *s, const char *remote, const char *local, GError **error)
{
    g_autoptr(SocketAddress) there = read_address(remote, error);
    /* mcast's source address has no port. */
    g_autofree char *with_port = local && !strchr(local, ':') ? g_strconcat(local, ":0", NULL)
                                                              : g_strdup(local);
    g_autoptr(SocketAddress) here = there && with_port ? read_address(with_port, error) : NULL;
    if (!there || (with_port && !here))
        return false;
    int fd = net_datagram(here, there, &s->fd, error);
    if (fd < 0)
        return false;
    s->n.client.info = g_strdup_printf("socket: %s", remote);
    net_fd_start(&s->fd, &s->n.client, fd);
    return true;
}

static bool open_passed(NetdevSocket *s, const char *name, GError **error)
{
    int type, fd = fd_store_take(s->n.client.vm->fds, name, error);
    socklen_t len = sizeof(type);
    if (fd < 0)
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        (type != SOCK_STREAM && type != SOCK_DGRAM)) {
        close(fd);
        return error_set(error, "fd=%s is no stream or datagram socket", name);
    }
    if (type == SOCK_STREAM) {
        s->stream = net_stream_new_fd(&s->n.client, fd);
    } else {
        s->n.client.info = g_strdup_printf("socket: fd=%s", name);
        net_fd_start(&s->fd, &s->n.client, fd);
    }
    return true;
}

static bool open_socket(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetdevSocket *s = (NetdevSocket *)n;
    const NetdevSocketOptions *o = options->u.socket;
    if (!!o->fd + !!o->listen + !!o->connect + !!o->mcast + !!o->udp != 1)
        return error_set(error, "exactly one of listen=, connect=, mcast=, udp= or fd= is needed");
    if (o->localaddr && !o->mcast && !o->udp)
        return error_set(error, "localaddr= is only for mcast= and udp=");
    if (o->udp && !o->localaddr)
        return error_set(error, "udp= needs localaddr=");
    return o->fd        ? open_passed(s, o->fd, error)
           : o->listen  ? open_stream(s, o->listen, true, error)
           : o->connect ? open_stream(s, o->connect, false, error)
                        : open_datagrams(s, o->mcast ? o->mcast : o->udp, o->localaddr, error);
}

static void close_socket(Netdev *n)
{
    NetdevSocket *s = (NetdevSocket *)n;
    g_clear_pointer(&s->stream, net_stream_free);
    net_fd_stop(&s->fd);
}

static const NetdevType netdev_socket = {
    .name = "netdev-socket", .parent = "netdev", .desc = "packets over a socket",
    .size = sizeof(NetdevSocket), .kind = NET_CLIENT_DRIVER_SOCKET,
    .ops = {.receive = receive, .resume = resume}, .open = open_socket, .close = close_socket,
};
OBJECT_TYPE(netdev_socket);
