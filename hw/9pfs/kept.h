/* SPDX-License-Identifier: Apache-2.0 */
/* Owners, modes and device numbers that a guest gave to files, kept beside them; private to hw/9pfs. */
#ifndef HW_9PFS_KEPT_H
#define HW_9PFS_KEPT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { KEPT_UID, KEPT_GID, KEPT_MODE, KEPT_RDEV, KEPT_VALUES };

typedef struct Kept {
    unsigned has;               /* bits by number */
    uint64_t value[KEPT_VALUES];
} Kept;

/* Where it is kept: mapped-xattr in the file's extended attributes, mapped-file in .virtfs_metadata/NAME. */
typedef struct KeptPlace {
    char proc[32];              /* the file's path, for attributes; else */
    int dir;                    /* -1, or the folder, ours */
    bool root;                  /* the shared folder itself */
    char name[NAME_MAX + 1];
} KeptPlace;

/* All return 0 or a negative errno. The place of what an O_PATH descriptor is; root: the shared folder. */
int kept_find(KeptPlace *p, bool in_files, int root, int fd);
void kept_done(KeptPlace *p);
void kept_get(const KeptPlace *p, Kept *k);
/* What k->has names; the rest stays. */
int kept_put(const KeptPlace *p, const Kept *k);

/* For mapped-file: names that guests shall not see, and what goes along with changes of names. */
bool kept_is_name(const char *name);
int kept_link(int root, int from, int dir, const char *name);
void kept_unlink(int dir, const char *name);
void kept_before_rmdir(int dir, const char *name);
int kept_rename(int from, const char *old, int to, const char *name);

#endif
