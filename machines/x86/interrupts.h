/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers of x86 boards, and lines that go to all CPUs. */
#ifndef MACHINES_X86_INTERRUPTS_H
#define MACHINES_X86_INTERRUPTS_H

#include "core/msi.h"
#include "hw/apic.h"
#include "hw/isa.h"
#include "target/x86.h"

enum { X86_IOAPIC_BASE = 0xfec00000, X86_IOAPIC2_BASE = 0xfec10000, X86_IOAPIC_PINS = 24,
       X86_MAX_CPUS = 288 };

/* Who drives an ISA line; the line is high while any of them does. */
typedef enum X86LineSource { LINE_ISA, LINE_PCI, LINE_SCI, LINE_HPET, LINE_SOURCES } X86LineSource;

typedef struct X86Interrupts {
    ApicBus *bus;
    Device *pic, *ioapic[2];    /* pic, second IOAPIC: may be NULL */
    Device *lines, *cpu_lines;
    MsiTarget msi;
    Device *apic[X86_MAX_CPUS];         /* by CPU index; NULL: none, or the accelerator's */
    uint32_t apic_ids[X86_MAX_CPUS];    /* of all possible CPUs */
    unsigned n;
} X86Interrupts;

/* The local APIC of a CPU that came later, and lines to it; and back. */
void x86_interrupts_add_cpu(X86Interrupts *s, Cpu *cpu);
void x86_interrupts_remove_cpu(X86Interrupts *s, Cpu *cpu);
/* Local APICs for vm->cpus, IOAPICs, PIC pair. */
void x86_interrupts_new(Vm *vm, X86Interrupts *s, bool pic, bool second_ioapic);
/* An ISA line, which reaches PIC and IOAPIC (line 0 on pin 2). */
/* The 8254; sounds: somebody hears the speaker, which is not for the kernel's. */
Device *x86_pit_new(X86Interrupts *s, Vm *vm, bool sounds);
Pin x86_isa_line(X86Interrupts *s, X86LineSource source, unsigned n);
Pin x86_gsi(X86Interrupts *s, unsigned n);
/* X86_PIN_SMI of the CPU whose access raises it; of the first, if it is no CPU's. */
enum { X86_SMI_CALLER = 0x1000 };
/* One pin for all CPUs: X86_PIN_A20, X86_PIN_SMI, X86_SMI_CALLER. */
Pin x86_all_cpus(X86Interrupts *s, unsigned pin);

#endif
