/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges to conventional buses: from PCI, from PCI Express, and Intel's from DMI. */
#include "hw/pci-bridge/bridge.h"
#include "util/error.h"

enum { FIRST_SLOT = 1, CAP_SLOT_NUMBERS = 4 };

typedef struct ConventionalBridge {
    PciBridge bridge;
    uint32_t chassis;
    bool shpc;
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

    if (s->shpc) {
        return error_set(error, "shpc=on is not implemented: devices come and go by ACPI");
    }
    if (express && !pcie_add_express(p, PCIE_TO_PCI, 0, 0, error)) {
        return false;
    }
    if (s->chassis && !add_slot_numbers(s, error)) {
        return false;
    }
    s->bridge.below = pci_bridge_bus_new(p, NULL, false, s->bridge.memory, s->bridge.io);
    s->bridge.below->reserved = (1u << FIRST_SLOT) - 1;
    return true;
}

static const Field fields[] = {
    PROP(ConventionalBridge, shpc, "shpc", PROP_BOOL, .desc = "Standard hot plug controller"),
    PROP(ConventionalBridge, chassis, "chassis_nr", PROP_U32, .desc = "Number of the chassis"),
};

#define BRIDGE(variable, name_, desc_, vendor_, device_, express_, ...)                           \
    static const PciInfo variable##_info = {                                                      \
        .vendor = vendor_, .device = device_, .class = 0x060400, .pin = 1, .bridge = true,        \
        .express = express_, .no_hotplug = true, .msi = {.vectors = 1},                           \
        .config_wrote = bridge_config_wrote, __VA_ARGS__                                          \
    };                                                                                            \
    static const DeviceType variable = {                                                          \
        .name = name_, .parent = "pci-bridge-base", .desc = desc_,                                \
        .size = sizeof(ConventionalBridge), .category = DEVICE_BRIDGE, .pluggable = true,         \
        FIELDS(fields), .realize = realize, .pci = &variable##_info,                              \
    };                                                                                            \
    DEVICE_TYPE(variable)
BRIDGE(pci_bridge, "pci-bridge", "Standard PCI Bridge", 0x1b36, 0x0001, PCI_CONVENTIONAL);
BRIDGE(pcie_pci_bridge, "pcie-pci-bridge", "PCI Express to PCI Bridge", 0x1b36, 0x000e, PCIE_ON_EXPRESS,
       .pm = true);
BRIDGE(dmi_bridge, "i82801b11-bridge", "Intel 82801 (DMI) to PCI Bridge", 0x8086, 0x244e,
       PCI_CONVENTIONAL, .revision = 0x92);
