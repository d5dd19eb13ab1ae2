/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI power management registers of Intel south bridges. ACPI 6.5, 4.8; ICH9 datasheet 316972, 13.8;
 * PIIX4 datasheet 290562, 7.2.
 */
#include "hw/pc-pci.h"
#include "util/log.h"

enum {
    TMROF = 1 << 0, PWRBTN = 1 << 8, RTC = 1 << 10, WAKE = 1 << 15,
    ENABLE_BITS = 0x0721, SCI_ENABLE = 1, SLEEP_ENABLE = 1 << 13, SLEEP_SHIFT = 10,
    SLEEP_S5 = 0, SLEEP_S3 = 1, SLEEP_S4 = 2,
    SMI_GLOBAL = 1, SMI_APMC = 1 << 5, SMI_TCO = 1 << 13, SMI_APM_STATUS = 1 << 5,
};
#define TIMER_HZ 3579545ull
#define SECOND 1000000000ull

typedef struct AcpiPm {
    Device dev;
    Irq sci, smi;
    Timer overflow;
    uint16_t status, enable, control;
    uint8_t gpe_status[8], gpe_enable[8];
    uint32_t smi_enable, smi_status;
    unsigned gpe_bytes;         /* status bytes of the block in use */
    MemRegion *gpe;
    bool smm;
    unsigned listeners[2];
} AcpiPm;

/* ---- the timer: 24 bits at 3.579545 MHz ---- */

static uint64_t ticks(Device *d)
{
    return (uint64_t)((__uint128_t)clock_ns(d->object.vm, CLOCK_K_VIRTUAL) * TIMER_HZ / SECOND);
}

static uint64_t read_timer(Device *d) { return ticks(d) & 0xffffff; }

/* Bit 23 changes: that is when the status bit sets. */
static void arm(AcpiPm *s)
{
    uint64_t next = (ticks(&s->dev) / 0x800000 + 1) * 0x800000;
    if (s->enable & TMROF)
        timer_arm(&s->overflow, (int64_t)((__uint128_t)next * SECOND / TIMER_HZ) + 1);
    else
        timer_cancel(&s->overflow);
}

/* ---- events ---- */

static void update(AcpiPm *s)
{
    bool pending = s->status & s->enable & (TMROF | PWRBTN | RTC | 0x0220);
    for (unsigned i = 0; i < s->gpe_bytes; i++)
        pending |= s->gpe_status[i] & s->gpe_enable[i];
    irq_set(&s->sci, pending && s->control & SCI_ENABLE);
}

static void overflowed(Device *d)
{
    AcpiPm *s = (AcpiPm *)d;
    s->status |= TMROF;
    update(s);
    arm(s);
}

void acpi_pm_gpe(Device *d, unsigned n)
{
    AcpiPm *s = (AcpiPm *)d;
    device_lock(d);
    s->gpe_status[n / 8 & 7] |= 1 << n % 8;
    update(s);
    device_unlock(d);
}

static void power_button(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    AcpiPm *s = data;
    device_lock(&s->dev);
    s->status |= PWRBTN;
    update(s);
    device_unlock(&s->dev);
}

/* ---- PM1 ---- */

static void wrote_status(Device *d, uint64_t v)
{
    update((AcpiPm *)d);
    arm((AcpiPm *)d);
}

static void wrote_control(Device *d, uint64_t v)
{
    AcpiPm *s = (AcpiPm *)d;
    update(s);
    if (!(v & SLEEP_ENABLE))
        return;
    s->control &= ~SLEEP_ENABLE;
    unsigned type = v >> SLEEP_SHIFT & 7;
    if (type == SLEEP_S5 || type == SLEEP_S4)
        vm_request_shutdown(d->object.vm, CAUSE_GUEST_SHUTDOWN, 0);
    else
        log_guest(d, "sleep type %u is not possible", type);
}

/* ---- SMI ---- */

void acpi_pm_command(Device *d, uint8_t value, uint8_t enable, uint8_t disable)
{
    AcpiPm *s = (AcpiPm *)d;
    device_lock(d);
    if (value == enable)
        s->control |= SCI_ENABLE;
    else if (value == disable)
        s->control &= ~SCI_ENABLE;
    update(s);
    if (s->smm && s->smi_enable & SMI_APMC) {
        s->smi_status |= SMI_APM_STATUS;
        irq_pulse(&s->smi);
    }
    device_unlock(d);
}

static void reset(Device *d)
{
    AcpiPm *s = (AcpiPm *)d;
    /* Firmware takes an enabled SMI for a sign that there is nothing to set up. */
    s->smi_enable = s->smm ? 0 : SMI_APMC;
}

static void restored(Device *d) { update((AcpiPm *)d); }

/* ---- general purpose events ---- */

static uint64_t read_gpe(void *opaque, uint64_t at, unsigned size)
{
    AcpiPm *s = opaque;
    return at < s->gpe_bytes ? s->gpe_status[at] : at < 2 * s->gpe_bytes ? s->gpe_enable[at - s->gpe_bytes] : 0;
}

static void write_gpe(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    AcpiPm *s = opaque;
    if (at < s->gpe_bytes)
        s->gpe_status[at] &= ~v;
    else if (at < 2 * s->gpe_bytes)
        s->gpe_enable[at - s->gpe_bytes] = v;
    update(s);
}

static const MemOps gpe_ops = {read_gpe, write_gpe, 1, 1};

MemRegion *acpi_pm_gpe_region(Device *d) { return ((AcpiPm *)d)->gpe; }

static bool realize(Device *d, GError **error)
{
    AcpiPm *s = (AcpiPm *)d;
    s->gpe = mem_io(&d->object, "acpi-gpe0", 2 * s->gpe_bytes, &gpe_ops, s, d);
    s->listeners[0] = vm_listen(d->object.vm, VM_EVENT_POWERDOWN, power_button, s);
    return true;
}

static void unrealize(Device *d) { vm_unlisten(d->object.vm, ((AcpiPm *)d)->listeners[0]); }

/* ---- types ---- */

static const Reg regs[] = {
    REG(0x00, "PM1_STS", W1C, .width = 2, IN(AcpiPm, status), .bits = 0x8d31, .wrote = wrote_status),
    REG(0x02, "PM1_EN", RW, .width = 2, IN(AcpiPm, enable), .bits = ENABLE_BITS, .wrote = wrote_status),
    REG(0x04, "PM1_CNT", RW, .width = 2, IN(AcpiPm, control), .bits = 0x3c07, .wrote = wrote_control),
    REG(0x08, "PM1_TMR", RO, .read = read_timer),
};
static const Reg ich9_regs[] = {
    REG(0x30, "SMI_EN", RW, IN(AcpiPm, smi_enable), .bits = 0x00027bff),
    REG(0x34, "SMI_STS", W1C, IN(AcpiPm, smi_status)),
};
static const Field fields[] = {
    IRQ(AcpiPm, sci), IRQ(AcpiPm, smi), TIMER(AcpiPm, overflow, overflowed),
    SAVED(AcpiPm, gpe_status), SAVED(AcpiPm, gpe_enable), HOST(AcpiPm, gpe_bytes), HOST(AcpiPm, gpe),
    HOST(AcpiPm, smm), HOST(AcpiPm, listeners),
};
static const DeviceType pm = {
    .name = "acpi-pm", .desc = "ACPI power management registers", .size = sizeof(AcpiPm),
    .abstract = true, .window = 0x80, .max_access = 4, REGS(regs), FIELDS(fields), .realize = realize,
    .unrealize = unrealize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(pm);

static void init_ich9(Object *o) { ((AcpiPm *)o)->gpe_bytes = 8; }
static void init_piix4(Object *o) { ((AcpiPm *)o)->gpe_bytes = 2; }

static const DeviceType ich9_pm = {
    .name = "ich9-pm", .parent = "acpi-pm", .desc = "ACPI registers of the ICH9", .size = sizeof(AcpiPm),
    .init = init_ich9, .regs = ich9_regs, .n_regs = G_N_ELEMENTS(ich9_regs),
};
DEVICE_TYPE(ich9_pm);

static const Field piix4_fields[] = {SAVED(AcpiPm, smi_enable), SAVED(AcpiPm, smi_status)};
static const DeviceType piix4_pm = {
    .name = "piix4-pm", .parent = "acpi-pm", .desc = "ACPI registers of the PIIX4",
    .size = sizeof(AcpiPm), .init = init_piix4, .fields = piix4_fields,
    .n_fields = G_N_ELEMENTS(piix4_fields),
};
DEVICE_TYPE(piix4_pm);

Device *acpi_pm_new(Vm *vm, const char *type, Pin sci, Pin smi, bool smm)
{
    AcpiPm *s = (AcpiPm *)device_draft(vm, type);
    s->smm = smm;
    irq_connect(&s->sci, sci);
    irq_connect(&s->smi, smi);
    device_start(&s->dev);
    return &s->dev;
}

static bool is_pm(Object *o, void *unused) { return object_is_a(o, "acpi-pm"); }
Device *acpi_pm_of(Vm *vm) { return (Device *)object_walk(&vm->root, is_pm, NULL); }
