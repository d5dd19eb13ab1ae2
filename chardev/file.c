/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev file and pipe: output into a file, input from another; a pair of named pipes. */
#include "chardev/internal.h"
#include <fcntl.h>
#include <unistd.h>
#include "util/fdstore.h"

typedef struct FileChardev {
    Chardev chr;
    CharFd fd;
} FileChardev;

static int open_path(Chardev *c, const char *path, int flags, GError **error)
{
    return fd_store_open(c->object.vm->fds, path, flags, 0666, error);
}

static bool file_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    const ChardevFile *o = options->u.file->data;
    int in = -1, out = open_path(c, o->out, O_WRONLY | O_CREAT | (o->append ? O_APPEND : O_TRUNC), error);
    if (out < 0)
        return false;
    if (o->in && (in = open_path(c, o->in, O_RDONLY, error)) < 0) {
        close(out);
        return false;
    }
    char_fd_start(&((FileChardev *)c)->fd, c, in, out, NULL);
    c->filename = g_strdup("file");
    c->open = true;
    return true;
}

/* PATH.in and PATH.out, or PATH for both; opened read-write so that neither end blocks. */
static bool pipe_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    const char *path = options->u.pipe->data->device;
    g_autofree char *path_in = g_strconcat(path, ".in", NULL);
    g_autofree char *path_out = g_strconcat(path, ".out", NULL);
    bool pair = g_file_test(path_in, G_FILE_TEST_EXISTS);
    int in = open_path(c, pair ? path_in : path, O_RDWR, error);
    if (in < 0)
        return false;
    int out = pair ? open_path(c, path_out, O_RDWR, error) : in;
    if (out < 0) {
        close(in);
        return false;
    }
    char_fd_start(&((FileChardev *)c)->fd, c, in, out, NULL);
    c->filename = g_strdup_printf("pipe:%s", path);
    c->open = true;
    return true;
}

static unsigned file_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    return char_fd_write(&((FileChardev *)c)->fd, buf, n);
}

static void file_resume(Chardev *c) { char_fd_resume(&((FileChardev *)c)->fd); }
static void file_close(Chardev *c) { char_fd_stop(&((FileChardev *)c)->fd, c->open); }

static const ChardevType chardev_file = {
    .name = "chardev-file", .parent = "chardev", .size = sizeof(FileChardev),
    .kind = CHARDEV_BACKEND_KIND_FILE, .open = file_open, .write = file_write,
    .resume_input = file_resume, .close = file_close,
};
OBJECT_TYPE(chardev_file);
static const ChardevType chardev_pipe = {
    .name = "chardev-pipe", .parent = "chardev", .size = sizeof(FileChardev),
    .kind = CHARDEV_BACKEND_KIND_PIPE, .open = pipe_open, .write = file_write,
    .resume_input = file_resume, .close = file_close,
};
OBJECT_TYPE(chardev_pipe);
