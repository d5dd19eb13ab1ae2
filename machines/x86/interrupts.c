/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers of x86 boards. MultiProcessor Specification 1.4; 82093AA. */
#include "core/accel.h"
#include "core/msi.h"
#include "machines/x86/interrupts.h"
#include "hw/pc-chips.h"

/* ---- ISA lines ---- */

typedef struct Lines {
    Device dev;
    Irq pic[ISA_IRQS], ioapic[ISA_IRQS];
    uint8_t by[ISA_IRQS];       /* a bit per source */
} Lines;

static void line_pin(Device *d, uint32_t n, bool level)
{
    Lines *s = (Lines *)d;
    unsigned line = n % ISA_IRQS, bit = 1u << n / ISA_IRQS;
    s->by[line] = level ? s->by[line] | bit : s->by[line] & ~bit;
    irq_set(&s->pic[line], s->by[line]);
    irq_set(&s->ioapic[line], s->by[line]);
}

static const Field line_fields[] = {IRQ(Lines, pic), IRQ(Lines, ioapic), SAVED(Lines, by, .keep = true)};
static const DeviceType isa_lines = {
    .name = "isa-irq-splitter", .desc = "ISA lines to PIC and IOAPIC", .size = sizeof(Lines),
    .intc_domain = true, .fields = line_fields, .n_fields = G_N_ELEMENTS(line_fields),
    .pin = line_pin, .n_pins = LINE_SOURCES * ISA_IRQS,
};
DEVICE_TYPE(isa_lines);

Pin x86_isa_line(X86Interrupts *s, X86LineSource source, unsigned n)
{
    return device_pin(s->lines, source * ISA_IRQS + n);
}

Pin x86_gsi(X86Interrupts *s, unsigned n)
{
    return device_pin(s->ioapic[n / X86_IOAPIC_PINS], n % X86_IOAPIC_PINS);
}

Device *x86_pit_new(X86Interrupts *s, Vm *vm, bool sounds)
{
    bool kernel = accel_irqchip(vm) == ACCEL_IRQCHIP_FULL && accel_of(vm)->pit && s->pic;
    return kernel && !sounds ? kvm_pit_new(vm) : i8254_new(vm, x86_isa_line(s, LINE_ISA, 0));
}

/* ---- lines to all CPUs ---- */

typedef struct CpuLines {
    Device dev;
    Irq a20[X86_MAX_CPUS], smi[X86_MAX_CPUS];
    bool a20_high, smi_high;
} CpuLines;

static void cpu_pin(Device *d, uint32_t n, bool level)
{
    CpuLines *s = (CpuLines *)d;
    if (n == X86_SMI_CALLER) {
        Cpu *cpu = cpu_current();
        irq_set(&s->smi[cpu ? cpu->index : 0], level);
        return;
    }
    *(n == X86_PIN_A20 ? &s->a20_high : &s->smi_high) = level;
    for (unsigned i = 0; i < d->object.vm->n_cpus; i++)
        irq_set(n == X86_PIN_A20 ? &s->a20[i] : &s->smi[i], level);
}

/* A20 as CPUs come out of reset. */
static void cpu_lines_reset(Device *d)
{
    CpuLines *s = (CpuLines *)d;
    s->a20_high = true;
    for (unsigned i = 0; i < X86_MAX_CPUS; i++)
        s->a20[i].level = true;
}

static const Field cpu_fields[] = {
    HOST(CpuLines, a20), HOST(CpuLines, smi), SAVED(CpuLines, a20_high), SAVED(CpuLines, smi_high),
};
static const DeviceType cpu_lines = {
    .name = "x86-cpu-lines", .desc = "Lines to all CPUs", .size = sizeof(CpuLines), .intc_domain = true,
    .fields = cpu_fields, .n_fields = G_N_ELEMENTS(cpu_fields), .pin = cpu_pin, .reset = cpu_lines_reset,
};
DEVICE_TYPE(cpu_lines);

static void connect_lines(CpuLines *s, Cpu *cpu)
{
    unsigned i = cpu->index;
    device_lock(&s->dev);
    s->a20[i] = (Irq){device_pin(&cpu->dev, X86_PIN_A20), true};
    irq_set(&s->a20[i], s->a20_high);
    s->smi[i] = (Irq){device_pin(&cpu->dev, X86_PIN_SMI), s->smi_high};
    device_unlock(&s->dev);
}

static void disconnect_lines(CpuLines *s, Cpu *cpu)
{
    device_lock(&s->dev);
    s->a20[cpu->index] = s->smi[cpu->index] = (Irq){0};
    device_unlock(&s->dev);
}

static Device *cpu_lines_new(Vm *vm)
{
    CpuLines *s = (CpuLines *)device_make(vm, "x86-cpu-lines");
    for (unsigned i = 0; i < vm->n_cpus; i++)
        connect_lines(s, vm->cpus[i]);
    return &s->dev;
}

Pin x86_all_cpus(X86Interrupts *s, unsigned pin) { return device_pin(s->cpu_lines, pin); }

/* ---- all of them ---- */

static void send_msi(void *opaque, const MsiMessage *m)
{
    apic_bus_msi(((X86Interrupts *)opaque)->bus, m->address, m->data);
}

static void add_apic(X86Interrupts *s, Cpu *cpu)
{
    const X86IrqSource *source;
    if (accel_irqchip(cpu->vm))
        return;
    Device *apic = apic_new(s->bus, cpu, s->apic_ids[cpu->index], cpu->index == 0, &source);
    s->apic[cpu->index] = apic;
    x86_cpu_connect(cpu, source, apic);
}

void x86_interrupts_add_cpu(X86Interrupts *s, Cpu *cpu)
{
    add_apic(s, cpu);
    connect_lines((CpuLines *)s->cpu_lines, cpu);
}

void x86_interrupts_remove_cpu(X86Interrupts *s, Cpu *cpu)
{
    disconnect_lines((CpuLines *)s->cpu_lines, cpu);
    Device *apic = g_steal_pointer(&s->apic[cpu->index]);
    if (apic)
        apic_free(s->bus, apic);
}

void x86_interrupts_new(Vm *vm, X86Interrupts *s, bool pic, bool second_ioapic)
{
    AccelIrqchip kernel = accel_irqchip(vm);
    s->bus = kernel ? apic_bus_new_remote(vm) : apic_bus_new(vm);
    s->n = MAX(vm->n_cpus, vm->machine ? vm->machine->smp.maxcpus : 0);
    for (unsigned i = 0; i < s->n; i++)
        s->apic_ids[i] = i < vm->n_cpus ? x86_cpu_apic_id(vm->cpus[i]) : x86_apic_id(&vm->machine->smp, i);
    for (unsigned i = 0; i < vm->n_cpus; i++)
        add_apic(s, vm->cpus[i]);
    s->ioapic[0] = kernel == ACCEL_IRQCHIP_FULL ? device_make(vm, "kvm-ioapic")
                                                : ioapic_new(s->bus, X86_IOAPIC_BASE, 0);
    if (second_ioapic)
        s->ioapic[1] = ioapic_new(s->bus, X86_IOAPIC2_BASE, 1);
    if (pic && kernel == ACCEL_IRQCHIP_FULL) {
        s->pic = device_make(vm, "kvm-pic");
    } else if (pic) {
        s->pic = i8259_pair_new(vm, apic_bus_lint0(s->bus));
        apic_bus_set_pic(s->bus, i8259_ack, s->pic);
    }
    Lines *lines = (Lines *)device_make(vm, "isa-irq-splitter");
    s->lines = &lines->dev;
    for (unsigned n = 0; n < ISA_IRQS; n++) {
        if (s->pic)
            irq_connect(&lines->pic[n], i8259_pin(s->pic, n));
        if (n != 2)
            irq_connect(&lines->ioapic[n], device_pin(s->ioapic[0], n ? n : 2));
    }
    s->cpu_lines = cpu_lines_new(vm);
    const AccelType *accel = kernel ? accel_of(vm) : NULL;
    s->msi = accel && accel->messages ? *accel->messages(vm->accel)
                                      : (MsiTarget){.send = send_msi, .opaque = s};
}
