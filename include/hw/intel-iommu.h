/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine's VT-d unit is like, for those who describe it to the guest. */
#ifndef HW_INTEL_IOMMU_H
#define HW_INTEL_IOMMU_H

#include "core/vm.h"

#define INTEL_IOMMU_BASE 0xfed90000ull
/* The requester id of the IOAPIC's messages: bus ff, 00.0. */
enum { INTEL_IOMMU_IOAPIC_SOURCE = 0xff00 };

typedef struct IntelIommuInfo {
    uint8_t aw_bits;
    bool intremap, device_iotlb;
} IntelIommuInfo;
/* False: there is none. */
bool intel_iommu_info(Vm *vm, IntelIommuInfo *info);

#endif
