/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection as a stream of RFB's bytes. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ui/vnc/internal.h"

enum { WS_BINARY = 2, CHUNK = 4096 };

/* What goes to and comes from the socket itself. */
static GByteArray *wire_out(VncStream *s)
{
    return s->websocket ? s->wire_out : s->out;
}

size_t vnc_stream_pending(const VncStream *s)
{
    return s->out->len + s->wire_out->len;
}

static void lost(VncStream *s)
{
    if (s->watch) {
        loop_fd_free(g_steal_pointer(&s->watch));
        s->ops->closed(s->opaque);
    }
}

/* Writes what the kernel takes; false: the connection is gone. */
static bool write_some(VncStream *s)
{
    GByteArray *out = wire_out(s);
    size_t done = 0;

    while (done < out->len) {
        ssize_t n = send(s->fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            return false;
        }
        if (n < 0) {
            break;
        }
        done += n;
    }
    g_byte_array_remove_range(out, 0, done);
    return true;
}

void vnc_stream_flush(VncStream *s)
{
    if (!s->watch) {
        return;
    }
    if (s->websocket == WS_OPEN && s->out->len) {
        websocket_wrap(s->wire_out, WS_BINARY, s->out->data, s->out->len);
        g_byte_array_set_size(s->out, 0);
    }
    /* A broken connection is found by the next read, so that no caller loses its client here. */
    bool ok = write_some(s);
    loop_fd_set(s->watch, G_IO_IN | (ok && wire_out(s)->len ? G_IO_OUT : 0));
}

/* Takes frames, or the handshake before them, out of wire_in. */
static bool unwrap(VncStream *s)
{
    bool close = false;
    gssize taken = 1;

    while (taken > 0 && s->wire_in->len && !close) {
        if (s->websocket == WS_HANDSHAKE) {
            taken = websocket_accept(s->wire_in->data, s->wire_in->len, s->wire_out);
            s->websocket = taken > 0 ? WS_OPEN : s->websocket;
        } else {
            taken = websocket_frame(s->wire_in->data, s->wire_in->len, s->in, s->wire_out, &close);
        }
        if (taken > 0) {
            g_byte_array_remove_range(s->wire_in, 0, taken);
        }
    }
    return taken >= 0 && !close;
}

static bool read_some(VncStream *s)
{
    GByteArray *in = s->websocket ? s->wire_in : s->in;
    uint8_t buffer[CHUNK];
    ssize_t n = recv(s->fd, buffer, sizeof(buffer), 0);

    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    g_byte_array_append(in, buffer, n);
    return (!s->websocket || unwrap(s)) && in->len <= 2 * VNC_INPUT_MAX;
}

static void ready(int fd, GIOCondition events, void *data)
{
    VncStream *s = data;

    if (events & G_IO_OUT) {
        if (!write_some(s)) {
            lost(s);
            return;
        }
        if (wire_out(s)->len == 0) {
            if (s->closing) {
                lost(s);
                return;
            }
            loop_fd_set(s->watch, G_IO_IN);
            s->ops->drained(s->opaque);
        }
    } else if (events & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        if (s->closing || !read_some(s)) {
            lost(s);
            return;
        }
        if (s->wire_out->len) {
            vnc_stream_flush(s);
        }
        s->ops->received(s->opaque);
    }
}

VncStream *vnc_stream_new(Loop *loop, int fd, bool websocket, const VncStreamOps *ops, void *opaque)
{
    VncStream *s = g_new0(VncStream, 1);

    *s = (VncStream){.loop = loop, .fd = fd, .in = g_byte_array_new(), .out = g_byte_array_new(),
                     .wire_in = g_byte_array_new(), .wire_out = g_byte_array_new(),
                     .websocket = websocket ? WS_HANDSHAKE : WS_NONE, .ops = ops, .opaque = opaque};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s->watch = loop_add_fd(loop, fd, G_IO_IN, ready, s);
    return s;
}

void vnc_stream_end(VncStream *s)
{
    vnc_stream_flush(s);
    s->closing = true;
    if (s->watch) {
        loop_fd_set(s->watch, G_IO_OUT);
    }
}

void vnc_stream_free(VncStream *s)
{
    if (!s) {
        return;
    }
    loop_fd_free(s->watch);
    close(s->fd);
    g_byte_array_unref(s->in);
    g_byte_array_unref(s->out);
    g_byte_array_unref(s->wire_in);
    g_byte_array_unref(s->wire_out);
    g_free(s);
}
