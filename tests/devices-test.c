/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device must pass before it has a test of its own: random accesses, then its state is
 * moved into a fresh instance, and a guest must not see a difference, now or a second later.
 * (Saving, loading and saving again would not notice a member that both images lack.)
 */
#include <string.h>

#include "core/absent.h"
#include "core/testing.h"
#include "qapi/qapi-types-chardev.h"
#include "qapi/qapi-types-net.h"
#include "tests/lib/virtio-guest.h"

enum { ACCESSES = 300, ROUNDS = 3 };

static void access_row(TestDevice *t, GRand *rand, const Reg *r)
{
    unsigned width = r->width ? r->width : 4;
    unsigned e = r->count > 1 ? (unsigned)g_rand_int_range(rand, 0, (gint32)r->count) : 0;
    uint64_t at = r->at + (uint64_t)e * (r->stride ? r->stride : width);
    uint64_t v = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

    /* Small numbers and single bits reach more than noise. */
    switch (g_rand_int_range(rand, 0, 3)) {
    case 0: v &= 3; break;
    case 1: v = 1ull << (v & 31); break;
    }
    if (g_rand_boolean(rand)) {
        test_write_at(t, at, width, v);
    } else {
        test_read_at(t, at, width);
    }
}

static void access_any(TestDevice *t, GRand *rand)
{
    uint64_t window = MIN(mem_size(t->dev->mmio), 0x1000);
    unsigned size = 1u << g_rand_int_range(rand, 0, 3);

    if (window < size) {
        return;
    }
    uint64_t at = g_rand_int(rand) % window & ~(uint64_t)(size - 1);
    if (g_rand_boolean(rand)) {
        test_write_at(t, at, size, g_rand_int(rand));
    } else {
        test_read_at(t, at, size);
    }
}

static void disturb(TestDevice *t, GRand *rand, GPtrArray *rows)
{
    unsigned n_pins = device_type(t->dev)->n_pins;

    for (unsigned i = 0; i < ACCESSES; i++) {
        unsigned what = (unsigned)g_rand_int_range(rand, 0, 16);
        if (what == 0 && n_pins) {
            test_input(t, g_rand_int(rand) % n_pins, g_rand_boolean(rand));
        } else if (what == 1) {
            test_clock_step_ns(t, g_rand_int_range(rand, 1, 2000000));
        } else if (t->dev->mmio && rows->len && what < 12) {
            access_row(t, rand, rows->pdata[g_rand_int(rand) % rows->len]);
        } else if (t->dev->mmio) {
            access_any(t, rand);
        }
    }
}

typedef struct Compare {
    TestDevice *a, *b;
    unsigned bad;
} Compare;

static bool compare_pins(const Field *f, void *data)
{
    Compare *c = data;

    for (unsigned i = 0; f->kind == FIELD_IRQ && i < f->size / sizeof(Irq); i++) {
        const Irq *a = (const Irq *)((char *)c->a->dev + f->offset) + i;
        const Irq *b = (const Irq *)((char *)c->b->dev + f->offset) + i;
        if (a->level != b->level) {
            g_test_message("output %s[%u]: %d, moved %d", f->member, i, a->level, b->level);
            c->bad++;
        }
    }
    return false;
}

static void compare_at(Compare *c, const char *name, uint64_t at, unsigned width)
{
    uint64_t a = test_read_at(c->a, at, width), b = test_read_at(c->b, at, width);

    if (a != b) {
        g_test_message("%s at 0x%" G_GINT64_MODIFIER "x: 0x%" G_GINT64_MODIFIER "x, moved 0x%"
                       G_GINT64_MODIFIER "x", name, at, a, b);
        c->bad++;
    }
}

static void compare(Compare *c, GPtrArray *rows)
{
    object_type_fields(c->a->dev->object.type, compare_pins, c);
    for (unsigned n = 0; c->a->dev->mmio && n < rows->len; n++) {
        const Reg *r = rows->pdata[n];
        unsigned width = r->width ? r->width : 4;
        for (unsigned e = 0; e < MAX(r->count, 1); e++) {
            compare_at(c, r->name, r->at + (uint64_t)e * (r->stride ? r->stride : width), width);
        }
    }
    for (unsigned at = 0; c->a->dev->mmio && at < MIN(mem_size(c->a->dev->mmio), 256); at++) {
        compare_at(c, "byte", at, 1);
    }
    object_type_fields(c->a->dev->object.type, compare_pins, c);
}

static void add_rows(const DeviceType *t, GPtrArray *rows)
{
    for (const ObjectType *o = (const ObjectType *)t; o && strcmp(o->name, "object") != 0;
         o = object_type_parent(o)) {
        const DeviceType *d = (const DeviceType *)o;
        for (unsigned i = 0; i < d->n_regs; i++) {
            g_ptr_array_add(rows, (void *)&d->regs[i]);
        }
    }
}

static void copy_ram(TestDevice *from, TestDevice *to)
{
    g_autofree char *ram = g_malloc(TEST_RAM);

    as_read(from->vm->memory, 0, ram, TEST_RAM);
    as_write(to->vm->memory, 0, ram, TEST_RAM);
}

static void move(const void *type)
{
    const DeviceType *d = type;
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    add_rows(d, rows);
    for (unsigned round = 0; round < ROUNDS; round++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(TestDevice) a = test_device_try(d->name, &error);
        if (!a) {
            g_test_skip(error->message);
            return;
        }
        g_autoptr(TestDevice) b = test_device_try(d->name, &error);
        GRand *rand = g_rand_new_with_seed(g_str_hash(d->name) + round);
        disturb(a, rand, rows);
        g_rand_free(rand);
        test_clock_step_ns(b, clock_ns(a->vm, CLOCK_K_VIRTUAL));
        copy_ram(a, b);
        g_autoptr(GBytes) state = device_save(a->dev);
        device_load(b->dev, state, &error);
        g_assert_no_error(error);
        loop_run_posts(b->loop);
        Compare c = {a, b, 0};
        compare(&c, rows);
        test_clock_step(a, 1);
        test_clock_step(b, 1);
        compare(&c, rows);
        g_assert_cmpuint(c.bad, ==, 0);
    }
}

/* ---- virtio devices: a driver at work, then the same through the transport's registers ---- */

static VirtioGuest *guest_of(const DeviceType *d, GError **error)
{
    TestDevice *t = test_device_try(d->name, error);
    return t ? virtio_guest_for(t) : NULL;
}

static unsigned count_queues(VirtioGuest *g)
{
    unsigned n = 0;
    for (; n < GUEST_QUEUES; n++) {
        virtio_guest_set(g, VMMIO_QUEUE_SEL, n);
        if (!virtio_guest_reg(g, VMMIO_QUEUE_MAX)) {
            break;
        }
    }
    return n;
}

static void work(VirtioGuest *g, GRand *rand, unsigned queues)
{
    for (unsigned i = 0; i < 40; i++) {
        unsigned q = (unsigned)g_rand_int_range(rand, 0, (gint32)queues);
        GuestBuffer b[3];
        GuestUsed u;
        for (unsigned k = 0; k < 3; k++) {
            uint32_t noise[16];
            uint64_t pa = virtio_guest_room(g, sizeof(noise));
            for (unsigned w = 0; w < G_N_ELEMENTS(noise); w++) {
                noise[w] = g_rand_int(rand) & (g_rand_boolean(rand) ? 15 : UINT32_MAX);
            }
            virtio_guest_poke(g, pa, noise, sizeof(noise));
            b[k] = (GuestBuffer){pa, (uint32_t)g_rand_int_range(rand, 1, sizeof(noise)), k == 2};
        }
        if (g->q[q].n_free) {
            virtio_guest_offer(g, q, b + g_rand_int_range(rand, 0, 3), 1);
        }
        virtio_guest_kick(g, q);
        while (g_rand_boolean(rand) && virtio_guest_used(g, q, &u)) {
        }
        if (g_rand_int_range(rand, 0, 8) == 0) {
            test_write_at(g->t, VMMIO_CONFIG + (g_rand_int(rand) & 0x3c), 4, g_rand_int(rand) & 3);
        }
    }
}

static void same_registers(VirtioGuest *a, VirtioGuest *b)
{
    static const unsigned at[] = {0, 4, 8, VMMIO_FEATURES, VMMIO_QUEUE_MAX, VMMIO_READY, VMMIO_ISR,
                                  VMMIO_STATUS, VMMIO_GENERATION};
    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
        g_assert_cmphex(virtio_guest_reg(a, at[i]), ==, virtio_guest_reg(b, at[i]));
    }
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmphex(test_read_at(a->t, VMMIO_CONFIG + i, 1), ==,
                        test_read_at(b->t, VMMIO_CONFIG + i, 1));
    }
}

static void move_virtio(const void *type)
{
    const DeviceType *d = type;
    static const uint64_t wishes[ROUNDS] = {0, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, UINT64_MAX};

    for (unsigned round = 0; round < ROUNDS; round++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VirtioGuest) a = guest_of(d, &error);
        if (!a) {
            g_test_skip(error->message);
            return;
        }
        g_autoptr(VirtioGuest) b = guest_of(d, &error);
        GRand *rand = g_rand_new_with_seed(g_str_hash(d->name) + round);
        unsigned queues = count_queues(a);
        g_assert_true(virtio_guest_start(a, wishes[round] & virtio_offered((VirtioDevice *)a->card), queues));
        if (queues) {
            work(a, rand, queues);
        }
        vm_stop(a->t->vm, RUN_PAUSED);
        virtio_guest_move(a, b);
        same_registers(a, b);
        vm_start(a->t->vm);
        virtio_guest_step(a);
        virtio_guest_step(b);
        /* The same driver goes on with either. */
        GRand *same = g_rand_copy(rand);
        for (unsigned i = 0; queues && i < 2; i++) {
            work(i ? b : a, i ? same : rand, queues);
        }
        same_registers(a, b);
        g_rand_free(same);
        g_rand_free(rand);
    }
}

/* Rows must name their types' members sensibly. */
static void check_rows(const void *type)
{
    const DeviceType *d = type;

    g_assert_true(d->desc == NULL || *d->desc);
    for (unsigned i = 0; i < d->n_regs; i++) {
        const Reg *r = &d->regs[i];
        unsigned width = r->width ? r->width : 4;
        uint64_t end = r->at + (uint64_t)(MAX(r->count, 1) - 1) * (r->stride ? r->stride : width);
        g_assert_true(width == 1 || width == 2 || width == 4 || width == 8);
        g_assert_cmpuint(r->at % width, ==, 0);
        g_assert_true(r->size == 0 || r->size == 1 || r->size == 2 || r->size == 4 || r->size == 8);
        if (d->window) {
            g_assert_cmpuint(end + width, <=, d->window);
        }
        g_assert_cmpuint(r->offset + (uint64_t)r->size * MAX(r->count, 1), <=, d->size);
    }
    for (unsigned i = 0; i < d->n_fields; i++) {
        const Field *f = &d->fields[i];
        g_assert_nonnull(f->name);
        g_assert_cmpuint(f->offset + f->size, <=, d->size);
        g_assert_true(f->kind != FIELD_TIMER || f->fired);
        g_assert_true(f->type != PROP_ENUM || f->names);
    }
}

static void register_type(const ObjectType *t, void *unused)
{
    if (!object_type_is_a(t, "device") || object_type_is_a(t, "cpu")) {
        return;
    }
    g_autofree char *rows = g_strdup_printf("/rows/%s", t->name);
    g_test_add_data_func(rows, t, check_rows);
    if (!t->abstract) {
        g_autofree char *moved = g_strdup_printf("/move/%s", t->name);
        g_test_add_data_func(moved, t, object_type_is_a(t, "virtio-device") ? move_virtio : move);
    }
}

/* ---- what is said not to be there is not there ---- */

static void device_is_absent(const char *name, void *unused)
{
    g_autoptr(GError) error = NULL;
    if (device_type_find(name, &error))
        g_test_message("%s", name), g_test_fail();
    else
        g_assert_nonnull(strstr(error->message, "that Myna does not have yet"));
}

static void object_is_absent(const char *name, void *unused)
{
    const ObjectType *t = object_type_find(name);
    if (t && t->user_creatable)
        g_test_message("%s", name), g_test_fail();
}

static void chardev_is_absent(const char *name, void *unused)
{
    ChardevBackendKind kind;
    if (chardev_backend_kind_parse(name, &kind))
        g_test_message("%s", name), g_test_fail();
}

static void netdev_is_absent(const char *name, void *unused)
{
    NetClientDriver driver;
    if (net_client_driver_parse(name, &driver))
        g_test_message("%s", name), g_test_fail();
}

static void test_absent(void)
{
    g_autoptr(GError) error = NULL;
    absent_foreach(ABSENT_DEVICE, device_is_absent, NULL);
    absent_foreach(ABSENT_OBJECT, object_is_absent, NULL);
    absent_foreach(ABSENT_CHARDEV, chardev_is_absent, NULL);
    absent_foreach(ABSENT_NETDEV, netdev_is_absent, NULL);
    g_assert_false(absent_error(&error, ABSENT_DEVICE, "iommufd"));
    g_assert_null(error);
    g_assert_true(absent_error(&error, ABSENT_DEVICE, "igb"));
    g_assert_cmpstr(error->message, ==, "'igb' is a device of QEMU that Myna does not have yet; e1000e and "
                                        "virtio-net-pci are there");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/absent", test_absent);
    object_type_foreach(register_type, NULL);
    return g_test_run();
}
