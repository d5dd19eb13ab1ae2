/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between an x86 CPU and its interrupt controllers (Intel SDM vol. 3, chapters 6 and 12).
 *
 * Chips drive the CPU's input pins (device_pin(cpu, X86_PIN_…)); the CPU, on its own thread, calls
 * back through one X86IrqSource, which the board attaches with x86_cpu_connect() (target/x86.h).
 * With a local APIC that is the APIC's; without one it may be the PIC's.
 */
#ifndef CORE_X86_INTC_H
#define CORE_X86_INTC_H

#include <stdbool.h>
#include <stdint.h>

/* Input pins of the CPU device. May be driven from any thread; the CPU latches and wakes up. */
enum {
    X86_PIN_INTR = 0,       /* level: the source has a vector for ack() */
    X86_PIN_NMI,            /* rising edge latches one NMI */
    X86_PIN_SMI,            /* rising edge */
    X86_PIN_INIT,           /* rising edge: INIT; an application processor then waits for SIPI */
    X86_PIN_RESET,          /* rising edge: reset of this CPU alone */
    X86_PIN_A20,            /* level; high (address line passes) after reset */
    X86_PIN_SIPI = 256,     /* rising edge on X86_PIN_SIPI + vector: start at vector << 12 */
    X86_PINS = X86_PIN_SIPI + 256,
};

/*
 * Called on the vCPU's thread, outside any device's lock: the functions take the chip's own domain
 * where they need it.
 */
typedef struct X86IrqSource {
    /* Acknowledges: the vector to deliver now, or -1 when it is gone again. Lowers or keeps
     * X86_PIN_INTR as appropriate. Never called while interrupts are masked. */
    int (*ack)(void *opaque);
    /* The task-priority register, 8 bits (cr8 is its upper four). NULL: no APIC. */
    uint8_t (*get_tpr)(void *opaque);
    void (*set_tpr)(void *opaque, uint8_t tpr);
    /* MSRs 0x1b (APIC_BASE) and 0x800-0x8ff (x2APIC). False: the access raises #GP(0). */
    bool (*msr_read)(void *opaque, uint32_t msr, uint64_t *value);
    bool (*msr_write)(void *opaque, uint32_t msr, uint64_t value);
    /* MSR 0x6e0. The CPU converts: `when` is in ns of CLOCK_K_VIRTUAL, INT64_MAX disarms (value 0).
     * get returns the value set last, 0 once it has fired or when not in TSC-deadline mode. */
    void (*set_tsc_deadline)(void *opaque, uint64_t value, int64_t when);
    uint64_t (*get_tsc_deadline)(void *opaque);
    /* The controller wakes and starts its CPU by itself: the thread always runs it. */
    bool never_halts;
    /* INIT arrived at the CPU: bring the APIC into its after-INIT state. May be NULL. */
    void (*init)(void *opaque);
} X86IrqSource;

#endif
