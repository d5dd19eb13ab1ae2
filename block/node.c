/* SPDX-License-Identifier: Apache-2.0 */
/* Block nodes: making, finding, and the way of a request through them. */
#include <errno.h>
#include <string.h>
#include "block/internal.h"
#include "util/log.h"

extern const BlockDriver *const __start_myna_block_drivers[], *const __stop_myna_block_drivers[];

/* ---- inside fibers ---- */

static void *aligned_buffer(BlockNode *n, uint64_t bytes)
{
    size_t align = MAX(n->align, 16);
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static bool is_aligned(const BlockNode *n, const BlockIo *io)
{
    if (n->align <= 1)
        return true;
    uint64_t all = io->offset | io->bytes;
    for (unsigned i = 0; i < io->n_iov; i++)
        all |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
    return all % n->align == 0;
}

static void copy_iov(const BlockIo *io, char *buf, bool to_iov)
{
    for (unsigned i = 0; i < io->n_iov; buf += io->iov[i].iov_len, i++)
        memcpy(to_iov ? io->iov[i].iov_base : buf, to_iov ? buf : io->iov[i].iov_base,
               io->iov[i].iov_len);
}

/* A request widened to whole units in a buffer of our own; writes read their edges first. */
static int bounce(BlockNode *n, const BlockIo *io, bool write)
{
    uint64_t start = io->offset / n->align * n->align;
    uint64_t end = (io->offset + io->bytes + n->align - 1) / n->align * n->align;
    char *buf = aligned_buffer(n, end - start);
    struct iovec iov = {buf, end - start};
    BlockIo wide = {.offset = start, .bytes = end - start, .iov = &iov, .n_iov = 1, .flags = io->flags};
    int err = 0;
    if (!buf)
        return ENOMEM;
    if (!write || start != io->offset || end != io->offset + io->bytes)
        err = n->driver->read(n, &wide);
    if (!err && write) {
        copy_iov(io, buf + (io->offset - start), false);
        err = n->driver->write(n, &wide);
    } else if (!err) {
        copy_iov(io, buf + (io->offset - start), true);
    }
    free(buf);
    return err;
}

int block_read(BlockNode *n, const BlockIo *io)
{
    return is_aligned(n, io) ? n->driver->read(n, io) : bounce(n, io, false);
}

int block_write(BlockNode *n, const BlockIo *io)
{
    if (n->read_only)
        return EPERM;
    int err = is_aligned(n, io) ? n->driver->write(n, io) : bounce(n, io, true);
    return err || !(io->flags & BLOCK_FUA) ? err : block_flush(n);
}

int block_flush(BlockNode *n)
{
    if (n->no_flush || n->read_only)
        return 0;
    return n->driver->flush ? n->driver->flush(n) : n->file ? block_flush(n->file) : 0;
}

int block_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    if (n->read_only)
        return EPERM;
    if (!n->discard || !n->can_discard)
        return 0;               /* a hint that may be ignored */
    return n->driver->discard(n, offset, bytes);
}

int block_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    enum { PIECE = 1 << 20 };
    if (n->read_only)
        return EPERM;
    if (!n->discard)
        flags &= ~BLOCK_MAY_UNMAP;
    int err = n->driver->write_zeroes ? n->driver->write_zeroes(n, offset, bytes, flags) : ENOTSUP;
    if (err != ENOTSUP && err != EOPNOTSUPP)
        return err;
    g_autofree char *zeros = g_malloc0(MIN(bytes, PIECE));
    for (err = 0; bytes && !err;) {
        struct iovec iov = {zeros, MIN(bytes, PIECE)};
        BlockIo io = {.offset = offset, .bytes = iov.iov_len, .iov = &iov, .n_iov = 1};
        err = block_write(n, &io);
        offset += io.bytes;
        bytes -= io.bytes;
    }
    return err;
}

void block_io_fill(const BlockIo *io, int byte)
{
    for (unsigned i = 0; i < io->n_iov; i++)
        memset(io->iov[i].iov_base, byte, io->iov[i].iov_len);
}

/* ---- requests ---- */

static bool all_zero(const BlockIo *io)
{
    for (unsigned i = 0; i < io->n_iov; i++) {
        const char *p = io->iov[i].iov_base;
        size_t n = io->iov[i].iov_len;
        if (n && (p[0] || memcmp(p, p + 1, n - 1)))
            return false;
    }
    return true;
}

static int perform(BlockNode *n, BlockRequest *r)
{
    BlockIo io = {r->offset, r->bytes, r->iov, r->n_iov, r->flags};
    switch (r->op) {
    case BLOCK_READ: return block_read(n, &io);
    case BLOCK_WRITE:
        if (n->detect_zeroes && all_zero(&io))
            return block_write_zeroes(n, r->offset, r->bytes, n->unmap_zeroes ? BLOCK_MAY_UNMAP : 0);
        return block_write(n, &io);
    case BLOCK_FLUSH: return block_flush(n);
    case BLOCK_DISCARD: return block_discard(n, r->offset, r->bytes);
    default: return block_write_zeroes(n, r->offset, r->bytes, r->flags);
    }
}

static void finish(BlockNode *n, BlockRequest *r, int err)
{
    n->ops[r->op]++;
    n->bytes[r->op] += r->bytes;
    n->failed[r->op] += err != 0;
    trace(done, "%s op %d offset %llu bytes %llu: %d", n->name, r->op, (unsigned long long)r->offset,
          (unsigned long long)r->bytes, err);
    r->done(r, err);
}

static void run(void *data)
{
    BlockRequest *r = data;
    BlockNode *n = r->node;
    int err = perform(n, r);
    n->in_flight--;
    finish(n, r, err);
}

void block_submit(BlockNode *n, BlockRequest *r)
{
    bool ranged = r->op != BLOCK_FLUSH;
    if (ranged && (r->offset > n->size || r->bytes > n->size - r->offset)) {
        finish(n, r, EINVAL);
        return;
    }
    r->node = n;
    n->in_flight++;
    fiber_start(run, r);
}

static void plug(BlockNode *n, bool on)
{
    while (n && !n->driver->plug)
        n = n->file;
    if (n)
        n->driver->plug(n, on);
}

void block_plug(BlockNode *n) { plug(n, true); }
void block_unplug(BlockNode *n) { plug(n, false); }

void block_drain(BlockNode *n)
{
    while (n->in_flight)
        loop_step(n->loop, true);
}

typedef struct Sync {
    BlockRequest r;
    int error;
    bool done;
} Sync;

static void sync_done(BlockRequest *r, int error)
{
    ((Sync *)r)->error = error;
    ((Sync *)r)->done = true;
}

int block_sync(BlockNode *n, BlockOp op, uint64_t offset, void *buf, uint64_t bytes)
{
    struct iovec iov = {buf, bytes};
    Sync s = {.r = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .n_iov = 1,
                    .done = sync_done}};
    block_submit(n, &s.r);
    while (!s.done)
        loop_step(n->loop, true);
    return s.error;
}

/* ---- facts ---- */

uint64_t block_size(const BlockNode *n) { return n->size; }
bool block_read_only(const BlockNode *n) { return n->read_only; }
bool block_can_discard(const BlockNode *n) { return n->can_discard && n->discard; }
const char *block_name(const BlockNode *n) { return n->name; }
const char *block_driver_name(const BlockNode *n) { return n->driver->name; }
Loop *block_loop(const BlockNode *n) { return n->loop; }
Device *block_user(const BlockNode *n) { return n->user; }

const char *block_filename(const BlockNode *n)
{
    while (n->file && !n->filename)
        n = n->file;
    return n->filename ? n->filename : "";
}

BlockNode *block_file(const BlockNode *n) { return n->file; }

BlockFacts block_facts(const BlockNode *n)
{
    BlockFacts f = {.direct = n->direct, .no_flush = n->no_flush, .detect_zeroes = n->detect_zeroes,
                    .unmap_zeroes = n->unmap_zeroes};
    memcpy(f.ops, n->ops, sizeof(f.ops));
    memcpy(f.bytes, n->bytes, sizeof(f.bytes));
    memcpy(f.failed, n->failed, sizeof(f.failed));
    return f;
}

/* ---- making ---- */

static const BlockDriver *find_driver(BlockdevDriver id)
{
    for (const BlockDriver *const *d = __start_myna_block_drivers; d < __stop_myna_block_drivers; d++)
        if ((*d)->id == id)
            return *d;
    return NULL;
}

static void free_node(BlockNode *n)
{
    vm_service_remove(n->vm, "node", n->name);
    if (n->file && n->own_file)
        free_node(n->file);
    else if (n->file)
        n->file->parent = NULL;
    g_free(n->name);
    g_free(n->filename);
    g_free(n);
}

static void apply_options(BlockNode *n, const BlockdevOptions *o)
{
    n->read_only = o->has_read_only && o->read_only;
    n->discard = o->has_discard && o->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP;
    n->direct = o->cache && o->cache->has_direct && o->cache->direct;
    n->no_flush = o->cache && o->cache->has_no_flush && o->cache->no_flush;
    n->detect_zeroes = o->has_detect_zeroes && o->detect_zeroes != BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    n->unmap_zeroes = o->has_detect_zeroes && o->detect_zeroes == BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP;
}

static void own_nodes(Vm *vm);

BlockNode *block_open(Vm *vm, const BlockdevOptions *o, GError **error)
{
    const BlockDriver *driver = find_driver(o->driver);
    if (!driver) {
        error_set(error, "this build has no such block driver");
        return NULL;
    }
    g_autofree char *name = g_strdup(o->node_name);
    for (unsigned i = 100; !name; i++) {
        g_autofree char *made = g_strdup_printf("#block%u", i);
        if (!block_find(vm, made))
            name = g_steal_pointer(&made);
    }
    if (block_find(vm, name) || vm_service_find(vm, "drive", name)) {
        error_set(error, "Duplicate nodes with node-name='%s'", name);
        return NULL;
    }
    BlockNode *n = g_malloc0(driver->size);
    n->driver = driver;
    n->vm = vm;
    n->loop = vm->loop;
    n->name = g_steal_pointer(&name);
    n->align = 1;
    apply_options(n, o);
    if (!driver->open(n, o, error)) {
        free_node(n);
        return NULL;
    }
    vm_service_add(vm, "node", n->name, n);
    own_nodes(vm);
    return n;
}

BlockNode *block_find(Vm *vm, const char *name) { return vm_service_find(vm, "node", name); }

static void close_node(BlockNode *n)
{
    BlockNode *file = n->file;
    block_drain(n);
    if (n->driver->close)
        n->driver->close(n);
    if (file && n->own_file) {
        n->file = NULL;
        free_node(n);
        close_node(file);
    } else {
        free_node(n);
    }
}

bool block_close(Vm *vm, const char *name, GError **error)
{
    BlockNode *n = block_find(vm, name);
    if (!n)
        return error_set(error, "Failed to find node with node-name='%s'", name);
    if (n->user || n->parent)
        return error_set(error, "Node %s is in use", name);
    close_node(n);
    return true;
}

/* Hangs in the machine's tree from the first node on; its end is the end of all nodes. */
static void close_all(Object *o)
{
    for (;;) {
        g_auto(GStrv) names = vm_service_ids(o->vm, "node");
        if (!names || !names[0])
            return;
        BlockNode *n = block_find(o->vm, names[0]);
        while (n->parent)
            n = n->parent;
        close_node(n);
    }
}

static const ObjectType graph_type = {
    .name = "block-graph", .parent = "object", .size = sizeof(Object), .finish = close_all,
};
OBJECT_TYPE(graph_type);

static void own_nodes(Vm *vm)
{
    if (!object_child(vm->backends, "block-graph"))
        object_add_child(vm->backends, "block-graph", object_new(vm, &graph_type));
}

void block_foreach(Vm *vm, void (*fn)(BlockNode *, void *), void *data)
{
    g_auto(GStrv) names = vm_service_ids(vm, "node");
    for (unsigned i = 0; names && names[i]; i++)
        fn(block_find(vm, names[i]), data);
}

bool block_attach(BlockNode *n, Device *user, bool write, Loop *loop, GError **error)
{
    if (n->user || n->parent)
        return error_set(error, "Node '%s' is in use by another device", n->name);
    if (write && n->read_only)
        return error_set(error, "Block node is read-only");
    n->user = user;
    for (BlockNode *i = n; i; i = i->file)
        i->loop = loop;
    return true;
}

void block_detach(BlockNode *n)
{
    n->user = NULL;
    for (BlockNode *i = n; i; i = i->file)
        i->loop = n->vm->loop;
}
