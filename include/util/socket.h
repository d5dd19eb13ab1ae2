/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations over a stream socket that a thread waits for. Blocks the calling thread; any thread. */
#ifndef UTIL_SOCKET_H
#define UTIL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/* Waits at most timeout_ms for one of poll()'s events. */
bool socket_wait(int sock, short events, int timeout_ms);
/* All of `bytes`; false on an end, an error, or when nothing comes for timeout_ms. */
bool socket_recv_all(int sock, void *to, size_t bytes, int timeout_ms);

#endif
