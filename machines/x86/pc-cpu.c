/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs of pc and q35 that come and go: their places, their wires, and what the guest is told. */
#include "core/numa.h"
#include "hw/pc-chips.h"
#include "machines/x86/pc.h"
#include "util/error.h"

/* ---- places ---- */

typedef struct Level {
    const char *name;
    int32_t given;
    unsigned n;
} Level;

/* The index from the parts that device_add gives; dies may be left out where there is one. */
static bool index_of_place(const Machine *m, const X86Place *at, unsigned *index, GError **error)
{
    const CpuTopology *t = &m->smp;
    unsigned dies = MAX(t->dies, 1);
    const Level levels[] = {
        {"socket-id", at->socket, MAX(t->sockets, 1)}, {"die-id", at->die < 0 && dies == 1 ? 0 : at->die, dies},
        {"core-id", at->core, MAX(t->cores, 1) * MAX(t->clusters, 1)}, {"thread-id", at->thread, MAX(t->threads, 1)},
    };
    *index = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        const Level *l = &levels[i];
        if (l->given < 0)
            return error_set(error, "CPU %s is not set", l->name);
        if ((unsigned)l->given >= l->n)
            return error_set(error, "Invalid CPU %s: %d must be in range 0:%u", l->name, l->given, l->n - 1);
        *index = *index * l->n + l->given;
    }
    return true;
}

static bool index_of_apic(const Pc *s, uint32_t id, unsigned *index, GError **error)
{
    for (*index = 0; *index < s->irq.n; ++*index)
        if (s->irq.apic_ids[*index] == id)
            return true;
    return error_set(error, "Invalid CPU with APIC ID %u: no possible CPU has it", id);
}

static bool check_model(const Machine *m, const Cpu *cpu, GError **error)
{
    const char *first = m->vm->cpus[0]->dev.object.type->name, *name = cpu->dev.object.type->name;
    return name == first || error_set(error, "Invalid CPU type, expected cpu type: '%s'", first);
}

static uint64_t smi_features(const Pc *s) { return s->kind->q35 ? ich9_lpc_smi_features(s->south) : 0; }

/* Firmware that owns all CPUs' system management mode must know of one more, and of one less. */
static bool firmware_lets(const Pc *s, uint64_t feature, const char *what, GError **error)
{
    uint64_t has = smi_features(s);
    return !(has & ICH9_SMI_BROADCAST) || has & feature ||
           error_set(error, "cpu %s with SMI wasn't enabled by firmware", what);
}

bool pc_cpu_plug(Machine *m, Cpu *cpu, GError **error)
{
    Pc *s = (Pc *)m;
    X86Place *at = x86_cpu_place(cpu);
    uint32_t id = x86_cpu_apic_id(cpu);
    unsigned index;
    if (!check_model(m, cpu, error))
        return false;
    if (id != UINT32_MAX ? !index_of_apic(s, id, &index, error) : !index_of_place(m, at, &index, error))
        return false;
    if (index >= s->irq.n)
        return error_set(error, "Invalid CPU: there are %u possible CPUs (-smp maxcpus=)", s->irq.n);
    if (index < m->vm->n_cpus && m->vm->cpus[index])
        return error_set(error, "CPU[%u] with APIC ID %u exists", index, s->irq.apic_ids[index]);
    if (at->node >= 0 && (!m->numa || at->node != m->numa->cpu_node[index]))
        return error_set(error, "node-id=%d must match numa node specified with -numa option", at->node);
    if (cpu->dev.hotplugged && !firmware_lets(s, ICH9_SMI_CPU_HOTPLUG, "hotplug", error))
        return false;
    cpu->index = index;
    *at = x86_place(&m->smp, index);
    return true;
}

/* ---- coming and going ---- */

void pc_cpu_plugged(Machine *m, Cpu *cpu)
{
    Pc *s = (Pc *)m;
    x86_cpu_set_smm_memory(cpu, s->smm_space);
    x86_interrupts_add_cpu(&s->irq, cpu);
    x86_cpu_connect_ferr(cpu, x86_isa_line(&s->irq, LINE_ISA, 13));
    pc_set_cpu_count(s);
    if (cpu->dev.hotplugged)
        acpi_cpu_plugged(s->cpu_hotplug, cpu->index);
}

bool pc_cpu_unplug_request(Machine *m, Cpu *cpu, GError **error)
{
    Pc *s = (Pc *)m;
    if (cpu->index == 0)
        return error_set(error, "Boot CPU is unpluggable");
    if (!pc_has_acpi(s))
        return error_set(error, "CPU hot unplug not supported without ACPI");
    if (!firmware_lets(s, ICH9_SMI_CPU_HOT_UNPLUG, "hot-unplug", error))
        return false;
    acpi_cpu_unplug_request(s->cpu_hotplug, cpu->index);
    return true;
}

void pc_cpu_unplug(Machine *m, Cpu *cpu)
{
    Pc *s = (Pc *)m;
    x86_cpu_connect_ferr(cpu, (Pin){0});
    x86_interrupts_remove_cpu(&s->irq, cpu);
}

static void eject(void *opaque, unsigned n)
{
    Pc *s = opaque;
    Vm *vm = s->m.vm;
    Cpu *cpu = n && n < vm->n_cpus ? vm->cpus[n] : NULL;
    if (cpu) {
        cpu_unplug(cpu);
        pc_set_cpu_count(s);
    }
}

static void raise_event(void *opaque) { acpi_pm_gpe(((Pc *)opaque)->pm, ACPI_GPE_CPU); }

void pc_cpu_hotplug_new(Pc *s)
{
    AcpiCpuSlots slots = {.n = s->irq.n, .arch_ids = s->irq.apic_ids, .event = {raise_event, s},
                          .eject = eject, .opaque = s};
    if (!pc_has_acpi(s))
        return;
    s->cpu_hotplug = acpi_cpu_hotplug_new(s->m.vm, &slots);
    device_place_io(s->cpu_hotplug, s->kind->cpu_hotplug);
}

/* ---- AML ---- */

/* A byte here is an SMI. */
static void add_smi_port(Aml *dsdt)
{
    static const AmlUnit unit[] = {{"SMIC", 8}};
    Aml *bridge = aml_scope("\\_SB.PCI0"), *d = aml_device("SMI0"), *r = aml_resources();
    aml_append(d, aml_name("_HID", aml_eisaid("PNP0A06")));
    aml_append(d, aml_name("_UID", aml_string("SMI resources")));
    aml_append(d, aml_name("_STA", aml_int(11)));
    aml_res_io(r, PC_SMI_PORT, 1);
    aml_append(d, aml_name_resources("_CRS", r));
    aml_append(d, aml_region("SMIR", 1, PC_SMI_PORT, 1));
    aml_append(d, aml_fields("SMIR", 1, false, 2, unit, 1));
    aml_append(bridge, d);
    aml_append(dsdt, bridge);
}

void pc_cpu_aml(const Pc *s, Aml *dsdt)
{
    uint32_t nodes[X86_MAX_CPUS];
    uint64_t smi = smi_features(s);
    AcpiCpuAml c = {
        .port = s->kind->cpu_hotplug, .n = s->irq.n, .arch_ids = s->irq.apic_ids, .nodes = pc_cpu_nodes(s, nodes),
        .smi = smi & ICH9_SMI_CPU_HOTPLUG ? "\\_SB.PCI0.SMI0.SMIC" : NULL,
        .firmware_ejects = smi & ICH9_SMI_CPU_HOT_UNPLUG,
    };
    if (c.smi)
        add_smi_port(dsdt);
    acpi_cpu_aml(dsdt, &c);
}
