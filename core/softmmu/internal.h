/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the software MMU.
 *
 * Three levels: a TlbInstance per regime, probed inline; the second level here, one per vCPU, which
 * caches walks for all regimes; the guest's walker. What stands at a physical address comes from a
 * small cache of memory sections. Level 1 holds only what needs no attention (RAM without
 * watchpoint; for stores also neither code nor a page whose dirtying somebody wants to hear of);
 * the rest misses and is decided in access.c each time.
 */
#ifndef CORE_SOFTMMU_INTERNAL_H
#define CORE_SOFTMMU_INTERNAL_H

#include "core/cpu.h"
#include "core/memory.h"

enum {
    TLB_INSTANCES = 8,
    L2_SETS = 4096, L2_WAYS = 4,
    L2_GENS = 64,
    MMU_INDICES = 8,
    SECTIONS = 4,
};
enum { PAGE_SIZE = 1 << TLB_PAGE_BITS };
#define PAGE_OFFSET(va) ((va) & (uint64_t)(PAGE_SIZE - 1))
#define PAGE_OF(va) ((va) & ~(uint64_t)(PAGE_SIZE - 1))

/* Bits of L2Entry.perms beside 1 << MemAccess. */
enum { L2_GLOBAL = 8 };

typedef struct L2Entry {
    uint64_t tag;               /* page address | page bits; 0: free */
    uint64_t key;
    uint64_t pa;                /* of the page */
    uint32_t gen;               /* valid while it is the current one of its kind */
    uint8_t perms;
    uint8_t bits;
} L2Entry;

typedef struct CachedSection {
    uint64_t first, last;       /* physical, inclusive; first > last: empty */
    MemSection s;               /* of `first` */
} CachedSection;

struct Softmmu {
    TlbInstance *instances[TLB_INSTANCES];      /* made when first needed; atomic */
    uint64_t global[TLB_INSTANCES][3][TLB_SIZE / 64];   /* entries from global pages, where valid */
    uint64_t local[TLB_INSTANCES][3][TLB_SIZE / 8 / 64];        /* groups that may hold others */
    TlbInstance *blank;         /* always empty: current while stores are overlaid */
    uint64_t keys[MMU_INDICES]; /* by mmu index */
    TlbInstance *index[MMU_INDICES];            /* [0] is current; others NULL until used */
    uint64_t clock, next_epoch;
    L2Entry (*l2)[L2_WAYS];
    uint64_t sizes;             /* bit n: pages of 2^n bytes may be in the second level */
    uint32_t gen[L2_GENS], global_gen;          /* of entries with a key's address space / global */
    unsigned victim;
    CachedSection sections[SECTIONS];
    unsigned next_section;
    bool pending;               /* softmmu_flush_all() by another thread; atomic */
    MemOverlay *overlay;
    struct {
        uint64_t misses, l2_hits, walks, slow, flushes, page_flushes, selects;
    } stat;
};

/* ---- tlb.c ---- */
/* The regime of an mmu index. */
TlbInstance *mmu_instance(Cpu *cpu, unsigned mmu);
/* Translates, from the second level or by a walk. False: the fault is recorded in the CPU. */
bool mmu_translate(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, Translation *t);
/* -d mmu: what a translation found; t NULL: a fault. */
void mmu_log(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, const Translation *t);
/* Enters a page into level 1. `host` is of the page's start. */
void mmu_fill(Cpu *cpu, TlbInstance *t, uint64_t va, MemAccess access, uint8_t *host, bool global);
void mmu_drop(Cpu *cpu, TlbInstance *t, uint64_t va, MemAccess access);
/* The empty instance. */
TlbInstance *mmu_blank(Cpu *cpu);
/* What stands at pa. */
MemSection mmu_section(Cpu *cpu, uint64_t pa);
/* Whether all of the 4 KiB page around t->pa is one piece of memory: level 1 may hold it. */
bool mmu_whole_page(Cpu *cpu, const Translation *t, const uint8_t *host);

/* ---- access.c ---- */
/* Where an access within one page goes. */
typedef struct Place {
    uint8_t *host;              /* RAM or ROM; NULL: I/O or nothing */
    MemSection s;               /* at pa; region NULL: nothing there */
    uint64_t pa;
    bool attend;                /* a store that code, dirty tracking or a ROM must see */
} Place;
/* Raises faults; enters the page into level 1 where it may. n bytes, for watchpoints. */
Place mmu_locate(Cpu *cpu, uint64_t va, unsigned n, MemAccess access, unsigned mmu);
G_NORETURN void mmu_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu);
/* Around a store to a place with `attend`; before: false if the store must not happen (ROM). */
bool mmu_before_store(Cpu *cpu, const Place *p, unsigned n);
void mmu_after_store(Cpu *cpu, const Place *p, uint64_t va, unsigned n, unsigned mmu);

/* ---- overlay.c ---- */
void overlay_read(MemOverlay *o, const uint8_t *host, void *buf, unsigned n);
void overlay_write(Cpu *cpu, uint8_t *host, const void *buf, unsigned n);
/* Something happened that cannot be taken back: gives up and leaves the unit. */
G_NORETURN void overlay_give_up(Cpu *cpu);

/* ---- host/cas128.c ---- */
/* Atomic compare and exchange of 16 aligned bytes; false when the host cannot (nothing done). */
bool host_cas128(void *p, uint64_t expected[2], const uint64_t desired[2], bool *matched);

static inline unsigned mop_mmu(unsigned mop)
{
    return (mop & IR_MMU_MASK) >> IR_MMU_SHIFT;
}

#endif
