/* SPDX-License-Identifier: Apache-2.0 */
/* A human monitor on a terminal. */
#include <string.h>

#include "control/hmp-monitor.h"
#include "control/hmp.h"
#include "control/hmp/line-editor.h"
#include "control/session.h"
#include "util/version.h"

struct HmpMonitor {
    QapiSession session;
    Vm *vm;
    void (*write)(void *opaque, const char *data, size_t length);
    void *opaque;
    LineEditor *editor;
    bool greeted;
};

HmpMonitor *hmp_monitor_new(Vm *vm, void (*write)(void *opaque, const char *data, size_t length),
                            void *opaque)
{
    HmpMonitor *m = g_new0(HmpMonitor, 1);

    m->session.cpu_index = -1;
    m->vm = vm;
    m->write = write;
    m->opaque = opaque;
    m->editor = line_editor_new("(qemu) ", write, hmp_complete, opaque);
    m->session.history = line_editor_history(m->editor);
    return m;
}

void hmp_monitor_free(HmpMonitor *m)
{
    if (m != NULL) {
        line_editor_free(m->editor);
        g_free(m);
    }
}

void hmp_monitor_opened(HmpMonitor *m)
{
    line_editor_reset(m->editor);
    m->greeted = false;
}

void hmp_monitor_show(HmpMonitor *m)
{
    static const char greeting[] =
        "QEMU " QEMU_VERSION " monitor - type 'help' for more information\r\n";

    if (!m->greeted) {
        m->write(m->opaque, greeting, strlen(greeting));
        m->greeted = true;
    }
    line_editor_show(m->editor);
}

void hmp_monitor_feed(HmpMonitor *m, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        g_autofree char *line = line_editor_key(m->editor, data[i]);
        if (line != NULL) {
            g_autofree char *out = hmp_run(m->vm, &m->session, line);
            m->write(m->opaque, out, strlen(out));
            line_editor_show(m->editor);
        }
    }
}
