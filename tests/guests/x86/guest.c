/* SPDX-License-Identifier: Apache-2.0 */
/* Console, checks, traps, descriptors. */
#include "guest.h"

unsigned failures, checks;
Frame seen;
reg seen_cr2, seen_dr6;
bool (*hook)(Frame *f);

/* ---- console ---- */

void put(const char *s)
{
    while (*s)
        outb(0x3f8, *s++);
}

void put_hex(uint64_t v)
{
    char text[17];
    unsigned n = 0;
    for (int i = 60; i >= 0; i -= 4) {
        if (n || v >> i & 15 || !i)
            text[n++] = "0123456789abcdef"[v >> i & 15];
    }
    text[n] = 0;
    put(text);
}

void check(const char *what, uint64_t got, uint64_t want)
{
    checks++;
    if (got == want)
        return;
    failures++;
    put("FAIL ");
    put(what);
    put(": got ");
    put_hex(got);
    put(" want ");
    put_hex(want);
    put("\n");
}

void finish(void)
{
    put_hex(checks);
    put(failures ? " checks, failed\n" : " checks passed\n");
    outl(0xf4, failures ? 1 : 0);
    for (;;)
        __asm__ volatile("cli\n hlt");
}

/* ---- traps ---- */

static void strange(void)
{
    put("unexpected trap ");
    put_hex(seen.vector);
    put(" error ");
    put_hex(seen.error);
    put(" at ");
    put_hex(seen.cs);
    put(":");
    put_hex(seen.ip);
    put(" cr2 ");
    put_hex(seen_cr2);
    put("\n");
    failures++;
    finish();
}

extern bool trying;

/* From the assembly: false ends try(). */
bool handle(Frame *f)
{
    seen = *f;
    seen_cr2 = get_cr2();
    seen_dr6 = get_dr6();
    if (hook && hook(f))
        return true;
    if (!trying)
        strange();
    return false;
}

void expect(const char *what, int got, int vector, reg error)
{
    check(what, (unsigned)got, (unsigned)vector);
    if (got == vector && vector != NONE && vector != DONE)
        check(what, seen.error, error);
}

int try_user(void *fn) { return try((void (*)(reg))(void *)enter_user, (reg)fn); }

/* ---- descriptors ---- */

void set_gdt(unsigned sel, uint32_t lo, uint32_t hi) { gdt[sel / 8] = lo | (uint64_t)hi << 32; }

void set_segment(unsigned sel, uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    set_gdt(sel, (limit & 0xffff) | base << 16,
            (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000));
}

extern uint8_t stubs[];
#ifdef __x86_64__
extern uint64_t idt[512];
enum { WORDS = 2 };
#else
extern uint64_t idt[256];
enum { WORDS = 1 };
#endif

void set_idt(unsigned vector, void *to, unsigned sel, unsigned type)
{
    reg at = (reg)(to ? to : stubs + 16 * vector);
    idt[vector * WORDS] = (at & 0xffff) | sel << 16 | (uint64_t)type << 40 | (uint64_t)(at >> 16 & 0xffff) << 48;
#ifdef __x86_64__
    idt[vector * WORDS + 1] = at >> 32;
#endif
}

void start(void)
{
    for (unsigned v = 0; v < 256; v++)
        set_idt(v, 0, CODE0, v == DONE || v == BP || v == OF ? 0xee : 0x8e);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    main();
    finish();
}
