/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI test device: counts writes, with and without doorbells. Spec: QEMU's docs/specs/pci-testdev. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "hw/pci.h"
#include "util/error.h"

enum {
    WINDOW = 4096, IO_WINDOW = 256, TESTS = 3, DATA = 0xfa, WIDTH = 1,
    TEST = 0, COUNT = 12, NAME = 16, MEM_TARGET = 2048, IO_TARGET = 128,
};
typedef enum How { PLAIN, WILDCARD, MATCH } How;
static const char *const names[2][TESTS] = {
    {"mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd"},
    {"portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd"},
};

typedef struct TestDev {
    PciDevice pci;
    uint32_t test[2], count[2];     /* memory, ports; the number selected, 255 none */
    int fd[2];
    LoopFd *watch[2];
    uint64_t membar;
    bool membar_backed;
} TestDev;

static unsigned target(unsigned space) { return space ? IO_TARGET : MEM_TARGET; }

/* What the guest reads first: packed {u8 test, u8 width, u16 0, u32 offset, u8 data, u24 0, u32 count,
 * name}. */
static void header(TestDev *s, unsigned space, uint8_t h[64])
{
    memset(h, 0, 64);
    h[TEST] = s->test[space];
    if (s->test[space] >= TESTS)
        return;
    h[1] = WIDTH;
    h[4] = target(space);
    h[5] = target(space) >> 8;
    h[8] = DATA;
    for (unsigned i = 0; i < 4; i++)
        h[COUNT + i] = s->count[space] >> 8 * i;
    g_strlcpy((char *)h + NAME, names[space][s->test[space]], 64 - NAME);
}

static void counted(int fd, GIOCondition ready, void *data)
{
    TestDev *s = data;
    uint64_t n;
    if (read(fd, &n, sizeof(n)) == sizeof(n)) {
        device_lock(&s->pci.dev);
        s->count[fd == s->fd[1]] += n;
        device_unlock(&s->pci.dev);
    }
}

static void doorbell(TestDev *s, unsigned space, bool on)
{
    How how = s->test[space] < TESTS ? (How)s->test[space] : PLAIN;
    MemRegion *r = pci_bar_region(&s->pci, space);
    if (how == PLAIN)
        return;
    (on ? mem_add_eventfd : mem_del_eventfd)(r, target(space), WIDTH, how == MATCH, DATA, s->fd[space]);
}

static void select_test(TestDev *s, unsigned space, unsigned test)
{
    doorbell(s, space, false);
    s->test[space] = test < TESTS ? test : 255;
    s->count[space] = 0;
    doorbell(s, space, true);
}

static uint64_t read_space(TestDev *s, unsigned space, uint64_t at, unsigned size)
{
    uint8_t h[64];
    uint64_t v = 0;
    header(s, space, h);
    if (at + size <= sizeof(h))
        memcpy(&v, h + at, size);
    return v;
}

static void write_space(TestDev *s, unsigned space, uint64_t at, uint64_t value, unsigned size)
{
    if (at == TEST)
        select_test(s, space, value & 0xff);
    else if (at == target(space) && size == WIDTH && s->test[space] < TESTS &&
             (s->test[space] != MATCH || value == DATA))
        s->count[space]++;
}

static uint64_t read_mem(void *s, uint64_t at, unsigned size) { return read_space(s, 0, at, size); }
static uint64_t read_io(void *s, uint64_t at, unsigned size) { return read_space(s, 1, at, size); }
static void write_mem(void *s, uint64_t at, uint64_t v, unsigned size) { write_space(s, 0, at, v, size); }
static void write_io(void *s, uint64_t at, uint64_t v, unsigned size) { write_space(s, 1, at, v, size); }
static const MemOps mem_ops = {.read = read_mem, .write = write_mem};
static const MemOps io_ops = {.read = read_io, .write = write_io};

static bool realize(Device *d, GError **error)
{
    TestDev *s = (TestDev *)d;
    for (unsigned i = 0; i < 2; i++) {
        s->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->test[i] = 255;
        s->watch[i] = loop_add_fd(d->object.vm->loop, s->fd[i], G_IO_IN, counted, s);
    }
    PciBar bar = {.kind = PCI_BAR_PREF64, .size = s->membar, .name = "pci-testdev-membar",
                  .ram = s->membar_backed};
    if (s->membar & (s->membar - 1))
        return error_set(error, "pci-testdev: membar must be a power of 2");
    return !s->membar || pci_add_bar(&s->pci, 2, &bar, NULL, error);
}

static void unrealize(Device *d)
{
    TestDev *s = (TestDev *)d;
    for (unsigned i = 0; i < 2; i++) {
        if (!s->watch[i])
            continue;
        doorbell(s, i, false);
        loop_fd_free(s->watch[i]);
        s->watch[i] = NULL;
        close(s->fd[i]);
    }
}

/* Members have gone to 0 already, the doorbells not. */
static void reset(Device *d)
{
    TestDev *s = (TestDev *)d;
    for (unsigned i = 0; i < 2; i++)
        select_test(s, i, 255);
}

static const Field fields[] = {
    HOST(TestDev, test), HOST(TestDev, count), HOST(TestDev, fd), HOST(TestDev, watch),
    PROP(TestDev, membar, "membar", PROP_SIZE, .desc = "Size of a memory BAR"),
    PROP(TestDev, membar_backed, "membar-backed", PROP_BOOL, .desc = "The memory BAR is RAM"),
};
static const PciInfo info = {
    .vendor = 0x1b36, .device = 0x0005, .class = 0x00ff00,
    .bar = {{.kind = PCI_BAR_MEM32, .size = WINDOW, .name = "pci-testdev-mmio", .ops = &mem_ops},
            {.kind = PCI_BAR_IO, .size = IO_WINDOW, .name = "pci-testdev-portio", .ops = &io_ops}},
};
static const DeviceType testdev = {
    .name = "pci-testdev", .parent = "pci-device", .desc = "PCI test device", .size = sizeof(TestDev),
    .pluggable = true, .hotpluggable = true, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .reset = reset, .pci = &info,
};
DEVICE_TYPE(testdev);
