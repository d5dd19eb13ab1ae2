/* SPDX-License-Identifier: Apache-2.0 */
/* Watchdogs by the registers of their data sheets. */
#include "core/testing.h"
#include "hw/isa.h"
#include "hw/pci.h"
#include "hw/watchdog.h"
#include "qapi/qapi-types-run-state.h"

static void see_power_button(Vm *vm, VmEvent event, ShutdownCause cause, void *data) { ++*(unsigned *)data; }

/* Counts the timeouts that were acted upon: each presses the power button. */
static void count_actions(TestDevice *t, unsigned *actions)
{
    t->vm->on_watchdog = WATCHDOG_ACTION_SHUTDOWN;
    vm_listen(t->vm, VM_EVENT_POWERDOWN, see_power_button, actions);
}

static void go_on(TestDevice *t, int64_t ms)
{
    test_clock_step_ns(t, ms * 1000000);
    vm_handle_requests(t->vm);
}

static void test_tco(void)
{
    g_autoptr(TestDevice) t = test_device("ich9-tco");
    unsigned actions = 0;
    count_actions(t, &actions);
    g_assert_cmphex(test_read(t, "TCO_RLD"), ==, 4);
    go_on(t, 10000);                    /* nobody has started it */
    g_assert_cmphex(test_read(t, "TCO1_STS"), ==, 0);
    test_write(t, "TCO_TMR", 10);
    test_write(t, "TCO_RLD", 1);
    g_assert_cmpuint(test_read(t, "TCO_RLD"), ==, 10);
    go_on(t, 1300);
    g_assert_cmpuint(test_read(t, "TCO_RLD"), ==, 8);
    test_write(t, "TCO1_CNT", 1 << 11);
    go_on(t, 10000);
    g_assert_cmpuint(test_read(t, "TCO_RLD"), ==, 8);
    test_write(t, "TCO1_CNT", 0);
    go_on(t, 5900);
    g_assert_cmphex(test_read(t, "TCO1_STS"), ==, 0);
    go_on(t, 200);
    g_assert_cmphex(test_read(t, "TCO1_STS"), ==, 8);
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 0);
    test_write(t, "TCO_RLD", 1);        /* saved: it starts anew */
    test_write(t, "TCO1_STS", 8);
    go_on(t, 11900);
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 0);
    g_assert_cmpuint(actions, ==, 0);
    go_on(t, 200);
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 6);
    g_assert_cmpuint(actions, ==, 1);
    go_on(t, 20000);
    g_assert_cmpuint(actions, ==, 1);
    device_reset(t->dev);               /* what has happened can still be seen then */
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 6);
    test_write(t, "TCO2_STS", 6);
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 0);
}

static void test_tco_straps(void)
{
    g_autoptr(TestDevice) t = test_device("ich9-tco");
    unsigned actions = 0;
    count_actions(t, &actions);
    ich9_tco_set_gcs(t->dev, 0xff);     /* one bit is there */
    g_assert_cmphex(ich9_tco_gcs(t->dev), ==, 0x20);
    test_write(t, "TCO_RLD", 1);
    go_on(t, 5000);
    g_assert_cmphex(test_read(t, "TCO2_STS"), ==, 6);
    g_assert_cmpuint(actions, ==, 0);
    ich9_tco_set_gcs(t->dev, 0);
    g_assert_cmphex(ich9_tco_gcs(t->dev), ==, 0);
    ich9_tco_strap(t->dev, true);
    ich9_tco_set_gcs(t->dev, 0);
    g_assert_cmphex(ich9_tco_gcs(t->dev), ==, 0x20);
    g_assert_false(test_pin(t, "lock"));
    test_write(t, "TCO1_CNT", 1 << 12);
    g_assert_true(test_pin(t, "lock"));
    test_write(t, "TCO1_CNT", 0);
    g_assert_cmphex(test_read(t, "TCO1_CNT"), ==, 1 << 12);
}

static void test_ib700(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    const Pin lines[ISA_IRQS] = {{NULL, 0}};
    unsigned actions = 0;
    Device *d = device_new(t->vm, "ib700", &error);
    g_assert_true(device_realize(d, isa_bus_new(t->vm, lines), &error));
    count_actions(t, &actions);
    device_mmio_write(d, 2, 0xfd, 1);   /* 4 seconds: only the nibble counts */
    go_on(t, 3900);
    device_mmio_write(d, 2, 0x0d, 1);   /* starts anew */
    go_on(t, 3900);
    g_assert_cmpuint(actions, ==, 0);
    go_on(t, 200);
    g_assert_cmpuint(actions, ==, 1);
    device_mmio_write(d, 2, 0, 1);
    go_on(t, 29900);
    device_mmio_write(d, 0, 0, 1);
    go_on(t, 60000);
    g_assert_cmpuint(actions, ==, 1);
    device_mmio_write(d, 2, 0, 1);
    device_reset(d);
    go_on(t, 60000);
    g_assert_cmpuint(actions, ==, 1);
}

static PciDevice *esb(TestDevice *t) { return (PciDevice *)t->dev; }

static void esb_write(TestDevice *t, unsigned at, uint32_t v)
{
    test_write_at(t, 0xc, 2, 0x80);
    test_write_at(t, 0xc, 2, 0x86);
    test_write_at(t, at, at == 0xc ? 2 : 4, v);
}

static void test_esb(void)
{
    g_autoptr(TestDevice) t = test_device("i6300esb");
    unsigned actions = 0;
    count_actions(t, &actions);
    test_write_at(t, 0, 4, 1000);       /* without the keys: nothing */
    esb_write(t, 0, 1000);              /* stages of 0.98 and 1.97 s */
    esb_write(t, 4, 2000);
    pci_config_write(esb(t), 0x60, 3, 2);
    esb_write(t, 0xc, 0x100);
    go_on(t, 10000);                    /* it is off */
    g_assert_cmpuint(actions, ==, 0);
    pci_config_write(esb(t), 0x68, 2, 1);
    go_on(t, 2900);
    esb_write(t, 0xc, 0x100);
    go_on(t, 2900);
    g_assert_cmpuint(actions, ==, 0);
    g_assert_cmphex(test_read_at(t, 0xc, 2), ==, 0);
    go_on(t, 100);
    g_assert_cmpuint(actions, ==, 1);
    g_assert_cmphex(test_read_at(t, 0xc, 2), ==, 0x200);
    device_reset(t->dev);
    g_assert_cmphex(test_read_at(t, 0xc, 2), ==, 0x200);
    esb_write(t, 0xc, 0x200);
    g_assert_cmphex(test_read_at(t, 0xc, 2), ==, 0);
}

static void test_esb_lock(void)
{
    g_autoptr(TestDevice) t = test_device("i6300esb");
    unsigned actions = 0;
    count_actions(t, &actions);
    esb_write(t, 0, 0);
    esb_write(t, 4, 0);
    pci_config_write(esb(t), 0x60, 0x20, 2);    /* without consequences */
    pci_config_write(esb(t), 0x68, 7, 1);       /* free running, locked */
    pci_config_write(esb(t), 0x68, 0, 1);
    g_assert_cmphex(pci_config_read(esb(t), 0x68, 1), ==, 7);
    go_on(t, 100);
    g_assert_cmpuint(actions, ==, 0);
    pci_config_write(esb(t), 0x60, 0, 2);
    go_on(t, 100);
    g_assert_cmpuint(actions, >=, 1);
    device_reset(t->dev);
    g_assert_cmphex(pci_config_read(esb(t), 0x68, 1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watchdog/ib700", test_ib700);
    g_test_add_func("/watchdog/tco", test_tco);
    g_test_add_func("/watchdog/tco-straps", test_tco_straps);
    g_test_add_func("/watchdog/i6300esb", test_esb);
    g_test_add_func("/watchdog/i6300esb-lock", test_esb_lock);
    return g_test_run();
}
