/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of vector operations; each function says whether the operation was one of its own. */
#ifndef IR_INTERP_VECTOR_H
#define IR_INTERP_VECTOR_H

#include "ir/interp/value.h"

/* Sixteen bytes: what most operations work on, whatever the type. */
typedef union IrQuad {
    uint8_t b[16];
    uint16_t h[8];
    uint32_t w[4];
    uint64_t d[2];
    int8_t sb[16];
    int16_t sh[8];
    int32_t sw[4];
    int64_t sd[2];
} IrQuad;

bool ir_vector_int(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z, unsigned half);
bool ir_vector_shuffle(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z,
                       unsigned half);
bool ir_vector_whole(const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y);
bool ir_vector_crypto(const IrNode *n, IrQuad *o, const IrQuad *x, const IrQuad *y, const IrQuad *z);
bool ir_vector_float(Cpu *cpu, const IrNode *n, IrVal *o, const IrVal *x, const IrVal *y, const IrVal *z);

#endif
