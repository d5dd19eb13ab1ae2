/* SPDX-License-Identifier: Apache-2.0 */
/* Programs for disk images; each returns its exit status. */
#ifndef CONTROL_TOOLS_H
#define CONTROL_TOOLS_H

int img_main(int argc, char **argv);                    /* qemu-img */
int io_main(int argc, char **argv);                     /* qemu-io */
int nbd_main(int argc, char **argv);                    /* qemu-nbd */

#endif
