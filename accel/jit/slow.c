/* SPDX-License-Identifier: Apache-2.0 */
/* Slow paths of memory accesses: what missed the inline TLB probe. */
#include "accel/jit/slow.h"

#include <string.h>

#include "accel/jit/internal.h"

uint64_t jit_slow_load(Cpu *cpu, uint64_t va, uint32_t mop)
{
    cpu->jit->stat.slow_loads++;
    return cpu_load(cpu, va, mop);
}

void jit_slow_store(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t value)
{
    cpu->jit->stat.slow_stores++;
    cpu_store(cpu, va, value, mop);
}

uint64_t jit_slow_rmw(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t value, uint64_t op)
{
    return cpu_rmw(cpu, va, op, value, mop);
}

uint64_t jit_slow_cas(Cpu *cpu, uint64_t va, uint32_t mop, uint64_t desired, uint64_t expected)
{
    return cpu_cas(cpu, va, expected, desired, mop);
}

void jit_slow_probe(Cpu *cpu, uint64_t va, uint32_t what)
{
    cpu_probe(cpu, va, (what & 4095) + 1, what >> 12 & 1 ? MEM_STORE : MEM_LOAD, what >> 13);
}

void jit_slow_load_vec(Cpu *cpu, uint64_t va, uint32_t mop)
{
    cpu->jit->stat.slow_loads++;
    cpu_check_aligned(cpu, va, MEM_LOAD, mop);
    cpu_load_bytes(cpu, va, cpu->vec_buf, IR_MBYTES(mop), (mop & IR_MMU_MASK) >> IR_MMU_SHIFT);
}

void jit_slow_store_vec(Cpu *cpu, uint64_t va, uint32_t mop)
{
    cpu->jit->stat.slow_stores++;
    cpu_check_aligned(cpu, va, MEM_STORE, mop);
    cpu_store_bytes(cpu, va, cpu->vec_buf, IR_MBYTES(mop), (mop & IR_MMU_MASK) >> IR_MMU_SHIFT);
}

void jit_vector_op(Cpu *cpu, const IrNode *n)
{
    uint8_t out[32] __attribute__((aligned(32))) = {0};
    ir_interpret_vector(cpu, n, (const union IrVal *)cpu->vec_buf, (union IrVal *)out);
    memcpy(cpu->vec_buf, out, sizeof out);
}
