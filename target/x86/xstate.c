/* SPDX-License-Identifier: Apache-2.0 */
/* Saving and loading x87, SSE and AVX state: FXSAVE, XSAVE and kin, control words.
 * Intel SDM vol. 1, 10.5 and chapter 13. */
#include <string.h>
#include "target/x86/translate.h"

enum { X_X87 = 1, X_SSE = 2, X_AVX = 4, X_PKRU = 1 << 9, LEGACY = 512, HEADER = 64, AREA = 576, AREA_MAX = 2696 };
#define X_COMPACT (1ull << 63)
enum { MXCSR_MASK = 0xffff };

/* ---- the legacy region ---- */

static void put(uint8_t *to, unsigned at, const void *v, unsigned n) { memcpy(to + at, v, n); }
static void take(const uint8_t *from, unsigned at, void *v, unsigned n) { memcpy(v, from + at, n); }

static void store_x87(const X86Cpu *x, uint8_t *m, bool wide)
{
    uint16_t fsw = (x->fsw & 0xc7ff) | x->ftop << 11;
    uint8_t tags = ~x->fempty;
    uint32_t lo[2] = {x->fip, x->fcs | 0u}, dp[2] = {x->fdp, x->fds | 0u};
    put(m, 0, &x->fcw, 2);
    put(m, 2, &fsw, 2);
    put(m, 4, &tags, 1);
    m[5] = 0;
    put(m, 6, &x->fop, 2);
    put(m, 8, wide ? (const void *)&x->fip : lo, 8);
    put(m, 16, wide ? (const void *)&x->fdp : dp, 8);
    for (unsigned n = 0; n < 8; n++) {
        memset(m + 32 + 16 * n, 0, 16);
        put(m, 32 + 16 * n, &x->st[(x->ftop + n) & 7], 10);
    }
}

static void load_x87(X86Cpu *x, const uint8_t *m, bool wide)
{
    uint16_t fsw;
    take(m, 0, &x->fcw, 2);
    take(m, 2, &fsw, 2);
    x->ftop = fsw >> 11 & 7;
    x->fsw = fsw & 0xc7ff;
    x->fempty = ~m[4];
    take(m, 6, &x->fop, 2);
    take(m, 8, &x->fip, 8);
    take(m, 16, &x->fdp, 8);
    if (!wide) {
        x->fcs = x->fip >> 32;
        x->fds = x->fdp >> 32;
        x->fip = (uint32_t)x->fip;
        x->fdp = (uint32_t)x->fdp;
    }
    for (unsigned n = 0; n < 8; n++)
        take(m, 32 + 16 * n, &x->st[(x->ftop + n) & 7], 10);
}

static void init_x87(X86Cpu *x)
{
    x->fcw = 0x37f;
    x->fsw = x->fop = x->fcs = x->fds = 0;
    x->fip = x->fdp = 0;
    x->ftop = 0;
    x->fempty = 0xff;
}

static unsigned xmm_count(const X86Cpu *x) { return x86_code64(x) ? 16 : 8; }

static void store_xmm(const X86Cpu *x, uint8_t *m)
{
    for (unsigned n = 0; n < xmm_count(x); n++)
        put(m, 160 + 16 * n, &x->xmm[n], 16);
}

static void load_xmm(X86Cpu *x, const uint8_t *m)
{
    for (unsigned n = 0; n < xmm_count(x); n++)
        take(m, 160 + 16 * n, &x->xmm[n], 16);
}

uint32_t x86_get_mxcsr(X86Cpu *x) { return (x->mxcsr & ~0x3fu) | (cpu_get_fp_flags(&x->cpu) & 0x3f); }

void x86_set_mxcsr(X86Cpu *x, uint32_t v)
{
    x->mxcsr = v;
    cpu_set_fp_flags(&x->cpu, v & 0x3f);
    x86_update_fp_mode(x);
    x86_update_mode(x);
}

static void store_mxcsr(X86Cpu *x, uint8_t *m)
{
    uint32_t v[2] = {x86_get_mxcsr(x), MXCSR_MASK};
    put(m, 24, v, 8);
}

static void load_mxcsr(X86Cpu *x, const uint8_t *m)
{
    uint32_t v;
    take(m, 24, &v, 4);
    if (v & ~MXCSR_MASK)
        x86_raise_gp(x, 0);
    x86_set_mxcsr(x, v);
}

/* ---- FXSAVE ---- */

static void x86_helper_fxsave(Cpu *cpu, uint64_t at, uint64_t wide)
{
    X86Cpu *x = x86_of(cpu);
    uint8_t m[LEGACY] = {0};
    if (at & 15)
        x86_raise_gp(x, 0);
    /* What is reserved stays as it is in memory. */
    cpu_load_bytes(cpu, at, m, LEGACY, MMU_CURRENT);
    store_x87(x, m, wide);
    store_mxcsr(x, m);
    if (x->cr4 & CR4_OSFXSR)
        store_xmm(x, m);
    cpu_store_bytes(cpu, at, m, LEGACY, MMU_CURRENT);
}
HELPER(fxsave, VOID, IR_H_ANY | IR_H_FP);

static void x86_helper_fxrstor(Cpu *cpu, uint64_t at, uint64_t wide)
{
    X86Cpu *x = x86_of(cpu);
    uint8_t m[LEGACY];
    if (at & 15)
        x86_raise_gp(x, 0);
    cpu_load_bytes(cpu, at, m, LEGACY, MMU_CURRENT);
    if (x->cr4 & CR4_OSFXSR) {
        load_mxcsr(x, m);
        load_xmm(x, m);
    }
    load_x87(x, m, wide);
}
HELPER(fxrstor, VOID, IR_H_ANY | IR_H_FP);

/* ---- XSAVE ---- */

static unsigned offset_of(uint64_t component, uint64_t format)
{
    if (component == X_AVX || !(format & X_COMPACT))
        return component == X_AVX ? AREA : 2688;
    return AREA + (format & X_AVX ? 256 : 0);
}

static void store_avx(const X86Cpu *x, uint8_t *m)
{
    for (unsigned n = 0; n < xmm_count(x); n++)
        put(m, 16 * n, &x->xmm[n].d[2], 16);
}

static void load_avx(X86Cpu *x, const uint8_t *m)
{
    for (unsigned n = 0; n < xmm_count(x); n++)
        take(m, 16 * n, &x->xmm[n].d[2], 16);
}

static void clear_half(X86Cpu *x, unsigned half)
{
    for (unsigned n = 0; n < xmm_count(x); n++)
        x->xmm[n].d[2 * half] = x->xmm[n].d[2 * half + 1] = 0;
}

enum { XSAVE, XSAVEOPT, XSAVEC, XSAVES };

static uint64_t requested(const X86Cpu *x)
{
    return ((uint32_t)x->regs[RAX] | x->regs[RDX] << 32) & x->xcr0;
}

static void x86_helper_xsave(Cpu *cpu, uint64_t at, uint64_t wide, uint64_t kind)
{
    X86Cpu *x = x86_of(cpu);
    uint8_t m[AREA_MAX];
    uint64_t want = requested(x), in_use = x86_xinuse(x) & want, header[2] = {0};
    uint64_t format = kind >= XSAVEC ? X_COMPACT | want : 0;
    unsigned size = MAX(x86_xsave_size(want, format), AREA);
    if (at & 63)
        x86_raise_gp(x, 0);
    cpu_probe(cpu, at, size > 2048 ? 2048 : size, MEM_STORE, MMU_CURRENT);
    cpu_load_bytes(cpu, at, m, size, MMU_CURRENT);
    take(m, LEGACY, header, 16);
    uint64_t write = kind == XSAVE ? want : in_use;
    if (write & X_X87)
        store_x87(x, m, wide);
    if (want & (X_SSE | X_AVX))
        store_mxcsr(x, m);
    if (write & X_SSE)
        store_xmm(x, m);
    if (write & X_AVX)
        store_avx(x, m + offset_of(X_AVX, format));
    if (write & X_PKRU)
        put(m, offset_of(X_PKRU, format), &x->pkru, 4);
    header[0] = kind >= XSAVEC ? in_use : (header[0] & ~want) | in_use;
    if (kind >= XSAVEC)
        header[1] = format;
    put(m, LEGACY, header, kind >= XSAVEC ? 16 : 8);
    cpu_store_bytes(cpu, at, m, size, MMU_CURRENT);
}
HELPER(xsave, VOID, IR_H_ANY | IR_H_FP);

static bool bad_header(const X86Cpu *x, const uint64_t h[8], bool supervisor)
{
    uint64_t rest = 0;
    for (unsigned n = 2; n < 8; n++)
        rest |= h[n];
    if (h[1] & X_COMPACT)
        return rest || h[0] & ~h[1] || h[1] & ~(X_COMPACT | x->xcr0);
    return supervisor || rest || h[1] || h[0] & ~x->xcr0;
}

static void x86_helper_xrstor(Cpu *cpu, uint64_t at, uint64_t wide, uint64_t supervisor)
{
    X86Cpu *x = x86_of(cpu);
    uint8_t m[AREA_MAX];
    uint64_t h[8], want = requested(x);
    if (at & 63)
        x86_raise_gp(x, 0);
    cpu_load_bytes(cpu, at, m, AREA, MMU_CURRENT);
    take(m, LEGACY, h, HEADER);
    if (bad_header(x, h, supervisor))
        x86_raise_gp(x, 0);
    uint64_t load = want & h[0];
    unsigned size = x86_xsave_size(h[1] & X_COMPACT ? h[1] : load, h[1] & X_COMPACT);
    if (size > AREA)
        cpu_load_bytes(cpu, at + AREA, m + AREA, size - AREA, MMU_CURRENT);
    if (want & X_SSE || (want & X_AVX && !(h[1] & X_COMPACT))) {
        if (load & X_SSE || !(h[1] & X_COMPACT))
            load_mxcsr(x, m);
        else
            x86_set_mxcsr(x, 0x1f80);
    }
    if (load & X_X87)
        load_x87(x, m, wide);
    else if (want & X_X87)
        init_x87(x);
    if (load & X_SSE)
        load_xmm(x, m);
    else if (want & X_SSE)
        clear_half(x, 0);
    if (load & X_AVX)
        load_avx(x, m + offset_of(X_AVX, h[1]));
    else if (want & X_AVX)
        clear_half(x, 1);
    if (want & X_PKRU) {
        uint32_t pkru = 0;
        if (load & X_PKRU)
            take(m, offset_of(X_PKRU, h[1]), &pkru, 4);
        if (pkru != x->pkru)
            softmmu_flush(cpu);
        x->pkru = pkru;
    }
}
HELPER(xrstor, VOID, IR_H_ANY | IR_H_FP);

/* ---- hand-over to other engines ---- */

void x86_xsave_image(X86Cpu *x, uint8_t *m)
{
    uint64_t all = X_X87 | X_SSE | (x86_has(x, X86_F_avx) ? X_AVX : 0);
    memset(m, 0, AREA + 256);
    store_x87(x, m, true);
    store_mxcsr(x, m);
    for (unsigned n = 0; n < 16; n++) {
        put(m, 160 + 16 * n, &x->xmm[n], 16);
        put(m, AREA + 16 * n, &x->xmm[n].d[2], 16);
    }
    put(m, LEGACY, &all, 8);
}

/* Components that the header says are initial are so, whatever the area holds. */
void x86_xsave_load(X86Cpu *x, const uint8_t *m)
{
    uint64_t have;
    uint32_t mxcsr;
    take(m, LEGACY, &have, 8);
    if (have & X_X87)
        load_x87(x, m, true);
    else
        init_x87(x);
    for (unsigned n = 0; n < 16; n++) {
        memset(&x->xmm[n], 0, 32);
        if (have & X_SSE)
            take(m, 160 + 16 * n, &x->xmm[n], 16);
        if (have & X_AVX)
            take(m, AREA + 16 * n, &x->xmm[n].d[2], 16);
    }
    take(m, 24, &mxcsr, 4);
    x86_set_mxcsr(x, mxcsr & MXCSR_MASK);
}

/* ---- rows ---- */

static IrRef area(X86Xlate *x)
{
    x_ea(x, 1, true);
    return x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
}

static IrRef num(X86Xlate *x, int64_t v) { return ir_i64(x->b, v); }

static bool available(X86Xlate *x, uint32_t nm)
{
    if (!(x->mode & nm))
        return true;
    x_raise(x, EXC_NM, 0);
    return false;
}

INSN(fxsave)
{
    if (available(x, MODE_TS | MODE_EM))
        x_call(x, &h_fxsave, area(x), num(x, x->i.w && x->code == 8), 0, 0);
}

INSN(fxrstor)
{
    if (!available(x, MODE_TS | MODE_EM))
        return;
    x_call(x, &h_fxrstor, area(x), num(x, x->i.w && x->code == 8), 0, 0);
    x_resync_next(x);
}

static bool xsave_enabled(X86Xlate *x)
{
    if (x->mode & MODE_OSXSAVE)
        return available(x, MODE_TS);
    x_raise(x, EXC_UD, 0);
    return false;
}

INSN(xsave)
{
    if (xsave_enabled(x))
        x_call(x, &h_xsave, area(x), num(x, x->i.w && x->code == 8), num(x, x->i.row->arg), 0);
}

INSN(xrstor)
{
    if (!xsave_enabled(x))
        return;
    x_call(x, &h_xrstor, area(x), num(x, x->i.w && x->code == 8), num(x, x->i.row->arg), 0);
    x_resync_next(x);
}

static void x86_helper_ldmxcsr(Cpu *cpu, uint32_t v)
{
    X86Cpu *x = x86_of(cpu);
    if (v & ~MXCSR_MASK)
        x86_raise_gp(x, 0);
    x86_set_mxcsr(x, v);
}
HELPER(ldmxcsr, VOID, IR_H_ANY | IR_H_FP);

static uint32_t x86_helper_stmxcsr(Cpu *cpu) { return x86_get_mxcsr(x86_of(cpu)); }
HELPER(stmxcsr, I32, IR_H_READ | IR_H_EFFECT | IR_H_FP);

static bool sse_enabled(X86Xlate *x)
{
    if (!x->i.vex && (x->mode & MODE_EM || !(x->mode & MODE_OSFXSR))) {
        x_raise(x, EXC_UD, 0);
        return false;
    }
    if (x->i.vex && !(x->mode & MODE_AVX)) {
        x_raise(x, EXC_UD, 0);
        return false;
    }
    return available(x, MODE_TS);
}

INSN(ldmxcsr)
{
    if (!sse_enabled(x))
        return;
    x_call(x, &h_ldmxcsr, x_load(x, 4), 0, 0, 0);
    x_resync_next(x);
}

INSN(stmxcsr)
{
    if (sse_enabled(x))
        x_store(x, 4, x_call(x, &h_stmxcsr, 0, 0, 0, 0));
}

/* ---- x87 control ---- */

static void x86_helper_fninit(Cpu *cpu) { init_x87(x86_of(cpu)); }
HELPER(fninit, VOID, IR_H_STATE);

INSN(fninit)
{
    if (available(x, MODE_TS | MODE_EM))
        x_call(x, &h_fninit, 0, 0, 0, 0);
}

INSN(fnclex)
{
    if (!available(x, MODE_TS | MODE_EM))
        return;
    IrRef v = ir_get(x->b, IR_I32, SLOT(fsw), 2);
    ir_set(x->b, SLOT(fsw), 2, ir_andi(x->b, v, 0x7f00));
}

/* The status word with TOP. */
static IrRef status(X86Xlate *x)
{
    IrRef top = ir_get(x->b, IR_I32, SLOT(ftop), 1);
    return ir_deposit(x->b, ir_get(x->b, IR_I32, SLOT(fsw), 2), top, 11, 3);
}

INSN(fnstsw)
{
    if (!available(x, MODE_TS | MODE_EM))
        return;
    if (x->i.has_mem)
        x_store(x, 2, status(x));
    else
        ir_set(x->b, SLOT(regs[RAX]), 2, status(x));
}

INSN(fnstcw)
{
    if (available(x, MODE_TS | MODE_EM))
        x_store(x, 2, ir_get(x->b, IR_I32, SLOT(fcw), 2));
}

static void x86_helper_fldcw(Cpu *cpu, uint32_t v)
{
    X86Cpu *x = x86_of(cpu);
    x->fcw = v | 0x40;
    /* Pending exceptions follow the new mask. */
    x->fsw = x->fsw & ~x->fcw & 0x3f ? x->fsw | 0x8080 : x->fsw & ~0x8080;
}
HELPER(fldcw, VOID, IR_H_STATE);

INSN(fldcw)
{
    if (available(x, MODE_TS | MODE_EM))
        x_call(x, &h_fldcw, x_load(x, 2), 0, 0, 0);
}
