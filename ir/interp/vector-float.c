/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating-point operations of the interpreter, by the software library: SSE's rules, so the same
 * bits and flags on every host. Meaning: include/ir/vector-ops.inc; Intel SDM vol. 1 chapter 11.
 */
#include <string.h>

#include "core/cpu.h"
#include "fp/fp.h"
#include "ir/interp/vector.h"

/* RISC-V's rules (IR_FP_CANON); other operations use these bits for something else. */
static bool is_canon(const IrNode *n) { return n->op >= IR_OP_fs_add && n->imm & IR_FP_CANON; }

static FpEnv env_of(const Cpu *cpu, const IrNode *n)
{
    return (FpEnv){
        .rules = is_canon(n) ? &fp_rules_riscv : &fp_rules_sse, .round = cpu->fp_mode & FP_ROUND_MASK, .ftz = cpu->fp_mode & FP_FTZ,
        .daz = cpu->fp_mode & FP_DAZ, .unmasked = cpu->fp_mode >> FP_UNMASKED_SHIFT & 0x3f,
    };
}

/* ---- one lane ---- */

/* VCMPPS: which of unordered, greater, equal, less (bits 3-0) make it true, and which predicates of
 * the first sixteen signal for quiet NaNs; the second sixteen do the opposite. */
static const uint8_t cmp_true[16] = {2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15};
enum { CMP_SIGNALS = 0x6666 };

static bool cmp_signals(unsigned imm)
{
    return (CMP_SIGNALS >> (imm & 15) & 1) != (imm >> 4 & 1);
}

static bool cmp_holds(unsigned imm, FpOrder order)
{
    static const uint8_t bit[] = {1, 2, 4, 8};      /* less, equal, greater, unordered */
    return cmp_true[imm & 15] & bit[order + 1];
}

static FpRound round_of(unsigned imm, const FpEnv *env) { return imm & 4 ? env->round : (FpRound)(imm & 3); }

static FpMinMax minmax_of(unsigned imm) { return imm & IR_FP_CANON ? FP_MINMAX_NUM_2019 : FP_MINMAX_X86; }

/* Binary operations and those that take only b; P is fp32 or fp64. */
#define LANE_OP(P, T)                                                                               \
    static T P##_lane(unsigned op, unsigned imm, T a, T b, T c, FpEnv *env)                         \
    {                                                                                               \
        switch (op) {                                                                               \
        case IR_OP_f_add: return P##_add(a, b, env);                                                \
        case IR_OP_f_sub: return P##_sub(a, b, env);                                                \
        case IR_OP_f_mul: return P##_mul(a, b, env);                                                \
        case IR_OP_f_div: return P##_div(a, b, env);                                                \
        case IR_OP_f_min: return P##_min(a, b, minmax_of(imm), env);                                \
        case IR_OP_f_max: return P##_max(a, b, minmax_of(imm), env);                                \
        case IR_OP_f_sqrt: return P##_sqrt(b, env);                                                 \
        case IR_OP_f_round: return P##_round_to_int(b, round_of(imm, env), !(imm & 8), env);        \
        case IR_OP_f_cmp: {                                                                         \
            FpOrder order = cmp_signals(imm) ? P##_compare_signalling(a, b, env)                    \
                                             : P##_compare(a, b, env);                              \
            return cmp_holds(imm, order) ? (T)-1 : 0;                                               \
        }                                                                                           \
        case IR_OP_f_fmadd: return P##_fma(a, b, c, 0, env);                                        \
        case IR_OP_f_fmsub: return P##_fma(a, b, c, FP_FMA_NEG_ADDEND, env);                        \
        case IR_OP_f_fnmadd: return P##_fma(a, b, c, FP_FMA_NEG_PRODUCT, env);                      \
        case IR_OP_f_fnmsub:                                                                        \
            return P##_fma(a, b, c, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND, env);                   \
        default: return 0;                                                                          \
        }                                                                                           \
    }
LANE_OP(fp32, Fp32)
LANE_OP(fp64, Fp64)

/* The operation of lane k. */
static unsigned op_of(unsigned op, unsigned k)
{
    switch (op) {
    case IR_OP_f_addsub: return k & 1 ? IR_OP_f_add : IR_OP_f_sub;
    case IR_OP_f_fmaddsub: return k & 1 ? IR_OP_f_fmadd : IR_OP_f_fmsub;
    case IR_OP_f_fmsubadd: return k & 1 ? IR_OP_f_fmsub : IR_OP_f_fmadd;
    default: return op;
    }
}

static void packed(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, const IrVal *z, FpEnv *env)
{
    unsigned bytes = n->type == IR_V256 ? 32 : 16, imm = (unsigned)n->imm;

    if (n->aux == IR_F32)
        for (unsigned k = 0; k < bytes / 4; k++)
            o->w[k] = fp32_lane(op_of(n->op, k), imm, x->w[k], y->w[k], z->w[k], env);
    else
        for (unsigned k = 0; k < bytes / 8; k++)
            o->d[k] = fp64_lane(op_of(n->op, k), imm, x->d[k], y->d[k], z->d[k], env);
}

static void scalar(const IrNode *n, unsigned op, IrVal *o, const IrVal *x, const IrVal *y, const IrVal *z,
                   FpEnv *env)
{
    *o = is_canon(n) && ir_op_info[n->op].args == 3 ? *z : *x;
    if (n->aux == IR_F32)
        o->w[0] = fp32_lane(op, (unsigned)n->imm, x->w[0], y->w[0], z->w[0], env);
    else
        o->d[0] = fp64_lane(op, (unsigned)n->imm, x->d[0], y->d[0], z->d[0], env);
}

static void horizontal(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, FpEnv *env)
{
    unsigned op = n->op == IR_OP_f_hadd ? IR_OP_f_add : IR_OP_f_sub;

    for (unsigned q = 0; q < (n->type == IR_V256 ? 2 : 1); q++) {
        for (unsigned k = 0; n->aux == IR_F32 && k < 4; k++) {
            const uint32_t *p = (k < 2 ? x : y)->w + 4 * q + 2 * (k & 1);
            o->w[4 * q + k] = fp32_lane(op, 0, p[0], p[1], 0, env);
        }
        for (unsigned k = 0; n->aux == IR_F64 && k < 2; k++) {
            const uint64_t *p = (k ? y : x)->d + 2 * q;
            o->d[2 * q + k] = fp64_lane(op, 0, p[0], p[1], 0, env);
        }
    }
}

static void dot_product(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, FpEnv *env)
{
    unsigned imm = (unsigned)n->imm;

    for (unsigned q = 0; q < (n->type == IR_V256 ? 2 : 1); q++) {
        if (n->aux == IR_F32) {
            Fp32 t[4];
            for (unsigned k = 0; k < 4; k++)
                t[k] = imm >> (4 + k) & 1 ? fp32_mul(x->w[4 * q + k], y->w[4 * q + k], env) : 0;
            Fp32 low = fp32_add(t[0], t[1], env), high = fp32_add(t[2], t[3], env);
            Fp32 sum = fp32_add(low, high, env);
            for (unsigned k = 0; k < 4; k++)
                o->w[4 * q + k] = imm >> k & 1 ? sum : 0;
        } else {
            Fp64 t[2];
            for (unsigned k = 0; k < 2; k++)
                t[k] = imm >> (4 + k) & 1 ? fp64_mul(x->d[2 * q + k], y->d[2 * q + k], env) : 0;
            Fp64 sum = fp64_add(t[0], t[1], env);
            for (unsigned k = 0; k < 2; k++)
                o->d[2 * q + k] = imm >> k & 1 ? sum : 0;
        }
    }
}

/* ---- estimates: defined here and not by the host, so that guests compute alike everywhere ---- */

/* Rounds a positive or negative normal number to eleven fraction bits. */
static uint32_t eleven_bits(uint32_t v) { return (v + 0x800) & ~0xfffu; }

static uint32_t estimate(unsigned op, uint32_t a)
{
    FpEnv env = {.rules = &fp_rules_sse, .ftz = true, .daz = true, .round = FP_ROUND_NEAREST_EVEN};

    if (op == IR_OP_f_rsqrt) {
        Fp64 root = fp64_sqrt(fp32_to_fp64(a, &env), &env);
        a = fp64_to_fp32(fp64_div(0x3ff0000000000000, root, &env), &env);
    } else {
        a = fp32_div(0x3f800000, a, &env);
    }
    /* NaNs and infinities are exact, and so are results that became zero. */
    return (a >> 23 & 0xff) == 0xff ? a : eleven_bits(a);
}

/* ---- conversions ---- */

static uint32_t to_i32(const IrNode *n, const IrVal *x, unsigned k, bool truncate, FpEnv *env)
{
    FpRound round = truncate ? FP_ROUND_ZERO : (FpRound)env->round;

    return (uint32_t)(n->aux == IR_F32 ? fp32_to_i32(x->w[k], round, env) : fp64_to_i32(x->d[k], round, env));
}

static uint64_t to_int(const IrNode *n, const IrVal *x, bool truncate, FpEnv *env)
{
    FpRound round = truncate ? FP_ROUND_ZERO : (FpRound)env->round;

    if (n->type == IR_I32)
        return to_i32(n, x, 0, truncate, env);
    return (uint64_t)(n->aux == IR_F32 ? fp32_to_i64(x->w[0], round, env) : fp64_to_i64(x->d[0], round, env));
}

static void half_to_single(const IrNode *n, IrVal *o, const IrVal *x, FpEnv *env)
{
    FpEnv plain = {.rules = env->rules};

    for (unsigned k = 0; k < (unsigned)n->imm; k++)
        o->w[k] = fp16_to_fp32(x->h[k], &plain);
    env->flags |= plain.flags & ~FP_DENORMAL;
}

static void single_to_half(const IrNode *n, IrVal *o, const IrVal *x, FpEnv *env)
{
    unsigned lanes = (unsigned)n->imm >> 8;
    FpEnv e = *env;

    e.round = round_of((unsigned)n->imm, env);
    e.ftz = false;
    memset(o, 0, 16);
    for (unsigned k = 0; k < lanes; k++)
        o->h[k] = fp32_to_fp16(x->w[k], &e);
    env->flags |= e.flags;
}

static bool convert(const IrNode *n, IrVal *o, const IrVal *x, FpEnv *env)
{
    unsigned lanes = (unsigned)n->imm;
    IrVal r = {0};

    switch (n->op) {
    case IR_OP_f_from_i32:
        for (unsigned k = 0; k < lanes; k++) {
            if (n->aux == IR_F32)
                r.w[k] = fp32_from_i32(x->sw[k], env);
            else
                r.d[k] = fp64_from_i32(x->sw[k], env);
        }
        break;
    case IR_OP_f_to_i32:
    case IR_OP_f_to_i32t:
        for (unsigned k = 0; k < lanes; k++)
            r.w[k] = to_i32(n, x, k, n->op == IR_OP_f_to_i32t, env);
        break;
    case IR_OP_f_32to64:
        for (unsigned k = 0; k < lanes; k++)
            r.d[k] = fp32_to_fp64(x->w[k], env);
        break;
    case IR_OP_f_64to32:
        for (unsigned k = 0; k < lanes; k++)
            r.w[k] = fp64_to_fp32(x->d[k], env);
        break;
    case IR_OP_f_16to32: half_to_single(n, &r, x, env); break;
    case IR_OP_f_32to16: single_to_half(n, &r, x, env); break;
    default: return false;
    }
    *o = r;
    return true;
}

static uint32_t comi(const IrNode *n, const IrVal *x, const IrVal *y, FpEnv *env)
{
    static const uint8_t result[] = {1, 0x40, 0, 0x45};
    bool loud = n->op == IR_OP_fs_comi;
    FpOrder order;

    if (n->aux == IR_F32)
        order = (loud ? fp32_compare_signalling : fp32_compare)(x->w[0], y->w[0], env);
    else
        order = (loud ? fp64_compare_signalling : fp64_compare)(x->d[0], y->d[0], env);
    return result[order + 1];
}

static bool scalar_convert(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, FpEnv *env)
{
    switch (n->op) {
    case IR_OP_fs_32to64:
        *o = *x;
        o->d[0] = fp32_to_fp64(y->w[0], env);
        return true;
    case IR_OP_fs_64to32:
        *o = *x;
        o->w[0] = fp64_to_fp32(y->d[0], env);
        return true;
    case IR_OP_fs_from_i32:
    case IR_OP_fs_from_i64: {
        int64_t i = n->op == IR_OP_fs_from_i32 ? (int32_t)y->i : (int64_t)y->i;
        *o = *x;
        if (n->aux == IR_F32)
            o->w[0] = fp32_from_i64(i, env);
        else
            o->d[0] = fp64_from_i64(i, env);
        return true;
    }
    case IR_OP_fs_to_int: o->i = to_int(n, x, false, env); return true;
    case IR_OP_fs_to_intt: o->i = to_int(n, x, true, env); return true;
    case IR_OP_fs_comi:
    case IR_OP_fs_ucomi: o->i = comi(n, x, y, env); return true;
    default: return false;
    }
}

/* The packed operation of which this is the scalar form, 0 if it is none. */
static unsigned packed_of(unsigned op)
{
    static const uint8_t pairs[][2] = {
        {IR_OP_fs_add, IR_OP_f_add}, {IR_OP_fs_sub, IR_OP_f_sub}, {IR_OP_fs_mul, IR_OP_f_mul},
        {IR_OP_fs_div, IR_OP_f_div}, {IR_OP_fs_min, IR_OP_f_min}, {IR_OP_fs_max, IR_OP_f_max},
        {IR_OP_fs_sqrt, IR_OP_f_sqrt}, {IR_OP_fs_cmp, IR_OP_f_cmp}, {IR_OP_fs_round, IR_OP_f_round},
        {IR_OP_fs_fmadd, IR_OP_f_fmadd}, {IR_OP_fs_fmsub, IR_OP_f_fmsub},
        {IR_OP_fs_fnmadd, IR_OP_f_fnmadd}, {IR_OP_fs_fnmsub, IR_OP_f_fnmsub},
    };

    for (unsigned k = 0; k < sizeof pairs / sizeof pairs[0]; k++)
        if (pairs[k][0] == op)
            return pairs[k][1];
    return 0;
}

bool ir_vector_float(Cpu *cpu, const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, const IrVal *z)
{
    if (n->op < IR_OP_f_add)
        return false;
    if (n->op == IR_OP_f_flags) {
        o->i = cpu->fp_flags;
        return true;
    }
    if (n->op == IR_OP_f_setflags) {
        cpu->fp_flags = (uint32_t)x->i;
        return true;
    }
    FpEnv env = env_of(cpu, n);
    unsigned op = packed_of(n->op);

    if (op) {
        scalar(n, op, o, x, y, z, &env);
    } else if (n->op == IR_OP_f_hadd || n->op == IR_OP_f_hsub) {
        horizontal(n, o, x, y, &env);
    } else if (n->op == IR_OP_f_dp) {
        dot_product(n, o, x, y, &env);
    } else if (n->op == IR_OP_f_rcp || n->op == IR_OP_f_rsqrt) {
        for (unsigned k = 0; k < (n->type == IR_V256 ? 8 : 4); k++)
            o->w[k] = estimate(n->op, x->w[k]);
    } else if (n->op == IR_OP_fs_rcp || n->op == IR_OP_fs_rsqrt) {
        *o = *x;
        o->w[0] = estimate(n->op == IR_OP_fs_rcp ? IR_OP_f_rcp : IR_OP_f_rsqrt, y->w[0]);
    } else if (!convert(n, o, x, &env) && !scalar_convert(n, o, x, y, &env)) {
        /* sqrt and round have one operand; a lane takes it as b. */
        packed(n, o, x, ir_op_info[n->op].args == 1 ? x : y, z, &env);
    }
    cpu->fp_flags |= env.flags;
    return true;
}
