/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's debug registers and single steps. Intel SDM vol. 3B, chapter 18. */
#include "guest.h"

static unsigned traps;
static struct { reg ip, dr6, flags, ecx; } log_[16];
static uint32_t word[8] __attribute__((aligned(32)));

static bool record(Frame *f)
{
    if (f->vector != DB)
        return false;
    if (traps < 16) {
        log_[traps].ip = f->ip;
        log_[traps].dr6 = seen_dr6 & 0xe00f;
        log_[traps].flags = f->flags;
#ifdef __x86_64__
        log_[traps].ecx = f->rcx;
#else
        log_[traps].ecx = f->ecx;
#endif
    }
    traps++;
    if ((seen_dr6 & 0xf) && !(get_dr7() >> 16 & 3))
        f->flags |= F_RF;
    set_dr6(0);
    return true;
}

static void forget(void)
{
    traps = 0;
    set_dr6(0);
}

static void arm(unsigned n, reg at, unsigned kind, unsigned len)
{
    if (n == 0)
        set_dr0(at);
    else
        set_dr1(at);
    set_dr7((get_dr7() & ~((reg)0xf << (16 + 4 * n))) | 2u << 2 * n | (reg)(kind | len << 2) << (16 + 4 * n));
}

static void disarm(void) { set_dr7(0x400); }

CODE(three, "nop\n three_1: nop\n three_2: nop\n ret");
extern uint8_t three_1[], three_2[];
static void call(reg p) { ((void (*)(void))p)(); }
#ifdef __x86_64__
#define SP "%rsp"
#define AX "%rax"
#else
#define SP "%esp"
#define AX "%eax"
#endif
CODE(stepped, "pushf\n orl $0x100, (" SP ")\n popf\n nop\n stepped_1: nop\n stepped_2: pushf\n andl $~0x100, (" SP ")\n"
     "popf\n stepped_3: nop\n ret");
extern uint8_t stepped_1[], stepped_2[], stepped_3[];
CODE(shadowed, "mov $0x10, %eax\n pushf\n orl $0x100, (" SP ")\n popf\n mov %eax, %ss\n nop\n shadowed_1: pushf\n"
     "andl $~0x100, (" SP ")\n popf\n ret");
extern uint8_t shadowed_1[];
CODE(stores, "movl $1, (" AX ")\n stores_1: movl $2, 4(" AX ")\n stores_2: mov (" AX "), %ecx\n stores_3: ret");
extern uint8_t stores_1[], stores_2[], stores_3[];

static void code_breakpoints(void)
{
    hook = record;
    arm(0, (reg)three_1, 0, 0);
    forget();
    check("code breakpoint", try(call, (reg)three), NONE);
    check("one trap", traps, 1);
    check("before the instruction", log_[0].ip, (reg)three_1);
    check("B0", log_[0].dr6, 1);
    arm(1, (reg)three_2, 0, 0);
    forget();
    try(call, (reg)three);
    check("two breakpoints", traps, 2);
    check("B1", log_[1].dr6, 2);
    disarm();
    forget();
    try(call, (reg)three);
    check("disarmed", traps, 0);
}

static void data_breakpoints(void)
{
    arm(0, (reg)word, 1, 3);
    forget();
    __asm__ volatile("call stores" ::"a"(word) : "ecx", "memory");
    check("write breakpoint", traps, 1);
    check("behind the store", log_[0].ip, (reg)stores_1);
    check("B0", log_[0].dr6, 1);
    check("the store is done", word[0], 1);
    arm(0, (reg)word, 3, 3);
    forget();
    __asm__ volatile("call stores" ::"a"(word) : "ecx", "memory");
    check("read and write breakpoint", traps, 2);
    check("behind the load", log_[1].ip, (reg)stores_3);
    check("the load is done", log_[1].ecx, 1);
    arm(0, (reg)word + 4, 1, 0);
    forget();
    __asm__ volatile("call stores" ::"a"(word) : "ecx", "memory");
    check("one byte of a longer store", traps, 1);
    check("behind it", log_[0].ip, (reg)stores_2);
    arm(0, (reg)word + 8, 1, 3);
    forget();
    void *to = word;
    uint32_t n = 4;
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(7) : "memory");
    check("in a string", traps, 1);
    check("the string is done", word[3], 7);
    disarm();
}

static void steps(void)
{
    forget();
    check("single steps", try(call, (reg)stepped), NONE);
    check("five of them", traps, 5);
    check("first", log_[0].ip, (reg)stepped_1);
    check("second", log_[1].ip, (reg)stepped_2);
    check("BS", log_[0].dr6, 0x4000);
    check("TF is shown", log_[0].flags & F_TF, F_TF);
    check("last, behind popf", log_[4].ip, (reg)stepped_3);
    forget();
    try(call, (reg)shadowed);
    check("not behind mov ss", log_[0].ip, (reg)shadowed_1);
}

static void read_dr0(reg a) { get_dr0(); }
static void write_dr7(reg v) { set_dr7(v); }
static void write_dr6(reg v) { set_dr6(v); }
static void write_dr4(reg v) { __asm__ volatile("mov %0, %%dr4" ::"r"(v)); }
static reg get_dr4(void)
{
    reg v;
    __asm__ volatile("mov %%dr4, %0" : "=r"(v));
    return v;
}
static void icebp(reg a) { __asm__ volatile(".byte 0xf1"); }
CODE(user_dr, "mov %dr0, " AX);

static void registers(void)
{
    hook = NULL;
    set_dr6(0xffffffff);
    expect("dr6 of 64 bits", sizeof(reg) == 8 ? try(write_dr6, 1ull << (sizeof(reg) * 8 - 1)) : GP, GP, seen.error);
    check("dr6 bits", get_dr6() & 0xffffefff, 0xffff0fff | 0xe000);
    set_dr6(0);
    check("dr6 bits", get_dr6() & 0xffffffff, 0xffff0ff0);
    set_dr7(0);
    check("dr7 bit 10", get_dr7(), 0x400);
    check("dr4 is dr6", get_dr4(), get_dr6());
    set_cr4(get_cr4() | 8);
    expect("dr4 with DE", try(write_dr4, 0), UD, 0);
    set_cr4(get_cr4() & ~8);
    expect("dr0 in ring 3", try_user(user_dr), GP, 0);
    try(write_dr7, 0x2400);
    expect("GD", try(read_dr0, 0), DB, 0);
    check("BD", seen_dr6 & 0xe00f, 0x2000);
    check("GD is cleared", get_dr7(), 0x400);
    set_dr6(0);
    expect("icebp", try(icebp, 0), DB, 0);
    check("says nothing in dr6", seen_dr6 & 0xe00f, 0);
    try(write_dr6, 0);
}

static void in_80(reg a) { __asm__ volatile("inb $0x80, %%al\n nop" ::: "eax"); }

static void port_breakpoints(void)
{
    set_cr4(get_cr4() | 8);
    arm(0, 0x80, 2, 0);
    forget();
    hook = record;
    check("port", try(in_80, 0), NONE);
    check("port breakpoint", traps, 1);
    check("B0", log_[0].dr6, 1);
    check("behind it", *(uint8_t *)log_[0].ip, 0x90);
    hook = NULL;
    disarm();
    set_cr4(get_cr4() & ~8);
}

void test_debug(void)
{
    code_breakpoints();
    data_breakpoints();
    steps();
    registers();
    port_breakpoints();
    hook = NULL;
    disarm();
    set_dr6(0);
}
