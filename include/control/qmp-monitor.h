/* SPDX-License-Identifier: Apache-2.0 */
/* A QMP monitor: one client at a time over a byte stream that somebody else owns.
 *
 * Bytes come in by qmp_monitor_feed() on the thread of the stream's owner, which parses them there.
 * Commands run one after the other on the main context; those sent with exec-oob run at once on
 * the owner's thread. So out-of-band execution helps a client while the main thread is stuck only
 * if the stream lives on another thread, as those of control/monitors.c do. */
#ifndef CONTROL_QMP_MONITOR_H
#define CONTROL_QMP_MONITOR_H

#include "core/vm.h"

typedef struct QmpMonitor QmpMonitor;

/* What the monitor needs of the stream. Calls come from any thread, one at a time for each. */
typedef struct QmpStream {
    /* Sends; must not block, so it queues what the client does not take. */
    void (*write)(void *opaque, const char *data, size_t length);
    /* qmp_monitor_room() is no longer 0. May be NULL. */
    void (*resume)(void *opaque);
} QmpStream;

typedef enum {
    QMP_PRETTY = 1 << 0, /* a line per member */
    QMP_NO_OOB = 1 << 1, /* do not offer out-of-band execution */
} QmpMonitorFlags;

/* Listens to the events of vm->qapi, which must exist, and keeps descriptors in vm->fds. Commands
 * run in vm->loop's context. */
QmpMonitor *qmp_monitor_new(Vm *vm, const QmpStream *stream, void *opaque, QmpMonitorFlags flags);
/* On the main thread, when the owner does not feed any more. NULL is fine. */
void qmp_monitor_free(QmpMonitor *monitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpMonitor, qmp_monitor_free)

/* A client came: greets it. A client went: forgets what it has not been answered yet. Owner's
 * thread, as the two below. */
void qmp_monitor_opened(QmpMonitor *monitor);
void qmp_monitor_closed(QmpMonitor *monitor);
/* How many bytes it wants now; 0 while too many commands wait. */
size_t qmp_monitor_room(QmpMonitor *monitor);
/* Takes all the bytes, and over the descriptors that came with them; they go with the command
 * that these bytes complete. */
void qmp_monitor_feed(QmpMonitor *monitor, const char *data, size_t length, const int *fds,
                      size_t n_fds);

#endif
