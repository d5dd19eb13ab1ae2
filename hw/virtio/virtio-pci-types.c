/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI twins of virtio devices. Class codes: PCI Code and ID Assignment 1.11. */
#include "hw/virtio/virtio-pci.h"

VIRTIO_PCI(blk, "virtio-blk", 0x010000, DEVICE_STORAGE);
VIRTIO_PCI(net, "virtio-net", 0x020000, DEVICE_NETWORK);
VIRTIO_PCI(scsi, "virtio-scsi", 0x010000, DEVICE_STORAGE);
VIRTIO_PCI(serial, "virtio-serial", 0x078000, DEVICE_INPUT);
VIRTIO_PCI(rng, "virtio-rng", 0x00ff00, DEVICE_MISC);
VIRTIO_PCI_TYPE(gpu_pci, "virtio-gpu-pci", "virtio-gpu", "virtio-gpu-device", 0x038000, DEVICE_DISPLAY,
                VIRTIO_PCI_AUTO);
VIRTIO_PCI_MODERN(mem, "virtio-mem-pci", "virtio-mem", 0x00ff00, DEVICE_MISC);
VIRTIO_PCI_MODERN(pmem, "virtio-pmem-pci", "virtio-pmem", 0x00ff00, DEVICE_MISC);
VIRTIO_PCI_TYPE(sound_pci, "virtio-sound-pci", "virtio-sound", "virtio-sound-device", 0x040100, DEVICE_SOUND, VIRTIO_PCI_AUTO);
VIRTIO_PCI_MODERN(iommu, "virtio-iommu-pci", "virtio-iommu-device", 0x080600, DEVICE_MISC);
VIRTIO_PCI(balloon, "virtio-balloon", 0x00ff00, DEVICE_MISC);
VIRTIO_PCI_ALWAYS_MODERN(vsock, "virtio-vsock-pci", "virtio-vsock-device", 0x028000, DEVICE_MISC);
VIRTIO_PCI_TYPE(keyboard_pci, "virtio-keyboard-pci", "virtio-keyboard", "virtio-keyboard-device", 0x090000, DEVICE_INPUT, VIRTIO_PCI_AUTO);
VIRTIO_PCI_TYPE(mouse_pci, "virtio-mouse-pci", "virtio-mouse", "virtio-mouse-device", 0x090200, DEVICE_INPUT, VIRTIO_PCI_AUTO);
VIRTIO_PCI_TYPE(tablet_pci, "virtio-tablet-pci", "virtio-tablet", "virtio-tablet-device", 0x098000, DEVICE_INPUT, VIRTIO_PCI_AUTO);
VIRTIO_PCI_TYPE(multitouch_pci, "virtio-multitouch-pci", "virtio-multitouch", "virtio-multitouch-device", 0x098000,
                DEVICE_INPUT, VIRTIO_PCI_AUTO);
VIRTIO_PCI(vhost_blk, "vhost-user-blk", 0x010000, DEVICE_STORAGE);
VIRTIO_PCI(vhost_scsi, "vhost-user-scsi", 0x010000, DEVICE_STORAGE);
VIRTIO_PCI_MODERN(vhost_fs, "vhost-user-fs-pci", "vhost-user-fs-device", 0x018000, DEVICE_STORAGE);
VIRTIO_PCI_ALWAYS_MODERN(vhost_vsock, "vhost-user-vsock-pci", "vhost-user-vsock-device", 0x028000, DEVICE_MISC);
VIRTIO_PCI(p9, "virtio-9p", 0x000200, DEVICE_STORAGE);
VIRTIO_PCI_ALWAYS_MODERN(kernel_vsock, "vhost-vsock-pci", "vhost-vsock-device", 0x028000, DEVICE_MISC);
