/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow paths of memory accesses: what missed the inline TLB probe.
 *
 * Generated code calls a stub that saves the host registers and calls one of these functions. Behind the
 * call lies a JitSlow, which says what is accessed and which slots are not stored yet (they are
 * before anything else, so that faults and devices see the guest's state), and where to go on.
 */
#ifndef ACCEL_JIT_SLOW_H
#define ACCEL_JIT_SLOW_H

#include <stdint.h>

typedef struct Cpu Cpu;

/* What follows is 32-bit words: first the values that the access takes, then `n` slots to store. A
 * word tells where a value is and which slot it goes to, and may need more words for itself. */
typedef struct JitSlow {
    int32_t resume;             /* host address to go on at, relative to the field's end */
    int32_t disp;               /* address: base register + disp */
    uint16_t arg;               /* memory operation; of a probe see jit_slow_probe() */
    uint16_t pc;                /* of the instruction, from the page base */
    uint16_t refund;            /* JitCpu.refund */
    uint8_t base, dst;          /* registers */
    uint8_t op;                 /* of an rmw */
    uint8_t n;
    uint8_t words[];
} __attribute__((packed)) JitSlow;

enum {
    SLOW_CONST32 = 32,          /* 0-31: a register; else what the next word holds, sign-extended */
    SLOW_CONST64,               /* two words */
    SLOW_PCREL,                 /* the next word, from the page base */
    SLOW_WHERE_BITS = 6,
    SLOW_SIZE_BITS = 3,         /* log2 of the bytes */
    SLOW_OFFSET_BITS = 32 - SLOW_WHERE_BITS - SLOW_SIZE_BITS,   /* of the slot, in the Cpu */
    SLOW_I32 = 1,               /* op of a load: the upper half of the register becomes zero */
};

/* The frame: 16 general registers, 16 vector registers of 32 bytes (where a vector is concerned or
 * live). PAGE holds the unit's virtual page. */
enum { SLOW_GPRS = 16, SLOW_PAGE = 12 };

/* Results go to the frame. Returns where to go on. */
typedef const uint8_t *JitSlowFn(Cpu *cpu, uint64_t *frame, const JitSlow *s);
JitSlowFn jit_slow_load, jit_slow_store, jit_slow_rmw, jit_slow_cas, jit_slow_probe;
JitSlowFn jit_slow_load_vec, jit_slow_store_vec;

/* An operation without host code: the node's operands are vec_buf's pieces, the result is the first. */
typedef struct IrNode IrNode;
void jit_vector_op(Cpu *cpu, const IrNode *n);

#endif
