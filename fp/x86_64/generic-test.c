/* SPDX-License-Identifier: Apache-2.0 */
/* The portable x87 functions against the host's: special cases equal, others to the last place. */
#include "fp/testgen.h"

/* Both exist in this program, the portable ones by these names. */
#define fp80_f2xm1 portable_f2xm1
#define fp80_yl2x portable_yl2x
#define fp80_yl2xp1 portable_yl2xp1
#define fp80_patan portable_patan
#define fp80_sin portable_sin
#define fp80_cos portable_cos
#define fp80_sincos portable_sincos
#define fp80_tan portable_tan
#include "fp/generic/x87.c"
#undef fp80_f2xm1
#undef fp80_yl2x
#undef fp80_yl2xp1
#undef fp80_patan
#undef fp80_sin
#undef fp80_cos
#undef fp80_sincos
#undef fp80_tan

typedef struct Result {
    bool done;
    Fp80 first, second;
} Result;

typedef Result Run(Fp80 st0, Fp80 st1, FpEnv *env);

#define VALUE(NAME, ...)                                                                       \
    static Result NAME##_host(Fp80 st0, Fp80 st1, FpEnv *env)                                  \
    {                                                                                          \
        return (Result){ true, fp80_##NAME(__VA_ARGS__, env) };                                \
    }                                                                                          \
    static Result NAME##_ours(Fp80 st0, Fp80 st1, FpEnv *env)                                  \
    {                                                                                          \
        return (Result){ true, portable_##NAME(__VA_ARGS__, env) };                            \
    }
#define ANGLE(NAME, ...)                                                                       \
    static Result NAME##_host(Fp80 st0, Fp80 st1, FpEnv *env)                                  \
    {                                                                                          \
        Result r = {};                                                                         \
        r.done = fp80_##NAME(st0, __VA_ARGS__, env);                                           \
        return r;                                                                              \
    }                                                                                          \
    static Result NAME##_ours(Fp80 st0, Fp80 st1, FpEnv *env)                                  \
    {                                                                                          \
        Result r = {};                                                                         \
        r.done = portable_##NAME(st0, __VA_ARGS__, env);                                       \
        return r;                                                                              \
    }
VALUE(f2xm1, st0)
VALUE(yl2x, st0, st1)
VALUE(yl2xp1, st0, st1)
VALUE(patan, st0, st1)
ANGLE(sin, &r.first)
ANGLE(cos, &r.first)
ANGLE(sincos, &r.first, &r.second)
ANGLE(tan, &r.first, &r.second)

typedef struct Row {
    const char *name;
    Run *host, *ours;
} Row;
#define ROW(NAME) { #NAME, NAME##_host, NAME##_ours }
static const Row rows[] = {
    ROW(f2xm1), ROW(yl2x), ROW(yl2xp1), ROW(patan), ROW(sin), ROW(cos), ROW(sincos), ROW(tan),
};

/* Counts the numbers from zero on. The lowest two exponents share a scale, each further one has
   2^63 of its own. */
static FpI128 ordinal(Fp80 a)
{
    int exp = a.se & 0x7fff;

    return ((FpI128)(exp > 1 ? exp - 1 : 0) << 63) + a.frac;
}

static bool near(Fp80 a, Fp80 b)
{
    FpI128 distance = ordinal(a) - ordinal(b);

    return distance >= -1 && distance <= 1 && fp80_sign(a) == fp80_sign(b);
}

/* A last place more or less decides what is too small. */
static unsigned flags_of(const FpEnv *env, bool same)
{
    return same ? env->flags : env->flags & ~FP_UNDERFLOW;
}

static void run(gconstpointer data)
{
    const Row *row = data;
    Gen gen = gen_new();

    for (long i = gen_cases(3000); i > 0; i--) {
        FpEnv host = { .rules = &fp_rules_x87, .round = i & 3 }, ours = host;
        Fp80 a = fp80_of(gen_operand(&gen, &fp80_format)), b;
        Result want, got;
        bool same;

        b = fp80_of(gen_related(&gen, &fp80_format, fp80_raw(a)));
        want = row->host(a, b, &host);
        got = row->ours(a, b, &ours);
        same = ordinal(want.first) == ordinal(got.first) && ordinal(want.second) == ordinal(got.second);
        if (want.done != got.done || flags_of(&host, same) != flags_of(&ours, same) ||
            !near(want.first, got.first) || !near(want.second, got.second)) {
            g_test_message("%s round %d st0 %04x %016lx st1 %04x %016lx: %d %04x %016lx flags "
                           "%02x; host %d %04x %016lx %02x", row->name, host.round, a.se, a.frac,
                           b.se, b.frac, got.done, got.first.se, got.first.frac, ours.flags,
                           want.done, want.first.se, want.first.frac, host.flags);
            g_test_fail();
            return;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/fp/x87-portable/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], run);
    }
    return g_test_run();
}
