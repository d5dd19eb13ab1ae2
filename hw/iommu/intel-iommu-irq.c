/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt messages through the remapping table. Spec: VT-d 3.4, chapter 5, 9.10. */
#include "hw/iommu/intel-iommu.h"

enum {
    ENTRY = 16, REMAPPABLE = 1 << 4, SUBHANDLE = 1 << 3, PRESENT = 1, NO_FAULTS = 2, LOGICAL = 4, HINT = 8, LEVEL = 16,
    POSTED = 1 << 15, ASSERT = 1 << 14, TRIGGER_LEVEL = 1 << 15, SIZE = 15, EIME = 1 << 11,
    SVT_NONE = 0, SVT_SOURCE, SVT_BUSES,
};

static bool source_fits(uint64_t high, uint16_t requester)
{
    static const uint16_t compared[] = {0xffff, 0xfffb, 0xfff9, 0xfff8};
    uint16_t sid = high, mask = compared[high >> 16 & 3];
    switch (high >> 18 & 3) {
    case SVT_NONE: return true;
    case SVT_SOURCE: return (requester & mask) == (sid & mask);
    case SVT_BUSES: return requester >> 8 >= sid >> 8 && requester >> 8 <= (sid & 0xff);
    default: return false;
    }
}

/* Returns a fault reason, 0: none. */
static unsigned find_entry(Vtd *s, const MsiMessage *m, unsigned *index, uint64_t *low)
{
    uint64_t table = __atomic_load_n(&s->live_irta, __ATOMIC_ACQUIRE), high;
    *index = (m->address >> 5 & 0x7fff) | (m->address & 4) << 13;
    if (m->address & SUBHANDLE)
        *index += m->data & 0xffff;
    if (*index >= 2u << (table & SIZE))
        return VTD_F_INDEX;
    uint64_t at = (table & VTD_ADDRESS) + *index * (uint64_t)ENTRY;
    if (!vtd_word(s, at, low) || !vtd_word(s, at + 8, &high))
        return VTD_F_IR_TABLE;
    if (!(*low & PRESENT))
        return VTD_F_IRTE;
    if (*low & POSTED)
        return VTD_F_IRTE_BITS;
    return source_fits(high, m->requester) ? 0 : VTD_F_SID;
}

/* The wide destination's upper bits go where APICs of the x2APIC kind look for them. */
static void compose(Vtd *s, uint64_t entry, MsiMessage *m)
{
    uint32_t dest = entry >> 32;
    bool wide = __atomic_load_n(&s->live_irta, __ATOMIC_ACQUIRE) & EIME;
    if (!wide)
        dest = dest >> 8 & 0xff;
    m->address = VTD_MESSAGES | (uint64_t)(dest & 0xff) << 12 | (uint64_t)(dest & 0xffffff00) << 32 |
                 (entry & HINT ? 8 : 0) | (entry & LOGICAL ? 4 : 0);
    m->data = (entry >> 16 & 0xff) | (entry >> 5 & 7) << 8 | ASSERT | (entry & LEVEL ? TRIGGER_LEVEL : 0);
}

bool vtd_remap(Vtd *s, MsiMessage *m, bool quiet)
{
    uint32_t status = vtd_status(s);
    unsigned index = 0, fault = 0;
    uint64_t entry = 0;
    if (!(status & VTD_INTREMAP))
        return true;
    if (m->address & REMAPPABLE) {
        fault = find_entry(s, m, &index, &entry);
        if (!fault) {
            compose(s, entry, m);
            return true;
        }
    } else {
        bool wide = __atomic_load_n(&s->live_irta, __ATOMIC_ACQUIRE) & EIME;
        if (status & VTD_COMPAT && !wide)
            return true;
        fault = VTD_F_COMPAT;
    }
    if (!quiet && !(entry & PRESENT && entry & NO_FAULTS))
        vtd_fault(s, fault, m->requester, (uint64_t)index << 48, false);
    return false;
}

void vtd_send(void *opaque, const MsiMessage *m)
{
    Vtd *s = opaque;
    MsiMessage out = *m;
    if (vtd_remap(s, &out, false) && s->board)
        s->board->send(s->board->opaque, &out);
}
