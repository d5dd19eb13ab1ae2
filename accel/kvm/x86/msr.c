/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers: those that both sides know move with the registers; those that our chips
 * own exit to us. Linux Documentation/virt/kvm/api.rst: 4.3, 4.18, 4.97, 7.21.
 */
#include <string.h>

#include "accel/kvm/x86/x86.h"

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_END = 0x8ff };

/* Candidates; the kernel tells which of them it holds. */
static const struct { uint32_t first, count; } candidates[] = {
    {0x3a, 2}, {0x48, 1}, {0x8b, 1}, {0x174, 3}, {0x17a, 2}, {0x1a0, 1}, {0x1d9, 1}, {0x200, 16},
    {0x250, 1}, {0x258, 2}, {0x268, 8}, {0x277, 1}, {0x2ff, 1}, {0xda0, 1}, {0x4b564d00, 2},
    {0xc0000081, 4}, {0xc0000102, 2},
};

/* Whether the kernel gives the register to us. */
static bool readable(int fd, uint32_t index)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry e; } m = {.head.nmsrs = 1, .e.index = index};

    return kvm_ioctl(fd, KVM_GET_MSRS, &m) == 1;
}

void x86_kvm_find_msrs(KvmCpu *c)
{
    X86Kvm *x = x86_kvm(c);
    uint64_t ignored;

    for (unsigned i = 0; i < G_N_ELEMENTS(candidates); i++) {
        for (uint32_t n = 0; n < candidates[i].count && x->n_msrs < MAX_MSRS; n++) {
            uint32_t index = candidates[i].first + n;
            if (x86_state_msr_get(c->cpu, index, &ignored) && readable(c->fd, index)) {
                x->msrs[x->n_msrs++] = index;
            }
        }
    }
}

bool x86_kvm_write_msr(KvmCpu *c, uint32_t index, uint64_t value)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry e; } m = {
        .head.nmsrs = 1, .e = {.index = index, .data = value}};

    return kvm_ioctl(c->fd, KVM_SET_MSRS, &m) == 1;
}

bool x86_kvm_read_msr(KvmCpu *c, uint32_t index, uint64_t *value)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry e; } m = {.head.nmsrs = 1, .e.index = index};
    bool ok = kvm_ioctl(c->fd, KVM_GET_MSRS, &m) == 1;

    *value = m.e.data;
    return ok;
}

/* The kernel's time stamp runs on; it is set when the guest's was set by the engine, or has stood still
 * with the machine. */
static bool put_tsc(KvmCpu *c)
{
    X86KvmCpu *x = x86_kvm_cpu(c);
    uint64_t theirs, ours = x86_cpu_tsc(c->cpu);

    if (!x86_kvm_read_msr(c, MSR_TSC, &theirs)) {
        return false;
    }
    int64_t apart = (int64_t)(ours - theirs), most = (int64_t)(x86_cpu_tsc_hz(c->cpu) / 1000);
    if (x->tsc_known && x->tsc_offset == x86_cpu_tsc_offset(c->cpu) && apart < most && apart > -most) {
        return true;
    }
    x->tsc_known = true;
    return x86_kvm_write_msr(c, MSR_TSC, x86_cpu_tsc(c->cpu));
}

bool x86_kvm_put_msrs(KvmCpu *c)
{
    X86Kvm *k = x86_kvm(c);
    X86KvmCpu *x = x86_kvm_cpu(c);
    Msrs m = {0};

    if (!put_tsc(c)) {
        return false;
    }
    for (unsigned i = 0; i < k->n_msrs; i++) {
        uint64_t v = 0;
        x86_state_msr_get(c->cpu, k->msrs[i], &v);
        if (!x->msr_known[i] || x->msr[i] != v) {
            m.e[m.head.nmsrs++] = (struct kvm_msr_entry){.index = k->msrs[i], .data = v};
        }
        x->msr[i] = v;
        x->msr_known[i] = true;
    }
    for (unsigned done = 0; done < m.head.nmsrs;) {
        /* Stops at one that the kernel refuses: its own value stays. */
        int n = kvm_ioctl(c->fd, KVM_SET_MSRS, &m);
        if (n < 0) {
            return false;
        }
        done = (unsigned)n + 1;
        if (done < m.head.nmsrs) {
            memmove(m.e, m.e + done, (m.head.nmsrs - done) * sizeof(m.e[0]));
            m.head.nmsrs -= done;
            done = 0;
        }
    }
    return true;
}

bool x86_kvm_get_msrs(KvmCpu *c)
{
    X86Kvm *k = x86_kvm(c);
    X86KvmCpu *x = x86_kvm_cpu(c);
    Msrs m = {.head.nmsrs = k->n_msrs};
    uint64_t tsc;

    for (unsigned i = 0; i < k->n_msrs; i++) {
        m.e[i].index = k->msrs[i];
    }
    int n = kvm_ioctl(c->fd, KVM_GET_MSRS, &m);
    for (int i = 0; i < n; i++) {
        x->msr[i] = m.e[i].data;
        x86_state_msr_set(c->cpu, m.e[i].index, m.e[i].data);
    }
    if (n < 0 || !x86_kvm_read_msr(c, MSR_TSC, &tsc)) {
        return false;
    }
    x86_cpu_set_tsc(c->cpu, tsc);
    x->tsc_offset = x86_cpu_tsc_offset(c->cpu);
    return true;
}

/* ---- accesses that come to us ---- */

bool x86_kvm_catch_msrs(Kvm *k)
{
    static uint8_t none[1];     /* no bit set: denied, which means that it exits */
    struct kvm_msr_filter f = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges = {
            {.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = MSR_APIC_BASE,
             .bitmap = none},
            {.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = MSR_TSC_DEADLINE,
             .bitmap = none},
        },
    };
    uint64_t why = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;

    return kvm_check(k, KVM_CAP_X86_USER_SPACE_MSR) && kvm_check(k, KVM_CAP_X86_MSR_FILTER) &&
           kvm_enable(k->fd, KVM_CAP_X86_USER_SPACE_MSR, why) &&
           (k->irqchip != KVM_IRQCHIP_OFF || kvm_ioctl(k->fd, KVM_X86_SET_MSR_FILTER, &f) == 0);
}

/* A value that the kernel refuses is refused by us, too, unless the register is one of our chips'. */
bool x86_kvm_msr_exit(KvmCpu *c)
{
    struct kvm_run *run = c->run;
    uint32_t at = run->msr.index;
    uint64_t v = 0;
    bool ours = at >= MSR_X2APIC && at <= MSR_X2APIC_END && c->kvm->irqchip == KVM_IRQCHIP_OFF;

    if (run->msr.reason == KVM_MSR_EXIT_REASON_INVAL && !ours) {
        run->msr.error = 1;
    } else if (run->exit_reason == KVM_EXIT_X86_WRMSR) {
        run->msr.error = !x86_cpu_wrmsr(c->cpu, at, run->msr.data);
    } else {
        run->msr.error = !x86_cpu_rdmsr(c->cpu, at, &v);
        run->msr.data = v;
    }
    return true;
}
