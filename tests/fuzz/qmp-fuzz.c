/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target for everything that reads what clients and users type: the JSON stream, QMP requests,
 * the arguments of every command, option strings, human commands. Nothing is executed. */
#include <string.h>

#include "control/hmp/hmp-internal.h"
#include "control/qmp-monitor.h"
#include "control/qmp/request.h"
#include "control/session.h"
#include "qapi/event.h"
#include "qapi/keyval.h"
#include "tests/fuzz/fuzz.h"
#include "util/fdstore.h"

static void drop(void *opaque, const char *data, size_t length)
{
    *(size_t *)opaque += length;
}

/* A client that never negotiates: its requests are read, queued and refused. */
static void monitor_reads(const char *text, size_t size, size_t chunk)
{
    static const QmpStream stream = { .write = drop };
    size_t written = 0;
    Vm vm = { .loop = loop_new() };
    vm.qapi = qapi_hub_new(loop_context(vm.loop));
    vm.fds = fd_store_new();
    QmpMonitor *monitor = qmp_monitor_new(&vm, &stream, &written, 0);

    qmp_monitor_opened(monitor);
    for (size_t i = 0; i < size; i += chunk) {
        qmp_monitor_feed(monitor, text + i, MIN(chunk, size - i), NULL, 0);
    }
    while (loop_step(vm.loop, false)) {
    }
    qmp_monitor_closed(monitor);
    qmp_monitor_free(monitor);
    qapi_hub_free(vm.qapi);
    fd_store_free(vm.fds);
    loop_free(vm.loop);
}

/* What was read as a value of a type is written and read again without a difference. */
static void round_trip(const QapiType *type, const Json *json, QapiInput mode)
{
    void *value = qapi_from_json(type, json, mode, NULL);

    if (value != NULL) {
        g_autoptr(Json) first = qapi_to_json(type, value);
        void *copy = qapi_from_json(type, first, QAPI_STRICT, NULL);
        g_assert_nonnull(copy);
        g_autoptr(Json) second = qapi_to_json(type, copy);
        g_assert_true(json_equal(first, second));
        qapi_free(type, copy);
        qapi_free(type, value);
    }
}

static void on_value(void *opaque, Json *value, const GError *error)
{
    if (value != NULL) {
        g_autofree char *text = json_print(value, false);
        g_autoptr(Json) again = json_parse(text, NULL);
        g_assert_nonnull(again);
    }
    g_autoptr(QmpRequest) request = qmp_request_new(value, error, true, 1);
    const QapiCommand *command =
        request->error == NULL ? qmp_request_command(request, NULL) : NULL;
    if (command != NULL && command->args != NULL && request->arguments != NULL) {
        round_trip(command->args, request->arguments, QAPI_STRICT);
    }
    json_unref(qmp_response(request, json_object(), NULL));
}

static void parser_reads(const char *text, size_t size)
{
    g_autoptr(JsonParser) parser = json_parser_new(on_value, NULL);

    json_parser_feed(parser, text, size);
    json_parser_end(parser);
}

static void options_read(const char *text, KeyvalFlags flags)
{
    g_autoptr(Json) json = keyval_parse(text, "type", flags, NULL);

    for (size_t i = 0; json != NULL && i < qapi_commands_count; i++) {
        if (qapi_commands[i].args != NULL) {
            round_trip(qapi_commands[i].args, json, QAPI_KEYVAL);
        }
    }
}

static void human_reads(const char *text)
{
    Vm vm = { 0 };
    QapiSession session = { .cpu_index = -1 };
    Hmp hmp = { &vm, &session, g_string_new(NULL) };
    const char *rest, *line = text + strspn(text, " \t");
    const HmpCommand *row = hmp_find(line, &rest);
    g_autoptr(Json) args = row != NULL ? hmp_read_args(&hmp, row, rest, NULL) : NULL;
    g_autoptr(GPtrArray) words = hmp_complete(line);

    g_string_free(hmp.out, TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);

    switch (*data % 4) {
    case 0:
        monitor_reads((const char *)data + 1, size - 1, 1 + *data / 4);
        break;
    case 1:
        parser_reads((const char *)data + 1, size - 1);
        break;
    case 2:
        options_read(text, *data & 4 ? KEYVAL_LEGACY : KEYVAL_PLAIN);
        break;
    default:
        human_reads(text);
        break;
    }
    return 0;
}

const char *const fuzz_words[] = {
    "{", "}", "[", "]", ":", ",", "\"", "'", "\\u00fc", "\\ud83d\\ude00", "\\", "\n", " ", "=", ".",
    "'execute':", "'exec-oob':", "'arguments':", "'id':", "'qmp_capabilities'", "'query-version'",
    "'add-fd'", "'fdset-id':", "'human-monitor-command'", "'command-line':", "'memsave'", "'val':",
    "'size':", "18446744073709551615", "-9223372036854775808", "1e308", "-1", "0", "true", "false",
    "null", "nul", "type", "on", "off", "a.b=c", "l.0=x", "l.1=y", ",,", "help", "?", "p ", "x/4xb ",
    "info ", "registers -a", "(", ")", "~", "$rax", "memsave ", "trace-event ", "1G", "0x10",
    "{'execute':'add-fd','arguments':{'fdset-id':1,'opaque':'x'}}", NULL,
};
