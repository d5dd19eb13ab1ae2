/* SPDX-License-Identifier: Apache-2.0 */
/* Monitors on chardevs: the stream's bytes in, the monitor's answers out. */
#include "control/monitors.h"
#include "control/qmp-monitor.h"
#include "util/error.h"

enum { MAX_FDS = 16 };

typedef struct QmpOnChardev {
    CharFrontend fe;
    QmpMonitor *monitor;
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

static void qmp_free(gpointer data)
{
    QmpOnChardev *q = data;
    char_detach(&q->fe);
    qmp_monitor_free(q->monitor);
    g_free(q);
}

/* What the Vm owns: freed with the object under which it hangs. */
typedef struct MonitorObject {
    Object object;
    QmpOnChardev *qmp;
} MonitorObject;

static void monitor_removing(Object *o)
{
    MonitorObject *m = (MonitorObject *)o;
    g_clear_pointer(&m->qmp, qmp_free);
}

static const ObjectType monitor_type = {
    .name = "monitor-on-chardev", .size = sizeof(MonitorObject), .removing = monitor_removing,
};
OBJECT_TYPE(monitor_type);

bool monitor_new(Vm *vm, Chardev *chr, MonitorMode mode, GError **error)
{
    if (mode == MONITOR_HMP)
        return error_set(error, "the human monitor is not implemented yet; use -qmp");
    QmpOnChardev *q = g_new0(QmpOnChardev, 1);
    static const QmpStream stream = {.write = qmp_write, .resume = qmp_resume};
    q->fe = (CharFrontend){.can_read = qmp_room, .read = qmp_read, .event = qmp_event, .opaque = q};
    q->monitor = qmp_monitor_new(vm, &stream, q, mode == MONITOR_QMP_PRETTY ? QMP_PRETTY : 0);
    if (!char_attach(&q->fe, chr, error)) {
        qmp_monitor_free(q->monitor);
        g_free(q);
        return false;
    }
    MonitorObject *m = (MonitorObject *)object_new(vm, &monitor_type);
    m->qmp = q;
    object_add_child(vm->backends, "monitor[*]", &m->object);
    return true;
}
