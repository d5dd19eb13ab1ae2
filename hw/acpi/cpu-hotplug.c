/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU hotplug by ACPI: a block of 12 bytes with a selector, flags of the selected CPU, and commands.
 * Spec: the platform's register interface (CPU hotplug block, modern layout); ACPI 6.5, 6.3.5, 8.4.
 */
#include "hw/acpi-hotplug.h"
#include "hw/acpi/hotplug-aml.h"

enum {
    SELECTOR = 0, DATA2 = 0, FLAGS = 4, COMMAND = 5, DATA = 8,
    ENABLED = 1, INSERTING = 2, REMOVING = 4, EJECT = 8, TO_FIRMWARE = 16,
    NEXT_EVENT = 0, OST_EVENT, OST_STATUS, ARCH_ID,
    LATE_NS = 100000000,
};

typedef struct CpuHotplug {
    Device dev;
    AcpiCpuSlots slots;
    uint32_t selector;
    uint8_t command;
    uint8_t pending[ACPI_CPU_MAX];      /* INSERTING, REMOVING, TO_FIRMWARE */
    uint32_t ost_event[ACPI_CPU_MAX], ost_status[ACPI_CPU_MAX];
    bool ejected[ACPI_CPU_MAX];         /* it is gone for the guest, and for us when the guest has seen that */
    Timer late;                         /* or has not looked for a while */
} CpuHotplug;

static bool in_range(const CpuHotplug *s) { return s->selector < s->slots.n; }

static Cpu *selected(const CpuHotplug *s)
{
    Vm *vm = s->dev.object.vm;
    return in_range(s) && s->selector < vm->n_cpus ? vm->cpus[s->selector] : NULL;
}

/* ---- reads ---- */

/* 0 for a CPU that cannot be: firmware counts the possible ones by that. */
static uint32_t read_data(const CpuHotplug *s)
{
    if (!in_range(s))
        return 0;
    return s->command == NEXT_EVENT ? s->selector : s->command == ARCH_ID ? s->slots.arch_ids[s->selector] : 0;
}

/* (Another one in its place would look like an ejection that has failed.) */
static void eject(Device *d, void *n)
{
    CpuHotplug *s = (CpuHotplug *)d;
    bool *ejected = &s->ejected[GPOINTER_TO_UINT(n)];
    if (__atomic_load_n(ejected, __ATOMIC_SEQ_CST) && s->slots.eject)
        s->slots.eject(s->slots.opaque, GPOINTER_TO_UINT(n));
    __atomic_store_n(ejected, false, __ATOMIC_SEQ_CST);
}

static void seen(CpuHotplug *s, unsigned n)
{
    if (s->ejected[n])
        device_post(&s->dev, eject, GUINT_TO_POINTER(n), NULL);
}

static void late(Device *d)
{
    for (unsigned n = 0; n < ACPI_CPU_MAX; n++)
        seen((CpuHotplug *)d, n);
}

static uint64_t read_block(Device *d, uint64_t at, unsigned size)
{
    CpuHotplug *s = (CpuHotplug *)d;
    if (at == FLAGS && in_range(s))
        seen(s, s->selector);
    if (at == FLAGS && in_range(s))
        return s->pending[s->selector] | (selected(s) && !s->ejected[s->selector] ? ENABLED : 0);
    return at == DATA && in_range(s) ? read_data(s) : 0;    /* by a 0 firmware finds the end */
}

/* ---- writes ---- */

/* From the selected CPU on, all the way round; it stays selected if there is none. */
static void find_event(CpuHotplug *s)
{
    for (unsigned i = 0; in_range(s) && i < s->slots.n; i++) {
        unsigned n = (s->selector + i) % s->slots.n;
        if (s->pending[n] & (INSERTING | REMOVING | TO_FIRMWARE)) {
            s->selector = n;
            return;
        }
    }
}

static void write_flags(CpuHotplug *s, uint8_t v)
{
    if (!in_range(s))
        return;
    s->pending[s->selector] &= ~(v & (INSERTING | REMOVING));
    if (v & EJECT && selected(s) && s->slots.eject) {
        s->pending[s->selector] &= ~TO_FIRMWARE;
        s->ejected[s->selector] = true;
        timer_arm(&s->late, clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL) + LATE_NS);
    } else if (v & TO_FIRMWARE && selected(s)) {
        s->pending[s->selector] ^= TO_FIRMWARE;
    }
}

static void report(CpuHotplug *s, uint32_t status)
{
    Cpu *cpu = selected(s);
    s->ost_status[s->selector] = status;
    acpi_ost(s->dev.object.vm, cpu ? cpu->dev.id : NULL, true, s->selector, s->ost_event[s->selector], status);
}

static void write_data(CpuHotplug *s, uint32_t v)
{
    if (!in_range(s))
        return;
    if (s->command == OST_EVENT)
        s->ost_event[s->selector] = v;
    else if (s->command == OST_STATUS)
        report(s, v);
}

static void write_block(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    CpuHotplug *s = (CpuHotplug *)d;
    switch (at) {
    case SELECTOR:
        s->selector = v;
        break;
    case FLAGS:
        write_flags(s, v);
        break;
    case COMMAND:
        s->command = v;
        if (v == NEXT_EVENT)
            find_event(s);
        break;
    case DATA:
        write_data(s, v);
        break;
    }
}

/* ---- the device ---- */

static const Field fields[] = {
    HOST(CpuHotplug, slots), SAVED(CpuHotplug, selector), SAVED(CpuHotplug, command),
    SAVED(CpuHotplug, pending), SAVED(CpuHotplug, ost_event), SAVED(CpuHotplug, ost_status),
    SAVED(CpuHotplug, ejected, .keep = true),
    TIMER(CpuHotplug, late, late),
};
static void restored(Device *d)
{
    for (unsigned i = 0; i < ACPI_CPU_MAX; i++)
        ((CpuHotplug *)d)->pending[i] &= INSERTING | REMOVING | TO_FIRMWARE;
}

static const DeviceType type = {
    .name = "acpi-cpu-hotplug", .desc = "ACPI CPU hotplug registers", .size = sizeof(CpuHotplug),
    .window = ACPI_CPU_WINDOW, .max_access = 4, FIELDS(fields), .read = read_block, .write = write_block,
    .restored = restored,
};
DEVICE_TYPE(type);

Device *acpi_cpu_hotplug_new(Vm *vm, const AcpiCpuSlots *slots)
{
    CpuHotplug *s = (CpuHotplug *)device_draft(vm, "acpi-cpu-hotplug");
    s->slots = *slots;
    s->slots.n = MIN(slots->n, ACPI_CPU_MAX);
    device_start(&s->dev);
    return &s->dev;
}

static void tell(Device *d, unsigned n, uint8_t what, uint8_t not)
{
    CpuHotplug *s = (CpuHotplug *)d;
    if (n >= s->slots.n)
        return;
    device_lock(d);
    s->pending[n] = (s->pending[n] & ~not) | what;
    device_unlock(d);
    s->slots.event.raise(s->slots.event.opaque);
}

void acpi_cpu_plugged(Device *d, unsigned n) { tell(d, n, INSERTING, REMOVING); }
void acpi_cpu_unplug_request(Device *d, unsigned n) { tell(d, n, REMOVING, 0); }

/* ---- AML ---- */

static const HotplugAml block = {"PNP0A06", "CPU Hotplug resources", "\\_SB.PCI0", "PRES", "CPLK", "CTFY", "C", 3};

static Aml *reg(const char *name) { return hotplug_aml_reg(&block, name); }
static void choose(Aml *m, Aml *n) { hotplug_aml_set(&block, m, "CSEL", n); }
static void set(Aml *m, const char *name, uint64_t v) { hotplug_aml_set(&block, m, name, aml_int(v)); }

/* The registers: what the methods below name. */
static void add_registers(Aml *dsdt, uint16_t port)
{
    static const AmlUnit flags[] = {
        {NULL, 32}, {"CPEN", 1}, {"CINS", 1}, {"CRMV", 1}, {"CEJ0", 1}, {"CEJF", 1}, {NULL, 3}, {"CCMD", 8},
    };
    static const AmlUnit words[] = {{"CSEL", 32}, {NULL, 32}, {"CDAT", 32}};
    Aml *d = hotplug_aml_regs(&block, "PRST", port, ACPI_CPU_WINDOW);
    aml_append(d, aml_fields("PRST", 1, false, 2, flags, G_N_ELEMENTS(flags)));
    aml_append(d, aml_fields("PRST", 3, false, 0, words, G_N_ELEMENTS(words)));
    hotplug_aml_add_regs(&block, dsdt, d);
}

/* If flag: passes it on to the CPU that was found, and goes round again. */
static Aml *pass_on(const char *flag, unsigned what)
{
    Aml *hit = hotplug_aml_pass_on(&block, flag, reg("CDAT"), what);
    aml_append(hit, aml_store(aml_int(1), aml_local(0)));
    return hit;
}

/* Firmware sees a CPU that came before the system does: its handler finds it by the same registers, so what was
 * selected is selected again. */
static Aml *came(const char *smi)
{
    if (!smi)
        return pass_on("CINS", 1);
    Aml *hit = aml_if(aml_equal(reg("CINS"), aml_int(1)));
    aml_append(hit, aml_store(reg("CDAT"), aml_local(1)));
    aml_append(hit, aml_store(aml_int(ACPI_SMI_CPU), aml_path(smi)));
    choose(hit, aml_local(1));
    set(hit, "CCMD", NEXT_EVENT);
    aml_append(hit, pass_on("CINS", 1));
    return hit;
}

/* CSCN: while one has an event, passes it on. */
static void add_scan(Aml *cpus, const char *smi)
{
    Aml *m = hotplug_aml_method(&block, "CSCN", 0);
    aml_append(m, aml_store(aml_int(1), aml_local(0)));
    Aml *loop = aml_while(aml_equal(aml_local(0), aml_int(1)));
    aml_append(loop, aml_store(aml_int(0), aml_local(0)));
    choose(loop, aml_int(0));
    set(loop, "CCMD", NEXT_EVENT);
    aml_append(loop, came(smi));
    Aml *other = aml_else();
    aml_append(other, pass_on("CRMV", 3));
    aml_append(loop, other);
    aml_append(m, loop);
    hotplug_aml_end(&block, cpus, m, NULL);
}

static void add_methods(Aml *cpus, const AcpiCpuAml *c)
{
    Aml *status = hotplug_aml_method(&block, "CSTA", 1);
    choose(status, aml_arg(0));
    aml_append(status, aml_store(aml_int(0), aml_local(0)));
    Aml *there = aml_if(aml_equal(reg("CPEN"), aml_int(1)));
    aml_append(there, aml_store(aml_int(15), aml_local(0)));
    aml_append(status, there);
    hotplug_aml_end(&block, cpus, status, aml_local(0));

    Aml *out = hotplug_aml_method(&block, "CEJ0", 1);
    choose(out, aml_arg(0));
    set(out, c->firmware_ejects ? "CEJF" : "CEJ0", 1);
    if (c->firmware_ejects)
        aml_append(out, aml_store(aml_int(ACPI_SMI_CPU), aml_path(c->smi)));
    hotplug_aml_end(&block, cpus, out, NULL);

    Aml *ost = hotplug_aml_method(&block, "COST", 3);
    choose(ost, aml_arg(0));
    set(ost, "CCMD", OST_EVENT);
    aml_append(ost, aml_store(aml_arg(1), reg("CDAT")));
    set(ost, "CCMD", OST_STATUS);
    aml_append(ost, aml_store(aml_arg(2), reg("CDAT")));
    hotplug_aml_end(&block, cpus, ost, NULL);
}

/* What the MADT says of a CPU that is there. */
static Aml *madt_entry(unsigned n, uint32_t id)
{
    GByteArray *a = g_byte_array_new();
    acpi_madt_cpu(a, n, id, true);
    Aml *buffer = aml_buffer(a->data, a->len);
    g_byte_array_unref(a);
    return buffer;
}

static void add_cpu(Aml *cpus, unsigned n, uint32_t id, const uint32_t *node)
{
    g_autofree char *name = hotplug_aml_child(&block, n);
    Aml *cpu = aml_device(name);
    aml_append(cpu, aml_name("_HID", aml_string("ACPI0007")));
    aml_append(cpu, aml_name("_UID", aml_int(n)));
    Aml *m = aml_method("_STA", 0, true), *arg[] = {aml_int(n)};
    aml_append(m, aml_return(aml_call("CSTA", arg, 1)));
    aml_append(cpu, m);
    aml_append(cpu, aml_name("_MAT", madt_entry(n, id)));
    if (n) {                            /* the first one stays */
        Aml *out[] = {aml_int(n)};
        m = aml_method("_EJ0", 1, false);
        aml_append(m, aml_call("CEJ0", out, 1));
        aml_append(cpu, m);
    }
    Aml *ost[] = {aml_int(n), aml_arg(0), aml_arg(1)};
    m = aml_method("_OST", 3, true);
    aml_append(m, aml_call("COST", ost, 3));
    aml_append(cpu, m);
    if (node)
        aml_append(cpu, aml_name("_PXM", aml_int(*node)));
    aml_append(cpus, cpu);
}

void acpi_cpu_aml(Aml *dsdt, const AcpiCpuAml *c)
{
    Aml *sb = aml_scope("\\_SB"), *cpus = aml_device("CPUS");
    add_registers(dsdt, c->port);
    aml_append(cpus, aml_name("_HID", aml_string("ACPI0010")));
    aml_append(cpus, aml_name("_CID", aml_eisaid("PNP0A05")));
    hotplug_aml_add_notify(&block, cpus, c->n);
    add_scan(cpus, c->smi);
    add_methods(cpus, c);
    for (unsigned i = 0; i < c->n; i++)
        add_cpu(cpus, i, c->arch_ids[i], c->nodes ? &c->nodes[i] : NULL);
    aml_append(sb, cpus);
    aml_append(dsdt, sb);
    hotplug_aml_add_event(dsdt, "_E02", "\\_SB.CPUS.CSCN");
}

bool acpi_cpu_ost(Device *d, unsigned n, AcpiOst *ost)
{
    const CpuHotplug *s = (CpuHotplug *)d;
    Vm *vm = d->object.vm;
    if (n >= s->slots.n)
        return false;
    Cpu *cpu = n < vm->n_cpus ? vm->cpus[n] : NULL;
    *ost = (AcpiOst){cpu ? cpu->dev.id : NULL, s->ost_event[n], s->ost_status[n]};
    return true;
}
