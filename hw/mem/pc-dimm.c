/* SPDX-License-Identifier: Apache-2.0 */
/* DIMMs and NVDIMMs: memory back ends as modules in slots. Spec: ACPI 6.5, 5.2.25, 9.12.2. */
#include "hw/mem.h"
#include "hw/mem/internal.h"
#include "util/error.h"

typedef struct Dimm {
    Device dev;
    MemoryDevice m;
    /* nvdimm */
    bool unarmed;
    uint64_t label_size;
    char *uuid;
} Dimm;

static bool is_nvdimm(const Dimm *s) { return object_is_a((Object *)s, "nvdimm"); }

bool nvdimm_is_unarmed(const MemoryDevice *m) { return ((const Dimm *)m->dev)->unarmed; }

static bool check_nvdimm(Dimm *s, GError **error)
{
    MemoryArea *a = memory_area_of(s->dev.object.vm);
    if (!a || !memory_area_hotplug(a)->nvdimm)
        return error_set(error, "nvdimm is not enabled: add 'nvdimm=on' to '-M'");
    if (s->label_size)
        return error_set(error, "nvdimm: label-size= is not implemented: the whole of the memory is one region");
    return !s->uuid || error_set(error, "nvdimm: uuid= is only for pseries machines");
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
        memory_device_place(&s->m, error))
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
    PROP(Dimm, uuid, "uuid", PROP_STRING, .desc = "Identity"),
};
static const DeviceType nvdimm = {
    .name = "nvdimm", .parent = "pc-dimm", .desc = "NVDIMM memory module", .size = sizeof(Dimm), .pluggable = true,
    .hotpluggable = true, .category = DEVICE_MISC, FIELDS(nv_fields),
};
DEVICE_TYPE(nvdimm);
