/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCs with PCI: what pc and q35 share. A board makes memory and CPUs (pc_begin), its host bridge and
 * south bridge, then the rest (pc_finish_build); tables and fw_cfg follow in pc_ready.
 */
#ifndef MACHINES_X86_PC_H
#define MACHINES_X86_PC_H

#include "hw/acpi-pci.h"
#include "hw/pc-pci.h"
#include "machines/x86/boot.h"
#include "machines/x86/interrupts.h"

enum { PC_PARALLEL_PORTS = 3, PC_SMI_PORT = 0xb2 };

typedef struct Pc {
    Machine m;
    /* properties */
    int acpi, smm, vmport, pic_prop, pit_prop;          /* OnOffAuto */
    bool hpet, i8042, sata, smbus, fd_bootchk, nvdimm, hmat;
    uint64_t max_low;
    char *pflash0, *pflash1;
    char *oem_id, *oem_table_id;
    int smbios_entry;           /* SmbiosEntry */
    bool bypass_iommu;
    void *pcspk_audiodev;
    /* parts */
    X86Interrupts irq;
    MemRegion *ram, *pci, *bios;
    MemRegion *smm_memory;      /* over the rest for CPUs in system management mode; NULL: smm=off */
    AddressSpace *smm_space;
    uint64_t low_size, high_size;
    PciBus *root;
    PciDevice *south, *disks, *pm_function;  /* pc: the PIIX4's; q35: the south bridge */
    Device *rtc, *pm, *cpu_hotplug, *memory_hotplug, *pci_hotplug, *nvdimms;
    Bus *isa;
    FwCfg *fw_cfg;
    AcpiTables *tables;
    bool tables_fresh;          /* made since the reset */
    const struct PcKind *kind;
} Pc;

/* What differs, for tables and memory. */
typedef struct PcKind {
    bool q35;
    uint64_t low_limit, low_split;      /* RAM from the limit on: `split` stays below 4 GiB */
    uint64_t gpe_base;
    uint8_t gpe_length, acpi_on, acpi_off;
    uint32_t fadt_flags;
    uint16_t pci_hotplug, cpu_hotplug;  /* port blocks */
} PcKind;

extern const PcKind pc_kind_i440fx, pc_kind_q35;

extern const char *const pc_smbios_entries[];
bool pc_begin(Pc *s, GError **error);
void pc_south_config(Pc *s, PcSouthConfig *config);
bool pc_finish_build(Pc *s, GError **error);
bool pc_has_smm(const Pc *s);
bool pc_has_acpi(const Pc *s);
/* Flash from -drive if=pflash or pflash0=, pflash1=; else a BIOS file. */
bool pc_firmware(Pc *s, GError **error);

/* MachineType functions. */
bool pc_ready(Machine *m, GError **error);
Bus *pc_default_bus(Machine *m, const DeviceType *t);
void pc_cold_reset(Machine *m);
void pc_object_finish(Object *o);

/* CPUs that come and go (pc-cpu.c): the register block, and what MachineType wants. */
void pc_cpu_hotplug_new(Pc *s);
void pc_cpu_aml(const Pc *s, Aml *dsdt);
bool pc_cpu_plug(Machine *m, Cpu *cpu, GError **error);
void pc_cpu_plugged(Machine *m, Cpu *cpu);
bool pc_cpu_unplug_request(Machine *m, Cpu *cpu, GError **error);
void pc_cpu_unplug(Machine *m, Cpu *cpu);
#define PC_CPU_HOTPLUG                                                                              \
    .cpu_plug = pc_cpu_plug, .cpu_plugged = pc_cpu_plugged, .cpu_unplug_request = pc_cpu_unplug_request, \
    .cpu_unplug = pc_cpu_unplug
/* How many CPUs are there: for firmware. */
void pc_set_cpu_count(Pc *s);

/* Memory that comes and goes (pc-memory.c): its part of the address space; the register block; AML. */
void pc_memory_area_new(Pc *s);
void pc_memory_hotplug_new(Pc *s);
void pc_memory_aml(const Pc *s, Aml *dsdt);
/* NFIT, and the devices of NVDIMMs. */
void pc_nvdimm_tables(const Pc *s, AcpiTables *t);
/* Behind all RAM that there is or may be. */
uint64_t pc_high_end(const Pc *s);

/* Root buses (pc-roots.c): windows of the host bridge; expander bridges; how many firmware shall look at. */
void pc_root_windows(const Pc *s, Aml *bridge, uint64_t ecam, uint64_t ecam_size);
void pc_root_routing(Aml *bridge, const Pc *s);
void pc_expanders_aml(const Pc *s, Aml *dsdt);
void pc_expanders_fw_cfg(Pc *s);

/* NUMA (pc-numa.c): SRAT, SLIT, HMAT; the fw_cfg blob; each CPU's node, NULL: there are none. */
void pc_numa_tables(const Pc *s, AcpiTables *t);
void pc_numa_fw_cfg(Pc *s);
const uint32_t *pc_cpu_nodes(const Pc *s, uint32_t nodes[X86_MAX_CPUS]);

/* Parts of the namespace that have files of their own. */
void pc_sleep_aml(Aml *dsdt, const Pc *s);
/* ACPI tables of the machine as it is now. */
AcpiTables *pc_acpi_tables(Pc *s);

extern const char *const pc_archs[];
#define PC_FIELDS(T)                                                                                \
    PROP(Pc, acpi, "acpi", PROP_ON_OFF_AUTO, .desc = "Enable ACPI"),                                \
    PROP(Pc, smm, "smm", PROP_ON_OFF_AUTO, .desc = "Enable SMM"),                                   \
    PROP(Pc, vmport, "vmport", PROP_ON_OFF_AUTO, .desc = "Enable vmport (pc & q35)"),               \
    PROP(Pc, pic_prop, "pic", PROP_ON_OFF_AUTO, .desc = "Enable i8259 PIC"),                        \
    PROP(Pc, pit_prop, "pit", PROP_ON_OFF_AUTO, .desc = "Enable i8254 PIT"),                        \
    PROP(Pc, hpet, "hpet", PROP_BOOL, .init = true, .desc = "Enable the HPET"),                     \
    PROP(Pc, sata, "sata", PROP_BOOL, .init = true, .desc = "Enable the board's disk controller"),  \
    PROP(Pc, smbus, "smbus", PROP_BOOL, .init = true, .desc = "Enable the board's SMBus"),          \
    PROP(Pc, i8042, "i8042", PROP_BOOL, .init = true, .desc = "Enable the PS/2 controller"),        \
    PROP(Pc, bypass_iommu, "default-bus-bypass-iommu", PROP_BOOL,                                    \
         .desc = "Functions of the first root bus are not behind the machine's IOMMU"),              \
    PROP(Pc, nvdimm, "nvdimm", PROP_BOOL, .desc = "Set on/off to enable/disable NVDIMM instantiation"), \
    PROP(Pc, hmat, "hmat", PROP_BOOL, .desc = "Set on/off to enable/disable ACPI HMAT"),           \
    PROP(Pc, fd_bootchk, "fd-bootchk", PROP_BOOL, .init = true,                                     \
         .desc = "The BIOS checks floppies' boot signatures"),                                      \
    PROP(Pc, max_low, "max-ram-below-4g", PROP_SIZE, .desc = "Maximum RAM below 4 GiB"),            \
    PROP(Pc, pflash0, "pflash0", PROP_STRING, .desc = "Node name or ID of the first flash drive"),  \
    PROP(Pc, pflash1, "pflash1", PROP_STRING, .desc = "Node name or ID of the second flash drive"), \
    PROP(Pc, pcspk_audiodev, "pcspk-audiodev", PROP_AUDIODEV, .desc = "Where the PC speaker sounds"), \
    PROP(Pc, smbios_entry, "smbios-entry-point-type", PROP_ENUM, .names = pc_smbios_entries,         \
         .desc = "SMBIOS Entry Point type [32, 64, auto]"),                                            \
    PROP(Pc, oem_id, "x-oem-id", PROP_STRING, .desc = "OEM id in ACPI tables"),                     \
    PROP(Pc, oem_table_id, "x-oem-table-id", PROP_STRING, .desc = "OEM table id in ACPI tables")

#endif
