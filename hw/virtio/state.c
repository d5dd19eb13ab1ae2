/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of virtqueues on the way to another machine: positions in the rings and, by guest address, the
 * buffers that were taken and not given back. A device need not know: it is given them again.
 */
#include <string.h>
#include "hw/virtio/queue.h"
#include "util/bytes.h"

/* ---- writing: little-endian ---- */

static void put_element(GByteArray *b, const VirtqElement *e)
{
    bytes_put(b, e->id, 2);
    bytes_put(b, e->ndescs, 2);
    bytes_put(b, e->n_out, 4);
    bytes_put(b, e->n_in, 4);
    for (unsigned i = 0; i < e->n_out + e->n_in; i++) {
        bytes_put(b, e->pa[i], 8);
        bytes_put(b, e->sg[i].iov_len, 4);
    }
}

static void put_chain(gpointer data, gpointer bytes)
{
    const SavedChain *s = data;
    GByteArray *b = bytes;
    bytes_put(b, s->id, 2);
    bytes_put(b, s->ndescs, 2);
    bytes_put(b, s->n_out, 4);
    bytes_put(b, s->n_in, 4);
    for (unsigned i = 0; i < s->n_out + s->n_in; i++) {
        bytes_put(b, s->sg[i].pa, 8);
        bytes_put(b, s->sg[i].len, 4);
    }
}

static void put_queue(GByteArray *b, Virtq *vq)
{
    const VirtqState *s = &vq->s;
    bytes_put(b, s->desc, 8);
    bytes_put(b, s->driver, 8);
    bytes_put(b, s->device, 8);
    bytes_put(b, s->size, 4);
    bytes_put(b, s->vector, 2);
    bytes_put(b, s->last_avail, 2);
    bytes_put(b, s->used_idx, 2);
    bytes_put(b, vq->signalled_used, 2);
    bytes_put(b, s->ready | s->avail_wrap << 1 | s->used_wrap << 2 | vq->signalled_valid << 3, 1);
    bytes_put(b, vq->in_use + vq->again.length, 4);
    for (const VirtqElement *e = vq->first; e; e = e->next)
        put_element(b, e);
    g_queue_foreach(&vq->again, put_chain, b);
}

GBytes *virtq_save_all(VirtioDevice *v)
{
    GByteArray *b = g_byte_array_new();
    bytes_put(b, v->n_vqs, 4);
    for (unsigned i = 0; i < v->n_vqs; i++)
        put_queue(b, &v->vq[i]);
    return g_byte_array_free_to_bytes(b);
}

/* ---- reading ---- */

static SavedChain *get_chain(BytesReader *r)
{
    SavedChain head;
    head.id = bytes_get(r, 2);
    head.ndescs = bytes_get(r, 2);
    head.n_out = bytes_get(r, 4);
    head.n_in = bytes_get(r, 4);
    uint64_t n = (uint64_t)head.n_out + head.n_in;
    r->ok = r->ok && n <= VIRTQ_MAX_SG;
    if (!r->ok)
        return NULL;
    SavedChain *s = g_malloc(sizeof(*s) + n * sizeof(s->sg[0]));
    *s = head;
    for (unsigned i = 0; i < n; i++) {
        s->sg[i].pa = bytes_get(r, 8);
        s->sg[i].len = bytes_get(r, 4);
    }
    return s;
}

static void get_queue(BytesReader *r, Virtq *vq)
{
    VirtqState *s = &vq->s;
    virtq_clear(vq);
    s->desc = bytes_get(r, 8);
    s->driver = bytes_get(r, 8);
    s->device = bytes_get(r, 8);
    s->size = bytes_get(r, 4);
    s->vector = bytes_get(r, 2);
    s->last_avail = bytes_get(r, 2);
    s->used_idx = bytes_get(r, 2);
    vq->signalled_used = bytes_get(r, 2);
    unsigned flags = bytes_get(r, 1);
    s->ready = flags & 1;
    s->avail_wrap = flags & 2;
    s->used_wrap = flags & 4;
    vq->signalled_valid = flags & 8;
    uint32_t n = bytes_get(r, 4);
    bool packed = vq->v->features & VIRTIO_F_RING_PACKED;
    r->ok = r->ok && s->size >= 1 && s->size <= vq->max_size && n <= s->size &&
            (packed ? s->last_avail < s->size && s->used_idx < s->size : !(s->size & (s->size - 1)));
    while (r->ok && n--) {
        SavedChain *chain = get_chain(r);
        if (chain)
            g_queue_push_tail(&vq->again, chain);
    }
}

bool virtq_load_all(VirtioDevice *v, GBytes *state)
{
    BytesReader r = {.ok = state};
    if (state)
        r.p = g_bytes_get_data(state, &r.left);
    r.ok = bytes_get(&r, 4) == v->n_vqs && r.ok;
    for (unsigned i = 0; r.ok && i < v->n_vqs; i++)
        get_queue(&r, &v->vq[i]);
    return r.ok && !r.left;
}
