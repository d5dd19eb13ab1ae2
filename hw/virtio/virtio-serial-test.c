/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and consoles as a driver sees them. Spec: virtio 1.2, 5.3. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/chardev.h"
#include "tests/lib/virtio-guest.h"

enum {
    CONTROL_IN = 2, CONTROL_OUT = 3, DEVICE_READY = 0, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE,
    PORT_OPEN, PORT_NAME, OUT1 = 5, IN1 = 4, QUEUES = 6, LIST = 8,
};
#define F_MULTIPORT (1ull << 1)

typedef struct __attribute__((packed)) Message {
    uint32_t id;
    uint16_t event, value;
    char text[24];
} Message;

typedef struct Line {
    VirtioGuest *g;
    int host;                   /* the outside's end of port 1 */
    Device *port;
    uint64_t buffers[LIST];
} Line;

static Device *add_port(VirtioGuest *g, const char *type, const char *const *props)
{
    g_autoptr(GError) error = NULL;
    Device *d = device_new(g->t->vm, type, &error);
    for (; *props; props += 2)
        g_assert_true(object_set_string(&d->object, props[0], props[1], &error));
    bool ok = device_realize(d, bus_find(g->t->vm, NULL, "virtio-serial-bus"), &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return d;
}

static void open_line(Line *l)
{
    g_autoptr(GError) error = NULL;
    int fds[2];
    TestDevice *t = test_machine();
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    l->host = fds[0];
    fcntl(l->host, F_SETFL, O_NONBLOCK);
    g_autofree char *option = g_strdup_printf("socket,id=c,fd=%d", fds[1]);
    chardev_from_option(t->vm, option, &error);
    g_assert_no_error(error);
    l->g = virtio_guest_on(t, "virtio-serial-device", "max_ports", "2", NULL);
    l->port = add_port(l->g, "virtserialport", (const char *const[]){"chardev", "c", "name", "org.test.1", NULL});
}

static void close_line(Line *l)
{
    virtio_guest_free(l->g);
    close(l->host);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Line, close_line)

static void give_buffers(Line *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        l->buffers[i] = virtio_guest_room(l->g, sizeof(Message));
        virtio_guest_offer(l->g, CONTROL_IN, (GuestBuffer[]){{l->buffers[i], sizeof(Message), true}}, 1);
    }
    virtio_guest_kick(l->g, CONTROL_IN);
}

static void tell(Line *l, uint32_t id, uint16_t event, uint16_t value)
{
    Message m = {id, event, value, ""};
    uint64_t at = virtio_guest_room(l->g, 8);
    GuestUsed u;
    virtio_guest_poke(l->g, at, &m, 8);
    virtio_guest_offer(l->g, CONTROL_OUT, (GuestBuffer[]){{at, 8, false}}, 1);
    virtio_guest_kick(l->g, CONTROL_OUT);
    g_assert_true(virtio_guest_used(l->g, CONTROL_OUT, &u));
}

static Message hear(Line *l, unsigned *n, uint32_t id, uint16_t event, uint16_t value)
{
    GuestUsed u;
    Message m = {0};
    g_assert_true(virtio_guest_used(l->g, CONTROL_IN, &u));
    virtio_guest_peek(l->g, l->buffers[(*n)++], &m, MIN(u.len, sizeof(m)));
    g_assert_cmpuint(m.id, ==, id);
    g_assert_cmpuint(m.event, ==, event);
    g_assert_cmpuint(m.value, ==, value);
    return m;
}

static void handshake(Line *l)
{
    unsigned n = 0;
    g_assert_true(virtio_guest_start(l->g, F_MULTIPORT, QUEUES));
    give_buffers(l, 3);
    tell(l, 0, DEVICE_READY, 1);
    hear(l, &n, 1, PORT_ADD, 1);
    tell(l, 1, PORT_READY, 1);
    Message m = hear(l, &n, 1, PORT_NAME, 1);
    g_assert_cmpstr(m.text, ==, "org.test.1");
    hear(l, &n, 1, PORT_OPEN, 1);
    tell(l, 1, PORT_OPEN, 1);
}

static void test_handshake(void)
{
    g_auto(Line) l = {0};
    open_line(&l);
    g_assert_cmpuint(virtio_guest_reg(l.g, 8), ==, 3);
    g_assert_cmpuint(virtio_guest_reg(l.g, VMMIO_CONFIG + 4), ==, 2);           /* max_nr_ports */
    handshake(&l);
    tell(&l, 9, PORT_READY, 1);                 /* there is no such port: nothing happens */
    tell(&l, UINT32_MAX, PORT_OPEN, 1);
}

static void test_data(void)
{
    g_auto(Line) l = {0};
    char text[16] = "";
    GuestUsed u;
    open_line(&l);
    handshake(&l);
    uint64_t out = virtio_guest_room(l.g, 16), in = virtio_guest_room(l.g, 16);
    virtio_guest_poke(l.g, out, "to the host", 12);
    virtio_guest_offer(l.g, OUT1, (GuestBuffer[]){{out, 12, false}}, 1);
    virtio_guest_kick(l.g, OUT1);
    g_assert_true(virtio_guest_used(l.g, OUT1, &u));
    g_assert_cmpint(read(l.host, text, sizeof(text)), ==, 12);
    g_assert_cmpstr(text, ==, "to the host");
    g_assert_cmpint(write(l.host, "from it", 8), ==, 8);        /* waits for a buffer */
    virtio_guest_step(l.g);
    g_assert_false(virtio_guest_used(l.g, IN1, &u));
    virtio_guest_offer(l.g, IN1, (GuestBuffer[]){{in, 16, true}}, 1);
    virtio_guest_kick(l.g, IN1);
    g_assert_true(virtio_guest_used(l.g, IN1, &u));
    g_assert_cmpuint(u.len, ==, 8);
    virtio_guest_peek(l.g, in, text, 8);
    g_assert_cmpstr(text, ==, "from it");
}

/* What the outside did not take and what the driver was not told yet goes along. */
static void test_moved(void)
{
    g_auto(Line) a = {0}, b = {0};
    enum { BIG = 0x30000 };
    GuestUsed u;
    open_line(&a);
    open_line(&b);
    handshake(&a);
    uint64_t out = virtio_guest_room(a.g, BIG);
    uint8_t mark = 0x7e;
    virtio_guest_poke(a.g, out + BIG - 1, &mark, 1);
    int small = 4096;
    setsockopt(a.host, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    GuestBuffer big[] = {{out, BIG, false}};
    unsigned sent = 0;
    while (sent < 8) {                          /* more than the sockets' buffers hold */
        virtio_guest_offer(a.g, OUT1, big, 1);
        virtio_guest_kick(a.g, OUT1);
        sent++;
        if (!virtio_guest_used(a.g, OUT1, &u))
            break;
    }
    g_assert_cmpuint(sent, <, 8);
    char skipped[4096];
    size_t before = 0, after = 0;
    vm_stop(b.g->t->vm, RUN_PAUSED);
    virtio_guest_move(a.g, b.g);
    for (ssize_t n; (n = read(a.host, skipped, sizeof(skipped))) > 0;)
        before += n;
    GError *error = NULL;
    g_autoptr(GBytes) state = device_save(a.port);
    g_assert_true(device_load(b.port, state, &error));
    vm_start(b.g->t->vm);
    virtio_guest_kick(b.g, OUT1);
    uint8_t last = 0;
    for (int idle = 0; idle < 3;) {
        ssize_t n = read(b.host, skipped, sizeof(skipped));
        idle = n > 0 ? 0 : idle + 1;
        after += n > 0 ? n : 0;
        last = n > 0 ? skipped[n - 1] : last;
        virtio_guest_step(b.g);
    }
    g_assert_true(virtio_guest_used(b.g, OUT1, &u));
    g_assert_cmpuint(before + after, ==, (size_t)sent * BIG);
    g_assert_cmphex(last, ==, mark);
}

static void test_unplug(void)
{
    g_auto(Line) l = {0};
    unsigned n = 0;
    open_line(&l);
    handshake(&l);
    give_buffers(&l, 1);
    device_unplug(l.port);
    hear(&l, &n, 1, PORT_REMOVE, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-serial/handshake", test_handshake);
    g_test_add_func("/virtio-serial/data", test_data);
    g_test_add_func("/virtio-serial/moved", test_moved);
    g_test_add_func("/virtio-serial/unplug", test_unplug);
    return g_test_run();
}
