/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers of x86 boards. MultiProcessor Specification 1.4; 82093AA. */
#include "core/accel.h"
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

/* ---- lines to all CPUs ---- */

typedef struct CpuLines {
    Device dev;
    Irq *a20, *smi;
} CpuLines;

static void cpu_pin(Device *d, uint32_t n, bool level)
{
    CpuLines *s = (CpuLines *)d;
    for (unsigned i = 0; i < d->object.vm->n_cpus; i++)
        irq_set(n == X86_PIN_A20 ? &s->a20[i] : &s->smi[i], level);
}

static void cpu_lines_finish(Object *o)
{
    g_free(((CpuLines *)o)->a20);
    g_free(((CpuLines *)o)->smi);
}

static const Field cpu_fields[] = {HOST(CpuLines, a20), HOST(CpuLines, smi)};
static const DeviceType cpu_lines = {
    .name = "x86-cpu-lines", .desc = "Lines to all CPUs", .size = sizeof(CpuLines), .intc_domain = true,
    .fields = cpu_fields, .n_fields = G_N_ELEMENTS(cpu_fields), .pin = cpu_pin, .finish = cpu_lines_finish,
};
DEVICE_TYPE(cpu_lines);

static Device *cpu_lines_new(Vm *vm)
{
    CpuLines *s = (CpuLines *)device_make(vm, "x86-cpu-lines");
    s->a20 = g_new0(Irq, vm->n_cpus);
    s->smi = g_new0(Irq, vm->n_cpus);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        s->a20[i].level = true;         /* as CPUs come out of reset */
        s->a20[i].to = device_pin((Device *)vm->cpus[i], X86_PIN_A20);
        irq_connect(&s->smi[i], device_pin((Device *)vm->cpus[i], X86_PIN_SMI));
    }
    return &s->dev;
}

Pin x86_all_cpus(X86Interrupts *s, unsigned pin) { return device_pin(s->cpu_lines, pin); }

/* ---- all of them ---- */

static void send_msi(void *opaque, const MsiMessage *m)
{
    apic_bus_msi(((X86Interrupts *)opaque)->bus, m->address, m->data);
}

void x86_interrupts_new(Vm *vm, X86Interrupts *s, bool pic, bool second_ioapic)
{
    AccelIrqchip kernel = accel_irqchip(vm);
    s->bus = kernel ? apic_bus_new_remote(vm) : apic_bus_new(vm);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        const X86IrqSource *source;
        s->apic_ids[i] = x86_cpu_apic_id(vm->cpus[i]);
        if (kernel)
            continue;
        Device *apic = apic_new(s->bus, vm->cpus[i], s->apic_ids[i], i == 0, &source);
        x86_cpu_connect(vm->cpus[i], source, apic);
    }
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
    s->msi = (MsiTarget){.send = send_msi, .opaque = s};
}
