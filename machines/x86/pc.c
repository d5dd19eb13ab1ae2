/* SPDX-License-Identifier: Apache-2.0 */
/* pc: Intel 440FX and PIIX3, with the PIIX4 power management function. */
#include "block/drive.h"
#include "hw/ide.h"
#include "machines/x86/pc.h"

const PcKind pc_kind_i440fx = {
    .low_limit = 0xe0000000, .low_split = 3ull << 30, .gpe_base = 0xafe0, .gpe_length = 4,
    .acpi_on = 0xf1, .acpi_off = 0xf0, .fadt_flags = 0x80a5, .pci_hotplug = 0xae00, .cpu_hotplug = 0xaf00,
};

static bool build(Machine *m, GError **error)
{
    Pc *s = (Pc *)m;
    PcSouthConfig south;
    s->kind = &pc_kind_i440fx;
    if (!pc_begin(s, error))
        return false;
    PcHostConfig host = {.system = m->vm->memory_root, .ram = s->ram, .pci = s->pci,
                         .low_size = s->low_size, .msi = &s->irq.msi, .smm = s->smm_memory};
    s->root = i440fx_host_new(m->vm, &host);
    s->root->bypass_iommu = s->bypass_iommu;
    pc_south_config(s, &south);
    s->south = piix3_new(s->root, &south);
    if (s->sata)
        s->disks = piix3_ide_new(s->root, x86_isa_line(&s->irq, LINE_ISA, 14), x86_isa_line(&s->irq, LINE_ISA, 15));
    s->pm_function = piix4_pm_new(s->root, &south);
    return pc_finish_build(s, error);
}

static const Field fields[] = {PC_FIELDS(Pc)};

#define PC(ident, version, ...)                                                                    \
    static const MachineType ident = {                                                              \
        .name = "pc-i440fx-" version "-machine", .parent = "machine",                                  \
        .desc = "Standard PC (i440FX + PIIX, 1996)", .size = sizeof(Pc), .fields = fields,             \
        .n_fields = G_N_ELEMENTS(fields), .finish = pc_object_finish, .machine = "pc-i440fx-" version, \
        .archs = pc_archs, .default_cpu = "qemu64", .default_ram_id = "pc.ram",                     \
        .default_ram = 128 << 20, .max_cpus = 288, .default_cpus = 1, .boot_letters = true,         \
        .default_display = "std",                                                                   \
        .default_nic = "e1000", .default_disk = "virtio-blk-pci", .build = build,          \
        .parallel_ports = PC_PARALLEL_PORTS, .drive_interface = DRIVE_IDE, .default_floppy = true, .ide_units = 2,                                                \
        .ready = pc_ready, .cold_reset = pc_cold_reset, .default_bus = pc_default_bus,              \
        PC_CPU_HOTPLUG, .memory_slots = ACPI_MEMORY_SLOTS, .numa = true, __VA_ARGS__                \
    };                                                                                              \
    OBJECT_TYPE(ident)

PC(pc_11_1, "11.1", .alias = "pc", .is_default = true);
PC(pc_10_0, "10.0");
PC(pc_9_2, "9.2");
PC(pc_9_0, "9.0");
PC(pc_8_2, "8.2");
PC(pc_8_0, "8.0");
PC(pc_7_2, "7.2");
PC(pc_7_1, "7.1");
PC(pc_7_0, "7.0");
PC(pc_6_2, "6.2");
PC(pc_6_0, "6.0");
PC(pc_5_2, "5.2");
PC(pc_4_2, "4.2");
