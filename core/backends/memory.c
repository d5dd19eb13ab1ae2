/* SPDX-License-Identifier: Apache-2.0 */
/* memory-backend-ram, memory-backend-file, memory-backend-memfd: guest memory by the user's wish. */
#include <stdio.h>
#include <unistd.h>

#include "core/backend.h"
#include "core/vm.h"
#include "util/error.h"

typedef struct MemoryBackend {
    Object object;
    MemRegion *region;
    bool taken;
    uint64_t size;
    bool share, prealloc, dump, merge, reserve, canonical;
    uint32_t prealloc_threads;
    int policy;
    char *host_nodes;           /* "0-1,3" */
    /* file */
    char *path;
    uint64_t align, offset;
    bool discard_data, pmem, readonly;
    int rom;
    /* memfd */
    bool hugetlb, seal;
    uint64_t hugetlb_size;
} MemoryBackend;

static const char *const policies[] = {"default", "preferred", "bind", "interleave", NULL};

static bool frozen(Object *o, const Field *f, GError **error)
{
    return error_set(error, "property '%s' of a memory backend is set when it is made", f->name);
}

static const Field base_fields[] = {
    PROP(MemoryBackend, size, "size", PROP_SIZE, .required = true,
         .desc = "Size of the memory region (ex: 500M)"),
    PROP(MemoryBackend, share, "share", PROP_BOOL, .changed = frozen,
         .desc = "Mark the memory as private to QEMU or shared"),
    PROP(MemoryBackend, prealloc, "prealloc", PROP_BOOL, .desc = "Preallocate memory"),
    PROP(MemoryBackend, prealloc_threads, "prealloc-threads", PROP_U32, .init = 1,
         .desc = "Number of CPU threads to use for prealloc"),
    PROP(MemoryBackend, dump, "dump", PROP_BOOL, .init = 1,
         .desc = "Set to 'off' to exclude from core dump"),
    PROP(MemoryBackend, merge, "merge", PROP_BOOL, .init = 1,
         .desc = "Mark memory as mergeable"),
    PROP(MemoryBackend, reserve, "reserve", PROP_BOOL, .init = 1,
         .desc = "Reserve swap space (or huge pages) if applicable"),
    PROP(MemoryBackend, canonical, "x-use-canonical-path-for-ramblock-id", PROP_BOOL),
    PROP(MemoryBackend, policy, "policy", PROP_ENUM, .names = policies,
         .link_type = "HostMemPolicy", .desc = "Set the NUMA policy"),
    PROP(MemoryBackend, host_nodes, "host-nodes", PROP_STRING,
         .desc = "NUMA nodes of the host that the policy speaks of, such as 0-1"),
    HOST(MemoryBackend, region), HOST(MemoryBackend, taken),
};
static const Field file_fields[] = {
    PROP(MemoryBackend, path, "mem-path", PROP_STRING, .required = true,
         .desc = "File, or folder for a nameless file"),
    PROP(MemoryBackend, align, "align", PROP_SIZE),
    PROP(MemoryBackend, offset, "offset", PROP_SIZE),
    PROP(MemoryBackend, discard_data, "discard-data", PROP_BOOL),
    PROP(MemoryBackend, pmem, "pmem", PROP_BOOL),
    PROP(MemoryBackend, readonly, "readonly", PROP_BOOL),
    PROP(MemoryBackend, rom, "rom", PROP_ON_OFF_AUTO),
};
static const Field memfd_fields[] = {
    PROP(MemoryBackend, hugetlb, "hugetlb", PROP_BOOL, .desc = "Use huge pages"),
    PROP(MemoryBackend, hugetlb_size, "hugetlbsize", PROP_SIZE, .desc = "Huge pages size (ex: 2M, 1G)"),
    PROP(MemoryBackend, seal, "seal", PROP_BOOL, .init = 1, .desc = "Seal growing & shrinking"),
};

/* With strict accounting the kernel counts private memory all the same. */
static bool may_skip_reserve(void)
{
    g_autofree char *mode = NULL;

    return !g_file_get_contents("/proc/sys/vm/overcommit_memory", &mode, NULL, NULL) || *mode != '2';
}

bool memory_host_nodes(const char *text, uint64_t *nodes)
{
    while (text && *text) {
        unsigned first, last;
        int used = 0;
        if (sscanf(text, "%u%n", &first, &used) != 1) {
            return false;
        }
        text += used;
        last = first;
        if (*text == '-' && sscanf(text, "-%u%n", &last, &used) == 1) {
            text += used;
        }
        if (last < first || last >= RAM_HOST_NODES || (*text && *text++ != ',')) {
            return false;
        }
        for (unsigned i = first; i <= last; i++) {
            nodes[i / 64] |= UINT64_C(1) << i % 64;
        }
    }
    return true;
}

static bool read_host_nodes(const MemoryBackend *b, RamConfig *cfg, GError **error)
{
    bool any = b->host_nodes && *b->host_nodes;

    if (!memory_host_nodes(b->host_nodes, cfg->host_nodes)) {
        return error_set(error, "%s: host-nodes=%s: expected numbers below %d, such as 0-1,3", b->object.name,
                         b->host_nodes, RAM_HOST_NODES);
    }
    if (any && !b->policy) {
        return error_set(error, "host-nodes must be empty for policy default, or you should explicitly specify a policy "
                         "other than default");
    }
    return any || !b->policy ||
           error_set(error, "host-nodes must be set for policy %s", policies[b->policy]);
}

static bool make(Object *o, RamConfig *cfg, GError **error)
{
    MemoryBackend *b = (MemoryBackend *)o;

    if (!read_host_nodes(b, cfg, error)) {
        return false;
    }
    cfg->policy = b->policy;
    if (!b->reserve && !b->share && !may_skip_reserve()) {
        return error_set(error, "%s: reserve=off is not possible while /proc/sys/vm/overcommit_memory is 2",
                         o->name);
    }
    cfg->no_reserve = !b->reserve;
    cfg->share |= b->share;
    cfg->prealloc = b->prealloc;
    cfg->prealloc_threads = b->prealloc_threads;
    cfg->dump = b->dump;
    cfg->merge = b->merge;
    b->region = mem_ram(o, o->name, b->size, cfg, error);
    return b->region != NULL;
}

static bool complete_ram(Object *o, GError **error)
{
    /* Shared anonymous memory is what other processes can be given by descriptor. */
    RamConfig cfg = {.memfd = ((MemoryBackend *)o)->share};

    return make(o, &cfg, error);
}

static bool complete_file(Object *o, GError **error)
{
    MemoryBackend *b = (MemoryBackend *)o;
    RamConfig cfg = {.path = b->path, .align = b->align, .offset = b->offset,
                     .readonly = b->readonly};

    if (b->pmem) {
        return error_set(error, "%s: pmem=on is not supported", o->name);
    }
    if (b->align & (b->align - 1)) {
        return error_set(error, "%s: property 'align' must be a power of two", o->name);
    }
    if (!make(o, &cfg, error)) {
        return false;
    }
    if (b->rom == 1) {
        mem_set_readonly(b->region, true);
    }
    return true;
}

static void finish_file(Object *o)
{
    MemoryBackend *b = (MemoryBackend *)o;

    if (b->region && b->discard_data && mem_host(b->region)) {
        /* The contents need not reach the disk. */
        if (truncate(b->path, 0) < 0 || truncate(b->path, (off_t)(b->offset + b->size)) < 0) {
            return;
        }
    }
}

static bool complete_memfd(Object *o, GError **error)
{
    MemoryBackend *b = (MemoryBackend *)o;
    RamConfig cfg = {.memfd = true, .share = b->share, .seal = b->seal};

    if (b->hugetlb_size && !b->hugetlb) {
        return error_set(error, "%s: 'hugetlbsize' needs 'hugetlb=on'", o->name);
    }
    if (b->hugetlb) {
        cfg.page_size = b->hugetlb_size ? b->hugetlb_size : 2 << 20;
        if (cfg.page_size & (cfg.page_size - 1)) {
            return error_set(error, "%s: property 'hugetlbsize' must be a power of two", o->name);
        }
    }
    return make(o, &cfg, error);
}

static void init_memfd(Object *o)
{
    ((MemoryBackend *)o)->share = true;
}

/* What POSIX shared memory gives without its names: a file that only this process's friends can have. */
static bool complete_shm(Object *o, GError **error)
{
    RamConfig cfg = {.memfd = true, .share = true};

    if (!((MemoryBackend *)o)->share) {
        return error_set(error, "%s: memory-backend-shm is always shared: share=off is not possible", o->name);
    }
    return make(o, &cfg, error);
}

static bool can_delete(Object *o, GError **error)
{
    return !((MemoryBackend *)o)->taken ||
           error_set(error, "object '%s' is in use, can not be deleted", o->name);
}

static const ObjectType base = {
    .name = "memory-backend", .size = sizeof(MemoryBackend), .abstract = true,
    FIELDS(base_fields), .can_delete = can_delete,
};
OBJECT_TYPE(base);
static const ObjectType ram = {
    .name = "memory-backend-ram", .parent = "memory-backend", .desc = "Anonymous guest memory",
    .user_creatable = true, .complete = complete_ram,
};
OBJECT_TYPE(ram);
static const ObjectType file = {
    .name = "memory-backend-file", .parent = "memory-backend", .desc = "Guest memory in a file",
    .user_creatable = true, FIELDS(file_fields), .complete = complete_file, .finish = finish_file,
};
OBJECT_TYPE(file);
static const ObjectType memfd = {
    .name = "memory-backend-memfd", .parent = "memory-backend",
    .desc = "Guest memory in a nameless file", .user_creatable = true, FIELDS(memfd_fields),
    .init = init_memfd, .complete = complete_memfd,
};
OBJECT_TYPE(memfd);
static const ObjectType shm = {
    .name = "memory-backend-shm", .parent = "memory-backend", .desc = "Guest memory in shared memory",
    .user_creatable = true, .init = init_memfd, .complete = complete_shm,
};
OBJECT_TYPE(shm);

MemRegion *memory_backend_take(Object *o, GError **error)
{
    MemoryBackend *b = (MemoryBackend *)o;

    if (!object_is_a(o, "memory-backend")) {
        error_set(error, "object '%s' is a %s, not a memory backend", o->name, o->type->name);
        return NULL;
    }
    if (b->taken) {
        error_set(error, "memory backend '%s' is used already", o->name);
        return NULL;
    }
    b->taken = true;
    return b->region;
}

void memory_backend_release(Object *o)
{
    ((MemoryBackend *)o)->taken = false;
}

bool memory_backend_taken(Object *o)
{
    return ((MemoryBackend *)o)->taken;
}
