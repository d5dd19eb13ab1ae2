/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target over what guests put into memory for USB controllers: rings, contexts, queues. The first byte
 * names the controller; the input fills pages of RAM, then registers are written, time passes, keys are pressed.
 */
#include <string.h>
#include "core/testing.h"
#include "hw/pci.h"
#include "tests/fuzz/fuzz.h"
#include "ui/input.h"

enum { MAX_OPS = 64, STEP_NS = 4000000, PAGES = 8, PAGE = 4096 };

static const char *const controllers[] = {"qemu-xhci", "usb-ehci", "piix3-usb-uhci", "nec-usb-xhci"};

/* Not where the speeds differ. */
static void plug(TestDevice *t, const char *type)
{
    Device *d = device_new(t->vm, type, NULL);
    Bus *bus = bus_find(t->vm, NULL, "usb-bus");

    if (!d || !bus) {
        g_error("there is no %s or no bus for it", type);
    }
    if (!device_realize(d, bus, NULL)) {
        return;
    }
}

/* Pointers within the pages, small numbers, noise. */
static uint32_t word(FuzzInput *in)
{
    uint32_t v = (uint32_t)fuzz_int(in, 4);

    switch (v >> 30) {
    case 0: return (v & (PAGES - 1)) * PAGE + (v >> 8 & 0xff) * 16 + (v >> 20 & 3);
    case 1: return v & 0xffff;
    default: return v;
    }
}

static void fill(TestDevice *t, FuzzInput *in)
{
    uint32_t at = (uint32_t)fuzz_int(in, 2) % (PAGES * PAGE / 16) * 16;

    for (unsigned n = fuzz_int(in, 1) % 32; n; n--, at += 4) {
        uint32_t v = GUINT32_TO_LE(word(in));
        as_write(t->vm->memory, at % (PAGES * PAGE), &v, 4);
    }
}

/* The beginning that no input would find: rings, one event segment, the first slot's doorbell. */
static void begin_xhci(TestDevice *t)
{
    const uint64_t segment = GUINT64_TO_LE(0x7000), size = GUINT64_TO_LE(256);

    as_write(t->vm->memory, 0x6000, &segment, 8);
    as_write(t->vm->memory, 0x6008, &size, 8);
    test_write(t, "CONFIG", 8);
    test_write(t, "DCBAAP_LOW", 0x1000);
    test_write(t, "CRCR_LOW", 0x2001);
    test_write(t, "ERSTSZ[0]", 1);
    test_write(t, "ERDP_LOW[0]", 0x7000);
    test_write(t, "ERSTBA_LOW[0]", 0x6000);
    test_write(t, "ERSTBA_HIGH[0]", 0);
    test_write(t, "USBCMD", 5);
}

static void step(TestDevice *t, FuzzInput *in)
{
    const DeviceType *d = (const DeviceType *)t->dev->object.type;
    unsigned op = (unsigned)fuzz_int(in, 1), n = (unsigned)fuzz_int(in, 2);

    switch (op & 7) {
    case 0: case 1: case 2: fill(t, in); break;
    case 3: test_clock_step_ns(t, n * 1000ll % STEP_NS + 1); break;
    case 4:
        input_key(t->vm, NULL, n % Q_KEY_CODE__COUNT, op & 8);
        input_place(t->vm, NULL, INPUT_AXIS_X, n & 1023, 1024);
        input_sync(t->vm);
        break;
    default: {
        const Reg *r = &d->regs[n % d->n_regs];
        unsigned width = r->width ? r->width : 4, stride = r->stride ? r->stride : width;
        uint64_t at = r->at + (uint64_t)stride * (r->count > 1 ? (n >> 8) % r->count : 0);
        if (op & 0x40) {
            test_read_at(t, at, width);
        } else {
            test_write_at(t, at, width, word(in));
        }
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = {data, size};
    unsigned kind = (unsigned)fuzz_int(&in, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(TestDevice) t = test_device_try(controllers[kind % G_N_ELEMENTS(controllers)], &error);

    if (!t) {
        return 0;
    }
    pci_config_write((PciDevice *)t->dev, PCI_COMMAND, 7, 2);
    loop_run_posts(t->loop);
    plug(t, kind & 16 ? "usb-kbd" : "usb-tablet");
    plug(t, kind & 32 ? "usb-hub" : "usb-uas");
    if (strstr(t->dev->object.type->name, "xhci")) {
        begin_xhci(t);
    }
    for (unsigned n = 0; in.left && n < MAX_OPS; n++) {
        step(t, &in);
    }
    return 0;
}

const char *const fuzz_words[] = { NULL };
