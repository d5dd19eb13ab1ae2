/* SPDX-License-Identifier: Apache-2.0 */
/* The DMA controllers as a PC's software programs them. */
#include <string.h>
#include "core/testing.h"
#include "hw/isa.h"

typedef struct Rig {
    TestDevice *t;
    Bus *isa;
    Device *user;
} Rig;

static unsigned calls;
static void ready(Device *user) { calls++; }

static void rig_clear(Rig *r) { test_device_free(r->t); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_clear)

static void start(Rig *r)
{
    const Pin none[ISA_IRQS] = {{0}};
    r->t = test_machine();
    r->isa = isa_bus_new(r->t->vm, none);
    isa_dma_new(r->isa);
    r->user = isa_bus_dma(r->isa, 0);
    calls = 0;
}

static void out(Rig *r, uint16_t port, uint8_t v) { as_store(r->t->vm->io, port, 1, v); }

static uint8_t in(Rig *r, uint16_t port)
{
    uint64_t v;
    as_load(r->t->vm->io, port, 1, &v);
    return v;
}

/* Channel 2 as a floppy's, or 6 with words. */
static void program(Rig *r, bool wide, uint8_t mode, uint8_t page, uint16_t address, uint16_t count)
{
    uint16_t base = wide ? 0xc0 : 0, step = wide ? 2 : 1;
    out(r, base + 10 * step, 6);
    out(r, base + 12 * step, 0);
    out(r, base + 11 * step, mode | 2);
    out(r, base + 4 * step, address);
    out(r, base + 4 * step, address >> 8);
    out(r, base + 5 * step, count);
    out(r, base + 5 * step, count >> 8);
    out(r, wide ? 0x89 : 0x81, page);
    out(r, base + 10 * step, 2);
}

static void test_registers(void)
{
    g_auto(Rig) r = {0};
    start(&r);
    g_assert_cmphex(in(&r, 15), ==, 0xff);
    program(&r, false, 0x44, 5, 0x1234, 0x00ff);
    g_assert_cmphex(in(&r, 15), ==, 0xfb);
    out(&r, 12, 0);
    g_assert_cmphex(in(&r, 4), ==, 0x34);
    g_assert_cmphex(in(&r, 4), ==, 0x12);
    g_assert_cmphex(in(&r, 0x81), ==, 5);
    out(&r, 13, 0);
    g_assert_cmphex(in(&r, 15), ==, 0xff);
    out(&r, 14, 0);
    g_assert_cmphex(in(&r, 15), ==, 0xf0);
    out(&r, 9, 5);
    g_assert_cmphex(in(&r, 8), ==, 0x20);
}

static void test_bytes(void)
{
    g_auto(Rig) r = {0};
    char from[300], to[300] = {0};
    bool end;
    start(&r);
    for (unsigned i = 0; i < sizeof(from); i++)
        from[i] = i * 7;
    /* A transfer across the page's end wraps within it. */
    program(&r, false, 0x44, 3, 0xffc0, 127);
    g_assert_cmpuint(isa_dma_move(r.isa, 2, from, 100, true, &end), ==, 100);
    g_assert_false(end);
    g_assert_cmpuint(isa_dma_move(r.isa, 2, from + 100, 200, true, &end), ==, 28);
    g_assert_true(end);
    g_assert_cmphex(in(&r, 8), ==, 4);
    g_assert_cmphex(in(&r, 8), ==, 0);
    g_assert_cmphex(in(&r, 15), ==, 0xff);
    as_read(r.t->vm->memory, 0x3ffc0, to, 64);
    as_read(r.t->vm->memory, 0x30000, to + 64, 64);
    g_assert_cmpmem(from, 128, to, 128);
    /* Back, with the count set again by itself. */
    program(&r, false, 0x58, 3, 0xffc0, 63);
    for (unsigned i = 0; i < 3; i++) {
        memset(to, 0, sizeof(to));
        g_assert_cmpuint(isa_dma_move(r.isa, 2, to, 300, false, &end), ==, 64);
        g_assert_true(end);
        g_assert_cmpmem(from, 64, to, 64);
    }
    /* Downwards, and only counting. */
    program(&r, false, 0x68, 3, 3, 3);
    isa_dma_move(r.isa, 2, to, 4, false, &end);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmpint(to[i], ==, from[64 + 3 - i]);
    program(&r, false, 0x40, 3, 0, 9);
    g_assert_cmpuint(isa_dma_move(r.isa, 2, from, 300, true, &end), ==, 10);
}

static void test_words(void)
{
    g_auto(Rig) r = {0};
    char from[16] = "sixteen bytes..", to[16];
    bool end;
    start(&r);
    program(&r, true, 0x44, 5, 0x8000, 7);
    g_assert_cmpuint(isa_dma_move(r.isa, 6, from, 16, true, &end), ==, 16);
    g_assert_true(end);
    as_read(r.t->vm->memory, 0x50000, to, 16);
    g_assert_cmpmem(from, 16, to, 16);
}

/* A device that waits hears when its channel is opened. */
static void test_request(void)
{
    g_auto(Rig) r = {0};
    g_autoptr(GError) error = NULL;
    char byte = 1;
    bool end;
    start(&r);
    g_assert_true(isa_dma_attach(r.isa, 2, r.user, ready, &error));
    g_assert_false(isa_dma_attach(r.isa, 2, r.user, ready, NULL));
    g_assert_false(isa_dma_attach(r.isa, 4, r.user, ready, NULL));
    g_assert_cmpuint(isa_dma_move(r.isa, 2, &byte, 1, true, &end), ==, 0);
    isa_dma_request(r.isa, 2, true);
    g_assert_cmphex(in(&r, 8), ==, 0x40);
    g_assert_cmpuint(calls, ==, 0);
    out(&r, 8, 4);
    program(&r, false, 0x44, 0, 0, 0);
    g_assert_cmpuint(calls, ==, 0);             /* the controller is off */
    out(&r, 8, 0);
    g_assert_cmpuint(calls, ==, 1);
    isa_dma_request(r.isa, 2, false);
    isa_dma_detach(r.isa, 2, r.user);
    g_assert_true(isa_dma_attach(r.isa, 2, r.user, ready, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8257/registers", test_registers);
    g_test_add_func("/i8257/bytes", test_bytes);
    g_test_add_func("/i8257/words", test_words);
    g_test_add_func("/i8257/request", test_request);
    return g_test_run();
}
