/* SPDX-License-Identifier: Apache-2.0 */
/* Page walks and control registers. Intel SDM vol. 3A, chapter 4 and 2.5. */
#include "target/x86/cpu.h"

enum {
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64, PTE_PS = 128, PTE_G = 256,
    PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32,
};
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

bool x86_canonical(const X86Cpu *x, uint64_t va)
{
    if (!x86_long(x))
        return va <= 0xffffffff;
    unsigned up = x->cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(va << up) >> up) == va;
}

typedef struct Walk {
    X86Cpu *x;
    uint64_t va;
    MemAccess access;
    bool user, debug, implicit;
    uint64_t reserved;          /* bits that must be clear in every entry */
    uint64_t perms;             /* AND of the entries' W and U bits */
    bool nx;
    bool failed_bus;
} Walk;

static bool fail(Walk *w, uint32_t why)
{
    X86Cpu *x = w->x;
    x->fault_vector = EXC_PF;
    x->fault_error = why | (w->access == MEM_STORE ? PF_W : 0) | (w->user ? PF_U : 0);
    if (w->access == MEM_FETCH && ((x->efer & EFER_NX && x->cr4 & CR4_PAE) || x->cr4 & CR4_SMEP))
        x->fault_error |= PF_I;
    return false;
}

static bool load_entry(Walk *w, uint64_t at, unsigned mop, uint64_t *e)
{
    *e = 0;
    return cpu_phys_load(&w->x->cpu, at & w->x->a20_mask, mop, e);
}

/* Sets the accessed (and dirty) bit; false: the entry changed, walk again. */
static bool mark(Walk *w, uint64_t at, uint64_t e, uint64_t bits, unsigned mop)
{
    if ((e & bits) == bits || w->debug)
        return true;
    return cpu_phys_cas(&w->x->cpu, at & w->x->a20_mask, e, e | bits, mop);
}

static bool pkey_refuses(const Walk *w, uint64_t leaf)
{
    X86Cpu *x = w->x;
    if (!(x->cr4 & CR4_PKE) || !x86_long(x) || w->access == MEM_FETCH)
        return false;
    unsigned key = leaf >> 59 & 15, bits = x->pkru >> 2 * key & 3;
    return bits & 1 || (bits & 2 && w->access == MEM_STORE && (w->user || x->cr0 & CR0_WP));
}

/* The rights at the end of a walk. `leaf`: last entry. Sets t's permissions. */
static bool rights(Walk *w, uint64_t leaf, Translation *t)
{
    X86Cpu *x = w->x;
    bool page_user = w->perms & PTE_U, writable = w->perms & PTE_W;
    bool smap = !w->user && page_user && x->cr4 & CR4_SMAP &&
                (w->implicit || !(x->eflags & FLAG_AC));
    t->load = w->user ? page_user : !smap;
    t->store = t->load && (writable || (!w->user && !(x->cr0 & CR0_WP)));
    t->fetch = (w->user ? page_user : !(page_user && x->cr4 & CR4_SMEP)) && !w->nx;
    bool ok = w->access == MEM_LOAD ? t->load : w->access == MEM_STORE ? t->store : t->fetch;
    if (!ok)
        return fail(w, PF_P);
    if (page_user && x->cr4 & CR4_PKE && x86_long(x)) {
        if (pkey_refuses(w, leaf))
            return fail(w, PF_P | PF_PK);
        unsigned bits = x->pkru >> 2 * (leaf >> 59 & 15) & 3;
        if (bits & 1)
            t->load = false;
        if (bits & 1 || (bits & 2 && (w->user || x->cr0 & CR0_WP)))
            t->store = false;
    }
    return true;
}

static void finish(Walk *w, uint64_t leaf, unsigned page_bits, uint64_t frame, Translation *t)
{
    X86Cpu *x = w->x;
    uint64_t mask = (1ull << page_bits) - 1;
    t->pa = ((frame & ~mask) | (w->va & mask)) & x->a20_mask;
    t->page_bits = x->a20_mask == ~0ull ? page_bits : 12;
    t->global = leaf & PTE_G && x->cr4 & CR4_PGE;
    t->uncached = leaf & 0x10;
    if (!(leaf & PTE_D) && w->access != MEM_STORE)
        t->store = false;
}

enum { WALK_OK, WALK_FAULT, WALK_AGAIN };

/* PAE, 4 and 5 levels: entries of 8 bytes from `level` (1 is the page table) down. */
static int walk_wide(Walk *w, uint64_t table, unsigned level, Translation *t)
{
    X86Cpu *x = w->x;
    bool nx_on = x->efer & EFER_NX;
    for (; ; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t at = (table & PTE_ADDR) + (w->va >> shift & 511) * 8, e;
        if (!load_entry(w, at, IR_M64, &e) || !(e & PTE_P))
            return fail(w, 0), WALK_FAULT;
        bool leaf = level == 1 || (e & PTE_PS && level <= 3);
        uint64_t bad = w->reserved | (nx_on ? 0 : PTE_NX);
        if (level > 3 || (level == 3 && !x86_has(x, X86_F_pdpe1gb)))
            bad |= PTE_PS;
        if (leaf && level > 1)
            bad |= ((1ull << shift) - 1) & ~0x1fffull;
        if (e & bad)
            return fail(w, PF_P | PF_RSVD), WALK_FAULT;
        w->perms &= e;
        w->nx |= e >> 63 & nx_on;
        if (leaf) {
            if (!rights(w, e, t))
                return WALK_FAULT;
            uint64_t bits = PTE_A | (w->access == MEM_STORE ? PTE_D : 0);
            if (!mark(w, at, e, bits, IR_M64))
                return WALK_AGAIN;
            finish(w, e | bits, shift, e & PTE_ADDR, t);
            return WALK_OK;
        }
        if (!mark(w, at, e, PTE_A, IR_M64))
            return WALK_AGAIN;
        table = e;
    }
}

static int walk_32(Walk *w, Translation *t)
{
    X86Cpu *x = w->x;
    uint64_t at = (x->cr3 & 0xfffff000) + (w->va >> 22 & 1023) * 4, e;
    if (!load_entry(w, at, IR_M32, &e) || !(e & PTE_P))
        return fail(w, 0), WALK_FAULT;
    bool big = e & PTE_PS && x->cr4 & CR4_PSE;
    uint64_t bits = PTE_A | (w->access == MEM_STORE ? PTE_D : 0);
    if (big) {
        uint64_t frame = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
        if (e & 1 << 21)
            return fail(w, PF_P | PF_RSVD), WALK_FAULT;
        w->perms &= e;
        if (!rights(w, e, t))
            return WALK_FAULT;
        if (!mark(w, at, e, bits, IR_M32))
            return WALK_AGAIN;
        finish(w, e | bits, 22, frame, t);
        return WALK_OK;
    }
    if (!mark(w, at, e, PTE_A, IR_M32))
        return WALK_AGAIN;
    w->perms &= e;
    at = (e & 0xfffff000) + (w->va >> 12 & 1023) * 4;
    if (!load_entry(w, at, IR_M32, &e) || !(e & PTE_P))
        return fail(w, 0), WALK_FAULT;
    w->perms &= e;
    if (!rights(w, e, t))
        return WALK_FAULT;
    if (!mark(w, at, e, bits, IR_M32))
        return WALK_AGAIN;
    finish(w, e | bits, 12, e & 0xfffff000, t);
    return WALK_OK;
}

static int walk(Walk *w, Translation *t)
{
    X86Cpu *x = w->x;
    w->perms = PTE_W | PTE_U;
    w->nx = false;
    w->reserved = PTE_ADDR & ~((1ull << x->phys_bits) - 1);
    if (x86_long(x))
        return walk_wide(w, x->cr3, x->cr4 & CR4_LA57 ? 5 : 4, t);
    if (!(x->cr4 & CR4_PAE))
        return walk_32(w, t);
    w->reserved |= 0x7ff0000000000000ull;
    uint64_t e = x->pdpte[w->va >> 30 & 3];
    if (!(e & PTE_P))
        return fail(w, 0), WALK_FAULT;
    return walk_wide(w, e, 2, t);
}

bool x86_translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug, Translation *t)
{
    X86Cpu *x = x86_of(cpu);
    *t = (Translation){0};
    if (!(x->cr0 & CR0_PG)) {
        t->pa = (uint32_t)va & x->a20_mask;
        t->page_bits = 12;
        t->load = t->store = t->fetch = true;
        return true;
    }
    if (!x86_canonical(x, va)) {
        x->fault_vector = EXC_GP;
        x->fault_error = 0;
        return false;
    }
    Walk w = {.x = x, .va = va, .access = access, .debug = debug, .implicit = mmu == MMU_SYSTEM,
              .user = mmu == MMU_CURRENT && x86_cpl(x) == 3};
    if (debug) {                /* the debugger sees all that is mapped */
        w.user = false;
        w.access = MEM_LOAD;
    }
    int r;
    while ((r = walk(&w, t)) == WALK_AGAIN)
        ;
    if (debug && r == WALK_FAULT && x->fault_error & PF_P && t->page_bits == 0)
        return false;
    return r == WALK_OK;
}

/* ---- regimes ---- */

static uint64_t pcid(const X86Cpu *x) { return x->cr4 & CR4_PCIDE ? x->cr3 & 0xfff : 0; }

/* Key: bit 0 user, 1 supervisor with AC under SMAP, 2 SMM; pcid from bit 4. */
enum { KEY_PCID_SHIFT = 4 };

void x86_select_regime(X86Cpu *x)
{
    bool user = x86_cpl(x) == 3;
    bool ac = !user && x->cr4 & CR4_SMAP && x->eflags & FLAG_AC;
    uint64_t base = pcid(x) << KEY_PCID_SHIFT | (x->in_smm ? 4 : 0), key = base | user | ac << 1;
    if (key == x->regime)
        return;
    if ((key ^ x->regime) & ~3ull)
        softmmu_set_index(&x->cpu, MMU_SYSTEM, base);
    x->regime = key;
    softmmu_select(&x->cpu, key);
}

/* ---- control registers ---- */

void x86_load_pdptes(X86Cpu *x, uint64_t cr3)
{
    uint64_t e[4];
    for (unsigned n = 0; n < 4; n++) {
        e[n] = 0;
        cpu_phys_load(&x->cpu, ((cr3 & 0xffffffe0) + 8 * n) & x->a20_mask, IR_M64, &e[n]);
        uint64_t bad = 0x1e6 | ~((1ull << x->phys_bits) - 1);
        if (e[n] & PTE_P && e[n] & bad)
            x86_raise_gp(x, 0);
    }
    for (unsigned n = 0; n < 4; n++)
        x->pdpte[n] = e[n];
}

static bool pae_paging(const X86Cpu *x)
{
    return x->cr0 & CR0_PG && x->cr4 & CR4_PAE && !x86_long(x);
}

void x86_write_cr0(X86Cpu *x, uint64_t v)
{
    uint64_t old = x->cr0;
    bool pg = v & CR0_PG;
    if (v >> 32 || (pg && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)))
        x86_raise_gp(x, 0);
    v = (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) |
        CR0_ET;
    if (pg && !(old & CR0_PG) && x->efer & EFER_LME) {
        if (!(x->cr4 & CR4_PAE) || x->seg[CS].attr & ATTR_L)
            x86_raise_gp(x, 0);
        x->efer |= EFER_LMA;
    } else if (!pg && old & CR0_PG) {
        if (x->cr4 & CR4_PCIDE || x86_code64(x))
            x86_raise_gp(x, 0);
        x->efer &= ~(uint64_t)EFER_LMA;
    }
    x->cr0 = v;
    bool load = pae_paging(x) && (old ^ v) & (CR0_PG | CR0_CD | CR0_NW);
    if (load) {
        x->cr0 = old;           /* should it raise */
        x86_load_pdptes(x, x->cr3);
        x->cr0 = v;
    }
    if ((old ^ v) & (CR0_PG | CR0_WP | CR0_PE))
        softmmu_flush(&x->cpu);
    for (unsigned n = 0; n < 6 && (old ^ v) & CR0_PE; n++)
        x86_seg_bounds(&x->seg[n], v & CR0_PE);
    x86_update_mode(x);
}

void x86_write_cr3(X86Cpu *x, uint64_t v)
{
    bool keep = false;
    if (x->cr4 & CR4_PCIDE) {
        keep = v >> 63;
        v &= ~(1ull << 63);
    }
    if (x86_long(x) && v >> x->phys_bits)
        x86_raise_gp(x, 0);
    if (pae_paging(x))
        x86_load_pdptes(x, v);
    x->cr3 = x86_long(x) ? v : (uint32_t)v;
    if (!keep)
        softmmu_flush_nonglobal(&x->cpu, 0xfffull << KEY_PCID_SHIFT, pcid(x) << KEY_PCID_SHIFT);
    x86_select_regime(x);
}

static uint64_t cr4_allowed(const X86Cpu *x)
{
    static const struct { int feature; uint64_t bit; } rows[] = {
        {X86_F_tsc, CR4_TSD}, {X86_F_de, CR4_DE}, {X86_F_pse, CR4_PSE}, {X86_F_pae, CR4_PAE},
        {X86_F_mce, CR4_MCE}, {X86_F_pge, CR4_PGE}, {X86_F_fxsr, CR4_OSFXSR},
        {X86_F_sse, CR4_OSXMMEXCPT}, {X86_F_umip, CR4_UMIP}, {X86_F_la57, CR4_LA57},
        {X86_F_fsgsbase, CR4_FSGSBASE}, {X86_F_pcid, CR4_PCIDE}, {X86_F_xsave, CR4_OSXSAVE},
        {X86_F_smep, CR4_SMEP}, {X86_F_smap, CR4_SMAP}, {X86_F_pku, CR4_PKE},
        {X86_F_vme, CR4_VME | CR4_PVI},
    };
    uint64_t allowed = CR4_PCE;
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
        if (x86_has(x, rows[n].feature))
            allowed |= rows[n].bit;
    }
    return allowed;
}

void x86_write_cr4(X86Cpu *x, uint64_t v)
{
    uint64_t old = x->cr4, changed = old ^ v;
    if (v & ~cr4_allowed(x))
        x86_raise_gp(x, 0);
    if (x86_long(x) && (!(v & CR4_PAE) || changed & CR4_LA57))
        x86_raise_gp(x, 0);
    if (changed & v & CR4_PCIDE && (!x86_long(x) || x->cr3 & 0xfff))
        x86_raise_gp(x, 0);
    x->cr4 = v;
    if (pae_paging(x) && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) {
        x->cr4 = old;
        x86_load_pdptes(x, x->cr3);
        x->cr4 = v;
    }
    if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57))
        softmmu_flush(&x->cpu);
    x86_update_mode(x);
}
