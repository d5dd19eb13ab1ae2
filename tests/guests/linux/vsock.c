/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's half of the virtio socket test: a server that echoes until the peer says no more, and
 * clients, many at a time, that send, end and check what comes back. Linux man page vsock(7).
 *
 *   vsock listen PORT            serves; ends after a stream that begins with "quit"
 *   vsock connect CID PORT       10 MB and back, then a hundred small streams at once
 *   vsock whole CID PORT         10 MB and back, where no side can end its half alone
 *   vsock refused CID PORT       nobody listens there: must fail at once
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIG = 10000000, SMALL = 3000, CHUNK = 16384, MANY = 100 };

static uint8_t pattern(uint32_t seed, uint32_t at) { return (uint8_t)((at * 2654435761u + seed) >> 13); }

static int die(const char *what)
{
    fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
    return (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

static void echo(int fd)
{
    char buf[CHUNK];
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = write(fd, buf + at, (size_t)(n - at))) < 0)
                die("echo");
    if (n < 0)
        die("read");
    close(fd);
}

static void serve(unsigned port)
{
    struct sockaddr_vm a = address(VMADDR_CID_ANY, port);
    int s = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 128) < 0)
        die("listen");
    printf("MYNA-VSOCK listening\n");
    fflush(stdout);
    for (;;) {
        char first[4] = "";
        int fd = accept(s, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (recv(fd, first, 4, MSG_PEEK) == 4 && !memcmp(first, "quit", 4))
            break;
        if (fork() == 0) {
            echo(fd);
            exit(0);
        }
        close(fd);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
    while (wait(NULL) > 0) {
    }
}

static int connect_to(unsigned cid, unsigned port)
{
    struct sockaddr_vm a = address(cid, port);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends and checks at the same time: neither side may need the other to read first. `half`: our half of the stream
 * ends first, then the other's. */
static void check(int fd, uint32_t seed, uint32_t bytes, int half)
{
    uint32_t sent = 0, got = 0;
    uint8_t buf[CHUNK];
    while (got < bytes) {
        struct pollfd p = {.fd = fd, .events = POLLIN | (sent < bytes ? POLLOUT : 0)};
        if (poll(&p, 1, 30000) <= 0)
            die("nothing moves");
        if (p.revents & POLLOUT) {
            uint32_t n = bytes - sent < CHUNK ? bytes - sent : CHUNK;
            for (uint32_t i = 0; i < n; i++)
                buf[i] = pattern(seed, sent + i);
            ssize_t k = send(fd, buf, n, MSG_DONTWAIT);
            if (k < 0 && errno != EAGAIN)
                die("send");
            sent += k > 0 ? (uint32_t)k : 0;
            if (sent == bytes && half)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & POLLIN) {
            ssize_t k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
            if (k <= 0)
                die("the stream ended");
            for (ssize_t i = 0; i < k; i++)
                if (buf[i] != pattern(seed, got++)) {
                    fprintf(stderr, "vsock: byte %u is wrong\n", got - 1);
                    exit(1);
                }
        }
    }
    if (half && recv(fd, buf, 1, 0) != 0)
        die("no end after the end");
    close(fd);
}

static void many(unsigned cid, unsigned port)
{
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++)
        if ((fds[i] = connect_to(cid, port)) < 0)
            die("connect");
    for (unsigned i = 0; i < MANY; i++)
        check(fds[i], i, SMALL, 1);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "listen")) {
        serve((unsigned)atoi(argv[2]));
    } else if (argc == 4 && !strcmp(argv[1], "connect")) {
        unsigned cid = (unsigned)atoi(argv[2]), port = (unsigned)atoi(argv[3]);
        int fd = connect_to(cid, port);
        if (fd < 0)
            die("connect");
        check(fd, 1, BIG, 1);
        many(cid, port);
        if (connect_to(cid, port + 1) >= 0 || errno != ECONNRESET)
            die("a port where nobody listens");
    } else if (argc == 4 && !strcmp(argv[1], "whole")) {
        int fd = connect_to((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
        if (fd < 0)
            die("connect");
        check(fd, 1, BIG, 0);
    } else {
        return 2;
    }
    return 0;
}
