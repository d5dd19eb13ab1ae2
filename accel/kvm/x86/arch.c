/* SPDX-License-Identifier: Apache-2.0 */
/* x86 hosts: life, interrupts from our chips, exits, debugging. Linux Documentation/virt/kvm/api.rst. */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "accel/kvm/x86/x86.h"
#include "util/error.h"
#include "util/log.h"

char *kvm_arch_unavailable(void) { return NULL; }
bool kvm_arch_runs(const char *isa) { return !strcmp(isa, "x86_64") || !strcmp(isa, "i386"); }
uint32_t kvm_arch_events(void) { return x86_req_events; }
unsigned long kvm_arch_cpu_id(Cpu *cpu) { return x86_cpu_apic_id(cpu); }

/* Whether the kernel uses the processor's second level of page tables. */
static bool second_level(void)
{
    static const char *const files[] = {"/sys/module/kvm_intel/parameters/ept",
                                        "/sys/module/kvm_amd/parameters/npt"};

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = NULL;
        if (g_file_get_contents(files[i], &text, NULL, NULL)) {
            return *text == 'Y' || *text == '1';
        }
    }
    return false;
}

bool kvm_arch_start(Kvm *k, GError **error)
{
    X86Kvm *x = k->arch = g_new0(X86Kvm, 1);

    x->sregs2 = kvm_check(k, KVM_CAP_SREGS2);
    x->xsave = kvm_check(k, KVM_CAP_XSAVE);
    x->xcrs = kvm_check(k, KVM_CAP_XCRS);
    x->debugregs = kvm_check(k, KVM_CAP_DEBUGREGS);
    x->events = kvm_check(k, KVM_CAP_VCPU_EVENTS);
    k->shadow_paging = !second_level();
    unsigned r[4] = {0};
    __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
    k->slow_host = r[2] >> 31;
    return true;
}

/* Neither VMX nor SVM: a kernel that runs guests all the same does so by software. */
static bool software_only(void)
{
    unsigned a, b, c = 0, d, c1 = 0;

    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &c1, &d);
    return !(c >> 5 & 1) && !(c1 >> 2 & 1);
}

bool kvm_arch_settle(Kvm *k, GError **error)
{
    X86Kvm *x = k->arch;

    /* (Interrupts that chips in the kernel hold do not reach the engine.) */
    x->long_mode_only = k->fallback && k->irqchip == KVM_IRQCHIP_OFF &&
                        (k->emulated == KVM_EMULATED_OFF ||
                         (k->emulated == KVM_EMULATED_AUTO && software_only()));
    x->user_msrs = x86_kvm_catch_msrs(k);
    return x86_kvm_read_cpuid(k, error);
}

void kvm_arch_finish(Kvm *k) { g_free(k->arch); }

static bool set_tsc(KvmCpu *c, GError **error)
{
    uint64_t wanted = x86_cpu_tsc_hz(c->cpu);
    int khz = kvm_ioctl(c->fd, KVM_GET_TSC_KHZ, 0);

    if (khz <= 0) {
        return true;
    }
    if (x86_cpu_tsc_set_by_user(c->cpu) && wanted / 1000 != (uint64_t)khz) {
        if (kvm_ioctl(c->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)(wanted / 1000)) < 0) {
            return error_set_errno(error, errno, "tsc-frequency: the host runs at %d kHz and cannot scale",
                                   khz);
        }
        return true;
    }
    x86_cpu_set_tsc_hz(c->cpu, (uint64_t)khz * 1000);
    return true;
}

bool kvm_arch_cpu_init(KvmCpu *c, GError **error)
{
    X86KvmCpu *x = c->arch = g_new0(X86KvmCpu, 1);

    if (!set_tsc(c, error) || !x86_kvm_set_cpuid(c, error)) {
        return false;
    }
    if (!x86_kvm(c)->n_msrs) {
        x86_kvm_find_msrs(c);
    }
    if (c->kvm->irqchip != KVM_IRQCHIP_OFF) {
        x86_kvm_make_apic(c);
    }
    x->avx = x86_cpu_has(c->cpu, "avx");
    x->pku = x86_cpu_has(c->cpu, "pku");
    return true;
}

void kvm_arch_cpu_finish(KvmCpu *c)
{
    X86KvmCpu *x = x86_kvm_cpu(c);

    if (x && x->apic) {
        object_remove(&x->apic->object);
    }
    g_free(x);
}

/* ---- interrupts from our own chips ---- */

void kvm_arch_before(KvmCpu *c)
{
    struct kvm_run *run = c->run;
    Cpu *cpu = c->cpu;

    if (c->kvm->irqchip == KVM_IRQCHIP_ON) {
        return;
    }
    if (c->kvm->irqchip == KVM_IRQCHIP_OFF) {
        run->cr8 = x86_kvm_cpu(c)->cr8 = x86_cpu_tpr(cpu) >> 4;
    }
    run->request_interrupt_window = 0;
    if (!x86_cpu_intr(cpu)) {
        return;
    }
    if (c->window) {
        int vector = x86_cpu_ack(cpu);
        if (vector >= 0) {
            struct kvm_interrupt irq = {.irq = (uint32_t)vector};
            kvm_ioctl(c->fd, KVM_INTERRUPT, &irq);
            c->n.interrupts++;
        }
        c->window = false;
    }
    run->request_interrupt_window = x86_cpu_intr(cpu);
}

void kvm_arch_after(KvmCpu *c)
{
    struct kvm_run *run = c->run;
    X86KvmCpu *x = x86_kvm_cpu(c);

    if (c->kvm->irqchip == KVM_IRQCHIP_ON) {
        return;
    }
    c->window = run->ready_for_interrupt_injection && run->if_flag;
    if (c->kvm->irqchip == KVM_IRQCHIP_OFF && (run->cr8 & 15) != x->cr8) {
        x->cr8 = run->cr8 & 15;
        x86_cpu_set_tpr(c->cpu, (uint8_t)(x->cr8 << 4));
    }
}

bool kvm_arch_exit(KvmCpu *c)
{
    switch (c->run->exit_reason) {
    case KVM_EXIT_SET_TPR:
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return x86_kvm_msr_exit(c);
    case KVM_EXIT_IOAPIC_EOI: {
        const AccelBoard *b = &c->kvm->accel.board;
        if (b->eoi) {
            b->eoi(b->opaque, c->run->eoi.vector);
        }
        return true;
    }
    default:
        return false;
    }
}

/* ---- the engine's part ---- */

enum { EFER = 0xc0000080, EFER_LMA = 1 << 10 };

static bool in_long_mode(KvmCpu *c)
{
    struct kvm_sregs r = {0};
    uint64_t efer = 0;

    if (!c->loaded) {
        x86_cpu_rdmsr(c->cpu, EFER, &efer);
        return efer & EFER_LMA;
    }
    return kvm_ioctl(c->fd, KVM_GET_SREGS, &r) < 0 || r.efer & EFER_LMA;
}

/* System management mode: one implementation serves all hosts. Other modes: without hardware
 * virtualization (software_only() below) the kernel emulates what is not long mode. It then raises #UD
 * in rings 1 to 3 for each instruction that it does not know, whatever was said about
 * KVM_CAP_EXIT_ON_EMULATION_FAILURE, and switches no tasks; no exit tells of either. */
int64_t kvm_arch_engine_only(KvmCpu *c)
{
    if (!c->loaded && x86_cpu_in_smm(c->cpu)) {
        return 1;
    }
    return G_UNLIKELY(x86_kvm(c)->long_mode_only) && !in_long_mode(c)
               ? (int64_t)c->kvm->slice_us * 1000 + 1 : 0;
}

const char *kvm_arch_movable(KvmCpu *c)
{
    X86State s;

    x86_state_get(c->cpu, &s);
    return s.xcr0 & ~x86_cpu_xcr0_known(c->cpu)
               ? "an instruction that the kernel cannot emulate, while the guest uses vector registers that"
                 " the engine does not know" : NULL;
}

/* ---- the debugger ---- */

bool kvm_arch_debug(KvmCpu *c)
{
    const Cpu *cpu = c->cpu;
    struct kvm_guest_debug d = {0};
    bool fits = cpu->breakpoints->len <= 4 && !cpu->watchpoints->len;

    if (fits && (cpu->singlestep || cpu->breakpoints->len)) {
        d.control = KVM_GUESTDBG_ENABLE;
        if (cpu->singlestep) {
            d.control |= KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
        }
        if (cpu->breakpoints->len) {
            d.control |= KVM_GUESTDBG_USE_HW_BP;
            d.arch.debugreg[7] = 0x600;
        }
        for (unsigned i = 0; i < cpu->breakpoints->len; i++) {
            d.arch.debugreg[i] = g_array_index(cpu->breakpoints, uint64_t, i);
            d.arch.debugreg[7] |= 2u << 2 * i;
        }
    }
    c->guest_debug = d.control;
    /* A step is counted from the registers that the kernel has then. */
    return kvm_load(c) && kvm_ioctl(c->fd, KVM_SET_GUEST_DEBUG, &d) == 0 && fits;
}

bool kvm_arch_debug_stop(KvmCpu *c) { return c->guest_debug; }
