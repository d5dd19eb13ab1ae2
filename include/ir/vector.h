/* SPDX-License-Identifier: Apache-2.0 */
/* Named builders of the vector and floating-point operations of vector-ops.inc that front ends write
 * by hand; what tables name goes through ir_vec(). `t` is the type of the result. */
#ifndef IR_VECTOR_H
#define IR_VECTOR_H

#include "ir/ir.h"

#define IR_V1(name)                                                                                 \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x)                     \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, 0, x, 0, 0);                                        \
    }
#define IR_V1I(name)                                                                                \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x, int32_t imm)        \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, imm, x, 0, 0);                                      \
    }
#define IR_V2(name)                                                                                 \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x, IrRef y)            \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, 0, x, y, 0);                                        \
    }
#define IR_V2I(name)                                                                                \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x, IrRef y, int32_t imm) \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, imm, x, y, 0);                                      \
    }
#define IR_V3(name)                                                                                 \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x, IrRef y, IrRef z)   \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, 0, x, y, z);                                        \
    }
IR_V2(v_and) IR_V2(v_or) IR_V2(v_xor) IR_V2(v_andn) IR_V2(v_add) IR_V2(v_sub)
IR_V2(v_cmpeq) IR_V2(v_cmpgt) IR_V2(v_unpackl) IR_V2(v_unpackh) IR_V2(v_packs) IR_V2(v_packus)
IR_V1I(v_shli) IR_V1I(v_shri) IR_V1I(v_sari) IR_V1I(v_shlb) IR_V1I(v_shrb) IR_V1I(v_shufw)
IR_V2I(v_shuf2) IR_V2I(v_blend) IR_V3(v_blendv) IR_V2(v_movs) IR_V1(v_movz) IR_V2(v_pshufb)
IR_V1(v_splat) IR_V1I(v_extract) IR_V2I(v_insert) IR_V1I(v_movmsk) IR_V2I(v_test)
#undef IR_V1
#undef IR_V1I
#undef IR_V2
#undef IR_V2I
#undef IR_V3

/* Between types, no lane. */
#define IR_CONVERT(name, t)                                                                         \
    static inline IrRef ir_##name(IrBuilder *b, IrRef x) { return ir_vec(b, IR_OP_##name, t, IR_D, 0, x, 0, 0); }
IR_CONVERT(v_from32, IR_V128) IR_CONVERT(v_from64, IR_V128)
IR_CONVERT(v_zext128, IR_V256) IR_CONVERT(v_low128, IR_V128) IR_CONVERT(v_high128, IR_V128)
IR_CONVERT(v_splat128, IR_V256)
#undef IR_CONVERT

/* All zero. */
static inline IrRef ir_v_zero(IrBuilder *b, IrType t)
{
    IrRef z = ir_v_from64(b, ir_i64(b, 0));
    return t == IR_V256 ? ir_v_zext128(b, z) : z;
}

#endif
