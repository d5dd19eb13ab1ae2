/* SPDX-License-Identifier: Apache-2.0 */
/* PVH entry of the micro benchmarks: 32-bit protected mode to long mode, the first GiB mapped one to one. */
    .section .note.pvh, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long start

    .section .text.start, "ax"
    .code32
    .globl start
start:
    mov $stack_end, %esp
    mov $pml4, %eax
    mov %eax, %cr3
    movl $pdpt + 3, pml4
    movl $pd + 3, pdpt
    mov $pd, %edi
    mov $0x83, %eax             /* present, writable, 2 MiB */
    mov $512, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $8, %edi
    add $0x200000, %eax
    loop 1b
    mov %cr4, %eax
    or $0x20, %eax              /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax             /* LME */
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    lgdt gdtr
    ljmp $8, $long_mode
    .code64
long_mode:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %ebp, %ebp
    call micro
0:  hlt
    jmp 0b

    .section .data
    .balign 8
gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdtr: .word . - gdt - 1
    .long gdt
    .section .bss
    .balign 4096
pml4: .skip 4096
pdpt: .skip 4096
pd: .skip 4096
    .skip 65536
stack_end:
    .section .note.GNU-stack, "", @progbits
