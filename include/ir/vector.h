/* SPDX-License-Identifier: Apache-2.0 */
/* Named builders of the vector and floating-point operations of vector-ops.inc. */
#ifndef IR_VECTOR_H
#define IR_VECTOR_H

#include "ir/ir.h"

#define IR_V2(name)                                                                                 \
    static inline IrRef ir_##name(IrBuilder *b, IrType t, IrLane lane, IrRef x, IrRef y)            \
    {                                                                                               \
        return ir_vec(b, IR_OP_##name, t, lane, 0, x, y, 0);                                        \
    }
IR_V2(v_and) IR_V2(v_or) IR_V2(v_xor) IR_V2(v_andn) IR_V2(v_add) IR_V2(v_sub)
#undef IR_V2

#endif
