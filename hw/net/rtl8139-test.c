/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "core/testing.h"
#include "hw/net/rtl8139.h"

enum { OUT = 0x1000, RING = 0x4000, TX_RING = 0x2000, RX_RING = 0x3000, FRAME = 99 };
#define FULL_LOOPBACK 0x60000u
#define TAKE_ALL 0x0fu

static TestDevice *start(void)
{
    TestDevice *t = test_device("rtl8139");
    pci_config_write(&rtl_of(t->dev)->pci, 4, 6, 2);
    uint8_t frame[FRAME];
    for (unsigned i = 0; i < FRAME; i++)
        frame[i] = (uint8_t)(i * 5);
    g_assert_true(as_write(t->vm->memory, OUT, frame, FRAME));
    return t;
}

static void check_frame(TestDevice *t, uint64_t pa)
{
    uint8_t frame[FRAME];
    g_assert_true(as_read(t->vm->memory, pa, frame, FRAME));
    for (unsigned i = 0; i < FRAME; i++)
        g_assert_cmpuint(frame[i], ==, (uint8_t)(i * 5));
}

static uint32_t word(TestDevice *t, uint64_t pa)
{
    uint32_t v;
    g_assert_true(as_read(t->vm->memory, pa, &v, 4));
    return v;
}

static void enable(TestDevice *t)
{
    test_write_at(t, 0x37, 1, RTL_CR_RE | RTL_CR_TE);
    test_write(t, "RBSTART", RING);
    test_write(t, "RCR", TAKE_ALL);
    test_write_at(t, 0x40, 4, FULL_LOOPBACK);
    test_write(t, "IMR", RTL_ROK | RTL_TOK);
}

/* Four slots in turn; the ring of bytes wraps (8 KiB, 108 bytes a frame). */
static void test_slots(void)
{
    g_autoptr(TestDevice) t = start();
    enable(t);
    unsigned at = 0;
    for (unsigned i = 0; i < 200; i++) {
        unsigned slot = i % RTL_SLOTS;
        g_assert_true(test_read(t, "CR") & RTL_CR_BUFE);
        test_write_at(t, 0x20 + 4 * slot, 4, OUT);
        test_write_at(t, 0x10 + 4 * slot, 4, FRAME);
        test_clock_step_ns(t, 1000000);
        g_assert_cmphex(test_read_at(t, 0x10 + 4 * slot, 4), ==, FRAME | RTL_TSD_OWN | RTL_TSD_TOK);
        g_assert_false(test_read(t, "CR") & RTL_CR_BUFE);
        g_assert_cmphex(word(t, RING + at), ==, ((FRAME + 4) << 16 | 1));
        if (at + 4 + FRAME <= 8192)
            check_frame(t, RING + at + 4);
        at = (at + 4 + FRAME + 4 + 3) & ~3u & 8191;
        g_assert_cmpuint(test_read(t, "CBR"), ==, at);
        test_write(t, "CAPR", (at - 16) & 0xffff);
        g_assert_cmphex(test_read(t, "ISR"), ==, RTL_ROK | RTL_TOK);
        g_assert_true(rtl_of(t->dev)->pci.intx);
        test_write(t, "ISR", 0xffff);
        g_assert_false(rtl_of(t->dev)->pci.intx);
    }
}

static void put_desc(TestDevice *t, uint64_t at, uint32_t opts1, uint32_t pa)
{
    uint32_t d[4] = {opts1, 0, pa, 0};
    g_assert_true(as_write(t->vm->memory, at, d, sizeof(d)));
}

/* C+ rings: a frame in two pieces, received into a descriptor. */
static void test_rings(void)
{
    g_autoptr(TestDevice) t = start();
    test_write(t, "CPCR", RTL_CP_TX | RTL_CP_RX);
    enable(t);
    test_write_at(t, 0x20, 4, TX_RING);
    test_write_at(t, 0xe4, 4, RX_RING);
    put_desc(t, TX_RING, 1u << 31 | 1u << 29 | 40, OUT);
    put_desc(t, TX_RING + 16, 0, 0);
    put_desc(t, RX_RING, 3u << 30 | 1536, RING);
    test_write_at(t, 0xd9, 1, 0x40);
    test_clock_step_ns(t, 1000000);
    g_assert_true(word(t, TX_RING) >> 31);              /* its end is not there yet */
    put_desc(t, TX_RING + 16, 3u << 30 | 1u << 28 | (FRAME - 40), OUT + 40);
    test_write_at(t, 0xd9, 1, 0x40);
    test_clock_step_ns(t, 1000000);
    g_assert_false(word(t, TX_RING) >> 31 || word(t, TX_RING + 16) >> 31);
    g_assert_cmphex(word(t, RX_RING) & 0xf0001fff, ==, 0x70000000 | (FRAME + 4));
    check_frame(t, RING);
    g_assert_cmphex(test_read(t, "ISR") & (RTL_ROK | RTL_TOK), ==, RTL_ROK | RTL_TOK);
}

static void test_timer(void)
{
    g_autoptr(TestDevice) t = start();
    test_write(t, "IMR", RTL_TIMEOUT);
    test_write_at(t, 0x48, 4, 0);
    test_write(t, "TIMERINT", 1000);
    test_clock_step_ns(t, 29000);
    g_assert_false(rtl_of(t->dev)->pci.intx);
    test_clock_step_ns(t, 2000);
    g_assert_true(rtl_of(t->dev)->pci.intx);
    g_assert_cmpuint(test_read(t, "TCTR"), ==, 31000 / 30);
}

static void test_locks(void)
{
    g_autoptr(TestDevice) t = start();
    uint64_t was = test_read_at(t, 0, 1);
    test_write_at(t, 0, 1, 0x12);
    g_assert_cmphex(test_read_at(t, 0, 1), ==, was);
    test_write(t, "9346CR", 0xc0);
    test_write_at(t, 0, 1, 0x12);
    g_assert_cmphex(test_read_at(t, 0, 1), ==, 0x12);
    test_write(t, "9346CR", 0x40);                      /* loads it from the EEPROM again */
    g_assert_cmphex(test_read_at(t, 0, 1), ==, was);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtl8139/slots", test_slots);
    g_test_add_func("/rtl8139/rings", test_rings);
    g_test_add_func("/rtl8139/timer", test_timer);
    g_test_add_func("/rtl8139/locks", test_locks);
    return g_test_run();
}
