/* SPDX-License-Identifier: Apache-2.0 */
/* Shifts, rotates and bit tests. Intel SDM vol. 2. */
#include "target/x86/translate.h"

enum { ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR };

/* Operand 1 as a count within the instruction's mask, I32; *constant if it is one. */
static IrRef shift_count(X86Xlate *x, unsigned k, unsigned size, bool *constant, unsigned *n)
{
    unsigned mask = size == 8 ? 63 : 31;
    if (x->i.row->op[k].method == OP_CL) {
        *constant = false;
        return ir_andi(x->b, x_reg(x, RCX, 1), mask);
    }
    *constant = true;
    *n = x->i.row->op[k].method == OP_ONE ? 1 : x->i.imm & mask;
    return ir_i32(x->b, *n);
}

static IrRef as_size(X86Xlate *x, IrRef v, unsigned size)
{
    return size == 8 ? ir_zext(x->b, IR_I64, v, 32) : v;
}

/* ---- shl, shr, sar ---- */

static void shift(X86Xlate *x, unsigned op, unsigned size, IrRef v, IrRef count, bool constant)
{
    IrBuilder *b = x->b;
    IrRef n = as_size(x, count, size);
    IrRef less = as_size(x, ir_addi(b, count, -1), size);
    IrRef r, before;
    X86SavedCc old = {0};
    if (!constant)
        old = x_cc_save(x);
    if (op == SAR)
        v = x_sx(x, v, size);
    else if (op == SHR)
        v = x_zx(x, v, size);
    if (op == SHL || op == SAL) {
        r = ir_shl(b, v, n);
        before = ir_shl(b, v, less);
    } else if (op == SHR) {
        r = ir_shr(b, v, n);
        before = ir_shr(b, v, less);
    } else {
        r = ir_sar(b, v, n);
        before = ir_sar(b, v, less);
    }
    x_set(x, 0, r);
    x_cc(x, op == SHL || op == SAL ? CC_SHL : CC_SAR, size, r, before, 0);
    if (!constant)
        x_cc_select(x, count, &old);
}

/* ---- rol, ror: only CF and OF change ---- */

static void rotate(X86Xlate *x, unsigned op, unsigned size, IrRef v, IrRef count, bool constant)
{
    IrBuilder *b = x->b;
    IrRef fl = x_flags(x), n = as_size(x, count, size), wide = v, r;
    if (size == 1)
        wide = ir_mul(b, x_zx(x, v, 1), ir_i32(b, 0x01010101));
    else if (size == 2)
        wide = ir_or(b, x_zx(x, v, 2), ir_shli(b, v, 16));
    r = op == ROL ? ir_rotl(b, wide, n) : ir_rotr(b, wide, n);
    x_set(x, 0, r);
    unsigned top = size * 8 - 1;
    IrRef msb = x_low(x, ir_extract(b, r, top, 1), 4);
    IrRef next = op == ROL ? x_low(x, ir_extract(b, r, 0, 1), 4)
                           : x_low(x, ir_extract(b, r, top - 1, 1), 4);
    IrRef c = op == ROL ? next : msb;
    IrRef f = ir_deposit(b, fl, c, 0, 1);
    f = ir_deposit(b, f, ir_xor(b, msb, next), 11, 1);
    x_cc_eflags(x, constant ? f : ir_select(b, count, f, fl));
}

/* ---- rcl, rcr: through carry ---- */

/* v of `size` bytes rotated by n through c; the new carry in *c. */
static uint64_t rotate_carry(bool left, uint64_t v, unsigned n, unsigned size, bool *c)
{
    unsigned bits = size * 8;
    uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
    v &= mask;
    for (n %= bits + 1; n; n--) {
        bool out = left ? v >> (bits - 1) : v & 1;
        v = left ? (v << 1 & mask) | *c : v >> 1 | (uint64_t)*c << (bits - 1);
        *c = out;
    }
    return v;
}

/* info: size | left << 8 | carry << 9 */
static uint64_t x86_helper_rc(Cpu *cpu, uint64_t v, uint64_t n, uint64_t info)
{
    bool c = info >> 9 & 1;
    return rotate_carry(info >> 8 & 1, v, n, info & 15, &c);
}
HELPER(rc, I64, 0);

static uint32_t x86_helper_rc_flags(Cpu *cpu, uint64_t v, uint64_t n, uint64_t info, uint64_t flags)
{
    bool c = flags & FLAG_C, left = info >> 8 & 1;
    unsigned size = info & 15, bits = size * 8;
    if (!n)
        return flags;
    uint64_t r = rotate_carry(left, v, n, size, &c);
    bool msb = r >> (bits - 1) & 1, o = left ? msb ^ c : msb ^ (r >> (bits - 2) & 1);
    return (flags & ~(FLAG_C | FLAG_O)) | c | (o ? FLAG_O : 0);
}
HELPER(rc_flags, I32, 0);

static void rotate_through(X86Xlate *x, unsigned op, unsigned size, IrRef v, IrRef count)
{
    IrBuilder *b = x->b;
    IrRef fl = x_flags(x);
    IrRef v64 = x_zx64(x, v, size), n64 = ir_zext(b, IR_I64, count, 32);
    IrRef c = ir_zext(b, IR_I64, ir_andi(b, fl, FLAG_C), 32);
    IrRef info = ir_or(b, ir_i64(b, size | (op == RCL) << 8), ir_shli(b, c, 9));
    IrRef r = ir_call(b, &h_rc, v64, n64, info, 0);
    IrRef f = ir_call(b, &h_rc_flags, v64, n64, info, ir_zext(b, IR_I64, fl, 32));
    x_set(x, 0, x_low(x, r, size));
    x_cc_eflags(x, f);
}

INSN(shift)
{
    unsigned op = x->i.row->arg, size = x_size(x, 0), n = 0;
    bool constant;
    IrRef count = shift_count(x, 1, size, &constant, &n);
    IrRef v = x_get_rw(x, 0);
    if (constant && !n) {
        x_set(x, 0, v);
        return;
    }
    if (op == RCL || op == RCR)
        rotate_through(x, op, size, v, count);
    else if (op == ROL || op == ROR)
        rotate(x, op, size, v, count, constant);
    else
        shift(x, op, size, v, count, constant);
}

/* ---- shld, shrd ---- */

INSN(shd)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), bits = size * 8, n = 0;
    bool constant, right = x->i.row->arg;
    IrRef count = shift_count(x, 2, size, &constant, &n);
    IrRef v = x_get_rw(x, 0), fill = x_get(x, 1), r, before;
    if (constant && !n) {
        x_set(x, 0, v);
        return;
    }
    X86SavedCc old = {0};
    if (!constant)
        old = x_cc_save(x);
    if (size == 2) {
        /* 48 bits dest:fill:dest, shifted; counts above 16 are undefined. */
        IrRef d = ir_zext(b, IR_I64, v, 16), f = ir_zext(b, IR_I64, fill, 16);
        IrRef all = ir_or(b, ir_or(b, ir_shli(b, d, 32), ir_shli(b, f, 16)), d);
        IrRef n64 = ir_zext(b, IR_I64, count, 32), less = ir_addi(b, n64, -1);
        r = ir_trunc(b, right ? ir_shr(b, all, n64) : ir_shri(b, ir_shl(b, all, n64), 32));
        before = ir_trunc(b, right ? ir_shr(b, all, less) : ir_shri(b, ir_shl(b, all, less), 32));
    } else {
        IrRef c = as_size(x, count, size), less = as_size(x, ir_addi(b, count, -1), size);
        IrRef rest = ir_sub(b, x_const(x, size, bits), c);
        IrRef main = right ? ir_shr(b, v, c) : ir_shl(b, v, c);
        IrRef in = right ? ir_shl(b, fill, rest) : ir_shr(b, fill, rest);
        r = ir_or(b, main, in);
        before = right ? ir_shr(b, v, less) : ir_shl(b, v, less);
        if (!constant)
            r = ir_select(b, count, r, v);
    }
    x_set(x, 0, r);
    if (right) {
        /* CF is bit 0 of `before`, OF says whether the sign changed: keep v's sign in before. */
        IrRef sign = ir_extract(b, v, bits - 1, 1);
        before = ir_deposit(b, before, sign, bits - 1, 1);
        if (constant && n == 1)
            before = v;
    }
    x_cc(x, right ? CC_SAR : CC_SHL, size, r, before, 0);
    if (!constant)
        x_cc_select(x, count, &old);
}

/* ---- BMI2 shifts ---- */

INSN(shx)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), op = x->i.row->arg;
    IrRef v = x_get(x, 1);
    IrRef n = ir_andi(b, x_get(x, 2), size == 8 ? 63 : 31);
    x_set(x, 0, op == 0 ? ir_shl(b, v, n) : op == 1 ? ir_shr(b, v, n) : ir_sar(b, v, n));
}

INSN(rorx)
{
    unsigned size = x_size(x, 0);
    IrRef n = x_const(x, size, x->i.imm & (size == 8 ? 63 : 31));
    x_set(x, 0, ir_rotr(x->b, x_get(x, 1), n));
}

/* ---- bt, bts, btr, btc ---- */

enum { BT, BTS, BTR, BTC };

/* With a register as bit number a memory operand reaches beyond its size. */
static void move_to_bit(X86Xlate *x, unsigned size)
{
    IrBuilder *b = x->b;
    IrRef n = x_sx64(x, x_reg(x, x->i.reg, size), size);
    IrRef words = ir_sari(b, n, x_log2(size) + 3);
    IrRef offset = ir_add(b, x_offset(x), ir_shli(b, words, x_log2(size)));
    if (x->i.addrsize < 8)
        offset = ir_zext(b, IR_I64, offset, x->i.addrsize * 8);
    bool write = x->i.row->arg != BT;
    x->ea = x_linear(x, x_segment(x), offset, x->i.addrsize, size, write);
    x->ea_disp = 0;
    x->ea_done = true;
}

static void set_only_carry(X86Xlate *x, IrRef c)
{
    IrRef r = x_cc_result(x);
    if (r)      /* ZF stays; the others are undefined */
        x_cc(x, CC_LOGICC, 1 << (x->cc_op & 3), r, c, 0);
    else
        x_cc_eflags(x, ir_deposit(x->b, x_flags(x), c, 0, 1));
}

INSN(bt)
{
    IrBuilder *b = x->b;
    unsigned op = x->i.row->arg, size = x_size(x, 0);
    bool mem = x_is_mem(x, 0), by_reg = x->i.row->op[1].method == OP_G;
    if (mem && by_reg)
        move_to_bit(x, size);
    IrRef n = by_reg ? ir_andi(b, x_reg(x, x->i.reg, size), size * 8 - 1)
                     : x_const(x, size, x->i.imm & (size * 8 - 1));
    IrRef mask = ir_shl(b, x_const(x, size, 1), n), v;
    if (x->i.lock && op != BT) {
        static const IrRmw rmw[] = {[BTS] = IR_RMW_OR, [BTR] = IR_RMW_AND, [BTC] = IR_RMW_XOR};
        v = x_rmw(x, rmw[op], op == BTR ? ir_not(b, mask) : mask);
    } else {
        v = op == BT ? x_get(x, 0) : x_get_rw(x, 0);
        if (op != BT)
            x_set(x, 0, op == BTS ? ir_or(b, v, mask) : op == BTR ? ir_andn(b, v, mask) : ir_xor(b, v, mask));
    }
    set_only_carry(x, x_low(x, ir_andi(b, ir_shr(b, v, n), 1), 4));
}
