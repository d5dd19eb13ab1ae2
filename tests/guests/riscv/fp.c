/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating-point instructions on special and random values in all roundings. Where the rounding is
 * the one in frm the host computes, where the instruction names another one the software library
 * does: both must agree in result and flags. The hash that is printed must be the same on all engines.
 */
#include "guest.h"

struct call {
    uint64_t fa0, fa1, fa2, fa3;
    uint64_t x, fcsr, code;
};
void fp_call(struct call *c);

/* rd is fa0 or a0, the operands fa1, fa2, fa3, a1; no rounding mode. */
enum { ROUNDS = 1, RV64_ONLY = 2 };
static const struct op {
    const char *name;
    uint32_t raw;
    unsigned how;
} ops[] = {
#define RAW(f7, rs2, rs1, f3, rd) ((uint32_t)(f7) << 25 | (rs2) << 20 | (rs1) << 15 | (f3) << 12 | (rd) << 7 | 0x53)
#define FMA(name, opcode)                                                                           \
    {name ".s", 13u << 27 | 12 << 20 | 11 << 15 | 10 << 7 | (opcode), ROUNDS},                      \
    {name ".d", 13u << 27 | 1 << 25 | 12 << 20 | 11 << 15 | 10 << 7 | (opcode), ROUNDS}
#define BOTH(name, f7, rs2, rs1, f3, rd, how)                                                       \
    {name ".s", RAW(f7, rs2, rs1, f3, rd), how}, {name ".d", RAW((f7) | 1, rs2, rs1, f3, rd), how}
    FMA("fmadd", 0x43), FMA("fmsub", 0x47), FMA("fnmsub", 0x4b), FMA("fnmadd", 0x4f),
    BOTH("fadd", 0x00, 12, 11, 0, 10, ROUNDS), BOTH("fsub", 0x04, 12, 11, 0, 10, ROUNDS),
    BOTH("fmul", 0x08, 12, 11, 0, 10, ROUNDS), BOTH("fdiv", 0x0c, 12, 11, 0, 10, ROUNDS),
    BOTH("fsqrt", 0x2c, 0, 11, 0, 10, ROUNDS),
    BOTH("fsgnj", 0x10, 12, 11, 0, 10, 0), BOTH("fsgnjn", 0x10, 12, 11, 1, 10, 0),
    BOTH("fsgnjx", 0x10, 12, 11, 2, 10, 0), BOTH("fneg", 0x10, 11, 11, 1, 10, 0),
    BOTH("fabs", 0x10, 11, 11, 2, 10, 0), BOTH("fmv", 0x10, 11, 11, 0, 10, 0),
    BOTH("fmin", 0x14, 12, 11, 0, 10, 0), BOTH("fmax", 0x14, 12, 11, 1, 10, 0),
    BOTH("feq", 0x50, 12, 11, 2, 10, 0), BOTH("flt", 0x50, 12, 11, 1, 10, 0),
    BOTH("fle", 0x50, 12, 11, 0, 10, 0), BOTH("fclass", 0x70, 0, 11, 1, 10, 0),
    BOTH("fcvt.w", 0x60, 0, 11, 0, 10, ROUNDS), BOTH("fcvt.wu", 0x60, 1, 11, 0, 10, ROUNDS),
    BOTH("fcvt.l", 0x60, 2, 11, 0, 10, ROUNDS | RV64_ONLY),
    BOTH("fcvt.lu", 0x60, 3, 11, 0, 10, ROUNDS | RV64_ONLY),
    BOTH("fcvt from w", 0x68, 0, 11, 0, 10, ROUNDS), BOTH("fcvt from wu", 0x68, 1, 11, 0, 10, ROUNDS),
    BOTH("fcvt from l", 0x68, 2, 11, 0, 10, ROUNDS | RV64_ONLY),
    BOTH("fcvt from lu", 0x68, 3, 11, 0, 10, ROUNDS | RV64_ONLY),
    {"fcvt.s.d", RAW(0x20, 1, 11, 0, 10), ROUNDS}, {"fcvt.d.s", RAW(0x21, 0, 11, 0, 10), ROUNDS},
    {"fmv.x.w", RAW(0x70, 0, 11, 0, 10), 0}, {"fmv.w.x", RAW(0x78, 0, 11, 0, 10), 0},
};

static uint64_t seed = 88172645463325252;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static uint64_t value(void)
{
    static const uint64_t doubles[] = {
        0, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
        0x7ff8000000001234, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
        0x41dfffffffe00000, 0x41dfffffffc00000, 0x41e0000000000000, 0x41efffffffefffff,
        0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
        0x43f0000000000000, 0x3fe0000000000000, 0x3ff8000000000000, 0x3cb0000000000000,
        0x380fffffffffffff, 0x36a0000000000000, 0x47efffffefffffff, 0x3690000000000001};
    static const uint32_t singles[] = {
        0, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7fc01234, 1, 0x007fffff, 0x00800000,
        0x7f7fffff, 0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000,
        0x5f800000, 0x3f000000, 0x3fc00000, 0x33800000};
    uint64_t v = next(), how = next(), sign = how >> 63;
    switch ((unsigned)how & 7) {
    case 0: case 1:
        return doubles[(uint32_t)v % (sizeof(doubles) / 8)] | sign << 63;
    case 2: case 3:
        return singles[(uint32_t)v % (sizeof(singles) / 4)] | sign << 31 | 0xffffffff00000000;
    case 4:                         /* near one, so that sums cancel and integers fit */
        return (v & 0x800fffffffffffff) | (1000 + (how >> 8 & 127)) << 52;
    case 5:
        return (v & 0x807fffff) | (100 + (how >> 8 & 63)) << 23 | 0xffffffff00000000;
    case 6:
        return (uint32_t)v | 0xffffffff00000000;
    default:
        return v;
    }
}

static uint32_t code[2] __attribute__((aligned(16)));
static uint64_t hash = 0xcbf29ce484222325;
static unsigned failures, cases;

static void mix(uint64_t v)
{
    hash = (hash ^ v) * 0x100000001b3;
    hash ^= hash >> 29;
}

static void write_code(const struct op *o, unsigned rm)
{
    code[0] = o->raw | (o->how & ROUNDS ? rm << 12 : 0);
    code[1] = 0x00028067;           /* jr t0: fp_call links in t0 */
    __asm__ volatile("fence.i" ::: "memory");
}

enum { VALUES = 150 };
static struct call given[VALUES], first[VALUES];

static void run(struct call *c, unsigned frm)
{
    c->fcsr = frm << 5;
    c->code = (uintptr_t)code;
    fp_call(c);
}

static void differ(const struct op *o, unsigned rm, const struct call *in, const struct call *a,
                   const struct call *b)
{
    if (failures++ > 10)
        return;
    put("FAIL ");
    put(o->name);
    const uint64_t shown[] = {rm, in->fa1, in->fa2, in->fa3, in->x, a->fa0, a->x, a->fcsr,
                              b->fa0, b->x, b->fcsr};
    for (unsigned k = 0; k < sizeof(shown) / 8; k++) {
        put(" ");
        put_hex(shown[k], 16);
    }
    put("\n");
}

/* rm by frm, then by the instruction while frm is another one. */
static void try(const struct op *o, unsigned rm)
{
    for (unsigned k = 0; k < VALUES; k++) {
        given[k] = (struct call){value(), value(), value(), value(), 0, 0, 0};
        given[k].x = (reg)(k & 1 ? next() : (uint64_t)((int64_t)next() >> (next() & 63)));
    }
    write_code(o, 7);
    for (unsigned k = 0; k < VALUES; k++) {
        first[k] = given[k];
        run(&first[k], rm);
        mix(first[k].fa0);
        mix((reg)first[k].x);
        mix(first[k].fcsr);
    }
    write_code(o, rm);
    for (unsigned k = 0; k < VALUES; k++) {
        struct call c = given[k];
        run(&c, (rm + 1 + k % 4) % 5);
        cases++;
        if (c.fa0 != first[k].fa0 || c.x != first[k].x || c.fcsr != first[k].fcsr)
            differ(o, rm, &given[k], &first[k], &c);
    }
}

int main(void)
{
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if ((ops[i].how & RV64_ONLY) && __riscv_xlen == 32)
            continue;
        for (unsigned rm = 0; rm < 5; rm++) {
            try(&ops[i], rm);
        }
    }
    put_hex(hash, 16);
    put(" ");
    put_hex(cases, 8);
    put(failures ? " FAILED\n" : " passed\n");
    return failures;
}

void finish(int code) { finish_with(code ? 1 : 0); }
