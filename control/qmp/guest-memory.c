/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the guest's memory; the balloon. */
#include "core/vm.h"
#include "hw/virtio/balloon.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

MemoryInfo *qmp_query_memory_size_summary(Vm *vm, GError **error)
{
    MemoryInfo *info = g_new0(MemoryInfo, 1);

    info->base_memory = vm->machine ? vm->machine->ram_size : 0;
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
    m->host_nodes = uint16_list_new();
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

MemoryDeviceInfoList *qmp_query_memory_devices(Vm *vm, GError **error)
{
    return memory_device_info_list_new();       /* no type of them exists yet */
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
