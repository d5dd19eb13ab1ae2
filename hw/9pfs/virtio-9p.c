/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio transport of 9P2000.L: folders that guests mount. Spec: virtio 1.2, 5.19 (type 9); the messages
 * are those of Linux (Documentation/filesystems/9p.rst, diod's protocol.md).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#include "hw/9pfs/local.h"
#include "hw/virtio/virtio.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"

enum {
    T_STATFS = 8, T_LOPEN = 12, T_LCREATE = 14, T_SYMLINK = 16, T_MKNOD = 18, T_READLINK = 22, T_GETATTR = 24,
    T_SETATTR = 26, T_XATTRWALK = 30, T_XATTRCREATE = 32, T_READDIR = 40, T_FSYNC = 50, T_LOCK = 52,
    T_GETLOCK = 54, T_LINK = 70, T_MKDIR = 72, T_RENAMEAT = 74, T_UNLINKAT = 76, T_VERSION = 100,
    T_ATTACH = 104, T_FLUSH = 108, T_WALK = 110, T_READ = 116, T_WRITE = 118, T_CLUNK = 120, T_REMOVE = 122,
    R_LERROR = 7,
    HEAD = 7, IO_HEAD = 11, MIN_MSIZE = 4096, MAX_MSIZE = 512 * 1024, QUEUE_SIZE = 128, MAX_WALK = 16,
    MAX_XATTR = 65536, MAX_FIDS = 1 << 16, TAG_BYTES = 64, NOT_A_USER = -1, MAX_STRING = 4096,
    QID_DIR = 0x80, QID_LINK = 2, LOCK_SUCCESS = 0, LOCK_UNLOCK = 2, AT_REMOVE_FOLDER = 0x200,
    GETATTR_BASIC = 0x7ff,
};
#define F_MOUNT_TAG (1ull << 0)

typedef struct Fid {
    FsNode *node;
    uint32_t uid;
    int fd;                     /* opened: -1 not */
    bool folder;
    /* Extended attribute: read from here, or gathered and set at the end. */
    bool xattr, xattr_write;
    char *xattr_name;
    GByteArray *value;
    uint64_t xattr_size;
    int xattr_flags;
} Fid;

typedef struct Virtio9p {
    VirtioDevice v;
    Virtq *vq;
    FsLocal *fs;
    char *tag;
    GHashTable *fids;           /* number -> Fid */
    uint32_t msize;
    bool gone;                  /* restored: the guest's files were open elsewhere */
} Virtio9p;

/* ---- one request: arguments in, results out ---- */

typedef struct Request {
    Virtio9p *s;
    VirtqElement *e;
    size_t at, end;             /* in e->out */
    bool ok;
    GByteArray *out;            /* behind the head */
    size_t data;                /* bytes that were put behind `out` into the buffer directly */
} Request;

static uint64_t take(Request *r, unsigned n)
{
    uint64_t v = 0;
    r->ok = r->ok && r->end - r->at >= n;
    if (!r->ok)
        return 0;
    iov_read(r->e->out, r->e->n_out, r->at, &v, n);
    r->at += n;
    return GUINT64_FROM_LE(v);
}

/* The caller frees; "" if the message is malformed. */
static char *take_string(Request *r)
{
    size_t n = take(r, 2);
    r->ok = r->ok && n <= MAX_STRING && r->end - r->at >= n;
    if (!r->ok)
        return g_strdup("");
    char *s = g_malloc0(n + 1);
    iov_read(r->e->out, r->e->n_out, r->at, s, n);
    r->at += n;
    r->ok = strlen(s) == n;
    return s;
}

static void put(Request *r, uint64_t v, unsigned n) { bytes_put(r->out, v, n); }

static void put_string(Request *r, const char *s)
{
    size_t n = strlen(s);
    put(r, n, 2);
    g_byte_array_append(r->out, (const uint8_t *)s, (unsigned)n);
}

static int put_qid_of(Request *r, const struct stat *st)
{
    uint64_t path;
    int e = fs_qid_path(r->s->fs, st, &path);
    if (e)
        return e;
    put(r, S_ISDIR(st->st_mode) ? QID_DIR : S_ISLNK(st->st_mode) ? QID_LINK : 0, 1);
    put(r, (uint32_t)(st->st_mtime ^ st->st_size << 8), 4);
    put(r, path, 8);
    return 0;
}

static int put_qid(Request *r, FsNode *n)
{
    struct stat st;
    int e = fs_stat(r->s->fs, n, &st);
    return e ? e : put_qid_of(r, &st);
}

/* ---- fids ---- */

static void fid_free(void *data)
{
    Fid *f = data;
    if (f->fd >= 0)
        close(f->fd);
    fs_unref(f->node);
    g_free(f->xattr_name);
    if (f->value)
        g_byte_array_unref(f->value);
    g_free(f);
}

static Fid *find(Request *r, uint32_t number)
{
    return r->ok ? g_hash_table_lookup(r->s->fids, GUINT_TO_POINTER(number)) : NULL;
}

static Fid *take_fid(Request *r) { return find(r, (uint32_t)take(r, 4)); }

/* Takes over the node. */
static int fid_new(Request *r, uint32_t number, FsNode *node, uint32_t uid, Fid **out)
{
    if (find(r, number) || g_hash_table_size(r->s->fids) >= MAX_FIDS) {
        fs_unref(node);
        return find(r, number) ? -EBADF : -ENFILE;
    }
    Fid *f = g_new0(Fid, 1);
    *f = (Fid){.node = node, .uid = uid, .fd = -1};
    g_hash_table_insert(r->s->fids, GUINT_TO_POINTER(number), f);
    if (out)
        *out = f;
    return 0;
}

/* ---- the session ---- */

static int do_version(Request *r)
{
    uint32_t msize = (uint32_t)take(r, 4);
    g_autofree char *version = take_string(r);
    if (!r->ok || msize < MIN_MSIZE)
        return -EMSGSIZE;
    g_hash_table_remove_all(r->s->fids);
    r->s->gone = false;
    r->s->msize = MIN(msize, MAX_MSIZE);
    put(r, r->s->msize, 4);
    put_string(r, strcmp(version, "9P2000.L") ? "unknown" : version);
    return 0;
}

static int do_attach(Request *r)
{
    uint32_t number = (uint32_t)take(r, 4);
    take(r, 4);
    g_autofree char *user = take_string(r);
    g_autofree char *name = take_string(r);
    uint32_t uid = (uint32_t)take(r, 4);
    FsNode *root = r->ok ? fs_root(r->s->fs) : NULL;
    if (!root)
        return r->ok ? -EMFILE : -EINVAL;
    if (*name && strcmp(name, "/")) {   /* Linux's aname= names the whole */
        fs_unref(root);
        return -ENOENT;
    }
    int e = put_qid(r, root);
    if (e)
        fs_unref(root);
    return e ? e : fid_new(r, number, root, uid == (uint32_t)NOT_A_USER ? 0 : uid, NULL);
}

static int do_flush(Request *r) { return 0; }   /* requests are done one after the other */

static int do_walk(Request *r)
{
    Fid *f = take_fid(r);
    uint32_t number = (uint32_t)take(r, 4);
    unsigned n = (unsigned)take(r, 2), done = 0;
    int e = 0;
    if (!f || !r->ok || n > MAX_WALK || f->xattr)
        return -EBADF;
    FsNode *at = fs_ref(f->node);
    put(r, 0, 2);
    for (; done < n && !e; done++) {
        g_autofree char *name = take_string(r);
        FsNode *next = NULL;
        e = r->ok ? fs_walk(r->s->fs, at, name, &next) : -EINVAL;
        if (!e) {
            fs_unref(at);
            at = next;
            e = put_qid(r, at);
        }
        if (e)
            break;
    }
    r->out->data[0] = (uint8_t)done;
    if (done < n) {
        fs_unref(at);
        return done && r->ok ? 0 : e;   /* a part of the way is an answer, too */
    }
    uint32_t uid = f->uid;
    if (find(r, number) == f) {
        if (f->fd >= 0) {
            fs_unref(at);
            return -EBADF;
        }
        g_hash_table_remove(r->s->fids, GUINT_TO_POINTER(number));
    }
    return fid_new(r, number, at, uid, NULL);
}

static int finish_xattr(Virtio9p *s, Fid *f)
{
    if (!f->xattr_write)
        return 0;
    if (f->value->len != f->xattr_size)
        return -EINVAL;
    return fs_setxattr(s->fs, f->node, f->xattr_name, f->value->data, f->value->len, f->xattr_flags);
}

static int do_clunk(Request *r)
{
    uint32_t number = (uint32_t)take(r, 4);
    Fid *f = find(r, number);
    if (!f)
        return -EBADF;
    int e = finish_xattr(r->s, f);
    g_hash_table_remove(r->s->fids, GUINT_TO_POINTER(number));
    return e;
}

/* Clients use unlinkat; this one ends the fid whatever happens. */
static int do_remove(Request *r)
{
    uint32_t number = (uint32_t)take(r, 4);
    return g_hash_table_remove(r->s->fids, GUINT_TO_POINTER(number)) ? -EOPNOTSUPP : -EBADF;
}

/* ---- files ---- */

/* The numbers of open's flags in the protocol are x86 Linux's. */
static int open_flags(uint32_t f)
{
    static const struct { uint32_t theirs; int ours; } bits[] = {
        {01000, O_TRUNC}, {02000, O_APPEND}, {010000, O_DSYNC}, {040000, O_DIRECT}, {0200000, O_DIRECTORY},
        {0400000, O_NOFOLLOW}, {04000000, O_SYNC}};
    int flags = (int)(f & O_ACCMODE);
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
        flags |= f & bits[i].theirs ? bits[i].ours : 0;
    return flags & ~(O_DIRECT | O_APPEND);      /* writes come with their place, of any alignment */
}

static uint32_t io_unit(const Virtio9p *s) { return s->msize - 24; }

static int do_lopen(Request *r)
{
    struct stat st;
    Fid *f = take_fid(r);
    int flags = open_flags((uint32_t)take(r, 4));
    if (!f || !r->ok || f->fd >= 0 || f->xattr)
        return -EBADF;
    int fd = fs_open(r->s->fs, f->node, flags);
    if (fd < 0)
        return fd;
    f->fd = fd;
    f->folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    int e = put_qid(r, f->node);
    put(r, io_unit(r->s), 4);
    return e;
}

static int do_lcreate(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    uint32_t flags = (uint32_t)take(r, 4), mode = (uint32_t)take(r, 4), gid = (uint32_t)take(r, 4);
    FsNode *node;
    int fd;
    if (!f || !r->ok || f->fd >= 0 || f->xattr)
        return -EBADF;
    int e = fs_create(r->s->fs, f->node, name, open_flags(flags), mode, (FsCreds){f->uid, gid}, &fd);
    if (e)
        return e;
    e = fs_walk(r->s->fs, f->node, name, &node);
    if (e) {
        close(fd);
        return e;
    }
    fs_unref(f->node);          /* from now on it stands for the file */
    f->node = node;
    f->fd = fd;
    e = put_qid(r, node);
    put(r, io_unit(r->s), 4);
    return e;
}

static int made(Request *r, FsNode *dir, const char *name, int e)
{
    FsNode *node;
    if (!e)
        e = fs_walk(r->s->fs, dir, name, &node);
    if (e)
        return e;
    e = put_qid(r, node);
    fs_unref(node);
    return e;
}

static int do_symlink(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    g_autofree char *target = take_string(r);
    uint32_t gid = (uint32_t)take(r, 4);
    if (!f || !r->ok)
        return -EBADF;
    return made(r, f->node, name, fs_make(r->s->fs, f->node, name, S_IFLNK | 0777, 0, target,
                                          (FsCreds){f->uid, gid}));
}

static int do_mknod(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    uint32_t mode = (uint32_t)take(r, 4), major = (uint32_t)take(r, 4), minor = (uint32_t)take(r, 4);
    uint32_t gid = (uint32_t)take(r, 4);
    if (!f || !r->ok || S_ISDIR(mode) || S_ISLNK(mode))
        return -EBADF;
    mode |= mode & S_IFMT ? 0 : S_IFREG;
    return made(r, f->node, name, fs_make(r->s->fs, f->node, name, mode, makedev(major, minor), NULL,
                                          (FsCreds){f->uid, gid}));
}

static int do_mkdir(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    uint32_t mode = (uint32_t)take(r, 4), gid = (uint32_t)take(r, 4);
    if (!f || !r->ok)
        return -EBADF;
    return made(r, f->node, name, fs_make(r->s->fs, f->node, name, S_IFDIR | (mode & 07777), 0, NULL,
                                          (FsCreds){f->uid, gid}));
}

static int do_readlink(Request *r)
{
    char target[MAX_STRING];
    Fid *f = take_fid(r);
    int e = f ? fs_readlink(r->s->fs, f->node, target, sizeof(target)) : -EBADF;
    if (!e)
        put_string(r, target);
    return e;
}

static int do_link(Request *r)
{
    Fid *dir = take_fid(r), *f = take_fid(r);
    g_autofree char *name = take_string(r);
    return dir && f && r->ok ? fs_link(r->s->fs, f->node, dir->node, name) : -EBADF;
}

static int do_renameat(Request *r)
{
    Fid *from = take_fid(r);
    g_autofree char *old = take_string(r);
    Fid *to = take_fid(r);
    g_autofree char *name = take_string(r);
    return from && to && r->ok ? fs_rename(r->s->fs, from->node, old, to->node, name) : -EBADF;
}

static int do_unlinkat(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    uint32_t flags = (uint32_t)take(r, 4);
    return f && r->ok ? fs_unlink(r->s->fs, f->node, name, flags & AT_REMOVE_FOLDER) : -EBADF;
}

/* ---- attributes ---- */

static int do_getattr(Request *r)
{
    struct stat st;
    Fid *f = take_fid(r);
    take(r, 8);
    int e = f && r->ok ? fs_stat(r->s->fs, f->node, &st) : -EBADF;
    if (e)
        return e;
    put(r, GETATTR_BASIC, 8);
    e = put_qid_of(r, &st);
    put(r, st.st_mode, 4);
    put(r, st.st_uid, 4);
    put(r, st.st_gid, 4);
    const uint64_t words[] = {
        st.st_nlink, st.st_rdev, (uint64_t)st.st_size, (uint64_t)st.st_blksize, (uint64_t)st.st_blocks,
        (uint64_t)st.st_atim.tv_sec, (uint64_t)st.st_atim.tv_nsec, (uint64_t)st.st_mtim.tv_sec,
        (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec, 0, 0, 0, 0};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        put(r, words[i], 8);
    return e;
}

static int do_setattr(Request *r)
{
    enum { CTIME = 64, ATIME_SET = 128, MTIME_SET = 256 };
    Fid *f = take_fid(r);
    FsChange c = {.what = (unsigned)take(r, 4), .mode = (uint32_t)take(r, 4), .uid = (uint32_t)take(r, 4),
                  .gid = (uint32_t)take(r, 4), .size = take(r, 8)};
    for (unsigned i = 0; i < 2; i++) {
        c.times[i].tv_sec = (time_t)take(r, 8);
        c.times[i].tv_nsec = (long)take(r, 8);
    }
    if (!f || !r->ok || c.size > INT64_MAX)
        return -EBADF;
    static const unsigned which[] = {FS_ATIME, FS_MTIME}, set[] = {ATIME_SET, MTIME_SET};
    for (unsigned i = 0; i < 2; i++)
        if (!(c.what & set[i]) || !(c.what & which[i]))
            c.times[i] = (struct timespec){0, c.what & which[i] ? UTIME_NOW : UTIME_OMIT};
        else if (c.times[i].tv_nsec < 0 || c.times[i].tv_nsec > 999999999)
            return -EINVAL;
    return fs_change(r->s->fs, f->node, &c);
}

static int do_statfs(Request *r)
{
    struct statfs st;
    Fid *f = take_fid(r);
    if (!f)
        return -EBADF;
    if (fstatfs(f->node->fd, &st) < 0)
        return -errno;
    put(r, (uint32_t)st.f_type, 4);
    put(r, (uint32_t)st.f_bsize, 4);
    const uint64_t words[] = {st.f_blocks, st.f_bfree, st.f_bavail, st.f_files, st.f_ffree, 0};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        put(r, words[i], 8);
    put(r, NAME_MAX, 4);
    return 0;
}

/* Who locks is told apart in the guest; between guests nothing is locked. */
static int do_lock(Request *r)
{
    Fid *f = take_fid(r);
    put(r, LOCK_SUCCESS, 1);
    return f ? 0 : -EBADF;
}

static int do_getlock(Request *r)
{
    Fid *f = take_fid(r);
    take(r, 1);
    uint64_t start = take(r, 8), length = take(r, 8), pid = take(r, 4);
    g_autofree char *client = take_string(r);
    if (!f || !r->ok)
        return -EBADF;
    put(r, LOCK_UNLOCK, 1);
    put(r, start, 8);
    put(r, length, 8);
    put(r, pid, 4);
    put_string(r, client);
    return 0;
}

static int do_fsync(Request *r)
{
    Fid *f = take_fid(r);
    bool data = r->end - r->at >= 4 && take(r, 4);
    if (!f || f->fd < 0)
        return -EBADF;
    return (data ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? -errno : 0;
}

/* ---- data ---- */

/* Room for `count` bytes behind the answer's head and 4 more; in pieces of the guest's buffer. */
static unsigned slices(Request *r, struct iovec *iov, uint32_t *count)
{
    size_t room = MIN(r->e->in_bytes, r->s->msize);
    *count = room > IO_HEAD ? (uint32_t)MIN(*count, room - IO_HEAD) : 0;
    return iov_slice(iov, VIRTQ_MAX_SG, r->e->in, r->e->n_in, IO_HEAD, *count);
}

static int do_read(Request *r)
{
    Fid *f = take_fid(r);
    uint64_t at = take(r, 8);
    uint32_t count = (uint32_t)take(r, 4);
    struct iovec iov[VIRTQ_MAX_SG];
    ssize_t n;
    if (!f || !r->ok || at > INT64_MAX)
        return -EBADF;
    unsigned parts = slices(r, iov, &count);
    if (f->xattr && !f->xattr_write) {
        uint64_t start = MIN(at, f->value->len);
        n = (ssize_t)MIN(count, f->value->len - start);
        iov_write(iov, parts, 0, f->value->data + start, (size_t)n);
    } else if (f->fd < 0 || f->folder) {
        return -EBADF;
    } else {
        n = preadv(f->fd, iov, (int)parts, (off_t)at);
    }
    if (n < 0)
        return -errno;
    put(r, (uint64_t)n, 4);
    r->data = (size_t)n;
    return 0;
}

static int do_write(Request *r)
{
    Fid *f = take_fid(r);
    uint64_t at = take(r, 8);
    uint32_t count = (uint32_t)take(r, 4);
    struct iovec iov[VIRTQ_MAX_SG];
    if (!f || !r->ok || count > r->end - r->at || at > INT64_MAX)
        return -EBADF;
    unsigned parts = iov_slice(iov, VIRTQ_MAX_SG, r->e->out, r->e->n_out, r->at, count);
    ssize_t n = count;
    if (f->xattr_write) {
        if (at != f->value->len || count > f->xattr_size - at)
            return -EINVAL;
        g_byte_array_set_size(f->value, (unsigned)at + count);
        iov_read(iov, parts, 0, f->value->data + at, count);
    } else if (f->fd < 0 || f->folder) {
        return -EBADF;
    } else {
        n = pwritev(f->fd, iov, (int)parts, (off_t)at);
    }
    if (n < 0)
        return -errno;
    put(r, (uint64_t)n, 4);
    return 0;
}

/* d_off is what the guest gives back to go on from there. */
static int do_readdir(Request *r)
{
    struct __attribute__((packed)) Entry { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[]; };
    Fid *f = take_fid(r);
    uint64_t at = take(r, 8);
    uint32_t count = (uint32_t)take(r, 4);
    g_autofree char *buf = g_malloc(65536);
    if (!f || !r->ok || f->fd < 0 || !f->folder)
        return -EBADF;
    struct iovec unused[VIRTQ_MAX_SG];
    slices(r, unused, &count);
    if (lseek(f->fd, (off_t)at, SEEK_SET) < 0)
        return -errno;
    put(r, 0, 4);
    for (;;) {
        long n = syscall(SYS_getdents64, f->fd, buf, 65536);
        if (n < 0)
            return -errno;
        for (long i = 0; i < n;) {
            const struct Entry *e = (const struct Entry *)(buf + i);
            size_t length = strlen(e->name);
            FsNode *node = NULL;
            if (r->out->len - 4 + 24 + length > count)
                n = 0;          /* full */
            else if (!fs_walk(r->s->fs, f->node, e->name, &node)) {
                unsigned before = r->out->len;
                if (put_qid(r, node))
                    g_byte_array_set_size(r->out, before);
                else {
                    put(r, (uint64_t)e->off, 8);
                    put(r, e->type, 1);
                    put_string(r, e->name);
                }
                fs_unref(node);
            }
            i += e->reclen;
        }
        if (n <= 0)
            break;
    }
    uint32_t bytes = GUINT32_TO_LE(r->out->len - 4);
    memcpy(r->out->data, &bytes, 4);
    return 0;
}

/* ---- extended attributes ---- */

static int do_xattrwalk(Request *r)
{
    Fid *f = take_fid(r), *x;
    uint32_t number = (uint32_t)take(r, 4);
    g_autofree char *name = take_string(r);
    if (!f || !r->ok)
        return -EBADF;
    ssize_t n = fs_getxattr(r->s->fs, f->node, name, NULL, 0);
    if (n < 0)
        return (int)n;
    if (n > MAX_XATTR)
        return -E2BIG;
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_byte_array_set_size(value, (unsigned)n);
    n = n ? fs_getxattr(r->s->fs, f->node, name, value->data, (size_t)n) : 0;
    if (n < 0)
        return (int)n;
    g_byte_array_set_size(value, (unsigned)n);
    int e = fid_new(r, number, fs_ref(f->node), f->uid, &x);
    if (e)
        return e;
    x->xattr = true;
    x->value = g_steal_pointer(&value);
    put(r, (uint64_t)n, 8);
    return 0;
}

static int do_xattrcreate(Request *r)
{
    Fid *f = take_fid(r);
    g_autofree char *name = take_string(r);
    uint64_t size = take(r, 8);
    int flags = (int)take(r, 4);
    if (!f || !r->ok || f->fd >= 0 || f->xattr)
        return -EBADF;
    if (size > MAX_XATTR || flags & ~3)
        return flags & ~3 ? -EINVAL : -E2BIG;
    f->xattr = f->xattr_write = true;
    f->xattr_name = g_steal_pointer(&name);
    f->xattr_size = size;
    f->xattr_flags = flags;
    f->value = g_byte_array_new();
    return 0;
}

/* ---- messages ---- */

static const struct { uint8_t type; int (*run)(Request *r); } messages[] = {
    {T_STATFS, do_statfs}, {T_LOPEN, do_lopen}, {T_LCREATE, do_lcreate}, {T_SYMLINK, do_symlink},
    {T_MKNOD, do_mknod}, {T_READLINK, do_readlink}, {T_GETATTR, do_getattr}, {T_SETATTR, do_setattr},
    {T_XATTRWALK, do_xattrwalk}, {T_XATTRCREATE, do_xattrcreate}, {T_READDIR, do_readdir},
    {T_FSYNC, do_fsync}, {T_LOCK, do_lock}, {T_GETLOCK, do_getlock}, {T_LINK, do_link}, {T_MKDIR, do_mkdir},
    {T_RENAMEAT, do_renameat}, {T_UNLINKAT, do_unlinkat}, {T_VERSION, do_version}, {T_ATTACH, do_attach},
    {T_FLUSH, do_flush}, {T_WALK, do_walk}, {T_READ, do_read}, {T_WRITE, do_write}, {T_CLUNK, do_clunk},
    {T_REMOVE, do_remove},
};

static int run_message(Request *r, uint8_t type)
{
    if (r->s->gone && type != T_VERSION)
        return -EIO;
    if (r->s->msize == 0 && type != T_VERSION)
        return -EPROTO;
    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++)
        if (messages[i].type == type)
            return messages[i].run(r);
    return -EOPNOTSUPP;
}

/* Bytes written; 0: there is no answer to what is no message. */
static size_t answer(Virtio9p *s, VirtqElement *e)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Request r = {.s = s, .e = e, .end = e->out_bytes, .ok = true, .out = out};
    uint32_t size = (uint32_t)take(&r, 4);
    uint8_t type = (uint8_t)take(&r, 1);
    uint16_t tag = (uint16_t)take(&r, 2);
    if (!r.ok || size < HEAD || size > e->out_bytes) {
        log_guest(&s->v, "9p message of %zu bytes that says %u", e->out_bytes, size);
        return 0;
    }
    r.end = size;
    int error = run_message(&r, type);
    trace(v9fs_message, "type %u: %d", type, error);
    if (error) {
        g_byte_array_set_size(out, 0);
        put(&r, (uint32_t)-error, 4);
        r.data = 0;
        type = R_LERROR - 1;
    }
    uint8_t head[HEAD];
    uint32_t total = GUINT32_TO_LE((uint32_t)(HEAD + out->len + r.data));
    tag = GUINT16_TO_LE(tag);
    memcpy(head, &total, 4);
    head[4] = type + 1;
    memcpy(head + 5, &tag, 2);
    if (e->in_bytes < HEAD + out->len + r.data)
        return 0;
    iov_write(e->in, e->n_in, 0, head, HEAD);
    iov_write(e->in, e->n_in, HEAD, out->data, out->len);
    return HEAD + out->len + r.data;
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        size_t n = answer((Virtio9p *)v, e);
        if (!n) {
            virtio_error(v, "9p: a message without a head, or no room for its answer");
            virtq_unpop(vq, e);
            break;
        }
        virtq_push(vq, e, (uint32_t)n);
        virtq_flush(vq);
    }
}

/* ---- the device ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    Virtio9p *s = (Virtio9p *)v;
    uint16_t n = GUINT16_TO_LE((uint16_t)strlen(s->tag));
    memset(config, 0, 2 + TAG_BYTES);
    memcpy(config, &n, 2);
    memcpy(config + 2, s->tag, strlen(s->tag));
}

static void stop(VirtioDevice *v)
{
    Virtio9p *s = (Virtio9p *)v;
    g_hash_table_remove_all(s->fids);
    s->msize = 0;
}

/* The files that the guest had open are not open here; until it mounts anew it gets errors. */
static void restored(Device *d)
{
    Virtio9p *s = (Virtio9p *)d;
    if (s->fids)
        g_hash_table_remove_all(s->fids);
    s->gone = true;
}

static bool realize(Device *d, GError **error)
{
    Virtio9p *s = (Virtio9p *)d;
    if (!s->fs)
        return error_set(error, "virtio-9p: fsdev= is needed: the id of an -fsdev");
    if (!s->tag || !*s->tag || strlen(s->tag) > TAG_BYTES)
        return error_set(error, "virtio-9p: mount_tag= must have 1 to %d bytes", TAG_BYTES);
    s->fids = g_hash_table_new_full(NULL, NULL, NULL, fid_free);
    s->vq = virtio_add_queue(&s->v, QUEUE_SIZE, serve);
    return true;
}

static void unrealize(Device *d)
{
    Virtio9p *s = (Virtio9p *)d;
    virtio_stop(&s->v);
    g_clear_pointer(&s->fids, g_hash_table_unref);
}

static const VirtioClass cls = {
    .id = 9, .features = F_MOUNT_TAG, .config_size = 2 + TAG_BYTES, .get_config = get_config, .stop = stop,
};
static const Field fields[] = {
    HOST(Virtio9p, v), HOST(Virtio9p, vq),
    PROP(Virtio9p, fs, "fsdev", PROP_LINK, .link_type = "fsdev-local", .desc = "id of the -fsdev"),
    PROP(Virtio9p, tag, "mount_tag", PROP_STRING, .desc = "the name that the guest mounts"),
    HOST(Virtio9p, fids), HOST(Virtio9p, msize), HOST(Virtio9p, gone),
};
static const DeviceType virtio_9p = {
    .name = "virtio-9p-device", .parent = "virtio-device", .desc = "a folder of the host by 9P",
    .size = sizeof(Virtio9p), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_STORAGE,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_9p);
