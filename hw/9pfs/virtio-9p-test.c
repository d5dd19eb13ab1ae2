/* SPDX-License-Identifier: Apache-2.0 */
/* 9P messages as a driver sends them; links that lead out, wrong fids, short messages. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "hw/9pfs/local.h"
#include "tests/lib/virtio-guest.h"

enum { RLERROR = 7, BUFFER = 8192, LOPEN = 12, LCREATE = 14, SYMLINK = 16, UNLINKAT = 76, VERSION = 100,
       ATTACH = 104, WALK = 110, READ = 116, WRITE = 118, CLUNK = 120 };

typedef struct Rig {
    VirtioGuest *g;
    char *folder;
    GByteArray *m;              /* the message that is being built */
    uint8_t answer[BUFFER];
} Rig;

static void put(Rig *r, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(r->m, (uint8_t *)&v, n);
}

static void put_text(Rig *r, const char *s)
{
    put(r, strlen(s), 2);
    g_byte_array_append(r->m, (const uint8_t *)s, (unsigned)strlen(s));
}

static void begin(Rig *r, uint8_t type)
{
    g_byte_array_set_size(r->m, 0);
    put(r, 0, 4);
    put(r, type, 1);
    put(r, 77, 2);
}

/* Sends it; 0 or the error's number. */
static uint32_t send_message(Rig *r)
{
    uint64_t pa = virtio_guest_room(r->g, r->m->len), in = virtio_guest_room(r->g, BUFFER);
    uint32_t size = GUINT32_TO_LE(r->m->len), error;
    uint8_t type = r->m->data[4];
    GuestUsed u;
    memcpy(r->m->data, &size, 4);
    virtio_guest_poke(r->g, pa, r->m->data, r->m->len);
    virtio_guest_offer(r->g, 0, (GuestBuffer[]){{pa, r->m->len, false}, {in, BUFFER, true}}, 2);
    virtio_guest_kick(r->g, 0);
    virtio_guest_step(r->g);
    g_assert_true(virtio_guest_used(r->g, 0, &u));
    virtio_guest_peek(r->g, in, r->answer, BUFFER);
    g_assert_cmpuint(r->answer[5], ==, 77);
    if (r->answer[4] == RLERROR) {
        memcpy(&error, r->answer + 7, 4);
        return GUINT32_FROM_LE(error);
    }
    g_assert_cmpuint(r->answer[4], ==, type + 1);
    return 0;
}

static uint32_t version(Rig *r)
{
    begin(r, VERSION);
    put(r, 8192, 4);
    put_text(r, "9P2000.L");
    return send_message(r);
}

static uint32_t attach(Rig *r, uint32_t fid)
{
    begin(r, ATTACH);
    put(r, fid, 4);
    put(r, UINT32_MAX, 4);
    put_text(r, "root");
    put_text(r, "");
    put(r, 0, 4);
    return send_message(r);
}

static uint32_t walk(Rig *r, uint32_t fid, uint32_t to, const char *name)
{
    begin(r, WALK);
    put(r, fid, 4);
    put(r, to, 4);
    put(r, name ? 1 : 0, 2);
    if (name)
        put_text(r, name);
    return send_message(r);
}

static uint32_t on_fid(Rig *r, uint8_t type, uint32_t fid, uint32_t flags)
{
    begin(r, type);
    put(r, fid, 4);
    put(r, flags, 4);
    return send_message(r);
}

static void rig_open(Rig *r, const char *readonly)
{
    g_autoptr(GError) error = NULL;
    TestDevice *t = test_machine();
    r->folder = g_dir_make_tmp("myna-9p-XXXXXX", NULL);
    r->m = g_byte_array_new();
    const char *props[] = {"path", r->folder, "security_model", "none", "readonly", readonly, NULL};
    g_assert_nonnull(object_add_user(t->vm, "fsdev-local", "fs", props, &error));
    r->g = virtio_guest_on(t, "virtio-9p-device", "fsdev", "fs", "mount_tag", "tag", NULL);
    g_assert_true(virtio_guest_start(r->g, 1, 1));
    g_assert_cmpuint(walk(r, 1, 2, NULL), ==, EPROTO);  /* not before the version is agreed on */
    g_assert_cmpuint(version(r), ==, 0);
    g_assert_cmpuint(attach(r, 1), ==, 0);
}

static void rig_close(Rig *r)
{
    g_autofree char *command = g_strdup_printf("rm -rf %s", r->folder);
    virtio_guest_free(r->g);
    g_byte_array_unref(r->m);
    if (system(command))
        g_test_message("%s remains", r->folder);
    g_free(r->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rig, rig_close)

static void test_file(void)
{
    g_auto(Rig) r = {0};
    g_autofree char *text = NULL;
    rig_open(&r, "off");
    g_autofree char *path = g_build_filename(r.folder, "new", NULL);
    g_assert_cmpuint(walk(&r, 1, 2, NULL), ==, 0);
    begin(&r, LCREATE);
    put(&r, 2, 4);
    put_text(&r, "new");
    put(&r, 2, 4);
    put(&r, 0644, 4);
    put(&r, 0, 4);
    g_assert_cmpuint(send_message(&r), ==, 0);
    begin(&r, WRITE);
    put(&r, 2, 4);
    put(&r, 0, 8);
    put(&r, 5, 4);
    g_byte_array_append(r.m, (const uint8_t *)"hello", 5);
    g_assert_cmpuint(send_message(&r), ==, 0);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "hello");
    begin(&r, READ);
    put(&r, 2, 4);
    put(&r, 1, 8);
    put(&r, 100, 4);
    g_assert_cmpuint(send_message(&r), ==, 0);
    g_assert_cmpmem(r.answer + 11, 4, "ello", 4);
    g_assert_cmpuint(on_fid(&r, CLUNK, 2, 0), ==, 0);
    g_assert_cmpuint(on_fid(&r, CLUNK, 2, 0), ==, EBADF);
}

static void test_escapes(void)
{
    g_auto(Rig) r = {0};
    rig_open(&r, "off");
    g_autofree char *link = g_build_filename(r.folder, "link", NULL), *dir = g_build_filename(r.folder, "dir", NULL);
    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    g_assert_cmpint(symlink("/etc", dir), ==, 0);
    g_assert_cmpuint(walk(&r, 1, 2, "../etc"), ==, ENOENT);
    g_assert_cmpuint(walk(&r, 1, 3, ".."), ==, 0);              /* of the root: itself */
    g_assert_cmpuint(walk(&r, 3, 4, "link"), ==, 0);
    g_assert_cmpuint(on_fid(&r, LOPEN, 4, 0), ==, ELOOP);
    g_assert_cmpuint(walk(&r, 1, 5, "dir"), ==, 0);
    g_assert_cmpuint(walk(&r, 5, 6, "passwd"), ==, ENOTDIR);
    begin(&r, LCREATE);
    put(&r, 5, 4);
    put_text(&r, "x");
    put(&r, 1, 4);
    put(&r, 0644, 4);
    put(&r, 0, 4);
    g_assert_cmpuint(send_message(&r), ==, ENOTDIR);
    begin(&r, UNLINKAT);
    put(&r, 1, 4);
    put_text(&r, "dir/passwd");
    put(&r, 0, 4);
    g_assert_cmpuint(send_message(&r), ==, EINVAL);
}

static void test_odd(void)
{
    g_auto(Rig) r = {0};
    rig_open(&r, "on");
    begin(&r, SYMLINK);
    put(&r, 1, 4);
    put_text(&r, "l");
    put_text(&r, "t");
    put(&r, 0, 4);
    g_assert_cmpuint(send_message(&r), ==, EROFS);
    begin(&r, SYMLINK);
    put(&r, 1, 4);
    put(&r, 500, 2);            /* a string that goes on beyond the message */
    g_assert_cmpuint(send_message(&r), ==, EBADF);
    begin(&r, 199);
    g_assert_cmpuint(send_message(&r), ==, EOPNOTSUPP);
    device_type(r.g->card)->restored(r.g->card);
    g_assert_cmpuint(walk(&r, 1, 2, NULL), ==, EIO);
    g_assert_cmpuint(version(&r), ==, 0);
    g_assert_cmpuint(attach(&r, 1), ==, 0);
}

static uint64_t number(FsLocal *fs, dev_t device, ino_t inode)
{
    struct stat st = {.st_dev = device, .st_ino = inode};
    uint64_t path = 0;
    g_assert_cmpint(fs_qid_path(fs, &st, &path), ==, 0);
    return path;
}

/* multidevs=remap: files of several devices, and with inode numbers that leave no room for the device's, have
 * numbers of their own, and always the same ones. */
static void test_numbers(void)
{
    static const ino_t inodes[] = {1, 2, (1ull << 48) - 1, 1ull << 48, 1ull << 48 | 1, 1ull << 63, 1ull << 63 | 1, UINT64_MAX};
    enum { DEVICES = 40, N = G_N_ELEMENTS(inodes) };
    g_autoptr(GError) error = NULL;
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    const char *props[] = {"path", g_get_tmp_dir(), "security_model", "none", "multidevs", "remap", NULL};
    FsLocal *fs = (FsLocal *)object_add_user(t->vm, "fsdev-local", "fs", props, &error);
    struct stat root;
    uint64_t first[DEVICES][N];
    g_assert_no_error(error);
    g_assert_cmpint(stat(g_get_tmp_dir(), &root), ==, 0);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned d = 0; d < DEVICES; d++)
            for (unsigned i = 0; i < N; i++) {
                uint64_t n = number(fs, root.st_dev + d * 0x100, inodes[i]);
                if (round == 0) {
                    first[d][i] = n;
                    g_assert_true(g_hash_table_add(seen, g_memdup2(&n, sizeof(n))));
                }
                g_assert_cmphex(n, ==, first[d][i]);
            }
    g_assert_cmphex(first[0][0], ==, 1);        /* the folder's own device keeps its numbers */
    g_assert_cmphex(first[0][2], ==, inodes[2]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-9p/file", test_file);
    g_test_add_func("/virtio-9p/escapes", test_escapes);
    g_test_add_func("/virtio-9p/odd", test_odd);
    g_test_add_func("/virtio-9p/numbers", test_numbers);
    return g_test_run();
}
