/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev ringbuf (alias memory): the last bytes written, kept for ringbuf-read. */
#include "chardev/internal.h"

typedef struct RingChardev {
    Chardev chr;
    uint8_t *data;
    uint64_t size, head, tail;  /* head: written, tail: read; both count on */
} RingChardev;

static bool ring_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    RingChardev *s = (RingChardev *)c;
    const ChardevRingbuf *o = options->u.ringbuf->data;
    s->size = o->has_size ? o->size : 65536;
    if (s->size == 0 || s->size & (s->size - 1) || s->size > 1 << 30)
        return error_set(error, "size of a ring buffer must be a power of two up to 1 GiB");
    s->data = g_malloc0(s->size);
    c->filename = g_strdup("ringbuf");
    c->open = true;
    return true;
}

static unsigned ring_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    RingChardev *s = (RingChardev *)c;
    for (unsigned i = 0; i < n; i++)
        s->data[s->head++ & (s->size - 1)] = buf[i];
    if (s->head - s->tail > s->size)
        s->tail = s->head - s->size;
    return n;
}

static void ring_close(Chardev *c) { g_free(((RingChardev *)c)->data); }

static const ChardevType chardev_ringbuf = {
    .name = "chardev-ringbuf", .parent = "chardev", .size = sizeof(RingChardev),
    .kind = CHARDEV_BACKEND_KIND_RINGBUF, .open = ring_open, .write = ring_write,
    .close = ring_close,
};
OBJECT_TYPE(chardev_ringbuf);

bool chardev_ringbuf_read(Chardev *c, uint8_t *buf, unsigned *n)
{
    if (!object_is_a(&c->object, "chardev-ringbuf"))
        return false;
    RingChardev *s = (RingChardev *)c;
    g_mutex_lock(&c->lock);
    unsigned count = MIN(*n, s->head - s->tail);
    for (unsigned i = 0; i < count; i++)
        buf[i] = s->data[s->tail++ & (s->size - 1)];
    g_mutex_unlock(&c->lock);
    *n = count;
    return true;
}

bool chardev_ringbuf_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    if (!object_is_a(&c->object, "chardev-ringbuf"))
        return false;
    g_mutex_lock(&c->lock);
    ring_write(c, buf, n);
    g_mutex_unlock(&c->lock);
    return true;
}
