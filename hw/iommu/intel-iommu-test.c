/* SPDX-License-Identifier: Apache-2.0 */
/* The VT-d unit as its driver sees it: registers, queue, tables, messages. Spec: VT-d 3.4. */
#include <string.h>
#include "core/testing.h"
#include "hw/pci-host.h"
#include "hw/pci.h"

enum {
    CARD = 1 << 3, ROOT = 0x10000, CONTEXTS = 0x11000, LEVEL4 = 0x12000, LEVEL3 = 0x13000, LEVEL2 = 0x14000,
    LEVEL1 = 0x15000, BUFFER = 0x20000, QUEUE = 0x30000, STATUS = 0x31000, IRT = 0x32000, RW_ = 3, LARGE = 0x80,
    GCMD_RTP = 1 << 30, GCMD_IRTP = 1 << 24, GCMD_IR = 1 << 25, GCMD_QI = 1 << 26, GCMD_COMPAT = 1 << 23,
};
#define GCMD_TE (1u << 31)

typedef struct Rig {
    TestDevice *t;
    PciDevice *card;
    PciBus *root;
    unsigned messages, at;      /* that came through; descriptors in the queue */
    MsiMessage last, routed;
    unsigned routes, commits;
    MsiTarget target;
} Rig;

static void came(void *opaque, const MsiMessage *m)
{
    Rig *r = opaque;
    r->last = *m;
    r->messages++;
}

static void poke(Rig *r, uint64_t pa, uint64_t v) { as_write(r->t->vm->memory, pa, &v, 8); }

static uint64_t peek(Rig *r, uint64_t pa)
{
    uint64_t v;
    as_read(r->t->vm->memory, pa, &v, 8);
    return v;
}

static void command(Rig *r, uint32_t bits)
{
    test_write(r->t, "GCMD", (test_read(r->t, "GSTS") & 0x96ffffff) | bits);
}

static void descriptor(Rig *r, uint64_t low, uint64_t high)
{
    poke(r, QUEUE + r->at, low);
    poke(r, QUEUE + r->at + 8, high);
    r->at += 16;
    test_write(r->t, "IQT", r->at);
}

/* The card's page at 0x40000000 is BUFFER. */
static void tables(Rig *r, unsigned type)
{
    poke(r, ROOT, CONTEXTS | 1);
    poke(r, CONTEXTS + CARD * 16, LEVEL4 | type << 2 | 1);
    poke(r, CONTEXTS + CARD * 16 + 8, 7 << 8 | 2);
    poke(r, LEVEL4, LEVEL3 | RW_);
    poke(r, LEVEL3 + 8, LEVEL2 | RW_);
    poke(r, LEVEL2, LEVEL1 | RW_);
    poke(r, LEVEL1, BUFFER | RW_);
    poke(r, LEVEL1 + 8, (BUFFER + 0x1000) | 1);
}

static Rig *rig_with(MsiTarget target)
{
    Rig *r = g_new0(Rig, 1);
    r->target = target;
    r->target.opaque = r;
    GpexConfig config = {.ecam = TEST_ECAM, .buses = 16, .mmio32 = {0x40000000, 0x40000000}, .msi = &r->target};
    r->t = test_machine();
    r->root = gpex_new(r->t->vm, &config);
    r->card = pci_make(r->root, "edu", CARD >> 3, 0);
    pci_config_write(r->card, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    r->t->dev = device_make(r->t->vm, "intel-iommu");
    return r;
}

static Rig *rig(void) { return rig_with((MsiTarget){.send = came}); }

static void rig_free(Rig *r)
{
    test_device_free(r->t);
    g_free(r);
}

static void translating(Rig *r)
{
    test_write(r->t, "IQA", QUEUE);
    command(r, GCMD_QI);
    test_write(r->t, "RTADDR", ROOT);
    command(r, GCMD_RTP);
    command(r, GCMD_TE);
    g_assert_cmphex(test_read(r->t, "GSTS"), ==, GCMD_TE | GCMD_RTP | GCMD_QI);
}

static bool stores(Rig *r, uint64_t at, uint64_t v)
{
    bool ok = pci_dma_write(r->card, at, &v, 8);
    loop_run_posts(r->t->loop);
    return ok;
}

static void test_dma(void)
{
    Rig *r = rig();
    tables(r, 0);
    g_assert_true(stores(r, BUFFER, 1));                /* off: it passes */
    g_assert_cmpuint(peek(r, BUFFER), ==, 1);
    translating(r);
    g_assert_true(stores(r, 0x40000008, 2));
    g_assert_cmpuint(peek(r, BUFFER + 8), ==, 2);
    g_assert_false(stores(r, 0x40001000, 3));           /* read-only */
    g_assert_cmphex(test_read(r->t, "FSTS"), ==, 2);
    g_assert_cmphex(test_read(r->t, "FRCD_LOW"), ==, 0x40001000);
    g_assert_cmphex(test_read(r->t, "FRCD_HIGH"), ==, 1ull << 63 | 5ull << 32 | CARD);
    g_assert_false(stores(r, 0x50000000, 3));           /* the record is in use */
    g_assert_cmphex(test_read(r->t, "FSTS"), ==, 3);
    test_write(r->t, "FRCD_HIGH", 1ull << 63);
    test_write(r->t, "FSTS", 1);
    g_assert_cmphex(test_read(r->t, "FSTS"), ==, 0);
    g_assert_false(stores(r, 1ull << 50, 3));
    g_assert_cmphex(test_read(r->t, "FRCD_HIGH") >> 32 & 0xff, ==, 4);
    rig_free(r);
}

static void test_invalidation(void)
{
    Rig *r = rig();
    tables(r, 0);
    translating(r);
    g_assert_true(stores(r, 0x40000000, 1));
    poke(r, LEVEL1, (BUFFER + 0x2000) | RW_);
    g_assert_true(stores(r, 0x40000000, 2));            /* cached until the guest says so */
    g_assert_cmpuint(peek(r, BUFFER), ==, 2);
    descriptor(r, 2 | 3 << 4 | 9 << 16, 0x40000000);    /* another domain's page */
    g_assert_true(stores(r, 0x40000000, 3));
    g_assert_cmpuint(peek(r, BUFFER), ==, 3);
    descriptor(r, 2 | 3 << 4 | 7 << 16, 0x40000000);
    descriptor(r, 5 | 1 << 5 | 0x1234ull << 32, STATUS);
    g_assert_cmphex(test_read(r->t, "IQH"), ==, r->at);
    g_assert_cmphex(peek(r, STATUS), ==, 0x1234);
    g_assert_true(stores(r, 0x40000000, 4));
    g_assert_cmpuint(peek(r, BUFFER + 0x2000), ==, 4);
    poke(r, LEVEL2, BUFFER | LARGE | RW_);              /* 2 MiB, as far as the address goes */
    descriptor(r, 2 | 1 << 4, 0);
    g_assert_true(stores(r, 0x40003000, 5));
    g_assert_cmpuint(peek(r, 0x3000), ==, 5);
    descriptor(r, 15, 0);                               /* no such descriptor: the queue stops */
    g_assert_cmphex(test_read(r->t, "FSTS"), ==, 0x10);
    g_assert_cmphex(test_read(r->t, "IQH"), ==, r->at - 16);
    poke(r, QUEUE + r->at - 16, 5 | 1 << 5 | 0x77ull << 32);
    poke(r, QUEUE + r->at - 8, STATUS);
    test_write(r->t, "FSTS", 0x10);
    g_assert_cmphex(peek(r, STATUS), ==, 0x77);
    rig_free(r);
}

static void test_pass(void)
{
    Rig *r = rig();
    tables(r, 2);
    translating(r);
    g_assert_true(stores(r, BUFFER + 0x10, 6));
    g_assert_cmpuint(peek(r, BUFFER + 0x10), ==, 6);
    poke(r, CONTEXTS + CARD * 16, 0);
    descriptor(r, 1 | 1 << 4, 0);
    g_assert_false(stores(r, BUFFER, 7));
    g_assert_cmphex(test_read(r->t, "FRCD_HIGH") >> 32 & 0xff, ==, 2);
    rig_free(r);
}

static void test_fault_event(void)
{
    Rig *r = rig();
    tables(r, 0);
    translating(r);
    test_write(r->t, "FEADDR", 0xfee01000);
    test_write(r->t, "FEDATA", 0x31);
    g_assert_false(stores(r, 0x60000000, 1));
    g_assert_cmpuint(r->messages, ==, 0);
    g_assert_cmphex(test_read(r->t, "FECTL"), ==, 3u << 30);
    test_write(r->t, "FECTL", 0);
    g_assert_cmpuint(r->messages, ==, 1);
    g_assert_cmphex(r->last.address, ==, 0xfee01000);
    g_assert_cmphex(r->last.data, ==, 0x31);
    rig_free(r);
}

static void send(Rig *r, uint64_t address, uint32_t data, uint16_t requester)
{
    const MsiTarget *t = pci_msi_target(r->root);
    t->send(t->opaque, &(MsiMessage){address, data, requester});
    loop_run_posts(r->t->loop);
}

static unsigned fault(Rig *r)
{
    unsigned reason = test_read(r->t, "FRCD_HIGH") >> 32 & 0xff;
    test_write(r->t, "FRCD_HIGH", 1ull << 63);
    return reason;
}

static void test_messages(void)
{
    Rig *r = rig();
    send(r, 0xfee01000, 0x41, CARD);
    g_assert_cmpuint(r->messages, ==, 1);
    poke(r, IRT + 5 * 16, 1 | 1 << 4 | 0x52 << 16 | 0x123ull << 32);    /* level, vector 0x52, to 0x123 */
    poke(r, IRT + 5 * 16 + 8, 1 << 18 | CARD);
    test_write(r->t, "IRTA", IRT | 1 << 11 | 7);
    command(r, GCMD_IRTP);
    command(r, GCMD_IR);
    send(r, 0xfee00010 | 5 << 5, 0, CARD);
    g_assert_cmpuint(r->messages, ==, 2);
    g_assert_cmphex(r->last.address, ==, 0xfee00000ull | 0x23 << 12 | 0x100ull << 32);
    g_assert_cmphex(r->last.data, ==, 0x52 | 1 << 14 | 1 << 15);
    send(r, 0xfee00018 | 3 << 5, 2, CARD);              /* with a subhandle */
    g_assert_cmpuint(r->messages, ==, 3);
    send(r, 0xfee00010 | 5 << 5, 0, CARD + 1);
    g_assert_cmphex(fault(r), ==, 0x26);
    send(r, 0xfee00010 | 6 << 5, 0, CARD);
    g_assert_cmphex(fault(r), ==, 0x22);
    send(r, 0xfee00010 | 0x1000 << 5, 0, CARD);
    g_assert_cmphex(fault(r), ==, 0x21);
    send(r, 0xfee01000, 0x41, CARD);
    g_assert_cmphex(fault(r), ==, 0x25);
    g_assert_cmpuint(r->messages, ==, 3);
    uint32_t data = 0;
    g_assert_true(pci_dma_write(r->card, 0xfee00010 | 5 << 5, &data, 4));       /* DMA to the window is a message */
    g_assert_cmpuint(r->messages, ==, 4);
    rig_free(r);
}

/* A bus that bypasses the unit. */
static void test_bypass(void)
{
    Rig *r = rig();
    r->root->bypass_iommu = true;
    PciDevice *p = pci_make(r->root, "edu", 6, 0);
    pci_config_write(p, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    translating(r);
    test_write(r->t, "IRTA", IRT | 7);
    command(r, GCMD_IRTP);
    command(r, GCMD_IR);
    uint64_t v = 7;
    g_assert_true(pci_dma_write(p, BUFFER, &v, 8));
    g_assert_cmpuint(peek(r, BUFFER), ==, 7);
    const MsiTarget *t = pci_function_msi(p);
    t->send(t->opaque, &(MsiMessage){0xfee01000, 0x41, 6 << 3});
    g_assert_cmpuint(r->messages, ==, 1);
    rig_free(r);
}

static int route_add(void *opaque, const MsiMessage *m, int fd)
{
    ((Rig *)opaque)->routed = *m;
    ((Rig *)opaque)->routes++;
    return 3;
}
static void route_change(void *opaque, int handle, const MsiMessage *m) { ((Rig *)opaque)->routed = *m; }
static void route_commit(void *opaque) { ((Rig *)opaque)->commits++; }
static void route_remove(void *opaque, int handle) { ((Rig *)opaque)->routes--; }

/* The accelerator's eventfds deliver what comes out of the table, also after the guest has changed it. */
static void test_routes(void)
{
    Rig *r = rig_with((MsiTarget){.send = came, .route_add = route_add, .route_change = route_change,
                                  .route_commit = route_commit, .route_remove = route_remove});
    const MsiTarget *t = pci_msi_target(r->root);
    const MsiMessage m = {0xfee00010 | 5 << 5, 0, CARD};
    poke(r, IRT + 5 * 16, 1 | 0x52 << 16 | 1ull << 40);
    test_write(r->t, "IRTA", IRT | 7);
    command(r, GCMD_IRTP);
    int plain = t->route_add(t->opaque, &(MsiMessage){0xfee01000, 0x41, CARD}, 100);
    g_assert_cmpint(plain, >=, 0);
    g_assert_cmphex(r->routed.data, ==, 0x41);
    command(r, GCMD_IR);                                /* other kinds of messages are blocked from now on */
    g_assert_false(t->route_live(t->opaque, plain));
    g_assert_cmpuint(r->routes, ==, 0);
    int n = t->route_add(t->opaque, &m, 101);
    g_assert_cmpint(n, !=, plain);
    g_assert_cmphex(r->routed.address, ==, 0xfee01000);
    g_assert_cmphex(r->routed.data, ==, 0x4052);
    unsigned commits = r->commits;
    poke(r, IRT + 5 * 16, 1 | 0x53 << 16 | 2ull << 40);
    command(r, GCMD_IRTP);
    g_assert_cmphex(r->routed.address, ==, 0xfee02000);
    g_assert_cmphex(r->routed.data, ==, 0x4053);
    g_assert_cmpuint(r->commits, >, commits);
    poke(r, IRT + 5 * 16, 0);
    command(r, GCMD_IRTP);
    g_assert_false(t->route_live(t->opaque, n));
    g_assert_cmpint(t->route_add(t->opaque, &m, 102), ==, -1);
    poke(r, IRT + 5 * 16, 1 | 0x54 << 16);
    command(r, GCMD_IRTP);
    g_assert_true(t->route_live(t->opaque, n));
    g_assert_cmphex(r->routed.data, ==, 0x4054);
    t->route_remove(t->opaque, n);
    t->route_remove(t->opaque, plain);
    g_assert_cmpuint(r->routes, ==, 0);
    rig_free(r);
}

static void test_registers(void)
{
    g_autoptr(TestDevice) t = test_device_with("intel-iommu", "aw-bits", "39", "intremap", "off", "caching-mode", "on", NULL);
    g_assert_cmphex(test_read(t, "VER"), ==, 0x10);
    g_assert_cmphex(test_read(t, "CAP") >> 8 & 0x1f, ==, 2);
    g_assert_cmphex(test_read(t, "CAP") >> 7 & 1, ==, 1);
    g_assert_cmphex(test_read(t, "ECAP") & 0x18, ==, 0);
    test_write(t, "GCMD", GCMD_IR | GCMD_IRTP);
    g_assert_cmphex(test_read(t, "GSTS"), ==, 0);
    test_write(t, "CCMD", 1ull << 63 | 1ull << 61);
    g_assert_cmphex(test_read(t, "CCMD"), ==, 1ull << 61 | 1ull << 59);
    test_write(t, "IOTLB", 1ull << 63 | 2ull << 60);
    g_assert_cmphex(test_read(t, "IOTLB") >> 57 & 3, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/intel-iommu/dma", test_dma);
    g_test_add_func("/intel-iommu/invalidation", test_invalidation);
    g_test_add_func("/intel-iommu/pass", test_pass);
    g_test_add_func("/intel-iommu/fault-event", test_fault_event);
    g_test_add_func("/intel-iommu/messages", test_messages);
    g_test_add_func("/intel-iommu/bypass", test_bypass);
    g_test_add_func("/intel-iommu/routes", test_routes);
    g_test_add_func("/intel-iommu/registers", test_registers);
    return g_test_run();
}
