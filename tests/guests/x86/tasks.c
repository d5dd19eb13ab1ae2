/* SPDX-License-Identifier: Apache-2.0 */
/* Task switches of both sizes: jmp, call, iret, interrupts. Intel SDM vol. 3A, chapter 7. */
#include "guest.h"

enum { TASK_A = 0x100, TASK_B = 0x108, TASK_C = 0x110, TASK_GATE = 0x118, LDT_SEL = 0x120, TASK_E = 0x128 };

static uint8_t task_b[104] __attribute__((aligned(256))), task_c[44] __attribute__((aligned(64)));
static uint8_t task_e[104] __attribute__((aligned(256)));
static uint8_t stack_b[4096] __attribute__((aligned(16))), stack_e[4096] __attribute__((aligned(16)));
uint32_t log_[8];
static uint64_t ldt[2];

static uint32_t access_of(unsigned sel) { return gdt[sel / 8] >> 40 & 0xff; }

static void set_task(unsigned sel, void *at, unsigned limit, unsigned access)
{
    set_segment(sel, (reg)at, limit, access, 0);
}

/* A 32-bit task that begins at code with eax = 0xb. */
static void make_task(unsigned sel, uint8_t *t, void *code, uint8_t *stack)
{
    zero(t, 104);
    put32(t + 0x1c, get_cr3());
    put32(t + 0x20, (reg)code);
    put32(t + 0x24, 2);
    put32(t + 0x28, 0xb);
    put32(t + 0x38, (reg)stack);
    for (unsigned n = 0; n < 6; n++)
        put32(t + 0x48 + 4 * n, n == 1 ? CODE0 : n < 4 ? DATA0 : 0);
    put16(t + 0x66, 0x68);
    set_task(sel, t, 0x67, 0x89);
}

static void make_b(void *code) { make_task(TASK_B, task_b, code, stack_b + sizeof(stack_b)); }

static void make_c(unsigned ip)
{
    zero(task_c, sizeof(task_c));
    put16(task_c + 0x0e, ip);
    put16(task_c + 0x10, 2);
    put16(task_c + 0x12, 0xc);
    put16(task_c + 0x1a, 0x7f00);
    for (unsigned n = 0; n < 4; n++)
        put16(task_c + 0x22 + 2 * n, n == 1 ? CODE0 : DATA0);
    set_task(TASK_C, task_c, 0x2b, 0x81);
}

CODE(b_jumps_back, "mov %eax, log_\n str log_+4\n pushf\n pop log_+8\n ljmp $0x28, $0");
CODE(b_returns, "mov %eax, log_\n str log_+4\n pushf\n pop log_+8\n iret\n"
     "mov $0xb2, %eax\n mov %eax, log_\n iret");
CODE(b_error, "pop log_+12\n mov %esp, log_+16\n mov %eax, log_\n addl $2, tss+0x20\n iret");
CODE(c_returns, "mov %eax, log_\n str log_+4\n pushf\n pop log_+8\n iret");
CODE(e_reports, "pop log_+12\n ljmp $0x28, $0");
CODE(b_calls_c, "lcall $0x110, $0\n iret");

static void jump(reg sel)
{
    struct __attribute__((packed)) { uint32_t ip; uint16_t sel; } to = {0xdeadbeef, sel};
    __asm__ volatile("mov $0x5a5a, %%ebx\n ljmp *%0\n mov %%ebx, log_+20" ::"m"(to) : "ebx");
}

static void call(reg sel)
{
    struct __attribute__((packed)) { uint32_t ip; uint16_t sel; } to = {0, sel};
    __asm__ volatile("mov $0x5a5a, %%ebx\n lcall *%0\n mov %%ebx, log_+20" ::"m"(to) : "ebx");
}

static void interrupt(reg a) { __asm__ volatile("int $0x42"); }
static void fault(reg a) { __asm__ volatile("mov %0, %%es" ::"r"(0x1f3)); }
static void nested_iret(reg a) { __asm__ volatile("pushf\n orl $0x4000, (%esp)\n popf\n iret"); }

static void jumps(void)
{
    make_b(b_jumps_back);
    zero(log_, sizeof(log_));
    check("jmp to a task", try(jump, TASK_B), NONE);
    check("its eax", log_[0], 0xb);
    check("its tr", log_[1] & 0xffff, TASK_B);
    check("its flags", log_[2] & F_NT, 0);
    check("registers survive", log_[5], 0x5a5a);
    check("B is not busy", access_of(TASK_B), 0x89);
    check("main is busy", access_of(TSS), 0x8b);
    check("TS is set", get_cr0() & 8, 8);
    __asm__ volatile("clts");
    check("B's eip is saved", get32(task_b + 0x20), (reg)b_jumps_back_end);
    check("no back link", get16(task_b), 0);
}

static void calls(void)
{
    make_b(b_returns);
    zero(log_, sizeof(log_));
    check("call of a task", try(call, TASK_B), NONE);
    check("its eax", log_[0], 0xb);
    check("NT is set", log_[2] & F_NT, F_NT);
    check("back link", get16(task_b), TSS);
    check("registers survive", log_[5], 0x5a5a);
    check("B is free again", access_of(TASK_B), 0x89);
    check("NT was cleared on the way", get32(task_b + 0x24) & F_NT, 0);
    check("call goes on after iret", try(call, TASK_B), NONE);
    check("second part", log_[0], 0xb2);

    make_c(0);
    copy((void *)0x8000, c_returns, c_returns_end - c_returns);
    put16(task_c + 0x0e, 0x8000);
    zero(log_, sizeof(log_));
    check("call of a 16-bit task", try(call, TASK_C), NONE);
    check("its eax", log_[0], 0xffff000c);
    check("its tr", log_[1] & 0xffff, TASK_C);
    check("its flags", log_[2] & F_NT, F_NT);

    make_b(b_calls_c);
    make_c(0x8000);
    zero(log_, sizeof(log_));
    check("nested calls", try(call, TASK_B), NONE);
    check("C's link", get16(task_c), TASK_B);
    check("nested eax", log_[0] & 0xffff, 0xc);
    check("all free", access_of(TASK_B) << 8 | access_of(TASK_C), 0x8981);
}

static void interrupts(void)
{
    make_b(b_returns);
    zero(log_, sizeof(log_));
    set_idt(0x42, 0, TASK_B, 0x85);
    check("int through a task gate", try(interrupt, 0), NONE);
    check("its tr", log_[1] & 0xffff, TASK_B);
    make_b(b_error);
    zero(log_, sizeof(log_));
    set_idt(GP, 0, TASK_B, 0x85);
    check("fault through a task gate", try(fault, 0), NONE);
    check("error code on its stack", log_[3], 0x1f0);
    check("its stack", log_[4], (reg)stack_b + sizeof(stack_b));
    set_idt(GP, 0, CODE0, 0x8e);
    set_idt(0x42, 0, CODE0, 0x8e);
    set_gdt(TASK_GATE, TASK_B << 16, 0x8500);
    make_b(b_returns);
    zero(log_, sizeof(log_));
    check("call of a task gate", try(call, TASK_GATE), NONE);
    check("its eax", log_[0], 0xb);
}

static void refusals(void)
{
    make_b(b_returns);
    set_task(TASK_B, task_b, 0x67, 0x8b);
    expect("busy task", try(jump, TASK_B), GP, TASK_B);
    set_task(TASK_B, task_b, 0x67, 0x09);
    expect("absent task", try(jump, TASK_B), NP, TASK_B);
    set_task(TASK_B, task_b, 0x66, 0x89);
    expect("short task", try(jump, TASK_B), TS, TASK_B);
    set_task(TASK_B, task_b, 0x67, 0x89);
    put16(tss, TASK_B);
    expect("iret to a free task", try(nested_iret, 0), TS, TASK_B);
    put16(tss, 0);
    check("still in main", access_of(TSS), 0x8b);
}

/* Faults of the new task arise in it; task E hears of them, and goes back to the first task. */
static void bad_task(const char *what, unsigned at, unsigned sel, unsigned error)
{
    make_b(b_returns);
    put16(task_b + at, sel);
    zero(log_, sizeof(log_));
    make_task(TASK_E, task_e, e_reports, stack_e + sizeof(stack_e));
    set_idt(TS, 0, TASK_E, 0x85);
    check(what, try(jump, TASK_B), NONE);
    check(what, log_[3], error);
    check(what, get16(task_e), TASK_B);
    check(what, access_of(TASK_B), 0x8b);
    set_idt(TS, 0, CODE0, 0x8e);
}

static void late_faults(void)
{
    bad_task("bad cs of the task", 0x4c, 0x1f0, 0x1f0);
    bad_task("data as cs of the task", 0x4c, DATA0, DATA0);
    bad_task("bad ss of the task", 0x50, 0x1f0, 0x1f0);
    bad_task("null ss of the task", 0x50, 0, 0);
    bad_task("bad ds of the task", 0x54, 0x1f0, 0x1f0);
    bad_task("bad ldt of the task", 0x60, 0x1f0, 0x1f0);

    ldt[1] = 0x00cf93000000ffff;
    set_segment(LDT_SEL, (reg)ldt, 15, 0x82, 0);
    make_b(b_jumps_back);
    put16(task_b + 0x60, LDT_SEL);
    put16(task_b + 0x48, 0x0c);                     /* es from it */
    check("task with an ldt", try(jump, TASK_B), NONE);
    uint16_t now;
    __asm__ volatile("sldt %0" : "=m"(now));
    check("main has none", now, 0);

    make_b(b_jumps_back);
    put16(task_b + 0x64, 1);                        /* T: debug trap on entry */
    expect("debug trap of a task", try(jump, TASK_B), DB, 0);
    check("its dr6", seen_dr6 & 0xe00f, 0x8000);
    check("before its first instruction", seen.ip, (reg)b_jumps_back);
    set_dr6(0xffff0ff0);
    set_task(TSS, tss, 0x67, 0x89);
    __asm__ volatile("ltr %w0" ::"r"(TSS));
    __asm__ volatile("clts");
}

void test_tasks(void)
{
    jumps();
    calls();
    interrupts();
    refusals();
    late_faults();
}
