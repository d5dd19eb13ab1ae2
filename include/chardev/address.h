/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets from the schema's addresses. All return a descriptor (close-on-exec) or -1 with an error. */
#ifndef CHARDEV_ADDRESS_H
#define CHARDEV_ADDRESS_H

#include <glib.h>
#include "qapi/qapi-types-sockets.h"

int address_listen(const SocketAddress *a, GError **error);
/* Blocks while connecting. */
int address_connect(const SocketAddress *a, GError **error);
/* A connected datagram socket; local may be NULL. */
int address_datagram(const SocketAddress *remote, const SocketAddress *local, GError **error);
SocketAddress *address_from_legacy(const SocketAddressLegacy *a);
char *address_text(const SocketAddress *a);

#endif
