/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoder of host instructions. Spec: Intel SDM volume 2, AMD64 APM volume 3.
 *
 * An instruction is named by an opcode word: the byte, its map, a mandatory prefix and REX.W. Each
 * form (register, memory, indexed) is one function, so that adding an instruction is one constant.
 */
#ifndef ACCEL_JIT_X86_64_ASM_H
#define ACCEL_JIT_X86_64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Parts of an opcode word. */
enum {
    O_0F = 1 << 8, O_38 = 2 << 8, O_3A = 3 << 8, O_MAP = 3 << 8,
    O_66 = 1 << 10, O_F3 = 2 << 10, O_F2 = 3 << 10, O_PP = 3 << 10,
    O_W = 1 << 12,              /* REX.W or VEX.W */
    O_B = 1 << 13,              /* the reg field names a byte register */
    O_BM = 1 << 14,             /* the r/m field names a byte register */
    O_L = 1 << 15,              /* VEX.L: 256 bits */
};

/* Conditions as encoded in jcc, setcc, cmovcc. */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* Opcode words. Two-operand arithmetic: the r, r/m form; group 1 immediates by number. */
enum {
    X_ADD = 0x03, X_OR = 0x0b, X_AND = 0x23, X_SUB = 0x2b, X_XOR = 0x33, X_CMP = 0x3b,
    X_ADD_MR = 0x01, X_OR_MR = 0x09, X_AND_MR = 0x21, X_SUB_MR = 0x29, X_XOR_MR = 0x31, X_CMP_MR = 0x39,
    X_TEST = 0x85, X_MOV = 0x8b, X_MOV_MR = 0x89, X_MOV8_MR = 0x88 | O_B, X_MOV16_MR = 0x89 | O_66,
    X_LEA = 0x8d, X_XCHG = 0x87,
    X_MOVZX8 = 0xb6 | O_0F | O_BM, X_MOVZX16 = 0xb7 | O_0F, X_MOVSX8 = 0xbe | O_0F | O_BM,
    X_MOVSX16 = 0xbf | O_0F, X_MOVSXD = 0x63 | O_W, X_IMUL = 0xaf | O_0F,
    X_BSF = 0xbc | O_0F, X_BSR = 0xbd | O_0F, X_TZCNT = 0xbc | O_0F | O_F3,
    X_LZCNT = 0xbd | O_0F | O_F3, X_POPCNT = 0xb8 | O_0F | O_F3, X_CMOV = 0x40 | O_0F,
    X_SETCC = 0x90 | O_0F | O_BM, X_MOVBE = 0xf0 | O_38, X_MOVBE_MR = 0xf1 | O_38,
    X_ANDN = 0xf2 | O_38, X_SHLX = 0xf7 | O_38 | O_66, X_SARX = 0xf7 | O_38 | O_F3,
    X_SHRX = 0xf7 | O_38 | O_F2, X_RORX = 0xf0 | O_3A | O_F2,
    X_XADD = 0xc1 | O_0F, X_CMPXCHG = 0xb1 | O_0F,
    X_LDMXCSR = 0xae | O_0F,    /* /2; /3 stores it */
    X_MOVDQU = 0x6f | O_0F | O_F3, X_MOVDQU_MR = 0x7f | O_0F | O_F3,
    X_MOVQ_XR = 0x6e | O_0F | O_66,     /* xmm <- r */
    X_MOVQ_RX = 0x7e | O_0F | O_66,     /* r <- xmm */
    X_MOVQ_XX = 0x7e | O_0F | O_F3,     /* xmm <- xmm, upper half zero */
};
enum { G_ADD, G_OR, G_ADC, G_SBB, G_AND, G_SUB, G_XOR, G_CMP };         /* 80, 81, 83 */
enum { G_ROL, G_ROR, G_RCL, G_RCR, G_SHL, G_SHR, G_SAR = 7 };           /* c1, d1, d3 */
enum { G_NOT = 2, G_NEG, G_MUL, G_IMUL, G_DIV, G_IDIV };                /* f7 */

typedef struct Asm {
    uint8_t *p;
} Asm;

static inline void a8(Asm *a, uint8_t v)
{
    *a->p++ = v;
}

static inline void a32(Asm *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

static inline void a64(Asm *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

static inline void asm_prefix(Asm *a, unsigned op, int reg, int index, int rm)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    unsigned rex = (op & O_W ? 8 : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (rm & 8) >> 3;
    if (op & O_PP)
        a8(a, pp[(op & O_PP) >> 10]);
    if (rex || ((op & O_B) && reg >= 4))
        a8(a, 0x40 | rex);
    if (op & O_MAP) {
        a8(a, 0x0f);
        if ((op & O_MAP) == O_38)
            a8(a, 0x38);
        else if ((op & O_MAP) == O_3A)
            a8(a, 0x3a);
    }
    a8(a, op & 0xff);
}

static inline void asm_vex(Asm *a, unsigned op, int reg, int vvvv, int index, int rm)
{
    unsigned tail = (~vvvv & 15) << 3 | (op & O_L ? 4 : 0) | (op & O_PP) >> 10;
    if ((op & (O_MAP | O_W)) == O_0F && !(index & 8) && !(rm & 8)) {
        a8(a, 0xc5);
        a8(a, (reg & 8 ? 0 : 0x80) | tail);
    } else {
        a8(a, 0xc4);
        a8(a, (reg & 8 ? 0 : 0x80) | (index & 8 ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | (op & O_MAP) >> 8);
        a8(a, (op & O_W ? 0x80 : 0) | tail);
    }
    a8(a, op & 0xff);
}

/* ModRM (and SIB, displacement) of [base + disp]. */
static inline void asm_mem(Asm *a, int reg, int base, int32_t disp)
{
    unsigned r = (reg & 7) << 3, b = base & 7;
    if (disp == 0 && b != RBP) {
        a8(a, r | b);
        if (b == RSP)
            a8(a, 0x24);
    } else if (disp == (int8_t)disp) {
        a8(a, 0x40 | r | b);
        if (b == RSP)
            a8(a, 0x24);
        a8(a, disp);
    } else {
        a8(a, 0x80 | r | b);
        if (b == RSP)
            a8(a, 0x24);
        a32(a, disp);
    }
}

/* [base + index << scale + disp] */
static inline void asm_memx(Asm *a, int reg, int base, int index, int scale, int32_t disp)
{
    unsigned r = (reg & 7) << 3, sib = scale << 6 | (index & 7) << 3 | (base & 7);
    if (disp == 0 && (base & 7) != RBP) {
        a8(a, r | 4);
        a8(a, sib);
    } else if (disp == (int8_t)disp) {
        a8(a, 0x44 | r);
        a8(a, sib);
        a8(a, disp);
    } else {
        a8(a, 0x84 | r);
        a8(a, sib);
        a32(a, disp);
    }
}

static inline void op_rr(Asm *a, unsigned op, int reg, int rm)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    unsigned rex = (op & O_W ? 8 : 0) | (reg & 8) >> 1 | (rm & 8) >> 3;
    if (op & O_PP)
        a8(a, pp[(op & O_PP) >> 10]);
    if (rex || ((op & O_B) && reg >= 4) || ((op & O_BM) && rm >= 4))
        a8(a, 0x40 | rex);
    if (op & O_MAP) {
        a8(a, 0x0f);
        if ((op & O_MAP) == O_38)
            a8(a, 0x38);
        else if ((op & O_MAP) == O_3A)
            a8(a, 0x3a);
    }
    a8(a, op & 0xff);
    a8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void op_rm(Asm *a, unsigned op, int reg, int base, int32_t disp)
{
    asm_prefix(a, op, reg, 0, base);
    asm_mem(a, reg, base, disp);
}

static inline void op_rmx(Asm *a, unsigned op, int reg, int base, int index, int scale, int32_t disp)
{
    asm_prefix(a, op, reg, index, base);
    asm_memx(a, reg, base, index, scale, disp);
}

static inline void vex_rr(Asm *a, unsigned op, int reg, int vvvv, int rm)
{
    asm_vex(a, op, reg, vvvv, 0, rm);
    a8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void vex_rm(Asm *a, unsigned op, int reg, int vvvv, int base, int32_t disp)
{
    asm_vex(a, op, reg, vvvv, 0, base);
    asm_mem(a, reg, base, disp);
}

static inline void vex_rmx(Asm *a, unsigned op, int reg, int vvvv, int base, int index, int32_t disp)
{
    asm_vex(a, op, reg, vvvv, index, base);
    asm_memx(a, reg, base, index, 0, disp);
}

/* Group 1 arithmetic with an immediate; w is O_W or 0. */
static inline void op_ri(Asm *a, unsigned group, unsigned w, int rm, int32_t imm)
{
    if (imm == (int8_t)imm) {
        op_rr(a, 0x83 | w, group, rm);
        a8(a, imm);
    } else if (rm == RAX) {
        if (w)
            a8(a, 0x48);
        a8(a, group << 3 | 5);
        a32(a, imm);
    } else {
        op_rr(a, 0x81 | w, group, rm);
        a32(a, imm);
    }
}

static inline void op_mi(Asm *a, unsigned group, unsigned w, int base, int32_t disp, int32_t imm)
{
    bool small = imm == (int8_t)imm;
    op_rm(a, (small ? 0x83 : 0x81) | w, group, base, disp);
    if (small)
        a8(a, imm);
    else
        a32(a, imm);
}

static inline void op_shift(Asm *a, unsigned group, unsigned w, int rm, unsigned count)
{
    op_rr(a, (count == 1 ? 0xd1 : 0xc1) | w, group, rm);
    if (count != 1)
        a8(a, count);
}

/* Does not touch flags. */
static inline void op_movi(Asm *a, int reg, uint64_t v)
{
    if (v == (uint32_t)v) {
        if (reg & 8)
            a8(a, 0x41);
        a8(a, 0xb8 | (reg & 7));
        a32(a, v);
    } else if ((int64_t)v == (int32_t)v) {
        op_rr(a, 0xc7 | O_W, 0, reg);
        a32(a, v);
    } else {
        a8(a, 0x48 | (reg & 8) >> 3);
        a8(a, 0xb8 | (reg & 7));
        a64(a, v);
    }
}

/* Displacements relative to the next instruction, written later by asm_fix32(). */
static inline uint8_t *op_jmp(Asm *a)
{
    a8(a, 0xe9);
    a32(a, 0);
    return a->p - 4;
}

static inline uint8_t *op_jcc(Asm *a, unsigned cc)
{
    a8(a, 0x0f);
    a8(a, 0x80 | cc);
    a32(a, 0);
    return a->p - 4;
}

static inline void asm_fix32(uint8_t *at, const uint8_t *target)
{
    int32_t d = (int32_t)(target - (at + 4));
    memcpy(at, &d, 4);
}

static inline void op_jmp_to(Asm *a, const uint8_t *target)
{
    uint8_t *at = op_jmp(a);
    asm_fix32(at, target);
}

static inline void op_jcc_to(Asm *a, unsigned cc, const uint8_t *target)
{
    uint8_t *at = op_jcc(a, cc);
    asm_fix32(at, target);
}

/* Padding of n bytes (0-8) in one instruction. */
static inline void op_nops(Asm *a, unsigned n)
{
    static const uint8_t nops[9][8] = {
        {0}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0x00},
        {0x0f, 0x1f, 0x44, 0x00, 0x00}, {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}};
    memcpy(a->p, nops[n], 8);
    a->p += n;
}

#endif
