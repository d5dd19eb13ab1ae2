/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "core/testing.h"
#include "hw/net/e1000.h"

enum { TX_RING = 0x1000, RX_RING = 0x2000, OUT = 0x4000, IN = 0x8000, RING = 8, FRAME = 100 };

static E1000 *card(TestDevice *t) { return (E1000 *)t->dev; }

static TestDevice *start(const char *type)
{
    TestDevice *t = test_device(type);
    pci_config_write(&card(t)->pci, 4, 6, 2);
    return t;
}

static void store(TestDevice *t, uint64_t pa, const void *p, size_t n)
{
    g_assert_true(as_write(t->vm->memory, pa, p, n));
}

static void load(TestDevice *t, uint64_t pa, void *p, size_t n)
{
    g_assert_true(as_read(t->vm->memory, pa, p, n));
}

static void test_nvm(gconstpointer type)
{
    g_autoptr(TestDevice) t = start(type);
    unsigned shift = card(t)->is_82574 ? 2 : 8, done = card(t)->is_82574 ? 2 : 16;
    uint16_t sum = 0;
    for (unsigned i = 0; i < 64; i++) {
        test_write(t, "EERD", i << shift | 1);
        uint64_t v = test_read(t, "EERD");
        g_assert_true(v & done);
        sum = (uint16_t)(sum + (v >> 16));
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    test_write(t, "MDIC", 2u << 26 | 1u << 21 | 2u << 16);
    g_assert_cmphex(test_read(t, "MDIC") & 0x1000ffff, ==, 0x10000141);
    test_write(t, "MDIC", 2u << 26 | 3u << 21);         /* nobody at that address */
    g_assert_true(test_read(t, "MDIC") & 1 << 30);
}

/* The pins of the EEPROM: a word bit by bit. */
static void pulse(TestDevice *t, unsigned di)
{
    test_write_at(t, 0x10, 4, 2 | di << 2);
    test_write_at(t, 0x10, 4, 3 | di << 2);
}

static void test_microwire(void)
{
    g_autoptr(TestDevice) t = start("e1000");
    unsigned word = 0;
    test_write_at(t, 0x10, 4, 2);
    for (int bit = 8; bit >= 0; bit--)
        pulse(t, (6 << 6 | 14) >> bit & 1);
    for (unsigned i = 0; i < 16; i++) {
        pulse(t, 0);
        word = word << 1 | (test_read(t, "EECD") >> 3 & 1);
    }
    g_assert_cmphex(word, ==, 0x8086);
}

static void set_up_rings(TestDevice *t)
{
    for (unsigned i = 0; i < RING; i++) {
        uint64_t d[2] = {IN + i * 2048, 0};
        store(t, RX_RING + 16 * i, d, 16);
    }
    test_write(t, "RDBAL[0]", RX_RING);
    test_write(t, "RDLEN[0]", RING * 16);
    test_write(t, "RDT[0]", RING - 1);
    test_write(t, "TDBAL[0]", TX_RING);
    test_write(t, "TDLEN[0]", RING * 16);
    test_write(t, "RCTL", RCTL_EN | RCTL_UPE | RCTL_BAM | 3 << 6);        /* loopback */
    test_write(t, "TCTL", TCTL_EN | TCTL_PSP);
}

static void send(TestDevice *t, uint32_t bytes, unsigned cmd)
{
    uint8_t frame[FRAME];
    for (unsigned i = 0; i < FRAME; i++)
        frame[i] = (uint8_t)(i * 7);
    store(t, OUT, frame, FRAME);
    uint32_t d[4] = {OUT, 0, bytes | cmd << 24, 0}, tail = (uint32_t)test_read(t, "TDT[0]");
    store(t, TX_RING + 16 * tail, d, 16);
    test_write(t, "TDT[0]", (tail + 1) % RING);
    test_clock_step_ns(t, 1000000);
}

static void test_loopback(gconstpointer type)
{
    g_autoptr(TestDevice) t = start(type);
    set_up_rings(t);
    test_write_at(t, 0xd0, 4, ICR_RXT0 | ICR_TXDW);
    for (unsigned round = 0; round < 3 * RING; round++) {
        send(t, FRAME, 1 | 8);                  /* EOP, RS */
        uint8_t frame[FRAME];
        uint32_t tx[4], rx[4];
        unsigned i = round % RING;
        load(t, IN + i * 2048, frame, FRAME);
        load(t, TX_RING + 16 * i, tx, 16);
        load(t, RX_RING + 16 * i, rx, 16);
        for (unsigned k = 0; k < FRAME; k++)
            g_assert_cmpuint(frame[k], ==, (uint8_t)(k * 7));
        g_assert_cmphex(tx[3] & 1, ==, 1);
        g_assert_cmphex(rx[3] & 3, ==, 3);
        g_assert_cmpuint(rx[2] & 0xffff, ==, FRAME + 4);
        g_assert_true(card(t)->pci.intx);
        g_assert_cmphex(test_read(t, "ICR") & (ICR_RXT0 | ICR_TXDW), ==, ICR_RXT0 | ICR_TXDW);
        g_assert_false(card(t)->pci.intx);
        test_write(t, "RDT[0]", i);             /* the buffer is free again */
    }
    g_assert_cmpuint(test_read(t, "STATS[29]"), ==, 3 * RING);      /* GPRC */
    g_assert_cmpuint(test_read(t, "STATS[29]"), ==, 0);
}

/* A packet in pieces is sent when its end is there; what a guest gets wrong harms nothing. */
static void test_pieces(void)
{
    g_autoptr(TestDevice) t = start("e1000");
    set_up_rings(t);
    send(t, 40, 0);
    g_assert_cmpuint(test_read(t, "RDH[0]"), ==, 0);
    send(t, 60, 1);
    g_assert_cmpuint(test_read(t, "RDH[0]"), ==, 1);
    g_assert_cmpuint(test_read(t, "TDH[0]"), ==, 2);
    for (unsigned i = 0; i < RING - 1; i++)
        send(t, 1000, 0);                       /* a ring without an end */
    g_assert_cmpuint(test_read(t, "RDH[0]"), ==, 1);
    g_assert_cmpuint(test_read(t, "TDH[0]"), ==, test_read(t, "TDT[0]"));
    test_write(t, "TDT[0]", 0xffff);            /* outside of it */
    test_clock_step_ns(t, 1000000);
    g_assert_cmpuint(test_read(t, "RDH[0]"), ==, 1);
}

static void test_moved(void)
{
    g_autoptr(TestDevice) t = start("e1000");
    set_up_rings(t);
    send(t, FRAME, 1);
    test_move(t);
    send(t, FRAME, 1);
    g_assert_cmpuint(test_read(t, "RDH[0]"), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/e1000/nvm", "e1000", test_nvm);
    g_test_add_data_func("/e1000e/nvm", "e1000e", test_nvm);
    g_test_add_func("/e1000/microwire", test_microwire);
    g_test_add_data_func("/e1000/loopback", "e1000", test_loopback);
    g_test_add_data_func("/e1000e/loopback", "e1000e", test_loopback);
    g_test_add_func("/e1000/pieces", test_pieces);
    g_test_add_func("/e1000/moved", test_moved);
    return g_test_run();
}
