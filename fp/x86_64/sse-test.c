/* SPDX-License-Identifier: Apache-2.0 */
/* Binary32, 64 and 16 against the host's SSE, FMA and F16C: results and MXCSR flags. */
#include <immintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>
#include "fp/testgen.h"

static const unsigned standard = 0x1f80;        /* MXCSR of C code */

typedef struct Case {
    uint64_t a, b, c;
    unsigned mxcsr;             /* in: to run with; out: flags */
    FpEnv env;                  /* the same for us */
} Case;

typedef uint64_t Run(Case *x);

typedef struct Row {
    const char *name;
    const FpFormat *format[3];
    int bits;                   /* of the result */
    Run *host, *ours;
    const char *needs;
    unsigned ignore;            /* flags */
    unsigned ignore_tiny;       /* flags that processors give or not if a result traps as too small */
} Row;

/* Instructions run under x->mxcsr. %[r] is the first source and the result. */
#define HOST(NAME, CODE, CONSTRAINT, TYPE, IN, OUT)                                            \
    static uint64_t NAME##_host(Case *x)                                                       \
    {                                                                                          \
        TYPE r = IN(x->a);                                                                     \
        __asm__ volatile("ldmxcsr %[mxcsr]\n\t" CODE "\n\tstmxcsr %[mxcsr]\n\t"                \
                         "ldmxcsr %[standard]"                                                 \
                         : [r] "+" CONSTRAINT(r), [mxcsr] "+m"(x->mxcsr)                       \
                         : [standard] "m"(standard), [b] "x"(_mm_cvtsi64_si128(x->b)),         \
                           [c] "x"(_mm_cvtsi64_si128(x->c)), [i] "r"(x->b) : "cc");            \
        return OUT(r);                                                                         \
    }
#define XMM(NAME, CODE, OURS)                                                                  \
    HOST(NAME, CODE, "x", __m128i, _mm_cvtsi64_si128, _mm_cvtsi128_si64) OUR(NAME, OURS)
#define GPR(NAME, CODE, OURS) HOST(NAME, CODE, "q", uint64_t, , ) OUR(NAME, OURS)
#define OUR(NAME, OURS)                                                                        \
    static uint64_t NAME##_ours(Case *x)                                                       \
    {                                                                                          \
        FpEnv *env = &x->env;                                                                  \
        return OURS;                                                                           \
    }
#define SCALAR(OP, EXTRA)                                                                      \
    XMM(OP##32, #OP "ss %[b], %[r]", fp32_##OP(x->a, x->b EXTRA, env))                         \
    XMM(OP##64, #OP "sd %[b], %[r]", fp64_##OP(x->a, x->b EXTRA, env))
#define COMMA ,
SCALAR(add, )
SCALAR(sub, )
SCALAR(mul, )
SCALAR(div, )
SCALAR(min, COMMA FP_MINMAX_X86)
SCALAR(max, COMMA FP_MINMAX_X86)
XMM(sqrt32, "sqrtss %[b], %[r]", fp32_sqrt(x->b, env))
XMM(sqrt64, "sqrtsd %[b], %[r]", fp64_sqrt(x->b, env))

#define FMA(NAME, HOW)                                                                         \
    XMM(NAME##32, #NAME "213ss %[c], %[b], %[r]", fp32_fma(x->b, x->a, x->c, HOW, env))        \
    XMM(NAME##64, #NAME "213sd %[c], %[b], %[r]", fp64_fma(x->b, x->a, x->c, HOW, env))
FMA(vfmadd, 0)
FMA(vfmsub, FP_FMA_NEG_ADDEND)
FMA(vfnmadd, FP_FMA_NEG_PRODUCT)
FMA(vfnmsub, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND)

XMM(widen, "cvtss2sd %[b], %[r]", fp32_to_fp64(x->b, env))
XMM(narrow, "cvtsd2ss %[b], %[r]", fp64_to_fp32(x->b, env))
XMM(round32, "roundss $4, %[b], %[r]", fp32_round_to_int(x->b, env->round, true, env))
XMM(round64, "roundsd $4, %[b], %[r]", fp64_round_to_int(x->b, env->round, true, env))
XMM(ceil64, "roundsd $10, %[b], %[r]", fp64_round_to_int(x->b, FP_ROUND_UP, false, env))
XMM(from_i32_32, "cvtsi2ss %k[i], %[r]", fp32_from_i32(x->b, env))
XMM(from_i64_32, "cvtsi2ss %q[i], %[r]", fp32_from_i64(x->b, env))
XMM(from_i64_64, "cvtsi2sd %q[i], %[r]", fp64_from_i64(x->b, env))
XMM(half_widen, "vcvtph2ps %[b], %[r]", fp16_to_fp32(x->b, env))
XMM(half_narrow, "vcvtps2ph $4, %[b], %[r]", fp32_to_fp16(x->b, env))

GPR(i32_32, "cvtss2si %[b], %k[r]", fp32_to_i32(x->b, env->round, env))
GPR(i64_32, "cvtss2si %[b], %q[r]", fp32_to_i64(x->b, env->round, env))
GPR(i32_64, "cvtsd2si %[b], %k[r]", fp64_to_i32(x->b, env->round, env))
GPR(i64_64, "cvtsd2si %[b], %q[r]", fp64_to_i64(x->b, env->round, env))
GPR(trunc32, "cvttss2si %[b], %q[r]", fp32_to_i64(x->b, FP_ROUND_ZERO, env))
GPR(trunc64, "cvttsd2si %[b], %k[r]", fp64_to_i32(x->b, FP_ROUND_ZERO, env))

/* Carry and zero flag of an (u)comis, in two bits. */
static uint64_t order_bits(FpOrder o)
{
    return o == FP_UNORDERED ? 3 : o == FP_LESS ? 2 : o == FP_EQUAL;
}
#define COMPARE(NAME, CODE, OURS)                                                              \
    GPR(NAME, "movq %[r], %%xmm7\n\t" CODE " %[b], %%xmm7\n\tsetc %b[r]\n\tsetz %%cl\n\t"      \
        "movzbl %%cl, %%ecx\n\tmovzbl %b[r], %k[r]\n\tlea (%%rcx, %q[r], 2), %q[r]",           \
        order_bits(OURS(x->a, x->b, env)))
#undef HOST
#define HOST(NAME, CODE, CONSTRAINT, TYPE, IN, OUT)                                            \
    static uint64_t NAME##_host(Case *x)                                                       \
    {                                                                                          \
        uint64_t r = x->a;                                                                     \
        __asm__ volatile("ldmxcsr %[mxcsr]\n\t" CODE "\n\tstmxcsr %[mxcsr]\n\t"                \
                         "ldmxcsr %[standard]"                                                 \
                         : [r] "+q"(r), [mxcsr] "+m"(x->mxcsr)                                 \
                         : [standard] "m"(standard), [b] "x"(_mm_cvtsi64_si128(x->b))          \
                         : "cc", "rcx", "xmm7");                                               \
        return r;                                                                              \
    }
COMPARE(ucomi32, "ucomiss", fp32_compare)
COMPARE(ucomi64, "ucomisd", fp64_compare)
COMPARE(comi32, "comiss", fp32_compare_signalling)
COMPARE(comi64, "comisd", fp64_compare_signalling)

#define F16 &fp16_format
#define F32 &fp32_format
#define F64 &fp64_format
#define ROW(NAME, BITS, ...) { #NAME, { __VA_ARGS__ }, BITS, NAME##_host, NAME##_ours }
#define BOTH(NAME) ROW(NAME##32, 32, F32, F32), ROW(NAME##64, 64, F64, F64)
#define NEEDS(NAME, WHAT, BITS, ...)                                                           \
    { #NAME, { __VA_ARGS__ }, BITS, NAME##_host, NAME##_ours, WHAT, 0 }
#define FUSED(NAME)                                                                            \
    NEEDS(NAME##32, "fma", 32, F32, F32, F32), NEEDS(NAME##64, "fma", 64, F64, F64, F64)

static const Row rows[] = {
    BOTH(add), BOTH(sub), BOTH(mul), BOTH(div), BOTH(min), BOTH(max), BOTH(sqrt),
    FUSED(vfmadd), FUSED(vfmsub), FUSED(vfnmadd), FUSED(vfnmsub),
    ROW(widen, 64, NULL, F32), ROW(narrow, 32, NULL, F64),
    ROW(round32, 32, NULL, F32), ROW(round64, 64, NULL, F64), ROW(ceil64, 64, NULL, F64),
    ROW(from_i32_32, 32), ROW(from_i64_32, 32), ROW(from_i64_64, 64),
    ROW(i32_32, 32, NULL, F32), ROW(i64_32, 64, NULL, F32),
    ROW(i32_64, 32, NULL, F64), ROW(i64_64, 64, NULL, F64),
    ROW(trunc32, 64, NULL, F32), ROW(trunc64, 32, NULL, F64),
    ROW(ucomi32, 2, F32, F32), ROW(ucomi64, 2, F64, F64),
    ROW(comi32, 2, F32, F32), ROW(comi64, 2, F64, F64),
    /* F16C: no denormal flag for binary16 sources, which DAZ does not touch, nor FZ results. */
    { "half_widen", { NULL, F16 }, 32, half_widen_host, half_widen_ours, "f16c", FP_DENORMAL },
    { "half_narrow", { NULL, F32 }, 16, half_narrow_host, half_narrow_ours, "f16c", 0,
      FP_INEXACT },
};

static bool host_has(const char *what)
{
    return !what || (g_str_equal(what, "fma") ? __builtin_cpu_supports("fma")
                                              : __builtin_cpu_supports("f16c"));
}

static uint64_t operand(Gen *g, const FpFormat *f, bool related, uint64_t to)
{
    return !f ? gen_pattern(g, 64) : related ? gen_related(g, f, to) : gen_operand(g, f);
}

/* Fills in operands and modes; `unmasked` exceptions trap. */
static Case generate(Gen *g, const Row *row, long i, unsigned unmasked)
{
    bool half = row->format[1] == F16 || row->bits == 16;
    unsigned modes = (i & 3) << 13 | (i & 4) << 4 | (i & 8) << 12;
    Case x = { .mxcsr = (0x1f80 & ~(unmasked << 7)) | modes };

    x.env = (FpEnv){ .rules = &fp_rules_sse, .round = i & 3, .unmasked = unmasked,
                     .daz = i & 4 && row->format[1] != F16, .ftz = i & 8 && !half };
    x.a = operand(g, row->format[0], false, 0);
    x.b = operand(g, row->format[1], row->format[0], x.a);
    x.c = operand(g, row->format[2], gen_below(g, 2), x.a);
    return x;
}

static bool check(const Row *row, const Case *in, uint64_t got, unsigned ours, uint64_t want,
                  unsigned flags)
{
    unsigned tiny = ours & in->env.unmasked & FP_UNDERFLOW ? row->ignore_tiny : 0;
    unsigned ignore = row->ignore | tiny;

    if (got != want || (ours & ~ignore) != (flags & ~ignore)) {
        g_test_message("%s mxcsr %04x a %016lx b %016lx c %016lx: %016lx flags %02x; "
                       "host %016lx %02x", row->name, in->mxcsr, in->a, in->b, in->c, got, ours,
                       want, flags);
        g_test_fail();
        return false;
    }
    return true;
}

static void run(gconstpointer data)
{
    const Row *row = data;
    Gen gen = gen_new();
    uint64_t mask = ~(uint64_t)0 >> (64 - row->bits);
    bool good = true;

    for (long i = gen_cases(40000); good && i > 0; i--) {
        Case in = generate(&gen, row, i, 0), x = in, y = in;
        uint64_t want = row->host(&x) & mask, got = row->ours(&y) & mask;

        good = check(row, &in, got, y.env.flags, want, x.mxcsr & 0x3f);
    }
}

static sigjmp_buf trapped;
static unsigned trap_mxcsr;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    trap_mxcsr = u->uc_mcontext.fpregs->mxcsr;
    siglongjmp(trapped, 1);
}

/* Unmasked exceptions: an invalid, denormal or zero-divide one hides later flags; the result only
   counts if nothing traps. */
static void run_unmasked(gconstpointer data)
{
    const Row *row = data;
    Gen gen = gen_new();
    uint64_t mask = ~(uint64_t)0 >> (64 - row->bits);
    volatile bool good = true;
    struct sigaction old;

    sigaction(SIGFPE, &(struct sigaction){ .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO }, &old);
    for (volatile long i = gen_cases(2000); good && i > 0; i--) {
        static Case in, x, y;           /* survive the jump */
        volatile uint64_t want = 0;
        volatile bool trap = true;
        uint64_t got;
        unsigned flags;

        x = y = in = generate(&gen, row, i, gen_below(&gen, 64));
        if (sigsetjmp(trapped, 1) == 0) {
            want = row->host(&x) & mask;
            trap_mxcsr = x.mxcsr;
            trap = false;
        }
        __asm__ volatile("ldmxcsr %0" : : "m"(standard));
        got = row->ours(&y) & mask;
        flags = y.env.flags & ~row->ignore;
        if (flags & y.env.unmasked & (FP_INVALID | FP_DENORMAL | FP_DIVZERO)) {
            flags &= FP_INVALID | FP_DENORMAL | FP_DIVZERO;
        }
        good = trap == (bool)(flags & y.env.unmasked) &&
               check(row, &in, trap ? 0 : got, flags, want, trap_mxcsr & 0x3f);
        if (!good) {
            g_test_message("mxcsr %04x: %s", in.mxcsr, trap ? "trapped" : "did not trap");
            g_test_fail();
        }
    }
    sigaction(SIGFPE, &old, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (host_has(rows[i].needs)) {
            g_autofree char *path = g_strdup_printf("/fp/sse/%s", rows[i].name);
            g_autofree char *traps = g_strdup_printf("/fp/sse-unmasked/%s", rows[i].name);
            g_test_add_data_func(path, &rows[i], run);
            g_test_add_data_func(traps, &rows[i], run_unmasked);
        }
    }
    return g_test_run();
}
