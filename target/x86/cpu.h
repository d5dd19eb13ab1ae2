/* SPDX-License-Identifier: Apache-2.0 */
/* The x86 CPU's state, private to this folder. Intel SDM vol. 3A, AMD APM vol. 2. */
#ifndef TARGET_X86_CPU_H
#define TARGET_X86_CPU_H

#include <inttypes.h>
#include "core/cpu.h"
#include "core/vm.h"
#include "target/x86.h"
#include "target/x86-cpuid.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS };

/* EFLAGS */
enum {
    FLAG_C = 1, FLAG_1 = 2, FLAG_P = 4, FLAG_A = 0x10, FLAG_Z = 0x40, FLAG_S = 0x80,
    FLAG_T = 0x100, FLAG_I = 0x200, FLAG_D = 0x400, FLAG_O = 0x800, FLAG_IOPL = 0x3000,
    FLAG_NT = 0x4000, FLAG_R = 0x10000, FLAG_VM = 0x20000, FLAG_AC = 0x40000,
    FLAG_VIF = 0x80000, FLAG_VIP = 0x100000, FLAG_ID = 0x200000,
    FLAGS_ARITH = FLAG_C | FLAG_P | FLAG_A | FLAG_Z | FLAG_S | FLAG_O,
};

enum {
    CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_ET = 16, CR0_NE = 32, CR0_WP = 1 << 16,
    CR0_AM = 1 << 18, CR0_NW = 1 << 29, CR0_CD = 1 << 30,
};
#define CR0_PG (1u << 31)
enum {
    CR4_VME = 1, CR4_PVI = 2, CR4_TSD = 4, CR4_DE = 8, CR4_PSE = 16, CR4_PAE = 32, CR4_MCE = 64,
    CR4_PGE = 128, CR4_PCE = 256, CR4_OSFXSR = 512, CR4_OSXMMEXCPT = 1024, CR4_UMIP = 1 << 11,
    CR4_LA57 = 1 << 12, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PKE = 1 << 22,
};
/* IA32_MISC_ENABLE */
enum { MISC_FAST_STRINGS = 1, MISC_MONITOR = 1 << 18, MISC_LIMIT_CPUID = 1 << 22 };
#define MISC_NX_OFF (1ull << 34)
enum { EFER_SCE = 1, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NX = 1 << 11, EFER_FFXSR = 1 << 14 };

enum {
    EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_CSO, EXC_TS,
    EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XF,
};

/* Segment attributes: bits 8-23 of the descriptor's second word, shifted right by 8. */
enum {
    ATTR_TYPE = 15, ATTR_A = 1, ATTR_W = 2, ATTR_R = 2, ATTR_E = 4, ATTR_C = 4, ATTR_CODE = 8,
    ATTR_S = 1 << 4, ATTR_DPL_SHIFT = 5, ATTR_P = 1 << 7, ATTR_L = 1 << 13, ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
};
#define ATTR_DPL(a) ((a) >> ATTR_DPL_SHIFT & 3)

typedef struct X86Seg {
    uint16_t sel, attr;
    uint32_t limit;             /* in bytes */
    uint64_t base;
    /* Derived bounds of valid offsets, signed so that -1 refuses all: [lo, rd] and [lo, wr]. */
    int64_t lo, rd, wr;
} X86Seg;

typedef struct X86Table {
    uint64_t base;
    uint32_t limit;
} X86Table;

/*
 * The mode word: everything that changes how code is translated.
 * MODE_FLAT << seg: es, cs, ss, ds have base 0 and no limit; fs, gs have no limit.
 */
enum {
    MODE_CPL = 3,
    MODE_CS32 = 1 << 2, MODE_CS64 = 1 << 3, MODE_SS32 = 1 << 4, MODE_PE = 1 << 5, MODE_VM = 1 << 6,
    MODE_FLAT = 1 << 7,         /* 7-12 */
    MODE_LMA = 1 << 13,
    MODE_TF = 1 << 14,          /* trap after each instruction */
    MODE_SHADOW = 1 << 15,      /* the one instruction after sti / mov ss */
    MODE_BP = 1 << 16,          /* breakpoints on instructions or ports are armed in dr7 */
    MODE_AC = 1 << 17,          /* alignment is checked */
    MODE_IOPL_OK = 1 << 18,     /* cpl <= iopl */
    MODE_TS = 1 << 19, MODE_EM = 1 << 20, MODE_MP = 1 << 21, MODE_OSFXSR = 1 << 22,
    MODE_AVX = 1 << 23,         /* OSXSAVE and xcr0 has SSE and AVX */
    MODE_UMIP = 1 << 24, MODE_TSD = 1 << 25, MODE_FSGSBASE = 1 << 26,
    MODE_PKE = 1 << 27, MODE_OSXSAVE = 1 << 28,
    MODE_SMM = 1 << 29,
    MODE_XM = 1 << 30,          /* some exception of mxcsr is not masked */
};
#define MODE_VIF (1u << 31)     /* VME, PVI: cli, sti and friends work on VIF */

/*
 * Lazily evaluated arithmetic flags: cc_op says how to make them from cc_a, cc_b, cc_c.
 * The low two bits are log2 of the operand size. Operands may carry garbage above their size.
 */
enum {
    CC_EFLAGS = 0,              /* a: the flags themselves */
    CC_ADD = 4,                 /* a: result, b: second operand */
    CC_ADC = 8,                 /* the same, c: carry in */
    CC_SUB = 12,                /* a, b: operands */
    CC_SBB = 16,                /* a, b: operands, c: borrow in */
    CC_LOGIC = 20,              /* a: result */
    CC_INC = 24,                /* a: result, b: carry to keep */
    CC_DEC = 28,
    CC_SHL = 32,                /* a: result, b: value shifted by one less */
    CC_SAR = 36,                /* likewise, for shr and sar */
    CC_MUL = 40,                /* a: result, b: not zero if it does not fit */
    CC_LOGICC = 44,             /* a: result, b: carry in bit 0; the rest as CC_LOGIC */
    CC_COUNT = 48,
};

/* X86_F_sse2 …: word * 32 + bit */
enum {
    X86_F_none = -1,
#define FEATURE(id, name, word, bit, have) X86_F_##id = (word) * 32 + (bit),
#include "target/x86/features.inc"
};

/* Requests private to this architecture (Cpu.req). */
enum {
    X86_REQ_NMI = CPU_REQ_ISA, X86_REQ_SMI = CPU_REQ_ISA << 1, X86_REQ_INIT = CPU_REQ_ISA << 2,
    X86_REQ_SIPI = CPU_REQ_ISA << 3, X86_REQ_RESET = CPU_REQ_ISA << 4,
    X86_REQ_A20 = CPU_REQ_ISA << 5, X86_REQ_QUEUED = CPU_REQ_ISA << 6,
    X86_REQ_TRAP = CPU_REQ_ISA << 7,        /* #DB behind the instruction, as dr6_pending says */
    X86_REQ_ALL = X86_REQ_NMI | X86_REQ_SMI | X86_REQ_INIT | X86_REQ_SIPI | X86_REQ_RESET | X86_REQ_A20 |
                  X86_REQ_QUEUED | X86_REQ_TRAP,
};

typedef union X86Vec {
    uint8_t b[32];
    uint16_t h[16];
    uint32_t w[8];
    uint64_t d[4];
    float f32[8];
    double f64[4];
} __attribute__((aligned(16))) X86Vec;

typedef struct X86St {          /* x87 register: 80 bits; mmx: frac */
    uint64_t frac;
    uint16_t se;
    uint16_t pad[3];
} X86St;

typedef struct X86Mtrr { uint64_t base, mask; } X86Mtrr;
enum { X86_MTRRS = 8, X86_MC_BANKS = 10 };

typedef struct X86Model X86Model;
typedef struct X86Stack X86Stack;

/* What is delivered: a fault, a trap (returns after the instruction), int n, an outside event. */
typedef enum X86Event { EVENT_FAULT, EVENT_TRAP, EVENT_SOFTWARE, EVENT_EXTERNAL } X86Event;

/* An event that another engine had begun to deliver; kind: X86QueuedKind (target/x86-state.h). */
typedef struct X86Queued {
    uint8_t kind, vector;
    bool has_error;
    uint32_t error;
} X86Queued;

enum { MMU_CURRENT = 0, MMU_SYSTEM = 1 };       /* mmu index: implicit supervisor accesses */

typedef struct X86Cpu {
    Cpu cpu;
    uint64_t regs[16];
    uint64_t cc_a, cc_b, cc_c;
    uint32_t cc_op;
    uint32_t eflags;            /* all but the arithmetic flags */
    X86Seg seg[6];
    X86Seg ldt, tr;
    X86Table gdt, idt;
    X86Vec xmm[16];             /* ymm0-15 */
    uint32_t mxcsr;             /* its flags: x86_get_mxcsr() */
    X86Vec fp_val[4];           /* three operands and the result on their way to a helper */

    /* x87 and MMX: st[i] is physical register i; ST(n) = st[(top + n) & 7]. */
    X86St st[8];
    uint16_t fcw, fsw;          /* fsw without TOP */
    uint8_t ftop;
    uint8_t fempty;             /* bit i: physical register i is empty */
    uint16_t fop;
    uint16_t fcs, fds;
    uint64_t fip, fdp;

    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[8];
    uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t xcr0, xss;
    uint32_t pkru;
    uint64_t tsc_aux;
    uint64_t pat, mtrr_def, mtrr_fixed[11];
    X86Mtrr mtrr[X86_MTRRS];
    uint64_t mcg_status, mcg_ctl, mc[X86_MC_BANKS][4];
    uint64_t misc_enable, ucode_rev, feature_control, debugctl, spec_ctrl;
    uint64_t apic_base;         /* when no controller answers */
    int64_t tsc_offset;         /* added to the machine's time in ticks */
    uint64_t tsc_adjust;
    uint64_t pdpte[4];          /* PAE: loaded with cr3 */
    uint64_t smbase;
    uint64_t kvm_clock, kvm_wall_clock;
    bool in_smm, nmi_masked;
    AddressSpace *smm_memory;   /* NULL: none of its own */
    bool smm_nmi;               /* nmi_masked of the interrupted code, in SMM */
    uint8_t saved_cpl;          /* for saved state and SMM */
    uint32_t saved_requests;
    uint32_t held;              /* X86_REQ_* that wait until they may be taken */
    bool shadow;                /* interrupts held off for one instruction */
    bool wait_sipi;
    bool monitor_armed;

    /* Latched inputs, changed by other threads atomically. */
    bool intr, a20;
    uint8_t sipi_vector;
    uint64_t a20_mask;

    /* The fault found by translate_va, and delivery in progress (double faults). */
    uint32_t fault_error;
    int fault_vector;           /* EXC_PF, or EXC_GP for a non-canonical address */
    bool in_delivery;
    X86Queued queued;
    int delivering;             /* vector, while in_delivery */
    X86Event event;
    uint64_t regime;            /* key of the current translation regime */
    uint32_t dr6_pending;
    CpuWatch watching[4];       /* watchpoints made from dr0-3 */

    /* Configuration. */
    const X86Model *model;
    const X86Caps *caps;        /* the accelerator's; NULL: what the translator can */
    uint32_t features[X86_WORDS];
    uint32_t unavailable[X86_WORDS];    /* wanted, but not to be had */
    uint32_t cpuid_version;
    uint32_t phys_bits;
    char *vendor, *model_id;
    uint32_t family, model_no, stepping;
    /* Highest leaves. level, xlevel: 0 is from the model and its features, no less than the minima. */
    uint32_t level, xlevel, min_level, min_xlevel, phys_bits_prop;
    uint32_t apic_id;
    X86Place place;
    bool bsp;
    bool kvm, prop_check, prop_enforce, expose_tcg, pmu, migratable, l3_cache, host_cache_info;
    bool host_phys_bits, legacy_cache, auto_level, leaf_b;
    uint64_t tsc_hz;
    bool tsc_default;           /* tsc_hz is not the user's */
    const X86IrqSource *irq;
    void *irq_opaque;
    Irq ferr;
} X86Cpu;

static inline X86Cpu *x86_of(Cpu *cpu) { return (X86Cpu *)cpu; }
static inline bool x86_has(const X86Cpu *x, int f) { return x->features[f >> 5] >> (f & 31) & 1; }
static inline unsigned x86_cpl(const X86Cpu *x) { return x->cpu.mode & MODE_CPL; }
static inline bool x86_long(const X86Cpu *x) { return x->efer & EFER_LMA; }
static inline bool x86_code64(const X86Cpu *x) { return x->cpu.mode & MODE_CS64; }
static inline bool x86_vm86(const X86Cpu *x) { return x->eflags & FLAG_VM; }
static inline bool x86_protected(const X86Cpu *x) { return x->cr0 & CR0_PE; }
/* Instruction pointer from the linear one and back. */
static inline uint64_t x86_ip(const X86Cpu *x)
{
    return x86_code64(x) ? x->cpu.pc : (uint32_t)(x->cpu.pc - x->seg[CS].base);
}
static inline uint64_t x86_linear_pc(const X86Cpu *x, uint64_t ip)
{
    return x86_code64(x) ? ip : (uint32_t)(x->seg[CS].base + ip);
}


/* EFLAGS as a virtual-8086 task with a virtual interrupt flag is shown it. */
static inline uint32_t x86_virtual_flags(uint32_t f)
{
    return (f & ~FLAG_I) | (f & FLAG_VIF) >> 10 | FLAG_IOPL;
}

/* flags.c */
uint32_t x86_cc_flags(Cpu *cpu, uint64_t op, uint64_t a, uint64_t b, uint64_t c);
uint32_t x86_arith_flags(X86Cpu *x);
uint32_t x86_get_eflags(X86Cpu *x);
/* Writes all flags (arithmetic ones, too); recomputes the mode. */
void x86_set_eflags(X86Cpu *x, uint32_t flags);
static inline void x86_set_arith(X86Cpu *x, uint32_t flags)
{
    x->cc_op = CC_EFLAGS;
    x->cc_a = flags & FLAGS_ARITH;
}

/* fpu.c: raises a pending x87 error. */
void x86_fpu_wait(X86Cpu *x);

/* state.c: derived state */
void x86_update_mode(X86Cpu *x);
void x86_update_fp_mode(X86Cpu *x);
void x86_update_watchpoints(X86Cpu *x);
void x86_seg_bounds(X86Seg *s, bool protected_mode);

/* except.c. x86_raise delivers and leaves the unit; cpu->pc must be at the instruction. */
G_NORETURN void x86_raise(X86Cpu *x, int vector, uint32_t error);
G_NORETURN static inline void x86_raise_gp(X86Cpu *x, uint32_t error) { x86_raise(x, EXC_GP, error); }
/* Delivers vector; returns (the caller leaves the unit). */
void x86_deliver(X86Cpu *x, int vector, uint32_t error, X86Event how, uint64_t return_ip);
bool x86_interrupt(Cpu *cpu);
void x86_release_held(X86Cpu *x);
bool x86_has_work(Cpu *cpu);
/* int n in virtual-8086 mode. */
void x86_int_vm86(X86Cpu *x, int vector, uint64_t next_ip);
void x86_triple_fault(X86Cpu *x);
void x86_debug_exception(Cpu *cpu);

/* segment.c */
bool x86_fetch_descriptor(X86Cpu *x, uint16_t sel, uint32_t d[2]);
void x86_load_seg_cache(X86Cpu *x, int seg, uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr);
void x86_load_seg(X86Cpu *x, int seg, uint16_t sel);
void x86_load_seg_real(X86Cpu *x, int seg, uint16_t sel);
/* Far control transfers; return with cs and pc set. next_ip: after the instruction. */
void x86_far_jump(X86Cpu *x, uint16_t sel, uint64_t ip, unsigned size, uint64_t next_ip);
void x86_far_call(X86Cpu *x, uint16_t sel, uint64_t ip, unsigned size, uint64_t next_ip);
void x86_far_ret(X86Cpu *x, unsigned size, unsigned drop);
void x86_iret(X86Cpu *x, unsigned size, uint64_t next_ip);
void x86_load_ldt(X86Cpu *x, uint16_t sel);
void x86_load_tr(X86Cpu *x, uint16_t sel);
/* A stack being pushed to or popped from; nothing is committed until the caller sets rsp. */
struct X86Stack {
    X86Cpu *x;
    uint64_t base, sp, mask;
    const X86Seg *seg;          /* limits to check; NULL: none */
    unsigned mmu;
    int vector;                 /* exception of a limit violation, error code */
    uint32_t error;
};
X86Stack x86_stack(X86Cpu *x);
void x86_stack_push(X86Stack *s, unsigned size, uint64_t v);
uint64_t x86_stack_pop(X86Stack *s, unsigned size);
void x86_stack_commit(X86Stack *s);
void x86_cache_from(X86Seg *s, uint16_t sel, const uint32_t d[2]);
enum { TASK_CALL, TASK_JMP, TASK_IRET };
void x86_task_switch(X86Cpu *x, uint16_t sel, const uint32_t d[2], int how, uint64_t next_ip);
/* ss:esp of an inner ring from the TSS. */
void x86_tss_stack(X86Cpu *x, unsigned cpl, uint16_t *ss, uint64_t *sp);
X86Stack x86_inner_stack(X86Cpu *x, unsigned cpl, X86Seg *seg);
/* Loads cs and pc; the descriptor has been checked. */
void x86_set_cs(X86Cpu *x, uint16_t sel, uint32_t d[2], unsigned cpl, uint64_t ip);

/* paging.c */
bool x86_translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug, Translation *t);
void x86_raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu);
void x86_raise_unaligned(Cpu *cpu, uint64_t va, MemAccess access);
void x86_select_regime(X86Cpu *x);
void x86_load_pdptes(X86Cpu *x, uint64_t cr3);
void x86_write_cr0(X86Cpu *x, uint64_t v);
void x86_write_cr3(X86Cpu *x, uint64_t v);
void x86_write_cr4(X86Cpu *x, uint64_t v);
bool x86_canonical(const X86Cpu *x, uint64_t va);

/* Port I/O: permission (raises #GP), access. */
void x86_io_check(X86Cpu *x, uint16_t port, unsigned size);
uint64_t x86_io_in(X86Cpu *x, uint16_t port, unsigned size);
void x86_io_out(X86Cpu *x, uint16_t port, uint64_t v, unsigned size);

/* xstate.c: the standard XSAVE image of x87, SSE and AVX (832 bytes). */
void x86_xsave_image(X86Cpu *x, uint8_t *m);
void x86_xsave_load(X86Cpu *x, const uint8_t *m);
/* The whole of MXCSR, with the flags that the engine accrues. */
uint32_t x86_get_mxcsr(X86Cpu *x);
void x86_set_mxcsr(X86Cpu *x, uint32_t v);

/* msr.c, cpuid.c */
bool x86_msr_read(X86Cpu *x, uint32_t msr, uint64_t *v);
bool x86_msr_write(X86Cpu *x, uint32_t msr, uint64_t v);
uint64_t x86_tsc(X86Cpu *x);
/* The caches of a model, for cpuid.c. */
typedef enum X86Caches { CACHES_LEGACY, CACHES_EPYC, CACHES_ROME, CACHES_MILAN, CACHES_GENOA } X86Caches;
X86Caches x86_model_caches(const X86Cpu *x);
void x86_cpuid(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t out[4]);
/* Bytes of the XSAVE area for the given components, compacted or not. */
uint32_t x86_xsave_size(uint64_t mask, bool compacted);
uint64_t x86_xcr0_allowed(const X86Cpu *x);
uint64_t x86_xinuse(const X86Cpu *x);   /* components not in their initial state */

/* smm.c */
/* halted: the SMI came while it stood in hlt. */
void x86_smm_enter(X86Cpu *x, bool halted);
void x86_smm_leave(X86Cpu *x);
/* After in_smm or a20 changed: which memory is seen, by which address lines; flushes. */
void x86_select_memory(X86Cpu *x);

/* translate.c, disas.c */
void x86_translate(Cpu *cpu, IrBuilder *b);
unsigned x86_disassemble(Cpu *cpu, const uint8_t *bytes, unsigned n, uint64_t pc, GString *out);

void x86_reset(Cpu *cpu);
/* model.c */
bool x86_realize(Cpu *cpu, GError **error);
bool x86_expand(Cpu *cpu, GError **error);
void x86_model_facts(Cpu *cpu, CpuModelFacts *facts);
void x86_pin(Device *d, uint32_t n, bool level);

#endif
