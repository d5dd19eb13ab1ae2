/* SPDX-License-Identifier: Apache-2.0 */
/* x86 hosts, private to this folder. */
#ifndef ACCEL_KVM_X86_H
#define ACCEL_KVM_X86_H

#include "accel/kvm/kvm.h"
#include "target/x86-cpuid.h"
#include "target/x86-state.h"
#include "target/x86.h"

enum { X86_KVM_ENTRIES = 48, MAX_CPUID = 256, MAX_MSRS = 128, MSR_TSC = 0x10 };

typedef struct Cpuid {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 e[MAX_CPUID];
} Cpuid;

typedef struct Msrs {
    struct kvm_msrs head;
    struct kvm_msr_entry e[MAX_MSRS];
} Msrs;

/* Kvm.arch */
typedef struct X86Kvm {
    X86Caps caps;
    uint32_t msrs[MAX_MSRS];    /* that both sides know */
    unsigned n_msrs;
    struct { bool used; uint64_t address; uint32_t data; } route[X86_KVM_ENTRIES];
    bool sregs2, xsave, xcrs, debugregs, events, user_msrs;
    bool pit;                   /* the kernel has the 8254 */
    bool long_mode_only;        /* elsewhere the engine runs */
} X86Kvm;

/* KvmCpu.arch */
typedef struct X86KvmCpu {
    uint64_t msr[MAX_MSRS];     /* what the kernel holds */
    bool msr_known[MAX_MSRS];
    int64_t tsc_offset;
    bool tsc_known;
    bool avx, pku;
    uint8_t cr8;                /* as told to the kernel */
    /* With APICs in the kernel. */
    uint64_t apic_base, first_base;
    uint32_t mp_state;
    Device *apic;               /* the kernel's local APIC, or NULL */
    uint64_t mp_rip;            /* where it was so */
    bool mp_known;
} X86KvmCpu;

static inline X86Kvm *x86_kvm(const KvmCpu *c) { return c->kvm->arch; }
static inline X86KvmCpu *x86_kvm_cpu(const KvmCpu *c) { return c->arch; }

/* msr.c */
void x86_kvm_find_msrs(KvmCpu *c);      /* once, with the first vCPU: before it there is nobody to ask */
bool x86_kvm_put_msrs(KvmCpu *c);
bool x86_kvm_get_msrs(KvmCpu *c);
bool x86_kvm_catch_msrs(Kvm *k);        /* accesses that our chips answer */
bool x86_kvm_msr_exit(KvmCpu *c);
bool x86_kvm_read_msr(KvmCpu *c, uint32_t index, uint64_t *value);
bool x86_kvm_write_msr(KvmCpu *c, uint32_t index, uint64_t value);
/* chips.c */
bool x86_kvm_make_apic(KvmCpu *c);
/* cpuid.c */
bool x86_kvm_read_cpuid(Kvm *k, GError **error);
bool x86_kvm_set_cpuid(KvmCpu *c, GError **error);

#endif
