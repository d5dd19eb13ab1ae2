/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for 9P: messages of a hostile guest on a small folder with files, folders and links that
 * lead out. Whatever it says, a file outside of the folder must stay as it is.
 */
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/fuzz/fuzz.h"
#include "tests/lib/virtio-guest.h"

enum { MAX_OPS = 60, BUFFER = 2048, FIDS = 6 };

static const char *const names[] = {"a", "d", "out", "outdir", "f", "..", ".", "", "a/b", "user.x", "secret",
                                    "../secret"};

typedef struct Message {
    uint8_t bytes[512];
    unsigned n;
} Message;

static void put(Message *m, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    memcpy(m->bytes + m->n, &v, n);
    m->n += n;
}

static void put_name(Message *m, FuzzInput *in)
{
    const char *s = names[fuzz_int(in, 1) % G_N_ELEMENTS(names)];
    put(m, strlen(s), 2);
    memcpy(m->bytes + m->n, s, strlen(s));
    m->n += (unsigned)strlen(s);
}

/* Arguments by kind: f a fid, s a name, 1 2 4 8 a number, S a small one. */
static const struct { uint8_t type; const char *shape; } kinds[] = {
    {8, "f"}, {12, "fS"}, {14, "fsSSS"}, {16, "fssS"}, {18, "fsSSSS"}, {22, "f"}, {24, "f8"}, {26, "fSSSS8888"},
    {30, "ffs"}, {32, "fs8S"}, {40, "f84"}, {50, "fS"}, {52, "f1488Ss"}, {54, "f188Ss"}, {70, "ffs"},
    {72, "fsSS"}, {74, "fsfs"}, {76, "fsS"}, {100, "4s"}, {104, "ffssS"}, {108, "2"}, {110, "ff2ss"},
    {110, "ff2s"}, {110, "ff2"}, {116, "f84"}, {118, "f84s"}, {120, "f"}, {122, "f"}, {6, "8"}};

static void build(Message *m, FuzzInput *in)
{
    unsigned k = (unsigned)fuzz_int(in, 1) % G_N_ELEMENTS(kinds);
    *m = (Message){.n = 7};
    for (const char *p = kinds[k].shape; *p; p++) {
        uint64_t small = fuzz_int(in, 1);
        if (*p == 'f')
            put(m, small % FIDS, 4);
        else if (*p == 's')
            put_name(m, in);
        else if (*p == 'S')
            put(m, small * 16 + small % 7, 4);
        else if (*p == '2')
            put(m, strlen(p) - 1, 2);
        else
            put(m, small & 0x80 ? fuzz_int(in, 8) : small, (unsigned)(*p - '0'));
    }
    unsigned cut = (unsigned)fuzz_int(in, 1);
    uint32_t size = GUINT32_TO_LE(cut > 250 ? cut * 7777 : cut > 240 ? m->n - cut % 8 : m->n);
    memcpy(m->bytes, &size, 4);
    m->bytes[4] = kinds[k].type;
}

static void ask(VirtioGuest *g, const Message *m, uint64_t pa)
{
    GuestUsed u;
    virtio_guest_poke(g, pa, m->bytes, m->n);
    virtio_guest_offer(g, 0, (GuestBuffer[]){{pa, m->n, false}, {pa + 512, BUFFER, true}}, 2);
    virtio_guest_kick(g, 0);
    virtio_guest_step(g);
    virtio_guest_used(g, 0, &u);
}

static char *make_folder(void)
{
    char *top = g_dir_make_tmp("myna-fuzz-XXXXXX", NULL);
    g_autofree char *shared = g_build_filename(top, "shared", NULL), *a = g_build_filename(shared, "a", NULL);
    g_autofree char *d = g_build_filename(shared, "d", NULL), *out = g_build_filename(shared, "out", NULL);
    g_autofree char *outdir = g_build_filename(shared, "outdir", NULL);
    g_autofree char *secret = g_build_filename(top, "secret", NULL);
    g_mkdir(shared, 0755);
    g_mkdir(d, 0755);
    if (!g_file_set_contents(secret, "secret", -1, NULL) || !g_file_set_contents(a, "content", -1, NULL) ||
        symlink(secret, out) || symlink(top, outdir))
        g_assert_not_reached();
    return top;
}

static void check_and_remove(const char *top)
{
    g_autofree char *secret = g_build_filename(top, "secret", NULL), *text = NULL;
    g_autofree char *command = g_strdup_printf("chmod -R u+rwx %s && rm -rf %s", top, top);
    struct stat st;
    g_assert_true(g_file_get_contents(secret, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "secret");
    g_assert_cmpint(stat(secret, &st), ==, 0);
    g_assert_cmpuint(st.st_nlink, ==, 1);
    if (system(command))
        g_assert_not_reached();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"none", "mapped-xattr", "mapped-file", "mapped-file"};
    FuzzInput in = {data, size};
    g_autoptr(GError) error = NULL;
    g_autofree char *top = make_folder(), *shared = g_build_filename(top, "shared", NULL);
    TestDevice *t = test_machine();
    const char *props[] = {"path", shared, "security_model", models[fuzz_int(&in, 1) & 3], NULL};
    g_assert_nonnull(object_add_user(t->vm, "fsdev-local", "fs", props, &error));
    VirtioGuest *g = virtio_guest_on(t, "virtio-9p-device", "fsdev", "fs", "mount_tag", "t", NULL);
    g_assert_true(virtio_guest_start(g, 1, 1));
    uint64_t pa = virtio_guest_room(g, 512 + BUFFER);
    static const uint8_t version[] = {21, 0, 0, 0, 100, 0, 0, 0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};
    static const uint8_t attach[] = {25, 0, 0, 0, 104, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 0, 'u', 0, 0, 0, 0,
                                     0, 0, 0};
    Message m = {.n = sizeof(version)};
    memcpy(m.bytes, version, sizeof(version));
    ask(g, &m, pa);
    m.n = sizeof(attach);
    memcpy(m.bytes, attach, sizeof(attach));
    ask(g, &m, pa);
    for (unsigned n = 0; in.left && n < MAX_OPS && !((VirtioDevice *)g->card)->broken; n++) {
        build(&m, &in);
        ask(g, &m, pa);
    }
    virtio_guest_free(g);
    check_and_remove(top);
    return 0;
}

const char *const fuzz_words[] = { NULL };
