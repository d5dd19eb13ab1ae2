/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev pty: a pseudo terminal; who opens its other end is connected. */
#include "chardev/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

typedef struct PtyChardev {
    Chardev chr;
    CharFd fd;
    char *link;
    unsigned poll;              /* looks whether somebody came (the kernel tells only of leaving) */
} PtyChardev;

enum { POLL_MS = 200 };

static void look(void *data);

static void left(Chardev *c)
{
    PtyChardev *s = (PtyChardev *)c;
    char_set_open(c, false);
    if (!s->poll)
        s->poll = loop_after(c->loop, POLL_MS, look, s);
}

static bool connected(PtyChardev *s)
{
    GPollFD p = {.fd = s->fd.in, .events = G_IO_OUT};
    return g_poll(&p, 1, 0) >= 0 && !(p.revents & G_IO_HUP);
}

static void look(void *data)
{
    PtyChardev *s = data;
    s->poll = 0;
    if (!connected(s)) {
        s->poll = loop_after(s->chr.loop, POLL_MS, look, s);
        return;
    }
    int fd = s->fd.in;
    char_fd_stop(&s->fd, false);
    char_fd_start(&s->fd, &s->chr, fd, fd, left);
    char_set_open(&s->chr, true);
}

static bool pty_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    PtyChardev *s = (PtyChardev *)c;
    const char *link = options->u.pty->data->path;
    int master, slave;
    char name[128];
    if (openpty(&master, &slave, name, NULL, NULL) < 0)
        return error_set_errno(error, errno, "cannot make a pseudo terminal");
    struct termios t;
    tcgetattr(slave, &t);
    cfmakeraw(&t);
    tcsetattr(slave, TCSAFLUSH, &t);
    close(slave);
    fcntl(master, F_SETFL, O_NONBLOCK | O_RDWR);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    if (link && symlink(name, link) < 0) {
        close(master);
        return error_set_errno(error, errno, "cannot make the link '%s' to %s", link, name);
    }
    s->link = g_strdup(link);
    s->fd = (CharFd){.chr = c, .in = master, .out = master};
    c->filename = g_strdup_printf("pty:%s", name);
    c->pty_name = g_strdup(name);
    s->poll = loop_after(c->loop, POLL_MS, look, s);
    g_printerr("char device redirected to %s\n", name);
    return true;
}

static unsigned pty_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    return c->open ? char_fd_write(&((PtyChardev *)c)->fd, buf, n) : n;
}

static void pty_resume(Chardev *c) { char_fd_resume(&((PtyChardev *)c)->fd); }

static void pty_close(Chardev *c)
{
    PtyChardev *s = (PtyChardev *)c;
    if (s->poll)
        loop_cancel(c->loop, s->poll);
    if (s->fd.chr)
        char_fd_stop(&s->fd, true);
    if (s->link)
        unlink(s->link);
    g_free(s->link);
}

static const ChardevType pty_chardev_type = {
    .name = "chardev-pty", .parent = "chardev", .size = sizeof(PtyChardev),
    .kind = CHARDEV_BACKEND_KIND_PTY, .open = pty_open, .write = pty_write,
    .resume_input = pty_resume, .close = pty_close,
};
OBJECT_TYPE(pty_chardev_type);
