/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Micro benchmarks without an operating system. Each prints `BEGIN name count unit` on the serial line,
 * runs, and prints `END name sum`; the host takes the time between. See ../jit-micro.py.
 */
#include <stddef.h>
#include <stdint.h>

enum { COM1 = 0x3f8, EXIT = 0xf4, CODE_INSNS = 400000, WORDS = 1 << 15 };
#define RUNS 3000000ull

static uint8_t code[CODE_INSNS * 8];
static uint64_t words[WORDS];

static void out8(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }

static void put(const char *s)
{
    while (*s)
        out8(COM1, (uint8_t)*s++);
}

static void number(uint64_t v)
{
    char text[21], *p = text + 20;
    *p = 0;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    put(p);
}

static uint32_t seed = 1;
static uint32_t rnd(void) { return seed = seed * 1664525 + 1013904223; }

/* Code that runs once: moves, arithmetic, loads and stores, a branch in ten, as compilers write it. */
static uint8_t *instruction(uint8_t *p, unsigned n)
{
    unsigned r = rnd() >> 8, a = r & 3, b = r >> 2 & 3;
    switch (r >> 4 & 7) {
    case 0: *p++ = 0x48; *p++ = 0x89; *p++ = (uint8_t)(0xc0 | a << 3 | b); break;       /* mov b, a */
    case 1: *p++ = 0x48; *p++ = 0x01; *p++ = (uint8_t)(0xc0 | a << 3 | b); break;       /* add b, a */
    case 2: *p++ = 0x83; *p++ = (uint8_t)(0xe8 | a); *p++ = (uint8_t)r; break;          /* sub a, imm */
    case 3: *p++ = 0x48; *p++ = 0x8b; *p++ = (uint8_t)(0x46 | a << 3); *p++ = (uint8_t)(b * 8); break;
    case 4: *p++ = 0x48; *p++ = 0x89; *p++ = (uint8_t)(0x46 | a << 3); *p++ = (uint8_t)(b * 8); break;
    case 5: *p++ = 0x48; *p++ = 0x8d; *p++ = (uint8_t)(0x44 | a << 3); *p++ = (uint8_t)(b | b << 3);
            *p++ = (uint8_t)r; break;                                                   /* lea */
    case 6: *p++ = 0x0f; *p++ = 0xb6; *p++ = (uint8_t)(0xc0 | a << 3 | b); break;       /* movzx */
    default: *p++ = 0x31; *p++ = (uint8_t)(0xc0 | a << 3 | b);                          /* xor */
    }
    if (n % 10 == 9) {          /* test a, a; jz +0 */
        *p++ = 0x85; *p++ = (uint8_t)(0xc0 | a << 3 | a); *p++ = 0x74; *p++ = 0;
    }
    return p;
}

/* Returns how many instructions there are. */
static unsigned make_code(void)
{
    uint8_t *p = code;
    unsigned n = 0, insns = 0;
    for (; n < CODE_INSNS / 2; n++, insns += n % 10 == 0 ? 3 : 1)
        p = instruction(p, n);
    *p = 0xc3;
    return insns + 1;
}

static uint64_t run_code(uint64_t n)
{
    uint64_t s = (uint64_t)words;
    __asm__ volatile("call *%1" : "+S"(s) : "r"(code) : "rax", "rcx", "rdx", "rbx", "memory", "cc");
    return 0;
}

static uint64_t alu(uint64_t n)
{
    uint64_t a = 1, b = 2, c = 3;
    for (; n; n--) {
        a = a * 5 + b;
        b ^= a >> 7;
        c += a & b;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));
    }
    return a + b + c;
}

static uint64_t load(uint64_t n)
{
    uint64_t sum = 0;
    for (; n; n--) {
        sum += words[n % WORDS];
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

static uint64_t store(uint64_t n)
{
    for (; n; n--) {
        words[n % WORDS] = n;
        __asm__ volatile("" : : : "memory");
    }
    return words[5];
}

static uint64_t chase(uint64_t n)
{
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = (i + 4097) % WORDS;
    uint64_t at = 0;
    for (; n; n--)
        at = words[at];
    return at;
}

static uint64_t stack(uint64_t n)
{
    uint64_t x = 1;
    for (; n; n--)
        __asm__ volatile("push %0; push %0; push %0; pop %0; pop %0; pop %0" : "+r"(x) : : "memory");
    return x;
}

static uint64_t bytes(uint64_t n)
{
    uint32_t crc = 0;
    const uint8_t *p = (const uint8_t *)words;
    for (; n; n--)
        crc = (uint32_t)words[(crc ^ p[n % 4096]) & 255] ^ crc >> 8;
    return crc;
}

__attribute__((noinline)) static uint64_t leaf(uint64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x + 3;
}

__attribute__((noinline)) static uint64_t other(uint64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x ^ 5;
}

static uint64_t calls(uint64_t n)
{
    uint64_t x = 0;
    for (; n; n--)
        x = leaf(x);
    return x;
}

static uint64_t indirect(uint64_t n)
{
    uint64_t (*const table[2])(uint64_t) = {leaf, other};
    uint64_t x = 0;
    for (; n; n--) {
        uint64_t (*f)(uint64_t) = table[n >> 1 & 1];
        __asm__ volatile("" : "+r"(f));
        x = f(x);
    }
    return x;
}

static uint64_t flags(uint64_t n)
{
    uint64_t a = 1, b = 7;
    for (; n; n--)
        __asm__ volatile("add %1, %0; adc $3, %1; sbb $1, %0; setc %b1" : "+r"(a), "+r"(b) : : "cc");
    return a + b;
}

static uint64_t copy(uint64_t n)
{
    for (; n; n -= n < 64 ? n : 64) {
        void *to = words, *from = words + 4096;
        size_t k = 4096;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(k) : : "memory");
    }
    return words[1];
}

typedef struct Row {
    const char *name, *unit;
    uint64_t (*run)(uint64_t n);
    uint64_t n;
} Row;

static void run(const Row *r)
{
    put("BEGIN ");
    put(r->name);
    put(" ");
    number(r->n);
    put(" ");
    put(r->unit);
    put("\n");
    uint64_t sum = r->run(r->n);
    put("END ");
    put(r->name);
    put(" ");
    number(sum);
    put("\n");
}

void micro(void)
{
    Row rows[] = {
        {"translate", "instruction", run_code, make_code()},
        {"alu", "round", alu, 10 * RUNS}, {"load", "load", load, 10 * RUNS},
        {"store", "store", store, 10 * RUNS}, {"chase", "load", chase, 5 * RUNS},
        {"stack", "round", stack, 3 * RUNS}, {"crc", "byte", bytes, 5 * RUNS},
        {"call", "call", calls, 5 * RUNS}, {"indirect", "call", indirect, 5 * RUNS},
        {"flags", "round", flags, 5 * RUNS}, {"movsb", "64 bytes", copy, RUNS / 2 * 64},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        run(&rows[i]);
    put("DONE\n");
    out8(EXIT, 0);
}
