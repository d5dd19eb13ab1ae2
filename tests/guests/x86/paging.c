/* SPDX-License-Identifier: Apache-2.0 */
/* 32-bit and PAE paging: faults and their codes, large pages, rights. Intel SDM vol. 3A, chapter 4. */
#include "guest.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
enum { AT = 0x40000000, BIG = 0x40400000, FRAME = 0x800000, FRAME2 = 0x801000 };

static uint32_t pd[1024] __attribute__((aligned(4096))), low[1024] __attribute__((aligned(4096))),
    pt[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[4] __attribute__((aligned(32))), pae_pd[512] __attribute__((aligned(4096))),
    pae_top[512] __attribute__((aligned(4096))), pae_pt[512] __attribute__((aligned(4096)));

static void read_at(reg p) { __asm__ volatile("mov (%0), %%al" ::"r"(p) : "eax"); }
static void write_at(reg p) { __asm__ volatile("movl $0x12345678, (%0)" ::"r"(p) : "memory"); }
static void rmw_at(reg p) { __asm__ volatile("lock addl $1, (%0)" ::"r"(p) : "memory"); }
static void call_at(reg p) { ((void (*)(void))p)(); }
static void load_cr3(reg v) { set_cr3(v); }
static void load_cr0(reg v) { set_cr0(v); }
static void load_cr4(reg v) { set_cr4(v); }

CODE(user_read, "mov 0x40000000, %eax\n int $0xf0");
CODE(user_write, "mov %eax, 0x40000000\n int $0xf0");
CODE(user_jump, "mov $0x40000000, %eax\n jmp *%eax");

static void flush(void) { set_cr3(get_cr3()); }

static void faults(void (*set)(uint64_t e))
{
    set(0);
    expect("read, absent", try(read_at, AT + 5), PF, 0);
    check("cr2", seen_cr2, AT + 5);
    expect("write, absent", try(write_at, AT), PF, 2);
    expect("user read, absent", try_user(user_read), PF, 4);
    expect("user write, absent", try_user(user_write), PF, 6);
    set(FRAME | P | U);
    expect("read", try(read_at, AT), NONE, 0);
    expect("write without WP", try(write_at, AT), NONE, 0);
    set_cr0(get_cr0() | 1 << 16);
    expect("write with WP", try(write_at, AT), PF, 3);
    expect("locked write with WP", try(rmw_at, AT), PF, 3);
    expect("user read", try_user(user_read), DONE, 0);
    expect("user write, read-only", try_user(user_write), PF, 7);
    set_cr0(get_cr0() & ~(1 << 16));
    expect("user write, read-only, no WP", try_user(user_write), PF, 7);
    set(FRAME | P | W);
    expect("write of the kernel's", try(write_at, AT), NONE, 0);
    check("stored", get32((void *)FRAME), 0x12345678);
    expect("user read of the kernel's", try_user(user_read), PF, 5);
    expect("user write of the kernel's", try_user(user_write), PF, 7);
    expect("user jump to the kernel's", try_user(user_jump), PF, 5);
}

/* ---- 32-bit ---- */

static void set32(uint64_t e) { pt[0] = e; flush(); }

static void crossing(void)
{
    pt[0] = FRAME | P | W | U;
    pt[1] = 0;
    flush();
    put32((void *)(FRAME + 0xffc), 0);
    expect("write over the end", try(write_at, AT + 0xffe), PF, 2);
    check("cr2 is the second page", seen_cr2, AT + 0x1000);
    check("nothing was stored", get32((void *)(FRAME + 0xffc)), 0);
    pt[1] = FRAME2 | P | W | U;
    flush();
    expect("write over the end", try(write_at, AT + 0xffe), NONE, 0);
    check("first half", get32((void *)(FRAME + 0xffc)), 0x56780000);
    check("second half", get16((void *)FRAME2), 0x1234);
}

static void marks(void)
{
    pt[0] = FRAME | P | W | U;
    pd[256] &= ~A;
    flush();
    try(read_at, AT);
    check("A after read", pt[0] & (A | D), A);
    check("A of the directory", pd[256] & A, A);
    try(write_at, AT);
    check("D after write", pt[0] & (A | D), A | D);
    pt[0] = FRAME | P;
    flush();
    set_cr0(get_cr0() | 1 << 16);
    try(write_at, AT);
    check("no D after a fault", pt[0] & D, 0);
    set_cr0(get_cr0() & ~(1 << 16));
    pt[0] = FRAME | P | W | U;
    pd[256] = (reg)pt | P | W;
    flush();
    expect("user, directory is the kernel's", try_user(user_read), PF, 5);
    pd[256] = (reg)pt | P | U;
    flush();
    expect("user write, directory is read-only", try_user(user_write), PF, 7);
    pd[256] = (reg)pt | P | W | U;
    flush();
    pt[0] = FRAME2 | P | W | U;
    __asm__ volatile("invlpg (%0)" ::"r"(AT) : "memory");
    put32((void *)FRAME2, 0x99);
    check("invlpg", get32((void *)AT), 0x99);
}

static void large(void)
{
    pd[257] = 0x800000 | P | W | U | PS;
    set_cr4(get_cr4() | 0x10);
    flush();
    expect("4 MiB page", try(write_at, BIG + 0x3004), NONE, 0);
    check("stored", get32((void *)(0x800000 + 0x3004)), 0x12345678);
    check("A and D", pd[257] & (A | D), A | D);
    pd[257] = 0x800000 | P | W | PS | 1 << 21;
    flush();
    expect("reserved bit", try(read_at, BIG), PF, 9);
    /* Without PSE the bit means nothing: the entry is a table. */
    pd[257] = (reg)pt | P | W | U | PS;
    set_cr4(get_cr4() & ~0x10);
    pt[3] = FRAME2 | P | W | U;
    flush();
    put32((void *)FRAME2, 0x77);
    check("no PSE, a table", get32((void *)(BIG + 0x3000)), 0x77);
}

static void kernel_only(void)
{
    *(uint8_t *)FRAME = 0xc3;   /* ret */
    pt[0] = FRAME | P | W | U;
    pd[0] &= ~U;                /* our own pages */
    flush();
    expect("call of a user page", try(call_at, AT), NONE, 0);
    if (cpuid_bit(7, 0, 1, 7)) {
        set_cr4(get_cr4() | 1 << 20);
        expect("SMEP", try(call_at, AT), PF, 0x11);
        expect("SMEP leaves reads alone", try(read_at, AT), NONE, 0);
        set_cr4(get_cr4() & ~(1 << 20));
    }
    if (cpuid_bit(7, 0, 1, 20)) {
        set_cr4(get_cr4() | 1 << 21);
        expect("SMAP read", try(read_at, AT), PF, 1);
        expect("SMAP write", try(write_at, AT), PF, 3);
        __asm__ volatile("stac");
        expect("SMAP with AC", try(read_at, AT), NONE, 0);
        set_cr4(get_cr4() & ~(1 << 21));
    }
}

static void paging_32(void)
{
    for (unsigned n = 0; n < 1024; n++)
        low[n] = n << 12 | P | W | U;
    pd[0] = (reg)low | P | W | U;
    pd[2] = 0x800000 | P | W | U;       /* the frames, below */
    static uint32_t frames[1024] __attribute__((aligned(4096)));
    for (unsigned n = 0; n < 1024; n++)
        frames[n] = (0x800000 + (n << 12)) | P | W | U;
    pd[2] = (reg)frames | P | W | U;
    pd[256] = (reg)pt | P | W | U;
    set_cr3((reg)pd);
    set_cr0(get_cr0() | 1u << 31);
    faults(set32);
    crossing();
    marks();
    large();
    kernel_only();
    set_cr0(get_cr0() & ~(1u << 31));
}

/* ---- PAE ---- */

static void set_pae(uint64_t e) { pae_pt[0] = e; flush(); }

static void no_execute(void)
{
    if (!cpuid_bit(0x80000001, 0, 3, 20))
        return;
    pae_pt[0] = FRAME | P | W | 1ull << 63;
    flush();
    expect("bit 63 without NXE", try(read_at, AT), PF, 9);
    wrmsr(0xc0000080, 1 << 11);
    *(uint8_t *)FRAME = 0xc3;
    expect("read of NX", try(read_at, AT), NONE, 0);
    expect("call of NX", try(call_at, AT), PF, 0x11);
    pae_pt[0] = FRAME | P | W;
    flush();
    expect("call without NX", try(call_at, AT), NONE, 0);
    pae_pt[0] = 0;
    flush();
    expect("call of nothing", try(call_at, AT), PF, 0x10);
    wrmsr(0xc0000080, 0);
}

static void paging_pae(void)
{
    for (unsigned n = 0; n < 8; n++)
        pae_pd[n] = n << 21 | P | W | U | PS;
    pae_top[0] = (reg)pae_pt | P | W | U;
    pae_top[2] = 0x800000 | P | W | U | PS;
    pdpt[0] = (reg)pae_pd | P;
    pdpt[1] = (reg)pae_top | P;
    set_cr4(get_cr4() | 0x20);
    pdpt[3] = P | 2;                    /* reserved */
    set_cr3((reg)pdpt);
    expect("reserved bit of a PDPTE, paging on", try(load_cr0, get_cr0() | 1u << 31), GP, 0);
    check("paging is off", get_cr0() >> 31, 0);
    pdpt[3] = 0;
    set_cr0(get_cr0() | 1u << 31);
    faults(set_pae);
    expect("2 MiB page", try(write_at, BIG + 0x3004), NONE, 0);
    check("stored", get32((void *)(0x800000 + 0x3004)), 0x12345678);
    check("A and D", pae_top[2] & (A | D), A | D);
    pae_top[2] |= 1 << 13;
    flush();
    expect("reserved bit of a 2 MiB page", try(read_at, BIG), PF, 9);
    pae_top[2] &= ~(1 << 13);
    pae_pt[0] = FRAME | P | 1ull << 52;
    flush();
    expect("reserved bit of an entry", try(read_at, AT), PF, 9);
    no_execute();
    pdpt[3] = P | 2;
    expect("reserved bit of a PDPTE, mov cr3", try(load_cr3, (reg)pdpt), GP, 0);
    pdpt[3] = (reg)pae_top | P;
    expect("PDPTEs are loaded with cr3 only", try(read_at, 0xc0400000), PF, 0);
    set_cr3((reg)pdpt);
    expect("and now", try(read_at, 0xc0400000), NONE, 0);
    set_cr0(get_cr0() & ~(1u << 31));
    set_cr4(get_cr4() & ~0x20);
}

static void registers(void)
{
    expect("PG without PE", try(load_cr0, 1u << 31 | 0x30), GP, 0);
    expect("NW without CD", try(load_cr0, get_cr0() | 1 << 29), GP, 0);
    expect("reserved bit of cr4", try(load_cr4, 1 << 15 | get_cr4()), GP, 0);
    expect("PCIDE outside long mode", try(load_cr4, 1 << 17 | get_cr4()), GP, 0);
}

void test_paging(void)
{
    paging_32();
    paging_pae();
    registers();
}
