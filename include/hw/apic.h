/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APICs, IOAPICs and the messages between them. Spec: Intel SDM vol. 3 chapter 12, 82093AA.
 * All live in the interrupt chips' domain; the functions take it where needed.
 */
#ifndef HW_APIC_H
#define HW_APIC_H

#include "core/msi.h"
#include "core/vm.h"
#include "core/x86-intc.h"

typedef struct ApicBus ApicBus;

/* An interrupt message, as the redirection table, the ICR and MSIs state it. */
typedef struct ApicMessage {
    uint32_t dest;
    uint8_t vector, mode;       /* APIC_FIXED … */
    bool logical, level, assert_level;
} ApicMessage;
enum { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_NMI = 4, APIC_INIT, APIC_SIPI, APIC_EXTINT };

/* One per machine; maps the register window 0xfee00000 (each CPU sees its own APIC there). */
ApicBus *apic_bus_new(Vm *vm);
/* The same for boards whose CPUs have their local APICs from the accelerator (accel_irqchip()): messages
 * go there, ends of level-triggered interrupts come back to the IOAPICs of this bus. After the CPUs. */
ApicBus *apic_bus_new_remote(Vm *vm);
/* Makes the APIC of a CPU. `source` and the opaque to give to x86_cpu_connect() come back. */
Device *apic_new(ApicBus *bus, Cpu *cpu, uint32_t id, bool bsp, const X86IrqSource **source);
/* The CPU goes. */
void apic_free(ApicBus *bus, Device *apic);
/* Input LINT0/1 of an APIC: device_pin(apic, 0 or 1). The PIC drives LINT0 of all; its vector
 * comes from here. */
void apic_bus_set_pic(ApicBus *bus, int (*ack)(Device *pic), Device *pic);
Pin apic_bus_lint0(ApicBus *bus);
void apic_bus_deliver(ApicBus *bus, const ApicMessage *m);
/* A write of `data` to `address` in the MSI window 0xfee00000-0xfeefffff. */
void apic_bus_msi(ApicBus *bus, uint64_t address, uint32_t data);

/* Messages of IOAPICs pass through `remap` before they are delivered: it changes them, or says false: they
 * are lost. quiet: it is only asked what would become of one. NULL: none. Control thread; fn on any. */
void apic_bus_set_remap(ApicBus *bus, bool (*remap)(void *opaque, MsiMessage *m, bool quiet), void *opaque);
/* What becomes of messages is different from now on. Any thread. */
void apic_bus_remap_changed(ApicBus *bus);

/* An IOAPIC with 24 pins at base; id as the board chooses. Inputs are device_pin(ioapic, n). */
Device *ioapic_new(ApicBus *bus, uint64_t base, uint8_t id);

/* What people read of the chips. lapic: by its id, or (id -1) that of a CPU; false: there is none. */
bool apic_describe(Vm *vm, int64_t id, const Cpu *cpu, GString *out);
void ioapic_describe(Device *ioapic, unsigned number, GString *out);

#endif
