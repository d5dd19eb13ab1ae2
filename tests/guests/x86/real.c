/* SPDX-License-Identifier: Apache-2.0 */
/* Real mode: limits, vectors, the x87's environment there. Intel SDM vol. 3B, chapter 21. */
#include "guest.h"

int real_run(reg code);
extern uint8_t real_low[], real_low_end[];
enum { FRAME = 0x5f00, CODE_AT = 0x6000, OUT = 0x6800 };

#define REAL(name, text) CODE(name, ".code16\n" text "\n.code32\n")
REAL(r_ret, "movw $0x1234, 0x6800\n ret");
REAL(r_nop, "nop\n nop");
REAL(r_long, "mov $0x1234, %ax");
REAL(r_word, "mov $0xffff, %bx\n mov (%bx), %ax\n ret");
REAL(r_stack, "mov $0xffff, %bp\n mov (%bp), %ax\n ret");
REAL(r_far, "mov $0x12345, %eax\n jmp *%eax");
REAL(r_call_far, "lcalll $0, $0x12345");
REAL(r_int, "int $0x11");
REAL(r_div, "xor %bx, %bx\n div %bx");
REAL(r_ud, "lldt %ax");
REAL(r_vex, ".byte 0xc5, 0xf8, 0x77");
REAL(r_wrap, "movw $0x10, %bx\n movw $0xffff, %ax\n mov %ax, %es\n movw $0x55aa, %es:(%bx)\n ret");
REAL(r_big, "movl $0x200000, %ebx\n movl %fs:(%ebx), %eax\n movl %eax, 0x6800\n ret");
REAL(r_flags, "pushf\n pop %ax\n mov %ax, 0x6800\n ret");
REAL(r_env, "fninit\n movw $0x100, %ax\n mov %ax, %es\n fldl %es:0x20\n fnstenv 0x6800\n fnsave 0x6840\n"
     "fldenv 0x6800\n .byte 0x66\n fnstenv 0x6900\n fninit\n ret");

static int run_at(reg at, const uint8_t *code, const uint8_t *end)
{
    copy((void *)at, code, end - code);
    return real_run(at);
}
#define RUN(name) run_at(CODE_AT, name, name##_end)
static unsigned ip(void) { return get16((void *)FRAME); }

static void limits(void)
{
    check("real mode", RUN(r_ret), NONE);
    check("its store", get16((void *)OUT), 0x1234);
    check("falls off the segment", run_at(0xfffe, r_nop, r_nop_end), GP);
    check("at 64 KiB", ip(), 0);
    check("instruction over the end", run_at(0xfffe, r_long, r_long_end), GP);
    check("at its start", ip(), 0xfffe);
    check("word over the end", RUN(r_word), GP);
    check("word over the end of the stack", RUN(r_stack), SS);
    check("jump beyond", RUN(r_far), GP);
    check("at the jump", ip(), CODE_AT + 6);
    check("far call beyond", RUN(r_call_far), GP);
    check("at the call", ip(), CODE_AT);
    check("access above 1 MiB", RUN(r_wrap), NONE);
    check("its store", get16((void *)0x100000), 0x55aa);
}

static void vectors(void)
{
    check("int", RUN(r_int), 0x11);
    check("behind it", ip(), CODE_AT + 2);
    check("div", RUN(r_div), DE);
    check("at it", ip(), CODE_AT + 2);
    check("lldt", RUN(r_ud), UD);
    check("vex", RUN(r_vex), UD);
    check("flags", RUN(r_flags), NONE);
    check("flags", get16((void *)OUT) & 0xf202, 2);
}

static void big(void)
{
    put32((void *)0x200000, 0xabcdef01);
    __asm__ volatile("mov %0, %%fs" ::"r"(DATA0));
    check("limits stay", RUN(r_big), NONE);
    check("what lies there", get32((void *)OUT), 0xabcdef01);
}

static void fpu(void)
{
    const uint8_t *e = (void *)OUT;
    zero((void *)OUT, 0x200);
    check("x87", RUN(r_env), NONE);
    check("fnstenv cw", get16(e), 0x37f);
    check("sw", get16(e + 2), 7 << 11);
    check("tags", get16(e + 4) & 0xc000, 0x4000);               /* zero was loaded */
    unsigned at = CODE_AT + 7;                                  /* fldl, with its prefix */
    check("ip", get16(e + 6), at);
    check("opcode", get16(e + 8) & 0x7ff, 0x506);
    check("dp", get16(e + 10), 0x1020);
    check("saved tags", get16(e + 0x40 + 4), get16(e + 4));
    check("32-bit ip", get32(e + 0x100 + 12), at);
    check("32-bit opcode", get32(e + 0x100 + 16), 0x506);
    check("32-bit dp", get32(e + 0x100 + 20) & 0xffff, 0x1020);
}

void test_real(void)
{
    copy((void *)0x5000, real_low, real_low_end - real_low);
    for (unsigned v = 0; v < 32; v++)
        put32((void *)(reg)(4 * v), 0x5100 + 16 * v);
    set_segment(0x1c0, 0, 0xffff, 0x9b, 0);
    set_segment(0x1c8, 0, 0xffff, 0x93, 0);
    zero((void *)0x1020, 8);
    uint32_t saved = get32((void *)0x100000);
    limits();
    put32((void *)0x100000, saved);
    vectors();
    big();
    fpu();
}
