/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the command line's syntax. */
#include "qapi/keyval.h"

static void check(const char *text, const char *implied, KeyvalFlags flags, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = keyval_parse(text, implied, flags, &error);
    g_assert_no_error(error);
    g_autofree char *printed = json_print(json, false);
    g_assert_cmpstr(printed, ==, expected);
}

static void check_error(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(keyval_parse(text, NULL, KEYVAL_PLAIN, &error));
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_plain(void)
{
    check("", NULL, KEYVAL_PLAIN, "{}");
    check("a=b,c.d=e,c.f=g", NULL, KEYVAL_PLAIN,
          "{\"a\": \"b\", \"c\": {\"d\": \"e\", \"f\": \"g\"}}");
    check("l.0=x,l.1=y,l.2.z=1", NULL, KEYVAL_PLAIN, "{\"l\": [\"x\", \"y\", {\"z\": \"1\"}]}");
    check("socket,server,path=a,,b=c", "type", KEYVAL_PLAIN,
          "{\"type\": \"socket\", \"server\": \"on\", \"path\": \"a,b=c\"}");
    check("a=1,a=2", NULL, KEYVAL_PLAIN, "{\"a\": \"2\"}");
    check("a=", NULL, KEYVAL_PLAIN, "{\"a\": \"\"}");
    check("host,", "type", KEYVAL_PLAIN, "{\"type\": \"host\"}");
    check("q35,?", "type", KEYVAL_PLAIN, "{\"type\": \"q35\", \"help\": \"on\"}");
    check("help", "type", KEYVAL_PLAIN, "{\"help\": \"on\"}");
}

static void test_legacy(void)
{
    check("user,hostfwd=a,hostfwd=b,id=x", "type", KEYVAL_LEGACY,
          "{\"type\": \"user\", \"hostfwd\": [\"a\", \"b\"], \"id\": \"x\"}");
    check("server,nowait,file.locking=off", NULL, KEYVAL_LEGACY,
          "{\"server\": \"on\", \"wait\": \"off\", \"file.locking\": \"off\"}");
}

static void test_errors(void)
{
    check_error("a.b=1,a=2", "Parameters 'a' and 'a.*' exclude each other");
    check_error("a=2,a.b=1", "Parameters 'a.b' and 'a.*' exclude each other");
    check_error("a.1=x", "Parameter 'a.0' is missing in the list 'a'");
    check_error("a.0=x,a.b=y", "Parameter 'a.0' is missing in the list 'a'");
    check_error("=x", "Expected a parameter name before '='");
    check_error("a..b=x", "Invalid parameter 'a..b'");
}

static void check_size(const char *text, uint64_t expected)
{
    uint64_t bytes;
    g_assert_true(keyval_size(text, &bytes));
    g_assert_cmpuint(bytes, ==, expected);
}

static void test_sizes(void)
{
    uint64_t bytes;

    check_size("0", 0);
    check_size("64k", 64 << 10);
    check_size("1.5G", UINT64_C(3) << 29);
    check_size("0x1000", 4096);
    check_size("18446744073709551615", UINT64_MAX);
    check_size("512B", 512);
    g_assert_false(keyval_size("16E", &bytes));
    g_assert_false(keyval_size("-1", &bytes));
    g_assert_false(keyval_size("1.5", &bytes));
    g_assert_false(keyval_size("1q", &bytes));
    g_assert_false(keyval_size("1kk", &bytes));
    g_assert_false(keyval_size("", &bytes));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/plain", test_plain);
    g_test_add_func("/keyval/legacy", test_legacy);
    g_test_add_func("/keyval/errors", test_errors);
    g_test_add_func("/keyval/sizes", test_sizes);
    return g_test_run();
}
