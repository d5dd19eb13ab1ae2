/* SPDX-License-Identifier: Apache-2.0 */
/* Rare cases of unpacking and packing, NaNs. Spec: IEEE 754-2019, 6.2 and 7; Intel SDM 1, 4.8. */
#include "num.h"

static bool snan_bit_means_snan(const FpRules *rules, u128 frac)
{
    return (bool)(frac & TOP >> 1) == rules->snan_bit_set;
}

static Num unpack_denormal(const FpFormat *f, bool sign, u128 frac, FpEnv *env)
{
    Num r;

    if (frac == 0) {
        return num_make(NUM_ZERO, sign);
    }
    if (env->daz) {
        env->flags |= env->rules->denormal == FP_DENORMAL_FLUSHED ? FP_DENORMAL : 0;
        return num_make(NUM_ZERO, sign);
    }
    r = num_normalise(sign, 1 - format_bias(f), frac);
    r.denormal = true;
    return r;
}

/* Whatever has the lowest or highest exponent, or the wrong integer bit. */
Num fp_unpack_special(const FpFormat *f, u128 raw, FpEnv *env)
{
    int stored = f->frac_bits + f->explicit_int;
    int exp = (int)(raw >> stored) & format_exp_max(f);
    u128 frac = raw << (128 - stored) >> !f->explicit_int;
    bool sign = raw >> (f->bits - 1) & 1;
    Num r = num_make(NUM_INF, sign);

    if (exp == 0) {
        return unpack_denormal(f, sign, frac, env);
    }
    if (f->explicit_int && !(frac & TOP)) {
        r.cls = NUM_BAD;
        return r;
    }
    if (frac << 1) {
        r.cls = snan_bit_means_snan(env->rules, frac) ? NUM_SNAN : NUM_QNAN;
        r.frac = frac | TOP;
    }
    return r;
}

/* Infinity or, where the rounding direction forbids it, the largest number of the precision. If
   it traps it is inexact only if it were without a limit to the exponent; likewise if tiny. */
static u128 pack_overflow(const FpFormat *f, bool sign, int prec, bool inexact, FpEnv *env)
{
    int max = format_exp_max(f), mode = env->round;
    bool inf = mode == FP_ROUND_NEAREST_EVEN || mode == FP_ROUND_NEAREST_AWAY ||
               mode == (sign ? FP_ROUND_DOWN : FP_ROUND_UP);

    inexact |= !(env->unmasked & FP_OVERFLOW);
    env->flags |= FP_OVERFLOW | (inexact ? FP_INEXACT : 0);
    env->detail |= inf ? FP_ROUNDED_UP : 0;
    return inf ? join(f, sign, max, TOP) : join(f, sign, max - 1, ~(u128)0 << (128 - prec));
}

static u128 pack_tiny(const FpFormat *f, Num r, int prec, FpEnv *env)
{
    int exp = r.exp + format_bias(f), drop = 128 - prec;
    bool trap = env->unmasked & FP_UNDERFLOW, tiny = true;
    Rounded n;

    if (exp == 0 && !env->rules->tiny_before) {
        tiny = !round_at(r.frac, drop, r.sign, env->round).carry;
    }
    if (tiny && env->ftz && !trap) {
        env->flags |= FP_UNDERFLOW | (env->rules->ftz_silent_inexact ? 0 : FP_INEXACT);
        return join(f, r.sign, 0, 0);
    }
    n = round_at(shift_right_jam(r.frac, 1 - exp), drop, r.sign, env->round);
    env->flags |= tiny && (n.inexact || trap) ? FP_UNDERFLOW : 0;
    n.inexact = tiny && trap ? round_at(r.frac, drop, r.sign, env->round).inexact : n.inexact;
    note_rounding(env, n.inexact, n.up);
    return join(f, r.sign, n.frac >> 127, n.frac);
}

/* For guests whose trap handlers want the result with its exponent brought back into range. What
   no wrapping brings back (by FSCALE) becomes infinity or zero. */
static bool pack_wrapped(const FpFormat *f, Num r, int prec, FpEnv *env, u128 *raw)
{
    Rounded n = round_at(r.frac, 128 - prec, r.sign, env->round);
    int exp = r.exp + format_bias(f) + n.carry, by = 3 << (f->exp_bits - 2);
    int max = format_exp_max(f), early = n.carry && env->rules->tiny_before;
    int flag = exp >= max ? FP_OVERFLOW : exp - early <= 0 ? FP_UNDERFLOW : 0;

    if (!env->rules->wrap || !(env->unmasked & flag)) {
        return false;
    }
    exp += flag == FP_OVERFLOW ? -by : by;
    env->flags |= flag;
    if (exp <= 0 || exp >= max) {
        note_rounding(env, true, exp >= max);
        *raw = join(f, r.sign, exp <= 0 ? 0 : max, exp <= 0 ? 0 : TOP);
        return true;
    }
    note_rounding(env, n.inexact, n.up);
    *raw = join(f, r.sign, exp, n.frac | (n.carry ? TOP : 0));
    return true;
}

/* Finite results near or beyond the ends of the exponent range. */
u128 fp_pack_edge(const FpFormat *f, Num r, int prec, FpEnv *env)
{
    int exp = r.exp + format_bias(f);
    Rounded n;
    u128 raw;

    if (env->unmasked && pack_wrapped(f, r, prec, env, &raw)) {
        return raw;
    }
    if (exp <= 0) {
        return pack_tiny(f, r, prec, env);
    }
    n = round_at(r.frac, 128 - prec, r.sign, env->round);
    if (exp + n.carry >= format_exp_max(f)) {
        return pack_overflow(f, r.sign, prec, n.inexact, env);
    }
    note_rounding(env, n.inexact, n.up);
    return join(f, r.sign, exp + n.carry, n.frac | (n.carry ? TOP : 0));
}

/* A NaN's payload is cut to the format's width. */
u128 fp_pack_special(const FpFormat *f, Num r)
{
    if (r.cls == NUM_ZERO) {
        return join(f, r.sign, 0, 0);
    }
    return join(f, r.sign, format_exp_max(f), TOP | (is_nan(&r) ? r.frac : 0));
}

Num fp_default_nan(const FpRules *rules)
{
    u128 frac = (u128)rules->default_nan_frac << 119;

    frac |= rules->default_nan_frac & 1 ? ((u128)1 << 119) - 1 : 0;
    return (Num){ .cls = NUM_QNAN, .sign = rules->default_nan_sign, .frac = TOP | frac };
}

Num fp_invalid(FpEnv *env, int why)
{
    env->flags |= FP_INVALID;
    env->detail |= why;
    return fp_default_nan(env->rules);
}

void fp_note_denormal(FpEnv *env)
{
    env->flags |= env->rules->denormal == FP_DENORMAL_USED ? FP_DENORMAL : 0;
}

static Num quiet(const Num *a, const FpRules *rules)
{
    Num r = *a;

    if (a->cls == NUM_SNAN) {
        if (rules->snan_to_default) {
            return fp_default_nan(rules);
        }
        r.cls = NUM_QNAN;
        r.frac = rules->snan_bit_set ? (a->frac & ~(TOP >> 1)) | TOP >> 2 : a->frac | TOP >> 1;
    }
    return r;
}

static const Num *pick_by_order(const Num *const operand[3], const char *order, NumClass from)
{
    for (; *order; order++) {
        const Num *a = operand[*order - 'a'];
        if (a->cls >= from) {
            return a;
        }
    }
    return NULL;
}

/* x87: of two NaNs of one kind the larger significand, then the positive one; else the quiet. */
static const Num *pick_by_significand(const Num *a, const Num *b)
{
    if (!is_nan(a) || !is_nan(b)) {
        return is_nan(a) ? a : b;
    }
    if (a->cls != b->cls) {
        return a->cls == NUM_QNAN ? a : b;
    }
    if (a->frac != b->frac) {
        return a->frac > b->frac ? a : b;
    }
    return a->sign ? b : a;
}

/* One operand at least is a NaN or no number at all; b and c may be NULL. */
Num fp_nan_result(const Num *a, const Num *b, const Num *c, FpEnv *env)
{
    static const Num none = { .cls = NUM_ZERO };
    const FpRules *rules = env->rules;
    const Num *const operand[3] = { a, b ? b : &none, c ? c : &none }, *pick = NULL;
    const char *order = c ? rules->nan3 : rules->nan2;
    NumClass worst = NUM_ZERO;

    for (int i = 0; i < 3; i++) {
        worst = operand[i]->cls > worst ? operand[i]->cls : worst;
    }
    if (worst == NUM_BAD) {
        return fp_invalid(env, FP_WHY_ENCODING);
    }
    if (worst == NUM_SNAN) {
        fp_invalid(env, FP_WHY_SNAN);
    }
    if (rules->nan_default || env->default_nan) {
        return fp_default_nan(rules);
    }
    if (rules->nan_by_significand) {
        pick = pick_by_significand(a, operand[1]);
    } else {
        pick = rules->snan_first ? pick_by_order(operand, order, NUM_SNAN) : NULL;
        pick = pick ? pick : pick_by_order(operand, order, NUM_QNAN);
    }
    return quiet(pick, rules);
}
