/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists. */
#include "util/iov.h"
#include <stdbool.h>
#include <string.h>
#include <glib.h>

static size_t copy(const struct iovec *iov, unsigned n, size_t at, char *buf, size_t bytes, bool to_iov)
{
    size_t done = 0;
    for (unsigned i = 0; i < n && done < bytes; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t k = MIN(iov[i].iov_len - at, bytes - done);
        char *p = (char *)iov[i].iov_base + at;
        memcpy(to_iov ? p : buf + done, to_iov ? buf + done : p, k);
        done += k;
        at = 0;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t at, void *buf, size_t bytes)
{
    return copy(iov, n, at, buf, bytes, false);
}

size_t iov_write(const struct iovec *iov, unsigned n, size_t at, const void *buf, size_t bytes)
{
    return copy(iov, n, at, (char *)buf, bytes, true);
}

size_t iov_bytes(const struct iovec *iov, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

unsigned iov_slice(struct iovec *dst, unsigned max, const struct iovec *iov, unsigned n, size_t at,
                   size_t bytes)
{
    unsigned used = 0;
    for (unsigned i = 0; i < n && bytes && used < max; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t k = MIN(iov[i].iov_len - at, bytes);
        dst[used++] = (struct iovec){(char *)iov[i].iov_base + at, k};
        bytes -= k;
        at = 0;
    }
    return used;
}
