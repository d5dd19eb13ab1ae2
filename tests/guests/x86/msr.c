/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: what they hold, what they refuse. Intel SDM vol. 4. */
#include "guest.h"

static uint32_t number;
static uint64_t value;
static void do_read(reg n) { value = rdmsr(n); }
static void do_write(reg low) { wrmsr(number, value); }

static void refuses(const char *what, uint32_t msr, uint64_t v)
{
    number = msr;
    value = v;
    expect(what, try(do_write, 0), GP, 0);
}

static void holds(const char *what, uint32_t msr, uint64_t v)
{
    number = msr;
    value = v;
    expect(what, try(do_write, 0), NONE, 0);
    check(what, rdmsr(msr), v);
}

static void mtrrs(void)
{
    if (!cpuid_bit(1, 0, 3, 12))
        return;
    check("variable ranges", rdmsr(0xfe) & 0xff, 8);
    check("fixed ranges, write-combining", rdmsr(0xfe) & 0x500, 0x500);
    check("disabled at reset", rdmsr(0x2ff), 0);
    holds("base", 0x200, 0x80000006);
    holds("mask", 0x201, 0xf80000800);
    refuses("type 2", 0x200, 2);
    refuses("reserved bits of the base", 0x200, 0x100);
    refuses("reserved bits of the mask", 0x201, 0x400);
    refuses("base beyond the address bits", 0x200, 1ull << 60);
    holds("fixed, 64 KiB", 0x250, 0x0606060606060606);
    holds("fixed, 16 KiB", 0x259, 0x0004050601000605);
    holds("fixed, 4 KiB", 0x26f, 0x0505050505050505);
    refuses("fixed type 3", 0x26f, 3);
    refuses("there is no such", 0x260, 0);
    holds("default", 0x2ff, 0xc06);
    refuses("reserved bits of the default", 0x2ff, 0x1006);
    refuses("default type 7", 0x2ff, 0xc07);
    holds("default", 0x2ff, 0);
}

void test_msr(void)
{
    expect("no such register", try(do_read, 0x12345), GP, 0);
    mtrrs();
    if (cpuid_bit(1, 0, 3, 16)) {
        check("PAT at reset", rdmsr(0x277), 0x0007040600070406);
        holds("PAT", 0x277, 0x0001040500070406);
        refuses("PAT type 2", 0x277, 0x0007040600070402);
        holds("PAT", 0x277, 0x0007040600070406);
    }
    check("fast strings", rdmsr(0x1a0) & 1, 1);
    check("MONITOR as CPUID says", rdmsr(0x1a0) >> 18 & 1, cpuid_bit(1, 0, 2, 3));
    check("microcode", rdmsr(0x8b) != 0, 1);
    check("not locked", rdmsr(0x3a) & 1, 0);
    holds("feature control", 0x3a, 1);
    refuses("feature control, locked", 0x3a, 0);
    if (cpuid_bit(0x80000001, 0, 3, 20)) {
        wrmsr(0x1a0, rdmsr(0x1a0) | 1ull << 34);
        check("no NX in CPUID", cpuid_bit(0x80000001, 0, 3, 20), 0);
        refuses("NXE", 0xc0000080, 1 << 11);
        wrmsr(0x1a0, rdmsr(0x1a0) & ~(1ull << 34));
        holds("NXE", 0xc0000080, 1 << 11);
        holds("EFER", 0xc0000080, 0);
    }
    refuses("LMA alone is not the guest's", 0xc0000080, 1 << 9);
}
