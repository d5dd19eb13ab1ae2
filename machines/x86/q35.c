/* SPDX-License-Identifier: Apache-2.0 */
/* q35: Intel Q35 memory controller hub and ICH9. */
#include "block/drive.h"
#include "hw/ide.h"
#include "machines/x86/pc.h"

const PcKind pc_kind_q35 = {
    .q35 = true, .low_limit = 0xb0000000, .low_split = 2ull << 30, .gpe_base = 0x620, .gpe_length = 16,
    .acpi_on = 2, .acpi_off = 3, .fadt_flags = 0x84a5, .pci_hotplug = 0xcc0, .cpu_hotplug = 0xcd8,
};

static bool build(Machine *m, GError **error)
{
    Pc *s = (Pc *)m;
    PcSouthConfig south;
    s->kind = &pc_kind_q35;
    if (!pc_begin(s, error))
        return false;
    PcHostConfig host = {.system = m->vm->memory_root, .ram = s->ram, .pci = s->pci,
                         .low_size = s->low_size, .msi = &s->irq.msi, .smm = s->smm_memory};
    s->root = q35_host_new(m->vm, &host);
    s->root->bypass_iommu = s->bypass_iommu;
    pc_south_config(s, &south);
    s->south = s->pm_function = ich9_lpc_new(s->root, &south);
    if (s->sata)
        s->disks = ich9_ahci_new(s->root);
    if (s->smbus)
        ich9_smb_new(s->root);
    if (!pc_finish_build(s, error))
        return false;
    if (pc_has_smm(s))
        ich9_lpc_smi_files(s->south, s->fw_cfg);
    return true;
}

static const Field fields[] = {PC_FIELDS(Pc)};
static const DeviceCompat before_8_0[] = {{"ICH9-LPC", "noreboot", "true"}, {0}};
static const DeviceCompat before_6_0[] = {
    {"ICH9-LPC", "noreboot", "true"}, {"ICH9-LPC", "x-smi-cpu-hotunplug", "false"}, {0},
};
static const DeviceCompat before_5_2[] = {
    {"ICH9-LPC", "noreboot", "true"}, {"ICH9-LPC", "x-smi-cpu-hotunplug", "false"},
    {"ICH9-LPC", "x-smi-cpu-hotplug", "false"}, {0},
};

#define Q35(ident, version, ...)                                                                    \
    static const MachineType ident = {                                                              \
        .name = "pc-q35-" version "-machine", .parent = "machine",                                  \
        .desc = "Standard PC (Q35 + ICH9, 2009)", .size = sizeof(Pc), .fields = fields,             \
        .n_fields = G_N_ELEMENTS(fields), .finish = pc_object_finish, .machine = "pc-q35-" version, \
        .archs = pc_archs, .default_cpu = "qemu64", .default_ram_id = "pc.ram",                     \
        .default_ram = 128 << 20, .max_cpus = 288, .default_cpus = 1, .boot_letters = true,         \
        .default_display = "std",                                                                   \
        .default_nic = "e1000e", .default_disk = "virtio-blk-pci", .build = build,          \
        .parallel_ports = PC_PARALLEL_PORTS, .drive_interface = DRIVE_IDE, .ide_units = 1,                                                \
        .ready = pc_ready, .cold_reset = pc_cold_reset, .default_bus = pc_default_bus,              \
        PC_CPU_HOTPLUG, .memory_slots = ACPI_MEMORY_SLOTS, .numa = true, __VA_ARGS__                \
    };                                                                                              \
    OBJECT_TYPE(ident)

Q35(q35_11_1, "11.1", .alias = "q35");
Q35(q35_10_0, "10.0");
Q35(q35_9_2, "9.2");
Q35(q35_9_0, "9.0");
Q35(q35_8_2, "8.2");
Q35(q35_8_0, "8.0");
Q35(q35_7_2, "7.2", .compat = before_8_0);
Q35(q35_7_1, "7.1", .compat = before_8_0);
Q35(q35_7_0, "7.0", .compat = before_8_0);
Q35(q35_6_2, "6.2", .compat = before_8_0);
Q35(q35_6_0, "6.0", .compat = before_8_0);
Q35(q35_5_2, "5.2", .compat = before_6_0);
Q35(q35_4_2, "4.2", .compat = before_5_2);
