/* SPDX-License-Identifier: Apache-2.0 */
/* The table of QMP commands that scripts/qapi-gen.py makes from the schema, and calling them. */
#ifndef QAPI_COMMAND_H
#define QAPI_COMMAND_H

#include "qapi/type.h"

/* A machine; defined in core. */
typedef struct Vm Vm;
/* The client that asks (a monitor), for the few commands that depend on it; see session.h. */
typedef struct QapiSession QapiSession;

enum {
    QAPI_OOB = 1 << 0,       /* may run out of band */
    QAPI_PRECONFIG = 1 << 1, /* may run before the machine exists */
    QAPI_RAW = 1 << 2,       /* the C function takes the arguments as they came */
};

typedef struct QapiCommand {
    const char *name;
    const QapiType *args;    /* NULL: none */
    const QapiType *returns; /* NULL: nothing */
    unsigned flags;
    const char *const *features; /* NULL, or ends with NULL */
    bool (*call)(Vm *vm, QapiSession *session, void *args, Json **result, GError **error);
} QapiCommand;

/* Sorted by name; a row with a NULL name ends it. */
extern const QapiCommand qapi_commands[];
extern const size_t qapi_commands_count;

/* NULL if there is none. */
const QapiCommand *qapi_command_find(const char *name);

/* Checks the arguments (NULL: none), runs the command, and returns its result, `{}` if it has none;
 * NULL and an error if it failed. `session` may be NULL, then the commands that need one fail. */
Json *qapi_command_run(const QapiCommand *command, Vm *vm, QapiSession *session, const Json *args,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same by name. */
Json *qapi_run(Vm *vm, const char *name, const Json *args, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* For generated code: turns a C result into JSON. */
bool qapi_result(const QapiType *type, const void *value, GError *failure, Json **result,
                 GError **error);

/* What query-qmp-schema returns: an array of SchemaInfo, made from the tables. */
Json *qapi_introspect(void);

#endif
