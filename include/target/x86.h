/* SPDX-License-Identifier: Apache-2.0 */
/* What boards need of the x86 CPUs beyond the generic Cpu. Control thread, CPU stopped. */
#ifndef TARGET_X86_H
#define TARGET_X86_H

#include "core/cpu.h"
#include "core/x86-intc.h"

/* The one code base under two names: isa_find("x86_64") and isa_find("i386"). */
extern const GuestIsa x86_64_isa, i386_isa;

/* Attaches the interrupt controller. `source` must outlive the CPU. */
void x86_cpu_connect(Cpu *cpu, const X86IrqSource *source, void *opaque);
/* The port that makes the CPU's FERR# visible (IRQ 13 of PC boards); unconnected by default. */
void x86_cpu_connect_ferr(Cpu *cpu, Pin to);

/* What the CPU sees in system management mode; NULL: the machine's memory, as otherwise. */
void x86_cpu_set_smm_memory(Cpu *cpu, AddressSpace *as);

/* The initial APIC ID (property "apic-id", derived from the topology unless set). */
uint32_t x86_cpu_apic_id(Cpu *cpu);
/* Where a CPU sits; -1: not said. Properties "socket-id" and so on. */
typedef struct X86Place {
    int32_t socket, die, core, thread;
    int32_t node;               /* of NUMA */
} X86Place;
X86Place *x86_cpu_place(Cpu *cpu);
/* The place and the APIC ID of the CPU that has an index of a topology: threads count fastest. */
X86Place x86_place(const struct CpuTopology *t, unsigned index);
uint32_t x86_apic_id(const struct CpuTopology *t, unsigned index);
/* Whether a CPUID feature is on, by QEMU's name ("x2apic", "tsc-deadline", "pdpe1gb"). */
bool x86_cpu_has(Cpu *cpu, const char *feature);
/* Marks the bootstrap processor (others halt at reset until SIPI). Default: index 0. */
void x86_cpu_set_bsp(Cpu *cpu, bool bsp);
/* Physical address bits. */
unsigned x86_cpu_phys_bits(Cpu *cpu);
/* Frequency of the TSC in Hz. */
uint64_t x86_cpu_tsc_hz(Cpu *cpu);
/* The time stamp now, and the CLOCK_K_VIRTUAL time at which it will read `tsc`. */
uint64_t x86_cpu_tsc(Cpu *cpu);

/* ---- direct boots; after cpu reset, from MachineType.cold_reset ---- */
typedef enum X86BootMode {
    X86_BOOT_PROT32,        /* flat 32-bit protected mode, paging off (PVH, multiboot, bzImage 32) */
    X86_BOOT_LONG64,        /* 64-bit mode; cr3 holds the given page table */
    X86_BOOT_REAL,          /* real mode at selector:ip (start = selector << 16 | ip) */
} X86BootMode;
typedef struct X86Boot {
    X86BootMode mode;
    uint64_t start;         /* rip */
    uint64_t rax, rbx, rsi, rdi, rsp, rbp;
    uint64_t cr3;           /* LONG64 */
    uint64_t gdt_base;      /* 0: none loaded (segments are cached flat all the same) */
    uint16_t gdt_limit;
    uint16_t cs, ds, tr;    /* selectors that the cached flat segments claim; 0: 0x10, 0x18, 0x20 */
} X86Boot;
void x86_cpu_boot(Cpu *cpu, const X86Boot *boot);

#endif
