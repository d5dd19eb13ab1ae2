/* SPDX-License-Identifier: Apache-2.0 */
/* MXCSR as the guest's floating-point mode and flags while generated code runs. Intel SDM 10.2.3. */
#include <xmmintrin.h>

#include "accel/jit/internal.h"

enum { MXCSR_DEFAULT = 0x1f80, MXCSR_FLAGS = 0x3f, MXCSR_DAZ = 1 << 6, MXCSR_FTZ = 1 << 15 };

/* FpRound 0-3 are MXCSR's; what the host lacks never reaches it: front ends use the library then. */
static unsigned host_mode(uint32_t mode)
{
    return MXCSR_DEFAULT | (mode & 3) << 13 | (mode & FP_FTZ ? MXCSR_FTZ : 0) |
           (mode & FP_DAZ ? MXCSR_DAZ : 0);
}

void jit_fp_enter(JitCpu *jc)
{
    _mm_setcsr(host_mode(jc->cpu->fp_mode));
    jc->fp_host = true;
}

void jit_fp_leave(JitCpu *jc)
{
    jc->cpu->fp_flags |= _mm_getcsr() & MXCSR_FLAGS;
    _mm_setcsr(MXCSR_DEFAULT);
    jc->fp_host = false;
}
