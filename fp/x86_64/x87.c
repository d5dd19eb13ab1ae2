/* SPDX-License-Identifier: Apache-2.0 */
/* x87 transcendental functions by the host's x87. Spec: Intel SDM 1, 8.3. */
#include "fp/num.h"

/*
 * The control word masks all exceptions, has 64 bits of precision and the caller's rounding; the
 * ABI promises an empty register stack, and FNINIT leaves one, with the default control word.
 * Flags of the status word are those of FpEnv; C1 (bit 9) and C2 (bit 10) go to the caller.
 */
typedef struct Result {
    Fp80 top, next;
    uint16_t status;
} Result;

static uint16_t control_word(const FpEnv *env)
{
    return 0x037f | (env->round & 3) << 10;
}

static void take_flags(Result r, FpEnv *env)
{
    env->flags |= r.status & 0x3f;
    env->detail |= (r.status & FP_INEXACT) && (r.status & 0x200) ? FP_ROUNDED_UP : 0;
    env->detail |= r.status & FP_INEXACT ? FP_FRACTION_ROUNDED : 0;
}

/* `pops` tells whether the instruction leaves a second register or leaves it empty. */
#define RUN(INSN, STORE)                                                                       \
    __asm__ volatile("fninit\n\tfldcw %[cw]\n\tfldt %[st1]\n\tfldt %[st0]\n\t" INSN "\n\t"     \
                     "fnstsw %[sw]\n\tfstpt %[top]\n\t" STORE "fninit"                         \
                     : [sw] "=m"(r.status), [top] "=m"(r.top), [next] "=m"(r.next)             \
                     : [cw] "m"(cw), [st0] "m"(st0), [st1] "m"(st1)                            \
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")
#define HOST(NAME, INSN, STORE)                                                                \
    static Result NAME(Fp80 st0, Fp80 st1, FpEnv *env)                                         \
    {                                                                                          \
        uint16_t cw = control_word(env);                                                       \
        Result r = {};                                                                         \
        RUN(INSN, STORE);                                                                      \
        take_flags(r, env);                                                                    \
        return r;                                                                              \
    }
HOST(host_f2xm1, "f2xm1", "")
HOST(host_yl2x, "fyl2x", "")
HOST(host_yl2xp1, "fyl2xp1", "")
HOST(host_patan, "fpatan", "")
HOST(host_sin, "fsin", "")
HOST(host_cos, "fcos", "")
HOST(host_sincos, "fsincos", "fstpt %[next]\n\t")
HOST(host_tan, "fptan", "fstpt %[next]\n\t")

static bool in_range(Result r) { return !(r.status & 0x400); }

Fp80 fp80_f2xm1(Fp80 st0, FpEnv *env) { return host_f2xm1(st0, st0, env).top; }
Fp80 fp80_yl2x(Fp80 st0, Fp80 st1, FpEnv *env) { return host_yl2x(st0, st1, env).top; }
Fp80 fp80_yl2xp1(Fp80 st0, Fp80 st1, FpEnv *env) { return host_yl2xp1(st0, st1, env).top; }
Fp80 fp80_patan(Fp80 st0, Fp80 st1, FpEnv *env) { return host_patan(st0, st1, env).top; }

static bool give(Result r, Fp80 value, Fp80 *result)
{
    if (in_range(r)) {
        *result = value;
    }
    return in_range(r);
}

bool fp80_sin(Fp80 st0, Fp80 *result, FpEnv *env)
{
    Result r = host_sin(st0, st0, env);
    return give(r, r.top, result);
}

bool fp80_cos(Fp80 st0, Fp80 *result, FpEnv *env)
{
    Result r = host_cos(st0, st0, env);
    return give(r, r.top, result);
}

bool fp80_sincos(Fp80 st0, Fp80 *sine, Fp80 *cosine, FpEnv *env)
{
    Result r = host_sincos(st0, st0, env);
    return give(r, r.next, sine) && give(r, r.top, cosine);
}

bool fp80_tan(Fp80 st0, Fp80 *result, Fp80 *one, FpEnv *env)
{
    Result r = host_tan(st0, st0, env);
    return give(r, r.next, result) && give(r, r.top, one);
}
