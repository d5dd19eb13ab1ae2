/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio as a PCI function. Spec: virtio 1.2, 4.1. A virtio device type "virtio-x-device" gets its PCI
 * twins by one line in its file:
 *
 *   VIRTIO_PCI(x, "virtio-x", 0x018000, DEVICE_STORAGE);          // and -transitional, -non-transitional
 *   VIRTIO_PCI_MODERN(y, "virtio-y-pci", "virtio-y-device", 0x038000, DEVICE_DISPLAY);
 *
 * The function owns the device as its child "virtio-backend" and passes properties on. Ids follow
 * from the device's virtio id.
 */
#ifndef HW_VIRTIO_VIRTIO_PCI_H
#define HW_VIRTIO_VIRTIO_PCI_H

#include "hw/pci.h"
#include "hw/virtio/virtio.h"

typedef struct VirtioPci {
    PciDevice pci;
    VirtioDevice *v;
    Bus *bus;
    char *fault;                /* why there is no v */
    uint8_t isr;
    uint16_t config_vector;
    uint32_t device_sel, driver_sel, queue_sel, driver_features[2];
    uint64_t area[VIRTIO_MAX_QUEUES][3];        /* descriptor, driver, device: as written */
    MemRegion *modern;          /* the modern registers; NULL: none */
    uint8_t cfg_at;             /* the capability for accesses through configuration space */
    bool with_legacy, with_modern;
    /* properties */
    int disable_legacy;
    uint32_t vectors;
    bool disable_modern, ioeventfd, page_per_vq;
} VirtioPci;

typedef struct VirtioPciClass {
    uint32_t class;
    enum { VIRTIO_PCI_AUTO, VIRTIO_PCI_TRANSITIONAL, VIRTIO_PCI_NON_TRANSITIONAL,
           VIRTIO_PCI_FORCED } kind;    /* modern, whatever disable-modern says, as in QEMU */
    /* For functions with registers of their own: BARs of the modern registers and of MSI-X (0: the usual
     * 4 and 1), bytes of the former that stay free for others. */
    uint8_t modern_bar, msix_bar;
    uint32_t modern_at;
} VirtioPciClass;

void virtio_pci_config_reading(PciDevice *p, unsigned at, unsigned size);
void virtio_pci_config_wrote(PciDevice *p, unsigned at, unsigned size);
void virtio_pci_enabled_changed(PciDevice *p);
/* What a PciInfo of a type with more than virtio (a ROM) begins with. */
#define VIRTIO_PCI_INFO                                                                             \
    .vendor = 0x1af4, .class = 0x00ff00, .pin = 1, .express = PCIE_BEHIND_PORT,                     \
    .config_reading = virtio_pci_config_reading, .config_wrote = virtio_pci_config_wrote,           \
    .enabled_changed = virtio_pci_enabled_changed

#define VIRTIO_PCI_TYPE(ident, name_, alias_, device_, class_, category_, kind_)                    \
    static const VirtioPciClass ident##_class = {class_, kind_};                                    \
    static const char *const ident##_aliases[] = {alias_, NULL};                                    \
    static const DeviceType ident = {                                                               \
        .name = name_, .parent = "virtio-pci", .size = sizeof(VirtioPci), .wraps = device_,         \
        .aliases = ident##_aliases, .category = category_, .pluggable = true, .hotpluggable = true, \
        .ext = &ident##_class,                                                                      \
    };                                                                                              \
    DEVICE_TYPE(ident)
#define VIRTIO_PCI(ident, base, class_, category_)                                                  \
    VIRTIO_PCI_TYPE(ident##_pci, base "-pci", base, base "-device", class_, category_,              \
                    VIRTIO_PCI_AUTO);                                                               \
    VIRTIO_PCI_TYPE(ident##_pci_transitional, base "-pci-transitional", NULL, base "-device",       \
                    class_, category_, VIRTIO_PCI_TRANSITIONAL);                                    \
    VIRTIO_PCI_TYPE(ident##_pci_non_transitional, base "-pci-non-transitional", NULL,               \
                    base "-device", class_, category_, VIRTIO_PCI_NON_TRANSITIONAL)
/* Devices that are younger than virtio 1.0. */
#define VIRTIO_PCI_MODERN(ident, name_, device_, class_, category_)                                 \
    VIRTIO_PCI_TYPE(ident##_pci, name_, NULL, device_, class_, category_, VIRTIO_PCI_AUTO)
/* Sockets: clients that disable the modern layout for all devices get it here nevertheless. */
#define VIRTIO_PCI_ALWAYS_MODERN(ident, name_, device_, class_, category_)                          \
    VIRTIO_PCI_TYPE(ident##_pci, name_, NULL, device_, class_, category_, VIRTIO_PCI_FORCED)

#endif
