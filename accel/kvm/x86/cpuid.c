/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPUs may have and what CPUID shows. Linux Documentation/virt/kvm/api.rst: 4.46, 4.20, 4.118.
 *
 * A guest gets what both the kernel and Myna's engine know, so that it can be handed over at any time.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "accel/kvm/x86/x86.h"
#include "util/error.h"
#include "util/log.h"

enum { HYPERVISOR = 1u << 31, X2APIC = 1u << 21, TSC_DEADLINE = 1u << 24 };

static unsigned to_table(const Cpuid *from, X86CpuidEntry *to)
{
    for (unsigned i = 0; i < from->head.nent; i++) {
        const struct kvm_cpuid_entry2 *e = &from->e[i];
        to[i] = (X86CpuidEntry){.leaf = e->function, .index = e->index,
                                .indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                .regs = {e->eax, e->ebx, e->ecx, e->edx}};
    }
    return from->head.nent;
}

static const X86CpuidEntry *find(const X86CpuidEntry *table, unsigned n, uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; i < n; i++) {
        if (table[i].leaf == leaf && (table[i].index == sub || !table[i].indexed)) {
            return &table[i];
        }
    }
    return NULL;
}

/* The model "host". Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E. */
static void identify(X86Caps *caps, const X86CpuidEntry *table, unsigned n)
{
    uint32_t r[4] = {0}, text[12] = {0};

    __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]);
    memcpy(caps->vendor, &r[1], 4);
    memcpy(caps->vendor + 4, &r[3], 4);
    memcpy(caps->vendor + 8, &r[2], 4);
    __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
    caps->family = r[0] >> 8 & 15;
    caps->family += caps->family == 15 ? r[0] >> 20 & 255 : 0;
    caps->model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
    caps->stepping = r[0] & 15;
    for (unsigned i = 0; i < 3; i++) {
        __get_cpuid(0x80000002 + i, &text[4 * i], &text[4 * i + 1], &text[4 * i + 2], &text[4 * i + 3]);
    }
    memcpy(caps->model_id, text, sizeof(text));
    const X86CpuidEntry *low = find(table, n, 0, 0), *high = find(table, n, 0x80000000, 0);
    const X86CpuidEntry *sizes = find(table, n, 0x80000008, 0), *pkru = find(table, n, 0xd, 9);
    caps->level = low ? MIN(low->regs[0], 0xd) : 1;
    caps->xlevel = high ? MIN(high->regs[0], 0x80000008) : 0;
    caps->phys_bits = sizes ? sizes->regs[0] & 0xff : 0;
    if (!pkru || pkru->regs[1] != 2688) {
        caps->words[W_7_0_ECX] &= ~(1u << 3);       /* PKU: the engine's XSAVE area is another */
    }
}

bool x86_kvm_read_cpuid(Kvm *k, GError **error)
{
    X86Kvm *x = k->arch;
    g_autofree Cpuid *all = g_new0(Cpuid, 1);
    g_autofree X86CpuidEntry *table = g_new0(X86CpuidEntry, MAX_CPUID);
    uint32_t engine[X86_WORDS];

    all->head.nent = MAX_CPUID;
    if (kvm_ioctl(k->sys, KVM_GET_SUPPORTED_CPUID, all) < 0) {
        return error_set_errno(error, errno, "the CPU features that KVM supports");
    }
    unsigned n = to_table(all, table);
    X86Caps *caps = &x->caps;
    *caps = (X86Caps){
        .who = "host", .signature = "KVMKVMKVM\0\0",
        .defaults = "+kvmclock +kvmclock-old +kvmclock-stable-bit +kvm-nopiodelay +x2apic -acpi -monitor -svm",
    };
    x86_caps_from_cpuid(caps, table, n);
    caps->words[W_1_ECX] |= HYPERVISOR;
    if (k->irqchip == KVM_IRQCHIP_OFF) {        /* by our APIC, which needs to see the accesses */
        caps->words[W_1_ECX] &= ~(X2APIC | TSC_DEADLINE);
        caps->words[W_1_ECX] |= x->user_msrs ? X2APIC | TSC_DEADLINE : 0;
    }
    x86_engine_words(engine);
    for (unsigned w = 0; w < X86_WORDS; w++) {
        caps->words[w] &= engine[w];
    }
    identify(caps, table, n);
    return true;
}

const void *kvm_arch_caps(Accel *a, const GuestIsa *isa)
{
    return &((X86Kvm *)((Kvm *)a)->arch)->caps;
}

/* A kernel that runs guests without the processor's help cannot hide what user code may ask for: the
 * guest sees more than we said. The engine has to know that, too. */
static void adopt(KvmCpu *c, Cpuid *all)
{
    g_autofree X86CpuidEntry *table = g_new0(X86CpuidEntry, MAX_CPUID);

    all->head.nent = MAX_CPUID;
    if (kvm_ioctl(c->fd, KVM_GET_CPUID2, all) < 0) {
        return;
    }
    unsigned n = to_table(all, table);
    for (unsigned w = 0; w < X86_WORDS; w++) {
        const X86WordPlace *p = &x86_word_places[w];
        const X86CpuidEntry *e = p->msr ? NULL : find(table, n, p->leaf, p->sub);
        if (e && x86_cpu_adopt_word(c->cpu, w, e->regs[p->reg])) {
            trace(adopt, "cpu %u leaf 0x%x.%u register %u: 0x%x", c->cpu->index, p->leaf, p->sub, p->reg,
                  e->regs[p->reg]);
        }
    }
}

bool x86_kvm_set_cpuid(KvmCpu *c, GError **error)
{
    g_autofree Cpuid *all = g_new0(Cpuid, 1);
    X86CpuidEntry table[X86_CPUID_ENTRIES];
    unsigned n = x86_cpuid_table(c->cpu, table, X86_CPUID_ENTRIES);

    for (unsigned i = 0; i < MIN(n, X86_CPUID_ENTRIES); i++) {
        const X86CpuidEntry *e = &table[i];
        all->e[all->head.nent++] = (struct kvm_cpuid_entry2){
            .function = e->leaf, .index = e->index,
            .flags = e->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = e->regs[0], .ebx = e->regs[1], .ecx = e->regs[2], .edx = e->regs[3],
        };
    }
    /* A CPU that has run takes no others, nor these again where the kernel has changed them itself. */
    GBytes *given = g_bytes_new(all, sizeof(all->head) + all->head.nent * sizeof(all->e[0]));
    bool has_them = c->kept && g_bytes_equal(c->kept, given);
    if (c->kept) {
        g_bytes_unref(given);
    } else {
        c->kept = given;
    }
    if (!has_them && kvm_ioctl(c->fd, KVM_SET_CPUID2, all) < 0) {
        return error_set_errno(error, errno, "CPU %u: KVM refuses the CPUID leaves", c->cpu->index);
    }
    adopt(c, all);
    return true;
}
