/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers and the time stamp. Intel SDM vol. 4; AMD APM vol. 2 appendix A. */
#include "core/clock.h"
#include "target/x86-state.h"
#include "target/x86/cpu.h"
#include "util/log.h"

typedef struct Msr {
    uint32_t at, count;         /* count registers `stride` bytes apart in the struct */
    int32_t offset;
    uint16_t stride;
    uint64_t bits;              /* that may be written; others must be zero */
    int feature;                /* X86_F_*, or none */
    bool canonical;
    bool (*read)(X86Cpu *x, uint32_t msr, uint64_t *v);
    bool (*write)(X86Cpu *x, uint32_t msr, uint64_t v);
} Msr;

/* ---- time ---- */

static void tsc_moved(X86Cpu *x);

static uint64_t ticks(X86Cpu *x, int64_t ns)
{
    uint64_t s = (uint64_t)ns / 1000000000u, rest = (uint64_t)ns % 1000000000u;

    /* Exact: the rest times a frequency below 18 GHz fits. A 128-bit division costs as much as the clock. */
    if (x->tsc_hz < 18000000000u)
        return s * x->tsc_hz + rest * x->tsc_hz / 1000000000u;
    return (unsigned __int128)ns * x->tsc_hz / 1000000000u;
}

uint64_t x86_tsc(X86Cpu *x) { return ticks(x, clock_ns(x->cpu.vm, CLOCK_K_VIRTUAL)) + x->tsc_offset; }

static bool read_tsc(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = x86_tsc(x);
    return true;
}

static bool write_tsc(X86Cpu *x, uint32_t msr, uint64_t v)
{
    int64_t by = v - x86_tsc(x);
    x->tsc_offset += by;
    x->tsc_adjust += by;
    tsc_moved(x);
    return true;
}

static bool write_tsc_adjust(X86Cpu *x, uint32_t msr, uint64_t v)
{
    x->tsc_offset += v - x->tsc_adjust;
    x->tsc_adjust = v;
    tsc_moved(x);
    return true;
}

static bool read_deadline(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = x->irq && x->irq->get_tsc_deadline ? x->irq->get_tsc_deadline(x->irq_opaque) : 0;
    return true;
}

static bool write_deadline(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (!x->irq || !x->irq->set_tsc_deadline)
        return true;
    int64_t when = INT64_MAX, now = clock_ns(x->cpu.vm, CLOCK_K_VIRTUAL);
    if (v) {
        int64_t left = v - x86_tsc(x);
        __int128 ns = (__int128)left * 1000000000 / x->tsc_hz;
        when = left <= 0 ? now : ns > INT64_MAX / 4 ? INT64_MAX / 2 : now + (int64_t)ns + 1;
    }
    x->irq->set_tsc_deadline(x->irq_opaque, v, when);
    return true;
}

/* ---- APIC ---- */

static bool read_apic(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    if (x->irq && x->irq->msr_read)
        return x->irq->msr_read(x->irq_opaque, msr, v);
    *v = x->apic_base;
    return msr == 0x1b;
}

static bool write_apic(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (x->irq && x->irq->msr_write)
        return x->irq->msr_write(x->irq_opaque, msr, v);
    x->apic_base = v;
    return msr == 0x1b;
}

/* ---- EFER and friends ---- */

static bool write_efer(X86Cpu *x, uint32_t msr, uint64_t v)
{
    uint64_t allowed = 0, keep = EFER_LMA;
    if (x86_has(x, X86_F_syscall))
        allowed |= EFER_SCE;
    if (x86_has(x, X86_F_lm))
        allowed |= EFER_LME;
    if (x86_has(x, X86_F_nx) && !(x->misc_enable & MISC_NX_OFF))
        allowed |= EFER_NX;
    if (x86_has(x, X86_F_fxsr_opt))
        allowed |= EFER_FFXSR;
    if (v & ~(allowed | keep) || (x->cr0 & CR0_PG && (v ^ x->efer) & EFER_LME))
        return false;
    if ((v ^ x->efer) & EFER_NX)
        softmmu_flush(&x->cpu);
    x->efer = (v & allowed) | (x->efer & keep);
    x86_update_mode(x);
    return true;
}

static bool write_base(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (!x86_canonical(x, v) && x86_long(x))
        return false;
    if (msr == 0xc0000102)
        x->kernel_gs_base = v;
    else
        x->seg[msr == 0xc0000100 ? FS : GS].base = v;
    return true;
}

static bool write_pat(X86Cpu *x, uint32_t msr, uint64_t v)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned type = v >> 8 * n & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    x->pat = v;
    return true;
}

/* Memory types: uncached, write-combining, write-through, write-protected, write-back. */
static bool mtrr_type(unsigned t) { return t == 0 || t == 1 || t == 4 || t == 5 || t == 6; }

/* Guests see what they have written; all memory behaves as write-back. */
static bool write_mtrr(X86Cpu *x, uint32_t msr, uint64_t v)
{
    uint64_t beyond = ~((1ull << x->phys_bits) - 1);
    X86Mtrr *m = &x->mtrr[(msr - 0x200) / 2];
    if (msr & 1 ? v & (beyond | 0x7ff) : v & (beyond | 0xf00) || !mtrr_type(v & 0xff))
        return false;
    *(msr & 1 ? &m->mask : &m->base) = v;
    return true;
}

static bool write_mtrr_fixed(X86Cpu *x, uint32_t msr, uint64_t v)
{
    for (unsigned n = 0; n < 8; n++) {
        if (!mtrr_type(v >> 8 * n & 0xff))
            return false;
    }
    x->mtrr_fixed[msr == 0x250 ? 0 : msr < 0x268 ? 1 + msr - 0x258 : 3 + msr - 0x268] = v;
    return true;
}

static bool write_mtrr_def(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (!mtrr_type(v & 0xff))
        return false;
    x->mtrr_def = v;
    return true;
}

/* Once locked it stays as it is until a reset. */
static bool write_feature_control(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (x->feature_control & 1)
        return false;
    x->feature_control = v;
    return true;
}

static bool write_misc_enable(X86Cpu *x, uint32_t msr, uint64_t v)
{
    x->misc_enable = v;
    if (v & MISC_NX_OFF && x->efer & EFER_NX) {
        x->efer &= ~(uint64_t)EFER_NX;
        softmmu_flush(&x->cpu);
    }
    return true;
}

static bool read_mtrr_cap(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = X86_MTRRS | 1 << 8 | 1 << 10;
    return true;
}

static bool read_mcg_cap(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = X86_MC_BANKS | 1 << 8;
    return true;
}

static bool ignore(X86Cpu *x, uint32_t msr, uint64_t v) { return true; }
static bool refuse(X86Cpu *x, uint32_t msr, uint64_t v) { return false; }

static bool read_zero(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = 0;
    return true;
}

static bool read_perf_status(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = 1000 | 4ull << 40;
    return true;
}

static bool read_core_count(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = x->cpu.vm->n_cpus | (uint64_t)x->cpu.vm->n_cpus << 16;
    return true;
}

static bool write_mc(X86Cpu *x, uint32_t msr, uint64_t v)
{
    unsigned n = msr - 0x400;
    if (n % 4 == 1 && v)        /* status may only be cleared */
        return false;
    x->mc[n / 4][n % 4] = v;
    return true;
}

static bool any_of(const X86Cpu *x, const int *which, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (x86_has(x, which[k]))
            return true;
    }
    return false;
}

/* Speculation is not ours to control: what is written is kept, barriers are done already. */
static bool has_spec_ctrl(const X86Cpu *x)
{
    static const int any[] = {X86_F_spec_ctrl, X86_F_stibp, X86_F_ssbd, X86_F_ibrs, X86_F_amd_stibp,
                              X86_F_amd_ssbd};
    return any_of(x, any, G_N_ELEMENTS(any));
}

static bool read_spec_ctrl(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = x->spec_ctrl;
    return has_spec_ctrl(x);
}

static bool write_spec_ctrl(X86Cpu *x, uint32_t msr, uint64_t v)
{
    x->spec_ctrl = has_spec_ctrl(x) ? v : x->spec_ctrl;
    return has_spec_ctrl(x);
}

static bool write_pred_cmd(X86Cpu *x, uint32_t msr, uint64_t v)
{
    static const int any[] = {X86_F_spec_ctrl, X86_F_ibpb};
    return any_of(x, any, G_N_ELEMENTS(any)) && v <= 1;
}

static bool write_flush(X86Cpu *x, uint32_t msr, uint64_t v) { return v <= 1; }
static bool refuse_read(X86Cpu *x, uint32_t msr, uint64_t *v) { return false; }

static bool read_word(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    *v = x->features[msr == 0x10a ? W_ARCH_CAP : W_CORE_CAP];
    return true;
}

static bool write_xss(X86Cpu *x, uint32_t msr, uint64_t v)
{
    if (v)
        return false;
    x->xss = v;
    return true;
}

/* ---- paravirtual clock: Linux Documentation/virt/kvm/x86/msr.rst ---- */

typedef struct PvClock {
    uint32_t version, pad;
    uint64_t tsc, system_time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad2[2];
} PvClock;
_Static_assert(sizeof(PvClock) == 32, "the guest's layout");

/* system time = (tsc - then) << shift * mul >> 32 */
static void scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
    *shift = 0;
    while (hz > 2000000000ull) {
        hz >>= 1;
        --*shift;
    }
    while (hz <= 1000000000ull) {
        hz <<= 1;
        ++*shift;
    }
    *mul = (unsigned __int128)1000000000u * (1ull << 32) / hz;
}

static void write_pvclock(X86Cpu *x)
{
    PvClock c = {.version = 2, .flags = 1};
    c.system_time = clock_ns(x->cpu.vm, CLOCK_K_VIRTUAL);
    c.tsc = ticks(x, c.system_time) + x->tsc_offset;
    scale(x->tsc_hz, &c.mul, &c.shift);
    as_write(x->cpu.memory, x->kvm_clock & ~3ull, &c, sizeof(c));
}

static bool write_system_time(X86Cpu *x, uint32_t msr, uint64_t v)
{
    x->kvm_clock = v;
    if (v & 1)
        write_pvclock(x);
    return true;
}

/* The page gives the relation of both, so it follows when the guest sets the time stamp. */
static void tsc_moved(X86Cpu *x)
{
    if (x->kvm_clock & 1)
        write_pvclock(x);
}

static bool write_wall_clock(X86Cpu *x, uint32_t msr, uint64_t v)
{
    x->kvm_wall_clock = v;
    int64_t ns = clock_ns(x->cpu.vm, CLOCK_K_HOST) - clock_ns(x->cpu.vm, CLOCK_K_VIRTUAL);
    uint32_t w[3] = {2, ns / 1000000000, ns % 1000000000};
    return as_write(x->cpu.memory, v & ~3ull, w, sizeof(w));
}

/* ---- the table, sorted ---- */

/* Rows begin with common defaults and override some of them. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define ANY .count = 1, .bits = ~0ull, .feature = X86_F_none
#define AT(m) .offset = offsetof(X86Cpu, m)
static const Msr msrs[] = {
    {0x10, ANY, .read = read_tsc, .write = write_tsc},
    {0x17, ANY, .read = read_zero, .write = refuse},
    {0x1b, ANY, .read = read_apic, .write = write_apic},
    {0x2a, ANY, .read = read_zero, .write = ignore},
    {0x34, ANY, .read = read_zero, .write = refuse},
    {0x35, ANY, .read = read_core_count, .write = refuse},
    {0x3a, ANY, AT(feature_control), .bits = 0x17ff07, .write = write_feature_control},
    {0x3b, ANY, AT(tsc_adjust), .feature = X86_F_tsc_adjust, .write = write_tsc_adjust},
    {0x48, ANY, AT(spec_ctrl), .bits = 7, .read = read_spec_ctrl, .write = write_spec_ctrl},
    {0x49, ANY, .read = refuse_read, .write = write_pred_cmd},
    {0x79, ANY, .read = read_zero, .write = ignore},
    {0x8b, ANY, AT(ucode_rev), .write = ignore},
    {0xce, ANY, .read = read_zero, .write = refuse},
    {0xcf, ANY, .read = read_word, .write = refuse, .feature = X86_F_core_capability},
    {0xfe, ANY, .read = read_mtrr_cap, .write = refuse},
    {0x10a, ANY, .read = read_word, .write = refuse, .feature = X86_F_arch_capabilities},
    {0x10b, ANY, .read = refuse_read, .write = write_flush, .feature = X86_F_flush_l1d},
    {0x140, ANY, .read = read_zero, .write = ignore},
    {0x174, ANY, AT(sysenter_cs)},
    {0x175, ANY, AT(sysenter_esp)},
    {0x176, ANY, AT(sysenter_eip)},
    {0x179, ANY, .read = read_mcg_cap, .write = refuse},
    {0x17a, ANY, AT(mcg_status)},
    {0x17b, ANY, AT(mcg_ctl)},
    {0x198, ANY, .read = read_perf_status, .write = refuse},
    {0x199, ANY, .read = read_zero, .write = ignore},
    {0x19a, ANY, .read = read_zero, .write = ignore},
    {0x1a0, ANY, AT(misc_enable), .write = write_misc_enable},
    {0x1d9, ANY, AT(debugctl)},
    {0x200, .count = 2 * X86_MTRRS, .bits = ~0ull, .feature = X86_F_mtrr, AT(mtrr), .stride = 8,
     .write = write_mtrr},
    {0x250, ANY, AT(mtrr_fixed[0]), .feature = X86_F_mtrr, .write = write_mtrr_fixed},
    {0x258, .count = 2, .bits = ~0ull, .feature = X86_F_mtrr, AT(mtrr_fixed[1]), .stride = 8,
     .write = write_mtrr_fixed},
    {0x268, .count = 8, .bits = ~0ull, .feature = X86_F_mtrr, AT(mtrr_fixed[3]), .stride = 8,
     .write = write_mtrr_fixed},
    {0x277, ANY, AT(pat), .feature = X86_F_pat, .write = write_pat},
    {0x2ff, ANY, AT(mtrr_def), .feature = X86_F_mtrr, .bits = 0xcff, .write = write_mtrr_def},
    {0x400, .count = 4 * X86_MC_BANKS, .bits = ~0ull, .feature = X86_F_none, AT(mc), .stride = 8,
     .write = write_mc},
    {0x6e0, ANY, .feature = X86_F_tsc_deadline, .read = read_deadline, .write = write_deadline},
    {0x800, .count = 0x100, .bits = ~0ull, .feature = X86_F_x2apic, .read = read_apic, .write = write_apic},
    {0xda0, ANY, AT(xss), .feature = X86_F_xsaves, .write = write_xss},
    {0x4b564d00, ANY, AT(kvm_wall_clock), .feature = X86_F_kvmclock, .write = write_wall_clock},
    {0x4b564d01, ANY, AT(kvm_clock), .feature = X86_F_kvmclock, .write = write_system_time},
    {0xc0000080, ANY, AT(efer), .write = write_efer},
    {0xc0000081, ANY, AT(star)},
    {0xc0000082, ANY, AT(lstar), .canonical = true},
    {0xc0000083, ANY, AT(cstar), .canonical = true},
    {0xc0000084, ANY, AT(fmask), .bits = 0xffffffff},
    {0xc0000100, ANY, AT(seg[FS].base), .write = write_base},
    {0xc0000101, ANY, AT(seg[GS].base), .write = write_base},
    {0xc0000102, ANY, AT(kernel_gs_base), .write = write_base},
    {0xc0000103, ANY, AT(tsc_aux), .feature = X86_F_rdtscp, .bits = 0xffffffff},
    {0xc0010010, ANY, .read = read_zero, .write = ignore},      /* SYSCFG */
    {0xc0010015, ANY, .read = read_zero, .write = ignore},      /* HWCR */
    {0xc001001f, ANY, .read = read_zero, .write = ignore},      /* NB_CFG */
    {0xc0010055, ANY, .read = read_zero, .write = ignore},      /* interrupt pending */
    {0xc0010117, ANY, .read = read_zero, .write = refuse},
    {0xc001011f, ANY, .read = read_zero, .write = ignore, .feature = X86_F_virt_ssbd},
    {0xc0010140, ANY, .read = read_zero, .write = ignore, .feature = X86_F_osvw},
    {0xc0010141, ANY, .read = read_zero, .write = ignore, .feature = X86_F_osvw},
    {0xc0011020, ANY, .read = read_zero, .write = ignore},      /* LS_CFG */
    {0xc0011022, ANY, .read = read_zero, .write = ignore},      /* DC_CFG */
    {0xc0011029, ANY, .read = read_zero, .write = ignore},      /* DE_CFG */
};

static const Msr *find(const X86Cpu *x, uint32_t msr)
{
    unsigned lo = 0, hi = G_N_ELEMENTS(msrs);
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (msr < msrs[mid].at)
            hi = mid;
        else if (msr >= msrs[mid].at + msrs[mid].count)
            lo = mid + 1;
        else
            return msrs[mid].feature < 0 || x86_has(x, msrs[mid].feature) ? &msrs[mid] : NULL;
    }
    return NULL;
}

static uint64_t *member(X86Cpu *x, const Msr *m, uint32_t msr)
{
    return (uint64_t *)((char *)x + m->offset + (msr - m->at) * m->stride);
}

static bool told(X86Cpu *x, bool good, bool write, uint32_t msr, uint64_t v)
{
    if (good || !log_on(LOG_GUEST_ERRORS))
        return good;
    g_autofree char *value = write ? g_strdup_printf(" 0x%" PRIx64, v) : g_strdup("");
    log_write("x86 cpu %u: %s 0x%x%s at 0x%" PRIx64 ": #GP\n", x->cpu.index, write ? "wrmsr" : "rdmsr", msr,
              value, x->cpu.pc);
    return good;
}

static bool do_read(X86Cpu *x, uint32_t msr, uint64_t *v)
{
    const Msr *m = find(x, msr);
    if (!m)
        return false;
    if (m->read)
        return m->read(x, msr, v);
    *v = *member(x, m, msr);
    return true;
}

static bool do_write(X86Cpu *x, uint32_t msr, uint64_t v)
{
    const Msr *m = find(x, msr);
    if (!m || v & ~m->bits || (m->canonical && !x86_canonical(x, v)))
        return false;
    if (m->write)
        return m->write(x, msr, v);
    *member(x, m, msr) = v;
    return true;
}

bool x86_msr_read(X86Cpu *x, uint32_t msr, uint64_t *v) { return told(x, do_read(x, msr, v), false, msr, 0); }

bool x86_msr_write(X86Cpu *x, uint32_t msr, uint64_t v)
{
    return told(x, do_write(x, msr, v), true, msr, v);
}

/* ---- raw access for hand-over ---- */

/* Rows with effects on writing keep their value in a member all the same. */
static uint64_t *stored(X86Cpu *x, uint32_t msr)
{
    const Msr *m = find(x, msr);
    return m && m->offset ? member(x, m, msr) : NULL;
}

bool x86_state_msr_get(Cpu *cpu, uint32_t msr, uint64_t *value)
{
    uint64_t *at = stored(x86_of(cpu), msr);
    if (at)
        *value = *at;
    return at;
}

bool x86_state_msr_set(Cpu *cpu, uint32_t msr, uint64_t value)
{
    uint64_t *at = stored(x86_of(cpu), msr);
    if (at)
        *at = value;
    return at;
}
