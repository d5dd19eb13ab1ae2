/* SPDX-License-Identifier: Apache-2.0 */
/* Integer programs: loops, tables, pointers, branches, calls. */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sieve(void)
{
    enum { N = 2000000 };
    uint8_t *composite = bench_alloc(N);
    uint64_t count = 0;
    for (int round = 0; round < 8; round++) {
        memset(composite, 0, N);
        for (uint32_t i = 2; i < N; i++) {
            if (!composite[i]) {
                count++;
                for (uint64_t j = (uint64_t)i * i; j < N; j += i) {
                    composite[j] = 1;
                }
            }
        }
    }
    free(composite);
    return count;
}

static uint64_t queens(uint32_t columns, uint32_t left, uint32_t right, uint32_t all)
{
    uint64_t count = 0;
    if (columns == all) {
        return 1;
    }
    for (uint32_t free_ = ~(columns | left | right) & all; free_; free_ &= free_ - 1) {
        uint32_t bit = free_ & -free_;
        count += queens(columns | bit, (left | bit) << 1, (right | bit) >> 1, all);
    }
    return count;
}

static uint64_t nqueens(void)
{
    return queens(0, 0, 0, (1u << 12) - 1) * 2 + queens(0, 0, 0, (1u << 13) - 1);
}

static uint64_t matrix(void)
{
    enum { N = 160 };
    static uint32_t a[N][N], b[N][N], c[N][N];
    uint32_t seed = 1;
    uint64_t sum = 0;
    for (int i = 0; i < N * N; i++) {
        a[i / N][i % N] = bench_random(&seed);
        b[i / N][i % N] = bench_random(&seed);
    }
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                uint32_t cell = 0;
                for (int k = 0; k < N; k++) {
                    cell += a[i][k] * b[k][j];
                }
                c[i][j] = cell;
            }
        }
        a[round][round] ^= c[round + 1][round + 2];
        sum = bench_mix(sum, c[7][round]);
    }
    return sum;
}

static uint64_t crc32(void)
{
    uint32_t table[256], crc = ~0u, seed = 7;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) {
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
        }
        table[i] = c;
    }
    uint8_t *data = bench_alloc(1 << 16);
    for (int i = 0; i < 1 << 16; i++) {
        data[i] = bench_random(&seed);
    }
    for (int round = 0; round < 800; round++) {
        for (int i = 0; i < 1 << 16; i++) {
            crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
        }
    }
    free(data);
    return ~crc;
}

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint64_t sha256(void)
{
    static uint32_t k[64];
    uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    uint32_t seed = 3, w[64];
    for (int i = 0; i < 64; i++) {
        k[i] = bench_random(&seed) << 8 ^ bench_random(&seed);
    }
    for (uint32_t block = 0; block < 200000; block++) {
        for (int i = 0; i < 16; i++) {
            w[i] = block * 0x9e3779b9u + i;
        }
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], x = h[7];
        for (int i = 0; i < 64; i++) {
            uint32_t t1 = x + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) +
                          k[i] + w[i];
            uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            x = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += x;
    }
    return (uint64_t)h[0] << 32 | h[7];
}

/* Text with repetitions, for the compressor, the search and the parser. */
static char *make_text(size_t size)
{
    static const char *const words[] = {
        "the", "quick", "translator", "of", "blocks", "jumps", "over", "lazy", "flags", "and",
        "never", "looks", "back", "until", "memory", "faults",
    };
    char *text = bench_alloc(size + 32);
    uint32_t seed = 11;
    for (size_t at = 0; at < size;) {
        const char *word = words[bench_random(&seed) & 15];
        size_t length = strlen(word);
        memcpy(text + at, word, length);
        text[at + length] = ' ';
        at += length + 1;
    }
    text[size] = 0;
    return text;
}

static uint64_t compress(void)
{
    enum { SIZE = 1 << 18, SLOTS = 1 << 14 };
    char *text = make_text(SIZE);
    uint8_t *out = bench_alloc(SIZE * 2);
    uint32_t *slots = bench_alloc(SLOTS * sizeof(*slots));
    uint64_t sum = 0;
    for (int round = 0; round < 50; round++) {
        size_t written = 0;
        memset(slots, 0, SLOTS * sizeof(*slots));
        for (uint32_t at = 0; at + 8 < SIZE;) {
            uint32_t word;
            memcpy(&word, text + at, 4);
            uint32_t slot = (word * 2654435761u) >> 18;
            uint32_t from = slots[slot], length = 0;
            slots[slot] = at + 1;
            if (from-- && at - from < 65536) {
                while (length < 250 && at + length < SIZE && text[from + length] ==
                       text[at + length]) {
                    length++;
                }
            }
            if (length >= 4) {
                out[written++] = length;
                out[written++] = (at - from) & 255;
                out[written++] = (at - from) >> 8;
                at += length;
            } else {
                out[written++] = text[at++];
            }
        }
        sum = bench_mix(sum, written + out[written / 2]);
    }
    free(text), free(out), free(slots);
    return sum;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint64_t sort(void)
{
    enum { N = 200000 };
    uint32_t *values = bench_alloc(N * sizeof(*values)), seed = 5;
    uint64_t sum = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < N; i++) {
            values[i] = bench_random(&seed);
        }
        qsort(values, N, sizeof(*values), by_value);
        sum = bench_mix(sum, values[N / 3]);
    }
    free(values);
    return sum;
}

typedef struct Tree {
    struct Tree *left, *right;
} Tree;

static Tree *grow(int depth)
{
    Tree *tree = malloc(sizeof(*tree));
    tree->left = depth ? grow(depth - 1) : NULL;
    tree->right = depth ? grow(depth - 1) : NULL;
    return tree;
}

static uint64_t fell(Tree *tree)
{
    uint64_t count = 1;
    if (tree->left) {
        count += fell(tree->left) + fell(tree->right);
    }
    free(tree);
    return count;
}

static uint64_t trees(void)
{
    uint64_t count = 0;
    for (int round = 0; round < 60; round++) {
        count += fell(grow(14));
    }
    return count;
}

static uint64_t hash(void)
{
    enum { SLOTS = 1 << 17 };
    uint64_t *keys = bench_alloc(SLOTS * sizeof(*keys)), sum = 0;
    uint32_t *values = bench_alloc(SLOTS * sizeof(*values)), seed = 13;
    for (int i = 0; i < 4000000; i++) {
        uint64_t key = bench_random(&seed) % 80000 + 1;
        uint32_t slot = (key * 0x9e3779b97f4a7c15ull) >> 47;
        while (keys[slot] && keys[slot] != key) {
            slot = (slot + 1) & (SLOTS - 1);
        }
        keys[slot] = key;
        values[slot] += i;
        sum += values[slot];
    }
    free(keys), free(values);
    return sum;
}

static uint64_t dijkstra(void)
{
    enum { SIDE = 220, N = SIDE * SIDE };
    uint8_t *cost = bench_alloc(N);
    uint32_t *distance = bench_alloc(N * 4), *heap = bench_alloc(N * 8 * 4), seed = 17;
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) {
        cost[i] = bench_random(&seed) % 9 + 1;
    }
    for (int round = 0; round < 6; round++) {
        uint32_t count = 1;
        memset(distance, 0xff, N * 4);
        heap[0] = round;                /* a heap of nodes, ordered by distance */
        distance[round] = 0;
        while (count) {
            uint32_t node = heap[0], last = heap[--count], at = 0;
            for (;;) {
                uint32_t child = at * 2 + 1;
                if (child >= count) {
                    break;
                }
                if (child + 1 < count && distance[heap[child + 1]] < distance[heap[child]]) {
                    child++;
                }
                if (distance[heap[child]] >= distance[last]) {
                    break;
                }
                heap[at] = heap[child];
                at = child;
            }
            heap[at] = last;
            const int steps[] = { 1, -1, SIDE, -SIDE };
            for (int s = 0; s < 4; s++) {
                int64_t next = (int64_t)node + steps[s];
                if (next < 0 || next >= N || distance[node] + cost[next] >= distance[next]) {
                    continue;
                }
                distance[next] = distance[node] + cost[next];
                if (count >= N * 8 - 1) {
                    continue;
                }
                for (at = count++; at && distance[heap[(at - 1) / 2]] > distance[next];
                     at = (at - 1) / 2) {
                    heap[at] = heap[(at - 1) / 2];
                }
                heap[at] = next;
            }
        }
        sum = bench_mix(sum, distance[N - 1]);
    }
    free(cost), free(distance), free(heap);
    return sum;
}

static uint64_t search(void)
{
    enum { SIZE = 1 << 20 };
    static const char *const needles[] = {
        "flags and never flags", "quick quick quick", "memory lazy over", "faults faults the",
    };
    char *text = make_text(SIZE);
    uint64_t found = 0;
    for (int n = 0; n < 64; n++) {
        const char *needle = needles[n & 3];
        size_t length = strlen(needle), skip[256];
        for (int c = 0; c < 256; c++) {
            skip[c] = length;
        }
        for (size_t i = 0; i + 1 < length; i++) {
            skip[(uint8_t)needle[i]] = length - 1 - i;
        }
        for (size_t at = 0; at + length <= SIZE;) {
            size_t i = length;
            while (i && text[at + i - 1] == needle[i - 1]) {
                i--;
            }
            found += i ? 0 : at;
            at += skip[(uint8_t)text[at + length - 1]];
        }
    }
    free(text);
    return found;
}

/* A recursive-descent reader of a JSON-like text; returns the sum of numbers and lengths. */
static uint64_t value_of(const char **at)
{
    uint64_t sum = 0;
    char open = **at;
    if (open == '{' || open == '[') {
        (*at)++;
        while (**at != '}' && **at != ']') {
            sum = sum * 3 + value_of(at);
            while (**at == ',' || **at == ':' || **at == ' ') {
                (*at)++;
            }
        }
        (*at)++;
    } else if (open == '"') {
        for ((*at)++; **at != '"'; (*at)++) {
            sum += (uint8_t)**at;
        }
        (*at)++;
    } else {
        for (; **at >= '0' && **at <= '9'; (*at)++) {
            sum = sum * 10 + (**at - '0');
        }
    }
    return sum;
}

static uint64_t json(void)
{
    enum { ROWS = 3000 };
    char *text = bench_alloc(ROWS * 96 + 16), *end = text;
    uint32_t seed = 19;
    uint64_t sum = 0;
    *end++ = '[';
    for (int i = 0; i < ROWS; i++) {
        end += sprintf(end, "{\"id\": %d, \"name\": \"item number %u\", \"tags\": [%u, %u, \"x\"]}, ",
                       i, bench_random(&seed), bench_random(&seed), bench_random(&seed));
    }
    *end++ = ']';
    for (int round = 0; round < 60; round++) {
        const char *at = text;
        sum = bench_mix(sum, value_of(&at));
    }
    free(text);
    return sum;
}

/* A register machine: counts down with a bit of arithmetic on the way. */
enum { ADD, SUB, XOR, SHIFT, MOVE, LOADI, JUMP, STOP };
typedef struct Op {
    uint8_t code, a, b, c;
    int32_t value;
} Op;

static const Op program[] = {
    { LOADI, 0, 0, 0, 3000000 }, { LOADI, 1, 0, 0, 1 }, { LOADI, 2, 0, 0, 12345 },
    { ADD, 2, 2, 0, 0 }, { XOR, 3, 2, 0, 0 }, { SHIFT, 3, 3, 0, 3 }, { ADD, 4, 4, 3, 0 },
    { MOVE, 5, 4, 0, 0 }, { SUB, 0, 0, 1, 0 }, { JUMP, 0, 0, 0, 3 }, { STOP, 0, 0, 0, 0 },
};

static uint64_t interp_switch(void)
{
    uint64_t r[8] = { 0 };
    for (const Op *op = program;; op++) {
        switch (op->code) {
        case ADD:
            r[op->a] = r[op->b] + r[op->c];
            break;
        case SUB:
            r[op->a] = r[op->b] - r[op->c];
            break;
        case XOR:
            r[op->a] = r[op->b] ^ r[op->c];
            break;
        case SHIFT:
            r[op->a] = r[op->b] >> op->value;
            break;
        case MOVE:
            r[op->a] = r[op->b];
            break;
        case LOADI:
            r[op->a] = op->value;
            break;
        case JUMP:
            if (r[op->a]) {
                op = program + op->value - 1;
            }
            break;
        default:
            return r[5];
        }
    }
}

static uint64_t interp_goto(void)
{
    static const void *const labels[] = { &&add, &&sub, &&xor_, &&shift, &&move, &&loadi, &&jump,
                                          &&stop };
    uint64_t r[8] = { 0 };
    const Op *op = program;
#define NEXT goto *labels[(++op)->code]
    goto *labels[op->code];
add:
    r[op->a] = r[op->b] + r[op->c];
    NEXT;
sub:
    r[op->a] = r[op->b] - r[op->c];
    NEXT;
xor_:
    r[op->a] = r[op->b] ^ r[op->c];
    NEXT;
shift:
    r[op->a] = r[op->b] >> op->value;
    NEXT;
move:
    r[op->a] = r[op->b];
    NEXT;
loadi:
    r[op->a] = op->value;
    NEXT;
jump:
    if (r[op->a]) {
        op = program + op->value - 1;
    }
    NEXT;
stop:
    return r[5];
#undef NEXT
}

static uint64_t bignum(void)
{
    enum { LIMBS = 200 };
    static uint32_t a[LIMBS], b[LIMBS], product[2 * LIMBS];
    uint32_t seed = 23;
    uint64_t sum = 0;
    for (int i = 0; i < LIMBS; i++) {
        a[i] = bench_random(&seed) << 8;
        b[i] = bench_random(&seed) << 7;
    }
    for (int round = 0; round < 800; round++) {
        memset(product, 0, sizeof(product));
        for (int i = 0; i < LIMBS; i++) {
            uint64_t carry = 0;
            for (int j = 0; j < LIMBS; j++) {
                carry += (uint64_t)a[i] * b[j] + product[i + j];
                product[i + j] = carry;
                carry >>= 32;
            }
            product[i + LIMBS] = carry;
        }
        a[round % LIMBS] ^= product[LIMBS];
        sum = bench_mix(sum, product[LIMBS + round % LIMBS]);
    }
    return sum;
}

__attribute__((noinline, noclone)) static uint64_t fibonacci(uint64_t n)
{
    if (n < 2) {
        return n;
    }
    __asm__ volatile("" : "+r"(n));         /* keeps the compiler from unfolding the recursion */
    uint64_t low = fibonacci(n - 2);
    __asm__ volatile("" : "+r"(low));
    return low + fibonacci(n - 1);
}

static uint64_t calls(void)
{
    return fibonacci(36);
}

__attribute__((noinline)) static uint64_t step_a(uint64_t x) { return x * 3 + 1; }
__attribute__((noinline)) static uint64_t step_b(uint64_t x) { return x ^ x >> 7; }
__attribute__((noinline)) static uint64_t step_c(uint64_t x) { return x + 0x9e3779b9; }
__attribute__((noinline)) static uint64_t step_d(uint64_t x) { return x << 1 | x >> 63; }

static uint64_t indirect(void)
{
    static uint64_t (*const volatile steps[])(uint64_t) = { step_a, step_b, step_c, step_d };
    uint64_t x = 1;
    for (int i = 0; i < 20000000; i++) {
        x = steps[(x >> 5 ^ i) & 3](x);
    }
    return x;
}

const Bench bench_integer[] = {
    { "sieve", "integer", sieve },
    { "nqueens", "integer", nqueens },
    { "matrix", "integer", matrix },
    { "crc32", "integer", crc32 },
    { "sha256", "integer", sha256 },
    { "compress", "integer", compress },
    { "sort-callbacks", "integer", sort },
    { "trees-malloc", "integer", trees },
    { "hash-table", "integer", hash },
    { "dijkstra", "integer", dijkstra },
    { "text-search", "integer", search },
    { "json-parse", "integer", json },
    { "interp-switch", "integer", interp_switch },
    { "interp-goto", "integer", interp_goto },
    { "bignum", "integer", bignum },
    { "calls", "integer", calls },
    { "indirect-calls", "integer", indirect },
    { 0 },
};
