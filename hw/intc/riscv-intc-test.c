/* SPDX-License-Identifier: Apache-2.0 */
/* PLIC and ACLINT by their manuals: priorities, claim and completion, timer and software pins. */
#include "core/testing.h"
#include "hw/riscv.h"

enum { PRIORITY = 0, PENDING = 0x1000, ENABLE = 0x2000, THRESHOLD = 0x200000, CLAIM = 0x200004 };

static void plic_claims_by_priority(void)
{
    g_autoptr(TestDevice) t = test_device_with("riscv.sifive.plic", "num-sources", "95",
                                               "num-contexts", "2", NULL);
    test_write_at(t, PRIORITY + 4 * 3, 4, 1);
    test_write_at(t, PRIORITY + 4 * 40, 4, 5);
    test_write_at(t, ENABLE, 4, 1 << 3);
    test_write_at(t, ENABLE + 4, 4, 1 << 8);
    test_input(t, 3, true);
    test_input(t, 40, true);
    g_assert_true(test_pin(t, "irq[0]"));
    g_assert_false(test_pin(t, "irq[1]"));
    g_assert_cmphex(test_read_at(t, PENDING, 4), ==, 1 << 3);
    g_assert_cmpuint(test_read_at(t, CLAIM, 4), ==, 40);
    g_assert_cmpuint(test_read_at(t, CLAIM, 4), ==, 3);
    g_assert_cmpuint(test_read_at(t, CLAIM, 4), ==, 0);
    g_assert_false(test_pin(t, "irq[0]"));
    /* Still high: completion lets the level through again. */
    test_write_at(t, CLAIM, 4, 40);
    g_assert_true(test_pin(t, "irq[0]"));
    test_input(t, 3, false);
    test_write_at(t, CLAIM, 4, 3);
    test_move(t);
    g_assert_cmpuint(test_read_at(t, CLAIM, 4), ==, 40);
    g_assert_cmpuint(test_read_at(t, CLAIM, 4), ==, 0);
}

static void plic_threshold(void)
{
    g_autoptr(TestDevice) t = test_device("riscv.sifive.plic");
    test_write_at(t, PRIORITY + 4, 4, 3);
    test_write_at(t, ENABLE, 4, ~0u);
    g_assert_cmphex(test_read_at(t, ENABLE, 4), ==, ~1u);
    test_write_at(t, THRESHOLD, 4, 3);
    test_input(t, 1, true);
    g_assert_false(test_pin(t, "irq[0]"));
    test_write_at(t, THRESHOLD, 4, 2);
    g_assert_true(test_pin(t, "irq[0]"));
}

static void timer(void)
{
    g_autoptr(TestDevice) t = test_device_with("riscv.aclint.mtimer", "num-harts", "2", NULL);
    enum { MTIME = 0x7ff8 };
    test_write_at(t, MTIME, 8, 0);
    test_write_at(t, 8, 8, 10000000);           /* hart 1, one second */
    test_write_at(t, 0, 8, UINT64_MAX);
    g_assert_false(test_pin(t, "irq[1]"));
    test_clock_step_ns(t, 999999900);
    g_assert_false(test_pin(t, "irq[1]"));
    g_assert_cmpuint(test_read_at(t, MTIME, 8), ==, 9999999);
    test_clock_step_ns(t, 200);
    g_assert_true(test_pin(t, "irq[1]"));
    g_assert_false(test_pin(t, "irq[0]"));
    test_write_at(t, 12, 4, 1);                 /* the high half puts it off */
    g_assert_false(test_pin(t, "irq[1]"));
    g_assert_cmphex(test_read_at(t, 8, 8), ==, 0x100989680);
}

static void software(void)
{
    g_autoptr(TestDevice) t = test_device_with("riscv.aclint.swi", "num-harts", "2", NULL);
    test_write_at(t, 4, 4, 1);
    g_assert_true(test_pin(t, "irq[1]"));
    g_assert_cmpuint(test_read_at(t, 4, 4), ==, 1);
    test_write_at(t, 4, 4, 0xfffe);
    g_assert_false(test_pin(t, "irq[1]"));
}

static void clock_alarm(void)
{
    g_autoptr(TestDevice) t = test_device("goldfish_rtc");
    uint64_t now = test_read(t, "TIME_LOW");
    now |= test_read(t, "TIME_HIGH") << 32;
    test_clock_step(t, 1);
    uint64_t later = test_read(t, "TIME_LOW");
    later |= test_read(t, "TIME_HIGH") << 32;
    g_assert_cmpuint(later - now, ==, 1000000000);
    later += 1000000000;
    test_write(t, "IRQ_ENABLED", 1);
    test_write(t, "ALARM_HIGH", later >> 32);
    test_write(t, "ALARM_LOW", (uint32_t)later);
    g_assert_cmpuint(test_read(t, "ALARM_STATUS"), ==, 1);
    g_assert_false(test_pin(t, "irq"));
    test_clock_step(t, 2);
    g_assert_true(test_pin(t, "irq"));
    test_write(t, "CLEAR_INTERRUPT", 1);
    g_assert_false(test_pin(t, "irq"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plic/priority", plic_claims_by_priority);
    g_test_add_func("/plic/threshold", plic_threshold);
    g_test_add_func("/aclint/timer", timer);
    g_test_add_func("/aclint/software", software);
    g_test_add_func("/goldfish_rtc/alarm", clock_alarm);
    return g_test_run();
}
