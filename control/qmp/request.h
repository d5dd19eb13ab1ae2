/* SPDX-License-Identifier: Apache-2.0 */
/* One request of a QMP client, and the response to it. */
#ifndef CONTROL_QMP_REQUEST_H
#define CONTROL_QMP_REQUEST_H

#include "qapi/command.h"

typedef struct QmpRequest {
    GError *error;    /* what is wrong with it, or NULL */
    Json *id;         /* NULL: none */
    char *name;       /* of the command */
    Json *arguments;  /* NULL: none */
    bool oob;         /* exec-oob */
    unsigned client;  /* who sent it */
    GArray *fds;      /* of int; descriptors that came with it */
} QmpRequest;

/* From a parsed value (taken over), or the parser's error. `may_oob`: exec-oob was negotiated. */
QmpRequest *qmp_request_new(Json *value, const GError *error, bool may_oob, unsigned client);
void qmp_request_free(QmpRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpRequest, qmp_request_free)

/* The command it names, if that exists and may run so. */
const QapiCommand *qmp_request_command(const QmpRequest *request, GError **error);

/* The message with `result` (taken over) or the error. */
Json *qmp_response(const QmpRequest *request, Json *result, const GError *error);

/* A list of descriptors that closes those it is freed with; -1 is skipped. */
GArray *qmp_fds_new(void);

#endif
