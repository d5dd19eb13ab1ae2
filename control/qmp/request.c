/* SPDX-License-Identifier: Apache-2.0 */
/* QMP requests: {"execute": NAME, "arguments": {…}, "id": ANY} (QMP specification 2.3). */
#include <string.h>
#include <unistd.h>

#include "control/qmp/request.h"
#include "util/error.h"
#include "util/suggest.h"

static void close_fd(gpointer data)
{
    if (*(int *)data >= 0) {
        close(*(int *)data);
    }
}

GArray *qmp_fds_new(void)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));

    g_array_set_clear_func(fds, close_fd);
    return fds;
}

static bool read_name(QmpRequest *r, const char *key, const Json *value)
{
    if (r->name != NULL) {
        return error_set(&r->error, "QMP input members 'execute' and 'exec-oob' exclude each other");
    }
    if (json_text(value) == NULL) {
        return error_set(&r->error, "QMP input member '%s' must be a string", key);
    }
    r->name = g_strdup(json_text(value));
    r->oob = strcmp(key, "exec-oob") == 0;
    return true;
}

static bool read_arguments(QmpRequest *r, Json *value)
{
    if (json_type(value) != JSON_OBJECT) {
        return error_set(&r->error, "QMP input member 'arguments' must be an object");
    }
    r->arguments = json_ref(value);
    return true;
}

static bool read_member(QmpRequest *r, const char *key, Json *value, bool may_oob)
{
    if (strcmp(key, "execute") == 0 || (may_oob && strcmp(key, "exec-oob") == 0)) {
        return read_name(r, key, value);
    }
    if (strcmp(key, "arguments") == 0) {
        return read_arguments(r, value);
    }
    return strcmp(key, "id") == 0 || error_set(&r->error, "QMP input member '%s' is unexpected", key);
}

static void read_object(QmpRequest *r, Json *object, bool may_oob)
{
    Json *id = json_get(object, "id");

    r->id = id != NULL ? json_ref(id) : NULL;
    for (size_t i = 0; i < json_length(object); i++) {
        if (!read_member(r, json_key_at(object, i), json_at(object, i), may_oob)) {
            return;
        }
    }
    if (r->name == NULL) {
        error_set(&r->error, "QMP input lacks member 'execute'");
    }
}

QmpRequest *qmp_request_new(Json *value, const GError *error, bool may_oob, unsigned client)
{
    QmpRequest *r = g_new0(QmpRequest, 1);

    r->client = client;
    r->fds = qmp_fds_new();
    if (value == NULL) {
        r->error = g_error_copy(error);
    } else if (json_type(value) != JSON_OBJECT) {
        error_set(&r->error, "QMP input must be a JSON object");
    } else {
        read_object(r, value, may_oob);
    }
    json_unref(value);
    return r;
}

void qmp_request_free(QmpRequest *r)
{
    if (r != NULL) {
        g_clear_error(&r->error);
        json_unref(r->id);
        json_unref(r->arguments);
        g_array_unref(r->fds);
        g_free(r->name);
        g_free(r);
    }
}

static void no_such_command(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    error_set_class(error, MYNA_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    for (size_t i = 0; i < qapi_commands_count; i++) {
        g_ptr_array_add(names, (char *)qapi_commands[i].name);
    }
    g_ptr_array_add(names, NULL);
    suggest_append(error, name, (const char *const *)names->pdata);
}

const QapiCommand *qmp_request_command(const QmpRequest *r, GError **error)
{
    const QapiCommand *command = qapi_command_find(r->name);

    if (command == NULL) {
        no_such_command(r->name, error);
        return NULL;
    }
    if (r->oob && !(command->flags & QAPI_OOB)) {
        error_set(error, "The command %s does not support OOB", r->name);
        return NULL;
    }
    return command;
}

Json *qmp_response(const QmpRequest *r, Json *result, const GError *error)
{
    Json *message = json_object();

    if (error != NULL) {
        Json *object = json_object();
        json_set_text(object, "class", myna_error_class(error));
        json_set_text(object, "desc", error->message);
        json_set(message, "error", object);
    } else {
        json_set(message, "return", result);
    }
    if (r->id != NULL) {
        json_set(message, "id", json_ref(r->id));
    }
    return message;
}
