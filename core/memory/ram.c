/* SPDX-License-Identifier: Apache-2.0 */
/* RAM blocks: host memory behind guest RAM, its numbering, dirty bitmaps and code marks. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "core/accel.h"
#include "core/memory-internal.h"
#include "core/softmmu.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/rcu.h"

#define HUGE_PAGE (2ull << 20)
#define ROUND_UP(v, to) (((v) + (to) - 1) / (to) * (to))
enum { WORD_BITS = 8 * sizeof(unsigned long) };

/* ---- backing ---- */

static int open_file(const RamConfig *cfg, uint64_t size, GError **error)
{
    struct stat st;

    if (stat(cfg->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        g_autofree char *name = g_build_filename(cfg->path, "myna-ram-XXXXXX", NULL);
        int fd = mkstemp(name);
        if (fd < 0) {
            error_set_errno(error, errno, "cannot make a file for guest RAM in '%s'", cfg->path);
        } else {
            unlink(name);
        }
        return fd;
    }
    int fd = open(cfg->path, (cfg->readonly ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0644);
    if (fd < 0) {
        error_set_errno(error, errno, "cannot open '%s' for guest RAM", cfg->path);
    }
    return fd;
}

static unsigned log2_of(uint64_t v)
{
    return 63 - (unsigned)__builtin_clzll(v);
}

static int open_memfd(const RamConfig *cfg, const char *id, GError **error)
{
    unsigned flags = MFD_CLOEXEC | (cfg->seal ? MFD_ALLOW_SEALING : 0);

    if (cfg->page_size > (uint64_t)getpagesize()) {
        flags |= MFD_HUGETLB | log2_of(cfg->page_size) << MAP_HUGE_SHIFT;
    }
    int fd = memfd_create(id, flags);
    if (fd < 0) {
        error_set_errno(error, errno, "cannot make a memfd for '%s'", id);
    }
    return fd;
}

/* The descriptor behind the block, -1 for anonymous memory, -2 with an error. */
static int backing(const RamConfig *cfg, const char *id, uint64_t size, GError **error)
{
    int fd = -1;
    struct stat st;

    if (cfg->fd > 0) {
        fd = fcntl(cfg->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            error_set_errno(error, errno, "descriptor %d for '%s'", cfg->fd, id);
            return -2;
        }
    } else if (cfg->path) {
        fd = open_file(cfg, size, error);
    } else if (cfg->memfd || cfg->page_size > (uint64_t)getpagesize()) {
        fd = open_memfd(cfg, id, error);
    } else {
        return -1;
    }
    if (fd < 0) {
        return -2;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < cfg->offset + size) {
        if (cfg->readonly || (st.st_size && cfg->path)) {
            error_set(error, "'%s' has %" G_GINT64_FORMAT " bytes, fewer than the %" G_GUINT64_FORMAT
                      " that '%s' needs", cfg->path ? cfg->path : "descriptor",
                      (int64_t)st.st_size, cfg->offset + size, id);
            close(fd);
            return -2;
        }
        if (ftruncate(fd, (off_t)(cfg->offset + size)) < 0) {
            error_set_errno(error, errno, "cannot size the memory of '%s'", id);
            close(fd);
            return -2;
        }
    }
    return fd;
}

static uint64_t page_size_of(int fd)
{
    struct statfs fs;

    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return (uint64_t)fs.f_bsize;
    }
    return (uint64_t)getpagesize();
}

/* linux/mempolicy.h: what is there already moves, too. */
enum { MPOL_STRICT_MOVE = 3 };

/* Reserves address space so that the block begins on a huge page, then maps over it. */
static bool map_block(RamBlock *b, const RamConfig *cfg, GError **error)
{
    uint64_t align = MAX(MAX(HUGE_PAGE, b->page_size), cfg->align);
    int prot = PROT_READ | (b->readonly && b->fd >= 0 ? 0 : PROT_WRITE);
    int flags = MAP_FIXED | (b->share ? MAP_SHARED : MAP_PRIVATE) | (b->fd < 0 ? MAP_ANONYMOUS : 0) |
                (cfg->no_reserve ? MAP_NORESERVE : 0);

    b->map_size = ROUND_UP(b->size, b->page_size) + align;
    void *map = mmap(NULL, b->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        return error_set_errno(error, errno, "cannot set up guest memory '%s' of %" G_GUINT64_FORMAT
                               " bytes", b->id, b->size);
    }
    b->map = map;
    b->host = (uint8_t *)ROUND_UP((uintptr_t)map, align);
    if (mmap(b->host, ROUND_UP(b->size, b->page_size), prot, flags, b->fd,
             (off_t)b->fd_offset) == MAP_FAILED) {
        return error_set_errno(error, errno, "cannot map guest memory '%s' of %" G_GUINT64_FORMAT
                               " bytes", b->id, b->size);
    }
    if (cfg->policy && syscall(SYS_mbind, b->host, ROUND_UP(b->size, b->page_size), cfg->policy, cfg->host_nodes,
                               (unsigned long)RAM_HOST_NODES + 1, MPOL_STRICT_MOVE) < 0) {
        return error_set_errno(error, errno, "cannot bind guest memory '%s' to host NUMA nodes", b->id);
    }
    if (b->page_size == (uint64_t)getpagesize()) {
        madvise(b->host, b->size, MADV_HUGEPAGE);
    }
    if (cfg->merge) {
        madvise(b->host, b->size, MADV_MERGEABLE);
    }
    madvise(b->host, b->size, cfg->dump ? MADV_DODUMP : MADV_DONTDUMP);
    return true;
}

typedef struct Touch {
    uint8_t *from;
    uint64_t n, page;
    int error;
} Touch;

static void *touch(void *data)
{
    Touch *t = data;

    if (madvise(t->from, t->n, MADV_POPULATE_WRITE) == 0) {
        return NULL;
    }
    if (errno != EINVAL) {      /* a kernel before 5.14 does not know the advice */
        t->error = errno;
        return NULL;
    }
    for (uint64_t i = 0; i < t->n; i += t->page) {
        volatile uint8_t *p = t->from + i;
        *p = *p;
    }
    return NULL;
}

static bool prealloc(RamBlock *b, unsigned threads, GError **error)
{
    uint64_t page = MAX(b->page_size, HUGE_PAGE);
    uint64_t part = ROUND_UP(b->size / MAX(threads, 1), page);
    g_autofree Touch *t = g_new0(Touch, threads + 1);
    g_autofree GThread **ids = g_new0(GThread *, threads + 1);
    unsigned n = 0;
    int failed = 0;

    for (uint64_t at = 0; at < b->size; at += part, n++) {
        t[n] = (Touch){b->host + at, MIN(part, b->size - at), (uint64_t)getpagesize(), 0};
        ids[n] = g_thread_new("touch", touch, &t[n]);
    }
    for (unsigned i = 0; i < n; i++) {
        g_thread_join(ids[i]);
        failed = t[i].error ? t[i].error : failed;
    }
    return !failed || error_set_errno(error, failed, "cannot preallocate guest memory '%s'", b->id);
}

static void free_block(void *data)
{
    RamBlock *b = data;

    if (b->map) {
        munmap(b->map, b->map_size);
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    for (unsigned c = 0; c < DIRTY_CLIENTS; c++) {
        g_free(b->bits[c]);
    }
    g_free(b->id);
    g_free(b);
}

/* ---- the table ---- */

static void publish(struct RamMap *map, BlockTable *table)
{
    BlockTable *old = map->blocks;

    rcu_set(&map->blocks, table);
    rcu_free(old, g_free);
}

static RamBlock *enlist(Vm *vm, RamBlock *b)
{
    struct RamMap *map = vm->ram;

    map_lock(vm);
    BlockTable *old = map->blocks;
    BlockTable *new = g_malloc(sizeof(*new) + (old->n + 1) * sizeof(RamBlock *));
    new->n = old->n + 1;
    memcpy(new->b, old->b, old->n * sizeof(RamBlock *));
    new->b[old->n] = b;
    b->ram_offset = map->next;
    map->next += ROUND_UP(b->size, HUGE_PAGE);
    publish(map, new);
    map_unlock(vm);
    return b;
}

static void mark_tracked(Vm *vm, RamBlock *b);

RamBlock *ram_block_new(Vm *vm, const char *id, uint64_t size, const RamConfig *given, GError **error)
{
    RamConfig cfg = given ? *given : (RamConfig){.dump = true};
    RamBlock *b = g_new0(RamBlock, 1);

    b->id = g_strdup(id);
    b->size = size;
    b->share = cfg.share;
    b->readonly = cfg.readonly;
    b->fd_offset = cfg.offset;
    b->fd = backing(&cfg, id, size, error);
    if (b->fd == -2) {
        b->fd = -1;
        free_block(b);
        return NULL;
    }
    if (cfg.seal && b->fd >= 0 && fcntl(b->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        error_set_errno(error, errno, "cannot seal the size of '%s'", id);
        free_block(b);
        return NULL;
    }
    b->page_size = page_size_of(b->fd);
    if (cfg.page_size > b->page_size) {
        b->page_size = cfg.page_size;
    }
    if (!map_block(b, &cfg, error) ||
        (cfg.prealloc && !prealloc(b, MAX(cfg.prealloc_threads, 1), error))) {
        free_block(b);
        return NULL;
    }
    mark_tracked(vm, b);
    return enlist(vm, b);
}

RamBlock *ram_block_wrap(Vm *vm, const char *id, uint64_t size, void *host)
{
    RamBlock *b = g_new0(RamBlock, 1);

    b->id = g_strdup(id);
    b->size = size;
    b->host = host;
    b->fd = -1;
    b->page_size = (uint64_t)getpagesize();
    mark_tracked(vm, b);
    return enlist(vm, b);
}

void ram_block_free(Vm *vm, RamBlock *b)
{
    struct RamMap *map = vm->ram;

    ram_written(vm, b->ram_offset, b->size);    /* what was translated from it is void */
    map_lock(vm);
    BlockTable *old = map->blocks;
    BlockTable *new = g_malloc0(sizeof(*new) + old->n * sizeof(RamBlock *));
    for (unsigned i = 0; i < old->n; i++) {
        if (old->b[i] != b) {
            new->b[new->n++] = old->b[i];
        }
    }
    publish(map, new);
    map_unlock(vm);
    rcu_free(b, free_block);
}

static RamBlock *block_at(Vm *vm, uint64_t ram_offset)
{
    const BlockTable *t = rcu_get(&vm->ram->blocks);
    unsigned low = 0, high = t->n;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (t->b[mid]->ram_offset + t->b[mid]->size <= ram_offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < t->n && t->b[low]->ram_offset <= ram_offset ? t->b[low] : NULL;
}

RamBlock *ram_block_of(Vm *vm, uint64_t ram_offset, uint8_t **host)
{
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    rcu_read_unlock();
    if (host) {
        *host = b ? b->host + (ram_offset - b->ram_offset) : NULL;
    }
    return b;
}

void mem_host_dirty(Vm *vm, const void *host, uint64_t n)
{
    rcu_read_lock();
    const BlockTable *t = vm->ram->blocks;
    for (unsigned i = 0; i < t->n; i++) {
        uint64_t at = (const uint8_t *)host - t->b[i]->host;
        if (at < t->b[i]->size) {
            ram_written(vm, t->b[i]->ram_offset + at, MIN(n, t->b[i]->size - at));
            break;
        }
    }
    rcu_read_unlock();
}

void ram_foreach(Vm *vm, void (*fn)(const RamInfo *block, void *data), void *data)
{
    for (unsigned i = 0; i < vm->ram->blocks->n; i++) {
        RamBlock *b = vm->ram->blocks->b[i];
        RamInfo info = {b->id, b->host, b->ram_offset, b->size, b->page_size, b->fd, b->fd_offset,
                        b->share, b->readonly};
        fn(&info, data);
    }
}

/* ---- marks ---- */

static uint64_t pages(const RamBlock *b)
{
    return (b->size + (1 << PAGE_BITS) - 1) >> PAGE_BITS;
}

static unsigned long *bits_of(RamBlock *b, DirtyClient c)
{
    return __atomic_load_n(&b->bits[c], __ATOMIC_ACQUIRE);
}

static unsigned long *make_bits(RamBlock *b, DirtyClient c, int fill)
{
    size_t n = (pages(b) + WORD_BITS - 1) / WORD_BITS * sizeof(unsigned long);
    unsigned long *bits = g_malloc0(n), *none = NULL;

    if (fill) {
        memset(bits, 0xff, n);
    }
    if (!__atomic_compare_exchange_n(&b->bits[c], &none, bits, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        g_free(bits);
        return none;
    }
    return bits;
}

static bool test_bit(const unsigned long *bits, uint64_t page)
{
    return __atomic_load_n(&bits[page / WORD_BITS], __ATOMIC_RELAXED) >> page % WORD_BITS & 1;
}

static void set_bit(unsigned long *bits, uint64_t page)
{
    unsigned long bit = 1ul << page % WORD_BITS;

    if (!test_bit(bits, page)) {
        __atomic_or_fetch(&bits[page / WORD_BITS], bit, __ATOMIC_SEQ_CST);
    }
}

static void clear_bit(unsigned long *bits, uint64_t page)
{
    __atomic_and_fetch(&bits[page / WORD_BITS], ~(1ul << page % WORD_BITS), __ATOMIC_SEQ_CST);
}

static unsigned tracking(Vm *vm)
{
    return __atomic_load_n(&vm->ram->tracking, __ATOMIC_RELAXED);
}

static void mark_tracked(Vm *vm, RamBlock *b)
{
    for (unsigned c = 0; c < DIRTY_CLIENTS; c++) {
        if (c != DIRTY_CODE && tracking(vm) >> c & 1) {
            make_bits(b, c, 1);
        }
    }
}

static void set_dirty(Vm *vm, RamBlock *b, uint64_t first, uint64_t last)
{
    unsigned clients = tracking(vm);

    for (unsigned c = 0; c < DIRTY_CLIENTS; c++) {
        unsigned long *bits = c != DIRTY_CODE && clients >> c & 1 ? bits_of(b, c) : NULL;
        for (uint64_t page = first; bits && page <= last; page++) {
            set_bit(bits, page);
        }
    }
}

void dirty_set(Vm *vm, uint64_t ram_offset, uint64_t n)
{
    if (n == 0 || !(tracking(vm) & ~(1u << DIRTY_CODE))) {
        return;
    }
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    if (b) {
        uint64_t at = ram_offset - b->ram_offset;
        set_dirty(vm, b, at >> PAGE_BITS, (at + n - 1) >> PAGE_BITS);
    }
    rcu_read_unlock();
}

void ram_written(Vm *vm, uint64_t ram_offset, uint64_t n)
{
    if (n == 0 || !tracking(vm)) {
        return;
    }
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    if (b) {
        uint64_t first = (ram_offset - b->ram_offset) >> PAGE_BITS;
        uint64_t last = (ram_offset - b->ram_offset + n - 1) >> PAGE_BITS;
        const unsigned long *code = bits_of(b, DIRTY_CODE);
        bool hit = false;
        for (uint64_t page = first; code && !hit && page <= last; page++) {
            hit = test_bit(code, page);
        }
        set_dirty(vm, b, first, last);
        const AccelType *accel = accel_of(vm);
        if (hit && accel && accel->code_written) {
            accel->code_written(vm->accel, ram_offset, n);
        }
    }
    rcu_read_unlock();
}

bool mem_discard(Vm *vm, const MemRegion *ram, uint64_t at, uint64_t n)
{
    uint64_t offset = mem_ram_offset(ram) + at;

    rcu_read_lock();
    RamBlock *b = block_at(vm, offset);
    uint64_t in = b ? offset - b->ram_offset : 0;
    bool ok = b && in + n <= b->size && !b->readonly;
    if (ok && b->share && b->fd >= 0) {
        ok = fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(b->fd_offset + in), (off_t)n) == 0;
    } else if (ok) {
        ok = madvise(b->host + in, n, MADV_DONTNEED) == 0;
    }
    rcu_read_unlock();
    if (ok) {
        ram_written(vm, offset, n);
    }
    return ok;
}

bool mem_sync(const MemRegion *ram)
{
    return msync(mem_host((MemRegion *)ram), mem_size(ram), MS_SYNC) == 0;
}

bool dirty_test(Vm *vm, DirtyClient c, uint64_t ram_offset)
{
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    unsigned long *bits = b ? bits_of(b, c) : NULL;
    bool set = bits && test_bit(bits, (ram_offset - b->ram_offset) >> PAGE_BITS);
    rcu_read_unlock();
    return c == DIRTY_CODE ? !set : set;
}

/* Written by another builder's file; absent in programs without it. */
void softmmu_flush_all(Vm *vm) __attribute__((weak));

void map_flush_tlbs(Vm *vm)
{
    if (softmmu_flush_all && vm->n_cpus) {
        softmmu_flush_all(vm);
    }
}

bool dirty_fetch_clear(Vm *vm, DirtyClient c, uint64_t ram_offset, uint64_t n, unsigned long *out)
{
    const AccelType *accel = accel_of(vm);
    bool any = false;

    if (accel && accel->dirty_sync) {
        accel->dirty_sync(vm->accel);
    }
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    unsigned long *bits = b ? bits_of(b, c) : NULL;
    uint64_t first = b ? (ram_offset - b->ram_offset) >> PAGE_BITS : 0;
    uint64_t count = (n + (1 << PAGE_BITS) - 1) >> PAGE_BITS;
    for (uint64_t i = 0; i < count; i++) {
        bool dirty = bits && test_bit(bits, first + i);
        if (dirty) {
            clear_bit(bits, first + i);
            any = true;
        }
        if (out) {
            unsigned long bit = 1ul << i % WORD_BITS;
            out[i / WORD_BITS] = (out[i / WORD_BITS] & ~bit) | (dirty ? bit : 0);
        }
    }
    rcu_read_unlock();
    if (any) {
        map_flush_tlbs(vm);
    }
    return any;
}

void dirty_track(Vm *vm, DirtyClient c, bool on)
{
    map_lock(vm);
    if (on) {
        for (unsigned i = 0; c != DIRTY_CODE && i < vm->ram->blocks->n; i++) {
            RamBlock *b = vm->ram->blocks->b[i];
            unsigned long *bits = make_bits(b, c, 1);
            for (uint64_t page = 0; page < pages(b); page++) {
                set_bit(bits, page);
            }
        }
        __atomic_or_fetch(&vm->ram->tracking, 1u << c, __ATOMIC_SEQ_CST);
    } else {
        __atomic_and_fetch(&vm->ram->tracking, ~(1u << c), __ATOMIC_SEQ_CST);
    }
    map_unlock(vm);
    map_flush_tlbs(vm);
    const AccelType *accel = accel_of(vm);
    if (accel && accel->dirty_log) {
        accel->dirty_log(vm->accel, tracking(vm) & ~(1u << DIRTY_CODE));
    }
}

bool dirty_wanted(Vm *vm, uint64_t ram_offset)
{
    unsigned clients = tracking(vm);
    bool wanted = false;

    if (!clients) {
        return false;
    }
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    for (unsigned c = 0; b && !wanted && c < DIRTY_CLIENTS; c++) {
        unsigned long *bits = clients >> c & 1 ? bits_of(b, c) : NULL;
        if (bits) {
            wanted = test_bit(bits, (ram_offset - b->ram_offset) >> PAGE_BITS) == (c == DIRTY_CODE);
        }
    }
    rcu_read_unlock();
    return wanted;
}

void dirty_code_mark(Vm *vm, uint64_t ram_offset, bool has_code)
{
    rcu_read_lock();
    RamBlock *b = block_at(vm, ram_offset);
    if (b) {
        uint64_t page = (ram_offset - b->ram_offset) >> PAGE_BITS;
        unsigned long *bits = bits_of(b, DIRTY_CODE);
        if (has_code) {
            set_bit(bits ? bits : make_bits(b, DIRTY_CODE, 0), page);
            __atomic_or_fetch(&vm->ram->tracking, 1u << DIRTY_CODE, __ATOMIC_SEQ_CST);
        } else if (bits) {
            clear_bit(bits, page);
        }
    }
    rcu_read_unlock();
}
