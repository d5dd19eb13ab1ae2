/* SPDX-License-Identifier: Apache-2.0 */
/* The balloon as a driver sees it. Spec: virtio 1.2, 5.5. */
#include <string.h>
#include "hw/virtio/balloon.h"
#include "tests/lib/virtio-guest.h"

enum { INFLATE, DEFLATE, STATS, PAGE = 4096, NUM_PAGES = VMMIO_CONFIG, ACTUAL = VMMIO_CONFIG + 4,
       HINTS = 3, HINT_COMMAND = VMMIO_CONFIG + 8, POISON = VMMIO_CONFIG + 12 };
#define F_HINTS (1ull << 3)
#define F_POISON (1ull << 4)
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

typedef struct Hinted {
    uint64_t bytes;
    unsigned ends;
} Hinted;

static void count(void *opaque, void *host, uint64_t bytes) { ((Hinted *)opaque)->bytes += bytes; }
static void end(void *opaque) { ((Hinted *)opaque)->ends++; }

static void offer_number(VirtioGuest *g, uint64_t at, uint32_t id)
{
    GuestUsed u;
    virtio_guest_poke(g, at, &id, sizeof(id));
    virtio_guest_offer(g, HINTS, (GuestBuffer[]){{at, 4, false}}, 1);
    virtio_guest_kick(g, HINTS);
    g_assert_true(virtio_guest_used(g, HINTS, &u));
}

static void offer_pages(VirtioGuest *g, uint64_t at, unsigned bytes)
{
    GuestUsed u;
    virtio_guest_offer(g, HINTS, (GuestBuffer[]){{at, bytes, true}}, 1);
    virtio_guest_kick(g, HINTS);
    g_assert_true(virtio_guest_used(g, HINTS, &u));
}

static void test_hints(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-balloon-device", "free-page-hint", "on", NULL);
    VirtioBalloon *b = balloon_find(g->t->vm);
    Hinted seen = {0};
    BalloonHints listener = {count, end, &seen};
    g_assert_false(balloon_hints_start(b, &listener));          /* there is no driver yet */
    g_assert_true(virtio_guest_start(g, F_STATS | F_HINTS | F_POISON, 4));
    uint64_t at = virtio_guest_room(g, 16), page = virtio_guest_room(g, PAGE);
    virtio_guest_set(g, POISON, 0xaaaaaaaa);
    g_assert_cmphex(virtio_guest_reg(g, POISON), ==, 0xaaaaaaaa);
    offer_pages(g, page, PAGE);                                 /* nobody asked */
    g_assert_true(balloon_hints_start(b, &listener));
    uint32_t id = virtio_guest_reg(g, HINT_COMMAND);
    g_assert_cmphex(id, >=, 0x80000000);
    offer_number(g, at, id - 1);                                /* of another question */
    offer_pages(g, page, PAGE);
    g_assert_cmpuint(seen.bytes, ==, 0);
    offer_number(g, at, id);
    offer_pages(g, page, PAGE);
    offer_pages(g, page, PAGE);
    g_assert_cmpuint(seen.bytes, ==, 2 * PAGE);
    offer_number(g, at, 0);
    g_assert_cmpuint(seen.ends, ==, 1);
    g_assert_true(balloon_hints_start(b, &listener));
    g_assert_cmphex(virtio_guest_reg(g, HINT_COMMAND), ==, id + 1);
    offer_number(g, at, id + 1);
    balloon_hints_stop(b, false);
    g_assert_cmphex(virtio_guest_reg(g, HINT_COMMAND), ==, 0);
    offer_pages(g, page, PAGE);
    balloon_hints_stop(b, true);
    g_assert_cmphex(virtio_guest_reg(g, HINT_COMMAND), ==, 1);
    g_assert_cmpuint(seen.bytes, ==, 2 * PAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-balloon/pages", test_pages);
    g_test_add_func("/virtio-balloon/target", test_target);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    g_test_add_func("/virtio-balloon/hints", test_hints);
    return g_test_run();
}
