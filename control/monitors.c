/* SPDX-License-Identifier: Apache-2.0 */
/* Monitors on chardevs: the stream's bytes in, the monitor's answers out. */
#include "control/hmp-monitor.h"
#include "control/monitors.h"
#include "control/qmp-monitor.h"
#include "core/backend.h"
#include "util/error.h"

enum { MAX_FDS = 16 };

typedef struct QmpOnChardev {
    CharFrontend fe;
    QmpMonitor *monitor;
    Object *thread;             /* that the stream lives on; NULL: the control thread */
    GError *failed;             /* of attach() */
} QmpOnChardev;

static void qmp_write(void *opaque, const char *data, size_t n)
{
    char_write_all(&((QmpOnChardev *)opaque)->fe, data, n);
}

static void qmp_resume(void *opaque) { char_accept_input(&((QmpOnChardev *)opaque)->fe); }

static unsigned qmp_room(void *opaque) { return qmp_monitor_room(((QmpOnChardev *)opaque)->monitor); }

static void qmp_read(void *opaque, const uint8_t *buf, unsigned n)
{
    QmpOnChardev *q = opaque;
    int fds[MAX_FDS];
    unsigned n_fds = char_take_fds(&q->fe, fds, MAX_FDS);
    qmp_monitor_feed(q->monitor, (const char *)buf, n, fds, n_fds);
}

static void qmp_event(void *opaque, CharEvent event)
{
    QmpOnChardev *q = opaque;
    if (event == CHAR_EVENT_OPENED)
        qmp_monitor_opened(q->monitor);
    else if (event == CHAR_EVENT_CLOSED)
        qmp_monitor_closed(q->monitor);
}

/* ---- QMP streams live on a thread of their own, so that out-of-band commands always get through ---- */

static Object *monitor_thread(Vm *vm, GError **error)
{
    Object *thread = object_child(vm->backends, "mon_iothread");
    if (thread)
        return thread;
    thread = object_new(vm, object_type_find("iothread"));
    object_add_child(vm->backends, "mon_iothread", thread);
    return object_complete(thread, error) ? thread : NULL;
}

static void attach(void *data)
{
    QmpOnChardev *q = data;
    if (!char_attach(&q->fe, q->fe.chr, &q->failed))
        q->fe.chr = NULL;
}

static void detach(void *data) { char_detach(&((QmpOnChardev *)data)->fe); }

/* Before the monitor exists, which offers out-of-band commands only there. */
static bool settle(QmpOnChardev *q, Vm *vm, Chardev *chr, GError **error)
{
    Object *thread = monitor_thread(vm, error);
    if (!thread)
        return false;
    if (!chardev_frontend_open(chr) && chardev_move(chr, iothread_loop(thread))) {
        object_ref(thread);
        q->thread = thread;
    }
    return true;
}

static void qmp_free(gpointer data)
{
    QmpOnChardev *q = data;
    Chardev *chr = q->fe.chr;
    if (chr) {
        loop_call(chardev_loop(chr), detach, q);
        chardev_move(chr, ((Object *)chr)->vm->loop);
    }
    qmp_monitor_free(q->monitor);
    if (q->thread)
        object_unref(q->thread);
    g_clear_error(&q->failed);
    g_free(q);
}

typedef struct HmpOnChardev {
    CharFrontend fe;
    HmpMonitor *monitor;
    bool shared;                /* on a mux: says nothing until it is given the terminal */
} HmpOnChardev;

static void hmp_write(void *opaque, const char *data, size_t n)
{
    char_write_all(&((HmpOnChardev *)opaque)->fe, data, n);
}

static unsigned hmp_room(void *opaque) { return 4096; }

static void hmp_read(void *opaque, const uint8_t *buf, unsigned n)
{
    hmp_monitor_feed(((HmpOnChardev *)opaque)->monitor, (const char *)buf, n);
}

static void hmp_event(void *opaque, CharEvent event)
{
    HmpOnChardev *h = opaque;
    if (event == CHAR_EVENT_OPENED)
        hmp_monitor_opened(h->monitor);
    if (event == CHAR_EVENT_FOCUS_IN || (event == CHAR_EVENT_OPENED && !h->shared))
        hmp_monitor_show(h->monitor);
}

static void hmp_free(gpointer data)
{
    HmpOnChardev *h = data;
    char_detach(&h->fe);
    hmp_monitor_free(h->monitor);
    g_free(h);
}

/* What the Vm owns: freed with the object under which it hangs. */
typedef struct MonitorObject {
    Object object;
    QmpOnChardev *qmp;          /* one of the two */
    HmpOnChardev *hmp;
} MonitorObject;

static void monitor_removing(Object *o)
{
    MonitorObject *m = (MonitorObject *)o;
    g_clear_pointer(&m->qmp, qmp_free);
    g_clear_pointer(&m->hmp, hmp_free);
}

static const ObjectType monitor_type = {
    .name = "monitor-on-chardev", .size = sizeof(MonitorObject), .removing = monitor_removing,
};
OBJECT_TYPE(monitor_type);

static MonitorObject *new_object(Vm *vm)
{
    MonitorObject *m = (MonitorObject *)object_new(vm, &monitor_type);
    object_add_child(vm->backends, "monitor[*]", &m->object);
    return m;
}

static bool new_hmp(Vm *vm, Chardev *chr, GError **error)
{
    HmpOnChardev *h = g_new0(HmpOnChardev, 1);
    h->fe = (CharFrontend){.can_read = hmp_room, .read = hmp_read, .event = hmp_event, .opaque = h};
    h->shared = object_is_a((Object *)chr, "chardev-mux");
    h->monitor = hmp_monitor_new(vm, hmp_write, h);
    if (!char_attach(&h->fe, chr, error)) {
        hmp_monitor_free(h->monitor);
        g_free(h);
        return false;
    }
    new_object(vm)->hmp = h;
    return true;
}

bool monitor_new(Vm *vm, Chardev *chr, MonitorMode mode, GError **error)
{
    if (mode == MONITOR_HMP)
        return new_hmp(vm, chr, error);
    QmpOnChardev *q = g_new0(QmpOnChardev, 1);
    static const QmpStream stream = {.write = qmp_write, .resume = qmp_resume};
    if (!settle(q, vm, chr, error)) {
        qmp_free(q);
        return false;
    }
    q->monitor = qmp_monitor_new(vm, &stream, q, (mode == MONITOR_QMP_PRETTY ? QMP_PRETTY : 0) |
                                                     (q->thread ? 0 : QMP_NO_OOB));
    q->fe = (CharFrontend){.chr = chr, .can_read = qmp_room, .read = qmp_read, .event = qmp_event, .opaque = q};
    loop_call(chardev_loop(chr), attach, q);
    if (q->failed) {
        g_propagate_error(error, g_steal_pointer(&q->failed));
        qmp_free(q);
        return false;
    }
    new_object(vm)->qmp = q;
    return true;
}
