/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software MMU: guest-virtual accesses for helpers, the interpreter and generated code.
 *
 * Per vCPU and translation regime (address space, privilege) a TlbInstance: three direct-mapped
 * arrays (load, store, fetch) of 4,096 {tag, addend}, probed inline by generated code. Behind them a
 * second level shared by the vCPU's instances, then the guest's page walk (isa->translate_va).
 * A fast entry's tag is the virtual page address; host = va + addend. An entry that needs attention
 * (I/O, watchpoint, code page for stores, clean page for dirty tracking) has TLB_SLOW flipped into
 * its tag, so inline probes miss; the slow path decides.
 *
 * Home: the vCPU's thread. Flushing other CPUs goes through softmmu_flush_*_all().
 */
#ifndef CORE_SOFTMMU_H
#define CORE_SOFTMMU_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Cpu Cpu;

typedef enum MemAccess { MEM_LOAD, MEM_STORE, MEM_FETCH } MemAccess;

enum {
    TLB_BITS = 12,
    TLB_SIZE = 1 << TLB_BITS,
    TLB_PAGE_BITS = 12,         /* granule of level 1, whatever the guest's page size */
};
#define TLB_SLOW (1ull << 62)   /* flipped into tags that must miss inline */
#define TLB_INVALID (1ull << 62 | 0x800ull)

typedef struct TlbEntry {
    uint64_t tag;
    uint64_t addend;            /* host address minus virtual address */
} TlbEntry;

typedef struct TlbInstance {
    TlbEntry entries[3][TLB_SIZE];      /* by MemAccess; index (va >> 12) & 0xfff */
    /* beyond this point the layout is private to core/softmmu/ */
    uint64_t fetch_epoch;       /* changes whenever a translation goes that a fetch entry was made
                                   from since it last changed: what engines remember of virtual code
                                   addresses is void then; unique among the vCPU's instances and
                                   over time */
    uint64_t key;               /* regime: see softmmu_select() */
    uint64_t used[3][TLB_SIZE / 8 / 64];    /* groups of 8 entries in use, for cheap flushes */
    uint64_t last_use;
    /* Fetch entries that gave way to others at the same index in this epoch; whether any was of a page
     * that is not global. */
    uint64_t replaced[TLB_SIZE / 64];
    bool replaced_any, replaced_local;
} TlbInstance;

/* What a page walk found. */
typedef struct Translation {
    uint64_t pa;                /* physical address of va itself */
    uint8_t page_bits;          /* log2 of the page's size */
    bool load, store, fetch;    /* what may be done from now on without another walk (store only
                                   when the dirty bit is set already) */
    bool global;                /* survives flushes of one address space */
    bool uncached;              /* informative */
} Translation;

/*
 * Chooses the regime that current (mmu index 0) accesses use, by a key of the guest's choosing:
 * everything that decides translation and permission, e.g. asid | privilege << 16 | flags << 20.
 * Instances are kept LRU; an unknown key gets a clean one. cpu->tlb changes. Call from helpers that
 * change the regime, followed by ir_resync.
 */
void softmmu_select(Cpu *cpu, uint64_t key);
/* mmu index 1-7 of memory operations: each has a key, too; isa sets them when they change. */
void softmmu_set_index(Cpu *cpu, unsigned mmu, uint64_t key);
/* The CPU sees another physical memory from now on (system management mode); flushes everything. */
void softmmu_set_memory(Cpu *cpu, struct AddressSpace *as);

/* Flushes on this CPU: everything; all but global pages; one page in all regimes or those whose
 * (key & mask) == value. */
void softmmu_flush(Cpu *cpu);
void softmmu_flush_nonglobal(Cpu *cpu, uint64_t key_mask, uint64_t key_value);
void softmmu_flush_page(Cpu *cpu, uint64_t va, uint64_t key_mask, uint64_t key_value);

/* ---- accesses; `mop` is IR_M8 … with modifiers of ir/ir.h ---- */
/* Raise guest faults (do not return then); cpu->pc and slots must be up to date. */
uint64_t cpu_load(Cpu *cpu, uint64_t va, unsigned mop);
void cpu_store(Cpu *cpu, uint64_t va, uint64_t value, unsigned mop);
/* 16- and 32-byte accesses and any other length up to a page (not atomic). */
void cpu_load_bytes(Cpu *cpu, uint64_t va, void *buf, unsigned n, unsigned mmu);
void cpu_store_bytes(Cpu *cpu, uint64_t va, const void *buf, unsigned n, unsigned mmu);
/* Raises isa->raise_unaligned() if mop has IR_MALIGN and va is not aligned: for accesses of bytes. */
void cpu_check_aligned(Cpu *cpu, uint64_t va, MemAccess access, unsigned mop);
/* Raises what the access would raise; touches nothing. */
void cpu_probe(Cpu *cpu, uint64_t va, unsigned n, MemAccess access, unsigned mmu);
/* Host address of RAM at va for access, or NULL (I/O, watchpoint, code page): then use the
 * accessors. Raises faults. *n in: bytes wanted, out: bytes valid from there (up to the page end). */
void *cpu_host_ptr(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, unsigned *n);
/* Atomic operations; IrRmw as in ir.h. */
uint64_t cpu_rmw(Cpu *cpu, uint64_t va, unsigned op, uint64_t v, unsigned mop);
uint64_t cpu_cas(Cpu *cpu, uint64_t va, uint64_t expected, uint64_t desired, unsigned mop);
/* 16 bytes; returns whether it matched, *expected receives the old value. */
bool cpu_cas128(Cpu *cpu, uint64_t va, uint64_t expected[2], const uint64_t desired[2], unsigned mmu);

/* Physical accesses by the page walker and exception delivery: false on a bus error. */
bool cpu_phys_load(Cpu *cpu, uint64_t pa, unsigned mop, uint64_t *value);
bool cpu_phys_store(Cpu *cpu, uint64_t pa, uint64_t value, unsigned mop);
/* Atomic update of a page-table entry: true if it held `old`. */
bool cpu_phys_cas(Cpu *cpu, uint64_t pa, uint64_t old, uint64_t new_value, unsigned mop);

/* Debugger: no faults, no side effects, code pages writable. False if unmapped. */
bool cpu_debug_access(Cpu *cpu, uint64_t va, void *buf, unsigned n, bool write);
/* va to pa without side effects, for HMP and gdb. */
bool cpu_debug_translate(Cpu *cpu, uint64_t va, uint64_t *pa);

/* ---- for engines ---- */
/* Looks up code at va: physical address (RAM) and host pointer, NULL when it is not plain RAM.
 * Raises fetch faults. Fills the fetch array. */
void *softmmu_fetch_page(Cpu *cpu, uint64_t va, uint64_t *pa);
/* Code pages: stores to them take the slow path and end in the engine's callback. pa page-aligned. */
void softmmu_protect_code(struct Vm *vm, uint64_t ram_offset);
void softmmu_unprotect_code(struct Vm *vm, uint64_t ram_offset);
/* All CPUs of a machine: the memory map changed, or dirty tracking restarted. Any thread. */
void softmmu_flush_all(struct Vm *vm);

/* Does what softmmu_flush_all() of another thread asked for (CPU_REQ_FLUSH). The CPU's thread. */
void softmmu_poll(Cpu *cpu);

bool softmmu_init(Cpu *cpu);
void softmmu_finish(Cpu *cpu);
/* Counts, for info jit. */
struct _GString;
void softmmu_info(Cpu *cpu, struct _GString *out);

/* ---- trial runs: stores are held in an overlay, RAM stays as it was ---- */
typedef struct MemOverlay MemOverlay;
enum { MEM_OVERLAY_CELLS = 8192 };
MemOverlay *mem_overlay_new(void);
void mem_overlay_free(MemOverlay *o);
void mem_overlay_begin(Cpu *cpu, MemOverlay *o);
/* False: gave up (I/O, a fault): the unit was left by cpu_exit() and its effects are to be undone. */
bool mem_overlay_end(Cpu *cpu);
/* Compares what was held with what RAM holds now; appends a line per difference. */
bool mem_overlay_differs(const MemOverlay *o, struct _GString *out);
/* Whether somebody else has changed memory that the trial had read. */
bool mem_overlay_raced(MemOverlay *o);

#endif
