/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations over a stream socket that a thread waits for. */
#include "util/socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

bool socket_wait(int sock, short events, int timeout_ms)
{
    struct pollfd p = {.fd = sock, .events = events};
    int n;

    while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR) {
    }
    return n > 0 && p.revents & events;
}

bool socket_recv_all(int sock, void *to, size_t bytes, int timeout_ms)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = recv(sock, (char *)to + done, bytes - done, MSG_DONTWAIT);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || (errno == EAGAIN ? !socket_wait(sock, POLLIN, timeout_ms) : errno != EINTR)) {
            return false;
        }
    }
    return true;
}
