/* SPDX-License-Identifier: Apache-2.0 */
/* What the bare-metal x86 programs share: console, checks, traps, descriptors. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long reg;

/* What a trap found, in the order of the stack. */
typedef struct Frame {
#ifdef __x86_64__
    reg r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    reg vector, error, ip, cs, flags, sp, ss;
#else
    reg gs, fs, es, ds, edi, esi, ebp, esp_here, ebx, edx, ecx, eax;
    reg vector, error, ip, cs, flags, sp, ss;   /* sp, ss: from another ring only */
    reg v_es, v_ds, v_fs, v_gs;                 /* from virtual-8086 mode only */
#endif
} Frame;

enum {
    DE, DB, NMI, BP, OF, BR, UD, NM, DF, CSO, TS, NP, SS, GP, PF, MF = 16, AC, MC, XM,
    DONE = 0xf0,                /* int $DONE ends user code */
    NONE = -1,
};
enum {
    F_CF = 1, F_ZF = 0x40, F_TF = 0x100, F_IF = 0x200, F_DF = 0x400, F_IOPL = 0x3000, F_NT = 0x4000,
    F_RF = 0x10000, F_VM = 0x20000, F_AC = 0x40000, F_VIF = 0x80000, F_VIP = 0x100000,
};
enum { CODE0 = 8, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TSS = 0x28, FREE = 0x40, LAST_FREE = 0x1f8 };

/* ---- console, verdict ---- */
void put(const char *s);
void put_hex(uint64_t v);
void check(const char *what, uint64_t got, uint64_t want);
extern unsigned failures, checks;
void finish(void) __attribute__((noreturn));
int main(void);

/* ---- traps ---- */
extern Frame seen;              /* of the last trap that came here */
extern reg seen_cr2, seen_dr6;
/* Called for each trap; true: go on where it happened. NULL: every trap ends try(). */
extern bool (*hook)(Frame *f);
/* Runs fn(arg); the vector of the trap that ended it, or NONE. Interrupts are off. */
int try(void (*fn)(reg), reg arg);
/* Runs code in ring 3 on a stack of its own, until int $DONE or a trap. From within try(). */
void enter_user(reg arg, void *fn) __attribute__((noreturn));
/* try(enter_user) */
int try_user(void *fn);
/* Expects a vector with an error code. */
void expect(const char *what, int got, int vector, reg error);

extern uint64_t gdt[64];
void set_gdt(unsigned sel, uint32_t lo, uint32_t hi);
/* base, limit as written, access byte, flags nibble (G 8, D 4, L 2) */
void set_segment(unsigned sel, uint32_t base, uint32_t limit, unsigned access, unsigned flags);
/* type: 0x8e interrupt gate, 0x85 task gate …; NULL handler: back to the default */
void set_idt(unsigned vector, void *to, unsigned sel, unsigned type);
extern uint8_t user_stack[], user_stack_top[];
extern uint8_t tss[104];

/* ---- registers ---- */
#define READ_REG(name)                                                                              \
    static inline reg get_##name(void)                                                              \
    {                                                                                               \
        reg v;                                                                                      \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v)::"memory");                                \
        return v;                                                                                   \
    }                                                                                               \
    static inline void set_##name(reg v) { __asm__ volatile("mov %0, %%" #name ::"r"(v) : "memory"); }
READ_REG(cr0) READ_REG(cr2) READ_REG(cr3) READ_REG(cr4)
READ_REG(dr0) READ_REG(dr1) READ_REG(dr2) READ_REG(dr3) READ_REG(dr6) READ_REG(dr7)

static inline uint64_t rdmsr(uint32_t n)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
    return lo | (uint64_t)hi << 32;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr" ::"c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t o[4])
{
    __asm__ volatile("cpuid" : "=a"(o[0]), "=b"(o[1]), "=c"(o[2]), "=d"(o[3]) : "a"(leaf), "c"(sub));
}
static inline bool cpuid_bit(uint32_t leaf, uint32_t sub, unsigned r, unsigned bit)
{
    uint32_t o[4];
    cpuid(leaf, sub, o);
    return o[r] >> bit & 1;
}
static inline bool is_intel(void)
{
    uint32_t o[4];
    cpuid(0, 0, o);
    return o[1] == 0x756e6547;      /* "Genu" */
}
static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
#pragma GCC diagnostic ignored "-Warray-bounds"        /* low memory is there */
static inline uint32_t get32(const void *p) { return *(const volatile uint32_t *)p; }
static inline void put32(void *p, uint32_t v) { *(volatile uint32_t *)p = v; }
static inline uint16_t get16(const void *p) { return *(const volatile uint16_t *)p; }
static inline void put16(void *p, uint16_t v) { *(volatile uint16_t *)p = v; }
static inline void zero(void *p, unsigned n)
{
    for (volatile uint8_t *b = p; n; n--)
        *b++ = 0;
}
static inline void copy(void *to, const void *from, unsigned n)
{
    const uint8_t *f = from;
    for (volatile uint8_t *t = to; n; n--)
        *t++ = *f++;
}
/* A piece of assembly between two labels. */
#define CODE(name, text)                                                                            \
    extern uint8_t name[], name##_end[];                                                            \
    __asm__(".text\n.globl " #name "\n" #name ":\n" text "\n" #name "_end:\n")

#endif
