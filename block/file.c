/* SPDX-License-Identifier: Apache-2.0 */
/* file and host_device: storage that the host's kernel keeps. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/internal.h"
#include "block/lock.h"

typedef struct File {
    BlockNode node;
    int fd;
    bool is_device, no_punch, no_zero;
    const AioEngine *aio;
} File;

/* ---- opening ---- */

static const AioEngine *choose_engine(const BlockdevOptionsFile *o, bool direct, GError **error)
{
    const AioEngine *e = &aio_threads;
    if (!o->has_aio)
        return aio_uring.usable() ? &aio_uring : &aio_threads;
    if (o->aio == BLOCKDEV_AIO_OPTIONS_IO_URING)
        e = &aio_uring;
    else if (o->aio == BLOCKDEV_AIO_OPTIONS_NATIVE)
        e = &aio_native;
    if (e == &aio_native && !direct) {
        error_set(error, "aio=native was specified, but it requires cache.direct=on, which was not "
                  "specified.");
        return NULL;
    }
    if (!e->usable()) {
        error_set(error, "aio=%s is not possible on this host; aio=threads is", e->name);
        return NULL;
    }
    return e;
}

/* With O_DIRECT: the smallest unit that a trial read accepts. */
static unsigned probe_alignment(int fd)
{
    void *buf = aligned_alloc(4096, 8192);
    unsigned align = 512;
    while (align < 4096 && pread(fd, buf, align, 0) < 0 && errno == EINVAL)
        align *= 2;
    free(buf);
    return align;
}

static bool find_size(File *s, GError **error)
{
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return error_set_errno(error, errno, "Could not look at '%s'", s->node.filename);
    s->is_device = S_ISBLK(st.st_mode);
    if (S_ISDIR(st.st_mode))
        return error_set(error, "'%s' is a directory; a file or block device is needed", s->node.filename);
    if (s->is_device && ioctl(s->fd, BLKGETSIZE64, &s->node.size) < 0)
        return error_set_errno(error, errno, "Could not get the size of '%s'", s->node.filename);
    if (!s->is_device)
        s->node.size = st.st_size;
    return true;
}

static int open_file(BlockNode *n, bool auto_read_only, GError **error)
{
    int flags = O_CLOEXEC | (n->direct ? O_DIRECT : 0);
    int fd = open(n->filename, flags | (n->read_only ? O_RDONLY : O_RDWR));
    if (fd < 0 && auto_read_only && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        fd = open(n->filename, flags | O_RDONLY);
        n->read_only = fd >= 0;
    }
    if (fd < 0)
        error_set_errno(error, errno, "Could not open '%s'", n->filename);
    return fd;
}

static bool file_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    File *s = (File *)n;
    const BlockdevOptionsFile *f = o->u.file;
    const char *path = f->filename;
    if (g_str_has_prefix(path, "file:"))
        path += strlen("file:");
    n->filename = g_strdup(path);
    s->aio = choose_engine(f, n->direct, error);
    if (!s->aio)
        return false;
    s->fd = open_file(n, o->has_auto_read_only && o->auto_read_only, error);
    if (s->fd < 0)
        return false;
    bool lock = !f->has_locking || f->locking != ON_OFF_AUTO_OFF;
    bool share = o->has_force_share && o->force_share;
    if (!find_size(s, error) ||
        (lock && !s->is_device && !image_lock(s->fd, path, !n->read_only, share, error))) {
        close(s->fd);
        return false;
    }
    if (n->direct)
        n->align = probe_alignment(s->fd);
    n->can_discard = true;
    return true;
}

static void file_close(BlockNode *n) { close(((File *)n)->fd); }

/* ---- I/O ---- */

/* What comes short is continued; a read behind the end of the file gives zeroes. */
static int transfer(File *s, const BlockIo *io, AioOp op)
{
    AioRequest r = {.op = op, .fd = s->fd, .iov = io->iov, .n_iov = io->n_iov, .offset = io->offset,
                    .bytes = io->bytes};
    int64_t n = s->aio->run(s->node.loop, &r);
    if (n == (int64_t)io->bytes)
        return 0;
    if (n < 0)
        return -n;
    if (n == 0 && op == AIO_WRITE)
        return ENOSPC;
    if (n == 0) {
        block_io_fill(io, 0);
        return 0;
    }
    g_autofree struct iovec *rest = g_new(struct iovec, io->n_iov);
    unsigned k = 0;
    uint64_t skip = n;
    for (unsigned i = 0; i < io->n_iov; i++) {
        uint64_t cut = MIN(skip, io->iov[i].iov_len);
        skip -= cut;
        if (cut < io->iov[i].iov_len)
            rest[k++] = (struct iovec){(char *)io->iov[i].iov_base + cut, io->iov[i].iov_len - cut};
    }
    BlockIo more = {io->offset + n, io->bytes - n, rest, k, io->flags};
    return transfer(s, &more, op);
}

/* preadv takes at most IOV_MAX pieces. */
static int in_pieces(File *s, const BlockIo *io, AioOp op)
{
    enum { PIECES = 1024 };
    uint64_t offset = io->offset;
    for (unsigned i = 0; i < io->n_iov; i += PIECES) {
        BlockIo part = {.offset = offset, .iov = io->iov + i, .n_iov = MIN(io->n_iov - i, PIECES)};
        for (unsigned k = 0; k < part.n_iov; k++)
            part.bytes += part.iov[k].iov_len;
        int err = transfer(s, &part, op);
        if (err)
            return err;
        offset += part.bytes;
    }
    return 0;
}

static int file_read(BlockNode *n, const BlockIo *io) { return in_pieces((File *)n, io, AIO_READ); }
static int file_write(BlockNode *n, const BlockIo *io) { return in_pieces((File *)n, io, AIO_WRITE); }

static int simple(File *s, AioOp op, uint64_t offset, uint64_t bytes)
{
    AioRequest r = {.op = op, .fd = s->fd, .offset = offset, .bytes = bytes};
    int64_t n = s->aio->run(s->node.loop, &r);
    return n < 0 ? -n : 0;
}

static int file_flush(BlockNode *n) { return simple((File *)n, AIO_SYNC, 0, 0); }

static int file_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    File *s = (File *)n;
    if (s->no_punch)
        return 0;
    int err = simple(s, AIO_PUNCH, offset, bytes);
    s->no_punch = err == EOPNOTSUPP || err == ENOSYS;
    return s->no_punch ? 0 : err;
}

static int file_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    File *s = (File *)n;
    if (flags & BLOCK_MAY_UNMAP && !s->no_punch) {
        int err = simple(s, AIO_PUNCH, offset, bytes);
        s->no_punch = err == EOPNOTSUPP || err == ENOSYS;
        if (!err)
            return 0;
    }
    if (s->no_zero)
        return ENOTSUP;
    int err = simple(s, AIO_ZERO, offset, bytes);
    s->no_zero = err == EOPNOTSUPP || err == ENOSYS;
    return s->no_zero ? ENOTSUP : err;
}

static void file_plug(BlockNode *n, bool on)
{
    if (((File *)n)->aio->plug)
        ((File *)n)->aio->plug(n->loop, on);
}

static const BlockDriver file = {
    .name = "file", .id = BLOCKDEV_DRIVER_FILE, .size = sizeof(File), .protocol = true,
    .open = file_open, .close = file_close, .read = file_read, .write = file_write,
    .flush = file_flush, .discard = file_discard, .write_zeroes = file_zeroes, .plug = file_plug,
};
BLOCK_DRIVER(file);
static const BlockDriver host_device = {
    .name = "host_device", .id = BLOCKDEV_DRIVER_HOST_DEVICE, .size = sizeof(File), .protocol = true,
    .open = file_open, .close = file_close, .read = file_read, .write = file_write,
    .flush = file_flush, .discard = file_discard, .write_zeroes = file_zeroes, .plug = file_plug,
};
BLOCK_DRIVER(host_device);
