/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that clients passed in: under a name (getfd) or in numbered sets (add-fd, -add-fd). */
#ifndef UTIL_FDSTORE_H
#define UTIL_FDSTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

/* One per Vm. All functions may be called on any thread. Where a store may be NULL it is empty. */
typedef struct FdStore FdStore;

FdStore *fd_store_new(void);
/* Closes all descriptors that were not taken. */
void fd_store_free(FdStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdStore, fd_store_free)

/* Takes over `fd`, under a name that must not begin with a digit; an older one of that name is
 * closed. On failure the descriptor remains the caller's. */
bool fd_store_put(FdStore *store, const char *name, int fd, GError **error);
/* Gives a descriptor away, by its name or, if the text is a number, an inherited one; -1: none. */
int fd_store_take(FdStore *store, const char *name, GError **error);
bool fd_store_close(FdStore *store, const char *name, GError **error);

/* Puts `fd` (taken over) into a set, a new one if `set` is negative; returns the set's number, or
 * -1. `opaque` is a note for the client, or NULL. */
int64_t fd_store_add(FdStore *store, int64_t set, int fd, const char *opaque, GError **error);
/* Removes one descriptor, or all of a set if `fd` is negative. Those opened from it live on. */
bool fd_store_remove(FdStore *store, int64_t set, int64_t fd, GError **error);
/* Calls `each` for all descriptors, set by set in ascending order. */
void fd_store_foreach(FdStore *store,
                      void (*each)(int64_t set, int fd, const char *opaque, void *data), void *data);

/* Opens a file as open(2) does, with close-on-exec; "/dev/fdset/N" gives a duplicate of the set's
 * descriptor that has the access mode of `flags`. -1 and error if it fails. */
int fd_store_open(FdStore *store, const char *path, int flags, mode_t mode, GError **error);

#endif
