/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices: register tables, pins, timers, state, domains, buses, places in the tree. */
#include <string.h>

#include "core/testing.h"
#include "util/error.h"

/* A device that has every kind of row. */
typedef struct Demo {
    Device dev;
    Irq irq, lines[2];
    Timer alarm;
    int64_t hidden;
    uint32_t ctrl, status, once, config, word[4];
    uint8_t byte;
    uint16_t half;
    uint64_t wide;
    uint32_t last;              /* what `wrote` got */
    uint32_t inputs;
    bool flag;
    char *label;
    uint32_t features, speed;
    unsigned restores;
} Demo;

static void update(Device *d, uint64_t v)
{
    Demo *s = (Demo *)d;

    s->last = (uint32_t)v;
    irq_set(&s->irq, s->status & s->ctrl);
}

static void fired(Device *d)
{
    ((Demo *)d)->status |= 0x80;
    update(d, 0);
}

static void arm(Device *d, uint64_t v)
{
    timer_arm(&((Demo *)d)->alarm, clock_ns(d->object.vm, CLOCK_K_VIRTUAL) + (int64_t)v);
}

static uint64_t twice(Device *d)
{
    return 2ull * ((Demo *)d)->ctrl;
}

static void wrote_word(Device *d, unsigned i, uint64_t v)
{
    irq_set(&((Demo *)d)->lines[i & 1], v & 1);
}

static uint64_t squares(Device *d, unsigned i)
{
    return i * i;
}

static uint64_t behind_read(Device *d, uint64_t at, unsigned size)
{
    return at * 0x100 + size;
}

static void behind_write(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    ((Demo *)d)->hidden = (int64_t)(at << 32 | v);
}

static void input(Device *d, uint32_t n, bool level)
{
    Demo *s = (Demo *)d;

    s->inputs = (s->inputs & ~(1u << n)) | (uint32_t)level << n;
}

static void restored(Device *d) { ((Demo *)d)->restores++; }

static const Reg regs[] = {
    REG(0x00, "CTRL", RW, IN(Demo, ctrl), .bits = 0xff, .reset = 0x3, .wrote = update),
    REG(0x04, "STATUS", W1C, IN(Demo, status), .wrote = update),
    REG(0x08, "SET", W1S, IN(Demo, status), .bits = 0xf, .wrote = update),
    REG(0x0c, "ID", RO, .value = 0x12345678),
    REG(0x0c, "DOOR", WO, .wrote = update),
    REG(0x10, "TWICE", RO, .read = twice),
    REG(0x14, "ONCE", RC, IN(Demo, once)),
    REG(0x18, "CONFIG", RW, IN(Demo, config)),
    REG(0x20, "WORD", RW, IN_ARRAY(Demo, word), .wrote_at = wrote_word),
    REG(0x30, "SQUARE", RO, .count = 4, .stride = 8, .read_at = squares),
    REG(0x34, "TIMER", WO, .wrote = arm),
    REG(0x50, "BYTE", RW, .width = 1, IN(Demo, byte)),
    REG(0x52, "HALF", RW, .width = 2, IN(Demo, half)),
    REG(0x58, "WIDE", RW, .width = 8, IN(Demo, wide)),
};

static const char *const speeds[] = {"slow", "fast", NULL};

static const Field fields[] = {
    IRQ(Demo, irq), IRQ(Demo, lines), TIMER(Demo, alarm, fired), SAVED(Demo, hidden),
    SAVED(Demo, last), SAVED(Demo, inputs), HOST(Demo, restores),
    PROP(Demo, flag, "flag", PROP_BOOL, .init = 1, .desc = "A flag"),
    PROP(Demo, label, "label", PROP_STRING, .init_string = "none"),
    PROP(Demo, features, "turbo", PROP_BIT, .bit = 3),
    PROP(Demo, speed, "speed", PROP_ENUM, .names = speeds),
};

static const char *const aliases[] = {"demo-alias", NULL};
static const DeviceType demo = {
    .name = "demo-device", .desc = "Shows every row", .size = sizeof(Demo), .window = 0x100,
    .aliases = aliases, REGS(regs), FIELDS(fields), .read = behind_read, .write = behind_write,
    .pin = input, .n_pins = 32, .restored = restored,
};
DEVICE_TYPE(demo);

static void registers(void)
{
    g_autoptr(TestDevice) t = test_device("demo-device");
    Demo *s = (Demo *)t->dev;

    g_assert_cmphex(test_read(t, "CTRL"), ==, 3);
    test_write(t, "CTRL", 0xfff);
    g_assert_cmphex(test_read(t, "CTRL"), ==, 0xff);
    g_assert_cmphex(s->last, ==, 0xff);
    g_assert_cmphex(test_read(t, "TWICE"), ==, 0x1fe);
    test_write(t, "SET", 0xffff);
    g_assert_cmphex(test_read(t, "STATUS"), ==, 0xf);
    g_assert_true(test_pin(t, "irq"));
    test_write(t, "STATUS", 0xd);
    g_assert_cmphex(test_read(t, "STATUS"), ==, 2);
    test_write(t, "STATUS", 2);
    g_assert_false(test_pin(t, "irq"));
    g_assert_cmphex(test_read(t, "ID"), ==, 0x12345678);
    test_write(t, "DOOR", 77);
    g_assert_cmpuint(s->last, ==, 77);
    s->once = 5;
    g_assert_cmphex(test_read(t, "ONCE"), ==, 5);
    g_assert_cmphex(test_read(t, "ONCE"), ==, 0);
    test_write(t, "WORD[3]", 9);
    g_assert_cmphex(s->word[3], ==, 9);
    g_assert_true(test_pin(t, "lines[1]"));
    g_assert_false(test_pin(t, "lines[0]"));
    g_assert_cmphex(test_read(t, "SQUARE[3]"), ==, 9);
    g_assert_cmphex(test_read_at(t, 0x38, 4), ==, 1);
}

static void sizes(void)
{
    g_autoptr(TestDevice) t = test_device("demo-device");

    test_write(t, "CONFIG", 0x11223344);
    g_assert_cmphex(test_read_at(t, 0x19, 1), ==, 0x33);
    g_assert_cmphex(test_read_at(t, 0x1a, 2), ==, 0x1122);
    test_write_at(t, 0x1b, 1, 0xaa);
    g_assert_cmphex(test_read(t, "CONFIG"), ==, 0xaa223344);
    test_write(t, "SET", 0xf);
    test_write_at(t, 0x05, 1, 0xff);        /* other bytes stay 0: nothing is cleared */
    g_assert_cmphex(test_read(t, "STATUS"), ==, 0xf);
    test_write_at(t, 0x20, 8, 0x0000000200000004);
    g_assert_cmphex(test_read_at(t, 0x24, 4), ==, 2);
    g_assert_cmphex(test_read_at(t, 0x20, 8), ==, 0x0000000200000004);
    test_write(t, "WIDE", 0x0102030405060708);
    g_assert_cmphex(test_read_at(t, 0x5c, 4), ==, 0x01020304);
    test_write_at(t, 0x50, 1, 0x7e);
    test_write_at(t, 0x52, 2, 0xbeef);
    g_assert_cmphex(test_read_at(t, 0x52, 2), ==, 0xbeef);
    /* Where no row is, the functions answer. */
    g_assert_cmphex(test_read_at(t, 0x80, 2), ==, 0x8002);
    test_write_at(t, 0x84, 4, 6);
    g_assert_cmphex(((Demo *)t->dev)->hidden, ==, 0x8400000006);
    /* Reads of write-only and writes to read-only registers are only logged. */
    test_write(t, "TWICE", 1);
    g_assert_cmphex(test_read(t, "TIMER"), ==, 0);
}

static void timers(void)
{
    g_autoptr(TestDevice) t = test_device("demo-device");

    test_write(t, "CTRL", 0x80);
    test_write(t, "TIMER", 1000);
    test_clock_step_ns(t, 999);
    g_assert_false(test_pin(t, "irq"));
    test_clock_step_ns(t, 1);
    g_assert_true(test_pin(t, "irq"));
    test_write(t, "TIMER", 500);
    device_reset(t->dev);
    test_clock_step(t, 1);
    g_assert_cmphex(test_read(t, "STATUS"), ==, 0);
}

static void state(void)
{
    g_autoptr(TestDevice) t = test_device("demo-device");
    g_autoptr(GError) error = NULL;

    test_write(t, "CTRL", 0x81);
    test_write(t, "SET", 1);
    test_write(t, "WORD[2]", 5);
    test_write(t, "TIMER", 700);
    test_input(t, 4, true);
    test_clock_step_ns(t, 300);
    test_move(t);
    g_assert_cmpuint(((Demo *)t->dev)->restores, ==, 1);
    g_assert_cmphex(((Demo *)t->dev)->inputs, ==, 1 << 4);
    g_assert_cmphex(test_read(t, "WORD[2]"), ==, 5);
    g_assert_true(test_pin(t, "irq"));
    test_clock_step_ns(t, 399);
    g_assert_cmphex(test_read(t, "STATUS"), ==, 1);
    test_clock_step_ns(t, 1);
    g_assert_cmphex(test_read(t, "STATUS"), ==, 0x81);

    g_autoptr(GBytes) bad = g_bytes_new_static("\3odd\1\0\0\0x", 9);
    g_assert_false(device_load(t->dev, bad, &error));
    g_assert_nonnull(strstr(error->message, "'odd'"));
    g_clear_error(&error);
    g_autoptr(GBytes) cut = g_bytes_new_static("\3od", 3);
    g_assert_false(device_load(t->dev, cut, &error));
}

/* ---- the tree, properties, -global ---- */

static void set_fails(Device *d, const char *name, const char *value, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(object_set_string(&d->object, name, value, &error));
    if (!strstr(error->message, text)) {
        g_test_message("%s", error->message);
    }
    g_assert_nonnull(strstr(error->message, text));
}

static void properties(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;

    g_assert_null(device_new(t->vm, "demo-devise", &error));
    g_assert_nonnull(strstr(error->message, "did you mean 'demo-device'"));
    g_clear_error(&error);
    device_global(t->vm, "demo-device", "speed", "fast");
    device_global(t->vm, "nothing", "speed", "fast");
    Device *d = device_new(t->vm, "demo-alias", &error);
    g_assert_no_error(error);
    g_autofree char *unused = device_global_unused(t->vm);
    g_assert_cmpstr(unused, ==, "nothing.speed");
    g_assert_cmpuint(((Demo *)d)->speed, ==, 1);
    g_assert_cmpstr(((Demo *)d)->label, ==, "none");
    g_assert_true(((Demo *)d)->flag);
    set_fails(d, "lable", "x", "did you mean 'label'");
    set_fails(d, "flag", "maybe", "takes 'on' or 'off', not 'maybe'");
    set_fails(d, "speed", "fsat", "takes one of slow, fast, not 'fsat'; did you mean 'fast'");
    g_assert_true(object_set_string(&d->object, "turbo", "on", &error));
    g_assert_cmphex(((Demo *)d)->features, ==, 8);
    d->id = g_strdup("my");
    g_assert_true(device_realize(d, NULL, &error));
    set_fails(d, "label", "x", "cannot be changed any more");

    g_autofree char *path = object_path(&d->object);
    g_assert_cmpstr(path, ==, "/machine/peripheral/my");
    g_assert_true(object_resolve(t->vm, "my", "device", NULL) == &d->object);
    PropValue v = {0};
    g_assert_true(object_get(&d->object, "speed", &v, &error));
    g_assert_cmpstr(v.s, ==, "fast");
    prop_value_clear(&v);

    Device *twin = device_new(t->vm, "demo-device", &error);
    twin->id = g_strdup("my");
    g_assert_false(device_realize(twin, NULL, &error));
    g_assert_cmpstr(error->message, ==, "Duplicate device ID 'my'");
    g_clear_error(&error);

    Device *board = device_make(t->vm, "demo-device");
    g_autofree char *board_path = object_path(&board->object);
    g_assert_cmpstr(board_path, ==, "/machine/unattached/device[0]");
    Device *anon = device_new(t->vm, "demo-device", &error);
    anon->user = true;
    g_assert_true(device_realize(anon, NULL, &error));
    g_autofree char *anon_path = object_path(&anon->object);
    g_assert_cmpstr(anon_path, ==, "/machine/peripheral-anon/device[0]");
}

/* ---- buses ---- */

static const BusType small_bus = {.name = "small-bus", .parent = "bus", .max_devices = 2};
OBJECT_TYPE(small_bus);

typedef struct Host {
    Device dev;
} Host;

static bool host_realize(Device *d, GError **error)
{
    bus_new(d, &small_bus, NULL);
    return true;
}
static const DeviceType host_type = {
    .name = "demo-host", .size = sizeof(Host), .realize = host_realize, .own_domain = true,
};
DEVICE_TYPE(host_type);

typedef struct Leaf {
    Device dev;
    uint32_t value, addr;
    unsigned *gone;
} Leaf;

static void leaf_gone(Device *d)
{
    if (((Leaf *)d)->gone) {
        ++*((Leaf *)d)->gone;
    }
}
static const Field leaf_fields[] = {
    SAVED(Leaf, value, .init = 7), HOST(Leaf, gone),
    PROP(Leaf, addr, "addr", PROP_U32, .required = true, .desc = "where it sits"),
};
static const DeviceType leaf_type = {
    .name = "demo-leaf", .size = sizeof(Leaf), .bus = "small-bus", FIELDS(leaf_fields),
    .unrealize = leaf_gone, .pluggable = true,
};
DEVICE_TYPE(leaf_type);

static Leaf *plug(TestDevice *t, const char *addr, GError **error)
{
    Device *d = device_new(t->vm, "demo-leaf", error);

    g_assert_nonnull(d);
    if (addr) {
        g_assert_true(object_set_string(&d->object, "addr", addr, error));
    }
    return device_realize(d, bus_find(t->vm, NULL, "small-bus"), error) ? (Leaf *)d : NULL;
}

static void buses(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    unsigned gone = 0;

    g_assert_null(plug(t, "1", &error));
    g_assert_cmpstr(error->message, ==, "No 'small-bus' bus found for device 'demo-leaf'");
    g_clear_error(&error);

    Device *host = device_make(t->vm, "demo-host");
    Bus *bus = bus_find(t->vm, "small-bus.0", NULL);
    g_assert_nonnull(bus);
    g_assert_null(plug(t, NULL, &error));
    g_assert_cmpstr(error->message, ==,
                    "demo-leaf: property 'addr' is required: where it sits");
    g_clear_error(&error);
    Leaf *one = plug(t, "1", &error);
    Leaf *two = plug(t, "0x2", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(one->value, ==, 7);
    g_assert_true(one->dev.domain == host->domain);
    one->gone = two->gone = &gone;
    g_assert_null(plug(t, "3", &error));
    g_assert_nonnull(strstr(error->message, "is full (2 of 2 devices)"));
    one->value = 1;
    device_reset(host);
    g_assert_cmpuint(one->value, ==, 7);
    device_unplug(&one->dev);
    g_assert_cmpuint(gone, ==, 1);
    g_assert_cmpuint(bus->devices->len, ==, 1);
    device_unplug(host);
    g_assert_cmpuint(gone, ==, 2);
    g_assert_null(bus_find(t->vm, "small-bus.0", NULL));
}

/* ---- pins and DMA between domains ---- */

typedef struct Master {
    Device dev;
    Irq irq;
    uint32_t target, value;
} Master;

static void go(Device *d, uint64_t v)
{
    uint32_t word = (uint32_t)v;

    dma_write(d, ((Master *)d)->target, &word, 4);
    irq_set(&((Master *)d)->irq, v & 1);
    dma_read(d, ((Master *)d)->target, &((Master *)d)->value, 4);
}
static const Reg master_regs[] = {
    REG(0, "TARGET", RW, IN(Master, target)),
    REG(4, "GO", WO, .wrote = go),
    REG(8, "VALUE", RO, IN(Master, value)),
};
static const Field master_fields[] = {IRQ(Master, irq)};
static const DeviceType master_type = {
    .name = "demo-master", .size = sizeof(Master), .window = 0x100, REGS(master_regs),
    FIELDS(master_fields), .own_domain = true,
};
DEVICE_TYPE(master_type);

static void dma(void)
{
    g_autoptr(TestDevice) t = test_device("demo-master");
    Device *demo_device = device_make(t->vm, "demo-device");

    device_place(demo_device, TEST_BASE + 0x1000);
    irq_connect(&((Master *)t->dev)->irq, device_pin(demo_device, 2));
    test_write(t, "TARGET", 0x800);
    test_write(t, "GO", 0xabcd);
    g_assert_cmphex(test_read(t, "VALUE"), ==, 0xabcd);
    g_assert_cmphex(((Demo *)demo_device)->inputs, ==, 4);
    /* Another device's register: the write comes later, the read gives ones. */
    test_write(t, "TARGET", TEST_BASE + 0x1000);
    mem_io_write(t->dev->mmio, 4, 0x42, 4);
    g_assert_cmphex(((Demo *)demo_device)->ctrl, ==, 3);
    g_assert_cmphex(test_read(t, "VALUE"), ==, 0xffffffff);
    g_assert_cmphex(((Demo *)demo_device)->ctrl, ==, 0x42);
    g_assert_cmphex(((Demo *)demo_device)->inputs, ==, 0);
    /* Nothing there. */
    test_write(t, "TARGET", 0x40000000);
    test_write(t, "GO", 1);
    g_assert_cmphex(test_read(t, "VALUE"), ==, 0);
}

static void *hammer(void *data)
{
    TestDevice *t = data;

    for (unsigned i = 0; i < 20000; i++) {
        mem_io_write(t->dev->mmio, 0x20 + 4 * (i & 3), i, 4);
        mem_io_read(t->dev->mmio, 0x20, 4);
        mem_io_write(t->dev->mmio, 0x34, i & 0xff, 4);
    }
    return NULL;
}

static void threads(void)
{
    g_autoptr(TestDevice) t = test_device("demo-device");
    GThread *ids[3];

    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        ids[i] = g_thread_new("hammer", hammer, t);
    }
    for (unsigned i = 0; i < 2000; i++) {
        test_clock_step_ns(t, 10);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_thread_join(ids[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device/registers", registers);
    g_test_add_func("/device/sizes", sizes);
    g_test_add_func("/device/timers", timers);
    g_test_add_func("/device/state", state);
    g_test_add_func("/device/properties", properties);
    g_test_add_func("/device/buses", buses);
    g_test_add_func("/device/dma", dma);
    g_test_add_func("/device/threads", threads);
    return g_test_run();
}
