/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of JSON values, printer and stream parser. */
#include <string.h>

#include "util/json.h"

static void check(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) value = json_parse(text, &error);
    g_assert_no_error(error);
    g_autofree char *printed = json_print(value, false);
    g_assert_cmpstr(printed, ==, expected);
}

static void check_error(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(json_parse(text, &error));
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_values(void)
{
    check("{\"a\":1,'b' : [ ] ,\"c\":{}}", "{\"a\": 1, \"b\": [], \"c\": {}}");
    check("[18446744073709551615, 9223372036854775807, -9223372036854775808]",
          "[18446744073709551615, 9223372036854775807, -9223372036854775808]");
    check("[0.5, 1e3, true, false, null]", "[0.5, 1000, true, false, null]");
    check("'\\u00fc\\ud83d\\ude00\\'\"\\n'", "\"\\u00FC\\uD83D\\uDE00'\\\"\\n\"");
    check(" 7 ", "7");
}

static void test_errors(void)
{
    check_error("{'a'}", "JSON parse error, missing : in object pair");
    check_error("{'a':1,}", "JSON parse error, expecting value");
    check_error("{'a':1 'b':2}", "JSON parse error, expected separator in dict");
    check_error("[1 2]", "JSON parse error, expected separator in list");
    check_error("{'a':1,'a':2}", "JSON parse error, duplicate key 'a'");
    check_error("{5:1}", "JSON parse error, key is not a string in object");
    check_error("[nul]", "JSON parse error, invalid keyword 'nul'");
    check_error("[01]", "JSON parse error, stray '01'");
    check_error("'\\x'", "JSON parse error, invalid escape sequence in string");
    check_error("'\xc3'", "JSON parse error, invalid UTF-8 sequence in string");
    check_error("'\\ud800'", "JSON parse error, invalid escape sequence in string");
    check_error("{", "JSON parse error, the text ends too early");
    check_error("", "JSON parse error, expecting value");
    check_error("1 2", "JSON parse error, text follows the value");
}

static void log_value(void *opaque, Json *value, const GError *error)
{
    GString *log = opaque;

    if (value != NULL) {
        json_print_to(log, value, false);
        g_string_append_c(log, '\n');
        json_unref(value);
    } else {
        g_string_append_printf(log, "!%s\n", error->message);
    }
}

static const char stream[] = "{'a':1}{'b':[2]}\n@@@ x {'c':3} {'d'} {'e':4}]7 {'f\n{'g':5}";
static const char stream_log[] = "{\"a\": 1}\n{\"b\": [2]}\n!JSON parse error, stray '@'\n{\"c\": 3}\n"
                                 "!JSON parse error, missing : in object pair\n{\"e\": 4}\n"
                                 "!JSON parse error, expecting value\n7\n"
                                 "!JSON parse error, stray 'f\n'\n{\"g\": 5}\n";

static void test_stream(void)
{
    for (size_t chunk = 1; chunk < sizeof(stream); chunk++) {
        g_autoptr(GString) log = g_string_new(NULL);
        g_autoptr(JsonParser) parser = json_parser_new(log_value, log);
        for (size_t at = 0; at < sizeof(stream) - 1; at += chunk) {
            json_parser_feed(parser, stream + at, MIN(chunk, sizeof(stream) - 1 - at));
        }
        json_parser_end(parser);
        g_assert_cmpstr(log->str, ==, stream_log);
    }
}

static void test_limits(void)
{
    g_autoptr(GString) log = g_string_new(NULL);
    g_autoptr(JsonParser) parser = json_parser_new(log_value, log);

    for (int i = 0; i < 1025; i++) {
        json_parser_feed(parser, "[", 1);
    }
    json_parser_feed(parser, "\n{}", 3);
    g_assert_cmpstr(log->str, ==, "!JSON nesting depth limit exceeded\n{}\n");
}

static void test_objects(void)
{
    g_autoptr(Json) object = json_object();

    for (int i = 0; i < 100; i++) {
        g_autofree char *key = g_strdup_printf("k%d", i);
        json_set(object, key, json_int(i));
    }
    json_set(object, "k7", json_uint(UINT64_MAX));
    g_assert_true(json_remove(object, "k3"));
    g_assert_false(json_remove(object, "k3"));
    uint64_t u;
    int64_t i;
    g_assert_true(json_get_uint(json_get(object, "k7"), &u) && u == UINT64_MAX);
    g_assert_false(json_get_int(json_get(object, "k7"), &i));
    g_assert_true(json_get_int(json_get(object, "k99"), &i) && i == 99);
    g_assert_cmpuint(json_length(object), ==, 99);
    g_autoptr(Json) copy = json_shallow_copy(object);
    g_assert_true(json_equal(copy, object));
}

static void test_pretty(void)
{
    g_autoptr(Json) value = json_parse("{'a':[1,{}],'b':true}", NULL);
    g_autofree char *text = json_print(value, true);
    g_assert_cmpstr(text, ==, "{\n    \"a\": [\n        1,\n        {\n        }\n    ],\n"
                              "    \"b\": true\n}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/values", test_values);
    g_test_add_func("/json/errors", test_errors);
    g_test_add_func("/json/stream", test_stream);
    g_test_add_func("/json/limits", test_limits);
    g_test_add_func("/json/objects", test_objects);
    g_test_add_func("/json/pretty", test_pretty);
    return g_test_run();
}
