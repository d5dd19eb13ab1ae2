/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: what a client sends to the NBD server, from its first byte on or behind a good beginning. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "block/nbd-server.h"
#include "core/testing.h"
#include "fuzz.h"
#include "util/bytes.h"

enum { FLAGS = 1, STRUCTURED = 2, CHOSEN = 4, REQUESTS = 8, READ_ONLY = 16, HEAD = 28, MAX_STEPS = 20000 };

static const uint8_t flags[] = {0, 0, 0, 3};
static const char structured[] = "IHAVEOPT\0\0\0\x8\0\0\0\0"
                                 "IHAVEOPT\0\0\0\xa\0\0\0\x1c\0\0\0\1e\0\0\0\1\0\0\0\xf" "base:allocation";
static const char chosen[] = "IHAVEOPT\0\0\0\7\0\0\0\7\0\0\0\1e\0\0";

static void append(GByteArray *all, const void *data, size_t n) { g_byte_array_append(all, data, (guint)n); }

/* Requests with their magic number, so that the rest of them counts. */
static void append_requests(GByteArray *all, const uint8_t *data, size_t size)
{
    while (size >= 12) {
        uint8_t h[HEAD] = {0};
        put_be32(h, 0x25609513);
        put_be16(h + 4, data[0] & 15);
        put_be16(h + 6, data[1] % 10);
        put_be64(h + 16, (uint64_t)data[2] << (data[3] & 63) | data[4]);
        put_be32(h + 24, data[1] % 10 == 1 ? data[5] : (uint32_t)data[5] << (data[6] & 31));
        append(all, h, sizeof(h));
        data += 7;
        size -= 7;
        if (h[7] == 1) {
            size_t n = MIN(size, get_be32(h + 24));
            append(all, data, n);
            data += n;
            size -= n;
        }
    }
}

static int listen_here(struct sockaddr_un *a, socklen_t *n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    *n = sizeof(a->sun_family);                 /* the kernel finds a name */
    if (bind(fd, (struct sockaddr *)a, *n) < 0 || listen(fd, 1) < 0) {
        close(fd);
        return -1;
    }
    *n = sizeof(*a);
    getsockname(fd, (struct sockaddr *)a, n);
    return fd;
}

/* Sends and reads until the server has had enough. */
static void talk(TestDevice *t, int fd, const GByteArray *all)
{
    size_t sent = 0;
    char buf[65536];
    for (unsigned i = 0; i < MAX_STEPS; i++) {
        ssize_t n = sent < all->len ? send(fd, all->data + sent, all->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        sent += (size_t)MAX(n, 0);
        if (sent == all->len) {
            shutdown(fd, SHUT_WR);
        }
        loop_step(t->loop, false);
        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_un address;
    socklen_t n_address;
    uint8_t how = size ? *data : 0;
    int listener = size > 1 && size < 1 << 16 ? listen_here(&address, &n_address) : -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || connect(fd, (struct sockaddr *)&address, n_address) < 0) {
        close(fd);
        if (listener >= 0) {
            close(listener);
        }
        return 0;
    }
    g_autoptr(GByteArray) all = g_byte_array_new();
    append(all, flags, how & (FLAGS | STRUCTURED | CHOSEN) ? sizeof(flags) : 0);
    append(all, structured, how & STRUCTURED ? sizeof(structured) - 1 : 0);
    append(all, chosen, how & CHOSEN ? sizeof(chosen) - 1 : 0);
    if (how & REQUESTS) {
        append_requests(all, data + 1, size - 1);
    } else {
        append(all, data + 1, size - 1);
    }

    TestDevice *t = test_machine();
    BlockdevOptionsNull null = {.has_size = true, .size = 1 << 20, .has_read_zeroes = true, .read_zeroes = true};
    BlockdevOptions o = {.driver = BLOCKDEV_DRIVER_NULL_CO, .node_name = (char *)"n", .u.null_co = &null};
    NbdServerOptions options = {.listener = listener, .max_connections = 1};
    NbdServer *s = nbd_server_new(t->vm, &options);
    NbdExportOptions e = {.name = "e", .description = "words", .writable = !(how & READ_ONLY), .offset = 512};
    BlockNode *node = block_open(t->vm, &o, NULL);
    if (node && nbd_export_new(s, node, &e, NULL)) {
        talk(t, fd, all);
    }
    close(fd);
    nbd_server_free(s);
    test_device_free(t);
    return 0;
}

const char *const fuzz_words[] = {"NBDMAGIC", "IHAVEOPT", "base:allocation", NULL};
