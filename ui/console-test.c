/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles: what viewers are told, and when the device is asked. */
#include <string.h>

#include "core/vm.h"
#include "ui/console.h"

static const DeviceType screen = {.name = "test-screen", .size = sizeof(Device)};
DEVICE_TYPE(screen);

typedef struct Seen {
    ConsoleListener listener;
    unsigned resized, updated, gone, x, y, width, height;
} Seen;

static void resized(ConsoleListener *l, Surface *s)
{
    ((Seen *)l)->resized++;
}

static void updated(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height)
{
    Seen *seen = (Seen *)l;

    seen->updated++;
    seen->x = x;
    seen->y = y;
    seen->width = width;
    seen->height = height;
}

static void leave(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height)
{
    ((Seen *)l)->updated++;
    console_unlisten(l);
}

static void gone(ConsoleListener *l)
{
    ((Seen *)l)->gone++;
}

static void refresh(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_viewers(void)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    unsigned refreshed = 0;
    const ConsoleOps ops = {.refresh = refresh};
    Console *c = console_new(device_make(vm, "test-screen"), 0, &ops, &refreshed);
    Seen one = {.listener = {.updated = leave, .gone = gone}};
    Seen two = {.listener = {.resized = resized, .updated = updated, .gone = gone}};

    console_listen(c, &one.listener);
    console_listen(c, &two.listener);
    g_assert_cmpuint(two.resized, ==, 1);
    g_assert_cmpuint(refreshed, ==, 2);
    console_update(c, 630, 470, 100, 100);      /* clipped */
    console_update(c, 640, 0, 1, 1);            /* outside */
    g_assert_cmpuint(one.updated, ==, 1);
    g_assert_cmpuint(two.updated, ==, 1);
    g_assert_cmpuint(two.width, ==, 10);
    g_assert_cmpuint(two.height, ==, 10);
    while (refreshed < 4) {
        loop_step(loop, true);
    }
    console_free(c);
    g_assert_cmpuint(one.gone, ==, 0);
    g_assert_cmpuint(two.gone, ==, 1);
    g_assert_null(console_at(vm, 0));
    vm_free(vm);
    loop_free(loop);
}

static void test_dump(void)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    g_autofree char *folder = g_dir_make_tmp("console-XXXXXX", NULL);
    g_autofree char *name = g_build_filename(folder, "a.ppm", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    gsize n;

    g_assert_null(console_find(vm, NULL, 0, &error));
    g_clear_error(&error);
    Console *c = console_new(device_make(vm, "test-screen"), 0, &(ConsoleOps){0}, NULL);
    console_show(c, surface_new(2, 1));
    surface_line(console_surface(c), 0)[1] = 0x123456;
    g_assert_true(console_find(vm, NULL, 0, NULL) == c);
    g_assert_null(console_find(vm, NULL, 1, NULL));
    g_assert_true(console_dump(c, name, false, &error));
    g_assert_true(g_file_get_contents(name, &text, &n, NULL));
    g_assert_cmpmem(text, n, "P6\n2 1\n255\n\0\0\0\x12\x34\x56", 17);
    g_assert_true(console_dump(c, name, true, &error));
    g_assert_false(console_dump(c, folder, true, &error));
    unlink(name);
    rmdir(folder);
    console_free(c);
    vm_free(vm);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ui/console/viewers", test_viewers);
    g_test_add_func("/ui/console/dump", test_dump);
    return g_test_run();
}
