/* SPDX-License-Identifier: Apache-2.0 */
/* Call gates between rings, far returns, SYSENTER, SYSCALL in legacy mode. Intel SDM vol. 3A, 5.8. */
#include "guest.h"

enum { GATE = 0x80, GATE16 = 0x88, GATE0 = 0x90, CONFORMING = 0x98, CODE16 = 0xa0, BAD = 0xa8 };

/* What the inner code finds: cs, ss, esp and six words of its stack. */
uint32_t found[9], found3[3];

#define RECORD                                                                                      \
    "mov %cs, %eax\n mov %eax, %ss:found\n mov %ss, %eax\n mov %eax, %ss:found+4\n"                 \
    "mov %esp, %ss:found+8\n"                                                                       \
    "mov (%esp), %eax\n mov %eax, %ss:found+12\n mov 4(%esp), %eax\n mov %eax, %ss:found+16\n"      \
    "mov 8(%esp), %eax\n mov %eax, %ss:found+20\n mov 12(%esp), %eax\n mov %eax, %ss:found+24\n"    \
    "mov 16(%esp), %eax\n mov %eax, %ss:found+28\n mov 20(%esp), %eax\n mov %eax, %ss:found+32\n"

CODE(inner, RECORD "lret $8");
CODE(inner16, RECORD ".byte 0x66\n lret $4");
CODE(user_call, "push $0x1111\n push $0x2222\n lcall $0x83, $0x12345678\n"
     "user_call_back: mov %esp, found3\n mov %cs, %eax\n mov %eax, found3+4\n int $0xf0");
CODE(user_call16, "pushw $0x3333\n pushw $0x4444\n lcall $0x8b, $0\n mov %esp, found3\n int $0xf0");
CODE(user_call0, "lcall $0x93, $0\n int $0xf0");
CODE(user_conforming, "lcall $0x98, $conforming\n int $0xf0");
CODE(conforming, "mov %cs, %eax\n mov %eax, found3\n lret");
CODE(user_jmp, "ljmp $0x83, $0\n int $0xf0");
CODE(user_code0, "lcall $8, $0\n");
CODE(user_bad, "lcall $0xab, $0\n");
CODE(kernel_jmp, "ljmp $0x80, $0\n kernel_jmp_to: ret");
extern uint8_t user_call_back[], kernel_jmp_to[];

static void set_gate(unsigned sel, void *to, unsigned code, unsigned access, unsigned params)
{
    reg at = (reg)to;
    set_gdt(sel, (at & 0xffff) | code << 16, (at & 0xffff0000) | access << 8 | params);
}

static void lcall_kernel(reg a) { ((void (*)(void))kernel_jmp)(); }

static void call_gates(void)
{
    uint32_t top = get32(tss + 4);
    set_gate(GATE, inner, CODE0, 0xec, 2);
    check("call gate", try_user(user_call), DONE);
    check("gate cs", found[0], CODE0);
    check("gate ss", found[1] & 0xffff, DATA0);
    check("gate esp", found[2], top - 24);
    check("gate eip", found[3], (reg)user_call_back);
    check("gate old cs", found[4], CODE3);
    check("gate parameter 2", found[5], 0x2222);
    check("gate parameter 1", found[6], 0x1111);
    check("gate old esp", found[7], (reg)user_stack_top - 8);
    check("gate old ss", found[8], DATA3);
    check("lret esp", found3[0], (reg)user_stack_top);
    check("lret cs", found3[1] & 0xffff, CODE3);

    set_segment(CODE16, 0, 0xfffff, 0x9b, 0xc);
    copy((void *)0x8000, inner16, inner16_end - inner16);
    set_gate(GATE16, (void *)0x8000, CODE0, 0xe4, 2);
    copy((void *)0x9000, user_call16, user_call16_end - user_call16);   /* returns to 16 bits of ip */
    check("16-bit call gate", try_user((void *)0x9000), DONE);
    check("16-bit gate esp", found[2], top - 12);
    check("16-bit gate cs:ip", found[3] >> 16, CODE3);
    check("16-bit gate parameters", found[4], 0x33334444);
    check("16-bit gate ss:sp", found[5], DATA3 << 16 | (((reg)user_stack_top - 4) & 0xffff));

    set_gate(GATE0, inner, CODE0, 0x8c, 0);
    expect("gate of ring 0", try_user(user_call0), GP, GATE0);
    set_gate(GATE0, inner, CODE0, 0x6c, 0);
    expect("gate not present", try_user(user_call0), NP, GATE0);
    set_gate(GATE0, inner, DATA0, 0xec, 0);
    expect("gate to data", try_user(user_call0), GP, DATA0);
    set_gate(GATE0, inner, 0, 0xec, 0);
    expect("gate to null", try_user(user_call0), GP, 0);
    expect("jmp through a gate inward", try_user(user_jmp), GP, CODE0);
    expect("call of inner code", try_user(user_code0), GP, CODE0);
    set_segment(BAD, 0, 0xfffff, 0xf3, 0xc);
    expect("call of data", try_user(user_bad), GP, BAD);
    set_segment(CONFORMING, 0, 0xfffff, 0x9f, 0xc);
    check("conforming", try_user(user_conforming), DONE);
    check("conforming cs", found3[0] & 0xffff, CONFORMING | 3);

    set_gate(GATE, kernel_jmp_to, CODE0, 0x8c, 0);
    check("jmp through a gate", try(lcall_kernel, 0), NONE);
}

/* ---- outward returns ---- */

CODE(far_return, "mov %esp, %ss:found\n push $0x23\n push $user_stack_top\n push $0x1b\n push $far_user\n"
     "lret\n far_user: mov %ds, %eax\n mov %eax, %ss:found3\n mov %es, %eax\n mov %eax, %ss:found3+4\n int $0xf0");
CODE(return_bad_ss, "push $0x10\n push $user_stack_top\n push $0x1b\n push $far_user\n lret\n");
CODE(return_inward, "push $8\n push $0\n lret");
static void run(reg code) { ((void (*)(void))code)(); }

static void load_user_es(reg code)
{
    __asm__ volatile("mov %0, %%es" ::"r"(DATA3));
    run(code);
}

static void returns(void)
{
    check("lret outward", try(load_user_es, (reg)far_return), DONE);
    check("ds is emptied", found3[0] & 0xffff, 0);
    check("es stays", found3[1] & 0xffff, DATA3);
    expect("lret, wrong ss", try(run, (reg)return_bad_ss), GP, DATA0);
    expect("lret inward", try_user(return_inward), GP, CODE0);
}

/* ---- sysenter, syscall ---- */

CODE(sys_entry, "mov %esp, found\n mov %cs, %eax\n mov %eax, found+4\n mov %ss, %eax\n mov %eax, found+8\n"
     "pushf\n pop found+12\n mov $sys_back, %edx\n lea user_stack_top-64, %ecx\n sysexit");
CODE(sys_user, "sysenter\n sys_back: mov %esp, found3\n mov %cs, %eax\n mov %eax, found3+4\n"
     "mov %ss, %eax\n mov %eax, found3+8\n int $0xf0");
CODE(user_sysexit, "sysexit");
CODE(call_entry, "mov %esp, found\n mov %cs, %eax\n mov %eax, found+4\n mov %ss, %eax\n mov %eax, found+8\n"
     "pushf\n pop found+12\n mov %ecx, found+16\n mov $trap_stack_top, %esp\n sysret");
CODE(call_user, "mov $0x5678, %eax\n syscall\n call_back: mov %esp, found3\n mov %cs, %eax\n mov %eax, found3+4\n"
     "pushf\n pop found3+8\n int $0xf0");
extern uint8_t call_back[], sys_back[];
static void sysexit_kernel(reg a) { __asm__ volatile("sysexit"); }
static void sysret_kernel(reg a) { __asm__ volatile("sysret"); }

static void fast(void)
{
    wrmsr(0x174, 0);
    expect("sysenter without cs", try_user(sys_user), GP, 0);
    expect("sysexit without cs", try(sysexit_kernel, 0), GP, 0);
    wrmsr(0x174, CODE0);
    wrmsr(0x175, 0x7f000);
    wrmsr(0x176, (reg)sys_entry);
    expect("sysexit in ring 3", try_user(user_sysexit), GP, 0);
    check("sysenter", try_user(sys_user), DONE);
    check("sysenter esp", found[0], 0x7f000);
    check("sysenter cs", found[1] & 0xffff, CODE0);
    check("sysenter ss", found[2] & 0xffff, DATA0);
    check("sysenter flags", found[3] & (F_IF | F_VM), 0);
    check("sysexit esp", found3[0], (reg)user_stack_top - 64);
    check("sysexit cs", found3[1] & 0xffff, CODE3);
    check("sysexit ss", found3[2] & 0xffff, DATA3);
    if (!cpuid_bit(0x80000001, 0, 3, 11))
        return;
    expect("syscall without SCE", try_user(call_user), UD, 0);
    wrmsr(0xc0000080, 1);
    wrmsr(0xc0000081, (uint64_t)(CODE3 - 0) << 48 | (uint64_t)CODE0 << 32 | (reg)call_entry);
    if (is_intel()) {
        expect("syscall outside of 64-bit mode on Intel", try_user(call_user), UD, 0);
        wrmsr(0xc0000080, 0);
        return;
    }
    check("syscall", try_user(call_user), DONE);
    check("syscall esp", found[0], (reg)user_stack_top);
    check("syscall cs", found[1] & 0xffff, CODE0);
    check("syscall ss", found[2] & 0xffff, DATA0);
    check("syscall flags", found[3] & F_IF, 0);
    check("syscall ecx", found[4], (reg)call_back);
    check("sysret cs", found3[1] & 0xffff, CODE3);
    check("sysret flags", found3[2] & F_IF, F_IF);
    wrmsr(0xc0000080, 0);
    expect("sysret without SCE", try(sysret_kernel, 0), UD, 0);
}

void test_gates(void)
{
    call_gates();
    returns();
    fast();
}
