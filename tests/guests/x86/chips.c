/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt chips and several CPUs: PIT through PIC and IOAPIC, APIC timer, IPIs, starting of other
 * CPUs, system management mode, string I/O. Says "AT name" so that a debugger can follow.
 */
#include "guest.h"

enum {
    APIC_ID = 0x20, APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_ISR = 0x100, APIC_ICR = 0x300, APIC_ICR2 = 0x310,
    APIC_LVT_TIMER = 0x320, APIC_LVT_LINT0 = 0x350, APIC_INITIAL = 0x380, APIC_DIVIDE = 0x3e0,
    PIC_BASE = 0x30, VECTOR_TIMER = 0x41, VECTOR_IPI = 0x42, VECTOR_IOAPIC = 0x43, VECTOR_LEVEL = 0x44,
};

static volatile unsigned ticks[256];


static void set_apic(unsigned at, uint32_t v) { put32((void *)(0xfee00000u + at), v); }
static uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void set_ioapic(unsigned index, uint32_t v)
{
    put32((void *)0xfec00000u, index);
    put32((void *)0xfec00010u, v);
}

static bool interrupt(Frame *f)
{
    if (f->vector < 32)
        return false;
    ticks[f->vector]++;
    if (f->vector == VECTOR_LEVEL && ticks[VECTOR_LEVEL] >= 3)
        outb(0x3f9, 0);                         /* the line falls */
    if (f->vector < PIC_BASE + 16)
        outb(0x20, 0x20);
    else
        set_apic(APIC_EOI, 0);
    return true;
}

/* With interrupts on; gives up after a while, so that a broken chip is told of and not waited for. */
static bool wait_ticks(unsigned vector, unsigned n)
{
    for (uint64_t i = 0; i < 3000 && ticks[vector] < n; i++)
        __asm__ volatile("sti\n hlt\n cli" ::: "memory");
    return ticks[vector] >= n;
}

static void pit(uint16_t count)
{
    outb(0x43, 0x34);
    outb(0x40, count);
    outb(0x40, count >> 8);
}

__attribute__((noinline)) static void test_pic(void)
{
    put("AT pic\n");
    outb(0x20, 0x11), outb(0x21, PIC_BASE), outb(0x21, 4), outb(0x21, 1);
    outb(0xa0, 0x11), outb(0xa1, PIC_BASE + 8), outb(0xa1, 2), outb(0xa1, 1);
    outb(0xa1, 0xff);
    set_apic(APIC_SVR, 0x1ff);
    set_apic(APIC_LVT_LINT0, 0x700);            /* ExtINT */
    pit(11932);                                 /* 100 Hz */
    outb(0x21, 0xfe);
    check("PIT through PIC", wait_ticks(PIC_BASE, 5), true);
    outb(0x21, 0xff);
    set_apic(APIC_LVT_LINT0, 0x10700);
}

__attribute__((noinline)) static void test_ioapic(void)
{
    put("AT ioapic\n");
    set_ioapic(0x10 + 2 * 2 + 1, 0);
    set_ioapic(0x10 + 2 * 2, VECTOR_IOAPIC);
    check("PIT through IOAPIC", wait_ticks(VECTOR_IOAPIC, 5), true);
    set_ioapic(0x10 + 2 * 2, 0x10000);
}

/* Channel 2 counts while port 0x61 lets it; the port shows its output. */
__attribute__((noinline)) static void test_speaker(void)
{
    unsigned tries = 0;
    put("AT speaker\n");
    outb(0x61, 0);
    outb(0x43, 0xb0);                           /* mode 0, both bytes */
    outb(0x42, 0xff);
    outb(0x42, 0x10);
    check("channel 2 waits", inb(0x61) >> 5 & 1, 0);
    outb(0x61, 1);
    check("gate", inb(0x61) & 3, 1);
    while (!(inb(0x61) & 0x20) && tries < 1000000)
        tries++;
    check("channel 2 ends", inb(0x61) >> 5 & 1, 1);
    outb(0x61, 0);
}

/* The serial port's interrupt by level: it comes again while the line stays high. */
__attribute__((noinline)) static void test_level(void)
{
    put("AT level\n");
    set_ioapic(0x10 + 2 * 4 + 1, 0);
    set_ioapic(0x10 + 2 * 4, VECTOR_LEVEL | 1 << 15);
    outb(0x3fc, 8);
    outb(0x3f9, 2);                             /* transmitter empty */
    check("level-triggered, again after its end", wait_ticks(VECTOR_LEVEL, 3), true);
    set_ioapic(0x10 + 2 * 4, 0x10000);
    (void)inb(0x3fa);
}

__attribute__((noinline)) static void test_apic_timer(void)
{
    put("AT timer\n");
    set_apic(APIC_DIVIDE, 0xb);
    set_apic(APIC_LVT_TIMER, 0x20000 | VECTOR_TIMER);
    set_apic(APIC_INITIAL, 5000000);
    check("APIC timer", wait_ticks(VECTOR_TIMER, 5), true);
    set_apic(APIC_LVT_TIMER, 0x10000);
    set_apic(APIC_INITIAL, 0);
}

__attribute__((noinline)) static void test_ipi(void)
{
    put("AT ipi\n");
    set_apic(APIC_ICR2, 0);
    set_apic(APIC_ICR, 0x40000 | VECTOR_IPI);   /* to itself */
    check("IPI to itself", wait_ticks(VECTOR_IPI, 1), true);
}

/* ---- other CPUs ---- */

CODE(trampoline,
     ".code16\n cli\n xor %ax, %ax\n mov %ax, %ds\n data32 lgdt 0x8ff0\n mov $0x31, %eax\n mov %eax, %cr0\n"
     "ljmpl $8, $ap_start\n .code32\n"
     "ap_start: mov $0x10, %eax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %ss\n"
     "lock incl cpus_up_ap\n 1: mov $20000, %ecx\n 2: lock incl work_ap\n loop 2b\n lock incl done_ap\n"
     "3: cli\n hlt\n jmp 3b\n");
volatile uint32_t cpus_up_ap, work_ap, done_ap;
extern uint8_t gdtr[];

__attribute__((noinline)) static void test_cpus(unsigned others)
{
    put("AT cpus\n");
    copy((void *)0x8000, trampoline, trampoline_end - trampoline);
    copy((void *)0x8ff0, gdtr, 6);
    set_apic(APIC_ICR, 0xc4500);                /* INIT, all but this */
    for (volatile unsigned i = 0; i < 10000; i++)
        ;
    set_apic(APIC_ICR, 0xc4600 | 8);            /* start at 0x8000 */
    for (volatile unsigned i = 0; i < 10000; i++)
        ;
    set_apic(APIC_ICR, 0xc4600 | 8);
    pit(11932);
    set_ioapic(0x10 + 2 * 2, VECTOR_IOAPIC);
    for (unsigned i = 0; i < 600 && done_ap < others; i++)
        wait_ticks(VECTOR_IOAPIC, ticks[VECTOR_IOAPIC] + 1);
    set_ioapic(0x10 + 2 * 2, 0x10000);
    check("CPUs that started", cpus_up_ap, others);
    check("their work", work_ap, others * 20000);
}

/* ---- system management mode ---- */

CODE(smm_handler, ".code16\n mov $0, %ax\n mov %ax, %ds\n incw 0x7000\n rsm\n .code32\n");

__attribute__((noinline)) static void test_smm(void)
{
    put("AT smm\n");
    put16((void *)0x7000, 0);
    copy((void *)0x38000, smm_handler, smm_handler_end - smm_handler);
    reg before = 0x12345678, after = before;
    set_apic(APIC_ICR2, 0);
    reg n = 1000000;
    __asm__ volatile("movl $0x4200, 0xfee00300\n" /* SMI to CPU 0 */
                     "1: cmpw $0, 0x7000\n jne 2f\n dec %1\n jnz 1b\n 2:" : "+b"(after), "+c"(n)::"memory");
    put(get16((void *)0x7000) ? "SMI came\n" : "no SMI\n");
    check("registers after RSM", after, before);
}

__attribute__((noinline)) static void test_strings(void)
{
    char text[4] = {0};
    void *to = text;
    unsigned n = 4;
    put("AT strings\n");
    __asm__ volatile("outw %w0, %w1" ::"a"(0), "d"(0x510));
    __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(0x511) : "memory");
    check("fw_cfg's signature", *(uint32_t *)text, 0x554d4551);
    /* The highest slot, of 24 or, with one IOAPIC, 8. */
    uint32_t magic = get32((void *)0xfeb02e00u);
    check("virtio's magic", magic != UINT32_MAX ? magic : get32((void *)0xfeb00e00u), 0x74726976);
}

/* fw_cfg has the number of CPUs. */
int main(void)
{
    uint16_t cpus = 0;
    hook = interrupt;
    put("AT start\n");
    outb(0x3fb, 3);
    __asm__ volatile("outw %w0, %w1" ::"a"(5), "d"(0x510));
    cpus = inb(0x511);
    cpus |= inb(0x511) << 8;
    test_strings();
    test_pic();
    test_ioapic();
    test_speaker();
    test_level();
    test_apic_timer();
    test_ipi();
    if (cpus > 1)
        test_cpus(cpus - 1);
    else
        test_smm();
    put("AT end\n");
    return 0;
}
