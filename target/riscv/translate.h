/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of instructions (INSN) work with; private to target/riscv. */
#ifndef RISCV_TRANSLATE_H
#define RISCV_TRANSLATE_H

#include "target/riscv/cpu.h"

/* The unit being translated; b->priv. */
typedef struct RvUnit {
    RvCpu *rv;
    uint64_t pc, next;          /* of this instruction and the one after it */
    uint32_t raw;
    uint64_t features;
    IrType t;                   /* of XLEN values */
    uint8_t priv, frm;
    bool rv32;
    bool fs_on, fs_dirty;
    /* f registers that are known: all of it as a double, as a single (unboxed), whether boxed. */
    IrRef f_double[32], f_single[32];
    uint32_t f_boxed;
    IrRef flags_read, flags_host;       /* what fflags was read as; the same in the engine's order */
    unsigned n, rounds;         /* instructions before this one; branches back to the start */
    bool jumps;                 /* the unit goes on at `go` and not behind this instruction */
    uint64_t go;
    const struct RvWindow *window;
    bool resync;                /* this instruction changed the mode word: end after it */
} RvUnit;

static inline RvUnit *unit(IrBuilder *b) { return b->priv; }

/* ---- integer registers, as XLEN values ---- */
static inline int32_t x_slot(unsigned r) { return offsetof(RvCpu, x) + 8 * r; }

static inline IrRef get(IrBuilder *b, unsigned r)
{
    IrType t = unit(b)->t;
    return r ? ir_get(b, t, x_slot(r), t == IR_I32 ? 4 : 8) : ir_const(b, t, 0);
}

static inline void set(IrBuilder *b, unsigned r, IrRef v)
{
    if (r)
        ir_set(b, x_slot(r), unit(b)->t == IR_I32 ? 4 : 8, v);
}

/* The low word, and setting a register to a sign-extended word. */
static inline IrRef get_w(IrBuilder *b, unsigned r)
{
    return r ? ir_get(b, IR_I32, x_slot(r), 4) : ir_i32(b, 0);
}

static inline void set_w(IrBuilder *b, unsigned r, IrRef w)
{
    set(b, r, unit(b)->rv32 ? w : ir_sext(b, IR_I64, w, 32));
}

static inline IrRef xconst(IrBuilder *b, int64_t v) { return ir_const(b, unit(b)->t, v); }
static inline unsigned xlen(IrBuilder *b) { return unit(b)->rv32 ? 32 : 64; }

/* An address or a jump's target as I64. */
static inline IrRef to_address(IrBuilder *b, IrRef x)
{
    return unit(b)->rv32 ? ir_zext(b, IR_I64, x, 32) : x;
}

/* Base and displacement of rs1 + imm: RV32 wraps at 32 bits. */
static inline IrRef address(IrBuilder *b, unsigned rs1, int32_t *imm)
{
    if (!unit(b)->rv32)
        return get(b, rs1);
    IrRef a = to_address(b, ir_addi(b, get(b, rs1), *imm));
    *imm = 0;
    return a;
}

/* Raises illegal instruction here; what follows in the unit is not reached. */
void rv_illegal(IrBuilder *b);
/* csrr or csrrw of fflags; false: it takes the helper. */
bool rv_fflags_insn(IrBuilder *b, unsigned how, unsigned rd, IrRef operand);
/* Ends the unit through the dispatcher at the next instruction. */
void rv_end(IrBuilder *b);

#endif
