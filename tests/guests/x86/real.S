/* SPDX-License-Identifier: Apache-2.0 */
/* real_run(code): calls 16-bit code in real mode that lies at linear address code < 64 KiB; returns the
 * vector that ended it, or -1. Its frame is at 0x5f00: ip, cs, flags, vector. */
    SEL_CODE = 0x1c0
    SEL_DATA = 0x1c8
    FRAME = 0x5f00

    .text
    .globl  real_run, real_low, real_low_end
real_run:
    push    %ebx
    push    %esi
    push    %edi
    push    %ebp
    mov     %esp, saved_esp
    mov     %eax, FRAME + 8
    movl    $-1, FRAME + 12
    lidt    real_idtr
    mov     $SEL_DATA, %eax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     $0x4ff0, %esp
    ljmp    $SEL_CODE, $0x5000
back:
    mov     $0x10, %eax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    xor     %eax, %eax
    mov     %ax, %gs
    mov     %ax, %fs
    mov     saved_esp, %esp
    lidt    idtr
    mov     FRAME + 12, %eax
    pop     %ebp
    pop     %edi
    pop     %esi
    pop     %ebx
    ret

    .balign 16
    /* Copied to 0x5000. */
real_low:
    .code16
    mov     %cr0, %eax
    and     $~1, %al
    mov     %eax, %cr0
    ljmp    $0, $0x5000 + 1f - real_low
1:  xor     %ax, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    call    *FRAME + 8
leave_real:
    cli
    mov     %cr0, %eax
    or      $1, %al
    mov     %eax, %cr0
    ljmpl   $8, $back
    .org    real_low + 0x100    /* handlers, 16 bytes each */
    vector = 0
    .rept   32
    .balign 16
    push    $vector
    jmp     trapped
    vector = vector + 1
    .endr
trapped:
    cld
    mov     %cs, %ax
    mov     %ax, %ds
    pop     FRAME + 12
    movw    $0, FRAME + 14
    pop     FRAME
    pop     FRAME + 2
    pop     FRAME + 4
    mov     %ax, %ss
    mov     $0x4ff0, %sp
    jmp     leave_real
real_low_end:
    .code32
    .data
saved_esp:
    .long   0
real_idtr:
    .word   0x3ff
    .long   0
