/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd: a disk on a server. Spec: doc/proto.md of the NBD project; newstyle negotiation, simple replies.
 *
 * Requests of many fibers share the connection. Whoever sends holds `sending`; replies are read by the
 * loop's callback, which hands each to the fiber that waits for it. While a node is opened or closed
 * there is no fiber, and the same code polls instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "block/internal.h"
#include "block/nbd-proto.h"
#include "crypto/wire.h"
#include "util/bytes.h"
#include "util/fdstore.h"

enum { MAX_REPLY = 1 << 16, CONNECT_MS = 3000 };

typedef struct Pending {
    uint64_t handle;
    const BlockIo *io;          /* read: where data goes */
    uint64_t got;
    int error;
    bool done;
    Fiber *fiber;
} Pending;

typedef struct Nbd {
    BlockNode node;
    SocketAddress *server;
    char *export;
    uint32_t reconnect_delay;
    Object *creds;              /* NULL: no TLS; a reference */
    char *tls_hostname;
    int fd;                     /* of wire; -1: no connection */
    Wire *wire;
    uint16_t flags;
    Loop *watching;
    LoopFd *watch;
    FiberLock sending, connecting;
    Fiber *sender;              /* waits until it can write */
    GPtrArray *pending;
    Pending *current;           /* its data comes now */
    uint8_t head[16];
    unsigned n_head;
    uint64_t next_handle;
    bool was_open;
} Nbd;

/* ---- connecting; blocks ---- */

static int connect_to(const struct sockaddr *addr, socklen_t n, int *error)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
    socklen_t len = sizeof(err);
    if (fd >= 0 && connect(fd, addr, n) == 0)
        return fd;
    *error = errno;
    struct pollfd p = {fd, POLLOUT, 0};
    if (fd >= 0 && *error == EINPROGRESS) {
        *error = ETIMEDOUT;
        if (poll(&p, 1, CONNECT_MS) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0) {
            if (!err)
                return fd;
            *error = err;
        }
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_inet(const InetSocketAddress *a, int *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1;
    *error = EHOSTUNREACH;
    if (getaddrinfo(a->host, a->port, &hints, &list))
        return -1;
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
        fd = connect_to(i->ai_addr, i->ai_addrlen, error);
    freeaddrinfo(list);
    return fd;
}

static int connect_server(Nbd *s, GError **error)
{
    int err = 0, fd = -1;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    switch (s->server->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        fd = connect_inet(s->server->u.inet, &err);
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        if (strlen(s->server->u.unix_->path) >= sizeof(un.sun_path)) {
            error_set(error, "UNIX socket path '%s' is too long", s->server->u.unix_->path);
            return -1;
        }
        strcpy(un.sun_path, s->server->u.unix_->path);
        fd = connect_to((struct sockaddr *)&un, sizeof(un), &err);
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        fd = fd_store_take(s->node.vm->fds, s->server->u.fd->str, error);
        return fd;
    default:
        error_set(error, "NBD over vsock is not implemented");
        return -1;
    }
    if (fd < 0)
        error_set_errno(error, err, "Failed to connect to '%s'", s->node.filename);
    return fd;
}

static bool wait_for(int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    return poll(&p, 1, CONNECT_MS * 3) > 0;
}

static bool wait_for_wire(void *w, bool writing) { return wait_for(wire_fd(w), writing ? POLLOUT : POLLIN); }

static bool read_all(Wire *w, void *to, size_t n) { return wire_recv_all(w, to, n, wait_for_wire, w); }

static bool write_all(Wire *w, const void *from, size_t n) { return wire_send_all(w, from, n, wait_for_wire, w); }

static bool send_option(Wire *w, uint32_t option, const void *data, uint32_t n)
{
    uint8_t h[16];
    put_be64(h, NBD_OPTION_MAGIC);
    put_be32(h + 8, option);
    put_be32(h + 12, n);
    return write_all(w, h, sizeof(h)) && write_all(w, data, n);
}

/* The old way: the server's answer has no form, and it hangs up on a name that it does not have. */
static bool ask_by_name(Nbd *s, Wire *w, uint64_t *size, GError **error)
{
    uint8_t b[10];
    if (!send_option(w, NBD_OPT_EXPORT_NAME, s->export, strlen(s->export)) || !read_all(w, b, sizeof(b)))
        return error_set(error, "the NBD server has no export '%s'", s->export);
    *size = get_be64(b);
    s->flags = get_be16(b + 8);
    return true;
}

static bool ask(Nbd *s, Wire *w, uint64_t *size, GError **error)
{
    uint32_t n_name = strlen(s->export);
    g_autofree uint8_t *go = g_malloc0(n_name + 6), *data = g_malloc(MAX_REPLY + 1);
    put_be32(go, n_name);
    memcpy(go + 4, s->export, n_name);
    bool told = false;
    if (!send_option(w, NBD_OPT_GO, go, n_name + 6))
        return error_set(error, "the NBD server closed the connection");
    for (;;) {
        uint8_t h[20];
        if (!read_all(w, h, sizeof(h)) || get_be64(h) != NBD_REPLY_MAGIC || get_be32(h + 8) != NBD_OPT_GO)
            return error_set(error, "the NBD server's answer makes no sense");
        uint32_t type = get_be32(h + 12), n = get_be32(h + 16);
        if (n > MAX_REPLY || !read_all(w, data, n))
            return error_set(error, "the NBD server's answer is too long");
        data[n] = '\0';
        if (type == (NBD_REP_ERROR | 1u))
            return ask_by_name(s, w, size, error);     /* it does not know the option */
        if (type & NBD_REP_ERROR)
            return error_set(error, "Requested export not available: %s", n ? (char *)data : s->export);
        if (type == NBD_REP_INFO && n >= 12 && get_be16(data) == NBD_INFO_EXPORT) {
            *size = get_be64(data + 2);
            s->flags = get_be16(data + 10);
            told = true;
        }
        if (type == NBD_REP_ACK)
            return told || error_set(error, "the NBD server did not tell the size");
    }
}

static bool start_tls(Nbd *s, Wire *w, GError **error)
{
    uint8_t h[20];
    if (!send_option(w, NBD_OPT_STARTTLS, NULL, 0) || !read_all(w, h, sizeof(h)) || get_be64(h) != NBD_REPLY_MAGIC)
        return error_set(error, "the NBD server closed the connection");
    if (get_be32(h + 12) != NBD_REP_ACK || get_be32(h + 16))
        return error_set(error, "the NBD server has no TLS");
    bool ok = wire_start_tls(w, s->creds, s->tls_hostname, NULL, error) &&
              wire_shake_wait(w, CONNECT_MS * 3, error);
    if (!ok)
        g_prefix_error(error, "'%s': ", s->node.filename);
    return ok;
}

static bool negotiate(Nbd *s, Wire *w, GError **error)
{
    uint8_t h[18], flags[4];
    uint64_t size = 0;
    if (!read_all(w, h, sizeof(h)) || get_be64(h) != NBD_INIT_MAGIC)
        return error_set(error, "'%s' is no NBD server", s->node.filename);
    if (get_be64(h + 8) != NBD_OPTION_MAGIC || !(get_be16(h + 16) & NBD_FIXED_NEWSTYLE))
        return error_set(error, "the NBD server speaks only the old protocol");
    put_be32(flags, NBD_FIXED_NEWSTYLE | (get_be16(h + 16) & NBD_NO_ZEROES));
    if (!write_all(w, flags, sizeof(flags)))
        return error_set(error, "the NBD server closed the connection");
    if ((s->creds && !start_tls(s, w, error)) || !ask(s, w, &size, error))
        return false;
    if (size > INT64_MAX || (s->was_open && size != s->node.size))
        return error_set(error, "the NBD server's disk has another size now");
    s->node.size = size;
    s->was_open = true;
    return true;
}

static bool open_connection(Nbd *s, GError **error)
{
    int fd = connect_server(s, error);
    if (fd < 0)
        return false;
    Wire *w = wire_new(fd);
    if (!negotiate(s, w, error)) {
        wire_free(w);
        return false;
    }
    s->wire = w;
    s->n_head = 0;
    s->current = NULL;
    s->fd = fd;
    return true;
}

/* ---- the connection in use ---- */

static void finish(Nbd *s, Pending *p, int error)
{
    p->error = error;
    p->done = true;
    g_ptr_array_remove_fast(s->pending, p);
    if (p->fiber)
        fiber_resume(p->fiber);
}

static void lost(Nbd *s)
{
    if (s->fd < 0)
        return;
    loop_fd_free(s->watch);
    s->watch = NULL;
    g_clear_pointer(&s->wire, wire_free);
    s->fd = -1;
    s->current = NULL;
    while (s->pending->len)
        finish(s, s->pending->pdata[0], ENOTCONN);
    if (s->sender)
        fiber_resume(s->sender);
}

/* More of the data of a read; false: not all is there yet. */
static ssize_t receive_data(Nbd *s, Pending *p)
{
    g_autofree struct iovec *iov = g_new(struct iovec, p->io->n_iov);
    BlockIo rest;
    block_io_part(p->io, p->got, p->io->bytes - p->got, iov, &rest);
    return wire_recvv(s->wire, iov, MIN(rest.n_iov, 1024));
}

static void take_head(Nbd *s)
{
    Pending *found = NULL;
    uint64_t handle = get_be64(s->head + 8);
    int error = get_be32(s->head + 4);
    s->n_head = 0;
    for (unsigned i = 0; i < s->pending->len; i++)
        if (((Pending *)s->pending->pdata[i])->handle == handle)
            found = s->pending->pdata[i];
    if (get_be32(s->head) != NBD_SIMPLE_MAGIC || !found)
        lost(s);
    else if (!error && found->io && found->io->bytes)
        s->current = found;
    else
        finish(s, found, error);
}

static void pump(Nbd *s)
{
    while (s->fd >= 0) {
        Pending *p = s->current;
        ssize_t n = p ? receive_data(s, p)
                      : wire_recv(s->wire, s->head + s->n_head, sizeof(s->head) - s->n_head);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(s);
        } else if (!p) {
            s->n_head += n;
            if (s->n_head == sizeof(s->head))
                take_head(s);
        } else if ((p->got += n) == p->io->bytes) {
            s->current = NULL;
            finish(s, p, 0);
        }
    }
}

static void ready(int fd, GIOCondition what, void *data)
{
    Nbd *s = data;
    Fiber *sender = s->sender;
    if (what & G_IO_OUT && sender) {
        s->sender = NULL;
        loop_fd_set(s->watch, G_IO_IN);
        fiber_resume(sender);
    }
    if (s->fd >= 0 && what & ~G_IO_OUT)
        pump(s);
}

/* The node may have moved to another loop since the last request. */
static void watch(Nbd *s)
{
    if (!fiber_self() || (s->watch && s->watching == s->node.loop))
        return;
    loop_fd_free(s->watch);
    s->watching = s->node.loop;
    s->watch = loop_add_fd(s->watching, s->fd, G_IO_IN, ready, s);
}

/* Until the connection takes more; 0, or what ends it. */
static int wait_writable(Nbd *s)
{
    if (!fiber_self())
        return wait_for(s->fd, POLLOUT) ? 0 : ETIMEDOUT;
    s->sender = fiber_self();
    loop_fd_set(s->watch, G_IO_IN | G_IO_OUT);
    fiber_wait();
    s->sender = NULL;
    return 0;
}

static int send_request(Nbd *s, struct iovec *iov, unsigned n)
{
    for (unsigned i = 0;;) {
        if (s->fd < 0)
            return ENOTCONN;
        ssize_t k = i < n ? wire_sendv(s->wire, iov + i, MIN(n - i, 1024)) : wire_flush(s->wire) ? 0 : -1;
        if (k >= 0 && i == n)
            return 0;
        int err = k >= 0 || errno == EINTR ? 0 : errno == EAGAIN ? wait_writable(s) : errno;
        if (err)
            return err;
        for (; k >= 0 && i < n && (size_t)k >= iov[i].iov_len; i++)
            k -= iov[i].iov_len;
        if (k > 0 && i < n) {
            iov[i].iov_base = (char *)iov[i].iov_base + k;
            iov[i].iov_len -= k;
        }
    }
}

static int once(Nbd *s, uint16_t command, uint16_t flags, uint64_t offset, uint64_t bytes, const BlockIo *io)
{
    uint8_t h[28];
    unsigned n = 1;
    g_autofree struct iovec *iov = g_new(struct iovec, 1 + (command == NBD_CMD_WRITE ? io->n_iov : 0));
    Pending p = {.handle = ++s->next_handle, .io = command == NBD_CMD_READ ? io : NULL, .fiber = fiber_self()};
    if (s->fd < 0)
        return ENOTCONN;
    watch(s);
    put_be32(h, NBD_REQUEST_MAGIC);
    put_be16(h + 4, flags);
    put_be16(h + 6, command);
    put_be64(h + 8, p.handle);
    put_be64(h + 16, offset);
    put_be32(h + 24, bytes);
    iov[0] = (struct iovec){h, sizeof(h)};
    if (command == NBD_CMD_WRITE) {
        memcpy(iov + 1, io->iov, io->n_iov * sizeof(*iov));
        n += io->n_iov;
    }
    g_ptr_array_add(s->pending, &p);
    Fiber *fiber = p.fiber;
    p.fiber = NULL;             /* not to be resumed while it sends */
    fiber_lock(&s->sending);
    int err = p.done ? p.error : send_request(s, iov, n);
    fiber_unlock(&s->sending);
    if (err) {
        lost(s);
        if (!p.done)
            g_ptr_array_remove_fast(s->pending, &p);
        return ENOTCONN;
    }
    p.fiber = fiber;
    while (!p.done) {
        if (fiber)
            fiber_wait();
        else if (s->fd >= 0 && wait_for(s->fd, POLLIN))
            pump(s);
        else
            lost(s);
    }
    return p.error;
}

static void wake(void *fiber) { fiber_resume(fiber); }

/* For as long as reconnect-delay allows. */
static bool reconnect(Nbd *s)
{
    int64_t until = g_get_monotonic_time() + (int64_t)s->reconnect_delay * G_USEC_PER_SEC;
    bool ok = s->fd >= 0;
    if (!s->reconnect_delay || !fiber_self())
        return ok;
    fiber_lock(&s->connecting);
    while (!(ok = s->fd >= 0 || open_connection(s, NULL)) && g_get_monotonic_time() < until) {
        loop_after(s->node.loop, 500, wake, fiber_self());
        fiber_wait();
    }
    fiber_unlock(&s->connecting);
    return ok;
}

static int request(Nbd *s, uint16_t command, uint16_t flags, uint64_t offset, uint64_t bytes, const BlockIo *io)
{
    int err;
    do
        err = once(s, command, flags, offset, bytes, io);
    while (err == ENOTCONN && reconnect(s));
    return err == ENOTCONN ? EIO : err;
}

static int in_pieces(Nbd *s, uint16_t command, const BlockIo *io)
{
    if (io->bytes <= NBD_MAX_REQUEST)
        return request(s, command, 0, io->offset, io->bytes, io);
    g_autofree struct iovec *iov = g_new(struct iovec, io->n_iov);
    for (uint64_t done = 0; done < io->bytes;) {
        BlockIo part;
        block_io_part(io, done, MIN(io->bytes - done, NBD_MAX_REQUEST), iov, &part);
        int err = request(s, command, 0, part.offset, part.bytes, &part);
        if (err)
            return err;
        done += part.bytes;
    }
    return 0;
}

static int nbd_read(BlockNode *n, const BlockIo *io) { return in_pieces((Nbd *)n, NBD_CMD_READ, io); }
static int nbd_write(BlockNode *n, const BlockIo *io) { return in_pieces((Nbd *)n, NBD_CMD_WRITE, io); }

static int nbd_flush(BlockNode *n)
{
    Nbd *s = (Nbd *)n;
    return s->flags & NBD_SEND_FLUSH ? request(s, NBD_CMD_FLUSH, 0, 0, 0, NULL) : 0;
}

static int ranges(Nbd *s, uint16_t command, uint16_t flags, uint64_t offset, uint64_t bytes)
{
    enum { STEP = 1 << 30 };
    int err = 0;
    for (uint64_t n; !err && bytes; offset += n, bytes -= n) {
        n = MIN(bytes, STEP);
        err = request(s, command, flags, offset, n, NULL);
    }
    return err;
}

static int nbd_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    Nbd *s = (Nbd *)n;
    return s->flags & NBD_SEND_TRIM ? ranges(s, NBD_CMD_TRIM, 0, offset, bytes) : 0;
}

static int nbd_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Nbd *s = (Nbd *)n;
    if (!(s->flags & NBD_SEND_ZEROES))
        return ENOTSUP;
    return ranges(s, NBD_CMD_ZEROES, flags & BLOCK_MAY_UNMAP ? 0 : NBD_FLAG_NO_HOLE, offset, bytes);
}

/* ---- opening ---- */

static char *name_of(const SocketAddress *a, const char *export)
{
    g_autofree char *escaped = g_uri_escape_string(export, "/", true);
    if (a->type == SOCKET_ADDRESS_TYPE_UNIX)
        return g_strdup_printf("nbd+unix:///%s?socket=%s", escaped, a->u.unix_->path);
    if (a->type == SOCKET_ADDRESS_TYPE_INET)
        return g_strdup_printf("nbd://%s:%s%s%s", a->u.inet->host, a->u.inet->port, *escaped ? "/" : "", escaped);
    return g_strdup("nbd:");
}

static void free_all(Nbd *s)
{
    socket_address_free(s->server);
    g_free(s->export);
    g_free(s->tls_hostname);
    if (s->creds)
        object_unref(s->creds);
    g_ptr_array_unref(s->pending);
}

static bool nbd_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    Nbd *s = (Nbd *)n;
    const BlockdevOptionsNbd *b = o->u.nbd;
    s->fd = -1;
    if (b->tls_creds) {
        s->creds = tls_creds_find(n->vm, b->tls_creds, false, error);
        if (!s->creds)
            return false;
        object_ref(s->creds);
        bool inet = b->server->type == SOCKET_ADDRESS_TYPE_INET;
        s->tls_hostname = g_strdup(b->tls_hostname ? b->tls_hostname : inet ? b->server->u.inet->host : NULL);
    } else if (b->tls_hostname) {
        return error_set(error, "tls-hostname goes with tls-creds");
    }
    s->server = socket_address_copy(b->server);
    s->export = g_strdup(b->export ? b->export : "");
    s->reconnect_delay = b->has_reconnect_delay ? b->reconnect_delay : 0;
    s->pending = g_ptr_array_new();
    n->filename = name_of(s->server, s->export);
    int64_t until = g_get_monotonic_time() + (b->has_open_timeout ? b->open_timeout : 0) * (int64_t)G_USEC_PER_SEC;
    bool ok;
    while (!(ok = open_connection(s, error)) && g_get_monotonic_time() < until) {
        g_clear_error(error);
        g_usleep(G_USEC_PER_SEC / 4);
    }
    if (ok && s->flags & NBD_READ_ONLY && !n->read_only) {
        n->read_only = o->has_auto_read_only && o->auto_read_only;
        ok = n->read_only || error_set(error, "request on write denied without write permission: the export is read-only");
        if (!ok)
            lost(s);
    }
    if (!ok) {
        free_all(s);
        return false;
    }
    n->can_discard = s->flags & NBD_SEND_TRIM;
    return true;
}

static void nbd_close(BlockNode *n)
{
    Nbd *s = (Nbd *)n;
    uint8_t h[28] = {0};
    put_be32(h, NBD_REQUEST_MAGIC);
    put_be16(h + 6, NBD_CMD_DISCONNECT);
    if (s->fd >= 0 && wire_send(s->wire, h, sizeof(h)) < 0)
        errno = 0;              /* it sees the end anyway */
    lost(s);
    free_all(s);
}

static const BlockDriver nbd = {
    .name = "nbd", .id = BLOCKDEV_DRIVER_NBD, .size = sizeof(Nbd), .protocol = true, .open = nbd_open,
    .close = nbd_close, .read = nbd_read, .write = nbd_write, .flush = nbd_flush, .discard = nbd_discard,
    .write_zeroes = nbd_zeroes,
};
BLOCK_DRIVER(nbd);
