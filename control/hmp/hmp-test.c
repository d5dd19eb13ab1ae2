/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the human monitor. */
#include <string.h>

#include "control/hmp-monitor.h"
#include "control/hmp.h"
#include "qapi/event.h"
#include "util/fdstore.h"

typedef struct Fixture {
    Vm vm;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->vm.loop = loop_new();
    f->vm.fds = fd_store_new();
}

static void tear_down(Fixture *f, gconstpointer data)
{
    fd_store_free(f->vm.fds);
    loop_free(f->vm.loop);
}

static void check(Fixture *f, const char *line, const char *expected)
{
    g_autofree char *out = hmp_run(&f->vm, NULL, line);
    g_assert_cmpstr(out, ==, expected);
}

static void test_print(Fixture *f, gconstpointer data)
{
    check(f, "p 1+2*3", "0x7\r\n");
    check(f, "p (1+2)*3-0x10", "0xfffffffffffffff9\r\n");
    check(f, "p/d 3-5", "-2\r\n");
    check(f, "print/u ~0", "18446744073709551615\r\n");
    check(f, "p/c 'A'", "'A'\r\n");
    check(f, "p/o 8", "010\r\n");
    check(f, "p 1/0", "division by zero\r\nTry \"help print\" for more information\r\n");
    check(f, "p (1", "')' expected\r\nTry \"help print\" for more information\r\n");
    check(f, "p x", "invalid char 'x' in expression\r\n"
                    "Try \"help print\" for more information\r\n");
    check(f, "p", "unexpected end of expression\r\nTry \"help print\" for more information\r\n");
    check(f, "p $rax", "No CPU available\r\nTry \"help print\" for more information\r\n");
}

static void test_lines(Fixture *f, gconstpointer data)
{
    check(f, "", "");
    check(f, "  # a remark", "");
    check(f, "foo", "unknown command: 'foo'\r\n");
    check(f, "info versoin", "unknown command: 'info versoin'\r\ndid you mean 'info version'?\r\n");
    check(f, "info version", "11.0.0Myna " MYNA_VERSION "\r\n");
    check(f, "info version x", "info version: extraneous characters at the end of line\r\n"
                               "Try \"help info version\" for more information\r\n");
    check(f, "help memsave", "memsave addr size file [cpu] -- save to disk virtual memory dump "
                             "starting at 'addr' of size 'size'\r\n");
    check(f, "closefd \"a b\"", "Error: File descriptor named 'a b' not found\r\n");
    check(f, "closefd \"a", "unterminated string\r\nTry \"help closefd\" for more information\r\n");
    check(f, "trace-event n maybe",
          "Expected 'on' or 'off'\r\nTry \"help trace-event\" for more information\r\n");
    check(f, "info fdsets", "");
    check(f, "cpu 3", "Error: invalid CPU index 3; there are 0 CPUs\r\n");
}

static void test_value(Fixture *f, gconstpointer data)
{
    Hmp hmp = { &f->vm, NULL, g_string_new(NULL) };
    g_autoptr(Json) value = json_parse("{'a':1,'b':[1,2],'c':{'d':'x'},'e':[{'f':true},{'g':null}]}",
                                       NULL);

    hmp_print_value(&hmp, value);
    g_assert_cmpstr(hmp.out->str, ==, "a: 1\nb: 1 2\nc:\n  d: x\ne:\n  f: true\n\n  g: null\n");
    g_string_free(hmp.out, TRUE);
}

static void test_complete(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) commands = hmp_complete("pmems");
    g_autoptr(GPtrArray) items = hmp_complete("info vers");

    g_assert_cmpuint(commands->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(commands, 0), ==, "pmemsave");
    g_assert_cmpuint(items->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(items, 0), ==, "version");
}

static void on_write(void *opaque, const char *data, size_t length)
{
    g_string_append_len(opaque, data, length);
}

static void type(HmpMonitor *m, GString *out, const char *keys, const char *expected)
{
    g_string_truncate(out, 0);
    hmp_monitor_feed(m, keys, strlen(keys));
    g_assert_cmpstr(out->str, ==, expected);
}

#define PROMPT "\r(qemu) \033[K"

static void test_terminal(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(HmpMonitor) m = hmp_monitor_new(&f->vm, on_write, out);

    hmp_monitor_opened(m);
    hmp_monitor_show(m);
    g_assert_cmpstr(out->str, ==,
                    "QEMU 11.0.0 monitor - type 'help' for more information\r\n" PROMPT);
    type(m, out, "p 1\r\n", "p 1\r\n0x1\r\n" PROMPT);
    type(m, out, "p 2\n", "p 2\r\n0x2\r\n" PROMPT);
    type(m, out, "\033[A", "\r(qemu) p 2\033[K");
    type(m, out, "\020\r", "\r(qemu) p 1\033[K\r\n0x1\r\n" PROMPT);
    type(m, out, "x\177", "x" PROMPT);
    type(m, out, "pmems\t", "pmemsave ");
    type(m, out, "\025", PROMPT);
    type(m, out, "12\002", "12\r(qemu) 12\033[K\033[1D");
    type(m, out, "p \001", "\r(qemu) 1p2\033[K\033[1D\r(qemu) 1p 2\033[K\033[1D"
                           "\r(qemu) 1p 2\033[K\033[4D");
}

/* Each row can be parsed without arguments to some message, and its types are known. */
static void check_row(const HmpCommand *row, void *data)
{
    g_auto(GStrv) specs = g_strsplit(row->args, " ", -1);

    g_assert_nonnull(row->help);
    g_assert_true(row->qmp != NULL || row->run != NULL);
    for (char **spec = specs; *spec != NULL && **spec != '\0'; spec++) {
        const char *type = strchr(*spec, ':');
        g_assert_nonnull(type);
        g_assert_nonnull(strchr("sSblizoO/-", type[1]));
    }
}

static void test_rows(Fixture *f, gconstpointer data)
{
    hmp_foreach(check_row, NULL);
}

#define TEST(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/hmp/print", test_print);
    TEST("/hmp/lines", test_lines);
    TEST("/hmp/value", test_value);
    TEST("/hmp/complete", test_complete);
    TEST("/hmp/terminal", test_terminal);
    TEST("/hmp/rows", test_rows);
    return g_test_run();
}
