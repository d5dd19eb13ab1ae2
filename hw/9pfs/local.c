/* SPDX-License-Identifier: Apache-2.0 */
/* -fsdev local: a folder of the host as guests see it, with the models of ownership. */
#include "hw/9pfs/local.h"
#include "hw/9pfs/kept.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "core/vm.h"
#include "util/error.h"
#include "util/log.h"

enum { PASSTHROUGH, NONE, MAPPED_XATTR, MAPPED, MAPPED_FILE, MULTI_WARN = 0, MULTI_REMAP, MULTI_FORBID,
       MAX_DEVICES = 0x7fff, MAX_ODD = 1 << 20 };
static const char *const models[] = {"passthrough", "none", "mapped-xattr", "mapped", "mapped-file"};
static const char *const multis[] = {"warn", "remap", "forbid", NULL};

struct FsLocal {
    Object object;
    char *path, *model_text, *fmode_text, *dmode_text;
    int model, multidevs;
    bool readonly, warned;
    uint32_t fmode, dmode;
    int fd;
    dev_t device;
    GArray *devices;            /* dev_t: the further ones */
    GHashTable *odd;            /* FileNumber: those that remap must number anew */
};

static int result(int r) { return r < 0 ? -errno : 0; }
static bool mapped(const FsLocal *fs) { return fs->model >= MAPPED_XATTR; }

/* The object behind an O_PATH descriptor, for the calls that take no such descriptor. */
typedef struct ProcPath { char text[32]; } ProcPath;
static ProcPath proc_path(int fd)
{
    ProcPath p;
    g_snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
    return p;
}

/* ---- nodes ---- */

static FsNode *node_new(FsNode *parent, int fd)
{
    FsNode *n = g_new(FsNode, 1);
    *n = (FsNode){parent ? fs_ref(parent) : NULL, fd, 1};
    return n;
}

FsNode *fs_ref(FsNode *n)
{
    n->refs++;
    return n;
}

void fs_unref(FsNode *n)
{
    while (n && --n->refs == 0) {
        FsNode *parent = n->parent;
        close(n->fd);
        g_free(n);
        n = parent;
    }
}

FsNode *fs_root(FsLocal *fs)
{
    int fd = fcntl(fs->fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? NULL : node_new(NULL, fd);
}

static bool good_name(const FsLocal *fs, const char *name)
{
    return !(fs->model == MAPPED_FILE && kept_is_name(name)) && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..") && strlen(name) <= NAME_MAX;
}

int fs_walk(FsLocal *fs, FsNode *dir, const char *name, FsNode **out)
{
    if (!strcmp(name, "..") || !strcmp(name, ".")) {
        *out = fs_ref(name[1] && dir->parent ? dir->parent : dir);
        return 0;
    }
    if (!good_name(fs, name))
        return -ENOENT;
    int fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *out = node_new(dir, fd);
    return 0;
}

int fs_stat(FsLocal *fs, FsNode *n, struct stat *st)
{
    if (fstatat(n->fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!mapped(fs) || S_ISLNK(st->st_mode))
        return 0;
    KeptPlace p;
    Kept k = {0};
    if (!kept_find(&p, fs->model == MAPPED_FILE, fs->fd, n->fd))
        kept_get(&p, &k);
    kept_done(&p);
    st->st_uid = k.has >> KEPT_UID & 1 ? (uid_t)k.value[KEPT_UID] : st->st_uid;
    st->st_gid = k.has >> KEPT_GID & 1 ? (gid_t)k.value[KEPT_GID] : st->st_gid;
    st->st_mode = k.has >> KEPT_MODE & 1 ? (mode_t)k.value[KEPT_MODE] : st->st_mode;
    st->st_rdev = k.has >> KEPT_RDEV & 1 ? (dev_t)k.value[KEPT_RDEV] : st->st_rdev;
    return 0;
}

/* ---- numbers ---- */

typedef struct FileNumber {
    uint64_t device, inode, number;
} FileNumber;

static guint hash_number(gconstpointer p)
{
    const FileNumber *f = p;
    return (guint)((f->inode ^ f->device << 20) * 0x9e3779b97f4a7c15ull >> 32);
}

static gboolean same_file(gconstpointer a, gconstpointer b)
{
    const FileNumber *x = a, *y = b;
    return x->device == y->device && x->inode == y->inode;
}

/* For what the parts of a number have no room for: numbers with the highest bit, one after the other. */
static int odd_number(FsLocal *fs, const struct stat *st, uint64_t *path)
{
    FileNumber wanted = {st->st_dev, st->st_ino, 0}, *f;
    if (!fs->odd)
        fs->odd = g_hash_table_new_full(hash_number, same_file, g_free, NULL);
    f = g_hash_table_lookup(fs->odd, &wanted);
    if (!f) {
        if (g_hash_table_size(fs->odd) >= MAX_ODD)
            return -EOVERFLOW;
        f = g_memdup2(&wanted, sizeof(wanted));
        f->number = 1ull << 63 | g_hash_table_size(fs->odd);
        g_hash_table_insert(fs->odd, f, f);
    }
    *path = f->number;
    return 0;
}

static int remap(FsLocal *fs, const struct stat *st, uint64_t *path)
{
    unsigned i = 0;
    if (st->st_ino >> 48)
        return odd_number(fs, st, path);
    if (st->st_dev == fs->device)
        return 0;
    while (i < fs->devices->len && g_array_index(fs->devices, dev_t, i) != st->st_dev)
        i++;
    if (i >= MAX_DEVICES)
        return odd_number(fs, st, path);
    if (i == fs->devices->len)
        g_array_append_val(fs->devices, st->st_dev);
    *path |= (uint64_t)(i + 1) << 48;
    return 0;
}

int fs_qid_path(FsLocal *fs, const struct stat *st, uint64_t *path)
{
    *path = st->st_ino;
    if (fs->multidevs == MULTI_REMAP)
        return remap(fs, st, path);
    if (st->st_dev == fs->device)
        return 0;
    if (fs->multidevs == MULTI_FORBID)
        return -ENODEV;
    if (!fs->warned)
        log_write("warning: fsdev '%s': more than one device is shared, so the guest may take different files "
                      "for one; multidevs=remap avoids that\n", fs->object.name);
    fs->warned = true;
    return 0;
}

/* What a new file gets; mode 0: it has what it needs. */
static int own(FsLocal *fs, int dir, const char *name, uint32_t mode, uint64_t rdev, FsCreds c)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;
    if (fd < 0)
        return -errno;
    ProcPath p = proc_path(fd);
    if (mapped(fs)) {
        Kept k = {1 << KEPT_UID | 1 << KEPT_GID | 1 << KEPT_MODE | (rdev ? 1 << KEPT_RDEV : 0),
                  {c.uid, c.gid, mode, rdev}};
        KeptPlace at;
        r = kept_find(&at, fs->model == MAPPED_FILE, fs->fd, fd);
        r = r ? r : kept_put(&at, &k);
        kept_done(&at);
    } else {
        r = result(fchownat(fd, "", c.uid, c.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
        if ((!r || fs->model == NONE) && !S_ISLNK(mode))
            r = result(chmod(p.text, mode & 07777));
        if (fs->model == NONE)
            r = 0;
    }
    close(fd);
    return r;
}

/* ---- files ---- */

int fs_open(FsLocal *fs, FsNode *n, int flags)
{
    struct stat st;
    if (fs->readonly && (flags & O_ACCMODE || flags & O_TRUNC))
        return -EROFS;
    if (fstatat(n->fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return S_ISLNK(st.st_mode) ? -ELOOP : -EPERM;       /* others are the guest's own affair */
    ProcPath p = proc_path(n->fd);
    int fd = open(p.text, (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int undo(int dir, const char *name, int r, int flags)
{
    if (r)
        unlinkat(dir, name, flags);
    return r;
}

int fs_create(FsLocal *fs, FsNode *dir, const char *name, int flags, uint32_t mode, FsCreds c, int *fd)
{
    if (fs->readonly)
        return -EROFS;
    if (!good_name(fs, name))
        return -EINVAL;
    *fd = openat(dir->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
                 mapped(fs) ? fs->fmode : mode & 07777);
    if (*fd < 0)
        return -errno;
    int r = undo(dir->fd, name, own(fs, dir->fd, name, (mode & 07777) | S_IFREG, 0, c), 0);
    if (r)
        close(*fd);
    return r;
}

/* Links and devices of the mapped models are files that hold what matters. */
static int make_file(FsLocal *fs, int dir, const char *name, const char *content)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fs->fmode);
    if (fd < 0)
        return -errno;
    size_t n = content ? strlen(content) : 0;
    int r = n && write(fd, content, n) != (ssize_t)n ? -EIO : 0;
    close(fd);
    return undo(dir, name, r, 0);
}

int fs_make(FsLocal *fs, FsNode *dir, const char *name, uint32_t mode, uint64_t rdev, const char *target,
            FsCreds c)
{
    int r;
    if (fs->readonly)
        return -EROFS;
    if (!good_name(fs, name))
        return -EINVAL;
    if (S_ISDIR(mode))
        r = result(mkdirat(dir->fd, name, mapped(fs) ? fs->dmode : mode & 07777));
    else if (mapped(fs))
        r = make_file(fs, dir->fd, name, target);
    else if (S_ISLNK(mode))
        r = result(symlinkat(target, dir->fd, name));
    else
        r = result(mknodat(dir->fd, name, mode, rdev));
    if (r)
        return r;
    return undo(dir->fd, name, own(fs, dir->fd, name, mode, rdev, c), S_ISDIR(mode) ? AT_REMOVEDIR : 0);
}

int fs_readlink(FsLocal *fs, FsNode *n, char *buf, size_t size)
{
    struct stat st;
    int r = fs_stat(fs, n, &st);
    if (r || !S_ISLNK(st.st_mode))
        return r ? r : -EINVAL;
    ssize_t k = readlinkat(n->fd, "", buf, size - 1);
    if (k < 0 && mapped(fs)) {
        int fd = fs_open(fs, n, O_RDONLY);
        if (fd < 0)
            return fd;
        k = read(fd, buf, size - 1);
        close(fd);
    }
    if (k < 0)
        return -errno;
    buf[k] = 0;
    return 0;
}

int fs_link(FsLocal *fs, FsNode *n, FsNode *dir, const char *name)
{
    if (fs->readonly)
        return -EROFS;
    if (!good_name(fs, name))
        return -EINVAL;
    ProcPath p = proc_path(n->fd);
    int r = result(linkat(AT_FDCWD, p.text, dir->fd, name, AT_SYMLINK_FOLLOW));
    if (!r && fs->model == MAPPED_FILE)
        r = undo(dir->fd, name, kept_link(fs->fd, n->fd, dir->fd, name), 0);
    return r;
}

int fs_unlink(FsLocal *fs, FsNode *dir, const char *name, bool folder)
{
    if (fs->readonly)
        return -EROFS;
    if (!good_name(fs, name))
        return -EINVAL;
    if (folder && fs->model == MAPPED_FILE)
        kept_before_rmdir(dir->fd, name);
    int r = result(unlinkat(dir->fd, name, folder ? AT_REMOVEDIR : 0));
    if (!r && fs->model == MAPPED_FILE)
        kept_unlink(dir->fd, name);
    return r;
}

int fs_rename(FsLocal *fs, FsNode *from, const char *old, FsNode *to, const char *name)
{
    if (fs->readonly)
        return -EROFS;
    if (!good_name(fs, old) || !good_name(fs, name))
        return -EINVAL;
    /* A folder that holds nothing but our notes is empty, and may be replaced. */
    if (fs->model == MAPPED_FILE)
        kept_before_rmdir(to->fd, name);
    int r = result(renameat(from->fd, old, to->fd, name));
    return r || fs->model != MAPPED_FILE ? r : kept_rename(from->fd, old, to->fd, name);
}

/* ---- changes ---- */

static int change_mapped(FsLocal *fs, FsNode *n, const FsChange *c)
{
    struct stat st;
    KeptPlace p = {.dir = -1};
    int r = fs_stat(fs, n, &st);
    Kept k = {(c->what & FS_MODE ? 1 << KEPT_MODE : 0) | (c->what & FS_UID ? 1 << KEPT_UID : 0) |
              (c->what & FS_GID ? 1 << KEPT_GID : 0),
              {[KEPT_UID] = c->uid, [KEPT_GID] = c->gid, [KEPT_MODE] = (st.st_mode & S_IFMT) | (c->mode & 07777)}};
    r = r ? r : kept_find(&p, fs->model == MAPPED_FILE, fs->fd, n->fd);
    r = r ? r : kept_put(&p, &k);
    kept_done(&p);
    return r;
}

static int change_real(FsLocal *fs, FsNode *n, const FsChange *c)
{
    ProcPath p = proc_path(n->fd);
    int r = 0;
    if (c->what & (FS_UID | FS_GID)) {
        r = result(fchownat(n->fd, "", c->what & FS_UID ? c->uid : (uid_t)-1,
                            c->what & FS_GID ? c->gid : (gid_t)-1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
        if (fs->model == NONE)
            r = 0;
    }
    if (!r && c->what & FS_MODE)
        r = result(chmod(p.text, c->mode & 07777));
    return r;
}

int fs_change(FsLocal *fs, FsNode *n, const FsChange *c)
{
    struct stat st;
    if (fs->readonly)
        return -EROFS;
    if (fstatat(n->fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    bool link = S_ISLNK(st.st_mode);
    if (link && c->what & (FS_MODE | FS_SIZE))
        return -EOPNOTSUPP;
    ProcPath p = proc_path(n->fd);
    int r = 0;
    if (c->what & (FS_MODE | FS_UID | FS_GID))
        r = mapped(fs) && !link ? change_mapped(fs, n, c) : change_real(fs, n, c);
    if (!r && c->what & FS_SIZE)
        r = S_ISREG(st.st_mode) ? result(truncate(p.text, (off_t)c->size)) : -EINVAL;
    if (!r && c->what & (FS_ATIME | FS_MTIME))
        r = result(link ? utimensat(n->fd, "", c->times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
                        : utimensat(AT_FDCWD, p.text, c->times, 0));
    return r;
}

/* ---- extended attributes ---- */

static bool hidden(const FsLocal *fs, const char *name)
{
    return mapped(fs) && fs->model != MAPPED_FILE && g_str_has_prefix(name, "user.virtfs.");
}

static int xattr_file(FsLocal *fs, FsNode *n)
{
    struct stat st;
    if (fstatat(n->fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? 0 : -EOPNOTSUPP;
}

static ssize_t list_xattrs(FsLocal *fs, const char *path, void *buf, size_t size)
{
    ssize_t n = listxattr(path, NULL, 0);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    g_autofree char *all = g_malloc((size_t)n);
    n = listxattr(path, all, (size_t)n);
    if (n < 0)
        return -errno;
    size_t used = 0;
    for (ssize_t at = 0; at < n;) {
        size_t k = strnlen(all + at, (size_t)(n - at)) + 1;
        if (!hidden(fs, all + at)) {
            if (buf && used + k > size)
                return -ERANGE;
            if (buf)
                memcpy((char *)buf + used, all + at, k);
            used += k;
        }
        at += (ssize_t)k;
    }
    return (ssize_t)used;
}

ssize_t fs_getxattr(FsLocal *fs, FsNode *n, const char *name, void *buf, size_t size)
{
    int r = xattr_file(fs, n);
    if (r)
        return r;
    ProcPath p = proc_path(n->fd);
    if (!*name)
        return list_xattrs(fs, p.text, buf, size);
    if (hidden(fs, name))
        return -ENODATA;
    ssize_t k = getxattr(p.text, name, buf, buf ? size : 0);
    return k < 0 ? -errno : k;
}

int fs_setxattr(FsLocal *fs, FsNode *n, const char *name, const void *buf, size_t size, int flags)
{
    int r = fs->readonly ? -EROFS : xattr_file(fs, n);
    if (r)
        return r;
    if (!*name || hidden(fs, name))
        return -EACCES;
    ProcPath p = proc_path(n->fd);
    return result(size ? setxattr(p.text, name, buf, size, flags) : removexattr(p.text, name));
}

/* ---- the object ---- */

static bool parse_mode(const char *text, uint32_t dflt, uint32_t *mode, GError **error)
{
    guint64 v = dflt;
    if (text && !g_ascii_string_to_unsigned(text, 8, 0, 0777, &v, NULL))
        return error_set(error, "'%s' is no file mode; expected octal digits such as 0644", text);
    *mode = (uint32_t)v;
    return true;
}

static void allow_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static bool complete(Object *o, GError **error)
{
    FsLocal *fs = (FsLocal *)o;
    struct stat st;
    if (!fs->path)
        return error_set(error, "fsdev '%s': path= is needed", o->name);
    fs->model = 0;
    while (fs->model < (int)G_N_ELEMENTS(models) && g_strcmp0(fs->model_text, models[fs->model]))
        fs->model++;
    if (fs->model == G_N_ELEMENTS(models))
        return error_set(error, "fsdev '%s': security_model=%s: expected passthrough, none, mapped-xattr or "
                         "mapped-file", o->name, fs->model_text ? fs->model_text : "");
    if (!parse_mode(fs->fmode_text, 0600, &fs->fmode, error) || !parse_mode(fs->dmode_text, 0700, &fs->dmode, error))
        return false;
    if (!mapped(fs) && (fs->fmode_text || fs->dmode_text))
        return error_set(error, "fsdev '%s': fmode= and dmode= are for security_model=mapped-xattr and mapped-file", o->name);
    fs->fd = open(fs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fs->fd < 0 || fstat(fs->fd, &st) < 0)
        return error_set_errno(error, errno, "fsdev '%s': %s", o->name, fs->path);
    fs->device = st.st_dev;
    fs->devices = g_array_new(FALSE, FALSE, sizeof(dev_t));
    allow_descriptors();        /* each file that a guest knows takes one */
    return true;
}

static void init(Object *o) { ((FsLocal *)o)->fd = -1; }

static void finish(Object *o)
{
    FsLocal *fs = (FsLocal *)o;
    if (fs->fd >= 0)
        close(fs->fd);
    if (fs->devices)
        g_array_unref(fs->devices);
    g_clear_pointer(&fs->odd, g_hash_table_unref);
}

static const Field fields[] = {
    HOST(FsLocal, object),
    PROP(FsLocal, path, "path", PROP_STRING, .desc = "the folder"),
    HOST(FsLocal, model),
    PROP(FsLocal, model_text, "security_model", PROP_STRING,
         .desc = "how the guest's owners and modes are kept"),
    PROP(FsLocal, multidevs, "multidevs", PROP_ENUM, .names = multis),
    PROP(FsLocal, readonly, "readonly", PROP_BOOL),
    PROP(FsLocal, fmode_text, "fmode", PROP_STRING, .desc = "mode of new files (mapped-*)"),
    PROP(FsLocal, dmode_text, "dmode", PROP_STRING, .desc = "mode of new folders (mapped-*)"),
    HOST(FsLocal, warned), HOST(FsLocal, fmode), HOST(FsLocal, dmode), HOST(FsLocal, fd),
    HOST(FsLocal, device), HOST(FsLocal, devices), HOST(FsLocal, odd),
};
static const ObjectType fsdev_local = {
    .name = "fsdev-local", .desc = "a folder for guests", .size = sizeof(FsLocal), .user_creatable = true,
    FIELDS(fields), .init = init, .complete = complete, .finish = finish,
};
OBJECT_TYPE(fsdev_local);
