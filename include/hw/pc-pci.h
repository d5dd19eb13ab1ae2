/* SPDX-License-Identifier: Apache-2.0 */
/* Chip sets of PCs: host bridges, their south bridges, and what the boards wire to them. */
#ifndef HW_PC_PCI_H
#define HW_PC_PCI_H

#include "hw/pci.h"

/* ---- host bridges ---- */
typedef struct PcHostConfig {
    MemRegion *system, *ram;    /* system memory; all of RAM, low part first */
    MemRegion *pci;             /* the PCI memory space, mapped beneath RAM by the board */
    MemRegion *smm;             /* over system memory in system management mode; NULL: the mode is off */
    uint64_t low_size;          /* RAM below 4 GiB */
    const MsiTarget *msi;
} PcHostConfig;
/* q35: "pcie.0" with the MCH at 00.0, ECAM by PCIEXBAR; i440fx: "pci.0" with the PMC at 00.0. Interrupt
 * lines go to the south bridge, which the board makes next. */
PciBus *q35_host_new(Vm *vm, const PcHostConfig *config);
PciBus *i440fx_host_new(Vm *vm, const PcHostConfig *config);
/* Bytes at 0xcf9: reset control, the south bridge's. */
void pc_host_reset_port(PciBus *root, uint64_t (*read)(void *opaque, uint64_t at, unsigned size),
                        void (*write)(void *opaque, uint64_t at, uint64_t value, unsigned size),
                        void *opaque);
/* Size of the window above 4 GiB. */
uint64_t pc_host_hole64(PciBus *root);
/* Address of ECAM as the guest has set it; 0: off. */
uint64_t q35_ecam(PciBus *root);

/* ---- south bridges: PCI lines to interrupts, ACPI PM, reset control, ISA ---- */
typedef struct PcSouthConfig {
    Pin isa[16];                /* where lines routed to ISA interrupts end */
    Pin gsi[8];                 /* q35: PIRQA-H at the I/O APIC */
    Pin sci;
    Pin smbus_irq;              /* pc: ISA line 9 */
    Pin smi, smi_caller;        /* to all CPUs, to the one whose access raises it */
    bool smm, smbus;
    Bus *isa_bus;
} PcSouthConfig;
/* ICH9 LPC at 1f.0 with the PM block. */
PciDevice *ich9_lpc_new(PciBus *root, const PcSouthConfig *config);
/* The files in which firmware finds and asks for SMI features (etc/smi/). */
struct FwCfg;
void ich9_lpc_smi_files(PciDevice *lpc, struct FwCfg *fw_cfg);
/* What firmware has asked for and got since reset: SMIs go to all CPUs; one follows each CPU that comes; firmware
 * ejects those that go. Any thread. */
enum { ICH9_SMI_BROADCAST = 1, ICH9_SMI_CPU_HOTPLUG = 2, ICH9_SMI_CPU_HOT_UNPLUG = 4 };
uint64_t ich9_lpc_smi_features(PciDevice *lpc);
/* The ICH9's SMBus at 1f.3 with memories for modules' descriptions. */
void ich9_smb_new(PciBus *root);
/* PIIX3 ISA bridge at 01.0 and PIIX4 PM at 01.3. */
PciDevice *piix3_new(PciBus *root, const PcSouthConfig *config);
PciDevice *piix4_pm_new(PciBus *root, const PcSouthConfig *config);
/* What -global says of hotplug by ACPI: on the root bus, behind bridges and in ports. */
bool ich9_lpc_bridge_hotplug(PciDevice *p);
bool piix4_pm_root_hotplug(PciDevice *p);
bool piix4_pm_bridge_hotplug(PciDevice *p);
/* The PM block of the machine, for hotplug and power events. */
Device *acpi_pm_of(Vm *vm);

/* ---- ACPI power management block (hw/acpi/pm.c) ---- */
typedef struct AcpiPmConfig {
    const char *type;           /* "ich9-pm" or "piix4-pm" */
    const PcSouthConfig *pins;
    bool no_s3;
    int s4_type;                /* sleep type that means S4; -1: none */
} AcpiPmConfig;
/* Registers in d->mmio (0x80 bytes), mapped by its owner. ich9 has inputs of the watchdog's: an SMI (an edge);
 * SMI_EN's bit for it is locked (a level). */
enum { ACPI_PM_PIN_TCO_SMI, ACPI_PM_PIN_TCO_LOCK };
Device *acpi_pm_new(Vm *vm, const AcpiPmConfig *config);
/* Sleep types of the states that the guest may enter; -1: not that state. */
typedef struct AcpiSleep { int s3, s4; } AcpiSleep;
AcpiSleep acpi_pm_sleep(Device *pm);
/* Sets general purpose event n (0-31) pending. Any thread. */
void acpi_pm_gpe(Device *pm, unsigned n);
/* A byte to the SMI command port; `enable` and `disable` are the values that switch to ACPI and back. An
 * SMI follows where it is enabled, for all CPUs or the calling one. */
void acpi_pm_command(Device *pm, uint8_t value, uint8_t enable, uint8_t disable, bool all_cpus);
/* The command port raises SMIs (piix4: a bit of configuration space; ich9 has a register of its own). */
void acpi_pm_enable_apm(Device *pm, bool on);
/* Bits of SMI_EN that cannot change until reset. */
void acpi_pm_lock_smi(Device *pm, uint32_t bits);
/* GPE registers on a port block of their own (piix4: 0xafe0); NULL: within the block. */
MemRegion *acpi_pm_gpe_region(Device *pm);

/* What both south bridges let the user say of sleep. */
typedef struct AcpiSleepProps {
    uint8_t disable_s3, disable_s4, s4_val;
} AcpiSleepProps;
#define ACPI_SLEEP_PROPS(T, m)                                                                      \
    PROP(T, m.disable_s3, "disable_s3", PROP_U8, .desc = "No suspend to memory"),                   \
    PROP(T, m.disable_s4, "disable_s4", PROP_U8, .desc = "No suspend to disk"),                     \
    PROP(T, m.s4_val, "s4_val", PROP_U8, .init = 2, .desc = "Sleep type of suspend to disk")
static inline AcpiPmConfig acpi_pm_config(const char *type, const PcSouthConfig *pins, const AcpiSleepProps *p)
{
    return (AcpiPmConfig){.type = type, .pins = pins, .no_s3 = p->disable_s3,
                          .s4_type = p->disable_s4 ? -1 : p->s4_val & 7};
}

/* ---- small parts ---- */
Device *hpet_new(Vm *vm, uint64_t base, const Pin *gsi, Pin pit_gate);      /* 24 pins */
Device *port92_new(Vm *vm, Pin a20);
/* Keyboard controller at 0x60, 0x64 with keyboard (IRQ 1) and mouse (IRQ 12). */
Device *i8042_new(Bus *isa, Pin a20);
/* Ports that exist so that software finds something: POST codes 0x80, coprocessor error 0xf0. */
void pc_ports_new(Vm *vm);

#endif
