/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for virtio devices as a hostile driver sees them: rings of both layouts with wild
 * descriptors, registers, configuration, resets and data from the other side at any moment.
 * The first byte names the device, the next ones the features and ring sizes.
 */
#include "block/block.h"
#include "chardev/chardev.h"
#include "core/testing.h"
#include "hw/virtio-mmio.h"
#include "hw/virtio/virtio.h"
#include "net/net.h"
#include "tests/fuzz/fuzz.h"

enum {
    DRIVER = 0x20, DRIVER_SEL = 0x24, QUEUE_SEL = 0x30, NUM = 0x38, READY = 0x44, NOTIFY = 0x50,
    STATUS = 0x70, DESC = 0x80, AVAIL = 0x90, USED = 0xa0, CONFIG = 0x100,
    QUEUES = 4, AREA = 0x10000, BUFFERS = QUEUES * AREA, MAX_OPS = 96, F_INDIRECT = 4,
};

typedef struct Kind {
    const char *device, *property, *value;
} Kind;
static const Kind kinds[] = {
    {"virtio-blk-device", "drive", "d"}, {"virtio-net-device", "netdev", "a"},
    {"virtio-serial-device"}, {"virtio-rng-device"}, {"virtio-balloon-device"}, {"virtio-sound-device"},
};

typedef struct Rig {
    TestDevice *t;
    Device *dev;
    NetClient peer;
    bool packed, wrap[QUEUES];
    unsigned size[QUEUES];
    uint16_t avail[QUEUES];
    uint64_t features;
} Rig;

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    uint8_t frame[2048];
    iov_read(iov, n, 0, frame, sizeof(frame));
    return true;
}
static const NetClientOps peer_ops = {.receive = receive};

static void settle(Rig *r)
{
    for (unsigned i = 0; i < 64 && loop_step(r->t->loop, false); i++) {
    }
}

static void reg(Rig *r, unsigned at, uint32_t v)
{
    test_write_at(r->t, at, 4, v);
}

static void poke(Rig *r, uint64_t pa, const void *p, size_t n)
{
    as_write(r->t->vm->memory, pa, p, n);
}

static uint64_t base(unsigned q) { return (uint64_t)AREA * q; }

static void begin(Rig *r, FuzzInput *in)
{
    uint64_t features = r->features;

    reg(r, STATUS, 0);
    reg(r, STATUS, 3);
    reg(r, DRIVER_SEL, 0);
    reg(r, DRIVER, (uint32_t)features);
    reg(r, DRIVER_SEL, 1);
    reg(r, DRIVER, (uint32_t)(features >> 32) | 1);
    reg(r, STATUS, 11);
    for (unsigned q = 0; q < QUEUES; q++) {
        r->size[q] = 1u << fuzz_int(in, 1) % 7;
        r->avail[q] = 0;
        r->wrap[q] = true;
        reg(r, QUEUE_SEL, q);
        reg(r, NUM, r->size[q]);
        reg(r, DESC, (uint32_t)base(q));
        reg(r, AVAIL, (uint32_t)base(q) + 0x1000);
        reg(r, USED, (uint32_t)base(q) + 0x2000);
        reg(r, READY, 1);
    }
    reg(r, STATUS, 15);
    settle(r);
}

static void add_backends(Rig *r, const Kind *k)
{
    g_autoptr(GError) error = NULL;
    Vm *vm = r->t->vm;

    if (strcmp(k->device, "virtio-net-device") == 0) {
        netdev_add_option(vm, "hubport,id=a,hubid=1", NULL);
        netdev_add_option(vm, "hubport,id=b,hubid=1", NULL);
        net_client_init(&r->peer, vm, &peer_ops, "peer");
        NetClient *b = net_find(vm, "b");
        b->peer = &r->peer;
        r->peer.peer = b;
    }
    if (strcmp(k->device, "virtio-blk-device") == 0) {
        g_assert_true(blockdev_add_option(vm, "driver=null-co,node-name=d,size=1M", &error));
    }
}

static void add_port(Rig *r, const char *type, unsigned nr)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup_printf("c%u", nr);
    g_autofree char *option = g_strdup_printf("ringbuf,id=%s,size=4096", id);

    g_assert_nonnull(chardev_from_option(r->t->vm, option, &error));
    Device *d = device_new(r->t->vm, type, &error);
    g_assert_true(object_set_string(&d->object, "chardev", id, &error));
    g_assert_true(device_realize(d, bus_find(r->t->vm, NULL, "virtio-serial-bus"), &error));
}

static void rig_init(Rig *r, const Kind *k)
{
    g_autoptr(GError) error = NULL;

    r->t = test_machine();
    Vm *vm = r->t->vm;
    machine_new(vm, machine_find("x86_64", "none"), "x86_64")->ram_size = TEST_RAM;
    device_global(vm, "virtio-mmio", "force-legacy", "off");
    device_global(vm, k->device, "packed", r->packed ? "on" : "off");
    Bus *bus = virtio_mmio_new(vm, TEST_BASE, (Pin){0});
    r->t->dev = bus->owner;
    add_backends(r, k);
    r->dev = device_new(vm, k->device, &error);
    g_assert_no_error(error);
    if (k->property) {
        g_assert_true(object_set_string(&r->dev->object, k->property, k->value, &error));
    }
    g_assert_true(device_realize(r->dev, bus, &error));
    if (strcmp(k->device, "virtio-serial-device") == 0) {
        add_port(r, "virtconsole", 0);
        add_port(r, "virtserialport", 1);
    }
    vm->state = RUN_RUNNING;
}

static void rig_clear(Rig *r)
{
    r->t->vm->state = RUN_PAUSED;
    if (r->peer.peer) {
        net_client_finish(&r->peer);
    }
    test_device_free(r->t);
}

/* Mostly addresses in memory; now and then what nobody has. */
static uint64_t address(FuzzInput *in)
{
    uint64_t v = fuzz_int(in, 2);
    return v == 0xffff ? fuzz_int(in, 8) : v * 16 % TEST_RAM;
}

static void descriptor(Rig *r, FuzzInput *in, uint64_t at, unsigned q)
{
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = {address(in), (uint32_t)fuzz_int(in, 2), (uint16_t)fuzz_int(in, 1), (uint16_t)fuzz_int(in, 1)};

    if (d.flags & 0x10) {
        d.next = (uint16_t)((d.next + 1) % r->size[q]);
    }
    if (d.flags & F_INDIRECT) {
        d.len = d.len % 8 * 16 + (d.len >> 15);
    }
    if (d.flags & 0x20) {
        d.len <<= 16;
    }
    d.flags &= 7;
    if (r->packed) {            /* next is the id, and the flags make it available */
        uint16_t flags = d.next;
        d.next = d.flags | (r->wrap[q] ? 0x80 : 0x8000);
        d.flags = flags;
    }
    poke(r, at, &d, sizeof(d));
}

static void offer(Rig *r, FuzzInput *in, unsigned q)
{
    uint16_t head = (uint16_t)fuzz_int(in, 1), jump = (uint16_t)fuzz_int(in, 1);

    if (r->packed) {
        descriptor(r, in, base(q) + 16 * r->avail[q], q);
        r->avail[q] = (uint16_t)((r->avail[q] + 1) % r->size[q]);
        r->wrap[q] ^= r->avail[q] == 0;
        return;
    }
    head = head == 0xff ? 0xfff : (uint16_t)(head % r->size[q]);
    poke(r, base(q) + 0x1000 + 4 + 2 * (r->avail[q] % r->size[q]), &head, 2);
    r->avail[q] += jump > 0xf0 ? jump : 1;
    poke(r, base(q) + 0x1000 + 2, &r->avail[q], 2);
}

static void from_outside(Rig *r, FuzzInput *in)
{
    uint8_t data[200];
    unsigned n = (unsigned)fuzz_int(in, 1) % sizeof(data);

    fuzz_bytes(in, data, sizeof(data) / 4);
    if (r->peer.peer) {
        struct iovec iov = {data, n};
        net_send(&r->peer, &iov, 1);
    }
    Chardev *c = chardev_find(r->t->vm, n & 1 ? "c0" : "c1");
    if (c) {
        chardev_ringbuf_write(c, data, n);
    }
}

static void step(Rig *r, FuzzInput *in)
{
    unsigned op = (unsigned)fuzz_int(in, 1), q = op >> 4 & 3;

    switch (op & 15) {
    case 0: case 1: case 2:
        descriptor(r, in, base(q) + 16 * (fuzz_int(in, 1) % r->size[q]), q);
        break;
    case 3: case 4: case 5: offer(r, in, q); break;
    case 6: case 7: reg(r, NOTIFY, op & 0x80 ? (uint32_t)fuzz_int(in, 2) : q); break;
    case 8: descriptor(r, in, BUFFERS + 16 * fuzz_int(in, 1), q); break;    /* indirect ones */
    case 9: case 10: {
        uint8_t bytes[24];
        unsigned n = (unsigned)fuzz_bytes(in, bytes, 1 + (op >> 4));
        poke(r, address(in), bytes, n);
        break;
    }
    case 11: {
        unsigned at = (unsigned)fuzz_int(in, 1) * 4 % CONFIG;
        if (op & 0x40) {
            test_read_at(r->t, at, 4);
        } else {
            reg(r, at, (uint32_t)fuzz_int(in, 4));
        }
        break;
    }
    case 12: {
        unsigned size = 1u << (op >> 4 & 3), at = CONFIG + (unsigned)fuzz_int(in, 1);
        if (op & 0x40) {
            test_read_at(r->t, at, size);
        } else {
            test_write_at(r->t, at, size, fuzz_int(in, size));
        }
        break;
    }
    case 13: from_outside(r, in); break;
    case 14: test_clock_step_ns(r->t, (int64_t)fuzz_int(in, 4) + 1); break;
    default:
        if (op & 0x40) {
            begin(r, in);
        } else {
            vm_reset(r->t->vm, CAUSE_GUEST_RESET);
        }
        break;
    }
    if (op & 0x80) {
        settle(r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = {data, size};
    unsigned kind = (unsigned)fuzz_int(&in, 1);
    Rig r = {.packed = kind & 0x80};

    /* Bits 24, 28, 29: the core's; 34, 35, 40 in the other word. */
    r.features = fuzz_int(&in, 4) | fuzz_int(&in, 2) << 32 | (r.packed ? VIRTIO_F_RING_PACKED : 0);
    rig_init(&r, &kinds[(kind & 0x7f) % G_N_ELEMENTS(kinds)]);
    begin(&r, &in);
    for (unsigned n = 0; in.left && n < MAX_OPS; n++) {
        step(&r, &in);
    }
    settle(&r);
    rig_clear(&r);
    return 0;
}

const char *const fuzz_words[] = { NULL };
