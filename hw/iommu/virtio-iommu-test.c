/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio IOMMU as its driver and a card behind it see it. Spec: virtio 1.2, 5.13. */
#include <string.h>
#include "hw/pci-host.h"
#include "hw/pci.h"
#include "tests/lib/virtio-guest.h"
#include "util/bytes.h"

enum {
    ATTACH = 1, DETACH, MAP, UNMAP, PROBE, OK = 0, UNSUPP = 2, INVAL = 4, RANGE, NOENT, READ = 1, WRITE = 2,
    BYPASS_AT = 36, PROBE_SIZE = 512, CARD = 1 << 3, MIB = 1 << 20, REQUESTS = 0, EVENTS = 1, BUFFER = 0x4000,
};
#define F_PROBE (1ull << 4)
#define F_BYPASS_CONFIG (1ull << 6)

typedef struct Rig {
    VirtioGuest *g;
    PciDevice *card;
} Rig;

static Rig rig(uint64_t features)
{
    TestDevice *t = test_machine();
    GpexConfig config = {.ecam = TEST_ECAM, .buses = 16, .mmio32 = {0x40000000, 0x40000000}};
    Rig r = {.card = pci_make(gpex_new(t->vm, &config), "edu", CARD >> 3, 0)};
    pci_config_write(r.card, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    r.g = virtio_guest_on(t, "virtio-iommu-device", NULL);
    g_assert_true(virtio_guest_start(r.g, features, 2));
    return r;
}

static unsigned ask(Rig *r, GByteArray *request, unsigned room, uint8_t *answer)
{
    uint64_t pa = virtio_guest_room(r->g, 128 + room);
    g_autofree uint8_t *back = g_malloc0(room);
    GuestUsed u;
    virtio_guest_poke(r->g, pa, request->data, request->len);
    virtio_guest_offer(r->g, REQUESTS, (GuestBuffer[]){{pa, request->len, false}, {pa + 128, room, true}}, 2);
    virtio_guest_kick(r->g, REQUESTS);
    virtio_guest_step(r->g);
    g_assert_true(virtio_guest_used(r->g, REQUESTS, &u));
    g_assert_cmpuint(u.len, ==, room);
    virtio_guest_peek(r->g, pa + 128, back, room);
    if (answer)
        memcpy(answer, back, room);
    g_byte_array_unref(request);
    return back[room - 4];
}

/* Pairs of a value and its width, ended by width 0. */
static GByteArray *message(unsigned type, const uint64_t *v, const unsigned *width)
{
    GByteArray *b = g_byte_array_new();
    bytes_put(b, type, 4);
    for (; *width; v++, width++)
        bytes_put(b, *v, *width);
    return b;
}

static unsigned attach(Rig *r, unsigned domain, unsigned endpoint, unsigned flags)
{
    return ask(r, message(ATTACH, (uint64_t[]){domain, endpoint, flags, 0}, (unsigned[]){4, 4, 4, 4, 0}), 4, NULL);
}

static unsigned detach(Rig *r, unsigned domain, unsigned endpoint)
{
    return ask(r, message(DETACH, (uint64_t[]){domain, endpoint, 0}, (unsigned[]){4, 4, 8, 0}), 4, NULL);
}

static unsigned map(Rig *r, unsigned domain, uint64_t at, uint64_t bytes, uint64_t pa, unsigned flags)
{
    return ask(r, message(MAP, (uint64_t[]){domain, at, at + bytes - 1, pa, flags}, (unsigned[]){4, 8, 8, 8, 4, 0}), 4, NULL);
}

static unsigned unmap(Rig *r, unsigned domain, uint64_t at, uint64_t bytes)
{
    return ask(r, message(UNMAP, (uint64_t[]){domain, at, at + bytes - 1, 0}, (unsigned[]){4, 8, 8, 4, 0}), 4, NULL);
}

static bool stores(Rig *r, uint64_t at, uint32_t v) { return pci_dma_write(r->card, at, &v, 4); }

static uint32_t memory(Rig *r, uint64_t pa)
{
    uint32_t v;
    virtio_guest_peek(r->g, pa, &v, 4);
    return v;
}

static void test_map(void)
{
    Rig r = rig(F_BYPASS_CONFIG | F_PROBE);
    g_autoptr(VirtioGuest) g = r.g;
    uint32_t v;
    g_assert_cmpuint(virtio_guest_reg(g, 8), ==, 23);
    g_assert_true(stores(&r, BUFFER, 1));                       /* nobody has attached it: it passes */
    g_assert_cmpuint(memory(&r, BUFFER), ==, 1);
    g_assert_cmpuint(attach(&r, 7, 0x123, 0), ==, NOENT);
    g_assert_cmpuint(map(&r, 7, 0x10000000, 0x2000, BUFFER, READ | WRITE), ==, NOENT);
    g_assert_cmpuint(attach(&r, 7, CARD, 0), ==, OK);
    g_assert_false(stores(&r, BUFFER, 2));
    g_assert_cmpuint(memory(&r, BUFFER), ==, 1);
    g_assert_cmpuint(map(&r, 7, 0x10000000, 0x2000, BUFFER, READ | WRITE), ==, OK);
    g_assert_cmpuint(map(&r, 7, 0x10001000, 0x1000, BUFFER, READ), ==, INVAL);
    g_assert_cmpuint(map(&r, 7, 0x10002800, 0x800, BUFFER, READ), ==, RANGE);
    g_assert_cmpuint(map(&r, 7, 0x20000000, 0x1000, BUFFER, READ), ==, OK);
    g_assert_true(stores(&r, 0x10001ffc, 3));
    g_assert_cmpuint(memory(&r, BUFFER + 0x1ffc), ==, 3);
    g_assert_true(pci_dma_read(r.card, 0x20000000, &v, 4));
    g_assert_cmpuint(v, ==, 1);
    g_assert_false(stores(&r, 0x20000000, 4));
    g_assert_cmpuint(unmap(&r, 7, 0x10001000, 0x1000), ==, RANGE);
    g_assert_cmpuint(unmap(&r, 7, 0, 1ull << 40), ==, OK);
    g_assert_false(stores(&r, 0x10000000, 5));
    g_assert_cmpuint(detach(&r, 8, CARD), ==, NOENT);
    g_assert_cmpuint(detach(&r, 7, CARD), ==, OK);
    g_assert_true(stores(&r, BUFFER, 6));
    g_assert_cmpuint(ask(&r, message(99, (uint64_t[]){0}, (unsigned[]){8, 0}), 4, NULL), ==, UNSUPP);
}

static void test_bypass(void)
{
    Rig r = rig(F_BYPASS_CONFIG);
    g_autoptr(VirtioGuest) g = r.g;
    test_write_at(g->t, VMMIO_CONFIG + BYPASS_AT, 1, 0);
    g_assert_false(stores(&r, BUFFER, 1));
    g_assert_cmpuint(attach(&r, 1, CARD, 1), ==, OK);           /* a domain that lets all pass */
    g_assert_true(stores(&r, BUFFER, 2));
    g_assert_cmpuint(attach(&r, 1, CARD, 0), ==, INVAL);
    g_assert_cmpuint(map(&r, 1, 0, 0x1000, 0, READ), ==, INVAL);
    virtio_guest_set(g, VMMIO_STATUS, 0);                       /* the driver goes; its word stays */
    g_assert_false(stores(&r, BUFFER, 3));
    device_reset(g->card);
    g_assert_true(stores(&r, BUFFER, 4));
}

static void test_faults(void)
{
    Rig r = rig(F_BYPASS_CONFIG);
    g_autoptr(VirtioGuest) g = r.g;
    uint64_t pa = virtio_guest_room(g, 64), address;
    uint32_t event[6];
    GuestUsed u;
    g_assert_cmpuint(attach(&r, 1, CARD, 0), ==, OK);
    virtio_guest_offer(g, EVENTS, (GuestBuffer[]){{pa, 24, true}}, 1);
    virtio_guest_kick(g, EVENTS);
    g_assert_false(stores(&r, 0xdead000, 1));
    virtio_guest_step(g);
    g_assert_true(virtio_guest_used(g, EVENTS, &u));
    g_assert_cmpuint(u.len, ==, 24);
    virtio_guest_peek(g, pa, event, 24);
    memcpy(&address, event + 4, 8);
    g_assert_cmphex(event[0], ==, 2);                           /* no mapping */
    g_assert_cmphex(event[1], ==, 0x102);                       /* a write; the address is valid */
    g_assert_cmphex(event[2], ==, CARD);
    g_assert_cmphex(address, ==, 0xdead000);
}

static void test_probe(void)
{
    Rig r = rig(F_PROBE);
    g_autoptr(VirtioGuest) g = r.g;
    static const uint64_t v[16] = {CARD};
    static const unsigned width[] = {4, 8, 8, 8, 8, 8, 8, 8, 8, 0};
    uint8_t a[PROBE_SIZE + 4];
    g_assert_cmpuint(ask(&r, message(PROBE, v, width), sizeof(a), a), ==, OK);
    g_assert_cmpuint(a[0], ==, 0);                              /* nothing is reserved where messages are no writes */
    static const uint64_t none[16] = {0x7777};
    g_assert_cmpuint(ask(&r, message(PROBE, none, width), sizeof(a), a), ==, NOENT);
}

static void test_state(void)
{
    Rig a = rig(F_BYPASS_CONFIG), b = rig(F_BYPASS_CONFIG);
    g_autoptr(VirtioGuest) g = a.g, h = b.g;
    g_assert_cmpuint(attach(&a, 7, CARD, 0), ==, OK);
    g_assert_cmpuint(map(&a, 7, 0x10000000, MIB, 0, READ | WRITE), ==, OK);
    vm_stop(g->t->vm, RUN_PAUSED);
    virtio_guest_move(g, h);
    g_assert_true(stores(&b, 0x10000000 + BUFFER, 0x55));
    g_assert_cmpuint(memory(&b, BUFFER), ==, 0x55);
    g_assert_false(stores(&b, BUFFER, 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-iommu/map", test_map);
    g_test_add_func("/virtio-iommu/bypass", test_bypass);
    g_test_add_func("/virtio-iommu/faults", test_faults);
    g_test_add_func("/virtio-iommu/probe", test_probe);
    g_test_add_func("/virtio-iommu/move", test_state);
    return g_test_run();
}
