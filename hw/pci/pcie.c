/* SPDX-License-Identifier: Apache-2.0 */
/* Power management, the Express capability, advanced error reporting. PCI Express Base 5.0, 7.5, 7.8. */
#include "hw/pci/internal.h"

enum { PM_VERSION = 3, PM_NO_SOFT_RESET = 8, PM_STATE = 3, PM_PME_ENABLE = 0x100, PM_PME_STATUS = 0x8000 };

bool pci_add_pm(PciDevice *p, GError **error)
{
    unsigned at = pci_add_capability(p, PCI_CAP_PM, 8, 0, error);
    if (!at)
        return false;
    p->pm_at = at;
    pci_init16(p, at + PM_CAPS, PM_VERSION, 0, 0);
    pci_init16(p, at + PM_CONTROL, PM_NO_SOFT_RESET, PM_STATE, 0);
    return true;
}

bool pci_is_awake(const PciDevice *p)
{
    return !p->pm_at || (pci_get16(p, p->pm_at + PM_CONTROL) & PM_STATE) == 0;
}

/* 2.5 GT/s, one lane; error reports of all kinds may be enabled. */
enum {
    VERSION = 2, SLOT_SHIFT = 4, ROLE_BASED_ERRORS = 1 << 15, EXTENDED_TAG = 1 << 5,
    DEVCTL_WRITABLE = 0x72ef, DEVSTA_CLEARS = 0x000f, LINK = 0x11, ASPM_L0S = 1 << 10,
    LNKCTL_WRITABLE = 0x04fb, DEVCAP2_NO_TIMEOUT = 1 << 4, DEVCTL2_WRITABLE = 0x001f, SPEED = 1,
};

bool pcie_add_express(PciDevice *p, unsigned type, uint8_t port, uint8_t place, GError **error)
{
    unsigned at = pci_add_capability(p, PCI_CAP_EXPRESS, PCIE_CAP_SIZE, place, error);
    bool linked = type != PCIE_INTEGRATED;
    if (!at)
        return false;
    p->express_at = at;
    pci_init16(p, at + PCIE_FLAGS, VERSION | type << SLOT_SHIFT, 0, 0);
    pci_init32(p, at + PCIE_DEVCAP, ROLE_BASED_ERRORS | EXTENDED_TAG, 0, 0);
    pci_init16(p, at + PCIE_DEVCTL, 0, DEVCTL_WRITABLE, 0);
    pci_init16(p, at + PCIE_DEVSTA, 0, 0, DEVSTA_CLEARS);
    pci_init32(p, at + PCIE_DEVCAP2, DEVCAP2_NO_TIMEOUT, 0, 0);
    pci_init16(p, at + PCIE_DEVCTL2, 0, DEVCTL2_WRITABLE, 0);
    if (linked) {
        pci_init32(p, at + PCIE_LNKCAP, LINK | ASPM_L0S | (uint32_t)port << 24, 0, 0);
        pci_init16(p, at + PCIE_LNKCTL, 0, LNKCTL_WRITABLE, 0);
        pci_init16(p, at + PCIE_LNKSTA, LINK, 0, 0);
        pci_init32(p, at + PCIE_LNKCAP2, SPEED << 1, 0, 0);
        pci_init16(p, at + PCIE_LNKCTL2, SPEED, 0, 0);
    }
    return true;
}

enum {
    AER_UNCORRECTABLE = 4, AER_UNCORRECTABLE_MASK = 8, AER_SEVERITY = 12, AER_CORRECTABLE = 16,
    AER_CORRECTABLE_MASK = 20, AER_CONTROL = 24, AER_SIZE = 0x48, AER_VERSION = 2,
    UNCORRECTABLE_BITS = 0x07fff030, SEVERITY_DEFAULT = 0x00462030, CORRECTABLE_BITS = 0xf1c1,
    CORRECTABLE_MASKED = 0xe000, CONTROL_WRITABLE = 0x140,
};

void pcie_add_aer(PciDevice *p, uint16_t place)
{
    unsigned at = pcie_add_capability(p, PCIE_CAP_AER, AER_VERSION, AER_SIZE, place);
    p->aer_at = at;
    pci_init32(p, at + AER_UNCORRECTABLE, 0, 0, UNCORRECTABLE_BITS);
    pci_init32(p, at + AER_UNCORRECTABLE_MASK, 0, UNCORRECTABLE_BITS, 0);
    pci_init32(p, at + AER_SEVERITY, SEVERITY_DEFAULT, UNCORRECTABLE_BITS, 0);
    pci_init32(p, at + AER_CORRECTABLE, 0, 0, CORRECTABLE_BITS);
    pci_init32(p, at + AER_CORRECTABLE_MASK, CORRECTABLE_MASKED, CORRECTABLE_BITS, 0);
    pci_init32(p, at + AER_CONTROL, 0, CONTROL_WRITABLE, 0);
}
