/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "toy": a guest architecture of a few instructions, for tests of engines and the software MMU.
 *
 * Sixteen 64-bit registers; instructions are 32 bits, op | a << 8 | b << 12 | imm << 16. Paging,
 * when on, is one table of 1,024 entries of 8 bytes at ptbase (VALID, WRITE, EXEC, GLOBAL bits,
 * address; LARGE: 64 KiB pages by the first entry of 16). Exceptions go to TOY_VECTOR with epc,
 * cause and badaddr set and interrupts off.
 */
#ifndef TESTS_LIB_TOY_H
#define TESTS_LIB_TOY_H

#include "core/cpu.h"
#include "core/testing.h"

typedef enum ToyOp {
    TOY_HALT, TOY_LI, TOY_LUI, TOY_ADD, TOY_ADDI, TOY_SUB, TOY_MUL, TOY_XOR,
    TOY_LD8, TOY_LD32, TOY_LD64, TOY_ST8, TOY_ST32, TOY_ST64,
    TOY_BEQ, TOY_BNE, TOY_JMP, TOY_CALL, TOY_RET, TOY_JR,
    TOY_SYS, TOY_ERET, TOY_PAGING, TOY_FLUSH, TOY_AMOADD, TOY_IRQ, TOY_GETEX, TOY_NOP,
} ToyOp;
#define TOY(op, a, b, imm) ((uint32_t)(op) | (uint32_t)(a) << 8 | (uint32_t)(b) << 12 |             \
                            (uint32_t)(uint16_t)(imm) << 16)
enum { TOY_VALID = 1, TOY_WRITE = 2, TOY_EXEC = 4, TOY_GLOBAL = 8, TOY_LARGE = 16 };
enum { TOY_CAUSE_SYS = 1, TOY_CAUSE_LOAD, TOY_CAUSE_STORE, TOY_CAUSE_FETCH, TOY_CAUSE_ALIGN,
       TOY_CAUSE_ILLEGAL, TOY_CAUSE_IRQ };
enum { TOY_VECTOR = 0x100, TOY_LINK = 15 };

typedef struct ToyCpu {
    Cpu cpu;
    uint64_t r[16];
    uint64_t epc, cause, badaddr;
    uint64_t ptbase, asid;
    uint8_t paging, irq_on;
    uint32_t irq_pending;       /* atomic */
    uint64_t walks;
    uint64_t fault_cause;
} ToyCpu;

/* A machine with 1 MiB of RAM at 0 and `n` toy CPUs under the accelerator `tcg` with these
 * properties (pairs, NULL). They start at pc 0. */
TestDevice *toy_machine(unsigned n, const char *const *props);
static inline ToyCpu *toy_cpu(TestDevice *t, unsigned i) { return (ToyCpu *)t->vm->cpus[i]; }
void toy_write(TestDevice *t, uint64_t pa, const uint32_t *code, unsigned n);
/* Starts the machine, waits until all CPUs have halted, stops it. */
void toy_run(TestDevice *t);

#endif
