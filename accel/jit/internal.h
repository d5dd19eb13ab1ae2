/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translating engine's own types: units, exits, code cache, per-CPU data.
 *
 * Threads: Jit is shared by all vCPUs of a machine. Lookups (units.c) are lock-free; translating,
 * linking and invalidating hold jit->lock. JitCpu belongs to its vCPU's thread.
 */
#ifndef ACCEL_JIT_INTERNAL_H
#define ACCEL_JIT_INTERNAL_H

#include <glib.h>
#include "accel/jit/jit.h"
#include "core/cpu.h"
#include "ir/ir.h"

typedef struct JitUnit JitUnit;
typedef struct JitPage JitPage;

/*
 * A direct jump out of a unit: a 4-byte displacement which points to its stub or to another unit. If
 * it leaves the page there is a bridge between, which looks whether the fetch entry still names the
 * page that `to` is from.
 */
typedef struct JitExit {
    JitUnit *from, *to;
    struct JitExit *next;       /* in to->incoming */
    uint32_t at, stub;          /* code offsets: the displacement, the stub */
    bool at_cold;               /* while emitted: `at` is in cold code */
    int32_t target;             /* pc, relative to the page base */
    uint32_t bridge, jump;      /* code offsets: room for it, 0: within the page; its displacement */
    const uint8_t *bridged;     /* host address of the page that the bridge expects, or NULL: not made */
} JitExit;

enum { JIT_MAX_LOOPS = 2 };

struct JitUnit {
    JitUnit *hash_next;         /* same bucket; atomic */
    JitUnit *page_next[2];      /* other units of pages[0], pages[1] */
    JitPage *pages[2];          /* [1]: the page it runs on into, or NULL */
    const uint8_t *host;        /* where its guest code is */
    const uint8_t *host2;       /* the second page's start, or NULL */
    JitExit *incoming;          /* links to it */
    uint32_t mode;
    uint32_t code, code_size;   /* offset in the cache */
    uint32_t dead_stub;         /* leaves for the dispatcher with pc at the unit's start */
    uint16_t at, size;          /* offset in the page, guest bytes */
    uint16_t n_insns, n_exits;
    uint8_t flags;              /* JIT_UNIT_* */
    bool dead;                  /* atomic */
    uint32_t loops[JIT_MAX_LOOPS];      /* displacements of jumps to its own start, 0: none */
    uint16_t *marks;            /* page offsets of its instructions (with -icount) */
    JitExit exits[];
};
enum {
    JIT_UNIT_ICOUNT = 1,        /* part of the key */
    JIT_UNIT_ONCE = 2,          /* comes back after one run; part of the key */
    JIT_UNIT_KEY = 3,
    JIT_UNIT_SEES_FP = 4,       /* calls helpers that read or change FP mode or flags */
};

/* A guest page that holds code. */
struct JitPage {
    uint64_t ram_page;          /* ram_offset >> 12 */
    JitUnit *units;
    uint64_t granules;          /* 64-byte pieces covered by units */
    uint32_t hits;              /* invalidations */
};

enum {
    JIT_PAGE = 4096,
    JIT_JUMP_BITS = 14,
    JIT_JUMPS = 1 << JIT_JUMP_BITS,
    JIT_HASH_BITS = 15,
    JIT_FOUND = 2048,
    JIT_MAX_CHUNKS = 256,
    JIT_MAX_EXITS = 128,
    JIT_STACK = 256 << 10,      /* for the returns of 16,384 nested guest calls */
};

/* A chunk of the cache, filled front to back, evicted whole. */
typedef struct JitChunk {
    uint8_t *code, *code_end;   /* RW view: next free byte, end */
    uint8_t *meta, *meta_end;   /* its units */
    GPtrArray *units;
    uint64_t retired;           /* jit->purges when retired, 0 in use or clean */
} JitChunk;

typedef struct JitCache {
    uint8_t *rw, *rx, *meta;    /* the same memory twice; descriptors */
    size_t size, chunk_size;
    unsigned n_chunks, current;
    JitChunk chunks[JIT_MAX_CHUNKS];
    size_t reserved;            /* stubs at the start */
} JitCache;

/* Kinds of slow paths, see slow.h. */
enum {
    JIT_SLOW_LOAD, JIT_SLOW_STORE, JIT_SLOW_RMW, JIT_SLOW_CAS, JIT_SLOW_PROBE, JIT_SLOW_LOAD_VEC,
    JIT_SLOW_STORE_VEC, JIT_SLOW_COUNT,
};

/* Entry points made by x86_64/stubs.c. Offsets in the cache. */
typedef struct JitStubs {
    uint64_t (*enter)(void *state, const uint8_t *code);
    uint32_t exit, leave, probe, link, mismatch, cut, resync;
    uint32_t slow[JIT_SLOW_COUNT][2];   /* [1]: vector registers are live or concerned */
    uint32_t end;
} JitStubs;

typedef struct JitJump {
    uint64_t pc;
    uint32_t key;               /* JitCpu.key when filled */
    uint32_t code;              /* cache offset */
} JitJump;

/* Why enter() returned; other values are the offset of a JitExit in the descriptors. */
enum {
    JIT_LEFT,                   /* poll, or a dead unit */
    JIT_LEFT_MISS,              /* the jump cache did not know cpu->pc */
    JIT_LEFT_RESYNC,
    JIT_LEFT_BUDGET,            /* icount: the interpreter runs the tail */
    JIT_LEFT_COUNT,
    JIT_LEFT_LINK = 64,         /* descriptors start here */
};

/* What a CPU found last for a piece of guest code: stands when a flush empties the jump cache. */
typedef struct JitFound {
    const uint8_t *host;
    JitUnit *unit;
    uint64_t kills;             /* jit->kills when it was alive */
    uint32_t mode, flags;
} JitFound;

typedef struct JitKey {
    const TlbInstance *tlb;
    uint64_t epoch;
    uint32_t mode, key;
} JitKey;

struct JitCpu {
    JitJump jumps[JIT_JUMPS];
    uint32_t key;               /* of the current regime and mode */
    uint32_t next_key;
    JitKey now;                 /* what `key` stands for */
    Cpu *cpu;
    Jit *jit;
    IrUnit *ir;                 /* for translating */
    JitKey keys[16];
    JitFound found[JIT_FOUND];
    unsigned next_slot;
    uint64_t key_purges;        /* purges that `keys` knows of */
    uint64_t seen_purges;       /* atomic; UINT64_MAX while outside generated code */
    uint32_t refund;            /* icount: instructions of the unit behind the one that called C */
    bool once;
    bool step_store;            /* the interpreter must run the instruction at cpu->pc */
    bool fp_host;               /* the host's FP status is the guest's now */
    struct {
        uint64_t left[JIT_LEFT_COUNT], links, lookups, slow_loads, slow_stores, purges, interpreted;
    } stat;
};

struct Jit {
    Vm *vm;
    const GuestIsa *isa;
    GMutex lock;
    JitCache cache;
    JitStubs stubs;
    JitUnit **buckets;          /* 1 << JIT_HASH_BITS, atomic heads */
    GHashTable *pages;          /* ram page -> JitPage */
    GPtrArray *cpus;            /* JitCpu */
    struct Emit *emit;          /* under lock */
    JitOptions opt;
    uint64_t purges;            /* atomic; counts evictions */
    uint64_t kills;             /* atomic; counts units killed */
    uint64_t code_stores;       /* atomic; counts stores to pages with code */
    bool fp_used;               /* atomic; units may use host floating point and know MXCSR is the guest's */
    struct {
        uint64_t units, insns, guest_bytes, host_bytes, ns, evictions, unlinks;
        uint64_t killed[JIT_KILL_COUNT];
    } stat;
};

/* cache.c */
bool jit_cache_init(JitCache *c, size_t size, size_t chunk_size, GError **error);
void jit_cache_finish(JitCache *c);
static inline uint8_t *jit_rw(const Jit *j, uint32_t offset) { return j->cache.rw + offset; }
static inline uint8_t *jit_rx(const Jit *j, uint32_t offset) { return j->cache.rx + offset; }
/* The chunk with room for that much; evicts the oldest when needed. With jit->lock. */
JitChunk *jit_cache_room(Jit *j, size_t code, size_t meta);
/* Waits until each CPU has been outside since purge number `since`; false when one stays inside too long. */
bool jit_wait_outside(Jit *j, uint64_t since);

/* units.c; all but find with jit->lock */
JitUnit *jit_unit_find(Jit *j, const uint8_t *host, uint32_t mode, unsigned flags);
void jit_unit_insert(Jit *j, JitUnit *u, uint64_t ram_page, uint64_t ram_page2);
bool jit_kill_store(Jit *j, uint64_t ram_offset, unsigned len, uint64_t pc_ram);
/* All units that cover this offset of whatever page. */
void jit_kill_offset(Jit *j, unsigned offset);
void jit_unit_kill(Jit *j, JitUnit *u, JitKill cause);
void jit_unit_link(Jit *j, JitExit *x, JitUnit *to);
void jit_unit_unlink(Jit *j, JitExit *x);
/* From now on units may use the host's floating point. */
void jit_fp_begin(Jit *j);

/* Back end of the host (x86_64/). */
struct Emit *jit_emit_new(Jit *j);
void jit_emit_free(struct Emit *e);
/* Compiles into the cache and returns the unit, not yet inserted; NULL: run it interpreted. */
JitUnit *jit_emit(Jit *j, const IrUnit *u, unsigned flags);
/* Makes the entry stubs in the reserved start of the cache. */
void jit_emit_stubs(Jit *j);
/* Points a displacement (cache offset) at code; safe while others run. */
void jit_patch(Jit *j, uint32_t at, uint32_t target);
/* Leads an exit that leaves the page to a unit; false: its bridge belongs to another page. */
bool jit_patch_bridge(Jit *j, JitExit *x, const JitUnit *to);
/* Makes an exit's stub ask the jump cache from now on instead of the dispatcher. */
void jit_patch_probe(Jit *j, const JitExit *x);
/* Makes a unit's entry lead to its dead stub. */
void jit_patch_dead(Jit *j, JitUnit *u);
char *jit_host_unavailable(void);
/* Host FP status: load the guest's mode; take the flags that accumulated (x86 order). */
void jit_fp_enter(JitCpu *jc);
void jit_fp_leave(JitCpu *jc);
/* Called by generated code when mode, regime or its fetch epoch may have changed. */
void jit_update_key(JitCpu *jc);
/* Host disassembly of the unit for -d out_asm: hexadecimal, for objdump. */
void jit_dump_code(Jit *j, const JitUnit *u, GString *out);

#endif
