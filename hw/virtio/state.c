/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of virtqueues on the way to another machine: positions in the rings and, by guest address, the
 * buffers that were taken and not given back. A device need not know: it is given them again.
 */
#include <string.h>
#include "hw/virtio/queue.h"

/* ---- writing: little-endian ---- */

static void put(GByteArray *b, uint64_t value, unsigned n)
{
    value = GUINT64_TO_LE(value);
    g_byte_array_append(b, (const uint8_t *)&value, n);
}

static void put_element(GByteArray *b, const VirtqElement *e)
{
    put(b, e->id, 2);
    put(b, e->ndescs, 2);
    put(b, e->n_out, 4);
    put(b, e->n_in, 4);
    for (unsigned i = 0; i < e->n_out + e->n_in; i++) {
        put(b, e->pa[i], 8);
        put(b, e->sg[i].iov_len, 4);
    }
}

static void put_chain(gpointer data, gpointer bytes)
{
    const SavedChain *s = data;
    GByteArray *b = bytes;
    put(b, s->id, 2);
    put(b, s->ndescs, 2);
    put(b, s->n_out, 4);
    put(b, s->n_in, 4);
    for (unsigned i = 0; i < s->n_out + s->n_in; i++) {
        put(b, s->sg[i].pa, 8);
        put(b, s->sg[i].len, 4);
    }
}

static void put_queue(GByteArray *b, Virtq *vq)
{
    const VirtqState *s = &vq->s;
    put(b, s->desc, 8);
    put(b, s->driver, 8);
    put(b, s->device, 8);
    put(b, s->size, 4);
    put(b, s->vector, 2);
    put(b, s->last_avail, 2);
    put(b, s->used_idx, 2);
    put(b, vq->signalled_used, 2);
    put(b, s->ready | s->avail_wrap << 1 | s->used_wrap << 2 | vq->signalled_valid << 3, 1);
    put(b, vq->in_use + vq->again.length, 4);
    for (const VirtqElement *e = vq->first; e; e = e->next)
        put_element(b, e);
    g_queue_foreach(&vq->again, put_chain, b);
}

GBytes *virtq_save_all(VirtioDevice *v)
{
    GByteArray *b = g_byte_array_new();
    put(b, v->n_vqs, 4);
    for (unsigned i = 0; i < v->n_vqs; i++)
        put_queue(b, &v->vq[i]);
    return g_byte_array_free_to_bytes(b);
}

/* ---- reading ---- */

typedef struct Reader {
    const uint8_t *p;
    size_t left;
    bool ok;
} Reader;

static uint64_t get(Reader *r, unsigned n)
{
    uint64_t value = 0;
    r->ok = r->ok && r->left >= n;
    if (!r->ok)
        return 0;
    memcpy(&value, r->p, n);
    r->p += n;
    r->left -= n;
    return GUINT64_FROM_LE(value);
}

static SavedChain *get_chain(Reader *r)
{
    SavedChain head;
    head.id = get(r, 2);
    head.ndescs = get(r, 2);
    head.n_out = get(r, 4);
    head.n_in = get(r, 4);
    uint64_t n = (uint64_t)head.n_out + head.n_in;
    r->ok = r->ok && n <= VIRTQ_MAX_SG;
    if (!r->ok)
        return NULL;
    SavedChain *s = g_malloc(sizeof(*s) + n * sizeof(s->sg[0]));
    *s = head;
    for (unsigned i = 0; i < n; i++) {
        s->sg[i].pa = get(r, 8);
        s->sg[i].len = get(r, 4);
    }
    return s;
}

static void get_queue(Reader *r, Virtq *vq)
{
    VirtqState *s = &vq->s;
    virtq_clear(vq);
    s->desc = get(r, 8);
    s->driver = get(r, 8);
    s->device = get(r, 8);
    s->size = get(r, 4);
    s->vector = get(r, 2);
    s->last_avail = get(r, 2);
    s->used_idx = get(r, 2);
    vq->signalled_used = get(r, 2);
    unsigned flags = get(r, 1);
    s->ready = flags & 1;
    s->avail_wrap = flags & 2;
    s->used_wrap = flags & 4;
    vq->signalled_valid = flags & 8;
    uint32_t n = get(r, 4);
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
    Reader r = {.ok = state};
    if (state)
        r.p = g_bytes_get_data(state, &r.left);
    r.ok = get(&r, 4) == v->n_vqs && r.ok;
    for (unsigned i = 0; r.ok && i < v->n_vqs; i++)
        get_queue(&r, &v->vq[i]);
    return r.ok && !r.left;
}
