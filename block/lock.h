/* SPDX-License-Identifier: Apache-2.0 */
/* Locks on image files, understood by QEMU's tools, too. */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include <stdbool.h>
#include <glib.h>

/* What fd does with the image and what others may do meanwhile, as BLOCK_USE_*; replaces what was said
 * before, and ends when fd is closed. The error names who holds it, and then nothing has changed. */
bool image_lock(int fd, const char *path, unsigned uses, unsigned shares, GError **error);

#endif
