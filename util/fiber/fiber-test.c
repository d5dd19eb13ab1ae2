/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include "util/fiber.h"

static GString *said;
static Fiber *waiting[2];

static void talk(void *name)
{
    g_string_append_printf(said, "%s1 ", (char *)name);
    waiting[*(char *)name - 'a'] = fiber_self();
    fiber_wait();
    g_string_append_printf(said, "%s2 ", (char *)name);
}

static void interleave(void)
{
    said = g_string_new(NULL);
    fiber_start(talk, "a");
    fiber_start(talk, "b");
    g_assert_null(fiber_self());
    fiber_resume(waiting[0]);
    fiber_resume(waiting[1]);
    g_assert_cmpstr(said->str, ==, "a1 b1 a2 b2 ");
    g_string_free(said, true);
}

static int depth;

static void nest(void *data)
{
    if (++depth < 50)
        fiber_start(nest, NULL);
}

static void many(void)
{
    for (int i = 0; i < 1000; i++) {
        depth = 0;
        fiber_start(nest, NULL);
        g_assert_cmpint(depth, ==, 50);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fiber/interleave", interleave);
    g_test_add_func("/fiber/many", many);
    return g_test_run();
}
