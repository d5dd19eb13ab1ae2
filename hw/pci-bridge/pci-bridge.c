/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges to conventional buses: from PCI, from PCI Express, and Intel's from DMI. */
#include "hw/pci-bridge/shpc.h"
#include "util/error.h"

enum { FIRST_SLOT = 1, CAP_SLOT_NUMBERS = 4 };

typedef struct ConventionalBridge {
    PciBridge bridge;
    Shpc shpc;
    uint32_t chassis;
    bool with_shpc;
} ConventionalBridge;

/* Slot numbering capability (PCI-to-PCI Bridge Architecture 1.2, section 13): no slots of its own. */
static bool add_slot_numbers(ConventionalBridge *s, GError **error)
{
    PciDevice *p = &s->bridge.pci;

    if (s->chassis > UINT8_MAX) {
        return error_set(error, "chassis_nr=%u: expected 0 to %u", s->chassis, UINT8_MAX);
    }
    uint8_t at = pci_add_capability(p, CAP_SLOT_NUMBERS, 4, 0, error);
    if (at) {
        pci_init8(p, at + 3, (uint8_t)s->chassis, 0xff, 0);
    }
    return at;
}

static bool realize(Device *d, GError **error)
{
    ConventionalBridge *s = (ConventionalBridge *)d;
    PciDevice *p = &s->bridge.pci;
    bool express = p->info->express != PCI_CONVENTIONAL;

    if (express && !pcie_add_express(p, PCIE_TO_PCI, 0, 0, error)) {
        return false;
    }
    if (s->chassis && !add_slot_numbers(s, error)) {
        return false;
    }
    s->bridge.below = pci_bridge_bus_new(p, NULL, false, s->bridge.memory, s->bridge.io);
    s->bridge.below->reserved = (1u << FIRST_SLOT) - 1;
    return !s->with_shpc || shpc_add(&s->shpc, &s->bridge, error);
}

static uint64_t read_window(Device *d, uint64_t at, unsigned size)
{
    return shpc_read(&((ConventionalBridge *)d)->shpc, at, size);
}

static void write_window(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    shpc_write(&((ConventionalBridge *)d)->shpc, at, value, size);
}

static void config_reading(PciDevice *p, unsigned at, unsigned size)
{
    shpc_config_reading(&((ConventionalBridge *)p)->shpc, at, size);
}

static void config_wrote(PciDevice *p, unsigned at, unsigned size)
{
    bridge_config_wrote(p, at, size);
    shpc_config_wrote(&((ConventionalBridge *)p)->shpc, at, size);
}

static void reset(Device *d)
{
    shpc_reset(&((ConventionalBridge *)d)->shpc);
}

static void restored(Device *d)
{
    shpc_restored(&((ConventionalBridge *)d)->shpc);
}

static const Field fields[] = {
    SAVED(ConventionalBridge, shpc.enable), SAVED(ConventionalBridge, shpc.slot),
    SAVED(ConventionalBridge, shpc.command), SAVED(ConventionalBridge, shpc.target),
    SAVED(ConventionalBridge, shpc.status),
    PROP(ConventionalBridge, with_shpc, "shpc", PROP_BOOL, .desc = "Standard hot plug controller, instead of ACPI"),
    PROP(ConventionalBridge, chassis, "chassis_nr", PROP_U32, .desc = "Number of the chassis"),
};

#define BRIDGE(variable, name_, desc_, vendor_, device_, express_, ...)                           \
    static const PciInfo variable##_info = {                                                      \
        .vendor = vendor_, .device = device_, .class = 0x060400, .pin = 1, .bridge = true,        \
        .express = express_, .no_hotplug = true, .msi = {.vectors = 1},                           \
        .config_wrote = config_wrote, .config_reading = config_reading, __VA_ARGS__                                          \
    };                                                                                            \
    static const DeviceType variable = {                                                          \
        .name = name_, .parent = "pci-bridge-base", .desc = desc_,                                \
        .size = sizeof(ConventionalBridge), .category = DEVICE_BRIDGE, .pluggable = true,         \
        FIELDS(fields), .realize = realize, .reset = reset, .restored = restored,                 \
        .window = SHPC_WINDOW, .min_access = 1, .max_access = 4, .read = read_window,             \
        .write = write_window, .pci = &variable##_info,                                           \
    };                                                                                            \
    DEVICE_TYPE(variable)
BRIDGE(pci_bridge, "pci-bridge", "Standard PCI Bridge", 0x1b36, 0x0001, PCI_CONVENTIONAL);
BRIDGE(pcie_pci_bridge, "pcie-pci-bridge", "PCI Express to PCI Bridge", 0x1b36, 0x000e, PCIE_ON_EXPRESS,
       .pm = true);
BRIDGE(dmi_bridge, "i82801b11-bridge", "Intel 82801 (DMI) to PCI Bridge", 0x8086, 0x244e,
       PCI_CONVENTIONAL, .revision = 0x92);
