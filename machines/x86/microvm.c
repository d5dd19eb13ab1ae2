/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microvm: the least PC that Linux runs on. Local APICs, one or two IOAPICs, optional PIC, PIT, RTC
 * and serial port, virtio over memory-mapped slots, ACPI (hardware-reduced) or the kernel command
 * line to announce them. Boots a kernel directly, or firmware given with -bios.
 */
#include "core/accel.h"
#include "hw/acpi-pci.h"
#include "hw/apic.h"
#include "hw/isa.h"
#include "hw/pc-chips.h"
#include "hw/pci-host.h"
#include "hw/virtio-mmio.h"
#include "machines/common.h"
#include "machines/x86/boot.h"
#include "machines/x86/interrupts.h"
#include "util/error.h"

enum {
    GED_GSI = 9, GED_SELECTOR = 0xfea00000, GED_REGS = 0xfea00200, GED_RESET = GED_REGS + 2,
    GED_RESET_VALUE = 0x42,
    VIRTIO_BASE = 0xfeb00000, 
    MAX_SLOTS = 24, FEW_SLOTS = 8, PCIE_GSI = 16, PCIE_GSI_ONE_IOAPIC = 12,
};
#define PCIE_MMIO 0xc0000000ull
#define PCIE_MMIO_SIZE 0x20000000ull
#define PCIE_ECAM 0xe0000000ull
#define PCIE_BUSES 256
#define PCIE_MMIO64 0xc000000000ull
#define PCIE_MMIO64_SIZE 0x4000000000ull
#define LOW_LIMIT (3ull << 30)

typedef struct MicroVm {
    Machine m;
    int acpi, pcie, rtc, pic, pit, usb, ioapic2;        /* OnOffAuto */
    bool isa_serial, auto_cmdline, option_roms;
    X86Interrupts irq;
    Device *rtc_dev;
    Bus *isa, *slot[MAX_SLOTS];
    PciBus *pci;                /* NULL: none */
    unsigned taken;             /* slots in use, from the highest down */
    unsigned taken_order[MAX_SLOTS];
    uint64_t low_size, high_size;
    AcpiTables *tables;
    X86BootInfo boot;
} MicroVm;

enum { AUTO, ON, OFF };
static bool on(int value, bool dflt) { return value == AUTO ? dflt : value == ON; }
static bool has_acpi(const MicroVm *s) { return on(s->acpi, true); }
/* The kernel's chips are one IOAPIC; a second one would not hear of ends of interrupts. */
static bool two_ioapics(const MicroVm *s)
{
    return has_acpi(s) && on(s->ioapic2, accel_irqchip(s->m.vm) != ACCEL_IRQCHIP_FULL);
}

/* ---- interrupts ---- */

static Pin gsi(MicroVm *s, unsigned n) { return x86_gsi(&s->irq, n); }

/* ---- PCI Express ---- */

static unsigned pci_gsi(const MicroVm *s) { return two_ioapics(s) ? PCIE_GSI : PCIE_GSI_ONE_IOAPIC; }

static void make_pci(MicroVm *s)
{
    GpexConfig c = {.ecam = PCIE_ECAM, .buses = PCIE_BUSES, .mmio32 = {PCIE_MMIO, PCIE_MMIO_SIZE},
                    .mmio64 = {PCIE_MMIO64, PCIE_MMIO64_SIZE}, .msi = &s->irq.msi};
    for (unsigned pin = 0; pin < PCI_PINS; pin++)
        c.irq[pin] = gsi(s, pci_gsi(s) + pin);
    s->pci = gpex_new(s->m.vm, &c);
}

static void add_pci_aml(Aml *sb, const MicroVm *s)
{
    Aml *bridge = aml_device("PCI0"), *r = aml_resources(), *routes[PCI_SLOTS * PCI_PINS];
    aml_append(bridge, aml_name("_HID", aml_eisaid("PNP0A08")));
    aml_append(bridge, aml_name("_CID", aml_eisaid("PNP0A03")));
    aml_append(bridge, aml_name("_SEG", aml_int(0)));
    aml_append(bridge, aml_name("_BBN", aml_int(0)));
    aml_append(bridge, aml_name("_UID", aml_int(0)));
    aml_append(bridge, aml_name("_CCA", aml_int(1)));
    for (unsigned i = 0; i < PCI_SLOTS * PCI_PINS; i++) {
        unsigned slot = i / PCI_PINS, pin = i % PCI_PINS;
        Aml *e[] = {aml_int((uint64_t)slot << 16 | 0xffff), aml_int(pin), aml_int(0),
                    aml_int(pci_gsi(s) + (slot + pin) % PCI_PINS)};
        routes[i] = aml_package(e, 4);
    }
    aml_append(bridge, aml_name("_PRT", aml_package(routes, G_N_ELEMENTS(routes))));
    aml_res_bus(r, 0, PCIE_BUSES - 1);
    aml_res_window32(r, PCIE_MMIO, PCIE_MMIO + PCIE_MMIO_SIZE - 1, false);
    aml_res_window64(r, PCIE_MMIO64, PCIE_MMIO64 + PCIE_MMIO64_SIZE - 1);
    aml_append(bridge, aml_name_resources("_CRS", r));
    acpi_pci_osc(bridge, true);
    acpi_pci_hotplug_aml(bridge, NULL, s->pci, 0);
    aml_append(sb, bridge);
    Aml *taken = aml_device("DRAC");
    r = aml_resources();
    aml_append(taken, aml_name("_HID", aml_eisaid("PNP0C01")));
    aml_res_memory32(r, PCIE_ECAM, PCIE_BUSES << 20, false);
    aml_append(taken, aml_name_resources("_CRS", r));
    aml_append(sb, taken);
}

/* ---- chips ---- */

static bool make_chips(MicroVm *s, GError **error)
{
    Vm *vm = s->m.vm;
    Pin lines[ISA_IRQS];
    x86_interrupts_new(vm, &s->irq, on(s->pic, true), two_ioapics(s));
    for (unsigned n = 0; n < ISA_IRQS; n++)
        lines[n] = x86_isa_line(&s->irq, LINE_ISA, n);
    s->isa = isa_bus_new(vm, lines);
    if (on(s->pit, true))
        pcspk_new(vm, x86_pit_new(&s->irq, vm, false), NULL);
    if (on(s->rtc, true)) {
        s->rtc_dev = mc146818_new(vm, lines[8]);
        mc146818_set_memory(s->rtc_dev, s->low_size, s->high_size);
        mc146818_set(s->rtc_dev, 0x5f, vm->n_cpus - 1);
    }
    if (on(s->pcie, false))
        make_pci(s);
    if (has_acpi(s))
        ged_new(vm, GED_SELECTOR, GED_REGS, gsi(s, GED_GSI));
    if (s->isa_serial) {
        Device *serial = device_new(vm, "isa-serial", error);
        if (!serial || !machine_set_chardev(&s->m, serial, 0, error) ||
            !device_realize(serial, s->isa, error))
            return false;
    }
    return true;
}

static bool make_memory(MicroVm *s, GError **error)
{
    Machine *m = &s->m;
    MemRegion *ram = machine_make_ram(m, error), *root = m->vm->memory_root;
    if (!ram)
        return false;
    s->low_size = MIN(m->ram_size, LOW_LIMIT);
    s->high_size = m->ram_size - s->low_size;
    mem_add(root, 0, mem_alias(&m->object, "ram-below-4g", ram, 0, s->low_size), 0);
    if (s->high_size)
        mem_add(root, 1ull << 32,
                mem_alias(&m->object, "ram-above-4g", ram, s->low_size, s->high_size), 0);
    return true;
}

static bool build(Machine *m, GError **error)
{
    MicroVm *s = (MicroVm *)m;
    if (on(s->usb, false))
        return error_set(error, "-machine microvm,usb=on: not implemented yet");
    if (on(s->pcie, false) && !has_acpi(s))
        return error_set(error, "-machine microvm,pcie=on needs acpi=on: nothing else tells the guest of it");
    if (s->ioapic2 == ON && accel_irqchip(m->vm) == ACCEL_IRQCHIP_FULL)
        return error_set(error, "-machine microvm,ioapic2=on needs kernel-irqchip=split or off");
    if (m->ram_size < 2 << 20)
        return error_set(error, "microvm needs at least 2 MiB of memory (-m)");
    return make_memory(s, error) && machine_make_cpus(m, error) && make_chips(s, error);
}

/* ---- virtio slots: the highest free one first ---- */

static unsigned slots(const MicroVm *s) { return two_ioapics(s) ? MAX_SLOTS : FEW_SLOTS; }

static unsigned slot_gsi(const MicroVm *s, unsigned slot)
{
    return slot + (!has_acpi(s) ? 5 : two_ioapics(s) ? X86_IOAPIC_PINS : 16);
}

static Bus *default_bus(Machine *m, const DeviceType *t)
{
    MicroVm *s = (MicroVm *)m;
    if (!g_strcmp0(device_type_bus(t), "ISA"))
        return s->isa;
    if (!g_strcmp0(device_type_bus(t), "PCI"))
        return s->pci ? &s->pci->bus : NULL;
    if (g_strcmp0(device_type_bus(t), "virtio-bus") || s->taken == slots(s))
        return NULL;
    unsigned slot = slots(s) - 1 - s->taken;
    s->taken_order[s->taken++] = slot;
    s->slot[slot] = virtio_mmio_new(m->vm, VIRTIO_BASE + (uint64_t)slot * VIRTIO_MMIO_SIZE,
                                    gsi(s, slot_gsi(s, slot)));
    return s->slot[slot];
}

/* ---- ACPI ---- */

/* A chip at its fixed ports and interrupt. */
static void add_isa_aml(Aml *sb, const char *name, const char *hid, uint16_t port, uint8_t ports, uint8_t irq)
{
    Aml *dev = aml_device(name);
    aml_append(dev, aml_name("_HID", aml_eisaid(hid)));
    aml_append(dev, aml_name("_UID", aml_int(1)));
    aml_append(dev, aml_name("_STA", aml_int(15)));
    Aml *crs = aml_resources();
    aml_res_io(crs, port, ports);
    aml_res_irq_legacy(crs, irq);
    aml_append(dev, aml_name_resources("_CRS", crs));
    aml_append(sb, dev);
}

static void add_virtio_aml(Aml *sb, const MicroVm *s, unsigned slot)
{
    char name[5];
    g_snprintf(name, sizeof(name), "VR%02u", slot);
    Aml *dev = aml_device(name);
    aml_append(dev, aml_name("_HID", aml_string("LNRO0005")));
    aml_append(dev, aml_name("_UID", aml_int(slot)));
    aml_append(dev, aml_name("_CCA", aml_int(1)));
    Aml *crs = aml_resources();
    aml_res_memory32(crs, VIRTIO_BASE + slot * VIRTIO_MMIO_SIZE, VIRTIO_MMIO_SIZE, true);
    aml_res_irq(crs, slot_gsi(s, slot), true);
    aml_append(dev, aml_name_resources("_CRS", crs));
    aml_append(sb, dev);
}

static unsigned make_dsdt(MicroVm *s)
{
    unsigned start;
    GByteArray *b = acpi_begin(s->tables, "DSDT", 2, &start);
    Aml *sb = aml_scope("\\_SB");
    aml_append(sb, aml_name("_UID", aml_int(0)));
    if (s->isa_serial)
        add_isa_aml(sb, "COM1", "PNP0501", 0x3f8, 8, 4);
    if (s->rtc_dev)             /* hardware-reduced ACPI has no legacy interrupts but those told here */
        add_isa_aml(sb, "RTC", "PNP0B00", 0x70, 2, 8);
    ged_aml(sb, GED_SELECTOR, GED_GSI);
    for (unsigned slot = 0; slot < slots(s); slot++)
        if (s->slot[slot])
            add_virtio_aml(sb, s, slot);
    if (s->pci)
        add_pci_aml(sb, s);
    aml_append(b, sb);
    Aml *s5[] = {aml_int(5), aml_int(0), aml_int(0), aml_int(0)};
    aml_append(b, aml_name("_S5", aml_package(s5, G_N_ELEMENTS(s5))));
    acpi_end(s->tables, start, false);
    return start;
}

static void make_tables(MicroVm *s)
{
    s->tables = acpi_tables_new();
    unsigned dsdt = make_dsdt(s);
    AcpiReducedFadt fadt = {.sleep_control = GED_REGS, .sleep_status = GED_REGS + 1,
                            .reset = GED_RESET, .reset_value = GED_RESET_VALUE};
    acpi_fadt_reduced(s->tables, &fadt, dsdt);
    AcpiMadt madt = {
        .lapic_base = 0xfee00000, .apic_ids = s->irq.apic_ids, .cpus = s->m.vm->n_cpus,
        .ioapics = two_ioapics(s) ? 2 : 1,
        .ioapic = {{X86_IOAPIC_BASE, 0, 0}, {X86_IOAPIC2_BASE, X86_IOAPIC_PINS, 1}},
    };
    acpi_madt(s->tables, &madt);
    if (s->pci)
        acpi_mcfg(s->tables, PCIE_ECAM, 0, PCIE_BUSES - 1);
    acpi_viot(s->tables, s->m.vm);
    acpi_user_tables(s->tables, s->m.vm);
    acpi_finish(s->tables, true);
}

/* ---- the last words before the start ---- */

/* Without ACPI the kernel learns of its devices from the command line. */
static char *kernel_cmdline(MicroVm *s)
{
    GString *line = g_string_new(s->m.append ? s->m.append : "");
    if (!has_acpi(s) && s->auto_cmdline)
        for (unsigned i = 0; i < s->taken; i++) {
            unsigned slot = s->taken_order[i];
            g_string_append_printf(line, "%svirtio_mmio.device=512@0x%x:%u", line->len ? " " : "",
                                   VIRTIO_BASE + slot * VIRTIO_MMIO_SIZE, slot_gsi(s, slot));
        }
    return g_string_free(line, false);
}

static void add_e820(FwCfg *fw_cfg, const MicroVm *s)
{
    struct __attribute__((packed)) { uint64_t base, length; uint32_t type; } map[2] = {
        {0, GUINT64_TO_LE(s->low_size), GUINT32_TO_LE(1)},
        {GUINT64_TO_LE(1ull << 32), GUINT64_TO_LE(s->high_size), GUINT32_TO_LE(1)},
    };
    fw_cfg_add_file(fw_cfg, "etc/e820", map, sizeof(map[0]) * (s->high_size ? 2 : 1));
}

static bool ready(Machine *m, GError **error)
{
    MicroVm *s = (MicroVm *)m;
    g_autofree char *cmdline = kernel_cmdline(s);
    FwCfg *fw_cfg = fw_cfg_new_io(m);
    fw_cfg_add_u64(fw_cfg, FW_CFG_RAM_SIZE, m->ram_size);
    fw_cfg_add_u32(fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    add_e820(fw_cfg, s);
    if (has_acpi(s)) {
        make_tables(s);
        acpi_to_fw_cfg(s->tables, fw_cfg);
    }
    x86_boot_map(&s->boot, s->low_size, s->high_size);
    s->boot.rsdp = has_acpi(s) ? BOOT_ACPI : 0;
    if (m->kernel && !m->firmware)
        return x86_boot_kernel(m, cmdline, &s->boot, error);
    return x86_load_bios(m, has_acpi(s) ? "bios-microvm.bin" : "qboot.rom", error) &&
           (!m->kernel || x86_boot_fw_cfg(m, fw_cfg, cmdline, s->low_size, s->option_roms, error));
}

static void cold_reset(Machine *m)
{
    MicroVm *s = (MicroVm *)m;
    loader_reset(m);
    if (!s->boot.direct)
        return;
    if (s->tables)
        acpi_to_memory(s->tables, m->vm->memory, BOOT_ACPI);
    x86_cpu_boot(m->vm->cpus[0], &s->boot.entry);
}

static void finish(Object *o) { acpi_tables_free(((MicroVm *)o)->tables); }

static const char *const archs[] = {"x86_64", "i386", NULL};
static const Field fields[] = {
    PROP(MicroVm, acpi, "acpi", PROP_ON_OFF_AUTO, .desc = "Enable ACPI"),
    PROP(MicroVm, pcie, "pcie", PROP_ON_OFF_AUTO, .desc = "Enable PCI Express"),
    PROP(MicroVm, rtc, "rtc", PROP_ON_OFF_AUTO, .desc = "Enable the MC146818 clock"),
    PROP(MicroVm, pic, "pic", PROP_ON_OFF_AUTO, .desc = "Enable the i8259 PICs"),
    PROP(MicroVm, pit, "pit", PROP_ON_OFF_AUTO, .desc = "Enable the i8254 timer"),
    PROP(MicroVm, usb, "usb", PROP_ON_OFF_AUTO, .desc = "Enable USB"),
    PROP(MicroVm, ioapic2, "ioapic2", PROP_ON_OFF_AUTO, .desc = "Enable the second IOAPIC"),
    PROP(MicroVm, isa_serial, "isa-serial", PROP_BOOL, .init = true,
         .desc = "Enable the serial port"),
    PROP(MicroVm, auto_cmdline, "auto-kernel-cmdline", PROP_BOOL, .init = true,
         .desc = "Announce virtio devices on the kernel command line"),
    PROP(MicroVm, option_roms, "x-option-roms", PROP_BOOL, .init = true,
         .desc = "Load option ROMs"),
};
static const MachineType microvm = {
    .name = "microvm-machine", .parent = "machine", .desc = "microvm (i386)",
    .size = sizeof(MicroVm), .fields = fields, .n_fields = G_N_ELEMENTS(fields), .finish = finish,
    .machine = "microvm", .archs = archs, .default_cpu = "qemu64", .latest_cpus = true, .default_ram_id = "microvm.ram",
    .default_ram = 128 << 20, .max_cpus = 288, .default_cpus = 1, .build = build, .ready = ready,
    .cold_reset = cold_reset, .default_bus = default_bus,
};
OBJECT_TYPE(microvm);
