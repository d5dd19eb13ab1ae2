/* SPDX-License-Identifier: Apache-2.0 */
/* Vector operands and gates, shared by simd*.c. */
#ifndef TARGET_X86_SIMD_H
#define TARGET_X86_SIMD_H

#include "ir/vector.h"
#include "target/x86/translate.h"

static inline IrType x_vtype(unsigned bytes) { return bytes == 32 ? IR_V256 : IR_V128; }
static inline int32_t x_xmm_slot(unsigned n) { return SLOT(xmm) + 32 * (int32_t)n; }
static inline bool x_has_method(const X86Xlate *x, unsigned k, unsigned method)
{
    return x->i.row->op[k].method == method;
}
/* MMX registers, or their memory forms. */
static inline bool x_is_mmx(const X86Xlate *x, unsigned k)
{
    unsigned m = x->i.row->op[k].method;
    return m == OP_P || m == OP_N || m == OP_Q;
}
/* The row's immediate: an operand's or its argument. */
unsigned x_vimm(const X86Xlate *x);

/* Whether the instruction may run now; else it has raised #UD or #NM. Call first. */
bool x_simd_ok(X86Xlate *x);
/* The last thing an MMX instruction does: x87's stack is empty of holes, its top is 0. x_vset() of an
 * MMX register does it itself. */
void x_mmx_touch(X86Xlate *x);
/* Raises what x87 still has pending. */
void x_mmx_wait(X86Xlate *x);

/* `bytes` from the memory operand, zero-extended. */
IrRef x_vload(X86Xlate *x, unsigned bytes, bool aligned);
void x_vstore(X86Xlate *x, unsigned bytes, IrRef v, bool aligned);
IrRef x_vreg(X86Xlate *x, unsigned n, unsigned bytes);
/* Writes a whole register: SSE keeps bits 128 and up, VEX clears them. */
void x_set_vreg(X86Xlate *x, unsigned n, IrRef v);
/* Operand k; memory of 16 bytes must be aligned unless VEX. */
IrRef x_vget(X86Xlate *x, unsigned k);
void x_vset(X86Xlate *x, unsigned k, IrRef v);
/* ir_vec() that raises #XM for exceptions that are not masked. */
IrRef x_vop(X86Xlate *x, IrOp op, IrType t, IrLane lane, int32_t imm, IrRef a, IrRef b, IrRef c);

#endif
