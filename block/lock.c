/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image locks as open-file-description locks on single bytes: 100 + p says "I use permission p",
 * 200 + p says "nobody else may". Observed of QEMU, so that both respect each other.
 */
#include "block/lock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>
#include <sys/stat.h>
#include "block/block.h"
#include "util/error.h"

enum { USES = 100, DENIES = 200, CONSISTENT_READ = 0, WRITE = 1, RESIZE = 3, PERMISSIONS = 4 };

static struct flock range(short type, unsigned at)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

static bool take(int fd, unsigned at)
{
    struct flock l = range(F_RDLCK, at);
    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* Whether somebody else has a lock there. */
static bool held_by_other(int fd, unsigned at)
{
    struct flock l = range(F_WRLCK, at);
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* ---- who holds it: /proc/PID/fdinfo names locks with their inode ---- */

static bool process_locks(const char *pid, const char *inode)
{
    g_autofree char *dir = g_strdup_printf("/proc/%s/fdinfo", pid);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL), *text = NULL;
        if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "OFDLCK") &&
            strstr(text, inode))
            return true;
    }
    return false;
}

static void name_holder(int fd, GError **error)
{
    struct stat st;
    const char *pid;
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    g_autofree char *self = g_strdup_printf("%d", (int)getpid());
    if (!proc || fstat(fd, &st) < 0)
        return;
    g_autofree char *inode = g_strdup_printf(":%llu ", (unsigned long long)st.st_ino);
    while ((pid = g_dir_read_name(proc))) {
        if (!g_ascii_isdigit(*pid) || !strcmp(pid, self) || !process_locks(pid, inode))
            continue;
        g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid), *line = NULL;
        size_t n;
        if (!g_file_get_contents(path, &line, &n, NULL))
            continue;
        for (size_t i = 0; i + 1 < n; i++)
            if (!line[i])
                line[i] = ' ';
        error_append(error, "; process %s holds it: %s", pid, line);
        return;
    }
}

static bool conflict(int fd, const char *path, const char *what, GError **error)
{
    error_set(error, "Failed to get \"%s\" lock on '%s': Is another process using the image?", what, path);
    name_holder(fd, error);
    return false;
}

static const char *const names[PERMISSIONS] = {"consistent read", "write", "write unchanged", "resize"};

/* Our permissions in QEMU's bits. */
static unsigned as_bits(unsigned uses)
{
    return (uses & BLOCK_USE_READ ? 1u << CONSISTENT_READ : 0) | (uses & BLOCK_USE_WRITE ? 1u << WRITE : 0) |
           (uses & BLOCK_USE_RESIZE ? 1u << RESIZE : 0);
}

/* Keeps just those bytes locked. */
static void give_back(int fd, unsigned uses, unsigned denies)
{
    for (unsigned p = 0; p < PERMISSIONS; p++) {
        struct flock use = range(F_UNLCK, USES + p), deny = range(F_UNLCK, DENIES + p);
        if (!(uses & 1u << p))
            fcntl(fd, F_OFD_SETLK, &use);
        if (!(denies & 1u << p))
            fcntl(fd, F_OFD_SETLK, &deny);
    }
}

bool image_lock(int fd, const char *path, unsigned uses_, unsigned shares, GError **error)
{
    unsigned uses = as_bits(uses_), denies = as_bits(BLOCK_USE_ALL & ~shares);
    for (unsigned p = 0; p < PERMISSIONS; p++) {
        bool ok = (!(uses & 1u << p) || take(fd, USES + p)) &&
                  (!(denies & 1u << p) || take(fd, DENIES + p));
        if (!ok && (errno == EAGAIN || errno == EACCES))
            return conflict(fd, path, names[p], error);
        if (!ok)
            return true;        /* a file system without locks */
    }
    for (unsigned p = 0; p < PERMISSIONS; p++)
        if ((uses & 1u << p && held_by_other(fd, DENIES + p)) ||
            (denies & 1u << p && held_by_other(fd, USES + p)))
            return conflict(fd, path, names[p], error);
    give_back(fd, uses, denies);
    return true;
}
