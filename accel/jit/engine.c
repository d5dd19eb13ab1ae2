/* SPDX-License-Identifier: Apache-2.0 */
/* The translator (accel/jit) as an engine. */
#include "accel/engine.h"
#include "accel/jit/internal.h"
#include "core/memory.h"

static void *make(Tcg *tcg, Vm *vm, const GuestIsa *isa, GError **error)
{
    JitOptions o = {.cache_size = tcg->tb_size << 20, .force_miss = tcg->force_miss,
                    .invalidate = tcg->invalidate, .icount = tcg->counting,
                    .unprotect = interp_unprotect, .opaque = tcg->interp};

    return jit_new(vm, isa, &o, error);
}

static void release(void *e) { jit_free(e); }
static void cpu_init(void *e, Cpu *cpu) { jit_cpu_init(e, cpu); }
static void cpu_finish(void *e, Cpu *cpu) { jit_cpu_finish(cpu); }

static EngineResult run(void *e, Cpu *cpu, bool once)
{
    switch (jit_run(cpu, once)) {
    case JIT_INTERPRET: return ENGINE_INTERPRET;
    case JIT_STEP: return ENGINE_STEP;
    default: return ENGINE_REQUEST;
    }
}

static void unwound(void *e, Cpu *cpu) { jit_unwound(cpu); }
static uint64_t ahead(const Cpu *cpu) { return cpu->jit->refund; }

static void code_written(void *e, uint64_t ram_offset, uint64_t len)
{
    jit_code_written(e, ram_offset, len, JIT_KILL_DMA);
}

static void code_store(void *e, Cpu *cpu, uint64_t ram_offset, unsigned len)
{
    jit_code_store(e, cpu, ram_offset, len);
}

static void flush(void *e) { jit_flush(e); }
static void breakpoint(void *e, uint64_t pc) { jit_breakpoint(e, pc); }
static void info(void *e, GString *out) { jit_info(e, out); }

static void dump(void *e, Cpu *cpu, uint64_t pc, GString *out)
{
    Jit *j = e;
    uint64_t pa, n = 1;

    if (!cpu_debug_translate(cpu, pc, &pa)) {
        return;
    }
    unsigned flags = JIT_UNIT_ONCE | (j->opt.icount ? JIT_UNIT_ICOUNT : 0);
    const JitUnit *u = jit_unit_find(j, as_ram(cpu->memory, pa, &n, false), cpu->mode, flags);
    if (u) {
        jit_dump_code(j, u, out);
    }
}

const EngineType tcg_jit = {
    .name = "jit", .unavailable = jit_unavailable, .make = make, .free = release,
    .cpu_init = cpu_init, .cpu_finish = cpu_finish, .run = run, .unwound = unwound, .ahead = ahead,
    .code_written = code_written, .code_store = code_store, .flush = flush, .breakpoint = breakpoint, .dump = dump, .info = info,
};
