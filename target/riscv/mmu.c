/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation (Sv32, Sv39, Sv48, Sv57) and physical memory protection.
 * Spec: RISC-V privileged manual, 3.7 (PMP), 4.3-4.6; Svade, Svadu, Svnapot, Svpbmt.
 */
#include "target/riscv/cpu.h"

enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_G = 1 << 5,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
};
#define PTE_PBMT (3ull << 61)
#define PTE_N (1ull << 63)
#define PTE_RESERVED (0x7full << 54)

typedef struct Perms {
    bool load, store, fetch;
} Perms;
static const Perms everything = {true, true, true};

/* ---- PMP ---- */

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_A_SHIFT = 3, PMP_L = 0x80 };
enum { PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT };

static bool pmp_range(const RvCpu *rv, unsigned i, uint64_t *first, uint64_t *last)
{
    uint64_t a = rv->pmpaddr[i];
    switch (rv->pmpcfg[i] >> PMP_A_SHIFT & 3) {
    case PMP_TOR:
        *first = i ? rv->pmpaddr[i - 1] << 2 : 0;
        *last = (a << 2) - 1;
        return *first < a << 2;
    case PMP_NA4:
        *first = a << 2;
        *last = *first + 3;
        return true;
    case PMP_NAPOT:
        /* a = base | 0…01…1: the ones below the lowest zero give the size. */
        *first = (a & (a + 1)) << 2;
        *last = (a | (a + 1)) << 2 | 3;
        return true;
    default:
        return false;
    }
}

void rv_pmp_update(RvCpu *rv)
{
    rv->pmp_active = 0;
    for (unsigned i = 0; i < RV_PMP_ENTRIES; i++) {
        if (pmp_range(rv, i, &rv->pmp_first[i], &rv->pmp_last[i])) {
            rv->pmp_active = i + 1;
        } else {
            rv->pmp_first[i] = 1;
            rv->pmp_last[i] = 0;
        }
    }
    softmmu_flush(&rv->cpu);
}

static Perms pmp_entry(const RvCpu *rv, unsigned i, unsigned priv)
{
    uint8_t cfg = rv->pmpcfg[i];
    if (priv == RV_M && !(cfg & PMP_L))
        return everything;
    return (Perms){cfg & PMP_R, cfg & PMP_W, cfg & PMP_X};
}

/*
 * What priv may do at pa, and in *bits how large an aligned block around pa (at most the *bits
 * given) has the same answer.
 */
static Perms pmp_check(const RvCpu *rv, uint64_t pa, unsigned priv, uint8_t *bits)
{
    if (!rv->pmp)
        return everything;
    for (unsigned i = 0; i < rv->pmp_active; i++) {
        uint64_t first = rv->pmp_first[i], last = rv->pmp_last[i];
        if (first > last)
            continue;
        bool inside = pa >= first && pa <= last;
        /* Shrink the block until the entry covers all or nothing of it. */
        for (;; (*bits)--) {
            uint64_t low = pa & ~((1ull << *bits) - 1), high = pa | ((1ull << *bits) - 1);
            if (*bits <= 2 || (inside ? first <= low && high <= last : high < first || low > last))
                break;
        }
        if (inside)
            return pmp_entry(rv, i, priv);
    }
    return priv == RV_M ? everything : (Perms){false, false, false};
}

static bool allowed(Perms p, MemAccess access)
{
    return access == MEM_LOAD ? p.load : access == MEM_STORE ? p.store : p.fetch;
}

/* ---- page tables ---- */

static const uint8_t page_fault[] = {
    [MEM_LOAD] = RV_X_LOAD_PAGE, [MEM_STORE] = RV_X_STORE_PAGE, [MEM_FETCH] = RV_X_FETCH_PAGE};
static const uint8_t access_fault[] = {
    [MEM_LOAD] = RV_X_LOAD_ACCESS, [MEM_STORE] = RV_X_STORE_ACCESS, [MEM_FETCH] = RV_X_FETCH_ACCESS};

static bool fail(RvCpu *rv, unsigned cause)
{
    rv->fault = cause;
    return false;
}

/* Modes of satp. */
typedef struct Scheme {
    uint8_t mode, levels, level_bits, pte_bytes, feature;
    const char *name;
} Scheme;
static const Scheme sv32 = {1, 2, 10, 4, RV_F_sv32, "riscv,sv32"};
static const Scheme sv64[] = {
    {10, 5, 9, 8, RV_F_sv57, "riscv,sv57"},
    {9, 4, 9, 8, RV_F_sv48, "riscv,sv48"},
    {8, 3, 9, 8, RV_F_sv39, "riscv,sv39"},
};

static const Scheme *scheme_of(const RvCpu *rv, unsigned mode)
{
    if (rv->rv32)
        return mode == 1 ? &sv32 : NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(sv64); i++) {
        if (sv64[i].mode == mode)
            return &sv64[i];
    }
    return NULL;
}

unsigned rv_satp_mode(const RvCpu *rv) { return rv->rv32 ? rv->satp >> 31 & 1 : rv->satp >> 60; }

bool rv_satp_mode_valid(const RvCpu *rv, unsigned mode)
{
    if (mode == 0)
        return true;
    const Scheme *s = scheme_of(rv, mode);
    return rv->mmu && s && rv_has(rv, s->feature);
}

uint64_t rv_asid(const RvCpu *rv)
{
    return rv->rv32 ? rv->satp >> 22 & 0x1ff : rv->satp >> 44 & 0xffff;
}

const char *riscv_cpu_mmu_type(Cpu *cpu)
{
    const RvCpu *rv = (const RvCpu *)cpu;
    if (!rv->mmu || !rv_has(rv, RV_F_s))
        return "riscv,none";
    if (rv->rv32)
        return sv32.name;
    for (unsigned i = 0; i < G_N_ELEMENTS(sv64); i++) {
        if (rv_has(rv, sv64[i].feature))
            return sv64[i].name;
    }
    return "riscv,none";
}

static unsigned data_priv(const RvCpu *rv)
{
    if (rv->priv == RV_M && (rv->mstatus & RV_MPRV))
        return (rv->mstatus & RV_MPP) >> RV_MPP_SHIFT;
    return rv->priv;
}

/* A leaf's permissions for priv, before A and D. */
static Perms pte_perms(const RvCpu *rv, uint64_t pte, unsigned priv)
{
    bool user = pte & PTE_U;
    bool data = priv == RV_U ? user : !user || (rv->mstatus & RV_SUM);
    bool readable = (pte & PTE_R) || ((pte & PTE_X) && (rv->mstatus & RV_MXR));
    return (Perms){
        .load = data && readable,
        .store = data && (pte & PTE_W),
        .fetch = (priv == RV_U) == user && (pte & PTE_X),
    };
}

static bool reserved_bits(const RvCpu *rv, const Scheme *s, uint64_t pte, bool leaf)
{
    if (!leaf && (pte & (PTE_A | PTE_D | PTE_U)))
        return true;
    if (s->pte_bytes == 4)
        return false;
    uint64_t bad = PTE_RESERVED;
    if (!leaf || !(rv->menvcfg & RV_PBMTE))
        bad |= PTE_PBMT;
    if (!leaf || !rv_has(rv, RV_F_svnapot))
        bad |= PTE_N;
    return (pte & bad) || (pte & PTE_PBMT) == PTE_PBMT;
}

static bool pte_access(RvCpu *rv, uint64_t at, MemAccess how)
{
    uint8_t bits = 2;
    return allowed(pmp_check(rv, at, RV_S, &bits), how);
}

/* Sets A, and D for a store. False: the entry changed meanwhile, look again; or a fault. */
static bool set_ad(RvCpu *rv, const Scheme *s, uint64_t at, uint64_t pte, uint64_t want,
                   MemAccess access, bool *fault)
{
    *fault = true;
    if (!(rv->menvcfg & RV_ADUE))
        return fail(rv, page_fault[access]);
    if (!pte_access(rv, at, MEM_STORE))
        return fail(rv, access_fault[access]);
    *fault = false;
    return cpu_phys_cas(&rv->cpu, at, pte, pte | want, s->pte_bytes == 4 ? IR_M32 : IR_M64);
}

static uint64_t leaf_address(const RvCpu *rv, const Scheme *s, uint64_t pte, uint64_t va,
                             unsigned level, uint8_t *bits, bool *ok)
{
    uint64_t ppn = s->pte_bytes == 4 ? pte >> 10 : pte >> 10 & ((1ull << 44) - 1);
    *bits = 12 + level * s->level_bits;
    *ok = true;
    if (s->pte_bytes == 8 && (pte & PTE_N)) {
        *ok = level == 0 && (ppn & 15) == 8;
        *bits = 16;
        ppn &= ~15ull;
    } else if (ppn & ((1ull << level * s->level_bits) - 1)) {
        *ok = false;
    }
    uint64_t offset = va & ((1ull << *bits) - 1);
    return ppn << 12 | offset;
}

static bool canonical(const Scheme *s, uint64_t va)
{
    if (s->pte_bytes == 4)
        return true;
    unsigned up = 64 - (12 + s->levels * s->level_bits);
    return (uint64_t)((int64_t)(va << up) >> up) == va;
}

static bool walk(RvCpu *rv, const Scheme *s, uint64_t va, MemAccess access, unsigned priv,
                 bool debug, Translation *t)
{
    if (!canonical(s, va))
        return fail(rv, page_fault[access]);
    uint64_t index_mask = (1ull << s->level_bits) - 1;
    uint64_t root = s->pte_bytes == 4 ? rv->satp & 0x3fffff : rv->satp & ((1ull << 44) - 1);
again:;
    uint64_t table = root << 12;
    for (int level = s->levels - 1; level >= 0; level--) {
        uint64_t at = table + (va >> (12 + level * s->level_bits) & index_mask) * s->pte_bytes;
        uint64_t pte;
        if (!pte_access(rv, at, MEM_LOAD) ||
            !cpu_phys_load(&rv->cpu, at, s->pte_bytes == 4 ? IR_M32 : IR_M64, &pte))
            return fail(rv, access_fault[access]);
        bool leaf = pte & (PTE_R | PTE_X);
        if (!(pte & PTE_V) || (!(pte & PTE_R) && (pte & PTE_W)) || reserved_bits(rv, s, pte, leaf))
            return fail(rv, page_fault[access]);
        if (!leaf) {
            table = (s->pte_bytes == 4 ? pte >> 10 : pte >> 10 & ((1ull << 44) - 1)) << 12;
            continue;
        }
        bool ok;
        t->pa = leaf_address(rv, s, pte, va, level, &t->page_bits, &ok);
        Perms p = pte_perms(rv, pte, priv);
        if (!ok || (!debug && !allowed(p, access)))
            return fail(rv, page_fault[access]);
        uint64_t want = PTE_A | (access == MEM_STORE ? PTE_D : 0);
        if (!debug && (pte & want) != want) {
            bool fault;
            if (!set_ad(rv, s, at, pte, want, access, &fault)) {
                if (fault)
                    return false;
                goto again;
            }
            pte |= want;
        }
        t->load = p.load;
        t->store = p.store && (pte & PTE_D);
        t->fetch = p.fetch;
        t->global = pte & PTE_G;
        t->uncached = s->pte_bytes == 8 && (pte & PTE_PBMT);
        return true;
    }
    return fail(rv, page_fault[access]);
}

bool rv_translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug,
                     Translation *t)
{
    RvCpu *rv = (RvCpu *)cpu;
    unsigned priv = access == MEM_FETCH ? rv->priv : data_priv(rv);
    const Scheme *s = priv == RV_M ? NULL : scheme_of(rv, rv_satp_mode(rv));
    *t = (Translation){.pa = va & rv_xmask(rv), .page_bits = rv->rv32 ? 32 : 56,
                       .load = true, .store = true, .fetch = true};
    if (s && !walk(rv, s, va, access, priv, debug, t))
        return false;
    if (!s && !rv->rv32 && va >> 56)
        return fail(rv, access_fault[access]);
    /* A page's fetch side is judged by another privilege when MPRV is in force: an entry serves
     * only the kind of access that it was made for. */
    if (priv != rv->priv)
        t->fetch = false;
    if (access == MEM_FETCH && data_priv(rv) != rv->priv)
        t->load = t->store = false;
    Perms p = pmp_check(rv, t->pa, priv, &t->page_bits);
    if (!debug && !allowed(p, access))
        return fail(rv, access_fault[access]);
    t->load &= p.load;
    t->store &= p.store;
    t->fetch &= p.fetch;
    return true;
}

void rv_raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu)
{
    RvCpu *rv = (RvCpu *)cpu;
    rv_take_trap(rv, rv->fault, false, va);
}

void rv_raise_bus_error(Cpu *cpu, uint64_t va, uint64_t pa, MemAccess access)
{
    rv_take_trap((RvCpu *)cpu, access_fault[access], false, va);
}

void rv_raise_unaligned(Cpu *cpu, uint64_t va, MemAccess access)
{
    unsigned cause = access == MEM_STORE ? RV_X_STORE_MISALIGNED : RV_X_LOAD_MISALIGNED;
    rv_take_trap((RvCpu *)cpu, cause, false, va);
}

/*
 * The regime key: everything that rv_translate_va() looks at. Bits 0-15 are the ASID, which the
 * flushes select by; M mode without MPRV and bare translation have none.
 */
static uint64_t regime(const RvCpu *rv)
{
    unsigned data = data_priv(rv);
    uint64_t key = (uint64_t)rv->priv << 16 | (uint64_t)data << 18;
    if (data == RV_M)
        return key;
    key |= (uint64_t)rv_satp_mode(rv) << 20;
    if (rv_satp_mode(rv)) {
        key |= rv_asid(rv);
        key |= rv->mstatus & RV_SUM ? 1 << 24 : 0;
        key |= rv->mstatus & RV_MXR ? 1 << 25 : 0;
    }
    return key;
}

void rv_update_mode(RvCpu *rv)
{
    uint32_t mode = rv->priv | (uint32_t)rv->frm << RV_MODE_FRM_SHIFT;
    if (rv->mstatus & RV_FS)
        mode |= RV_MODE_FS_ON;
    if ((rv->mstatus & RV_FS) == RV_FS)
        mode |= RV_MODE_FS_DIRTY;
    rv->cpu.mode = mode;
    cpu_set_fp_mode(&rv->cpu, rv_engine_round(rv->frm));
    softmmu_select(&rv->cpu, regime(rv));
}
