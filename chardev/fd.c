/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams on descriptors: reading as the front end has room, writing without blocking. */
#include "chardev/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 4096 };

static void readable(int fd, GIOCondition ready, void *data)
{
    CharFd *f = data;
    uint8_t buf[CHUNK];
    unsigned room = char_room(f->chr);
    if (!room) {
        loop_fd_set(f->watch_in, 0);    /* resumed by char_fd_resume() */
        return;
    }
    ssize_t n = read(fd, buf, MIN(room, sizeof(buf)));
    if (n > 0) {
        char_input(f->chr, buf, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_fd_free(f->watch_in);
        f->watch_in = NULL;
        if (f->hangup)
            f->hangup(f->chr);
    }
}

static void drained(int fd, GIOCondition ready, void *data)
{
    CharFd *f = data;
    loop_fd_free(f->watch_out);
    f->watch_out = NULL;
    char_writable(f->chr);
}

static void watch_output(void *data)
{
    CharFd *f = data;
    if (f->chr && f->out >= 0 && !f->watch_out)
        f->watch_out = loop_add_fd(f->chr->loop, f->out, G_IO_OUT, drained, f);
}

unsigned char_fd_write(CharFd *f, const uint8_t *buf, unsigned n)
{
    unsigned done = 0;
    while (f->out >= 0 && done < n) {
        ssize_t k = write(f->out, buf + done, n - done);
        if (k > 0) {
            done += k;
        } else if (k < 0 && errno == EINTR) {
            continue;
        } else if (k < 0 && errno == EAGAIN) {
            loop_post(f->chr->loop, watch_output, f);
            return done;
        } else {
            break;
        }
    }
    return n;                   /* nobody to take the rest: it is lost, as on an unplugged line */
}

void char_fd_resume(CharFd *f)
{
    if (f->watch_in)
        loop_fd_set(f->watch_in, G_IO_IN | G_IO_HUP);
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void char_fd_start(CharFd *f, Chardev *c, int in, int out, void (*hangup)(Chardev *))
{
    *f = (CharFd){.chr = c, .in = in, .out = out, .hangup = hangup};
    struct stat st;
    if (in >= 0) {
        set_nonblocking(in);
        f->watch_in = loop_add_fd(c->loop, in, G_IO_IN | G_IO_HUP, readable, f);
    }
    if (out >= 0 && out != in && fstat(out, &st) == 0 && !S_ISREG(st.st_mode))
        set_nonblocking(out);
}

void char_fd_watch(CharFd *f, bool on)
{
    loop_fd_free(f->watch_in);
    loop_fd_free(f->watch_out);
    f->watch_in = f->watch_out = NULL;
    if (on && f->chr && f->in >= 0)
        f->watch_in = loop_add_fd(f->chr->loop, f->in, G_IO_IN | G_IO_HUP, readable, f);
    if (on && f->chr)
        watch_output(f);
}

void char_fd_stop(CharFd *f, bool close_fds)
{
    loop_fd_free(f->watch_in);
    loop_fd_free(f->watch_out);
    f->watch_in = f->watch_out = NULL;
    if (close_fds && f->in >= 0)
        close(f->in);
    if (close_fds && f->out >= 0 && f->out != f->in)
        close(f->out);
    f->in = f->out = -1;
}
