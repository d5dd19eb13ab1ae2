/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacked numbers, rounding and packing for any binary format. Spec: IEEE 754-2019, 3 and 4. */
#ifndef FP_NUM_H
#define FP_NUM_H

#include <stddef.h>
#include "fp/fp.h"

/*
 * One implementation for all formats: a bit pattern of any width sits in an FpU128, unpack() makes
 * an exact Num of it, an operation makes a Num that is exact but for a sticky lowest bit ("jam"),
 * and pack() rounds once, by the format's row. Hot operations are inlined with a constant row, so
 * that the compiler folds the widths; everything rare takes a pointer to the row.
 */

#define FP_INLINE static inline __attribute__((always_inline))
#define RARE __attribute__((noinline, cold))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef FpU128 u128;
#define TOP ((u128)1 << 127)

typedef struct FpFormat {
    uint8_t bits;
    uint8_t exp_bits;
    uint8_t frac_bits;          /* below the integer bit */
    bool explicit_int;          /* the integer bit is stored (x87) */
} FpFormat;

static const FpFormat fp16_format = { 16, 5, 10, false };
static const FpFormat fpb16_format = { 16, 8, 7, false };
static const FpFormat fp32_format = { 32, 8, 23, false };
static const FpFormat fp64_format = { 64, 11, 52, false };
static const FpFormat fp80_format = { 80, 15, 63, true };
static const FpFormat fp128_format = { 128, 15, 112, false };

/* Formats whose significand has some bits of room in 64, its square in 128. */
FP_INLINE bool is_narrow(const FpFormat *f) { return f->frac_bits <= 60; }
FP_INLINE int format_bias(const FpFormat *f) { return (1 << (f->exp_bits - 1)) - 1; }
FP_INLINE int format_exp_max(const FpFormat *f) { return (1 << f->exp_bits) - 1; }

typedef enum NumClass {
    NUM_FINITE,                 /* and not zero */
    NUM_ZERO,
    NUM_INF,
    NUM_QNAN,
    NUM_SNAN,
    NUM_BAD,                    /* x87 encodings without meaning */
} NumClass;

typedef struct Num {
    NumClass cls;
    bool sign;
    bool denormal;              /* was encoded with the lowest exponent */
    int exp;                    /* value = frac * 2^(exp - 127) */
    u128 frac;                  /* NUM_FINITE and NaNs: bit 127 is set */
} Num;

/* Rare cases, in num.c. */
Num fp_unpack_special(const FpFormat *f, u128 raw, FpEnv *env);
u128 fp_pack_edge(const FpFormat *f, Num r, int prec, FpEnv *env);
u128 fp_pack_special(const FpFormat *f, Num r);
Num fp_default_nan(const FpRules *rules);
Num fp_invalid(FpEnv *env, int why);
Num fp_nan_result(const Num *a, const Num *b, const Num *c, FpEnv *env);
void fp_note_denormal(FpEnv *env);

FP_INLINE bool is_nan(const Num *a) { return a->cls >= NUM_QNAN; }

FP_INLINE int clz128(u128 x)
{
    uint64_t hi = x >> 64;
    return hi ? __builtin_clzll(hi) : 64 + __builtin_clzll((uint64_t)x);
}

/* Shift right; ones that fall out stick in bit 0. */
FP_INLINE u128 shift_right_jam(u128 x, unsigned n)
{
    if (unlikely(n > 127)) {
        return x != 0;
    }
    return n ? x >> n | ((x << (128 - n)) != 0) : x;
}

FP_INLINE Num num_make(NumClass cls, bool sign)
{
    return (Num){ .cls = cls, .sign = sign };
}

/* frac is not zero, but may lack the top bit. */
FP_INLINE Num num_normalise(bool sign, int exp, u128 frac)
{
    int n = clz128(frac);
    return (Num){ .sign = sign, .exp = exp - n, .frac = frac << n };
}

/* The fast path's half of unpack(): neither zero, denormal, infinite nor NaN. */
FP_INLINE bool is_normal(const FpFormat *f, u128 raw)
{
    if (f->bits <= 64) {
        uint64_t exp = (uint64_t)raw >> f->frac_bits;
        return ((exp + 1) & format_exp_max(f)) > 1;
    }
    if (f->explicit_int && !(raw >> f->frac_bits & 1)) {
        return false;
    }
    return ((int)((raw >> (f->frac_bits + f->explicit_int)) + 1) & format_exp_max(f)) > 1;
}

FP_INLINE Num unpack_normal(const FpFormat *f, u128 raw)
{
    int stored = f->frac_bits + f->explicit_int, bias = format_bias(f);

    if (f->bits <= 64) {
        uint64_t low = raw, frac = low << (63 - f->frac_bits) | (uint64_t)1 << 63;
        int exp = (int)(low >> f->frac_bits) & format_exp_max(f);
        return (Num){ .sign = low >> (f->bits - 1), .exp = exp - bias, .frac = (u128)frac << 64 };
    }
    return (Num){ .sign = raw >> (f->bits - 1) & 1,
                  .exp = ((int)(raw >> stored) & format_exp_max(f)) - bias,
                  .frac = raw << (127 - f->frac_bits) | TOP };
}

/* Any bit pattern. */
FP_INLINE Num unpack(const FpFormat *f, u128 raw, FpEnv *env)
{
    return likely(is_normal(f, raw)) ? unpack_normal(f, raw) : fp_unpack_special(f, raw, env);
}

/* frac has its integer bit at 127; for implicit formats exp decides about it. */
FP_INLINE u128 join(const FpFormat *f, bool sign, int exp, u128 frac)
{
    int stored = f->frac_bits + f->explicit_int;
    u128 low = f->explicit_int ? frac : frac << 1;

    return (u128)sign << (f->bits - 1) | (u128)exp << stored | low >> (128 - stored);
}

typedef struct Rounded {
    u128 frac;
    bool carry;                 /* frac overflowed: it is 0 and means 2^128 */
    bool inexact;
    bool up;
} Rounded;

/* round_at(): makes the low `drop` bits zero; drop is 1 to 127 (63). In two widths, without
   branches that depend on the operands. */
#define DEFINE_ROUND_AT(NAME, U)                                                               \
    FP_INLINE Rounded NAME(U frac, int drop, bool sign, int mode)                              \
    {                                                                                          \
        U unit = (U)1 << drop, inc, sum;                                                       \
        bool inexact = frac & (unit - 1);                                                      \
                                                                                               \
        if (likely(mode == FP_ROUND_NEAREST_EVEN)) {                                           \
            inc = (unit >> 1) - 1 + (frac >> drop & 1);                                        \
        } else if (mode == FP_ROUND_ODD) {                                                     \
            inc = 0;                                                                           \
            frac |= inexact ? unit : 0;                                                        \
        } else if (mode == FP_ROUND_NEAREST_AWAY) {                                            \
            inc = unit >> 1;                                                                   \
        } else {                                                                               \
            inc = mode == (sign ? FP_ROUND_DOWN : FP_ROUND_UP) ? unit - 1 : 0;                 \
        }                                                                                      \
        sum = frac + inc;                                                                      \
        return (Rounded){ .frac = sum & ~(unit - 1), .carry = sum < frac,                      \
                          .inexact = inexact, .up = (sum ^ frac) >> drop };                    \
    }
DEFINE_ROUND_AT(round_at, u128)
DEFINE_ROUND_AT(round_at_64, uint64_t)

FP_INLINE void note_rounding(FpEnv *env, bool inexact, bool up)
{
    env->flags |= inexact * FP_INEXACT;
    env->detail |= inexact * FP_FRACTION_ROUNDED | up * FP_ROUNDED_UP;
}

/* The fast path's half of pack_prec(): a result in the middle of the range. */
FP_INLINE bool is_easy(const FpFormat *f, Num r)
{
    return r.cls == NUM_FINITE &&
           (unsigned)(r.exp + format_bias(f) - 1) < (unsigned)format_exp_max(f) - 2;
}

FP_INLINE u128 pack_easy(const FpFormat *f, Num r, int prec, FpEnv *env)
{
    int exp = r.exp + format_bias(f);
    Rounded n;

    if (is_narrow(f)) {
        n = round_at_64(r.frac >> 64 | ((uint64_t)r.frac != 0), 64 - prec, r.sign, env->round);
        note_rounding(env, n.inexact, n.up);
        return (uint64_t)r.sign << (f->bits - 1) |      /* a carry leaves a fraction of zero */
               ((uint64_t)(exp + n.carry) << f->frac_bits) | (uint64_t)n.frac << 1 >> (65 - prec);
    }
    n = round_at(r.frac, 128 - prec, r.sign, env->round);
    note_rounding(env, n.inexact, n.up);
    return join(f, r.sign, exp + n.carry, n.frac | (n.carry ? TOP : 0));
}

/* Rounds to `prec` bits, which is the format's own precision except under x87's control word. */
FP_INLINE u128 pack_prec(const FpFormat *f, Num r, int prec, FpEnv *env)
{
    if (likely(is_easy(f, r))) {
        return pack_easy(f, r, prec, env);
    }
    return r.cls == NUM_FINITE ? fp_pack_edge(f, r, prec, env) : fp_pack_special(f, r);
}

FP_INLINE u128 pack(const FpFormat *f, Num r, FpEnv *env)
{
    return pack_prec(f, r, f->frac_bits + 1, env);
}

/* For add, sub, mul, div and sqrt, which obey x87's precision control. */
FP_INLINE int arith_prec(const FpFormat *f, const FpEnv *env)
{
    int x87 = env->x87_precision;

    return f->explicit_int && (x87 == 24 || x87 == 53) ? x87 : f->frac_bits + 1;
}

/* floor(rem * 2^64 / div) for rem < div, div >= 2^127; rem becomes the remainder. Knuth's D3. */
FP_INLINE uint64_t divide_digit(u128 *rem, u128 div, bool narrow)
{
    uint64_t high = div >> 64, low = div, digit;
    u128 q, r, sub;

    if (narrow) {
        q = *rem / high;
        *rem = (u128)(uint64_t)(*rem - q * high) << 64;
        return q;
    }
    if ((uint64_t)(*rem >> 64) == high) {
        q = ~(uint64_t)0;
    } else {
        q = *rem / high;
    }
    r = *rem - q * high;                /* below 2^65, as q is at most 2 too large */
    digit = q;
    sub = q * low;
    while (r >> 64 == 0 && r << 64 < sub) {
        digit--;
        r += high;
        sub -= low;
    }
    *rem = (r << 64) - sub;
    return digit;
}

FP_INLINE void note_denormals(FpEnv *env, bool any)
{
    if (unlikely(any)) {
        fp_note_denormal(env);
    }
}

/* Bit patterns of the public types. */
/* For what stands once for each format: M(prefix, type). */
#define FP_FORMATS(M)                                                                              \
    M(fp16, Fp16) M(fpb16, FpB16) M(fp32, Fp32) M(fp64, Fp64) M(fp80, Fp80) M(fp128, Fp128)

FP_INLINE u128 fp16_raw(Fp16 a) { return a; }
FP_INLINE u128 fpb16_raw(FpB16 a) { return a; }
FP_INLINE u128 fp32_raw(Fp32 a) { return a; }
FP_INLINE u128 fp64_raw(Fp64 a) { return a; }
FP_INLINE u128 fp80_raw(Fp80 a) { return (u128)a.se << 64 | a.frac; }
FP_INLINE u128 fp128_raw(Fp128 a) { return (u128)a.hi << 64 | a.lo; }
FP_INLINE Fp16 fp16_of(u128 raw) { return raw; }
FP_INLINE FpB16 fpb16_of(u128 raw) { return raw; }
FP_INLINE Fp32 fp32_of(u128 raw) { return raw; }
FP_INLINE Fp64 fp64_of(u128 raw) { return raw; }
FP_INLINE Fp80 fp80_of(u128 raw) { return (Fp80){ .frac = raw, .se = raw >> 64 }; }
FP_INLINE Fp128 fp128_of(u128 raw) { return (Fp128){ .lo = raw, .hi = raw >> 64 }; }

#endif
