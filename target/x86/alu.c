/* SPDX-License-Identifier: Apache-2.0 */
/* Integer arithmetic, logic and moves. Intel SDM vol. 2. */
#include "target/x86/translate.h"

enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

/* ---- add … cmp ---- */

static bool same_register(X86Xlate *x)
{
    X86Insn *i = &x->i;
    return i->has_modrm && i->mod == 3 && i->row->op[1].method != OP_I && i->reg == i->rm &&
           (x_size(x, 0) > 1 || i->rex || i->reg < 4);
}

static IrRef carry_as(X86Xlate *x, unsigned size)
{
    IrRef c = x_carry(x);
    return size == 8 ? ir_zext(x->b, IR_I64, c, 32) : c;
}

/* Result of op on p, q; records the flags in *cc to be set after the store. */
typedef struct Pending { int op; IrRef a, b, c; } Pending;

static IrRef combine(X86Xlate *x, unsigned op, unsigned size, IrRef p, IrRef q, Pending *cc)
{
    IrBuilder *b = x->b;
    IrRef c = 0, r;
    switch (op) {
    case ADD:
        r = ir_add(b, p, q);
        *cc = (Pending){CC_ADD, r, q};
        return r;
    case ADC:
        c = carry_as(x, size);
        r = ir_add(b, ir_add(b, p, q), c);
        *cc = (Pending){CC_ADC, r, q, c};
        return r;
    case SUB: case CMP:
        *cc = (Pending){CC_SUB, p, q};
        return op == CMP ? 0 : ir_sub(b, p, q);
    case SBB:
        c = carry_as(x, size);
        *cc = (Pending){CC_SBB, p, q, c};
        return ir_sub(b, ir_sub(b, p, q), c);
    case OR:
        r = ir_or(b, p, q);
        break;
    case AND:
        r = ir_and(b, p, q);
        break;
    default:
        r = ir_xor(b, p, q);
        break;
    }
    *cc = (Pending){CC_LOGIC, r};
    return r;
}

static void set_pending(X86Xlate *x, unsigned size, const Pending *cc)
{
    x_cc(x, cc->op, size, cc->a, cc->b, cc->c);
}

static void locked(X86Xlate *x, unsigned op, unsigned size, IrRef q)
{
    static const IrRmw rmw[] = {[ADD] = IR_RMW_ADD, [OR] = IR_RMW_OR, [AND] = IR_RMW_AND,
                                [SUB] = IR_RMW_ADD, [XOR] = IR_RMW_XOR};
    Pending cc;
    if (op == ADC || op == SBB) {
        IrRef old = x_load_rw(x, size);
        IrRef r = combine(x, op, size, old, q, &cc);
        x_cas_retry(x, size, old, r);
    } else {
        IrRef old = x_rmw(x, rmw[op], op == SUB ? ir_neg(x->b, q) : q);
        combine(x, op, size, old, q, &cc);
    }
    set_pending(x, size, &cc);
}

INSN(alu)
{
    unsigned op = x->i.row->arg, size = x_size(x, 0);
    Pending cc;
    if (op == XOR && same_register(x)) {
        IrRef zero = x_const(x, size, 0);
        x_set(x, 0, zero);
        x_cc(x, CC_LOGIC, size, zero, 0, 0);
        return;
    }
    IrRef q = x_get(x, 1);
    if (x->i.lock) {
        locked(x, op, size, q);
        return;
    }
    IrRef p = op == CMP ? x_get(x, 0) : x_get_rw(x, 0);
    IrRef r = combine(x, op, size, p, q, &cc);
    if (op != CMP)
        x_set(x, 0, r);
    set_pending(x, size, &cc);
}

INSN(test)
{
    IrRef q = x_get(x, 1);
    IrRef p = x_get(x, 0);
    x_cc(x, CC_LOGIC, x_size(x, 0), ir_and(x->b, p, q), 0, 0);
}

static void step(X86Xlate *x, int by)
{
    unsigned size = x_size(x, 0);
    IrRef c = x_carry(x);
    IrRef one = x_const(x, size, by);
    IrRef r;
    if (x->i.lock) {
        r = ir_add(x->b, x_rmw(x, IR_RMW_ADD, one), one);
    } else {
        r = ir_addi(x->b, x_get_rw(x, 0), by);
        x_set(x, 0, r);
    }
    x_cc(x, by > 0 ? CC_INC : CC_DEC, size, r, c, 0);
}

INSN(inc) { step(x, 1); }
INSN(dec) { step(x, -1); }

INSN(not)
{
    unsigned size = x_size(x, 0);
    if (x->i.lock)
        x_rmw(x, IR_RMW_XOR, x_const(x, size, -1));
    else
        x_set(x, 0, ir_not(x->b, x_get_rw(x, 0)));
}

INSN(neg)
{
    unsigned size = x_size(x, 0);
    IrRef old = x_get_rw(x, 0);
    IrRef r = ir_neg(x->b, old);
    if (x->i.lock)
        x_cas_retry(x, size, old, r);
    else
        x_set(x, 0, r);
    x_cc(x, CC_SUB, size, x_const(x, size, 0), old, 0);
}

/* ---- moves ---- */

INSN(mov) { x_set(x, 0, x_get(x, 1)); }

INSN(lea) { x_set_reg(x, x->i.reg, x->i.opsize, x_low(x, x_offset(x), x->i.opsize)); }

static IrRef extend(X86Xlate *x, bool sign)
{
    IrRef v = x_get(x, 1);
    unsigned from = x_size(x, 1), to = x_size(x, 0);
    if (to == 8)
        return sign ? x_sx64(x, v, from) : x_zx64(x, v, from);
    return sign ? x_sx(x, v, from) : x_zx(x, v, from);
}

INSN(movzx) { x_set(x, 0, extend(x, false)); }
INSN(movsx) { x_set(x, 0, extend(x, true)); }
INSN(movsxd) { x_set(x, 0, extend(x, true)); }

INSN(xchg)
{
    /* 90 is nop (pause with f3), unless REX.B names r8. */
    if (x->i.space == SPACE_1B && x->i.opcode == 0x90 && !(x->i.rex & 1))
        return;
    IrRef q = x_get(x, 1);
    if (x_is_mem(x, 0)) {
        x_set(x, 1, x_rmw(x, IR_RMW_XCHG, q));
        return;
    }
    IrRef p = x_get(x, 0);
    x_set(x, 0, q);
    x_set(x, 1, p);
}

INSN(cbw)
{
    unsigned size = x->i.opsize;
    IrRef v = x_reg(x, RAX, size / 2);
    x_set_reg(x, RAX, size, size == 8 ? x_sx64(x, v, 4) : x_sx(x, v, size / 2));
}

INSN(cwd)
{
    unsigned size = x->i.opsize;
    IrRef v = x_sx(x, x_reg(x, RAX, size), size);
    x_set_reg(x, RDX, size, ir_sari(x->b, v, size == 8 ? 63 : 31));
}

INSN(bswap)
{
    unsigned n = (x->i.opcode & 7) | (x->i.rex & 1) << 3;
    if (x->i.opsize == 2)       /* undefined; processors give zero */
        x_set_reg(x, n, 2, ir_i32(x->b, 0));
    else
        x_set(x, 0, ir_bswap(x->b, x_get(x, 0)));
}

INSN(movbe)
{
    unsigned size = x->i.opsize;
    IrRef v = ir_bswap(x->b, x_get(x, 1));
    x_set(x, 0, size == 2 ? ir_shri(x->b, v, 16) : v);
}

INSN(xlat)
{
    IrRef at = ir_add(x->b, x_reg_full(x, RBX), ir_zext(x->b, IR_I64, x_reg(x, RAX, 1), 8));
    if (x->i.addrsize < 8)
        at = ir_zext(x->b, IR_I64, at, x->i.addrsize * 8);
    at = x_linear(x, x->i.seg >= 0 ? x->i.seg : DS, at, x->i.addrsize, 1, false);
    ir_set(x->b, SLOT(regs[RAX]), 1, x_load_at(x, at, 0, 1));
}

INSN(cmov)
{
    IrRef v = x_get(x, 1), old = x_get(x, 0);
    X86Cond c = x_cond(x, x->i.row->arg);
    x_set(x, 0, ir_select(x->b, ir_setcond(x->b, IR_I32, c.cc, c.a, c.b), v, old));
}

INSN(setcc)
{
    X86Cond c = x_cond(x, x->i.row->arg);
    x_set(x, 0, ir_setcond(x->b, IR_I32, c.cc, c.a, c.b));
}

/* ---- compare and exchange ---- */

INSN(cmpxchg)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0);
    IrRef acc = x_reg(x, RAX, size), v = x_get(x, 1), old;
    if (x_is_mem(x, 0)) {
        x_ea(x, size, true);
        x_cc_flush(x);
        IrRef at = x->ea_disp ? ir_addi(b, x->ea, x->ea_disp) : x->ea;
        old = ir_cas(b, x_type(size), at, acc, v, x_mop(x, size));
        IrRef equal = ir_setcond(b, IR_I32, IR_EQ, acc, old);
        if (size == 4)          /* eax is written only when they differ: its upper half stays */
            ir_set(b, SLOT(regs[RAX]), 8, ir_select(b, equal, x_reg_full(x, RAX),
                                                    ir_zext(b, IR_I64, old, 32)));
        else
            x_set_reg(x, RAX, size, old);
    } else {
        old = x_get(x, 0);
        IrRef equal = ir_setcond(b, IR_I32, IR_EQ, acc, old);
        IrRef full = x_reg_full(x, RAX);
        IrRef dest = x_reg_full(x, x->i.rm);
        if (size == 4)
            ir_set(b, SLOT(regs[RAX]), 8, ir_select(b, equal, full, ir_zext(b, IR_I64, old, 32)));
        else
            x_set_reg(x, RAX, size, old);
        /* With eax as destination the comparison holds and v is stored. If it does not hold the
         * destination keeps even its upper half. */
        if (size == 4)
            ir_set(b, SLOT(regs) + 8 * x->i.rm, 8,
                   ir_select(b, equal, ir_zext(b, IR_I64, v, 32), dest));
        else
            x_set(x, 0, ir_select(b, equal, v, old));
    }
    x_cc(x, CC_SUB, size, acc, old, 0);
}

static uint32_t x86_helper_cmpxchg8b(Cpu *cpu, uint64_t at)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t *r = x->regs;
    uint64_t expected = (uint32_t)r[RAX] | r[RDX] << 32;
    uint64_t desired = (uint32_t)r[RBX] | r[RCX] << 32;
    uint64_t old = cpu_cas(cpu, at, expected, desired, IR_M64);
    if (old == expected)
        return FLAG_Z;
    r[RAX] = (uint32_t)old;
    r[RDX] = old >> 32;
    return 0;
}
HELPER(cmpxchg8b, I32, IR_H_ANY);

static uint32_t x86_helper_cmpxchg16b(Cpu *cpu, uint64_t at)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t *r = x->regs;
    if (at & 15)
        x86_raise_gp(x, 0);
    uint64_t expected[2] = {r[RAX], r[RDX]}, desired[2] = {r[RBX], r[RCX]};
    if (cpu_cas128(cpu, at, expected, desired, MMU_CURRENT))
        return FLAG_Z;
    r[RAX] = expected[0];
    r[RDX] = expected[1];
    return 0;
}
HELPER(cmpxchg16b, I32, IR_H_ANY);

INSN(cmpxchg8b)
{
    IrBuilder *b = x->b;
    bool wide = x->i.row->arg;
    x_ea(x, wide ? 16 : 8, true);
    IrRef at = x->ea_disp ? ir_addi(b, x->ea, x->ea_disp) : x->ea;
    IrRef fl = x_flags(x);
    IrRef z = x_call(x, wide ? &h_cmpxchg16b : &h_cmpxchg8b, at, 0, 0, 0);
    x_cc_eflags(x, ir_or(b, ir_andi(b, fl, FLAGS_ARITH & ~FLAG_Z), z));
}

INSN(xadd)
{
    unsigned size = x_size(x, 0);
    IrRef q = x_get(x, 1), old, sum;
    if (x->i.lock) {
        old = x_rmw(x, IR_RMW_ADD, q);
        sum = ir_add(x->b, old, q);
        x_set(x, 1, old);
    } else {
        old = x_get_rw(x, 0);
        sum = ir_add(x->b, old, q);
        if (x_is_mem(x, 0)) {
            x_set(x, 0, sum);
            x_set(x, 1, old);
        } else {
            x_set(x, 1, old);
            x_set(x, 0, sum);
        }
    }
    x_cc(x, CC_ADD, size, sum, q, 0);
}

/* ---- multiply ---- */

/* Low half; *high receives a value that is not zero when the product does not fit. */
static IrRef multiply(X86Xlate *x, unsigned size, bool sign, IrRef p, IrRef q, IrRef *high, IrRef *full)
{
    IrBuilder *b = x->b;
    if (size == 8) {
        IrRef lo = ir_mul(b, p, q);
        *full = sign ? ir_mulhs(b, p, q) : ir_mulhu(b, p, q);
        *high = sign ? ir_xor(b, *full, ir_sari(b, lo, 63)) : *full;
        return lo;
    }
    IrRef p64 = sign ? x_sx64(x, p, size) : x_zx64(x, p, size);
    IrRef q64 = sign ? x_sx64(x, q, size) : x_zx64(x, q, size);
    *full = ir_mul(b, p64, q64);
    *high = sign ? ir_xor(b, *full, ir_sext(b, IR_I64, *full, size * 8)) : ir_shri(b, *full, size * 8);
    return ir_mul(b, p, q);
}

static void multiply_acc(X86Xlate *x, bool sign)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0);
    IrRef q = x_get(x, 0), high, full;
    IrRef lo = multiply(x, size, sign, x_reg(x, RAX, size), q, &high, &full);
    if (size == 1) {
        x_set_reg(x, RAX, 2, ir_trunc(b, full));
    } else if (size == 8) {
        x_set_reg(x, RAX, 8, lo);
        x_set_reg(x, RDX, 8, full);
    } else {
        x_set_reg(x, RAX, size, lo);
        x_set_reg(x, RDX, size, ir_trunc(b, ir_shri(b, full, size * 8)));
    }
    x_cc(x, CC_MUL, size, lo, high, 0);
}

INSN(mul) { multiply_acc(x, false); }
INSN(imul1) { multiply_acc(x, true); }

static void multiply_reg(X86Xlate *x, IrRef p, IrRef q)
{
    unsigned size = x->i.opsize;
    IrRef high, full;
    IrRef lo = multiply(x, size, true, p, q, &high, &full);
    x_set_reg(x, x->i.reg, size, lo);
    x_cc(x, CC_MUL, size, lo, high, 0);
}

INSN(imul2) { IrRef q = x_get(x, 1); multiply_reg(x, x_get(x, 0), q); }
INSN(imul3) { IrRef p = x_get(x, 1); multiply_reg(x, p, x_get(x, 2)); }

INSN(mulx)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0);
    IrRef q = x_get(x, 2), p = x_reg(x, RDX, size), lo, hi;
    if (size == 8) {
        lo = ir_mul(b, p, q);
        hi = ir_mulhu(b, p, q);
    } else {
        IrRef full = ir_mul(b, x_zx64(x, p, 4), x_zx64(x, q, 4));
        lo = ir_trunc(b, full);
        hi = ir_trunc(b, ir_shri(b, full, 32));
    }
    x_set(x, 1, lo);
    x_set(x, 0, hi);
}

/* ---- divide ---- */

static void x86_helper_div(Cpu *cpu, uint64_t divisor, uint64_t size)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t *r = x->regs;
    unsigned __int128 n, q;
    uint64_t limit = size == 8 ? ~0ull : (1ull << size * 8) - 1;
    divisor &= limit;
    if (size == 1)
        n = r[RAX] & 0xffff;
    else
        n = (unsigned __int128)(r[RDX] & limit) << size * 8 | (r[RAX] & limit);
    if (!divisor || (q = n / divisor) > limit)
        x86_raise(x, EXC_DE, 0);
    uint64_t rem = n % divisor;
    switch (size) {
    case 1: r[RAX] = (r[RAX] & ~0xffffull) | (uint8_t)q | rem << 8; break;
    case 2: r[RAX] = (r[RAX] & ~0xffffull) | (uint16_t)q; r[RDX] = (r[RDX] & ~0xffffull) | rem; break;
    default: r[RAX] = q; r[RDX] = rem; break;
    }
}
HELPER(div, VOID, IR_H_ANY);

static void x86_helper_idiv(Cpu *cpu, uint64_t divisor, uint64_t size)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t *r = x->regs;
    unsigned up = 64 - size * 8;
    int64_t d = (int64_t)(divisor << up) >> up;
    __int128 n;
    if (size == 1)
        n = (int16_t)r[RAX];
    else if (size == 8)
        n = (__int128)((unsigned __int128)r[RDX] << 64 | r[RAX]);
    else
        n = (__int128)((int64_t)(r[RDX] << up) >> up) * ((__int128)1 << size * 8) +
            (r[RAX] << up >> up);
    /* The most negative dividend divided by -1 overflows even the wide type. */
    if (!d || (d == -1 && n == (__int128)((unsigned __int128)1 << 127)))
        x86_raise(x, EXC_DE, 0);
    __int128 q = n / d;
    int64_t rem = n % d, low = (int64_t)((uint64_t)q << up) >> up;
    if (q != low)
        x86_raise(x, EXC_DE, 0);
    switch (size) {
    case 1: r[RAX] = (r[RAX] & ~0xffffull) | (uint8_t)q | (uint64_t)(uint8_t)rem << 8; break;
    case 2: r[RAX] = (r[RAX] & ~0xffffull) | (uint16_t)q; r[RDX] = (r[RDX] & ~0xffffull) | (uint16_t)rem; break;
    case 4: r[RAX] = (uint32_t)q; r[RDX] = (uint32_t)rem; break;
    default: r[RAX] = q; r[RDX] = rem; break;
    }
}
HELPER(idiv, VOID, IR_H_ANY);

static IrRef join32(X86Xlate *x)
{
    IrBuilder *b = x->b;
    return ir_or(b, ir_shli(b, x_reg_full(x, RDX), 32), ir_zext(b, IR_I64, x_reg(x, RAX, 4), 32));
}

static void set_quotient(X86Xlate *x, unsigned size, IrRef q, IrRef r)
{
    x_set_reg(x, RAX, size, x_low(x, q, size));
    x_set_reg(x, RDX, size, x_low(x, r, size));
}

INSN(div)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0);
    IrRef d = x_get(x, 0);
    if (size == 4) {
        x_raise_if(x, IR_GEU, x_reg(x, RDX, 4), d, EXC_DE);
        IrRef n = join32(x), d64 = ir_zext(b, IR_I64, d, 32);
        set_quotient(x, 4, ir_divu(b, n, d64), ir_remu(b, n, d64));
        return;
    }
    if (size == 8) {
        unsigned slow = ir_label(b), join = ir_label(b);
        x_cc_flush(x);
        IrRef zero = ir_i64(b, 0);
        ir_brcond(b, IR_NE, x_reg(x, RDX, 8), zero, slow);
        ir_brcond(b, IR_EQ, d, zero, slow);
        IrRef n = x_reg(x, RAX, 8);
        set_quotient(x, 8, ir_divu(b, n, d), ir_remu(b, n, d));
        ir_br(b, join);
        ir_bind(b, slow);
        x_call(x, &h_div, d, ir_i64(b, 8), 0, 0);
        ir_bind(b, join);
        return;
    }
    x_call(x, &h_div, x_zx64(x, d, size), ir_i64(b, size), 0, 0);
}

INSN(idiv)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0);
    IrRef d = x_get(x, 0);
    if (size < 4) {
        x_call(x, &h_idiv, x_zx64(x, d, size), ir_i64(b, size), 0, 0);
        return;
    }
    /* Fast when the dividend fits one word and the divisor is neither 0 nor -1. */
    unsigned slow = ir_label(b), join = ir_label(b);
    x_cc_flush(x);
    IrRef n = x_reg(x, RAX, size);
    IrRef dp = ir_addi(b, d, 1);
    ir_brcond(b, IR_NE, x_reg(x, RDX, size), ir_sari(b, n, size * 8 - 1), slow);
    ir_brcond(b, IR_LEU, dp, x_const(x, size, 1), slow);
    set_quotient(x, size, ir_divs(b, n, d), ir_rems(b, n, d));
    ir_br(b, join);
    ir_bind(b, slow);
    x_call(x, &h_idiv, x_zx64(x, d, size), ir_i64(b, size), 0, 0);
    ir_bind(b, join);
}

/* ---- bit counting ---- */

INSN(popcnt)
{
    IrRef v = x_zx(x, x_get(x, 1), x_size(x, 1));
    IrRef z = ir_setcond(x->b, IR_I32, IR_EQ, v, ir_const(x->b, ir_type(x->b, v), 0));
    x_set(x, 0, ir_popcnt(x->b, v));
    x_cc_eflags(x, ir_shli(x->b, z, 6));
}

enum { BSF, BSR, TZCNT, LZCNT };

INSN(bsf)
{
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize, kind = x->i.row->arg;
    if (kind >= TZCNT && !x86_has(x->cpu, kind == TZCNT ? X86_F_bmi1 : X86_F_abm))
        kind -= TZCNT;
    IrRef v = x_zx(x, x_get(x, 1), size);
    IrRef zero = ir_const(b, x_type(size), 0);
    IrRef is_zero = ir_setcond(b, IR_I32, IR_EQ, v, zero);
    IrRef r;
    unsigned width = size == 8 ? 64 : 32;
    switch (kind) {
    case TZCNT:
        r = ir_ctz(b, size == 2 ? ir_or(b, v, ir_i32(b, 0x10000)) : v);
        break;
    case LZCNT:
        r = ir_clz(b, v);
        if (size == 2)
            r = ir_addi(b, r, -16);
        break;
    case BSF:
        r = ir_ctz(b, v);
        break;
    default:
        r = ir_xor(b, ir_clz(b, v), x_const(x, size, width - 1));
        break;
    }
    if (kind >= TZCNT) {
        x_set(x, 0, r);
        x_cc(x, CC_LOGICC, size, r, is_zero, 0);
        return;
    }
    /* A zero source leaves the destination as it is. */
    if (size == 4)
        ir_set(b, SLOT(regs) + 8 * x->i.reg, 8,
               ir_select(b, is_zero, x_reg_full(x, x->i.reg), ir_zext(b, IR_I64, r, 32)));
    else
        x_set(x, 0, ir_select(b, is_zero, x_get(x, 0), r));
    x_cc(x, CC_LOGIC, size, v, 0, 0);
}

/* tzcnt and lzcnt are bsf and bsr to processors without them, so the rows carry no gate. */

/* ---- BMI ---- */

INSN(andn)
{
    IrRef q = x_get(x, 2);
    IrRef r = ir_andn(x->b, q, x_get(x, 1));
    x_set(x, 0, r);
    x_cc(x, CC_LOGIC, x_size(x, 0), r, 0, 0);
}

INSN(bls)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), kind = x->i.row->arg;
    IrRef v = x_get(x, 1), zero = ir_const(b, x_type(size), 0), r, c;
    IrRef less = ir_addi(b, v, -1);
    c = ir_setcond(b, IR_I32, kind == 2 ? IR_NE : IR_EQ, v, zero);
    r = kind == 0 ? ir_and(b, v, less) : kind == 1 ? ir_xor(b, v, less) : ir_and(b, v, ir_neg(b, v));
    x_set(x, 0, r);
    x_cc(x, CC_LOGICC, size, r, c, 0);
}

INSN(bzhi)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), bits = size * 8;
    IrRef v = x_get(x, 1);
    IrRef n = ir_andi(b, x_low(x, x_get(x, 2), 4), 0xff);
    IrRef big = ir_setcond(b, IR_I32, IR_GTU, n, ir_i32(b, bits - 1));
    IrRef nn = size == 8 ? ir_zext(b, IR_I64, n, 32) : n;
    IrRef mask = ir_shl(b, x_const(x, size, -1), nn);
    IrRef r = ir_select(b, big, v, ir_andn(b, v, mask));
    x_set(x, 0, r);
    x_cc(x, CC_LOGICC, size, r, big, 0);
}

INSN(bextr)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), bits = size * 8;
    IrRef v = x_get(x, 1), control = x_low(x, x_get(x, 2), 4);
    IrRef start = ir_andi(b, control, 0xff), len = ir_extract(b, control, 8, 8);
    IrRef zero = ir_const(b, x_type(size), 0);
    IrRef s = size == 8 ? ir_zext(b, IR_I64, start, 32) : start;
    IrRef l = size == 8 ? ir_zext(b, IR_I64, len, 32) : len;
    IrRef limit = ir_i32(b, bits - 1);
    v = ir_select(b, ir_setcond(b, IR_I32, IR_GTU, start, limit), zero, ir_shr(b, v, s));
    IrRef cut = ir_andn(b, v, ir_shl(b, x_const(x, size, -1), l));
    IrRef r = ir_select(b, ir_setcond(b, IR_I32, IR_GTU, len, limit), v, cut);
    x_set(x, 0, r);
    x_cc(x, CC_LOGIC, size, r, 0, 0);
}

static uint64_t x86_helper_pext(Cpu *cpu, uint64_t v, uint64_t mask)
{
    uint64_t r = 0;
    for (unsigned k = 0; mask; k++, mask &= mask - 1)
        r |= (uint64_t)(v >> __builtin_ctzll(mask) & 1) << k;
    return r;
}
HELPER(pext, I64, 0);

static uint64_t x86_helper_pdep(Cpu *cpu, uint64_t v, uint64_t mask)
{
    uint64_t r = 0;
    for (; mask; mask &= mask - 1, v >>= 1)
        r |= (v & 1) << __builtin_ctzll(mask);
    return r;
}
HELPER(pdep, I64, 0);

static void deposit_extract(X86Xlate *x, const IrHelper *h)
{
    unsigned size = x_size(x, 0);
    IrRef mask = x_zx64(x, x_get(x, 2), size);
    x_set(x, 0, x_low(x, ir_call(x->b, h, x_zx64(x, x_get(x, 1), size), mask, 0, 0), size));
}

INSN(pext) { deposit_extract(x, &h_pext); }
INSN(pdep) { deposit_extract(x, &h_pdep); }

INSN(adx)
{
    IrBuilder *b = x->b;
    unsigned size = x_size(x, 0), bit = x->i.row->arg ? 11 : 0;
    IrRef fl = x_flags(x), q = x_get(x, 1), p = x_get(x, 0);
    IrRef c = ir_extract(b, fl, bit, 1), cw = size == 8 ? ir_zext(b, IR_I64, c, 32) : c;
    IrRef s = ir_add(b, p, q), r = ir_add(b, s, cw);
    IrRef out = ir_or(b, ir_setcond(b, IR_I32, IR_LTU, s, p), ir_setcond(b, IR_I32, IR_LTU, r, s));
    x_set(x, 0, r);
    x_cc_eflags(x, ir_deposit(b, fl, out, bit, 1));
}

static uint32_t x86_helper_crc32(Cpu *cpu, uint32_t crc, uint64_t v, uint64_t bytes)
{
    /* Reflected Castagnoli polynomial, bit by bit over a nibble table's worth of steps. */
    for (unsigned k = 0; k < bytes; k++) {
        crc ^= (uint8_t)(v >> 8 * k);
        for (unsigned i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return crc;
}
HELPER(crc32, I32, 0);

INSN(crc32)
{
    unsigned size = x_size(x, 1);
    IrRef v = x_zx64(x, x_get(x, 1), size);
    IrRef r = ir_call(x->b, &h_crc32, x_reg(x, x->i.reg, 4), v, ir_i64(x->b, size), 0);
    x_set_reg(x, x->i.reg, 4, r);
}

/* ---- decimal adjust ---- */

static uint32_t x86_helper_bcd(Cpu *cpu, uint64_t kind, uint64_t flags)
{
    X86Cpu *x = x86_of(cpu);
    uint8_t al = x->regs[RAX], ah = x->regs[RAX] >> 8, old = al;
    bool af = flags & FLAG_A, cf = flags & FLAG_C, minus = kind & 1;
    bool low = (al & 15) > 9 || af;
    if (kind < 2) {             /* daa, das */
        bool high = old > 0x99 || cf, carry = false;
        if (low) {
            carry = minus ? old < 6 : old > 0xf9;
            al += minus ? -6 : 6;
        }
        if (high)
            al += minus ? -0x60 : 0x60;
        cf = high || (minus && carry);
        x->regs[RAX] = (x->regs[RAX] & ~0xffull) | al;
    } else {                    /* aaa, aas */
        if (low) {
            uint16_t ax = al | ah << 8;
            ax += minus ? -6 : 0x106;
            if (minus)
                ax -= 0x100;
            al = ax;
            ah = ax >> 8;
        }
        cf = low;
        al &= 15;
        x->regs[RAX] = (x->regs[RAX] & ~0xffffull) | al | (uint64_t)ah << 8;
    }
    return (cf ? FLAG_C : 0) | (low ? FLAG_A : 0) | (al ? 0 : FLAG_Z) | (al & 0x80) |
           (__builtin_parity(al) ? 0 : FLAG_P);
}
HELPER(bcd, I32, IR_H_READ | IR_H_WRITE);

static void bcd(X86Xlate *x, unsigned kind)
{
    IrRef fl = ir_zext(x->b, IR_I64, x_flags(x), 32);
    x_cc_eflags(x, x_call(x, &h_bcd, ir_i64(x->b, kind), fl, 0, 0));
}

INSN(daa) { bcd(x, 0); }
INSN(das) { bcd(x, 1); }
INSN(aaa) { bcd(x, 2); }
INSN(aas) { bcd(x, 3); }

INSN(aam)
{
    IrBuilder *b = x->b;
    uint8_t base = x->i.imm;
    if (!base) {
        x_raise(x, EXC_DE, 0);
        return;
    }
    IrRef al = x_reg(x, RAX, 1), d = ir_i32(b, base);
    IrRef r = ir_remu(b, al, d);
    x_set_reg(x, RAX, 2, ir_or(b, ir_shli(b, ir_divu(b, al, d), 8), r));
    x_cc(x, CC_LOGIC, 1, r, 0, 0);
}

INSN(aad)
{
    IrBuilder *b = x->b;
    IrRef ax = x_reg(x, RAX, 2);
    IrRef high = ir_shri(b, ax, 8);
    IrRef r = ir_andi(b, ir_add(b, ax, ir_mul(b, high, ir_i32(b, (uint8_t)x->i.imm))), 0xff);
    x_set_reg(x, RAX, 2, r);
    x_cc(x, CC_LOGIC, 1, r, 0, 0);
}

INSN(salc)
{
    ir_set(x->b, SLOT(regs[RAX]), 1, ir_neg(x->b, x_carry(x)));
}

/* ---- flag instructions ---- */

static void set_carry(X86Xlate *x, IrRef fl, IrRef c) { x_cc_eflags(x, ir_deposit(x->b, fl, c, 0, 1)); }

INSN(clc) { set_carry(x, x_flags(x), ir_i32(x->b, 0)); }
INSN(stc) { set_carry(x, x_flags(x), ir_i32(x->b, 1)); }
INSN(cmc) { x_cc_eflags(x, ir_xor(x->b, x_flags(x), ir_i32(x->b, FLAG_C))); }

INSN(lahf)
{
    if (x->code == 8 && !x86_has(x->cpu, X86_F_lahf_lm)) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    ir_set(x->b, SLOT(regs[RAX]) + 1, 1, ir_or(x->b, x_flags(x), ir_i32(x->b, FLAG_1)));
}

INSN(sahf)
{
    if (x->code == 8 && !x86_has(x->cpu, X86_F_lahf_lm)) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    IrBuilder *b = x->b;
    const int low = FLAGS_ARITH & 0xff;
    IrRef ah = ir_get(b, IR_I32, SLOT(regs[RAX]) + 1, 1);
    x_cc_eflags(x, ir_or(b, ir_andi(b, x_flags(x), FLAG_O), ir_andi(b, ah, low)));
}

INSN(cld)
{
    IrRef f = ir_get(x->b, IR_I32, SLOT(eflags), 4);
    ir_set(x->b, SLOT(eflags), 4, ir_andi(x->b, f, ~FLAG_D));
}

INSN(std)
{
    IrRef f = ir_get(x->b, IR_I32, SLOT(eflags), 4);
    ir_set(x->b, SLOT(eflags), 4, ir_or(x->b, f, ir_i32(x->b, FLAG_D)));
}

INSN(nop_modrm) { }
INSN(fence) { ir_fence(x->b); }
