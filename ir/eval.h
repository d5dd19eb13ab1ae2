/* SPDX-License-Identifier: Apache-2.0 */
/* The meaning of the integer operations: one definition for the builder's folding and the
 * interpreter. With a constant `op` a compiler leaves just the operation. */
#ifndef IR_EVAL_H
#define IR_EVAL_H

#include "ir/ir.h"

static inline uint64_t ir_ones(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

static inline int64_t ir_sign(uint64_t x, unsigned bits)
{
    return (int64_t)(x << (64 - bits)) >> (64 - bits);
}

/* x and y hold `w` (32 or 64) meaningful low bits, zero-extended; so does the result. */
static inline uint64_t ir_eval_binary(IrOp op, unsigned w, uint64_t x, uint64_t y)
{
    uint64_t m = ir_ones(w);
    unsigned n = y & (w - 1);
    int64_t sx = ir_sign(x, w), sy = ir_sign(y, w);

    switch (op) {
    case IR_OP_add: return (x + y) & m;
    case IR_OP_sub: return (x - y) & m;
    case IR_OP_mul: return (x * y) & m;
    case IR_OP_mulhu:
        return w == 32 ? x * y >> 32 : (uint64_t)((unsigned __int128)x * y >> 64);
    case IR_OP_mulhs:
        return w == 32 ? (uint64_t)(sx * sy) >> 32 : (uint64_t)((__int128)sx * sy >> 64);
    /* Guarded by the front end; what is undefined still must not trap on the host. */
    case IR_OP_divu: return y ? x / y : 0;
    case IR_OP_remu: return y ? x % y : x;
    case IR_OP_divs: return !sy ? 0 : sy == -1 ? -x & m : (uint64_t)(sx / sy) & m;
    case IR_OP_rems: return !sy ? x : sy == -1 ? 0 : (uint64_t)(sx % sy) & m;
    case IR_OP_and: return x & y;
    case IR_OP_or: return x | y;
    case IR_OP_xor: return x ^ y;
    case IR_OP_andn: return x & ~y;
    case IR_OP_shl: return x << n & m;
    case IR_OP_shr: return x >> n;
    case IR_OP_sar: return (uint64_t)(sx >> n) & m;
    case IR_OP_rotl: return n ? (x << n | x >> (w - n)) & m : x;
    case IR_OP_rotr: return n ? (x >> n | x << (w - n)) & m : x;
    default: return 0;
    }
}

static inline uint64_t ir_eval_unary(IrOp op, unsigned w, uint64_t x)
{
    switch (op) {
    case IR_OP_neg: return -x & ir_ones(w);
    case IR_OP_not: return ~x & ir_ones(w);
    case IR_OP_bswap: return w == 32 ? __builtin_bswap32((uint32_t)x) : __builtin_bswap64(x);
    case IR_OP_clz: return x ? (uint64_t)__builtin_clzll(x) - (64 - w) : w;
    case IR_OP_ctz: return x ? (uint64_t)__builtin_ctzll(x) : w;
    case IR_OP_popcnt: return (uint64_t)__builtin_popcountll(x);
    default: return 0;
    }
}

static inline uint64_t ir_eval_extract(unsigned aux, uint64_t x)
{
    return x >> (aux & 0xff) & ir_ones(aux >> 8);
}

static inline uint64_t ir_eval_deposit(unsigned aux, uint64_t x, uint64_t y)
{
    uint64_t m = ir_ones(aux >> 8) << (aux & 0xff);

    return (x & ~m) | (y << (aux & 0xff) & m);
}

static inline bool ir_eval_cond(IrCond cc, unsigned w, uint64_t x, uint64_t y)
{
    int64_t sx = ir_sign(x, w), sy = ir_sign(y, w);

    switch (cc) {
    case IR_EQ: return x == y;
    case IR_NE: return x != y;
    case IR_LT: return sx < sy;
    case IR_GE: return sx >= sy;
    case IR_LE: return sx <= sy;
    case IR_GT: return sx > sy;
    case IR_LTU: return x < y;
    case IR_GEU: return x >= y;
    case IR_LEU: return x <= y;
    case IR_GTU: return x > y;
    case IR_TST: return (x & y) != 0;
    case IR_NTST: return (x & y) == 0;
    }
    return false;
}

static inline unsigned ir_width(IrType t) { return t == IR_I32 ? 32 : 64; }
static inline bool ir_is_int(IrType t) { return t == IR_I32 || t == IR_I64; }

#endif
