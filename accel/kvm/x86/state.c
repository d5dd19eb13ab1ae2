/* SPDX-License-Identifier: Apache-2.0 */
/* Registers in and out. Linux Documentation/virt/kvm/api.rst: 4.11 to 4.14, 4.31 to 4.45, 4.131. */
#include <errno.h>
#include <string.h>

#include "accel/kvm/x86/x86.h"

enum { CR0_PG = 31, CR4_PAE = 5, EFER_LMA = 10, NMI_VECTOR = 2, INVALID_OPCODE = 6 };

/* ---- segments ---- */

static struct kvm_segment to_kvm_seg(const X86StateSeg *s)
{
    return (struct kvm_segment){
        .base = s->base, .limit = s->limit, .selector = s->sel, .type = s->attr & 15,
        .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3, .present = s->attr >> 7 & 1,
        .avl = s->attr >> 12 & 1, .l = s->attr >> 13 & 1, .db = s->attr >> 14 & 1,
        .g = s->attr >> 15 & 1, .unusable = !(s->attr >> 7 & 1),
    };
}

static X86StateSeg from_kvm_seg(const struct kvm_segment *s)
{
    unsigned attr = s->type | s->s << 4 | s->dpl << 5 | (s->present && !s->unusable) << 7 |
                    s->avl << 12 | s->l << 13 | s->db << 14 | s->g << 15;

    return (X86StateSeg){.base = s->base, .limit = s->limit, .sel = s->selector, .attr = (uint16_t)attr};
}

/* ---- system registers ---- */

static bool pae_tables(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cr0 >> CR0_PG & 1 && cr4 >> CR4_PAE & 1 && !(efer >> EFER_LMA & 1);
}

static bool set_sregs(KvmCpu *c, const struct kvm_sregs2 *s)
{
    if (x86_kvm(c)->sregs2) {
        return kvm_ioctl(c->fd, KVM_SET_SREGS2, s) == 0;
    }
    struct kvm_sregs old = {0};
    memcpy(&old, s, offsetof(struct kvm_sregs2, flags));
    return kvm_ioctl(c->fd, KVM_SET_SREGS, &old) == 0;
}

static bool get_sregs(KvmCpu *c, struct kvm_sregs2 *s)
{
    if (x86_kvm(c)->sregs2) {
        return kvm_ioctl(c->fd, KVM_GET_SREGS2, s) == 0;
    }
    struct kvm_sregs old;
    bool ok = kvm_ioctl(c->fd, KVM_GET_SREGS, &old) == 0;
    memcpy(s, &old, offsetof(struct kvm_sregs2, flags));
    return ok;
}

static bool put_system(KvmCpu *c, const X86State *s)
{
    struct kvm_sregs2 r = {
        .cs = to_kvm_seg(&s->seg[X86_STATE_CS]), .ds = to_kvm_seg(&s->seg[X86_STATE_DS]),
        .es = to_kvm_seg(&s->seg[X86_STATE_ES]), .fs = to_kvm_seg(&s->seg[X86_STATE_FS]),
        .gs = to_kvm_seg(&s->seg[X86_STATE_GS]), .ss = to_kvm_seg(&s->seg[X86_STATE_SS]),
        .tr = to_kvm_seg(&s->seg[X86_STATE_TR]), .ldt = to_kvm_seg(&s->seg[X86_STATE_LDT]),
        .gdt = {.base = s->gdt_base, .limit = (uint16_t)s->gdt_limit},
        .idt = {.base = s->idt_base, .limit = (uint16_t)s->idt_limit},
        .cr0 = s->cr0, .cr2 = s->cr2, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer,
        .cr8 = x86_cpu_tpr(c->cpu) >> 4,
    };

    if (!x86_cpu_rdmsr(c->cpu, 0x1b, (uint64_t *)&r.apic_base)) {
        r.apic_base = 0xfee00800;
    }
    if (c->kvm->irqchip == KVM_IRQCHIP_OFF) {
        r.apic_base &= ~(1ull << 10);           /* x2APIC is our chip's business */
    }
    if (pae_tables(s->cr0, s->cr4, s->efer)) {
        r.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(r.pdptrs, s->pdpte, sizeof(r.pdptrs));
    }
    x86_kvm_cpu(c)->cr8 = (uint8_t)r.cr8;       /* (the kernel's APIC takes it from here) */
    c->run->cr8 = r.cr8;
    c->run->apic_base = r.apic_base;
    return set_sregs(c, &r);
}

static bool get_system(KvmCpu *c, X86State *s)
{
    struct kvm_sregs2 r = {0};

    if (!get_sregs(c, &r)) {
        return false;
    }
    s->seg[X86_STATE_CS] = from_kvm_seg(&r.cs);
    s->seg[X86_STATE_DS] = from_kvm_seg(&r.ds);
    s->seg[X86_STATE_ES] = from_kvm_seg(&r.es);
    s->seg[X86_STATE_FS] = from_kvm_seg(&r.fs);
    s->seg[X86_STATE_GS] = from_kvm_seg(&r.gs);
    s->seg[X86_STATE_SS] = from_kvm_seg(&r.ss);
    s->seg[X86_STATE_TR] = from_kvm_seg(&r.tr);
    s->seg[X86_STATE_LDT] = from_kvm_seg(&r.ldt);
    s->gdt_base = r.gdt.base;
    s->gdt_limit = r.gdt.limit;
    s->idt_base = r.idt.base;
    s->idt_limit = r.idt.limit;
    if (c->kvm->irqchip != KVM_IRQCHIP_OFF) {
        x86_kvm_cpu(c)->apic_base = r.apic_base;
        x86_kvm_cpu(c)->cr8 = r.cr8 & 15;
    }
    s->cr0 = r.cr0;
    s->cr2 = r.cr2;
    s->cr3 = r.cr3;
    s->cr4 = r.cr4;
    s->efer = r.efer;
    if (pae_tables(s->cr0, s->cr4, s->efer)) {
        memcpy(s->pdpte, r.pdptrs, sizeof(s->pdpte));
    }
    return true;
}

/* ---- general registers ---- */

static bool put_general(KvmCpu *c, const X86State *s)
{
    const uint64_t *g = s->regs;
    struct kvm_regs r = {
        .rax = g[0], .rcx = g[1], .rdx = g[2], .rbx = g[3], .rsp = g[4], .rbp = g[5], .rsi = g[6],
        .rdi = g[7], .r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11], .r12 = g[12], .r13 = g[13],
        .r14 = g[14], .r15 = g[15], .rip = s->rip, .rflags = s->rflags,
    };

    return kvm_ioctl(c->fd, KVM_SET_REGS, &r) == 0;
}

static bool get_general(KvmCpu *c, X86State *s)
{
    struct kvm_regs r;

    if (kvm_ioctl(c->fd, KVM_GET_REGS, &r) < 0) {
        return false;
    }
    const uint64_t g[16] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                            r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
    memcpy(s->regs, g, sizeof(g));
    s->rip = r.rip;
    s->rflags = r.rflags;
    return true;
}

/* ---- x87, SSE, AVX, PKRU ---- */

enum { XSAVE_LEGACY = 512, XSAVE_PKRU = 1 << 9, XSAVE_AVX = 4, PKRU_AT = 2688 };

static bool put_vectors(KvmCpu *c, const X86State *s)
{
    const X86KvmCpu *x = x86_kvm_cpu(c);
    struct kvm_xsave area = {0};
    uint8_t *at = (uint8_t *)area.region;
    uint64_t have;

    if (!x86_kvm(c)->xsave) {
        struct kvm_fpu f = {0};
        memcpy(f.fpr, s->xsave + 32, sizeof(f.fpr));
        memcpy(f.xmm, s->xsave + 160, sizeof(f.xmm));
        memcpy(&f.fcw, s->xsave, 2);
        memcpy(&f.fsw, s->xsave + 2, 2);
        f.ftwx = s->xsave[4];
        memcpy(&f.last_opcode, s->xsave + 6, 2);
        memcpy(&f.last_ip, s->xsave + 8, 8);
        memcpy(&f.last_dp, s->xsave + 16, 8);
        memcpy(&f.mxcsr, s->xsave + 24, 4);
        return kvm_ioctl(c->fd, KVM_SET_FPU, &f) == 0;
    }
    memcpy(at, s->xsave, sizeof(s->xsave));
    memcpy(&have, at + XSAVE_LEGACY, 8);
    if (!x->avx) {
        have &= ~(uint64_t)XSAVE_AVX;
        memset(at + XSAVE_LEGACY + 64, 0, 256);
    }
    if (x->pku) {
        have |= XSAVE_PKRU;
        memcpy(at + PKRU_AT, &s->pkru, 4);
    }
    memcpy(at + XSAVE_LEGACY, &have, 8);
    if (kvm_ioctl(c->fd, KVM_SET_XSAVE, &area) < 0) {
        return false;
    }
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = s->xcr0}}};
    return !x86_kvm(c)->xcrs || !x86_cpu_has(c->cpu, "xsave") ||
           kvm_ioctl(c->fd, KVM_SET_XCRS, &xcrs) == 0;
}

static bool get_vectors(KvmCpu *c, X86State *s)
{
    const X86KvmCpu *x = x86_kvm_cpu(c);
    struct kvm_xsave area;
    struct kvm_xcrs xcrs = {0};
    uint64_t have;

    if (!x86_kvm(c)->xsave) {
        struct kvm_fpu f;
        if (kvm_ioctl(c->fd, KVM_GET_FPU, &f) < 0) {
            return false;
        }
        have = 3;
        memcpy(s->xsave, &f.fcw, 2);
        memcpy(s->xsave + 2, &f.fsw, 2);
        s->xsave[4] = f.ftwx;
        memcpy(s->xsave + 6, &f.last_opcode, 2);
        memcpy(s->xsave + 8, &f.last_ip, 8);
        memcpy(s->xsave + 16, &f.last_dp, 8);
        memcpy(s->xsave + 24, &f.mxcsr, 4);
        memcpy(s->xsave + 32, f.fpr, sizeof(f.fpr));
        memcpy(s->xsave + 160, f.xmm, sizeof(f.xmm));
        memcpy(s->xsave + XSAVE_LEGACY, &have, 8);
        return true;
    }
    if (kvm_ioctl(c->fd, KVM_GET_XSAVE, &area) < 0) {
        return false;
    }
    const uint8_t *at = (const uint8_t *)area.region;
    memcpy(s->xsave, at, sizeof(s->xsave));
    memcpy(&have, at + XSAVE_LEGACY, 8);
    if (x->pku) {
        memcpy(&s->pkru, at + PKRU_AT, 4);
        s->pkru = have & XSAVE_PKRU ? s->pkru : 0;
    }
    if (x86_kvm(c)->xcrs && x86_cpu_has(c->cpu, "xsave")) {
        if (kvm_ioctl(c->fd, KVM_GET_XCRS, &xcrs) < 0) {
            return false;
        }
        s->xcr0 = xcrs.nr_xcrs ? xcrs.xcrs[0].value : 1;
    }
    return true;
}

/* ---- debug registers ---- */

static bool put_debug(KvmCpu *c, const X86State *s)
{
    struct kvm_debugregs d = {.dr6 = s->dr[6], .dr7 = s->dr[7]};

    memcpy(d.db, s->dr, sizeof(d.db));
    return !x86_kvm(c)->debugregs || kvm_ioctl(c->fd, KVM_SET_DEBUGREGS, &d) == 0;
}

static bool get_debug(KvmCpu *c, X86State *s)
{
    struct kvm_debugregs d;

    if (!x86_kvm(c)->debugregs) {
        return true;
    }
    if (kvm_ioctl(c->fd, KVM_GET_DEBUGREGS, &d) < 0) {
        return false;
    }
    memcpy(s->dr, d.db, sizeof(d.db));
    s->dr[6] = d.dr6;
    s->dr[7] = d.dr7;
    return true;
}

/* ---- events ---- */

static bool put_events(KvmCpu *c, const X86State *s)
{
    struct kvm_vcpu_events e = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW};

    e.interrupt.shadow = s->shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0;
    e.nmi.masked = s->nmi_masked;
    e.nmi.pending = s->nmi_pending;
    switch (s->queued) {
    case X86_QUEUED_NONE:
        break;
    case X86_QUEUED_EXTERNAL:
    case X86_QUEUED_SOFTWARE:
        if (s->queued_vector == NMI_VECTOR) {
            e.nmi.injected = 1;
        } else {
            e.interrupt.injected = 1;
            e.interrupt.nr = s->queued_vector;
            e.interrupt.soft = s->queued == X86_QUEUED_SOFTWARE;
        }
        break;
    default:
        e.exception.injected = 1;
        e.exception.nr = s->queued_vector;
        e.exception.has_error_code = s->queued_has_error;
        e.exception.error_code = s->queued_error;
    }
    return !x86_kvm(c)->events || kvm_ioctl(c->fd, KVM_SET_VCPU_EVENTS, &e) == 0;
}

static bool get_events(KvmCpu *c, X86State *s)
{
    struct kvm_vcpu_events e;

    if (!x86_kvm(c)->events) {
        return true;
    }
    if (kvm_ioctl(c->fd, KVM_GET_VCPU_EVENTS, &e) < 0) {
        return false;
    }
    /* Older kernels queue #UD for what they report as not emulated. */
    bool our_ud = c->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && e.exception.nr == INVALID_OPCODE;
    /* Not every kernel ends the shadow of an sti when the hlt after it is emulated. */
    s->shadow = e.interrupt.shadow && c->run->exit_reason != KVM_EXIT_HLT;
    s->nmi_masked = e.nmi.masked;
    s->nmi_pending = e.nmi.pending;
    if (e.exception.injected && !our_ud) {
        s->queued = X86_QUEUED_FAULT;
        s->queued_vector = e.exception.nr;
        s->queued_has_error = e.exception.has_error_code;
        s->queued_error = e.exception.error_code;
    } else if (e.interrupt.injected) {
        s->queued = e.interrupt.soft ? X86_QUEUED_SOFTWARE : X86_QUEUED_EXTERNAL;
        s->queued_vector = e.interrupt.nr;
    } else if (e.nmi.injected) {
        s->queued = X86_QUEUED_EXTERNAL;
        s->queued_vector = NMI_VECTOR;
    }
    return true;
}

/* ---- with APICs in the kernel: whether it runs ---- */

/* The kernel's state is kept unless the program counter was moved: a CPU that is reset starts, or waits
 * for the start message. */
static bool put_mp(KvmCpu *c, const X86State *s)
{
    X86KvmCpu *x = x86_kvm_cpu(c);
    bool moved = !x->mp_known || x->mp_rip != s->rip;
    struct kvm_mp_state mp = {.mp_state = x->mp_state};

    if (c->kvm->irqchip == KVM_IRQCHIP_OFF) {
        return true;
    }
    if (s->wait_sipi) {
        mp.mp_state = moved ? KVM_MP_STATE_UNINITIALIZED : x->mp_state;
    } else if (moved) {
        mp.mp_state = KVM_MP_STATE_RUNNABLE;
    }
    return kvm_ioctl(c->fd, KVM_SET_MP_STATE, &mp) == 0;
}

static bool get_mp(KvmCpu *c, X86State *s)
{
    X86KvmCpu *x = x86_kvm_cpu(c);
    struct kvm_mp_state mp;

    if (c->kvm->irqchip == KVM_IRQCHIP_OFF) {
        return true;
    }
    if (kvm_ioctl(c->fd, KVM_GET_MP_STATE, &mp) < 0) {
        return false;
    }
    x->mp_known = true;
    x->mp_state = mp.mp_state;
    x->mp_rip = s->rip;
    s->wait_sipi = mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    return true;
}

/* ---- all ---- */

bool kvm_arch_put(KvmCpu *c)
{
    X86State s;

    x86_state_get(c->cpu, &s);
    /* Known here; a kernel that emulates may run on for a while before it looks. */
    c->window = s.rflags & 1 << 9 && !s.shadow && !s.queued;
    return put_system(c, &s) && put_vectors(c, &s) && x86_kvm_put_msrs(c) && put_general(c, &s) &&
           put_debug(c, &s) && put_events(c, &s) && put_mp(c, &s);
}

bool kvm_arch_get(KvmCpu *c)
{
    X86State s;

    x86_state_get(c->cpu, &s);          /* what the kernel does not know stays */
    s.queued = X86_QUEUED_NONE;
    if (!get_system(c, &s) || !get_vectors(c, &s) || !get_general(c, &s) || !get_debug(c, &s) ||
        !get_events(c, &s) || !get_mp(c, &s) || !x86_kvm_get_msrs(c)) {
        return false;
    }
    x86_state_set(c->cpu, &s);
    return true;
}
