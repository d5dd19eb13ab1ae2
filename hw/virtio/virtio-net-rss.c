/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of received packets. Spec: virtio 1.2, 5.1.6.4.3 and 5.1.6.5.7. */
#include <string.h>
#include "hw/virtio/virtio-net.h"
#include "net/offload.h"

enum { IP4 = 1, TCP4 = 2, UDP4 = 4, IP6 = 8, TCP6 = 0x10, UDP6 = 0x20 };

unsigned net_hash(const VirtioNet *s, const uint8_t *frame, size_t n, uint32_t *hash)
{
    NetHeaders h;
    uint8_t data[36];
    if (!s->hash_types || !net_parse(frame, n, &h))
        return 0;
    unsigned shift = h.version == 4 ? 0 : 3, types = s->hash_types >> shift, bytes = h.version == 4 ? 8 : 32;
    unsigned kind = h.proto == NET_PROTO_TCP && types & TCP4   ? 2
                    : h.proto == NET_PROTO_UDP && types & UDP4 ? 3
                    : types & IP4                              ? 1
                                                               : 0;
    if (!kind)
        return 0;
    memcpy(data, frame + h.l3 + (h.version == 4 ? 12 : 8), bytes);
    if (kind > 1)
        memcpy(data + bytes, frame + h.l4, 4);
    *hash = net_toeplitz(s->rss_key, data, bytes + (kind > 1 ? 4 : 0));
    return kind + shift;
}

unsigned net_rss_pair(const VirtioNet *s, unsigned kind, uint32_t hash)
{
    unsigned pair = kind ? s->rss_table[hash & s->rss_mask & (NET_RSS_TABLE - 1)] : s->rss_default;
    return pair < s->used_pairs ? pair : 0;
}

static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }

bool net_rss_configure(VirtioNet *s, const uint8_t *d, size_t n, bool rss)
{
    size_t head = rss ? 8 : 12, at = head;
    if (n < head)
        return false;
    uint32_t types = get16(d) | get16(d + 2) << 16;
    unsigned entries = rss ? get16(d + 4) + 1u : 0, pairs = s->used_pairs;
    if (types & ~NET_RSS_TYPES || entries > NET_RSS_TABLE || entries & (entries - 1))
        return false;
    if (rss) {
        if (n < at + 2 * entries + 3)
            return false;
        pairs = get16(d + at + 2 * entries);
        if (!pairs || pairs > s->n_pairs || get16(d + 6) >= s->n_pairs)
            return false;
        for (unsigned i = 0; i < entries; i++)
            if (get16(d + at + 2 * i) >= s->n_pairs)
                return false;
        at += 2 * entries + 2;
    } else if (n < at + 1) {
        return false;
    }
    unsigned key = d[at++];
    if (key > NET_RSS_KEY || n < at + key)
        return false;
    memset(s->rss_key, 0, sizeof(s->rss_key));
    memcpy(s->rss_key, d + at, key);
    s->hash_types = types;
    if (!rss)
        return true;
    for (unsigned i = 0; i < entries; i++)
        s->rss_table[i] = (uint16_t)get16(d + 8 + 2 * i);
    s->rss_mask = entries - 1;
    s->rss_default = (uint16_t)get16(d + 6);
    s->rss = true;
    s->used_pairs = pairs;
    net_apply_pairs(s);
    return true;
}
