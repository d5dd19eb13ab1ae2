/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <glib.h>
#include "net/offload.h"

/* Ethernet, IPv4 and TCP with `payload` bytes that count up. */
static size_t make_tcp(uint8_t *f, size_t payload)
{
    memset(f, 0, 54);
    memcpy(f, "\x52\x54\0\x12\x34\x56\x52\x55\x0a\0\2\2\x08\0", 14);
    memcpy(f + 14, "\x45\0\0\0\x12\x34\0\0\x40\x06\0\0\x0a\0\2\x0f\x0a\0\2\2", 20);
    memcpy(f + 34, "\x13\x88\0\x50\xff\xff\xff\0\0\0\0\1\x50\x19\x20\0", 16);
    for (size_t i = 0; i < payload; i++)
        f[54 + i] = (uint8_t)i;
    f[16] = (uint8_t)((40 + payload) >> 8), f[17] = (uint8_t)(40 + payload);
    return 54 + payload;
}

static void test_sums(void)
{
    /* The example of RFC 1071, section 3. */
    static const uint8_t words[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    g_assert_cmphex(net_fold(net_sum(words, 8, 0)), ==, (uint16_t)~0xddf2);
    uint8_t f[200];
    NetHeaders h;
    size_t n = make_tcp(f, 101);
    g_assert_true(net_parse(f, n, &h));
    g_assert_cmpuint(h.version, ==, 4);
    g_assert_cmpuint(h.l3, ==, 14);
    g_assert_cmpuint(h.l4, ==, 34);
    g_assert_cmpuint(h.end, ==, n);
    g_assert_false(net_ip_sum_ok(f, &h));
    g_assert_false(net_l4_sum_ok(f, &h));
    net_ip_sum_put(f, &h);
    net_l4_sum_put(f, &h);
    g_assert_true(net_ip_sum_ok(f, &h));
    g_assert_true(net_l4_sum_ok(f, &h));
    f[60] ^= 1;
    g_assert_false(net_l4_sum_ok(f, &h));
    for (size_t cut = 0; cut < n; cut++) {      /* nothing is read beyond the end */
        g_autofree uint8_t *part = g_memdup2(f, cut);
        g_assert_false(net_parse(part, cut, &h) && h.end > cut);
    }
}

typedef struct Seen { unsigned n; size_t bytes; uint32_t next; bool fin; } Seen;

static bool see(void *opaque, const uint8_t *f, size_t n)
{
    Seen *s = opaque;
    NetHeaders h;
    g_assert_true(net_parse(f, n, &h));
    g_assert_cmpuint(h.end, ==, n);
    g_assert_true(net_ip_sum_ok(f, &h));
    g_assert_true(net_l4_sum_ok(f, &h));
    uint32_t seq = (uint32_t)f[38] << 24 | f[39] << 16 | f[40] << 8 | f[41];
    g_assert_cmphex(seq, ==, s->next);
    g_assert_cmphex(f[18] << 8 | f[19], ==, 0x1234 + s->n);
    for (size_t i = 54; i < n; i++)
        g_assert_cmpuint(f[i], ==, (uint8_t)(s->bytes + i - 54));
    g_assert_false(s->fin);
    s->fin = f[47] & 1;
    s->next += (uint32_t)(n - 54);
    s->bytes += n - 54;
    s->n++;
    return true;
}

static void test_segments(void)
{
    static uint8_t f[66000];
    Seen s = {.next = 0xffffff00};
    size_t n = make_tcp(f, 60000);
    f[16] = f[17] = 0;                          /* a driver may leave the length out */
    g_assert_true(net_segment(f, n, 1460, see, &s));
    g_assert_cmpuint(s.n, ==, 42);
    g_assert_cmpuint(s.bytes, ==, 60000);
    g_assert_true(s.fin);
}

/* Microsoft's published verification suite for the hash. */
static void test_toeplitz(void)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                    0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                    0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    /* 66.9.149.187:2794 to 161.142.100.80:1766 */
    static const uint8_t flow[12] = {66,  9,  149,       187,        161,       142,
                                     100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255};
    g_assert_cmphex(net_toeplitz(key, flow, 8), ==, 0x323e8fc2);
    g_assert_cmphex(net_toeplitz(key, flow, 12), ==, 0x51ccc178);
}

static void test_crc(void)
{
    g_assert_cmphex(net_fcs((const uint8_t *)"123456789", 9), ==, 0xcbf43926);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/offload/sums", test_sums);
    g_test_add_func("/offload/segments", test_segments);
    g_test_add_func("/offload/toeplitz", test_toeplitz);
    g_test_add_func("/offload/crc", test_crc);
    return g_test_run();
}
