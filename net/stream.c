/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev stream, and the connections of -netdev socket: packets over a stream socket, each preceded
 * by its length (4 bytes, big endian). One connection at a time. The other side is not trusted: a
 * length that no packet has ends the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/address.h"
#include "net/internal.h"
#include "qapi/event.h"
#include "qapi/qapi-events.h"
#include "util/fdstore.h"

enum { LENGTH = 4, INPUT = 2 * NET_MAX_PACKET };

struct NetStream {
    NetClient *c;
    SocketAddress *address;     /* NULL: an open connection was given */
    bool server;
    int listener, peer;
    LoopFd *watch_listener, *watch_in, *watch_out;
    unsigned reconnect_ms, timer;
    uint8_t *input;
    size_t have;
    GByteArray *rest;           /* of a packet that was sent in part */
};

static void connected(NetStream *s, int fd);
static void retry_later(NetStream *s);

/* ---- the end of a connection ---- */

static void drop(NetStream *s)
{
    loop_fd_free(s->watch_in);
    loop_fd_free(s->watch_out);
    s->watch_in = s->watch_out = NULL;
    if (s->peer >= 0)
        close(s->peer);
    s->peer = -1;
    s->have = 0;
    g_byte_array_set_size(s->rest, 0);
}

static void hangup(NetStream *s)
{
    drop(s);
    qapi_event_netdev_stream_disconnected(s->c->vm, s->c->name);
    if (s->watch_listener)
        loop_fd_set(s->watch_listener, G_IO_IN);
    else
        retry_later(s);
    net_flush(s->c);            /* what waits is for nobody: it is dropped, and the card goes on */
}

/* ---- input ---- */

/* Takes whole packets off the buffer; false: the card wants no more, or the connection is over. */
static bool deliver(NetStream *s)
{
    size_t at = 0;
    bool more = true;
    while (more && s->have - at >= LENGTH) {
        uint32_t n;
        memcpy(&n, s->input + at, LENGTH);
        n = ntohl(n);
        if (n > NET_MAX_PACKET) {
            log_write("netdev '%s': a packet of %u bytes was announced\n", s->c->name, n);
            hangup(s);
            return false;
        }
        if (s->have - at - LENGTH < n)
            break;
        struct iovec iov = {s->input + at + LENGTH, n};
        if (n)
            more = net_send(s->c, &iov, 1);
        if (s->peer < 0)
            return false;
        at += LENGTH + n;
    }
    memmove(s->input, s->input + at, s->have - at);
    s->have -= at;
    return more;
}

static void readable(int fd, GIOCondition ready, void *data)
{
    NetStream *s = data;
    ssize_t n = recv(fd, s->input + s->have, INPUT - s->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hangup(s);
        return;
    }
    s->have += n;
    if (!deliver(s) && s->peer >= 0)
        loop_fd_set(s->watch_in, 0);
}

void net_stream_resume(NetStream *s)
{
    if (s && s->peer >= 0 && deliver(s))
        loop_fd_set(s->watch_in, G_IO_IN);
}

/* ---- output ---- */

static void writable(int fd, GIOCondition ready, void *data)
{
    NetStream *s = data;
    ssize_t n = send(fd, s->rest->data, s->rest->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        hangup(s);
        return;
    }
    if (n > 0)
        g_byte_array_remove_range(s->rest, 0, n);
    if (s->rest->len)
        return;
    loop_fd_free(s->watch_out);
    s->watch_out = NULL;
    net_flush(s->c);
}

static void keep_rest(NetStream *s, const struct iovec *iov, unsigned n, size_t done)
{
    for (unsigned i = 0; i < n; i++) {
        size_t skip = MIN(done, iov[i].iov_len);
        g_byte_array_append(s->rest, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        done -= skip;
    }
    s->watch_out = loop_add_fd(net_loop(s->c), s->peer, G_IO_OUT, writable, s);
}

bool net_stream_send(NetStream *s, const struct iovec *iov, unsigned n)
{
    uint32_t length = htonl(iov_bytes(iov, n));
    struct iovec all[n + 1];
    if (!s || s->peer < 0)
        return true;
    if (s->rest->len)
        return false;
    all[0] = (struct iovec){&length, LENGTH};
    memcpy(all + 1, iov, n * sizeof(*iov));
    struct msghdr msg = {.msg_iov = all, .msg_iovlen = n + 1};
    ssize_t done = sendmsg(s->peer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno != EAGAIN && errno != EINTR)
        return true;            /* the reading side sees the end */
    done = MAX(done, 0);
    if ((size_t)done < iov_bytes(all, n + 1))
        keep_rest(s, all, n + 1, done);
    return true;
}

/* ---- connections ---- */

static SocketAddress *nobody(void)
{
    SocketAddress *a = g_new0(SocketAddress, 1);
    a->type = SOCKET_ADDRESS_TYPE_FD;
    a->u.fd = g_new0(FdSocketAddress, 1);
    a->u.fd->str = g_strdup("");
    return a;
}

static void set_info(NetStream *s, const char *what)
{
    g_autofree char *where = s->address ? address_text(s->address) : g_strdup("fd");
    g_free(s->c->info);
    s->c->info = g_strdup_printf("%s %s", what, where);
}

static void connected(NetStream *s, int fd)
{
    int one = 1;
    s->peer = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->watch_in = loop_add_fd(net_loop(s->c), fd, G_IO_IN, readable, s);
    set_info(s, s->server ? "connection from" : "connected to");
    g_autoptr(SocketAddress) address = s->address ? socket_address_copy(s->address) : nobody();
    qapi_event_netdev_stream_connected(s->c->vm, s->c->name, address);
}

static void accepting(int fd, GIOCondition ready, void *data)
{
    NetStream *s = data;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0)
        return;
    loop_fd_set(s->watch_listener, 0);
    connected(s, peer);
}

static void retry(void *data)
{
    NetStream *s = data;
    g_autoptr(GError) error = NULL;
    s->timer = 0;
    int fd = address_connect(s->address, &error);
    if (fd >= 0)
        connected(s, fd);
    else
        retry_later(s);
}

static void retry_later(NetStream *s)
{
    if (s->reconnect_ms && s->address && !s->server && !s->timer)
        s->timer = loop_after(net_loop(s->c), s->reconnect_ms, retry, s);
}

static NetStream *stream_new(NetClient *c)
{
    NetStream *s = g_new0(NetStream, 1);
    *s = (NetStream){.c = c, .listener = -1, .peer = -1, .input = g_malloc(INPUT),
                     .rest = g_byte_array_new()};
    return s;
}

static bool start(NetStream *s, GError **error)
{
    g_autoptr(GError) failed = NULL;
    int fd = s->server ? address_listen(s->address, &failed) : address_connect(s->address, &failed);
    if (fd < 0 && (s->server || !s->reconnect_ms)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    set_info(s, s->server ? "listening on" : "connecting to");
    if (fd < 0) {
        retry_later(s);
    } else if (s->server) {
        s->listener = fd;
        s->watch_listener = loop_add_fd(net_loop(s->c), fd, G_IO_IN, accepting, s);
    } else {
        connected(s, fd);
    }
    return true;
}

NetStream *net_stream_new(NetClient *c, SocketAddress *address, bool server, unsigned reconnect_ms,
                          GError **error)
{
    NetStream *s = stream_new(c);
    s->address = socket_address_copy(address);
    s->server = server;
    s->reconnect_ms = reconnect_ms;
    if (start(s, error))
        return s;
    net_stream_free(s);
    return NULL;
}

NetStream *net_stream_new_fd(NetClient *c, int fd)
{
    NetStream *s = stream_new(c);
    connected(s, fd);
    return s;
}

void net_stream_free(NetStream *s)
{
    if (!s)
        return;
    drop(s);
    loop_fd_free(s->watch_listener);
    if (s->listener >= 0) {
        close(s->listener);
        if (s->address->type == SOCKET_ADDRESS_TYPE_UNIX && !s->address->u.unix_->abstract)
            unlink(s->address->u.unix_->path);
    }
    if (s->timer)
        loop_cancel(net_loop(s->c), s->timer);
    socket_address_free(s->address);
    g_byte_array_unref(s->rest);
    g_free(s->input);
    g_free(s);
}

/* ---- -netdev stream ---- */

typedef struct NetdevStream {
    Netdev n;
    NetStream *stream;
} NetdevStream;

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    return net_stream_send(((NetdevStream *)netdev_of(c))->stream, iov, n);
}

static void resume(NetClient *c) { net_stream_resume(((NetdevStream *)netdev_of(c))->stream); }

/* A connection that was passed: as itself, or by its name from getfd. */
static bool open_passed(NetdevStream *d, const char *name, GError **error)
{
    int fd = fd_store_take(d->n.client.vm->fds, name, error);
    if (fd >= 0)
        d->stream = net_stream_new_fd(&d->n.client, fd);
    return d->stream;
}

static bool open_stream(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetdevStream *d = (NetdevStream *)n;
    const NetdevStreamOptions *o = options->u.stream;
    bool server = o->has_server && o->server;
    int64_t ms = o->has_reconnect_ms ? o->reconnect_ms : o->has_reconnect ? o->reconnect * 1000 : 0;
    if (o->has_reconnect && o->has_reconnect_ms)
        return error_set(error, "'reconnect' and 'reconnect-ms' exclude each other");
    if (ms < 0 || ms > INT32_MAX || (ms && server))
        return error_set(error, server ? "'reconnect' is for clients" : "'reconnect' is out of range");
    if (o->addr->type == SOCKET_ADDRESS_TYPE_FD && !server)
        return open_passed(d, o->addr->u.fd->str, error);
    d->stream = net_stream_new(&n->client, o->addr, server, (unsigned)ms, error);
    return d->stream;
}

static void close_stream(Netdev *n) { g_clear_pointer(&((NetdevStream *)n)->stream, net_stream_free); }

static const NetdevType netdev_stream = {
    .name = "netdev-stream", .parent = "netdev", .desc = "packets over a stream socket",
    .size = sizeof(NetdevStream), .kind = NET_CLIENT_DRIVER_STREAM,
    .ops = {.receive = receive, .resume = resume}, .open = open_stream, .close = close_stream,
};
OBJECT_TYPE(netdev_stream);
