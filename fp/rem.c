/* SPDX-License-Identifier: Apache-2.0 */
/* Remainders. Spec: IEEE 754-2019, 5.3.1; Intel SDM 2, FPREM and FPREM1. */
#include "num.h"

/* |a| - q * |b| with q = floor(|a| / |b|) for two finite numbers, as a multiple of b's last place:
   the result, less than b->frac, has b's exponent. q is modulo 2^64. */
static u128 reduce(const Num *a, const Num *b, uint64_t *q)
{
    int bits = a->exp - b->exp;
    u128 r = a->frac;

    *q = r >= b->frac;
    r -= *q ? b->frac : 0;
    for (; bits % 64; bits--) {
        bool carry = r >> 127, one;
        r <<= 1;
        one = carry || r >= b->frac;
        r -= one ? b->frac : 0;
        *q = *q << 1 | one;
    }
    for (; bits; bits -= 64) {
        *q = divide_digit(&r, b->frac, false);
    }
    return r;
}

/* The remainder of a by b; the quotient is rounded to nearest or cut. */
static Num rem_finite(Num a, const Num *b, bool nearest, uint64_t *q)
{
    int distance = a.exp - b->exp;
    u128 r;

    *q = 0;
    if (distance < -1 || (distance < 0 && !nearest)) {
        return a;
    }
    r = distance < 0 ? a.frac >> 1 : reduce(&a, b, q);
    if (nearest && (r > b->frac - r || (r == b->frac - r && *q & 1))) {
        r = b->frac - r;
        a.sign = !a.sign;
        ++*q;
    }
    return r ? num_normalise(a.sign, b->exp, r) : num_make(NUM_ZERO, a.sign);
}

/* True if there is no finite remainder to compute: then *r is the result. */
static bool rem_special(const Num *a, const Num *b, Num *r, FpEnv *env)
{
    if (is_nan(a) || is_nan(b)) {
        *r = fp_nan_result(a, b, NULL, env);
        return true;
    }
    if (a->cls == NUM_INF || b->cls == NUM_ZERO) {
        *r = fp_invalid(env, a->cls == NUM_INF ? FP_WHY_INF_DIV : FP_WHY_ZERO_DIV);
        return true;
    }
    note_denormals(env, a->denormal || b->denormal);
    *r = *a;
    return a->cls == NUM_ZERO || b->cls == NUM_INF;
}

static u128 rem(const FpFormat *f, u128 ra, u128 rb, FpEnv *env)
{
    Num a = unpack(f, ra, env), b = unpack(f, rb, env), r;
    uint64_t q;

    if (!rem_special(&a, &b, &r, env)) {
        r = rem_finite(a, &b, true, &q);
    }
    return pack(f, r, env);
}

#define DEFINE(P, T)                                                                           \
    T P##_rem(T a, T b, FpEnv *env)                                                            \
    {                                                                                          \
        return P##_of(rem(&P##_format, P##_raw(a), P##_raw(b), env));                          \
    }

FP_FORMATS(DEFINE)

/* A step reduces the exponents' distance, if it is 64 or more, by an amount of 32 to 63 that is
   chosen so that the distance left is a multiple of 32. */
Fp80 fp80_prem(Fp80 st0, Fp80 st1, bool nearest, uint8_t *quotient, bool *partial, FpEnv *env)
{
    const FpFormat *f = &fp80_format;
    Num a = unpack(f, fp80_raw(st0), env), b = unpack(f, fp80_raw(st1), env), r;
    int distance = a.exp - b.exp;
    uint64_t q = 0;

    *quotient = 0;
    *partial = false;
    if (rem_special(&a, &b, &r, env)) {
        return fp80_of(pack(f, r, env));
    }
    if (distance >= 64) {
        *partial = true;
        nearest = false;
        b.exp += distance - (distance % 32 + 32);
    }
    r = rem_finite(a, &b, nearest, &q);
    *quotient = *partial ? 0 : q & 7;
    return fp80_of(pack(f, r, env));
}
