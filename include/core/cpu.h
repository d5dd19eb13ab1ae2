/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual CPU as every engine and device sees it, and the table that describes a guest
 * architecture. target/<isa>/ embeds Cpu first in its own struct and fills one GuestIsa.
 *
 * Home: the vCPU's thread. Others use cpu_request(), cpu_post() or cpu_run_on().
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include <pthread.h>
#include <setjmp.h>
#include <glib.h>
#include "core/device.h"
#include "core/softmmu.h"
#include "ir/ir.h"

typedef struct GuestIsa GuestIsa;
typedef struct Accel Accel;
typedef struct AddressSpace AddressSpace;

/* Bits of Cpu.req: reasons to leave generated code. Set by any thread with cpu_request(). */
enum {
    CPU_REQ_IRQ = 1 << 0,       /* isa->pending() may have something to deliver */
    CPU_REQ_WORK = 1 << 1,      /* posted work, pause, quit */
    CPU_REQ_FLUSH = 1 << 2,     /* TLB flush asked for by another CPU */
    CPU_REQ_DEBUG = 1 << 3,     /* single step or breakpoints changed */
    CPU_REQ_YIELD = 1 << 4,     /* leave the engine that another accelerator runs; it clears the bit */
    CPU_REQ_ISA = 1 << 8,       /* from here on: the guest architecture's own */
};

typedef enum CpuRunState { CPU_STOPPED, CPU_RUNNING, CPU_HALTED } CpuRunState;

struct Cpu {
    Device dev;                 /* QOM object; type "<model>-<isa>-cpu" */
    const GuestIsa *isa;
    struct Vm *vm;
    unsigned index;             /* 0 … vm->n_cpus - 1 */
    AddressSpace *memory;       /* physical memory as this CPU sees it */
    AddressSpace *io;           /* port space or NULL */

    /* Read by generated code; the offsets are fixed when the process is built. */
    uint32_t req;               /* CPU_REQ_*, atomic */
    uint32_t mode;              /* unit key: whatever changes how code is translated */
    uint64_t pc;                /* next instruction; exact in helpers with IR_H_FAULT and outside units */
    uint64_t page_base;         /* virtual page of the running unit (engines' own use) */
    TlbInstance *tlb;           /* current translation regime; see softmmu.h */
    int64_t icount_budget;      /* instructions until the next virtual-time event (with -icount) */
    uint32_t fp_mode;           /* FP_* for generated code; set with cpu_set_fp_mode() */
    uint32_t fp_flags;          /* accrued flags not living in the host's FP status */
    struct Softmmu *mmu;        /* all instances, second level, statistics */
    void *engine;               /* accelerator's per-CPU data */
    struct JitCpu *jit;         /* translated code's: jump cache, … */
    uint64_t spill[128];        /* temporaries of translated code */
    uint8_t vec_buf[4 * 32];    /* vectors on their way between translated code and C */
    uint64_t host_sp;           /* translated code's stack: its base, and how far it may grow */
    uint64_t host_sp_limit;

    /* Leaving a unit from inside a helper. */
    sigjmp_buf exit_env;
    bool can_exit;              /* exit_env is valid: running units */

    /* Thread and run control (core/cpu/thread.c). */
    GThread *thread;
    CpuRunState state;
    bool halted;                /* waits for an interrupt; guarded by the wait lock */
    bool stop, unplug;
    bool hold;                  /* only others run: the debugger says so, or it is not yet plugged; control thread */
    int tid;
    struct CpuWork *work;       /* posted calls */
    pthread_mutex_t work_lock;
    pthread_cond_t wake;
    bool sleeping;              /* the thread waits (or is about to); atomic */
    bool in_run;                /* in accel->run; guarded by the run control's lock */
    char *model;                /* "max" of -cpu max,… */
    /* Debugging: set by the gdb stub through cpu_breakpoint_*(), read by engines. */
    bool singlestep;
    GArray *breakpoints;        /* uint64_t virtual pc */
    GArray *watchpoints;        /* CpuWatch */
    const struct CpuWatch *watch_hit;
    uint64_t insn_count;        /* instructions retired, when counted */
};

/* FP mode for generated code: bits 0-2 FpRound, then flush-to-zero and denormals-are-zero. Bits 8-13
 * are the unmasked exceptions in the order of the flags: only ir_interpret_vector() heeds them (tiny
 * results that are exact underflow, nothing is flushed); front ends raise the exception. */
enum { FP_ROUND_MASK = 7, FP_FTZ = 1 << 3, FP_DAZ = 1 << 4, FP_UNMASKED_SHIFT = 8 };

typedef struct CpuWatch {
    uint64_t addr, len;
    uint8_t access;             /* 1 read, 2 write, 3 both */
    bool guest;                 /* the guest's own: isa->debug_exception() instead of a stop */
} CpuWatch;

/* One row per guest register: gdb, info registers, KVM, migration and tests read it. */
typedef struct CpuReg {
    const char *name;
    int32_t offset;             /* in the CPU struct; -1: through read/write */
    uint16_t bits;              /* width as gdb sees it */
    int16_t gdb;                /* gdb number, -1 none */
    uint8_t kind;               /* CPU_REG_* */
    const char *gdb_type;       /* "int64", "data_ptr", "code_ptr", "ieee_double", "vec128", … */
    const char *feature;        /* gdb feature, e.g. "org.gnu.gdb.riscv.cpu" */
    void (*read)(Cpu *, const struct CpuReg *, void *buf);
    void (*write)(Cpu *, const struct CpuReg *, const void *buf);
} CpuReg;
enum { CPU_REG_INT, CPU_REG_PC, CPU_REG_FLAGS, CPU_REG_SEG, CPU_REG_FLOAT, CPU_REG_VECTOR, CPU_REG_SYS };

/*
 * A guest architecture. All functions run on the vCPU's thread unless noted.
 */
/* What management tools are told of a CPU model. */
typedef struct CpuModelFacts {
    char *alias_of;             /* model that this name stands for; owned, or NULL */
    GPtrArray *unavailable;     /* char *, owned: properties the accelerator refuses; NULL: not known */
    bool is_static, migration_safe, deprecated;
} CpuModelFacts;

struct GuestIsa {
    const char *name;           /* "x86_64", "i386", "riscv64", "riscv32" */
    const char *cpu_suffix;     /* "x86_64-cpu" */
    uint32_t page_bits;         /* smallest page */
    bool big_endian;
    bool host_strings;          /* reserved */
    uint64_t key_asid_mask;     /* bits of a regime key (softmmu_select) that global pages ignore */
    int32_t slot_bias;          /* a slot offset in the middle of the hot slots (for short displacements) */

    /* Slots whose values never leave a unit need no listing; these name state for -d op. */
    const char *(*slot_name)(int32_t offset);

    /*
     * Translates from u->pc under u->mode. Fetch bytes with isa_fetch*(). Must call ir_insn() per
     * instruction, end with an exit, and set u->size. Stops before the page ends except for one
     * crossing instruction. May longjmp out through a fetch fault only on the first instruction.
     */
    void (*translate)(Cpu *cpu, IrBuilder *b);

    /* Walks the guest's page tables. `mmu` is the mop's index (0: current). On success fills *t.
     * On failure returns false with the fault recorded in the CPU for raise_fault (which is only
     * called when the access is real, not a probe or debugger). `debug`: no side effects (A/D). */
    bool (*translate_va)(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug,
                         Translation *t);
    /* Delivers the recorded fault: sets up the guest's exception entry state and returns; the
     * caller then leaves the unit. Also for failing physical accesses (bus errors) and alignment. */
    void (*raise_fault)(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu);
    void (*raise_bus_error)(Cpu *cpu, uint64_t va, uint64_t pa, MemAccess access);
    void (*raise_unaligned)(Cpu *cpu, uint64_t va, MemAccess access);

    /* Delivers one pending interrupt if it may be taken now. True if state changed. Called at unit
     * boundaries when req has CPU_REQ_IRQ or ISA bits; clears the bits it has dealt with. */
    bool (*interrupt)(Cpu *cpu);
    /* Whether a halted CPU has a reason to wake up. Any thread, racy by nature. */
    bool (*has_work)(Cpu *cpu);
    /* An access met one of the guest's own watchpoints (cpu->watch_hit): called behind its instruction,
     * delivers what the guest asked for. NULL if none. */
    void (*debug_exception)(Cpu *cpu);
    /* Raises a non-maskable interrupt; NULL: there is none. Any thread. */
    void (*nmi)(Cpu *cpu);

    bool (*realize)(Cpu *cpu, GError **error);
    /* Of a CPU that is not to be realized: fills in the properties that realize() would derive; the
     * facts of its model. NULL: nothing to tell. */
    bool (*expand)(Cpu *cpu, GError **error);
    void (*model_facts)(Cpu *cpu, CpuModelFacts *facts);
    void (*reset)(Cpu *cpu);
    void (*state_restored)(Cpu *cpu);   /* registers were written from outside: recompute mode, TLB */
    const CpuReg *regs;
    unsigned n_regs;
    const char *gdb_arch;       /* "i386:x86-64" */
    /* Disassembles one instruction at bytes[0..n) as if at pc; returns its length, 0 if unknown. */
    unsigned (*disassemble)(Cpu *cpu, const uint8_t *bytes, unsigned n, uint64_t pc, GString *out);
    /* The registers for people; floating-point and vector registers if asked for. */
    void (*dump)(Cpu *cpu, unsigned parts, GString *out);
};

/* Parts of a dump beside the general and system registers. */
enum { CPU_DUMP_FLOATS = 1, CPU_DUMP_VECTORS = 2, CPU_DUMP_ALL = 3 };

/* ---- what engines log (util/log.h) ---- */

/* Whether each entry of a unit is logged, so that the engine must see each. */
bool cpu_logs_entries(void);
/* -d exec, cpu: a unit is about to run at cpu->pc. Own thread, state whole. */
void cpu_log_entry(Cpu *cpu);
/* -d in_asm: the instructions of a unit of `size` bytes at virtual address pc. Own thread. */
void cpu_log_code(Cpu *cpu, uint64_t pc, unsigned size);
/* The same into a string: a line each; nothing if the bytes cannot be read. */
void cpu_print_code(Cpu *cpu, uint64_t pc, unsigned size, GString *out);

/* ---- leaving and waking ---- */

/* Leaves the running unit from a helper: state must be complete, cpu->pc at the next instruction. */
G_NORETURN void cpu_exit(Cpu *cpu);
/* Sets bits in cpu->req and makes sure that the CPU notices soon. Any thread. */
void cpu_request(Cpu *cpu, uint32_t bits);
/* A reason (data that has_work() reads) must be in place before its cpu_request(). */
/* Clears them. Own thread or with the CPU stopped. */
static inline void cpu_unrequest(Cpu *cpu, uint32_t bits)
{
    __atomic_and_fetch(&cpu->req, ~bits, __ATOMIC_SEQ_CST);
}
/* Runs fn on the CPU's thread at the next boundary: without / with waiting for it. Any thread;
 * cpu_run_on from another vCPU's thread serves its own queue while it waits. */
void cpu_post(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);
void cpu_run_on(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);
/* Runs fn on the calling vCPU's thread with all other vCPUs of the machine outside units. May be
 * called from a helper, while another's fn then may run before it; in no domain. */
void cpu_exclusive(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);
/* Halts until has_work(); called from helpers, which then leave the unit. */
void cpu_halt(Cpu *cpu);

/* vm->cpus has gaps where CPUs may come: NULL there and beyond the last. */
Cpu *cpu_at(struct Vm *vm, int64_t index);
/* The calling thread's CPU, or NULL. */
Cpu *cpu_current(void);
/* The calling thread is a CPU in a mode that sees other memory than devices do: system management mode. */
bool cpu_is_secure(void);
/* Control thread: all vCPUs of a machine stand (their posted work is still served) / go on. */
void cpus_pause(struct Vm *vm);
void cpus_resume(struct Vm *vm);

/* ---- debugging; control thread, with the CPU standing ---- */
void cpu_breakpoint_add(Cpu *cpu, uint64_t pc);
bool cpu_breakpoint_del(Cpu *cpu, uint64_t pc);
bool cpu_breakpoint_at(const Cpu *cpu, uint64_t pc);            /* the CPU's thread, too */
/* One is at this offset of some page: translated code serves all mappings of a page. */
bool cpu_breakpoint_near(const Cpu *cpu, uint64_t pc);
void cpu_watchpoint_add(Cpu *cpu, CpuWatch watch);
bool cpu_watchpoint_del(Cpu *cpu, CpuWatch watch);
void cpu_debug_clear(Cpu *cpu);
void cpu_singlestep(Cpu *cpu, bool on);

/* FP: host status holds the accrued flags while generated code runs (see accel.h). */
void cpu_set_fp_mode(Cpu *cpu, uint32_t fp_mode);
/* Accrued flags in x86 order (invalid, denormal, div-zero, overflow, underflow, inexact). */
uint32_t cpu_get_fp_flags(Cpu *cpu);
void cpu_set_fp_flags(Cpu *cpu, uint32_t flags);

/* ---- code fetch for front ends ---- */
/* Bytes at va (little-endian); raises a fetch fault when va is not mapped. va must lie within the
 * unit's page or the one after. */
uint8_t isa_fetch8(Cpu *cpu, IrBuilder *b, uint64_t va);
uint16_t isa_fetch16(Cpu *cpu, IrBuilder *b, uint64_t va);
uint32_t isa_fetch32(Cpu *cpu, IrBuilder *b, uint64_t va);
/* Copies up to n bytes, returns how many are mapped before a fault would occur. */
unsigned isa_fetch(Cpu *cpu, IrBuilder *b, uint64_t va, void *buf, unsigned n);

/* ---- registry ---- */
/* Guest architectures register through a linker section: ISA(x86_64_isa); */
#define ISA(isa) \
    static const GuestIsa *const isa##_entry __attribute__((used, retain, section("myna_isas"))) = &isa
const GuestIsa *isa_find(const char *name);
void isa_foreach(void (*fn)(const GuestIsa *isa, void *data), void *data);
/* CPU models are DeviceTypes that descend from "cpu", named "<model>-<isa->cpu_suffix>" (.aliases
 * are other names of the model). cpu_new() parses `spec` as in -cpu MODEL,+feat,-feat,feat,prop=val
 * (features are properties, '_' may stand for '-'), realizes the CPU into vm->cpus[index] under
 * /machine/unattached and starts its thread, standing until vm_start(). Order: properties,
 * isa->realize, accel->cpu_init, isa->reset. */
Cpu *cpu_new(struct Vm *vm, const GuestIsa *isa, const char *spec, unsigned index, GError **error);
/* Between creation and realization, for boards that give a CPU properties or a place in the tree of
 * their own: cpu_new() is both. */
Cpu *cpu_create(struct Vm *vm, const GuestIsa *isa, const char *spec, unsigned index, GError **error);
bool cpu_realize(Cpu *cpu, GError **error);
/* A CPU that the user makes as a device: it becomes one of the machine's, with what -cpu says of its
 * model; properties and device_realize() follow (MachineType.cpu_plug). */
bool cpu_adopt(Cpu *cpu, GError **error);
/* The guest has let go of it: takes it out of the machine. Control thread. */
void cpu_unplug(Cpu *cpu);

#endif
