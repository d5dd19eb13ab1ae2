/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the interpreter, for interp.c and the vector operations in vector.c. */
#ifndef IR_INTERP_VALUE_H
#define IR_INTERP_VALUE_H

#include "ir/ir.h"

/* Integers are kept zero-extended in i. Of vectors, the type's 16 or 32 bytes count; lane 0 first. */
union IrVal {
    uint64_t i;
    uint8_t b[32];
    uint16_t h[16];
    uint32_t w[8];
    uint64_t d[4];
    int8_t sb[32];
    int16_t sh[16];
    int32_t sw[8];
    int64_t sd[4];
    float f32[8];
    double f64[4];
};

#endif
