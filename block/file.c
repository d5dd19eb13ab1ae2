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
#include "util/fdstore.h"
#include "util/log.h"

typedef struct File {
    BlockNode node;
    int fd;
    bool is_device, lock, no_punch, no_zero, no_seek;
    const AioEngine *aio;
    uint64_t end_of_hint, hint_offset;  /* the last answer of map: data until there */
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

static int open_path(BlockNode *n, bool read_only, GError **error)
{
    int flags = O_CLOEXEC | (n->direct ? O_DIRECT : 0) | (n->driver->id == BLOCKDEV_DRIVER_HOST_CDROM ? O_NONBLOCK : 0);
    return fd_store_open(n->vm->fds, n->filename, flags | (read_only ? O_RDONLY : O_RDWR), 0, error);
}

static int open_file(BlockNode *n, bool auto_read_only, GError **error)
{
    g_autoptr(GError) why = NULL;
    errno = 0;
    int fd = open_path(n, n->read_only, &why), code = errno;
    bool by_set = g_str_has_prefix(n->filename, "/dev/fdset/");
    if (fd < 0 && !n->read_only && auto_read_only && (by_set || code == EACCES || code == EROFS || code == EPERM)) {
        fd = open_path(n, true, NULL);
        n->read_only = fd >= 0;
    }
    if (fd < 0 && by_set)
        g_propagate_error(error, g_steal_pointer(&why));
    else if (fd < 0)
        error_set_errno(error, code, "Could not open '%s'", n->filename);
    return fd;
}

static bool file_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    File *s = (File *)n;
    const BlockdevOptionsFile *f = o->u.file;
    const char *path = f->filename;
    if (f->pr_manager)
        return error_set(error, "pr-manager: persistent reservations are not implemented");
    if (g_str_has_prefix(path, "file:"))
        path += strlen("file:");
    n->filename = g_strdup(path);
    s->aio = choose_engine(f, n->direct, error);
    if (!s->aio)
        return false;
    s->fd = open_file(n, o->has_auto_read_only && o->auto_read_only, error);
    if (s->fd < 0)
        return false;
    if (!find_size(s, error)) {
        close(s->fd);
        return false;
    }
    s->lock = (!f->has_locking || f->locking != ON_OFF_AUTO_OFF) && !s->is_device;
    if (n->direct)
        n->align = probe_alignment(s->fd);
    n->can_discard = true;
    return true;
}

static bool file_permit(BlockNode *n, unsigned uses, unsigned shares, GError **error)
{
    File *s = (File *)n;
    return !s->lock || image_lock(s->fd, n->filename, uses, n->force_share ? BLOCK_USE_ALL : shares, error);
}

/* The descriptor changes where the kernel cannot change its mode. */
static bool file_reopen(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    File *s = (File *)n;
    const char *path = o->u.file->filename;
    bool direct = o->cache && o->cache->has_direct && o->cache->direct, was_direct = n->direct;
    bool read_only = o->has_read_only && o->read_only;
    if (g_str_has_prefix(path, "file:"))
        path += strlen("file:");
    if (strcmp(path, n->filename))
        return error_set(error, "Cannot change the option 'filename'");
    if (read_only == n->read_only && direct == n->direct)
        return true;
    for (GSList *i = n->users; read_only && i; i = i->next)
        if (((BlockUser *)i->data)->uses & BLOCK_USE_WRITE)
            return error_set(error, "Node '%s' is being written to and cannot become read-only", n->name);
    n->direct = direct;
    int fd = open_path(n, read_only, error);
    if (fd < 0) {
        n->direct = was_direct;
        return false;
    }
    close(s->fd);
    s->fd = fd;
    n->read_only = read_only;
    n->align = direct ? probe_alignment(fd) : 1;
    return true;
}

static void file_close(BlockNode *n) { close(((File *)n)->fd); }

/* ---- I/O ---- */

/* Outside of fibers nobody can wait for a completion. */
static int64_t run(File *s, const AioRequest *r)
{
    return fiber_self() ? s->aio->run(s->node.loop, r) : aio_blocking(r);
}

/* What comes short is continued; a read behind the end of the file gives zeroes. */
static int transfer(File *s, const BlockIo *io, AioOp op)
{
    AioRequest r = {.op = op, .fd = s->fd, .iov = io->iov, .n_iov = io->n_iov, .offset = io->offset,
                    .bytes = io->bytes};
    int64_t n = run(s, &r);
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

static int file_write(BlockNode *n, const BlockIo *io)
{
    int err = in_pieces((File *)n, io, AIO_WRITE);
    if (!err && !((File *)n)->is_device)
        n->size = MAX(n->size, io->offset + io->bytes);
    ((File *)n)->end_of_hint = 0;
    return err;
}

static int simple(File *s, AioOp op, uint64_t offset, uint64_t bytes)
{
    AioRequest r = {.op = op, .fd = s->fd, .offset = offset, .bytes = bytes};
    int64_t n = run(s, &r);
    s->end_of_hint = op == AIO_SYNC ? s->end_of_hint : 0;
    return n < 0 ? -n : 0;
}

static int file_flush(BlockNode *n) { return simple((File *)n, AIO_SYNC, 0, 0); }

static int file_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    File *s = (File *)n;
    if (s->no_punch)
        return 0;
    int err = simple(s, AIO_PUNCH, offset, bytes);
    block_count(&n->facts.discards, !err);
    block_count(&n->facts.discards_failed, err != 0);
    block_count(&n->facts.discarded, err ? 0 : bytes);
    s->no_punch = err == EOPNOTSUPP || err == ENOSYS;
    return s->no_punch ? 0 : err;
}

static int file_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    File *s = (File *)n;
    if (!s->is_device && offset + bytes > n->size) {
        /* A file grows with zeroes; what lies before its end is done as usual. */
        uint64_t end = n->size;
        if (ftruncate(s->fd, offset + bytes) < 0)
            return errno;
        n->size = offset + bytes;
        return offset < end ? file_zeroes(n, offset, end - offset, flags) : 0;
    }
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

/* ---- facts, size ---- */

/* Data and holes, as the host's file system tells. */
static int file_map(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    File *s = (File *)n;
    e->flags = EXTENT_ALLOCATED | EXTENT_DATA | EXTENT_AT;
    e->at = offset;
    if (offset >= n->size || s->is_device || s->no_seek) {
        if (offset >= n->size)
            e->flags = EXTENT_ALLOCATED | EXTENT_ZERO | EXTENT_AT;
        return 0;
    }
    if (offset >= s->hint_offset && offset < s->end_of_hint) {
        e->bytes = MIN(bytes, s->end_of_hint - offset);
        return 0;
    }
    off_t data = lseek(s->fd, offset, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        s->no_seek = true;
        return 0;
    }
    if (data < 0 || (uint64_t)data > offset) {
        uint64_t end = data < 0 ? n->size : (uint64_t)data;
        e->bytes = MIN(bytes, end > offset ? end - offset : bytes);
        e->flags = EXTENT_ALLOCATED | EXTENT_ZERO | EXTENT_AT;
        return 0;
    }
    off_t hole = lseek(s->fd, offset, SEEK_HOLE);
    if (hole > (off_t)offset) {
        s->hint_offset = offset;
        s->end_of_hint = hole;
        e->bytes = MIN(bytes, (uint64_t)hole - offset);
    }
    return 0;
}

static bool write_zeroes_at(int fd, uint64_t from, uint64_t to, GError **error)
{
    g_autofree char *zeroes = g_malloc0(1 << 20);
    while (from < to) {
        ssize_t n = pwrite(fd, zeroes, MIN(to - from, 1 << 20), from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set_errno(error, n ? errno : ENOSPC, "Could not write zeros for preallocation");
        from += n;
    }
    return true;
}

static bool grow(int fd, uint64_t from, uint64_t to, PreallocMode prealloc, GError **error)
{
    switch (prealloc) {
    case PREALLOC_MODE_OFF:
        return ftruncate(fd, to) == 0 || error_set_errno(error, errno, "Could not resize file");
    case PREALLOC_MODE_FALLOC: {
        int err = to > from ? posix_fallocate(fd, from, to - from) : 0;
        return !err || error_set_errno(error, err, "Could not preallocate data for the new file");
    }
    case PREALLOC_MODE_FULL:
        return write_zeroes_at(fd, from, to, error);
    default:
        return error_set(error, "Unsupported preallocation mode '%s'", prealloc_mode_name(prealloc));
    }
}

static bool file_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error)
{
    File *s = (File *)n;
    if (s->is_device) {
        uint64_t old = n->size;
        if (!find_size(s, error))
            return false;
        return size <= n->size || error_set(error, "Cannot grow device files (from %" G_GUINT64_FORMAT " bytes)", old);
    }
    if (size < n->size && prealloc != PREALLOC_MODE_OFF)
        return error_set(error, "Preallocation can't be used for shrinking files");
    if (!grow(s->fd, n->size, size, prealloc, error))
        return false;
    s->end_of_hint = 0;
    n->size = size;
    return true;
}

static void file_info(BlockNode *n, ImageInfo *i)
{
    struct stat st;
    if (fstat(((File *)n)->fd, &st) == 0) {
        i->has_actual_size = true;
        i->actual_size = st.st_blocks * 512;
    }
}

static bool file_create(Vm *vm, const BlockdevCreateOptions *o, GError **error)
{
    const BlockdevCreateOptionsFile *f = o->u.file;
    const char *path = g_str_has_prefix(f->filename, "file:") ? f->filename + 5 : f->filename;
    PreallocMode prealloc = f->has_preallocation ? f->preallocation : PREALLOC_MODE_OFF;
    if ((f->has_nocow && f->nocow) || (f->has_extent_size_hint && f->extent_size_hint))
        log_write("%s: nocow and extent-size-hint are hints that are not passed on\n", path);
    int fd = fd_store_open(vm->fds, path, O_RDWR | O_CREAT | O_CLOEXEC, 0644, error);
    if (fd < 0)
        return false;
    bool ok = image_lock(fd, path, BLOCK_USE_WRITE | BLOCK_USE_RESIZE, BLOCK_USE_READ, error);
    if (ok && ftruncate(fd, 0) < 0)
        ok = error_set_errno(error, errno, "Could not truncate '%s'", path);
    ok = ok && grow(fd, 0, f->size, prealloc, error);
    if (close(fd) < 0 && ok)
        ok = error_set_errno(error, errno, "Could not write '%s'", path);
    return ok;
}

#define FILE_DRIVER(var, driver_name, driver_id)                                                    \
    static const BlockDriver var = {                                                                \
        .name = driver_name, .id = driver_id, .size = sizeof(File), .protocol = true,               \
        .open = file_open, .close = file_close, .read = file_read, .write = file_write,             \
        .flush = file_flush, .discard = file_discard, .write_zeroes = file_zeroes,                  \
        .plug = file_plug, .map = file_map, .resize = file_resize, .permit = file_permit,           \
        .info = file_info, .create = file_create, .reopen = file_reopen,                            \
    };                                                                                              \
    BLOCK_DRIVER(var)
FILE_DRIVER(file, "file", BLOCKDEV_DRIVER_FILE);
FILE_DRIVER(host_device, "host_device", BLOCKDEV_DRIVER_HOST_DEVICE);
FILE_DRIVER(host_cdrom, "host_cdrom", BLOCKDEV_DRIVER_HOST_CDROM);
