/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the address space where plugged memory stands: places and slots. */
#include "core/backend.h"
#include "hw/mem.h"
#include <inttypes.h>
#include "util/error.h"

enum { PAGE = 4096 };

struct MemoryArea {
    Vm *vm;
    MemRegion *region;          /* NULL: the board has no such area */
    uint64_t base, size, most;
    unsigned slots;
    GPtrArray *devices;         /* MemoryDevice *, by address */
    MemoryHotplug hotplug;
};

static const char key;

static void area_free(gpointer data)
{
    MemoryArea *a = data;
    g_ptr_array_unref(a->devices);
    g_free(a);
}

static void *area_make(Vm *vm)
{
    MemoryArea *a = g_new0(MemoryArea, 1);
    a->vm = vm;
    a->devices = g_ptr_array_new();
    return a;
}

static MemoryArea *area_any(Vm *vm) { return vm_data(vm, &key, area_make, area_free); }

MemoryArea *memory_area_of(Vm *vm)
{
    MemoryArea *a = area_any(vm);
    return a->region ? a : NULL;
}

MemoryArea *memory_area_new(Vm *vm, uint64_t base, uint64_t size, uint64_t most, unsigned slots)
{
    MemoryArea *a = area_any(vm);
    a->region = mem_container(vm->unattached, "device-memory", size);
    a->base = base;
    a->size = size;
    a->most = most;
    a->slots = slots;
    mem_add(vm->memory_root, base, a->region, 0);
    return a;
}

void memory_area_set_hotplug(MemoryArea *a, const MemoryHotplug *ops) { a->hotplug = *ops; }
const MemoryHotplug *memory_area_hotplug(MemoryArea *a) { return &a->hotplug; }
uint64_t memory_area_base(const MemoryArea *a) { return a->base; }
uint64_t memory_area_end(const MemoryArea *a) { return a->base + a->size; }
unsigned memory_area_slots(const MemoryArea *a) { return a->slots; }

static bool has_slot(const MemoryDevice *m) { return m->kind == MEMORY_DIMM || m->kind == MEMORY_NVDIMM; }

MemoryDevice *memory_device_in_slot(MemoryArea *a, unsigned slot)
{
    for (unsigned i = 0; i < a->devices->len; i++) {
        MemoryDevice *m = g_ptr_array_index(a->devices, i);
        if (has_slot(m) && m->slot == (int32_t)slot)
            return m;
    }
    return NULL;
}

static bool find_slot(MemoryArea *a, MemoryDevice *m, GError **error)
{
    if (m->slot >= 0) {
        const MemoryDevice *other = memory_device_in_slot(a, m->slot);
        if ((unsigned)m->slot >= a->slots)
            return error_set(error, "invalid slot number %d, valid range is [0-%u]", m->slot, a->slots - 1);
        if (other)
            return error_set(error, "slot %d is busy", m->slot);
        return true;
    }
    for (unsigned i = 0; i < a->slots; i++)
        if (!memory_device_in_slot(a, i)) {
            m->slot = i;
            return true;
        }
    return error_set(error, a->slots ? "no free slots available" : "there are no memory slots: -m slots= says how many");
}

static uint64_t round_up(uint64_t v, uint64_t align) { return (v + align - 1) / align * align; }

/* The device that overlaps [addr, addr + size), the first by address. */
static const MemoryDevice *overlapping(const MemoryArea *a, uint64_t addr, uint64_t size)
{
    for (unsigned i = 0; i < a->devices->len; i++) {
        const MemoryDevice *m = g_ptr_array_index(a->devices, i);
        if (addr < m->addr + m->size && m->addr < addr + size)
            return m;
    }
    return NULL;
}

static bool find_place(MemoryArea *a, MemoryDevice *m, GError **error)
{
    uint64_t align = MAX(m->align, PAGE), end = a->base + a->size;
    if (m->addr) {
        if (m->addr % align)
            return error_set(error, "address must be aligned to 0x%" PRIx64 " bytes", align);
        if (m->addr < a->base || m->size > a->size || m->addr > end - m->size)
            return error_set(error, "can't add memory device [0x%" PRIx64 ":0x%" PRIx64 "], usable range for memory "
                             "devices [0x%" PRIx64 ":0x%" PRIx64 "]", m->addr, m->size, a->base, a->size);
        const MemoryDevice *other = overlapping(a, m->addr, m->size);
        return !other || error_set(error, "address range conflicts with memory device id='%s'",
                                   other->dev->id ? other->dev->id : "(unnamed)");
    }
    uint64_t addr = round_up(a->base, align);
    for (const MemoryDevice *other; (other = overlapping(a, addr, m->size));)
        addr = round_up(other->addr + other->size, align);
    if (m->size > a->size || addr > end - m->size)
        return error_set(error, "could not find position in guest address space for memory device - memory fragmented "
                         "due to alignments");
    m->addr = addr;
    return true;
}

static int by_address(gconstpointer x, gconstpointer y)
{
    const MemoryDevice *a = *(MemoryDevice *const *)x, *b = *(MemoryDevice *const *)y;
    return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static uint64_t used(const MemoryArea *a)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->devices->len; i++)
        sum += ((MemoryDevice *)g_ptr_array_index(a->devices, i))->size;
    return sum;
}

bool memory_device_take(MemoryDevice *m, Device *dev, MemoryKind kind, GError **error)
{
    m->dev = dev;
    m->kind = kind;
    if (!m->memdev)
        return error_set(error, "'memdev' property is not set");
    m->region = memory_backend_take(m->memdev, error);
    m->size = m->region ? mem_size(m->region) : 0;
    return m->region;
}

bool memory_device_place(MemoryDevice *m, GError **error)
{
    Vm *vm = m->dev->object.vm;
    MemoryArea *a = memory_area_of(vm);
    if (!a)
        return error_set(error, "memory devices (e.g. for memory hotplug) are not enabled, please specify the maxmem option");
    if (!m->size || m->size % PAGE)
        return error_set(error, "backend memory size must be a multiple of 0x%x", PAGE);
    if (used(a) + m->size > a->most)
        return error_set(error, "not enough space, currently 0x%" PRIx64 " in use of total space for memory devices 0x%"
                         PRIx64, used(a), a->most);
    if ((has_slot(m) && !find_slot(a, m, error)) || !find_place(a, m, error))
        return false;
    mem_add(a->region, m->addr - a->base, m->region, 0);
    g_ptr_array_add(a->devices, m);
    g_ptr_array_sort(a->devices, by_address);
    return true;
}

void memory_device_remove(MemoryDevice *m)
{
    MemoryArea *a = m->dev ? memory_area_of(m->dev->object.vm) : NULL;
    if (a && g_ptr_array_remove(a->devices, m)) {
        mem_remove(m->region);
        if (a->hotplug.gone)
            a->hotplug.gone(a->hotplug.opaque, m);
    }
    if (m->memdev && m->region)
        memory_backend_release(m->memdev);
    m->region = NULL;
}

void memory_device_foreach(Vm *vm, void (*fn)(MemoryDevice *m, void *data), void *data)
{
    MemoryArea *a = memory_area_of(vm);
    for (unsigned i = 0; a && i < a->devices->len; i++)
        fn(g_ptr_array_index(a->devices, i), data);
}

static void add_plugged(MemoryDevice *m, void *data)
{
    if (m->kind == MEMORY_DIMM)
        *(uint64_t *)data += m->size;
    else if (m->kind == MEMORY_VIRTIO_MEM)
        *(uint64_t *)data += m->in_use;
}

typedef struct Leaving {
    const Object *device;
    const MemoryDevice *in_use;
} Leaving;

static void look_in_use(MemoryDevice *m, void *data)
{
    Leaving *l = data;
    const Object *o = &m->dev->object;
    if (m->kind == MEMORY_VIRTIO_MEM && (o == l->device || o->parent == l->device) && m->in_use)
        l->in_use = m;
}

bool memory_device_may_go(Device *d, GError **error)
{
    Leaving l = {.device = &d->object};
    memory_device_foreach(d->object.vm, look_in_use, &l);
    return !l.in_use || error_set(error, "virtio-mem device cannot get unplugged while some of its memory is still plugged");
}

uint64_t memory_area_plugged(Vm *vm)
{
    uint64_t sum = 0;
    memory_device_foreach(vm, add_plugged, &sum);
    return sum;
}
