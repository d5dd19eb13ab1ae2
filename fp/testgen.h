/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that find mistakes: special values, boundary exponents, runs of ones (tests only). */
#ifndef FP_TESTGEN_H
#define FP_TESTGEN_H

#include <glib.h>
#include "num.h"

typedef struct Gen {
    uint64_t state;
} Gen;

/* Cases per operation; FP_TEST_FACTOR=100 for a long run. */
static inline long gen_cases(long normally)
{
    const char *factor = g_getenv("FP_TEST_FACTOR");
    return factor ? normally * MAX(1, atol(factor)) : normally;
}

static inline Gen gen_new(void)
{
    const char *seed = g_getenv("FP_TEST_SEED");
    return (Gen){ seed ? strtoull(seed, NULL, 0) : 1 };
}

static inline uint64_t gen_64(Gen *g)          /* splitmix64 */
{
    uint64_t x = g->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline unsigned gen_below(Gen *g, unsigned n) { return (gen_64(g) >> 32) * n >> 32; }

/* `bits` bits: ends of the range, single bits, runs of ones or zeros, noise. */
static inline u128 gen_pattern(Gen *g, int bits)
{
    u128 all = ~(u128)0 >> (128 - bits), noise = ((u128)gen_64(g) << 64 | gen_64(g)) & all;
    u128 one = (u128)1 << gen_below(g, bits), two = (u128)1 << gen_below(g, bits);

    switch (gen_below(g, 12)) {
    case 0:
        return gen_below(g, 4);
    case 1:
        return all - gen_below(g, 4);
    case 2:
        return one;
    case 3:
        return all ^ one;
    case 4:
        return one - 1;
    case 5:
        return all ^ (one - 1);
    case 6:
        return (one > two ? one - two : two - one) & all;
    case 7:
        return (one + two - 1) & all;
    case 8:
        return noise & ~(one - 1);      /* trailing zeros: sums and products come out exact */
    case 9:
        return noise & (one - 1);
    default:
        return noise;
    }
}

static inline int gen_exponent(Gen *g, const FpFormat *f)
{
    int max = format_exp_max(f), bias = format_bias(f);

    switch (gen_below(g, 10)) {
    case 0:
        return gen_below(g, 3);
    case 1:
        return max - gen_below(g, 4);
    case 2:
        return MIN(max, (int)gen_below(g, f->frac_bits + 4));
    case 3:
        return MAX(0, max - (int)gen_below(g, f->frac_bits + 4));
    case 4:
    case 5:
        return bias - 2 + gen_below(g, 5);
    case 6:
        return CLAMP(bias - 70 + (int)gen_below(g, 140), 0, max);
    case 7:
        return CLAMP(bias / 2 - 2 + (int)gen_below(g, 5), 0, max);
    default:
        return gen_below(g, max + 1);
    }
}

static inline u128 gen_operand(Gen *g, const FpFormat *f)
{
    u128 frac = gen_pattern(g, f->frac_bits);
    int exp = gen_exponent(g, f);
    bool one = exp != 0;

    if (exp == format_exp_max(f) && gen_below(g, 2)) {
        exp--;                          /* not too many NaNs */
    }
    if (f->explicit_int && gen_below(g, 16) == 0) {
        one = !one;                     /* pseudo-denormals, unnormals */
    }
    if (f->explicit_int) {
        frac |= (u128)one << 63;
    }
    return (u128)(gen_64(g) & 1) << (f->bits - 1) |
           (u128)exp << (f->frac_bits + f->explicit_int) | frac;
}

/* A second operand that often is near the first or its negation. */
static inline u128 gen_related(Gen *g, const FpFormat *f, u128 a)
{
    u128 sign = (u128)(gen_64(g) & 1) << (f->bits - 1);
    int stored = f->frac_bits + f->explicit_int;

    switch (gen_below(g, 8)) {
    case 0:
        return a ^ sign;
    case 1:
        return (a + gen_below(g, 5) - 2) ^ sign;
    case 2:                             /* same fraction, near exponent */
        return ((a + ((u128)gen_below(g, 5) << stored)) & ~sign) ^ sign;
    case 3:                             /* same exponent */
        return (a & ~(((u128)1 << f->frac_bits) - 1)) | gen_pattern(g, f->frac_bits);
    default:
        return gen_operand(g, f);
    }
}

#endif
