/* SPDX-License-Identifier: Apache-2.0 */
/* The network card as a driver sees it: split rings in memory, registers of virtio-mmio. */
#include <string.h>
#include "core/testing.h"
#include "hw/virtio-mmio.h"
#include "hw/virtio/virtio.h"
#include "net/net.h"

enum {
    FEATURES = 0x10, FEATURES_SEL = 0x14, DRIVER = 0x20, DRIVER_SEL = 0x24, QUEUE_SEL = 0x30, NUM = 0x38,
    READY = 0x44, NOTIFY = 0x50, STATUS = 0x70, DESC = 0x80, AVAIL = 0x90, USED = 0xa0, CONFIG = 0x100,
    SIZE = 16, STRIDE = 0x10000, HEADER = 12, F_WRITE = 2, F_NEXT = 1, RX = 0, TX = 1, CTRL = 2,
    MRG = 15, CTRL_VQ = 17, CTRL_RX = 18,
};

typedef struct Peer {
    NetClient c;
    unsigned received;
    size_t bytes;
    uint8_t last[2048];
} Peer;

typedef struct Rig {
    TestDevice *t;
    Device *nic;
    Peer peer;
    uint16_t avail[3];
} Rig;

static bool peer_receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    Peer *p = (Peer *)c;
    p->bytes = iov_read(iov, n, 0, p->last, sizeof(p->last));
    p->received++;
    return true;
}
static const NetClientOps peer_ops = {.receive = peer_receive};

static uint64_t base(unsigned q) { return (uint64_t)STRIDE * (q + 1); }
static uint64_t buffer(unsigned q, unsigned i) { return base(q) + 0x4000 + 0x400 * i; }
static void poke(Rig *r, uint64_t pa, const void *p, size_t n)
{
    g_assert_true(dma_write(r->t->dev, pa, p, n));
}
static void peek(Rig *r, uint64_t pa, void *p, size_t n) { g_assert_true(dma_read(r->t->dev, pa, p, n)); }
static void reg(Rig *r, unsigned at, uint32_t v) { test_write_at(r->t, at, 4, v); }

static void step(Rig *r)
{
    while (loop_step(r->t->loop, false))
        ;
}

static void descriptor(Rig *r, unsigned q, unsigned i, uint32_t len, uint16_t flags)
{
    struct { uint64_t addr; uint32_t len; uint16_t flags, next; } d = {buffer(q, i), len, flags, i + 1};
    poke(r, base(q) + 16 * i, &d, sizeof(d));
}

static void offer(Rig *r, unsigned q, uint16_t head)
{
    poke(r, base(q) + 0x1000 + 4 + 2 * (r->avail[q] % SIZE), &head, 2);
    r->avail[q]++;
    poke(r, base(q) + 0x1000 + 2, &r->avail[q], 2);
}

static void kick(Rig *r, unsigned q)
{
    reg(r, NOTIFY, q);
    step(r);
}

static uint16_t used(Rig *r, unsigned q)
{
    uint16_t idx;
    peek(r, base(q) + 0x2000 + 2, &idx, 2);
    return idx;
}

static uint32_t used_len(Rig *r, unsigned q, unsigned slot)
{
    uint32_t len;
    peek(r, base(q) + 0x2000 + 4 + 8 * slot + 4, &len, 4);
    return len;
}

static void start_queue(Rig *r, unsigned q)
{
    reg(r, QUEUE_SEL, q);
    reg(r, NUM, SIZE);
    reg(r, DESC, base(q));
    reg(r, AVAIL, base(q) + 0x1000);
    reg(r, USED, base(q) + 0x2000);
    reg(r, READY, 1);
}

static Rig *rig(uint32_t features)
{
    Rig *r = g_new0(Rig, 1);
    g_autoptr(GError) error = NULL;
    r->t = test_machine();
    device_global(r->t->vm, "virtio-mmio", "force-legacy", "off");
    Bus *bus = virtio_mmio_new(r->t->vm, TEST_BASE, (Pin){0});
    r->t->dev = bus->owner;
    g_assert_nonnull(netdev_add_option(r->t->vm, "hubport,id=a,hubid=1", &error));
    g_assert_nonnull(netdev_add_option(r->t->vm, "hubport,id=b,hubid=1", &error));
    r->nic = device_new(r->t->vm, "virtio-net-device", &error);
    g_assert_true(object_set_string(&r->nic->object, "netdev", "a", &error));
    g_assert_true(device_realize(r->nic, bus, &error));
    net_client_init(&r->peer.c, r->t->vm, &peer_ops, "peer");
    NetClient *b = net_find(r->t->vm, "b");
    b->peer = &r->peer.c;
    r->peer.c.peer = b;
    r->t->vm->state = RUN_RUNNING;
    reg(r, STATUS, 3);
    reg(r, DRIVER_SEL, 0);
    reg(r, DRIVER, features);
    reg(r, DRIVER_SEL, 1);
    reg(r, DRIVER, 1);
    reg(r, STATUS, 11);
    g_assert_cmpuint(test_read_at(r->t, STATUS, 4), ==, 11);
    for (unsigned q = RX; q <= CTRL; q++)
        start_queue(r, q);
    reg(r, STATUS, 15);
    step(r);
    return r;
}

static void rig_free(Rig *r)
{
    r->t->vm->state = RUN_PAUSED;
    net_client_finish(&r->peer.c);
    test_device_free(r->t);
    g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

static void from_outside(Rig *r, const uint8_t *frame, size_t n)
{
    struct iovec iov = {(void *)frame, n};
    net_send(&r->peer.c, &iov, 1);
    step(r);
}

static void test_send(void)
{
    g_autoptr(Rig) r = rig(0);
    uint8_t packet[HEADER + 60] = {0};
    for (unsigned i = 0; i < 60; i++)
        packet[HEADER + i] = i;
    /* In two buffers that do not end where the header ends. */
    poke(r, buffer(TX, 0), packet, 20);
    poke(r, buffer(TX, 1), packet + 20, sizeof(packet) - 20);
    descriptor(r, TX, 0, 20, F_NEXT);
    descriptor(r, TX, 1, sizeof(packet) - 20, 0);
    offer(r, TX, 0);
    kick(r, TX);
    g_assert_cmpuint(used(r, TX), ==, 1);
    g_assert_cmpuint(r->peer.received, ==, 1);
    g_assert_cmpmem(r->peer.last, r->peer.bytes, packet + HEADER, 60);
    /* Shorter than its header: the device asks for a reset and does no more. */
    descriptor(r, TX, 2, HEADER - 1, 0);
    offer(r, TX, 2);
    kick(r, TX);
    g_assert_cmpuint(r->peer.received, ==, 1);
    g_assert_cmpuint(test_read_at(r->t, STATUS, 4) & VIRTIO_NEEDS_RESET, !=, 0);
}

static void test_merged(void)
{
    g_autoptr(Rig) r = rig(1u << MRG);
    uint8_t frame[250] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, got[100];
    frame[100] = 0x5a;
    from_outside(r, frame, sizeof(frame));              /* waits for buffers */
    for (unsigned i = 0; i < 4; i++) {
        descriptor(r, RX, i, 100, F_WRITE);
        offer(r, RX, i);
    }
    g_assert_cmpuint(used(r, RX), ==, 0);
    kick(r, RX);
    g_assert_cmpuint(used(r, RX), ==, 3);
    g_assert_cmpuint(used_len(r, RX, 0), ==, 100);
    g_assert_cmpuint(used_len(r, RX, 2), ==, 62);
    peek(r, buffer(RX, 0), got, HEADER);
    g_assert_cmpuint(got[10], ==, 3);                   /* num_buffers */
    peek(r, buffer(RX, 1), got, 100);
    g_assert_cmpuint(got[12], ==, 0x5a);
    /* One buffer is left: too little for another one, which takes nothing. */
    from_outside(r, frame, sizeof(frame));
    g_assert_cmpuint(used(r, RX), ==, 3);
}

static uint8_t command(Rig *r, const void *data, size_t n)
{
    uint8_t ack = 0xee;
    poke(r, buffer(CTRL, 0), data, n);
    poke(r, buffer(CTRL, 1), &ack, 1);
    descriptor(r, CTRL, 0, n, F_NEXT);
    descriptor(r, CTRL, 1, 1, F_WRITE);
    offer(r, CTRL, 0);
    kick(r, CTRL);
    peek(r, buffer(CTRL, 1), &ack, 1);
    return ack;
}

static void test_filter(void)
{
    static const uint8_t promisc_off[] = {0, 0, 0}, too_many[] = {1, 0, 0xff, 0xff, 0xff, 0xff, 1};
    static const uint8_t table[] = {1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0};
    static const uint8_t other[60] = {2, 0, 0, 0, 0, 9}, own[60] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    g_autoptr(Rig) r = rig(1u << CTRL_VQ | 1u << CTRL_RX);
    for (unsigned i = 0; i < 4; i++) {
        descriptor(r, RX, i, 0x400, F_WRITE);
        offer(r, RX, i);
    }
    kick(r, RX);
    from_outside(r, other, 60);
    g_assert_cmpuint(used(r, RX), ==, 1);               /* promiscuous at first */
    g_assert_cmpuint(command(r, promisc_off, sizeof(promisc_off)), ==, 0);
    from_outside(r, other, 60);
    g_assert_cmpuint(used(r, RX), ==, 1);
    from_outside(r, own, 60);
    g_assert_cmpuint(used(r, RX), ==, 2);
    g_assert_cmpuint(command(r, too_many, sizeof(too_many)), ==, 1);
    g_assert_cmpuint(command(r, table, sizeof(table)), ==, 0);
    from_outside(r, other, 60);
    g_assert_cmpuint(used(r, RX), ==, 3);
    g_autoptr(RxFilterInfoList) list = net_rx_filters(r->t->vm, NULL, NULL);
    g_assert_cmpuint(list->count, ==, 1);
    g_assert_cmpstr(list->items[0]->unicast_table->items[0], ==, "02:00:00:00:00:09");
    /* A reset forgets it all. */
    reg(r, STATUS, 0);
    g_autoptr(RxFilterInfoList) after = net_rx_filters(r->t->vm, NULL, NULL);
    g_assert_true(after->items[0]->promiscuous);
    g_assert_cmpuint(after->items[0]->unicast_table->count, ==, 0);
}

static void test_link(void)
{
    g_autoptr(Rig) r = rig(0);
    g_assert_cmpuint(test_read_at(r->t, CONFIG + 6, 2), ==, 1);
    net_set_link(net_find(r->t->vm, "a"), false);
    g_assert_cmpuint(test_read_at(r->t, CONFIG + 6, 2), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-net/send", test_send);
    g_test_add_func("/virtio-net/merged", test_merged);
    g_test_add_func("/virtio-net/filter", test_filter);
    g_test_add_func("/virtio-net/link", test_link);
    return g_test_run();
}
