/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target offers; smoke.c runs it without a fuzzer. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Pieces that inputs are put together from; ends with NULL. */
extern const char *const fuzz_words[];

#endif
