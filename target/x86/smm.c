/* SPDX-License-Identifier: Apache-2.0 */
/* System management mode. The AMD64 state-save layout for CPUs with long mode, the P6 one else.
 * AMD APM vol. 2, 10.2; Intel SDM vol. 3C, chapter 32. */
#include "target/x86/cpu.h"

/* Both directions walk the same rows, so that what is saved is what is restored. */
typedef struct Area {
    X86Cpu *x;
    bool load;
    uint16_t halted;            /* it stood in hlt; the handler may decide that it does not go back */
} Area;

static void item(Area *a, uint32_t at, void *member, unsigned bytes)
{
    uint64_t pa = a->x->smbase + 0x8000 + at;
    if (a->load)
        as_read(a->x->cpu.memory, pa, member, bytes);
    else
        as_write(a->x->cpu.memory, pa, member, bytes);
}

#define ITEM(at, m) item(a, at, &x->m, sizeof(x->m))

static void seg64(Area *a, uint32_t at, X86Seg *s)
{
    item(a, at, &s->sel, 2);
    item(a, at + 2, &s->attr, 2);
    item(a, at + 4, &s->limit, 4);
    item(a, at + 8, &s->base, 8);
}

static void area64(Area *a, uint64_t *rip, uint64_t *rflags)
{
    X86Cpu *x = a->x;
    static const uint8_t order[16] = {RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, 8, 9, 10, 11, 12, 13, 14, 15};
    for (unsigned n = 0; n < 6; n++)
        seg64(a, 0x7e00 + 16 * n, &x->seg[n]);
    seg64(a, 0x7e70, &x->ldt);
    seg64(a, 0x7e90, &x->tr);
    item(a, 0x7e68, &x->gdt.base, 8);
    item(a, 0x7e64, &x->gdt.limit, 4);
    item(a, 0x7e88, &x->idt.base, 8);
    item(a, 0x7e84, &x->idt.limit, 4);
    ITEM(0x7ed0, efer);
    for (unsigned n = 0; n < 16; n++)
        item(a, 0x7ff8 - 8 * n, &x->regs[order[n]], 8);
    item(a, 0x7f78, rip, 8);
    item(a, 0x7f70, rflags, 8);
    ITEM(0x7f68, dr[6]);
    ITEM(0x7f60, dr[7]);
    ITEM(0x7f58, cr0);
    ITEM(0x7f50, cr3);
    ITEM(0x7f48, cr4);
    item(a, 0x7f00, &x->smbase, 4);
    item(a, 0x7ec9, &a->halted, 1);
}

static void seg32(Area *a, uint32_t sel, uint32_t at, X86Seg *s)
{
    uint32_t base = s->base, attr = (uint32_t)s->attr << 8;
    item(a, sel, &s->sel, 2);
    item(a, at + 8, &attr, 4);
    item(a, at + 4, &base, 4);
    item(a, at, &s->limit, 4);
    if (a->load) {
        s->base = base;
        s->attr = attr >> 8;
    }
}

static void area32(Area *a, uint64_t *rip, uint64_t *rflags)
{
    X86Cpu *x = a->x;
    static const uint16_t seg_at[6] = {0x7f84, 0x7f90, 0x7f9c, 0x7f2c, 0x7f38, 0x7f44};
    item(a, 0x7ffc, &x->cr0, 4);
    item(a, 0x7ff8, &x->cr3, 4);
    item(a, 0x7ff4, rflags, 4);
    item(a, 0x7ff0, rip, 4);
    for (unsigned n = 0; n < 8; n++)
        item(a, 0x7fec - 4 * (7 - n), &x->regs[7 - n], 4);
    item(a, 0x7fcc, &x->dr[6], 4);
    item(a, 0x7fc8, &x->dr[7], 4);
    seg32(a, 0x7fc4, 0x7f64, &x->tr);
    seg32(a, 0x7fc0, 0x7f80 - 0x0, &x->ldt);
    for (unsigned n = 0; n < 6; n++)
        seg32(a, 0x7fa8 + 4 * n, seg_at[n], &x->seg[n]);
    item(a, 0x7f74, &x->gdt.base, 4);
    item(a, 0x7f70, &x->gdt.limit, 4);
    item(a, 0x7f58, &x->idt.base, 4);
    item(a, 0x7f54, &x->idt.limit, 4);
    item(a, 0x7f14, &x->cr4, 4);
    item(a, 0x7ef8, &x->smbase, 4);
    item(a, 0x7f02, &a->halted, 2);
}

/* Returns whether it was halted. */
static bool transfer(X86Cpu *x, bool load, bool halted, uint64_t *rip, uint64_t *rflags)
{
    Area a = {x, load, halted};
    if (x86_has(x, X86_F_lm))
        area64(&a, rip, rflags);
    else
        area32(&a, rip, rflags);
    return a.halted & 1;
}

void x86_cpu_set_smm_memory(Cpu *cpu, AddressSpace *as) { x86_of(cpu)->smm_memory = as; }

/* A20M# has no effect in system management mode (SDM vol. 3C, 32.3.3). */
void x86_select_memory(X86Cpu *x)
{
    x->a20_mask = x->a20 || x->in_smm ? ~0ull : ~(1ull << 20);
    softmmu_set_memory(&x->cpu, x->in_smm && x->smm_memory ? x->smm_memory : x->cpu.vm->memory);
}

void x86_smm_enter(X86Cpu *x, bool halted)
{
    uint64_t rip = x86_ip(x), rflags = x86_get_eflags(x);
    uint32_t revision = x86_has(x, X86_F_lm) ? 0x00020064 : 0x00020000;
    x->saved_cpl = x86_cpl(x);
    x->in_smm = true;
    x->smm_nmi = x->nmi_masked;
    x->nmi_masked = true;
    x86_select_memory(x);
    transfer(x, false, halted, &rip, &rflags);
    as_write(x->cpu.memory, x->smbase + 0xfefc, &revision, 4);
    x86_set_arith(x, 0);
    x->eflags = 0;
    x->efer = 0;
    x->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    x->cr4 = 0;
    x->dr[7] = 0x400;
    x86_update_watchpoints(x);
    x->cpu.mode = 0;
    x86_load_seg_cache(x, CS, (uint16_t)(x->smbase >> 4), x->smbase, 0xffffffff, 0x93 | ATTR_G);
    for (int n = 0; n < 6; n++) {
        if (n != CS)
            x86_load_seg_cache(x, n, 0, 0, 0xffffffff, 0x93 | ATTR_G);
    }
    x86_update_mode(x);
    x->cpu.pc = x->smbase + 0x8000;
}

void x86_smm_leave(X86Cpu *x)
{
    uint64_t rip = 0, rflags = 0;
    bool halted = transfer(x, true, false, &rip, &rflags);
    x->in_smm = false;
    x->nmi_masked = x->smm_nmi;
    x->cpu.mode = x->saved_cpl;
    for (unsigned n = 0; n < 6; n++)
        x86_seg_bounds(&x->seg[n], x86_protected(x) && !(rflags & FLAG_VM));
    x86_set_arith(x, rflags);
    x->eflags = rflags & 0x3f7fff & ~(FLAGS_ARITH | FLAG_1);
    x86_select_memory(x);
    x86_update_watchpoints(x);
    if (x->cr0 & CR0_PG && x->cr4 & CR4_PAE && !x86_long(x))
        x86_load_pdptes(x, x->cr3);
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, rip);
    if (halted)
        cpu_halt(&x->cpu);
}
