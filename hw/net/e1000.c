/* SPDX-License-Identifier: Apache-2.0 */
/* The 82540EM and its sisters: conventional PCI, one queue each way. Spec: SDM 4, 13.3. */
#include "hw/net/e1000.h"

enum { IO_SIZE = 64 };

static const Field fields[] = {
    PROP(E1000, mitigation, "mitigation", PROP_BOOL, .init = 1,
         .desc = "Interrupts no oftener than ITR says"),
};
#define CARD(id)                                                                                   \
    {                                                                                              \
        .vendor = 0x8086, .device = id, .class = 0x020000, .revision = 3, .pin = 1,                \
        .rom = "efi-e1000.rom", .bar = {                                                           \
            {.kind = PCI_BAR_MEM32, .window = true},                                               \
            {.kind = PCI_BAR_IO, .size = IO_SIZE, .name = "e1000-io", .ops = &e1000_io_ops}        \
        }                                                                                          \
    }
#define TYPE(name_, desc_, info_, ...)                                                             \
    {                                                                                              \
        .name = name_, .parent = "e1000-base", .desc = desc_, .size = sizeof(E1000),               \
        .category = DEVICE_NETWORK, .pluggable = true, .hotpluggable = true, FIELDS(fields),        \
        .pci = &info_, __VA_ARGS__                                                                \
    }
static const char *const names_82540em[] = {"e1000-82540em", NULL};
static const PciInfo info_82540em = CARD(0x100e), info_82545em = CARD(0x100f);
static const DeviceType e1000 =
    TYPE("e1000", "Intel 82540EM gigabit Ethernet", info_82540em, .aliases = names_82540em);
static const DeviceType e1000_82545em =
    TYPE("e1000-82545em", "Intel 82545EM gigabit Ethernet", info_82545em);
DEVICE_TYPE(e1000);
DEVICE_TYPE(e1000_82545em);
