/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual-8086 mode with and without VME, protected-mode virtual interrupts. Intel SDM vol. 3B, 21. */
#include "guest.h"

enum { BIG_TSS = 0x130, IO_BASE = 0x88, AREA = 0x7000, SP = 0x6f00 };

static uint8_t big_tss[IO_BASE + 0x2001] __attribute__((aligned(4096)));
static uint32_t vm_flags;

/* Leaves by iret to 0:AREA in virtual-8086 mode. */
__asm__(".text\nenter_vm86:\n push $0\n push $0\n push $0\n push $0\n push $0\n push $0x6f00\n"
        " push vm_flags_\n push $0\n push $0x7000\n iret\n");
extern void enter_vm86(reg a);
uint32_t vm_flags_;

static int run(const uint8_t *code, const uint8_t *end, uint32_t flags)
{
    copy((void *)AREA, code, end - code);
    vm_flags_ = vm_flags = flags | F_VM | 2;
    return try(enter_vm86, 0);
}
#define RUN(name, flags) run(name, name##_end, flags)

#define CODE16(name, text) CODE(name, ".code16\n" text "\n.code32\n")
CODE16(v_cli, "cli\n int3");
CODE16(v_sti, "sti\n int3");
CODE16(v_pushf, "pushf\n int3");
CODE16(v_pushfl, "pushfl\n int3");
CODE16(v_popf, "pushw $0x202\n popf\n int3");
CODE16(v_popf_tf, "pushw $0x102\n popf\n int3");
CODE16(v_iret, "pushw $0x202\n pushw $0\n pushw $0x700a\n iret\n .org v_iret+10\n int3");
CODE16(v_int, "int $0x20\n int3");
CODE16(v_handler, "pushf\n pop %ax\n mov %sp, %bp\n mov 4(%bp), %bx\n mov (%bp), %cx\n iret");
CODE16(v_hlt, "hlt");
CODE16(v_in, "in $0x80, %al\n int3");
CODE16(v_in_word, "mov $0x3ff, %dx\n in %dx, %ax\n int3");
CODE16(v_segs, "mov $0x1234, %ax\n mov %ax, %es\n mov %es:(0), %bl\n mov %ax, %fs\n mov %cs, %cx\n int3");
CODE16(v_limit, "mov $0xffff, %bx\n mov (%bx), %ax");
CODE16(v_ud, "lldt %ax");
CODE16(v_int3, "int3");

/* What virtual-8086 code may do without IOPL 3: nothing of this. */
static void without(void)
{
    expect("cli, iopl 0", RUN(v_cli, 0), GP, 0);
    check("came from vm86", seen.flags & F_VM, F_VM);
    check("at its ip", seen.ip, AREA);
    check("with its ss", seen.ss, 0);
    check("with its sp", seen.sp, SP);
    expect("sti, iopl 0", RUN(v_sti, 0), GP, 0);
    expect("pushf, iopl 0", RUN(v_pushf, 0), GP, 0);
    expect("popf, iopl 0", RUN(v_popf, 0), GP, 0);
    expect("iret, iopl 0", RUN(v_iret, 0), GP, 0);
    expect("int, iopl 0", RUN(v_int, 0), GP, 0);
    expect("hlt", RUN(v_hlt, F_IOPL), GP, 0);
    expect("lldt", RUN(v_ud, F_IOPL), UD, 0);
    expect("int3", RUN(v_int3, 0), BP, 0);
    expect("limit", RUN(v_limit, 0), GP, 0);
    check("segments", RUN(v_segs, F_IOPL), BP);
    check("es of vm86", seen.v_es, 0x1234);
    check("fs of vm86", seen.v_fs, 0x1234);
    check("ds is null inside", seen.ds, 0);
}

static void with_iopl(void)
{
    check("cli, iopl 3", RUN(v_cli, F_IOPL | F_IF), BP);
    check("IF", seen.flags & F_IF, 0);
    check("sti, iopl 3", RUN(v_sti, F_IOPL), BP);
    check("IF", seen.flags & F_IF, F_IF);
    check("popf, iopl 3", RUN(v_popf, F_IOPL), BP);
    check("IF and IOPL", seen.flags & (F_IF | F_IOPL), F_IF | F_IOPL);
    check("iret, iopl 3", RUN(v_iret, F_IOPL), BP);
    check("int, iopl 3", RUN(v_int, F_IOPL), 0x20);
}

/* Ports: by the bitmap, whatever IOPL is. */
static void ports(void)
{
    check("in, allowed", RUN(v_in, 0), BP);
    big_tss[IO_BASE + 0x10] = 1;
    expect("in, forbidden", RUN(v_in, F_IOPL), GP, 0);
    big_tss[IO_BASE + 0x10] = 0;
    check("in of two ports", RUN(v_in_word, 0), BP);
    big_tss[IO_BASE + 0x80] = 1;
    expect("in, second port forbidden", RUN(v_in_word, F_IOPL), GP, 0);
    big_tss[IO_BASE + 0x80] = 0;
}

static void vme(void)
{
    uint8_t *redirect = big_tss + IO_BASE - 32;
    set_cr4(get_cr4() | 1);
    check("cli", RUN(v_cli, F_VIF | F_IF), BP);
    check("VIF is clear", seen.flags & (F_VIF | F_IF), F_IF);
    check("sti", RUN(v_sti, 0), BP);
    check("VIF is set", seen.flags & (F_VIF | F_IF), F_VIF);
    expect("sti, pending", RUN(v_sti, F_VIP), GP, 0);
    check("VIF is not set", seen.flags & F_VIF, 0);
    check("pushf", RUN(v_pushf, F_VIF), BP);
    check("shows VIF and IOPL 3", get16((void *)(SP - 2)) & 0xff00, 0x3200);
    check("pushf", RUN(v_pushf, F_IF), BP);
    check("hides IF", get16((void *)(SP - 2)) & 0xff00, 0x3000);
    expect("pushfd", RUN(v_pushfl, 0), GP, 0);
    check("popf", RUN(v_popf, 0), BP);
    check("sets VIF only", seen.flags & (F_VIF | F_IF | F_IOPL), F_VIF);
    expect("popf, pending", RUN(v_popf, F_VIP), GP, 0);
    check("popf did not pop", seen.sp, SP - 2);
    expect("popf with TF", RUN(v_popf_tf, 0), GP, 0);
    check("iret", RUN(v_iret, 0), BP);
    check("sets VIF only", seen.flags & (F_VIF | F_IF), F_VIF);
    expect("iret, pending", RUN(v_iret, F_VIP), GP, 0);

    put32((void *)(4 * 0x20), 0x00007100);
    copy((void *)0x7100, v_handler, v_handler_end - v_handler);
    redirect[0x20 / 8] = 0;
    check("int, redirected", RUN(v_int, F_IOPL | F_IF), BP);
    check("its flags", seen.eax & (F_IF | F_TF), 0);
    check("pushed flags", seen.ebx & 0xf200, 0x3200);
    check("pushed ip", seen.ecx & 0xffff, AREA + 2);
    check("IF after iret", seen.flags & F_IF, F_IF);
    redirect[0x20 / 8] = 1;
    check("int, not redirected", RUN(v_int, F_IOPL), 0x20);
    redirect[0x20 / 8] = 0;
    check("int, redirected, iopl 0", RUN(v_int, F_VIF), BP);
    check("its flags", seen.eax & F_IF, 0);
    check("pushed flags", seen.ebx & 0xf200, 0x3200);
    check("VIF after iret", seen.flags & F_VIF, F_VIF);
    redirect[0x20 / 8] = 1;
    expect("int, not redirected, iopl 0", RUN(v_int, 0), GP, 0);
    check("at int", seen.ip, AREA);
    set_cr4(get_cr4() & ~1);
}

CODE(u_sti, "sti\n int $0xf0");
CODE(u_cli, "cli\n int $0xf0");
extern uint32_t user_flags;

static void pvi(void)
{
    expect("sti in ring 3", try_user(u_sti), GP, 0);
    set_cr4(get_cr4() | 2);
    check("sti in ring 3, PVI", try_user(u_sti), DONE);
    check("VIF", seen.flags & (F_VIF | F_IF), F_VIF);
    user_flags = 2 | F_VIP;
    expect("sti, pending", try_user(u_sti), GP, 0);
    user_flags = 2 | F_VIF;
    check("cli in ring 3, PVI", try_user(u_cli), DONE);
    check("no VIF", seen.flags & (F_VIF | F_IF), 0);
    user_flags = 2;
    set_cr4(get_cr4() & ~2);
}

void test_vm86(void)
{
    copy(big_tss, tss, 0x66);
    put16(big_tss + 0x66, IO_BASE);
    big_tss[sizeof(big_tss) - 1] = 0xff;
    for (unsigned n = 0; n < 32; n++)
        big_tss[IO_BASE - 32 + n] = 0xff;
    set_segment(BIG_TSS, (reg)big_tss, sizeof(big_tss) - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" ::"r"(BIG_TSS));
    set_idt(0x20, 0, CODE0, 0xee);
    without();
    with_iopl();
    ports();
    if (cpuid_bit(1, 0, 3, 1)) {
        vme();
        pvi();
    }
    set_segment(TSS, (reg)tss, 0x67, 0x89, 0);
    __asm__ volatile("ltr %w0" ::"r"(TSS));
}
