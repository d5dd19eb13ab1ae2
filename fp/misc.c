/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions, comparisons and other rarer operations. Spec: IEEE 754-2019, 5.3-5.8. */
#include <limits.h>
#include "num.h"

/* Format to format */

static RARE u128 convert_any(const FpFormat *from, const FpFormat *to, u128 raw, FpEnv *env)
{
    Num a = unpack(from, raw, env);

    if (is_nan(&a)) {
        a = fp_nan_result(&a, NULL, NULL, env);
        if (fp_pack_special(to, a) == fp_pack_special(to, num_make(NUM_INF, a.sign))) {
            a = fp_default_nan(env->rules);         /* the payload was in what is cut off */
        }
    }
    /* Storing an x87 register is no arithmetic: a denormal one is not reported. */
    note_denormals(env, a.denormal && !from->explicit_int);
    return pack(to, a, env);
}

FP_INLINE u128 convert(const FpFormat *from, const FpFormat *to, u128 raw, FpEnv *env)
{
    if (likely(is_normal(from, raw))) {
        Num a = unpack_normal(from, raw);
        if (likely(is_easy(to, a))) {
            return pack_easy(to, a, to->frac_bits + 1, env);
        }
    }
    return convert_any(from, to, raw, env);
}

/* Integers */

static u128 int_lowest(FpIntType type)
{
    return type.is_signed ? ~(u128)0 << (type.bits - 1) : 0;
}

static u128 int_highest(FpIntType type)
{
    return ~(u128)0 >> (128 - type.bits + type.is_signed);
}

static u128 int_truncate(u128 i, FpIntType type)
{
    int n = 128 - type.bits;

    return type.is_signed ? (u128)((FpI128)(i << n) >> n) : i << n >> n;
}

static u128 int_invalid(FpIntType type, FpIntResult what, u128 modulo, FpEnv *env)
{
    fp_invalid(env, FP_WHY_CONVERT);
    switch (what) {
    case FP_INT_MIN:
        return int_lowest(type);
    case FP_INT_MAX:
        return int_highest(type);
    case FP_INT_MODULO:
        return int_truncate(modulo, type);
    default:
        return 0;
    }
}

/* |a| rounded to an integer; false if it has more than 128 bits: then the low ones. */
static bool integral(const Num *a, int round, u128 *i, bool *inexact, bool *up)
{
    int drop = 127 - a->exp;
    Rounded n;

    *inexact = *up = false;
    if (drop <= 0) {
        *i = drop > -128 ? a->frac << -drop : 0;
        return drop == 0;
    }
    n = drop > 127 ? round_at(shift_right_jam(a->frac, drop - 126), 126, a->sign, round)
                   : round_at(a->frac, drop, a->sign, round);
    drop = drop > 127 ? 126 : drop;
    *i = n.frac >> drop | (n.carry ? (u128)1 << (128 - drop) : 0);
    *inexact = n.inexact;
    *up = n.up;
    return true;
}

static RARE u128 to_int_any(const FpFormat *f, u128 raw, FpIntType type, int round, int scale,
                               FpEnv *env)
{
    const FpRules *rules = env->rules;
    Num a = unpack(f, raw, env);
    bool inexact, up, fits, over;
    u128 i, limit;

    if (is_nan(&a)) {
        env->detail |= a.cls == NUM_SNAN ? FP_WHY_SNAN : 0;
        return int_invalid(type, rules->int_nan[type.is_signed], 0, env);
    }
    if (a.cls == NUM_ZERO) {
        return 0;
    }
    a.exp += a.cls == NUM_INF ? 1 << 20 : scale;
    fits = integral(&a, round, &i, &inexact, &up);
    limit = a.sign ? -int_lowest(type) : int_highest(type);
    over = !fits || i > limit;
    i = a.sign ? -i : i;
    if (over) {
        const FpIntResult *what = a.sign ? rules->int_under : rules->int_over;
        return int_invalid(type, what[type.is_signed], i, env);
    }
    note_rounding(env, inexact, up);
    return i;
}

/* The fast path: from 1 to below half the range of the type. */
FP_INLINE u128 to_int(const FpFormat *f, u128 raw, FpIntType type, int round, int scale, FpEnv *env)
{
    Num a = unpack_normal(f, raw);
    Rounded n;
    uint64_t i;

    if (likely(is_normal(f, raw) && scale == 0 && a.exp >= 0 && a.exp < type.bits - 2 &&
               a.exp < 62) && is_narrow(f) && type.is_signed >= a.sign) {
        n = round_at_64(a.frac >> 64, 63 - a.exp, a.sign, round);
        i = (uint64_t)n.frac >> (63 - a.exp) | (uint64_t)n.carry << (a.exp + 1);
        note_rounding(env, n.inexact, n.up);
        return a.sign ? -(u128)i : i;
    }
    return to_int_any(f, raw, type, round, scale, env);
}

static u128 from_int(const FpFormat *f, bool sign, u128 magnitude, int scale, FpEnv *env)
{
    if (magnitude == 0) {
        return 0;
    }
    return pack(f, num_normalise(sign, 127 + scale, magnitude), env);
}

static u128 round_to_int(const FpFormat *f, u128 raw, int round, bool exact, FpEnv *env)
{
    Num a = unpack(f, raw, env);
    bool inexact, up;
    u128 i;

    if (is_nan(&a)) {
        a = fp_nan_result(&a, NULL, NULL, env);
    }
    if (a.cls != NUM_FINITE || a.exp >= f->frac_bits) {
        return pack(f, a, env);
    }
    note_denormals(env, a.denormal && f->explicit_int);     /* SSE does not report it */
    integral(&a, round, &i, &inexact, &up);
    if (exact) {
        note_rounding(env, inexact, up);
    }
    return pack(f, i ? num_normalise(a.sign, 127, i) : num_make(NUM_ZERO, a.sign), env);
}

/* Comparisons */

static int magnitude_rank(const Num *a)
{
    return a->cls == NUM_ZERO ? INT_MIN : a->cls == NUM_INF ? INT_MAX : a->exp;
}

static FpOrder magnitude_order(const Num *a, const Num *b)
{
    int i = magnitude_rank(a), j = magnitude_rank(b);

    if (i != j) {
        return i < j ? FP_LESS : FP_GREATER;
    }
    return a->frac < b->frac ? FP_LESS : a->frac > b->frac ? FP_GREATER : FP_EQUAL;
}

static FpOrder order_of(const Num *a, const Num *b)
{
    FpOrder order = magnitude_order(a, b);

    if (a->cls == NUM_ZERO && b->cls == NUM_ZERO) {
        return FP_EQUAL;
    }
    if (a->sign != b->sign) {
        return a->sign ? FP_LESS : FP_GREATER;
    }
    return a->sign ? -order : order;
}

/* Flags of a comparison; true if unordered. */
static bool compare_nans(const Num *a, const Num *b, bool signalling, FpEnv *env)
{
    NumClass worst = a->cls > b->cls ? a->cls : b->cls;

    if (worst < NUM_QNAN) {
        note_denormals(env, a->denormal || b->denormal);
        return false;
    }
    if (worst > NUM_QNAN) {
        fp_invalid(env, worst == NUM_BAD ? FP_WHY_ENCODING : FP_WHY_SNAN);
    }
    if (signalling) {
        fp_invalid(env, FP_WHY_COMPARE);
    }
    return true;
}

static RARE FpOrder compare_any(const FpFormat *f, u128 ra, u128 rb, bool signalling, FpEnv *env)
{
    Num a = unpack(f, ra, env), b = unpack(f, rb, env);

    return compare_nans(&a, &b, signalling, env) ? FP_UNORDERED : order_of(&a, &b);
}

FP_INLINE FpOrder compare(const FpFormat *f, u128 ra, u128 rb, bool signalling, FpEnv *env)
{
    if (f->bits <= 64 && likely(is_normal(f, ra) && is_normal(f, rb))) {
        uint64_t sign = (uint64_t)1 << (f->bits - 1), a = ra, b = rb;
        a = a & sign ? sign - a : a;            /* in the order of signed numbers */
        b = b & sign ? sign - b : b;
        return (int64_t)a < (int64_t)b ? FP_LESS : a != b;
    }
    return compare_any(f, ra, rb, signalling, env);
}

/* A NaN among the operands of minimum or maximum, by any flavour but x86's. */
static Num minmax_nan(const Num *a, const Num *b, int flavour, FpEnv *env)
{
    const Num *number = is_nan(a) ? b : a;
    bool snan = a->cls > NUM_QNAN || b->cls > NUM_QNAN;

    if (is_nan(number) || flavour == FP_MINMAX_NAN || (flavour == FP_MINMAX_NUM_2008 && snan)) {
        return fp_nan_result(a, b, NULL, env);
    }
    if (snan) {
        fp_invalid(env, FP_WHY_SNAN);
    }
    note_denormals(env, number->denormal);
    return *number;
}

static u128 minmax(const FpFormat *f, u128 ra, u128 rb, bool max, int flavour, FpEnv *env)
{
    FpEnv plain = { .rules = env->rules };          /* the result is not flushed */
    Num a = unpack(f, ra, env), b = unpack(f, rb, env);
    bool magnitude = flavour & FP_MINMAX_MAGNITUDE, x86 = flavour == FP_MINMAX_X86;
    FpOrder order;

    flavour &= ~FP_MINMAX_MAGNITUDE;
    if (x86 && compare_nans(&a, &b, true, env)) {
        return b.cls == NUM_ZERO ? fp_pack_special(f, b) : rb;
    }
    if (!x86 && (is_nan(&a) || is_nan(&b))) {
        return pack(f, minmax_nan(&a, &b, flavour, env), &plain);
    }
    if (!x86) {
        note_denormals(env, a.denormal || b.denormal);
    }
    order = magnitude ? magnitude_order(&a, &b) : FP_EQUAL;
    if (order == FP_EQUAL) {
        order = order_of(&a, &b);
    }
    if (order == FP_EQUAL && !x86) {        /* -0 is less than +0 */
        order = a.sign ? FP_LESS : FP_GREATER;
    }
    return pack(f, order == (max ? FP_GREATER : FP_LESS) ? a : b, &plain);
}

static NumClass raw_class(const FpFormat *f, u128 raw)
{
    FpEnv env = { .rules = &fp_rules_sse };
    Num a = unpack(f, raw, &env);

    return a.cls == NUM_SNAN ? NUM_QNAN : a.cls;
}

static FpClass classify(const FpFormat *f, u128 raw, const FpRules *rules)
{
    static const FpClass classes[] = {
        [NUM_FINITE] = FP_CLASS_NORMAL, [NUM_ZERO] = FP_CLASS_ZERO, [NUM_INF] = FP_CLASS_INF,
        [NUM_QNAN] = FP_CLASS_QNAN, [NUM_SNAN] = FP_CLASS_SNAN, [NUM_BAD] = FP_CLASS_UNSUPPORTED,
    };
    FpEnv env = { .rules = rules };
    Num a = unpack(f, raw, &env);

    return a.denormal ? FP_CLASS_DENORMAL : classes[a.cls];
}

static u128 quiet(const FpFormat *f, u128 raw, FpEnv *env)
{
    FpEnv plain = { .rules = env->rules };
    Num a = unpack(f, raw, &plain);

    if (!is_nan(&a)) {
        return raw;
    }
    a = fp_nan_result(&a, NULL, NULL, env);
    return fp_pack_special(f, a);
}

/* Scaling */

static u128 scale_by(const FpFormat *f, u128 raw, int n, FpEnv *env)
{
    const int limit = 1 << 17;          /* beyond any format's range, far from overflow */
    Num a = unpack(f, raw, env);

    if (is_nan(&a)) {
        a = fp_nan_result(&a, NULL, NULL, env);
    }
    note_denormals(env, a.denormal);
    a.exp += n > limit ? limit : n < -limit ? -limit : n;
    return pack(f, a, env);
}

static u128 exponent_of(const FpFormat *f, u128 raw, FpEnv *env)
{
    Num a = unpack(f, raw, env);

    if (a.cls == NUM_FINITE) {
        note_denormals(env, a.denormal);
        return from_int(f, a.exp < 0, a.exp < 0 ? -a.exp : a.exp, 0, env);
    }
    if (is_nan(&a)) {
        a = fp_nan_result(&a, NULL, NULL, env);
    } else {
        env->flags |= a.cls == NUM_ZERO ? FP_DIVZERO : 0;
        a = num_make(NUM_INF, a.cls == NUM_ZERO);
    }
    return fp_pack_special(f, a);
}

#define DEFINE(P, T)                                                                           \
    T P##_round_to_int(T a, FpRound round, bool exact, FpEnv *env)                             \
    {                                                                                          \
        return P##_of(round_to_int(&P##_format, P##_raw(a), round, exact, env));               \
    }                                                                                          \
    T P##_scalbn(T a, int n, FpEnv *env)                                                       \
    {                                                                                          \
        return P##_of(scale_by(&P##_format, P##_raw(a), n, env));                                \
    }                                                                                          \
    T P##_logb(T a, FpEnv *env)                                                                \
    {                                                                                          \
        return P##_of(exponent_of(&P##_format, P##_raw(a), env));                              \
    }                                                                                          \
    FpOrder P##_compare(T a, T b, FpEnv *env)                                                  \
    {                                                                                          \
        return compare(&P##_format, P##_raw(a), P##_raw(b), false, env);                       \
    }                                                                                          \
    FpOrder P##_compare_signalling(T a, T b, FpEnv *env)                                       \
    {                                                                                          \
        return compare(&P##_format, P##_raw(a), P##_raw(b), true, env);                        \
    }                                                                                          \
    T P##_min(T a, T b, FpMinMax flavour, FpEnv *env)                                          \
    {                                                                                          \
        return P##_of(minmax(&P##_format, P##_raw(a), P##_raw(b), false, flavour, env));       \
    }                                                                                          \
    T P##_max(T a, T b, FpMinMax flavour, FpEnv *env)                                          \
    {                                                                                          \
        return P##_of(minmax(&P##_format, P##_raw(a), P##_raw(b), true, flavour, env));        \
    }                                                                                          \
    FpClass P##_classify(T a, const FpRules *rules)                                            \
    {                                                                                          \
        return classify(&P##_format, P##_raw(a), rules);                                       \
    }                                                                                          \
    bool P##_is_nan(T a) { return raw_class(&P##_format, P##_raw(a)) == NUM_QNAN; }            \
    bool P##_is_inf(T a) { return raw_class(&P##_format, P##_raw(a)) == NUM_INF; }             \
    bool P##_is_zero(T a) { return raw_class(&P##_format, P##_raw(a)) == NUM_ZERO; }           \
    bool P##_sign(T a) { return P##_raw(a) >> (P##_format.bits - 1) & 1; }                     \
    T P##_neg(T a) { return P##_of(P##_raw(a) ^ SIGN(P)); }                                    \
    T P##_abs(T a) { return P##_of(P##_raw(a) & ~SIGN(P)); }                                   \
    T P##_quiet(T a, FpEnv *env) { return P##_of(quiet(&P##_format, P##_raw(a), env)); }       \
    T P##_default_nan(const FpRules *rules)                                                    \
    {                                                                                          \
        Num nan = fp_default_nan(rules);                                                       \
        return P##_of(fp_pack_special(&P##_format, nan));                                     \
    }                                                                                          \
    FpU128 P##_to_int(T a, FpIntType type, FpRound round, int scale, FpEnv *env)               \
    {                                                                                          \
        return to_int(&P##_format, P##_raw(a), type, round, scale, env);                       \
    }                                                                                          \
    T P##_from_int(FpI128 i, int scale, FpEnv *env)                                            \
    {                                                                                          \
        return P##_of(from_int(&P##_format, i < 0, i < 0 ? -(u128)i : (u128)i, scale, env));   \
    }                                                                                          \
    T P##_from_uint(FpU128 i, int scale, FpEnv *env)                                           \
    {                                                                                          \
        return P##_of(from_int(&P##_format, false, i, scale, env));                            \
    }
#define SIGN(P) ((u128)1 << (P##_format.bits - 1))

FP_FORMATS(DEFINE)

#define DEFINE_CONVERT(P, T, Q, U)                                                             \
    U P##_to_##Q(T a, FpEnv *env)                                                              \
    {                                                                                          \
        return Q##_of(convert(&P##_format, &Q##_format, P##_raw(a), env));                     \
    }
FP_PAIRS(DEFINE_CONVERT)
