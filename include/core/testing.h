/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device alone with a machine of its own, for unit tests: the datasheet's register names, and
 * clocks that move only when told.
 *
 *   g_autoptr(TestDevice) t = test_device("pl031");
 *   test_write(t, "LR", 0);  test_write(t, "MR", 5);  test_write(t, "IMSC", 1);
 *   test_clock_step(t, 5);
 *   g_assert_true(test_pin(t, "irq"));
 *
 * The device's window stands at TEST_BASE of the machine's memory. RAM of 1 MiB for DMA is at 0. A PCI
 * function gets a generic host bridge with ECAM at TEST_ECAM unless the test has made a bus.
 * Any mistake (no such register, device does not realize) fails the test.
 */
#ifndef CORE_TESTING_H
#define CORE_TESTING_H

#include "core/vm.h"

enum { TEST_BASE = 0x10000000, TEST_RAM = 1 << 20, TEST_ECAM = 0x20000000 };

typedef struct TestDevice {
    Loop *loop;
    Vm *vm;
    Device *dev;
} TestDevice;

TestDevice *test_device(const char *type);
/* With properties: pairs of name and text, ended by NULL. */
TestDevice *test_device_with(const char *type, ...) G_GNUC_NULL_TERMINATED;
/* NULL with an error instead of failing. */
TestDevice *test_device_try(const char *type, GError **error);
/* The machine without a device, to build something on it. */
TestDevice *test_machine(void);
void test_device_free(TestDevice *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestDevice, test_device_free)

/* A whole register by name ("CR", "ENABLE[3]"), as the guest would. */
void test_write(TestDevice *t, const char *reg, uint64_t value);
uint64_t test_read(TestDevice *t, const char *reg);
/* Any access of 1, 2, 4 or 8 bytes in the window. */
void test_write_at(TestDevice *t, uint64_t at, unsigned size, uint64_t value);
uint64_t test_read_at(TestDevice *t, uint64_t at, unsigned size);
/* The level of an output: the member's name, "irq" or "irq[2]". */
bool test_pin(TestDevice *t, const char *irq);
/* Drives input n. */
void test_input(TestDevice *t, uint32_t n, bool level);
/* All clocks go on; timers fire at their exact times; posted work is done. */
void test_clock_step(TestDevice *t, int64_t seconds);
void test_clock_step_ns(TestDevice *t, int64_t ns);
/* Saves the state, makes a fresh device of the same type and loads it there; t->dev changes. */
void test_move(TestDevice *t);

#endif
