/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a qcow2 image of a stranger, opened, read, written to, its snapshots used, checked. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/internal.h"
#include "core/testing.h"
#include "fuzz.h"
#include "util/fdstore.h"

enum { MAX_FILE = 1 << 20, PIECE = 70000 };

static void requests(BlockNode *n, uint8_t seed)
{
    g_autofree uint8_t *buf = g_malloc(PIECE);
    uint64_t size = MIN(block_size(n), 1ull << 40);

    memset(buf, seed, PIECE);
    for (unsigned i = 0; i < 6 && size; i++) {
        uint64_t at = (uint64_t)(seed + 1) * 0x9e3779b97f4a7c15ull % size >> (i * 7), bytes = MIN(PIECE, size - at);
        BlockExtent e;
        block_map(n, NULL, at, bytes, &e);
        block_read_buf(n, at, buf, bytes);
        if (!block_read_only(n)) {
            block_write_buf(n, at, buf, bytes);
            block_write_zeroes(n, at / 2, bytes, BLOCK_MAY_UNMAP);
            block_discard(n, at / 3, bytes);
            block_flush(n);
        }
    }
}

/* Snapshots of the image and new ones; not of long tables, through which the way is long. */
static void snapshots(BlockNode *n, uint8_t seed)
{
    g_autoptr(ImageInfo) info = block_image_info(n, false);
    SnapshotInfo made = {.name = "new", .date_sec = seed}, last = {.id = "1"};

    if (info->snapshots && info->snapshots->count) {
        last.id = info->snapshots->items[info->snapshots->count - 1]->id;
    }
    if (block_read_only(n)) {
        block_snapshot(n, SNAPSHOT_SHOW, &last, NULL);
        return;
    }
    block_snapshot(n, seed & 16 ? SNAPSHOT_APPLY : SNAPSHOT_DELETE, &last, NULL);
    block_snapshot(n, SNAPSHOT_CREATE, &made, NULL);
    requests(n, seed);
    block_snapshot(n, SNAPSHOT_APPLY, &made, NULL);
    block_snapshot(n, SNAPSHOT_DELETE, &made, NULL);
}

/* Whatever stands in it, the name of an image below is not followed. */
static BlockNode *open_image(Vm *vm, const char *path, bool read_only)
{
    BlockOpen w = {.filename = path, .format = "qcow2", .read_only = read_only, .no_backing = true, .check = read_only};
    return block_open_file(vm, &w, NULL);
}

/* A good image of small clusters with a little in it, in the file. */
static void make_image(Vm *vm, const char *path, bool extended)
{
    BlockdevOptionsFile storage = {.filename = (char *)path};
    BlockdevOptions file = {.driver = BLOCKDEV_DRIVER_FILE, .u.file = &storage};
    BlockdevRef ref = {.kind = BLOCKDEV_REF_DEFINITION, .u.definition = &file};
    BlockdevCreateOptionsQcow2 q = {.file = &ref, .size = 1 << 20, .has_cluster_size = true,
                                    .cluster_size = extended ? 16384 : 1024, .has_extended_l2 = true,
                                    .extended_l2 = extended};
    BlockdevCreateOptions c = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &q};
    BlockNode *n = block_create(vm, &c, NULL) ? open_image(vm, path, false) : NULL;
    g_autofree uint8_t *buf = g_malloc0(65536);
    if (n) {
        memset(buf, 7, 40000);
        block_write_buf(n, 3000, buf, 50000);
        block_write_compressed(n, 131072, buf, block_cluster(n));
        block_write_zeroes(n, 262144, 65536, BLOCK_MAY_UNMAP);
        SnapshotInfo kept = {.name = "kept"};
        block_snapshot(n, SNAPSHOT_CREATE, &kept, NULL);
        block_write_buf(n, 30000, buf, 4000);
        block_free(n);
    }
}

/* Four bytes of input change one byte of the image: most of them in its tables. */
static void damage(int fd, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i += 4) {
        off_t at = data[0 + i] & 1 ? data[i + 1] : data[i + 1] << 8 | data[i + 2];
        if (pwrite(fd, data + i + 3, 1, at) != 1) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MAX_FILE) {
        return 0;
    }
    int fd = memfd_create("image", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    TestDevice *t = test_machine();
    FdStore *fds = t->vm->fds = fd_store_new();
    bool read_only = *data & 1;

    bool whole = *data & 4;
    if (!whole) {
        make_image(t->vm, path, *data & 8);
        damage(fd, data + 1, size - 1);
    }
    if (!whole || write(fd, data + 1, size - 1) == (ssize_t)(size - 1)) {
        BlockNode *n = open_image(t->vm, path, read_only);
        if (n) {
            requests(n, data[0]);
            if (block_size(n) <= 64 << 20 && block_size(n->file) < 64 << 20 && *data & 32) {
                snapshots(n, data[0]);
            }
            BlockCheck r = {0};
            g_autoptr(ImageInfo) info = block_image_info(n, true);
            if (block_size(n->file) < 64 << 20) {
                block_check(n, &r, read_only ? 0 : *data & 3, NULL);
            }
            block_free(n);
        }
    }
    close(fd);
    test_device_free(t);
    fd_store_free(fds);
    return 0;
}

const char *const fuzz_words[] = {NULL};
