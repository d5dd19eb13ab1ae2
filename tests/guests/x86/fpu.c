/* SPDX-License-Identifier: Apache-2.0 */
/* The x87's environment and state in memory, in protected mode. Intel SDM vol. 1, 8.1.10. */
#include "guest.h"

static uint8_t area[512] __attribute__((aligned(16)));
static double value = 1.5;
static uint64_t read[2];

void test_fpu(void)
{
    reg at;
    set_cr0(get_cr0() & ~0xcul);
    __asm__ volatile("fninit\n 1: fldl %2\n mov $1b, %0\n fnstenv %1" : "=r"(at), "=m"(area) : "m"(value));
    check("cw", get32(area), 0xffff037f);
    check("sw", get32(area + 4), 0xffff0000 | 7 << 11);
    check("tags", get32(area + 8), 0xffff3fff);
    check("ip", get32(area + 12), at);
    check("cs and opcode", get32(area + 16), CODE0 | 0x505 << 16);
    check("dp", get32(area + 20), (reg)&value);
    check("ds", get32(area + 24), 0xffff0000 | DATA0);
    __asm__ volatile("fninit\n fldl %1\n .byte 0x66\n fnstenv %0" : "=m"(area) : "m"(value));
    check("16-bit cw", get16(area), 0x37f);
    check("16-bit sw", get16(area + 2), 7 << 11);
    check("16-bit tags", get16(area + 4), 0x3fff);
    check("16-bit cs", get16(area + 8), CODE0);
    check("16-bit dp", get16(area + 10), (reg)&value & 0xffff);
    check("16-bit ds", get16(area + 12), DATA0);

    zero(area, sizeof(area));
    __asm__ volatile("fninit\n fldl %1\n fld1\n fnsave %0" : "=m"(area) : "m"(value));
    check("fnsave sw", get16(area + 4), 6 << 11);
    check("fnsave tags", get16(area + 8), 0x0fff);
    check("st(0)", get16(area + 28 + 8), 0x3fff);
    check("st(1)", get32(area + 38 + 4), 0xc0000000);
    uint16_t sw;
    __asm__ volatile("fnstsw %0" : "=m"(sw));
    check("fnsave initializes", sw, 0);
    __asm__ volatile("frstor %1\n fstpl %0\n fstpl 8+%0\n fnstsw %2" : "=m"(read), "+m"(area), "=m"(sw));
    check("frstor st(0)", read[0], 0x3ff0000000000000);
    check("frstor st(1)", read[1], 0x3ff8000000000000);
    check("popped", sw, 0);
    zero(area, sizeof(area));
    __asm__ volatile("fninit\n fldl %1\n .byte 0x66\n fnsave %0" : "=m"(area) : "m"(value));
    check("16-bit fnsave", get16(area + 14 + 8), 0x3fff);
    /* A new tag word: what it calls empty is empty. */
    __asm__ volatile("fninit\n fldl %1\n fnstenv %0\n" : "=m"(area) : "m"(value));
    put32(area + 8, 0xffffffff);
    __asm__ volatile("fldenv %1\n fstpl %0\n fnstsw %2" : "=m"(read), "+m"(area), "=m"(sw));
    check("stack fault", sw & 0x41, 0x41);
    /* fxsave, fxrstor. */
    set_cr4(get_cr4() | 0x200);
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    __asm__ volatile("fninit\n fldl %1\n fxsave %0" : "=m"(area) : "m"(value));
    check("fxsave tag bits", area[4], 0x80);
    check("fxsave st(0)", get16(area + 32 + 8), 0x3fff);
    check("fxsave mxcsr", get32(area + 24), 0x1f80);
    check("fxsave mxcsr mask", get32(area + 28) & 0xffbf, 0xffbf);
    area[4] = 0;
    __asm__ volatile("fxrstor %1\n fstpl %0\n fnstsw %2" : "=m"(read), "+m"(area), "=m"(sw));
    check("fxrstor with all empty", sw & 0x41, 0x41);
    __asm__ volatile("fninit");
    set_cr4(get_cr4() & ~0x200ul);
}
