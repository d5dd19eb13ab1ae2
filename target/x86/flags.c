/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic flags made from the pending operation. Intel SDM vol. 1, 3.4.3. */
#include "target/x86/cpu.h"

typedef struct Operands {
    uint64_t mask, sign, r, a, b;       /* result and operands, clean to the size */
    bool c;                             /* carry out */
} Operands;

static uint32_t result_flags(const Operands *o)
{
    return (o->r ? 0 : FLAG_Z) | (o->r & o->sign ? FLAG_S : 0) |
           (__builtin_parity(o->r & 0xff) ? 0 : FLAG_P);
}

static uint32_t sum_flags(Operands *o, bool minus)
{
    bool over = minus ? (o->a ^ o->b) & (o->a ^ o->r) & o->sign
                      : (o->a ^ o->r) & (o->b ^ o->r) & o->sign;
    return result_flags(o) | o->c | ((o->a ^ o->b ^ o->r) & FLAG_A) | (over ? FLAG_O : 0);
}

uint32_t x86_cc_flags(Cpu *cpu, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    unsigned bits = 8u << (op & 3);
    Operands o = {.mask = bits == 64 ? ~0ull : (1ull << bits) - 1, .sign = 1ull << (bits - 1)};
    o.r = a & o.mask;
    o.b = b & o.mask;
    switch (op & ~3ull) {
    case CC_ADD:
    case CC_ADC:
        c = (op & ~3ull) == CC_ADC ? c & 1 : 0;
        o.a = (a - b - c) & o.mask;
        o.c = o.r < o.b || (c && o.r == o.b);
        return sum_flags(&o, false);
    case CC_SUB:
    case CC_SBB:
        c = (op & ~3ull) == CC_SBB ? c & 1 : 0;
        o.a = o.r;
        o.r = (a - b - c) & o.mask;
        o.c = o.a < o.b || (c && o.a == o.b);
        return sum_flags(&o, true);
    case CC_LOGIC:
        return result_flags(&o);
    case CC_LOGICC:
        return result_flags(&o) | (b & 1);
    case CC_INC:
        return result_flags(&o) | (b & 1) | (o.r & 15 ? 0 : FLAG_A) | (o.r == o.sign ? FLAG_O : 0);
    case CC_DEC:
        return result_flags(&o) | (b & 1) | ((o.r & 15) == 15 ? FLAG_A : 0) |
               (o.r == o.sign - 1 ? FLAG_O : 0);
    case CC_SHL:
        return result_flags(&o) | (o.b & o.sign ? FLAG_C : 0) | ((o.r ^ o.b) & o.sign ? FLAG_O : 0);
    case CC_SAR:
        return result_flags(&o) | (b & 1) | ((o.r ^ o.b) & o.sign ? FLAG_O : 0);
    case CC_MUL:
        return result_flags(&o) | (b ? FLAG_C | FLAG_O : 0);
    default:
        return a & FLAGS_ARITH;
    }
}

uint32_t x86_arith_flags(X86Cpu *x)
{
    return x86_cc_flags(&x->cpu, x->cc_op, x->cc_a, x->cc_b, x->cc_c);
}

uint32_t x86_get_eflags(X86Cpu *x) { return x86_arith_flags(x) | x->eflags | FLAG_1; }

void x86_set_eflags(X86Cpu *x, uint32_t flags)
{
    x86_set_arith(x, flags);
    x->eflags = flags & ~(FLAGS_ARITH | FLAG_1) & 0x3f7fff;
    x86_update_mode(x);
}
