/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F and D through the software floating-point library. Spec: RISC-V unprivileged manual, F and D.
 * A single in a register has ones above it (NaN-boxed); anything else counts as the canonical NaN.
 * Static and dynamic rounding modes are both known when code is translated: frm is part of the mode
 * word.
 */
#include "fp/fp.h"
#include "target/riscv/translate.h"

#define BOX 0xffffffff00000000ull
#define NAN32 0x7fc00000u

/* ---- in units ---- */

static int32_t f_slot(unsigned r) { return offsetof(RvCpu, f) + 8 * r; }
static IrRef get_f(IrBuilder *b, unsigned r) { return ir_get(b, IR_I64, f_slot(r), 8); }

/* What follows changes f registers or flags: mstatus.FS becomes Dirty. */
static void dirty(IrBuilder *b)
{
    RvUnit *u = unit(b);
    if (u->fs_dirty)
        return;
    int32_t slot = offsetof(RvCpu, mstatus);
    ir_set(b, slot, 8, ir_or(b, ir_get(b, IR_I64, slot, 8), ir_i64(b, RV_FS)));
    ir_set(b, offsetof(Cpu, mode), 4, ir_i32(b, b->mode | RV_MODE_FS_DIRTY));
    u->fs_dirty = u->resync = true;
}

static void set_f(IrBuilder *b, unsigned r, IrRef v)
{
    dirty(b);
    ir_set(b, f_slot(r), 8, v);
}

static bool enabled(IrBuilder *b)
{
    if (!unit(b)->fs_on)
        rv_illegal(b);
    return unit(b)->fs_on;
}

/* FpRound of an instruction's rm, or -1. */
static int rounding(IrBuilder *b, unsigned rm)
{
    static const int8_t modes[8] = {FP_ROUND_NEAREST_EVEN, FP_ROUND_ZERO, FP_ROUND_DOWN,
                                    FP_ROUND_UP, FP_ROUND_NEAREST_AWAY, -1, -1, -1};
    return modes[rm == 7 ? unit(b)->frm : rm];
}

/* enabled() and a valid rounding mode. */
static bool rounds(IrBuilder *b, unsigned rm, int *round)
{
    if (!enabled(b))
        return false;
    *round = rounding(b, rm);
    if (*round < 0)
        rv_illegal(b);
    return *round >= 0;
}

static IrRef boxed(IrBuilder *b, IrRef v) { return ir_or(b, v, ir_i64(b, BOX)); }

/* The low word of a boxed value as I64, the canonical NaN of another. */
static IrRef unboxed(IrBuilder *b, IrRef v)
{
    IrRef ok = ir_setcond(b, IR_I64, IR_GEU, v, ir_i64(b, BOX));
    return ir_select(b, ok, ir_andi(b, v, UINT32_MAX), ir_i64(b, NAN32));
}

/* ---- helpers: they take and give registers ---- */

static FpEnv env_of(unsigned round) { return (FpEnv){.rules = &fp_rules_riscv, .round = round}; }
static void flags(Cpu *cpu, const FpEnv *env) { cpu->fp_flags |= env->flags; }
static Fp32 unbox(uint64_t v) { return v >= BOX ? (uint32_t)v : NAN32; }
static uint64_t box(Fp32 v) { return v | BOX; }

/* In both formats: NARROW reads a register, WIDEN writes one. */
#define ARITH(name, op, P, NARROW, WIDEN)                                                           \
    static uint64_t name(Cpu *cpu, uint64_t x, uint64_t y, uint32_t round)                          \
    {                                                                                               \
        FpEnv env = env_of(round);                                                                  \
        uint64_t v = WIDEN(P##_##op(NARROW(x), NARROW(y), &env));                                   \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
#define ARITHS(op)                                                                                  \
    ARITH(op##_s, op, fp32, unbox, box)                                                             \
    ARITH(op##_d, op, fp64, , )
ARITHS(add)
ARITHS(sub)
ARITHS(mul)
ARITHS(div)

#define SQRT(name, P, NARROW, WIDEN)                                                                \
    static uint64_t name(Cpu *cpu, uint64_t x, uint32_t round)                                      \
    {                                                                                               \
        FpEnv env = env_of(round);                                                                  \
        uint64_t v = WIDEN(P##_sqrt(NARROW(x), &env));                                              \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
SQRT(sqrt_s, fp32, unbox, box)
SQRT(sqrt_d, fp64, , )

/* round | FP_FMA_* << 8 */
#define FMA(name, P, NARROW, WIDEN)                                                                 \
    static uint64_t name(Cpu *cpu, uint64_t x, uint64_t y, uint64_t z, uint32_t how)                \
    {                                                                                               \
        FpEnv env = env_of(how & 255);                                                              \
        uint64_t v = WIDEN(P##_fma(NARROW(x), NARROW(y), NARROW(z), how >> 8, &env));               \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
FMA(fma_s, fp32, unbox, box)
FMA(fma_d, fp64, , )

#define MINMAX(name, op, P, NARROW, WIDEN)                                                          \
    static uint64_t name(Cpu *cpu, uint64_t x, uint64_t y, uint32_t unused)                         \
    {                                                                                               \
        FpEnv env = env_of(0);                                                                      \
        uint64_t v = WIDEN(P##_##op(NARROW(x), NARROW(y), FP_MINMAX_NUM_2019, &env));               \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
MINMAX(min_s, min, fp32, unbox, box)
MINMAX(min_d, min, fp64, , )
MINMAX(max_s, max, fp32, unbox, box)
MINMAX(max_d, max, fp64, , )

#define COMPARE(name, fn, P, NARROW, test)                                                          \
    static uint64_t name(Cpu *cpu, uint64_t x, uint64_t y, uint32_t unused)                         \
    {                                                                                               \
        FpEnv env = env_of(0);                                                                      \
        FpOrder o = P##_##fn(NARROW(x), NARROW(y), &env);                                           \
        flags(cpu, &env);                                                                           \
        return test;                                                                                \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
#define COMPARES(name, fn, test)                                                                    \
    COMPARE(name##_s, fn, fp32, unbox, test)                                                        \
    COMPARE(name##_d, fn, fp64, , test)
COMPARES(eq, compare, o == FP_EQUAL)
COMPARES(lt, compare_signalling, o == FP_LESS)
COMPARES(le, compare_signalling, o == FP_LESS || o == FP_EQUAL)

#define TO_INT(name, type, P, NARROW, SIGNED)                                                       \
    static uint64_t name(Cpu *cpu, uint64_t x, uint32_t round)                                      \
    {                                                                                               \
        FpEnv env = env_of(round);                                                                  \
        uint64_t v = (int64_t)(SIGNED)P##_to_##type(NARROW(x), round, &env);                        \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
#define FROM_INT(name, type, P, T, WIDEN)                                                           \
    static uint64_t name(Cpu *cpu, uint64_t x, uint32_t round)                                      \
    {                                                                                               \
        FpEnv env = env_of(round);                                                                  \
        uint64_t v = WIDEN(P##_from_##type((T)x, &env));                                            \
        flags(cpu, &env);                                                                           \
        return v;                                                                                   \
    }                                                                                               \
    static const IrHelper h_##name = {#name, name, IR_I64, IR_H_FP};
/* A word is sign-extended in its register, signed or not. */
#define INT(n, type, T, SIGNED)                                                                     \
    TO_INT(cvt_##n##_s, type, fp32, unbox, SIGNED)                                                  \
    TO_INT(cvt_##n##_d, type, fp64, , SIGNED)                                                       \
    FROM_INT(cvt_s_##n, type, fp32, T, box)                                                         \
    FROM_INT(cvt_d_##n, type, fp64, T, )
INT(w, i32, int32_t, int32_t)
INT(wu, u32, uint32_t, int32_t)
INT(l, i64, int64_t, int64_t)
INT(lu, u64, uint64_t, int64_t)

static uint64_t cvt_s_d(Cpu *cpu, uint64_t x, uint32_t round)
{
    FpEnv env = env_of(round);
    uint64_t v = box(fp64_to_fp32(x, &env));
    flags(cpu, &env);
    return v;
}
static const IrHelper h_cvt_s_d = {"cvt_s_d", cvt_s_d, IR_I64, IR_H_FP};

static uint64_t cvt_d_s(Cpu *cpu, uint64_t x, uint32_t round)
{
    FpEnv env = env_of(round);
    uint64_t v = fp32_to_fp64(unbox(x), &env);
    flags(cpu, &env);
    return v;
}
static const IrHelper h_cvt_d_s = {"cvt_d_s", cvt_d_s, IR_I64, IR_H_FP};

static uint64_t class_bit(FpClass class, bool negative)
{
    switch (class) {
    case FP_CLASS_INF:
        return negative ? 1 << 0 : 1 << 7;
    case FP_CLASS_NORMAL:
        return negative ? 1 << 1 : 1 << 6;
    case FP_CLASS_DENORMAL:
        return negative ? 1 << 2 : 1 << 5;
    case FP_CLASS_ZERO:
        return negative ? 1 << 3 : 1 << 4;
    case FP_CLASS_SNAN:
        return 1 << 8;
    default:
        return 1 << 9;
    }
}

static uint64_t class_s(Cpu *cpu, uint64_t x)
{
    Fp32 v = unbox(x);
    return class_bit(fp32_classify(v, &fp_rules_riscv), fp32_sign(v));
}
static const IrHelper h_class_s = {"class_s", class_s, IR_I64, 0};

static uint64_t class_d(Cpu *cpu, uint64_t x)
{
    return class_bit(fp64_classify(x, &fp_rules_riscv), fp64_sign(x));
}
static const IrHelper h_class_d = {"class_d", class_d, IR_I64, 0};

/* ---- instructions ---- */

static void load(IrBuilder *b, unsigned rd, unsigned rs1, int32_t imm, bool single)
{
    if (!enabled(b))
        return;
    IrRef base = address(b, rs1, &imm);
    IrRef v = ir_load(b, IR_I64, base, imm, single ? IR_M32 : IR_M64);
    set_f(b, rd, single ? boxed(b, v) : v);
}

static void store(IrBuilder *b, unsigned rs2, unsigned rs1, int32_t imm, bool single)
{
    if (!enabled(b))
        return;
    IrRef base = address(b, rs1, &imm);
    ir_store(b, base, imm, get_f(b, rs2), single ? IR_M32 : IR_M64);
}

INSN(flw) { load(b, rd, rs1, imm, true); }
INSN(fld) { load(b, rd, rs1, imm, false); }
INSN(fsw) { store(b, rs2, rs1, imm, true); }
INSN(fsd) { store(b, rs2, rs1, imm, false); }

static void arith(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1, unsigned rs2,
                  unsigned rm)
{
    int round;
    if (rounds(b, rm, &round))
        set_f(b, rd, ir_call(b, h, get_f(b, rs1), get_f(b, rs2), ir_i32(b, round), 0));
}

#define BOTH2(name)                                                                                 \
    INSN(f##name##_s) { arith(b, &h_##name##_s, rd, rs1, rs2, rm); }                                \
    INSN(f##name##_d) { arith(b, &h_##name##_d, rd, rs1, rs2, rm); }
BOTH2(add)
BOTH2(sub)
BOTH2(mul)
BOTH2(div)

/* Results that need no rounding mode. */
#define BOTH_MINMAX(name)                                                                           \
    INSN(f##name##_s) { arith(b, &h_##name##_s, rd, rs1, rs2, 0); }                                 \
    INSN(f##name##_d) { arith(b, &h_##name##_d, rd, rs1, rs2, 0); }
BOTH_MINMAX(min)
BOTH_MINMAX(max)

static void fused(IrBuilder *b, const IrHelper *h, unsigned how, unsigned rd, unsigned rs1,
                unsigned rs2, unsigned rs3, unsigned rm)
{
    int round;
    if (rounds(b, rm, &round))
        set_f(b, rd, ir_call(b, h, get_f(b, rs1), get_f(b, rs2), get_f(b, rs3),
                             ir_i32(b, round | how << 8)));
}

#define BOTH3(name, how)                                                                            \
    INSN(name##_s) { fused(b, &h_fma_s, how, rd, rs1, rs2, rs3, rm); }                                \
    INSN(name##_d) { fused(b, &h_fma_d, how, rd, rs1, rs2, rs3, rm); }
BOTH3(fmadd, 0)
BOTH3(fmsub, FP_FMA_NEG_ADDEND)
BOTH3(fnmsub, FP_FMA_NEG_PRODUCT)
BOTH3(fnmadd, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND)

static void unary(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1, unsigned rm)
{
    int round;
    if (rounds(b, rm, &round))
        set_f(b, rd, ir_call(b, h, get_f(b, rs1), ir_i32(b, round), 0, 0));
}

INSN(fsqrt_s) { unary(b, &h_sqrt_s, rd, rs1, rm); }
INSN(fsqrt_d) { unary(b, &h_sqrt_d, rd, rs1, rm); }
INSN(fcvt_s_d) { unary(b, &h_cvt_s_d, rd, rs1, rm); }
INSN(fcvt_d_s) { unary(b, &h_cvt_d_s, rd, rs1, rm); }

static void set_x64(IrBuilder *b, unsigned rd, IrRef v)
{
    set(b, rd, unit(b)->rv32 ? ir_trunc(b, v) : v);
}

static void to_int(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1, unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    IrRef v = ir_call(b, h, get_f(b, rs1), ir_i32(b, round), 0, 0);
    dirty(b);
    set_x64(b, rd, v);
}

static void from_int(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1, unsigned rm)
{
    int round;
    if (rounds(b, rm, &round))
        set_f(b, rd, ir_call(b, h, to_address(b, get(b, rs1)), ir_i32(b, round), 0, 0));
}

#define CONVERT(n)                                                                                  \
    INSN(fcvt_##n##_s) { to_int(b, &h_cvt_##n##_s, rd, rs1, rm); }                                  \
    INSN(fcvt_##n##_d) { to_int(b, &h_cvt_##n##_d, rd, rs1, rm); }                                  \
    INSN(fcvt_s_##n) { from_int(b, &h_cvt_s_##n, rd, rs1, rm); }                                    \
    INSN(fcvt_d_##n) { from_int(b, &h_cvt_d_##n, rd, rs1, rm); }
CONVERT(w)
CONVERT(wu)
CONVERT(l)
CONVERT(lu)

static void compare(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (!enabled(b))
        return;
    IrRef v = ir_call(b, h, get_f(b, rs1), get_f(b, rs2), ir_i32(b, 0), 0);
    dirty(b);
    set_x64(b, rd, v);
}

INSN(feq_s) { compare(b, &h_eq_s, rd, rs1, rs2); }
INSN(feq_d) { compare(b, &h_eq_d, rd, rs1, rs2); }
INSN(flt_s) { compare(b, &h_lt_s, rd, rs1, rs2); }
INSN(flt_d) { compare(b, &h_lt_d, rd, rs1, rs2); }
INSN(fle_s) { compare(b, &h_le_s, rd, rs1, rs2); }
INSN(fle_d) { compare(b, &h_le_d, rd, rs1, rs2); }

static void classify(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1)
{
    if (enabled(b))
        set_x64(b, rd, ir_call(b, h, get_f(b, rs1), 0, 0, 0));
}

INSN(fclass_s) { classify(b, &h_class_s, rd, rs1); }
INSN(fclass_d) { classify(b, &h_class_d, rd, rs1); }

/* ---- signs and moves: plain bit work ---- */

enum { SIGN_COPY, SIGN_NEGATE, SIGN_XOR };

static IrRef sign_of(IrBuilder *b, unsigned how, IrRef x, IrRef y, uint64_t sign)
{
    IrRef s = how == SIGN_NEGATE ? ir_not(b, y) : how == SIGN_XOR ? ir_xor(b, x, y) : y;
    IrRef rest = ir_andn(b, x, ir_i64(b, sign));
    return ir_or(b, rest, ir_and(b, s, ir_i64(b, sign)));
}

static void sign_d(IrBuilder *b, unsigned how, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (!enabled(b))
        return;
    IrRef x = get_f(b, rs1);
    bool move = how == SIGN_COPY && rs1 == rs2;
    set_f(b, rd, move ? x : sign_of(b, how, x, get_f(b, rs2), 1ull << 63));
}

static void sign_s(IrBuilder *b, unsigned how, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (!enabled(b))
        return;
    IrRef x = unboxed(b, get_f(b, rs1)), y = rs1 == rs2 ? x : unboxed(b, get_f(b, rs2));
    bool move = how == SIGN_COPY && rs1 == rs2;
    set_f(b, rd, boxed(b, move ? x : sign_of(b, how, x, y, 1ull << 31)));
}

INSN(fsgnj_s) { sign_s(b, SIGN_COPY, rd, rs1, rs2); }
INSN(fsgnjn_s) { sign_s(b, SIGN_NEGATE, rd, rs1, rs2); }
INSN(fsgnjx_s) { sign_s(b, SIGN_XOR, rd, rs1, rs2); }
INSN(fsgnj_d) { sign_d(b, SIGN_COPY, rd, rs1, rs2); }
INSN(fsgnjn_d) { sign_d(b, SIGN_NEGATE, rd, rs1, rs2); }
INSN(fsgnjx_d) { sign_d(b, SIGN_XOR, rd, rs1, rs2); }

INSN(fmv_x_w)
{
    if (enabled(b))
        set_w(b, rd, ir_get(b, IR_I32, f_slot(rs1), 4));
}

INSN(fmv_x_d)
{
    if (enabled(b))
        set(b, rd, get_f(b, rs1));
}

INSN(fmv_w_x)
{
    if (enabled(b))
        set_f(b, rd, boxed(b, ir_zext(b, IR_I64, get(b, rs1), 32)));
}

INSN(fmv_d_x)
{
    if (enabled(b))
        set_f(b, rd, get(b, rs1));
}
