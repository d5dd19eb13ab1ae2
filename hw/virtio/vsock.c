/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of a virtio socket device to unix sockets. Spec: virtio 1.2, 5.10.6.
 *
 * What a connection has to tell the guest is a set of flags, not a queue of packets, so that a guest
 * which does not take its packets cannot make us hold more than a bit each. Data stay in the host's
 * socket until the guest has room and credit; data from the guest are held up to the credit we gave.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hw/virtio/vsock.h"
#include "util/error.h"
#include "util/log.h"

enum {
    BUFFER = 256 * 1024,        /* credit that we give a connection */
    MAX_CONNECTIONS = 4096, MAX_STRAYS = 256, COMMAND = 32,
    FIRST_PORT = 1 << 30, LINGER_MS = 2000, RETRY_MS = 100,
};

typedef enum ConnectionState {
    COMMANDING,                 /* a client of the host has not said yet where to */
    ASKED,                      /* the guest is to answer our request */
    OPEN,
    CLOSING,                    /* both sides were told; the guest is to confirm */
} ConnectionState;

/* What the guest is to be told, the first first. */
enum { TELL_RST = 1, TELL_REQUEST = 2, TELL_RESPONSE = 4, TELL_CREDIT = 8, TELL_SHUTDOWN = 16,
       TELL_ASK_CREDIT = 32, TELL_DATA = 64 };

typedef struct Connection {
    Vsock *s;
    ConnectionState state;
    uint32_t host_port, guest_port;     /* their pair is its name */
    int fd;
    LoopFd *watch;
    GIOCondition watched;
    unsigned tell, linger;
    bool queued;                /* in s->ready */
    uint32_t shutdown;          /* flags that we tell, or told */
    uint32_t guest_shutdown;    /* what the guest told */
    bool asked_credit;
    /* Credit (5.10.6.3). */
    uint32_t peer_alloc, peer_forwarded, sent, forwarded, told_forwarded;
    GByteArray *out;            /* from the guest, for the socket */
    unsigned out_at;
    char command[COMMAND];
    unsigned command_at;
} Connection;

struct Vsock {
    Loop *loop;
    char *path;
    uint64_t guest_cid;
    void (*wake)(void *opaque);
    void *opaque;
    int listener;
    LoopFd *watch;
    unsigned retry;
    bool listening;
    GHashTable *by_name;        /* uint64_t in the connection -> Connection: those with a name */
    GHashTable *all;
    GQueue *ready;              /* Connection *: have something to tell */
    GQueue *strays;             /* VsockHeader *: RST for what has no connection */
    uint32_t next_port;
};

static void *name_of(uint32_t host_port, uint32_t guest_port)
{
    G_STATIC_ASSERT(sizeof(void *) == 8);
    return (void *)((uint64_t)host_port << 32 | guest_port);
}

/* ---- telling ---- */

static void tell(Connection *c, unsigned what)
{
    c->tell |= what;
    if (!c->queued) {
        c->queued = true;
        g_queue_push_tail(c->s->ready, c);
    }
    c->s->wake(c->s->opaque);
}

static void tell_shutdown(Connection *c, uint32_t flags)
{
    if ((c->shutdown & flags) == flags)
        return;
    c->shutdown |= flags;
    tell(c, TELL_SHUTDOWN);
}

static uint32_t credit(const Connection *c)
{
    uint32_t used = c->sent - c->peer_forwarded;
    return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

static unsigned held(const Connection *c) { return c->out->len - c->out_at; }

/* ---- the host's socket ---- */

static void socket_event(int fd, GIOCondition ready, void *data);

static void watch(Connection *c)
{
    GIOCondition wanted = 0;
    bool reads = c->state == OPEN && !(c->shutdown & VSOCK_NO_SEND) &&
                 !(c->guest_shutdown & VSOCK_NO_RECEIVE) && !(c->tell & TELL_DATA) && credit(c);
    if (c->state == COMMANDING || reads)
        wanted |= G_IO_IN;
    if (held(c))
        wanted |= G_IO_OUT;
    if (c->state == OPEN && c->shutdown & VSOCK_NO_SEND)
        wanted |= G_IO_HUP;     /* it said no more, and may go altogether */
    if (c->fd < 0 || wanted == c->watched)
        return;
    c->watched = wanted;
    if (!wanted)                /* not even for a hangup, which would come again and again */
        g_clear_pointer(&c->watch, loop_fd_free);
    else if (c->watch)
        loop_fd_set(c->watch, wanted);
    else
        c->watch = loop_add_fd(c->s->loop, c->fd, wanted, socket_event, c);
}

static void close_socket(Connection *c)
{
    g_clear_pointer(&c->watch, loop_fd_free);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->watched = 0;
}

static void forget(Connection *c)
{
    Vsock *s = c->s;
    close_socket(c);
    if (c->linger)
        loop_cancel(s->loop, c->linger);
    if (c->queued)
        g_queue_remove(s->ready, c);
    void *name = name_of(c->host_port, c->guest_port);
    if (g_hash_table_lookup(s->by_name, name) == c)
        g_hash_table_remove(s->by_name, name);
    g_hash_table_remove(s->all, c);
    g_byte_array_unref(c->out);
    g_free(c);
}

/* Ends it at once; the guest is told, after which nothing of it is left. */
static void break_off(Connection *c)
{
    close_socket(c);
    if (c->state == COMMANDING) {
        forget(c);
        return;
    }
    c->state = CLOSING;
    c->tell = 0;
    tell(c, TELL_RST);
}

static void lingered(void *data)
{
    Connection *c = data;
    c->linger = 0;
    break_off(c);
}

/* The socket is done in both directions: the guest confirms with RST, or has had its time. */
static void finish(Connection *c)
{
    close_socket(c);
    c->state = CLOSING;
    c->tell &= ~TELL_DATA;
    tell_shutdown(c, VSOCK_NO_RECEIVE | VSOCK_NO_SEND);
    if (!c->linger)
        c->linger = loop_after(c->s->loop, LINGER_MS, lingered, c);
}

/* What the guest sent last has been written. */
static void flushed(Connection *c)
{
    const uint32_t both = VSOCK_NO_RECEIVE | VSOCK_NO_SEND;
    g_byte_array_set_size(c->out, 0);
    c->out_at = 0;
    if (c->guest_shutdown == both)
        break_off(c);           /* this is how we confirm */
    else if (c->guest_shutdown & VSOCK_NO_SEND)
        shutdown(c->fd, SHUT_WR);
}

static void forwarded(Connection *c, size_t n)
{
    c->forwarded += (uint32_t)n;
    if (c->forwarded - c->told_forwarded >= BUFFER / 2)
        tell(c, TELL_CREDIT);
}

/* False: the socket is broken, and the connection with it. */
static bool flush(Connection *c)
{
    while (held(c)) {
        ssize_t n = send(c->fd, c->out->data + c->out_at, held(c), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            break_off(c);
            return false;
        }
        c->out_at += (unsigned)n;
        forwarded(c, (size_t)n);
    }
    flushed(c);
    return c->fd >= 0;
}

static bool send_to_guest_port(Connection *c, uint32_t guest_port)
{
    Vsock *s = c->s;
    for (unsigned tries = 0; tries <= MAX_CONNECTIONS; tries++) {
        uint32_t port = s->next_port++;
        if (s->next_port < FIRST_PORT || s->next_port == UINT32_MAX)
            s->next_port = FIRST_PORT;
        if (g_hash_table_contains(s->by_name, name_of(port, guest_port)))
            continue;
        c->host_port = port;
        c->guest_port = guest_port;
        c->state = ASKED;
        g_hash_table_insert(s->by_name, name_of(port, guest_port), c);
        tell(c, TELL_REQUEST);
        return true;
    }
    return false;
}

/* "CONNECT port\n", byte by byte: what follows it is the guest's. */
static void read_command(Connection *c)
{
    char byte;
    ssize_t n;
    while ((n = recv(c->fd, &byte, 1, MSG_DONTWAIT)) == 1) {
        if (byte != '\n' && c->command_at < COMMAND - 1) {
            c->command[c->command_at++] = byte;
            continue;
        }
        guint64 port;
        g_autofree char *text = g_strndup(c->command, c->command_at);
        g_strchomp(text);
        if (byte != '\n' || g_ascii_strncasecmp(text, "CONNECT ", 8) ||
            !g_ascii_string_to_unsigned(text + 8, 10, 0, UINT32_MAX, &port, NULL) ||
            !send_to_guest_port(c, (uint32_t)port))
            forget(c);
        else
            watch(c);
        return;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        forget(c);
}

static void socket_event(int fd, GIOCondition ready, void *data)
{
    Connection *c = data;
    if (c->state == COMMANDING) {
        read_command(c);
        return;
    }
    if (held(c) && ready & (G_IO_OUT | G_IO_ERR | G_IO_HUP) && !flush(c))
        return;
    if (c->state == OPEN && c->shutdown & VSOCK_NO_SEND && ready & G_IO_HUP)
        finish(c);
    else if (c->state == OPEN && c->watched & G_IO_IN && ready & (G_IO_IN | G_IO_HUP | G_IO_ERR))
        tell(c, TELL_DATA);
    watch(c);
}

static Connection *connection_new(Vsock *s, int fd, ConnectionState state)
{
    Connection *c = g_new0(Connection, 1);
    *c = (Connection){.s = s, .fd = fd, .state = state, .out = g_byte_array_new()};
    g_hash_table_add(s->all, c);
    return c;
}

static void accept_again(void *data)
{
    Vsock *s = data;
    s->retry = 0;
    if (s->watch)
        loop_fd_set(s->watch, G_IO_IN);
}

static void incoming(int listener, GIOCondition ready, void *data)
{
    Vsock *s = data;
    int fd = g_hash_table_size(s->all) < MAX_CONNECTIONS
                 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd >= 0) {
        watch(connection_new(s, fd, COMMANDING));
        return;
    }
    /* No descriptor or connection is free; perhaps soon. */
    loop_fd_set(s->watch, 0);
    if (!s->retry)
        s->retry = loop_after(s->loop, RETRY_MS, accept_again, s);
}

/* ---- packets from the guest ---- */

static bool set_address(struct sockaddr_un *a, const char *path)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    return g_strlcpy(a->sun_path, path, sizeof(a->sun_path)) < sizeof(a->sun_path);
}

static int connect_out(Vsock *s, uint32_t port)
{
    struct sockaddr_un a;
    g_autofree char *path = g_strdup_printf("%s_%u", s->path, port);
    int fd = set_address(&a, path) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        trace(vsock_refused, "%s: %s", path, g_strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static void stray(Vsock *s, const VsockHeader *h)
{
    if (h->op == VSOCK_RST || g_queue_get_length(s->strays) >= 2 * MAX_STRAYS)
        return;
    VsockHeader *r = g_new(VsockHeader, 1);
    *r = (VsockHeader){.src_cid = h->dst_cid, .dst_cid = h->src_cid, .src_port = h->dst_port,
                       .dst_port = h->src_port, .type = h->type, .op = VSOCK_RST};
    g_queue_push_tail(s->strays, r);
    s->wake(s->opaque);
}

static void guest_connects(Vsock *s, const VsockHeader *h)
{
    int fd = g_hash_table_size(s->all) < MAX_CONNECTIONS ? connect_out(s, h->dst_port) : -1;
    if (fd < 0) {
        stray(s, h);
        return;
    }
    Connection *c = connection_new(s, fd, OPEN);
    c->host_port = h->dst_port;
    c->guest_port = h->src_port;
    c->peer_alloc = h->buf_alloc;
    c->peer_forwarded = h->fwd_cnt;
    g_hash_table_insert(s->by_name, name_of(c->host_port, c->guest_port), c);
    tell(c, TELL_RESPONSE);
    watch(c);
}

/* A client of the host learns that the guest has answered. */
static void guest_answers(Connection *c)
{
    g_autofree char *text = g_strdup_printf("OK %u\n", c->host_port);
    if (c->state != ASKED || c->tell & TELL_REQUEST) {
        break_off(c);
        return;
    }
    c->state = OPEN;
    /* The guest has no credit for this text; its own bytes are counted from the next one on. */
    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)strlen(text))
        break_off(c);
}

static void guest_sends(Connection *c, const struct iovec *iov, unsigned n, size_t bytes)
{
    if (c->state == CLOSING)
        return;                 /* nobody is left to read it */
    if (c->state != OPEN || c->guest_shutdown & VSOCK_NO_SEND || bytes > BUFFER - held(c)) {
        trace(vsock_broken, "port %u: data that it may not send", c->guest_port);
        break_off(c);
        return;
    }
    ssize_t done = 0;
    if (!held(c)) {
        struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
        done = bytes ? sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (done < 0 && errno != EAGAIN && errno != EINTR) {
            break_off(c);
            return;
        }
        done = MAX(done, 0);
        forwarded(c, (size_t)done);
    }
    if ((size_t)done == bytes)
        return;
    if (c->out_at > BUFFER) {   /* move what is left to the front, now and then */
        g_byte_array_remove_range(c->out, 0, c->out_at);
        c->out_at = 0;
    }
    unsigned at = c->out->len;
    g_byte_array_set_size(c->out, at + (unsigned)(bytes - done));
    iov_read(iov, n, (size_t)done, c->out->data + at, bytes - done);
}

static void guest_shuts_down(Connection *c, uint32_t flags)
{
    const uint32_t both = VSOCK_NO_RECEIVE | VSOCK_NO_SEND;
    c->guest_shutdown |= flags & both;
    if (c->guest_shutdown & VSOCK_NO_RECEIVE)
        c->tell &= ~(TELL_DATA | TELL_ASK_CREDIT);
    if (c->state == ASKED || (c->state == CLOSING && c->guest_shutdown == both))
        break_off(c);
    else if (c->state == OPEN && !held(c))
        flushed(c);
}

static void for_connection(Connection *c, const VsockHeader *h, const struct iovec *iov, unsigned n)
{
    c->peer_alloc = h->buf_alloc;
    c->peer_forwarded = h->fwd_cnt;
    if (credit(c))
        c->asked_credit = false;
    switch (h->op) {
    case VSOCK_RESPONSE: guest_answers(c); break;
    case VSOCK_RW: guest_sends(c, iov, n, h->len); break;
    case VSOCK_SHUTDOWN: guest_shuts_down(c, h->flags); break;
    case VSOCK_CREDIT_UPDATE: break;
    case VSOCK_CREDIT_REQUEST: tell(c, TELL_CREDIT); break;
    default: break_off(c); break;       /* a second REQUEST among them */
    }
}

void vsock_from_guest(Vsock *s, const VsockHeader *h, const struct iovec *iov, unsigned n)
{
    trace(vsock_from_guest, "op %u %u -> %u len %u", h->op, h->src_port, h->dst_port, h->len);
    if (h->src_cid != s->guest_cid || h->dst_cid != VSOCK_HOST || h->type != VSOCK_STREAM) {
        stray(s, h);
        return;
    }
    Connection *c = g_hash_table_lookup(s->by_name, name_of(h->dst_port, h->src_port));
    if (c && h->op == VSOCK_RST)
        forget(c);
    else if (c && c->fd < 0 && c->tell & TELL_RST)
        return;                 /* it will hear of the end */
    else if (c) {
        for_connection(c, h, iov, n);
        c = g_hash_table_lookup(s->by_name, name_of(h->dst_port, h->src_port));
        if (c)
            watch(c);
    } else if (h->op == VSOCK_REQUEST)
        guest_connects(s, h);
    else
        stray(s, h);
}

bool vsock_full(const Vsock *s) { return g_queue_get_length(s->strays) >= MAX_STRAYS; }

/* ---- packets for the guest ---- */

static size_t put(const struct iovec *in, unsigned n, const VsockHeader *h)
{
    VsockHeader w = {
        GUINT64_TO_LE(h->src_cid), GUINT64_TO_LE(h->dst_cid), GUINT32_TO_LE(h->src_port),
        GUINT32_TO_LE(h->dst_port), GUINT32_TO_LE(h->len), GUINT16_TO_LE(h->type), GUINT16_TO_LE(h->op),
        GUINT32_TO_LE(h->flags), GUINT32_TO_LE(h->buf_alloc), GUINT32_TO_LE(h->fwd_cnt)};
    trace(vsock_to_guest, "op %u %u -> %u len %u", h->op, h->src_port, h->dst_port, h->len);
    return iov_write(in, n, 0, &w, sizeof(w)) + h->len;
}

/* Reads from the socket right into the guest's buffer; 0: nothing was there. */
static size_t take_data(Connection *c, const struct iovec *in, unsigned n)
{
    struct iovec part[64];
    size_t room = iov_bytes(in, n) - VSOCK_HEADER;
    unsigned parts = iov_slice(part, G_N_ELEMENTS(part), in, n, VSOCK_HEADER, MIN(room, credit(c)));
    ssize_t got = readv(c->fd, part, (int)parts);
    c->tell &= ~TELL_DATA;
    if (got > 0) {
        c->sent += (uint32_t)got;
        if (credit(c))
            c->tell |= TELL_DATA;       /* perhaps there is more */
        return (size_t)got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got == 0)               /* the host sends no more; perhaps it still reads */
        tell_shutdown(c, VSOCK_NO_SEND);
    else
        finish(c);
    return 0;
}

/* The other side of a socket that said no more has gone altogether. */
static bool host_is_gone(const Connection *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 && send(c->fd, "", 0, MSG_NOSIGNAL) < 0;
}

static size_t serve(Connection *c, const struct iovec *in, unsigned n)
{
    static const struct { unsigned what, op; } words[] = {
        {TELL_RST, VSOCK_RST}, {TELL_REQUEST, VSOCK_REQUEST}, {TELL_RESPONSE, VSOCK_RESPONSE},
        {TELL_CREDIT, VSOCK_CREDIT_UPDATE}, {TELL_DATA, VSOCK_RW}, {TELL_ASK_CREDIT, VSOCK_CREDIT_REQUEST},
        {TELL_SHUTDOWN, VSOCK_SHUTDOWN}};
    VsockHeader h = {.src_cid = VSOCK_HOST, .dst_cid = c->s->guest_cid, .src_port = c->host_port,
                     .dst_port = c->guest_port, .type = VSOCK_STREAM, .buf_alloc = BUFFER,
                     .fwd_cnt = c->forwarded};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!(c->tell & words[i].what))
            continue;
        h.op = (uint16_t)words[i].op;
        if (words[i].what == TELL_DATA) {
            h.len = (uint32_t)take_data(c, in, n);
            if (!h.len)
                continue;
        } else {
            c->tell &= ~words[i].what;
        }
        if (words[i].what == TELL_SHUTDOWN) {
            if (c->fd >= 0 && host_is_gone(c))
                finish(c), c->tell &= ~TELL_SHUTDOWN;
            h.flags = c->shutdown;
        }
        c->told_forwarded = c->forwarded;
        return put(in, n, &h);
    }
    return 0;
}

/* Data wait and the guest has no room: it is asked once to say when it has. */
static void after_serving(Connection *c, bool told_rst)
{
    if (told_rst) {
        forget(c);
        return;
    }
    if (c->state == OPEN && c->fd >= 0 && !credit(c) && !c->asked_credit && !(c->guest_shutdown & VSOCK_NO_RECEIVE)) {
        c->asked_credit = true;
        tell(c, TELL_ASK_CREDIT);
    }
    if (c->tell && !c->queued) {
        c->queued = true;
        g_queue_push_tail(c->s->ready, c);
    }
    watch(c);
}

size_t vsock_to_guest(Vsock *s, const struct iovec *in, unsigned n)
{
    g_autofree VsockHeader *r = g_queue_pop_head(s->strays);
    if (r)
        return put(in, n, r);
    size_t bytes = 0;
    Connection *c;
    while (!bytes && (c = g_queue_pop_head(s->ready))) {
        c->queued = false;
        bool rst = c->tell & TELL_RST;
        bytes = serve(c, in, n);
        after_serving(c, rst);
    }
    return bytes;
}

bool vsock_waiting(const Vsock *s) { return !g_queue_is_empty(s->strays) || !g_queue_is_empty(s->ready); }
unsigned vsock_connections(const Vsock *s) { return g_hash_table_size(s->all); }

/* ---- the whole ---- */

static int open_listener(const char *path, GError **error)
{
    struct sockaddr_un a;
    if (!set_address(&a, path)) {
        error_set(error, "path=%s is too long for a unix socket", path);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, SOMAXCONN) < 0) {
        error_set_errno(error, errno, "could not listen on %s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

Vsock *vsock_new(Loop *loop, const char *path, uint64_t guest_cid, void (*wake)(void *opaque), void *opaque,
                 GError **error)
{
    int listener = open_listener(path, error);
    if (listener < 0)
        return NULL;
    Vsock *s = g_new0(Vsock, 1);
    *s = (Vsock){.loop = loop, .path = g_strdup(path), .guest_cid = guest_cid, .wake = wake,
                 .opaque = opaque, .listener = listener, .next_port = FIRST_PORT,
                 .by_name = g_hash_table_new(NULL, NULL), .all = g_hash_table_new(NULL, NULL),
                 .ready = g_queue_new(), .strays = g_queue_new()};
    return s;
}

void vsock_listen(Vsock *s, bool on)
{
    if (on && !s->watch)
        s->watch = loop_add_fd(s->loop, s->listener, G_IO_IN, incoming, s);
    else if (!on)
        g_clear_pointer(&s->watch, loop_fd_free);
}

void vsock_reset(Vsock *s)
{
    g_autoptr(GList) all = g_hash_table_get_keys(s->all);
    for (GList *l = all; l; l = l->next)
        forget(l->data);
    g_queue_clear_full(s->strays, g_free);
}

void vsock_free(Vsock *s)
{
    if (!s)
        return;
    vsock_reset(s);
    vsock_listen(s, false);
    if (s->retry)
        loop_cancel(s->loop, s->retry);
    close(s->listener);
    unlink(s->path);
    g_hash_table_unref(s->by_name);
    g_hash_table_unref(s->all);
    g_queue_free(s->ready);
    g_queue_free(s->strays);
    g_free(s->path);
    g_free(s);
}
