/* SPDX-License-Identifier: Apache-2.0 */
/* Back ends against socket pairs, a card that is made of callbacks, and what is typed wrongly. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/testing.h"
#include "net/internal.h"

enum { FRAME = 60, LAST = 2048 };

typedef struct Card {
    NetClient c;
    unsigned received, resumed;
    bool full;
    uint8_t last[LAST];
    size_t bytes;
} Card;

static bool card_receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    Card *k = (Card *)c;
    const uint8_t *data;
    uint8_t buf[NET_MAX_PACKET];
    if (k->full)
        return false;
    k->bytes = net_linear(iov, n, &data, buf);
    memcpy(k->last, data, MIN(k->bytes, sizeof(k->last)));
    k->received++;
    return true;
}

static void card_resume(NetClient *c) { ((Card *)c)->resumed++; }

static const NetClientOps card_ops = {.receive = card_receive, .resume = card_resume};

static Card *card(TestDevice *t, const char *netdev)
{
    Card *k = g_new0(Card, 1);
    net_client_init(&k->c, t->vm, &card_ops, "card");
    k->c.is_nic = true;
    if (netdev)
        net_connect(&k->c, &netdev_find(t->vm, netdev)->client);
    return k;
}

static void card_free(Card *k)
{
    net_client_finish(&k->c);
    g_free(k);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Card, card_free)

static void step(TestDevice *t)
{
    while (loop_step(t->loop, false))
        ;
}

static void add(TestDevice *t, const char *text)
{
    g_autoptr(GError) error = NULL;
    netdev_add_option(t->vm, text, &error);
    g_assert_no_error(error);
}

static void refused(TestDevice *t, const char *text, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(netdev_add_option(t->vm, text, &error));
    g_assert_nonnull(strstr(error->message, why));
}

static bool send_bytes(NetClient *c, const void *p, size_t n)
{
    struct iovec iov[2] = {{(void *)p, n / 2}, {(char *)p + n / 2, n - n / 2}};
    return net_send(c, iov, 2);
}

static void test_queue(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(Card) a = card(t, NULL);
    g_autoptr(Card) b = card(t, NULL);
    uint8_t frame[FRAME] = {1, 2, 3};
    net_connect(&a->c, &b->c);
    g_assert_true(send_bytes(&a->c, frame, FRAME));
    b->full = true;
    g_assert_false(send_bytes(&a->c, frame, FRAME));
    g_assert_cmpuint(b->received, ==, 1);
    net_flush(&b->c);
    g_assert_cmpuint(a->resumed, ==, 0);
    b->full = false;
    frame[0] = 9;
    g_assert_false(send_bytes(&a->c, frame, FRAME));     /* order is kept */
    net_flush(&b->c);
    g_assert_cmpuint(b->received, ==, 3);
    g_assert_cmpuint(b->last[0], ==, 9);
    g_assert_cmpuint(a->resumed, ==, 1);
    net_set_link(&b->c, false);
    g_assert_true(send_bytes(&a->c, frame, FRAME));
    g_assert_cmpuint(b->received, ==, 3);
    net_set_link(&b->c, true);
    /* A sender that does not wait cannot fill the memory. */
    b->full = true;
    for (unsigned i = 0; i < 100000; i++)
        send_bytes(&a->c, frame, FRAME);
    g_assert_cmpuint(b->c.queued, <, 8 << 20);
    g_assert_cmpuint(b->c.dropped, >, 1000);
}

static void test_stream(void)
{
    g_autoptr(TestDevice) t = test_machine();
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_autofree char *text = g_strdup_printf("stream,id=s,addr.type=fd,addr.str=%d", pair[0]);
    add(t, text);
    g_autoptr(Card) k = card(t, "s");
    uint8_t wire[2 * (FRAME + 4)] = {0, 0, 0, FRAME, 0xaa}, got[FRAME + 4];
    memcpy(wire + FRAME + 4, wire, FRAME + 4);
    wire[FRAME + 8] = 0xbb;
    /* In pieces that respect no bounds. */
    for (unsigned at = 0; at < sizeof(wire); at += 16) {
        g_assert_cmpint(write(pair[1], wire + at, 16), ==, 16);
        step(t);
    }
    g_assert_cmpuint(k->received, ==, 2);
    g_assert_cmpuint(k->bytes, ==, FRAME);
    g_assert_cmpuint(k->last[0], ==, 0xbb);
    g_assert_true(send_bytes(&k->c, wire + 4, FRAME));
    g_assert_cmpint(read(pair[1], got, sizeof(got)), ==, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), wire, sizeof(got));
    /* A flow that is held back stays in the socket and comes later. */
    k->full = true;
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(write(pair[1], wire, sizeof(wire)), ==, sizeof(wire));
        step(t);
    }
    k->full = false;
    net_flush(&k->c);
    step(t);
    g_assert_cmpuint(k->received, ==, 8);
    /* Much output is kept in order. */
    unsigned sent = 0;
    while (sent < 100000 && send_bytes(&k->c, wire + 4, FRAME))
        sent++;
    g_assert_cmpuint(sent, <, 100000);
    for (unsigned i = 0; i < sent; i++) {
        g_assert_cmpint(recv(pair[1], got, sizeof(got), MSG_WAITALL), ==, sizeof(got));
        g_assert_cmpmem(got, sizeof(got), wire, sizeof(got));
        step(t);
    }
    g_assert_cmpuint(k->resumed, >, 0);
    /* Lengths that no packet has end the connection. */
    g_assert_cmpint(write(pair[1], "\xff\xff\xff\xff", 4), ==, 4);
    step(t);
    while (recv(pair[1], got, sizeof(got), MSG_DONTWAIT) > 0)
        ;
    g_assert_cmpint(recv(pair[1], got, sizeof(got), MSG_DONTWAIT), ==, 0);
    g_assert_true(send_bytes(&k->c, wire, FRAME));
    close(pair[1]);
}

static void test_dgram(void)
{
    g_autoptr(TestDevice) t = test_machine();
    int pair[2];
    uint8_t frame[FRAME] = {7}, got[LAST];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), ==, 0);
    g_autofree char *text = g_strdup_printf("dgram,id=d,local.type=fd,local.str=%d", pair[0]);
    add(t, text);
    g_autoptr(Card) k = card(t, "d");
    g_assert_cmpint(write(pair[1], frame, FRAME), ==, FRAME);
    step(t);
    g_assert_cmpuint(k->received, ==, 1);
    g_assert_cmpmem(k->last, k->bytes, frame, FRAME);
    g_assert_true(send_bytes(&k->c, frame, FRAME));
    g_assert_cmpint(read(pair[1], got, sizeof(got)), ==, FRAME);
    close(pair[1]);
}

static void test_hub(void)
{
    g_autoptr(TestDevice) t = test_machine();
    uint8_t frame[FRAME] = {5};
    add(t, "hubport,id=a,hubid=1");
    add(t, "hubport,id=b,hubid=1");
    add(t, "hubport,id=c,hubid=2");
    g_autoptr(Card) a = card(t, "a");
    g_autoptr(Card) b = card(t, "b");
    g_autoptr(Card) c = card(t, "c");
    send_bytes(&a->c, frame, FRAME);
    g_assert_cmpuint(a->received, ==, 0);
    g_assert_cmpuint(b->received, ==, 1);
    g_assert_cmpuint(c->received, ==, 0);
}

/* Ethernet, ARP: who has 10.0.2.2? libslirp answers at once. */
static void test_user(void)
{
    static const uint8_t ask[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15,
        0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
    };
    g_autoptr(TestDevice) t = test_machine();
    if (!object_type_find("netdev-user")) {
        g_test_skip("built without libslirp");
        return;
    }
    add(t, "user,id=u,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp:127.0.0.1:0-:53");
    g_autoptr(Card) k = card(t, "u");
    send_bytes(&k->c, ask, sizeof(ask));
    step(t);
    g_assert_cmpuint(k->received, >=, 1);
    g_assert_cmpmem(k->last + 28, 4, ask + 38, 4);      /* from 10.0.2.2 */
    g_assert_cmpuint(k->last[21], ==, 2);               /* a reply */
    refused(t, "user,id=v,net=10.0.2.0/33", "4 to 30 bits");
    refused(t, "user,id=v,host=10.0.3.2", "must be in the network");
    refused(t, "user,id=v,hostfwd=tcp:1-2", "invalid host forwarding rule");
    refused(t, "user,id=v,hostfwd=sctp::1-:2", "invalid host forwarding rule");
    refused(t, "user,id=v,ipv4=off,ipv6=off", "both off");
    refused(t, "user,id=u", "Duplicate ID");
    g_autoptr(GError) error = NULL;
    g_assert_true(netdev_delete(t->vm, "u", &error));
    g_assert_false(net_link_up(&k->c));
}

static int tcp_socket(struct sockaddr_in *to)
{
    socklen_t n = sizeof(*to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)to, n), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)to, &n), ==, 0);
    return fd;
}

/* Steps until the card has got `n` packets. `now`: by what is ready, nothing is waited for. */
static void wait_for(TestDevice *t, const Card *k, unsigned n, bool now)
{
    for (unsigned steps = 0; k->received < n && steps < 100; steps++)
        loop_step(t->loop, !now);
    g_assert_cmpuint(k->received, ==, n);
}

/* A connection to a guest that has not spoken yet waits for its address, and not a moment longer. */
static void test_user_forward(void)
{
    static const uint8_t tell[42] = {
        0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15,
        0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2,
    };
    g_autoptr(TestDevice) t = test_machine();
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in any = port;
    if (!object_type_find("netdev-user")) {
        g_test_skip("built without libslirp");
        return;
    }
    close(tcp_socket(&port));
    g_autofree char *option = g_strdup_printf("user,id=u,hostfwd=tcp:127.0.0.1:%u-:22", ntohs(port.sin_port));
    add(t, option);
    g_autoptr(Card) k = card(t, "u");
    int fd = tcp_socket(&any);
    g_assert_true(connect(fd, (struct sockaddr *)&port, sizeof(port)) == 0 || errno == EINPROGRESS);
    wait_for(t, k, 1, false);
    g_assert_cmpuint(k->last[13], ==, 6);               /* ARP: who has 10.0.2.15? */
    send_bytes(&k->c, tell, sizeof(tell));
    wait_for(t, k, 2, true);
    g_assert_cmpuint(k->last[13], ==, 0);               /* IPv4: the connection's first packet */
    close(fd);
}

static void test_options(void)
{
    g_autoptr(TestDevice) t = test_machine();
    refused(t, "hubport,hubid=1", "'id' is missing");
    refused(t, "hubprt,id=x", "hubport");
    refused(t, "hubport,id=1x,hubid=1", "identifier");
    refused(t, "hubport,id=x,hubid=1,netdev=none", "there is no netdev");
    refused(t, "socket,id=x", "exactly one of");
    refused(t, "dgram,id=x", "'local' is needed");
    refused(t, "tap,id=x,vhost=off,vhostfd=9", "not valid without vhost");
    refused(t, "tap,id=x,vhost=on,vhostfds=9", "vhostfds= is invalid");
    refused(t, "passt,id=x,mtu=70000", "0 to 65535 work");
    refused(t, "passt,id=x,ipv4=off,ipv6=off", "leave nothing");
    refused(t, "passt,id=x,path=/nonexistent/passt,tcp-ports=1,tcp-ports=2", "path= names another");
    refused(t, "passt,id=x,path=/nonexistent/passt,tcp-ports.0.str=1", "path= names another");
    refused(t, "stream,id=x,addr.type=unix,addr.path=/nonexistent/x", "cannot connect");
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) card = nic_add_option(t->vm, "hubport,hubid=3,mac=52:54:00:00:00:01", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_get_text(card, "mac"), ==, "52:54:00:00:00:01");
    g_assert_nonnull(netdev_find(t->vm, json_get_text(card, "netdev")));
    g_assert_null(nic_add_option(t->vm, "none", &error));
    g_assert_no_error(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/queue", test_queue);
    g_test_add_func("/net/stream", test_stream);
    g_test_add_func("/net/dgram", test_dgram);
    g_test_add_func("/net/hub", test_hub);
    g_test_add_func("/net/user", test_user);
    g_test_add_func("/net/user/forward", test_user_forward);
    g_test_add_func("/net/options", test_options);
    return g_test_run();
}
