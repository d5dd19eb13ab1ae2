/* SPDX-License-Identifier: Apache-2.0 */
/* Sound controllers as a driver sees them. Specs: High Definition Audio 1.0a; Intel 82801AA. */
#include <string.h>
#include "audio/audio.h"
#include "core/testing.h"
#include "hw/pci.h"

enum { CORB = 0x1000, RIRB = 0x2000, LIST = 0x3000, DATA = 0x4000, POSITIONS = 0x5000, BYTES = 0x800 };

static uint32_t get(TestDevice *t, uint64_t at)
{
    uint32_t v = 0;
    as_read(t->vm->memory, at, &v, 4);
    return GUINT32_FROM_LE(v);
}

static void put(TestDevice *t, uint64_t at, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    as_write(t->vm->memory, at, &v, 4);
}

static TestDevice *card(const char *type)
{
    TestDevice *t = test_device(type);
    pci_config_write((PciDevice *)t->dev, PCI_COMMAND, 7, 2);
    loop_run_posts(t->loop);
    return t;
}

static TestDevice *hda(void)
{
    TestDevice *t = card("intel-hda");
    g_autoptr(GError) error = NULL;
    Device *d = device_new(t->vm, "hda-duplex", NULL);
    g_assert_true(device_realize(d, bus_find(t->vm, NULL, "HDA"), &error));
    test_write(t, "GCTL", 1);
    return t;
}

static uint32_t immediate(TestDevice *t, uint32_t command)
{
    test_write(t, "ICOI", command);
    test_write(t, "ICIS", 3);
    g_assert_cmphex(test_read(t, "ICIS"), ==, 2);
    return test_read(t, "ICII");
}

static void test_codec(void)
{
    g_autoptr(TestDevice) t = hda();
    g_assert_cmphex(test_read(t, "GCAP"), ==, 0x4401);
    g_assert_cmphex(test_read(t, "STATESTS"), ==, 1);
    g_assert_cmphex(immediate(t, 0x000f0000), ==, 0x1af40022);
    g_assert_cmphex(immediate(t, 0x001f0004), ==, 0x00020004);
    g_assert_cmphex(immediate(t, 0x002f0009), ==, 0x1d);
    immediate(t, 0x0023b012);                           /* amplifier: both, 0x12 */
    g_assert_cmphex(immediate(t, 0x002b8000), ==, 0x12);
    immediate(t, 0x00224011);
    g_assert_cmphex(immediate(t, 0x002a0000), ==, 0x4011);
    test_write(t, "GCTL", 0);
    g_assert_cmphex(test_read(t, "STATESTS"), ==, 0);
    test_write(t, "GCTL", 1);
    g_assert_cmphex(immediate(t, 0x002b8000), ==, 0x4a);
    test_write(t, "ICOI", 0x300f0000);                  /* nobody at 3 */
    test_write(t, "ICIS", 3);
    g_assert_cmphex(test_read(t, "ICIS"), ==, 0);
}

static void test_rings(void)
{
    g_autoptr(TestDevice) t = hda();
    test_write(t, "CORBLBASE", CORB);
    test_write(t, "RIRBLBASE", RIRB);
    test_write(t, "RINTCNT", 2);
    test_write(t, "RIRBCTL", 3);
    test_write(t, "INTCTL", 0xc0000000);
    for (unsigned i = 1; i <= 3; i++)
        put(t, CORB + 4 * i, 0x000f0000 | (i - 1) * 2);
    test_write(t, "CORBWP", 3);
    test_write(t, "CORBCTL", 2);
    /* The third waits until the interrupt for two has been seen. */
    g_assert_cmphex(test_read(t, "RIRBWP"), ==, 2);
    g_assert_cmphex(test_read(t, "INTSTS"), ==, 0xc0000000);
    g_assert_cmphex(get(t, RIRB + 8), ==, 0x1af40022);
    g_assert_cmphex(get(t, RIRB + 16), ==, 0x100101);
    test_write(t, "RIRBSTS", 1);
    g_assert_cmphex(test_read(t, "RIRBWP"), ==, 3);
    g_assert_cmphex(get(t, RIRB + 24), ==, 0x10001);
    test_write(t, "RIRBSTS", 1);
    g_assert_cmphex(test_read(t, "INTSTS"), ==, 0);
}

/* Two buffers, the second of which asks for an interrupt; 48 kHz stereo is 192 bytes a millisecond. */
static void test_stream(void)
{
    g_autoptr(TestDevice) t = hda();
    for (unsigned i = 0; i < 2; i++) {
        put(t, LIST + 16 * i, DATA + BYTES * i);
        put(t, LIST + 16 * i + 8, BYTES);
        put(t, LIST + 16 * i + 12, i);
    }
    test_write(t, "DPLBASE", POSITIONS | 1);
    test_write(t, "INTCTL", 0x80000010);
    test_write(t, "SDCTL2[4]", 0x10);
    test_write(t, "SDCBL[4]", 2 * BYTES);
    test_write(t, "SDLVI[4]", 1);
    test_write(t, "SDFMT[4]", 0x11);
    test_write(t, "SDBDPL[4]", LIST);
    test_write(t, "SDCTL[4]", 6);
    test_clock_step_ns(t, 10000000);
    g_assert_cmpuint(test_read(t, "SDLPIB[4]"), ==, 1920);
    g_assert_cmpuint(get(t, POSITIONS + 32), ==, 1920);
    g_assert_cmphex(test_read(t, "INTSTS"), ==, 0);
    test_move(t);
    pci_config_write((PciDevice *)t->dev, PCI_COMMAND, 7, 2);
    test_clock_step_ns(t, 12000000);
    g_assert_cmpuint(test_read(t, "SDLPIB[4]"), ==, 22 * 192 - 2 * BYTES);
    g_assert_cmphex(test_read(t, "SDSTS[4]"), ==, 0x24);
    g_assert_cmphex(test_read(t, "INTSTS"), ==, 0x80000010);
    test_write(t, "SDSTS[4]", 4);
    g_assert_cmphex(test_read(t, "INTSTS"), ==, 0);
    test_write(t, "SDCTL[4]", 0);
    test_clock_step(t, 1);
    g_assert_cmpuint(test_read(t, "SDLPIB[4]"), ==, 22 * 192 - 2 * BYTES);
    test_write(t, "SDCTL[4]", 1);
    g_assert_cmpuint(test_read(t, "SDLPIB[4]"), ==, 0);
}

/* Recording fills memory with silence. */
static void test_record(void)
{
    g_autoptr(TestDevice) t = hda();
    put(t, LIST, DATA);
    put(t, LIST + 8, BYTES);
    for (unsigned i = 0; i < BYTES; i += 4)
        put(t, DATA + i, UINT32_MAX);
    test_write(t, "SDCBL[0]", BYTES);
    test_write(t, "SDFMT[0]", 0x11);
    test_write(t, "SDBDPL[0]", LIST);
    test_write(t, "SDCTL[0]", 2);
    test_clock_step_ns(t, 5000000);
    g_assert_cmpuint(test_read(t, "SDLPIB[0]"), ==, 960);
    g_assert_cmphex(get(t, DATA + 956), ==, 0);
    g_assert_cmphex(get(t, DATA + 960), ==, UINT32_MAX);
}

static void test_mixer(void)
{
    g_autoptr(TestDevice) t = card("AC97");
    g_assert_cmphex(test_read_at(t, 0x7c, 4), ==, 0x76008384);
    g_assert_cmphex(test_read_at(t, 0x02, 2), ==, 0x8000);
    test_write_at(t, 0x02, 2, 0xffff);
    g_assert_cmphex(test_read_at(t, 0x02, 2), ==, 0xbf3f);
    test_write_at(t, 0x2c, 2, 22050);
    g_assert_cmpuint(test_read_at(t, 0x2c, 2), ==, 22050);
    test_write_at(t, 0x2a, 2, 0);                       /* no variable rates: 48 kHz */
    g_assert_cmpuint(test_read_at(t, 0x2c, 2), ==, 48000);
    g_assert_cmphex(test_read(t, "CAS"), ==, 0);
    g_assert_cmphex(test_read(t, "CAS"), ==, 1);
    test_write_at(t, 0, 2, 0);
    g_assert_cmphex(test_read_at(t, 0x02, 2), ==, 0x8000);
    g_assert_cmphex(test_read(t, "CAS"), ==, 0);
}

/* Two buffers of 10 ms; the box halts behind the last and goes on when there are more. */
static void test_box(void)
{
    g_autoptr(TestDevice) t = card("AC97");
    for (unsigned i = 0; i < 3; i++) {
        put(t, LIST + 8 * i, DATA + BYTES * i);
        put(t, LIST + 8 * i + 4, 960 | (i ? 0 : 1u << 31));
    }
    test_write(t, "BDBAR[1]", LIST);
    test_write(t, "LVI[1]", 1);
    test_write(t, "CR[1]", 0x15);
    test_clock_step_ns(t, 5000000);
    g_assert_cmpuint(test_read(t, "PICB[1]"), ==, 480);
    g_assert_cmpuint(test_read(t, "CIV[1]"), ==, 0);
    test_clock_step_ns(t, 6000000);
    g_assert_cmpuint(test_read(t, "CIV[1]"), ==, 1);
    g_assert_cmphex(test_read(t, "SR[1]"), ==, 8);
    g_assert_cmphex(test_read(t, "GLOB_STA"), ==, 0x140);
    test_write(t, "SR[1]", 8);
    g_assert_cmphex(test_read(t, "GLOB_STA"), ==, 0x100);
    test_clock_step_ns(t, 20000000);
    g_assert_cmphex(test_read(t, "SR[1]"), ==, 7);
    test_write(t, "SR[1]", 4);
    test_write(t, "LVI[1]", 2);
    g_assert_cmphex(test_read(t, "SR[1]"), ==, 0);
    g_assert_cmpuint(test_read(t, "CIV[1]"), ==, 2);
    /* A pause loses nothing. */
    test_clock_step_ns(t, 5000000);
    test_write(t, "CR[1]", 0x14);
    test_clock_step(t, 1);
    test_write(t, "CR[1]", 0x15);
    g_assert_cmpuint(test_read(t, "PICB[1]"), ==, 480);
    test_write(t, "CR[1]", 0);
    test_write(t, "CR[1]", 2);
    g_assert_cmphex(test_read(t, "SR[1]"), ==, 1);
}

/* Whatever stands in memory and registers, a card stays within bounds and time goes on. */
static void test_noise(void)
{
    static const char *const types[] = {"intel-hda", "AC97"};
    GRand *rand = g_rand_new_with_seed(7);
    for (unsigned round = 0; round < 40; round++) {
        g_autoptr(TestDevice) t = round & 1 ? card(types[1]) : hda();
        const DeviceType *type = device_type(t->dev);
        for (unsigned at = 0; at < 0x8000; at += 4)
            put(t, at, g_rand_int(rand) & (g_rand_boolean(rand) ? 0x80007ff0 : UINT32_MAX));
        for (unsigned i = 0; i < 200; i++) {
            const Reg *r = &type->regs[g_rand_int(rand) % type->n_regs];
            unsigned width = r->width ? r->width : 4, e = r->count ? g_rand_int(rand) % r->count : 0;
            uint64_t at = r->at + e * (r->stride ? r->stride : width);
            uint32_t v = g_rand_int(rand);
            if (strcmp(r->name, "GCTL") == 0)
                v |= 1;
            test_write_at(t, at, width, g_rand_boolean(rand) ? v & 0x7fff : v);
            test_read_at(t, at, width);
            if (i % 10 == 0)
                test_clock_step_ns(t, g_rand_int_range(rand, 1, 5000000));
        }
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hda/codec", test_codec);
    g_test_add_func("/hda/rings", test_rings);
    g_test_add_func("/hda/stream", test_stream);
    g_test_add_func("/hda/record", test_record);
    g_test_add_func("/ac97/mixer", test_mixer);
    g_test_add_func("/ac97/box", test_box);
    g_test_add_func("/sound/noise", test_noise);
    return g_test_run();
}
