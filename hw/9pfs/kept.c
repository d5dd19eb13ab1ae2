/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mapped models keep beside files, in the form that QEMU's users have: extended attributes
 * user.virtfs.*, or for mapped-file a file .virtfs_metadata/NAME in the same folder with lines virtfs.uid=N,
 * and .virtfs_metadata_root for the shared folder itself.
 *
 * A file's name is the one that the kernel knows for its descriptor now; the way to it is walked anew from the
 * shared folder, name by name and never through a symbolic link.
 */
#include "hw/9pfs/kept.h"
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FOLDER ".virtfs_metadata"
#define ROOT_FILE ".virtfs_metadata_root"
enum { MAX_TEXT = 1024 };

static const struct { const char *name; unsigned size; } values[KEPT_VALUES] = {
    {"virtfs.uid", 4}, {"virtfs.gid", 4}, {"virtfs.mode", 4}, {"virtfs.rdev", 8},
};

static int result(int r) { return r < 0 ? -errno : 0; }

bool kept_is_name(const char *name) { return !strcmp(name, FOLDER) || !strcmp(name, ROOT_FILE); }

/* ---- the place ---- */

static bool path_of(int fd, char *path, size_t size)
{
    char proc[32];
    g_snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(proc, path, size);
    if (n <= 0 || (size_t)n >= size)
        return false;
    path[n] = 0;
    return true;
}

/* To the folder of the last name of a relative path. */
static int walk(int root, char *path, KeptPlace *p)
{
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
    for (char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        *slash = 0;
        int next = openat(fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    if (fd < 0)
        return -errno;
    p->dir = fd;
    g_strlcpy(p->name, path, sizeof(p->name));
    return 0;
}

int kept_find(KeptPlace *p, bool in_files, int root, int fd)
{
    char top[PATH_MAX], path[PATH_MAX];
    struct stat st;
    *p = (KeptPlace){.dir = -1};
    g_snprintf(p->proc, sizeof(p->proc), "/proc/self/fd/%d", fd);
    if (!in_files)
        return 0;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (!st.st_nlink || !path_of(root, top, sizeof(top)) || !path_of(fd, path, sizeof(path)))
        return -ENOENT;
    size_t n = strcmp(top, "/") ? strlen(top) : 0;
    p->root = !strcmp(top, path);
    if (p->root)
        return (p->dir = fcntl(root, F_DUPFD_CLOEXEC, 0)) < 0 ? -errno : 0;
    return strncmp(top, path, n) || path[n] != '/' ? -ENOENT : walk(root, path + n + 1, p);
}

void kept_done(KeptPlace *p)
{
    if (p->dir >= 0)
        close(p->dir);
    p->dir = -1;
}

/* ---- in files ---- */

static int open_folder(int dir, bool make)
{
    if (make && mkdirat(dir, FOLDER, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(dir, FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_file(const KeptPlace *p, int flags)
{
    flags |= O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (p->root)
        return openat(p->dir, ROOT_FILE, flags, 0600);
    int folder = open_folder(p->dir, flags & O_CREAT);
    int fd = folder < 0 ? -1 : openat(folder, p->name, flags, 0600), err = errno;
    if (folder >= 0)
        close(folder);
    errno = err;
    return fd;
}

static void parse(char *text, Kept *k)
{
    for (char *line = text, *next; *line; line = next) {
        next = strchrnul(line, '\n');
        next = *next ? (*next = 0, next + 1) : next;
        char *value = strchr(line, '=');
        for (unsigned i = 0; value && i < KEPT_VALUES; i++)
            if (!strncmp(line, values[i].name, (size_t)(value - line)) && !values[i].name[value - line]) {
                k->has |= 1u << i;
                k->value[i] = g_ascii_strtoull(value + 1, NULL, 10);
            }
    }
}

static void get_file(const KeptPlace *p, Kept *k)
{
    char text[MAX_TEXT];
    struct stat st;
    int fd = open_file(p, O_RDONLY);
    if (fd < 0)
        return;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof(text) - 1) : -1;
    close(fd);
    if (n < 0)
        return;
    text[n] = 0;
    parse(text, k);
}

static int put_file(const KeptPlace *p, const Kept *k)
{
    Kept all = {0};
    g_autoptr(GString) text = g_string_new(NULL);
    get_file(p, &all);
    for (unsigned i = 0; i < KEPT_VALUES; i++) {
        uint64_t value = k->has >> i & 1 ? k->value[i] : all.value[i];
        if ((k->has | all.has) >> i & 1)
            g_string_append_printf(text, "%s=%" G_GUINT64_FORMAT "\n", values[i].name, value);
    }
    int fd = open_file(p, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return -errno;
    int r = write(fd, text->str, text->len) == (ssize_t)text->len ? 0 : -EIO;
    close(fd);
    return r;
}

/* ---- in attributes ---- */

static void get_attributes(const KeptPlace *p, Kept *k)
{
    for (unsigned i = 0; i < KEPT_VALUES; i++) {
        g_autofree char *name = g_strconcat("user.", values[i].name, NULL);
        uint64_t v = 0;
        if (getxattr(p->proc, name, &v, values[i].size) != (ssize_t)values[i].size)
            continue;
        k->has |= 1u << i;
        k->value[i] = GUINT64_FROM_LE(v);
    }
}

static int put_attributes(const KeptPlace *p, const Kept *k)
{
    int r = 0;
    for (unsigned i = 0; i < KEPT_VALUES && !r; i++) {
        g_autofree char *name = g_strconcat("user.", values[i].name, NULL);
        uint64_t v = GUINT64_TO_LE(k->value[i]);
        if (k->has >> i & 1)
            r = result(setxattr(p->proc, name, &v, values[i].size, 0));
    }
    return r;
}

void kept_get(const KeptPlace *p, Kept *k)
{
    *k = (Kept){0};
    if (p->dir < 0)
        get_attributes(p, k);
    else
        get_file(p, k);
}

int kept_put(const KeptPlace *p, const Kept *k) { return p->dir < 0 ? put_attributes(p, k) : put_file(p, k); }

/* ---- names ---- */

int kept_link(int root, int from, int dir, const char *name)
{
    KeptPlace p;
    int r = kept_find(&p, true, root, from);
    int old = r ? -1 : open_folder(p.dir, false), new = old < 0 ? -1 : open_folder(dir, true);
    r = r || old < 0 ? 0 : new < 0 ? -errno : 0;        /* nothing is kept of it: nothing to do */
    if (new >= 0) {
        unlinkat(new, name, 0);
        if (linkat(old, p.name, new, name, 0) < 0 && errno != ENOENT)
            r = -errno;
        close(new);
    }
    if (old >= 0)
        close(old);
    kept_done(&p);
    return r;
}

void kept_unlink(int dir, const char *name)
{
    int folder = open_folder(dir, false);
    if (folder < 0)
        return;
    unlinkat(folder, name, 0);
    close(folder);
}

/* A folder in which there is nothing else is empty. */
void kept_before_rmdir(int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    unlinkat(fd, FOLDER, AT_REMOVEDIR);
    close(fd);
}

/* After the file itself was; what was kept of a file that it replaces goes. */
int kept_rename(int from, const char *old, int to, const char *name)
{
    int source = open_folder(from, false), target = open_folder(to, source >= 0), r = 0;
    if (target >= 0) {
        if (source < 0 || renameat(source, old, target, name) < 0) {
            r = source < 0 || errno == ENOENT ? 0 : -errno;
            if (!r)
                unlinkat(target, name, 0);
        }
        close(target);
    }
    if (source >= 0)
        close(source);
    return r;
}
