/* SPDX-License-Identifier: Apache-2.0 */
/* DMA address spaces of PCI functions behind an IOMMU: made at plug, freed at unplug. */
#include "hw/iommu/space.h"
#include "util/error.h"
#include "util/rcu.h"

static MemTranslation translate(void *opaque, uint64_t addr, bool write)
{
    IommuSpace *s = opaque;
    return s->all->translate(s, addr, write);
}

static IommuSpace *space_new(IommuSpaces *all, PciDevice *p)
{
    IommuSpace *s = g_malloc0(all->size);
    g_autofree char *name = g_strdup_printf("%s-%02x.%x", all->owner->object.type->name, p->devfn >> 3, p->devfn & 7);
    s->function = p;
    s->all = all;
    g_mutex_init(&s->lock);
    s->region = mem_iommu(&all->owner->object, name, UINT64_MAX, translate, s);
    s->as = address_space_new(all->owner->object.vm, s->region, name);
    if (all->made)
        all->made(s);
    return s;
}

static void free_now(void *data)
{
    g_mutex_clear(&((IommuSpace *)data)->lock);
    g_free(data);
}

/* Who found the region before it went may still translate. */
static void space_free(void *data)
{
    IommuSpace *s = data;
    if (s->all->gone)
        s->all->gone(s);
    address_space_free(s->as);
    object_remove((Object *)s->region);
    rcu_free(s, free_now);
}

static AddressSpace *space_of(void *opaque, PciDevice *p)
{
    IommuSpaces *all = opaque;
    if (all->behind && !all->behind(all->owner, p))
        return NULL;
    g_mutex_lock(&all->lock);
    IommuSpace *s = g_hash_table_lookup(all->by_function, p);
    g_mutex_unlock(&all->lock);
    if (!s) {
        s = space_new(all, p);
        g_mutex_lock(&all->lock);
        g_hash_table_insert(all->by_function, p, s);
        g_mutex_unlock(&all->lock);
    }
    return s->as;
}

static void function_gone(void *opaque, PciDevice *p)
{
    IommuSpaces *all = opaque;
    g_mutex_lock(&all->lock);
    IommuSpace *s = g_hash_table_lookup(all->by_function, p);
    if (s)
        g_hash_table_steal(all->by_function, p);
    g_mutex_unlock(&all->lock);
    if (s)
        space_free(s);
}

bool iommu_spaces_open(IommuSpaces *s, Device *owner, PciBus *root, const MsiTarget *msi, GError **error)
{
    const PciIommu iommu = {.space = space_of, .gone = function_gone, .msi = msi, .opaque = s};
    g_mutex_init(&s->lock);
    s->owner = owner;
    s->by_function = g_hash_table_new_full(NULL, NULL, NULL, space_free);
    if (!pci_root_set_iommu(root, &iommu)) {
        g_clear_pointer(&s->by_function, g_hash_table_unref);
        g_mutex_clear(&s->lock);
        return error_set(error, "%s: the machine has an IOMMU already", owner->object.type->name);
    }
    s->root = root;
    object_ref(&root->bus.object);
    return true;
}

void iommu_spaces_close(IommuSpaces *s)
{
    PciBus *root = g_steal_pointer(&s->root);
    if (!root)
        return;
    pci_root_set_iommu(root, NULL);
    g_clear_pointer(&s->by_function, g_hash_table_unref);
    g_mutex_clear(&s->lock);
    object_unref(&root->bus.object);
}

void iommu_spaces_foreach(IommuSpaces *s, void (*fn)(IommuSpace *space, void *data), void *data)
{
    GHashTableIter i;
    gpointer space;
    if (!s->root)
        return;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&i, s->by_function);
    while (g_hash_table_iter_next(&i, NULL, &space))
        fn(space, data);
    g_mutex_unlock(&s->lock);
}
