/* SPDX-License-Identifier: Apache-2.0 */
/* The RTL8139's two ways to move packets: four slots and a ring of bytes, or the C+ descriptor
 * rings. Spec: 5.2-5.5, 6; C+ mode: 9. */
#include <string.h>
#include "core/vm.h"
#include "hw/net/rtl8139.h"
#include "net/offload.h"

enum {
    DESC = 16,
    BURST = 64,
    MAX_FRAGMENTS = 64,
    FCS = 4,
    HEADER = 4,
    MIN_FRAME = 60,
    ETH_VLAN = 0x8100,
    RCR_AAP = 1,
    RCR_APM = 2,
    RCR_AM = 4,
    RCR_AB = 8,
    RCR_WRAP = 0x80,
    ROK = 1,
    BAR = 0x2000,
    PAM = 0x4000,
    MAR = 0x8000, /* status in the ring of bytes */
};
#define OWN (1u << 31)
#define EOR (1u << 30)
#define FS (1u << 29)
#define LS (1u << 28)
#define LARGE_SEND (1u << 27)
#define TX_SUMS (7u << 16)
#define TX_TAG (1u << 17)
#define RX_TAGGED (1u << 16)

static bool emit(void *opaque, const uint8_t *frame, size_t n)
{
    Rtl8139 *s = opaque;
    uint8_t padded[MIN_FRAME] = {0};
    if (n < MIN_FRAME) {
        memcpy(padded, frame, n);
        frame = padded;
        n = MIN_FRAME;
    }
    s->tx_ok++;
    if ((s->tcr & RTL_LOOPBACK) == RTL_LOOPBACK)
        rtl_receive(&s->pci.dev, frame, n);
    else
        nic_port_send(&s->port, frame, n);
    return true;
}

/* ---- sending from slots ---- */

static void send_slot(Rtl8139 *s)
{
    unsigned i = s->slot % RTL_SLOTS;
    size_t n = s->tsd[i] & RTL_TSD_SIZE;
    bool whole = pci_dma_read(&s->pci, s->tsad[i], s->frame, n);
    s->tsd[i] |= RTL_TSD_OWN | (whole ? RTL_TSD_TOK : RTL_TSD_TUN);
    s->slot = (i + 1) % RTL_SLOTS;
    rtl_cause(s, whole ? RTL_TOK : RTL_TER);
    if (whole)
        emit(s, s->frame, n);
}

/* ---- sending from descriptors ---- */

typedef struct Desc { uint32_t opts1, opts2; uint64_t pa; } Desc;

static bool fetch(Rtl8139 *s, uint64_t pa, Desc *d)
{
    uint32_t raw[4];
    if (!pci_dma_read(&s->pci, pa, raw, DESC))
        return false;
    *d = (Desc){GUINT32_FROM_LE(raw[0]), GUINT32_FROM_LE(raw[1]),
                GUINT32_FROM_LE(raw[2]) | (uint64_t)GUINT32_FROM_LE(raw[3]) << 32};
    return true;
}

static void put_opts(Rtl8139 *s, uint64_t pa, uint32_t opts1, uint32_t opts2)
{
    uint32_t raw[2] = {GUINT32_TO_LE(opts1), GUINT32_TO_LE(opts2)};
    pci_dma_write(&s->pci, pa + 4, &raw[1], 4);
    pci_dma_write(&s->pci, pa, &raw[0], 4);     /* the owner last */
}

static uint64_t tx_at(const Rtl8139 *s, uint32_t i)
{
    return (s->tsad[0] | (uint64_t)s->tsad[1] << 32) + (uint64_t)i * DESC;
}

/* Whether descriptors from cp_tx on hold a whole packet, and how many. */
static unsigned whole_packet(Rtl8139 *s)
{
    uint32_t i = s->cp_tx;
    Desc d;
    for (unsigned n = 1; n <= MAX_FRAGMENTS; n++) {
        if (!fetch(s, tx_at(s, i), &d) || !(d.opts1 & OWN))
            return 0;
        if (d.opts1 & LS)
            return n;
        i = d.opts1 & EOR ? 0 : i + 1;
    }
    log_guest(s, "packet of more than %u descriptors", MAX_FRAGMENTS);
    return MAX_FRAGMENTS;
}

static size_t insert_tag(Rtl8139 *s, size_t n, uint32_t opts2)
{
    return opts2 & TX_TAG && n >= 14 ? net_tag_put(s->frame, n, ETH_VLAN, GUINT16_SWAP_LE_BE((uint16_t)opts2)) : n;
}

static void send_frame(Rtl8139 *s, size_t n, uint32_t opts1, uint32_t opts2)
{
    NetHeaders h;
    if (opts1 & LARGE_SEND) {
        n = insert_tag(s, n, opts2);
        net_segment(s->frame, n, opts1 >> 16 & 0x7ff, emit, s);
        return;
    }
    if (opts1 & TX_SUMS && net_parse(s->frame, n, &h)) {
        if (opts1 & 1 << 18)
            net_ip_sum_put(s->frame, &h);
        if (opts1 & (h.proto == NET_PROTO_UDP ? 1 << 17 : 1 << 16))
            net_l4_sum_put(s->frame, &h);
    }
    emit(s, s->frame, insert_tag(s, n, opts2));
}

/* False: no whole packet is there. */
static bool send_descriptors(Rtl8139 *s)
{
    unsigned n = whole_packet(s);
    uint32_t opts1 = 0, opts2 = 0;
    size_t bytes = 0;
    Desc d;
    for (unsigned k = 0; k < n; k++) {
        uint64_t at = tx_at(s, s->cp_tx);
        if (!fetch(s, at, &d))
            return false;
        size_t part = MIN(d.opts1 & 0xffff, NET_MAX_PACKET - 16 - bytes);
        if (pci_dma_read(&s->pci, d.pa, s->frame + bytes, part))
            bytes += part;
        opts1 = k ? opts1 : d.opts1;
        opts2 = d.opts2;
        s->cp_tx = d.opts1 & EOR ? 0 : (s->cp_tx + 1) % (1 << 16);
        put_opts(s, at, d.opts1 & (EOR | FS | LS | 0xffff), 0);
    }
    if (!n)
        return false;
    rtl_cause(s, RTL_TOK);
    if (bytes)
        send_frame(s, bytes, opts1, opts2);
    return true;
}

void rtl_transmit(Rtl8139 *s)
{
    unsigned burst = 0;
    bool rings = s->cpcr & RTL_CP_TX;
    while (s->cr & RTL_CR_TE && !s->port.waits && burst++ < BURST) {
        if (rings && !s->poll)
            return;
        if (rings && !send_descriptors(s)) {
            s->poll = 0;
            rtl_cause(s, RTL_TDU);
            return;
        }
        if (!rings && s->tsd[s->slot % RTL_SLOTS] & RTL_TSD_OWN)
            return;
        if (!rings)
            send_slot(s);
    }
    if (burst >= BURST)
        nic_port_kick(&s->port);        /* others on the loop have their turn */
}

/* ---- receiving ---- */

/* The status bits by which a frame is taken; 0: not for this card. */
static unsigned match(Rtl8139 *s, const uint8_t *f)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (!memcmp(f, broadcast, 6))
        return s->rcr & (RCR_AB | RCR_AAP) ? BAR : 0;
    if (f[0] & 1) {
        unsigned bit = net_crc_be(f, 6) >> 26;
        bool listed = s->rcr & RCR_AM && s->mar[bit / 8] >> bit % 8 & 1;
        return listed || s->rcr & RCR_AAP ? MAR : 0;
    }
    if (s->rcr & RCR_APM && !memcmp(f, s->idr, 6))
        return PAM;
    return s->rcr & RCR_AAP ? ROK : 0;
}

static unsigned ring_bytes(const Rtl8139 *s) { return 8192u << (s->rcr >> 11 & 3); }

static unsigned used(const Rtl8139 *s)
{
    return (s->cbr - (s->capr + 16u)) & (ring_bytes(s) - 1);
}

bool rtl_empty(const Rtl8139 *s) { return !used(s); }

static void put_bytes(Rtl8139 *s, unsigned *at, const void *p, size_t n, bool wrap)
{
    size_t first = wrap ? MIN(n, ring_bytes(s) - *at) : n;
    pci_dma_write(&s->pci, s->rbstart + (uint64_t)*at, p, first);
    pci_dma_write(&s->pci, s->rbstart, (const uint8_t *)p + first, n - first);
    *at = (unsigned)(*at + n);
    if (wrap)
        *at %= ring_bytes(s);
}

static bool into_bytes(Rtl8139 *s, const uint8_t *f, size_t n, unsigned status)
{
    unsigned ring = ring_bytes(s), at = s->cbr % ring,
             total = (unsigned)(HEADER + n + FCS + 3) & ~3u;
    if (total >= ring - used(s)) {
        rtl_cause(s, RTL_RXOVW);
        return false;
    }
    uint32_t fcs = GUINT32_TO_LE(net_fcs(f, n));
    uint32_t header = GUINT32_TO_LE((uint32_t)(status | ROK) | (uint32_t)(n + FCS) << 16);
    bool wrap = !(s->rcr & RCR_WRAP) || ring == 65536;
    put_bytes(s, &at, &header, HEADER, wrap);
    put_bytes(s, &at, f, n, wrap);
    put_bytes(s, &at, &fcs, FCS, wrap);
    s->cbr = (uint16_t)((s->cbr % ring + total) % ring);
    return true;
}

static uint32_t check_sums(const uint8_t *f, size_t n)
{
    enum { TCP = 1, UDP = 2, IP = 3 };
    NetHeaders h;
    if (!net_parse(f, n, &h) || h.version != 4)
        return 0;
    uint32_t proto = h.proto == NET_PROTO_TCP ? TCP : h.proto == NET_PROTO_UDP ? UDP : IP;
    uint32_t bad = net_ip_sum_ok(f, &h) ? 0 : 1 << 15;
    if (h.proto && !net_l4_sum_ok(f, &h))
        bad |= proto == TCP ? 1 << 13 : 1 << 14;
    return proto << 16 | bad;
}

static uint64_t rx_at(const Rtl8139 *s, uint32_t i)
{
    return (s->rdsar[0] | (uint64_t)s->rdsar[1] << 32) + (uint64_t)i * DESC;
}

static bool into_descriptor(Rtl8139 *s, const uint8_t *f, size_t n, unsigned status)
{
    uint64_t at = rx_at(s, s->cp_rx);
    uint32_t opts1, opts2 = 0;
    uint8_t body[NET_MAX_PACKET];
    Desc d;
    if (!fetch(s, at, &d) || !(d.opts1 & OWN)) {
        rtl_cause(s, RTL_RXOVW);
        return false;
    }
    opts1 = s->cpcr & RTL_CP_SUM ? check_sums(f, n) : 0;
    if (s->cpcr & RTL_CP_VLAN && n >= 18 && (f[12] << 8 | f[13]) == ETH_VLAN) {
        opts2 = RX_TAGGED | f[14] | f[15] << 8;
        n = net_tag_strip(body, f, n);
        f = body;
    }
    if (n + FCS > (d.opts1 & 0x1fff)) {
        s->missed++;
        return true;
    }
    uint32_t fcs = GUINT32_TO_LE(net_fcs(f, n));
    pci_dma_write(&s->pci, d.pa, f, n);
    pci_dma_write(&s->pci, d.pa + n, &fcs, FCS);
    opts1 |= FS | LS | (d.opts1 & EOR) | (uint32_t)(n + FCS);
    opts1 |= (status & MAR ? 1u << 26 : 0) | (status & PAM ? 1u << 25 : 0) |
             (status & BAR ? 1u << 24 : 0);
    put_opts(s, at, opts1, opts2);
    s->cp_rx = d.opts1 & EOR ? 0 : (s->cp_rx + 1) % (1 << 16);
    return true;
}

bool rtl_receive(Device *d, const uint8_t *f, size_t n)
{
    Rtl8139 *s = rtl_of(d);
    uint8_t padded[MIN_FRAME] = {0};
    if (!(s->cr & RTL_CR_RE) || !pci_is_master(&s->pci))
        return true;
    unsigned status = match(s, f);
    if (!status)
        return true;
    if (n < MIN_FRAME) {
        memcpy(padded, f, n);
        f = padded;
        n = MIN_FRAME;
    }
    if (n > 4096) /* the largest frame of the data sheet is 1,792 bytes; drivers allow a page */
        return true;
    if (!(s->cpcr & RTL_CP_RX ? into_descriptor(s, f, n, status) : into_bytes(s, f, n, status)))
        return false;
    s->rx_ok++;
    s->rx_broadcast += status == BAR;
    s->rx_multicast += status == MAR;
    rtl_cause(s, RTL_ROK);
    return true;
}
