/* SPDX-License-Identifier: Apache-2.0 */
/* Events: from wherever they happen to every monitor, with the rate limits of the schema. */
#ifndef QAPI_EVENT_H
#define QAPI_EVENT_H

#include "qapi/command.h"

typedef struct QapiEvent {
    const char *name;
    const QapiType *args; /* NULL: none */
    unsigned rate;        /* at most one in so many milliseconds; 0: no limit */
    const char *rate_key; /* the limit counts for each value of this argument, or NULL */
    const char *const *features;
} QapiEvent;

extern const QapiEvent qapi_events[];
extern const size_t qapi_events_count;

/* The events of one Vm: who listens, and what is held back. The Vm owns one. */
typedef struct QapiHub QapiHub;
/* Gets the whole message with its time stamp, borrowed, on the thread where the event happened or,
 * for one that was held back, on that of the hub's context. Must not emit events itself. */
typedef void QapiEventSink(void *opaque, Json *message);

/* Timers run in `context` (NULL: the default one). */
QapiHub *qapi_hub_new(GMainContext *context);
void qapi_hub_free(QapiHub *hub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QapiHub, qapi_hub_free)
/* After qapi_hub_remove() has returned, the sink is not called any more. Any thread. */
void qapi_hub_add(QapiHub *hub, QapiEventSink *sink, void *opaque);
void qapi_hub_remove(QapiHub *hub, QapiEventSink *sink, void *opaque);
/* Sends an event; `args` may be NULL. Any thread. */
void qapi_hub_emit(QapiHub *hub, const QapiEvent *event, Json *args);

/* Before the machine exists only the commands with QAPI_PRECONFIG may run. Any thread. */
void qapi_hub_set_preconfig(QapiHub *hub, bool preconfig);
bool qapi_hub_preconfig(QapiHub *hub);

/* The hub of a machine; defined where Vm is. NULL: events go nowhere. */
QapiHub *vm_qapi_hub(Vm *vm);

/* For generated code: `args` is the C struct that event->args describes. */
void qapi_event_emit(Vm *vm, const QapiEvent *event, const void *args);

#endif
