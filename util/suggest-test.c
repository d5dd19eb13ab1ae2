/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of errors and of the nearest names. */
#include "util/error.h"
#include "util/suggest.h"

static const char *const backends[] = { "file", "null", "pipe", "pty",   "ringbuf",
                                        "mux",  "udp",  "stdio", "socket", NULL };

static void check(const char *given, const char *expected)
{
    g_autofree char *nearest = suggest_nearest(given, backends);
    g_assert_cmpstr(nearest, ==, expected);
}

static void test_nearest(void)
{
    check("scoket", "'socket'");
    check("Stdio", "'stdio'");
    check("ring", "'ringbuf'");
    check("fil", "'file'");
    check("zzzzzz", NULL);
    check("", NULL);
}

static void test_errors(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(error_set_errno(&error, ENOENT, "Could not open '%s'", "x"));
    g_assert_cmpstr(error->message, ==, "Could not open 'x': No such file or directory");
    g_assert_cmpstr(myna_error_class(error), ==, "GenericError");
    suggest_append(&error, "pipes", backends);
    g_assert_true(g_str_has_suffix(error->message, "; did you mean 'pipe'?"));
    g_clear_error(&error);
    error_set_class(&error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", "x");
    g_assert_cmpstr(myna_error_class(error), ==, "DeviceNotFound");
    error_set(NULL, "nobody listens");
    error_append(NULL, "still nobody");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/suggest/nearest", test_nearest);
    g_test_add_func("/error/classes", test_errors);
    return g_test_run();
}
