/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts without a known 16-byte compare and exchange: the caller stops the world. */
#include "core/softmmu/internal.h"

bool host_cas128(void *p, uint64_t expected[2], const uint64_t desired[2], bool *matched)
{
    return false;
}
