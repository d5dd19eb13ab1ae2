/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of QMP conversations, in the shapes that libvirt and Kata use. */
#include <string.h>
#include <unistd.h>

#include "control/qmp-monitor.h"
#include "qapi/event.h"
#include "qapi/qapi-types-control.h"
#include "util/fdstore.h"

typedef struct Talk {
    Vm vm;
    QmpMonitor *monitor;
    GMutex lock;
    GCond came;
    GString *out;
} Talk;

static void on_write(void *opaque, const char *data, size_t length)
{
    Talk *t = opaque;

    g_mutex_lock(&t->lock);
    g_string_append_len(t->out, data, length);
    g_cond_signal(&t->came);
    g_mutex_unlock(&t->lock);
}

static const QmpStream stream = { .write = on_write };

static Talk *talk_new(QmpMonitorFlags flags)
{
    Talk *t = g_new0(Talk, 1);

    g_mutex_init(&t->lock);
    g_cond_init(&t->came);
    t->out = g_string_new(NULL);
    t->vm.loop = loop_new();
    t->vm.qapi = qapi_hub_new(loop_context(t->vm.loop));
    t->vm.fds = fd_store_new();
    t->monitor = qmp_monitor_new(&t->vm, &stream, t, flags);
    return t;
}

static void talk_free(Talk *t)
{
    qmp_monitor_free(t->monitor);
    qapi_hub_free(t->vm.qapi);
    fd_store_free(t->vm.fds);
    loop_free(t->vm.loop);
    g_string_free(t->out, TRUE);
    g_mutex_clear(&t->lock);
    g_cond_clear(&t->came);
    g_free(t);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Talk, talk_free)

static void settle(Talk *t)
{
    while (loop_step(t->vm.loop, false)) {
    }
}

/* Compares what was sent, all of it, and forgets it. */
static void expect(Talk *t, const char *text)
{
    settle(t);
    g_assert_cmpstr(t->out->str, ==, text);
    g_string_truncate(t->out, 0);
}

static void say(Talk *t, const char *text)
{
    qmp_monitor_feed(t->monitor, text, strlen(text), NULL, 0);
}

static void ask(Talk *t, const char *request, const char *answer)
{
    g_autofree char *line = g_strconcat(answer, "\r\n", NULL);

    say(t, request);
    expect(t, line);
}

#define GREETING                                                                                  \
    "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 11, \"minor\": 0, \"micro\": 0}, "            \
    "\"package\": \"Myna " MYNA_VERSION "\"}, \"capabilities\": [\"oob\"]}}\r\n"

static void begin(Talk *t)
{
    qmp_monitor_opened(t->monitor);
    expect(t, GREETING);
    ask(t, "{\"execute\":\"qmp_capabilities\"}", "{\"return\": {}}");
}

static void test_session(void)
{
    g_autoptr(Talk) t = talk_new(0);

    qmp_monitor_opened(t->monitor);
    expect(t, GREETING);
    ask(t, "{'execute':'query-version','id':1}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting capabilities "
        "negotiation with 'qmp_capabilities'\"}, \"id\": 1}");
    ask(t, "{\"execute\":\"qmp_capabilities\",\"id\":\"libvirt-1\"}\r\n",
        "{\"return\": {}, \"id\": \"libvirt-1\"}");
    ask(t, "{'execute':'qmp_capabilities','id':{'a':[1,2]}}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities negotiation is "
        "already complete, command ignored\"}, \"id\": {\"a\": [1, 2]}}");
    ask(t, "{'execute':'query-fdsets'}", "{\"return\": []}");
    ask(t, "{'execute':'query-versio'}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command query-versio has not "
        "been found; did you mean 'query-version'?\"}}");
    qmp_monitor_closed(t->monitor);
    begin(t);
}

#define GENERIC(text) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" text "\"}}"

static void test_errors(void)
{
    g_autoptr(Talk) t = talk_new(0);

    begin(t);
    ask(t, "[1]", GENERIC("QMP input must be a JSON object"));
    ask(t, "5 ", GENERIC("QMP input must be a JSON object"));
    ask(t, "{'execute':5}", GENERIC("QMP input member 'execute' must be a string"));
    ask(t, "{}", GENERIC("QMP input lacks member 'execute'"));
    ask(t, "{'execute':'query-version','x':1}", GENERIC("QMP input member 'x' is unexpected"));
    ask(t, "{'exec-oob':'query-version'}", GENERIC("QMP input member 'exec-oob' is unexpected"));
    ask(t, "{'execute':'query-version','arguments':[]}",
        GENERIC("QMP input member 'arguments' must be an object"));
    ask(t, "{'execute':'query-version','arguments':{'x':1}}",
        GENERIC("Parameter 'x' is unexpected"));
    ask(t, "{'execute':'getfd'}", GENERIC("Parameter 'fdname' is missing"));
    ask(t, "{'execute':'getfd','arguments':{'fdname':'x'}}",
        GENERIC("No file descriptor supplied via SCM_RIGHTS"));
    ask(t, "{'execute':nul}", GENERIC("JSON parse error, invalid keyword 'nul'"));
    say(t, "{'execute':'query-fdsets'");
    expect(t, "");
}

/* Replies come in the order of the requests, whatever the pieces. */
static void test_chunks(void)
{
    static const char text[] = "{\"execute\":\"query-fdsets\",\"id\":1}{'execute':'closefd','id':2,"
                               "'arguments':{'fdname':'x'}} {]{\"execute\":\"query-fdsets\"}";
    for (size_t chunk = 1; chunk < sizeof(text); chunk += 7) {
        g_autoptr(Talk) t = talk_new(0);
        begin(t);
        for (size_t i = 0; i < sizeof(text) - 1; i += chunk) {
            qmp_monitor_feed(t->monitor, text + i, MIN(chunk, sizeof(text) - 1 - i), NULL, 0);
        }
        expect(t, "{\"return\": [], \"id\": 1}\r\n"
                  "{\"error\": {\"class\": \"GenericError\", \"desc\": \"File descriptor named 'x' "
                  "not found\"}, \"id\": 2}\r\n" GENERIC("JSON parse error, key is not a string in object") "\r\n"
                  "{\"return\": []}\r\n");
    }
}

static void test_descriptors(void)
{
    g_autoptr(Talk) t = talk_new(0);
    static const char add[] = "{\"execute\":\"add-fd\",\"arguments\":{\"opaque\":\"kata\"}}";
    static const char get[] = "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"fd0\"}}";
    int fds[] = { dup(1), dup(1) };
    g_autofree char *added = NULL, *listed = NULL;

    begin(t);
    qmp_monitor_feed(t->monitor, add, strlen(add), fds, 1);
    added = g_strdup_printf("{\"return\": {\"fdset-id\": 0, \"fd\": %d}}\r\n", fds[0]);
    expect(t, added);
    qmp_monitor_feed(t->monitor, get, strlen(get), fds + 1, 1);
    expect(t, "{\"return\": {}}\r\n");
    listed = g_strdup_printf("{\"return\": [{\"fdset-id\": 0, \"fds\": [{\"fd\": %d, \"opaque\": "
                             "\"kata\"}]}]}",
                             fds[0]);
    ask(t, "{'execute':'query-fdsets'}", listed);
    ask(t, "{'execute':'remove-fd','arguments':{'fdset-id':0}}", "{\"return\": {}}");
    ask(t, "{'execute':'closefd','arguments':{'fdname':'fd0'}}", "{\"return\": {}}");
    ask(t, "{'execute':'remove-fd','arguments':{'fdset-id':3}}",
        GENERIC("File descriptor named 'fdset-id:3' not found"));
}

static void test_pretty(void)
{
    g_autoptr(Talk) t = talk_new(QMP_PRETTY);

    qmp_monitor_opened(t->monitor);
    settle(t);
    g_string_truncate(t->out, 0);
    ask(t, "{'execute':'qmp_capabilities'}", "{\r\n    \"return\": {\r\n    }\r\n}");
}

/* While the main thread is stuck, a client still gets answers out of band. */
static void test_oob(void)
{
    g_autoptr(Talk) t = talk_new(0);

    qmp_monitor_opened(t->monitor);
    expect(t, GREETING);
    ask(t, "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}", "{\"return\": {}}");
    say(t, "{'execute':'query-fdsets','id':1}"); /* waits, as nobody runs the loop */
    say(t, "{'exec-oob':'query-version','id':2}");
    g_assert_nonnull(strstr(t->out->str, "\"id\": 2}"));
    g_string_truncate(t->out, 0);
    say(t, "{'exec-oob':'query-fdsets','id':3}");
    expect(t, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"The command query-fdsets does not "
              "support OOB\"}, \"id\": 3}\r\n{\"return\": [], \"id\": 1}\r\n");
}

static void test_room(void)
{
    g_autoptr(Talk) t = talk_new(0);

    begin(t);
    for (int i = 0; i < 8; i++) {
        g_assert_cmpuint(qmp_monitor_room(t->monitor), >, 0);
        say(t, "{'execute':'query-fdsets'}");
    }
    g_assert_cmpuint(qmp_monitor_room(t->monitor), ==, 0);
    settle(t);
    g_assert_cmpuint(qmp_monitor_room(t->monitor), >, 0);
}

static void count(void *opaque, Json *message)
{
    g_string_append_printf(opaque, "%s ", json_get_text(message, "event"));
}

static const QapiEvent *event_find(const char *name)
{
    for (const QapiEvent *e = qapi_events; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0) {
            return e;
        }
    }
    g_assert_not_reached();
}

static void test_events(void)
{
    g_autoptr(Talk) t = talk_new(0);
    g_autoptr(Json) args = json_parse("{'id':'p','open':true}", NULL);
    g_autoptr(Json) other = json_parse("{'id':'q','open':true}", NULL);
    g_autoptr(GString) seen = g_string_new(NULL);
    const QapiEvent *change = event_find("VSERPORT_CHANGE");

    qmp_monitor_opened(t->monitor);
    g_string_truncate(t->out, 0);
    qapi_hub_emit(t->vm.qapi, change, args);
    expect(t, ""); /* not before negotiation */
    ask(t, "{'execute':'qmp_capabilities'}", "{\"return\": {}}");
    qapi_hub_add(t->vm.qapi, count, seen);
    qapi_hub_emit(t->vm.qapi, change, args);
    qapi_hub_emit(t->vm.qapi, change, args);
    qapi_hub_emit(t->vm.qapi, change, other);
    g_assert_cmpstr(seen->str, ==, "VSERPORT_CHANGE "); /* p is held, q has its own limit */
    g_assert_true(g_str_has_prefix(t->out->str, "{\"timestamp\": {\"seconds\": "));
    g_assert_true(g_str_has_suffix(t->out->str, "}, \"event\": \"VSERPORT_CHANGE\", \"data\": "
                                                "{\"id\": \"q\", \"open\": true}}\r\n"));
    gint64 end = g_get_monotonic_time() + 3 * G_USEC_PER_SEC;
    while (seen->len < 32 && g_get_monotonic_time() < end) {
        loop_step(t->vm.loop, true);
    }
    g_assert_cmpstr(seen->str, ==, "VSERPORT_CHANGE VSERPORT_CHANGE ");
    qapi_hub_remove(t->vm.qapi, count, seen);
}

/* Clients find members by path, whatever the names of types. */
static const Json *find_entry(const Json *schema, const char *name)
{
    for (size_t i = 0; i < json_length(schema); i++) {
        if (g_strcmp0(json_get_text(json_at(schema, i), "name"), name) == 0) {
            return json_at(schema, i);
        }
    }
    g_assert_not_reached();
}

static void test_schema(void)
{
    g_autoptr(Json) schema = qapi_introspect();
    const Json *add = find_entry(schema, "add-fd");
    const Json *args = find_entry(schema, json_get_text(add, "arg-type"));
    const Json *members = json_get(args, "members");
    g_autofree char *text = json_print(members, false);

    g_assert_cmpstr(text, ==, "[{\"name\": \"fdset-id\", \"type\": \"int\", \"default\": null}, "
                              "{\"name\": \"opaque\", \"type\": \"str\", \"default\": null}]");
    for (size_t i = 0; i < json_length(schema); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SchemaInfo) info = schema_info_from_json(json_at(schema, i), &error);
        g_assert_no_error(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/session", test_session);
    g_test_add_func("/qmp/errors", test_errors);
    g_test_add_func("/qmp/chunks", test_chunks);
    g_test_add_func("/qmp/descriptors", test_descriptors);
    g_test_add_func("/qmp/pretty", test_pretty);
    g_test_add_func("/qmp/oob", test_oob);
    g_test_add_func("/qmp/room", test_room);
    g_test_add_func("/qmp/events", test_events);
    g_test_add_func("/qmp/schema", test_schema);
    return g_test_run();
}
