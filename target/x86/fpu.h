/* SPDX-License-Identifier: Apache-2.0 */
/* x87 as fpu*.c see it: the stack, exceptions. Intel SDM vol. 1 chapter 8. */
#ifndef TARGET_X86_FPU_H
#define TARGET_X86_FPU_H

#include "fp/fp.h"
#include "target/x86/cpu.h"

enum {
    FSW_IE = 1, FSW_DE = 2, FSW_ZE = 4, FSW_OE = 8, FSW_UE = 16, FSW_PE = 32, FSW_SF = 64,
    FSW_ES = 128, FSW_C0 = 1 << 8, FSW_C1 = 1 << 9, FSW_C2 = 1 << 10, FSW_C3 = 1 << 14, FSW_B = 1 << 15,
    FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3,
};

/* One instruction in progress. */
typedef struct Fpu {
    X86Cpu *x;
    FpEnv env;                  /* as fcw says; collects flags */
    uint16_t add;               /* for fsw besides the flags: SF, C1 of stack faults */
    bool keep_c1;               /* unless the stack faults */
    bool skip;                  /* an unmasked exception forbids the result */
} Fpu;

static inline X86St *fpu_st(X86Cpu *x, unsigned n) { return &x->st[(x->ftop + n) & 7]; }
static inline bool fpu_empty(const X86Cpu *x, unsigned n) { return x->fempty >> ((x->ftop + n) & 7) & 1; }
static inline Fp80 fpu_get(X86Cpu *x, unsigned n)
{
    const X86St *s = fpu_st(x, n);
    return (Fp80){.frac = s->frac, .se = s->se};
}
void fpu_set(X86Cpu *x, unsigned n, Fp80 v);
void fpu_pop(X86Cpu *x);
void fpu_push(X86Cpu *x, Fp80 v);

Fpu fpu_begin(X86Cpu *x);
/* ST(n); an empty register is a stack fault and reads as the default NaN. */
Fp80 fpu_read(Fpu *f, unsigned n);
/* Whether a push has room; else a stack fault. */
bool fpu_room(Fpu *f);
/* After the operation: false if an unmasked exception forbids storing its result. `memory`: so do
 * overflow and underflow. Raises no exception yet: the next waiting instruction does. */
bool fpu_may_store(Fpu *f, bool memory);
/* Moves the collected flags to fsw. */
void fpu_commit(Fpu *f);
/* Makes ES and B what fsw and fcw say. */
void fpu_update_es(X86Cpu *x);
void fpu_init(X86Cpu *x);

/* fpu-arith.c: instructions with operands; `code` is the opcode's low three bits and modrm. */
void fpu_memory_op(X86Cpu *x, unsigned opcode, unsigned digit, uint64_t at);
void fpu_register_op(X86Cpu *x, unsigned opcode, unsigned modrm);

/* fpu-env.c */
uint16_t fpu_full_tags(X86Cpu *x);
void fpu_store_env(X86Cpu *x, uint64_t at, unsigned opsize);
void fpu_load_env(X86Cpu *x, uint64_t at, unsigned opsize);
void fpu_save(X86Cpu *x, uint64_t at, unsigned opsize);
void fpu_restore(X86Cpu *x, uint64_t at, unsigned opsize);

#endif
