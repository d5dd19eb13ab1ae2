/* SPDX-License-Identifier: Apache-2.0 */
/* Control and status registers: one table, csr.inc. Spec: RISC-V privileged manual. */
#include <string.h>
#include "target/riscv/cpu.h"

typedef struct RvCsr RvCsr;
typedef bool (*RvCsrCheck)(const RvCpu *rv, unsigned n);
typedef uint64_t (*RvCsrRead)(RvCpu *rv, unsigned n);
typedef void (*RvCsrWrite)(RvCpu *rv, unsigned n, uint64_t v, uint64_t written);

struct RvCsr {
    uint16_t first, last;
    const char *name;           /* RANGE: the part before the number */
    uint8_t base;               /* number in the name of the first of a RANGE */
    int16_t feature;            /* RV_F_*, RV_F_rv32: RV32 only, ANY */
    int32_t slot;               /* PLAIN: offset, else -1 */
    uint8_t bytes;
    uint64_t mask;
    RvCsrCheck check;           /* false: illegal instruction from current privilege */
    RvCsrRead read;
    RvCsrWrite write;
};
enum { ANY = -1 };
#define ALL UINT64_MAX
#define EPC (~1ull)
#define TVEC (~2ull)

/* ---- floating point ---- */

static bool need_fs(const RvCpu *rv, unsigned n) { return rv->mstatus & RV_FS; }
static void fp_written(RvCpu *rv) { rv->mstatus |= RV_FS; }

/* fflags: NX UF OF DZ NV from bit 0; the engine's are in x86's order. */
static const struct {
    uint8_t riscv, engine;
} flag_map[] = {{1, 32}, {2, 16}, {4, 8}, {8, 4}, {16, 1}};

uint32_t rv_fflags(RvCpu *rv)
{
    uint32_t engine = cpu_get_fp_flags(&rv->cpu), v = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(flag_map); i++) {
        if (engine & flag_map[i].engine)
            v |= flag_map[i].riscv;
    }
    return v;
}

static void set_fflags(RvCpu *rv, uint32_t v)
{
    uint32_t engine = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(flag_map); i++) {
        if (v & flag_map[i].riscv)
            engine |= flag_map[i].engine;
    }
    cpu_set_fp_flags(&rv->cpu, engine);
}

static uint64_t read_fflags(RvCpu *rv, unsigned n) { return rv_fflags(rv); }
static uint64_t read_frm(RvCpu *rv, unsigned n) { return rv->frm; }
static uint64_t read_fcsr(RvCpu *rv, unsigned n) { return rv_fflags(rv) | rv->frm << 5; }

static void write_fflags(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    set_fflags(rv, v & 31);
    fp_written(rv);
}

static void write_frm(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->frm = v & 7;
    fp_written(rv);
}

static void write_fcsr(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    set_fflags(rv, v & 31);
    write_frm(rv, n, v >> 5, written);
}

/* ---- status ---- */

static uint64_t sd_bit(const RvCpu *rv)
{
    if ((rv->mstatus & RV_FS) != RV_FS)
        return 0;
    return rv->rv32 ? 1ull << 31 : 1ull << 63;
}

static uint64_t sxl_uxl(const RvCpu *rv)
{
    return rv->rv32 ? 0 : (rv_has(rv, RV_F_u) ? RV_UXL64 : 0) | (rv_has(rv, RV_F_s) ? RV_SXL64 : 0);
}

static uint64_t sstatus_mask(const RvCpu *rv)
{
    return RV_SIE | RV_SPIE | RV_SPP | RV_SUM | RV_MXR | (rv_has(rv, RV_F_f) ? RV_FS : 0);
}

static uint64_t mstatus_mask(const RvCpu *rv)
{
    uint64_t mask = RV_MIE | RV_MPIE | RV_MPP | (rv_has(rv, RV_F_f) ? RV_FS : 0);
    if (rv_has(rv, RV_F_u))
        mask |= RV_MPRV | RV_TW;
    if (rv_has(rv, RV_F_s))
        mask |= sstatus_mask(rv) | RV_TVM | RV_TSR;
    return mask;
}

static bool mpp_valid(const RvCpu *rv, unsigned mpp)
{
    return mpp == RV_M || (mpp == RV_S && rv_has(rv, RV_F_s)) || (mpp == RV_U && rv_has(rv, RV_F_u));
}

static uint64_t read_mstatus(RvCpu *rv, unsigned n) { return rv->mstatus | sd_bit(rv) | sxl_uxl(rv); }

static void write_mstatus(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    uint64_t mask = mstatus_mask(rv);
    if (!mpp_valid(rv, (v & RV_MPP) >> RV_MPP_SHIFT))
        mask &= ~RV_MPP;
    rv->mstatus = (rv->mstatus & ~mask) | (v & mask);
}

static uint64_t read_sstatus(RvCpu *rv, unsigned n)
{
    return (rv->mstatus & sstatus_mask(rv)) | sd_bit(rv) | (sxl_uxl(rv) & RV_UXL64);
}

static void write_sstatus(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    uint64_t mask = sstatus_mask(rv);
    rv->mstatus = (rv->mstatus & ~mask) | (v & mask);
}

static uint64_t read_misa(RvCpu *rv, unsigned n)
{
    static const struct {
        uint8_t feature;
        char letter;
    } letters[] = {{RV_F_m, 'm'}, {RV_F_a, 'a'}, {RV_F_f, 'f'}, {RV_F_d, 'd'},
                   {RV_F_c, 'c'}, {RV_F_s, 's'}, {RV_F_u, 'u'}};
    uint64_t v = rv->rv32 ? 1ull << 30 : 2ull << 62;
    v |= 1 << ('i' - 'a');
    for (unsigned i = 0; i < G_N_ELEMENTS(letters); i++) {
        if (rv_has(rv, letters[i].feature))
            v |= 1u << (letters[i].letter - 'a');
    }
    return v;
}

static uint64_t read_zero(RvCpu *rv, unsigned n) { return 0; }
static uint64_t read_mhartid(RvCpu *rv, unsigned n) { return rv->hartid; }

/* ---- interrupts ---- */

static uint64_t merge(uint64_t old, uint64_t v, uint64_t mask) { return (old & ~mask) | (v & mask); }

static uint32_t interrupts(const RvCpu *rv)
{
    return rv_has(rv, RV_F_s) ? RV_INTERRUPTS : RV_INTERRUPTS & ~RV_S_INTERRUPTS;
}

static uint64_t read_mip(RvCpu *rv, unsigned n) { return rv_pending(rv); }

/* A csrrs or csrrc of mip must not turn a level of the pin into a software bit: only the bits
 * named by the instruction change. */
static void write_mip(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    uint32_t mask = rv_has(rv, RV_F_s) ? RV_S_INTERRUPTS : 0;
    if (rv->menvcfg & RV_STCE)
        mask &= ~RV_STIP;
    rv->ip_soft = merge(rv->ip_soft, v, mask & written);
}

static uint64_t read_mie(RvCpu *rv, unsigned n) { return rv->mie; }

static void write_mie(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->mie = v & interrupts(rv);
}

static uint64_t read_mideleg(RvCpu *rv, unsigned n) { return rv->mideleg; }

static void write_mideleg(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->mideleg = v & RV_S_INTERRUPTS;
}

static uint64_t read_sie(RvCpu *rv, unsigned n) { return rv->mie & rv->mideleg; }

static void write_sie(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->mie = merge(rv->mie, v, rv->mideleg & RV_S_INTERRUPTS);
}

static uint64_t read_sip(RvCpu *rv, unsigned n) { return rv_pending(rv) & rv->mideleg; }

static void write_sip(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->ip_soft = merge(rv->ip_soft, v, rv->mideleg & RV_SSIP & written);
}

/* ---- environment configuration ---- */

static uint64_t menvcfg_mask(const RvCpu *rv)
{
    return RV_FIOM | (rv_has(rv, RV_F_zicbom) ? RV_CBIE | RV_CBCFE : 0) |
           (rv_has(rv, RV_F_zicboz) ? RV_CBZE : 0) | (rv_has(rv, RV_F_svadu) ? RV_ADUE : 0) |
           (rv_has(rv, RV_F_svpbmt) ? RV_PBMTE : 0) | (rv_has(rv, RV_F_sstc) ? RV_STCE : 0);
}

static void set_menvcfg(RvCpu *rv, uint64_t v)
{
    uint64_t old = rv->menvcfg;
    rv->menvcfg = v & menvcfg_mask(rv);
    if ((old ^ rv->menvcfg) & (RV_ADUE | RV_PBMTE))
        softmmu_flush(&rv->cpu);
    if ((old ^ rv->menvcfg) & RV_STCE) {
        rv->ip_soft &= ~RV_STIP;
        rv_stimer_update(rv);
    }
}

static uint64_t read_menvcfg(RvCpu *rv, unsigned n) { return rv->menvcfg; }
static uint64_t read_menvcfgh(RvCpu *rv, unsigned n) { return rv->menvcfg >> 32; }

static void write_menvcfg(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    set_menvcfg(rv, rv->rv32 ? merge(rv->menvcfg, v, UINT32_MAX) : v);
}

static void write_menvcfgh(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    set_menvcfg(rv, merge(rv->menvcfg, v << 32, ~0ull << 32));
}

static uint64_t read_senvcfg(RvCpu *rv, unsigned n) { return rv->senvcfg; }

static void write_senvcfg(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->senvcfg = v & menvcfg_mask(rv) & (RV_FIOM | RV_CBIE | RV_CBCFE | RV_CBZE);
}

/* ---- translation and protection ---- */

static bool need_vm(const RvCpu *rv, unsigned n)
{
    return rv->priv != RV_S || !(rv->mstatus & RV_TVM);
}

static uint64_t read_satp(RvCpu *rv, unsigned n) { return rv->satp; }

static void write_satp(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    unsigned mode = rv->rv32 ? v >> 31 & 1 : v >> 60;
    if (!rv_satp_mode_valid(rv, mode))
        return;
    uint64_t old = rv->satp, asid = rv_asid(rv);
    rv->satp = v;
    /* Another root under the same ASID needs an sfence.vma by the manual; be kind. */
    if (old != v && asid == rv_asid(rv))
        softmmu_flush_nonglobal(&rv->cpu, 0xffff, asid);
}

static bool need_pmp(const RvCpu *rv, unsigned n) { return rv->pmp; }

static bool need_pmpcfg(const RvCpu *rv, unsigned n) { return rv->pmp && (rv->rv32 || !(n & 1)); }

static uint64_t read_pmpcfg(RvCpu *rv, unsigned n)
{
    uint64_t v = 0;
    unsigned first = n % 4 * 4, count = rv->rv32 ? 4 : 8;
    for (unsigned i = 0; i < count; i++) {
        v |= (uint64_t)rv->pmpcfg[first + i] << 8 * i;
    }
    return v;
}

static void write_pmpcfg(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    unsigned first = n % 4 * 4, count = rv->rv32 ? 4 : 8;
    for (unsigned i = 0; i < count; i++) {
        uint8_t old = rv->pmpcfg[first + i], new = v >> 8 * i & 0x9f;
        /* W without R is reserved; locked entries stay until reset. */
        if (!(old & 0x80) && (new & 3) != 2)
            rv->pmpcfg[first + i] = new;
    }
    rv_pmp_update(rv);
}

static uint64_t read_pmpaddr(RvCpu *rv, unsigned n) { return rv->pmpaddr[n & 15]; }

static void write_pmpaddr(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    unsigned i = n & 15;
    bool locked = rv->pmpcfg[i] & 0x80;
    /* A locked TOR entry locks its lower bound, too. */
    if (i + 1 < RV_PMP_ENTRIES && (rv->pmpcfg[i + 1] & 0x98) == 0x88)
        locked = true;
    if (locked)
        return;
    rv->pmpaddr[i] = rv->rv32 ? v & UINT32_MAX : v & ((1ull << 54) - 1);
    rv_pmp_update(rv);
}

/* ---- counters and time ---- */

uint64_t rv_time(const RvCpu *rv) { return rv->time_fn ? rv->time_fn(rv->time_opaque) : 0; }

/* bit: cycle 0, time 1, instret 2 … */
static bool counter_enabled(const RvCpu *rv, unsigned bit)
{
    if (rv->priv < RV_M && rv_has(rv, RV_F_u) && !(rv->mcounteren >> bit & 1))
        return false;
    return !(rv->priv == RV_U && rv_has(rv, RV_F_s)) || (rv->scounteren >> bit & 1);
}

static bool need_counter(const RvCpu *rv, unsigned n) { return counter_enabled(rv, n & 31); }
static bool need_time(const RvCpu *rv, unsigned n) { return rv->time_fn && counter_enabled(rv, 1); }

static bool need_stce(const RvCpu *rv, unsigned n)
{
    if (rv->priv == RV_M)
        return true;
    return (rv->menvcfg & RV_STCE) && (rv->mcounteren & 2);
}

static bool need_stce32(const RvCpu *rv, unsigned n) { return rv->rv32 && need_stce(rv, n); }

/* Both counters run with the virtual clock, one tick a nanosecond, unless instructions are counted:
 * then they are exact. */
static uint64_t ticks(const RvCpu *rv)
{
    return rv->cpu.insn_count ? rv->cpu.insn_count
                              : (uint64_t)clock_ns(rv->cpu.vm, CLOCK_K_VIRTUAL);
}

static uint64_t read_cycle(RvCpu *rv, unsigned n) { return ticks(rv) + rv->cycle_offset; }
static uint64_t read_instret(RvCpu *rv, unsigned n) { return ticks(rv) + rv->instret_offset; }
static uint64_t read_cycleh(RvCpu *rv, unsigned n) { return read_cycle(rv, n) >> 32; }
static uint64_t read_instreth(RvCpu *rv, unsigned n) { return read_instret(rv, n) >> 32; }

static void write_cycle(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->cycle_offset = (rv->rv32 ? merge(read_cycle(rv, n), v, UINT32_MAX) : v) - ticks(rv);
}

static void write_instret(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->instret_offset = (rv->rv32 ? merge(read_instret(rv, n), v, UINT32_MAX) : v) - ticks(rv);
}

static void write_cycleh(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->cycle_offset = merge(read_cycle(rv, n), v << 32, ~0ull << 32) - ticks(rv);
}

static void write_instreth(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->instret_offset = merge(read_instret(rv, n), v << 32, ~0ull << 32) - ticks(rv);
}

static uint64_t read_time(RvCpu *rv, unsigned n) { return rv_time(rv); }
static uint64_t read_timeh(RvCpu *rv, unsigned n) { return rv_time(rv) >> 32; }

static uint64_t read_stimecmp(RvCpu *rv, unsigned n) { return rv->stimecmp; }
static uint64_t read_stimecmph(RvCpu *rv, unsigned n) { return rv->stimecmp >> 32; }

static void set_stip(RvCpu *rv, bool on)
{
    if (on)
        __atomic_or_fetch(&rv->ip_pins, RV_STIP, __ATOMIC_SEQ_CST);
    else
        __atomic_and_fetch(&rv->ip_pins, ~RV_STIP, __ATOMIC_SEQ_CST);
}

/* The supervisor's timer: STIP is the comparison itself, and a timer for the moment it changes. */
void rv_stimer_update(RvCpu *rv)
{
    if (!rv_has(rv, RV_F_sstc) || !rv->time_fn)
        return;
    timer_cancel(&rv->stimer);
    if (!(rv->menvcfg & RV_STCE)) {
        set_stip(rv, false);
        return;
    }
    uint64_t now = rv_time(rv);
    bool due = now >= rv->stimecmp;
    set_stip(rv, due);
    if (due) {
        cpu_request(&rv->cpu, CPU_REQ_IRQ);
        return;
    }
    unsigned __int128 ns = (unsigned __int128)(rv->stimecmp - now) * 1000000000 / rv->time_hz + 1;
    int64_t at = clock_ns(rv->cpu.vm, CLOCK_K_VIRTUAL);
    if (ns < (uint64_t)(INT64_MAX - at))
        timer_arm(&rv->stimer, at + (int64_t)ns);
}

void rv_stimer_fired(Device *dev)
{
    RvCpu *rv = (RvCpu *)dev;
    set_stip(rv, true);
    cpu_request(&rv->cpu, CPU_REQ_IRQ);
}

static void write_stimecmp(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->stimecmp = rv->rv32 ? merge(rv->stimecmp, v, UINT32_MAX) : v;
    rv_stimer_update(rv);
}

static void write_stimecmph(RvCpu *rv, unsigned n, uint64_t v, uint64_t written)
{
    rv->stimecmp = merge(rv->stimecmp, v << 32, ~0ull << 32);
    rv_stimer_update(rv);
}

/* ---- the table ---- */

static const RvCsr csrs[] = {
#define PLAIN(n, name_, feature_, member, mask_)                                                    \
    {n, n, #name_, 0, feature_, offsetof(RvCpu, member), sizeof(((RvCpu *)0)->member), mask_,       \
     NULL, NULL, NULL},
#define FUNC(n, name_, feature_, check_, read_, write_)                                             \
    {n, n, #name_, 0, feature_, -1, 0, 0, check_, read_, write_},
#define RANGE(n, m, name_, base_, feature_, check_, read_, write_)                                  \
    {n, m, #name_, base_, feature_, -1, 0, 0, check_, read_, write_},
#include "target/riscv/csr.inc"
#undef PLAIN
#undef FUNC
#undef RANGE
};

static const RvCsr *find(unsigned n)
{
    unsigned low = 0, high = G_N_ELEMENTS(csrs);
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (n > csrs[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < G_N_ELEMENTS(csrs) && csrs[low].first <= n ? &csrs[low] : NULL;
}

static bool exists(const RvCpu *rv, const RvCsr *c)
{
    if (!c)
        return false;
    if (c->feature == RV_F_rv32)
        return rv->rv32;
    return c->feature == ANY || rv_has(rv, c->feature);
}

/* Range members share one row; their names end in the number. */
void rv_csr_print(GString *out, unsigned n)
{
    const RvCsr *c = find(n);
    if (!c)
        g_string_append_printf(out, "0x%x", n);
    else if (c->first == c->last)
        g_string_append(out, c->name);
    else if (c->feature == RV_F_rv32)           /* hpmcounter3h, not hpmcounterh3 */
        g_string_append_printf(out, "%.*s%uh", (int)strlen(c->name) - 1, c->name,
                               n - c->first + c->base);
    else
        g_string_append_printf(out, "%s%u", c->name, n - c->first + c->base);
}

static uint64_t read_csr(RvCpu *rv, const RvCsr *c, unsigned n)
{
    if (c->read)
        return c->read(rv, n) & rv_xmask(rv);
    const char *slot = (const char *)rv + c->slot;
    return c->bytes == 8 ? *(const uint64_t *)slot : *(const uint32_t *)slot;
}

static void write_csr(RvCpu *rv, const RvCsr *c, unsigned n, uint64_t v, uint64_t written)
{
    if (c->slot >= 0) {
        char *slot = (char *)rv + c->slot;
        if (c->bytes == 8)
            *(uint64_t *)slot = v & c->mask;
        else
            *(uint32_t *)slot = v & c->mask;
    } else if (c->write) {
        c->write(rv, n, v, written);
    }
}

static bool permitted(const RvCpu *rv, const RvCsr *c, unsigned n, bool write)
{
    if (!exists(rv, c) || (n >> 8 & 3) > rv->priv || (write && n >> 10 == 3))
        return false;
    return !c->check || c->check(rv, n);
}

int32_t rv_csr_slot(const RvCpu *rv, unsigned n, unsigned priv, uint64_t *mask)
{
    const RvCsr *c = find(n);
    if (!exists(rv, c) || c->slot < 0 || c->bytes != 8 || (n >> 8 & 3) > priv)
        return -1;
    *mask = c->mask;
    return c->slot;
}

/* number | how << 16, operand, raw instruction: the old value. */
static uint64_t csr_helper(Cpu *cpu, uint32_t number_how, uint64_t operand, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    unsigned n = number_how & 0xfff, how = number_how >> 16;
    const RvCsr *c = find(n);
    if (!permitted(rv, c, n, how != RV_CSR_READ))
        rv_raise(rv, RV_X_ILLEGAL, raw);
    uint64_t old = read_csr(rv, c, n), all = rv_xmask(rv);
    switch (how) {
    case RV_CSR_READ:
        return old;
    case RV_CSR_WRITE:
        write_csr(rv, c, n, operand & all, all);
        break;
    case RV_CSR_SET:
        write_csr(rv, c, n, (old | operand) & all, operand);
        break;
    case RV_CSR_CLEAR:
        write_csr(rv, c, n, old & ~operand & all, operand);
        break;
    }
    rv_update_mode(rv);
    rv_check_interrupts(rv);
    return old;
}
const IrHelper rv_h_csr = {"csr", csr_helper, IR_I64, IR_H_ANY | IR_H_FP};

static void interrupts_enabled(Cpu *cpu) { rv_check_interrupts((RvCpu *)cpu); }
const IrHelper rv_h_interrupts_enabled = {"interrupts_enabled", interrupts_enabled, IR_VOID,
                                          IR_H_READ | IR_H_EFFECT};

bool rv_csr_peek(RvCpu *rv, unsigned n, uint64_t *value)
{
    const RvCsr *c = n < 4096 ? find(n) : NULL;
    if (!exists(rv, c))
        return false;
    *value = read_csr(rv, c, n);
    return true;
}

bool rv_csr_poke(RvCpu *rv, unsigned n, uint64_t value)
{
    const RvCsr *c = n < 4096 ? find(n) : NULL;
    if (!exists(rv, c) || n >> 10 == 3)
        return false;
    write_csr(rv, c, n, value & rv_xmask(rv), rv_xmask(rv));
    rv_update_mode(rv);
    rv_check_interrupts(rv);
    return true;
}
