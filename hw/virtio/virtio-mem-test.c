/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-mem and virtio-pmem as drivers see them, and the area where they stand. Spec: virtio 1.2, 5.15, 5.19. */
#include <string.h>
#include "hw/mem.h"
#include "tests/lib/virtio-guest.h"

enum { MIB = 1 << 20, BLOCK = 2 * MIB, PLUG = 0, UNPLUG, UNPLUG_ALL, STATE, ACK = 0, NACK, BUSY, ERROR };
#define AREA 0x100000000ull
#define F_UNPLUGGED_INACCESSIBLE 2

static TestDevice *machine(uint64_t most)
{
    g_autoptr(GError) error = NULL;
    TestDevice *t = test_machine();
    memory_area_new(t->vm, AREA, 1ull << 30, most, 2);
    Object *o = object_new(t->vm, object_type_find("memory-backend-ram"));
    object_add_child(t->vm->objects, "m", o);
    g_assert_true(object_set_string(o, "size", "16M", &error));
    g_assert_true(object_complete(o, &error));
    return t;
}

typedef struct __attribute__((packed)) Request {
    uint16_t type, pad[3];
    uint64_t addr;
    uint16_t blocks, pad2[3];
} Request;

static unsigned ask(VirtioGuest *g, unsigned type, uint64_t addr, unsigned blocks, unsigned *state)
{
    Request r = {.type = GUINT16_TO_LE(type), .addr = GUINT64_TO_LE(addr), .blocks = GUINT16_TO_LE(blocks)};
    uint64_t pa = virtio_guest_room(g, 64);
    uint16_t answer[5];
    GuestUsed u;
    virtio_guest_poke(g, pa, &r, sizeof(r));
    virtio_guest_offer(g, 0, (GuestBuffer[]){{pa, sizeof(r), false}, {pa + 32, 10, true}}, 2);
    virtio_guest_kick(g, 0);
    virtio_guest_step(g);
    g_assert_true(virtio_guest_used(g, 0, &u));
    g_assert_cmpuint(u.len, ==, 10);
    virtio_guest_peek(g, pa + 32, answer, 10);
    if (state)
        *state = GUINT16_FROM_LE(answer[4]);
    return GUINT16_FROM_LE(answer[0]);
}

static uint64_t config(VirtioGuest *g, unsigned at)
{
    return test_read_at(g->t, VMMIO_CONFIG + at, 4) | (uint64_t)test_read_at(g->t, VMMIO_CONFIG + at + 4, 4) << 32;
}

static void test_mem(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirtioGuest) g = virtio_guest_on(machine(64 * MIB), "virtio-mem", "memdev", "m", "requested-size", "4M", NULL);
    unsigned state;
    g_assert_cmpuint(virtio_guest_reg(g, 8), ==, 24);
    g_assert_true(virtio_guest_start(g, F_UNPLUGGED_INACCESSIBLE, 1));
    g_assert_cmphex(config(g, 0), ==, BLOCK);
    g_assert_cmphex(config(g, 16), ==, AREA);
    g_assert_cmphex(config(g, 24), ==, 16 * MIB);
    g_assert_cmphex(config(g, 48), ==, 4 * MIB);
    g_assert_cmpuint(ask(g, PLUG, AREA, 2, NULL), ==, ACK);
    g_assert_cmphex(config(g, 40), ==, 4 * MIB);
    g_assert_cmpuint(ask(g, PLUG, AREA, 1, NULL), ==, ERROR);                   /* there already */
    g_assert_cmpuint(ask(g, PLUG, AREA + 2 * BLOCK, 1, NULL), ==, NACK);        /* more than asked for */
    g_assert_cmpuint(ask(g, PLUG, AREA + 100, 1, NULL), ==, ERROR);
    g_assert_cmpuint(ask(g, PLUG, AREA + 16 * MIB, 1, NULL), ==, ERROR);
    g_assert_cmpuint(ask(g, PLUG, UINT64_MAX & ~(uint64_t)(BLOCK - 1), 65535, NULL), ==, ERROR);
    g_assert_cmpuint(ask(g, 9, AREA, 1, NULL), ==, ERROR);
    g_assert_cmpuint(ask(g, STATE, AREA, 2, &state), ==, ACK);
    g_assert_cmpuint(state, ==, 0);
    g_assert_cmpuint(ask(g, STATE, AREA, 3, &state), ==, ACK);
    g_assert_cmpuint(state, ==, 2);
    uint32_t word = 0x12345678;
    as_write(g->t->vm->memory, AREA + BLOCK, &word, 4);
    g_assert_false(memory_device_may_go(g->card, NULL));
    g_assert_cmpuint(ask(g, UNPLUG, AREA + BLOCK, 1, NULL), ==, ACK);
    as_read(g->t->vm->memory, AREA + BLOCK, &word, 4);
    g_assert_cmphex(word, ==, 0);                                               /* given back to the host */
    g_assert_true(object_set_string(&g->card->object, "requested-size", "16M", &error));
    g_assert_false(object_set_string(&g->card->object, "requested-size", "1M", NULL));
    g_assert_false(object_set_string(&g->card->object, "requested-size", "32M", NULL));
    g_assert_cmpuint(ask(g, PLUG, AREA + BLOCK, 7, NULL), ==, ACK);
    g_assert_cmpuint(memory_area_plugged(g->t->vm), ==, 16 * MIB);
    g_assert_cmpuint(ask(g, UNPLUG_ALL, 0, 0, NULL), ==, ACK);
    g_assert_cmpuint(memory_area_plugged(g->t->vm), ==, 0);
    g_assert_true(memory_device_may_go(g->card, NULL));
}

static void test_pmem(void)
{
    g_autoptr(VirtioGuest) g = virtio_guest_on(machine(64 * MIB), "virtio-pmem", "memdev", "m", NULL);
    g_assert_cmpuint(virtio_guest_reg(g, 8), ==, 27);
    g_assert_true(virtio_guest_start(g, 0, 1));
    g_assert_cmphex(config(g, 0), ==, AREA);
    g_assert_cmphex(config(g, 8), ==, 16 * MIB);
    for (uint32_t type = 0; type < 2; type++) {                                 /* flush; nothing that exists */
        uint64_t pa = virtio_guest_room(g, 8);
        uint32_t word = GUINT32_TO_LE(type);
        GuestUsed u;
        virtio_guest_poke(g, pa, &word, 4);
        virtio_guest_offer(g, 0, (GuestBuffer[]){{pa, 4, false}, {pa + 4, 4, true}}, 2);
        virtio_guest_kick(g, 0);
        for (int64_t end = g_get_monotonic_time() + 5000000; !virtio_guest_used(g, 0, &u); g_usleep(200)) {
            loop_step(g->t->loop, false);
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
        virtio_guest_peek(g, pa + 4, &word, 4);
        g_assert_cmphex(word, ==, type ? UINT32_MAX : 0);
    }
}

static void test_places(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TestDevice) t = machine(20 * MIB);
    MemoryArea *a = memory_area_of(t->vm);
    MemoryDevice m[4] = {0};
    for (unsigned i = 0; i < 4; i++) {
        m[i] = (MemoryDevice){.dev = device_make(t->vm, "acpi-memory-hotplug"), .kind = MEMORY_DIMM, .size = 4 * MIB, .slot = -1,
                              .region = mem_container(&t->vm->root, "part", 4 * MIB)};
    }
    g_assert_true(memory_device_place(&m[0], &error));
    m[1].addr = AREA + 8 * MIB;
    g_assert_true(memory_device_place(&m[1], &error));
    g_assert_false(memory_device_place(&m[2], &error));         /* two slots */
    g_clear_error(&error);
    memory_device_remove(&m[0]);
    g_assert_null(memory_device_in_slot(a, 0));
    m[2].align = 8 * MIB;
    m[2].size = 12 * MIB;
    g_assert_true(memory_device_place(&m[2], &error));
    g_assert_cmpint(m[2].slot, ==, 0);
    g_assert_cmphex(m[2].addr, ==, AREA + 16 * MIB);            /* behind the second */
    m[3].kind = MEMORY_VIRTIO_PMEM;
    m[3].size = 8 * MIB;
    g_assert_false(memory_device_place(&m[3], &error));         /* more than maxmem */
    g_clear_error(&error);
    m[3].size = 4 * MIB;
    g_assert_true(memory_device_place(&m[3], &error));
    g_assert_cmphex(m[3].addr, ==, AREA);
    for (unsigned i = 1; i < 4; i++)
        memory_device_remove(&m[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-mem/requests", test_mem);
    g_test_add_func("/virtio-pmem/flush", test_pmem);
    g_test_add_func("/memory-area/places", test_places);
    return g_test_run();
}
