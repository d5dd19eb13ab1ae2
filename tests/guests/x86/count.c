/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under -icount: what is interrupted where, and what the clocks say then, as numbers. They must be the same
 * on each engine. A periodic APIC timer, one that its handler arms anew, traps, reads of clocks in the
 * middle of other code, and halts.
 */
#include "guest.h"

enum {
    APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_LVT_TIMER = 0x320, APIC_INITIAL = 0x380, APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3e0, PERIODIC = 0x20000, VECTOR_PERIODIC = 0x41, VECTOR_SHOT = 0x42, ROUNDS = 400,
};

static uint64_t sum;
static volatile unsigned ticks;
static volatile uint32_t cells[64];

static uint32_t apic(unsigned at) { return get32((void *)(0xfee00000u + at)); }
static void set_apic(unsigned at, uint32_t v) { put32((void *)(0xfee00000u + at), v); }

static uint64_t tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

static void mix(uint64_t v)
{
    sum = (sum ^ v) * 0x100000001b3ull;
}

static bool trap(Frame *f)
{
    mix(f->vector);
    mix(f->ip);
    mix(tsc());
    mix(f->ecx);
    if (f->vector == UD) {
        f->ip += 2;
        return true;
    }
    if (f->vector < 32)
        return false;
    ticks++;
    if (f->vector == VECTOR_SHOT)
        set_apic(APIC_INITIAL, 300 + ticks * 37 % 500);
    set_apic(APIC_EOI, 0);
    return true;
}

/* Some of it runs in units that are long, some in short ones. */
__attribute__((noinline)) static void work(unsigned seed)
{
    for (unsigned i = 0; i < 200; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned at = seed >> 16 & 60;
        cells[at] += seed;
        cells[at + 1] ^= cells[at];
        if (seed & 0x10000)
            cells[at + 2] = cells[at] + apic(APIC_CURRENT);
        cells[at + 3] -= cells[at + 1];
        if ((seed & 0x700000) == 0)
            __asm__ volatile("ud2");
        if ((seed & 0x3800000) == 0)
            mix(tsc());
    }
    mix(cells[seed & 63]);
}

static void run(const char *name, unsigned vector, unsigned mode)
{
    put(name);
    set_apic(APIC_LVT_TIMER, mode | vector);
    set_apic(APIC_INITIAL, 777);
    __asm__ volatile("sti");
    for (unsigned round = 0; round < ROUNDS; round++) {
        work(round);
        if (round % 8 == 0)
            __asm__ volatile("hlt");
    }
    __asm__ volatile("cli");
    set_apic(APIC_INITIAL, 0);
    put(" ticks "), put_hex(ticks), put(" sum "), put_hex(sum), put(" time "), put_hex(tsc()), put("\n");
}

int main(void)
{
    hook = trap;
    set_apic(APIC_SVR, 0x1ff);
    set_apic(APIC_DIVIDE, 0xb);
    run("periodic", VECTOR_PERIODIC, PERIODIC);
    run("anew", VECTOR_SHOT, 0);
    check("timers ticked", ticks > 100, true);
    return 0;
}
