/* SPDX-License-Identifier: Apache-2.0 */
/* A QMP session: greeting, negotiation, requests, replies, events (QMP protocol specification).
 *
 * Requests are parsed on the stream's thread and wait in a queue for the main thread; a parse
 * error waits there too, so that replies come in the order of what was sent. */
#include <string.h>
#include <unistd.h>

#include "control/qmp-monitor.h"
#include "control/qmp/request.h"
#include "control/session.h"
#include "qapi/event.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/version.h"

enum { QUEUE_MAX = 8, CHUNK = 4096 };

struct QmpMonitor {
    QapiSession session;
    Vm *vm;
    const QmpStream *stream;
    void *opaque;
    QmpMonitorFlags flags;

    /* The stream's thread. */
    JsonParser *parser;

    GMutex lock;            /* guards what follows */
    GQueue queue;           /* of QmpRequest */
    GSource *drain;         /* runs queued requests on the main thread; NULL: none are there */
    GArray *arrived;        /* descriptors that came with the request at hand */
    bool connected, negotiated, oob;
    unsigned client;        /* counts the clients; a reply to an earlier one is dropped */

    GArray *fds;            /* descriptors of the request that runs (main thread) */
    GMutex output;          /* taken last; keeps messages whole and in order */
};

/* ---- output ---- */

static void send(QmpMonitor *m, const Json *message)
{
    g_autofree char *text = json_print(message, m->flags & QMP_PRETTY);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *joined = g_strjoinv("\r\n", lines);
    g_autofree char *out = g_strconcat(joined, "\r\n", NULL);

    g_mutex_lock(&m->output);
    m->stream->write(m->opaque, out, strlen(out));
    g_mutex_unlock(&m->output);
}

/* Sends a reply, unless its client has gone. Takes it over. */
static void reply(QmpMonitor *m, unsigned client, Json *message)
{
    g_mutex_lock(&m->lock);
    bool wanted = m->connected && m->client == client;
    g_mutex_unlock(&m->lock);
    if (wanted) {
        send(m, message);
    }
    json_unref(message);
}

static void on_event(void *opaque, Json *message)
{
    QmpMonitor *m = opaque;

    g_mutex_lock(&m->lock);
    bool wanted = m->connected && m->negotiated;
    g_mutex_unlock(&m->lock);
    if (wanted) {
        send(m, message);
    }
}

static void greet(QmpMonitor *m)
{
    g_autoptr(Json) message = json_object();
    Json *qmp = json_object(), *capabilities = json_array();
    Json *version = qapi_run(m->vm, "query-version", NULL, NULL);

    json_set(qmp, "version", version);
    if (!(m->flags & QMP_NO_OOB)) {
        json_append(capabilities, json_string("oob"));
    }
    json_set(qmp, "capabilities", capabilities);
    json_set(message, "QMP", qmp);
    send(m, message);
}

/* ---- running requests ---- */

static Json *run(QmpMonitor *m, QmpRequest *request, const QapiCommand **command_out,
                 GError **error)
{
    const QapiCommand *command = qmp_request_command(request, error);

    if (command == NULL) {
        return NULL;
    }
    bool negotiating = strcmp(command->name, "qmp_capabilities") == 0;
    g_mutex_lock(&m->lock);
    bool negotiated = m->negotiated;
    g_mutex_unlock(&m->lock);
    if (!negotiated && !negotiating) {
        error_set_class(error, MYNA_ERROR_COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (negotiated && negotiating) {
        error_set_class(error, MYNA_ERROR_COMMAND_NOT_FOUND,
                        "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    if (!(command->flags & QAPI_PRECONFIG) && qapi_hub_preconfig(m->vm->qapi)) {
        error_set(error, "The command '%s' isn't permitted in 'preconfig' state", command->name);
        return NULL;
    }
    *command_out = command;
    return qapi_command_run(command, m->vm, &m->session, request->arguments, error);
}

static void execute(QmpMonitor *m, QmpRequest *request)
{
    g_autoptr(GError) error = NULL;
    const QapiCommand *command = NULL;
    Json *result = request->error == NULL ? run(m, request, &command, &error) : NULL;

    if (result == NULL && error == NULL) {
        error = g_steal_pointer(&request->error);
    }
    reply(m, request->client, qmp_response(request, result, error));
}

/* Descriptors that no command took stay for the next one, unless that brings its own. */
static void hand_over_fds(QmpMonitor *m, QmpRequest *request)
{
    if (request->fds->len > 0) {
        g_array_set_size(m->fds, 0);
        g_array_append_vals(m->fds, request->fds->data, request->fds->len);
        g_array_set_clear_func(request->fds, NULL);
        g_array_set_size(request->fds, 0);
    }
}

static QmpRequest *next_request(QmpMonitor *m, bool *more, bool *was_full)
{
    g_mutex_lock(&m->lock);
    *was_full = m->queue.length >= QUEUE_MAX;
    QmpRequest *request = g_queue_pop_head(&m->queue);
    *more = request != NULL;
    if (!*more) {
        g_clear_pointer(&m->drain, g_source_unref);
    }
    g_mutex_unlock(&m->lock);
    return request;
}

/* One request a turn, so that several monitors and the rest of the main loop get theirs. */
static gboolean drain(gpointer data)
{
    QmpMonitor *m = data;
    bool more, was_full;
    g_autoptr(QmpRequest) request = next_request(m, &more, &was_full);

    if (!more) {
        return G_SOURCE_REMOVE;
    }
    hand_over_fds(m, request);
    execute(m, request);
    if (was_full && m->stream->resume != NULL) {
        m->stream->resume(m->opaque);
    }
    return G_SOURCE_CONTINUE;
}

/* To be called with the lock held. */
static void enqueue(QmpMonitor *m, QmpRequest *request)
{
    g_queue_push_tail(&m->queue, request);
    if (m->drain == NULL) {
        m->drain = g_idle_source_new();
        g_source_set_priority(m->drain, G_PRIORITY_DEFAULT);
        g_source_set_callback(m->drain, drain, m, NULL);
        g_source_attach(m->drain, loop_context(m->vm->loop));
    }
}

static void on_value(void *opaque, Json *value, const GError *error)
{
    QmpMonitor *m = opaque;
    bool oob;

    g_mutex_lock(&m->lock);
    QmpRequest *request = qmp_request_new(value, error, m->oob, m->client);
    GArray *fds = request->fds;
    request->fds = m->arrived;
    m->arrived = fds;
    oob = request->oob && request->error == NULL;
    if (!oob) {
        enqueue(m, request);
    }
    g_mutex_unlock(&m->lock);
    if (oob) {
        execute(m, request);
        qmp_request_free(request);
    }
}

/* ---- what commands ask of their session ---- */

static int take_fd(QapiSession *session)
{
    QmpMonitor *m = (QmpMonitor *)session;

    if (m->fds->len == 0) {
        return -1;
    }
    int *first = &g_array_index(m->fds, int, 0), fd = *first;
    *first = -1;
    g_array_remove_index(m->fds, 0);
    return fd;
}

static bool negotiate(QapiSession *session, bool oob, GError **error)
{
    QmpMonitor *m = (QmpMonitor *)session;

    if (oob && (m->flags & QMP_NO_OOB)) {
        return error_set(error, "This monitor does not offer the capability 'oob'");
    }
    g_mutex_lock(&m->lock);
    m->negotiated = true;
    m->oob = oob;
    g_mutex_unlock(&m->lock);
    return true;
}

/* ---- the stream's side ---- */

QmpMonitor *qmp_monitor_new(Vm *vm, const QmpStream *stream, void *opaque, QmpMonitorFlags flags)
{
    QmpMonitor *m = g_new0(QmpMonitor, 1);

    m->session = (QapiSession){ .take_fd = take_fd, .negotiate = negotiate, .cpu_index = -1 };
    m->vm = vm;
    m->stream = stream;
    m->opaque = opaque;
    m->flags = flags;
    m->parser = json_parser_new(on_value, m);
    g_mutex_init(&m->lock);
    g_mutex_init(&m->output);
    g_queue_init(&m->queue);
    m->arrived = qmp_fds_new();
    m->fds = qmp_fds_new();
    qapi_hub_add(vm->qapi, on_event, m);
    return m;
}

void qmp_monitor_free(QmpMonitor *m)
{
    if (m == NULL) {
        return;
    }
    qapi_hub_remove(m->vm->qapi, on_event, m);
    if (m->drain != NULL) {
        g_source_destroy(m->drain);
        g_source_unref(m->drain);
    }
    g_queue_clear_full(&m->queue, (GDestroyNotify)qmp_request_free);
    json_parser_free(m->parser);
    g_array_unref(m->arrived);
    g_array_unref(m->fds);
    g_mutex_clear(&m->lock);
    g_mutex_clear(&m->output);
    g_free(m);
}

void qmp_monitor_opened(QmpMonitor *m)
{
    json_parser_reset(m->parser);
    g_mutex_lock(&m->lock);
    m->client++;
    m->connected = true;
    m->negotiated = m->oob = false;
    g_mutex_unlock(&m->lock);
    greet(m);
}

void qmp_monitor_closed(QmpMonitor *m)
{
    json_parser_reset(m->parser);
    g_mutex_lock(&m->lock);
    m->connected = m->negotiated = m->oob = false;
    g_queue_clear_full(&m->queue, (GDestroyNotify)qmp_request_free);
    g_array_set_size(m->arrived, 0);
    g_mutex_unlock(&m->lock);
}

size_t qmp_monitor_room(QmpMonitor *m)
{
    g_mutex_lock(&m->lock);
    bool full = m->queue.length >= QUEUE_MAX;
    g_mutex_unlock(&m->lock);
    return full ? 0 : CHUNK;
}

void qmp_monitor_feed(QmpMonitor *m, const char *data, size_t length, const int *fds, size_t n_fds)
{
    if (n_fds > 0) {
        g_mutex_lock(&m->lock);
        g_array_append_vals(m->arrived, fds, n_fds);
        g_mutex_unlock(&m->lock);
    }
    json_parser_feed(m->parser, data, length);
}
