/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the guest's memory; the balloon. */
#include "core/backend.h"
#include "core/vm.h"
#include "hw/mem.h"
#include "hw/virtio/balloon.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

MemoryInfo *qmp_query_memory_size_summary(Vm *vm, GError **error)
{
    MemoryInfo *info = g_new0(MemoryInfo, 1);

    info->base_memory = vm->machine ? vm->machine->ram_size : 0;
    info->has_plugged_memory = memory_area_of(vm) != NULL;
    info->plugged_memory = memory_area_plugged(vm);
    return info;
}

/* Numbers, truths and texts alike, as a property's text; NULL if there is none. */
static char *text_of(Object *o, const char *property)
{
    PropValue v = {0};

    if (!object_get(o, property, &v, NULL)) {
        return NULL;
    }
    char *text = prop_value_text(&v);
    prop_value_clear(&v);
    return text;
}

static bool truth_of(Object *o, const char *property)
{
    g_autofree char *text = text_of(o, property);

    return g_strcmp0(text, "on") == 0 || g_strcmp0(text, "true") == 0;
}

static Memdev *memdev_of(Object *o)
{
    Memdev *m = g_new0(Memdev, 1);
    g_autofree char *size = text_of(o, "size"), *policy = text_of(o, "policy");

    m->id = g_strdup(o->name);
    m->size = size ? g_ascii_strtoull(size, NULL, 0) : 0;
    m->merge = truth_of(o, "merge");
    m->dump = truth_of(o, "dump");
    m->prealloc = truth_of(o, "prealloc");
    m->share = truth_of(o, "share");
    m->has_reserve = true;
    m->reserve = truth_of(o, "reserve");
    m->host_nodes = uint16_list_new();
    g_autofree char *nodes = text_of(o, "host-nodes");
    uint64_t set[RAM_HOST_NODES / 64] = {0};
    memory_host_nodes(nodes, set);
    for (unsigned i = 0; i < RAM_HOST_NODES; i++) {
        if (set[i / 64] >> i % 64 & 1) {
            uint16_list_add(m->host_nodes, (uint16_t)i);
        }
    }
    if (policy) {
        host_mem_policy_parse(policy, &m->policy);
    }
    return m;
}

MemdevList *qmp_query_memdev(Vm *vm, GError **error)
{
    MemdevList *list = memdev_list_new();
    GPtrArray *all = vm->objects->child_list;

    for (unsigned i = 0; all && i < all->len; i++) {
        if (object_is_a(all->pdata[i], "memory-backend")) {
            memdev_list_add(list, memdev_of(all->pdata[i]));
        }
    }
    return list;
}

static char *memdev_path(Object *device)
{
    PropValue v = {0};

    if (!object_get(device, "memdev", &v, NULL)) {
        return g_strdup("");
    }
    char *text = prop_value_text(&v);
    prop_value_clear(&v);
    return text;
}

static uint64_t number_of(Object *o, const char *property)
{
    g_autofree char *text = text_of(o, property);

    return text ? g_ascii_strtoull(text, NULL, 0) : 0;
}

static void add_memory_device(MemoryDevice *m, void *list)
{
    MemoryDeviceInfo *info = g_new0(MemoryDeviceInfo, 1);
    Object *o = &m->dev->object;

    if (m->kind == MEMORY_DIMM || m->kind == MEMORY_NVDIMM) {
        PCDIMMDeviceInfo *d = g_new0(PCDIMMDeviceInfo, 1);
        *d = (PCDIMMDeviceInfo){
            .id = g_strdup(m->dev->id), .addr = (int64_t)m->addr, .size = (int64_t)m->size, .slot = m->slot,
            .node = m->node, .memdev = memdev_path(o), .hotplugged = m->dev->hotplugged,
            .hotpluggable = true,
        };
        info->type = m->kind == MEMORY_DIMM ? MEMORY_DEVICE_INFO_KIND_DIMM : MEMORY_DEVICE_INFO_KIND_NVDIMM;
        PCDIMMDeviceInfoWrapper *w = g_new0(PCDIMMDeviceInfoWrapper, 1);
        w->data = d;
        *(m->kind == MEMORY_DIMM ? &info->u.dimm : &info->u.nvdimm) = w;
    } else if (m->kind == MEMORY_VIRTIO_PMEM) {
        VirtioPMEMDeviceInfo *d = g_new0(VirtioPMEMDeviceInfo, 1);
        *d = (VirtioPMEMDeviceInfo){.id = g_strdup(m->dev->id), .memaddr = m->addr, .size = m->size,
                                    .memdev = memdev_path(o)};
        info->type = MEMORY_DEVICE_INFO_KIND_VIRTIO_PMEM;
        info->u.virtio_pmem = g_new0(VirtioPMEMDeviceInfoWrapper, 1);
        info->u.virtio_pmem->data = d;
    } else {
        VirtioMEMDeviceInfo *d = g_new0(VirtioMEMDeviceInfo, 1);
        *d = (VirtioMEMDeviceInfo){
            .id = g_strdup(m->dev->id), .memaddr = m->addr, .size = m->in_use, .max_size = m->size,
            .requested_size = number_of(o, "requested-size"), .block_size = number_of(o, "block-size"),
            .node = m->node, .memdev = memdev_path(o),
        };
        info->type = MEMORY_DEVICE_INFO_KIND_VIRTIO_MEM;
        info->u.virtio_mem = g_new0(VirtioMEMDeviceInfoWrapper, 1);
        info->u.virtio_mem->data = d;
    }
    memory_device_info_list_add(list, info);
}

MemoryDeviceInfoList *qmp_query_memory_devices(Vm *vm, GError **error)
{
    MemoryDeviceInfoList *list = memory_device_info_list_new();

    memory_device_foreach(vm, add_memory_device, list);
    return list;
}

static VirtioBalloon *balloon_of(Vm *vm, GError **error)
{
    VirtioBalloon *b = balloon_find(vm);

    if (!b) {
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_ACTIVE,
                        "No balloon device has been activated");
    }
    return b;
}

BalloonInfo *qmp_query_balloon(Vm *vm, GError **error)
{
    VirtioBalloon *b = balloon_of(vm, error);

    return b ? balloon_info_new(balloon_actual(b)) : NULL;
}

bool qmp_balloon(Vm *vm, uint64_t value, GError **error)
{
    VirtioBalloon *b = balloon_of(vm, error);

    if (!b) {
        return false;
    }
    if (value == 0) {
        return error_set(error, "Parameter 'target' expects a size above 0");
    }
    balloon_set_target(b, value);
    return true;
}
