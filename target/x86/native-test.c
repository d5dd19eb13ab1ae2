/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random instructions of x86.isa on the host's CPU and on the interpreter: registers, defined flags,
 * memory and exceptions must agree. Only on x86-64 hosts.
 *
 * Natively a case runs inside signal handlers: one loads the registers by way of its return frame,
 * the trap after the instruction (or its fault) brings them back. Code and data lie at the same
 * addresses for both. A few cases per row by default; with -m slow, or MYNA_X86_CASES=n, more.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "target/x86/decode.h"
#include "target/x86/testing.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    CODE = 0x20000000, DATA = 0x20010000, DATA_SIZE = 0x2000, MIDDLE = DATA + 0x1000,
    RAM = 0x20200000, TABLES = 0x100000, IDT = 0x110000, TSS = 0x111000, GDT = 0x112000,
    HANDLERS = 0x20020000, STACK = 0x20030000,
};

typedef struct State {
    uint64_t regs[16];
    uint64_t rip;
    uint32_t eflags;
    int vector;                 /* 3: ran through */
    uint8_t fx[416];            /* as fxsave has it */
    uint8_t upper[256];         /* of ymm0-15, as xsave has it */
    uint8_t data[DATA_SIZE];
} State;

enum { FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160, XSAVE_HEADER = 512, XSAVE_AVX = 576, XSAVE_BYTES = 832 };

/* ---- the host ---- */

typedef struct Native {
    State *state;
    unsigned code;
    bool active, avx;
    ucontext_t home;
    uint8_t home_fp[XSAVE_BYTES];
} Native;

/* Signal handlers have no argument of ours. */
static Native native;

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* The frame's copy of x87, SSE and AVX state, which the return from the handler loads. */
static void enter_fp(uint8_t *fp)
{
    memcpy(native.home_fp, fp, native.avx ? XSAVE_BYTES : 512);
    memcpy(fp, native.state->fx, FX_MXCSR + 4);
    memcpy(fp + FX_ST, native.state->fx + FX_ST, sizeof(native.state->fx) - FX_ST);
    if (native.avx) {
        fp[XSAVE_HEADER] |= 7;
        memcpy(fp + XSAVE_AVX, native.state->upper, 256);
    }
}

static void leave_fp(uint8_t *fp)
{
    State *s = native.state;
    unsigned have = native.avx ? fp[XSAVE_HEADER] : 3;
    memcpy(s->fx, fp, sizeof(s->fx));
    if (!(have & 2))
        memset(s->fx + FX_XMM, 0, 256);
    if (native.avx && have & 4)
        memcpy(s->upper, fp + XSAVE_AVX, 256);
    else
        memset(s->upper, 0, 256);
    memcpy(fp, native.home_fp, native.avx ? XSAVE_BYTES : 512);
}

static void enter(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    memcpy(native.home.uc_mcontext.gregs, g, sizeof(uc->uc_mcontext.gregs));
    for (unsigned n = 0; n < 16; n++)
        g[greg_of[n]] = native.state->regs[n];
    enter_fp((uint8_t *)uc->uc_mcontext.fpregs);
    g[REG_RIP] = CODE;
    g[REG_EFL] = native.state->eflags | 0x202;
    if (native.code == 4)
        g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | 0x23;
}

static void leave(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    State *s = native.state;
    if (!native.active) {       /* a fault of our own */
        signal(sig, SIG_DFL);
        return;
    }
    native.active = false;
    for (unsigned n = 0; n < 16; n++)
        s->regs[n] = g[greg_of[n]];
    s->rip = g[REG_RIP];
    s->eflags = g[REG_EFL];
    s->vector = g[REG_TRAPNO];
    leave_fp((uint8_t *)uc->uc_mcontext.fpregs);
    memcpy(g, native.home.uc_mcontext.gregs, sizeof(uc->uc_mcontext.gregs));
}

static void run_native(State *s, const uint8_t *bytes, unsigned n, unsigned code)
{
    native.state = s;
    native.code = code;
    memset((void *)CODE, 0xcc, 32);
    memcpy((void *)CODE, bytes, n);
    memcpy((void *)DATA, s->data, DATA_SIZE);
    native.active = true;
    raise(SIGUSR1);
    memcpy(s->data, (void *)DATA, DATA_SIZE);
}

static void set_up_native(void)
{
    static uint8_t stack[1 << 16];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction sa = {.sa_sigaction = enter, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&ss, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_sigaction = leave;
    native.avx = __builtin_cpu_supports("avx");
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    for (unsigned k = 0; k < G_N_ELEMENTS(signals); k++)
        sigaction(signals[k], &sa, NULL);
    int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    g_assert_true(mmap((void *)CODE, 0x1000, prot | PROT_EXEC, flags, -1, 0) == (void *)CODE);
    g_assert_true(mmap((void *)DATA, DATA_SIZE, prot, flags, -1, 0) == (void *)DATA);
}

/* ---- the guest ---- */

static void put64(X86Test *t, uint64_t at, uint64_t v) { memcpy(t->mem + at, &v, 8); }

static void map(X86Test *t, uint64_t va, unsigned flags)
{
    put64(t, TABLES + 0x3000 + (va >> 12 & 511) * 8, va | flags);
}

static void set_up_guest(X86Test *t)
{
    X86Cpu *x = t->x;
    /* Only what the host has mapped, too, may be reached by cpl 3. */
    put64(t, TABLES, (TABLES + 0x1000) | 7);
    put64(t, TABLES + 0x1000, (TABLES + 0x2000) | 7);
    put64(t, TABLES + 0x2000, 0 | 0x83);
    put64(t, TABLES + 0x2000 + (CODE >> 21) * 8, (TABLES + 0x3000) | 7);
    map(t, CODE, 7);
    map(t, DATA, 7);
    map(t, DATA + 0x1000, 7);
    map(t, HANDLERS, 3);
    map(t, STACK, 3);
    for (unsigned v = 0; v < 32; v++) {
        uint64_t to = HANDLERS + 16 * v;
        unsigned dpl = v == 3 || v == 4 ? 3 : 0;
        put64(t, IDT + 16 * v, (to & 0xffff) | 8 << 16 | (0x8e00ull | dpl << 13) << 32 | (to >> 16 & 0xffff) << 48);
        put64(t, IDT + 16 * v + 8, to >> 32);
    }
    put64(t, GDT + 8, 0x00af9b000000ffff);
    put64(t, TSS + 4, STACK + 0x800);
    X86Boot boot = {.mode = X86_BOOT_LONG64, .start = CODE, .cr3 = TABLES, .gdt_base = GDT, .gdt_limit = 0xff};
    x86_cpu_boot(&x->cpu, &boot);
    x->tr.base = TSS;
    x->tr.limit = 0x67;
    x->idt = (X86Table){IDT, 0xfff};
    x->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    x->xcr0 = 7;
}

static void user_mode(X86Cpu *x, unsigned code)
{
    x->eflags = FLAG_I;
    x->cpu.mode = (x->cpu.mode & ~MODE_CPL) | 3;
    x86_load_seg_cache(x, CS, code == 8 ? 0x33 : 0x23, 0, 0xffffffff, code == 8 ? 0xa0fb : 0xc0fb);
    for (int n = 0; n < 6; n++) {
        if (n != CS)
            x86_load_seg_cache(x, n, 0x2b, 0, 0xffffffff, 0xc0f3);
    }
    x86_update_mode(x);
}

static void put_fp(X86Cpu *x, const State *s)
{
    uint32_t mxcsr;
    memcpy(&x->fcw, s->fx, 2);
    memcpy(&x->fsw, s->fx + 2, 2);
    x->ftop = x->fsw >> 11 & 7;
    x->fsw &= ~0x3800;
    x->fempty = ~s->fx[4];
    memcpy(&mxcsr, s->fx + FX_MXCSR, 4);
    x86_set_mxcsr(x, mxcsr);
    for (unsigned n = 0; n < 8; n++)
        memcpy(&x->st[(x->ftop + n) & 7], s->fx + FX_ST + 16 * n, 10);
    for (unsigned n = 0; n < 16; n++) {
        memcpy(&x->xmm[n], s->fx + FX_XMM + 16 * n, 16);
        memcpy(&x->xmm[n].d[2], s->upper + 16 * n, 16);
    }
}

static void get_fp(X86Cpu *x, State *s)
{
    uint32_t mxcsr = x86_get_mxcsr(x);
    uint16_t fsw = x->fsw | x->ftop << 11;
    memcpy(s->fx, &x->fcw, 2);
    memcpy(s->fx + 2, &fsw, 2);
    s->fx[4] = ~x->fempty;
    memcpy(s->fx + FX_MXCSR, &mxcsr, 4);
    for (unsigned n = 0; n < 8; n++)
        memcpy(s->fx + FX_ST + 16 * n, &x->st[(x->ftop + n) & 7], 10);
    for (unsigned n = 0; n < 16; n++) {
        memcpy(s->fx + FX_XMM + 16 * n, &x->xmm[n], 16);
        memcpy(s->upper + 16 * n, &x->xmm[n].d[2], 16);
    }
}

static void run_guest(X86Test *t, State *s, const uint8_t *bytes, unsigned n, unsigned code)
{
    X86Cpu *x = t->x;
    memcpy(x->regs, s->regs, sizeof(s->regs));
    user_mode(x, code);
    put_fp(x, s);
    x86_set_eflags(x, (s->eflags & (FLAGS_ARITH | FLAG_D)) | FLAG_I);
    memset(t->mem + CODE, 0xcc, 32);
    memcpy(t->mem + CODE, bytes, n);
    memcpy(t->mem + DATA, s->data, DATA_SIZE);
    x->cpu.pc = CODE;
    x->cpu.halted = false;
    for (unsigned k = 0; k < 100 && (x->cpu.pc & ~0xfffull) != HANDLERS; k++)
        x86_test_step(t);
    s->vector = (x->cpu.pc - HANDLERS) / 16;
    uint64_t frame = x->regs[RSP];
    bool error = s->vector == 8 || (s->vector >= 10 && s->vector <= 14) || s->vector == 17;
    uint64_t f[5];
    memcpy(f, t->mem + frame + (error ? 8 : 0), sizeof(f));
    memcpy(s->regs, x->regs, sizeof(s->regs));
    get_fp(x, s);
    s->rip = f[0];
    s->eflags = f[2];
    s->regs[RSP] = f[3];
    memcpy(s->data, t->mem + DATA, DATA_SIZE);
}

/* ---- cases ---- */

static uint32_t next_random(void *state) { return g_rand_int(state); }

static uint64_t interesting(GRand *r)
{
    static const uint64_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
                                      0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ull};
    switch (g_rand_int(r) & 3) {
    case 0: return values[g_rand_int(r) % G_N_ELEMENTS(values)];
    case 1: return g_rand_int(r) & 0x3f;
    default: return g_rand_int(r) | (uint64_t)g_rand_int(r) << 32;
    }
}

/* Lanes that meet the rare paths of floating point and of saturation. */
static void random_vector(uint8_t *to, unsigned bytes, GRand *r)
{
    static const uint32_t singles[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345,
        1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x3f000000, 0x40490fdb, 0x4f000000, 0xcf000000, 0x5f000000,
    };
    static const uint64_t doubles[] = {
        0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
        0x7ff8000000000000, 0x7ff0000000000001, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
        0x3fe0000000000000, 0x41e0000000000000, 0x43e0000000000000, 0x36a0000000000001, 0x47efffffe0000000,
    };
    static const uint32_t halves[] = {0x7fff8000, 0xffff0001, 0x00ff8080, 0x7f808100, 0x7c007c01, 0x03ff0001};
    unsigned how = g_rand_int(r) % 6;
    for (unsigned n = 0; n < bytes; n += 8) {
        uint64_t v = g_rand_int(r) | (uint64_t)g_rand_int(r) << 32;
        uint32_t pick = g_rand_int(r);
        if (how == 1)
            v = doubles[pick % G_N_ELEMENTS(doubles)];
        else if (how == 2)
            v = singles[pick % G_N_ELEMENTS(singles)] | (uint64_t)singles[(pick >> 8) % G_N_ELEMENTS(singles)] << 32;
        else if (how == 3)
            v = (v & 0x800fffffffffffff) | (uint64_t)(0x3ff - 8 + (pick & 15)) << 52;
        else if (how == 4)
            v = (v & 0x807fffff807fffff) | (uint64_t)(120 + (pick & 15)) << 23 |
                (uint64_t)(120 + (pick >> 8 & 15)) << 55;
        else if (how == 5)
            v = halves[pick % G_N_ELEMENTS(halves)] | (uint64_t)(pick >> 8 & 0x3f003f) << 32;
        memcpy(to + n, &v, MIN(8u, bytes - n));
    }
}

static void random_x87(State *s, GRand *r)
{
    static const uint16_t exponents[] = {0, 0x7fff, 0x3fff, 0x4000, 0x3ffe, 0x403e, 0x3c01, 0x43fe, 0x3f81, 0x407e,
                                         1, 0x7ffe, 0x401d, 0x400e, 0x403d, 0xbfff, 0xffff, 0x8000};
    uint16_t cw = 0x37f, sw = 0;
    if (!(g_rand_int(r) & 1))
        cw = (cw & ~0xf00) | (g_rand_int(r) & 0xc00) | (uint16_t[]){0, 0x200, 0x300, 0x300}[g_rand_int(r) & 3];
    if (!(g_rand_int(r) & 7))
        cw &= ~(g_rand_int(r) & 0x3f);
    sw = (g_rand_int(r) & 0x7800) | (g_rand_int(r) & 0x4700);
    memcpy(s->fx, &cw, 2);
    memcpy(s->fx + 2, &sw, 2);
    s->fx[4] = g_rand_int(r) & 3 ? 0x7e | g_rand_int(r) : g_rand_int(r);
    s->fx[4] = g_rand_int(r) & 3 ? s->fx[4] : 0xff;
    for (unsigned n = 0; n < 8; n++) {
        uint64_t frac = g_rand_int(r) | (uint64_t)g_rand_int(r) << 32;
        uint16_t se = exponents[g_rand_int(r) % G_N_ELEMENTS(exponents)];
        if (g_rand_int(r) & 3)
            frac |= 1ull << 63;
        if (!(g_rand_int(r) & 3))
            frac = 1ull << 63;
        if (!(g_rand_int(r) & 3))
            se = (g_rand_int(r) & 0x8000) | (0x3fff - 32 + (g_rand_int(r) & 63));
        if (!(g_rand_int(r) & 15))
            frac = se = 0;
        memcpy(s->fx + FX_ST + 16 * n, &frac, 8);
        memcpy(s->fx + FX_ST + 16 * n + 8, &se, 2);
    }
}

static void random_fp(State *s, GRand *r)
{
    uint32_t mxcsr = 0x1f80;
    random_x87(s, r);
    if (!(g_rand_int(r) & 3))
        mxcsr |= (g_rand_int(r) & 0xe040);
    if (!(g_rand_int(r) & 7))
        mxcsr &= ~(g_rand_int(r) & 0x1f80);
    mxcsr |= g_rand_int(r) & g_rand_int(r) & 0x3f;
    memcpy(s->fx + FX_MXCSR, &mxcsr, 4);
    for (unsigned n = 0; n < 16; n++) {
        random_vector(s->fx + FX_XMM + 16 * n, 16, r);
        random_vector(s->upper + 16 * n, 16, r);
    }
}

static void randomize(State *s, GRand *r, unsigned code, const X86Row *row)
{
    for (unsigned n = 0; n < 16; n++) {
        s->regs[n] = interesting(r);
        if (code == 4)
            s->regs[n] = n < 8 ? (uint32_t)s->regs[n] : 0;
    }
    s->regs[RSP] = MIDDLE + 64 + (g_rand_int(r) & 7);
    s->regs[RBP] = MIDDLE + (g_rand_int(r) & 63);
    s->regs[RSI] = MIDDLE - 128 + (g_rand_int(r) & 255);
    s->regs[RDI] = MIDDLE - 128 + (g_rand_int(r) & 255);
    bool string = row->space == SPACE_1B && row->opcode >= 0xa4 && row->opcode <= 0xaf;
    if (string)
        s->regs[RCX] = g_rand_int(r) & 31;
    /* Bit offsets reach far. */
    if (row->n_ops > 1 && row->op[1].method == OP_G && !strncmp(row->name, "bt", 2)) {
        for (unsigned n = 0; n < (code == 8 ? 16u : 8u); n++) {
            if (n != RSP && n != RBP)
                s->regs[n] = code == 8 ? (uint64_t)(int64_t)((int)(g_rand_int(r) & 0x7ff) - 0x400)
                                       : (uint32_t)((int)(g_rand_int(r) & 0x7ff) - 0x400);
        }
    }
    s->eflags = (g_rand_int(r) & (FLAGS_ARITH | (string ? FLAG_D : 0))) | FLAG_1 | FLAG_I;
    for (unsigned n = 0; n < DATA_SIZE; n += 4) {
        uint32_t v = g_rand_int(r);
        memcpy(s->data + n, &v, 4);
    }
    random_fp(s, r);
    if (g_rand_boolean(r))
        random_vector(s->data + 0xf80, 0x180, r);
    if (string && g_rand_boolean(r))            /* so that repe runs on */
        memset(s->data, g_rand_int(r), DATA_SIZE);
}

/* Flags that this instance leaves undefined beyond its row. */
static uint32_t undefined(const X86Row *row, const State *before, const X86Insn *i)
{
    uint32_t u = row->undef;
    bool by_cl = row->n_ops && row->op[row->n_ops - 1].method == OP_CL;
    unsigned count = (by_cl ? before->regs[RCX] : (uint64_t)i->imm) & (i->opsize == 8 ? 63 : 31);
    bool shift = row->space == SPACE_1B && (row->opcode & 0xec) == 0xc0 && row->n_ops == 2;
    unsigned width = x86_op_bytes(i, 0) * 8;
    if (shift && count >= width)
        u |= FLAG_C | FLAG_A | FLAG_O;
    if (shift && (row->arg == 0 || row->arg == 1) && count == 0)
        u &= ~(FLAG_O | FLAG_A);
    return u;
}

static bool skip(const X86Row *row, const State *before, const X86Insn *i, unsigned code)
{
    /* Processors differ in whether SHA needs aligned memory. */
    if (row->feature == X86_F_sha_ni && i->has_mem && (before->regs[RBP] + i->disp) & 15)
        return true;
    /* Processors differ in how a load of a denormal that traps and a full stack go together, and in
     * whether a half that is too small and traps is inexact. */
    if (!strcmp(row->name, "fld") && i->has_mem && !(before->fx[0] & 2))
        return true;
    if (!strcmp(row->name, "vcvtps2ph") && !(before->fx[FX_MXCSR + 1] & 8))
        return true;
    /* Which flags the steps of a dot product add to an unmasked one differs, and what fprem says of
     * operands that are no plain numbers. */
    if (row->ir == IR_OP_f_dp && (~before->fx[FX_MXCSR] & 0x80 || ~before->fx[FX_MXCSR + 1] & 0x1f))
        return true;
    if (!strncmp(row->name, "fprem", 5)) {
        for (unsigned n = 0; n < 2; n++) {
            const uint8_t *st = before->fx + FX_ST + 16 * n;
            unsigned exponent = (st[8] | st[9] << 8) & 0x7fff;
            if (!exponent || exponent == 0x7fff || !(st[7] & 0x80) || before->fx[4] != 0xff)
                return true;
        }
    }
    /* Nor do they agree about vpextrq and vpinsrq outside of 64-bit mode. */
    if (code != 8 && row->space == SPACE_V0F3A && (row->opcode == 0x16 || row->opcode == 0x22))
        return true;
    /* Transcendental results are not wrapped when underflow is unmasked. */
    if (row->opcode == 0xd9 && row->space == SPACE_1B && i->modrm >= 0xf0 && (before->fx[0] & 0x18) != 0x18)
        return true;
    /* Estimates are the host's own. */
    if (row->ir == IR_OP_f_rcp || row->ir == IR_OP_f_rsqrt || row->ir == IR_OP_fs_rcp || row->ir == IR_OP_fs_rsqrt)
        return true;
    bool shd = row->space == SPACE_0F && (row->opcode & 0xf6) == 0xa4;
    if (shd && i->opsize == 2) {
        unsigned count = (row->opcode & 1 ? before->regs[RCX] : (uint64_t)i->imm) & 31;
        if (count > 16)
            return true;
    }
    /* bsf and bsr of zero: the destination is undefined. bswap of 16 bits as well. */
    if (row->space == SPACE_0F && (row->opcode & 0xf8) == 0xc8 && i->opsize == 2)
        return true;
    return i->opsize == 2 && row->flags & ROW_F64;
}

static char *describe(X86Test *t, const uint8_t *bytes, unsigned n, unsigned code)
{
    g_autoptr(GString) s = g_string_new(NULL);
    uint32_t mode = t->x->cpu.mode;
    t->x->cpu.mode = code == 8 ? MODE_CS64 : MODE_CS32;
    x86_disassemble(&t->x->cpu, bytes, n, CODE, s);
    t->x->cpu.mode = mode;
    g_string_append(s, "  [");
    for (unsigned k = 0; k < n; k++)
        g_string_append_printf(s, "%s%02x", k ? " " : "", bytes[k]);
    g_string_append_c(s, ']');
    return g_string_free(g_steal_pointer(&s), FALSE);
}

static void compare_bytes(const char *what, unsigned k, const uint8_t *h, const uint8_t *g, unsigned n, GString *out)
{
    if (!memcmp(h, g, n))
        return;
    g_string_append_printf(out, " %s%u host ", what, k);
    for (unsigned i = n; i--;)
        g_string_append_printf(out, "%02x", h[i]);
    g_string_append(out, " guest ");
    for (unsigned i = n; i--;)
        g_string_append_printf(out, "%02x", g[i]);
}

static void compare_fp(const State *h, const State *g, unsigned code, GString *out)
{
    for (unsigned n = 0; n < (code == 8 ? 16u : 8u); n++) {
        compare_bytes("xmm", n, h->fx + FX_XMM + 16 * n, g->fx + FX_XMM + 16 * n, 16, out);
        if (native.avx)
            compare_bytes("upper", n, h->upper + 16 * n, g->upper + 16 * n, 16, out);
    }
    compare_bytes("mxcsr", 0, h->fx + FX_MXCSR, g->fx + FX_MXCSR, 4, out);
    compare_bytes("fcw", 0, h->fx, g->fx, 2, out);
    compare_bytes("fsw", 0, h->fx + 2, g->fx + 2, 2, out);
    compare_bytes("ftw", 0, h->fx + 4, g->fx + 4, 1, out);
    for (unsigned n = 0; n < 8; n++)
        compare_bytes("st", n, h->fx + FX_ST + 16 * n, g->fx + FX_ST + 16 * n, 10, out);
}

static bool compare(const State *h, const State *g, uint32_t flags, unsigned code, GString *out)
{
    if (h->vector != g->vector)
        g_string_append_printf(out, " exception host %d guest %d", h->vector, g->vector);
    for (unsigned n = 0; n < (code == 8 ? 16u : 8u); n++) {
        uint64_t mask = code == 8 ? ~0ull : 0xffffffff;
        if ((h->regs[n] ^ g->regs[n]) & mask)
            g_string_append_printf(out, " r%u host %" PRIx64 " guest %" PRIx64, n, h->regs[n], g->regs[n]);
    }
    if (h->rip != g->rip)
        g_string_append_printf(out, " rip host %" PRIx64 " guest %" PRIx64, h->rip, g->rip);
    if ((h->eflags ^ g->eflags) & flags)
        g_string_append_printf(out, " flags host %x guest %x", h->eflags & flags, g->eflags & flags);
    compare_fp(h, g, code, out);
    for (unsigned n = 0; n < DATA_SIZE; n++) {
        if (h->data[n] != g->data[n]) {
            g_string_append_printf(out, " [%x] host %02x guest %02x", DATA + n, h->data[n], g->data[n]);
            break;
        }
    }
    return !out->len;
}

static bool is_nan_bits(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes);
    return bytes == 4 ? v << 33 > 0xffull << 56 : v << 1 > 0x7ffull << 53;
}

/* Of several NaNs in a dot product processors pass on different ones. */
static void any_nan(uint8_t *h, const uint8_t *g, unsigned bytes)
{
    for (unsigned n = 0; n < 16; n += bytes) {
        if (is_nan_bits(h + n, bytes) && is_nan_bits(g + n, bytes))
            memcpy(h + n, g + n, bytes);
    }
}

static bool is_vector(const X86Row *row)
{
    bool vector = false;
    for (unsigned o = 0; o < row->n_ops; o++)
        vector |= row->op[o].method >= OP_V;
    return vector;
}

static unsigned one_case(X86Test *t, const X86Row *row, GRand *r, unsigned code)
{
    static State host, guest, before;
    uint8_t bytes[16];
    X86Encode e = {.random = next_random, .state = r, .code = code, .mem = -1, .lock = !(g_rand_int(r) & 3)};
    unsigned n = x86_encode_random(row, &e, bytes);
    X86Insn i;
    if (!n || !x86_decode(&i, bytes, n, code) || !i.row)
        return 0;
    randomize(&before, r, code, row);
    if (skip(row, &before, &i, code))
        return 0;
    if (i.has_mem && i.base == RBP && x86_op_bytes(&i, 0) && (is_vector(row) && g_rand_int(r) & 7))
        before.regs[RBP] -= (before.regs[RBP] + i.disp) & 31;
    host = guest = before;
    run_native(&host, bytes, n, code);
    run_guest(t, &guest, bytes, n, code);
    for (unsigned k = 0; k < 16 && row->ir == IR_OP_f_dp; k++) {
        any_nan(host.fx + FX_XMM + 16 * k, guest.fx + FX_XMM + 16 * k, row->opcode == 0x41 ? 8 : 4);
        any_nan(host.upper + 16 * k, guest.upper + 16 * k, 4);
    }
    g_autoptr(GString) out = g_string_new(NULL);
    uint32_t flags = (FLAGS_ARITH & ~undefined(row, &before, &i)) | FLAG_D;
    if (host.vector != 3)       /* flags of a faulting division are as undefined as of one that runs */
        flags &= ~row->undef;
    if (compare(&host, &guest, flags, code, out))
        return 0;
    g_autofree char *text = describe(t, bytes, n, code);
    g_test_message("%s:%s", text, out->str);
    return 1;
}

/* The host must have the feature, too; old ones are taken for granted. */
static bool host_has(int feature)
{
    switch (feature) {
    case X86_F_bmi1: return __builtin_cpu_supports("bmi");
    case X86_F_bmi2: return __builtin_cpu_supports("bmi2");
    case X86_F_adx: case X86_F_movbe: return __builtin_cpu_supports("avx2");
    case X86_F_popcnt: return __builtin_cpu_supports("popcnt");
    case X86_F_pni: return __builtin_cpu_supports("sse3");
    case X86_F_ssse3: return __builtin_cpu_supports("ssse3");
    case X86_F_sse4_1: return __builtin_cpu_supports("sse4.1");
    case X86_F_sse4_2: return __builtin_cpu_supports("sse4.2");
    case X86_F_aes: return __builtin_cpu_supports("aes");
    case X86_F_pclmulqdq: return __builtin_cpu_supports("pclmul");
    case X86_F_avx: return __builtin_cpu_supports("avx");
    case X86_F_avx2: return __builtin_cpu_supports("avx2");
    case X86_F_fma: case X86_F_f16c: return __builtin_cpu_supports("fma");
    case X86_F_sha_ni: {
        unsigned a, b = 0, c, d;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
    }
    default: return true;
    }
}

static void test_rows(unsigned code)
{
    g_autoptr(X86Test) t = x86_test_new("x86_64", "max", RAM);
    g_autoptr(GRand) r = g_rand_new_with_seed(g_getenv("MYNA_X86_SEED") ? atoi(g_getenv("MYNA_X86_SEED")) : 1);
    const char *count = g_getenv("MYNA_X86_CASES"), *only = g_getenv("MYNA_X86_ROW");
    unsigned cases = count ? atoi(count) : g_test_slow() ? 3000 : 20, rows = 0, bad_rows = 0;
    set_up_guest(t);
    for (unsigned k = 0; k < x86_n_rows; k++) {
        const X86Row *row = &x86_rows[k];
        if (row->flags & (ROW_SYS | ROW_PRIV) || (only && strcmp(only, row->name)) || !host_has(row->feature))
            continue;
        unsigned bad = 0;
        for (unsigned c = 0; c < cases && bad < 3; c++)
            bad += one_case(t, row, r, code);
        rows++;
        bad_rows += bad > 0;
    }
    g_test_message("%u rows compared, %u differ", rows, bad_rows);
    g_assert_cmpuint(bad_rows, ==, 0);
}

static void test_long(void) { test_rows(8); }
static void test_compat(void)
{
    /* 64-bit processes run with null data segments. */
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
    test_rows(4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    __builtin_cpu_init();
    set_up_native();
    g_test_add_func("/x86/native/long", test_long);
    g_test_add_func("/x86/native/compat", test_compat);
    return g_test_run();
}

#else

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    return g_test_run();
}

#endif
