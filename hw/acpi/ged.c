/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI generic event device with sleep and reset registers. Spec: ACPI 6.5, 5.6.9, 4.8.3.7. */
#include "hw/acpi.h"

enum {
    SLEEP_CONTROL = 0, SLEEP_STATUS = 1, RESET = 2, REGS_SIZE = 3, SLP_EN = 1 << 5,
    SLEEP_S5 = 5, RESET_VALUE = 0x42,
};

typedef struct Ged {
    Device dev;
    Irq irq;
    MemRegion *regs;
    uint32_t events;
    unsigned powerdown_listener;
} Ged;

static uint64_t read_events(Device *d)
{
    Ged *s = (Ged *)d;
    uint32_t events = s->events;
    s->events = 0;
    return events;
}

static uint64_t read_regs(void *opaque, uint64_t at, unsigned size) { return 0; }

static void write_regs(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    Vm *vm = ((Device *)opaque)->object.vm;
    if (at == SLEEP_CONTROL && value & SLP_EN && (value >> 2 & 7) == SLEEP_S5)
        vm_request_shutdown(vm, CAUSE_GUEST_SHUTDOWN, 0);
    else if (at == RESET && value == RESET_VALUE)
        vm_request_reset(vm, CAUSE_GUEST_RESET);
}

static const MemOps reg_ops = {read_regs, write_regs, 1, 1};

static void power_button(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    Ged *s = data;
    device_lock(&s->dev);
    s->events |= GED_POWER_BUTTON;
    irq_pulse(&s->irq);
    device_unlock(&s->dev);
}

static bool realize(Device *d, GError **error)
{
    Ged *s = (Ged *)d;
    s->regs = mem_io(&d->object, "acpi-ged-regs", REGS_SIZE, &reg_ops, d, d);
    s->powerdown_listener = vm_listen(d->object.vm, VM_EVENT_POWERDOWN, power_button, s);
    return true;
}

static void unrealize(Device *d) { vm_unlisten(d->object.vm, ((Ged *)d)->powerdown_listener); }

static const Reg regs[] = {
    REG(0, "SELECTOR", RO, .read = read_events),
};
static const Field fields[] = {
    IRQ(Ged, irq), HOST(Ged, regs), SAVED(Ged, events), HOST(Ged, powerdown_listener),
};
static const DeviceType ged = {
    .name = "acpi-ged", .desc = "ACPI generic event device", .size = sizeof(Ged), .window = 4,
    REGS(regs), FIELDS(fields), .realize = realize, .unrealize = unrealize,
};
DEVICE_TYPE(ged);

Device *ged_new(Vm *vm, uint64_t selector, uint64_t regs_base, Pin irq)
{
    Ged *s = (Ged *)device_make(vm, "acpi-ged");
    irq_connect(&s->irq, irq);
    device_place(&s->dev, selector);
    mem_add(vm->memory_root, regs_base, s->regs, 0);
    return &s->dev;
}

/* The event method asks the selector what happened; the button lives beside it. */
void ged_aml(Aml *sb, uint64_t selector, uint32_t gsi)
{
    Aml *dev = aml_device("GED_");
    aml_append(dev, aml_name("_HID", aml_string("ACPI0013")));
    aml_append(dev, aml_name("_UID", aml_string("GED")));
    Aml *crs = aml_resources();
    aml_res_irq(crs, gsi, true);
    aml_append(dev, aml_name_resources("_CRS", crs));
    aml_append(dev, aml_region("EREG", 0, selector, 4));
    aml_append(dev, aml_field("EREG", 3, "ESEL", 32));
    Aml *evt = aml_method("_EVT", 1, true);
    aml_append(evt, aml_store(aml_path("ESEL"), aml_local(0)));
    Aml *hit = aml_if(aml_equal(aml_and(aml_local(0), aml_int(GED_POWER_BUTTON)),
                                aml_int(GED_POWER_BUTTON)));
    aml_append(hit, aml_notify("\\_SB.PWRB", 0x80));
    aml_append(evt, hit);
    aml_append(dev, evt);
    aml_append(sb, dev);
    Aml *button = aml_device("PWRB");
    aml_append(button, aml_name("_HID", aml_eisaid("PNP0C0C")));
    aml_append(button, aml_name("_UID", aml_int(0)));
    aml_append(sb, button);
}
