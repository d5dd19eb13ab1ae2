/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists over guest memory. */
#include "hw/dma-list.h"
#include "core/vm.h"

static AddressSpace *space(Device *d) { return d->dma ? d->dma : d->object.vm->memory; }

bool dma_list_add(DmaList *l, Device *d, uint64_t pa, uint64_t n, bool write)
{
    if (!l->iov)
        l->iov = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    while (n) {
        uint64_t got = n;
        void *host = as_ram(space(d), pa, &got, write);
        if (!host || !got)
            return false;
        got = MIN(got, n);
        struct iovec *last = l->iov->len ? &g_array_index(l->iov, struct iovec, l->iov->len - 1) : NULL;
        if (last && (char *)last->iov_base + last->iov_len == host) {
            last->iov_len += got;
        } else {
            struct iovec v = {host, got};
            g_array_append_val(l->iov, v);
        }
        l->bytes += got;
        pa += got;
        n -= got;
    }
    return true;
}

void dma_list_clear(DmaList *l)
{
    if (l->iov)
        g_array_unref(l->iov);
    *l = (DmaList){0};
}

void dma_list_written(const DmaList *l, Device *d, uint64_t n)
{
    for (unsigned i = 0; l->iov && i < l->iov->len && n; i++) {
        const struct iovec *v = &g_array_index(l->iov, struct iovec, i);
        uint64_t k = MIN(n, v->iov_len);
        mem_host_dirty(d->object.vm, v->iov_base, k);
        n -= k;
    }
}
