/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a corpus of random instructions, each on random register contents, and prints one hash per
 * instruction name over everything that it left behind. Two emulators must print the same.
 */
#include "guest.h"

struct insn {
    const char *name;
    uint32_t raw;
    int rs1, imm, align;        /* memory operand; rs1 -1: none */
};
#include "corpus-table.h"

enum { ROUNDS = 8, SCRATCH = 4096 };

struct state {
    reg x[32];
    uint64_t f[32];
    reg fcsr, cause, tval;
} state;
static uint8_t scratch[SCRATCH] __attribute__((aligned(4096)));
uint32_t code[4] __attribute__((aligned(16)));

void execute(struct state *s, uint32_t *code);

/* ---- random contents, with a liking for borders ---- */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t random_int(void)
{
    uint64_t v = next(), how = next();
    switch ((unsigned)how & 7) {
    case 0:
        return (int64_t)((v & 31) - 16);
    case 1:
        return (uint64_t)1 << (v & 63);
    case 2:
        return ((uint64_t)1 << (v & 63)) - 1;
    case 3:
        return -((uint64_t)1 << (v & 63));
    case 4:
        return (int64_t)(int32_t)v;
    case 5:
        return v & 1 ? -1 : 0;
    default:
        return v;
    }
}

static uint32_t random_single(void)
{
    static const uint32_t special[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                       0x7fc00000, 0x7f800001, 0xffc00001, 1, 0x807fffff, 0x00800000,
                                       0x7f7fffff, 0x4f000000, 0x5f000000, 0x3f000000};
    uint64_t v = next();
    if ((v & 3) == 0)
        return special[v >> 8 & 15];
    if ((v & 3) == 1)           /* exponents near 1, so that sums cancel and conversions fit */
        return ((uint32_t)(v >> 32) & 0x807fffff) | (uint32_t)(110 + (v >> 8 & 63)) << 23;
    return v >> 32;
}

static uint64_t random_double(void)
{
    static const uint64_t special[] = {
        0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
        0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000000001, 1,
        0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41e0000000000000,
        0x43e0000000000000, 0x3fe0000000000000};
    uint64_t v = next(), w = next();
    if ((v & 3) == 0)
        return special[v >> 8 & 15];
    if ((v & 3) == 1)
        return (w & 0x800fffffffffffff) | (1000 + (v >> 8 & 127)) << 52;
    return w;
}

static uint64_t random_f(void)
{
    uint64_t v = next();
    if (v & 1)
        return random_double();
    uint64_t single = random_single();
    return (v & 14) == 0 ? single | v << 32 : single | 0xffffffff00000000;
}

static void fill(void)
{
    for (int i = 1; i < 32; i++) {
        state.x[i] = random_int();
    }
    for (int i = 0; i < 32; i++) {
        state.f[i] = random_f();
    }
    state.fcsr = ((unsigned)next() % 5) << 5;
    state.cause = state.tval = 0;
}

/* ---- hashes ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x100000001b3;
    return h ^ h >> 29;
}

static uint64_t hash_state(uint64_t h)
{
    for (int i = 1; i < 32; i++) {
        if (i != 1 && i != 3 && i != 4)
            h = mix(h, (reg)state.x[i]);
    }
    for (int i = 0; i < 32; i++) {
        h = mix(h, state.f[i]);
    }
    h = mix(h, state.fcsr);
    return mix(h, state.cause);
}

static uint64_t hash_scratch(uint64_t h)
{
    for (unsigned i = 0; i < SCRATCH / 8; i++) {
        h = mix(h, ((uint64_t *)scratch)[i]);
    }
    return h;
}

/* ---- running ---- */

static void place_operand(const struct insn *n)
{
    unsigned at = SCRATCH / 2 + ((unsigned)next() & 63);
    if (n->align)
        at -= at % n->align;
    state.x[n->rs1] = (reg)(uintptr_t)scratch + at - n->imm;
}

static uint64_t run(const struct insn *n, uint64_t h)
{
    for (int round = 0; round < ROUNDS; round++) {
        fill();
        if (n->rs1 >= 0) {
            for (unsigned i = SCRATCH / 2 / 8 - 2; i < SCRATCH / 2 / 8 + 12; i++) {
                ((uint64_t *)scratch)[i] = random_int();
            }
            place_operand(n);
        }
        execute(&state, code);
        h = hash_state(h);
        if (n->rs1 >= 0)
            h = hash_scratch(h);
    }
    return h;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++, b++;
    }
    return *a == *b;
}

int main(void)
{
    unsigned count = sizeof(table) / sizeof(table[0]);
    uint64_t h = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct insn *n = &table[i];
        code[0] = (n->raw & 3) == 3 ? n->raw : n->raw | 0x00010000;     /* c.nop behind */
        code[1] = 0x00008067;                                           /* ret */
        __asm__ volatile("fence.i" ::: "memory");
        h = run(n, h);
        if (i + 1 == count || !same(n->name, table[i + 1].name)) {
            put(n->name);
            put(" ");
            put_hex(h, 16);
            put("\n");
            h = 0;
        }
    }
    return 0;
}

void finish(int code) { finish_with(code); }
