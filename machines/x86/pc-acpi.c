/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of pc and q35. Spec: ACPI 6.5; PCI Firmware 3.2 (host bridges, _OSC). The namespace is put
 * together from parts: the host bridge with its windows and interrupt routing, the chips behind the ISA
 * bridge, and what devices on the buses say of themselves.
 */
#include "hw/floppy.h"
#include "hw/tpm.h"
#include "hw/vmgenid.h"
#include "machines/x86/pc.h"

enum {
    SLOTS = 32, PINS = 4, HPET_BASE = 0xfed00000, HPET_ID = 0x8086a201, IOAPIC = X86_IOAPIC_BASE,
    RESET_PORT = 0xcf9, RESET_VALUE = 0x0f, PM_BASE = 0x600, PM_BASE_REGISTER = 0x40, WAET_TIMER_OK = 2,
};

static void name_int(Aml *to, const char *name, uint64_t v) { aml_append(to, aml_name(name, aml_int(v))); }
static void name_id(Aml *to, const char *name, const char *id) { aml_append(to, aml_name(name, aml_eisaid(id))); }

/* ---- interrupt links ---- */

/* IQST, IQCR: status and resources of a link by its route register. */
static void add_link_methods(Aml *sb)
{
    Aml *status = aml_method("IQST", 1, false);
    Aml *off = aml_if(aml_and(aml_int(0x80), aml_arg(0)));
    aml_append(off, aml_return(aml_int(9)));
    aml_append(status, off);
    aml_append(status, aml_return(aml_int(11)));
    aml_append(sb, status);

    Aml *current = aml_method("IQCR", 1, true), *res = aml_resources();
    aml_res_interrupts(res, (const uint32_t[]){0}, 1);
    aml_append(sb, aml_name_resources("PRR0", res));
    aml_append(current, aml_create_dword_field(aml_path("PRR0"), 5, "PRRI"));
    Aml *on = aml_if(aml_less(aml_arg(0), aml_int(0x80)));
    aml_append(on, aml_store(aml_arg(0), aml_path("PRRI")));
    aml_append(current, on);
    aml_append(current, aml_return(aml_path("PRR0")));
    aml_append(sb, current);
}

static void add_link(Aml *sb, unsigned n)
{
    g_autofree char *name = g_strdup_printf("LNK%c", 'A' + n), *reg = g_strdup_printf("PRQ%c", 'A' + n);
    Aml *link = aml_device(name), *res = aml_resources();
    Aml *arg[] = {aml_path(reg)}, *arg2[] = {aml_path(reg)};
    name_id(link, "_HID", "PNP0C0F");
    name_int(link, "_UID", n);
    aml_res_interrupts(res, (const uint32_t[]){5, 10, 11}, 3);
    aml_append(link, aml_name_resources("_PRS", res));
    Aml *status = aml_method("_STA", 0, false);
    aml_append(status, aml_return(aml_call("IQST", arg, 1)));
    aml_append(link, status);
    Aml *disable = aml_method("_DIS", 0, false);
    aml_append(disable, aml_or(aml_path(reg), aml_int(0x80), aml_path(reg)));
    aml_append(link, disable);
    Aml *current = aml_method("_CRS", 0, false);
    aml_append(current, aml_return(aml_call("IQCR", arg2, 1)));
    aml_append(link, current);
    Aml *set = aml_method("_SRS", 1, false);
    aml_append(set, aml_create_dword_field(aml_arg(0), 5, "PRRI"));
    aml_append(set, aml_store(aml_path("PRRI"), aml_path(reg)));
    aml_append(link, set);
    aml_append(sb, link);
}

/* The SCI's line on pc: always interrupt 9. */
static void add_sci_link(Aml *sb)
{
    Aml *link = aml_device("LNKS"), *res = aml_resources();
    name_id(link, "_HID", "PNP0C0F");
    name_int(link, "_UID", 4);
    name_int(link, "_STA", 11);
    aml_res_interrupts(res, (const uint32_t[]){9}, 1);
    aml_append(link, aml_name_resources("_PRS", res));
    Aml *method = aml_method("_CRS", 0, false);
    aml_append(method, aml_return(aml_path("_PRS")));
    aml_append(link, method);
    aml_append(link, aml_method("_DIS", 0, false));
    aml_append(link, aml_method("_SRS", 1, false));
    aml_append(sb, link);
}

static Aml *route(unsigned slot, unsigned pin, Aml *source, unsigned index)
{
    Aml *e[] = {aml_int((uint64_t)slot << 16 | 0xffff), aml_int(pin), source, aml_int(index)};
    return aml_package(e, 4);
}

/* The line (PIRQA: 0) that a slot's pin ends at. */
static unsigned line_of(const Pc *s, unsigned slot, unsigned pin)
{
    if (!s->kind->q35)
        return (slot + pin + 3) % 4;
    return slot < 25 ? (slot + pin) % 4 + 4 : slot == 30 ? pin + 4 : pin;
}

static Aml *routes(const Pc *s, bool apic)
{
    Aml *all[SLOTS * PINS];
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned pin = 0; pin < PINS; pin++) {
            unsigned line = line_of(s, slot, pin);
            bool sci = !s->kind->q35 && slot == 1 && pin == 0;
            g_autofree char *link = g_strdup_printf("LNK%c", sci ? 'S' : 'A' + line);
            all[slot * PINS + pin] = apic && s->kind->q35 ? route(slot, pin, aml_int(0), 16 + line)
                                                          : route(slot, pin, aml_path(link), 0);
        }
    return aml_package(all, G_N_ELEMENTS(all));
}

void pc_root_routing(Aml *bridge, const Pc *s)
{
    Aml *method = aml_method("_PRT", 0, false);
    if (s->kind->q35) {
        aml_append(bridge, aml_name("PRTP", routes(s, false)));
        aml_append(bridge, aml_name("PRTA", routes(s, true)));
        Aml *apic = aml_if(aml_path("\\PICF"));
        aml_append(apic, aml_return(aml_path("PRTA")));
        aml_append(method, apic);
        aml_append(method, aml_return(aml_path("PRTP")));
    } else {
        aml_append(bridge, aml_name("PRTP", routes(s, false)));
        aml_append(method, aml_return(aml_path("PRTP")));
    }
    aml_append(bridge, method);
}

/* ---- ISA ---- */

static Aml *isa_device(const char *name, const char *hid, uint16_t port, uint8_t length, int irq)
{
    Aml *d = aml_device(name), *r = aml_resources();
    name_id(d, "_HID", hid);
    aml_res_io(r, port, length);
    if (irq >= 0)
        aml_res_irq_legacy(r, irq);
    aml_append(d, aml_name_resources("_CRS", r));
    return d;
}

static void add_keyboard(Aml *isa)
{
    Aml *kbd = aml_device("KBD"), *r = aml_resources(), *mouse = aml_device("MOU");
    name_id(kbd, "_HID", "PNP0303");
    name_int(kbd, "_STA", 15);
    aml_res_io(r, 0x60, 1);
    aml_res_io(r, 0x64, 1);
    aml_res_irq_legacy(r, 1);
    aml_append(kbd, aml_name_resources("_CRS", r));
    aml_append(isa, kbd);
    name_id(mouse, "_HID", "PNP0F13");
    name_int(mouse, "_STA", 15);
    r = aml_resources();
    aml_res_irq_legacy(r, 12);
    aml_append(mouse, aml_name_resources("_CRS", r));
    aml_append(isa, mouse);
}

static uint64_t property(Device *d, const char *name)
{
    PropValue v = {0};
    if (!object_get(&d->object, name, &v, NULL))
        return 0;
    uint64_t n = v.kind == VALUE_INT ? (uint64_t)v.i : v.u;
    prop_value_clear(&v);
    return n;
}

static void add_parallel(Aml *isa, Device *d, unsigned n)
{
    g_autofree char *name = g_strdup_printf("LPT%u", n);
    Aml *port = isa_device(name, "PNP0400", property(d, "iobase"), 8, property(d, "irq"));
    name_int(port, "_UID", n);
    name_int(port, "_STA", 15);
    aml_append(isa, port);
}

/* The port of panics, for the drivers of those who have no PCI. Spec: QEMU's docs/specs/pvpanic. */
static void add_panic(Aml *isa, Device *d)
{
    uint16_t port = property(d, "ioport");
    Aml *panic = aml_device("PEVT"), *r = aml_resources();
    aml_append(panic, aml_name("_HID", aml_string("QEMU0001")));
    aml_res_io(r, port, 1);
    aml_append(panic, aml_name_resources("_CRS", r));
    name_int(panic, "_STA", 15);
    aml_append(panic, aml_region("PEOR", 1, port, 1));
    aml_append(panic, aml_field("PEOR", 1, "PEPT", 8));
    Aml *read = aml_method("RDPT", 0, false), *write = aml_method("WRPT", 1, false);
    aml_append(read, aml_return(aml_path("PEPT")));
    aml_append(panic, read);
    aml_append(write, aml_store(aml_arg(0), aml_path("PEPT")));
    aml_append(panic, write);
    aml_append(isa, panic);
}

static void add_isa_devices(Aml *isa, const Pc *s)
{
    aml_append(isa, isa_device("RTC", "PNP0B00", 0x70, 8, 8));
    if (s->i8042)
        add_keyboard(isa);
    isa_fdc_aml(s->isa, isa);
    for (unsigned i = 0, com = 0, lpt = 0; i < s->isa->devices->len; i++) {
        Device *d = g_ptr_array_index(s->isa->devices, i);
        if (object_is_a(&d->object, "isa-parallel"))
            add_parallel(isa, d, ++lpt);
        if (object_is_a(&d->object, "pvpanic"))
            add_panic(isa, d);
        if (!object_is_a(&d->object, "isa-serial"))
            continue;
        g_autofree char *name = g_strdup_printf("COM%u", ++com);
        Aml *serial = isa_device(name, "PNP0501", property(d, "iobase"), 8, property(d, "irq"));
        name_int(serial, "_UID", com);
        name_int(serial, "_STA", 15);
        aml_append(isa, serial);
    }
}

/* The bridge's function, whose configuration space has the route registers. */
static void add_isa(Aml *bridge, Aml *sb, const Pc *s)
{
    static const AmlUnit q35[] = {
        {"PRQA", 8}, {"PRQB", 8}, {"PRQC", 8}, {"PRQD", 8}, {NULL, 32},
        {"PRQE", 8}, {"PRQF", 8}, {"PRQG", 8}, {"PRQH", 8},
    };
    Aml *isa = aml_device("ISA");
    name_int(isa, "_ADR", s->south->devfn >> 3 << 16);
    aml_append(isa, aml_region("PIRQ", 2, 0x60, 12));
    add_isa_devices(isa, s);
    aml_append(bridge, isa);
    Aml *fields = aml_scope("\\_SB");
    aml_append(fields, aml_fields("PCI0.ISA.PIRQ", 1, false, 0, q35, s->kind->q35 ? G_N_ELEMENTS(q35) : 4));
    add_link_methods(fields);
    for (unsigned n = 0; n < (s->kind->q35 ? 8 : 4); n++)
        add_link(fields, n);
    if (!s->kind->q35)
        add_sci_link(fields);
    aml_append(sb, fields);
}

/* ---- the rest of the system bus ---- */

static void add_hpet(Aml *sb)
{
    Aml *hpet = aml_device("HPET"), *r = aml_resources();
    name_id(hpet, "_HID", "PNP0103");
    name_int(hpet, "_UID", 0);
    name_int(hpet, "_STA", 15);
    aml_res_memory32(r, HPET_BASE, 0x400, false);
    aml_append(hpet, aml_name_resources("_CRS", r));
    aml_append(sb, hpet);
}

static void add_fw_cfg(Aml *sb)
{
    Aml *fw = aml_device("FWCF"), *r = aml_resources();
    aml_append(fw, aml_name("_HID", aml_string("QEMU0002")));
    name_int(fw, "_STA", 11);
    aml_res_io(r, 0x510, 0x0c);
    aml_append(fw, aml_name_resources("_CRS", r));
    aml_append(sb, fw);
}

/* Memory that is taken: nobody else may place a BAR on ECAM. */
static void add_ecam(Aml *sb, uint64_t base, uint64_t size)
{
    Aml *d = aml_device("DRAC"), *r = aml_resources();
    name_id(d, "_HID", "PNP0C01");
    aml_res_memory32(r, base, size, false);
    aml_append(d, aml_name_resources("_CRS", r));
    aml_append(sb, d);
}

static void add_pic_mode(Aml *dsdt)
{
    Aml *m = aml_method("_PIC", 1, false);
    aml_append(dsdt, aml_name("PICF", aml_int(0)));
    aml_append(m, aml_store(aml_arg(0), aml_path("PICF")));
    aml_append(dsdt, m);
}

static unsigned make_dsdt(const Pc *s, AcpiTables *t, uint64_t ecam, uint64_t ecam_size)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "DSDT", 1, &start);
    Aml *sb = aml_scope("\\_SB"), *bridge = aml_device("PCI0"), *after = aml_new();
    add_pic_mode(b);
    name_id(bridge, "_HID", s->kind->q35 ? "PNP0A08" : "PNP0A03");
    if (s->kind->q35)
        name_id(bridge, "_CID", "PNP0A03");
    name_int(bridge, "_UID", 0);
    pc_root_windows(s, bridge, ecam, ecam_size);
    pc_root_routing(bridge, s);
    if (s->kind->q35)
        acpi_pci_osc(bridge, !s->pci_hotplug);
    add_isa(bridge, after, s);
    acpi_pci_hotplug_aml(bridge, s->pci_hotplug, s->root, s->kind->pci_hotplug);
    aml_append(sb, bridge);
    if (s->hpet)
        add_hpet(sb);
    add_fw_cfg(sb);
    tpm_aml(sb, s->m.vm);
    if (s->kind->q35)
        add_ecam(sb, ecam, ecam_size);
    aml_append(b, sb);
    aml_append(b, after);
    pc_cpu_aml(s, b);
    pc_memory_aml(s, b);
    pc_expanders_aml(s, b);
    if (s->pci_hotplug)
        acpi_pci_event_aml(b, s->root);
    pc_sleep_aml(b, s);
    acpi_end(t, start, false);
    return start;
}

/* Where firmware has put the power management block: SeaBIOS at 0x600 always, OVMF elsewhere on pc. */
static uint32_t pm_base(const Pc *s)
{
    uint32_t at = pci_get32(s->pm_function, PM_BASE_REGISTER) & 0xff80;

    return at ? at : PM_BASE;
}

AcpiTables *pc_acpi_tables(Pc *s)
{
    AcpiTables *t = acpi_tables_new();
    uint64_t ecam_size = s->kind->q35 ? 256ull << 20 : 0;
    uint64_t ecam = s->kind->q35 ? q35_ecam(s->root) : s->low_size;
    if (s->kind->q35 && !ecam)
        ecam = 0xb0000000;
    acpi_set_oem(t, s->oem_id, s->oem_table_id);
    unsigned facs = acpi_facs(t), dsdt = make_dsdt(s, t, ecam, ecam_size);
    AcpiFadt fadt = {
        .revision = s->kind->q35 ? 3 : 1, .sci = 9, .smi_port = PC_SMI_PORT, .acpi_on = s->kind->acpi_on,
        .acpi_off = s->kind->acpi_off, .pm_base = pm_base(s),
        .gpe_base = s->kind->q35 ? pm_base(s) + 0x20 : s->kind->gpe_base,
        .gpe_length = s->kind->gpe_length, .flags = s->kind->fadt_flags,
        .boot_flags = s->kind->q35 && s->i8042 ? 2 : 0, .reset_port = s->kind->q35 ? RESET_PORT : 0,
        .reset_value = RESET_VALUE,
    };
    bool absent[X86_MAX_CPUS];
    for (unsigned i = 0; i < s->irq.n; i++)
        absent[i] = i >= s->m.vm->n_cpus || !s->m.vm->cpus[i];
    AcpiMadt madt = {
        .lapic_base = 0xfee00000, .apic_ids = s->irq.apic_ids, .absent = absent, .cpus = s->irq.n, .ioapics = 1,
        .ioapic = {{IOAPIC, 0, 0}}, .pc_overrides = true,
    };
    acpi_fadt(t, &fadt, facs, dsdt);
    acpi_madt(t, &madt);
    pc_numa_tables(s, t);
    pc_nvdimm_tables(s, t);
    vmgenid_table(t, s->m.vm);
    tpm_table(t, s->m.vm);
    if (s->hpet)
        acpi_hpet(t, HPET_BASE, HPET_ID);
    if (s->kind->q35)
        acpi_mcfg(t, ecam, 0, 255);
    acpi_dmar(t, s->m.vm);
    acpi_viot(t, s->m.vm);
    acpi_waet(t, WAET_TIMER_OK);
    acpi_user_tables(t, s->m.vm);
    acpi_finish(t, false);
    return t;
}
