/* SPDX-License-Identifier: Apache-2.0 */
/* Regions, their tree, transactions, address spaces. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/memory-internal.h"
#include "core/vm.h"
#include "util/rcu.h"

typedef struct Watcher {
    void (*fn)(Vm *vm, void *data);
    void *data;
} Watcher;

static void drop_eventfds(void *data)
{
    Eventfds *list = data;

    for (unsigned i = 0; i < list->n; i++) {
        close(list->e[i].fd);
    }
    g_free(list);
}

static void finish(Object *o)
{
    MemRegion *r = (MemRegion *)o;

    g_clear_pointer(&r->children, g_ptr_array_unref);
    g_clear_pointer(&r->eventfds, drop_eventfds);
    if (r->block) {
        ram_block_free(o->vm, r->block);
    }
    if (r->target) {
        object_unref(&r->target->object);
    }
    g_free(r->name);
}

static void removing(Object *o)
{
    MemRegion *r = (MemRegion *)o;

    mem_transaction_begin(o->vm);
    while (r->children && r->children->len) {
        mem_remove(r->children->pdata[0]);
    }
    mem_remove(r);
    mem_transaction_commit(o->vm);
}

static const ObjectType region_type = {
    .name = "memory-region", .desc = "A region of guest-physical memory",
    .size = sizeof(MemRegion), .finish = finish, .removing = removing,
};
OBJECT_TYPE(region_type);

static MemRegion *region_new(Object *owner, const char *name, uint64_t size, MemKind kind)
{
    MemRegion *r = (MemRegion *)object_new(owner->vm, &region_type);
    g_autofree char *child = g_strdup_printf("%s[*]", name);

    g_assert(size > 0);
    g_strdelimit(child, "/", '-');
    r->name = g_strdup(name);
    r->size = size;
    r->kind = kind;
    r->enabled = true;
    object_add_child(owner, child, &r->object);
    return r;
}

MemRegion *mem_container(Object *owner, const char *name, uint64_t size)
{
    return region_new(owner, name, size, MEM_CONTAINER);
}

MemRegion *mem_io(Object *owner, const char *name, uint64_t size, const MemOps *ops, void *opaque,
                  Device *domain_of)
{
    MemRegion *r = region_new(owner, name, size, MEM_IO);

    r->ops = ops;
    r->opaque = opaque;
    r->dev = domain_of;
    return r;
}

static MemRegion *region_of(Object *owner, const char *name, RamBlock *block)
{
    if (!block) {
        return NULL;
    }
    MemRegion *r = region_new(owner, name, block->size, MEM_RAM);
    r->block = block;
    r->readonly = block->readonly;
    return r;
}

MemRegion *mem_ram(Object *owner, const char *name, uint64_t size, const RamConfig *cfg,
                   GError **error)
{
    return region_of(owner, name, ram_block_new(owner->vm, name, size, cfg, error));
}

MemRegion *mem_rom(Object *owner, const char *name, uint64_t size, GError **error)
{
    MemRegion *r = mem_ram(owner, name, size, NULL, error);

    if (r) {
        r->readonly = true;
    }
    return r;
}

MemRegion *mem_rom_device(Object *owner, const char *name, uint64_t size, const MemOps *ops, void *opaque,
                          Device *domain_of, GError **error)
{
    MemRegion *r = mem_rom(owner, name, size, error);

    if (r) {
        r->ops = ops;
        r->opaque = opaque;
        r->dev = domain_of;
    }
    return r;
}

bool mem_takes_writes(const MemRegion *r)
{
    return r->kind == MEM_RAM && r->ops;
}

MemRegion *mem_ram_ptr(Object *owner, const char *name, uint64_t size, void *host)
{
    return region_of(owner, name, ram_block_wrap(owner->vm, name, size, host));
}

MemRegion *mem_alias(Object *owner, const char *name, MemRegion *target, uint64_t offset,
                     uint64_t size)
{
    MemRegion *r = region_new(owner, name, size, MEM_ALIAS);

    object_ref(&target->object);
    r->target = target;
    r->offset = offset;
    return r;
}

MemRegion *mem_iommu(Object *owner, const char *name, uint64_t size,
                     MemTranslation (*fn)(void *opaque, uint64_t addr, bool write), void *opaque)
{
    MemRegion *r = region_new(owner, name, size, MEM_IOMMU);

    r->translate = fn;
    r->opaque = opaque;
    return r;
}

/* ---- the tree ---- */

void mem_add(MemRegion *parent, uint64_t at, MemRegion *child, int priority)
{
    Vm *vm = parent->object.vm;
    unsigned i = 0;

    map_lock(vm);
    g_assert(!child->parent);
    if (!parent->children) {
        parent->children = g_ptr_array_new();
    }
    while (i < parent->children->len &&
           ((MemRegion *)parent->children->pdata[i])->priority > priority) {
        i++;
    }
    child->parent = parent;
    child->at = at;
    child->priority = priority;
    g_ptr_array_insert(parent->children, (int)i, child);
    map_changed(vm);
    map_unlock(vm);
}

void mem_remove(MemRegion *child)
{
    Vm *vm = child->object.vm;

    map_lock(vm);
    if (child->parent) {
        g_ptr_array_remove(child->parent->children, child);
        child->parent = NULL;
        map_changed(vm);
    }
    map_unlock(vm);
}

void mem_set_enabled(MemRegion *r, bool on)
{
    map_lock(r->object.vm);
    if (r->enabled != on) {
        r->enabled = on;
        map_changed(r->object.vm);
    }
    map_unlock(r->object.vm);
}

void mem_set_address(MemRegion *child, uint64_t at)
{
    map_lock(child->object.vm);
    if (child->at != at) {
        child->at = at;
        map_changed(child->object.vm);
    }
    map_unlock(child->object.vm);
}

void mem_set_alias(MemRegion *alias, uint64_t at, uint64_t offset, uint64_t size)
{
    map_lock(alias->object.vm);
    if (alias->at != at || alias->offset != offset || alias->size != size) {
        alias->at = at;
        alias->offset = offset;
        alias->size = size;
        map_changed(alias->object.vm);
    }
    map_unlock(alias->object.vm);
}

bool mem_is_readonly(const MemRegion *r)
{
    return r->readonly;
}

void mem_set_readonly(MemRegion *r, bool ro)
{
    map_lock(r->object.vm);
    if (r->readonly != ro) {
        r->readonly = ro;
        map_changed(r->object.vm);
    }
    map_unlock(r->object.vm);
}

void mem_set_coalesced(MemRegion *io, bool on)
{
    map_lock(io->object.vm);
    if (io->coalesced != on) {
        io->coalesced = on;
        io->object.vm->ram->doorbells = true;
        map_changed(io->object.vm);
    }
    map_unlock(io->object.vm);
}

bool mem_is_coalesced(const MemRegion *r)
{
    return r->coalesced;
}

uint64_t mem_size(const MemRegion *r)
{
    return r->size;
}

void *mem_host(MemRegion *r)
{
    return r->block ? r->block->host : NULL;
}

const char *mem_name(const MemRegion *r)
{
    return r->name;
}

bool mem_is_ram(const MemRegion *r)
{
    return r->kind == MEM_RAM;
}

bool mem_is_mapped(const MemRegion *r)
{
    return r->parent != NULL;
}

uint64_t mem_address(const MemRegion *r)
{
    return r->at;
}

uint64_t mem_ram_offset(const MemRegion *r)
{
    return r->block->ram_offset;
}

/* ---- changes ---- */

unsigned mem_generation(Vm *vm)
{
    return __atomic_load_n(&vm->ram->generation, __ATOMIC_SEQ_CST);
}

void mem_remapped(Vm *vm)
{
    __atomic_add_fetch(&vm->ram->generation, 1, __ATOMIC_SEQ_CST);
}

/* ---- transactions ---- */

static void render_all(struct RamMap *map)
{
    bool changed = false;

    for (unsigned i = 0; i < map->spaces->len; i++) {
        AddressSpace *as = map->spaces->pdata[i];
        FlatView *new = flat_render(as->root), *old = as->view;
        if (flat_equal(old, new)) {
            flat_free(new);
            continue;
        }
        rcu_set(&as->view, new);
        rcu_free(old, flat_free);
        changed = true;
    }
    if (changed) {
        mem_remapped(map->vm);
        map_flush_tlbs(map->vm);
    }
    changed |= map->doorbells;
    map->doorbells = false;
    for (unsigned i = 0; changed && i < map->watchers->len; i++) {
        Watcher *w = &g_array_index(map->watchers, Watcher, i);
        w->fn(map->vm, w->data);
    }
}

void map_lock(Vm *vm)
{
    pthread_mutex_lock(&vm->ram->lock);
    vm->ram->depth++;
}

void map_unlock(Vm *vm)
{
    struct RamMap *map = vm->ram;

    if (map->depth == 1 && map->changed) {
        map->changed = false;
        render_all(map);
    }
    map->depth--;
    pthread_mutex_unlock(&map->lock);
}

void map_changed(Vm *vm)
{
    vm->ram->changed = true;
}

void mem_transaction_begin(Vm *vm)
{
    map_lock(vm);
}

void mem_transaction_commit(Vm *vm)
{
    map_unlock(vm);
}

void mem_on_change(Vm *vm, void (*fn)(Vm *vm, void *data), void *data)
{
    Watcher w = {fn, data};

    map_lock(vm);
    g_array_append_val(vm->ram->watchers, w);
    map_unlock(vm);
}

/* ---- address spaces ---- */

AddressSpace *address_space_new(Vm *vm, MemRegion *root, const char *name)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->vm = vm;
    as->root = root;
    as->name = g_strdup(name);
    object_ref(&root->object);
    map_lock(vm);
    as->view = flat_render(root);
    g_ptr_array_add(vm->ram->spaces, as);
    map_unlock(vm);
    return as;
}

static void space_free(void *data)
{
    AddressSpace *as = data;

    flat_free(as->view);
    object_unref(&as->root->object);
    g_free(as->name);
    g_free(as);
}

void address_space_free(AddressSpace *as)
{
    if (!as) {
        return;
    }
    map_lock(as->vm);
    g_ptr_array_remove(as->vm->ram->spaces, as);
    map_unlock(as->vm);
    rcu_free(as, space_free);
}

MemRegion *address_space_root(AddressSpace *as)
{
    return as->root;
}

struct RamMap *ram_map_new(Vm *vm)
{
    struct RamMap *map = g_new0(struct RamMap, 1);
    pthread_mutexattr_t recursive;

    map->vm = vm;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&map->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    map->spaces = g_ptr_array_new();
    map->watchers = g_array_new(FALSE, FALSE, sizeof(Watcher));
    map->blocks = g_new0(BlockTable, 1);
    return map;
}

void ram_map_free(struct RamMap *map)
{
    g_ptr_array_unref(map->spaces);
    g_array_unref(map->watchers);
    g_free(map->blocks);
    pthread_mutex_destroy(&map->lock);
    g_free(map);
}

/* ---- doorbells ---- */

static void change_eventfds(MemRegion *r, const Eventfd *add, const Eventfd *del)
{
    map_lock(r->object.vm);
    Eventfds *old = r->eventfds;
    unsigned n = old ? old->n : 0;
    Eventfds *new = g_malloc0(sizeof(*new) + (n + 1) * sizeof(Eventfd));
    for (unsigned i = 0; i < n; i++) {
        const Eventfd *e = &old->e[i];
        bool gone = del && e->at == del->at && e->size == del->size && e->match == del->match &&
                    (!e->match || e->value == del->value);
        if (!gone) {
            new->e[new->n] = *e;
            new->e[new->n++].fd = dup(e->fd);
        }
    }
    if (add) {
        new->e[new->n] = *add;
        new->e[new->n++].fd = dup(add->fd);
    }
    rcu_set(&r->eventfds, new);
    r->object.vm->ram->doorbells = true;
    map_changed(r->object.vm);
    map_unlock(r->object.vm);
    if (old) {
        rcu_free(old, drop_eventfds);
    }
}

void mem_add_eventfd(MemRegion *io, uint64_t at, unsigned size, bool match, uint64_t value, int fd)
{
    Eventfd e = {.at = at, .size = size, .match = match, .value = value, .fd = fd};

    change_eventfds(io, &e, NULL);
}

void mem_del_eventfd(MemRegion *io, uint64_t at, unsigned size, bool match, uint64_t value, int fd)
{
    Eventfd e = {.at = at, .size = size, .match = match, .value = value, .fd = fd};

    change_eventfds(io, NULL, &e);
}

/* ---- info mtree ---- */

static const char *kind_text(const MemRegion *r, bool readonly)
{
    static const char *const kinds[] = {"i/o", "i/o", "ram", "alias", "iommu"};

    return r->kind == MEM_RAM && readonly ? "rom" : kinds[r->kind];
}

static void tree_text(GString *out, const MemRegion *r, uint64_t base, unsigned indent)
{
    g_string_append_printf(out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): ", indent, "",
                           base, base + mem_last(r), r->priority, kind_text(r, r->readonly));
    if (r->kind == MEM_ALIAS) {
        g_string_append_printf(out, "alias %s @%s %016" PRIx64 "-%016" PRIx64, r->name,
                               r->target->name, r->offset, r->offset + mem_last(r));
    } else {
        g_string_append(out, r->name);
    }
    g_string_append(out, r->enabled ? "\n" : " [disabled]\n");
    for (unsigned i = 0; r->children && i < r->children->len; i++) {
        MemRegion *child = r->children->pdata[i];
        tree_text(out, child, base + child->at, indent + 2);
    }
}

static void flat_text(GString *out, const FlatView *v)
{
    for (unsigned i = 0; i < v->n; i++) {
        const FlatRange *r = &v->r[i];
        g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s", r->first,
                               r->last, r->region->priority, kind_text(r->region, r->readonly),
                               r->region->name);
        if (r->offset) {
            g_string_append_printf(out, " @%016" PRIx64, r->offset);
        }
        g_string_append_c(out, '\n');
    }
}

void mem_info_mtree(Vm *vm, GString *out, bool flat)
{
    map_lock(vm);
    for (unsigned i = 0; i < vm->ram->spaces->len; i++) {
        AddressSpace *as = vm->ram->spaces->pdata[i];
        if (flat) {
            g_string_append_printf(out, "FlatView #%u\n AS \"%s\", root: %s\n", i, as->name,
                                   as->root->name);
            flat_text(out, as->view);
        } else {
            g_string_append_printf(out, "address-space: %s\n", as->name);
            tree_text(out, as->root, 0, 2);
        }
        g_string_append_c(out, '\n');
    }
    map_unlock(vm);
}
