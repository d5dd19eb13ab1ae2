/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums, segmentation and hashes of packets. Specs: in net/offload.h. */
#include <string.h>
#include <glib.h>
#include <zlib.h>
#include "net/offload.h"

enum {
    ETH = 14, TAG = 4, ETH_VLAN = 0x8100, ETH_QINQ = 0x88a8, ETH_IP4 = 0x0800, ETH_IP6 = 0x86dd,
    IP4_MIN = 20, IP6_HEADER = 40, TCP_MIN = 20, UDP_HEADER = 8, TCP_SUM = 16, UDP_SUM = 6,
    TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80, MAX_EXTENSIONS = 8, SEGMENT = 16384,
};

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static void put16(uint8_t *p, unsigned v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16), put16(p + 2, v & 0xffff); }

/* ---- sums ---- */

uint32_t net_sum(const uint8_t *p, size_t n, uint32_t sum)
{
    uint64_t total = sum;
    for (; n >= 2; n -= 2, p += 2)
        total += get16(p);
    if (n)
        total += (unsigned)*p << 8;
    while (total >> 32)
        total = (total & 0xffffffff) + (total >> 32);
    return (uint32_t)total;
}

uint16_t net_fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint32_t pseudo_header(const uint8_t *f, const NetHeaders *h)
{
    size_t addresses = h->version == 4 ? 8 : 32, at = h->l3 + (h->version == 4 ? 12u : 8u);
    uint32_t length = h->end - h->l4;
    return net_sum(f + at, addresses, h->proto + (length >> 16) + (length & 0xffff));
}

/* ---- headers ---- */

/* Walks IPv6's extension headers to layer 4. */
static bool parse_ip6(const uint8_t *f, size_t n, NetHeaders *h)
{
    enum { HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };
    uint8_t next = f[h->l3 + 6];
    size_t at = h->l3 + IP6_HEADER;
    for (unsigned i = 0; i < MAX_EXTENSIONS; i++) {
        if (next != HOP && next != ROUTING && next != FRAGMENT && next != DESTINATION)
            break;
        if (at + 8 > h->end)
            return false;
        if (next == FRAGMENT && get16(f + at + 2) & 0xfff9)
            h->fragment = true;
        size_t bytes = next == FRAGMENT ? 8 : 8 * (f[at + 1] + 1u);
        next = f[at];
        at += bytes;
        if (at > h->end)
            return false;
    }
    h->l4 = (uint16_t)at;
    h->proto = next;
    return true;
}

static bool parse_ip(const uint8_t *f, size_t n, NetHeaders *h)
{
    if (h->version == 4) {
        unsigned bytes = 4 * (f[h->l3] & 15u), total = get16(f + h->l3 + 2);
        if (f[h->l3] >> 4 != 4 || bytes < IP4_MIN || total < bytes || h->l3 + (size_t)total > n)
            return false;
        h->end = h->l3 + total;
        h->l4 = (uint16_t)(h->l3 + bytes);
        h->fragment = get16(f + h->l3 + 6) & 0x3fff;
        h->proto = f[h->l3 + 9];
        return true;
    }
    unsigned payload = get16(f + h->l3 + 4);
    if (f[h->l3] >> 4 != 6 || h->l3 + IP6_HEADER + (size_t)payload > n)
        return false;
    h->end = h->l3 + IP6_HEADER + payload;
    return parse_ip6(f, n, h);
}

bool net_parse(const uint8_t *f, size_t n, NetHeaders *h)
{
    memset(h, 0, sizeof(*h));
    size_t at = ETH;
    if (n < ETH)
        return false;
    unsigned type = get16(f + 12);
    while ((type == ETH_VLAN || type == ETH_QINQ) && n >= at + TAG && at < ETH + 2 * TAG) {
        type = get16(f + at + 2);
        at += TAG;
        h->vlan = true;
    }
    uint8_t version = type == ETH_IP4 ? 4 : type == ETH_IP6 ? 6 : 0;
    if (!version || n < at + (version == 4 ? IP4_MIN : IP6_HEADER))
        return false;
    *h = (NetHeaders){.version = version, .l3 = (uint16_t)at, .vlan = h->vlan};
    if (!parse_ip(f, n, h)) {
        h->version = 0;
        return false;
    }
    size_t need = h->proto == NET_PROTO_TCP ? TCP_MIN : h->proto == NET_PROTO_UDP ? UDP_HEADER : 0;
    if (h->fragment || !need || h->l4 + need > h->end)
        h->proto = 0;
    return true;
}

bool net_ip_sum_ok(const uint8_t *f, const NetHeaders *h)
{
    return h->version == 4 && net_fold(net_sum(f + h->l3, h->l4 - h->l3, 0)) == 0;
}

static unsigned sum_at(const NetHeaders *h)
{
    return h->l4 + (h->proto == NET_PROTO_TCP ? TCP_SUM : UDP_SUM);
}

bool net_l4_sum_ok(const uint8_t *f, const NetHeaders *h)
{
    if (!h->proto)
        return false;
    if (h->proto == NET_PROTO_UDP && get16(f + h->l4 + UDP_SUM) == 0)
        return true;
    return net_fold(net_sum(f + h->l4, h->end - h->l4, pseudo_header(f, h))) == 0;
}

void net_ip_sum_put(uint8_t *f, const NetHeaders *h)
{
    if (h->version != 4)
        return;
    put16(f + h->l3 + 10, 0);
    put16(f + h->l3 + 10, net_fold(net_sum(f + h->l3, h->l4 - h->l3, 0)));
}

void net_l4_sum_put(uint8_t *f, const NetHeaders *h)
{
    if (!h->proto)
        return;
    put16(f + sum_at(h), 0);
    uint16_t sum = net_fold(net_sum(f + h->l4, h->end - h->l4, pseudo_header(f, h)));
    put16(f + sum_at(h), !sum && h->proto == NET_PROTO_UDP ? 0xffff : sum);
}

void net_sum_put(uint8_t *f, size_t n, size_t from, size_t at, size_t end)
{
    end = MIN(end, n);
    if (from >= end || at + 2 > n)
        return;
    put16(f + at, net_fold(net_sum(f + from, end - from, 0)));
}

/* ---- segments ---- */

typedef struct Cut {
    uint8_t *out;
    const uint8_t *frame;
    NetHeaders h;
    size_t header;              /* bytes of all headers */
    unsigned number;
} Cut;

/* The headers of the segment that carries [at, at + n) of the payload. */
static void write_headers(Cut *c, size_t at, size_t n, bool last)
{
    NetHeaders h = c->h;
    uint8_t *out = c->out, *tcp = out + h.l4;
    memcpy(out, c->frame, c->header);
    h.end = (uint32_t)(c->header + n);
    if (h.version == 4) {
        put16(out + h.l3 + 2, h.end - h.l3);
        put16(out + h.l3 + 4, get16(c->frame + h.l3 + 4) + c->number);
        net_ip_sum_put(out, &h);
    } else {
        put16(out + h.l3 + 4, h.end - h.l3 - IP6_HEADER);
    }
    put32(tcp + 4, get32(c->frame + h.l4 + 4) + (uint32_t)at);
    if (!last)
        tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    if (c->number)
        tcp[13] &= (uint8_t)~TCP_CWR;
    memcpy(out + c->header, c->frame + c->header + at, n);
    net_l4_sum_put(out, &h);
}

/* Lengths in a super-segment's IP header may be 0: the driver leaves them to the card. */
static bool find_headers(uint8_t *f, size_t n, Cut *c)
{
    if (n < ETH + IP4_MIN)
        return false;
    size_t l3 = ETH;
    while (get16(f + l3 - 2) == ETH_VLAN && l3 + TAG + IP4_MIN <= n)
        l3 += TAG;
    if (n - l3 <= UINT16_MAX) {
        if (get16(f + l3 - 2) == ETH_IP4)
            put16(f + l3 + 2, (unsigned)(n - l3));
        else if (get16(f + l3 - 2) == ETH_IP6 && n >= l3 + IP6_HEADER)
            put16(f + l3 + 4, (unsigned)(n - l3 - IP6_HEADER));
    }
    if (!net_parse(f, n, &c->h) || c->h.proto != NET_PROTO_TCP)
        return false;
    c->header = c->h.l4 + 4 * (size_t)(f[c->h.l4 + 12] >> 4);
    return c->header >= c->h.l4 + (size_t)TCP_MIN && c->header <= n;
}

bool net_segment(uint8_t *f, size_t n, size_t mss, bool (*emit)(void *, const uint8_t *, size_t),
                 void *opaque)
{
    Cut c = {.frame = f};
    if (!mss || !find_headers(f, n, &c) || c.header + mss > SEGMENT)
        return emit(opaque, f, n);
    uint8_t out[SEGMENT];
    size_t payload = n - c.header, at = 0;
    c.out = out;
    do {
        size_t part = MIN(mss, payload - at);
        write_headers(&c, at, part, at + part == payload);
        if (!emit(opaque, out, c.header + part))
            return false;
        at += part;
        c.number++;
    } while (at < payload);
    return true;
}

/* ---- tags ---- */

size_t net_tag_put(uint8_t *frame, size_t n, uint16_t type, uint16_t tag)
{
    memmove(frame + ETH + 2, frame + ETH - 2, n - (ETH - 2));
    put16(frame + ETH - 2, type);
    put16(frame + ETH, tag);
    return n + TAG;
}

size_t net_tag_strip(uint8_t *out, const uint8_t *frame, size_t n)
{
    memcpy(out, frame, ETH - 2);
    memcpy(out + ETH - 2, frame + ETH + 2, n - (ETH + 2));
    return n - TAG;
}

/* ---- hashes ---- */

uint32_t net_toeplitz(const uint8_t key[40], const uint8_t *data, size_t n)
{
    uint32_t window = get32(key), hash = 0;
    for (size_t i = 0; i < MIN(n, 36); i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            if (data[i] & 0x80 >> bit)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> (7 - bit) & 1);
        }
    return hash;
}

uint32_t net_crc_be(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bool carry = (crc >> 31) ^ (p[i] >> bit & 1);
            crc = crc << 1 ^ (carry ? 0x04c11db7 : 0);
        }
    return crc;
}

uint32_t net_fcs(const uint8_t *frame, size_t n) { return (uint32_t)crc32(0, frame, (unsigned)n); }
