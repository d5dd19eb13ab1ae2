/* SPDX-License-Identifier: Apache-2.0 */
/* What the builder remembers while a unit grows. See builder.c and slots.c. */
#ifndef IR_STATE_H
#define IR_STATE_H

#include "ir/eval.h"

enum { IR_VN_SIZE = 512, IR_CELLS = 128 };

/* A piece of a cell whose value is known: bytes lo..lo+n-1 hold the low n bytes of ref. */
typedef struct IrPiece {
    IrRef ref;
    uint16_t since;             /* node count when it became known */
    uint8_t lo, n;              /* n 0: nothing known; 16 and 32: a vector beginning here */
    bool clean;                 /* bits of ref above the piece are zero */
} IrPiece;

/* Eight aligned bytes of guest state. `over` lies on top of `base` where they overlap. */
typedef struct IrCell {
    uint32_t gen;
    int32_t word;
    IrPiece base, over;
} IrCell;

typedef struct IrState {
    IrRef vn[IR_VN_SIZE];       /* by hash of a pure node */
    uint32_t gen;               /* of cells that mean something */
    bool vectors;               /* some cell holds a vector */
    bool any_dead;
    uint64_t dead[IR_MAX_NODES / 64];   /* nodes between a branch and its label: not on every way here */
    uint16_t first_branch[IR_MAX_LABELS];   /* node of the first branch to a label, 0: none yet */
    IrCell cells[IR_CELLS];
} IrState;

IrRef ir_emit(IrUnit *u, IrNode n);
void ir_slots_forget_all(IrUnit *u);
void ir_slots_forget(IrUnit *u, int32_t offset, unsigned bytes);

static inline bool ir_dead(const IrState *s, unsigned node)
{
    return s->any_dead && s->dead[node / 64] >> node % 64 & 1;
}

#endif
