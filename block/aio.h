/* SPDX-License-Identifier: Apache-2.0 */
/* File I/O from fibers, by io_uring, libaio or threads; one engine of each kind per loop. */
#ifndef BLOCK_AIO_H
#define BLOCK_AIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "util/loop.h"

typedef enum AioOp { AIO_READ, AIO_WRITE, AIO_SYNC, AIO_PUNCH, AIO_ZERO } AioOp;

typedef struct AioRequest {
    AioOp op;
    int fd;
    const struct iovec *iov;
    unsigned n_iov;
    uint64_t offset, bytes;
} AioRequest;

typedef struct AioEngine {
    const char *name;
    /* NULL if it cannot be used here. */
    bool (*usable)(void);
    /* In a fiber on the loop: performs r, returns bytes or -errno. */
    int64_t (*run)(Loop *loop, const AioRequest *r);
    /* Holds submissions back until they are let go. May be NULL. */
    void (*plug)(Loop *loop, bool on);
} AioEngine;
extern const AioEngine aio_uring, aio_native, aio_threads;

/* One request by a blocking call; what the thread pool runs. */
int64_t aio_blocking(const AioRequest *r);

#endif
