/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and interrupts. Intel SDM vol. 3A, chapter 6 and 20.3 (virtual-8086). */
#include "target/x86-state.h"
#include <string.h>
#include "target/x86/cpu.h"
#include "target/x86/decode.h"
#include "util/log.h"

static bool has_error_code(int vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static bool contributory(int v) { return v == EXC_DE || (v >= EXC_TS && v <= EXC_GP); }

/* ---- stacking ---- */

typedef struct Delivery {
    X86Cpu *x;
    int vector;
    uint32_t error;
    bool push_error;
    X86Event how;
    uint64_t ip;
    uint32_t flags;             /* image for the stack */
} Delivery;

static uint32_t idt_error(const Delivery *d) { return d->vector * 8 + 2; }

static void deliver_real(Delivery *d)
{
    X86Cpu *x = d->x;
    if (d->vector * 4u + 3 > x->idt.limit)
        x86_raise(x, EXC_GP, idt_error(d));
    uint32_t v = cpu_load(&x->cpu, x->idt.base + d->vector * 4, IR_M32);
    X86Stack s = x86_stack(x);
    x86_stack_push(&s, 2, d->flags);
    x86_stack_push(&s, 2, x->seg[CS].sel);
    x86_stack_push(&s, 2, d->ip);
    x86_stack_commit(&s);
    x->eflags &= ~(FLAG_I | FLAG_T | FLAG_AC | FLAG_R);
    x86_load_seg_real(x, CS, v >> 16);
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, v & 0xffff);
}

static void push_frame(Delivery *d, X86Stack *s, unsigned size)
{
    x86_stack_push(s, size, d->flags);
    x86_stack_push(s, size, d->x->seg[CS].sel);
    x86_stack_push(s, size, d->ip);
    if (d->push_error)
        x86_stack_push(s, size, d->error);
}

static void through_task_gate(Delivery *d, const uint32_t gate[2])
{
    X86Cpu *x = d->x;
    uint32_t tss[2];
    uint16_t sel = gate[0] >> 16;
    if (sel & 4 || !x86_fetch_descriptor(x, sel, tss) || (tss[1] >> 8 & 0x17) != 1)
        x86_raise(x, EXC_GP, sel & ~3);
    x86_task_switch(x, sel, tss, TASK_CALL, d->ip);
    if (d->push_error) {
        X86Stack s = x86_stack(x);
        x86_stack_push(&s, x->tr.attr & 8 ? 4 : 2, d->error);
        x86_stack_commit(&s);
    }
}

/* Reads the gate of the vector and checks it; ip of the handler in *ip. */
static void read_gate(Delivery *d, uint32_t gate[2], uint64_t *ip, unsigned *ist)
{
    X86Cpu *x = d->x;
    bool wide = x86_long(x);
    unsigned bytes = wide ? 16 : 8;
    if (d->vector * bytes + bytes - 1 > x->idt.limit)
        x86_raise(x, EXC_GP, idt_error(d));
    uint64_t at = x->idt.base + d->vector * bytes;
    uint64_t v = cpu_load(&x->cpu, at, IR_M64 | IR_MMU(MMU_SYSTEM));
    gate[0] = v;
    gate[1] = v >> 32;
    *ip = (gate[0] & 0xffff) | (gate[1] & 0xffff0000);
    *ist = 0;
    unsigned type = gate[1] >> 8 & 31;
    bool ok = type == 14 || type == 15 || (!wide && (type == 5 || type == 6 || type == 7));
    if (!ok || (d->how == EVENT_SOFTWARE && (gate[1] >> 13 & 3) < x86_cpl(x)))
        x86_raise(x, EXC_GP, idt_error(d));
    if (!(gate[1] & 1 << 15))
        x86_raise(x, EXC_NP, idt_error(d));
    if (wide) {
        *ip |= cpu_load(&x->cpu, at + 8, IR_M32 | IR_MMU(MMU_SYSTEM)) << 32;
        *ist = gate[1] & 7;
    } else if (!(type & 8)) {
        *ip &= 0xffff;
    }
}

static void handler_segment(Delivery *d, uint16_t sel, uint32_t cs[2])
{
    X86Cpu *x = d->x;
    if (!(sel & ~3))
        x86_raise(x, EXC_GP, 0);
    if (!x86_fetch_descriptor(x, sel, cs))
        x86_raise(x, EXC_GP, sel & ~3);
    bool code = (cs[1] >> 8 & 0x18) == 0x18, wide = cs[1] & 1 << 21, db = cs[1] & 1 << 22;
    if (!code || (cs[1] >> 13 & 3) > x86_cpl(x) || (x86_long(x) && (!wide || db)))
        x86_raise(x, EXC_GP, sel & ~3);
    if (!(cs[1] & 1 << 15))
        x86_raise(x, EXC_NP, sel & ~3);
}

static uint64_t ist_stack(X86Cpu *x, unsigned ist)
{
    unsigned at = 0x24 + 8 * (ist - 1);
    if (at + 7 > x->tr.limit)
        x86_raise(x, EXC_TS, x->tr.sel & ~3);
    return cpu_load(&x->cpu, x->tr.base + at, IR_M64 | IR_MMU(MMU_SYSTEM));
}

static void enter_handler(Delivery *d, uint32_t gate1, uint16_t sel, uint32_t cs[2], unsigned cpl,
                          uint64_t ip, X86Stack *s, const X86Seg *ss)
{
    X86Cpu *x = d->x;
    x->eflags &= ~(FLAG_T | FLAG_NT | FLAG_R | FLAG_VM);
    if (!(gate1 & 1 << 8))
        x->eflags &= ~FLAG_I;
    if (ss)
        x->seg[SS] = *ss;
    x86_set_cs(x, sel, cs, cpl, ip);
    x86_stack_commit(s);
    x86_update_mode(x);
}

static void deliver_long(Delivery *d)
{
    X86Cpu *x = d->x;
    uint32_t gate[2], cs[2];
    uint64_t ip;
    unsigned ist;
    read_gate(d, gate, &ip, &ist);
    uint16_t sel = gate[0] >> 16;
    handler_segment(d, sel, cs);
    unsigned old = x86_cpl(x), cpl = cs[1] & 1 << 10 ? old : cs[1] >> 13 & 3;
    X86Seg ss;
    X86Stack s = {.x = x, .mask = ~0ull, .sp = x->regs[RSP], .vector = EXC_SS,
                  .mmu = cpl == old ? MMU_CURRENT : MMU_SYSTEM};
    if (cpl != old && !ist)
        s = x86_inner_stack(x, cpl, &ss);
    else if (cpl != old)
        ss = (X86Seg){.sel = cpl, .attr = cpl << ATTR_DPL_SHIFT};
    if (ist)
        s.sp = ist_stack(x, ist);
    if (cpl != old)
        x86_seg_bounds(&ss, true);
    s.sp &= ~15ull;
    x86_stack_push(&s, 8, x->seg[SS].sel);
    x86_stack_push(&s, 8, x->regs[RSP]);
    push_frame(d, &s, 8);
    enter_handler(d, gate[1], sel, cs, cpl, ip, &s, cpl != old ? &ss : NULL);
}

static void push_vm86(X86Cpu *x, X86Stack *s, unsigned size)
{
    static const uint8_t order[4] = {GS, FS, DS, ES};
    for (unsigned n = 0; n < 4; n++)
        x86_stack_push(s, size, x->seg[order[n]].sel);
}

static void deliver_protected(Delivery *d)
{
    X86Cpu *x = d->x;
    uint32_t gate[2], cs[2];
    uint64_t ip;
    unsigned ist;
    read_gate(d, gate, &ip, &ist);
    if ((gate[1] >> 8 & 31) == 5) {
        through_task_gate(d, gate);
        return;
    }
    uint16_t sel = gate[0] >> 16;
    handler_segment(d, sel, cs);
    unsigned size = gate[1] & 1 << 11 ? 4 : 2, old = x86_cpl(x);
    unsigned cpl = cs[1] & 1 << 10 ? old : cs[1] >> 13 & 3;
    bool vm = x86_vm86(x);
    if (vm && cpl != 0)
        x86_raise(x, EXC_GP, sel & ~3);
    X86Seg ss;
    X86Stack s;
    if (cpl == old) {
        s = x86_stack(x);
        push_frame(d, &s, size);
    } else {
        s = x86_inner_stack(x, cpl, &ss);
        if (vm)
            push_vm86(x, &s, size);
        x86_stack_push(&s, size, x->seg[SS].sel);
        x86_stack_push(&s, size, x->regs[RSP]);
        push_frame(d, &s, size);
    }
    enter_handler(d, gate[1], sel, cs, cpl, ip, &s, cpl != old ? &ss : NULL);
    if (vm) {
        static const uint8_t data[4] = {ES, DS, FS, GS};
        for (unsigned n = 0; n < 4; n++)
            x86_load_seg_cache(x, data[n], 0, 0, 0, 0);
        x86_update_mode(x);
    }
}

void x86_deliver(X86Cpu *x, int vector, uint32_t error, X86Event how, uint64_t return_ip)
{
    bool exception = how == EVENT_FAULT || how == EVENT_TRAP;
    Delivery d = {.x = x, .vector = vector, .error = error, .how = how, .ip = return_ip,
                  .push_error = exception && has_error_code(vector), .flags = x86_get_eflags(x)};
    if (log_on(LOG_INT))
        log_write("x86 cpu %u: %s 0x%02x error %x at %04x:%" PRIx64 " cpl %u cr2 %" PRIx64 "\n",
                  x->cpu.index, exception ? "exception" : "interrupt", vector, error,
                  x->seg[CS].sel, return_ip, x86_cpl(x), x->cr2);
    if (vector == EXC_DB && exception) {
        x->dr[6] = (x->dr[6] & ~0xe00full) | 0xffff0ff0 | x->dr6_pending;
        x->dr6_pending = 0;
        x->dr[7] &= ~(1ull << 13);
    }
    if (how == EVENT_FAULT && vector != EXC_BP && vector != EXC_OF)
        d.flags |= FLAG_R;
    else if (how != EVENT_EXTERNAL)
        d.flags &= ~FLAG_R;
    x->shadow = false;
    x->in_delivery = true;
    x->delivering = vector;
    x->event = how;
    if (!x86_protected(x)) {
        d.push_error = false;
        deliver_real(&d);
    } else if (x86_long(x)) {
        deliver_long(&d);
    } else {
        deliver_protected(&d);
    }
    x->in_delivery = false;
}

/* Whether the TSS sends int n of virtual-8086 code to the program's own handler. */
static bool redirected(X86Cpu *x, int vector)
{
    if (!(x->cr4 & CR4_VME) || !(x->tr.attr & 8) || x->tr.limit < 0x67)
        return false;
    uint32_t ports = cpu_load(&x->cpu, x->tr.base + 0x66, IR_M16 | IR_MMU(MMU_SYSTEM));
    uint32_t at = ports - 32 + vector / 8;
    if (ports < 32 || at > x->tr.limit)
        return false;
    return !(cpu_load(&x->cpu, x->tr.base + at, IR_M8 | IR_MMU(MMU_SYSTEM)) >> (vector & 7) & 1);
}

void x86_int_vm86(X86Cpu *x, int vector, uint64_t next_ip)
{
    bool own = (x->eflags & FLAG_IOPL) == FLAG_IOPL;
    if (!redirected(x, vector)) {
        if (!own)
            x86_raise_gp(x, 0);
        x86_deliver(x, vector, 0, EVENT_SOFTWARE, next_ip);
        return;
    }
    uint32_t flags = x86_get_eflags(x);
    uint32_t v = cpu_load(&x->cpu, vector * 4, IR_M32 | IR_MMU(MMU_SYSTEM));
    X86Stack s = x86_stack(x);
    x86_stack_push(&s, 2, own ? flags : x86_virtual_flags(flags));
    x86_stack_push(&s, 2, x->seg[CS].sel);
    x86_stack_push(&s, 2, next_ip);
    x86_stack_commit(&s);
    x->eflags &= ~(FLAG_T | (own ? FLAG_I : FLAG_VIF));
    x86_load_seg_real(x, CS, v >> 16);
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, v & 0xffff);
}

void x86_triple_fault(X86Cpu *x)
{
    if (log_on(LOG_CPU_RESET) || log_on(LOG_INT))
        log_write("x86 cpu %u: triple fault at %04x:%" PRIx64 "\n", x->cpu.index, x->seg[CS].sel,
                  x86_ip(x));
    x->in_delivery = false;
    vm_request_reset(x->cpu.vm, CAUSE_GUEST_RESET);
    /* Stands still until the reset arrives. */
    x->wait_sipi = true;
    cpu_halt(&x->cpu);
    cpu_exit(&x->cpu);
}

/* A fault while another is being delivered. */
static void combine(X86Cpu *x, int *vector, uint32_t *error)
{
    if (!x->in_delivery)
        return;
    bool exception = x->event == EVENT_FAULT || x->event == EVENT_TRAP;
    int first = x->delivering;
    if (exception && first == EXC_DF)
        x86_triple_fault(x);
    bool both = contributory(first) ? contributory(*vector)
                                    : first == EXC_PF && (contributory(*vector) || *vector == EXC_PF);
    if (exception && both) {
        *vector = EXC_DF;
        *error = 0;
    } else if (x->event != EVENT_SOFTWARE && *vector >= EXC_TS && *vector <= EXC_GP) {
        *error |= 1;            /* EXT */
    }
}

static void deliver_fault(X86Cpu *x, int vector, uint32_t error)
{
    combine(x, &vector, &error);
    if (vector == EXC_DF && !x86_long(x) && !x86_protected(x) && x->in_delivery)
        x86_triple_fault(x);
    x86_deliver(x, vector, error, EVENT_FAULT, x86_ip(x));
}

void x86_raise(X86Cpu *x, int vector, uint32_t error)
{
    deliver_fault(x, vector, error);
    cpu_exit(&x->cpu);
}

/* ---- from the memory system ---- */

/* Whether the access that a non-canonical address stopped was one to the stack: those are #SS. */
static bool through_stack(X86Cpu *x, uint64_t va)
{
    uint8_t bytes[15];
    X86Insn i = {0};
    unsigned n = MIN(sizeof(bytes), 4096 - (x->cpu.pc & 4095));
    if (!cpu_debug_access(&x->cpu, x->cpu.pc, bytes, n, false) || !x86_decode(&i, bytes, n, 8) || !i.row)
        return false;
    bool pushes = i.row->flags & (ROW_D64 | ROW_F64);
    if (pushes && (!i.has_mem || va - (x->regs[RSP] - 16) < 32))
        return true;
    return i.has_mem && i.seg < FS && (i.base == RSP || i.base == RBP);
}

void x86_raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu)
{
    X86Cpu *x = x86_of(cpu);
    if (x->fault_vector == EXC_GP && access != MEM_FETCH && mmu == MMU_CURRENT && x86_code64(x) &&
        !x->in_delivery && through_stack(x, va))
        x->fault_vector = EXC_SS;
    if (x->fault_vector == EXC_PF)
        x->cr2 = va;
    deliver_fault(x, x->fault_vector, x->fault_error);
}

void x86_raise_unaligned(Cpu *cpu, uint64_t va, MemAccess access)
{
    X86Cpu *x = x86_of(cpu);
    if (x->cpu.mode & MODE_AC)
        deliver_fault(x, EXC_AC, 0);
    else
        deliver_fault(x, EXC_GP, 0);    /* vector accesses that must be aligned */
}

/* ---- interrupts ---- */

static void wake(X86Cpu *x)
{
    __atomic_store_n(&x->cpu.halted, false, __ATOMIC_SEQ_CST);
    x->monitor_armed = false;
}

static bool take_interrupt(X86Cpu *x)
{
    cpu_unrequest(&x->cpu, CPU_REQ_IRQ);
    if (!__atomic_load_n(&x->intr, __ATOMIC_SEQ_CST) || !(x->eflags & FLAG_I) || x->shadow || !x->irq)
        return false;
    int vector = x->irq->ack(x->irq_opaque);
    if (vector < 0)
        return false;
    wake(x);
    x86_deliver(x, vector, 0, EVENT_EXTERNAL, x86_ip(x));
    return true;
}

static void start_at(X86Cpu *x, uint8_t vector)
{
    x->wait_sipi = false;
    wake(x);
    x86_load_seg_real(x, CS, vector << 8);
    x86_update_mode(x);
    x->cpu.pc = x->seg[CS].base;
}

/* What INIT leaves alone, unlike reset. Intel SDM vol. 3A, table 10-1. */
static const struct { uint32_t at, size; } kept_by_init[] = {
#define KEEP(m) {offsetof(X86Cpu, m), sizeof(((X86Cpu *)0)->m)}
    KEEP(xmm), KEEP(st), KEEP(fcw), KEEP(fsw), KEEP(ftop), KEEP(fempty), KEEP(fop), KEEP(fcs), KEEP(fds),
    KEEP(fip), KEEP(fdp), KEEP(star), KEEP(lstar), KEEP(cstar), KEEP(fmask), KEEP(kernel_gs_base),
    KEEP(sysenter_cs), KEEP(sysenter_esp), KEEP(sysenter_eip), KEEP(xcr0), KEEP(xss), KEEP(pkru),
    KEEP(tsc_aux), KEEP(pat), KEEP(mtrr_def), KEEP(mtrr_fixed), KEEP(mtrr), KEEP(mcg_status), KEEP(mcg_ctl),
    KEEP(mc), KEEP(misc_enable), KEEP(feature_control), KEEP(spec_ctrl), KEEP(tsc_offset), KEEP(tsc_adjust),
    KEEP(smbase), KEEP(kvm_clock), KEEP(kvm_wall_clock), KEEP(a20),
};

static void init(X86Cpu *x)
{
    g_autofree uint8_t *old = g_malloc(sizeof(X86Cpu));
    uint64_t cd = x->cr0 & (CR0_CD | CR0_NW);
    uint32_t mxcsr = x86_get_mxcsr(x);
    memcpy(old, x, sizeof(X86Cpu));
    x86_reset(&x->cpu);
    for (unsigned n = 0; n < G_N_ELEMENTS(kept_by_init); n++)
        memcpy((uint8_t *)x + kept_by_init[n].at, old + kept_by_init[n].at, kept_by_init[n].size);
    x86_set_mxcsr(x, mxcsr);
    x->cr0 = (x->cr0 & ~(uint64_t)(CR0_CD | CR0_NW)) | cd;
    x86_select_memory(x);
    if (x->irq && x->irq->init)
        x->irq->init(x->irq_opaque);
    if (!x->bsp) {
        x->wait_sipi = true;
        x->cpu.halted = true;
    } else {
        wake(x);
    }
    x86_update_mode(x);
}

static bool take(X86Cpu *x, uint32_t bit)
{
    if (!(__atomic_load_n(&x->cpu.req, __ATOMIC_SEQ_CST) & bit))
        return false;
    cpu_unrequest(&x->cpu, bit);
    return true;
}

/* What another engine began; a fault, not an instruction, is what it returns to. */
static void deliver_queued(X86Cpu *x)
{
    static const X86Event events[] = {
        [X86_QUEUED_FAULT] = EVENT_FAULT, [X86_QUEUED_TRAP] = EVENT_TRAP,
        [X86_QUEUED_SOFTWARE] = EVENT_SOFTWARE, [X86_QUEUED_EXTERNAL] = EVENT_EXTERNAL,
    };
    X86Queued q = x->queued;
    x->queued.kind = X86_QUEUED_NONE;
    x86_deliver(x, q.vector, q.error, events[q.kind], x86_ip(x));
}

/* A request that must wait leaves the request word, or the CPU would do nothing but look at it;
 * x86_update_mode() puts it back. */
static bool take_unless(X86Cpu *x, uint32_t bit, bool blocked)
{
    if (!take(x, bit))
        return false;
    if (blocked)
        x->held |= bit;
    return !blocked;
}

void x86_release_held(X86Cpu *x)
{
    uint32_t may = x->in_smm ? 0 : X86_REQ_SMI | X86_REQ_INIT;
    if (!x->nmi_masked && !x->shadow)
        may |= X86_REQ_NMI;
    may &= x->held;
    x->held &= ~may;
    cpu_request(&x->cpu, may);
}

bool x86_interrupt(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (take(x, X86_REQ_QUEUED) && x->queued.kind) {
        deliver_queued(x);
        return true;
    }
    if (take(x, X86_REQ_A20))
        x86_select_memory(x);
    if (take(x, X86_REQ_RESET)) {
        x86_reset(cpu);
        return true;
    }
    if (take_unless(x, X86_REQ_INIT, x->in_smm)) {
        init(x);
        return true;
    }
    if (take(x, X86_REQ_SIPI) && x->wait_sipi) {
        start_at(x, __atomic_load_n(&x->sipi_vector, __ATOMIC_SEQ_CST));
        return true;
    }
    if (x->wait_sipi) {
        cpu_unrequest(cpu, CPU_REQ_IRQ);
        return false;
    }
    if (take_unless(x, X86_REQ_SMI, x->in_smm)) {
        bool halted = cpu->halted;
        wake(x);
        x86_smm_enter(x, halted);
        return true;
    }
    if (take(x, X86_REQ_TRAP)) {
        x86_deliver(x, EXC_DB, 0, EVENT_TRAP, x86_ip(x));
        return true;
    }
    if (take_unless(x, X86_REQ_NMI, x->nmi_masked || x->shadow)) {
        wake(x);
        x->nmi_masked = true;
        x86_deliver(x, EXC_NMI, 0, EVENT_EXTERNAL, x86_ip(x));
        return true;
    }
    return take_interrupt(x);
}

bool x86_has_work(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t req = __atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST);
    if (x->irq && x->irq->never_halts)
        return true;
    if (req & (X86_REQ_INIT | X86_REQ_RESET | X86_REQ_QUEUED))
        return true;
    if (x->wait_sipi)
        return req & X86_REQ_SIPI;
    if ((req & X86_REQ_SMI && !x->in_smm) || (req & X86_REQ_NMI && !x->nmi_masked))
        return true;
    return __atomic_load_n(&x->intr, __ATOMIC_SEQ_CST) && x->eflags & FLAG_I;
}

/* Data breakpoints of the guest: a watchpoint set for dr0-3 was hit. */
void x86_debug_exception(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    const CpuWatch *hit = cpu->watch_hit;
    for (unsigned n = 0; hit && n < 4; n++) {
        const CpuWatch *w = &x->watching[n];
        if (w->len && hit->addr < w->addr + w->len && w->addr < hit->addr + hit->len)
            x->dr6_pending |= 1 << n;
    }
    x86_deliver(x, EXC_DB, 0, EVENT_TRAP, x86_ip(x));
}
