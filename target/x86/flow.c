/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps, calls, returns, loops, the stack. Intel SDM vol. 2. */
#include "target/x86/translate.h"

static bool single(const X86Xlate *x)
{
    return x->b->single || x->mode & (MODE_TF | MODE_SHADOW | MODE_BP);
}

INSN(jmp)
{
    if (x->i.row->op[0].method != OP_J) {
        x_goto_ind(x, x_target(x, x_zx64(x, x_get(x, 0), x->i.opsize)));
        return;
    }
    if (x_rel_is_const(x) && !single(x)) {
        /* A short way ahead in the page the unit just runs on. */
        uint64_t to = x_rel_linear(x, x->i.imm);
        if (to >= x->next && to - x->next < 256 && !((to ^ x->b->pc) & ~0xfffull)) {
            x->next = to;
            return;
        }
    }
    x_jump_rel(x, x->i.imm);
}

/* Jumps if c, else the unit goes on. */
static void jump_if(X86Xlate *x, X86Cond c, int64_t rel)
{
    if (x_rel_is_const(x)) {
        x_branch(x, c, x_rel_linear(x, rel));
        return;
    }
    IrBuilder *b = x->b;
    unsigned taken = ir_label(b);
    x_cc_flush(x);
    ir_brcond(b, c.cc, c.a, c.b, taken);
    x_goto(x, x->next);
    ir_bind(b, taken);
    x_jump_rel(x, rel);
}

INSN(jcc) { jump_if(x, x_cond(x, x->i.row->arg), x->i.imm); }

INSN(jcxz)
{
    unsigned n = x->i.addrsize;
    IrRef c = ir_get(x->b, x_type(n), SLOT(regs[RCX]), n);
    jump_if(x, (X86Cond){IR_EQ, c, ir_const(x->b, x_type(n), 0)}, x->i.imm);
}

INSN(loop)
{
    IrBuilder *b = x->b;
    unsigned n = x->i.addrsize, kind = x->i.row->arg;
    IrRef c = ir_addi(b, ir_get(b, IR_I64, SLOT(regs[RCX]), n), -1);
    if (n < 8)
        c = ir_zext(b, IR_I64, c, n * 8);
    X86Cond go = {IR_NE, c, ir_i64(b, 0)};
    if (kind < 2) {             /* loopne, loope */
        X86Cond z = x_cond(x, kind ? 4 : 5);
        IrRef both = ir_and(b, ir_setcond(b, IR_I32, go.cc, go.a, go.b),
                            ir_setcond(b, IR_I32, z.cc, z.a, z.b));
        go = (X86Cond){IR_NE, both, ir_i32(b, 0)};
    }
    x_set_addr_reg(x, RCX, n, c);
    jump_if(x, go, x->i.imm);
}

/* ---- call, ret ---- */

static IrRef return_ip(X86Xlate *x)
{
    IrRef ip = x_next_ip(x);
    return x->i.opsize == 8 ? ip : ir_trunc(x->b, ip);
}

INSN(call)
{
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize;
    bool special = x->mode & (MODE_TF | MODE_SHADOW);
    if (x->i.row->op[0].method == OP_J) {
        if (x_rel_is_const(x)) {
            x_push(x, size, return_ip(x));
            if (special) {
                x_goto(x, x_rel_linear(x, x->i.imm));
                return;
            }
            x_cc_flush(x);
            ir_call_pc(b, x_rel_linear(x, x->i.imm), x->next);
            x->done = true;
            return;
        }
        IrRef to = x_target(x, ir_addi(b, x_next_ip(x), x->i.imm));
        x_push(x, size, return_ip(x));
        x_goto_ind(x, to);
        return;
    }
    IrRef to = x_target(x, x_zx64(x, x_get(x, 0), size));
    x_push(x, size, return_ip(x));
    if (special) {
        x_goto_ind(x, to);
        return;
    }
    x_cc_flush(x);
    ir_call_ind(b, to, x->next);
    x->done = true;
}

INSN(ret)
{
    unsigned size = x->i.opsize;
    IrRef ip = x_zx64(x, x_stack_load(x, 0, size), size);
    IrRef to = x_target(x, ip);
    x_add_sp(x, size + (x->i.row->n_ops ? (uint16_t)x->i.imm : 0));
    if (x->mode & (MODE_TF | MODE_SHADOW)) {
        x_goto_ind(x, to);
        return;
    }
    x_cc_flush(x);
    ir_ret(x->b, to);
    x->done = true;
}

/* ---- push, pop ---- */

INSN(push)
{
    IrRef v = x->i.row->op[0].method == OP_I ? x_const(x, x->i.opsize, x->i.imm) : x_get(x, 0);
    x_push(x, x->i.opsize, v);
}

INSN(pop)
{
    unsigned size = x->i.opsize;
    IrRef v = x_stack_load(x, 0, size);
    if (x_is_mem(x, 0)) {
        /* An address made from the stack pointer sees it after the pop. */
        if (x->i.base == RSP)
            x->i.disp += size;
        x_store(x, size, v);
        x_add_sp(x, size);
        return;
    }
    x_add_sp(x, size);
    x_set(x, 0, v);
}

INSN(pusha)
{
    unsigned size = x->i.opsize;
    IrRef sp = x_sp(x);
    IrRef v[8];
    for (unsigned n = 0; n < 8; n++)
        v[n] = x_reg(x, n, size);
    /* All stores before the stack pointer moves, so that a fault leaves it alone. */
    for (unsigned n = 0; n < 8; n++) {
        IrRef at = ir_zext(x->b, IR_I64, ir_addi(x->b, sp, -(int)(size * (n + 1))), x_stack_size(x) * 8);
        x_store_at(x, x_linear(x, SS, at, x_stack_size(x), size, true), 0, size, v[n]);
    }
    x_add_sp(x, -8 * (int)size);
}

INSN(popa)
{
    unsigned size = x->i.opsize;
    IrRef v[8];
    for (unsigned n = 0; n < 8; n++)
        v[n] = x_stack_load(x, (7 - n) * size, size);
    for (unsigned n = 0; n < 8; n++) {
        if (n != RSP)
            x_set_reg(x, n, size, v[n]);
    }
    x_add_sp(x, 8 * size);
}

INSN(leave)
{
    unsigned size = x->i.opsize;
    IrRef bp = ir_get(x->b, IR_I64, SLOT(regs[RBP]), x_stack_size(x));
    IrRef v = x_load_at(x, x_linear(x, SS, bp, x_stack_size(x), size, false), 0, size);
    x_set_sp(x, ir_addi(x->b, bp, size));
    x_set_reg(x, RBP, size, v);
}

INSN(enter)
{
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize, level = x->i.imm2 & 31, stack = x_stack_size(x);
    IrRef sp = x_sp(x);
    unsigned at = size;
#define BELOW(n) x_linear(x, SS, stack == 8 ? ir_addi(b, sp, -(int)(n)) \
                                            : ir_zext(b, IR_I64, ir_addi(b, sp, -(int)(n)), stack * 8), \
                          stack, size, true)
    x_store_at(x, BELOW(at), 0, size, x_reg(x, RBP, size));
    IrRef frame = ir_addi(b, sp, -(int)size);
    for (unsigned n = 1; n < level; n++) {
        IrRef bp = ir_addi(b, ir_get(b, IR_I64, SLOT(regs[RBP]), stack), -(int)(n * size));
        if (stack < 8)
            bp = ir_zext(b, IR_I64, bp, stack * 8);
        IrRef v = x_load_at(x, x_linear(x, SS, bp, stack, size, false), 0, size);
        at += size;
        x_store_at(x, BELOW(at), 0, size, v);
    }
    if (level) {
        at += size;
        x_store_at(x, BELOW(at), 0, size, x_low(x, frame, size));
    }
    /* The final stack pointer must be writable, or nothing happens. */
    at += (uint16_t)x->i.imm;
    ir_probe(b, BELOW(at), 0, 1, true, MMU_CURRENT);
#undef BELOW
    x_set_reg(x, RBP, size, x_low(x, frame, size));
    x_set_sp(x, ir_addi(b, sp, -(int)at));
}

/* ---- bound ---- */

INSN(bound)
{
    unsigned size = x->i.opsize;
    IrRef v = x_sx(x, x_reg(x, x->i.reg, size), size);
    x_ea(x, 2 * size, false);
    IrRef lo = x_sx(x, x_load_at(x, x->ea, x->ea_disp, size), size);
    IrRef hi = x_sx(x, x_load_at(x, x->ea, x->ea_disp + size, size), size);
    x_raise_if(x, IR_LT, v, lo, EXC_BR);
    x_raise_if(x, IR_GT, v, hi, EXC_BR);
}
