/* SPDX-License-Identifier: Apache-2.0 */
/* PIIX3 ISA bridge and PIIX4 power management function. Datasheets: Intel 290550, 290562. */
#include "hw/i2c.h"
#include "hw/pc-pci.h"

enum {
    PIRQA = 0x60, PIRQ_OFF = 0x80, LINES = 4, RESET_AT = 1, RESET_CPU = 4,
    PMBASE = 0x40, DEVACTB = 0x58, PMREGMISC = 0x80, SMBBASE = 0x90, SMBHSTCFG = 0xd2, PM_ENABLE = 1,
    SMB_ENABLE = 1, SMB_IRQ = 0xe, SMB_IRQ9 = 8, APM = 0xb2, ACPI_ON = 0xf1, ACPI_OFF = 0xf0, GPE_BASE = 0xafe0,
};
#define APMC_ENABLE (1u << 25)

typedef struct Piix3 {
    PciDevice pci;
    Irq isa[16];
    uint8_t reset_control;
} Piix3;

/* ---- interrupts: under the root's lock ---- */

static unsigned route_of(const Piix3 *s, unsigned line)
{
    uint8_t r = s->pci.config[PIRQA + line];
    return r & PIRQ_OFF ? 0 : r & 15;
}

static void update_isa(Piix3 *s, unsigned irq)
{
    bool level = false;
    for (unsigned line = 0; irq && line < LINES; line++)
        level |= route_of(s, line) == irq && pci_line_level(s->pci.bus->root, line);
    irq_set(&s->isa[irq], level);
}

static void set_line(void *opaque, unsigned line, bool level) { update_isa(opaque, route_of(opaque, line)); }

static unsigned map_pin(void *opaque, unsigned devfn, unsigned pin) { return ((devfn >> 3) + pin + 3) % 4; }

static void update_routes(PciDevice *p, uint32_t old, uint32_t v)
{
    pci_lines_lock(p->bus->root);
    for (unsigned irq = 0; irq < 16; irq++)
        update_isa((Piix3 *)p, irq);
    pci_lines_unlock(p->bus->root);
}

static uint64_t read_reset(void *opaque, uint64_t at, unsigned size)
{
    return at == RESET_AT ? ((Piix3 *)opaque)->reset_control : 0xff;
}

static void write_reset(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    Piix3 *s = opaque;
    if (at != RESET_AT)
        return;
    s->reset_control = v & 2;
    if (v & RESET_CPU)
        vm_request_reset(s->pci.dev.object.vm, CAUSE_GUEST_RESET);
}

#define PIRQ(n, name_) {.at = PIRQA + n, .width = 1, .name = name_, .value = 0x80, .writable = 0x8f, .wrote = update_routes}
static const PciReg regs[] = {
    {.at = 0x4c, .width = 1, .name = "IORT", .value = 0x4d, .writable = 0xff},
    {.at = 0x4e, .width = 2, .name = "XBCS", .value = 0x0003, .writable = 0x01ff},
    PIRQ(0, "PIRQRCA"), PIRQ(1, "PIRQRCB"), PIRQ(2, "PIRQRCC"), PIRQ(3, "PIRQRCD"),
    {.at = 0x69, .width = 1, .name = "TOM", .value = 0x02, .writable = 0xfe},
    {.at = 0x6a, .width = 2, .name = "MSTAT", .writable = 0x8080},
    {.at = 0x70, .width = 1, .name = "MBIRQ0", .value = 0x80, .writable = 0xff},
    {.at = 0x76, .width = 1, .name = "MBDMA0", .value = 0x0c, .writable = 0x8f},
    {.at = 0x77, .width = 1, .name = "MBDMA1", .value = 0x0c, .writable = 0x8f},
    {.at = 0x78, .width = 2, .name = "PCSC", .value = 0x0002, .writable = 0xffff},
    {.at = 0xa0, .width = 1, .name = "SMICNTL", .value = 0x08, .writable = 0x1f},
    {.at = 0xa2, .width = 2, .name = "SMIEN", .writable = 0x00ff},
    {.at = 0xa8, .width = 1, .name = "FTMR", .value = 0x0f, .writable = 0xff},
};

static void piix3_restored(Device *d) { update_routes((PciDevice *)d, 0, 0); }

static const PciInfo piix3_info = {
    .vendor = 0x8086, .device = 0x7000, .class = 0x060100, .no_hotplug = true, PCI_REGS(regs),
};
static const Field piix3_fields[] = {IRQ(Piix3, isa), SAVED(Piix3, reset_control)};
static const DeviceType piix3 = {
    .name = "PIIX3", .parent = "pci-device", .desc = "PIIX3 ISA bridge", .size = sizeof(Piix3),
    .category = DEVICE_BRIDGE, .pci = &piix3_info, FIELDS(piix3_fields), .restored = piix3_restored,
};
DEVICE_TYPE(piix3);

PciDevice *piix3_new(PciBus *root, const PcSouthConfig *c)
{
    Piix3 *s = (Piix3 *)pci_draft(root->bus.object.vm, "PIIX3", 1, 0);
    g_autoptr(GError) error = NULL;
    s->pci.multifunction = true;
    for (unsigned n = 0; n < 16; n++)
        irq_connect(&s->isa[n], c->isa[n]);
    pci_root_route(root, LINES, map_pin, set_line, s);
    pc_host_reset_port(root, read_reset, write_reset, s);
    if (!device_realize(&s->pci.dev, &root->bus, &error))
        g_error("PIIX3: %s", error->message);
    return &s->pci;
}

/* ---- power management ---- */

typedef struct Piix4 {
    PciDevice pci;
    Device *pm, *smbus;
    Irq isa9;                   /* the SMBus's, if the guest has chosen it */
    MemRegion *apm_io;
    uint16_t pm_at, smbus_at;   /* 0: not mapped */
    bool smbus_asks;
    uint8_t apm[2];
    bool smm;
    bool root_hotplug, bridge_hotplug;  /* by ACPI */
    AcpiSleepProps sleep;
} Piix4;

static void update_pm(PciDevice *p, uint32_t old, uint32_t v)
{
    Piix4 *s = (Piix4 *)p;
    uint16_t at = pci_get8(p, PMREGMISC) & PM_ENABLE ? pci_get32(p, PMBASE) & 0xffc0 : 0;
    if (at == s->pm_at)
        return;
    mem_transaction_begin(p->dev.object.vm);
    if (s->pm_at)
        mem_remove(s->pm->mmio);
    if (at)
        mem_add(p->dev.object.vm->io_root, at, s->pm->mmio, 0);
    s->pm_at = at;
    mem_transaction_commit(p->dev.object.vm);
}

static void update_smbus(PciDevice *p, uint32_t old, uint32_t v)
{
    Piix4 *s = (Piix4 *)p;
    uint8_t config = pci_get8(p, SMBHSTCFG);
    uint16_t at = config & SMB_ENABLE ? pci_get32(p, SMBBASE) & 0xfff0 : 0;
    irq_set(&s->isa9, s->smbus_asks && (config & SMB_IRQ) == SMB_IRQ9);
    if (!s->smbus || at == s->smbus_at)
        return;
    if (s->smbus_at)
        mem_remove(s->smbus->mmio);
    if (at)
        mem_add(p->dev.object.vm->io_root, at, s->smbus->mmio, 0);
    s->smbus_at = at;
}

static void smbus_pin(Device *d, uint32_t n, bool level)
{
    ((Piix4 *)d)->smbus_asks = level;
    update_smbus((PciDevice *)d, 0, 0);
}

static uint64_t read_apm(void *opaque, uint64_t at, unsigned size) { return ((Piix4 *)opaque)->apm[at]; }

static void write_apm(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    Piix4 *s = opaque;
    s->apm[at] = v;
    if (at == 0)
        acpi_pm_command(s->pm, v, ACPI_ON, ACPI_OFF, false);
}
static const MemOps apm_ops = {read_apm, write_apm, 1, 1};

static void update_apm(PciDevice *p, uint32_t old, uint32_t v)
{
    acpi_pm_enable_apm(((Piix4 *)p)->pm, v & APMC_ENABLE);
}

static const PciReg pm_regs[] = {
    {.at = PMBASE, .width = 4, .name = "PMBASE", .value = 1, .writable = 0xffc0, .wrote = update_pm},
    {.at = DEVACTB, .width = 4, .name = "DEVACTB", .writable = 0xffffffff, .wrote = update_apm},
    {.at = 0x5f, .width = 1, .name = "DEVRESD", .value = 0x90},
    {.at = PMREGMISC, .width = 1, .name = "PMREGMISC", .writable = 1, .wrote = update_pm},
    {.at = SMBBASE, .width = 4, .name = "SMBBA", .value = 0xb101, .writable = 0xfff0,
     .wrote = update_smbus},
    {.at = SMBHSTCFG, .width = 1, .name = "SMBHSTCFG", .value = 0x09, .writable = 0x0f,
     .wrote = update_smbus},
};

static void pm_apply(Device *d)
{
    Piix4 *s = (Piix4 *)d;
    if (s->pm)
        update_pm(&s->pci, 0, 0);
    update_smbus(&s->pci, 0, 0);
}

static void pm_reset(Device *d)
{
    Piix4 *s = (Piix4 *)d;
    /* Without SMM nothing is to be set up by firmware. */
    pci_set32(&s->pci, DEVACTB, s->smm ? 0 : APMC_ENABLE);
    pm_apply(d);
}

static const PciInfo piix4_info = {
    .vendor = 0x8086, .device = 0x7113, .class = 0x068000, .revision = 3, .pin = 1, .no_hotplug = true,
    PCI_REGS(pm_regs),
};
static const Field piix4_fields[] = {
    HOST(Piix4, pm), HOST(Piix4, smbus), IRQ(Piix4, isa9), HOST(Piix4, smbus_at), SAVED(Piix4, smbus_asks),
    HOST(Piix4, apm_io), HOST(Piix4, pm_at), SAVED(Piix4, apm), HOST(Piix4, smm),
    PROP(Piix4, root_hotplug, "acpi-root-pci-hotplug", PROP_BOOL, .init = true,
         .desc = "ACPI lets devices come and go on the root bus"),
    PROP(Piix4, bridge_hotplug, "acpi-pci-hotplug-with-bridge-support", PROP_BOOL, .init = true,
         .desc = "ACPI lets devices come and go behind bridges"),
    ACPI_SLEEP_PROPS(Piix4, sleep),
};
static const DeviceType piix4 = {
    .name = "PIIX4_PM", .parent = "pci-device", .desc = "PIIX4 power management", .size = sizeof(Piix4),
    .category = DEVICE_BRIDGE, .pci = &piix4_info, FIELDS(piix4_fields), .reset = pm_reset,
    .restored = pm_apply, .pin = smbus_pin, .n_pins = 1,
};
DEVICE_TYPE(piix4);

bool piix4_pm_root_hotplug(PciDevice *p) { return ((Piix4 *)p)->root_hotplug; }
bool piix4_pm_bridge_hotplug(PciDevice *p) { return ((Piix4 *)p)->bridge_hotplug; }

PciDevice *piix4_pm_new(PciBus *root, const PcSouthConfig *c)
{
    Vm *vm = root->bus.object.vm;
    Piix4 *s = (Piix4 *)pci_draft(vm, "PIIX4_PM", 1, 3);
    g_autoptr(GError) error = NULL;
    s->smm = c->smm;
    AcpiPmConfig pm = acpi_pm_config("piix4-pm", c, &s->sleep);
    s->pm = acpi_pm_new(vm, &pm);
    s->apm_io = mem_io(&s->pci.dev.object, "apm", 2, &apm_ops, s, &s->pci.dev);
    mem_add(vm->io_root, APM, s->apm_io, 0);
    mem_add(vm->io_root, GPE_BASE, acpi_pm_gpe_region(s->pm), 0);
    if (c->smbus) {
        irq_connect(&s->isa9, c->smbus_irq);
        s->smbus = smbus_block_new(vm, "piix4-smbus-block", device_pin(&s->pci.dev, 0));
        smbus_eeproms_new(smbus_block_bus(s->smbus));
    }
    if (!device_realize(&s->pci.dev, &root->bus, &error))
        g_error("PIIX4_PM: %s", error->message);
    return &s->pci;
}
