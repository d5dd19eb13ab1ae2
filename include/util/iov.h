/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists: copying from and to them, and parts of them. */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* Bytes [at, at+bytes) of the list, or as many as there are; returns how many. */
size_t iov_read(const struct iovec *iov, unsigned n, size_t at, void *buf, size_t bytes);
size_t iov_write(const struct iovec *iov, unsigned n, size_t at, const void *buf, size_t bytes);
size_t iov_bytes(const struct iovec *iov, unsigned n);
/* Describes bytes [at, at+bytes) of iov in dst; returns entries used. */
unsigned iov_slice(struct iovec *dst, unsigned max, const struct iovec *iov, unsigned n, size_t at, size_t bytes);

#endif
