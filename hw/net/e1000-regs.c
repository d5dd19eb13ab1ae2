/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, interrupts and life of Intel's gigabit controllers. Specs: SDM 13; 82574, 10. */
#include <string.h>
#include "core/vm.h"
#include "hw/net/e1000.h"

enum { ITR_UNIT_NS = 256, CTRL_EXT_EIAME = 1 << 24, CTRL_EXT_IAME = 1 << 27,
       GIO_MASTER = 1 << 19, CTRL_NO_MASTER = 4, IVAR_VALID = 8, CTRL_PHY_RST = (int)(1u << 31) };
#define OTHER_CAUSES (ICR_LSC | ICR_RXO | ICR_MDAC | ICR_ACK)

/* ---- statistics ---- */

void e1000_stat(E1000 *s, unsigned stat, uint64_t n)
{
    s->stats[stat] = (uint32_t)MIN(s->stats[stat] + n, UINT32_MAX);
}

void e1000_stat_bytes(E1000 *s, unsigned low, uint64_t n)
{
    uint64_t was = (uint64_t)s->stats[low + 1] << 32 | s->stats[low],
             now = was + n < was ? UINT64_MAX : was + n;
    s->stats[low] = (uint32_t)now;
    s->stats[low + 1] = (uint32_t)(now >> 32);
}

const E1000Counters e1000_sent = {STAT_PTC64, STAT_TPT, STAT_GPTC, STAT_MPTC, STAT_BPTC, STAT_GOTCL, STAT_TOTL};
const E1000Counters e1000_received = {STAT_PRC64, STAT_TPR, STAT_GPRC, STAT_MPRC, STAT_BPRC, STAT_GORCL, STAT_TORL};

void e1000_count(E1000 *s, const E1000Counters *c, const uint8_t *frame, size_t n)
{
    static const uint16_t sizes[] = {64, 127, 255, 511, 1023};
    unsigned class = 0;
    n += 4;
    while (class < G_N_ELEMENTS(sizes) && n > sizes[class])
        class++;
    e1000_stat(s, c->sizes + class, 1);
    e1000_stat(s, c->all, 1);
    e1000_stat(s, c->good, 1);
    e1000_stat_bytes(s, c->good_bytes, n);
    e1000_stat_bytes(s, c->all_bytes, n);
    if (frame[0] & 1)
        e1000_stat(s, memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6) ? c->group : c->broadcast, 1);
}

/* ---- interrupts ---- */

static bool msix(const E1000 *s) { return s->is_82574 && pci_msix_enabled(&s->pci); }

/* The vector of each cause that has one, by IVAR (82574, 10.2.4.9). */
static void send_vectors(E1000 *s, uint32_t causes)
{
    static const struct { uint32_t cause; uint8_t shift; } entries[] = {
        {ICR_RXQ0, 0}, {ICR_RXQ1, 4}, {ICR_TXQ0, 8}, {ICR_TXQ1, 12}, {ICR_OTHER, 16},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++) {
        unsigned entry = s->ivar >> entries[i].shift & 15;
        if (!(causes & s->ims & entries[i].cause) || !(entry & IVAR_VALID))
            continue;
        if (s->ctrl_ext & CTRL_EXT_EIAME)
            s->ims &= ~(s->iam & entries[i].cause);
        uint32_t cleared = s->eiac & entries[i].cause;
        s->icr &= ~cleared;
        if (!(s->ctrl_ext & CTRL_EXT_IAME))
            s->ims &= ~cleared;
        pci_notify(&s->pci, entry & 7);
    }
}

static uint32_t interval(const E1000 *s)
{
    return s->mitigation || s->is_82574 ? (s->itr & 0xffff) * ITR_UNIT_NS : 0;
}

/* Line and MSI follow ICR & IMS, no oftener than ITR allows. */
static void update(E1000 *s)
{
    bool active = s->icr & s->ims & ~ICR_ASSERTED, was = s->icr & ICR_ASSERTED;
    if (msix(s))
        return;
    if (active && s->muted)
        return;
    s->icr = (s->icr & ~ICR_ASSERTED) | (active ? ICR_ASSERTED : 0);
    if (active && !was) {
        uint32_t ns = interval(s);
        s->muted = ns;
        if (ns)
            timer_arm(&s->unmuted, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL) + ns);
    }
    if (pci_msi_enabled(&s->pci)) {
        if (active && !was)
            pci_notify(&s->pci, 0);
    } else {
        pci_intx(&s->pci, active);
    }
}

static void unmuted(Device *d)
{
    E1000 *s = e1000_of(d);
    s->muted = false;
    update(s);
}

void e1000_cause(E1000 *s, uint32_t causes)
{
    s->icr |= causes & ~ICR_ASSERTED;
    if (msix(s)) {
        if (causes & OTHER_CAUSES && s->ims & OTHER_CAUSES & causes)
            s->icr |= ICR_OTHER;
        send_vectors(s, s->icr);
    }
    update(s);
}

static uint64_t read_icr(Device *d)
{
    E1000 *s = e1000_of(d);
    bool asserted = s->icr & s->ims & ~ICR_ASSERTED;
    uint32_t v = (s->icr & ~ICR_ASSERTED) | (asserted ? ICR_ASSERTED : 0);
    if (!s->is_82574 || !s->ims || asserted) {
        s->icr = 0;
        if (s->is_82574 && s->ctrl_ext & CTRL_EXT_IAME)
            s->ims &= ~s->iam;
        update(s);
        if (!pci_msi_enabled(&s->pci) && !msix(s))
            pci_intx(&s->pci, false);
    }
    return v;
}

static void wrote_icr(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    if (s->is_82574 && v & s->icr && s->ctrl_ext & CTRL_EXT_IAME)
        s->ims &= ~s->iam;
    s->icr &= ~((uint32_t)v | ICR_ASSERTED);
    update(s);
    if (!s->icr && !pci_msi_enabled(&s->pci) && !msix(s))
        pci_intx(&s->pci, false);
}

static void wrote_ics(Device *d, uint64_t v) { e1000_cause(e1000_of(d), (uint32_t)v); }

static void wrote_ims(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    s->ims |= (uint32_t)v;
    e1000_cause(s, s->icr & OTHER_CAUSES);
}

static void wrote_imc(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    s->ims &= ~(uint32_t)v;
    update(s);
}

/* ---- control ---- */

/* What a reset of the MAC brings back: CTRL.RST and the device's own. */
static void mac_reset(E1000 *s)
{
    s->ctrl = CTRL_SLU | 1;
    s->ctrl_ext = s->icr = s->ims = s->itr = s->iam = s->eiac = s->ivar = 0;
    s->rctl = s->tctl = s->rxcsum = s->rfctl = s->psrctl = s->mrqc = 0;
    s->eecd = s->eerd = s->mdic = 0;
    s->wire = (Microwire){0};
    s->vet = 0x8100;
    s->ledctl = 0x602;
    s->pba = s->is_82574 ? 0x00140014 : 0x00100030;
    s->tipg = 0;
    s->muted = false;
    timer_cancel(&s->unmuted);
    for (unsigned q = 0; q < E1000_QUEUES; q++) {
        s->rdbal[q] = s->rdbah[q] = s->rdlen[q] = s->rdh[q] = s->rdt[q] = 0;
        s->tdbal[q] = s->tdbah[q] = s->tdlen[q] = s->tdh[q] = s->tdt[q] = 0;
        s->rxdctl[q] = s->txdctl[q] = 0;
    }
    memset(s->context, 0, sizeof(s->context));
    memset(s->mta, 0, sizeof(s->mta));
    memset(s->vfta, 0, sizeof(s->vfta));
    memset(s->ra, 0, sizeof(s->ra));
    s->ra[0] = s->mac[0] | s->mac[1] << 8 | s->mac[2] << 16 | (uint32_t)s->mac[3] << 24;
    s->ra[1] = s->mac[4] | (uint32_t)s->mac[5] << 8 | 1u << 31;
    s->status = (s->status & STATUS_LU) | STATUS_FD | 0x80 | (s->is_82574 ? GIO_MASTER : 0);
    e1000_nvm_fill(s);
    pci_intx(&s->pci, false);
}

static void wrote_ctrl(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    if (v & CTRL_RST)
        mac_reset(s);
    if (v & (uint32_t)CTRL_PHY_RST)
        e1000_phy_reset(s);
    s->ctrl &= ~(uint32_t)(CTRL_RST | CTRL_PHY_RST);
    if (s->is_82574)
        s->status = (s->status & ~(uint32_t)GIO_MASTER) | (v & CTRL_NO_MASTER ? 0 : GIO_MASTER);
    e1000_link_update(s);
}

static void kick(Device *d, uint64_t v) { nic_port_kick(&e1000_of(d)->port); }
static void kick_at(Device *d, unsigned i, uint64_t v) { nic_port_kick(&e1000_of(d)->port); }

static void work(Device *d)
{
    E1000 *s = e1000_of(d);
    e1000_transmit(s);
    nic_port_flush(&s->port);
}

/* ---- I/O ports ---- */

enum { IO_ADDRESS = 0, IO_DATA = 4 };

/* I/O ports reach all registers indirectly (SDM 13.2.2). */
static uint64_t io_read(void *opaque, uint64_t at, unsigned size)
{
    E1000 *s = opaque;
    return at == IO_ADDRESS ? s->io_at
           : at == IO_DATA  ? device_mmio_read(&s->pci.dev, s->io_at & 0x1fffc, 4)
                            : 0;
}

static void io_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    E1000 *s = opaque;
    if (at == IO_ADDRESS)
        s->io_at = (uint32_t)value;
    else if (at == IO_DATA)
        device_mmio_write(&s->pci.dev, s->io_at & 0x1fffc, value, 4);
}

const MemOps e1000_io_ops = {.read = io_read, .write = io_write, .min_access = 4, .max_access = 4};

/* ---- the table ---- */

#define QUEUE(at_, name_, m, bits_, ...)                                                           \
    REG(at_, name_, RW, m, .stride = 0x100, .bits = bits_, __VA_ARGS__)
static const Reg regs[] = {
    REG(0x0000, "CTRL", RW, IN(E1000, ctrl), .wrote = wrote_ctrl),
    REG(0x0008, "STATUS", RO, IN(E1000, status)),
    REG(0x0010, "EECD", RO, IN(E1000, eecd), .read = e1000_read_eecd),
    REG(0x0010, "EECD_PINS", WO, .wrote = e1000_wrote_eecd),
    REG(0x0014, "EERD", RW, IN(E1000, eerd), .bits = 0xfffd, .wrote = e1000_wrote_eerd),
    REG(0x0018, "CTRL_EXT", RW, IN(E1000, ctrl_ext)),
    REG(0x0020, "MDIC", RW, IN(E1000, mdic), .wrote = e1000_wrote_mdic),
    REG(0x0028, "FCAL", RW, IN(E1000, fcal)),
    REG(0x002c, "FCAH", RW, IN(E1000, fcah)),
    REG(0x0030, "FCT", RW, IN(E1000, fct)),
    REG(0x0038, "VET", RW, IN(E1000, vet)),
    REG(0x00c0, "ICR", RO, IN(E1000, icr), .read = read_icr),
    REG(0x00c0, "ICR_CLEAR", WO, .wrote = wrote_icr),
    REG(0x00c4, "ITR", RW, IN(E1000, itr), .bits = 0xffff),
    REG(0x00c8, "ICS", WO, .wrote = wrote_ics),
    REG(0x00d0, "IMS", RO, IN(E1000, ims)),
    REG(0x00d0, "IMS_SET", WO, .wrote = wrote_ims),
    REG(0x00d8, "IMC", WO, .wrote = wrote_imc),
    REG(0x0100, "RCTL", RW, IN(E1000, rctl), .wrote = kick),
    REG(0x0170, "FCTTV", RW, IN(E1000, fcttv)),
    REG(0x0400, "TCTL", RW, IN(E1000, tctl), .wrote = kick),
    REG(0x0410, "TIPG", RW, IN(E1000, tipg)),
    REG(0x0458, "AIT", RW, IN(E1000, ait)),
    REG(0x0e00, "LEDCTL", RW, IN(E1000, ledctl)),
    REG(0x1000, "PBA", RW, IN(E1000, pba)),
    REG(0x2160, "FCRTL", RW, IN(E1000, fcrtl)),
    REG(0x2168, "FCRTH", RW, IN(E1000, fcrth)),
    QUEUE(0x2800, "RDBAL", IN_ARRAY(E1000, rdbal), 0xfffffff0),
    QUEUE(0x2804, "RDBAH", IN_ARRAY(E1000, rdbah), 0),
    QUEUE(0x2808, "RDLEN", IN_ARRAY(E1000, rdlen), 0xfff80),
    QUEUE(0x2810, "RDH", IN_ARRAY(E1000, rdh), 0xffff),
    QUEUE(0x2818, "RDT", IN_ARRAY(E1000, rdt), 0xffff, .wrote_at = kick_at),
    REG(0x2820, "RDTR", RW, IN(E1000, rdtr)),
    QUEUE(0x2828, "RXDCTL", IN_ARRAY(E1000, rxdctl), 0),
    REG(0x282c, "RADV", RW, IN(E1000, radv)),
    QUEUE(0x3800, "TDBAL", IN_ARRAY(E1000, tdbal), 0xfffffff0),
    QUEUE(0x3804, "TDBAH", IN_ARRAY(E1000, tdbah), 0),
    QUEUE(0x3808, "TDLEN", IN_ARRAY(E1000, tdlen), 0xfff80),
    QUEUE(0x3810, "TDH", IN_ARRAY(E1000, tdh), 0xffff),
    QUEUE(0x3818, "TDT", IN_ARRAY(E1000, tdt), 0xffff, .wrote_at = kick_at),
    REG(0x3820, "TIDV", RW, IN(E1000, tidv)),
    QUEUE(0x3828, "TXDCTL", IN_ARRAY(E1000, txdctl), 0),
    REG(0x382c, "TADV", RW, IN(E1000, tadv)),
    QUEUE(0x3840, "TARC", IN_ARRAY(E1000, tarc), 0),
    REG(0x4000, "STATS", RC, IN_ARRAY(E1000, stats)),
    REG(0x5000, "RXCSUM", RW, IN(E1000, rxcsum)),
    REG(0x5200, "MTA", RW, IN_ARRAY(E1000, mta)),
    REG(0x5400, "RA", RW, IN_ARRAY(E1000, ra)),
    REG(0x5600, "VFTA", RW, IN_ARRAY(E1000, vfta)),
    REG(0x5800, "WUC", RW, IN(E1000, wuc)),
    REG(0x5808, "WUFC", RW, IN(E1000, wufc)),
    REG(0x5810, "WUS", RO, .value = 0),
    REG(0x5820, "MANC", RW, IN(E1000, manc)),
};

/* ---- life ---- */

static void reset(Device *d)
{
    E1000 *s = e1000_of(d);
    e1000_phy_reset(s);
    mac_reset(s);
    s->status &= ~(uint32_t)STATUS_LU;
    if (nic_port_link(&s->port)) {
        s->status |= STATUS_LU;
        s->phy[1] |= 4;
        s->phy[17] |= 0x400;
    }
}

static void restored(Device *d)
{
    E1000 *s = e1000_of(d);
    nic_port_kick(&s->port);
    if (!pci_msi_enabled(&s->pci) && !msix(s))
        pci_intx(&s->pci, s->icr & s->ims & ICR_ASSERTED);
}

static void link_changed(Device *d) { e1000_link_update(e1000_of(d)); }

static const NicPortOps port_ops = {.receive = e1000_receive, .link_changed = link_changed};

static bool realize(Device *d, GError **error)
{
    E1000 *s = e1000_of(d);
    if (!nic_port_attach(&s->port, d, &port_ops, s->netdev, s->mac, error))
        return false;
    s->frame = g_malloc(NET_MAX_PACKET);
    return true;
}

static void unrealize(Device *d)
{
    E1000 *s = e1000_of(d);
    nic_port_detach(&s->port);
    g_clear_pointer(&s->frame, g_free);
}

static const Field fields[] = {
    TIMER(E1000, port.work, work),
    TIMER(E1000, negotiated, e1000_negotiated),
    TIMER(E1000, unmuted, unmuted),
    PROP(E1000, netdev, "netdev", PROP_NETDEV),
    PROP(E1000, mac, "mac", PROP_MAC),
    PROP(E1000, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,
         .changed = device_boot_index_changed),
    HOST(E1000, port),
    HOST(E1000, is_82574),
    HOST(E1000, frame),
    HOST(E1000, pci),
    SAVED(E1000, io_at),
    SAVED(E1000, muted),
    SAVED(E1000, context),
    SAVED(E1000, phy),
    SAVED(E1000, nvm),
    SAVED(E1000, wire),
};
static const DeviceType e1000_base = {
    .name = "e1000-base",
    .parent = "pci-device",
    .abstract = true,
    .size = sizeof(E1000),
    .own_domain = true,
    .category = DEVICE_NETWORK,
    .window = 128 << 10,
    .min_access = 4,
    .max_access = 4,
    REGS(regs),
    FIELDS(fields),
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .restored = restored,
    .fw_suffix = "/ethernet-phy@0",
};
DEVICE_TYPE(e1000_base);
