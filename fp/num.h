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
Num fp_unpack_special(const FpFormat *f, bool sign, int exp, u128 frac, FpEnv *env);
u128 fp_pack_edge(const FpFormat *f, Num r, int prec, FpEnv *env);
u128 fp_pack_special(const FpFormat *f, const Num *r);
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

FP_INLINE Num unpack(const FpFormat *f, u128 raw, FpEnv *env)
{
    int stored = f->frac_bits + f->explicit_int;
    bool sign = raw >> (f->bits - 1) & 1;
    int exp = (int)(raw >> stored) & format_exp_max(f);
    u128 frac = raw << (128 - stored) >> !f->explicit_int;

    if (unlikely(exp == 0 || exp == format_exp_max(f) || (f->explicit_int && !(frac & TOP)))) {
        return fp_unpack_special(f, sign, exp, frac, env);
    }
    return (Num){ .sign = sign, .exp = exp - format_bias(f), .frac = frac | TOP };
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

/* Makes the low `drop` bits (1 to 127) zero. */
FP_INLINE Rounded round_at(u128 frac, int drop, bool sign, int mode)
{
    u128 mask = ((u128)1 << drop) - 1, half = (u128)1 << (drop - 1), inc, sum;
    u128 rest = frac & mask;
    bool up;

    if (rest == 0) {
        return (Rounded){ .frac = frac };
    }
    if (likely(mode == FP_ROUND_NEAREST_EVEN)) {
        up = rest > half || (rest == half && (frac & (mask + 1)));
    } else if (mode == FP_ROUND_NEAREST_AWAY) {
        up = rest >= half;
    } else if (mode == FP_ROUND_ODD) {
        up = false;
        frac |= mask + 1;
    } else {
        up = mode == (sign ? FP_ROUND_DOWN : FP_ROUND_UP);
    }
    inc = up ? mask + 1 : 0;
    sum = (frac & ~mask) + inc;
    return (Rounded){ .frac = sum, .carry = sum < inc, .inexact = true, .up = up };
}

FP_INLINE void note_rounding(FpEnv *env, bool inexact, bool up)
{
    env->flags |= inexact ? FP_INEXACT : 0;
    env->detail |= (inexact ? FP_FRACTION_ROUNDED : 0) | (up ? FP_ROUNDED_UP : 0);
}

/* Rounds to `prec` bits, which is the format's own precision except under x87's control word. */
FP_INLINE u128 pack_prec(const FpFormat *f, Num r, int prec, FpEnv *env)
{
    int exp = r.exp + format_bias(f);
    Rounded n;

    if (unlikely(r.cls != NUM_FINITE)) {
        return fp_pack_special(f, &r);
    }
    if (unlikely(exp <= 0 || exp >= format_exp_max(f) - 1)) {
        return fp_pack_edge(f, r, prec, env);
    }
    n = round_at(r.frac, 128 - prec, r.sign, env->round);
    note_rounding(env, n.inexact, n.up);
    return join(f, r.sign, exp + n.carry, n.frac | (n.carry ? TOP : 0));
}

FP_INLINE u128 pack(const FpFormat *f, Num r, FpEnv *env)
{
    return pack_prec(f, r, f->frac_bits + 1, env);
}

/* For add, sub, mul, div and sqrt, which obey x87's precision control. */
FP_INLINE u128 pack_arith(const FpFormat *f, Num r, FpEnv *env)
{
    int x87 = env->x87_precision, prec = f->frac_bits + 1;

    return pack_prec(f, r, f->explicit_int && (x87 == 24 || x87 == 53) ? x87 : prec, env);
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
