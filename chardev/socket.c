/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev socket: a stream to one peer at a time, as server or client, unix, TCP or vsock. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/address.h"
#include "chardev/internal.h"
#include "crypto/wire.h"
#include "util/log.h"

enum { MAX_FDS = 16, CHUNK = 4096 };
/* Telnet (RFC 854-858). */
enum {
    IAC = 255, SB = 250, SE = 240, BREAK = 243, WILL = 251, DO = 253, BINARY = 0, ECHO_ = 1, SUPPRESS_GO_AHEAD = 3,
};
typedef enum TelnetState { DATA, COMMAND, OPTION, PARAMETERS, PARAMETERS_IAC } TelnetState;

typedef struct SocketChardev {
    Chardev chr;
    SocketAddress *address;
    int listener, peer;
    LoopFd *watch_listener, *watch_peer, *watch_out;
    bool server, nodelay, telnet;
    TelnetState telnet_state;
    bool iac_owed;              /* the second byte of a 255 that was sent */
    unsigned reconnect_ms, reconnect_timer;
    int fds[MAX_FDS];           /* received by SCM_RIGHTS, not taken yet */
    unsigned n_fds;
    /* between: NULL for plain sockets, which pass descriptors */
    Wire *wire;
    bool shaking, websocket;
    Object *creds;              /* a reference */
    char *hostname, *authz;
} SocketChardev;

static void retry_later(SocketChardev *s);

/* ---- one connection ---- */

static void drop_fds(SocketChardev *s)
{
    while (s->n_fds)
        close(s->fds[--s->n_fds]);
}

static void disconnect(SocketChardev *s)
{
    loop_fd_free(s->watch_peer);
    loop_fd_free(s->watch_out);
    s->watch_peer = s->watch_out = NULL;
    g_mutex_lock(&s->chr.lock);
    if (s->wire)
        wire_free(s->wire);     /* closes it */
    else if (s->peer >= 0)
        close(s->peer);
    s->wire = NULL;
    s->shaking = false;
    s->peer = -1;
    g_mutex_unlock(&s->chr.lock);
    drop_fds(s);
}

static void hangup(SocketChardev *s)
{
    disconnect(s);
    char_set_open(&s->chr, false);
    if (s->watch_listener)
        loop_fd_set(s->watch_listener, G_IO_IN);
    else
        retry_later(s);
}

static void keep_fds(SocketChardev *s, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (unsigned i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (s->n_fds < MAX_FDS)
                s->fds[s->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

/* What remains of n bytes without Telnet's commands. */
static unsigned strip_telnet(SocketChardev *s, uint8_t *buf, unsigned n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t byte = buf[i];
        switch (s->telnet_state) {
        case DATA:
            if (byte == IAC)
                s->telnet_state = COMMAND;
            else
                buf[kept++] = byte;
            break;
        case COMMAND:
            s->telnet_state = byte == SB ? PARAMETERS : byte > SB && byte < IAC ? OPTION : DATA;
            if (byte == IAC)
                buf[kept++] = byte;
            else if (byte == BREAK)
                char_event(&s->chr, CHAR_EVENT_BREAK);
            break;
        case OPTION: s->telnet_state = DATA; break;
        case PARAMETERS: s->telnet_state = byte == IAC ? PARAMETERS_IAC : PARAMETERS; break;
        case PARAMETERS_IAC: s->telnet_state = byte == SE ? DATA : PARAMETERS; break;
        }
    }
    return kept;
}

/* Handshakes of what is between; the peer counts as there when they are done. */
static void shake(SocketChardev *s)
{
    g_autoptr(GError) error = NULL;
    int done = wire_shake(s->wire, &error);
    if (done < 0) {
        trace(shake, "%s: %s", s->chr.object.name, error->message);
        hangup(s);
        return;
    }
    s->shaking = done == 0;
    loop_fd_set(s->watch_peer, s->shaking && wire_events(s->wire) & POLLOUT ? G_IO_OUT : G_IO_IN | G_IO_HUP);
    if (done)
        char_set_open(&s->chr, true);
}

/* TLS and WebSocket may hold what the kernel no longer knows of: reads until there is nothing. */
static void read_wire(SocketChardev *s)
{
    uint8_t buf[CHUNK];
    while (s->peer >= 0) {
        unsigned room = char_room(&s->chr);
        if (!room) {
            loop_fd_set(s->watch_peer, 0);
            return;
        }
        ssize_t n = wire_recv(s->wire, buf, MIN(room, sizeof(buf)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            hangup(s);
            return;
        }
        char_input(&s->chr, buf, n);
    }
}

static void readable(int fd, GIOCondition ready, void *data)
{
    SocketChardev *s = data;
    if (s->shaking)
        return shake(s);
    if (s->wire)
        return read_wire(s);
    unsigned room = char_room(&s->chr);
    if (!room) {
        loop_fd_set(s->watch_peer, 0);
        return;
    }
    uint8_t buf[CHUNK];
    char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
    struct iovec iov = {buf, MIN(room, sizeof(buf))};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n > 0) {
        keep_fds(s, &msg);
        if (s->telnet)
            n = strip_telnet(s, buf, n);
        if (n)
            char_input(&s->chr, buf, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        hangup(s);
    }
}

static void drained(int fd, GIOCondition ready, void *data)
{
    SocketChardev *s = data;
    g_mutex_lock(&s->chr.lock);
    bool held = s->wire && !s->shaking && !wire_flush(s->wire) && errno == EAGAIN;
    g_mutex_unlock(&s->chr.lock);
    if (held)
        return;
    loop_fd_free(s->watch_out);
    s->watch_out = NULL;
    char_writable(&s->chr);
}

static void watch_output(void *data)
{
    SocketChardev *s = data;
    if (s->peer >= 0 && !s->watch_out)
        s->watch_out = loop_add_fd(s->chr.loop, s->peer, G_IO_OUT, drained, s);
    object_unref(&s->chr.object);
}

/* A terminal that sends what is typed at once and leaves the echo to us. */
static void offer_telnet(SocketChardev *s, int fd)
{
    static const uint8_t offer[] = {IAC, WILL, ECHO_, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, WILL, BINARY,
                                    IAC, DO, BINARY};
    s->telnet_state = DATA;
    s->iac_owed = false;
    if (send(fd, offer, sizeof(offer), MSG_NOSIGNAL) < 0)
        return;                 /* the reader notices the hangup */
}

static bool start_wire(SocketChardev *s, int fd, GError **error)
{
    if (!s->creds && !s->websocket)
        return true;
    s->wire = wire_new(fd);
    if (s->websocket)
        wire_start_websocket(s->wire);
    s->shaking = true;
    return !s->creds || wire_start_tls(s->wire, s->creds, s->hostname, s->authz, error);
}

static void attach_peer(SocketChardev *s, int fd)
{
    g_autoptr(GError) error = NULL;
    int one = 1;
    if (s->telnet)
        offer_telnet(s, fd);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (s->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->peer = fd;
    s->watch_peer = loop_add_fd(s->chr.loop, fd, G_IO_IN | G_IO_HUP, readable, s);
    if (s->watch_listener)
        loop_fd_set(s->watch_listener, 0);      /* one peer at a time */
    if (!start_wire(s, fd, &error)) {
        trace(shake, "%s: %s", s->chr.object.name, error->message);
        hangup(s);
    } else if (s->wire) {
        shake(s);
    } else {
        char_set_open(&s->chr, true);
    }
}

/* ---- how connections come about ---- */

static void incoming(int fd, GIOCondition ready, void *data)
{
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer >= 0)
        attach_peer(data, peer);
}

static void retry(void *data)
{
    SocketChardev *s = data;
    s->reconnect_timer = 0;
    int fd = address_connect(s->address, NULL);
    if (fd >= 0)
        attach_peer(s, fd);
    else
        retry_later(s);
}

static void retry_later(SocketChardev *s)
{
    if (s->reconnect_ms && !s->reconnect_timer)
        s->reconnect_timer = loop_after(s->chr.loop, s->reconnect_ms, retry, s);
}

static bool serve(SocketChardev *s, bool wait, GError **error)
{
    s->listener = address_listen(s->address, error);
    if (s->listener < 0)
        return false;
    if (wait) {
        g_autofree char *where = address_text(s->address);
        g_printerr("waiting for connection on: %s\n", where);
        int peer = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0)
            return error_set_errno(error, errno, "no connection");
        s->watch_listener = loop_add_fd(s->chr.loop, s->listener, 0, incoming, s);
        attach_peer(s, peer);
        return true;
    }
    s->watch_listener = loop_add_fd(s->chr.loop, s->listener, G_IO_IN, incoming, s);
    return true;
}

static bool connect_out(SocketChardev *s, GError **error)
{
    g_autoptr(GError) failed = NULL;
    int fd = address_connect(s->address, &failed);
    if (fd >= 0) {
        attach_peer(s, fd);
        return true;
    }
    if (s->reconnect_ms) {
        retry_later(s);
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&failed));
    return false;
}

/* What is between the socket and its user. */
static bool set_between(SocketChardev *s, const ChardevSocket *o, GError **error)
{
    bool unix_socket = o->addr->type == SOCKET_ADDRESS_TYPE_UNIX;
    s->websocket = o->has_websocket && o->websocket;
    if (s->websocket && (!s->server || s->telnet))
        return error_set(error, s->telnet ? "websocket and telnet exclude each other"
                                          : "websocket is for servers (server=on)");
    if (o->tls_authz && !o->tls_creds)
        return error_set(error, "'tls_authz' option requires 'tls_creds' option");
    if (!o->tls_creds)
        return true;
    if (s->telnet)
        return error_set(error, "tls-creds and telnet exclude each other");
    Object *creds = tls_creds_find(s->chr.object.vm, o->tls_creds, s->server, error);
    if (!creds)
        return false;
    object_ref(creds);
    s->creds = creds;
    s->authz = g_strdup(o->tls_authz);
    if (!s->server && !unix_socket && o->addr->type == SOCKET_ADDRESS_TYPE_INET)
        s->hostname = g_strdup(o->addr->u.inet->data->host);
    return true;
}

static bool socket_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    SocketChardev *s = (SocketChardev *)c;
    const ChardevSocket *o = options->u.socket->data;
    s->listener = s->peer = -1;
    if (o->has_tn3270 && o->tn3270)
        return error_set(error, "tn3270 is not implemented yet");
    s->telnet = o->has_telnet && o->telnet;
    s->server = !o->has_server || o->server;
    if (!set_between(s, o, error))
        return false;
    s->nodelay = o->nodelay;
    s->reconnect_ms = o->has_reconnect_ms ? o->reconnect_ms : o->reconnect * 1000;
    if (s->server && s->reconnect_ms)
        return error_set(error, "reconnect is for clients (server=off)");
    s->address = address_from_legacy(o->addr);
    g_autofree char *where = address_text(s->address);
    c->filename = g_strdup_printf("disconnected:%s%s", where, s->server ? ",server=on" : "");
    return s->server ? serve(s, !o->has_wait || o->wait, error) : connect_out(s, error);
}

/* As send(), up to and with the next byte that Telnet wants doubled. */
static ssize_t send_telnet(SocketChardev *s, const uint8_t *buf, size_t n)
{
    static const uint8_t iac = IAC;
    while (s->iac_owed) {
        ssize_t k = send(s->peer, &iac, 1, MSG_NOSIGNAL);
        if (k < 0)
            return k;
        s->iac_owed = false;
    }
    const uint8_t *end = n ? memchr(buf, IAC, n) : NULL;
    size_t part = end ? (size_t)(end - buf) + 1 : n;
    ssize_t k = part ? send(s->peer, buf, part, MSG_NOSIGNAL) : 0;
    s->iac_owed = end && k == (ssize_t)part;
    return k;
}

static unsigned socket_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    SocketChardev *s = (SocketChardev *)c;
    unsigned done = 0;
    while (s->peer >= 0 && (done < n || s->iac_owed)) {
        if (s->shaking)
            break;              /* nobody is there yet */
        ssize_t k = s->wire ? wire_send(s->wire, buf + done, n - done)
                    : s->telnet ? send_telnet(s, buf + done, n - done)
                                : send(s->peer, buf + done, n - done, MSG_NOSIGNAL);
        if (k > 0 || (k == 0 && done == n)) {
            done += k;
        } else if (k < 0 && errno == EINTR) {
            continue;
        } else if (k < 0 && errno == EAGAIN) {
            object_ref(&c->object);
            loop_post(c->loop, watch_output, s);
            return done;
        } else {
            break;              /* the reader notices the hangup */
        }
    }
    if (s->wire && !s->shaking && !wire_flush(s->wire) && errno == EAGAIN) {
        object_ref(&c->object);
        loop_post(c->loop, watch_output, s);
    }
    return n;
}

static void socket_resume(Chardev *c)
{
    SocketChardev *s = (SocketChardev *)c;
    if (s->watch_peer && !s->shaking) {
        loop_fd_set(s->watch_peer, G_IO_IN | G_IO_HUP);
        if (s->wire)
            read_wire(s);
    }
}

static unsigned socket_take_fds(Chardev *c, int *fds, unsigned max)
{
    SocketChardev *s = (SocketChardev *)c;
    unsigned n = MIN(max, s->n_fds);
    memcpy(fds, s->fds, n * sizeof(int));
    s->n_fds -= n;
    memmove(s->fds, s->fds + n, s->n_fds * sizeof(int));
    return n;
}

static int socket_descriptor(Chardev *c) { return ((SocketChardev *)c)->peer; }

static void socket_watch(Chardev *c, bool on)
{
    SocketChardev *s = (SocketChardev *)c;
    loop_fd_free(s->watch_peer);
    loop_fd_free(s->watch_out);
    loop_fd_free(s->watch_listener);
    s->watch_peer = s->watch_out = s->watch_listener = NULL;
    if (s->reconnect_timer)
        loop_cancel(c->loop, s->reconnect_timer);
    s->reconnect_timer = 0;
    if (!on)
        return;
    if (s->listener >= 0)
        s->watch_listener = loop_add_fd(c->loop, s->listener, s->peer >= 0 ? 0 : G_IO_IN, incoming, s);
    if (s->peer >= 0) {
        s->watch_peer = loop_add_fd(c->loop, s->peer, G_IO_IN | G_IO_HUP, readable, s);
        s->watch_out = loop_add_fd(c->loop, s->peer, G_IO_OUT, drained, s);
    } else if (s->listener < 0) {
        retry_later(s);
    }
}

static void socket_close(Chardev *c)
{
    SocketChardev *s = (SocketChardev *)c;
    if (!s->address)
        return;
    disconnect(s);
    loop_fd_free(s->watch_listener);
    if (s->reconnect_timer)
        loop_cancel(c->loop, s->reconnect_timer);
    if (s->listener >= 0) {
        close(s->listener);
        if (s->address->type == SOCKET_ADDRESS_TYPE_UNIX && !s->address->u.unix_->abstract)
            unlink(s->address->u.unix_->path);
    }
    socket_address_free(s->address);
    g_free(s->hostname);
    g_free(s->authz);
    if (s->creds)
        object_unref(s->creds);
}

static const ChardevType socket_chardev_type = {
    .name = "chardev-socket", .parent = "chardev", .size = sizeof(SocketChardev),
    .kind = CHARDEV_BACKEND_KIND_SOCKET, .open = socket_open, .write = socket_write,
    .resume_input = socket_resume, .close = socket_close, .take_fds = socket_take_fds,
    .socket = socket_descriptor, .watch = socket_watch,
};
OBJECT_TYPE(socket_chardev_type);

/* ---- udp ---- */

static bool udp_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    SocketChardev *s = (SocketChardev *)c;
    const ChardevUdp *o = options->u.udp->data;
    s->listener = s->peer = -1;
    g_autoptr(SocketAddress) remote = address_from_legacy(o->remote);
    g_autoptr(SocketAddress) local = o->local ? address_from_legacy(o->local) : NULL;
    int fd = address_datagram(remote, local, error);
    if (fd < 0)
        return false;
    s->address = g_steal_pointer(&remote);
    c->filename = g_strdup("udp");
    attach_peer(s, fd);
    return true;
}

static const ChardevType udp_chardev_type = {
    .name = "chardev-udp", .parent = "chardev", .size = sizeof(SocketChardev),
    .kind = CHARDEV_BACKEND_KIND_UDP, .open = udp_open, .write = socket_write,
    .resume_input = socket_resume, .close = socket_close,
};
OBJECT_TYPE(udp_chardev_type);
