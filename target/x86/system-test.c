/* SPDX-License-Identifier: Apache-2.0 */
/* Bare-metal programs on the interpreter: real mode, protection, paging, tasks, virtual-8086 mode. */
#include <string.h>
#include "target/x86/testing.h"

#if defined(__x86_64__)

enum { CODE = 0x10000, GDT = 0x2000, IDT = 0x3000, TSS_A = 0x4000, TSS_B = 0x4100, RESULT = 0x500,
       HANDLER = 0x11000, PAGES = 0x20000 };

/* The programs, assembled with this file and copied to where they run. */
#define PROGRAM(name, text)                                                                         \
    extern const char name##_start[], name##_end[];                                                 \
    __asm__(".section .rodata\n" #name "_start:\n" text "\n" #name "_end:\n.code64\n.text\n")
#define PLACE(t, at, name) memcpy((t)->mem + (at), name##_start, name##_end - name##_start)

static void put32(X86Test *t, uint32_t at, uint32_t v) { memcpy(t->mem + at, &v, 4); }
static void put64(X86Test *t, uint32_t at, uint64_t v) { memcpy(t->mem + at, &v, 8); }

static uint32_t word(X86Test *t, unsigned n)
{
    uint32_t v;
    memcpy(&v, t->mem + RESULT + 4 * n, 4);
    return v;
}

/* ---- real mode ---- */

PROGRAM(real, ".code16\n"
    "xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x7000, %sp\n"
    "movw $0x100, 0x80\n movw $0x1000, 0x82\n"          /* int 0x20 -> 1000:0100 */
    "mov $0x1234, %bx\n int $0x20\n mov %bx, 0x500\n"
    "mov $0x40, %ax\n mov %ax, %es\n mov $0x104, %di\n"  /* es:di = 0x504 */
    "mov $0xabcd, %ax\n cld\n stosw\n"
    "mov $3, %cx\n xor %dx, %dx\n 1: inc %dx\n loop 1b\n mov %dx, 0x506\n"
    "pushf\n pop %ax\n mov %ax, 0x508\n hlt\n");
PROGRAM(real_handler, ".code16\n add $1, %bx\n iret\n");

static void test_real(void)
{
    g_autoptr(X86Test) t = x86_test_new("x86_64", "qemu64", 1 << 20);
    PLACE(t, 0x7c00, real);
    PLACE(t, 0x10100, real_handler);
    x86_cpu_boot(&t->x->cpu, &(X86Boot){.mode = X86_BOOT_REAL, .start = 0x7c00});
    g_assert_true(x86_test_run(t, 1000));
    g_assert_cmphex(word(t, 0) & 0xffff, ==, 0x1235);
    g_assert_cmphex(word(t, 1), ==, 0x0003abcd);
    g_assert_cmphex(t->x->seg[ES].base, ==, 0x400);
}

/* ---- protected mode ---- */

static void set_gate(X86Test *t, unsigned vector, uint32_t to, unsigned type)
{
    put64(t, IDT + 8 * vector, (to & 0xffff) | 0x10 << 16 | (uint64_t)type << 40 | (uint64_t)(to >> 16) << 48);
}

static uint64_t tss_descriptor(uint32_t base) { return 0x67 | (uint64_t)base << 16 | 0x89ull << 40; }

/* Handlers: push the vector, record {vector, error, cr2}, and skip the bytes in ebx. */
PROGRAM(record, ".code32\n"
    "mov %eax, %ss:0x5f0\n pop %eax\n mov %eax, %ss:0x500\n"     /* vector */
    "pop %eax\n mov %eax, %ss:0x504\n mov %cr2, %eax\n mov %eax, %ss:0x508\n"
    "mov %ss:4(%esp), %eax\n mov %eax, %ss:0x50c\n"
    "add %ebx, %ss:(%esp)\n mov %ss:0x5f0, %eax\n iret\n");

static void stub(X86Test *t, unsigned vector)
{
    uint32_t at = HANDLER + 0x100 + 16 * vector;
    bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
    unsigned n = 0;
    if (!error) {
        t->mem[at + n++] = 0x6a;
        t->mem[at + n++] = 0;
    }
    t->mem[at + n++] = 0x6a;
    t->mem[at + n++] = vector;
    t->mem[at + n++] = 0xe9;
    put32(t, at + n, HANDLER - (at + n + 4));
    set_gate(t, vector, at, 0x8e);
}

static X86Test *protected(void)
{
    X86Test *t = x86_test_new("x86_64", "qemu64", 4 << 20);
    put64(t, GDT + 0x10, 0x00cf9b000000ffff);           /* code */
    put64(t, GDT + 0x18, 0x00cf93000000ffff);           /* data */
    put64(t, GDT + 0x20, tss_descriptor(TSS_A));
    put64(t, GDT + 0x28, tss_descriptor(TSS_B));
    put64(t, GDT + 0x30, 0x0040930080000fff);           /* data: base 0x8000, limit 0xfff */
    put64(t, GDT + 0x38, 0x00cffb000000ffff);           /* user code */
    PLACE(t, HANDLER, record);
    for (unsigned v = 0; v < 20; v++)
        stub(t, v);
    x86_cpu_boot(&t->x->cpu, &(X86Boot){.mode = X86_BOOT_PROT32, .start = CODE, .rsp = 0x9000,
                                        .gdt_base = GDT, .gdt_limit = 0xff});
    t->x->idt = (X86Table){IDT, 0x7ff};
    t->x->tr.base = TSS_A;
    put32(t, TSS_A + 4, 0xa000);
    put32(t, TSS_A + 8, 0x18);
    return t;
}

static void run(X86Test *t)
{
    if (!x86_test_run(t, 1000)) {
        g_autoptr(GString) s = g_string_new(NULL);
        t->x->cpu.isa->dump(&t->x->cpu, CPU_DUMP_ALL, s);
        g_error("did not halt\n%s", s->str);
    }
}

PROGRAM(invalid, ".code32\n mov $2, %ebx\n ud2\n hlt\n");
PROGRAM(limit, ".code32\n mov $0x30, %eax\n mov %eax, %es\n mov $7, %ebx\n"
    "mov %es:0xffc, %ecx\n mov %es:0xffd, %ecx\n hlt\n");
PROGRAM(selector, ".code32\n mov $0x103, %eax\n mov $2, %ebx\n mov %eax, %es\n hlt\n");
PROGRAM(divide, ".code32\n xor %ecx, %ecx\n mov $2, %ebx\n div %ecx\n hlt\n");
PROGRAM(paging, ".code32\n mov $0x20000, %eax\n mov %eax, %cr3\n mov %cr0, %eax\n or $0x80010000, %eax\n"
    "mov %eax, %cr0\n movl $5, 0x3000\n movl $6, 0x100000\n mov $10, %ebx\n movl $7, 0x101004\n hlt\n");

static void test_exceptions(void)
{
    g_autoptr(X86Test) t = protected();
    PLACE(t, CODE, invalid);
    run(t);
    g_assert_cmpuint(word(t, 0), ==, EXC_UD);

    g_autoptr(X86Test) l = protected();
    PLACE(l, CODE, limit);
    run(l);
    g_assert_cmpuint(word(l, 0), ==, EXC_GP);
    g_assert_cmpuint(word(l, 1), ==, 0);

    g_autoptr(X86Test) s = protected();
    PLACE(s, CODE, selector);
    run(s);
    g_assert_cmpuint(word(s, 0), ==, EXC_GP);
    g_assert_cmphex(word(s, 1), ==, 0x100);

    g_autoptr(X86Test) d = protected();
    PLACE(d, CODE, divide);
    run(d);
    g_assert_cmpuint(word(d, 0), ==, EXC_DE);
}

static void test_paging(void)
{
    g_autoptr(X86Test) t = protected();
    put32(t, PAGES, (PAGES + 0x1000) | 3);
    for (unsigned n = 0; n < 1024; n++)
        put32(t, PAGES + 0x1000 + 4 * n, n << 12 | 3);
    put32(t, PAGES + 0x1000 + 4 * 0x100, 0x200000 | 3);         /* 0x100000 -> 0x200000 */
    put32(t, PAGES + 0x1000 + 4 * 0x101, 0x201000 | 1);         /* read-only */
    PLACE(t, CODE, paging);
    run(t);
    g_assert_cmpuint(word(t, 0), ==, EXC_PF);
    g_assert_cmphex(word(t, 1), ==, 3);
    g_assert_cmphex(word(t, 2), ==, 0x101004);
    uint32_t v;
    memcpy(&v, t->mem + 0x200000, 4);
    g_assert_cmpuint(v, ==, 6);
    memcpy(&v, t->mem + PAGES + 0x1000 + 4 * 0x100, 4);
    g_assert_cmphex(v & 0x60, ==, 0x60);                        /* accessed, dirty */
}

/* ---- nobody there ---- */

PROGRAM(vm86_fault, ".code32\n mov 4(%esp), %eax\n mov %eax, %ss:0x500\n mov 12(%esp), %eax\n mov %eax, %ss:0x504\n hlt\n");
PROGRAM(nowhere, ".code32\n movl $5, 0xfed40000\n mov 0xfed40000, %eax\n mov %eax, 0x508\n"
    "ljmp $0x10, $0xfed40000\n");

static void test_nowhere(void)
{
    g_autoptr(X86Test) t = protected();
    PLACE(t, CODE, nowhere);
    PLACE(t, CODE + 0x800, vm86_fault);
    set_gate(t, EXC_UD, CODE + 0x800, 0x8e);
    t->x->regs[RAX] = 0;
    run(t);
    g_assert_cmphex(word(t, 2), ==, 0xffffffff);
    g_assert_cmphex(word(t, 0), ==, 0x10);              /* cs of the invalid instruction */
}

/* ---- tasks ---- */

PROGRAM(task_a, ".code32\n mov $0x11, %esi\n ljmp $0x28, $0\n mov %esi, 0x500\n str 0x504\n hlt\n");
PROGRAM(task_b, ".code32\n mov $0x22, %esi\n mov %esi, 0x508\n ljmp $0x20, $0\n");

static void test_task(void)
{
    g_autoptr(X86Test) t = protected();
    t->x->tr.sel = 0x20;
    PLACE(t, CODE, task_a);
    PLACE(t, CODE + 0x200, task_b);
    put64(t, GDT + 0x20, tss_descriptor(TSS_A) | 0x0200ull << 32);      /* busy */
    put32(t, TSS_B + 0x20, CODE + 0x200);
    put32(t, TSS_B + 0x24, 2);
    put32(t, TSS_B + 0x38, 0xb000);
    for (unsigned n = 0; n < 6; n++)
        put32(t, TSS_B + 0x48 + 4 * n, n == 1 ? 0x10 : 0x18);
    run(t);
    g_assert_cmphex(word(t, 0), ==, 0x11);
    g_assert_cmphex(word(t, 1) & 0xffff, ==, 0x20);
    g_assert_cmphex(word(t, 2), ==, 0x22);
}

/* ---- virtual-8086 ---- */

PROGRAM(to_vm86, ".code32\n mov $0x99, %ebx\n"
    "push $0\n push $0\n push $0\n push $0\n push $0\n push $0x6000\n push $0x20002\n push $0x700\n push $0\n iret\n");
PROGRAM(vm86, ".code16\n mov $0x800, %ax\n mov %ax, %ds\n movw $0x77, 0x10\n cli\n");

static void test_vm86(void)
{
    g_autoptr(X86Test) t = protected();
    PLACE(t, CODE, to_vm86);
    PLACE(t, 0x7000, vm86);
    PLACE(t, CODE + 0x800, vm86_fault);
    set_gate(t, EXC_GP, CODE + 0x800, 0x8e);
    run(t);
    g_assert_cmphex(t->mem[0x8010], ==, 0x77);
    g_assert_cmphex(word(t, 0), ==, vm86_end - vm86_start - 1);
    g_assert_cmphex(word(t, 1) & FLAG_VM, ==, FLAG_VM);
    g_assert_false(x86_vm86(t->x));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x86/system/real", test_real);
    g_test_add_func("/x86/system/exceptions", test_exceptions);
    g_test_add_func("/x86/system/paging", test_paging);
    g_test_add_func("/x86/system/nowhere", test_nowhere);
    g_test_add_func("/x86/system/task", test_task);
    g_test_add_func("/x86/system/vm86", test_vm86);
    return g_test_run();
}

#else

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    return g_test_run();
}

#endif
