/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that clients passed in, by name and in sets (QMP: getfd, add-fd; -add-fd). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fdstore.h"

typedef struct Entry {
    int64_t set;
    int fd;
    char *opaque;
} Entry;

struct FdStore {
    GMutex lock;
    GHashTable *named; /* name -> fd + 1 */
    GArray *entries;   /* of Entry, ascending by set */
};

static void clear_entry(gpointer data)
{
    Entry *e = data;

    close(e->fd);
    g_free(e->opaque);
}

static void close_named(gpointer value)
{
    close(GPOINTER_TO_INT(value) - 1);
}

FdStore *fd_store_new(void)
{
    FdStore *s = g_new0(FdStore, 1);

    g_mutex_init(&s->lock);
    s->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_named);
    s->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_array_set_clear_func(s->entries, clear_entry);
    return s;
}

void fd_store_free(FdStore *s)
{
    if (s != NULL) {
        g_hash_table_unref(s->named);
        g_array_unref(s->entries);
        g_mutex_clear(&s->lock);
        g_free(s);
    }
}

bool fd_store_put(FdStore *s, const char *name, int fd, GError **error)
{
    if (*name == '\0' || g_ascii_isdigit(*name)) {
        return error_set(error, "Parameter 'fdname' expects a name not starting with a digit");
    }
    g_mutex_lock(&s->lock);
    g_hash_table_replace(s->named, g_strdup(name), GINT_TO_POINTER(fd + 1));
    g_mutex_unlock(&s->lock);
    return true;
}

/* The descriptor of a name, removed from the table, or -1. */
static int steal(FdStore *s, const char *name)
{
    gpointer key = NULL, value = NULL;

    if (s != NULL) {
        g_mutex_lock(&s->lock);
        g_hash_table_steal_extended(s->named, name, &key, &value);
        g_mutex_unlock(&s->lock);
        g_free(key);
    }
    return GPOINTER_TO_INT(value) - 1;
}

int fd_store_take(FdStore *s, const char *name, GError **error)
{
    guint64 number;

    if (!g_ascii_isdigit(*name)) {
        int fd = steal(s, name);
        if (fd < 0) {
            error_set(error, "File descriptor named '%s' not found", name);
        }
        return fd;
    }
    if (!g_ascii_string_to_unsigned(name, 10, 0, INT_MAX, &number, NULL)) {
        error_set(error, "'%s' is no file descriptor", name);
        return -1;
    }
    if (fcntl(number, F_GETFD) < 0) {
        error_set_errno(error, errno, "File descriptor %s cannot be used", name);
        return -1;
    }
    return number;
}

bool fd_store_close(FdStore *s, const char *name, GError **error)
{
    int fd = steal(s, name);

    if (fd < 0) {
        return error_set(error, "File descriptor named '%s' not found", name);
    }
    close(fd);
    return true;
}

static Entry *entry(FdStore *s, guint i)
{
    return &g_array_index(s->entries, Entry, i);
}

/* The lowest number that no set has. */
static int64_t free_set(FdStore *s)
{
    int64_t set = 0;

    for (guint i = 0; i < s->entries->len && entry(s, i)->set <= set; i++) {
        set = entry(s, i)->set + 1;
    }
    return set;
}

int64_t fd_store_add(FdStore *s, int64_t set, int fd, const char *opaque, GError **error)
{
    g_mutex_lock(&s->lock);
    if (set < 0) {
        set = free_set(s);
    }
    Entry e = { set, fd, g_strdup(opaque) };
    guint at = 0;
    while (at < s->entries->len && entry(s, at)->set <= set) {
        at++;
    }
    g_array_insert_val(s->entries, at, e);
    g_mutex_unlock(&s->lock);
    return set;
}

bool fd_store_remove(FdStore *s, int64_t set, int64_t fd, GError **error)
{
    bool found = false;

    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->entries->len;) {
        if (entry(s, i)->set == set && (fd < 0 || entry(s, i)->fd == fd)) {
            g_array_remove_index(s->entries, i);
            found = true;
        } else {
            i++;
        }
    }
    g_mutex_unlock(&s->lock);
    if (found) {
        return true;
    }
    g_autofree char *which = fd < 0 ? g_strdup("") : g_strdup_printf(", fd:%" G_GINT64_FORMAT, fd);
    return error_set(error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "%s' not found",
                     set, which);
}

void fd_store_foreach(FdStore *s, void (*each)(int64_t set, int fd, const char *opaque, void *data),
                      void *data)
{
    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->entries->len; i++) {
        each(entry(s, i)->set, entry(s, i)->fd, entry(s, i)->opaque, data);
    }
    g_mutex_unlock(&s->lock);
}

/* A duplicate of a descriptor of the set, -1 and errno EACCES: none with this access mode. */
static int duplicate(FdStore *s, int64_t set, int flags)
{
    int fd = -1;

    errno = ENOENT;
    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->entries->len && fd < 0; i++) {
        if (entry(s, i)->set != set) {
            continue;
        }
        int has = fcntl(entry(s, i)->fd, F_GETFL);
        if (has >= 0 && (has & O_ACCMODE) == (flags & O_ACCMODE)) {
            fd = fcntl(entry(s, i)->fd, F_DUPFD_CLOEXEC, 0);
        } else {
            errno = EACCES;
        }
    }
    g_mutex_unlock(&s->lock);
    return fd;
}

/* What open() would have set on the open file that duplicates share. */
static int apply_flags(int fd, int flags)
{
    const int settable = O_APPEND | O_NONBLOCK | O_DIRECT;
    int has = fcntl(fd, F_GETFL);

    if ((has & settable) != (flags & settable) &&
        fcntl(fd, F_SETFL, (has & ~settable) | (flags & settable)) < 0) {
        return -1;
    }
    return flags & O_TRUNC ? ftruncate(fd, 0) : 0;
}

int fd_store_open(FdStore *s, const char *path, int flags, mode_t mode, GError **error)
{
    static const char prefix[] = "/dev/fdset/";
    guint64 set;

    if (!g_str_has_prefix(path, prefix)) {
        int fd = open(path, flags | O_CLOEXEC, mode);
        if (fd < 0) {
            error_set_errno(error, errno, "Could not open '%s'", path);
        }
        return fd;
    }
    if (s == NULL || !g_ascii_string_to_unsigned(path + strlen(prefix), 10, 0, INT64_MAX, &set,
                                                 NULL)) {
        error_set(error, "Could not open '%s': there is no such set of descriptors", path);
        return -1;
    }
    int fd = duplicate(s, set, flags);
    if (fd < 0) {
        error_set(error, errno == EACCES
                             ? "Could not open '%s': the set has no descriptor that is open for %s"
                             : "Could not open '%s': there is no such set of descriptors",
                  path,
                  (flags & O_ACCMODE) == O_RDONLY   ? "reading only"
                  : (flags & O_ACCMODE) == O_WRONLY ? "writing only"
                                                    : "reading and writing");
        return -1;
    }
    if (apply_flags(fd, flags) < 0) {
        error_set_errno(error, errno, "Could not open '%s'", path);
        close(fd);
        return -1;
    }
    return fd;
}
