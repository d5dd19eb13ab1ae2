/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph of block nodes: making and closing them, who uses which and for what. Users state what
 * they do (uses) and what others may do (shares); a filter passes its users' wishes to its child, a
 * format has constant ones of its storage, and at the bottom they become locks on files.
 */
#include <errno.h>
#include <string.h>
#include "block/internal.h"
#include "block/nbd-server.h"

extern const BlockDriver *const __start_myna_block_drivers[], *const __stop_myna_block_drivers[];

const BlockDriver *block_driver(BlockdevDriver id)
{
    for (const BlockDriver *const *d = __start_myna_block_drivers; d < __stop_myna_block_drivers; d++)
        if ((*d)->id == id)
            return *d;
    return NULL;
}

const BlockDriver *block_probe(BlockNode *storage)
{
    uint8_t head[512] = {0};
    size_t n = MIN(storage->size, sizeof(head));
    if (n && block_read_buf(storage, 0, head, n))
        return NULL;
    for (const BlockDriver *const *d = __start_myna_block_drivers; d < __stop_myna_block_drivers; d++)
        if ((*d)->probe && (*d)->probe(head, n))
            return *d;
    return block_driver(BLOCKDEV_DRIVER_RAW);
}

/* ---- users ---- */

BlockUser *block_find_user(const BlockNode *n, const BlockNode *parent, const Device *device, const char *who)
{
    for (GSList *i = n->users; i; i = i->next) {
        BlockUser *u = i->data;
        if (parent ? u->parent == parent : device ? u->device == device : !g_strcmp0(u->who, who) && who)
            return u;
    }
    return NULL;
}

static char *user_name(const BlockUser *u)
{
    return u->parent ? g_strdup_printf("node '%s'", u->parent->name)
           : u->device ? g_strdup_printf("device '%s'", u->device->id ? u->device->id : u->device->object.type->name)
                       : g_strdup(u->who);
}

static bool check_users(BlockNode *n, unsigned *uses, unsigned *shares, GError **error)
{
    *uses = 0;
    *shares = BLOCK_USE_ALL;
    for (GSList *i = n->users; i; i = i->next) {
        const BlockUser *a = i->data;
        *uses |= a->uses;
        *shares &= a->shares;
        for (GSList *k = n->users; k; k = k->next) {
            const BlockUser *b = k->data;
            unsigned clash = a == b ? 0 : a->uses & ~b->shares;
            if (!clash)
                continue;
            g_autofree char *who = user_name(a), *other = user_name(b);
            return error_set(error, "Node '%s' is in use: %s wants to %s it, which %s does not allow", n->name,
                             who, clash & BLOCK_USE_WRITE ? "write to" : clash & BLOCK_USE_READ ? "read" : "resize",
                             other);
        }
    }
    return true;
}

/* After a change among the users of n. */
bool block_settle(BlockNode *n, GError **error)
{
    unsigned uses, shares;
    if (!check_users(n, &uses, &shares, error))
        return false;
    if (n->driver->permit && !n->driver->permit(n, uses, shares, error))
        return false;
    if (!n->driver->filter || !n->file)
        return true;
    BlockUser *u = block_find_user(n->file, n, NULL, NULL), old = *u;
    u->uses = uses;
    u->shares = shares;
    if (block_settle(n->file, error))
        return true;
    u->uses = old.uses;
    u->shares = old.shares;
    return false;
}

static void free_user(BlockNode *n, BlockUser *u)
{
    n->users = g_slist_remove(n->users, u);
    g_free(u->who);
    g_free(u);
}

bool block_use(BlockNode *n, BlockUser user, GError **error)
{
    BlockUser *u = g_memdup2(&user, sizeof(user));
    u->who = g_strdup(user.who);
    n->users = g_slist_append(n->users, u);
    if (user.uses & BLOCK_USE_WRITE && n->read_only) {
        error_set(error, "Block node is read-only");
    } else if (block_settle(n, error)) {
        return true;
    }
    free_user(n, u);
    block_settle(n, NULL);            /* as it was before */
    return false;
}

void block_unuse(BlockNode *n, const BlockUser *user)
{
    free_user(n, (BlockUser *)user);
    block_settle(n, NULL);            /* fewer wishes cannot clash */
}

bool block_take(BlockNode *n, const char *who, unsigned uses, unsigned shares, GError **error)
{
    return block_use(n, (BlockUser){.who = (char *)who, .uses = uses, .shares = shares}, error);
}

void block_release(BlockNode *n, const char *who)
{
    BlockUser *u = block_find_user(n, NULL, NULL, who);
    if (u)
        block_unuse(n, u);
}

bool block_is_used(const BlockNode *n) { return n->users != NULL; }

Device *block_user(const BlockNode *n)
{
    for (GSList *i = n->users; i; i = i->next)
        if (((BlockUser *)i->data)->device)
            return ((BlockUser *)i->data)->device;
    return NULL;
}

/* ---- loops ---- */

static void set_loop(BlockNode *n, Loop *loop)
{
    n->loop = loop;
    if (n->file)
        set_loop(n->file, loop);
    if (n->backing)
        set_loop(n->backing, loop);
}

/* A node below may be shared, but only by trees of the same loop. */
static const BlockNode *elsewhere(const BlockNode *n, const Loop *loop, bool shared)
{
    shared |= n->users && n->users->next;
    if (shared && n->loop != loop)
        return n;
    const BlockNode *found = n->file ? elsewhere(n->file, loop, shared) : NULL;
    return found || !n->backing ? found : elsewhere(n->backing, loop, shared);
}

bool block_attach(BlockNode *n, Device *user, bool write, Loop *loop, GError **error)
{
    return block_attach_shared(n, user, write, false, loop, error);
}

bool block_attach_shared(BlockNode *n, Device *user, bool write, bool share, Loop *loop, GError **error)
{
    unsigned uses = BLOCK_USE_READ | (write ? BLOCK_USE_WRITE : 0);
    if (write && n->read_only)
        return error_set(error, "Block node is read-only");
    if (n->loop != loop) {
        const BlockNode *busy = elsewhere(n, loop, n->users != NULL);
        if (busy)
            return error_set(error, "Node '%s' is in use on another I/O thread", busy->name);
    }
    if (!block_use(n, (BlockUser){.device = user, .uses = uses,
                                  .shares = BLOCK_USE_READ | (share ? BLOCK_USE_WRITE : 0)}, error))
        return false;
    block_drain(n);
    set_loop(n, loop);
    return true;
}

void block_detach(BlockNode *n)
{
    BlockUser *u = NULL;
    for (GSList *i = n->users; i && !u; i = i->next)
        u = ((BlockUser *)i->data)->device ? i->data : NULL;
    if (u)
        block_unuse(n, u);
    if (!block_user(n))
        set_loop(n, n->vm->loop);
}

typedef struct Call {
    BlockNode *n;
    void (*fn)(void *data);
    void *data;
} Call;

static void call(void *data)
{
    Call *c = data;
    block_drain(c->n);
    c->fn(c->data);
}

void block_call(BlockNode *n, void (*fn)(void *data), void *data)
{
    Call c = {n, fn, data};
    loop_call(n->loop, call, &c);
}

/* ---- making ---- */

static void apply_options(BlockNode *n, const BlockdevOptions *o)
{
    n->read_only = o->has_read_only && o->read_only;
    n->discard = o->has_discard && o->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP;
    n->direct = o->cache && o->cache->has_direct && o->cache->direct;
    n->no_flush = o->cache && o->cache->has_no_flush && o->cache->no_flush;
    n->force_share = o->has_force_share && o->force_share;
    n->detect_zeroes = o->has_detect_zeroes && o->detect_zeroes != BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    n->unmap_zeroes = o->has_detect_zeroes && o->detect_zeroes == BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP;
}

static bool check_options(const BlockNode *n, GError **error)
{
    if (n->force_share && !n->read_only)
        return error_set(error, "force-share=on can only be used with read-only images");
    if (n->unmap_zeroes && !n->discard)
        return error_set(error, "setting detect-zeroes to unmap is not allowed without setting discard "
                         "operation to unmap");
    return true;
}

static void free_node(BlockNode *n)
{
    if (block_find(n->vm, n->name) == n)
        vm_service_remove(n->vm, "node", n->name);
    if (n->file)
        block_unchild(n, n->file);
    if (n->backing)
        block_unchild(n, n->backing);
    g_free(n->name);
    g_free(n->filename);
    g_free(n);
}

static void own_nodes(Vm *vm);

/* Names of nodes that nobody named begin with '#', so that no user's can be the same. */
static char *new_name(Vm *vm)
{
    for (unsigned i = 100;; i++) {
        char *name = g_strdup_printf("#block%u", i);
        if (!block_find(vm, name))
            return name;
        g_free(name);
    }
}

static bool check_name(Vm *vm, const char *name, GError **error)
{
    if (!name)
        return true;
    if (!g_ascii_isalpha(*name) || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-._") != strlen(name) || strlen(name) > 31)
        return error_set(error, "Invalid node-name: '%s'", name);
    if (vm_service_find(vm, "drive", name) && !block_find(vm, name))
        return error_set(error, "node-name=%s is conflicting with a device id", name);
    return !block_find(vm, name) || error_set(error, "Duplicate nodes with node-name='%s'", name);
}

BlockNode *block_open(Vm *vm, const BlockdevOptions *o, GError **error)
{
    return block_open_for(vm, o, false, error);
}

BlockNode *block_open_for(Vm *vm, const BlockdevOptions *o, bool check, GError **error)
{
    const BlockDriver *driver = block_driver(o->driver);
    if (!driver) {
        error_set(error, "this build has no block driver '%s'", blockdev_driver_name(o->driver));
        return NULL;
    }
    if (!check_name(vm, o->node_name, error))
        return NULL;
    BlockNode *n = g_malloc0(driver->size);
    n->driver = driver;
    n->vm = vm;
    n->loop = vm->loop;
    n->name = o->node_name ? g_strdup(o->node_name) : new_name(vm);
    n->align = 1;
    apply_options(n, o);
    vm_service_add(vm, "node", n->name, n);
    own_nodes(vm);
    n->opening = true;
    n->for_check = check;
    if (!check_options(n, error) || !driver->open(n, o, error)) {
        free_node(n);
        return NULL;
    }
    n->opening = false;
    return n;
}

BlockNode *block_find(Vm *vm, const char *name) { return vm_service_find(vm, "node", name); }

void block_free(BlockNode *n)
{
    block_drain(n);
    if (n->driver->close)
        n->driver->close(n);
    free_node(n);
}

bool block_close(Vm *vm, const char *name, GError **error)
{
    BlockNode *n = block_find(vm, name);
    if (!n)
        return error_set(error, "Failed to find node with node-name='%s'", name);
    if (n->users)
        return error_set(error, "Node %s is in use", name);
    block_free(n);
    return true;
}

/* ---- children ---- */

static void inherit(const BlockNode *parent, BlockdevOptions *o, bool backing)
{
    if (!o->has_read_only) {
        o->has_read_only = true;
        o->read_only = backing || parent->read_only;
        o->has_auto_read_only = o->auto_read_only = !backing;
    }
    if (!o->cache) {
        o->cache = g_new0(BlockdevCacheOptions, 1);
        *o->cache = (BlockdevCacheOptions){true, parent->direct, true, parent->no_flush};
    }
    if (!o->has_force_share && parent->force_share && o->read_only)
        o->has_force_share = o->force_share = true;
    if (!o->has_discard) {
        o->has_discard = true;
        o->discard = BLOCKDEV_DISCARD_OPTIONS_UNMAP;    /* the format decides what is passed down */
    }
}

static bool is_below(const BlockNode *n, const BlockNode *wanted)
{
    return n && (n == wanted || is_below(n->file, wanted) || is_below(n->backing, wanted));
}

BlockNode *block_child(BlockNode *parent, const BlockdevRef *ref, unsigned uses, unsigned shares,
                       GError **error)
{
    bool own = ref->kind == BLOCKDEV_REF_DEFINITION, backing = !(shares & BLOCK_USE_WRITE) && uses == BLOCK_USE_READ
        && parent->file;
    BlockNode *n;
    if (own) {
        g_autoptr(BlockdevOptions) o = blockdev_options_copy(ref->u.definition);
        inherit(parent, o, backing);
        n = block_open(parent->vm, o, error);
        if (!n)
            return NULL;
    } else if (!(n = block_find(parent->vm, ref->u.reference))) {
        error_set(error, "Cannot find device='%s' nor node-name='%s'", ref->u.reference, ref->u.reference);
        return NULL;
    }
    if (is_below(n, parent)) {
        error_set(error, "Making '%s' a child of '%s' would create a cycle", n->name, parent->name);
        return NULL;
    }
    /* Storage that may only be read makes its format so, if that was left open. */
    if (n->read_only)
        uses &= BLOCK_USE_READ;
    if (!block_use(n, (BlockUser){.parent = parent, .uses = uses, .shares = shares, .own = own}, error)) {
        if (own)
            block_free(n);
        return NULL;
    }
    return n;
}

void block_unchild(BlockNode *parent, BlockNode *child)
{
    BlockUser *u = block_find_user(child, parent, NULL, NULL);
    bool own = u && u->own;
    if (parent->file == child)
        parent->file = NULL;
    if (parent->backing == child)
        parent->backing = NULL;
    if (u)
        block_unuse(child, u);
    if (own)
        block_free(child);
}

bool block_open_storage(BlockNode *n, const BlockdevRef *file, GError **error)
{
    unsigned uses = BLOCK_USE_READ | (n->read_only ? 0 : BLOCK_USE_WRITE | BLOCK_USE_RESIZE);
    unsigned shares = n->force_share ? BLOCK_USE_ALL : BLOCK_USE_READ;
    /* A filter's child is used as the filter is, so not at all yet. */
    n->file = block_child(n, file, n->driver->filter ? 0 : uses,
                          n->driver->filter ? BLOCK_USE_ALL : shares, error);
    if (n->file)
        n->can_discard = n->file->can_discard;
    return n->file != NULL;
}

/* ---- the end ---- */

static BlockNode *parent_of(const BlockNode *n)
{
    for (GSList *i = n->users; i; i = i->next)
        if (((BlockUser *)i->data)->parent)
            return ((BlockUser *)i->data)->parent;
    return NULL;
}

/* Hangs in the machine's tree from the first node on; its end is the end of all nodes. */
static void close_all(Object *o)
{
    if (nbd_server_find(o->vm))
        nbd_server_free(nbd_server_find(o->vm));
    for (;;) {
        g_auto(GStrv) names = vm_service_ids(o->vm, "node");
        if (!names || !names[0])
            return;
        BlockNode *n = block_find(o->vm, names[0]);
        for (BlockNode *above = n; above; above = parent_of(n))
            n = above;
        while (n->users)
            free_user(n, n->users->data);
        block_free(n);
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

/* ---- changes ---- */

typedef struct Resize {
    BlockNode *n;
    uint64_t size;
    PreallocMode prealloc;
    GError **error;
    bool ok;
} Resize;

/* They are as large as what they show. */
static void tell_filters(BlockNode *n)
{
    for (GSList *i = n->users; i; i = i->next) {
        BlockNode *parent = ((BlockUser *)i->data)->parent;
        if (parent && parent->driver->filter && !parent->driver->resize && parent->file == n) {
            parent->size = n->size;
            tell_filters(parent);
        }
    }
}

static void resize(void *data)
{
    Resize *r = data;
    r->ok = r->n->driver->resize(r->n, r->size, r->prealloc, r->error);
}

bool block_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error)
{
    Resize r = {n, size, prealloc, error, false};
    if (n->read_only)
        return error_set(error, "Image is read-only");
    if (!n->driver->resize)
        return error_set(error, "Image format driver '%s' does not support resize", n->driver->name);
    if (size > INT64_MAX / 2)
        return error_set(error, "Image size must be below 4 EiB");
    block_call(n, resize, &r);
    tell_filters(n);
    return r.ok;
}

typedef struct SnapshotCall {
    BlockNode *n;
    BlockSnapshotOp op;
    const SnapshotInfo *what;
    GError **error;
    bool ok;
} SnapshotCall;

/* Requests to filters above are requests to the node. */
static void drain_up(BlockNode *n)
{
    for (GSList *i = n->users; i; i = i->next)
        if (((BlockUser *)i->data)->parent)
            drain_up(((BlockUser *)i->data)->parent);
    block_drain(n);
}

static void call_snapshot(void *data)
{
    SnapshotCall *c = data;
    drain_up(c->n);
    c->ok = c->n->driver->snapshot(c->n, c->op, c->what, c->error);
}

BlockNode *block_with_snapshots(BlockNode *n)
{
    while (!n->driver->snapshot && n->driver->filter && n->file)
        n = n->file;
    return n->driver->snapshot ? n : NULL;
}

bool block_snapshot(BlockNode *n, BlockSnapshotOp op, const SnapshotInfo *what, GError **error)
{
    SnapshotCall c = {n, op, what, error, false};
    if (!n->driver->snapshot)
        return error_set(error, "Block format '%s' does not support internal snapshots", n->driver->name);
    if (op == SNAPSHOT_SHOW ? !n->read_only : n->read_only)
        return error_set(error, "Image is %s", n->read_only ? "read-only" : "not read-only");
    block_call(n, call_snapshot, &c);
    tell_filters(n);
    return c.ok;
}

bool block_check(BlockNode *n, BlockCheck *result, unsigned fix, GError **error)
{
    if (!n->driver->check)
        return error_set(error, "This image format does not support checks");
    block_drain(n);
    return n->driver->check(n, result, fix, error);
}

bool block_change_backing(BlockNode *n, const char *name, const char *format, GError **error)
{
    if (!n->driver->change_backing)
        return error_set(error, "Image format driver '%s' has no backing files", n->driver->name);
    block_drain(n);
    return n->driver->change_backing(n, name && *name ? name : NULL, format, error);
}

unsigned block_cluster(const BlockNode *n) { return n->cluster; }

int block_write_compressed(BlockNode *n, uint64_t offset, void *buf, uint64_t bytes)
{
    struct iovec iov = {buf, bytes};
    BlockIo io = {.offset = offset, .bytes = bytes, .iov = &iov, .n_iov = 1};
    return n->driver->write_compressed ? n->driver->write_compressed(n, &io) : ENOTSUP;
}

bool block_create(Vm *vm, const BlockdevCreateOptions *o, GError **error)
{
    const BlockDriver *d = block_driver(o->driver);
    if (!d || !d->create)
        return error_set(error, "Driver '%s' does not support blockdev-create", blockdev_driver_name(o->driver));
    return d->create(vm, o, error);
}

bool block_reopen(Vm *vm, const BlockdevOptions *o, GError **error)
{
    BlockNode *n = o->node_name ? block_find(vm, o->node_name) : NULL;
    if (!o->node_name)
        return error_set(error, "node-name not specified");
    if (!n)
        return error_set(error, "Failed to find node with node-name='%s'", o->node_name);
    if (n->driver->id != o->driver)
        return error_set(error, "Cannot change the option 'driver'");
    if (!n->driver->reopen)
        return error_set(error, "Block format '%s' used by node '%s' does not support reopening files",
                         n->driver->name, n->name);
    BlockNode wanted = {.vm = vm};
    apply_options(&wanted, o);
    if (!check_options(&wanted, error))
        return false;
    block_drain(n);
    if (!n->driver->reopen(n, o, error))
        return false;
    n->discard = wanted.discard;
    n->no_flush = wanted.no_flush;
    n->detect_zeroes = wanted.detect_zeroes;
    n->unmap_zeroes = wanted.unmap_zeroes;
    return true;
}
