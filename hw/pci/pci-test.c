/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of PCI: configuration space, BARs, interrupts, DMA, slots, as a guest sees them through ECAM. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core/testing.h"
#include "hw/pci-host.h"

typedef struct Rig {
    TestDevice *t;
    PciBus *bus;
    MsiTarget target;
    MsiMessage last;
    unsigned messages;
    int fd;                     /* of the one route; -1: none */
    MsiMessage routed;
    unsigned changes, commits;
    bool blocked;
    Device *sink;
} Rig;

/* Where the four lines end. */
typedef struct Sink {
    Device dev;
    uint32_t levels;
} Sink;
static void sink_pin(Device *d, uint32_t n, bool level)
{
    Sink *s = (Sink *)d;
    s->levels = (s->levels & ~(1u << n)) | (uint32_t)level << n;
}
static const Field sink_fields[] = {SAVED(Sink, levels)};
static const DeviceType sink_type = {.name = "test-line-sink", .size = sizeof(Sink), .pin = sink_pin,
                                     .intc_domain = true, FIELDS(sink_fields), .n_pins = 4};
DEVICE_TYPE(sink_type);

static void send(void *opaque, const MsiMessage *m)
{
    Rig *r = opaque;
    r->last = *m;
    r->messages++;
}

static Rig *rig_new(void)
{
    Rig *r = g_new0(Rig, 1);
    r->fd = -1;
    r->t = test_machine();
    r->target = (MsiTarget){.send = send, .opaque = r};
    r->sink = device_make(r->t->vm, "test-line-sink");
    GpexConfig c = {.ecam = TEST_ECAM, .buses = 16, .mmio32 = {0x40000000, 0x40000000},
                    .mmio64 = {1ull << 40, 1ull << 40}, .msi = &r->target};
    for (unsigned n = 0; n < 4; n++)
        c.irq[n] = device_pin(r->sink, n);
    r->bus = gpex_new(r->t->vm, &c);
    return r;
}

static void rig_free(Rig *r)
{
    test_device_free(r->t);
    g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

static uint64_t load(Rig *r, uint64_t pa, unsigned size)
{
    uint64_t v;
    as_load(r->t->vm->memory, pa, size, &v);
    return v;
}
static void store(Rig *r, uint64_t pa, unsigned size, uint64_t v)
{
    as_store(r->t->vm->memory, pa, size, v);
    loop_run_posts(r->t->loop);
}
static uint64_t ecam(const PciDevice *p, unsigned at)
{
    return TEST_ECAM + ((uint64_t)pci_requester(p) << 12) + at;
}
static uint32_t cfg(Rig *r, const PciDevice *p, unsigned at, unsigned size) { return load(r, ecam(p, at), size); }
static void set_cfg(Rig *r, const PciDevice *p, unsigned at, unsigned size, uint32_t v) { store(r, ecam(p, at), size, v); }

enum { BAR = 0x50000000, ALL = PCI_COMMAND_MEM | PCI_COMMAND_MASTER | PCI_COMMAND_IO };

static PciDevice *edu_at(Rig *r, unsigned slot)
{
    PciDevice *p = pci_make(r->bus, "edu", slot, 0);
    set_cfg(r, p, PCI_BAR0, 4, BAR);
    set_cfg(r, p, PCI_COMMAND, 2, ALL);
    return p;
}

static void header(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = pci_make(r->bus, "edu", 3, 0);
    g_assert_cmphex(cfg(r, p, 0, 4), ==, 0x11e81234);
    g_assert_cmphex(cfg(r, p, PCI_REVISION, 4), ==, 0x00ff0010);
    g_assert_cmphex(cfg(r, p, PCI_SUBVENDOR, 4), ==, 0x11001af4);
    set_cfg(r, p, 0, 4, 0);
    g_assert_cmphex(cfg(r, p, 0, 2), ==, 0x1234);
    /* Nobody home; a bus that does not exist. */
    g_assert_cmphex(load(r, TEST_ECAM + (9 << 15), 4), ==, 0xffffffff);
    g_assert_cmphex(load(r, TEST_ECAM + (5 << 20), 2), ==, 0xffff);
    /* Conventional functions have nothing beyond 256 bytes. */
    g_assert_cmphex(cfg(r, p, 0x100, 4), ==, 0xffffffff);
    /* The capability list ends. */
    uint8_t at = cfg(r, p, PCI_CAP_LIST, 1);
    g_assert_cmphex(cfg(r, p, at, 1), ==, PCI_CAP_MSI);
    g_assert_cmphex(cfg(r, p, at + 1, 1), ==, 0);
    g_assert_true(cfg(r, p, PCI_STATUS, 2) & PCI_STATUS_CAPS);
}

static void bars(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = pci_make(r->bus, "edu", 3, 0);
    set_cfg(r, p, PCI_BAR0, 4, 0xffffffff);
    g_assert_cmphex(cfg(r, p, PCI_BAR0, 4), ==, 0xfff00000);
    set_cfg(r, p, PCI_BAR0, 4, BAR);
    g_assert_cmphex(pci_bar_address(p, 0), ==, UINT64_MAX);
    set_cfg(r, p, PCI_COMMAND, 2, PCI_COMMAND_MEM);
    g_assert_cmphex(load(r, BAR, 4), ==, 0x010000ed);
    store(r, BAR + 4, 4, 0x12345678);
    g_assert_cmphex(load(r, BAR + 4, 4), ==, 0xedcba987);
    set_cfg(r, p, PCI_BAR0 + 2, 2, 0x6000);
    g_assert_cmphex(load(r, 0x60000000, 4), ==, 0x010000ed);
    g_assert_cmphex(load(r, BAR, 4), ==, 0);
    set_cfg(r, p, PCI_COMMAND, 1, 0);
    g_assert_cmphex(load(r, 0x60000000, 4), ==, 0);
}

static void big_bar(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autoptr(GError) error = NULL;
    PciDevice *p = pci_draft(r->t->vm, "pci-testdev", 4, 0);
    g_assert_true(object_set_string(&p->dev.object, "membar", "8G", &error));
    g_assert_true(device_realize(&p->dev, &r->bus->bus, &error));
    set_cfg(r, p, 0x18, 4, 0xffffffff);
    set_cfg(r, p, 0x1c, 4, 0xffffffff);
    g_assert_cmphex(cfg(r, p, 0x18, 4), ==, 0xc);
    g_assert_cmphex(cfg(r, p, 0x1c, 4), ==, 0xfffffffe);
    set_cfg(r, p, 0x18, 4, 0);
    set_cfg(r, p, 0x1c, 4, 0x120);
    set_cfg(r, p, PCI_COMMAND, 2, PCI_COMMAND_MEM);
    g_assert_cmphex(pci_bar_address(p, 2), ==, 0x12000000000);
    /* Ports: sized by four bytes, decoded by their own bit. */
    set_cfg(r, p, 0x14, 4, 0xffffffff);
    g_assert_cmphex(cfg(r, p, 0x14, 4), ==, 0xffffff01);
}

static void testdev(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = pci_make(r->bus, "pci-testdev", 4, 0);
    set_cfg(r, p, PCI_BAR0, 4, BAR);
    set_cfg(r, p, PCI_COMMAND, 2, PCI_COMMAND_MEM);
    for (unsigned test = 0; test < 3; test++) {
        store(r, BAR, 1, test);
        g_assert_cmphex(load(r, BAR + 1, 1), ==, 1);
        uint64_t at = BAR + load(r, BAR + 4, 4);
        uint8_t data = load(r, BAR + 8, 1);
        for (unsigned i = 0; i < 5; i++)
            store(r, at, 1, data);
        store(r, at, 1, data ^ 1);
        while (loop_step(r->t->loop, false))
            ;
        g_assert_cmpuint(load(r, BAR + 12, 4), ==, test == 2 ? 5 : 6);
    }
}

static void intx(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *a = edu_at(r, 3), *b = pci_make(r->bus, "edu", 7, 0);
    Sink *s = (Sink *)r->sink;
    set_cfg(r, b, PCI_BAR0, 4, BAR + 0x100000);
    set_cfg(r, b, PCI_COMMAND, 2, ALL);
    store(r, BAR + 0x60, 4, 1);
    store(r, BAR + 0x100060, 4, 2);
    g_assert_cmphex(s->levels, ==, 1 << 3);
    g_assert_true(cfg(r, a, PCI_STATUS, 2) & PCI_STATUS_INTX);
    store(r, BAR + 0x64, 4, 1);
    g_assert_cmphex(s->levels, ==, 1 << 3);     /* shared with the other */
    set_cfg(r, b, PCI_COMMAND, 2, ALL | PCI_COMMAND_INTX_OFF);
    g_assert_cmphex(s->levels, ==, 0);
    set_cfg(r, b, PCI_COMMAND, 2, ALL);
    g_assert_cmphex(s->levels, ==, 1 << 3);
    device_unplug(&b->dev);
    g_assert_cmphex(s->levels, ==, 0);
    g_assert_cmphex(load(r, TEST_ECAM + (7 << 15), 4), ==, 0xffffffff);
    g_assert_cmphex(load(r, BAR + 0x100000, 4), ==, 0);
}

static void msi(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = edu_at(r, 3);
    unsigned at = pci_find_capability(p, PCI_CAP_MSI);
    set_cfg(r, p, at + MSI_ADDRESS, 4, 0xfee01000);
    set_cfg(r, p, at + MSI_DATA, 2, 0x4041);
    set_cfg(r, p, at + MSI_CONTROL, 2, 1);
    store(r, BAR + 0x60, 4, 1);
    g_assert_cmpuint(r->messages, ==, 1);
    g_assert_cmphex(r->last.address, ==, 0xfee01000);
    g_assert_cmphex(r->last.data, ==, 0x4041);
    g_assert_cmphex(r->last.requester, ==, 3 << 3);
    g_assert_cmphex(((Sink *)r->sink)->levels, ==, 0);
    set_cfg(r, p, PCI_COMMAND, 2, PCI_COMMAND_MEM);     /* messages are DMA */
    store(r, BAR + 0x60, 4, 1);
    g_assert_cmpuint(r->messages, ==, 1);
}

/* ---- MSI-X, by a function of the test's ---- */

static const PciInfo xinfo = {.vendor = 1, .device = 2, .class = 0x088000, .pin = 1, .pm = true,
                              .express = PCIE_ON_EXPRESS, .msix = {.vectors = 70, .bar = 1}};
static const DeviceType xtype = {.name = "test-msix", .parent = "pci-device", .size = sizeof(PciDevice),
                                 .pci = &xinfo};
DEVICE_TYPE(xtype);

static PciDevice *msix_at(Rig *r)
{
    PciDevice *p = pci_make(r->bus, "test-msix", 5, 0);
    set_cfg(r, p, PCI_BAR0 + 4, 4, BAR);
    set_cfg(r, p, PCI_COMMAND, 2, ALL);
    return p;
}

static void msix(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = msix_at(r);
    unsigned at = pci_find_capability(p, PCI_CAP_MSIX);
    uint64_t entry = BAR + (cfg(r, p, at + MSIX_TABLE, 4) & ~7u) + 68 * 16;
    uint64_t pba = BAR + (cfg(r, p, at + MSIX_PBA, 4) & ~7u);
    g_assert_cmphex(cfg(r, p, at + MSIX_CONTROL, 2), ==, 69);
    g_assert_false(pci_notify(p, 68));
    g_assert_cmphex(load(r, entry + 12, 4), ==, 1);
    store(r, entry, 4, 0xfee00000);
    store(r, entry + 8, 4, 0x55);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0x8000);
    g_assert_true(pci_notify(p, 68));
    g_assert_cmpuint(r->messages, ==, 0);
    g_assert_cmphex(load(r, pba + 8, 8), ==, 1 << 4);
    store(r, entry + 12, 4, 0);
    g_assert_cmpuint(r->messages, ==, 1);
    g_assert_cmphex(r->last.data, ==, 0x55);
    g_assert_cmphex(load(r, pba + 8, 8), ==, 0);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0xc000);
    pci_notify(p, 68);
    g_assert_cmpuint(r->messages, ==, 1);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0x8000);
    g_assert_cmpuint(r->messages, ==, 2);
    g_assert_true(pci_notify(p, 999));
    g_assert_cmpuint(r->messages, ==, 2);
}

static int route_add(void *opaque, const MsiMessage *m, int fd)
{
    Rig *r = opaque;
    if (r->fd >= 0)
        return -1;
    r->fd = fd;
    r->routed = *m;
    return 7;
}
static void route_change(void *opaque, int handle, const MsiMessage *m)
{
    Rig *r = opaque;
    g_assert_cmpint(handle, ==, 7);
    r->routed = *m;
    r->changes++;
}
static void route_commit(void *opaque) { ((Rig *)opaque)->commits++; }
static void route_remove(void *opaque, int handle) { ((Rig *)opaque)->fd = -1; }
static bool route_live(void *opaque, int handle) { return !((Rig *)opaque)->blocked; }

static uint64_t signals(const Rig *r)
{
    eventfd_t n = 0;
    return eventfd_read(r->fd, &n) < 0 ? 0 : n;
}

/* An accelerator takes eventfds: vectors get one when they are sent, which follows the table. */
static void msix_by_eventfd(void)
{
    g_autoptr(Rig) r = rig_new();
    r->target.route_add = route_add;
    r->target.route_change = route_change;
    r->target.route_commit = route_commit;
    r->target.route_remove = route_remove;
    r->target.route_live = route_live;
    PciDevice *p = msix_at(r);
    unsigned at = pci_find_capability(p, PCI_CAP_MSIX);
    uint64_t entry = BAR + (cfg(r, p, at + MSIX_TABLE, 4) & ~7u);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0x8000);
    for (unsigned n = 0; n < 2; n++) {
        store(r, entry + n * 16, 4, 0xfee00000 | n << 12);
        store(r, entry + n * 16 + 8, 4, 0x60 + n);
        store(r, entry + n * 16 + 12, 4, 0);
    }
    g_assert_cmpint(r->fd, ==, -1);
    pci_notify(p, 1);
    g_assert_cmphex(r->routed.data, ==, 0x61);
    g_assert_cmpuint(signals(r), ==, 1);
    store(r, entry + 16 + 12, 4, 1);                    /* masked: pending, not signalled */
    pci_notify(p, 1);
    g_assert_cmpuint(signals(r), ==, 0);
    store(r, entry + 16 + 8, 4, 0x71);
    g_assert_cmpuint(r->changes, ==, 0);
    store(r, entry + 16 + 12, 4, 0);                    /* by a CPU's store, which needs no eventfd */
    g_assert_cmpuint(r->messages, ==, 1);
    g_assert_cmphex(r->last.data, ==, 0x71);
    pci_notify(p, 1);
    g_assert_cmphex(r->routed.data, ==, 0x71);
    g_assert_cmpuint(r->changes, ==, 1);
    g_assert_cmpuint(r->commits, ==, 1);
    g_assert_cmpuint(signals(r), ==, 1);
    pci_notify(p, 0);                                   /* there is no room for another */
    g_assert_cmphex(r->last.data, ==, 0x60);
    r->blocked = true;
    pci_notify(p, 1);
    g_assert_cmpuint(r->messages, ==, 3);
    g_assert_cmpuint(signals(r), ==, 0);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0);
    g_assert_cmpint(r->fd, ==, -1);
    set_cfg(r, p, at + MSIX_CONTROL, 2, 0x8000);
    r->blocked = false;
    pci_notify(p, 1);
    g_assert_cmpuint(signals(r), ==, 1);
    device_reset(&p->dev);
    g_assert_cmpint(r->fd, ==, -1);
}

static void express_and_power(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = msix_at(r);
    unsigned at = pci_find_capability(p, PCI_CAP_EXPRESS), pm = pci_find_capability(p, PCI_CAP_PM);
    g_assert_cmphex(cfg(r, p, at + PCIE_FLAGS, 2), ==, 2 | PCIE_INTEGRATED << 4);
    g_assert_cmphex(cfg(r, p, 0x100, 4), ==, 0);
    g_assert_cmphex(pci_bar_address(p, 1), ==, BAR);
    set_cfg(r, p, pm + PM_CONTROL, 2, 3);
    g_assert_cmphex(pci_bar_address(p, 1), ==, UINT64_MAX);
    g_assert_false(pci_is_master(p));
    set_cfg(r, p, pm + PM_CONTROL, 2, 0);
    g_assert_cmphex(pci_bar_address(p, 1), ==, BAR);
}

static void state(void)
{
    g_autoptr(Rig) a = rig_new();
    g_autoptr(Rig) b = rig_new();
    g_autoptr(GError) error = NULL;
    PciDevice *p = msix_at(a), *q = pci_make(b->bus, "test-msix", 5, 0);
    store(a, BAR + 8, 4, 0x77);
    pci_intx(p, true);
    g_autoptr(GBytes) saved = device_save(&p->dev);
    g_assert_true(device_load(&q->dev, saved, &error));
    g_assert_cmphex(load(b, BAR + 8, 4), ==, 0x77);
    g_assert_cmphex(((Sink *)b->sink)->levels, ==, 1 << 1);
    device_reset(&q->dev);
    g_assert_cmphex(load(b, BAR + 8, 4), ==, 0);
    g_assert_cmphex(((Sink *)b->sink)->levels, ==, 0);
    g_assert_cmphex(cfg(b, q, PCI_COMMAND, 2), ==, 0);
}

static void dma(void)
{
    g_autoptr(Rig) r = rig_new();
    PciDevice *p = edu_at(r, 3);
    store(r, 0x1000, 8, 0x1122334455667788);
    for (unsigned master = 0; master < 2; master++) {
        set_cfg(r, p, PCI_COMMAND, 2, PCI_COMMAND_MEM | (master ? PCI_COMMAND_MASTER : 0));
        store(r, BAR + 0x80, 8, 0x1000);
        store(r, BAR + 0x88, 8, 0x40000);
        store(r, BAR + 0x90, 8, 8);
        store(r, BAR + 0x98, 8, 1);
        test_clock_step(r->t, 1);
        store(r, BAR + 0x80, 8, 0x40000);
        store(r, BAR + 0x88, 8, 0x2000);
        store(r, BAR + 0x98, 8, 3);
        test_clock_step(r->t, 1);
        g_assert_cmphex(load(r, 0x2000, 8), ==, master ? 0x1122334455667788 : 0);
    }
    store(r, BAR + 8, 4, 5);
    test_clock_step(r->t, 1);
    g_assert_cmpuint(load(r, BAR + 8, 4), ==, 120);
}

static void fails(Rig *r, const char *type, const char *addr, const char *text)
{
    g_autoptr(GError) error = NULL;
    Device *d = device_new(r->t->vm, type, &error);
    g_assert_true(object_set_string(&d->object, "addr", addr, &error));
    g_assert_false(device_realize(d, &r->bus->bus, &error));
    if (!strstr(error->message, text))
        g_error("%s", error->message);
}

static void slots(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autoptr(GError) error = NULL;
    Device *d = device_new(r->t->vm, "edu", &error);
    g_assert_true(device_realize(d, &r->bus->bus, &error));
    g_assert_cmphex(((PciDevice *)d)->devfn, ==, 1 << 3);
    fails(r, "edu", "1", "slot 1 function 0 not available for edu, in use by edu");
    fails(r, "edu", "20", "is not a PCI address");
    fails(r, "edu", "2.8", "is not a PCI address");
    fails(r, "edu", "1.1", "multifunction=on");
    PciDevice *p = pci_draft(r->t->vm, "edu", 2, 0);
    g_assert_true(object_set_string(&p->dev.object, "multifunction", "on", &error));
    g_assert_true(device_realize(&p->dev, &r->bus->bus, &error));
    pci_make(r->bus, "edu", 2, 5);
    g_assert_cmphex(cfg(r, p, PCI_HEADER_TYPE, 1), ==, PCI_HEADER_MULTI);
}

static void ports(void)
{
    g_autoptr(Rig) r = rig_new();
    PciPorts ports = {0};
    AddressSpace *io = r->t->vm->io;
    uint64_t v;
    pci_ports_init(&ports, &r->sink->object, r->bus);
    mem_add(r->t->vm->io_root, 0xcf8, ports.address_io, 0);
    mem_add(r->t->vm->io_root, 0xcfc, ports.data_io, 0);
    pci_make(r->bus, "edu", 3, 0);
    as_store(io, 0xcf8, 4, 0x80001800);
    as_load(io, 0xcfc, 4, &v);
    g_assert_cmphex(v, ==, 0x11e81234);
    as_load(io, 0xcfe, 2, &v);
    g_assert_cmphex(v, ==, 0x11e8);
    as_store(io, 0xcf9, 1, 0xff);
    as_load(io, 0xcf8, 4, &v);
    g_assert_cmphex(v, ==, 0x80001800);
    as_store(io, 0xcf8, 4, 0x1800);
    as_load(io, 0xcfc, 4, &v);
    g_assert_cmphex(v, ==, 0xffffffff);
}

/* ---- a bridge's hot plug controller ---- */

enum {
    SHPC_SELECT = 2, SHPC_DATA = 4, SHPC_CONFIG = 0xc, SHPC_PROG_IF = 0x13, SHPC_COMMAND = 0x14, SHPC_STATUS = 0x16,
    SHPC_LOCATOR = 0x18, SHPC_ENABLE = 0x20, SHPC_SLOT = 0x24, SHPC_COMMAND_DONE = 1 << 16,
};

static unsigned command(Rig *r, unsigned slot, unsigned code)
{
    store(r, BAR + SHPC_COMMAND, 2, slot << 8 | code);
    g_assert_cmphex(load(r, BAR + SHPC_LOCATOR, 4) & 1, ==, 1);
    store(r, BAR + SHPC_ENABLE, 4, SHPC_COMMAND_DONE);
    g_assert_cmphex(load(r, BAR + SHPC_LOCATOR, 4) & 1, ==, 0);
    return load(r, BAR + SHPC_STATUS, 2);
}

static void shpc(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autoptr(GError) error = NULL;
    PciDevice *b = pci_draft(r->t->vm, "pci-bridge", 4, 0);
    g_assert_true(object_set_string(&b->dev.object, "shpc", "on", &error));
    g_assert_true(device_realize(&b->dev, &r->bus->bus, &error));
    PciBus *below = g_ptr_array_index(b->dev.buses, 0);
    unsigned cap = pci_find_capability(b, PCI_CAP_SHPC);
    g_assert_cmphex(cap, !=, 0);
    set_cfg(r, b, PCI_BAR0, 4, BAR);
    set_cfg(r, b, PCI_COMMAND, 2, ALL);
    set_cfg(r, b, cap + SHPC_SELECT, 1, SHPC_CONFIG / 4);
    g_assert_cmphex(cfg(r, b, cap + SHPC_DATA, 4), ==, 0xe001011f);
    g_assert_cmphex(load(r, BAR + SHPC_CONFIG, 4), ==, 0xe001011f);
    g_assert_cmphex(load(r, BAR + SHPC_PROG_IF, 1), ==, 1);
    g_assert_cmphex(load(r, BAR + SHPC_SLOT, 4), ==, 0x7f000d3f);       /* empty, latch open, all off and masked */
    store(r, BAR + SHPC_ENABLE, 4, 0);
    g_assert_cmphex(command(r, 1, 0x02), ==, 2);        /* the latch is open */
    g_assert_cmphex(command(r, 0, 0x02), ==, 4);
    g_assert_cmphex(command(r, 1, 0x4a), ==, 4);
    g_assert_cmphex(command(r, 0, 0x41), ==, 8);
    g_assert_cmphex(command(r, 0, 0x40), ==, 0);

    /* A card: presence, latch, button; enabled, asked to go, off. */
    set_cfg(r, b, cap + SHPC_SELECT, 1, SHPC_SLOT / 4);
    set_cfg(r, b, cap + SHPC_DATA, 4, 0);               /* unmasks */
    PciDevice *card = pci_draft(r->t->vm, "edu", 1, 0);
    card->dev.hotplugged = true;
    g_assert_true(device_realize(&card->dev, &below->bus, &error));
    g_assert_cmphex(load(r, BAR + SHPC_SLOT, 4), ==, 0x000d003f);
    g_assert_cmphex(load(r, BAR + SHPC_LOCATOR, 4), ==, 2);
    g_assert_cmphex(((Sink *)r->sink)->levels, ==, 1);
    g_assert_cmphex(cfg(r, b, cap + 3, 1), ==, 4);
    store(r, BAR + SHPC_SLOT, 4, 0x1f << 16);
    g_assert_cmphex(((Sink *)r->sink)->levels, ==, 0);
    g_assert_cmphex(command(r, 1, 0x36), ==, 0);
    g_assert_cmphex(load(r, BAR + SHPC_SLOT, 4), ==, 0x00000036);
    g_assert_true(device_unplug_request(&card->dev, &error));
    g_assert_cmphex(load(r, BAR + SHPC_SLOT, 4), ==, 0x00040036);
    g_assert_cmphex(command(r, 1, 0x08), ==, 0);
    g_assert_false(device_unplug_request(&card->dev, &error));
    g_clear_error(&error);
    g_assert_cmphex(command(r, 1, 0x0f), ==, 0);
    g_assert_null(below->slot[8]);
    g_assert_cmphex(load(r, BAR + SHPC_SLOT, 4), ==, 0x000d0d3f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/header", header);
    g_test_add_func("/pci/bars", bars);
    g_test_add_func("/pci/big-bar", big_bar);
    g_test_add_func("/pci/testdev", testdev);
    g_test_add_func("/pci/intx", intx);
    g_test_add_func("/pci/msi", msi);
    g_test_add_func("/pci/msix", msix);
    g_test_add_func("/pci/msix-by-eventfd", msix_by_eventfd);
    g_test_add_func("/pci/express", express_and_power);
    g_test_add_func("/pci/state", state);
    g_test_add_func("/pci/dma", dma);
    g_test_add_func("/pci/slots", slots);
    g_test_add_func("/pci/ports", ports);
    g_test_add_func("/pci/shpc", shpc);
    return g_test_run();
}
