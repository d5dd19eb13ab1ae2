/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hotplug by ACPI: register blocks through which the guest learns of what came, and lets go of what is
 * to leave, with the AML that speaks to them. Spec: ACPI 6.5, 6.3 (_EJ0, _OST), 8.4.
 */
#ifndef HW_ACPI_HOTPLUG_H
#define HW_ACPI_HOTPLUG_H

#include "hw/acpi.h"

/* How a block gets the guest's attention: a general purpose event, or the generic event device. */
typedef struct AcpiEvent {
    void (*raise)(void *opaque);
    void *opaque;
} AcpiEvent;

/* ---- CPUs ---- */
enum { ACPI_CPU_MAX = 288, ACPI_CPU_WINDOW = 12, ACPI_GPE_PCI = 1, ACPI_GPE_CPU, ACPI_GPE_MEMORY };

/* What the block needs to know of the board; copied, arch_ids stays the board's. */
typedef struct AcpiCpuSlots {
    unsigned n;                 /* possible CPUs */
    const uint32_t *arch_ids;   /* of each: APIC ids */
    AcpiEvent event;
    void (*eject)(void *opaque, unsigned n);    /* control thread; it may be gone already */
    void *opaque;
} AcpiCpuSlots;
/* The register block; d->mmio (12 bytes) is placed by the board. */
Device *acpi_cpu_hotplug_new(Vm *vm, const AcpiCpuSlots *slots);
/* CPU n has come, or is asked to go: tells the guest. Control thread. */
void acpi_cpu_plugged(Device *block, unsigned n);
void acpi_cpu_unplug_request(Device *block, unsigned n);
/* \_SB.CPUS with the possible CPUs, \_SB.PCI0.PRES with the registers at an I/O port, the event's method.
 * nodes: proximity domain of each, NULL: none is told. */
void acpi_cpu_aml(Aml *dsdt, uint16_t port, unsigned n, const uint32_t *arch_ids, const uint32_t *nodes);

#endif
