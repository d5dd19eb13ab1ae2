/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines behind `-accel tcg`: the interpreter and the translator. tcg.c owns the run loop
 * (requests, interrupts, debugging, instruction budget) and asks an engine to run units.
 */
#ifndef ACCEL_ENGINE_H
#define ACCEL_ENGINE_H

#include "core/accel.h"
#include "core/cpu.h"

typedef struct Tcg Tcg;

/* Why an engine came back. */
typedef enum EngineResult {
    ENGINE_REQUEST,             /* cpu->req is set, or the mode changed, or a unit ended in resync */
    ENGINE_INTERPRET,           /* run one unit at cpu->pc by the interpreter */
    ENGINE_STEP,                /* run one instruction by the interpreter, whatever it overwrites */
} EngineResult;

/* `e` is what make() returned, shared by all vCPUs of the machine. All but make, free, code_written,
 * flush and info run on the vCPU's thread. */
typedef struct EngineType {
    const char *name;
    /* NULL if usable here, else why not (caller frees). */
    char *(*unavailable)(void);
    void *(*make)(Tcg *tcg, Vm *vm, const GuestIsa *isa, GError **error);
    void (*free)(void *e);
    void (*cpu_init)(void *e, Cpu *cpu);
    void (*cpu_finish)(void *e, Cpu *cpu);
    /* Runs units from cpu->pc. `once`: one unit only. Helpers and faults leave by cpu_exit(). */
    EngineResult (*run)(void *e, Cpu *cpu, bool once);
    /* After cpu_exit() has unwound out of run(), and before anything else. */
    void (*unwound)(void *e, Cpu *cpu);
    /* Instructions taken from the budget but not begun, while C code of one runs. NULL: never any. */
    uint64_t (*ahead)(const Cpu *cpu);
    /* RAM changed behind the engine, any thread / a store by this CPU into a page with code, before
     * it happens; may leave by cpu_exit() when it hits the running unit, whose instruction then is
     * stepped. */
    void (*code_written)(void *e, uint64_t ram_offset, uint64_t len);
    void (*code_store)(void *e, Cpu *cpu, uint64_t ram_offset, unsigned len);
    void (*flush)(void *e);
    /* A breakpoint comes or goes at pc; the vCPUs stand. Units with one at the same offset of any page
     * end before it, and none begins there: run() comes back. */
    void (*breakpoint)(void *e, uint64_t pc);
    /* The host code of the unit at pc, as run with `once`; NULL: there is none. */
    void (*dump)(void *e, Cpu *cpu, uint64_t pc, GString *out);
    void (*info)(void *e, GString *out);
} EngineType;

extern const EngineType tcg_interp, tcg_jit;

struct Tcg {
    Accel accel;
    /* options */
    int thread, engine;         /* TCG_THREAD_*, TCG_ENGINE_* */
    uint64_t tb_size;           /* MiB; 0: default */
    uint64_t every;             /* check: every Nth unit */
    bool one_insn, split_wx, check;
    char *icount;               /* shift of -icount, NULL: off */
    uint32_t force_miss, invalidate;    /* hostile modes */
    /* state */
    GMutex lock;                /* of making engines */
    const EngineType *type;
    void *interp, *main;        /* engines' own; main may be interp */
    bool counting;
    unsigned shift;
    GMutex turn;                /* thread=single: held by the vCPU that runs */
    Cpu *running;               /* its holder; atomic */
};
enum { TCG_THREAD_MULTI, TCG_THREAD_SINGLE };
enum { TCG_ENGINE_JIT, TCG_ENGINE_INTERP };

/* cpu->engine */
typedef struct TcgCpu {
    Tcg *tcg;
    struct InterpCpu *interp;
    struct CheckCpu *check;
    int64_t granted;            /* instructions, with counting */
    GArray *breakpoints;        /* that the engines know of */
    bool stepping;              /* code_store must not leave the unit */
    uint64_t units;             /* run one at a time: checked, stepped */
} TcgCpu;

/* Interprets exactly one instruction at cpu->pc, not from the cache. */
void interp_step(void *e, Cpu *cpu);
/* The other engine has no more code in the page: unprotects it unless the interpreter has. */
void interp_unprotect(void *e, uint64_t ram_offset);
/* The unit at cpu->pc, from the cache or made now; NULL when the code is not in RAM. */
const IrUnit *interp_unit(void *e, Cpu *cpu);

/* ---- check.c ---- */
void check_cpu_finish(Cpu *cpu);
void check_info(Cpu *cpu, GString *out);
/* Runs one unit by the interpreter for trial, then by the engine for real, and compares. */
EngineResult check_run(Tcg *tcg, Cpu *cpu);
/* After cpu_exit() out of the trial: true if it was the trial that left. */
bool check_unwound(Tcg *tcg, Cpu *cpu);

#endif
