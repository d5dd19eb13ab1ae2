/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the commands on the object tree. */
#include <string.h>

#include "core/testing.h"
#include "qapi/qapi-commands.h"

static const ObjectPropertyInfo *named(const ObjectPropertyInfoList *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i]->name, name) == 0) {
            return list->items[i];
        }
    }
    return NULL;
}

static void objects(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) args = json_parse("{'qom-type': 'iothread', 'id': 'io', 'poll-max-ns': 7}", NULL);

    g_assert_true(qmp_object_add(t->vm, args, &error));
    g_autoptr(ObjectPropertyInfoList) list = qmp_qom_list(t->vm, "/objects", &error);
    g_assert_cmpstr(named(list, "io")->type, ==, "child<iothread>");
    g_autoptr(Json) got = qmp_qom_get(t->vm, "io", "poll-max-ns", &error);
    g_autofree char *text = json_print(got, false);
    g_assert_cmpstr(text, ==, "7");
    g_autoptr(Json) nine = json_int(9);
    g_assert_true(qmp_qom_set(t->vm, "/objects/io", "poll-max-ns", nine, &error));
    g_autoptr(IOThreadInfoList) threads = qmp_query_iothreads(t->vm, &error);
    g_assert_cmpuint(threads->count, ==, 1);
    g_assert_cmpint(threads->items[0]->poll_max_ns, ==, 9);
    g_assert_false(qmp_qom_set(t->vm, "io", "poll-max", nine, &error));
    g_assert_nonnull(strstr(error->message, "did you mean 'poll-max-ns'"));
    g_clear_error(&error);
    g_assert_null(qmp_qom_get(t->vm, "/nothing", "type", &error));
    g_assert_cmpstr(error->message, ==, "Device '/nothing' not found");
    g_clear_error(&error);
    g_assert_true(qmp_object_del(t->vm, "io", &error));
    g_assert_false(qmp_object_del(t->vm, "io", &error));
}

static void types(void)
{
    g_autoptr(TestDevice) t = test_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(ObjectTypeInfoList) some = qmp_qom_list_types(t->vm, "memory-backend", false, false, NULL);
    g_autoptr(ObjectTypeInfoList) all = qmp_qom_list_types(t->vm, NULL, true, true, NULL);

    g_assert_cmpuint(some->count, ==, 4);
    g_assert_cmpuint(all->count, >, some->count + 5);
    g_autoptr(ObjectPropertyInfoList) props =
        qmp_qom_list_properties(t->vm, "memory-backend-file", &error);
    g_assert_cmpstr(named(props, "size")->type, ==, "size");
    g_assert_nonnull(named(props, "mem-path"));
    g_assert_null(qmp_device_list_properties(t->vm, "memory-backend-file", &error));
    g_clear_error(&error);
    g_assert_null(qmp_device_list_properties(t->vm, "pvpanik", &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/objects", objects);
    g_test_add_func("/qmp/types", types);
    return g_test_run();
}
