/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection as a stream of RFB's bytes. */
#include <errno.h>
#include <poll.h>

#include "ui/vnc/internal.h"
#include "util/log.h"

enum { CHUNK = 4096, ROUNDS = 64 };

size_t vnc_stream_pending(const VncStream *s)
{
    return s->out->len + s->blocked;
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
    GByteArray *out = s->out;
    size_t done = 0;
    bool ok = true;

    while (ok && done < out->len) {
        ssize_t n = wire_send(s->wire, out->data + done, out->len - done);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        ok = n >= 0 || errno == EINTR;
        done += MAX(n, 0);
    }
    g_byte_array_remove_range(out, 0, done);
    s->blocked = ok && !wire_flush(s->wire);
    return ok && (!s->blocked || errno == EAGAIN);
}

void vnc_stream_flush(VncStream *s)
{
    if (!s->watch || s->shaking) {
        return;
    }
    /* A broken connection is found by the next read, so that no caller loses its client here. */
    bool ok = write_some(s);
    loop_fd_set(s->watch, G_IO_IN | (ok && vnc_stream_pending(s) ? G_IO_OUT : 0));
}

/* ---- handshakes of what is between ---- */

static void shake(VncStream *s)
{
    g_autoptr(GError) error = NULL;
    int done = wire_shake(s->wire, &error);

    if (done < 0) {
        trace(vnc_shake, "%s", error->message);
        lost(s);
    } else if (done == 0) {
        loop_fd_set(s->watch, wire_events(s->wire) & POLLOUT ? G_IO_OUT : G_IO_IN);
    } else {
        s->shaking = false;
        loop_fd_set(s->watch, G_IO_IN);
        s->ops->secured(s->opaque);
    }
}

void vnc_stream_shake(VncStream *s)
{
    s->shaking = true;
    shake(s);
}

/* ---- events ---- */

/* False: gone. *more: perhaps there is more, which the kernel does not know of. */
static bool read_some(VncStream *s, bool *more)
{
    uint8_t buffer[CHUNK];
    ssize_t n = wire_recv(s->wire, buffer, sizeof(buffer));

    *more = n > 0 || (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    g_byte_array_append(s->in, buffer, n);
    return s->in->len <= 2 * VNC_INPUT_MAX;
}

static void writable(VncStream *s)
{
    if (!write_some(s)) {
        lost(s);
    } else if (vnc_stream_pending(s) == 0) {
        if (s->closing) {
            lost(s);
            return;
        }
        loop_fd_set(s->watch, G_IO_IN);
        s->ops->drained(s->opaque);
    }
}

static void readable(VncStream *s)
{
    bool more = true;

    for (unsigned i = 0; more && s->watch && !s->shaking && (i < ROUNDS || !wire_is_plain(s->wire)); i++) {
        if (s->closing || !read_some(s, &more)) {
            lost(s);
            return;
        }
        if (more) {
            s->ops->received(s->opaque);
        }
    }
}

static void ready(int fd, GIOCondition events, void *data)
{
    VncStream *s = data;

    if (s->shaking) {
        shake(s);
    } else if (events & G_IO_OUT) {
        writable(s);
    } else if (events & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        readable(s);
    }
}

/* ---- life ---- */

VncStream *vnc_stream_new(Loop *loop, Wire *wire, const VncStreamOps *ops, void *opaque)
{
    VncStream *s = g_new0(VncStream, 1);

    *s = (VncStream){.loop = loop, .wire = wire, .in = g_byte_array_new(), .out = g_byte_array_new(),
                     .ops = ops, .opaque = opaque};
    s->watch = loop_add_fd(loop, wire_fd(wire), G_IO_IN, ready, s);
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
    wire_free(s->wire);
    g_byte_array_unref(s->in);
    g_byte_array_unref(s->out);
    g_free(s);
}
