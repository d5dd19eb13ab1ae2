/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving disks by NBD. Spec: doc/proto.md of the NBD project; newstyle negotiation, simple replies.
 *
 * A fiber per client reads what it sends; a request that is done gets a fiber that answers, so many may be
 * under way, in any order. A client that is silent before it has chosen an export is cut off after a while.
 */
#include "block/nbd-server.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/fiber-lock.h"
#include "block/internal.h"
#include "block/nbd-proto.h"
#include "crypto/wire.h"
#include "qapi/qapi-events.h"
#include "util/bytes.h"
#include "util/log.h"

enum { PATIENCE_MS = 10000, MAX_IN_FLIGHT = 16, MAX_OPTION = 65536, PREFERRED = 4096, EXPORT_NAME_PADDING = 124 };

typedef struct Client Client;

struct NbdExport {
    NbdServer *server;
    BlockNode *node;
    char *id, *name, *description, *user;
    bool writable, writethrough;
    uint64_t offset, size;
};

struct NbdServer {
    Object object;
    Vm *vm;
    int listener;
    LoopFd *watch;
    Object *creds;
    char *authz;
    unsigned max_connections;
    void (*idle)(void *opaque);
    void *opaque;
    GPtrArray *exports, *clients;
};

struct Client {
    NbdServer *server;
    Wire *wire;
    LoopFd *watch;
    Fiber *reader, *writer;     /* what waits for the socket */
    FiberLock sending;
    FiberQueue room;            /* the reader, until requests are done */
    NbdExport *export;
    unsigned in_flight, timer;
    bool secure, no_zeroes, closing;
};

typedef struct Request {
    BlockRequest r;             /* first: done() gets it */
    Client *c;
    uint64_t handle;
    struct iovec iov;
    bool flush_after;
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

static void wait_for(Client *c, bool writing)
{
    *(writing ? &c->writer : &c->reader) = fiber_self();
    GIOCondition events = (c->reader ? G_IO_IN : 0) | (c->writer ? G_IO_OUT : 0);
    if (c->watch)
        loop_fd_set(c->watch, events);
    else
        c->watch = loop_add_fd(c->server->vm->loop, wire_fd(c->wire), events, ready, c);
    fiber_wait();
}

static bool may_go_on(Client *c, ssize_t n, bool writing)
{
    if (n < 0 && errno == EAGAIN && !c->closing)
        wait_for(c, writing);
    else if (!(n < 0 && errno == EINTR))
        return false;
    return !c->closing;
}

static bool read_all(Client *c, void *to, size_t n)
{
    for (char *p = to; n;) {
        ssize_t k = wire_recv(c->wire, p, n);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (!may_go_on(c, k, false)) {
            return false;
        }
    }
    return true;
}

static bool skip(Client *c, uint64_t n)
{
    char unused[4096];
    for (uint64_t k; n; n -= k)
        if (!read_all(c, unused, k = MIN(n, sizeof(unused))))
            return false;
    return true;
}

static bool write_all(Client *c, const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t k = wire_send(c->wire, p, n);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (!may_go_on(c, k, true)) {
            return false;
        }
    }
    while (!wire_flush(c->wire))
        if (!may_go_on(c, -1, true))
            return false;
    return true;
}

static void hang_up(Client *c)
{
    c->closing = true;
    shutdown(wire_fd(c->wire), SHUT_RDWR);
}

/* ---- exports ---- */

static uint64_t size_of(const NbdExport *e)
{
    uint64_t all = block_size(e->node), rest = all > e->offset ? all - e->offset : 0;
    return e->size ? MIN(e->size, rest) : rest;
}

static uint16_t flags_of(const NbdExport *e)
{
    uint16_t flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_MULTI_CONN;
    return e->writable ? flags | NBD_SEND_TRIM | NBD_SEND_ZEROES : flags | NBD_READ_ONLY;
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
    *e = (NbdExport){.server = s, .node = n, .id = g_strdup(o->id), .name = g_strdup(o->name), .description = g_strdup(o->description),
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

/* ---- negotiation ---- */

static bool answer(Client *c, uint32_t option, uint32_t type, const void *data, uint32_t n)
{
    uint8_t h[20];
    put_be64(h, NBD_REPLY_MAGIC);
    put_be32(h + 8, option);
    put_be32(h + 12, type);
    put_be32(h + 16, n);
    return write_all(c, h, sizeof(h)) && write_all(c, data, n);
}

static bool refuse(Client *c, uint32_t option, uint32_t why, const char *text)
{
    return answer(c, option, NBD_REP_ERROR | why, text, (uint32_t)strlen(text));
}

static bool list(Client *c)
{
    for (unsigned i = 0; i < c->server->exports->len; i++) {
        const NbdExport *e = c->server->exports->pdata[i];
        uint32_t n = (uint32_t)strlen(e->name), more = e->description ? (uint32_t)strlen(e->description) : 0;
        g_autofree uint8_t *data = g_malloc(4 + n + more + 1);
        put_be32(data, n);
        memcpy(data + 4, e->name, n);
        memcpy(data + 4 + n, e->description ? e->description : "", more);
        if (!answer(c, NBD_OPT_LIST, NBD_REP_SERVER, data, 4 + n + more))
            return false;
    }
    return answer(c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static bool tell_text(Client *c, uint32_t option, uint16_t kind, const char *text)
{
    size_t n = strlen(text);
    g_autofree uint8_t *data = g_malloc(2 + n);
    put_be16(data, kind);
    memcpy(data + 2, text, n);
    return answer(c, option, NBD_REP_INFO, data, (uint32_t)(2 + n));
}

/* What was asked for, and always the size and flags. */
static bool tell(Client *c, uint32_t option, const NbdExport *e, const uint8_t *wanted, unsigned n)
{
    uint8_t sizes[14], facts[12];
    put_be16(sizes, NBD_INFO_BLOCK_SIZE);
    put_be32(sizes + 2, 1);
    put_be32(sizes + 6, PREFERRED);
    put_be32(sizes + 10, NBD_MAX_REQUEST);
    for (unsigned i = 0; i < n; i++) {
        uint16_t kind = get_be16(wanted + 2 * i);
        bool ok = kind == NBD_INFO_NAME ? tell_text(c, option, kind, e->name)
                : kind == NBD_INFO_DESCRIPTION && e->description ? tell_text(c, option, kind, e->description)
                : kind == NBD_INFO_BLOCK_SIZE ? answer(c, option, NBD_REP_INFO, sizes, sizeof(sizes)) : true;
        if (!ok)
            return false;
    }
    put_be16(facts, NBD_INFO_EXPORT);
    put_be64(facts + 2, size_of(e));
    put_be16(facts + 10, flags_of(e));
    return answer(c, option, NBD_REP_INFO, facts, sizeof(facts)) && answer(c, option, NBD_REP_ACK, NULL, 0);
}

/* INFO and GO: a name, and what to tell of it. */
static bool info(Client *c, uint32_t option, const uint8_t *data, uint32_t n)
{
    uint32_t n_name = n >= 6 ? get_be32(data) : UINT32_MAX;
    if (n_name > n - 6)
        return refuse(c, option, NBD_ERR_INVALID, "name longer than the option");
    unsigned wanted = get_be16(data + 4 + n_name);
    if (n - 6 - n_name != 2 * wanted)
        return refuse(c, option, NBD_ERR_INVALID, "list of another length than the option");
    g_autofree char *name = g_strndup((const char *)data + 4, n_name);
    NbdExport *e = nbd_export_find(c->server, name);
    if (!e) {
        g_autofree char *text = g_strdup_printf("export '%s' not present", name);
        return refuse(c, option, NBD_ERR_UNKNOWN, text);
    }
    if (!tell(c, option, e, data + 6 + n_name, wanted))
        return false;
    /* It may have been removed while we wrote. */
    c->export = option == NBD_OPT_GO ? nbd_export_find(c->server, name) : NULL;
    return option != NBD_OPT_GO || c->export;
}

static bool by_name(Client *c, const uint8_t *data, uint32_t n)
{
    uint8_t facts[10 + EXPORT_NAME_PADDING] = {0};
    g_autofree char *name = g_strndup((const char *)data, n);
    c->export = nbd_export_find(c->server, name);
    if (!c->export)
        return false;           /* there is no way to say it */
    put_be64(facts, size_of(c->export));
    put_be16(facts + 8, flags_of(c->export));
    return write_all(c, facts, c->no_zeroes ? 10 : sizeof(facts));
}

static bool start_tls(Client *c)
{
    g_autoptr(GError) error = NULL;
    if (!answer(c, NBD_OPT_STARTTLS, NBD_REP_ACK, NULL, 0) ||
        !wire_start_tls(c->wire, c->server->creds, NULL, c->server->authz, &error))
        return false;
    for (int done; (done = wire_shake(c->wire, &error)) <= 0;) {
        if (done < 0 || c->closing) {
            log_write("NBD: a client's TLS: %s\n", error ? error->message : "ended");
            return false;
        }
        wait_for(c, wire_events(c->wire) & G_IO_OUT);
    }
    c->secure = true;
    return true;
}

static bool run_option(Client *c, uint32_t option, const uint8_t *data, uint32_t n)
{
    bool need_tls = c->server->creds && !c->secure;
    if (option == NBD_OPT_ABORT)
        return answer(c, option, NBD_REP_ACK, NULL, 0) && false;
    if (need_tls && option == NBD_OPT_EXPORT_NAME)
        return false;
    if (need_tls && option != NBD_OPT_STARTTLS)
        return refuse(c, option, NBD_ERR_TLS_REQD, "Option needs TLS");
    switch (option) {
    case NBD_OPT_EXPORT_NAME: return by_name(c, data, n);
    case NBD_OPT_LIST: return n ? refuse(c, option, NBD_ERR_INVALID, "LIST has no data") : list(c);
    case NBD_OPT_INFO: case NBD_OPT_GO: return info(c, option, data, n);
    case NBD_OPT_STARTTLS:
        if (n)
            return refuse(c, option, NBD_ERR_INVALID, "STARTTLS has no data");
        if (!c->server->creds || c->secure)
            return refuse(c, option, c->secure ? NBD_ERR_INVALID : NBD_ERR_POLICY, "TLS is not configured, or in use");
        return start_tls(c);
    default: return refuse(c, option, NBD_ERR_UNSUP, "Unsupported option");
    }
}

static bool negotiate(Client *c)
{
    uint8_t hello[18], flags[4];
    put_be64(hello, NBD_INIT_MAGIC);
    put_be64(hello + 8, NBD_OPTION_MAGIC);
    put_be16(hello + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    if (!write_all(c, hello, sizeof(hello)) || !read_all(c, flags, sizeof(flags)))
        return false;
    uint32_t theirs = get_be32(flags);
    if (!(theirs & NBD_FIXED_NEWSTYLE) || theirs & ~(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
        return false;
    c->no_zeroes = theirs & NBD_NO_ZEROES;
    g_autofree uint8_t *data = g_malloc(MAX_OPTION);
    while (!c->export) {
        uint8_t h[16];
        if (!read_all(c, h, sizeof(h)) || get_be64(h) != NBD_OPTION_MAGIC)
            return false;
        uint32_t option = get_be32(h + 8), n = get_be32(h + 12);
        bool fits = n <= MAX_OPTION;
        if (fits ? !read_all(c, data, n) || !run_option(c, option, data, n)
                 : !skip(c, n) || !refuse(c, option, NBD_ERR_TOO_BIG, "option too long"))
            return false;
    }
    return true;
}

/* ---- requests ---- */

static void request_free(Request *q)
{
    free(q->iov.iov_base);
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

static void reply(void *data)
{
    Request *q = data;
    Client *c = q->c;
    uint8_t h[16];
    put_be32(h, NBD_SIMPLE_MAGIC);
    put_be32(h + 4, (uint32_t)known_error(q->error));
    put_be64(h + 8, q->handle);
    fiber_lock(&c->sending);
    bool ok = !c->closing && write_all(c, h, sizeof(h)) &&
              (q->error || q->r.op != BLOCK_READ || write_all(c, q->iov.iov_base, q->iov.iov_len));
    fiber_unlock(&c->sending);
    request_free(q);
    c->in_flight--;
    if (!ok && !c->closing)
        hang_up(c);
    fiber_queue_wake(&c->room);
}

static void finished(void *data) { fiber_start(reply, data); }

static void submit(void *data);

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
    if (loop_is_home(block_loop(n)))
        block_submit(n, &q->r);
    else
        loop_post(block_loop(n), submit, q);
}

static int check(const NbdExport *e, unsigned command, unsigned flags, uint64_t offset, uint32_t n)
{
    bool write = command == NBD_CMD_WRITE || command == NBD_CMD_TRIM || command == NBD_CMD_ZEROES;
    unsigned allowed = NBD_FLAG_FUA | (command == NBD_CMD_ZEROES ? NBD_FLAG_NO_HOLE : 0);
    uint64_t size = size_of(e);
    if (write && !e->writable)
        return EPERM;
    if (flags & ~allowed || command > NBD_CMD_ZEROES || command == NBD_CMD_DISCONNECT || command == NBD_CMD_CACHE)
        return EINVAL;
    if (command == NBD_CMD_FLUSH)
        return 0;
    if (command == NBD_CMD_READ && n > NBD_MAX_REQUEST)
        return EINVAL;
    return offset > size || n > size - offset ? command == NBD_CMD_WRITE || command == NBD_CMD_ZEROES ? ENOSPC : EINVAL : 0;
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
    if (!read_all(c, h, sizeof(h)) || get_be32(h) != NBD_REQUEST_MAGIC)
        return false;
    unsigned flags = get_be16(h + 4), command = get_be16(h + 6);
    uint64_t offset = get_be64(h + 16);
    uint32_t n = get_be32(h + 24);
    if (command == NBD_CMD_DISCONNECT || (command == NBD_CMD_WRITE && n > NBD_MAX_REQUEST))
        return false;
    Request *q = make_request(c, command, flags, offset, n);
    q->handle = get_be64(h + 8);
    q->error = check(c->export, command, flags, offset, n);
    if (!q->error && q->r.n_iov && !q->iov.iov_base)
        q->error = ENOMEM;
    if (command == NBD_CMD_WRITE && !(q->iov.iov_base ? read_all(c, q->iov.iov_base, n) : skip(c, n))) {
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
    bool ok = negotiate(c);
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
