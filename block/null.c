/* SPDX-License-Identifier: Apache-2.0 */
/* null-co and null-aio: reads as zeroes (or leaves buffers alone), forgets writes. */
#include "block/internal.h"

typedef struct Null {
    BlockNode node;
    bool read_zeroes;
    uint64_t latency_ns;
} Null;

static void wake(void *fiber) { fiber_resume(fiber); }

static void wait_latency(Null *s)
{
    if (s->latency_ns && fiber_self()) {
        loop_after(s->node.loop, MAX(1, s->latency_ns / 1000000), wake, fiber_self());
        fiber_wait();
    }
}

static bool null_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    const BlockdevOptionsNull *opts = o->u.null_co;     /* both kinds have the same options */
    n->size = opts && opts->has_size ? opts->size : 1ull << 30;
    ((Null *)n)->read_zeroes = !opts || !opts->has_read_zeroes || opts->read_zeroes;
    ((Null *)n)->latency_ns = opts && opts->has_latency_ns ? opts->latency_ns : 0;
    n->can_discard = true;
    return true;
}

static int null_read(BlockNode *n, const BlockIo *io)
{
    wait_latency((Null *)n);
    if (((Null *)n)->read_zeroes)
        block_io_fill(io, 0);
    return 0;
}

static int null_write(BlockNode *n, const BlockIo *io)
{
    wait_latency((Null *)n);
    return 0;
}

static int null_discard(BlockNode *n, uint64_t offset, uint64_t bytes) { return 0; }
static int null_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags) { return 0; }

static const BlockDriver null_co = {
    .name = "null-co", .id = BLOCKDEV_DRIVER_NULL_CO, .size = sizeof(Null), .protocol = true,
    .open = null_open, .read = null_read, .write = null_write, .discard = null_discard,
    .write_zeroes = null_zeroes,
};
BLOCK_DRIVER(null_co);
static const BlockDriver null_aio = {
    .name = "null-aio", .id = BLOCKDEV_DRIVER_NULL_AIO, .size = sizeof(Null), .protocol = true,
    .open = null_open, .read = null_read, .write = null_write, .discard = null_discard,
    .write_zeroes = null_zeroes,
};
BLOCK_DRIVER(null_aio);
