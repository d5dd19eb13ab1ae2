/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of C functions: what they could see is stored, what they could change is saved. */
#include "accel/jit/x86_64/emit.h"

static void load_cpu(Emit *e, Asm *a, int r)
{
    op_rm(a, X_LEA | O_W, r, RBP, -e->bias);
}

static void store_pc(Emit *e, Asm *a)
{
    op_rm(a, X_LEA | O_W, RAX, R12, e->pc_off);
    op_rm(a, X_MOV_MR | O_W, RAX, RBP, CPU_DISP(e, pc));
}

static void emit_call_fn(Emit *e, const void *fn)
{
    int64_t d = (const uint8_t *)fn - (e->start_rx + (e->a.p - e->start) + 5);
    if (fits32(d)) {
        a8(&e->a, 0xe8);
        a32(&e->a, d);
    } else {
        op_movi(&e->a, RAX, (uintptr_t)fn);
        op_rr(&e->a, 0xff, 2, RAX);
    }
}

/* Loads argument registers without overwriting a source that is still wanted. */
static void load_args(Emit *e, const Arg *args, unsigned n)
{
    static const int8_t regs[] = {RSI, RDX, RCX, R8};
    int8_t from[4];             /* register now holding it, -1 elsewhere */
    uint32_t todo = 0;
    for (unsigned k = 0; k < n; k++) {
        from[k] = args[k].kind == ARG_VALUE ? e->v[args[k].v].reg : -1;
        if (args[k].kind != ARG_NONE)
            todo |= BIT(k);
    }
    while (todo) {
        bool moved = false;
        for (unsigned k = 0; k < n; k++) {
            bool blocked = false;
            if (!(todo & BIT(k)) || from[k] < 0)
                continue;
            for (unsigned o = 0; o < n; o++)
                blocked |= o != k && (todo & BIT(o)) && from[o] == regs[k];
            if (blocked)
                continue;
            if (from[k] != regs[k])
                op_rr(&e->a, X_MOV | O_W, regs[k], from[k]);
            todo &= ~BIT(k);
            moved = true;
        }
        bool cycle = false;
        for (unsigned k = 0; k < n && !moved; k++) {
            if (!(todo & BIT(k)) || from[k] < 0)
                continue;
            op_rr(&e->a, X_MOV | O_W, RAX, from[k]);
            from[k] = RAX;
            cycle = true;
            break;
        }
        if (moved || cycle)
            continue;
        for (unsigned k = 0; k < n; k++) {
            if (!(todo & BIT(k)))
                continue;
            if (args[k].kind == ARG_VALUE)
                value_into(e, &e->a, regs[k], args[k].v);
            else if (args[k].kind == ARG_IMM)
                op_movi(&e->a, regs[k], args[k].imm);
            else
                op_rm(&e->a, X_LEA | O_W, regs[k], RBP, (int32_t)args[k].imm - e->bias);
        }
        break;
    }
    for (unsigned k = 0; k < n; k++)
        if (args[k].kind == ARG_VALUE && args[k].imm)
            op_ri(&e->a, G_ADD, O_W, regs[k], args[k].imm);
}

/* Before C code that may leave the unit here or ask for the time: what has been paid for but has not
 * run. Changes rax. */
void note_refund(Emit *e, Asm *a)
{
    if (!e->u->icount)
        return;
    op_rm(a, X_MOV | O_W, RAX, RBP, CPU_DISP(e, jit));
    op_rm(a, 0xc7, 0, RAX, offsetof(JitCpu, refund));
    a32(a, e->u->n_insns - e->insns);
}

/* Around a helper that reads or changes the guest's FP mode or flags: what MXCSR has gathered goes to
 * fp_flags and is cleared. Changes rax. */
static void fp_out(Emit *e)
{
    Asm *a = &e->a;
    int32_t tmp = CPU_DISP(e, vec_buf);
    op_rm(a, X_LDMXCSR, 3, RBP, tmp);       /* stmxcsr */
    op_rm(a, X_MOV, RAX, RBP, tmp);
    op_ri(a, G_AND, 0, RAX, 0x3f);
    op_rm(a, X_OR_MR, RAX, RBP, CPU_DISP(e, fp_flags));
    op_mi(a, G_AND, 0, RBP, tmp, ~0x3f);
    op_rm(a, X_LDMXCSR, 2, RBP, tmp);
}

/* Behind it: the mode, as jit_fp_enter() does. Changes rcx, rdx, rsi. */
static void fp_in(Emit *e)
{
    static const struct { uint8_t bits, shift; } moves[] = {{3, 13}, {FP_FTZ, 12}, {FP_DAZ, 2}};
    Asm *a = &e->a;
    int32_t tmp = CPU_DISP(e, vec_buf);
    op_rm(a, X_MOV, RCX, RBP, CPU_DISP(e, fp_mode));
    op_movi(a, RSI, 0x1f80);
    for (unsigned k = 0; k < G_N_ELEMENTS(moves); k++) {
        op_rr(a, X_MOV, RDX, RCX);
        op_ri(a, G_AND, 0, RDX, moves[k].bits);
        op_shift(a, G_SHL, 0, RDX, moves[k].shift);
        op_rr(a, X_OR, RSI, RDX);
    }
    op_rm(a, X_MOV_MR, RSI, RBP, tmp);
    op_rm(a, X_LDMXCSR, 2, RBP, tmp);
}

void emit_call(Emit *e, IrRef i, const void *fn, unsigned effects, const Arg *args, unsigned n_args,
               IrType ret)
{
    bool sees = effects & (IR_H_READ | IR_H_WRITE | IR_H_FAULT | IR_H_EXIT);
    if (sees)
        pend_flush_all(e);
    bool clobbers = effects & IR_H_WRITE;
    if (clobbers)
        homes_save_all(e);
    /* What lives on must not be in a register that C may change. */
    for (uint32_t m = (GPRS | VECS) & ~SAVED_GPRS & ~e->free; m; m &= m - 1) {
        int r = __builtin_ctz(m);
        IrRef v = e->in[r];
        if (e->v[v].last <= e->at && !e->v[v].pend)
            continue;           /* at most an argument */
        uint32_t room = e->free & SAVED_GPRS & ~e->lock;
        unsigned elsewhere = V_REMAKE | V_SPILLED | (clobbers ? 0 : V_HOME);
        if (r < XMM && room && !(e->v[v].flags & elsewhere)) {
            int to = __builtin_ctz(room);
            op_rr(&e->a, X_MOV | O_W, to, r);
            reg_release(e, r);
            reg_bind(e, to, v);
            e->lock &= ~BIT(to);
        } else {
            if (clobbers && e->v[v].last >= e->at && !(e->v[v].flags & (V_REMAKE | V_SPILLED)))
                spill(e, v);
            reg_evict(e, r);
        }
    }
    if (effects)
        note_refund(e, &e->a);
    if (effects & IR_H_FAULT)
        store_pc(e, &e->a);
    load_args(e, args, n_args);
    if (clobbers)
        homes_drop_all(e);
    bool fp = effects & IR_H_FP && e->jit->fp_used;
    if (fp)
        fp_out(e);
    load_cpu(e, &e->a, RDI);
    emit_call_fn(e, fn);
    if (fp)
        fp_in(e);
    if ((effects & IR_H_WRITE) && (effects & IR_H_EFFECT))
        op_rm(&e->a, X_MOV | O_W, R14, RBP, CPU_DISP(e, tlb));
    for (uint32_t m = (GPRS | VECS) & ~SAVED_GPRS & ~e->free; m; m &= m - 1)
        reg_release(e, __builtin_ctz(m));
    e->lock = 0;
    if (ret != IR_VOID && e->v[i].last)
        op_rr(&e->a, X_MOV | w_of(ret), value_def(e, i), RAX);
}

void emit_helper(Emit *e, IrRef i, const IrNode *n)
{
    const IrHelper *h = e->u->helpers[n->imm];
    const IrRef refs[4] = {n->a, n->b, n->c, n->d};
    Arg args[4];
    unsigned count = 0;
    for (unsigned k = 0; k < 4; k++) {
        args[k] = (Arg){.kind = ARG_NONE};
        if (!refs[k])
            continue;
        count = k + 1;
        const IrNode *s = node_of(e, refs[k]);
        if (s->op == IR_OP_slot) {
            args[k] = (Arg){.kind = ARG_SLOT, .imm = s->imm};
            pend_flush_overlap(e, s->imm, s->aux);
            if (s->d & 2)
                homes_lost(e, s->imm, s->aux);
        } else {
            args[k] = (Arg){.kind = ARG_VALUE, .v = refs[k]};
        }
    }
    emit_call(e, i, h->fn, h->effects, args, count, h->ret);
    if (h->effects & IR_H_EXIT)
        e->reachable = false;
}
