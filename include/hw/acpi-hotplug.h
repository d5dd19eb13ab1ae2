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
enum { ACPI_CPU_MAX = 288, ACPI_CPU_WINDOW = 12, ACPI_GPE_PCI = 1, ACPI_GPE_CPU, ACPI_GPE_MEMORY,
       ACPI_GPE_NVDIMM };

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
/* \_SB.CPUS with the possible CPUs, \_SB.PCI0.PRES with the registers at an I/O port, the event's method. */
typedef struct AcpiCpuAml {
    uint16_t port;
    unsigned n;
    const uint32_t *arch_ids, *nodes;   /* of each; proximity domains, NULL: none is told */
    const char *smi;                    /* field that tells firmware (ACPI_SMI_CPU) of a CPU that came; or NULL */
    bool firmware_ejects;               /* and of one that goes */
} AcpiCpuAml;
enum { ACPI_SMI_CPU = 4 };
void acpi_cpu_aml(Aml *dsdt, const AcpiCpuAml *c);

/* ---- memory modules in slots ---- */
enum { ACPI_MEMORY_SLOTS = 256, ACPI_MEMORY_WINDOW = 0x18 };

typedef struct AcpiMemorySlots {
    unsigned n;
    AcpiEvent event;
    void (*eject)(void *opaque, unsigned slot);         /* control thread; it may be gone already */
    const char *(*id)(void *opaque, unsigned slot);     /* of the device in it, or NULL; control thread */
    void *opaque;
} AcpiMemorySlots;
Device *acpi_memory_hotplug_new(Vm *vm, const AcpiMemorySlots *slots);
/* A module is in a slot; `tell`: the guest did not find it there at its start. Control thread, as below. */
void acpi_memory_plugged(Device *block, unsigned slot, uint64_t addr, uint64_t size, uint32_t node, bool tell);
void acpi_memory_unplug_request(Device *block, unsigned slot);
void acpi_memory_gone(Device *block, unsigned slot);
/* \\_SB.MHPC with the slots, \\_SB.PCI0.MHPD with the registers at an I/O port, the event's method. */
void acpi_memory_aml(Aml *dsdt, uint16_t port, unsigned n);

/* What the guest's _OST said of a device: events ACPI_DEVICE_OST and, when it refuses to let go,
 * DEVICE_UNPLUG_GUEST_ERROR, of memory also MEM_UNPLUG_ERROR. Any thread; id may be NULL. */
void acpi_ost(Vm *vm, const char *id, bool cpu, unsigned slot, uint32_t source, uint32_t status);

/* What it said last of slot n of such a block (0: nothing yet); false: there are not so many. Control thread. */
typedef struct AcpiOst {
    const char *id;             /* of the device in it, or NULL */
    uint32_t source, status;
} AcpiOst;
bool acpi_cpu_ost(Device *block, unsigned n, AcpiOst *ost);
bool acpi_memory_ost(Device *block, unsigned n, AcpiOst *ost);

/* ---- NVDIMMs ---- */
enum { ACPI_NVDIMM_WINDOW = 4 };
/* NFIT of the machine's NVDIMMs; nothing without one. */
void acpi_nfit(AcpiTables *t, Vm *vm);
/* The same without the table's header; the caller owns it. */
GByteArray *acpi_nfit_structures(Vm *vm);
/* How methods name the module in a slot; the root device has 0. */
#define ACPI_NVDIMM_HANDLE(slot) ((slot) + 1)
/* The register to which \_SB.NVDR's methods write the address of a page with a call: of what came later, and of
 * labels. */
Device *acpi_nvdimm_new(Vm *vm, AcpiEvent event);
/* There is one more; `tell`: the guest runs. */
void acpi_nvdimm_changed(Device *block, bool tell);
/* An SSDT with \_SB.NVDR. Firmware allocates the page: ACPI_NVDIMM_PAGE, an empty file of 4 KiB. */
#define ACPI_NVDIMM_PAGE "etc/acpi/nvdimm-mem"
void acpi_nvdimm_table(AcpiTables *t, uint16_t port, unsigned slots);

#endif
