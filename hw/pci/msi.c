/* SPDX-License-Identifier: Apache-2.0 */
/* Message-signalled interrupts. PCI Local Bus 3.0, 6.8.1. */
#include "hw/pci/internal.h"
#include "util/error.h"

enum {
    ENABLE = 1, CAPABLE_SHIFT = 1, ENABLED_SHIFT = 4, ENABLED_MASK = 7 << 4, WIDE = 0x80, MASKS = 0x100,
};

static unsigned log2_of(unsigned n) { return n > 1 ? 32 - __builtin_clz(n - 1) : 0; }

bool pci_add_msi(PciDevice *p, const PciMsi *msi, GError **error)
{
    bool wide = !msi->no_64bit, masks = msi->mask_bits;
    unsigned vectors = log2_of(msi->vectors), size = masks ? (wide ? 24 : 20) : wide ? 14 : 10;
    unsigned at = pci_add_capability(p, PCI_CAP_MSI, size, msi->at, error);
    if (!at)
        return false;
    p->msi_at = at;
    pci_init16(p, at + MSI_CONTROL, vectors << CAPABLE_SHIFT | (wide ? WIDE : 0) | (masks ? MASKS : 0),
               ENABLE | ENABLED_MASK, 0);
    pci_init32(p, at + MSI_ADDRESS, 0, ~3u, 0);
    if (wide)
        pci_init32(p, at + MSI_ADDRESS_HIGH, 0, UINT32_MAX, 0);
    pci_init16(p, at + (wide ? MSI_DATA : MSI_DATA - 4), 0, 0xffff, 0);
    if (masks) {
        pci_init32(p, at + (wide ? MSI_MASK : MSI_MASK - 4), 0, UINT32_MAX >> (32 - (1 << vectors)), 0);
        pci_init32(p, at + (wide ? MSI_PENDING : MSI_PENDING - 4), 0, 0, 0);
    }
    return true;
}

bool pci_msi_enabled(const PciDevice *p)
{
    return p->msi_at && pci_get16(p, p->msi_at + MSI_CONTROL) & ENABLE;
}

/* With the lock held. */
static void send(PciDevice *p, uint16_t control, unsigned vector)
{
    unsigned at = p->msi_at, allowed = MIN((control & ENABLED_MASK) >> ENABLED_SHIFT,
                                           control >> CAPABLE_SHIFT & 7);
    bool wide = control & WIDE;
    uint64_t address = pci_get32(p, at + MSI_ADDRESS);
    uint32_t data = pci_get16(p, at + (wide ? MSI_DATA : MSI_DATA - 4));
    if (wide)
        address |= (uint64_t)pci_get32(p, at + MSI_ADDRESS_HIGH) << 32;
    data = (data & ~((1u << allowed) - 1)) | (vector & ((1u << allowed) - 1));
    pci_send_message(p, address, data);
}

bool pci_msi_send(PciDevice *p, unsigned vector)
{
    if (!pci_msi_enabled(p))
        return false;
    g_mutex_lock(&p->irq_lock);
    uint16_t control = pci_get16(p, p->msi_at + MSI_CONTROL);
    unsigned mask = p->msi_at + (control & WIDE ? MSI_MASK : MSI_MASK - 4);
    if (control & MASKS && vector < 32 && pci_get32(p, mask) & 1u << vector)
        pci_set32(p, mask + 4, pci_get32(p, mask + 4) | 1u << vector);
    else
        send(p, control, vector);
    g_mutex_unlock(&p->irq_lock);
    return true;
}

/* Vectors that were unmasked while pending go out now. */
void pci_msi_update(PciDevice *p)
{
    uint16_t control = pci_get16(p, p->msi_at + MSI_CONTROL);
    unsigned mask = p->msi_at + (control & WIDE ? MSI_MASK : MSI_MASK - 4);
    if (!(control & MASKS) || !(control & ENABLE))
        return;
    g_mutex_lock(&p->irq_lock);
    uint32_t due = pci_get32(p, mask + 4) & ~pci_get32(p, mask);
    pci_set32(p, mask + 4, pci_get32(p, mask + 4) & ~due);
    for (; due; due &= due - 1)
        send(p, control, __builtin_ctz(due));
    g_mutex_unlock(&p->irq_lock);
}
