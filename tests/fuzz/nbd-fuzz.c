/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: what an NBD server answers, from its greeting on or, with a good one put before, to
 * requests. All answers are there before anything is asked, then the connection ends. */
#include <sys/socket.h>
#include <unistd.h>

#include "block/internal.h"
#include "core/testing.h"
#include "fuzz.h"
#include "util/fdstore.h"

enum { PIECE = 3000 };

/* Greeting, export of 1 MiB that can do everything, acknowledgement. */
static const uint8_t greeting[] =
    "NBDMAGICIHAVEOPT\0\3"
    "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\14" "\0\0" "\0\0\0\0\0\x10\0\0" "\0\x6d"
    "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\1\0\0\0\0";

static void requests(BlockNode *n)
{
    uint8_t buf[PIECE] = {0};
    uint64_t size = block_size(n);

    for (unsigned i = 0; i < 3 && size >= PIECE; i++) {
        block_read_buf(n, i * 1000, buf, PIECE);
        block_write_buf(n, size - PIECE, buf, PIECE);
        block_write_zeroes(n, 512, PIECE, BLOCK_MAY_UNMAP);
        block_discard(n, 0, PIECE);
        block_flush(n);
    }
}

/* Good heads of answers before what the input has, so that data and errors are reached. */
static void answers(int fd, const uint8_t *data, size_t size)
{
    for (uint64_t handle = 0; size; handle++) {
        uint8_t head[16] = {0x67, 0x44, 0x66, 0x98, 0, 0, 0, *data & 0x1f};
        size_t n = MIN(size, 1 + (size_t)(*data >> 5) * 500);
        head[15] = (uint8_t)handle;
        if (send(fd, head, sizeof(head), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ||
            send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            return;
        }
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (size < 2 || size > 1 << 16 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    g_autofree char *number = g_strdup_printf("%d", pair[0]);
    bool greeted = *data & 1;
    ssize_t n = greeted ? send(pair[1], greeting, sizeof(greeting) - 1, 0) : 0;
    if (*data & 2) {
        answers(pair[1], data + 1, size - 1);
    } else if (n >= 0 && send(pair[1], data + 1, size - 1, 0) < 0) {
        return 0;
    }
    shutdown(pair[1], SHUT_WR);

    TestDevice *t = test_machine();
    FdStore *fds = t->vm->fds = fd_store_new();
    FdSocketAddress text = {.str = number};
    SocketAddress at = {.type = SOCKET_ADDRESS_TYPE_FD, .u.fd = &text};
    BlockdevOptionsNbd nbd = {.server = &at};
    BlockdevOptions o = {.driver = BLOCKDEV_DRIVER_NBD, .has_auto_read_only = true, .auto_read_only = true,
                         .u.nbd = &nbd};
    BlockNode *node = block_open(t->vm, &o, NULL);
    if (node) {
        requests(node);
        block_free(node);
    }
    close(pair[1]);
    test_device_free(t);
    fd_store_free(fds);
    return 0;
}

const char *const fuzz_words[] = {NULL};
