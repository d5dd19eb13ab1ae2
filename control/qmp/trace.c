/* SPDX-License-Identifier: Apache-2.0 */
/* Trace events by QMP. */
#include <string.h>

#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"
#include "util/log.h"

typedef struct Search {
    const char *pattern;
    TraceEventInfoList *found;
} Search;

static void look(const TracePoint *point, const char *full_name, void *data)
{
    Search *s = data;

    if (g_pattern_match_simple(s->pattern, full_name)) {
        trace_event_info_list_add(
            s->found, trace_event_info_new(full_name,
                                           point->on ? TRACE_EVENT_STATE_ENABLED
                                                     : TRACE_EVENT_STATE_DISABLED,
                                           false));
    }
}

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?") != NULL;
}

static TraceEventInfoList *search(const char *name, bool must_exist, GError **error)
{
    Search s = { name, trace_event_info_list_new() };

    trace_foreach(look, &s);
    if (s.found->count == 0 && must_exist && !is_pattern(name)) {
        error_set(error, "unknown event \"%s\"", name);
        g_clear_pointer(&s.found, trace_event_info_list_free);
    }
    return s.found;
}

TraceEventInfoList *qmp_trace_event_get_state(Vm *vm, const char *name, GError **error)
{
    return search(name, true, error);
}

bool qmp_trace_event_set_state(Vm *vm, const char *name, bool enable, bool has_ignore_unavailable,
                               bool ignore_unavailable, GError **error)
{
    g_autoptr(TraceEventInfoList) found = search(name, !ignore_unavailable, error);

    if (found == NULL) {
        return false;
    }
    trace_set(name, enable);
    return true;
}
