/* SPDX-License-Identifier: Apache-2.0 */
/* What the boards with PCI share: memory, chips, firmware, what firmware is told. */
#include "machines/x86/pc.h"
#include <string.h>
#include "hw/floppy.h"
#include "hw/ide.h"
#include "hw/pc-chips.h"
#include "hw/smbios.h"
#include "machines/common.h"
#include "util/error.h"

enum { AUTO, ON, OFF };
static bool on(int value, bool dflt) { return value == AUTO ? dflt : value == ON; }

enum {
    HPET_BASE = 0xfed00000, CMOS_BOOT_LATE = 0x38, CMOS_BOOT = 0x3d, CMOS_CPUS = 0x5f, CMOS_FLOPPIES = 0x10, CMOS_EQUIPMENT = 0x14,
    CMOS_SHUTDOWN = 0x0f, SHUTDOWN_RESUME = 0xfe,
};
#define HOLE_AT_1T 0xfd00000000ull
#define HOLE_SIZE 0x300000000ull

const char *const pc_archs[] = {"x86_64", "i386", NULL};

bool pc_has_acpi(const Pc *s) { return on(s->acpi, true); }
bool pc_has_smm(const Pc *s) { return on(s->smm, true); }

/* ---- memory ---- */

static bool make_memory(Pc *s, GError **error)
{
    Machine *m = &s->m;
    MemRegion *root = m->vm->memory_root;
    s->ram = machine_make_ram(m, error);
    if (!s->ram)
        return false;
    uint64_t limit = s->max_low ? s->max_low : s->kind->low_limit;
    uint64_t split = s->max_low ? s->max_low : s->kind->low_split;
    s->low_size = m->ram_size >= limit ? MIN(split, m->ram_size) : m->ram_size;
    s->high_size = m->ram_size - s->low_size;
    mem_add(root, 0, mem_alias(&m->object, "ram-below-4g", s->ram, 0, s->low_size), 0);
    if (s->high_size)
        mem_add(root, 1ull << 32,
                mem_alias(&m->object, "ram-above-4g", s->ram, s->low_size, s->high_size), 0);
    pc_memory_area_new(s);
    s->pci = mem_container(&m->object, "pci", UINT64_MAX);
    mem_add(root, 0, s->pci, -1);
    return true;
}

/* What CPUs see in system management mode: all the same, and before it what the host bridge adds. */
static void make_smm_memory(Pc *s)
{
    Vm *vm = s->m.vm;
    if (!pc_has_smm(s))
        return;
    MemRegion *all = mem_container(&s->m.object, "smm-memory", UINT64_MAX);
    s->smm_memory = mem_container(&s->m.object, "smram", UINT64_MAX);
    mem_add(all, 0, mem_alias(&s->m.object, "smm-system", vm->memory_root, 0, UINT64_MAX), 0);
    mem_add(all, 0, s->smm_memory, 1);
    s->smm_space = address_space_new(vm, all, "cpu-smm");
    for (unsigned i = 0; i < vm->n_cpus; i++)
        x86_cpu_set_smm_memory(vm->cpus[i], s->smm_space);
}

bool pc_begin(Pc *s, GError **error)
{
    if (s->m.ram_size < 1 << 20)
        return error_set(error, "a PC needs at least 1 MiB of memory (-m)");
    if (on(s->vmport, false))
        return error_set(error, "-machine vmport=on: not implemented yet");
    if (s->max_low > 4ull << 30)
        return error_set(error, "max-ram-below-4g must not be above 4 GiB");
    if (!make_memory(s, error) || !machine_make_cpus(&s->m, error))
        return false;
    make_smm_memory(s);
    x86_interrupts_new(s->m.vm, &s->irq, on(s->pic_prop, true), false);
    Pin lines[ISA_IRQS];
    for (unsigned n = 0; n < ISA_IRQS; n++)
        lines[n] = x86_isa_line(&s->irq, LINE_ISA, n);
    s->isa = isa_bus_new(s->m.vm, lines);
    return true;
}

void pc_south_config(Pc *s, PcSouthConfig *c)
{
    *c = (PcSouthConfig){.sci = x86_isa_line(&s->irq, LINE_SCI, 9),
                         .smbus_irq = x86_isa_line(&s->irq, LINE_ISA, 9),
                         .smi = x86_all_cpus(&s->irq, X86_PIN_SMI),
                         .smi_caller = x86_all_cpus(&s->irq, X86_SMI_CALLER), .smm = pc_has_smm(s), .smbus = s->smbus,
                         .isa_bus = s->isa};
    for (unsigned n = 0; n < 16; n++)
        c->isa[n] = x86_isa_line(&s->irq, LINE_PCI, n);
    for (unsigned n = 0; n < 8; n++)
        c->gsi[n] = x86_gsi(&s->irq, 16 + n);
}

/* ---- chips ---- */

static void make_hpet(Pc *s, Device *pit)
{
    Pin pins[X86_IOAPIC_PINS];
    for (unsigned n = 0; n < X86_IOAPIC_PINS; n++)
        pins[n] = n == 2 ? x86_isa_line(&s->irq, LINE_HPET, 0)
                  : n < 16 ? x86_isa_line(&s->irq, LINE_HPET, n) : x86_gsi(&s->irq, n);
    hpet_new(s->m.vm, HPET_BASE, pins, pit ? device_pin(pit, 0) : (Pin){0});
}

/* pc: the UHCI of the PIIX3. q35: an EHCI of the ICH9, with companions for slower devices. */
static bool make_usb(Pc *s, GError **error)
{
    enum { ICH9_SLOT = 0x1d, EHCI_FUNCTION = 7 };
    if (!s->m.usb)
        return true;
    if (!s->kind->q35) {
        pci_make(s->root, "piix3-usb-uhci", 1, 2);
        return true;
    }
    PciDevice *ehci = pci_make(s->root, "ich9-usb-ehci1", ICH9_SLOT, EHCI_FUNCTION);
    const Bus *bus = ehci->dev.buses->pdata[0];
    for (unsigned n = 0; n < 3; n++) {
        g_autofree char *type = g_strdup_printf("ich9-usb-uhci%u", n + 1);
        PciDevice *uhci = pci_draft(s->m.vm, type, ICH9_SLOT, n);
        uhci->multifunction = true;
        g_autofree char *first = g_strdup_printf("%u", 2 * n);
        if (!object_set_string(&uhci->dev.object, "masterbus", bus->object.name, error) ||
            !object_set_string(&uhci->dev.object, "firstport", first, error) ||
            !device_realize(&uhci->dev, &s->root->bus, error))
            return false;
    }
    return true;
}

static bool make_serials(Pc *s, GError **error)
{
    for (unsigned n = 0; n < 4; n++) {
        struct Chardev *chr = machine_serial(&s->m, n);
        if (chr && !machine_make_port(&s->m, "isa-serial", chr, s->isa, error))
            return false;
    }
    return true;
}

static bool make_parallels(Pc *s, GError **error)
{
    for (unsigned n = 0; n < MIN(s->m.parallels->len, PC_PARALLEL_PORTS); n++)
        if (s->m.parallels->pdata[n] &&
            !machine_make_port(&s->m, "isa-parallel", s->m.parallels->pdata[n], s->isa, error))
            return false;
    return true;
}

/* Letters of -boot order= as the BIOS numbers its classes of devices. */
static void set_boot_letters(Pc *s)
{
    const char *order = s->m.vm->boot.once ? s->m.vm->boot.once : s->m.vm->boot.order;
    uint8_t code[3] = {0};
    for (unsigned i = 0; i < 3 && order && order[i]; i++)
        code[i] = order[i] == 'a' ? 1 : order[i] == 'c' ? 2 : order[i] == 'd' ? 3 : order[i] == 'n' ? 4 : 0;
    if (!order)
        code[0] = 2, code[1] = 1, code[2] = 3;          /* disk, floppy, CD */
    mc146818_set(s->rtc, CMOS_BOOT, code[1] << 4 | code[0]);
    mc146818_set(s->rtc, CMOS_BOOT_LATE, code[2] << 4 | !s->fd_bootchk);
}

void pc_set_cpu_count(Pc *s)
{
    unsigned count = 0;
    for (unsigned i = 0; i < s->m.vm->n_cpus; i++)
        count += s->m.vm->cpus[i] != NULL;
    mc146818_set(s->rtc, CMOS_CPUS, count - 1);
    fw_cfg_add_u16(s->fw_cfg, FW_CFG_NB_CPUS, count);
}

/* Types of floppy drives, and with how many drives the machine is equipped besides FPU and mouse. */
static void set_floppies(Pc *s)
{
    Device *fdc = isa_fdc_of(s->isa);
    uint8_t type[FLOPPY_DRIVES] = {0};
    for (unsigned i = 0; fdc && i < FLOPPY_DRIVES; i++)
        type[i] = floppy_cmos_type(isa_fdc_drive_type(fdc, i));
    unsigned drives = (type[0] != 0) + (type[1] != 0);
    mc146818_set(s->rtc, CMOS_FLOPPIES, type[0] << 4 | type[1]);
    mc146818_set(s->rtc, CMOS_EQUIPMENT, 0x06 | (drives ? 1 | (drives - 1) << 6 : 0));
}

static void set_cmos(Pc *s)
{
    mc146818_set_memory(s->rtc, s->low_size, s->high_size);
    pc_set_cpu_count(s);
    set_boot_letters(s);
}

/* ---- what firmware is told ---- */

static void add_e820(Pc *s)
{
    struct __attribute__((packed)) { uint64_t base, length; uint32_t type; } map[3] = {
        {0, GUINT64_TO_LE(s->low_size), GUINT32_TO_LE(1)},
        {GUINT64_TO_LE(HOLE_AT_1T), GUINT64_TO_LE(HOLE_SIZE), GUINT32_TO_LE(2)},
        {GUINT64_TO_LE(1ull << 32), GUINT64_TO_LE(s->high_size), GUINT32_TO_LE(1)},
    };
    fw_cfg_add_file(s->fw_cfg, "etc/e820", map, sizeof(map[0]) * (s->high_size ? 3 : 2));
}

const char *const pc_smbios_entries[] = {"auto", "32", "64", NULL};

static bool add_smbios(Pc *s, GError **error)
{
    const CpuTopology *t = &s->m.smp;
    SmbiosConfig c = {
        .manufacturer = "QEMU", .product = ((const ObjectType *)s->m.type_)->desc,
        .version = s->m.type_->machine, .sockets = MAX(t->sockets, 1),
        .cores = MAX(t->dies, 1) * MAX(t->clusters, 1) * MAX(t->cores, 1), .threads = MAX(t->threads, 1),
        .ram = {{0, s->low_size}, {1ull << 32, s->high_size}}, .ram_size = s->m.ram_size,
        .root = s->root,
    };
    return smbios_to_fw_cfg(s->m.vm, &c, s->smbios_entry, s->fw_cfg, error);
}

static void add_fw_cfg(Pc *s)
{
    enum { HAS = 0x80 };
    AcpiSleep sleep = acpi_pm_sleep(s->pm);
    uint8_t states[6] = {HAS, 0, 0, sleep.s3 < 0 ? 1 : HAS | sleep.s3, sleep.s4 < 0 ? 2 : HAS | sleep.s4, HAS};
    struct __attribute__((packed)) {
        uint8_t count; uint32_t id; uint64_t base; uint16_t tick; uint8_t protection;
    } hpet = {1, GUINT32_TO_LE(0x8086a201), GUINT64_TO_LE(HPET_BASE), 0, 0};
    fw_cfg_add_u64(s->fw_cfg, FW_CFG_RAM_SIZE, s->m.ram_size);
    fw_cfg_add_u32(s->fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    if (s->hpet)
        fw_cfg_add(s->fw_cfg, FW_CFG_HPET, &hpet, sizeof(hpet));
    add_e820(s);
    fw_cfg_add_file(s->fw_cfg, "etc/system-states", states, sizeof(states));
}

static void raise_pci_event(void *opaque) { acpi_pm_gpe(((Pc *)opaque)->pm, ACPI_GPE_PCI); }

/* q35's root bus is the chip set's own: devices come and go in ports and behind bridges. */
static void pci_hotplug_new(Pc *s)
{
    bool q35 = s->kind->q35;
    AcpiPciConfig c = {
        .root = s->root, .root_bus = !q35 && piix4_pm_root_hotplug(s->pm_function),
        .bridges = q35 ? ich9_lpc_bridge_hotplug(s->pm_function) : piix4_pm_bridge_hotplug(s->pm_function),
        .event = {raise_pci_event, s},
    };
    if (!pc_has_acpi(s) || !(c.root_bus || c.bridges))
        return;
    s->pci_hotplug = acpi_pci_hotplug_new(s->m.vm, &c);
    device_place_io(s->pci_hotplug, s->kind->pci_hotplug);
}

/* Where firmware sees that it is to go on with a sleeping system. */
static void falling_asleep(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    mc146818_set(((Pc *)data)->rtc, CMOS_SHUTDOWN, SHUTDOWN_RESUME);
}

bool pc_finish_build(Pc *s, GError **error)
{
    Vm *vm = s->m.vm;
    Pin a20 = x86_all_cpus(&s->irq, X86_PIN_A20);
    Device *pit = on(s->pit_prop, true) ? x86_pit_new(&s->irq, vm, s->pcspk_audiodev) : NULL;
    if (pit)
        pcspk_new(vm, pit, s->pcspk_audiodev);
    s->rtc = mc146818_new(vm, x86_isa_line(&s->irq, LINE_ISA, 8));
    if (s->hpet)
        make_hpet(s, pit);
    pc_ports_new(vm);
    isa_dma_new(s->isa);
    isa_bus_set_path(s->isa, device_fw_path(&s->south->dev));
    port92_new(vm, a20);
    if (s->i8042)
        i8042_new(s->isa, a20);
    for (unsigned i = 0; i < vm->n_cpus; i++)
        x86_cpu_connect_ferr(vm->cpus[i], x86_isa_line(&s->irq, LINE_ISA, 13));
    s->pm = acpi_pm_of(vm);
    vm_listen(vm, VM_EVENT_SUSPEND, falling_asleep, s);
    s->fw_cfg = fw_cfg_new_io(&s->m);
    pc_cpu_hotplug_new(s);
    pc_memory_hotplug_new(s);
    pci_hotplug_new(s);
    pc_numa_fw_cfg(s);
    set_cmos(s);
    add_fw_cfg(s);
    return (!s->disks || ide_add_drives(s->disks, s->kind->q35 ? 1 : 2, error)) && make_serials(s, error) &&
           make_parallels(s, error) && isa_fdc_add(s->isa, !s->kind->q35, error) && make_usb(s, error) &&
           pc_firmware(s, error);
}

/* ---- MachineType ---- */

/* Firmware fetches the tables after it has placed windows and ECAM: they say where these are then. */
static void refresh_tables(void *opaque)
{
    Pc *s = opaque;
    if (s->tables_fresh)
        return;
    s->tables_fresh = true;
    acpi_tables_free(s->tables);
    s->tables = pc_acpi_tables(s);
    acpi_to_fw_cfg(s->tables, s->fw_cfg);
}

bool pc_ready(Machine *m, GError **error)
{
    static const char *const files[] = {"etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader"};
    Pc *s = (Pc *)m;
    pc_expanders_fw_cfg(s);
    set_floppies(s);
    if (!add_smbios(s, error))
        return false;
    if (s->pci_hotplug)
        acpi_pci_hotplug_ready(s->pci_hotplug);
    if (pc_has_acpi(s)) {
        refresh_tables(s);
        for (unsigned i = 0; i < G_N_ELEMENTS(files); i++)
            fw_cfg_on_select(s->fw_cfg, files[i], refresh_tables, s);
    }
    return !m->kernel || x86_boot_fw_cfg(m, s->fw_cfg, m->append ? m->append : "", s->low_size, true, error);
}

Bus *pc_default_bus(Machine *m, const DeviceType *t)
{
    Pc *s = (Pc *)m;
    if (!g_strcmp0(device_type_bus(t), "ISA"))
        return s->isa;
    return !g_strcmp0(device_type_bus(t), "PCI") ? &s->root->bus : NULL;
}

void pc_cold_reset(Machine *m)
{
    loader_reset(m);
    ((Pc *)m)->tables_fresh = false;
}

void pc_object_finish(Object *o)
{
    acpi_tables_free(((Pc *)o)->tables);
    address_space_free(((Pc *)o)->smm_space);
}
