/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio core under a driver: each scenario on split and packed rings, with indirect tables, event
 * indices, in order, through an IOMMU; and drivers that break the rules.
 */
#include <string.h>
#include "tests/lib/virtio-guest.h"

/* ---- a device that gives back what it reads, at once or when told, last first ---- */

typedef struct Echo {
    VirtioDevice v;
    Virtq *vq;
    VirtqElement *held[GUEST_SIZE];
    unsigned n_held;
    bool hold;
} Echo;

static void answer(Echo *s, VirtqElement *e)
{
    char buf[512];
    size_t n = iov_read(e->out, e->n_out, 0, buf, sizeof(buf));
    virtq_push(s->vq, e, iov_write(e->in, e->n_in, 0, buf, n));
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    Echo *s = (Echo *)v;
    do {
        virtq_want_kicks(vq, false);
        for (VirtqElement *e; (e = virtq_pop(vq, 8));) {
            g_assert_cmpuint((uintptr_t)virtq_extra(e) % 16, ==, 0);
            if (s->hold)
                s->held[s->n_held++] = e;
            else
                answer(s, e);
        }
        virtq_want_kicks(vq, true);
    } while (!virtq_empty(vq));
    virtq_flush(vq);
}

static void release(Echo *s)
{
    while (s->n_held)
        answer(s, s->held[--s->n_held]);
    virtq_flush(s->vq);
}

static void stop(VirtioDevice *v)
{
    Echo *s = (Echo *)v;
    while (s->n_held)
        virtq_push(s->vq, s->held[--s->n_held], 0);
}

static bool realize(Device *d, GError **error)
{
    ((Echo *)d)->vq = virtio_add_queue((VirtioDevice *)d, GUEST_SIZE, serve);
    return true;
}

static const VirtioClass cls = {.id = 63, .stop = stop};
static const Field fields[] = {
    HOST(Echo, v), HOST(Echo, vq), HOST(Echo, held), HOST(Echo, n_held),
    PROP(Echo, hold, "hold", PROP_BOOL),
};
static const DeviceType echo = {
    .name = "virtio-echo", .parent = "virtio-device", .desc = "gives back what it reads", .size = sizeof(Echo),
    .bus = "virtio-bus", .pluggable = true, FIELDS(fields), .realize = realize, .ext = &cls,
};
DEVICE_TYPE(echo);

/* ---- forms of rings ---- */

typedef struct Form {
    const char *name;
    uint64_t features;
    bool indirect, iommu;
} Form;

static const Form forms[] = {
    {"split", 0}, {"packed", VIRTIO_F_RING_PACKED},
    {"split-indirect", VIRTIO_F_INDIRECT_DESC, true}, {"packed-indirect", VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC, true},
    {"split-event", VIRTIO_F_EVENT_IDX}, {"packed-event", VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX},
    {"split-in-order", VIRTIO_F_IN_ORDER}, {"packed-in-order", VIRTIO_F_RING_PACKED | VIRTIO_F_IN_ORDER},
    {"split-iommu", VIRTIO_F_ACCESS_PLATFORM, false, true},
    {"packed-iommu", VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_RING_PACKED, false, true},
    {"all", VIRTIO_F_RING_PACKED | VIRTIO_F_IN_ORDER | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
            VIRTIO_F_ACCESS_PLATFORM, true, true},
};

enum { IOVA = 0x40000000 };

/* Page for page, what lies at IOVA + pa. */
static MemTranslation translate(void *opaque, uint64_t addr, bool write)
{
    if (addr < IOVA || addr >= IOVA + TEST_RAM)
        return (MemTranslation){0};
    return (MemTranslation){.pa = addr - IOVA, .mask = 0xfff, .read = true, .write = true, .target = opaque};
}

static VirtioGuest *guest(const Form *f, bool hold)
{
    VirtioGuest *g = virtio_guest_bare(NULL);
    Vm *vm = g->t->vm;
    device_global(vm, "virtio-echo", "hold", hold ? "on" : "off");
    device_global(vm, "virtio-echo", "packed", f->features & VIRTIO_F_RING_PACKED ? "on" : "off");
    device_global(vm, "virtio-echo", "in_order", f->features & VIRTIO_F_IN_ORDER ? "on" : "off");
    device_global(vm, "virtio-echo", "iommu_platform", f->iommu ? "on" : "off");
    if (f->iommu) {
        MemRegion *r = mem_iommu(vm->unattached, "test-iommu", 1ull << 40, translate, vm->memory);
        g->t->dev->dma = g->dma = address_space_new(vm, r, "test-iommu");
        g->iova = IOVA;
    }
    virtio_guest_plug(g, "virtio-echo", NULL);
    g->indirect = f->indirect;
    return g;
}

static VirtioGuest *started(const Form *f, bool hold)
{
    VirtioGuest *g = guest(f, hold);
    g_assert_true(virtio_guest_start(g, f->features, 1));
    return g;
}

/* One message, out and in in two pieces each. */
typedef struct Message {
    uint64_t out, in;
    uint16_t id;
    char text[32];
} Message;

static Message send(VirtioGuest *g, unsigned n)
{
    Message m = {.out = virtio_guest_room(g, 32), .in = virtio_guest_room(g, 32)};
    g_snprintf(m.text, sizeof(m.text), "message number %u", n);
    virtio_guest_poke(g, m.out, m.text, 32);
    m.id = virtio_guest_offer(g, 0, (GuestBuffer[]){{m.out, 7, false}, {m.out + 7, 25, false},
                                                    {m.in, 5, true}, {m.in + 5, 27, true}}, 4);
    return m;
}

static void expect(VirtioGuest *g, const Message *m)
{
    GuestUsed u;
    char text[32];
    g_assert_true(virtio_guest_used(g, 0, &u));
    g_assert_cmpuint(u.id, ==, m->id);
    g_assert_cmpuint(u.len, ==, 32);
    virtio_guest_peek(g, m->in, text, 32);
    g_assert_cmpstr(text, ==, m->text);
}

static void nothing_more(VirtioGuest *g)
{
    GuestUsed u;
    g_assert_false(virtio_guest_used(g, 0, &u));
}

static void test_round(const void *form)
{
    g_autoptr(VirtioGuest) g = started(form, false);
    for (unsigned i = 0; i < 40; i++) {         /* around the ring several times */
        Message m = send(g, i);
        virtio_guest_kick(g, 0);
        expect(g, &m);
        nothing_more(g);
        g_assert_cmpuint(virtio_guest_isr(g) & 1, ==, 1);
    }
}

static void test_batch(const void *form)
{
    const Form *f = form;
    g_autoptr(VirtioGuest) g = started(f, true);
    for (unsigned round = 0; round < 6; round++) {
        Message m[3];
        for (unsigned i = 0; i < 3; i++)
            m[i] = send(g, i);
        virtio_guest_kick(g, 0);
        nothing_more(g);
        release((Echo *)g->card);
        for (unsigned i = 0; i < 3; i++)        /* the device finishes the last first */
            expect(g, &m[f->features & VIRTIO_F_IN_ORDER ? i : 2 - i]);
        nothing_more(g);
    }
}

/* All of the ring comes back at once. */
static void test_full(const void *form)
{
    const Form *f = form;
    g_autoptr(VirtioGuest) g = started(f, true);
    for (unsigned round = 0; round < 3; round++) {
        Message m[GUEST_SIZE];
        unsigned n = 0;
        for (unsigned left = GUEST_SIZE; left >= (f->indirect ? 1 : 4) && g->q[0].n_free; left -= f->indirect ? 1 : 4)
            m[n] = send(g, n), n++;
        virtio_guest_kick(g, 0);
        virtio_guest_isr(g);
        release((Echo *)g->card);
        g_assert_cmpuint(virtio_guest_isr(g) & 1, ==, 1);
        for (unsigned i = 0; i < n; i++)
            expect(g, &m[f->features & VIRTIO_F_IN_ORDER ? i : n - 1 - i]);
        nothing_more(g);
    }
}

/* While the machine stands nothing is touched; then it goes on. */
static void test_stand(const void *form)
{
    g_autoptr(VirtioGuest) g = started(form, false);
    vm_stop(g->t->vm, RUN_PAUSED);
    Message m = send(g, 1);
    virtio_guest_kick(g, 0);
    nothing_more(g);
    vm_start(g->t->vm);
    virtio_guest_step(g);
    expect(g, &m);
}

/* Saved with buffers in the device's hands; another machine completes them. */
static void test_moved(const void *form)
{
    const Form *f = form;
    g_autoptr(VirtioGuest) a = started(f, true);
    g_autoptr(VirtioGuest) b = guest(f, true);
    Message first[3], second[2];
    for (unsigned i = 0; i < 3; i++) {          /* positions that are not the first */
        Message m = send(a, i);
        virtio_guest_kick(a, 0);
        release((Echo *)a->card);
        expect(a, &m);
    }
    for (unsigned i = 0; i < 2; i++)
        second[i] = send(a, 10 + i);
    virtio_guest_kick(a, 0);
    virtio_guest_move(a, b);
    g_assert_cmpuint(virtio_guest_reg(b, VMMIO_STATUS), ==, 15);
    nothing_more(b);
    release((Echo *)b->card);
    bool in_order = f->features & VIRTIO_F_IN_ORDER;
    expect(b, &second[!in_order]);
    expect(b, &second[in_order]);
    for (unsigned i = 0; i < 3; i++)
        first[i] = send(b, i);
    virtio_guest_kick(b, 0);
    release((Echo *)b->card);
    for (unsigned i = 0; i < 3; i++)
        expect(b, &first[in_order ? i : 2 - i]);
    nothing_more(b);
}

static void test_reset(const void *form)
{
    const Form *f = form;
    g_autoptr(VirtioGuest) g = started(f, true);
    send(g, 1);
    virtio_guest_kick(g, 0);
    g_assert_true(virtio_guest_start(g, f->features, 1));       /* in the middle of it */
    Message m = send(g, 2);
    virtio_guest_kick(g, 0);
    release((Echo *)g->card);
    expect(g, &m);
    nothing_more(g);
    device_reset(g->card);
    g_assert_cmpuint(virtio_guest_reg(g, VMMIO_STATUS), ==, 0);
}

/* ---- drivers that break the rules ---- */

typedef struct Sin {
    const char *name;
    uint64_t features;
    void (*commit)(VirtioGuest *g);
} Sin;

static void raw(VirtioGuest *g, uint64_t pa, uint32_t len, uint16_t flags, uint16_t next)
{
    virtio_guest_descriptor(g, 0, 0, pa, len, flags, next);
}

static void show(VirtioGuest *g, uint16_t head, uint16_t idx)
{
    uint64_t ring = virtio_guest_base(0) + GUEST_DRIVER;
    virtio_guest_poke(g, ring + 4, &head, 2);
    virtio_guest_poke(g, ring + 2, &idx, 2);
}

static void no_memory(VirtioGuest *g) { raw(g, 1ull << 40, 8, GUEST_WRITE, 0); show(g, 0, 1); }
static void far_head(VirtioGuest *g) { show(g, GUEST_SIZE, 1); }
static void far_next(VirtioGuest *g) { raw(g, 0x80000, 8, GUEST_NEXT, 999); show(g, 0, 1); }
static void loop(VirtioGuest *g) { raw(g, 0x80000, 8, GUEST_NEXT, 0); show(g, 0, 1); }
static void ahead(VirtioGuest *g) { raw(g, 0x80000, 8, 0, 0); show(g, 0, GUEST_SIZE + 1); }

static void out_after_in(VirtioGuest *g)
{
    raw(g, 0x80000, 8, GUEST_WRITE | GUEST_NEXT, 1);
    virtio_guest_descriptor(g, 0, 1, 0x80010, 8, 0, 0);
    show(g, 0, 1);
}

static void huge(VirtioGuest *g) { raw(g, 0x80000, 0xffffffff, 0, 0); show(g, 0, 1); }
static void odd_table(VirtioGuest *g) { raw(g, 0x80000, 17, GUEST_INDIRECT, 0); show(g, 0, 1); }
static void no_table(VirtioGuest *g) { raw(g, 1ull << 40, 32, GUEST_INDIRECT, 0); show(g, 0, 1); }
static void empty_table(VirtioGuest *g) { raw(g, 0x80000, 0, GUEST_INDIRECT, 0); show(g, 0, 1); }

static void nested_table(VirtioGuest *g)
{
    struct { uint64_t pa; uint32_t len; uint16_t flags, next; } d = {0x80000, 16, GUEST_INDIRECT, 0};
    virtio_guest_poke(g, 0x80000, &d, sizeof(d));
    raw(g, 0x80000, 16, GUEST_INDIRECT, 0);
    show(g, 0, 1);
}

static void unasked_table(VirtioGuest *g) { raw(g, 0x80000, 16, GUEST_INDIRECT, 0); show(g, 0, 1); }

enum { AVAIL = 1 << 7 };
static void packed_no_memory(VirtioGuest *g) { raw(g, 1ull << 40, 8, AVAIL, 0); }
static void packed_odd_table(VirtioGuest *g) { raw(g, 0x80000, 15, AVAIL | GUEST_INDIRECT, 0); }
static void packed_no_table(VirtioGuest *g) { raw(g, 1ull << 40, 16, AVAIL | GUEST_INDIRECT, 0); }

static void packed_endless(VirtioGuest *g)
{
    for (unsigned i = GUEST_SIZE; i-- > 0;)
        virtio_guest_descriptor(g, 0, i, 0x80000, 8, AVAIL | GUEST_NEXT, 0);
}

static const Sin sins[] = {
    {"no-memory", 0, no_memory}, {"far-head", 0, far_head}, {"far-next", 0, far_next}, {"loop", 0, loop},
    {"ahead", 0, ahead}, {"out-after-in", 0, out_after_in}, {"huge", 0, huge},
    {"odd-table", VIRTIO_F_INDIRECT_DESC, odd_table}, {"no-table", VIRTIO_F_INDIRECT_DESC, no_table},
    {"empty-table", VIRTIO_F_INDIRECT_DESC, empty_table}, {"nested-table", VIRTIO_F_INDIRECT_DESC, nested_table},
    {"unasked-table", 0, unasked_table},
    {"packed-no-memory", VIRTIO_F_RING_PACKED, packed_no_memory},
    {"packed-odd-table", VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC, packed_odd_table},
    {"packed-no-table", VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC, packed_no_table},
    {"packed-endless", VIRTIO_F_RING_PACKED, packed_endless},
};

/* The device asks for a reset, touches nothing more, and is as good as new after it. */
static void test_sin(const void *data)
{
    const Sin *sin = data;
    Form f = {.features = sin->features};
    g_autoptr(VirtioGuest) g = started(&f, false);
    sin->commit(g);
    virtio_guest_kick(g, 0);
    g_assert_cmphex(virtio_guest_reg(g, VMMIO_STATUS) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    g_assert_cmpuint(virtio_guest_isr(g) & 2, ==, 2);
    g_assert_true(virtio_guest_start(g, f.features, 1));
    Message m = send(g, 1);
    virtio_guest_kick(g, 0);
    expect(g, &m);
}

/* ---- registers ---- */

static void test_features(void)
{
    static const Form split = {.name = "split"}, iommu = {.features = VIRTIO_F_ACCESS_PLATFORM, .iommu = true};
    g_autoptr(VirtioGuest) g = guest(&split, false), h = guest(&iommu, false);
    g_assert_false(virtio_guest_start(g, VIRTIO_F_RING_PACKED, 1));     /* not offered */
    g_assert_true(virtio_guest_start(g, 0, 1));
    g_assert_false(virtio_guest_start(h, 0, 1));                        /* must not be declined */
    g_assert_true(virtio_guest_start(h, VIRTIO_F_ACCESS_PLATFORM, 1));
}

static void test_registers(void)
{
    static const Form split = {.name = "split"};
    g_autoptr(VirtioGuest) g = guest(&split, false);
    g_assert_cmphex(virtio_guest_reg(g, 0), ==, 0x74726976);
    g_assert_cmpuint(virtio_guest_reg(g, 4), ==, 2);
    g_assert_cmpuint(virtio_guest_reg(g, 8), ==, 63);
    g_assert_cmpuint(virtio_guest_reg(g, VMMIO_QUEUE_MAX), ==, GUEST_SIZE);
    virtio_guest_set(g, VMMIO_QUEUE_SEL, 1);
    g_assert_cmpuint(virtio_guest_reg(g, VMMIO_QUEUE_MAX), ==, 0);
    virtio_guest_set(g, VMMIO_QUEUE_SEL, 99);
    virtio_guest_set(g, VMMIO_READY, 1);
    virtio_guest_set(g, VMMIO_NOTIFY, 99);
    g_assert_cmpuint(virtio_guest_reg(g, VMMIO_READY), ==, 0);
    /* A ring where no memory is. */
    g->iova = 1ull << 40;
    virtio_guest_start(g, 0, 1);
    g_assert_cmphex(virtio_guest_reg(g, VMMIO_STATUS) & VIRTIO_NEEDS_RESET, ==, VIRTIO_NEEDS_RESET);
    g_assert_cmpuint(test_read_at(g->t, VMMIO_CONFIG, 1), ==, 0xff);    /* it has none */
}

/* ---- legacy (virtio 1.2, 4.2.4) ---- */

static void test_legacy(void)
{
    enum { GUEST_PAGE = 0x28, ALIGN = 0x3c, PFN = 0x40, AT = 0x20000 };
    g_autoptr(VirtioGuest) g = virtio_guest_legacy(NULL);
    virtio_guest_plug(g, "virtio-echo", NULL);
    g_assert_cmpuint(virtio_guest_reg(g, 4), ==, 1);
    virtio_guest_set(g, VMMIO_STATUS, 3);
    virtio_guest_set(g, VMMIO_DRIVER, 0);
    virtio_guest_set(g, GUEST_PAGE, 4096);
    virtio_guest_set(g, VMMIO_QUEUE_SIZE, GUEST_SIZE);
    virtio_guest_set(g, ALIGN, 4096);
    virtio_guest_set(g, PFN, AT / 4096);
    g_assert_cmpuint(virtio_guest_reg(g, PFN), ==, AT / 4096);
    virtio_guest_set(g, VMMIO_STATUS, 7);
    virtio_guest_step(g);
    struct { uint64_t pa; uint32_t len; uint16_t flags, next; } d[2] = {
        {0x80000, 4, GUEST_NEXT, 1}, {0x80010, 4, GUEST_WRITE, 0}};
    uint16_t one = 1, idx = 0;
    char text[4];
    virtio_guest_poke(g, AT, d, sizeof(d));
    virtio_guest_poke(g, 0x80000, "old", 4);
    virtio_guest_poke(g, AT + 16 * GUEST_SIZE + 2, &one, 2);
    virtio_guest_kick(g, 0);
    virtio_guest_peek(g, AT + 4096 + 2, &idx, 2);
    g_assert_cmpuint(idx, ==, 1);
    virtio_guest_peek(g, 0x80010, text, 4);
    g_assert_cmpstr(text, ==, "old");
    virtio_guest_set(g, PFN, 0);
    g_assert_cmpuint(virtio_guest_reg(g, PFN), ==, 0);
}

static void add(const char *what, const Form *f, void (*fn)(const void *))
{
    g_autofree char *path = g_strdup_printf("/virtio/%s/%s", f->name, what);
    g_test_add_data_func(path, f, fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        add("round", &forms[i], test_round);
        add("batch", &forms[i], test_batch);
        add("full", &forms[i], test_full);
        add("stand", &forms[i], test_stand);
        add("move", &forms[i], test_moved);
        add("reset", &forms[i], test_reset);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(sins); i++) {
        g_autofree char *path = g_strdup_printf("/virtio/rules/%s", sins[i].name);
        g_test_add_data_func(path, &sins[i], test_sin);
    }
    g_test_add_func("/virtio/features", test_features);
    g_test_add_func("/virtio/registers", test_registers);
    g_test_add_func("/virtio/legacy", test_legacy);
    return g_test_run();
}
