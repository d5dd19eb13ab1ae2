/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F and D. Spec: RISC-V unprivileged manual, F and D.
 *
 * Operations whose rounding mode is the one in frm run on the host (IR_FP_CANON gives its results
 * RISC-V's NaNs), others call the software library; frm is part of the mode word, and the engine's
 * fp_mode follows it. A single in a register has ones above it (NaN-boxed); anything else counts as
 * the canonical NaN. Values of registers are remembered within a unit, as vectors: units are entered
 * at their start only, so what was computed before is there.
 */
#include "fp/fp.h"
#include "ir/vector.h"
#include "target/riscv/translate.h"

#define BOX 0xffffffff00000000ull
#define NAN32 0x7fc00000u

/* ---- registers ---- */

static int32_t f_slot(unsigned r) { return offsetof(RvCpu, f) + 8 * r; }

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

/* The whole register in the low lane, a double. */
static IrRef get_d(IrBuilder *b, unsigned r)
{
    RvUnit *u = unit(b);
    if (!u->f_double[r])
        u->f_double[r] = ir_get(b, IR_V128, f_slot(r), 8);
    return u->f_double[r];
}

static IrRef get_bits(IrBuilder *b, unsigned r)
{
    IrRef v = unit(b)->f_double[r];
    return v ? ir_v_extract(b, IR_I64, IR_D, v, 0) : ir_get(b, IR_I64, f_slot(r), 8);
}

/* The register as a single in the low lane. */
static IrRef get_s(IrBuilder *b, unsigned r)
{
    RvUnit *u = unit(b);
    if (!u->f_single[r]) {
        IrRef all = get_bits(b, r), boxed = ir_setcond(b, IR_I64, IR_GEU, all, ir_i64(b, BOX));
        IrRef v = ir_select(b, boxed, ir_trunc(b, all), ir_i32(b, NAN32));
        u->f_single[r] = ir_v_from32(b, v);
    }
    return u->f_single[r];
}

static IrRef get_fp(IrBuilder *b, IrLane lane, unsigned r)
{
    return lane == IR_F32 ? get_s(b, r) : get_d(b, r);
}

/* The low word as it is, I32 or, if a single is known, a vector. */
static IrRef get_low(IrBuilder *b, unsigned r, bool vector)
{
    RvUnit *u = unit(b);
    if (!(u->f_boxed >> r & 1))
        return ir_get(b, IR_I32, f_slot(r), 4);
    return vector ? u->f_single[r] : ir_v_extract(b, IR_I32, IR_W, u->f_single[r], 0);
}

static void set_bits(IrBuilder *b, unsigned r, IrRef v)
{
    RvUnit *u = unit(b);
    dirty(b);
    u->f_single[r] = u->f_double[r] = 0;
    u->f_boxed &= ~(1u << r);
    ir_set(b, f_slot(r), 8, v);
}

static void set_d(IrBuilder *b, unsigned r, IrRef v)
{
    set_bits(b, r, v);
    unit(b)->f_double[r] = v;
}

static void set_s(IrBuilder *b, unsigned r, IrRef v)
{
    RvUnit *u = unit(b);
    dirty(b);
    ir_set(b, f_slot(r), 4, v);
    if (!(u->f_boxed >> r & 1))
        ir_set(b, f_slot(r) + 4, 4, ir_i32(b, -1));
    u->f_single[r] = v;
    u->f_double[r] = 0;
    u->f_boxed |= 1u << r;
}

static void set_fp(IrBuilder *b, IrLane lane, unsigned r, IrRef v)
{
    if (lane == IR_F32)
        set_s(b, r, v);
    else
        set_d(b, r, v);
}

static bool enabled(IrBuilder *b)
{
    if (!unit(b)->fs_on)
        rv_illegal(b);
    return unit(b)->fs_on;
}

/* ---- rounding ---- */

/* FpRound of rm or frm, or -1. */
static const int8_t modes[8] = {FP_ROUND_NEAREST_EVEN, FP_ROUND_ZERO, FP_ROUND_DOWN, FP_ROUND_UP,
                                FP_ROUND_NEAREST_AWAY, -1, -1, -1};

/* The engine has no other modes than the first four. */
unsigned rv_engine_round(unsigned frm) { return frm < 4 ? modes[frm] : FP_ROUND_NEAREST_EVEN; }

/* enabled() and a valid rounding mode. */
static bool rounds(IrBuilder *b, unsigned rm, int *round)
{
    if (!enabled(b))
        return false;
    *round = modes[rm == 7 ? unit(b)->frm : rm];
    if (*round < 0)
        rv_illegal(b);
    return *round >= 0;
}

static bool native(IrBuilder *b, int round) { return round == (int)rv_engine_round(unit(b)->frm); }

/* ---- the library, for other modes: helpers take and give registers ---- */

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

static void load(IrBuilder *b, unsigned rd, unsigned rs1, int32_t imm, IrLane lane)
{
    if (!enabled(b))
        return;
    IrRef base = address(b, rs1, &imm);
    set_fp(b, lane, rd, ir_load(b, IR_V128, base, imm, lane == IR_F32 ? IR_M32 : IR_M64));
}

INSN(flw) { load(b, rd, rs1, imm, IR_F32); }
INSN(fld) { load(b, rd, rs1, imm, IR_F64); }

INSN(fsw)
{
    if (!enabled(b))
        return;
    IrRef base = address(b, rs1, &imm);
    ir_store(b, base, imm, get_low(b, rs2, true), IR_M32);
}

INSN(fsd)
{
    if (!enabled(b))
        return;
    IrRef base = address(b, rs1, &imm);
    ir_store(b, base, imm, get_d(b, rs2), IR_M64);
}

/* An operation of the IR, and the library's. */
typedef struct Op {
    IrOp op;
    IrLane lane;
    const IrHelper *soft;
} Op;

static void arith(IrBuilder *b, Op o, unsigned rd, unsigned rs1, unsigned rs2, unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    if (native(b, round))
        set_fp(b, o.lane, rd, ir_vec(b, o.op, IR_V128, o.lane, IR_FP_CANON, get_fp(b, o.lane, rs1),
                                     get_fp(b, o.lane, rs2), 0));
    else
        set_bits(b, rd, ir_call(b, o.soft, get_bits(b, rs1), get_bits(b, rs2), ir_i32(b, round), 0));
}

#define BOTH2(name)                                                                                 \
    INSN(f##name##_s) { arith(b, (Op){IR_OP_fs_##name, IR_F32, &h_##name##_s}, rd, rs1, rs2, rm); } \
    INSN(f##name##_d) { arith(b, (Op){IR_OP_fs_##name, IR_F64, &h_##name##_d}, rd, rs1, rs2, rm); }
BOTH2(add)
BOTH2(sub)
BOTH2(mul)
BOTH2(div)

static void minmax(IrBuilder *b, IrOp op, IrLane lane, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (enabled(b))
        set_fp(b, lane, rd, ir_vec(b, op, IR_V128, lane, IR_FP_CANON, get_fp(b, lane, rs1),
                                   get_fp(b, lane, rs2), 0));
}

INSN(fmin_s) { minmax(b, IR_OP_fs_min, IR_F32, rd, rs1, rs2); }
INSN(fmin_d) { minmax(b, IR_OP_fs_min, IR_F64, rd, rs1, rs2); }
INSN(fmax_s) { minmax(b, IR_OP_fs_max, IR_F32, rd, rs1, rs2); }
INSN(fmax_d) { minmax(b, IR_OP_fs_max, IR_F64, rd, rs1, rs2); }

static void fused(IrBuilder *b, Op o, unsigned how, unsigned rd, const unsigned rs[3], unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    if (native(b, round))
        set_fp(b, o.lane, rd, ir_vec(b, o.op, IR_V128, o.lane, IR_FP_CANON, get_fp(b, o.lane, rs[0]),
                                     get_fp(b, o.lane, rs[1]), get_fp(b, o.lane, rs[2])));
    else
        set_bits(b, rd, ir_call(b, o.soft, get_bits(b, rs[0]), get_bits(b, rs[1]), get_bits(b, rs[2]),
                                ir_i32(b, round | how << 8)));
}

/* The IR's names, as x86's, tell the sign of the product and of the addend; RISC-V's fnm.. negate the
 * whole. */
#define FUSED(name, ir, how)                                                                        \
    INSN(name##_s)                                                                                  \
    {                                                                                               \
        fused(b, (Op){IR_OP_fs_##ir, IR_F32, &h_fma_s}, how, rd, (unsigned[]){rs1, rs2, rs3}, rm);  \
    }                                                                                               \
    INSN(name##_d)                                                                                  \
    {                                                                                               \
        fused(b, (Op){IR_OP_fs_##ir, IR_F64, &h_fma_d}, how, rd, (unsigned[]){rs1, rs2, rs3}, rm);  \
    }
FUSED(fmadd, fmadd, 0)
FUSED(fmsub, fmsub, FP_FMA_NEG_ADDEND)
FUSED(fnmsub, fnmadd, FP_FMA_NEG_PRODUCT)
FUSED(fnmadd, fnmsub, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND)

/* From a register of lane `from` to one of o.lane. */
static void unary(IrBuilder *b, Op o, IrLane from, unsigned rd, unsigned rs1, unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    if (native(b, round) || !o.soft) {
        IrRef x = get_fp(b, from, rs1);
        set_fp(b, o.lane, rd, ir_vec(b, o.op, IR_V128, o.lane, IR_FP_CANON, x, x, 0));
    } else {
        set_bits(b, rd, ir_call(b, o.soft, get_bits(b, rs1), ir_i32(b, round), 0, 0));
    }
}

INSN(fsqrt_s) { unary(b, (Op){IR_OP_fs_sqrt, IR_F32, &h_sqrt_s}, IR_F32, rd, rs1, rm); }
INSN(fsqrt_d) { unary(b, (Op){IR_OP_fs_sqrt, IR_F64, &h_sqrt_d}, IR_F64, rd, rs1, rm); }
INSN(fcvt_s_d) { unary(b, (Op){IR_OP_fs_64to32, IR_F32, &h_cvt_s_d}, IR_F64, rd, rs1, rm); }
INSN(fcvt_d_s) { unary(b, (Op){IR_OP_fs_32to64, IR_F64, NULL}, IR_F32, rd, rs1, rm); }

/* ---- integers ---- */

/* An I32 or I64 whose low bits are the result: words are sign-extended. */
static void set_int(IrBuilder *b, unsigned rd, IrRef v, bool word)
{
    if (word || unit(b)->rv32)
        set_w(b, rd, ir_trunc(b, v));
    else
        set(b, rd, v);
}

typedef struct IntKind {
    bool word, is_signed;
    uint64_t limit[2];          /* unsigned: bit patterns (F32, F64) below convert like signed ones */
} IntKind;
static const IntKind kind_w = {true, true, {0}}, kind_l = {false, true, {0}},
    kind_wu = {true, false, {0x4f800000, 0x41efffffffe00000}},
    kind_lu = {false, false, {0x5f000000, 0x43e0000000000000}};

static void to_int(IrBuilder *b, IrLane lane, const IntKind *k, const IrHelper *soft, unsigned rd,
                   unsigned rs1, unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    dirty(b);
    bool host = native(b, round) || round == FP_ROUND_ZERO;
    IrOp op = round == FP_ROUND_ZERO ? IR_OP_fs_to_intt : IR_OP_fs_to_int;
    IrType t = k->word && k->is_signed ? IR_I32 : IR_I64;
    IrRef x = get_fp(b, lane, rs1), bits = get_bits(b, rs1);
    if (host && k->is_signed) {
        set_int(b, rd, ir_vec(b, op, t, lane, IR_FP_CANON, x, 0, 0), k->word);
        return;
    }
    unsigned soft_way = host ? ir_label(b) : 0, done = host ? ir_label(b) : 0;
    if (host) {
        IrRef low = lane == IR_F64 ? bits : ir_zext(b, IR_I64, ir_v_extract(b, IR_I32, IR_W, x, 0), 32);
        ir_brcond(b, IR_GEU, low, ir_i64(b, k->limit[lane == IR_F64]), soft_way);
        set_int(b, rd, ir_vec(b, op, t, lane, IR_FP_CANON, x, 0, 0), k->word);
        ir_br(b, done);
        ir_bind(b, soft_way);
    }
    set_int(b, rd, ir_call(b, soft, bits, ir_i32(b, round), 0, 0), k->word);
    if (host)
        ir_bind(b, done);
}

/* From 64 unsigned bits: above 2^63 half of it, its last bit kept, converts and doubles exactly. */
static IrRef from_u64(IrBuilder *b, IrLane lane, IrRef v)
{
    IrRef big = ir_setcond(b, IR_I64, IR_LT, v, ir_i64(b, 0));
    IrRef half = ir_or(b, ir_shri(b, v, 1), ir_andi(b, v, 1));
    IrRef f = ir_vec(b, IR_OP_fs_from_i64, IR_V128, lane, 0, ir_v_zero(b, IR_V128),
                     ir_select(b, big, half, v), 0);
    IrRef again = ir_v_and(b, IR_V128, IR_D, f, ir_v_from64(b, ir_neg(b, big)));
    return ir_vec(b, IR_OP_fs_add, IR_V128, lane, 0, f, again, 0);
}

static IrRef from_host(IrBuilder *b, IrLane lane, const IntKind *k, unsigned rs1)
{
    if (!k->word && !k->is_signed)
        return from_u64(b, lane, get(b, rs1));
    IrRef v = k->word ? get_w(b, rs1) : get(b, rs1);
    bool small = k->word && k->is_signed;
    if (k->word && !k->is_signed)
        v = ir_zext(b, IR_I64, v, 32);
    return ir_vec(b, small ? IR_OP_fs_from_i32 : IR_OP_fs_from_i64, IR_V128, lane, 0,
                  ir_v_zero(b, IR_V128), v, 0);
}

static void from_int(IrBuilder *b, IrLane lane, const IntKind *k, const IrHelper *soft, unsigned rd,
                     unsigned rs1, unsigned rm)
{
    int round;
    if (!rounds(b, rm, &round))
        return;
    bool exact = lane == IR_F64 && k->word;
    if (native(b, round) || exact)
        set_fp(b, lane, rd, from_host(b, lane, k, rs1));
    else
        set_bits(b, rd, ir_call(b, soft, to_address(b, get(b, rs1)), ir_i32(b, round), 0, 0));
}

#define CONVERT(n)                                                                                  \
    INSN(fcvt_##n##_s) { to_int(b, IR_F32, &kind_##n, &h_cvt_##n##_s, rd, rs1, rm); }               \
    INSN(fcvt_##n##_d) { to_int(b, IR_F64, &kind_##n, &h_cvt_##n##_d, rd, rs1, rm); }               \
    INSN(fcvt_s_##n) { from_int(b, IR_F32, &kind_##n, &h_cvt_s_##n, rd, rs1, rm); }                 \
    INSN(fcvt_d_##n) { from_int(b, IR_F64, &kind_##n, &h_cvt_d_##n, rd, rs1, rm); }
CONVERT(w)
CONVERT(wu)
CONVERT(l)
CONVERT(lu)

/* Predicates of f_cmp: feq is quiet, the others signal. */
enum { EQ = 0, LT = 1, LE = 2 };

static void compare(IrBuilder *b, unsigned predicate, IrLane lane, unsigned rd, unsigned rs1,
                    unsigned rs2)
{
    if (!enabled(b))
        return;
    dirty(b);
    IrRef mask = ir_vec(b, IR_OP_fs_cmp, IR_V128, lane, predicate, get_fp(b, lane, rs1),
                        get_fp(b, lane, rs2), 0);
    IrRef v = ir_andi(b, ir_v_extract(b, IR_I32, IR_W, mask, 0), 1);
    set(b, rd, unit(b)->rv32 ? v : ir_zext(b, IR_I64, v, 32));
}

INSN(feq_s) { compare(b, EQ, IR_F32, rd, rs1, rs2); }
INSN(feq_d) { compare(b, EQ, IR_F64, rd, rs1, rs2); }
INSN(flt_s) { compare(b, LT, IR_F32, rd, rs1, rs2); }
INSN(flt_d) { compare(b, LT, IR_F64, rd, rs1, rs2); }
INSN(fle_s) { compare(b, LE, IR_F32, rd, rs1, rs2); }
INSN(fle_d) { compare(b, LE, IR_F64, rd, rs1, rs2); }

static void classify(IrBuilder *b, const IrHelper *h, unsigned rd, unsigned rs1)
{
    if (enabled(b))
        set_int(b, rd, ir_call(b, h, get_bits(b, rs1), 0, 0, 0), false);
}

INSN(fclass_s) { classify(b, &h_class_s, rd, rs1); }
INSN(fclass_d) { classify(b, &h_class_d, rd, rs1); }

/* ---- fflags, which compilers save and restore around comparisons that shall not signal ---- */

/* fflags: NX UF OF DZ NV from bit 0; the engine's are in x86's order. */
static const struct {
    uint8_t riscv, engine;
} flag_bits[] = {{0, 5}, {1, 4}, {2, 3}, {3, 2}, {4, 0}};

static IrRef bit_moved(IrBuilder *b, IrRef v, unsigned from, unsigned to)
{
    return ir_andi(b, from > to ? ir_shri(b, v, from - to) : ir_shli(b, v, to - from), 1 << to);
}

static IrRef flags_to(IrBuilder *b, IrRef v, bool engine)
{
    IrRef r = ir_i32(b, 0);
    for (unsigned k = 0; k < G_N_ELEMENTS(flag_bits); k++) {
        unsigned rv = flag_bits[k].riscv, host = flag_bits[k].engine;
        r = ir_or(b, r, engine ? bit_moved(b, v, rv, host) : bit_moved(b, v, host, rv));
    }
    return r;
}

static IrRef read_fflags(IrBuilder *b)
{
    RvUnit *u = unit(b);
    u->flags_host = ir_vec(b, IR_OP_f_flags, IR_I32, IR_D, 0, 0, 0, 0);
    IrRef v = flags_to(b, u->flags_host, false);
    u->flags_read = u->rv32 ? v : ir_zext(b, IR_I64, v, 32);
    return u->flags_read;
}

bool rv_fflags_insn(IrBuilder *b, unsigned how, unsigned rd, IrRef operand)
{
    if (!unit(b)->fs_on || (how != RV_CSR_READ && how != RV_CSR_WRITE))
        return false;
    IrRef saved = unit(b)->flags_read, host = unit(b)->flags_host;
    IrRef old = how == RV_CSR_READ || rd ? read_fflags(b) : 0;
    if (how == RV_CSR_WRITE) {
        dirty(b);
        if (operand != saved)
            host = flags_to(b, ir_trunc(b, operand), true);
        ir_vec(b, IR_OP_f_setflags, IR_VOID, IR_D, 0, host, 0, 0);
    }
    if (rd)
        set(b, rd, old);
    return true;
}

/* ---- signs and moves: plain bit work ---- */

enum { SIGN_COPY, SIGN_NEGATE, SIGN_XOR };

static IrRef sign_of(IrBuilder *b, unsigned how, IrRef x, IrRef y, IrRef sign)
{
    IrType t = IR_V128;
    if (x == y && how == SIGN_COPY)
        return x;
    if (x == y)
        return how == SIGN_XOR ? ir_v_andn(b, t, IR_D, sign, x) : ir_v_xor(b, t, IR_D, x, sign);
    if (how == SIGN_XOR)
        return ir_v_xor(b, t, IR_D, x, ir_v_and(b, t, IR_D, y, sign));
    IrRef s = how == SIGN_NEGATE ? ir_v_andn(b, t, IR_D, y, sign) : ir_v_and(b, t, IR_D, y, sign);
    return ir_v_or(b, t, IR_D, ir_v_andn(b, t, IR_D, sign, x), s);
}

static void inject(IrBuilder *b, unsigned how, IrLane lane, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (!enabled(b))
        return;
    IrRef sign = ir_v_from64(b, ir_i64(b, lane == IR_F32 ? 1ull << 31 : 1ull << 63));
    set_fp(b, lane, rd, sign_of(b, how, get_fp(b, lane, rs1), get_fp(b, lane, rs2), sign));
}

INSN(fsgnj_s) { inject(b, SIGN_COPY, IR_F32, rd, rs1, rs2); }
INSN(fsgnjn_s) { inject(b, SIGN_NEGATE, IR_F32, rd, rs1, rs2); }
INSN(fsgnjx_s) { inject(b, SIGN_XOR, IR_F32, rd, rs1, rs2); }
INSN(fsgnj_d) { inject(b, SIGN_COPY, IR_F64, rd, rs1, rs2); }
INSN(fsgnjn_d) { inject(b, SIGN_NEGATE, IR_F64, rd, rs1, rs2); }
INSN(fsgnjx_d) { inject(b, SIGN_XOR, IR_F64, rd, rs1, rs2); }

INSN(fmv_x_w)
{
    if (enabled(b))
        set_w(b, rd, get_low(b, rs1, false));
}

INSN(fmv_x_d)
{
    if (enabled(b))
        set(b, rd, get_bits(b, rs1));
}

INSN(fmv_w_x)
{
    if (enabled(b))
        set_s(b, rd, ir_v_from32(b, get_w(b, rs1)));
}

INSN(fmv_d_x)
{
    if (enabled(b))
        set_d(b, rd, ir_v_from64(b, get(b, rs1)));
}
