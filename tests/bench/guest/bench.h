/* SPDX-License-Identifier: Apache-2.0 */
/* Guest benchmarks: one table of programs per group, one binary for all of them. */
#pragma once
#include <stdint.h>
#include <stddef.h>

typedef struct Bench {
    const char *name;
    const char *group;
    uint64_t (*run)(void);          /* returns a checksum that every machine must agree on */
} Bench;

/* Each ends with a row without name. */
extern const Bench bench_integer[], bench_fp[], bench_simd[], bench_memory[], bench_system[],
    bench_smp[];

/* A small generator, the same on every machine. */
static inline uint32_t bench_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline uint64_t bench_mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x100000001b3ull;
}

void *bench_alloc(size_t size);
