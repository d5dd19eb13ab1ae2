/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and the string functions of the C library. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Called through volatile pointers, so that the compiler neither inlines nor drops them. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;
static void *(*volatile set)(void *, int, size_t) = memset;
static size_t (*volatile length)(const char *) = strlen;
static char *(*volatile find)(const char *, int) = strchr;
static int (*volatile compare)(const void *, const void *, size_t) = memcmp;
static int (*volatile compare_text)(const char *, const char *) = strcmp;

static uint64_t memcpy_large(void)
{
    enum { SIZE = 8 << 20 };
    uint8_t *a = bench_alloc(SIZE), *b = bench_alloc(SIZE);
    for (int round = 0; round < 60; round++) {
        a[round] = round;
        copy(b, a, SIZE);
        copy(a + 1, b, SIZE / 2);
    }
    uint64_t sum = a[30] + ((uint64_t)b[59] << 8);
    free(a), free(b);
    return sum;
}

static uint64_t memcpy_small(void)
{
    uint8_t a[512] = { 1 }, b[512] = { 0 };
    uint64_t sum = 0;
    for (int round = 0; round < 2000000; round++) {
        size_t size = (round * 7) & 255;
        copy(b + (round & 15), a, size);
        sum += b[round & 31];
    }
    return sum;
}

static uint64_t memmove_(void)
{
    enum { SIZE = 1 << 16 };
    uint8_t *a = bench_alloc(SIZE + 64);
    uint64_t sum = 0;
    for (int round = 0; round < 6000; round++) {
        a[round & 63] = round;
        move(a + 1 + (round & 31), a, SIZE);
        sum = bench_mix(sum, a[SIZE / 2]);
    }
    free(a);
    return sum;
}

static uint64_t memset_(void)
{
    enum { SIZE = 4 << 20 };
    uint8_t *a = bench_alloc(SIZE);
    uint64_t sum = 0;
    for (int round = 0; round < 150; round++) {
        set(a + (round & 7), round, SIZE - 8);
        sum += a[SIZE / 2];
    }
    free(a);
    return sum;
}

static uint64_t strings(int which)
{
    enum { SIZE = 4096 };
    static char a[SIZE + 64], b[SIZE + 64];
    uint64_t sum = 0;
    memset(a, 'x', SIZE), memset(b, 'x', SIZE);
    for (int round = 0; round < 300000; round++) {
        int at = SIZE - 1 - (round & 255);
        switch (which) {
        case 0:
            a[at] = 0;
            sum += length(a + (round & 31));
            break;
        case 1:
            a[at] = 'y';
            sum += find(a + (round & 31), 'y') - a;
            break;
        case 2:
            a[at] = 'w';
            sum += compare(a, b, SIZE) < 0;
            break;
        default:
            a[at] = 'w';
            sum += compare_text(a, b) < 0;
        }
        a[at] = 'x';
    }
    return sum;
}

static uint64_t strlen_(void) { return strings(0); }
static uint64_t strchr_(void) { return strings(1); }
static uint64_t memcmp_(void) { return strings(2); }
static uint64_t strcmp_(void) { return strings(3); }

/* Dependent loads over `size` bytes in a random order, one per cache line. */
static uint64_t chase(size_t size, int steps)
{
    size_t count = size / 64;
    uint64_t (*line)[8] = bench_alloc(size);
    uint32_t *order = bench_alloc(count * sizeof(*order)), seed = 41;
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = bench_random(&seed) % (i + 1);
        uint32_t t = order[i];
        order[i] = order[j], order[j] = t;
    }
    for (size_t i = 0; i < count; i++) {
        line[order[i]][0] = order[(i + 1) % count];
    }
    uint64_t at = 0;
    for (int i = 0; i < steps; i++) {
        at = line[at][0];
    }
    free(line), free(order);
    return at;
}

static uint64_t chase_4m(void) { return chase(4 << 20, 6000000); }
static uint64_t chase_32k(void) { return chase(32 << 10, 20000000); }

static uint64_t page_faults(void)
{
    uint64_t sum = 0;
    for (int round = 0; round < 12; round++) {
        size_t size = 16 << 20;
        uint8_t *a = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(a, size, MADV_NOHUGEPAGE);
        for (size_t at = 0; at < size; at += 4096) {
            a[at] = round;
            sum += a[at];
        }
        munmap(a, size);
    }
    return sum;
}

const Bench bench_memory[] = {
    { "memcpy-large", "memory", memcpy_large },
    { "memcpy-small", "memory", memcpy_small },
    { "memmove", "memory", memmove_ },
    { "memset", "memory", memset_ },
    { "strlen", "memory", strlen_ },
    { "strchr", "memory", strchr_ },
    { "memcmp", "memory", memcmp_ },
    { "strcmp", "memory", strcmp_ },
    { "chase-32k", "memory", chase_32k },
    { "chase-4m", "memory", chase_4m },
    { "page-faults", "memory", page_faults },
    { 0 },
};
