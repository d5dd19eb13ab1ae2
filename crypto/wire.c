/* SPDX-License-Identifier: Apache-2.0 */
/* A socket with TLS and WebSocket between. */
#include "crypto/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "util/error.h"

enum { CHUNK = 16384, FRAME_MOST = 65536 };

struct Wire {
    int fd;
    TlsSession *tls;
    bool tls_shaking;
    enum { WS_NONE, WS_SHAKING, WS_OPEN } websocket;
    /* WebSocket: what has come and is not unwrapped, what is for the user; frames on their way out. */
    GByteArray *raw, *in, *out;
    GMutex out_lock;            /* `out` holds answers of the reader's as well */
};

Wire *wire_new(int fd)
{
    Wire *w = g_new0(Wire, 1);

    w->fd = fd;
    g_mutex_init(&w->out_lock);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return w;
}

void wire_free(Wire *w)
{
    if (!w) {
        return;
    }
    tls_session_free(w->tls);
    close(w->fd);
    if (w->raw) {
        g_byte_array_unref(w->raw);
        g_byte_array_unref(w->in);
        g_byte_array_unref(w->out);
    }
    g_mutex_clear(&w->out_lock);
    g_free(w);
}

int wire_fd(const Wire *w)
{
    return w->fd;
}

bool wire_start_tls(Wire *w, Object *creds, const char *hostname, const char *authz, GError **error)
{
    w->tls = tls_session_new(creds, w->fd, hostname, authz, error);
    w->tls_shaking = w->tls != NULL;
    return w->tls != NULL;
}

void wire_start_websocket(Wire *w)
{
    w->websocket = WS_SHAKING;
    w->raw = g_byte_array_new();
    w->in = g_byte_array_new();
    w->out = g_byte_array_new();
}

bool wire_is_plain(const Wire *w)
{
    return !w->tls && !w->websocket;
}

/* ---- below WebSocket ---- */

static ssize_t low_recv(Wire *w, void *buf, size_t n)
{
    return w->tls ? tls_recv(w->tls, buf, n) : recv(w->fd, buf, n, 0);
}

static ssize_t low_send(Wire *w, const void *buf, size_t n)
{
    return w->tls ? tls_send(w->tls, buf, n) : send(w->fd, buf, n, MSG_NOSIGNAL);
}

/* Sends frames; under out_lock. */
static bool send_frames(Wire *w)
{
    size_t done = 0;

    while (done < w->out->len) {
        ssize_t k = low_send(w, w->out->data + done, w->out->len - done);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            break;
        }
        done += k;
    }
    bool all = done == w->out->len;
    int why = errno;
    g_byte_array_remove_range(w->out, 0, done);
    errno = why;
    return all;
}

bool wire_flush(Wire *w)
{
    if (w->websocket) {
        g_mutex_lock(&w->out_lock);
        bool all = send_frames(w);
        g_mutex_unlock(&w->out_lock);
        if (!all) {
            return false;
        }
    }
    return !w->tls || w->tls_shaking || tls_flush(w->tls);
}

static bool may_go_on(ssize_t k, WireWait *wait, void *opaque, bool writing)
{
    return k < 0 && (errno == EINTR || (errno == EAGAIN && wait(opaque, writing)));
}

bool wire_recv_all(Wire *w, void *to, size_t n, WireWait *wait, void *opaque)
{
    for (char *p = to; n;) {
        ssize_t k = wire_recv(w, p, n);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (!may_go_on(k, wait, opaque, false)) {
            return false;
        }
    }
    return true;
}

bool wire_send_all(Wire *w, const void *from, size_t n, WireWait *wait, void *opaque)
{
    for (const char *p = from; n;) {
        ssize_t k = wire_send(w, p, n);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (!may_go_on(k, wait, opaque, true)) {
            return false;
        }
    }
    while (!wire_flush(w)) {
        if (!may_go_on(-1, wait, opaque, true)) {
            return false;
        }
    }
    return true;
}

/* ---- WebSocket ---- */

/* Takes the handshake or frames out of raw; false: broken, or the other side ends. */
static bool unwrap(Wire *w)
{
    bool close = false;
    gssize taken = 1;

    g_mutex_lock(&w->out_lock);
    while (taken > 0 && w->raw->len && !close) {
        if (w->websocket == WS_SHAKING) {
            taken = websocket_accept(w->raw->data, w->raw->len, w->out);
            w->websocket = taken > 0 ? WS_OPEN : WS_SHAKING;
        } else {
            taken = websocket_frame(w->raw->data, w->raw->len, w->in, w->out, &close);
        }
        if (taken > 0) {
            g_byte_array_remove_range(w->raw, 0, taken);
        }
    }
    send_frames(w);
    g_mutex_unlock(&w->out_lock);
    return taken >= 0 && !close;
}

/* 1: something came; 0: the end; -1: errno. */
static int fill(Wire *w)
{
    uint8_t buffer[CHUNK];
    ssize_t k = low_recv(w, buffer, sizeof(buffer));

    if (k <= 0) {
        return k;
    }
    g_byte_array_append(w->raw, buffer, k);
    return unwrap(w);
}

static ssize_t take(Wire *w, void *buf, size_t n)
{
    while (!w->in->len) {
        int got = fill(w);
        if (got <= 0) {
            return got;
        }
    }
    n = MIN(n, w->in->len);
    memcpy(buf, w->in->data, n);
    g_byte_array_remove_range(w->in, 0, n);
    return n;
}

bool wire_has_input(const Wire *w)
{
    return w->websocket && w->in->len;
}

/* One frame for all of it, if the last ones are away. */
static ssize_t send_frame(Wire *w, const void *buf, size_t n)
{
    n = MIN(n, FRAME_MOST);
    g_mutex_lock(&w->out_lock);
    ssize_t done = -1;
    if (send_frames(w)) {
        websocket_wrap(w->out, WEBSOCKET_BINARY, buf, n);
        done = send_frames(w) || errno == EAGAIN ? (ssize_t)n : -1;
    }
    g_mutex_unlock(&w->out_lock);
    return done;
}

/* ---- handshakes ---- */

static int shake_websocket(Wire *w, GError **error)
{
    while (w->websocket == WS_SHAKING) {
        int got = fill(w);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 0;
        }
        if (got <= 0) {
            error_set(error, "no WebSocket client");
            return -1;
        }
    }
    return 1;
}

int wire_shake(Wire *w, GError **error)
{
    if (w->tls_shaking) {
        int done = tls_handshake(w->tls, error);
        if (done <= 0) {
            return done;
        }
        w->tls_shaking = false;
    }
    return w->websocket == WS_SHAKING ? shake_websocket(w, error) : 1;
}

short wire_events(const Wire *w)
{
    return w->tls_shaking ? tls_events(w->tls) : POLLIN;
}

bool wire_shake_wait(Wire *w, int timeout_ms, GError **error)
{
    int64_t end = g_get_monotonic_time() + timeout_ms * (int64_t)1000;
    int done;

    while (!(done = wire_shake(w, error))) {
        struct pollfd p = {w->fd, wire_events(w), 0};
        int64_t left = (end - g_get_monotonic_time()) / 1000;
        if (left <= 0 || poll(&p, 1, left) < 0) {
            return error_set(error, "the handshake takes too long");
        }
    }
    return done > 0;
}

/* ---- streams ---- */

ssize_t wire_recv(Wire *w, void *buf, size_t n)
{
    return w->websocket ? take(w, buf, n) : low_recv(w, buf, n);
}

ssize_t wire_send(Wire *w, const void *buf, size_t n)
{
    return w->websocket ? send_frame(w, buf, n) : low_send(w, buf, n);
}

static const struct iovec *first_of(const struct iovec *iov, unsigned n)
{
    while (n > 1 && !iov->iov_len) {
        iov++;
        n--;
    }
    return iov;
}

ssize_t wire_recvv(Wire *w, const struct iovec *iov, unsigned n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};

    return wire_is_plain(w) ? recvmsg(w->fd, &m, 0)
                            : wire_recv(w, first_of(iov, n)->iov_base, first_of(iov, n)->iov_len);
}

ssize_t wire_sendv(Wire *w, const struct iovec *iov, unsigned n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};

    return wire_is_plain(w) ? sendmsg(w->fd, &m, MSG_NOSIGNAL)
                            : wire_send(w, first_of(iov, n)->iov_base, first_of(iov, n)->iov_len);
}
