/* SPDX-License-Identifier: Apache-2.0 */
/* Vector operations of the interpreter: generic loops over lanes. */
#include "ir/interp/value.h"

/* r[k] = expression of x[k], y[k] over the lanes of member m. */
#define LANES(m, bytes, expr)                                                                       \
    for (unsigned k = 0; k < n_bytes / (bytes); k++) {                                              \
        out->m[k] = (__typeof__(out->m[0]))(expr);                                                  \
    }                                                                                               \
    break
/* The same for integer lanes of all sizes. */
#define INT_LANES(OP_)                                                                              \
    switch (n->aux) {                                                                               \
    case IR_B: LANES(b, 1, x->b[k] OP_ y->b[k]);                                                    \
    case IR_H: LANES(h, 2, x->h[k] OP_ y->h[k]);                                                    \
    case IR_W: LANES(w, 4, x->w[k] OP_ y->w[k]);                                                    \
    default: LANES(d, 8, x->d[k] OP_ y->d[k]);                                                      \
    }                                                                                               \
    break

void ir_interpret_vector(Cpu *cpu, const IrNode *n, const IrVal *val, IrVal *out)
{
    const unsigned n_bytes = n->type == IR_V256 ? 32 : 16;
    const IrVal *x = &val[n->a], *y = &val[n->b];

    switch (n->op) {
    case IR_OP_v_and: LANES(d, 8, x->d[k] & y->d[k]);
    case IR_OP_v_or: LANES(d, 8, x->d[k] | y->d[k]);
    case IR_OP_v_xor: LANES(d, 8, x->d[k] ^ y->d[k]);
    case IR_OP_v_andn: LANES(d, 8, ~x->d[k] & y->d[k]);
    case IR_OP_v_add: INT_LANES(+);
    case IR_OP_v_sub: INT_LANES(-);
    default: break;
    }
}
