/* SPDX-License-Identifier: Apache-2.0 */
/* The balloon as a driver sees it. Spec: virtio 1.2, 5.5. */
#include <string.h>
#include "hw/virtio/balloon.h"
#include "tests/lib/virtio-guest.h"

enum { INFLATE, DEFLATE, STATS, PAGE = 4096, NUM_PAGES = VMMIO_CONFIG, ACTUAL = VMMIO_CONFIG + 4 };
#define F_STATS (1ull << 1)

static VirtioGuest *balloon(void)
{
    VirtioGuest *g = virtio_guest("virtio-balloon-device", NULL);
    g_assert_true(virtio_guest_start(g, F_STATS, 3));
    return g;
}

static void test_pages(void)
{
    g_autoptr(VirtioGuest) g = balloon();
    uint64_t page = virtio_guest_room(g, 2 * PAGE), list = virtio_guest_room(g, 16);
    page = (page + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    uint32_t frames[2] = {(uint32_t)(page / PAGE), 0xfffffff0};         /* the second is nowhere */
    uint8_t byte = 0x5a;
    GuestUsed u;
    virtio_guest_poke(g, page + 100, &byte, 1);
    virtio_guest_poke(g, list, frames, sizeof(frames));
    virtio_guest_offer(g, INFLATE, (GuestBuffer[]){{list, 8, false}}, 1);
    virtio_guest_kick(g, INFLATE);
    g_assert_true(virtio_guest_used(g, INFLATE, &u));
    virtio_guest_peek(g, page + 100, &byte, 1);
    g_assert_cmphex(byte, ==, 0);               /* given back to the host */
    virtio_guest_offer(g, DEFLATE, (GuestBuffer[]){{list, 8, false}}, 1);
    virtio_guest_kick(g, DEFLATE);
    g_assert_true(virtio_guest_used(g, DEFLATE, &u));
}

static void test_target(void)
{
    g_autoptr(VirtioGuest) g = balloon();
    VirtioBalloon *b = balloon_find(g->t->vm);
    g_assert_nonnull(b);
    Machine machine = {.ram_size = TEST_RAM};
    g->t->vm->machine = &machine;
    balloon_set_target(b, TEST_RAM / 2);
    g_assert_cmpuint(virtio_guest_isr(g) & 2, ==, 2);
    g_assert_cmpuint(virtio_guest_reg(g, NUM_PAGES), ==, TEST_RAM / 2 / PAGE);
    virtio_guest_set(g, ACTUAL, 64);
    g_assert_cmpuint(balloon_actual(b), ==, TEST_RAM - 64 * PAGE);
    balloon_set_target(b, 10ull * TEST_RAM);    /* more than there is */
    g_assert_cmpuint(virtio_guest_reg(g, NUM_PAGES), ==, 0);
    balloon_set_target(b, TEST_RAM / 4);
    device_reset(g->card);                      /* the host's wish outlives it, the guest's report does not */
    g_assert_cmpuint(virtio_guest_reg(g, NUM_PAGES), ==, TEST_RAM / 4 * 3 / PAGE);
    g_assert_cmpuint(virtio_guest_reg(g, ACTUAL), ==, 0);
    g->t->vm->machine = NULL;
}

static void offer_stats(VirtioGuest *g, uint64_t at, uint64_t value)
{
    struct __attribute__((packed)) { uint16_t tag; uint64_t value; } s = {4, value};     /* free memory */
    virtio_guest_poke(g, at, &s, sizeof(s));
    virtio_guest_offer(g, STATS, (GuestBuffer[]){{at, sizeof(s), false}}, 1);
    virtio_guest_kick(g, STATS);
}

static void test_stats(void)
{
    g_autoptr(VirtioGuest) a = balloon();
    g_autoptr(VirtioGuest) b = virtio_guest("virtio-balloon-device", NULL);
    g_autoptr(GError) error = NULL;
    uint64_t at = virtio_guest_room(a, 16);
    GuestUsed u;
    offer_stats(a, at, 77);
    g_assert_false(virtio_guest_used(a, STATS, &u));            /* kept until the next question */
    virtio_guest_move(a, b);
    g_assert_false(virtio_guest_used(b, STATS, &u));
    g_assert_true(object_set_string(&b->card->object, "guest-stats-polling-interval", "1", &error));
    for (int i = 0; i < 300 && !virtio_guest_used(b, STATS, &u); i++) {
        g_usleep(10000);
        virtio_guest_step(b);
        g_assert_cmpint(i, <, 299);
    }
    offer_stats(b, at, 78);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-balloon/pages", test_pages);
    g_test_add_func("/virtio-balloon/target", test_target);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    return g_test_run();
}
