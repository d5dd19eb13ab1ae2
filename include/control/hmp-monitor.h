/* SPDX-License-Identifier: Apache-2.0 */
/* A human monitor on a terminal: prompt, line editing, history, completion. Control thread. */
#ifndef CONTROL_HMP_MONITOR_H
#define CONTROL_HMP_MONITOR_H

#include "core/vm.h"

typedef struct HmpMonitor HmpMonitor;

/* `write` sends to the terminal and must not block. */
HmpMonitor *hmp_monitor_new(Vm *vm, void (*write)(void *opaque, const char *data, size_t length),
                            void *opaque);
void hmp_monitor_free(HmpMonitor *monitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HmpMonitor, hmp_monitor_free)

/* The terminal came: what was typed before is forgotten. */
void hmp_monitor_opened(HmpMonitor *monitor);
/* The terminal shows this monitor (from now on, or again): greets once, then prompts. */
void hmp_monitor_show(HmpMonitor *monitor);
void hmp_monitor_feed(HmpMonitor *monitor, const char *data, size_t length);

#endif
