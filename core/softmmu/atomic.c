/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomic accesses: host atomics on the host address. What a host cannot do atomically (across
 * pages, unaligned, 16 bytes without an instruction for it) runs with all other CPUs stopped. I/O is
 * read, then written.
 */
#include <string.h>

#include "core/softmmu/internal.h"
#include "core/vm.h"

static uint64_t mask_of(unsigned size) { return UINT64_MAX >> (64 - 8 * size); }

static int64_t sign(uint64_t v, unsigned size)
{
    return (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
}

static uint64_t apply(unsigned op, uint64_t old, uint64_t v, unsigned size)
{
    switch (op) {
    case IR_RMW_ADD: return old + v;
    case IR_RMW_AND: return old & v;
    case IR_RMW_OR: return old | v;
    case IR_RMW_XOR: return old ^ v;
    case IR_RMW_MIN: return sign(old, size) < sign(v, size) ? old : v;
    case IR_RMW_MAX: return sign(old, size) > sign(v, size) ? old : v;
    case IR_RMW_MINU: return (old & mask_of(size)) < (v & mask_of(size)) ? old : v;
    case IR_RMW_MAXU: return (old & mask_of(size)) > (v & mask_of(size)) ? old : v;
    default: return v;
    }
}

static uint64_t ordered(uint64_t v, unsigned size, bool big)
{
    return big ? __builtin_bswap64(v) >> (64 - 8 * size) : v & mask_of(size);
}

#define CAS(T)                                                                                      \
    {                                                                                               \
        T old = (T)expected;                                                                        \
        __atomic_compare_exchange_n((T *)p, &old, (T)desired, false, __ATOMIC_SEQ_CST,              \
                                    __ATOMIC_SEQ_CST);                                              \
        return old;                                                                                 \
    }

/* In memory order; returns what was there. */
static uint64_t host_cas(void *p, uint64_t expected, uint64_t desired, unsigned size)
{
    switch (size) {
    case 1: CAS(uint8_t)
    case 2: CAS(uint16_t)
    case 4: CAS(uint32_t)
    default: CAS(uint64_t)
    }
}

#define RMW(T)                                                                                      \
    switch (op) {                                                                                   \
    case IR_RMW_ADD: return __atomic_fetch_add((T *)p, (T)v, __ATOMIC_SEQ_CST);                     \
    case IR_RMW_AND: return __atomic_fetch_and((T *)p, (T)v, __ATOMIC_SEQ_CST);                     \
    case IR_RMW_OR: return __atomic_fetch_or((T *)p, (T)v, __ATOMIC_SEQ_CST);                       \
    case IR_RMW_XOR: return __atomic_fetch_xor((T *)p, (T)v, __ATOMIC_SEQ_CST);                     \
    default: return __atomic_exchange_n((T *)p, (T)v, __ATOMIC_SEQ_CST);                            \
    }

static uint64_t host_rmw(void *p, unsigned op, uint64_t v, unsigned size, bool big)
{
    if (big || op >= IR_RMW_MIN) {
        uint64_t seen = 0, old;
        memcpy(&seen, p, size);
        do {
            old = seen;
            uint64_t value = ordered(apply(op, ordered(old, size, big), v, size), size, big);
            seen = host_cas(p, old, value, size);
        } while (seen != old);
        return ordered(old, size, big);
    }
    switch (size) {
    case 1: RMW(uint8_t)
    case 2: RMW(uint16_t)
    case 4: RMW(uint32_t)
    default: RMW(uint64_t)
    }
}

/* ---- what is not one host operation ---- */

typedef struct Slow {
    uint64_t va, v, expected, old;
    unsigned op, mop;
    bool cas;
} Slow;

static void run_slow(Cpu *cpu, void *data)
{
    Slow *s = data;
    unsigned size = IR_MBYTES(s->mop), mop = s->mop & (IR_MSIZE | IR_MMU_MASK | IR_MBE);

    s->old = cpu_load(cpu, s->va, mop);
    if (s->cas) {
        if (s->old == (s->expected & mask_of(size))) {
            cpu_store(cpu, s->va, s->v, mop);
        }
    } else {
        cpu_store(cpu, s->va, apply(s->op, s->old, s->v, size), mop);
    }
}

static uint64_t exclusively(Cpu *cpu, Slow *s)
{
    /* Faults come first: nothing may leave the section. */
    cpu_probe(cpu, s->va, IR_MBYTES(s->mop), MEM_STORE, mop_mmu(s->mop));
    cpu_probe(cpu, s->va, IR_MBYTES(s->mop), MEM_LOAD, mop_mmu(s->mop));
    cpu_exclusive(cpu, run_slow, s);
    return s->old;
}

/* The host address for an atomic access, or NULL: do it slowly (s says how; maybe alone). */
static void *target(Cpu *cpu, uint64_t va, unsigned mop, Place *p, bool *alone)
{
    unsigned size = IR_MBYTES(mop);

    cpu_check_aligned(cpu, va, MEM_STORE, mop);
    if (va & (size - 1)) {
        *alone = true;
        return NULL;
    }
    *alone = false;
    const TlbEntry *e = &cpu->tlb->entries[MEM_STORE][va >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
    if (mop_mmu(mop) == 0 && PAGE_OF(va) == __atomic_load_n(&e->tag, __ATOMIC_RELAXED)) {
        p->attend = false;
        return (uint8_t *)(uintptr_t)(va + e->addend);
    }
    *p = mmu_locate(cpu, va, size, MEM_STORE, mop_mmu(mop));
    if (!p->host || cpu->mmu->overlay || (p->attend && !mmu_before_store(cpu, p, size))) {
        return NULL;
    }
    return p->host;
}

static uint64_t slowly(Cpu *cpu, Slow *s, bool alone)
{
    if (alone && !cpu->mmu->overlay) {
        return exclusively(cpu, s);
    }
    run_slow(cpu, s);
    return s->old;
}

uint64_t cpu_rmw(Cpu *cpu, uint64_t va, unsigned op, uint64_t v, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);
    Place place;
    bool alone;
    void *p = target(cpu, va, mop, &place, &alone);

    if (!p) {
        Slow s = {.va = va, .v = v, .op = op, .mop = mop};
        return slowly(cpu, &s, alone);
    }
    uint64_t old = host_rmw(p, op, v, size, mop & IR_MBE);
    if (place.attend) {
        mmu_after_store(cpu, &place, va, size, mop_mmu(mop));
    }
    return old;
}

uint64_t cpu_cas(Cpu *cpu, uint64_t va, uint64_t expected, uint64_t desired, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);
    bool big = mop & IR_MBE, alone;
    Place place;
    void *p = target(cpu, va, mop, &place, &alone);

    if (!p) {
        Slow s = {.va = va, .v = desired, .expected = expected, .mop = mop, .cas = true};
        return slowly(cpu, &s, alone);
    }
    uint64_t old = host_cas(p, ordered(expected, size, big), ordered(desired, size, big), size);
    if (place.attend) {
        mmu_after_store(cpu, &place, va, size, mop_mmu(mop));
    }
    return ordered(old, size, big);
}

/* ---- 16 bytes ---- */

typedef struct Slow128 {
    uint64_t va, *expected;
    const uint64_t *desired;
    unsigned mmu;
    bool matched;
} Slow128;

static void run_slow128(Cpu *cpu, void *data)
{
    Slow128 *s = data;
    uint64_t old[2];

    cpu_load_bytes(cpu, s->va, old, 16, s->mmu);
    s->matched = memcmp(old, s->expected, 16) == 0;
    cpu_store_bytes(cpu, s->va, s->matched ? s->desired : old, 16, s->mmu);
    memcpy(s->expected, old, 16);
}

bool cpu_cas128(Cpu *cpu, uint64_t va, uint64_t expected[2], const uint64_t desired[2], unsigned mmu)
{
    Slow128 s = {va, expected, desired, mmu, false};

    if (cpu->mmu->overlay) {
        run_slow128(cpu, &s);
        return s.matched;
    }
    if ((va & 15) == 0) {
        Place p = mmu_locate(cpu, va, 16, MEM_STORE, mmu);
        if (p.host && p.s.left >= 16 && !(p.attend && !mmu_before_store(cpu, &p, 16)) &&
            host_cas128(p.host, expected, desired, &s.matched)) {
            if (p.attend) {
                mmu_after_store(cpu, &p, va, 16, mmu);
            }
            return s.matched;
        }
    }
    cpu_probe(cpu, va, 16, MEM_STORE, mmu);
    cpu_probe(cpu, va, 16, MEM_LOAD, mmu);
    cpu_exclusive(cpu, run_slow128, &s);
    return s.matched;
}
