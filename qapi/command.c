/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and running QMP commands. */
#include <stdlib.h>
#include <string.h>

#include "qapi/command.h"
#include "util/error.h"
#include "util/suggest.h"

static int compare(const void *name, const void *command)
{
    return strcmp(name, ((const QapiCommand *)command)->name);
}

const QapiCommand *qapi_command_find(const char *name)
{
    return bsearch(name, qapi_commands, qapi_commands_count, sizeof(QapiCommand), compare);
}

static bool no_arguments(const Json *args, GError **error)
{
    if (json_type(args) != JSON_OBJECT) {
        return error_set(error, "Invalid parameter type for 'arguments', expected: object");
    }
    return json_length(args) == 0 ||
           error_set(error, "Parameter '%s' is unexpected", json_key_at(args, 0));
}

Json *qapi_command_run(const QapiCommand *command, Vm *vm, QapiSession *session, const Json *args,
                       GError **error)
{
    g_autoptr(Json) given = args != NULL ? json_ref((Json *)args) : json_object();
    Json *result = NULL;
    bool ok;

    if (command->args == NULL) {
        ok = no_arguments(given, error) && command->call(vm, session, given, &result, error);
    } else if (command->flags & QAPI_RAW) {
        ok = command->call(vm, session, given, &result, error);
    } else {
        void *value = qapi_from_json(command->args, given, QAPI_STRICT, error);
        ok = value != NULL && command->call(vm, session, value, &result, error);
        qapi_free(command->args, value);
    }
    if (!ok) {
        return NULL;
    }
    return result != NULL ? result : json_object();
}

Json *qapi_run(Vm *vm, const char *name, const Json *args, GError **error)
{
    const QapiCommand *command = qapi_command_find(name);

    if (command == NULL) {
        error_set_class(error, MYNA_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found",
                        name);
        return NULL;
    }
    return qapi_command_run(command, vm, NULL, args, error);
}

bool qapi_result(const QapiType *type, const void *value, GError *failure, Json **result,
                 GError **error)
{
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    *result = qapi_to_json(type, value);
    return true;
}
