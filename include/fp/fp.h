/* SPDX-License-Identifier: Apache-2.0 */
/* Software floating point for all guests. Spec: IEEE 754-2019 and the guests' manuals (fp/rules.c). */
#ifndef FP_FP_H
#define FP_FP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Every function works on bit patterns and an FpEnv, uses integer arithmetic only, keeps no state
 * of its own and may be called from any thread as long as the FpEnv is not shared.
 *
 * Operations are called fpNN_op with NN = 16, b16 (bfloat16), 32, 64, 80 (x87), 128. What differs
 * between guest families (NaN choice, tininess, results of failed conversions, ...) is data:
 * FpRules. The FpEnv holds what a guest can change at run time. Neither knows the guest's register
 * layouts; the flags are simply in x86's order.
 */

typedef uint16_t Fp16;
typedef uint16_t FpB16;
typedef uint32_t Fp32;
typedef uint64_t Fp64;
typedef struct Fp80 {
    uint64_t frac;              /* bit 63 is the explicit integer bit */
    uint16_t se;                /* bit 15 is the sign */
} Fp80;
typedef struct Fp128 {
    uint64_t lo, hi;
} Fp128;

typedef unsigned __int128 FpU128;
typedef __int128 FpI128;

/* FpEnv.flags: sticky; an operation only sets bits. */
enum {
    FP_INVALID   = 1 << 0,
    FP_DENORMAL  = 1 << 1,      /* see FpRules.denormal */
    FP_DIVZERO   = 1 << 2,
    FP_OVERFLOW  = 1 << 3,
    FP_UNDERFLOW = 1 << 4,
    FP_INEXACT   = 1 << 5,
};

/* FpEnv.detail: sticky like the flags; why, for guests that tell (PowerPC's VX bits, x87's C1). */
enum {
    FP_WHY_SNAN        = 1 << 0,    /* a signalling NaN operand */
    FP_WHY_INF_SUB     = 1 << 1,    /* inf - inf */
    FP_WHY_INF_DIV     = 1 << 2,    /* inf / inf */
    FP_WHY_ZERO_DIV    = 1 << 3,    /* 0 / 0 */
    FP_WHY_INF_ZERO    = 1 << 4,    /* inf * 0 */
    FP_WHY_COMPARE     = 1 << 5,    /* ordered comparison of a NaN */
    FP_WHY_SQRT        = 1 << 6,    /* square root of a negative number */
    FP_WHY_CONVERT     = 1 << 7,    /* NaN or out of range to integer */
    FP_WHY_ENCODING    = 1 << 8,    /* x87 unnormal, pseudo-infinity, pseudo-NaN */
    FP_ROUNDED_UP      = 1 << 9,    /* inexact, and the magnitude was rounded up */
    FP_FRACTION_ROUNDED = 1 << 10,  /* as PowerPC's FI: like FP_INEXACT, but never by overflow */
};

typedef enum FpRound {
    FP_ROUND_NEAREST_EVEN,      /* 0 to 3 as in x86's RC field */
    FP_ROUND_DOWN,
    FP_ROUND_UP,
    FP_ROUND_ZERO,
    FP_ROUND_NEAREST_AWAY,
    FP_ROUND_ODD,
} FpRound;

/* What a denormal operand does to FP_DENORMAL. */
typedef enum FpDenormalRule {
    FP_DENORMAL_SILENT,
    FP_DENORMAL_USED,           /* set when it takes part (x86) */
    FP_DENORMAL_FLUSHED,        /* set when `daz` replaced it by zero (Arm's IDC) */
} FpDenormalRule;

/* What inf * 0 + quiet NaN gives in a fused multiply-add. */
typedef enum FpInfZeroRule {
    FP_INFZERO_DEFAULT_NAN,     /* the default NaN, invalid */
    FP_INFZERO_NAN_INVALID,     /* the addend, invalid */
    FP_INFZERO_NAN,             /* the addend, no flag */
} FpInfZeroRule;

/* Integer result of a conversion that has none. */
typedef enum FpIntResult {
    FP_INT_ZERO,
    FP_INT_MIN,                 /* lowest value of the type: 80..0, or 0 if unsigned */
    FP_INT_MAX,                 /* highest value of the type */
    FP_INT_MODULO,              /* the low bits of the exact integer; 0 for NaN and infinity */
} FpIntResult;

/* One family of guests; constant. */
typedef struct FpRules {
    const char *name;
    char nan2[3];               /* order in which operands are searched for the NaN to return, */
    char nan3[4];               /* "ab"; for a * b + c "abc" */
    bool snan_first;            /* search for signalling NaNs before quiet ones */
    bool nan_by_significand;    /* x87: quiet beats signalling, larger significand beats smaller */
    bool nan_default;           /* always the default NaN (RISC-V) */
    bool snan_bit_set;          /* legacy MIPS, PA-RISC, SH: top fraction bit set = signalling */
    bool snan_to_default;       /* a signalling NaN is quieted by becoming the default NaN */
    bool default_nan_sign;
    uint8_t default_nan_frac;   /* top 8 fraction bits; the lowest of them fills the rest */
    FpInfZeroRule inf_zero;
    bool tiny_before;           /* tininess before rounding */
    bool ftz_silent_inexact;    /* a flushed result sets underflow but not inexact (Arm) */
    FpDenormalRule denormal;
    bool wrap;                  /* unmasked over/underflow: exponent wrapped by 3/4 of its range */
    FpIntResult int_nan[2], int_over[2], int_under[2];      /* [unsigned, signed] */
} FpRules;

extern const FpRules fp_rules_sse, fp_rules_x87, fp_rules_riscv, fp_rules_arm, fp_rules_ppc,
    fp_rules_s390, fp_rules_mips, fp_rules_mips_legacy, fp_rules_sparc, fp_rules_hppa,
    fp_rules_alpha, fp_rules_m68k, fp_rules_sh, fp_rules_loongarch;

/* What a guest's control register says. Zero it, then set at least `rules`. */
typedef struct FpEnv {
    const FpRules *rules;
    uint8_t round;              /* FpRound */
    uint8_t flags;              /* FP_INVALID.. */
    uint8_t x87_precision;      /* 24 or 53; else 64. fp80 add, sub, mul, div and sqrt only */
    uint8_t unmasked;           /* flags that trap: underflow then means tiny, even if exact, and
                                   switches ftz off; see also FpRules.wrap. To discard the result
                                   is the caller's business; so is, for SSE, to drop the other
                                   flags if one of the first three traps. */
    bool ftz;                   /* tiny results become zero */
    bool daz;                   /* denormal operands become zero */
    bool default_nan;           /* every NaN result is the default NaN */
    uint16_t detail;            /* FP_WHY_.., FP_ROUNDED_UP */
} FpEnv;

typedef enum FpOrder {
    FP_LESS = -1,
    FP_EQUAL = 0,
    FP_GREATER = 1,
    FP_UNORDERED = 2,
} FpOrder;

typedef enum FpClass {
    FP_CLASS_ZERO,
    FP_CLASS_DENORMAL,
    FP_CLASS_NORMAL,
    FP_CLASS_INF,
    FP_CLASS_QNAN,
    FP_CLASS_SNAN,
    FP_CLASS_UNSUPPORTED,       /* x87 encodings that are no numbers since the 80387 */
} FpClass;

/* Flavours of minimum and maximum; FP_MINMAX_MAGNITUDE may be or-ed to each but X86. */
typedef enum FpMinMax {
    FP_MINMAX_X86,              /* b if either is NaN or both are zero; any NaN is invalid */
    FP_MINMAX_NUM_2008,         /* minNum: a quiet NaN loses, a signalling one wins (Arm, PPC) */
    FP_MINMAX_NUM_2019,         /* minimumNumber: every NaN loses (RISC-V) */
    FP_MINMAX_NAN,              /* minimum: every NaN wins (Arm FMIN, 2019) */
    FP_MINMAX_MAGNITUDE = 8,    /* compare absolute values; ties as without */
} FpMinMax;

/* a * b + c with changed signs, which apply to numbers but not to NaNs. */
enum {
    FP_FMA_NEG_PRODUCT = 1,
    FP_FMA_NEG_ADDEND  = 2,
    FP_FMA_NEG_RESULT  = 4,     /* after rounding */
    FP_FMA_HALVE       = 8,     /* half of it, rounded once (Arm FRSQRTS) */
};

/* An integer type. */
typedef struct FpIntType {
    uint8_t bits;               /* 1 to 128 */
    bool is_signed;
} FpIntType;

/*
 * The operations of one format, here for P = fp64, T = Fp64:
 *   fp64_add/sub/mul/div(a, b, env), fp64_sqrt(a, env)
 *   fp64_fma(a, b, c, FP_FMA_.., env)        a * b + c
 *   fp64_rem(a, b, env)                      IEEE remainder
 *   fp64_round_to_int(a, round, exact, env)  integral value; inexact is flagged only if `exact`
 *   fp64_scalbn(a, n, env)                   a * 2^n
 *   fp64_logb(a, env)                        exponent of a as a number; -inf and divzero for 0
 *   fp64_compare(a, b, env)                  quiet: invalid for signalling NaNs only
 *   fp64_compare_signalling(a, b, env)       invalid for any NaN
 *   fp64_min/max(a, b, flavour, env)         FpMinMax
 *   fp64_classify(a, rules)
 *   fp64_is_nan/is_inf/is_zero(a), fp64_sign(a), fp64_neg(a), fp64_abs(a)
 *   fp64_quiet(a, env)                       a, with a signalling NaN quieted and flagged
 *   fp64_default_nan(rules)
 *   fp64_to_int(a, type, round, scale, env)  a * 2^scale, in the low bits of the result, which is
 *                                            sign-extended to 128 if the type is signed
 *   fp64_from_int(i, scale, env), fp64_from_uint(...)    i * 2^scale
 *   fp64_to_i32(a, round, env) and so on for i16 u16 i32 u32 i64 u64 i128 u128
 *   fp64_from_i32(i, env)      likewise for 32, 64, 128
 */
#define FP_DECLARE(P, T)                                                                       \
    T P##_add(T a, T b, FpEnv *env);                                                           \
    T P##_sub(T a, T b, FpEnv *env);                                                           \
    T P##_mul(T a, T b, FpEnv *env);                                                           \
    T P##_div(T a, T b, FpEnv *env);                                                           \
    T P##_sqrt(T a, FpEnv *env);                                                               \
    T P##_fma(T a, T b, T c, int how, FpEnv *env);                                             \
    T P##_rem(T a, T b, FpEnv *env);                                                           \
    T P##_round_to_int(T a, FpRound round, bool exact, FpEnv *env);                            \
    T P##_scalbn(T a, int n, FpEnv *env);                                                      \
    T P##_logb(T a, FpEnv *env);                                                               \
    FpOrder P##_compare(T a, T b, FpEnv *env);                                                 \
    FpOrder P##_compare_signalling(T a, T b, FpEnv *env);                                      \
    T P##_min(T a, T b, FpMinMax flavour, FpEnv *env);                                         \
    T P##_max(T a, T b, FpMinMax flavour, FpEnv *env);                                         \
    FpClass P##_classify(T a, const FpRules *rules);                                           \
    bool P##_is_nan(T a);                                                                      \
    bool P##_is_inf(T a);                                                                      \
    bool P##_is_zero(T a);                                                                     \
    bool P##_sign(T a);                                                                        \
    T P##_neg(T a);                                                                            \
    T P##_abs(T a);                                                                            \
    T P##_quiet(T a, FpEnv *env);                                                              \
    T P##_default_nan(const FpRules *rules);                                                   \
    FpU128 P##_to_int(T a, FpIntType type, FpRound round, int scale, FpEnv *env);              \
    T P##_from_int(FpI128 i, int scale, FpEnv *env);                                           \
    T P##_from_uint(FpU128 i, int scale, FpEnv *env);                                          \
    FP_DECLARE_TO(P, T, i16, int16_t, 16, true)                                                \
    FP_DECLARE_TO(P, T, u16, uint16_t, 16, false)                                              \
    FP_DECLARE_TO(P, T, i32, int32_t, 32, true)                                                \
    FP_DECLARE_TO(P, T, u32, uint32_t, 32, false)                                              \
    FP_DECLARE_TO(P, T, i64, int64_t, 64, true)                                                \
    FP_DECLARE_TO(P, T, u64, uint64_t, 64, false)                                              \
    FP_DECLARE_TO(P, T, i128, FpI128, 128, true)                                               \
    FP_DECLARE_TO(P, T, u128, FpU128, 128, false)                                              \
    FP_DECLARE_FROM(P, T, i32, int32_t, int)                                                   \
    FP_DECLARE_FROM(P, T, u32, uint32_t, uint)                                                 \
    FP_DECLARE_FROM(P, T, i64, int64_t, int)                                                   \
    FP_DECLARE_FROM(P, T, u64, uint64_t, uint)                                                 \
    FP_DECLARE_FROM(P, T, i128, FpI128, int)                                                   \
    FP_DECLARE_FROM(P, T, u128, FpU128, uint)
#define FP_DECLARE_TO(P, T, N, I, BITS, SIGNED)                                                \
    static inline I P##_to_##N(T a, FpRound round, FpEnv *env)                                 \
    {                                                                                          \
        return (I)P##_to_int(a, (FpIntType){ BITS, SIGNED }, round, 0, env);                   \
    }
#define FP_DECLARE_FROM(P, T, N, I, KIND)                                                      \
    static inline T P##_from_##N(I i, FpEnv *env) { return P##_from_##KIND(i, 0, env); }

FP_DECLARE(fp16, Fp16)
FP_DECLARE(fpb16, FpB16)
FP_DECLARE(fp32, Fp32)
FP_DECLARE(fp64, Fp64)
FP_DECLARE(fp80, Fp80)
FP_DECLARE(fp128, Fp128)

/*
 * Conversions between formats, fp64_to_fp32(a, env), for every pair. F16C wants them without daz,
 * ftz and FP_DENORMAL, and Arm's half precision without daz and ftz: clear these in the FpEnv.
 */
#define FP_PAIRS(X)                                                                            \
    X(fp16, Fp16, fpb16, FpB16) X(fp16, Fp16, fp32, Fp32) X(fp16, Fp16, fp64, Fp64)            \
    X(fp16, Fp16, fp80, Fp80) X(fp16, Fp16, fp128, Fp128)                                      \
    X(fpb16, FpB16, fp16, Fp16) X(fpb16, FpB16, fp32, Fp32) X(fpb16, FpB16, fp64, Fp64)        \
    X(fpb16, FpB16, fp80, Fp80) X(fpb16, FpB16, fp128, Fp128)                                  \
    X(fp32, Fp32, fp16, Fp16) X(fp32, Fp32, fpb16, FpB16) X(fp32, Fp32, fp64, Fp64)            \
    X(fp32, Fp32, fp80, Fp80) X(fp32, Fp32, fp128, Fp128)                                      \
    X(fp64, Fp64, fp16, Fp16) X(fp64, Fp64, fpb16, FpB16) X(fp64, Fp64, fp32, Fp32)            \
    X(fp64, Fp64, fp80, Fp80) X(fp64, Fp64, fp128, Fp128)                                      \
    X(fp80, Fp80, fp16, Fp16) X(fp80, Fp80, fpb16, FpB16) X(fp80, Fp80, fp32, Fp32)            \
    X(fp80, Fp80, fp64, Fp64) X(fp80, Fp80, fp128, Fp128)                                      \
    X(fp128, Fp128, fp16, Fp16) X(fp128, Fp128, fpb16, FpB16) X(fp128, Fp128, fp32, Fp32)      \
    X(fp128, Fp128, fp64, Fp64) X(fp128, Fp128, fp80, Fp80)
#define FP_DECLARE_CONVERT(P, T, Q, U) U P##_to_##Q(T a, FpEnv *env);
FP_PAIRS(FP_DECLARE_CONVERT)

/*
 * x87 only. Operands are named as the stack: st0, st1. C1 after an inexact result is
 * FP_ROUNDED_UP in env->detail.
 */

/* One step of FPREM (`nearest` false) or FPREM1. *partial is C2: call again with the result as st0.
   When it is false, *quotient holds the quotient's low three bits. */
Fp80 fp80_prem(Fp80 st0, Fp80 st1, bool nearest, uint8_t *quotient, bool *partial, FpEnv *env);
Fp80 fp80_scale(Fp80 st0, Fp80 st1, FpEnv *env);            /* FSCALE */
/* FXTRACT: returns the significand, which becomes st0; *exponent becomes st1. */
Fp80 fp80_xtract(Fp80 st0, Fp80 *exponent, FpEnv *env);
Fp80 fp80_f2xm1(Fp80 st0, FpEnv *env);
Fp80 fp80_yl2x(Fp80 st0, Fp80 st1, FpEnv *env);             /* st1 * log2(st0) */
Fp80 fp80_yl2xp1(Fp80 st0, Fp80 st1, FpEnv *env);           /* st1 * log2(st0 + 1) */
Fp80 fp80_patan(Fp80 st0, Fp80 st1, FpEnv *env);            /* angle of (x = st0, y = st1) */
/* These return false (C2) and leave *result alone if |st0| >= 2^63. */
bool fp80_sin(Fp80 st0, Fp80 *result, FpEnv *env);
bool fp80_cos(Fp80 st0, Fp80 *result, FpEnv *env);
bool fp80_sincos(Fp80 st0, Fp80 *sine, Fp80 *cosine, FpEnv *env);
/* FPTAN; *one is what it pushes: 1.0, or the NaN if the result is one. */
bool fp80_tan(Fp80 st0, Fp80 *result, Fp80 *one, FpEnv *env);

#endif
