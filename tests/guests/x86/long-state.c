/* SPDX-License-Identifier: Apache-2.0 */
/* XSAVE in its forms, AVX state, gathers that fault midway, SMM from long mode. Intel SDM vol. 1, 13. */
#include "guest.h"

static uint8_t area[4096] __attribute__((aligned(64)));
static uint64_t pattern[64] __attribute__((aligned(64)));
enum { HEADER = 512, AVX_AT = 576 };

static uint64_t xgetbv(uint32_t n)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(n));
    return lo | (uint64_t)hi << 32;
}
static void xsetbv(reg v) { __asm__ volatile("xsetbv" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(0)); }
static void xsetbv_1(reg v) { __asm__ volatile("xsetbv" ::"a"((uint32_t)v), "d"(0), "c"(1)); }
#define FORM(name, insn)                                                                            \
    static void name(reg mask)                                                                      \
    {                                                                                               \
        __asm__ volatile(insn " (%2)" ::"a"((uint32_t)mask), "d"(0), "r"(area) : "memory");         \
    }
FORM(xsave, "xsave64") FORM(xsaveopt, "xsaveopt64") FORM(xsavec, "xsavec64") FORM(xsaves, "xsaves64")
FORM(xrstor, "xrstor64") FORM(xrstors, "xrstors64")
static void xrstor_odd(reg mask) { __asm__ volatile("xrstor 16(%1)" ::"a"((uint32_t)mask), "r"(area), "d"(0)); }
static void vzero(reg a) { __asm__ volatile("vzeroall"); }

static uint64_t header(unsigned n) { return *(volatile uint64_t *)(area + HEADER + 8 * n); }
static void set_header(unsigned n, uint64_t v) { *(volatile uint64_t *)(area + HEADER + 8 * n) = v; }
static uint64_t at(unsigned offset) { return *(volatile uint64_t *)(area + offset); }

static void fill(void) { __asm__ volatile("vmovdqa (%0), %%ymm0\n vmovdqa 32(%0), %%ymm1" ::"r"(pattern)); }
static void empty(void) { __asm__ volatile("vzeroall"); }
static uint64_t ymm_top(void)
{
    uint64_t out[4];
    __asm__ volatile("vmovdqu %%ymm1, %0" : "=m"(out));
    return out[3];
}

static void enabling(void)
{
    expect("xsave without OSXSAVE", try(xsave, 7), UD, 0);
    expect("avx without OSXSAVE", try(vzero, 0), UD, 0);
    set_cr4(get_cr4() | 1 << 18);
    check("OSXSAVE", cpuid_bit(1, 0, 2, 27), 1);
    check("xcr0", xgetbv(0), 1);
    expect("avx without xcr0", try(vzero, 0), UD, 0);
    expect("xcr0 without x87", try(xsetbv, 6), GP, 0);
    expect("xcr0 with avx, no sse", try(xsetbv, 5), GP, 0);
    expect("xcr0, unknown bit", try(xsetbv, 1ul << 62 | 1), GP, 0);
    expect("xcr1", try(xsetbv_1, 1), GP, 0);
    expect("xcr0", try(xsetbv, 7), NONE, 0);
    uint32_t o[4];
    cpuid(0xd, 0, o);
    check("size in use", o[1], 832);
    cpuid(0xd, 2, o);
    check("place of avx", o[1], AVX_AT);
    expect("avx", try(vzero, 0), NONE, 0);
}

static void standard(void)
{
    zero(area, sizeof(area));
    fill();
    xsave(7);
    check("xstate_bv", header(0) & 6, 6);
    check("xcomp_bv", header(1), 0);
    check("xmm1", at(160 + 16 + 8), pattern[5]);
    check("ymm1, upper half", at(AVX_AT + 16 + 8), pattern[7]);
    empty();
    check("emptied", ymm_top(), 0);
    xrstor(7);
    check("xrstor", ymm_top(), pattern[7]);
    empty();
    xrstor(3);
    check("not asked for", ymm_top(), 0);
    xrstor(7);
    set_header(0, 3);
    xrstor(7);
    check("initial by the header", ymm_top(), 0);
    set_header(0, 1ul << 61);
    expect("unknown component", try(xrstor, 7), GP, 0);
    set_header(0, 7);
    set_header(2, 1);
    expect("reserved part of the header", try(xrstor, 7), GP, 0);
    set_header(2, 0);
    put32(area + 24, 0xffff0000);
    expect("mxcsr", try(xrstor, 7), GP, 0);
    put32(area + 24, 0x1f80);
    expect("alignment", try(xrstor_odd, 7), GP, 0);
    empty();
    zero(area, sizeof(area));
    area[AVX_AT] = 0x55;
    xsave(6);
    check("initial: no bit", header(0) & 4, 0);
    area[AVX_AT] = 0x55;
    xsaveopt(6);
    check("xsaveopt leaves initial ones", area[AVX_AT], 0x55);
    set_header(0, 1);
    fill();
    xsave(4);
    check("other bits stay", header(0) & 7, 5);
}

static void compacted(void)
{
    if (!cpuid_bit(0xd, 1, 0, 1))
        return;
    zero(area, sizeof(area));
    fill();
    xsavec(7);
    check("xsavec xcomp_bv", header(1), 1ul << 63 | 7);
    check("in use only", header(0) & 6, 6);
    check("compacted avx", at(AVX_AT + 16 + 8), pattern[7]);
    empty();
    xrstor(7);
    check("xrstor of it", ymm_top(), pattern[7]);
    xsavec(4);
    check("one component", header(1), 1ul << 63 | 4);
    empty();
    xsavec(7);
    check("initial ones have no bit", header(0) & 4, 0);
    check("xgetbv 1", xgetbv(1) & 4, 0);
    fill();
    check("xgetbv 1", xgetbv(1) & 4, 4);
    set_header(1, 1ul << 63 | 3);
    set_header(0, 7);
    expect("not in xcomp_bv", try(xrstor, 7), GP, 0);
    if (!cpuid_bit(0xd, 1, 0, 3))
        return;
    zero(area, sizeof(area));
    xsaves(7);
    check("xsaves", header(1), 1ul << 63 | 7);
    empty();
    xrstors(7);
    check("xrstors", ymm_top(), pattern[7]);
    set_header(1, 0);
    expect("xrstors of the standard form", try(xrstors, 7), GP, 0);
}

/* ---- gathers ---- */

#define HOLE 0x40000000ul       /* mapped by the tests before; the page behind it is not */
static uint32_t out[24];
extern uint64_t pml4[512];

CODE(do_gather, "vmovdqu gather_start, %ymm0\n vmovdqu gather_index, %ymm1\n vmovdqu gather_mask, %ymm2\n"
     "mov gather_base, %rax\n gather_insn: vpgatherdd %ymm2, (%rax,%ymm1,4), %ymm0\n"
     "gather_done: vmovdqu %ymm0, gather_out\n vmovdqu %ymm2, gather_out+32\n ret");
uint32_t gather_start[8], gather_mask[8], gather_out[16];
int32_t gather_index[8];
reg gather_base;
extern uint8_t gather_insn[], gather_done[];
static void call_at(reg p) { ((void (*)(void))p)(); }

static bool mend;
/* At the fault the registers show how far it came; then the page is put there. */
static bool look(Frame *f)
{
    if (f->vector != PF)
        return false;
    __asm__ volatile("vmovdqu %%ymm0, %0\n vmovdqu %%ymm2, 32+%0" : "=m"(out));
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xffful);
    uint64_t *dir = (uint64_t *)(pdpt[1] & ~0xffful);
    uint64_t *pt = (uint64_t *)(dir[0] & ~0xffful);
    pt[1] = 0x1001000 | 7;
    set_cr3(get_cr3());
    return mend;
}

static void gathers(void)
{
    if (!cpuid_bit(7, 0, 1, 5))
        return;
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xffful);
    uint64_t *dir = (uint64_t *)(pdpt[1] & ~0xffful);
    uint64_t *pt = (uint64_t *)(dir[0] & ~0xffful);
    pt[0] = 0x1000000 | 7;
    pt[1] = 0;
    set_cr3(get_cr3());
    for (unsigned n = 0; n < 1024; n++)
        put32((void *)(0x1000000ul + 4 * n), 0x1000 + n);
    for (unsigned n = 0; n < 1024; n++)
        put32((void *)(0x1001000ul + 4 * n), 0x2000 + n);
    for (unsigned n = 0; n < 8; n++) {
        gather_start[n] = 0xee;
        gather_mask[n] = n == 1 ? 0 : 0x80000000;
        gather_index[n] = n == 5 ? 1024 + 7 : n;
    }
    gather_base = HOLE;
    hook = look;
    mend = false;
    check("gather faults", try(call_at, (reg)do_gather), PF);
    check("at the gather", seen.ip, (reg)gather_insn);
    check("cr2", seen_cr2, HOLE + 4096 + 28);
    check("element 0 is done", out[0], 0x1000);
    check("its mask is clear", out[8], 0);
    check("element 1 was not asked for", out[1], 0xee);
    check("element 4 is done", out[4], 0x1004);
    check("element 5 is not", out[5], 0xee);
    check("its mask stands", out[13] >> 31, 1);
    pt[1] = 0;
    set_cr3(get_cr3());
    mend = true;
    check("gather goes on", try(call_at, (reg)do_gather), NONE);
    check("element 5", gather_out[5], 0x2007);
    check("element 1", gather_out[1], 0xee);
    check("element 7", gather_out[7], 0x1007);
    check("the mask is clear", gather_out[8] | gather_out[13] | gather_out[15], 0);
    hook = NULL;
}

/* ---- SMM from long mode ---- */

enum { BASE = 0x30000, SEEN = 0x5e00, ICR = 0xfee00300 };
CODE(smi_handler, ".code16\n movl $0x5e00, %edi\n addl $1, %ds:(%edi)\n mov %cr0, %eax\n movl %eax, %ds:4(%edi)\n"
     "movl $0xc0000080, %ecx\n rdmsr\n movl %eax, %ds:8(%edi)\n rsm\n.code64\n");
CODE(send_smi, "mov $0x123456789abcdef0, %r15\n mov $0xfee00300, %edx\n movl $0x200, (%rdx)\n mov $1000, %ecx\n"
     "1: loop 1b\n mov %r15, smi_r15\n ret");
uint64_t smi_r15;

static void smm(void)
{
    copy((void *)(BASE + 0x8000ul), smi_handler, smi_handler_end - smi_handler);
    zero((void *)(reg)SEEN, 64);
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xffful);
    pdpt[3] = 0xc0000000ul | 0x83;              /* the local APIC, in a page of 1 GiB */
    set_cr3(get_cr3());
    reg cr3 = get_cr3(), cr4 = get_cr4();
    if (!cpuid_bit(0x80000001, 0, 3, 26))
        return;
    check("SMI from 64-bit code", try(call_at, (reg)send_smi), NONE);
    check("the handler ran", get32((void *)(reg)SEEN), 1);
    check("cr0 in SMM", get32((void *)(SEEN + 4ul)) & 0x80000001, 0);
    check("efer in SMM", get32((void *)(SEEN + 8ul)), 0);
    check("r15 is back", smi_r15, 0x123456789abcdef0);
    check("cr3 is back", get_cr3(), cr3);
    check("cr4 is back", get_cr4(), cr4);
    check("efer is back", rdmsr(0xc0000080) & 0x500, 0x500);
    check("saved efer", get32((void *)(BASE + 0xfed0ul)) & 0x500, 0x500);
    check("saved r15", get32((void *)(BASE + 0xff80ul)), 0x9abcdef0);
    check("revision", get32((void *)(BASE + 0xfefcul)) & 0xff, 0x64);
}

void test_long_state(void)
{
    for (unsigned n = 0; n < 64; n++)
        pattern[n] = 0x1111111111111111ul * (n + 1);
    if (cpuid_bit(1, 0, 2, 28)) {
        enabling();
        standard();
        compacted();
        gathers();
    }
    smm();
}
