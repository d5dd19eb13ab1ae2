/* SPDX-License-Identifier: Apache-2.0 */
/* Queued invalidation. Spec: VT-d 3.4, 6.5.2. */
#include "core/vm.h"
#include "hw/iommu/intel-iommu.h"
#include "util/log.h"

enum {
    CONTEXT = 1, IOTLB, DEVICE_IOTLB, IEC, WAIT, GLOBAL = 1, DOMAIN, PAGES,
    WAIT_INTERRUPT = 1 << 4, WAIT_STATUS = 1 << 5, QUEUE_SIZE = 7, DESCRIPTOR = 16, MAX_PAGES = 18, ICS_DONE = 1,
    WIDE_DESCRIPTORS = 1 << 11,
};

static bool invalidate_iotlb(Vtd *s, uint64_t low, uint64_t high)
{
    int domain = low >> 16 & 0xffff;
    unsigned pages = high & 0x3f;
    uint64_t bytes = 1ull << (12 + MIN(pages, MAX_PAGES)), first = high & ~0xfffull & ~(bytes - 1);
    switch (low >> 4 & 3) {
    case GLOBAL: vtd_forget(s, -1, 0, UINT64_MAX); return true;
    case DOMAIN: vtd_forget(s, domain, 0, UINT64_MAX); return true;
    case PAGES:
        if (pages <= MAX_PAGES)
            vtd_forget(s, domain, first, first + bytes - 1);
        return pages <= MAX_PAGES;
    default: return false;
    }
}

static bool wait(Vtd *s, uint64_t low, uint64_t high)
{
    if (low & WAIT_STATUS)
        as_store(s->dev.object.vm->memory, high & ~3ull, 4, low >> 32);
    if (low & WAIT_INTERRUPT && !(s->ics & ICS_DONE)) {
        s->ics |= ICS_DONE;
        vtd_event(s, &s->iectl, s->ieaddr, s->ieuaddr, s->iedata);
    }
    return true;
}

static bool run(Vtd *s, uint64_t low, uint64_t high)
{
    trace(descriptor, "0x%llx 0x%llx", (unsigned long long)low, (unsigned long long)high);
    switch (low & 0xf) {
    case CONTEXT:                       /* contexts are read anew with each walk; what they led to is forgotten */
        vtd_forget(s, -1, 0, UINT64_MAX);
        return low >> 4 & 3;
    case IOTLB: return invalidate_iotlb(s, low, high);
    case DEVICE_IOTLB:                  /* no function keeps translations of its own but virtio's rings */
        mem_remapped(s->dev.object.vm);
        return s->device_iotlb;
    case IEC:
        vtd_remap_changed(s);
        return true;
    case WAIT: return wait(s, low, high);
    default: return false;
    }
}

/* A descriptor that is wrong stops the queue until the guest clears the error. At most one round: a ring
 * that the guest lets run in circles must not keep the CPU. */
void vtd_run_queue(Vtd *s)
{
    uint64_t size = (uint64_t)DESCRIPTOR << (8 + (s->iqa & QUEUE_SIZE)), base = s->iqa & VTD_ADDRESS;
    if (s->iqt >= size || s->iqa & WIDE_DESCRIPTORS) {
        if (s->status & VTD_QUEUE && !(s->fsts & VTD_IQE)) {
            log_guest(s, "invalidation queue: tail 0x%llx does not fit", (unsigned long long)s->iqt);
            s->fsts |= VTD_IQE;
            vtd_event(s, &s->fectl, s->feaddr, s->feuaddr, s->fedata);
        }
        return;
    }
    for (uint64_t left = size; left && s->iqh != s->iqt && s->status & VTD_QUEUE && !(s->fsts & VTD_IQE);
         left -= DESCRIPTOR) {
        uint64_t low, high;
        s->iqh &= size - 1;
        if (!vtd_word(s, base + s->iqh, &low) || !vtd_word(s, base + s->iqh + 8, &high) || !run(s, low, high)) {
            log_guest(s, "invalidation descriptor at 0x%llx is wrong", (unsigned long long)(base + s->iqh));
            s->fsts |= VTD_IQE;
            vtd_event(s, &s->fectl, s->feaddr, s->feuaddr, s->fedata);
            return;
        }
        s->iqh = (s->iqh + DESCRIPTOR) & (size - 1);
    }
}
