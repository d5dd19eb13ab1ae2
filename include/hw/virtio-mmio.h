/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio transport over memory-mapped registers, as boards place it. */
#ifndef HW_VIRTIO_MMIO_H
#define HW_VIRTIO_MMIO_H

#include "core/vm.h"

/* Bytes of one transport's register window. */
enum { VIRTIO_MMIO_SIZE = 0x200 };

/* Makes a transport at base and returns its bus ("virtio-mmio-bus.<n>", one device). */
Bus *virtio_mmio_new(Vm *vm, uint64_t base, Pin irq);

#endif
