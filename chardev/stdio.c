/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev stdio: the terminal that the process was started from, in raw mode while in use. */
#include "chardev/internal.h"
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

typedef struct StdioChardev {
    Chardev chr;
    CharFd fd;
    struct termios saved;
    int saved_flags[2];
    bool is_tty;
} StdioChardev;

static void set_raw(StdioChardev *s, bool signals)
{
    struct termios t;
    s->is_tty = tcgetattr(STDIN_FILENO, &s->saved) == 0;
    if (!s->is_tty)
        return;
    t = s->saved;
    t.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        t.c_lflag &= ~ISIG;
    t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static bool stdio_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    StdioChardev *s = (StdioChardev *)c;
    const ChardevStdio *o = options->u.stdio->data;
    if (vm_service_find(c->object.vm, "terminal", "stdio"))
        return error_set(error, "the terminal is in use by another chardev; share it with "
                         "-chardev mux or mon:stdio");
    vm_service_add(c->object.vm, "terminal", "stdio", c);
    s->saved_flags[0] = fcntl(STDIN_FILENO, F_GETFL);
    s->saved_flags[1] = fcntl(STDOUT_FILENO, F_GETFL);
    set_raw(s, !o->has_signal || o->signal);
    char_fd_start(&s->fd, c, STDIN_FILENO, STDOUT_FILENO, NULL);
    c->filename = g_strdup("stdio");
    c->open = true;
    return true;
}

static unsigned stdio_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    return char_fd_write(&((StdioChardev *)c)->fd, buf, n);
}

static void stdio_resume(Chardev *c) { char_fd_resume(&((StdioChardev *)c)->fd); }

static void stdio_watch(Chardev *c, bool on) { char_fd_watch(&((StdioChardev *)c)->fd, on); }

static void stdio_close(Chardev *c)
{
    StdioChardev *s = (StdioChardev *)c;
    if (!c->open)
        return;
    char_fd_stop(&s->fd, false);
    if (s->is_tty)
        tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
    fcntl(STDIN_FILENO, F_SETFL, s->saved_flags[0]);
    fcntl(STDOUT_FILENO, F_SETFL, s->saved_flags[1]);
    vm_service_remove(c->object.vm, "terminal", "stdio");
}

static const ChardevType chardev_stdio = {
    .name = "chardev-stdio", .parent = "chardev", .size = sizeof(StdioChardev),
    .kind = CHARDEV_BACKEND_KIND_STDIO, .open = stdio_open, .write = stdio_write,
    .resume_input = stdio_resume, .close = stdio_close, .watch = stdio_watch,
};
OBJECT_TYPE(chardev_stdio);
