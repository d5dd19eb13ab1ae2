/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram sockets for dgram and socket. */
#ifndef NET_DGRAM_H
#define NET_DGRAM_H

#include <netinet/in.h>
#include "net/internal.h"

/* Opens and binds; the receiver's address goes into f->to. Either may be NULL. -1 with an error. */
int net_datagram(const SocketAddress *local, const SocketAddress *remote, NetFd *f, GError **error);
int net_multicast(const struct sockaddr_in *group, const struct in_addr *local, GError **error);

#endif
