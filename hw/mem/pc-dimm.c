/* SPDX-License-Identifier: Apache-2.0 */
/* DIMMs and NVDIMMs: memory back ends as modules in slots. Spec: ACPI 6.5, 5.2.25, 9.12.2. */
#include <inttypes.h>
#include "core/backend.h"
#include "hw/mem.h"
#include "hw/mem/internal.h"
#include "util/error.h"

enum { PAGE = 4096, LABELS_LEAST = 128 << 10 };

typedef struct Dimm {
    Device dev;
    MemoryDevice m;
    /* nvdimm */
    bool unarmed;
    uint64_t label_size;
    char *uuid;
    uint8_t *labels;            /* in the back end; NULL: none */
    bool readonly;
} Dimm;

static bool is_nvdimm(const Dimm *s) { return object_is_a((Object *)s, "nvdimm"); }

bool nvdimm_is_unarmed(const MemoryDevice *m) { return ((const Dimm *)m->dev)->unarmed; }
uint32_t nvdimm_label_size(const MemoryDevice *m) { return ((const Dimm *)m->dev)->label_size; }
uint8_t *nvdimm_labels(const MemoryDevice *m) { return ((const Dimm *)m->dev)->labels; }
bool nvdimm_labels_readonly(const MemoryDevice *m) { return ((const Dimm *)m->dev)->readonly; }

static bool check_nvdimm(Dimm *s, GError **error)
{
    MemoryArea *a = memory_area_of(s->dev.object.vm);
    if (!a || !memory_area_hotplug(a)->nvdimm)
        return error_set(error, "nvdimm is not enabled: add 'nvdimm=on' to '-M'");
    if (s->label_size && s->label_size < LABELS_LEAST)
        return error_set(error, "Property 'nvdimm.label-size' (0x%" PRIx64 ") is required at least 0x%x", s->label_size,
                         LABELS_LEAST);
    return !s->uuid || error_set(error, "nvdimm: uuid= is only for pseries machines");
}

/* The guest maps what stands before the labels. */
static bool split_labels(Dimm *s, GError **error)
{
    const char *name = s->m.memdev->name;
    MemRegion *whole = s->m.region;
    s->readonly = mem_is_readonly(whole);
    if (s->readonly && !s->unarmed)
        return error_set(error, "'unarmed' property must be 'on' since memdev %s is read-only", name);
    if (!s->label_size)
        return true;
    uint64_t size = s->m.size > s->label_size ? (s->m.size - s->label_size) & ~(uint64_t)(PAGE - 1) : 0;
    if (!size)
        return error_set(error, "the size of memdev %s (0x%" PRIx64 ") is too small to contain nvdimm label (0x%" PRIx64
                         ") and aligned PMEM", name, s->m.size, s->label_size);
    s->labels = (uint8_t *)mem_host(whole) + size;
    s->m.region = mem_alias(&s->dev.object, "nvdimm-memory", whole, 0, size);
    s->m.size = size;
    return true;
}

static bool realize(Device *d, GError **error)
{
    Dimm *s = (Dimm *)d;
    MemoryArea *a = memory_area_of(d->object.vm);
    s->m.align = MEMORY_ALIGN;
    if (is_nvdimm(s) && !check_nvdimm(s, error))
        return false;
    if (a && !memory_area_hotplug(a)->plugged)
        return error_set(error, "memory hotplug is not enabled: missing acpi device");
    if (memory_device_take(&s->m, d, is_nvdimm(s) ? MEMORY_NVDIMM : MEMORY_DIMM, error) &&
        (!is_nvdimm(s) || split_labels(s, error)) && memory_device_place(&s->m, error))
        return true;
    memory_device_remove(&s->m);
    return false;
}

static void unrealize(Device *d) { memory_device_remove(&((Dimm *)d)->m); }

static void plugged(Device *d)
{
    Dimm *s = (Dimm *)d;
    const MemoryHotplug *h = memory_area_hotplug(memory_area_of(d->object.vm));
    h->plugged(h->opaque, &s->m, d->hotplugged);
}

static bool unplug_request(Device *d, GError **error)
{
    Dimm *s = (Dimm *)d;
    const MemoryHotplug *h = memory_area_hotplug(memory_area_of(d->object.vm));
    if (is_nvdimm(s))
        return error_set(error, "nvdimm device hot unplug is not supported yet.");
    return h->unplug_request(h->opaque, &s->m, error);
}

static const Field fields[] = {
    PROP(Dimm, m.addr, "addr", PROP_U64, .desc = "Guest-physical address, 0: chosen"),
    PROP(Dimm, m.node, "node", PROP_U32, .desc = "NUMA node"),
    PROP(Dimm, m.slot, "slot", PROP_I32, .init = (uint64_t)-1, .desc = "Number of the slot, -1: chosen"),
    PROP(Dimm, m.memdev, "memdev", PROP_LINK, .link_type = "memory-backend", .desc = "The memory"),
};
static const DeviceType dimm = {
    .name = "pc-dimm", .desc = "DIMM memory module", .size = sizeof(Dimm), .pluggable = true,
    .hotpluggable = true, .category = DEVICE_MISC, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .plugged = plugged, .unplug_request = unplug_request,
};
DEVICE_TYPE(dimm);

static const Field nv_fields[] = {
    PROP(Dimm, unarmed, "unarmed", PROP_BOOL, .desc = "Writes would not persist: the guest only reads"),
    PROP(Dimm, label_size, "label-size", PROP_SIZE, .desc = "Size of the label area"),
    PROP(Dimm, uuid, "uuid", PROP_STRING, .desc = "Identity"), HOST(Dimm, labels), HOST(Dimm, readonly),
};
static const DeviceType nvdimm = {
    .name = "nvdimm", .parent = "pc-dimm", .desc = "NVDIMM memory module", .size = sizeof(Dimm), .pluggable = true,
    .hotpluggable = true, .category = DEVICE_MISC, FIELDS(nv_fields),
};
DEVICE_TYPE(nvdimm);
