/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving disks by NBD. Spec: doc/proto.md of the NBD project; newstyle negotiation, simple and structured
 * replies, base:allocation.
 *
 * A fiber per client reads what it sends; a request that is done gets a fiber that answers, so many may be
 * under way, in any order. A client that is silent before it has chosen an export is cut off after a while.
 */
#include "block/nbd-serving.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/internal.h"
#include "block/nbd-proto.h"
#include "qapi/qapi-events.h"
#include "util/bytes.h"
#include "util/log.h"

enum { PATIENCE_MS = 10000, MAX_IN_FLIGHT = 16, MAX_EXTENTS = 1024 };

typedef struct Extent {
    uint32_t length, flags;     /* as they are sent */
} Extent;

typedef struct Request {
    BlockRequest r;             /* first: done() gets it */
    Client *c;
    uint64_t handle;
    unsigned command;
    struct iovec iov;
    bool flush_after, one_extent;
    GArray *extents;            /* Extent: of a status request */
    int error;
} Request;

/* ---- the socket ---- */

static void ready(int fd, GIOCondition what, void *data)
{
    Client *c = data;
    Fiber *reader = what & ~G_IO_OUT ? c->reader : NULL, *writer = what & ~G_IO_IN ? c->writer : NULL;
    if (reader)
        c->reader = NULL;
    if (writer)
        c->writer = NULL;
    if (!c->reader && !c->writer)
        g_clear_pointer(&c->watch, loop_fd_free);
    else
        loop_fd_set(c->watch, (c->reader ? G_IO_IN : 0) | (c->writer ? G_IO_OUT : 0));
    if (writer)
        fiber_resume(writer);
    if (reader)
        fiber_resume(reader);
}

void nbd_wait_for(Client *c, bool writing)
{
    *(writing ? &c->writer : &c->reader) = fiber_self();
    GIOCondition events = (c->reader ? G_IO_IN : 0) | (c->writer ? G_IO_OUT : 0);
    if (c->watch)
        loop_fd_set(c->watch, events);
    else
        c->watch = loop_add_fd(c->server->vm->loop, wire_fd(c->wire), events, ready, c);
    fiber_wait();
}

static bool wait_unless_closing(void *opaque, bool writing)
{
    Client *c = opaque;
    if (!c->closing)
        nbd_wait_for(c, writing);
    return !c->closing;
}

bool nbd_read_all(Client *c, void *to, size_t n) { return wire_recv_all(c->wire, to, n, wait_unless_closing, c); }

bool nbd_skip(Client *c, uint64_t n)
{
    char unused[4096];
    for (uint64_t k; n; n -= k)
        if (!nbd_read_all(c, unused, k = MIN(n, sizeof(unused))))
            return false;
    return true;
}

bool nbd_write_all(Client *c, const void *from, size_t n) { return wire_send_all(c->wire, from, n, wait_unless_closing, c); }

static void hang_up(Client *c)
{
    c->closing = true;
    shutdown(wire_fd(c->wire), SHUT_RDWR);
}

/* ---- exports ---- */

uint64_t nbd_export_size(const NbdExport *e)
{
    uint64_t all = block_size(e->node), rest = all > e->offset ? all - e->offset : 0;
    return e->size ? MIN(e->size, rest) : rest;
}

NbdExport *nbd_export_find(NbdServer *s, const char *name)
{
    for (unsigned i = 0; i < s->exports->len; i++)
        if (!strcmp(((NbdExport *)s->exports->pdata[i])->name, name))
            return s->exports->pdata[i];
    return NULL;
}

NbdExport *nbd_export_at(NbdServer *s, unsigned i) { return i < s->exports->len ? s->exports->pdata[i] : NULL; }
const char *nbd_export_id(const NbdExport *e) { return e->id; }
BlockNode *nbd_export_node(const NbdExport *e) { return e->node; }

bool nbd_export_is_used(const NbdExport *e)
{
    for (unsigned i = 0; i < e->server->clients->len; i++)
        if (((Client *)e->server->clients->pdata[i])->export == e)
            return true;
    return false;
}

static void free_strings(NbdExport *e)
{
    g_free(e->id);
    g_free(e->name);
    g_free(e->description);
    g_free(e->user);
    g_free(e);
}

NbdExport *nbd_export_new(NbdServer *s, BlockNode *n, const NbdExportOptions *o, GError **error)
{
    if (strlen(o->name) > NBD_MAX_NAME || (o->description && strlen(o->description) > NBD_MAX_NAME)) {
        error_set(error, "export name '%s' is too long", o->name);
        return NULL;
    }
    if (nbd_export_find(s, o->name)) {
        error_set(error, "NBD server already has export named '%s'", o->name);
        return NULL;
    }
    if (o->writable && block_read_only(n)) {
        error_set(error, "Cannot export read-only node as writable");
        return NULL;
    }
    NbdExport *e = g_new0(NbdExport, 1);
    *e = (NbdExport){.server = s, .node = n, .id = g_strdup(o->id), .name = g_strdup(o->name),
                     .description = g_strdup(o->description),
                     .user = g_strdup_printf("NBD export '%s'", o->name), .writable = o->writable,
                     .writethrough = o->writethrough, .offset = o->offset, .size = o->size};
    if (block_take(n, e->user, BLOCK_USE_READ | (o->writable ? BLOCK_USE_WRITE : 0), BLOCK_USE_ALL, error)) {
        g_ptr_array_add(s->exports, e);
        return e;
    }
    free_strings(e);
    return NULL;
}

void nbd_export_free(NbdExport *e)
{
    NbdServer *s = e->server;
    g_ptr_array_remove(s->exports, e);
    for (unsigned i = 0; i < s->clients->len; i++)
        if (((Client *)s->clients->pdata[i])->export == e)
            hang_up(s->clients->pdata[i]);
    while (nbd_export_is_used(e))
        loop_step(s->vm->loop, true);
    block_release(e->node, e->user);
    if (e->id && !s->vm->freeing)
        qapi_event_block_export_deleted(s->vm, e->id);
    free_strings(e);
}

/* ---- requests ---- */

static void request_free(Request *q)
{
    free(q->iov.iov_base);
    if (q->extents)
        g_array_unref(q->extents);
    g_free(q);
}

/* The protocol's errors are Linux's numbers, of which these are known to all. */
static int known_error(int error)
{
    static const int known[] = {EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN};
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i] == error)
            return error;
    return error == EROFS ? EPERM : error == EDQUOT || error == EFBIG ? ENOSPC : error ? EIO : 0;
}

static bool simple_reply(Client *c, const Request *q)
{
    uint8_t h[16];
    put_be32(h, NBD_SIMPLE_MAGIC);
    put_be32(h + 4, (uint32_t)known_error(q->error));
    put_be64(h + 8, q->handle);
    return nbd_write_all(c, h, sizeof(h)) &&
           (q->error || q->command != NBD_CMD_READ || nbd_write_all(c, q->iov.iov_base, q->iov.iov_len));
}

/* The only chunk of its reply: a head of its own and what follows that. */
static bool chunk(Client *c, const Request *q, uint16_t type, const void *head, uint32_t n_head, const void *data,
                  uint32_t n)
{
    uint8_t h[20];
    put_be32(h, NBD_STRUCTURED_MAGIC);
    put_be16(h + 4, NBD_CHUNK_DONE);
    put_be16(h + 6, type);
    put_be64(h + 8, q->handle);
    put_be32(h + 16, n_head + n);
    return nbd_write_all(c, h, sizeof(h)) && nbd_write_all(c, head, n_head) && nbd_write_all(c, data, n);
}

static bool structured_reply(Client *c, const Request *q)
{
    uint8_t head[8];
    if (q->error) {
        put_be32(head, (uint32_t)known_error(q->error));
        put_be16(head + 4, 0);
        return chunk(c, q, NBD_CHUNK_ERROR, head, 6, NULL, 0);
    }
    if (q->command == NBD_CMD_STATUS) {
        put_be32(head, NBD_ALLOCATION);
        return chunk(c, q, NBD_CHUNK_STATUS, head, 4, q->extents->data, q->extents->len * sizeof(Extent));
    }
    if (q->command != NBD_CMD_READ || !q->iov.iov_len)
        return chunk(c, q, NBD_CHUNK_NONE, NULL, 0, NULL, 0);
    put_be64(head, q->r.offset - c->export->offset);
    return chunk(c, q, NBD_CHUNK_DATA, head, 8, q->iov.iov_base, (uint32_t)q->iov.iov_len);
}

static void reply(void *data)
{
    Request *q = data;
    Client *c = q->c;
    fiber_lock(&c->sending);
    bool ok = !c->closing && (c->structured ? structured_reply(c, q) : simple_reply(c, q));
    fiber_unlock(&c->sending);
    request_free(q);
    c->in_flight--;
    if (!ok && !c->closing)
        hang_up(c);
    fiber_queue_wake(&c->room);
}

static void finished(void *data) { fiber_start(reply, data); }

static void submit(void *data);

/* A fiber on the node's loop; counts as a request of the node, whose shape may not change meanwhile. */
static void look_up(void *data)
{
    Request *q = data;
    BlockNode *n = q->c->export->node;
    uint64_t at = q->r.offset, end = at + q->r.bytes;
    n->in_flight++;
    while (at < end && !q->error && q->extents->len < (q->one_extent ? 1 : MAX_EXTENTS)) {
        BlockExtent e;
        q->error = block_map(n, NULL, at, end - at, &e);
        if (q->error)
            break;
        uint32_t flags = (e.flags & EXTENT_DATA ? 0 : NBD_STATE_HOLE) | (e.flags & EXTENT_ZERO ? NBD_STATE_ZERO : 0);
        Extent x = {GUINT32_TO_BE((uint32_t)e.bytes), GUINT32_TO_BE(flags)};
        Extent *last = q->extents->len ? &g_array_index(q->extents, Extent, q->extents->len - 1) : NULL;
        if (last && last->flags == x.flags)
            last->length = GUINT32_TO_BE(GUINT32_FROM_BE(last->length) + (uint32_t)e.bytes);
        else
            g_array_append_val(q->extents, x);
        at += e.bytes;
    }
    n->in_flight--;
    loop_post(q->c->server->vm->loop, finished, q);
}

/* On the node's loop. */
static void done(BlockRequest *r, int error)
{
    Request *q = (Request *)r;
    if (!error && q->flush_after) {
        q->flush_after = false;
        r->op = BLOCK_FLUSH;
        submit(q);
        return;
    }
    q->error = error;
    loop_post(q->c->server->vm->loop, finished, q);
}

/* The node may have moved to another loop since this was posted. */
static void submit(void *data)
{
    Request *q = data;
    BlockNode *n = q->c->export->node;
    if (!loop_is_home(block_loop(n)))
        loop_post(block_loop(n), submit, q);
    else if (q->command == NBD_CMD_STATUS)
        fiber_start(look_up, q);
    else
        block_submit(n, &q->r);
}

static int check(const Client *c, unsigned command, unsigned flags, uint64_t offset, uint32_t n)
{
    const NbdExport *e = c->export;
    bool write = command == NBD_CMD_WRITE || command == NBD_CMD_TRIM || command == NBD_CMD_ZEROES;
    unsigned allowed = NBD_FLAG_FUA | (command == NBD_CMD_ZEROES ? NBD_FLAG_NO_HOLE : 0) |
                       (command == NBD_CMD_READ && c->structured ? NBD_FLAG_DF : 0) |
                       (command == NBD_CMD_STATUS ? NBD_FLAG_REQ_ONE : 0);
    uint64_t size = nbd_export_size(e);
    if (write && !e->writable)
        return EPERM;
    if (flags & ~allowed || command > NBD_CMD_STATUS || command == NBD_CMD_DISCONNECT || command == NBD_CMD_CACHE)
        return EINVAL;
    if (command == NBD_CMD_FLUSH)
        return 0;
    if ((command == NBD_CMD_READ && n > NBD_MAX_REQUEST) || (command == NBD_CMD_STATUS && (!c->has_meta || !n)))
        return EINVAL;
    bool outside = offset > size || n > size - offset;
    return !outside ? 0 : command == NBD_CMD_WRITE || command == NBD_CMD_ZEROES ? ENOSPC : EINVAL;
}

static Request *make_request(Client *c, unsigned command, unsigned flags, uint64_t offset, uint32_t n)
{
    static const BlockOp ops[] = {
        [NBD_CMD_READ] = BLOCK_READ, [NBD_CMD_WRITE] = BLOCK_WRITE, [NBD_CMD_FLUSH] = BLOCK_FLUSH,
        [NBD_CMD_TRIM] = BLOCK_DISCARD, [NBD_CMD_ZEROES] = BLOCK_WRITE_ZEROES,
    };
    const NbdExport *e = c->export;
    Request *q = g_new0(Request, 1);
    bool data = command == NBD_CMD_READ || command == NBD_CMD_WRITE, flush = command == NBD_CMD_FLUSH;
    bool fua = (flags & NBD_FLAG_FUA || e->writethrough) && command != NBD_CMD_READ && !flush;
    q->c = c;
    q->command = command;
    q->one_extent = flags & NBD_FLAG_REQ_ONE;
    if (command == NBD_CMD_STATUS)
        q->extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    q->r = (BlockRequest){.op = command <= NBD_CMD_ZEROES ? ops[command] : BLOCK_FLUSH, .done = done, .iov = &q->iov,
                          .n_iov = data, .offset = flush ? 0 : e->offset + offset, .bytes = flush ? 0 : n};
    q->flush_after = fua && command == NBD_CMD_TRIM;
    q->r.flags = fua && !q->flush_after ? BLOCK_FUA : 0;
    if (command == NBD_CMD_ZEROES && !(flags & NBD_FLAG_NO_HOLE))
        q->r.flags |= BLOCK_MAY_UNMAP;
    if (data && n <= NBD_MAX_REQUEST)
        q->iov = (struct iovec){block_buffer(n), n};
    return q;
}

/* False: the connection ends. */
static bool serve_one(Client *c)
{
    uint8_t h[28];
    if (!nbd_read_all(c, h, sizeof(h)) || get_be32(h) != NBD_REQUEST_MAGIC)
        return false;
    unsigned flags = get_be16(h + 4), command = get_be16(h + 6);
    uint64_t offset = get_be64(h + 16);
    uint32_t n = get_be32(h + 24);
    if (command == NBD_CMD_DISCONNECT || (command == NBD_CMD_WRITE && n > NBD_MAX_REQUEST))
        return false;
    Request *q = make_request(c, command, flags, offset, n);
    q->handle = get_be64(h + 8);
    q->error = check(c, command, flags, offset, n);
    if (!q->error && q->r.n_iov && !q->iov.iov_base)
        q->error = ENOMEM;
    if (command == NBD_CMD_WRITE && !(q->iov.iov_base ? nbd_read_all(c, q->iov.iov_base, n) : nbd_skip(c, n))) {
        request_free(q);
        return false;
    }
    c->in_flight++;
    if (q->error)
        fiber_start(reply, q);
    else
        submit(q);
    while (c->in_flight >= MAX_IN_FLIGHT && !c->closing)
        fiber_queue_wait(&c->room);
    return !c->closing;
}

/* ---- clients ---- */

static void give_up(void *data)
{
    Client *c = data;
    c->timer = 0;
    hang_up(c);
}

static void cancel_timer(Client *c)
{
    if (c->timer)
        loop_cancel(c->server->vm->loop, c->timer);
    c->timer = 0;
}

static void accepting(int fd, GIOCondition what, void *data);

static void watch_listener(NbdServer *s)
{
    if (s->watch)
        loop_fd_set(s->watch, s->max_connections && s->clients->len >= s->max_connections ? 0 : G_IO_IN);
}

static void client_free(Client *c)
{
    NbdServer *s = c->server;
    bool served = c->export;
    loop_fd_free(c->watch);
    wire_free(c->wire);
    g_free(c->meta);
    g_ptr_array_remove_fast(s->clients, c);
    g_free(c);
    watch_listener(s);
    for (unsigned i = 0; i < s->clients->len; i++)
        served &= !((Client *)s->clients->pdata[i])->export;
    if (served && s->idle)
        s->idle(s->opaque);
}

static void serve(void *data)
{
    Client *c = data;
    bool ok = nbd_negotiate(c);
    cancel_timer(c);
    while (ok && !c->closing)
        ok = serve_one(c);
    c->closing = true;
    shutdown(wire_fd(c->wire), SHUT_RD);        /* answers that are on their way may still go */
    while (c->in_flight)
        fiber_queue_wait(&c->room);
    client_free(c);
}

static void start(void *data) { fiber_start(serve, data); }

static void accepting(int fd, GIOCondition what, void *data)
{
    NbdServer *s = data;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0)
        return;
    Client *c = g_new0(Client, 1);
    c->server = s;
    c->wire = wire_new(peer);
    c->timer = loop_after(s->vm->loop, PATIENCE_MS, give_up, c);
    g_ptr_array_add(s->clients, c);
    watch_listener(s);
    loop_post(s->vm->loop, start, c);
}

/* ---- the server ---- */

static void finish(Object *o)
{
    NbdServer *s = (NbdServer *)o;
    vm_service_remove(s->vm, "nbd-server", "nbd-server");
    g_clear_pointer(&s->watch, loop_fd_free);
    close(s->listener);
    s->idle = NULL;
    for (unsigned i = 0; i < s->clients->len; i++)
        hang_up(s->clients->pdata[i]);
    while (s->clients->len)
        loop_step(s->vm->loop, true);
    while (s->exports->len)
        nbd_export_free(s->exports->pdata[0]);
    if (s->creds)
        object_unref(s->creds);
    g_free(s->authz);
    g_ptr_array_unref(s->exports);
    g_ptr_array_unref(s->clients);
}

static const ObjectType server_type = {
    .name = "nbd-server", .parent = "object", .size = sizeof(NbdServer), .finish = finish,
};
OBJECT_TYPE(server_type);

NbdServer *nbd_server_find(Vm *vm) { return vm_service_find(vm, "nbd-server", "nbd-server"); }

NbdServer *nbd_server_new(Vm *vm, const NbdServerOptions *o)
{
    NbdServer *s = (NbdServer *)object_new(vm, &server_type);
    s->vm = vm;
    s->listener = o->listener;
    s->creds = o->creds;
    s->authz = g_strdup(o->authz);
    s->max_connections = o->max_connections;
    s->idle = o->idle;
    s->opaque = o->opaque;
    s->exports = g_ptr_array_new();
    s->clients = g_ptr_array_new();
    if (s->creds)
        object_ref(s->creds);
    s->watch = loop_add_fd(vm->loop, s->listener, G_IO_IN, accepting, s);
    object_add_child(vm->backends, "nbd-server", &s->object);
    vm_service_add(vm, "nbd-server", "nbd-server", s);
    return s;
}

void nbd_server_free(NbdServer *s) { object_remove(&s->object); }
