/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists over guest memory, for controllers that find addresses in tables. */
#ifndef HW_DMA_LIST_H
#define HW_DMA_LIST_H

#include "core/device.h"
#include "util/iov.h"

typedef struct DmaList {
    GArray *iov;                /* struct iovec */
    uint64_t bytes;
} DmaList;

/* Adds `n` bytes of guest memory at pa; false if that is no RAM. In an RCU section (vCPUs and loops are). */
bool dma_list_add(DmaList *l, Device *d, uint64_t pa, uint64_t n, bool write);
void dma_list_clear(DmaList *l);
/* Tells who watches memory that the first `n` bytes were written. */
void dma_list_written(const DmaList *l, Device *d, uint64_t n);

#endif
