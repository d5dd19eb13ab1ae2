/* SPDX-License-Identifier: Apache-2.0 */
/* execute(state, code): loads all registers but ra, gp, tp, runs code, stores them again. */
#include "regs.h"
#define F (32 * N)
#define FCSR (F + 256)

    .text
    .globl  execute
execute:
    addi    sp, sp, -32*N
    each_saved S, sp
    la      t0, save_sp
    S       sp, 0(t0)
    mv      tp, a0
    la      t0, trapped
    csrw    mtvec, t0
    L       t0, FCSR(tp)
    csrw    fcsr, t0
    mv      ra, a1
    each_f  fld, tp, F
    S       ra, 1*N(tp)
    each_x  L, tp, 5
    jalr    ra, 0(ra)
after:
    each_x  S, tp, 5
    each_f  fsd, tp, F
    csrr    t0, fcsr
    S       t0, FCSR(tp)
    la      t0, save_sp
    L       sp, 0(t0)
    each_saved L, sp
    addi    sp, sp, 32*N
    ret

    .balign 4
trapped:
    each_x  S, tp, 5
    csrr    t0, mcause
    S       t0, FCSR+N(tp)
    csrr    t0, mtval
    S       t0, FCSR+2*N(tp)
    each_x  L, tp, 5
    j       after

    .bss
    .balign 8
save_sp:
    .space  8
