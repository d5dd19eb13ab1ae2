/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of user-made objects: life, errors, each type. */
#include <string.h>
#include <unistd.h>

#include "core/backend.h"
#include "core/testing.h"

static Object *add(TestDevice *t, const char *type, const char *id, const char *const *props)
{
    g_autoptr(GError) error = NULL;
    Object *o = object_add_user(t->vm, type, id, props, &error);

    g_assert_no_error(error);
    return o;
}

static void fails(TestDevice *t, const char *type, const char *id, const char *const *props,
                  const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(object_add_user(t->vm, type, id, props, &error));
    g_assert_cmpstr(error->message, ==, text);
}

#define PROPS(...) (const char *const[]){__VA_ARGS__, NULL}

static void errors(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;

    fails(t, "iothraed", "io", NULL, "invalid object type: iothraed; did you mean 'iothread'?");
    fails(t, "iothread", "1o", NULL,
          "'1o' is not a valid id: letters, digits, '-', '.' and '_', beginning with a letter");
    fails(t, "container", "x", NULL, "object type 'container' is not for -object or object-add");
    fails(t, "memory-backend-ram", "m", NULL,
          "memory-backend-ram: property 'size' is required: Size of the memory region (ex: 500M)");
    fails(t, "memory-backend-ram", "m", PROPS("size", "lots"),
          "property 'memory-backend-ram.size' takes a size such as 4096, 64K, 512M or 1G, "
          "not 'lots'");
    add(t, "iothread", "io", NULL);
    fails(t, "iothread", "io", NULL, "there is an object with id 'io' already");
    g_assert_true(object_del_user(t->vm, "io", &error));
    g_assert_false(object_del_user(t->vm, "io", &error));
    g_assert_cmpstr(error->message, ==, "object 'io' not found");
}

static void memory(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("%s/myna-mem-%d", g_get_tmp_dir(), (int)getpid());
    Object *m = add(t, "memory-backend-file", "mem", PROPS("size", "0x200000", "mem-path", path,
                                                         "share", "on"));
    MemRegion *r = memory_backend_take(m, &error);

    g_assert_cmphex(mem_size(r), ==, 2 << 20);
    mem_add(t->vm->memory_root, 0x1000000, r, 0);
    g_assert_true(as_write(t->vm->memory, 0x1000000, "hello", 6));
    g_assert_null(memory_backend_take(m, &error));
    g_clear_error(&error);
    g_assert_false(object_del_user(t->vm, "mem", &error));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "hello");
    unlink(path);
    add(t, "memory-backend-memfd", "m2", PROPS("size", "1M", "prealloc", "yes"));
    add(t, "memory-backend-ram", "m3", PROPS("size", "1.5G"));
    g_assert_true(object_del_user(t->vm, "m3", NULL));
}

static void note_thread(void *data)
{
    *(Loop **)data = loop_current();
}

static void iothread(void)
{
    g_autoptr(TestDevice) t = test_machine();
    Object *io = add(t, "iothread", "io1", PROPS("poll-max-ns", "0"));
    Loop *seen = NULL;

    loop_call(iothread_loop(io), note_thread, &seen);
    g_assert_true(seen == iothread_loop(io));
    g_assert_cmpint(iothread_tid(io), !=, (int)gettid());
    g_assert_true(object_set_string(io, "poll-max-ns", "5", NULL));
    g_assert_false(object_set_string(io, "poll-max-ns", "-5", NULL));
    PropValue v = {0};
    g_assert_true(object_get(io, "poll-max-ns", &v, NULL));
    g_assert_cmpint(v.i, ==, 5);
}

static unsigned got;

static void on_random(RngRequest *r, const void *data, size_t n)
{
    got += n;
}

static void rng(void)
{
    g_autoptr(TestDevice) t = test_machine();
    Object *kinds[] = {
        add(t, "rng-builtin", "r1", NULL),
        add(t, "rng-random", "r2", PROPS("filename", "/dev/urandom")),
    };
    fails(t, "rng-random", "r3", PROPS("filename", "/nonexistent"),
          "cannot open '/nonexistent' for random numbers: No such file or directory");
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        RngRequest r = {.n = 64, .fn = on_random}, gone = r;
        got = 0;
        rng_request(kinds[i], &gone);
        rng_cancel(&gone);
        rng_request(kinds[i], &r);
        while (!got) {
            loop_step(t->loop, true);
        }
        g_assert_cmpuint(got, ==, 64);
    }
}

static void secret(void)
{
    g_autoptr(TestDevice) t = test_machine();
    size_t n;

    add(t, "secret", "s", PROPS("data", "c2VjcmV0", "format", "base64"));
    g_autofree char *text = secret_get(t->vm, "s", &n, NULL);
    g_assert_cmpstr(text, ==, "secret");
    g_assert_cmpuint(n, ==, 6);
    g_assert_null(secret_get(t->vm, "none", &n, NULL));
    /* AES-256-CBC of "password" by the key 0, 1 … 31 and the vector 0, 1 … 15. */
    add(t, "secret", "key", PROPS("data", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "format", "base64"));
    add(t, "secret", "inner", PROPS("data", "WmS3TwV2u4ktKAxIx1qGgA==", "format", "base64", "keyid", "key", "iv",
                                    "AAECAwQFBgcICQoLDA0ODw=="));
    g_autofree char *inner = secret_get(t->vm, "inner", &n, NULL);
    g_assert_cmpstr(inner, ==, "password");
    g_assert_cmpuint(n, ==, 8);
    fails(t, "secret", "s2", NULL, "secret 's2' takes one of 'data' and 'file'");
    fails(t, "secret", "s2", PROPS("data", "x", "format", "base64"),
          "secret 's2' is not valid base64");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backends/errors", errors);
    g_test_add_func("/backends/memory", memory);
    g_test_add_func("/backends/iothread", iothread);
    g_test_add_func("/backends/rng", rng);
    g_test_add_func("/backends/secret", secret);
    return g_test_run();
}
