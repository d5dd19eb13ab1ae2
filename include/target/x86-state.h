/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's registers in a form that other engines can take: what KVM holds, what is handed over.
 * Intel SDM vol. 3A. On the vCPU's thread, outside of units.
 */
#ifndef TARGET_X86_STATE_H
#define TARGET_X86_STATE_H

#include "core/cpu.h"

typedef struct X86StateSeg {
    uint64_t base;
    uint32_t limit;             /* in bytes */
    uint16_t sel, attr;         /* bits 8-23 of the descriptor's second word */
} X86StateSeg;

/* An event on its way into the CPU: delivered before the next instruction. */
typedef enum X86QueuedKind { X86_QUEUED_NONE, X86_QUEUED_FAULT, X86_QUEUED_TRAP, X86_QUEUED_SOFTWARE,
                             X86_QUEUED_EXTERNAL } X86QueuedKind;

enum { X86_STATE_ES, X86_STATE_CS, X86_STATE_SS, X86_STATE_DS, X86_STATE_FS, X86_STATE_GS, X86_STATE_LDT,
       X86_STATE_TR, X86_STATE_SEGS };

typedef struct X86State {
    uint64_t regs[16];          /* in the encoding's order: rax, rcx, rdx, rbx, rsp, … */
    uint64_t rip, rflags;
    X86StateSeg seg[X86_STATE_SEGS];
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t pdpte[4];          /* in use with PAE paging outside of long mode */
    uint64_t dr[8];
    uint8_t xsave[832];         /* the standard format: x87, SSE, header, AVX */
    uint32_t pkru;
    bool shadow;                /* sti or mov ss before: no interrupts for one instruction */
    bool nmi_masked, nmi_pending, in_smm, wait_sipi;
    X86QueuedKind queued;
    uint8_t queued_vector;
    bool queued_has_error;
    uint32_t queued_error;
} X86State;

void x86_state_get(Cpu *cpu, X86State *s);
/* Derived state follows; the TLB is emptied. */
void x86_state_set(Cpu *cpu, const X86State *s);

/* A register's stored value, without the effects or checks of RDMSR and WRMSR; false if the CPU has
 * no member for it. */
bool x86_state_msr_get(Cpu *cpu, uint32_t msr, uint64_t *value);
bool x86_state_msr_set(Cpu *cpu, uint32_t msr, uint64_t value);
/* What RDMSR and WRMSR do; false: #GP(0). */
bool x86_cpu_rdmsr(Cpu *cpu, uint32_t msr, uint64_t *value);
bool x86_cpu_wrmsr(Cpu *cpu, uint32_t msr, uint64_t value);

/* The time stamp reads `tsc` now; nothing else moves with it. */
void x86_cpu_set_tsc(Cpu *cpu, uint64_t tsc);
/* Changes when the guest sets it. */
int64_t x86_cpu_tsc_offset(Cpu *cpu);
bool x86_cpu_in_smm(Cpu *cpu);
/* Before the CPU runs. */
void x86_cpu_set_tsc_hz(Cpu *cpu, uint64_t hz);
bool x86_cpu_tsc_set_by_user(Cpu *cpu);     /* "tsc-frequency" was given */
/* State components that the engine can hold: XCR0 must have no others for a hand-over to it. */
uint64_t x86_cpu_xcr0_known(Cpu *cpu);

/* The interrupt controller's side. */
bool x86_cpu_intr(Cpu *cpu);                /* X86_PIN_INTR is high */
int x86_cpu_ack(Cpu *cpu);                  /* the vector, or -1 */
uint8_t x86_cpu_tpr(Cpu *cpu);
void x86_cpu_set_tpr(Cpu *cpu, uint8_t tpr);
/* Requests in cpu->req that the engine's interrupt() delivers: NMI, SMI, INIT, SIPI, … */
extern const uint32_t x86_req_events;

#endif
