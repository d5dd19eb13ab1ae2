/* SPDX-License-Identifier: Apache-2.0 */
/* What the translators of x86 instructions share: the context, operands, flags, exits. */
#ifndef TARGET_X86_TRANSLATE_H
#define TARGET_X86_TRANSLATE_H

#include "ir/ir.h"
#include "target/x86/cpu.h"
#include "target/x86/decode.h"
#include "target/x86/x86-insns.h"

enum { CC_UNKNOWN = -1, X86_MAX_COLD = 56 };
enum { COLD_JUMP = -1, COLD_RETRY = -2 };

/* A path left by a branch and written at the unit's end. */
typedef struct X86Cold {
    unsigned label;
    int vector;                 /* raise this at pc, or COLD_* */
    uint64_t pc;
} X86Cold;

struct X86Xlate {
    X86Cpu *cpu;
    IrBuilder *b;
    X86Insn i;
    uint64_t pc, next;          /* linear addresses of this instruction and the one after */
    uint32_t mode;
    uint8_t code;               /* 2, 4, 8: size of the code segment */
    bool done;                  /* the main path has ended */
    bool tf_after;              /* its step trap goes by the flags that it leaves */

    /* Flags as known statically; refs are valid while cc_op is known. */
    int cc_op;
    IrRef cc_a, cc_b, cc_c;
    IrRef cc_fl;                /* all six in EFLAGS form, if computed already */
    bool cc_dirty;              /* slots are behind */

    IrRef ea;                   /* linear address of the memory operand, with ea_disp to add */
    int32_t ea_disp;
    bool ea_done;
    IrRef room;                 /* I64: bytes of cs behind the unit's start, less one; 0: not asked yet */

    X86Cold cold[X86_MAX_COLD];
    unsigned n_cold;
    uint64_t lowest, end;       /* linear range covered */

    uint8_t buf[64];            /* fetched ahead */
    uint64_t buf_pc;
    unsigned buf_n;
};

#define SLOT(m) ((int32_t)offsetof(X86Cpu, m))
#define HELPER(name, ret_, effects_) \
    static const IrHelper h_##name = {#name, x86_helper_##name, IR_##ret_, effects_}

/* ---- types by operand size in bytes ---- */
static inline IrType x_type(unsigned size) { return size == 8 ? IR_I64 : IR_I32; }
static inline unsigned x_log2(unsigned size) { return __builtin_ctz(size); }
static inline unsigned x_mop(const X86Xlate *x, unsigned size)
{
    return x_log2(size) | (x->mode & MODE_AC ? IR_MALIGN : 0);
}
static inline IrRef x_const(X86Xlate *x, unsigned size, int64_t v)
{
    return size == 8 ? ir_i64(x->b, v)
                     : ir_i32(x->b, size == 4 ? v : size == 2 ? (uint16_t)v : (uint8_t)v);
}
/* Extend a value of `size` bytes to fill its own type. */
IrRef x_zx(X86Xlate *x, IrRef v, unsigned size);
IrRef x_sx(X86Xlate *x, IrRef v, unsigned size);
/* Convert a value of `size` bytes to I64. */
IrRef x_zx64(X86Xlate *x, IrRef v, unsigned size);
IrRef x_sx64(X86Xlate *x, IrRef v, unsigned size);
/* The low bytes of an I64 or I32 as a value of `size`. */
IrRef x_low(X86Xlate *x, IrRef v, unsigned size);

/* ---- registers ---- */
/* n is 0-15; high bytes by the rules of REX. */
IrRef x_reg(X86Xlate *x, unsigned n, unsigned size);
void x_set_reg(X86Xlate *x, unsigned n, unsigned size, IrRef v);
IrRef x_reg_full(X86Xlate *x, unsigned n);      /* I64 without byte rules */
/* Writes with the width of addresses (16, 32, 64). */
void x_set_addr_reg(X86Xlate *x, unsigned n, unsigned addrsize, IrRef v);

/* ---- memory ---- */
/* The offset of the modrm operand without its segment, I64. */
IrRef x_offset(X86Xlate *x);
int x_segment(X86Xlate *x);                     /* of the modrm operand */
/* offset (I64, clean to its address size) to linear, checking limits for `bytes`. */
IrRef x_linear(X86Xlate *x, int seg, IrRef offset, unsigned addrsize, unsigned bytes, bool write);
/* The linear address of the memory operand: ir_load(…, x->ea, x->ea_disp). */
void x_ea(X86Xlate *x, unsigned bytes, bool write);
IrRef x_load(X86Xlate *x, unsigned size);
IrRef x_load_rw(X86Xlate *x, unsigned size);    /* first half of a read-modify-write */
void x_store(X86Xlate *x, unsigned size, IrRef v);
/* At an address of one's own. Flags are flushed first. */
IrRef x_load_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size);
void x_store_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size, IrRef v);

/* ---- operands by number ---- */
static inline unsigned x_size(X86Xlate *x, unsigned k) { return x86_op_bytes(&x->i, k); }
static inline bool x_is_mem(X86Xlate *x, unsigned k)
{
    unsigned m = x->i.row->op[k].method;
    return (m == OP_E || m == OP_M || m == OP_W || m == OP_Q) && x->i.has_mem;
}
IrRef x_get(X86Xlate *x, unsigned k);
IrRef x_get_rw(X86Xlate *x, unsigned k);        /* will be written after */
void x_set(X86Xlate *x, unsigned k, IrRef v);
/* old value of operand 0, op applied atomically; memory form with lock prefix only. */
IrRef x_rmw(X86Xlate *x, IrRmw op, IrRef v);
/* Memory must still hold `old`, then becomes `new`; else the instruction starts again. */
void x_cas_retry(X86Xlate *x, unsigned size, IrRef old, IrRef new_value);

/* ---- stack ---- */
unsigned x_stack_size(const X86Xlate *x);       /* bytes of the stack pointer */
IrRef x_sp(X86Xlate *x);                        /* I64, clean */
void x_set_sp(X86Xlate *x, IrRef v);
void x_push(X86Xlate *x, unsigned size, IrRef v);
IrRef x_stack_load(X86Xlate *x, int32_t at, unsigned size);     /* relative to sp */
void x_add_sp(X86Xlate *x, int32_t n);

/* ---- flags ---- */
void x_cc(X86Xlate *x, int op, unsigned size, IrRef a, IrRef b, IrRef c);
void x_cc_eflags(X86Xlate *x, IrRef fl);        /* I32 in EFLAGS form */
void x_cc_unknown(X86Xlate *x);                 /* a helper has written the slots */
void x_cc_flush(X86Xlate *x);
IrRef x_flags(X86Xlate *x);                     /* I32: the six arithmetic flags */
IrRef x_carry(X86Xlate *x);                     /* I32: 0 or 1 */
IrRef x_cc_result(X86Xlate *x);                 /* 0: not known */
/* If `cond` (I32) is zero keep the flags that were pending before (saved by x_cc_save). */
typedef struct X86SavedCc { IrRef op, a, b, c; } X86SavedCc;
X86SavedCc x_cc_save(X86Xlate *x);
void x_cc_select(X86Xlate *x, IrRef cond, const X86SavedCc *old);
typedef struct X86Cond { IrCond cc; IrRef a, b; } X86Cond;
X86Cond x_cond(X86Xlate *x, unsigned cc);       /* the sixteen conditions of jcc */

/* ---- calls and exits ---- */
IrRef x_call(X86Xlate *x, const IrHelper *h, IrRef a0, IrRef a1, IrRef a2, IrRef a3);
void x_raise(X86Xlate *x, int vector, uint32_t error);          /* ends the path */
void x_raise_if(X86Xlate *x, IrCond cc, IrRef a, IrRef b, int vector);  /* error code 0 */
void x_goto(X86Xlate *x, uint64_t linear);      /* ends the unit */
void x_branch(X86Xlate *x, X86Cond c, uint64_t linear);        /* side exit if c */
void x_goto_ind(X86Xlate *x, IrRef linear);
void x_resync(X86Xlate *x, IrRef linear);       /* after changes of the mode */
void x_resync_next(X86Xlate *x);
IrRef x_next_ip(X86Xlate *x);                   /* I64: what a call pushes */
IrRef x_here(X86Xlate *x);                      /* I64: linear address of this instruction */
/* Near jump to a constant: rel from the next instruction, wrapped to the operand size. */
void x_jump_rel(X86Xlate *x, int64_t rel);
/* The linear pc of a near target ip (I64), checked. */
IrRef x_target(X86Xlate *x, IrRef ip);
bool x_rel_is_const(const X86Xlate *x);
uint64_t x_rel_linear(const X86Xlate *x, int64_t rel);

#endif
