/* SPDX-License-Identifier: Apache-2.0 */
/* SMBus host controllers with a memory behind them, by the registers of their data sheets. */
#include "core/testing.h"
#include "hw/i2c.h"

enum {
    STATUS_DONE = 2, STATUS_NOBODY = 4, BYTE_DONE = 0x80, INTREN = 1, LAST = 0x20, START = 0x40,
    QUICK = 0 << 2, BYTE = 1 << 2, BYTE_DATA = 2 << 2, WORD_DATA = 3 << 2, BLOCK = 5 << 2, I2C_READ = 6 << 2,
};

static TestDevice *rig(const char *type)
{
    TestDevice *t = test_device(type);
    smbus_eeproms_new(smbus_block_bus(t->dev));
    return t;
}

/* The status without the semaphore, which is given back. */
static unsigned status(TestDevice *t)
{
    unsigned v = test_read(t, "HST_STS") & ~0x40;
    test_write(t, "HST_STS", 0x40);
    return v;
}

static unsigned run(TestDevice *t, unsigned address, bool read, unsigned command, unsigned kind)
{
    test_write(t, "XMIT_SLVA", address << 1 | read);
    test_write(t, "HST_CMD", command);
    test_write(t, "HST_CNT", kind | START);
    unsigned v = status(t);
    test_write(t, "HST_STS", 0x1e);
    return v;
}

static void bytes(const char *type)
{
    g_autoptr(TestDevice) t = rig(type);
    g_assert_cmphex(run(t, 0x50, false, 0, QUICK), ==, STATUS_DONE);
    g_assert_cmphex(run(t, 0x57, true, 0, BYTE), ==, STATUS_DONE);
    g_assert_cmphex(run(t, 0x58, true, 0, BYTE), ==, STATUS_NOBODY);
    g_assert_cmphex(run(t, 0x50, true, 0, 7 << 2), ==, STATUS_NOBODY);  /* no such command */
    test_write(t, "HST_D0", 0x34);
    test_write(t, "HST_D1", 0x12);
    g_assert_cmphex(run(t, 0x51, false, 0x10, WORD_DATA), ==, STATUS_DONE);
    g_assert_cmphex(run(t, 0x51, true, 0x11, BYTE_DATA), ==, STATUS_DONE);
    g_assert_cmphex(test_read(t, "HST_D0"), ==, 0x12);
    g_assert_cmphex(run(t, 0x51, true, 0x10, WORD_DATA), ==, STATUS_DONE);
    g_assert_cmphex(test_read(t, "HST_D0"), ==, 0x34);
    g_assert_cmphex(run(t, 0x50, true, 0x10, BYTE_DATA), ==, STATUS_DONE);  /* its neighbour */
    g_assert_cmphex(test_read(t, "HST_D0"), ==, 0);
}

static void test_bytes(void)
{
    bytes("ich9-smbus-block");
    bytes("piix4-smbus-block");
}

static void test_interrupt(void)
{
    g_autoptr(TestDevice) t = rig("ich9-smbus-block");
    test_write(t, "XMIT_SLVA", 0x50 << 1);
    test_write(t, "HST_CNT", QUICK | START);
    g_assert_false(test_pin(t, "irq"));
    test_write(t, "HST_STS", STATUS_DONE);
    test_write(t, "HST_CNT", QUICK | START | INTREN);
    g_assert_true(test_pin(t, "irq"));
    test_write(t, "HST_STS", STATUS_DONE);
    g_assert_false(test_pin(t, "irq"));
    g_assert_cmphex(test_read(t, "HST_STS"), ==, 0);            /* mine … */
    g_assert_cmphex(test_read(t, "HST_STS"), ==, 0x40);         /* … and no one else's */
}

/* Blocks through the buffer: a length, then as many bytes. */
static void blocks(const char *type)
{
    g_autoptr(TestDevice) t = rig(type);
    if (!strcmp(type, "ich9-smbus-block"))
        test_write(t, "AUX_CTL", 2);
    test_read(t, "HST_CNT");
    for (unsigned i = 0; i < 5; i++)
        test_write(t, "HOST_BLOCK_DB", 0xa0 + i);
    test_write(t, "HST_D0", 5);
    g_assert_cmphex(run(t, 0x52, false, 0x20, BLOCK), ==, STATUS_DONE);
    test_write(t, "HST_D0", 0);
    g_assert_cmphex(run(t, 0x52, true, 0x20, BLOCK), ==, STATUS_DONE);
    g_assert_cmphex(test_read(t, "HST_D0"), ==, 5);
    test_read(t, "HST_CNT");
    for (unsigned i = 0; i < 5; i++)
        g_assert_cmphex(test_read(t, "HOST_BLOCK_DB"), ==, 0xa0 + i);
    test_write(t, "HST_D0", 33);
    g_assert_cmphex(run(t, 0x52, false, 0x20, BLOCK), ==, STATUS_NOBODY);
}

static void test_blocks(void)
{
    blocks("ich9-smbus-block");
    blocks("piix4-smbus-block");
}

/* With I2C_EN, the length is told to the host only. */
static void test_plain(void)
{
    g_autoptr(TestDevice) t = rig("ich9-smbus-block");
    smbus_block_plain(t->dev, true);
    test_write(t, "AUX_CTL", 2);
    test_read(t, "HST_CNT");
    test_write(t, "HOST_BLOCK_DB", 0xb0);
    test_write(t, "HOST_BLOCK_DB", 0xb1);
    test_write(t, "HST_D0", 2);
    g_assert_cmphex(run(t, 0x54, false, 0x30, BLOCK), ==, STATUS_DONE);
    g_assert_cmphex(run(t, 0x54, true, 0x30, WORD_DATA), ==, STATUS_DONE);
    g_assert_cmphex(test_read(t, "HST_D0"), ==, 0xb0);
    g_assert_cmphex(test_read(t, "HST_D1"), ==, 0xb1);
}

static void fill(TestDevice *t)
{
    for (unsigned i = 0; i < 4; i++) {
        test_write(t, "HST_D0", 0x11 * (i + 1));
        run(t, 0x53, false, i, BYTE_DATA);
    }
    test_write(t, "HST_D1", 0);
    test_write(t, "XMIT_SLVA", 0x53 << 1);
}

/* As drivers do that look at the status: which byte is the last is said while it is on its way. */
static void test_polled(void)
{
    g_autoptr(TestDevice) t = rig("ich9-smbus-block");
    fill(t);
    for (unsigned i = 0; i < 4; i++) {
        unsigned control = I2C_READ | (i == 3 ? LAST : 0);
        test_write(t, "HST_CNT", control);
        if (i == 0)
            test_write(t, "HST_CNT", control | START);
        g_assert_cmphex(status(t), ==, BYTE_DONE | 1);
        g_assert_cmphex(test_read(t, "HOST_BLOCK_DB"), ==, 0x11 * (i + 1));
        test_write(t, "HST_STS", BYTE_DONE);
    }
    g_assert_cmphex(status(t), ==, STATUS_DONE);
}

/* By interrupts: it is said before the byte before is acknowledged. */
static void test_interrupted(void)
{
    g_autoptr(TestDevice) t = rig("ich9-smbus-block");
    fill(t);
    test_write(t, "HST_CNT", I2C_READ | INTREN | START);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(test_pin(t, "irq"));
        g_assert_cmphex(status(t), ==, BYTE_DONE | 1);
        g_assert_cmphex(test_read(t, "HOST_BLOCK_DB"), ==, 0x11 * (i + 1));
        if (i == 2)
            test_write(t, "HST_CNT", I2C_READ | INTREN | LAST);
        test_write(t, "HST_STS", BYTE_DONE);
    }
    g_assert_cmphex(status(t), ==, STATUS_DONE);
    g_assert_true(test_pin(t, "irq"));
    test_write(t, "HST_STS", STATUS_DONE);
    g_assert_false(test_pin(t, "irq"));
}

static void test_kill(void)
{
    g_autoptr(TestDevice) t = rig("ich9-smbus-block");
    fill(t);
    test_write(t, "HST_CNT", I2C_READ | START);
    g_assert_cmphex(status(t), ==, BYTE_DONE | 1);
    test_write(t, "HST_CNT", 2);
    g_assert_cmphex(status(t) & 0x11, ==, 0x10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smbus/bytes", test_bytes);
    g_test_add_func("/smbus/interrupt", test_interrupt);
    g_test_add_func("/smbus/blocks", test_blocks);
    g_test_add_func("/smbus/plain", test_plain);
    g_test_add_func("/smbus/polled", test_polled);
    g_test_add_func("/smbus/interrupted", test_interrupted);
    g_test_add_func("/smbus/kill", test_kill);
    return g_test_run();
}
