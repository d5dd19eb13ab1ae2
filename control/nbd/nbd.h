/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-nbd: shared between its files. */
#ifndef CONTROL_NBD_NBD_H
#define CONTROL_NBD_NBD_H

#include "core/vm.h"
#include "qapi/qapi-types-sockets.h"

/* Prints what a server exports. */
bool nbd_list(const SocketAddress *address, Object *creds, const char *hostname, GError **error);

#endif
