/* SPDX-License-Identifier: Apache-2.0 */
/* Lazily evaluated flags in translation: what is pending, carries, conditions. Intel SDM vol. 1, 3.4.3. */
#include "target/x86/translate.h"

static const IrHelper h_cc_flags = {"cc_flags", x86_cc_flags, IR_I32, 0};

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
