/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the allocator knows about values; liveness.c fills `last` and the call list.
 *
 * Tier 1 is two passes. The backward one (liveness.c) finds dead nodes and last uses. The forward one
 * (the host's emit*.c) allocates registers and emits together. A `set` is not stored at once: the
 * slot's new value stays *pending* in its register and is stored at exits, before calls that could
 * see it, and when the register is wanted: then that store also is the spill. A `get` is not loaded
 * at once either: the value's *home* is the slot until something overwrites it, so it can be a
 * memory operand and costs nothing to evict. A faulting access needs no restore map: its
 * out-of-line slow path stores what is pending.
 */
#ifndef ACCEL_JIT_ALLOC_H
#define ACCEL_JIT_ALLOC_H

#include "ir/ir.h"

enum {
    V_SPILLED = 1,      /* in its spill cell */
    V_HOME = 2,         /* equal to the slot at home */
    V_REMAKE = 4,       /* const or pcrel */
    V_FUSED = 8,        /* setcond emitted by its only user */
    V_ZX = 16,          /* I32 in register: upper half is zero */
    V_LIVE = 32,        /* node must be emitted */
    V_CARRIED = 128,    /* a get that is in a register from the head of a loop on */
    V_UNFUSED = 64,     /* not emitted by its last user, but that still ends its operands */
};

typedef struct Val {
    int8_t reg;         /* -1 none */
    uint8_t flags;
    uint8_t pend;       /* pending sets of it */
    uint8_t home_bytes;
    uint16_t last;      /* node of the last use; 0 none */
    uint16_t cell;      /* spill cell + 1 */
    int32_t home;
} Val;

/*
 * Loads and stores off one base, close together, with nothing between them that could change what a
 * translation leads to: the first one's look into the TLB covers the bytes of all. See emit-mem.c.
 */
enum { JIT_MAX_SHARES = 64, JIT_SHARE_SPAN = 256 };
typedef struct JitShare {
    IrRef base;
    bool store;         /* one of them is; then the page must permit it */
    uint16_t count, last;               /* members; the last one's node */
    int32_t lo, hi;     /* bytes covered, from base */
} JitShare;

/* v[JIT_SHARE_REF + n] is where the host address of share n's base is. */
enum { JIT_SHARE_REF = IR_MAX_NODES };

typedef struct Liveness {
    Val v[IR_MAX_NODES + JIT_MAX_SHARES];
    JitShare shares[JIT_MAX_SHARES];
    unsigned n_shares;
    uint8_t share[IR_MAX_NODES];        /* of a load or store: its share + 1, or 0 */
    uint16_t calls[IR_MAX_NODES];       /* nodes that clobber registers, ascending, 0xffff ends */
    unsigned n_calls;
    uint8_t preds[IR_MAX_LABELS];       /* ways to reach the label */
    unsigned n_exits, n_mem;
} Liveness;

/* Whether node k is a brcond that skips just a goto_pc behind it: a way out at the side, which leaves
 * values and registers of those who stay as they are. Ends at node k + 2. */
static inline bool jit_is_side_exit(const IrUnit *u, const Liveness *l, unsigned k)
{
    const IrNode *n = &u->nodes[k];
    return k + 2 < u->n_nodes && n->op == IR_OP_brcond && n[1].op == IR_OP_goto_pc && n[2].op == IR_OP_bind &&
           n[2].imm == n->imm && l->preds[n->imm] == 1;
}

/* `is_call` tells which nodes call C on the hot path. */
void jit_liveness(const IrUnit *u, Liveness *l, bool (*is_call)(const IrUnit *u, const IrNode *n));

#endif
