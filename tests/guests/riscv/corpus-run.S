/* SPDX-License-Identifier: Apache-2.0 */
/* execute(state, code): loads all registers but ra, gp, tp, runs code, stores them again. */
#if __riscv_xlen == 64
#define L ld
#define S sd
#define N 8
#else
#define L lw
#define S sw
#define N 4
#endif
#define F (32 * N)
#define FCSR (F + 256)
    .macro  each_x op
    .irp    r, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     x\r, N*\r(tp)
    .endr
    .endm
    .macro  each_f op
    .irp    r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     f\r, F+8*\r(tp)
    .endr
    .endm

    .text
    .globl  execute
execute:
    addi    sp, sp, -32*N
    .irp    r, 1,8,9,18,19,20,21,22,23,24,25,26,27
    S       x\r, N*\r(sp)
    .endr
    la      t0, save_sp
    S       sp, 0(t0)
    mv      tp, a0
    la      t0, trapped
    csrw    mtvec, t0
    L       t0, FCSR(tp)
    csrw    fcsr, t0
    mv      ra, a1
    each_f  fld
    L       sp, 2*N(tp)
    S       ra, 1*N(tp)
    each_x  L
    jalr    ra, 0(ra)
after:
    S       sp, 2*N(tp)
    each_x  S
    each_f  fsd
    csrr    t0, fcsr
    S       t0, FCSR(tp)
    la      t0, save_sp
    L       sp, 0(t0)
    .irp    r, 1,8,9,18,19,20,21,22,23,24,25,26,27
    L       x\r, N*\r(sp)
    .endr
    addi    sp, sp, 32*N
    ret

    .balign 4
trapped:
    S       sp, 2*N(tp)
    each_x  S
    csrr    t0, mcause
    S       t0, FCSR+N(tp)
    csrr    t0, mtval
    S       t0, FCSR+2*N(tp)
    each_x  L
    j       after

    .bss
    .balign 8
save_sp:
    .space  8
