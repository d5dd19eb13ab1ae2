/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in bytes: little-endian ones of 1 to 8 bytes, appended and read in turn; big-endian ones at a place. */
#ifndef UTIL_BYTES_H
#define UTIL_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

static inline void bytes_put(GByteArray *b, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(b, (const uint8_t *)&v, n);
}

/* At a place that is there. */
static inline void bytes_store(uint8_t *p, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, n);
}

typedef struct BytesReader {
    const uint8_t *p;
    size_t left;
    bool ok;                    /* start with true; false from the first number on that is not there whole */
} BytesReader;

/* 0 if there is no such number. */
static inline uint64_t bytes_get(BytesReader *r, unsigned n)
{
    uint64_t v = 0;
    r->ok = r->ok && r->left >= n;
    if (!r->ok)
        return 0;
    memcpy(&v, r->p, n);
    r->p += n;
    r->left -= n;
    return GUINT64_FROM_LE(v);
}

/* Big-endian, as in network protocols, at any alignment. */
static inline void put_be16(uint8_t *p, uint16_t v) { v = GUINT16_TO_BE(v); memcpy(p, &v, 2); }
static inline void put_be32(uint8_t *p, uint32_t v) { v = GUINT32_TO_BE(v); memcpy(p, &v, 4); }
static inline void put_be64(uint8_t *p, uint64_t v) { v = GUINT64_TO_BE(v); memcpy(p, &v, 8); }
static inline uint16_t get_be16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return GUINT16_FROM_BE(v); }
static inline uint32_t get_be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return GUINT32_FROM_BE(v); }
static inline uint64_t get_be64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return GUINT64_FROM_BE(v); }

#endif
