/* SPDX-License-Identifier: Apache-2.0 */
/* For self-checking programs: modes, traps that are seen, page tables. */
#ifndef HARNESS_H
#define HARNESS_H

#include "guest.h"

enum { U, S, M = 3 };
#define RV64 (__riscv_xlen == 64)
#define TOP_BIT ((reg)1 << (__riscv_xlen - 1))
#define MSIP0 (*(volatile uint32_t *)0x2000000)
#define MTIMECMP ((volatile uint32_t *)0x2004000)
#define MTIME ((volatile uint32_t *)0x200bff8)

/* trap.S */
long enter(void *fn, reg arg, int mode, void *stack);
void leave(long value);
void trap_m(void);
void trap_s(void);
void vectors(void);
extern struct {
    reg cause, epc, tval, status;
} s_seen;

/* The last trap into M. */
extern struct seen {
    volatile reg cause, epc, tval, status;
    volatile unsigned count;
} seen;
/* Exceptions in lower modes are skipped, too; else they end run(). */
extern volatile int skip_lower;

void begin(void);
int verdict(void);              /* prints it; main()'s result */
void check(const char *what, reg got, reg want);
long run(int mode, void *fn, reg arg);
void forget(void);
void all_memory(void);          /* a PMP entry that allows everything */
void load(reg at);
void store(reg at);
void jump(reg at);
reg load_word(reg at);
/* fn(at) in that mode ends with this cause (0: none) and `at` in mtval. */
void expect(const char *what, int mode, void (*fn)(reg), reg at, reg cause);

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define RWX (V | R | W | X | A | D)
#define WINDOW ((reg)0x40000000)        /* where test pages are mapped */
extern reg tables[8][4096 / sizeof(reg)];
extern uint8_t page[4][4096];
reg pte(void *pa, reg flags);
void set_page(unsigned n, void *pa, reg flags);
/* Identity for the program and its devices in large pages, WINDOW in small ones. mode: 8, 9, 10. */
void make_tables(unsigned mode);

#endif
