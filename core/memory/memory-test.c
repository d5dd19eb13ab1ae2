/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of regions, flat views, accesses, RAM backing, dirty marks; readers beside a writer. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/testing.h"
#include "util/rcu.h"

static uint64_t last_at, last_value;
static unsigned last_size;

static uint64_t io_read(void *opaque, uint64_t at, unsigned size)
{
    last_at = at;
    last_size = size;
    return 0x1122334455667788;
}

static void io_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    last_at = at;
    last_size = size;
    last_value = value;
}

static const MemOps ops = {io_read, io_write, .no_lock = true};
static const MemOps ops4 = {io_read, io_write, .min_access = 4, .max_access = 4, .no_lock = true};
static const MemOps ops_be = {io_read, io_write, .min_access = 2, .max_access = 4,
                              .big_endian = true, .no_lock = true};

static Object *owner(TestDevice *t)
{
    return t->vm->unattached;
}

static void overlaps(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *root = mem_container(owner(t), "root", 0x10000);
    AddressSpace *as = address_space_new(t->vm, root, "test");
    MemRegion *ram = mem_ram(owner(t), "ram", 0x8000, NULL, NULL);
    MemRegion *io = mem_io(owner(t), "io", 0x100, &ops, NULL, NULL);
    uint64_t v;

    mem_add(root, 0x1000, ram, 0);
    g_assert_false(as_find(as, 0xfff).region);
    g_assert_cmphex(as_find(as, 0x1000).left, ==, 0x8000);
    mem_add(root, 0x2000, io, 1);
    g_assert_cmphex(as_find(as, 0x1000).left, ==, 0x1000);
    g_assert_true(as_find(as, 0x20ff).region == io);
    g_assert_true(as_find(as, 0x2100).region == ram);
    g_assert_cmphex(as_find(as, 0x2100).offset, ==, 0x1100);
    mem_set_enabled(io, false);
    g_assert_true(as_find(as, 0x20ff).region == ram);
    mem_set_enabled(io, true);
    mem_set_address(io, 0x8f80);
    g_assert_cmphex(as_find(as, 0x8f80).left, ==, 0x100);
    g_assert_true(as_find(as, 0x907f).region == io);

    /* A read that begins in RAM and goes on in I/O, then into nothing. */
    uint8_t buf[16];
    g_assert_true(as_write(as, 0x8f7c, "abcd", 4));
    g_assert_true(as_read(as, 0x8f7c, buf, 12));
    g_assert_cmpmem(buf, 4, "abcd", 4);
    g_assert_cmphex(buf[4], ==, 0x88);
    g_assert_false(as_read(as, 0x9078, buf, 16));
    g_assert_true(as_load(as, 0x8f7c, 4, &v));
    g_assert_cmphex(v, ==, 0x64636261);
    g_assert_false(as_load(as, 0xf000, 4, &v));
    g_assert_cmphex(v, ==, 0);
    mem_remove(io);
    g_assert_true(as_find(as, 0x8f80).region == ram);
    address_space_free(as);
}

static void aliases(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *root = mem_container(owner(t), "root", UINT64_MAX);
    AddressSpace *as = address_space_new(t->vm, root, "test");
    MemRegion *pci = mem_container(owner(t), "pci", UINT64_MAX);
    MemRegion *ram = mem_ram(owner(t), "ram", 0x100000, NULL, NULL);
    MemRegion *bar = mem_io(owner(t), "bar", 0x1000, &ops, NULL, NULL);
    MemRegion *low = mem_alias(owner(t), "low", ram, 0, 0xc000);
    MemRegion *high = mem_alias(owner(t), "high", ram, 0xc000, 0xf4000);
    MemRegion *hole = mem_alias(owner(t), "hole", pci, 0xc000, 0x4000);

    mem_transaction_begin(t->vm);
    mem_add(root, 0, low, 0);
    mem_add(root, 0x100000000, high, 0);
    mem_add(root, 0xc000, hole, -1);
    mem_add(pci, 0xd000, bar, 0);
    g_assert_false(as_find(as, 0).region);      /* nothing before the commit */
    mem_transaction_commit(t->vm);
    g_assert_true(as_find(as, 0xbfff).region == ram);
    g_assert_true(as_find(as, 0xd000).region == bar);
    g_assert_false(as_find(as, 0xe000).region);
    MemSection s = as_find(as, 0x100000010);
    g_assert_true(s.region == ram && s.offset == 0xc010);
    g_assert_true(s.host == (uint8_t *)mem_host(ram) + 0xc010);
    mem_set_address(bar, 0xf800);               /* the window cuts it */
    g_assert_cmphex(as_find(as, 0xf800).left, ==, 0x800);
    g_assert_false(as_find(as, 0x10000).region);
    uint64_t n = 0x2000;
    g_assert_true(as_ram(as, 0xb000, &n, true) == (uint8_t *)mem_host(ram) + 0xb000);
    g_assert_cmphex(n, ==, 0x1000);
    g_assert_null(as_ram(as, 0xf800, &n, false));
    g_autoptr(GString) text = g_string_new(NULL);
    mem_info_mtree(t->vm, text, true);
    g_assert_nonnull(strstr(text->str, "  000000000000f800-000000000000ffff (prio 0, i/o): bar\n"));
    mem_info_mtree(t->vm, text, false);
    g_assert_nonnull(strstr(text->str, "alias hole @pci 000000000000c000-000000000000ffff"));
    address_space_free(as);
}

static void rom(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *r = mem_rom(owner(t), "rom", 0x1000, NULL);
    uint64_t v, n = 4;

    mem_add(t->vm->memory_root, 0x200000, r, 0);
    g_assert_true(as_write_rom(t->vm->memory, 0x200000, "data", 4));
    g_assert_true(as_store(t->vm->memory, 0x200000, 4, 0));
    g_assert_true(as_load(t->vm->memory, 0x200000, 4, &v));
    g_assert_cmphex(v, ==, 0x61746164);
    g_assert_nonnull(as_ram(t->vm->memory, 0x200000, &n, false));
    g_assert_null(as_ram(t->vm->memory, 0x200000, &n, true));
    mem_set_readonly(r, false);
    g_assert_true(as_store(t->vm->memory, 0x200000, 4, 1));
    g_assert_true(as_load(t->vm->memory, 0x200000, 4, &v));
    g_assert_cmphex(v, ==, 1);
    g_assert_true(as_load(t->vm->io, 0x3f8, 1, &v) == false && v == 0xff);
}

static void access_sizes(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *four = mem_io(owner(t), "four", 0x100, &ops4, NULL, NULL);
    MemRegion *be = mem_io(owner(t), "be", 0x100, &ops_be, NULL, NULL);

    g_assert_cmphex(mem_io_read(four, 0x11, 1), ==, 0x77);
    g_assert_cmphex(last_at, ==, 0x10);
    g_assert_cmpuint(last_size, ==, 4);
    g_assert_cmphex(mem_io_read(four, 0x10, 8), ==, 0x5566778855667788);
    mem_io_write(four, 0x12, 0xabcd, 2);
    g_assert_cmphex(last_value, ==, 0xabcd0000);
    mem_io_write(four, 0x10, 0x1111111122222222, 8);
    g_assert_cmphex(last_at, ==, 0x14);
    g_assert_cmphex(last_value, ==, 0x11111111);
    /* 0x7788 is stored high byte first. */
    g_assert_cmphex(mem_io_read(be, 0, 2), ==, 0x8877);
    g_assert_cmphex(mem_io_read(be, 0, 1), ==, 0x77);
    g_assert_cmphex(mem_io_read(be, 1, 1), ==, 0x88);
    mem_io_write(be, 0, 0x11223344, 4);
    g_assert_cmphex(last_value, ==, 0x44332211);
}

static void doorbells(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *io = mem_io(owner(t), "io", 0x100, &ops, NULL, NULL);
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t count = 0;

    mem_add_eventfd(io, 0x50, 2, true, 3, fd);
    last_at = 0;
    mem_io_write(io, 0x50, 3, 2);
    g_assert_cmphex(last_at, ==, 0);
    g_assert_cmpint(read(fd, &count, 8), ==, 8);
    mem_io_write(io, 0x50, 4, 2);
    g_assert_cmphex(last_at, ==, 0x50);
    mem_del_eventfd(io, 0x50, 2, true, 3, fd);
    mem_io_write(io, 0x50, 3, 2);
    g_assert_cmpint(read(fd, &count, 8), <, 0);
    close(fd);
}

static MemTranslation translate(void *opaque, uint64_t addr, bool write)
{
    Vm *vm = opaque;

    return (MemTranslation){.pa = addr ^ 0x3000, .mask = 0xfff, .read = true,
                            .write = addr < 0x2000, .target = vm->memory};
}

static void iommu(void)
{
    g_autoptr(TestDevice) t = test_machine();
    MemRegion *root = mem_container(owner(t), "root", 0x4000);
    MemRegion *mmu = mem_iommu(owner(t), "mmu", 0x4000, translate, t->vm);
    AddressSpace *as = address_space_new(t->vm, root, "dma");
    char buf[8] = "";

    mem_add(root, 0, mmu, 0);
    g_assert_true(as_write(as, 0xffc, "12345678", 8));  /* ends of pages that are swapped */
    g_assert_true(as_read(t->vm->memory, 0x3ffc, buf, 4));
    g_assert_cmpmem(buf, 4, "1234", 4);
    g_assert_true(as_read(t->vm->memory, 0x2000, buf, 4));
    g_assert_cmpmem(buf, 4, "5678", 4);
    g_assert_false(as_write(as, 0x2000, "x", 1));
    g_assert_true(as_read(as, 0x2000, buf, 1));
    address_space_free(as);
}

static bool resident(void *p)
{
    unsigned char v = 0;

    mincore(p, 4096, &v);
    return v & 1;
}

static void backings(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("%s/myna-ram-%d", g_get_tmp_dir(), (int)getpid());
    const uint64_t size = 16 << 20;

    /* More than the host has, so without a reservation. */
    RamConfig lazy = {.no_reserve = true};
    MemRegion *anon = mem_ram(owner(t), "anon", 1ull << 36, &lazy, &error);
    g_assert_no_error(error);
    g_assert_cmphex((uintptr_t)mem_host(anon) & 0x1fffff, ==, 0);
    g_assert_false(resident((char *)mem_host(anon) + (1ull << 35)));

    RamConfig file = {.path = path, .share = true};
    MemRegion *shared = mem_ram(owner(t), "file", size, &file, &error);
    g_assert_no_error(error);
    strcpy((char *)mem_host(shared) + 100, "kept");
    RamConfig again = {.path = path, .readonly = true};
    MemRegion *other = mem_ram(owner(t), "again", size, &again, &error);
    g_assert_no_error(error);
    g_assert_cmpstr((char *)mem_host(other) + 100, ==, "kept");
    g_assert_null(mem_ram(owner(t), "big", 2 * size, &again, &error));
    g_assert_nonnull(strstr(error->message, "fewer than"));
    g_clear_error(&error);
    RamConfig nowhere = {.path = "/nonexistent/x"};
    g_assert_null(mem_ram(owner(t), "no", size, &nowhere, &error));
    g_assert_nonnull(strstr(error->message, "'/nonexistent/x'"));

    RamConfig memfd = {.memfd = true, .share = true, .prealloc = true, .prealloc_threads = 2};
    MemRegion *m = mem_ram(owner(t), "memfd", size, &memfd, NULL);
    g_assert_true(resident((char *)mem_host(m) + size - 4096));
    unlink(path);
}

static void dirty(void)
{
    g_autoptr(TestDevice) t = test_machine();
    Vm *vm = t->vm;
    MemRegion *ram = mem_ram(owner(t), "ram", 1 << 20, NULL, NULL);
    uint64_t base = mem_ram_offset(ram);
    unsigned long bits[4];
    uint8_t *host;

    mem_add(vm->memory_root, 0x400000, ram, 0);
    g_assert_nonnull(ram_block_of(vm, base + 5, &host));
    g_assert_true(host == (uint8_t *)mem_host(ram) + 5);
    g_assert_false(dirty_wanted(vm, base));
    dirty_track(vm, DIRTY_MIGRATION, true);
    g_assert_true(dirty_fetch_clear(vm, DIRTY_MIGRATION, base, 1 << 20, bits));
    g_assert_cmphex(bits[0], ==, ~0ul);
    g_assert_false(dirty_fetch_clear(vm, DIRTY_MIGRATION, base, 1 << 20, bits));
    g_assert_true(dirty_wanted(vm, base));
    as_write(vm->memory, 0x400ffe, "1234", 4);
    g_assert_true(dirty_test(vm, DIRTY_MIGRATION, base));
    g_assert_false(dirty_wanted(vm, base));
    as_dirty(vm->memory, 0x403000, 1);
    dirty_fetch_clear(vm, DIRTY_MIGRATION, base, 1 << 20, bits);
    g_assert_cmphex(bits[0], ==, 0xb);
    dirty_track(vm, DIRTY_MIGRATION, false);
    g_assert_false(dirty_wanted(vm, base));
    dirty_code_mark(vm, base + 0x5000, true);
    g_assert_true(dirty_wanted(vm, base + 0x5000));
    g_assert_false(dirty_wanted(vm, base + 0x6000));
    g_assert_false(dirty_test(vm, DIRTY_CODE, base + 0x5000));
    dirty_code_mark(vm, base + 0x5000, false);
    g_assert_false(dirty_wanted(vm, base + 0x5000));
}

/* Readers run while the map changes: each sees the old or the new window. */
typedef struct Race {
    TestDevice *t;
    MemRegion *a, *b;
    bool end;
    int bad;
} Race;

static void *read_on(void *data)
{
    Race *r = data;

    rcu_read_lock();
    while (!__atomic_load_n(&r->end, __ATOMIC_RELAXED)) {
        MemSection s = as_find(r->t->vm->memory, 0x800000);
        uint64_t v = 0;
        if (s.region != r->a && s.region != r->b) {
            __atomic_add_fetch(&r->bad, 1, __ATOMIC_RELAXED);
        }
        as_load(r->t->vm->memory, 0x800010, 4, &v);
        as_store(r->t->vm->memory, 0x900000 + 8 * ((uint64_t)gettid() % 256), 4, v);
        rcu_quiescent();
    }
    rcu_read_unlock();
    return NULL;
}

static void race(void)
{
    g_autoptr(TestDevice) t = test_machine();
    Race r = {.t = t};
    GThread *ids[2];

    r.a = mem_ram(owner(t), "a", 0x10000, NULL, NULL);
    r.b = mem_ram(owner(t), "b", 0x10000, NULL, NULL);
    mem_add(t->vm->memory_root, 0x800000, r.a, 0);
    mem_add(t->vm->memory_root, 0x800000, r.b, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        ids[i] = g_thread_new("reader", read_on, &r);
    }
    for (unsigned i = 0; i < 3000; i++) {
        mem_set_enabled(r.b, i & 1);
        MemRegion *more = mem_ram(owner(t), "more", 0x1000, NULL, NULL);
        mem_add(t->vm->memory_root, 0x900000, more, 0);
        object_remove((Object *)more);
        rcu_poll();
        loop_run_posts(t->loop);
    }
    __atomic_store_n(&r.end, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_thread_join(ids[i]);
    }
    g_assert_cmpint(r.bad, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/overlaps", overlaps);
    g_test_add_func("/memory/aliases", aliases);
    g_test_add_func("/memory/rom", rom);
    g_test_add_func("/memory/sizes", access_sizes);
    g_test_add_func("/memory/doorbells", doorbells);
    g_test_add_func("/memory/iommu", iommu);
    g_test_add_func("/memory/backings", backings);
    g_test_add_func("/memory/dirty", dirty);
    g_test_add_func("/memory/race", race);
    return g_test_run();
}
