/* SPDX-License-Identifier: Apache-2.0 */
/* fp_call(struct call *): one instruction on fa1, fa2, fa3 and a1, with results in fa0 and a0. */
#include "regs.h"
    .text
    .globl  fp_call
fp_call:
    addi    sp, sp, -32
    S       ra, 0(sp)
    S       s0, 8(sp)
    mv      s0, a0
    fld     fa0, 0(s0)
    fld     fa1, 8(s0)
    fld     fa2, 16(s0)
    fld     fa3, 24(s0)
    L       a1, 32(s0)
    L       t0, 40(s0)
    csrw    fcsr, t0
    L       t0, 48(s0)
    li      a0, 0
    jalr    t0, 0(t0)
    csrr    t0, fflags
    S       t0, 40(s0)
    S       a0, 32(s0)
    fsd     fa0, 0(s0)
    L       ra, 0(sp)
    L       s0, 8(sp)
    addi    sp, sp, 32
    ret
