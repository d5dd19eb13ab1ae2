/* SPDX-License-Identifier: Apache-2.0 */
/* Packets through a descriptor that keeps their bounds: datagram sockets, tap interfaces. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/internal.h"

enum { BURST = 64 };

static void readable(int fd, GIOCondition ready, void *data)
{
    NetFd *f = data;
    for (unsigned i = 0; i < BURST; i++) {
        ssize_t n = read(fd, f->buf, NET_MAX_PACKET);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            /* A peer that is not there yet shows as ECONNREFUSED; anything else goes on being
             * reported, so that we stop looking. */
            if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED) {
                log_write("netdev '%s': %s\n", f->c->name, g_strerror(errno));
                loop_fd_set(f->in, 0);
            }
            return;
        }
        struct iovec iov = {f->buf, n};
        if (!net_send(f->c, &iov, 1)) {
            loop_fd_set(f->in, 0);
            return;
        }
    }
}

void net_fd_lend(NetFd *f, bool on)
{
    f->lent = on;
    loop_fd_set(f->in, on ? 0 : G_IO_IN);
}

void net_fd_resume(NetFd *f)
{
    if (f->in && !f->lent)
        loop_fd_set(f->in, G_IO_IN);
}

static void writable(int fd, GIOCondition ready, void *data)
{
    NetFd *f = data;
    loop_fd_free(f->out);
    f->out = NULL;
    net_flush(f->c);
}

static ssize_t put(NetFd *f, const struct iovec *iov, unsigned n)
{
    struct msghdr msg = {.msg_name = f->to_len ? f->to : NULL, .msg_namelen = f->to_len,
                         .msg_iov = (struct iovec *)iov, .msg_iovlen = n};
    return f->plain ? writev(f->fd, iov, (int)n) : sendmsg(f->fd, &msg, MSG_NOSIGNAL);
}

/* Like a real wire, an error loses the packet; a full buffer waits. */
bool net_fd_send(NetFd *f, const struct iovec *iov, unsigned n)
{
    ssize_t done;
    while ((done = put(f, iov, n)) < 0 && errno == EINTR)
        ;
    if (done >= 0 || errno != EAGAIN)
        return true;
    if (!f->out)
        f->out = loop_add_fd(net_loop(f->c), f->fd, G_IO_OUT, writable, f);
    return false;
}

void net_fd_start(NetFd *f, NetClient *c, int fd)
{
    f->c = c;
    f->fd = fd;
    f->buf = g_malloc(NET_MAX_PACKET);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    f->in = loop_add_fd(net_loop(c), fd, G_IO_IN, readable, f);
}

void net_fd_stop(NetFd *f)
{
    if (!f->buf)
        return;
    loop_fd_free(f->in);
    loop_fd_free(f->out);
    close(f->fd);
    g_clear_pointer(&f->buf, g_free);
    f->in = f->out = NULL;
}
