/* SPDX-License-Identifier: Apache-2.0 */
/* Binary80 against the host's x87: all roundings and precisions, results, flags, C1. */
#include <string.h>
#include "fp/testgen.h"

typedef struct Case {
    Fp80 a, b;                  /* st0, st1 */
    uint64_t i;                 /* memory operand or integer result */
    uint16_t cw, sw;
    FpEnv env;
    Fp80 second;
} Case;

typedef Fp80 Run(Case *x);

/* What FNSAVE writes. It does not wait for unmasked exceptions, and ends like FNINIT. */
typedef struct Save {
    uint32_t cw, sw, other[5];
    uint8_t st[8][10];
} Save;

static Fp80 saved(const Save *save)
{
    Fp80 r = {};
    memcpy(&r, save->st[0], 10);
    return r;
}

typedef struct Row {
    const char *name;
    const FpFormat *memory;     /* format of the operand in memory */
    Run *host, *ours;
    unsigned condition;         /* further bits of the status word to compare */
    bool wraps;                 /* unmasked overflow and underflow wrap the exponent */
} Row;

#define HOST(NAME, CODE)                                                                       \
    static Fp80 NAME##_host(Case *x)                                                           \
    {                                                                                          \
        Save save;                                                                             \
        __asm__ volatile("fninit\n\tfldcw %[cw]\n\tfldt %[b]\n\tfldt %[a]\n\t" CODE "\n\t"     \
                         "fnsave %[save]"                                                      \
                         : [save] "=m"(save), [i] "+m"(x->i)                                   \
                         : [cw] "m"(x->cw), [a] "m"(x->a), [b] "m"(x->b)                       \
                         : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",         \
                           "st(7)");                                                           \
        x->sw = save.sw;                                                                       \
        memcpy(&x->second, save.st[1], 10);                                                    \
        return saved(&save);                                                                   \
    }
#define OP(NAME, CODE, OURS)                                                                   \
    HOST(NAME, CODE)                                                                           \
    static Fp80 NAME##_ours(Case *x)                                                           \
    {                                                                                          \
        FpEnv *env = &x->env;                                                                  \
        OURS;                                                                                  \
    }

OP(add, "fadd %%st(1), %%st", return fp80_add(x->a, x->b, env))
OP(sub, "fsub %%st(1), %%st", return fp80_sub(x->a, x->b, env))
OP(mul, "fmul %%st(1), %%st", return fp80_mul(x->a, x->b, env))
OP(div, "fdiv %%st(1), %%st", return fp80_div(x->a, x->b, env))
OP(sqrt, "fsqrt", return fp80_sqrt(x->a, env))
OP(rint, "frndint", return fp80_round_to_int(x->a, env->round, true, env))
OP(scale, "fscale", return fp80_scale(x->a, x->b, env))

/* fxtract pushes: our second result is the host's second register. */
OP(xtract, "fxtract", return fp80_xtract(x->a, &x->second, env))

static Fp80 prem(Case *x, bool nearest, FpEnv *env)
{
    uint8_t q;
    bool partial;
    Fp80 r = fp80_prem(x->a, x->b, nearest, &q, &partial, env);

    x->sw = partial << 10 | (q & 4) << 6 | (q & 2) << 13 | (q & 1) << 9;
    return r;
}
OP(prem, "fprem", return prem(x, false, env))
OP(prem1, "fprem1", return prem(x, true, env))

static Fp80 compared(Case *x, FpOrder order)
{
    static const uint16_t bits[] = { [FP_LESS + 1] = 0x100, [FP_EQUAL + 1] = 0x4000,
                                     [FP_UNORDERED + 1] = 0x4500 };
    x->sw = bits[order + 1];
    return x->a;
}
OP(com, "fcom", return compared(x, fp80_compare_signalling(x->a, x->b, env)))
OP(ucom, "fucom", return compared(x, fp80_compare(x->a, x->b, env)))

OP(load32, "flds %[i]", return fp32_to_fp80(x->i, env))
OP(load64, "fldl %[i]", return fp64_to_fp80(x->i, env))
OP(load_i16, "filds %[i]", return fp80_from_int((int16_t)x->i, 0, env))
OP(load_i32, "fildl %[i]", return fp80_from_i32(x->i, env))
OP(load_i64, "fildll %[i]", return fp80_from_i64(x->i, env))

static Fp80 stored(Case *x, uint64_t mask, uint64_t value)
{
    x->i = (x->i & ~mask) | (value & mask);
    return x->a;
}
OP(store32, "fsts %[i]", return stored(x, 0xffffffff, fp80_to_fp32(x->a, env)))
OP(store64, "fstl %[i]", return stored(x, -1, fp80_to_fp64(x->a, env)))
OP(store_i16, "fists %[i]", return stored(x, 0xffff, fp80_to_i16(x->a, env->round, env)))
OP(store_i32, "fistl %[i]", return stored(x, 0xffffffff, fp80_to_i32(x->a, env->round, env)))
OP(store_i64, "fld %%st\n\tfistpll %[i]",
   return stored(x, -1, fp80_to_i64(x->a, env->round, env)))

#define ROW(NAME, MEMORY, CONDITION) { #NAME, MEMORY, NAME##_host, NAME##_ours, CONDITION }
#define WRAP(NAME) { #NAME, NULL, NAME##_host, NAME##_ours, C1, true }
#define C1 0x0200
static const Row rows[] = {
    WRAP(add), WRAP(sub), WRAP(mul), WRAP(div), WRAP(sqrt), WRAP(scale),
    ROW(rint, NULL, C1), ROW(xtract, NULL, 0),
    ROW(prem, NULL, 0x4700), ROW(prem1, NULL, 0x4700), ROW(com, NULL, 0x4500),
    ROW(ucom, NULL, 0x4500), ROW(load32, &fp32_format, 0), ROW(load64, &fp64_format, 0),
    ROW(load_i16, NULL, 0), ROW(load_i32, NULL, 0), ROW(load_i64, NULL, 0),
    ROW(store32, NULL, C1), ROW(store64, NULL, C1), ROW(store_i16, NULL, C1),
    ROW(store_i32, NULL, C1), ROW(store_i64, NULL, C1),
};

/* Processors differ in whether FSCALE by nothing finds its operand too small. */
static bool undecided(const Row *row, const Case *x)
{
    bool by_nothing = (x->b.se & 0x7fff) < 0x3fff, denormal = !(x->a.se & 0x7fff);

    return row->host == scale_host && denormal && by_nothing && x->env.unmasked & FP_UNDERFLOW;
}

static bool same(Fp80 a, Fp80 b) { return a.frac == b.frac && a.se == b.se; }

static void run(gconstpointer data)
{
    static const uint8_t precisions[] = { 24, 64, 53, 64 };
    const Row *row = data;
    Gen gen = gen_new();

    for (long i = gen_cases(60000); i > 0; i--) {
        Case x = { .cw = 0x7f | (i & 3) << 10 | (i >> 2 & 3) << 8 }, y;
        Fp80 got, want;
        unsigned flags, ours;

        x.env = (FpEnv){ .rules = &fp_rules_x87, .round = i & 3,
                         .x87_precision = precisions[i >> 2 & 3] };
        if (row->wraps) {
            x.env.unmasked = gen_below(&gen, 4) << 3;           /* FP_OVERFLOW, FP_UNDERFLOW */
            x.cw &= ~x.env.unmasked;
        }
        x.a = fp80_of(gen_operand(&gen, &fp80_format));
        x.b = fp80_of(gen_related(&gen, &fp80_format, fp80_raw(x.a)));
        x.i = row->memory ? gen_operand(&gen, row->memory) : gen_pattern(&gen, 64);
        if (undecided(row, &x)) {
            continue;
        }
        y = x;
        want = row->host(&x);
        got = row->ours(&y);
        flags = x.sw & (0x3f | row->condition);
        ours = y.env.flags | (y.sw & row->condition);
        if (row->condition == C1) {     /* of interest if inexact */
            ours |= y.env.detail & FP_ROUNDED_UP ? C1 : 0;
            flags &= flags & FP_INEXACT ? ~0 : ~C1;
        }
        if (!same(got, want) || flags != ours || x.i != y.i ||
            (row->host == xtract_host && !same(x.second, y.second))) {
            g_test_message("%s cw %04x a %04x %016lx b %04x %016lx i %lx: %04x %016lx i %lx "
                           "sw %04x; host %04x %016lx i %lx sw %04x", row->name, x.cw, x.a.se,
                           x.a.frac, x.b.se, x.b.frac, x.i, got.se, got.frac, y.i, ours, want.se,
                           want.frac, x.i, flags);
            g_test_fail();
            return;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/fp/x87/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], run);
    }
    return g_test_run();
}
