/* SPDX-License-Identifier: Apache-2.0 */
/* 16-byte compare and exchange on x86-64 hosts: CMPXCHG16B, which all but the first have. */
#include <cpuid.h>

#include "core/softmmu/internal.h"

static bool have(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_CMPXCHG16B;
}

bool host_cas128(void *p, uint64_t expected[2], const uint64_t desired[2], bool *matched)
{
    static int known;           /* 1 yes, 2 no; whoever writes, writes the same */
    bool ok;

    if (!known) {
        known = have() ? 1 : 2;
    }
    if (known == 2) {
        return false;
    }
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(ok), "+m"(*(char(*)[16])p), "+a"(expected[0]), "+d"(expected[1])
                     : "b"(desired[0]), "c"(desired[1])
                     : "memory");
    *matched = ok;
    return true;
}
