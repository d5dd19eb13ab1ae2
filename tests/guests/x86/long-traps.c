/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, interrupts and far returns of long mode. Intel SDM vol. 3A, 6.14. */
#include "guest.h"

extern uint8_t ist_stack_top[], trap_stack_top[];
enum { CODE32 = 0x80, CODE32_0 = 0x88, BOTH = 0x90, GATE = 0xa0, GATE_BAD = 0xb0, LOW = 0x6000 };
#define BAD 0x8000000000000000ul

static void call_at(reg p) { ((void (*)(void))p)(); }
static void read_at(reg p) { __asm__ volatile("mov (%0), %%al" ::"r"(p) : "rax"); }
static void stack_at(reg p) { __asm__ volatile("mov %%rbp, %%rbx\n mov %0, %%rbp\n mov (%%rbp), %%rax\n mov %%rbx, %%rbp" ::"r"(p) : "rax", "rbx"); }
static void base_at(reg p) { __asm__ volatile("mov (%0,%1), %%al" ::"r"(p), "r"(0l) : "rax"); }
static void invalid(reg a) { __asm__ volatile("ud2"); }
static void int_41(reg a) { __asm__ volatile("int $0x41"); }
static void load_es(reg sel) { __asm__ volatile("mov %0, %%es" ::"r"(sel)); }
static void load_ss(reg sel) { __asm__ volatile("mov %0, %%ss" ::"r"(sel)); }
static void load_fs_base(reg v) { wrmsr(0xc0000100, v); }
static void ltr(reg sel) { __asm__ volatile("ltr %w0" ::"r"(sel)); }
static void odd_stack(reg a) { __asm__ volatile("mov %%rsp, %%rbx\n sub $3, %%rsp\n ud2" ::: "rbx"); }
static void invalid_32(reg op) { ((void (*)(void))op)(); }
CODE(op_aaa, ".byte 0x37\n ret");
CODE(op_pusha, ".byte 0x60\n ret");
CODE(op_push_es, ".byte 0x06\n ret");
CODE(op_callf, ".byte 0x9a\n ret");
CODE(op_salc, ".byte 0xd6\n ret");
CODE(op_bound, ".byte 0x62, 0x00\n ret");
CODE(op_into, ".byte 0xce\n ret");
CODE(op_long, ".rept 15\n .byte 0x66\n .endr\n nop\n ret");

static void basics(void)
{
    expect("ud2", try(invalid, 0), UD, 0);
    check("ss in ring 0", seen.ss, DATA0);
    expect("odd stack", try(odd_stack, 0), UD, 0);
    check("its rsp is saved", seen.sp & 15, (seen.rbx - 3) & 15);
    expect("not canonical", try(read_at, BAD), GP, 0);
    expect("stack not canonical", try(stack_at, BAD), SS, 0);
    expect("rip not canonical", try(call_at, BAD), GP, 0);
    expect("below the hole", try(read_at, 0x7ffffffffffful), PF, 0);
    expect("at the hole", try(read_at, 0x800000000000ul), GP, 0);
    expect("above the hole", try(base_at, 0xffff800000000000ul), PF, 0);
    expect("over the end of the space", try(read_at, 0xfffffffffffffffful), PF, 0);
    expect("fs base not canonical", try(load_fs_base, BAD), GP, 0);
    expect("null ss in ring 0", try(load_ss, 0), NONE, 0);
    expect("null ss, wrong ring", try(load_ss, 3), GP, 0);
    expect("es beyond the table", try(load_es, 0x203), GP, 0x200);
    expect("busy tss", try(ltr, TSS), GP, TSS);
    static uint8_t *const gone[] = {op_aaa, op_pusha, op_push_es, op_callf, op_salc, op_bound, op_into};
    for (unsigned n = 0; n < 7; n++)
        expect("not in 64-bit mode", try(invalid_32, (reg)gone[n]), UD, 0);
    expect("too long", try(invalid_32, (reg)op_long), GP, 0);
}

static reg stack_seen;
static bool note_stack(Frame *f)
{
    stack_seen = (reg)f;
    return false;
}

extern uint64_t idt[512];
static void set_ist(unsigned vector, unsigned ist) { idt[2 * vector] = (idt[2 * vector] & ~(7ul << 32)) | (uint64_t)ist << 32; }

CODE(user_ud, "mov $user_stack_top-5, %rsp\n ud2");
CODE(user_int, "int $0x41");

static void stacks(void)
{
    hook = note_stack;
    check("from ring 3", try_user(user_ud), UD);
    check("rsp of ring 3", seen.sp, (reg)user_stack_top - 5);
    check("ss of ring 3", seen.ss, DATA3);
    check("on the stack of the TSS", stack_seen, (reg)trap_stack_top - sizeof(Frame));
    set_ist(UD, 1);
    check("IST", try(invalid, 0), UD);
    check("its stack", stack_seen, (reg)ist_stack_top - sizeof(Frame));
    check("IST from ring 3", try_user(user_ud), UD);
    check("its stack", stack_seen, (reg)ist_stack_top - sizeof(Frame));
    set_ist(UD, 0);
    hook = NULL;
    set_idt(0x41, 0, CODE0, 0x8e);
    expect("int of ring 0", try_user(user_int), GP, 0x41 * 8 + 2);
    set_idt(0x41, 0, CODE32_0, 0x8e);
    set_segment(CODE32_0, 0, 0xfffff, 0x9b, 0xc);
    expect("handler of 32 bits", try(int_41, 0), GP, CODE32_0);
    set_idt(0x41, 0, CODE0, 0x85);
    expect("task gate", try(int_41, 0), GP, 0x41 * 8 + 2);
    set_idt(0x41, 0, CODE0, 0x86);
    expect("16-bit gate", try(int_41, 0), GP, 0x41 * 8 + 2);
    set_idt(0x41, 0, CODE0, 0x8e);
    idt[2 * 0x41 + 1] = 0xffff1234;
    check("handler not canonical", try(int_41, 0), GP);
    set_idt(0x41, 0, CODE0, 0x8e);
    set_idt(GP, 0, CODE0, 0x0e);
    expect("double fault", try(read_at, BAD), DF, 0);
    set_idt(GP, 0, CODE0, 0x8e);
}

/* ---- iret, compatibility mode ---- */

CODE(do_iret, "lea frame_, %rax\n push 32(%rax)\n push 24(%rax)\n push 16(%rax)\n push 8(%rax)\n push (%rax)\n iretq");
uint64_t frame_[5];
static int iret(reg ip, reg cs, reg flags, reg sp, reg ss)
{
    frame_[0] = ip, frame_[1] = cs, frame_[2] = flags, frame_[3] = sp, frame_[4] = ss;
    return try(call_at, (reg)do_iret);
}
CODE(compat, ".code32\n mov %esp, %eax\n mov $0x12345678, %ecx\n dec %ecx\n push %ecx\n int $0xf0\n.code64\n");
CODE(end_here, "int $0xf0");

static void irets(void)
{
    set_segment(CODE32, 0, 0xfffff, 0xfb, 0xc);
    set_segment(BOTH, 0, 0xfffff, 0x9b, 0xe);
    copy((void *)LOW, compat, compat_end - compat);
    check("to compatibility mode", iret(LOW, CODE32 + 3, 2, 0x123400007f00, DATA3), DONE);
    check("esp is cut", seen.rax, 0x7f00);
    check("dec, not a prefix", seen.rcx, 0x12345677);
    check("its cs", seen.cs, CODE32 + 3);
    check("its rsp", seen.sp, 0x7efc);
    check("to the same ring", iret((reg)end_here, CODE0, 2, 0x7f00, DATA0), DONE);
    check("rsp is loaded always", seen.sp, 0x7f00);
    check("null ss in ring 0", iret((reg)end_here, CODE0, 2, 0x7f00, 0), DONE);
    check("its ss", seen.ss, 0);
    expect("null ss in ring 3", iret((reg)end_here, CODE3, 2, 0x7f00, 3), GP, 0);
    expect("rip not canonical", iret(BAD, CODE3, 2, 0x7f00, DATA3), GP, 0);
    expect("L and D", iret((reg)end_here, BOTH, 2, 0x7f00, DATA0), GP, BOTH);
    expect("wrong ring of ss", iret((reg)end_here, CODE3, 2, 0x7f00, DATA0), GP, DATA0);
    expect("NT", iret((reg)end_here, CODE0, 2 | F_NT, 0x7f00, DATA0), DONE, 0);
    expect("eip beyond the limit", (set_segment(CODE32, 0, 0xfff, 0xfb, 4), iret(LOW, CODE32 + 3, 2, 0x7f00, DATA3)), GP, 0);
}

/* ---- call gates ---- */

uint64_t found[8];
CODE(gate_entry, "mov %rsp, found\n mov %cs, %eax\n mov %rax, found+8\n mov %ss, %eax\n mov %rax, found+16\n"
     "mov (%rsp), %rax\n mov %rax, found+24\n mov 8(%rsp), %rax\n mov %rax, found+32\n"
     "mov 16(%rsp), %rax\n mov %rax, found+40\n mov 24(%rsp), %rax\n mov %rax, found+48\n lretq");
CODE(user_gate, "lcall *gate_pointer\n user_gate_back: int $0xf0");
CODE(user_gate_bad, "lcall *gate_pointer_bad\n int $0xf0");
extern uint8_t user_gate_back[];
__asm__(".data\ngate_pointer: .long 0\n .word 0xa3\ngate_pointer_bad: .long 0\n .word 0xb3\n.text");

static void set_gate(unsigned sel, reg to, unsigned code, unsigned access, unsigned high)
{
    set_gdt(sel, (to & 0xffff) | code << 16, (to & 0xffff0000) | access << 8);
    set_gdt(sel + 8, to >> 32, high);
}

static void gates(void)
{
    set_gate(GATE, (reg)gate_entry, CODE0, 0xec, 0);
    check("call gate", try_user(user_gate), DONE);
    check("its rsp", found[0], (reg)trap_stack_top - 32);
    check("its cs", found[1], CODE0);
    check("null ss", found[2] & 0xffff, 0);
    check("return rip", found[3], (reg)user_gate_back);
    check("return cs", found[4], CODE3);
    check("return rsp", found[5], (reg)user_stack_top);
    check("return ss", found[6], DATA3);
    check("back", seen.sp, (reg)user_stack_top);
    set_gate(GATE_BAD, (reg)gate_entry, CODE0, 0xec, 1 << 8);
    expect("type in the upper half", try_user(user_gate_bad), GP, GATE_BAD);
    set_gate(GATE_BAD, (reg)gate_entry, CODE32_0, 0xec, 0);
    expect("gate to 32-bit code", try_user(user_gate_bad), GP, CODE32_0);
    set_gate(GATE_BAD, BAD, CODE0, 0xec, 0);
    expect("gate to nowhere", try_user(user_gate_bad), GP, 0);
    set_gate(GATE_BAD, (reg)gate_entry, CODE0, 0x8c, 0);
    expect("gate of ring 0", try_user(user_gate_bad), GP, GATE_BAD);
}

void test_long_traps(void)
{
    basics();
    stacks();
    irets();
    gates();
}
