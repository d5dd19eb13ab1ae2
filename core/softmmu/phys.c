/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses by guest-physical address: page walkers, exception delivery. */
#include <string.h>

#include "core/softmmu/internal.h"
#include "core/vm.h"

static uint64_t in_order(uint64_t v, unsigned mop)
{
    return mop & IR_MBE ? __builtin_bswap64(v) >> (64 - 8 * IR_MBYTES(mop)) : v;
}

bool cpu_phys_load(Cpu *cpu, uint64_t pa, unsigned mop, uint64_t *value)
{
    unsigned size = IR_MBYTES(mop);
    MemSection s = mmu_section(cpu, pa);
    uint64_t v = 0;

    if (s.host && s.left >= size && (pa & (size - 1)) == 0) {
        switch (size) {
        case 1: v = __atomic_load_n(s.host, __ATOMIC_RELAXED); break;
        case 2: v = __atomic_load_n((uint16_t *)s.host, __ATOMIC_RELAXED); break;
        case 4: v = __atomic_load_n((uint32_t *)s.host, __ATOMIC_RELAXED); break;
        default: v = __atomic_load_n((uint64_t *)s.host, __ATOMIC_RELAXED); break;
        }
    } else if (!as_load(cpu->memory, pa, size, &v)) {
        return false;
    }
    *value = in_order(v, mop);
    return true;
}

bool cpu_phys_store(Cpu *cpu, uint64_t pa, uint64_t value, unsigned mop)
{
    return as_store(cpu->memory, pa, IR_MBYTES(mop), in_order(value, mop));
}

bool cpu_phys_cas(Cpu *cpu, uint64_t pa, uint64_t old, uint64_t new_value, unsigned mop)
{
    unsigned size = IR_MBYTES(mop);
    MemSection s = mmu_section(cpu, pa);
    bool done;

    if (!s.host || s.readonly || s.left < size || (pa & (size - 1))) {
        return false;
    }
    if (size == 4) {
        uint32_t o = (uint32_t)in_order(old, mop);
        done = __atomic_compare_exchange_n((uint32_t *)s.host, &o, (uint32_t)in_order(new_value, mop),
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint64_t o = in_order(old, mop);
        done = __atomic_compare_exchange_n((uint64_t *)s.host, &o, in_order(new_value, mop),
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    if (done && dirty_wanted(cpu->vm, s.ram_offset)) {
        ram_written(cpu->vm, s.ram_offset, size);
    }
    return done;
}

/* ---- debugger ---- */

bool cpu_debug_translate(Cpu *cpu, uint64_t va, uint64_t *pa)
{
    Translation t;

    if (!cpu->isa->translate_va(cpu, va, MEM_LOAD, 0, true, &t) &&
        !cpu->isa->translate_va(cpu, va, MEM_FETCH, 0, true, &t)) {
        return false;
    }
    *pa = t.pa;
    return true;
}

bool cpu_debug_access(Cpu *cpu, uint64_t va, void *buf, unsigned n, bool write)
{
    uint8_t *at = buf;

    while (n) {
        unsigned k = (unsigned)MIN(n, PAGE_SIZE - PAGE_OFFSET(va));
        uint64_t pa;
        if (!cpu_debug_translate(cpu, va, &pa) ||
            !(write ? as_write_rom(cpu->memory, pa, at, k) : as_read(cpu->memory, pa, at, k))) {
            return false;
        }
        n -= k;
        va += k;
        at += k;
    }
    return true;
}
