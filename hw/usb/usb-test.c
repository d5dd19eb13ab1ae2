/* SPDX-License-Identifier: Apache-2.0 */
/* USB: xHCI as a driver sees it, descriptors as QEMU 7.2's devices have them. Specs: xHCI 1.2, USB 2.0. */
#include <string.h>
#include "core/testing.h"
#include "hw/pci.h"
#include "hw/usb.h"
#include "ui/input.h"

enum { CONTEXTS = 0x1000, COMMANDS = 0x2000, TABLE = 0x6000, EVENTS = 0x7000, HIGH_PORT = 4 };

static TestDevice *controller(const char *type)
{
    TestDevice *t = test_device(type);
    pci_config_write((PciDevice *)t->dev, PCI_COMMAND, 6, 2);
    loop_run_posts(t->loop);
    return t;
}

static UsbDevice *plug(TestDevice *t, const char *type, const char *port)
{
    g_autoptr(GError) error = NULL;
    Device *d = device_new(t->vm, type, &error);
    g_assert_no_error(error);
    g_assert_true(object_set_string(&d->object, "port", port, NULL));
    g_assert_true(device_realize(d, bus_find(t->vm, NULL, "usb-bus"), &error));
    return (UsbDevice *)d;
}

static void put(TestDevice *t, uint64_t at, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t w[] = {GUINT32_TO_LE(a), GUINT32_TO_LE(b), GUINT32_TO_LE(c), GUINT32_TO_LE(d)};
    as_write(t->vm->memory, at, w, sizeof(w));
}

static uint32_t get(TestDevice *t, uint64_t at)
{
    uint32_t v = 0;
    as_read(t->vm->memory, at, &v, 4);
    return GUINT32_FROM_LE(v);
}

static void start(TestDevice *t)
{
    put(t, TABLE, EVENTS, 0, 16, 0);
    test_write(t, "CONFIG", 8);
    test_write(t, "DCBAAP_LOW", CONTEXTS);
    test_write(t, "CRCR_LOW", COMMANDS | 1);
    test_write(t, "ERSTSZ[0]", 1);
    test_write(t, "ERDP_LOW[0]", EVENTS);
    test_write(t, "ERSTBA_LOW[0]", TABLE);
    test_write(t, "ERSTBA_HIGH[0]", 0);
    test_write(t, "IMAN[0]", 2);
    test_write(t, "USBCMD", 5);
}

static void test_commands(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    start(t);
    put(t, COMMANDS, 0, 0, 0, 23 << 10 | 1);            /* nothing */
    put(t, COMMANDS + 16, 0, 0, 0, 9 << 10 | 1);        /* enable slot */
    put(t, COMMANDS + 32, 0, 0, 0, 60 << 10 | 1);       /* no such */
    test_write(t, "DOORBELL[0]", 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(get(t, EVENTS + 16 * i), ==, COMMANDS + 16 * i);
        g_assert_cmphex(get(t, EVENTS + 16 * i + 8) >> 24, ==, i < 2 ? 1 : 5);
        g_assert_cmphex(get(t, EVENTS + 16 * i + 12) & 0xfc01, ==, 33 << 10 | 1);
    }
    g_assert_cmphex(get(t, EVENTS + 16 + 12) >> 24, ==, 1);     /* slot 1 */
    g_assert_cmphex(test_read(t, "USBSTS") & 0x0d, ==, 8);
}

/* A ring that is full waits for the driver; no event is lost, none is written over. */
static void test_full_ring(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    start(t);
    for (unsigned i = 0; i < 40; i++)
        put(t, COMMANDS + 16 * i, 0, 0, 0, 23 << 10 | 1);
    test_write(t, "DOORBELL[0]", 0);
    unsigned seen = 0;
    for (unsigned round = 0, cycle = 1, at = 0; round < 40; round++) {
        while ((get(t, EVENTS + 16 * at + 12) & 1) == cycle && seen < 100) {
            g_assert_cmphex(get(t, EVENTS + 16 * at), ==, COMMANDS + 16 * seen);
            seen++;
            at = (at + 1) % 16;
            cycle ^= at == 0;
        }
        test_write(t, "ERDP_LOW[0]", (EVENTS + 16 * at) | 8);
        test_write(t, "ERDP_HIGH[0]", 0);
    }
    g_assert_cmpuint(seen, ==, 40);
}

/* A link to itself ends nothing but the walk. */
static void test_link_loop(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    start(t);
    put(t, COMMANDS, COMMANDS, 0, 0, 6 << 10 | 1);
    test_write(t, "DOORBELL[0]", 0);
    g_assert_cmphex(get(t, EVENTS + 12), ==, 0);
}

static void test_ports(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    start(t);
    g_assert_cmphex(test_read(t, "PORTSC[4]") & 1, ==, 0);
    UsbDevice *u = plug(t, "usb-tablet", "1");
    g_assert_cmphex(test_read(t, "PORTSC[4]"), ==, 1 << 17 | 3 << 10 | 1 << 9 | 7 << 5 | 1);
    g_assert_cmphex(get(t, EVENTS + 12) & 0xfc01, ==, 34 << 10 | 1);
    g_assert_cmphex(get(t, EVENTS) >> 24, ==, HIGH_PORT + 1);
    test_write(t, "PORTSC[4]", 1 << 9 | 1 << 4);        /* reset: enabled */
    g_assert_cmphex(test_read(t, "PORTSC[4]") & 0x2001e3, ==, 1 << 21 | 3);
    test_write(t, "PORTSC[4]", 1 << 9 | 1 << 21 | 1 << 17);
    device_unplug(&u->dev);
    g_assert_cmphex(test_read(t, "PORTSC[4]") & 0x20003, ==, 1 << 17);
}

/* ---- descriptors ---- */

static char *descriptor(UsbDevice *u, unsigned kind)
{
    uint8_t data[USB_CONTROL_MAX];
    UsbSetup s = {0x80, 6, (uint16_t)(kind << 8), 0, 255};
    int n = usb_control(u, &s, data);
    GString *text = g_string_new(NULL);
    for (int i = 0; i < n; i++)
        g_string_append_printf(text, "%02x", data[i]);
    return g_string_free(text, FALSE);
}

static void test_descriptors(void)
{
    static const struct { const char *type, *device, *config; } known[] = {
        {"usb-tablet", "120100020000004027060100000001030a01",
         "09022200010107a032090400000103000000092101000001224a0007058103080004"},
        {"usb-mouse", "120100020000004027060100000001020901",
         "09022200010106a03209040000010301020009210100000122340007058103040007"},
        {"usb-kbd", "120100020000004027060100000001040b01",
         "09022200010108a0320904000001030101000921110100" "01223f0007058103080007"},
        {"usb-hub", "12011001090000080904aa55010101020301", "09021900010100e000090400000109000000070581030200ff"},
    };
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        UsbDevice *u = plug(t, known[i].type, "1");
        g_autofree char *device = descriptor(u, 1), *config = descriptor(u, 2), *language = descriptor(u, 3);
        g_assert_cmpstr(device, ==, known[i].device);
        g_assert_cmpstr(config, ==, known[i].config);
        g_assert_cmpstr(language, ==, "04030904");
        device_unplug(&u->dev);
    }
}

/* ---- reports ---- */

static UsbStatus report(UsbDevice *u, uint8_t *data, uint32_t *n)
{
    UsbPacket p = {.token = USB_IN, .endpoint = 1, .data = data, .size = 8};
    UsbStatus status = usb_packet(u, &p);
    *n = p.done;
    return status;
}

static void configure(TestDevice *t, UsbDevice *u)
{
    uint8_t data[USB_CONTROL_MAX];
    g_assert_cmpint(usb_control(u, &(UsbSetup){0, 9, 1, 0, 0}, data), ==, 0);
    loop_run_posts(t->loop);
}

static void test_keyboard(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    UsbDevice *u = plug(t, "usb-kbd", "1");
    uint8_t r[8];
    uint32_t n;
    g_assert_cmpint(report(u, r, &n), ==, USB_STALL);   /* not configured */
    configure(t, u);
    g_assert_cmpint(report(u, r, &n), ==, USB_NAK);
    input_key(t->vm, NULL, Q_KEY_CODE_SHIFT, true);
    input_key(t->vm, NULL, Q_KEY_CODE_A, true);
    input_key(t->vm, NULL, Q_KEY_CODE_A, false);
    static const uint8_t wanted[][8] = {{2}, {2, 0, 4}, {2}};
    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
        g_assert_cmpint(report(u, r, &n), ==, USB_OK);
        g_assert_cmpmem(r, n, wanted[i], 8);
    }
    g_assert_cmpint(report(u, r, &n), ==, USB_NAK);
}

static void test_tablet(void)
{
    g_autoptr(TestDevice) t = controller("qemu-xhci");
    UsbDevice *u = plug(t, "usb-tablet", "1");
    uint8_t r[8];
    uint32_t n;
    g_assert_false(input_is_absolute(t->vm, NULL));     /* no driver yet */
    configure(t, u);
    g_assert_true(input_is_absolute(t->vm, NULL));
    for (unsigned i = 0; i < 3; i++) {                  /* the last place counts */
        input_place(t->vm, NULL, INPUT_AXIS_X, 100 * i, 0x8000);
        input_place(t->vm, NULL, INPUT_AXIS_Y, 0x7fff, 0x8000);
        input_sync(t->vm);
    }
    input_button(t->vm, NULL, INPUT_BUTTON_LEFT, true);
    input_sync(t->vm);
    g_assert_cmpint(report(u, r, &n), ==, USB_OK);
    g_assert_cmpmem(r, n, ((const uint8_t[]){0, 200, 0, 0xff, 0x7f, 0}), 6);
    g_assert_cmpint(report(u, r, &n), ==, USB_OK);
    g_assert_cmpmem(r, n, ((const uint8_t[]){1, 200, 0, 0xff, 0x7f, 0}), 6);
    g_assert_cmpint(report(u, r, &n), ==, USB_NAK);
}

/* The way to a device leads through hubs; what is plugged into one goes with it. */
static void test_hub(void)
{
    g_autoptr(TestDevice) t = controller("piix3-usb-uhci");
    UsbDevice *hub = plug(t, "usb-hub", "1"), *mouse;
    mouse = plug(t, "usb-mouse", "1.8");
    g_assert_cmpint(mouse->speed, ==, USB_FULL);
    mouse->address = 5;
    hub->address = 4;
    g_assert_true(usb_find(hub->port, 5) == mouse);
    g_assert_true(usb_find_route(hub->port, 8) == mouse);
    g_assert_null(usb_find_route(hub->port, 7));
    g_assert_null(usb_find_route(hub->port, 0x11));
    device_unplug(&hub->dev);
    g_assert_cmpuint(bus_find(t->vm, NULL, "usb-bus")->devices->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb/xhci/commands", test_commands);
    g_test_add_func("/usb/xhci/full-ring", test_full_ring);
    g_test_add_func("/usb/xhci/link-loop", test_link_loop);
    g_test_add_func("/usb/xhci/ports", test_ports);
    g_test_add_func("/usb/descriptors", test_descriptors);
    g_test_add_func("/usb/keyboard", test_keyboard);
    g_test_add_func("/usb/tablet", test_tablet);
    g_test_add_func("/usb/hub", test_hub);
    return g_test_run();
}
