/* SPDX-License-Identifier: Apache-2.0 */
/* Every line of rv.isa: encode, decode, print; and a few encodings taken from the manual. */
#include <glib.h>
#include "target/riscv/rv-isa.h"

static void all_lines(void)
{
    g_autofree char *error = isa_check(&rv_isa_table, 200, 1);
    g_assert_cmpstr(error, ==, NULL);
}

static void known(void)
{
    static const struct {
        uint32_t raw;
        const char *text;
    } cases[] = {
        {0x00a28293, "addi t0, t0, 10"},
        {0xfe0718e3, "bne a4, zero, 0xff0"},
        {0x1005a62f, "lr.w a2, (a1)"},
        {0x18d5a52f, "sc.w a0, a3, (a1)"},
        {0x8082, "c.jr ra"},
        {0x1141, "c.addi sp, -16"},
        {0xe406, "c.sdsp ra, 8(sp)"},
        {0x02c5d533, "divu a0, a1, a2"},
        {0x30200073, "mret"},
        {0x0100000f, "pause"},
        {0x0ff0000f, "fence iorw,iorw"},
        {0x02a5f543, "fmadd.d fa0, fa1, fa0, ft0"},
        {0x7139, "c.addi16sp sp, -64"},
        {0x20a5c533, "sh2add a0, a1, a0"},
    };
    uint64_t features[1] = {~(1ull << RV_F_rv32)};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned row = rv_decode(cases[i].raw, features);
        g_assert_cmpuint(row, !=, 0);
        g_autoptr(GString) text = g_string_new(NULL);
        isa_print(&rv_isa_table, row, cases[i].raw, 0x1000, text);
        g_assert_cmpstr(text->str, ==, cases[i].text);
    }
    features[0] = ~(1ull << RV_F_rv64);
    g_assert_cmpuint(rv_decode(0x2001, features), ==, RV_I_c_jal);
    g_assert_cmpuint(rv_decode(0, features), ==, RV_I_NONE);
    g_assert_cmpuint(rv_decode(UINT32_MAX, features), ==, RV_I_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/riscv/isa/lines", all_lines);
    g_test_add_func("/riscv/isa/known", known);
    return g_test_run();
}
