/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State and register allocation of the forward pass, shared by emit*.c.
 *
 * Registers of generated code: rbp the Cpu plus isa->slot_bias, r12 the unit's virtual page, r14
 * cpu->tlb, rax and rcx scratch, xmm15 scratch, the rest allocated. rsp is a multiple of 16.
 */
#ifndef ACCEL_JIT_X86_64_EMIT_H
#define ACCEL_JIT_X86_64_EMIT_H

#include "accel/jit/alloc.h"
#include "accel/jit/internal.h"
#include "accel/jit/x86_64/asm.h"

enum {
    BRIDGE_SIZE = 104,
    XMM = 16,                   /* register numbers 16-31: vector registers */
    XMM_SCRATCH = XMM + 15,
    N_REGS = 32,
};
#define BIT(r) (1u << (r))
#define GPRS (BIT(RDX) | BIT(RBX) | BIT(RSI) | BIT(RDI) | BIT(R8) | BIT(R9) | BIT(R10) | BIT(R11) | \
              BIT(R13) | BIT(R15))
#define SAVED_GPRS (BIT(RBX) | BIT(R13) | BIT(R15))     /* by C functions */
#define VECS 0x7fff0000u

enum { MAX_CARRIED = 14, MAX_PEND = 32, MAX_HOMED = 32, MAX_FIXES = 2 * IR_MAX_NODES, COLD_SIZE = 1 << 20 };

typedef struct Pend {
    int32_t off;
    uint16_t bytes;
    IrRef v;
} Pend;

/* A slot that a loop carries in a register; see emit-loop.c. */
typedef struct Carried {
    int32_t off;
    uint16_t bytes;
    bool vec;                   /* in a vector register; above `bytes` it is zero */
    IrRef get;
    int8_t reg;                 /* at the head */
} Carried;

/* Allocation as it was at a branch, for the label's side. */
typedef struct Snap {
    IrRef in[N_REGS];
    uint32_t spilled, zx;       /* by register: V_SPILLED, V_ZX */
    unsigned n_pend, n_homed;
    int32_t pc_off;             /* Emit.pc_off, Emit.insns */
    unsigned insns;
    Pend pend[MAX_PEND];
    IrRef homed[MAX_HOMED];
    Val home[MAX_HOMED];        /* as they were */
} Snap;

typedef struct Label {
    uint8_t *fixes;             /* chain of displacements waiting for it (each holds the previous) */
    Snap *snap;
    bool reached;
} Label;

typedef struct Fix {
    uint32_t at, target;        /* offsets: in hot and cold code */
} Fix;

/* What the host has. */
enum { HOST_BMI2 = 1, HOST_LZCNT = 2, HOST_AVX2 = 4, HOST_BMI1 = 8, HOST_MOVBE = 16, HOST_FMA = 32 };

typedef struct Emit {
    Asm a, c;                   /* hot code, in place (RW view); cold code, in a buffer */
    const IrUnit *u;
    Val *v;
    unsigned at;                /* current node */
    uint32_t free, lock;        /* registers: unused; needed by the current node */
    uint32_t facts;             /* registers that hold host addresses of shares */
    IrRef in[N_REGS];
    Pend pend[MAX_PEND];
    unsigned n_pend;
    IrRef homed[MAX_HOMED];
    unsigned n_homed;
    unsigned next_call;         /* index in live.calls */
    uint64_t cells[2];          /* spill cells in use */
    int32_t pc_off;             /* current instruction, from the page base */
    unsigned insns;             /* instructions begun */
    bool once;                  /* JIT_UNIT_ONCE */
    uint32_t probe, link;       /* where exits go */
    bool reachable;
    bool fail;                  /* cannot: the interpreter must */

    JitChunk *chunk;
    uint8_t *start, *start_rx;  /* hot code */
    uint8_t *cold;              /* buffer */
    Fix to_cold[MAX_FIXES], from_cold[MAX_FIXES];   /* target: cold offset / address - start_rx */
    unsigned n_to_cold, n_from_cold;
    JitExit exits[JIT_MAX_EXITS];
    unsigned n_exits;
    Label labels[IR_MAX_LABELS];
    Snap snaps[IR_MAX_LABELS];
    unsigned n_snaps;

    Jit *jit;
    unsigned host;
    int32_t bias;
    Carried carried[MAX_CARRIED];
    unsigned n_carried, n_loops;
    uint8_t *loop_head;
    uint32_t loops[JIT_MAX_LOOPS];
    uint32_t accesses;          /* counts for x-force-miss */
    Liveness live;
} Emit;

/* ---- where things are ---- */

#define CPU_DISP(e, field) ((int32_t)offsetof(Cpu, field) - (e)->bias)

static inline unsigned w_of(unsigned type)
{
    return type == IR_I64 ? O_W : 0;
}

static inline bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

static inline const IrNode *node_of(const Emit *e, IrRef v)
{
    return &e->u->nodes[v];
}

static inline bool is_vec(unsigned type)
{
    return type >= IR_V128;
}

static inline bool const_of(const Emit *e, IrRef v, int64_t *value)
{
    const IrNode *n = node_of(e, v);
    if (n->op != IR_OP_const)
        return false;
    *value = n->type == IR_I32 ? (int32_t)n->imm64 : n->imm64;
    return true;
}

/* The current node is its last reader and nothing is pending on it. */
static inline bool dies(const Emit *e, IrRef v)
{
    return e->v[v].last <= e->at && !e->v[v].pend;
}

/* ---- emit-alloc.c ---- */
void slot_store(Emit *e, Asm *a, const Pend *p);
int reg_alloc(Emit *e, uint32_t among, IrRef owner);
void reg_bind(Emit *e, int r, IrRef v);
void reg_release(Emit *e, int r);
void facts_drop(Emit *e);                               /* translations may change here */
void reg_vacate(Emit *e, int r, bool even_dying);
void reg_evict(Emit *e, int r);                         /* what r holds can be had elsewhere then */
void spill(Emit *e, IrRef v);                           /* to its cell */
void cell_free(Emit *e, IrRef v);
bool needed(const Emit *e, IrRef v);                    /* later, or by a pending set */
void value_into(Emit *e, Asm *a, int r, IrRef v);      /* loads v into r, which stays unbound */
int value_use(Emit *e, IrRef v);                        /* v in some register, locked */
int value_def(Emit *e, IrRef i);                        /* new register of node i, locked */
void free_dying(Emit *e, IrRef v);
int value_def_over(Emit *e, IrRef i, IrRef old);        /* the same, holding old's value */
bool loads_zx(const Emit *e, IrRef v);                  /* upper half zero after value_into()? */
void pend_store_all(Emit *e, Asm *a);                   /* on a path that leaves; state unchanged */
void pend_flush_all(Emit *e);                           /* stores and forgets */
void pend_flush_overlap(Emit *e, int32_t off, unsigned bytes);
void homes_lost(Emit *e, int32_t off, unsigned bytes);  /* the slot bytes are about to change */
/* The same for all slots, in two steps around the loading of a call's arguments. */
void homes_save_all(Emit *e);
void homes_drop_all(Emit *e);
unsigned type_bytes(unsigned type);
void load_slot(Asm *a, int r, int32_t disp, unsigned bytes);
void emit_set(Emit *e, IrRef i, const IrNode *n);
void emit_get(Emit *e, IrRef i, const IrNode *n);

/* An operand in whatever form costs least. */
typedef struct Opnd {
    enum { O_REG, O_MEM, O_IMM } kind;
    int reg;
    int32_t disp;               /* from rbp */
    int32_t imm;
} Opnd;
Opnd operand(Emit *e, IrRef v, unsigned type, bool imm_ok);
void op_ro(Asm *a, unsigned op, int reg, Opnd o);       /* not an immediate */
void op_arith(Asm *a, unsigned group, unsigned w, int reg, Opnd o);     /* of group 1 */

/* ---- emit-int.c ---- */
typedef struct Cmp {
    Opnd x, y;
    unsigned w, cc;
    bool test;
} Cmp;
/* Fetches the operands (may emit loads) so that emit_cmp() only compares. */
Cmp cmp_prepare(Emit *e, unsigned cond, IrRef x, IrRef y);
void emit_cmp(Asm *a, const Cmp *c);
void emit_add(Emit *e, IrRef i, const IrNode *n, bool sub);
void emit_logic(Emit *e, IrRef i, const IrNode *n, unsigned group);
void emit_andn(Emit *e, IrRef i, const IrNode *n);
void emit_mul(Emit *e, IrRef i, const IrNode *n);
void emit_wide(Emit *e, IrRef i, const IrNode *n, unsigned group, bool result_rdx);
void emit_shift(Emit *e, IrRef i, const IrNode *n);
void emit_unary(Emit *e, IrRef i, const IrNode *n);
void emit_count(Emit *e, IrRef i, const IrNode *n);
void emit_extend(Emit *e, IrRef i, const IrNode *n, bool sign, unsigned bits);
void emit_extract(Emit *e, IrRef i, const IrNode *n);
void emit_deposit(Emit *e, IrRef i, const IrNode *n);
void emit_setcond(Emit *e, IrRef i, const IrNode *n);
void emit_select(Emit *e, IrRef i, const IrNode *n);

/* ---- emit-call.c ---- */
typedef struct Arg {
    enum { ARG_NONE, ARG_VALUE, ARG_IMM, ARG_SLOT } kind;
    IrRef v;
    int64_t imm;                /* ARG_IMM value, ARG_SLOT offset; added to ARG_VALUE */
} Arg;
/* Calls fn(cpu, args…), with everything stored and saved as `effects` (IR_H_*) demand. The result
 * becomes node i's value if it has one. */
void emit_call(Emit *e, IrRef i, const void *fn, unsigned effects, const Arg *args, unsigned n_args,
               IrType ret);
void note_refund(Emit *e, Asm *a);
void emit_helper(Emit *e, IrRef i, const IrNode *n);

/* ---- emit-flow.c ---- */
void cold_jcc(Emit *e, unsigned cc, const uint8_t *cold);       /* hot jcc to cold code */
void cold_jmp(Emit *e, const uint8_t *cold);
void from_cold_to(Emit *e, uint32_t target);                    /* only the displacement */
void from_cold(Emit *e, unsigned opcode, uint32_t target);      /* cold jmp/call to a cache offset */
void from_cold_hot(Emit *e, const uint8_t *hot);                /* cold jmp back to hot code */
uint32_t hot_offset(const Emit *e);                             /* cache offset of e->a.p */
void emit_br(Emit *e, const IrNode *n);
unsigned emit_brcond(Emit *e, IrRef i, const IrNode *n);        /* the node to continue after */
void emit_bind(Emit *e, const IrNode *n);
void emit_goto_pc(Emit *e, int64_t off);
void emit_call_pc(Emit *e, const IrNode *n);
void emit_goto_ind(Emit *e, IrRef pc);
void emit_call_ind(Emit *e, const IrNode *n);
void emit_ret(Emit *e, IrRef pc);
void emit_resync(Emit *e, IrRef pc);

void test_req(Emit *e, Asm *a);                         /* flags: requests are there */
void align_patch(Emit *e, unsigned skip);

/* ---- emit-loop.c ---- */
void loop_begin(Emit *e);                               /* at the unit's entry */
bool loops_to(const Emit *e, int64_t off);              /* an exit there may be emit_loop() */
void emit_loop(Emit *e);                                /* keeps the allocation as it is */

/* ---- stubs.c ---- */
/* Looks the pc in rax up in the jump cache and jumps there or calls it; changes rcx, rdx, rsi, r12. The
 * displacements of two jumps for when it is not there go to `miss`; rax is kept then. */
void jump_probe(Asm *a, const Jit *j, int32_t bias, bool call, uint8_t *miss[2]);

/* ---- emit-mem.c ---- */
void emit_load(Emit *e, IrRef i, const IrNode *n);
void emit_store(Emit *e, IrRef i, const IrNode *n);
void emit_probe(Emit *e, IrRef i, const IrNode *n);
void emit_rmw(Emit *e, IrRef i, const IrNode *n);
void emit_cas(Emit *e, IrRef i, const IrNode *n);

/* ---- emit-vector.c ---- */
bool emit_vector(Emit *e, IrRef i, const IrNode *n);    /* false: no row for it */
bool vector_is_call(const IrNode *n);
bool vector_uses_fp(const IrNode *n);                   /* of the host: MXCSR matters */
unsigned vec_load_op(unsigned bytes);
unsigned vec_store_op(unsigned bytes);
void vec_load(Asm *a, int r, int base, int32_t disp, unsigned bytes);
void vec_store(Asm *a, int r, int base, int32_t disp, unsigned bytes);
void vec_move(Asm *a, int dst, int src);

#endif
