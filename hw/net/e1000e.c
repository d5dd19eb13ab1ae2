/* SPDX-License-Identifier: Apache-2.0 */
/* The 82574L: Express, MSI-X, two queues each way, receive hashing. Spec: 82574. Packets are not
 * time stamped, though the clock of IEEE 1588 runs. */
#include "core/vm.h"
#include "hw/net/e1000.h"

enum { IO_SIZE = 32, FLASH_SIZE = 128 << 10, CLOCK_NS = 40 };

/* ---- the clock (82574, 10.2.8) ---- */

static uint64_t time_now(E1000 *s)
{
    int64_t now = clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL);
    uint64_t period = MAX(s->timinca >> 24, 1),
             ticks = (uint64_t)MAX(now - s->time_at, 0) / CLOCK_NS / period;
    return s->time + ticks * (s->timinca & 0xffffff);
}

static void set_time(E1000 *s, uint64_t v)
{
    s->time = v;
    s->time_at = clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL);
}

static uint64_t read_time_low(Device *d) { return (uint32_t)time_now(e1000_of(d)); }
static uint64_t read_time_high(Device *d) { return time_now(e1000_of(d)) >> 32; }

static void wrote_time_low(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    set_time(s, (time_now(s) & ~(uint64_t)UINT32_MAX) | (uint32_t)v);
}

static void wrote_time_high(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    set_time(s, (uint32_t)time_now(s) | v << 32);
}

static void wrote_timinca(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    set_time(s, time_now(s));
    s->timinca = (uint32_t)v;
}

/* ---- registers ---- */

#define KEPT(at_, name_, i)                                                                        \
    {                                                                                              \
        .at = at_, .name = name_, .kind = RW, .offset = offsetof(E1000, kept) + 4 * i, .size = 4,  \
        .member = "kept-" #i                                                                       \
    }
static const Reg regs[] = {
    REG(0x00e0, "IAM", RW, IN(E1000, iam)),
    REG(0x00dc, "EIAC", RW, IN(E1000, eiac), .bits = 0x01f00000),
    REG(0x00e4, "IVAR", RW, IN(E1000, ivar)),
    REG(0x00e8, "EITR", RW, IN_ARRAY(E1000, eitr)),
    KEPT(0x0f00, "EXTCNF_CTRL", 0),
    KEPT(0x1008, "PBS", 1),
    REG(0x1010, "EEMNGCTL", RO, .value = 1 << 18),
    REG(0x2170, "PSRCTL", RW, IN(E1000, psrctl)),
    REG(0x5008, "RFCTL", RW, IN(E1000, rfctl)),
    REG(0x5818, "MRQC", RW, IN(E1000, mrqc)),
    KEPT(0x5b00, "GCR", 2),
    KEPT(0x5b50, "SWSM", 3),
    KEPT(0x5b54, "FWSM", 4),
    KEPT(0x5b64, "GCR2", 5),
    REG(0x5c00, "RETA", RW, IN_ARRAY(E1000, reta)),
    REG(0x5c80, "RSSRK", RW, IN_ARRAY(E1000, rssrk)),
    REG(0xb600, "SYSTIML", RO, .read = read_time_low),
    REG(0xb600, "SYSTIML_SET", WO, .wrote = wrote_time_low),
    REG(0xb604, "SYSTIMH", RO, .read = read_time_high),
    REG(0xb604, "SYSTIMH_SET", WO, .wrote = wrote_time_high),
    REG(0xb608, "TIMINCA", RO, IN(E1000, timinca)),
    REG(0xb608, "TIMINCA_SET", WO, .wrote = wrote_timinca),
    REG(0xb61c, "TXSTMPH", RO, .value = 0),
    REG(0xb628, "RXSTMPH", RO, .value = 0),
    KEPT(0xb614, "TSYNCTXCTL", 6),
    KEPT(0xb620, "TSYNCRXCTL", 7),
    KEPT(0xb634, "RXMTRL", 8),
    KEPT(0xb638, "RXUDP", 9),
};

/* No flash is fitted. */
static uint64_t flash_read(void *opaque, uint64_t at, unsigned size) { return UINT64_MAX; }
static void flash_write(void *opaque, uint64_t at, uint64_t value, unsigned size) {}

static void init(Object *o) { ((E1000 *)o)->is_82574 = true; }

static bool realize(Device *d, GError **error)
{
    E1000 *s = e1000_of(d);
    uint16_t serial =
        pcie_add_capability(&s->pci, 3, 1, 12, 0x140); /* device serial number: EUI-64 */
    const uint8_t id[8] = {s->mac[5], s->mac[4], s->mac[3], 0xff,
                           0xfe,      s->mac[2], s->mac[1], s->mac[0]};
    for (unsigned i = 0; serial && i < sizeof(id); i++)
        pci_init8(&s->pci, serial + 4 + i, id[i], 0, 0);
    return true;
}

static const MemOps flash_ops = {
    .read = flash_read, .write = flash_write, .min_access = 1, .max_access = 4};
static const Field fields[] = {
    SAVED(E1000, kept), SAVED(E1000, time), SAVED(E1000, time_at),
};
static const PciInfo info = {
    .vendor = 0x8086,
    .device = 0x10d3,
    .class = 0x020000,
    .subvendor = 0x8086,
    .subsystem = 0,
    .pin = 1,
    .express = PCIE_ON_EXPRESS,
    .rom = "efi-e1000e.rom",
    .pm = true,
    .bar = {{.kind = PCI_BAR_MEM32, .window = true},
            {.kind = PCI_BAR_MEM32, .size = FLASH_SIZE, .name = "e1000e-flash", .ops = &flash_ops},
            {.kind = PCI_BAR_IO, .size = IO_SIZE, .name = "e1000e-io", .ops = &e1000_io_ops}},
    .msi = {.vectors = 1, .at = 0xd0},
    .msix = {.vectors = E1000_VECTORS, .bar = 3, .at = 0xa0},
};
static const DeviceType e1000e = {
    .name = "e1000e",
    .parent = "e1000-base",
    .desc = "Intel 82574L gigabit Ethernet",
    .size = sizeof(E1000),
    .category = DEVICE_NETWORK,
    .pluggable = true,
    .hotpluggable = true,
    REGS(regs),
    FIELDS(fields),
    .init = init,
    .realize = realize,
    .pci = &info,
};
DEVICE_TYPE(e1000e);
