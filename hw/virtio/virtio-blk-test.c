/* SPDX-License-Identifier: Apache-2.0 */
/* The disk as a driver sees it. Spec: virtio 1.2, 5.2. */
#include <string.h>
#include <unistd.h>
#include "block/block.h"
#include "tests/lib/virtio-guest.h"

enum {
    IN, OUT, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13, OK = 0, IOERR, UNSUPP, SECTOR = 512,
    SECTORS = 2048,
};
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

typedef struct Disk {
    VirtioGuest *g;
    char *path;
    uint64_t header, data, status;
} Disk;

static void open_disk(Disk *d, const char *drive, const char *more, const char *value)
{
    g_autoptr(GError) error = NULL;
    TestDevice *t = test_machine();
    g_autofree char *file = NULL;
    if (!drive) {
        int fd = g_file_open_tmp("blk-test-XXXXXX", &d->path, &error);
        g_assert_no_error(error);
        g_assert_cmpint(ftruncate(fd, SECTORS * SECTOR), ==, 0);
        close(fd);
        drive = file = g_strdup_printf("driver=file,node-name=disk,filename=%s,discard=unmap", d->path);
    }
    blockdev_add_option(t->vm, drive, &error);
    g_assert_no_error(error);
    d->g = virtio_guest_on(t, "virtio-blk-device", "drive", "disk", "serial", "number7", more, value, NULL);
    d->header = virtio_guest_room(d->g, 16);
    d->data = virtio_guest_room(d->g, 4096);
    d->status = virtio_guest_room(d->g, 1);
}

static void close_disk(Disk *d)
{
    virtio_guest_free(d->g);
    if (d->path)
        unlink(d->path);
    g_free(d->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Disk, close_disk)

static void wait_used(Disk *d)
{
    GuestUsed u;
    while (!virtio_guest_used(d->g, 0, &u))
        loop_step(d->g->t->loop, true);
}

static uint8_t request(Disk *d, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest)
{
    struct { uint32_t type, reserved; uint64_t sector; } h = {type, 0, sector};
    uint8_t status = 0xff;
    virtio_guest_poke(d->g, d->header, &h, sizeof(h));
    virtio_guest_poke(d->g, d->status, &status, 1);
    GuestBuffer b[3] = {{d->header, 16, false}, {d->data, bytes, to_guest}, {d->status, 1, true}};
    if (!bytes)
        b[1] = b[2];
    virtio_guest_offer(d->g, 0, b, bytes ? 3 : 2);
    virtio_guest_kick(d->g, 0);
    wait_used(d);
    virtio_guest_peek(d->g, d->status, &status, 1);
    return status;
}

static void test_data(const void *packed)
{
    g_auto(Disk) d = {0};
    char text[SECTOR] = "written by the guest";
    open_disk(&d, NULL, "packed", packed ? "on" : "off");
    g_assert_true(virtio_guest_start(d.g, packed ? VIRTIO_F_RING_PACKED : 0, 1));
    virtio_guest_poke(d.g, d.data, text, SECTOR);
    g_assert_cmpuint(request(&d, OUT, 5, SECTOR, false), ==, OK);
    g_assert_cmpuint(request(&d, FLUSH, 0, 0, false), ==, OK);
    memset(text, 0, sizeof(text));
    virtio_guest_poke(d.g, d.data, text, SECTOR);
    g_assert_cmpuint(request(&d, IN, 5, SECTOR, true), ==, OK);
    virtio_guest_peek(d.g, d.data, text, SECTOR);
    g_assert_cmpstr(text, ==, "written by the guest");
    g_assert_cmpuint(request(&d, GET_ID, 0, 20, true), ==, OK);
    virtio_guest_peek(d.g, d.data, text, 20);
    g_assert_cmpstr(text, ==, "number7");
}

static void test_errors(void)
{
    g_auto(Disk) d = {0};
    open_disk(&d, NULL, NULL, NULL);
    g_assert_true(virtio_guest_start(d.g, 0, 1));
    g_assert_cmpuint(request(&d, IN, SECTORS, SECTOR, true), ==, IOERR);        /* behind the end */
    g_assert_cmpuint(request(&d, IN, UINT64_MAX, SECTOR, true), ==, IOERR);
    g_assert_cmpuint(request(&d, IN, SECTORS - 1, 2 * SECTOR, true), ==, IOERR);
    g_assert_cmpuint(request(&d, IN, 0, 100, true), ==, IOERR);                 /* half a sector */
    g_assert_cmpuint(request(&d, 77, 0, SECTOR, true), ==, UNSUPP);
    g_assert_cmpuint(request(&d, DISCARD, 0, 16, false), ==, UNSUPP);           /* not negotiated */
    /* Without room for a status the rules are broken. */
    virtio_guest_offer(d.g, 0, (GuestBuffer[]){{d.header, 16, false}}, 1);
    virtio_guest_kick(d.g, 0);
    g_assert_cmphex(virtio_guest_reg(d.g, VMMIO_STATUS) & VIRTIO_NEEDS_RESET, !=, 0);
}

static uint8_t range(Disk *d, uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
    struct { uint64_t sector; uint32_t count, flags; } r = {sector, count, flags};
    virtio_guest_poke(d->g, d->data, &r, sizeof(r));
    return request(d, type, 0, sizeof(r), false);
}

static void test_ranges(void)
{
    g_auto(Disk) d = {0};
    char text[SECTOR];
    open_disk(&d, NULL, NULL, NULL);
    g_assert_true(virtio_guest_start(d.g, F_DISCARD | F_WRITE_ZEROES, 1));
    memset(text, 'x', sizeof(text));
    virtio_guest_poke(d.g, d.data, text, SECTOR);
    g_assert_cmpuint(request(&d, OUT, 8, SECTOR, false), ==, OK);
    g_assert_cmpuint(range(&d, WRITE_ZEROES, 8, 1, 0), ==, OK);
    g_assert_cmpuint(request(&d, IN, 8, SECTOR, true), ==, OK);
    virtio_guest_peek(d.g, d.data, text, SECTOR);
    g_assert_cmpint(text[7], ==, 0);
    g_assert_cmpuint(range(&d, DISCARD, 0, SECTORS, 0), ==, OK);
    g_assert_cmpuint(range(&d, DISCARD, 0, SECTORS + 1, 0), ==, IOERR);
    g_assert_cmpuint(range(&d, DISCARD, 0, 1, 2), ==, IOERR);                   /* no such flag */
    g_assert_cmpuint(range(&d, WRITE_ZEROES, 0, UINT32_MAX, 0), ==, IOERR);
}

static void test_config(void)
{
    g_auto(Disk) d = {0};
    open_disk(&d, "null-co,node-name=disk,size=1G", "queue-size", "64");
    g_assert_cmpuint(virtio_guest_reg(d.g, VMMIO_CONFIG), ==, (1 << 30) / SECTOR);
    g_assert_cmpuint(virtio_guest_reg(d.g, VMMIO_CONFIG + 12), ==, 62);         /* seg_max */
    g_assert_cmpuint(virtio_guest_reg(d.g, VMMIO_CONFIG + 20), ==, SECTOR);
    g_assert_cmpuint(test_read_at(d.g->t, VMMIO_CONFIG + 32, 1), ==, 1);        /* write-back */
    test_write_at(d.g->t, VMMIO_CONFIG + 32, 1, 0);
    g_assert_cmpuint(test_read_at(d.g->t, VMMIO_CONFIG + 32, 1), ==, 0);
    g_auto(Disk) e = {0};
    open_disk(&e, "null-co,node-name=disk,size=1G", "seg-max-adjust", "off");
    g_assert_cmpuint(virtio_guest_reg(e.g, VMMIO_CONFIG + 12), ==, 126);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio-blk/split", NULL, test_data);
    g_test_add_data_func("/virtio-blk/packed", "packed", test_data);
    g_test_add_func("/virtio-blk/errors", test_errors);
    g_test_add_func("/virtio-blk/ranges", test_ranges);
    g_test_add_func("/virtio-blk/config", test_config);
    return g_test_run();
}
