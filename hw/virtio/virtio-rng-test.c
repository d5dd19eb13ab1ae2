/* SPDX-License-Identifier: Apache-2.0 */
/* The entropy source as a driver sees it. Spec: virtio 1.2, 5.4. */
#include <string.h>
#include "tests/lib/virtio-guest.h"

/* The number of bytes that came; loops until something came or `ms` have passed. */
static uint32_t arrived(VirtioGuest *g, unsigned ms)
{
    GuestUsed u;
    for (int64_t end = g_get_monotonic_time() + 1000 * ms; g_get_monotonic_time() < end;) {
        if (virtio_guest_used(g, 0, &u))
            return u.len;
        loop_step(g->t->loop, false);
        g_usleep(200);
    }
    return 0;
}

static void ask(VirtioGuest *g, uint64_t pa, uint32_t n)
{
    virtio_guest_offer(g, 0, (GuestBuffer[]){{pa, n, true}}, 1);
    virtio_guest_kick(g, 0);
}

static void test_bytes(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-rng-device", NULL);
    uint8_t a[32], b[32] = {0};
    g_assert_cmpuint(virtio_guest_reg(g, 8), ==, 4);
    g_assert_true(virtio_guest_start(g, 0, 1));
    uint64_t pa = virtio_guest_room(g, 64);
    ask(g, pa, 32);
    g_assert_cmpuint(arrived(g, 2000), ==, 32);
    virtio_guest_peek(g, pa, a, 32);
    g_assert_cmpint(memcmp(a, b, 32), !=, 0);
    ask(g, pa, 0);                              /* nothing asked, nothing given */
    GuestUsed u;
    g_assert_true(virtio_guest_used(g, 0, &u));
    g_assert_cmpuint(u.len, ==, 0);
}

static void test_limit(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-rng-device", "max-bytes", "8", "period", "300", NULL);
    g_assert_true(virtio_guest_start(g, 0, 1));
    uint64_t pa = virtio_guest_room(g, 64);
    ask(g, pa, 32);
    g_assert_cmpuint(arrived(g, 2000), ==, 8);
    ask(g, pa, 32);
    g_assert_cmpuint(arrived(g, 50), ==, 0);    /* not before the next period */
    g_assert_cmpuint(arrived(g, 3000), ==, 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-rng/bytes", test_bytes);
    g_test_add_func("/virtio-rng/limit", test_limit);
    return g_test_run();
}
