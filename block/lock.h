/* SPDX-License-Identifier: Apache-2.0 */
/* Locks on image files, understood by QEMU's tools, too. */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include <stdbool.h>
#include <glib.h>

/* Locks for as long as fd is open. share: others may do anything. The error names who holds it. */
bool image_lock(int fd, const char *path, bool write, bool share, GError **error);

#endif
