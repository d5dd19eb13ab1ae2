/* SPDX-License-Identifier: Apache-2.0 */
/* The DMA address spaces that an IOMMU gives to PCI functions. */
#ifndef HW_IOMMU_SPACE_H
#define HW_IOMMU_SPACE_H

#include "hw/pci.h"

typedef struct IommuSpace {
    PciDevice *function;
    struct IommuSpaces *all;
    MemRegion *region;
    AddressSpace *as;
    GMutex lock;                /* for what the IOMMU keeps about the function */
} IommuSpace;

/* One set per IOMMU; a member of its struct. Control thread, but for translations. */
typedef struct IommuSpaces {
    Device *owner;
    PciBus *root;               /* NULL: not in use */
    size_t size;                /* of what begins with IommuSpace */
    MemTranslation (*translate)(IommuSpace *s, uint64_t addr, bool write);      /* any thread */
    void (*made)(IommuSpace *s);        /* NULL: nothing more to make */
    void (*gone)(IommuSpace *s);        /* its function is unplugged, or the set closed; may be NULL */
    bool (*behind)(Device *owner, PciDevice *p);        /* NULL: all functions are */
    GHashTable *by_function;    /* PciDevice * to IommuSpace * */
    GMutex lock;                /* of that table */
} IommuSpaces;

/* From now on all DMA on the root's buses goes through `translate`; messages go to `msi` (NULL: as before).
 * False: there is an IOMMU already. */
bool iommu_spaces_open(IommuSpaces *s, Device *owner, PciBus *root, const MsiTarget *msi, GError **error);
/* DMA goes to memory again. Twice does no harm. */
void iommu_spaces_close(IommuSpaces *s);
void iommu_spaces_foreach(IommuSpaces *s, void (*fn)(IommuSpace *space, void *data), void *data);

/* What goes through as it is. */
static inline MemTranslation iommu_identity(AddressSpace *target, uint64_t addr)
{
    return (MemTranslation){.pa = addr, .mask = (1ull << 52) - 1, .read = true, .write = true, .target = target};
}

#endif
