/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI power management registers of Intel south bridges. ACPI 6.5, 4.8; ICH9 datasheet 316972, 13.8;
 * PIIX4 datasheet 290562, 7.2.
 */
#include "hw/pc-pci.h"
#include "qapi/qapi-events.h"
#include "util/log.h"

enum {
    TMROF = 1 << 0, GBL = 1 << 5, PWRBTN = 1 << 8, SLPBTN = 1 << 9, RTC = 1 << 10, WAKE = 1 << 15,
    ENABLE_BITS = 0x0721, SCI_ENABLE = 1, SLEEP_ENABLE = 1 << 13, SLEEP_SHIFT = 10,
    SLEEP_S5 = 0, SLEEP_S3 = 1,
    SMI_GLOBAL = 1, SMI_APMC = 1 << 5, SMI_TCO = 1 << 13, SMI_BITS = 0x27bff,
};
#define TIMER_HZ 3579545ull
#define SECOND 1000000000ull

typedef struct AcpiPm {
    Device dev;
    Irq sci, smi, smi_caller;   /* the latter to the CPU whose access raises it */
    Timer overflow;
    uint16_t status, enable, control;
    uint8_t gpe_status[8], gpe_enable[8];
    uint32_t smi_enable, smi_status, smi_locked;
    unsigned gpe_bytes;         /* status bytes of the block in use */
    MemRegion *gpe;
    bool smm, no_s3;
    int s4_type;                /* SLP_TYP that means S4; -1: none does */
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
    bool pending = s->status & s->enable & (TMROF | GBL | PWRBTN | SLPBTN | RTC);
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
    vm_request_wakeup(vm, WAKE_BUTTON);
}

/* ---- sleep ---- */

static void fall_asleep(AcpiPm *s)
{
    unsigned wakers = 1u << WAKE_OTHER | 1u << WAKE_BUTTON | (s->enable & RTC ? 1u << WAKE_RTC : 0);
    __atomic_store_n(&s->dev.object.vm->wakers, wakers, __ATOMIC_SEQ_CST);
    vm_request_suspend(s->dev.object.vm);
}

/* After the reset that waking is: the status says what woke the machine. */
static void woken(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    AcpiPm *s = data;
    device_lock(&s->dev);
    s->status |= WAKE | (vm->wake_reason == WAKE_RTC ? RTC : vm->wake_reason == WAKE_BUTTON ? PWRBTN : 0);
    device_unlock(&s->dev);
    __atomic_store_n(&vm->wakers, 0, __ATOMIC_SEQ_CST);
}

AcpiSleep acpi_pm_sleep(Device *d)
{
    AcpiPm *s = (AcpiPm *)d;
    return (AcpiSleep){.s3 = s->no_s3 ? -1 : SLEEP_S3, .s4 = s->s4_type};
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
    bool s4 = (int)type == s->s4_type;
    if (s4)
        qapi_event_suspend_disk(d->object.vm);
    if (s4 || type == SLEEP_S5)
        vm_request_shutdown(d->object.vm, CAUSE_GUEST_SHUTDOWN, 0);
    else if (type == SLEEP_S3 && !s->no_s3)
        fall_asleep(s);
    else
        log_guest(d, "sleep type %u is not possible", type);
}

/* ---- SMI ---- */

static uint64_t read_smi_enable(Device *d) { return ((AcpiPm *)d)->smi_enable; }

static void write_smi_enable(Device *d, uint64_t v)
{
    AcpiPm *s = (AcpiPm *)d;
    s->smi_enable = (s->smi_enable & s->smi_locked) | (v & SMI_BITS & ~s->smi_locked);
}

void acpi_pm_enable_apm(Device *d, bool on)
{
    device_lock(d);
    ((AcpiPm *)d)->smi_enable = on ? SMI_GLOBAL | SMI_APMC : 0;
    device_unlock(d);
}

void acpi_pm_lock_smi(Device *d, uint32_t bits)
{
    device_lock(d);
    ((AcpiPm *)d)->smi_locked |= bits;
    device_unlock(d);
}

static bool smi_enabled(const AcpiPm *s, uint32_t source)
{
    return s->smm && s->smi_enable & SMI_GLOBAL && s->smi_enable & source;
}

void acpi_pm_command(Device *d, uint8_t value, uint8_t enable, uint8_t disable, bool all_cpus)
{
    AcpiPm *s = (AcpiPm *)d;
    device_lock(d);
    if (value == enable)
        s->control |= SCI_ENABLE;
    else if (value == disable)
        s->control &= ~SCI_ENABLE;
    update(s);
    if (smi_enabled(s, SMI_APMC)) {
        s->smi_status |= SMI_APMC;
        irq_pulse(all_cpus ? &s->smi : &s->smi_caller);
    }
    device_unlock(d);
}

/* From the TCO watchdog: its SMI, and that the guest has locked it. */
static void tco_pin(Device *d, uint32_t n, bool level)
{
    AcpiPm *s = (AcpiPm *)d;
    if (!level)
        return;
    if (n == ACPI_PM_PIN_TCO_LOCK) {
        s->smi_locked |= SMI_TCO;
    } else if (smi_enabled(s, SMI_TCO)) {
        s->smi_status |= SMI_TCO;
        irq_pulse(&s->smi);
    }
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
    s->listeners[1] = vm_listen(d->object.vm, VM_EVENT_WAKEUP, woken, s);
    d->object.vm->can_suspend = true;
    return true;
}

static void unrealize(Device *d)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(((AcpiPm *)d)->listeners); i++)
        vm_unlisten(d->object.vm, ((AcpiPm *)d)->listeners[i]);
}

/* ---- types ---- */

static const Reg regs[] = {
    REG(0x00, "PM1_STS", W1C, .width = 2, IN(AcpiPm, status), .bits = 0x8d31, .wrote = wrote_status),
    REG(0x02, "PM1_EN", RW, .width = 2, IN(AcpiPm, enable), .bits = ENABLE_BITS, .wrote = wrote_status),
    REG(0x04, "PM1_CNT", RW, .width = 2, IN(AcpiPm, control), .bits = 0x3c07, .wrote = wrote_control),
    REG(0x08, "PM1_TMR", RO, .read = read_timer),
};
static const Reg ich9_regs[] = {
    REG(0x30, "SMI_EN", RW, .read = read_smi_enable, .wrote = write_smi_enable),
    REG(0x34, "SMI_STS", W1C, IN(AcpiPm, smi_status)),
};
static const Field fields[] = {
    IRQ(AcpiPm, sci), IRQ(AcpiPm, smi), IRQ(AcpiPm, smi_caller), SAVED(AcpiPm, smi_enable),
    SAVED(AcpiPm, smi_locked), TIMER(AcpiPm, overflow, overflowed),
    SAVED(AcpiPm, gpe_status), SAVED(AcpiPm, gpe_enable), HOST(AcpiPm, gpe_bytes), HOST(AcpiPm, gpe),
    HOST(AcpiPm, smm), HOST(AcpiPm, no_s3), HOST(AcpiPm, s4_type), HOST(AcpiPm, listeners),
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
    .init = init_ich9, .regs = ich9_regs, .n_regs = G_N_ELEMENTS(ich9_regs), .pin = tco_pin, .n_pins = 2,
};
DEVICE_TYPE(ich9_pm);

static const Field piix4_fields[] = {SAVED(AcpiPm, smi_status)};
static const DeviceType piix4_pm = {
    .name = "piix4-pm", .parent = "acpi-pm", .desc = "ACPI registers of the PIIX4",
    .size = sizeof(AcpiPm), .init = init_piix4, .fields = piix4_fields,
    .n_fields = G_N_ELEMENTS(piix4_fields),
};
DEVICE_TYPE(piix4_pm);

Device *acpi_pm_new(Vm *vm, const AcpiPmConfig *c)
{
    AcpiPm *s = (AcpiPm *)device_draft(vm, c->type);
    s->smm = c->pins->smm;
    s->no_s3 = c->no_s3;
    s->s4_type = c->s4_type;
    irq_connect(&s->sci, c->pins->sci);
    irq_connect(&s->smi, c->pins->smi);
    irq_connect(&s->smi_caller, c->pins->smi_caller);
    device_start(&s->dev);
    return &s->dev;
}

static bool is_pm(Object *o, void *unused) { return object_is_a(o, "acpi-pm"); }
Device *acpi_pm_of(Vm *vm) { return (Device *)object_walk(&vm->root, is_pm, NULL); }
