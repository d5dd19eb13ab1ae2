/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio GPU as a driver and a viewer see it. Spec: virtio 1.2, 5.7. */
#include <string.h>
#include "hw/display/virtio-gpu.h"
#include "tests/lib/virtio-guest.h"

typedef struct Rig {
    VirtioGuest *g;
    uint64_t request, reply, backing;
} Rig;

static Rig rig_new(const char *property, const char *value, uint64_t features)
{
    Rig r = {virtio_guest("virtio-gpu-device", property ? property : "max_outputs", property ? value : "2", NULL)};

    g_assert_true(virtio_guest_start(r.g, features, 2));
    r.request = virtio_guest_room(r.g, 4096);
    r.reply = virtio_guest_room(r.g, 4096);
    r.backing = virtio_guest_room(r.g, 64 * 64 * 4);
    return r;
}

/* Sends words behind a header of that type; returns the answer's type. */
static uint32_t command_on(Rig *r, unsigned queue, uint32_t type, const uint32_t *words, unsigned n)
{
    uint32_t request[128] = {GUINT32_TO_LE(type), GUINT32_TO_LE(1), GUINT32_TO_LE(77)}, answer[6];
    GuestUsed used;

    for (unsigned i = 0; i < n; i++) {
        request[6 + i] = GUINT32_TO_LE(words[i]);
    }
    virtio_guest_poke(r->g, r->request, request, sizeof(request));
    virtio_guest_offer(r->g, queue, (GuestBuffer[]){{r->request, 24 + 4 * n, false}, {r->reply, 4096, true}}, 2);
    virtio_guest_kick(r->g, queue);
    g_assert_true(virtio_guest_used(r->g, queue, &used));
    g_assert_cmpuint(used.len, >=, 24);
    virtio_guest_peek(r->g, r->reply, answer, sizeof(answer));
    g_assert_cmpuint(GUINT32_FROM_LE(answer[1]), ==, 1);        /* the fence comes back */
    g_assert_cmpuint(GUINT32_FROM_LE(answer[2]), ==, 77);
    return GUINT32_FROM_LE(answer[0]);
}
#define COMMAND(r, type, ...)                                                                     \
    command_on(r, 0, type, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static uint32_t answer_word(Rig *r, unsigned i)
{
    uint32_t w;

    virtio_guest_peek(r->g, r->reply + 24 + 4 * i, &w, 4);
    return GUINT32_FROM_LE(w);
}

static uint32_t pixel(Rig *r, unsigned output, unsigned x, unsigned y)
{
    return surface_line(console_surface(console_at(r->g->t->vm, output)), y)[x];
}

static void paint(Rig *r, unsigned i, uint32_t word)
{
    word = GUINT32_TO_LE(word);
    virtio_guest_poke(r->g, r->backing + 4 * i, &word, 4);
}

/* A picture of 64x64 in guest memory, shown on the second output. */
static void make_picture(Rig *r, uint32_t format)
{
    g_assert_cmphex(COMMAND(r, 0x101, 5, format, 64, 64), ==, GPU_OK);
    g_assert_cmphex(COMMAND(r, 0x106, 5, 2, r->backing, 0, 4096, 0, r->backing + 4096, 0, 3 * 4096, 0), ==,
                    GPU_OK);
    g_assert_cmphex(COMMAND(r, 0x103, 0, 0, 64, 32, 1, 5), ==, GPU_OK);
}

static void test_picture(void)
{
    Rig r = rig_new(NULL, NULL, 2);

    g_assert_cmphex(COMMAND(&r, 0x100, 0), ==, 0x1101);
    g_assert_cmpuint(answer_word(&r, 2), ==, 1280);
    g_assert_cmpuint(answer_word(&r, 4), ==, 1);                /* enabled */
    g_assert_cmpuint(answer_word(&r, 6 + 4), ==, 0);            /* the second is not plugged in */
    g_assert_cmphex(COMMAND(&r, 0x10a, 0, 0), ==, 0x1104);
    g_assert_cmpuint(answer_word(&r, 0), ==, 128);
    g_assert_cmphex(answer_word(&r, 2), ==, 0xffffff00);
    make_picture(&r, 2);
    g_assert_cmpuint(console_surface(console_at(r.g->t->vm, 1))->height, ==, 32);
    paint(&r, 64 * 20 + 3, 0x123456);
    g_assert_cmphex(COMMAND(&r, 0x105, 0, 20, 64, 1, 64 * 20 * 4, 0, 5, 0), ==, GPU_OK);
    g_assert_cmphex(COMMAND(&r, 0x104, 0, 0, 64, 64, 5, 0), ==, GPU_OK);
    g_assert_cmphex(pixel(&r, 1, 3, 20), ==, 0x123456);
    /* a part only: three pixels */
    paint(&r, 64 * 21 + 2, 0xabcdef);
    paint(&r, 64 * 21 + 9, 0x111111);
    g_assert_cmphex(COMMAND(&r, 0x105, 1, 21, 3, 1, (64 * 21 + 1) * 4, 0, 5, 0), ==, GPU_OK);
    g_assert_cmphex(pixel(&r, 1, 2, 21), ==, 0xabcdef);
    g_assert_cmphex(pixel(&r, 1, 9, 21), ==, 0);
    /* gone with its resource */
    g_assert_cmphex(COMMAND(&r, 0x107, 5, 0), ==, GPU_OK);
    g_assert_cmphex(COMMAND(&r, 0x102, 5, 0), ==, GPU_OK);
    g_assert_cmpuint(console_surface(console_at(r.g->t->vm, 1))->width, ==, 640);
    virtio_guest_free(r.g);
}

static void test_formats(void)
{
    static const struct { uint32_t format, word; } cases[] = {
        {1, 0xff112233}, {3, 0x332211ff}, {4, 0x33221100}, {67, 0xff332211}, {68, 0x11223300},
        {121, 0x112233ff}, {134, 0x00332211},
    };
    Rig r = rig_new(NULL, NULL, 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        make_picture(&r, cases[i].format);
        paint(&r, 0, cases[i].word);
        g_assert_cmphex(COMMAND(&r, 0x105, 0, 0, 64, 64, 0, 0, 5, 0), ==, GPU_OK);
        g_assert_cmphex(pixel(&r, 1, 0, 0) & 0xffffff, ==, 0x112233);
        g_assert_cmphex(COMMAND(&r, 0x102, 5, 0), ==, GPU_OK);
    }
    virtio_guest_free(r.g);
}

static void test_mistakes(void)
{
    Rig r = rig_new("max_hostmem", "32768", 0);

    g_assert_cmphex(COMMAND(&r, 0x101, 0, 2, 64, 64), ==, GPU_ERR_RESOURCE);
    g_assert_cmphex(COMMAND(&r, 0x101, 1, 99, 64, 64), ==, GPU_ERR_PARAMETER);
    g_assert_cmphex(COMMAND(&r, 0x101, 1, 2, 0xffffffff, 0xffffffff), ==, GPU_ERR_PARAMETER);
    g_assert_cmphex(COMMAND(&r, 0x101, 1, 2, 200, 200), ==, GPU_ERR_MEMORY);
    g_assert_cmphex(COMMAND(&r, 0x101, 1, 2, 64, 64), ==, GPU_OK);
    g_assert_cmphex(COMMAND(&r, 0x101, 1, 2, 64, 64), ==, GPU_ERR_RESOURCE);
    g_assert_cmphex(COMMAND(&r, 0x101, 2, 2, 64, 65), ==, GPU_ERR_MEMORY);
    g_assert_cmphex(COMMAND(&r, 0x103, 0, 0, 64, 64, 1, 1), ==, GPU_ERR_SCANOUT);
    g_assert_cmphex(COMMAND(&r, 0x103, 0, 1, 64, 64, 0, 1), ==, GPU_ERR_PARAMETER);
    g_assert_cmphex(COMMAND(&r, 0x103, 0xffffffff, 0, 64, 64, 0, 1), ==, GPU_ERR_PARAMETER);
    g_assert_cmphex(COMMAND(&r, 0x103, 0, 0, 64, 64, 0, 9), ==, GPU_ERR_RESOURCE);
    g_assert_cmphex(COMMAND(&r, 0x105, 0, 0, 64, 64, 0, 0, 1, 0), ==, GPU_ERR_RESOURCE);
    g_assert_cmphex(COMMAND(&r, 0x106, 1, 0x7fffffff), ==, GPU_ERR_PARAMETER);
    g_assert_cmphex(COMMAND(&r, 0x106, 1, 60), ==, GPU_ERR_UNSPEC);     /* entries that are not there */
    g_assert_cmphex(COMMAND(&r, 0x107, 1, 0), ==, GPU_ERR_RESOURCE);
    g_assert_cmphex(COMMAND(&r, 0x10c, 3, 1, 0, 0, 0, 0, 4096, 0), ==, GPU_ERR_UNSPEC);  /* no blobs */
    g_assert_cmphex(COMMAND(&r, 0x999, 0), ==, GPU_ERR_UNSPEC);
    g_assert_cmphex(COMMAND(&r, 0x101, 1), ==, GPU_ERR_UNSPEC);
    virtio_guest_free(r.g);
}

static void test_blob(void)
{
    Rig r = rig_new("blob", "on", 8);

    g_assert_cmphex(COMMAND(&r, 0x10c, 7, 1, 0, 1, 0, 0, 64 * 64 * 4, 0, r.backing, 0, 64 * 64 * 4, 0), ==,
                    GPU_OK);
    g_assert_cmphex(COMMAND(&r, 0x10d, 0, 0, 64, 64, 0, 7, 64, 64, 2, 0, 64 * 4, 0, 0, 0, 256, 0, 0, 0), ==,
                    GPU_ERR_PARAMETER);         /* a line too much */
    g_assert_cmphex(COMMAND(&r, 0x10d, 0, 0, 64, 63, 0, 7, 64, 64, 2, 0, 64 * 4, 0, 0, 0, 256, 0, 0, 0), ==,
                    GPU_OK);
    paint(&r, 64 + 5, 0x778899);
    g_assert_cmphex(COMMAND(&r, 0x104, 0, 0, 64, 63, 7, 0), ==, GPU_OK);
    g_assert_cmphex(pixel(&r, 0, 5, 0), ==, 0x778899);
    virtio_guest_free(r.g);
}

static void test_cursor(void)
{
    Rig r = rig_new(NULL, NULL, 0);
    Console *c = console_at(r.g->t->vm, 1);
    int x, y;

    make_picture(&r, 1);
    paint(&r, 1, 0x80ff0000);
    COMMAND(&r, 0x105, 0, 0, 64, 64, 0, 0, 5, 0);
    g_assert_cmphex(command_on(&r, 1, 0x300, (uint32_t[]){1, 10, 20, 0, 5, 3, 4, 0}, 8), ==, GPU_OK);
    const Cursor *cursor = console_cursor_get(c, &x, &y);
    g_assert_nonnull(cursor);
    g_assert_cmpint(x, ==, 10);
    g_assert_cmpuint(cursor->hot_y, ==, 4);
    g_assert_cmphex(cursor->pixels[1], ==, 0x80ff0000);
    g_assert_cmphex(command_on(&r, 1, 0x301, (uint32_t[]){1, 11, 20, 0, 5, 3, 4, 0}, 8), ==, GPU_OK);
    g_assert_nonnull(console_cursor_get(c, &x, &y));
    g_assert_cmpint(x, ==, 11);
    g_assert_cmphex(command_on(&r, 1, 0x300, (uint32_t[]){1, 0, 0, 0, 0, 0, 0, 0}, 8), ==, GPU_OK);
    g_assert_null(console_cursor_get(c, &x, &y));
    g_assert_cmphex(command_on(&r, 1, 0x300, (uint32_t[]){2, 0, 0, 0, 0, 0, 0, 0}, 8), ==, GPU_ERR_SCANOUT);
    virtio_guest_free(r.g);
}

/* A viewer's wish raises an event, and the guest sees the new size. */
static void test_resize(void)
{
    Rig r = rig_new(NULL, NULL, 0);

    g_assert_cmpuint(virtio_guest_reg(r.g, VMMIO_CONFIG), ==, 0);
    console_ui_info(console_at(r.g->t->vm, 1), &(UiInfo){.width = 800, .height = 600});
    g_assert_cmpuint(virtio_guest_reg(r.g, VMMIO_CONFIG), ==, 1);
    g_assert_cmphex(virtio_guest_isr(r.g) & 2, ==, 2);
    virtio_guest_set(r.g, VMMIO_CONFIG + 4, 1);
    g_assert_cmpuint(virtio_guest_reg(r.g, VMMIO_CONFIG), ==, 0);
    g_assert_cmpuint(virtio_guest_reg(r.g, VMMIO_CONFIG + 8), ==, 2);
    COMMAND(&r, 0x100, 0);
    g_assert_cmpuint(answer_word(&r, 6 + 0), ==, 1280);         /* to the right of the first */
    g_assert_cmpuint(answer_word(&r, 6 + 2), ==, 800);
    virtio_guest_free(r.g);
}

static void test_moved(void)
{
    Rig r = rig_new(NULL, NULL, 0);
    g_autoptr(VirtioGuest) to = virtio_guest("virtio-gpu-device", "max_outputs", "2", NULL);

    make_picture(&r, 2);
    paint(&r, 7, 0x654321);
    COMMAND(&r, 0x105, 0, 0, 64, 64, 0, 0, 5, 0);
    virtio_guest_move(r.g, to);
    virtio_guest_free(r.g);
    r.g = to;
    g_assert_cmphex(pixel(&r, 1, 7, 0), ==, 0x654321);
    paint(&r, 7, 0x222222);
    g_assert_cmphex(COMMAND(&r, 0x105, 0, 0, 64, 64, 0, 0, 5, 0), ==, GPU_OK);
    g_assert_cmphex(pixel(&r, 1, 7, 0), ==, 0x222222);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu/picture", test_picture);
    g_test_add_func("/virtio-gpu/formats", test_formats);
    g_test_add_func("/virtio-gpu/mistakes", test_mistakes);
    g_test_add_func("/virtio-gpu/blob", test_blob);
    g_test_add_func("/virtio-gpu/cursor", test_cursor);
    g_test_add_func("/virtio-gpu/resize", test_resize);
    g_test_add_func("/virtio-gpu/move", test_moved);
    return g_test_run();
}
