/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio sound device as a driver uses it. Spec: virtio 1.2, 5.14. */
#include <string.h>
#include "tests/lib/virtio-guest.h"
#include "util/bytes.h"

enum {
    CONTROL, EVENTS, TX, RX, QUEUES, PCM_INFO = 0x100, SET_PARAMS, PREPARE, RELEASE, START, STOP,
    OK = 0x8000, BAD_MSG, NOT_SUPP, S16 = 5, RATE_48000 = 7, PERIOD = 480 * 4,
};

static uint64_t load(const uint8_t *p, unsigned n)
{
    BytesReader r = {p, n, true};
    return bytes_get(&r, n);
}

/* A request of words; its status, and what follows it. */
static uint32_t ask(VirtioGuest *g, const uint32_t *words, unsigned n, uint8_t *answer, unsigned bytes)
{
    uint8_t q[24], status[4];
    GuestUsed used;
    uint64_t out = virtio_guest_room(g, sizeof(q)), in = virtio_guest_room(g, 4 + bytes);
    for (unsigned i = 0; i < n; i++)
        bytes_store(q + 4 * i, words[i], 4);
    virtio_guest_poke(g, out, q, 4 * n);
    virtio_guest_offer(g, CONTROL, (GuestBuffer[]){{out, 4 * n, false}, {in, 4 + bytes, true}}, 2);
    virtio_guest_kick(g, CONTROL);
    g_assert_true(virtio_guest_used(g, CONTROL, &used));
    virtio_guest_peek(g, in, status, 4);
    if (answer)
        virtio_guest_peek(g, in + 4, answer, bytes);
    return (uint32_t)load(status, 4);
}

static uint32_t step(VirtioGuest *g, uint32_t code, uint32_t stream)
{
    return ask(g, (uint32_t[]){code, stream}, 2, NULL, 0);
}

static uint32_t set_params(VirtioGuest *g, uint32_t stream, uint32_t form)
{
    return ask(g, (uint32_t[]){SET_PARAMS, stream, 4 * PERIOD, PERIOD, 0, form}, 6, NULL, 0);
}

static const uint32_t stereo = 2 | S16 << 8 | RATE_48000 << 16;

static uint64_t offer(VirtioGuest *g, unsigned q, uint32_t stream)
{
    uint8_t xfer[4];
    uint64_t head = virtio_guest_room(g, 4), data = virtio_guest_room(g, PERIOD), tail = virtio_guest_room(g, 8);
    bytes_store(xfer, stream, 4);
    virtio_guest_poke(g, head, xfer, 4);
    virtio_guest_offer(g, q, (GuestBuffer[]){{head, 4, false}, {data, PERIOD, q == RX}, {tail, 8, true}}, 3);
    virtio_guest_kick(g, q);
    return tail;
}

static uint32_t status_at(VirtioGuest *g, uint64_t tail)
{
    uint8_t b[4];
    virtio_guest_peek(g, tail, b, 4);
    return (uint32_t)load(b, 4);
}

static void pass_ms(VirtioGuest *g, int64_t ms)
{
    for (int64_t i = 0; i < 2 * ms; i++) {
        test_clock_step_ns(g->t, 500000);
        virtio_guest_step(g);
    }
}

static void test_info(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-sound-device", "streams", "3", NULL);
    uint8_t b[96];
    g_assert_true(virtio_guest_start(g, 0, QUEUES));
    g_assert_cmpuint(virtio_guest_reg(g, VMMIO_CONFIG + 4), ==, 3);
    g_assert_cmphex(ask(g, (uint32_t[]){PCM_INFO, 0, 3, 32}, 4, b, sizeof(b)), ==, OK);
    for (unsigned n = 0; n < 3; n++) {
        g_assert_cmphex(load(b + 32 * n + 8, 8), ==, 0xe0078);
        g_assert_cmpuint(b[32 * n + 24], ==, n == 2);
        g_assert_cmpuint(b[32 * n + 26], ==, 2);
    }
    g_assert_cmphex(ask(g, (uint32_t[]){PCM_INFO, 1, 3, 32}, 4, b, sizeof(b)), ==, BAD_MSG);
    g_assert_cmphex(ask(g, (uint32_t[]){PCM_INFO, 0, 3, 33}, 4, b, sizeof(b)), ==, BAD_MSG);
    g_assert_cmphex(ask(g, (uint32_t[]){0x101, 0}, 2, NULL, 0), ==, BAD_MSG);
    g_assert_cmphex(ask(g, (uint32_t[]){0x999, 0}, 2, NULL, 0), ==, NOT_SUPP);
}

static void test_states(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-sound-device", NULL);
    g_assert_true(virtio_guest_start(g, 0, QUEUES));
    g_assert_cmphex(step(g, PREPARE, 0), ==, BAD_MSG);
    g_assert_cmphex(set_params(g, 2, stereo), ==, BAD_MSG);
    g_assert_cmphex(set_params(g, 0, 3 | S16 << 8 | RATE_48000 << 16), ==, NOT_SUPP);
    g_assert_cmphex(set_params(g, 0, 2 | 20 << 8 | RATE_48000 << 16), ==, NOT_SUPP);
    g_assert_cmphex(set_params(g, 0, 2 | S16 << 8 | 13 << 16), ==, NOT_SUPP);
    g_assert_cmphex(set_params(g, 0, stereo), ==, OK);
    g_assert_cmphex(step(g, START, 0), ==, BAD_MSG);
    g_assert_cmphex(step(g, PREPARE, 0), ==, OK);
    g_assert_cmphex(step(g, START, 0), ==, OK);
    g_assert_cmphex(set_params(g, 0, stereo), ==, BAD_MSG);
    g_assert_cmphex(step(g, RELEASE, 0), ==, BAD_MSG);
    g_assert_cmphex(step(g, STOP, 0), ==, OK);
    g_assert_cmphex(step(g, RELEASE, 0), ==, OK);
}

/* A period of 10 ms is given back when it has been played, and not before the stream has started. */
static void test_time(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-sound-device", NULL);
    GuestUsed used;
    g_assert_true(virtio_guest_start(g, 0, QUEUES));
    for (uint32_t n = 0; n < 2; n++) {
        unsigned q = n ? RX : TX;
        g_assert_cmphex(status_at(g, offer(g, q, n)), ==, BAD_MSG);
        g_assert_true(virtio_guest_used(g, q, &used));
        g_assert_cmphex(set_params(g, n, stereo), ==, OK);
        g_assert_cmphex(step(g, PREPARE, n), ==, OK);
        uint64_t first = offer(g, q, n), second = offer(g, q, n), third = offer(g, q, n);
        pass_ms(g, 100);
        g_assert_false(virtio_guest_used(g, q, &used));
        g_assert_cmphex(step(g, START, n), ==, OK);
        pass_ms(g, 9);
        g_assert_false(virtio_guest_used(g, q, &used));
        pass_ms(g, 2);
        g_assert_true(virtio_guest_used(g, q, &used));
        g_assert_cmpuint(used.len, ==, n ? PERIOD + 8 : 8);
        g_assert_cmphex(status_at(g, first), ==, OK);
        g_assert_false(virtio_guest_used(g, q, &used));
        pass_ms(g, 10);
        g_assert_true(virtio_guest_used(g, q, &used));
        g_assert_cmphex(status_at(g, second), ==, OK);
        g_assert_cmphex(step(g, STOP, n), ==, OK);
        pass_ms(g, 100);
        g_assert_false(virtio_guest_used(g, q, &used));
        g_assert_cmphex(step(g, RELEASE, n), ==, OK);
        g_assert_true(virtio_guest_used(g, q, &used));
        g_assert_cmphex(status_at(g, third), ==, OK);
    }
    g_assert_cmphex(status_at(g, offer(g, TX, 1)), ==, BAD_MSG);   /* a stream of the other direction */
}

/* The state moves while a stream runs with a buffer half played. */
static void test_move_state(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest("virtio-sound-device", NULL);
    g_autoptr(VirtioGuest) to = virtio_guest("virtio-sound-device", NULL);
    GuestUsed used;
    g_assert_true(virtio_guest_start(g, 0, QUEUES));
    g_assert_cmphex(set_params(g, 0, stereo), ==, OK);
    g_assert_cmphex(step(g, PREPARE, 0), ==, OK);
    offer(g, TX, 0);
    offer(g, TX, 0);
    g_assert_cmphex(step(g, START, 0), ==, OK);
    pass_ms(g, 15);
    g_assert_true(virtio_guest_used(g, TX, &used));
    virtio_guest_move(g, to);
    g_assert_false(virtio_guest_used(to, TX, &used));
    pass_ms(to, 50);
    g_assert_true(virtio_guest_used(to, TX, &used));
    g_assert_cmphex(step(to, STOP, 0), ==, OK);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-sound/info", test_info);
    g_test_add_func("/virtio-sound/states", test_states);
    g_test_add_func("/virtio-sound/time", test_time);
    g_test_add_func("/virtio-sound/move", test_move_state);
    return g_test_run();
}
