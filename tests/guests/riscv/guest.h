/* SPDX-License-Identifier: Apache-2.0 */
/* What bare-metal test programs share: console, end of the machine, CSRs. */
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>

typedef unsigned long reg;      /* XLEN bits */

#define csr_read(name)                                                                              \
    ({                                                                                              \
        reg v_;                                                                                     \
        __asm__ volatile("csrr %0, " #name : "=r"(v_)::"memory");                                   \
        v_;                                                                                         \
    })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" ::"rK"((reg)(v)) : "memory")
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" ::"rK"((reg)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" ::"rK"((reg)(v)) : "memory")

static inline void put_char(char c) { *(volatile uint8_t *)0x10000000 = c; }

static inline void put(const char *s)
{
    while (*s) {
        put_char(*s++);
    }
}

static inline void put_hex(uint64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        put_char("0123456789abcdef"[v >> 4 * i & 15]);
    }
}

/* Ends the machine: 0 is success, other codes become its exit status. */
static inline void finish_with(unsigned code)
{
    *(volatile uint32_t *)0x100000 = code ? code << 16 | 0x3333 : 0x5555;
    for (;;) {
    }
}

int main(void);

#endif
