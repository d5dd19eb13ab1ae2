/* SPDX-License-Identifier: Apache-2.0 */
/* The parallel port as a driver of IEEE 1284's compatibility mode uses it. */
#include "core/testing.h"
#include "hw/isa.h"

enum { STROBE = 1, NOT_INIT = 4, SELECT = 8, INTERRUPTS = 0x10, IDLE = NOT_INIT | SELECT, READY = 0xd9 };

static unsigned edges;
static void see_edge(Device *d, uint32_t n, bool level) { edges += level; }

static const DeviceType sink_type = {
    .name = "parallel-test-sink", .desc = "Counts edges", .size = sizeof(Device), .pin = see_edge, .n_pins = 16,
};
DEVICE_TYPE(sink_type);

typedef struct Rig {
    TestDevice *t;
    Device *port;
} Rig;

static void set(Rig *r, unsigned at, uint8_t v) { device_mmio_write(r->port, at, v, 1); }
static uint8_t get(Rig *r, unsigned at) { return device_mmio_read(r->port, at, 1); }

static void rig_clear(Rig *r) { test_device_free(r->t); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_clear)

static void start(Rig *r)
{
    g_autoptr(GError) error = NULL;
    Pin lines[ISA_IRQS];
    r->t = test_machine();
    Device *sink = device_make(r->t->vm, "parallel-test-sink");
    for (unsigned n = 0; n < ISA_IRQS; n++)
        lines[n] = device_pin(sink, n);
    r->port = device_new(r->t->vm, "isa-parallel", &error);
    g_assert_true(device_realize(r->port, isa_bus_new(r->t->vm, lines), &error));
    device_reset(r->port);
    edges = 0;
}

static void test_idle(void)
{
    g_auto(Rig) r = {0};
    start(&r);
    g_assert_cmphex(get(&r, 1), ==, READY);
    g_assert_cmphex(get(&r, 2), ==, 0xc0 | IDLE);
    for (unsigned v = 0x55; v <= 0xaa; v += 0x55) {
        set(&r, 0, v);
        g_assert_cmphex(get(&r, 0), ==, v);
    }
    set(&r, 2, IDLE | 0x20);            /* inwards: nobody drives the lines */
    g_assert_cmphex(get(&r, 0), ==, 0xff);
}

static void test_strobe(void)
{
    g_auto(Rig) r = {0};
    start(&r);
    set(&r, 0, 'A');
    set(&r, 2, IDLE | STROBE);
    g_assert_cmphex(get(&r, 1), ==, READY & 0x7f);
    set(&r, 2, IDLE);
    g_assert_cmphex(get(&r, 1), ==, READY);
    g_assert_cmpuint(edges, ==, 0);
    set(&r, 2, IDLE | INTERRUPTS | STROBE);
    g_assert_cmpuint(edges, ==, 0);
    set(&r, 2, IDLE | INTERRUPTS);
    g_assert_cmpuint(edges, ==, 1);
    set(&r, 2, SELECT);                 /* being initialized */
    g_assert_cmphex(get(&r, 1), ==, READY & 0x7f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/parallel/idle", test_idle);
    g_test_add_func("/parallel/strobe", test_strobe);
    return g_test_run();
}
