/* SPDX-License-Identifier: Apache-2.0 */
/* For assembly: loads and stores of XLEN bits, and the same for lists of registers. */
#if __riscv_xlen == 64
#define L ld
#define S sd
#define N 8
#else
#define L lw
#define S sw
#define N 4
#endif
    /* op xR, N*R(base) for all integer registers but x0, t0 and those of the harness */
    .macro  each_x op, base, own:vararg
    .irp    r, \own, 2,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     x\r, N*\r(\base)
    .endr
    .endm
    .macro  each_saved op, base
    .irp    r, 1,8,9,18,19,20,21,22,23,24,25,26,27
    \op     x\r, N*\r(\base)
    .endr
    .endm
    .macro  each_f op, base, at
    .irp    r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     f\r, \at+8*\r(\base)
    .endr
    .endm
