/* SPDX-License-Identifier: Apache-2.0 */
/* Binary128 against gcc's __float128; remainders against libquadmath and the host's x87. */
#include <fenv.h>
#include <math.h>
#include <quadmath.h>
#include <string.h>
#include <xmmintrin.h>
#include "fp/testgen.h"

#pragma GCC optimize("rounding-math", "trapping-math")

/* Values pass as bit patterns. All NaN results are equal: the oracle has rules of its own. */
typedef struct Case {
    u128 a, b, c;
    FpEnv env;
} Case;

typedef u128 Run(Case *x);

typedef struct Row {
    const char *name;
    const FpFormat *format[3], *result;
    Run *host, *ours;
    unsigned flags;             /* that the oracle gets right */
    bool exact;                 /* the oracle needs rounding to nearest for a zero's sign */
} Row;

#define FLAGS (FP_INVALID | FP_DIVZERO | FP_OVERFLOW | FP_UNDERFLOW | FP_INEXACT)

static __float128 quad(u128 raw)
{
    __float128 q;
    memcpy(&q, &raw, sizeof(q));
    return q;
}
static double dbl(u128 raw)
{
    uint64_t low = raw;
    double d;
    memcpy(&d, &low, sizeof(d));
    return d;
}
static float flt(u128 raw)
{
    uint32_t low = raw;
    float f;
    memcpy(&f, &low, sizeof(f));
    return f;
}
static long double ext(u128 raw)
{
    long double e;
    memcpy(&e, &raw, 10);
    return e;
}
static u128 raw_of(const void *p, size_t n)
{
    u128 raw = 0;
    memcpy(&raw, p, n);
    return raw;
}
/* glibc 2.36's remainder() may lose the sign of a zero. */
static long double x87_remainder(long double a, long double b)
{
    uint16_t status;

    do {
        __asm__("fprem1\n\tfnstsw %1" : "+t"(a), "=a"(status) : "u"(b));
    } while (status & 0x400);
    return a;
}
#define Q(a) fp128_of(a)
#define HOST(NAME, T, SIZE, EXPR)                                                              \
    static u128 NAME##_host(Case *x)                                                           \
    {                                                                                          \
        volatile T r = EXPR;                                                                   \
        return raw_of((const void *)&r, SIZE);                                                 \
    }
#define OP(NAME, T, SIZE, EXPR, RAW, OURS)                                                     \
    HOST(NAME, T, SIZE, EXPR)                                                                  \
    static u128 NAME##_ours(Case *x)                                                           \
    {                                                                                          \
        FpEnv *env = &x->env;                                                                  \
        return RAW(OURS);                                                                      \
    }
#define QUAD(NAME, EXPR, OURS) OP(NAME, __float128, 16, EXPR, fp128_raw, OURS)

QUAD(add, quad(x->a) + quad(x->b), fp128_add(Q(x->a), Q(x->b), env))
QUAD(sub, quad(x->a) - quad(x->b), fp128_sub(Q(x->a), Q(x->b), env))
QUAD(mul, quad(x->a) * quad(x->b), fp128_mul(Q(x->a), Q(x->b), env))
QUAD(div, quad(x->a) / quad(x->b), fp128_div(Q(x->a), Q(x->b), env))
QUAD(fma, fmaq(quad(x->a), quad(x->b), quad(x->c)),
     fp128_fma(Q(x->a), Q(x->b), Q(x->c), 0, env))
QUAD(rem, remainderq(quad(x->a), quad(x->b)), fp128_rem(Q(x->a), Q(x->b), env))
QUAD(rint, rintq(quad(x->a)), fp128_round_to_int(Q(x->a), env->round, true, env))
QUAD(from64, (__float128)dbl(x->a), fp64_to_fp128(x->a, env))
QUAD(from80, (__float128)ext(x->a), fp80_to_fp128(fp80_of(x->a), env))
QUAD(from_i64, (__float128)(int64_t)x->a, fp128_from_i64(x->a, env))
QUAD(from_u128, (__float128)x->a, fp128_from_u128(x->a, env))
OP(to64, double, 8, (double)quad(x->a), fp64_raw, fp128_to_fp64(Q(x->a), env))
OP(to32, float, 4, (float)quad(x->a), fp32_raw, fp128_to_fp32(Q(x->a), env))
OP(to80, long double, 10, (long double)quad(x->a), fp80_raw, fp128_to_fp80(Q(x->a), env))
OP(less, int, 4, quad(x->a) < quad(x->b), , fp128_compare_signalling(Q(x->a), Q(x->b), env) < 0)
OP(equal, int, 4, quad(x->a) == quad(x->b), , fp128_compare(Q(x->a), Q(x->b), env) == 0)
OP(rem64, double, 8, x87_remainder(dbl(x->a), dbl(x->b)), fp64_raw,
   fp64_rem(x->a, x->b, env))
OP(rem32, float, 4, x87_remainder(flt(x->a), flt(x->b)), fp32_raw,
   fp32_rem(x->a, x->b, env))
OP(scale64, double, 8, scalbn(dbl(x->a), (int)(x->c >> 96) >> 20), fp64_raw,
   fp64_scalbn(x->a, (int)(x->c >> 96) >> 20, env))

#define F32 &fp32_format
#define F64 &fp64_format
#define F80 &fp80_format
#define F128 &fp128_format
#define ROW(NAME, RESULT, FLAGS, ...)                                                          \
    { #NAME, { __VA_ARGS__ }, RESULT, NAME##_host, NAME##_ours, FLAGS }
#define EXACT(NAME, FORMAT)                                                                    \
    { #NAME, { FORMAT, FORMAT }, FORMAT, NAME##_host, NAME##_ours, 0, true }
static const Row rows[] = {
    ROW(add, F128, FLAGS, F128, F128), ROW(sub, F128, FLAGS, F128, F128),
    ROW(mul, F128, FLAGS, F128, F128), ROW(div, F128, FLAGS, F128, F128),
    ROW(fma, F128, 0, F128, F128, F128), EXACT(rem, F128),
    ROW(rint, F128, 0, F128), ROW(from64, F128, FLAGS, F64), ROW(from80, F128, FLAGS, F80),
    ROW(from_i64, F128, FLAGS), ROW(from_u128, F128, FLAGS), ROW(to64, F64, FLAGS, F128),
    ROW(to32, F32, FLAGS, F128), ROW(to80, F80, FLAGS, F128), ROW(less, NULL, FLAGS, F128, F128),
    ROW(equal, NULL, FLAGS, F128, F128), EXACT(rem64, F64),
    EXACT(rem32, F32), ROW(scale64, F64, 0, F64),
};

static u128 operand(Gen *g, const FpFormat *f, bool related, u128 to)
{
    u128 a = !f ? gen_pattern(g, 128) : related ? gen_related(g, f, to) : gen_operand(g, f);

    if (f == F80 && ((a >> 64 & 0x7fff) != 0) != (bool)(a >> 63 & 1)) {
        a ^= (u128)1 << 63;             /* the compiler's code knows no unnormals */
    }
    return a;
}

static bool same(const FpFormat *f, u128 a, u128 b)
{
    FpEnv env = { .rules = &fp_rules_sse };
    Num x, y;

    if (a == b || !f) {
        return a == b;
    }
    x = unpack(f, a, &env);
    y = unpack(f, b, &env);
    return is_nan(&x) && is_nan(&y);
}

static void run(gconstpointer data)
{
    static const int host_round[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
    const Row *row = data;
    Gen gen = gen_new();

    for (long i = gen_cases(30000); i > 0; i--) {
        Case x = { .env = { .rules = &fp_rules_sse, .round = i & 3 } };
        u128 got, want;
        unsigned flags, ours;

        x.a = operand(&gen, row->format[0], false, 0);
        x.b = operand(&gen, row->format[1], row->format[0], x.a);
        x.c = operand(&gen, row->format[2], gen_below(&gen, 2), x.a);
        fesetround(host_round[row->exact ? 0 : i & 3]);
        feclearexcept(FE_ALL_EXCEPT);
        want = row->host(&x);
        flags = fetestexcept(FE_ALL_EXCEPT) & row->flags;
        fesetround(FE_TONEAREST);
        got = row->ours(&x);
        ours = x.env.flags & row->flags;
        if (!same(row->result, got, want) || flags != ours) {
            g_test_message("%s round %d a %016lx%016lx b %016lx%016lx c %016lx%016lx: %016lx%016lx "
                           "flags %02x; host %016lx%016lx %02x", row->name, (int)(i & 3),
                           (uint64_t)(x.a >> 64), (uint64_t)x.a, (uint64_t)(x.b >> 64),
                           (uint64_t)x.b, (uint64_t)(x.c >> 64), (uint64_t)x.c,
                           (uint64_t)(got >> 64), (uint64_t)got, ours, (uint64_t)(want >> 64),
                           (uint64_t)want, flags);
            g_test_fail();
            return;
        }
    }
}

/* libquadmath's root is not exact: check by r * r <= a < s * s with s the next number. */
static void root(void)
{
    Gen gen = gen_new();

    for (long i = gen_cases(30000); i > 0; i--) {
        FpEnv env = { .rules = &fp_rules_sse, .round = FP_ROUND_DOWN };
        Fp128 a = fp128_abs(fp128_of(gen_operand(&gen, F128))), r, s, up, minus = fp128_neg(a);
        bool exact;

        if (fp128_is_nan(a) || fp128_is_inf(a) || fp128_is_zero(a)) {
            continue;
        }
        r = fp128_sqrt(a, &env);
        exact = !(env.flags & FP_INEXACT);
        s = fp128_of(fp128_raw(r) + 1);
        g_assert_cmpint(fp128_is_zero(fp128_fma(r, r, minus, 0, &env)), ==, exact);
        g_assert_true(exact || fp128_sign(fp128_fma(r, r, minus, 0, &env)));
        g_assert_false(fp128_sign(fp128_fma(s, s, minus, 0, &env)));
        env.round = FP_ROUND_UP;
        up = fp128_sqrt(a, &env);
        g_assert_true(fp128_raw(up) == fp128_raw(exact ? r : s));
        env.round = FP_ROUND_NEAREST_EVEN;
        up = fp128_sqrt(a, &env);
        g_assert_true(fp128_raw(up) == fp128_raw(r) || (!exact && fp128_raw(up) == fp128_raw(s)));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/fp/quad/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], run);
    }
    g_test_add_func("/fp/quad/sqrt", root);
    return g_test_run();
}
