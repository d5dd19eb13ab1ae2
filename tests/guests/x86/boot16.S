/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot sector and what it loads: BIOS services in real mode, then protected mode as the 80286 has it (gates,
 * tasks and segments of 16 bits only), and back. Each step prints its letter on the first serial port; '!' is a
 * failure, "passed" the end. Intel 80286 Programmer's Reference Manual, chapters 6 to 9.
 */
    .code16
    .globl  _start

    COM1 = 0x3f8
    SECTORS = 8                     /* behind the first */

    CODE0 = 0x08
    DATA0 = 0x10
    CODE3 = 0x18 | 3
    DATA3 = 0x20 | 3
    TSS_MAIN = 0x28
    TSS_OTHER = 0x30
    CALL_GATE = 0x38 | 3
    TASK_GATE = 0x40 | 3
    LDT = 0x48
    ABSENT = 0x50
    SMALL = 0x58                    /* 16 bytes */
    DOWN = 0x60                     /* expands down: offsets above 0x100 */
    READ_ONLY = 0x68
    LOCAL = 0x04                    /* the first entry of the LDT */

    .macro  step letter
    mov     $\letter, %al
    call    put
    .endm

    .macro  must condition
    j\condition 1f
    call    bad
1:
    .endm

    .macro  descriptor base, limit, access
    .word   \limit, \base
    .byte   0, \access
    .word   0
    .endm

    .macro  gate selector, offset, access, words=0
    .word   \offset, \selector
    .byte   \words, \access
    .word   0
    .endm

_start:
    cli
    ljmp    $0, $1f
1:  xor     %ax, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     $0x7c00, %sp
    sti
    cld
    mov     %dl, drive
    xor     %dx, %dx
    mov     $0x00e3, %ax            /* INT 14h: 9600 8N1 */
    int     $0x14
    mov     $0x0200 | SECTORS, %ax  /* INT 13h: cylinder 0, head 0, sector 2 on */
    mov     $2, %cx
    mov     drive, %dl
    xor     %dh, %dh
    mov     $0x7e00, %bx
    int     $0x13
    jc      1f
    jmp     main
1:  hlt
    jmp     1b
drive:
    .byte   0
    .org    446
    .byte   0x80, 0, 2, 0, 0x83, 0, 9, 0    /* a partition, so that each firmware takes the disk for one */
    .long   1, SECTORS
    .org    510
    .word   0xaa55

/* ---- output; ax is lost ---- */
put:                                /* al, on the port itself */
    push    %dx
    mov     %al, %ah
    mov     $COM1 + 5, %dx
1:  in      %dx, %al
    test    $0x20, %al
    jz      1b
    mov     %ah, %al
    mov     $COM1, %dx
    out     %al, %dx
    pop     %dx
    ret

bad:
    mov     $'!', %al
    call    put
    mov     $'\n', %al
    call    put
    cli
    hlt
    jmp     bad

say:                                /* si, by INT 14h and INT 10h */
    lodsb
    test    %al, %al
    jz      1f
    push    %ax
    mov     $0x0e, %ah
    mov     $7, %bx
    int     $0x10
    pop     %ax
    mov     $1, %ah
    xor     %dx, %dx
    int     $0x14
    jmp     say
1:  ret

hello:
    .asciz  "boot16 "
done:
    .asciz  " passed\r\n"

/* ---- real mode ---- */
main:
    mov     $hello, %si
    call    say

    int     $0x12                   /* memory below 640 K */
    cmp     $600, %ax
    must    ae
    step    'a'

    mov     $0x88, %ah              /* memory above 1 M */
    int     $0x15
    must    nc
    cmp     $1024, %ax
    must    ae
    step    'b'

    cli                             /* the timer's interrupt calls us */
    movw    $tick, 0x1c * 4
    movw    $0, 0x1c * 4 + 2
    sti
1:  hlt
    cmpw    $2, ticks
    jb      1b
    xor     %ah, %ah
    int     $0x1a
    or      %dx, %cx
    must    nz
    step    'c'

    mov     $0x87, %ah              /* a copy up to 1 M and down again, by the BIOS */
    mov     $8, %cx
    mov     $move_up, %si
    int     $0x15
    must    nc
    mov     $0x87, %ah
    mov     $8, %cx
    mov     $move_down, %si
    int     $0x15
    must    nc
    mov     $pattern, %si
    mov     $copy, %di
    mov     $8, %cx
    repe cmpsw
    must    e
    step    'd'

    mov     $0x41, %ah              /* the disk has extensions; the first sector is this one */
    mov     $0x55aa, %bx
    mov     drive, %dl
    int     $0x13
    must    nc
    cmp     $0xaa55, %bx
    must    e
    mov     $0x42, %ah
    mov     drive, %dl
    mov     $packet, %si
    int     $0x13
    must    nc
    mov     $0x7c00, %si
    mov     $sector, %di
    mov     $0x20, %cx              /* (the part that nobody has changed) */
    repe cmpsb
    must    e
    step    'e'

    movw    $divided, 0             /* #DE points at the instruction, INTO behind it */
    movw    $0, 2
    movw    $overflowed, 4 * 4
    movw    $0, 4 * 4 + 2
    xor     %cx, %cx
    mov     $1, %ax
divide:
    div     %cl
divide_end:
    cmp     $1, %bp
    must    e
    mov     $0x7fff, %ax
    inc     %ax
    into
    cmp     $2, %bp
    must    e
    step    'f'

/* ---- protected mode of the 80286 ---- */
    cli
    in      $0x21, %al
    mov     %al, mask
    mov     $0xff, %al              /* no interrupts but those we ask for */
    out     %al, $0x21
    lgdt    gdtr
    lidt    idtr
    mov     %sp, real_sp
    smsw    %ax
    or      $1, %al
    lmsw    %ax
    ljmp    $CODE0, $protected
protected:
    mov     $DATA0, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     $TSS_MAIN, %ax
    ltr     %ax
    mov     $LDT, %ax
    lldt    %ax
    step    'A'

    smsw    %ax                     /* LMSW cannot leave protected mode */
    and     $0xfffe, %ax
    lmsw    %ax
    smsw    %ax
    test    $1, %al
    must    nz
    str     %ax
    cmp     $TSS_MAIN, %ax
    must    e
    sldt    %ax
    cmp     $LDT, %ax
    must    e
    testb   $2, gdt + TSS_MAIN + 5  /* busy */
    must    nz
    step    'B'

    sti                             /* an interrupt gate clears IF, a trap gate does not */
    int     $0x40
    int     $0x42
    cli
    cmp     $0x12, %bp
    must    e
    step    'C'

    mov     $LOCAL, %ax             /* a segment of the LDT: the screen */
    mov     %ax, %es
    movw    $0x0741, %es:0
    cmpb    $0x41, %es:0
    must    e
    mov     $DATA0, %ax
    mov     %ax, %es
    step    'D'

    mov     $0x7777, %cx            /* #GP: beyond the table, with its selector; ours is skipped */
    movw    $after_gp, resume
    mov     $0x1000, %ax
    mov     %ax, %es
    call    bad
after_gp:
    cmp     $0x1000, %cx
    must    e
    step    'E'

    movw    $after_limit, resume    /* #GP(0): beyond a limit, above and below; in code that is read only */
    mov     $SMALL, %ax
    mov     %ax, %es
    movw    %es:14, %ax
    movw    %es:15, %ax
    call    bad
after_limit:
    test    %cx, %cx
    must    z
    movw    $after_down, resume
    mov     $DOWN, %ax
    mov     %ax, %es
    movw    %es:0x101, %ax
    movw    %es:0xfffe, %ax
    movw    %es:0x100, %ax
    call    bad
after_down:
    movw    $after_write, resume
    mov     $READ_ONLY, %ax
    mov     %ax, %es
    movw    %es:0, %ax
    movw    %ax, %es:0
    call    bad
after_write:
    step    'F'

    mov     $ABSENT, %ax            /* #NP: the handler brings the segment, the load happens once more */
    mov     %ax, %es
    cmpw    $0x4711, %es:0
    must    e
    cmp     $ABSENT, %cx
    must    e
    mov     $DATA0, %ax
    mov     %ax, %es
    step    'G'

    mov     $SMALL, %ax             /* LAR, LSL, VERR, VERW */
    lar     %ax, %bx
    must    z
    cmp     $0xf300, %bx            /* (accessed by now) */
    must    e
    lsl     %ax, %bx
    cmp     $15, %bx
    must    e
    mov     $READ_ONLY, %ax
    verr    %ax
    must    z
    verw    %ax
    must    nz
    mov     $0x1000, %ax
    lar     %ax, %bx
    must    nz
    mov     $0x10, %ax              /* ARPL */
    mov     $3, %bx
    arpl    %bx, %ax
    must    z
    cmp     $0x13, %ax
    must    e
    step    'H'

    mov     $0x5151, %si            /* a task: by its segment, by a gate, by an interrupt */
    lcall   $TSS_OTHER, $0
    cmp     $0x5151, %si
    must    e
    cmpw    $1, other_runs
    must    e
    testb   $2, gdt + TSS_OTHER + 5
    must    z
    lcall   $TASK_GATE, $0
    int     $0x41
    cmpw    $3, other_runs
    must    e
    cmpw    $TSS_MAIN, tss_other    /* the back link */
    must    e
    testb   $2, gdt + TSS_MAIN + 5
    must    nz
    smsw    %ax
    test    $8, %al                 /* TS */
    must    nz
    clts
    step    'I'

    mov     %sp, tss_main + 2       /* to ring 3; gates lead back to this stack */
    movw    $back, resume
    pushw   $DATA3
    pushw   $user_stack
    pushw   $0x3202                 /* IOPL 3: the serial port is ours */
    pushw   $CODE3
    pushw   $user
    iret

user:
    mov     $DATA3, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %cs, %ax
    and     $3, %al
    cmp     $3, %al
    must    e
    step    'J'
    mov     %sp, %di
    pushw   $0x1111                 /* two words cross to the inner stack */
    pushw   $0x2222
    lcall   $CALL_GATE, $0
    cmp     $0x3333, %ax
    must    e
    cmp     %sp, %di                /* both stacks are rid of them */
    must    e
    step    'K'
    int     $0x43                   /* an interrupt gate for all, and a task gate */
    cmp     $0x43, %bp
    must    e
    int     $0x41
    lcall   $TASK_GATE, $0
    cmpw    $5, other_runs
    must    e
    step    'L'
    mov     $0xfe, %al              /* the timer may come; it leads to ring 0 and back */
    out     %al, $0x21
1:  cmpw    $3, timer_ticks
    jb      1b
    step    'M'
    mov     $DATA0, %ax             /* ring 0's data are none of ours, and nor is HLT */
    verr    %ax
    must    nz
    hlt
    call    bad

back:                               /* ring 0 on the stack of before */
    mov     %cs, %ax
    test    $3, %al
    must    z
    step    'N'

/* ---- and back ---- */
    cli
    mov     $DATA0, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    lidt    real_idtr
    mov     %cr0, %eax
    and     $~1, %al
    mov     %eax, %cr0
    ljmp    $0, $1f
1:  xor     %ax, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     real_sp, %sp
    mov     mask, %al
    out     %al, $0x21
    mov     $0x20, %al
    out     %al, $0x20
    movw    $0, ticks
    sti
1:  hlt
    cmpw    $2, ticks
    jb      1b
    step    'z'
    mov     $done, %si
    call    say
    mov     $0x5307, %ax            /* APM, where there is one: off */
    mov     $1, %bx
    mov     $3, %cx
    int     $0x15
1:  hlt
    jmp     1b

/* ---- handlers in real mode ---- */
tick:
    incw    %cs:ticks
    iret

divided:
    push    %bp
    mov     %sp, %bp
    cmpw    $divide, 2(%bp)
    must    e
    movw    $divide_end, 2(%bp)
    pop     %bp
    mov     $1, %bp
    iret

overflowed:
    mov     $2, %bp
    iret

/* ---- handlers in protected mode ---- */
of_interrupt:
    pushf
    pop     %bp
    test    $0x200, %bp
    must    z
    mov     $0x10, %bp
    iret

of_trap:
    pushf
    pop     %ax
    test    $0x200, %ax
    must    nz
    or      $2, %bp
    iret

of_user:
    push    %ss
    pop     %bp
    cmp     $DATA0, %bp
    must    e
    mov     $0x43, %bp
    iret

protection:                         /* error code to cx, on at `resume` */
    mov     $DATA0, %cx
    mov     %cx, %ds
    mov     %cx, %es
    pop     %cx
    add     $6, %sp
    cmpw    $back, resume           /* from ring 3: its stack pointer lies there too */
    jne     1f
    add     $4, %sp
1:  jmp     *resume

not_present:
    pop     %cx
    orb     $0x80, gdt + ABSENT + 5
    iret

gated:                              /* ring 0: its own stack with the two words */
    push    %bp
    mov     %sp, %bp
    mov     6(%bp), %ax
    add     8(%bp), %ax
    mov     %cs, %bp
    test    $3, %bp
    must    z
    pop     %bp
    lret    $4

timer:
    push    %ax
    incw    timer_ticks
    cmpw    $3, timer_ticks
    jb      1f
    mov     $0xff, %al
    out     %al, $0x21
1:  mov     $0x20, %al
    out     %al, $0x20
    pop     %ax
    iret

/* The other task: counts, returns, and goes on behind the IRET. */
other:
    incw    other_runs
    pushf
    pop     %ax
    test    $0x4000, %ax            /* NT */
    must    nz
    iret
    jmp     other

/* ---- tables ---- */
    .balign 8
gdt:
    .quad   0
    descriptor 0, 0xffff, 0x9b      /* CODE0 */
    descriptor 0, 0xffff, 0x93      /* DATA0 */
    descriptor 0, 0xffff, 0xfb      /* CODE3 */
    descriptor 0, 0xffff, 0xf3      /* DATA3 */
    descriptor tss_main, 43, 0x81
    descriptor tss_other, 43, 0x81
    gate    CODE0, gated, 0xe4, 2
    gate    TSS_OTHER, 0, 0xe5
    descriptor ldt, 7, 0x82
    descriptor absent, 15, 0x13
    descriptor copy, 15, 0xf2
    descriptor 0, 0x100, 0xf6
    descriptor 0, 0xffff, 0xf0
gdt_end:
ldt:
    .word   4000 - 1, 0x8000        /* 0xb8000 */
    .byte   0x0b, 0x93
    .word   0
gdtr:
    .word   gdt_end - gdt - 1
    .long   gdt

    .balign 8
idt:
    .rept   8
    gate    CODE0, bad, 0x86
    .endr
    gate    CODE0, timer, 0x86      /* the PIC's own vectors are still the BIOS' */
    .rept   2
    gate    CODE0, bad, 0x86
    .endr
    gate    CODE0, not_present, 0x86
    gate    CODE0, bad, 0x86
    gate    CODE0, protection, 0x86
    .rept   0x40 - 14
    gate    CODE0, bad, 0x86
    .endr
    gate    CODE0, of_interrupt, 0x86
    gate    TSS_OTHER, 0, 0xe5
    gate    CODE0, of_trap, 0x87
    gate    CODE0, of_user, 0xe6
idt_end:
idtr:
    .word   idt_end - idt - 1
    .long   idt
real_idtr:
    .word   0x3ff
    .long   0

    .balign 2
tss_main:
    .word   0, 0, DATA0             /* back link, ring 0's stack */
    .fill   19, 2, 0
tss_other:
    .word   0, 0, DATA0, 0, 0, 0, 0
    .word   other, 2                /* ip, flags */
    .word   0, 0, 0, 0, other_stack, 0, 0, 0
    .word   DATA0, CODE0, DATA0, DATA0, LDT

    /* INT 15h, AH=87h: dummy, table, source, target, code, stack */
    .macro  mover from, from_high, to, to_high
    .quad   0, 0
    .word   0xffff, \from
    .byte   \from_high, 0x93
    .word   0
    .word   0xffff, \to
    .byte   \to_high, 0x93
    .word   0
    .quad   0, 0
    .endm
move_up:
    mover   pattern, 0, 0x4000, 0x10
move_down:
    mover   0x4000, 0x10, copy, 0
pattern:
    .word   1, 2, 3, 5, 8, 13, 21, 34
copy:
    .fill   16, 1, 0
absent:
    .word   0x4711, 0, 0, 0, 0, 0, 0, 0
packet:
    .word   16, 1, sector, 0
    .quad   0

ticks:
    .word   0
timer_ticks:
    .word   0
mask:
    .byte   0
    .balign 2
resume:
    .word   0
real_sp:
    .word   0
other_runs:
    .word   0
    .org    512 * (SECTORS + 1)
    /* Not in the image. */
    .struct 0xa100
other_stack:
    .struct 0xa200
user_stack:
    .struct 0xa400
sector:
