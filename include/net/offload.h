/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cards compute on packets: checksums, segmentation, receive hashes. Pure functions on a
 * linear Ethernet frame (no FCS); every offset they are given is checked against its length. Specs:
 * RFC 1071, 791, 8200, 9293; Microsoft, "Receive Side Scaling" (the Toeplitz hash).
 */
#ifndef NET_OFFLOAD_H
#define NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sum of 16-bit big-endian words added to `sum`; an odd last byte counts as the high one. */
uint32_t net_sum(const uint8_t *p, size_t n, uint32_t sum);
/* Folded to 16 bits and complemented: as it stands in headers. */
uint16_t net_fold(uint32_t sum);

enum { NET_PROTO_TCP = 6, NET_PROTO_UDP = 17 };

/* Where the headers of a frame stand. */
typedef struct NetHeaders {
    uint8_t version;            /* 4 or 6; 0: neither, and nothing else holds */
    uint8_t proto;              /* of layer 4; 0 when the frame is a fragment or too short for it */
    bool vlan, fragment;
    uint16_t l3, l4;            /* offsets */
    uint32_t end;               /* of the IP packet; frames may be padded */
} NetHeaders;
/* False: not IP, or cut short. */
bool net_parse(const uint8_t *frame, size_t n, NetHeaders *h);
bool net_ip_sum_ok(const uint8_t *frame, const NetHeaders *h);         /* IPv4's header */
/* TCP or UDP with the pseudo header; a UDP checksum of 0 is right. */
bool net_l4_sum_ok(const uint8_t *frame, const NetHeaders *h);
/* Puts in IPv4's header checksum; TCP's or UDP's. */
void net_ip_sum_put(uint8_t *frame, const NetHeaders *h);
void net_l4_sum_put(uint8_t *frame, const NetHeaders *h);
/* The sum of [from, end) at `at`, where a driver has put the pseudo header's. */
void net_sum_put(uint8_t *frame, size_t n, size_t from, size_t at, size_t end);

/* Cuts a TCP frame longer than its headers + mss into segments and passes each to `emit`, whole and
 * with right lengths, numbers, flags and checksums; the buffer is valid during the call. Frames
 * that need no cutting, or are no TCP with whole headers, are emitted as they are. False as soon as
 * emit says so. */
bool net_segment(uint8_t *frame, size_t n, size_t mss,
                 bool (*emit)(void *opaque, const uint8_t *frame, size_t n), void *opaque);

/* A tag of 802.1Q into or out of a frame of 14 (18) bytes at least; the new length. `frame` has room for 4 more. */
size_t net_tag_put(uint8_t *frame, size_t n, uint16_t type, uint16_t tag);
size_t net_tag_strip(uint8_t *out, const uint8_t *frame, size_t n);

/* The Toeplitz hash of n bytes (at most 36) with a 40-byte key. */
uint32_t net_toeplitz(const uint8_t key[40], const uint8_t *data, size_t n);

/* The 802.3 CRC over an address, bit 31 first received: hash filters take their index from it. */
uint32_t net_crc_be(const uint8_t *p, size_t n);
/* The frame check sequence as it stands behind a frame. */
uint32_t net_fcs(const uint8_t *frame, size_t n);

#endif
