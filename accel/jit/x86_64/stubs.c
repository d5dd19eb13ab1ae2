/* SPDX-License-Identifier: Apache-2.0 */
/* Code that every unit shares: entry, exit, the jump-cache probe, slow accesses. ABI: System V. */
#include "accel/jit/slow.h"
#include "accel/jit/x86_64/emit.h"

typedef struct Stubs {
    Asm a;
    Jit *j;
    int32_t bias;
    uint32_t base_return;
    bool avx;
} Stubs;

static const int8_t saved[] = {RBP, RBX, R12, R13, R14, R15};

static void push(Asm *a, int r)
{
    if (r & 8)
        a8(a, 0x41);
    a8(a, 0x50 | (r & 7));
}

static void pop(Asm *a, int r)
{
    if (r & 8)
        a8(a, 0x41);
    a8(a, 0x58 | (r & 7));
}

static uint32_t begin(Stubs *s)
{
    while ((s->a.p - s->j->cache.rw) & 15)
        a8(&s->a, 0xcc);
    return s->a.p - s->j->cache.rw;
}

static void make_enter(Stubs *s)
{
    Asm *a = &s->a;
    uint32_t at = begin(s);
    for (unsigned k = 0; k < G_N_ELEMENTS(saved); k++)
        push(a, saved[k]);
    op_ri(a, G_SUB, O_W, RSP, 8);
    op_rr(a, X_MOV | O_W, RBP, RDI);
    op_rm(a, X_MOV_MR | O_W, RSP, RBP, CPU_DISP(s, host_sp));
    op_rm(a, X_LEA | O_W, RAX, RSP, -JIT_STACK);
    op_rm(a, X_MOV_MR | O_W, RAX, RBP, CPU_DISP(s, host_sp_limit));
    push(a, RSI);               /* some pc; if a return should go there, base_return serves it */
    a8(a, 0x48);                /* lea rax, [rip + d] */
    a8(a, 0x8d);
    a8(a, 0x05);
    a32(a, s->base_return - (a->p + 4 - s->j->cache.rw));
    push(a, RAX);
    op_rm(a, X_MOV | O_W, R12, RBP, CPU_DISP(s, page_base));
    op_rm(a, X_MOV | O_W, R14, RBP, CPU_DISP(s, tlb));
    op_rr(a, 0xff, 4, RSI);
    s->j->stubs.enter = (uint64_t (*)(void *, const uint8_t *))(uintptr_t)jit_rx(s->j, at);
}

/* A return that met the bottom of the stack: puts that back, then goes on like any other jump. */
static void make_base_return(Stubs *s)
{
    Asm *a = &s->a;
    s->base_return = begin(s);
    op_ri(a, G_SUB, O_W, RSP, 8);
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.probe));
}

/* rax: pc. A return that is not the expected one: drops the expectation, but not the last. */
static void make_mismatch(Stubs *s)
{
    Asm *a = &s->a;
    s->j->stubs.mismatch = begin(s);
    op_rm(a, X_LEA | O_W, RCX, RSP, 32);
    op_rm(a, X_CMP | O_W, RCX, RBP, CPU_DISP(s, host_sp));
    op_jcc_to(a, CC_A, jit_rw(s->j, s->j->stubs.probe));
    op_ri(a, G_ADD, O_W, RSP, 16);
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.probe));
}

/* Jumped to when the stack is full, ecx: how far behind the jump to go on; forgets all returns. */
static void make_cut(Stubs *s)
{
    Asm *a = &s->a;
    s->j->stubs.cut = begin(s);
    op_rm(a, X_MOV | O_W, RSP, RBP, CPU_DISP(s, host_sp));
    op_ri(a, G_SUB, O_W, RSP, 16);
    op_rr(a, 0xff, 4, RCX);
}

/* rax: pc; ecx: why */
static void make_exit(Stubs *s)
{
    Asm *a = &s->a;
    s->j->stubs.exit = s->j->stubs.link = begin(s);
    op_rm(a, X_MOV_MR | O_W, RAX, RBP, CPU_DISP(s, pc));
    op_rr(a, X_MOV, RAX, RCX);
    if (s->avx) {               /* vzeroupper */
        a8(a, 0xc5);
        a8(a, 0xf8);
        a8(a, 0x77);
    }
    op_rm(a, X_MOV | O_W, RSP, RBP, CPU_DISP(s, host_sp));
    op_ri(a, G_ADD, O_W, RSP, 8);
    for (unsigned k = G_N_ELEMENTS(saved); k-- > 0;)
        pop(a, saved[k]);
    a8(a, 0xc3);
}

static void make_leave(Stubs *s)
{
    s->j->stubs.leave = begin(s);
    op_movi(&s->a, RCX, JIT_LEFT);
    op_jmp_to(&s->a, jit_rw(s->j, s->j->stubs.exit));
}

/* The index must agree with jump_slot() of loop.c. */
void jump_probe(Asm *a, const Jit *j, int32_t bias, bool call, uint8_t *miss[2])
{
    int32_t jumps = offsetof(JitCpu, jumps);
    op_rm(a, X_MOV | O_W, RDX, RBP, (int32_t)offsetof(Cpu, jit) - bias);
    op_rr(a, X_MOV, RCX, RAX);
    op_shift(a, G_SHR, 0, RCX, 12);
    op_rr(a, X_XOR, RCX, RAX);
    op_shift(a, G_SHL, 0, RCX, 3);
    op_ri(a, G_AND, 0, RCX, (JIT_JUMPS - 1) << 4);
    op_rmx(a, X_CMP | O_W, RAX, RDX, RCX, 0, jumps + offsetof(JitJump, pc));
    miss[0] = op_jcc(a, CC_NE);
    op_rm(a, X_MOV, RSI, RDX, offsetof(JitCpu, key));
    op_rmx(a, X_CMP, RSI, RDX, RCX, 0, jumps + offsetof(JitJump, key));
    miss[1] = op_jcc(a, CC_NE);
    op_rmx(a, X_MOV, RCX, RDX, RCX, 0, jumps + offsetof(JitJump, code));
    op_rr(a, X_MOV | O_W, R12, RAX);
    op_ri(a, G_AND, O_W, R12, -JIT_PAGE);
    a8(a, 0x48);                /* lea rsi, [rip + d]: the cache's start */
    a8(a, 0x8d);
    a8(a, 0x35);
    a32(a, -(int32_t)(a->p + 4 - j->cache.rw));
    op_rr(a, X_ADD | O_W, RCX, RSI);
    op_rr(a, 0xff, call ? 2 : 4, RCX);
}

static void make_probe(Stubs *s)
{
    Asm *a = &s->a;
    uint8_t *miss[2];
    s->j->stubs.probe = begin(s);
    jump_probe(a, s->j, s->bias, false, miss);
    asm_fix32(miss[0], a->p);
    asm_fix32(miss[1], a->p);
    op_movi(a, RCX, JIT_LEFT_MISS);
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.exit));
}

/* rax: pc; mode, regime or pending requests may have changed. If they did, expected returns are void. */
static void make_resync(Stubs *s)
{
    Asm *a = &s->a;
    uint8_t *out[2], *changed[3];
    s->j->stubs.resync = begin(s);
    op_mi(a, G_CMP, 0, RBP, CPU_DISP(s, req), 0);
    out[0] = op_jcc(a, CC_NE);
    op_rm(a, 0x80, G_CMP, RBP, CPU_DISP(s, halted));
    a8(a, 0);
    out[1] = op_jcc(a, CC_NE);
    op_rm(a, X_MOV | O_W, RDX, RBP, CPU_DISP(s, jit));
    op_rm(a, X_MOV, RCX, RBP, CPU_DISP(s, mode));
    op_rm(a, X_CMP, RCX, RDX, offsetof(JitCpu, now.mode));
    changed[0] = op_jcc(a, CC_NE);
    op_rm(a, X_MOV | O_W, R14, RBP, CPU_DISP(s, tlb));
    op_rm(a, X_CMP | O_W, R14, RDX, offsetof(JitCpu, now.tlb));
    changed[1] = op_jcc(a, CC_NE);
    op_rm(a, X_MOV | O_W, RCX, R14, offsetof(TlbInstance, fetch_epoch));
    op_rm(a, X_CMP | O_W, RCX, RDX, offsetof(JitCpu, now.epoch));
    changed[2] = op_jcc(a, CC_NE);
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.probe));
    for (unsigned k = 0; k < 3; k++)
        asm_fix32(changed[k], a->p);
    op_rm(a, X_MOV | O_W, RSP, RBP, CPU_DISP(s, host_sp));
    op_ri(a, G_SUB, O_W, RSP, 16);
    op_rr(a, X_MOV | O_W, RBX, RAX);
    op_rr(a, X_MOV | O_W, RDI, RDX);
    op_movi(a, RAX, (uintptr_t)jit_update_key);
    op_rr(a, 0xff, 2, RAX);
    op_rr(a, X_MOV | O_W, RAX, RBX);
    op_rm(a, X_MOV | O_W, R14, RBP, CPU_DISP(s, tlb));
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.probe));
    for (unsigned k = 0; k < 2; k++)
        asm_fix32(out[k], a->p);
    op_movi(a, RCX, JIT_LEFT_RESYNC);
    op_jmp_to(a, jit_rw(s->j, s->j->stubs.exit));
}

/* Called with a JitSlow behind the call. Changes no register but rax, rcx and the access's result. */
static uint32_t make_slow(Stubs *s, JitSlowFn *fn, bool vectors)
{
    Asm *a = &s->a;
    uint32_t at = begin(s);
    /* r12 and r14 stay what they are; C keeps r12 to r15 and rbx, but a result may go to any. */
    static const int8_t regs[] = {RDX, RBX, RSI, RDI, R8, R9, R10, R11, R13, R15};
    int32_t room = SLOW_GPRS * 8 + (vectors ? 512 : 0) + 8;
    op_ri(a, G_SUB, O_W, RSP, room);
    for (unsigned k = 0; k < sizeof regs; k++)
        op_rm(a, X_MOV_MR | O_W, regs[k], RSP, regs[k] * 8);
    op_rm(a, X_MOV_MR | O_W, R12, RSP, SLOW_PAGE * 8);
    for (int v = 0; vectors && v < 16; v++)
        vex_rm(a, X_MOVDQU_MR | O_L, v, 0, RSP, SLOW_GPRS * 8 + v * 32);
    op_rm(a, X_LEA | O_W, RDI, RBP, -s->bias);
    op_rr(a, X_MOV | O_W, RSI, RSP);
    op_rm(a, X_MOV | O_W, RDX, RSP, room);
    op_movi(a, RAX, (uintptr_t)fn);
    op_rr(a, 0xff, 2, RAX);
    for (int v = 0; vectors && v < 16; v++)
        vex_rm(a, X_MOVDQU | O_L, v, 0, RSP, SLOW_GPRS * 8 + v * 32);
    for (unsigned k = 0; k < sizeof regs; k++)
        op_rm(a, X_MOV | O_W, regs[k], RSP, regs[k] * 8);
    op_rm(a, X_MOV_MR | O_W, RAX, RSP, room);
    op_ri(a, G_ADD, O_W, RSP, room);
    a8(a, 0xc3);                /* a return, for the host's predictor of returns */
    return at;
}

void jit_emit_stubs(Jit *j)
{
    static JitSlowFn *const fns[JIT_SLOW_COUNT] = {
        [JIT_SLOW_LOAD] = jit_slow_load, [JIT_SLOW_STORE] = jit_slow_store,
        [JIT_SLOW_RMW] = jit_slow_rmw, [JIT_SLOW_CAS] = jit_slow_cas,
        [JIT_SLOW_PROBE] = jit_slow_probe, [JIT_SLOW_LOAD_VEC] = jit_slow_load_vec,
        [JIT_SLOW_STORE_VEC] = jit_slow_store_vec,
    };
    Stubs s = {.a = {.p = j->cache.rw}, .j = j, .bias = j->isa->slot_bias,
               .avx = __builtin_cpu_supports("avx2")};
    make_exit(&s);
    make_leave(&s);
    make_probe(&s);
    make_resync(&s);
    make_base_return(&s);
    make_mismatch(&s);
    make_cut(&s);
    make_enter(&s);
    for (int v = 0; v < 2; v++) {
        bool vec = v && s.avx;
        for (unsigned k = 0; k < JIT_SLOW_COUNT; k++)
            j->stubs.slow[k][v] = make_slow(&s, fns[k], vec);
    }
    j->stubs.end = begin(&s);
}
