/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU features and CPUID, for accelerators.
 *
 * An accelerator that runs guests on the host's CPU says what that CPU can by AccelType.cpu_caps,
 * which returns an X86Caps (NULL: what the translator can). From it follow what models may have, the
 * warnings for what they lack, the models "host" and "max". After realize x86_cpuid_table() gives the
 * leaves of one vCPU.
 */
#ifndef TARGET_X86_CPUID_H
#define TARGET_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>
#include "core/cpu.h"

/* Words of feature bits. The order is that of the warnings. */
typedef enum X86Word {
    W_1_EDX, W_1_ECX, W_7_0_EBX, W_7_0_ECX, W_7_0_EDX, W_7_1_EAX, W_7_1_EDX, W_80000001_EDX,
    W_80000001_ECX, W_80000007_EBX, W_80000007_EDX, W_80000008_EBX, W_80000021_EAX, W_C0000001_EDX,
    W_KVM, W_KVM_HINTS, W_8000000A_EDX, W_D_1_EAX, W_6_EAX, W_14_0_ECX, W_ARCH_CAP, W_CORE_CAP,
    W_PERF_CAP, X86_WORDS,
} X86Word;

/* Where a word comes from: a register of a CPUID leaf, or the low half of an MSR. */
typedef struct X86WordPlace {
    uint32_t leaf, sub;
    uint8_t reg;                /* 0-3: eax, ebx, ecx, edx */
    uint32_t msr;               /* not 0: the MSR instead */
} X86WordPlace;
extern const X86WordPlace x86_word_places[X86_WORDS];

typedef struct X86Caps {
    const char *who;            /* "host": begins "… doesn't support requested feature" */
    const char *signature;      /* 12 bytes of the hypervisor leaf, "KVMKVMKVM\0\0\0" */
    const char *defaults;       /* changes to named models: "+x2apic +kvmclock -svm"; or NULL */
    uint32_t words[X86_WORDS];  /* what guests may have */
    /* The model "host" (and "max"). vendor[0] == 0: there is no such model. */
    char vendor[13], model_id[49];
    uint32_t family, model, stepping, level, xlevel;
    uint32_t phys_bits;         /* of host-phys-bits=on and the model host */
} X86Caps;

typedef struct X86CpuidEntry {
    uint32_t leaf, index;
    bool indexed;               /* index matters */
    uint32_t regs[4];           /* eax, ebx, ecx, edx */
} X86CpuidEntry;

enum { X86_CPUID_ENTRIES = 128 };       /* room for any table */

/* All leaves of a realized vCPU. OSXSAVE, OSPKE and the sizes of leaf 0xd follow the control registers
 * at the time of the call. Returns their number; at most `max` are written. */
unsigned x86_cpuid_table(Cpu *cpu, X86CpuidEntry *out, unsigned max);

/* Fills caps->words (CPUID ones only) from a table like KVM_GET_SUPPORTED_CPUID's. */
void x86_caps_from_cpuid(X86Caps *caps, const X86CpuidEntry *table, unsigned n);

/* What Myna's engine knows: the limit of machines that may be handed to it. */
void x86_engine_words(uint32_t words[X86_WORDS]);
/* A word of a realized vCPU becomes what the guest is shown elsewhere; true if it changes. */
bool x86_cpu_adopt_word(Cpu *cpu, X86Word word, uint32_t bits);

/* A feature word of a realized vCPU: e.g. W_ARCH_CAP for the MSR's value. */
uint32_t x86_cpu_word(Cpu *cpu, X86Word word);

#endif
