/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction decoding: rows of x86.isa, the decoded form. Intel SDM vol. 2A chapter 2. */
#ifndef TARGET_X86_DECODE_H
#define TARGET_X86_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include "ir/ir.h"

typedef struct X86Xlate X86Xlate;

/* Addressing methods, the letters of x86.isa. Those before OP_E are fixed operands. */
typedef enum X86Method {
    OP_NONE, OP_AL, OP_CL, OP_DX, OP_AX, OP_rAX, OP_EAX, OP_ONE, OP_ES, OP_CS, OP_SS, OP_DS, OP_FS, OP_GS,
    OP_ST0, OP_STI, OP_XMM0,
    OP_E, OP_G, OP_R, OP_M, OP_Z, OP_B, OP_S, OP_C, OP_D, OP_I, OP_J, OP_O, OP_A, OP_X, OP_Y,
    OP_V, OP_W, OP_U, OP_H, OP_L, OP_P, OP_Q, OP_N, OP_K,
} X86Method;

typedef enum X86Size {
    SZ_NONE, SZ_B, SZ_W, SZ_D, SZ_Q, SZ_DQ, SZ_QQ,
    SZ_V,       /* operand size: 2, 4, 8 */
    SZ_Y,       /* 4 or 8 */
    SZ_Z,       /* 2 or 4 */
    SZ_P,       /* far pointer */
    SZ_S,       /* descriptor table */
    SZ_A,       /* two of operand size */
    SZ_X,       /* vector length */
    SZ_T,       /* ten bytes */
    SZ_H,       /* half the vector length */
    SZ_H2, SZ_H4,       /* a quarter, an eighth */
    SZ_N,       /* vector length, any */
} X86Size;

/* Row flags. */
enum {
    ROW_LOCK = 1, ROW_D64 = 2, ROW_F64 = 4, ROW_PRIV = 8,
    ROW_SYS = 16,               /* not for the native comparison */
    ROW_VEXV = 32,              /* vvvv is used although no operand says so */
    ROW_FP = 64, ROW_EXC = 128,
};

typedef struct X86Row {
    const char *name;
    void (*fn)(X86Xlate *x);
    struct { uint8_t method, size; } op[5];
    uint16_t mask, match;       /* over the key */
    uint8_t space, opcode;
    uint8_t arg;
    uint8_t n_ops;
    bool modrm, plus_r;
    uint8_t flags;
    uint16_t undef;             /* arithmetic flags left undefined */
    int16_t feature;            /* X86_F_*, -1 always there */
    uint8_t ir, lane;           /* IrOp and IrLane of simd.isa */
} X86Row;
extern const X86Row x86_rows[];
extern const unsigned x86_n_rows;

/* Key bits (scripts/decode/x86.py knows them too). */
enum {
    KEY_F = 0, KEY_66 = 2, KEY_W = 3, KEY_L = 4, KEY_MOD3 = 6, KEY_REG = 7, KEY_RM = 10, KEY_M64 = 13,
};
enum {
    SPACE_1B, SPACE_0F, SPACE_0F38, SPACE_0F3A, SPACE_V0F, SPACE_V0F38, SPACE_V0F3A, SPACE_E0F,
    SPACE_E0F38, SPACE_E0F3A, SPACE_COUNT,
};

typedef struct X86Insn {
    const X86Row *row;          /* NULL: undefined */
    uint8_t len;
    uint8_t space, opcode, modrm;
    bool has_modrm, has_mem;
    bool lock, rep, repne, op66, addr67;
    int8_t seg;                 /* override, -1 none */
    uint8_t rex;                /* 0, or 0x40 | WRXB */
    uint8_t w, l;               /* W, vector length 0 128, 1 256, 2 512 */
    bool vex, evex;
    uint8_t f;                  /* mandatory prefix: 0, 1 f3, 2 f2 */
    uint8_t mod, reg, rm;       /* with REX.R and REX.B */
    uint8_t vvvv;
    uint8_t evex_aaa, evex_z, evex_b;
    uint8_t opsize, addrsize;   /* bytes */
    int8_t base, index;         /* -1 none */
    int8_t vsib;                /* the index field whatever it says, -1 without a SIB byte */
    uint8_t scale;              /* log2 */
    bool rip_relative;
    int64_t disp;
    int64_t imm, imm2;          /* sign-extended; far pointers: imm offset, imm2 selector */
} X86Insn;

/* Code size of the mode: 2, 4 or 8 bytes. */
/* Returns false when the bytes end too early. An unknown instruction gives row NULL and len 0. */
bool x86_decode(X86Insn *i, const uint8_t *bytes, unsigned n, unsigned code);
/* Bytes of operand k under the decoded sizes. */
unsigned x86_op_bytes(const X86Insn *i, unsigned k);

/* A random encoding of the row for the given mode; returns its length, 0 if the row has none. Memory
 * operands are [base + disp] etc. as they come; the caller prepares registers. */
typedef struct X86Encode {
    uint32_t (*random)(void *state);
    void *state;
    unsigned code;
    int mem;                    /* 1 memory form wanted, 0 register form, -1 any */
    bool lock;                  /* add a lock prefix if legal */
} X86Encode;
unsigned x86_encode_random(const X86Row *row, const X86Encode *e, uint8_t out[16]);

#define INSN(name) void x86_insn_##name(X86Xlate *x)

#endif
