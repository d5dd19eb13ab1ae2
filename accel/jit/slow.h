/* SPDX-License-Identifier: Apache-2.0 */
/* Slow paths of memory accesses, called from generated code with the state stored. */
#ifndef ACCEL_JIT_SLOW_H
#define ACCEL_JIT_SLOW_H

#include <stdint.h>

typedef struct Cpu Cpu;

uint64_t jit_slow_load(Cpu *cpu, uint64_t va, uint32_t mop);
void jit_slow_store(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t value);
/* The value before. */
uint64_t jit_slow_rmw(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t value, uint64_t op);
uint64_t jit_slow_cas(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t desired, uint64_t expected);
/* what: (bytes - 1) | write << 12 | mmu << 13 */
void jit_slow_probe(Cpu *cpu, uint64_t va, uint32_t what);
/* The value is in cpu->vec_buf. */
void jit_slow_load_vec(Cpu *cpu, uint64_t va, uint32_t mop);
void jit_slow_store_vec(Cpu *cpu, uint64_t va, uint32_t mop);

/* An operation without host code: the node's operands are vec_buf's pieces, the result is the first. */
typedef struct IrNode IrNode;
void jit_vector_op(Cpu *cpu, const IrNode *n);

#endif
