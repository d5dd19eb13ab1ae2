/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal of text consoles. */
#include <string.h>
#include "ui/text.h"

static void put(Terminal *t, const char *text)
{
    for (; *text; text++) {
        terminal_put(t, (uint8_t)*text);
    }
}

static void check(const Terminal *t, unsigned y, const char *expected)
{
    g_autofree char *line = g_malloc(t->columns + 1);

    for (unsigned x = 0; x < t->columns; x++) {
        line[x] = (char)t->cells[y * t->columns + x];
    }
    line[t->columns] = 0;
    g_strchomp(line);
    g_assert_cmpstr(line, ==, expected);
}

static void test_text(void)
{
    Terminal t;

    terminal_init(&t, 10, 4);
    put(&t, "one\r\ntwo\twrapped\r\nx\by");
    check(&t, 0, "one");
    check(&t, 1, "two     wr");
    check(&t, 2, "apped");
    check(&t, 3, "y");
    put(&t, "\r\nlast");
    check(&t, 0, "two     wr");
    check(&t, 3, "last");
    put(&t, "\033[2;3H\033[KQ\033[1;1Hz\033[4;1H\303\251\342\224\200");
    check(&t, 1, "apQ");
    g_assert_cmphex(t.cells[30] & 255, ==, 0x82);
    g_assert_cmphex(t.cells[31] & 255, ==, 0xc4);
    put(&t, "\033[2J");
    put(&t, "\033[Hab\033[1;31;44mc\033[0md\033[7me");
    g_assert_cmphex(t.cells[2], ==, 'c' | 0x1c << 8);
    g_assert_cmphex(t.cells[3], ==, 'd' | 0x07 << 8);
    g_assert_cmphex(t.cells[4], ==, 'e' | 0x70 << 8);
    put(&t, "\033[6n");
    g_assert_cmpmem(t.answers->data, t.answers->len, "\033[1;6R", 6);
    terminal_clear(&t);
}

/* Nothing leaves the matrix, whatever comes. */
static void test_noise(void)
{
    static const char letters[] = "\033[0123456789;?ABCDEFGHJKLMPSTX@dfghmnrsu\r\n\tabc\b\303\251";
    GRand *rand = g_rand_new_with_seed(1);
    Terminal t;

    for (unsigned round = 0; round < 20; round++) {
        terminal_init(&t, 1 + round * 3, 1 + round);
        for (unsigned i = 0; i < 20000; i++) {
            bool raw = g_rand_int(rand) % 8 == 0;
            terminal_put(&t, raw ? g_rand_int(rand) : (uint8_t)letters[g_rand_int(rand) % (sizeof(letters) - 1)]);
            g_assert_cmpuint(t.x, <, t.columns);
            g_assert_cmpuint(t.y, <, t.rows);
        }
        terminal_clear(&t);
    }
    g_rand_free(rand);
}

static void test_keys(void)
{
    uint8_t out[8];

    g_assert_cmpuint(terminal_key(0xff0d, false, out), ==, 1);
    g_assert_cmpuint(terminal_key('c', true, out), ==, 1);
    g_assert_cmphex(out[0], ==, 3);
    g_assert_cmpuint(terminal_key(0xff52, false, out), ==, 3);
    g_assert_cmpuint(terminal_key(0xe9, false, out), ==, 2);
    g_assert_cmpuint(terminal_key(0xffe1, false, out), ==, 0);          /* Shift alone */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/text", test_text);
    g_test_add_func("/text/noise", test_noise);
    g_test_add_func("/text/keys", test_keys);
    return g_test_run();
}
