/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intermediate code: what front ends (target/) write and engines (ir/interp.c, accel/jit/) run.
 *
 * A *unit* is straight code with one entry: guest instructions in program order, forward branches
 * to labels inside it, and exits. Values are SSA (an IrRef names the node that made it) and are
 * 32 or 64 bits of integer, or a vector of 128 or 256 bits. Guest state is reached only through
 * *slots*: bytes of the Cpu structure named by their offset. Meaning is sequential: a `set` is seen
 * at once by every later get, helper, fault and exit; engines may delay the store as long as nobody
 * can tell. The builder forwards slot values and folds constants while it appends.
 *
 * Rules that engines rely on:
 *  - A value may be used only where its definition dominates: later in straight line, and after a
 *    label only if it was made before the first branch to that label.
 *  - Branches go forward only. A loop is an exit to the unit's own start.
 *  - Slot accesses of different sizes may overlap (al in rax); the builder handles it.
 *  - I32 values are 32 bits; nothing is promised about bits above. zext/sext/trunc convert.
 *  - Each guest instruction begins with ir_insn(); a fault inside it restores the state at its
 *    beginning plus whatever it had set before the faulting operation, so a front end performs the
 *    accesses that can fault before it sets architectural slots.
 */
#ifndef IR_IR_H
#define IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Cpu Cpu;
typedef struct IrUnit IrUnit;
typedef struct IrUnit IrBuilder;
typedef union IrVal IrVal;      /* see ir/interp/value.h */

/* Names a value: the index of the node that makes it. 0 is no value. */
typedef uint16_t IrRef;

typedef enum IrType {
    IR_VOID,
    IR_I32,
    IR_I64,
    IR_V128,
    IR_V256,
} IrType;

/* Integer conditions; also the predicate of select and branches. */
typedef enum IrCond {
    IR_EQ,
    IR_NE,
    IR_LT,      /* signed */
    IR_GE,
    IR_LE,
    IR_GT,
    IR_LTU,
    IR_GEU,
    IR_LEU,
    IR_GTU,
    IR_TST,     /* (a & b) != 0 */
    IR_NTST,    /* (a & b) == 0 */
} IrCond;

/*
 * A memory access, 16 bits: IR_M8 … IR_M256, or-ed with the modifiers.
 * Loads narrower than the result type are zero-extended unless IR_MSX. Vectors may be loaded from and
 * stored to M32 and M64, too (their low bytes).
 */
enum {
    IR_M8 = 0,
    IR_M16 = 1,
    IR_M32 = 2,
    IR_M64 = 3,
    IR_M128 = 4,
    IR_M256 = 5,
    IR_MSIZE = 7,               /* mask: log2 of the size in bytes */
    IR_MSX = 1 << 3,            /* sign-extend */
    IR_MBE = 1 << 4,            /* big-endian */
    IR_MALIGN = 1 << 5,         /* natural alignment, else isa->unaligned() */
    IR_MACQ = 1 << 6,           /* acquire */
    IR_MREL = 1 << 7,           /* release; both bits: sequentially consistent */
    IR_MSC = IR_MACQ | IR_MREL,
    IR_MMU_SHIFT = 8,           /* bits 8-10: 0 the current translation regime, else isa's own */
    IR_MMU_MASK = 7 << IR_MMU_SHIFT,
    IR_MREADW = 1 << 11,        /* a load that must also be permitted to store (locked rmw) */
};
#define IR_MBYTES(mop) (1u << ((mop) & IR_MSIZE))
#define IR_MMU(n) ((n) << IR_MMU_SHIFT)

/* Lane of vector operations. */
typedef enum IrLane { IR_B, IR_H, IR_W, IR_D, IR_F32, IR_F64 } IrLane;

/* Atomic read-modify-write operations (imm of IR_RMW). */
typedef enum IrRmw {
    IR_RMW_ADD, IR_RMW_AND, IR_RMW_OR, IR_RMW_XOR, IR_RMW_XCHG,
    IR_RMW_MIN, IR_RMW_MAX, IR_RMW_MINU, IR_RMW_MAXU,
} IrRmw;

typedef enum IrOp {
#define OP(name, ...) IR_OP_##name,
#include "ir/ops.inc"
#undef OP
    IR_OP_COUNT,
} IrOp;

/* Properties of an operation, column `flags` of ops.inc. */
enum {
    IR_PURE = 1,        /* no effect: may be dropped, shared, moved */
    IR_COMMUTES = 2,
    IR_FAULTS = 4,      /* may raise a guest fault or leave the unit through a helper */
    IR_EFFECT = 8,      /* must stay, in order */
    IR_EXIT = 16,       /* ends the unit (or the path to it) */
    IR_FP = 32,         /* uses the guest's floating-point mode and flags */
};

typedef struct IrOpInfo {
    const char *name;
    uint8_t args;       /* how many of a, b, c, d are values */
    uint8_t flags;
} IrOpInfo;
extern const IrOpInfo ir_op_info[IR_OP_COUNT];

typedef struct IrNode {
    uint8_t op;         /* IrOp */
    uint8_t type;       /* IrType of the result, or of the value stored */
    uint16_t aux;       /* IrCond, memory operation, lane … per operation */
    int32_t imm;        /* slot offset, displacement, label, helper index … per operation */
    union {
        struct {
            IrRef a, b, c, d;
        };
        int64_t imm64;  /* const, pcrel, goto */
    };
} IrNode;
_Static_assert(sizeof(IrNode) == 16, "IrNode is 16 bytes");

/* ---- helpers: C functions called from units ---- */

/* Effects of a helper; 0 means: pure function of its arguments. */
enum {
    IR_H_READ = 1,      /* reads slots other than those passed by slot address */
    IR_H_WRITE = 2,     /* writes slots other than those passed by slot address */
    IR_H_FAULT = 4,     /* may raise; sees cpu->pc and all slots up to date */
    IR_H_EFFECT = 8,    /* has effects outside the slots (devices, clocks, TLB): never dropped */
    IR_H_EXIT = 16,     /* does not return */
    IR_H_FP = 32,       /* reads or changes FP mode or flags */
    IR_H_STATE = IR_H_READ | IR_H_WRITE | IR_H_EFFECT,
    IR_H_ANY = IR_H_STATE | IR_H_FAULT,
};

/*
 * `fn` is called as fn(Cpu *, args…): up to four arguments, each an integer value (I32 passed as
 * uint32_t, I64 as uint64_t) or a slot address (void *). The result is I32, I64 or none.
 */
typedef struct IrHelper {
    const char *name;
    void *fn;
    uint8_t ret;        /* IrType */
    uint8_t effects;    /* IR_H_* */
} IrHelper;

/* Left in field d of a `set` by ir_optimize(): the slot is overwritten later, and only operations
 * that may fault lie between. An engine may delay the store into their fault paths. */
enum { IR_SET_FAULT_ONLY = 1 };

/* ---- the unit ---- */

typedef struct IrInsnMark {
    int32_t pc;         /* offset of the instruction from the unit's page base */
    uint16_t node;      /* its IR_OP_insn node */
} IrInsnMark;

enum { IR_MAX_NODES = 4096, IR_MAX_LABELS = 64, IR_MAX_INSNS = 128, IR_MAX_HELPERS = 64 };

struct IrUnit {
    IrNode *nodes;              /* nodes[0] is unused; capacity IR_MAX_NODES */
    unsigned n_nodes;
    unsigned n_labels, n_insns, n_helpers;
    const IrHelper **helpers;   /* capacity IR_MAX_HELPERS */
    IrInsnMark *insns;          /* capacity IR_MAX_INSNS */
    /* Where the code is. page_base is the virtual page of the first byte when translated; units are
     * position-independent at page granularity: use ir_pcrel() for anything derived from pc. */
    uint64_t pc, page_base;
    uint32_t mode;              /* the mode word it was translated under */
    uint32_t size;              /* guest bytes covered; set by the front end before finishing */
    bool icount;                /* count instructions */
    bool single;                /* one instruction only (stepping) */
    unsigned max_insns;         /* no more instructions than that (a breakpoint follows); 0: any */
    bool ended;                 /* an exit or br was appended, and no label bound since */
    bool overflow;              /* did not fit: front end went on after ir_unit_full(); unusable */
    void *priv;                 /* front end's own */
    struct IrState *state;      /* builder's own: slot forwarding, value numbering */
};

/* A builder's memory can be reused for any number of units. */
IrUnit *ir_unit_new(void);
void ir_unit_free(IrUnit *u);
void ir_unit_reset(IrUnit *u, uint64_t pc, uint32_t mode);
/* True when fewer than `margin` nodes/insns remain: the front end must end the unit soon. */
bool ir_unit_full(const IrUnit *u);
/* Drops dead pure nodes and overwritten sets; called by engines after the front end is done. */
void ir_optimize(IrUnit *u);
/* Text form for -d op; appends to `out`. slot_name may be NULL. */
struct _GString;
void ir_print(const IrUnit *u, struct _GString *out, const char *(*slot_name)(int32_t offset));
/* Checks the rules above; NULL or a message (caller frees). */
char *ir_verify(const IrUnit *u);

/* ---- building ---- */

/* Marks the start of the guest instruction at virtual address pc. */
void ir_insn(IrBuilder *b, uint64_t pc);

IrRef ir_const(IrBuilder *b, IrType t, int64_t v);
IrRef ir_i32(IrBuilder *b, int32_t v);
IrRef ir_i64(IrBuilder *b, int64_t v);
/* The virtual address pc, which must be near the unit (±2 GiB), independent of the mapping. */
IrRef ir_pcrel(IrBuilder *b, uint64_t pc);
/* True and the value when v is a constant. */
bool ir_is_const(IrBuilder *b, IrRef v, int64_t *value);
IrType ir_type(IrBuilder *b, IrRef v);

/* Slots. `bytes` 1, 2, 4, 8 (zero-extended into t on get; low bytes stored on set), 16, 32. */
IrRef ir_get(IrBuilder *b, IrType t, int32_t offset, unsigned bytes);
void ir_set(IrBuilder *b, int32_t offset, unsigned bytes, IrRef v);
/* A pointer to slot bytes as a helper argument; `rw`: 1 helper reads, 2 writes, 3 both. */
IrRef ir_slot(IrBuilder *b, int32_t offset, unsigned bytes, unsigned rw);

/* Integer arithmetic; both operands and the result have the same type. Shift counts are taken
 * modulo the width. div/rem: the front end guards zero and overflow (they are undefined here). */
#define IR_BINARY(name) IrRef ir_##name(IrBuilder *b, IrRef x, IrRef y);
IR_BINARY(add) IR_BINARY(sub) IR_BINARY(mul) IR_BINARY(mulhu) IR_BINARY(mulhs)
IR_BINARY(divu) IR_BINARY(divs) IR_BINARY(remu) IR_BINARY(rems)
IR_BINARY(and) IR_BINARY(or) IR_BINARY(xor) IR_BINARY(andn)     /* andn: x & ~y */
IR_BINARY(shl) IR_BINARY(shr) IR_BINARY(sar) IR_BINARY(rotl) IR_BINARY(rotr)
#undef IR_BINARY
#define IR_UNARY(name) IrRef ir_##name(IrBuilder *b, IrRef x);
IR_UNARY(neg) IR_UNARY(not) IR_UNARY(bswap)
IR_UNARY(clz) IR_UNARY(ctz) IR_UNARY(popcnt)    /* clz/ctz of 0: the width */
#undef IR_UNARY
IrRef ir_addi(IrBuilder *b, IrRef x, int64_t imm);
IrRef ir_andi(IrBuilder *b, IrRef x, int64_t imm);
IrRef ir_shli(IrBuilder *b, IrRef x, unsigned n);
IrRef ir_shri(IrBuilder *b, IrRef x, unsigned n);
IrRef ir_sari(IrBuilder *b, IrRef x, unsigned n);
/* Extend the low `bits` (8, 16, 32) of x into type t. */
IrRef ir_zext(IrBuilder *b, IrType t, IrRef x, unsigned bits);
IrRef ir_sext(IrBuilder *b, IrType t, IrRef x, unsigned bits);
IrRef ir_trunc(IrBuilder *b, IrRef x);                  /* I64 -> I32 */
/* Bits lsb..lsb+len-1 of x replaced by the low bits of y / extracted (zero- or sign-extended). */
IrRef ir_deposit(IrBuilder *b, IrRef x, IrRef y, unsigned lsb, unsigned len);
IrRef ir_extract(IrBuilder *b, IrRef x, unsigned lsb, unsigned len);
IrRef ir_sextract(IrBuilder *b, IrRef x, unsigned lsb, unsigned len);
/* 0 or 1 of type t; x and y have one type of their own. */
IrRef ir_setcond(IrBuilder *b, IrType t, IrCond cc, IrRef x, IrRef y);
/* cond != 0 ? x : y (cond I32 or I64). */
IrRef ir_select(IrBuilder *b, IrRef cond, IrRef x, IrRef y);

/* Memory. base is I64; mop as above; disp a constant added to base (wraps modulo 2^64). */
IrRef ir_load(IrBuilder *b, IrType t, IrRef base, int32_t disp, unsigned mop);
void ir_store(IrBuilder *b, IrRef base, int32_t disp, IrRef v, unsigned mop);
/* Faults as the access would, without performing it; `bytes` up to a page. write: store access. */
void ir_probe(IrBuilder *b, IrRef base, int32_t disp, unsigned bytes, bool write, unsigned mmu);
/* Atomics (host-atomic, sequentially consistent); return the old value, zero-extended. */
IrRef ir_rmw(IrBuilder *b, IrType t, IrRmw op, IrRef base, IrRef v, unsigned mop);
IrRef ir_cas(IrBuilder *b, IrType t, IrRef base, IrRef expected, IrRef desired, unsigned mop);
/* Full barrier. */
void ir_fence(IrBuilder *b);

/* Calls. Unused arguments are 0. Returns 0 for a helper without result. */
IrRef ir_call(IrBuilder *b, const IrHelper *h, IrRef a0, IrRef a1, IrRef a2, IrRef a3);

/* Labels: forward only. */
unsigned ir_label(IrBuilder *b);
void ir_br(IrBuilder *b, unsigned label);
void ir_brcond(IrBuilder *b, IrCond cc, IrRef x, IrRef y, unsigned label);
void ir_bind(IrBuilder *b, unsigned label);

/*
 * Exits. Each ends the current path; code may follow only after ir_bind().
 * goto_pc: to a constant pc (linked directly). goto_ind: to a computed pc.
 * call_*: the same, and predicts a return to ret_pc. ret: a computed pc that is probably the
 * prediction. resync: to a computed pc through the dispatcher, after anything that changed the
 * mode word, the translation regime or pending interrupts. pc values are I64.
 */
void ir_goto_pc(IrBuilder *b, uint64_t pc);
void ir_goto_ind(IrBuilder *b, IrRef pc);
void ir_call_pc(IrBuilder *b, uint64_t pc, uint64_t ret_pc);
void ir_call_ind(IrBuilder *b, IrRef pc, uint64_t ret_pc);
void ir_ret(IrBuilder *b, IrRef pc);
void ir_resync(IrBuilder *b, IrRef pc);

/* In imm of scalar floating point: see vector-ops.inc. */
enum { IR_FP_CANON = 1 << 8 };

/* ---- vectors: generic entry; ir/vector.h has the named operations ---- */
IrRef ir_vec(IrBuilder *b, IrOp op, IrType t, IrLane lane, int32_t imm, IrRef x, IrRef y, IrRef z);

/* ---- the interpreter: runs a unit on a Cpu; the oracle for every other engine ---- */

typedef enum IrExitKind { IR_EXIT_GOTO, IR_EXIT_IND, IR_EXIT_CALL, IR_EXIT_RET, IR_EXIT_RESYNC } IrExitKind;
/* Runs u with cpu->page_base set; leaves cpu->pc at the next instruction. Memory goes through
 * core/softmmu.h. Faults leave by cpu_exit() (longjmp) from inside. */
IrExitKind ir_interpret(const IrUnit *u, Cpu *cpu);
/* One operation of vector-ops.inc, for engines that have no code for it. val[] are 32 bytes each,
 * named by the node's a-d: vectors lane 0 first, integers zero-extended in the first eight. */
void ir_interpret_vector(Cpu *cpu, const IrNode *n, const IrVal *val, IrVal *out);

#endif
