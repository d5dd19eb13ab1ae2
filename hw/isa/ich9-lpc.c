/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICH9 LPC bridge: interrupt routing, ACPI base, reset control, APM. Datasheet: Intel 316972, chapter 13.
 */
#include "hw/fw_cfg.h"
#include "hw/pc-pci.h"
#include "hw/watchdog.h"

enum {
    PMBASE = 0x40, ACPI_CNTL = 0x44, PIRQA = 0x60, PIRQE = 0x68, RCBA = 0xf0, GEN_PMCON_1 = 0xa0,
    ACPI_ENABLE = 0x80, PIRQ_OFF = 0x80, RCBA_ENABLE = 1, RCBA_SIZE = 0x4000, LINES = 8,
    APM = 0xb2, RESET_AT = 1, RESET_CPU = 4, ACPI_ON = 2, ACPI_OFF = 3, GPE_AT = 0x20, TCO_AT = 0x60,
    GCS = 0x3410, SMI_LOCK = 0x10, SMI_GLOBAL = 1,
};

typedef struct Lpc {
    PciDevice pci;
    Irq isa[16], gsi[LINES];
    Device *pm, *tco;
    MemRegion *pm_io, *apm_io, *rcba;
    uint16_t pm_at;             /* 0: not mapped */
    uint32_t last_base;         /* of the PM block, and whether it decodes, as the guest has set them */
    uint8_t last_control;
    uint32_t rcba_at;
    uint8_t apm[2], reset_control;
    bool bridge_hotplug;        /* by ACPI */
    FwCfg *fw_cfg;
    uint64_t smi_offered, smi_features; /* ICH9_SMI_ bits; the latter firmware has asked for and got */
    bool smi_settled;
    bool no_reboot;
    AcpiSleepProps sleep;
} Lpc;

/* ---- interrupts: under the root's lock ---- */

static unsigned route_of(const Lpc *s, unsigned line)
{
    uint8_t r = s->pci.config[line < 4 ? PIRQA + line : PIRQE + line - 4];
    return r & PIRQ_OFF ? 0 : r & 15;
}

static void update_isa(Lpc *s, unsigned irq)
{
    bool level = false;
    for (unsigned line = 0; irq && line < LINES; line++)
        level |= route_of(s, line) == irq && pci_line_level(s->pci.bus->root, line);
    irq_set(&s->isa[irq], level);
}

static void set_line(void *opaque, unsigned line, bool level)
{
    Lpc *s = opaque;
    irq_set(&s->gsi[line], level);
    update_isa(s, route_of(s, line));
}

/* As the route registers in the root complex block stand after reset: slots 0-24 turn through E-H,
 * 25-29 and 31 have A-D. */
static unsigned map_pin(void *opaque, unsigned devfn, unsigned pin)
{
    unsigned slot = devfn >> 3;
    return slot < 25 ? (slot + pin) % 4 + 4 : slot == 30 ? pin + 4 : pin;
}

static void update_routes(PciDevice *p, uint32_t old, uint32_t v)
{
    pci_lines_lock(p->bus->root);
    for (unsigned irq = 0; irq < 16; irq++)
        update_isa((Lpc *)p, irq);
    pci_lines_unlock(p->bus->root);
}

/* ---- blocks that registers place ---- */

static void update_pm(PciDevice *p, uint32_t old, uint32_t v)
{
    Lpc *s = (Lpc *)p;
    s->last_base = pci_get32(p, PMBASE);
    s->last_control = pci_get8(p, ACPI_CNTL);
    uint16_t at = pci_get8(p, ACPI_CNTL) & ACPI_ENABLE ? pci_get32(p, PMBASE) & 0xff80 : 0;
    if (at == s->pm_at)
        return;
    mem_transaction_begin(p->dev.object.vm);
    if (s->pm_at)
        mem_remove(s->pm_io);
    if (at)
        mem_add(p->dev.object.vm->io_root, at, s->pm_io, 0);
    s->pm_at = at;
    mem_transaction_commit(p->dev.object.vm);
}

static void update_rcba(PciDevice *p, uint32_t old, uint32_t v)
{
    Lpc *s = (Lpc *)p;
    v = pci_get32(p, RCBA);
    uint32_t at = v & RCBA_ENABLE ? v & ~(RCBA_SIZE - 1) : 0;
    if (at == s->rcba_at)
        return;
    if (s->rcba_at)
        mem_remove(s->rcba);
    if (at)
        mem_add(p->dev.object.vm->memory_root, at, s->rcba, 1);
    s->rcba_at = at;
}

/* The root complex block: device interrupt pins and routes as they are, general control. */
static uint64_t read_rcba(void *opaque, uint64_t at, unsigned size)
{
    if (at >= 0x3140 && at < 0x314e) {          /* D31IR … D25IR */
        static const uint16_t routes[] = {0x3210, 0x7654, 0x3210, 0x3210, 0x3210, 0x3210, 0x3210};
        return routes[(at - 0x3140) / 2];
    }
    return at == GCS ? ich9_tco_gcs(((Lpc *)opaque)->tco) : 0;
}

static void write_rcba(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    if (at == GCS)
        ich9_tco_set_gcs(((Lpc *)opaque)->tco, v);
}
static const MemOps rcba_ops = {read_rcba, write_rcba, 2, 2};

/* ---- APM ports, reset control ---- */

static uint64_t read_apm(void *opaque, uint64_t at, unsigned size) { return ((Lpc *)opaque)->apm[at]; }

static void write_apm(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    Lpc *s = opaque;
    s->apm[at] = v;
    if (at == 0)
        acpi_pm_command(s->pm, v, ACPI_ON, ACPI_OFF, s->smi_features & ICH9_SMI_BROADCAST);
}
static const MemOps apm_ops = {read_apm, write_apm, 1, 1};

static uint64_t read_reset(void *opaque, uint64_t at, unsigned size)
{
    return at == RESET_AT ? ((Lpc *)opaque)->reset_control : 0xff;
}

static void write_reset(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    Lpc *s = opaque;
    if (at != RESET_AT)
        return;
    s->reset_control = v & 0xb;
    if (v & RESET_CPU)
        vm_request_reset(s->pci.dev.object.vm, CAUSE_GUEST_RESET);
}

/* Locks the enabling of SMIs, and itself. */
static void update_general(PciDevice *p, uint32_t old, uint32_t v)
{
    v |= old & SMI_LOCK;
    pci_set16(p, GEN_PMCON_1, v);
    if (v & SMI_LOCK)
        acpi_pm_lock_smi(((Lpc *)p)->pm, SMI_GLOBAL);
}

/* ---- SMI features ---- */

static const char *const smi_files[] = {
    "etc/smi/supported-features", "etc/smi/requested-features", "etc/smi/features-ok",
};

/* CPUs come only to firmware that all of them tell, and go only from where they come. */
static bool possible(const Lpc *s, uint64_t asked)
{
    uint64_t plug = asked & (ICH9_SMI_CPU_HOTPLUG | ICH9_SMI_CPU_HOT_UNPLUG);
    return !(asked & ~s->smi_offered) && (!plug || asked & ICH9_SMI_BROADCAST) && plug != ICH9_SMI_CPU_HOT_UNPLUG;
}

/* Reading features-ok settles what was asked for, until the next reset: 1 where all of it is had. */
static void settle_features(void *opaque)
{
    Lpc *s = opaque;
    size_t n;
    const void *file = fw_cfg_file(s->fw_cfg, smi_files[1], &n);
    uint64_t asked;
    if (s->smi_settled || n != sizeof(asked))
        return;
    memcpy(&asked, file, sizeof(asked));
    asked = GUINT64_FROM_LE(asked);
    if (!possible(s, asked))
        return;
    __atomic_store_n(&s->smi_features, asked, __ATOMIC_SEQ_CST);
    s->smi_settled = true;
    fw_cfg_set_file(s->fw_cfg, smi_files[2], "\1");
}

static void offer_features(Lpc *s)
{
    uint64_t none = 0, all = GUINT64_TO_LE(s->smi_offered);
    if (!s->fw_cfg)
        return;
    fw_cfg_set_file(s->fw_cfg, smi_files[0], &all);
    fw_cfg_set_file(s->fw_cfg, smi_files[1], &none);
    fw_cfg_set_file(s->fw_cfg, smi_files[2], "");
}

uint64_t ich9_lpc_smi_features(PciDevice *p)
{
    return __atomic_load_n(&((Lpc *)p)->smi_features, __ATOMIC_SEQ_CST);
}

void ich9_lpc_smi_files(PciDevice *p, FwCfg *fw_cfg)
{
    Lpc *s = (Lpc *)p;
    static const uint64_t zero;
    if (!s->smi_offered)
        return;
    s->fw_cfg = fw_cfg;
    fw_cfg_add_file(fw_cfg, smi_files[0], &zero, 8);
    fw_cfg_add_file_rw(fw_cfg, smi_files[1], &zero, 8, NULL, NULL);
    fw_cfg_add_file(fw_cfg, smi_files[2], &zero, 1);
    fw_cfg_on_select(fw_cfg, smi_files[2], settle_features, s);
    offer_features(s);
}

/* ---- the device ---- */

#define PIRQ(at_, name_) {.at = at_, .width = 1, .name = name_, .value = 0x80, .writable = 0x8f, .wrote = update_routes}
static const PciReg regs[] = {
    {.at = PMBASE, .width = 4, .name = "PMBASE", .value = 1, .writable = 0xff80, .wrote = update_pm},
    {.at = ACPI_CNTL, .width = 1, .name = "ACPI_CNTL", .writable = 0x87, .wrote = update_pm},
    PIRQ(0x60, "PIRQA_ROUT"), PIRQ(0x61, "PIRQB_ROUT"), PIRQ(0x62, "PIRQC_ROUT"), PIRQ(0x63, "PIRQD_ROUT"),
    PIRQ(0x68, "PIRQE_ROUT"), PIRQ(0x69, "PIRQF_ROUT"), PIRQ(0x6a, "PIRQG_ROUT"), PIRQ(0x6b, "PIRQH_ROUT"),
    {.at = 0x80, .width = 2, .name = "LPC_IO", .writable = 0x1377},
    {.at = 0x82, .width = 2, .name = "LPC_EN", .writable = 0x3f0f},
    {.at = GEN_PMCON_1, .width = 2, .name = "GEN_PMCON_1", .writable = SMI_LOCK, .wrote = update_general},
    {.at = RCBA, .width = 4, .name = "RCBA", .writable = 0xffffc001, .wrote = update_rcba},
};

static void apply(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    if (!((Lpc *)d)->pm)
        return;
    update_pm(p, 0, 0);
    update_rcba(p, 0, 0);
    update_routes(p, 0, 0);
}

static void reset(Device *d)
{
    Lpc *s = (Lpc *)d;
    offer_features(s);
    if (d->object.vm->waking) {         /* the sleeping system's tables name this place */
        pci_set32(&s->pci, PMBASE, s->last_base);
        pci_set8(&s->pci, ACPI_CNTL, s->last_control);
    }
    apply(d);
}

static const PciInfo info = {
    .vendor = 0x8086, .device = 0x2918, .class = 0x060100, .revision = 2, .no_hotplug = true,
    PCI_REGS(regs),
};
static const Field fields[] = {
    IRQ(Lpc, isa), IRQ(Lpc, gsi), HOST(Lpc, pm), HOST(Lpc, tco), HOST(Lpc, pm_io), HOST(Lpc, apm_io), HOST(Lpc, rcba),
    HOST(Lpc, pm_at), HOST(Lpc, last_base),
    HOST(Lpc, last_control), HOST(Lpc, rcba_at), SAVED(Lpc, apm), SAVED(Lpc, reset_control),
    PROP(Lpc, bridge_hotplug, "acpi-pci-hotplug-with-bridge-support", PROP_BOOL, .init = true,
         .desc = "ACPI lets devices come and go in ports and behind bridges"),
    HOST(Lpc, fw_cfg), SAVED(Lpc, smi_features), SAVED(Lpc, smi_settled),
    ACPI_SLEEP_PROPS(Lpc, sleep),
    PROP(Lpc, smi_offered, "x-smi-broadcast", PROP_BIT, .bit = 0, .init = true, .desc = "SMIs can go to all CPUs"),
    PROP(Lpc, smi_offered, "x-smi-cpu-hotplug", PROP_BIT, .bit = 1, .init = true,
         .desc = "Firmware takes part when a CPU comes"),
    PROP(Lpc, smi_offered, "x-smi-cpu-hotunplug", PROP_BIT, .bit = 2, .init = true,
         .desc = "Firmware takes part when a CPU goes"),
    PROP(Lpc, no_reboot, "noreboot", PROP_BOOL, .desc = "The watchdog has no consequences"),
};
static const DeviceType lpc = {
    .name = "ICH9-LPC", .parent = "pci-device", .desc = "ICH9 LPC bridge", .size = sizeof(Lpc),
    .category = DEVICE_BRIDGE, .pci = &info, FIELDS(fields), .reset = reset, .restored = apply,
};
DEVICE_TYPE(lpc);

bool ich9_lpc_bridge_hotplug(PciDevice *p) { return ((Lpc *)p)->bridge_hotplug; }

PciDevice *ich9_lpc_new(PciBus *root, const PcSouthConfig *c)
{
    Vm *vm = root->bus.object.vm;
    Lpc *s = (Lpc *)pci_draft(vm, "ICH9-LPC", 31, 0);
    Object *o = &s->pci.dev.object;
    g_autoptr(GError) error = NULL;
    s->pci.multifunction = true;
    for (unsigned n = 0; n < 16; n++)
        irq_connect(&s->isa[n], c->isa[n]);
    for (unsigned n = 0; n < LINES; n++)
        irq_connect(&s->gsi[n], c->gsi[n]);
    pci_root_route(root, LINES, map_pin, set_line, s);
    AcpiPmConfig pm = acpi_pm_config("ich9-pm", c, &s->sleep);
    s->pm = acpi_pm_new(vm, &pm);
    s->pm_io = mem_container(o, "ich9-pm", 0x80);
    mem_add(s->pm_io, 0, s->pm->mmio, 0);
    mem_add(s->pm_io, GPE_AT, acpi_pm_gpe_region(s->pm), 1);
    s->tco = ich9_tco_new(vm, device_pin(s->pm, ACPI_PM_PIN_TCO_SMI), device_pin(s->pm, ACPI_PM_PIN_TCO_LOCK));
    ich9_tco_strap(s->tco, s->no_reboot);
    mem_add(s->pm_io, TCO_AT, s->tco->mmio, 1);
    s->apm_io = mem_io(o, "apm", 2, &apm_ops, s, &s->pci.dev);
    s->rcba = mem_io(o, "lpc-rcrb-mmio", RCBA_SIZE, &rcba_ops, s, &s->pci.dev);
    mem_add(vm->io_root, APM, s->apm_io, 0);
    pc_host_reset_port(root, read_reset, write_reset, s);
    if (!device_realize(&s->pci.dev, &root->bus, &error))
        g_error("ICH9-LPC: %s", error->message);
    return &s->pci;
}
