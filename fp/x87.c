/* SPDX-License-Identifier: Apache-2.0 */
/* x87 operations without a counterpart elsewhere. Spec: Intel SDM 2, FSCALE and FXTRACT. */
#include "num.h"

Fp80 fp80_scale(Fp80 st0, Fp80 st1, FpEnv *env)
{
    const FpFormat *f = &fp80_format;
    Num a = unpack(f, fp80_raw(st0), env), b = unpack(f, fp80_raw(st1), env), r = a;

    if (is_nan(&a) || is_nan(&b)) {
        r = fp_nan_result(&a, &b, NULL, env);
        return fp80_of(pack(f, r, env));
    }
    if (b.cls == NUM_INF) {
        NumClass bad = b.sign ? NUM_INF : NUM_ZERO;
        r = a.cls == bad ? fp_invalid(env, FP_WHY_INF_ZERO)
                         : num_make(b.sign ? NUM_ZERO : NUM_INF, a.sign);
        note_denormals(env, a.denormal);
        return fp80_of(pack(f, r, env));
    }
    note_denormals(env, a.denormal || b.denormal);
    if (a.cls == NUM_FINITE && b.cls == NUM_FINITE && b.exp >= 0) {
        int n = b.exp > 16 ? 1 << 17 : (int)(b.frac >> (127 - b.exp));
        r.exp += b.sign ? -n : n;
    }
    return fp80_of(pack(f, r, env));
}

Fp80 fp80_xtract(Fp80 st0, Fp80 *exponent, FpEnv *env)
{
    const FpFormat *f = &fp80_format;
    Num a = unpack(f, fp80_raw(st0), env), e = num_make(NUM_INF, false);

    if (is_nan(&a)) {
        a = e = fp_nan_result(&a, NULL, NULL, env);
    } else if (a.cls == NUM_ZERO) {
        env->flags |= FP_DIVZERO;
        e.sign = true;
    } else if (a.cls == NUM_FINITE) {
        note_denormals(env, a.denormal);
        *exponent = fp80_from_int(a.exp, 0, env);
        a.exp = 0;
        return fp80_of(pack(f, a, env));
    }
    *exponent = fp80_of(fp_pack_special(f, e));
    return fp80_of(pack(f, a, env));
}
