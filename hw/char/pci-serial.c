/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One, two or four 16550A on a PCI card. Spec: QEMU's docs/specs/pci-serial: the ports stand in BAR 0, eight
 * bytes each, and share INTA#.
 */
#include "hw/char/serial.h"
#include "hw/pci.h"
#include "util/error.h"

enum { MAX_PORTS = 4, PORT_BYTES = 8, PROG_IF = 0x09 };

typedef struct PciSerial {
    PciDevice pci;
    Chardev *chr[MAX_PORTS];
    Serial *port[MAX_PORTS];
    uint32_t lines;             /* a bit for each port that interrupts */
    uint8_t prog_if;
} PciSerial;

static unsigned ports(const PciSerial *s) { return s->pci.info->bar[0].size / PORT_BYTES; }

static void pin(Device *d, uint32_t n, bool level)
{
    PciSerial *s = (PciSerial *)d;
    s->lines = (s->lines & ~(1u << n)) | (uint32_t)level << n;
    pci_intx(&s->pci, s->lines);
}

static bool make_port(PciSerial *s, unsigned n, GError **error)
{
    Device *d = &s->pci.dev, *port = device_new(d->object.vm, "serial-mm", error);
    g_autofree char *name = g_strdup_printf("port%u", n);
    if (!port)
        return false;
    s->port[n] = (Serial *)port;
    irq_connect(&s->port[n]->irq, device_pin(d, n));
    object_add_child(&d->object, name, &port->object);
    if ((s->chr[n] && !object_set_string(&port->object, "chardev", ((Object *)s->chr[n])->name, error)) ||
        !device_realize(port, NULL, error)) {
        s->port[n] = NULL;
        return false;
    }
    mem_add(pci_bar_region(&s->pci, 0), (uint64_t)n * PORT_BYTES, port->mmio, 0);
    return true;
}

static bool realize(Device *d, GError **error)
{
    PciSerial *s = (PciSerial *)d;
    pci_init8(&s->pci, PROG_IF, s->prog_if, 0, 0);
    for (unsigned n = 0; n < ports(s); n++)
        if (!make_port(s, n, error))
            return false;
    return true;
}

static void restored(Device *d)
{
    PciSerial *s = (PciSerial *)d;
    s->lines &= (1u << ports(s)) - 1;
    pci_intx(&s->pci, s->lines);
}

#define PORT(n, name_) PROP(PciSerial, chr[n], name_, PROP_CHARDEV)
#define COMMON                                                                                      \
    HOST(PciSerial, port), SAVED(PciSerial, lines),                                                 \
    PROP(PciSerial, prog_if, "prog_if", PROP_U8, .init = 2, .desc = "programming interface of the class")
#define INFO(device_, ports_)                                                                       \
    {.vendor = 0x1b36, .device = device_, .class = 0x070002, .revision = 1, .pin = 1,               \
     .bar = {{.kind = PCI_BAR_IO, .size = (ports_) * PORT_BYTES}}}
#define TYPE(name_, desc_, fields_, info_, ports_)                                                  \
    {.name = name_, .parent = "pci-device", .desc = desc_, .size = sizeof(PciSerial),               \
     .category = DEVICE_INPUT, .pluggable = true, .hotpluggable = true, FIELDS(fields_),            \
     .pin = pin, .n_pins = ports_, .realize = realize, .restored = restored, .pci = &info_}

static const Field one_fields[] = {PORT(0, "chardev"), COMMON};
static const Field two_fields[] = {PORT(0, "chardev1"), PORT(1, "chardev2"), COMMON};
static const Field four_fields[] = {
    PORT(0, "chardev1"), PORT(1, "chardev2"), PORT(2, "chardev3"), PORT(3, "chardev4"), COMMON,
};
static const PciInfo one_info = INFO(2, 1), two_info = INFO(3, 2), four_info = INFO(4, 4);
static const DeviceType one = TYPE("pci-serial", "PCI card with a serial port", one_fields, one_info, 1);
static const DeviceType two = TYPE("pci-serial-2x", "PCI card with two serial ports", two_fields, two_info, 2);
static const DeviceType four = TYPE("pci-serial-4x", "PCI card with four serial ports", four_fields, four_info, 4);
DEVICE_TYPE(one);
DEVICE_TYPE(two);
DEVICE_TYPE(four);
