/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs that come and go on q35: takes part in what QMP asks for by the block of registers that ACPI's methods
 * use. Each CPU that comes is started, works, and then halts or, every second time, runs until it is gone.
 */
#include "guest.h"

enum {
    BLOCK = 0xcd8, FLAGS = BLOCK + 4, COMMAND = BLOCK + 5, DATA = BLOCK + 8, INSERTING = 2, REMOVING = 4, EJECT = 8,
    NEXT_EVENT = 0, ARCH_ID = 3, TIMES = 20, TIMER = 0x41, APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_ICR = 0x300,
    APIC_ICR2 = 0x310, APIC_LVT_TIMER = 0x320, APIC_INITIAL = 0x380, APIC_DIVIDE = 0x3e0, WORK = 20000,
};

CODE(trampoline,
     ".code16\n cli\n xor %ax, %ax\n mov %ax, %ds\n data32 lgdt 0x8ff0\n mov $0x31, %eax\n mov %eax, %cr0\n"
     "ljmpl $8, $ap_start\n .code32\n"
     "ap_start: mov $0x10, %eax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %ss\n"
     "mov $20000, %ecx\n 2: lock incl work\n loop 2b\n lock incl done\n"
     "cmpl $0, spins\n je 3f\n 4: pause\n lock incl spun\n jmp 4b\n 3: cli\n hlt\n jmp 3b\n");
volatile uint32_t work, done, spins, spun;
extern uint8_t gdtr[];

static void set_apic(unsigned at, uint32_t v) { put32((void *)(0xfee00000u + at), v); }

static uint32_t in(uint16_t port, bool wide)
{
    uint32_t v = 0;
    if (wide)
        __asm__ volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
    else
        __asm__ volatile("inb %w1, %b0" : "+a"(v) : "Nd"(port));
    return v;
}

static bool interrupt(Frame *f)
{
    if (f->vector < 32)
        return false;
    set_apic(APIC_EOI, 0);
    return true;
}

static void pause_ms(unsigned n)                /* 10 ms each */
{
    while (n--)
        __asm__ volatile("sti\n hlt\n cli" ::: "memory");
}

static void ipi(uint32_t id, uint32_t command)
{
    set_apic(APIC_ICR2, id << 24);
    set_apic(APIC_ICR, command);
}

static void start(unsigned round)
{
    outb(COMMAND, ARCH_ID);
    uint32_t id = in(DATA, true), before = done, worked = work;
    outb(FLAGS, INSERTING);
    spins = round & 1;
    ipi(id, 0x4500);
    pause_ms(2);
    ipi(id, 0x4600 | 8);
    pause_ms(1);
    if (done == before)
        ipi(id, 0x4600 | 8);
    for (unsigned i = 0; i < 500 && done == before; i++)
        pause_ms(1);
    check("the CPU's work", work - worked, WORK);
    put("UP\n");
}

/* The block says that the CPU is gone a little before it is. */
static bool stands(void)
{
    for (unsigned i = 0; i < 300; i++) {
        uint32_t now = spun;
        pause_ms(3);
        if (spun == now)
            return true;
    }
    return false;
}

int main(void)
{
    unsigned came = 0, went = 0;
    hook = interrupt;
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    copy((void *)0x8000, trampoline, trampoline_end - trampoline);
    copy((void *)0x8ff0, gdtr, 6);
    set_apic(APIC_SVR, 0x1ff);
    set_apic(APIC_DIVIDE, 0xb);
    set_apic(APIC_LVT_TIMER, 0x20000 | TIMER);
    set_apic(APIC_INITIAL, 10000000);
    outl(BLOCK, 0);
    put("AT start\n");
    while (went < TIMES) {
        outl(BLOCK, 0);
        outb(COMMAND, NEXT_EVENT);
        uint8_t flags = in(FLAGS, false);
        if (flags & INSERTING) {
            start(came++);
        } else if (flags & REMOVING) {
            outb(FLAGS, REMOVING);
            outb(FLAGS, EJECT);
            check("it runs no more", stands(), true);
            went++;
            put("GONE\n");
        } else {
            pause_ms(1);
        }
    }
    check("CPUs that came", came, TIMES);
    return 0;
}
