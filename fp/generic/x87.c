/* SPDX-License-Identifier: Apache-2.0 */
/* x87 transcendental functions for hosts without one. Spec: Intel SDM 1, 8.3.10; SDM 2, FPATAN.. */
#include "fp/num.h"

/*
 * Computed in binary128 by our own operations, so that every host gives the same bits: arguments
 * are reduced until a Taylor series of some 15 to 30 terms is exact to about 110 bits, and the
 * result is rounded to 64. That is correct rounding but for about one argument in 2^45. As on the
 * x87, angles are reduced by a pi of 66 bits, and whatever is not a special case is inexact.
 */

static const Fp128 one = { 0, 0x3fffull << 48 };
static const Fp128 pi = { 0x8469898cc51701b8, 0x4000921fb54442d1 };
static const Fp128 pi_66 = { 0x8469800000000000, 0x4000921fb54442d1 };
static const Fp128 ln2 = { 0xf35793c7673007e6, 0x3ffe62e42fefa39e };

/* Working arithmetic: nearest, flags of no interest. */
#define WORK &(FpEnv){ .rules = &fp_rules_x87 }
static Fp128 add(Fp128 a, Fp128 b) { return fp128_add(a, b, WORK); }
static Fp128 sub(Fp128 a, Fp128 b) { return fp128_sub(a, b, WORK); }
static Fp128 mul(Fp128 a, Fp128 b) { return fp128_mul(a, b, WORK); }
static Fp128 over(Fp128 a, Fp128 b) { return fp128_div(a, b, WORK); }
static Fp128 scale(Fp128 a, int n) { return fp128_scalbn(a, n, WORK); }
static Fp128 from(int i) { return fp128_from_i32(i, WORK); }
static Fp128 from_num(Num a) { return fp128_of(pack(&fp128_format, a, WORK)); }
static Fp128 wide(Fp80 a) { return fp80_to_fp128(a, WORK); }
static Fp128 signed_like(Fp128 a, bool sign) { return sign ? fp128_neg(a) : a; }
static bool less(Fp128 a, Fp128 b) { return fp128_compare(a, b, WORK) == FP_LESS; }

static Num load(Fp80 a)
{
    return unpack(&fp80_format, fp80_raw(a), WORK);
}

static Fp80 store(Num r)
{
    return fp80_of(fp_pack_special(&fp80_format, r));
}

static Fp80 zero(bool sign) { return store(num_make(NUM_ZERO, sign)); }
static Fp80 infinity(bool sign) { return store(num_make(NUM_INF, sign)); }
static Fp80 invalid(FpEnv *env, int why) { return store(fp_invalid(env, why)); }

/* The rounded result of a function that is never exact. */
static Fp80 finish(Fp128 r, FpEnv *env)
{
    FpEnv last = { .rules = env->rules, .round = env->round };
    Fp80 out = fp128_to_fp80(r, &last);

    env->flags |= (last.flags & ~FP_DENORMAL) | FP_INEXACT;
    env->flags |= (out.se & 0x7fff) == 0 && !(out.frac >> 63) ? FP_UNDERFLOW : 0;
    env->detail |= last.detail | FP_FRACTION_ROUNDED;
    return out;
}

/* op(a, b) with nothing lost that the last rounding needs, also at the ends of the range. */
static Fp128 sticky(Fp128 (*op)(Fp128 a, Fp128 b, FpEnv *env), Fp128 a, Fp128 b, FpEnv *env)
{
    FpEnv odd = { .rules = env->rules, .round = FP_ROUND_ODD };
    Fp128 r = op(a, b, &odd);

    env->flags |= odd.flags & FP_OVERFLOW;
    return r;
}

/* A series whose second term was too small to be seen: a direction for the last rounding. */
static Fp128 nudge(Fp128 r, Fp128 first, int by)
{
    return fp128_compare(r, first, WORK) == FP_EQUAL ? fp128_of(fp128_raw(r) + by) : r;
}

/* 1/1 x - 1/3 x^3 + 1/5 x^5 ..; with `sign` +1 all terms are added. */
static Fp128 odd_series(Fp128 x, int sign)
{
    Fp128 square = signed_like(mul(x, x), sign < 0), power = x, sum = x;

    for (int i = 3; i < 60; i += 2) {
        power = mul(power, square);
        sum = add(sum, over(power, from(i)));
    }
    return sum;
}

/* e^x - 1, |x| <= 0.7. Halved six times, then by (1 + e)^2 - 1 = e * (e + 2). */
static Fp128 exp_minus_1(Fp128 x)
{
    Fp128 small = scale(x, -6), term = small, sum = small;

    for (int i = 2; i < 17; i++) {
        term = over(mul(term, small), from(i));
        sum = add(sum, term);
    }
    for (int i = 0; i < 6; i++) {
        sum = mul(sum, add(sum, from(2)));
    }
    return sum;
}

/* log2((1 + s) / (1 - s)), |s| <= 0.2 */
static Fp128 log2_ratio(Fp128 s)
{
    return over(scale(odd_series(s, 1), 1), ln2);
}

/* log2(x), x > 0: the mantissa is taken from 0.7 to 1.4. */
static Fp128 log2_of(Fp128 x)
{
    Num n = unpack(&fp128_format, fp128_raw(x), WORK);
    int exp = n.exp + (n.frac >> 124 >= 12);
    Fp128 m;

    n.exp -= exp;
    m = from_num(n);
    return add(from(exp), log2_ratio(over(sub(m, one), add(m, one))));
}

/* log2(1 + x), x > -1 */
static Fp128 log2_of_1_plus(Fp128 x)
{
    if (less(fp128_abs(x), scale(one, -2))) {
        return log2_ratio(over(x, add(x, from(2))));
    }
    return log2_of(add(one, x));
}

/* The angle of a vector in the first octant, t = y / x <= 1. Halved three times. */
static Fp128 atan_small(Fp128 t)
{
    for (int i = 0; i < 3; i++) {
        Fp128 hypot = fp128_sqrt(add(one, mul(t, t)), WORK);
        t = over(t, add(one, hypot));
    }
    return scale(odd_series(t, -1), 3);
}

/* sin(r) or cos(r), |r| <= pi / 4. */
static Fp128 sine_series(Fp128 r, bool cosine)
{
    Fp128 square = fp128_neg(mul(r, r)), term = cosine ? one : r, sum = term;

    for (int i = cosine ? 1 : 2; i < 34; i += 2) {
        term = over(mul(term, square), from(i * (i + 1)));
        sum = add(sum, term);
    }
    return nudge(sum, cosine ? one : r, -1);
}

/* x less quadrant * pi / 2, at most pi / 4 in magnitude and exact. */
static Fp128 reduce_angle(Fp128 x, int *quadrant)
{
    Fp128 half = scale(pi_66, -1), r = fp128_rem(x, scale(pi_66, 1), WORK);
    int n = fp128_to_i32(over(r, half), FP_ROUND_NEAREST_EVEN, WORK);

    *quadrant = n & 3;
    return fp128_fma(fp128_neg(half), from(n), r, 0, WORK);
}

typedef struct Circle {
    Fp128 sine, cosine;
} Circle;

static Circle circle(Fp80 st0)
{
    int quadrant;
    Fp128 r = reduce_angle(wide(st0), &quadrant);
    Fp128 s = sine_series(r, false), c = sine_series(r, true);
    const Circle turned[] = {
        { s, c }, { c, fp128_neg(s) }, { fp128_neg(s), fp128_neg(c) }, { fp128_neg(c), s },
    };
    return turned[quadrant];
}

typedef enum Angle { ANGLE_SPECIAL, ANGLE_FINITE, ANGLE_TOO_LARGE } Angle;

/* A NaN or infinity gives *nan; a zero remains ANGLE_SPECIAL with *nan being the zero. */
static Angle check_angle(Fp80 st0, Fp80 *nan, FpEnv *env)
{
    Num a = load(st0);

    if (is_nan(&a)) {
        *nan = store(fp_nan_result(&a, NULL, NULL, env));
    } else if (a.cls == NUM_INF) {
        *nan = invalid(env, 0);
    } else if (a.cls == NUM_ZERO) {
        *nan = st0;
    } else {
        if (a.exp >= 63) {
            return ANGLE_TOO_LARGE;
        }
        note_denormals(env, a.denormal);
        return ANGLE_FINITE;
    }
    return ANGLE_SPECIAL;
}

bool fp80_sincos(Fp80 st0, Fp80 *sine, Fp80 *cosine, FpEnv *env)
{
    Circle c;

    switch (check_angle(st0, sine, env)) {
    case ANGLE_TOO_LARGE:
        return false;
    case ANGLE_SPECIAL:
        *cosine = fp80_is_zero(*sine) ? fp80_from_i32(1, WORK) : *sine;
        return true;
    default:
        c = circle(st0);
        *cosine = finish(c.cosine, env);
        *sine = finish(c.sine, env);
        return true;
    }
}

/* Only the flags of the result that is asked for count. */
bool fp80_sin(Fp80 st0, Fp80 *result, FpEnv *env)
{
    Angle angle = check_angle(st0, result, env);

    if (angle == ANGLE_FINITE) {
        *result = finish(circle(st0).sine, env);
    }
    return angle != ANGLE_TOO_LARGE;
}

bool fp80_cos(Fp80 st0, Fp80 *result, FpEnv *env)
{
    Angle angle = check_angle(st0, result, env);

    if (angle == ANGLE_FINITE) {
        *result = finish(circle(st0).cosine, env);
    } else if (angle == ANGLE_SPECIAL && fp80_is_zero(*result)) {
        *result = fp80_from_i32(1, WORK);
    }
    return angle != ANGLE_TOO_LARGE;
}

bool fp80_tan(Fp80 st0, Fp80 *result, Fp80 *unit, FpEnv *env)
{
    Angle angle = check_angle(st0, result, env);

    if (angle == ANGLE_FINITE) {
        Circle c = circle(st0);
        bool tiny = load(st0).exp < -56;                /* the tangent is a bit more than st0 */
        *result = finish(tiny ? nudge(wide(st0), wide(st0), 1) : over(c.sine, c.cosine), env);
    }
    if (angle != ANGLE_TOO_LARGE) {
        *unit = fp80_is_nan(*result) ? *result : fp80_from_i32(1, WORK);
    }
    return angle != ANGLE_TOO_LARGE;
}

/* Outside -1..1, where the result is undefined, the operand comes back. */
Fp80 fp80_f2xm1(Fp80 st0, FpEnv *env)
{
    Num a = load(st0);

    if (is_nan(&a)) {
        return store(fp_nan_result(&a, NULL, NULL, env));
    }
    if (a.cls == NUM_INF) {
        return a.sign ? fp80_from_i32(-1, WORK) : st0;
    }
    if (a.cls == NUM_ZERO) {
        return st0;
    }
    note_denormals(env, a.denormal);
    if (a.exp > 0 || (a.exp == 0 && a.frac != TOP)) {
        note_rounding(env, true, false);
        return st0;
    }
    return finish(a.exp < -16000 ? sticky(fp128_mul, wide(st0), ln2, env)
                                 : exp_minus_1(mul(wide(st0), ln2)), env);
}

/* y * log for operands that are not both ordinary: `log` is the logarithm's class and sign. */
static Fp80 special_product(Num log, Num y, FpEnv *env)
{
    bool sign = log.sign ^ y.sign;

    if ((log.cls == NUM_INF && y.cls == NUM_ZERO) || (log.cls == NUM_ZERO && y.cls == NUM_INF)) {
        return invalid(env, FP_WHY_INF_ZERO);
    }
    note_denormals(env, log.denormal || y.denormal);
    return log.cls == NUM_INF || y.cls == NUM_INF ? infinity(sign) : zero(sign);
}

Fp80 fp80_yl2x(Fp80 st0, Fp80 st1, FpEnv *env)
{
    Num x = load(st0), y = load(st1), log = num_make(NUM_FINITE, x.exp < 0);
    bool is_one = x.cls == NUM_FINITE && x.exp == 0 && x.frac == TOP;

    if (is_nan(&x) || is_nan(&y)) {
        return store(fp_nan_result(&x, &y, NULL, env));
    }
    if (x.sign && x.cls != NUM_ZERO) {
        return invalid(env, 0);
    }
    log.denormal = x.denormal;
    if (x.cls == NUM_ZERO) {
        log = num_make(NUM_INF, true);
        if (y.cls == NUM_FINITE) {
            env->flags |= FP_DIVZERO;
            return infinity(!y.sign);
        }
    } else if (x.cls == NUM_INF) {
        log.cls = NUM_INF;
    } else if (is_one) {
        log.cls = NUM_ZERO;
    }
    if (log.cls != NUM_FINITE || y.cls != NUM_FINITE) {
        return special_product(log, y, env);
    }
    note_denormals(env, x.denormal || y.denormal);
    return finish(sticky(fp128_mul, log2_of(wide(st0)), wide(st1), env), env);
}

/* x * y / ln 2, computed between 1 and 8 because any part of it may be out of range. */
static Fp128 tiny_log_product(Num x, Num y, FpEnv *env)
{
    FpEnv odd = { .rules = env->rules, .round = FP_ROUND_ODD };
    int exp = x.exp + y.exp;

    x.exp = y.exp = 0;
    return fp128_scalbn(over(mul(from_num(x), from_num(y)), ln2), exp, &odd);
}

/* For st0 <= -1, where there is no result, st0 comes back. */
Fp80 fp80_yl2xp1(Fp80 st0, Fp80 st1, FpEnv *env)
{
    Num x = load(st0), y = load(st1);

    if (is_nan(&x) || is_nan(&y)) {
        return store(fp_nan_result(&x, &y, NULL, env));
    }
    if (x.cls == NUM_INF && x.sign) {
        return invalid(env, 0);
    }
    if (x.cls != NUM_FINITE || y.cls != NUM_FINITE) {
        return special_product(x, y, env);
    }
    note_denormals(env, x.denormal || y.denormal);
    if (x.sign && x.exp >= 0) {
        note_rounding(env, true, false);
        return st0;
    }
    if (x.exp < -120) {                 /* log2(1 + x) = x / ln 2 */
        return finish(tiny_log_product(x, y, env), env);
    }
    return finish(sticky(fp128_mul, log2_of_1_plus(wide(st0)), wide(st1), env), env);
}

/* The angle's multiple of pi / 4 if a coordinate is zero or infinite; -1: zero. */
static int patan_special(Num x, Num y)
{
    if (y.cls == NUM_ZERO || (x.cls == NUM_INF && y.cls != NUM_INF)) {
        return x.sign ? 4 : -1;
    }
    if (x.cls == NUM_INF) {
        return x.sign ? 3 : 1;
    }
    return 2;
}

Fp80 fp80_patan(Fp80 st0, Fp80 st1, FpEnv *env)
{
    Num x = load(st0), y = load(st1);
    Fp128 a = fp128_abs(wide(st0)), b = fp128_abs(wide(st1)), angle;
    bool steep = less(a, b);

    if (is_nan(&x) || is_nan(&y)) {
        return store(fp_nan_result(&x, &y, NULL, env));
    }
    note_denormals(env, x.denormal || y.denormal);
    if (x.cls != NUM_FINITE || y.cls != NUM_FINITE) {
        int n = patan_special(x, y);
        return n < 0 ? zero(y.sign) : finish(signed_like(scale(mul(pi, from(n)), -2), y.sign), env);
    }
    angle = steep ? sticky(fp128_div, a, b, env) : sticky(fp128_div, b, a, env);
    angle = nudge(y.exp - x.exp < -60 ? angle : atan_small(angle), angle, -1);
    angle = steep ? sub(scale(pi, -1), angle) : angle;
    angle = x.sign ? sub(pi, angle) : angle;
    return finish(signed_like(angle, y.sign), env);
}
