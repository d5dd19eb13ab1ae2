/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC, xAPIC and x2APIC modes. Spec: Intel SDM vol. 3 chapter 12. */
#include "hw/intc/apic.h"
#include <string.h>
#include "util/log.h"
#include "util/error.h"

enum {
    PERIOD_LEAST_NS = 20000,
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a,
    REG_EOI = 0x0b, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10,
    REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR2 = 0x31,
    REG_LVT_TIMER = 0x32, REG_LVT_LINT0 = 0x35, REG_LVT_ERROR = 0x37, REG_INITIAL = 0x38,
    REG_CURRENT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
    LVT_TIMER = 0, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS,
    LVT_MASKED = 1 << 16, LVT_LEVEL = 1 << 15, LVT_REMOTE_IRR = 1 << 14,
    SVR_ENABLED = 1 << 8,
    TIMER_ONE_SHOT = 0, TIMER_PERIODIC = 1, TIMER_TSC_DEADLINE = 2,
    BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLED = 1 << 11,
    ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7,
    VERSION = 0x14 | (LVTS - 1) << 16,
};

struct Apic {
    Device dev;
    ApicBus *bus;
    Cpu *cpu;
    Irq intr, nmi, smi, init;
    Timer timer;                /* CLOCK_VIRTUAL; the bus clock is 1 GHz, a tick per ns */
    uint64_t base;              /* MSR 0x1b */
    uint64_t icr, deadline;
    uint32_t id, initial_id;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[LVTS];
    uint32_t ldr, dfr, svr, esr, esr_next, initial_count, divide;
    uint8_t tpr;
    bool bsp, lint1;
    int64_t timer_start;        /* virtual time of the last load of the counter */
};

/* ---- bit sets of 256 vectors ---- */

static void set_bit(uint32_t *v, uint8_t n) { v[n >> 5] |= 1u << (n & 31); }
static void clear_bit(uint32_t *v, uint8_t n) { v[n >> 5] &= ~(1u << (n & 31)); }
static bool test_bit(const uint32_t *v, uint8_t n) { return v[n >> 5] >> (n & 31) & 1; }

static int highest(const uint32_t *v)
{
    for (int i = 7; i >= 0; i--)
        if (v[i])
            return i * 32 + 31 - __builtin_clz(v[i]);
    return -1;
}

/* ---- priority and the INTR line ---- */

static bool x2apic(const Apic *a) { return a->base & BASE_X2APIC; }
static bool enabled(const Apic *a) { return a->base & BASE_ENABLED; }
bool apic_software_enabled(const Apic *a) { return enabled(a) && a->svr & SVR_ENABLED; }
bool apic_xapic_mode(const Apic *a) { return enabled(a) && !x2apic(a); }

static uint8_t ppr(const Apic *a)
{
    int isr = highest(a->isr);
    uint8_t serving = isr < 0 ? 0 : isr & 0xf0;
    return (a->tpr & 0xf0) >= serving ? a->tpr : serving;
}

/* The vector to deliver now, or -1. */
static int deliverable(const Apic *a)
{
    int v = apic_software_enabled(a) ? highest(a->irr) : -1;
    return v >= 0 && (v & 0xf0) > (ppr(a) & 0xf0) ? v : -1;
}

/* The PIC's interrupt passes when the APIC is off, or LINT0 is ExtINT and unmasked. */
static bool pic_pending(const Apic *a)
{
    if (!a->bus->lint0)
        return false;
    if (!enabled(a))
        return a->bsp;
    uint32_t lvt = a->lvt[LVT_LINT0];
    return !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT;
}

static void update(Apic *a) { irq_set(&a->intr, deliverable(a) >= 0 || pic_pending(a)); }

static void raise_vector(Apic *a, uint8_t vector, bool level)
{
    if (vector < 16) {
        a->esr_next |= ESR_RECEIVE_VECTOR;
        return;
    }
    set_bit(a->irr, vector);
    (level ? set_bit : clear_bit)(a->tmr, vector);
    update(a);
}

/* ---- messages ---- */

bool apic_matches(const Apic *a, uint32_t dest, bool logical)
{
    if (!enabled(a))
        return false;
    if (dest == (x2apic(a) ? UINT32_MAX : 0xff) || dest == UINT32_MAX)
        return true;
    if (!logical)
        return dest == (x2apic(a) ? a->initial_id : a->id);
    if (x2apic(a))
        return dest >> 16 == a->ldr >> 16 && dest & a->ldr & 0xffff;
    uint8_t ldr = a->ldr >> 24;
    if (a->dfr >> 28 == 0xf)
        return ldr & dest & 0xff;
    return (ldr & 0xf0) == (dest & 0xf0) && ldr & dest & 0x0f;
}

void apic_accept(Apic *a, const ApicMessage *m)
{
    switch (m->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (apic_software_enabled(a))
            raise_vector(a, m->vector, m->level);
        break;
    case APIC_SMI:
        irq_pulse(&a->smi);
        break;
    case APIC_NMI:
        irq_pulse(&a->nmi);
        break;
    case APIC_INIT:
        if (!m->level || m->assert_level)       /* a de-assert only resynchronises arbitration */
            irq_pulse(&a->init);
        break;
    case APIC_SIPI: {
        Irq sipi = {.to = device_pin(&a->cpu->dev, X86_PIN_SIPI + m->vector)};
        irq_pulse(&sipi);
        break;
    }
    default:
        break;
    }
}

static void send_ipi(Apic *a)
{
    uint32_t low = a->icr;
    ApicMessage m = {
        .vector = low, .mode = low >> 8 & 7, .logical = low & 1 << 11,
        .level = low & 1 << 15, .assert_level = low & 1 << 14,
        .dest = x2apic(a) ? a->icr >> 32 : a->icr >> 56,
    };
    if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16)
        a->esr_next |= ESR_SEND_VECTOR;
    if (m.mode != APIC_INIT)
        m.level = false;        /* IPIs other than INIT are edges whatever the bit says */
    unsigned shorthand = low >> 18 & 3;
    if (shorthand == 0) {
        apic_bus_deliver(a->bus, &m);
        return;
    }
    for (unsigned i = 0; i < a->bus->apics->len; i++) {
        Apic *to = g_ptr_array_index(a->bus->apics, i);
        if (to && enabled(to) && (to == a ? shorthand != 3 : shorthand != 1))
            apic_accept(to, &m);
    }
}

static void end_of_interrupt(Apic *a)
{
    int v = highest(a->isr);
    if (v < 0)
        return;
    clear_bit(a->isr, v);
    if (test_bit(a->tmr, v))
        for (unsigned i = 0; i < a->bus->ioapics->len; i++)
            ioapic_eoi(g_ptr_array_index(a->bus->ioapics, i), v);
    update(a);
}

/* ---- the timer ---- */

static int64_t now(Apic *a) { return clock_ns(a->dev.object.vm, CLOCK_K_VIRTUAL); }
static unsigned timer_mode(const Apic *a) { return a->lvt[LVT_TIMER] >> 17 & 3; }

static unsigned divide_shift(const Apic *a)
{
    unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);
    return (code + 1) & 7;
}

static int64_t period(const Apic *a) { return (int64_t)a->initial_count << divide_shift(a); }

static uint32_t current_count(Apic *a)
{
    if (!a->initial_count || timer_mode(a) == TIMER_TSC_DEADLINE)
        return 0;
    int64_t passed = now(a) - a->timer_start;
    if (timer_mode(a) == TIMER_PERIODIC)
        passed %= period(a);
    return passed >= period(a) ? 0 : (uint32_t)((period(a) - passed) >> divide_shift(a));
}

/* `fresh`: the count was written just now. Time has gone on since, and a short one may have run out; then it
 * fires at once. So does one that is due and has not fired yet; what did fire does not again. */
static void arm_timer(Apic *a, bool fresh)
{
    if (timer_mode(a) == TIMER_TSC_DEADLINE || !a->initial_count) {
        timer_cancel(&a->timer);
        return;
    }
    int64_t next = a->timer_start + period(a), t = now(a);
    if (next <= t && timer_mode(a) == TIMER_PERIODIC) {
        a->timer_start += (t - a->timer_start) / period(a) * period(a);
        next = a->timer_start + period(a);
    }
    if (timer_mode(a) == TIMER_PERIODIC && period(a) < PERIOD_LEAST_NS)
        next = MAX(next, t + PERIOD_LEAST_NS);      /* faster than any loop: some are missed */
    if (next > t || timer_mode(a) == TIMER_PERIODIC || fresh || timer_armed(&a->timer))
        timer_arm(&a->timer, next);
    else
        timer_cancel(&a->timer);
}

static void fired(Device *d)
{
    Apic *a = (Apic *)d;
    if (!(a->lvt[LVT_TIMER] & LVT_MASKED) && apic_software_enabled(a))
        raise_vector(a, a->lvt[LVT_TIMER], false);
    if (timer_mode(a) == TIMER_TSC_DEADLINE)
        a->deadline = 0;
    else if (timer_mode(a) == TIMER_PERIODIC)
        arm_timer(a, false);
}

/* ---- registers ---- */

static uint64_t read_icr_esr(Apic *a, unsigned index)
{
    switch (index) {
    case REG_ESR: return a->esr;
    case REG_ICR: return x2apic(a) ? a->icr : (uint32_t)a->icr;
    case REG_ICR2: return a->icr >> 32;
    default: return 0;
    }
}

uint64_t apic_read_register(Apic *a, unsigned index)
{
    if (index >= REG_ISR && index < REG_ESR) {
        const uint32_t *set = index < REG_TMR ? a->isr : index < REG_IRR ? a->tmr : a->irr;
        return set[index & 7];
    }
    if (index >= REG_LVT_TIMER && index <= REG_LVT_ERROR)
        return a->lvt[index - REG_LVT_TIMER];
    switch (index) {
    case REG_ID: return x2apic(a) ? a->initial_id : a->id << 24;
    case REG_VERSION: return VERSION;
    case REG_TPR: return a->tpr;
    case REG_PPR: return ppr(a);
    case REG_LDR: return a->ldr;
    case REG_DFR: return a->dfr;
    case REG_SVR: return a->svr;
    case REG_INITIAL: return a->initial_count;
    case REG_CURRENT: return current_count(a);
    case REG_DIVIDE: return a->divide;
    default: return read_icr_esr(a, index);
    }
}

static void write_lvt(Apic *a, unsigned n, uint32_t value)
{
    static const uint32_t writable[LVTS] = {
        [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
        [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
    };
    unsigned old_mode = timer_mode(a);
    a->lvt[n] = value & writable[n];
    if (!(a->svr & SVR_ENABLED))
        a->lvt[n] |= LVT_MASKED;
    if (n == LVT_TIMER) {
        if ((old_mode == TIMER_TSC_DEADLINE) != (timer_mode(a) == TIMER_TSC_DEADLINE)) {
            a->deadline = a->initial_count = 0;
            timer_cancel(&a->timer);
        } else if (timer_mode(a) != TIMER_TSC_DEADLINE) {
            arm_timer(a, false);
        }
    }
    update(a);
}

static void write_svr(Apic *a, uint32_t value)
{
    a->svr = value & 0x1ff;
    if (!(a->svr & SVR_ENABLED))
        for (unsigned i = 0; i < LVTS; i++)
            a->lvt[i] |= LVT_MASKED;
    update(a);
}

static void write_timer_register(Apic *a, unsigned index, uint32_t value)
{
    if (index == REG_DIVIDE) {
        a->divide = value & 0xb;
    } else if (timer_mode(a) != TIMER_TSC_DEADLINE) {
        a->initial_count = value;
        a->timer_start = now(a);
    }
    arm_timer(a, index != REG_DIVIDE);
}

void apic_write_register(Apic *a, unsigned index, uint64_t value)
{
    if (index >= REG_LVT_TIMER && index <= REG_LVT_ERROR) {
        write_lvt(a, index - REG_LVT_TIMER, value);
        return;
    }
    switch (index) {
    case REG_ID: a->id = value >> 24 & 0xff; break;
    case REG_TPR: a->tpr = value; update(a); break;
    case REG_EOI: end_of_interrupt(a); break;
    case REG_LDR: a->ldr = value & 0xff000000; break;
    case REG_DFR: a->dfr = value | 0x0fffffff; break;
    case REG_SVR: write_svr(a, value); break;
    case REG_ESR: a->esr = a->esr_next; a->esr_next = 0; break;
    case REG_ICR:
        a->icr = x2apic(a) ? value : (a->icr & ~0xffffffffull) | (uint32_t)value;
        a->icr &= ~(1ull << 12);
        send_ipi(a);
        break;
    case REG_ICR2: a->icr = (uint32_t)a->icr | value << 32; break;
    case REG_INITIAL:
    case REG_DIVIDE: write_timer_register(a, index, value); break;
    default: a->esr_next |= ESR_REGISTER; break;
    }
}

/* ---- the CPU's side ---- */

static int ack(void *opaque)
{
    Apic *a = opaque;
    device_lock(&a->dev);
    int v = deliverable(a);
    if (v >= 0) {
        clear_bit(a->irr, v);
        set_bit(a->isr, v);
    } else if (pic_pending(a) && a->bus->pic_ack) {
        v = a->bus->pic_ack(a->bus->pic);
    }
    update(a);
    device_unlock(&a->dev);
    return v;
}

static uint8_t get_tpr(void *opaque) { return ((Apic *)opaque)->tpr; }

static void set_tpr(void *opaque, uint8_t tpr)
{
    Apic *a = opaque;
    device_lock(&a->dev);
    a->tpr = tpr;
    update(a);
    device_unlock(&a->dev);
}

/* 12.12.5: legal changes of mode; leaving x2APIC goes through disabled. */
static bool write_base(Apic *a, uint64_t value)
{
    uint64_t mode = value & (BASE_ENABLED | BASE_X2APIC), old = a->base & (BASE_ENABLED | BASE_X2APIC);
    if (mode == BASE_X2APIC || (mode & BASE_X2APIC && !old) ||
        (old & BASE_X2APIC && mode == BASE_ENABLED))
        return false;
    a->base = (value & ~(uint64_t)BASE_BSP) | (a->bsp ? BASE_BSP : 0);
    if (mode & BASE_X2APIC)
        a->ldr = (a->initial_id >> 4) << 16 | 1u << (a->initial_id & 15);
    if (!(mode & BASE_ENABLED))
        a->svr &= ~SVR_ENABLED;
    update(a);
    return true;
}

static bool msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
    Apic *a = opaque;
    if (msr == 0x1b) {
        *value = a->base;
        return true;
    }
    unsigned index = msr - 0x800;
    if (!x2apic(a) || index > REG_SELF_IPI || index == REG_DFR || index == REG_ICR2 ||
        index == REG_EOI || index == REG_SELF_IPI)
        return false;
    device_lock(&a->dev);
    *value = apic_read_register(a, index);
    device_unlock(&a->dev);
    return true;
}

static bool write_x2apic(Apic *a, unsigned index, uint64_t value)
{
    switch (index) {
    case REG_TPR: case REG_SVR: case REG_INITIAL: case REG_DIVIDE: case REG_ICR:
        break;
    case REG_EOI: case REG_ESR:
        if (value)
            return false;
        break;
    case REG_SELF_IPI:
        raise_vector(a, value, false);
        return true;
    default:
        if (index < REG_LVT_TIMER || index > REG_LVT_ERROR)
            return false;
        break;
    }
    apic_write_register(a, index, value);
    return true;
}

static bool msr_write(void *opaque, uint32_t msr, uint64_t value)
{
    Apic *a = opaque;
    device_lock(&a->dev);
    bool ok = msr == 0x1b ? write_base(a, value)
                          : x2apic(a) && write_x2apic(a, msr - 0x800, value);
    device_unlock(&a->dev);
    return ok;
}

static void set_tsc_deadline(void *opaque, uint64_t value, int64_t when)
{
    Apic *a = opaque;
    device_lock(&a->dev);
    if (timer_mode(a) == TIMER_TSC_DEADLINE) {
        a->deadline = value;
        if (when == INT64_MAX)
            timer_cancel(&a->timer);
        else
            timer_arm(&a->timer, when);
    }
    device_unlock(&a->dev);
}

static uint64_t get_tsc_deadline(void *opaque) { return ((Apic *)opaque)->deadline; }

static void set_reset_state(Apic *a)
{
    memset(a->isr, 0, sizeof(a->isr));
    memset(a->tmr, 0, sizeof(a->tmr));
    memset(a->irr, 0, sizeof(a->irr));
    for (unsigned i = 0; i < LVTS; i++)
        a->lvt[i] = LVT_MASKED;
    a->ldr = x2apic(a) ? a->ldr : 0;
    a->dfr = UINT32_MAX;
    a->svr = 0xff;
    a->icr = a->deadline = 0;
    a->esr = a->esr_next = a->initial_count = a->divide = 0;
    a->tpr = 0;
    timer_cancel(&a->timer);
    update(a);
}

static void cpu_init(void *opaque)
{
    Apic *a = opaque;
    device_lock(&a->dev);
    set_reset_state(a);
    device_unlock(&a->dev);
}

static const X86IrqSource irq_source = {
    .ack = ack, .get_tpr = get_tpr, .set_tpr = set_tpr, .msr_read = msr_read,
    .msr_write = msr_write, .set_tsc_deadline = set_tsc_deadline,
    .get_tsc_deadline = get_tsc_deadline, .init = cpu_init,
};

/* ---- the device ---- */

void apic_pic_changed(Apic *a) { update(a); }

static void lint(Device *d, uint32_t n, bool level)
{
    Apic *a = (Apic *)d;
    uint32_t lvt = a->lvt[n ? LVT_LINT1 : LVT_LINT0];
    bool rising = level && !a->lint1;
    if (n)
        a->lint1 = level;
    if (!rising || lvt & LVT_MASKED)
        return;
    ApicMessage m = {.vector = lvt, .mode = lvt >> 8 & 7, .level = lvt & LVT_LEVEL};
    apic_accept(a, &m);
}

static void reset(Device *d)
{
    Apic *a = (Apic *)d;
    a->base = 0xfee00000 | BASE_ENABLED | (a->bsp ? BASE_BSP : 0);
    a->id = a->initial_id;
    set_reset_state(a);
    /* Firmware-less boots find the PIC connected, as virtual wire mode leaves it. */
    if (a->bsp)
        a->lvt[LVT_LINT0] = APIC_EXTINT << 8;
}

static void restored(Device *d) { update((Apic *)d); }

static bool realize(Device *d, GError **error)
{
    return ((Apic *)d)->bus || error_set(error, "a local APIC is made by the machine, with its CPU");
}

static const Field fields[] = {
    LINK(Apic, bus), LINK(Apic, cpu), IRQ(Apic, intr), IRQ(Apic, nmi), IRQ(Apic, smi),
    IRQ(Apic, init), TIMER(Apic, timer, fired), SAVED(Apic, base), SAVED(Apic, icr),
    SAVED(Apic, deadline), SAVED(Apic, id), HOST(Apic, initial_id), SAVED(Apic, isr),
    SAVED(Apic, tmr), SAVED(Apic, irr), SAVED(Apic, lvt), SAVED(Apic, ldr), SAVED(Apic, dfr),
    SAVED(Apic, svr), SAVED(Apic, esr), SAVED(Apic, esr_next), SAVED(Apic, initial_count),
    SAVED(Apic, divide), SAVED(Apic, tpr), HOST(Apic, bsp), SAVED(Apic, lint1),
    SAVED(Apic, timer_start),
};
static const DeviceType apic = {
    .name = "apic", .desc = "Local APIC", .size = sizeof(Apic), .intc_domain = true,
    FIELDS(fields), .pin = lint, .n_pins = 2, .realize = realize, .reset = reset,
    .restored = restored,
};
DEVICE_TYPE(apic);

Device *apic_new(ApicBus *bus, Cpu *cpu, uint32_t id, bool bsp, const X86IrqSource **source)
{
    Apic *a = (Apic *)device_draft(bus->dev.object.vm, "apic");
    a->bus = bus;
    a->cpu = cpu;
    a->initial_id = a->id = id;
    a->bsp = bsp;
    device_start(&a->dev);
    irq_connect(&a->intr, device_pin(&cpu->dev, X86_PIN_INTR));
    irq_connect(&a->nmi, device_pin(&cpu->dev, X86_PIN_NMI));
    irq_connect(&a->smi, device_pin(&cpu->dev, X86_PIN_SMI));
    irq_connect(&a->init, device_pin(&cpu->dev, X86_PIN_INIT));
    device_lock(&bus->dev);
    g_ptr_array_set_size(bus->apics, MAX(bus->apics->len, cpu->index + 1));
    g_ptr_array_index(bus->apics, cpu->index) = a;
    device_unlock(&bus->dev);
    *source = &irq_source;
    return &a->dev;
}

void apic_free(ApicBus *bus, Device *apic)
{
    device_lock(&bus->dev);
    g_ptr_array_index(bus->apics, ((Apic *)apic)->cpu->index) = NULL;
    device_unlock(&bus->dev);
    object_remove(&apic->object);
}

/* ---- for people ---- */

static const char *const modes[] = {"Fixed", "Lowest", "SMI", "...", "NMI", "INIT", "SIPI", "ExtINT"};

static void describe_lvt(GString *out, const char *name, uint32_t lvt, bool timer)
{
    static const char *const timers[] = {"one-shot", "periodic", "tsc-deadline", "..."};
    g_string_append_printf(out, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s (vec %u)\n", name, lvt,
                           lvt & 1 << 13 ? "active-lo" : "active-hi", lvt & LVT_LEVEL ? "level" : "edge",
                           lvt & LVT_MASKED ? "masked" : "", lvt & 1 << 12 ? "pending" : "",
                           timer ? timers[lvt >> 17 & 3] : "", modes[lvt >> 8 & 7], lvt & 0xff);
}

static void describe_bits(GString *out, const char *name, const uint32_t *bits, const uint32_t *tmr)
{
    bool any = false;
    g_string_append_printf(out, "%s\t ", name);
    for (unsigned i = 0; i < 256; i++)
        if (test_bit(bits, i)) {
            g_string_append_printf(out, "%u%s ", i, test_bit(tmr, i) ? "(level)" : "");
            any = true;
        }
    g_string_append(out, any ? "\n" : "(none)\n");
}

static void describe(Apic *a, GString *out)
{
    static const char *const shorthands[] = {"no-shorthand", "self", "all-self", "all"};
    static const uint8_t order[] = {LVT_LINT0, LVT_LINT1, LVT_PERF, LVT_ERROR, LVT_THERMAL, LVT_TIMER};
    static const char *const names[] = {"LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT"};
    uint32_t icr = (uint32_t)a->icr, icr2 = a->icr >> 32;
    uint32_t dest = x2apic(a) ? icr2 : icr2 >> 24;

    g_string_append_printf(out, "dumping local APIC state for CPU %-2u\n\n", a->cpu->index);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++)
        describe_lvt(out, names[i], a->lvt[order[i]], order[i] == LVT_TIMER);
    g_string_append_printf(out, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n", a->divide,
                           1u << divide_shift(a), a->initial_count, current_count(a));
    g_string_append_printf(out, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", a->svr,
                           a->svr & SVR_ENABLED ? "enabled" : "disabled", a->svr & 1 << 9 ? "on" : "off",
                           a->svr & 0xff);
    g_string_append_printf(out, "ICR\t 0x%08x %s %s %s %s\n", icr, icr & 1 << 11 ? "logical" : "physical",
                           icr & LVT_LEVEL ? "level" : "edge", icr & 1 << 14 ? "assert" : "de-assert",
                           shorthands[icr >> 18 & 3]);
    g_string_append_printf(out, "ICR2\t 0x%08x %s %u (%s)\n", icr2, icr & 1 << 11 ? "mask" : "cpu", dest,
                           x2apic(a) ? "X2APIC ID" : "APIC ID");
    g_string_append_printf(out, "ESR\t 0x%08x\n", a->esr);
    describe_bits(out, "ISR", a->isr, a->tmr);
    describe_bits(out, "IRR", a->irr, a->tmr);
    g_string_append_printf(out, "\nAPR 0x00 TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n", a->tpr, a->dfr >> 28,
                           x2apic(a) ? a->ldr : a->ldr >> 24, ppr(a));
}

typedef struct ApicSearch {
    int64_t id;
    const Cpu *cpu;
} ApicSearch;

static bool is_wanted(Object *o, void *data)
{
    const ApicSearch *s = data;
    if (!object_is_a(o, "apic"))
        return false;
    const Apic *a = (const Apic *)o;
    return s->id >= 0 ? a->initial_id == s->id : a->cpu == s->cpu;
}

bool apic_describe(Vm *vm, int64_t id, const Cpu *cpu, GString *out)
{
    Apic *a = (Apic *)object_walk(&vm->root, is_wanted, &(ApicSearch){id, cpu});
    if (!a)
        return false;
    device_lock(&a->dev);
    describe(a, out);
    device_unlock(&a->dev);
    return true;
}
