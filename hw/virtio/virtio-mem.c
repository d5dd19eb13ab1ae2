/* SPDX-License-Identifier: Apache-2.0 */
/* virtio memory device: memory that the guest takes and gives back in blocks. Spec: virtio 1.2, 5.15. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include "hw/mem.h"
#include "hw/virtio/virtio.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"

enum {
    PLUG, UNPLUG, UNPLUG_ALL, STATE, ACK = 0, NACK, BUSY, ERROR, PLUGGED = 0, UNPLUGGED, MIXED,
    REQUEST = 24, RESPONSE = 10, BLOCK = 2 << 20, PAGE = 4096, QUEUE = 128,
};
#define USABLE_BEYOND (256ull << 20)
#define F_ACPI_PXM (1ull << 0)
#define F_UNPLUGGED_INACCESSIBLE (1ull << 1)

typedef struct VirtioMem {
    VirtioDevice v;
    Virtq *vq;
    MemoryDevice m;
    bool prealloc;
    int inaccessible;           /* OnOffAuto */
    uint64_t block_size, requested, usable;
    uint8_t *plugged;           /* a byte per block */
    uint32_t blocks;
} VirtioMem;

/* ---- sizes ---- */

static void tell_size(VirtioMem *s)
{
    g_autofree char *path = object_path(&s->v.dev.object);
    qapi_event_memory_device_size_change(s->v.dev.object.vm, s->v.dev.id, s->m.in_use, path);
}

static void count(VirtioMem *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->blocks; i++)
        n += s->plugged[i];
    s->m.in_use = n * s->block_size;
}

/* Some more than is asked for, so that the guest has a choice; never less than it uses. */
static void settle_usable(VirtioMem *s, bool shrink)
{
    uint64_t want = s->requested ? MIN(s->m.size, s->requested + USABLE_BEYOND) : 0;
    want = want / s->block_size * s->block_size;
    s->usable = shrink ? want : MAX(s->usable, want);
}

static bool requested_changed(Object *o, const Field *f, GError **error)
{
    VirtioMem *s = (VirtioMem *)o;
    if (s->requested % s->block_size)
        return error_set(error, "'requested-size' has to be multiples of 'block-size' (0x%" PRIx64 ")", s->block_size);
    if (s->requested > s->m.size)
        return error_set(error, "'requested-size' cannot exceed the memory backend size (0x%" PRIx64 ")", s->m.size);
    g_mutex_lock(&s->v.lock);
    settle_usable(s, !s->m.in_use);
    g_mutex_unlock(&s->v.lock);
    virtio_config_changed(&s->v);
    return true;
}

static void get_config(VirtioDevice *v, uint8_t *c)
{
    VirtioMem *s = (VirtioMem *)v;
    uint64_t block = GUINT64_TO_LE(s->block_size), part[] = {
        GUINT64_TO_LE(s->m.addr), GUINT64_TO_LE(s->m.size), GUINT64_TO_LE(s->usable), GUINT64_TO_LE(s->m.in_use),
        GUINT64_TO_LE(s->requested),
    };
    uint16_t node = GUINT16_TO_LE(s->m.node);
    memcpy(c, &block, 8);
    memcpy(c + 8, &node, 2);
    memcpy(c + 16, part, sizeof(part));
}

/* ---- requests ---- */

typedef struct Range {
    uint32_t first, n;
    uint64_t addr, bytes;
} Range;

static bool range_of(const VirtioMem *s, uint64_t addr, uint16_t blocks, Range *r)
{
    uint64_t bytes = blocks * s->block_size;
    if (!blocks || addr < s->m.addr || addr % s->block_size || addr - s->m.addr > s->usable ||
        bytes > s->usable - (addr - s->m.addr))
        return false;
    *r = (Range){(addr - s->m.addr) / s->block_size, blocks, addr - s->m.addr, bytes};
    return true;
}

/* How many blocks of the range are plugged. */
static uint32_t in_range(const VirtioMem *s, const Range *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += s->plugged[r->first + i];
    return n;
}

/* Host pages for what the guest is about to use; false: the host has none left. */
static bool populate(const VirtioMem *s, const Range *r)
{
    char *from = (char *)mem_host(s->m.region) + r->addr;
    if (madvise(from, r->bytes, MADV_POPULATE_WRITE) == 0)
        return true;
    if (errno != EINVAL)
        return false;
    for (uint64_t i = 0; i < r->bytes; i += PAGE)       /* a kernel before 5.14: nobody uses these yet */
        ((volatile char *)from)[i] = 0;
    return true;
}

static unsigned set_plugged(VirtioMem *s, const Range *r, bool plug)
{
    if (in_range(s, r) != (plug ? 0 : r->n))
        return ERROR;
    if (plug && s->m.in_use + r->bytes > s->requested)
        return NACK;
    if (plug && s->prealloc && !populate(s, r)) {
        mem_discard(s->v.dev.object.vm, s->m.region, r->addr, r->bytes);
        return BUSY;
    }
    if (!plug && !mem_discard(s->v.dev.object.vm, s->m.region, r->addr, r->bytes))
        return BUSY;
    memset(s->plugged + r->first, plug, r->n);
    count(s);
    tell_size(s);
    return ACK;
}

static unsigned unplug_all(VirtioMem *s)
{
    if (s->m.in_use && !mem_discard(s->v.dev.object.vm, s->m.region, 0, s->m.size))
        return BUSY;
    bool change = s->m.in_use;
    memset(s->plugged, 0, s->blocks);
    count(s);
    settle_usable(s, true);
    if (change)
        tell_size(s);
    return ACK;
}

static uint64_t little(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return GUINT64_FROM_LE(v);
}

static unsigned answer(VirtioMem *s, const uint8_t *q, unsigned *state)
{
    unsigned type = little(q, 2);
    Range r;
    if (type == UNPLUG_ALL)
        return unplug_all(s);
    if (type > STATE || !range_of(s, little(q + 8, 8), little(q + 16, 2), &r))
        return ERROR;
    if (type != STATE)
        return set_plugged(s, &r, type == PLUG);
    uint32_t n = in_range(s, &r);
    *state = n == r.n ? PLUGGED : n ? MIXED : UNPLUGGED;
    return ACK;
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioMem *s = (VirtioMem *)v;
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        uint8_t q[REQUEST] = {0}, r[RESPONSE] = {0};
        unsigned state = 0;
        if (iov_read(e->out, e->n_out, 0, q, sizeof(q)) < sizeof(q) || e->in_bytes < sizeof(r)) {
            virtio_error(v, "a request of %zu bytes with room for %zu", e->out_bytes, e->in_bytes);
            virtq_unpop(vq, e);
            return;
        }
        g_mutex_lock(&v->lock);
        r[0] = answer(s, q, &state);
        g_mutex_unlock(&v->lock);
        r[8] = state;
        virtq_push(vq, e, iov_write(e->in, e->n_in, 0, r, sizeof(r)));
    }
    virtq_flush(vq);
}

/* ---- life ---- */

static bool check_sizes(VirtioMem *s, GError **error)
{
    if (!s->block_size)
        s->block_size = BLOCK;
    if (s->block_size < PAGE || s->block_size & (s->block_size - 1))
        return error_set(error, "'block-size' property has to be a power of two, at least 0x%x", PAGE);
    if (s->m.size % s->block_size || s->m.size / s->block_size > UINT32_MAX)
        return error_set(error, "'memdev' property: the size is not multiples of 'block-size' (0x%" PRIx64 ")", s->block_size);
    if (s->requested % s->block_size || s->requested > s->m.size)
        return error_set(error, "'requested-size' has to be multiples of 'block-size' (0x%" PRIx64 ") up to the size of the memory "
                         "backend (0x%" PRIx64 ")", s->block_size, s->m.size);
    return true;
}

static bool realize(Device *d, GError **error)
{
    VirtioMem *s = (VirtioMem *)d;
    s->m.slot = -1;
    s->m.align = s->block_size ? s->block_size : BLOCK;
    if (!memory_device_take(&s->m, d, MEMORY_VIRTIO_MEM, error) || !check_sizes(s, error) ||
        !memory_device_place(&s->m, error)) {
        memory_device_remove(&s->m);
        return false;
    }
    s->blocks = s->m.size / s->block_size;
    s->plugged = g_malloc0(s->blocks);
    settle_usable(s, true);
    s->vq = virtio_add_queue(&s->v, QUEUE, serve);
    return true;
}

static void unrealize(Device *d)
{
    virtio_stop((VirtioDevice *)d);
    memory_device_remove(&((VirtioMem *)d)->m);
}

static void finish(Object *o) { g_clear_pointer(&((VirtioMem *)o)->plugged, g_free); }

/* A reset of the machine, not of the driver: the guest begins with nothing. */
static void reset(Device *d)
{
    VirtioMem *s = (VirtioMem *)d;
    if (!s->m.region)
        return;
    if (s->m.in_use) {
        mem_discard(d->object.vm, s->m.region, 0, s->m.size);
        count(s);                       /* the table has been zeroed */
        tell_size(s);
    }
    settle_usable(s, true);
}

static void restored(Device *d)
{
    VirtioMem *s = (VirtioMem *)d;
    for (uint32_t i = 0; i < s->blocks; i++)
        s->plugged[i] = s->plugged[i] != 0;
    count(s);
    s->usable = MIN(s->usable / s->block_size * s->block_size, s->m.size);
}

static uint64_t offer(VirtioDevice *v, uint64_t features)
{
    return features | (v->dev.object.vm->machine && v->dev.object.vm->machine->numa ? F_ACPI_PXM : 0) |
           (((VirtioMem *)v)->inaccessible == 2 ? 0 : F_UNPLUGGED_INACCESSIBLE);
}

static const VirtioClass cls = {.id = 24, .config_size = 56, .offer = offer, .get_config = get_config};
static const Field fields[] = {
    HOST(VirtioMem, v), HOST(VirtioMem, vq),
    PROP(VirtioMem, m.memdev, "memdev", PROP_LINK, .link_type = "memory-backend", .desc = "The memory"),
    PROP(VirtioMem, m.addr, "memaddr", PROP_U64, .desc = "Guest-physical address, 0: chosen"),
    PROP(VirtioMem, m.node, "node", PROP_U32, .desc = "NUMA node"),
    PROP(VirtioMem, block_size, "block-size", PROP_SIZE, .desc = "What the guest takes and gives at a time"),
    PROP(VirtioMem, requested, "requested-size", PROP_SIZE, .changed = requested_changed,
         .desc = "How much the guest shall use"),
    PROP(VirtioMem, prealloc, "prealloc", PROP_BOOL, .desc = "Preallocate what the guest takes"),
    PROP(VirtioMem, inaccessible, "unplugged-inaccessible", PROP_ON_OFF_AUTO,
         .desc = "The guest must not touch what it has not taken"),
    SAVED(VirtioMem, usable), BUFFER(VirtioMem, plugged, blocks), HOST(VirtioMem, blocks),
};
static const DeviceType virtio_mem = {
    .name = "virtio-mem", .parent = "virtio-device", .desc = "virtio memory device", .size = sizeof(VirtioMem),
    .bus = "virtio-bus", .category = DEVICE_MISC, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .finish = finish, .reset = reset, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_mem);
