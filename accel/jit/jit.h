/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translating engine: guest code to host code through the IR. Used by accel/tcg.
 *
 * Jit is a machine's; JitCpu a vCPU's and its thread's. jit_run() must be called with cpu->exit_env
 * set up: helpers leave by cpu_exit().
 */
#ifndef ACCEL_JIT_JIT_H
#define ACCEL_JIT_JIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef struct Cpu Cpu;
typedef struct Vm Vm;
typedef struct GuestIsa GuestIsa;
typedef struct Jit Jit;
typedef struct JitCpu JitCpu;

/* Causes of invalidation, for `info jit`. */
typedef enum JitKill {
    JIT_KILL_STORE,             /* the guest wrote there */
    JIT_KILL_DMA,               /* somebody else did */
    JIT_KILL_EVICT,             /* cache full */
    JIT_KILL_TEST,              /* x-invalidate */
    JIT_KILL_ALL,
    JIT_KILL_COUNT,
} JitKill;

typedef struct JitOptions {
    size_t cache_size, chunk_size;      /* bytes; 0: default */
    unsigned force_miss;        /* hostile: every Nth translated access always takes the slow path */
    unsigned invalidate;        /* hostile: every Nth dispatch kills the unit about to run */
    bool icount;                /* units spend cpu->icount_budget */
    /* A page holds no more translated code; whoever else has code there keeps it protected. NULL: it
     * stays protected. Called with the engine's lock. */
    void (*unprotect)(void *opaque, uint64_t ram_offset);
    void *opaque;
} JitOptions;

/* NULL when this host has a back end and the CPU what it needs, else why not (caller frees). */
char *jit_unavailable(void);
Jit *jit_new(Vm *vm, const GuestIsa *isa, const JitOptions *opt, GError **error);
void jit_free(Jit *j);
void jit_cpu_init(Jit *j, Cpu *cpu);
void jit_cpu_finish(Cpu *cpu);

/* Runs translated code from cpu->pc until cpu->req is set or something needs the interpreter. */
typedef enum JitResult {
    JIT_REQUEST,                /* cpu->req, mode changed or breakpoint: look, then come again */
    JIT_INTERPRET,              /* run one unit at cpu->pc by the interpreter (not RAM, icount tail) */
    JIT_STEP,                   /* run one instruction: it stores into the code around it */
} JitResult;
/* once: one unit, then JIT_REQUEST. */
JitResult jit_run(Cpu *cpu, bool once);
/* After cpu_exit() has unwound out of jit_run(), and before anything else. */
void jit_unwound(Cpu *cpu);

/* The guest's RAM changed (any thread); a vCPU stores to a page with code (its thread; may not
 * return: the running unit is restarted by the interpreter). */
void jit_code_written(Jit *j, uint64_t ram_offset, uint64_t len, JitKill cause);
void jit_code_store(Jit *j, Cpu *cpu, uint64_t ram_offset, unsigned len);
void jit_flush(Jit *j);
/* A breakpoint comes or goes at pc. The vCPUs stand. */
void jit_breakpoint(Jit *j, uint64_t pc);
void jit_info(Jit *j, GString *out);

#endif
