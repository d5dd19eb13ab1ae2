/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders of the host for guests (-fsdev local); private to hw/9pfs. All functions return 0 or a negative
 * errno. A node is an O_PATH descriptor, reached from the shared folder name by name and never through a
 * symbolic link, so whatever a guest or another process does to names meanwhile, nothing outside of the
 * folder is reached. Home: the device's loop.
 */
#ifndef HW_9PFS_LOCAL_H
#define HW_9PFS_LOCAL_H

#include <sys/stat.h>
#include "core/object.h"

typedef struct FsLocal FsLocal;
typedef struct FsNode FsNode;

struct FsNode {
    FsNode *parent;             /* NULL: the shared folder */
    int fd, refs;
};

/* Who creates, for the models that keep owners. */
typedef struct FsCreds {
    uint32_t uid, gid;
} FsCreds;
enum { FS_MODE = 1, FS_UID = 2, FS_GID = 4, FS_SIZE = 8, FS_ATIME = 16, FS_MTIME = 32 };
typedef struct FsChange {
    unsigned what;
    uint32_t mode, uid, gid;
    uint64_t size;
    struct timespec times[2];
} FsChange;

FsNode *fs_root(FsLocal *fs);
FsNode *fs_ref(FsNode *n);
void fs_unref(FsNode *n);
/* One component; ".." stays within. */
int fs_walk(FsLocal *fs, FsNode *dir, const char *name, FsNode **out);
int fs_stat(FsLocal *fs, FsNode *n, struct stat *st);
/* The file's number among all that are shared. */
int fs_qid_path(FsLocal *fs, const struct stat *st, uint64_t *path);
/* flags of open(2); an ordinary descriptor. */
int fs_open(FsLocal *fs, FsNode *n, int flags);
int fs_create(FsLocal *fs, FsNode *dir, const char *name, int flags, uint32_t mode, FsCreds c, int *fd);
int fs_make(FsLocal *fs, FsNode *dir, const char *name, uint32_t mode, uint64_t rdev, const char *target,
            FsCreds c);        /* a folder, device or symbolic link, by the kind in mode */
int fs_readlink(FsLocal *fs, FsNode *n, char *buf, size_t size);
int fs_link(FsLocal *fs, FsNode *n, FsNode *dir, const char *name);
int fs_unlink(FsLocal *fs, FsNode *dir, const char *name, bool folder);
int fs_rename(FsLocal *fs, FsNode *from, const char *old, FsNode *to, const char *name);
int fs_change(FsLocal *fs, FsNode *n, const FsChange *c);
/* name "": the list of names. Bytes, or a negative errno; buf NULL: how many there are. */
ssize_t fs_getxattr(FsLocal *fs, FsNode *n, const char *name, void *buf, size_t size);
int fs_setxattr(FsLocal *fs, FsNode *n, const char *name, const void *buf, size_t size, int flags);

#endif
