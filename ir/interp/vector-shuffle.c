/* SPDX-License-Identifier: Apache-2.0 */
/* Vector operations of the interpreter that move lanes. Meaning: include/ir/vector-ops.inc. */
#include <string.h>

#include "ir/interp/vector.h"

static unsigned lane_bytes(unsigned lane)
{
    static const uint8_t bytes[] = {1, 2, 4, 8, 4, 8};
    return bytes[lane];
}

static int sat(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

static bool pack(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, bool to_signed)
{
    if (n->aux == IR_H) {
        for (unsigned k = 0; k < 16; k++) {
            int v = (k < 8 ? x : y)->sh[k & 7];
            o->b[k] = (uint8_t)(to_signed ? sat(v, -128, 127) : sat(v, 0, 255));
        }
    } else {
        for (unsigned k = 0; k < 8; k++) {
            int v = (k < 4 ? x : y)->sw[k & 3];
            o->h[k] = (uint16_t)(to_signed ? sat(v, -32768, 32767) : sat(v, 0, 65535));
        }
    }
    return true;
}

static bool unpack(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, unsigned from)
{
    unsigned size = lane_bytes(n->aux);

    for (unsigned k = 0; k < 8 / size; k++) {
        memcpy(&o->b[2 * k * size], &x->b[from + k * size], size);
        memcpy(&o->b[(2 * k + 1) * size], &y->b[from + k * size], size);
    }
    return true;
}

/* Four H at `from` by imm. */
static bool shuffle_h(IrQuad *o, const IrQuad *x, unsigned imm, unsigned from)
{
    *o = *x;
    for (unsigned k = 0; k < 4; k++)
        o->h[from + k] = x->h[from + (imm >> 2 * k & 3)];
    return true;
}

static bool shuf2(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, unsigned half)
{
    if (n->aux == IR_W) {
        for (unsigned k = 0; k < 4; k++)
            o->w[k] = (k < 2 ? x : y)->w[n->imm >> 2 * k & 3];
    } else {
        o->d[0] = x->d[n->imm >> 2 * half & 1];
        o->d[1] = y->d[n->imm >> (2 * half + 1) & 1];
    }
    return true;
}

static bool pshufb(IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    for (unsigned k = 0; k < 16; k++)
        o->b[k] = y->b[k] & 0x80 ? 0 : x->b[y->b[k] & 15];
    return true;
}

static bool permil(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    if (n->aux == IR_W)
        for (unsigned k = 0; k < 4; k++)
            o->w[k] = x->w[y->w[k] & 3];
    else
        for (unsigned k = 0; k < 2; k++)
            o->d[k] = x->d[y->d[k] >> 1 & 1];
    return true;
}

static bool alignr(IrQuad *o, const IrQuad *x, const IrQuad *y, unsigned imm)
{
    for (unsigned k = 0; k < 16; k++) {
        unsigned from = k + imm;
        o->b[k] = from < 16 ? y->b[from] : from < 32 ? x->b[from - 16] : 0;
    }
    return true;
}

static bool byte_shift(IrQuad *o, const IrQuad *x, int by)
{
    for (int k = 0; k < 16; k++)
        o->b[k] = k - by >= 0 && k - by < 16 ? x->b[k - by] : 0;
    return true;
}

static bool blend(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, unsigned half)
{
    unsigned size = lane_bytes(n->aux), lanes = 16 / size;

    for (unsigned k = 0; k < lanes; k++) {
        unsigned bit = n->aux == IR_H ? k : half * lanes + k;
        memcpy(&o->b[k * size], &(n->imm >> bit & 1 ? y : x)->b[k * size], size);
    }
    return true;
}

static bool blendv(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z)
{
    unsigned size = lane_bytes(n->aux);

    for (unsigned k = 0; k < 16; k += size)
        memcpy(&o->b[k], &(z->b[k + size - 1] & 0x80 ? y : x)->b[k], size);
    return true;
}

bool ir_vector_shuffle(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z,
                       unsigned half)
{
    unsigned imm = (uint8_t)n->imm;

    switch (n->op) {
    case IR_OP_v_shlb: return byte_shift(o, x, (int)imm);
    case IR_OP_v_shrb: return byte_shift(o, x, -(int)imm);
    case IR_OP_v_packs: return pack(n, o, x, y, true);
    case IR_OP_v_packus: return pack(n, o, x, y, false);
    case IR_OP_v_unpackl: return unpack(n, o, x, y, 0);
    case IR_OP_v_unpackh: return unpack(n, o, x, y, 8);
    case IR_OP_v_shufw:
        for (unsigned k = 0; k < 4; k++)
            o->w[k] = x->w[imm >> 2 * k & 3];
        return true;
    case IR_OP_v_shuflh: return shuffle_h(o, x, imm, 0);
    case IR_OP_v_shufhh: return shuffle_h(o, x, imm, 4);
    case IR_OP_v_shuf2: return shuf2(n, o, x, y, half);
    case IR_OP_v_pshufb: return pshufb(o, x, y);
    case IR_OP_v_permil: return permil(n, o, x, y);
    case IR_OP_v_alignr: return alignr(o, x, y, imm);
    case IR_OP_v_blend: return blend(n, o, x, y, half);
    case IR_OP_v_blendv: return blendv(n, o, x, y, z);
    default: return false;
    }
}

/* ---- between halves, types and integers ---- */

static uint64_t lane_get(const void *v, unsigned size, unsigned k)
{
    uint64_t r = 0;
    memcpy(&r, (const uint8_t *)v + k * size, size);
    return r;
}

static void lane_set(void *v, unsigned size, unsigned k, uint64_t r)
{
    memcpy((uint8_t *)v + k * size, &r, size);
}

static void widen(const IrNode *n, IrVal *o, const IrVal *x, bool is_signed)
{
    unsigned from = lane_bytes(n->aux), to = lane_bytes((unsigned)n->imm);

    for (unsigned k = 0; k < (n->type == IR_V256 ? 32 : 16) / to; k++) {
        uint64_t v = lane_get(x, from, k);
        unsigned up = 64 - 8 * from;
        lane_set(o, to, k, is_signed ? (uint64_t)((int64_t)(v << up) >> up) : v);
    }
}

static uint32_t movmsk(const IrNode *n, const IrVal *x)
{
    unsigned size = lane_bytes(n->aux), bytes = n->imm ? 32 : 16;
    uint32_t mask = 0;

    for (unsigned k = 0; k < bytes / size; k++)
        mask |= (uint32_t)(x->b[(k + 1) * size - 1] >> 7) << k;
    return mask;
}

static uint32_t test(const IrNode *n, const IrVal *x, const IrVal *y)
{
    static const uint64_t masks[] = {[IR_B] = UINT64_MAX, [IR_W] = 0x8000000080000000, [IR_D] = 1ull << 63,
                                     [IR_F32] = 0x8000000080000000, [IR_F64] = 1ull << 63};
    uint64_t both = 0, only_y = 0;

    for (unsigned k = 0; k < (n->imm ? 4 : 2); k++) {
        both |= x->d[k] & y->d[k] & masks[n->aux];
        only_y |= ~x->d[k] & y->d[k] & masks[n->aux];
    }
    return (both ? 0 : 0x40) | (only_y ? 0 : 1);
}

static IrQuad half_of(const IrVal *v, unsigned half) { return ((const IrQuad *)v)[half]; }

static void perm128(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y)
{
    for (unsigned h = 0; h < 2; h++) {
        unsigned sel = (unsigned)n->imm >> 4 * h & 15;
        ((IrQuad *)o)[h] = sel & 8 ? (IrQuad){0} : half_of(sel & 2 ? y : x, sel & 1);
    }
}

bool ir_vector_whole(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y)
{
    unsigned size = lane_bytes(n->aux), bytes = n->type == IR_V256 ? 32 : 16;

    switch (n->op) {
    case IR_OP_v_movs:
        *o = *x;
        memcpy(o, y, size);
        return true;
    case IR_OP_v_movz:
        memset(o, 0, 16);
        memcpy(o, x, size);
        return true;
    case IR_OP_v_zext128:
        memset(o, 0, 32);
        memcpy(o, x, 16);
        return true;
    case IR_OP_v_low128: memcpy(o, x, 16); return true;
    case IR_OP_v_high128: memcpy(o, &x->b[16], 16); return true;
    case IR_OP_v_splat128:
        memcpy(o, x, 16);
        memcpy(&o->b[16], x, 16);
        return true;
    case IR_OP_v_insert128:
        *o = *x;
        memcpy(&o->b[16 * (n->imm & 1)], y, 16);
        return true;
    case IR_OP_v_perm128: perm128(n, o, x, y); return true;
    case IR_OP_v_permq:
        for (unsigned k = 0; k < 4; k++)
            o->d[k] = x->d[n->imm >> 2 * k & 3];
        return true;
    case IR_OP_v_permw:
        for (unsigned k = 0; k < 8; k++)
            o->w[k] = x->w[y->w[k] & 7];
        return true;
    case IR_OP_v_splat:
        for (unsigned k = 0; k < bytes / size; k++)
            memcpy(&o->b[k * size], x, size);
        return true;
    case IR_OP_v_sxt: widen(n, o, x, true); return true;
    case IR_OP_v_zxt: widen(n, o, x, false); return true;
    case IR_OP_v_from32:
        o->d[0] = (uint32_t)x->i;
        o->d[1] = 0;
        return true;
    case IR_OP_v_from64:
        o->d[0] = x->i;
        o->d[1] = 0;
        return true;
    case IR_OP_v_extract: o->i = lane_get(x, size, (unsigned)n->imm); return true;
    case IR_OP_v_insert:
        *o = *x;
        lane_set(o, size, (unsigned)n->imm, y->i);
        return true;
    case IR_OP_v_movmsk: o->i = movmsk(n, x); return true;
    case IR_OP_v_test: o->i = test(n, x, y); return true;
    default: return false;
    }
}
