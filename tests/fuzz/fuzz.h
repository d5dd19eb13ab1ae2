/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target offers, and reading its input; smoke.c runs it without a fuzzer. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Pieces that inputs are put together from; ends with NULL. Targets whose inputs are binary have
 * none: they get random bytes. */
extern const char *const fuzz_words[];

/* The input as a stream of numbers; zeroes when it has ended. */
typedef struct FuzzInput {
    const uint8_t *p;
    size_t left;
} FuzzInput;

static inline size_t fuzz_bytes(FuzzInput *in, void *out, size_t n)
{
    size_t k = n < in->left ? n : in->left;

    memset(out, 0, n);
    memcpy(out, in->p, k);
    in->p += k;
    in->left -= k;
    return k;
}

static inline uint64_t fuzz_int(FuzzInput *in, unsigned bytes)
{
    uint64_t v = 0;

    fuzz_bytes(in, &v, bytes);
    return v;
}

#endif
