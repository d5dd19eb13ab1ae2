/* SPDX-License-Identifier: Apache-2.0 */
/* Units of x86 code: the walk over instructions, operands, lazily evaluated flags, exits. */
#include <string.h>
#include "target/x86/translate.h"

/* ---- helpers used here ---- */

static void x86_helper_raise(Cpu *cpu, uint64_t vector, uint64_t error)
{
    x86_raise(x86_of(cpu), vector, error);
}
HELPER(raise, VOID, IR_H_ANY | IR_H_EXIT);

static void x86_helper_raise_at(Cpu *cpu, uint64_t pc, uint64_t vector)
{
    cpu->pc = pc;
    x86_raise(x86_of(cpu), vector, 0);
}
HELPER(raise_at, VOID, IR_H_ANY | IR_H_EXIT);

static const IrHelper h_cc_flags = {"cc_flags", x86_cc_flags, IR_I32, 0};

static void x86_helper_end_shadow(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    x->shadow = false;
    x86_update_mode(x);
    cpu_request(cpu, CPU_REQ_IRQ);
}
HELPER(end_shadow, VOID, IR_H_STATE);

static void x86_helper_trap_step(Cpu *cpu, uint64_t pc)
{
    X86Cpu *x = x86_of(cpu);
    cpu->pc = pc;
    x->shadow = false;
    x86_update_mode(x);
    if (x->eflags & FLAG_T) {
        x->dr6_pending |= 1 << 14;
        x86_deliver(x, EXC_DB, 0, EVENT_TRAP, x86_ip(x));
    }
    cpu_exit(cpu);
}
HELPER(trap_step, VOID, IR_H_ANY | IR_H_EXIT);

static void x86_helper_check_bp(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (x->eflags & FLAG_R) {
        x->eflags &= ~FLAG_R;
        return;
    }
    uint32_t hit = 0;
    for (unsigned i = 0; i < 4; i++) {
        bool on = x->dr[7] >> (2 * i) & 3, exec = !(x->dr[7] >> (16 + 4 * i) & 3);
        if (on && exec && x->dr[i] == cpu->pc)
            hit |= 1 << i;
    }
    if (hit) {
        x->dr6_pending |= hit;
        x86_raise(x, EXC_DB, 0);
    }
}
HELPER(check_bp, VOID, IR_H_ANY);

/* ---- sizes ---- */

IrRef x_zx(X86Xlate *x, IrRef v, unsigned size)
{
    return size >= 4 ? v : ir_zext(x->b, IR_I32, v, size * 8);
}

IrRef x_sx(X86Xlate *x, IrRef v, unsigned size)
{
    return size >= 4 ? v : ir_sext(x->b, IR_I32, v, size * 8);
}

IrRef x_zx64(X86Xlate *x, IrRef v, unsigned size)
{
    return size == 8 ? v : ir_zext(x->b, IR_I64, v, size * 8);
}

IrRef x_sx64(X86Xlate *x, IrRef v, unsigned size)
{
    return size == 8 ? v : ir_sext(x->b, IR_I64, v, size * 8);
}

IrRef x_low(X86Xlate *x, IrRef v, unsigned size)
{
    bool wide = ir_type(x->b, v) == IR_I64;
    if (size == 8)
        return wide ? v : ir_zext(x->b, IR_I64, v, 32);
    return wide ? ir_trunc(x->b, v) : v;
}

static void cold(X86Xlate *x, unsigned label, int vector, uint64_t pc)
{
    x->cold[x->n_cold++] = (X86Cold){label, vector, pc};
}

/* ---- registers ---- */

IrRef x_reg(X86Xlate *x, unsigned n, unsigned size)
{
    if (size == 1 && n >= 4 && n < 8 && !x->i.rex)
        return ir_get(x->b, IR_I32, SLOT(regs) + 8 * (n - 4) + 1, 1);
    return ir_get(x->b, x_type(size), SLOT(regs) + 8 * n, size);
}

IrRef x_reg_full(X86Xlate *x, unsigned n) { return ir_get(x->b, IR_I64, SLOT(regs) + 8 * n, 8); }

void x_set_reg(X86Xlate *x, unsigned n, unsigned size, IrRef v)
{
    if (size == 1 && n >= 4 && n < 8 && !x->i.rex)
        ir_set(x->b, SLOT(regs) + 8 * (n - 4) + 1, 1, v);
    else if (size == 4)
        ir_set(x->b, SLOT(regs) + 8 * n, 8, ir_zext(x->b, IR_I64, v, 32));
    else
        ir_set(x->b, SLOT(regs) + 8 * n, size, v);
}

void x_set_addr_reg(X86Xlate *x, unsigned n, unsigned addrsize, IrRef v)
{
    if (addrsize == 2)
        ir_set(x->b, SLOT(regs) + 8 * n, 2, ir_trunc(x->b, v));
    else
        ir_set(x->b, SLOT(regs) + 8 * n, 8, addrsize == 4 ? ir_zext(x->b, IR_I64, v, 32) : v);
}

/* ---- memory ---- */

/* Everything of the address but a displacement that may be left to the access. */
static IrRef offset_parts(X86Xlate *x, int32_t *left)
{
    X86Insn *i = &x->i;
    IrBuilder *b = x->b;
    IrRef v = 0;
    *left = 0;
    if (i->rip_relative) {
        v = ir_pcrel(b, x->next + i->disp);
        return i->addrsize == 8 ? v : ir_zext(b, IR_I64, v, 32);
    }
    if (i->index >= 0)
        v = ir_shli(b, x_reg_full(x, i->index), i->scale);
    if (i->base >= 0)
        v = v ? ir_add(b, x_reg_full(x, i->base), v) : x_reg_full(x, i->base);
    if (!v)
        return ir_i64(b, i->addrsize == 8 ? i->disp : i->addrsize == 4 ? (uint32_t)i->disp
                                                                      : (uint16_t)i->disp);
    if (i->addrsize == 8) {
        *left = i->disp;
        return v;
    }
    if (i->disp)
        v = ir_addi(b, v, i->disp);
    return ir_zext(b, IR_I64, v, i->addrsize * 8);
}

IrRef x_offset(X86Xlate *x)
{
    int32_t left;
    IrRef v = offset_parts(x, &left);
    return left ? ir_addi(x->b, v, left) : v;
}

int x_segment(X86Xlate *x)
{
    if (x->i.seg >= 0)
        return x->i.seg;
    return x->i.base == RSP || x->i.base == RBP ? SS : DS;
}

IrRef x_linear(X86Xlate *x, int seg, IrRef offset, unsigned addrsize, unsigned bytes, bool write)
{
    IrBuilder *b = x->b;
    if (x->code == 8) {
        if (seg < FS)
            return offset;
        return ir_add(b, ir_get(b, IR_I64, SLOT(seg) + seg * sizeof(X86Seg) + offsetof(X86Seg, base), 8),
                      offset);
    }
    bool flat = x->mode & MODE_FLAT << seg;
    if (flat && seg < FS)
        return offset;
    int32_t slot = SLOT(seg) + seg * sizeof(X86Seg);
    if (!flat) {
        /* Compares as signed 64-bit numbers; offsets are at most 32 bits. */
        IrRef last = bytes > 1 ? ir_addi(b, offset, bytes - 1) : offset;
        IrRef hi = ir_get(b, IR_I64, slot + (write ? offsetof(X86Seg, wr) : offsetof(X86Seg, rd)), 8);
        IrRef lo = ir_get(b, IR_I64, slot + offsetof(X86Seg, lo), 8);
        int vector = seg == SS ? EXC_SS : EXC_GP;
        x_raise_if(x, IR_GT, last, hi, vector);
        x_raise_if(x, IR_LT, offset, lo, vector);
    }
    IrRef base = ir_get(b, IR_I64, slot + offsetof(X86Seg, base), 8);
    return ir_zext(b, IR_I64, ir_add(b, base, offset), 32);
}

void x_ea(X86Xlate *x, unsigned bytes, bool write)
{
    if (x->ea_done)
        return;
    int32_t left;
    IrRef offset = offset_parts(x, &left);
    int seg = x_segment(x);
    x->ea_done = true;
    x->ea_disp = left;
    x->ea = x_linear(x, seg, offset, x->i.addrsize, bytes, write);
}

IrRef x_load_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size)
{
    x_cc_flush(x);
    return ir_load(x->b, x_type(size), linear, disp, x_mop(x, size));
}

void x_store_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size, IrRef v)
{
    x_cc_flush(x);
    ir_store(x->b, linear, disp, v, x_mop(x, size));
}

IrRef x_load(X86Xlate *x, unsigned size)
{
    x_ea(x, size, false);
    return x_load_at(x, x->ea, x->ea_disp, size);
}

IrRef x_load_rw(X86Xlate *x, unsigned size)
{
    x_ea(x, size, true);
    x_cc_flush(x);
    return ir_load(x->b, x_type(size), x->ea, x->ea_disp, x_mop(x, size) | IR_MREADW);
}

void x_store(X86Xlate *x, unsigned size, IrRef v)
{
    x_ea(x, size, true);
    x_store_at(x, x->ea, x->ea_disp, size, v);
}

/* ---- operands ---- */

static IrRef get_operand(X86Xlate *x, unsigned k, bool rw)
{
    X86Insn *i = &x->i;
    unsigned size = x_size(x, k);
    switch (i->row->op[k].method) {
    case OP_AL: case OP_rAX: case OP_EAX:
        return x_reg(x, RAX, size);
    case OP_CL:
        return x_reg(x, RCX, 1);
    case OP_DX:
        return x_reg(x, RDX, 2);
    case OP_ONE:
        return ir_i32(x->b, 1);
    case OP_E: case OP_M:
        if (i->has_mem)
            return rw ? x_load_rw(x, size) : x_load(x, size);
        return x_reg(x, i->rm, size);
    case OP_R:
        return x_reg(x, i->rm, size);
    case OP_G:
        return x_reg(x, i->reg, size);
    case OP_B:
        return x_reg(x, i->vvvv, size);
    case OP_Z:
        return x_reg(x, (i->opcode & 7) | (i->rex & 1) << 3, size);
    case OP_I:
        /* Narrow immediates extend to the size of the first operand. */
        return x_const(x, MAX(size, i->row->n_ops > 1 ? x_size(x, 0) : i->opsize), i->imm);
    case OP_O: {
        int seg = i->seg >= 0 ? i->seg : DS;
        IrRef at = x_linear(x, seg, ir_i64(x->b, i->imm), i->addrsize, size, false);
        return x_load_at(x, at, 0, size);
    }
    default:
        return 0;
    }
}

IrRef x_get(X86Xlate *x, unsigned k) { return get_operand(x, k, false); }
IrRef x_get_rw(X86Xlate *x, unsigned k) { return get_operand(x, k, true); }

void x_set(X86Xlate *x, unsigned k, IrRef v)
{
    X86Insn *i = &x->i;
    unsigned size = x_size(x, k);
    switch (i->row->op[k].method) {
    case OP_AL: case OP_rAX: case OP_EAX:
        x_set_reg(x, RAX, size, v);
        return;
    case OP_E: case OP_M:
        if (i->has_mem)
            x_store(x, size, v);
        else
            x_set_reg(x, i->rm, size, v);
        return;
    case OP_R:
        x_set_reg(x, i->rm, size, v);
        return;
    case OP_G:
        x_set_reg(x, i->reg, size, v);
        return;
    case OP_B:
        x_set_reg(x, i->vvvv, size, v);
        return;
    case OP_Z:
        x_set_reg(x, (i->opcode & 7) | (i->rex & 1) << 3, size, v);
        return;
    case OP_O: {
        int seg = i->seg >= 0 ? i->seg : DS;
        IrRef at = x_linear(x, seg, ir_i64(x->b, i->imm), i->addrsize, size, true);
        x_store_at(x, at, 0, size, v);
        return;
    }
    }
}

void x_branch(X86Xlate *x, X86Cond c, uint64_t linear)
{
    unsigned label = ir_label(x->b);
    x_cc_flush(x);
    ir_brcond(x->b, c.cc, c.a, c.b, label);
    cold(x, label, COLD_JUMP, linear);
}

IrRef x_rmw(X86Xlate *x, IrRmw op, IrRef v)
{
    unsigned size = x_size(x, 0);
    x_ea(x, size, true);
    x_cc_flush(x);
    IrRef at = x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
    return ir_rmw(x->b, x_type(size), op, at, v, x_mop(x, size));
}

void x_cas_retry(X86Xlate *x, unsigned size, IrRef old, IrRef new_value)
{
    IrRef at = x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
    IrRef seen = ir_cas(x->b, x_type(size), at, old, new_value, x_mop(x, size));
    unsigned again = ir_label(x->b);
    ir_brcond(x->b, IR_NE, seen, old, again);
    cold(x, again, COLD_RETRY, x->pc);
}

/* ---- stack ---- */

unsigned x_stack_size(const X86Xlate *x)
{
    return x->code == 8 ? 8 : x->mode & MODE_SS32 ? 4 : 2;
}

IrRef x_sp(X86Xlate *x)
{
    unsigned n = x_stack_size(x);
    return ir_get(x->b, IR_I64, SLOT(regs[RSP]), n);
}

void x_set_sp(X86Xlate *x, IrRef v) { x_set_addr_reg(x, RSP, x_stack_size(x), v); }

static IrRef stack_clean(X86Xlate *x, IrRef v)
{
    unsigned n = x_stack_size(x);
    return n == 8 ? v : ir_zext(x->b, IR_I64, v, n * 8);
}

void x_push(X86Xlate *x, unsigned size, IrRef v)
{
    IrRef sp = stack_clean(x, ir_addi(x->b, x_sp(x), -(int)size));
    x_store_at(x, x_linear(x, SS, sp, x_stack_size(x), size, true), 0, size, v);
    x_set_sp(x, sp);
}

IrRef x_stack_load(X86Xlate *x, int32_t at, unsigned size)
{
    IrRef sp = x_sp(x);
    if (at)
        sp = stack_clean(x, ir_addi(x->b, sp, at));
    return x_load_at(x, x_linear(x, SS, sp, x_stack_size(x), size, false), 0, size);
}

void x_add_sp(X86Xlate *x, int32_t n) { x_set_sp(x, ir_addi(x->b, x_sp(x), n)); }

/* ---- flags ---- */

void x_cc(X86Xlate *x, int op, unsigned size, IrRef a, IrRef b, IrRef c)
{
    x->cc_op = op + x_log2(size);
    x->cc_a = a;
    x->cc_b = b;
    x->cc_c = c;
    x->cc_fl = 0;
    x->cc_dirty = true;
}

void x_cc_eflags(X86Xlate *x, IrRef fl)
{
    x->cc_op = CC_EFLAGS;
    x->cc_a = x->cc_fl = fl;
    x->cc_b = x->cc_c = 0;
    x->cc_dirty = true;
}

void x_cc_unknown(X86Xlate *x)
{
    x->cc_op = CC_UNKNOWN;
    x->cc_fl = 0;
    x->cc_dirty = false;
}

static void set_cc_slot(X86Xlate *x, int32_t slot, IrRef v)
{
    if (v)
        ir_set(x->b, slot, ir_type(x->b, v) == IR_I64 ? 8 : 4, v);
}

void x_cc_flush(X86Xlate *x)
{
    if (!x->cc_dirty)
        return;
    x->cc_dirty = false;
    ir_set(x->b, SLOT(cc_op), 4, ir_i32(x->b, x->cc_op));
    set_cc_slot(x, SLOT(cc_a), x->cc_a);
    set_cc_slot(x, SLOT(cc_b), x->cc_b);
    set_cc_slot(x, SLOT(cc_c), x->cc_c);
}

static unsigned cc_size(const X86Xlate *x) { return 1 << (x->cc_op & 3); }
static int cc_kind(const X86Xlate *x) { return x->cc_op < 0 ? -1 : x->cc_op & ~3; }

static IrRef wide(X86Xlate *x, IrRef v)
{
    if (!v)
        return ir_i64(x->b, 0);
    return ir_type(x->b, v) == IR_I64 ? v : ir_zext(x->b, IR_I64, v, 32);
}

X86SavedCc x_cc_save(X86Xlate *x)
{
    IrBuilder *b = x->b;
    if (x->cc_op == CC_UNKNOWN)
        return (X86SavedCc){ir_get(b, IR_I32, SLOT(cc_op), 4), ir_get(b, IR_I64, SLOT(cc_a), 8),
                            ir_get(b, IR_I64, SLOT(cc_b), 8), ir_get(b, IR_I64, SLOT(cc_c), 8)};
    return (X86SavedCc){ir_i32(b, x->cc_op), wide(x, x->cc_a), wide(x, x->cc_b), wide(x, x->cc_c)};
}

void x_cc_select(X86Xlate *x, IrRef cond, const X86SavedCc *old)
{
    IrBuilder *b = x->b;
    IrRef op = ir_select(b, cond, ir_i32(b, x->cc_op), old->op);
    IrRef a = ir_select(b, cond, wide(x, x->cc_a), old->a);
    IrRef bb = ir_select(b, cond, wide(x, x->cc_b), old->b);
    IrRef c = ir_select(b, cond, wide(x, x->cc_c), old->c);
    ir_set(b, SLOT(cc_op), 4, op);
    ir_set(b, SLOT(cc_a), 8, a);
    ir_set(b, SLOT(cc_b), 8, bb);
    ir_set(b, SLOT(cc_c), 8, c);
    x_cc_unknown(x);
}

IrRef x_flags(X86Xlate *x)
{
    if (x->cc_fl)
        return x->cc_fl;
    X86SavedCc s = x_cc_save(x);
    x->cc_fl = ir_call(x->b, &h_cc_flags, ir_zext(x->b, IR_I64, s.op, 32), s.a, s.b, s.c);
    return x->cc_fl;
}

/* Left-aligns a value of the flags' size in its type, so that the sign is the type's. */
static IrRef top(X86Xlate *x, IrRef v)
{
    unsigned size = cc_size(x);
    return size >= 4 ? v : ir_shli(x->b, v, 32 - 8 * size);
}

IrRef x_cc_result(X86Xlate *x)
{
    switch (cc_kind(x)) {
    case -1:
    case CC_EFLAGS:
        return 0;
    case CC_SUB:
        return ir_sub(x->b, x->cc_a, x->cc_b);
    case CC_SBB:
        return ir_sub(x->b, ir_sub(x->b, x->cc_a, x->cc_b), x->cc_c);
    default:
        return x->cc_a;
    }
}

static IrRef setcond32(X86Xlate *x, IrCond cc, IrRef a, IrRef b)
{
    return ir_setcond(x->b, IR_I32, cc, a, b);
}

static IrRef zero_like(X86Xlate *x, IrRef v) { return ir_const(x->b, ir_type(x->b, v), 0); }

IrRef x_carry(X86Xlate *x)
{
    IrBuilder *b = x->b;
    unsigned size = cc_size(x);
    IrRef p, q, r;
    switch (cc_kind(x)) {
    case CC_ADD:
    case CC_SUB:
        return setcond32(x, IR_LTU, top(x, x->cc_a), top(x, x->cc_b));
    case CC_ADC:
    case CC_SBB:
        p = top(x, x->cc_a);
        q = top(x, x->cc_b);
        r = ir_and(b, setcond32(x, IR_EQ, p, q), x_low(x, x->cc_c, 4));
        return ir_or(b, setcond32(x, IR_LTU, p, q), r);
    case CC_LOGIC:
        return ir_i32(b, 0);
    case CC_SHL:
        return x_low(x, ir_extract(b, x->cc_b, size * 8 - 1, 1), 4);
    case CC_INC: case CC_DEC: case CC_SAR: case CC_LOGICC: case CC_EFLAGS:
        return ir_andi(b, x_low(x, x->cc_b && cc_kind(x) != CC_EFLAGS ? x->cc_b : x->cc_a, 4), 1);
    case CC_MUL:
        return setcond32(x, IR_NE, x->cc_b, zero_like(x, x->cc_b));
    default:
        return ir_andi(b, x_flags(x), FLAG_C);
    }
}

static X86Cond bit_test(X86Xlate *x, IrRef v, int64_t mask, bool negate)
{
    return (X86Cond){negate ? IR_NTST : IR_TST, v, ir_const(x->b, ir_type(x->b, v), mask)};
}

static X86Cond overflow(X86Xlate *x)
{
    IrBuilder *b = x->b;
    unsigned size = cc_size(x);
    IrRef r = x_cc_result(x), a, q;
    switch (cc_kind(x)) {
    case CC_ADD:
    case CC_ADC:
        a = ir_sub(b, r, x->cc_b);
        if (cc_kind(x) == CC_ADC)
            a = ir_sub(b, a, x->cc_c);
        q = top(x, ir_and(b, ir_xor(b, a, r), ir_xor(b, x->cc_b, r)));
        return (X86Cond){IR_LT, q, zero_like(x, q)};
    case CC_SUB:
    case CC_SBB:
        q = top(x, ir_and(b, ir_xor(b, x->cc_a, x->cc_b), ir_xor(b, x->cc_a, r)));
        return (X86Cond){IR_LT, q, zero_like(x, q)};
    case CC_LOGIC:
    case CC_LOGICC:
        return (X86Cond){IR_NE, ir_i32(b, 0), ir_i32(b, 0)};
    case CC_INC:
        q = top(x, r);
        return (X86Cond){IR_EQ, q, ir_const(b, ir_type(b, q), size == 8 ? INT64_MIN : INT32_MIN)};
    case CC_DEC:
        return (X86Cond){IR_EQ, x_zx(x, r, size), ir_const(b, ir_type(b, r), (1ull << (size * 8 - 1)) - 1)};
    case CC_SHL:
    case CC_SAR:
        q = top(x, ir_xor(b, r, x->cc_b));
        return (X86Cond){IR_LT, q, zero_like(x, q)};
    case CC_MUL:
        return (X86Cond){IR_NE, x->cc_b, zero_like(x, x->cc_b)};
    default:
        return bit_test(x, x_flags(x), FLAG_O, false);
    }
}

static X86Cond parity(X86Xlate *x)
{
    IrRef r = x_cc_result(x);
    if (!r)
        return bit_test(x, x_flags(x), FLAG_P, false);
    IrRef ones = ir_popcnt(x->b, ir_andi(x->b, x_low(x, r, 4), 0xff));
    return bit_test(x, ones, 1, true);
}

static X86Cond sign(X86Xlate *x)
{
    IrRef r = x_cc_result(x);
    if (!r)
        return bit_test(x, x_flags(x), FLAG_S, false);
    r = top(x, r);
    return (X86Cond){IR_LT, r, zero_like(x, r)};
}

static X86Cond zero(X86Xlate *x)
{
    if (cc_kind(x) == CC_SUB)
        return (X86Cond){IR_EQ, x_zx(x, x->cc_a, cc_size(x)), x_zx(x, x->cc_b, cc_size(x))};
    IrRef r = x_cc_result(x);
    if (!r)
        return bit_test(x, x_flags(x), FLAG_Z, false);
    r = x_zx(x, r, cc_size(x));
    return (X86Cond){IR_EQ, r, zero_like(x, r)};
}

static IrRef as_bit(X86Xlate *x, X86Cond c) { return setcond32(x, c.cc, c.a, c.b); }

static X86Cond truth(X86Xlate *x, IrRef v) { return (X86Cond){IR_NE, v, ir_i32(x->b, 0)}; }

/* Comparisons after sub and cmp, and against zero after logic. */
static bool direct_cond(X86Xlate *x, unsigned cc, X86Cond *out)
{
    static const IrCond conds[16] = {[2] = IR_LTU, [6] = IR_LEU, [12] = IR_LT, [14] = IR_LE};
    int kind = cc_kind(x);
    bool ordered = cc >= 12 || cc == 6 || cc == 2;
    if (!ordered)
        return false;
    if (kind == CC_SUB) {
        *out = (X86Cond){conds[cc], top(x, x->cc_a), top(x, x->cc_b)};
        return true;
    }
    if (kind == CC_LOGIC && cc != 2) {
        IrRef r = top(x, x->cc_a);
        *out = (X86Cond){cc == 6 ? IR_EQ : conds[cc], r, zero_like(x, r)};
        return true;
    }
    return false;
}

static X86Cond invert(X86Cond c)
{
    static const IrCond inverse[] = {
        [IR_EQ] = IR_NE, [IR_NE] = IR_EQ, [IR_LT] = IR_GE, [IR_GE] = IR_LT, [IR_LE] = IR_GT,
        [IR_GT] = IR_LE, [IR_LTU] = IR_GEU, [IR_GEU] = IR_LTU, [IR_LEU] = IR_GTU,
        [IR_GTU] = IR_LEU, [IR_TST] = IR_NTST, [IR_NTST] = IR_TST,
    };
    c.cc = inverse[c.cc];
    return c;
}

static X86Cond general_cond(X86Xlate *x, unsigned cc)
{
    IrBuilder *b = x->b;
    switch (cc) {
    case 0:
        return overflow(x);
    case 2:
        return truth(x, x_carry(x));
    case 4:
        return zero(x);
    case 6:
        if (cc_kind(x) == -1 || cc_kind(x) == CC_EFLAGS)
            return bit_test(x, x_flags(x), FLAG_C | FLAG_Z, false);
        return truth(x, ir_or(b, x_carry(x), as_bit(x, zero(x))));
    case 8:
        return sign(x);
    case 10:
        return parity(x);
    case 12:
        return (X86Cond){IR_NE, as_bit(x, sign(x)), as_bit(x, overflow(x))};
    default:
        return truth(x, ir_or(b, as_bit(x, zero(x)),
                              ir_xor(b, as_bit(x, sign(x)), as_bit(x, overflow(x)))));
    }
}

X86Cond x_cond(X86Xlate *x, unsigned cc)
{
    X86Cond c;
    if (!direct_cond(x, cc & ~1u, &c))
        c = general_cond(x, cc & ~1u);
    return cc & 1 ? invert(c) : c;
}

/* ---- calls and exits ---- */

IrRef x_call(X86Xlate *x, const IrHelper *h, IrRef a0, IrRef a1, IrRef a2, IrRef a3)
{
    if (h->effects)
        x_cc_flush(x);
    return ir_call(x->b, h, a0, a1, a2, a3);
}

static void end_path(X86Xlate *x) { x->done = true; }

void x_raise(X86Xlate *x, int vector, uint32_t error)
{
    x_call(x, &h_raise, ir_i64(x->b, vector), ir_i64(x->b, error), 0, 0);
    ir_resync(x->b, ir_pcrel(x->b, x->pc));
    end_path(x);
}

void x_raise_if(X86Xlate *x, IrCond cc, IrRef a, IrRef b, int vector)
{
    unsigned label = ir_label(x->b);
    x_cc_flush(x);
    ir_brcond(x->b, cc, a, b, label);
    cold(x, label, vector, x->pc);
}

static bool special_exit(const X86Xlate *x) { return x->mode & (MODE_TF | MODE_SHADOW); }

static void leave_special(X86Xlate *x, IrRef linear)
{
    if (x->mode & MODE_TF) {
        x_call(x, &h_trap_step, linear, 0, 0, 0);
    } else {
        x_call(x, &h_end_shadow, 0, 0, 0, 0);
    }
    ir_resync(x->b, linear);
}

static void leave(X86Xlate *x, uint64_t linear)
{
    if (special_exit(x))
        leave_special(x, ir_pcrel(x->b, linear));
    else
        ir_goto_pc(x->b, linear);
}

void x_goto(X86Xlate *x, uint64_t linear)
{
    x_cc_flush(x);
    leave(x, linear);
    end_path(x);
}

void x_goto_ind(X86Xlate *x, IrRef linear)
{
    x_cc_flush(x);
    if (special_exit(x))
        leave_special(x, linear);
    else
        ir_goto_ind(x->b, linear);
    end_path(x);
}

void x_resync(X86Xlate *x, IrRef linear)
{
    x_cc_flush(x);
    if (special_exit(x))
        leave_special(x, linear);
    else
        ir_resync(x->b, linear);
    end_path(x);
}

void x_resync_next(X86Xlate *x) { x_resync(x, ir_pcrel(x->b, x->next)); }

static bool cs_flat(const X86Xlate *x) { return x->code == 8 || x->mode & MODE_FLAT << CS; }

IrRef x_next_ip(X86Xlate *x)
{
    IrRef next = ir_pcrel(x->b, x->next);
    if (cs_flat(x))
        return next;
    return ir_sub(x->b, next, ir_get(x->b, IR_I64, SLOT(seg[CS].base), 8));
}

IrRef x_here(X86Xlate *x) { return ir_pcrel(x->b, x->pc); }

bool x_rel_is_const(const X86Xlate *x) { return cs_flat(x) && x->i.opsize != 2; }

uint64_t x_rel_linear(const X86Xlate *x, int64_t rel)
{
    return x->code == 8 ? x->next + rel : (uint32_t)(x->next + rel);
}

IrRef x_target(X86Xlate *x, IrRef ip)
{
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize;
    if (x->code == 8)
        return size == 2 ? ir_zext(b, IR_I64, ip, 16) : ip;
    ip = ir_zext(b, IR_I64, ip, size * 8);
    if (cs_flat(x))
        return ip;
    x_raise_if(x, IR_GTU, ip, ir_get(b, IR_I64, SLOT(seg[CS].limit), 4), EXC_GP);
    return ir_zext(b, IR_I64, ir_add(b, ip, ir_get(b, IR_I64, SLOT(seg[CS].base), 8)), 32);
}

void x_jump_rel(X86Xlate *x, int64_t rel)
{
    if (x_rel_is_const(x))
        x_goto(x, x_rel_linear(x, rel));
    else
        x_goto_ind(x, x_target(x, ir_addi(x->b, x_next_ip(x), rel)));
}

/* ---- the unit ---- */

/* Bytes of the next instruction; ahead only as far as the page goes, unless it crosses. */
static bool fetch(X86Xlate *x, bool first)
{
    unsigned have = 0;
    if (x->pc >= x->buf_pc && x->pc < x->buf_pc + x->buf_n)
        have = x->buf_pc + x->buf_n - x->pc;
    unsigned left = 4096 - (x->pc & 4095);
    if (have < 15 && have < left) {
        memset(x->buf, 0, sizeof(x->buf));
        x->buf_pc = x->pc;
        x->buf_n = isa_fetch(&x->cpu->cpu, x->b, x->pc, x->buf, MIN(sizeof(x->buf), left));
        have = x->buf_n;
        if (!have)
            isa_fetch8(&x->cpu->cpu, x->b, x->pc);
    }
    const uint8_t *p = x->buf + (x->pc - x->buf_pc);
    if (x86_decode(&x->i, p, have, x->code))
        return true;
    if (!first)
        return false;           /* the rest is on the next page: a unit of its own */
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, MIN(have, 15));
    while (have < 15) {
        uint64_t at = x->code == 8 ? x->pc + have : (uint32_t)(x->pc + have);
        bytes[have++] = isa_fetch8(&x->cpu->cpu, x->b, at);
        if (x86_decode(&x->i, bytes, have, x->code))
            return true;
    }
    x->i.row = NULL;            /* longer than 15 bytes */
    x->i.len = 16;
    return true;
}

static bool allowed(X86Xlate *x)
{
    const X86Row *row = x->i.row;
    if (!row || (row->feature >= 0 && !x86_has(x->cpu, row->feature))) {
        x_raise(x, x->i.len > 15 ? EXC_GP : EXC_UD, 0);
        return false;
    }
    if (x->i.vex && (!(x->mode & MODE_PE) || x->mode & MODE_VM)) {
        x_raise(x, EXC_UD, 0);
        return false;
    }
    if (row->flags & ROW_PRIV && x->mode & MODE_CPL) {
        x_raise(x, EXC_GP, 0);
        return false;
    }
    return true;
}

static void one(X86Xlate *x)
{
    x->next = x->code == 8 ? x->pc + x->i.len : (uint32_t)(x->pc + x->i.len);
    x->ea_done = false;
    ir_insn(x->b, x->pc);
    if (x->mode & MODE_BP)
        x_call(x, &h_check_bp, 0, 0, 0, 0);
    if (allowed(x))
        x->i.row->fn(x);
}

static void write_cold(X86Xlate *x)
{
    for (unsigned k = 0; k < x->n_cold; k++) {
        X86Cold *c = &x->cold[k];
        ir_bind(x->b, c->label);
        IrRef pc = ir_pcrel(x->b, c->pc);
        if (c->vector < 0) {
            /* A retry is not yet a step. */
            if (special_exit(x) && c->vector == COLD_JUMP)
                leave_special(x, pc);
            else
                ir_goto_pc(x->b, c->pc);
        } else {
            ir_call(x->b, &h_raise_at, pc, ir_i64(x->b, c->vector), 0, 0);
            ir_resync(x->b, pc);
        }
    }
}

void x86_translate(Cpu *cpu, IrBuilder *b)
{
    X86Xlate x = {
        .cpu = x86_of(cpu), .b = b, .pc = b->pc, .lowest = b->pc, .end = b->pc, .mode = b->mode,
        .code = b->mode & MODE_CS64 ? 8 : b->mode & MODE_CS32 ? 4 : 2, .cc_op = CC_UNKNOWN,
    };
    bool single = b->single || x.mode & (MODE_TF | MODE_SHADOW | MODE_BP);
    uint64_t page = b->pc & ~0xfffull;
    for (bool first = true; !x.done; first = false) {
        bool stop = !first && (single || ir_unit_full(b) || x.n_cold > X86_MAX_COLD - 12 ||
                               b->n_labels > IR_MAX_LABELS - 16 || (x.pc & ~0xfffull) != page);
        if (stop || !fetch(&x, first)) {
            x_goto(&x, x.pc);
            break;
        }
        one(&x);
        x.end = MAX(x.end, x.pc + MAX(x.i.len, 1));
        x.pc = x.next;
        if (single && !x.done) {
            x_goto(&x, x.pc);
        }
    }
    write_cold(&x);
    b->size = x.end - b->pc;
}
