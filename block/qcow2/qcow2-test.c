/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 images against a flat model, with random requests of many fibers at a time. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "block/qcow2/qcow2.h"
#include "core/testing.h"
#include "util/fdstore.h"

enum { SIZE = 4 << 20, ROUNDS = 150, AT_ONCE = 12 };

typedef struct Image {
    TestDevice *t;
    char *dir, *path, *base;
    BlockNode *n;
    uint8_t *model;
    uint64_t size;
} Image;

typedef struct Shape {
    const char *name;
    unsigned cluster, bits;
    bool v2, extended, backing, lazy;
} Shape;

static const Shape shapes[] = {
    {"v3", 65536, 16}, {"v2", 65536, 16, true}, {"small", 512, 16}, {"bits1", 4096, 1}, {"bits2", 4096, 2},
    {"bits8", 4096, 8}, {"bits64", 4096, 64}, {"extended", 16384, 16, false, true},
    {"backed", 65536, 16, false, false, true}, {"backed-v2", 4096, 16, true, false, true},
    {"backed-extended", 65536, 32, false, true, true}, {"lazy", 4096, 16, false, false, false, true},
};

static BlockNode *open_image(Image *m, bool check)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) o = json_object();
    json_set_text(o, "discard", "unmap");
    BlockOpen w = {.filename = m->path, .format = "qcow2", .options = o, .check = check};
    BlockNode *n = block_open_file(m->t->vm, &w, &error);
    g_assert_no_error(error);
    return n;
}

static void create(Image *m, const Shape *s)
{
    g_autoptr(GError) error = NULL;
    m->size = SIZE;
    BlockdevOptionsFile storage = {.filename = m->path};
    BlockdevOptions file = {.driver = BLOCKDEV_DRIVER_FILE, .u.file = &storage};
    BlockdevRef ref = {.kind = BLOCKDEV_REF_DEFINITION, .u.definition = &file};
    BlockdevCreateOptionsQcow2 q = {
        .file = &ref, .size = SIZE, .has_version = true,
        .version = s->v2 ? BLOCKDEV_QCOW2_VERSION_V2 : BLOCKDEV_QCOW2_VERSION_V3, .has_extended_l2 = true,
        .extended_l2 = s->extended, .has_cluster_size = true, .cluster_size = s->cluster, .has_refcount_bits = true,
        .refcount_bits = s->bits, .has_lazy_refcounts = true, .lazy_refcounts = s->lazy};
    if (s->backing) {
        q.backing_file = m->base;
        q.has_backing_fmt = true;
        q.backing_fmt = BLOCKDEV_DRIVER_RAW;
    }
    BlockdevCreateOptions c = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &q};
    g_assert_true(g_file_set_contents(m->path, "", 0, NULL));
    block_create(m->t->vm, &c, &error);
    g_assert_no_error(error);
}

static Image *image_new(const Shape *s)
{
    Image *m = g_new0(Image, 1);
    m->t = test_machine();
    m->t->vm->fds = m->t->vm->fds ? m->t->vm->fds : fd_store_new();
    /* In memory, where there is such a place: there are many flushes. */
    m->dir = g_mkdtemp(g_strdup("/dev/shm/qcow2-XXXXXX"));
    m->dir = m->dir ? m->dir : g_dir_make_tmp("qcow2-XXXXXX", NULL);
    m->path = g_build_filename(m->dir, "image", NULL);
    m->base = g_build_filename(m->dir, "base", NULL);
    m->model = g_malloc0(2 * SIZE);
    if (s->backing) {
        /* Shorter than the image. */
        for (unsigned i = 0; i < SIZE / 2; i++)
            m->model[i] = g_test_rand_int();
        g_assert_true(g_file_set_contents(m->base, (char *)m->model, SIZE / 2, NULL));
    }
    create(m, s);
    m->n = open_image(m, false);
    return m;
}

static void image_free(Image *m)
{
    FdStore *fds = m->t->vm->fds;
    block_free(m->n);
    g_unlink(m->path);
    g_unlink(m->base);
    g_rmdir(m->dir);
    test_device_free(m->t);
    fd_store_free(fds);
    g_free(m->dir);
    g_free(m->path);
    g_free(m->base);
    g_free(m->model);
    g_free(m);
}

static void check_clean(Image *m)
{
    g_autoptr(GError) error = NULL;
    BlockCheck r = {0};
    block_check(m->n, &r, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.corruptions, ==, 0);
    g_assert_cmpuint(r.leaks, ==, 0);
    g_assert_cmpuint(r.errors, ==, 0);
}

/* Debian's qemu-img, where it is installed, must agree. */
static void check_foreign(Image *m)
{
    g_autofree char *program = g_find_program_in_path("qemu-img"), *out = NULL;
    int status = 0;
    if (!program)
        return;
    const char *argv[] = {program, "check", "-f", "qcow2", m->path, NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, &status,
                               NULL));
    if (status)
        g_test_message("%s", out);
    g_assert_cmpint(status, ==, 0);
}

static void compare(Image *m)
{
    g_autofree uint8_t *all = g_malloc(m->size);
    g_assert_cmpint(block_sync(m->n, BLOCK_READ, 0, all, m->size), ==, 0);
    for (uint64_t i = 0; i < m->size; i++)
        if (all[i] != m->model[i])
            g_error("byte 0x%lx is %02x instead of %02x", i, all[i], m->model[i]);
}

typedef struct Job {
    BlockRequest r;
    struct iovec iov[2];
    uint8_t *buf, *expected;
    unsigned *left;
} Job;

static void job_done(BlockRequest *r, int error)
{
    Job *j = (Job *)r;
    g_assert_cmpint(error, ==, 0);
    if (j->expected)
        g_assert_cmpmem(j->buf, r->bytes, j->expected, r->bytes);
    g_free(j->expected);
    g_free(j->buf);
    --*j->left;
    g_free(j);
}

/* Requests at one time touch different bytes, often of the same clusters. */
static void random_round(Image *m, bool discards)
{
    unsigned left = 0, slices = AT_ONCE;
    uint64_t base = g_test_rand_int_range(0, m->size), span = g_test_rand_bit() ? 128 << 10 : 16 << 10;
    base = MIN(base, m->size - span);
    for (unsigned i = 0; i < slices; i++) {
        uint64_t from = base + span / slices * i, to = base + span / slices * (i + 1);
        uint64_t offset = g_test_rand_int_range(from, to), bytes = g_test_rand_int_range(1, to - offset + 1);
        if (g_test_rand_int_range(0, 4)) {
            offset &= ~511ull;
            bytes = MIN((bytes + 511) & ~511ull, to - offset);
            offset = MAX(offset, from);
            bytes = MIN(bytes, to - offset);
        }
        Job *j = g_new0(Job, 1);
        static const BlockOp ops[] = {BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE, BLOCK_READ, BLOCK_WRITE_ZEROES, BLOCK_FLUSH, BLOCK_DISCARD};
        j->r.op = ops[g_test_rand_int_range(0, 7)];
        if (j->r.op == BLOCK_DISCARD && !discards)
            j->r.op = BLOCK_WRITE;
        j->r.flags = g_test_rand_bit() ? BLOCK_MAY_UNMAP : 0;
        j->r.offset = offset;
        j->r.bytes = j->r.op == BLOCK_FLUSH ? 0 : bytes;
        j->buf = g_malloc(bytes);
        unsigned cut = g_test_rand_int_range(0, bytes);
        j->iov[0] = (struct iovec){j->buf, cut};
        j->iov[1] = (struct iovec){j->buf + cut, bytes - cut};
        j->r.iov = j->iov;
        j->r.n_iov = 2;
        j->r.done = job_done;
        j->left = &left;
        left++;
        if (j->r.op == BLOCK_WRITE) {
            memset(j->buf, g_test_rand_int(), bytes);
            memcpy(m->model + offset, j->buf, bytes);
        } else if (j->r.op == BLOCK_READ) {
            j->expected = g_memdup2(m->model + offset, bytes);
        } else if (j->r.op == BLOCK_WRITE_ZEROES) {
            memset(m->model + offset, 0, bytes);
        }
        block_submit(m->n, &j->r);
    }
    while (left)
        loop_step(m->t->loop, true);
}

static void reopen(Image *m)
{
    block_free(m->n);
    check_foreign(m);
    m->n = open_image(m, false);
    check_clean(m);
    compare(m);
}

static void random_requests(gconstpointer data)
{
    Image *m = image_new(data);
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_round(m, false);
        if (i % 75 == 74)
            reopen(m);
    }
    compare(m);
    image_free(m);
}

/* What is discarded may read as anything; the image must stay whole. */
static void random_discards(gconstpointer data)
{
    Image *m = image_new(data);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at = g_test_rand_int_range(0, SIZE), n = g_test_rand_int_range(1, SIZE / 4);
        n = MIN(n, SIZE - at);
        for (unsigned k = 0; k < 4; k++)
            random_round(m, false);
        g_assert_cmpint(block_sync(m->n, BLOCK_DISCARD, at, NULL, n), ==, 0);
        g_autofree uint8_t *now = g_malloc(n);
        g_assert_cmpint(block_sync(m->n, BLOCK_READ, at, now, n), ==, 0);
        for (uint64_t b = 0; b < n; b++)
            g_assert_true(now[b] == m->model[at + b] || now[b] == 0);
        memcpy(m->model + at, now, n);
    }
    reopen(m);
    image_free(m);
}

/* A copy of the file at any moment, as after a power failure, has leaks at worst. */
static void crash(gconstpointer data)
{
    Image *m = image_new(data);
    g_autofree char *copy = g_build_filename(m->dir, "copy", NULL), *path = m->path;
    for (unsigned i = 0; i < 15; i++) {
        g_autofree char *content = NULL;
        gsize size;
        random_round(m, true);
        g_assert_true(g_file_get_contents(path, &content, &size, NULL));
        g_assert_true(g_file_set_contents(copy, content, size, NULL));
        m->path = copy;
        BlockNode *other = open_image(m, true);
        BlockCheck r = {0};
        g_assert_true(block_check(other, &r, 0, NULL));
        g_assert_cmpuint(r.corruptions, ==, 0);
        r = (BlockCheck){0};
        g_assert_true(block_check(other, &r, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, NULL));
        r = (BlockCheck){0};
        g_assert_true(block_check(other, &r, 0, NULL));
        g_assert_cmpuint(r.leaks + r.corruptions, ==, 0);
        block_free(other);
        m->path = path;
    }
    g_unlink(copy);
    m->path = g_steal_pointer(&path);
    image_free(m);
}

/* ---- snapshots ---- */

enum { MOST_SNAPSHOTS = 4 };

typedef struct Kept {
    char *name;
    uint8_t *content;
} Kept;

static bool snapshot(Image *m, BlockSnapshotOp op, const char *name, GError **error)
{
    SnapshotInfo what = {.name = (char *)name, .date_sec = 1, .vm_clock_sec = 2};
    return block_snapshot(m->n, op, &what, error);
}

static void take(Image *m, Kept *k, unsigned number)
{
    g_autoptr(GError) error = NULL;
    *k = (Kept){g_strdup_printf("name %u", number), g_memdup2(m->model, m->size)};
    snapshot(m, SNAPSHOT_CREATE, k->name, &error);
    g_assert_no_error(error);
}

static void drop(Image *m, Kept *k)
{
    g_autoptr(GError) error = NULL;
    snapshot(m, SNAPSHOT_DELETE, k->name, &error);
    g_assert_no_error(error);
    g_free(k->name);
    g_free(k->content);
    *k = (Kept){0};
}

static void go_back(Image *m, const Kept *k)
{
    g_autoptr(GError) error = NULL;
    snapshot(m, SNAPSHOT_APPLY, k->name, &error);
    g_assert_no_error(error);
    memcpy(m->model, k->content, m->size);
}

/* Seen without applying it, beside the image that is open. */
static void look(Image *m, const Kept *k)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *model = m->model;
    BlockNode *n = m->n;
    BlockOpen w = {.filename = m->path, .format = "qcow2", .read_only = true};
    g_autoptr(Json) o = json_object();
    json_set_text(o, "force-share", "on");
    w.options = o;
    g_assert_cmpint(block_sync(m->n, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
    m->n = block_open_file(m->t->vm, &w, &error);
    g_assert_no_error(error);
    snapshot(m, SNAPSHOT_SHOW, k->name, &error);
    g_assert_no_error(error);
    m->model = k->content;
    compare(m);
    block_free(m->n);
    m->n = n;
    m->model = g_steal_pointer(&model);
}

/* With counts of one bit nothing can have two users, and the image stays as it was. */
static void refuse(Image *m)
{
    g_autoptr(GError) error = NULL;
    random_round(m, false);
    g_assert_false(snapshot(m, SNAPSHOT_CREATE, "x", &error));
    g_assert_nonnull(error);
    reopen(m);
}

static void snapshots(gconstpointer data)
{
    const Shape *shape = data;
    Image *m = image_new(shape);
    Kept kept[MOST_SNAPSHOTS] = {0};
    unsigned most = shape->bits == 2 ? 1 : MOST_SNAPSHOTS;      /* applying one needs another user */
    if (shape->bits == 1)
        refuse(m);
    for (unsigned i = 0; i < 40 && shape->bits > 1; i++) {
        Kept *k = &kept[g_test_rand_int_range(0, most)];
        for (unsigned r = g_test_rand_int_range(0, 4); r; r--)
            random_round(m, false);
        if (!k->name)
            take(m, k, i);
        else if (g_test_rand_int_range(0, 3))
            g_test_rand_bit() ? look(m, k) : go_back(m, k);
        else
            drop(m, k);
        if (i % 10 == 9)
            reopen(m);
    }
    for (unsigned i = 0; i < most; i++)
        if (kept[i].name)
            drop(m, &kept[i]);
    reopen(m);
    image_free(m);
}

/* ---- a disk that dies in the middle ---- */

/* Its storage takes so many more requests; the test's state, for a driver has none of its own. */
static struct {
    const BlockDriver *real;
    BlockDriver mine;
    int left;
} dying;

static int dying_write(BlockNode *n, const BlockIo *io) { return dying.left-- > 0 ? dying.real->write(n, io) : EIO; }
static int dying_flush(BlockNode *n) { return dying.left-- > 0 ? dying.real->flush(n) : EIO; }

static void die_after(Image *m, int requests)
{
    BlockNode *file = m->n->file;
    dying.real = file->driver;
    dying.mine = *file->driver;
    dying.mine.write = dying_write;
    dying.mine.flush = dying_flush;
    dying.left = requests;
    file->driver = &dying.mine;
}

/* The image as it is in a file: before or after, but whole. */
static void check_whole(Image *m, const char *path, const uint8_t *before, const uint8_t *after)
{
    g_autofree uint8_t *all = g_malloc(m->size);
    g_autofree char *own = m->path;
    BlockCheck r = {0};
    m->path = (char *)path;
    BlockNode *n = open_image(m, true);
    g_assert_true(block_check(n, &r, 0, NULL));
    g_assert_cmpuint(r.corruptions + r.errors, ==, 0);
    g_assert_cmpint(block_sync(n, BLOCK_READ, 0, all, m->size), ==, 0);
    g_assert_true(!memcmp(all, before, m->size) || !memcmp(all, after, m->size));
    r = (BlockCheck){0};
    g_assert_true(block_check(n, &r, BLOCK_FIX_LEAKS, NULL));
    block_free(n);
    m->path = g_steal_pointer(&own);
}

/* True when the disk lived long enough. */
static bool try_to(Image *m, BlockSnapshotOp op, int requests, const uint8_t *after)
{
    g_autofree char *copy = g_build_filename(m->dir, "copy", NULL), *content = NULL;
    gsize size;
    die_after(m, requests);
    bool done = snapshot(m, op, "name 0", NULL);
    m->n->file->driver = dying.real;
    g_assert_true(g_file_get_contents(m->path, &content, &size, NULL));
    g_assert_true(g_file_set_contents(copy, content, size, NULL));
    check_whole(m, copy, m->model, after);
    g_unlink(copy);
    block_free(m->n);
    check_whole(m, m->path, m->model, after);
    m->n = open_image(m, false);
    g_assert_cmpint(block_sync(m->n, BLOCK_READ, 0, m->model, m->size), ==, 0);
    return done;
}

static void dying_disk(gconstpointer data)
{
    const Shape *shape = data;
    Image *m = image_new(shape);
    static const BlockSnapshotOp ops[] = {SNAPSHOT_CREATE, SNAPSHOT_APPLY, SNAPSHOT_DELETE};
    for (unsigned i = 0; i < 3 && shape->cluster >= 16384; i++) {
        g_autofree uint8_t *after = g_malloc(m->size);
        for (int requests = 0;; requests++) {
            Kept k = {0};
            random_round(m, false);
            if (ops[i] != SNAPSHOT_CREATE) {
                while (snapshot(m, SNAPSHOT_DELETE, "name 0", NULL))
                    ;
                take(m, &k, 0);
                memcpy(after, m->model, m->size);
                random_round(m, false);
            }
            g_assert_cmpint(block_sync(m->n, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
            bool done = try_to(m, ops[i], requests, ops[i] == SNAPSHOT_APPLY ? after : m->model);
            g_free(k.name);
            g_free(k.content);
            if (done)
                break;
        }
        compare(m);
    }
    image_free(m);
}

static void resizing(gconstpointer data)
{
    Image *m = image_new(data);
    static const uint64_t sizes[] = {SIZE + 512, 2 * SIZE, SIZE / 2 - 1024, SIZE / 4, SIZE + SIZE / 2, SIZE};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GError) error = NULL;
        for (unsigned k = 0; k < 20; k++)
            random_round(m, false);
        block_resize(m->n, sizes[i], PREALLOC_MODE_OFF, &error);
        g_assert_no_error(error);
        if (sizes[i] > m->size)
            memset(m->model + m->size, 0, sizes[i] - m->size);
        m->size = sizes[i];
        compare(m);
        reopen(m);
    }
    image_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        static const struct { const char *name; GTestDataFunc fn; } tests[] = {
            {"random", random_requests}, {"discard", random_discards}, {"crash", crash}, {"resize", resizing},
            {"snapshots", snapshots}, {"dying", dying_disk},
        };
        for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path = g_strdup_printf("/qcow2/%s/%s", tests[k].name, shapes[i].name);
            g_test_add_data_func(path, &shapes[i], tests[k].fn);
        }
    }
    return g_test_run();
}
