/* SPDX-License-Identifier: Apache-2.0 */
/* DMA through root, context and second-level tables. Spec: VT-d 3.4, chapter 3, 9.1-9.8 (legacy mode). */
#include "core/vm.h"
#include "hw/iommu/intel-iommu.h"

enum {
    PRESENT = 1, NO_FAULTS = 2, READ = 1, WRITE = 2, LARGE = 1 << 7, PAGE_BITS = 12, LEVEL_BITS = 9,
    TT_MULTI = 0, TT_DEVICE_TLB = 1, TT_PASS = 2, WIDTH_39 = 1, WIDTH_48 = 2,
};

typedef struct Context {
    uint64_t table;
    uint16_t domain;
    uint8_t levels;
    bool pass, quiet;           /* quiet: its faults are not recorded */
} Context;

static unsigned width_of(unsigned levels) { return PAGE_BITS + LEVEL_BITS * levels; }

/* Returns a fault reason, 0: none. */
static unsigned find_context(Vtd *s, uint16_t requester, Context *c)
{
    uint64_t root = __atomic_load_n(&s->live_root, __ATOMIC_ACQUIRE), entry, low, high;
    if (root & ~VTD_ADDRESS & 0xc00)                    /* a table of scalable mode */
        return VTD_F_ROOT_BITS;
    if (!vtd_word(s, (root & VTD_ADDRESS) + (requester >> 8) * 16, &entry))
        return VTD_F_ROOT_TABLE;
    if (!(entry & PRESENT))
        return VTD_F_ROOT;
    uint64_t at = (entry & VTD_ADDRESS) + (requester & 0xff) * 16;
    if (!vtd_word(s, at, &low) || !vtd_word(s, at + 8, &high))
        return VTD_F_CONTEXT_TABLE;
    unsigned type = low >> 2 & 3, width = high & 7;
    *c = (Context){.table = low & VTD_ADDRESS, .domain = high >> 8, .levels = width + 2, .pass = type == TT_PASS,
                   .quiet = low & NO_FAULTS};
    if (!(low & PRESENT))
        return VTD_F_CONTEXT;
    bool known = type == TT_MULTI || (type == TT_DEVICE_TLB && s->device_iotlb) || (c->pass && s->pass_through);
    return known && (width == WIDTH_39 || (width == WIDTH_48 && s->aw_bits >= 48)) ? 0 : VTD_F_CONTEXT_BAD;
}

/* Any level may forbid. */
static unsigned walk(Vtd *s, const Context *c, uint64_t addr, bool write, VtdEntry *to)
{
    uint64_t table = c->table, entry, granted = READ | WRITE;
    if (addr >> MIN(width_of(c->levels), s->aw_bits))
        return VTD_F_BEYOND;
    for (unsigned level = c->levels; level > 0; level--) {
        unsigned shift = PAGE_BITS + LEVEL_BITS * (level - 1);
        if (!vtd_word(s, table + (addr >> shift & 0x1ff) * 8, &entry))
            return VTD_F_TABLE;
        granted &= entry;
        if (!(granted & (write ? WRITE : READ)))
            return write ? VTD_F_WRITE : VTD_F_READ;
        if (level == 1 || entry & LARGE) {
            if (level > 3)
                return VTD_F_PAGE_BITS;
            uint64_t mask = (1ull << shift) - 1;
            *to = (VtdEntry){addr >> PAGE_BITS, entry & VTD_ADDRESS & ~mask, mask, granted & READ, granted & WRITE};
            return 0;
        }
        table = entry & VTD_ADDRESS;
    }
    return VTD_F_TABLE;
}

static MemTranslation as_translation(const VtdEntry *e, AddressSpace *memory)
{
    return (MemTranslation){e->pa, e->mask, e->read, e->write, memory};
}

/* What a function writes there is an interrupt, whatever its tables say (3.14). */
static MemTranslation to_messages(const VtdSpace *space, uint64_t addr, bool write)
{
    return (MemTranslation){addr - VTD_MESSAGES, 0xfff, false, write, space->message_space};
}

/* The walk is done under the space's lock, so that an invalidation that came in between is not undone. */
MemTranslation vtd_translate(IommuSpace *base, uint64_t addr, bool write)
{
    VtdSpace *space = (VtdSpace *)base;
    Vtd *s = (Vtd *)base->all->owner;
    AddressSpace *memory = s->dev.object.vm->memory;
    uint16_t requester = pci_dma_requester(base->function);
    VtdEntry *e = &space->tlb[addr >> PAGE_BITS & (VTD_TLB - 1)];
    MemTranslation t = {0};
    Context c = {0};
    unsigned fault = 0;
    if (addr >= VTD_MESSAGES && addr < VTD_MESSAGES + VTD_MESSAGES_SIZE && write)
        return to_messages(space, addr, write);
    if (!(vtd_status(s) & VTD_TRANSLATE))
        return iommu_identity(memory, addr);
    g_mutex_lock(&base->lock);
    if (e->mask && e->page == addr >> PAGE_BITS && (write ? e->write : e->read)) {
        t = as_translation(e, memory);
    } else if ((fault = find_context(s, requester, &c)) == 0) {
        space->domain = c.domain;
        if (c.pass)
            t = iommu_identity(memory, addr);
        else if ((fault = walk(s, &c, addr, write, e)) == 0)
            t = as_translation(e, memory);
    }
    g_mutex_unlock(&base->lock);
    if (fault && !c.quiet)
        vtd_fault(s, fault, requester, addr, write);
    return t;
}

/* ---- what invalidations forget ---- */

typedef struct Forget {
    int domain;
    uint64_t first, last;
} Forget;

static void forget(IommuSpace *base, void *data)
{
    VtdSpace *space = (VtdSpace *)base;
    const Forget *f = data;
    g_mutex_lock(&base->lock);
    for (unsigned i = 0; (f->domain < 0 || f->domain == space->domain) && i < VTD_TLB; i++) {
        VtdEntry *e = &space->tlb[i];
        uint64_t at = e->page << PAGE_BITS;
        if ((at & ~e->mask) <= f->last && (at | e->mask) >= f->first)
            e->mask = 0;
    }
    g_mutex_unlock(&base->lock);
}

void vtd_forget(Vtd *s, int domain, uint64_t first, uint64_t last)
{
    Forget f = {domain, first, last};
    iommu_spaces_foreach(&s->spaces, forget, &f);
    mem_remapped(s->dev.object.vm);
}
