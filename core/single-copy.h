/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and stores of guest RAM: aligned ones are single copies, as drivers and devices share rings. */
#ifndef CORE_SINGLE_COPY_H
#define CORE_SINGLE_COPY_H

#include <stdint.h>
#include <string.h>

static inline uint64_t host_load(const void *p, unsigned size)
{
    uint64_t v = 0;

    if (((uintptr_t)p & (size - 1)) == 0) {
        switch (size) {
        case 1: return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
        case 2: return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
        case 4: return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
        case 8: return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
        }
    }
    switch (size) {
    case 2: memcpy(&v, p, 2); return v;
    case 4: memcpy(&v, p, 4); return v;
    case 8: memcpy(&v, p, 8); return v;
    default: memcpy(&v, p, size); return v;
    }
}

static inline void host_store(void *p, uint64_t v, unsigned size)
{
    if (((uintptr_t)p & (size - 1)) == 0) {
        switch (size) {
        case 1: __atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_RELAXED); return;
        case 2: __atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED); return;
        case 4: __atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED); return;
        case 8: __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED); return;
        }
    }
    switch (size) {
    case 2: memcpy(p, &v, 2); return;
    case 4: memcpy(p, &v, 4); return;
    case 8: memcpy(p, &v, 8); return;
    default: memcpy(p, &v, size); return;
    }
}

#endif
