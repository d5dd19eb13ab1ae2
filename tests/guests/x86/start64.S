/* SPDX-License-Identifier: Apache-2.0 */
/* A 64-bit program's way into long mode, traps, changes of ring. The first 64 MiB are mapped to themselves
 * for both rings, by large pages. */
    .section .note.pvh, "a"
    .long   4, 8, 18
    .asciz  "Xen"
    .quad   _start

    .section .text.start, "ax"
    .code32
    .globl  _start
_start:
    cli
    cld
    mov     $stack_top, %esp
    mov     $pml4, %edi
    movl    $pdpt + 7, (%edi)
    movl    $pd + 7, pdpt
    mov     $pd, %edi
    mov     $0x87, %eax
    mov     $32, %ecx
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    loop    1b
    mov     $tss, %eax
    mov     %ax, gdt + 0x28 + 2
    shr     $16, %eax
    mov     %al, gdt + 0x28 + 4
    mov     %ah, gdt + 0x28 + 7
    mov     $0x620, %eax        /* PAE, OSFXSR, OSXMMEXCPT */
    mov     %eax, %cr4
    mov     $pml4, %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx
    mov     $0x901, %eax        /* SCE, LME, NXE */
    xor     %edx, %edx
    wrmsr
    mov     $0x80000031, %eax
    mov     %eax, %cr0
    lgdt    gdtr
    ljmp    $8, $1f
    .code64
1:  mov     $0x10, %eax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    xor     %eax, %eax
    mov     %ax, %fs
    mov     %ax, %gs
    lldt    %ax
    lidt    idtr
    mov     $0x28, %eax
    ltr     %ax
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

    .macro  each op
    .irp    r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    \op     %\r
    .endr
    .endm
    .macro  back op
    .irp    r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    \op     %\r
    .endr
    .endm

    .globl  common
common:
    each    push
    cld
    mov     %rsp, %rdi
    mov     %rsp, %rbp
    and     $~15, %rsp
    call    handle
    mov     %rbp, %rsp
    test    %al, %al
    jz      leave
    back    pop
    add     $16, %rsp
    iretq

    .globl  try
try:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    context
    mov     %rsp, context
    movb    $1, trying
    mov     %rdi, %rax
    mov     %rsi, %rdi
    call    *%rax
    mov     $-1, %eax
    jmp     2f
leave:
    mov     $0x10, %eax
    mov     %ax, %ss
    mov     %ax, %ds
    mov     %ax, %es
    mov     context, %rsp
    mov     seen + 15 * 8, %eax /* vector */
2:  push    $2
    popf
    movb    $0, trying
    pop     context
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

    .globl  enter_user
enter_user:
    push    $0x23
    push    $user_stack_top
    push    user_flags
    push    $0x1b
    push    %rdi
    iretq

    .data
    .balign 8
    .globl  gdt, tss, idt, trying, user_flags, idtr, gdtr, pml4, pd
gdt:
    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00affb000000ffff, 0x00cff3000000ffff
    .quad   0x0000890000000067, 0
    .fill   57, 8, 0
gdtr:
    .word   64 * 8 - 1
    .quad   gdt
    .balign 8
idtr:
    .word   256 * 16 - 1
    .quad   idt
    .balign 8
user_flags:
    .quad   2
context:
    .quad   0
trying:
    .quad   0
    .balign 16
tss:
    .long   0
    .quad   trap_stack_top, 0, 0, 0
    .quad   ist_stack_top       /* IST 1 */
    .fill   14, 4, 0
    .word   0, 0x68

    .bss
    .balign 4096
pml4:
    .space  4096
pdpt:
    .space  4096
pd:
    .space  4096
idt:
    .space  4096
    .globl  user_stack, user_stack_top, trap_stack_top, ist_stack_top, stack_top
    .space  32768
stack_top:
    .space  8192
trap_stack_top:
    .space  8192
ist_stack_top:
user_stack:
    .space  8192
user_stack_top:
