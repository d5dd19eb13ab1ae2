/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of descriptors passed in. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/fdstore.h"

static void test_named(void)
{
    g_autoptr(FdStore) store = fd_store_new();
    g_autoptr(GError) error = NULL;

    g_assert_true(fd_store_put(store, "migrate", dup(1), &error));
    g_assert_false(fd_store_put(store, "1x", 1, &error));
    g_clear_error(&error);
    int fd = fd_store_take(store, "migrate", &error);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpint(fd_store_take(store, "migrate", &error), ==, -1);
    g_assert_cmpstr(error->message, ==, "File descriptor named 'migrate' not found");
    g_assert_cmpint(fd_store_take(store, "1", NULL), ==, 1);
    g_assert_cmpint(fd_store_take(store, "999999", NULL), ==, -1);
    g_assert_false(fd_store_close(store, "x", NULL));
}

static void note(int64_t set, int fd, const char *opaque, void *data)
{
    g_string_append_printf(data, "%d:%s ", (int)set, opaque != NULL ? opaque : "-");
}

static void test_sets(void)
{
    g_autoptr(FdStore) store = fd_store_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    int read_only = open("/dev/zero", O_RDONLY);
    char bytes[4] = "abc";

    g_assert_cmpint(fd_store_add(store, 2, read_only, "two", NULL), ==, 2);
    g_assert_cmpint(fd_store_add(store, -1, dup(1), NULL, NULL), ==, 0);
    g_assert_cmpint(fd_store_add(store, -1, dup(1), "one", NULL), ==, 1);
    fd_store_foreach(store, note, text);
    g_assert_cmpstr(text->str, ==, "0:- 1:one 2:two ");

    int fd = fd_store_open(store, "/dev/fdset/2", O_RDONLY, 0, &error);
    g_assert_no_error(error);
    g_assert_true(fd_store_remove(store, 2, read_only, &error));
    g_assert_cmpint(read(fd, bytes, 4), ==, 4);
    g_assert_cmpint(bytes[0], ==, 0);
    close(fd);
    g_assert_false(fd_store_remove(store, 2, -1, &error));
    g_assert_cmpstr(error->message, ==, "File descriptor named 'fdset-id:2' not found");
    g_clear_error(&error);
    g_assert_cmpint(fd_store_open(store, "/dev/fdset/7", O_RDWR, 0, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "no such set"));
    g_clear_error(&error);
    fd_store_add(store, 5, open("/dev/null", O_RDONLY), NULL, NULL);
    g_assert_cmpint(fd_store_open(store, "/dev/fdset/5", O_RDWR, 0, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "reading and writing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdstore/named", test_named);
    g_test_add_func("/fdstore/sets", test_sets);
    return g_test_run();
}
