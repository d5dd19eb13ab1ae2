/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets as a driver sees them, packet by packet. Spec: virtio 1.2, 5.10.6. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hw/virtio/vsock.h"
#include "tests/lib/virtio-guest.h"

enum { RX, TX, EVENT, CID = 7, PACKET = 512, BUFFERS = 8, CREDIT = 4096 };

typedef struct Rig {
    VirtioGuest *g;
    char *folder, *path;
    uint64_t buffer[GUEST_SIZE];        /* by descriptor id */
} Rig;

static void give_buffer(Rig *r)
{
    uint64_t pa = virtio_guest_room(r->g, PACKET);
    r->buffer[virtio_guest_offer(r->g, RX, (GuestBuffer[]){{pa, PACKET, true}}, 1) % GUEST_SIZE] = pa;
    virtio_guest_kick(r->g, RX);
}

static void rig_open(Rig *r)
{
    r->folder = g_dir_make_tmp("myna-vsock-XXXXXX", NULL);
    r->path = g_build_filename(r->folder, "v", NULL);
    r->g = virtio_guest("virtio-vsock-device", "guest-cid", "7", "path", r->path, NULL);
    g_assert_true(virtio_guest_start(r->g, 1, 3));
    for (unsigned i = 0; i < 4; i++)
        give_buffer(r);
    virtio_guest_step(r->g);
}

static void rig_close(Rig *r)
{
    virtio_guest_free(r->g);
    g_assert_cmpint(g_access(r->path, F_OK), !=, 0);
    g_rmdir(r->folder);
    g_free(r->path);
    g_free(r->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_close)

static void guest_says(Rig *r, uint16_t op, uint32_t guest_port, uint32_t host_port, uint32_t flags,
                       const void *data, uint32_t n)
{
    VsockHeader h = {CID, VSOCK_HOST, guest_port, host_port, n, VSOCK_STREAM, op, flags, CREDIT, 0};
    uint64_t pa = virtio_guest_room(r->g, sizeof(h) + n);
    GuestUsed u;
    virtio_guest_poke(r->g, pa, &h, sizeof(h));
    virtio_guest_poke(r->g, pa + sizeof(h), data, n);
    virtio_guest_offer(r->g, TX, (GuestBuffer[]){{pa, sizeof(h), false}, {pa + sizeof(h), n, false}},
                       n ? 2 : 1);
    virtio_guest_kick(r->g, TX);
    virtio_guest_step(r->g);
    g_assert_true(virtio_guest_used(r->g, TX, &u));
}

/* The next packet for the guest. */
static VsockHeader guest_hears(Rig *r, void *data)
{
    GuestUsed u;
    VsockHeader h = {0};
    for (unsigned i = 0; i < 2000 && !virtio_guest_used(r->g, RX, &u); i++) {
        virtio_guest_step(r->g);
        g_usleep(100);
        g_assert_cmpuint(i, <, 1999);
    }
    uint64_t pa = r->buffer[u.id % GUEST_SIZE];
    virtio_guest_peek(r->g, pa, &h, sizeof(h));
    g_assert_cmpuint(u.len, ==, sizeof(h) + h.len);
    g_assert_cmpuint(h.src_cid, ==, VSOCK_HOST);
    g_assert_cmpuint(h.dst_cid, ==, CID);
    if (data)
        virtio_guest_peek(r->g, pa + sizeof(h), data, h.len);
    give_buffer(r);
    return h;
}

static void assert_silence(Rig *r)
{
    GuestUsed u;
    virtio_guest_step(r->g);
    g_assert_false(virtio_guest_used(r->g, RX, &u));
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    return a;
}

static int client(Rig *r, const char *command)
{
    struct sockaddr_un a = address(r->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(send(fd, command, strlen(command), 0), ==, (ssize_t)strlen(command));
    virtio_guest_step(r->g);
    return fd;
}

static void assert_reads(int fd, const char *text)
{
    char buf[64] = "";
    ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    g_assert_cmpint(n, ==, (ssize_t)strlen(text));
    g_assert_cmpstr(buf, ==, text);
}

/* A client of the host reaches a port of the guest; data and ends in both directions. */
static void test_from_host(void)
{
    g_auto(Rig) r = {0};
    char data[PACKET] = "", ok[32];
    rig_open(&r);
    g_assert_cmphex(virtio_guest_reg(r.g, VMMIO_CONFIG), ==, CID);
    int fd = client(&r, "CONNECT 52\nearly");
    VsockHeader h = guest_hears(&r, NULL);
    g_assert_cmpuint(h.op, ==, VSOCK_REQUEST);
    g_assert_cmpuint(h.dst_port, ==, 52);
    assert_silence(&r);         /* nothing before the answer */
    guest_says(&r, VSOCK_RESPONSE, 52, h.src_port, 0, NULL, 0);
    g_snprintf(ok, sizeof(ok), "OK %u\n", h.src_port);
    assert_reads(fd, ok);
    uint32_t port = h.src_port;
    h = guest_hears(&r, data);
    g_assert_cmpuint(h.op, ==, VSOCK_RW);
    g_assert_cmpmem(data, h.len, "early", 5);
    guest_says(&r, VSOCK_RW, 52, port, 0, "hello", 5);
    assert_reads(fd, "hello");
    shutdown(fd, SHUT_WR);
    h = guest_hears(&r, NULL);
    g_assert_cmpuint(h.op, ==, VSOCK_SHUTDOWN);
    g_assert_cmpuint(h.flags, ==, VSOCK_NO_SEND);
    guest_says(&r, VSOCK_RW, 52, port, 0, "still", 5);
    assert_reads(fd, "still");
    guest_says(&r, VSOCK_SHUTDOWN, 52, port, VSOCK_NO_SEND | VSOCK_NO_RECEIVE, NULL, 0);
    h = guest_hears(&r, NULL);
    g_assert_cmpuint(h.op, ==, VSOCK_RST);
    assert_reads(fd, "");
    close(fd);
}

/* Credit stops what we send; a whole ring of data does not get lost. */
static void test_credit(void)
{
    g_auto(Rig) r = {0};
    g_autofree char *lots = g_malloc0(3 * CREDIT);
    rig_open(&r);
    int fd = client(&r, "CONNECT 1\n");
    VsockHeader h = guest_hears(&r, NULL);
    uint32_t port = h.src_port, got = 0;
    guest_says(&r, VSOCK_RESPONSE, 1, port, 0, NULL, 0);
    g_assert_cmpint(send(fd, lots, 3 * CREDIT, 0), ==, 3 * CREDIT);
    while ((h = guest_hears(&r, NULL)).op == VSOCK_RW)
        got += h.len;
    g_assert_cmpuint(h.op, ==, VSOCK_CREDIT_REQUEST);
    g_assert_cmpuint(got, ==, CREDIT);
    assert_silence(&r);
    close(fd);
}

/* The guest reaches a socket of the host, and one that is not there; a liar is cut off. */
static void test_from_guest(void)
{
    g_auto(Rig) r = {0};
    rig_open(&r);
    guest_says(&r, VSOCK_REQUEST, 9, 80, 0, NULL, 0);
    g_assert_cmpuint(guest_hears(&r, NULL).op, ==, VSOCK_RST);
    g_autofree char *path = g_strconcat(r.path, "_80", NULL);
    struct sockaddr_un a = address(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(listen(listener, 4), ==, 0);
    guest_says(&r, VSOCK_REQUEST, 9, 80, 0, NULL, 0);
    VsockHeader h = guest_hears(&r, NULL);
    g_assert_cmpuint(h.op, ==, VSOCK_RESPONSE);
    int fd = accept(listener, NULL, NULL);
    guest_says(&r, VSOCK_RW, 9, 80, 0, "one", 3);
    guest_says(&r, VSOCK_RW, 9, 80, 0, "two", 3);
    assert_reads(fd, "onetwo");
    guest_says(&r, VSOCK_CREDIT_REQUEST, 9, 80, 0, NULL, 0);
    h = guest_hears(&r, NULL);
    g_assert_cmpuint(h.op, ==, VSOCK_CREDIT_UPDATE);
    g_assert_cmpuint(h.fwd_cnt, ==, 6);
    guest_says(&r, VSOCK_SHUTDOWN, 9, 80, VSOCK_NO_SEND, NULL, 0);
    assert_reads(fd, "");
    guest_says(&r, VSOCK_RW, 9, 80, 0, "liar", 4);
    g_assert_cmpuint(guest_hears(&r, NULL).op, ==, VSOCK_RST);
    guest_says(&r, VSOCK_RW, 9, 80, 0, "stray", 5);
    g_assert_cmpuint(guest_hears(&r, NULL).op, ==, VSOCK_RST);
    guest_says(&r, VSOCK_RST, 9, 80, 0, NULL, 0);       /* never answered by another */
    assert_silence(&r);
    close(fd);
    close(listener);
    g_unlink(path);
}

/* What is no command ends a client; a restored machine's guest hears that its streams are gone. */
static void test_odd(void)
{
    g_auto(Rig) r = {0};
    GuestUsed u;
    rig_open(&r);
    static const char *const bad[] = {"HELLO\n", "CONNECT x\n", "CONNECT 4294967296\n",
                                      "CONNECT 1111111111111111111111111111111111111111"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = client(&r, bad[i]);
        char byte;
        g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), <=, 0);
        close(fd);
    }
    assert_silence(&r);
    uint64_t pa = virtio_guest_room(r.g, 16);
    virtio_guest_offer(r.g, EVENT, (GuestBuffer[]){{pa, 4, true}}, 1);
    device_type(r.g->card)->restored(r.g->card);
    virtio_guest_kick(r.g, EVENT);
    virtio_guest_step(r.g);
    g_assert_true(virtio_guest_used(r.g, EVENT, &u));
    g_assert_cmpuint(u.len, ==, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-vsock/from-host", test_from_host);
    g_test_add_func("/virtio-vsock/credit", test_credit);
    g_test_add_func("/virtio-vsock/from-guest", test_from_guest);
    g_test_add_func("/virtio-vsock/odd", test_odd);
    return g_test_run();
}
