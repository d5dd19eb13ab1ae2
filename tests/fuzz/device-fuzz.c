/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target over all rows of device types: registers, input pins, time, and state that was saved
 * and comes back damaged. The first byte names the type.
 */
#include "core/testing.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_OPS = 64, STEP_NS = 100000000 };

static void see(const ObjectType *t, void *list)
{
    if (t->abstract || !object_type_is_a(t, "device") || object_type_is_a(t, "cpu")) {
        return;
    }
    g_autoptr(GError) error = NULL;
    TestDevice *d = test_device_try(t->name, &error);
    if (d) {
        g_ptr_array_add(list, (void *)t->name);
        test_device_free(d);
    }
}

/* Types that stand on their own. */
static const char *pick(unsigned n)
{
    static GPtrArray *types;

    if (!types) {
        types = g_ptr_array_new();
        object_type_foreach(see, types);
    }
    return types->pdata[n % types->len];
}

/* Half of the accesses go to registers that have names. */
static uint64_t offset(TestDevice *t, FuzzInput *in, unsigned size)
{
    unsigned n = (unsigned)fuzz_int(in, 2);
    const DeviceType *d = (const DeviceType *)t->dev->object.type;

    if (n & 1 && d->n_regs) {
        const Reg *r = &d->regs[(n >> 1) % d->n_regs];
        unsigned width = r->width ? r->width : 4, step = r->stride ? r->stride : width;
        return r->at + (uint64_t)step * (r->count > 1 ? (n >> 8) % r->count : 0);
    }
    return (n >> 1) * size;
}

static void damage(TestDevice *t, FuzzInput *in)
{
    g_autoptr(GBytes) saved = device_save(t->dev);
    size_t n;
    g_autofree uint8_t *state = g_memdup2(g_bytes_get_data(saved, &n), g_bytes_get_size(saved));

    for (unsigned k = 1 + fuzz_int(in, 1) % 8; n && k > 0; k--) {
        state[fuzz_int(in, 2) % n] = (uint8_t)fuzz_int(in, 1);
    }
    if (n && fuzz_int(in, 1) % 8 == 0) {
        n = fuzz_int(in, 2) % n;
    }
    g_autoptr(GBytes) bad = g_bytes_new(state, n);
    g_autoptr(GError) error = NULL;
    device_load(t->dev, bad, &error);
    loop_run_posts(t->loop);
}

static void step(TestDevice *t, FuzzInput *in)
{
    unsigned op = (unsigned)fuzz_int(in, 1), size = 1u << (op >> 4 & 3);
    uint64_t window = t->dev->mmio ? mem_size(t->dev->mmio) : 0;

    switch (op & 15) {
    case 0: {
        unsigned n_pins = device_type(t->dev)->n_pins;
        unsigned pin = (unsigned)fuzz_int(in, 2);
        if (n_pins) {
            test_input(t, (pin >> 1) % n_pins, pin & 1);
        }
        break;
    }
    case 1: test_clock_step_ns(t, (int64_t)(fuzz_int(in, 4) % STEP_NS) + 1); break;
    case 2: damage(t, in); break;
    case 3: device_reset(t->dev); break;
    default: {
        uint64_t at = offset(t, in, size), v = fuzz_int(in, size);
        if (at < window && size <= window - at) {
            if (op & 8) {
                test_read_at(t, at, size);
            } else {
                test_write_at(t, at, size, v);
            }
        }
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = {data, size};
    const char *type = pick((unsigned)fuzz_int(&in, 1));
    g_autoptr(GError) error = NULL;
    g_autoptr(TestDevice) t = test_device_try(type, &error);

    for (unsigned n = 0; t && in.left && n < MAX_OPS; n++) {
        step(t, &in);
    }
    return 0;
}

const char *const fuzz_words[] = { NULL };
