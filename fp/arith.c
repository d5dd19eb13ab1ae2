/* SPDX-License-Identifier: Apache-2.0 */
/* Add, multiply, divide, square root, fused multiply-add. Spec: IEEE 754-2019, 5.4.1. */
#include "num.h"

/* Two operands: what add, multiply and divide have in common. */

/* Of finite numbers that are not zero; and of operands of which one is something else. */
typedef Num Finite(const FpFormat *f, Num a, Num b, FpEnv *env);
typedef Num Special(const Num *a, const Num *b, FpEnv *env);
typedef u128 Any(const FpFormat *f, u128 ra, u128 rb, bool negate, FpEnv *env);

/* negate: b's sign is changed first, unless it is a NaN. */
FP_INLINE u128 binary_any(const FpFormat *f, u128 ra, u128 rb, bool negate, FpEnv *env,
                          Finite *finite, Special *special)
{
    Num a = unpack(f, ra, env), b = unpack(f, rb, env), r;

    b.sign ^= negate && !is_nan(&b);
    if (a.cls | b.cls) {
        r = special(&a, &b, env);
    } else {
        note_denormals(env, a.denormal || b.denormal);
        r = finite(f, a, b, env);
    }
    return pack_prec(f, r, arith_prec(f, env), env);
}

/* The quick way for normal numbers with a normal result; `any` serves the rest. */
FP_INLINE u128 binary(const FpFormat *f, u128 ra, u128 rb, bool negate, FpEnv *env, Finite *finite,
                      Any *any)
{
    if (likely(is_normal(f, ra) && is_normal(f, rb))) {
        Num a = unpack_normal(f, ra), b = unpack_normal(f, rb), r;
        b.sign ^= negate;
        r = finite(f, a, b, env);
        if (likely(is_easy(f, r))) {
            return pack_easy(f, r, arith_prec(f, env), env);
        }
    }
    return any(f, ra, rb, negate, env);
}

/* op_NAME() of NAME_finite() and NAME_special(). */
#define DEFINE_BINARY(NAME)                                                                    \
    static RARE u128 NAME##_any(const FpFormat *f, u128 ra, u128 rb, bool negate, FpEnv *env)  \
    {                                                                                          \
        return binary_any(f, ra, rb, negate, env, NAME##_finite, NAME##_special);              \
    }                                                                                          \
    FP_INLINE u128 op_##NAME(const FpFormat *f, u128 ra, u128 rb, bool negate, FpEnv *env)     \
    {                                                                                          \
        return binary(f, ra, rb, negate, env, NAME##_finite, NAME##_any);                      \
    }

/* Addition */

static Num add_special(const Num *a, const Num *b, FpEnv *env)
{
    if (is_nan(a) || is_nan(b)) {
        return fp_nan_result(a, b, NULL, env);
    }
    if (a->cls == NUM_INF && b->cls == NUM_INF && a->sign != b->sign) {
        return fp_invalid(env, FP_WHY_INF_SUB);
    }
    note_denormals(env, a->denormal || b->denormal);
    if (a->cls == NUM_ZERO && b->cls == NUM_ZERO) {
        bool sign = a->sign == b->sign ? a->sign : env->round == FP_ROUND_DOWN;
        return num_make(NUM_ZERO, sign);
    }
    return a->cls == NUM_INF || b->cls == NUM_ZERO ? *a : *b;
}

/* add_128(), add_64(): the fractions' low bits must be free, as sticky bits gather there. They move down
   by one to leave room for the carry. Only a difference of equal exponents can be negative. */
#define DEFINE_ADD_FINITE(NAME, U, BITS, CLZ)                                                  \
    FP_INLINE Num NAME(Num a, Num b, FpEnv *env)                                               \
    {                                                                                          \
        U fa = a.frac >> (129 - BITS), fb = b.frac >> (129 - BITS), sum;                       \
        int distance = a.exp - b.exp, exp = distance < 0 ? b.exp : a.exp;                      \
        U big = distance < 0 ? fb : fa, small = distance < 0 ? fa : fb;                        \
        bool sign = distance < 0 ? b.sign : a.sign, differ = a.sign ^ b.sign;                  \
        unsigned n = distance < 0 ? -distance : distance;                                      \
                                                                                               \
        n = n > BITS - 1 ? BITS - 1 : n;                                                       \
        small = small >> n | ((small & (((U)1 << n) - 1)) != 0);                               \
        sum = big + (differ ? -small : small);                                                 \
        if (unlikely(sum == 0)) {                                                              \
            return num_make(NUM_ZERO, env->round == FP_ROUND_DOWN);                            \
        }                                                                                      \
        if (unlikely(differ && sum >> (BITS - 1))) {                                           \
            sum = -sum;                                                                        \
            sign = !sign;                                                                      \
        }                                                                                      \
        n = CLZ(sum);                                                                          \
        return (Num){ .sign = sign, .exp = exp + 1 - n,                                        \
                      .frac = (u128)(sum << n) << (128 - BITS) };                              \
    }
DEFINE_ADD_FINITE(add_128, u128, 128, clz128)
DEFINE_ADD_FINITE(add_64, uint64_t, 64, __builtin_clzll)

FP_INLINE Num add_finite(const FpFormat *f, Num a, Num b, FpEnv *env)
{
    return is_narrow(f) ? add_64(a, b, env) : add_128(a, b, env);
}

DEFINE_BINARY(add)

/* Multiplication */

typedef struct U256 {
    u128 hi, lo;
} U256;

static U256 multiply_wide(u128 a, u128 b)
{
    uint64_t ah = a >> 64, al = a, bh = b >> 64, bl = b;
    u128 low = (u128)al * bl, mid1 = (u128)ah * bl, mid2 = (u128)al * bh;
    u128 mid = (low >> 64) + (uint64_t)mid1 + (uint64_t)mid2;

    return (U256){ (u128)ah * bh + (mid1 >> 64) + (mid2 >> 64) + (mid >> 64),
                   mid << 64 | (uint64_t)low };
}

/* The 256-bit product with its top bit at 255 and the exponent that belongs to that. */
static U256 product(const Num *a, const Num *b, int *exp)
{
    U256 p = multiply_wide(a->frac, b->frac);

    *exp = a->exp + b->exp + 1;
    if (!(p.hi & TOP)) {
        p.hi = p.hi << 1 | p.lo >> 127;
        p.lo <<= 1;
        --*exp;
    }
    return p;
}

FP_INLINE Num mul_finite(const FpFormat *f, Num a, Num b, FpEnv *env)
{
    Num r = { .sign = a.sign ^ b.sign };

    if (f->frac_bits < 64) {            /* the low words are zero */
        u128 p = (u128)(uint64_t)(a.frac >> 64) * (uint64_t)(b.frac >> 64);
        bool top = p >> 127;
        r.frac = p << !top;
        r.exp = a.exp + b.exp + top;
    } else {
        U256 p = product(&a, &b, &r.exp);
        r.frac = p.hi | (p.lo != 0);
    }
    return r;
}

static Num mul_special(const Num *a, const Num *b, FpEnv *env)
{
    if (is_nan(a) || is_nan(b)) {
        return fp_nan_result(a, b, NULL, env);
    }
    if (a->cls != NUM_FINITE && b->cls != NUM_FINITE && a->cls != b->cls) {
        return fp_invalid(env, FP_WHY_INF_ZERO);
    }
    note_denormals(env, a->denormal || b->denormal);
    return num_make(a->cls != NUM_FINITE ? a->cls : b->cls, a->sign ^ b->sign);
}

DEFINE_BINARY(mul)

/* Division */

FP_INLINE Num div_finite(const FpFormat *f, Num a, Num b, FpEnv *env)
{
    Num r = { .sign = a.sign ^ b.sign, .exp = a.exp - b.exp };
    bool narrow = f->frac_bits < 64, less = a.frac < b.frac;
    u128 rem = less ? a.frac : a.frac - b.frac;
    uint64_t digit = divide_digit(&rem, b.frac, narrow);

    /* The quotient is digit / 2^64, plus 1 unless a was less. */
    r.frac = (u128)digit << 64;
    if (!is_narrow(f)) {
        r.frac |= divide_digit(&rem, b.frac, narrow);
    }
    if (!less) {
        r.frac = TOP | r.frac >> 1 | (r.frac & 1) | (rem != 0);
        return r;
    }
    r.frac |= rem != 0;                 /* a > b / 2, so the top bit is set */
    r.exp--;
    return r;
}

static Num div_special(const Num *a, const Num *b, FpEnv *env)
{
    bool sign = a->sign ^ b->sign;

    if (is_nan(a) || is_nan(b)) {
        return fp_nan_result(a, b, NULL, env);
    }
    if (a->cls == b->cls) {
        return fp_invalid(env, a->cls == NUM_INF ? FP_WHY_INF_DIV : FP_WHY_ZERO_DIV);
    }
    if (b->cls == NUM_ZERO) {
        env->flags |= a->cls == NUM_FINITE ? FP_DIVZERO : 0;
        return num_make(NUM_INF, sign);
    }
    note_denormals(env, a->denormal || b->denormal);
    return num_make(a->cls == NUM_INF ? NUM_INF : NUM_ZERO, sign);
}

DEFINE_BINARY(div)

/* Square root */

/* From root = floor(sqrt(n)) of w bits and rem = n - root^2 to the same of n and 2w bits more.
   P. Zimmermann, Karatsuba Square Root, INRIA RR-3805. */
FP_INLINE void double_root(uint64_t *root, u128 *rem, unsigned w, uint64_t more)
{
    u128 low = (u128)1 << w, high = *rem << w | more >> w, divisor = (u128)*root << 1;
    u128 q = high / divisor, left = (high - q * divisor) << w | (more & (low - 1));
    u128 s = ((u128)*root << w) + q;
    bool over = left < q * q;

    s -= over;
    *rem = left - q * q + (over ? 2 * s + 1 : 0);
    *root = s;
}

/* floor(sqrt(n)) of 64 bits, n >= 2^126; `enough` bits suffice, the rest may be 0. */
FP_INLINE uint64_t root_128(u128 n, int enough, u128 *rem)
{
    uint64_t root = 0x80;
    unsigned head = n >> 112;

    for (unsigned bit = 0x40; bit; bit >>= 1) {
        unsigned trial = root | bit;
        root = trial * trial <= head ? trial : root;
    }
    *rem = head - root * root;
    double_root(&root, rem, 8, n >> 96 & 0xffff);
    double_root(&root, rem, 16, n >> 64 & 0xffffffff);
    if (enough <= 32) {
        *rem |= (uint64_t)n;
        return root << 32;
    }
    double_root(&root, rem, 32, n);
    return root;
}

FP_INLINE Num sqrt_finite(const FpFormat *f, Num a)
{
    bool odd = a.exp & 1;
    int bits = f->frac_bits + 3;        /* the result's, and two more to round by */
    u128 rem, root = root_128(odd ? a.frac : a.frac >> 1, bits, &rem);

    for (int i = 64; i < bits; i++) {   /* a bit at a time, what is left of a being zeros */
        u128 trial = root << 2 | 1;
        rem <<= 2;
        root <<= 1;
        if (rem >= trial) {
            rem -= trial;
            root |= 1;
        }
    }
    return (Num){ .exp = (a.exp - odd) / 2,
                  .frac = root << (128 - (bits > 64 ? bits : 64)) | (rem != 0) };
}

static Num sqrt_special(const Num *a, FpEnv *env)
{
    if (is_nan(a)) {
        return fp_nan_result(a, NULL, NULL, env);
    }
    return a->sign && a->cls != NUM_ZERO ? fp_invalid(env, FP_WHY_SQRT) : *a;
}

static RARE u128 sqrt_any(const FpFormat *f, u128 ra, FpEnv *env)
{
    Num a = unpack(f, ra, env), r;

    if (a.cls || a.sign) {
        r = sqrt_special(&a, env);
    } else {
        note_denormals(env, a.denormal);
        r = sqrt_finite(f, a);
    }
    return pack_prec(f, r, arith_prec(f, env), env);
}

FP_INLINE u128 op_sqrt(const FpFormat *f, u128 ra, FpEnv *env)
{
    if (likely(is_normal(f, ra) && !(ra >> (f->bits - 1)))) {
        return pack_easy(f, sqrt_finite(f, unpack_normal(f, ra)), arith_prec(f, env), env);
    }
    return sqrt_any(f, ra, env);
}

/* Fused multiply-add */

static U256 shift_right_jam_wide(U256 a, unsigned n)
{
    bool lost;

    if (n > 127) {
        lost = a.lo != 0;
        a = (U256){ 0, n > 255 ? a.hi != 0 : shift_right_jam(a.hi, n - 128) };
    } else {
        lost = n && a.lo << (128 - n);
        a = (U256){ a.hi >> n, n ? a.lo >> n | a.hi << (128 - n) : a.lo };
    }
    a.lo |= lost;
    return a;
}

static bool less_wide(U256 a, U256 b)
{
    return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

/* As add_128() for a product that needs 256 bits: r holds sign and exponent of p. */
static Num add_wide(Num r, U256 p, Num c, FpEnv *env)
{
    U256 big = p, small = { c.frac, 0 }, sum;
    bool same = r.sign == c.sign, swap = r.exp < c.exp || (r.exp == c.exp && less_wide(p, small));
    int distance = r.exp - c.exp;

    if (swap) {
        big = small;
        small = p;
        distance = -distance;
        r = c;
    }
    small = shift_right_jam_wide(small, distance);
    if (same) {
        sum.lo = big.lo + small.lo;
        sum.hi = big.hi + small.hi + (sum.lo < big.lo);
        if (less_wide(sum, big)) {
            r.exp++;
            sum = shift_right_jam_wide(sum, 1);
            sum.hi |= TOP;
        }
    } else {
        sum.lo = big.lo - small.lo;
        sum.hi = big.hi - small.hi - (big.lo < small.lo);
    }
    if (sum.hi == 0) {
        if (sum.lo == 0) {
            return num_make(NUM_ZERO, env->round == FP_ROUND_DOWN);
        }
        return num_normalise(r.sign, r.exp - 128, sum.lo);
    }
    r.denormal = false;
    if (!(sum.hi & TOP)) {
        int n = clz128(sum.hi);
        sum.hi = sum.hi << n | sum.lo >> (128 - n);
        sum.lo <<= n;
        r.exp -= n;
    }
    r.frac = sum.hi | (sum.lo != 0);
    return r;
}

static Num fma_nan(const Num *a, const Num *b, const Num *c, bool inf_zero, FpEnv *env)
{
    if (inf_zero && c->cls == NUM_QNAN) {
        if (env->rules->inf_zero != FP_INFZERO_NAN) {
            fp_invalid(env, FP_WHY_INF_ZERO);
        }
        if (env->rules->inf_zero == FP_INFZERO_DEFAULT_NAN) {
            return fp_default_nan(env->rules);
        }
    }
    return fp_nan_result(a, b, c, env);
}

/* a and c already have their negations applied; `how` takes them back from NaNs. */
static Num fma_special(const Num *a, const Num *b, const Num *c, int how, FpEnv *env)
{
    bool sign = a->sign ^ b->sign;
    bool inf_zero = (a->cls == NUM_INF && b->cls == NUM_ZERO) ||
                    (a->cls == NUM_ZERO && b->cls == NUM_INF);

    if (is_nan(a) || is_nan(b) || is_nan(c)) {
        Num a1 = *a, c1 = *c;
        a1.sign ^= how & FP_FMA_NEG_PRODUCT ? 1 : 0;
        c1.sign ^= how & FP_FMA_NEG_ADDEND ? 1 : 0;
        return fma_nan(&a1, b, &c1, inf_zero, env);
    }
    if (inf_zero) {
        return fp_invalid(env, FP_WHY_INF_ZERO);
    }
    if (a->cls == NUM_INF || b->cls == NUM_INF) {
        if (c->cls == NUM_INF && c->sign != sign) {
            return fp_invalid(env, FP_WHY_INF_SUB);
        }
        note_denormals(env, a->denormal || b->denormal || c->denormal);
        return num_make(NUM_INF, sign);
    }
    note_denormals(env, a->denormal || b->denormal || c->denormal);
    if (c->cls == NUM_ZERO) {           /* and the product is 0 too */
        return num_make(NUM_ZERO, sign == c->sign ? sign : env->round == FP_ROUND_DOWN);
    }
    return *c;
}

/* a * b + c, none of them zero. */
FP_INLINE Num fma_finite(const FpFormat *f, Num a, Num b, Num c, FpEnv *env)
{
    Num r = { .sign = a.sign ^ b.sign };
    U256 p;

    if (is_narrow(f)) {
        return add_128(mul_finite(f, a, b, env), c, env);
    }
    p = product(&a, &b, &r.exp);
    return add_wide(r, p, c, env);
}

static RARE u128 fma_any(const FpFormat *f, u128 ra, u128 rb, u128 rc, int how, FpEnv *env)
{
    Num a = unpack(f, ra, env), b = unpack(f, rb, env), c = unpack(f, rc, env), r;

    a.sign ^= how & FP_FMA_NEG_PRODUCT ? 1 : 0;
    c.sign ^= how & FP_FMA_NEG_ADDEND ? 1 : 0;
    if (a.cls || b.cls || c.cls > NUM_ZERO) {
        r = fma_special(&a, &b, &c, how, env);
    } else {
        note_denormals(env, a.denormal || b.denormal || c.denormal);
        r = c.cls == NUM_ZERO ? mul_finite(f, a, b, env) : fma_finite(f, a, b, c, env);
    }
    r.exp -= how & FP_FMA_HALVE ? 1 : 0;
    ra = pack(f, r, env);
    return ra ^ (u128)(how & FP_FMA_NEG_RESULT && !is_nan(&r)) << (f->bits - 1);
}

FP_INLINE u128 op_fma(const FpFormat *f, u128 ra, u128 rb, u128 rc, int how, FpEnv *env)
{
    if (likely(is_normal(f, ra) && is_normal(f, rb) && is_normal(f, rc) && how < FP_FMA_HALVE)) {
        Num a = unpack_normal(f, ra), b = unpack_normal(f, rb), c = unpack_normal(f, rc), r;
        a.sign ^= how & FP_FMA_NEG_PRODUCT ? 1 : 0;
        c.sign ^= how & FP_FMA_NEG_ADDEND ? 1 : 0;
        r = fma_finite(f, a, b, c, env);
        if (likely(is_easy(f, r))) {
            ra = pack_easy(f, r, f->frac_bits + 1, env);
            return ra ^ (u128)(how & FP_FMA_NEG_RESULT ? 1 : 0) << (f->bits - 1);
        }
    }
    return fma_any(f, ra, rb, rc, how, env);
}

#define DEFINE(P, T)                                                                           \
    T P##_add(T a, T b, FpEnv *env)                                                            \
    {                                                                                          \
        return P##_of(op_add(&P##_format, P##_raw(a), P##_raw(b), false, env));                \
    }                                                                                          \
    T P##_sub(T a, T b, FpEnv *env)                                                            \
    {                                                                                          \
        return P##_of(op_add(&P##_format, P##_raw(a), P##_raw(b), true, env));                 \
    }                                                                                          \
    T P##_mul(T a, T b, FpEnv *env)                                                            \
    {                                                                                          \
        return P##_of(op_mul(&P##_format, P##_raw(a), P##_raw(b), false, env));                \
    }                                                                                          \
    T P##_div(T a, T b, FpEnv *env)                                                            \
    {                                                                                          \
        return P##_of(op_div(&P##_format, P##_raw(a), P##_raw(b), false, env));                \
    }                                                                                          \
    T P##_sqrt(T a, FpEnv *env)                                                                \
    {                                                                                          \
        return P##_of(op_sqrt(&P##_format, P##_raw(a), env));                                  \
    }                                                                                          \
    T P##_fma(T a, T b, T c, int how, FpEnv *env)                                              \
    {                                                                                          \
        return P##_of(op_fma(&P##_format, P##_raw(a), P##_raw(b), P##_raw(c), how, env));      \
    }

FP_FORMATS(DEFINE)
