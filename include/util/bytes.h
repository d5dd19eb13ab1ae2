/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers of 1 to 8 bytes, appended to an array and read out of bytes from elsewhere. */
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

#endif
