/* SPDX-License-Identifier: Apache-2.0 */
/* Reception: filters, descriptor rings of both formats, checksums, tags, hashes. Specs:
 * SDM 3.2, 13.4.22, 13.5; 82574, 7.1. */
#include <string.h>
#include "core/vm.h"
#include "hw/net/e1000.h"
#include "net/offload.h"

enum {
    DESC = 16,
    DD = 1,
    EOP = 2,
    IXSM = 4,
    VP = 8,
    UDPCS = 0x10,
    TCPCS = 0x20,
    IPCS = 0x40,
    PIF = 0x80,
    ERR_TCP = 0x20,
    ERR_IP = 0x40,
    EXTENDED = 0x8000,
    SPLIT = 1 << 10,
    LONGEST = 1522,
    FCS = 4,
    SUM_IP = 0x100,
    SUM_TCP = 0x200,
    NO_PACKET_SUM = 0x2000,
    MAX_SPLIT = 4,
    ETH_VLAN_HEADER = 18,
};

/* A frame on its way into descriptors. */
typedef struct Arrival {
    const uint8_t *frame;
    size_t bytes, total;        /* of the frame; with FCS as the driver gets it */
    uint8_t tail[FCS];          /* the FCS */
    unsigned queue;
    uint32_t hash, hash_type;
    uint16_t tag, sum;
    uint8_t status, errors;
} Arrival;

/* ---- filters ---- */

static bool exact(const E1000 *s, const uint8_t *mac)
{
    uint32_t low = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24,
             high = mac[4] | mac[5] << 8;
    for (unsigned i = 0; i < E1000_RA; i++)
        if (s->ra[2 * i + 1] >> 31 && s->ra[2 * i] == low && (s->ra[2 * i + 1] & 0xffff) == high)
            return true;
    return false;
}

static bool group(const E1000 *s, const uint8_t *mac)
{
    static const uint8_t shift[4] = {4, 3, 2, 0};
    unsigned hash = (mac[4] | mac[5] << 8) >> shift[s->rctl >> 12 & 3] & 0xfff;
    return s->mta[hash / 32] >> hash % 32 & 1;
}

static bool tagged(const E1000 *s, const uint8_t *f, size_t n)
{
    return n >= ETH_VLAN_HEADER && (f[12] << 8 | f[13]) == (int)(s->vet & 0xffff);
}

static bool wants(E1000 *s, const uint8_t *f, size_t n)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (tagged(s, f, n) && s->rctl & RCTL_VFE) {
        unsigned id = (f[14] << 8 | f[15]) & 0xfff;
        if (!(s->vfta[id / 32] >> id % 32 & 1))
            return false;
    }
    if (!memcmp(f, broadcast, 6))
        return s->rctl & (RCTL_BAM | RCTL_MPE);
    if (f[0] & 1)
        return s->rctl & RCTL_MPE || group(s, f);
    return s->rctl & RCTL_UPE || exact(s, f);
}

/* ---- what the card finds out ---- */

static void check_sums(E1000 *s, Arrival *a)
{
    NetHeaders h;
    unsigned start = s->rxcsum & 0xff;
    if (start < a->bytes)
        a->sum = (uint16_t)~net_fold(net_sum(a->frame + start, a->bytes - start, 0));
    if (!net_parse(a->frame, a->bytes, &h) || !(s->rxcsum & (SUM_IP | SUM_TCP))) {
        a->status |= IXSM;
        return;
    }
    if (s->rxcsum & SUM_IP && h.version == 4) {
        a->status |= IPCS;
        a->errors |= net_ip_sum_ok(a->frame, &h) ? 0 : ERR_IP;
    }
    if (s->rxcsum & SUM_TCP && h.proto) {
        a->status |= TCPCS | (h.proto == NET_PROTO_UDP && s->is_82574 ? UDPCS : 0);
        a->errors |= net_l4_sum_ok(a->frame, &h) ? 0 : ERR_TCP;
    }
}

/* 82574, 7.1.11: what is hashed, by the type bits of MRQC from bit 16. */
static void hash(E1000 *s, Arrival *a)
{
    enum { TCP4 = 1, IP4 = 2, TCP6 = 4, IP6EX = 8, IP6 = 16 };
    NetHeaders h;
    uint8_t data[36];
    if ((s->mrqc & 3) != 1 || !net_parse(a->frame, a->bytes, &h))
        return;
    unsigned types = s->mrqc >> 16, n = h.version == 4 ? 8 : 32;
    bool tcp = h.proto == NET_PROTO_TCP && types & (h.version == 4 ? TCP4 : TCP6);
    if (!tcp && !(types & (h.version == 4 ? IP4 : IP6 | IP6EX)))
        return;
    memcpy(data, a->frame + h.l3 + (h.version == 4 ? 12 : 8), n);
    if (tcp)
        memcpy(data + n, a->frame + h.l4, 4);
    uint8_t key[40];
    for (unsigned i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(s->rssrk[i / 4] >> 8 * (i % 4));
    a->hash = net_toeplitz(key, data, n + (tcp ? 4 : 0));
    a->hash_type = h.version == 4 ? (tcp ? 1 : 2) : (tcp ? 3 : 5);
    unsigned entry = a->hash & 127;
    a->queue = s->reta[entry / 4] >> 8 * (entry % 4) >> 7 & 1;
}

/* Takes the tag out of the frame, into `storage`. */
static void strip_tag(E1000 *s, Arrival *a, uint8_t *storage)
{
    if (!(s->ctrl & CTRL_VME) || !tagged(s, a->frame, a->bytes))
        return;
    a->status |= VP;
    a->tag = (uint16_t)(a->frame[14] << 8 | a->frame[15]);
    a->bytes = net_tag_strip(storage, a->frame, a->bytes);
    a->frame = storage;
}

/* ---- rings ---- */

static uint64_t ring_at(const E1000 *s, unsigned q, uint32_t i)
{
    return ((uint64_t)s->rdbah[q] << 32 | s->rdbal[q]) +
           (uint64_t)i * DESC * (s->rctl & SPLIT ? 2 : 1);
}

static size_t buffer_bytes(const E1000 *s)
{
    unsigned flexible = s->is_82574 ? s->rctl >> 27 & 15 : 0, code = s->rctl >> 16 & 3;
    if (flexible)
        return flexible * 1024u;
    return s->rctl & RCTL_BSEX && code ? 32768u >> code : 2048u >> code;
}

/* The buffers of a descriptor and their sizes; how many there are. */
static unsigned buffers(const E1000 *s, const uint64_t *d, uint64_t *pa, size_t *size)
{
    if (!(s->rctl & SPLIT)) {
        pa[0] = GUINT64_FROM_LE(d[0]);
        size[0] = buffer_bytes(s);
        return 1;
    }
    /* PSRCTL: the header's buffer in units of 128 bytes, the others in KiB. */
    for (unsigned i = 0; i < MAX_SPLIT; i++) {
        pa[i] = GUINT64_FROM_LE(d[i]);
        size[i] = i ? (s->psrctl >> 8 * i & 0x3f) * 1024u : (s->psrctl & 0x7f) * 128u;
    }
    return MAX_SPLIT;
}

/* Copies [at, at + n) of frame and FCS to guest memory. */
static void copy(E1000 *s, const Arrival *a, size_t at, uint64_t pa, size_t n)
{
    size_t body = at < a->bytes ? MIN(n, a->bytes - at) : 0;
    if (body)
        pci_dma_write(&s->pci, pa, a->frame + at, body);
    if (n > body)
        pci_dma_write(&s->pci, pa + body, a->tail + (at + body - a->bytes), n - body);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(p, &v, 4);
}

/* 82574, 7.1.4 and 7.1.5. `part` has the bytes in each buffer. */
static void write_extended(E1000 *s, const Arrival *a, uint8_t *d, const size_t *part, bool last)
{
    uint32_t status = DD | (last ? EOP | a->status | (uint32_t)a->errors << 24 : 0);
    memset(d, 0, s->rctl & SPLIT ? 2 * DESC : DESC);
    if (last && s->rxcsum & NO_PACKET_SUM) {
        put32(d, a->hash_type | a->queue << 8);
        put32(d + 4, a->hash);
    } else if (last) {
        put32(d + 4, (uint32_t)a->sum << 16);
    }
    put32(d + 8, status);
    put32(d + 12, (uint32_t)part[0] | (uint32_t)a->tag << 16);
    if (!(s->rctl & SPLIT))
        return;
    for (unsigned i = 1; i < MAX_SPLIT; i++) {
        d[16 + 2 * i] = (uint8_t)part[i];
        d[17 + 2 * i] = (uint8_t)(part[i] >> 8);
    }
}

static void write_legacy(const Arrival *a, uint8_t *d, size_t part, bool last)
{
    put32(d + 8, (uint32_t)part | (uint32_t)a->sum << 16);
    put32(d + 12,
          DD | (last ? EOP | a->status | (uint32_t)a->errors << 8 | (uint32_t)a->tag << 16 : 0));
}

/* Bytes that the free descriptors of the ring hold, up to `enough`. */
static bool has_room(E1000 *s, const Arrival *a)
{
    unsigned q = a->queue;
    uint32_t n = s->rdlen[q] / DESC / (s->rctl & SPLIT ? 2 : 1), head = s->rdh[q], tail = s->rdt[q];
    if (!n || head >= n || tail >= n || head == tail)
        return false;
    uint64_t per[MAX_SPLIT] = {0}, pa[MAX_SPLIT];
    size_t size[MAX_SPLIT], each = 0;
    unsigned k = buffers(s, per, pa, size);
    for (unsigned i = 0; i < k; i++)
        each += size[i];
    uint32_t free = (tail + n - head) % n;
    return each && free >= (a->total + each - 1) / each;
}

static void fill(E1000 *s, Arrival *a)
{
    unsigned q = a->queue;
    unsigned bytes = DESC * (s->rctl & SPLIT ? 2 : 1);
    uint32_t n = s->rdlen[q] / bytes;
    uint64_t d[2 * DESC / 8], pa[MAX_SPLIT];
    size_t size[MAX_SPLIT], part[MAX_SPLIT];
    for (size_t at = 0; at < a->total;) {
        if (!pci_dma_read(&s->pci, ring_at(s, q, s->rdh[q]), d, bytes))
            return;
        unsigned k = buffers(s, d, pa, size);
        for (unsigned i = 0; i < k; at += part[i++]) {
            part[i] = MIN(size[i], a->total - at);
            if (part[i] && pa[i])
                copy(s, a, at, pa[i], part[i]);
        }
        bool last = at >= a->total;
        if (s->is_82574 && s->rfctl & EXTENDED)
            write_extended(s, a, (uint8_t *)d, part, last);
        else
            write_legacy(a, (uint8_t *)d, part[0], last);
        pci_dma_write(&s->pci, ring_at(s, q, s->rdh[q]), d, bytes);
        s->rdh[q] = (s->rdh[q] + 1) % n;
    }
}

static void tell(E1000 *s, const Arrival *a)
{
    unsigned q = a->queue, n = s->rdlen[q] / DESC / (s->rctl & SPLIT ? 2 : 1);
    unsigned free = (s->rdt[q] + n - s->rdh[q]) % n, low = n >> (1 + (s->rctl >> 8 & 3));
    e1000_cause(s, ICR_RXT0 | (free <= low ? ICR_RXDMT0 : 0) | (s->is_82574 ? ICR_RXQ0 << q : 0));
}

bool e1000_receive(Device *d, const uint8_t *frame, size_t n)
{
    E1000 *s = e1000_of(d);
    uint8_t short_frame[60] = {0}, storage[NET_MAX_PACKET];
    if (!(s->rctl & RCTL_EN) || !pci_is_master(&s->pci) || !wants(s, frame, n))
        return true;
    if (n < sizeof(short_frame)) {
        memcpy(short_frame, frame, n);
        frame = short_frame;
        n = sizeof(short_frame);
    }
    if (n + FCS > LONGEST && !(s->rctl & RCTL_LPE)) {
        e1000_stat(s, STAT_ROC, 1);
        return true;
    }
    Arrival a = {.frame = frame, .bytes = n};
    put32(a.tail, net_fcs(frame, n));
    if (s->is_82574)
        hash(s, &a);
    check_sums(s, &a);
    strip_tag(s, &a, storage);
    a.total = a.bytes + (s->rctl & RCTL_SECRC ? 0 : FCS);
    if (!has_room(s, &a))
        return false;
    e1000_count(s, &e1000_received, frame, n);
    fill(s, &a);
    tell(s, &a);
    return true;
}
