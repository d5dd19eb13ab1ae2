/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of flash: commands, modes, what reaches the drive. */
#include <string.h>
#include <unistd.h>
#include "block/block.h"
#include "block/drive.h"
#include "core/testing.h"
#include "hw/pflash.h"

enum { SIZE = 64 << 10, AT = 0x10000000 };

static uint8_t load(TestDevice *t, uint64_t at)
{
    uint64_t v;
    as_load(t->vm->memory, AT + at, 1, &v);
    return v;
}

static void store(TestDevice *t, uint64_t at, uint8_t v) { as_store(t->vm->memory, AT + at, 1, v); }

static void commands(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *content = g_malloc(SIZE), *now = NULL;
    memset(content, 0xa5, SIZE);
    int fd = g_file_open_tmp("pflash-XXXXXX", &path, &error);
    g_assert_cmpint(write(fd, content, SIZE), ==, SIZE);
    close(fd);
    g_autofree char *option = g_strdup_printf("if=pflash,format=raw,file=%s", path);
    Drive *drive = drive_add_option(t->vm, option, &(DriveBoard){DRIVE_PFLASH, 2}, &error);
    g_assert_no_error(error);
    t->dev = pflash_new(t->vm, "test.flash", drive, 4096, &error);
    g_assert_no_error(error);
    mem_add(t->vm->memory_root, AT, pflash_region(t->dev), 0);

    g_assert_cmphex(load(t, 0x1234), ==, 0xa5);
    store(t, 0, 0x50);                          /* clear, then status: as UEFI looks for flash */
    g_assert_cmphex(load(t, 0), ==, 0xa5);
    store(t, 0, 0x70);
    g_assert_cmphex(load(t, 0), ==, 0x00);
    store(t, 0, 0x98);
    g_assert_cmphex(load(t, 0x10), ==, 'Q');
    g_assert_cmphex(load(t, 0x27), ==, 16);
    store(t, 0, 0xff);
    store(t, 0x10, 0x40);                       /* programming clears bits */
    store(t, 0x10, 0x0f);
    g_assert_cmphex(load(t, 0x10), ==, 0x80);
    store(t, 0x10, 0xff);
    g_assert_cmphex(load(t, 0x10), ==, 0x05);
    store(t, 0x2000, 0x20);                     /* erase a sector */
    store(t, 0x2000, 0xd0);
    store(t, 0x2000, 0xff);
    g_assert_cmphex(load(t, 0x2fff), ==, 0xff);
    g_assert_cmphex(load(t, 0x3000), ==, 0xa5);
    store(t, 0x2000, 0xe8);                     /* three bytes through the buffer */
    store(t, 0x2000, 2);
    for (unsigned i = 0; i < 3; i++)
        store(t, 0x2008 + i, 0x11 * (i + 1));
    store(t, 0x2000, 0xd0);
    g_assert_cmphex(load(t, 0x2000), ==, 0x80);
    store(t, 0x2000, 0xff);
    g_assert_cmphex(load(t, 0x200a), ==, 0x33);

    device_unplug(t->dev);
    gsize n;
    g_assert_true(g_file_get_contents(path, &now, &n, &error));
    g_assert_cmphex((uint8_t)now[0x10], ==, 0x05);
    g_assert_cmphex((uint8_t)now[0x2009], ==, 0x22);
    g_assert_cmphex((uint8_t)now[0x2100], ==, 0xff);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pflash/commands", commands);
    return g_test_run();
}
