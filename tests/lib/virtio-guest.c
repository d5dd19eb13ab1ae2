/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio driver for tests. */
#include "tests/lib/virtio-guest.h"
#include <string.h>
#include "hw/virtio-mmio.h"

enum { F_AVAIL = 1 << 7, F_USED = 1 << 15, ROOM = 0x80000 };

uint64_t virtio_guest_base(unsigned q) { return (uint64_t)GUEST_STRIDE * (q + 1); }

void virtio_guest_poke(VirtioGuest *g, uint64_t pa, const void *data, size_t n)
{
    g_assert_true(as_write(g->t->vm->memory, pa, data, n));
}

void virtio_guest_peek(VirtioGuest *g, uint64_t pa, void *data, size_t n)
{
    g_assert_true(as_read(g->t->vm->memory, pa, data, n));
}

static uint16_t peek16(VirtioGuest *g, uint64_t pa)
{
    uint16_t v;
    virtio_guest_peek(g, pa, &v, 2);
    return GUINT16_FROM_LE(v);
}

static void poke16(VirtioGuest *g, uint64_t pa, uint16_t v)
{
    v = GUINT16_TO_LE(v);
    virtio_guest_poke(g, pa, &v, 2);
}

uint32_t virtio_guest_reg(VirtioGuest *g, unsigned at) { return test_read_at(g->t, at, 4); }
void virtio_guest_set(VirtioGuest *g, unsigned at, uint32_t value) { test_write_at(g->t, at, 4, value); }

void virtio_guest_step(VirtioGuest *g)
{
    while (loop_step(g->t->loop, false))
        ;
}

uint64_t virtio_guest_room(VirtioGuest *g, unsigned bytes)
{
    uint64_t at = g->room;
    g_autofree void *zeros = g_malloc0(bytes);
    g->room += (bytes + 15) & ~15u;
    g_assert_cmpuint(g->room, <=, TEST_RAM);
    virtio_guest_poke(g, at, zeros, bytes);
    return at;
}

/* ---- life ---- */

static VirtioGuest *bare(TestDevice *t, bool legacy)
{
    VirtioGuest *g = g_new0(VirtioGuest, 1);
    g->t = t ? t : test_machine();
    g->room = ROOM;
    device_global(g->t->vm, "virtio-mmio", "force-legacy", legacy ? "on" : "off");
    g->bus = virtio_mmio_new(g->t->vm, TEST_BASE, (Pin){0});
    g->t->dev = g->bus->owner;
    g->t->vm->state = RUN_RUNNING;
    return g;
}

VirtioGuest *virtio_guest_bare(TestDevice *t) { return bare(t, false); }
VirtioGuest *virtio_guest_legacy(TestDevice *t) { return bare(t, true); }

void virtio_guest_plug(VirtioGuest *g, const char *type, va_list *props)
{
    g_autoptr(GError) error = NULL;
    g->card = device_new(g->t->vm, type, &error);
    g_assert_no_error(error);
    for (const char *name; props && (name = va_arg(*props, const char *));) {
        const char *value = va_arg(*props, const char *);
        bool ok = object_set_string(&g->card->object, name, value, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    bool ok = device_realize(g->card, g->bus, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

VirtioGuest *virtio_guest_on(TestDevice *t, const char *type, ...)
{
    VirtioGuest *g = virtio_guest_bare(t);
    va_list props;
    va_start(props, type);
    virtio_guest_plug(g, type, &props);
    va_end(props);
    return g;
}

VirtioGuest *virtio_guest_for(TestDevice *t)
{
    VirtioGuest *g = g_new0(VirtioGuest, 1);
    g->t = t;
    g->room = ROOM;
    g->card = t->dev;
    g->bus = t->dev->parent_bus;
    t->dev = g->bus->owner;
    t->vm->state = RUN_RUNNING;
    return g;
}

void virtio_guest_free(VirtioGuest *g)
{
    g->t->vm->state = RUN_PAUSED;
    if (g->dma) {
        g->t->dev->dma = NULL;
        address_space_free(g->dma);
    }
    test_device_free(g->t);
    g_free(g);
}

/* ---- starting ---- */

static void set_area(VirtioGuest *g, unsigned reg, uint64_t pa)
{
    virtio_guest_set(g, reg, (uint32_t)(pa + g->iova));
    virtio_guest_set(g, reg + 4, (pa + g->iova) >> 32);
}

static void start_queue(VirtioGuest *g, unsigned q)
{
    GuestQueue *gq = &g->q[q];
    g_autofree void *zeros = g_malloc0(GUEST_TABLES);
    virtio_guest_poke(g, virtio_guest_base(q), zeros, GUEST_TABLES);
    virtio_guest_set(g, VMMIO_QUEUE_SEL, q);
    *gq = (GuestQueue){.avail_wrap = true, .used_wrap = true};
    gq->size = MIN(GUEST_SIZE, virtio_guest_reg(g, VMMIO_QUEUE_MAX));
    gq->n_free = virtio_guest_packed(g) ? gq->size : gq->size / 4;
    for (unsigned i = 0; i < gq->n_free; i++)
        gq->free[i] = virtio_guest_packed(g) ? i : 4 * i;
    virtio_guest_set(g, VMMIO_QUEUE_SIZE, gq->size);
    set_area(g, VMMIO_DESC, virtio_guest_base(q) + GUEST_DESC);
    set_area(g, VMMIO_DRIVER_AREA, virtio_guest_base(q) + GUEST_DRIVER);
    set_area(g, VMMIO_DEVICE_AREA, virtio_guest_base(q) + GUEST_DEVICE);
    virtio_guest_set(g, VMMIO_READY, 1);
}

bool virtio_guest_start(VirtioGuest *g, uint64_t features, unsigned n)
{
    g->features = features | VIRTIO_F_VERSION_1;
    virtio_guest_set(g, VMMIO_STATUS, 0);
    virtio_guest_set(g, VMMIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (unsigned half = 0; half < 2; half++) {
        virtio_guest_set(g, VMMIO_DRIVER_SEL, half);
        virtio_guest_set(g, VMMIO_DRIVER, g->features >> 32 * half);
    }
    virtio_guest_set(g, VMMIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    if (!(virtio_guest_reg(g, VMMIO_STATUS) & VIRTIO_FEATURES_OK))
        return false;
    for (unsigned q = 0; q < n; q++)
        start_queue(g, q);
    virtio_guest_set(g, VMMIO_STATUS,
                     VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
    virtio_guest_step(g);
    return true;
}

/* ---- offering ---- */

static void put_descriptor(VirtioGuest *g, uint64_t at, uint64_t pa, uint32_t len, uint16_t a, uint16_t b)
{
    struct { uint64_t pa; uint32_t len; uint16_t a, b; } d = {
        GUINT64_TO_LE(pa + g->iova), GUINT32_TO_LE(len), GUINT16_TO_LE(a), GUINT16_TO_LE(b)};
    virtio_guest_poke(g, at, &d, sizeof(d));
}

void virtio_guest_descriptor(VirtioGuest *g, unsigned q, unsigned i, uint64_t pa, uint32_t len,
                             uint16_t flags, uint16_t next_or_id)
{
    uint64_t at = virtio_guest_base(q) + GUEST_DESC + 16 * i;
    if (virtio_guest_packed(g))
        put_descriptor(g, at, pa, len, next_or_id, flags);
    else
        put_descriptor(g, at, pa, len, flags, next_or_id);
}

/* A table in the stretch of chain `id`; its address. */
static uint64_t put_table(VirtioGuest *g, unsigned q, unsigned id, const GuestBuffer *b, unsigned n)
{
    uint64_t at = virtio_guest_base(q) + GUEST_TABLES + 0x100 * id;
    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = (b[i].write ? GUEST_WRITE : 0) | (i + 1 < n && !virtio_guest_packed(g) ? GUEST_NEXT : 0);
        bool packed = virtio_guest_packed(g);
        put_descriptor(g, at + 16 * i, b[i].pa, b[i].len, packed ? 0 : flags, packed ? flags : i + 1);
    }
    return at;
}

static uint16_t offer_split(VirtioGuest *g, unsigned q, const GuestBuffer *b, unsigned n)
{
    GuestQueue *gq = &g->q[q];
    uint16_t head = gq->free[--gq->n_free];
    uint64_t ring = virtio_guest_base(q) + GUEST_DRIVER;
    if (g->indirect)
        virtio_guest_descriptor(g, q, head, put_table(g, q, head, b, n), 16 * n, GUEST_INDIRECT, 0);
    for (unsigned i = 0; !g->indirect && i < n; i++) {
        uint16_t flags = (b[i].write ? GUEST_WRITE : 0) | (i + 1 < n ? GUEST_NEXT : 0);
        virtio_guest_descriptor(g, q, head + i, b[i].pa, b[i].len, flags, head + i + 1);
    }
    poke16(g, ring + 4 + 2 * (gq->next % gq->size), head);
    poke16(g, ring + 2, ++gq->next);
    return head;
}

static uint16_t offer_packed(VirtioGuest *g, unsigned q, const GuestBuffer *b, unsigned n)
{
    GuestQueue *gq = &g->q[q];
    uint16_t id = gq->free[--gq->n_free];
    unsigned slots = g->indirect ? 1 : n;
    gq->count[id] = slots;
    for (unsigned i = 0; i < slots; i++) {
        uint16_t flags = gq->avail_wrap ? F_AVAIL : F_USED;
        if (g->indirect) {
            virtio_guest_descriptor(g, q, gq->next, put_table(g, q, id, b, n), 16 * n,
                                    flags | GUEST_INDIRECT, id);
        } else {
            flags |= (b[i].write ? GUEST_WRITE : 0) | (i + 1 < n ? GUEST_NEXT : 0);
            virtio_guest_descriptor(g, q, gq->next, b[i].pa, b[i].len, flags, id);
        }
        if (++gq->next == gq->size) {
            gq->next = 0;
            gq->avail_wrap = !gq->avail_wrap;
        }
    }
    return id;
}

uint16_t virtio_guest_offer(VirtioGuest *g, unsigned q, const GuestBuffer *b, unsigned n)
{
    g_assert_cmpuint(g->q[q].n_free, >, 0);
    return (virtio_guest_packed(g) ? offer_packed : offer_split)(g, q, b, n);
}

void virtio_guest_kick(VirtioGuest *g, unsigned q)
{
    virtio_guest_set(g, VMMIO_NOTIFY, q);
    virtio_guest_step(g);
}

/* ---- what came back ---- */

static bool used_split(VirtioGuest *g, unsigned q, GuestUsed *used)
{
    GuestQueue *gq = &g->q[q];
    uint64_t ring = virtio_guest_base(q) + GUEST_DEVICE;
    if (peek16(g, ring + 2) == gq->used)
        return false;
    virtio_guest_peek(g, ring + 4 + 8 * (gq->used++ % gq->size), used, sizeof(*used));
    gq->free[gq->n_free++] = used->id;
    return true;
}

static bool used_packed(VirtioGuest *g, unsigned q, GuestUsed *used)
{
    GuestQueue *gq = &g->q[q];
    uint64_t at = virtio_guest_base(q) + GUEST_DESC + 16 * gq->used;
    uint16_t flags = peek16(g, at + 14);
    if (!!(flags & F_AVAIL) != gq->used_wrap || !!(flags & F_USED) != gq->used_wrap)
        return false;
    virtio_guest_peek(g, at + 8, &used->len, 4);
    used->id = peek16(g, at + 12);
    g_assert_cmpuint(used->id, <, gq->size);
    gq->used += gq->count[used->id];
    if (gq->used >= gq->size) {
        gq->used -= gq->size;
        gq->used_wrap = !gq->used_wrap;
    }
    gq->free[gq->n_free++] = used->id;
    return true;
}

/* The next one is to interrupt. */
static void set_event(VirtioGuest *g, unsigned q)
{
    const GuestQueue *gq = &g->q[q];
    uint64_t ring = virtio_guest_base(q) + GUEST_DRIVER;
    if (!(g->features & VIRTIO_F_EVENT_IDX))
        return;
    if (virtio_guest_packed(g)) {
        poke16(g, ring, gq->used | gq->used_wrap << 15);
        poke16(g, ring + 2, 2);
    } else {
        poke16(g, ring + 4 + 2 * gq->size, gq->used);
    }
}

bool virtio_guest_used(VirtioGuest *g, unsigned q, GuestUsed *used)
{
    bool any = (virtio_guest_packed(g) ? used_packed : used_split)(g, q, used);
    if (any)
        set_event(g, q);
    return any;
}

uint32_t virtio_guest_isr(VirtioGuest *g)
{
    uint32_t isr = virtio_guest_reg(g, VMMIO_ISR);
    virtio_guest_set(g, VMMIO_ACK, isr);
    return isr;
}

/* ---- moving ---- */

static void move_state(Device *from, Device *to)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) state = device_save(from);
    device_load(to, state, &error);
    g_assert_no_error(error);
}

void virtio_guest_move(VirtioGuest *from, VirtioGuest *to)
{
    g_autofree char *ram = g_malloc(TEST_RAM);
    from->t->vm->state = RUN_PAUSED;
    virtio_guest_peek(from, 0, ram, TEST_RAM);
    virtio_guest_poke(to, 0, ram, TEST_RAM);
    move_state(from->t->dev, to->t->dev);
    move_state(from->card, to->card);
    memcpy(to->q, from->q, sizeof(to->q));
    to->features = from->features;
    to->iova = from->iova;
    to->indirect = from->indirect;
    to->room = from->room;
    virtio_guest_step(to);
}
