/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traps and changes of privilege for programs with harness.c.
 * long enter(fn, arg, mode, stack): runs fn(arg) in that mode; returns its result, or comes back when
 * the trap handler calls leave().
 */
#include "regs.h"

    .text
    .globl  enter
enter:
    la      t0, context
    each_saved S, t0
    S       sp, N*2(t0)
    li      t1, 3 << 11
    csrc    mstatus, t1
    slli    t1, a2, 11
    csrs    mstatus, t1
    csrw    mepc, a0
    mv      sp, a3
    mv      a0, a1
    la      ra, return_to_m
    mret
return_to_m:
    li      a7, 0x5eed
    ecall
    j       return_to_m

    .globl  leave
leave:                          /* from a trap in M mode: enter() returns a0 */
    la      t0, context
    each_saved L, t0
    L       sp, N*2(t0)
    ret

    .globl  trap_m
    .balign 4
trap_m:
    csrw    mscratch, t0
    la      t0, frame
    each_x  S, t0, 1, 3, 4
    csrr    t1, mscratch
    S       t1, N*5(t0)
    la      sp, trap_stack
    mv      a0, t0
    call    handle
    la      t0, frame
    each_x  L, t0, 1, 3, 4
    L       t0, N*5(t0)
    mret

    .globl  trap_s              /* records, then hands on to M by ecall */
    .balign 4
trap_s:
    la      t0, s_seen
    csrr    t1, scause
    S       t1, 0(t0)
    csrr    t1, sepc
    S       t1, N(t0)
    csrr    t1, stval
    S       t1, 2*N(t0)
    csrr    t1, sstatus
    S       t1, 3*N(t0)
    li      a7, 0x5eed
    ecall
    j       trap_s

    .globl  vectors             /* vectored: entry n counts itself */
    .balign 256
vectors:
    .rept   16
    .option push
    .option norvc
    j       trap_m
    .option pop
    .endr

    .bss
    .balign 16
context:
    .space  32 * N
frame:
    .space  32 * N
    .globl  s_seen
s_seen:
    .space  4 * N
    .balign 16
    .space  8192
trap_stack:
