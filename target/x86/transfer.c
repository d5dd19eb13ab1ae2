/* SPDX-License-Identifier: Apache-2.0 */
/* Registers to and from other engines (target/x86-state.h). Intel SDM vol. 3A. */
#include <string.h>
#include "target/x86-state.h"
#include "target/x86/cpu.h"

const uint32_t x86_req_events = X86_REQ_ALL;

static X86Seg *segment(X86Cpu *x, unsigned n)
{
    return n < 6 ? &x->seg[n] : n == X86_STATE_LDT ? &x->ldt : &x->tr;
}

void x86_state_get(Cpu *cpu, X86State *s)
{
    X86Cpu *x = x86_of(cpu);
    *s = (X86State){
        .rip = x86_ip(x), .rflags = x86_get_eflags(x), .gdt_base = x->gdt.base, .gdt_limit = x->gdt.limit,
        .idt_base = x->idt.base, .idt_limit = x->idt.limit, .cr0 = x->cr0, .cr2 = x->cr2, .cr3 = x->cr3,
        .cr4 = x->cr4, .efer = x->efer, .xcr0 = x->xcr0, .pkru = x->pkru, .shadow = x->shadow,
        .nmi_masked = x->nmi_masked, .in_smm = x->in_smm, .wait_sipi = x->wait_sipi, .queued = x->queued.kind,
        .queued_vector = x->queued.vector, .queued_error = x->queued.error,
        .queued_has_error = x->queued.has_error,
    };
    memcpy(s->regs, x->regs, sizeof(s->regs));
    memcpy(s->pdpte, x->pdpte, sizeof(s->pdpte));
    memcpy(s->dr, x->dr, sizeof(s->dr));
    for (unsigned n = 0; n < X86_STATE_SEGS; n++) {
        const X86Seg *g = segment(x, n);
        s->seg[n] = (X86StateSeg){.base = g->base, .limit = g->limit, .sel = g->sel, .attr = g->attr};
    }
    x86_xsave_image(x, s->xsave);
}

static void set_segments(X86Cpu *x, const X86State *s)
{
    bool protected = x86_protected(x) && !x86_vm86(x);
    for (unsigned n = 0; n < X86_STATE_SEGS; n++) {
        X86Seg *g = segment(x, n);
        const X86StateSeg *from = &s->seg[n];
        *g = (X86Seg){.base = from->base, .limit = from->limit, .sel = from->sel, .attr = from->attr};
        if (n < 6)
            x86_seg_bounds(g, protected);
    }
}

static void set_debug(X86Cpu *x, const X86State *s)
{
    bool changed = memcmp(x->dr, s->dr, 4 * sizeof(x->dr[0])) || x->dr[7] != s->dr[7];
    memcpy(x->dr, s->dr, sizeof(x->dr));
    if (changed)
        x86_update_watchpoints(x);
}

static void set_events(X86Cpu *x, const X86State *s)
{
    x->shadow = s->shadow;
    x->nmi_masked = s->nmi_masked;
    x->in_smm = s->in_smm;
    x->wait_sipi = s->wait_sipi;
    x->in_delivery = false;
    x->queued = (X86Queued){.kind = s->queued, .vector = s->queued_vector, .error = s->queued_error,
                            .has_error = s->queued_has_error};
    if (s->queued)
        cpu_request(&x->cpu, X86_REQ_QUEUED);
    if (s->nmi_pending)
        cpu_request(&x->cpu, X86_REQ_NMI);
}

void x86_state_set(Cpu *cpu, const X86State *s)
{
    X86Cpu *x = x86_of(cpu);
    memcpy(x->regs, s->regs, sizeof(x->regs));
    memcpy(x->pdpte, s->pdpte, sizeof(x->pdpte));
    x->gdt = (X86Table){s->gdt_base, s->gdt_limit};
    x->idt = (X86Table){s->idt_base, s->idt_limit};
    x->cr0 = s->cr0;
    x->cr2 = s->cr2;
    x->cr3 = s->cr3;
    x->cr4 = s->cr4;
    x->efer = s->efer;
    x->xcr0 = s->xcr0;
    x->pkru = s->pkru;
    x86_set_arith(x, s->rflags);
    x->eflags = s->rflags & ~(uint64_t)(FLAGS_ARITH | FLAG_1) & 0x3f7fff;
    set_segments(x, s);
    cpu->mode = ATTR_DPL(x->seg[SS].attr);
    set_debug(x, s);
    set_events(x, s);
    x->regime = ~0ull;
    x86_select_memory(x);
    x86_xsave_load(x, s->xsave);        /* recomputes the mode */
    cpu->pc = x86_linear_pc(x, s->rip);
}

bool x86_cpu_rdmsr(Cpu *cpu, uint32_t msr, uint64_t *value) { return x86_msr_read(x86_of(cpu), msr, value); }
bool x86_cpu_wrmsr(Cpu *cpu, uint32_t msr, uint64_t value) { return x86_msr_write(x86_of(cpu), msr, value); }

void x86_cpu_set_tsc(Cpu *cpu, uint64_t tsc)
{
    X86Cpu *x = x86_of(cpu);
    x->tsc_offset += (int64_t)(tsc - x86_tsc(x));
}

int64_t x86_cpu_tsc_offset(Cpu *cpu) { return x86_of(cpu)->tsc_offset; }
bool x86_cpu_in_smm(Cpu *cpu) { return x86_of(cpu)->in_smm; }

bool x86_cpu_tsc_set_by_user(Cpu *cpu) { return !x86_of(cpu)->tsc_default; }
void x86_cpu_set_tsc_hz(Cpu *cpu, uint64_t hz) { x86_of(cpu)->tsc_hz = hz; }

uint64_t x86_cpu_xcr0_known(Cpu *cpu) { return x86_xcr0_allowed(x86_of(cpu)); }

bool x86_cpu_intr(Cpu *cpu) { return __atomic_load_n(&x86_of(cpu)->intr, __ATOMIC_SEQ_CST); }

int x86_cpu_ack(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    return x->irq ? x->irq->ack(x->irq_opaque) : -1;
}

uint8_t x86_cpu_tpr(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    return x->irq && x->irq->get_tpr ? x->irq->get_tpr(x->irq_opaque) : x->cr8 << 4;
}

void x86_cpu_set_tpr(Cpu *cpu, uint8_t tpr)
{
    X86Cpu *x = x86_of(cpu);
    if (x->irq && x->irq->set_tpr)
        x->irq->set_tpr(x->irq_opaque, tpr);
    else
        x->cr8 = tpr >> 4;
}
