/* SPDX-License-Identifier: Apache-2.0 */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT in long mode. AMD APM vol. 3; Intel SDM vol. 2. */
#include "guest.h"

enum { CODE32 = 0x80, LOW = 0x6000 };
extern uint64_t found[8];
extern uint64_t user_flags;
#define BAD 0x8000000000000000ul

/* Layout that SYSRET wants: star+0 32-bit code, +8 data, +16 64-bit code. */
enum { USER32 = 0x100, USER_DATA = 0x108, USER64 = 0x110 };

CODE(entry, "mov %rsp, found\n mov %rcx, found+8\n mov %r11, found+16\n mov %cs, %eax\n mov %rax, found+24\n"
     "mov %ss, %eax\n mov %rax, found+32\n mov $trap_stack_top-256, %rsp\n pushfq\n pop found+40\n"
     "mov back_rcx, %rax\n test %rax, %rax\n cmovnz %rax, %rcx\n mov back_r11, %rax\n test %rax, %rax\n"
     "cmovnz %rax, %r11\n sysretq");
CODE(entry32, "mov %rcx, found+8\n mov $trap_stack_top-256, %rsp\n movl $1, found\n sysretl");
uint64_t back_rcx, back_r11;
CODE(user, "syscall\n user_back: mov %cs, %eax\n mov %rax, found+48\n mov %ss, %eax\n mov %rax, found+56\n"
     "pushfq\n pop %rbx\n int $0xf0");
extern uint8_t user_back[];
CODE(user32, ".code32\n mov $0x55, %ebp\n syscall\n mov %cs, %eax\n mov %ss, %edx\n int $0xf0\n.code64\n");
CODE(to_user32, "push $0x23\n push $0x7f00\n push $2\n push $0x83\n push $0x6000\n iretq");
CODE(user_sysret, "sysretq");

static void call_at(reg p) { ((void (*)(void))p)(); }

static void write_lstar(reg v) { wrmsr(0xc0000082, v); }

static void syscalls(void)
{
    wrmsr(0xc0000081, (uint64_t)USER32 << 48 | (uint64_t)CODE0 << 32);
    wrmsr(0xc0000082, (reg)entry);
    wrmsr(0xc0000083, (reg)entry32);
    wrmsr(0xc0000084, F_IF | F_DF | F_TF | F_CF);
    user_flags = 2 | F_CF | F_DF | F_IOPL;
    check("syscall", try_user(user), DONE);
    check("rsp stays", found[0], (reg)user_stack_top);
    check("rcx", found[1], (reg)user_back);
    check("r11", found[2] & 0x3f7fd7, 2 | F_CF | F_DF | F_IOPL);
    check("cs", found[3] & 0xffff, CODE0);
    check("ss", found[4] & 0xffff, DATA0);
    check("masked flags", found[5] & (F_CF | F_DF | F_IOPL), F_IOPL);
    check("sysret cs", found[6] & 0xffff, USER64 + 3);
    check("sysret ss", found[7] & 0xffff, USER_DATA + 3);
    check("sysret flags", seen.rbx & (F_CF | F_DF | F_IOPL), F_CF | F_DF | F_IOPL);
    back_r11 = F_RF | F_VM | F_CF;
    check("RF and VM are not loaded", try_user(user), DONE);
    check("flags", seen.rbx & (F_RF | F_VM | F_CF | F_DF), F_CF);
    back_r11 = 0;
    back_rcx = BAD;
    expect("sysret to nowhere", try_user(user), GP, 0);
    check("still in ring 0", seen.cs & 3, 0);
    back_rcx = 0;
    user_flags = 2;
    expect("sysret in ring 3", try_user(user_sysret), GP, 0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ul);
    expect("syscall without SCE", try_user(user), UD, 0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
    expect("lstar not canonical", try(write_lstar, BAD), GP, 0);
}

static void compatibility(void)
{
    set_segment(CODE32, 0, 0xfffff, 0xfb, 0xc);
    copy((void *)LOW, user32, user32_end - user32);
    int got = try(call_at, (reg)to_user32);
    if (is_intel()) {
        expect("syscall of 32-bit code on Intel", got, UD, 0);
        return;
    }
    check("syscall of 32-bit code", got, DONE);
    check("through cstar", found[0] & 0xffffffff, 1);
    check("rcx", found[1], LOW + 7);
    check("sysretl cs", seen.rax, USER32 + 3);
    check("sysretl ss", seen.rdx, USER_DATA + 3);
}

CODE(enter_entry, "mov %rsp, found\n mov %cs, %eax\n mov %rax, found+8\n mov %ss, %eax\n mov %rax, found+16\n"
     "mov $trap_stack_top-256, %rsp\n mov exit_rdx, %rdx\n mov exit_rcx, %rcx\n sysexitq");
CODE(user_enter, "sysenter\n user_entered: mov %cs, %eax\n mov %ss, %edx\n mov %rsp, %rbx\n int $0xf0");
extern uint8_t user_entered[];
uint64_t exit_rdx, exit_rcx;

static void sysenters(void)
{
    wrmsr(0x174, 0);
    int none = try_user(user_enter);
    if (!is_intel() && none == UD)
        return;                 /* AMD's have no SYSENTER in long mode */
    expect("sysenter without cs", none, GP, 0);
    wrmsr(0x174, CODE0);
    wrmsr(0x175, 0x123456789000);
    wrmsr(0x176, (reg)enter_entry);
    /* SYSEXIT to 64 bits: cs + 32, cs + 40. */
    set_segment(CODE0 + 32, 0, 0xfffff, 0xfb, 0xa);
    uint64_t tss_was[2] = {gdt[5], gdt[6]};
    exit_rdx = (reg)user_entered;
    exit_rcx = (reg)user_stack_top - 64;
    check("sysenter", try_user(user_enter), DONE);
    check("rsp of 64 bits", found[0], 0x123456789000);
    check("cs", found[1] & 0xffff, CODE0);
    check("ss", found[2] & 0xffff, DATA0);
    check("sysexit cs", seen.rax, CODE0 + 32 + 3);
    check("sysexit ss", seen.rdx, CODE0 + 40 + 3);
    check("sysexit rsp", seen.rbx, (reg)user_stack_top - 64);
    exit_rdx = BAD;
    expect("sysexit to nowhere", try_user(user_enter), GP, 0);
    gdt[5] = tss_was[0] | 0x0000020000000000;
    gdt[6] = tss_was[1];
}

void test_long_calls(void)
{
    set_segment(USER32, 0, 0xfffff, 0xfb, 0xc);
    set_segment(USER_DATA, 0, 0xfffff, 0xf3, 0xc);
    set_segment(USER64, 0, 0xfffff, 0xfb, 0xa);
    syscalls();
    compatibility();
    sysenters();
}
