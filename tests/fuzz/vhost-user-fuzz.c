/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for vhost-user: a hostile back end's answers while a device connects, and what it leaves
 * in the rings that it shares.
 */
#include <sys/socket.h>
#include <unistd.h>
#include "core/testing.h"
#include "hw/virtio-mmio.h"
#include "hw/virtio/vhost.h"
#include "net/net.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_ANSWERS = 24 };

/* The answers in the order in which a device asks, each with what the input makes of it. */
static void answers(int fd, FuzzInput *in)
{
    static const struct { uint8_t request; uint64_t value; uint32_t size; } usual[] = {
        {1, 0x175007e46, 8}, {15, 0x8f2b, 8}, {17, 4, 8}, {36, 32, 8}, {21, 0, 8}, {24, 60ull << 32, 72}};
    for (unsigned i = 0; i < MAX_ANSWERS && (i < G_N_ELEMENTS(usual) || in->left); i++) {
        unsigned change = (unsigned)fuzz_int(in, 1), k = i % G_N_ELEMENTS(usual);
        struct { uint32_t request, flags, size; uint8_t bytes[256]; } m = {usual[k].request, 5, usual[k].size, {0}};
        uint64_t value = GUINT64_TO_LE(usual[k].value);
        memcpy(m.bytes, &value, 8);
        if (change & 1)
            fuzz_bytes(in, m.bytes, 8);
        if ((change & 6) == 6)
            m.size = (uint32_t)fuzz_int(in, change & 8 ? 4 : 1);
        if ((change & 0x30) == 0x30)
            m.flags = (uint32_t)fuzz_int(in, 1);
        if ((change & 0xc0) == 0xc0)
            m.request = (uint32_t)fuzz_int(in, 1);
        (void)!send(fd, &m, 12 + MIN(m.size, sizeof(m.bytes)), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    shutdown(fd, SHUT_WR);
}

/* A driver that accepts what is offered, with rings of eight in RAM, and lets the device run. */
static void use(TestDevice *t, Device *d)
{
    enum { STATUS = 0x70, DRIVER_OK = 15, RINGS = 8, RING_BYTES = 0x1000 };
    static const uint32_t setup[][2] = {{STATUS, 3}, {0x14, 0}, {0x24, 0}, {0x14, 1}, {0x24, 1}, {STATUS, 11}};
    for (unsigned i = 0; i < G_N_ELEMENTS(setup); i++)
        test_write_at(t, setup[i][0], 4, setup[i][1]);
    for (unsigned q = 0; q < RINGS; q++) {
        uint32_t at = 0x10000 + q * RING_BYTES;
        const uint32_t ring[][2] = {{0x30, q}, {0x38, 8}, {0x80, at}, {0x84, 0}, {0x90, at + 0x400}, {0x94, 0},
                                    {0xa0, at + 0x800}, {0xa4, 0}, {0x44, 1}};
        for (unsigned i = 0; i < G_N_ELEMENTS(ring); i++)
            test_write_at(t, ring[i][0], 4, ring[i][1]);
    }
    test_write_at(t, STATUS, 4, DRIVER_OK);
    for (unsigned q = 0; q < RINGS; q++)
        test_write_at(t, 0x50, 4, q);
}

/* Properties that a type needs besides its back end. */
static bool configure(Device *d, const char *type, FuzzInput *in, GError **error)
{
    if (strcmp(type, "virtio-net-device"))
        return object_set_string(&d->object, "chardev", "c", error) &&
               (strcmp(type, "vhost-user-fs-device") || object_set_string(&d->object, "tag", "t", error));
    g_autofree char *option = g_strdup_printf("vhost-user,id=n,chardev=c,queues=%u", 1 + (unsigned)fuzz_int(in, 1) % 4);
    return netdev_add_option(d->object.vm, option, error) && object_set_string(&d->object, "netdev", "n", error) &&
           object_set_string(&d->object, "mq", "on", error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"vhost-user-blk-device", "vhost-user-fs-device", "vhost-user-scsi-device",
                                        "vhost-user-vsock-device", "virtio-net-device"};
    FuzzInput in = {data, size};
    g_autoptr(GError) error = NULL;
    const char *type = types[fuzz_int(&in, 1) % G_N_ELEMENTS(types)];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return 0;
    answers(pair[0], &in);
    TestDevice *t = test_machine();
    machine_new(t->vm, machine_find("x86_64", "none"), "x86_64")->ram_size = 0;
    g_autofree char *option = g_strdup_printf("socket,id=c,fd=%d", pair[1]);
    Bus *bus = virtio_mmio_new(t->vm, TEST_BASE, (Pin){0});
    t->dev = bus->owner;
    if (chardev_from_option(t->vm, option, &error)) {
        Device *d = device_new(t->vm, type, &error);
        if (d && !configure(d, type, &in, &error))
            object_unref(&d->object);
        else if (d && device_realize(d, bus, &error))
            use(t, d);
        g_clear_error(&error);
        for (unsigned i = 0; i < 20 && loop_step(t->loop, false); i++) {
        }
    }
    test_device_free(t);
    close(pair[0]);
    return 0;
}

const char *const fuzz_words[] = { NULL };
