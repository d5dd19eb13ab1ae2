/* SPDX-License-Identifier: Apache-2.0 */
/* Programs for disk images; each returns its exit status. */
#ifndef CONTROL_TOOLS_H
#define CONTROL_TOOLS_H

#include <glib.h>
#include <stdbool.h>

int img_main(int argc, char **argv);                    /* qemu-img */
int io_main(int argc, char **argv);                     /* qemu-io */
/* A line of qemu-io for a node that is open; what it says is appended. False: it failed. */
struct BlockNode;
bool io_run(struct BlockNode *n, const char *line, GString *out);
int nbd_main(int argc, char **argv);                    /* qemu-nbd */

#endif
