/* SPDX-License-Identifier: Apache-2.0 */
/* The event hub. A limited event goes out at once if none did in the last `rate` ms; otherwise the
 * newest one is kept and goes out when that time is over. */
#include <string.h>

#include "qapi/event.h"

typedef struct Sink {
    QapiEventSink *call;
    void *opaque;
} Sink;

/* One limited event (with one value of its key), from its first emission until a quiet period. */
typedef struct Limit {
    QapiHub *hub;
    char *key;
    const QapiEvent *event;
    Json *held; /* the newest message not yet sent, or NULL */
    GSource *timer;
} Limit;

struct QapiHub {
    GRecMutex lock; /* guards all below, and is held while sinks are called */
    gint preconfig;
    GMainContext *context;
    GArray *sinks;      /* of Sink */
    GHashTable *limits; /* key -> Limit */
};

static void limit_free(gpointer data)
{
    Limit *limit = data;

    g_source_destroy(limit->timer);
    g_source_unref(limit->timer);
    json_unref(limit->held);
    g_free(limit->key);
    g_free(limit);
}

QapiHub *qapi_hub_new(GMainContext *context)
{
    QapiHub *hub = g_new0(QapiHub, 1);

    g_rec_mutex_init(&hub->lock);
    hub->context = context != NULL ? g_main_context_ref(context) : NULL;
    hub->sinks = g_array_new(FALSE, FALSE, sizeof(Sink));
    hub->limits = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, limit_free);
    return hub;
}

void qapi_hub_free(QapiHub *hub)
{
    if (hub == NULL) {
        return;
    }
    g_hash_table_unref(hub->limits);
    g_array_unref(hub->sinks);
    g_clear_pointer(&hub->context, g_main_context_unref);
    g_rec_mutex_clear(&hub->lock);
    g_free(hub);
}

void qapi_hub_add(QapiHub *hub, QapiEventSink *call, void *opaque)
{
    Sink sink = { call, opaque };

    g_rec_mutex_lock(&hub->lock);
    g_array_append_val(hub->sinks, sink);
    g_rec_mutex_unlock(&hub->lock);
}

void qapi_hub_remove(QapiHub *hub, QapiEventSink *call, void *opaque)
{
    g_rec_mutex_lock(&hub->lock);
    for (guint i = 0; i < hub->sinks->len; i++) {
        Sink *sink = &g_array_index(hub->sinks, Sink, i);
        if (sink->call == call && sink->opaque == opaque) {
            g_array_remove_index(hub->sinks, i);
            break;
        }
    }
    g_rec_mutex_unlock(&hub->lock);
}

void qapi_hub_set_preconfig(QapiHub *hub, bool preconfig)
{
    g_atomic_int_set(&hub->preconfig, preconfig);
}

bool qapi_hub_preconfig(QapiHub *hub)
{
    return g_atomic_int_get(&hub->preconfig);
}

static void send(QapiHub *hub, Json *message)
{
    for (guint i = 0; i < hub->sinks->len; i++) {
        Sink *sink = &g_array_index(hub->sinks, Sink, i);
        sink->call(sink->opaque, message);
    }
}

static Json *make_message(const QapiEvent *event, Json *args)
{
    Json *message = json_object(), *stamp = json_object();
    int64_t now = g_get_real_time();

    json_set(stamp, "seconds", json_int(now / G_USEC_PER_SEC));
    json_set(stamp, "microseconds", json_int(now % G_USEC_PER_SEC));
    json_set(message, "timestamp", stamp);
    json_set_text(message, "event", event->name);
    if (args != NULL) {
        json_set(message, "data", json_ref(args));
    }
    return message;
}

static gboolean limit_over(gpointer data)
{
    Limit *limit = data;
    QapiHub *hub = limit->hub;
    g_autoptr(Json) message = NULL;

    g_rec_mutex_lock(&hub->lock);
    message = g_steal_pointer(&limit->held);
    if (message == NULL) {
        g_hash_table_remove(hub->limits, limit->key);
    } else {
        send(hub, message);
    }
    g_rec_mutex_unlock(&hub->lock);
    return message != NULL ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static char *limit_key(const QapiEvent *event, const Json *args)
{
    const Json *value = event->rate_key != NULL ? json_get(args, event->rate_key) : NULL;
    g_autofree char *text = value != NULL ? json_print(value, false) : NULL;

    return g_strdup_printf("%s %s", event->name, text != NULL ? text : "");
}

static void start_limit(QapiHub *hub, const QapiEvent *event, char *key)
{
    Limit *limit = g_new0(Limit, 1);

    limit->hub = hub;
    limit->event = event;
    limit->key = key;
    limit->timer = g_timeout_source_new(event->rate);
    g_source_set_callback(limit->timer, limit_over, limit, NULL);
    g_source_attach(limit->timer, hub->context);
    g_hash_table_insert(hub->limits, key, limit);
}

void qapi_hub_emit(QapiHub *hub, const QapiEvent *event, Json *args)
{
    g_autoptr(Json) message = make_message(event, args);
    g_autofree char *key = event->rate > 0 ? limit_key(event, args) : NULL;

    g_rec_mutex_lock(&hub->lock);
    Limit *limit = key != NULL ? g_hash_table_lookup(hub->limits, key) : NULL;
    if (limit != NULL) {
        json_unref(limit->held);
        limit->held = g_steal_pointer(&message);
    } else {
        if (key != NULL) {
            start_limit(hub, event, g_steal_pointer(&key));
        }
        send(hub, message);
    }
    g_rec_mutex_unlock(&hub->lock);
}

void qapi_event_emit(Vm *vm, const QapiEvent *event, const void *args)
{
    QapiHub *hub = vm_qapi_hub(vm);

    if (hub != NULL) {
        g_autoptr(Json) data = event->args != NULL ? qapi_to_json(event->args, args) : NULL;
        qapi_hub_emit(hub, event, data);
    }
}
