/* SPDX-License-Identifier: Apache-2.0 */
/* Protection keys, five levels of page tables, SMAP, NX in long mode. Intel SDM vol. 3A, 4.5 and 4.6. */
#include "guest.h"

enum { P = 1, W = 2, U = 4, PS = 0x80, FRAME = 0x1000000 };
#define AT 0x40000000ul         /* 1 GiB */
extern uint64_t pml4[512], pd[512];
static uint64_t dir[512] __attribute__((aligned(4096))),
    pt[512] __attribute__((aligned(4096))), pml5[512] __attribute__((aligned(4096)));

static void read_at(reg p) { __asm__ volatile("mov (%0), %%al" ::"r"(p) : "rax"); }
static void write_at(reg p) { __asm__ volatile("movl $0x12345678, (%0)" ::"r"(p) : "memory"); }
static void call_at(reg p) { ((void (*)(void))p)(); }
static void load_cr4(reg v) { set_cr4(v); }
static void load_cr3(reg v) { set_cr3(v); }
static void load_cr0(reg v) { set_cr0(v); }
static void flush(void) { set_cr3(get_cr3()); }

CODE(user_read, "mov $0x40000000, %eax\n mov (%rax), %eax\n int $0xf0");
CODE(user_write, "mov $0x40000000, %eax\n mov %eax, (%rax)\n int $0xf0");

static void map(uint64_t entry)
{
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xffful);
    pdpt[1] = (reg)dir | P | W | U;
    dir[0] = (reg)pt | P | W | U;
    pt[0] = entry;
    flush();
}

static void rights(void)
{
    map(FRAME | P | W | U);
    expect("read", try(read_at, AT), NONE, 0);
    map(0);
    expect("absent", try(read_at, AT), PF, 0);
    map(FRAME | P | W | 1ul << 63);
    expect("NX", try(call_at, AT), PF, 0x11);
    map(FRAME | P | W | 1ul << 51);
    expect("reserved", try(read_at, AT), PF, 9);
    map(FRAME | P | W | U);
}

/* ---- protection keys ---- */

static uint32_t rdpkru(void)
{
    uint32_t v;
    __asm__ volatile("rdpkru" : "=a"(v) : "c"(0) : "edx");
    return v;
}
static void wrpkru(reg v) { __asm__ volatile("wrpkru" ::"a"((uint32_t)v), "c"(0), "d"(0) : "memory"); }
static void wrpkru_bad(reg v) { __asm__ volatile("wrpkru" ::"a"(0), "c"((uint32_t)v), "d"(0) : "memory"); }

static void keys(void)
{
    if (!cpuid_bit(7, 0, 2, 3))
        return;
    expect("wrpkru without PKE", try(wrpkru, 0), UD, 0);
    set_cr4(get_cr4() | 1 << 22);
    check("OSPKE", cpuid_bit(7, 0, 2, 4), 1);
    expect("wrpkru with ecx", try(wrpkru_bad, 1), GP, 0);
    map(FRAME | P | W | U | 5ul << 59);
    wrpkru(0);
    check("all may", try_user(user_write), DONE);
    wrpkru(2 << 10);
    check("rdpkru", rdpkru(), 2 << 10);
    check("read, writes refused", try_user(user_read), DONE);
    expect("write, writes refused", try_user(user_write), PF, 0x27);
    expect("kernel's write without WP", try(write_at, AT), NONE, 0);
    set_cr0(get_cr0() | 1 << 16);
    expect("kernel's write with WP", try(write_at, AT), PF, 0x23);
    set_cr0(get_cr0() & ~(1ul << 16));
    wrpkru(1 << 10);
    expect("read, accesses refused", try_user(user_read), PF, 0x25);
    expect("kernel's read, accesses refused", try(read_at, AT), PF, 0x21);
    *(uint8_t *)FRAME = 0xc3;
    expect("code is not data", try(call_at, AT), NONE, 0);
    map(FRAME | P | W | 5ul << 59);
    expect("the kernel's pages have no keys", try(read_at, AT), NONE, 0);
    map(FRAME | P | U | 5ul << 59);
    wrpkru(0);
    expect("without a key's say", try_user(user_write), PF, 7);
    set_cr4(get_cr4() & ~(1ul << 22));
}

/* ---- SMAP for accesses of the CPU itself ---- */

static void load_es(reg sel) { __asm__ volatile("mov %0, %%es" ::"r"(sel)); }

static void implicit(void)
{
    if (!cpuid_bit(7, 0, 1, 20))
        return;
    for (unsigned n = 0; n < 32; n++)
        pd[n] &= ~(uint64_t)U;
    map(FRAME | P | W | U);
    copy((void *)FRAME, gdt, 512);                      /* the user's pages hold the LDT */
    set_segment(0x120, AT, 511, 0x82, 0);
    set_gdt(0x128, 0, 0);
    __asm__ volatile("lldt %w0" ::"r"(0x120));
    expect("LDT", try(load_es, DATA0 + 4), NONE, 0);
    set_cr4(get_cr4() | 1 << 21);
    __asm__ volatile("stac");
    expect("with AC", try(read_at, AT), NONE, 0);
    __asm__ volatile("stac");
    expect("the CPU's own access heeds no AC", try(load_es, DATA0 + 4), PF, 1);
    set_cr4(get_cr4() & ~(1ul << 21));
    __asm__ volatile("lldt %w0" ::"r"(0));
    for (unsigned n = 0; n < 32; n++)
        pd[n] |= U;
    flush();
}

/* ---- five levels ---- */

/* To compatibility mode, paging off, LA57 as asked, paging on, back. */
__asm__(".text\n.code32\nlevels: mov %cr0, %eax\n and $0x7fffffff, %eax\n mov %eax, %cr0\n mov %edx, %cr4\n"
        "mov %ecx, %cr3\n or $0x80000000, %eax\n mov %eax, %cr0\n ljmp $8, $levels_back\n.code64\n"
        ".globl go_levels\ngo_levels: push %rbx\n mov %rdi, %rdx\n mov %rsi, %rcx\n push $0x88\n push $levels\n lretq\n"
        "levels_back: pop %rbx\n ret\n");
extern void go_levels(reg cr4, reg cr3);

static void five_levels(void)
{
    if (!cpuid_bit(7, 0, 2, 16))
        return;
    reg was = get_cr4();
    expect("LA57 in long mode", try(load_cr4, was | 1 << 12), GP, 0);
    set_segment(0x88, 0, 0xfffff, 0x9b, 0xc);
    pml5[0] = (reg)pml4 | P | W | U;
    pml5[1] = (reg)pml4 | P | W | U;
    expect("bit 48 with four levels", try(read_at, 1ul << 48), GP, 0);
    go_levels(was | 1 << 12, (reg)pml5);
    check("LA57 is on", get_cr4() >> 12 & 1, 1);
    put32((void *)FRAME, 0xfeed);
    map(FRAME | P | W | U);
    check("the same page by another way", get32((void *)((1ul << 48) + AT)), 0xfeed);
    expect("absent in the fifth level", try(read_at, 2ul << 48), PF, 0);
    expect("the hole is smaller", try(read_at, 1ul << 56), GP, 0);
    expect("the highest below it", try(read_at, (1ul << 56) - 1), PF, 0);
    pml5[1] |= PS;
    flush();
    expect("reserved bit of the fifth level", try(read_at, (1ul << 48) + AT), PF, 9);
    go_levels(was, (reg)pml4);
    check("LA57 is off", get_cr4() >> 12 & 1, 0);
}

static void registers(void)
{
    expect("PAE off in long mode", try(load_cr4, get_cr4() & ~0x20ul), GP, 0);
    expect("cr4, upper half", try(load_cr4, get_cr4() | 1ul << 40), GP, 0);
    expect("cr0, upper half", try(load_cr0, get_cr0() | 1ul << 40), GP, 0);
    expect("cr3 beyond the address bits", try(load_cr3, 1ul << 60 | get_cr3()), GP, 0);
    expect("PG off in 64-bit mode", try(load_cr0, get_cr0() & ~(1ul << 31)), GP, 0);
}

void test_long_memory(void)
{
    rights();
    keys();
    implicit();
    five_levels();
    registers();
}
