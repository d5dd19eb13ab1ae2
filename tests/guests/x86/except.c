/* SPDX-License-Identifier: Apache-2.0 */
/* Each exception with its error code. Intel SDM vol. 3A, 6.15. */
#include "guest.h"

extern uint16_t idtr[3];

static void divide(reg zero) { __asm__ volatile("div %0" ::"r"(zero), "a"(1), "d"(0)); }
static void icebp(reg a) { __asm__ volatile(".byte 0xf1"); }
static void breakpoint(reg a) { __asm__ volatile("int3"); }
static void overflow(reg a) { __asm__ volatile("mov $0x7fffffff, %%eax\n add $1, %%eax\n into" ::: "eax"); }
static void invalid(reg a) { __asm__ volatile("ud2"); }
static void fpu(reg a) { __asm__ volatile("fnop"); }
static void load_es(reg sel) { __asm__ volatile("mov %0, %%es" ::"r"(sel)); }
static void load_ss(reg sel) { __asm__ volatile("mov %0, %%ss" ::"r"(sel)); }
static void iret_nested(reg a) { __asm__ volatile("pushf\n orl $0x4000, (%esp)\n popf\n iret"); }
static void int_41(reg a) { __asm__ volatile("int $0x41"); }
static void read_at(reg p) { __asm__ volatile("mov (%0), %%eax" ::"r"(p) : "eax"); }
static void ltr(reg sel) { __asm__ volatile("ltr %w0" ::"r"(sel)); }
static void lldt(reg sel) { __asm__ volatile("lldt %w0" ::"r"(sel)); }

static void bounds(reg index)
{
    static const int32_t range[2] = {2, 5};
    __asm__ volatile("bound %0, %1" ::"r"(index), "m"(range));
}

static void over_limit(reg sel)
{
    __asm__ volatile("mov %0, %%es\n movl %%es:0xffd, %%eax" ::"r"(sel) : "eax");
}

static void through_ss(reg sel)
{
    __asm__ volatile("mov %%esp, %%ecx\n mov %0, %%ss\n mov $0x800, %%esp\n"
                     "mov %%ss:0xffe, %%eax\n mov %%ecx, %%esp" ::"r"(sel) : "eax", "ecx");
}

static void fpu_error(reg a)
{
    uint16_t cw = 0x37b;        /* zero divide unmasked */
    __asm__ volatile("fninit\n fldcw %0\n fldz\n fld1\n fdivp\n fwait" ::"m"(cw));
}

static void sse_error(reg a)
{
    uint32_t mxcsr = 0x1d80;
    __asm__ volatile("ldmxcsr %0\n xorps %%xmm0, %%xmm0\n pcmpeqd %%xmm1, %%xmm1\n pslld $25, %%xmm1\n"
                     "psrld $2, %%xmm1\n divps %%xmm0, %%xmm1" ::"m"(mxcsr));
}

CODE(user_int, "int $0x41");
CODE(user_hlt, "hlt");
CODE(user_unaligned, "pushf\n orl $0x40000, (%esp)\n popf\n mov %esp, %eax\n mov 1(%eax), %ecx\n int $0xf0");
CODE(user_aligned, "pushf\n orl $0x40000, (%esp)\n popf\n mov %esp, %eax\n mov (%eax), %ecx\n int $0xf0");
CODE(user_in, "in $0x80, %al");

static void simple(void)
{
    expect("div", try(divide, 0), DE, 0);
    check("div RF", seen.flags & F_RF, F_RF);
    expect("int1", try(icebp, 0), DB, 0);
    check("int1 ip", *(uint8_t *)(seen.ip - 1), 0xf1);
    expect("int3", try(breakpoint, 0), BP, 0);
    check("int3 ip", *(uint8_t *)(seen.ip - 1), 0xcc);
    check("int3 RF", seen.flags & F_RF, 0);
    expect("into", try(overflow, 0), OF, 0);
    check("into ip", *(uint8_t *)(seen.ip - 1), 0xce);
    expect("bound in", try(bounds, 3), NONE, 0);
    expect("bound", try(bounds, 6), BR, 0);
    expect("ud2", try(invalid, 0), UD, 0);
    expect("hlt in ring 3", try_user(user_hlt), GP, 0);
    expect("in in ring 3", try_user(user_in), GP, 0);
}

static void segments(void)
{
    set_segment(FREE, 0, 0xfff, 0x13, 4);                       /* not present */
    set_segment(FREE + 8, 0, 0xfff, 0x93, 4);
    set_segment(FREE + 16, 0, 0xfff, 0x99, 4);                  /* code, not readable */
    set_segment(FREE + 24, 0, 0xfff, 0x91, 4);                  /* data, read-only */
    expect("es not present", try(load_es, FREE), NP, FREE);
    expect("es beyond the table", try(load_es, 0x203), GP, 0x200);
    expect("es from an absent ldt", try(load_es, 0x44), GP, 0x44);
    expect("es execute-only", try(load_es, FREE + 16), GP, FREE + 16);
    expect("es null", try(load_es, 3), NONE, 0);
    expect("ss null", try(load_ss, 0), GP, 0);
    expect("ss not present", try(load_ss, FREE), SS, FREE);
    expect("ss rpl", try(load_ss, FREE + 8 + 3), GP, FREE + 8);
    expect("ss read-only", try(load_ss, FREE + 24), GP, FREE + 24);
    expect("limit", try(over_limit, FREE + 8), GP, 0);
    expect("stack limit", try(through_ss, FREE + 8), SS, 0);
    expect("ltr null", try(ltr, 0), GP, 0);
    expect("ltr of data", try(ltr, DATA0), GP, DATA0);
    expect("ltr busy", try(ltr, TSS), GP, TSS);
    expect("lldt of data", try(lldt, DATA0), GP, DATA0);
    expect("iret to no task", try(iret_nested, 0), TS, 0);
}

static void gates(void)
{
    set_idt(0x41, 0, CODE0, 0x8e);
    expect("int of a ring 0 gate", try_user(user_int), GP, 0x41 * 8 + 2);
    set_idt(0x41, 0, CODE0, 0xee);
    check("int of a ring 3 gate", try_user(user_int), 0x41);
    check("cs of the user", seen.cs, CODE3);
    check("ss of the user", seen.ss, DATA3);
    set_idt(0x41, 0, CODE0, 0x6e);
    expect("int, not present", try(int_41, 0), NP, 0x41 * 8 + 2);
    set_idt(0x41, 0, CODE0, 0x8c);                              /* a call gate's type */
    expect("int, wrong type", try(int_41, 0), GP, 0x41 * 8 + 2);
    set_idt(0x41, 0, FREE, 0x8e);
    set_segment(FREE, 0, 0xfffff, 0x1b, 0xc);
    expect("int, code not present", try(int_41, 0), NP, FREE);
    set_idt(0x41, 0, 0, 0x8e);
    expect("int, null code", try(int_41, 0), GP, 0);
    idtr[0] = 0x41 * 8 - 1;
    __asm__ volatile("lidt idtr" ::: "memory");
    expect("int beyond the table", try(int_41, 0), GP, 0x41 * 8 + 2);
    idtr[0] = 0x7ff;
    __asm__ volatile("lidt idtr" ::: "memory");
    set_idt(0x41, 0, CODE0, 0x8e);
    /* A contributory exception while one is delivered. */
    set_idt(GP, 0, CODE0, 0x0e);
    expect("double fault", try(load_es, 0x203), DF, 0);
    set_idt(GP, 0, CODE0, 0x8e);
    /* A page fault after a benign one is delivered as itself. */
    set_idt(UD, 0, FREE + 8 * 4, 0x8e);
    expect("benign, then #GP", try(invalid, 0), GP, FREE + 8 * 4 + 1);
    set_idt(UD, 0, CODE0, 0x8e);
}

static void units(void)
{
    set_cr0(get_cr0() | 8);
    expect("fpu with TS", try(fpu, 0), NM, 0);
    set_cr0((get_cr0() & ~8) | 4);
    expect("fpu with EM", try(fpu, 0), NM, 0);
    set_cr0(get_cr0() & ~4);
    expect("fpu error", try(fpu_error, 0), MF, 0);
    __asm__ volatile("fninit");
    expect("sse without OSFXSR", try(sse_error, 0), UD, 0);
    set_cr4(get_cr4() | 0x200);
    expect("sse error without OSXMMEXCPT", try(sse_error, 0), UD, 0);
    set_cr4(get_cr4() | 0x600);
    expect("sse error", try(sse_error, 0), XM, 0);
    set_cr4(get_cr4() & ~0x600);
    expect("no alignment check", try_user(user_unaligned), DONE, 0);
    set_cr0(get_cr0() | 1 << 18);
    expect("alignment check", try_user(user_unaligned), AC, 0);
    expect("aligned", try_user(user_aligned), DONE, 0);
    set_cr0(get_cr0() & ~(1 << 18));
    expect("plain read", try(read_at, 0x100000), NONE, 0);
}

void test_exceptions(void)
{
    simple();
    segments();
    gates();
    units();
}
