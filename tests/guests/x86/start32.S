/* SPDX-License-Identifier: Apache-2.0 */
/* A 32-bit program's first instructions, traps, changes of ring. */
    .section .note.pvh, "a"
    .long   4, 4, 18
    .asciz  "Xen"
    .long   _start

    .section .text.start, "ax"
    .globl  _start
_start:
    cli
    cld
    mov     $stack_top, %esp
    mov     $tss, %eax
    mov     %ax, gdt + 0x28 + 2
    shr     $16, %eax
    mov     %al, gdt + 0x28 + 4
    mov     %ah, gdt + 0x28 + 7
    lgdt    gdtr
    lidt    idtr
    ljmp    $8, $1f
1:  mov     $0x10, %eax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    xor     %eax, %eax
    mov     %ax, %fs
    mov     %ax, %gs
    lldt    %ax
    mov     $0x28, %eax
    ltr     %ax
    mov     $0x31, %eax         /* PE, ET, NE */
    mov     %eax, %cr0
    fninit
    call    start

    .text
    .balign 16
    .globl  stubs
stubs:
    vector = 0
    .rept   256
    .balign 16
    .if     !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    push    $0
    .endif
    push    $vector
    jmp     common
    vector = vector + 1
    .endr

    .globl  common
common:
    pusha
    push    %ds
    push    %es
    push    %fs
    push    %gs
    mov     $0x10, %eax
    mov     %ax, %ds
    mov     %ax, %es
    cld
    mov     %esp, %eax
    call    handle
    test    %al, %al
    jz      leave
    pop     %gs
    pop     %fs
    pop     %es
    pop     %ds
    popa
    add     $8, %esp
    iret

    .globl  try
try:
    push    %ebx
    push    %esi
    push    %edi
    push    %ebp
    push    context
    mov     %esp, context
    movb    $1, trying
    mov     %eax, %ecx
    mov     %edx, %eax
    call    *%ecx
    mov     $-1, %eax
    jmp     2f
leave:
    mov     $0x10, %eax
    mov     %ax, %ss
    mov     context, %esp
    xor     %eax, %eax
    mov     %ax, %fs
    mov     %ax, %gs
    mov     seen + 48, %eax     /* vector */
2:  push    $2
    popf
    movb    $0, trying
    pop     context
    pop     %ebp
    pop     %edi
    pop     %esi
    pop     %ebx
    ret

    .globl  enter_user
enter_user:
    push    $0x23
    push    $user_stack_top
    push    user_flags
    push    $0x1b
    push    %eax
    mov     $0x23, %eax
    mov     %ax, %ds
    mov     %ax, %es
    iret

    .data
    .balign 8
    .globl  gdt, tss, idt, trying, user_flags, idtr, gdtr
gdt:
    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
    .quad   0x0000890000000067
    .fill   58, 8, 0
gdtr:
    .word   64 * 8 - 1
    .long   gdt
    .balign 4
idtr:
    .word   256 * 8 - 1
    .long   idt
    .balign 4
user_flags:
    .long   2
context:
    .long   0
trying:
    .long   0
    .balign 16
tss:
    .long   0, trap_stack_top, 0x10
    .fill   22, 4, 0
    .word   0, 0x68             /* no bitmap of ports */

    .bss
    .balign 16
idt:
    .space  2048
    .globl  user_stack, user_stack_top, trap_stack_top
    .balign 4096
    .space  16384
stack_top:
    .space  8192
trap_stack_top:
user_stack:
    .space  8192
user_stack_top:
