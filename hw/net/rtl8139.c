/* SPDX-License-Identifier: Apache-2.0 */
/* Realtek RTL8139C+: registers, interrupts, timer, PHY, EEPROM. Spec: in rtl8139.h. */
#include <string.h>
#include "core/vm.h"
#include "hw/net/rtl8139.h"

enum {
    WINDOW = 256, EE_CS = 8, EE_SK = 4, EE_DI = 2, EE_DO = 1, EE_MODE = 0xc0, EE_AUTOLOAD = 0x40,
    MSR_NO_LINK = 4, TALLY_RUN = 8, TALLY_BYTES = 64, CLOCK_NS = 30,        /* 33 MHz */
    BMCR = 0, BMSR, ANAR, ANLPAR, ANER, BMSR_LINK = 4, BMCR_RESET = 0x8000, BMCR_RESTART = 0x200,
};
/* 3.2: this is the C+. */
#define TCR_VERSION 0x74800000u
#define TCR_WRITABLE 0x030607f0u

/* ---- interrupts ---- */

static void update(Rtl8139 *s) { pci_intx(&s->pci, s->isr & s->imr); }

void rtl_cause(Rtl8139 *s, unsigned causes)
{
    s->isr |= (uint16_t)causes;
    update(s);
}

static void wrote_imr(Device *d, uint64_t v) { update(rtl_of(d)); }

/* Whoever acknowledges has made room, too: there is no other sign of it in C+ mode. */
static void wrote_isr(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    update(s);
    if (!g_queue_is_empty(&s->port.nic.queue))
        nic_port_kick(&s->port);
}

/* ---- the timer (5.17) ---- */

static int64_t now(const Rtl8139 *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }

static uint64_t read_tctr(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    return (uint32_t)((uint64_t)MAX(now(s) - s->timer_from, 0) / CLOCK_NS);
}

static void arm(Rtl8139 *s)
{
    uint32_t left = s->timer_int - (uint32_t)read_tctr(&s->pci.dev);
    timer_cancel(&s->compare);
    if (s->timer_int)
        timer_arm(&s->compare, now(s) + (int64_t)MAX(left, 1) * CLOCK_NS);
}

static void compare(Device *d)
{
    rtl_cause(rtl_of(d), RTL_TIMEOUT);
    arm(rtl_of(d));
}

static void wrote_tctr(Device *d, uint64_t v)
{
    rtl_of(d)->timer_from = now(rtl_of(d));
    arm(rtl_of(d));
}

static void wrote_timer_int(Device *d, uint64_t v) { arm(rtl_of(d)); }

/* ---- link and PHY ---- */

static const uint16_t mii_reset[] = {0x3100, 0x782d, 0x05e1, 0x45e1, 0x0001};

static void link_changed(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    bool up = nic_port_link(&s->port);
    if (up == !!(s->mii[BMSR] & BMSR_LINK))
        return;
    s->mii[BMSR] ^= BMSR_LINK;
    rtl_cause(s, RTL_LINK);
}

static void phy_reset(Rtl8139 *s)
{
    memcpy(s->mii, mii_reset, sizeof(mii_reset));
    if (!nic_port_link(&s->port))
        s->mii[BMSR] &= (uint16_t)~BMSR_LINK;
}

static void wrote_bmcr(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    if (v & BMCR_RESET)
        phy_reset(s);
    s->mii[BMCR] &= (uint16_t)~(BMCR_RESET | BMCR_RESTART);
}

static uint64_t read_msr(Device *d) { return rtl_of(d)->mii[BMSR] & BMSR_LINK ? 0 : MSR_NO_LINK; }

/* ---- identity and EEPROM (5.8, 6) ---- */

static void load_nvm(Rtl8139 *s)
{
    memcpy(s->idr, s->mac, 6);
    memset(s->cfg, 0, sizeof(s->cfg));
    s->cfg[1] = 0x0d;        /* both windows, power management */
    s->cfg[3] = 0x01;
}

static void fill_nvm(Rtl8139 *s)
{
    memset(s->nvm, 0, sizeof(s->nvm));
    s->nvm[0] = 0x8129;
    s->nvm[1] = s->pci.info->vendor;
    s->nvm[2] = s->pci.info->device;
    for (unsigned i = 0; i < 3; i++)
        s->nvm[7 + i] = (uint16_t)(s->mac[2 * i] | s->mac[2 * i + 1] << 8);
}

static void wrote_pins(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    microwire_pins(&s->wire, v & EE_CS, v & EE_SK, v & EE_DI);
    if ((v & EE_MODE) == EE_AUTOLOAD) {
        load_nvm(s);
        s->pins = 0;
    }
}

static uint64_t read_pins(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    return (s->pins & ~EE_DO) | (microwire_out(&s->wire, s->nvm) ? EE_DO : 0);
}

static bool unlocked(Rtl8139 *s)
{
    if ((s->pins & EE_MODE) == EE_MODE)
        return true;
    log_guest(s, "9346CR does not allow to write configuration");
    return false;
}

static uint64_t read_config(Device *d, unsigned i) { return rtl_of(d)->cfg[i]; }

static void wrote_config(Device *d, unsigned i, uint64_t v)
{
    static const uint8_t writable[6] = {0, 0xfd, 0, 0x20, 0xff, 0x03};
    Rtl8139 *s = rtl_of(d);
    if (unlocked(s))
        s->cfg[i] = (uint8_t)((s->cfg[i] & ~writable[i]) | (v & writable[i]));
}

static uint64_t read_config5(Device *d) { return read_config(d, 5); }
static void wrote_config5(Device *d, uint64_t v) { wrote_config(d, 5, v); }
static uint64_t read_idr(Device *d, unsigned i) { return rtl_of(d)->idr[i]; }

static void wrote_idr(Device *d, unsigned i, uint64_t v)
{
    if (unlocked(rtl_of(d)))
        rtl_of(d)->idr[i] = (uint8_t)v;
}

/* ---- statistics (9.2.1) ---- */

static void put64(uint8_t *p, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, 8);
}

static void dump_tally(Rtl8139 *s)
{
    uint8_t t[TALLY_BYTES] = {0};
    put64(t, s->tx_ok);
    put64(t + 8, s->rx_ok);
    t[28] = (uint8_t)s->missed, t[29] = (uint8_t)(s->missed >> 8);
    put64(t + 40, s->rx_ok);
    put64(t + 48, s->rx_broadcast);
    uint32_t multicast = GUINT32_TO_LE(s->rx_multicast);
    memcpy(t + 56, &multicast, 4);
    pci_dma_write(&s->pci, (s->tally_at[0] & ~63u) | (uint64_t)s->tally_at[1] << 32, t, sizeof(t));
    s->tally_at[0] &= ~(uint32_t)TALLY_RUN;
}

/* ---- transmission and reception ---- */

static bool plus(const Rtl8139 *s) { return s->cpcr & (RTL_CP_TX | RTL_CP_RX); }

/* In C+ mode the first two slots' places are the tally's address. */
static uint64_t read_tsd(Device *d, unsigned i)
{
    Rtl8139 *s = rtl_of(d);
    return plus(s) && i < 2 ? s->tally_at[i] : s->tsd[i];
}

static void wrote_tsd(Device *d, unsigned i, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    if (!plus(s)) {
        s->tsd[i] = (uint32_t)v & 0x003fffff & ~(uint32_t)(RTL_TSD_TOK | RTL_TSD_TUN);
        nic_port_kick(&s->port);
        return;
    }
    if (i >= 2)
        return;
    s->tally_at[i] = (uint32_t)v;
    if (!i && v & TALLY_RUN)
        dump_tally(s);
}

static uint64_t read_summary(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    unsigned v = 0;
    for (unsigned i = 0; i < RTL_SLOTS; i++)
        v |= !!(s->tsd[i] & RTL_TSD_OWN) << i | !!(s->tsd[i] & RTL_TSD_TUN) << (8 + i) |
             !!(s->tsd[i] & RTL_TSD_TOK) << (12 + i);
    return v;
}

/* The ring's size may have changed: the place to write is in it. */
static void kick(Device *d, uint64_t v) { nic_port_kick(&rtl_of(d)->port); }

static void wrote_poll(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    if (v & 1)
        rtl_cause(s, RTL_SW);
    s->poll = v & 0xc0;
    nic_port_kick(&s->port);
}

static uint64_t read_cr(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    return s->cr | (rtl_empty(s) ? RTL_CR_BUFE : 0);
}

static void soft_reset(Rtl8139 *s)
{
    s->cr = s->poll = 0;
    s->capr = 0xfff0;
    s->cbr = s->imr = s->isr = s->cpcr = s->mulint = 0;
    s->tcr = TCR_VERSION;
    s->rcr = s->timer_int = s->mpc = s->slot = s->cp_tx = s->cp_rx = 0;
    for (unsigned i = 0; i < RTL_SLOTS; i++) {
        s->tsd[i] = RTL_TSD_OWN;
        s->tsad[i] = 0;
    }
    timer_cancel(&s->compare);
    s->timer_from = now(s);
    update(s);
}

static void wrote_cr(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    unsigned was = s->cr;
    if (v & RTL_CR_RST) {
        soft_reset(s);
        return;
    }
    s->cr = v & (RTL_CR_RE | RTL_CR_TE);
    if (~was & s->cr & RTL_CR_RE)
        s->cbr = 0, s->cp_rx = 0;
    if (~was & s->cr & RTL_CR_TE)
        s->cp_tx = s->slot = 0;
    nic_port_kick(&s->port);
}

static void wrote_tcr(Device *d, uint64_t v)
{
    Rtl8139 *s = rtl_of(d);
    s->tcr = TCR_VERSION | ((uint32_t)v & TCR_WRITABLE);
}

static void work(Device *d)
{
    rtl_transmit(rtl_of(d));
    nic_port_flush(&rtl_of(d)->port);
}

#define R(at_, name_, width_, ...) REG(at_, name_, RW, .width = width_, __VA_ARGS__)
static const Reg regs[] = {
    REG(0x00, "IDR", RO, .width = 1, IN_ARRAY(Rtl8139, idr), .read_at = read_idr),
    REG(0x00, "IDR_SET", WO, .width = 1, .count = 6, .wrote_at = wrote_idr),
    R(0x08, "MAR", 1, IN_ARRAY(Rtl8139, mar)),
    REG(0x10, "TSD", RO, IN_ARRAY(Rtl8139, tsd), .read_at = read_tsd),
    REG(0x10, "TSD_SEND", WO, .count = RTL_SLOTS, .wrote_at = wrote_tsd),
    R(0x20, "TSAD", 4, IN_ARRAY(Rtl8139, tsad)),
    R(0x30, "RBSTART", 4, IN(Rtl8139, rbstart)),
    REG(0x36, "ERSR", RO, .width = 1, .value = 0),
    REG(0x37, "CR", RO, .width = 1, IN(Rtl8139, cr), .read = read_cr),
    REG(0x37, "CR_SET", WO, .width = 1, .wrote = wrote_cr),
    R(0x38, "CAPR", 2, IN(Rtl8139, capr), .wrote = kick),
    REG(0x3a, "CBR", RO, .width = 2, IN(Rtl8139, cbr)),
    R(0x3c, "IMR", 2, IN(Rtl8139, imr), .wrote = wrote_imr),
    REG(0x3e, "ISR", W1C, .width = 2, IN(Rtl8139, isr), .wrote = wrote_isr),
    REG(0x40, "TCR", RO, IN(Rtl8139, tcr)),
    REG(0x40, "TCR_SET", WO, .wrote = wrote_tcr),
    R(0x44, "RCR", 4, IN(Rtl8139, rcr), .bits = 0x0f03ffff, .wrote = kick),
    REG(0x48, "TCTR", RO, .read = read_tctr),
    REG(0x48, "TCTR_CLEAR", WO, .wrote = wrote_tctr),
    R(0x4c, "MPC", 4, IN(Rtl8139, mpc), .bits = 0xffffff),
    R(0x50, "9346CR", 1, IN(Rtl8139, pins), .read = read_pins, .wrote = wrote_pins, .bits = 0xce),
    REG(0x51, "CONFIG", RO, .width = 1, .count = 2, .read_at = read_config),
    REG(0x51, "CONFIG_SET", WO, .width = 1, .count = 2, .wrote_at = wrote_config),
    R(0x54, "TIMERINT", 4, IN(Rtl8139, timer_int), .wrote = wrote_timer_int),
    REG(0x58, "MSR", RO, .width = 1, .read = read_msr),
    R(0x5c, "MULINT", 2, IN(Rtl8139, mulint)),
    REG(0x5e, "RERID", RO, .width = 1, .value = 0x10),
    REG(0x60, "TSAD_SUMMARY", RO, .width = 2, .read = read_summary),
    R(0x62, "BMCR", 2, .offset = offsetof(Rtl8139, mii[BMCR]), .size = 2, .member = "bmcr",
      .bits = 0xb300, .wrote = wrote_bmcr),
    REG(0x64, "BMSR", RO, .width = 2, .offset = offsetof(Rtl8139, mii[BMSR]), .size = 2,
        .member = "bmsr"),
    R(0x66, "ANAR", 2, .offset = offsetof(Rtl8139, mii[ANAR]), .size = 2, .member = "anar",
      .bits = 0x3de0),
    REG(0x68, "ANLPAR", RO, .width = 2, .offset = offsetof(Rtl8139, mii[ANLPAR]), .size = 2,
        .member = "anlpar"),
    REG(0x6a, "ANER", RO, .width = 2, .offset = offsetof(Rtl8139, mii[ANER]), .size = 2,
        .member = "aner"),
    R(0x74, "CSCR", 2, IN(Rtl8139, cscr)),
    REG(0xd8, "CONFIG5", RO, .width = 1, .read = read_config5),
    REG(0xd8, "CONFIG5_SET", WO, .width = 1, .wrote = wrote_config5),
    REG(0xd9, "TPPOLL", RO, .width = 1, IN(Rtl8139, poll)),
    REG(0xd9, "TPPOLL_SET", WO, .width = 1, .wrote = wrote_poll),
    R(0xe0, "CPCR", 2, IN(Rtl8139, cpcr), .bits = 0x7f),
    R(0xe4, "RDSAR", 4, IN_ARRAY(Rtl8139, rdsar)),
    R(0xec, "ETTHR", 1, IN(Rtl8139, etthr), .bits = 0x3f),
};

/* CONFIG3 and 4, between registers of other widths. */
static uint64_t read_rest(Device *d, uint64_t at, unsigned size)
{
    return at == 0x59 || at == 0x5a ? read_config(d, (unsigned)at - 0x59 + 3) : 0;
}

static void write_rest(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    if (at == 0x59 || at == 0x5a)
        wrote_config(d, (unsigned)at - 0x59 + 3, v);
}

/* ---- life ---- */

static void reset(Device *d)
{
    Rtl8139 *s = rtl_of(d);
    soft_reset(s);
    fill_nvm(s);
    load_nvm(s);
    phy_reset(s);
}

static void restored(Device *d)
{
    update(rtl_of(d));
    nic_port_kick(&rtl_of(d)->port);
}

static const NicPortOps port_ops = {.receive = rtl_receive, .link_changed = link_changed};

static bool realize(Device *d, GError **error)
{
    Rtl8139 *s = rtl_of(d);
    if (!nic_port_attach(&s->port, d, &port_ops, s->netdev, s->mac, error))
        return false;
    s->frame = g_malloc(NET_MAX_PACKET);
    return true;
}

static void unrealize(Device *d)
{
    nic_port_detach(&rtl_of(d)->port);
    g_clear_pointer(&rtl_of(d)->frame, g_free);
}

static uint64_t io_read(void *opaque, uint64_t at, unsigned size)
{
    return device_mmio_read(opaque, at, size);
}
static void io_write(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    device_mmio_write(opaque, at, v, size);
}
static const MemOps io_ops = {.read = io_read, .write = io_write, .min_access = 1, .max_access = 4};

static const Field fields[] = {
    TIMER(Rtl8139, port.work, work),
    TIMER(Rtl8139, compare, compare),
    HOST(Rtl8139, pci),
    HOST(Rtl8139, port),
    PROP(Rtl8139, netdev, "netdev", PROP_NETDEV),
    PROP(Rtl8139, mac, "mac", PROP_MAC),
    PROP(Rtl8139, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,
         .changed = device_boot_index_changed),
    HOST(Rtl8139, frame),
    SAVED(Rtl8139, cfg),
    SAVED(Rtl8139, mii),
    SAVED(Rtl8139, tally_at),
    SAVED(Rtl8139, timer_from),
    SAVED(Rtl8139, slot),
    SAVED(Rtl8139, cp_tx),
    SAVED(Rtl8139, cp_rx),
    SAVED(Rtl8139, tx_ok),
    SAVED(Rtl8139, rx_ok),
    SAVED(Rtl8139, rx_broadcast),
    SAVED(Rtl8139, rx_multicast),
    SAVED(Rtl8139, missed),
    SAVED(Rtl8139, nvm),
    SAVED(Rtl8139, wire),
};
static const PciInfo info = {
    .vendor = 0x10ec,
    .device = 0x8139,
    .class = 0x020000,
    .revision = 0x20,
    .pin = 1,
    .rom = "efi-rtl8139.rom",
    .bar = {{.kind = PCI_BAR_IO, .size = WINDOW, .name = "rtl8139-io", .ops = &io_ops},
            {.kind = PCI_BAR_MEM32, .window = true}},
};
static const DeviceType rtl8139 = {
    .name = "rtl8139",
    .parent = "pci-device",
    .desc = "Realtek RTL8139C+ fast Ethernet",
    .size = sizeof(Rtl8139),
    .own_domain = true,
    .category = DEVICE_NETWORK,
    .pluggable = true,
    .hotpluggable = true,
    .window = WINDOW,
    .max_access = 4,
    REGS(regs),
    FIELDS(fields),
    .read = read_rest,
    .write = write_rest,
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .restored = restored,
    .pci = &info,
    .fw_suffix = "/ethernet-phy@0",
};
DEVICE_TYPE(rtl8139);
