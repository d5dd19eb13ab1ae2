/* SPDX-License-Identifier: Apache-2.0 */
/* Both front ends by the registers of TCG's profile, with a back end that answers at the test's word. */
#include <poll.h>
#include "core/testing.h"
#include "hw/isa.h"
#include "hw/tpm.h"
#include "util/error.h"

enum {
    VALID = 0x80, ACTIVE = 0x20, SEIZED = 0x10, SEIZE = 8, PENDING = 4, REQUEST = 2, NOT_ESTABLISHED = 1,
    READY = 0x40, GO = 0x20, DATA = 0x10, EXPECT = 8, RETRY = 2, CANCEL = 1 << 24, FIFO = 0x24, LINE = 5,
    CANCELLED = 0x909,
};

/* ---- the back end ---- */

typedef struct Fake {
    TpmBackend tpm;
    int slow;                   /* waits to be cancelled; atomic */
    int startups, localities;   /* atomic */
} Fake;

static bool fake_startup(TpmBackend *b, uint32_t size, bool *established, GError **error)
{
    g_atomic_int_inc(&((Fake *)b)->startups);
    return true;
}

/* Twelve bytes: head, the command's code, locality. */
static uint32_t fake_execute(TpmBackend *b, uint8_t locality, const void *command, uint32_t n, void *answer,
                             GError **error)
{
    static const uint8_t head[] = {0x80, 1, 0, 0, 0, 12};
    Fake *f = (Fake *)b;
    uint8_t *out = answer;
    struct pollfd p = {.fd = b->wake, .events = POLLIN};
    g_atomic_int_or((guint *)&f->localities, 1u << locality);
    memmove(out + 6, (const uint8_t *)command + 6, 4);
    memcpy(out, head, sizeof(head));
    out[10] = 0x5a;
    out[11] = locality;
    if (g_atomic_int_get(&f->slow) && poll(&p, 1, 10000) > 0) {
        out[8] = CANCELLED >> 8;
        out[9] = CANCELLED & 0xff;
    }
    return 12;
}

static bool fake_reset_established(TpmBackend *b, uint8_t locality, bool *established, GError **error)
{
    *established = true;        /* as an error could not be seen */
    return true;
}

static GBytes *fake_save(TpmBackend *b, GError **error) { return g_bytes_new_static("state", 5); }

static bool fake_load(TpmBackend *b, GBytes *state, uint32_t size, bool *established, GError **error)
{
    return g_bytes_get_size(state) == 5 || error_set(error, "another state");
}

static bool fake_complete(Object *o, GError **error)
{
    TpmBackend *b = (TpmBackend *)o;
    b->version = TPM_2_0;
    b->buffer_size = TPM_BUFFER_MAX;
    tpm_backend_start(b);
    return true;
}

static void fake_finish(Object *o) { tpm_backend_stop((TpmBackend *)o); }

static const Field fake_fields[] = {
    TPM_BACKEND_FIELDS(Fake), HOST(Fake, slow), HOST(Fake, startups), HOST(Fake, localities),
};
static const TpmBackendType tpm_fake = {
    .name = "tpm-fake", .parent = "tpm-backend", .desc = "For tests", .size = sizeof(Fake), .user_creatable = true,
    FIELDS(fake_fields), .complete = fake_complete, .finish = fake_finish, .kind = "fake", .startup = fake_startup,
    .execute = fake_execute, .reset_established = fake_reset_established, .save = fake_save, .load = fake_load,
};
OBJECT_TYPE(tpm_fake);

static bool line_level;
static void see_level(Device *d, uint32_t n, bool level)
{
    if (n == LINE)
        line_level = level;
}
static const DeviceType sink_type = {
    .name = "tpm-test-sink", .desc = "Sees a line", .size = sizeof(Device), .pin = see_level, .n_pins = ISA_IRQS,
};
DEVICE_TYPE(sink_type);

/* ---- the rig ---- */

typedef struct Rig {
    TestDevice *t;
    Device *tpm;
    Fake *fake;
    Bus *isa;
} Rig;

static void rig_clear(Rig *r) { test_device_free(r->t); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_clear)

static void add_tpm(Rig *r, const char *type)
{
    g_autoptr(GError) error = NULL;
    r->tpm = device_new(r->t->vm, type, &error);
    g_assert_no_error(error);
    g_assert_true(object_set_string(&r->tpm->object, "tpmdev", "tpm0", &error));
    g_assert_true(device_realize(r->tpm, strcmp(type, "tpm-tis") ? NULL : r->isa, &error));
}

static void start(Rig *r, const char *type)
{
    g_autoptr(GError) error = NULL;
    Pin lines[ISA_IRQS];
    r->t = test_machine();
    Device *sink = device_make(r->t->vm, "tpm-test-sink");
    for (unsigned n = 0; n < ISA_IRQS; n++)
        lines[n] = device_pin(sink, n);
    r->isa = isa_bus_new(r->t->vm, lines);
    r->fake = (Fake *)object_add_user(r->t->vm, "tpm-fake", "tpm0", (const char *const[]){NULL}, &error);
    g_assert_no_error(error);
    add_tpm(r, type);
    device_reset(r->tpm);
    line_level = false;
}

static uint64_t get(Rig *r, unsigned at, unsigned size) { return device_mmio_read(r->tpm, at, size); }
static void set(Rig *r, unsigned at, uint64_t v, unsigned size) { device_mmio_write(r->tpm, at, v, size); }
static unsigned access_of(Rig *r, unsigned l) { return get(r, l << 12, 1); }
static void set_access(Rig *r, unsigned l, uint8_t v) { set(r, l << 12, v, 1); }
static unsigned status(Rig *r, unsigned l) { return get(r, l << 12 | 0x18, 1); }
static unsigned burst(Rig *r, unsigned l) { return get(r, l << 12 | 0x18, 4) >> 8 & 0xffff; }
static void set_status(Rig *r, unsigned l, uint32_t v) { set(r, l << 12 | 0x18, v, 4); }

static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

static void until(Rig *r, bool (*fn)(Rig *r))
{
    for (unsigned i = 0; i < 5000 && !fn(r); i++) {
        g_usleep(1000);
        loop_step(r->t->loop, false);
    }
    g_assert_true(fn(r));
}

static bool has_data(Rig *r) { return status(r, 0) & DATA; }
static bool is_ready(Rig *r) { return status(r, 0) & READY; }
static bool is_running(Rig *r) { return g_atomic_int_get(&r->fake->localities); }

static void write_command(Rig *r, unsigned l)
{
    set_status(r, l, READY);
    g_assert_cmphex(status(r, l), ==, VALID | READY);
    for (unsigned i = 0; i < sizeof(command); i++) {
        g_assert_cmpuint(burst(r, l), ==, TPM_BUFFER_MAX - i);
        set(r, l << 12 | FIFO, command[i], 1);
        g_assert_cmphex(status(r, l), ==, i < sizeof(command) - 1 ? VALID | EXPECT : VALID);
    }
    set(r, l << 12 | FIFO, 0xff, 1);    /* one too many: nobody takes it */
}

/* ---- the FIFO interface ---- */

static void test_identity(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    for (unsigned l = 0; l < TPM_LOCALITIES; l++) {
        g_assert_cmphex(access_of(&r, l), ==, VALID | NOT_ESTABLISHED);
        g_assert_cmphex(get(&r, l << 12 | 0x14, 4), ==, 0x30000697);
        g_assert_cmphex(get(&r, l << 12 | 0x18, 4), ==, 0xffffffff);
        g_assert_cmphex(get(&r, l << 12 | 0x30, 4), ==, 0x3900);
        g_assert_cmphex(get(&r, l << 12 | 0xf00, 4), ==, 0x00011014);
        g_assert_cmphex(get(&r, l << 12 | 0xf04, 1), ==, 1);
    }
}

static void test_localities(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    set_access(&r, 1, REQUEST);
    g_assert_cmphex(access_of(&r, 1), ==, VALID | ACTIVE | NOT_ESTABLISHED);
    set_access(&r, 0, REQUEST);
    set_access(&r, 2, REQUEST);
    g_assert_cmphex(access_of(&r, 0), ==, VALID | REQUEST | PENDING | NOT_ESTABLISHED);
    g_assert_cmphex(access_of(&r, 1), ==, VALID | ACTIVE | PENDING | NOT_ESTABLISHED);
    set_access(&r, 0, SEIZE);           /* from above: no */
    g_assert_cmphex(access_of(&r, 1), ==, VALID | ACTIVE | PENDING | NOT_ESTABLISHED);
    set_access(&r, 3, SEIZE);
    g_assert_cmphex(access_of(&r, 3), ==, VALID | ACTIVE | PENDING | NOT_ESTABLISHED);
    g_assert_cmphex(access_of(&r, 1), ==, VALID | SEIZED | PENDING | NOT_ESTABLISHED);
    set_access(&r, 1, SEIZED);
    g_assert_cmphex(access_of(&r, 1), ==, VALID | PENDING | NOT_ESTABLISHED);
    set_access(&r, 3, ACTIVE);          /* the highest that waits comes next */
    g_assert_cmphex(access_of(&r, 2), ==, VALID | ACTIVE | PENDING | NOT_ESTABLISHED);
    set_access(&r, 2, ACTIVE);
    g_assert_cmphex(access_of(&r, 0), ==, VALID | ACTIVE | NOT_ESTABLISHED);
}

static void test_command(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    set_access(&r, 0, REQUEST);
    g_assert_cmphex(status(&r, 0), ==, VALID);
    set(&r, FIFO, 0x80, 1);             /* it is idle */
    set_status(&r, 0, GO);
    g_assert_cmphex(status(&r, 0), ==, VALID);
    write_command(&r, 0);
    set_status(&r, 0, GO);
    until(&r, has_data);
    for (unsigned again = 0; again < 2; again++) {
        g_assert_cmpuint(burst(&r, 0), ==, 12);
        g_assert_cmphex(get(&r, FIFO, 4), ==, 0x00000180);
        g_assert_cmphex(get(&r, 0x80, 4), ==, 0x00000c00);
        g_assert_cmphex(get(&r, FIFO, 2), ==, 0x7b01);
        g_assert_cmphex(status(&r, 0), ==, VALID | DATA);
        g_assert_cmphex(get(&r, FIFO, 1), ==, 0x5a);
        g_assert_cmphex(get(&r, FIFO, 1), ==, 0);
        g_assert_cmphex(status(&r, 0), ==, VALID);
        g_assert_cmphex(get(&r, FIFO, 1), ==, 0xff);
        set_status(&r, 0, RETRY);
    }
    set_status(&r, 0, READY);
    g_assert_cmphex(status(&r, 0), ==, VALID | READY);
}

static void test_slow(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    g_atomic_int_set(&r.fake->slow, true);
    set_access(&r, 0, REQUEST);
    write_command(&r, 0);
    set_status(&r, 0, GO);
    until(&r, is_running);
    g_assert_cmphex(status(&r, 0), ==, VALID);
    set_status(&r, 0, CANCEL);
    until(&r, has_data);
    g_assert_cmphex(get(&r, FIFO, 4), ==, 0x00000180);
    g_assert_cmphex(get(&r, FIFO, 4), ==, 0x00000c00);
    g_assert_cmphex(get(&r, FIFO, 2), ==, 0x0909);
    write_command(&r, 0);
    g_atomic_int_set(&r.fake->localities, 0);
    set_status(&r, 0, GO);
    until(&r, is_running);
    set_status(&r, 0, READY);           /* aborted: its answer is dropped */
    until(&r, is_ready);
    write_command(&r, 0);
    set_status(&r, 0, GO);
    device_reset(r.tpm);                /* the same, without any wish for the next */
    g_assert_cmphex(access_of(&r, 0), ==, VALID | NOT_ESTABLISHED);
    set_access(&r, 0, REQUEST);
    for (unsigned i = 0; i < 50; i++) {
        g_usleep(1000);
        loop_step(r.t->loop, false);
        g_assert_cmphex(status(&r, 0), ==, VALID);
    }
}

static void test_interrupts(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    set(&r, 0x08, 0x80000087, 4);       /* nobody is active: not taken */
    g_assert_cmphex(get(&r, 0x08, 4), ==, 8);
    set_access(&r, 0, REQUEST);
    set(&r, 0x08, 0x80000087, 4);
    g_assert_cmphex(get(&r, 0x08, 4), ==, 0x8000008f);
    g_assert_cmphex(get(&r, 0x0c, 1), ==, LINE);
    g_assert_false(line_level);
    write_command(&r, 0);
    g_assert_true(line_level);
    g_assert_cmphex(get(&r, 0x10, 4), ==, 0x82);
    set(&r, 0x10, 0x82, 4);
    g_assert_false(line_level);
    set_status(&r, 0, GO);
    until(&r, has_data);
    g_assert_cmphex(get(&r, 0x10, 4), ==, 3);
    g_assert_true(line_level);
}

static void test_established(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    set_access(&r, 0, REQUEST);
    set_status(&r, 0, 1 << 25);         /* locality 0 may not */
    set_access(&r, 3, SEIZE);
    g_assert_cmphex(access_of(&r, 3) & NOT_ESTABLISHED, ==, NOT_ESTABLISHED);
    set_status(&r, 3, 1 << 25);
    for (unsigned i = 0; i < 5000 && access_of(&r, 3) & NOT_ESTABLISHED; i++)
        g_usleep(1000);
    g_assert_cmphex(access_of(&r, 3), ==, VALID | ACTIVE);
}

static void move(Rig *r, const char *type)
{
    g_autoptr(GBytes) state = device_save(r->tpm);
    g_autoptr(GError) error = NULL;
    device_unplug(r->tpm);
    add_tpm(r, type);
    g_assert_true(device_load(r->tpm, state, &error));
}

static void test_moved(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-tis");
    set_access(&r, 2, REQUEST);
    write_command(&r, 2);
    set_status(&r, 2, GO);
    move(&r, "tpm-tis");                /* waits for the answer */
    g_assert_cmphex(access_of(&r, 2), ==, VALID | ACTIVE | NOT_ESTABLISHED);
    g_assert_cmphex(status(&r, 2), ==, VALID | DATA);
    g_assert_cmphex(get(&r, 2 << 12 | FIFO, 4), ==, 0x00000180);
}

/* Any access does no harm. */
static void test_noise(gconstpointer type)
{
    g_auto(Rig) r = {0};
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    start(&r, type);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1 << g_rand_int_range(rand, 0, 3), high = strcmp(type, "tpm-tis") ? 1 : TPM_LOCALITIES;
        unsigned mask = g_rand_boolean(rand) ? 0x7f : 0xfff;
        unsigned at = g_rand_int_range(rand, 0, high) << 12 | (g_rand_int(rand) & mask & -size);
        if (g_rand_boolean(rand))
            get(&r, at, size);
        else
            set(&r, at, g_rand_boolean(rand) ? 1u << g_rand_int_range(rand, 0, 26) : g_rand_int(rand), size);
        if (i % 64 == 0)
            loop_step(r.t->loop, false);
    }
    move(&r, type);
}

/* ---- the command response buffer ---- */

static bool crb_done(Rig *r) { return !(get(r, 0x4c, 4) & 1); }

static void crb_command(Rig *r)
{
    for (unsigned i = 0; i < sizeof(command); i += 4)
        set(r, 0x80 + i, *(const uint32_t *)(command + i), 4);
    set(r, 0x4c, 1, 4);
}

static void test_crb(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-crb");
    g_assert_cmphex(get(&r, 0x30, 4), ==, 0x25811);
    g_assert_cmphex(get(&r, 0x34, 4), ==, 0x00011014);
    g_assert_cmphex(get(&r, 0x00, 4), ==, 0x80);
    g_assert_cmphex(get(&r, 0x44, 4), ==, 2);
    g_assert_cmphex(get(&r, 0x58, 4), ==, 0xf80);
    g_assert_cmphex(get(&r, 0x5c, 4), ==, 0xfed40080);
    g_assert_cmphex(get(&r, 0x64, 4), ==, 0xf80);
    g_assert_cmphex(get(&r, 0x68, 8), ==, 0xfed40080);
    crb_command(&r);                    /* nobody asked for it */
    g_assert_true(crb_done(&r));
    set(&r, 0x08, 1, 4);
    g_assert_cmphex(get(&r, 0x00, 4), ==, 0x82);
    g_assert_cmphex(get(&r, 0x0c, 4), ==, 1);
    crb_command(&r);                    /* from idle, as SeaBIOS does */
    g_assert_cmphex(get(&r, 0x44, 4), ==, 0);
    until(&r, crb_done);
    set(&r, 0x40, 1, 4);
    g_assert_cmphex(get(&r, 0x44, 4), ==, 0);
    crb_command(&r);
    until(&r, crb_done);
    g_assert_cmphex(get(&r, 0x80, 8), ==, 0x00000c0000000180);
    set(&r, 0x40, 2, 4);
    g_assert_cmphex(get(&r, 0x44, 4), ==, 2);
    set(&r, 0x08, 2, 4);
    g_assert_cmphex(get(&r, 0x0c, 4), ==, 0);
}

static void test_crb_cancel(void)
{
    g_auto(Rig) r = {0};
    start(&r, "tpm-crb");
    g_atomic_int_set(&r.fake->slow, true);
    set(&r, 0x08, 1, 4);
    set(&r, 0x40, 1, 4);
    crb_command(&r);
    until(&r, is_running);
    g_assert_false(crb_done(&r));
    set(&r, 0x48, 1, 4);
    until(&r, crb_done);
    g_assert_cmphex(get(&r, 0x88, 2), ==, 0x0909);
    set(&r, 0x48, 0, 4);
    move(&r, "tpm-crb");
    g_assert_cmphex(get(&r, 0x88, 2), ==, 0x0909);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tpm-tis/identity", test_identity);
    g_test_add_func("/tpm-tis/localities", test_localities);
    g_test_add_func("/tpm-tis/command", test_command);
    g_test_add_func("/tpm-tis/slow", test_slow);
    g_test_add_func("/tpm-tis/interrupts", test_interrupts);
    g_test_add_func("/tpm-tis/established", test_established);
    g_test_add_func("/tpm-tis/moved", test_moved);
    g_test_add_data_func("/tpm-tis/noise", "tpm-tis", test_noise);
    g_test_add_func("/tpm-crb/command", test_crb);
    g_test_add_func("/tpm-crb/cancel", test_crb_cancel);
    g_test_add_data_func("/tpm-crb/noise", "tpm-crb", test_noise);
    return g_test_run();
}
