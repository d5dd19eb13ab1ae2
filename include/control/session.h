/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: what commands with 'session': true may want from the monitor they came through. */
#ifndef CONTROL_SESSION_H
#define CONTROL_SESSION_H

#include "qapi/command.h"

/* The first member of every kind of monitor. */
struct QapiSession {
    /* The oldest descriptor that came along with the command, now the caller's; -1: there is none.
     * NULL: this kind of monitor cannot pass descriptors. */
    int (*take_fd)(QapiSession *session);
    /* qmp_capabilities: begins the session; NULL: nothing to negotiate. */
    bool (*negotiate)(QapiSession *session, bool oob, GError **error);
    /* Where human-monitor-command and a human monitor keep the CPU that was chosen. */
    int64_t cpu_index;
    /* Lines typed before, oldest first; NULL: nobody types here. */
    const GPtrArray *history;
};

#endif
