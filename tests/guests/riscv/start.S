/* SPDX-License-Identifier: Apache-2.0 */
/* First instructions of a bare-metal program: hart 0 gets a stack and runs main(), others wait. */
#include "regs.h"
    .section .text.start, "ax"
    .globl _start
_start:
    csrr    a0, mhartid
    bnez    a0, park
    la      sp, stack_top
    li      t0, 0x6000          /* mstatus.FS dirty */
    csrs    mstatus, t0
    csrw    fcsr, zero
    call    main
    call    finish              /* never comes back */
park:
    la      t0, park_entry
1:  wfi
    L       t1, 0(t0)
    beqz    t1, 1b
    la      sp, stack_top
    slli    t2, a0, 12
    add     sp, sp, t2
    jr      t1

    .data
    .globl park_entry
    .balign 8
park_entry:
    .dword  0                   /* where the other harts go, once it is set */
    .bss
    .balign 16
    .space  16384
stack_top:
    .space  8 * 4096            /* the stacks of harts 1 to 8 end in here */
