/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC by its x2APIC registers. Spec: Intel SDM vol. 3, chapter 12. */
#include <string.h>
#include "core/testing.h"
#include "hw/apic.h"

enum {
    BASE = 0x1b, ENABLED = 1 << 11, X2APIC = 1 << 10, ID = 0x802, VERSION, TPR = 0x808, PPR = 0x80a, EOI, LDR = 0x80d,
    SVR = 0x80f, ISR = 0x810, TMR = 0x818, IRR = 0x820, ESR = 0x828, ICR = 0x830, LVT_TIMER = 0x832,
    LVT_LINT0 = 0x835, LVT_LINT1, LVT_ERROR, INITIAL, CURRENT, DIVIDE = 0x83e, SELF = 0x83f,
    MASKED = 1 << 16, PERIODIC = 1 << 17, DEADLINE = 2 << 17, SOFTWARE = 1 << 8,
};

/* What stands where a CPU would: it remembers its pins. */
typedef struct Socket {
    Cpu cpu;
    bool level[X86_PINS];
    unsigned rises[X86_PINS];
} Socket;

static void pin(Device *d, uint32_t n, bool level)
{
    Socket *s = (Socket *)d;
    s->rises[n] += level && !s->level[n];
    s->level[n] = level;
}

static const DeviceType socket_type = {
    .name = "test-cpu-socket", .size = sizeof(Socket), .no_domain = true, .pin = pin, .n_pins = X86_PINS,
};
DEVICE_TYPE(socket_type);

enum { APICS = 2 };

typedef struct Rig {
    TestDevice *t;
    ApicBus *bus;
    Socket *socket[APICS];
    Device *apic[APICS];
    const X86IrqSource *source;
} Rig;

static uint64_t get(Rig *r, unsigned i, uint32_t msr)
{
    uint64_t value = 0;
    g_assert_true(r->source->msr_read(r->apic[i], msr, &value));
    return value;
}

static void set(Rig *r, unsigned i, uint32_t msr, uint64_t value)
{
    g_assert_true(r->source->msr_write(r->apic[i], msr, value));
}

static void rig(Rig *r)
{
    r->t = test_machine();
    r->bus = apic_bus_new(r->t->vm);
    for (unsigned i = 0; i < APICS; i++) {
        r->socket[i] = (Socket *)device_make(r->t->vm, "test-cpu-socket");
        r->socket[i]->cpu.index = i;
        r->apic[i] = apic_new(r->bus, &r->socket[i]->cpu, i, i == 0, &r->source);
        set(r, i, BASE, get(r, i, BASE) | ENABLED | X2APIC);
        set(r, i, SVR, SOFTWARE | 0xff);
    }
}

static void rig_clear(Rig *r) { test_device_free(r->t); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_clear)

static bool intr(Rig *r, unsigned i) { return r->socket[i]->level[X86_PIN_INTR]; }

static void test_modes(void)
{
    g_auto(Rig) r = {0};
    uint64_t value;
    rig(&r);
    g_assert_cmphex(get(&r, 0, BASE), ==, 0xfee00000 | ENABLED | X2APIC | 1 << 8);
    g_assert_cmphex(get(&r, 1, BASE), ==, 0xfee00000 | ENABLED | X2APIC);
    g_assert_cmpuint(get(&r, 1, ID), ==, 1);
    g_assert_cmphex(get(&r, 1, LDR), ==, 1 << 1);
    g_assert_cmphex(get(&r, 0, VERSION) & 0xff, >=, 0x10);
    g_assert_false(r.source->msr_write(r.apic[0], BASE, 0xfee00000 | ENABLED));         /* only by way of off */
    g_assert_false(r.source->msr_write(r.apic[0], ID, 5));
    g_assert_false(r.source->msr_read(r.apic[0], EOI, &value));
    g_assert_false(r.source->msr_write(r.apic[0], EOI, 1));
}

static void test_priorities(void)
{
    g_auto(Rig) r = {0};
    rig(&r);
    set(&r, 0, SELF, 0x41);
    set(&r, 0, SELF, 0x73);
    g_assert_true(intr(&r, 0));
    g_assert_cmphex(get(&r, 0, IRR + 2), ==, 1 << 1);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x73);        /* the higher one */
    g_assert_cmphex(get(&r, 0, ISR + 3), ==, 1 << 0x13);
    g_assert_cmphex(get(&r, 0, PPR), ==, 0x70);
    g_assert_false(intr(&r, 0));                                /* 0x41 must wait */
    set(&r, 0, EOI, 0);
    g_assert_true(intr(&r, 0));
    r.source->set_tpr(r.apic[0], 0x50);
    g_assert_cmphex(get(&r, 0, TPR), ==, 0x50);
    g_assert_false(intr(&r, 0));
    r.source->set_tpr(r.apic[0], 0);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x41);
    set(&r, 0, EOI, 0);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, -1);
}

static void test_messages(void)
{
    g_auto(Rig) r = {0};
    rig(&r);
    set(&r, 0, ICR, 1ull << 32 | 0x55);                         /* fixed, to APIC 1 */
    g_assert_false(intr(&r, 0));
    g_assert_cmpint(r.source->ack(r.apic[1]), ==, 0x55);
    set(&r, 1, EOI, 0);
    set(&r, 0, ICR, 3 << 18 | 0x56);                            /* all but self */
    g_assert_false(intr(&r, 0));
    g_assert_true(intr(&r, 1));
    set(&r, 0, ICR, 1ull << 32 | 4 << 8);                       /* NMI */
    g_assert_cmpuint(r.socket[1]->rises[X86_PIN_NMI], ==, 1);
    set(&r, 0, ICR, 1ull << 32 | 5 << 8 | 1 << 14);             /* INIT */
    g_assert_cmpuint(r.socket[1]->rises[X86_PIN_INIT], ==, 1);
    set(&r, 0, ICR, 1ull << 32 | 6 << 8 | 0x9a);                /* SIPI */
    g_assert_cmpuint(r.socket[1]->rises[X86_PIN_SIPI + 0x9a], ==, 1);
    apic_bus_msi(r.bus, 0xfee00000, 0x61);                      /* MSI to APIC 0 */
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x61);
}

static void test_timer(void)
{
    g_auto(Rig) r = {0};
    rig(&r);
    set(&r, 0, DIVIDE, 0xb);                                    /* by 1 */
    set(&r, 0, LVT_TIMER, 0x44);
    set(&r, 0, INITIAL, 1000000);
    uint64_t first = get(&r, 0, CURRENT);
    test_clock_step_ns(r.t, 1000);
    g_assert_cmpuint(get(&r, 0, CURRENT), <, first);
    test_clock_step(r.t, 1);
    g_assert_cmpuint(get(&r, 0, CURRENT), ==, 0);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x44);
    set(&r, 0, EOI, 0);
    test_clock_step(r.t, 1);
    g_assert_false(intr(&r, 0));                                /* once */
    set(&r, 0, LVT_TIMER, PERIODIC | 0x45);
    set(&r, 0, INITIAL, 1000000);
    for (unsigned i = 0; i < 3; i++) {
        test_clock_step_ns(r.t, 100000000);
        g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x45);
        set(&r, 0, EOI, 0);
    }
    set(&r, 0, INITIAL, 0);
    set(&r, 0, LVT_TIMER, DEADLINE | 0x46);
    int64_t now = clock_ns(r.t->vm, CLOCK_K_VIRTUAL);
    r.source->set_tsc_deadline(r.apic[0], 12345, now + 5000);
    g_assert_cmpuint(r.source->get_tsc_deadline(r.apic[0]), ==, 12345);
    test_clock_step_ns(r.t, 6000);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x46);
    g_assert_cmpuint(r.source->get_tsc_deadline(r.apic[0]), ==, 0);
}

static void test_lint(void)
{
    g_auto(Rig) r = {0};
    rig(&r);
    Irq line = {.to = device_pin(r.apic[0], 1)};
    set(&r, 0, LVT_LINT1, 4 << 8);                              /* NMI */
    irq_set(&line, true);
    g_assert_cmpuint(r.socket[0]->rises[X86_PIN_NMI], ==, 1);
    irq_set(&line, false);
    set(&r, 0, LVT_LINT1, MASKED | 4 << 8);
    irq_set(&line, true);
    g_assert_cmpuint(r.socket[0]->rises[X86_PIN_NMI], ==, 1);
}

/* A level line that nobody lowers leaves the interrupted code a little time now and then. */
static void test_storm(void)
{
    g_auto(Rig) r = {0};
    unsigned n = 0;
    rig(&r);
    Device *ioapic = ioapic_new(r.bus, 0xfec00000, 0);
    Irq line = {.to = device_pin(ioapic, 5)};
    const uint32_t entry = 0x10 + 2 * 5, level = 1 << 15 | 0x51;
    as_write(r.t->vm->memory, 0xfec00000, &entry, 4);
    as_write(r.t->vm->memory, 0xfec00010, &level, 4);
    irq_set(&line, true);
    for (int v; n < 100000 && (v = r.source->ack(r.apic[0])) >= 0; n++) {
        g_assert_cmpint(v, ==, 0x51);
        set(&r, 0, EOI, 0);
    }
    g_assert_cmpuint(n, >, 10);
    g_assert_cmpuint(n, <, 100000);
    test_clock_step(r.t, 1);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, 0x51);        /* still there, so it comes again */
    irq_set(&line, false);
    set(&r, 0, EOI, 0);
    test_clock_step(r.t, 1);
    g_assert_cmpint(r.source->ack(r.apic[0]), ==, -1);
}

/* In the middle of all that, into another machine. */
static void test_moved(void)
{
    g_auto(Rig) a = {0}, b = {0};
    rig(&a);
    rig(&b);
    set(&a, 0, SELF, 0x41);
    set(&a, 0, SELF, 0x73);
    g_assert_cmpint(a.source->ack(a.apic[0]), ==, 0x73);
    set(&a, 0, LVT_ERROR, 0x33);
    set(&a, 0, DIVIDE, 0xb);
    set(&a, 0, LVT_TIMER, PERIODIC | 0x90);
    set(&a, 0, INITIAL, 10000000);
    test_clock_step_ns(a.t, 1500000);
    test_clock_step_ns(b.t, clock_ns(a.t->vm, CLOCK_K_VIRTUAL));
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) state = device_save(a.apic[0]);
    g_assert_true(device_load(b.apic[0], state, &error));
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t msr = ID; msr <= DIVIDE; msr++) {
            uint64_t x = 0, y = 0;
            g_assert_cmpint(a.source->msr_read(a.apic[0], msr, &x), ==,
                            b.source->msr_read(b.apic[0], msr, &y));
            g_assert_cmphex(x, ==, y);
        }
        g_assert_cmpint(intr(&a, 0), ==, intr(&b, 0));
        test_clock_step_ns(a.t, 20000000);
        test_clock_step_ns(b.t, 20000000);
        set(&a, 0, EOI, 0);
        set(&b, 0, EOI, 0);
        g_assert_cmpint(a.source->ack(a.apic[0]), ==, b.source->ack(b.apic[0]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apic/modes", test_modes);
    g_test_add_func("/apic/priorities", test_priorities);
    g_test_add_func("/apic/messages", test_messages);
    g_test_add_func("/apic/timer", test_timer);
    g_test_add_func("/apic/lint", test_lint);
    g_test_add_func("/apic/storm", test_storm);
    g_test_add_func("/apic/moved", test_moved);
    return g_test_run();
}
