/* SPDX-License-Identifier: Apache-2.0 */
/* SSE4.2 string comparisons. Intel SDM vol. 2B "PCMPESTRI", vol. 1 section 12.10.3 and 4.1. */
#include "target/x86/simd.h"

enum { EXPLICIT_MASK, EXPLICIT_INDEX, IMPLICIT_MASK, IMPLICIT_INDEX };

static int element(const X86Vec *v, unsigned imm, unsigned k)
{
    switch (imm & 3) {
    case 0: return v->b[k];
    case 1: return v->h[k];
    case 2: return (int8_t)v->b[k];
    default: return (int16_t)v->h[k];
    }
}

static unsigned implicit_length(const X86Vec *v, unsigned imm, unsigned n)
{
    unsigned k = 0;
    while (k < n && element(v, imm, k))
        k++;
    return k;
}

/* Lengths saturate at the number of elements, by absolute value. */
static unsigned explicit_length(uint64_t reg, bool wide, unsigned n)
{
    int64_t v = wide ? (int64_t)reg : (int32_t)reg;
    uint64_t m = v < 0 ? -(uint64_t)v : (uint64_t)v;
    return MIN(m, n);
}

/* Which elements of b match, a the set, ranges, string or substring. Invalid elements as section 4.1's
 * table says. */
static uint32_t aggregate(const X86Vec *a, const X86Vec *b, unsigned imm, unsigned la, unsigned lb, unsigned n)
{
    uint32_t r = 0;
    for (unsigned j = 0; j < n; j++) {
        bool hit = false;
        switch (imm >> 2 & 3) {
        case 0:
            for (unsigned i = 0; i < la && j < lb; i++)
                hit |= element(a, imm, i) == element(b, imm, j);
            break;
        case 1:
            for (unsigned i = 0; i + 1 < la && j < lb; i += 2)
                hit |= element(b, imm, j) >= element(a, imm, i) && element(b, imm, j) <= element(a, imm, i + 1);
            break;
        case 2:
            hit = j < la && j < lb ? element(a, imm, j) == element(b, imm, j) : j >= la && j >= lb;
            break;
        default:
            hit = true;
            for (unsigned i = 0; i < la && i + j < n; i++)
                hit &= i + j < lb && element(a, imm, i) == element(b, imm, i + j);
        }
        r |= (uint32_t)hit << j;
    }
    return r;
}

static uint32_t polarize(uint32_t r, unsigned imm, unsigned lb, unsigned n)
{
    uint32_t all = (1u << n) - 1, valid = (1u << lb) - 1;
    switch (imm >> 4 & 3) {
    case 1: return ~r & all;
    case 3: return r ^ valid;
    default: return r;
    }
}

/* fp_val[0], [1]: operands; [2]: mask result. what: imm | kind << 8 | wide << 16. Returns the index
 * and, from bit 32 up, the flags. */
static uint64_t x86_helper_pcmpstr(Cpu *cpu, uint64_t what)
{
    X86Cpu *x = x86_of(cpu);
    const X86Vec *a = &x->fp_val[0], *b = &x->fp_val[1];
    unsigned imm = what & 0xff, kind = what >> 8 & 3, n = imm & 1 ? 8 : 16;
    bool wide = what >> 16, implicit = kind >= IMPLICIT_MASK;
    unsigned la = implicit ? implicit_length(a, imm, n) : explicit_length(x->regs[RAX], wide, n);
    unsigned lb = implicit ? implicit_length(b, imm, n) : explicit_length(x->regs[RDX], wide, n);
    uint32_t r = polarize(aggregate(a, b, imm, la, lb, n), imm, lb, n);
    uint32_t flags = (r ? FLAG_C : 0) | (lb < n ? FLAG_Z : 0) | (la < n ? FLAG_S : 0) | (r & 1 ? FLAG_O : 0);
    unsigned index = !r ? n : imm & 0x40 ? 31 - (unsigned)__builtin_clz(r) : (unsigned)__builtin_ctz(r);
    X86Vec *m = &x->fp_val[2];
    memset(m, 0, sizeof(*m));
    for (unsigned k = 0; k < n; k++) {
        if (!(imm & 0x40))
            m->d[0] = r;
        else if (n == 16)
            m->b[k] = r >> k & 1 ? 0xff : 0;
        else
            m->h[k] = r >> k & 1 ? 0xffff : 0;
    }
    return index | (uint64_t)flags << 32;
}
HELPER(pcmpstr, I64, IR_H_READ | IR_H_WRITE);

INSN(pcmpstr)
{
    if (!x_simd_ok(x))
        return;
    IrBuilder *b = x->b;
    unsigned kind = x->i.row->arg;
    bool wide = x->i.w && x->code == 8;
    ir_set(b, SLOT(fp_val[0]), 16, x_vget(x, 0));
    /* Unlike other SSE instructions, these take their operand unaligned. */
    ir_set(b, SLOT(fp_val[1]), 16, x_is_mem(x, 1) ? x_vload(x, 16, false) : x_vget(x, 1));
    IrRef r = x_call(x, &h_pcmpstr, ir_i64(b, (x->i.imm & 0xff) | kind << 8 | (unsigned)wide << 16), 0, 0, 0);
    if (kind == EXPLICIT_INDEX || kind == IMPLICIT_INDEX)
        ir_set(b, SLOT(regs[RCX]), 8, ir_zext(b, IR_I64, ir_trunc(b, r), 32));
    else
        x_set_vreg(x, 0, ir_get(b, IR_V128, SLOT(fp_val[2]), 16));
    x_cc_eflags(x, ir_trunc(b, ir_shri(b, r, 32)));
}
