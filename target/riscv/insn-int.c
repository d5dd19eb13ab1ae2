/* SPDX-License-Identifier: Apache-2.0 */
/* Integer instructions: I, M, Zba, Zbb, Zbc, Zbs, Zicond. Spec: RISC-V unprivileged manual. */
#include "target/riscv/translate.h"

typedef IrRef (*Binary)(IrBuilder *b, IrRef x, IrRef y);

static void op(IrBuilder *b, Binary f, unsigned rd, unsigned rs1, unsigned rs2)
{
    set(b, rd, f(b, get(b, rs1), get(b, rs2)));
}

static void op_w(IrBuilder *b, Binary f, unsigned rd, unsigned rs1, unsigned rs2)
{
    set_w(b, rd, f(b, get_w(b, rs1), get_w(b, rs2)));
}

static void op_i(IrBuilder *b, Binary f, unsigned rd, unsigned rs1, int64_t imm)
{
    set(b, rd, f(b, get(b, rs1), xconst(b, imm)));
}

static void op_wi(IrBuilder *b, Binary f, unsigned rd, unsigned rs1, int32_t imm)
{
    set_w(b, rd, f(b, get_w(b, rs1), ir_i32(b, imm)));
}

static void compare(IrBuilder *b, IrCond cc, unsigned rd, IrRef x, IrRef y)
{
    set(b, rd, ir_setcond(b, unit(b)->t, cc, x, y));
}

/* ---- I ---- */

INSN(lui) { set(b, rd, xconst(b, imm)); }
INSN(addi) { set(b, rd, ir_addi(b, get(b, rs1), imm)); }
INSN(slti) { compare(b, IR_LT, rd, get(b, rs1), xconst(b, imm)); }
INSN(sltiu) { compare(b, IR_LTU, rd, get(b, rs1), xconst(b, imm)); }
INSN(xori) { op_i(b, ir_xor, rd, rs1, imm); }
INSN(ori) { op_i(b, ir_or, rd, rs1, imm); }
INSN(andi) { set(b, rd, ir_andi(b, get(b, rs1), imm)); }
INSN(slli) { set(b, rd, ir_shli(b, get(b, rs1), shamt)); }
INSN(srli) { set(b, rd, ir_shri(b, get(b, rs1), shamt)); }
INSN(srai) { set(b, rd, ir_sari(b, get(b, rs1), shamt)); }
INSN(add) { op(b, ir_add, rd, rs1, rs2); }
INSN(sub) { op(b, ir_sub, rd, rs1, rs2); }
INSN(sll) { op(b, ir_shl, rd, rs1, rs2); }
INSN(srl) { op(b, ir_shr, rd, rs1, rs2); }
INSN(sra) { op(b, ir_sar, rd, rs1, rs2); }
INSN(slt) { compare(b, IR_LT, rd, get(b, rs1), get(b, rs2)); }
INSN(sltu) { compare(b, IR_LTU, rd, get(b, rs1), get(b, rs2)); }
INSN(xor) { op(b, ir_xor, rd, rs1, rs2); }
INSN(or) { op(b, ir_or, rd, rs1, rs2); }
INSN(and) { op(b, ir_and, rd, rs1, rs2); }
INSN(addiw) { op_wi(b, ir_add, rd, rs1, imm); }
INSN(slliw) { op_wi(b, ir_shl, rd, rs1, shamt); }
INSN(srliw) { op_wi(b, ir_shr, rd, rs1, shamt); }
INSN(sraiw) { op_wi(b, ir_sar, rd, rs1, shamt); }
INSN(addw) { op_w(b, ir_add, rd, rs1, rs2); }
INSN(subw) { op_w(b, ir_sub, rd, rs1, rs2); }
INSN(sllw) { op_w(b, ir_shl, rd, rs1, rs2); }
INSN(srlw) { op_w(b, ir_shr, rd, rs1, rs2); }
INSN(sraw) { op_w(b, ir_sar, rd, rs1, rs2); }

/* ---- M ---- */

INSN(mul) { op(b, ir_mul, rd, rs1, rs2); }
INSN(mulh) { op(b, ir_mulhs, rd, rs1, rs2); }
INSN(mulhu) { op(b, ir_mulhu, rd, rs1, rs2); }
INSN(mulw) { op_w(b, ir_mul, rd, rs1, rs2); }

INSN(mulhsu)
{
    /* A negative x counts as x + 2^XLEN in the unsigned product: take y off the high half. */
    IrRef x = get(b, rs1), y = get(b, rs2);
    IrRef sign = ir_sari(b, x, xlen(b) - 1);
    set(b, rd, ir_sub(b, ir_mulhu(b, x, y), ir_and(b, sign, y)));
}

/*
 * Division by zero gives all ones, or the dividend as the remainder; the overflow of min / -1 the
 * dividend, remainder 0. Both come from dividing by 1 instead and choosing the result.
 */
typedef struct Division {
    IrRef x, y;                 /* operands that can be divided */
    IrRef zero;                 /* the divisor was 0 */
} Division;

static Division guard(IrBuilder *b, IrType t, IrRef x, IrRef y, bool is_signed)
{
    Division d = {.x = x, .zero = ir_setcond(b, t, IR_EQ, y, ir_const(b, t, 0))};
    IrRef bad = d.zero;
    if (is_signed) {
        int64_t min = t == IR_I32 ? INT32_MIN : INT64_MIN;
        IrRef overflow = ir_and(b, ir_setcond(b, t, IR_EQ, x, ir_const(b, t, min)),
                                ir_setcond(b, t, IR_EQ, y, ir_const(b, t, -1)));
        bad = ir_or(b, bad, overflow);
    }
    d.y = ir_select(b, bad, ir_const(b, t, 1), y);
    return d;
}

static IrRef divide(IrBuilder *b, IrRef x, IrRef y, bool is_signed)
{
    IrType t = ir_type(b, x);
    Division d = guard(b, t, x, y, is_signed);
    IrRef q = is_signed ? ir_divs(b, d.x, d.y) : ir_divu(b, d.x, d.y);
    return ir_select(b, d.zero, ir_const(b, t, -1), q);
}

static IrRef leftover(IrBuilder *b, IrRef x, IrRef y, bool is_signed)
{
    IrType t = ir_type(b, x);
    Division d = guard(b, t, x, y, is_signed);
    IrRef r = is_signed ? ir_rems(b, d.x, d.y) : ir_remu(b, d.x, d.y);
    return ir_select(b, d.zero, x, r);
}

static IrRef div_s(IrBuilder *b, IrRef x, IrRef y) { return divide(b, x, y, true); }
static IrRef div_u(IrBuilder *b, IrRef x, IrRef y) { return divide(b, x, y, false); }
static IrRef rem_s(IrBuilder *b, IrRef x, IrRef y) { return leftover(b, x, y, true); }
static IrRef rem_u(IrBuilder *b, IrRef x, IrRef y) { return leftover(b, x, y, false); }

INSN(div) { op(b, div_s, rd, rs1, rs2); }
INSN(divu) { op(b, div_u, rd, rs1, rs2); }
INSN(rem) { op(b, rem_s, rd, rs1, rs2); }
INSN(remu) { op(b, rem_u, rd, rs1, rs2); }
INSN(divw) { op_w(b, div_s, rd, rs1, rs2); }
INSN(divuw) { op_w(b, div_u, rd, rs1, rs2); }
INSN(remw) { op_w(b, rem_s, rd, rs1, rs2); }
INSN(remuw) { op_w(b, rem_u, rd, rs1, rs2); }

/* ---- Zba ---- */

static void shift_add(IrBuilder *b, unsigned n, unsigned rd, unsigned rs1, unsigned rs2)
{
    set(b, rd, ir_add(b, ir_shli(b, get(b, rs1), n), get(b, rs2)));
}

static void shift_add_uw(IrBuilder *b, unsigned n, unsigned rd, unsigned rs1, unsigned rs2)
{
    IrRef index = ir_zext(b, IR_I64, get(b, rs1), 32);
    set(b, rd, ir_add(b, ir_shli(b, index, n), get(b, rs2)));
}

INSN(sh1add) { shift_add(b, 1, rd, rs1, rs2); }
INSN(sh2add) { shift_add(b, 2, rd, rs1, rs2); }
INSN(sh3add) { shift_add(b, 3, rd, rs1, rs2); }
INSN(sh1add_uw) { shift_add_uw(b, 1, rd, rs1, rs2); }
INSN(sh2add_uw) { shift_add_uw(b, 2, rd, rs1, rs2); }
INSN(sh3add_uw) { shift_add_uw(b, 3, rd, rs1, rs2); }
INSN(add_uw) { shift_add_uw(b, 0, rd, rs1, rs2); }
INSN(slli_uw) { set(b, rd, ir_shli(b, ir_zext(b, IR_I64, get(b, rs1), 32), shamt)); }

/* ---- Zbb ---- */

static IrRef orn(IrBuilder *b, IrRef x, IrRef y) { return ir_or(b, x, ir_not(b, y)); }
static IrRef xnor(IrBuilder *b, IrRef x, IrRef y) { return ir_not(b, ir_xor(b, x, y)); }

static void pick(IrBuilder *b, IrCond cc, unsigned rd, unsigned rs1, unsigned rs2)
{
    IrRef x = get(b, rs1), y = get(b, rs2);
    set(b, rd, ir_select(b, ir_setcond(b, unit(b)->t, cc, x, y), x, y));
}

INSN(andn) { op(b, ir_andn, rd, rs1, rs2); }
INSN(orn) { op(b, orn, rd, rs1, rs2); }
INSN(xnor) { op(b, xnor, rd, rs1, rs2); }
INSN(max) { pick(b, IR_GT, rd, rs1, rs2); }
INSN(maxu) { pick(b, IR_GTU, rd, rs1, rs2); }
INSN(min) { pick(b, IR_LT, rd, rs1, rs2); }
INSN(minu) { pick(b, IR_LTU, rd, rs1, rs2); }
INSN(rol) { op(b, ir_rotl, rd, rs1, rs2); }
INSN(ror) { op(b, ir_rotr, rd, rs1, rs2); }
INSN(rolw) { op_w(b, ir_rotl, rd, rs1, rs2); }
INSN(rorw) { op_w(b, ir_rotr, rd, rs1, rs2); }
INSN(rori) { op_i(b, ir_rotr, rd, rs1, shamt); }
INSN(roriw) { op_wi(b, ir_rotr, rd, rs1, shamt); }
INSN(clz) { set(b, rd, ir_clz(b, get(b, rs1))); }
INSN(ctz) { set(b, rd, ir_ctz(b, get(b, rs1))); }
INSN(cpop) { set(b, rd, ir_popcnt(b, get(b, rs1))); }
INSN(clzw) { set_w(b, rd, ir_clz(b, get_w(b, rs1))); }
INSN(ctzw) { set_w(b, rd, ir_ctz(b, get_w(b, rs1))); }
INSN(cpopw) { set_w(b, rd, ir_popcnt(b, get_w(b, rs1))); }
INSN(sext_b) { set(b, rd, ir_sext(b, unit(b)->t, get(b, rs1), 8)); }
INSN(sext_h) { set(b, rd, ir_sext(b, unit(b)->t, get(b, rs1), 16)); }
INSN(zext_h) { set(b, rd, ir_zext(b, unit(b)->t, get(b, rs1), 16)); }
INSN(rev8) { set(b, rd, ir_bswap(b, get(b, rs1))); }

INSN(orc_b)
{
    /* Gather each byte's bits in its lowest, then spread that over the byte. */
    IrRef x = get(b, rs1), ones = xconst(b, 0x0101010101010101);
    x = ir_or(b, x, ir_and(b, ir_shri(b, x, 4), xconst(b, 0x0f0f0f0f0f0f0f0f)));
    x = ir_or(b, x, ir_and(b, ir_shri(b, x, 2), xconst(b, 0x3f3f3f3f3f3f3f3f)));
    x = ir_or(b, x, ir_and(b, ir_shri(b, x, 1), xconst(b, 0x7f7f7f7f7f7f7f7f)));
    set(b, rd, ir_mul(b, ir_and(b, x, ones), xconst(b, 255)));
}

/* ---- Zbc ---- */

static unsigned __int128 clmul(uint64_t x, uint64_t y)
{
    unsigned __int128 sum = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (y >> i & 1)
            sum ^= (unsigned __int128)x << i;
    }
    return sum;
}

/* The product's bits from `shift` on. */
static uint64_t clmul_helper(Cpu *cpu, uint64_t x, uint64_t y, uint32_t shift)
{
    return clmul(x, y) >> shift;
}
static const IrHelper h_clmul = {"clmul", clmul_helper, IR_I64, 0};

static void carryless(IrBuilder *b, unsigned shift, unsigned rd, unsigned rs1, unsigned rs2)
{
    IrRef x = to_address(b, get(b, rs1)), y = to_address(b, get(b, rs2));
    IrRef v = ir_call(b, &h_clmul, x, y, ir_i32(b, shift), 0);
    set(b, rd, unit(b)->rv32 ? ir_trunc(b, v) : v);
}

INSN(clmul) { carryless(b, 0, rd, rs1, rs2); }
INSN(clmulh) { carryless(b, xlen(b), rd, rs1, rs2); }
INSN(clmulr) { carryless(b, xlen(b) - 1, rd, rs1, rs2); }

/* ---- Zbs: the IR takes shift counts modulo the width, as does the extension ---- */

static IrRef bit(IrBuilder *b, IrRef n) { return ir_shl(b, xconst(b, 1), n); }
static IrRef bit_clear(IrBuilder *b, IrRef x, IrRef n) { return ir_andn(b, x, bit(b, n)); }
static IrRef bit_set(IrBuilder *b, IrRef x, IrRef n) { return ir_or(b, x, bit(b, n)); }
static IrRef bit_invert(IrBuilder *b, IrRef x, IrRef n) { return ir_xor(b, x, bit(b, n)); }
static IrRef bit_get(IrBuilder *b, IrRef x, IrRef n) { return ir_andi(b, ir_shr(b, x, n), 1); }

INSN(bclr) { op(b, bit_clear, rd, rs1, rs2); }
INSN(bset) { op(b, bit_set, rd, rs1, rs2); }
INSN(binv) { op(b, bit_invert, rd, rs1, rs2); }
INSN(bext) { op(b, bit_get, rd, rs1, rs2); }
INSN(bclri) { op_i(b, bit_clear, rd, rs1, shamt); }
INSN(bseti) { op_i(b, bit_set, rd, rs1, shamt); }
INSN(binvi) { op_i(b, bit_invert, rd, rs1, shamt); }
INSN(bexti) { op_i(b, bit_get, rd, rs1, shamt); }

/* ---- Zicond ---- */

INSN(czero_eqz) { set(b, rd, ir_select(b, get(b, rs2), get(b, rs1), xconst(b, 0))); }
INSN(czero_nez) { set(b, rd, ir_select(b, get(b, rs2), xconst(b, 0), get(b, rs1))); }
