/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs, time, identity, random numbers, extended state, protection keys. Intel SDM vol. 2. */
#include <sys/random.h>
#include "target/x86/system.h"

/* ---- MSRs, time, identity ---- */

static void set_pair(X86Cpu *x, uint64_t v)
{
    x->regs[RAX] = (uint32_t)v;
    x->regs[RDX] = v >> 32;
}

static uint64_t get_pair(const X86Cpu *x) { return (uint32_t)x->regs[RAX] | x->regs[RDX] << 32; }

static void x86_helper_rdmsr(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t v;
    if (!x86_msr_read(x, x->regs[RCX], &v))
        x86_raise_gp(x, 0);
    set_pair(x, v);
}
HELPER(rdmsr, VOID, IR_H_ANY);

static void x86_helper_wrmsr(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (!x86_msr_write(x, x->regs[RCX], get_pair(x)))
        x86_raise_gp(x, 0);
}
HELPER(wrmsr, VOID, IR_H_ANY);

INSN(rdmsr) { x_call(x, &h_rdmsr, 0, 0, 0, 0); }

INSN(wrmsr)
{
    x_call(x, &h_wrmsr, 0, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_rdtsc(Cpu *cpu, uint64_t with_aux)
{
    X86Cpu *x = x86_of(cpu);
    set_pair(x, x86_tsc(x));
    if (with_aux)
        x->regs[RCX] = x->tsc_aux;
}
HELPER(rdtsc, VOID, IR_H_STATE);

static void rdtsc(X86Xlate *x, bool aux)
{
    if (x->mode & MODE_TSD && x->mode & MODE_CPL)
        x_raise(x, EXC_GP, 0);
    else
        x_call(x, &h_rdtsc, num(x, aux), 0, 0, 0);
}

INSN(rdtsc) { rdtsc(x, false); }
INSN(rdtscp) { rdtsc(x, true); }
INSN(rdpmc) { x_raise(x, EXC_GP, 0); }
INSN(rdpid) { x_set_reg(x, x->i.rm, word(x), x_low(x, ir_get(x->b, IR_I64, SLOT(tsc_aux), 4), word(x))); }

static void x86_helper_cpuid(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t out[4];
    x86_cpuid(x, x->regs[RAX], x->regs[RCX], out);
    x->regs[RAX] = out[0];
    x->regs[RBX] = out[1];
    x->regs[RCX] = out[2];
    x->regs[RDX] = out[3];
}
HELPER(cpuid, VOID, IR_H_STATE);

INSN(cpuid) { x_call(x, &h_cpuid, 0, 0, 0, 0); }

static uint64_t x86_helper_random(Cpu *cpu)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof(v), 0) != sizeof(v))
        v = g_random_int() | (uint64_t)g_random_int() << 32;
    return v;
}
HELPER(random, I64, IR_H_EFFECT);

INSN(rdrand)
{
    IrRef v = x_call(x, &h_random, 0, 0, 0, 0);
    x_set_reg(x, x->i.rm, x->i.opsize, x_low(x, v, x->i.opsize));
    x_cc_eflags(x, ir_i32(x->b, FLAG_C));
}

/* ---- extended state, protection keys ---- */

static void x86_helper_xgetbv(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t n = x->regs[RCX];
    if (n > 1 || (n == 1 && !x86_has(x, X86_F_xgetbv1)))
        x86_raise_gp(x, 0);
    set_pair(x, n ? x86_xinuse(x) & x->xcr0 : x->xcr0);
}
HELPER(xgetbv, VOID, IR_H_ANY);

static void x86_helper_xsetbv(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint64_t v = get_pair(x), allowed = x86_xcr0_allowed(x);
    if ((uint32_t)x->regs[RCX] || v & ~allowed || !(v & 1) || (v & 6) == 4)
        x86_raise_gp(x, 0);
    x->xcr0 = v;
    x86_update_mode(x);
}
HELPER(xsetbv, VOID, IR_H_ANY);

static bool xsave_on(X86Xlate *x)
{
    if (x->mode & MODE_OSXSAVE)
        return true;
    x_raise(x, EXC_UD, 0);
    return false;
}

INSN(xgetbv)
{
    if (xsave_on(x))
        x_call(x, &h_xgetbv, 0, 0, 0, 0);
}

INSN(xsetbv)
{
    if (!xsave_on(x))
        return;
    x_call(x, &h_xsetbv, 0, 0, 0, 0);
    x_resync_next(x);
}

static void x86_helper_pkru(Cpu *cpu, uint64_t write)
{
    X86Cpu *x = x86_of(cpu);
    if ((uint32_t)x->regs[RCX] || (write && (uint32_t)x->regs[RDX]))
        x86_raise_gp(x, 0);
    if (!write) {
        set_pair(x, x->pkru);
    } else if (x->pkru != (uint32_t)x->regs[RAX]) {
        x->pkru = x->regs[RAX];
        softmmu_flush(cpu);
    }
}
HELPER(pkru, VOID, IR_H_ANY);

static void pkru(X86Xlate *x, bool write)
{
    if (!(x->mode & MODE_PKE)) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    x_call(x, &h_pkru, num(x, write), 0, 0, 0);
    if (write)
        x_resync_next(x);
}

INSN(rdpkru) { pkru(x, false); }
INSN(wrpkru) { pkru(x, true); }
