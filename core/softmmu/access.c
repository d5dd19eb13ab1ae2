/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses by guest-virtual address: the fast probe in C, and all that it misses. */
#include <string.h>

#include "core/accel.h"
#include "core/single-copy.h"
#include "core/softmmu/internal.h"
#include "core/vm.h"

/* ---- host memory ---- */

static uint64_t swapped(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

/* From memory order to the value. */
static inline uint64_t finish_load(uint64_t v, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);

    if (mop & IR_MBE) {
        v = swapped(v, size);
    }
    if (mop & IR_MSX) {
        v = (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
    }
    if (mop & IR_MACQ) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    }
    return v;
}

static inline uint8_t *probe(TlbInstance *t, uint64_t va, unsigned size, MemAccess access)
{
    const TlbEntry *e = &t->entries[access][va >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
    uint64_t tag = __atomic_load_n(&e->tag, __ATOMIC_RELAXED);      /* others may invalidate it */

    return (va ^ tag) <= PAGE_SIZE - size ? (uint8_t *)(uintptr_t)(va + e->addend) : NULL;
}

static inline TlbInstance *regime(Cpu *cpu, unsigned mmu)
{
    struct Softmmu *m = cpu->mmu;

    if (mmu == 0 || m->overlay) {
        return cpu->tlb;
    }
    return mmu_instance(cpu, mmu);
}

/* ---- faults ---- */

void mmu_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu)
{
    if (cpu->mmu->overlay) {
        overlay_give_up(cpu);
    }
    cpu->isa->raise_fault(cpu, va, access, mmu);
    cpu_exit(cpu);
}

static void bus_error(Cpu *cpu, uint64_t va, uint64_t pa, MemAccess access)
{
    if (cpu->isa->raise_bus_error) {
        if (cpu->mmu->overlay) {
            overlay_give_up(cpu);
        }
        cpu->isa->raise_bus_error(cpu, va, pa, access);
        cpu_exit(cpu);
    }
}

void cpu_check_aligned(Cpu *cpu, uint64_t va, MemAccess access, unsigned mop)
{
    if (G_UNLIKELY(mop & IR_MALIGN && va & (IR_MBYTES(mop) - 1))) {
        if (cpu->mmu->overlay) {
            overlay_give_up(cpu);
        }
        cpu->isa->raise_unaligned(cpu, va, access);
        cpu_exit(cpu);
    }
}

/* ---- watchpoints ---- */

static bool watched_page(const Cpu *cpu, uint64_t va)
{
    for (unsigned i = 0; i < cpu->watchpoints->len; i++) {
        const CpuWatch *w = &g_array_index(cpu->watchpoints, CpuWatch, i);
        if (PAGE_OF(w->addr) <= PAGE_OF(va) && PAGE_OF(va) <= PAGE_OF(w->addr + w->len - 1)) {
            return true;
        }
    }
    return false;
}

/* The first hit leaves the unit before the access; the engine runs the instruction once more, with
 * watch_hit set, and then stops. */
static void check_watch(Cpu *cpu, uint64_t va, unsigned n, MemAccess access)
{
    if (cpu->watch_hit || access == MEM_FETCH || !cpu->can_exit) {
        return;
    }
    for (unsigned i = 0; i < cpu->watchpoints->len; i++) {
        const CpuWatch *w = &g_array_index(cpu->watchpoints, CpuWatch, i);
        if (va < w->addr + w->len && w->addr < va + n &&
            w->access & (access == MEM_STORE ? 2 : 1)) {
            cpu->watch_hit = w;
            cpu_exit(cpu);
        }
    }
}

/* ---- where it goes ---- */

Place mmu_locate(Cpu *cpu, uint64_t va, unsigned n, MemAccess access, unsigned mmu)
{
    struct Softmmu *m = cpu->mmu;
    Translation t;

    if (G_UNLIKELY(__atomic_load_n(&m->pending, __ATOMIC_RELAXED))) {
        softmmu_poll(cpu);
    }
    bool there = mmu_translate(cpu, va, access, mmu, &t);
    mmu_log(cpu, va, access, mmu, there ? &t : NULL);
    if (!there) {
        mmu_fault(cpu, va, access, mmu);
    }
    bool watched = cpu->watchpoints && cpu->watchpoints->len && watched_page(cpu, va);
    if (watched) {
        check_watch(cpu, va, n, access);
    }
    Place p = {.pa = t.pa, .s = mmu_section(cpu, t.pa)};
    p.host = p.s.host;
    if (p.host && access == MEM_STORE && p.s.readonly && mem_takes_writes(p.s.region)) {
        p.host = NULL;
    }
    if (!p.host) {
        return p;
    }
    if (access == MEM_STORE) {
        p.attend = p.s.readonly || dirty_wanted(cpu->vm, p.s.ram_offset);
    }
    uint64_t into = PAGE_OFFSET(va);
    if (p.attend || watched || m->overlay || !mmu_whole_page(cpu, &t, p.host)) {
        m->stat.slow++;
        return p;
    }
    TlbInstance *regime = mmu_instance(cpu, mmu);
    mmu_fill(cpu, regime, va, access, p.host - into, t.global);
    if (access == MEM_STORE) {
        /* Somebody may have marked the page while it was entered: look again, or he sees it. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n(&m->pending, __ATOMIC_RELAXED) || dirty_wanted(cpu->vm, p.s.ram_offset)) {
            mmu_drop(cpu, regime, va, access);
            p.attend = dirty_wanted(cpu->vm, p.s.ram_offset);
        }
    }
    return p;
}

static bool is_code(Cpu *cpu, const Place *p)
{
    return !dirty_test(cpu->vm, DIRTY_CODE, p->s.ram_offset);
}

bool mmu_before_store(Cpu *cpu, const Place *p, unsigned n)
{
    const AccelType *a = accel_of(cpu->vm);

    if (p->s.readonly) {
        return false;
    }
    if (a && a->code_store && is_code(cpu, p)) {
        a->code_store(cpu->vm->accel, cpu, p->s.ram_offset, n);
    }
    return true;
}

void mmu_after_store(Cpu *cpu, const Place *p, uint64_t va, unsigned n, unsigned mmu)
{
    const AccelType *a = accel_of(cpu->vm);

    /* Another CPU may have translated the old bytes in between. */
    if (cpu->vm->n_cpus > 1 && a && a->code_written && is_code(cpu, p)) {
        a->code_written(cpu->vm->accel, p->s.ram_offset, n);
    }
    dirty_set(cpu->vm, p->s.ram_offset, n);
}

/* ---- I/O ---- */

static uint64_t io_load(Cpu *cpu, const Place *p, uint64_t va, unsigned size, MemAccess access)
{
    if (cpu->mmu->overlay) {
        overlay_give_up(cpu);
    }
    if (!p->s.region) {
        bus_error(cpu, va, p->pa, access);
        return UINT64_MAX >> (64 - 8 * size);
    }
    return mem_io_read(p->s.region, p->s.offset, size);
}

static void io_store(Cpu *cpu, const Place *p, uint64_t va, uint64_t v, unsigned size)
{
    if (cpu->mmu->overlay) {
        overlay_give_up(cpu);
    }
    if (!p->s.region) {
        bus_error(cpu, va, p->pa, MEM_STORE);
        return;
    }
    mem_io_write(p->s.region, p->s.offset, v, size);
}

/* ---- slow accesses, within and across pages; bytes in memory order ---- */

/* The widest aligned size that fits. */
static unsigned step(uint64_t at, unsigned n)
{
    unsigned size = 8;

    while (size > n || (at & (size - 1))) {
        size /= 2;
    }
    return size;
}

static void read_part(Cpu *cpu, uint64_t va, uint8_t *buf, unsigned n, MemAccess access, unsigned mmu)
{
    Place p = mmu_locate(cpu, va, n, access, mmu);

    if (p.host && p.s.left >= n) {
        if (cpu->mmu->overlay) {
            overlay_read(cpu->mmu->overlay, p.host, buf, n);
        } else {
            memcpy(buf, p.host, n);
        }
        return;
    }
    for (unsigned size; n; n -= size, va += size, buf += size) {
        size = step(va, n);
        p = mmu_locate(cpu, va, size, access, mmu);
        uint64_t v = p.host ? host_load(p.host, size) : io_load(cpu, &p, va, size, access);
        memcpy(buf, &v, size);
    }
}

static void write_ram(Cpu *cpu, const Place *p, uint64_t va, const void *buf, unsigned n, unsigned mmu)
{
    if (cpu->mmu->overlay) {
        if (!p->s.readonly) {
            overlay_write(cpu, p->host, buf, n);
        }
        return;
    }
    if (p->attend && !mmu_before_store(cpu, p, n)) {
        return;
    }
    if (n <= 8 && (n & (n - 1)) == 0) {
        uint64_t v = 0;
        memcpy(&v, buf, n);
        host_store(p->host, v, n);
    } else {
        memcpy(p->host, buf, n);
    }
    if (p->attend) {
        mmu_after_store(cpu, p, va, n, mmu);
    }
}

static void write_part(Cpu *cpu, uint64_t va, const uint8_t *buf, unsigned n, unsigned mmu)
{
    Place p = mmu_locate(cpu, va, n, MEM_STORE, mmu);

    if (p.host && p.s.left >= n) {
        write_ram(cpu, &p, va, buf, n, mmu);
        return;
    }
    for (unsigned size; n; n -= size, va += size, buf += size) {
        size = step(va, n);
        p = mmu_locate(cpu, va, size, MEM_STORE, mmu);
        uint64_t v = 0;
        memcpy(&v, buf, size);
        if (p.host) {
            write_ram(cpu, &p, va, buf, size, mmu);
        } else {
            io_store(cpu, &p, va, v, size);
        }
    }
}

/* Bytes from va to the end of its page, at most n. */
static unsigned in_page(uint64_t va, unsigned n)
{
    return (unsigned)MIN(n, PAGE_SIZE - PAGE_OFFSET(va));
}

static void read_bytes(Cpu *cpu, uint64_t va, uint8_t *buf, unsigned n, MemAccess access, unsigned mmu)
{
    for (unsigned k; n; n -= k, va += k, buf += k) {
        k = in_page(va, n);
        read_part(cpu, va, buf, k, access, mmu);
    }
}

static void write_bytes(Cpu *cpu, uint64_t va, const uint8_t *buf, unsigned n, unsigned mmu)
{
    if (in_page(va, n) < n) {
        /* All pages must be writable before anything is written. */
        cpu_probe(cpu, va, n, MEM_STORE, mmu);
    }
    for (unsigned k; n; n -= k, va += k, buf += k) {
        k = in_page(va, n);
        write_part(cpu, va, buf, k, mmu);
    }
}

static uint64_t slow_load(Cpu *cpu, uint64_t va, unsigned mop)
{
    unsigned size = IR_MBYTES(mop), mmu = mop_mmu(mop);
    uint64_t v = 0;

    if (in_page(va, size) < size) {
        read_bytes(cpu, va, (uint8_t *)&v, size, MEM_LOAD, mmu);
        return v;
    }
    Place p = mmu_locate(cpu, va, size, MEM_LOAD, mmu);
    if (!p.host) {
        return io_load(cpu, &p, va, size, MEM_LOAD);
    }
    if (cpu->mmu->overlay) {
        overlay_read(cpu->mmu->overlay, p.host, &v, size);
        return v;
    }
    return host_load(p.host, size);
}

static void slow_store(Cpu *cpu, uint64_t va, uint64_t v, unsigned mop)
{
    unsigned size = IR_MBYTES(mop), mmu = mop_mmu(mop);

    if (in_page(va, size) < size) {
        write_bytes(cpu, va, (const uint8_t *)&v, size, mmu);
        return;
    }
    Place p = mmu_locate(cpu, va, size, MEM_STORE, mmu);
    if (p.host) {
        write_ram(cpu, &p, va, &v, size, mmu);
    } else {
        io_store(cpu, &p, va, v, size);
    }
}

/* ---- the interface ---- */

uint64_t cpu_load(Cpu *cpu, uint64_t va, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);

    cpu_check_aligned(cpu, va, mop & IR_MREADW ? MEM_STORE : MEM_LOAD, mop);
    if (mop & IR_MREADW) {
        cpu_probe(cpu, va, size, MEM_STORE, mop_mmu(mop));
    }
    const uint8_t *p = probe(regime(cpu, mop_mmu(mop)), va, size, MEM_LOAD);
    return finish_load(p ? host_load(p, size) : slow_load(cpu, va, mop), mop);
}

void cpu_store(Cpu *cpu, uint64_t va, uint64_t v, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);

    cpu_check_aligned(cpu, va, MEM_STORE, mop);
    if (mop & IR_MBE) {
        v = swapped(v, size);
    }
    if (mop & IR_MREL) {
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    uint8_t *p = probe(regime(cpu, mop_mmu(mop)), va, size, MEM_STORE);
    if (p) {
        host_store(p, v, size);
    } else {
        slow_store(cpu, va, v, mop);
    }
    if ((mop & IR_MSC) == IR_MSC) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
}

void cpu_load_bytes(Cpu *cpu, uint64_t va, void *buf, unsigned n, unsigned mmu)
{
    const uint8_t *p = n <= PAGE_SIZE ? probe(regime(cpu, mmu), va, n, MEM_LOAD) : NULL;

    if (p) {
        memcpy(buf, p, n);
    } else {
        read_bytes(cpu, va, buf, n, MEM_LOAD, mmu);
    }
}

void cpu_store_bytes(Cpu *cpu, uint64_t va, const void *buf, unsigned n, unsigned mmu)
{
    uint8_t *p = n <= PAGE_SIZE ? probe(regime(cpu, mmu), va, n, MEM_STORE) : NULL;

    if (p) {
        memcpy(p, buf, n);
    } else {
        write_bytes(cpu, va, buf, n, mmu);
    }
}

void cpu_probe(Cpu *cpu, uint64_t va, unsigned n, MemAccess access, unsigned mmu)
{
    if (n && n <= PAGE_SIZE && probe(regime(cpu, mmu), va, n, access)) {
        return;
    }
    for (unsigned k; n; n -= k, va += k) {
        k = in_page(va, n);
        Place p = mmu_locate(cpu, va, k, access, mmu);
        if (!p.s.region) {
            bus_error(cpu, va, p.pa, access);
        }
    }
}

void *cpu_host_ptr(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, unsigned *n)
{
    uint8_t *p = probe(regime(cpu, mmu), va, 1, access);

    *n = in_page(va, *n);
    if (p) {
        return p;
    }
    Place where = mmu_locate(cpu, va, *n, access, mmu);
    bool watched = cpu->watchpoints && cpu->watchpoints->len && watched_page(cpu, va);
    if (!where.host || where.attend || watched || cpu->mmu->overlay) {
        return NULL;
    }
    *n = (unsigned)MIN(*n, where.s.left);
    return where.host;
}
