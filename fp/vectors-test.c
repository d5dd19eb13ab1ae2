/* SPDX-License-Identifier: Apache-2.0 */
/* On any host: 16-bit formats against double arithmetic, and vectors from the guests' manuals. */
#include <fenv.h>
#include <math.h>
#include "fp/testgen.h"

#pragma GCC optimize("rounding-math", "trapping-math")

/* 16-bit formats. Double holds their sums and products exactly, and has so many more bits that
   rounding a quotient or root twice does no harm. */

static const int host_round[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };

static double value16(const FpFormat *f, uint16_t a)
{
    int exp = a >> f->frac_bits & format_exp_max(f), frac = a & ((1 << f->frac_bits) - 1);
    double d;

    if (exp == format_exp_max(f)) {
        d = frac ? NAN : INFINITY;
    } else {
        frac |= exp ? 1 << f->frac_bits : 0;
        d = ldexp(frac, (exp ? exp : 1) - format_bias(f) - f->frac_bits);
    }
    return a & 0x8000 ? -d : d;
}

/* To the format in the host's rounding direction; *inexact may be set. */
static double rounded16(const FpFormat *f, double d, int round, bool *inexact)
{
    double max = value16(f, (format_exp_max(f) << f->frac_bits) - 1), r;
    int ulp;

    if (d == 0 || !isfinite(d)) {
        return d;
    }
    ulp = MAX(ilogb(d), 1 - format_bias(f)) - f->frac_bits;
    r = ldexp(rint(ldexp(d, -ulp)), ulp);
    *inexact |= r != d;
    if (fabs(r) > max) {
        bool up = round == 0 || round == (d < 0 ? 1 : 2);
        r = copysign(up ? INFINITY : max, d);
        *inexact = true;
    }
    return r;
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void expect16(const char *op, const FpFormat *f, uint16_t a, uint16_t b, uint16_t got,
                     const FpEnv *env, double exact, bool inexact)
{
    double want = rounded16(f, exact, env->round, &inexact);

    fesetround(FE_TONEAREST);
    if (!same(value16(f, got), want) || inexact != (bool)(env->flags & FP_INEXACT)) {
        g_error("%s bits %d a %04x b %04x round %d: %04x = %g flags %02x, want %g inexact %d", op,
                f->exp_bits, a, b, env->round, got, value16(f, got), env->flags, want, inexact);
    }
}

/* glibc 2.36 may lose the sign of a zero. */
static double exact_remainder(double x, double y)
{
    double r = remainder(x, y);
    return r == 0 ? copysign(r, x) : r;
}

/* Runs OURS with `env`, then the oracle in the same rounding direction; for a remainder, which is
   exact, to nearest. */
#define TRY(OP, OURS, EXACT) TRY_IN(round, OP, OURS, EXACT)
#define TRY_IN(HOST_ROUND, OP, OURS, EXACT)                                                    \
    do {                                                                                       \
        FpEnv e = { .rules = &fp_rules_arm, .round = round }, *env = &e;                       \
        uint16_t got = OURS;                                                                   \
        volatile double exact;                                                                 \
        fesetround(host_round[HOST_ROUND]);                                                    \
        feclearexcept(FE_ALL_EXCEPT);                                                          \
        exact = EXACT;                                                                         \
        expect16(OP, f, a, b, got, env, exact, fetestexcept(FE_INEXACT));                      \
    } while (0)

#define TRY_FORMAT(P)                                                                          \
    static void P##_arithmetic(void)                                                           \
    {                                                                                          \
        const FpFormat *f = &P##_format;                                                       \
        Gen gen = gen_new();                                                                   \
        long n = gen_cases(4);                                                                 \
        for (int a = 0; a < 0x10000; a++) {                                                    \
            volatile double x = value16(f, a);                                                 \
            for (int round = 0; round < 4; round++) {                                          \
                uint16_t b = 0;                                                                \
                TRY("sqrt", P##_sqrt(a, env), sqrt(x));                                        \
                for (long i = 0; i < n; i++) {                                                 \
                    volatile double y;                                                         \
                    b = gen_related(&gen, f, a);                                               \
                    y = value16(f, b);                                                         \
                    TRY("add", P##_add(a, b, env), x + y);                                     \
                    TRY("sub", P##_sub(a, b, env), x - y);                                     \
                    TRY("mul", P##_mul(a, b, env), x * y);                                      \
                    TRY("div", P##_div(a, b, env), x / y);                                     \
                    TRY_IN(0, "rem", P##_rem(a, b, env), exact_remainder(x, y));               \
                }                                                                              \
            }                                                                                  \
        }                                                                                      \
    }
TRY_FORMAT(fp16)
TRY_FORMAT(fpb16)

static void half_to_integers(void)
{
    for (int a = 0; a < 0x10000; a++) {
        double x = value16(&fp16_format, a);
        for (int round = 0; round < 4; round++) {
            FpEnv env = { .rules = &fp_rules_arm }, quiet = env;
            double whole;
            fesetround(host_round[round]);
            whole = rint(x);
            fesetround(FE_TONEAREST);
            g_assert_true(same(value16(&fp16_format,
                                       fp16_round_to_int(a, round, false, &quiet)), whole));
            g_assert_cmpint(quiet.flags & FP_INEXACT, ==, 0);
            g_assert_cmpint(fp16_to_i16(a, round, &env), ==, isnan(x) ? 0 :
                            (int16_t)CLAMP(whole, -32768, 32767));
            g_assert_cmpint(fp16_to_u16(a, round, &env), ==, isnan(x) ? 0 :
                            (uint16_t)CLAMP(whole, 0, 65535));
            if (isfinite(x)) {
                env.flags = 0;
                g_assert_cmpint(fp16_to_i64(a, round, &env), ==, whole);
                g_assert_cmpint(env.flags, ==, whole == x ? 0 : FP_INEXACT);
            }
        }
    }
}

/* A narrower format survives the way through a wider one. */
static void round_trips(void)
{
    for (int a = 0; a < 0x10000; a++) {
        FpEnv env = { .rules = &fp_rules_mips }, *e = &env;
        Fp16 h = fp16_quiet(a, e);
        FpB16 b = fpb16_quiet(a, e);

        env.flags = 0;
        g_assert_cmphex(fp32_to_fp16(fp16_to_fp32(h, e), e), ==, h);
        g_assert_cmphex(fp64_to_fp16(fp16_to_fp64(h, e), e), ==, h);
        g_assert_cmphex(fp80_to_fp16(fp16_to_fp80(h, e), e), ==, h);
        g_assert_cmphex(fp128_to_fp16(fp16_to_fp128(h, e), e), ==, h);
        g_assert_cmphex(fp32_to_fpb16(fpb16_to_fp32(b, e), e), ==, b);
        g_assert_cmphex(fp64_to_fpb16(fpb16_to_fp64(b, e), e), ==, b);
        g_assert_cmphex(fp80_to_fpb16(fpb16_to_fp80(b, e), e), ==, b);
        g_assert_cmphex(fp128_to_fpb16(fpb16_to_fp128(b, e), e), ==, b);
        g_assert_cmphex(fpb16_to_fp32(b, e), ==, (uint32_t)b << 16);
        g_assert_cmphex(env.flags, ==, 0);
    }
}

/* Vectors */

typedef enum Op {
    ADD, SUB, MUL, DIV, SQRT, FMA, FMA_NEG, FMA_HALF, MIN_2008, MAX_2008, MIN_2019, MAX_2019,
    MIN_NAN, MAX_NAN, MIN_MAG, EQ, LT, I32, U32, I64, U64, FIX4, NARROW, WIDEN, HALF, ROUND, LOGB,
} Op;

typedef struct Vector {
    const FpRules *rules;
    Op op;
    uint64_t a, b, c, want;
    unsigned flags;
    FpEnv env;
} Vector;

static uint64_t run32(Op op, Fp32 a, Fp32 b, Fp32 c, FpEnv *e)
{
    switch (op) {
    case ADD:
        return fp32_add(a, b, e);
    case SUB:
        return fp32_sub(a, b, e);
    case MUL:
        return fp32_mul(a, b, e);
    case DIV:
        return fp32_div(a, b, e);
    case SQRT:
        return fp32_sqrt(a, e);
    case FMA:
        return fp32_fma(a, b, c, 0, e);
    case FMA_NEG:
        return fp32_fma(a, b, c, FP_FMA_NEG_RESULT, e);
    case FMA_HALF:
        return fp32_fma(a, b, c, FP_FMA_NEG_PRODUCT | FP_FMA_HALVE, e);
    case MIN_2008:
        return fp32_min(a, b, FP_MINMAX_NUM_2008, e);
    case MAX_2008:
        return fp32_max(a, b, FP_MINMAX_NUM_2008, e);
    case MIN_2019:
        return fp32_min(a, b, FP_MINMAX_NUM_2019, e);
    case MAX_2019:
        return fp32_max(a, b, FP_MINMAX_NUM_2019, e);
    case MIN_NAN:
        return fp32_min(a, b, FP_MINMAX_NAN, e);
    case MAX_NAN:
        return fp32_max(a, b, FP_MINMAX_NAN, e);
    case MIN_MAG:
        return fp32_min(a, b, FP_MINMAX_NUM_2008 | FP_MINMAX_MAGNITUDE, e);
    case EQ:
        return fp32_compare(a, b, e) == FP_EQUAL;
    case LT:
        return fp32_compare_signalling(a, b, e) == FP_LESS;
    case I32:
        return (uint32_t)fp32_to_i32(a, e->round, e);
    case U32:
        return fp32_to_u32(a, e->round, e);
    case I64:
        return fp32_to_i64(a, e->round, e);
    case U64:
        return fp32_to_u64(a, e->round, e);
    case FIX4:
        return fp32_to_int(a, (FpIntType){ 32, true }, e->round, 4, e);
    case WIDEN:
        return fp32_to_fp64(a, e);
    case HALF:
        return fp32_to_fp16(a, e);
    case ROUND:
        return fp32_round_to_int(a, e->round, false, e);
    case LOGB:
        return fp32_logb(a, e);
    default:
        g_assert_not_reached();
    }
}

#define RV &fp_rules_riscv
#define ARM &fp_rules_arm
#define PPC &fp_rules_ppc
#define NV FP_INVALID
#define DZ FP_DIVZERO
#define OF FP_OVERFLOW
#define UF FP_UNDERFLOW
#define NX FP_INEXACT
#define IDC FP_DENORMAL
#define ONE 0x3f800000
#define INF 0x7f800000
#define NEG 0x80000000u
static const Vector vectors[] = {
    /* RISC-V: canonical NaN, minimumNumber, table "Domains of float-to-integer conversions" */
    { RV, ADD, 0xffc12345, ONE, 0, 0x7fc00000 },
    { RV, ADD, 0x7f812345, ONE, 0, 0x7fc00000, NV },
    { RV, SUB, INF, INF, 0, 0x7fc00000, NV },
    { RV, DIV, 0, 0, 0, 0x7fc00000, NV },
    { RV, DIV, ONE, NEG, 0, 0xff800000, DZ },
    { RV, SQRT, 0xbf800000, 0, 0, 0x7fc00000, NV },
    { RV, SQRT, NEG, 0, 0, NEG },
    { RV, FMA, INF, 0, 0x7fc00000, 0x7fc00000, NV },
    { RV, MIN_2019, 0x7fc00000, ONE, 0, ONE },
    { RV, MAX_2019, ONE, 0x7f800001, 0, ONE, NV },
    { RV, MIN_2019, 0xffc00001, 0x7fc00002, 0, 0x7fc00000 },
    { RV, MIN_2019, 0, NEG, 0, NEG },
    { RV, MAX_2019, NEG, 0, 0, 0 },
    { RV, EQ, 0x7fc00000, 0x7fc00000, 0, 0 },
    { RV, EQ, 0x7f800001, ONE, 0, 0, NV },
    { RV, LT, 0x7fc00000, ONE, 0, 0, NV },
    { RV, LT, NEG, 0, 0, 0 },
    { RV, I32, 0x7fc00000, 0, 0, 0x7fffffff, NV },
    { RV, I32, 0xffc00000, 0, 0, 0x7fffffff, NV },
    { RV, I32, 0xff800000, 0, 0, 0x80000000, NV },
    { RV, I32, 0x4f000000, 0, 0, 0x7fffffff, NV },
    { RV, I32, 0xcf000000, 0, 0, 0x80000000 },
    { RV, U32, 0xff800000, 0, 0, 0, NV },
    { RV, U32, 0x7fc00000, 0, 0, 0xffffffff, NV },
    { RV, U32, 0xbf800000, 0, 0, 0, NV },
    { RV, U32, 0xbf000000, 0, 0, 0, NX },
    { RV, I64, 0x7f800001, 0, 0, INT64_MAX, NV },
    { RV, U64, INF, 0, 0, UINT64_MAX, NV },
    { RV, I32, 0x3fc00000, 0, 0, 2, NX },
    { RV, I32, 0x40200000, 0, 0, 3, NX, { .round = FP_ROUND_NEAREST_AWAY } },
    { RV, I32, 0xc0200000, 0, 0, -3u, NX, { .round = FP_ROUND_DOWN } },
    /* tininess: the largest number below 2^-126 rounds up to it with 24 bits */
    { RV, NARROW, 0x380fffffffffffff, 0, 0, 0x00800000, NX },
    { ARM, NARROW, 0x380fffffffffffff, 0, 0, 0x00800000, NX | UF },
    { RV, MUL, 0x00800000, 0x3f7fffff, 0, 0x00800000, NX | UF },
    { RV, MUL, 0x00800000, 0x3f000000, 0, 0x00400000 },
    /* Arm: FPProcessNaNs, FPProcessNaNs3, FPMulAdd, FZ, DN, FPMaxNum, FPToFixed */
    { ARM, ADD, 0x7fc00001, 0x7f800002, 0, 0x7fc00002, NV },
    { ARM, ADD, 0xffc00001, 0x7fc00002, 0, 0xffc00001 },
    { ARM, ADD, 0xffc00001, 0x7fc00002, 0, 0x7fc00000, 0, { .default_nan = true } },
    { ARM, FMA, 0x7fc00001, ONE, 0x7fc00002, 0x7fc00002 },
    { ARM, FMA, ONE, 0x7f800001, 0x7fc00002, 0x7fc00001, NV },
    { ARM, FMA, INF, 0, 0x7fc00002, 0x7fc00000, NV },
    { ARM, FMA, INF, 0, 0x7f800002, 0x7fc00002, NV },
    { ARM, ADD, 0x00000001, 0, 0, 0, IDC, { .daz = true, .ftz = true } },
    { ARM, MUL, 0x80800000, 0x3f000000, 0, NEG, UF, { .daz = true, .ftz = true } },
    { ARM, NARROW, 0x380fffffffffffff, 0, 0, 0, UF, { .daz = true, .ftz = true } },
    { ARM, MAX_2008, 0x7fc00000, ONE, 0, ONE },
    { ARM, MAX_2008, 0x7f800001, ONE, 0, 0x7fc00001, NV },
    { ARM, MIN_NAN, 0x7fc00001, ONE, 0, 0x7fc00001 },
    { ARM, MIN_NAN, 0, NEG, 0, NEG },
    { ARM, MAX_NAN, NEG, 0, 0, 0 },
    { ARM, I32, 0x7fc00000, 0, 0, 0, NV },
    { ARM, I32, 0x4f800000, 0, 0, 0x7fffffff, NV },
    { ARM, FIX4, 0x3fc00000, 0, 0, 24 },
    { ARM, FMA_HALF, ONE, ONE, 0x40400000, ONE },                   /* (3 - 1 * 1) / 2 */
    { ARM, FMA_HALF, 0x7f7fffff, ONE, 0xff7fffff, 0xff7fffff },
    { ARM, HALF, 0x477ff000, 0, 0, 0x7c00, OF | NX },
    { ARM, HALF, 0x477fe000, 0, 0, 0x7bff },
    { ARM, HALF, 0x7f802000, 0, 0, 0x7e01, NV },
    { ARM, ROUND, 0x3f000000, 0, 0, ONE, 0, { .round = FP_ROUND_UP } },
    { ARM, ROUND, 0xbe800000, 0, 0, NEG },
    { ARM, NARROW, 0x3ff0000000001000, 0, 0, 0x3f800001, NX, { .round = FP_ROUND_ODD } },
    { ARM, NARROW, 0x7fefffffffffffff, 0, 0, 0x7f7fffff, OF | NX, { .round = FP_ROUND_ODD } },
    { ARM, NARROW, 0x3690000000000001, 0, 0, 0x00000001, UF | NX, { .round = FP_ROUND_ODD } },
    { RV, ADD, ONE, 0x33800000, 0, ONE, NX },
    { RV, ADD, ONE, 0x33800000, 0, 0x3f800001, NX, { .round = FP_ROUND_NEAREST_AWAY } },
    { RV, ADD, ONE, 0x33800000, 0, 0x3f800001, NX, { .round = FP_ROUND_UP } },
    { RV, ADD, ONE, 0xb3000000, 0, 0x3f7fffff, NX, { .round = FP_ROUND_ODD } },
    { RV, LT, 0xc0000000, 0xbf800000, 0, 1 },
    { RV, LT, 0xbf800000, 0xc0000000, 0, 0 },
    { ARM, LOGB, 0x00000001, 0, 0, 0xc3150000 },                    /* -149 */
    { ARM, LOGB, 0, 0, 0, 0xff800000, DZ },
    /* Power: A before B before C (our c is its B), whichever signals */
    { PPC, ADD, 0x7fc00001, 0x7f800002, 0, 0x7fc00001, NV },
    { PPC, FMA, ONE, 0x7fc00001, 0x7fc00002, 0x7fc00002 },
    { PPC, FMA, INF, 0, 0x7fc00002, 0x7fc00002, NV },
    { PPC, FMA_NEG, ONE, ONE, 0x7fc00002, 0x7fc00002 },
    { PPC, FMA_NEG, ONE, ONE, ONE, 0xc0000000 },
    { PPC, FMA_NEG, ONE, ONE, 0xbf800000, NEG },
    { PPC, I32, 0x7fc00000, 0, 0, 0x80000000, NV },
    { PPC, U32, 0x7fc00000, 0, 0, 0, NV },
    { PPC, MUL, 0x7f000000, 0x40800000, 0, 0x20000000, OF, { .unmasked = OF } },
    { PPC, MUL, 0x00800000, 0x3f000000, 0, 0x60000000, UF, { .unmasked = UF } },
    /* The inverted quiet bit, and other default NaNs */
    { &fp_rules_mips_legacy, ADD, 0x7fbfffff, ONE, 0, 0x7fbfffff },
    { &fp_rules_mips_legacy, ADD, 0x7fc00000, ONE, 0, 0x7fbfffff, NV },
    { &fp_rules_mips_legacy, SUB, INF, INF, 0, 0x7fbfffff, NV },
    { &fp_rules_mips_legacy, NARROW, 0x7ff0000000000001, 0, 0, 0x7fbfffff },
    { &fp_rules_mips_legacy, WIDEN, 0x7fc00000, 0, 0, 0x7ff7ffffffffffff, NV },
    { &fp_rules_mips_legacy, I32, 0xff800000, 0, 0, 0x7fffffff, NV },
    { &fp_rules_mips, I32, 0x7fc00000, 0, 0, 0, NV },
    { &fp_rules_sparc, SUB, INF, INF, 0, 0x7fffffff, NV },
    { &fp_rules_sparc, ADD, 0x7fc00001, 0x7fc00002, 0, 0x7fc00002 },
    { &fp_rules_sparc, ADD, 0x7f800001, 0x7fc00002, 0, 0x7fc00001, NV },
    { &fp_rules_hppa, SUB, INF, INF, 0, 0x7fa00000, NV },
    { &fp_rules_hppa, ADD, 0x7fc00001, ONE, 0, 0x7fa00001, NV },
    { &fp_rules_s390, I32, 0x7fc00000, 0, 0, 0x80000000, NV },
    { &fp_rules_alpha, I64, 0x5f800001, 0, 0, 0x0000020000000000ull, NV },  /* 2^64 + 2^41 */
    { &fp_rules_sse, SUB, INF, INF, 0, 0xffc00000, NV },
    { ARM, MIN_MAG, 0xc0000000, ONE, 0, ONE },
    { ARM, MIN_MAG, 0xbf800000, ONE, 0, 0xbf800000 },
};

static void vector(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++) {
        const Vector *v = &vectors[i];
        FpEnv env = v->env;
        uint64_t got;

        env.rules = v->rules;
        got = v->op == NARROW ? fp64_to_fp32(v->a, &env) : run32(v->op, v->a, v->b, v->c, &env);
        if (got != v->want || env.flags != v->flags) {
            g_test_message("vector %zu %s op %d a %lx b %lx c %lx: %lx flags %02x, want %lx %02x",
                           i, v->rules->name, v->op, v->a, v->b, v->c, got, env.flags, v->want,
                           v->flags);
            g_test_fail();
        }
    }
}

static void wide_integers(void)
{
    FpEnv env = { .rules = RV };
    Fp128 a = fp128_from_i128(-5, &env), big = fp128_from_u128((FpU128)1 << 127, &env);

    g_assert_true(fp128_to_i128(a, FP_ROUND_ZERO, &env) == -5);
    g_assert_true(fp128_to_u128(big, FP_ROUND_ZERO, &env) == (FpU128)1 << 127);
    g_assert_cmpint(env.flags, ==, 0);
    g_assert_true(fp128_to_i128(big, FP_ROUND_ZERO, &env) == (FpI128)(~(FpU128)0 >> 1));
    g_assert_cmpint(env.flags, ==, NV);
    g_assert_cmphex(fp64_from_int(3, -1, &env), ==, 0x3ff8000000000000);
}

static void classes(void)
{
    g_assert_cmpint(fp32_classify(0x7fc00000, RV), ==, FP_CLASS_QNAN);
    g_assert_cmpint(fp32_classify(0x7fc00000, &fp_rules_mips_legacy), ==, FP_CLASS_SNAN);
    g_assert_cmpint(fp32_classify(0x7f800001, RV), ==, FP_CLASS_SNAN);
    g_assert_cmpint(fp32_classify(0x007fffff, RV), ==, FP_CLASS_DENORMAL);
    g_assert_cmpint(fp32_classify(0x00800000, RV), ==, FP_CLASS_NORMAL);
    g_assert_cmpint(fp32_classify(INF, RV), ==, FP_CLASS_INF);
    g_assert_cmpint(fp32_classify(NEG, RV), ==, FP_CLASS_ZERO);
    g_assert_cmpint(fp80_classify((Fp80){ 1, 0x3fff }, &fp_rules_x87), ==, FP_CLASS_UNSUPPORTED);
    g_assert_cmphex(fp64_default_nan(&fp_rules_mips_legacy), ==, 0x7ff7ffffffffffff);
    g_assert_cmphex(fp16_neg(0x3c00), ==, 0xbc00);
    g_assert_cmphex(fp32_abs(0xbf800000), ==, ONE);
    g_assert_true(fp80_is_nan((Fp80){ 3ull << 62, 0x7fff }));
    g_assert_true(fp80_is_inf((Fp80){ 1ull << 63, 0xffff }));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fp/fp16", fp16_arithmetic);
    g_test_add_func("/fp/fpb16", fpb16_arithmetic);
    g_test_add_func("/fp/fp16-to-integers", half_to_integers);
    g_test_add_func("/fp/round-trips", round_trips);
    g_test_add_func("/fp/vectors", vector);
    g_test_add_func("/fp/wide-integers", wide_integers);
    g_test_add_func("/fp/classes", classes);
    return g_test_run();
}
