/* SPDX-License-Identifier: Apache-2.0 */
/* Vector operations of the interpreter: lane-wise integers. Meaning: include/ir/vector-ops.inc. */
#include "ir/interp/vector.h"

#define MIN_(p, q) ((p) < (q) ? (p) : (q))
#define MAX_(p, q) ((p) > (q) ? (p) : (q))

/* o[k] = expression of a = x[k], b = y[k] over the lanes of member m. */
#define EACH(m, expr)                                                                               \
    do {                                                                                            \
        for (unsigned k = 0; k < 16 / sizeof(o->m[0]); k++) {                                       \
            __auto_type a = x->m[k];                                                                \
            __auto_type b = y->m[k];                                                                \
            (void)a, (void)b;                                                                       \
            o->m[k] = (__typeof__(o->m[0]))(expr);                                                  \
        }                                                                                           \
        return true;                                                                                \
    } while (0)
#define BY_LANE(B, H, W, D, expr)                                                                   \
    switch (n->aux) {                                                                               \
    case IR_B: EACH(B, expr);                                                                       \
    case IR_H: EACH(H, expr);                                                                       \
    case IR_W: EACH(W, expr);                                                                       \
    default: EACH(D, expr);                                                                         \
    }
#define UNSIGNED(expr) BY_LANE(b, h, w, d, expr)
#define SIGNED(expr) BY_LANE(sb, sh, sw, sd, expr)
#define NARROW(B, H, expr)                                                                          \
    if (n->aux == IR_B)                                                                             \
        EACH(B, expr);                                                                              \
    else                                                                                            \
        EACH(H, expr)

static int saturate(int64_t v, int64_t lo, int64_t hi)
{
    return (int)(v < lo ? lo : v > hi ? hi : v);
}

static int sat_signed(const IrNode *n, int64_t v)
{
    return n->aux == IR_B ? saturate(v, -128, 127) : saturate(v, -32768, 32767);
}

static int sat_unsigned(const IrNode *n, int64_t v)
{
    return saturate(v, 0, n->aux == IR_B ? 255 : 65535);
}

enum { SHL, SHR, SAR };

static uint64_t shift_lane(int kind, unsigned bits, uint64_t v, int64_t sv, uint64_t count)
{
    if (kind == SAR)
        return (uint64_t)(sv >> (count >= bits ? bits - 1 : count));
    return count >= bits ? 0 : kind == SHL ? v << count : v >> count;
}

static bool shift_all(const IrNode *n, int kind, IrQuad *o, const IrQuad *x, uint64_t count)
{
    switch (n->aux) {
    case IR_H:
        for (unsigned k = 0; k < 8; k++)
            o->h[k] = (uint16_t)shift_lane(kind, 16, x->h[k], x->sh[k], count);
        break;
    case IR_W:
        for (unsigned k = 0; k < 4; k++)
            o->w[k] = (uint32_t)shift_lane(kind, 32, x->w[k], x->sw[k], count);
        break;
    default:
        for (unsigned k = 0; k < 2; k++)
            o->d[k] = shift_lane(kind, 64, x->d[k], x->sd[k], count);
    }
    return true;
}

static bool shift_each(const IrNode *n, int kind, IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    if (n->aux == IR_W)
        for (unsigned k = 0; k < 4; k++)
            o->w[k] = (uint32_t)shift_lane(kind, 32, x->w[k], x->sw[k], y->w[k]);
    else
        for (unsigned k = 0; k < 2; k++)
            o->d[k] = shift_lane(kind, 64, x->d[k], x->sd[k], y->d[k]);
    return true;
}

static bool maddwd(IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    for (unsigned k = 0; k < 4; k++)
        o->w[k] = (uint32_t)(x->sh[2 * k] * y->sh[2 * k]) + (uint32_t)(x->sh[2 * k + 1] * y->sh[2 * k + 1]);
    return true;
}

static bool maddubs(IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    for (unsigned k = 0; k < 8; k++)
        o->sh[k] = (int16_t)saturate(x->b[2 * k] * y->sb[2 * k] + x->b[2 * k + 1] * y->sb[2 * k + 1],
                                     -32768, 32767);
    return true;
}

static bool sad(IrQuad *o, const IrQuad *x, const IrQuad *y)
{
    for (unsigned k = 0; k < 2; k++) {
        uint64_t sum = 0;
        for (unsigned i = 8 * k; i < 8 * k + 8; i++)
            sum += x->b[i] > y->b[i] ? x->b[i] - y->b[i] : y->b[i] - x->b[i];
        o->d[k] = sum;
    }
    return true;
}

/* Pairs: x's into the low half of the result, y's into the high half. */
static bool horizontal(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, bool subtract, bool sat)
{
    if (n->aux == IR_W) {
        for (unsigned k = 0; k < 4; k++) {
            const uint32_t *p = (k < 2 ? x->w : y->w) + 2 * (k & 1);
            o->w[k] = subtract ? p[0] - p[1] : p[0] + p[1];
        }
        return true;
    }
    for (unsigned k = 0; k < 8; k++) {
        const int16_t *p = (k < 4 ? x->sh : y->sh) + 2 * (k & 3);
        int v = subtract ? p[0] - p[1] : p[0] + p[1];
        o->sh[k] = (int16_t)(sat ? saturate(v, -32768, 32767) : v);
    }
    return true;
}

static bool mpsad(IrQuad *o, const IrQuad *x, const IrQuad *y, unsigned imm)
{
    unsigned xo = imm & 4, yo = (imm & 3) * 4;

    for (unsigned k = 0; k < 8; k++) {
        unsigned sum = 0;
        for (unsigned i = 0; i < 4; i++) {
            int d = x->b[xo + k + i] - y->b[yo + i];
            sum += (unsigned)(d < 0 ? -d : d);
        }
        o->h[k] = (uint16_t)sum;
    }
    return true;
}

static bool minpos(IrQuad *o, const IrQuad *x)
{
    unsigned at = 0;

    for (unsigned k = 1; k < 8; k++)
        if (x->h[k] < x->h[at])
            at = k;
    o->d[0] = x->h[at] | at << 16;
    o->d[1] = 0;
    return true;
}

bool ir_vector_int(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z, unsigned half)
{
    uint64_t imm = (uint8_t)n->imm;

    switch (n->op) {
    case IR_OP_v_and: EACH(d, a & b);
    case IR_OP_v_or: EACH(d, a | b);
    case IR_OP_v_xor: EACH(d, a ^ b);
    case IR_OP_v_andn: EACH(d, ~a & b);
    case IR_OP_v_add: UNSIGNED(a + b);
    case IR_OP_v_sub: UNSIGNED(a - b);
    case IR_OP_v_adds: NARROW(sb, sh, sat_signed(n, a + b));
    case IR_OP_v_subs: NARROW(sb, sh, sat_signed(n, a - b));
    case IR_OP_v_addus: NARROW(b, h, sat_unsigned(n, a + b));
    case IR_OP_v_subus: NARROW(b, h, sat_unsigned(n, a - b));
    case IR_OP_v_avg: NARROW(b, h, (a + b + 1) >> 1);
    case IR_OP_v_mullo:
        if (n->aux == IR_H)
            EACH(h, (uint32_t)a * b);
        else
            EACH(w, a * b);
    case IR_OP_v_mulhs: EACH(sh, (a * b) >> 16);
    case IR_OP_v_mulhu: EACH(h, ((uint32_t)a * b) >> 16);
    case IR_OP_v_mulhrs: EACH(sh, (a * b + 0x4000) >> 15);
    case IR_OP_v_mulu: EACH(d, (uint64_t)(uint32_t)a * (uint32_t)b);
    case IR_OP_v_muls: EACH(d, (int64_t)(int32_t)a * (int32_t)b);
    case IR_OP_v_maddwd: return maddwd(o, x, y);
    case IR_OP_v_maddubs: return maddubs(o, x, y);
    case IR_OP_v_sad: return sad(o, x, y);
    case IR_OP_v_cmpeq: UNSIGNED(a == b ? -1 : 0);
    case IR_OP_v_cmpgt: SIGNED(a > b ? -1 : 0);
    case IR_OP_v_mins: SIGNED(MIN_(a, b));
    case IR_OP_v_maxs: SIGNED(MAX_(a, b));
    case IR_OP_v_minu: UNSIGNED(MIN_(a, b));
    case IR_OP_v_maxu: UNSIGNED(MAX_(a, b));
    case IR_OP_v_abs: SIGNED(a < 0 ? 0 - (uint64_t)a : (uint64_t)a);
    case IR_OP_v_sign: SIGNED(b < 0 ? 0 - (uint64_t)a : b ? (uint64_t)a : 0);
    case IR_OP_v_shli: return shift_all(n, SHL, o, x, imm);
    case IR_OP_v_shri: return shift_all(n, SHR, o, x, imm);
    case IR_OP_v_sari: return shift_all(n, SAR, o, x, imm);
    /* The count is in the first half of b, whichever half of a this is. */
    case IR_OP_v_shl: return shift_all(n, SHL, o, x, (y - half)->d[0]);
    case IR_OP_v_shr: return shift_all(n, SHR, o, x, (y - half)->d[0]);
    case IR_OP_v_sar: return shift_all(n, SAR, o, x, (y - half)->d[0]);
    case IR_OP_v_shlv: return shift_each(n, SHL, o, x, y);
    case IR_OP_v_shrv: return shift_each(n, SHR, o, x, y);
    case IR_OP_v_sarv: return shift_each(n, SAR, o, x, y);
    case IR_OP_v_phadd: return horizontal(n, o, x, y, false, false);
    case IR_OP_v_phsub: return horizontal(n, o, x, y, true, false);
    case IR_OP_v_phadds: return horizontal(n, o, x, y, false, true);
    case IR_OP_v_phsubs: return horizontal(n, o, x, y, true, true);
    case IR_OP_v_mpsad: return mpsad(o, x, y, (unsigned)(imm >> 3 * half));
    case IR_OP_v_minpos: return minpos(o, x);
    default: return false;
    }
}

void ir_interpret_vector(Cpu *cpu, const IrNode *n, const IrVal *val, IrVal *out)
{
    const IrVal *x = &val[n->a], *y = &val[n->b], *z = &val[n->c];

    if (ir_vector_float(cpu, n, out, x, y, z) || ir_vector_whole(n, out, x, y))
        return;
    for (unsigned half = 0; half < (n->type == IR_V256 ? 2 : 1); half++) {
        IrQuad *o = (IrQuad *)out + half;
        const IrQuad *p = (const IrQuad *)x + half, *q = (const IrQuad *)y + half,
                     *r = (const IrQuad *)z + half;
        if (!ir_vector_int(n, o, p, q, r, half) && !ir_vector_shuffle(n, o, p, q, r, half))
            ir_vector_crypto(n, o, p, q, r);
    }
}
