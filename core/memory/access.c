/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses by physical address: look-up without locks, RAM by copy, I/O by calls. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/device-internal.h"
#include "core/memory-internal.h"
#include "core/single-copy.h"
#include "core/vm.h"
#include "util/log.h"
#include "util/rcu.h"

enum { IOMMU_DEPTH = 4 };

static MemSection find(AddressSpace *as, uint64_t pa, bool write)
{
    uint64_t limit = UINT64_MAX;

    for (unsigned depth = 0; depth < IOMMU_DEPTH; depth++) {
        const FlatView *v = rcu_get(&as->view);
        const FlatRange *r = flat_find(v, pa);
        if (!r) {
            break;
        }
        uint64_t within = pa - r->first;
        uint64_t left = r->last - pa == UINT64_MAX ? UINT64_MAX : r->last - pa + 1;
        limit = MIN(limit, left);
        if (r->region->kind != MEM_IOMMU) {
            return (MemSection){
                .region = r->region,
                .offset = r->offset + within,
                .left = limit,
                .host = r->host ? r->host + within : NULL,
                .ram_offset = r->ram_offset + within,
                .readonly = r->readonly,
            };
        }
        MemTranslation t = r->region->translate(r->region->opaque, r->offset + within, write);
        if (!t.target || !(write ? t.write : t.read)) {
            uint64_t page = 1ull << PAGE_BITS;      /* all of it is refused: not to be asked byte by byte */
            return (MemSection){.left = MIN(limit, page - (pa & (page - 1)))};
        }
        pa = (t.pa & ~t.mask) | ((r->offset + within) & t.mask);
        limit = MIN(limit, t.mask - (pa & t.mask) + 1);
        as = t.target;
    }
    return (MemSection){.left = 1};
}

MemSection as_find(AddressSpace *as, uint64_t pa)
{
    rcu_read_lock();
    MemSection s = find(as, pa, false);
    rcu_read_unlock();
    return s;
}

void as_foreach(AddressSpace *as, void (*fn)(uint64_t pa, const MemSection *s, void *data), void *data)
{
    rcu_read_lock();
    const FlatView *v = rcu_get(&as->view);
    for (unsigned i = 0; i < v->n; i++) {
        const FlatRange *r = &v->r[i];
        MemSection s = {
            .region = r->region, .offset = r->offset, .left = r->last - r->first + 1,
            .host = r->host, .ram_offset = r->ram_offset, .readonly = r->readonly,
        };
        fn(r->first, &s, data);
    }
    rcu_read_unlock();
}

void mem_foreach_eventfd(MemRegion *r, void (*fn)(const MemEventfd *e, void *data), void *data)
{
    rcu_read_lock();
    const Eventfds *all = rcu_get(&r->eventfds);
    for (unsigned i = 0; all && i < all->n; i++) {
        fn(&all->e[i], data);
    }
    rcu_read_unlock();
}

/* ---- I/O regions ---- */

static uint64_t swap(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

typedef struct Limits {
    unsigned min, max;
} Limits;

static Limits limits(const MemOps *ops)
{
    return (Limits){ops->min_access ? ops->min_access : 1, ops->max_access ? ops->max_access : 8};
}

static uint64_t raw_read(MemRegion *r, uint64_t at, unsigned size)
{
    const MemOps *ops = r->ops;
    Limits l = limits(ops);
    uint64_t v = 0;

    if (!ops->read) {
        return 0;
    }
    if (size < l.min) {
        uint64_t base = at & ~(uint64_t)(l.min - 1);
        unsigned skip = (unsigned)(at - base);
        unsigned shift = 8 * (ops->big_endian ? l.min - size - skip : skip);
        v = ops->read(r->opaque, base, l.min) >> shift & size_mask(size);
    } else if (size > l.max) {
        for (unsigned i = 0; i < size; i += l.max) {
            unsigned shift = 8 * (ops->big_endian ? size - l.max - i : i);
            v |= (ops->read(r->opaque, at + i, l.max) & size_mask(l.max)) << shift;
        }
    } else {
        v = ops->read(r->opaque, at, size) & size_mask(size);
    }
    return ops->big_endian ? swap(v, size) : v;
}

static void raw_write(MemRegion *r, uint64_t at, uint64_t v, unsigned size)
{
    const MemOps *ops = r->ops;
    Limits l = limits(ops);

    if (!ops->write) {
        return;
    }
    v = ops->big_endian ? swap(v, size) : v & size_mask(size);
    if (size < l.min) {
        uint64_t base = at & ~(uint64_t)(l.min - 1);
        unsigned skip = (unsigned)(at - base);
        unsigned shift = 8 * (ops->big_endian ? l.min - size - skip : skip);
        ops->write(r->opaque, base, v << shift, l.min);
    } else if (size > l.max) {
        for (unsigned i = 0; i < size; i += l.max) {
            unsigned shift = 8 * (ops->big_endian ? size - l.max - i : i);
            ops->write(r->opaque, at + i, v >> shift & size_mask(l.max), l.max);
        }
    } else {
        ops->write(r->opaque, at, v, size);
    }
}

uint64_t mem_io_read(MemRegion *r, uint64_t at, unsigned size)
{
    if (r->kind == MEM_RAM) {
        uint64_t v = 0;
        memcpy(&v, r->block->host + at, size);
        return v;
    }
    if (r->kind != MEM_IO) {
        return size_mask(size);
    }
    if (r->ops->no_lock || !r->dev) {
        return raw_read(r, at, size);
    }
    uint64_t v = size_mask(size);
    if (domain_enter(r->dev, false) == DOMAIN_ENTERED) {
        v = raw_read(r, at, size);
        domain_leave(r->dev);
    } else {
        log_guest(r->dev, "read by another device's DMA at 0x%" PRIx64, at);
    }
    return v;
}

typedef struct Posted {
    MemRegion *region;
    uint64_t at, value;
    unsigned size;
} Posted;

static void run_posted(void *data)
{
    Posted *p = data;

    mem_io_write(p->region, p->at, p->value, p->size);
    object_unref(&p->region->object);
    g_free(p);
}

static void post_write(MemRegion *r, uint64_t at, uint64_t value, unsigned size)
{
    Posted *p = g_new(Posted, 1);

    object_ref(&r->object);
    *p = (Posted){r, at, value, size};
    loop_post(r->object.vm->loop, run_posted, p);
}

static bool ring(const Eventfds *list, uint64_t at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < list->n; i++) {
        const Eventfd *e = &list->e[i];
        if (e->at == at && (e->size == size || e->size == 0) &&
            (!e->match || e->value == (value & size_mask(size)))) {
            const uint64_t one = 1;
            return write(e->fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
        }
    }
    return false;
}

void mem_io_write(MemRegion *r, uint64_t at, uint64_t value, unsigned size)
{
    if (r->kind != MEM_IO && !mem_takes_writes(r)) {
        return;
    }
    rcu_read_lock();
    const Eventfds *doorbells = rcu_get(&r->eventfds);
    bool rung = doorbells && ring(doorbells, at, value, size);
    rcu_read_unlock();
    if (rung) {
        return;
    }
    if (r->ops->no_lock || !r->dev) {
        raw_write(r, at, value, size);
        return;
    }
    switch (domain_enter(r->dev, true)) {
    case DOMAIN_ENTERED:
        raw_write(r, at, value, size);
        domain_leave(r->dev);
        break;
    case DOMAIN_WOULD_NEST:
        post_write(r, at, value, size);
        break;
    case DOMAIN_GONE:
        break;
    }
}

/* ---- any length ---- */

/* The widest access that is aligned and fits. */
static unsigned io_step(uint64_t at, uint64_t n)
{
    unsigned size = 8;

    while (size > n || (at & (size - 1))) {
        size /= 2;
    }
    return size;
}

static uint64_t nothing(AddressSpace *as)
{
    return as == as->vm->io ? UINT64_MAX : 0;
}

static void log_nothing(AddressSpace *as, uint64_t pa, bool write)
{
    if (log_on(LOG_INVALID_MEM)) {
        log_write("Invalid %s at addr 0x%" PRIx64 " of %s", write ? "write" : "read", pa, as->name);
    }
}

bool as_read(AddressSpace *as, uint64_t pa, void *buf, uint64_t n)
{
    uint8_t *to = buf;
    bool ok = true;

    rcu_read_lock();
    while (n) {
        MemSection s = find(as, pa, false);
        uint64_t step = MIN(n, s.left);
        if (s.host) {
            memcpy(to, s.host, step);
        } else if (s.region) {
            step = io_step(s.offset, step);
            uint64_t v = mem_io_read(s.region, s.offset, (unsigned)step);
            memcpy(to, &v, step);
        } else {
            memset(to, (int)(nothing(as) & 0xff), step);
            log_nothing(as, pa, false);
            ok = false;
        }
        to += step;
        pa += step;
        n -= step;
    }
    rcu_read_unlock();
    return ok;
}

static bool write_any(AddressSpace *as, uint64_t pa, const void *buf, uint64_t n, bool rom_too)
{
    const uint8_t *from = buf;
    bool ok = true;

    rcu_read_lock();
    while (n) {
        MemSection s = find(as, pa, true);
        uint64_t step = MIN(n, s.left);
        bool direct = s.host && (rom_too || !s.readonly || !mem_takes_writes(s.region));
        if (direct) {
            if (!s.readonly || rom_too) {
                memcpy(s.host, from, step);
                ram_written(as->vm, s.ram_offset, step);
            }
        } else if (s.region) {
            step = io_step(s.offset, step);
            uint64_t v = 0;
            memcpy(&v, from, step);
            mem_io_write(s.region, s.offset, v, (unsigned)step);
        } else {
            log_nothing(as, pa, true);
            ok = false;
        }
        from += step;
        pa += step;
        n -= step;
    }
    rcu_read_unlock();
    return ok;
}

bool as_write(AddressSpace *as, uint64_t pa, const void *buf, uint64_t n)
{
    return write_any(as, pa, buf, n, false);
}

bool as_write_rom(AddressSpace *as, uint64_t pa, const void *buf, uint64_t n)
{
    return write_any(as, pa, buf, n, true);
}

/* ---- one access ---- */

bool as_load(AddressSpace *as, uint64_t pa, unsigned size, uint64_t *value)
{
    bool ok = true;

    rcu_read_lock();
    MemSection s = find(as, pa, false);
    if (s.region && s.left >= size) {
        *value = s.host ? host_load(s.host, size) : mem_io_read(s.region, s.offset, size);
    } else {
        *value = 0;
        ok = as_read(as, pa, value, size);
    }
    rcu_read_unlock();
    return ok;
}

bool as_store(AddressSpace *as, uint64_t pa, unsigned size, uint64_t value)
{
    bool ok = true;

    rcu_read_lock();
    MemSection s = find(as, pa, true);
    if (s.region && s.left >= size) {
        if (!s.host || (s.readonly && mem_takes_writes(s.region))) {
            mem_io_write(s.region, s.offset, value, size);
        } else if (!s.readonly) {
            host_store(s.host, value, size);
            ram_written(as->vm, s.ram_offset, size);
        }
    } else {
        ok = as_write(as, pa, &value, size);
    }
    rcu_read_unlock();
    return ok;
}

void *as_ram(AddressSpace *as, uint64_t pa, uint64_t *n, bool write)
{
    rcu_read_lock();
    MemSection s = find(as, pa, write);
    rcu_read_unlock();
    if (!s.host || (write && s.readonly)) {
        return NULL;
    }
    if (n) {
        *n = MIN(*n, s.left);
    }
    return s.host;
}

void as_dirty(AddressSpace *as, uint64_t pa, uint64_t n)
{
    rcu_read_lock();
    while (n) {
        MemSection s = find(as, pa, true);
        uint64_t step = MIN(n, s.left);
        if (s.host) {
            ram_written(as->vm, s.ram_offset, step);
        }
        pa += step;
        n -= step;
    }
    rcu_read_unlock();
}
