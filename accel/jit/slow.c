/* SPDX-License-Identifier: Apache-2.0 */
/* Slow paths of memory accesses. See slow.h. */
#include "accel/jit/slow.h"

#include <string.h>

#include "accel/jit/internal.h"

static uint32_t next(const uint8_t **at)
{
    uint32_t w;
    memcpy(&w, *at, 4);
    *at += 4;
    return w;
}

static unsigned where(uint32_t word) { return word & ((1 << SLOW_WHERE_BITS) - 1); }

/* The value that a word describes, if not in a vector register. */
static uint64_t value_of(const uint64_t *frame, uint32_t word, const uint8_t **at)
{
    uint64_t low;
    switch (where(word)) {
    case SLOW_CONST32:
        return (uint64_t)(int32_t)next(at);
    case SLOW_CONST64:
        low = next(at);
        return low | (uint64_t)next(at) << 32;
    case SLOW_PCREL:
        return frame[SLOW_PAGE] + (uint64_t)(int32_t)next(at);
    default:
        return frame[where(word)];
    }
}

static uint8_t *vector(uint64_t *frame, unsigned reg)
{
    return (uint8_t *)&frame[SLOW_GPRS] + (reg - SLOW_GPRS) * 32;
}

/* Brings the guest's state up to date and returns the address. The access's values go to `values`. */
static uint64_t begin(Cpu *cpu, uint64_t *frame, const JitSlow *s, uint64_t *values, unsigned n_values)
{
    const uint8_t *at = s->words;
    for (unsigned k = 0; k < n_values; k++) {
        uint32_t word = next(&at);
        values[k] = value_of(frame, word, &at);
    }
    for (unsigned k = 0; k < s->n; k++) {
        uint32_t word = next(&at);
        unsigned bytes = 1u << (word >> SLOW_WHERE_BITS & ((1 << SLOW_SIZE_BITS) - 1));
        uint8_t *slot = (uint8_t *)cpu + (word >> (SLOW_WHERE_BITS + SLOW_SIZE_BITS));
        if (where(word) >= SLOW_GPRS && where(word) < SLOW_CONST32) {
            memcpy(slot, vector(frame, where(word)), bytes);
            continue;
        }
        uint64_t v = value_of(frame, word, &at);
        memcpy(slot, &v, bytes);
    }
    cpu->pc = frame[SLOW_PAGE] + s->pc;
    cpu->jit->refund = s->refund;
    return frame[s->base] + (int64_t)s->disp;
}

static const uint8_t *end(const JitSlow *s)
{
    return (const uint8_t *)s + sizeof s->resume + s->resume;
}

const uint8_t *jit_slow_load(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t va = begin(cpu, frame, s, NULL, 0);
    cpu->jit->stat.slow_loads++;
    uint64_t v = cpu_load(cpu, va, s->arg);
    frame[s->dst] = s->op & SLOW_I32 ? (uint32_t)v : v;
    return end(s);
}

const uint8_t *jit_slow_store(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t value, va = begin(cpu, frame, s, &value, 1);
    cpu->jit->stat.slow_stores++;
    cpu_store(cpu, va, value, s->arg);
    return end(s);
}

const uint8_t *jit_slow_rmw(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t value, va = begin(cpu, frame, s, &value, 1);
    frame[s->dst] = cpu_rmw(cpu, va, s->op, value, s->arg);
    return end(s);
}

const uint8_t *jit_slow_cas(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t values[2], va = begin(cpu, frame, s, values, 2);
    frame[s->dst] = cpu_cas(cpu, va, values[0], values[1], s->arg);
    return end(s);
}

/* arg: (bytes - 1) | write << 12 | mmu << 13 */
const uint8_t *jit_slow_probe(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t va = begin(cpu, frame, s, NULL, 0);
    cpu_probe(cpu, va, (s->arg & 4095u) + 1, s->arg >> 12 & 1 ? MEM_STORE : MEM_LOAD, s->arg >> 13);
    return end(s);
}

const uint8_t *jit_slow_load_vec(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t va = begin(cpu, frame, s, NULL, 0);
    unsigned bytes = IR_MBYTES(s->arg);
    uint8_t *to = vector(frame, s->dst);
    cpu->jit->stat.slow_loads++;
    cpu_check_aligned(cpu, va, MEM_LOAD, s->arg);
    cpu_load_bytes(cpu, va, to, bytes, (s->arg & IR_MMU_MASK) >> IR_MMU_SHIFT);
    memset(to + bytes, 0, 32 - bytes);
    return end(s);
}

const uint8_t *jit_slow_store_vec(Cpu *cpu, uint64_t *frame, const JitSlow *s)
{
    uint64_t va = begin(cpu, frame, s, NULL, 0);
    cpu->jit->stat.slow_stores++;
    cpu_check_aligned(cpu, va, MEM_STORE, s->arg);
    cpu_store_bytes(cpu, va, vector(frame, s->dst), IR_MBYTES(s->arg),
                    (s->arg & IR_MMU_MASK) >> IR_MMU_SHIFT);
    return end(s);
}

void jit_vector_op(Cpu *cpu, const IrNode *n)
{
    uint8_t out[32] __attribute__((aligned(32))) = {0};
    ir_interpret_vector(cpu, n, (const union IrVal *)cpu->vec_buf, (union IrVal *)out);
    memcpy(cpu->vec_buf, out, sizeof out);
}
