/* SPDX-License-Identifier: Apache-2.0 */
/* System management mode, entered by SMIs that the CPU sends itself. AMD APM vol. 2, chapter 10. */
#include "guest.h"

enum { BASE = 0x30000, BASE2 = 0x50000, SEEN = 0x5e00, ICR = 0xfee00300 };

static bool wide;               /* the save area is AMD's 64-bit one */
static unsigned at_rax(void) { return wide ? 0xfff8 : 0xffd0; }
static unsigned at_base(void) { return wide ? 0xff00 : 0xfef8; }
static unsigned at_ip(void) { return wide ? 0xff78 : 0xfff0; }
static unsigned at_cr0(void) { return wide ? 0xff58 : 0xfffc; }
static unsigned at_halt(void) { return wide ? 0xfec9 : 0xff02; }

#define HANDLER(name, text) CODE(name, ".code16\n" text "\n rsm\n.code32\n")
#define RECORD                                                                                      \
    "movl $0x5e00, %edi\n addl $1, %ds:(%edi)\n mov %cr0, %eax\n movl %eax, %ds:4(%edi)\n"          \
    "mov %cr4, %eax\n movl %eax, %ds:8(%edi)\n xor %eax, %eax\n mov %cs, %ax\n movl %eax, %ds:12(%edi)\n" \
    "pushfl\n popl %ds:16(%edi)\n call 1f\n1: pop %ax\n movl %eax, %ds:20(%edi)\n"
HANDLER(plain, "movl $0x5e80, %esp\n" RECORD "movl $0xdead, %ebx\n");
/* Another SMI of its own: comes after rsm. */
HANDLER(again, "movl $0x5e80, %esp\n" RECORD
        "cmpl $1, %ds:(%edi)\n jne 2f\n movl $0xfee00300, %esi\n movl $0x200, %ds:(%esi)\n"
        "mov $1000, %ecx\n1: loop 1b\n movl (%edi), %eax\n movl %eax, %ds:24(%edi)\n2:\n");

static void rsm(reg a) { __asm__ volatile("rsm"); }

static void place(unsigned base, const uint8_t *code, const uint8_t *end)
{
    copy((void *)(reg)(base + 0x8000), code, end - code);
    zero((void *)SEEN, 0x100);
}

/* Sends itself an SMI; eax and ebx as they are after it. */
static void smi(reg eax, reg out[2])
{
    __asm__ volatile("movl $0x200, (%2)\n mov $1000, %%ecx\n 1: loop 1b\n mov %%eax, %0\n mov %%ebx, %1"
                     : "=m"(out[0]), "=m"(out[1]) : "S"(ICR), "a"(eax), "b"(0x1111) : "ecx", "memory");
}

static void entry(void)
{
    reg out[2];
    place(BASE, plain, plain_end);
    expect("rsm outside", try(rsm, 0), UD, 0);
    smi(0x5555, out);
    check("the handler ran", get32((void *)SEEN), 1);
    check("cr0 in SMM", get32((void *)(SEEN + 4)) & 0x80000001, 0);
    check("cr4 in SMM", get32((void *)(SEEN + 8)), 0);
    check("cs in SMM", get32((void *)(SEEN + 12)), BASE >> 4);
    check("flags in SMM", get32((void *)(SEEN + 16)) & ~0xd5, 2);
    check("ip in SMM", get32((void *)(SEEN + 20)) & 0xff00, 0x8000);
    check("eax is restored", out[0], 0x5555);
    check("ebx is restored", out[1], 0x1111);
    check("saved eax", get32((void *)(reg)(BASE + at_rax())), 0x5555);
    check("saved cr0", get32((void *)(reg)(BASE + at_cr0())), get_cr0());
    check("saved eip", get32((void *)(reg)(BASE + at_ip())) >> 16, (reg)smi >> 16);
    check("revision", get32((void *)(BASE + 0xfefc)) & 0x20000, 0x20000);
    check("protection is back", get_cr0() & 1, 1);
}

static void waits(void)
{
    reg out[2];
    place(BASE, again, again_end);
    smi(1, out);
    check("SMI in SMM waits", get32((void *)(SEEN + 24)), 1);
    check("and comes", get32((void *)SEEN), 2);
}

/* The handler moves SMBASE and changes eax. */
HANDLER(mover, "movl $0x5e80, %esp\n" RECORD "movl %ds:0x5f80, %ebx\n movl $0x50000, %ds:(%ebx)\n"
        "movl %ds:0x5f84, %ebx\n movl $0x7777, %ds:(%ebx)\n");

static void relocation(void)
{
    reg out[2];
    place(BASE, mover, mover_end);
    put32((void *)0x5f80, BASE + at_base());
    put32((void *)0x5f84, BASE + at_rax());
    smi(0x5555, out);
    check("eax from the save area", out[0], 0x7777);
    place(BASE2, plain, plain_end);
    smi(0x5555, out);
    check("the handler at the new base ran", get32((void *)SEEN), 1);
    check("its cs", get32((void *)(SEEN + 12)), BASE2 >> 4);
    check("saved there", get32((void *)(reg)(BASE2 + at_rax())), 0x5555);
    check("the base is saved", get32((void *)(reg)(BASE2 + at_base())), BASE2);
}

/* With paging and breakpoints: they do not matter there, and are back behind it. */
static uint32_t pd[1024] __attribute__((aligned(4096)));

static void modes(void)
{
    reg out[2];
    for (unsigned n = 0; n < 1024; n++)
        pd[n] = n << 22 | 0x87;
    set_cr4(get_cr4() | 0x10);
    set_cr3((reg)pd);
    set_cr0(get_cr0() | 1u << 31);
    set_dr7(0x455);
    place(BASE2, plain, plain_end);
    smi(0x5555, out);
    check("from paged code", get32((void *)SEEN), 1);
    check("cr0 in SMM", get32((void *)(SEEN + 4)) >> 31, 0);
    check("paging is back", get_cr0() >> 31, 1);
    check("cr3 is back", get_cr3(), (reg)pd);
    check("cr4 is back", get_cr4() & 0x10, 0x10);
    check("dr7 is back", get_dr7(), 0x455);
    set_dr7(0x400);
    set_cr0(get_cr0() & ~(1u << 31));
    set_cr4(get_cr4() & ~0x10);
}

void test_smm(void)
{
    wide = cpuid_bit(0x80000001, 0, 3, 29);
    entry();
    waits();
    relocation();
    modes();
    check("not halted", get32((void *)(reg)(BASE2 + at_halt())) & 1, 0);
    /* Back to where it was, for whoever comes next. */
    place(BASE2, mover, mover_end);
}
