/* SPDX-License-Identifier: Apache-2.0 */
/* Transmission: descriptor rings, checksums, segmentation, tags. Spec: SDM 3.3-3.6. */
#include <string.h>
#include "core/vm.h"
#include "hw/net/e1000.h"
#include "net/offload.h"

enum {
    DESC = 16, BURST = 128, MIN_FRAME = 60,
    CMD_EOP = 1, CMD_IC = 4, CMD_TSE = 4, CMD_RS = 8, CMD_DEXT = 0x20, CMD_VLE = 0x40,
    POPTS_IP = 1, POPTS_TCP = 2, DD = 1, OFFLOAD = 0, SEGMENTATION = 1,
};

/* A packet as its descriptors say. */
typedef struct Packet {
    size_t bytes;
    uint8_t popts;
    bool segment, vlan, report, broken;
    bool legacy_sum;
    uint8_t cso, css;
    uint16_t tag;
    unsigned queue;
} Packet;

static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

static unsigned ring_length(const E1000 *s, unsigned q) { return s->tdlen[q] / DESC; }

static uint64_t at(const E1000 *s, unsigned q, uint32_t i)
{
    return ((uint64_t)s->tdbah[q] << 32 | s->tdbal[q]) + (uint64_t)i * DESC;
}

/* ---- descriptors ---- */

static void append(E1000 *s, Packet *p, uint64_t pa, size_t n)
{
    if (n > NET_MAX_PACKET - 16 - p->bytes) {
        log_guest(s, "packet to send is longer than 64 KiB");
        p->broken = true;
    }
    if (p->broken)
        return;
    if (!pci_dma_read(&s->pci, pa, s->frame + p->bytes, n))
        memset(s->frame + p->bytes, 0, n);
    p->bytes += n;
}

/* Takes one; true: the packet ends with it. */
static bool take(E1000 *s, Packet *p, const uint8_t *d)
{
    uint8_t cmd = d[11];
    bool extended = cmd & CMD_DEXT, first = !p->bytes;
    if (extended && (d[10] >> 4) == 0) {
        memcpy(s->context[p->queue][cmd & CMD_TSE ? SEGMENTATION : OFFLOAD], d, DESC);
        return false;
    }
    if (extended) {
        append(s, p, GUINT64_FROM_LE(*(const uint64_t *)(const void *)d), get32(d + 8) & 0xfffff);
        if (first) {
            p->popts = d[13];
            p->segment = cmd & CMD_TSE;
        }
    } else {
        append(s, p, GUINT64_FROM_LE(*(const uint64_t *)(const void *)d), get16(d + 8));
        if (cmd & CMD_EOP && cmd & CMD_IC) {
            p->legacy_sum = true;
            p->cso = d[10];
            p->css = d[13];
        }
    }
    if (cmd & CMD_EOP && cmd & CMD_VLE) {
        p->vlan = true;
        p->tag = (uint16_t)get16(d + 14);
    }
    return cmd & CMD_EOP;
}

static void write_back(E1000 *s, unsigned q, uint32_t i, uint8_t *d, Packet *p)
{
    if (!(d[11] & CMD_RS))
        return;
    d[12] |= DD;
    pci_dma_write(&s->pci, at(s, q, i) + 12, d + 12, 1);
    p->report = true;
}

/* All descriptors of the next packet, or the contexts before it. False: it is not there as a whole
 * yet. */
static bool gather(E1000 *s, unsigned q, Packet *p)
{
    uint32_t n = ring_length(s, q), head = s->tdh[q], i = head;
    uint64_t aligned[DESC / 8];
    uint8_t *d = (uint8_t *)aligned;
    bool whole = false;
    for (; i != s->tdt[q] && !whole; i = (i + 1) % n) {
        if (!pci_dma_read(&s->pci, at(s, q, i), d, DESC))
            return false;
        whole = take(s, p, d);
        if (!p->bytes && !whole && !p->broken) {    /* a context alone is done with */
            write_back(s, q, i, d, p);
            s->tdh[q] = head = (i + 1) % n;
        }
    }
    bool full = (s->tdt[q] + 1) % n == s->tdh[q];
    if (!whole && full && p->bytes) {
        log_guest(s, "the whole ring holds no end of a packet");
        p->broken = true;
    }
    if (!whole && !p->broken)
        return false;
    for (uint32_t k = head; k != i; k = (k + 1) % n)
        if (pci_dma_read(&s->pci, at(s, q, k), d, DESC))
            write_back(s, q, k, d, p);
    s->tdh[q] = i;
    return true;
}

/* ---- what the card does to a packet ---- */

static void insert_tag(E1000 *s, Packet *p)
{
    if (p->vlan && s->ctrl & CTRL_VME && p->bytes >= 14)
        p->bytes = net_tag_put(s->frame, p->bytes, (uint16_t)s->vet, p->tag);
}

static void insert_sums(E1000 *s, Packet *p)
{
    const uint8_t *c = s->context[p->queue][OFFLOAD];
    if (p->legacy_sum)
        net_sum_put(s->frame, p->bytes, p->css, p->cso, p->bytes);
    if (p->popts & POPTS_TCP)
        net_sum_put(s->frame, p->bytes, c[4], c[5], get16(c + 6) ? get16(c + 6) + 1u : p->bytes);
    if (p->popts & POPTS_IP)
        net_sum_put(s->frame, p->bytes, c[0], c[1], get16(c + 2) ? get16(c + 2) + 1u : p->bytes);
}

static bool emit(void *opaque, const uint8_t *frame, size_t n)
{
    enum { LOOPBACK = 3 << 6, PHY_LOOPBACK = 0x4000 };
    E1000 *s = opaque;
    uint8_t padded[MIN_FRAME] = {0};
    if (n < MIN_FRAME && s->tctl & TCTL_PSP) {
        memcpy(padded, frame, n);
        frame = padded;
        n = MIN_FRAME;
    }
    if (n < 14)
        return true;
    e1000_count(s, &e1000_sent, frame, n);
    if (s->rctl & LOOPBACK || s->phy[0] & PHY_LOOPBACK)
        e1000_receive(&s->pci.dev, frame, n);
    else
        nic_port_send(&s->port, frame, n);
    return true;
}

static void finish(E1000 *s, Packet *p, bool whole)
{
    const uint8_t *c = s->context[p->queue][SEGMENTATION];
    if (p->report)
        e1000_cause(s, ICR_TXDW | (s->is_82574 ? ICR_TXQ0 << p->queue : 0));
    if (!whole || p->broken || !p->bytes)
        return;
    if (p->segment) {
        insert_tag(s, p);
        e1000_stat(s, STAT_TSCTC, 1);
        net_segment(s->frame, p->bytes, get16(c + 14), emit, s);
        return;
    }
    insert_sums(s, p);
    insert_tag(s, p);
    emit(s, s->frame, p->bytes);
}

static bool may_send(const E1000 *s, unsigned q)
{
    uint32_t n = ring_length(s, q);
    return s->tctl & TCTL_EN && !s->port.waits && s->tdh[q] != s->tdt[q] && s->tdh[q] < n &&
           s->tdt[q] < n;
}

void e1000_transmit(E1000 *s)
{
    unsigned burst = 0;
    for (unsigned q = 0; q < (s->is_82574 ? E1000_QUEUES : 1u); q++) {
        bool sent = false;
        while (may_send(s, q) && burst++ < BURST) {
            Packet p = {.queue = q};
            bool whole = gather(s, q, &p);
            finish(s, &p, whole);
            if (!whole)
                break;
            sent = true;
        }
        if (sent && s->tdh[q] == s->tdt[q])
            e1000_cause(s, ICR_TXQE);
    }
    if (burst >= BURST)
        nic_port_kick(&s->port);        /* others on the loop have their turn */
}
