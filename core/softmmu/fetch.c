/* SPDX-License-Identifier: Apache-2.0 */
/* Code: pages for engines, bytes for front ends. */
#include <string.h>

#include "core/softmmu/internal.h"
#include "core/vm.h"

/* False: the fault is recorded. */
static bool find(Cpu *cpu, uint64_t va, MemSection *s, uint64_t *pa)
{
    Translation t;

    if (__atomic_load_n(&cpu->mmu->pending, __ATOMIC_RELAXED)) {
        softmmu_poll(cpu);
    }
    bool there = mmu_translate(cpu, va, MEM_FETCH, 0, &t);
    mmu_log(cpu, va, MEM_FETCH, 0, there ? &t : NULL);
    if (!there) {
        return false;
    }
    *pa = t.pa;
    *s = mmu_section(cpu, t.pa);
    uint64_t into = PAGE_OFFSET(va);
    if (s->host && mmu_whole_page(cpu, &t, s->host)) {
        TlbInstance *regime = mmu_instance(cpu, 0);
        const TlbEntry *e = &regime->entries[MEM_FETCH][va >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
        if (e->tag != PAGE_OF(va)) {
            mmu_fill(cpu, regime, va, MEM_FETCH, s->host - into, t.global);
        }
    }
    return true;
}

void *softmmu_fetch_page(Cpu *cpu, uint64_t va, uint64_t *pa)
{
    MemSection s;

    if (!find(cpu, va, &s, pa)) {
        mmu_fault(cpu, va, MEM_FETCH, 0);
    }
    return s.left >= PAGE_SIZE - PAGE_OFFSET(va) ? s.host : NULL;
}

unsigned isa_fetch(Cpu *cpu, IrBuilder *b, uint64_t va, void *buf, unsigned n)
{
    uint8_t *to = buf;
    unsigned got = 0;

    while (got < n) {
        MemSection s;
        uint64_t pa;
        uint64_t at = va + got;
        const TlbEntry *e = &cpu->tlb->entries[MEM_FETCH][at >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
        if (e->tag == PAGE_OF(at)) {
            unsigned k = (unsigned)MIN(n - got, PAGE_SIZE - PAGE_OFFSET(at));
            memcpy(to + got, (const uint8_t *)(uintptr_t)(e->addend + at), k);
            got += k;
            continue;
        }
        if (!find(cpu, at, &s, &pa)) {
            break;
        }
        unsigned k = (unsigned)MIN(MIN(n - got, PAGE_SIZE - PAGE_OFFSET(at)), s.left);
        if (s.host) {
            memcpy(to + got, s.host, k);
        } else if (s.region) {
            k = 1;
            to[got] = (uint8_t)mem_io_read(s.region, s.offset, 1);
        } else if (!cpu->isa->raise_bus_error) {
            k = 1;
            to[got] = 0xff;
        } else if (got == 0) {
            cpu->isa->raise_bus_error(cpu, at, pa, MEM_FETCH);
            cpu_exit(cpu);
        } else {
            break;
        }
        got += k;
    }
    return got;
}

static void fetch(Cpu *cpu, IrBuilder *b, uint64_t va, void *buf, unsigned n)
{
    unsigned got = isa_fetch(cpu, b, va, buf, n);
    MemSection s;
    uint64_t pa;

    if (got == n) {
        return;
    }
    if (!find(cpu, va + got, &s, &pa)) {
        mmu_fault(cpu, va + got, MEM_FETCH, 0);
    }
    isa_fetch(cpu, b, va + got, (uint8_t *)buf + got, n - got);      /* the bus error */
}

uint8_t isa_fetch8(Cpu *cpu, IrBuilder *b, uint64_t va)
{
    uint8_t v;

    fetch(cpu, b, va, &v, 1);
    return v;
}

uint16_t isa_fetch16(Cpu *cpu, IrBuilder *b, uint64_t va)
{
    uint8_t v[2];

    fetch(cpu, b, va, v, 2);
    return (uint16_t)(v[0] | v[1] << 8);
}

uint32_t isa_fetch32(Cpu *cpu, IrBuilder *b, uint64_t va)
{
    uint8_t v[4];

    fetch(cpu, b, va, v, 4);
    return v[0] | v[1] << 8 | v[2] << 16 | (uint32_t)v[3] << 24;
}
