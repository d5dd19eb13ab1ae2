/* SPDX-License-Identifier: Apache-2.0 */
/* What harness.h promises. */
#include "harness.h"

struct seen seen;
static uint8_t stack[16384] __attribute__((aligned(4096)));
static volatile unsigned failures, current;

void check(const char *what, reg got, reg want)
{
    current++;
    if (got == want)
        return;
    failures++;
    put("FAIL ");
    put(what);
    put(": got ");
    put_hex(got, __riscv_xlen / 4);
    put(" want ");
    put_hex(want, __riscv_xlen / 4);
    put("\n");
}

static unsigned insn_length(reg pc) { return (*(uint16_t *)pc & 3) == 3 ? 4 : 2; }

/* Interrupts return with their source silenced; the ecall of return_to_m ends enter(); other
 * exceptions in M are skipped, in lower modes they end enter(), too. */
volatile int skip_lower;
void handle(reg *x)
{
    reg cause = csr_read(mcause), epc = csr_read(mepc), status = csr_read(mstatus);
    if ((cause & ~(reg)3) == 8 && x[17] == 0x5eed)
        leave(x[10]);
    seen.cause = cause;
    seen.epc = epc;
    seen.tval = csr_read(mtval);
    seen.status = status;
    seen.count++;
    if (cause & TOP_BIT) {
        csr_clear(mie, (reg)1 << (cause & 63));
        return;
    }
    if (cause != 1 && cause != 12)
        csr_write(mepc, epc + insn_length(epc));
    if ((status >> 11 & 3) != M && !skip_lower)
        leave(-1);
}

long run(int mode, void *fn, reg arg) { return enter(fn, arg, mode, stack + sizeof(stack)); }
void forget(void) { seen.cause = seen.epc = seen.tval = seen.count = 0; }

void all_memory(void)
{
    csr_write(pmpaddr0, -1);
    csr_write(pmpcfg0, 0x1f);
}

void load(reg at) { (void)*(volatile uint8_t *)at; }
void store(reg at) { *(volatile uint8_t *)at = 1; }
void jump(reg at) { ((void (*)(void))at)(); }

void expect(const char *what, int mode, void (*fn)(reg), reg at, reg cause)
{
    forget();
    run(mode, fn, at);
    check(what, seen.cause, cause);
    if (cause)
        check(what, seen.tval, at);
}

/* ---- page tables ---- */

reg tables[8][4096 / sizeof(reg)] __attribute__((aligned(4096)));
uint8_t page[4][4096] __attribute__((aligned(4096)));

reg pte(void *pa, reg flags) { return (reg)pa >> 12 << 10 | flags; }

void set_page(unsigned n, void *pa, reg flags)
{
    tables[7][n] = pte(pa, flags);
    __asm__ volatile("sfence.vma");
}

void make_tables(unsigned mode)
{
    for (unsigned t = 0; t < 8; t++) {
        for (unsigned i = 0; i < 4096 / sizeof(reg); i++) {
            tables[t][i] = 0;
        }
    }
    unsigned t = 0;
    for (unsigned up = mode; RV64 && up > 8; up--, t++) {
        tables[t][0] = pte(tables[t + 1], V);
    }
    if (RV64) {
        tables[t][0] = pte(0, RWX);                             /* 1 GiB pages */
        tables[t][2] = pte((void *)0x80000000, RWX | G);
        tables[t][1] = pte(tables[6], V);
        tables[6][0] = pte(tables[7], V);
        tables[6][1] = pte((void *)0x80200000, RWX);            /* 2 MiB at WINDOW + 2 MiB */
        tables[6][2] = pte((void *)0x80201000, RWX);            /* misaligned */
        csr_write(satp, (reg)mode << (RV64 ? 60 : 0) | (reg)tables >> 12);
    } else {
        for (unsigned i = 0; i < 4; i++) {
            tables[0][0x200 + i] = pte((void *)(0x80000000ul + i * 0x400000ul), RWX | G);
        }
        tables[0][0x40] = pte((void *)0x10000000, RWX);
        tables[0][0x100] = pte(tables[7], V);
        tables[0][0x101] = pte((void *)0x80400000, RWX);
        tables[0][0x102] = pte((void *)0x80401000, RWX);
        csr_write(satp, (reg)1 << 31 | (reg)tables >> 12);
    }
    __asm__ volatile("sfence.vma");
}

reg load_word(reg at) { return *(volatile uint32_t *)at; }

void begin(void)
{
    csr_write(mtvec, trap_m);
    all_memory();
}

int verdict(void)
{
    put_hex(current, 4);
    put(failures ? " checks, FAILED\n" : " checks, passed\n");
    return failures;
}

void finish(int code) { finish_with(code); }
